//! The directory of saved runs: `results/<board>/<date>-<short commit>/`.
//!
//! `run.log` holds the records, `machine.txt` describes what made them. A second run of the same
//! day and commit goes beside the first (`-2`, `-3`, ...), so nothing is overwritten. Dates are
//! in UTC.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use wramp_core::report::{Record, Run};

use crate::model::file::{not_written, write};
use crate::problem::Problem;

/// The directory of saved runs, relative to the current directory.
pub const RESULTS: &str = "results";

/// Saves a run's records and a description of this machine under `results/`.
///
/// # Errors
/// Where a file cannot be written.
pub fn save(board: &str, log: &[u8]) -> Result<PathBuf, Problem> {
    save_under(Path::new(RESULTS), board, log)
}

/// [`save`] under another directory.
///
/// # Errors
/// Where a file cannot be written.
pub fn save_under(results: &Path, board: &str, log: &[u8]) -> Result<PathBuf, Problem> {
    let directory = claim(results, board)?;
    write(&directory.join("run.log"), log)?;
    write(&directory.join("machine.txt"), machine(log).as_bytes())?;
    Ok(directory)
}

/// Fails now if [`save`] would fail later: a run may take minutes.
///
/// # Errors
/// Where nothing can be written under `results/`.
pub fn check_writable() -> Result<(), Problem> {
    let results = Path::new(RESULTS);
    fs::create_dir_all(results).map_err(|error| not_written(results, &error))?;
    let probe = results.join(format!(".wramp-{}", std::process::id()));
    let written = fs::write(&probe, b"probe").map_err(|error| not_written(results, &error));
    // A probe that was never made cannot be removed.
    let _ = fs::remove_file(&probe);
    written
}

/// [`save`] of records that do not fit in memory: `write` writes them. `run` is one that describes
/// the run.
///
/// # Errors
/// Where a file cannot be written.
pub fn save_large(
    board: &str,
    run: &[u8],
    write_records: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> Result<PathBuf, Problem> {
    let directory = claim(Path::new(RESULTS), board)?;
    let path = directory.join("run.log");
    let written = fs::File::create(&path).map(io::BufWriter::new).and_then(|mut file| {
        write_records(&mut file)?;
        io::Write::flush(&mut file)
    });
    written.map_err(|error| not_written(&path, &error))?;
    write(&directory.join("machine.txt"), machine(run).as_bytes())?;
    Ok(directory)
}

/// Characters of a directory's name that a board chooses. File systems take 255 bytes, and the
/// board's name is whatever came over a cable.
const BOARD_CHARS: usize = 64;

/// Makes a directory that does not exist yet.
///
/// # Errors
/// Where it cannot be made.
pub fn claim(results: &Path, board: &str) -> Result<PathBuf, Problem> {
    // A slash of a board's name (`mps2/an385`) becomes an underscore, as `scripts/record` has it.
    // A dot must not lead out of this directory.
    let board: String = board
        .chars()
        .take(BOARD_CHARS)
        .map(|c| match c {
            '/' => '_',
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') => c,
            _ => '-',
        })
        .collect();
    let board = results.join(if board.is_empty() { "unknown" } else { &board });
    fs::create_dir_all(&board).map_err(|error| not_written(&board, &error))?;
    let name = format!("{}-{}", date(), commit().unwrap_or_else(|| "nogit".into()));
    let mut directory = board.join(&name);
    for number in 2.. {
        match fs::create_dir(&directory) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                directory = board.join(format!("{name}-{number}"));
            }
            Err(error) => return Err(not_written(&directory, &error)),
        }
    }
    Ok(directory)
}

/// Today, as `2026-01-31`.
#[must_use]
pub fn date() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.chars().take(10).collect()
}

/// The short commit of the repository around the current directory, with `-dirty` where tracked
/// files other than results were changed.
fn commit() -> Option<String> {
    let commit = output("git", &["describe", "--always", "--abbrev=7", "--exclude=*"])?;
    let changed =
        ["status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results"];
    Some(if output("git", &changed).is_some() { commit + "-dirty" } else { commit })
}

/// The first line that a command prints; `None` where it cannot be run.
fn output(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

/// How to build this binary again: the variables of the build as a shell takes them, then WAMR's
/// version and source. It names no path, because results are public.
///
/// Version and interpreter are those of the run record.
fn built_with(run: &Run<'_>) -> String {
    let variables = [
        ("WRAMP_INTERPRETER_OPT", option_env!("WRAMP_INTERPRETER_OPT")),
        ("WRAMP_METERING", option_env!("WRAMP_METERING")),
        ("WRAMP_AOT", option_env!("WRAMP_AOT")),
        ("WRAMP_MODULE_COPY", option_env!("WRAMP_MODULE_COPY")),
        ("WRAMP_BLOCK_ADDR_CACHE", option_env!("WRAMP_BLOCK_ADDR_CACHE")),
    ];
    let mut text = format!("WRAMP_INTERPRETER={}", run.interpreter.0);
    for (name, value) in variables {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = write!(text, " {name}={value}");
        }
    }
    let version = run.runtime_version.0;
    let from = match option_env!("WAMR_DIR") {
        Some(directory) if !directory.is_empty() => "WAMR_DIR",
        // The build script puts the registry's package into the version.
        _ if version.contains("-wamrx-") => "the registry",
        _ => "the west workspace",
    };
    let _ = write!(text, ", WAMR {version} from {from}");
    text
}

/// Describes this machine: enough to know later where a figure was measured, and to repeat the
/// command if it ran here.
fn machine(log: &[u8]) -> String {
    let mut text = String::new();
    let command: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .enumerate()
        .map(|(index, argument)| if index == 0 { "wramp".into() } else { argument })
        .collect();
    let now = humantime::format_rfc3339_seconds(SystemTime::now());
    let _ = writeln!(text, "date: {now}");
    let _ = writeln!(text, "command: {}", command.join(" "));
    let _ = writeln!(text, "wramp: {}", env!("CARGO_PKG_VERSION"));
    let log = String::from_utf8_lossy(log);
    let run = log.lines().find_map(|line| match Record::parse(line) {
        Ok(Some(Record::Run(run))) => Some(run),
        _ => None,
    });
    // A board has another binary: its firmware.
    if let Some(run) = run.filter(|run| run.board.0 == "linux") {
        let _ = writeln!(text, "built_with: {}", built_with(&run));
    }
    let file = |path: &str, key: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().ok().map(|cores| cores.to_string());
    let facts = [
        ("commit", commit()),
        // Without the host's name, because results are public.
        ("system", output("uname", &["-srm"])),
        ("cpu", file("/proc/cpuinfo", "model name")),
        ("cores", cores),
        ("memory", file("/proc/meminfo", "MemTotal")),
        ("rustc", output("rustc", &["--version"])),
        ("cc", output("cc", &["--version"])),
        ("qemu", output("qemu-system-arm", &["--version"])),
    ];
    for (key, value) in facts {
        if let Some(value) = value {
            let _ = writeln!(text, "{key}: {value}");
        }
    }
    text
}
