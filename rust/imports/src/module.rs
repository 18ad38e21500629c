//! Reads from a module's bytes what it imports and exports.
//!
//! This is no validator. What it cannot read it calls [`Malformed`], and an engine says more.

use crate::provided::ValueType;

const TYPES: u8 = 1;
const IMPORTS: u8 = 2;
const EXPORTS: u8 = 7;

/// The bytes are no module, or one of a form that this reader does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'b> {
    /// A function of that type, and its number among the imported functions. No type if it is
    /// one that this reader does not know.
    Function {
        /// Its number among the imported functions.
        index: u32,
        /// Its type.
        types: Option<Types<'b>>,
    },
    /// A table.
    Table,
    /// A memory.
    Memory,
    /// A global.
    Global,
    /// A tag of exceptions.
    Tag,
}

/// An import. The names are not checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import<'b> {
    /// The module that it comes from.
    pub module: &'b [u8],
    /// Its name there.
    pub name: &'b [u8],
    /// What it is.
    pub item: Item<'b>,
}

/// What a function takes and gives, as the module writes it: a byte a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types<'b> {
    /// Its parameters.
    pub parameters: Values<'b>,
    /// Its results.
    pub results: Values<'b>,
}

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values<'b>(&'b [u8]);

impl<'b> Values<'b> {
    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Each type. `None` for one that is no number.
    pub fn iter(self) -> impl Iterator<Item = Option<ValueType>> + use<'b> {
        self.0.iter().map(|&byte| ValueType::of_byte(byte))
    }
}

impl PartialEq<[ValueType]> for Values<'_> {
    fn eq(&self, other: &[ValueType]) -> bool {
        self.0.len() == other.len() && self.iter().zip(other).all(|(a, b)| a == Some(*b))
    }
}

/// What the module imports, in its order. The iterator ends after the first error.
#[must_use]
pub fn imports(module: &[u8]) -> Imports<'_> {
    Imports { module, sections: Reader::of_module(module), body: None, left: 0, functions: 0 }
}

/// See [`imports`].
#[derive(Clone, Debug)]
pub struct Imports<'b> {
    module: &'b [u8],
    /// Nothing after an error.
    sections: Option<Reader<'b>>,
    body: Option<Reader<'b>>,
    left: u32,
    functions: u32,
}

impl<'b> Iterator for Imports<'b> {
    type Item = Result<Import<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(import) => import.map(Ok),
            Err(malformed) => {
                (self.sections, self.body, self.left) = (Some(Reader(&[])), None, 0);
                Some(Err(malformed))
            }
        }
    }
}

impl<'b> Imports<'b> {
    fn advance(&mut self) -> Result<Option<Import<'b>>, Malformed> {
        while self.left == 0 {
            let sections = self.sections.as_mut().ok_or(Malformed)?;
            let Some(mut body) = sections.section(IMPORTS)? else { return Ok(None) };
            self.left = body.number()?;
            self.body = Some(body);
        }
        self.left -= 1;
        let body = self.body.as_mut().ok_or(Malformed)?;
        let (module, name) = (body.sized()?, body.sized()?);
        let item = match body.byte()? {
            0 => {
                let types = types(self.module, body.number()?);
                self.functions += 1;
                Item::Function { index: self.functions - 1, types }
            }
            1 => {
                body.reference_type()?;
                body.limits()?;
                Item::Table
            }
            2 => {
                body.limits()?;
                Item::Memory
            }
            3 => {
                body.byte()?;
                body.byte()?;
                Item::Global
            }
            4 => {
                body.byte()?;
                body.number()?;
                Item::Tag
            }
            _ => return Err(Malformed),
        };
        Ok(Some(Import { module, name, item }))
    }
}

/// The type with that number, if it is that of a function on values of one byte each.
fn types(module: &[u8], index: u32) -> Option<Types<'_>> {
    let mut body = Reader::of_module(module)?.section(TYPES).ok()??;
    let count = body.number().ok()?;
    if index >= count {
        return None;
    }
    let mut found = None;
    for _ in 0..=index {
        if body.byte() != Ok(0x60) {
            return None;
        }
        let parameters = Values(body.sized().ok()?);
        let results = Values(body.sized().ok()?);
        // A reference to a type takes more than one byte, so what follows cannot be read.
        if [parameters, results]
            .iter()
            .any(|values| values.0.iter().any(|byte| matches!(byte, 0x63 | 0x64)))
        {
            return None;
        }
        found = Some(Types { parameters, results });
    }
    found
}

/// Whether the module exports a function of that name.
#[must_use]
pub fn exports_function(module: &[u8], name: &str) -> bool {
    let find = || -> Result<bool, Malformed> {
        let mut sections = Reader::of_module(module).ok_or(Malformed)?;
        let Some(mut body) = sections.section(EXPORTS)? else { return Ok(false) };
        for _ in 0..body.number()? {
            let (this, kind, _) = (body.sized()?, body.byte()?, body.number()?);
            if this == name.as_bytes() {
                return Ok(kind == 0);
            }
        }
        Ok(false)
    };
    find().unwrap_or(false)
}

