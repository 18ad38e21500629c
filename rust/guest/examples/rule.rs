//! rule: an alarm when a reading passes a threshold, and the all-clear well below it.
//!
//! A reading is a message of 4 bytes, a little-endian i32. The alarm is a line in the log and
//! a message to the next instance: 1 for on, 0 for off.
#![cfg_attr(target_family = "wasm", no_std)]

use wramp_guest::{NotSent, id, log, receive, send, sleep};

const ON_ABOVE: i32 = 800;
/// Below the other one, so that a reading that trembles around it gives one alarm, not many.
const OFF_BELOW: i32 = 750;

/// Sends what must not be lost: where the queue is full, again 10 ms later.
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
