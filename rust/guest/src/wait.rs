//! What a task can await: a message, or a time.
//!
//! A future that is not ready tells the host what it waits for and returns. If a task awaits
//! several futures at once, the host calls it when the first one may be ready. Each poll tells
//! the host again, so the futures need no state here and no waker.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::host;
use crate::message::{MESSAGE_BYTES, Message, NotReceived};

/// A wait without a limit: -1 in the interface.
const FOR_EVER: u32 = u32::MAX;

/// Waits for the next message.
pub fn receive() -> Receive {
    Receive(())
}

/// What [`receive`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct Receive(());

impl Future for Receive {
    type Output = Message;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Message> {
        let mut buffer = [0; MESSAGE_BYTES];
        match host::try_receive(&mut buffer).map(<[u8]>::len) {
            // At most MESSAGE_BYTES, which fits.
            Ok(length) => Poll::Ready(Message { buffer, length: length as u16 }),
            // No message is longer than the buffer, so the other results mean there is none.
            Err(NotReceived::Empty | NotReceived::TooLong | NotReceived::Unknown(_)) => {
                host::wait(FOR_EVER);
                Poll::Pending
            }
        }
    }
}

/// Waits for at least `ms` milliseconds from now. Messages that arrive meanwhile stay in the
/// queue.
pub fn sleep(ms: u32) -> Sleep {
    Sleep { until_us: host::now_us().saturating_add(i64::from(ms) * 1_000) }
}

/// What [`sleep`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct Sleep {
    until_us: i64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let left_us = self.until_us.saturating_sub(host::now_us());
        if left_us <= 0 {
            return Poll::Ready(());
        }
        // Rounded up, to avoid a call that comes too early. A longer wait takes several calls.
        let left_ms = u32::try_from(left_us.cast_unsigned().div_ceil(1_000)).unwrap_or(u32::MAX);
        host::wait_for_time(left_ms.min(FOR_EVER - 1));
        Poll::Pending
    }
}
