//! The seam to a machine: clock, slots, arena statistics, CPU time, a line out.
//!
//! A port writes these and nothing else. Each method says what the bench
//! relies on; a machine that cannot measure something answers `None`, never 0.

use crate::config::Knob;
use crate::measure::{Bytes, Micros, Ticks};

/// The arena as it is now, exact to the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaStats {
    /// The region the engine allocates from, the allocator's own needs included.
    pub size: Bytes,
    /// Free now; headers of blocks count as used.
    pub free: Bytes,
    /// Least free since the last [`Platform::arena_reset_low_water`].
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

/// Where the threads of a ramp may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// Wherever the scheduler likes.
    #[default]
    Free,
    /// On this core only.
    Core(u8),
}

/// Why a slot's thread could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The slot number is not below [`Platform::slots`].
    NoSuchSlot,
    /// The slot's thread has not been joined yet.
    Busy,
    /// There is no such core to pin to.
    NoSuchCore,
    /// The operating system refused; its error number.
    Os(i32),
}

/// What a slot's thread does. One value is shared by all slots of a crew.
pub trait Work: Sync {
    /// Runs on the thread of `slot` until the work's owner tells it to end.
    fn run(&self, slot: usize);
}

/// The threads of one ramp, each on its own pre-allocated slot.
pub trait Crew {
    /// Starts the slot's thread.
    ///
    /// # Errors
    /// See [`StartError`].
    fn start(&mut self, slot: usize, pin: Pin) -> Result<(), StartError>;

    /// Waits until the slot's thread has ended, after which the slot is free
    /// again. A slot that was never started returns at once.
    fn join(&mut self, slot: usize);

    /// Most bytes the slot's stack ever held since its last start, where there was one in
    /// this crew and the machine can tell. MUST be exact or an upper bound, never a guess.
    fn stack_used(&self, slot: usize) -> Option<Bytes>;
}

/// A lock around a value, for the bench's own short business between timed regions.
pub trait Lock<T>: Sync {
    /// Puts a value under a lock.
    fn new(value: T) -> Self;

    /// Runs `with` on the value while no other thread does. MUST NOT be nested.
    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R;
}

/// A machine.
pub trait Platform: Sync {
    /// The machine's lock.
    type Lock<T: Send>: Lock<T>;

    /// Ticks a second of [`now`](Self::now) and of [`since`](Self::since).
    fn clock_hz(&self) -> u64;

    /// A monotonic clock, 64 bits wide: it does not wrap within a run.
    fn now(&self) -> Ticks;

    /// A point from which [`since`](Self::since) measures. Cheap: it stands
    /// inside the timed region.
    fn mark(&self) -> Mark;

    /// Ticks since `mark`. A machine with a 32-bit counter may wrap: it MUST then
    /// document after how long, and no call may take that long.
    fn since(&self, mark: Mark) -> Ticks;

    /// Gives the CPU to others for at least that long; for less only where
    /// [`interrupted`](Self::interrupted) turned true meanwhile. A machine should do so in one
    /// piece: schedulers give whoever runs a new time slice when a caller of higher priority
    /// wakes up, so one that wakes up all the time keeps the others from their turn.
    fn sleep(&self, time: Micros);

    /// CPU time so far, where the machine accounts for it.
    fn cpu_time(&self) -> Option<CpuTime>;

    /// Cores that threads can be pinned to.
    fn cores(&self) -> u8;

    /// The arena now. May be slow; never called inside a timed region.
    fn arena(&self) -> ArenaStats;

    /// Lets the low-water mark start again from what is free now.
    fn arena_reset_low_water(&self);

    /// Slots reserved at boot.
    fn slots(&self) -> usize;

    /// Runs `lead` with a crew whose slots do `work`. Every thread that was
    /// started is joined before this returns, however `lead` ends.
    fn with_crew<W: Work, R>(&self, work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R;

    /// What a knob is called on this machine: an option, a Kconfig symbol.
    fn knob(&self, knob: Knob) -> &'static str;

    /// Writes one record, without its line end, whole and in order.
    fn emit(&self, record: &dyn core::fmt::Display);

    /// Whether someone asked the run to end early (Ctrl-C).
    fn interrupted(&self) -> bool;
}

/// An opaque point in time; see [`Platform::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub u64);
