//! A machine and an engine of nothing but Rust, that fail as they are told.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use wramp_bench::{Check, Guest, Seat, Summary};
use wramp_core::config::{Config, Knob};
use wramp_core::measure::{ALL_BUCKETS, Bytes, Micros, Ticks};
use wramp_core::platform::{
    ArenaStats, CpuTime, Crew, Lock, Mark, Pin, Platform, StartError, Work,
};
use wramp_core::runtime::{Error, ErrorKind, Parameters, Parts, Runtime, Source};

/// Arena bytes of a module, an instance and an environment.
pub(crate) const MODULE: u32 = 1_000;
pub(crate) const INSTANCE: u32 = 300;
pub(crate) const ENVIRONMENT: u32 = 200;

/// What is to go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Script {
    /// Loading fails.
    pub(crate) load: Option<ErrorKind>,
    /// Instantiating number `n` (from 0) fails.
    pub(crate) instantiate: Option<(u32, ErrorKind)>,
    /// Creating environment number `n` (from 0) fails.
    pub(crate) environment: Option<(u32, ErrorKind)>,
    /// Call number `n` (from 1) of each instance fails; 0 is every call.
    pub(crate) call: Option<(u32, ErrorKind)>,
    /// Call number `n` (from 1) of each instance returns something else.
    pub(crate) lie: Option<u32>,
    /// Instance number `n` (from 0) returns something else at every call.
    pub(crate) liar: Option<u32>,
    /// Bytes that every instance keeps when it goes.
    pub(crate) leak: u32,
    /// The machine does not start the thread of this slot.
    pub(crate) start: Option<(usize, StartError)>,
    /// The machine is interrupted at the start of this slot.
    pub(crate) interrupt: Option<usize>,
    /// The machine tells no CPU time.
    pub(crate) no_cpu_time: bool,
    /// Threads that never sleep share one core in slices of that length, and each time the
    /// controller wakes up, the one that runs is given a new slice.
    pub(crate) slice: Option<Duration>,
}

/// The machine and the engine on it.
pub(crate) struct Fake {
    script: Script,
    slots: usize,
    began: Instant,
    arena: Mutex<(u32, u32, u32)>,
    size: u32,
    lines: Mutex<Vec<String>>,
    interrupted: AtomicBool,
    /// Sleeps of the controller in which a slice ended, and one more.
    turns: AtomicU32,
    instances: AtomicU32,
    environments: AtomicU32,
    live: AtomicU32,
}

thread_local! {
    /// What the clock says that the last call of this thread took.
    static TOOK: Cell<u64> = const { Cell::new(1) };
}

thread_local! {
    /// Whether this thread is a slot's.
    static WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Ticks of a call for each instance that lives.
pub(crate) const TICKS_EACH: u64 = 100_000;

impl Fake {
    pub(crate) fn new(config: &Config, script: Script) -> Self {
        let size = config.arena.0;
        Self {
            script,
            slots: config.slots as usize,
            began: Instant::now(),
            arena: Mutex::new((size, size, 0)),
            size,
            lines: Mutex::new(Vec::new()),
            interrupted: AtomicBool::new(false),
            turns: AtomicU32::new(1),
            instances: AtomicU32::new(0),
            environments: AtomicU32::new(0),
            live: AtomicU32::new(0),
        }
    }

    fn arena<R>(&self, with: impl FnOnce(&mut (u32, u32, u32)) -> R) -> R {
        with(&mut self.arena.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, bytes: u32) -> Result<Held<'_>, Error> {
        self.arena(|(free, low, blocks)| {
            *free = free.checked_sub(bytes).ok_or(Error::new(ErrorKind::OutOfMemory, "full"))?;
            *low = (*low).min(*free);
            *blocks += 1;
            Ok(Held { fake: self, bytes })
        })
    }

    fn script<T>(&self, fails: Option<(u32, ErrorKind)>, n: u32, ok: T) -> Result<T, Error> {
        match fails {
            Some((at, kind)) if at == n => Err(Error::new(kind, "as the script says")),
            _ => Ok(ok),
        }
    }

    /// Runs; the lines and what it came to.
    pub(crate) fn run(&self, config: &Config, guests: &[Guest<'_>]) -> (Vec<String>, Summary) {
        let seats: Vec<Seat<AtomicU32, ALL_BUCKETS>> =
            (0..2 * self.slots).map(|_| Seat::new()).collect();
        let summary = wramp_bench::run::<_, _, _, _, 64>(self, self, config, guests, &seats);
        (self.lines.lock().unwrap().clone(), summary)
    }
}

/// Bytes of the arena.
pub(crate) struct Held<'f> {
    fake: &'f Fake,
    bytes: u32,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.fake.arena(|(free, _, blocks)| {
            *free += self.bytes;
            *blocks -= 1;
        });
    }
}

