//! `wramp shrink`: what it writes, what it refuses, and what the engine makes of it.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use support::{scratch, stderr, stdout, wramp, wramp_in};
use wasmparser::{ExternalKind, Operator, Parser, Payload, ValType};
use wramp_cli::cmd::shrink::shrink;
use wramp_core::report::Record;

const PAGE: u32 = 65_536;

fn compile(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("valid text")
}

/// The parts of a module that the loader's rule looks at.
#[derive(Debug, Default)]
struct Shape {
    /// Type, mutable, initial value where it is an `i32.const`.
    globals: Vec<(ValType, bool, Option<i32>)>,
    exports: BTreeMap<String, (ExternalKind, u32)>,
    /// Indices of every `global.get` and `global.set`, also in initial values.
    used: Vec<u32>,
}

fn shape(wasm: &[u8]) -> Shape {
    let mut shape = Shape::default();
    let note = |operator: &Operator<'_>| match operator {
        Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } => {
            Some(*global_index)
        }
        _ => None,
    };
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("a module") {
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global.unwrap();
                    let mut start = None;
                    for operator in global.init_expr.get_operators_reader() {
                        let operator = operator.unwrap();
                        shape.used.extend(note(&operator));
                        if let Operator::I32Const { value } = operator {
                            start = Some(value);
                        }
                    }
                    shape.globals.push((global.ty.content_type, global.ty.mutable, start));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.unwrap();
                    shape.exports.insert(export.name.to_owned(), (export.kind, export.index));
                }
            }
            Payload::ElementSection(section) => {
                for element in section {
                    if let wasmparser::ElementKind::Active { offset_expr, .. } =
                        element.unwrap().kind
                    {
                        let operators = offset_expr.get_operators_reader();
                        shape.used.extend(operators.into_iter().filter_map(|o| note(&o.unwrap())));
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader().unwrap();
                shape.used.extend(operators.into_iter().filter_map(|o| note(&o.unwrap())));
            }
            _ => {}
        }
    }
    shape
}

/// The rule of `wasm_loader.c`: bytes that an instance gets.
fn truncated_to(wasm: &[u8], imported_globals: u32) -> Option<u32> {
    let shape = shape(wasm);
    let value = |name: &str| {
        let (kind, index) = shape.exports.get(name)?;
        assert_eq!(*kind, ExternalKind::Global);
        match shape.globals[(index - imported_globals) as usize] {
            (ValType::I32, false, Some(value)) => Some(value.cast_unsigned()),
            _ => None,
        }
    };
    let (heap_base, data_end) = (value("__heap_base")?, value("__data_end")?);
    let stack_pointer = shape.globals.iter().position(|(kind, mutable, start)| {
        *kind == ValType::I32
            && *mutable
            && start.is_some_and(|start| start.cast_unsigned() <= heap_base)
    });
    // The loader checks writes to it against a stack, so the module must not use it.
    let stack_pointer = imported_globals + u32::try_from(stack_pointer?).unwrap();
    assert!(!shape.used.contains(&stack_pointer), "{shape:?}");
    assert!(!shape.exports.values().any(|e| *e == (ExternalKind::Global, stack_pointer)));
    (data_end.next_multiple_of(16) <= heap_base).then_some(heap_base.next_multiple_of(8))
}

const FULL: &str = r#"(module
    (import "env" "base" (global $base i32))
    (global $count (mut i32) (i32.const 7))
    (global $copy i32 (global.get $base))
    (global $wide (mut i64) (i64.const -1))
    (memory (export "memory") 1 1)
    (table 4 funcref)
    (elem (global.get $base) func $tick)
    (data (i32.const 100) "abc")
    (func $tick (export "tick") (result i32)
        (global.set $wide (i64.add (global.get $wide) (i64.const 1)))
        (global.set $count (i32.add (global.get $count) (global.get $copy)))
        (global.get $count))
    (export "count" (global $count))
    (start $go)
    (func $go (drop (call $tick))))"#;

