//! The seam to a machine: clock, CPU time, arena statistics, record output.
//!
//! A port implements [`Machine`] and [`Slots`](crate::slots::Slots) and nothing else. Each
//! method states what the bench relies on. A machine that cannot measure something answers
//! `None`, never 0.

use core::fmt;

use crate::config::Knob;
use crate::measure::{Bytes, Micros, Tally, Ticks};
use crate::report::Record;
use crate::state::Vault;

/// The arena as it is now, exact to the byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArenaStats {
    /// The region that the engine allocates from, including what the allocator itself needs.
    pub size: Bytes,
    /// Free bytes now. Block headers count as used.
    pub free: Bytes,
    /// The fewest free bytes since the last [`Machine::arena_reset_low_water`].
    pub low_water: Bytes,
    /// The largest single allocation that would succeed now.
    pub largest: Bytes,
    /// Blocks allocated now.
    pub blocks: u32,
}

/// CPU time since boot or since the process started, over all cores and all our threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// Time spent running something other than idle, summed over cores.
    pub busy: Micros,
    /// Elapsed time, times the number of cores.
    pub total: Micros,
}

/// What does not change during a run. The bench prints the `run` record from this, from the
/// engine's facts and from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The board, in Zephyr's terms, or `linux`.
    pub board: &'a str,
    /// Operating system and version: `zephyr-4.1.0`, `linux-6.1.0`.
    pub os: &'a str,
    /// Ticks per second of [`Machine::now`] and of [`Machine::since`].
    pub clock_hz: u64,
    /// Cores that threads can be pinned to.
    pub cores: u8,
    /// The Rust compiler's version.
    pub rustc: &'a str,
    /// The C compiler's name and version, if known.
    pub cc: Option<&'a str>,
    /// Start and end address of the arena, if they mean something to a reader.
    pub arena_at: Option<(usize, usize)>,
    /// What libc's own heap is: `none`, or `host`.
    pub libc_heap: Option<&'static str>,
    /// The unit to which the arena rounds a block, including its header.
    pub block_unit: Bytes,
    /// Bytes that the arena keeps beside each block.
    pub block_header: Bytes,
    /// The smallest slot stack with which this machine starts a run.
    pub least_slot_stack: Bytes,
    /// Time slice among threads of equal priority in milliseconds, if it is a knob.
    pub slice_ms: Option<u32>,
}

/// A lock around a value. The bench holds it briefly, between timed regions. It MUST NOT move once
/// it was used: a kernel may know it by its address.
pub trait Lock<T>: Sync {
    /// Puts a value under a lock.
    fn new(value: T) -> Self;

    /// Runs `with` on the value while no other thread does. Calls MUST NOT be nested.
    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R;
}

/// A machine.
pub trait Machine: Sync {
    /// The machine's lock.
    type Lock<T: Send>: Lock<T>;
    /// The type that counts a thread's calls, as fine as this machine's memory allows.
    type Tally: Tally;
    /// A block of the arena that the machine keeps beside the engine's.
    type Block<'m>: AsMut<[u8]> + AsRef<[u8]> + Send
    where
        Self: 'm;
    /// Whether this build supports residents. A build without them carries no code for pools.
    const POOLS: bool;
    /// Whether this build gives guests imports. A build that does not carries no code for them.
    const HOSTS: bool = false;

    /// Whether a run may mix modules in numbers of their own. A build that never does carries
    /// none of the code.
    const MIXES: bool;

    /// Whether this build can park instances. A build that cannot carries no code for it.
    const PARKS: bool = false;

    /// Whether this build times each part of a start and of an end. A build that does not only
    /// knows how long each load and the newest start took.
    const STARTS: bool = true;

    /// What does not change during a run.
    fn facts(&self) -> Facts<'_>;

    /// A monotonic clock, 64 bits wide: it does not wrap within a run.
    fn now(&self) -> Ticks;

