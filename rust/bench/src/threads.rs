//! One ramp with a thread per instance, on its own slot and interpreter stack.

use core::num::NonZeroU32;

use wramp_core::config::Scenario;
use wramp_core::machine::{Lock, Machine};
use wramp_core::measure::{Bytes, Micros, Nanos, Spread as _, Tally, fairness};
use wramp_core::ramp::{Event, Failure, Limit};
use wramp_core::report::{Instance, Member, Text, Word};
use wramp_core::runtime::{Error, ErrorKind, Parts, Runtime};
use wramp_core::slots::{Crew, Slots, StartError, Work};

use crate::guest::{Check, Guest, Judge, seed_of};
use crate::lead::{
    Account, Climbed, Dwell, Figures, Herd, MAX_MODULES, Scale, Scene, Window, drive, report,
    report_parts, stuck_error,
};
use crate::lineup::{Count, Lineup};
use crate::office::{Hall, queue_bytes};
use crate::run::{give_up, load_module};
use crate::seat::{Phase, Seat};
use crate::starts::{self, Begun};

/// The modules of a ramp.
pub(crate) enum Modules<'s, M> {
    /// Loaded once and shared by all instances, in the order of the guests.
    Shared(&'s [Option<M>]),
    /// Each instance loads its own copy.
    Private,
}

/// A ramp of threads.
pub(crate) struct ThreadRamp<'s, 'm, M: Machine, R: Runtime + 'm> {
    pub(crate) scene: Scene<'s, M>,
    pub(crate) runtime: &'s R,
    /// The guests to ramp.
    pub(crate) guests: &'s [Guest<'s>],
    /// Which of them each instance is of.
    pub(crate) lineup: Lineup<'s>,
    /// The loaded modules of `guests`, in the same order.
    pub(crate) modules: Modules<'s, R::Module<'m>>,
    /// One per slot.
    pub(crate) seats: &'s [Seat<M::Tally>],
    pub(crate) scale: Scale,
    /// What instances leave for the controller.
    pub(crate) left: M::Lock<Left>,
    /// Where the guests' calls go, if they have a host.
    pub(crate) hall: Option<Hall<'s>>,
}

/// Errors whose words are kept. Of later errors only the kind is kept.
const WORDS: usize = 4;

/// What instances leave for the controller, under a lock.
#[derive(Default)]
pub(crate) struct Left {
    /// The parts of the newest of the first instances.
    parts: Option<Parts>,
    /// The first error of each of the first slots that had one.
    errors: heapless::Vec<(usize, Error), WORDS>,
    /// Why the newest instance did not start.
    failure: Option<Error>,
}

