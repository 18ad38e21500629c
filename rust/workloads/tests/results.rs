//! Runs every workload under wasmi, which knows nothing of our references.

mod common;

use wasmi::{Config, Engine, Instance, Linker, Memory, Module, Store};
use wramp_core::runtime::Parameters;
use wramp_workloads::{ALL, Keeps, SPARSE, State, Workload, find, keeps};

const SEEDS: [u32; 6] = [0, 1, 2, 0x7fff, 0x8000_0000, u32::MAX];

/// The seed of the instance that `expects` in a header refers to.
const HEADER_SEED: u32 = 1;

/// A guest under wasmi, and the reference's state for it.
struct Guest {
    workload: &'static Workload,
    store: Store<()>,
    instance: Instance,
    state: State,
}

impl Guest {
    fn new(workload: &'static Workload, seed: u32) -> Self {
        Self::of(workload, workload.wasm, seed)
    }

    /// The same, with other bytes than the workload's own.
    fn of(workload: &'static Workload, wasm: &[u8], seed: u32) -> Self {
        let engine = Engine::new(Config::default().consume_fuel(true));
        let module = Module::new(&engine, wasm).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_fuel(u64::MAX).unwrap();
        let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).unwrap();
        Self { workload, store, instance, state: State::new(seed) }
    }

    fn call(&mut self) -> i32 {
        self.call_with(self.state.argument())
    }

    fn call_with(&mut self, argument: i32) -> i32 {
        let Self { workload, store, instance, .. } = self;
        match workload.parameters {
            Parameters::None => instance
                .get_typed_func::<(), i32>(&*store, workload.export)
                .and_then(|export| export.call(store, ())),
            Parameters::I32 => instance
                .get_typed_func::<i32, i32>(&*store, workload.export)
                .and_then(|export| export.call(store, argument)),
        }
        .unwrap()
    }

    fn expected(&mut self) -> i32 {
        (self.workload.reference)(&mut self.state)
    }

    /// Makes a call. True if the result is the reference's.
    fn call_is_right(&mut self) -> bool {
        self.call() == self.expected()
    }

    fn memory(&self) -> Memory {
        self.instance.get_memory(&self.store, "memory").unwrap()
    }

    fn flip(&mut self, address: usize, bits: u8) {
        self.memory().data_mut(&mut self.store)[address] ^= bits;
    }
}

fn isolation(seed: u32) -> Guest {
    Guest::new(find("isolation").unwrap(), seed)
}

#[test]
fn every_result_agrees_with_wasmi() {
    for workload in ALL {
        let (seeds, calls) = match (workload.parameters, workload.varies) {
            (Parameters::I32, _) => (&SEEDS[..], 100),
            // `state` wraps its ring within call 11 and then within every tenth call.
            (Parameters::None, true) => (&SEEDS[..2], 60),
            (Parameters::None, false) => (&SEEDS[..1], 5),
        };
        for &seed in seeds {
            let mut guest = Guest::new(workload, seed);
            for call in 1..=calls {
                let expected = guest.expected();
                assert_eq!(
                    guest.call(),
                    expected,
                    "{}, seed {seed:#x}, call {call}",
                    workload.name
                );
            }
            assert_eq!(guest.state.calls, calls);
            assert_eq!(guest.state.seed, seed, "a reference keeps the seed");
        }
    }
}

#[test]
fn varies_says_whether_calls_differ() {
    for workload in ALL {
        let mut state = State::new(7);
        let first = (workload.reference)(&mut state);
        let same = (0..20).all(|_| (workload.reference)(&mut state) == first);
        assert_eq!(same, !workload.varies, "{}", workload.name);
        let neighbour = (workload.reference)(&mut State::new(8));
        let by_seed = workload.parameters == Parameters::I32;
        assert_eq!(neighbour != first, by_seed, "{}", workload.name);
    }
}

#[test]
fn headers_state_the_first_result() {
    for workload in ALL {
        let said = common::header(workload, "expects");
        let first = Guest::new(workload, HEADER_SEED).call();
        let calls = if workload.varies { "the first" } else { "every" };
        let with = match workload.parameters {
            Parameters::None => String::new(),
            Parameters::I32 => format!(", with the argument {HEADER_SEED}"),
        };
        assert_eq!(said, format!("0x{first:08x} from {calls} call{with}"), "{}", workload.source);
    }
}

