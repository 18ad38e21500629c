//! One ramp: a thread an instance, each on its own slot.

use core::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use wramp_core::config::Config;
use wramp_core::measure::{Bytes, Counter, Micros, Ratio, Spread, Ticks, fairness, window_floor};
use wramp_core::platform::{Crew, Pin, Platform, StartError, Work};
use wramp_core::ramp::{Action, Demand, Event, Failure, Limit, Outcome, Plan, Ramp, predict_set};
use wramp_core::report::{Instance, Predict, Record, Step, Word};
use wramp_core::runtime::{Error, ErrorKind, Parameters, Runtime};

use crate::guest::{Check, Guest, Judge};
use crate::seat::{Phase, Seat};

/// Most modules side by side.
pub const MAX_MODULES: usize = 5;

/// How often a waiting controller looks up: a compromise between a prompt answer
/// and being the load that it measures.
const GLANCE: Micros = Micros(1_000);
/// Longest uninterruptible sleep.
const NAP: Micros = Micros(50_000);
/// No call has been seen yet.
const NO_FLOOR: u32 = u32::MAX;

/// The modules of a ramp.
pub enum Modules<'s, M> {
    /// Loaded once, shared by all instances; instance `n` is of module `n` mod their number.
    Shared(&'s [Option<M>]),
    /// Each instance loads a copy of its own.
    Private,
}

/// What a ramp is made of.
pub struct Climb<'s, 'm, P, R: Runtime + 'm, C, const N: usize> {
    /// The machine.
    pub platform: &'s P,
    /// The engine.
    pub runtime: &'s R,
    /// The knobs.
    pub config: &'s Config,
    /// Name of the ramp in the records.
    pub name: &'s str,
    /// What is ramped.
    pub guests: &'s [Guest<'s>],
    /// The loaded modules of `guests`, in their order.
    pub modules: Modules<'s, R::Module<'m>>,
    /// One a slot.
    pub seats: &'s [Seat<C, N>],
    /// When the run began.
    pub began: Ticks,
    /// Bucket that latencies count from, once a first call has told.
    floor: AtomicU32,
    /// Number of the dwell that goes on.
    dwell: AtomicU32,
}

/// How a ramp went.
#[derive(Clone, Copy, Debug)]
pub struct Result {
    /// Peak and limit.
    pub outcome: Outcome,
    /// What the first instance (of each module) predicted.
    pub predicted: Option<Outcome>,
    /// Arena bytes of the newest instance.
    pub cost: Option<Bytes>,
    /// Calls of all instances.
    pub calls: u64,
    /// Failed or wrong calls.
    pub errors: u64,
    /// Calls that the budget ended.
    pub over_budget: u64,
    /// Jain's index.
    pub fairness: Option<Ratio>,
    /// What kept the last instance from starting, if something did.
    pub failure: Option<Error>,
}

