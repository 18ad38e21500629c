//! `wramp capture`: keeps, checks and shows what a board prints, as it comes.
//!
//! The thread that reads writes to the disk before it hands anything on. So what came over the
//! cable is on the disk, whatever happens afterwards. Lines of others pass through.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use memchr::memmem;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::model::log::{Log, Seen, shown};
use crate::model::{port, results};
use crate::problem::{Outcome, Problem};
use crate::show::log_tables::LogTable;
use crate::show::terminal::{for_terminal, print, written};
use crate::show::view::Live;

/// How often the view is drawn and the keyboard is read.
const FRAME: Duration = Duration::from_millis(100);

/// Options of `wramp capture`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp capture /dev/ttyUSB0 --save           a board; kept under results/<board>/
  wramp capture /dev/pts/3                    native_sim prints which PTY it took
  wramp capture tcp:127.0.0.1:5555            QEMU with -serial tcp:127.0.0.1:5555,server=on
  ./zephyr.exe | wramp capture - --plain | wramp table -

Ends at `wramp done`. Exit status: what `wramp done` says; 1 where it never came; 2 where no record
came at all; 3 where the board says 0 and records of its run were lost on the way (a line could not
be read, or a ramp has no end).")]
pub struct CaptureArgs {
    /// A serial port or PTY, tcp:HOST:PORT, or - for stdin
    pub port: String,
    /// Bits a second of a serial port
    #[arg(long, default_value_t = 115_200)]
    pub baud: u32,
    /// Keep records, raw log and a description of this machine under results/
    #[arg(long)]
    pub save: bool,
    /// Where to keep every byte as it came (default: a new file in the temporary directory)
    #[arg(long, value_name = "FILE", conflicts_with = "save")]
    pub raw: Option<PathBuf>,
    /// Print lines as they come, without the live view; a terminal gets no control characters
    #[arg(long)]
    pub plain: bool,
    /// Give up after this many seconds without a record
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
}

/// The exit status where the board says 0 and records were lost on the way.
const INCOMPLETE: u8 = 3;

/// What the reading thread reports.
enum Heard {
    /// These bytes came and are on disk.
    Bytes(Vec<u8>),
    /// The other end closed, or the port went away.
    Ended(Option<io::Error>),
    /// The disk took no more.
    NotKept(io::Error),
}

/// Reads, keeps and hands on, in this order.
fn pump(mut from: impl Read, mut raw: File, to: &SyncSender<Heard>) {
    let mut chunk = vec![0; 16 << 10];
    loop {
        let event = match from.read(&mut chunk) {
            Ok(0) => Heard::Ended(None),
            Ok(length) => match raw.write_all(&chunk[..length]) {
                Ok(()) => Heard::Bytes(chunk[..length].to_vec()),
                Err(error) => Heard::NotKept(error),
            },
            Err(error) => match error.kind() {
                io::ErrorKind::TimedOut
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted => continue,
                _ => Heard::Ended(Some(error)),
            },
        };
        let last = !matches!(event, Heard::Bytes(_));
        if to.send(event).is_err() || last {
            return;
        }
    }
}

/// Why a capture ended.
enum Ending {
    Done,
    Silent,
    Stopped,
    Closed(Option<io::Error>),
    Interrupted,
}

/// The file for the raw bytes. It overwrites an existing file only where the user named it.
fn raw_file(args: &CaptureArgs) -> Result<(PathBuf, File), Problem> {
    let told = |path: &Path, error: &io::Error| {
        Problem::new(format!("cannot keep the raw log in {}: {error}", path.display()))
    };
    if let Some(path) = &args.raw {
        let file = File::create(path).map_err(|error| told(path, &error))?;
        return Ok((path.clone(), file));
    }
    let directory = if args.save { PathBuf::from(results::RESULTS) } else { std::env::temp_dir() };
    fs::create_dir_all(&directory).map_err(|error| told(&directory, &error))?;
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "");
    let path = directory.join(format!("capture-{time}-{}.log", std::process::id()));
    let file = File::create_new(&path).map_err(|error| told(&path, &error))?;
    Ok((path, file))
}

struct Capture<'a> {
    args: &'a CaptureArgs,
    log: Log,
    raw: &'a Path,
    live: Option<Live>,
    heard: Instant,
    drawn: Instant,
    stdout_open: bool,
    /// Whether a person sees the lines, and not a file or another program.
    to_terminal: bool,
    failed: Option<Problem>,
    /// The line in which the board's system says that it stopped, and when it came.
    stopped: Option<(String, Instant)>,
}

/// What Zephyr prints before it stops.
const STOPPED: &[u8] = b"ZEPHYR FATAL ERROR";
/// How long a board that stopped may take for what it still has to say.
const LAST_WORDS: Duration = Duration::from_secs(3);

