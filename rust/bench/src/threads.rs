//! One ramp, a thread an instance: each on its own slot, with its own environment.

use wramp_core::measure::{Bytes, Counter, Micros, Nanos, Spread, Tally, fairness};
use wramp_core::platform::{Crew, Lock, Platform, StartError, Work};
use wramp_core::ramp::{Event, Failure, Limit};
use wramp_core::report::{Instance, Text, Word};
use wramp_core::runtime::{Error, ErrorKind, Parts, Runtime};

use crate::guest::{Check, Guest, Judge, seed_of};
use crate::lead::{
    Account, Climbed, Dwell, Figures, Herd, MAX_MODULES, Scale, Scene, Window, drive, report,
    report_parts,
};
use crate::seat::{Phase, Seat};

/// The modules of a ramp.
pub(crate) enum Modules<'s, M> {
    /// Loaded once, shared by all instances; instance `n` is of module `n` mod their number.
    Shared(&'s [Option<M>]),
    /// Each instance loads a copy of its own.
    Private,
}

/// A ramp of threads.
pub(crate) struct Threads<'s, 'm, P: Platform, R: Runtime + 'm, C, const N: usize> {
    pub(crate) scene: Scene<'s, P>,
    pub(crate) runtime: &'s R,
    /// What is ramped.
    pub(crate) guests: &'s [Guest<'s>],
    /// The loaded modules of `guests`, in their order.
    pub(crate) modules: Modules<'s, R::Module<'m>>,
    /// One a slot.
    pub(crate) seats: &'s [Seat<C, N>],
    pub(crate) scale: Scale,
    /// What the newest of the first instances is made of, for the controller.
    pub(crate) parts: P::Lock<Option<Parts>>,
}

impl<'s, P: Platform, R: Runtime, C: Counter, const N: usize> Threads<'s, '_, P, R, C, N> {
    /// Climbs until something runs out, then stops, joins and reports every instance.
    #[inline(never)] // Its histograms shall not lie below a load.
    pub(crate) fn climb(&self) -> Climbed {
        let platform = self.scene.platform;
        platform.with_crew(self, |crew| {
            let slots = self.slots();
            let mut lead = Lead {
                threads: self,
                crew,
                account: Account::open(platform, self.guests.len(), slots),
                alive: 0,
                failure: None,
                dwell: Dwell::begin(platform),
                window: Window::new(),
            };
            let outcome = drive(&self.scene, slots, &mut lead);
            let (calls, errors, over_budget) = lead.report_instances();
            let running = lead.running();
            Climbed {
                outcome,
                predicted: lead.account.predicted,
                cost: lead.account.cost,
                calls,
                errors,
                over_budget,
                stack_used: (0..running.len()).filter_map(|slot| lead.crew.stack_used(slot)).max(),
                fairness: fairness(running.iter().map(|seat| u64::from(seat.calls_since()))),
                failure: lead.failure.filter(|_| outcome.limit != Limit::Slots),
            }
        })
    }

    /// Slots that there are, in whole sets: a mixed ramp compares like with like.
    fn slots(&self) -> u32 {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let there = count(self.scene.platform.slots().min(self.seats.len()));
        let slots = self.scene.config.slots.min(there);
        let set = count(self.guests.len()).max(1);
        if slots >= set { slots - slots % set } else { slots }
    }

    fn guest(&self, id: usize) -> &Guest<'s> {
        &self.guests[id % self.guests.len()]
    }

    /// One instance's life, on its own thread: returns when it was asked to stop.
    fn live(&self, slot: usize) -> Result<(), Error> {
        if slot < self.guests.len() {
            self.runtime.note_parts();
        }
        match self.modules {
            Modules::Shared(modules) => {
                let module = modules.get(slot % modules.len().max(1)).and_then(Option::as_ref);
                match module {
                    Some(module) => self.inhabit(slot, module),
                    None => not_loaded(),
                }
            }
            Modules::Private => self.live_alone(slot),
        }
    }

    /// Not inlined, as the two below: what it keeps would be on every instance's stack.
    #[inline(never)]
    fn live_alone(&self, slot: usize) -> Result<(), Error> {
        let own = self.runtime.load(self.guest(slot).source)?;
        self.inhabit(slot, &own)
    }

    /// Leaves the parts of one of the first instances to the controller.
    #[inline(never)]
    fn leave_parts(
        &self,
        instance: &R::Instance<'_>,
        environment: &R::Environment<'_>,
        stack: Bytes,
    ) {
        let parts = self.runtime.parts(instance, Some((environment, stack)));
        self.parts.with(|shared| *shared = parts);
    }

    /// The interpreter stack of the instance in that slot.
    fn stack(&self, slot: usize) -> Bytes {
        self.scene.stacks[slot % self.guests.len().clamp(1, MAX_MODULES)]
    }

    /// The same in a module that is there.
    fn inhabit(&self, slot: usize, module: &R::Module<'_>) -> Result<(), Error> {
        let guest = self.guest(slot);
        let stack = self.stack(slot);
        let thread = self.runtime.attach()?;
        let mut instance =
            self.runtime.instantiate(module, guest.export, guest.parameters, stack)?;
        let mut environment = self.runtime.environment(&thread, module, &instance, stack)?;
        if slot < self.guests.len() {
            self.leave_parts(&instance, &environment, stack);
        }
        let budget = self.scene.config.budget;
        self.serve(slot, |argument| {
            self.runtime.call(&mut environment, &mut instance, argument, budget)
        })
    }

    /// Calls until asked to stop. `Err` where not even the first call could be made.
    fn serve(
        &self,
        slot: usize,
        mut call: impl FnMut(i32) -> Result<i32, Error>,
    ) -> Result<(), Error> {
        let platform = self.scene.platform;
        let seat = &self.seats[slot];
        let guest = self.guest(slot);
        let id = u32::try_from(slot).unwrap_or(u32::MAX);
        let mut judge = Judge::new(seed_of(id));
        let from_ms = self.scene.millis();
        let mut calls = 0_u32;
        while !seat.asked_to_stop() {
            let argument = guest.argument(&judge, calls);

            let mark = platform.mark();
            let result = call(argument);
            let took = platform.since(mark);

            calls = calls.saturating_add(1);
            if let Err(error) = result
                && calls == 1
                && matches!(error.kind, ErrorKind::WasmStack | ErrorKind::NativeStack)
            {
                return Err(error); // No call can ever be made in this geometry.
            }
            self.scale.record(&seat.tally, took);
            if !judge.accepts(&guest.check, id == 0, calls, result) {
                seat.tally.error();
                seat.note(&result.err().unwrap_or_else(|| wrong_result(&guest.check)));
            }
            if calls == 1 {
                seat.set_phase(Phase::Alive);
            }
            let pause = self.scene.config.pause_ms;
            if pause > 0 && !seat.asked_to_stop() {
                platform.sleep(Micros(u64::from(pause) * 1000));
            }
        }
        seat.lived(from_ms, self.scene.millis());
        Ok(())
    }
}

