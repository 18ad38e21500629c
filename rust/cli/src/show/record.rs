//! A record's line as CSV and JSON.

use clap::ValueEnum;
use wramp_core::report::{Record, Step};

use crate::show::table::inert;

/// How to write records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// Aligned text
    #[default]
    Table,
    /// Record lines, as a board prints them; the other subcommands read those of a run
    Records,
    /// Comma-separated values: the steps of a run, the predictions of a plan
    Csv,
    /// One JSON object a record
    Jsonl,
}

/// The keys and values of a record's line, without its CRC.
fn fields(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split_ascii_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter(|(k, _)| *k != "crc")
}

/// A record as a JSON object: numbers as numbers, everything else as strings.
#[must_use]
pub fn json(record: &Record<'_>, line: &str) -> String {
    let mut object = serde_json::Map::new();
    object.insert("kind".into(), record.kind().into());
    for (key, value) in fields(line) {
        // A version such as 2.4 looks like a number and is none.
        let number = (!key.contains("version")).then(|| value.parse().ok()).flatten();
        let value = number.map_or_else(|| value.into(), serde_json::Value::Number);
        object.insert(key.into(), value);
    }
    serde_json::Value::Object(object).to_string()
}

/// The heading of [`csv()`].
#[must_use]
pub fn csv_heading() -> String {
    Step::KEYS.join(",")
}

/// A step as comma-separated values; an absent value is empty.
#[must_use]
pub fn csv(line: &str) -> String {
    let value =
        |key: &&str| fields(line).find(|(name, _)| name == key).map_or("", |(_, value)| value);
    let quoted = |value: &str| match inert(value) {
        cell if cell.contains([',', '"']) => format!("\"{}\"", cell.replace('"', "\"\"")),
        cell => cell.into_owned(),
    };
    Step::KEYS.iter().map(value).map(quoted).collect::<Vec<_>>().join(",")
}
