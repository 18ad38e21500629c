//! filter: sends the moving average of 8 readings to the next instance.
//!
//! A reading is a message of 4 bytes, a little-endian i32. The filter ignores other messages,
//! because any instance may send anything to any other.
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

    /// Replaces the oldest reading by this one. Returns the average, rounded towards 0.
    fn of(&mut self, reading: i32) -> i32 {
        let oldest = core::mem::replace(&mut self.readings[self.next], reading);
        self.next = (self.next + 1) % WINDOW;
        self.sum += i64::from(reading) - i64::from(oldest);
        self.count = (self.count + 1).min(WINDOW as i64);
        // An average of i32s fits an i32.
        (self.sum / self.count) as i32
    }
}

#[wramp_guest::main]
async fn main() {
    let mut average = Average::new();
    loop {
        let Some(reading) = receive().await.as_i32() else { continue };
        let smooth = average.of(reading);
        // If the queue is full, this average is dropped: the next one is more recent.
        let _ = send(id() + 1, &smooth.to_le_bytes());
    }
}