#[cold]
#[inline(never)]
fn not_loaded() -> Result<(), Error> {
    Err(Error::new(ErrorKind::Engine, "module is not loaded"))
}

#[cold]
#[inline(never)]
pub(crate) fn wrong_result(check: &Check<'_>) -> Error {
    Error::new(
        ErrorKind::WrongResult,
        match check {
            Check::Reference { .. } => "result differs from the reference",
            Check::Agreement(_) => "result differs from the first instance",
        },
    )
}

impl<P: Platform, R: Runtime, C: Counter, const N: usize> Work for Threads<'_, '_, P, R, C, N> {
    fn run(&self, slot: usize) {
        let Some(seat) = self.seats.get(slot) else { return };
        match &self.live(slot) {
            Ok(()) => seat.set_phase(Phase::Ended),
            Err(error) => {
                seat.note(error);
                seat.set_phase(Phase::Failed);
            }
        }
    }
}

struct Lead<'c, 's, 'm, P: Platform, R: Runtime, C, const N: usize> {
    threads: &'c Threads<'s, 'm, P, R, C, N>,
    crew: &'c mut dyn Crew,
    account: Account,
    alive: u32,
    failure: Option<Error>,
    dwell: Dwell,
    window: Window<N>,
}

impl<'s, P: Platform, R: Runtime, C: Counter, const N: usize> Lead<'_, 's, '_, P, R, C, N> {
    fn running(&self) -> &'s [Seat<C, N>] {
        &self.threads.seats[..self.alive as usize]
    }

    fn tallies(&self) -> impl Iterator<Item = &'s Tally<C, N>> + Clone + use<'s, P, R, C, N> {
        self.running().iter().map(|seat| &seat.tally)
    }

    /// Reports each instance's life; calls, errors and calls over budget of all.
    fn report_instances(&self) -> (u64, u64, u64) {
        let scene = &self.threads.scene;
        let (mut calls, mut errors, mut over_budget) = (0, 0, 0);
        for (id, seat) in self.running().iter().enumerate() {
            let mut spread = Spread::<N>::new();
            spread.add(&seat.tally);
            let latency = self.threads.scale.latency(&spread);
            let error = seat.error();
            calls += u64::from(seat.tally.calls());
            errors += u64::from(seat.tally.errors());
            over_budget += u64::from(seat.over_budget());
            let number = u32::try_from(id).unwrap_or(u32::MAX);
            scene.emit(Instance {
                workload: Word(self.threads.guest(id).name),
                id: number,
                slot: Some(number),
                alive_ms: u64::from(seat.alive_ms()),
                calls: seat.tally.calls(),
                errors: seat.tally.errors(),
                latency_mean_us: None,
                latency_min_us: None,
                latency_p50_us: latency.map(|latency| scene.nanos(latency.p50)),
                latency_p99_us: latency.map(|latency| scene.nanos(latency.p99)),
                latency_max_us: latency.map(|latency| scene.nanos(latency.max)),
                stack_used_bytes: self.crew.stack_used(id),
                result: Word(if seat.tally.errors() == 0 { "ok" } else { "bad" }),
                error: error.as_ref().map(|error| Word(error.kind.as_str())),
                message: error.as_ref().map(|error| Text::new(error.message.as_str())),
            });
        }
        (calls, errors, over_budget)
    }
}

