//! `wramp table`: what logs say, as text, Markdown, CSV or JSON.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use wramp_core::measure::Nanos;

use crate::model::comparison::Compared;
use crate::problem::{Outcome, Problem};
use crate::show::costs::costs;
use crate::show::log_tables::{ALL, LogTable};
use crate::show::table::{Table, TableFormat};
use crate::show::terminal::{choose, open_all, print};

/// Options of `wramp table`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp table run.log
  wramp table results/linux/2026-01-31-1a2b3c4 --format markdown --show summary
  wramp table run.log --show slo --slo-us 10000,20000    how many can be promised 10 ms, 20 ms?
  wramp run --format records | wramp table - --show steps --format csv > steps.csv")]
pub struct TableArgs {
    /// Logs: a file, - for stdin, or the directory of a saved run; with --show costs also
    /// `published`, the ESP32-S3 article's figures
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
    /// Only these tables (default: all; for several logs the summary; with --format csv steps)
    #[arg(long, value_enum, value_delimiter = ',')]
    pub show: Vec<LogTable>,
    /// Only these workloads
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub workload: Vec<String>,
    /// Promises for --show slo (default: 1, 2, 5, 10 ... over the range of each ramp's p99)
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub slo_us: Vec<u64>,
}

/// `wramp table`.
///
/// # Errors
/// A log that cannot be read; several tables for one CSV.
pub fn execute(args: &TableArgs) -> Outcome {
    let chosen = match (args.format, args.show.as_slice()) {
        (TableFormat::Csv, []) => &[LogTable::Steps],
        (TableFormat::Csv, [_, _, ..]) => {
            return Err(Problem::new(
                "a CSV file holds one table: choose one with --show, or --format json",
            ));
        }
        // All tables of several logs are more than a person reads.
        (TableFormat::Table | TableFormat::Markdown, []) if args.logs.len() > 1 => {
            eprintln!("wramp: the summary alone, of several logs: choose others with --show");
            &[LogTable::Summary]
        }
        (_, []) => ALL.as_slice(),
        (_, chosen) => chosen,
    };
    let article = args.logs.iter().any(|path| Compared::is_published(path));
    let paths: Vec<String> =
        args.logs.iter().filter(|path| !Compared::is_published(path)).cloned().collect();
    if article && (chosen != [LogTable::Costs] || paths.is_empty()) {
        return Err(Problem::new("`published` goes beside logs, and only with --show costs"));
    }
    if !args.slo_us.is_empty() && !chosen.contains(&LogTable::Slo) {
        return Err(Problem::new("--slo-us is for the table of promises: add --show slo"));
    }
    let promises: Vec<Nanos> =
        args.slo_us.iter().map(|us| Nanos(us.saturating_mul(1000))).collect();
    let mut logs = open_all(&paths)?;
    choose(&mut logs, &args.workload)?;
    let mut tables: Vec<Table> = chosen
        .iter()
        .map(|which| if article { costs(&logs, true) } else { which.under(&logs, &promises) })
        .collect();
    let is_for_a_person = matches!(args.format, TableFormat::Table | TableFormat::Markdown);
    if args.show.is_empty() && is_for_a_person {
        tables.retain(|table| !table.rows.is_empty());
        if tables.is_empty() {
            return Err(Problem::new("no ramp in these logs: nothing ran (see the remarks above)"));
        }
    }
    let text = match args.format {
        TableFormat::Json => {
            let all = tables.iter().map(|table| (table.name.to_owned(), table.json()));
            format!("{:#}\n", Value::Object(all.collect()))
        }
        TableFormat::Csv => tables.iter().map(Table::csv).collect(),
        format => tables.iter().map(|table| table.write(format)).collect::<Vec<_>>().join("\n"),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