impl Capture<'_> {
    /// Takes bytes, passes each line through, and reports at once what is odd.
    fn take(&mut self, bytes: &[u8], last: bool) {
        let Self { log, live, heard, stdout_open, to_terminal, failed, stopped, .. } = self;
        let mut pass = Vec::new();
        let mut remarks = Vec::new();
        let each = |log: &Log, line: &[u8], seen: &Seen| {
            if seen.record {
                *heard = Instant::now();
                let before = log.runs.len().checked_sub(2).map(|index| &log.runs[index]);
                if before.is_some_and(|run| run.reset == Some(log.lines)) {
                    remarks.push("the board began again before it was done: a reset".to_owned());
                }
            }
            // A board that began again has recovered.
            if seen.record && log.runs.last().is_some_and(|run| run.line == log.lines) {
                *stopped = None;
            }
            if !seen.record && stopped.is_none() && memmem::find(line, STOPPED).is_some() {
                *stopped = Some((shown(&String::from_utf8_lossy(line)), Instant::now()));
            }
            if let Some(why) = &seen.complaint {
                remarks.push(format!("line {}: {why}", log.lines));
            }
            match live {
                None => {
                    match to_terminal {
                        true => pass.extend_from_slice(for_terminal(line).as_bytes()),
                        false => pass.extend_from_slice(line),
                    }
                    pass.push(b'\n');
                }
                Some(live) if !seen.record || seen.complaint.is_some() => {
                    let text = String::from_utf8_lossy(line);
                    if !text.trim().is_empty() {
                        live.line(&text);
                    }
                }
                Some(_) => {}
            }
        };
        if last {
            log.finish(each)
        } else {
            log.push(bytes, each)
        }
        if live.is_none() && *stdout_open {
            let mut out = io::stdout().lock();
            // Neither a reader that left (`| head`) nor a full disk ends the capture: the raw
            // log goes on. A full disk is reported at the end.
            match written(out.write_all(&pass).and_then(|()| out.flush())) {
                Ok(open) => *stdout_open = open,
                Err(problem) => {
                    *stdout_open = false;
                    *failed = Some(problem);
                }
            }
        }
        for remark in remarks {
            match live {
                None => eprintln!("wramp: {remark}"),
                Some(live) => live.line(&format!(">> {remark}")),
            }
        }
    }

    fn draw(&mut self) {
        if let Some(live) = &mut self.live
            && self.drawn.elapsed() >= FRAME
        {
            live.draw(&self.log, self.heard.elapsed());
            self.drawn = Instant::now();
        }
    }

    /// Whether a key asks for the end.
    fn asked_by_key(&self) -> bool {
        self.live.as_ref().is_some_and(Live::asked_to_end)
    }

    fn is_done(&self) -> bool {
        self.log.runs.last().is_some_and(|run| run.done.is_some())
    }

    fn run(&mut self, from: &Receiver<Heard>, asked: &AtomicBool) -> Result<Ending, Problem> {
        let most = Duration::from_secs(self.args.timeout);
        loop {
            match from.recv_timeout(FRAME) {
                Ok(Heard::Bytes(bytes)) => self.take(&bytes, false),
                Ok(Heard::Ended(error)) => {
                    self.take(&[], true);
                    return Ok(if self.is_done() { Ending::Done } else { Ending::Closed(error) });
                }
                Ok(Heard::NotKept(error)) => {
                    return Err(Problem::new(format!(
                        "cannot keep the raw log in {}: {error}",
                        self.raw.display()
                    )));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Ending::Closed(None)),
            }
            self.draw();
            if self.is_done() {
                return Ok(Ending::Done);
            }
            if asked.load(Relaxed) || self.asked_by_key() {
                return Ok(Ending::Interrupted);
            }
            if self.stopped.as_ref().is_some_and(|(_, when)| when.elapsed() >= LAST_WORDS) {
                return Ok(Ending::Stopped);
            }
            if self.heard.elapsed() >= most {
                return Ok(Ending::Silent);
            }
        }
    }

    /// What came last and what never came, in a sentence.
    fn what_never_came(&self) -> String {
        let log = &self.log;
        let Some(run) = log.runs.last() else {
            return if log.bytes == 0 {
                format!(
                    "nothing came from {}: is the board powered, and its console on this port?",
                    self.args.port
                )
            } else if log.is_noise() {
                format!(
                    "{} of {} bytes are not text: the board talks at another rate than --baud {} \
                     (Zephyr's consoles use 115200)",
                    log.noise, log.bytes, self.args.baud
                )
            } else {
                format!(
                    "`wramp run` never came, only {} lines of something else: does the board run wramp?",
                    log.foreign
                )
            };
        };
        let last = match run.ramps.last() {
            None => "`wramp run`".to_owned(),
            Some(ramp) => match (&ramp.end, ramp.steps.last()) {
                (Some(_), _) => format!("the end of {}", ramp.name()),
                (None, Some(step)) => {
                    format!("{} with {} instances", ramp.name(), step.get().instances)
                }
                (None, None) => format!("the load of {}", ramp.name()),
            },
        };
        format!("`wramp done` never came; the last that came was {last}")
    }

    fn keep(&self, raw: &Path) -> Result<PathBuf, Problem> {
        let mut from =
            File::open(raw).map_err(|error| Problem::new(format!("{}: {error}", raw.display())))?;
        let best = self.log.best();
        let header = best.and_then(|run| run.header.as_ref()).map_or("", |header| header.line());
        let board = best.map_or("unknown", |run| run.board());
        let directory =
            results::save_large(board, header.as_bytes(), |to| records_of(&mut from, to))?;
        let kept = directory.join("raw.log");
        fs::rename(raw, &kept)
            .map_err(|error| Problem::new(format!("{}: {error}", kept.display())))?;
        Ok(directory)
    }
}

