//! A log as a model: runs, their ramps, and every line that could not be read.
//!
//! A log is whatever came over a cable: records between boot messages, lines cut in
//! the middle, bytes that are no text, a board that began again. [`Log::push`] takes
//! bytes as they come and never panics, whatever they are. Nothing is skipped in
//! silence: a record that cannot be read is counted, and the first few are kept.
//!
//! Memory is bounded, however long the log: foreign lines are only counted, and
//! where the kept records would pass [`KEPT_BYTES`] every second step and instance is
//! let go (and [`Log::remarks`] says so).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use memchr::{memchr, memmem};
use wramp_core::report::{
    Done, End, Fault, Fit, Instance, Load, PREFIX, ParseError, Part, Predict, Record, Run, Step,
    Worker,
};

use crate::Problem;

/// Of a longer line only the end is looked at: that is where a record can be.
pub const LINE_BYTES: usize = 4096;
/// Text of records kept before they are thinned out.
pub const KEPT_BYTES: usize = 16 << 20;
/// Runs kept of a log: a board in a boot loop makes more.
pub const KEPT_RUNS: usize = 256;
/// Ramps kept of a log.
pub const KEPT_RAMPS: usize = 4096;
/// Unreadable lines that are kept to be shown; the rest is only counted.
pub const SHOWN_COMPLAINTS: usize = 5;

/// A kind of record, for [`Kept`].
pub trait Kind {
    /// The record itself.
    type Record<'a>;
    /// The record, where it is of this kind.
    fn of(record: Record<'_>) -> Option<Self::Record<'_>>;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $record:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Kind for $name {
            type Record<'a> = $record<'a>;
            fn of(record: Record<'_>) -> Option<$record<'_>> {
                match record {
                    Record::$record(record) => Some(record),
                    _ => None,
                }
            }
        }
    )*};
}

kinds! {
    /// `wramp run`.
    RunKind = Run;
    /// `wramp load`.
    LoadKind = Load;
    /// `wramp fit`.
    FitKind = Fit;
    /// `wramp predict`.
    PredictKind = Predict;
    /// `wramp part`.
    PartKind = Part;
    /// `wramp step`.
    StepKind = Step;
    /// `wramp instance`.
    InstanceKind = Instance;
    /// `wramp worker`.
    WorkerKind = Worker;
    /// `wramp end`.
    EndKind = End;
    /// `wramp fault`.
    FaultKind = Fault;
}

/// A record of a known kind, kept as its line: smaller than the record where most keys
/// are absent, it owns its words, and keys of a newer writer stay in it.
#[derive(Clone, Debug)]
pub struct Kept<K> {
    text: Box<str>,
    kind: PhantomData<K>,
}

impl<K: Kind> Kept<K> {
    fn new(line: &str) -> Self {
        Self { text: line.into(), kind: PhantomData }
    }

    /// The record.
    #[must_use]
    pub fn get(&self) -> K::Record<'_> {
        match Record::parse(&self.text).ok().flatten().and_then(K::of) {
            Some(record) => record,
            // `Log::take` kept this very text because it parsed as this kind.
            None => unreachable!("a kept line no longer parses: {}", self.text),
        }
    }

    /// The line, from its prefix to its CRC.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.text
    }

    /// A key's value as it stands in the line.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.text
            .split_ascii_whitespace()
            .find_map(|word| word.split_once('=').filter(|(k, _)| *k == key).map(|(_, v)| v))
    }
}

/// Records of a kind in their order, thinned out where they are too many.
#[derive(Clone, Debug)]
pub struct Rows<K> {
    kept: Vec<Kept<K>>,
    newest: Option<Kept<K>>,
    stride: usize,
    seen: usize,
}

impl<K: Kind> Default for Rows<K> {
    fn default() -> Self {
        Self { kept: Vec::new(), newest: None, stride: 1, seen: 0 }
    }
}

impl<K: Kind> Rows<K> {
    /// Returns the bytes that are kept more than before.
    fn push(&mut self, line: &str) -> usize {
        let keep = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if keep {
            self.newest = None;
            self.kept.push(Kept::new(line));
            line.len()
        } else {
            self.newest = Some(Kept::new(line));
            0
        }
    }

    fn thin(&mut self) {
        let mut index = 0;
        let last = self.kept.len().saturating_sub(1);
        let mut newest = None;
        self.kept.retain(|kept| {
            let keep = index % 2 == 0;
            if index == last && !keep {
                newest = Some(kept.text.clone());
            }
            index += 1;
            keep
        });
        if self.newest.is_none() {
            self.newest = newest.map(|text| Kept { text, kind: PhantomData });
        }
        self.kept.shrink_to_fit();
        self.stride *= 2;
    }