impl<'s, 'm, P: Platform, R: Runtime, C: Counter, const N: usize> Climb<'s, 'm, P, R, C, N> {
    /// A ramp that has not begun.
    #[allow(clippy::too_many_arguments)] // Its fields; a builder would only rename them.
    pub fn new(
        platform: &'s P,
        runtime: &'s R,
        config: &'s Config,
        name: &'s str,
        guests: &'s [Guest<'s>],
        modules: Modules<'s, R::Module<'m>>,
        seats: &'s [Seat<C, N>],
        began: Ticks,
    ) -> Self {
        Self {
            platform,
            runtime,
            config,
            name,
            guests,
            modules,
            seats,
            began,
            floor: AtomicU32::new(NO_FLOOR),
            dwell: AtomicU32::new(0),
        }
    }

    /// Climbs until something runs out, then stops, joins and reports every instance.
    pub fn climb(&self) -> Result {
        self.platform.with_crew(self, |threads| Lead::new(self, threads).drive())
    }

    fn guest(&self, id: usize) -> &Guest<'s> {
        &self.guests[id % self.guests.len()]
    }

    fn millis(&self) -> u32 {
        let ticks = self.platform.now().saturating_sub(self.began);
        u32::try_from(ticks.to_micros(self.platform.clock_hz()).0 / 1000).unwrap_or(u32::MAX)
    }

    /// One instance's life, on its own thread: returns when it was asked to stop.
    fn live(&self, slot: usize) -> core::result::Result<(), Error> {
        match self.modules {
            Modules::Shared(modules) => {
                let module = modules.get(slot % modules.len().max(1)).and_then(Option::as_ref);
                let missing = || Error::new(ErrorKind::Engine, "module is not loaded");
                self.inhabit(slot, module.ok_or_else(missing)?)
            }
            Modules::Private => {
                let own = self.runtime.load(self.guest(slot).source)?;
                self.inhabit(slot, &own)
            }
        }
    }

    /// The same in a module that is there.
    fn inhabit(&self, slot: usize, module: &R::Module<'_>) -> core::result::Result<(), Error> {
        let guest = self.guest(slot);
        let stack = self.config.wasm_stack;
        let thread = self.runtime.attach()?;
        let mut instance =
            self.runtime.instantiate(module, guest.export, guest.parameters, stack)?;
        let mut environment = self.runtime.environment(&thread, module, &instance, stack)?;
        self.serve(slot, |argument| {
            self.runtime.call(&mut environment, &mut instance, argument, self.config.budget)
        })
    }

    /// Calls until asked to stop. `Err` where not even the first call could be made.
    fn serve(
        &self,
        slot: usize,
        mut call: impl FnMut(i32) -> core::result::Result<i32, Error>,
    ) -> core::result::Result<(), Error> {
        let seat = &self.seats[slot];
        let guest = self.guest(slot);
        let id = u32::try_from(slot).unwrap_or(u32::MAX);
        let seed = seed_of(id);
        let mut judge = Judge::new(guest.check, id, seed);
        let from_ms = self.millis();
        let mut calls = 0_u32;
        while !seat.asked_to_stop() {
            let argument = match (guest.parameters, guest.check) {
                (Parameters::I32, Check::Reference { .. }) => seed.cast_signed(),
                _ => calls.cast_signed(),
            };

            let mark = self.platform.mark();
            let result = call(argument);
            let took = self.platform.since(mark);

            calls = calls.saturating_add(1);
            if let Err(error) = result
                && calls == 1
                && matches!(error.kind, ErrorKind::WasmStack | ErrorKind::NativeStack)
            {
                return Err(error); // No call can ever be made in this geometry.
            }
            seat.tally.record(took, self.floor_after(took), self.dwell.load(Relaxed));
            if !judge.accepts(calls, result) {
                seat.tally.error();
                seat.note(&result.err().unwrap_or_else(wrong_result));
            }
            if calls == 1 {
                seat.set_phase(Phase::Alive);
            }
            if self.config.pause_ms > 0 && !seat.asked_to_stop() {
                self.platform.sleep(Micros(u64::from(self.config.pause_ms) * 1000));
            }
        }
        seat.lived(from_ms, self.millis());
        Ok(())
    }

    /// The floor, set by the very first call: instances start one at a time.
    fn floor_after(&self, took: Ticks) -> u32 {
        match self.floor.load(Acquire) {
            NO_FLOOR => {
                let floor = window_floor::<N>(took);
                self.floor.store(floor, Release);
                floor
            }
            floor => floor,
        }
    }
}

fn wrong_result() -> Error {
    Error::new(ErrorKind::WrongResult, "result differs from the reference")
}

/// The seed of an instance: neighbours differ in half of their bits.
#[must_use]
pub(crate) fn seed_of(id: u32) -> u32 {
    id.wrapping_add(1).wrapping_mul(0x9E37_79B9)
}

impl<P: Platform, R: Runtime, C: Counter, const N: usize> Work for Climb<'_, '_, P, R, C, N> {
    fn run(&self, slot: usize) {
        let Some(seat) = self.seats.get(slot) else { return };
        match self.live(slot) {
            Ok(()) => seat.set_phase(Phase::Ended),
            Err(error) => {
                seat.note(&error);
                seat.set_phase(Phase::Failed);
            }
        }
    }
}

/// The controller: does what the state machine says.
struct Lead<'c, 's, 'm, P, R: Runtime, C, const N: usize> {
    climb: &'c Climb<'s, 'm, P, R, C, N>,
    threads: &'c mut dyn Crew,
    pin: Pin,
    slots: u32,
    alive: u32,
    lowest: Bytes,
    demands: heapless::Vec<Demand, MAX_MODULES>,
    predicted: Option<Outcome>,
    cost: Option<Bytes>,
    failure: Option<Error>,
    dwell_began: Ticks,
    dwell_cpu: Option<wramp_core::platform::CpuTime>,
    dwell_spread: Spread<N>,
}

