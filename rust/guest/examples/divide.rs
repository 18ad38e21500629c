//! divide: divides 5,040 by each number it gets; a 0 shows what a panic does.
#![cfg_attr(target_family = "wasm", no_std)]

use wramp_guest::{id, receive, send};

#[wramp_guest::main]
async fn main() {
    loop {
        let Some(number) = receive().await.as_i32() else { continue };
        let _ = send(id() + 1, &(5_040 / number).to_le_bytes());
    }
}