    fn bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.text.len()).sum()
    }

    /// What is kept, in order; the newest is always among them.
    pub fn iter(&self) -> impl Iterator<Item = &Kept<K>> {
        self.kept.iter().chain(&self.newest)
    }

    /// The newest.
    #[must_use]
    pub fn last(&self) -> Option<&Kept<K>> {
        self.newest.as_ref().or(self.kept.last())
    }

    /// How many there were, kept or not.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }
}

/// One workload's ramp.
#[derive(Clone, Debug, Default)]
pub struct Ramp {
    /// The workload, as the ramp calls it (`cpu`, `mixed`, `cpu@core0`).
    pub workload: String,
    /// Modules that were loaded for it; none where each instance loads its own.
    pub loads: Vec<Kept<LoadKind>>,
    /// Interpreter stacks that were fitted to the modules.
    pub fits: Vec<Kept<FitKind>>,
    /// What the first instance said about the rest.
    pub predict: Option<Kept<PredictKind>>,
    /// What an instance's cost consists of.
    pub parts: Vec<Kept<PartKind>>,
    /// The rungs.
    pub steps: Rows<StepKind>,
    /// The instances.
    pub instances: Rows<InstanceKind>,
    /// The workers of a pool.
    pub workers: Rows<WorkerKind>,
    /// How it ended, if it did.
    pub end: Option<Kept<EndKind>>,
}

impl Ramp {
    /// Most instances: as the end says, or as many as were seen.
    #[must_use]
    pub fn peak(&self) -> u32 {
        match &self.end {
            Some(end) => end.get().peak,
            None => self.steps.iter().map(|step| step.get().instances).max().unwrap_or(0),
        }
    }

    /// Arena bytes of the modules that were loaded for it; unknown where none was named.
    #[must_use]
    pub fn module_arena_bytes(&self) -> Option<u64> {
        let bytes = self.loads.iter().map(|load| u64::from(load.get().arena_bytes.0));
        (!self.loads.is_empty()).then(|| bytes.sum())
    }
}

/// One run: from its `run` record to its `done`, or to where it was cut off.
#[derive(Clone, Debug, Default)]
pub struct RunLog {
    /// Number of the line that it begins in, from 1.
    pub line: u64,
    /// Machine, versions and knobs; absent where the log begins in the middle.
    pub header: Option<Kept<RunKind>>,
    /// Its ramps, in order.
    pub ramps: Vec<Ramp>,
    /// What could not go on.
    pub faults: Vec<Kept<FaultKind>>,
    /// Its last record.
    pub done: Option<Done>,
    /// Number of the line in which the board began again before this run was done.
    pub reset: Option<u64>,
    pending: Pending,
}

/// What comes before a ramp is named: its modules may bear other names than it does.
#[derive(Clone, Debug, Default)]
struct Pending {
    loads: Vec<Kept<LoadKind>>,
    fits: Vec<Kept<FitKind>>,
    parts: Vec<Kept<PartKind>>,
}

impl RunLog {
    /// The board, or `?` where the log begins in the middle.
    #[must_use]
    pub fn board(&self) -> &str {
        self.header.as_ref().and_then(|header| header.value("board")).unwrap_or("?")
    }

    /// The ramp that a record of `workload` belongs to.
    fn ramp(&mut self, workload: &str) -> &mut Ramp {
        let open =
            self.ramps.last().is_some_and(|ramp| ramp.end.is_none() && ramp.workload == workload);
        if !open {
            let Pending { loads, fits, parts } = std::mem::take(&mut self.pending);
            let workload = workload.into();
            self.ramps.push(Ramp { workload, loads, fits, parts, ..Ramp::default() });
        }
        let newest = self.ramps.len() - 1;
        &mut self.ramps[newest]
    }

    /// The ramp that goes on, where one does: the record may be of one of its modules.
    fn open(&mut self, workload: &str) -> &mut Ramp {
        let going_on =
            self.pending.loads.is_empty() && self.ramps.last().is_some_and(|r| r.end.is_none());
        if going_on {
            let newest = self.ramps.len() - 1;
            return &mut self.ramps[newest];
        }
        self.ramp(workload)
    }

