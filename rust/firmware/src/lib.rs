//! The machine under Zephyr: kernel threads on reserved stacks, a heap of our own.
//!
//! A second `Platform` and nothing more: core, engine and loop are those of the Linux
//! run. The files have the names of rust/host's, so that a port is a two-column diff.
//! What differs by board is in Kconfig and boards/; what differs in kind, the
//! simulated clock of native_sim, is a `cfg` in clock.rs and nowhere else.
#![no_std]

mod arena;
mod clock;
mod config;
mod fault;
mod machine;
mod slots;

use machine::Machine;

/// Called by the kernel's main thread, whose return ends the run on a board.
#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    let machine = Machine::new();
    let summary = machine.run(config::guests());
    machine::exit(summary.exit());
}
