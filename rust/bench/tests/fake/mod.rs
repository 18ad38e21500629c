//! A machine and an engine in plain Rust that fail on command.

use std::any::Any;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use wramp_bench::{Check, Count, Guest, Memory, Seat, Summary, sample_words, table_words};
use wramp_core::config::{Config, Knob};
use wramp_core::machine::{ArenaStats, CpuTime, Facts, Lock, Machine, Mark};
use wramp_core::measure::{ALL_BUCKETS, Bytes, Counts, Micros, Ticks};
use wramp_core::report::Record;
use wramp_core::runtime::{
    Artefact, Error, ErrorKind, ModuleBytes, Parameters, Parts, Runtime, StackKind,
};
use wramp_core::slots::{Crew, Slots, StartError, Work};

/// Arena bytes of a module, of an instance and of a stack.
pub(crate) const MODULE: u32 = 1_000;
pub(crate) const INSTANCE: u32 = 300;
pub(crate) const STACK: u32 = 200;

/// Ticks per second: the clock counts nanoseconds.
const HZ: u64 = 1_000_000_000;
/// The most residents of a pool.
pub(crate) const RESIDENTS: usize = 64;

/// How the machine's clock runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Clock {
    /// In real time, but a call takes [`TICKS_EACH`] for each instance that lives. A promise
    /// therefore breaks at the same rung each time.
    #[default]
    Real,
    /// That many times faster than real time.
    Fast(u32),
    /// Only calls advance it, by a fixed number of ticks each. It begins at `from`, and what
    /// [`Machine::since`] counts has 32 bits.
    Calls { from: u64, each: u64 },
    /// It never advances.
    Still,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Script {
    /// Loading fails.
    pub(crate) load: Option<ErrorKind>,
    /// Instantiation number `n` (from 0) fails.
    pub(crate) instantiate: Option<(u32, ErrorKind)>,
    /// Creation of stack number `n` (from 0) fails.
    pub(crate) stack: Option<(u32, ErrorKind)>,
    /// Call number `n` (from 1) of each instance fails. 0 means every call.
    pub(crate) call: Option<(u32, ErrorKind)>,
    /// Call number `n` (from 1) of each instance returns a wrong result.
    pub(crate) lie: Option<u32>,
    /// Instance number `n` (from 0) returns a wrong result from every call.
    pub(crate) liar: Option<u32>,
    /// A call that does not return.
    pub(crate) hang: Option<Hang>,
    /// The machine can end a thread wherever it is.
    pub(crate) aborts: bool,
    /// Bytes that every instance keeps when it is dropped.
    pub(crate) leak: u32,
    /// The machine does not start the thread of this slot.
    pub(crate) start: Option<(usize, StartError)>,
    /// The machine is interrupted when this slot starts.
    pub(crate) interrupt: Option<usize>,
    /// The machine does not report CPU time.
    pub(crate) no_cpu_time: bool,
    /// Threads that never sleep share one core in slices of that length. Each time the
    /// controller wakes up, the running thread gets a new slice.
    pub(crate) slice: Option<Duration>,
    /// How its clock runs.
    pub(crate) clock: Clock,
}

/// Which calls do not return.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hang {
    /// The instance (from 0), or all of them.
    pub(crate) instance: Option<u32>,
    /// The call's number (from 1).
    pub(crate) call: u32,
    /// The machine is interrupted when it reaches this call.
    pub(crate) interrupts: bool,
}

/// The machine.
pub(crate) struct Fake {
    script: Script,
    slots: usize,
    began: Instant,
    /// The time of [`Clock::Calls`].
    ticks: AtomicU64,
    arena: Mutex<(u32, u32, u32)>,
    size: u32,
    lines: Mutex<Vec<String>>,
    interrupted: AtomicBool,
    /// Sleeps of the controller in which a slice ended, plus one.
    turns: AtomicU32,
    instances: AtomicU32,
    stacks: AtomicU32,
    live: AtomicU32,
    /// Slots whose threads end where they hang.
    ended: Mutex<Vec<usize>>,
    /// Whether all threads that hang must end, because the program does.
    over: AtomicBool,
}

thread_local! {
    /// The time on the clock of this thread's last call.
    static TOOK: Cell<u64> = const { Cell::new(1) };
    /// The slot that this thread is on.
    static SLOT: Cell<Option<usize>> = const { Cell::new(None) };
    /// Whether this thread was aborted. What it owns is not given back.
    static ABORTED: Cell<bool> = const { Cell::new(false) };
}

