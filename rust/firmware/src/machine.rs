//! The seam `Machine` for Zephyr, composed of arena and clock.

use wramp_arena::Arena as _;
use wramp_core::config::Knob;
use wramp_core::machine::{ArenaStats, CpuTime, Facts, Lock, Mark};
use wramp_core::measure::{BUCKETS_PER_OCTAVE, Bytes, Counts, Micros, Ticks};
use wramp_core::report::{Kinds, Only, Record, RecordKind};
use zephyr::printkln;
use zephyr::raw;
use zephyr::sync::Mutex;

use crate::arena::ZephyrArena;
use crate::clock::{self, Clock, HZ};
use crate::config;

/// The counter of a bucket of a histogram. Percentiles are absent once a counter is full.
///
/// If each instance has its own thread and histogram, 65,535 calls of an instance fill it. A
/// worker's counter holds all calls.
#[cfg(CONFIG_WRAMP_MODE_THREADS)]
type Count = core::sync::atomic::AtomicU16;
#[cfg(not(CONFIG_WRAMP_MODE_THREADS))]
type Count = core::sync::atomic::AtomicU32;

/// Buckets of a histogram. Threads have nine doublings around the time of the first call, which
/// is 324 bytes per slot. A pool has twelve, which is 1,728 bytes per worker: among hundreds of
/// residents a turnaround takes hundreds of times as long as the first one.
const BUCKETS: usize = if config::RESIDENTS == 0 { 9 } else { 12 } * BUCKETS_PER_OCTAVE;

/// Counts a thread's calls.
pub(crate) type Tally = Counts<Count, BUCKETS>;

/// Held while a record is written, so no two records mix.
static CONSOLE: Mutex<()> = Mutex::new(());

unsafe extern "C" {
    /// Ends a simulator with that status. Returns on a board.
    safe fn wramp_exit(status: i32);
}

/// Ends the program, if there is anything to return to.
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

/// A mutex of the kernel. It lends a waiting controller's priority to its holder.
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

/// The kinds of records that this build makes.
pub(crate) struct Made;

impl Kinds for Made {
    #[inline(always)]
    fn has(kind: RecordKind) -> bool {
        match kind {
            RecordKind::Park => cfg!(CONFIG_WRAMP_MODE_PARK),
            RecordKind::Plan => false,
            RecordKind::Mail | RecordKind::Answer => cfg!(CONFIG_WRAMP_IMPORTS),
            RecordKind::Start => cfg!(CONFIG_WRAMP_STARTS),
            RecordKind::Member => cfg!(CONFIG_WRAMP_OWN_MODULES),
            RecordKind::Worker => !cfg!(CONFIG_WRAMP_MODE_THREADS),
            RecordKind::Fit => cfg!(CONFIG_WRAMP_FIT_WASM_STACK),
            _ => true,
        }
    }
}

impl wramp_core::machine::Machine for Machine {
    type Lock<T: Send> = ZephyrLock<T>;
    type Tally = Tally;
    const SINCE_IS_WHOLE: bool = false;
    type Block<'m> = wramp_arena::Block<'m>;
    const HOSTS: bool = cfg!(CONFIG_WRAMP_IMPORTS);
    const POOLS: bool = cfg!(any(CONFIG_WRAMP_MODE_POOL, CONFIG_WRAMP_MODE_COOPERATIVE));
    const PARKS: bool = cfg!(CONFIG_WRAMP_MODE_PARK);
    const MIXES: bool = cfg!(CONFIG_WRAMP_OWN_MODULES);
    const STARTS: bool = cfg!(CONFIG_WRAMP_STARTS);

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

    // native_sim runs code in no time, and clock.rs gives each call the length that it has.
    #[cfg(CONFIG_ARCH_POSIX)]
    fn clock_runs(&self) -> bool {
        true
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
            // The kernel rounds it up to its tick. The longest nap fits.
            let micros = i32::try_from(nap.0).unwrap_or(i32::MAX);
            // SAFETY: the calling thread may sleep, because it is no interrupt and holds no
            // lock.
            unsafe { raw::k_usleep(micros) };
            // Reading the clock keeps it from missing a wrap of the counter.
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

    fn lend<R>(&self, bytes: Bytes, work: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        wramp_arena::lend(&self.arena, bytes.0, work)
    }

    fn block(&self, bytes: Bytes) -> Option<wramp_arena::Block<'_>> {
        wramp_arena::Block::new(&self.arena, bytes.0)
    }

    fn knob(&self, knob: Knob) -> Option<&'static str> {
        knob.symbol()
    }

    fn emit(&self, record: &Record<'_>) {
        let Ok(_held) = CONSOLE.lock();
        printkln!("{}", Only::<Made>::new(record));
    }

    #[cfg(CONFIG_WRAMP_IMPORTS)]
    fn say(&self, text: core::fmt::Arguments<'_>) {
        let Ok(_held) = CONSOLE.lock();
        printkln!("{text}");
    }

    #[cfg(CONFIG_WRAMP_IMPORTS)]
    fn calls_to_rise(&self) -> u32 {
        crate::rest::calls()
    }

    #[cfg(CONFIG_WRAMP_IMPORTS)]
    fn rest(&self, seen: u32, time: Option<Micros>) {
        crate::rest::rest(seen, time);
    }

    #[cfg(CONFIG_WRAMP_IMPORTS)]
    fn rouse(&self) {
        crate::rest::rouse();
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
