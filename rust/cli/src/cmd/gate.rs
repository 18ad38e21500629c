//! `wramp gate`: does a module still fit on the board, and what made it larger?
//!
//! The answer is that of `wramp fit`. This file asks for it, judges it by a file of bounds, and
//! explains with a baseline what changed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use wramp_core::report::steers;

use crate::model::file::{self, read_at_most};
use crate::model::fitted::{Ask, Question};
use crate::model::gate::{Baseline, Gate, Verdict};
use crate::problem::{Outcome, Problem};
use crate::show::gate_report::report;
use crate::show::terminal::print;

/// Options of `wramp gate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp gate fit.toml                            exit status 1 and the reason
  wramp gate fit.toml --report report.md         what changed, part by part, in Markdown
  wramp gate fit.toml --write-baseline           what the next build is compared with

fit.toml:
  board = \"nrf52840dk/nrf52840\"
  baseline = \"fit.baseline.json\"       # --write-baseline writes it
  most_growth_bytes = 0                # an instance may not grow
  [[module]]
  file = \"counter.wasm\"
  count = \"*\"
  least = 100                          # so many must fit
  most_bytes = 5000                    # an instance may take so many
docs/use.md has every key.

The bytes are exact, as those of `wramp fit`. Times are judged as they were recorded on the board.

Exit status: 0 all bounds are kept; 1 one is not, or the mix does not fit; 2 wrong input.")]
pub struct GateArgs {
    /// The bounds, in TOML
    #[arg(value_name = "FIT.toml")]
    pub gate: PathBuf,
    /// Write a report in Markdown to the end of this file; - for stdout
    #[arg(long, value_name = "FILE.md")]
    pub report: Option<String>,
    /// Write the file that `baseline` names, and judge nothing that needs it
    #[arg(long)]
    pub write_baseline: bool,
}

/// The largest file of bounds, and the largest baseline.
const MOST_BYTES: u64 = 16 << 20;

/// `wramp gate`. `ask` answers whether a mix fits.
///
/// # Errors
/// A file that cannot be read, and whatever `wramp fit` refuses.
pub fn execute(args: &GateArgs, ask: &Ask) -> Outcome {
    let path = &args.gate;
    let named = |problem: Problem| Problem::new(format!("{}: {problem}", path.display()));
    let text = read_at_most(path, MOST_BYTES).map_err(named)?;
    let gate = Gate::parse(&String::from_utf8_lossy(&text)).map_err(named)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let mix = gate.mix(beside).map_err(named)?;
    let (slot_stack_bytes, wasm_stack_bytes, reserve_bytes) = gate.sizes().map_err(named)?;
    let board = if gate.board.ends_with(".toml") {
        beside.join(&gate.board).to_string_lossy().into_owned()
    } else {
        gate.board.clone()
    };
    let before = match (&gate.baseline, args.write_baseline) {
        (None, true) => {
            return Err(named(Problem::new(
                "--write-baseline needs the file's name: baseline = \"fit.baseline.json\"",
            )));
        }
        (Some(name), false) => Some(read_baseline(&beside.join(name))?),
        _ => None,
    };
    let fitted = ask(&Question {
        mix: &mix,
        board: &board,
        threads: gate.threads(),
        slot_stack_bytes,
        wasm_stack_bytes,
        reserve_bytes,
    })?;
    let times = gate
        .module
        .iter()
        .map(|wanted| wanted.time(beside, &fitted.board.board))
        .collect::<Result<Vec<_>, _>>()
        .map_err(named)?;
    let now = Baseline::of(&fitted);
    let verdict = Verdict::of(&gate, &fitted, &now, before.as_ref(), times);
    match args.report.as_deref() {
        None => {}
        Some("-") => print(&report(&fitted, &verdict))?,
        Some(path) => append(Path::new(path), &report(&fitted, &verdict))?,
    }
    if let Some(why) = &verdict.no_baseline {
        eprintln!("the baseline was not compared: {why}; --write-baseline renews it");
    }
    if let (true, Some(name)) = (args.write_baseline, &gate.baseline) {
        let text = serde_json::to_string_pretty(&now)
            .map_err(|error| Problem::new(format!("{name}: {error}")))?;
        file::write(&beside.join(name), format!("{text}\n").as_bytes())?;
    }
    if args.report.as_deref() != Some("-") {
        let stories: Vec<_> =
            verdict.modules.iter().map(|one| format!("{}: {}", one.name, one.story())).collect();
        let line = if verdict.passes() {
            format!("gate passed: {}", stories.join("; "))
        } else {
            format!("gate failed: {}", verdict.reason())
        };
        // A module chose some of the words.
        print(&format!("{}\n", line.replace(steers, "\u{fffd}")))?;
    }
    Ok(ExitCode::from(u8::from(!verdict.passes())))
}

fn read_baseline(path: &Path) -> Result<Baseline, Problem> {
    let named = |why: String| {
        Problem::new(format!(
            "{}: {why}; `wramp gate --write-baseline` writes the baseline",
            path.display()
        ))
    };
    let text = read_at_most(path, MOST_BYTES).map_err(|problem| named(problem.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| named(error.to_string()))
}

/// Adds to the end of a file, as GitHub wants the summary of a job.
fn append(path: &Path, text: &str) -> Result<(), Problem> {
    let written = OpenOptions::new().append(true).create(true).open(path);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Problem::new(format!("cannot write {}: {error}", path.display())))
}
