//! `wramp-fuzz`: hostile modules against the engine, its neighbours and another engine.
//!
//! Each batch runs in a process of its own, which says on a pipe what it is about to do. So a
//! crash or an endless loop costs one module, and the parent knows which. The same seed makes the
//! same module. What is found is made smaller, saved once for each kind, and printed at the end.

mod make;
mod shrink;
mod subject;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use subject::Found;

const USAGE: &str = "\
wramp-fuzz [--modules N] [--seed N] [--save DIR]   N generated modules, from that seed on
wramp-fuzz --replay FILE...                         saved modules, .wasm or .wat
wramp-fuzz --minimise FILE OUT                      the same find in a smaller module

Exit status: 0 nothing found; 1 something found, saved and named; 2 wrong input.";

/// Modules of a process.
const BATCH: u64 = 250;
/// How long one module may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a part of a module is left out, at most.
const MOST_TRIES: usize = 300;

/// Counts of a generator, in the order of `subject::COUNTS`.
type Counts = [u64; subject::COUNTS.len()];

/// What a campaign knows so far.
#[derive(Default)]
struct Campaign {
    counts: BTreeMap<String, Counts>,
    /// How often each kind was found, and where the first of it was saved.
    found: BTreeMap<String, (u64, PathBuf)>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--batch", first, count] => match (first.parse(), count.parse()) {
            (Ok(first), Ok(count)) => batch(first, count),
            _ => wrong(),
        },
        ["--one", file] => one(Path::new(file)),
        ["--minimise", file, out] => minimise(Path::new(file), Path::new(out)),
        ["--replay", files @ ..] if !files.is_empty() => replay(files),
        options => {
            let (mut modules, mut seed, mut save) = (2_000, 0, PathBuf::from("found"));
            for pair in options.chunks(2) {
                match (pair, pair.last().and_then(|word| word.parse().ok())) {
                    (["--modules", _], Some(count)) => modules = count,
                    (["--seed", _], Some(first)) => seed = first,
                    (["--save", directory], _) => save = PathBuf::from(directory),
                    _ => return wrong(),
                }
            }
            campaign(seed, modules, &save)
        }
    }
}

fn wrong() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// The child: makes and runs modules, and says so line by line.
fn batch(first: u64, count: u64) -> ExitCode {
    for seed in first..first.saturating_add(count) {
        let made = make::module(seed);
        println!("at {seed} {}", made.by);
        let seen = subject::run(&made.wasm);
        let counts: Vec<String> = seen.counts.iter().map(ToString::to_string).collect();
        println!("did {} {}", made.by, counts.join(" "));
        if let Some(found) = seen.found {
            println!("found {seed} {}", found.as_str());
            println!("note {}", seen.note);
        }
    }
    println!("end");
    ExitCode::SUCCESS
}

/// The child for one file.
fn one(file: &Path) -> ExitCode {
    let Ok(wasm) = read(file) else { return ExitCode::from(2) };
    println!("at 0 file");
    let seen = subject::run(&wasm);
    if let Some(found) = seen.found {
        println!("found 0 {}", found.as_str());
        println!("note {}", seen.note);
    }
    println!("end");
    ExitCode::SUCCESS
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let bytes = fs::read(file).map_err(|error| named(&error))?;
    match file.extension() {
        Some(extension) if extension == "wat" => {
            wat::parse_bytes(&bytes).map(Into::into).map_err(|error| named(&error))
        }
        _ => Ok(bytes),
    }
}

/// What a child came to: the lines that it printed, and how it ended where it did not end well.
struct Ran {
    lines: Vec<String>,
    /// `signal-11`, `exit-101`, `hangs`.
    ended: Option<String>,
}

