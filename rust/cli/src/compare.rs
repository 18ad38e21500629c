//! `wramp compare`: two runs side by side, the worst first, an exit status for CI.
//!
//! Figures that a machine repeats exactly (peaks, bytes, errors) tolerate nothing by
//! default; those that time enters tolerate 5 %. A figure is judged only where the two
//! runs can be held against each other: bytes among equal pointers, times on one board.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::log::{Log, Ramp, RunLog, StepKind};
use crate::published;
use crate::table::{Column, Format, Show, Table, column, grouped};
use crate::{Outcome, Problem, print};

/// What sort of figure: it decides the tolerance and who can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Peak,
    Errors,
    Cost,
    Bytes,
    Fairness,
    Latency,
    Max,
    Calls,
    Cpu,
}

const CLASSES: [(&str, Class); 9] = [
    ("peak", Class::Peak),
    ("errors", Class::Errors),
    ("cost", Class::Cost),
    ("bytes", Class::Bytes),
    ("fairness", Class::Fairness),
    ("latency", Class::Latency),
    ("max", Class::Max),
    ("calls", Class::Calls),
    ("cpu", Class::Cpu),
];

impl Class {
    /// What time enters into, and so no run repeats exactly.
    fn is_timed(self) -> bool {
        matches!(self, Self::Fairness | Self::Latency | Self::Max | Self::Calls | Self::Cpu)
    }

    /// `None`: shown and not judged, unless a tolerance is named. The longest call of a
    /// dwell is whatever else the machine did just then; more CPU is neither good nor bad.
    fn tolerance(self) -> Option<f64> {
        match self {
            Self::Peak | Self::Errors | Self::Cost | Self::Bytes => Some(0.0),
            Self::Fairness | Self::Latency | Self::Calls => Some(0.05),
            Self::Max | Self::Cpu => None,
        }
    }

    fn less_is_better(self, figure: &str) -> bool {
        match self {
            Self::Peak | Self::Fairness | Self::Calls => false,
            Self::Errors | Self::Cost | Self::Latency | Self::Max | Self::Cpu => true,
            Self::Bytes => !figure.contains("free"),
        }
    }
}

/// One figure of one side.
#[derive(Clone, Debug)]
struct Figure {
    value: f64,
    decimals: usize,
    rounding: f64,
    class: Class,
}

/// One side: what it is, and its figures by workload.
struct Side {
    name: String,
    board: String,
    pointer_bits: u32,
    arena_bytes: u32,
    knobs: BTreeMap<&'static str, String>,
    workloads: Vec<Workload>,
    done: bool,
    sources: bool,
}

struct Workload {
    name: String,
    limit: Option<String>,
    peak: u32,
    figures: Vec<(String, Figure)>,
}

/// Keys of the run record that make two runs differ.
const KNOBS: &[&str] = &[
    "board",
    "os",
    "pointer_bits",
    "cores",
    "runtime",
    "runtime_version",
    "interpreter",
    "interpreter_opt",
    "block_cache",
    "aot",
    "module_copy",
    "rustc",
    "cc",
    "scenario",
    "mode",
    "workers",
    "residents",
    "arena_bytes",
    "slots",
    "slot_stack_bytes",
    "wasm_stack_bytes",
    "fit",
    "step",
    "settle_ms",
    "dwell_ms",
    "pause_ms",
    "pin",
    "budget",
    "slo_us",
];

/// The newest sample with so many instances.
fn step_at(ramp: &Ramp, instances: u32) -> Option<&crate::log::Kept<StepKind>> {
    ramp.steps.iter().filter(|step| step.get().instances == instances).last()
}

