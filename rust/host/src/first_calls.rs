//! The first calls of a module, on an engine and an arena of their own.
//!
//! They are not measured. Somebody compares them with what another engine says.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use wramp_bench::EngineKind;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, ModuleBytes, Parameters, Runtime as _};

use crate::arena::Region;

/// Bytes of the arena. The system gives pages only where they are touched.
const ARENA: Bytes = Bytes(64 << 20);
/// Bytes of the interpreter's stack: more than any guest of a microcontroller has.
const WASM_STACK: Bytes = Bytes(256 << 10);
/// Bytes of the thread's stack.
const NATIVE_STACK_BYTES: usize = 8 << 20;
/// Instructions of a call, where the engine counts them.
const BUDGET: u32 = 100_000_000;

/// A module and the export that is called.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The module.
    pub wasm: Vec<u8>,
    /// The export.
    pub export: String,
    /// What it takes. The argument is the number of the call, from 0.
    pub parameters: Parameters,
    /// How many calls.
    pub calls: u32,
}

/// What the start gave (0 where it went well), and then each call. `None` if one has not returned
/// for that long. Its thread goes on and keeps the engine, so the process can start no other.
///
/// A start that fails is the only outcome.
#[must_use]
pub fn first_calls<E: EngineKind>(
    asked: Asked,
    patience: Duration,
) -> Option<Vec<Result<i32, Error>>> {
    let (tell, told) = mpsc::channel();
    let worker = thread::Builder::new().stack_size(NATIVE_STACK_BYTES).spawn(move || {
        // Only a caller that has given up no longer listens.
        let _ = tell.send(calls::<E>(&asked));
    });
    let failed = |words| Some(vec![Err(Error::new(ErrorKind::Engine, words))]);
    if worker.is_err() {
        return failed("the system gives no thread");
    }
    match told.recv_timeout(patience) {
        Ok(outcomes) => Some(outcomes),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => failed("the engine's thread ended"),
    }
}

fn calls<E: EngineKind>(asked: &Asked) -> Vec<Result<i32, Error>> {
    let mut outcomes = Vec::new();
    if let Err(error) = attempt::<E>(asked, &mut outcomes) {
        outcomes.push(Err(error));
    }
    outcomes
}

/// Fails where there is no instance.
fn attempt<E: EngineKind>(
    asked: &Asked,
    outcomes: &mut Vec<Result<i32, Error>>,
) -> Result<(), Error> {
    let none = || Error::new(ErrorKind::OutOfMemory, "the system gives no arena");
    let mut region = Region::new(ARENA).ok_or_else(none)?;
    let arena = region.arena();
    let engine = E::start(&arena)?;
    let module = engine.load(ModuleBytes::Borrowed(&asked.wasm))?;
    let budget = E::Engine::facts().meters.then_some(BUDGET);
    let (export, parameters) = (&asked.export, asked.parameters);
    let mut instance =
        engine.instantiate_within(&module, export, parameters, WASM_STACK, budget)?;
    let mut stack = engine.stack(&module, &instance, WASM_STACK)?;
    outcomes.push(Ok(0));
    for call in 0..asked.calls {
        outcomes.push(engine.call(&mut stack, &mut instance, call.cast_signed(), budget));
    }
    Ok(())
}