/// Copies the lines that hold records. A raw log may be larger than this machine's memory.
fn records_of(from: &mut impl Read, to: &mut dyn Write) -> io::Result<()> {
    let mut again = Log::new("raw");
    let mut outcome = Ok(());
    let mut each = |_: &Log, line: &[u8], seen: &Seen| {
        if seen.record && outcome.is_ok() {
            outcome = to.write_all(line.trim_ascii_end()).and_then(|()| to.write_all(b"\n"));
        }
    };
    let mut chunk = vec![0; 64 << 10];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => again.push(&chunk[..length], &mut each),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    again.finish(&mut each);
    outcome
}

/// `wramp capture`.
///
/// # Errors
/// A source that cannot be opened, a disk that takes no more, or no record at all.
pub fn execute(args: &CaptureArgs) -> Outcome {
    let from = port::open(&args.port, args.baud)?;
    let (raw, file) = raw_file(args)?;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second signal ends the process at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
            .map_err(|error| Problem::new(format!("cannot listen for Ctrl-C: {error}")))?;
    }
    let live = match !args.plain && io::stdout().is_terminal() {
        true => Live::start(&args.port, &raw.display().to_string()),
        false => None,
    };
    let was_live = live.is_some();
    if !was_live {
        eprintln!("wramp: reading {}, raw log in {}", args.port, raw.display());
    }
    let (to, events) = sync_channel(64);
    thread::spawn(move || pump(from, file, &to));

    let mut capture = Capture {
        args,
        log: Log::new(&args.port),
        raw: &raw,
        live,
        heard: Instant::now(),
        drawn: Instant::now(),
        stdout_open: true,
        to_terminal: io::stdout().is_terminal(),
        failed: None,
        stopped: None,
    };
    let end = capture.run(&events, &asked);
    // The terminal is a person's again.
    capture.live = None;
    // What comes below is no part of the log.
    capture.stdout_open &= !was_live;
    let end = end?;
    capture.take(&[], true); // The line that was cut off.

    let log = &capture.log;
    let why = match &end {
        Ending::Done => None,
        Ending::Stopped => Some("the board stopped".to_owned()),
        Ending::Silent => Some(format!("no record for {} s", args.timeout)),
        Ending::Closed(None) => Some(format!("{} was closed at the other end", args.port)),
        Ending::Closed(Some(error)) => Some(format!("{} went away ({error})", args.port)),
        Ending::Interrupted => Some("ended by Ctrl-C".to_owned()),
    };
    if let Some(why) = why {
        eprintln!("wramp: {why}: {}", capture.what_never_came());
    }
    // The live view took its screen with it.
    if let (Some((line, _)), false) = (&capture.stopped, matches!(end, Ending::Done)) {
        eprintln!("wramp: the board's own words: {line}");
    }
    for remark in log.remarks() {
        eprintln!("wramp: {remark}");
    }
    if args.save && !log.runs.is_empty() {
        eprintln!("saved: {}", capture.keep(&raw)?.display());
    } else if was_live {
        eprintln!("raw log: {}", raw.display());
    }
    if was_live && log.ramps().next().is_some() {
        print(&LogTable::Summary.of(std::slice::from_ref(log)).text())?;
    }
    if let Some(refusal) = log.refusal() {
        // Where the capture ended early, the message about it was printed above.
        return if matches!(end, Ending::Done) { Err(refusal) } else { Ok(ExitCode::from(2)) };
    }
    if let Some(problem) = capture.failed {
        return Err(problem);
    }
    let Some((run, done)) = log.runs.last().and_then(|run| Some((run, run.done?))) else {
        return Ok(ExitCode::from(1));
    };
    if done.exit == 0
        && let Some(losses) = run.losses()
    {
        eprintln!("wramp: the capture is incomplete: {losses}");
        return Ok(ExitCode::from(INCOMPLETE));
    }
    Ok(ExitCode::from(u8::try_from(done.exit).unwrap_or(1)))
}
