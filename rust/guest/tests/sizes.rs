//! The costs of guests written with the kit, which docs/guest.md promises.

mod reference;

use reference::guest;
use wasmparser::{Parser, Payload};
use wramp_size::{Layout, MemoryKind, Report, sizes};

fn report(path: &str) -> Report {
    sizes(&guest(path), Layout::FAST_32).unwrap()
}

/// Bytes of all function bodies.
fn code_bytes(path: &str) -> u64 {
    let wasm = guest(path);
    let bodies = Parser::new(0).parse_all(&wasm).filter_map(|payload| match payload.unwrap() {
        Payload::CodeSectionEntry(body) => Some(body.range().end - body.range().start),
        _ => None,
    });
    bodies.sum()
}

/// Compares a task, polled by the executor, with a function that returns 0. The difference is
/// the executor, the panic handler, and what a panic in an `async fn` needs.
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
        // The bound includes a heap's overhead: a header of 8 bytes and rounding to 8 per block.
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
        "guest/json.wasm",
    ] {
        let report = report(path);
        assert_eq!(report.memory, MemoryKind::Cut, "{path}");
        assert_eq!(report.advice, None, "{path}");
        assert_eq!(report.custom_bytes, 0, "{path}");
    }
}

/// The rows of the table in docs/guest.md.
fn rows() -> String {
    let mut rows = String::new();
    for path in [
        "rust/guest/examples/counter.rs",
        "rust/guest/examples/filter.rs",
        "rust/guest/examples/rule.rs",
        "rust/guest/examples/pipeline.rs",
        "guest/counter.c",
        "guest/echo.c",
        "guest/sha256.c",
        "guest/json.c",
    ] {
        let module = path.rsplit_once('.').map(|(stem, _)| format!("{stem}.wasm")).unwrap();
        let (narrow, wide) = (report(&module), sizes(&guest(&module), Layout::BOTH_64).unwrap());
        let numbers = [
            narrow.module_bytes,
            narrow.part("linear-memory"),
            narrow.instance_bytes(),
            wide.instance_bytes(),
        ];
        let cells: Vec<_> = numbers.iter().map(|&number| grouped(number)).collect();
        rows += &format!("| [`{path}`](../{path}) | {} |\n", cells.join(" | "));
    }
    rows
}

/// Writes `1248` as `1,248`. All numbers here are below a million.
fn grouped(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    }
}

#[test]
fn the_table_in_the_documentation_is_that_of_the_modules() {
    let page = std::fs::read_to_string(reference::root().join("docs/guest.md")).unwrap();
    let table =
        page.split("<!-- sizes -->").nth(1).unwrap().split("<!-- sizes end -->").next().unwrap();
    let in_page: String = table.lines().skip(3).map(|line| format!("{line}\n")).collect();
    assert_eq!(in_page, rows(), "put these rows into docs/guest.md:\n{}", rows());
}
