//! What is idle, kept small: a parked instance is its mutable state and nothing else.
//!
//! An engine's instance costs hundreds of bytes, and its linear memory thousands. Its own
//! state is less: its mutable globals, and what its memory differs in from the module's
//! [`Image`]. This crate writes that difference and turns the memory into the image again
//! for the next guest ([`take`]), and puts a difference back ([`apply`]). It keeps the
//! records of many instances in one region that the machine lends: in [`Fixed`] if all have
//! the same length, in [`Cells`] otherwise; a [`Store`] is either.
//!
//! Principles:
//!
//! - **Bounded.** No record is longer than [`max_encoded_len`] says. What a store does at a
//!   park depends on that record's length, and not on what happened before.
//! - **One form.** A state has one record. A decoder takes that one and refuses all else:
//!   no input makes it panic or reach out of bounds.
//! - **In place.** Nothing here copies a whole memory. A record goes from a memory into a
//!   store and back through less than 50 bytes on the stack.
//! - **Nobody is evicted.** A record that does not grow can always be parked again. One
//!   that grows beyond its budget, or beyond the region, is refused. It alone suffers.
//!
//! This crate knows no engine. An engine's adapter reads and writes globals, tables and
//! dropped segments through [`Sink`] and [`Source`]. It allocates nothing.
#![no_std]
#![forbid(unsafe_code)]

mod block;
mod cells;
mod fixed;
mod image;
mod log;
mod memory;
mod seal;
mod store;
mod stream;

pub use block::BLOCK;
pub use cells::{Cells, Layout};
pub use embedded_storage::nor_flash;
pub use fixed::Fixed;
pub use image::{Image, Segment, Segments};
pub use log::{Log, LogError, tag};
pub use memory::{
    NUMBER, Reader, apply, changed, dirty, encode, max_encoded_len, memory_bytes, put_number,
    read_number, reset, take, undo,
};
pub use seal::{Opening, SEAL, Sealing};
pub use store::Store;
pub use stream::{Buffer, Count, Record};
pub use wramp_core::state::{Malformed, Refused, Sink, Source};
