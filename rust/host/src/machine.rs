//! The seam `Machine` for Linux, composed of arena and clock.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wramp_arena::{Arena, HEADER, UNIT};
use wramp_core::config::Knob;
use wramp_core::machine::{ArenaStats, CpuTime, Facts, Lock, Mark};
use wramp_core::measure::{ALL_BUCKETS, Bytes, Counts, Micros, Ticks};
use wramp_core::report::Record;
use wramp_core::state::Vault;

use crate::clock::{Clock, HZ};
use crate::slots::{allowed_cpus, least_stack};

/// Where records go.
pub type Sink<'a> = Box<dyn FnMut(&Record<'_>) + Send + 'a>;

/// Where the lines of guests go.
pub type Voice<'a> = Box<dyn FnMut(std::fmt::Arguments<'_>) + Send + 'a>;

/// Linux.
pub struct Machine<'a> {
    arena: &'a dyn Arena,
    clock: Clock,
    os: String,
    cores: u8,
    sink: Mutex<Sink<'a>>,
    interrupted: &'a AtomicBool,
    gave_up: Mutex<Box<dyn FnMut(u32) + Send + 'a>>,
    voice: Option<Mutex<Voice<'a>>>,
    vault: Option<&'a dyn Vault>,
    rest: Mutex<Rest>,
    bell: Condvar,
}

/// Those who rest.
#[derive(Debug, Default)]
struct Rest {
    /// How often somebody roused them.
    calls: u32,
    /// How many there are. Without any, nobody has to ring.
    resting: u32,
}

impl<'a> Machine<'a> {
    /// A machine whose clock starts now. `gave_up` receives the exit status of a run that ends
    /// with a thread that does not return.
    #[must_use]
    pub fn new(
        arena: &'a dyn Arena,
        sink: Sink<'a>,
        interrupted: &'a AtomicBool,
        gave_up: Box<dyn FnMut(u32) + Send + 'a>,
    ) -> Self {
        let cores = u8::try_from(allowed_cpus().len()).unwrap_or(u8::MAX);
        Self {
            arena,
            clock: Clock::new(cores),
            os: format!("linux-{}", kernel_release()),
            cores,
            sink: Mutex::new(sink),
            interrupted,
            gave_up: Mutex::new(gave_up),
            voice: None,
            vault: None,
            rest: Mutex::default(),
            bell: Condvar::new(),
        }
    }

    /// The same machine, on which parked states survive in `vault`.
    #[must_use]
    pub fn with_vault(self, vault: Option<&'a dyn Vault>) -> Self {
        Self { vault, ..self }
    }

    /// The same machine, on which lines of guests go to `voice`.
    #[must_use]
    pub fn with_voice(self, voice: Voice<'a>) -> Self {
        Self { voice: Some(Mutex::new(voice)), ..self }
    }
}

impl Machine<'_> {
    fn lock_rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |release| release.trim().to_owned())
}

/// A mutex of the standard library. It ignores poison, because a panic in a slot's thread ends
/// the process anyway (see `slots`).
#[derive(Debug)]
pub struct HostLock<T> {
    value: Mutex<T>,
    /// Where it was first used. A lock of Linux may move, one of Zephyr may not.
    #[cfg(debug_assertions)]
    place: std::sync::atomic::AtomicUsize,
}

impl<T: Send> Lock<T> for HostLock<T> {
    fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            #[cfg(debug_assertions)]
            place: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(debug_assertions)]
        {
            let here = std::ptr::from_ref(self).addr();
            let before = self.place.swap(here, Relaxed);
            assert!(before == 0 || before == here, "a lock was moved after it was used");
        }
        with(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How long a sleep continues after an interrupt.
const NAP: Duration = Duration::from_millis(50);

fn bytes(n: usize) -> Bytes {
    Bytes(u32::try_from(n).unwrap_or(u32::MAX))
}

impl wramp_core::machine::Machine for Machine<'_> {
    type Lock<T: Send> = HostLock<T>;
    type Tally = Counts<AtomicU32, ALL_BUCKETS>;
    const SINCE_IS_WHOLE: bool = true;
    type Block<'m>
        = wramp_arena::Block<'m>
    where
        Self: 'm;
    const POOLS: bool = true;
    const MIXES: bool = true;
    const PARKS: bool = true;
    const HOSTS: bool = true;

    fn facts(&self) -> Facts<'_> {
        Facts {
            board: "linux",
            os: &self.os,
            clock_hz: HZ,
            cores: self.cores,
            rustc: env!("WRAMP_RUSTC"),
            cc: None,
            // The addresses differ from run to run and mean nothing.
            arena_at: None,
            libc_heap: None,
            block_unit: bytes(UNIT),
            block_header: bytes(HEADER),
            least_slot_stack: least_stack(),
            slice_ms: None,
        }
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

    fn arena(&self) -> ArenaStats {
        self.arena.stats()
    }

    fn arena_reset_low_water(&self) {
        self.arena.reset_low_water();
    }

    fn lend<R>(&self, bytes: Bytes, work: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        wramp_arena::lend(self.arena, bytes.0, work)
    }

    fn block(&self, bytes: Bytes) -> Option<wramp_arena::Block<'_>> {
        wramp_arena::Block::new(self.arena, bytes.0)
    }

    fn knob(&self, knob: Knob) -> Option<&'static str> {
        knob.option()
    }

    fn emit(&self, record: &Record<'_>) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink(record);
    }

    fn say(&self, text: std::fmt::Arguments<'_>) {
        if let Some(voice) = &self.voice {
            (voice.lock().unwrap_or_else(PoisonError::into_inner))(text);
        }
    }

    fn calls_to_rise(&self) -> u32 {
        self.lock_rest().calls
    }

    fn rest(&self, seen: u32, time: Option<Micros>) {
        let mut rest = self.lock_rest();
        if rest.calls != seen {
            return;
        }
        rest.resting += 1;
        // A wait on a bell may end for no reason. The caller looks again in any case.
        let mut rest = match time {
            Some(time) => {
                let time = Duration::from_micros(time.0);
                self.bell.wait_timeout(rest, time).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.bell.wait(rest).unwrap_or_else(PoisonError::into_inner),
        };
        rest.resting -= 1;
    }

    fn rouse(&self) {
        let mut rest = self.lock_rest();
        rest.calls = rest.calls.wrapping_add(1);
        if rest.resting > 0 {
            self.bell.notify_all();
        }
    }

    fn vault(&self) -> Option<&dyn Vault> {
        self.vault
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Relaxed)
    }

    fn give_up(&self, status: u32) -> ! {
        (self.gave_up.lock().unwrap_or_else(PoisonError::into_inner))(status);
        loop {
            std::thread::park();
        }
    }
}

impl std::fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("os", &self.os).finish_non_exhaustive()
    }
}