#[derive(Clone, Debug)]
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// The sections of a core module of version 1.
    fn of_module(module: &'b [u8]) -> Option<Self> {
        module.strip_prefix(b"\0asm\x01\0\0\0").map(Self)
    }

    /// The body of the next section of that kind, behind which it goes on.
    fn section(&mut self, wanted: u8) -> Result<Option<Self>, Malformed> {
        while !self.0.is_empty() {
            let id = self.byte()?;
            let body = self.sized()?;
            if id == wanted {
                return Ok(Some(Self(body)));
            }
        }
        Ok(None)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    /// An unsigned number of 32 bits in LEB128.
    fn number(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            let bits = u32::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// Passes over a number of up to 64 bits.
    fn pass_number(&mut self) -> Result<(), Malformed> {
        for _ in 0..10 {
            if self.byte()? & 0x80 == 0 {
                return Ok(());
            }
        }
        Err(Malformed)
    }

    /// Bytes that follow their own length.
    fn sized(&mut self) -> Result<&'b [u8], Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn reference_type(&mut self) -> Result<(), Malformed> {
        match self.byte()? {
            0x63 | 0x64 => self.pass_number(),
            _ => Ok(()),
        }
    }

    /// Passes over the size of a memory or a table.
    fn limits(&mut self) -> Result<(), Malformed> {
        let flags = self.byte()?;
        self.pass_number()?;
        if flags & 1 != 0 {
            self.pass_number()?;
        }
        // The size of a page.
        if flags & 8 != 0 { self.pass_number() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Vec<(std::string::String, bool)> {
        let wasm = wat::parse_str(text).unwrap();
        imports(&wasm)
            .map(|import| {
                let import = import.unwrap();
                let name = std::string::String::from_utf8(import.name.to_vec()).unwrap();
                (name, matches!(import.item, Item::Function { types: Some(_), .. }))
            })
            .collect()
    }

    #[test]
    fn imports_of_every_kind() {
        let names = all(r#"(module
            (type (func (param i64 f32) (result f64)))
            (import "a" "t" (table 1 2 funcref))
            (import "a" "f" (func (type 0)))
            (import "a" "m" (memory 1 70000))
            (import "a" "g" (global (mut i32)))
            (import "a" "e" (tag (param i32)))
            (import "a" "h" (func (param externref))))"#);
        let expected =
            [("t", false), ("f", true), ("m", false), ("g", false), ("e", false), ("h", true)];
        assert_eq!(names.len(), expected.len());
        for ((name, is_function), (this, known)) in names.iter().zip(expected) {
            assert_eq!((name.as_str(), *is_function), (this, known));
        }
    }

    #[test]
    fn functions_have_their_types_and_numbers() {
        let wasm = wat::parse_str(
            r#"(module (import "a" "m" (memory 1)) (import "a" "f" (func (param i32 i64 f32 f64)))
            (import "b" "g" (func (result i32 externref))))"#,
        )
        .unwrap();
        let functions: Vec<_> = imports(&wasm)
            .filter_map(|import| match import.unwrap().item {
                Item::Function { index, types } => Some((index, types.unwrap())),
                _ => None,
            })
            .collect();
        use ValueType::{F32, F64, I32, I64};
        assert_eq!(functions.len(), 2);
        assert_eq!(functions[0].0, 0);
        assert!(functions[0].1.parameters == [I32, I64, F32, F64][..]);
        assert!(functions[0].1.results == [][..]);
        assert_eq!(functions[1].0, 1);
        assert_eq!(functions[1].1.results.iter().collect::<Vec<_>>(), [Some(I32), None]);
    }

    #[test]
    fn exports_are_found_by_name_and_kind() {
        let wasm = wat::parse_str(
            r#"(module (memory (export "m") 1) (func (export "f")) (func (export "g")))"#,
        )
        .unwrap();
        for (name, there) in [("f", true), ("g", true), ("m", false), ("x", false), ("", false)] {
            assert_eq!(exports_function(&wasm, name), there, "{name}");
        }
    }

    #[test]
    fn no_module_is_malformed_once() {
        for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0\x02", b"\0asm\x01\0\0\0\x02\x01\x01"] {
            let found: Vec<_> = imports(bytes).collect();
            assert_eq!(found, [Err(Malformed)], "{bytes:?}");
        }
        assert_eq!(imports(b"\0asm\x01\0\0\0").count(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2048, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_bring_it_down(
            parts in prop::collection::vec((0_u8..12, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
            cut in any::<usize>(),
        ) {
            let mut bytes = b"\0asm\x01\0\0\0".to_vec();
            for (id, body) in parts {
                bytes.extend([id, body.len() as u8]);
                bytes.extend(body);
            }
            bytes.truncate(8 + cut % (bytes.len() - 7));
            let found: Vec<_> = imports(&bytes).collect();
            // At most one error, and it is the last.
            prop_assert!(found.iter().rev().skip(1).all(Result::is_ok));
            let _ = exports_function(&bytes, "f");
        }
    }
}
