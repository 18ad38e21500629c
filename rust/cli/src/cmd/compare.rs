//! `wramp compare`: two runs compared, the worst figure first, an exit status for CI.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::model::comparison::{Compared, Judged, Side, Tolerances, Verdict, judge};
use crate::model::published;
use crate::problem::{Outcome, Problem};
use crate::show::number;
use crate::show::table::{CellStyle, Column, Table, TableFormat, column};
use crate::show::terminal::{open, print};

const COLUMNS: &[Column] = &[
    column("workload", "workload", CellStyle::Name),
    column("figure", "figure", CellStyle::Name),
    column("base", "base", CellStyle::Number),
    column("new", "new", CellStyle::Number),
    column("ratio", "ratio", CellStyle::Number),
    column("tolerance", "tolerance", CellStyle::Number),
    column("verdict", "verdict", CellStyle::Plain),
];

/// Options of `wramp compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp compare results/linux/2026-01-31-1a2b3c4 new.log
  wramp compare published run.log
  wramp compare base.log new.log --tolerance latency=20%,cost=0 || echo regression
  wramp compare base.log new.log --workload cpu --changed

Tolerances are fractions of BASE, by figure (cost_bytes), by class (peak, errors, cost, bytes,
fairness, latency, max, calls, cpu), or one for all that depends on time. Default: 0 for peak,
errors, cost and bytes; 0.05 for fairness, latency and calls; max and cpu are shown only.
On Linux and native_sim, where other programs take CPU time, what depends on time is judged only
with --times or with a tolerance for it.
\"first\" is the ramp's first rung, \"peak\" the most instances that both runs reached.

Exit status: 0 no regression; 1 a figure is worse, a figure of BASE is missing from NEW, or NEW is
not done; 2 wrong input.")]
pub struct CompareArgs {
    /// A log, a saved run's directory, or `published`: the ESP32-S3 article's figures
    pub base: String,
    /// A log or a saved run's directory
    pub new: String,
    /// What may get worse by how much
    #[arg(long, value_name = "[NAME=]FRACTION", value_delimiter = ',')]
    pub tolerance: Vec<String>,
    /// Judge what depends on time also on a host
    #[arg(long)]
    pub times: bool,
    /// Only this workload (repeat for several; default: all)
    #[arg(long, value_name = "NAME")]
    pub workload: Vec<String>,
    /// Only figures that are worse, better or missing
    #[arg(long)]
    pub changed: bool,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// `wramp compare`.
///
/// # Errors
/// A log that cannot be read, or a tolerance that is none.
pub fn execute(args: &CompareArgs) -> Outcome {
    let tolerances = Tolerances::parse(&args.tolerance)?;
    let opened = |path: &String| {
        if Compared::is_published(path) {
            return Ok(Compared::Published);
        }
        open(path).map(Compared::Log)
    };
    let (old, fresh) = (opened(&args.base)?, opened(&args.new)?);
    let (mut base, mut new) = (old.side(&fresh), fresh.side(&old));
    base.choose(&args.workload)?;
    // What NEW lacks of these is missing, and is told so.
    new.keep(&args.workload);
    for side in [&base, &new] {
        if side.is_empty() {
            return Err(Problem::new(format!("{}: no ramp in it to compare", side.name)));
        }
    }
    let judged = judge(&base, &new, &tolerances, args.times);
    tolerances.check(&judged)?;
    let count = |verdict| judged.iter().filter(|judged| judged.verdict == verdict).count();
    let (worse, better) = (count(Verdict::Worse), count(Verdict::Better));
    let missing = count(Verdict::Missing);
    let regression = worse + missing > 0 || !new.done;
    let is_shown = |judged: &&Judged| {
        !args.changed
            || matches!(judged.verdict, Verdict::Worse | Verdict::Better | Verdict::Missing)
    };
    let rows = judged.iter().filter(is_shown).map(|judged| {
        vec![
            Some(judged.workload.clone()),
            Some(judged.figure.clone()),
            judged.base.clone(),
            judged.new.clone(),
            judged.ratio.map(|ratio| format!("{ratio:.3}")),
            judged.tolerance.map(|tolerance| format!("{tolerance}")),
            Some(judged.verdict.as_str().to_owned()),
        ]
    });
    let (columns, rows) = (COLUMNS.to_vec(), rows.collect());
    let title = format!("{} against {}", new.name, base.name);
    let table = Table { name: "compare", title, columns, rows, ..Table::default() };
    let notes = notes(&base, &new, args.times);
    let mut verdict = format!(
        "{}: {worse} worse, {better} better, {} the same, {} not judged",
        if regression { "REGRESSION" } else { "no regression" },
        count(Verdict::Same),
        count(Verdict::Unjudged),
    );
    if missing > 0 {
        let _ = write!(verdict, ", {missing} missing from {}", new.name);
    }
    if !new.done {
        let _ = write!(verdict, "; {} is not done", new.name);
    }
    match args.format {
        TableFormat::Table => print(&format!("{}\n{notes}{verdict}\n", table.text()))?,
        TableFormat::Markdown => {
            print(&format!("{}\n{}{verdict}\n", table.markdown(), notes.replace('\n', "  \n")))?;
        }
        format => {
            print(&table.write(format))?;
            eprintln!("{verdict}");
        }
    }
    Ok(ExitCode::from(u8::from(regression)))
}

fn notes(base: &Side, new: &Side, times: bool) -> String {
    let mut text = String::new();
    if base.is_host() || new.is_host() {
        if !times {
            let _ =
                writeln!(text, "times of a host are shown and not judged; --times judges them too");
        }
        for side in [base, new] {
            if let Some(permille) = side.starved_permille {
                let _ = writeln!(
                    text,
                    "{}: before it began, other programs took {} % of the CPU",
                    side.name,
                    number::percent(permille.into())
                );
            }
        }
    }
    if base.pointer_bits != new.pointer_bits {
        let _ = writeln!(
            text,
            "bytes are not judged: {}-bit pointers against {}-bit ones",
            new.pointer_bits, base.pointer_bits
        );
    }
    let name = |text: &str| CellStyle::Name.write(text);
    if base.board != new.board {
        let _ = writeln!(
            text,
            "times are not judged: {} against {}",
            name(&new.board),
            name(&base.board)
        );
    }
    for (key, was) in &base.knobs {
        let is = new.knobs.get(key).map_or("-", String::as_str);
        if is != was {
            let value = |text: &str| {
                if key.ends_with("_bytes") { number::grouped(text) } else { name(text) }
            };
            let _ = writeln!(text, "differs: {key} {} -> {}", value(was), value(is));
        }
    }
    if base.is_published || new.is_published {
        let mut sources: Vec<(&str, Vec<String>)> = Vec::new();
        for figure in published::FIGURES {
            let name = format!("{} {}", figure.workload, figure.figure);
            match sources.iter_mut().find(|(source, _)| *source == figure.source) {
                Some((_, names)) => names.push(name),
                None => sources.push((figure.source, vec![name])),
            }
        }
        for (source, names) in sources {
            let _ = writeln!(text, "{}: {source}", names.join(", "));
        }
    }
    text
}
