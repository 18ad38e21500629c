//! Requirements that runs must meet, read from TOML, and logs judged by them.
//!
//! A file holds a list of rules. A rule names the runs that it applies to, one figure of them, and
//! a bound:
//!
//! ```toml
//! [[rule]]
//! what = "bytes a cpu instance"
//! where = { preset = ["classic", "busy"], pointer_bits = 32 }
//! workload = "cpu"
//! figure = "cost_bytes"
//! equals = 6120
//! within = 8
//! ```
//!
//! `where` compares keys of the run record and of `machine.txt`, and `preset`, which is the name
//! of the run's directory behind its date. `"*"` accepts any value of a key that is there. A rule
//! applies to a run only if all its conditions hold.
//!
//! A rule with `unjudged` shows its figure and does not judge it; the text says why. Nothing
//! passes silently: what a rule cannot judge becomes a row that gives the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;
use wramp_core::report::Run;

use crate::model::log::{Log, directory_of};
use crate::model::run_log::{RampLog, RunLog};
use crate::problem::Problem;

/// A file of requirements.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// The rules, in the order in which they are judged.
    pub rule: Vec<Rule>,
}

/// One requirement.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What is required, for a person.
    what: String,
    /// Which runs it applies to: values that keys may have.
    #[serde(default, rename = "where")]
    conditions: BTreeMap<String, OneOrMany>,
    /// Which ramps it applies to; all where none is named. A named ramp must be there.
    workload: Option<OneOrMany>,
    /// The figure.
    figure: Figure,
    /// It must be this.
    equals: Option<Scalar>,
    /// By how much it may differ from `equals`.
    within: Option<f64>,
    /// It must be no less.
    at_least: Option<f64>,
    /// It must be no more.
    at_most: Option<f64>,
    /// The measured reference that it must not exceed by more than `slack`.
    reference: Option<f64>,
    /// A fraction of the reference: 0.01 is 1 %.
    slack: Option<f64>,
    /// Instances of the rung that `calls_kept` compares with the first one.
    instances: Option<u32>,
    /// Why it is shown and not judged.
    unjudged: Option<String>,
}

/// A figure that a rule can require.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Figure {
    /// Instances of a ramp.
    Peak,
    /// What ended a ramp.
    Limit,
    /// `peak/limit` of a ramp.
    End,
    /// `measured` where a ramp ended as it was predicted.
    Prediction,
    /// Calls of a ramp that went wrong.
    Errors,
    /// Arena bytes of a ramp that did not come back.
    LeakedBytes,
    /// Arena bytes of one instance.
    CostBytes,
    /// Microseconds of a call on a ramp's first rung.
    CallUs,
    /// Calls a second with `instances` over those with one.
    CallsKept,
    /// Exit status of a run.
    Exit,
    /// Arena and slot stacks of a run together.
    SpentBytes,
    /// The workloads whose ramps ended, in their order.
    Workloads,
    /// Of `machine.txt`: code and constants.
    TextBytes,
    /// Of `machine.txt`: RAM beyond arena and slots.
    RamBeyondBytes,
    /// Of `machine.txt`: whether two runs printed the same.
    TwoRunsIdentical,
}

impl Figure {
    fn is_of_a_ramp(self) -> bool {
        matches!(
            self,
            Self::Peak
                | Self::Limit
                | Self::End
                | Self::Prediction
                | Self::Errors
                | Self::LeakedBytes
                | Self::CostBytes
                | Self::CallUs
                | Self::CallsKept
        )
    }

    /// The key of `machine.txt` that holds it.
    fn machine_key(self) -> Option<&'static str> {
        match self {
            Self::TextBytes => Some("text_bytes"),
            Self::RamBeyondBytes => Some("ram_beyond_bytes"),
            Self::TwoRunsIdentical => Some("two_runs_identical"),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Whole(i64),
    Number(f64),
    Word(String),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Word(word) => word.clone(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Scalar),
    Many(Vec<Scalar>),
}

impl OneOrMany {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.text()],
            Self::Many(many) => many.iter().map(Scalar::text).collect(),
        }
    }

    fn accepts(&self, value: &str) -> bool {
        self.texts().iter().any(|text| text == "*" || text == value)
    }
}

/// Whether a requirement is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It is.
    Yes,
    /// It is not.
    Missed,
    /// It was not judged, and why.
    Unjudged(String),
}

