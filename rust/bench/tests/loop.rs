//! The one loop, on a machine and an engine that fail on command.

mod fake;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use fake::{Clock, Fake, GUEST, Hang, INSTANCE, MODULE, RESIDENTS, STACK, Script, TICKS_EACH};
use wramp_bench::{Agreement, Check, Count, Guest, MAX_MODULES, Summary};
use wramp_core::config::{Config, Knob, Mode, Pin, Scenario};
use wramp_core::measure::{Bytes, Nanos};
use wramp_core::ramp::Limit;
use wramp_core::report::{Done, End, Fault, Instance, Load, Member, Record, Start, Step};
use wramp_core::runtime::{Error, ErrorKind};
use wramp_core::slots::StartError;

const COST: u32 = INSTANCE + STACK;

const CONFIG: Config = Config {
    arena: Bytes(100_000),
    slots: 4,
    settle_ms: 0,
    dwell_ms: 10,
    pause_ms: 0,
    ..Config::PUBLISHED
};

/// The kinds that an engine can report. The bench itself finds the other two.
fn kinds() -> impl Iterator<Item = ErrorKind> {
    let engines = |kind: &ErrorKind| !matches!(kind, ErrorKind::WrongResult | ErrorKind::Stuck);
    ErrorKind::ALL.iter().copied().filter(engines)
}

struct Log {
    lines: Vec<String>,
    summary: Summary,
}

macro_rules! kinds {
    ($($name:ident: $kind:ident),*) => {$(
        fn $name(&self) -> Vec<$kind<'_>> {
            let only = |record| match record { Record::$kind(record) => Some(record), _ => None };
            self.records().into_iter().filter_map(only).collect()
        }
    )*};
}

impl Log {
    kinds!(
        loads: Load,
        starts: Start,
        steps: Step,
        instances: Instance,
        members: Member,
        ends: End,
        faults: Fault
    );

    fn records(&self) -> Vec<Record<'_>> {
        self.lines.iter().map(|line| Record::parse(line).unwrap().unwrap()).collect()
    }

    #[track_caller]
    fn done(&self) -> Done {
        let Some(Record::Done(done)) = self.records().pop() else { panic!("no done: {self}") };
        done
    }

    #[track_caller]
    fn end(&self) -> End<'_> {
        assert_eq!(self.ends().len(), 1, "{self}");
        self.ends()[0]
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}\n{}", self.summary, self.lines.join("\n"))
    }
}

