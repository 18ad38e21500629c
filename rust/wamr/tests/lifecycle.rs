//! Loading, instantiating, sharing, moving between threads: bytes and results.

mod arena;

use std::thread;

use arena::{ROOMY, TestArena, used};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ModuleBytes, Parameters, Runtime};
use wramp_wamr::Engine;

const STACK: Bytes = Bytes(2048);

/// A module that counts its calls in a global and in memory, and adds its argument. It has a
/// table, names, data, types, blocks and locals, so a load has much to rewrite.
const COUNTER: &str = r#"
    (module
      (type $unary (func (param i32) (result i32)))
      (table 1 funcref)
      (elem (i32.const 0) $step)
      (memory (export "memory") 1)
      (global $count (export "count") (mut i32) (i32.const 0))
      (global $wide (mut i64) (i64.const 5))
      (data (i32.const 0) "\01\00\00\00")
      (func $step (export "step") (param $by i32) (result i32)
        (local $i i32) (local $wide i64)
        (local.set $wide (global.get $wide))
        (global.set $wide (i64.add (local.tee $wide (local.get $wide)) (i64.const 1)))
        (block $done
          (loop $again
            (br_if $done (i32.eqz (local.get $by)))
            (local.set $by (i32.sub (local.get $by) (i32.const 1)))
            (global.set $count (i32.add (global.get $count) (i32.load (i32.const 0))))
            (br $again)))
        (drop (i64.const 7))
        (if (result i32) (i64.eq (local.get $wide) (i64.const -1))
          (then (unreachable))
          (else (select (global.get $count) (i32.const 0) (i32.const 1)))))
      (func (export "run") (param i32) (result i32)
        (call_indirect (type $unary) (local.get 0) (i32.const 0))))"#;

fn counter() -> Vec<u8> {
    wat::parse_str(COUNTER).unwrap()
}

#[test]
fn two_hundred_cycles_leave_the_arena_exact() {
    let bytes = counter();
    arena::with(ROOMY, || {
        for _ in 0..200 {
            let engine = Engine::new(&TestArena).unwrap();
            let started = used();
            let module = engine.load(ModuleBytes::Borrowed(&bytes)).unwrap();
            let loaded = used();
            let mut instance = engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
            let instantiated = used();
            {
                let mut stack = engine.stack(&module, &instance, STACK).unwrap();
                assert_eq!(engine.call(&mut stack, &mut instance, 3, None), Ok(3));
                assert_eq!(engine.call(&mut stack, &mut instance, 3, None), Ok(6));
            }
            assert_eq!(used(), instantiated);
            drop(instance);
            assert_eq!(used(), loaded);
            drop(module);
            assert_eq!(used(), started);
            drop(engine);
            assert_eq!(used(), 0);
        }
    });
}

#[test]
fn within_one_engine_each_cycle_costs_the_same() {
    let bytes = counter();
    arena::with(ROOMY, || {
        let engine = Engine::new(&TestArena).unwrap();
        let base = used();
        let mut costs = None;
        for _ in 0..200 {
            let module = engine.load(ModuleBytes::Borrowed(&bytes)).unwrap();
            let loaded = used();
            let mut instance = engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
            let instantiated = used();
            {
                let mut stack = engine.stack(&module, &instance, STACK).unwrap();
                assert_eq!(engine.call(&mut stack, &mut instance, 1, None), Ok(1));
            }
            assert_eq!(used(), instantiated, "a call, or a stack, left bytes");
            let cost = (loaded, instantiated);
            assert_eq!(*costs.get_or_insert(cost), cost);
            drop(instance);
            drop(module);
            assert_eq!(used(), base);
        }
    });
}

#[test]
fn instances_of_a_module_are_apart() {
    let bytes = counter();
    arena::with(ROOMY, || {
        let engine = Engine::new(&TestArena).unwrap();
        let module = engine.load(ModuleBytes::Borrowed(&bytes)).unwrap();
        let new = || engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
        let (mut one, mut two) = (new(), new());
        let mut of_one = engine.stack(&module, &one, STACK).unwrap();
        let mut of_two = engine.stack(&module, &two, STACK).unwrap();
        for round in 1..=100 {
            assert_eq!(engine.call(&mut of_one, &mut one, 1, None), Ok(round));
            assert_eq!(engine.call(&mut of_two, &mut two, 2, None), Ok(2 * round));
        }
        // If one stack serves both, it makes no difference.
        if Engine::facts().shares_stack {
            assert_eq!(engine.call(&mut of_one, &mut two, 1, None), Ok(201));
            assert_eq!(engine.call(&mut of_two, &mut one, 1, None), Ok(101));
        }
    });
}

/// A module in read-only memory. A load that wrote to it would end the process.
#[test]
fn a_static_module() {
    static COUNTER_WASM: &[u8] = include_bytes!("counter.wasm");
    arena::with(ROOMY, || {
        let engine = Engine::new(&TestArena).unwrap();
        let base = used();
        let module = engine.load(ModuleBytes::Static(COUNTER_WASM)).unwrap();
        let again = engine.load(ModuleBytes::Static(COUNTER_WASM)).unwrap();
        for module in [&module, &again] {
            let mut instance = engine.instantiate(module, "run", Parameters::I32, STACK).unwrap();
            let mut stack = engine.stack(module, &instance, STACK).unwrap();
            assert_eq!(engine.call(&mut stack, &mut instance, 9, None), Ok(9));
        }
        assert!(used() > base);
    });
}

