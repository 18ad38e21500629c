//! rule: raises an alarm above one threshold and clears it below a lower one.
//!
//! A reading is a message of 4 bytes, a little-endian i32. The alarm is a line in the log and
//! a message to the next instance: 1 for on, 0 for off.
#![cfg_attr(target_family = "wasm", no_std)]

use wramp_guest::{NotSent, id, log, receive, send, sleep};

const ON_ABOVE: i32 = 800;
/// Lower than [`ON_ABOVE`], so that readings that vary around it raise one alarm and not many.
const OFF_BELOW: i32 = 750;

/// Sends a message that must not be lost. Tries again every 10 ms while the queue is full.
async fn report(on: bool) {
    while send(id() + 1, &[u8::from(on)]) == Err(NotSent::Full) {
        sleep(10).await;
    }
}

#[wramp_guest::main]
async fn main() {
    let mut on = false;
    loop {
        let Some(reading) = receive().await.as_i32() else { continue };
        if !on && reading > ON_ABOVE {
            on = true;
            log!("alarm: {reading}");
            report(on).await;
        } else if on && reading < OFF_BELOW {
            on = false;
            log!("all clear: {reading}");
            report(on).await;
        }
    }
}
