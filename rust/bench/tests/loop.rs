//! The one loop, on a machine and an engine that fail as they are told.

mod fake;

use std::time::Duration;

use fake::{ENVIRONMENT, Fake, GUEST, INSTANCE, MODULE, Script, TICKS_EACH};
use wramp_bench::{Agreement, Check, Guest, Summary};
use wramp_core::config::{Config, Knob, Mode, Scenario};
use wramp_core::measure::{Bytes, Nanos};
use wramp_core::platform::{Pin, StartError};
use wramp_core::ramp::Limit;
use wramp_core::report::{End, Fault, Instance, Record, Step};
use wramp_core::runtime::ErrorKind;

const COST: u32 = INSTANCE + ENVIRONMENT;

const CONFIG: Config = Config {
    arena: Bytes(100_000),
    slots: 4,
    settle_ms: 0,
    dwell_ms: 10,
    pause_ms: 0,
    ..Config::PUBLISHED
};

const KINDS: [ErrorKind; 12] = [
    ErrorKind::OutOfMemory,
    ErrorKind::Malformed,
    ErrorKind::Import,
    ErrorKind::NoExport,
    ErrorKind::Signature,
    ErrorKind::Trap,
    ErrorKind::WasmStack,
    ErrorKind::NativeStack,
    ErrorKind::Budget,
    ErrorKind::WrongModule,
    ErrorKind::Engine,
    ErrorKind::WrongResult,
];

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
    kinds!(steps: Step, instances: Instance, ends: End, faults: Fault);

    fn records(&self) -> Vec<Record<'_>> {
        self.lines.iter().map(|line| Record::parse(line).unwrap().unwrap()).collect()
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

