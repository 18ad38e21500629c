//! What guests written with the kit cost: figures that docs/guest.md promises.

mod reference;

use reference::guest;
use wasmparser::{Parser, Payload};
use wramp_size::{Layout, MemoryKind, Report, sizes};

fn report(path: &str) -> Report {
    sizes(&guest(path), Layout::FAST_32).unwrap()
}

/// Bytes of all functions' bodies.
fn code_bytes(path: &str) -> u64 {
    let wasm = guest(path);
    let bodies = Parser::new(0).parse_all(&wasm).filter_map(|payload| match payload.unwrap() {
        Payload::CodeSectionEntry(body) => Some(body.range().end - body.range().start),
        _ => None,
    });
    bodies.sum()
}

/// A task, polled by the executor, against a function that returns 0: the executor, the panic
/// handler, and what a panic in an `async fn` needs.
#[test]
fn an_executor_is_within_a_kibibyte_of_code() {
    let task = code_bytes("rust/guest/examples/empty_task.wasm");
    let none = code_bytes("rust/guest/examples/empty_export.wasm");
    println!("executor: {} bytes of code", task - none);
    assert!(task > none && task - none <= 1_024, "{task} {none}");
}

#[test]
fn a_counter_costs_at_most_three_kibibytes_an_instance() {
    for path in ["rust/guest/examples/counter.wasm", "guest/counter.wasm"] {
        let report = report(path);
        println!("{path}: {} bytes an instance", report.instance_bytes());
        assert_eq!(report.memory, MemoryKind::Cut);
        // Headers of a heap, 8 bytes and a rounding to 8 for each block, are in the bound.
        let with_headers = report.instance_bytes() + u64::from(report.blocks) * 16;
        assert!(with_headers <= 3_072, "{path}: {with_headers}");
    }
}

#[test]
fn no_guest_of_ours_has_a_better_flag() {
    for path in [
        "rust/guest/examples/counter.wasm",
        "rust/guest/examples/filter.wasm",
        "rust/guest/examples/rule.wasm",
        "rust/guest/examples/pipeline.wasm",
        "guest/counter.wasm",
        "guest/echo.wasm",
        "guest/sha256.wasm",
    ] {
        let report = report(path);
        assert_eq!(report.memory, MemoryKind::Cut, "{path}");
        assert_eq!(report.advice, None, "{path}");
        assert_eq!(report.custom_bytes, 0, "{path}");
    }
}
