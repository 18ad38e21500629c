//! Everything under `results/`, read for one site: saved runs, and tables of engines.
//!
//! A run that cannot be trusted is refused with its reason: a line that could not be read, a run
//! that is not done or that ended badly, no `machine.txt`. So the same check judges a log that
//! somebody contributes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::model::file::read_at_most;
use crate::model::log::Log;
use crate::model::run_log::RunLog;
use crate::problem::Problem;

/// What a saved run ran on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ran {
    /// A board.
    Board,
    /// An emulator.
    Emulator,
    /// A program on a computer.
    Host,
}

impl Ran {
    /// One word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Board => "board",
            Self::Emulator => "emulator",
            Self::Host => "host",
        }
    }

    /// What its figures are worth.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::Board => "a real board",
            Self::Emulator => "an emulator: bytes and counts are exact, times count instructions",
            Self::Host => "a computer: bytes are exact for its pointers, times are its own",
        }
    }
}

/// A saved run.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Its directory, relative to the results.
    pub place: String,
    /// Its log.
    pub log: Log,
    /// The description of its machine, word for word.
    pub machine: String,
    /// The day of the run.
    pub date: String,
    /// What distinguishes it from others of its board and day: a preset or a commit.
    pub preset: String,
    /// What it ran on.
    pub ran: Ran,
    /// Whether it is one of a study of build switches, which the front page leaves out.
    pub is_study: bool,
}

impl Saved {
    /// Its run.
    ///
    /// # Panics
    /// Never: a log without a run is refused when it is read.
    #[must_use]
    pub fn run(&self) -> &RunLog {
        match self.log.best() {
            Some(run) => run,
            None => unreachable!("{}: a log without a run was kept", self.place),
        }
    }

    /// The board, as a person reads it.
    #[must_use]
    pub fn board(&self) -> String {
        wramp_core::report::Word(self.run().board()).readable().to_string()
    }
}

/// A table of engines: figures of each.
#[derive(Clone, Debug)]
pub struct EngineTable {
    /// Its directory, relative to the results.
    pub place: String,
    /// The description of its machine, word for word.
    pub machine: String,
    /// Names of the engines.
    pub engines: Vec<String>,
    /// A figure's name and its value for each engine.
    pub rows: Vec<(String, Vec<String>)>,
}

/// What is under a directory of results.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Saved runs, newest first within a board and preset.
    pub runs: Vec<Saved>,
    /// Tables of engines, the newest first.
    pub engines: Vec<EngineTable>,
    /// What was refused, and why.
    pub refused: Vec<String>,
}

/// The longest log and the longest description that a site takes.
const MOST_BYTES: u64 = 64 << 20;
/// Directories within directories.
const DEEP: usize = 4;

/// Reads everything under a directory.
///
/// # Errors
/// There is no such directory, or there is nothing in it.
pub fn read(root: &Path) -> Result<Results, Problem> {
    let mut results = Results::default();
    if !root.is_dir() {
        return Err(Problem::new(format!("{}: no such directory", root.display())));
    }
    walk(root, root, 0, &mut results);
    if results.runs.is_empty() && results.refused.is_empty() {
        return Err(Problem::new(format!(
            "{}: no run.log in it; `wramp run --save` and `wramp capture --save` make some",
            root.display()
        )));
    }
    results.runs.sort_by(|a, b| {
        let key = |saved: &Saved| (saved.ran, saved.board(), saved.preset.clone());
        key(a).cmp(&key(b)).then(b.date.cmp(&a.date)).then(a.place.cmp(&b.place))
    });
    results.engines.sort_by(|a, b| b.place.cmp(&a.place));
    Ok(results)
}

fn walk(root: &Path, directory: &Path, depth: usize, results: &mut Results) {
    let place = directory.strip_prefix(root).unwrap_or(directory).to_string_lossy().into_owned();
    if directory.join("run.log").is_file() {
        match saved(directory, &place, depth) {
            Ok(saved) => results.runs.push(saved),
            Err(why) => results.refused.push(format!("{place}/run.log: {why}")),
        }
    }
    if directory.join("engines.csv").is_file() {
        match engines(directory, &place) {
            Ok(table) => results.engines.push(table),
            Err(why) => results.refused.push(format!("{place}/engines.csv: {why}")),
        }
    }
    if depth >= DEEP {
        return;
    }
    let mut inside: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    inside.sort();
    for path in inside {
        walk(root, &path, depth + 1, results);
    }
}

