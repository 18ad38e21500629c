//! A guest that never returns: the run reports it and the process ends.
//!
//! Each test starts this program again as a child that runs the guest, because the end of the
//! run is the end of the process. The test sees what a user would see.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use common::{QUICK, Wamr, guest, wasm};
use wramp_bench::{Agreement, Check};
use wramp_core::config::{Config, Mode, Park};
use wramp_core::measure::Bytes;
use wramp_core::report::Record;
use wramp_host::Setup;

/// Tells the child what to run: the mode, and the call that does not return.
const ORDER: &str = "WRAMP_TEST_ENDLESS";
const STUCK_MS: u32 = 400;

/// A guest that counts its calls and stays in the one with that number.
fn endless(call: &str) -> &'static [u8] {
    wasm(&format!(
        r#"(module (global $calls (mut i32) (i32.const 0))
            (func (export "run") (result i32)
              (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
              (if (i32.ge_u (global.get $calls) (i32.const {call})) (then (loop (br 0))))
              (global.get $calls)))"#
    ))
}

/// A guest that never gets to its first call.
fn endless_start() -> &'static [u8] {
    wasm(
        r#"(module (func $start (loop (br 0))) (start $start)
            (func (export "run") (result i32) (i32.const 1)))"#,
    )
}

/// This is no test of its own. It is what the child does.
#[test]
fn child() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let (mode, call) = order.split_once(' ').unwrap();
    let mode = match mode {
        "threads" | "fit" => Mode::Threads,
        "pool" | "start" => Mode::Pool { workers: 2 },
        "park" | "start-parked" => {
            Mode::Park(Park { workers: 2, live: 2, budget: None, hot: false })
        }
        _ => panic!("{mode}"),
    };
    let fit_wasm_stack = order.starts_with("fit");
    let config = Config {
        mode,
        fit_wasm_stack,
        slots: 2,
        arena: Bytes(60_000),
        step: 3,
        stuck_ms: Some(STUCK_MS),
        ..QUICK
    };
    let agreement = Agreement::new();
    let setup = Setup {
        config,
        sink: Box::new(|record| println!("{record}")),
        interrupted: &AtomicBool::new(false),
        gave_up: &|status| std::process::exit(status.cast_signed()),
    };
    let wasm = if order.starts_with("start") { endless_start() } else { endless(call) };
    let guests = [guest(wasm, Check::Agreement(&agreement)); 2];
    let summary = wramp_host::run::<Wamr>(setup, &guests).unwrap();
    panic!("it returned: {summary:?}");
}

/// What the child reports, and how long it takes.
#[track_caller]
fn ends_by_itself(mode: &str, call: u32, instances: usize) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ORDER, format!("{mode} {call}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    // Another thread reads it. A child that hangs would otherwise hold this thread for ever.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        while lines.read_line(&mut text).unwrap() > 0 {}
        text
    });
    let began = Instant::now();
    // One call after another, if they share a core, plus the start of a process.
    let waits = u64::from(STUCK_MS) * instances.max(1) as u64;
    let most = Duration::from_millis(waits) + Duration::from_secs(3);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if began.elapsed() > most {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = reader.join().unwrap();
    let status = status.unwrap_or_else(|| panic!("it does not end:\n{text}"));
    assert_eq!(status.code(), Some(2), "{text}");

    let records: Vec<_> = text.lines().filter_map(|line| Record::parse(line).unwrap()).collect();
    let Some(Record::Done(done)) = records.last() else { panic!("no done:\n{text}") };
    assert_eq!((done.workloads, done.faults, done.exit), (1, Some(1), 2), "{text}");
    let faults: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Fault(fault) => Some(fault),
            _ => None,
        })
        .collect();
    let [fault] = faults[..] else { panic!("{text}") };
    assert_eq!((fault.error.0, fault.workload.unwrap().0), ("stuck", "guest"), "{text}");
    let knob = if wramp_wamr::METERING { "--budget-instructions" } else { "--stuck-ms" };
    assert_eq!(fault.knob.unwrap().0, knob, "{text}");
    let ends = records.iter().filter_map(|record| match record {
        Record::End(end) => Some(end),
        _ => None,
    });
    for end in ends {
        assert_eq!((end.limit.as_str(), end.error.unwrap().0), ("error", "stuck"), "{text}");
        assert_eq!(end.leaked_bytes, None, "it is not known: {text}");
    }
    let mut stuck = 0;
    for record in &records {
        let Record::Instance(one) = record else { continue };
        let is_stuck = one.error.is_some_and(|error| error.0 == "stuck");
        assert_eq!(is_stuck, one.result.0 == "bad", "{text}");
        assert!(one.calls < call || !is_stuck, "{text}");
        stuck += usize::from(is_stuck);
    }
    assert_eq!(stuck, instances, "{text}");
    text
}

#[test]
fn in_the_first_call() {
    ends_by_itself("threads", 1, 1);
}

#[test]
fn in_the_third_call() {
    // Both instances get that far.
    ends_by_itself("threads", 3, 2);
}

/// Trial calls fit the stack before there is an instance.
#[test]
fn in_a_trial_call() {
    ends_by_itself("fit", 1, 0);
    ends_by_itself("fit", 3, 0);
}

#[test]
fn in_the_first_call_of_a_pool() {
    ends_by_itself("pool", 1, 1);
}

#[test]
fn in_the_third_call_of_a_pool() {
    // A resident holds each of the two workers.
    ends_by_itself("pool", 3, 2);
}

/// The controller starts the residents of a pool. It must not be the one that hangs.
#[test]
fn in_the_start_function_of_a_pool() {
    ends_by_itself("start", 1, 0);
}

/// The controller starts the live instances of a park too.
#[test]
fn in_the_start_function_of_a_park() {
    ends_by_itself("start-parked", 1, 0);
}

/// A park begins the first calls of a batch, one a worker. All of them hang, and all are named.
#[test]
fn in_the_first_calls_of_a_park() {
    ends_by_itself("park", 1, 2);
}
