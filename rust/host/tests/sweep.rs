//! Every load and store around both ends of a guest's memory, as a board tries them too.

mod common;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use common::{QUICK, turn};
use wramp_bench::Summary;
use wramp_core::measure::Bytes;
use wramp_host::arena::HostArena;
use wramp_host::{Machine, Setup};
use wramp_wamr::Engine;
use wramp_workloads::{ACCESSES, SWEEP};

fn sweep(accesses: &[(&str, u32)]) -> (Summary, Vec<String>) {
    let _turn = turn();
    let lines = Mutex::new(Vec::new());
    let interrupted = AtomicBool::new(false);
    let machine = Machine::new(Setup {
        config: QUICK,
        sink: Box::new(|line| lines.lock().unwrap().push(line.to_string())),
        interrupted: &interrupted,
    })
    .unwrap();
    let engine = Engine::new::<HostArena>().unwrap();
    let summary = wramp_bench::sweep(&machine, &engine, SWEEP, accesses, Bytes(1024));
    drop(engine);
    drop(machine);
    (summary, lines.into_inner().unwrap())
}

#[test]
fn no_access_reaches_beyond_the_memory() {
    let (summary, lines) = sweep(&ACCESSES);
    assert_eq!((summary.exit(), summary.workloads), (0, 23), "{}", lines.join("\n"));
    assert_eq!(lines.len(), 24);
}

#[test]
fn an_access_that_reaches_further_than_it_should_is_counted() {
    // It traps at 2,045 to 2,047, where one byte would be within.
    let (summary, lines) = sweep(&[("i32.load", 1), ("i32.store", 5)]);
    assert_eq!((summary.exit(), summary.errors), (1, 4), "{}", lines.join("\n"));
    // No such export: it is said, and nothing passes.
    let (summary, lines) = sweep(&[("i32.lode", 4)]);
    assert_eq!(summary.exit(), 2, "{}", lines.join("\n"));
}