/// One requirement of one run.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The run.
    pub run: String,
    /// What is required.
    pub what: String,
    /// What was found.
    pub found: Option<String>,
    /// The bound.
    pub required: String,
    /// Whether it is met.
    pub reached: Reached,
}

/// A run to be judged.
pub struct Subject {
    /// Its log.
    pub log: Log,
    /// Its directory's name behind the date, where it has one.
    preset: Option<String>,
    /// The date in its directory's name.
    date: Option<String>,
    /// What `machine.txt` says; `None` where there is no such file.
    machine: Option<BTreeMap<String, String>>,
}

/// `2026-11-21` and `dense` of `2026-11-21-dense`.
fn dated(name: &str) -> Option<(&str, &str)> {
    let (date, rest) = name.split_at_checked(10)?;
    let digit = |(place, byte): (usize, u8)| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    let is_date = date.bytes().enumerate().all(digit);
    Some((date, rest.strip_prefix('-')?)).filter(|_| is_date)
}

impl Subject {
    /// A log and what its directory says of it.
    ///
    /// # Errors
    /// Where `machine.txt` is there and cannot be read.
    pub fn new(path: &str, log: Log) -> Result<Self, Problem> {
        let directory = directory_of(Path::new(path));
        let name = directory.and_then(Path::file_name).map(|name| name.to_string_lossy());
        let dated = name.as_deref().and_then(dated);
        let (date, preset) = dated.map(|(d, p)| (d.to_owned(), p.to_owned())).unzip();
        let machine = match directory.map(|directory| directory.join("machine.txt")) {
            Some(file) if file.exists() => {
                let text = fs::read_to_string(&file)
                    .map_err(|error| Problem::new(format!("{}: {error}", file.display())))?;
                let pairs = text.lines().filter_map(|line| line.split_once(": "));
                Some(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
            }
            _ => None,
        };
        Ok(Self { log, preset, date, machine })
    }

    fn run(&self) -> Option<(&RunLog, Run<'_>)> {
        let run = self.log.best()?;
        Some((run, run.header.as_ref()?.get()))
    }

    /// A value that a rule's conditions compare.
    fn key(&self, key: &str) -> Option<&str> {
        if key == "preset" {
            return self.preset.as_deref();
        }
        let of_machine = || self.machine.as_ref()?.get(key).map(String::as_str);
        self.log.best().and_then(|run| run.key(key)).or_else(of_machine)
    }
}

/// A figure that was found, as text and, where it is one, as a number.
struct Found {
    text: String,
    number: Option<f64>,
    remark: Option<&'static str>,
}

impl Found {
    fn word(text: impl Into<String>) -> Self {
        Self { text: text.into(), number: None, remark: None }
    }

    fn number(text: &str) -> Self {
        Self { text: text.to_owned(), number: text.parse().ok(), remark: None }
    }
}

/// A figure of one ramp.
fn of_ramp(figure: Figure, ramp: &RampLog, instances: Option<u32>) -> Option<Found> {
    let end = ramp.end.as_ref();
    let of_end = |key| end.and_then(|end| end.value(key)).map(Found::number);
    match figure {
        Figure::Peak => of_end("peak"),
        Figure::Limit => end.and_then(|end| end.value("limit")).map(Found::word),
        Figure::End => {
            let end = end?.get();
            Some(Found::word(format!("{}/{}", end.peak, end.limit)))
        }
        Figure::Prediction => {
            let end = end?.get();
            let (peak, limit) = (end.predicted_peak?, end.predicted_limit?);
            Some(Found::word(if (peak, limit) == (end.peak, end.limit) {
                "measured".to_owned()
            } else {
                format!("{peak}/{limit}, measured {}/{}", end.peak, end.limit)
            }))
        }
        Figure::Errors => of_end("errors"),
        Figure::LeakedBytes => of_end("leaked_bytes"),
        Figure::CostBytes => end.and(ramp.cost_bytes()).map(Found::number),
        Figure::CallUs => {
            let call = ramp.call_time()?;
            let remark = call.is_median.then_some("the median, for want of the mean");
            Some(Found { remark, ..Found::number(call.text) })
        }
        Figure::CallsKept => {
            let rate = |instances: u32| {
                let steps = ramp.steps.iter().map(|step| step.get());
                let step = steps.filter(|step| step.instances == instances).last()?;
                let dwell = step.dwell_us.filter(|dwell| dwell.0 > 0)?;
                Some(step.dwell_calls as f64 / dwell.0 as f64)
            };
            let kept = rate(instances?)? / rate(1)?;
            Some(Found { text: format!("{kept:.3}"), number: Some(kept), remark: None })
        }
        _ => None,
    }
}

/// A figure of a run as a whole.
fn of_run(figure: Figure, subject: &Subject, run: &RunLog, header: &Run<'_>) -> Option<Found> {
    match figure {
        Figure::Exit => run.done.map(|done| Found::number(&done.exit.to_string())),
        Figure::SpentBytes => {
            let stacks = u64::from(header.slots) * u64::from(header.slot_stack_bytes.0);
            Some(Found::number(&(u64::from(header.arena_bytes.0) + stacks).to_string()))
        }
        Figure::Workloads => {
            let ended = run.ramps.iter().filter(|ramp| ramp.end.is_some());
            Some(Found::word(ended.map(|ramp| &*ramp.workload).collect::<Vec<_>>().join(" ")))
        }
        _ => {
            let value = subject.machine.as_ref()?.get(figure.machine_key()?)?;
            Some(Found::number(value))
        }
    }
}

impl Requirements {
    /// Reads a file of requirements.
    ///
    /// # Errors
    /// Where it is not such a file; the message names the place.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let all: Self = toml::from_str(text)
            .map_err(|error| Problem::new(error.to_string().trim_end().to_owned()))?;
        for rule in &all.rule {
            rule.check()?;
        }
        Ok(all)
    }

