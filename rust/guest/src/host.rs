//! The module `wramp`, as its functions are imported, behind safe ones.

use crate::message::{EMPTY, FULL, NO_INSTANCE, NotReceived, NotSent, TOO_LONG};

/// What the host provides. The signatures are those of docs/guest.md.
#[cfg(target_family = "wasm")]
mod imports {
    #[link(wasm_import_module = "wramp")]
    unsafe extern "C" {
        pub(super) safe fn id() -> i32;
        pub(super) safe fn now_us() -> i64;
        pub(super) safe fn wait(ms: i32);
        pub(super) safe fn sleep(ms: i32);
        /// # Safety
        /// 1. `bytes` are readable in that length.
        pub(super) unsafe fn log(bytes: *const u8, length: usize);
        /// # Safety
        /// 1. `bytes` are readable in that length.
        pub(super) unsafe fn send(to: i32, bytes: *const u8, length: usize) -> i32;
        /// # Safety
        /// 1. `bytes` are writable in that length.
        pub(super) unsafe fn receive(bytes: *mut u8, length: usize) -> i32;
    }
}

#[cfg(not(target_family = "wasm"))]
use crate::stand_in::imports;

/// The number of this instance among those of its run, from 0.
#[must_use]
pub fn id() -> i32 {
    imports::id()
}

/// Microseconds since a moment before the run. They never go back.
#[must_use]
pub fn now_us() -> i64 {
    imports::now_us()
}

/// Asks to be called again when a message is there or when so many ms have passed.
pub(crate) fn wait(ms: u32) {
    imports::wait(ms.cast_signed());
}

/// Asks to be called again when so many ms have passed, whatever is in the queue.
pub(crate) fn wait_for_time(ms: u32) {
    imports::sleep(ms.cast_signed());
}

/// Writes a line to the host's log.
pub(crate) fn log(line: &[u8]) {
    // SAFETY: a slice is readable in its length.
    unsafe { imports::log(line.as_ptr(), line.len()) }
}

/// Sends a message, which the receiver gets whole, once, and after all that this instance sent
/// it before. Returns at once.
///
/// # Errors
/// The message was not delivered; [`NotSent::Full`] is the one that a guest must expect.
pub fn send(to: i32, message: &[u8]) -> Result<(), NotSent> {
    // SAFETY: a slice is readable in its length.
    match unsafe { imports::send(to, message.as_ptr(), message.len()) } {
        0 => Ok(()),
        FULL => Err(NotSent::Full),
        NO_INSTANCE => Err(NotSent::NoInstance),
        TOO_LONG => Err(NotSent::TooLong),
        other => Err(NotSent::Unknown(other)),
    }
}

/// Takes the next message, if there is one, into `buffer`; gives its bytes.
///
/// # Errors
/// There is none, or it is longer than the buffer.
pub fn try_receive(buffer: &mut [u8]) -> Result<&[u8], NotReceived> {
    // SAFETY: a mutable slice is writable in its length.
    match unsafe { imports::receive(buffer.as_mut_ptr(), buffer.len()) } {
        EMPTY => Err(NotReceived::Empty),
        TOO_LONG => Err(NotReceived::TooLong),
        other => usize::try_from(other)
            .ok()
            .and_then(|length| buffer.get(..length))
            .ok_or(NotReceived::Unknown(other)),
    }
}
