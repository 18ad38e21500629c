//! `table --show slo` derives from a log how a run under that promise would have ended.

#[path = "../../bench/tests/fake/mod.rs"]
#[allow(dead_code, reason = "its scripts of failures are for the bench's own tests")]
mod fake;
mod support;

use fake::{Fake, GUEST, Script, TICKS_EACH};
use proptest::prelude::*;
use support::{golden, scratch, stderr, stdout, wramp};
use wramp_cli::model::log::Log;
use wramp_cli::model::promise::{Kept, kept, ladder};
use wramp_core::config::Config;
use wramp_core::measure::{Bytes, Nanos};
use wramp_core::ramp::{Action, Event, Failure, Limit, Outcome, Ramp, Shape};
use wramp_core::report::{End, Record, Step, Word};

fn step(instances: u32, pool: bool, p99: Option<Nanos>) -> String {
    let (call, turnaround) = if pool { (Some(Nanos(1)), p99) } else { (p99, None) };
    let record = Record::from(Step {
        workload: Word("cpu"),
        instances,
        running: pool.then_some(1),
        arena_free_bytes: Bytes(0),
        arena_low_bytes: Bytes(0),
        arena_largest_bytes: Bytes(0),
        arena_blocks: 0,
        cost_bytes: Bytes(0),
        start_us: None,
        cpu_permille: None,
        uptime_ms: Some(0),
        dwell_us: Some(Nanos(1)),
        dwell_calls: 0,
        calls: 0,
        errors: 0,
        latency_mean_us: None,
        latency_min_us: None,
        latency_p50_us: None,
        latency_p99_us: call,
        latency_max_us: None,
        turnaround_p50_us: None,
        turnaround_p99_us: turnaround,
        turnaround_max_us: None,
        wake_p50_us: None,
        wake_p99_us: None,
        wake_max_us: None,
    });
    format!("{record}\n")
}

fn end(outcome: Outcome) -> String {
    let record = Record::from(End {
        workload: Word("cpu"),
        peak: outcome.peak,
        limit: outcome.limit,
        predicted_peak: None,
        predicted_limit: None,
        cost_bytes: None,
        arena_free_bytes: Some(Bytes(0)),
        leaked_bytes: Some(0),
        overdraft_bytes: wramp_core::report::Overdraft::default(),
        calls: 0,
        errors: 0,
        over_budget: None,
        stack_used_bytes: None,
        fairness: None,
        error: None,
        message: None,
    });
    format!("{record}\n")
}

/// A machine whose n-th sample has the n-th of these p99s.
#[derive(Clone, Debug)]
struct Machine {
    shape: Shape,
    /// The instance that does not start, and why.
    fails: Option<(u32, Failure)>,
    /// The sample that is interrupted.
    interrupted: Option<usize>,
    p99: Vec<Option<Nanos>>,
    pool: bool,
}

impl Machine {
    /// Climbs under a promise. Returns the log, and how the ramp ended.
    fn climb(&self, slo: Option<Nanos>) -> (String, Outcome) {
        let mut ramp = Ramp::new(Shape { slo, ..self.shape });
        let (mut log, mut samples, mut told) = (String::new(), 0, false);
        let mut event = Event::Begin;
        loop {
            event = match ramp.next(event) {
                Action::Start(id) => match self.fails {
                    Some((at, failure)) if at == id => Event::Failed(failure),
                    _ => Event::Alive,
                },
                Action::Dwell if !told && self.interrupted == Some(samples) => {
                    told = true;
                    Event::Interrupt
                }
                Action::Settle | Action::Dwell => Event::Elapsed,
                Action::Sample => {
                    let p99 = self.p99[samples % self.p99.len()];
                    samples += 1;
                    log += &step(ramp.running(), self.pool, p99);
                    Event::Sampled(p99)
                }
                Action::Stop => Event::Stopped,
                Action::Done(outcome) => return (log + &end(outcome), outcome),
            };
        }
    }
}

fn machine() -> impl Strategy<Value = Machine> {
    let failure = prop_oneof![Just(Failure::OutOfMemory), Just(Failure::Other)];
    let fails = prop::option::of((0_u32..20, failure));
    let p99 = prop::option::weighted(0.9, (1_u64..9).prop_map(|us| Nanos(us * 1000)));
    let p99 = prop::collection::vec(p99, 1..24);
    let interrupted = prop::option::weighted(0.2, 0_usize..20);
    (1_u32..24, 1_u32..6, fails, interrupted, p99, any::<bool>()).prop_map(
        |(slots, step, fails, interrupted, p99, pool)| Machine {
            shape: Shape { slots, step, slo: None },
            fails,
            interrupted,
            p99,
            pool,
        },
    )
}

