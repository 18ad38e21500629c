//! `wramp size` computes the bytes of each part that WAMR asks the arena for.
//!
//! These tests need 64 bits. The other host that tests run on, i386, aligns 64-bit numbers to 4,
//! and no board does. For 32 bits, `wramp-size` compares with the recorded runs of boards.
#![cfg(target_pointer_width = "64")]

mod arena;

use std::fs;
use std::path::Path;

use arena::{ROOMY, TestArena};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ModuleBytes, Parameters, Runtime};
use wramp_size::{Layout, sizes};
use wramp_wamr::Engine;

/// Compares each part, and the sum.
fn compare(what: &str, wasm: &[u8]) {
    arena::with(ROOMY, || {
        let engine = Engine::new(&TestArena).unwrap();
        let module = engine.load(ModuleBytes::Borrowed(wasm)).unwrap();
        engine.note(0);
        let instance = engine.instantiate(&module, "run", Parameters::None, Bytes(1024)).unwrap();
        let parts = engine.noted(&instance, None).unwrap();
        let report = sizes(wasm, Layout::BOTH_64).unwrap();
        // Records have no names for `tables` and `imports` yet. The engine includes both in the
        // instance.
        let rest = ["module-instance", "tables", "imports"].map(|part| report.part(part));
        for (name, bytes) in parts.iter() {
            let computed = match name {
                "module-instance" => rest.iter().sum(),
                name => report.part(name),
            };
            assert_eq!(computed, u64::from(bytes.0), "{what}: {name}");
        }
        assert_eq!(report.instance_bytes(), u64::from(parts.sum().0), "{what}");
    });
}

fn text(fields: &str) -> Vec<u8> {
    wat::parse_str(format!(r#"(module {fields} (func (export "run") (result i32) i32.const 1))"#))
        .unwrap()
}

#[test]
fn guests_of_clang() {
    for name in ["sha256.wasm", "sha256_plain.wasm"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest").join(name);
        compare(name, &fs::read(path).unwrap());
    }
}

#[test]
fn every_kind_of_part() {
    for fields in [
        "",
        "(memory 1)",
        "(memory 0)",
        "(memory 2 4)",
        "(global i32 (i32.const 1))",
        "(global (mut i64) (i64.const 1)) (global f32 (f32.const 1)) (global f64 (f64.const 2))",
        "(memory 1) (global (mut i32) (i32.const 1))",
        "(table 1 funcref)",
        "(table 10 funcref) (table 3 7 funcref)",
        "(table 3 funcref) (func $f) (elem (i32.const 0) $f $f)",
        "(func $f) (func $g) (func (export \"h\")) (func (export \"i\"))",
        "(memory 1) (data (i32.const 0) \"a\")",
        "(memory 1) (data (i32.const 0) \"a\") (data (i32.const 9) \"b\") (data \"passive\")",
        // A table that can grow.
        "(table $t 3 200 funcref) (func (drop (table.grow $t (ref.null func) (i32.const 1))))",
        "(table $t 3 5000 funcref) (func (drop (table.grow $t (ref.null func) (i32.const 1))))",
        "(table $t 3 funcref) (func (drop (table.grow $t (ref.null func) (i32.const 1))))",
        // Memories that WAMR cuts, and memories that it does not cut: one whose size the code
        // asks for, and ones whose heap base is of no use.
        "(global (mut i32) (i32.const 100)) (memory 1)
         (global (export \"__heap_base\") i32 (i32.const 100))
         (global (export \"__data_end\") i32 (i32.const 90))",
        "(global (export \"__heap_base\") i32 (i32.const 104)) (memory 1)
         (global (export \"__data_end\") i32 (i32.const 90))",
        "(global (mut i32) (i32.const 104)) (memory 1) (func (drop (memory.size)))
         (global (export \"__heap_base\") i32 (i32.const 104))
         (global (export \"__data_end\") i32 (i32.const 90))",
        "(global (mut i32) (i32.const 104)) (memory 1)
         (global (export \"__heap_base\") i32 (i32.const 104))
         (global (export \"__data_end\") i32 (i32.const 103))",
        "(global (mut i32) (i32.const 104)) (memory 1)
         (global (export \"__heap_base\") (mut i32) (i32.const 104))
         (global (export \"__data_end\") i32 (i32.const 90))",
    ] {
        compare(fields, &text(fields));
    }
}