fn figures(ramp: &Ramp, common: u32, each_instance: bool) -> Vec<(String, Figure)> {
    let mut all = Vec::new();
    let mut add = |name: &str, class, value: Option<&str>| {
        let Some(text) = value else { return };
        let Ok(value) = text.parse::<f64>() else { return };
        let decimals = text.split_once('.').map_or(0, |(_, part)| part.len());
        all.push((name.to_owned(), Figure { value, decimals, rounding: 0.0, class }));
    };
    let end = ramp.end.as_ref();
    let predict = ramp.predict.as_ref();
    add("peak", Class::Peak, Some(&ramp.peak().to_string()));
    add("errors", Class::Errors, end.and_then(|e| e.value("errors")));
    add("leaked_bytes", Class::Errors, end.and_then(|e| e.value("leaked_bytes")));
    let cost = end.and_then(|e| e.value("cost_bytes"));
    add("cost_bytes", Class::Cost, cost.or(predict.and_then(|p| p.value("cost_bytes"))));
    add("need_bytes", Class::Cost, predict.and_then(|p| p.value("need_bytes")));
    let module: u64 = ramp.loads.iter().map(|load| u64::from(load.get().arena_bytes.0)).sum();
    let module = (!ramp.loads.is_empty()).then(|| module.to_string());
    add("module_bytes", Class::Cost, module.as_deref());
    let stack = ramp.instances.iter().filter_map(|i| i.get().stack_used_bytes).max();
    add("stack_used_bytes", Class::Cost, stack.map(|bytes| bytes.to_string()).as_deref());
    let first = ramp.steps.iter().next();
    let newest = step_at(ramp, common);
    let free = |step: Option<&crate::log::Kept<StepKind>>| {
        step.and_then(|s| s.value("arena_free_bytes").map(ToOwned::to_owned))
    };
    add("arena_free_first_bytes", Class::Bytes, free(first).as_deref());
    add("arena_free_peak_bytes", Class::Bytes, free(newest).as_deref());
    add("arena_free_end_bytes", Class::Bytes, end.and_then(|e| e.value("arena_free_bytes")));
    add("fairness", Class::Fairness, end.and_then(|e| e.value("fairness")));
    for (place, step) in [("first", first), ("peak", newest)] {
        let Some(step) = step else { continue };
        for (key, class) in [("p50", Class::Latency), ("p99", Class::Latency), ("max", Class::Max)]
        {
            let value = step.value(&format!("latency_{key}_us"));
            add(&format!("latency_{place}_{key}_us"), class, value);
        }
        let record = step.get();
        if record.dwell_us.0 > 0 {
            let rate = record.dwell_calls as f64 * 1e9 / record.dwell_us.0 as f64;
            add(&format!("calls_{place}_per_second"), Class::Calls, Some(&format!("{rate:.1}")));
        }
        add(&format!("cpu_{place}_permille"), Class::Cpu, step.value("cpu_permille"));
    }
    if each_instance {
        for instance in ramp.instances.iter() {
            let name = format!("instance_{}_calls", instance.get().id);
            add(&name, Class::Calls, instance.value("calls"));
        }
    }
    all
}

/// What a side is made from.
enum Source {
    Published,
    Log(Log),
}

impl Source {
    fn open(path: &str) -> Result<Self, Problem> {
        if path == published::NAME && !std::path::Path::new(path).exists() {
            return Ok(Self::Published);
        }
        Ok(Self::Log(Log::open(path)?))
    }

    fn run(&self) -> Option<&RunLog> {
        match self {
            Self::Published => None,
            Self::Log(log) => log.best(),
        }
    }

    /// Peaks by workload: times are compared at the instances that both reached.
    fn peaks(&self) -> BTreeMap<String, u32> {
        match self {
            Self::Published => published::FIGURES
                .iter()
                .filter(|figure| figure.figure == "peak")
                .map(|figure| (figure.workload.to_owned(), figure.value as u32))
                .collect(),
            Self::Log(_) => self
                .run()
                .into_iter()
                .flat_map(|run| &run.ramps)
                .map(|ramp| (ramp.workload.clone(), ramp.peak()))
                .collect(),
        }
    }