/// `WRAMP_BLESS=1 cargo test -p wramp-wamr the_static_module` writes the file again.
#[test]
fn the_static_module_is_the_one_above() {
    if std::env::var_os("WRAMP_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counter.wasm");
        std::fs::write(path, counter()).unwrap();
    }
    assert_eq!(counter(), include_bytes!("counter.wasm"));
}

/// Borrowed bytes may go away, and be overwritten, after the load.
#[test]
fn a_borrowed_module_is_not_needed_after_the_load() {
    arena::with(ROOMY, || {
        let engine = Engine::new(&TestArena).unwrap();
        let mut bytes = counter();
        let before = bytes.clone();
        let module = engine.load(ModuleBytes::Borrowed(&bytes)).unwrap();
        assert_eq!(bytes, before, "a load wrote to what it was lent");
        bytes.fill(0xff);
        drop(bytes);
        let mut instance = engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
        let mut stack = engine.stack(&module, &instance, STACK).unwrap();
        assert_eq!(engine.call(&mut stack, &mut instance, 4, None), Ok(4));
        // Instantiation reads the data segment, so check it again.
        let mut other = engine.instantiate(&module, "step", Parameters::I32, STACK).unwrap();
        let mut stack = engine.stack(&module, &other, STACK).unwrap();
        assert_eq!(engine.call(&mut stack, &mut other, 4, None), Ok(4));
    });
}

#[test]
fn an_instance_moves_between_threads() {
    let bytes = counter();
    arena::with(ROOMY, || {
        let engine = &Engine::new(&TestArena).unwrap();
        let module = &engine.load(ModuleBytes::Borrowed(&bytes)).unwrap();
        let mut instance = engine.instantiate(module, "run", Parameters::I32, STACK).unwrap();
        for round in 1..=20 {
            instance = thread::scope(|scope| {
                scope
                    .spawn(move || {
                        let mut stack = engine.stack(module, &instance, STACK).unwrap();
                        let result = engine.call(&mut stack, &mut instance, 1, None);
                        assert_eq!(result, Ok(round));
                        drop(stack);
                        instance
                    })
                    .join()
                    .unwrap()
            });
        }
    });
}

/// Eight threads instantiate one module, call, trap and drop, all at the same time.
#[test]
fn threads_share_a_module() {
    let bytes = counter();
    arena::with(ROOMY, || {
        let engine = &Engine::new(&TestArena).unwrap();
        let module = &engine.load(ModuleBytes::Borrowed(&bytes)).unwrap();
        let before = used();
        thread::scope(|scope| {
            for number in 1..=8 {
                scope.spawn(move || {
                    for _ in 0..20 {
                        // Each takes 64 KiB. Sixteen do not fit, so some wait for their turn.
                        let Ok(mut instance) =
                            engine.instantiate(module, "run", Parameters::I32, STACK)
                        else {
                            thread::yield_now();
                            continue;
                        };
                        let mut stack = engine.stack(module, &instance, STACK).unwrap();
                        for round in 1..=50 {
                            let result = engine.call(&mut stack, &mut instance, number, None);
                            assert_eq!(result, Ok(number * round));
                        }
                    }
                });
            }
        });
        assert_eq!(used(), before);
    });
}

/// Several threads load modules at the same time.
#[test]
fn threads_load() {
    let bytes = &counter();
    arena::with(ROOMY, || {
        let engine = &Engine::new(&TestArena).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let module = engine.load(ModuleBytes::Borrowed(bytes)).unwrap();
                        let instance =
                            engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
                        let mut stack = engine.stack(&module, &instance, STACK).unwrap();
                        let mut instance = instance;
                        let result = engine.call(&mut stack, &mut instance, 2, None);
                        assert_eq!(result, Ok(2));
                    }
                });
            }
        });
    });
}

/// The engine repeats the requests of the first instance's start until the arena is full. That
/// works as often as instances then start, whatever the holes are. Asking changes nothing.
#[test]
fn so_many_more_start_as_are_predicted() {
    let bytes = wat::parse_str(
        r#"(module (global $g (mut i32) (i32.const 0))
            (func (export "run") (result i32) (global.get $g)))"#,
    )
    .unwrap();
    for size in (60_000..120_000).step_by(3_217) {
        arena::with(size, || {
            let engine = Engine::new(&TestArena).unwrap();
            let module = engine.load(ModuleBytes::Borrowed(&bytes)).unwrap();
            let start = |number: usize| {
                if number == 0 {
                    engine.note(0);
                }
                let instance = engine.instantiate(&module, "run", Parameters::None, STACK)?;
                let stack = engine.stack(&module, &instance, STACK)?;
                if number == 0 {
                    let before = arena::live();
                    let parts = engine.noted(&instance, Some((&stack, STACK))).unwrap();
                    assert_eq!(parts.wasm_stack, STACK);
                    assert_eq!(arena::live(), before);
                }
                Ok::<_, wramp_core::runtime::Error>((instance, stack))
            };
            let first = start(0).unwrap();
            let (used_before, live) = (used(), arena::live());
            let predicted = engine.how_many_more(1, 100).unwrap();
            assert_eq!((used(), arena::live()), (used_before, live), "all was given back");
            assert_eq!(engine.how_many_more(1, 3), Some(predicted.min(3)), "no more than asked");
            let mut others = Vec::new();
            while let Ok(other) = start(others.len() + 1) {
                others.push(other);
            }
            assert_eq!(others.len(), predicted as usize, "{size}");
            assert!(predicted > 3, "{size}");
            drop((first, others));
        });
    }
}
