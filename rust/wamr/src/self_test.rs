//! A test of the engine at its start, where nobody knows whether its source is faulty.
//!
//! A build of a known source has what is wrong corrected, and does not compile this. Of another
//! source the build says `unlisted`. Then the smallest programs that the known faults of
//! docs/engine-faults.md get wrong run once, in about a millisecond.

use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, ModuleBytes, Parameters, Runtime};

use crate::failure;

/// Enough for each of the functions below, several times over.
const STACK: Bytes = Bytes(1024);

/// The exports, each of which returns [`RIGHT`] when it is given 1, and the fault that each shows.
const EXPORTS: [(&str, &str); 5] = [
    ("live", "fast-br-value"),
    ("dead", "fast-br-value"),
    ("params", "fast-dead-code"),
    ("first", "fast-dead-code"),
    ("null", "null-element"),
];
const RIGHT: i32 = 3;

/// Aligned, for WAMR reads the first words of a module as such.
#[repr(align(4))]
struct Aligned<const N: usize>([u8; N]);

/// What known_faults.wat says.
#[rustfmt::skip]
static MODULE: Aligned<235> = Aligned([
    // Magic and version; three types; six functions; a table of two; the exports of five.
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
    0x01, 0x0f, 0x03, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x00, 0x01, 0x7f, 0x60, 0x02, 0x7c, 0x7f, 0x00,
    0x03, 0x07, 0x06, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00,
    0x04, 0x04, 0x01, 0x70, 0x00, 0x02,
    0x07, 0x27, 0x05, 0x04, b'l', b'i', b'v', b'e', 0x00, 0x00, 0x04, b'd', b'e', b'a', b'd', 0x00, 0x01,
    0x06, b'p', b'a', b'r', b'a', b'm', b's', 0x00, 0x02, 0x05, b'f', b'i', b'r', b's', b't', 0x00, 0x03,
    0x04, b'n', b'u', b'l', b'l', 0x00, 0x05,
    // An element segment.
    0x09, 0x0c, 0x01, 0x04, 0x41, 0x00, 0x0b, 0x02, 0xd2, 0x00, 0x0b, 0xd0, 0x70, 0x0b,
    // Code.
    0x0a, 0x89, 0x01, 0x06,
    0x22, 0x00, 0x02, 0x7f, 0x20, 0x00, 0x20, 0x00, 0x6a, 0x20, 0x00, 0x20, 0x00, 0x71,
    0x02, 0x40, 0x20, 0x00, 0x0d, 0x00, 0x41, 0xcd, 0x00, 0x0c, 0x01, 0x0b,
    0x20, 0x00, 0x41, 0x05, 0x6a, 0x1a, 0x6a, 0x0b, 0x0b,
    0x20, 0x00, 0x02, 0x7f, 0x20, 0x00, 0x20, 0x00, 0x6a, 0x20, 0x00, 0x20, 0x00, 0x71,
    0x02, 0x40, 0x0c, 0x00, 0x41, 0xcd, 0x00, 0x0c, 0x01, 0x0b,
    0x20, 0x00, 0x41, 0x05, 0x6a, 0x1a, 0x6a, 0x0b, 0x0b,
    0x20, 0x00, 0x20, 0x00, 0x20, 0x00, 0x6a, 0x20, 0x00, 0x20, 0x00, 0x71,
    0x02, 0x40, 0x0c, 0x00, 0x20, 0x00, 0x45, 0x02, 0x02, 0x1a, 0x1a, 0x0b, 0x0b,
    0x20, 0x00, 0x41, 0x05, 0x6a, 0x1a, 0x6a, 0x0b,
    0x04, 0x00, 0x10, 0x04, 0x0b,
    0x10, 0x00, 0x02, 0x7f, 0x41, 0x03, 0x41, 0x01, 0x0d, 0x00, 0x00, 0x0b, 0x41, 0x01, 0x45, 0x1a, 0x0b,
    0x0c, 0x00, 0x41, 0x03, 0x41, 0x08, 0x20, 0x00, 0x25, 0x00, 0xd1, 0x1b, 0x0b,
]);

/// Runs the programs.
///
/// # Errors
/// `Engine` where a result is wrong; `OutOfMemory` where the arena has no room for the test,
/// and so for no guest either.
pub(crate) fn run<R: Runtime>(engine: &R) -> Result<(), Error> {
    let module = engine.load(ModuleBytes::Static(&MODULE.0))?;
    for (export, fault) in EXPORTS {
        let mut instance = engine.instantiate(&module, export, Parameters::I32, STACK)?;
        let mut stack = engine.stack(&module, &instance, STACK)?;
        judge(engine.call(&mut stack, &mut instance, 1, None)?, fault)?;
    }
    Ok(())
}

/// A wrong result, in words that say what to do.
fn judge(result: i32, fault: &str) -> Result<(), Error> {
    if result == RIGHT {
        return Ok(());
    }
    Err(failure::error(
        ErrorKind::Engine,
        format_args!(
            "WAMR computes {result} for 3 ({fault}): use 2.4.5 (WAMR_DIR), docs/engine-faults.md"
        ),
    ))
}

#[cfg(test)]
#[path = "../tests/arena/mod.rs"]
mod arena;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_text() {
        let text = wat::parse_str(include_str!("known_faults.wat")).unwrap();
        assert_eq!(MODULE.0, *text, "{text:#04x?}");
    }

    /// Of a source that was corrected, and of the interpreter that has no such fault.
    #[test]
    fn a_sound_engine_passes_and_the_arena_is_as_before() {
        arena::with(arena::ROOMY, || {
            let engine = crate::Engine::new(&arena::TestArena).unwrap();
            let before = arena::used();
            assert_eq!(run(&engine), Ok(()));
            assert_eq!(arena::used(), before);
        });
    }

    #[test]
    fn a_wrong_result_is_an_error_that_says_what_to_do() {
        assert_eq!(judge(3, "fast-dead-code"), Ok(()));
        let error = judge(i32::MIN, "fast-dead-code").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Engine);
        // Whole, with the longest of all results and names.
        assert_eq!(
            error.message.as_str(),
            "WAMR computes -2147483648 for 3 (fast-dead-code): use 2.4.5 (WAMR_DIR), docs/engine-faults.md"
        );
    }
}
