//! A run on this machine that keeps its lines and reads each of them back.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wramp_arena::Arena;
use wramp_bench::{Count, EngineKind, Guest, Summary};
use wramp_core::config::Config;
use wramp_core::measure::Bytes;
use wramp_core::report::{End, Fault, Instance, Load, Member, Predict, Record, Step};
use wramp_core::runtime::{Error, ErrorKind, ModuleBytes, Parameters};
use wramp_host::Setup;
use wramp_wamr::Engine;

/// The engine kind that runs WAMR.
pub(crate) struct Wamr;

impl EngineKind for Wamr {
    type Engine<'a> = Engine<'a>;

    fn start<'a>(arena: &'a dyn Arena) -> Result<Engine<'a>, Error> {
        Engine::new(arena)
    }
}

/// For a run in which every guest returns.
pub(crate) fn never_gives_up(status: u32) -> std::convert::Infallible {
    eprintln!("the run gave up with {status}");
    std::process::abort()
}

/// The published geometry, at a pace for tests.
pub(crate) const QUICK: Config =
    Config { settle_ms: 0, dwell_ms: 10, pause_ms: 1, ..Config::PUBLISHED };

static TURN: Mutex<()> = Mutex::new(());

/// Tests take turns, because a process has one WAMR.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Built-in workloads, in the order of their names.
pub(crate) fn built_in(names: &[&str]) -> Vec<Guest<'static>> {
    names.iter().map(|name| wramp_workloads::find(name).unwrap().into()).collect()
}

/// Makes a module from its text. It lives for ever.
pub(crate) fn wasm(text: &str) -> &'static [u8] {
    wat::parse_str(text).unwrap().leak()
}

/// A user's module.
pub(crate) fn guest<'a>(wasm: &'a [u8], check: wramp_bench::Check<'a>) -> Guest<'a> {
    Guest {
        name: "guest",
        module: ModuleBytes::Borrowed(wasm),
        export: "run",
        parameters: Parameters::None,
        check,
        count: Count::Most,
        budget: None,
    }
}

/// What a run printed, and its result.
pub(crate) struct Log {
    pub(crate) lines: Vec<String>,
    pub(crate) summary: Summary,
}