/// An instance: its place in the order of instantiation, and its calls.
pub(crate) struct FakeInstance<'f> {
    held: Held<'f>,
    id: u32,
    calls: u32,
}

impl Drop for FakeInstance<'_> {
    fn drop(&mut self) {
        self.held.bytes -= self.held.fake.script.leak;
        self.held.fake.live.fetch_sub(1, SeqCst);
    }
}

/// Returns the number of the call.
pub(crate) const GUEST: Guest<'static> = Guest {
    name: "count",
    source: Source::Static(b"module"),
    export: "run",
    parameters: Parameters::None,
    check: Check::Reference {
        next: |state| {
            state.calls += 1;
            state.calls.cast_signed()
        },
        varies: true,
    },
};

impl Runtime for Fake {
    type Module<'r> = Held<'r>;
    type Instance<'m> = FakeInstance<'m>;
    type Thread<'r> = ();
    type Environment<'t> = Held<'t>;

    fn name(&self) -> &'static str {
        "fake"
    }
    fn version(&self) -> &'static str {
        "0"
    }
    fn interpreter(&self) -> &'static str {
        "none"
    }
    fn shares_environment(&self) -> bool {
        false
    }
    fn meters(&self) -> bool {
        false
    }

    fn note_parts(&self) {}
    fn parts(
        &self,
        _instance: &FakeInstance<'_>,
        _environment: Option<(&Held<'_>, Bytes)>,
    ) -> Option<Parts> {
        None
    }

    fn load<'r>(&'r self, _source: Source<'_>) -> Result<Held<'r>, Error> {
        if let Some(kind) = self.script.load {
            return Err(Error::new(kind, "as the script says"));
        }
        self.take(MODULE)
    }

    fn instantiate<'m>(
        &'m self,
        _module: &'m Held<'_>,
        export: &str,
        _parameters: Parameters,
        _stack: Bytes,
    ) -> Result<FakeInstance<'m>, Error> {
        assert_eq!(export, "run");
        let id = self.instances.fetch_add(1, SeqCst);
        let held = self.script(self.script.instantiate, id, self.take(INSTANCE)?)?;
        self.live.fetch_add(1, SeqCst);
        Ok(FakeInstance { held, id, calls: 0 })
    }

    fn attach(&self) -> Result<(), Error> {
        Ok(())
    }

    fn environment<'t>(
        &'t self,
        _thread: &'t (),
        _module: &'t Held<'_>,
        _first: &FakeInstance<'_>,
        _stack: Bytes,
    ) -> Result<Held<'t>, Error> {
        let id = self.environments.fetch_add(1, SeqCst);
        self.script(self.script.environment, id, self.take(ENVIRONMENT)?)
    }

    fn call(
        &self,
        _environment: &mut Held<'_>,
        instance: &mut FakeInstance<'_>,
        _argument: i32,
        _budget: Option<u32>,
    ) -> Result<i32, Error> {
        std::thread::sleep(Duration::from_micros(100));
        TOOK.set(TICKS_EACH * u64::from(self.live.load(SeqCst)));
        instance.calls += 1;
        match self.script.call {
            Some((at, kind)) if at == 0 || at == instance.calls => {
                return Err(Error::new(kind, "as the script says"));
            }
            _ => {}
        }
        let lies = self.script.lie == Some(instance.calls) || self.script.liar == Some(instance.id);
        Ok(instance.calls.cast_signed() - i32::from(lies))
    }
}

