//! A message by value, and why one was not sent or not received.

use core::fmt;

/// The most bytes that a message has. The number is the interface's: every host accepts as
/// many and no host accepts more.
pub const MESSAGE_BYTES: usize = 256;

/// A received message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub(crate) buffer: [u8; MESSAGE_BYTES],
    pub(crate) length: u16,
}

impl Message {
    /// What was sent: 0 to [`MESSAGE_BYTES`] bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // A host that claims a longer message than it may is not believed.
        self.buffer.get(..usize::from(self.length)).unwrap_or(&self.buffer)
    }

    /// The message as one little-endian number; `None` where it is not of exactly 4 bytes.
    #[must_use]
    pub fn as_i32(&self) -> Option<i32> {
        Some(i32::from_le_bytes(self.bytes().try_into().ok()?))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

/// Why [`send`](crate::send) delivered nothing. The message was not kept: send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The receiver's queue is full: wait, then send again, or drop the message knowingly.
    Full,
    /// There is no such instance, or it has ended.
    NoInstance,
    /// The message is longer than [`MESSAGE_BYTES`].
    TooLong,
    /// The host gave a result that this version of the interface does not have.
    Unknown(i32),
}

/// Why [`try_receive`](crate::try_receive) gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReceived {
    /// The queue is empty.
    Empty,
    /// The buffer is shorter than the next message, which stays first in the queue.
    TooLong,
    /// The host gave a result that this version of the interface does not have.
    Unknown(i32),
}

/// Results of the interface; docs/guest.md has the table.
pub(crate) const EMPTY: i32 = -1;
pub(crate) const FULL: i32 = -2;
pub(crate) const NO_INSTANCE: i32 = -3;
pub(crate) const TOO_LONG: i32 = -4;
