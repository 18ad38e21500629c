//! The engine's memory: where it comes from, what it costs, how much more fits.
//!
//! An engine takes every byte from one [`Arena`], so the free bytes of the arena say what
//! an instance costs. [`FirstFit`] is an arena over any region that a machine lends. An
//! operating system with an allocator of its own implements [`Arena`] over that.
//!
//! [`Watched`] records how an engine uses an arena: which allocations failed and, in its
//! [`Trace`], which blocks the start of an instance allocates and frees. [`replay`] repeats
//! such a start on the arena itself until an allocation fails. This is how wramp predicts a
//! peak: it does not compute how many instances would fit, it tries.
//!
//! [`Places`] is a vector over memory that a machine lends, for tables beside the arena.
//! [`lend()`] and [`Block`] lend a block of the arena itself.
//!
//! Principles:
//!
//! - **Borrowed.** An arena borrows its region and an engine borrows its arena. A program in
//!   which the memory goes away first does not compile.
//! - **Exact.** Each figure counts every byte, headers and rounding included.
//! - **Undone.** A measurement frees every block that it allocates and changes no figure.
//!
//! This crate reads no clock, starts no thread and knows no engine.
#![no_std]

mod arena;
mod first_fit;
mod lend;
mod places;
mod replay;
mod trace;
mod watched;

pub use arena::Arena;
pub use first_fit::{Blocks, FirstFit, HEADER, UNIT};
pub use lend::{Block, lend};
pub use places::Places;
pub use replay::{RawHeap, replay};
pub use trace::{Script, Taken, Trace};
pub use watched::{Watch, Watched};
pub use wramp_core::machine::{ArenaStats, Lock};
