//! `Platform` for Linux, put together from arena, clock and slots.

use std::fmt::Display;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use wramp_bench::{Guest, Seat, Summary};
use wramp_core::config::Mode;
use wramp_core::config::{Config, Knob};
use wramp_core::measure::{ALL_BUCKETS, Micros, Ticks};
use wramp_core::platform::Pin;
use wramp_core::platform::{ArenaStats, CpuTime, Crew, Lock, Mark, Platform, Work};
use wramp_core::report::{FORMAT_VERSION, Record, Run, Word};
use wramp_core::runtime::ErrorKind;
use wramp_wamr::Engine;

use crate::arena::{ArenaError, ArenaGuard, HostArena};
use crate::clock::{Clock, HZ};
use crate::slots::{Slots, allowed_cpus};

/// Most residents of a pool: their table lies on the controller's stack.
pub const MAX_RESIDENTS: usize = 2048;
/// The controller's stack: room for the table, a quarter of a MiB, and for what a build
/// without optimisation copies. Pages that are not touched cost nothing.
const CONTROLLER_STACK: usize = 32 << 20;

/// Why there is no machine.
#[derive(Debug)]
pub enum SetupError {
    /// The arena could not be reserved.
    Arena(ArenaError),
    /// The slots' stacks could not be mapped.
    Slots(std::io::Error),
}

impl Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Arena(ArenaError::InUse) => {
                f.write_str("another run of this process has the arena")
            }
            Self::Arena(ArenaError::NoMemory) => {
                write!(f, "this machine has no region of that size: lower {}", Knob::Arena.option())
            }
            Self::Slots(error) => {
                write!(f, "the stacks could not be mapped: lower {}: {error}", Knob::Slots.option())
            }
        }
    }
}

impl std::error::Error for SetupError {}

/// Where records go, a line at a time, without the line end.
pub type Sink<'a> = Box<dyn FnMut(&dyn Display) + Send + 'a>;

/// What a machine is made with.
pub struct Setup<'a> {
    /// The knobs.
    pub config: Config,
    /// Where records go.
    pub sink: Sink<'a>,
    /// Set by whoever hears Ctrl-C.
    pub interrupted: &'a AtomicBool,
}

/// Linux.
pub struct Machine<'a> {
    config: Config,
    arena: ArenaGuard,
    slots: Slots,
    clock: Clock,
    cpus: Vec<usize>,
    sink: Mutex<Sink<'a>>,
    interrupted: &'a AtomicBool,
}

