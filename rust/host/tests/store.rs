//! Parked states that survive: each instance goes on where it was parked.

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use common::{Log, built_in, guest, run_kept, wasm};
use wramp_bench::{Agreement, Check, Guest};
use wramp_core::config::{Config, Mode, Park};
use wramp_core::measure::Bytes;
use wramp_core::report::Record;
use wramp_core::runtime::Parameters;
use wramp_host::FileVault;

const PARK: Config = Config {
    settle_ms: 0,
    dwell_ms: 20,
    arena: Bytes(40 << 10),
    mode: Mode::Park(Park { workers: 2, live: 0, budget: None, hot: false }),
    ..Config::DENSE
};

/// A file that is not there yet.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("wramp-store-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn run(config: Config, guest: Guest<'_>, path: &Path, bytes: u32) -> Log {
    let vault = FileVault::open(path, bytes).unwrap();
    run_kept(config, &[guest], &AtomicBool::new(false), |_| (), Some(&vault))
}

/// Instances of the last record of parking, and how many of them went on.
fn parked(log: &Log) -> (u32, Option<u32>) {
    let mut parks = log.records().into_iter().filter_map(|record| match record {
        Record::Park(park) => Some((park.instances, park.restored)),
        _ => None,
    });
    parks.next_back().unwrap_or_else(|| panic!("{log}"))
}

fn fault(log: &Log) -> String {
    let mut faults = log.records().into_iter().filter_map(|record| match record {
        Record::Fault(fault) => Some(fault.message.readable().to_string()),
        _ => None,
    });
    faults.next_back().unwrap_or_else(|| panic!("{log}"))
}

#[test]
fn each_instance_goes_on_where_it_was_parked() {
    for name in ["cpu", "state"] {
        let path = path(name);
        let guest = built_in(&[name])[0];
        let first = run(PARK, guest, &path, 4 << 20);
        first.right();
        let (instances, restored) = parked(&first);
        assert!(instances > 20, "{first}");
        assert_eq!(restored, Some(0), "{first}");
        // The reference of each carries what the calls before the restart left.
        for _ in 0..2 {
            let again = run(PARK, guest, &path, 4 << 20);
            again.right();
            assert_eq!(parked(&again), (instances, Some(instances)), "{again}");
        }
        std::fs::remove_file(path).unwrap();
    }
}

/// The results of calls before the restart are not known any more, and none is called wrong.
#[test]
fn instances_that_have_to_agree_go_on_too() {
    let module = wasm(
        "(module (global $n (mut i32) (i32.const 0)) (func (export \"run\") (param i32) (result i32)
           (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (i32.sub (global.get $n) (local.get 0))))",
    );
    let path = path("own");
    for round in 0..3 {
        let agreement = Agreement::new();
        let check = Check::Agreement(&agreement);
        let guest = Guest { parameters: Parameters::I32, ..guest(module, check) };
        let log = run(Config { arena: Bytes(20 << 10), ..PARK }, guest, &path, 1 << 20);
        log.right();
        let (instances, restored) = parked(&log);
        assert_eq!(restored, Some(if round == 0 { 0 } else { instances }), "{log}");
    }
    std::fs::remove_file(path).unwrap();
}

/// The judge notices a store that gives an instance another one's state.
#[test]
fn a_state_that_is_not_the_instances_own_shows_as_a_wrong_result() {
    struct Crossed(FileVault);
    use wramp_core::runtime::Error;
    use wramp_core::state::{Source, Vault};
    impl Vault for Crossed {
        fn open(&self, tag: u32, instances: u32) -> Result<(), Error> {
            self.0.open(tag, instances)
        }
        fn length(&self, instance: u32) -> Result<Option<usize>, Error> {
            Ok(self.0.length(instance ^ 1)?.or(self.0.length(instance)?))
        }
        fn read(&self, instance: u32, offset: usize, into: &mut [u8]) -> Result<(), Error> {
            // Of two neighbours each has its own judge, of 4 bytes, and the other one's state.
            let own = offset < 4 || self.0.length(instance ^ 1)?.is_none();
            self.0.read(if own { instance } else { instance ^ 1 }, offset, into)
        }
        fn keep(&self, id: u32, head: &[u8], body: &mut dyn Source, n: usize) -> Result<(), Error> {
            self.0.keep(id, head, body, n)
        }
    }
    let path = path("crossed");
    // `state` computes with its instance's own number, so no two have the same.
    let first = run(PARK, built_in(&["state"])[0], &path, 1 << 20);
    first.right();
    let vault = Crossed(FileVault::open(&path, 0).unwrap());
    let (never, state) = (AtomicBool::new(false), built_in(&["state"]));
    let log = run_kept(PARK, &state, &never, |_| (), Some(&vault));
    assert_eq!(log.summary.exit(), 1, "{log}");
    // On a busy machine not each instance gets a call.
    assert!(log.summary.errors > 0, "{log}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_store_that_cannot_be_used_says_why() {
    let path = path("refused");
    run(PARK, built_in(&["state"])[0], &path, 4 << 20).right();
    let other = run(PARK, built_in(&["cpu"])[0], &path, 4 << 20);
    assert_eq!(other.summary.exit(), 2, "{other}");
    assert!(fault(&other).contains("another module"), "{other}");
    let fewer = run(Config { arena: Bytes(20 << 10), ..PARK }, built_in(&["state"])[0], &path, 0);
    assert_eq!(fewer.summary.exit(), 2, "{fewer}");
    assert!(fault(&fewer).contains("no place for instance"), "{fewer}");
    std::fs::write(&path, vec![7; 64 << 10]).unwrap();
    let foreign = run(PARK, built_in(&["state"])[0], &path, 0);
    assert!(fault(&foreign).contains("something else"), "{foreign}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![7; 64 << 10], "and it is left alone");
    let _held = FileVault::open(&path, 0).unwrap();
    assert!(FileVault::open(&path, 0).is_err(), "one run at a time");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_store_that_is_full_ends_the_ramp_by_name() {
    let path = path("full");
    let log = run(PARK, built_in(&["cpu"])[0], &path, 16 << 10);
    assert_ne!(log.summary.exit(), 0, "{log}");
    let ends = log.records().into_iter().filter_map(|record| match record {
        Record::End(end) => end.message.map(|message| message.readable().to_string()),
        _ => None,
    });
    let said: Vec<_> = ends.collect();
    assert!(said.iter().any(|message| message.contains("full")), "{log}");
    std::fs::remove_file(path).unwrap();
}
