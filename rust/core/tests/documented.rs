//! Compares docs/records.md with the code: kinds, keys, words and the example.
//!
//! `scripts/docs` makes that page's tables from the comments in report.rs. This test compares
//! the page with what the encoder writes and the parser accepts, whatever made the page.

use wramp_core::ramp::Limit;
use wramp_core::report::{
    Answer, Done, End, FORMAT_VERSION, Fault, Fit, Instance, Load, Mail, Member, Park, Part, Plan,
    Predict, Record, Run, Start, Step, Worker, crc16,
};
use wramp_core::runtime::ErrorKind;

const RECORDS: &str = include_str!("../../../docs/records.md");
const METHOD: &str = include_str!("../../../docs/method.md");

const KINDS: [(&str, &[&str]); 17] = [
    ("run", Run::KEYS),
    ("load", Load::KEYS),
    ("fit", Fit::KEYS),
    ("predict", Predict::KEYS),
    ("part", Part::KEYS),
    ("step", Step::KEYS),
    ("park", Park::KEYS),
    ("instance", Instance::KEYS),
    ("start", Start::KEYS),
    ("member", Member::KEYS),
    ("worker", Worker::KEYS),
    ("mail", Mail::KEYS),
    ("answer", Answer::KEYS),
    ("end", End::KEYS),
    ("fault", Fault::KEYS),
    ("plan", Plan::KEYS),
    ("done", Done::KEYS),
];

/// The text between a heading and the next heading of the same level or above.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let mark = format!("\n{heading}\n");
    let level = heading.bytes().take_while(|&byte| byte == b'#').count();
    let begin = page.find(&mark).unwrap_or_else(|| panic!("no heading {heading}")) + mark.len();
    let mut end = page.len();
    for fewer in 1..=level {
        let next = format!("\n{} ", "#".repeat(fewer));
        end = page[begin..].find(&next).map_or(end, |at| end.min(begin + at));
    }
    &page[begin..end]
}

/// The text in backquotes at the beginning of each row of a table.
fn first_cells(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(cell, _)| cell)
        .collect()
}

#[test]
fn each_kind_has_a_table_of_just_its_keys() {
    let headings: Vec<&str> =
        RECORDS.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert_eq!(headings, KINDS.map(|(kind, _)| kind));
    for (kind, keys) in KINDS {
        assert_eq!(first_cells(section(RECORDS, &format!("### `{kind}`"))), keys, "{kind}");
    }
}

#[test]
fn the_words_for_errors_and_limits_are_those_of_the_code() {
    let errors: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(first_cells(section(RECORDS, "## Errors")), errors);
    let limits = first_cells(section(METHOD, "## The ramp"));
    assert_eq!(limits.len(), 5);
    for limit in limits {
        assert!(Limit::parse(limit).is_some(), "{limit}");
    }
}

#[test]
fn the_worked_example_is_a_record() {
    let example = section(RECORDS, "## A worked example");
    let line = example.lines().find(|line| line.starts_with("wramp ")).expect("a record");
    let record = Record::parse(line).expect("a sound record").expect("a record");
    let Record::Step(step) = record else { panic!("it is no step: {line}") };
    assert_eq!((step.workload.0, step.instances), ("cpu", 1));
    assert_eq!(step.turnaround_p50_us, None);
    assert!(step.latency_p50_us.is_some());
}

#[test]
fn the_format_and_the_check_value_are_those_of_the_code() {
    let newest = first_column(section(RECORDS, "### Format versions"));
    assert_eq!(newest.last(), Some(&FORMAT_VERSION));
    assert!(RECORDS.contains(&format!("This program writes format {FORMAT_VERSION}.")));
    let check = b"123456789".iter().fold(0xFFFF, |crc, &byte| crc16(crc, byte));
    assert!(RECORDS.contains(&format!("`123456789` is `{check:04x}`")));
}

/// The numbers at the beginning of each row of a table.
fn first_column(text: &str) -> Vec<u32> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(' ')?.0.parse().ok())
        .collect()
}