#[test]
fn every_reference_to_a_global_still_means_the_same_one() {
    for bytes in [104, 112, 2048, 65_528, 65_536] {
        let before = compile(FULL);
        let after = shrink(&before, bytes).unwrap();
        assert_eq!(after.declared_bytes, u64::from(PAGE));
        assert_eq!(truncated_to(&after.wasm, 1), Some(bytes));
        let (old, new) = (shape(&before), shape(&after.wasm));
        // The module's own globals move by one; the imported one stays.
        let moved = |index: u32| index + u32::from(index >= 1);
        let expected: Vec<u32> = old.used.iter().map(|&index| moved(index)).collect();
        assert_eq!(new.used, expected);
        assert_eq!(new.globals[1..=3], old.globals[..]);
        assert_eq!(new.exports["count"], (ExternalKind::Global, 2));
        assert_eq!(new.exports["tick"], old.exports["tick"]);
        // One global serves under both names where the size allows it.
        let shared = new.exports["__heap_base"] == new.exports["__data_end"];
        assert_eq!(shared, bytes.is_multiple_of(16), "{bytes}");
    }
}

#[test]
fn sections_that_were_not_there_come_in_their_order() {
    for text in [
        "(module (memory 1 1))",
        "(module (memory 1))",
        "(module (memory 2 5))",
        "(module (memory 1 1) (func (export \"run\")))",
        "(module (memory 1 1) (global (mut i32) (i32.const 0)))",
        "(module (memory 1 1) (func $f) (start $f))",
        "(module (memory 1 1) (func) (data (i32.const 0) \"x\"))",
        "(module (memory 1 1) (data \"passive\") (func (data.drop 0)))",
    ] {
        let wasm = shrink(&compile(text), 1024).unwrap().wasm;
        assert_eq!(truncated_to(&wasm, 0), Some(1024), "{text}");
        let order = section_order(&wasm);
        assert!(order.is_sorted(), "{text}: {order:?}");
    }
}

/// Places of the sections in the order of the standard.
fn section_order(wasm: &[u8]) -> Vec<usize> {
    const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];
    let payloads = Parser::new(0).parse_all(wasm);
    payloads
        .filter_map(|payload| payload.unwrap().as_section().map(|(id, _)| id))
        .filter(|id| *id != 0)
        .map(|id| ORDER.iter().position(|known| *known == id).unwrap())
        .collect()
}

#[test]
fn what_no_runtime_would_truncate_is_refused() {
    let memory = "(memory 1 1)";
    for (text, bytes, words) in [
        ("(module (memory 1) (func (drop (memory.grow (i32.const 1)))))", 64, "memory.grow"),
        ("(module (memory 1) (func (drop (memory.size))))", 64, "memory.size"),
        ("(module (import \"env\" \"memory\" (memory 1)))", 64, "imports its memory"),
        ("(module (memory 1) (memory 1))", 64, "several memories"),
        ("(module)", 64, "no memory"),
        ("(module (memory i64 1))", 64, "64-bit"),
        ("(module (memory 0))", 8, "more than the 0 bytes"),
        (memory, 0, "give 8"),
        (memory, 100, "give 104"),
        (memory, PAGE + 8, "more than the 65,536 bytes"),
        ("(module (memory 1) (data (i32.const 60) \"12345\"))", 64, "give at least 72"),
        ("(module (memory 1) (data (i32.const -8) \"12345\"))", 64, "give at least 4294967296"),
        (
            "(module (import \"env\" \"at\" (global $at i32)) (memory 1) (data (global.get $at) \"1\"))",
            64,
            "constant offset",
        ),
        (
            "(module (memory 1) (global (export \"__heap_base\") i32 (i32.const 8)))",
            64,
            "exports __heap_base already",
        ),
    ] {
        let text = if text == memory { "(module (memory 1 1))" } else { text };
        let refused = shrink(&compile(text), bytes).expect_err(text).to_string();
        assert!(refused.contains(words), "{text}: {refused}");
    }
    let garbage = shrink(b"\0asm\x01\0\0\0\x05\xff", 64).unwrap_err().to_string();
    assert!(garbage.contains("not a module"), "{garbage}");
}

#[test]
fn a_stack_beyond_is_remarked_upon() {
    let text = "(module (memory 2) (global (mut i32) (i32.const 66560)))";
    let remark = shrink(&compile(text), 1024).unwrap().remark.unwrap();
    assert!(remark.contains("66,560") && remark.contains("stack-size"), "{remark}");
    assert!(shrink(&compile(FULL), 1024).unwrap().remark.is_none());
}

