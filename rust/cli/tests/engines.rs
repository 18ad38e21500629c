//! `wramp run --engine`: every engine of this build runs the ramp, and its results are right.

mod support;

use support::{stderr, stdout, wramp};
use wramp_core::report::Record;

/// Runs the ramp's workloads on an engine, in small arenas, and returns the lines.
fn run(engine: &str, more: &[&str]) -> Vec<String> {
    let fixed = ["run", "--format", "records"];
    let quick = ["--settle-ms", "1", "--dwell-ms", "10", "--pause-ms", "1"];
    let output = wramp(&[&fixed[..], &quick, &["--engine", engine], more].concat());
    assert_eq!(output.status.code(), Some(0), "{engine}: {}", stderr(&output));
    stdout(&output).lines().map(str::to_owned).collect()
}

fn records(lines: &[String]) -> impl Iterator<Item = Record<'_>> {
    lines.iter().filter_map(|line| Record::parse(line).ok().flatten())
}

#[test]
fn each_engine_runs_the_workloads_and_names_itself() {
    for engine in ["wamr-classic", "wamr-fast", "wasm3", "wasmi", "tinywasm"] {
        let workloads = ["cpu", "state", "mem", "msg"];
        let chosen: Vec<_> = workloads.iter().flat_map(|name| ["--workload", name]).collect();
        let geometry = ["--arena-bytes", "96K", "--slots", "12", "--step", "4"];
        let lines = run(engine, &[&geometry[..], &chosen].concat());
        let Some(Record::Run(header)) = records(&lines).next() else { panic!("{engine}") };
        match engine.strip_prefix("wamr-") {
            Some(interpreter) => assert_eq!(header.interpreter.0, interpreter),
            None => assert_eq!(header.runtime.0, engine),
        }
        let ends: Vec<_> = records(&lines)
            .filter_map(|record| match record {
                Record::End(end) => Some(end),
                _ => None,
            })
            .collect();
        assert_eq!(ends.len(), workloads.len(), "{engine}: {lines:#?}");
        for end in ends {
            assert!(end.peak > 0 && end.calls > 0, "{engine}: {end:?}");
            assert_eq!(end.predicted_peak, Some(end.peak), "{engine}: {end:?}");
            assert_eq!((end.errors, end.leaked_bytes), (0, Some(0)), "{engine}: {end:?}");
        }
    }
}

/// An engine that would end the program where memory runs out ends the ramp, and says what it
/// took beyond the arena.
#[test]
fn an_overdraft_is_in_the_end_record() {
    let lines = run(
        "wasmi",
        &["--workload", "cpu", "--arena-bytes", "32K", "--slots", "64", "--step", "4"],
    );
    let end = records(&lines).find_map(|record| match record {
        Record::End(end) => Some(end),
        _ => None,
    });
    let end = end.expect("an end");
    assert_eq!(end.limit.to_string(), "arena");
    assert!(end.overdraft_bytes.bytes().0 > 0, "{end:?}");
    assert!(lines.iter().any(|line| line.contains(" overdraft_bytes=")), "{lines:#?}");
}

/// A stack that grows leaves nothing to search for, so the dense preset works too.
#[test]
fn a_pool_of_each_engine_runs() {
    for engine in ["wasm3", "wasmi", "tinywasm"] {
        let lines = run(engine, &["--preset", "dense", "--workload", "cpu", "--step", "40"]);
        assert!(!records(&lines).any(|record| matches!(record, Record::Fit(_))));
    }
}
