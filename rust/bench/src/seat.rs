//! What a slot's thread and the controller tell each other.

use core::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_core::measure::Tally;
use wramp_core::runtime::ErrorKind;

/// The phase that a slot's thread has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The seat is empty.
    Empty = 0,
    /// The instance is being instantiated, or is in its first call.
    Starting = 1,
    /// Its first call returned.
    Alive = 2,
    /// It could not start.
    Failed = 3,
    /// It was stopped and is gone.
    Ended = 4,
}

/// One slot's shared state. Each field has one writer at a time. It needs loads and stores
/// only, so it works without compare-and-swap.
pub struct Seat<T> {
    phase: AtomicU8,
    stop: AtomicBool,
    alive_from_ms: AtomicU32,
    alive_until_ms: AtomicU32,
    /// The number of the first error's kind plus one. 0 means none.
    error: AtomicU8,
    over_budget: AtomicU32,
    calls_before: AtomicU32,
    /// What its calls took.
    pub(crate) tally: T,
}

impl<T: Tally> Seat<T> {
    /// An empty seat.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Empty as u8),
            stop: AtomicBool::new(false),
            alive_from_ms: AtomicU32::new(0),
            alive_until_ms: AtomicU32::new(0),
            error: AtomicU8::new(0),
            over_budget: AtomicU32::new(0),
            calls_before: AtomicU32::new(0),
            tally: T::NEW,
        }
    }

    /// Makes the seat ready for a new instance. The caller MUST make sure that no thread has
    /// it.
    pub(crate) fn prepare(&self) {
        self.tally.clear();
        self.stop.store(false, Relaxed);
        self.alive_from_ms.store(0, Relaxed);
        self.alive_until_ms.store(0, Relaxed);
        self.error.store(0, Relaxed);
        self.over_budget.store(0, Relaxed);
        self.set_phase(Phase::Starting);
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Acquire) {
            1 => Phase::Starting,
            2 => Phase::Alive,
            3 => Phase::Failed,
            4 => Phase::Ended,
            _ => Phase::Empty,
        }
    }

    /// The result of its start, once there is one.
    pub(crate) fn started(&self) -> Option<Phase> {
        Some(self.phase()).filter(|phase| *phase != Phase::Starting)
    }

    /// Whether its thread has nothing left to do but return.
    pub(crate) fn over(&self) -> Option<()> {
        matches!(self.phase(), Phase::Empty | Phase::Failed | Phase::Ended).then_some(())
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Release);
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop.store(true, Release);
    }

    pub(crate) fn asked_to_stop(&self) -> bool {
        self.stop.load(Acquire)
    }

    /// Notes when its first call returned.
    pub(crate) fn begins_at(&self, ms: u32) {
        self.alive_from_ms.store(ms, Relaxed);
        self.alive_until_ms.store(ms, Relaxed);
    }

    /// Notes when a call returned.
    pub(crate) fn lives_until(&self, ms: u32) {
        self.alive_until_ms.store(ms, Relaxed);
    }

    /// Time from the first call's return to the last one's, in milliseconds.
    pub(crate) fn alive_ms(&self) -> u32 {
        self.alive_until_ms.load(Relaxed).saturating_sub(self.alive_from_ms.load(Relaxed))
    }

    /// Notes an error. True if it is the first one.
    pub(crate) fn note(&self, kind: ErrorKind) -> bool {
        if kind == ErrorKind::Budget {
            self.over_budget.store(self.over_budget.load(Relaxed).saturating_add(1), Relaxed);
        }
        let first = self.error.load(Relaxed) == 0;
        if first {
            self.error.store(kind as u8 + 1, Release);
        }
        first
    }

    /// The kind of the first error, if there was one.
    pub(crate) fn error(&self) -> Option<ErrorKind> {
        ErrorKind::from_u8(self.error.load(Acquire).checked_sub(1)?)
    }

    /// Remembers the calls so far, for [`calls_since`](Self::calls_since). Only the controller
    /// calls it.
    pub(crate) fn mark_calls(&self) {
        self.calls_before.store(self.tally.calls(), Relaxed);
    }

    /// Calls since the controller last marked them.
    pub(crate) fn calls_since(&self) -> u32 {
        self.tally.calls().saturating_sub(self.calls_before.load(Relaxed))
    }

    pub(crate) fn over_budget(&self) -> u32 {
        self.over_budget.load(Relaxed)
    }
}

impl<T: Tally> Default for Seat<T> {
    fn default() -> Self {
        Self::new()
    }
}