    fn side(&self, other: &Self) -> Side {
        let peaks = other.peaks();
        match self {
            Self::Published => {
                let mut workloads: Vec<Workload> = Vec::new();
                for figure in published::FIGURES {
                    if workloads.last().is_none_or(|w| w.name != figure.workload) {
                        workloads.push(Workload {
                            name: figure.workload.into(),
                            limit: None,
                            peak: 0,
                            figures: Vec::new(),
                        });
                    }
                    let class = class_of(figure.figure);
                    let (value, rounding) = (figure.value, figure.rounding);
                    if let Some(workload) = workloads.last_mut() {
                        let made = Figure { value, decimals: 0, rounding, class };
                        if figure.figure == "peak" {
                            workload.peak = value as u32;
                        }
                        workload.figures.push((figure.figure.into(), made));
                    }
                }
                Side {
                    name: published::NAME.into(),
                    board: published::BOARD.into(),
                    pointer_bits: published::POINTER_BITS,
                    arena_bytes: published::ARENA_BYTES,
                    knobs: BTreeMap::new(),
                    workloads,
                    done: true,
                    sources: true,
                }
            }
            Self::Log(log) => {
                let run = log.best();
                let header = run.and_then(|run| run.header.as_ref());
                let each = matches!(other, Self::Published);
                let workloads = run.into_iter().flat_map(|run| &run.ramps).map(|ramp| {
                    let peak = ramp.peak();
                    let common = peaks.get(&ramp.workload).map_or(peak, |other| peak.min(*other));
                    Workload {
                        name: ramp.workload.clone(),
                        limit: ramp.end.as_ref().and_then(|e| e.value("limit")).map(Into::into),
                        peak,
                        figures: figures(ramp, common, each),
                    }
                });
                Side {
                    name: log.name.clone(),
                    board: run.map_or("?", |run| run.board()).to_owned(),
                    pointer_bits: header.map_or(0, |header| header.get().pointer_bits),
                    arena_bytes: header.map_or(0, |header| header.get().arena_bytes.0),
                    knobs: KNOBS
                        .iter()
                        .filter_map(|&key| Some((key, header?.value(key)?.to_owned())))
                        .collect(),
                    workloads: workloads.collect(),
                    done: run.is_some_and(|run| run.done.is_some()),
                    sources: false,
                }
            }
        }
    }
}

fn class_of(figure: &str) -> Class {
    match figure {
        "peak" => Class::Peak,
        "cost_bytes" => Class::Cost,
        name if name.ends_with("_calls") => Class::Calls,
        _ => Class::Bytes,
    }
}

/// Tolerances by figure or class.
#[derive(Debug, Default)]
struct Tolerances {
    timed: Option<f64>,
    named: BTreeMap<String, f64>,
}

fn fraction(text: &str) -> Option<f64> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (value >= 0.0 && f64::is_finite(value)).then_some(value)
}

impl Tolerances {
    fn parse(words: &[String]) -> Result<Self, Problem> {
        let mut all = Self::default();
        for word in words {
            let wrong = || {
                Problem::new(format!(
                    "--tolerance {word}: give a fraction (0.05, 5%) or NAME=FRACTION"
                ))
            };
            match word.split_once('=') {
                None => all.timed = Some(fraction(word).ok_or_else(wrong)?),
                Some((name, text)) => {
                    all.named.insert(name.to_owned(), fraction(text).ok_or_else(wrong)?);
                }
            }
        }
        Ok(all)
    }

    fn check(&self, figures: &[Judged]) -> Result<(), Problem> {
        for name in self.named.keys() {
            let known = CLASSES.iter().any(|(class, _)| class == name)
                || figures.iter().any(|judged| judged.figure == *name);
            if !known {
                let classes = CLASSES.map(|(class, _)| class).join(", ");
                return Err(Problem::new(format!(
                    "--tolerance {name}: no such figure; name one of the table or one of {classes}"
                )));
            }
        }
        Ok(())
    }

