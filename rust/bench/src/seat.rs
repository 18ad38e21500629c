//! What a slot's thread and the controller tell each other.

use core::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_core::measure::{Counter, Tally};
use wramp_core::runtime::{Error, ErrorKind, Message};

/// Bytes of an error's text that a seat keeps.
const TEXT_BYTES: usize = 56;

/// Where an instance's life has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing here.
    Empty = 0,
    /// Being instantiated, or in its first call.
    Starting = 1,
    /// Its first call returned.
    Alive = 2,
    /// It did not come to life.
    Failed = 3,
    /// It was stopped and is gone.
    Ended = 4,
}

/// One slot's shared state. Each field has one writer at a time; loads and stores
/// are all it takes, so it works where there is no compare-and-swap.
pub struct Seat<C, const N: usize> {
    phase: AtomicU8,
    stop: AtomicBool,
    alive_from_ms: AtomicU32,
    alive_until_ms: AtomicU32,
    error_kind: AtomicU8,
    over_budget: AtomicU32,
    calls_before: AtomicU32,
    text: [AtomicU8; TEXT_BYTES],
    /// What its calls took.
    pub(crate) tally: Tally<C, N>,
}

/// Order of [`ErrorKind`]s in [`Seat::error_kind`]; 0 is none.
const KINDS: [ErrorKind; 12] = [
    ErrorKind::OutOfMemory,
    ErrorKind::Malformed,
    ErrorKind::Import,
    ErrorKind::NoExport,
    ErrorKind::Signature,
    ErrorKind::Trap,
    ErrorKind::WasmStack,
    ErrorKind::NativeStack,
    ErrorKind::Budget,
    ErrorKind::WrongModule,
    ErrorKind::Engine,
    ErrorKind::WrongResult,
];

impl<C: Counter, const N: usize> Seat<C, N> {
    /// An empty seat.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Empty as u8),
            stop: AtomicBool::new(false),
            alive_from_ms: AtomicU32::new(0),
            alive_until_ms: AtomicU32::new(0),
            error_kind: AtomicU8::new(0),
            over_budget: AtomicU32::new(0),
            calls_before: AtomicU32::new(0),
            text: [const { AtomicU8::new(0) }; TEXT_BYTES],
            tally: Tally::new(),
        }
    }

    /// Makes the seat ready for a new instance. Only while no thread has it.
    pub(crate) fn prepare(&self) {
        self.tally.clear();
        self.stop.store(false, Relaxed);
        self.alive_from_ms.store(0, Relaxed);
        self.alive_until_ms.store(0, Relaxed);
        self.error_kind.store(0, Relaxed);
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

    /// What came of its start, once something did.
    pub(crate) fn started(&self) -> Option<Phase> {
        Some(self.phase()).filter(|phase| *phase != Phase::Starting)
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

    pub(crate) fn lived(&self, from_ms: u32, until_ms: u32) {
        self.alive_from_ms.store(from_ms, Relaxed);
        self.alive_until_ms.store(until_ms, Relaxed);
    }

    /// Time from the first call's return to the last one's, in milliseconds.
    pub(crate) fn alive_ms(&self) -> u32 {
        self.alive_until_ms.load(Relaxed).saturating_sub(self.alive_from_ms.load(Relaxed))
    }

    /// Keeps the first error's kind and words.
    pub(crate) fn note(&self, error: &Error) {
        if error.kind == ErrorKind::Budget {
            self.over_budget.store(self.over_budget.load(Relaxed).saturating_add(1), Relaxed);
        }
        if self.error_kind.load(Relaxed) != 0 {
            return;
        }
        let text = error.message.as_str().bytes().chain(core::iter::repeat(0));
        for (to, from) in self.text.iter().zip(text) {
            to.store(from, Relaxed);
        }
        let kind = KINDS.iter().position(|kind| *kind == error.kind).unwrap_or(KINDS.len() - 1);
        self.error_kind.store(u8::try_from(kind + 1).unwrap_or(u8::MAX), Release);
    }

    /// The first error, if there was one.
    pub(crate) fn error(&self) -> Option<Error> {
        let kind = usize::from(self.error_kind.load(Acquire)).checked_sub(1)?;
        let mut text = [0; TEXT_BYTES];
        for (to, from) in text.iter_mut().zip(&self.text) {
            *to = from.load(Relaxed);
        }
        Some(Error { kind: *KINDS.get(kind)?, message: Message::from_bytes(&text) })
    }

    /// Remembers the calls so far, for [`calls_since`](Self::calls_since). The controller's.
    pub(crate) fn mark_calls(&self) {
        self.calls_before.store(self.tally.calls(), Relaxed);
    }

    /// Calls since they were last marked.
    pub(crate) fn calls_since(&self) -> u32 {
        self.tally.calls().saturating_sub(self.calls_before.load(Relaxed))
    }

    pub(crate) fn over_budget(&self) -> u32 {
        self.over_budget.load(Relaxed)
    }
}

impl<C: Counter, const N: usize> Default for Seat<C, N> {
    fn default() -> Self {
        Self::new()
    }
}
