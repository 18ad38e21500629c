//! What every engine behind the `Runtime` seam must pass.
//!
//! Each check is a function over an [`EngineKind`]. An engine's tests call them, in a binary
//! that installs the allocator which the engine needs. A check panics where it fails.

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;

use wramp_arena::Arena;
use wramp_bench::{EngineKind, Guest};
use wramp_core::config::{Config, Mode};
use wramp_core::measure::Bytes;
use wramp_core::report::{End, Record};
use wramp_core::runtime::{Error, ErrorKind, ModuleBytes, Parameters, Runtime};
use wramp_host::Setup;
use wramp_host::arena::Region;

/// A stack that is large enough for every guest here.
const STACK: Bytes = Bytes(4096);

/// Gives an engine on an arena of so many bytes to `check`, and expects the arena to be as it
/// was afterwards.
pub fn on_an_arena<E: EngineKind, T>(
    bytes: u32,
    check: impl FnOnce(&E::Engine<'_>, &dyn Arena) -> T,
) -> Result<T, Error> {
    let mut region = Region::new(Bytes(bytes)).expect("memory of this machine");
    let arena = region.arena();
    let before = arena.stats();
    let result = E::start(&arena).map(|engine| check(&engine, &arena));
    let after = arena.stats();
    assert_eq!((before.free, before.blocks), (after.free, after.blocks), "something leaked");
    assert_eq!(arena.corrupt(), 0);
    result
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a module of this file")
}

/// One call of a module's `run: () -> i32`, from load to result.
fn run_once<R: Runtime>(engine: &R, wasm: &[u8]) -> Result<i32, Error> {
    let module = engine.load(ModuleBytes::Borrowed(wasm))?;
    let mut instance = engine.instantiate(&module, "run", Parameters::None, STACK)?;
    let mut stack = engine.stack(&module, &instance, STACK)?;
    engine.call(&mut stack, &mut instance, 0, None)
}

/// Errors have the kind that says what to do, and the arena is whole after each.
pub fn errors_say_what_to_do<E: EngineKind>() {
    let cases = [
        ("(module (func (export \"run\") (result i32) unreachable))", ErrorKind::Trap),
        (
            "(module (func (export \"run\") (result i32) (i32.div_u (i32.const 1) (i32.const 0))))",
            ErrorKind::Trap,
        ),
        ("(module (func $f (export \"run\") (result i32) (call $f)))", ErrorKind::WasmStack),
        (
            "(module (import \"m\" \"f\" (func)) (func (export \"run\") (result i32) i32.const 1))",
            ErrorKind::Import,
        ),
        ("(module (func (export \"other\") (result i32) i32.const 1))", ErrorKind::NoExport),
        ("(module (memory (export \"run\") 1))", ErrorKind::NoExport),
        ("(module (func (export \"run\") (result i64) i64.const 1))", ErrorKind::Signature),
        ("(module (func (export \"run\") (param i32)))", ErrorKind::Signature),
        (
            "(module (func $s unreachable) (start $s) (func (export \"run\") (result i32) i32.const 1))",
            ErrorKind::Trap,
        ),
    ];
    on_an_arena::<E, _>(512 << 10, |engine, arena| {
        for (text, kind) in cases {
            let before = arena.stats().free;
            let error = run_once(engine, &wasm(text)).expect_err(text);
            assert_eq!(error.kind, kind, "{text}: {error}");
            assert!(!error.message.as_str().is_empty(), "{text}");
            assert_eq!(arena.stats().free, before, "{text}");
        }
        for broken in [&b"no module"[..], b"", b"\0asm\x01\0\0\0\x01\xff", b"\0asm\x02\0\0\0"] {
            let error = run_once(engine, broken).expect_err("no module");
            assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
        }
    })
    .expect("room for the engine");
}

/// An instance can be called again after a trap, keeps its state, and shares none.
pub fn instances_are_apart<E: EngineKind>() {
    let counter = wasm(
        "(module (memory 1) (global $n (mut i32) (i32.const 0))
           (func (export \"run\") (param i32) (result i32)
             (if (i32.eq (local.get 0) (i32.const 13)) (then unreachable))
             (global.set $n (i32.add (global.get $n) (i32.const 1)))
             (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (local.get 0)))
             (i32.add (i32.mul (global.get $n) (i32.const 1000)) (i32.load (i32.const 8)))))",
    );
    on_an_arena::<E, _>(512 << 10, |engine, _| {
        let module = engine.load(ModuleBytes::Borrowed(&counter)).expect("a module");
        let other = engine.load(ModuleBytes::Borrowed(&counter)).expect("a module");
        let start = || engine.instantiate(&module, "run", Parameters::I32, STACK).expect("room");
        let (mut one, mut two) = (start(), start());
        let mut stack = engine.stack(&module, &one, STACK).expect("room");
        let mut call = |which: &mut _, argument| engine.call(&mut stack, which, argument, None);
        assert_eq!(call(&mut one, 5), Ok(1005));
        assert_eq!(call(&mut one, 6), Ok(2011));
        assert_eq!(call(&mut two, 1), Ok(1001));
        assert_eq!(call(&mut one, 13).expect_err("it traps").kind, ErrorKind::Trap);
        assert_eq!(call(&mut one, 0), Ok(3011));
        assert_eq!(call(&mut two, 1), Ok(2002));

        let mut foreign = engine.instantiate(&other, "run", Parameters::I32, STACK).expect("room");
        let error = call(&mut foreign, 1).expect_err("it is of another module");
        assert_eq!(error.kind, ErrorKind::WrongModule);
    })
    .expect("room for the engine");
}

