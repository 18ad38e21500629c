//! The seam `Machine` for Zephyr, put together from arena and clock.

use wramp_arena::Arena as _;
use wramp_core::config::Knob;
use wramp_core::machine::{ArenaStats, CpuTime, Facts, Lock, Mark};
use wramp_core::measure::{BUCKETS_PER_OCTAVE, Counts, Micros, Ticks};
use wramp_core::report::Record;
use zephyr::printkln;
use zephyr::raw;
use zephyr::sync::Mutex;

use crate::arena::ZephyrArena;
use crate::clock::{self, Clock, HZ};
use crate::config;

/// How many calls a bucket of a histogram counts. Where it is full, percentiles are left out:
/// 65,535 of an instance, where each has a thread and a histogram; all of a worker's.
#[cfg(CONFIG_WRAMP_MODE_THREADS)]
type Count = core::sync::atomic::AtomicU16;
#[cfg(not(CONFIG_WRAMP_MODE_THREADS))]
type Count = core::sync::atomic::AtomicU32;

/// Buckets of a histogram. Nine doublings around the first call's time: 324 bytes a slot. In
/// a pool twelve, for a turnaround among hundreds takes hundreds of times as long as the
/// first: 1,728 bytes a worker.
const BUCKETS: usize = if config::RESIDENTS == 0 { 9 } else { 12 } * BUCKETS_PER_OCTAVE;

/// What a thread's calls are counted with.
pub(crate) type Tally = Counts<Count, BUCKETS>;

/// Held while a record is written, so that no two mix.
static CONSOLE: Mutex<()> = Mutex::new(());

unsafe extern "C" {
    /// Ends a simulator with that status; returns on a board.
    safe fn wramp_exit(status: i32);
}

/// Ends the program where there is someone to end to.
pub(crate) fn exit(status: u32) {
    wramp_exit(status.cast_signed());
}

/// Zephyr.
pub(crate) struct Machine {
    arena: ZephyrArena,
    clock: Clock,
}

impl Machine {
    /// A machine whose clock starts now.
    pub(crate) fn new(arena: ZephyrArena) -> Self {
        Self { arena, clock: Clock::new() }
    }
}

/// A mutex of the kernel's, which lends a waiting controller's priority to its holder.
pub(crate) struct ZephyrLock<T>(Mutex<T>);

impl<T: Send> Lock<T> for ZephyrLock<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        let Ok(mut value) = self.0.lock();
        with(&mut value)
    }
}

impl wramp_core::machine::Machine for Machine {
    type Lock<T: Send> = ZephyrLock<T>;
    type Tally = Tally;
    const POOLS: bool = !cfg!(CONFIG_WRAMP_MODE_THREADS);

    fn facts(&self) -> Facts<'_> {
        let (block_unit, block_header) = self.arena.block();
        Facts {
            board: config::BOARD,
            os: concat!("zephyr-", env!("WRAMP_ZEPHYR_VERSION")),
            clock_hz: HZ,
            cores: config::CORES,
            rustc: env!("WRAMP_RUSTC"),
            cc: Some(env!("WRAMP_CC")),
            arena_at: Some(self.arena.region()),
            libc_heap: Some(config::LIBC_HEAP),
            block_unit,
            block_header,
            least_slot_stack: config::LEAST_SLOT_STACK,
            slice_ms: Some(config::SLICE_MS),
        }
    }

    fn now(&self) -> Ticks {
        self.clock.now()
    }

    fn mark(&self) -> Mark {
        clock::mark()
    }

    fn since(&self, mark: Mark) -> Ticks {
        clock::since(mark)
    }

    fn sleep(&self, time: Micros) {
        let mut left = time;
        while left > Micros(0) {
            let nap = left.min(clock::LONGEST_NAP);
            left = left.saturating_sub(nap);
            // Rounded up to the kernel's tick. The longest nap fits.
            let micros = i32::try_from(nap.0).unwrap_or(i32::MAX);
            // SAFETY: the calling thread may sleep: it is no interrupt and holds no lock.
            unsafe { raw::k_usleep(micros) };
            // Keeps the clock from missing a wrap of the counter.
            self.clock.now();
        }
    }

    fn cpu_time(&self) -> Option<CpuTime> {
        clock::cpu_time()
    }

    fn arena(&self) -> ArenaStats {
        self.arena.stats()
    }

    fn arena_reset_low_water(&self) {
        self.arena.reset_low_water();
    }

    fn knob(&self, knob: Knob) -> Option<&'static str> {
        knob.symbol()
    }

    fn emit(&self, record: &Record<'_>) {
        let Ok(_held) = CONSOLE.lock();
        printkln!("{record}");
    }

    fn interrupted(&self) -> bool {
        false
    }

    fn give_up(&self, status: u32) -> ! {
        exit(status);
        loop {
            self.sleep(Micros(1_000_000));
        }
    }
}