    /// A module was loaded and nothing came after: a ramp all the same.
    fn settle(&mut self) {
        if let Some(load) = self.pending.loads.last() {
            let workload = load.get().workload.0.to_owned();
            self.ramp(&workload);
        }
    }
}

/// A line that looks like a record and cannot be read.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// Its number, from 1.
    pub line: u64,
    /// Why.
    pub why: String,
    /// The line, cut.
    pub text: String,
}

/// What a line turned out to be: neither where it is someone else's, or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// A record was read from it; of a line whose end was lost there are several.
    pub record: bool,
    /// It holds one that cannot be read, and why.
    pub complaint: Option<String>,
}

/// A log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// What to call it: its file or directory.
    pub name: String,
    /// Its runs, in order.
    pub runs: Vec<RunLog>,
    /// Lines so far.
    pub lines: u64,
    /// Lines of others among them.
    pub foreign: u64,
    /// Lines with a record that could not be read.
    pub unread: u64,
    /// The first few of those.
    pub complaints: Vec<Complaint>,
    /// Records of runs and ramps beyond what is kept.
    pub beyond: u64,
    /// Bytes so far, line ends included.
    pub bytes: u64,
    /// Bytes among them that are no text in any boot message.
    pub noise: u64,
    newer: Option<u32>,
    partial: Vec<u8>,
    kept_bytes: usize,
    thinned: bool,
}

