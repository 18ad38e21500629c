//! A gate: what modules may cost on a board, read from TOML, and an answer judged by it.
//!
//! ```toml
//! board = "nrf52840dk/nrf52840"
//! baseline = "fit.baseline.json"    # what `--write-baseline` wrote
//! wasm_stack_bytes = "fit"
//! most_growth_bytes = 0             # an instance may not grow
//!
//! [[module]]
//! file = "counter.wasm"
//! export = "tick"
//! count = "*"
//! least = 100                       # so many must fit
//! most_bytes = 700                  # an instance may take so many
//! most_us = 3000.0                  # a call may take so long
//! log = "board.log"                 # the run that says how long a call takes
//! ```
//!
//! A baseline holds the same answer of an earlier build. It explains what changed, part by part.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use wramp_core::config::DENSE_WORKERS;
use wramp_size::{Frame, Layout};

use crate::model::fitted::{Fitted, FittedGuest, Threads};
use crate::model::geometry::{WasmStack, bytes, wasm_stack};
use crate::model::log::Log;
use crate::model::mix::Item;
use crate::problem::Problem;

/// The file of a gate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The board, or a file that describes one.
    pub board: String,
    /// The baseline's file.
    pub baseline: Option<String>,
    #[serde(default)]
    mode: GateMode,
    workers: Option<u32>,
    slot_stack_bytes: Option<Size>,
    wasm_stack_bytes: Option<Size>,
    reserve_bytes: Option<Size>,
    /// RAM that must be left.
    pub least_spare_bytes: Option<i64>,
    /// By how much an instance may be larger than in the baseline.
    pub most_growth_bytes: Option<u32>,
    /// By how many fewer instances may fit than in the baseline.
    pub most_fewer: Option<u32>,
    /// The modules.
    #[serde(default)]
    pub module: Vec<Wanted>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GateMode {
    #[default]
    Threads,
    Pool,
}

/// `4096`, or `"4K"`, or `"fit"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Number(u32),
    Text(String),
}

impl Size {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// `3` or `"*"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Exactly(u32),
    Text(String),
}

/// One module of a gate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The module's file, or a built-in workload.
    file: String,
    export: Option<String>,
    count: Option<Number>,
    /// So many instances must fit.
    pub least: Option<u32>,
    /// An instance may take so many bytes of the arena.
    pub most_bytes: Option<u32>,
    /// The module itself may take so many bytes of the arena.
    pub most_module_bytes: Option<u32>,
    /// A call may take so long.
    pub most_us: Option<f64>,
    /// How long a call takes on the board.
    us: Option<f64>,
    /// The log of a run that says so.
    log: Option<String>,
}

/// Stack of a slot where the file names none, as `wramp fit` has it.
const SLOT_STACK_BYTES: u32 = 4096;

impl Gate {
    /// Reads a file of this form.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence that does not name it.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let gate: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            Problem::new(format!("line {line}: {}", error.message()))
        })?;
        if gate.module.is_empty() {
            return Err(Problem::new("no [[module]] in it: name one with `file = \"a.wasm\"`"));
        }
        for wanted in &gate.module {
            let item = wanted.item(Path::new(""))?;
            let name = item.name();
            if wanted.most_us.is_some() && wanted.us.is_none() && wanted.log.is_none() {
                return Err(Problem::new(format!(
                    "{name}: most_us needs the time of a call on the board: `log = \"run.log\"` of \
                     a run there, or `us = 2682.0`"
                )));
            }
            if wanted.us.is_some() && wanted.log.is_some() {
                return Err(Problem::new(format!("{name}: us or log, not both")));
            }
        }
        Ok(gate)
    }

    /// The mix; files are looked for beside the gate's own file.
    ///
    /// # Errors
    /// A number of instances that is none.
    pub fn mix(&self, beside: &Path) -> Result<Vec<Item>, Problem> {
        self.module.iter().map(|wanted| wanted.item(beside)).collect()
    }

    /// How instances share threads.
    #[must_use]
    pub fn threads(&self) -> Threads {
        match self.mode {
            GateMode::Threads => Threads::Each,
            GateMode::Pool => Threads::Pool { workers: self.workers.unwrap_or(DENSE_WORKERS) },
        }
    }

    /// Stack of a slot, interpreter stack of an instance, and RAM to keep free.
    ///
    /// # Errors
    /// A size that is none.
    pub fn sizes(&self) -> Result<(u32, WasmStack, u32), Problem> {
        fn of<T>(
            key: &str,
            size: Option<&Size>,
            default: T,
            read: impl Fn(&str) -> Result<T, String>,
        ) -> Result<T, Problem> {
            let named = |why: String| Problem::new(format!("{key}: {why}"));
            size.map_or(Ok(default), |size| read(&size.text()).map_err(named))
        }
        Ok((
            of("slot_stack_bytes", self.slot_stack_bytes.as_ref(), SLOT_STACK_BYTES, bytes)?,
            of(
                "wasm_stack_bytes",
                self.wasm_stack_bytes.as_ref(),
                WasmStack::Bytes(4096),
                wasm_stack,
            )?,
            of("reserve_bytes", self.reserve_bytes.as_ref(), 0, bytes)?,
        ))
    }
}

