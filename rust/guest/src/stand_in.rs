//! A host for tests: runs a guest's task in plain `cargo test`.
//!
//! The task runs as native code, without WebAssembly. Each thread has its own host, so tests do
//! not affect one another. Time stands still until the task waits, and then jumps to the end of
//! the wait.
//!
//! ```
//! use wramp_guest::stand_in::Host;
//!
//! async fn task() {
//!     let message = wramp_guest::receive().await;
//!     wramp_guest::send(7, message.bytes()).unwrap();
//! }
//! let host = Host::new();
//! host.deliver(b"hello");
//! assert!(host.run(task));
//! assert_eq!(host.sent(), [(7, b"hello".to_vec())]);
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::string::String;
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

use crate::message::MESSAGE_BYTES;

#[derive(Default)]
struct Inside {
    id: i32,
    now_us: i64,
    inbox: VecDeque<Vec<u8>>,
    sent: Vec<(i32, Vec<u8>)>,
    lines: Vec<String>,
    /// Results of the next calls of `send`. When none is left, `send` succeeds.
    refusals: VecDeque<i32>,
    wake_ms: Option<u32>,
    wake_by_message: bool,
}

thread_local! {
    static HOST: RefCell<Inside> = RefCell::default();
}

/// The host of the current thread.
#[derive(Debug)]
pub struct Host(());

impl Host {
    /// A host before a run: instance 0, time 0, nothing sent or received.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it resets the thread's host")]
    pub fn new() -> Self {
        HOST.with_borrow_mut(|host| *host = Inside::default());
        Self(())
    }

    /// Sets the number that [`id`](crate::id) returns.
    pub fn set_id(&self, id: i32) {
        HOST.with_borrow_mut(|host| host.id = id);
    }

    /// Adds a message to the queue of the instance.
    pub fn deliver(&self, message: &[u8]) {
        HOST.with_borrow_mut(|host| host.inbox.push_back(message.to_vec()));
    }

    /// Makes the next `times` calls of `send` find a full queue.
    pub fn refuse(&self, times: usize) {
        HOST.with_borrow_mut(|host| {
            host.refusals.extend(std::iter::repeat_n(crate::message::FULL, times));
        });
    }

    /// Runs a task until it ends, or until it waits for something that cannot happen any more.
    /// Returns whether it ended.
    pub fn run<F: Future<Output = ()>>(&self, main: impl FnOnce() -> F) -> bool {
        let mut task = pin!(main());
        loop {
            HOST.with_borrow_mut(|host| {
                host.wake_ms = None;
                host.wake_by_message = false;
            });
            if let Poll::Ready(()) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return true;
            }
            let goes_on = HOST.with_borrow_mut(|host| {
                if host.wake_by_message && !host.inbox.is_empty() {
                    return true;
                }
                host.wake_ms.is_some_and(|ms| {
                    host.now_us += i64::from(ms) * 1_000;
                    true
                })
            });
            if !goes_on {
                return false;
            }
        }
    }

    /// The messages that were sent, each with its receiver.
    #[must_use]
    pub fn sent(&self) -> Vec<(i32, Vec<u8>)> {
        HOST.with_borrow(|host| host.sent.clone())
    }

    /// The lines of the log.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        HOST.with_borrow(|host| host.lines.clone())
    }

    /// The time, in microseconds.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        HOST.with_borrow(|host| host.now_us)
    }
}

/// Takes the place of the imports, with the results of docs/guest.md.
pub(crate) mod imports {
    use super::{HOST, MESSAGE_BYTES, Vec};
    use crate::message::{EMPTY, TOO_LONG};

    pub(crate) fn id() -> i32 {
        HOST.with_borrow(|host| host.id)
    }

    pub(crate) fn now_us() -> i64 {
        HOST.with_borrow(|host| host.now_us)
    }

    pub(crate) fn wait(ms: i32) {
        HOST.with_borrow_mut(|host| host.wake_by_message = true);
        sleep(ms);
    }

    pub(crate) fn sleep(ms: i32) {
        if ms != -1 {
            let ms = ms.cast_unsigned();
            HOST.with_borrow_mut(|host| {
                host.wake_ms = Some(host.wake_ms.map_or(ms, |other| other.min(ms)));
            });
        }
    }

    /// # Safety
    /// 1. `length` bytes at `bytes` are readable.
    pub(crate) unsafe fn log(bytes: *const u8, length: usize) {
        // SAFETY: duty 1.
        let line = unsafe { core::slice::from_raw_parts(bytes, length) };
        let line = super::String::from_utf8_lossy(line).into_owned();
        HOST.with_borrow_mut(|host| host.lines.push(line));
    }

    /// # Safety
    /// 1. `length` bytes at `bytes` are readable.
    pub(crate) unsafe fn send(to: i32, bytes: *const u8, length: usize) -> i32 {
        if length > MESSAGE_BYTES {
            return TOO_LONG;
        }
        // SAFETY: duty 1.
        let message: Vec<u8> = unsafe { core::slice::from_raw_parts(bytes, length) }.to_vec();
        HOST.with_borrow_mut(|host| match host.refusals.pop_front() {
            Some(refusal) => refusal,
            None => {
                host.sent.push((to, message));
                0
            }
        })
    }

    /// # Safety
    /// 1. `length` bytes at `bytes` are writable.
    pub(crate) unsafe fn receive(bytes: *mut u8, length: usize) -> i32 {
        HOST.with_borrow_mut(|host| {
            let Some(message) = host.inbox.front() else { return EMPTY };
            if message.len() > length {
                return TOO_LONG;
            }
            // SAFETY: duty 1, and the message is not longer than `length`.
            unsafe { bytes.copy_from_nonoverlapping(message.as_ptr(), message.len()) };
            let length = message.len();
            host.inbox.pop_front();
            // Only a test can deliver a message that is longer than MESSAGE_BYTES.
            i32::try_from(length).unwrap_or(i32::MAX)
        })
    }
}
