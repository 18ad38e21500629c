//! GUEST_NAME: counts the messages it gets, and logs the count each second.
#![cfg_attr(target_family = "wasm", no_std)]

use wramp_guest::{log, sleep, try_receive};

/// Takes all messages in the queue. Returns how many there were.
fn take_all() -> u32 {
    let mut buffer = [0; wramp_guest::MESSAGE_BYTES];
    let mut count = 0;
    while try_receive(&mut buffer).is_ok() {
        count += 1;
    }
    count
}

#[wramp_guest::main]
async fn main() {
    let mut total = 0;
    loop {
        sleep(1_000).await;
        let new = take_all();
        if new > 0 {
            total += new;
            log!("{new} new, {total} in all");
        }
    }
}

// `cargo test` runs this without WebAssembly. `stand_in` takes the place of the host.
#[cfg(test)]
mod tests {
    use wramp_guest::stand_in::Host;

    #[test]
    fn it_takes_all_messages() {
        let host = Host::new();
        host.deliver(b"one");
        host.deliver(b"two");
        assert_eq!(super::take_all(), 2);
        assert_eq!(super::take_all(), 0);
    }
}
