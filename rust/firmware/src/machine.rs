//! `Platform` for Zephyr, put together from arena, clock and slots.

use core::fmt::{Display, Write as _};

use wramp_bench::{Guest, Seat, Summary};
use wramp_core::config::{Config, Knob, Mode};
use wramp_core::measure::{BUCKETS_PER_OCTAVE, Micros, Ticks};
use wramp_core::platform::{ArenaStats, CpuTime, Crew, Lock, Mark, Pin, Platform, Work};
use wramp_core::report::{FORMAT_VERSION, Record, Run, Word};
use wramp_core::runtime::ErrorKind;
use wramp_wamr::Engine;
use zephyr::printkln;
use zephyr::raw;
use zephyr::sync::Mutex;

use crate::arena::{Arena, ZephyrArena};
use crate::clock::{self, Clock, HZ};
use crate::{config, slots};

/// How many calls a bucket of a histogram counts. Where it is full, latencies are left out:
/// 65,535 of an instance, where each has a thread and a histogram; all of a worker's.
#[cfg(not(CONFIG_WRAMP_MODE_POOL))]
type Count = core::sync::atomic::AtomicU16;
#[cfg(CONFIG_WRAMP_MODE_POOL)]
type Count = core::sync::atomic::AtomicU32;

/// Buckets of a histogram. Nine doublings around the first call's time: 324 bytes a slot. In
/// a pool twelve, for a turnaround among hundreds takes hundreds of times as long as the
/// first: 1,728 bytes a worker.
const BUCKETS: usize = if config::RESIDENTS == 0 { 9 } else { 12 } * BUCKETS_PER_OCTAVE;

/// What instances did; static, for the main thread's stack is small.
static SEATS: [Seat<Count, BUCKETS>; config::SEATS] = [const { Seat::new() }; config::SEATS];

// Where the table of a pool's residents lies, beside what the controller itself takes.
const _: () = assert!(
    config::RESIDENTS == 0
        || zephyr::kconfig::CONFIG_MAIN_STACK_SIZE as usize
            >= wramp_bench::table_bytes::<Engine, { config::RESIDENTS }>() + 9216,
    "the table of residents does not fit the main thread's stack: raise CONFIG_MAIN_STACK_SIZE \
     or lower CONFIG_WRAMP_RESIDENTS, by 72 bytes a resident on 32 bits"
);

/// Held while a record is written, so that no two mix.
static CONSOLE: Mutex<()> = Mutex::new(());

unsafe extern "C" {
    /// Ends a simulator with that status; returns on a board.
    safe fn wramp_exit(status: i32);
}

const fn on(switch: bool) -> &'static str {
    if switch { "on" } else { "off" }
}

/// Ends the program where there is someone to end to.
pub(crate) fn exit(status: u32) {
    wramp_exit(status.cast_signed());
}

/// Zephyr.
pub(crate) struct Machine {
    config: Config,
    arena: Arena,
    clock: Clock,
}

impl Machine {
    /// Sets up the arena; slots are there since boot.
    pub(crate) fn new() -> Self {
        let arena = Arena::new();
        Self { config: config::config(arena.stats().size), arena, clock: Clock::new() }
    }