/// In an arena of any size, a start either works or is a clean `OutOfMemory`, and every byte
/// comes back. The sizes are so close that every allocation of a start fails in one of them.
pub fn running_out_is_an_error<E: EngineKind>(module: &str) {
    let wasm = wasm(module);
    let (mut worked, mut failed) = (0, 0);
    let mut bytes = 256;
    while worked < 4 {
        let outcome = on_an_arena::<E, _>(bytes, |engine, _| run_once(engine, &wasm));
        match outcome.and_then(|result| result) {
            Ok(_) => worked += 1,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::OutOfMemory, "{bytes} bytes: {error}");
                assert_eq!(worked, 0, "{bytes} bytes are too few, and fewer were enough");
                failed += 1;
            }
        }
        bytes += 16;
        assert!(bytes < 4 << 20, "it never works");
    }
    assert!(failed > 10, "only {failed} sizes were too small");
}

/// A guest whose memory does not grow sees that it did not.
pub fn memory_that_cannot_grow_is_the_guests_affair<E: EngineKind>() {
    let grow = wasm(
        "(module (memory 1) (func (export \"run\") (result i32) (memory.grow (i32.const 60))))",
    );
    on_an_arena::<E, _>(256 << 10, |engine, _| {
        assert_eq!(run_once(engine, &grow), Ok(-1));
        assert_eq!(engine.take_overdraft(), Bytes(0));
    })
    .expect("room for the engine");
}

/// How a ramp ended: what its `end` record says.
#[derive(Debug)]
pub struct Ended {
    /// The workload.
    pub workload: String,
    /// The most instances.
    pub peak: u32,
    /// The peak that was predicted.
    pub predicted: Option<u32>,
    /// What stopped the next one.
    pub limit: String,
    /// Wrong or failed calls.
    pub errors: u64,
    /// Bytes that did not come back.
    pub leaked: Option<i64>,
    /// Bytes of the reserve.
    pub overdraft: Bytes,
    /// The most bytes of a slot's stack.
    pub stack_used: Option<Bytes>,
}

impl From<&End<'_>> for Ended {
    fn from(end: &End<'_>) -> Self {
        Self {
            workload: end.workload.0.to_owned(),
            peak: end.peak,
            predicted: end.predicted_peak,
            limit: end.limit.to_string(),
            errors: end.errors,
            leaked: end.leaked_bytes,
            overdraft: end.overdraft_bytes.bytes(),
            stack_used: end.stack_used_bytes,
        }
    }
}

