//! `wramp capture`: what a board prints, kept, checked and shown as it comes.
//!
//! The thread that reads writes to the disk before it hands anything on, so what came
//! over the cable is there whatever happens after. Unrelated lines pass through.

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
use crossterm::event::{self, Event as Key, KeyCode, KeyModifiers};
use ratatui::DefaultTerminal;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::log::{Log, Seen};
use crate::table::Which;
use crate::view::View;
use crate::{Outcome, Problem, print, save, source};

/// How often the view is drawn and the keyboard asked.
const FRAME: Duration = Duration::from_millis(100);

/// Options of `wramp capture`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp capture /dev/ttyUSB0 --save           a board; kept under results/<board>/
  wramp capture /dev/pts/3                    native_sim prints which PTY it took
  wramp capture tcp:127.0.0.1:5555            QEMU with -serial tcp:127.0.0.1:5555,server=on
  ./zephyr.exe | wramp capture - --plain | wramp table -

Ends at `wramp done` with the exit status that it says; 1 where it never came, 2 where no
record came at all.")]
pub struct CaptureArgs {
    /// A serial port or PTY, tcp:HOST:PORT, or - for stdin
    pub port: String,
    /// Bits a second of a serial port
    #[arg(long, default_value_t = 115_200)]
    pub baud: u32,
    /// Keep records, raw log and a description of this machine under results/
    #[arg(long)]
    pub save: bool,
    /// Where to keep every byte as it came (a new file in the temporary directory)
    #[arg(long, value_name = "FILE", conflicts_with = "save")]
    pub raw: Option<PathBuf>,
    /// Lines as they come in place of the live view
    #[arg(long)]
    pub plain: bool,
    /// Give up after so many seconds without a record
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
}

/// What the reading thread tells.
enum Event {
    /// These bytes came and are on disk.
    Bytes(Vec<u8>),
    /// The other end closed, or the port went away.
    Ended(Option<io::Error>),
    /// The disk took no more.
    NotKept(io::Error),
}

/// Reads, keeps, hands on, in this order.
fn pump(mut from: impl Read, mut raw: File, to: &SyncSender<Event>) {
    let mut chunk = vec![0; 16 << 10];
    loop {
        let event = match from.read(&mut chunk) {
            Ok(0) => Event::Ended(None),
            Ok(length) => match raw.write_all(&chunk[..length]) {
                Ok(()) => Event::Bytes(chunk[..length].to_vec()),
                Err(error) => Event::NotKept(error),
            },
            Err(error) => match error.kind() {
                io::ErrorKind::TimedOut
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted => continue,
                _ => Event::Ended(Some(error)),
            },
        };
        let last = !matches!(event, Event::Bytes(_));
        if to.send(event).is_err() || last {
            return;
        }
    }
}

/// Why a capture ended.
enum End {
    Done,
    Silent,
    Closed(Option<io::Error>),
    Interrupted,
}

/// The file for the raw bytes; never one that exists, unless it was named.
fn raw_file(args: &CaptureArgs) -> Result<(PathBuf, File), Problem> {
    let told = |path: &Path, error: &io::Error| {
        Problem::new(format!("cannot keep the raw log in {}: {error}", path.display()))
    };
    if let Some(path) = &args.raw {
        let file = File::create(path).map_err(|error| told(path, &error))?;
        return Ok((path.clone(), file));
    }
    let directory = if args.save { PathBuf::from(save::RESULTS) } else { std::env::temp_dir() };
    fs::create_dir_all(&directory).map_err(|error| told(&directory, &error))?;
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "");
    let path = directory.join(format!("capture-{time}-{}.log", std::process::id()));
    let file = File::create_new(&path).map_err(|error| told(&path, &error))?;
    Ok((path, file))
}

struct Capture<'a> {
    args: &'a CaptureArgs,
    log: Log,
    view: View,
    terminal: Option<DefaultTerminal>,
    heard: Instant,
    drawn: Instant,
    stdout_open: bool,
}