/// Sums what it stored into every word below 2,048, and counts its calls in its own mutable
/// global. That global starts at 0, so the loader could take it for a stack pointer.
const GUEST: &str = r#"(module
    (global $calls (mut i32) (i32.const 0))
    (memory (export "memory") 1 1)
    (data (i32.const 16) "\2a")
    (func (export "run") (result i32)
        (local $at i32) (local $sum i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (local.set $sum (i32.load8_u (i32.const 16)))
        (local.set $at (i32.const 32))
        (loop $next
            (i32.store (local.get $at) (i32.mul (local.get $at) (i32.const 17)))
            (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))
            (br_if $next (i32.lt_u
                (local.tee $at (i32.add (local.get $at) (i32.const 4)))
                (i32.const 2048))))
        (local.get $sum))
    (func (export "last") (result i32) (i32.load (i32.const 2044)))
    (func (export "beyond") (result i32) (i32.load (i32.const 2048)))
    (func (export "across") (result i32) (i32.load (i32.const 2045)))
    (func (export "store") (result i32) (i32.store8 (i32.const 2048) (i32.const 1)) (i32.const 1)))"#;

fn run(directory: &Path, module: &str, export: &str) -> String {
    let output = wramp_in(
        directory.to_owned(),
        &[
            "run",
            "--module",
            module,
            "--export",
            export,
            "--format",
            "records",
            "--slots",
            "2",
            "--settle-ms",
            "0",
            "--dwell-ms",
            "1",
            "--pause-ms",
            "0",
            "--wasm-stack-bytes",
            "1024",
        ],
    );
    stdout(&output)
}

/// Cost of one instance, and errors.
fn end(log: &str) -> (u32, u32, u64) {
    let records = log.lines().filter_map(|line| Record::parse(line).ok().flatten());
    let mut all = records.filter_map(|record| match record {
        Record::End(end) => Some((end.peak, end.cost_bytes.map_or(0, |b| b.0), end.errors)),
        _ => None,
    });
    all.next().unwrap_or_else(|| panic!("no end: {log}"))
}

#[test]
fn the_engine_gives_an_instance_what_was_asked_for() {
    let directory = scratch("shrink");
    std::fs::write(directory.join("guest.wat"), GUEST).unwrap();
    let shrunk = wramp_in(
        directory.clone(),
        &["shrink", "guest.wat", "--memory-bytes", "2K", "-o", "small.wasm"],
    );
    assert!(shrunk.status.success(), "{}", stderr(&shrunk));
    assert!(stdout(&shrunk).contains("memory 65,536 -> 2,048 bytes"), "{}", stdout(&shrunk));

    let (before, after) =
        (run(&directory, "guest.wat", "run"), run(&directory, "small.wasm", "run"));
    let ((peak, cost, errors), (small_peak, small_cost, small_errors)) =
        (end(&before), end(&after));
    assert_eq!((peak, errors, small_peak, small_errors), (2, 0, 2, 0), "{before}{after}");
    // Two more globals, and the allocator's rounding.
    let saved = cost - small_cost;
    let most = PAGE - 2048;
    assert!((most - 128..=most).contains(&saved), "{cost} -> {small_cost}");

    // The last word can be read and what follows cannot. With whole pages all of it can.
    assert_eq!(end(&run(&directory, "small.wasm", "last")).2, 0);
    for export in ["beyond", "across", "store"] {
        assert_eq!(end(&run(&directory, "guest.wat", export)).2, 0, "{export}");
        let log = run(&directory, "small.wasm", export);
        assert!(log.contains("out_of_bounds_memory_access"), "{export}: {log}");
    }
}

#[test]
fn wrong_input_ends_with_2() {
    let directory = scratch("shrink-refused");
    let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
    std::fs::write(file("grow.wat"), "(module (memory 1) (func (drop (memory.size))))").unwrap();
    std::fs::write(file("bad.wat"), "(module (memory").unwrap();
    for (input, words) in
        [("grow.wat", "memory.size"), ("bad.wat", "not valid text"), ("none.wasm", "No such file")]
    {
        let out = file("out.wasm");
        let output = wramp(&["shrink", &file(input), "--memory-bytes", "64", "-o", &out]);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains(words) && said.contains(input), "{said}");
        assert!(!Path::new(&out).exists());
    }
}
