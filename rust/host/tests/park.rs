//! A park: every instance is called and verified, within the declared bytes, and none is lost.

mod common;

use common::{Log, built_in, guest, run, wasm};
use wramp_bench::{Agreement, Check, Guest};
use wramp_core::config::{Config, Mode, Park};
use wramp_core::measure::Bytes;
use wramp_core::ramp::Limit;
use wramp_core::report::{End, Record};
use wramp_core::runtime::Parameters;

const KNOBS: Park = Park { workers: 4, live: 0, budget: None, hot: false };

/// The dense preset's bytes, at a pace for tests.
const PARK: Config =
    Config { settle_ms: 0, dwell_ms: 20, mode: Mode::Park(KNOBS), ..Config::DENSE };

/// An arena in which a test does not take long.
const SMALL: Config = Config { arena: Bytes(48 << 10), ..PARK };

fn end(log: &Log) -> End<'_> {
    let mut ends = log.records().into_iter().filter_map(|record| match record {
        Record::End(end) => Some(end),
        _ => None,
    });
    ends.next_back().unwrap_or_else(|| panic!("{log}"))
}

/// The last record of parking.
fn park(log: &Log) -> wramp_core::report::Park<'_> {
    let mut parks = log.records().into_iter().filter_map(|record| match record {
        Record::Park(park) => Some(park),
        _ => None,
    });
    parks.next_back().unwrap_or_else(|| panic!("{log}"))
}

#[test]
fn thousands_of_one_length_are_parked_and_each_is_verified() {
    let log = run(SMALL, &built_in(&["cpu"]));
    log.right();
    let (end, park) = (end(&log), park(&log));
    assert_eq!((end.limit, end.predicted_peak), (Limit::Arena, Some(end.peak)), "{log}");
    // 4 bytes of state and 4 for the judge, and little else.
    assert_eq!(end.cost_bytes, Some(Bytes(8)), "{log}");
    assert!(end.peak > 3_500, "{log}");
    assert!(end.calls >= u64::from(end.peak), "each is called: {log}");
    assert_eq!((park.instances, park.live, park.ended), (end.peak, 4, 0), "{log}");
    assert_eq!(park.parked_max_bytes, Bytes(4));
    assert!(park.park_mean_us.is_some() && park.revivals > 0, "{log}");
}

#[test]
fn memories_are_parked_in_what_a_trial_says_they_take() {
    let sparse = Guest::from(&wramp_workloads::SPARSE);
    for (guest, least, longest) in [(built_in(&["state"])[0], 15, 900), (sparse, 80, 200)] {
        let log = run(SMALL, &[guest]);
        log.right();
        let (end, park) = (end(&log), park(&log));
        assert!(end.peak >= least, "{log}");
        assert_eq!((end.limit, end.predicted_peak), (Limit::Arena, Some(end.peak)), "{log}");
        assert!(park.parked_max_bytes <= park.budget_bytes, "{log}");
        assert!(park.parked_max_bytes.0 < longest, "{log}");
        assert!(park.parked_p50_bytes <= park.parked_p99_bytes, "{log}");
    }
}

#[test]
fn a_page_of_which_little_is_dirty_takes_little() {
    let config = Config { arena: Bytes(400 << 10), ..PARK };
    let log = run(config, &built_in(&["mem"]));
    log.right();
    // Five pages do not fit beside four live instances. Parked there is room for more.
    assert!(end(&log).peak >= 40, "{log}");
    assert!(park(&log).parked_max_bytes.0 < 1_200, "{log}");
}

/// A module of a user's own has no reference, so its instances have to agree.
#[test]
fn an_own_module_is_verified_by_agreement() {
    let module = wasm(
        "(module (memory 1) (global $g (mut i64) (i64.const 1)) (func (export \"run\") (param i32) (result i32)
           (i32.store (i32.and (local.get 0) (i32.const 0xfc)) (local.get 0))
           (global.set $g (i64.mul (global.get $g) (i64.const 0x9e3779b97f4a7c15)))
           (i32.xor (i32.load (i32.const 16)) (i32.wrap_i64 (i64.shr_u (global.get $g) (i64.const 32))))))",
    );
    let agreement = Agreement::new();
    let guest =
        Guest { parameters: Parameters::I32, ..guest(module, Check::Agreement(&agreement)) };
    let config = Config { arena: Bytes(320 << 10), ..PARK };
    let log = run(config, &[guest]);
    log.right();
    assert!(end(&log).peak > 20 && end(&log).calls > u64::from(end(&log).peak), "{log}");
    assert_eq!(park(&log).judge_bytes, Bytes(8));
}

/// A start function runs once for each instance, however often it is parked and revived.
#[test]
fn a_start_function_counts_once_for_each() {
    let module = wasm(
        "(module (memory 1) (global $starts (mut i32) (i32.const 0)) (start $start)
           (func $start (global.set $starts (i32.add (global.get $starts) (i32.const 1)))
             (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (i32.const 10))))
           (func (export \"run\") (result i32)
             (i32.add (global.get $starts) (i32.load (i32.const 64)))))",
    );
    let check = Check::Reference { next: |_| 11, varies: false };
    let config = Config { arena: Bytes(320 << 10), ..PARK };
    let log = run(config, &[guest(module, check)]);
    log.right();
    let end = end(&log);
    assert!(end.peak > 20 && end.calls > u64::from(end.peak), "{log}");
}

