//! wasmi behind the seam, on the arena for engines in Rust.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wramp_core::measure::Bytes;
use wramp_core::runtime::{ModuleBytes, Parameters, Runtime as _};
use wramp_engine_arena::EngineAllocator;
use wramp_engine_suite as suite;
use wramp_engine_wasmi::Wasmi;

#[global_allocator]
static ALLOCATOR: EngineAllocator = EngineAllocator;

/// One engine at a time has the arena.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn what_every_engine_must_pass() {
    let _alone = alone();
    suite::errors_say_what_to_do::<Wasmi>();
    suite::instances_are_apart::<Wasmi>();
    suite::memory_that_cannot_grow_is_the_guests_affair::<Wasmi>();
    suite::running_out_is_an_error::<Wasmi>(
        "(module (memory 1) (table 4 funcref) (elem (i32.const 0) $f)
           (func $f (export \"run\") (result i32) i32.const 7))",
    );
    suite::ramps_end_as_predicted::<Wasmi>();
}

/// What a thread keeps for calls is there before the first one, so a pool's prediction holds.
#[test]
fn a_call_takes_what_a_stack_has_ready() {
    let _alone = alone();
    let wasm = wat::parse_str("(module (func (export \"run\") (result i32) i32.const 1))").unwrap();
    suite::on_an_arena::<Wasmi, _>(128 << 10, |engine, arena| {
        let module = engine.load(ModuleBytes::Borrowed(&wasm)).unwrap();
        let size = Bytes(4096);
        let mut one = engine.instantiate(&module, "run", Parameters::None, size).unwrap();
        let mut stack = engine.stack(&module, &one, size).unwrap();
        let (ready, free) = (stack.kept(), arena.stats().free);
        assert_eq!(engine.call(&mut stack, &mut one, 0, None), Ok(1));
        assert_eq!((stack.kept(), arena.stats().free), (ready, free));
    })
    .unwrap();
}

#[test]
fn the_version_is_that_of_the_lock_file() {
    let lock = include_str!("../../../Cargo.lock");
    let entry = format!("name = \"wasmi\"\nversion = \"{}\"", wramp_engine_wasmi::VERSION);
    assert!(lock.contains(&entry), "{entry}");
}
