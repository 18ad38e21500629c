//! Frames: which functions count, and what a function keeps on the stack.

use wramp_size::{Frame, frames};

fn of(text: &str) -> Vec<Frame> {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    frames(&wasm, "run").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn locals_and_operands_are_words_and_the_others_are_left_out() {
    let all = of(r#"(module
        (import "a" "b" (func $host (param i32)))
        (func $other (local i64 i64 i64))
        (func $leaf (param i32 i64) (result i32) (local f64)
            (i32.add (local.get 0) (i32.wrap_i64 (local.get 1))))
        (func (export "run") (param i32) (result i32)
            (call $host (i32.const 1))
            (block (block (nop)))
            (call $leaf (local.get 0) (i64.const 2))))"#);
    let seen: Vec<_> =
        all.iter().map(|f| (f.function, f.name.as_deref(), f.words, f.blocks)).collect();
    // leaf: 1 + 2 + 2 words of locals, and an i32 beside an i64. run: 1, and the arguments.
    assert_eq!(seen, [(2, Some("leaf"), 8, 1), (3, None, 4, 3)]);
}

#[test]
fn an_indirect_call_may_enter_any_function() {
    let all = of(r#"(module (type $t (func)) (table 1 funcref) (elem (i32.const 0) $other)
        (func $other) (func (export "run") (call_indirect (type $t) (i32.const 0))))"#);
    assert_eq!(all.len(), 2);
    assert!(frames(b"\0asm\x01\0\0\0\xff", "run").is_err());
}
