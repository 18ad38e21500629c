//! Two runs compared figure by figure, each judged by a tolerance.
//!
//! Figures that a machine repeats exactly (peaks, bytes, errors) tolerate no change by default.
//! Figures that depend on time tolerate 5 %. A figure is judged only where the two runs can be
//! compared: bytes only among equal pointer widths, times only on one board. A figure that was
//! measured in the base and is missing from the new run counts as a regression.
//!
//! On a host, times are judged only where the user asks for it.

use std::collections::{BTreeMap, BTreeSet};

use wramp_core::measure::Nanos;
use wramp_core::report::Word;

use crate::model::kept::{Kept, StepKind};
use crate::model::log::Log;
use crate::model::published;
use crate::model::run_log::{RampLog, RunLog};
use crate::problem::Problem;

/// What sort of figure it is. It decides the tolerance and which runs can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Instances.
    Peak,
    /// Calls that went wrong, bytes that leaked.
    Errors,
    /// Bytes of one instance, module or stack.
    Cost,
    /// Bytes of the arena.
    Bytes,
    /// How evenly instances were served.
    Fairness,
    /// Mean and percentiles of a call or a turnaround.
    Latency,
    /// The longest call or turnaround.
    Max,
    /// Calls, or calls a second.
    Calls,
    /// CPU use.
    Cpu,
}

