//! Pools, fitted stacks, budgets and promises: on 32 bits exact to the byte.

mod common;

use common::{Log, QUICK, built_in, guest, run, wasm};
use wramp_bench::{Agreement, Check, Guest};
use wramp_core::config::{Config, Mode, Scenario};
use wramp_core::measure::{Bytes, Nanos};
use wramp_core::ramp::Limit;
use wramp_core::report::{End, Record};
use wramp_core::runtime::ErrorKind;

/// The dense preset at a pace for tests.
const DENSE: Config = Config { settle_ms: 0, dwell_ms: 20, step: 100, ..Config::DENSE };

fn ends(log: &Log) -> Vec<End<'_>> {
    log.records()
        .into_iter()
        .filter_map(|record| match record {
            Record::End(end) => Some(end),
            _ => None,
        })
        .collect()
}

#[test]
fn a_pool_runs_as_many_as_the_arena_holds_and_verifies_them_all() {
    let log = run(DENSE, &built_in(&["cpu", "state"]));
    log.right();
    let ends = ends(&log);
    assert_eq!(ends.len(), 2, "{log}");
    for end in &ends {
        assert_eq!(end.limit, Limit::Arena, "{log}");
        let predicted = (end.predicted_peak, end.predicted_limit);
        assert_eq!(predicted, (Some(end.peak), Some(end.limit)), "{log}");
        assert!(end.calls >= u64::from(end.peak), "every resident is called: {log}");
    }
    // The promise is for 32 bits and the fast interpreter. Each stack of the classic
    // interpreter also holds a cache of 1,536 bytes. 64-bit pointers cost extra.
    let wanted = match (usize::BITS, wramp_wamr::INTERPRETER) {
        (32, "fast") => [640, 100],
        (32, _) => [600, 100],
        _ => [400, 90],
    };
    assert!(ends[0].peak >= wanted[0] && ends[1].peak >= wanted[1], "{log}");
}

/// The controller's table is larger than what a caller may have left of its own stack.
#[test]
fn a_pool_runs_whatever_the_callers_stack() {
    let caller = std::thread::Builder::new().stack_size(256 << 10);
    let caller = caller.spawn(|| run(DENSE, &built_in(&["cpu"])).summary.exit());
    assert_eq!(caller.unwrap().join().unwrap(), 0);
}

#[test]
fn a_hundred_preemptive_ones_fit_into_the_published_bytes() {
    // 294,912 bytes: stacks of 2 KiB and the rest for the arena, with a thread per instance.
    let slots = 97;
    let config = Config {
        arena: Bytes(294_912 - slots * 2048),
        slots,
        slot_stack: Bytes(2048),
        fit_wasm_stack: true,
        step: slots,
        ..QUICK
    };
    let log = run(config, &built_in(&["cpu"]));
    log.right();
    let dense = wramp_wamr::INTERPRETER == "fast";
    let ends = ends(&log);
    assert_eq!(ends[0].predicted_peak, Some(ends[0].peak), "{log}");
    assert_eq!(ends[0].peak == slots, dense, "{log}");
}

#[test]
fn thirty_two_bit_figures_are_those_of_the_boards() {
    if usize::BITS != 32 {
        return; // scripts/test says in one line whether the 32-bit host was available.
    }
    // Measured on mps2/an385 (results/mps2_an385), with a 4 KiB wasm stack and no AOT.
    let expected = match wramp_wamr::INTERPRETER {
        "fast" => 4592,
        _ => 6128,
    };
    let log = run(Config { slots: 2, ..QUICK }, &built_in(&["cpu"]));
    log.right();
    assert_eq!(ends(&log)[0].cost_bytes, Some(Bytes(expected)), "{log}");
}

#[test]
fn the_parts_of_an_instance_add_up_in_both_modes() {
    let modes: &[Mode] = &[Mode::Threads, Mode::Pool { workers: 2 }];
    for &mode in modes {
        for scenario in [Scenario::All, Scenario::Private] {
            if mode != Mode::Threads && scenario == Scenario::Private {
                continue;
            }
            let config = Config { mode, scenario, slots: 2, ..QUICK };
            let log = run(config, &built_in(&["cpu", "mem", "isolation", "state"]));
            log.right();
            for end in ends(&log) {
                let parts: u32 = log
                    .records()
                    .iter()
                    .filter_map(|record| match record {
                        Record::Part(part) if part.workload == end.workload => Some(part.bytes.0),
                        _ => None,
                    })
                    .sum();
                assert_eq!(Some(Bytes(parts)), end.cost_bytes, "{mode:?} {scenario:?} {log}");
            }
        }
    }
}

