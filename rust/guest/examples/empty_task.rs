//! empty_task: the smallest task, to measure what the executor costs.
#![cfg_attr(target_family = "wasm", no_std)]

#[wramp_guest::main]
async fn main() {}
