//! Write a guest as an `async fn` that waits without a thread or a busy loop.
//!
//! ```no_run
//! # mod guest {
//! use wramp_guest::{id, log, receive, send, sleep};
//!
//! #[wramp_guest::main]
//! async fn main() {
//!     log!("instance {} is here", id());
//!     sleep(1_000).await;
//!     let message = receive().await;
//!     let _ = send(0, message.bytes());
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! When a guest awaits, it returns to the host. The host calls it again when a message arrives
//! or the time has passed. Between these calls an instance holds no worker and costs no CPU. It
//! takes only its linear memory and a few words in the host.
//!
//! This crate is the Rust side of the host interface `wramp`, which `docs/guest.md` specifies.
//! It has no std, no allocation and no dependency but its own attribute. On targets other than
//! WebAssembly, [`stand_in`] takes the place of the host, so plain `cargo test` can test the
//! logic of a guest.
//!
//! Unsafe code is in two files: `host.rs` passes pointers to the host, and `task.rs` keeps the
//! one task in a static.
#![cfg_attr(target_family = "wasm", no_std)]

mod host;
mod message;
#[cfg(all(target_family = "wasm", feature = "panic-handler"))]
mod panic;
#[cfg(not(target_family = "wasm"))]
pub mod stand_in;
mod task;
mod text;
mod wait;

pub use host::{id, now_us, send, try_receive};
pub use message::{MESSAGE_BYTES, Message, NotReceived, NotSent};
pub use wait::{Receive, Sleep, receive, sleep};
pub use wramp_guest_macros::main;

/// What the macros of this crate expand to. Not for direct use.
#[doc(hidden)]
pub mod macros {
    pub use crate::task::{Task, size_of_task};
    pub use crate::text::log_arguments;
}

/// Writes one line to the host's log, with the arguments of [`format!`].
///
/// The host cuts a line at [`LOG_BYTES`] bytes and limits the rate of lines. A line without
/// arguments needs no formatting. Formatting adds some KiB of `core::fmt` to the module, which
/// all instances share.
#[macro_export]
macro_rules! log {
    ($($argument:tt)+) => {
        $crate::macros::log_arguments(::core::format_args!($($argument)+))
    };
}

pub use text::LOG_BYTES;

/// Exports a task as `wramp_poll`. [`macro@main`] writes this line.
#[doc(hidden)]
#[macro_export]
macro_rules! export_task {
    ($main:path) => {
        const _: () = {
            static TASK: $crate::macros::Task<{ $crate::macros::size_of_task($main) }> =
                $crate::macros::Task::new();

            /// One step of the guest; see docs/guest.md.
            #[unsafe(no_mangle)]
            extern "C" fn wramp_poll() -> i32 {
                TASK.poll($main)
            }
        };
    };
}
