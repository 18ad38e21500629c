//! Keeps the records of a run, and prints the table of a benchmark.
#![allow(dead_code, reason = "each benchmark uses a part")]

use std::mem::MaybeUninit;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use wramp_arena::Arena;
use wramp_bench::{EngineKind, Guest, Memory, Seat, table_words};
use wramp_core::config::Config;
use wramp_core::report::{End, Record, Step};
use wramp_core::runtime::Error;
use wramp_host::arena::Region;
use wramp_host::machine::Sink;
use wramp_host::slots::HostSlots;
use wramp_host::{Machine, Setup};
use wramp_wamr::Engine;

/// The engine of all runs: WAMR.
pub(crate) struct Wamr;

impl EngineKind for Wamr {
    type Engine<'a> = Engine<'a>;

    fn start<'a>(arena: &'a dyn Arena) -> Result<Engine<'a>, Error> {
        Engine::new(arena)
    }
}

/// Ends the process if a call does not return. All guests here return.
fn gave_up(status: u32) -> std::convert::Infallible {
    eprintln!("a call did not return");
    std::process::exit(status.cast_signed())
}

/// A module that does nothing: `run` returns 7.
pub(crate) const NOTHING: &[u8] = b"\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\
    \x07\x07\x01\x03run\0\0\x0a\x06\x01\x04\0\x41\x07\x0b";

/// Prints the table row by row, and counts wrong figures.
pub(crate) struct Report {
    wrong: u32,
}

impl Report {
    /// Prints what was built and how loaded the machine is.
    pub(crate) fn open() -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!(
            "WAMR {} ({}), {} bits, {} cores, load average before: {}",
            wramp_wamr::VERSION,
            wramp_wamr::INTERPRETER,
            usize::BITS,
            cores(),
            load.split(' ').next().unwrap_or("unknown")
        );
        let report = Self { wrong: 0 };
        report.row("figure", "measured", "target", "");
        report
    }

    pub(crate) fn row(&self, figure: &str, value: &str, target: &str, verdict: &str) {
        println!("{figure:<46} {value:>26}   {target:<22} {verdict}");
    }

    /// A figure that is right or wrong.
    pub(crate) fn exact(&mut self, figure: &str, value: &str, target: &str, right: bool) {
        self.row(figure, value, target, if right { "ok" } else { "WRONG" });
        self.wrong += u32::from(!right);
    }

    /// A figure that depends on the machine.
    pub(crate) fn speed(&self, figure: &str, value: &str, target: &str, reached: bool) {
        self.row(figure, value, target, if reached { "ok" } else { "off target" });
    }

    /// The exit status: a failure if a figure was wrong. A missed target is no failure.
    pub(crate) fn exit(&self) -> ExitCode {
        if self.wrong == 0 {
            return ExitCode::SUCCESS;
        }
        println!("{} wrong", self.wrong);
        ExitCode::FAILURE
    }
}

/// Whether this is a benchmark and not `cargo test --benches`, which need not wait for it.
pub(crate) fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The parts to measure: those named on the command line, or all. `None` if a name is wrong.
pub(crate) fn wanted(parts: &[&'static str]) -> Option<Vec<&'static str>> {
    let named: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    if let Some(name) = named.iter().find(|name| !parts.contains(&name.as_str())) {
        eprintln!("no part {name}: there are {}", parts.join(", "));
        return None;
    }
    let all = named.is_empty();
    Some(parts.iter().copied().filter(|part| all || named.iter().any(|n| n == part)).collect())
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Built-in workloads, in the order of their names.
pub(crate) fn built_in(names: &[&str]) -> Vec<Guest<'static>> {
    names.iter().map(|name| wramp_workloads::find(name).unwrap().into()).collect()
}

/// The records of a run, and its exit status.
pub(crate) struct Trial {
    lines: Vec<String>,
    pub(crate) exit: u32,
}

impl Trial {
    /// Runs what `wramp run` runs.
    pub(crate) fn run(config: Config, guests: &[Guest<'_>]) -> Self {
        let mut lines = Vec::new();
        let sink: Sink<'_> = Box::new(|record| lines.push(record.to_string()));
        let interrupted = &AtomicBool::new(false);
        let setup = Setup { config, sink, interrupted, gave_up: &gave_up };
        let exit = wramp_host::run::<Wamr>(setup, guests).unwrap().exit();
        Self { lines, exit }
    }

    /// Does the same with at most `residents` residents in a pool.
    pub(crate) fn of_residents(residents: usize, config: Config, guests: &[Guest<'_>]) -> Self {
        let mut lines = Vec::new();
        let mut region = Region::new(config.arena).unwrap();
        let arena = region.arena();
        let mut slots = HostSlots::new(config.slots, config.slot_stack).unwrap();
        let sink: Sink<'_> = Box::new(|record| lines.push(record.to_string()));
        let interrupted = AtomicBool::new(false);
        let machine =
            Machine::new(&arena, sink, &interrupted, Box::new(|status| match gave_up(status) {}));
        let seats: Vec<Seat<_>> = (0..2 * slots.len()).map(|_| Seat::new()).collect();
        let mut table = vec![MaybeUninit::uninit(); table_words::<Engine<'static>>(residents)];
        let memory = Memory { seats: &seats, table: &mut table, starts: &[] };
        let engine = Engine::new(&arena);
        let engine = engine.as_ref().map_err(|error| *error);
        let exit = wramp_bench::run(&machine, &mut slots, engine, &config, guests, memory).exit();
        drop(machine);
        Self { lines, exit }
    }

    /// Cores that its threads could run on.
    fn cores(&self) -> u32 {
        let cores = self.records().find_map(|record| match record {
            Record::Run(run) => Some(run.cores),
            _ => None,
        });
        cores.unwrap_or(1)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.lines.iter().map(|line| Record::parse(line).unwrap().unwrap())
    }

    /// How its only ramp ended, if it began.
    pub(crate) fn end(&self) -> Option<End<'_>> {
        self.records().find_map(|record| match record {
            Record::End(end) => Some(end),
            _ => None,
        })
    }

    fn last_step(&self) -> Option<Step<'_>> {
        let steps = self.records().filter_map(|record| match record {
            Record::Step(step) => Some(step),
            _ => None,
        });
        steps.last()
    }

    /// The rate of its last dwell.
    pub(crate) fn rate(&self) -> Rate {
        let Some(step) = self.last_step() else { return Rate::default() };
        let share = f64::from(step.cpu_permille.unwrap_or(1000)) / 1000.0;
        let fairness = self.end().and_then(|end| end.fairness);
        Rate {
            calls: step.dwell_calls as f64 * 1e9
                / step.dwell_us.expect("Linux has a clock").0 as f64,
            cpus: f64::from(self.cores()) * share,
            instances: step.instances,
            fairness: f64::from(fairness.map_or(0, |ratio| ratio.0)) / 1e4,
        }
    }
}

/// The rate of the last dwell of a ramp.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rate {
    /// Calls a second.
    pub(crate) calls: f64,
    /// Cores that this process had.
    pub(crate) cpus: f64,
    pub(crate) instances: u32,
    pub(crate) fairness: f64,
}

impl Rate {
    /// Calls a second of CPU time, which other processes do not affect.
    pub(crate) fn by_cpu(&self) -> f64 {
        self.calls / self.cpus
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
