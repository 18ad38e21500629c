//! The arena for engines that are written in Rust.
//!
//! Such an engine allocates through the program's global allocator, and it ends the program
//! where an allocation fails. This crate makes both fit for wramp:
//!
//! - [`EngineAllocator`] serves a thread from the arena while the thread is inside the engine,
//!   and from the system otherwise. A block goes back to where it came from, which its address
//!   tells. A binary installs it with `#[global_allocator]`.
//! - A [`Session`] is one engine's use of an arena. Only [`Session::run`] and [`Session::call`]
//!   let a thread inside.
//! - What the arena cannot serve comes from a **reserve**, which is the system's heap, so the
//!   operation goes on. The session counts these bytes ([`Session::take_overdraft`]), drops
//!   what the operation made, and returns `OutOfMemory`. So running out is an error here, as it
//!   is in C.
//! - A [`Lane`] keeps the blocks that a call gives back for the next call on its thread. What a
//!   call needs then belongs to its stack, as it does in an engine that reserves stacks.
//!
//! The reserve is reachable through a session alone, so nothing else of the program can spend
//! bytes that no machine has.
//!
//! [`Stack`], [`facts`] and [`runtime_on_a_session`] are the glue that every engine shares.
//!
//! [`foreign`] is the same for an engine in C that has no hooks for an allocator.
//!
//! This crate names no engine.

mod allocator;
pub mod error;
pub mod foreign;
mod glue;
mod session;
mod space;
mod thread;

pub use allocator::EngineAllocator;
pub use glue::{Stack, facts};
pub use session::{Lane, Session};
