//! What wramp checks in a module's bytes before the engine does.
//!
//! This is no validator, because validation is the engine's part. It answers what an engine
//! answers late or not at all: whether the bytes are a core module of version 1, what the
//! module wants to import, and whether the engine's loader has room for its constants.

#[cfg(wamr_const_overflow)]
use wramp_core::runtime::{Error, ErrorKind};

#[cfg(wamr_const_overflow)]
use crate::failure;

/// An import as the module names it. The names are not checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Import<'b> {
    pub(crate) module: &'b [u8],
    pub(crate) name: &'b [u8],
}

/// Why bytes are not a module that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// They do not begin with `\0asm`.
    NotWasm,
    /// They are a component of the component model.
    Component,
    /// Their version of the format is not 1.
    Version,
    /// A section, a number or a name extends beyond the end of what holds it.
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
#[cfg(any(test, wamr_const_overflow))]
const SECTION_CODE: u8 = 10;

/// The most words of constants that a function may have if the fast interpreter's loader lacks
/// the fix of WAMR 2.4.5. An i32 or f32 is one word, an i64 or f64 two.
///
/// That loader reads a function twice. The first time it measures the code that it will make,
/// and it collects the constants in a table. The second time it writes the code.
///
/// A full table makes the two passes differ. The first pass no longer looks up any constant in
/// it, the second one looks up each. They then disagree on which values need a copy, and the
/// loader writes beyond the block that it measured.
///
/// The table is full when one more constant would make it hold more words than this. See
/// `wasm_loader_get_const_offset` in WAMR's wasm_loader.c, and its commit b1353b5e8.
#[cfg(any(test, wamr_const_overflow))]
const CONSTANT_WORDS: usize = 32_767;

/// Checks the header.
pub(crate) fn header(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Malformed::NotWasm)?;
    match rest {
        [1, 0, 0, 0, sections @ ..] => Ok(sections),
        // A component has its own version, followed by a layer of 1.
        [_, _, 1, 0, ..] => Err(Malformed::Component),
        [_, _, _, _, ..] => Err(Malformed::Version),
        _ => Err(Malformed::Truncated),
    }
}

/// The first import, if there is one.
///
/// It looks at all sections. Only the engine reports a second import section as an error, but
/// an import inside it must be found all the same.
pub(crate) fn first_import(bytes: &[u8]) -> Result<Option<Import<'_>>, Malformed> {
    let mut sections = Reader { bytes: header(bytes)? };
    while let Some(id) = sections.byte() {
        let mut body = Reader { bytes: sections.sized().ok_or(Malformed::Truncated)? };
        if id == SECTION_IMPORT && body.number().ok_or(Malformed::Truncated)? > 0 {
            let module = body.sized().ok_or(Malformed::Truncated)?;
            let name = body.sized().ok_or(Malformed::Truncated)?;
            return Ok(Some(Import { module, name }));
        }
    }
    Ok(None)
}

/// Refuses a module that would make the loader write beyond its memory. It also refuses a
/// module that this reader cannot split into functions, because nothing is known about it.
///
/// # Errors
/// `Engine` if the engine lacks the room, and the module is not at fault. `Malformed`.
#[cfg(wamr_const_overflow)]
pub(crate) fn check_constants(bytes: &[u8]) -> Result<(), Error> {
    match too_many_constants(bytes) {
        Ok(None) => Ok(()),
        Ok(Some(function)) => Err(failure::error(
            ErrorKind::Engine,
            format_args!(
                "function {function}: over {CONSTANT_WORDS} words of constants; \
                 use WAMR 2.4.5 (WAMR_DIR) or interpreter classic"
            ),
        )),
        Err(why) => Err(Error::new(ErrorKind::Malformed, why.as_str())),
    }
}

/// The first function that may have more than [`CONSTANT_WORDS`], as its index in the code
/// section.
#[cfg(any(test, wamr_const_overflow))]
fn too_many_constants(bytes: &[u8]) -> Result<Option<u32>, Malformed> {
    let mut sections = Reader { bytes: header(bytes)? };
    while let Some(id) = sections.byte() {
        let mut code = Reader { bytes: sections.sized().ok_or(Malformed::Truncated)? };
        if id != SECTION_CODE {
            continue;
        }
        code.number().ok_or(Malformed::Truncated)?;
        let mut function = 0;
        while !code.bytes.is_empty() {
            let body = code.sized().ok_or(Malformed::Truncated)?;
            if constant_words(body) > CONSTANT_WORDS {
                return Ok(Some(function));
            }
            function += 1;
        }
    }
    Ok(None)
}

