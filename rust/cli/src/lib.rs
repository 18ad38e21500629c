//! The command `wramp`: runs ramps on this machine, and reads what a run printed.
//!
//! One model of a log ([`log`]) feeds every reading subcommand, and the parser under
//! it is the one that the firmware's encoder is tested against. A subcommand says what
//! is wrong in one sentence and ends with 2 for wrong input, 1 for wrong results or a
//! regression, 0 otherwise. What was read goes to stdout, remarks about it to stderr.
//!
//! It measures nothing: that is `wramp-bench`, behind `run`.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod capture;
pub mod chart;
pub mod compare;
pub mod costs;
pub mod geometry;
pub mod log;
pub mod plan;
pub mod plot;
pub mod promise;
pub mod published;
pub mod run;
pub mod save;
pub mod shrink;
pub mod source;
pub mod table;
pub mod view;
pub mod workloads;

/// How many WebAssembly instances fit on this microcontroller, and what stops the next one?
#[derive(Debug, Parser)]
#[command(name = "wramp", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the ramp on this machine
    Run(run::RunArgs),
    /// Read a board's records from a serial port, a socket or stdin, live
    Capture(capture::CaptureArgs),
    /// Show what logs say as text, Markdown, CSV or JSON
    Table(table::TableArgs),
    /// Draw what logs say as SVG, PNG or one self-contained HTML page
    Plot(plot::PlotArgs),
    /// Set two runs side by side; exit status 1 on a regression
    Compare(compare::CompareArgs),
    /// Predict peak and limit of a geometry that was not run
    Plan(plan::PlanArgs),
    /// Make a module that declares whole pages take the bytes it uses
    Shrink(shrink::ShrinkArgs),
    /// List the built-in workloads
    Workloads(workloads::WorkloadsArgs),
}

/// Wrong input, in one sentence that names what to change. Exit status 2.
#[derive(Debug)]
pub struct Problem(pub String);

impl Problem {
    /// A problem in those words.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Says it on stderr; the exit status of wrong input.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        eprintln!("wramp: {self}");
        ExitCode::from(2)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

/// What a subcommand comes to: an exit status, or wrong input.
pub type Outcome = Result<ExitCode, Problem>;

/// Writes a subcommand's whole output. A reader that left early (`| head`) is no error.
///
/// # Errors
/// Where stdout cannot be written for another reason.
pub fn print(text: &str) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::new(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// The program: reads the command line, does what it says, reports problems on stderr.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => return run::execute(args),
        Command::Capture(args) => capture::execute(&args),
        Command::Table(args) => table::execute(&args),
        Command::Plot(args) => plot::execute(&args),
        Command::Compare(args) => compare::execute(&args),
        Command::Plan(args) => plan::execute(&args),
        Command::Shrink(args) => shrink::execute(&args),
        Command::Workloads(args) => workloads::execute(&args),
    };
    done.unwrap_or_else(|problem| problem.report())
}
