//! `wramp check`: logs judged by a file of requirements, an exit status for CI.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::model::image::ImageSizes;
use crate::model::requirements::{Reached, Requirements, Subject};
use crate::problem::{Outcome, Problem};
use crate::show::table::{CellStyle, Column, Table, TableFormat, column};
use crate::show::terminal::{open, print};

const COLUMNS: &[Column] = &[
    column("run", "run", CellStyle::Plain),
    column("what", "what", CellStyle::Plain),
    column("found", "found", CellStyle::Number),
    column("required", "required", CellStyle::Plain),
    column("reached", "reached", CellStyle::Plain),
    column("why", "why not judged", CellStyle::Plain),
];

/// Options of `wramp check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp check results/requirements.toml results/mps2_an385/* results/qemu_riscv32/*
  wramp check results/requirements.toml results/mps2_an385/2026-11-21-dense --missed
  wramp check --image build/zephyr      the sizes of an image, as machine.txt has them

Of several runs with one board and preset the newest is judged. How core was built matters to the
size of an image: machine.txt says it as core_opt (3: as rustup ships it, which a user gets; size:
built for size).

Exit status: 0 every requirement that was judged is reached; 1 one is missed; 2 wrong input, or
nothing was judged.")]
pub struct CheckArgs {
    /// The requirements, in TOML
    #[arg(required_unless_present = "image", value_name = "REQUIREMENTS.toml")]
    pub requirements: Option<PathBuf>,
    /// Logs: a file, or the directory of a saved run
    #[arg(required_unless_present = "image", value_name = "LOG")]
    pub logs: Vec<String>,
    /// Only what is missed
    #[arg(long)]
    pub missed: bool,
    /// Print the sizes of an image instead: the directory with its zephyr.elf and .config
    #[arg(long, value_name = "DIR", conflicts_with_all = ["requirements", "logs", "missed", "format"])]
    pub image: Option<PathBuf>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// `wramp check`.
///
/// # Errors
/// Requirements, a log or an image that cannot be read, and where nothing was judged.
pub fn execute(args: &CheckArgs) -> Outcome {
    if let Some(directory) = &args.image {
        let ImageSizes { text_bytes, ram_beyond_bytes } = ImageSizes::of(directory)?;
        print(&format!("text_bytes: {text_bytes}\nram_beyond_bytes: {ram_beyond_bytes}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let requirements = read(args.requirements.as_deref().unwrap_or(Path::new("")))?;
    let subjects = args.logs.iter().map(|path| Subject::new(path, open(path)?));
    let subjects = subjects.collect::<Result<Vec<_>, _>>()?;
    let findings = requirements.judge(&subjects);
    let count = |wanted: fn(&Reached) -> bool| {
        findings.iter().filter(|finding| wanted(&finding.reached)).count()
    };
    let reached = count(|reached| *reached == Reached::Yes);
    let missed = count(|reached| *reached == Reached::Missed);
    let unjudged = findings.len() - reached - missed;
    let rows = findings
        .into_iter()
        .filter(|finding| !args.missed || finding.reached == Reached::Missed)
        .map(|finding| {
            let (word, why) = match finding.reached {
                Reached::Yes => ("yes", None),
                Reached::Missed => ("MISSED", None),
                Reached::Unjudged(why) => ("not judged", Some(why)),
            };
            vec![
                Some(finding.run),
                Some(finding.what),
                finding.found,
                Some(finding.required),
                Some(word.to_owned()),
                why,
            ]
        });
    let table = Table {
        name: "check",
        title: "Requirements".into(),
        columns: COLUMNS.to_vec(),
        rows: rows.collect(),
        ..Table::default()
    };
    let verdict = format!("{reached} reached, {missed} missed, {unjudged} not judged");
    match args.format {
        TableFormat::Table | TableFormat::Markdown => {
            print(&format!("{}\n{verdict}\n", table.write(args.format)))?;
        }
        format => {
            print(&table.write(format))?;
            eprintln!("{verdict}");
        }
    }
    if reached + missed == 0 {
        return Err(Problem::new(
            "nothing was judged: no requirement applies to these logs (see the reasons above)",
        ));
    }
    Ok(ExitCode::from(u8::from(missed > 0)))
}

fn read(path: &Path) -> Result<Requirements, Problem> {
    let named = |problem: String| Problem::new(format!("{}: {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    Requirements::parse(&text).map_err(|problem| named(problem.to_string()))
}