/// Runs workloads and collects how their ramps ended. Panics at a fault.
pub fn ramp<E: EngineKind>(config: Config, workloads: &[&str]) -> Vec<Ended> {
    let guests: Vec<Guest<'_>> = workloads
        .iter()
        .map(|name| Guest::from(wramp_workloads::find(name).expect("a workload")))
        .collect();
    let (mut ended, mut faults) = (Vec::new(), Vec::new());
    let interrupted = AtomicBool::new(false);
    let gave_up = |status| -> Infallible { panic!("the run gave up: {status}") };
    let sink = Box::new(|record: &Record<'_>| match record {
        Record::End(end) => ended.push(Ended::from(end)),
        Record::Fault(_) => faults.push(record.to_string()),
        _ => {}
    });
    let setup = Setup { config, sink, interrupted: &interrupted, gave_up: &gave_up };
    wramp_host::run::<E>(setup, &guests).expect("memory of this machine");
    assert!(faults.is_empty(), "{faults:#?}");
    ended
}

/// The ramp's workloads: every result is right, the peak is the predicted one, and nothing
/// leaks.
pub fn ramps_end_as_predicted<E: EngineKind>() {
    // The arenas are small, so that a ramp is short.
    let cases: [(u32, &[&str]); 2] = [(48 << 10, &["cpu"]), (160 << 10, &["state", "mem", "msg"])];
    for mode in [Mode::Threads, Mode::Pool { workers: 2 }] {
        for (arena, workloads) in cases {
            let config = Config {
                arena: Bytes(arena),
                slots: mode.workers().unwrap_or(96),
                mode,
                step: 8,
                settle_ms: 1,
                dwell_ms: 20,
                pause_ms: 1,
                ..Config::PUBLISHED
            };
            for end in ramp::<E>(config, workloads) {
                let name = format!("{} {mode:?}", end.workload);
                assert!(end.peak > 0, "{name}");
                assert_eq!(end.errors, 0, "{name}");
                assert_eq!(end.leaked, Some(0), "{name}");
                assert_eq!(end.limit, "arena", "{name}");
                assert_eq!(end.predicted, Some(end.peak), "{name}");
            }
        }
    }
}

/// All of the above.
pub fn all<E: EngineKind>() {
    errors_say_what_to_do::<E>();
    instances_are_apart::<E>();
    memory_that_cannot_grow_is_the_guests_affair::<E>();
    running_out_is_an_error::<E>(
        "(module (memory 1) (table 4 funcref) (elem (i32.const 0) $f)
           (func $f (export \"run\") (result i32) i32.const 7))",
    );
    ramps_end_as_predicted::<E>();
}

/// The tests of an engine in Rust, for a binary of their own: it installs the allocator.
#[macro_export]
macro_rules! tests_of_an_engine_in_rust {
    ($engine:ty, $package:literal, $version:expr) => {
        #[global_allocator]
        static ALLOCATOR: wramp_engine_arena::EngineAllocator = wramp_engine_arena::EngineAllocator;

        /// One engine at a time has the arena.
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

        fn alone() -> std::sync::MutexGuard<'static, ()> {
            ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        #[test]
        fn what_every_engine_must_pass() {
            let _alone = alone();
            $crate::all::<$engine>();
        }

        /// What a thread keeps for calls is there before the first one, so a pool's prediction
        /// holds.
        #[test]
        fn a_call_takes_what_a_stack_has_ready() {
            use wramp_core::runtime::{ModuleBytes, Parameters, Runtime as _};
            let _alone = alone();
            let text = "(module (func (export \"run\") (result i32) i32.const 1))";
            let wasm = wat::parse_str(text).unwrap();
            $crate::on_an_arena::<$engine, _>(128 << 10, |engine, arena| {
                let module = engine.load(ModuleBytes::Borrowed(&wasm)).unwrap();
                let size = wramp_core::measure::Bytes(4096);
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
            let entry = format!("name = \"{}\"\nversion = \"{}\"", $package, $version);
            assert!(lock.contains(&entry), "{entry}");
        }
    };
}