/// A guest that is told by its seed to grow its state: the others go on.
#[test]
fn an_instance_that_outgrows_its_budget_ends_and_the_others_go_on() {
    let module = wasm(
        "(module (memory 1 1) (global $n (mut i32) (i32.const 0)) (func (export \"run\") (param $seed i32) (result i32)
           (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (if (i32.eqz (i32.and (local.get $seed) (i32.const 7)))
             (then (memory.fill (i32.const 0) (global.get $n) (i32.const 1000))))
           (i32.store (i32.const 0) (global.get $n))
           (global.get $n)))",
    );
    let next = |state: &mut wramp_workloads::State| {
        state.calls += 1;
        state.calls.cast_signed()
    };
    let check = Check::Reference { next, varies: true };
    let guest = Guest { parameters: Parameters::I32, ..guest(module, check) };
    let mode = Mode::Park(Park { budget: Some(Bytes(64)), ..KNOBS });
    let log = run(Config { arena: Bytes(300 << 10), mode, ..PARK }, &[guest]);
    let (end, park) = (end(&log), park(&log));
    assert_eq!(log.summary.exit(), 1, "{log}");
    // One in eight seeds. Each had one call that was right, and was then refused.
    let seeds = (0..end.peak).map(|id| (id + 1).wrapping_mul(0x9E37_79B9));
    let greedy = seeds.filter(|seed| seed & 7 == 0).count() as u64;
    assert!(greedy > 5, "{log}");
    assert_eq!(end.errors, greedy, "{log}");
    assert!(park.instances > park.ended, "{log}");
    let named = log.records().into_iter().filter_map(|record| match record {
        Record::Instance(instance) => instance.error.map(|error| error.0),
        _ => None,
    });
    let named: Vec<_> = named.collect();
    assert!(!named.is_empty() && named.iter().all(|error| *error == "park-budget"), "{log}");
    assert_eq!(end.leaked_bytes, Some(0));
}

#[test]
fn what_cannot_be_parked_is_refused_by_name() {
    let module =
        wasm("(module (table 1 externref) (func (export \"run\") (result i32) (i32.const 0)))");
    let check = Check::Reference { next: |_| 0, varies: false };
    let log = run(SMALL, &[guest(module, check)]);
    assert_eq!(log.summary.exit(), 2, "{log}");
    let fault = log.records().into_iter().find_map(|record| match record {
        Record::Fault(fault) => {
            Some((fault.error.0.to_owned(), fault.message.readable().to_string()))
        }
        _ => None,
    });
    let (kind, message) = fault.unwrap();
    assert_eq!(kind, "not-parkable");
    assert!(message.contains("externref"), "{message}");
}

#[test]
fn a_guest_that_traps_goes_on_where_it_trapped() {
    // Every third call traps, after it has counted itself.
    let module = wasm(
        "(module (global $n (mut i32) (i32.const 0)) (func (export \"run\") (result i32)
           (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (if (i32.eqz (i32.rem_u (global.get $n) (i32.const 3))) (then unreachable))
           (global.get $n)))",
    );
    let next = |state: &mut wramp_workloads::State| {
        state.calls += 1;
        state.calls.cast_signed()
    };
    let log = run(
        Config { arena: Bytes(20 << 10), ..PARK },
        &[guest(module, Check::Reference { next, varies: true })],
    );
    let end = end(&log);
    assert_eq!(log.summary.exit(), 1, "{log}");
    assert!(end.errors > 0 && end.errors * 2 < end.calls, "only traps are errors: {log}");
    assert_eq!(end.leaked_bytes, Some(0), "{log}");
}

#[test]
fn a_hot_set_is_served_and_verified() {
    let mode = Mode::Park(Park { hot: true, live: 8, ..KNOBS });
    let log = run(Config { arena: Bytes(64 << 10), mode, ..PARK }, &built_in(&["state"]));
    log.right();
    let (end, park) = (end(&log), park(&log));
    // The hot ones stay where they are.
    assert!(park.revivals * 4 < end.calls, "{log}");
}

/// The promise is for the fast interpreter: stacks of the classic one hold a cache of 1,536 bytes.
#[test]
fn the_published_bytes_hold_what_was_promised() {
    let sparse = Guest::from(&wramp_workloads::SPARSE);
    for (guest, promised) in [
        (built_in(&["cpu"])[0], 32_768),
        (built_in(&["state"])[0], 220),
        (sparse, 1_200),
        (built_in(&["mem"])[0], 150),
        (built_in(&["msg"])[0], 80),
    ] {
        let log = run(PARK, &[guest]);
        log.right();
        let end = end(&log);
        let promised = if wramp_wamr::INTERPRETER == "fast" { promised } else { promised * 9 / 10 };
        assert!(end.peak >= promised, "{}: {} of {promised}: {log}", guest.name, end.peak);
        assert!(end.calls >= u64::from(end.peak), "{log}");
        eprintln!("{}: {} in {:?}", guest.name, end.peak, end.cost_bytes);
    }
}
