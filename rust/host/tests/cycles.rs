//! Ten thousand loads and unloads leave the arena as it was, to the byte.

mod common;

use common::{turn, wasm};
use wramp_arena::Arena as _;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ModuleBytes, Parameters, Runtime};
use wramp_host::arena::Region;
use wramp_wamr::Engine;

const STACK: Bytes = Bytes(4096);

/// Load, instantiate, call, deinstantiate, unload.
fn live(engine: &Engine<'_>, wasm: &[u8], parameters: Parameters) -> i32 {
    let module = engine.load(ModuleBytes::Borrowed(wasm)).unwrap();
    let mut instance = engine.instantiate(&module, "run", parameters, STACK).unwrap();
    let mut stack = engine.stack(&module, &instance, STACK).unwrap();
    engine.call(&mut stack, &mut instance, 1, None).unwrap()
}

#[test]
fn ten_thousand_lives_leave_nothing() {
    let _turn = turn();
    // One of everything that a module can hold. It is quick, so a debug build can afford it.
    let module = wasm(
        r#"(module
            (type $f (func (result i32)))
            (table 2 funcref) (elem (i32.const 0) $read)
            (memory (export "memory") 1 1) (data (i32.const 64) "\2a")
            (global $g (mut i32) (i32.const 1)) (global (export "g") i32 (i32.const 2))
            (func $start (global.set $g (i32.const 0))) (start $start)
            (func $read (result i32) (i32.add (global.get $g) (i32.load8_u (i32.const 64))))
            (func (export "run") (result i32) (call_indirect (type $f) (i32.const 0))))"#,
    );
    let mut region = Region::new(Bytes(196_608)).unwrap();
    let arena = region.arena();
    let empty = arena.stats();
    {
        let engine = Engine::new(&arena).unwrap();
        let before = arena.stats();
        for _ in 0..10_000 {
            assert_eq!(live(&engine, module, Parameters::None), 42);
        }
        arena.reset_low_water();
        let after = arena.stats();
        assert_eq!(
            (after.free, after.blocks, after.largest),
            (before.free, before.blocks, before.largest)
        );
    }
    arena.reset_low_water();
    assert_eq!(arena.stats(), empty, "the engine gives back the rest");
}

#[test]
fn every_workload_lives_and_leaves_nothing() {
    let _turn = turn();
    let mut region = Region::new(Bytes(196_608)).unwrap();
    let arena = region.arena();
    let engine = Engine::new(&arena).unwrap();
    let before = arena.stats();
    // The workloads take time, so a debug build makes fewer cycles.
    for _ in 0..20 {
        for workload in wramp_workloads::ALL {
            let mut state = wramp_workloads::State::new(1);
            let result = live(&engine, workload.wasm, workload.parameters);
            assert_eq!(result, (workload.reference)(&mut state), "{}", workload.name);
            let after = arena.stats();
            assert_eq!(
                (after.free, after.blocks, after.largest),
                (before.free, before.blocks, before.largest)
            );
        }
    }
}