/// Each class and its name on the command line.
pub const CLASSES: [(&str, Class); 9] = [
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
    /// Whether time enters into it, so that no run repeats it exactly.
    fn is_timed(self) -> bool {
        matches!(self, Self::Fairness | Self::Latency | Self::Max | Self::Calls | Self::Cpu)
    }

    /// The default tolerance. `None`: shown, and judged only where the user names a tolerance.
    /// The longest call of a dwell depends on what else the machine did at that time. More CPU
    /// use is neither good nor bad.
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
pub struct Side {
    /// What it is called.
    pub name: String,
    /// The board, as it stands in the record.
    pub board: String,
    /// Bits of its pointers.
    pub pointer_bits: u32,
    /// Whether the run was done.
    pub done: bool,
    /// Whether its figures were published and so have sources.
    pub is_published: bool,
    /// Keys of the run record that make two runs differ.
    pub knobs: BTreeMap<&'static str, String>,
    /// Thousandths of its cores' time that a host did not get just before the run.
    pub starved_permille: Option<u32>,
    arena_bytes: u32,
    workloads: Vec<Workload>,
}

struct Workload {
    name: String,
    limit: Option<String>,
    peak: u32,
    figures: Vec<(String, Figure)>,
}

impl Workload {
    /// Whether it has that name, as in records or as a person reads it.
    fn is(&self, name: &str) -> bool {
        self.name == name || Word(&self.name).readable().to_string() == name
    }
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
    "engine_fixes",
    "artefact",
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
    "stuck_ms",
    "slo_us",
];

/// The newest sample with this many instances.
fn step_at(ramp: &RampLog, instances: u32) -> Option<&Kept<StepKind>> {
    ramp.steps.iter().filter(|step| step.get().instances == instances).last()
}

fn figures(ramp: &RampLog, common: u32, each_instance: bool) -> Vec<(String, Figure)> {
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
    add("cost_bytes", Class::Cost, ramp.cost_bytes());
    add("need_bytes", Class::Cost, predict.and_then(|p| p.value("need_bytes")));
    let module = ramp.module_arena_bytes().map(|bytes| bytes.to_string());
    add("module_bytes", Class::Cost, module.as_deref());
    let stack = ramp.stack_used().map(|bytes| bytes.to_string());
    add("stack_used_bytes", Class::Cost, stack.as_deref());
    let first = ramp.steps.iter().next();
    let newest = step_at(ramp, common);
    let free = |step: Option<&Kept<StepKind>>| {
        step.and_then(|s| s.value("arena_free_bytes").map(ToOwned::to_owned))
    };
    add("arena_free_first_bytes", Class::Bytes, free(first).as_deref());
    add("arena_free_peak_bytes", Class::Bytes, free(newest).as_deref());
    add("arena_free_end_bytes", Class::Bytes, end.and_then(|e| e.value("arena_free_bytes")));
    add("fairness", Class::Fairness, end.and_then(|e| e.value("fairness")));
    for (place, step) in [("first", first), ("peak", newest)] {
        let Some(step) = step else { continue };
        for what in ["latency", "turnaround"] {
            for (key, class) in [
                ("mean", Class::Latency),
                ("p50", Class::Latency),
                ("p99", Class::Latency),
                ("max", Class::Max),
            ] {
                let value = step.value(&format!("{what}_{key}_us"));
                add(&format!("{what}_{place}_{key}_us"), class, value);
            }
        }
        let record = step.get();
        if let Some(dwell) = record.dwell_us.filter(|dwell| dwell.0 > 0) {
            let rate = record.dwell_calls as f64 * 1e9 / dwell.0 as f64;
            add(&format!("calls_{place}_per_second"), Class::Calls, Some(&format!("{rate:.1}")));
        }
        add(&format!("cpu_{place}_permille"), Class::Cpu, step.value("cpu_permille"));
    }
    let loads = ramp.loads.iter().filter_map(|load| load.get().load_us);
    if ramp.loads.iter().any(|load| load.get().load_us.is_some()) {
        let load = loads.fold(Nanos(0), Nanos::saturating_add);
        add("load_us", Class::Latency, Some(&format!("{:.3}", load.0 as f64 / 1000.0)));
    }
    if let Some(times) = ramp.start_times() {
        let all = [("p50", times.p50), ("p99", times.p99), ("max", times.max)];
        for (key, nanos) in all {
            let class = if key == "p50" { Class::Latency } else { Class::Max };
            let micros = format!("{}.{:03}", nanos / 1000, nanos % 1000);
            add(&format!("start_{key}_us"), class, Some(&micros));
        }
    }
    for start in &ramp.starts {
        // One of a few starts is the 99th of a hundred, so it depends on what else the machine did.
        for (key, class) in [("p50", Class::Latency), ("p99", Class::Max), ("max", Class::Max)] {
            let name = format!("{}_{key}_us", start.get().phase.0.replace('-', "_"));
            add(&name, class, start.value(&format!("{key}_us")));
        }
    }
    if let Some(park) = ramp.parks.iter().last() {
        for (key, class) in [
            ("instance_bytes", Class::Cost),
            ("parked_p50_bytes", Class::Cost),
            ("parked_p99_bytes", Class::Cost),
            ("parked_max_bytes", Class::Cost),
            ("dirty_mean_bytes", Class::Cost),
            ("park_mean_us", Class::Latency),
            ("park_p50_us", Class::Latency),
            ("park_p99_us", Class::Latency),
            ("revive_mean_us", Class::Latency),
            ("revive_p50_us", Class::Latency),
            ("revive_p99_us", Class::Latency),
        ] {
            add(&format!("park_{}", key.trim_start_matches("park_")), class, park.value(key));
        }
    }
    if each_instance {
        for instance in ramp.instances.iter() {
            let name = format!("instance_{}_calls", instance.get().id);
            add(&name, Class::Calls, instance.value("calls"));
        }
    }
    all
}

/// What is compared: a log, or the published figures.
pub enum Compared {
    /// The figures of the ESP32-S3 article.
    Published,
    /// A log.
    Log(Log),
}

/// The instances of a workload's peak and of each of its samples.
struct Reached {
    peak: u32,
    sampled: BTreeSet<u32>,
}

impl Compared {
    /// Whether the command line means the published figures and not a file.
    #[must_use]
    pub fn is_published(path: &str) -> bool {
        path == published::NAME && !std::path::Path::new(path).exists()
    }

    fn run(&self) -> Option<&RunLog> {
        match self {
            Self::Published => None,
            Self::Log(log) => log.best(),
        }
    }

    fn reached(&self) -> BTreeMap<String, Reached> {
        match self {
            Self::Published => published::FIGURES
                .iter()
                .filter(|figure| figure.figure == "peak")
                .map(|figure| {
                    let peak = figure.value as u32;
                    (figure.workload.to_owned(), Reached { peak, sampled: BTreeSet::from([peak]) })
                })
                .collect(),
            Self::Log(_) => self
                .run()
                .into_iter()
                .flat_map(|run| &run.ramps)
                .map(|ramp| {
                    let sampled = ramp.steps.iter().map(|step| step.get().instances).collect();
                    (ramp.workload.clone(), Reached { peak: ramp.peak(), sampled })
                })
                .collect(),
        }
    }

    /// This side's figures, to be compared with `other`'s.
    #[must_use]
    pub fn side(&self, other: &Self) -> Side {
        let (own, others) = (self.reached(), other.reached());
        // Times are compared at one number of instances: the peak where both reached the same
        // one, or else the most that both sampled.
        let common = |ramp: &RampLog| match (own.get(&ramp.workload), others.get(&ramp.workload)) {
            (Some(own), Some(other)) if own.peak != other.peak => {
                // Without a common rung there is nothing to compare: no rung has 0 instances.
                own.sampled.intersection(&other.sampled).last().copied().unwrap_or(0)
            }
            _ => ramp.peak(),
        };
        match self {
            Self::Published => published_side(),
            Self::Log(log) => {
                let run = log.best();
                let header = run.and_then(|run| run.header.as_ref());
                let each = matches!(other, Self::Published);
                let workloads = run.into_iter().flat_map(|run| &run.ramps).map(|ramp| Workload {
                    name: ramp.workload.clone(),
                    limit: ramp.end.as_ref().and_then(|e| e.value("limit")).map(Into::into),
                    peak: ramp.peak(),
                    figures: figures(ramp, common(ramp), each),
                });
                Side {
                    name: log.name.clone(),
                    board: run.map_or("?", |run| run.board()).to_owned(),
                    pointer_bits: header.map_or(0, |header| header.get().pointer_bits),
                    starved_permille: header.and_then(|header| header.get().starved_permille.get()),
                    arena_bytes: header.map_or(0, |header| header.get().arena_bytes.0),
                    knobs: KNOBS
                        .iter()
                        .filter_map(|&key| Some((key, header?.value(key)?.to_owned())))
                        .collect(),
                    workloads: workloads.collect(),
                    done: run.is_some_and(|run| run.done.is_some()),
                    is_published: false,
                }
            }
        }
    }
}

fn published_side() -> Side {
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
        let class = match figure.figure {
            "peak" => Class::Peak,
            "cost_bytes" => Class::Cost,
            name if name.ends_with("_calls") => Class::Calls,
            _ => Class::Bytes,
        };
        let (value, rounding) = (figure.value, figure.rounding);
        if let Some(workload) = workloads.last_mut() {
            if figure.figure == "peak" {
                workload.peak = value as u32;
            }
            let made = Figure { value, decimals: 0, rounding, class };
            workload.figures.push((figure.figure.into(), made));
        }
    }
    Side {
        name: published::NAME.into(),
        board: published::BOARD.into(),
        pointer_bits: published::POINTER_BITS,
        starved_permille: None,
        arena_bytes: published::ARENA_BYTES,
        knobs: BTreeMap::new(),
        workloads,
        done: true,
        is_published: true,
    }
}

