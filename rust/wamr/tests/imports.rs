//! Imports as WAMR's instances call them: the right host, memory and arguments, and no byte left.
#![cfg(feature = "imports")]

mod arena;

use std::sync::Mutex;

use arena::{ROOMY, TestArena};
use wramp_core::host::{Desk, FunctionNumber, Host, Links};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Message, ModuleBytes, Parameters, Runtime};
use wramp_wamr::Engine;

const STACK: Bytes = Bytes(1024);

/// What a guest's call was: instance, function, size of its memory, arguments.
type Call = (u32, u16, usize, Vec<u64>);

/// A host that notes each call and gives the sum of the arguments. It writes 7 into the first
/// byte of memory. Function 9 is a trap.
#[derive(Default)]
struct Notes(Mutex<Vec<Call>>);

impl Notes {
    fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Host for Notes {
    fn call(
        &self,
        id: u32,
        FunctionNumber(function): FunctionNumber,
        memory: &mut [u8],
        values: &mut [u64],
    ) -> Result<(), Message> {
        self.0.lock().unwrap().push((id, function, memory.len(), values.to_vec()));
        if let Some(first) = memory.first_mut() {
            *first = 7;
        }
        if function == 9 {
            return Err(Message::new(&"x".repeat(96)));
        }
        values[0] = values.iter().fold(0, |sum, value| sum.wrapping_add(*value));
        Ok(())
    }
}

/// Function `n` of the module is number `n` of the host, below a limit; 9 stays 9.
struct Upto(u32);

impl Links for Upto {
    fn link(&self, index: u32) -> Option<FunctionNumber> {
        (index < self.0).then_some(FunctionNumber(index as u16))
    }
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// Runs a test on an engine, and checks that it left the arena as it was.
fn with_engine(test: impl FnOnce(&Engine<'_>)) {
    arena::with(ROOMY, || {
        let before = arena::used();
        let engine = Engine::new(&TestArena).unwrap();
        let started = arena::used();
        test(&engine);
        assert_eq!(arena::used(), started, "a module or an instance left something");
        drop(engine);
        assert_eq!(arena::used(), before);
    });
}

fn call(engine: &Engine<'_>, wasm: &[u8], host: &Notes, id: u32) -> Result<i32, Error> {
    let module = engine.load_linked(ModuleBytes::Borrowed(wasm), &Upto(99))?;
    let desk = Desk { host, id };
    let mut instance =
        engine.instantiate_linked(&module, "run", Parameters::None, STACK, None, &desk)?;
    let mut stack = engine.stack(&module, &instance, STACK)?;
    engine.call(&mut stack, &mut instance, 0, None)
}

#[test]
fn arguments_of_every_type_and_number_arrive() {
    let wasm = wasm(
        r#"(module
        (import "a" "none" (func $none (result i64)))
        (import "a" "four" (func $four (param i32 i64 f32 f64) (result f64)))
        (import "a" "many" (func $many (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
          i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (memory 1 1)
        (func (export "run") (result i32)
          (drop (call $none))
          (drop (call $four (i32.const -1) (i64.const -2) (f32.const 1) (f64.const -0.5)))
          (i32.add (i32.load8_u (i32.const 0))
            (call $many (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
              (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10)
              (i32.const 11) (i32.const 12) (i32.const 13) (i32.const 14) (i32.const 15)
              (i32.const 16) (i32.const 17) (i32.const 18) (i32.const 19) (i32.const 20)))))"#,
    );
    with_engine(|engine| {
        let host = Notes::default();
        assert_eq!(call(engine, &wasm, &host, 5), Ok(7 + 210));
        let calls = host.take();
        assert_eq!(calls.len(), 3);
        assert!(calls.iter().all(|(id, _, size, _)| (*id, *size) == (5, 65_536)));
        assert_eq!(calls[0].3.len(), 1, "there is always room for a result");
        let low = |value: u64| value as u32;
        let four = &calls[1].3;
        assert_eq!((low(four[0]), four[1]), (u32::MAX, -2_i64 as u64));
        assert_eq!((low(four[2]), four[3]), (1_f32.to_bits(), (-0.5_f64).to_bits()));
        let many: Vec<_> = calls[2].3.iter().map(|&value| low(value)).collect();
        assert_eq!(many, (1..=20).collect::<Vec<_>>());
    });
}

#[test]
fn a_guest_without_memory_has_none() {
    let wasm = wasm(
        r#"(module (import "a" "f" (func $f)) (func (export "run") (result i32) (call $f) (i32.const 1)))"#,
    );
    with_engine(|engine| {
        let host = Notes::default();
        assert_eq!(call(engine, &wasm, &host, 0), Ok(1));
        assert_eq!(host.take()[0].2, 0);
    });
}

#[test]
fn a_trap_of_the_host_is_whole_and_the_instance_goes_on() {
    let wasm = wasm(
        r#"(module
        (import "a" "0" (func)) (import "a" "1" (func)) (import "a" "2" (func))
        (import "a" "3" (func)) (import "a" "4" (func)) (import "a" "5" (func))
        (import "a" "6" (func)) (import "a" "7" (func)) (import "a" "8" (func))
        (import "a" "9" (func $trap))
        (global $calls (mut i32) (i32.const 0))
        (func (export "run") (param i32) (result i32)
          (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
          (if (local.get 0) (then (call $trap)))
          (global.get $calls)))"#,
    );
    with_engine(|engine| {
        let host = Notes::default();
        let module = engine.load_linked(ModuleBytes::Borrowed(&wasm), &Upto(10)).unwrap();
        let desk = Desk { host: &host, id: 0 };
        let mut instance =
            engine.instantiate_linked(&module, "run", Parameters::I32, STACK, None, &desk).unwrap();
        let mut stack = engine.stack(&module, &instance, STACK).unwrap();
        let error = engine.call(&mut stack, &mut instance, 1, None).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Trap, &*"x".repeat(96)));
        assert_eq!(engine.call(&mut stack, &mut instance, 0, None), Ok(2));
    });
}

#[test]
fn each_instance_has_its_own_desk_on_one_stack() {
    let wasm = wasm(
        r#"(module (import "a" "f" (func $f)) (func (export "run") (result i32) (call $f) (i32.const 1)))"#,
    );
    with_engine(|engine| {
        let hosts = [Notes::default(), Notes::default()];
        let desks: Vec<_> = (0..6).map(|id| Desk { host: &hosts[id as usize % 2], id }).collect();
        let module = engine.load_linked(ModuleBytes::Borrowed(&wasm), &Upto(1)).unwrap();
        let start = |desk| {
            engine.instantiate_linked(&module, "run", Parameters::None, STACK, None, desk).unwrap()
        };
        let mut instances: Vec<_> = desks.iter().map(start).collect();
        let mut stack = engine.stack(&module, &instances[0], STACK).unwrap();
        for instance in instances.iter_mut().rev() {
            assert_eq!(engine.call(&mut stack, instance, 0, None), Ok(1));
        }
        for (parity, host) in hosts.iter().enumerate() {
            let ids: Vec<_> = host.take().iter().map(|call| call.0 as usize).collect();
            assert_eq!(ids, [4 + parity, 2 + parity, parity]);
        }
    });
}

#[test]
fn start_and_initialize_come_once_and_in_order() {
    let wasm = wasm(
        r#"(module
        (import "a" "start" (func $start)) (import "a" "init" (func $init))
        (import "a" "run" (func $run))
        (func $begin (call $start)) (start $begin)
        (func (export "_initialize") (call $init))
        (func (export "run") (result i32) (call $run) (i32.const 1)))"#,
    );
    with_engine(|engine| {
        let host = Notes::default();
        assert_eq!(call(engine, &wasm, &host, 3), Ok(1));
        let calls: Vec<_> = host.take().iter().map(|call| (call.0, call.1)).collect();
        assert_eq!(calls, [(3, 0), (3, 1), (3, 2)]);
    });
}

#[test]
fn a_start_that_traps_is_an_error_and_leaves_nothing() {
    for text in [
        r#"(module (func $f unreachable) (start $f) (func (export "run") (result i32) (i32.const 1)))"#,
        r#"(module (func (export "_initialize") unreachable) (func (export "run") (result i32) (i32.const 1)))"#,
    ] {
        let wasm = wasm(text);
        with_engine(|engine| {
            let error = call(engine, &wasm, &Notes::default(), 0).unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Trap, "unreachable"));
        });
    }
}

/// WAMR itself runs an export of this name, before anybody can say whose instance it is.
#[test]
fn a_call_before_the_desk_is_a_trap_with_a_reason() {
    let wasm = wasm(
        r#"(module (import "a" "f" (func $f)) (func (export "__wasm_call_ctors") (call $f))
        (func (export "run") (result i32) (i32.const 1)))"#,
    );
    with_engine(|engine| {
        let host = Notes::default();
        let error = call(engine, &wasm, &host, 0).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Trap);
        assert_eq!(error.message.as_str(), "the host was called before the instance was there");
        assert!(host.take().is_empty());
    });
}

