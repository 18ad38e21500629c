//! A log as a model: its runs, their ramps, and every line that could not be read.
//!
//! A log is whatever came over a cable: records between boot messages, lines cut in the middle,
//! bytes that are not text, a board that began again. [`Log::push`] takes bytes as they come and
//! never panics, whatever they are. It skips nothing silently: it counts each record that cannot
//! be read, and it keeps the first few of them.
//!
//! Memory is bounded, however long the log is. Lines of others are only counted. Where the kept
//! records would exceed [`KEPT_BYTES`], every second step and instance is dropped, and
//! [`Log::remarks`] says so.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::{memchr, memmem};
use wramp_core::report::{PREFIX, ParseError, Record, Word, steers};

use crate::model::kept::{Kept, Kind};
use crate::model::run_log::{RampLog, RunLog};
use crate::problem::Problem;

/// Of a longer line only the end is read, because that is where a record can be.
pub const LINE_BYTES: usize = 4096;
/// Bytes of records that are kept before they are thinned out.
pub const KEPT_BYTES: usize = 16 << 20;
/// Runs that are kept of a log: the first ones and the last. A board in a boot loop makes more.
pub const KEPT_RUNS: usize = 256;
/// Ramps that are kept of a log.
pub const KEPT_RAMPS: usize = 4096;
/// Remarks about runs that are shown; a boot loop would give one for each run.
pub const SHOWN_REMARKS: usize = 24;
/// Unreadable lines that are kept to be shown; the others are only counted.
pub const SHOWN_COMPLAINTS: usize = 5;

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

/// What a line turned out to be. Both are unset for an empty line and for someone else's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// A record was read from it. A line whose line end was lost holds several.
    pub record: bool,
    /// Why a record in it cannot be read, if there is such a record.
    pub complaint: Option<String>,
}

