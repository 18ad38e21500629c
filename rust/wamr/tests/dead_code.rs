//! Code after a branch that nothing reaches leaves the live values unchanged.
//!
//! WAMR's fast interpreter gets this wrong without a correction: see `fast-dead-code` in
//! docs/engine-faults.md. `br_value.rs` tests the same with generated programs.

mod arena;

use arena::{ROOMY, TestArena};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ModuleBytes, Parameters, Runtime};
use wramp_wamr::Engine;

const STACK: Bytes = Bytes(16 << 10);

/// Calls an export of a text once.
fn result(text: &str, export: &str, argument: i32) -> i32 {
    let wasm = wat::parse_str(text).unwrap();
    arena::with(ROOMY, || {
        let engine = Engine::new(&TestArena).unwrap();
        let module = engine.load(ModuleBytes::Borrowed(&wasm)).unwrap();
        let mut instance = engine.instantiate(&module, export, Parameters::I32, STACK).unwrap();
        let mut stack = engine.stack(&module, &instance, STACK).unwrap();
        engine.call(&mut stack, &mut instance, argument, None).unwrap()
    })
}

/// The block's parameters are only partly there, in dead code.
#[test]
fn a_block_that_takes_what_is_not_there() {
    for dead in [
        "f32.const 2 f32.sqrt block (param f64 f32) drop drop end",
        "f32.const 2 f32.sqrt loop (param f64 f32) drop drop end",
        "i32.const 1 i32.eqz block (param i64 i32) (result i64) drop end drop",
        "f32.const 2 f32.sqrt i32.const 1 i32.eqz if (param f64 f32) drop drop else drop drop end",
        "i64.const 1 i64.clz block (param i32 i32 f64 i64) drop drop drop drop end",
    ] {
        let text = format!(
            r#"(module (func (export "run") (param i32) (result i32)
                local.get 0 local.get 0 i32.add
                local.get 0 local.get 0 i32.and
                block
                    br 0
                    {dead}
                end
                local.get 0 i32.const 5 i32.add drop
                i32.add))"#
        );
        assert_eq!(result(&text, "run", 7), 14 + 7, "{dead}");
    }
}

/// A function without locals, whose first slot has the result of a block with a dead end.
#[test]
fn a_result_in_the_first_slot() {
    for end in ["br 0", "i32.const 1 br_if 0 unreachable", "i32.const 0 br_table 0", "br 0 br 0"] {
        let text = format!(
            r#"(module
                (func $alone (result i32)
                    block (result i32) i32.const 77 {end} end
                    i32.const 1 i32.eqz drop)
                (func (export "run") (param i32) (result i32) call $alone))"#
        );
        assert_eq!(result(&text, "run", 0), 77, "{end}");
    }
}

/// The result is as wide as two slots, and nothing else in the function needs a slot.
#[test]
fn a_wide_result_is_in_the_frame() {
    let text = r#"(module
        (func $other (local i64 i64) i64.const -1 local.set 0 i64.const -1 local.set 1)
        (func $alone (result i64)
            block (result i64) i64.const 0x300000001 br 0 end
            call $other)
        (func (export "run") (param i32) (result i32)
            call $alone i64.const 32 i64.shr_u i32.wrap_i64))"#;
    assert_eq!(result(text, "run", 0), 3);
}

/// What the engine asks itself, where it does not know its source.
#[test]
fn in_the_self_test() {
    for export in ["params", "first"] {
        assert_eq!(result(include_str!("../src/known_faults.wat"), export, 1), 3, "{export}");
    }
}