impl Wanted {
    fn item(&self, beside: &Path) -> Result<Item, Problem> {
        let count = match &self.count {
            None => String::new(),
            Some(Number::Exactly(number)) => format!("={number}"),
            Some(Number::Text(text)) => format!("={text}"),
        };
        let export = self.export.as_ref().map_or(String::new(), |export| format!(":{export}"));
        let text = format!("{}{export}{count}", self.file);
        let mut item: Item = text.parse().map_err(Problem::new)?;
        if !item.is_built_in() {
            item.module = beside.join(&item.module).to_string_lossy().into_owned();
        }
        Ok(item)
    }

    /// How long a call takes on the board, and what says so.
    ///
    /// # Errors
    /// A log that cannot be read, of another board, or without this module.
    pub fn time(&self, beside: &Path, board: &str) -> Result<Option<Time>, Problem> {
        if let Some(us) = self.us {
            return Ok(Some(Time { us, from: "the gate's file".to_owned(), module_bytes: None }));
        }
        let Some(path) = &self.log else { return Ok(None) };
        let name = self.item(beside)?.name();
        let log = Log::open(&beside.join(path).to_string_lossy())?;
        let run = log.best().ok_or_else(|| Problem::new(format!("{path}: no run in it")))?;
        if run.board() != board {
            return Err(Problem::new(format!(
                "{path} is a run of {}, and the gate is for {board}: times do not carry over",
                run.board()
            )));
        }
        let of_ramp = || {
            let ramp = run.ramps.iter().find(|ramp| ramp.is_of(&name))?;
            ramp.call_time().map(|call| (call.text.to_owned(), ramp))
        };
        let of_member = || {
            run.ramps.iter().find_map(|ramp| {
                let member = ramp
                    .members
                    .iter()
                    .find(|member| member.get().module.readable().to_string() == name)?;
                Some((member.value("latency_mean_us")?.to_owned(), ramp))
            })
        };
        let (text, ramp) = of_ramp()
            .or_else(of_member)
            .ok_or_else(|| Problem::new(format!("{path} has no time of a call of {name}")))?;
        let load =
            ramp.loads.iter().find(|load| load.get().workload.readable().to_string() == name);
        let us = text.parse().map_err(|_| Problem::new(format!("{path}: {text} is no time")))?;
        let module_bytes = load.map(|load| load.get().module_bytes.0);
        Ok(Some(Time { us, from: path.clone(), module_bytes }))
    }
}

/// How long a call takes on the board.
#[derive(Clone, Debug)]
pub struct Time {
    /// Microseconds.
    pub us: f64,
    /// What says so.
    pub from: String,
    /// Size of the module that was measured, where that is known.
    pub module_bytes: Option<u32>,
}

/// What a gate keeps of an answer, to compare the next one with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The board, as in the catalogue.
    pub board: String,
    /// The interpreter.
    pub interpreter: String,
    /// When the board's image was linked.
    pub image_date: String,
    /// RAM left, or missing.
    pub spare_bytes: i64,
    /// Each module.
    pub modules: BTreeMap<String, Kept>,
}

