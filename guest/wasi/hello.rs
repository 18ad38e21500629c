//! hello.rs: a Rust program with println, a clock, random keys and arguments.

use std::collections::HashSet;
use std::time::Instant;

fn main() {
    let begin = Instant::now();
    // A HashSet calls random_get for its keys.
    let few = HashSet::from([std::env::args_os().count()]).contains(&0);
    println!("{}", if few { "hello from Rust" } else { "hello from Rust, with arguments" });
    assert!(begin.elapsed().as_secs() < 60);
}