/// Ticks of a call for each instance that lives.
pub(crate) const TICKS_EACH: u64 = 100_000;

/// The end of the program with that status. The test catches it.
struct GaveUp(u32);

/// The result of a run.
pub(crate) struct Ran {
    pub(crate) lines: Vec<String>,
    /// `None` if the machine gave up.
    pub(crate) summary: Option<Summary>,
    /// The status that the machine gave up with.
    pub(crate) gave_up: Option<u32>,
}

impl Fake {
    pub(crate) fn new(config: &Config, script: Script) -> Self {
        let size = config.arena.0;
        let from = match script.clock {
            Clock::Calls { from, .. } => from,
            _ => 0,
        };
        Self {
            script,
            slots: config.slots as usize,
            began: Instant::now(),
            ticks: AtomicU64::new(from),
            arena: Mutex::new((size, size, 0)),
            size,
            lines: Mutex::new(Vec::new()),
            interrupted: AtomicBool::new(false),
            turns: AtomicU32::new(1),
            instances: AtomicU32::new(0),
            stacks: AtomicU32::new(0),
            live: AtomicU32::new(0),
            ended: Mutex::new(Vec::new()),
            over: AtomicBool::new(false),
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

    /// Does not return. It ends the thread if the machine can do so or if the program ends.
    fn hang(&self, hang: Hang) -> ! {
        if hang.interrupts {
            self.interrupted.store(true, SeqCst);
        }
        loop {
            std::thread::sleep(Duration::from_millis(1));
            let slot = SLOT.get().expect("the controller hangs");
            if self.over.load(SeqCst) || self.ended.lock().unwrap().contains(&slot) {
                ABORTED.set(true);
                resume_unwind(Box::new("aborted"));
            }
        }
    }

    /// Runs with an engine whose start had the result `engine`.
    pub(crate) fn run_with<const METERS: bool, const SHARES: bool>(
        &self,
        config: &Config,
        guests: &[Guest<'_>],
        engine: Result<(), Error>,
    ) -> Ran {
        let seats: Vec<Seat<_>> = (0..2 * self.slots.max(1)).map(|_| Seat::new()).collect();
        let words = table_words::<FakeEngine<'static, METERS, SHARES>>(RESIDENTS);
        let mut table = vec![MaybeUninit::uninit(); words];
        let starts: Vec<_> = (0..sample_words(RESIDENTS)).map(|_| AtomicU32::new(0)).collect();
        let memory = Memory { seats: &seats, table: &mut table, starts: &starts };
        let started = FakeEngine::<'_, METERS, SHARES>(self);
        let engine = engine.map(|()| &started);
        let mut slots = FakeSlots(self);
        let run =
            AssertUnwindSafe(|| wramp_bench::run(self, &mut slots, engine, config, guests, memory));
        let status = |end: Box<dyn Any + Send>| match end.downcast::<GaveUp>() {
            Ok(status) => status.0,
            Err(panic) => resume_unwind(panic),
        };
        let ended = catch_unwind(run).map_err(status);
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ran { lines, summary: ended.as_ref().ok().copied(), gave_up: ended.err() }
    }
}

/// Bytes of the arena that are held.
pub(crate) struct Held<'f> {
    fake: &'f Fake,
    bytes: u32,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if ABORTED.get() {
            return;
        }
        self.fake.arena(|(free, _, blocks)| {
            *free += self.bytes;
            *blocks -= 1;
        });
    }
}

/// An instance: its number in the order of instantiation, and its calls.
pub(crate) struct FakeInstance<'f> {
    held: Held<'f>,
    id: u32,
    calls: u32,
}

impl Drop for FakeInstance<'_> {
    fn drop(&mut self) {
        if ABORTED.get() {
            return;
        }
        self.held.bytes -= self.held.fake.script.leak;
        self.held.fake.live.fetch_sub(1, SeqCst);
    }
}

/// A guest that returns the number of the call.
pub(crate) const GUEST: Guest<'static> = Guest {
    name: "count",
    module: ModuleBytes::Static(b"module"),
    export: "run",
    parameters: Parameters::None,
    check: Check::Reference {
        next: |state| {
            state.calls += 1;
            state.calls.cast_signed()
        },
        varies: true,
    },
    count: Count::Most,
    budget: None,
};

/// An engine that meters or not, and that shares stacks or not.
pub(crate) struct FakeEngine<'f, const METERS: bool, const SHARES: bool>(&'f Fake);