/// Runs and keeps the lines.
pub(crate) fn run(config: Config, guests: &[Guest<'_>]) -> Log {
    run_with(config, guests, &AtomicBool::new(false), |_| ())
}

/// Does the same. `heard` gets each line as it comes, on the thread that printed it.
pub(crate) fn run_with(
    config: Config,
    guests: &[Guest<'_>],
    interrupted: &AtomicBool,
    heard: impl Fn(&Record<'_>) + Send + Sync,
) -> Log {
    run_kept(config, guests, interrupted, heard, None)
}

/// Does the same with a place where parked states survive.
pub(crate) fn run_kept(
    config: Config,
    guests: &[Guest<'_>],
    interrupted: &AtomicBool,
    heard: impl Fn(&Record<'_>) + Send + Sync,
    vault: Option<&dyn wramp_core::state::Vault>,
) -> Log {
    let _turn = turn();
    let mut lines = Vec::new();
    let setup = Setup {
        config,
        sink: Box::new(|record| {
            let line = record.to_string();
            heard(&read(&line));
            lines.push(line);
        }),
        interrupted,
        gave_up: &never_gives_up,
    };
    let summary = wramp_host::run_kept::<Wamr>(setup, guests, None, vault).unwrap();
    let log = Log { lines, summary };
    log.check();
    log
}

/// Reads a line as a record. The record must write the same line.
fn read(line: &str) -> Record<'_> {
    let record = Record::parse(line)
        .unwrap_or_else(|why| panic!("{why}: {line}"))
        .unwrap_or_else(|| panic!("not a record: {line}"));
    assert_eq!(record.to_string(), line);
    record
}

macro_rules! kinds {
    ($($name:ident: $kind:ident),*) => {$(
        pub(crate) fn $name(&self) -> Vec<$kind<'_>> {
            self.records()
                .into_iter()
                .filter_map(|record| match record {
                    Record::$kind(record) => Some(record),
                    _ => None,
                })
                .collect()
        }
    )*};
}

impl Log {
    kinds!(loads: Load, predictions: Predict, steps: Step, instances: Instance, members: Member, ends: End, faults: Fault);

    pub(crate) fn records(&self) -> Vec<Record<'_>> {
        self.lines.iter().map(|line| read(line)).collect()
    }

    /// The only `end` record.
    #[track_caller]
    pub(crate) fn end(&self) -> End<'_> {
        let ends = self.ends();
        assert_eq!(ends.len(), 1, "{self}");
        ends[0]
    }

    /// Checks what holds for every run, whatever its input.
    fn check(&self) {
        let records = self.records();
        assert!(matches!(records.first(), Some(Record::Run(_))), "{self}");
        let Some(Record::Done(done)) = records.last() else { panic!("no done: {self}") };
        assert_eq!(done.exit, self.summary.exit(), "{self}");
        assert_eq!(done.errors, self.summary.errors, "{self}");
        assert_eq!(done.faults, Some(self.summary.faults), "{self}");
        assert_eq!(self.faults().len(), self.summary.faults as usize, "{self}");
        assert!(!self.summary.leaked, "{self}");
        assert_eq!(records.iter().filter(|record| record.kind() == "run").count(), 1, "{self}");
        assert_eq!(records.iter().filter(|record| record.kind() == "done").count(), 1, "{self}");
        for end in self.ends() {
            assert_eq!(end.leaked_bytes, Some(0), "{self}");
            assert_eq!(end.message.is_some(), end.error.is_some(), "{self}");
        }
        for step in self.steps() {
            let latency = [step.latency_p50_us, step.latency_p99_us, step.latency_max_us];
            // A figure that was not measured is absent, never zero.
            assert!(latency.iter().flatten().all(|nanos| nanos.0 > 0), "{step:?}");
            assert!(latency.is_sorted(), "{step:?}");
            if let (Some(min), Some(mean)) = (step.latency_min_us, step.latency_mean_us) {
                assert!(min.0 > 0 && mean.0 > 0, "{step:?}");
                assert!(step.latency_max_us.is_none_or(|max| mean <= max), "{step:?}");
            }
            assert!(
                step.dwell_us.is_some_and(|dwell| dwell.0 > 0)
                    || self.ends().iter().any(|end| end.limit.as_str() == "interrupted")
            );
            assert!(step.arena_low_bytes <= step.arena_free_bytes, "{step:?}");
            assert!(step.arena_largest_bytes <= step.arena_free_bytes, "{step:?}");
        }
        for instance in self.instances() {
            assert!(instance.calls > 0, "{instance:?}");
            assert_eq!(instance.result.0, if instance.errors == 0 { "ok" } else { "bad" });
            if instance.slot.is_none() {
                continue; // A resident has no thread on which to measure these.
            }
            assert!(instance.latency_p50_us.is_some_and(|nanos| nanos.0 > 0), "{instance:?}");
            assert!(instance.latency_p99_us >= instance.latency_p50_us, "{instance:?}");
            assert!(instance.latency_max_us >= instance.latency_p99_us, "{instance:?}");
            let exact =
                [instance.latency_min_us, instance.latency_mean_us, instance.latency_max_us];
            assert!(exact[0].is_some() && exact.is_sorted(), "{instance:?}");
            assert!(instance.stack_used_bytes.is_some_and(|used| used > Bytes(0)), "{instance:?}");
        }
    }

    /// Nothing ran. Returns the only fault, and checks the status.
    #[track_caller]
    pub(crate) fn refused(&self, kind: ErrorKind, knob: &str, words: &str) {
        let faults = self.faults();
        assert_eq!(faults.len(), 1, "{self}");
        assert_eq!(faults[0].error.0, kind.as_str(), "{self}");
        assert_eq!(faults[0].knob.map(|knob| knob.0), Some(knob), "{self}");
        let message = faults[0].message.readable().to_string();
        assert!(message.contains(words), "{message}");
        assert_eq!(self.summary.exit(), 2, "{self}");
        assert!(self.instances().is_empty(), "{self}");
    }

    /// Checks that every instance ran and was right.
    #[track_caller]
    pub(crate) fn right(&self) {
        assert_eq!(self.summary.exit(), 0, "{self}");
        assert_eq!(self.summary.errors, 0, "{self}");
        assert!(self.faults().is_empty(), "{self}");
        assert!(self.instances().iter().all(|instance| instance.result.0 == "ok"), "{self}");
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}\n{}", self.summary, self.lines.join("\n"))
    }
}
