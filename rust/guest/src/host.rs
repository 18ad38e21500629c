//! Safe functions over the imports of the module `wramp`.

use crate::message::{EMPTY, FULL, NO_INSTANCE, NotReceived, NotSent, TOO_LONG};

/// The functions of the host. docs/guest.md has their signatures.
#[cfg(target_family = "wasm")]
mod imports {
    #[link(wasm_import_module = "wramp")]
    unsafe extern "C" {
        pub(super) safe fn id() -> i32;
        pub(super) safe fn now_us() -> i64;
        pub(super) safe fn wait(ms: i32);
        pub(super) safe fn sleep(ms: i32);
        /// # Safety
        /// 1. `length` bytes at `bytes` are readable.
        pub(super) unsafe fn log(bytes: *const u8, length: usize);
        /// # Safety
        /// 1. `length` bytes at `bytes` are readable.
        pub(super) unsafe fn send(to: i32, bytes: *const u8, length: usize) -> i32;
        /// # Safety
        /// 1. `length` bytes at `bytes` are writable.
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

/// Microseconds since a moment before the run. The time never goes back.
#[must_use]
pub fn now_us() -> i64 {
    imports::now_us()
}

/// Asks for the next step as soon as a message is queued or `ms` milliseconds have passed.
pub(crate) fn wait(ms: u32) {
    imports::wait(ms.cast_signed());
}

/// Asks for the next step after `ms` milliseconds. Messages do not end this wait.
pub(crate) fn wait_for_time(ms: u32) {
    imports::sleep(ms.cast_signed());
}

/// Writes a line to the host's log.
pub(crate) fn log(line: &[u8]) {
    // SAFETY: all bytes of a slice are readable.
    unsafe { imports::log(line.as_ptr(), line.len()) }
}

/// Sends a message and returns at once. The receiver gets it whole and exactly once. Messages
/// from one instance to another arrive in the order in which they were sent.
///
/// # Errors
/// The message was not delivered. Every guest must expect [`NotSent::Full`].
pub fn send(to: i32, message: &[u8]) -> Result<(), NotSent> {
    // SAFETY: all bytes of a slice are readable.
    match unsafe { imports::send(to, message.as_ptr(), message.len()) } {
        0 => Ok(()),
        FULL => Err(NotSent::Full),
        NO_INSTANCE => Err(NotSent::NoInstance),
        TOO_LONG => Err(NotSent::TooLong),
        other => Err(NotSent::Unknown(other)),
    }
}

/// Takes the next message into `buffer`, if there is one, and returns its bytes.
///
/// # Errors
/// There is no message, or it is longer than the buffer.
pub fn try_receive(buffer: &mut [u8]) -> Result<&[u8], NotReceived> {
    // SAFETY: all bytes of a mutable slice are writable.
    match unsafe { imports::receive(buffer.as_mut_ptr(), buffer.len()) } {
        EMPTY => Err(NotReceived::Empty),
        TOO_LONG => Err(NotReceived::TooLong),
        other => usize::try_from(other)
            .ok()
            .and_then(|length| buffer.get(..length))
            .ok_or(NotReceived::Unknown(other)),
    }
}
