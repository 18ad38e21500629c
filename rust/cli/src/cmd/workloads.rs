//! `wramp workloads`: the built-in workloads.

use std::process::ExitCode;

use clap::Args;
use wramp_core::runtime::Parameters;

use crate::problem::Outcome;
use crate::show::table::{CellStyle, Column, Table, TableFormat, column};
use crate::show::terminal::print;

/// Options of `wramp workloads`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp workloads
  wramp workloads --format json")]
pub struct WorkloadsArgs {
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

const COLUMNS: &[Column] = &[
    column("name", "name", CellStyle::Plain),
    column("wasm_bytes", "bytes", CellStyle::Number),
    column("memory_bytes", "memory", CellStyle::Number),
    column("export", "export", CellStyle::Plain),
    column("parameters", "takes", CellStyle::Plain),
    column("source", "source", CellStyle::Plain),
    column("summary", "what it does", CellStyle::Plain),
];

/// The table of all built-in workloads.
#[must_use]
pub fn table() -> Table {
    let rows = wramp_workloads::ALL.iter().map(|workload| {
        let parameters = match workload.parameters {
            Parameters::None => "()",
            Parameters::I32 => "(i32)",
        };
        [
            workload.name.to_owned(),
            workload.wasm.len().to_string(),
            workload.memory_bytes.to_string(),
            workload.export.to_owned(),
            parameters.to_owned(),
            workload.source.to_owned(),
            workload.summary.to_owned(),
        ]
        .map(Some)
        .to_vec()
    });
    Table {
        name: "workloads",
        title: "Workloads (bytes of the module and of an instance's linear memory)".into(),
        columns: COLUMNS.to_vec(),
        rows: rows.collect(),
        ..Table::default()
    }
}

/// `wramp workloads`.
///
/// # Errors
/// Where stdout cannot be written.
pub fn execute(args: &WorkloadsArgs) -> Outcome {
    print(&table().write(args.format))?;
    Ok(ExitCode::SUCCESS)
}