/// What a baseline keeps of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Instances that fit.
    pub instances: u32,
    /// Arena bytes of one.
    pub instance_bytes: u32,
    /// Arena bytes of the module.
    pub module_arena_bytes: u32,
    /// Bytes of the module itself.
    pub module_bytes: u32,
    /// What its first call needs of the interpreter stack.
    pub wasm_stack_needed_bytes: u32,
    /// What the bytes of an instance are for.
    pub parts: BTreeMap<String, u32>,
    /// What some of them consist of.
    pub made_of: BTreeMap<String, String>,
    /// What the functions keep on the interpreter stack.
    pub functions: Vec<Function>,
}

/// A function that a call can enter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its index, imports included.
    pub index: u32,
    /// Its name, where the module has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Words of its locals and operands.
    pub words: u32,
    /// Blocks that it is ever in at a time.
    pub blocks: u32,
}

impl From<Frame> for Function {
    fn from(frame: Frame) -> Self {
        let Frame { function, name, words, blocks } = frame;
        Self { index: function, name, words, blocks }
    }
}

impl Function {
    /// `function 7`, or `function 7 (parse)`.
    fn says(&self) -> String {
        match &self.name {
            Some(name) => format!("function {} ({name})", self.index),
            None => format!("function {}", self.index),
        }
    }

    /// Whether two builds of one module mean the same function.
    fn is(&self, other: &Self) -> bool {
        match (&self.name, &other.name) {
            (Some(own), Some(theirs)) => own == theirs,
            _ => self.index == other.index,
        }
    }
}

impl Baseline {
    /// What to keep of an answer.
    #[must_use]
    pub fn of(fitted: &Fitted) -> Self {
        let layout = Layout::of(fitted.board.pointer_bits, fitted.interpreter);
        let kept = |guest: &FittedGuest| {
            let FittedGuest { wasm, export, .. } = guest;
            let report = layout.and_then(|layout| wramp_size::sizes(wasm, layout).ok());
            let made_of = report.iter().flat_map(|report| &report.parts);
            let frames = wramp_size::frames(wasm, export).unwrap_or_default();
            let kept = Kept {
                instances: guest.instances,
                instance_bytes: guest.instance_bytes,
                module_arena_bytes: guest.module_arena_bytes,
                module_bytes: u32::try_from(wasm.len()).unwrap_or(u32::MAX),
                wasm_stack_needed_bytes: guest.wasm_stack_needed_bytes,
                parts: guest.parts.iter().map(|&(name, b)| (name.to_owned(), b)).collect(),
                made_of: made_of.map(|part| (part.name.to_owned(), part.made_of.clone())).collect(),
                functions: frames.into_iter().map(Function::from).collect(),
            };
            (guest.name.clone(), kept)
        };
        Self {
            board: fitted.board.board.clone(),
            interpreter: fitted.interpreter.to_owned(),
            image_date: fitted.board.image.date.to_string(),
            spare_bytes: fitted.spare_bytes,
            modules: fitted.guests.iter().map(kept).collect(),
        }
    }

    /// Why the two cannot be compared; `None` where they can.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Option<String> {
        [
            ("the board", &self.board, &other.board),
            ("the interpreter", &self.interpreter, &other.interpreter),
            ("the date of the board's image", &self.image_date, &other.image_date),
        ]
        .into_iter()
        .find(|(_, own, theirs)| own != theirs)
        .map(|(what, own, theirs)| format!("{what} was {theirs} and is {own}"))
    }
}

/// A part of an instance in two builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The part.
    pub part: String,
    /// Bytes before.
    pub was: u32,
    /// Bytes now.
    pub is: u32,
    /// Why, where that is known.
    pub because: Option<String>,
}

impl Change {
    /// By how many bytes it grew.
    #[must_use]
    pub fn by(&self) -> i64 {
        i64::from(self.is) - i64::from(self.was)
    }
}