fn read(text: &str) -> Log {
    Log::read("test", text.as_bytes()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn derived_is_what_the_ramp_does(machine in machine(), promise in 0_u64..10) {
        let promise = Nanos(promise * 1000);
        let (log, _) = machine.climb(None);
        let (own, outcome) = machine.climb(Some(promise));
        let log = read(&log);
        let derived = kept(&log.runs[0].ramps[0], promise);
        prop_assert_eq!((derived.peak, derived.limit), (outcome.peak, Some(outcome.limit)));
        // That run's own log says the same about its promise, and about a stricter one.
        let own = read(&own);
        for stricter in 0..=promise.0 / 1000 {
            let stricter = Nanos(stricter * 1000);
            let (ramp, whole) = (own.ramps().next().unwrap(), log.ramps().next().unwrap());
            let (own, whole) = (kept(ramp, stricter), kept(whole, stricter));
            prop_assert_eq!(own.peak, whole.peak);
            let stopped = stricter == promise && whole.limit == Some(Limit::Slo);
            prop_assert!(own.limit == whole.limit || stopped, "{own:?} {whole:?}");
        }
    }
}

/// The bench's loop on a machine whose calls take a tenth of a millisecond for each instance.
#[test]
fn derived_is_what_a_run_under_the_promise_reports() {
    let config = Config {
        arena: Bytes(100_000),
        slots: 6,
        settle_ms: 0,
        // Long enough for several calls of each instance on a loaded machine.
        dwell_ms: 30,
        pause_ms: 0,
        ..Config::PUBLISHED
    };
    let run = |config: Config| {
        let fake = Fake::new(&config, Script::default());
        let lines = fake.run_with::<false, false>(&config, &[GUEST], Ok(())).lines;
        read(&(lines.join("\n") + "\n"))
    };
    // The slots end the first ramp. The arena, with room for four instances, ends the second.
    for config in [config, Config { arena: Bytes(1_000 + 4 * 500 + 499), step: 3, ..config }] {
        let free = run(config);
        for halves in 1..14 {
            let promise = Nanos(halves * TICKS_EACH / 2);
            let log = run(Config { slo: Some(promise), ..config });
            let end = log.runs[0].ramps[0].end.as_ref().unwrap().get();
            let derived = kept(&free.runs[0].ramps[0], promise);
            assert_eq!((derived.peak, derived.limit), (end.peak, Some(end.limit)), "{promise}");
        }
    }
}

#[test]
fn a_promise_that_the_log_cannot_answer_is_left_open() {
    let machine = |p99: &[u64]| Machine {
        shape: Shape { slots: 9, step: 1, slo: None },
        fails: None,
        interrupted: None,
        p99: p99.iter().map(|&us| Some(Nanos(us * 1000))).collect(),
        pool: true,
    };
    // Its own promise of 3 us stopped it at the third rung. A promise of 9 us would have gone
    // further, and nobody knows how far.
    let (log, _) = machine(&[1, 2, 4, 8]).climb(Some(Nanos(3_000)));
    let log = read(&log);
    let under = |us: u64| kept(&log.runs[0].ramps[0], Nanos(us * 1000));
    assert_eq!(under(3).limit, Some(Limit::Slo));
    assert_eq!(under(9), Kept { peak: 3, limit: None, p99: Some(Nanos(4_000)) });
    // A log without its end.
    let log = read(&step(1, true, Some(Nanos(5_000))));
    assert_eq!(kept(&log.runs[0].ramps[0], Nanos(5_000)).limit, None);
    assert_eq!(kept(&log.runs[0].ramps[0], Nanos(4_999)).limit, Some(Limit::Slo));
}

#[test]
fn the_ladder_goes_from_what_one_rung_keeps_to_what_all_keep() {
    let of = |p99: &[u64]| {
        let lines: String = p99.iter().map(|&ns| step(1, false, Some(Nanos(ns)))).collect();
        let promises = ladder(&read(&lines).runs[0].ramps[0]);
        promises.into_iter().map(|promise| promise.0 / 1000).collect::<Vec<_>>()
    };
    assert_eq!(of(&[14_662_000, 126_685_000]), [20_000, 50_000, 100_000, 200_000]);
    assert_eq!(of(&[20_000_000, 10_000_001]), [20_000]);
    assert_eq!(of(&[3]), [1]);
    assert_eq!(ladder(&read(&step(1, true, None)).runs[0].ramps[0]), []);
    // The ladder ends even where a p99 is the largest number.
    assert!(of(&[1, u64::MAX]).len() > 40);
}

#[test]
fn the_table_writes_promises_in_four_formats() {
    let log = golden("esp32s3.log");
    let shown = |more: &[&str]| {
        let output = wramp(&[&["table", &log, "--show", "slo"], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    // With three instances a call takes 3 x 26.9 ms, and its p99 5 % more: 84.7 ms.
    let text = shown(&[]);
    assert!(text.contains("Promises of esp32s3.log") && text.contains("call"), "{text}");
    let csv = shown(&["--format", "csv", "--slo-us", "100000,1,10000000"]);
    let rows: Vec<_> = csv.lines().filter(|row| row.contains(",cpu,")).collect();
    assert!(csv.starts_with("log,run,board,workload,slo_us,of,peak,limit,p99_us\n"), "{csv}");
    assert!(rows[0].ends_with(",100000,call,3,slo,84735.000"), "{csv}");
    assert!(rows[1].ends_with(",1,call,0,slo,"), "{csv}");
    assert!(rows[2].ends_with(",10000000,call,24,slots,677880.000"), "{csv}");
    let markdown = shown(&["--format", "markdown", "--slo-us", "100000"]);
    assert!(markdown.contains("| cpu | 100,000 | call | 3 | slo | 84,735 |"), "{markdown}");
    let json = shown(&["--format", "json", "--slo-us", "100000"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["slo"][0]["peak"], 3);
    assert_eq!(json["slo"][0]["slo_us"], 100_000);

    let dir = scratch("promise");
    let empty = dir.join("load.log");
    std::fs::write(&empty, step(2, true, None)).unwrap();
    let output = wramp(&["table", &empty.to_string_lossy(), "--show", "slo"]);
    assert!(output.status.success(), "nothing was measured, which is no fault");
    let refused = wramp(&["table", &log, "--show", "steps", "--slo-us", "5"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("--show slo"), "{}", stderr(&refused));
}