impl Capture<'_> {
    /// Takes bytes; each line is passed through, and what is odd is said at once.
    fn take(&mut self, bytes: &[u8], last: bool) {
        let Self { log, view, terminal, heard, stdout_open, .. } = self;
        let plain = terminal.is_none();
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
            if let Some(why) = &seen.complaint {
                remarks.push(format!("line {}: {why}", log.lines));
            }
            if plain {
                pass.extend_from_slice(line);
                pass.push(b'\n');
            } else if !seen.record || seen.complaint.is_some() {
                let text = String::from_utf8_lossy(line);
                if !text.trim().is_empty() {
                    view.line(&text);
                }
            }
        };
        if last {
            log.finish(each)
        } else {
            log.push(bytes, each)
        }
        if plain && *stdout_open {
            let mut out = io::stdout().lock();
            // A reader that left (`| head`) does not end the capture.
            *stdout_open = out.write_all(&pass).and_then(|()| out.flush()).is_ok();
        }
        for remark in remarks {
            if plain {
                eprintln!("wramp: {remark}");
            } else {
                view.line(&format!(">> {remark}"));
            }
        }
    }

    fn draw(&mut self) {
        if let Some(terminal) = &mut self.terminal
            && self.drawn.elapsed() >= FRAME
        {
            let (view, log, silence) = (&self.view, &self.log, self.heard.elapsed());
            // A terminal that went away does not end the capture.
            let _ = terminal.draw(|frame| view.draw(frame, log, silence));
            self.drawn = Instant::now();
        }
    }

    /// Whether a key asks for the end. In raw mode Ctrl-C is a key like any other.
    fn asked_by_key(&self) -> bool {
        if self.terminal.is_none() {
            return false;
        }
        while event::poll(Duration::ZERO).unwrap_or(false) {
            if let Ok(Key::Key(key)) = event::read() {
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                if key.code == KeyCode::Char('q') || control && key.code == KeyCode::Char('c') {
                    return true;
                }
            }
        }
        false
    }

    fn is_done(&self) -> bool {
        self.log.runs.last().is_some_and(|run| run.done.is_some())
    }

    fn run(&mut self, from: &Receiver<Event>, asked: &AtomicBool) -> Result<End, Problem> {
        let most = Duration::from_secs(self.args.timeout);
        loop {
            match from.recv_timeout(FRAME) {
                Ok(Event::Bytes(bytes)) => self.take(&bytes, false),
                Ok(Event::Ended(error)) => {
                    self.take(&[], true);
                    return Ok(if self.is_done() { End::Done } else { End::Closed(error) });
                }
                Ok(Event::NotKept(error)) => {
                    return Err(Problem::new(format!(
                        "cannot keep the raw log in {}: {error}",
                        self.view.raw
                    )));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Closed(None)),
            }
            self.draw();
            if self.is_done() {
                return Ok(End::Done);
            }
            if asked.load(Relaxed) || self.asked_by_key() {
                return Ok(End::Interrupted);
            }
            if self.heard.elapsed() >= most {
                return Ok(End::Silent);
            }
        }
    }

    /// What came last and what never did, in a sentence.
    fn what_never_came(&self) -> String {
        let log = &self.log;
        let Some(run) = log.runs.last() else {
            return if log.bytes == 0 {
                format!(
                    "nothing came from {}: is the board powered, and its console on this port?",
                    self.view.source
                )
            } else if log.is_noise() {
                format!(
                    "{} of {} bytes are no text: the board talks at another rate than --baud {} \
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
                (Some(_), _) => format!("the end of {}", ramp.workload),
                (None, Some(step)) => {
                    format!("{} with {} instances", ramp.workload, step.get().instances)
                }
                (None, None) => format!("the load of {}", ramp.workload),
            },
        };
        format!("`wramp done` never came; the last that came was {last}")
    }

    fn keep(&self, raw: &Path) -> Result<PathBuf, Problem> {
        let bytes =
            fs::read(raw).map_err(|error| Problem::new(format!("{}: {error}", raw.display())))?;
        let mut records = Vec::new();
        let mut again = Log::new("raw");
        let mut each = |_: &Log, line: &[u8], seen: &Seen| {
            if seen.record {
                records.extend_from_slice(line.trim_ascii_end());
                records.push(b'\n');
            }
        };
        again.push(&bytes, &mut each);
        again.finish(&mut each);
        let board = self.log.best().map_or("unknown", |run| run.board());
        let directory = save::save(board, &records)?;
        let kept = directory.join("raw.log");
        fs::rename(raw, &kept)
            .map_err(|error| Problem::new(format!("{}: {error}", kept.display())))?;
        Ok(directory)
    }
}

/// `wramp capture`.
///
/// # Errors
/// A source that cannot be opened, a disk that takes no more, or no record at all.
pub fn execute(args: &CaptureArgs) -> Outcome {
    let from = source::open(&args.port, args.baud)?;
    let (raw, file) = raw_file(args)?;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one ends at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
            .map_err(|error| Problem::new(format!("cannot listen for Ctrl-C: {error}")))?;
    }
    let live = !args.plain && io::stdout().is_terminal();
    if !live {
        eprintln!("wramp: reading {}, raw log in {}", args.port, raw.display());
    }
    let (to, events) = sync_channel(64);
    thread::spawn(move || pump(from, file, &to));

    let mut capture = Capture {
        args,
        log: Log::new(&args.port),
        view: View { source: args.port.clone(), raw: raw.display().to_string(), ..View::default() },
        terminal: live.then(ratatui::init),
        heard: Instant::now(),
        drawn: Instant::now(),
        stdout_open: true,
    };
    let end = capture.run(&events, &asked);
    if capture.terminal.take().is_some() {
        ratatui::restore();
    }
    let end = end?;
    capture.take(&[], true); // What came of a line that was cut off.

    let log = &capture.log;
    let why = match &end {
        End::Done => None,
        End::Silent => Some(format!("no record for {} s", args.timeout)),
        End::Closed(None) => Some(format!("{} was closed at the other end", args.port)),
        End::Closed(Some(error)) => Some(format!("{} went away ({error})", args.port)),
        End::Interrupted => Some("ended by Ctrl-C".to_owned()),
    };
    if let Some(why) = why {
        eprintln!("wramp: {why}: {}", capture.what_never_came());
    }
    for remark in log.remarks() {
        eprintln!("wramp: {remark}");
    }
    if args.save && !log.runs.is_empty() {
        eprintln!("saved: {}", capture.keep(&raw)?.display());
    } else if live {
        eprintln!("raw log: {}", raw.display());
    }
    if live && log.ramps().next().is_some() {
        print(&Which::Summary.of(std::slice::from_ref(log)).text())?;
    }
    if let Some(refusal) = log.refusal() {
        // What never came has been said already, where it ended before its time.
        return if matches!(end, End::Done) { Err(refusal) } else { Ok(ExitCode::from(2)) };
    }
    let status = log.runs.last().and_then(|run| run.done).map_or(1, |done| done.exit);
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}
