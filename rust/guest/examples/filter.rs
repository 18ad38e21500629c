//! filter: the moving average of the last 8 readings, sent on to the next instance.
//!
//! A reading is a message of 4 bytes, a little-endian i32. Other messages are left out, for
//! anyone may send anything to anyone.
#![cfg_attr(target_family = "wasm", no_std)]

use wramp_guest::{id, receive, send};

const WINDOW: usize = 8;

/// The last [`WINDOW`] readings, and their sum.
struct Average {
    readings: [i32; WINDOW],
    sum: i64,
    next: usize,
    count: i64,
}

impl Average {
    const fn new() -> Self {
        Self { readings: [0; WINDOW], sum: 0, next: 0, count: 0 }
    }

    /// Takes a reading in, the oldest one out. Returns the average, rounded towards 0.
    fn of(&mut self, reading: i32) -> i32 {
        let oldest = core::mem::replace(&mut self.readings[self.next], reading);
        self.next = (self.next + 1) % WINDOW;
        self.sum += i64::from(reading) - i64::from(oldest);
        self.count = (self.count + 1).min(WINDOW as i64);
        // An average of i32s is one.
        (self.sum / self.count) as i32
    }
}

#[wramp_guest::main]
async fn main() {
    let mut average = Average::new();
    loop {
        let Some(reading) = receive().await.as_i32() else { continue };
        let smooth = average.of(reading);
        // A full queue costs this average and no other: the next one is the better news.
        let _ = send(id() + 1, &smooth.to_le_bytes());
    }
}
