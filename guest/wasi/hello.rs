//! hello.rs: what a Rust program asks of its host: println, a clock, random keys, arguments.

use std::collections::HashSet;
use std::time::Instant;

fn main() {
    let begin = Instant::now();
    // A set takes its keys from random_get.
    let few = HashSet::from([std::env::args_os().count()]).contains(&0);
    println!("{}", if few { "hello from Rust" } else { "hello from Rust, with arguments" });
    assert!(begin.elapsed().as_secs() < 60);
}