/// Tolerances by figure or class.
#[derive(Debug, Default)]
pub struct Tolerances {
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
    /// Reads `FRACTION` and `NAME=FRACTION`.
    ///
    /// # Errors
    /// The first word that is neither.
    pub fn parse(words: &[String]) -> Result<Self, Problem> {
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

    /// Refuses names that are neither a figure nor a class.
    ///
    /// # Errors
    /// The first such name.
    pub fn check(&self, figures: &[Judged]) -> Result<(), Problem> {
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

    /// Whether the user named a tolerance for this figure of time.
    fn asks_for(&self, figure: &str, class: Class) -> bool {
        let word = CLASSES.iter().find(|(_, of)| *of == class).map_or("", |(word, _)| *word);
        self.timed.is_some() || self.named.contains_key(figure) || self.named.contains_key(word)
    }

    fn of(&self, figure: &str, class: Class) -> Option<f64> {
        let word = CLASSES.iter().find(|(_, of)| *of == class).map_or("", |(word, _)| *word);
        self.named.get(figure).or_else(|| self.named.get(word)).copied().or_else(|| {
            class.tolerance().map(|own| self.timed.filter(|_| class.is_timed()).unwrap_or(own))
        })
    }
}

/// What a comparison of one figure comes to, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The new run lacks what the base has.
    Missing,
    /// Worse than the tolerance allows.
    Worse,
    /// Better by more than the tolerance.
    Better,
    /// Within the tolerance.
    Same,
    /// The two cannot be compared, or no tolerance was named.
    Unjudged,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "MISSING",
            Self::Worse => "WORSE",
            Self::Better => "better",
            Self::Same => "same",
            Self::Unjudged => "-",
        }
    }
}

/// One figure of both sides.
pub struct Judged {
    /// The workload, as it stands in the record.
    pub workload: String,
    /// The figure.
    pub figure: String,
    /// Its value in the base.
    pub base: Option<String>,
    /// Its value in the new run.
    pub new: Option<String>,
    /// The new value over the base's.
    pub ratio: Option<f64>,
    /// What was tolerated.
    pub tolerance: Option<f64>,
    /// What it comes to.
    pub verdict: Verdict,
    worse_by: f64,
}

/// How much worse, as a fraction of the base; negative where better.
fn worse_by(base: f64, new: f64, less_is_better: bool) -> f64 {
    let change = if less_is_better { new - base } else { base - new };
    if change == 0.0 { 0.0 } else { change / base.abs() }
}

fn text_of(figure: &Figure) -> String {
    format!("{:.*}", figure.decimals, figure.value)
}