fn described(directory: &Path) -> Result<String, String> {
    let bytes = read_at_most(&directory.join("machine.txt"), 1 << 16).map_err(|problem| {
        format!("machine.txt: {problem}; `wramp capture --save` writes it beside the log")
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn saved(directory: &Path, place: &str, depth: usize) -> Result<Saved, String> {
    let path = directory.join("run.log");
    let bytes = read_at_most(&path, MOST_BYTES).map_err(|problem| problem.to_string())?;
    let log = Log::read(place, bytes.as_slice()).map_err(|problem| problem.to_string())?;
    if log.unread > 0 {
        let why = log.complaints.first().map_or("", |complaint| &complaint.why);
        return Err(format!(
            "{} of its records could not be read ({why}): capture it again",
            log.unread
        ));
    }
    let run = log.best().ok_or("no run in it")?;
    let done = run.done.ok_or("the run is not done: the log ends in its middle")?;
    if done.exit != 0 {
        return Err(format!("the run ended with exit={}: its figures are not right", done.exit));
    }
    if let Some(losses) = run.losses() {
        return Err(losses);
    }
    let board = run.key("board").ok_or("no run record")?.to_owned();
    let machine = described(directory)?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (date, preset) = dated(&name).unwrap_or_else(|| {
        let line = machine.lines().find_map(|line| line.strip_prefix("date: "));
        (line.unwrap_or("").chars().take(10).collect(), name.clone())
    });
    let emulated = machine.lines().any(|line| line.starts_with("icount_shift:"))
        || ["qemu", "mps2", "mps3"].iter().any(|prefix| board.starts_with(prefix));
    let ran = if board == "linux" || board.starts_with("native_sim") {
        Ran::Host
    } else if emulated {
        Ran::Emulator
    } else {
        Ran::Board
    };
    Ok(Saved { place: place.to_owned(), log, machine, date, preset, ran, is_study: depth > 2 })
}

/// Date and rest of `2026-01-31-dense`.
fn dated(name: &str) -> Option<(String, String)> {
    let date = name.get(..10)?;
    let shape = |(place, c): (usize, char)| match place {
        4 | 7 => c == '-',
        _ => c.is_ascii_digit(),
    };
    let rest = name.get(10..)?.strip_prefix('-')?;
    date.chars().enumerate().all(shape).then(|| (date.to_owned(), rest.to_owned()))
}

fn engines(directory: &Path, place: &str) -> Result<EngineTable, String> {
    let bytes = read_at_most(&directory.join("engines.csv"), 1 << 20);
    let bytes = bytes.map_err(|problem| problem.to_string())?;
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let heads = reader.headers().map_err(|error| error.to_string())?;
    let engines: Vec<_> = heads.iter().skip(1).map(ToOwned::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let mut cells = record.iter().map(ToOwned::to_owned);
        let Some(name) = cells.next() else { continue };
        rows.push((name, cells.collect()));
    }
    Ok(EngineTable { place: place.to_owned(), machine: described(directory)?, engines, rows })
}

impl Results {
    /// The newest run of each board and preset that is no part of a study.
    pub fn newest(&self) -> impl Iterator<Item = &Saved> {
        let mut seen = BTreeMap::new();
        self.runs.iter().filter(move |saved| {
            !saved.is_study && seen.insert((saved.board(), saved.preset.clone()), ()).is_none()
        })
    }

    /// Names of all workloads, those of the front page's columns first.
    #[must_use]
    pub fn workloads(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for ramp in self.runs.iter().flat_map(|saved| &saved.run().ramps) {
            if !all.contains(&ramp.workload) {
                all.push(ramp.workload.clone());
            }
        }
        all
    }

    /// Names of all boards, in their order.
    #[must_use]
    pub fn boards(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for saved in &self.runs {
            let board = saved.board();
            if !all.contains(&board) {
                all.push(board);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_ten_characters_in_front() {
        assert_eq!(dated("2026-01-31-dense"), Some(("2026-01-31".into(), "dense".into())));
        assert_eq!(dated("s7-pool"), None);
        assert_eq!(dated("2026-01-31"), None);
        assert_eq!(dated("äääääääääää"), None);
    }
}
