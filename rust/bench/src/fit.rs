//! The least interpreter stack that a workload's first call runs in, found by trying.
//!
//! What a call needs depends on the interpreter, the pointer's size and the path the call
//! takes, so it is measured on the machine itself and not computed from the module. A later
//! call may take a deeper path: hence a margin, and beyond it a clean trap.

use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Runtime};

use crate::guest::{Guest, Judge, seed_of};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// Least stack that the first call ran in, to 8 bytes.
    pub(crate) needed: Bytes,
    /// That and the margin: a quarter of it, at least 64 bytes; never above the knob.
    pub(crate) stack: Bytes,
}

/// Steps of the search.
const UNIT: u32 = 8;

/// Tries stacks up to `most` on an instance of its own, which is gone afterwards.
///
/// # Errors
/// What keeps an instance from its first call in a stack of `most` bytes.
pub(crate) fn fit<R: Runtime>(
    runtime: &R,
    module: &R::Module<'_>,
    guest: &Guest<'_>,
    most: Bytes,
    budget: Option<u32>,
) -> Result<Fitted, Error> {
    let mut instance = runtime.instantiate(module, guest.export, guest.parameters, most)?;
    let argument = guest.argument(&Judge::new(seed_of(0)), 0);
    let mut runs_in = |size: Bytes| -> Result<bool, Error> {
        let mut stack = runtime.stack(module, &instance, size)?;
        match runtime.call(&mut stack, &mut instance, argument, budget) {
            Err(error) if error.kind == ErrorKind::WasmStack => Ok(false),
            Err(error) if error.kind == ErrorKind::NativeStack => Err(error),
            // A guest that traps in its own way had stack enough to do so.
            _ => Ok(true),
        }
    };
    let (mut too_small, mut enough) = (0, most.0 / UNIT);
    if !runs_in(Bytes(enough * UNIT))? {
        return Err(Error::new(ErrorKind::WasmStack, "wasm operand stack overflow"));
    }
    while enough - too_small > 1 {
        let middle = too_small.midpoint(enough);
        if runs_in(Bytes(middle * UNIT))? {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    let needed = enough * UNIT;
    let stack = (needed + (needed / 4).max(64)).next_multiple_of(UNIT);
    Ok(Fitted { needed: Bytes(needed), stack: Bytes(stack.min(most.0)) })
}
