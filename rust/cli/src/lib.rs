//! The command `wramp`: runs ramps on this machine and reads what a run printed.
//!
//! The files lie in three layers. `cmd` has one file for each subcommand. It imports `model`,
//! which knows what a log says, and `show`, which writes and draws. `show` imports `model`,
//! `model` imports neither, and no subcommand imports another. `tests/layers.rs` reads the
//! sources and enforces this.
//!
//! One model of a log ([`model::log`]) feeds every subcommand that reads one. Its parser is
//! core's, against which the firmware's encoder is tested.
//!
//! A subcommand describes a mistake in one sentence. Its exit status is 2 for wrong input, 1 for
//! wrong results, a regression or a missed requirement, and 0 otherwise. Figures go to stdout,
//! remarks about them to stderr.
//!
//! This crate measures nothing. `run` calls `wramp-host`, which measures.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod cmd;
pub mod engine;
pub mod fitting;
pub mod model;
pub mod problem;
pub mod show;

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
    Run(cmd::run::RunArgs),
    /// Compare every engine: bytes, peaks, times and the slowdown against native
    Engines(cmd::engines::EnginesArgs),
    /// Read a board's records live from a serial port, a socket or stdin
    Capture(cmd::capture::CaptureArgs),
    /// Run every module of a directory and print one table
    Suite(cmd::suite::SuiteArgs),
    /// Say whether modules fit on a board, and what would make room for more
    Fit(cmd::fit::FitArgs),
    /// Judge modules by what they may cost on a board; exit status 1 where they cost more
    Gate(cmd::gate::GateArgs),
    /// Show what logs say as text, Markdown, CSV or JSON
    Table(cmd::table::TableArgs),
    /// Draw what logs say as SVG, PNG or one self-contained HTML page
    Plot(cmd::plot::PlotArgs),
    /// Make one static site from all logs of a directory
    Site(cmd::site::SiteArgs),
    /// Compare two runs; exit status 1 on a regression
    Compare(cmd::compare::CompareArgs),
    /// Judge logs by a file of requirements; exit status 1 where one is missed
    Check(cmd::check::CheckArgs),
    /// Predict peak and limit of a geometry that was not run
    Plan(cmd::plan::PlanArgs),
    /// Say what each part of a module costs an instance, and which flag saves most
    Size(cmd::size::SizeArgs),
    /// Make a module that declares whole pages take only the bytes it uses
    Shrink(cmd::shrink::ShrinkArgs),
    /// Make a project for a guest of your own, in Rust, C or text
    New(cmd::new::NewArgs),
    /// Say what this machine lacks, and the command that mends it
    Doctor(cmd::doctor::DoctorArgs),
    /// List the built-in workloads
    Workloads(cmd::workloads::WorkloadsArgs),
}

/// The program: reads the command line, runs the subcommand, reports problems on stderr.
#[must_use]
pub fn main() -> ExitCode {
    show::remarks::listen();
    let done = match Cli::parse().command {
        Command::Run(args) => cmd::run::execute(&args),
        Command::Engines(args) => cmd::engines::execute(&args),
        Command::Capture(args) => cmd::capture::execute(&args),
        Command::Suite(args) => cmd::suite::execute(&args),
        Command::Fit(args) => cmd::fit::execute(&args),
        Command::Gate(args) => cmd::gate::execute(&args, &cmd::fit::ask),
        Command::Table(args) => cmd::table::execute(&args),
        Command::Plot(args) => cmd::plot::execute(&args),
        Command::Site(args) => cmd::site::execute(&args),
        Command::Compare(args) => cmd::compare::execute(&args),
        Command::Check(args) => cmd::check::execute(&args),
        Command::Plan(args) => cmd::plan::execute(&args),
        Command::Size(args) => cmd::size::execute(&args),
        Command::Shrink(args) => cmd::shrink::execute(&args),
        Command::New(args) => cmd::new::execute(&args),
        Command::Doctor(args) => cmd::doctor::execute(&args),
        Command::Workloads(args) => cmd::workloads::execute(&args),
    };
    done.unwrap_or_else(|problem| problem.report())
}