/// A log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Its name: that of its file or directory.
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
    /// Records of ramps beyond what is kept.
    pub beyond: u64,
    /// Whole runs between the first ones and the last that are not kept.
    pub dropped: u64,
    /// Bytes so far, line ends included.
    pub bytes: u64,
    /// Bytes among them that no boot message contains.
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

    /// Takes bytes as they come. It reads each whole line and hands it to `each`.
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

    /// Ends the log: reads the last line, which has no line end.
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
        // `from_utf8_lossy` goes byte by byte even where every byte is ASCII.
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
                    // It belongs to the run that was under way, even where a `run` record
                    // follows on the same line: a reset cut it short.
                    if let Some(run) = self.runs.last_mut() {
                        run.unread += 1;
                    }
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
                // The newest is the one that a capture waits for. What came before it in a boot
                // loop is more of the same.
                self.dropped += 1;
                self.runs.pop();
            }
            let header = Some(Kept::new(line));
            self.runs.push(RunLog { line: number, header, ..RunLog::default() });
            return;
        }
        if let Record::Plan(_) = record {
            return; // A prediction is not part of any run.
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
                // A ramp that has only loaded so far takes this module too. A ramp that went
                // further and did not end is over: this module is the next ramp's.
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
            Record::Park(park) => run.ramp(park.workload.0).parks.push(line),
            Record::Member(member) => push_few(&mut run.ramp(member.workload.0).members, line),
            Record::Mail(mail) => run.open(mail.workload.0).mails.push(line),
            Record::Answer(answer) => {
                run.open(answer.workload.0).answer = Some(Kept::new(line));
                line.len()
            }
            Record::Start(start) => push_few(&mut run.ramp(start.workload.0).starts, line),
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
            ramp.parks.thin();
            ramp.instances.thin();
            ramp.workers.thin();
            ramp.mails.thin();
            self.kept_bytes += ramp.steps.bytes()
                + ramp.parks.bytes()
                + ramp.instances.bytes()
                + ramp.workers.bytes()
                + ramp.mails.bytes();
        }
    }

    /// All ramps of all runs.
    pub fn ramps(&self) -> impl Iterator<Item = &RampLog> {
        self.runs.iter().flat_map(|run| &run.ramps)
    }

    /// The run to judge by: the last one that was done, or else the last one.
    #[must_use]
    pub fn best(&self) -> Option<&RunLog> {
        self.runs.iter().rev().find(|run| run.done.is_some()).or(self.runs.last())
    }

    /// Why nothing can be read here, if nothing can.
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
                "{name}: {} of {} bytes are not text: was it captured at another baud rate than \
                 the board's? Set --baud (Zephyr's consoles use 115200)",
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
                "{name}: no wramp record in its {} lines: is it the log of another program?",
                self.lines
            )
        }))
    }

    /// Whether much of it is not text. A wrong baud rate looks like that.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        self.bytes >= 32 && self.noise * 4 > self.bytes
    }

    /// What a reader should know about the log besides its figures, a sentence each.
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
        let of_runs = remarks.len();
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
                let knob = fault
                    .knob
                    .map_or(String::new(), |knob| format!(" (change {})", knob.readable()));
                let of = fault
                    .workload
                    .map_or(String::new(), |word: Word<'_>| format!(" of {}", word.readable()));
                remarks.push(format!("fault{of}: {words}{knob}"));
            }
        }
        let more = remarks.len().saturating_sub(of_runs + SHOWN_REMARKS);
        if more > 0 {
            remarks.truncate(of_runs + SHOWN_REMARKS);
            remarks.push(format!("{more} more remarks of this kind"));
        }
        if self.dropped > 0 {
            remarks.push(format!(
                "{} runs before the last one are not shown: the board is in a boot loop",
                self.dropped
            ));
        }
        if self.thinned {
            remarks.push(
                "too many records to keep: long ramps show only some of their steps and instances"
                    .into(),
            );
        }
        if self.beyond > 0 {
            remarks.push(format!("{} records of further ramps are not shown", self.beyond));
        }
        remarks
    }

    /// Reads a whole log.
    ///
    /// # Errors
    /// Where it cannot be read, and as [`refusal`](Self::refusal).
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

    /// Opens a log: a file, `-` for stdin, or the directory of a saved run.
    ///
    /// # Errors
    /// Where there is no such log; see [`read`](Self::read).
    pub fn open(path: &str) -> Result<Self, Problem> {
        if path == "-" {
            return Self::read("stdin", io::stdin().lock());
        }
        let file = file_of(Path::new(path));
        let opened = std::fs::File::open(&file)
            .map_err(|error| Problem::new(format!("{}: {error}", file.display())))?;
        Self::read(&name_of(Path::new(path)), opened)
    }
}

/// Keeps a record of a kind of which a ramp has a handful, up to a thousand. Returns by how many
/// bytes the kept text grew.
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

/// The directory of a saved run, where the path names it or the `run.log` in it.
#[must_use]
pub fn directory_of(path: &Path) -> Option<&Path> {
    let is_run = path.file_name().is_some_and(|name| name == "run.log");
    if path.is_dir() { Some(path) } else { path.parent().filter(|_| is_run) }
}

/// `board/date-commit` of a saved run, or the file's name.
fn name_of(path: &Path) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    match directory_of(path) {
        Some(directory) => {
            let parts = [directory.parent().and_then(last), last(directory)];
            let name = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
            if name.is_empty() { path.display().to_string() } else { name }
        }
        None => last(path).unwrap_or_else(|| path.display().to_string()),
    }
}

/// Counts bytes that no board prints on purpose, of at most 255.
///
/// Every byte of a log passes through here, so the loop has no branch.
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
    let clean = |c: char| if steers(c) { '.' } else { c };
    let mut shown: String = text.trim_end().chars().take(100).map(clean).collect();
    if text.trim_end().chars().nth(100).is_some() {
        shown.push_str("...");
    }
    shown
}
