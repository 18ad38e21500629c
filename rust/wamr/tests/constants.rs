//! A function full of constants runs, or is refused before WAMR reads it.
//!
//! Before WAMR 2.4.5, the fast interpreter's loader overflowed its heap on such a function. See
//! `CONSTANT_WORDS` in src/binary.rs.

mod arena;

use std::fmt::Write;

use arena::{ROOMY, TestArena, used};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, ModuleBytes, Parameters, Runtime};
use wramp_wamr::Engine;

/// Words of constants that fill the loader's table.
const FULL: u32 = 32_767;
/// The fast interpreter copies a function's constants onto its stack at each call.
const STACK: Bytes = Bytes(384 << 10);

/// A module whose `run` drops these constants and returns what `end` leaves.
fn module(constants: impl Iterator<Item = (&'static str, u32)>, end: &str) -> Vec<u8> {
    let mut text = String::from("(module (func) (func (export \"run\") (result i32)\n");
    for (kind, value) in constants {
        writeln!(text, "{kind}.const {value} drop").unwrap();
    }
    wat::parse_str(format!("{text} {end}))")).unwrap()
}

/// That many different constants of a kind.
fn different(kind: &'static str, count: u32) -> impl Iterator<Item = (&'static str, u32)> {
    (0..count).map(move |value| (kind, value))
}

/// Loads a module, calls `run`, and checks whether anything wrote beyond its block.
fn run(bytes: &[u8]) -> Result<i32, Error> {
    arena::with(ROOMY, || {
        let engine = Engine::new(&TestArena).unwrap();
        let before = used();
        let result = (|| {
            let module = engine.load(ModuleBytes::Borrowed(bytes))?;
            arena::check();
            let mut instance = engine.instantiate(&module, "run", Parameters::None, STACK)?;
            let mut stack = engine.stack(&module, &instance, STACK)?;
            engine.call(&mut stack, &mut instance, 0, None)
        })();
        arena::check();
        assert_eq!(used(), before);
        result
    })
}

/// If the loader has the fix, the module runs. Otherwise it is refused with the reason and with
/// what to do.
#[track_caller]
fn runs_or_is_refused(bytes: &[u8], expected: i32) {
    let result = run(bytes);
    if cfg!(wamr_const_overflow) {
        let error = result.expect_err("the loader overflows");
        assert_eq!(error.kind, ErrorKind::Engine, "{error}");
        assert_eq!(
            error.message.as_str(),
            "function 1: over 32767 words of constants; \
             use WAMR 2.4.5 (WAMR_DIR) or interpreter classic"
        );
    } else {
        assert_eq!(result, Ok(expected));
    }
}

#[test]
fn as_many_as_fit_run() {
    // The last constant is the one that `run` returns.
    assert_eq!(run(&module(different("i32", FULL - 1), "i32.const 7")), Ok(7));
    assert_eq!(run(&module(different("i64", FULL / 2), "i32.const 7")), Ok(7));
}

#[test]
fn one_more_than_fit() {
    runs_or_is_refused(&module(different("i32", FULL), "i32.const 7"), 7);
    runs_or_is_refused(&module(different("i64", FULL / 2 + 1), "i32.const 7"), 7);
}

#[test]
fn many_more_of_each_kind() {
    for kind in ["i32", "f32", "i64", "f64"] {
        runs_or_is_refused(&module(different(kind, 33_000), "i32.const 7"), 7);
    }
}

/// The module on which the loader overflows.
///
/// Equal constants fill the table as different ones do, except for the first ten. The i32 1
/// takes the last place. A block then returns 1 to 21.
///
/// When the loader measures, the table is full, and 1 gets its own place on the stack as the
/// other 20 do. Each lies where the block's results belong. When the loader writes, it finds 1
/// in the table. Now all 21 lie elsewhere and need copies.
#[test]
fn constants_that_come_again() {
    const RESULTS: u32 = 21;
    let wide = (1..=11).chain(std::iter::repeat_n(0, 16_372)).map(|value| ("i64", value));
    let end = format!(
        "block (result {}) {} end {}",
        "i32 ".repeat(RESULTS as usize),
        (1..=RESULTS).map(|value| format!("i32.const {value} ")).collect::<String>(),
        "drop ".repeat(RESULTS as usize - 1)
    );
    runs_or_is_refused(&module(wide.chain([("i32", 1)]), &end), 1);
}