#[test]
fn isolation_sees_every_changed_byte() {
    for address in (0..2048).step_by(13).chain([2047]) {
        let mut guest = isolation(3);
        assert!(guest.call_is_right() && guest.call_is_right());
        guest.flip(address, 1 << (address % 8));
        assert_eq!(guest.call(), 0, "byte {address} changed and nothing said so");
    }
}

#[test]
fn isolation_stays_wrong_once_it_was() {
    let mut guest = isolation(3);
    assert!(guest.call_is_right());
    guest.flip(1000, 0x10);
    for _ in 0..50 {
        assert_eq!(guest.call(), 0);
        assert_ne!(guest.expected(), 0, "0 is never right");
    }
}

#[test]
fn isolation_wants_zeros_before_its_first_call() {
    for address in [0, 1, 1024, 2047] {
        let mut guest = isolation(3);
        guest.flip(address, 0x80);
        assert_eq!(guest.call(), 0);
        assert_eq!(guest.call(), 0);
    }
}

#[test]
fn isolation_sees_a_neighbours_memory() {
    for (here, there) in [(0, 1), (1, 2), (5, 0x7fff)] {
        let (mut guest, mut neighbour) = (isolation(here), isolation(there));
        assert!(guest.call_is_right() && neighbour.call_is_right());
        // One word is enough, and it may even be at the same place.
        let mut word = [0; 4];
        neighbour.memory().read(&neighbour.store, 512, &mut word).unwrap();
        guest.memory().write(&mut guest.store, 512, &word).unwrap();
        assert_eq!(guest.call(), 0);
        assert!(neighbour.call_is_right());
    }
}

#[test]
fn isolation_sees_that_it_is_not_the_instance_it_was_called_as() {
    let mut guest = isolation(3);
    assert!(guest.call_is_right());
    assert_eq!(guest.call_with(4), 0, "another seed");

    // A new instance with the same seed starts again from the first call.
    let mut guest = isolation(3);
    assert!(guest.call_is_right());
    let mut anew = isolation(3);
    assert_ne!(anew.call(), guest.expected());
}

#[test]
fn msg_counts_only_what_arrived_as_it_was_sent() {
    let msg = find("msg").unwrap();
    // The receiver's copy of the factor, as `i32.const` and signed LEB128. With one bit
    // changed, every message but number 0 looks damaged to the receiver.
    let mut wasm = msg.wasm.to_vec();
    let factor = [0x41, 0xb1, 0xf3, 0xdd];
    let receiver = wasm.windows(4).rposition(|bytes| bytes == factor).unwrap();
    wasm[receiver + 1] ^= 2;
    let mut guest = Guest::of(msg, &wasm, 0);
    assert_eq!(guest.call(), 1);
    assert_eq!(guest.call(), 0, "contents do not move on from call to call");
}

/// Prints what a call costs. `cargo test -- --nocapture cost` shows it.
///
/// wasmi also charges for loops and, at the first call, for its translation. The figure is
/// therefore more than the instructions executed: by 7 % for cpu and by 59 % for state.
#[test]
fn cost_of_a_call() {
    for workload in ALL {
        let mut guest = Guest::new(workload, 1);
        let before = guest.store.get_fuel().unwrap();
        guest.call();
        let fuel = before - guest.store.get_fuel().unwrap();
        println!(
            "{:<10} {:>4} bytes {:>6} bytes of memory {fuel:>9} wasmi fuel a call",
            workload.name,
            workload.wasm.len(),
            workload.memory_bytes
        );
    }
}

/// A word is enough to go on with, for each workload that says so.
#[test]
fn a_reference_goes_on_from_the_word_that_it_keeps() {
    for workload in ALL.iter().chain([&SPARSE]) {
        let keeps = keeps(workload.name);
        assert_eq!(keeps.is_some(), workload.varies, "{}", workload.name);
        let Some(keeps) = keeps else { continue };
        for seed in SEEDS {
            let (mut whole, mut kept) = (State::new(seed), State::new(seed));
            for _ in 0..40 {
                assert_eq!((workload.reference)(&mut whole), (workload.reference)(&mut kept));
                kept = match keeps {
                    Keeps::Calls => State { calls: kept.calls, ..State::new(seed) },
                    Keeps::Carry => State { calls: 1, carry: kept.carry, ..State::new(seed) },
                };
            }
        }
    }
}

#[test]
fn the_sparse_guest_is_right() {
    let mut guest = Guest::new(&SPARSE, HEADER_SEED);
    assert_eq!(guest.call(), 0x0337_9c85);
    guest.expected();
    assert!((0..500).all(|_| guest.call_is_right()));
}
