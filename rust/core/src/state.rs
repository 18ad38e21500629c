//! An instance's state on its way out of an engine, and back into one.
//!
//! An engine writes a state into a [`Sink`] and reads it from a [`Source`]. It does not know
//! where the bytes are kept. A store does not know what they mean.

use core::fmt;
use core::num::NonZeroUsize;

use crate::runtime::{Error, ErrorKind};

/// What the states of a module's instances look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing that a call leaves behind: an instance of the module has no state.
    Empty,
    /// Each state takes that many bytes.
    Fixed(NonZeroUsize),
    /// A state takes any number of bytes.
    Variable,
}

/// Why a record was not taken. The instances that are parked are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The record is longer than one instance may park: a larger park budget.
    Budget,
    /// The region has no room for it: a larger region, or fewer instances.
    Full,
    /// The record is not of the one length that this store keeps.
    Length,
    /// No instance has that number: they are numbered from 0, without a gap.
    Unknown,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Budget => "the state is larger than the park budget",
            Self::Full => "the park is full",
            Self::Length => "the state is not of the length that all states have",
            Self::Unknown => "no such instance was parked",
        })
    }
}

impl core::error::Error for Refused {}

impl From<Refused> for Error {
    #[cold]
    fn from(refused: Refused) -> Self {
        let (kind, text) = match refused {
            Refused::Budget => (ErrorKind::ParkBudget, "the state is larger than the park budget"),
            Refused::Full => (ErrorKind::OutOfMemory, "the park is full"),
            Refused::Length => (ErrorKind::ParkedState, "a state of another length"),
            Refused::Unknown => (ErrorKind::ParkedState, "no such instance was parked"),
        };
        Self::new(kind, text)
    }
}

/// A record that was not written for this module, or that was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the parked state is damaged, or of another module")
    }
}

impl core::error::Error for Malformed {}

impl From<Malformed> for Error {
    #[cold]
    fn from(_: Malformed) -> Self {
        Self::new(ErrorKind::ParkedState, "the parked state is damaged, or of another module")
    }
}

/// Where parked states survive a reset: a machine's flash, or a file.
pub trait Vault: Sync {
    /// Opens it for a module, for which `tag` stands, and for so many instances.
    ///
    /// # Errors
    /// It cannot be read, or holds something else.
    fn open(&self, tag: u32, instances: u32) -> Result<(), Error>;

    /// Bytes that are kept of an instance. `None` if there is nothing.
    ///
    /// # Errors
    /// It cannot be read.
    fn length(&self, instance: u32) -> Result<Option<usize>, Error>;

    /// Reads some of these bytes, from that offset on.
    ///
    /// # Errors
    /// There are fewer, or they cannot be read.
    fn read(&self, instance: u32, offset: usize, into: &mut [u8]) -> Result<(), Error>;

    /// Keeps `head` and then `length` bytes of `body` of an instance, in place of what it had. A
    /// reset in between leaves either.
    ///
    /// # Errors
    /// It is full, or cannot be written. It keeps what it had.
    fn keep(
        &self,
        instance: u32,
        head: &[u8],
        body: &mut dyn Source,
        length: usize,
    ) -> Result<(), Error>;
}

/// Takes the bytes of a record, in order.
pub trait Sink {
    /// Takes all of the bytes.
    ///
    /// # Errors
    /// It may have taken some of them. What is put after an error is of no use.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Refused>;
}

/// Gives the bytes of a record, in order.
pub trait Source {
    /// Copies the next bytes, as many as there are and fit, and stays before them.
    fn peek(&self, into: &mut [u8]) -> usize;

    /// Goes on by so many bytes, at most to the end.
    fn advance(&mut self, bytes: usize);

    /// Fills `into` with the next bytes and goes on behind them.
    ///
    /// # Errors
    /// There are fewer.
    fn take(&mut self, into: &mut [u8]) -> Result<(), Malformed> {
        let there = self.peek(into);
        self.advance(there);
        if there == into.len() { Ok(()) } else { Err(Malformed) }
    }

    /// Ends the reading: a record ends where its last part does.
    ///
    /// # Errors
    /// There are bytes left.
    fn end(&self) -> Result<(), Malformed> {
        if self.peek(&mut [0]) == 0 { Ok(()) } else { Err(Malformed) }
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        (**self).put(bytes)
    }
}

impl<S: Source + ?Sized> Source for &mut S {
    fn peek(&self, into: &mut [u8]) -> usize {
        (**self).peek(into)
    }

    fn advance(&mut self, bytes: usize) {
        (**self).advance(bytes);
    }
}

impl Source for &[u8] {
    fn peek(&self, into: &mut [u8]) -> usize {
        let length = self.len().min(into.len());
        into[..length].copy_from_slice(&self[..length]);
        length
    }

    fn advance(&mut self, bytes: usize) {
        *self = self.get(bytes..).unwrap_or_default();
    }
}
