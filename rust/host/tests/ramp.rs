//! Whole ramps with the real engine and real threads, at a quick pace.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use common::{Log, QUICK, built_in, guest, run, run_with, wasm};
use wramp_bench::{Agreement, Check, Count, Guest};
use wramp_core::config::{Config, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::ramp::Limit;
use wramp_core::report::Record;
use wramp_core::runtime::{ModuleBytes, Parameters};

/// One ramp's records, from load to end, in the order that the format promises.
fn ramps(log: &Log) -> Vec<Vec<Record<'_>>> {
    let mut ramps = vec![Vec::new()];
    for record in log.records() {
        match record {
            Record::Run(_) | Record::Done(_) => {}
            Record::End(_) => {
                ramps.last_mut().unwrap().push(record);
                ramps.push(Vec::new());
            }
            _ => ramps.last_mut().unwrap().push(record),
        }
    }
    assert!(ramps.pop().unwrap().is_empty(), "records after the last end: {log}");
    ramps
}

#[test]
fn the_published_geometry_has_the_published_peaks() {
    let log = run(QUICK, &built_in(&["cpu", "mem", "msg"]));
    log.right();
    let expected = [("cpu", 24, Limit::Slots), ("mem", 2, Limit::Arena), ("msg", 2, Limit::Arena)];
    let ramps = ramps(&log);
    assert_eq!(ramps.len(), expected.len());
    for (records, (name, peak, limit)) in ramps.iter().zip(expected) {
        // The parts of an instance come before the prediction and add up to its cost.
        let parts = |record: &&Record<'_>| record.kind() == "part";
        let count = records.iter().filter(parts).count();
        assert!(records[1..=count].iter().all(|record| parts(&record)), "{log}");
        let sum: u32 = records
            .iter()
            .filter_map(|record| match record {
                Record::Part(part) => Some(part.bytes.0),
                _ => None,
            })
            .sum();
        // The order is load, predict, a step per rung with the last rung held again, one record
        // per instance, what starts and ends took, and end. The prediction comes with the first instance, before its
        // sample.
        let mut kinds = vec!["load", "predict"];
        kinds.extend(std::iter::repeat_n("step", peak as usize + 1));
        kinds.extend(std::iter::repeat_n("instance", peak as usize));
        kinds.extend(["start", "start", "start", "end"]);
        let without_parts = records.iter().filter(|record| !parts(record));
        assert_eq!(without_parts.map(Record::kind).collect::<Vec<_>>(), kinds, "{log}");

        let Some(Record::End(end)) = records.last() else { unreachable!() };
        assert_eq!((end.workload.0, end.peak, end.limit), (name, peak, limit), "{log}");
        assert_eq!((end.predicted_peak, end.predicted_limit), (Some(peak), Some(limit)), "{log}");
        assert_eq!((end.errors, end.leaked_bytes), (0, Some(0)), "{log}");
        assert!(count == 0 || end.cost_bytes == Some(Bytes(sum)), "{log}");
        assert!(end.calls >= u64::from(peak));
        assert_eq!(end.error.is_some(), limit == Limit::Arena, "{log}");
    }
    // Steps count up, the last one is held again, and the arena shrinks by the same cost each
    // time.
    let steps = log.steps();
    let cpu: Vec<_> = steps.iter().filter(|step| step.workload.0 == "cpu").collect();
    let climbed: Vec<_> = cpu.iter().map(|step| step.instances).collect();
    assert_eq!(climbed, (1..=24).chain([24]).collect::<Vec<_>>());
    for pair in cpu[..24].windows(2) {
        let shrunk = pair[0].arena_free_bytes.saturating_sub(pair[1].arena_free_bytes);
        assert_eq!(shrunk, pair[1].cost_bytes);
        assert_eq!(pair[0].cost_bytes, pair[1].cost_bytes);
    }
    // Each instance has its own slot, and the next ramp uses the slots again.
    for workload in ["cpu", "mem", "msg"] {
        let ids = log.instances().into_iter().filter(|instance| instance.workload.0 == workload);
        assert!(ids.enumerate().all(|(id, instance)| instance.id as usize == id));
    }
}

#[test]
fn every_workload_is_verified() {
    // A larger arena, because each instance must meet neighbours.
    let config = Config { arena: Bytes(1 << 20), slots: 4, ..QUICK };
    for workload in wramp_workloads::ALL {
        let log = run(config, &[workload.into()]);
        log.right();
        let end = log.end();
        assert_eq!((end.peak, end.limit), (4, Limit::Slots), "{log}");
        assert_eq!(end.workload.0, workload.name);
        assert_eq!(log.instances().len(), 4);
    }
}