impl<'f, const METERS: bool, const SHARES: bool> Runtime for FakeEngine<'f, METERS, SHARES> {
    type Module<'r>
        = Held<'r>
    where
        Self: 'r;
    type Instance<'m>
        = FakeInstance<'m>
    where
        Self: 'm;
    type Stack<'m>
        = Held<'m>
    where
        Self: 'm;

    fn facts() -> wramp_core::runtime::Facts {
        wramp_core::runtime::Facts {
            name: "fake",
            version: "0",
            interpreter: "none",
            interpreter_opt: None,
            block_cache: None,
            aot: None,
            fixes: "none",
            artefact: Artefact::Wasm,
            copies_modules: false,
            meters: METERS,
            stack: StackKind::Reserved,
            shares_stack: SHARES,
            stack_guard: Bytes(0),
            survives_out_of_memory: true,
        }
    }

    fn note(&self, _place: usize) {}
    fn noted(
        &self,
        _instance: &FakeInstance<'_>,
        _stack: Option<(&Held<'_>, Bytes)>,
    ) -> Option<Parts> {
        None
    }
    fn how_many_more(&self, _places: usize, _most: u32) -> Option<u32> {
        None
    }

    fn load<'r>(&'r self, _bytes: ModuleBytes<'_>) -> Result<Held<'r>, Error> {
        if let Some(kind) = self.0.script.load {
            return Err(Error::new(kind, "as the script says"));
        }
        self.0.take(MODULE)
    }

    fn instantiate<'m>(
        &'m self,
        _module: &'m Held<'_>,
        export: &str,
        _parameters: Parameters,
        _stack: Bytes,
    ) -> Result<FakeInstance<'m>, Error> {
        assert_eq!(export, "run");
        let fake = self.0;
        let id = fake.instances.fetch_add(1, SeqCst);
        let held = fake.script(fake.script.instantiate, id, fake.take(INSTANCE)?)?;
        fake.live.fetch_add(1, SeqCst);
        Ok(FakeInstance { held, id, calls: 0 })
    }

    fn stack<'m>(
        &'m self,
        _module: &'m Held<'_>,
        _first: &FakeInstance<'_>,
        _size: Bytes,
    ) -> Result<Held<'m>, Error> {
        let fake = self.0;
        let id = fake.stacks.fetch_add(1, SeqCst);
        fake.script(fake.script.stack, id, fake.take(STACK)?)
    }

    fn call(
        &self,
        _stack: &mut Held<'_>,
        instance: &mut FakeInstance<'_>,
        _argument: i32,
        budget: Option<u32>,
    ) -> Result<i32, Error> {
        let fake = self.0;
        let script = &fake.script;
        std::thread::sleep(Duration::from_micros(100));
        TOOK.set(TICKS_EACH * u64::from(fake.live.load(SeqCst)));
        if let Clock::Calls { each, .. } = script.clock {
            fake.ticks.fetch_add(each, SeqCst);
        }
        instance.calls += 1;
        if let Some(hang) = script.hang
            && hang.call == instance.calls
            && hang.instance.is_none_or(|id| id == instance.id)
        {
            match budget {
                Some(_) if METERS => return Err(Error::new(ErrorKind::Budget, "used up")),
                _ => fake.hang(hang),
            }
        }
        match script.call {
            Some((at, kind)) if at == 0 || at == instance.calls => {
                return Err(Error::new(kind, "as the script says"));
            }
            _ => {}
        }
        let lies = script.lie == Some(instance.calls) || script.liar == Some(instance.id);
        Ok(instance.calls.cast_signed() - i32::from(lies))
    }
}

/// A mutex of the standard library.
pub(crate) struct FakeLock<T>(Mutex<T>);

impl<T: Send> Lock<T> for FakeLock<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }
    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The machine's stacks.
struct FakeSlots<'f>(&'f Fake);

impl Slots for FakeSlots<'_> {
    fn count(&self) -> usize {
        self.0.slots
    }
    fn real_size(&self) -> Bytes {
        Bytes(8192)
    }
    fn with_crew<W: Work, R>(&mut self, work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R {
        let fake = self.0;
        std::thread::scope(|scope| {
            let running = (0..fake.slots).map(|_| None).collect();
            lead(&mut Threads { fake, work, scope, running })
        })
    }
}

struct Threads<'scope, 'env, W> {
    fake: &'env Fake,
    work: &'env W,
    scope: &'scope Scope<'scope, 'env>,
    running: Vec<Option<ScopedJoinHandle<'scope, ()>>>,
}