impl Log {
    /// An empty log of that name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Takes bytes as they come; whole lines are read and shown to `each`.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&Self, &[u8], &Seen)) {
        self.bytes += bytes.len() as u64;
        self.noise += bytes.chunks(255).map(noise).sum::<u64>();
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.partial.is_empty() {
                let seen = self.line(line);
                each(self, line, &seen);
            } else {
                self.keep_partial(line);
                let line = std::mem::take(&mut self.partial);
                let seen = self.line(&line);
                each(self, &line, &seen);
            }
            bytes = rest;
        }
        self.keep_partial(bytes);
    }

    /// Reads what is left without a line end; the log is over.
    pub fn finish(&mut self, mut each: impl FnMut(&Self, &[u8], &Seen)) {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            let seen = self.line(&line);
            each(self, &line, &seen);
        }
        if let Some(run) = self.runs.last_mut() {
            run.settle();
        }
    }

    /// The line that has no end yet.
    #[must_use]
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    fn keep_partial(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(LINE_BYTES)..];
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > 2 * LINE_BYTES {
            self.partial.drain(..self.partial.len() - LINE_BYTES);
        }
    }

    fn line(&mut self, line: &[u8]) -> Seen {
        self.lines += 1;
        let line = &line[line.len().saturating_sub(LINE_BYTES)..];
        let prefix = PREFIX.as_bytes();
        if !line.starts_with(prefix) && memmem::find(line, prefix).is_none() {
            self.foreign += 1;
            return Seen::default();
        }
        // `from_utf8_lossy` goes byte by byte even where all is ASCII.
        let text =
            std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
        let mut seen = Seen::default();
        for found in Record::locate_all(&text) {
            match found {
                Ok((record, own)) => {
                    self.take(record, own);
                    seen.record = true;
                }
                Err(error) => {
                    if let ParseError::Newer { format } = error {
                        self.newer = Some(format);
                    }
                    seen.complaint.get_or_insert_with(|| error.to_string());
                }
            }
        }
        match &seen.complaint {
            Some(why) => self.complain(why, &text),
            None if !seen.record => self.foreign += 1,
            None => {}
        }
        seen
    }

    fn complain(&mut self, why: &str, text: &str) {
        self.unread += 1;
        if self.complaints.len() < SHOWN_COMPLAINTS {
            let (why, text) = (why.to_owned(), shown(text));
            self.complaints.push(Complaint { line: self.lines, why, text });
        }
    }

    fn take(&mut self, record: Record<'_>, line: &str) {
        if let Record::Run(_) = record {
            let number = self.lines;
            if let Some(run) = self.runs.last_mut() {
                run.settle();
                if run.done.is_none() && run.header.is_some() {
                    run.reset = Some(number);
                }
            }
            if self.runs.len() >= KEPT_RUNS {
                self.beyond += 1;
                return;
            }
            let header = Some(Kept::new(line));
            self.runs.push(RunLog { line: number, header, ..RunLog::default() });
            return;
        }
        if let Record::Plan(_) = record {
            return; // A prediction is no part of any run.
        }
        if self.runs.is_empty() {
            self.runs.push(RunLog { line: self.lines, ..RunLog::default() });
        }
        let full = self.ramps().count() >= KEPT_RAMPS;
        let newest = self.runs.len() - 1;
        let run = &mut self.runs[newest];
        let kept = match record {
            Record::Load(_) if full || run.pending.loads.len() >= 64 => {
                self.beyond += 1;
                0
            }
            Record::Load(_) => {
                // The ramp before it did not end: its loads are not this one's.
                if run.pending.loads.is_empty()
                    && let Some(ramp) = run.ramps.last_mut()
                    && ramp.end.is_none()
                    && ramp.steps.is_empty()
                    && ramp.predict.is_none()
                {
                    ramp.loads.push(Kept::new(line));
                } else {
                    run.pending.loads.push(Kept::new(line));
                }
                line.len()
            }
            Record::Fault(_) if run.faults.len() >= 64 => {
                self.beyond += 1;
                0
            }
            Record::Fault(_) => {
                run.faults.push(Kept::new(line));
                line.len()
            }
            Record::Done(done) => {
                run.settle();
                run.done = Some(done);
                0
            }
            _ if full => {
                self.beyond += 1;
                0
            }
            Record::Predict(predict) => {
                run.ramp(predict.workload.0).predict = Some(Kept::new(line));
                line.len()
            }
            Record::Step(step) => run.ramp(step.workload.0).steps.push(line),
            Record::Instance(instance) => run.open(instance.workload.0).instances.push(line),
            Record::Worker(worker) => run.open(worker.workload.0).workers.push(line),
            Record::Fit(fit) => {
                let pending = !run.pending.loads.is_empty();
                let fits = match pending {
                    true => &mut run.pending.fits,
                    false => &mut run.open(fit.workload.0).fits,
                };
                push_few(fits, line)
            }
            Record::Part(part) => {
                let pending = !run.pending.loads.is_empty();
                let parts = match pending {
                    true => &mut run.pending.parts,
                    false => &mut run.open(part.workload.0).parts,
                };
                push_few(parts, line)
            }
            Record::End(end) => {
                run.ramp(end.workload.0).end = Some(Kept::new(line));
                line.len()
            }
            _ => 0,
        };
        self.kept_bytes += kept;
        if self.kept_bytes > KEPT_BYTES {
            self.thin();
        }
    }

    fn thin(&mut self) {
        self.thinned = true;
        self.kept_bytes = 0;
        for ramp in self.runs.iter_mut().flat_map(|run| &mut run.ramps) {
            ramp.steps.thin();
            ramp.instances.thin();
            ramp.workers.thin();
            self.kept_bytes += ramp.steps.bytes() + ramp.instances.bytes() + ramp.workers.bytes();
        }
    }

    /// All ramps of all runs.
    pub fn ramps(&self) -> impl Iterator<Item = &Ramp> {
        self.runs.iter().flat_map(|run| &run.ramps)
    }

    /// The run to judge by: the last that was done, or else the last.
    #[must_use]
    pub fn best(&self) -> Option<&RunLog> {
        self.runs.iter().rev().find(|run| run.done.is_some()).or(self.runs.last())
    }

    /// Why nothing can be read here, if that is so.
    #[must_use]
    pub fn refusal(&self) -> Option<Problem> {
        let name = &self.name;
        if let Some(format) = self.newer {
            let newer = ParseError::Newer { format };
            return Some(Problem::new(format!("{name}: {newer}")));
        }
        if !self.runs.is_empty() {
            return None;
        }
        Some(Problem::new(if self.bytes == 0 {
            format!("{name} is empty: give the log of a wramp run (`wramp run --format records`)")
        } else if self.is_noise() {
            format!(
                "{name}: {} of {} bytes are no text: captured at another baud rate than the \
                 board's? Set --baud (Zephyr's consoles use 115200)",
                self.noise, self.bytes
            )
        } else if self.unread > 0 {
            format!(
                "{name}: none of its {} records is readable (first, in line {}: {}): capture it again",
                self.unread,
                self.complaints.first().map_or(0, |c| c.line),
                self.complaints.first().map_or("", |c| &c.why),
            )
        } else {
            format!(
                "{name}: no wramp record in its {} lines: the log of another program?",
                self.lines
            )
        }))
    }

    /// Whether most of it is no text: what a wrong baud rate looks like.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        self.bytes >= 32 && self.noise * 4 > self.bytes
    }

    /// What a reader should know of the log besides its figures, a sentence each.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.unread > 0 {
            let mut text = format!("{} of {} lines could not be read", self.unread, self.lines);
            for complaint in &self.complaints {
                let Complaint { line, why, text: shown } = complaint;
                let _ = write!(text, "\n  line {line}: {why}: {shown}");
            }
            if self.unread > self.complaints.len() as u64 {
                text.push_str("\n  ...");
            }
            remarks.push(text);
        }
        for (number, run) in self.runs.iter().enumerate() {
            let number = number + 1;
            if run.header.is_none() {
                remarks
                    .push(format!("run {number} has no run record: the log begins in its middle"));
            }
            if let Some(line) = run.reset {
                remarks.push(format!(
                    "the board began again in line {line} before run {number} was done: a reset"
                ));
            } else if run.done.is_none() {
                remarks.push(format!("run {number} is not done: the log ends in its middle"));
            }
            for fault in &run.faults {
                let fault = fault.get();
                let words = fault.message.readable().to_string();
                let knob = fault.knob.map_or(String::new(), |knob| format!(" (change {})", knob.0));
                remarks.push(format!("fault: {words}{knob}"));
            }
        }
        if self.thinned {
            remarks.push(
                "too many records to keep: of long ramps only some steps and instances are shown"
                    .into(),
            );
        }
        if self.beyond > 0 {
            remarks
                .push(format!("{} records of further runs and ramps are not shown", self.beyond));
        }
        remarks
    }

    /// Reads a whole log.
    ///
    /// # Errors
    /// Where it cannot be read, and [`refusal`](Self::refusal).
    pub fn read(name: &str, mut from: impl Read) -> Result<Self, Problem> {
        let mut log = Self::new(name);
        let mut chunk = vec![0; 64 << 10];
        loop {
            match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => log.push(&chunk[..length], |_, _, _| ()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Problem::new(format!("{name}: {error}"))),
            }
        }
        log.finish(|_, _, _| ());
        log.refusal().map_or(Ok(log), Err)
    }

    /// Opens a log: a file, `-` for stdin, or the directory of a saved run. Its remarks
    /// go to stderr.
    ///
    /// # Errors
    /// Where there is none; see [`read`](Self::read).
    pub fn open(path: &str) -> Result<Self, Problem> {
        let log = if path == "-" {
            Self::read("stdin", io::stdin().lock())?
        } else {
            let file = file_of(Path::new(path));
            let opened = std::fs::File::open(&file)
                .map_err(|error| Problem::new(format!("{}: {error}", file.display())))?;
            Self::read(&name_of(Path::new(path)), opened)?
        };
        for remark in log.remarks() {
            eprintln!("{}: {remark}", log.name);
        }
        Ok(log)
    }
}

