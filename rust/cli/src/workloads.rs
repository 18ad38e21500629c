//! `wramp workloads`: what is built in.

use std::process::ExitCode;

use clap::Args;
use wramp_core::runtime::Parameters;

use crate::table::{Column, Format, Show, Table, column};
use crate::{Outcome, print};

/// Options of `wramp workloads`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp workloads
  wramp workloads --format json")]
pub struct WorkloadsArgs {
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

const COLUMNS: &[Column] = &[
    column("name", "name", Show::Word),
    column("wasm_bytes", "bytes", Show::Number),
    column("memory_bytes", "memory", Show::Number),
    column("export", "export", Show::Word),
    column("parameters", "takes", Show::Word),
    column("source", "source", Show::Word),
    column("summary", "what it does", Show::Word),
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
        title: "Workloads (bytes of module and of linear memory an instance)".into(),
        columns: COLUMNS.to_vec(),
        rows: rows.collect(),
        sums: Vec::new(),
    }
}

/// `wramp workloads`.
///
/// # Errors
/// Where stdout cannot be written.
pub fn execute(args: &WorkloadsArgs) -> Outcome {
    let table = table();
    print(&match args.format {
        Format::Table => table.text(),
        Format::Markdown => table.markdown(),
        Format::Csv => table.csv(),
        Format::Json => format!("{:#}\n", table.json()),
    })?;
    Ok(ExitCode::SUCCESS)
}
