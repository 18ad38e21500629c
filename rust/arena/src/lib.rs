//! The engine's memory: where it comes from, what it costs, how much more fits.
//!
//! An engine takes every byte from one [`Arena`], so the free bytes of the arena say what
//! an instance costs. [`FirstFit`] is an arena over any region that a machine lends. An
//! operating system with an allocator of its own implements [`Arena`] over that.
//!
//! [`Watched`] notes what an engine does with an arena: what it asked for in vain, and in
//! its [`Trace`] which blocks the start of one instance takes and gives back. [`replay`]
//! repeats such a start on the arena itself until no block is to be had. That is how wramp
//! predicts a peak: it does not compute what would fit, it tries.
//!
//! [`Places`] is a vector over memory that a machine lends, for what is kept beside the
//! arena.
//!
//! Principles:
//!
//! - **Borrowed.** An arena borrows its region and an engine borrows its arena, so no
//!   program compiles in which the memory goes first.
//! - **Exact.** Each figure counts every byte, headers and rounding included.
//! - **Undone.** What a measurement takes it gives back, and no mark shows it.
//!
//! This crate reads no clock, starts no thread and knows no engine.
#![no_std]

mod arena;
mod first_fit;
mod places;
mod replay;
mod trace;
mod watched;

pub use arena::Arena;
pub use first_fit::{Blocks, FirstFit, HEADER, UNIT};
pub use places::Places;
pub use replay::{RawHeap, replay};
pub use trace::{Script, Taken, Trace};
pub use watched::{Watch, Watched};
pub use wramp_core::machine::{ArenaStats, Lock};