#[test]
fn a_mixed_ramp_grows_by_sets_of_five() {
    let config = Config { scenario: Scenario::Mixed, slots: 24, ..QUICK };
    let guests = built_in(&wramp_workloads::MIXED);
    let log = run(config, &guests);
    log.right();
    let end = log.end();
    assert_eq!(end.workload.0, "mixed");
    assert_eq!((end.peak, end.limit), (20, Limit::Slots), "four whole sets in 24 slots: {log}");
    assert_eq!(end.predicted_peak, Some(20));
    assert_eq!(log.loads().len(), 5);
    assert_eq!(
        log.steps().iter().map(|step| step.instances).collect::<Vec<_>>(),
        [5, 10, 15, 20, 20]
    );
    for instance in log.instances() {
        assert_eq!(instance.workload.0, wramp_workloads::MIXED[instance.id as usize % 5]);
    }
}

#[test]
fn private_copies_cost_the_module_once_an_instance() {
    for name in ["cpu", "mem"] {
        let config = Config { arena: Bytes(1 << 20), slots: 4, ..QUICK };
        let shared = run(config, &built_in(&[name]));
        let private = run(Config { scenario: Scenario::Private, ..config }, &built_in(&[name]));
        private.right();
        assert!(private.loads().is_empty(), "each instance loads its own: {private}");
        let (shared_cost, private_cost) = (shared.end().cost_bytes, private.end().cost_bytes);
        let saved = private_cost.unwrap().saturating_sub(shared_cost.unwrap());
        assert_eq!(saved, shared.loads()[0].arena_bytes, "{shared}\n{private}");
        assert_eq!(private.end().peak, 4);
    }
}

#[test]
fn a_pinned_ramp_goes_once_to_each_core_and_once_free() {
    let config = Config { scenario: Scenario::Pinned, slots: 3, ..QUICK };
    let log = run(config, &built_in(&["cpu"]));
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut names = vec!["cpu@core0", "cpu@core1", "cpu@free"];
    if cores < 2 {
        names.remove(1);
    }
    let missing = u32::from(cores < 2);
    assert_eq!((log.summary.exit(), log.summary.faults), (2 * missing, missing), "{log}");
    assert_eq!(log.ends().iter().map(|end| end.workload.0).collect::<Vec<_>>(), names);
    assert!(log.ends().iter().all(|end| end.peak == 3 && end.errors == 0), "{log}");
}

#[test]
fn steps_of_several_instances() {
    let log = run(Config { step: 5, slots: 12, ..QUICK }, &built_in(&["cpu"]));
    log.right();
    assert_eq!(log.steps().iter().map(|step| step.instances).collect::<Vec<_>>(), [5, 10, 12, 12]);
    assert_eq!(log.end().peak, 12);
}

#[test]
fn a_reference_that_lies_is_found_out() {
    let honest = wramp_workloads::find("add").unwrap();
    let liar = Guest {
        check: Check::Reference { next: |_| 0x0bad, varies: false },
        count: Count::Most,
        budget: None,
        ..Guest::from(honest)
    };
    let log = run(Config { slots: 3, ..QUICK }, &[liar]);
    assert_eq!(log.summary.exit(), 1, "{log}");
    let end = log.end();
    assert_eq!((end.peak, end.limit), (3, Limit::Slots), "a wrong result stops nobody: {log}");
    assert_eq!(end.errors, end.calls, "{log}");
    assert_eq!(log.summary.errors, end.errors);
    for instance in log.instances() {
        assert_eq!((instance.result.0, instance.errors), ("bad", instance.calls), "{log}");
        assert_eq!(instance.error.unwrap().0, "wrong-result", "{log}");
    }
}

#[test]
fn one_lie_of_many_calls_is_found_out() {
    let next = |state: &mut wramp_workloads::State| {
        state.calls += 1;
        let truth = (wramp_workloads::find("add").unwrap().reference)(&mut Default::default());
        truth + i32::from(state.calls == 2)
    };
    let honest = wramp_workloads::find("add").unwrap();
    let liar = Guest { check: Check::Reference { next, varies: true }, ..Guest::from(honest) };
    let log = run(Config { slots: 2, dwell_ms: 50, ..QUICK }, &[liar]);
    assert_eq!(log.summary.exit(), 1, "{log}");
    assert!(log.instances().iter().all(|instance| instance.errors == 1), "{log}");
}

#[test]
fn a_guest_that_traps_is_counted_and_the_ramp_goes_on() {
    let agreement = Agreement::new();
    let traps = wasm(r#"(module (func (export "run") (result i32) unreachable))"#);
    let log = run(Config { slots: 3, ..QUICK }, &[guest(traps, Check::Agreement(&agreement))]);
    assert_eq!(log.summary.exit(), 1, "{log}");
    assert_eq!((log.end().peak, log.end().limit), (3, Limit::Slots), "{log}");
    assert_eq!(log.end().errors, log.end().calls, "{log}");
    for instance in log.instances() {
        assert_eq!(instance.error.unwrap().0, "trap", "{log}");
        assert_eq!(instance.message.unwrap().readable().to_string(), "unreachable", "{log}");
    }
}

#[test]
fn a_guest_that_traps_at_times_runs_on_in_between() {
    let agreement = Agreement::new();
    // The argument is the number of the call, and every second call divides by zero.
    let traps = wasm(
        r#"(module (func (export "run") (param i32) (result i32)
            (i32.div_u (i32.const 100) (i32.and (local.get 0) (i32.const 1)))))"#,
    );
    let guest = Guest { parameters: Parameters::I32, ..guest(traps, Check::Agreement(&agreement)) };
    let log = run(Config { slots: 2, dwell_ms: 50, ..QUICK }, &[guest]);
    assert_eq!(log.summary.exit(), 1, "{log}");
    for instance in log.instances() {
        assert_eq!(instance.errors, instance.calls.div_ceil(2), "{log}");
        let message = instance.message.unwrap().readable().to_string();
        assert_eq!(message, "integer divide by zero", "{log}");
    }
}