impl<'s, M: Machine, R: Runtime> ThreadRamp<'s, '_, M, R> {
    /// Climbs until something runs out. Then stops, joins and reports every instance.
    #[inline(never)] // Load and climb run one after the other, so they share the stack.
    pub(crate) fn climb<S: Slots>(&self, slots: &mut S) -> Climbed {
        let most = self.slots(slots.count());
        slots.with_crew(self, |crew| {
            let mut lead = Lead {
                ramp: self,
                crew,
                account: Account::open(
                    self.scene.machine,
                    self.fixed(),
                    self.guests_in_turns(),
                    most,
                ),
                alive: 0,
                failure: None,
                stuck: None,
                lost: false,
                costs: [None; MAX_MODULES],
                dwell: Dwell::begin(self.scene.machine),
                window: Window::new(),
            };
            let outcome = drive(&self.scene, most, &mut lead);
            let (calls, errors, over_budget) = lead.report_instances();
            if M::MIXES && self.scene.config.scenario == Scenario::Mix {
                lead.report_members();
            }
            let running = lead.running();
            let climbed = Climbed {
                outcome,
                predicted: lead.account.predicted,
                cost: lead.account.cost,
                calls,
                errors,
                over_budget,
                stack_used: (0..running.len()).filter_map(|slot| lead.crew.stack_used(slot)).max(),
                fairness: fairness(running.iter().map(|seat| u64::from(seat.calls_since()))),
                failure: lead.failure.filter(|_| outcome.limit != Limit::Slots),
                stuck: None,
            }
            .with_stuck(lead.stuck);
            if lead.lost {
                // A thread goes on, and it borrows what a return would free.
                give_up(&self.scene, &climbed);
            }
            climbed
        })
    }

    /// The available slots. The scenario `mixed` takes whole sets of them, because it compares
    /// like with like. A mix takes as many as it asks for.
    fn slots(&self, there: usize) -> u32 {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let slots = self.scene.config.slots.min(count(there.min(self.seats.len())));
        if M::MIXES && self.scene.config.scenario == Scenario::Mix {
            return self.lineup.end().map_or(slots, |end| end.min(slots));
        }
        let set = count(self.guests.len()).max(1);
        if slots >= set { slots - slots % set } else { slots }
    }

    /// A second seat for each slot, or none.
    pub(crate) fn waking_seats(&self) -> &'s [Seat<M::Tally>] {
        let half = self.seats.len() / 2;
        match self.hall.filter(|_| M::HOSTS) {
            Some(_) if half >= self.scene.config.slots as usize => &self.seats[half..],
            _ => &[],
        }
    }

    /// The instances that come before those whose guests take turns.
    fn fixed(&self) -> u32 {
        if M::MIXES { self.lineup.fixed() } else { 0 }
    }

    /// How many guests take turns.
    fn guests_in_turns(&self) -> usize {
        if M::MIXES { self.lineup.open() } else { self.guests.len() }
    }

    /// The index of the guest of the instance in that slot.
    fn guest_of(&self, slot: usize) -> usize {
        match u32::try_from(slot) {
            Ok(id) if M::MIXES => self.lineup.guest(id),
            _ => slot % self.guests.len().max(1),
        }
    }

    /// Whether the instance in that slot is the first of its guest.
    pub(crate) fn is_first(&self, slot: usize) -> bool {
        match u32::try_from(slot) {
            Ok(id) if M::MIXES => self.lineup.is_first(id),
            _ => slot < self.guests.len(),
        }
    }

    pub(crate) fn guest(&self, slot: usize) -> &Guest<'s> {
        &self.guests[self.guest_of(slot)]
    }

    /// One instance's life on its own thread. Returns when someone asked it to stop.
    fn live(&self, slot: usize) -> Result<(), Error> {
        if self.is_first(slot) {
            let id = u32::try_from(slot).unwrap_or(u32::MAX);
            self.runtime.note(if M::MIXES { self.lineup.place(id) } else { slot });
        }
        match self.modules {
            Modules::Shared(modules) => {
                let module = modules.get(self.guest_of(slot)).and_then(Option::as_ref);
                match module {
                    Some(module) => self.inhabit(slot, module),
                    None => not_loaded(),
                }
            }
            Modules::Private => self.live_alone(slot),
        }
    }

    // This function and the next two are not inlined. Otherwise their locals would lie on every
    // instance's stack for its whole life.
    #[inline(never)]
    fn live_alone(&self, slot: usize) -> Result<(), Error> {
        let begun = Begun::now(self.scene.machine);
        let own = load_module::<M, R>(self.runtime, self.guest(slot), self.hall)?;
        self.scene.note(starts::Phase::Load, begun);
        self.inhabit(slot, &own)
    }

    /// Leaves the parts of one of the first instances for the controller.
    #[inline(never)]
    pub(crate) fn leave_parts(
        &self,
        instance: &R::Instance<'_>,
        stack: &R::Stack<'_>,
        size: Bytes,
    ) {
        let parts = self.runtime.noted(instance, Some((stack, size)));
        self.left.with(|left| left.parts = parts);
    }

    /// Leaves the slot's first error for the controller.
    #[cold]
    #[inline(never)]
    pub(crate) fn leave_error(&self, slot: usize, result: &Result<i32, Error>) {
        let error = result.err().unwrap_or_else(|| wrong_result(&self.guest(slot).check));
        if self.seats[slot].note(error.kind) {
            // The words of a fifth error are not kept.
            self.left.with(|left| left.errors.push((slot, error)).is_ok());
        }
    }

    /// Instructions that a call of the instance in that slot may take.
    pub(crate) fn budget(&self, slot: usize) -> Option<u32> {
        self.scene.budget_of(self.guest(slot))
    }

    /// The size of the interpreter stack of the instance in that slot.
    pub(crate) fn stack(&self, slot: usize) -> Bytes {
        self.scene.stacks[self.guest_of(slot) % MAX_MODULES]
    }

    /// The life of an instance of a loaded module.
    fn inhabit(&self, slot: usize, module: &R::Module<'_>) -> Result<(), Error> {
        // `HOSTS` is a constant, so a build without imports carries none of this code.
        if M::HOSTS
            && let Some(hall) = self.hall
        {
            return self.inhabit_hosted(slot, module, hall);
        }
        let guest = self.guest(slot);
        let size = self.stack(slot);
        let budget = self.budget(slot);
        let begun = Begun::now(self.scene.machine);
        let mut instance = self.runtime.instantiate_within(
            module,
            guest.export,
            guest.parameters,
            size,
            budget,
        )?;
        let mut stack = self.runtime.stack(module, &instance, size)?;
        self.scene.note(starts::Phase::Instantiate, begun);
        if self.is_first(slot) {
            self.leave_parts(&instance, &stack, size);
        }
        let budget = self.budget(slot);
        let call = |argument| self.runtime.call(&mut stack, &mut instance, argument, budget);
        // A constant. To keep the result until the instance is gone takes room on each stack.
        if !M::STARTS {
            return self.serve(slot, call);
        }
        let lived = self.serve(slot, call);
        let begun = Begun::now(self.scene.machine);
        drop(stack);
        drop(instance);
        self.scene.note(starts::Phase::Teardown, begun);
        lived
    }

    /// Calls until someone asks it to stop. `Err` if not even the first call could be made.
    fn serve(
        &self,
        slot: usize,
        mut call: impl FnMut(i32) -> Result<i32, Error>,
    ) -> Result<(), Error> {
        let scene = &self.scene;
        let seat = &self.seats[slot];
        let guest = self.guest(slot);
        let id = u32::try_from(slot).unwrap_or(u32::MAX);
        // The others compare with the first instance of the same guest.
        let first = if M::MIXES { self.is_first(slot) } else { id == 0 };
        let mut judge = Judge::new(seed_of(id));
        let mut calls = 0_u32;
        let mut now = scene.machine.now();
        while !seat.asked_to_stop() {
            let argument = guest.argument(&judge, calls);
            let mut result = Ok(0);
            let (took, ended) = scene.time_after(now, || result = call(argument));
            now = ended;
            calls = calls.saturating_add(1);
            if let Err(error) = &result
                && calls == 1
                && matches!(error.kind, ErrorKind::WasmStack | ErrorKind::NativeStack)
            {
                return Err(*error); // No call can ever succeed in this geometry.
            }
            if calls == 1 {
                scene.starts.note(starts::Phase::FirstCall, took);
            }
            self.scale.record(&seat.tally, took);
            if !judge.accepts(&guest.check, first, calls, &result) {
                seat.tally.error();
                self.leave_error(slot, &result);
            }
            let ended_ms = scene.millis_at(ended);
            if calls == 1 {
                seat.begins_at(ended_ms);
                seat.set_phase(Phase::Alive);
            } else {
                seat.lives_until(ended_ms);
            }
            let pause = scene.config.pause_ms;
            if pause > 0 && !seat.asked_to_stop() {
                scene.machine.sleep(Micros(u64::from(pause) * 1000));
                now = scene.machine.now();
            }
        }
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

impl<M: Machine, R: Runtime> Work for ThreadRamp<'_, '_, M, R> {
    fn run(&self, slot: usize) {
        let Some(seat) = self.seats.get(slot) else { return };
        match self.live(slot) {
            Ok(()) => seat.set_phase(Phase::Ended),
            Err(error) => {
                self.left.with(|left| left.failure = Some(error));
                seat.set_phase(Phase::Failed);
            }
        }
    }
}

struct Lead<'c, 's, 'm, M: Machine, R: Runtime> {
    ramp: &'c ThreadRamp<'s, 'm, M, R>,
    crew: &'c mut dyn Crew,
    account: Account,
    alive: u32,
    failure: Option<Error>,
    /// An instance whose call does not return.
    stuck: Option<u32>,
    /// Whether a thread cannot be ended.
    lost: bool,
    /// What the first instance of each guest took of the arena.
    costs: [Option<Bytes>; MAX_MODULES],
    dwell: Dwell,
    window: Window<M::Tally>,
}

