//! The seam to a machine: clock, CPU time, arena statistics, a record out.
//!
//! A port implements [`Machine`] and [`Slots`](crate::slots::Slots) and nothing else. Each
//! method says what the bench relies on. A machine that cannot measure something answers
//! `None`, never 0.

use crate::config::Knob;
use crate::measure::{Bytes, Micros, Tally, Ticks};
use crate::report::Record;

/// The arena as it is now, exact to the byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArenaStats {
    /// The region the engine allocates from, the allocator's own needs included.
    pub size: Bytes,
    /// Free now; headers of blocks count as used.
    pub free: Bytes,
    /// Least free since the last [`Machine::arena_reset_low_water`].
    pub low_water: Bytes,
    /// The largest single allocation that would succeed now.
    pub largest: Bytes,
    /// Blocks allocated now.
    pub blocks: u32,
}

/// CPU time since boot or process start: all cores, all threads of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// Time spent running something other than idle, summed over cores.
    pub busy: Micros,
    /// Time that went by, times the cores.
    pub total: Micros,
}

/// What does not change during a run. The `run` record is printed from this, from the
/// engine's facts and from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The board, in Zephyr's terms, or `linux`.
    pub board: &'a str,
    /// Operating system and version: `zephyr-4.1.0`, `linux-6.1.0`.
    pub os: &'a str,
    /// Ticks a second of [`Machine::now`] and of [`Machine::since`].
    pub clock_hz: u64,
    /// Cores that threads can be pinned to.
    pub cores: u8,
    /// The Rust compiler's version.
    pub rustc: &'a str,
    /// The C compiler's name and version, where known.
    pub cc: Option<&'a str>,
    /// Start and end address of the arena, where they mean something to a reader.
    pub arena_at: Option<(usize, usize)>,
    /// What libc's own heap is: `none`, or `host`.
    pub libc_heap: Option<&'static str>,
    /// What the arena rounds a block to, its header included.
    pub block_unit: Bytes,
    /// What the arena keeps beside each block.
    pub block_header: Bytes,
    /// The least stack of a slot with which this machine starts a run.
    pub least_slot_stack: Bytes,
    /// Time slice among threads of equal priority in milliseconds, where it is a knob.
    pub slice_ms: Option<u32>,
}

/// A lock around a value, for the bench's own short business between timed regions.
pub trait Lock<T>: Sync {
    /// Puts a value under a lock.
    fn new(value: T) -> Self;

    /// Runs `with` on the value while no other thread does. MUST NOT be nested.
    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R;
}

/// A machine.
pub trait Machine: Sync {
    /// The machine's lock.
    type Lock<T: Send>: Lock<T>;
    /// What this machine counts a thread's calls with: as fine as its memory allows.
    type Tally: Tally;
    /// Whether this build can have residents. Where it cannot, it carries no code for pools.
    const POOLS: bool;

    /// What does not change during a run.
    fn facts(&self) -> Facts<'_>;

    /// A monotonic clock, 64 bits wide: it does not wrap within a run.
    fn now(&self) -> Ticks;

    /// A point from which [`since`](Self::since) measures. Cheap: it stands
    /// inside the timed region.
    fn mark(&self) -> Mark;

    /// Ticks since `mark`. A machine may count these in 32 bits: it MUST be right below
    /// 2^32 ticks. The bench takes longer times from [`now`](Self::now).
    fn since(&self, mark: Mark) -> Ticks;

    /// Gives the CPU to others for at least that long; for less only where
    /// [`interrupted`](Self::interrupted) turned true meanwhile. A machine should sleep in
    /// one piece: schedulers give whoever runs a new time slice when a caller of higher
    /// priority wakes up, so one that wakes up all the time keeps the others from their turn.
    fn sleep(&self, time: Micros);

    /// CPU time so far, where the machine accounts for it.
    fn cpu_time(&self) -> Option<CpuTime>;

    /// The arena now. May be slow; never called inside a timed region.
    fn arena(&self) -> ArenaStats;

    /// Lets the low-water mark start again from what is free now.
    fn arena_reset_low_water(&self);

    /// What a knob is called on this machine: an option, a Kconfig symbol. `None` where it
    /// cannot be turned here.
    fn knob(&self, knob: Knob) -> Option<&'static str>;

    /// Writes one record, whole and in order.
    fn emit(&self, record: &Record<'_>);

    /// Whether someone asked the run to end early (Ctrl-C).
    fn interrupted(&self) -> bool;

    /// Ends the program with the exit status `status`. Called after the last record of a run
    /// in which a thread does not return and cannot be ended: that thread still uses what the
    /// caller would free.
    fn give_up(&self, status: u32) -> !;
}

/// An opaque point in time; see [`Machine::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub u64);