impl<'c, 's, 'm, P: Platform, R: Runtime, C: Counter, const N: usize> Lead<'c, 's, 'm, P, R, C, N> {
    fn new(climb: &'c Climb<'s, 'm, P, R, C, N>, threads: &'c mut dyn Crew) -> Self {
        let platform = climb.platform;
        let seats = platform.slots().min(climb.seats.len());
        let set = u32::try_from(climb.guests.len()).unwrap_or(1).max(1);
        let slots = climb.config.slots.min(u32::try_from(seats).unwrap_or(u32::MAX));
        Self {
            climb,
            threads,
            pin: climb.config.pin,
            // Whole sets only: a mixed ramp compares like with like.
            slots: if slots >= set { slots - slots % set } else { slots },
            alive: 0,
            lowest: platform.arena().low_water,
            demands: heapless::Vec::new(),
            predicted: None,
            cost: None,
            failure: None,
            dwell_began: platform.now(),
            dwell_cpu: platform.cpu_time(),
            dwell_spread: Spread::new(),
        }
    }

    fn drive(mut self) -> Result {
        let config = self.climb.config;
        let mut ramp = Ramp::new(Plan { slots: self.slots, step: config.step, slo: config.slo });
        let mut action = ramp.next(Event::Begin);
        let mut told = false;
        loop {
            let event = match action {
                Action::Start(id) => self.start(id),
                Action::Settle => self.hold(config.settle_ms),
                Action::Dwell => {
                    self.begin_dwell();
                    self.hold(config.dwell_ms)
                }
                Action::Sample => self.sample(),
                Action::Stop => self.stop(),
                Action::Done(outcome) => return self.result(outcome),
            };
            action = ramp.next(event);
            if !told
                && self.climb.platform.interrupted()
                && !matches!(action, Action::Stop | Action::Done(_))
            {
                told = true;
                action = ramp.next(Event::Interrupt);
            }
        }
    }

    fn start(&mut self, id: u32) -> Event {
        let platform = self.climb.platform;
        let slot = id as usize;
        let seat = &self.climb.seats[slot];
        let before = platform.arena();
        self.lowest = self.lowest.min(before.low_water);
        platform.arena_reset_low_water();
        seat.prepare();
        if let Err(error) = self.threads.start(slot, self.pin) {
            seat.set_phase(Phase::Failed);
            self.failure = Some(Error::new(
                ErrorKind::Engine,
                match error {
                    StartError::NoSuchSlot => "no such slot",
                    StartError::Busy => "slot is busy",
                    StartError::NoSuchCore => "no such core",
                    StartError::Os(_) => "the system refused the thread",
                },
            ));
            return Event::Failed(Failure::Other);
        }
        while seat.phase() == Phase::Starting {
            platform.sleep(GLANCE);
        }
        if seat.phase() == Phase::Failed {
            self.threads.join(slot);
            self.failure = seat.error();
            let out_of_memory =
                self.failure.is_some_and(|error| error.kind == ErrorKind::OutOfMemory);
            return Event::Failed(if out_of_memory {
                Failure::OutOfMemory
            } else {
                Failure::Other
            });
        }
        self.alive = id + 1;
        let after = platform.arena();
        let cost = before.free.saturating_sub(after.free);
        self.cost = Some(cost);
        let need = before.free.saturating_sub(after.low_water);
        self.learn(Demand { cost, need }, after.free);
        // Fairness is judged over the time in which all ran together.
        self.climb.seats[..slot + 1].iter().for_each(Seat::mark_calls);
        Event::Alive
    }

    /// Predicts the end, once one instance of each module runs.
    fn learn(&mut self, demand: Demand, free: Bytes) {
        if self.predicted.is_some() || self.demands.push(demand).is_err() {
            return;
        }
        if self.demands.len() < self.climb.guests.len() {
            return;
        }
        let outcome = predict_set(free, &self.demands, self.slots);
        self.predicted = Some(outcome);
        let sum = |of: fn(&Demand) -> Bytes| {
            self.demands.iter().map(of).fold(Bytes(0), Bytes::saturating_add)
        };
        self.emit(Predict {
            workload: Word(self.climb.name),
            peak: outcome.peak,
            limit: outcome.limit,
            cost_bytes: sum(|demand| demand.cost),
            need_bytes: sum(|demand| demand.need),
            arena_free_bytes: free,
        });
    }

    fn hold(&self, millis: u32) -> Event {
        let platform = self.climb.platform;
        let mut left = Micros(u64::from(millis) * 1000);
        while left > Micros(0) && !platform.interrupted() {
            let nap = left.min(NAP);
            platform.sleep(nap);
            left = left.saturating_sub(nap);
        }
        Event::Elapsed
    }

