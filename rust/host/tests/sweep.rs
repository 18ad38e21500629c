//! Tries loads and stores around both ends of a guest's memory, like a board.

mod common;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use common::{QUICK, never_gives_up, turn};
use wramp_bench::Summary;
use wramp_core::config::Config;
use wramp_core::measure::Bytes;
use wramp_host::Machine;
use wramp_host::arena::Region;
use wramp_host::slots::HostSlots;
use wramp_wamr::Engine;
use wramp_workloads::{ACCESSES, SWEEP};

fn sweep(accesses: &[(&str, u32)]) -> (Summary, Vec<String>) {
    let _turn = turn();
    let lines = Mutex::new(Vec::new());
    let config = Config { wasm_stack: Bytes(1024), ..QUICK };
    let mut region = Region::new(config.arena).unwrap();
    let arena = region.arena();
    let interrupted = AtomicBool::new(false);
    let sink = Box::new(|record: &wramp_core::report::Record<'_>| {
        lines.lock().unwrap().push(record.to_string());
    });
    let machine = Machine::new(
        &arena,
        sink,
        &interrupted,
        Box::new(|status| match never_gives_up(status) {}),
    );
    let slots = HostSlots::new(1, config.slot_stack).unwrap();
    let engine = Engine::new(&arena);
    let engine = engine.as_ref().map_err(|error| *error);
    let summary = wramp_bench::sweep(&machine, &slots, engine, &config, SWEEP, accesses);
    drop(machine);
    (summary, lines.into_inner().unwrap())
}

#[test]
fn no_access_reaches_beyond_the_memory() {
    let (summary, lines) = sweep(&ACCESSES);
    assert_eq!((summary.exit(), summary.workloads), (0, 23), "{}", lines.join("\n"));
    assert_eq!(lines.len(), 25, "run, one an access, done");
}

#[test]
fn an_access_that_reaches_further_than_it_should_is_counted() {
    // It traps at 2,045 to 2,047, where one byte would be within the memory.
    let (summary, lines) = sweep(&[("i32.load", 1), ("i32.store", 5)]);
    assert_eq!((summary.exit(), summary.errors), (1, 4), "{}", lines.join("\n"));
    // There is no such export. The run reports it, and nothing passes.
    let (summary, lines) = sweep(&[("i32.lode", 4)]);
    assert_eq!(summary.exit(), 2, "{}", lines.join("\n"));
}
