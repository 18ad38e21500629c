//! The advice names the flag that saves most, and the bytes that it saves.

use std::fs;
use std::path::Path;

use wramp_size::{Layout, MemoryKind, Report, sizes};

fn guest(name: &str) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest").join(name);
    sizes(&fs::read(&path).unwrap(), Layout::FAST_32).unwrap()
}

fn text(module: &str) -> Report {
    sizes(&wat::parse_str(module).unwrap(), Layout::FAST_32).unwrap()
}

fn advice(report: &Report) -> (String, u64, bool) {
    let advice = report.advice.clone().expect("there is advice");
    (advice.change, advice.saves_bytes, advice.exact)
}

#[test]
fn sha256_as_clang_links_it_is_told_the_flags() {
    let (plain, linked) = (guest("sha256_plain.wasm"), guest("sha256.wasm"));
    assert_eq!(plain.memory, MemoryKind::NoExports);
    assert!(plain.is_mostly_memory());
    let (change, saves, exact) = advice(&plain);
    assert_eq!(change, "-z stack-size=1024 --export=__heap_base --export=__data_end");
    // The module does not mention 36 bytes of zeroed data, so the figure is an upper bound.
    assert!(!exact);
    let saved = plain.instance_bytes() - linked.instance_bytes();
    assert!(saved > 129_000);
    assert!(saves >= saved && saves - saved <= 64, "said {saves}, saved {saved}");
    // After following it there is no further advice.
    assert_eq!(linked.memory, MemoryKind::Cut);
    assert_eq!(linked.advice, None);
    assert_eq!(linked.part("linear-memory"), 1_360);
}

#[test]
fn the_sentence_has_the_flag_and_the_bytes() {
    let said = guest("sha256_plain.wasm").advice.unwrap().to_string();
    assert_eq!(
        said,
        "-z stack-size=1024 --export=__heap_base --export=__data_end saves up to 129,704 bytes"
    );
}

/// A module as LLVM's linker makes it.
fn linked(stack_pointer: u32, heap_base: u32, data_end: u32, data: u32, pages: u32) -> String {
    format!(
        r#"(module (memory (export "memory") {pages})
        (global $__stack_pointer (mut i32) (i32.const {stack_pointer}))
        (global (export "__heap_base") i32 (i32.const {heap_base}))
        (global (export "__data_end") i32 (i32.const {data_end}))
        (data (i32.const {data}) "0123456789")
        (func (export "run")))"#
    )
}

#[test]
fn a_stack_that_is_too_large_is_named_whichever_way_round() {
    // The stack first: 16 KiB, then 10 bytes of data.
    let report = text(&linked(16_384, 16_400, 16_394, 16_384, 1));
    assert_eq!(report.part("linear-memory"), 16_400);
    assert_eq!(advice(&report), ("-z stack-size=1024".into(), 15_360, true));
    // The data begins at 1,024. A stack of 64 KiB follows, and ends where the heap begins.
    let report = text(&linked(66_576, 66_576, 1_034, 1_024, 2));
    assert_eq!(report.part("linear-memory"), 66_576);
    assert_eq!(advice(&report), ("-z stack-size=1024".into(), 64_512, true));
    // There is no advice on a small stack.
    assert_eq!(text(&linked(1_024, 1_040, 1_034, 1_024, 1)).advice, None);
}

#[test]
fn one_megabyte_of_stack_as_rust_links_it() {
    let module = r#"(module (memory (export "memory") 17)
        (global $__stack_pointer (mut i32) (i32.const 1048576))
        (data (i32.const 1048576) "0123456789") (func (export "run")))"#;
    let (change, saves, exact) = advice(&text(module));
    assert_eq!(change, "-z stack-size=1024 --export=__heap_base --export=__data_end");
    assert_eq!(saves, 17 * 65_536 - 1_024 - 16 - 56);
    assert!(!exact);
}

#[test]
fn a_heap_base_that_cannot_be_used() {
    for (heap_base, data_end) in [(65_544, 1_034), (1_024, 1_034), (1_040, 1_041)] {
        let report = text(&linked(1_024, heap_base, data_end, 1_024, 1));
        assert_eq!(report.memory, MemoryKind::HeapBaseUnusable, "{heap_base} {data_end}");
        assert_eq!(report.part("linear-memory"), 65_536);
    }
    // A mutable `__heap_base` does not count.
    let report = text(
        r#"(module (memory 1) (global (export "__heap_base") (mut i32) (i32.const 64))
        (global (export "__data_end") i32 (i32.const 64)))"#,
    );
    assert_eq!(report.memory, MemoryKind::NoExports);
}

#[test]
fn growing_keeps_whole_pages_and_says_what_to_change() {
    let report = guest("wasi/hello_as.wasm");
    assert_eq!(report.memory, MemoryKind::Grows);
    assert_eq!(report.part("linear-memory"), 65_536);
    assert!(advice(&report).0.starts_with("no memory.grow and no memory.size"));
    // A smaller stack alone can save pages.
    let report = text(
        r#"(module (memory 17) (global (mut i32) (i32.const 1048576))
        (func (export "run") (result i32) (memory.grow (i32.const 1))))"#,
    );
    assert_eq!(advice(&report), ("-z stack-size=1024".into(), 16 * 65_536, true));
}

#[test]
fn parts_add_up_to_their_blocks() {
    let report = text(
        r#"(module (import "wramp" "id" (func (result i32))) (memory 1)
        (table 5 funcref) (elem (i32.const 0) 0 0) (global i64 (i64.const 1))
        (data (i32.const 0) "a") (data (i32.const 8) "b") (func (export "run")))"#,
    );
    assert_eq!(report.part("tables"), 24 + 5 * 4);
    assert_eq!(report.part("imports"), 4);
    assert_eq!(report.part("function-table"), 64);
    assert_eq!(report.part("globals"), 32);
    assert_eq!(report.blocks, 10);
    // The block of 272 + 56 + 8 + 44 bytes rounds up to 384, and 44 more follow. The tables
    // (44) and the value of the global (8) are parts of their own. There are two arrays of one
    // pointer, and two bitmaps of one byte.
    assert_eq!(report.part("module-instance"), 384 + 44 - 44 - 8 + 8 + 9 + 9);
}

#[test]
fn what_cannot_be_read_is_said() {
    let error = sizes(b"no module", Layout::FAST_32).unwrap_err().to_string();
    assert!(error.starts_with("not a module that can be read: "), "{error}");
}