impl<W: Work> Crew for Threads<'_, '_, W> {
    fn start(&mut self, slot: usize, core: Option<u8>) -> Result<(), StartError> {
        assert!(core.is_none_or(|core| core == 0), "there is one core");
        match self.fake.script.start {
            Some((at, error)) if at == slot => return Err(error),
            _ => {}
        }
        if self.fake.script.interrupt == Some(slot) {
            self.fake.interrupted.store(true, SeqCst);
        }
        assert!(self.running[slot].is_none(), "a slot was started before it was joined");
        let (fake, work) = (self.fake, self.work);
        // The first thread to run gets the core at once, and every other one when a slice ends.
        let turn = fake.turns.load(SeqCst) + u32::from(slot > 0);
        self.running[slot] = Some(self.scope.spawn(move || {
            SLOT.set(Some(slot));
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
    fn abort(&mut self, slot: usize) -> bool {
        if self.fake.script.aborts
            && let Some(thread) = self.running[slot].take()
        {
            self.fake.ended.lock().unwrap().push(slot);
            assert!(thread.join().is_err(), "a thread was aborted that returns");
        }
        self.fake.script.aborts
    }
    fn stack_used(&self, _slot: usize) -> Option<Bytes> {
        None
    }
}

impl Machine for Fake {
    type Lock<T: Send> = FakeLock<T>;
    type Tally = Counts<AtomicU32, ALL_BUCKETS>;
    const SINCE_IS_WHOLE: bool = false;
    type Block<'m> = [u8; 0];
    const POOLS: bool = true;
    const MIXES: bool = true;

    fn facts(&self) -> Facts<'_> {
        Facts {
            board: "fake",
            os: "none",
            clock_hz: HZ,
            cores: 1,
            rustc: "0",
            cc: None,
            arena_at: None,
            libc_heap: None,
            block_unit: Bytes(1),
            block_header: Bytes(0),
            least_slot_stack: Bytes(2048),
            slice_ms: None,
        }
    }
    fn now(&self) -> Ticks {
        let elapsed = u64::try_from(self.began.elapsed().as_nanos()).unwrap();
        Ticks(match self.script.clock {
            Clock::Real => elapsed,
            Clock::Fast(times) => elapsed * u64::from(times),
            Clock::Calls { .. } => self.ticks.load(SeqCst),
            Clock::Still => 1_000,
        })
    }
    fn clock_runs(&self) -> bool {
        match self.script.clock {
            // No call is made while the bench asks.
            Clock::Calls { .. } => true,
            _ => {
                let began = self.now();
                (0..1 << 16).any(|_| self.now() > began)
            }
        }
    }
    fn mark(&self) -> Mark {
        Mark(u64::from(self.now().0 as u32))
    }
    fn since(&self, mark: Mark) -> Ticks {
        match self.script.clock {
            Clock::Calls { .. } => {
                Ticks(u64::from((self.now().0 as u32).wrapping_sub(mark.0 as u32)))
            }
            Clock::Still => Ticks(0),
            _ => Ticks(TOOK.get()),
        }
    }
    fn sleep(&self, time: Micros) {
        let time = Duration::from_micros(match self.script.clock {
            Clock::Fast(times) => time.0.div_ceil(u64::from(times)),
            _ => time.0,
        });
        let began = Instant::now();
        loop {
            let left = time.saturating_sub(began.elapsed());
            if left.is_zero() || (self.interrupted() && began.elapsed() > Duration::ZERO) {
                break;
            }
            std::thread::sleep(left.min(Duration::from_millis(10)));
        }
        if SLOT.get().is_none() && self.script.slice.is_some_and(|slice| time >= slice) {
            self.turns.fetch_add(1, SeqCst);
        }
    }
    fn cpu_time(&self) -> Option<CpuTime> {
        let total = self.now().to_micros(HZ);
        (!self.script.no_cpu_time).then_some(CpuTime { busy: Micros(total.0 / 4), total })
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
    fn knob(&self, knob: Knob) -> Option<&'static str> {
        knob.symbol()
    }
    fn emit(&self, record: &Record<'_>) {
        self.lines.lock().unwrap().push(record.to_string());
    }
    fn interrupted(&self) -> bool {
        self.interrupted.load(SeqCst)
    }
    fn give_up(&self, status: u32) -> ! {
        self.over.store(true, SeqCst);
        resume_unwind(Box::new(GaveUp(status)))
    }
}
