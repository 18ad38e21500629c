//! `wramp gate`: bounds, the reason in one line, and what a baseline explains.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use support::{scratch, stderr, stdout, wramp_in};

/// Beside a gate's file: a board whose pointers are as wide as this command's, and a module whose
/// function 2 has so many locals.
fn beside(name: &str, locals: usize, extra: &str) -> PathBuf {
    let directory = scratch(&format!("gate-{name}"));
    write_module(&directory, locals, extra);
    fs::write(
        directory.join("board.toml"),
        format!(
            "board = \"test/board\"\nname = \"Test\"\ncpu = \"none\"\npointer_bits = {}\n\
             ram_bytes = 150000\ntier = \"computed\"\n[image]\nram_bytes = 10000\n\
             slot_bytes = 4504\nslot_stack_bytes = 4096\nslot_stack_least_bytes = 2048\n\
             date = 2026-01-31\n",
            usize::BITS
        ),
    )
    .unwrap();
    directory
}

fn write_module(directory: &Path, locals: usize, extra: &str) {
    let locals = "i32 ".repeat(locals);
    let text = format!(
        "(module {extra} (func $leaf (result i32) (i32.const 1))
           (func $idle (local i64 i64 i64 i64))
           (func $parse (result i32) (local {locals}) (i32.add (call $leaf) (i32.const 1)))
           (func (export \"run\") (result i32) (call $parse)))"
    );
    fs::write(directory.join("guest.wat"), text).unwrap();
}

fn gate(directory: &Path, bounds: (&str, &str), options: &[&str]) -> Output {
    let (whole, module) = bounds;
    let text = format!(
        "board = \"board.toml\"\nbaseline = \"base.json\"\nwasm_stack_bytes = \"fit\"\n\
         slot_stack_bytes = 2048\n{whole}\n[[module]]\nfile = \"guest.wat\"\nexport = \"run\"\n\
         count = \"*\"\n{module}\n"
    );
    fs::write(directory.join("fit.toml"), text).unwrap();
    wramp_in(directory.to_owned(), &[&["gate", "fit.toml"], options].concat())
}

#[test]
fn what_grew_is_named_with_its_function_and_the_numbers_that_fit() {
    let directory = beside("grew", 1, "");
    let first = gate(&directory, ("", ""), &["--write-baseline"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let fits: u32 = {
        let line = stdout(&first);
        let words = line.split("guest: ").nth(1).unwrap();
        words.split(' ').next().unwrap().parse().unwrap()
    };
    assert!(fits > 1, "{}", stdout(&first));

    // The same module again, with bounds that it just keeps.
    let least = format!("least = {fits}");
    let bounds = ("most_growth_bytes = 0\nmost_fewer = 0", &*least);
    let same = gate(&directory, bounds, &["--report", "-"]);
    assert_eq!(same.status.code(), Some(0), "{}", stdout(&same));
    assert!(stdout(&same).starts_with("## wramp gate: passed"), "{}", stdout(&same));
    assert!(!stdout(&same).contains("because"), "{}", stdout(&same));

    // With 300 locals more, function 2 needs 1,200 bytes more of each interpreter stack.
    write_module(&directory, 301, "");
    let grown = gate(&directory, bounds, &["--report", "report.md"]);
    let line = stdout(&grown);
    assert_eq!(grown.status.code(), Some(1), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    for words in [
        "gate failed: guest: ",
        " B because function 2 (parse)'s stack grew; ",
        &format!(" fit, {fits} before)"),
        &format!("at least {fits} must fit"),
        "an instance grew by ",
        " fewer fit, at most 0 allowed",
    ] {
        assert!(line.contains(words), "{words:?} is not in: {line}");
    }
    let report = fs::read_to_string(directory.join("report.md")).unwrap();
    assert!(report.contains("| wasm-stack |"), "{report}");
    assert!(report.contains("function 2 (parse)'s stack grew"), "{report}");
    // The parts' changes add up to the instance's.
    let by = line.split("instance +").nth(1).unwrap().split(' ').next().unwrap();
    let parts = report.split("### An instance of guest").nth(1).unwrap();
    let changes: i64 = parts
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(3))
        .filter_map(|cell| cell.replace(',', "").parse::<i64>().ok())
        .sum();
    assert_eq!(by.parse(), Ok(changes), "{report}");

    // A second report goes behind the first: GitHub's file has other steps' too.
    gate(&directory, bounds, &["--report", "report.md"]);
    let twice = fs::read_to_string(directory.join("report.md")).unwrap();
    assert_eq!(twice, report.repeat(2));
}

#[test]
fn a_part_that_grew_says_what_it_consists_of() {
    let directory = beside("parts", 1, "");
    gate(&directory, ("", ""), &["--write-baseline"]);
    let globals = "(global (mut i64) (i64.const 1)) (global (mut i32) (i32.const 1))";
    write_module(&directory, 1, globals);
    let grown = gate(&directory, ("most_growth_bytes = 8", ""), &[]);
    let line = stdout(&grown);
    assert_eq!(grown.status.code(), Some(1), "{line}");
    assert!(line.contains("because 2 globals, none before"), "{line}");
}

#[test]
fn each_bound_is_judged_by_itself() {
    let directory = beside("bounds", 1, "");
    for (module, words) in [
        ("most_bytes = 10", "an instance takes "),
        ("most_module_bytes = 10", "the module takes "),
        ("most_us = 100.0\nus = 100.5", "a call takes 100.5 us, at most 100 allowed"),
        ("least = 4000", "at least 4000 must fit"),
    ] {
        gate(&directory, ("", ""), &["--write-baseline"]);
        let output = gate(&directory, ("", module), &[]);
        assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains(words), "{}", stdout(&output));
    }
    let spare = gate(&directory, ("least_spare_bytes = 1000000", ""), &[]);
    assert!(stdout(&spare).contains("at least 1000000 asked"), "{}", stdout(&spare));
    let no = gate(&directory, ("reserve_bytes = 139000", ""), &[]);
    assert_eq!(no.status.code(), Some(1), "{}", stderr(&no));
    assert!(stdout(&no).contains("bytes of RAM are missing"), "{}", stdout(&no));
}

/// A time is judged as a run on the board recorded it, and never that of another board.
#[test]
fn the_time_of_a_call_comes_from_a_log_of_that_board() {
    let directory = beside("times", 1, "");
    gate(&directory, ("", ""), &["--write-baseline"]);
    fs::write(directory.join("esp.log"), support::esp32s3()).unwrap();
    let other = gate(&directory, ("", "most_us = 1.0\nlog = \"esp.log\""), &[]);
    assert_eq!(other.status.code(), Some(2), "{}", stdout(&other));
    assert!(stderr(&other).contains("times do not carry over"), "{}", stderr(&other));

    // The log has a call of `cpu` as 26,900 us.
    fs::write(directory.join("own.log"), support::board("test/board", usize::BITS)).unwrap();
    for (most, status) in [(27_000, Some(0)), (26_000, Some(1))] {
        let text = format!(
            "board = \"board.toml\"\n[[module]]\nfile = \"cpu\"\nlog = \"own.log\"\nmost_us = {most}.0\n"
        );
        fs::write(directory.join("fit.toml"), text).unwrap();
        let output = wramp_in(directory.clone(), &["gate", "fit.toml", "--report", "-"]);
        assert_eq!(output.status.code(), status, "{}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains("| 26,900 |"), "{}", stdout(&output));
    }
}

#[test]
fn a_gate_that_judges_nothing_is_refused() {
    let directory = beside("refused", 1, "");
    for (whole, module, words) in [
        ("", "most_us = 1.0", "most_us needs the time"),
        ("", "most_byte = 1", "most_byte"),
        ("", "log = \"none.log\"\nmost_us = 1.0", "none.log"),
        ("reserve_bytes = \"9Q\"", "", "reserve_bytes"),
    ] {
        let output = gate(&directory, (whole, module), &["--write-baseline"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
        assert!(said.contains(words) && said.contains("fit.toml"), "{said}");
    }
    // A baseline that is not there must not pass.
    let output = gate(&directory, ("", ""), &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("--write-baseline"), "{}", stderr(&output));
}
