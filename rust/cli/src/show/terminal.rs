//! What a subcommand writes to stdout, and a log's remarks on stderr.

use std::io::{self, IsTerminal as _, Write as _};

use wramp_core::report::steers;

use crate::model::log::Log;
use crate::problem::Problem;

/// Writes a subcommand's whole output. A reader that left early (`| head`) is not an error.
///
/// # Errors
/// Where stdout cannot be written for another reason.
pub fn print(text: &str) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(|_| ())
}

/// Columns of the terminal that stdout is, where it is one.
#[must_use]
pub fn wide() -> Option<usize> {
    let is_terminal = io::stdout().is_terminal();
    let size = is_terminal.then(terminal_size::terminal_size).flatten();
    size.map(|(terminal_size::Width(columns), _)| usize::from(columns).max(20))
}

/// What a write to stdout came to: whether someone still reads it.
///
/// # Errors
/// Where it failed for another reason than a reader that left.
pub fn written(result: io::Result<()>) -> Result<bool, Problem> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Problem::new(format!("cannot write to stdout: {error}"))),
    }
}

/// A line of a board, for the eyes of a person. Whatever is on the cable must not move the cursor,
/// rename the window or turn text round.
///
/// Colours are left out. Every other character that could steer is shown as U+FFFD.
#[must_use]
pub fn for_terminal(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.trim_end_matches('\r');
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\x1b[").and_then(behind_colour) {
            rest = after;
            continue;
        }
        let plain = c == '\t' || !steers(c);
        shown.push(if plain { c } else { char::REPLACEMENT_CHARACTER });
        rest = &rest[c.len_utf8()..];
    }
    shown
}

/// What follows the rest of a sequence that sets colours.
fn behind_colour(text: &str) -> Option<&str> {
    text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').strip_prefix('m')
}

/// Opens a log and prints its remarks.
///
/// # Errors
/// As [`Log::open`].
pub fn open(path: &str) -> Result<Log, Problem> {
    let log = Log::open(path)?;
    for remark in log.remarks() {
        eprintln!("{}: {remark}", log.name);
    }
    Ok(log)
}

/// Opens every log that was named.
///
/// # Errors
/// The first that cannot be read.
pub fn open_all(paths: &[String]) -> Result<Vec<Log>, Problem> {
    paths.iter().map(|path| open(path)).collect()
}

/// Leaves only the ramps of these workloads; of all where none is named.
///
/// # Errors
/// The first workload of which no log has a ramp.
pub fn choose(logs: &mut [Log], workloads: &[String]) -> Result<(), Problem> {
    if workloads.is_empty() {
        return Ok(());
    }
    let known = |name: &String| logs.iter().flat_map(Log::ramps).any(|ramp| ramp.is_of(name));
    if let Some(missing) = workloads.iter().find(|name| !known(name)) {
        let names = logs.iter().map(|log| &*log.name).collect::<Vec<_>>().join(", ");
        return Err(Problem::new(format!("--workload {missing}: no ramp of {missing} in {names}")));
    }
    for run in logs.iter_mut().flat_map(|log| &mut log.runs) {
        run.ramps.retain(|ramp| workloads.iter().any(|name| ramp.is_of(name)));
    }
    Ok(())
}