    fn of(&self, figure: &str, class: Class) -> Option<f64> {
        let word = CLASSES.iter().find(|(_, of)| *of == class).map_or("", |(word, _)| *word);
        self.named.get(figure).or_else(|| self.named.get(word)).copied().or_else(|| {
            class.tolerance().map(|own| self.timed.filter(|_| class.is_timed()).unwrap_or(own))
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Missing,
    Worse,
    Better,
    Same,
    Unjudged,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "MISSING",
            Self::Worse => "WORSE",
            Self::Better => "better",
            Self::Same => "same",
            Self::Unjudged => "-",
        }
    }
}

struct Judged {
    workload: String,
    figure: String,
    base: Option<String>,
    new: Option<String>,
    ratio: Option<f64>,
    worse_by: f64,
    tolerance: Option<f64>,
    verdict: Verdict,
}

/// How much worse, as a fraction of the base; negative where better.
fn worse_by(base: f64, new: f64, less_is_better: bool) -> f64 {
    let change = if less_is_better { new - base } else { base - new };
    if change == 0.0 { 0.0 } else { change / base.abs() }
}

fn text_of(figure: &Figure) -> String {
    format!("{:.*}", figure.decimals, figure.value)
}

fn judge(base: &Side, new: &Side, tolerances: &Tolerances) -> Vec<Judged> {
    let one_board = base.board == new.board
        || (base.sources && new.board.starts_with("esp32s3"))
        || (new.sources && base.board.starts_with("esp32s3"));
    let one_width = base.pointer_bits == new.pointer_bits;
    let one_arena = base.arena_bytes == new.arena_bytes;
    let mut all = Vec::new();
    for old in &base.workloads {
        let Some(fresh) = new.workloads.iter().find(|workload| workload.name == old.name) else {
            all.push(Judged {
                workload: old.name.clone(),
                figure: "peak".into(),
                base: Some(old.peak.to_string()),
                new: None,
                ratio: None,
                worse_by: f64::INFINITY,
                tolerance: None,
                // Nobody has to run all that was published.
                verdict: if base.sources { Verdict::Unjudged } else { Verdict::Missing },
            });
            continue;
        };
        if !base.sources && !new.sources {
            let unfinished = fresh.limit.is_none();
            all.push(Judged {
                workload: old.name.clone(),
                figure: "limit".into(),
                base: old.limit.clone(),
                new: fresh.limit.clone().or(unfinished.then(|| "unfinished".into())),
                ratio: None,
                worse_by: f64::INFINITY,
                tolerance: None,
                verdict: match (old.limit == fresh.limit, unfinished) {
                    (_, true) => Verdict::Missing,
                    (true, _) => Verdict::Same,
                    _ => Verdict::Unjudged,
                },
            });
        }
        for (name, was) in &old.figures {
            let found = fresh.figures.iter().find(|(other, _)| other == name).map(|(_, f)| f);
            let comparable = match was.class {
                Class::Cost => one_width,
                Class::Bytes => one_width && one_arena,
                Class::Latency | Class::Max | Class::Calls | Class::Cpu => one_board,
                Class::Peak | Class::Errors | Class::Fairness => true,
            };
            let tolerance = tolerances.of(name, was.class).filter(|_| comparable);
            let worse = found
                .map_or(0.0, |is| worse_by(was.value, is.value, was.class.less_is_better(name)));
            let slack = found.map_or(0.0, |is| was.rounding.max(is.rounding));
            let verdict = match (found, tolerance) {
                (Some(is), Some(_)) if (is.value - was.value).abs() <= slack => Verdict::Same,
                (Some(_), Some(tolerance)) if worse > tolerance => Verdict::Worse,
                (Some(_), Some(tolerance)) if -worse > tolerance => Verdict::Better,
                (Some(_), Some(_)) => Verdict::Same,
                _ => Verdict::Unjudged,
            };
            all.push(Judged {
                workload: old.name.clone(),
                figure: name.clone(),
                base: Some(text_of(was)),
                new: found.map(text_of),
                ratio: found.filter(|_| was.value != 0.0).map(|is| is.value / was.value),
                worse_by: worse,
                tolerance,
                verdict,
            });
        }
    }
    // Stable: within a verdict the worst first, equals in their order.
    all.sort_by(|a, b| {
        let far = |judged: &Judged| match judged.verdict {
            Verdict::Worse | Verdict::Missing | Verdict::Better => -judged.worse_by.abs(),
            _ => 0.0,
        };
        let rank = |verdict| if verdict == Verdict::Unjudged { Verdict::Same } else { verdict };
        rank(a.verdict).cmp(&rank(b.verdict)).then(far(a).total_cmp(&far(b)))
    });
    all
}

const COLUMNS: &[Column] = &[
    column("workload", "workload", Show::Word),
    column("figure", "figure", Show::Word),
    column("base", "base", Show::Number),
    column("new", "new", Show::Number),
    column("ratio", "ratio", Show::Number),
    column("tolerance", "tolerance", Show::Number),
    column("verdict", "verdict", Show::Word),
];

/// Options of `wramp compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp compare results/linux/2026-01-31-1a2b3c4 new.log
  wramp compare published run.log
  wramp compare base.log new.log --tolerance latency=20%,cost=0 || echo regression

Tolerances are fractions of BASE, by figure (cost_bytes), by class (peak, errors, cost, bytes,
fairness, latency, max, calls, cpu), or one for all that time enters into. Default: 0 for peak,
errors, cost and bytes; 0.05 for fairness, latency and calls; max and cpu are shown only.
\"first\" is the ramp's first rung, \"peak\" the most instances that both runs reached.")]
pub struct CompareArgs {
    /// A log, a saved run's directory, or `published`: the ESP32-S3 article's figures
    pub base: String,
    /// A log or a saved run's directory
    pub new: String,
    /// What may get worse by how much
    #[arg(long, value_name = "[NAME=]FRACTION", value_delimiter = ',')]
    pub tolerance: Vec<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `wramp compare`.
///
/// # Errors
/// A log that cannot be read, or a tolerance that is none.
pub fn execute(args: &CompareArgs) -> Outcome {
    let tolerances = Tolerances::parse(&args.tolerance)?;
    let (old, fresh) = (Source::open(&args.base)?, Source::open(&args.new)?);
    let (base, new) = (old.side(&fresh), fresh.side(&old));
    for side in [&base, &new] {
        if side.workloads.is_empty() {
            return Err(Problem::new(format!("{}: no ramp in it to compare", side.name)));
        }
    }
    let judged = judge(&base, &new, &tolerances);
    tolerances.check(&judged)?;
    let count = |verdict| judged.iter().filter(|judged| judged.verdict == verdict).count();
    let (worse, better) = (count(Verdict::Worse) + count(Verdict::Missing), count(Verdict::Better));
    let regression = worse > 0 || !new.done;
    let rows = judged.iter().map(|judged| {
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
    let table = Table { name: "compare", title, columns, rows, sums: Vec::new() };
    let notes = notes(&base, &new);
    let mut verdict = format!(
        "{}: {worse} worse, {better} better, {} the same, {} not judged",
        if regression { "REGRESSION" } else { "no regression" },
        count(Verdict::Same),
        count(Verdict::Unjudged),
    );
    if !new.done {
        let _ = write!(verdict, "; {} is not done", new.name);
    }
    match args.format {
        Format::Table => print(&format!("{}\n{notes}{verdict}\n", table.text()))?,
        Format::Markdown => {
            print(&format!("{}\n{}{verdict}\n", table.markdown(), notes.replace('\n', "  \n")))?
        }
        Format::Csv => print(&table.csv())?,
        Format::Json => print(&format!("{:#}\n", table.json()))?,
    }
    if matches!(args.format, Format::Csv | Format::Json) {
        eprintln!("{verdict}");
    }
    Ok(ExitCode::from(u8::from(regression)))
}

fn notes(base: &Side, new: &Side) -> String {
    let mut text = String::new();
    if base.pointer_bits != new.pointer_bits {
        let _ = writeln!(
            text,
            "bytes are not judged: {}-bit pointers against {}-bit ones",
            new.pointer_bits, base.pointer_bits
        );
    }
    if base.board != new.board {
        let _ = writeln!(text, "times are not judged: {} against {}", new.board, base.board);
    }
    for (key, was) in &base.knobs {
        let is = new.knobs.get(key).map_or("-", String::as_str);
        if is != was {
            let number =
                |text: &str| if key.ends_with("_bytes") { grouped(text) } else { text.into() };
            let _ = writeln!(text, "differs: {key} {} -> {}", number(was), number(is));
        }
    }
    if base.sources || new.sources {
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
