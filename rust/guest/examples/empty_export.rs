//! empty_export: the smallest guest without a task, to compare with empty_task.
#![cfg_attr(target_family = "wasm", no_std)]

// The crate has the panic handler.
use wramp_guest as _;

#[unsafe(no_mangle)]
extern "C" fn wramp_poll() -> i32 {
    0
}