impl<'a> Machine<'a> {
    /// Reserves arena and slots.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(setup: Setup<'a>) -> Result<Self, SetupError> {
        let cpus = allowed_cpus();
        let cores = u8::try_from(cpus.len()).unwrap_or(u8::MAX);
        Ok(Self {
            arena: ArenaGuard::new(setup.config.arena).map_err(SetupError::Arena)?,
            slots: Slots::new(setup.config.slots, setup.config.slot_stack)
                .map_err(SetupError::Slots)?,
            config: setup.config,
            clock: Clock::new(cores),
            cpus,
            sink: Mutex::new(setup.sink),
            interrupted: setup.interrupted,
        })
    }

    /// Sets up the engine and runs every ramp of the scenario: `run` record to `done` record.
    pub fn run(&self, guests: &[Guest<'_>]) -> Summary {
        std::thread::scope(|scope| {
            let controller = std::thread::Builder::new().stack_size(CONTROLLER_STACK);
            match controller.spawn_scoped(scope, || self.control(guests)) {
                Ok(controller) => {
                    controller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                }
                // No thread is to be had: as far as the caller's stack goes.
                Err(_) => self.control(guests),
            }
        })
    }

    /// The controller's life, on a stack that holds its table.
    fn control(&self, guests: &[Guest<'_>]) -> Summary {
        let engine = Engine::new::<HostArena>();
        self.describe();
        match engine {
            Ok(engine) => {
                let seats: Vec<Seat<AtomicU32, ALL_BUCKETS>> =
                    (0..2 * self.slots.len()).map(|_| Seat::new()).collect();
                wramp_bench::run::<_, _, _, _, MAX_RESIDENTS>(
                    self,
                    &engine,
                    &self.config,
                    guests,
                    &seats,
                )
            }
            Err(error) => {
                let arena = self.config.arena;
                let message =
                    format_args!("arena too small for the runtime itself: {arena} bytes: {error}");
                wramp_bench::refuse(self, None, ErrorKind::OutOfMemory, Knob::Arena, message);
                let summary = Summary { refused: true, ..Summary::default() };
                wramp_bench::finish(self, &summary);
                summary
            }
        }
    }

    /// The `run` record.
    fn describe(&self) {
        let config = &self.config;
        let os = format!("linux-{}", kernel_release());
        let pin = match config.pin {
            Pin::Free => "free".to_owned(),
            Pin::Core(core) => format!("core{core}"),
        };
        let budget = match config.budget {
            _ if !wramp_wamr::METERING => "unsupported".to_owned(),
            None => "off".to_owned(),
            Some(instructions) => instructions.to_string(),
        };
        self.emit(&Record::from(Run {
            format: FORMAT_VERSION,
            wramp: Word(env!("CARGO_PKG_VERSION")),
            board: Word("linux"),
            os: Word(&os),
            pointer_bits: usize::BITS,
            clock_hz: HZ,
            cores: u32::from(self.cores()),
            runtime: Word("wamr"),
            runtime_version: Word(wramp_wamr::VERSION),
            interpreter: Word(wramp_wamr::INTERPRETER),
            interpreter_opt: None,
            block_cache: None,
            aot: None,
            module_copy: Some(Word(if wramp_wamr::COPIES_MODULES { "on" } else { "off" })),
            artefact: None,
            shares_stack: None,
            rustc: Word(env!("WRAMP_RUSTC")),
            cc: None,
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
                Mode::Pool { .. } => u32::try_from(MAX_RESIDENTS).ok(),
            },
            arena_bytes: config.arena,
            arena_unit_bytes: None,
            arena_header_bytes: None,
            arena_at: None,
            heap_at: None,
            slots: config.slots,
            slot_stack_bytes: config.slot_stack,
            slot_stack_real_bytes: Some(self.slots.real_size()),
            slot_stack_least_bytes: None,
            stack_guard_bytes: None,
            wasm_stack_bytes: config.wasm_stack,
            fit: Some(Word(if config.fit_wasm_stack { "on" } else { "off" })),
            step: config.step,
            settle_ms: config.settle_ms,
            dwell_ms: config.dwell_ms,
            pause_ms: config.pause_ms,
            pin: Word(&pin),
            slice_ms: None,
            budget: Word(&budget),
            stuck_ms: None,
            slo_us: config.slo,
        }));
    }
}

fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |release| release.trim().to_owned())
}

/// A mutex of the standard library. Poison is passed over: the process ends on a panic in a
/// slot's thread anyhow (see `slots`).
#[derive(Debug)]
pub struct HostLock<T>(Mutex<T>);

impl<T: Send> Lock<T> for HostLock<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        with(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// How long a sleep goes on after an interrupt.
const NAP: Duration = Duration::from_millis(50);

impl Platform for Machine<'_> {
    type Lock<T: Send> = HostLock<T>;

    fn clock_hz(&self) -> u64 {
        HZ
    }

    fn now(&self) -> Ticks {
        self.clock.now()
    }

    fn mark(&self) -> Mark {
        Mark(self.clock.now().0)
    }

    fn since(&self, mark: Mark) -> Ticks {
        self.clock.now().saturating_sub(Ticks(mark.0))
    }

    fn sleep(&self, time: Micros) {
        let mut left = Duration::from_micros(time.0);
        while !left.is_zero() {
            let nap = left.min(NAP);
            std::thread::sleep(nap);
            left = if self.interrupted() { Duration::ZERO } else { left - nap };
        }
    }

    fn cpu_time(&self) -> Option<CpuTime> {
        self.clock.cpu_time()
    }

    fn cores(&self) -> u8 {
        u8::try_from(self.cpus.len()).unwrap_or(u8::MAX)
    }

    fn arena(&self) -> ArenaStats {
        self.arena.stats()
    }

    fn arena_reset_low_water(&self) {
        self.arena.reset_low_water();
    }

    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn with_crew<W: Work, R>(&self, work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R {
        self.slots.with_crew(work, &self.cpus, lead)
    }

    fn knob(&self, knob: Knob) -> &'static str {
        knob.option()
    }

    fn emit(&self, record: &dyn Display) {
        let mut sink = self.sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sink(record);
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Relaxed)
    }
}

impl std::fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("config", &self.config).finish_non_exhaustive()
    }
}
