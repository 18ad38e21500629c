//! pipeline: three instances of one module: a source, a stage and a sink.
//!
//! An instance's number decides its role. So one loaded module serves all three roles, and any
//! number of pipelines: instances 0, 1, 2, then 3, 4, 5, and so on. The source sends the numbers
//! 1 to 20, the stage squares them, and the sink logs the sum, 2,870.
#![cfg_attr(target_family = "wasm", no_std)]

use wramp_guest::{NotSent, id, log, receive, send, sleep};

const NUMBERS: i32 = 20;

/// Sends a number to the next instance. If its queue is full, waits until there is room.
async fn pass_on(number: i32) {
    loop {
        match send(id() + 1, &number.to_le_bytes()) {
            // The next instance may start after this one.
            Err(NotSent::Full | NotSent::NoInstance) => sleep(5).await,
            _ => return,
        }
    }
}

async fn source() {
    for number in 1..=NUMBERS {
        pass_on(number).await;
    }
}

async fn stage() {
    for _ in 0..NUMBERS {
        let number = receive().await.as_i32().unwrap_or(0);
        pass_on(number * number).await;
    }
}

async fn sink() {
    let mut sum = 0;
    for _ in 0..NUMBERS {
        sum += receive().await.as_i32().unwrap_or(0);
    }
    log!("sum {sum}");
}

#[wramp_guest::main]
async fn main() {
    match id() % 3 {
        0 => source().await,
        1 => stage().await,
        _ => sink().await,
    }
}