/// Keeps a record of which a ramp has a handful, and no more than a thousand. Returns the
/// bytes that are kept more than before.
fn push_few<K: Kind>(kept: &mut Vec<Kept<K>>, line: &str) -> usize {
    if kept.len() >= 1024 {
        return 0;
    }
    kept.push(Kept::new(line));
    line.len()
}

/// The log file itself, where a saved run's directory was named.
fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("run.log") } else { path.into() }
}

/// `board/date-commit` of a saved run, or the file's name.
fn name_of(path: &Path) -> String {
    let is_run = path.file_name().is_some_and(|name| name == "run.log");
    let saved = if path.is_dir() { Some(path) } else { path.parent().filter(|_| is_run) };
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    match saved {
        Some(directory) => {
            let parts = [directory.parent().and_then(last), last(directory)];
            let name = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
            if name.is_empty() { path.display().to_string() } else { name }
        }
        None => last(path).unwrap_or_else(|| path.display().to_string()),
    }
}

/// Bytes that stand in no line a board prints on purpose. Of at most 255, each judged
/// without a branch: every byte of a log goes through here.
fn noise(bytes: &[u8]) -> u64 {
    let is_noise = |byte: u8| {
        let is_text = (b' '..0x7f).contains(&byte);
        let is_control = (byte == b'\t') | (byte == b'\r') | (byte == b'\n') | (byte == 0x1b);
        u8::from(!(is_text | is_control))
    };
    u64::from(bytes.iter().fold(0_u8, |sum, &byte| sum + is_noise(byte)))
}

/// A foreign line made safe for a terminal, and cut.
#[must_use]
pub fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '.' } else { c };
    let mut shown: String = text.trim_end().chars().take(100).map(clean).collect();
    if text.trim_end().chars().nth(100).is_some() {
        shown.push_str("...");
    }
    shown
}
