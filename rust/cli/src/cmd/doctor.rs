//! `wramp doctor`: what this machine lacks, with the command that mends it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::model::health::{Finding, Patient, State, examine};
use crate::problem::{Outcome, Problem};
use crate::show::terminal::print;

/// Options of `wramp doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp doctor                                 is this machine ready to run wramp?
  wramp doctor --board nrf52840dk/nrf52840     and to build and flash that board?

`ok` is there. `-` is not there, and nothing that you asked for needs it. MISSING is needed; behind
the colon is what mends it. Nothing is installed, and no port is opened.

Exit status: 0 nothing that is needed is missing; 1 something is; 2 wrong input.")]
pub struct DoctorArgs {
    /// The board to build for, as `west build` takes it
    #[arg(long, value_name = "BOARD")]
    pub board: Option<String>,
    /// The checkout of wramp (default: the one in which this command was built)
    #[arg(long, value_name = "DIR")]
    pub clone: Option<PathBuf>,
    /// One JSON array in place of the lines
    #[arg(long)]
    pub json: bool,
}

/// The checkout in which this command was built.
const BUILT_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// `wramp doctor`.
///
/// # Errors
/// A directory that is no checkout of wramp, or a stdout that cannot be written.
pub fn execute(args: &DoctorArgs) -> Outcome {
    let clone = args.clone.as_deref().unwrap_or(Path::new(BUILT_IN));
    if !clone.join("west.yml").is_file() {
        return Err(Problem::new(format!(
            "{} is no checkout of wramp: name one with --clone DIR",
            clone.display()
        )));
    }
    let all = examine(&Patient { clone, board: args.board.as_deref() });
    let missing = all.iter().filter(|one| one.state == State::Missing).count();
    if args.json {
        let object = |one: &Finding| {
            json!({
                "what": one.what,
                "state": match one.state {
                    State::Good => "ok",
                    State::Absent => "absent",
                    State::Missing => "missing",
                },
                "found": one.says,
                "mend": one.mend,
            })
        };
        let all: serde_json::Value = all.iter().map(object).collect();
        print(&format!("{all:#}\n"))?;
    } else {
        let lines: String = all.iter().map(line).collect();
        print(&format!("{lines}{}\n", verdict(missing, args.board.as_deref())))?;
    }
    Ok(ExitCode::from(u8::from(missing > 0)))
}

/// Characters of a line on a terminal.
const WIDE: usize = 80;

/// One line: the state, the thing, what was found, and what mends it.
fn line(one: &Finding) -> String {
    let head = format!("{:<8}{:<14}", one.state.as_str(), one.what);
    let room = WIDE - head.chars().count();
    let Some(mend) = &one.mend else { return format!("{head}{}\n", cut(&one.says, room)) };
    let whole = format!("{}: {mend}", one.says);
    // A command that is cut helps nobody, so what was found gives way.
    let text = if whole.chars().count() <= room { &whole } else { mend };
    if text.chars().count() <= room {
        return format!("{head}{text}\n");
    }
    // The command gets the whole line but the column of the states.
    format!("{head}{}:\n{:8}{mend}\n", cut(&one.says, room - 1), "")
}

/// A text of at most `room` characters; an ellipsis stands for what is left out of its middle.
fn cut(text: &str, room: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= room {
        return text.to_owned();
    }
    let keep = room.saturating_sub(1);
    let (front, back) = (keep.div_ceil(2), keep / 2);
    let front: String = all[..front].iter().collect();
    let back: String = all[all.len() - back..].iter().collect();
    format!("{front}…{back}")
}

fn verdict(missing: usize, board: Option<&str>) -> String {
    let purpose = board.map_or("to run wramp on this machine".to_owned(), |b| format!("for {b}"));
    match missing {
        0 => format!("ready {purpose}"),
        1 => format!("1 thing is missing {purpose}"),
        some => format!("{some} things are missing {purpose}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal_and_no_command_is_cut() {
        let mend = "west sdk install -t xtensa-espressif_esp32s3_zephyr-elf";
        for says in ["not installed", &"a/very/long/path".repeat(12)] {
            for mend in [None, Some(mend.to_owned()), Some(format!("{mend} and more words"))] {
                let one = Finding {
                    what: "Zephyr's Rust",
                    state: State::Missing,
                    says: says.into(),
                    mend: mend.clone(),
                };
                let text = line(&one);
                assert!(text.lines().all(|line| line.chars().count() <= WIDE), "{text}");
                assert!(mend.is_none_or(|mend| text.contains(&mend)), "{text}");
            }
        }
    }
}
