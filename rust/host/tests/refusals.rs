//! Bad input gets a knob to turn and status 2, and leaves the arena as it was.

mod common;

use common::{Log, QUICK, built_in, guest, run, wasm};
use wramp_bench::{Agreement, Check, Guest};
use wramp_core::config::{Config, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ErrorKind, Parameters};

fn module(bytes: &[u8]) -> Log {
    let agreement = Agreement::new();
    let config = Config { slots: 2, dwell_ms: 1, ..QUICK };
    let log = run(config, &[guest(bytes, Check::Agreement(&agreement))]);
    // A module that each instance loads fails on a slot's thread, with the same message.
    if log.summary.exit() == 2 {
        let config = Config { scenario: Scenario::Private, ..config };
        let private = run(config, &[guest(bytes, Check::Agreement(&agreement))]);
        assert_eq!(private.summary.exit(), 2, "{private}");
        assert_eq!(private.faults()[0].error, log.faults()[0].error, "{private}\n{log}");
        assert_eq!(private.faults()[0].knob, log.faults()[0].knob, "{private}\n{log}");
    }
    log
}

#[test]
fn not_wasm() {
    let words = "not a WebAssembly module";
    for bytes in [&b""[..], b"hello", b"\x7fELF\x02\x01\x01", b"(module)", b"\0aot\x05\0\0\0"] {
        module(bytes).refused(ErrorKind::Malformed, "--module", words);
    }
    let component = b"\0asm\x0d\0\x01\0";
    module(component).refused(ErrorKind::Malformed, "--module", "component");
    module(b"\0asm\x02\0\0\0").refused(ErrorKind::Malformed, "--module", "version");
}

#[test]
fn truncated_anywhere() {
    for name in ["cpu", "isolation"] {
        let whole = wramp_workloads::find(name).unwrap().wasm;
        for end in 0..whole.len() {
            let log = module(&whole[..end]);
            assert_eq!(log.summary.exit(), 2, "{name} cut at {end}: {log}");
            let fault = log.faults()[0];
            // A cut between two sections can leave a valid module that lacks the export.
            assert!(
                matches!(fault.error.0, "malformed" | "no-export"),
                "{name} cut at {end}: {log}"
            );
        }
    }
}

#[test]
fn malformed() {
    // One has a wrong type inside, one an unknown section, and one a body that is too long.
    let mistyped = wasm(r#"(module (func (export "run") (result i32) nop))"#);
    module(mistyped).refused(ErrorKind::Malformed, "--module", "");
    module(b"\0asm\x01\0\0\0\x63\x01\x00").refused(ErrorKind::Malformed, "--module", "section");
    module(b"\0asm\x01\0\0\0\x01\x7f\x00").refused(ErrorKind::Malformed, "--module", "");
}

#[test]
fn imports() {
    let imports = wasm(
        r#"(module (import "env" "led" (func))
            (func (export "run") (result i32) (i32.const 0)))"#,
    );
    module(imports).refused(ErrorKind::Import, "--module", "imports env.led");
}