/// An upper bound of a function's constants, in words.
///
/// A constant begins with one of four bytes, so the number of those bytes is a bound, however
/// the loader reads what lies between. This needs no table of all instructions that would have
/// to agree with the loader's.
///
/// A constant also takes at least one byte per word, so the length is another bound. All but
/// huge functions therefore pass without a look.
///
/// The bound is too high if other numbers contain these bytes, especially floating-point
/// constants. A vector would be four words, but WAMR is built without vectors.
#[cfg(any(test, wamr_const_overflow))]
fn constant_words(body: &[u8]) -> usize {
    if body.len() <= CONSTANT_WORDS {
        return body.len();
    }
    let words = |byte: &u8| match byte {
        // i32.const, f32.const
        0x41 | 0x43 => 1,
        // i64.const, f64.const
        0x42 | 0x44 => 2,
        _ => 0,
    };
    body.iter().map(words).sum()
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

    /// Bytes that follow their own length: a section, a function's body, a name.
    fn sized(&mut self) -> Option<&'b [u8]> {
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

    /// A code section of these bodies.
    fn code(bodies: &[&[u8]]) -> Vec<u8> {
        let mut bytes = leb(bodies.len() as u32);
        for body in bodies {
            bytes.extend(leb(body.len() as u32));
            bytes.extend(*body);
        }
        section(SECTION_CODE, &bytes)
    }

    #[test]
    fn constants_are_counted_in_words_for_each_function() {
        let find = |bodies: &[&[u8]]| too_many_constants(&module(&[code(bodies)]));
        for (constant, words) in [
            (&b"\x41\x07\x1a"[..], 1),
            (b"\x43\0\0\0\0\x1a", 1),
            (b"\x42\x07\x1a", 2),
            (b"\x44\0\0\0\0\0\0\0\0\x1a", 2),
        ] {
            let most = constant.repeat(CONSTANT_WORDS / words);
            let many = constant.repeat(CONSTANT_WORDS / words + 1);
            assert_eq!(find(&[&most, &most, &most]), Ok(None), "{constant:x?}");
            assert_eq!(find(&[&most, &most, &many]), Ok(Some(2)), "{constant:x?}");
        }
        // It is so short that its length suffices, whatever it contains.
        assert_eq!(find(&[&[0x42; CONSTANT_WORDS]]), Ok(None));
        assert_eq!(find(&[&[0x42; CONSTANT_WORDS + 1]]), Ok(Some(0)));
    }

    #[test]
    fn constants_are_found_in_any_code_section() {
        let many: &[u8] = &b"\x41\0\x1a".repeat(CONSTANT_WORDS + 1);
        let sections =
            [section(0, b"\x01xjunk"), code(&[b"\x0b"]), section(0, many), code(&[many])];
        assert_eq!(too_many_constants(&module(&sections)), Ok(Some(0)));
        assert_eq!(too_many_constants(&module(&sections[..3])), Ok(None));
        // Nothing is known about a section or a body that is cut short.
        for section in [&b"\x0a"[..], b"\x0a\x05", b"\x0a\x02\x01\x01", b"\x0a\x01\x80"] {
            let bytes = module(&[section.to_vec()]);
            assert_eq!(too_many_constants(&bytes), Err(Malformed::Truncated), "{section:x?}");
        }
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
            // Miri has no file system in which to keep failures, and little time.
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
            let _ = first_import(&module(core::slice::from_ref(&bytes)));
            let _ = too_many_constants(&module(&[bytes]));
        }

        #[test]
        fn no_code_brings_it_down(bytes: Vec<u8>) {
            let _ = too_many_constants(&module(&[section(SECTION_CODE, &bytes)]));
        }

        /// Constants of any value, among other instructions, are never more than the count.
        #[test]
        fn no_constant_is_missed(
            values in prop::collection::vec(any::<(u8, u64)>(), 0..64), times in 1_usize..200,
        ) {
            let (mut body, mut words) = (Vec::new(), 0);
            for (kind, value) in values {
                body.push(0x41 + kind % 4);
                words += if kind % 2 == 0 { 1 } else { 2 };
                match kind % 4 {
                    // The value of the number does not matter, because the count does not read
                    // it.
                    0 | 1 => body.extend(leb(value as u32)),
                    2 => body.extend(&value.to_le_bytes()[..4]),
                    _ => body.extend(value.to_le_bytes()),
                }
                body.push(0x1a);
            }
            let body = body.repeat(times);
            prop_assert!(constant_words(&body) >= words * times);
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
            // Every prefix of it is refused, or has no import yet.
            for end in 0..bytes.len() {
                prop_assert!(!matches!(first_import(&bytes[..end]), Ok(Some(_))));
            }
        }
    }
}