impl Kept {
    /// What changed in an instance since `before`, the largest growth first.
    #[must_use]
    pub fn changes(&self, before: &Self) -> Vec<Change> {
        let names: BTreeSet<_> = self.parts.keys().chain(before.parts.keys()).collect();
        let mut all: Vec<_> = names
            .into_iter()
            .map(|part| {
                let of = |kept: &Self| kept.parts.get(part).copied().unwrap_or(0);
                let (was, is) = (of(before), of(self));
                Change {
                    part: part.clone(),
                    was,
                    is,
                    because: self.because(before, part, is > was),
                }
            })
            .filter(|change| change.was != change.is)
            .collect();
        all.sort_by_key(|change| std::cmp::Reverse((change.by(), change.part.clone())));
        all
    }

    fn because(&self, before: &Self, part: &str, grew: bool) -> Option<String> {
        match part {
            "wasm-stack" => self.deeper(before, grew),
            "allocator" => Some("headers and rounding of the blocks".to_owned()),
            // The engine's own parts have the same size in every build of the engine.
            _ => match (self.made_of.get(part), before.made_of.get(part)) {
                (Some(is), Some(was)) if is != was => Some(format!("{is}, {was} before")),
                (Some(is), None) => Some(format!("{is}, none before")),
                (None, Some(was)) => Some(format!("none, {was} before")),
                _ => None,
            },
        }
    }

    /// The function whose frame changed most.
    fn deeper(&self, before: &Self, grew: bool) -> Option<String> {
        let change = |one: &Function| {
            let was = before.functions.iter().find(|was| was.is(one))?;
            let by = |is: u32, was: u32| i64::from(is) - i64::from(was);
            // A word has 4 bytes, a block of the classic interpreter 16.
            Some(by(one.words, was.words) + 4 * by(one.blocks, was.blocks))
        };
        let sign = if grew { 1 } else { -1 };
        let changed = self
            .functions
            .iter()
            .filter_map(|one| Some((change(one)? * sign, one)))
            .filter(|(by, _)| *by > 0)
            .max_by_key(|(by, one)| (*by, std::cmp::Reverse(one.index)));
        if let Some((_, one)) = changed {
            let word = if grew { "grew" } else { "shrank" };
            return Some(format!("{}'s stack {word}", one.says()));
        }
        let new = |a: &Self, b: &Self| {
            let missing = |one: &&Function| !b.functions.iter().any(|other| other.is(one));
            a.functions.iter().filter(missing).max_by_key(|one| one.words).map(Function::says)
        };
        match grew {
            true => new(self, before).map(|name| format!("{name} is new")),
            false => new(before, self).map(|name| format!("{name} is gone")),
        }
    }
}

/// One module, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// What it is now.
    pub is: Kept,
    /// What it was.
    pub was: Option<Kept>,
    /// How long a call takes.
    pub time: Option<Time>,
    /// What is asked of it.
    pub wanted: Wanted,
    /// What changed in an instance.
    pub changes: Vec<Change>,
    /// What is wrong with it, a clause each.
    pub failures: Vec<String>,
}

impl Judged {
    /// `instance +24 B because function 7's stack grew`; `None` where it did not grow.
    #[must_use]
    pub fn growth(&self) -> Option<String> {
        let was = self.was.as_ref()?;
        let by = i64::from(self.is.instance_bytes) - i64::from(was.instance_bytes);
        if by == 0 {
            return None;
        }
        let same_way = |change: &&Change| change.by().signum() == by.signum();
        // Rounding follows from another part, so it explains nothing.
        let cause = self.changes.iter().filter(same_way).filter(|c| c.part != "allocator");
        let cause = cause.max_by_key(|change| change.by().abs());
        let because = match cause {
            Some(Change { because: Some(because), .. }) => format!(" because {because}"),
            Some(change) => format!(" because of its {}", change.part),
            None => String::new(),
        };
        Some(format!("instance {by:+} B{because}"))
    }

    /// `104 fit, 106 before`.
    fn fit(&self) -> String {
        let before = self.was.as_ref().map_or(String::new(), |was| {
            if was.instances == self.is.instances {
                ", as before".to_owned()
            } else {
                format!(", {} before", was.instances)
            }
        });
        format!("{} fit{before}", self.is.instances)
    }