#[test]
fn instances_that_agree_are_right() {
    let agreement = Agreement::new();
    let module = wasm(
        r#"(module (global $calls (mut i32) (i32.const 0))
            (func (export "run") (result i32)
              (global.set $calls (i32.add (global.get $calls) (i32.const 7)))
              (global.get $calls)))"#,
    );
    let log = run(Config { slots: 4, ..QUICK }, &[guest(module, Check::Agreement(&agreement))]);
    log.right();
    assert_eq!(log.end().peak, 4);
}

#[test]
fn instances_that_disagree_are_found_out() {
    // A guest without imports can learn one thing about the world: whether there was memory to
    // grow. Two instances get their page out of this arena, and the third does not.
    let agreement = Agreement::new();
    let module = wasm(
        r#"(module (memory 0 1)
            (func (export "run") (result i32) (memory.grow (i32.const 1))))"#,
    );
    let log = run(Config { slots: 3, ..QUICK }, &[guest(module, Check::Agreement(&agreement))]);
    assert_eq!(log.summary.exit(), 1, "{log}");
    let results: Vec<_> = log.instances().iter().map(|instance| instance.result.0).collect();
    assert_eq!(results, ["ok", "ok", "bad"], "{log}");
    assert_eq!(log.instances()[2].error.unwrap().0, "wrong-result", "{log}");
}

#[test]
fn a_users_module_that_goes_away_after_the_run_is_copied() {
    let agreement = Agreement::new();
    let bytes = wasm(r#"(module (func (export "run") (result i32) (i32.const 5)))"#).to_vec();
    let check = Check::Agreement(&agreement);
    let guest = Guest { module: ModuleBytes::Borrowed(&bytes), ..guest(&bytes, check) };
    run(Config { slots: 2, ..QUICK }, &[guest]).right();
}

#[test]
fn an_interrupt_ends_a_ramp_cleanly() {
    let interrupted = AtomicBool::new(false);
    let config = Config { dwell_ms: 10_000, ..QUICK };
    let began = std::time::Instant::now();
    let log = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(1_500));
            interrupted.store(true, SeqCst);
        });
        run_with(config, &built_in(&["cpu", "mem"]), &interrupted, |_| ())
    });
    assert!(began.elapsed() < Duration::from_secs(9), "the dwell was waited for");
    let end = log.end();
    assert_eq!(
        (end.workload.0, end.limit, end.leaked_bytes),
        ("cpu", Limit::Interrupted, Some(0)),
        "{log}"
    );
    assert_eq!(end.errors, 0, "{log}");
    assert!(log.steps().len() as u32 >= end.peak.min(1), "what was measured is printed: {log}");
    assert_eq!(log.instances().len() as u32, end.peak, "{log}");
    assert_eq!(log.summary.exit(), 0, "{log}");
}

#[test]
fn an_interrupt_in_the_middle_keeps_what_was_measured() {
    let interrupted = AtomicBool::new(false);
    let steps = AtomicU32::new(0);
    let log = run_with(QUICK, &built_in(&["cpu", "mem"]), &interrupted, |record| {
        if record.kind() == "step" && steps.fetch_add(1, SeqCst) == 4 {
            interrupted.store(true, SeqCst);
        }
    });
    let end = log.end();
    assert_eq!((end.peak, end.limit), (5, Limit::Interrupted), "{log}");
    assert_eq!(log.steps().len(), 6, "five rungs, and the last one sampled again: {log}");
    assert_eq!(log.instances().len(), 5, "{log}");
}

#[test]
fn an_interrupt_before_the_first_ramp_prints_a_log_all_the_same() {
    let log = run_with(QUICK, &built_in(&["cpu"]), &AtomicBool::new(true), |_| ());
    assert_eq!(log.records().iter().map(Record::kind).collect::<Vec<_>>(), ["run", "done"]);
}

#[test]
fn running_out_of_memory_leaves_the_others_running() {
    // There is room for a few. The one too many fails at every stage of its start in turn.
    for arena in (20_000..36_000).step_by(480) {
        let config = Config { arena: Bytes(arena), dwell_ms: 1, pause_ms: 0, ..QUICK };
        let log = run(config, &built_in(&["cpu"]));
        log.right();
        let end = log.end();
        assert_eq!(end.limit, Limit::Arena, "{log}");
        assert_eq!(end.error.unwrap().0, "out-of-memory", "{log}");
        assert_eq!(log.instances().len() as u32, end.peak, "{log}");
    }
}