/// The base's peak of a workload that the new run does not have.
fn absent(old: &Workload, is_published: bool) -> Judged {
    Judged {
        workload: old.name.clone(),
        figure: "peak".into(),
        base: Some(old.peak.to_string()),
        new: None,
        ratio: None,
        worse_by: f64::INFINITY,
        tolerance: None,
        // A run may leave out what was published.
        verdict: if is_published { Verdict::Unjudged } else { Verdict::Missing },
    }
}

fn limit(old: &Workload, fresh: &Workload) -> Judged {
    let unfinished = fresh.limit.is_none();
    Judged {
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
    }
}

impl Side {
    /// Whether there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty()
    }

    /// Whether its times come from the CPU of a computer that also did other things.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.board == "linux" || self.board.starts_with("native_sim")
    }

    /// Leaves only these workloads; all where none is named.
    ///
    /// # Errors
    /// The first workload that is not there.
    pub fn choose(&mut self, workloads: &[String]) -> Result<(), Problem> {
        for name in workloads {
            if !self.workloads.iter().any(|own| own.is(name)) {
                let message = format!("--workload {name}: no ramp of {name} in {}", self.name);
                return Err(Problem::new(message));
            }
        }
        self.keep(workloads);
        Ok(())
    }

    /// The same, where one may be missing.
    pub fn keep(&mut self, workloads: &[String]) {
        if !workloads.is_empty() {
            self.workloads.retain(|own| workloads.iter().any(|name| own.is(name)));
        }
    }
}

/// Whether how fast a machine was decides the figure, so that no run of a host repeats it.
///
/// What instances have in their memory when they are parked depends on how many calls they made.
fn depends_on_time(figure: &str, class: Class, was: &Workload, is: &Workload) -> bool {
    let by_promise = [was, is].iter().any(|one| one.limit.as_deref() == Some("slo"));
    let of_a_park = |one: &Workload| one.figures.iter().any(|(name, _)| name.starts_with("park_"));
    match class {
        Class::Peak => by_promise || of_a_park(was) || of_a_park(is),
        Class::Cost => figure.starts_with("park_parked") || figure.starts_with("park_dirty"),
        Class::Bytes => of_a_park(was) || of_a_park(is),
        Class::Errors => false,
        _ => class.is_timed(),
    }
}

/// Judges every figure of the base, the worst first.
///
/// What depends on time is judged on a host only with `times`, or where the user named a
/// tolerance for it: two runs of one program differ there.
#[must_use]
pub fn judge(base: &Side, new: &Side, tolerances: &Tolerances, times: bool) -> Vec<Judged> {
    let on_host = base.is_host() || new.is_host();
    let one_board = base.board == new.board
        || (base.is_published && new.board.starts_with("esp32s3"))
        || (new.is_published && base.board.starts_with("esp32s3"));
    let one_width = base.pointer_bits == new.pointer_bits;
    let one_arena = base.arena_bytes == new.arena_bytes;
    let one_mode = base.knobs.get("mode") == new.knobs.get("mode");
    let published = base.is_published || new.is_published;
    let mut all = Vec::new();
    for old in &base.workloads {
        let Some(fresh) = new.workloads.iter().find(|workload| workload.name == old.name) else {
            all.push(absent(old, base.is_published));
            continue;
        };
        if !published {
            all.push(limit(old, fresh));
        }
        for (name, was) in &old.figures {
            let found = fresh.figures.iter().find(|(other, _)| other == name).map(|(_, f)| f);
            let comparable = match was.class {
                // Only a pool has turnarounds, and only a park parks.
                _ if (name.starts_with("turnaround") || name.starts_with("park_")) && !one_mode => {
                    false
                }
                Class::Cost => one_width,
                Class::Bytes => one_width && one_arena,
                Class::Latency | Class::Max | Class::Calls | Class::Cpu => one_board,
                Class::Peak | Class::Errors | Class::Fairness => true,
            };
            let judged = times
                || !on_host
                || tolerances.asks_for(name, was.class)
                || !depends_on_time(name, was.class, old, fresh);
            let tolerance = tolerances.of(name, was.class).filter(|_| comparable && judged);
            let worse = match found {
                Some(is) => worse_by(was.value, is.value, was.class.less_is_better(name)),
                None => f64::INFINITY,
            };
            let slack = found.map_or(0.0, |is| was.rounding.max(is.rounding));
            let verdict = match (found, tolerance) {
                // A figure that vanished proves nothing, so it must not pass a gate.
                (None, _) if comparable && !published => Verdict::Missing,
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
    // The sort is stable: within a verdict the worst comes first, equal ones keep their order.
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