/// A run on an engine that meters or not, and that shares stacks or not.
fn run_on<const METERS: bool, const SHARES: bool>(
    config: Config,
    script: Script,
    guests: &[Guest<'_>],
) -> Log {
    let fake = Fake::new(&config, script);
    let ran = fake.run_with::<METERS, SHARES>(&config, guests, Ok(()));
    let log = Log { lines: ran.lines, summary: ran.summary.expect("the machine gave up") };
    let (done, summary) = (log.done(), log.summary);
    assert_eq!((done.exit, done.errors), (summary.exit(), summary.errors), "{log}");
    assert_eq!(done.faults, Some(summary.faults), "{log}");
    assert_eq!(log.faults().len(), summary.faults as usize, "{log}");
    let errors = log.instances().iter().map(|one| u64::from(one.errors)).sum::<u64>();
    assert_eq!(log.ends().iter().map(|end| end.errors).sum::<u64>(), errors, "{log}");
    log
}

fn run_all(config: Config, script: Script, guests: &[Guest<'_>]) -> Log {
    run_on::<false, false>(config, script, guests)
}

fn run(script: Script) -> Log {
    run_all(CONFIG, script, &[GUEST])
}

#[test]
fn all_goes_well() {
    let log = run(Script::default());
    assert_eq!(log.summary, Summary { workloads: 1, ..Summary::default() }, "{log}");
    let end = log.end();
    assert_eq!((end.peak, end.limit, end.leaked_bytes), (4, Limit::Slots, Some(0)), "{log}");
    assert_eq!(end.cost_bytes, Some(Bytes(COST)));
    assert_eq!(end.predicted_peak, Some(4));
    assert_eq!(end.over_budget, None, "this engine does not meter");
    assert_eq!(end.calls, log.instances().iter().map(|one| u64::from(one.calls)).sum::<u64>());
    assert_eq!(log.steps().len(), 5);
    for (step, instances) in log.steps().iter().zip([1, 2, 3, 4, 4]) {
        let used = MODULE + instances * COST;
        assert_eq!(step.instances, instances);
        assert_eq!(step.arena_free_bytes, Bytes(CONFIG.arena.0 - used));
        assert_eq!(step.arena_low_bytes, step.arena_free_bytes);
        assert_eq!(step.arena_blocks, 1 + 2 * instances);
        assert!(step.cpu_permille.is_some_and(|permille| permille.abs_diff(250) <= 1), "{log}");
    }
    assert!(log.instances().iter().all(|one| one.stack_used_bytes.is_none()), "absent, not 0");
}

/// Each instance starts once and is given back once, on threads and in a pool.
#[test]
fn each_start_and_each_end_is_timed_once() {
    let pool = Config { mode: Mode::Pool { workers: 2 }, slots: 2, step: 8, ..CONFIG };
    let private = Config { scenario: Scenario::Private, ..CONFIG };
    for (config, phases) in [
        (CONFIG, &["instantiate", "first-call", "teardown"][..]),
        (pool, &["instantiate", "first-call", "teardown"]),
        (private, &["load", "instantiate", "first-call", "teardown"]),
    ] {
        let log = run_on::<false, true>(config, Script::default(), &[GUEST]);
        let starts = log.starts();
        assert_eq!(starts.iter().map(|start| start.phase.0).collect::<Vec<_>>(), phases, "{log}");
        for start in &starts {
            assert_eq!(start.count, log.end().peak, "{log}");
            let (p50, p99) = (start.p50_us.unwrap(), start.p99_us.unwrap());
            assert!(p50 <= p99 && p99 <= start.max_us && start.mean_us <= start.max_us, "{log}");
        }
        // A call takes as long as it takes the instances in turn.
        let first = starts.iter().find(|start| start.phase.0 == "first-call").unwrap();
        assert!(first.max_us >= Nanos(TICKS_EACH), "{log}");
        let newest = log.steps().last().and_then(|step| step.start_us).unwrap();
        assert!(newest >= Nanos(TICKS_EACH), "{log}");
        let loaded = if config.scenario == Scenario::Private { 0 } else { 1 };
        assert_eq!(log.loads().len(), loaded);
        assert!(log.loads().iter().all(|load| load.load_us.is_some()), "{log}");
    }
}

#[test]
fn a_machine_that_tells_no_cpu_time() {
    let log = run(Script { no_cpu_time: true, ..Script::default() });
    assert!(log.steps().iter().all(|step| step.cpu_permille.is_none()), "absent, not 0: {log}");
}

#[test]
fn latencies_are_those_of_the_clock() {
    let log = run(Script::default());
    for (step, instances) in log.steps().iter().zip([1, 2, 3, 4, 4]) {
        // A call may have begun when there was one instance fewer.
        let most = TICKS_EACH * instances;
        let p50 = step.latency_p50_us.unwrap().0;
        assert!(p50 as f64 <= most as f64 * 1.02, "{log}");
        assert!(step.latency_max_us.unwrap().0 <= most, "{log}");
    }
    let last = log.steps()[4];
    assert!(last.latency_p50_us.unwrap().0.abs_diff(4 * TICKS_EACH) <= 4 * TICKS_EACH / 50);
    assert_eq!(last.latency_max_us, Some(Nanos(4 * TICKS_EACH)));
}

#[test]
fn the_arena_ends_it_at_the_predicted_peak() {
    // Every remainder around the boundary for one more instance.
    for left in (0..COST).step_by(50).chain([COST - 1]) {
        let arena = Bytes(MODULE + 3 * COST + left);
        let log = run_all(Config { arena, slots: 10, ..CONFIG }, Script::default(), &[GUEST]);
        let end = log.end();
        assert_eq!((end.peak, end.limit, end.errors), (3, Limit::Arena, 0), "{log}");
        assert_eq!((end.predicted_peak, end.predicted_limit), (Some(3), Some(Limit::Arena)));
        assert_eq!(end.error.unwrap().0, "out-of-memory");
        assert_eq!(log.summary.exit(), 0, "running out is a result: {log}");
    }
}

#[test]
fn the_third_instance_fails() {
    for kind in kinds() {
        for script in [
            Script { instantiate: Some((2, kind)), ..Script::default() },
            Script { stack: Some((2, kind)), ..Script::default() },
        ] {
            let log = run(script);
            let end = log.end();
            assert_eq!(end.peak, 2, "{log}");
            assert_eq!(end.leaked_bytes, Some(0), "{log}");
            assert_eq!((end.errors, log.instances().len()), (0, 2), "the two go on: {log}");
            assert_eq!(end.error.unwrap().0, kind.as_str());
            assert_eq!(end.message.unwrap().readable().to_string(), "as the script says");
            assert!(log.faults().is_empty(), "something ran: {log}");
            // Only a lack of memory is a result. Anything else is a failure, and the status
            // shows it.
            let expected = match kind {
                ErrorKind::OutOfMemory => (Limit::Arena, 0),
                _ => (Limit::Error, 1),
            };
            assert_eq!((end.limit, log.summary.exit()), expected, "{log}");
            // Rungs 1 and 2, and rung 2 held once more.
            assert_eq!(log.steps().len(), 3, "{log}");
        }
    }
}

#[test]
fn not_even_the_first_instance_runs() {
    for kind in kinds() {
        for script in [
            Script { load: Some(kind), ..Script::default() },
            Script { instantiate: Some((0, kind)), ..Script::default() },
            Script { stack: Some((0, kind)), ..Script::default() },
        ] {
            let log = run(script);
            assert_eq!(log.summary.exit(), 2, "{log}");
            assert_eq!(log.faults().len(), 1, "{log}");
            let fault = log.faults()[0];
            assert_eq!((fault.workload.unwrap().0, fault.error.0), ("count", kind.as_str()));
            let message = fault.message.readable().to_string();
            assert!(message.contains("as the script says"), "{log}");
            let knob = match kind {
                ErrorKind::OutOfMemory => Some("CONFIG_WRAMP_ARENA_SIZE"),
                ErrorKind::WasmStack => Some("CONFIG_WRAMP_WASM_STACK_SIZE"),
                ErrorKind::NativeStack => Some("CONFIG_WRAMP_SLOT_STACK_SIZE"),
                ErrorKind::ParkBudget => Some("CONFIG_WRAMP_PARK_BYTES"),
                // The module and the export have no Kconfig symbol.
                _ => None,
            };
            assert_eq!(fault.knob.map(|knob| knob.0), knob, "{log}");
            assert!(!log.summary.leaked && log.instances().is_empty(), "{log}");
        }
    }
}

#[test]
fn the_first_call_finds_a_stack_too_small() {
    for kind in [ErrorKind::WasmStack, ErrorKind::NativeStack] {
        let log = run(Script { call: Some((1, kind)), ..Script::default() });
        assert_eq!(log.summary.exit(), 2, "{log}");
        assert_eq!(log.faults()[0].error.0, kind.as_str(), "{log}");
    }
}

#[test]
fn calls_that_fail_are_counted_and_the_ramp_goes_on() {
    for kind in kinds() {
        // It is not the first instance, because a stack that is too small from the start is
        // another case.
        let log = run(Script { call: Some((3, kind)), ..Script::default() });
        let end = log.end();
        assert_eq!((end.peak, end.limit), (4, Limit::Slots), "{kind:?} {log}");
        assert_eq!(log.summary.exit(), 1, "{log}");
        for instance in log.instances() {
            assert_eq!(instance.result.0, "bad", "{log}");
            assert_eq!(instance.error.unwrap().0, kind.as_str(), "{log}");
            // The reference counted the call from which this guest did not return.
            assert_eq!(instance.errors, 1, "{log}");
        }
    }
    let log = run(Script { call: Some((0, ErrorKind::Trap)), ..Script::default() });
    assert_eq!(log.end().errors, log.end().calls, "{log}");
    assert_eq!((log.end().peak, log.summary.exit()), (4, 1), "{log}");
}

#[test]
fn a_wrong_result_is_counted() {
    let log = run(Script { lie: Some(3), ..Script::default() });
    assert_eq!(log.summary.exit(), 1, "{log}");
    assert_eq!((log.end().errors, log.summary.errors), (4, 4), "one of each: {log}");
    for instance in log.instances() {
        assert_eq!((instance.errors, instance.result.0), (1, "bad"), "{log}");
        assert_eq!(instance.error.unwrap().0, "wrong-result", "{log}");
    }
}

#[test]
fn the_instance_that_disagrees_is_told_from_the_others() {
    for liar in 1..4 {
        let agreement = Agreement::new();
        let guest = Guest { check: Check::Agreement(&agreement), ..GUEST };
        let config = Config { dwell_ms: 20, ..CONFIG };
        let log = run_all(config, Script { liar: Some(liar), ..Script::default() }, &[guest]);
        assert_eq!(log.summary.exit(), 1, "{log}");
        for instance in log.instances() {
            let expected = if instance.id == liar { "bad" } else { "ok" };
            assert_eq!(instance.result.0, expected, "{log}");
        }
    }
}

#[test]
fn a_later_ramp_does_not_agree_with_an_earlier_one() {
    let agreement = Agreement::new();
    let guest = Guest { check: Check::Agreement(&agreement), ..GUEST };
    // The first instance of the first ramp returns wrong results. If the bench did not forget
    // them, it would judge the second ramp by them.
    let config = Config { slots: 1, ..CONFIG };
    let log = run_all(config, Script { liar: Some(0), ..Script::default() }, &[guest, guest]);
    assert_eq!((log.ends().len(), log.summary.exit()), (2, 0), "{log}");
}

#[test]
fn a_leak_of_one_byte_is_an_error() {
    let log = run(Script { leak: 1, ..Script::default() });
    let end = log.end();
    assert_eq!((end.leaked_bytes, end.errors), (Some(4), 0), "a byte of each instance: {log}");
    assert!(log.summary.leaked);
    assert_eq!(log.summary.exit(), 1, "{log}");
    // The same for an instance that did not come to life.
    let script = Script { leak: 1, stack: Some((0, ErrorKind::Engine)), ..Script::default() };
    assert!(run(script).summary.leaked);
}

#[test]
fn a_thread_that_does_not_start() {
    for error in
        [StartError::NoSuchSlot, StartError::Busy, StartError::NoSuchCore, StartError::Os(11)]
    {
        let log = run(Script { start: Some((2, error)), ..Script::default() });
        assert_eq!((log.end().peak, log.end().limit), (2, Limit::Error), "{log}");
        assert_eq!((log.end().error.unwrap().0, log.summary.exit()), ("engine", 1), "{log}");
        let log = run(Script { start: Some((0, error)), ..Script::default() });
        assert_eq!((log.end().peak, log.summary.exit()), (0, 2), "{log}");
    }
}

#[test]
fn the_peak_is_the_last_rung_that_kept_the_promise() {
    // A call takes 100 us per instance, so three instances keep a promise of 350 us.
    let slo = Some(Nanos(7 * TICKS_EACH / 2));
    let log = run_all(Config { slo, dwell_ms: 10, ..CONFIG }, Script::default(), &[GUEST]);
    let end = log.end();
    assert_eq!((end.peak, end.limit), (3, Limit::Slo), "{log}");
    assert_eq!(log.summary.exit(), 0, "a promise that ends a ramp is a result: {log}");
    assert_eq!(log.instances().len(), 4, "the one too many ran as well: {log}");
}

#[test]
fn an_interrupt_at_any_instance() {
    for at in 0..4 {
        let log = run(Script { interrupt: Some(at), ..Script::default() });
        let end = log.end();
        assert_eq!(
            (end.limit, end.leaked_bytes, end.errors),
            (Limit::Interrupted, Some(0), 0),
            "{log}"
        );
        assert_eq!(end.peak as usize, at + 1, "what was being started was waited for: {log}");
        assert_eq!(log.instances().len(), at + 1, "{log}");
        assert_eq!(log.summary.exit(), 0, "{log}");
    }
}

#[test]
fn an_interrupt_ends_the_ramps_that_follow() {
    let script = Script { interrupt: Some(1), ..Script::default() };
    let log = run_all(CONFIG, script, &[GUEST, GUEST, GUEST]);
    assert_eq!(log.ends().len(), 1, "{log}");
}

/// The machine behaves like Zephyr: a time slice begins anew when a thread of higher priority
/// wakes up. A controller that looked every millisecond never let the second instance run.
#[test]
fn instances_that_never_pause_all_get_their_turn() {
    let script = Script { slice: Some(Duration::from_millis(10)), ..Script::default() };
    assert_eq!(run(script).end().peak, 4);
    assert_eq!(run_all(Config { step: 4, ..CONFIG }, script, &[GUEST]).end().peak, 4);
}

#[test]
fn private_copies() {
    let config = Config { scenario: Scenario::Private, ..CONFIG };
    let log = run_all(config, Script::default(), &[GUEST]);
    assert_eq!(log.end().cost_bytes, Some(Bytes(MODULE + COST)), "{log}");
    let log =
        run_all(config, Script { load: Some(ErrorKind::Import), ..Script::default() }, &[GUEST]);
    assert_eq!((log.summary.exit(), log.faults()[0].error.0), (2, "import"), "{log}");
}

#[test]
fn a_set_that_does_not_fit_a_slot_each() {
    let config = Config { scenario: Scenario::Mixed, slots: 7, ..CONFIG };
    let log = run_all(config, Script::default(), &[GUEST; 5]);
    assert_eq!((log.end().peak, log.end().limit), (5, Limit::Slots), "one whole set: {log}");
    // With fewer slots than modules, the ramp goes as far as it can and predicts nothing.
    let log = run_all(Config { slots: 3, ..config }, Script::default(), &[GUEST; 5]);
    assert_eq!((log.end().peak, log.end().predicted_peak), (3, None), "{log}");
}

#[test]
fn a_mix_starts_what_was_asked_for_and_then_what_fits() {
    let named = |name, count| Guest { name, count, ..GUEST };
    let guests =
        [named("a", Count::Exactly(2)), named("b", Count::Most), named("c", Count::Exactly(1))];
    let config = Config { scenario: Scenario::Mix, slots: 7, ..CONFIG };
    let log = run_all(config, Script::default(), &guests);
    assert_eq!((log.end().peak, log.end().predicted_peak), (7, Some(7)), "{log}");
    let names: Vec<_> = log.instances().iter().map(|instance| instance.workload.0).collect();
    assert_eq!(names, ["a", "a", "c", "b", "b", "b", "b"], "{log}");
    let members = log.members();
    let came: Vec<_> = members.iter().map(|m| (m.module.0, m.asked, m.instances)).collect();
    assert_eq!(came, [("a", Some(2), 2), ("b", None, 4), ("c", Some(1), 1)], "{log}");
    assert_eq!(members.iter().map(|m| m.calls).sum::<u64>(), log.end().calls, "{log}");
    assert!(members.iter().all(|m| m.cost_bytes == Some(Bytes(COST))), "{log}");
}

#[test]
fn a_mix_of_numbers_alone_ends_with_the_last_of_them() {
    let guests = [Guest { count: Count::Exactly(3), ..GUEST }];
    let config = Config { scenario: Scenario::Mix, slots: 7, ..CONFIG };
    let log = run_all(config, Script::default(), &guests);
    assert_eq!((log.end().peak, log.end().predicted_peak), (3, None), "{log}");
    assert_eq!((log.members()[0].instances, log.summary.exit()), (3, 0), "{log}");
}

#[test]
fn more_modules_than_a_ramp_takes() {
    let config = Config { scenario: Scenario::Mixed, ..CONFIG };
    let log = run_all(config, Script::default(), &[GUEST; MAX_MODULES + 1]);
    assert_eq!(log.summary.exit(), 2, "{log}");
    let message = log.faults()[0].message.readable().to_string();
    assert!(message.contains("more modules"), "{log}");
}

#[test]
fn a_core_that_is_not_there_is_a_fault_and_the_others_are_ramped() {
    let log = run_all(Config { scenario: Scenario::Pinned, ..CONFIG }, Script::default(), &[GUEST]);
    let names: Vec<_> = log.ends().iter().map(|end| end.workload.0).collect();
    assert_eq!(names, ["count@core0", "count@free"], "{log}");
    let fault = log.faults()[0];
    assert_eq!(fault.workload.unwrap().0, "count@core1", "{log}");
    assert_eq!(fault.knob.map(|knob| knob.0), Knob::Scenario.symbol(), "{log}");
    // The run did not do what was asked, and the status shows it.
    let done = log.done();
    assert_eq!((done.errors, done.faults, done.exit), (0, Some(1), 2), "{log}");
}

/// The run is refused before anything is loaded. Returns the only fault's knob and message.
#[track_caller]
fn refused(log: &Log, knob: Knob) -> String {
    let [fault] = log.faults()[..] else { panic!("{log}") };
    assert_eq!(fault.knob.map(|knob| knob.0), knob.symbol(), "{log}");
    assert_eq!((log.summary.exit(), log.ends().len()), (2, 0), "{log}");
    assert_eq!(log.lines.len(), 3, "run, fault, done: {log}");
    fault.message.readable().to_string()
}

#[test]
fn a_core_to_pin_to_that_is_not_there_names_its_knob() {
    let log = run_all(Config { pin: Pin::Core(7), ..CONFIG }, Script::default(), &[GUEST]);
    assert!(refused(&log, Knob::Pin).contains("core 7"), "{log}");
}

#[test]
fn a_pool_needs_an_engine_that_shares_stacks() {
    for mode in [Mode::Pool { workers: 1 }, Mode::Cooperative] {
        let log = run_all(Config { mode, ..CONFIG }, Script::default(), &[GUEST]);
        refused(&log, Knob::Mode);
    }
}

#[test]
fn a_budget_needs_an_engine_that_meters() {
    let config = Config { budget: Some(1_000_000), ..CONFIG };
    let log = run_all(config, Script::default(), &[GUEST]);
    assert!(refused(&log, Knob::Budget).contains("does not meter"), "{log}");
    let log = run_on::<true, false>(config, Script::default(), &[GUEST]);
    assert_eq!((log.end().peak, log.end().over_budget, log.summary.exit()), (4, Some(0), 0));
}

#[test]
fn what_the_machine_cannot_run_names_its_knob() {
    let few = Config { mode: Mode::Pool { workers: 5 }, ..CONFIG };
    let log = run_on::<false, true>(few, Script::default(), &[GUEST]);
    assert!(refused(&log, Knob::Workers).contains("there are 4"), "{log}");
    let mixed = Config { scenario: Scenario::Mixed, mode: Mode::Pool { workers: 1 }, ..CONFIG };
    let log = run_on::<false, true>(mixed, Script::default(), &[GUEST, GUEST]);
    assert!(refused(&log, Knob::Mode).contains("mixed"), "{log}");
    let small = Config { slot_stack: Bytes(2047), ..CONFIG };
    let log = run_all(small, Script::default(), &[GUEST]);
    assert!(refused(&log, Knob::SlotStack).contains("below 2048"), "{log}");
    let log = run_all(Config { slots: 0, ..CONFIG }, Script::default(), &[GUEST]);
    refused(&log, Knob::Slots);
    let log = run_all(CONFIG, Script::default(), &[]);
    refused(&log, Knob::Workload);
}

/// An engine fails for many reasons, and a larger arena fixes only one of them.
#[test]
fn an_engine_that_does_not_start_says_why() {
    let fails = |kind| {
        let error = Error::new(kind, "it is in use");
        let fake = Fake::new(&CONFIG, Script::default());
        let ran = fake.run_with::<false, false>(&CONFIG, &[GUEST], Err(error));
        Log { lines: ran.lines, summary: ran.summary.unwrap() }
    };
    let log = fails(ErrorKind::Engine);
    let [fault] = log.faults()[..] else { panic!("{log}") };
    assert_eq!((fault.error.0, fault.knob), ("engine", None), "{log}");
    let message = fault.message.readable().to_string();
    assert!(message.contains("it is in use") && !message.contains("arena"), "{log}");
    assert_eq!((log.summary.exit(), log.done().faults), (2, Some(1)), "{log}");

    let log = fails(ErrorKind::OutOfMemory);
    let message = refused(&log, Knob::Arena);
    assert!(message.contains("arena too small for the engine itself"), "{log}");
}

#[test]
fn faults_are_counted_and_set_the_status() {
    let config = Config { arena: Bytes(300), ..CONFIG };
    let log = run_all(config, Script::default(), &[GUEST; 3]);
    assert_eq!(log.faults().len(), 3, "{log}");
    let done = log.done();
    assert_eq!((done.workloads, done.errors), (0, 0), "{log}");
    assert_eq!((done.faults, done.exit), (Some(3), 2), "{log}");
}

// Times. ----------------------------------------------------------------------------

/// One slot, on a clock that only calls advance.
fn timed(each: u64, from: u64, config: Config) -> Log {
    let script = Script { clock: Clock::Calls { from, each }, ..Script::default() };
    run_on::<false, true>(Config { slots: 1, stuck_ms: None, ..config }, script, &[GUEST])
}

/// A machine that counts in 32 bits may wrap within a call, or more than once.
#[test]
fn a_latency_is_right_however_long_the_call_takes() {
    for each in [1_000_000, 3_000_000_000, 5_300_000_000, 20_000_000_000] {
        for from in [0, u64::from(u32::MAX) - 500_000, (7 << 32) - 1] {
            let log = timed(each, from, CONFIG);
            let one = log.instances()[0];
            let exact = Some(Nanos(each));
            // The shortest is kept in 32 bits, and absent where it does not fit.
            let shortest = exact.filter(|_| each < u32::MAX.into());
            assert_eq!((one.latency_min_us, one.latency_max_us), (shortest, exact), "{log}");
            assert_eq!(one.latency_mean_us, exact, "{log}");
            let p50 = one.latency_p50_us.unwrap().0;
            assert!(p50.abs_diff(each) * 50 <= each, "{log}");
        }
    }
}

/// A promise of 4.5 s and calls of 5.3 s. Both exceed 2^32 ns.
#[test]
fn a_promise_of_seconds_can_be_broken() {
    let slo = Some(Nanos(4_500_000_000));
    let log = timed(5_300_000_000, 0, Config { slo, ..CONFIG });
    assert_eq!((log.end().peak, log.end().limit), (0, Limit::Slo), "{log}");
    let log = timed(4_300_000_000, 0, Config { slo, ..CONFIG });
    assert_eq!((log.end().peak, log.end().limit), (1, Limit::Slots), "{log}");
}

/// An instance lives from the return of its first call. Until then it is starting.
#[test]
fn the_time_of_an_instance_begins_when_its_first_call_returned() {
    let pool = Mode::Pool { workers: 1 };
    for mode in [Mode::Threads, pool, Mode::Cooperative] {
        // There is one resident, so all calls are its own.
        let arena = Bytes(MODULE + COST + INSTANCE - 1);
        let log = timed(5_300_000_000, 0, Config { mode, arena, ..CONFIG });
        let [one] = log.instances()[..] else { panic!("{log}") };
        assert!(one.calls > 1, "{log}");
        assert_eq!(one.alive_ms, Some(5_300 * u64::from(one.calls - 1)), "{mode:?} {log}");
    }
}

/// Some emulators do not count. What cannot be measured is absent, and never 0.
#[test]
fn a_clock_that_stands_still_leaves_no_time_in_any_record() {
    for mode in [Mode::Threads, Mode::Pool { workers: 2 }] {
        let script = Script { clock: Clock::Still, ..Script::default() };
        let log = run_on::<false, true>(Config { mode, ..CONFIG }, script, &[GUEST]);
        assert!(log.end().peak > 0 && log.done().exit == 0, "{log}");
        for step in log.steps() {
            assert_eq!((step.uptime_ms, step.dwell_us, step.cpu_permille), (None, None, None));
            assert!(step.calls > 0, "{log}");
        }
        // The knobs are times too, and they stay.
        let knobs = ["settle_ms", "dwell_ms", "pause_ms", "slice_ms", "stuck_ms", "slo_us"];
        for line in &log.lines {
            let times = line.split(' ').filter_map(|field| field.split_once('='));
            let times = times.filter(|(key, _)| key.ends_with("_us") || key.ends_with("_ms"));
            let told: Vec<_> = times.filter(|(key, _)| !knobs.contains(key)).collect();
            assert!(told.is_empty() && !line.contains("clock_hz="), "{told:?} in {line}");
        }
    }
}

/// Naps stand in for such a clock, so a guest that does not return still ends the run.
#[test]
fn a_stuck_guest_is_found_without_a_clock() {
    let hang = Hang { instance: Some(1), call: 2, interrupts: false };
    let script =
        Script { clock: Clock::Still, hang: Some(hang), aborts: true, ..Script::default() };
    let log = run_all(Config { stuck_ms: Some(20), ..CONFIG }, script, &[GUEST]);
    assert_eq!(log.end().limit, Limit::Error, "{log}");
    assert!(log.faults().iter().any(|fault| fault.error.0 == "stuck"), "{log}");
}

/// The controller itself makes the calls there, and looks at the clock between two of them.
#[test]
fn a_controller_that_calls_the_guests_needs_a_clock() {
    let config = Config { mode: Mode::Cooperative, slots: 0, slot_stack: Bytes(0), ..CONFIG };
    let script = Script { clock: Clock::Still, ..Script::default() };
    let log = run_on::<false, true>(config, script, &[GUEST]);
    assert_eq!(log.done().exit, 2, "{log}");
    assert_eq!(log.faults()[0].knob.unwrap().0, "CONFIG_WRAMP_MODE_*", "{log}");
}

// Pools. ----------------------------------------------------------------------------

#[test]
fn a_machine_without_threads_holds_as_many_as_a_pool_of_one() {
    for (arena, most) in [(10_000, None), (100_000, Some(RESIDENTS))] {
        let config = Config { arena: Bytes(arena), step: 7, ..CONFIG };
        let pool = Config { mode: Mode::Pool { workers: 1 }, slots: 1, ..config };
        let pool = run_on::<false, true>(pool, Script::default(), &[GUEST]);
        let alone = Config { mode: Mode::Cooperative, slots: 0, slot_stack: Bytes(0), ..config };
        let alone = run_on::<false, true>(alone, Script::default(), &[GUEST]);
        for log in [&pool, &alone] {
            let end = log.end();
            let fit = (arena - MODULE - STACK) / INSTANCE;
            let expected = match most {
                None => (fit, Limit::Arena),
                Some(most) => (most as u32, Limit::Slots),
            };
            assert_eq!((end.peak, end.limit), expected, "{log}");
            assert_eq!(
                (end.predicted_peak, end.predicted_limit),
                (Some(end.peak), Some(end.limit))
            );
            assert_eq!(
                (end.leaked_bytes, end.errors, log.summary.exit()),
                (Some(0), 0, 0),
                "{log}"
            );
            assert_eq!(log.instances().len(), end.peak as usize, "{log}");
            assert!(
                log.instances().iter().all(|one| one.calls > 0 && one.result.0 == "ok"),
                "{log}"
            );
            let last = log.steps().pop().unwrap();
            assert!(last.dwell_calls > 0 && last.turnaround_p50_us.is_some(), "{log}");
        }
        let Record::Run(run) = alone.records()[0] else { panic!("{alone}") };
        assert_eq!((run.mode.0, run.workers, run.residents), ("cooperative", Some(0), Some(64)));
    }
}

#[test]
fn a_machine_without_threads_judges_results() {
    let config = Config { mode: Mode::Cooperative, slots: 0, arena: Bytes(3_000), ..CONFIG };
    let log =
        run_on::<false, true>(config, Script { liar: Some(2), ..Script::default() }, &[GUEST]);
    assert_eq!(log.summary.exit(), 1, "{log}");
    for one in log.instances() {
        assert_eq!(one.result.0, if one.id == 2 { "bad" } else { "ok" }, "{log}");
    }
    // The first call shows that a stack is too small, here as elsewhere.
    let script = Script { call: Some((1, ErrorKind::WasmStack)), ..Script::default() };
    let log = run_on::<false, true>(config, script, &[GUEST]);
    assert_eq!((log.summary.exit(), log.faults()[0].error.0), (2, "wasm-stack"), "{log}");
    let script = Script { load: Some(ErrorKind::Import), ..Script::default() };
    assert_eq!(run_on::<false, true>(config, script, &[GUEST]).summary.exit(), 2);
}

/// Nobody is left to say that such a call is stuck, so it is not begun.
#[test]
fn without_a_thread_a_module_that_may_hang_needs_a_budget() {
    let agreement = Agreement::new();
    let guest = [Guest { check: Check::Agreement(&agreement), ..GUEST }];
    let config = Config { mode: Mode::Cooperative, slots: 0, slot_stack: Bytes(0), ..CONFIG };
    let log = run_on::<false, true>(config, Script::default(), &guest);
    assert_eq!((log.summary.exit(), log.instances().len()), (2, 0), "{log}");
    assert_eq!(log.faults()[0].knob.map(|knob| knob.0), Knob::Budget.symbol(), "{log}");
}

// Calls that do not return. ---------------------------------------------------------

/// The clock is fast enough that nobody waits ten seconds. It is slow enough that a call on a
/// busy machine does not seem to hang.
const FAST: Clock = Clock::Fast(20);
const HANGS: Config = Config { dwell_ms: 200, stuck_ms: Some(4_000), ..CONFIG };

fn hang(call: u32, instance: Option<u32>) -> Script {
    let hang = Some(Hang { instance, call, interrupts: false });
    Script { hang, clock: FAST, aborts: true, ..Script::default() }
}

/// What a log with a stuck instance says, whether or not the machine could end its thread.
#[track_caller]
fn is_stuck(log: &Log, id: u32, others: &[u32]) {
    let end = log.end();
    assert_eq!((end.limit, end.error.map(|word| word.0)), (Limit::Error, Some("stuck")), "{log}");
    let [fault] = log.faults()[..] else { panic!("{log}") };
    assert_eq!((fault.error.0, fault.workload.unwrap().0), ("stuck", "count"), "{log}");
    assert_eq!(fault.knob.map(|knob| knob.0), Knob::Stuck.symbol(), "{log}");
    let message = fault.message.readable().to_string();
    assert!(message.contains(&format!("instance {id} ")), "{log}");
    let done = log.done();
    assert_eq!((done.workloads, done.faults, done.exit), (1, Some(1), 2), "{log}");
    for one in log.instances() {
        if one.id == id {
            assert_eq!((one.result.0, one.error.unwrap().0), ("bad", "stuck"), "{log}");
        } else {
            assert!(others.contains(&one.id), "{log}");
            assert_eq!((one.result.0, one.error), ("ok", None), "{log}");
            assert!(one.calls > 0, "{log}");
        }
    }
    let trial = end.peak == 0 && log.instances().is_empty() && others.is_empty();
    assert!(trial || log.instances().len() == others.len() + 1, "{log}");
}

/// The same run on a machine that cannot end a thread. It reports everything, and the program
/// ends.
#[track_caller]
fn gives_up<const SHARES: bool>(config: Config, script: Script) -> Log {
    let script = Script { aborts: false, ..script };
    let fake = Fake::new(&config, script);
    let ran = fake.run_with::<false, SHARES>(&config, &[GUEST, GUEST], Ok(()));
    let log = Log { lines: ran.lines, summary: Summary::default() };
    assert_eq!(ran.gave_up, Some(2), "{log}");
    assert_eq!(log.done().exit, 2, "{log}");
    let end = log.end();
    assert_eq!((end.leaked_bytes, end.arena_free_bytes), (None, None), "not measured: {log}");
    log
}

#[test]
fn an_instance_whose_first_call_does_not_return() {
    let script = hang(1, Some(2));
    let log = run_all(HANGS, script, &[GUEST, GUEST]);
    is_stuck(&log, 2, &[0, 1]);
    assert_eq!((log.end().peak, log.ends().len()), (2, 1), "nothing is ramped after it: {log}");
    // What the thread held is not given back, and the log says so.
    assert_eq!(log.end().leaked_bytes, Some(i64::from(COST)), "{log}");
    assert!(log.steps().iter().all(|step| step.dwell_calls > 0), "{log}");

    let log = gives_up::<false>(HANGS, script);
    is_stuck(&log, 2, &[0, 1]);
}

#[test]
fn an_instance_whose_third_call_does_not_return() {
    let script = hang(3, Some(1));
    let log = run_all(HANGS, script, &[GUEST, GUEST]);
    is_stuck(&log, 1, &[0, 2, 3]);
    assert_eq!((log.end().peak, log.instances()[1].calls), (4, 2), "{log}");
    let log = gives_up::<false>(HANGS, script);
    is_stuck(&log, 1, &[0, 2, 3]);
}

#[test]
fn no_instance_returns_from_its_third_call() {
    for aborts in [true, false] {
        let began = Instant::now();
        let script = hang(3, None);
        let log = if aborts {
            run_all(HANGS, script, &[GUEST])
        } else {
            gives_up::<false>(HANGS, script)
        };
        // All instances hang, and the log calls none of them right.
        for one in log.instances() {
            assert_eq!((one.calls, one.result.0), (2, "bad"), "{log}");
            assert_eq!(one.error.unwrap().0, "stuck", "{log}");
        }
        assert_eq!((log.end().peak, log.end().errors), (4, 4), "{log}");
        assert_eq!(log.end().error.unwrap().0, "stuck", "{log}");
        // There is one wait for all: four calls that share a core, four seconds each.
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[test]
fn a_resident_whose_first_call_does_not_return() {
    let config = Config { mode: Mode::Pool { workers: 2 }, arena: Bytes(3_000), ..HANGS };
    // The engine's first instance is the trial of the start.
    let script = hang(1, Some(2 + 1));
    let log = run_on::<false, true>(config, script, &[GUEST, GUEST]);
    is_stuck(&log, 2, &[0, 1]);
    assert_eq!(log.end().leaked_bytes, Some(i64::from(COST)), "its worker's stack too: {log}");
    let log = gives_up::<true>(config, script);
    is_stuck(&log, 2, &[0, 1]);
}

#[test]
fn a_resident_whose_third_call_does_not_return() {
    let config = Config { mode: Mode::Pool { workers: 2 }, arena: Bytes(3_000), ..HANGS };
    // The other worker continues with the rest. The engine's first instance is the trial of the
    // start.
    let script = hang(3, Some(1 + 1));
    let log = run_on::<false, true>(config, script, &[GUEST, GUEST]);
    is_stuck(&log, 1, &[0, 2, 3, 4]);
    assert_eq!((log.end().peak, log.instances()[1].calls), (5, 2), "{log}");
    let log = gives_up::<true>(config, script);
    is_stuck(&log, 1, &[0, 2, 3, 4]);
}

/// Trial calls fit the stack before the ramp has an instance.
#[test]
fn a_trial_call_that_does_not_return() {
    for (call, mode) in [(1, Mode::Threads), (3, Mode::Pool { workers: 2 })] {
        let config = Config { fit_wasm_stack: true, mode, ..HANGS };
        let script = hang(call, None);
        let log = run_on::<false, true>(config, script, &[GUEST, GUEST]);
        is_stuck(&log, 0, &[]);
        assert_eq!((log.end().peak, log.end().leaked_bytes), (0, Some(i64::from(COST))), "{log}");
        let log = gives_up::<true>(config, script);
        is_stuck(&log, 0, &[]);
    }
}

#[test]
fn a_stack_is_fitted_with_and_without_threads() {
    let config = Config { fit_wasm_stack: true, arena: Bytes(3_000), ..CONFIG };
    for (mode, slots) in
        [(Mode::Threads, 4), (Mode::Pool { workers: 1 }, 1), (Mode::Cooperative, 0)]
    {
        let config = Config { mode, slots, ..config };
        let log = run_on::<false, true>(config, Script::default(), &[GUEST]);
        assert_eq!(log.summary.exit(), 0, "{log}");
        assert_eq!(log.records()[2].kind(), "fit", "{log}");
        assert!(log.end().peak > 1 && log.end().leaked_bytes == Some(0), "{log}");
        // The log says what keeps the trial from its call.
        let script = Script { stack: Some((0, ErrorKind::OutOfMemory)), ..Script::default() };
        let log = run_on::<false, true>(config, script, &[GUEST]);
        assert_eq!((log.summary.exit(), log.faults()[0].error.0), (2, "out-of-memory"), "{log}");
    }
}

#[test]
fn an_engine_that_meters_ends_the_call_itself() {
    let config = Config { budget: Some(1_000), ..HANGS };
    let log = run_on::<true, false>(config, hang(3, Some(1)), &[GUEST]);
    let end = log.end();
    assert_eq!((end.peak, end.over_budget, end.errors), (4, Some(1), 1), "{log}");
    // Without a budget it hangs there too, and the budget is the knob to turn.
    let log = run_on::<true, false>(HANGS, hang(3, Some(1)), &[GUEST]);
    assert_eq!(log.faults()[0].knob.map(|knob| knob.0), Knob::Budget.symbol(), "{log}");
}

/// The run hears Ctrl-C while it waits for an endless guest, whatever the knob says.
#[test]
fn an_interrupt_ends_the_wait_for_a_call_that_does_not_return() {
    for (call, stuck_ms) in [(1, None), (1, Some(3_600_000)), (3, None), (3, Some(3_600_000))] {
        for mode in [Mode::Threads, Mode::Pool { workers: 2 }] {
            let began = Instant::now();
            let hang = Some(Hang { instance: Some(1), call, interrupts: true });
            let script = Script { hang, clock: FAST, aborts: true, ..Script::default() };
            let config = Config { stuck_ms, mode, arena: Bytes(3_000), ..HANGS };
            let log = run_on::<false, true>(config, script, &[GUEST]);
            assert!(began.elapsed() < Duration::from_secs(2), "40 s by the clock: {log}");
            let end = log.end();
            assert_eq!((end.limit, end.error.unwrap().0), (Limit::Error, "stuck"), "{log}");
            // It did not wait for as long as the knob says, so it names no such time.
            let message = log.faults()[0].message.readable().to_string();
            assert!(!message.contains(" ms"), "{message}");
            assert_eq!(log.summary.exit(), 2, "{log}");
        }
    }
}

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        SAID.lock().unwrap().push(record.args().to_string());
    }
    fn flush(&self) {}
}

#[test]
fn a_long_wait_says_what_it_waits_for_and_which_knob_ends_it() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    run_all(HANGS, hang(1, Some(3)), &[GUEST]);
    let said = SAID.lock().unwrap();
    let wanted = "the first call of instance 3";
    let line = said.iter().find(|line| line.contains(wanted)).expect("nothing was said");
    assert!(line.contains("CONFIG_WRAMP_STUCK_MS"), "{line}");
}
