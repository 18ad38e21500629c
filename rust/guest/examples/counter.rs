//! counter: counts once a second, logs each second, and ends at 10.
#![cfg_attr(target_family = "wasm", no_std)]

use wramp_guest::{log, sleep};

/// Each instance has its own count: a local of the task lies in the instance's linear memory.
#[wramp_guest::main]
async fn main() {
    let mut count = 0;
    while count < 10 {
        sleep(1_000).await;
        count += 1;
        log!("one more second");
    }
    log!("done");
}
