//! Finds by trial the smallest interpreter stack that a first call runs in.
//!
//! What a call needs depends on the interpreter, on the pointer's size and on the path of the
//! call. The bench therefore measures it on the machine itself and does not compute it from the
//! module. A later call may take a deeper path. A margin allows for that. A call that needs
//! more than the margin gets a clean trap.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_core::machine::{Lock, Machine};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Runtime};
use wramp_core::slots::{Slots, Work};

use crate::guest::{Guest, Judge, seed_of};
use crate::lead::{Climbed, Scene, stuck_error};
use crate::office::Hall;
use crate::run::{give_up, load_module};
use crate::seat::{Phase, Seat};
use crate::threads::start_error;

/// The result of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// The smallest stack that the first call ran in, to 8 bytes.
    pub(crate) needed: Bytes,
    /// `needed` plus the margin of a quarter, at least 64 bytes. It never exceeds the knob.
    pub(crate) stack: Bytes,
}

/// Step of the search, in bytes.
const UNIT: u32 = 8;

/// The search for one guest's stack.
pub(crate) struct Trial<'t, 'm, M: Machine, R: Runtime + 'm> {
    scene: &'t Scene<'t, M>,
    runtime: &'m R,
    /// The guest's module. `None` if each instance loads its own.
    module: Option<&'t R::Module<'m>>,
    guest: &'t Guest<'t>,
    /// Whether the start of an instance is all that is tried.
    start_only: bool,
    /// The slot that the search runs on.
    seat: &'t Seat<M::Tally>,
    /// Calls so far.
    calls: AtomicU32,
    found: M::Lock<Option<Result<Fitted, Error>>>,
    /// Where the guest's calls go, if it has a host.
    hall: Option<Hall<'t>>,
}

impl<'t, 'm, M: Machine, R: Runtime> Trial<'t, 'm, M, R> {
    pub(crate) fn new(
        scene: &'t Scene<'t, M>,
        runtime: &'m R,
        module: Option<&'t R::Module<'m>>,
        guest: &'t Guest<'t>,
        seat: &'t Seat<M::Tally>,
        hall: Option<Hall<'t>>,
    ) -> Self {
        let found = M::Lock::new(None);
        let calls = AtomicU32::new(0);
        Self { scene, runtime, module, guest, start_only: false, seat, calls, found, hall }
    }

    /// A trial that starts an instance and calls nothing. It shows whether a start function
    /// returns.
    pub(crate) fn of_start(self) -> Self {
        Self { start_only: true, ..self }
    }

    /// Searches on a slot's thread, so the controller notices a call that does not return. A
    /// machine without threads has to trust the guest.
    ///
    /// # Errors
    /// The failure that keeps an instance from its first call in the largest stack. `Stuck` if
    /// the call does not return.
    pub(crate) fn search<S: Slots>(&self, slots: &mut S) -> Result<Fitted, Error> {
        if self.scene.config.mode.workers() == Some(0) {
            return self.fit();
        }
        slots.with_crew(self, |crew| {
            self.seat.prepare();
            crew.start(0, self.scene.config.pin.core()).map_err(start_error)?;
            let mut seen = 0;
            while self.seat.over().is_none() {
                // One call may take that long, and the search makes several.
                let goes_on = || {
                    let calls = self.calls.load(Acquire);
                    (calls != seen || self.seat.over().is_some()).then_some(calls)
                };
                match self.scene.wait(format_args!("a trial call"), 1, goes_on) {
                    Some(calls) => seen = calls,
                    None if crew.abort(0) => return Err(stuck_error()),
                    // The thread goes on, and it borrows what a return would free.
                    None => give_up(self.scene, &Climbed::stuck_in_trial()),
                }
            }
            crew.join(0);
            let unknown = || Err(Error::new(ErrorKind::Engine, "the trial call left no result"));
            self.found.with(Option::take).unwrap_or_else(unknown)
        })
    }

    fn fit(&self) -> Result<Fitted, Error> {
        match self.module {
            Some(module) => self.fit_of(module),
            None => self.fit_of(&load_module::<M, R>(self.runtime, self.guest, self.hall)?),
        }
    }

    /// Tries stacks on an instance of its own, and drops the instance afterwards.
    fn fit_of(&self, module: &R::Module<'_>) -> Result<Fitted, Error> {
        let Self { scene, runtime, guest, .. } = self;
        let (most, budget) = (scene.config.wasm_stack, scene.budget_of(guest));
        let (export, parameters) = (guest.export, guest.parameters);
        let mut instance = match self.hall.filter(|_| M::HOSTS) {
            Some(hall) => {
                let desk = hall.desk(0)?;
                hall.rooms.open(0);
                runtime.instantiate_linked(module, export, parameters, most, budget, desk)?
            }
            None => runtime.instantiate_within(module, export, parameters, most, budget)?,
        };
        if self.start_only {
            return Ok(Fitted { needed: Bytes(0), stack: most });
        }
        let argument = guest.argument(&Judge::new(seed_of(0)), 0);
        let mut runs_in = |size: Bytes| -> Result<bool, Error> {
            let mut stack = runtime.stack(module, &instance, size)?;
            let result = runtime.call(&mut stack, &mut instance, argument, budget);
            self.calls.store(self.calls.load(Relaxed).wrapping_add(1), Release);
            match result {
                Err(error) if error.kind == ErrorKind::WasmStack => Ok(false),
                Err(error) if error.kind == ErrorKind::NativeStack => Err(error),
                // A guest that traps for its own reasons had enough stack to get there.
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
}

impl<M: Machine, R: Runtime> Work for Trial<'_, '_, M, R> {
    fn run(&self, _slot: usize) {
        let found = self.fit();
        self.found.with(|place| *place = Some(found));
        self.seat.set_phase(Phase::Ended);
    }
}