#[test]
fn no_such_export() {
    let other = wasm(r#"(module (func (export "walk") (result i32) (i32.const 0)))"#);
    module(other).refused(ErrorKind::NoExport, "--export", "`run`");
    let global = wasm(r#"(module (global (export "run") i32 (i32.const 0)))"#);
    module(global).refused(ErrorKind::NoExport, "--export", "`run`");
}

#[test]
fn wrong_signature() {
    for signature in ["", "(result i64)", "(result f32)", "(param i32) (result i32)"] {
        let text = format!(r#"(module (func (export "run") {signature} unreachable))"#);
        let words = "expected () -> i32";
        module(wasm(&text)).refused(ErrorKind::Signature, "--export", words);
    }
    let none = wasm(r#"(module (func (export "run") (result i32) (i32.const 0)))"#);
    let agreement = Agreement::new();
    let check = Check::Agreement(&agreement);
    let guest = Guest { parameters: Parameters::I32, ..guest(none, check) };
    run(QUICK, &[guest]).refused(ErrorKind::Signature, "--export", "expected (i32) -> i32");
}

#[test]
fn a_start_function_that_traps() {
    let traps = wasm(
        r#"(module (func $start unreachable) (start $start)
            (func (export "run") (result i32) (i32.const 0)))"#,
    );
    module(traps).refused(ErrorKind::Trap, "--module", "unreachable");
}

#[test]
fn an_arena_too_small_for_the_module() {
    for (name, arena) in [("mem", 40 * 1024), ("msg", 65_536), ("cpu", 6_000)] {
        let log = run(Config { arena: Bytes(arena), ..QUICK }, &built_in(&[name]));
        log.refused(ErrorKind::OutOfMemory, "--arena-bytes", "arena too small for");
        let message = log.faults()[0].message.readable().to_string();
        assert!(message.contains(&arena.to_string()), "it says what the arena is: {message}");
    }
    // The engine does not even load a module that is larger than the arena.
    let large = format!(
        r#"(module (memory 1) (data (i32.const 0) "{}")
            (func (export "run") (result i32) (i32.const 0)))"#,
        "x".repeat(60_000)
    );
    let agreement = Agreement::new();
    let config = Config { arena: Bytes(32 * 1024), ..QUICK };
    run(config, &[guest(wasm(&large), Check::Agreement(&agreement))]).refused(
        ErrorKind::OutOfMemory,
        "--arena-bytes",
        "arena too small for guest",
    );
}

#[test]
fn an_arena_too_small_for_anything() {
    let config = Config { slots: 2, dwell_ms: 1, wasm_stack: Bytes(1_024), ..QUICK };
    let (mut for_runtime, mut for_module, mut ran) = (0, 0, 0);
    // Odd sizes too: a region that is not a multiple of the allocator's unit.
    let sizes = (256..=8192).step_by(64).flat_map(|size| [size, size + 13]);
    // Below the smallest value of the knob, WAMR itself does not start.
    let sizes = (0..256).step_by(8).chain(sizes);
    for arena in sizes {
        let log = run(Config { arena: Bytes(arena), ..config }, &built_in(&["add"]));
        match log.summary.exit() {
            0 => {
                log.right();
                ran += 1;
            }
            _ if log.faults()[0].message.readable().to_string().contains("the engine itself") => {
                log.refused(ErrorKind::OutOfMemory, "--arena-bytes", &format!(": {arena} bytes"));
                for_runtime += 1;
            }
            _ => {
                let kind = if arena < 256 { ErrorKind::Engine } else { ErrorKind::OutOfMemory };
                log.refused(
                    kind,
                    "--arena-bytes",
                    if arena < 256 { "is below 256" } else { "arena too small for add" },
                );
                for_module += 1;
            }
        }
    }
    assert!(for_runtime > 0 && for_module > 0 && ran > 0, "{for_runtime} {for_module} {ran}");
}

#[test]
fn every_arena_ends_a_climb_without_an_error() {
    // Any allocation of the start may be the one too many: load, copy, instance or stack.
    for name in ["cpu", "isolation", "checksum"] {
        for arena in (2_048..24_576).step_by(208) {
            let config =
                Config { arena: Bytes(arena), slots: 3, dwell_ms: 1, pause_ms: 0, ..QUICK };
            let log = run(config, &built_in(&[name]));
            match log.summary.exit() {
                0 => log.right(),
                _ => log.refused(ErrorKind::OutOfMemory, "--arena-bytes", "arena too small for"),
            }
        }
    }
}

#[test]
fn knobs_below_their_least() {
    let cpu = built_in(&["cpu"]);
    let cases = [
        (Config { slots: 0, ..QUICK }, "--slots"),
        (Config { step: 0, ..QUICK }, "--step"),
        (Config { arena: Bytes(255), ..QUICK }, "--arena-bytes"),
        (Config { wasm_stack: Bytes(0), ..QUICK }, "--wasm-stack-bytes"),
        (Config { wasm_stack: Bytes(63), ..QUICK }, "--wasm-stack-bytes"),
    ];
    for (config, knob) in cases {
        let log = run(config, &cpu);
        assert_eq!(log.summary.exit(), 2, "{log}");
        assert_eq!(log.faults().len(), 1, "{log}");
        assert_eq!(log.faults()[0].knob.map(|knob| knob.0), Some(knob), "{log}");
    }
    run(QUICK, &[]).refused(ErrorKind::Engine, "--workload", "no workload");
}

#[test]
fn a_wasm_stack_too_small() {
    for stack in [64, 100, 128] {
        let log = run(Config { wasm_stack: Bytes(stack), ..QUICK }, &built_in(&["fib"]));
        log.refused(ErrorKind::WasmStack, "--wasm-stack-bytes", &stack.to_string());
    }
}

#[test]
fn a_guest_that_recurses_for_ever_names_the_stack() {
    let endless =
        wasm(r#"(module (func $f (export "run") (result i32) (i32.add (call $f) (i32.const 1))))"#);
    module(endless).refused(ErrorKind::WasmStack, "--wasm-stack-bytes", "4096");
}

#[test]
fn one_bad_workload_of_several_does_not_hide_the_others() {
    // mem does not fit into half a page. cpu does, before and after it.
    let config = Config { arena: Bytes(32 * 1024), slots: 2, ..QUICK };
    let log = run(config, &built_in(&["cpu", "mem", "isolation"]));
    assert_eq!(log.summary.exit(), 2, "{log}");
    let right = log.ends().into_iter().filter(|end| end.peak == 2 && end.errors == 0);
    assert_eq!(right.map(|end| end.workload.0).collect::<Vec<_>>(), ["cpu", "isolation"], "{log}");
    assert_eq!(log.faults().len(), 1, "{log}");
}
