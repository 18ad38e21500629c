//! Loading, instantiating, sharing, moving between threads; and the bytes of it.

mod arena;

use std::thread;

use arena::{ROOMY, TestArena, used};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Parameters, Runtime, Source};
use wramp_wamr::Engine;

const STACK: Bytes = Bytes(2048);

/// Counts its calls in a global and in memory, and adds what it is given; with a
/// table, names, data, types, blocks and locals, so that a load has much to rewrite.
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
            let engine = Engine::new::<TestArena>().unwrap();
            let started = used();
            let module = engine.load(Source::Borrowed(&bytes)).unwrap();
            let loaded = used();
            let mut instance = engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
            let instantiated = used();
            {
                let thread = engine.attach().unwrap();
                let mut environment =
                    engine.environment(&thread, &module, &instance, STACK).unwrap();
                assert_eq!(engine.call(&mut environment, &mut instance, 3, None), Ok(3));
                assert_eq!(engine.call(&mut environment, &mut instance, 3, None), Ok(6));
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
        let engine = Engine::new::<TestArena>().unwrap();
        let base = used();
        let mut costs = None;
        for _ in 0..200 {
            let module = engine.load(Source::Borrowed(&bytes)).unwrap();
            let loaded = used();
            let mut instance = engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
            let instantiated = used();
            {
                let thread = engine.attach().unwrap();
                let mut environment =
                    engine.environment(&thread, &module, &instance, STACK).unwrap();
                assert_eq!(engine.call(&mut environment, &mut instance, 1, None), Ok(1));
            }
            assert_eq!(used(), instantiated, "a call, or an environment, left bytes");
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
        let engine = Engine::new::<TestArena>().unwrap();
        let module = engine.load(Source::Borrowed(&bytes)).unwrap();
        let thread = engine.attach().unwrap();
        let new = || engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
        let (mut one, mut two) = (new(), new());
        let mut of_one = engine.environment(&thread, &module, &one, STACK).unwrap();
        let mut of_two = engine.environment(&thread, &module, &two, STACK).unwrap();
        for round in 1..=100 {
            assert_eq!(engine.call(&mut of_one, &mut one, 1, None), Ok(round));
            assert_eq!(engine.call(&mut of_two, &mut two, 2, None), Ok(2 * round));
        }
        // Where one environment can serve both it makes no difference.
        if engine.shares_environment() {
            assert_eq!(engine.call(&mut of_one, &mut two, 1, None), Ok(201));
            assert_eq!(engine.call(&mut of_two, &mut one, 1, None), Ok(101));
        }
    });
}

/// A module in read-only memory: a load that wrote to it would end the process.
#[test]
fn a_static_module() {
    static COUNTER_WASM: &[u8] = include_bytes!("counter.wasm");
    arena::with(ROOMY, || {
        let engine = Engine::new::<TestArena>().unwrap();
        let base = used();
        let module = engine.load(Source::Static(COUNTER_WASM)).unwrap();
        let again = engine.load(Source::Static(COUNTER_WASM)).unwrap();
        for module in [&module, &again] {
            let mut instance = engine.instantiate(module, "run", Parameters::I32, STACK).unwrap();
            let thread = engine.attach().unwrap();
            let mut environment = engine.environment(&thread, module, &instance, STACK).unwrap();
            assert_eq!(engine.call(&mut environment, &mut instance, 9, None), Ok(9));
        }
        assert!(used() > base);
    });
}

/// `WRAMP_BLESS=1 cargo test -p wramp-wamr the_static_module` writes it anew.
#[test]
fn the_static_module_is_the_one_above() {
    if std::env::var_os("WRAMP_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counter.wasm");
        std::fs::write(path, counter()).unwrap();
    }
    assert_eq!(counter(), include_bytes!("counter.wasm"));
}

/// Bytes that were lent may go away, and be written over, after the load.
#[test]
fn a_borrowed_module_is_not_needed_after_the_load() {
    arena::with(ROOMY, || {
        let engine = Engine::new::<TestArena>().unwrap();
        let mut bytes = counter();
        let before = bytes.clone();
        let module = engine.load(Source::Borrowed(&bytes)).unwrap();
        assert_eq!(bytes, before, "a load wrote to what it was lent");
        bytes.fill(0xff);
        drop(bytes);
        let mut instance = engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
        let thread = engine.attach().unwrap();
        let mut environment = engine.environment(&thread, &module, &instance, STACK).unwrap();
        assert_eq!(engine.call(&mut environment, &mut instance, 4, None), Ok(4));
        // The data segment is read at instantiation, so again.
        let mut other = engine.instantiate(&module, "step", Parameters::I32, STACK).unwrap();
        let mut environment = engine.environment(&thread, &module, &other, STACK).unwrap();
        assert_eq!(engine.call(&mut environment, &mut other, 4, None), Ok(4));
    });
}

#[test]
fn an_instance_moves_between_threads() {
    let bytes = counter();
    arena::with(ROOMY, || {
        let engine = &Engine::new::<TestArena>().unwrap();
        let module = &engine.load(Source::Borrowed(&bytes)).unwrap();
        let mut instance = engine.instantiate(module, "run", Parameters::I32, STACK).unwrap();
        for round in 1..=20 {
            instance = thread::scope(|scope| {
                scope
                    .spawn(move || {
                        let thread = engine.attach().unwrap();
                        let mut environment =
                            engine.environment(&thread, module, &instance, STACK).unwrap();
                        let result = engine.call(&mut environment, &mut instance, 1, None);
                        assert_eq!(result, Ok(round));
                        drop(environment);
                        instance
                    })
                    .join()
                    .unwrap()
            });
        }
    });
}

/// Eight threads instantiate one module, call, trap and drop, all at once.
#[test]
fn threads_share_a_module() {
    let bytes = counter();
    arena::with(ROOMY, || {
        let engine = &Engine::new::<TestArena>().unwrap();
        let module = &engine.load(Source::Borrowed(&bytes)).unwrap();
        let before = used();
        thread::scope(|scope| {
            for number in 1..=8 {
                scope.spawn(move || {
                    let thread = engine.attach().unwrap();
                    for _ in 0..20 {
                        // 64 KiB each: sixteen do not fit, so some wait their turn.
                        let Ok(mut instance) =
                            engine.instantiate(module, "run", Parameters::I32, STACK)
                        else {
                            thread::yield_now();
                            continue;
                        };
                        let mut environment =
                            engine.environment(&thread, module, &instance, STACK).unwrap();
                        for round in 1..=50 {
                            let result = engine.call(&mut environment, &mut instance, number, None);
                            assert_eq!(result, Ok(number * round));
                        }
                    }
                });
            }
        });
        assert_eq!(used(), before);
    });
}

/// Modules are loaded at once on several threads.
#[test]
fn threads_load() {
    let bytes = &counter();
    arena::with(ROOMY, || {
        let engine = &Engine::new::<TestArena>().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let module = engine.load(Source::Borrowed(bytes)).unwrap();
                        let instance =
                            engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
                        let thread = engine.attach().unwrap();
                        let mut environment =
                            engine.environment(&thread, &module, &instance, STACK).unwrap();
                        let mut instance = instance;
                        let result = engine.call(&mut environment, &mut instance, 2, None);
                        assert_eq!(result, Ok(2));
                    }
                });
            }
        });
    });
}