    /// Judges runs. Of several runs with one board and preset it judges the newest.
    #[must_use]
    pub fn judge(&self, subjects: &[Subject]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for subject in subjects {
            let unjudged = |why: &str| Finding {
                run: subject.log.name.clone(),
                what: "the whole run".into(),
                found: None,
                required: "-".into(),
                reached: Reached::Unjudged(why.to_owned()),
            };
            let Some((run, header)) = subject.run() else {
                findings.push(unjudged("the log has no run record"));
                continue;
            };
            let same = |other: &&Subject| {
                other.log.best().map(RunLog::board) == Some(run.board())
                    && other.preset.is_some()
                    && other.preset == subject.preset
            };
            if subjects.iter().filter(same).any(|other| other.date > subject.date) {
                findings.push(unjudged("a newer run of this board and preset is judged"));
                continue;
            }
            let before = findings.len();
            for rule in self.rule.iter().filter(|rule| rule.applies(subject)) {
                rule.judge(subject, run, &header, &mut findings);
            }
            if findings.len() == before {
                findings.push(unjudged("no rule applies to it"));
            }
        }
        findings
    }
}

impl Rule {
    /// Refuses a rule that could not fail, and one that contradicts itself.
    fn check(&self) -> Result<(), Problem> {
        let wrong = |why: &str| Err(Problem::new(format!("rule {:?}: {why}", self.what)));
        let bounds = [
            self.equals.is_some(),
            self.at_least.is_some(),
            self.at_most.is_some(),
            self.reference.is_some(),
            self.unjudged.is_some(),
        ];
        let known = |key: &&String| {
            *key == "preset"
                || Run::KEYS.contains(&key.as_str())
                || OF_MACHINE.contains(&key.as_str())
        };
        if let Some(key) = self.conditions.keys().find(|key| !known(key)) {
            return wrong(&format!(
                "no key {key}: where takes preset, keys of the run record and {}",
                OF_MACHINE.join(", ")
            ));
        }
        match bounds.iter().filter(|given| **given).count() {
            1 => {}
            _ => return wrong("give one of equals, at_least, at_most, reference, unjudged"),
        }
        if self.within.is_some()
            && !matches!(self.equals, Some(Scalar::Whole(_) | Scalar::Number(_)))
        {
            return wrong("within belongs to a number in equals");
        }
        if self.slack.is_some() != self.reference.is_some() {
            return wrong("reference and slack belong together");
        }
        if (self.figure == Figure::CallsKept) != self.instances.is_some() {
            return wrong("instances belongs to the figure calls_kept");
        }
        if self.workload.is_some() && !self.figure.is_of_a_ramp() {
            return wrong("its figure is one of the whole run, so it takes no workload");
        }
        Ok(())
    }

    fn applies(&self, subject: &Subject) -> bool {
        let holds = |(key, wanted): (&String, &OneOrMany)| {
            subject.key(key).is_some_and(|value| wanted.accepts(value))
        };
        // Where these fail, `judge` makes a row that says why.
        self.conditions.iter().filter(|(key, _)| !is_told_where_missing(key)).all(holds)
    }

