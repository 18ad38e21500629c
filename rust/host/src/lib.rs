//! The machine under Linux: real threads on reserved stacks, and a fixed arena.
//!
//! It behaves like a microcontroller. The engine's memory is one region of a fixed size, the
//! stacks are mapped before the ramp starts, and running out is a result. It does not model the
//! board's speed or its stack use.
//!
//! The files have the same names as the firmware's, so a port is a two-column diff. The crate
//! names no engine: the caller of [`run()`] brings one.

pub mod arena;
pub mod clock;
pub mod first_calls;
pub mod machine;
pub mod place;
pub mod run;
pub mod slots;
pub mod vault;

pub use machine::Machine;
pub use run::{HostOptions, Setup, SetupError, run, run_hosted, run_kept};
pub use vault::FileVault;
