//! Where an engine comes from, for the code that composes a run.

use wramp_arena::Arena;
use wramp_core::runtime::{Error, Runtime};

/// A kind of engine that can start on an arena. A machine's `run` is generic over it, so that
/// the machine names no engine.
pub trait EngineKind {
    /// The engine, which borrows its arena.
    type Engine<'a>: Runtime + 'a;

    /// Starts an engine. Dropping it leaves the arena as it was, to the byte.
    ///
    /// # Errors
    /// `Engine`, `OutOfMemory`.
    fn start<'a>(arena: &'a dyn Arena) -> Result<Self::Engine<'a>, Error>;
}
