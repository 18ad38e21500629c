//! `wramp size`: what each part of a module costs an instance, and what saves most.
//!
//! The figures come from the module's bytes alone (`wramp-size`). Nothing runs, so a person gets
//! the answer for 32 bits without a board.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use wramp_size::{Layout, Report, sizes};

use crate::model::module;
use crate::problem::{Outcome, Problem};
use crate::show::number::count;
use crate::show::table::{CellStyle, Column, Table, TableFormat, column};
use crate::show::terminal::print;

/// Options of `wramp size`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp size guest.wasm
  wramp size wat/cpu.wat wat/state.wat --format csv

The bytes are those that the engine asks the arena for when it instantiates the module. An allocator
adds its header and rounding to each block. A thread of its own costs an instance an environment and
an interpreter stack besides, which `wramp run` measures. On 64 bits both interpreters need the same.

Exit status: 0 where all modules could be read, 2 otherwise.")]
pub struct SizeArgs {
    /// The modules, .wasm or .wat
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

const COLUMNS: &[Column] = &[
    column("file", "", CellStyle::Plain),
    column("part", "each instance", CellStyle::Plain),
    column("fast_32_bytes", "fast 32", CellStyle::Number),
    column("classic_32_bytes", "classic 32", CellStyle::Number),
    column("both_64_bytes", "64 bits", CellStyle::Number),
    column("made_of", "made of", CellStyle::Plain),
];

/// The reports of one module, on each kind of machine.
struct Sized {
    file: String,
    /// In the order of the columns.
    reports: [Report; 3],
}

impl Sized {
    fn of(file: &str) -> Result<Self, Problem> {
        let named = |problem: &dyn std::fmt::Display| Problem::new(format!("{file}: {problem}"));
        let wasm = module::read(Path::new(file)).map_err(|problem| named(&problem))?;
        let report = |layout| sizes(&wasm, layout).map_err(|error| named(&error));
        let reports =
            [report(Layout::FAST_32)?, report(Layout::CLASSIC_32)?, report(Layout::BOTH_64)?];
        Ok(Self { file: file.to_owned(), reports })
    }

    /// What does not depend on the machine is the same in each.
    fn report(&self) -> &Report {
        &self.reports[0]
    }

    fn rows(&self) -> impl Iterator<Item = Vec<Option<String>>> {
        self.report().parts.iter().map(|part| {
            let [fast, classic, wide] = self.reports.each_ref().map(|of| of.part(part.name));
            row(&self.file, part.name, [fast, classic, wide], Some(part.made_of.clone()))
        })
    }

    fn sum(&self) -> Vec<Option<String>> {
        let blocks = Some(format!("{} blocks", self.report().blocks));
        row(&self.file, "sum", self.reports.each_ref().map(Report::instance_bytes), blocks)
    }

    /// The table for a person, with its sum.
    fn table(&self) -> Table {
        let report = self.report();
        let custom = match report.custom_bytes {
            0 => String::new(),
            bytes => format!(", {} in custom sections", count(bytes)),
        };
        let mut rows: Vec<_> = self.rows().collect();
        rows.push(self.sum());
        Table {
            name: "parts",
            title: format!("{}: {} bytes{custom}", self.file, count(report.module_bytes)),
            columns: COLUMNS.to_vec(),
            sums: vec![rows.len() - 1],
            rows,
            ..Table::default()
        }
    }

    /// The one change that saves most, in a sentence.
    fn advice(&self) -> String {
        match &self.report().advice {
            Some(advice) => format!("{advice} in each instance."),
            None => "No linker flag saves more.".to_owned(),
        }
    }

    fn json(&self) -> Value {
        let report = self.report();
        let [fast, classic, wide] = self.reports.each_ref().map(Report::instance_bytes);
        json!({
            "file": self.file,
            "module_bytes": report.module_bytes,
            "custom_bytes": report.custom_bytes,
            "blocks": report.blocks,
            "fast_32_bytes": fast,
            "classic_32_bytes": classic,
            "both_64_bytes": wide,
            "change": report.advice.as_ref().map(|advice| &advice.change),
            "saves_bytes": report.advice.as_ref().map(|advice| advice.saves_bytes),
            "saves_exactly": report.advice.as_ref().map(|advice| advice.exact),
        })
    }
}

fn row(file: &str, part: &str, bytes: [u64; 3], made_of: Option<String>) -> Vec<Option<String>> {
    let [fast, classic, wide] = bytes.map(|bytes| Some(bytes.to_string()));
    vec![Some(file.to_owned()), Some(part.to_owned()), fast, classic, wide, made_of]
}

/// Words in lines of at most 80 columns, indented by two.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let newest = lines.len() - 1;
        let line = &mut lines[newest];
        if !line.is_empty() && line.chars().count() + word.chars().count() > 76 {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

/// `wramp size`.
///
/// # Errors
/// A module that cannot be read.
pub fn execute(args: &SizeArgs) -> Outcome {
    let all = args.files.iter().map(|file| Sized::of(file)).collect::<Result<Vec<_>, _>>()?;
    let together = || Table {
        name: "parts",
        columns: COLUMNS.to_vec(),
        rows: all.iter().flat_map(Sized::rows).collect(),
        ..Table::default()
    };
    let text = match args.format {
        TableFormat::Csv => together().csv(),
        TableFormat::Json => {
            let modules: Vec<Value> = all.iter().map(Sized::json).collect();
            format!("{:#}\n", json!({ "modules": modules, "parts": together().json() }))
        }
        TableFormat::Table => {
            let one =
                |sized: &Sized| format!("{}{}", sized.table().text(), wrapped(&sized.advice()));
            all.iter().map(one).collect::<Vec<_>>().join("\n")
        }
        TableFormat::Markdown => {
            let one = |sized: &Sized| format!("{}\n{}\n", sized.table().markdown(), sized.advice());
            all.iter().map(one).collect::<Vec<_>>().join("\n")
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