#[test]
fn a_fitted_stack_is_the_least_that_runs_and_a_margin() {
    let config = Config { fit_wasm_stack: true, slots: 1, ..QUICK };
    for name in ["cpu", "mem", "msg", "isolation", "state"] {
        let log = run(config, &built_in(&[name]));
        log.right();
        let fits: Vec<_> = log
            .records()
            .into_iter()
            .filter_map(|record| match record {
                Record::Fit(fit) => Some((fit.needed_bytes, fit.wasm_stack_bytes)),
                _ => None,
            })
            .collect();
        let [(needed, stack)] = fits[..] else { panic!("{log}") };
        assert!(stack >= Bytes(needed.0 + 64) && stack.0 <= needed.0 + needed.0 / 4 + 72, "{log}");
        // Goes down byte by byte: right until the edge, and a clean refusal below it.
        for bytes in (needed.0 - 24..=needed.0 + 8).rev() {
            let config = Config { wasm_stack: Bytes(bytes), slots: 1, ..QUICK };
            let log = run(config, &built_in(&[name]));
            if bytes >= needed.0 {
                log.right();
            } else if bytes <= needed.0 - 8 {
                assert_eq!(log.summary.exit(), 2, "{name} in {bytes}: {log}");
                assert!(log.lines.iter().any(|l| l.contains("knob=--wasm-stack-bytes")), "{log}");
            }
        }
    }
}

#[test]
fn a_guest_without_end_is_ended_by_its_budget_and_counted() {
    if !wramp_wamr::METERING {
        return; // The engine then refuses a budget. A test below covers that.
    }
    let wasm = wasm("(module (func (export \"run\") (result i32) (loop (br 0)) (i32.const 0)))");
    let agreement = wramp_bench::Agreement::new();
    let guests = [guest(wasm, Check::Agreement(&agreement))];
    let config = Config {
        budget: Some(100_000),
        mode: Mode::Pool { workers: 2 },
        slots: 2,
        step: 50,
        arena: Bytes(64 * 1024),
        ..QUICK
    };
    let log = run(config, &guests);
    assert_eq!(log.summary.exit(), 1, "{log}");
    let end = ends(&log)[0];
    assert!(end.errors > 0 && end.over_budget == Some(end.errors), "{log}");
}

#[test]
fn the_first_record_says_whether_calls_are_metered() {
    let budget = wramp_wamr::METERING.then_some(1 << 30);
    let log = run(Config { slots: 1, budget, ..QUICK }, &built_in(&["add"]));
    let word = if wramp_wamr::METERING { " budget=1073741824 " } else { " budget=unsupported " };
    assert!(log.lines[0].contains(word), "{log}");
    log.right();
}

/// It used to be "without effect", and a guest without end hung all the same.
#[test]
fn a_budget_is_refused_where_calls_are_not_metered() {
    if !wramp_wamr::METERING {
        let config = Config { slots: 1, budget: Some(1 << 30), ..QUICK };
        let log = run(config, &built_in(&["add"]));
        log.refused(ErrorKind::Engine, "--budget-instructions", "does not meter");
    }
}

/// The controller itself serves the residents, as on a machine without threads.
#[test]
fn without_threads_as_many_fit_as_in_a_pool_of_one() {
    let config = Config { arena: Bytes(100_000), ..DENSE };
    let pool = Config { mode: Mode::Pool { workers: 1 }, slots: 1, ..config };
    let pool = run(pool, &built_in(&["cpu"]));
    let alone = run(Config { mode: Mode::Cooperative, slots: 0, ..config }, &built_in(&["cpu"]));
    for log in [&pool, &alone] {
        log.right();
        let end = log.end();
        assert_eq!((end.limit, end.peak), (Limit::Arena, pool.end().peak), "{pool}\n{alone}");
        assert_eq!(end.predicted_peak, Some(end.peak), "{log}");
        assert!(end.calls >= u64::from(end.peak), "{log}");
    }
}

#[test]
fn a_promise_ends_the_ramp_at_the_last_rung_that_kept_it() {
    // The first rung breaks a promise of one nanosecond. No rung breaks one of a minute.
    for (slo, peak, limit) in [(1, 0, Limit::Slo), (60_000_000_000, 3, Limit::Slots)] {
        let config = Config { slo: Some(Nanos(slo)), slots: 3, ..QUICK };
        let guests: Vec<Guest<'_>> = built_in(&["cpu"]);
        let log = run(config, &guests);
        let end = ends(&log)[0];
        assert_eq!((end.peak, end.limit), (peak, limit), "{log}");
        assert_eq!(end.leaked_bytes, Some(0), "{log}");
    }
}

/// Instances whose memory grows see different sizes once the arena is full. None of them is wrong.
#[test]
fn a_pool_of_guests_that_grow_is_not_judged_wrong() {
    let grows = wasm(
        r#"(module (memory 1) (func (export "run") (result i32)
            (drop (memory.grow (i32.const 1))) (memory.size)))"#,
    );
    let agreement = Agreement::new();
    let mode = Mode::Pool { workers: 2 };
    let config = Config { mode, slots: 2, arena: Bytes(1 << 20), step: 2, dwell_ms: 50, ..QUICK };
    let log = run(config, &[guest(grows, Check::Agreement(&agreement))]);
    let end = log.end();
    assert!(end.peak >= 2 && end.calls > 100, "{log}");
    assert_eq!(end.errors, 0, "{log}");
}