fn run_all(config: Config, script: Script, guests: &[Guest<'_>]) -> Log {
    let (lines, summary) = Fake::new(&config, script).run(&config, guests);
    let log = Log { lines, summary };
    let Some(Record::Done(done)) = log.records().pop() else { panic!("no done: {log}") };
    assert_eq!((done.exit, done.errors), (summary.exit(), summary.errors), "{log}");
    log
}

fn run(script: Script) -> Log {
    run_all(CONFIG, script, &[GUEST])
}

#[test]
fn all_goes_well() {
    let log = run(Script::default());
    assert_eq!(log.summary, Summary { workloads: 1, ..Summary::default() }, "{log}");
    let end = log.end();
    assert_eq!((end.peak, end.limit, end.leaked_bytes), (4, Limit::Slots, 0), "{log}");
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

#[test]
fn a_machine_that_tells_no_cpu_time() {
    let log = run(Script { no_cpu_time: true, ..Script::default() });
    assert!(log.steps().iter().all(|step| step.cpu_permille.is_none()), "absent, not 0: {log}");
}

#[test]
fn latencies_are_those_of_the_clock() {
    let log = run(Script::default());
    for (step, instances) in log.steps().iter().zip([1, 2, 3, 4, 4]) {
        // A call may have begun when one instance fewer lived.
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
    // Every remainder around the boundary of one more.
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
    for kind in KINDS {
        for script in [
            Script { instantiate: Some((2, kind)), ..Script::default() },
            Script { environment: Some((2, kind)), ..Script::default() },
        ] {
            let log = run(script);
            let end = log.end();
            assert_eq!(end.peak, 2, "{log}");
            assert_eq!(end.leaked_bytes, 0, "{log}");
            assert_eq!((end.errors, log.instances().len()), (0, 2), "the two go on: {log}");
            assert_eq!(end.error.unwrap().0, kind.as_str());
            assert_eq!(end.message.unwrap().0, "as_the_script_says");
            assert!(log.faults().is_empty(), "something ran: {log}");
            // Only memory is a result; anything else is a failure that the status shows.
            let expected = match kind {
                ErrorKind::OutOfMemory => (Limit::Arena, 0),
                _ => (Limit::Error, 1),
            };
            assert_eq!((end.limit, log.summary.exit()), expected, "{log}");
            // 1, 2, and the two held once more.
            assert_eq!(log.steps().len(), 3, "{log}");
        }
    }
}

#[test]
fn not_even_the_first_instance_runs() {
    for kind in KINDS {
        for script in [
            Script { load: Some(kind), ..Script::default() },
            Script { instantiate: Some((0, kind)), ..Script::default() },
            Script { environment: Some((0, kind)), ..Script::default() },
        ] {
            let log = run(script);
            assert_eq!(log.summary.exit(), 2, "{log}");
            assert_eq!(log.faults().len(), 1, "{log}");
            let fault = log.faults()[0];
            assert_eq!((fault.workload.unwrap().0, fault.error.0), ("count", kind.as_str()));
            assert!(fault.message.0.contains("as_the_script_says"), "{log}");
            let knob = match kind {
                ErrorKind::OutOfMemory => "CONFIG_WRAMP_ARENA_SIZE",
                ErrorKind::WasmStack => "CONFIG_WRAMP_WASM_STACK_SIZE",
                ErrorKind::NativeStack => "CONFIG_WRAMP_SLOT_STACK_SIZE",
                ErrorKind::NoExport | ErrorKind::Signature => "rust/workloads",
                _ => "wat/",
            };
            assert_eq!(fault.knob.0, knob, "{log}");
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
    for kind in KINDS {
        // Not the first: a stack that is too small at once is another matter.
        let log = run(Script { call: Some((3, kind)), ..Script::default() });
        let end = log.end();
        assert_eq!((end.peak, end.limit), (4, Limit::Slots), "{kind:?} {log}");
        assert_eq!(log.summary.exit(), 1, "{log}");
        for instance in log.instances() {
            assert_eq!(instance.result.0, "bad", "{log}");
            assert_eq!(instance.error.unwrap().0, kind.as_str(), "{log}");
            // The reference went on to count the call that this guest did not return from.
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
    // The first instance of the first ramp lies: without forgetting, the second ramp would
    // be judged by it.
    let config = Config { slots: 1, ..CONFIG };
    let log = run_all(config, Script { liar: Some(0), ..Script::default() }, &[guest, guest]);
    assert_eq!((log.ends().len(), log.summary.exit()), (2, 0), "{log}");
}

#[test]
fn a_leak_of_one_byte_is_an_error() {
    let log = run(Script { leak: 1, ..Script::default() });
    let end = log.end();
    assert_eq!((end.leaked_bytes, end.errors), (4, 0), "a byte of each instance: {log}");
    assert!(log.summary.leaked);
    assert_eq!(log.summary.exit(), 1, "{log}");
    // Also of an instance that did not come to life.
    let script = Script { leak: 1, environment: Some((0, ErrorKind::Engine)), ..Script::default() };
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
    // A call takes 100 us an instance; 350 us are kept by three.
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
        assert_eq!((end.limit, end.leaked_bytes, end.errors), (Limit::Interrupted, 0, 0), "{log}");
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

/// The machine is Zephyr, whose time slices begin anew when a thread of higher priority wakes
/// up: a controller that looked up every millisecond never let the second instance run.
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
    // Fewer slots than modules: as far as it goes, and nothing is predicted.
    let log = run_all(Config { slots: 3, ..config }, Script::default(), &[GUEST; 5]);
    assert_eq!((log.end().peak, log.end().predicted_peak), (3, None), "{log}");
}

#[test]
fn more_modules_than_a_ramp_takes() {
    let config = Config { scenario: Scenario::Mixed, ..CONFIG };
    let log = run_all(config, Script::default(), &[GUEST; 6]);
    assert_eq!(log.summary.exit(), 2, "{log}");
    assert!(log.faults()[0].message.0.contains("more_modules"), "{log}");
}

#[test]
fn a_core_that_is_not_there_is_said_and_is_no_error() {
    let log = run_all(Config { scenario: Scenario::Pinned, ..CONFIG }, Script::default(), &[GUEST]);
    let names: Vec<_> = log.ends().iter().map(|end| end.workload.0).collect();
    assert_eq!(names, ["count@core0", "count@free"], "{log}");
    assert_eq!(log.faults()[0].workload.unwrap().0, "count@core1", "{log}");
    assert_eq!(log.summary.exit(), 0, "{log}");
}

#[test]
fn a_core_to_pin_to_that_is_not_there_names_its_knob() {
    let log = run_all(Config { pin: Pin::Core(7), ..CONFIG }, Script::default(), &[GUEST]);
    let [fault] = log.faults()[..] else { panic!("{log}") };
    assert_eq!((fault.knob.0, log.summary.exit()), (Knob::Pin.symbol(), 2), "{log}");
    assert!(fault.message.0.contains("core_7"), "{log}");
    assert!(log.ends().is_empty(), "{log}");
}

#[test]
fn a_pool_needs_an_engine_that_lends() {
    let log =
        run_all(Config { mode: Mode::Pool { workers: 1 }, ..CONFIG }, Script::default(), &[GUEST]);
    assert_eq!((log.summary.exit(), log.faults().len()), (2, 1), "{log}");
    assert!(log.ends().is_empty(), "{log}");
}
