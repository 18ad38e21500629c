//! Predictions against real runs: the engine, its threads, the arena, on this machine.

mod support;

use std::process::Output;

use support::{scratch, stderr, stdout, wramp_in};
use wramp_core::ramp::Limit;
use wramp_core::report::Record;

/// Arenas, slots and interpreter stacks; every combination is one geometry. The third arena
/// is no multiple of a page, the fourth is the published one.
const ARENAS: [&str; 6] = ["24K", "80K", "115688", "192K", "300K", "512K"];
const SLOTS: [&str; 4] = ["1", "3", "24", "48"];
/// What is smaller than the modules need is no question of memory.
const STACKS: [&str; 2] = ["4096", "1000"];

const FAST: [&str; 8] =
    ["--format", "records", "--settle-ms", "0", "--dwell-ms", "1", "--pause-ms", "0"];

/// Workload, peak, limit of every record of that kind.
fn peaks(output: &Output, kind: &str) -> Vec<(String, u32, Limit)> {
    let text = stdout(output);
    let records = text.lines().filter_map(|line| Record::parse(line).ok().flatten());
    records
        .filter(|record| record.kind() == kind)
        .filter_map(|record| match record {
            Record::Plan(plan) => Some((plan.workload.0.to_owned(), plan.peak, plan.limit)),
            Record::End(end) => Some((end.workload.0.to_owned(), end.peak, end.limit)),
            _ => None,
        })
        .collect()
}

#[test]
fn peak_and_limit_are_exact_in_every_geometry() {
    let directory = scratch("plan");
    let base = wramp_in(directory.clone(), &[&["run"][..], &FAST].concat());
    assert!(base.status.success(), "{}", stderr(&base));
    std::fs::write(directory.join("base.log"), &base.stdout).unwrap();
    let (mut geometries, mut wrong) = (0, Vec::new());
    for arena in ARENAS {
        for slots in SLOTS {
            for stack in STACKS {
                let geometry =
                    ["--arena-bytes", arena, "--slots", slots, "--wasm-stack-bytes", stack];
                let from = ["plan", "--from", "base.log", "--format", "records"];
                let plan = wramp_in(directory.clone(), &[&from[..], &geometry].concat());
                let run = wramp_in(directory.clone(), &[&["run"][..], &FAST, &geometry].concat());
                let measured = peaks(&run, "end");
                let planned = peaks(&plan, "plan");
                assert_eq!(planned.len(), 3, "{}", stderr(&plan));
                for predicted in planned {
                    // A ramp that did not even load its module has no end record.
                    let found = measured.iter().find(|(workload, ..)| *workload == predicted.0);
                    let nothing = (predicted.0.clone(), 0, Limit::Arena);
                    let found = found.unwrap_or(&nothing);
                    if *found != predicted {
                        wrong.push(format!("{geometry:?}: {predicted:?} but {found:?}"));
                    }
                }
                geometries += 1;
            }
        }
    }
    assert!(geometries >= 40);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// From threads to pools and back, where the engine lends environments (WAMR 2.4.5 does,
/// that of 2020 refuses the mode).
#[test]
fn pools_are_predicted_from_threads_and_back() {
    let directory = scratch("plan-pool");
    let ramps = ["--workload", "cpu", "--workload", "state", "--step", "8"];
    for mode in ["threads", "pool"] {
        let run =
            wramp_in(directory.clone(), &[&["run", "--mode", mode][..], &FAST, &ramps].concat());
        if stdout(&run).contains("lends_no_environment") {
            eprintln!("not tested: this engine has no pool");
            return;
        }
        std::fs::write(directory.join(mode), &run.stdout).unwrap();
    }
    let mut wrong = Vec::new();
    for (from, geometry) in [
        ("threads", "--mode pool --workers 4"),
        ("threads", "--mode pool --workers 2 --wasm-stack-bytes 1000"),
        ("threads", "--mode pool --workers 1 --arena-bytes 64K"),
        ("threads", "--mode pool --workers 8 --arena-bytes 96K --wasm-stack-bytes 1016"),
        ("threads", "--mode pool --budget-bytes 120K"),
        ("pool", "--mode pool --workers 2"),
        ("pool", "--mode pool --workers 7 --arena-bytes 100000"),
        ("pool", "--mode threads --slots 60 --arena-bytes 128K"),
        ("pool", "--mode threads --slots 60 --wasm-stack-bytes 1000 --arena-bytes 64K"),
    ] {
        let geometry: Vec<&str> = geometry.split(' ').collect();
        let plan = ["plan", "--from", from, "--format", "records"];
        let plan = wramp_in(directory.clone(), &[&plan[..], &geometry].concat());
        let run = wramp_in(directory.clone(), &[&["run"][..], &FAST, &ramps, &geometry].concat());
        let (planned, measured) = (peaks(&plan, "plan"), peaks(&run, "end"));
        if planned.len() != 2 || planned != measured {
            wrong.push(format!("{from} {geometry:?}: {planned:?} but {measured:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