#[test]
fn what_is_not_linked_is_refused_and_leaves_nothing() {
    for (import, links) in [
        (r#"(import "a" "f" (func))"#, 0),
        (r#"(import "a" "f" (func)) (import "a" "g" (func))"#, 1),
        (r#"(import "a" "m" (memory 1))"#, 9),
        (r#"(import "a" "t" (table 1 funcref))"#, 9),
        (r#"(import "a" "f" (func)) (import "a" "g" (global i32))"#, 9),
    ] {
        let wasm = wasm(&format!(r#"(module {import} (func (export "run")))"#));
        with_engine(|engine| {
            let refused = engine.load_linked(ModuleBytes::Borrowed(&wasm), &Upto(links));
            assert_eq!(refused.unwrap_err().kind, ErrorKind::Import, "{import}");
        });
    }
}

/// Without the host's part of the seam, a module with an import is refused as ever.
#[test]
fn a_plain_load_links_nothing() {
    let wasm = wasm(r#"(module (import "a" "f" (func)) (func (export "run")))"#);
    with_engine(|engine| {
        let refused = engine.load(ModuleBytes::Borrowed(&wasm));
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Import);
    });
}

#[test]
fn results_of_every_type() {
    for (gives, body, expected) in [
        ("", "", Ok(0)),
        ("(result i32)", "(i32.const -3)", Ok(-3)),
        ("(result f32)", "(f32.const 1)", Ok(1_f32.to_bits().cast_signed())),
        ("(result i64)", "(i64.const 5)", Ok(5)),
        ("(result i32 i32)", "(i32.const 1) (i32.const 2)", Err(ErrorKind::Signature)),
        ("(result externref)", "(ref.null extern)", Err(ErrorKind::Signature)),
    ] {
        let wasm = wasm(&format!(r#"(module (func (export "run") {gives} {body}))"#));
        with_engine(|engine| {
            let result = call(engine, &wasm, &Notes::default(), 0);
            assert_eq!(result.map_err(|error| error.kind), expected, "{gives}");
        });
    }
    // Numbers of 64 bits that differ in either half differ.
    let value = |high: u32, low: u32| {
        let bits = u64::from(high) << 32 | u64::from(low);
        let wasm =
            wasm(&format!(r#"(module (func (export "run") (result i64) (i64.const {bits})))"#));
        let mut result = None;
        with_engine(|engine| result = Some(call(engine, &wasm, &Notes::default(), 0).unwrap()));
        result
    };
    assert_ne!(value(0, 1), value(1, 1));
    assert_ne!(value(1, 1), value(2, 1));
    assert_ne!(value(1, 1), value(1, 2));
    assert_eq!(value(1, 2), value(1, 2));
}
