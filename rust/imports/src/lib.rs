//! What a guest may import, and what each function does: docs/guest.md in code.
//!
//! The crate knows no engine and no machine. It has the table of all functions ([`provided`]),
//! the check of a module's imports against what a run allows ([`missing`]), and the functions
//! themselves ([`call`]), over a [`World`] that lends them a clock, a log and a post.
//!
//! - A module that wants what it may not have is refused before an engine sees it, with every
//!   such name and what each would need.
//! - Every pointer that a guest passes goes through one function, [`Memory::slice`]. What does
//!   not lie in its memory is a trap of that guest.
//! - A guest's text leaves as one line in which nothing can be taken for a record.
//! - A queue is bounded and loses nothing in silence: a message that does not fit is a result of
//!   `send`.
//!
//! It uses no std, no allocation and no unsafe code.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod call;
mod grants;
mod guest;
mod memory;
mod module;
mod provided;
mod queue;
mod refusal;
mod text;

pub use call::{World, call};
pub use grants::{Capability, Grants, Stub};
pub use guest::{Guest, Spoken, Wish};
pub use memory::Memory;
pub use module::{Import, Imports, Item, Malformed, Types, Values, exports_function, imports};
pub use provided::{Function, Provided, ValueType, function, provided};
pub use queue::{Letter, Queue, Refused};
pub use refusal::{Linked, Missing, Why, missing};
pub use text::{LOG_BYTES, Line};

/// The most bytes of a message.
pub const MESSAGE_BYTES: usize = 256;
/// Lines that an instance may write at once.
pub const LOG_BURST: u32 = 16;
/// Lines that it may write a second.
pub const LOG_PER_SECOND: u32 = 4;

/// `send`, `receive`: done.
pub const OK: i32 = 0;
/// `receive`: there is no message.
pub const EMPTY: i32 = -1;
/// `send`: the receiver's queue has no room.
pub const FULL: i32 = -2;
/// `send`: no instance has that number, or it has ended.
pub const NO_INSTANCE: i32 = -3;
/// `send`: a message of more than [`MESSAGE_BYTES`]. `receive`: one longer than the buffer.
pub const TOO_LONG: i32 = -4;