/// Runs this program as a child, and ends it where it says nothing for too long.
fn child(arguments: &[&str]) -> Result<Ran, String> {
    let told = |error: std::io::Error| error.to_string();
    let program = std::env::current_exe().map_err(told)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(told)?;
    let out = child.stdout.take().ok_or("no pipe")?;
    let (tell, told_lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let mut lines = Vec::new();
    let mut hangs = false;
    loop {
        match told_lines.recv_timeout(PATIENCE) {
            Ok(line) => lines.push(line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                hangs = true;
                child.kill().map_err(told)?;
                break;
            }
        }
    }
    let status = child.wait().map_err(told)?;
    // A reader of a killed child ends with its pipe.
    let _ = reader.join();
    let whole = lines.last().is_some_and(|line| line == "end");
    let ended = match (status.signal(), status.code()) {
        _ if hangs => Some("hangs".to_owned()),
        (Some(signal), _) => Some(format!("signal-{signal}")),
        (_, Some(0)) if whole => None,
        (_, code) => Some(format!("exit-{}", code.unwrap_or(-1))),
    };
    Ok(Ran { lines, ended })
}

fn campaign(seed: u64, modules: u64, save: &Path) -> ExitCode {
    let began = Instant::now();
    let mut campaign = Campaign::default();
    let (mut next, end) = (seed, seed.saturating_add(modules));
    while next < end {
        let count = BATCH.min(end - next);
        match campaign.batch(next, count, save) {
            Ok(done) => next += done,
            Err(why) => {
                eprintln!("wramp-fuzz: {why}");
                return ExitCode::from(2);
            }
        }
    }
    campaign.print(seed, modules, began.elapsed());
    ExitCode::from(u8::from(!campaign.found.is_empty()))
}

impl Campaign {
    /// Runs a batch. Returns how many modules it got through; the rest is the next batch's.
    fn batch(&mut self, first: u64, count: u64, save: &Path) -> Result<u64, String> {
        let ran = child(&["--batch", &first.to_string(), &count.to_string()])?;
        let mut at = first;
        let mut by = String::new();
        for line in &ran.lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["at", seed, of] => {
                    at = seed.parse().unwrap_or(at);
                    by = (*of).to_owned();
                }
                ["did", of, counts @ ..] => {
                    let sum = self.counts.entry((*of).to_owned()).or_default();
                    for (sum, count) in sum.iter_mut().zip(counts) {
                        *sum += count.parse::<u64>().unwrap_or(0);
                    }
                }
                ["found", seed, kind] => {
                    self.keep(kind, seed.parse().unwrap_or(at), save)?;
                }
                ["note", ..] => println!("{line}"),
                _ => {}
            }
        }
        let Some(ended) = ran.ended else { return Ok(count) };
        self.counts.entry(by).or_default()[0] += 1;
        self.keep(&ended, at, save)?;
        Ok(at - first + 1)
    }

    /// Counts a find, and saves the first of its kind as small as it gets.
    fn keep(&mut self, kind: &str, seed: u64, save: &Path) -> Result<(), String> {
        if let Some((times, _)) = self.found.get_mut(kind) {
            *times += 1;
            return Ok(());
        }
        let told = |error: std::io::Error| format!("{}: {error}", save.display());
        fs::create_dir_all(save).map_err(told)?;
        let file = save.join(format!("{kind}-{seed}.wasm"));
        let small = smaller(&make::module(seed).wasm, kind, &file)?;
        fs::write(&file, small).map_err(told)?;
        println!("{kind}: seed {seed}, saved as {}", file.display());
        self.found.insert(kind.to_owned(), (1, file));
        Ok(())
    }

    fn print(&self, seed: u64, modules: u64, took: Duration) {
        println!(
            "wramp-fuzz: {modules} modules from seed {seed}, WAMR {} {}, {} bits, {} s",
            wramp_wamr::VERSION,
            wramp_wamr::INTERPRETER,
            usize::BITS,
            took.as_secs()
        );
        print!("{:<10}", "made by");
        subject::COUNTS.iter().for_each(|name| print!(" {name:>12}"));
        println!();
        let mut sum = Counts::default();
        for (by, counts) in &self.counts {
            print!("{by:<10}");
            counts.iter().for_each(|count| print!(" {count:>12}"));
            println!();
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        print!("{:<10}", "all");
        sum.iter().for_each(|count| print!(" {count:>12}"));
        println!();
        if self.found.is_empty() {
            println!("found: nothing");
        }
        for (kind, (times, file)) in &self.found {
            println!("found: {kind} {times} times, first in {}", file.display());
        }
    }
}

/// Whether a module still does what it was saved for.
fn does(wasm: &[u8], kind: &str, file: &Path) -> Result<bool, String> {
    fs::write(file, wasm).map_err(|error| format!("{}: {error}", file.display()))?;
    let ran = child(&["--one", &file.to_string_lossy()])?;
    let found = ran.lines.iter().any(|line| *line == format!("found 0 {kind}"));
    Ok(found || ran.ended.as_deref() == Some(kind))
}

/// Makes a saved module smaller, and writes it as soon as it is.
fn minimise(file: &Path, out: &Path) -> ExitCode {
    let minimise = || {
        let wasm = read(file)?;
        let ran = child(&["--one", &file.to_string_lossy()])?;
        let found = ran.lines.iter().find_map(|line| line.strip_prefix("found 0 "));
        let Some(kind) = found.or(ran.ended.as_deref()) else {
            return Err(format!("{}: nothing found", file.display()));
        };
        let small = smaller(&wasm, kind, out)?;
        fs::write(out, &small).map_err(|error| format!("{}: {error}", out.display()))?;
        println!("{}: {kind}, {} of {} bytes", out.display(), small.len(), wasm.len());
        Ok(())
    };
    match minimise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("wramp-fuzz: {why}");
            ExitCode::from(2)
        }
    }
}

/// Leaves out as much as possible: the items that `make::parts` names, and then instructions.
fn smaller(wasm: &[u8], kind: &str, file: &Path) -> Result<Vec<u8>, String> {
    let mut small = wasm.to_vec();
    let mut tries = 0;
    // A child that hangs costs a minute each time.
    if kind == "hangs" {
        return Ok(small);
    }
    loop {
        let before = small.len();
        for candidate in make::parts(&small) {
            tries += 1;
            if tries > MOST_TRIES {
                break;
            }
            if candidate.len() < small.len() && does(&candidate, kind, file)? {
                small = candidate;
                break;
            }
        }
        if small.len() == before {
            // A module that is not valid has no functions to take apart.
            return match wramp_validate::check(&small) {
                Ok(_) => shrink::functions(&small, |candidate| does(candidate, kind, file)),
                Err(_) => Ok(small),
            };
        }
    }
}

/// Runs saved modules. Each must be harmless today.
fn replay(files: &[&str]) -> ExitCode {
    let mut bad = 0;
    for file in files {
        let ran = match child(&["--one", file]) {
            Ok(ran) => ran,
            Err(why) => {
                eprintln!("wramp-fuzz: {file}: {why}");
                return ExitCode::from(2);
            }
        };
        let found = ran.lines.iter().find_map(|line| line.strip_prefix("found 0 "));
        match found.or(ran.ended.as_deref()) {
            None => println!("{file}: nothing found"),
            Some(kind) => {
                println!("{file}: {kind}");
                bad += 1;
            }
        }
    }
    ExitCode::from(u8::from(bad > 0))
}

impl Found {
    /// The word that names a saved module.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Difference => "difference",
            Self::Neighbour => "neighbour",
            Self::Leak => "leak",
            Self::Corrupt => "corrupt",
            Self::Panic => "panic",
        }
    }
}
