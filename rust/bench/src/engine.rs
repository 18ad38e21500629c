//! Where an engine comes from, for whoever puts a run together.

use wramp_arena::Arena;
use wramp_core::runtime::{Error, Runtime};

/// A kind of engine that can be set up on an arena. A machine's `run` is generic over this, so
/// that it names no engine.
pub trait EngineKind {
    /// The engine, which borrows its arena.
    type Engine<'a>: Runtime + 'a;

    /// Sets an engine up. When it is dropped the arena is as it was, to the byte.
    ///
    /// # Errors
    /// `Engine`, `OutOfMemory`.
    fn start<'a>(arena: &'a dyn Arena) -> Result<Self::Engine<'a>, Error>;
}