/// Why a slot's thread did not start, as an error of the engine's kind.
pub(crate) fn start_error(error: StartError) -> Error {
    let message = match error {
        StartError::NoSuchSlot => "no such slot",
        StartError::Busy => "slot is busy",
        StartError::NoSuchCore => "no such core",
        StartError::Os(_) => "the system refused the thread",
    };
    Error::new(ErrorKind::Engine, message)
}

/// What a failure means for the ramp.
pub(crate) fn failed(error: Option<Error>) -> Event {
    Event::Failed(match error {
        Some(Error { kind: ErrorKind::OutOfMemory, .. }) => Failure::OutOfMemory,
        _ => Failure::Other,
    })
}

impl<P: Platform, R: Runtime, C: Counter, const N: usize> Herd for Lead<'_, '_, '_, P, R, C, N> {
    fn start(&mut self, id: u32) -> Event {
        let scene = &self.threads.scene;
        let slot = id as usize;
        let seat = &self.threads.seats[slot];
        self.account.before(scene.platform);
        seat.prepare();
        if let Err(error) = self.crew.start(slot, scene.config.pin) {
            seat.set_phase(Phase::Failed);
            self.failure = Some(start_error(error));
            return failed(self.failure);
        }
        if scene.wait(|| seat.started()) == Phase::Failed {
            self.crew.join(slot);
            self.failure = seat.error();
            return failed(self.failure);
        }
        self.alive = id + 1;
        let demand = self.account.after(scene.platform);
        if let Some(parts) = self.threads.parts.with(Option::take) {
            report_parts(scene, self.threads.guest(slot).name, &parts, demand.cost);
        }
        self.account.learn(scene, demand);
        // Fairness is judged over the time in which all ran together.
        self.running().iter().for_each(Seat::mark_calls);
        Event::Alive
    }

    fn begin_dwell(&mut self) {
        let tallies = self.tallies();
        self.window.begin(&self.threads.scale, tallies);
        self.dwell = Dwell::begin(self.threads.scene.platform);
    }

    fn sample(&mut self) -> Option<Nanos> {
        let scene = &self.threads.scene;
        let dwell = self.dwell.end(scene.platform);
        let (dwell_calls, latency) = self.window.end(&self.threads.scale, self.tallies());
        let sum = |of: fn(&Tally<C, N>) -> u32| self.tallies().map(|t| u64::from(of(t))).sum();
        let figures = Figures {
            instances: self.alive,
            running: None,
            dwell_calls,
            calls: sum(Tally::calls),
            errors: sum(Tally::errors),
            latency,
            turnaround: None,
        };
        report(scene, &mut self.account, dwell, &figures);
        latency.map(|latency| scene.nanos(latency.p99))
    }

    fn stop(&mut self) {
        self.running().iter().for_each(Seat::ask_to_stop);
        for slot in 0..self.alive as usize {
            self.crew.join(slot);
        }
    }
}