    /// All that a reader should know of it, in one clause.
    #[must_use]
    pub fn story(&self) -> String {
        self.growth().into_iter().chain([self.fit()]).collect::<Vec<_>>().join("; ")
    }

    /// Whether the time is of another build of the module.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let measured = self.time.as_ref().and_then(|time| time.module_bytes);
        measured.is_some_and(|bytes| bytes != self.is.module_bytes)
    }
}

/// The gate's verdict.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Each module.
    pub modules: Vec<Judged>,
    /// What is wrong with the mix as a whole.
    pub failures: Vec<String>,
    /// Why the baseline was left out, where it was.
    pub no_baseline: Option<String>,
}

impl Verdict {
    /// Judges an answer. `times` are in the order of the gate's modules.
    #[must_use]
    pub fn of(
        gate: &Gate,
        fitted: &Fitted,
        now: &Baseline,
        before: Option<&Baseline>,
        times: Vec<Option<Time>>,
    ) -> Self {
        let no_baseline = before.and_then(|before| now.differs(before));
        let before = before.filter(|_| no_baseline.is_none());
        let judged = |((wanted, guest), time): ((&Wanted, &FittedGuest), Option<Time>)| {
            let is = now.modules[&guest.name].clone();
            let was = before.and_then(|before| before.modules.get(&guest.name)).cloned();
            let changes = was.as_ref().map_or(Vec::new(), |was| is.changes(was));
            let name = guest.name.clone();
            let mut one =
                Judged { name, is, was, time, wanted: wanted.clone(), changes, failures: vec![] };
            one.failures = failures(gate, fitted, &one);
            one
        };
        let all = gate.module.iter().zip(&fitted.guests).zip(times);
        let mut whole = Vec::new();
        if !fitted.fits {
            whole.push(format!("{} bytes of RAM are missing", -fitted.spare_bytes));
        } else if let Some(least) = gate.least_spare_bytes.filter(|&l| fitted.spare_bytes < l) {
            whole.push(format!("{} bytes to spare, at least {least} asked", fitted.spare_bytes));
        }
        Self { modules: all.map(judged).collect(), failures: whole, no_baseline }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.failures.is_empty() && self.modules.iter().all(|one| one.failures.is_empty())
    }

    /// The reason in one line.
    #[must_use]
    pub fn reason(&self) -> String {
        let modules = self
            .modules
            .iter()
            .filter(|one| !one.failures.is_empty())
            .map(|one| format!("{}: {} ({})", one.name, one.failures.join(", "), one.story()));
        let all: Vec<_> = self.failures.iter().cloned().chain(modules).collect();
        all.join("; ")
    }
}

fn failures(gate: &Gate, fitted: &Fitted, one: &Judged) -> Vec<String> {
    let Judged { is, was, wanted, time, .. } = one;
    let mut all = Vec::new();
    // A no has the instances that were asked for, and none of them fits.
    if fitted.fits
        && let Some(least) = wanted.least.filter(|&least| is.instances < least)
    {
        all.push(format!("at least {least} must fit"));
    }
    if let Some(most) = wanted.most_bytes.filter(|&most| is.instance_bytes > most) {
        all.push(format!("an instance takes {} B, at most {most} allowed", is.instance_bytes));
    }
    if let Some(most) = wanted.most_module_bytes.filter(|&most| is.module_arena_bytes > most) {
        all.push(format!("the module takes {} B, at most {most} allowed", is.module_arena_bytes));
    }
    if let Some(most) = wanted.most_us
        && let Some(time) = time
        && time.us > most
    {
        all.push(format!("a call takes {} us, at most {most} allowed", time.us));
    }
    if let Some(was) = was {
        let grew = is.instance_bytes.saturating_sub(was.instance_bytes);
        if let Some(most) = gate.most_growth_bytes.filter(|&most| grew > most) {
            all.push(format!("an instance grew by {grew} B, at most {most} allowed"));
        }
        let fewer = was.instances.saturating_sub(is.instances);
        if let Some(most) = gate.most_fewer.filter(|&most| fitted.fits && fewer > most) {
            all.push(format!("{fewer} fewer fit, at most {most} allowed"));
        }
    }
    all
}
