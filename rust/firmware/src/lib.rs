//! The machine under Zephyr: kernel threads on reserved stacks, a private heap.
//!
//! It is a second `Machine` and `Slots` and nothing more. Core, engine and loop are those of
//! the Linux run. The files have the same names as those of rust/host, so a port is a
//! two-column diff.
//!
//! Differences between boards are in Kconfig and boards/. The one difference in kind is the
//! simulated clock of native_sim, which is a `cfg` in clock.rs and slots.rs.
#![no_std]

mod arena;
mod clock;
mod config;
mod fault;
#[cfg(CONFIG_WRAMP_IMPORTS)]
mod guests;
mod machine;
#[cfg(CONFIG_WRAMP_IMPORTS)]
mod rest;
mod slots;

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;

use wramp_arena::Arena as _;
use wramp_bench::{Memory, Seat, Summary};
use wramp_wamr::Engine;

use arena::ZephyrArena;
use machine::{Machine, Tally};
use slots::ZephyrSlots;

/// What instances did. It is static, because the main thread's stack is small.
static SEATS: [Seat<Tally>; config::SEATS] = [const { Seat::new() }; config::SEATS];

/// Starts of a ramp in the sample for percentiles. It lies on the main thread's stack: room for
/// all 24 slots of the published geometry.
const STARTS: usize = if cfg!(CONFIG_WRAMP_STARTS) { 24 } else { 0 };

/// Size of the table of a pool's residents, in 64-bit words.
const TABLE_WORDS: usize = match config::RESIDENTS {
    0 => 0,
    residents => wramp_bench::table_words::<Engine<'static>>(residents),
};

/// The table itself. Nothing needs it cleared.
#[unsafe(link_section = ".noinit.wramp_table")]
static TABLE: Table = Table(UnsafeCell::new([const { MaybeUninit::uninit() }; TABLE_WORDS]));

struct Table(UnsafeCell<[MaybeUninit<u64>; TABLE_WORDS]>);

// SAFETY: it is borrowed once, in `run`.
unsafe impl Sync for Table {}

/// The kernel's main thread calls this. On a board, its return ends the run.
#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread has started yet, so none sets a logger or logs.
    let _ = unsafe { zephyr::set_logger() };
    let summary = run();
    machine::exit(summary.map_or(1, |summary| summary.exit()));
}

/// Composes machine, slots and engine, and runs. `None` if it is called again.
fn run() -> Option<Summary> {
    let arena = ZephyrArena::new();
    let config = config::config(arena.stats().size);
    let mut slots = ZephyrSlots::take()?;
    let machine = Machine::new(arena);
    let engine = Engine::new(&arena);
    let engine = engine.as_ref().map_err(|error| *error);
    if cfg!(CONFIG_WRAMP_SWEEP) {
        let (module, accesses) = (wramp_workloads::SWEEP, &wramp_workloads::ACCESSES);
        return Some(wramp_bench::sweep(&machine, &slots, engine, &config, module, accesses));
    }
    // SAFETY: the slots were taken above, which succeeds once, so this is reached once.
    let table = unsafe { &mut *TABLE.0.get() };
    let starts = [const { AtomicU32::new(0) }; wramp_bench::sample_words(STARTS)];
    let memory = Memory { seats: &SEATS, table, starts: &starts };
    let guests = config::guests();
    #[cfg(CONFIG_WRAMP_IMPORTS)]
    {
        let host = guests::hosting();
        Some(wramp_bench::run_hosted(&machine, &mut slots, engine, &config, guests, memory, host))
    }
    #[cfg(not(CONFIG_WRAMP_IMPORTS))]
    Some(wramp_bench::run(&machine, &mut slots, engine, &config, guests, memory))
}
