//! The machine under Linux: real threads on pre-allocated stacks, a fixed arena.
//!
//! It behaves as a microcontroller does: the engine's memory is one region of a fixed
//! size, stacks are mapped before the ramp starts, and running out is a result. The
//! files have the names of the firmware's, so that a port is a two-column diff.
//! It does not model the board's speed, nor its stack use. It names no engine: whoever
//! calls [`run()`] brings one.

pub mod arena;
pub mod clock;
pub mod machine;
pub mod run;
pub mod slots;

pub use machine::Machine;
pub use run::{Setup, SetupError, run};