    /// Whether the clock advances while code runs. Some emulators do not count. The bench asks
    /// once, before the first ramp. If the answer is no, no record of the run has a time.
    ///
    /// So many readings take milliseconds at least, on any CPU: more than the coarsest tick.
    fn clock_runs(&self) -> bool {
        let began = self.now();
        (0..1 << 16).any(|_| self.now() > began)
    }

    /// Whether [`since`](Self::since) counts all ticks. Otherwise it counts them modulo 2^32.
    const SINCE_IS_WHOLE: bool;

    /// A point from which [`since`](Self::since) measures. It MUST be cheap, because the bench
    /// calls it inside the timed region.
    fn mark(&self) -> Mark;

    /// Ticks since `mark`, modulo 2^32 unless [`SINCE_IS_WHOLE`](Self::SINCE_IS_WHOLE). The
    /// bench finds the wraps with [`now`](Self::now).
    fn since(&self, mark: Mark) -> Ticks;

    /// Gives the CPU to others for at least that long. It may return earlier only if
    /// [`interrupted`](Self::interrupted) became true.
    ///
    /// A machine should sleep in one piece. Schedulers give the running thread a new time slice
    /// when a caller of higher priority wakes up. A caller that wakes up all the time therefore
    /// keeps the other threads from their turn.
    fn sleep(&self, time: Micros);

    /// CPU time so far, if the machine accounts for it.
    fn cpu_time(&self) -> Option<CpuTime>;

    /// The arena now. It may be slow: the bench never calls it inside a timed region.
    fn arena(&self) -> ArenaStats;

    /// Restarts the low-water mark from what is free now.
    fn arena_reset_low_water(&self);

    /// Runs `work` with one block of the arena of so many bytes, and gives the block back. `None`
    /// if the arena has no such block, or where [`PARKS`](Self::PARKS) is false.
    fn lend<R>(&self, bytes: Bytes, work: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let (_, _) = (bytes, work);
        None
    }

    /// Takes a block of that many bytes from the arena, all zero. Its drop gives it back. `None`
    /// if the arena has no such block, or where [`HOSTS`](Self::HOSTS) is false.
    fn block(&self, _bytes: Bytes) -> Option<Self::Block<'_>> {
        None
    }

    /// The name of a knob on this machine: an option or a Kconfig symbol. `None` if nobody can
    /// turn it here.
    fn knob(&self, knob: Knob) -> Option<&'static str>;

    /// Writes one whole record, in order.
    fn emit(&self, record: &Record<'_>);

    /// Writes a line of a guest beside the records, whole and in order. The text is one line and
    /// contains no record.
    fn say(&self, _text: fmt::Arguments<'_>) {}

    /// How often [`rouse`](Self::rouse) was called, modulo 2^32.
    fn calls_to_rise(&self) -> u32 {
        0
    }

    /// Rests until `time` has passed, for ever without one, or until there have been more calls
    /// of [`rouse`](Self::rouse) than `seen`. It may return earlier.
    ///
    /// Read [`calls_to_rise`](Self::calls_to_rise) first, then look whether there is something to
    /// do, then rest: what comes in between is not slept through.
    fn rest(&self, _seen: u32, time: Option<Micros>) {
        // A machine that cannot be roused looks up now and then.
        let most = Micros(1_000);
        self.sleep(time.map_or(most, |time| time.min(most)));
    }

    /// Wakes everybody who rests.
    fn rouse(&self) {}

    /// Where parked states survive a reset, if they do.
    fn vault(&self) -> Option<&dyn Vault> {
        None
    }

    /// Whether someone asked the run to end early (Ctrl-C).
    fn interrupted(&self) -> bool;

    /// Ends the program with the exit status `status`.
    ///
    /// The bench calls it after the last record of a run in which a thread does not return and
    /// cannot be ended. That thread still uses what the caller would free.
    fn give_up(&self, status: u32) -> !;
}

/// An opaque point in time. See [`Machine::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub u64);