impl<'s, M: Machine, R: Runtime> Lead<'_, 's, '_, M, R> {
    /// The seats of the instances that came to life.
    fn running(&self) -> &'s [Seat<M::Tally>] {
        &self.ramp.seats[..self.alive as usize]
    }

    /// The seats of all instances whose threads were started and not joined.
    fn started(&self) -> &'s [Seat<M::Tally>] {
        let newest = self.stuck.map_or(0, |id| id + 1);
        &self.ramp.seats[..self.alive.max(newest) as usize]
    }

    /// How long running instances took to wake: in the seats behind those of the slots, where a
    /// machine has as many.
    fn wakes(&self) -> impl Iterator<Item = &'s M::Tally> + Clone + use<'s, M, R> {
        let running = self.alive as usize;
        let seats = self.ramp.waking_seats();
        seats[..running.min(seats.len())].iter().map(|seat| &seat.tally)
    }

    fn tallies(&self) -> impl Iterator<Item = &'s M::Tally> + Clone + use<'s, M, R> {
        self.running().iter().map(|seat| &seat.tally)
    }

    /// Reports what each module of a mix came to.
    #[inline(never)]
    fn report_members(&self) {
        let ramp = self.ramp;
        let scene = &ramp.scene;
        for (index, guest) in ramp.guests.iter().enumerate() {
            let of_guest = || {
                let seats = self.started().iter().enumerate();
                seats.filter(|&(slot, _)| ramp.guest_of(slot) == index).map(|(_, seat)| seat)
            };
            let mut spread = <M::Tally as Tally>::Spread::new();
            of_guest().for_each(|seat| spread.add(&seat.tally));
            let latency = ramp.scale.latency::<M::Tally>(&spread);
            let times = scene.times(latency.as_ref());
            let sum = |of: fn(&Seat<M::Tally>) -> u32| of_guest().map(|s| u64::from(of(s))).sum();
            scene.emit(Member {
                workload: Word(scene.name),
                module: Word(guest.name),
                asked: match guest.count {
                    Count::Most => None,
                    Count::Exactly(count) => Some(count),
                },
                instances: u32::try_from(of_guest().count()).unwrap_or(u32::MAX),
                cost_bytes: self.costs.get(index).copied().flatten(),
                budget: guest.budget.map(NonZeroU32::get),
                calls: sum(|seat| seat.tally.calls()),
                errors: sum(|seat| seat.tally.errors() + u32::from(seat.over().is_none())),
                over_budget: (scene.meters && scene.budget_of(guest).is_some())
                    .then(|| sum(Seat::over_budget)),
                latency_mean_us: times.mean,
                latency_min_us: times.min,
                latency_p50_us: times.p50,
                latency_p99_us: times.p99,
                latency_max_us: times.max,
            });
        }
    }

    /// Reports each instance's life. Returns the calls, the errors and the calls over budget of
    /// all.
    fn report_instances(&self) -> (u64, u64, u64) {
        let scene = &self.ramp.scene;
        let (mut calls, mut errors, mut over_budget) = (0, 0, 0);
        for (id, seat) in self.started().iter().enumerate() {
            let mut spread = <M::Tally as Tally>::Spread::new();
            spread.add(&seat.tally);
            let latency = self.ramp.scale.latency::<M::Tally>(&spread);
            let times = scene.times(latency.as_ref());
            let number = u32::try_from(id).unwrap_or(u32::MAX);
            // One call that hangs may be one of many, because every instance runs the same
            // guest.
            let is_stuck = self.stuck == Some(number) || seat.over().is_none();
            let kind = if is_stuck { Some(ErrorKind::Stuck) } else { seat.error() };
            let error = if is_stuck {
                Some(stuck_error())
            } else {
                let of_slot = |left: &mut Left| {
                    left.errors.iter().find(|(slot, _)| *slot == id).map(|(_, error)| *error)
                };
                kind.and_then(|_| self.ramp.left.with(of_slot))
            };
            let bad = u32::from(is_stuck) + seat.tally.errors();
            calls += u64::from(seat.tally.calls());
            errors += u64::from(bad);
            over_budget += u64::from(seat.over_budget());
            scene.emit(Instance {
                workload: Word(self.ramp.guest(id).name),
                id: number,
                slot: Some(number),
                alive_ms: scene.shown(seat.alive_ms()),
                calls: seat.tally.calls(),
                errors: bad,
                latency_mean_us: times.mean,
                latency_min_us: times.min,
                latency_p50_us: times.p50,
                latency_p99_us: times.p99,
                latency_max_us: times.max,
                stack_used_bytes: self.crew.stack_used(id),
                result: Word(if bad == 0 { "ok" } else { "bad" }),
                error: kind.map(|kind| Word(kind.as_str())),
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

impl<M: Machine, R: Runtime> Herd for Lead<'_, '_, '_, M, R> {
    fn start(&mut self, id: u32) -> Event {
        let scene = &self.ramp.scene;
        let slot = id as usize;
        let seat = &self.ramp.seats[slot];
        self.account.before(scene.machine);
        scene.starts.begin();
        seat.prepare();
        if M::HOSTS
            && let Some(seat) = self.ramp.waking_seats().get(slot)
        {
            seat.prepare();
        }
        if let Err(error) = self.crew.start(slot, scene.config.pin.core()) {
            seat.set_phase(Phase::Failed);
            self.failure = Some(start_error(error));
            return failed(self.failure);
        }
        let awaited = format_args!("the first call of instance {id}");
        match scene.wait(awaited, id + 1, || seat.started()) {
            None => {
                self.stuck = Some(id);
                self.failure = Some(stuck_error());
                return failed(self.failure);
            }
            Some(Phase::Failed) => {
                self.crew.join(slot);
                self.failure = self.ramp.left.with(|left| left.failure.take());
                return failed(self.failure);
            }
            Some(_) => {}
        }
        self.alive = id + 1;
        let demand = self.account.after(scene.machine);
        if let Some(parts) = self.ramp.left.with(|left| left.parts.take()) {
            let queue = queue_bytes::<M>(self.ramp.hall);
            report_parts(scene, self.ramp.guest(slot).name, &parts, queue, demand.cost);
        }
        if M::MIXES {
            let cost = self.costs.get_mut(self.ramp.guest_of(slot));
            cost.map(|cost| cost.get_or_insert(demand.cost));
        }
        if id >= self.ramp.fixed() {
            self.account.learn(scene, self.ramp.runtime, demand);
        }
        // Fairness concerns the time in which all instances ran together.
        self.running().iter().for_each(Seat::mark_calls);
        Event::Alive
    }

    fn hold(&mut self, millis: u32) {
        self.ramp.scene.hold(millis);
    }

    fn begin_dwell(&mut self) {
        let tallies = self.tallies();
        self.window.begin(&self.ramp.scale, tallies);

        self.dwell = Dwell::begin(self.ramp.scene.machine);
    }

    fn sample(&mut self) -> Option<Nanos> {
        let scene = &self.ramp.scene;
        let dwell = self.dwell.end(scene.machine);
        let (dwell_calls, latency) = self.window.end(&self.ramp.scale, self.tallies());
        let sum = |of: fn(&M::Tally) -> u32| self.tallies().map(|t| u64::from(of(t))).sum();
        // Since the ramp began: a second window would take room on a board's stack.
        let wake = match self.ramp.hall {
            Some(hall) if M::HOSTS => {
                let mut spread = <M::Tally as Tally>::Spread::new();
                self.wakes().for_each(|tally| spread.add(tally));
                hall.rooms.wakes().latency::<M::Tally>(&spread)
            }
            _ => None,
        };
        let figures = Figures {
            instances: self.alive,
            running: None,
            dwell_calls,
            calls: sum(M::Tally::calls),
            errors: sum(M::Tally::errors),
            latency,
            turnaround: None,
            wake,
        };
        report(scene, &mut self.account, dwell, &figures);
        latency.and_then(|latency| latency.percentiles).and_then(|of| scene.nanos(of.p99))
    }

    fn stop(&mut self) {
        let scene = &self.ramp.scene;
        let started = self.started();
        started.iter().for_each(Seat::ask_to_stop);
        scene.machine.rouse();
        let known = self.stuck;
        let is_known = |slot: usize| known.is_some_and(|id| id as usize == slot);
        // Wait once for all instances. A guest that hangs in all of them must not cost one wait
        // each.
        let all_over = || {
            let mut seats = started.iter().enumerate();
            seats.all(|(slot, seat)| is_known(slot) || seat.over().is_some()).then_some(())
        };
        let sharing = u32::try_from(started.len()).unwrap_or(u32::MAX);
        let _ = scene.wait(format_args!("the last call of each instance"), sharing, all_over);
        for (slot, seat) in started.iter().enumerate() {
            if seat.over().is_some() {
                self.crew.join(slot);
            } else {
                self.stuck = self.stuck.or(u32::try_from(slot).ok());
                self.lost |= !self.crew.abort(slot);
            }
        }
    }
}