    fn running(&self) -> &'s [Seat<C, N>] {
        &self.climb.seats[..self.alive as usize]
    }

    fn spread(&self) -> Spread<N> {
        let mut spread = Spread::new();
        self.running().iter().for_each(|seat| spread.add(&seat.tally));
        spread
    }

    fn begin_dwell(&mut self) {
        self.climb.dwell.store(self.climb.dwell.load(Relaxed).wrapping_add(1), Relaxed);
        self.dwell_spread = self.spread();
        self.dwell_cpu = self.climb.platform.cpu_time();
        self.dwell_began = self.climb.platform.now();
    }

    fn sample(&mut self) -> Event {
        let climb = self.climb;
        let platform = climb.platform;
        let hz = platform.clock_hz();
        // The dwell ends here; what follows may take its time.
        let dwell = platform.now().saturating_sub(self.dwell_began);
        let cpu = platform.cpu_time();
        let mut spread = self.spread().since(&self.dwell_spread);
        let window = climb.dwell.load(Relaxed);
        self.running().iter().for_each(|seat| spread.add_longest(&seat.tally, window));

        let latency = spread.latency(climb.floor.load(Acquire));
        let nanos = |ticks: Ticks| ticks.to_nanos(hz);
        let p99 = latency.map(|latency| nanos(latency.p99));
        let arena = platform.arena();
        self.lowest = self.lowest.min(arena.low_water);
        let sum = |of: fn(&Seat<C, N>) -> u32| {
            self.running().iter().map(|seat| u64::from(of(seat))).sum::<u64>()
        };
        self.emit(Step {
            workload: Word(climb.name),
            instances: self.alive,
            running: None,
            arena_free_bytes: arena.free,
            arena_low_bytes: self.lowest,
            arena_largest_bytes: arena.largest,
            arena_blocks: arena.blocks,
            cost_bytes: self.cost.unwrap_or_default(),
            cpu_permille: self.dwell_cpu.zip(cpu).and_then(|(then, now)| {
                let busy = now.busy.saturating_sub(then.busy).0;
                let total = now.total.saturating_sub(then.total).0;
                u32::try_from((busy.saturating_mul(1000) + total / 2).checked_div(total)?).ok()
            }),
            uptime_ms: u64::from(climb.millis()),
            dwell_us: nanos(dwell),
            dwell_calls: spread.calls(),
            calls: sum(|seat| seat.tally.calls()),
            errors: sum(|seat| seat.tally.errors()),
            latency_p50_us: latency.map(|latency| nanos(latency.p50)),
            latency_p99_us: p99,
            latency_max_us: latency.map(|latency| nanos(latency.max)),
            turnaround_p50_us: None,
            turnaround_p99_us: None,
            turnaround_max_us: None,
        });
        Event::Sampled(p99)
    }

    fn stop(&mut self) -> Event {
        self.running().iter().for_each(Seat::ask_to_stop);
        for slot in 0..self.alive as usize {
            self.threads.join(slot);
        }
        Event::Stopped
    }

    fn result(self, outcome: Outcome) -> Result {
        let hz = self.climb.platform.clock_hz();
        let (mut calls, mut errors, mut over_budget) = (0, 0, 0);
        for (id, seat) in self.running().iter().enumerate() {
            let mut spread = Spread::<N>::new();
            spread.add(&seat.tally);
            let latency = spread.latency(self.climb.floor.load(Acquire));
            let nanos = |ticks: Ticks| ticks.to_nanos(hz);
            let error = seat.error();
            calls += u64::from(seat.tally.calls());
            errors += u64::from(seat.tally.errors());
            over_budget += u64::from(seat.over_budget());
            let id_number = u32::try_from(id).unwrap_or(u32::MAX);
            self.emit(Instance {
                workload: Word(self.climb.guest(id).name),
                id: id_number,
                slot: id_number,
                alive_ms: u64::from(seat.alive_ms()),
                calls: seat.tally.calls(),
                errors: seat.tally.errors(),
                latency_p50_us: latency.map(|latency| nanos(latency.p50)),
                latency_p99_us: latency.map(|latency| nanos(latency.p99)),
                latency_max_us: latency.map(|latency| nanos(latency.max)),
                stack_used_bytes: self.threads.stack_used(id),
                result: Word(if seat.tally.errors() == 0 { "ok" } else { "bad" }),
                error: error.as_ref().map(|error| Word(error.kind.as_str())),
                message: error.as_ref().map(|error| Word(error.message.as_str())),
            });
        }
        Result {
            outcome,
            predicted: self.predicted,
            cost: self.cost,
            calls,
            errors,
            over_budget,
            fairness: fairness(self.running().iter().map(|seat| u64::from(seat.calls_since()))),
            failure: self.failure.filter(|_| outcome.limit != Limit::Slots),
        }
    }

    fn emit<'r>(&self, record: impl Into<Record<'r>>) {
        self.climb.platform.emit(&record.into());
    }
}