    fn required(&self) -> String {
        match (&self.equals, self.at_least, self.at_most, self.reference) {
            (Some(value), ..) => match self.within {
                Some(within) => format!("{} within {within}", value.text()),
                None => value.text(),
            },
            (_, Some(least), ..) => format!("at least {least}"),
            (_, _, Some(most), _) => format!("at most {most}"),
            (.., Some(reference)) => {
                let percent = self.slack.unwrap_or(0.0) * 100.0;
                format!("at most {reference} and {percent} %")
            }
            _ => "-".into(),
        }
    }

    fn holds(&self, found: &Found) -> bool {
        if let Some(equals) = &self.equals {
            let wanted = match equals {
                Scalar::Whole(number) => Some(*number as f64),
                Scalar::Number(number) => Some(*number),
                Scalar::Word(_) => None,
            };
            return match (wanted, found.number) {
                (Some(wanted), Some(number)) => {
                    (number - wanted).abs() <= self.within.unwrap_or(0.0)
                }
                _ => equals.text() == found.text,
            };
        }
        let most = self.reference.map(|reference| reference * (1.0 + self.slack.unwrap_or(0.0)));
        found.number.is_some_and(|number| {
            self.at_least.is_none_or(|least| number >= least)
                && self.at_most.or(most).is_none_or(|most| number <= most)
        })
    }

    /// Why this run cannot be judged by the rule, from conditions on `machine.txt`.
    fn machine_differs(&self, subject: &Subject) -> Option<String> {
        let mut conditions = self.conditions.iter().filter(|(key, _)| is_told_where_missing(key));
        conditions.find_map(|(key, wanted)| {
            if subject.machine.is_none() {
                return Some(format!("there is no machine.txt that says {key}"));
            }
            match subject.key(key) {
                None => Some(format!("machine.txt does not say {key}")),
                Some(value) if wanted.accepts(value) => None,
                Some(value) => {
                    Some(format!("its {key} is {value}, not {}", wanted.texts().join(" or ")))
                }
            }
        })
    }

    fn judge(
        &self,
        subject: &Subject,
        run: &RunLog,
        header: &Run<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let differs = self.machine_differs(subject);
        let mut push = |what: String, found: Option<Found>| {
            let reached = match (&differs, &self.unjudged, &found) {
                (Some(why), ..) | (None, Some(why), Some(_)) => Reached::Unjudged(why.clone()),
                (None, _, None)
                    if self.figure.machine_key().is_some() && subject.machine.is_none() =>
                {
                    Reached::Unjudged("there is no machine.txt".into())
                }
                // What is required and was not measured is not reached.
                (None, _, None) => Reached::Missed,
                (None, None, Some(found)) if self.holds(found) => Reached::Yes,
                (None, None, Some(_)) => Reached::Missed,
            };
            let remark = found.as_ref().and_then(|found| found.remark);
            let remark = remark.map_or(String::new(), |remark| format!(" ({remark})"));
            findings.push(Finding {
                run: subject.log.name.clone(),
                what: what + &remark,
                found: found.map(|found| found.text),
                required: self.required(),
                reached,
            });
        };
        if !self.figure.is_of_a_ramp() {
            push(self.what.clone(), of_run(self.figure, subject, run, header));
            return;
        }
        let named: Vec<String> = match &self.workload {
            Some(named) => named.texts(),
            None => {
                let all = run.ramps.iter().map(|ramp| ramp.workload.clone());
                let known: BTreeSet<String> = all.clone().collect();
                if known.is_empty() {
                    push(self.what.clone(), None);
                }
                known.into_iter().collect()
            }
        };
        for workload in named {
            let ramp = run.ramps.iter().find(|ramp| ramp.is_of(&workload));
            let found = ramp.and_then(|ramp| of_ramp(self.figure, ramp, self.instances));
            push(format!("{}: {workload}", self.what), found);
        }
    }
}

/// Keys of `machine.txt` that a rule may name.
const OF_MACHINE: [&str; 2] = ["icount_shift", "core_opt"];

/// Whether a run whose `machine.txt` lacks the key is shown as not judged, with the reason.
///
/// A run without `icount_shift` is not one of QEMU in that mode, so a rule about it does not apply.
fn is_told_where_missing(key: &str) -> bool {
    key == "core_opt"
}
