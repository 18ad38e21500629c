//! What wramp asks of a module's bytes before the engine does: header, imports.
//!
//! Not a validator, which is the engine's part. Its two answers are those that an
//! engine gives late or not at all: that something is no core module of version 1,
//! and what the module wants to import.

/// An import, as the module names it; not checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Import<'b> {
    pub(crate) module: &'b [u8],
    pub(crate) name: &'b [u8],
}

/// Why bytes are not a module that can be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// They do not begin with `\0asm`.
    NotWasm,
    /// They are a component of the component model.
    Component,
    /// They are of a version of the format that is not 1.
    Version,
    /// A section, a number or a name reaches beyond the end of what holds it.
    Truncated,
}

impl Malformed {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotWasm => "not a WebAssembly module: does not begin with 00 61 73 6d",
            Self::Component => "a WebAssembly component: wramp runs core modules",
            Self::Version => "a WebAssembly module of a version that is not 1",
            Self::Truncated => "a section of the module is cut short",
        }
    }
}

const MAGIC: &[u8] = b"\0asm";
const SECTION_IMPORT: u8 = 2;

/// Checks the header.
pub(crate) fn header(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Malformed::NotWasm)?;
    match rest {
        [1, 0, 0, 0, sections @ ..] => Ok(sections),
        // A component has a version of its own and a layer, 1, after it.
        [_, _, 1, 0, ..] => Err(Malformed::Component),
        [_, _, _, _, ..] => Err(Malformed::Version),
        _ => Err(Malformed::Truncated),
    }
}

/// The first import, if there is one. Looks at all sections: that the second of
/// two import sections is an error is for the engine to say, and that it holds an
/// import must be known even so.
pub(crate) fn first_import(bytes: &[u8]) -> Result<Option<Import<'_>>, Malformed> {
    let mut sections = Reader { bytes: header(bytes)? };
    while let Some(id) = sections.byte() {
        let size = sections.number().ok_or(Malformed::Truncated)?;
        let mut body = Reader { bytes: sections.take(size).ok_or(Malformed::Truncated)? };
        if id == SECTION_IMPORT && body.number().ok_or(Malformed::Truncated)? > 0 {
            let module = body.name().ok_or(Malformed::Truncated)?;
            let name = body.name().ok_or(Malformed::Truncated)?;
            return Ok(Some(Import { module, name }));
        }
    }
    Ok(None)
}

struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn take(&mut self, length: u32) -> Option<&'b [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(length).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    /// An unsigned LEB128 number of 32 bits, in at most 5 bytes.
    fn number(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            let bits = u32::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn name(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn leb(mut value: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let byte = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                bytes.push(byte);
                return bytes;
            }
            bytes.push(byte | 0x80);
        }
    }

    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = std::vec![id];
        bytes.extend(leb(body.len() as u32));
        bytes.extend(body);
        bytes
    }

    fn module(sections: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        bytes.extend(sections.concat());
        bytes
    }

    #[test]
    fn headers() {
        assert_eq!(header(b""), Err(Malformed::NotWasm));
        assert_eq!(header(b"\0aot\x01\0\0\0"), Err(Malformed::NotWasm));
        assert_eq!(header(b"\0asm"), Err(Malformed::Truncated));
        assert_eq!(header(b"\0asm\x01\0\0"), Err(Malformed::Truncated));
        assert_eq!(header(b"\0asm\x02\0\0\0"), Err(Malformed::Version));
        assert_eq!(header(b"\0asm\x0d\0\x01\0"), Err(Malformed::Component));
        assert_eq!(header(b"\0asm\x01\0\0\0"), Ok(&b""[..]));
    }

    #[test]
    fn an_import_in_any_place_is_found() {
        let import = section(SECTION_IMPORT, b"\x01\x03env\x01f\0\0");
        let found = Some(Import { module: b"env", name: b"f" });
        let custom = section(0, b"\x01xjunk");
        let code = section(10, b"\0");
        let none = section(SECTION_IMPORT, b"\0");
        assert_eq!(first_import(&module(core::slice::from_ref(&import))), Ok(found));
        assert_eq!(first_import(&module(&[custom, code, none.clone(), import])), Ok(found));
        assert_eq!(first_import(&module(&[none])), Ok(None));
        assert_eq!(first_import(&module(&[])), Ok(None));
    }

    #[test]
    fn numbers_end_where_32_bits_do() {
        let number = |bytes: &[u8]| Reader { bytes }.number();
        assert_eq!(number(b"\xff\xff\xff\xff\x0f"), Some(u32::MAX));
        assert_eq!(number(b"\x80\x80\x80\x80\0"), Some(0));
        assert_eq!(number(b"\xff\xff\xff\xff\x1f"), None);
        assert_eq!(number(b"\x80\x80\x80\x80\x80\0"), None);
        assert_eq!(number(b"\x80"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            // Miri has no file system to keep failures in, and little time.
            failure_persistence: None,
            cases: if cfg!(miri) { 32 } else { 4096 },
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_number_is_what_was_written(value: u32) {
            prop_assert_eq!(Reader { bytes: &leb(value) }.number(), Some(value));
        }

        #[test]
        fn no_bytes_bring_it_down(bytes: Vec<u8>) {
            let _ = first_import(&bytes);
        }

        #[test]
        fn no_sections_bring_it_down(bytes: Vec<u8>) {
            let _ = first_import(&module(&[bytes]));
        }

        #[test]
        fn the_first_import_is_the_one_that_was_written(
            name: Vec<u8>, of in prop::collection::vec(any::<u8>(), 0..200), before: Vec<u8>,
        ) {
            let mut body = leb(1);
            for name in [&of, &name] {
                body.extend(leb(name.len() as u32));
                body.extend(name);
            }
            body.extend(b"\0\0");
            let bytes = module(&[section(0, &before), section(SECTION_IMPORT, &body)]);
            prop_assert_eq!(first_import(&bytes), Ok(Some(Import { module: &of, name: &name })));
            // And every prefix of it is refused, or has no import yet.
            for end in 0..bytes.len() {
                prop_assert!(!matches!(first_import(&bytes[..end]), Ok(Some(_))));
            }
        }
    }
}