/// The standard library's mutex.
pub(crate) struct FakeLock<T>(Mutex<T>);

impl<T: Send> Lock<T> for FakeLock<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }
    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        with(&mut self.0.lock().unwrap())
    }
}

struct Threads<'scope, 'env, W> {
    fake: &'env Fake,
    work: &'env W,
    scope: &'scope Scope<'scope, 'env>,
    running: Vec<Option<ScopedJoinHandle<'scope, ()>>>,
}

impl<W: Work> Crew for Threads<'_, '_, W> {
    fn start(&mut self, slot: usize, _pin: Pin) -> Result<(), StartError> {
        match self.fake.script.start {
            Some((at, error)) if at == slot => return Err(error),
            _ => {}
        }
        if self.fake.script.interrupt == Some(slot) {
            self.fake.interrupted.store(true, SeqCst);
        }
        assert!(self.running[slot].is_none(), "a slot was started before it was joined");
        let (fake, work) = (self.fake, self.work);
        // The first to run has the core at once, and every other when a slice ends.
        let turn = fake.turns.load(SeqCst) + u32::from(slot > 0);
        self.running[slot] = Some(self.scope.spawn(move || {
            WORKER.set(true);
            while fake.script.slice.is_some() && fake.turns.load(SeqCst) < turn {
                std::thread::yield_now();
            }
            work.run(slot);
        }));
        Ok(())
    }
    fn join(&mut self, slot: usize) {
        if let Some(thread) = self.running[slot].take() {
            thread.join().unwrap();
        }
    }
    fn stack_used(&self, _slot: usize) -> Option<Bytes> {
        None
    }
}

impl Platform for Fake {
    type Lock<T: Send> = FakeLock<T>;

    fn clock_hz(&self) -> u64 {
        1_000_000_000
    }
    fn now(&self) -> Ticks {
        Ticks(u64::try_from(self.began.elapsed().as_nanos()).unwrap())
    }
    fn mark(&self) -> Mark {
        Mark(0)
    }
    /// What the script says, so that a promise is broken at the same rung each time.
    fn since(&self, _mark: Mark) -> Ticks {
        Ticks(TOOK.get())
    }
    fn sleep(&self, time: Micros) {
        let time = Duration::from_micros(time.0);
        std::thread::sleep(time);
        if !WORKER.get() && self.script.slice.is_some_and(|slice| time >= slice) {
            self.turns.fetch_add(1, SeqCst);
        }
    }
    fn cpu_time(&self) -> Option<CpuTime> {
        let total = self.now().to_micros(self.clock_hz());
        (!self.script.no_cpu_time).then_some(CpuTime { busy: Micros(total.0 / 4), total })
    }
    fn cores(&self) -> u8 {
        1
    }
    fn arena(&self) -> ArenaStats {
        self.arena(|&mut (free, low, blocks)| ArenaStats {
            size: Bytes(self.size),
            free: Bytes(free),
            low_water: Bytes(low),
            largest: Bytes(free),
            blocks,
        })
    }
    fn arena_reset_low_water(&self) {
        self.arena(|(free, low, _)| *low = *free);
    }
    fn slots(&self) -> usize {
        self.slots
    }
    fn with_crew<W: Work, R>(&self, work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R {
        std::thread::scope(|scope| {
            let running = (0..self.slots).map(|_| None).collect();
            lead(&mut Threads { fake: self, work, scope, running })
        })
    }
    fn knob(&self, knob: Knob) -> &'static str {
        knob.symbol()
    }
    fn emit(&self, record: &dyn core::fmt::Display) {
        self.lines.lock().unwrap().push(record.to_string());
    }
    fn interrupted(&self) -> bool {
        self.interrupted.load(SeqCst)
    }
}