    /// Sets up the engine and runs every ramp of the scenario: `run` record to `done` record.
    pub(crate) fn run(&self, guests: &[Guest<'_>]) -> Summary {
        self.describe();
        let (stack, least) = (self.config.slot_stack, config::LEAST_SLOT_STACK);
        if stack < least {
            let message = format_args!("a slot's stack of {stack} bytes is below {least}");
            return self.refuse(ErrorKind::NativeStack, Knob::SlotStack, message);
        }
        match Engine::new::<ZephyrArena>() {
            Ok(engine) if cfg!(CONFIG_WRAMP_SWEEP) => {
                let (module, accesses) = (wramp_workloads::SWEEP, &wramp_workloads::ACCESSES);
                wramp_bench::sweep(self, &engine, module, accesses, self.config.wasm_stack)
            }
            Ok(engine) => wramp_bench::run::<_, _, _, _, { config::RESIDENTS }>(
                self,
                &engine,
                &self.config,
                guests,
                &SEATS,
            ),
            Err(error) => {
                let arena = self.config.arena;
                let message =
                    format_args!("arena too small for the runtime itself: {arena} bytes: {error}");
                self.refuse(ErrorKind::OutOfMemory, Knob::Arena, message)
            }
        }
    }

    /// Ends a run that cannot begin.
    fn refuse(&self, kind: ErrorKind, knob: Knob, message: core::fmt::Arguments<'_>) -> Summary {
        wramp_bench::refuse(self, None, kind, knob, message);
        let summary = Summary { refused: true, ..Summary::default() };
        wramp_bench::finish(self, &summary);
        summary
    }

    /// The `run` record. Not inlined: its frame must not stay on the stack for the run.
    #[inline(never)]
    fn describe(&self) {
        let config = &self.config;
        let os = concat!("zephyr-", env!("WRAMP_ZEPHYR_VERSION"));
        let pin = match config.pin {
            Pin::Free => text(format_args!("free")),
            Pin::Core(core) => text(format_args!("core{core}")),
        };
        let budget = match config.budget {
            _ if !wramp_wamr::METERING => text(format_args!("unsupported")),
            None => text(format_args!("off")),
            Some(instructions) => text(format_args!("{instructions}")),
        };
        let (from, to) = self.arena.region();
        self.emit(&Record::from(Run {
            format: FORMAT_VERSION,
            wramp: Word(env!("CARGO_PKG_VERSION")),
            board: Word(config::BOARD),
            os: Word(os),
            pointer_bits: usize::BITS,
            clock_hz: HZ,
            cores: u32::from(self.cores()),
            runtime: Word("wamr"),
            runtime_version: Word(wramp_wamr::VERSION),
            interpreter: Word(wramp_wamr::INTERPRETER),
            interpreter_opt: Some(Word(config::INTERPRETER_OPT)),
            block_cache: config::BLOCK_CACHE,
            aot: Some(Word(on(config::AOT))),
            module_copy: Some(Word(on(wramp_wamr::COPIES_MODULES))),
            artefact: None,
            shares_stack: None,
            rustc: Word(env!("WRAMP_RUSTC")),
            cc: Some(Word(env!("WRAMP_CC"))),
            scenario: Word(config.scenario.as_str()),
            mode: Word(match config.mode {
                Mode::Threads => "threads",
                Mode::Pool { .. } => "pool",
            }),
            workers: match config.mode {
                Mode::Threads => None,
                Mode::Pool { workers } => Some(workers),
            },
            residents: match config.mode {
                Mode::Threads => None,
                Mode::Pool { .. } => Some(config::RESIDENTS as u32),
            },
            arena_bytes: config.arena,
            arena_unit_bytes: None,
            arena_header_bytes: None,
            arena_at: Some(Word(&text(format_args!("{from:#x}-{to:#x}")))),
            heap_at: Some(Word(config::LIBC_HEAP)),
            slots: config.slots,
            slot_stack_bytes: config.slot_stack,
            slot_stack_real_bytes: Some(slots::real_size()),
            slot_stack_least_bytes: None,
            stack_guard_bytes: None,
            wasm_stack_bytes: config.wasm_stack,
            fit: Some(Word(on(config.fit_wasm_stack))),
            step: config.step,
            settle_ms: config.settle_ms,
            dwell_ms: config.dwell_ms,
            pause_ms: config.pause_ms,
            pin: Word(&pin),
            slice_ms: Some(config::SLICE_MS),
            budget: Word(&budget),
            stuck_ms: None,
            slo_us: config.slo,
        }));
    }
}

/// A short word of a record; what does not fit is cut.
fn text(arguments: core::fmt::Arguments<'_>) -> heapless::String<40> {
    let mut text = heapless::String::new();
    // A word cut short is still a word.
    let _ = text.write_fmt(arguments);
    text
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

impl Platform for Machine {
    type Lock<T: Send> = ZephyrLock<T>;

    fn clock_hz(&self) -> u64 {
        HZ
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
            // Rounded up to the kernel's tick.
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

    fn cores(&self) -> u8 {
        config::CORES
    }

    fn arena(&self) -> ArenaStats {
        self.arena.stats()
    }

    fn arena_reset_low_water(&self) {
        self.arena.reset_low_water();
    }

    fn slots(&self) -> usize {
        config::SLOTS
    }

    fn with_crew<W: Work, R>(&self, work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R {
        slots::with_crew(work, lead)
    }

    fn knob(&self, knob: Knob) -> &'static str {
        knob.symbol()
    }

    fn emit(&self, record: &dyn Display) {
        let Ok(_held) = CONSOLE.lock();
        printkln!("{record}");
    }

    fn interrupted(&self) -> bool {
        false
    }
}
