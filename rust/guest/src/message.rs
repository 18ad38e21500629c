//! Messages, and the errors of sending and receiving them.

use core::fmt;

/// The most bytes that a message can have. The interface fixes this number: every host accepts
/// messages of this length, and no host accepts longer ones.
pub const MESSAGE_BYTES: usize = 256;

/// A received message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub(crate) buffer: [u8; MESSAGE_BYTES],
    pub(crate) length: u16,
}

impl Message {
    /// The bytes that were sent: 0 to [`MESSAGE_BYTES`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // A wrong host might report a length beyond the buffer.
        self.buffer.get(..usize::from(self.length)).unwrap_or(&self.buffer)
    }

    /// The message as one little-endian number. `None` unless it has exactly 4 bytes.
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

/// Why [`send`](crate::send) delivered nothing. The host did not keep the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The receiver's queue is full. Wait and send again, or drop the message deliberately.
    Full,
    /// There is no such instance, or it has ended.
    NoInstance,
    /// The message is longer than [`MESSAGE_BYTES`].
    TooLong,
    /// The host returned a result that this version of the interface does not define.
    Unknown(i32),
}

/// Why [`try_receive`](crate::try_receive) returned no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReceived {
    /// The queue is empty.
    Empty,
    /// The next message is longer than the buffer. It stays first in the queue.
    TooLong,
    /// The host returned a result that this version of the interface does not define.
    Unknown(i32),
}

/// Results of the host's functions. docs/guest.md has the table.
pub(crate) const EMPTY: i32 = -1;
pub(crate) const FULL: i32 = -2;
pub(crate) const NO_INSTANCE: i32 = -3;
pub(crate) const TOO_LONG: i32 = -4;
