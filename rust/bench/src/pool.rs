//! One ramp with a few workers for any number of residents.
//!
//! The run queue rotates. A worker takes the next resident out of its place, makes one call to
//! its end, and puts it back. Taking a resident moves it, so the compiler makes sure that two
//! workers never enter one instance.
//!
//! A resident costs no thread and no interpreter stack. Each worker has one stack, which serves
//! every instance of the module. On a machine without threads, the controller is the only
//! worker.

use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_arena::Places;
use wramp_core::machine::{Lock, Machine};
use wramp_core::measure::{Micros, Nanos, Ratio, Tally, Ticks, fairness};
use wramp_core::ramp::{Event, Limit};
use wramp_core::report::{Instance, Text, Word, Worker};
use wramp_core::runtime::{Error, ErrorKind, Parts, Runtime};
use wramp_core::slots::{Crew, Slots, Work};

use crate::agenda::Agenda;
use crate::guest::{Check, Guest, Judge, Keeps};
use crate::lead::{
    Account, Climbed, Dwell, Figures, GLANCE, Herd, Scale, Scene, Window, drive, report,
    report_parts, stuck_error,
};
use crate::office::{Hall, is_task, queue_bytes};
use crate::run::give_up;
use crate::seat::{Phase, Seat};
use crate::starts::{self, Begun};
use crate::threads::{failed, start_error, wrong_result};

/// An instance without a thread, in a worker's hands. What is kept of it between two calls is a
/// [`Place`].
pub(crate) struct Resident<I> {
    /// Missing only where it could not be started again.
    pub(crate) instance: Option<I>,
    pub(crate) judge: Judge,
    pub(crate) calls: u32,
    errors: u16,
    pub(crate) from_ms: u32,
    /// When its latest call ended. Meaningless before the first call.
    pub(crate) ended: Ticks,
}

/// A resident's place in the table, which lies beside the arena. The instance's memory lies in
/// the arena.
///
/// A board has hundreds of them, so a place is packed: with an engine's handle of 4 bytes it
/// takes 24.
pub(crate) struct Place<I> {
    /// Missing while a worker has it, or where it could not be started again.
    instance: Option<I>,
    calls: u32,
    /// What the number of calls does not say of its judge.
    judge: u32,
    from_ms: u32,
    marks: Marks,
    ended: Moment,
}

const _: () = assert!(size_of::<Place<core::num::NonZeroU32>>() == 24);

/// Errors of a resident, and two bits.
#[derive(Clone, Copy)]
struct Marks(u16);

impl Marks {
    /// A worker has the resident.
    const AWAY: u16 = 1 << 15;
    /// The judge has seen that the resident strayed from the first one.
    const STRAYED: u16 = 1 << 14;
    /// The most errors that are counted of one resident. The sum of a ramp counts them all.
    const MOST: u16 = Self::STRAYED - 1;

    const fn errors(self) -> u16 {
        self.0 & Self::MOST
    }

    const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    fn of(errors: u16, strayed: bool) -> Self {
        Self(errors.min(Self::MOST) | if strayed { Self::STRAYED } else { 0 })
    }
}

/// The low 48 bits of a time. Of a clock of 1 GHz these last 78 hours, so they say when a call
/// ended that is no older than that.
#[derive(Clone, Copy)]
struct Moment([u16; 3]);

impl Moment {
    const BITS: u32 = 48;

    fn of(time: Ticks) -> Self {
        Self([0, 16, 32].map(|shift| (time.0 >> shift) as u16))
    }

    /// The time, if it was not after `latest`.
    fn before(self, latest: Ticks) -> Ticks {
        let [low, middle, high] = self.0.map(u64::from);
        let kept = low | middle << 16 | high << 32;
        let ago = latest.0.wrapping_sub(kept) & ((1 << Self::BITS) - 1);
        Ticks(latest.0.saturating_sub(ago))
    }
}

impl<I> Place<I> {
    fn new(instance: I) -> Self {
        Self {
            instance: Some(instance),
            calls: 0,
            judge: 0,
            from_ms: 0,
            marks: Marks(0),
            ended: Moment::of(Ticks(0)),
        }
    }

    /// Whether a worker has the resident in a call.
    const fn is_away(&self) -> bool {
        self.marks.has(Marks::AWAY)
    }
}

/// Memory for a table of `residents` of an engine's instances, in 64-bit words; or for as many
/// live instances of a park.
#[must_use]
pub const fn table_words<R: Runtime + 'static>(residents: usize) -> usize {
    Places::<Place<R::Instance<'static>>>::bytes_for(residents) / size_of::<u64>()
}

/// Residents that say how fair a dwell was.
const SAMPLES: usize = 32;

/// All residents, in the order in which they started.
pub(crate) struct Queue<'p, I> {
    places: Places<'p, Place<I>>,
    /// What is kept of each judge.
    keeps: Keeps,
    /// The one result of a workload that does not vary, once it is known.
    constant: Option<u32>,
    /// When the latest of all calls ended.
    latest: Ticks,
    /// The place where the rotation continues.
    next: usize,
    /// A new resident. Its first call comes before the rotation continues.
    newest: Option<usize>,
    /// Residents when the latest dwell began, and the calls of a sample of them until then.
    sampled: usize,
    calls_before: [u32; SAMPLES],
    /// Residents whose first call has returned. First calls come in the order of the starts and
    /// one at a time, so this number says whose they were.
    called: usize,
    /// Failed or wrong calls, and those that the budget ended.
    errors: u64,
    over_budget: u64,
    /// The first error of all, and the resident that had it.
    error: Option<(usize, Error)>,
    /// Whose turn it is, where residents have a host and may wait.
    pub(crate) agenda: Option<Agenda<'p>>,
}

impl<'p, I> Queue<'p, I> {
    pub(crate) const fn new(places: Places<'p, Place<I>>, keeps: Keeps) -> Self {
        Self {
            places,
            keeps,
            constant: None,
            latest: Ticks(0),
            next: 0,
            newest: None,
            sampled: 0,
            calls_before: [0; SAMPLES],
            called: 0,
            errors: 0,
            over_budget: 0,
            error: None,
            agenda: None,
        }
    }

    /// Takes the next resident that is not in a call.
    fn take(&mut self) -> Option<(usize, Resident<I>)> {
        let count = self.places.len();
        let newest = self.newest.take().and_then(|place| self.take_from(place));
        // At most one place per worker is empty, so this ends soon.
        newest.or_else(|| {
            (0..count).find_map(|_| {
                let place = self.next % count;
                self.next = place + 1;
                self.take_from(place)
            })
        })
    }

    pub(crate) fn take_from(&mut self, place: usize) -> Option<(usize, Resident<I>)> {
        let there = self.places.get_mut(place).filter(|there| !there.is_away())?;
        let id = u32::try_from(place).unwrap_or(u32::MAX);
        let kept = (there.judge, there.marks.has(Marks::STRAYED));
        let resident = Resident {
            instance: there.instance.take(),
            judge: Judge::of_resident(self.keeps, id, there.calls, kept, self.constant),
            calls: there.calls,
            errors: there.marks.errors(),
            from_ms: there.from_ms,
            ended: there.ended.before(self.latest),
        };
        there.marks.0 |= Marks::AWAY;
        Some((place, resident))
    }

    pub(crate) fn put(&mut self, place: usize, resident: Resident<I>) {
        let Resident { instance, judge, calls, errors, from_ms, ended } = resident;
        if calls == 1 {
            self.called = self.called.max(place + 1);
        }
        if calls > 0 {
            self.latest = self.latest.max(ended);
        }
        self.constant = judge.constant().or(self.constant);
        let (word, strayed) = judge.beside_calls(self.keeps);
        if let Some(there) = self.places.get_mut(place) {
            let marks = Marks::of(errors, strayed);
            let ended = Moment::of(ended);
            *there = Place { instance, calls, judge: word, from_ms, marks, ended };
        }
    }

    /// Adds a resident and makes it the next one to be called. False if the table is full.
    fn add(&mut self, instance: I) -> bool {
        let place = self.places.len();
        let added = self.places.push(Place::new(instance)).is_ok();
        if added {
            self.newest = Some(place);
        }
        added && self.agenda.as_mut().is_none_or(Agenda::add)
    }

    /// The places of a sample of so many residents.
    fn sample(sampled: usize) -> impl Iterator<Item = usize> + Clone {
        let count = sampled.min(SAMPLES);
        (0..count).map(move |member| member * sampled / count)
    }

    fn begin_dwell(&mut self) {
        self.sampled = self.places.len();
        for (before, place) in self.calls_before.iter_mut().zip(Self::sample(self.sampled)) {
            *before = self.places[place].calls;
        }
    }

    /// Jain's index over the sample, in which those that are in a call do not count.
    fn fairness(&self) -> Option<Ratio> {
        let members = Self::sample(self.sampled).zip(&self.calls_before);
        fairness(members.filter_map(|(place, before)| {
            let there = self.places.get(place).filter(|there| !there.is_away())?;
            Some(u64::from(there.calls.saturating_sub(*before)))
        }))
    }
}

/// A ramp of residents.
pub(crate) struct Pool<'p, 's, 'm, M: Machine, R: Runtime + 'm>
where
    R: 's,
{
    pub(crate) scene: Scene<'s, M>,
    pub(crate) runtime: &'s R,
    pub(crate) guest: &'s Guest<'s>,
    pub(crate) module: &'s R::Module<'m>,
    /// Threads that call. 0 if the controller calls.
    workers: usize,
    /// One per worker, for its calls.
    pub(crate) serving: &'s [Seat<M::Tally>],
    /// One per worker, for the turnaround of its residents.
    pub(crate) turning: &'s [Seat<M::Tally>],
    pub(crate) calls: Scale,
    pub(crate) turnarounds: Scale,
    /// The most residents.
    most: u32,
    pub(crate) queue: M::Lock<Queue<'p, R::Instance<'s>>>,
    /// Why a worker did not start.
    failure: M::Lock<Option<Error>>,
    /// Whether all workers are there. They wait for that.
    open: AtomicBool,
    /// Residents so far.
    residents: AtomicU32,
    /// What the arena had refused when the ramp began.
    refused_before: u32,
    /// Where the guests' calls go, if they have a host.
    pub(crate) hall: Option<Hall<'s>>,
}

impl<'p, 's, 'm, M: Machine, R: Runtime> Pool<'p, 's, 'm, M, R> {
    /// A pool of `workers` threads. With 0 workers, the controller serves the pool itself.
    /// `None` if there are fewer than two seats for each.
    pub(crate) fn new(
        scene: Scene<'s, M>,
        runtime: &'s R,
        guest: &'s Guest<'s>,
        module: &'s R::Module<'m>,
        seats: &'s [Seat<M::Tally>],
        workers: usize,
        queue: Queue<'p, R::Instance<'s>>,
    ) -> Option<Self> {
        let (serving, rest) = seats.split_at_checked(workers.max(1))?;
        let (turning, _) = rest.split_at_checked(workers.max(1))?;
        Some(Self {
            scene,
            runtime,
            guest,
            module,
            workers,
            serving,
            turning,
            calls: Scale::of_calls(),
            turnarounds: Scale::of_turnarounds(),
            most: u32::try_from(queue.places.capacity()).unwrap_or(u32::MAX),
            queue: M::Lock::new(queue),
            failure: M::Lock::new(None),
            open: AtomicBool::new(false),
            residents: AtomicU32::new(0),
            refused_before: runtime.refusals(),
            hall: None,
        })
    }

    /// The same pool, whose residents have a host, and whose queue an agenda.
    pub(crate) fn hosted(self, hall: Hall<'s>) -> Self {
        Self { hall: Some(hall), ..self }
    }

    /// Climbs until something runs out. Then stops, joins and reports every resident.
    pub(crate) fn climb<S: Slots>(&self, slots: &mut S) -> Climbed {
        if self.workers == 0 {
            return self.climb_with(&mut NoThreads);
        }
        slots.with_crew(self, |crew| self.climb_with(crew))
    }

    fn climb_with(&self, crew: &mut dyn Crew) -> Climbed {
        let machine = self.scene.machine;
        let mut lead = Lead {
            pool: self,
            crew,
            account: Account::open(machine, 0, 1, self.most),
            started: 0,
            own: None,
            failure: None,
            lost: false,
            parts: None,
            dwell: Dwell::begin(machine),
            serving: Window::new(),
            turning: Window::new(),
        };
        let outcome = drive(&self.scene, self.most, &mut lead);
        let (predicted, cost) = (lead.account.predicted, lead.account.cost);
        let failure = lead.failure.filter(|_| outcome.limit != Limit::Slots);
        let stacks = || (0..lead.started).map(|slot| (slot, lead.crew.stack_used(slot)));
        for (slot, used) in stacks() {
            self.scene.emit(Worker {
                workload: Word(self.guest.name),
                slot: u32::try_from(slot).unwrap_or(u32::MAX),
                calls: self.serving[slot].tally.calls(),
                stack_used_bytes: used,
            });
        }
        let climbed = self.finish(Climbed {
            outcome,
            predicted,
            cost,
            calls: 0,
            errors: 0,
            over_budget: 0,
            stack_used: stacks().filter_map(|(_, used)| used).max(),
            fairness: None,
            failure,
            stuck: None,
        });
        if lead.lost {
            // A thread goes on, and it borrows what a return would free.
            give_up(&self.scene, &climbed);
        }
        climbed
    }

    /// Reports every resident and gives them back. All workers have been joined, or will never
    /// give back what they hold.
    fn finish(&self, mut climbed: Climbed) -> Climbed {
        let climbed = self.queue.with(|queue| {
            climbed.fairness = queue.fairness();
            (climbed.errors, climbed.over_budget) = (queue.errors, queue.over_budget);
            let mut stuck = None;
            for (id, place) in queue.places.iter().enumerate() {
                let number = u32::try_from(id).unwrap_or(u32::MAX);
                climbed.calls += u64::from(place.calls);
                if place.is_away() {
                    stuck.get_or_insert(number);
                    climbed.errors += 1;
                    self.report_stuck(number, place.calls, place.from_ms);
                    continue;
                }
                let errors = u32::from(place.marks.errors());
                let first = queue.error.as_ref().filter(|(of, _)| *of == id);
                let until_ms = self.scene.millis_at(place.ended.before(queue.latest));
                self.scene.emit(Instance {
                    workload: Word(self.guest.name),
                    id: number,
                    slot: None,
                    alive_ms: self.scene.shown(match place.calls {
                        0 => 0,
                        _ => until_ms.saturating_sub(place.from_ms),
                    }),
                    calls: place.calls,
                    errors,
                    latency_mean_us: None,
                    latency_min_us: None,
                    latency_p50_us: None,
                    latency_p99_us: None,
                    latency_max_us: None,
                    stack_used_bytes: None,
                    result: Word(if errors == 0 { "ok" } else { "bad" }),
                    error: first.map(|(_, error)| Word(error.kind.as_str())),
                    message: first.map(|(_, error)| Text::new(error.message.as_str())),
                });
            }
            climbed.with_stuck(stuck)
        });
        self.clear();
        climbed
    }

    /// Gives all residents back, one at a time.
    fn clear(&self) {
        loop {
            let Some(place) = self.queue.with(|queue| queue.places.pop()) else { return };
            // One that a worker holds for ever is not given back.
            let Some(instance) = place.instance else { continue };
            let begun = Begun::now(self.scene.machine);
            drop(instance);
            self.scene.note(starts::Phase::Teardown, begun);
        }
    }

    #[cold]
    #[inline(never)]
    fn report_stuck(&self, id: u32, calls: u32, from_ms: u32) {
        let error = stuck_error();
        let alive_ms = if calls == 0 { 0 } else { self.scene.millis().saturating_sub(from_ms) };
        self.scene.emit(Instance {
            workload: Word(self.guest.name),
            id,
            slot: None,
            alive_ms: self.scene.shown(alive_ms),
            calls,
            errors: 1,
            latency_mean_us: None,
            latency_min_us: None,
            latency_p50_us: None,
            latency_p99_us: None,
            latency_max_us: None,
            stack_used_bytes: None,
            result: Word("bad"),
            error: Some(Word(error.kind.as_str())),
            message: Some(Text::new(error.message.as_str())),
        });
    }

    /// One worker's life: its stack, then calls until someone asks it to stop.
    fn work(&self, worker: usize) -> Result<(), Error> {
        let seat = &self.serving[worker];
        let mut stack = self.stack()?;
        seat.set_phase(Phase::Alive);
        while !self.open.load(Acquire) && !seat.asked_to_stop() {
            self.scene.machine.sleep(GLANCE);
        }
        // `HOSTS` is a constant, so a build without imports carries none of this code.
        if M::HOSTS
            && let Some(hall) = self.hall
        {
            self.work_hosted(worker, hall, &mut stack);
            return Ok(());
        }
        let mut turn = None;
        let mut now = self.scene.machine.now();
        loop {
            // Put one back and take the next one: this takes the lock once per call.
            let stop = seat.asked_to_stop();
            turn = self.queue.with(|queue| {
                if let Some((place, resident)) = turn.take() {
                    queue.put(place, resident);
                }
                if stop { None } else { queue.take() }
            });
            match &mut turn {
                Some((place, resident)) => {
                    now = self.serve(worker, *place, resident, &mut stack, now);
                }
                None if stop => return Ok(()),
                None => {
                    self.scene.machine.sleep(GLANCE);
                    now = self.scene.machine.now();
                }
            }
        }
    }

    /// Makes an interpreter stack on this thread.
    fn stack(&self) -> Result<R::Stack<'s>, Error> {
        let none = || Error::new(ErrorKind::Engine, "no resident to make a stack for");
        // Of a queue with an agenda nobody takes one yet, and its turn stays where it is.
        let take = |queue: &mut Queue<'_, _>| match queue.agenda {
            Some(_) => queue.take_from(0),
            None => queue.take(),
        };
        let (place, first) = self.queue.with(take).ok_or_else(none)?;
        let [size, ..] = self.scene.stacks;
        let stack = match &first.instance {
            Some(instance) => self.runtime.stack(self.module, instance, size),
            None => Err(none()),
        };
        self.queue.with(|queue| queue.put(place, first));
        stack
    }

    /// Makes one call of one resident, after the worker read the clock at `known`. Returns
    /// when the call ended.
    fn serve(
        &self,
        worker: usize,
        place: usize,
        resident: &mut Resident<R::Instance<'s>>,
        stack: &mut R::Stack<'s>,
        mut known: Ticks,
    ) -> Ticks {
        if resident.calls > 0 {
            known = self.pause(resident.ended).unwrap_or(known);
        }
        let argument = self.guest.argument(&resident.judge, resident.calls);
        let budget = self.scene.config.budget;
        let Some(instance) = &mut resident.instance else { return known };
        let mut result = Ok(0);
        let (took, now) = self.scene.time_after(known, || {
            result = self.runtime.call(stack, instance, argument, budget);
        });

        self.calls.record(&self.serving[worker].tally, took);
        if resident.calls > 0 {
            let turnaround = now.saturating_sub(resident.ended);
            self.turnarounds.record(&self.turning[worker].tally, turnaround);
        } else {
            resident.from_ms = self.scene.millis_at(now);
            self.scene.starts.note(starts::Phase::FirstCall, took);
        }
        resident.ended = now;
        resident.calls = resident.calls.saturating_add(1);
        if !resident.judge.accepts(&self.guest.check, place == 0, resident.calls, &result) {
            self.note_error(worker, place, resident, &result);
        }
        now
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn note_error(
        &self,
        worker: usize,
        place: usize,
        resident: &mut Resident<R::Instance<'s>>,
        result: &Result<i32, Error>,
    ) {
        // Agreement is about equal histories. A resident whose memory could not grow saw that, and
        // rightly computes something else than one whose memory could.
        let judged_by_others = result.is_ok() && matches!(self.guest.check, Check::Agreement(_));
        if judged_by_others && self.runtime.refusals() != self.refused_before {
            return;
        }
        let error = result.err().unwrap_or_else(|| wrong_result(&self.guest.check));
        resident.errors = resident.errors.saturating_add(1);
        self.serving[worker].tally.error();
        self.queue.with(|queue| {
            queue.errors += 1;
            queue.over_budget += u64::from(error.kind == ErrorKind::Budget);
            queue.error.get_or_insert((place, error));
        });
    }

    /// Waits until the pause after the instance's latest call is over. The queue is in the
    /// order in which calls ended, so the next resident is due even later. Returns when the
    /// pause was over. `None` if the configuration has none.
    pub(crate) fn pause(&self, ended: Ticks) -> Option<Ticks> {
        let pause = Micros(u64::from(self.scene.config.pause_ms) * 1000);
        if pause == Micros(0) {
            return None;
        }
        let machine = self.scene.machine;
        let now = machine.now();
        let gone = now.saturating_sub(ended).to_micros(self.scene.clock_hz);
        if gone >= pause {
            return Some(now);
        }
        machine.sleep(pause.saturating_sub(gone));
        Some(machine.now())
    }
}

impl<M: Machine, R: Runtime> Work for Pool<'_, '_, '_, M, R> {
    fn run(&self, slot: usize) {
        let Some(seat) = self.serving.get(slot) else { return };
        match self.work(slot) {
            Ok(()) => seat.set_phase(Phase::Ended),
            Err(error) => {
                self.failure.with(|failure| *failure = Some(error));
                seat.set_phase(Phase::Failed);
            }
        }
    }
}

/// The crew of a machine without threads.
struct NoThreads;

impl Crew for NoThreads {
    fn start(&mut self, _: usize, _: Option<u8>) -> Result<(), wramp_core::slots::StartError> {
        Err(wramp_core::slots::StartError::NoSuchSlot)
    }
    fn join(&mut self, _: usize) {}
    fn abort(&mut self, _: usize) -> bool {
        true
    }
    fn stack_used(&self, _: usize) -> Option<wramp_core::measure::Bytes> {
        None
    }
}

struct Lead<'c, 'p, 's, 'm, M: Machine, R: Runtime> {
    pool: &'c Pool<'p, 's, 'm, M, R>,
    crew: &'c mut dyn Crew,
    account: Account,
    /// Workers whose threads were started.
    started: usize,
    /// The controller's own interpreter stack, if it is the caller.
    own: Option<R::Stack<'s>>,
    failure: Option<Error>,
    /// Whether a thread cannot be ended.
    lost: bool,
    parts: Option<Parts>,
    dwell: Dwell,
    serving: Window<M::Tally>,
    turning: Window<M::Tally>,
}

impl<'s, M: Machine, R: Runtime> Lead<'_, '_, 's, '_, M, R> {
    fn sharing(&self) -> u32 {
        u32::try_from(self.started.max(1)).unwrap_or(u32::MAX)
    }

    /// Instantiates one more and puts it at the head of the queue.
    fn add(&mut self, id: u32) -> Result<(), Error> {
        let pool = self.pool;
        let guest = pool.guest;
        let [stack, ..] = pool.scene.stacks;
        if id == 0 {
            pool.runtime.note(0);
        }
        let begun = Begun::now(pool.scene.machine);
        let instance = match pool.hall.filter(|_| M::HOSTS) {
            Some(hall) => pool.start_hosted(hall, id)?,
            None => pool.runtime.instantiate_within(
                pool.module,
                guest.export,
                guest.parameters,
                stack,
                pool.scene.config.budget,
            )?,
        };
        pool.scene.note(starts::Phase::Instantiate, begun);
        if id == 0 {
            self.parts = pool.runtime.noted(&instance, None);
        }
        let added = pool.queue.with(|queue| queue.add(instance));
        pool.scene.machine.rouse();
        match added {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Engine, "the table of residents is full")),
        }
    }

    /// Starts all workers, once there is an instance to make their stacks for.
    fn start_workers(&mut self) -> Result<(), Error> {
        let pool = self.pool;
        if pool.workers == 0 {
            pool.serving.iter().chain(pool.turning).for_each(Seat::prepare);
            self.own = Some(pool.stack()?);
            return Ok(());
        }
        for (worker, seat) in pool.serving.iter().enumerate() {
            seat.prepare();
            pool.turning[worker].prepare();
            self.crew.start(worker, pool.scene.config.pin.core()).map_err(start_error)?;
            self.started = worker + 1;
            let awaited = format_args!("worker {worker}");
            match pool.scene.wait(awaited, self.sharing(), || seat.started()) {
                None => return Err(stuck_error()),
                Some(Phase::Failed) => {
                    let unknown = || Error::new(ErrorKind::Engine, "a worker failed");
                    return Err(pool.failure.with(Option::take).unwrap_or_else(unknown));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Makes one call on the controller itself. False if there is none to make.
    fn call_one(&mut self) -> bool {
        let pool = self.pool;
        let Some(stack) = &mut self.own else { return false };
        if M::HOSTS
            && let Some(hall) = pool.hall
        {
            return pool.serve_next(0, hall, stack);
        }
        let Some((place, mut resident)) = pool.queue.with(Queue::take) else { return false };
        let now = pool.scene.machine.now();
        pool.serve(0, place, &mut resident, stack, now);
        pool.queue.with(|queue| queue.put(place, resident));
        true
    }

    /// Waits for the first call of resident `id`. Returns the error that stops every call.
    fn first_call(&mut self, id: u32) -> Result<(), Error> {
        if self.own.is_some() {
            self.call_one();
        }
        let pool = self.pool;
        let place = id as usize;
        let awaited = format_args!("the first call of instance {id}");
        let error = pool.scene.wait(awaited, self.sharing(), || {
            pool.queue.with(|queue| {
                (queue.called > place)
                    .then(|| queue.error.filter(|(of, _)| *of == place).map(|(_, error)| error))
            })
        });
        match error {
            None => Err(stuck_error()),
            Some(Some(error))
                if matches!(error.kind, ErrorKind::WasmStack | ErrorKind::NativeStack) =>
            {
                Err(error)
            }
            Some(_) => Ok(()),
        }
    }

    fn try_start(&mut self, id: u32) -> Result<(), Error> {
        let pool = self.pool;
        let machine = pool.scene.machine;
        self.account.before(machine);
        pool.scene.starts.begin();
        self.add(id)?;
        let demand = self.account.after(machine);
        if id == 0 {
            if let Some(parts) = self.parts {
                report_parts(
                    &pool.scene,
                    pool.guest.name,
                    &parts,
                    queue_bytes::<M>(pool.hall),
                    demand.cost,
                );
            }
            self.start_workers()?;
            self.account.learn(&pool.scene, pool.runtime, demand);
            pool.open.store(true, Release);
        }
        self.first_call(id)?;
        pool.residents.store(id + 1, Relaxed);
        Ok(())
    }
}

impl<M: Machine, R: Runtime> Herd for Lead<'_, '_, '_, '_, M, R> {
    fn start(&mut self, id: u32) -> Event {
        match self.try_start(id) {
            Ok(()) => Event::Alive,
            Err(error) => {
                self.failure = Some(error);
                failed(self.failure)
            }
        }
    }

    fn hold(&mut self, millis: u32) {
        let pool = self.pool;
        if self.own.is_none() {
            return pool.scene.hold(millis);
        }
        let machine = pool.scene.machine;
        let began = machine.now();
        let time = Micros(u64::from(millis) * 1000);
        let gone = || machine.now().saturating_sub(began).to_micros(pool.scene.clock_hz);
        while !machine.interrupted() && gone() < time {
            if !self.call_one() {
                match pool.hall.filter(|_| M::HOSTS) {
                    // Nobody else sends, so nothing but a timer ends this.
                    Some(hall) => {
                        machine.sleep(pool.next_timer(hall, time.saturating_sub(gone())));
                    }
                    None => machine.sleep(GLANCE),
                }
            }
        }
    }

    fn begin_dwell(&mut self) {
        let pool = self.pool;
        self.serving.begin(&pool.calls, pool.serving.iter().map(|seat| &seat.tally));
        self.turning.begin(&pool.turnarounds, pool.turning.iter().map(|seat| &seat.tally));
        pool.queue.with(Queue::begin_dwell);
        self.dwell = Dwell::begin(pool.scene.machine);
    }

    fn sample(&mut self) -> Option<Nanos> {
        let pool = self.pool;
        let dwell = self.dwell.end(pool.scene.machine);
        let serving = pool.serving.iter().map(|seat| &seat.tally);
        let (dwell_calls, latency) = self.serving.end(&pool.calls, serving.clone());
        let turning = pool.turning.iter().map(|seat| &seat.tally);
        let (_, turnaround) = self.turning.end(&pool.turnarounds, turning);
        let sum =
            |of: fn(&M::Tally) -> u32| serving.clone().map(|tally| u64::from(of(tally))).sum();
        let residents = pool.residents.load(Relaxed);
        let running = u32::try_from(self.started.max(1)).unwrap_or(u32::MAX);
        // A resident that waits has no turnaround to speak of.
        let waits = M::HOSTS && pool.hall.is_some() && is_task(pool.guest.export);
        let figures = Figures {
            instances: residents,
            running: Some(running.min(residents)),
            dwell_calls,
            calls: sum(M::Tally::calls),
            errors: sum(M::Tally::errors),
            latency,
            turnaround: turnaround.filter(|_| !waits),
            wake: turnaround.filter(|_| waits),
        };
        report(&pool.scene, &mut self.account, dwell, &figures);
        let percentiles = turnaround.and_then(|turnaround| turnaround.percentiles);
        percentiles.and_then(|of| pool.scene.nanos(of.p99))
    }

    fn stop(&mut self) {
        let pool = self.pool;
        self.own = None;
        let started = &pool.serving[..self.started];
        started.iter().for_each(Seat::ask_to_stop);
        pool.scene.machine.rouse();
        let all_over = || started.iter().all(|seat| seat.over().is_some()).then_some(());
        let awaited = format_args!("the last call of each worker");
        let _ = pool.scene.wait(awaited, self.sharing(), all_over);
        for (worker, seat) in started.iter().enumerate() {
            if seat.over().is_some() {
                self.crew.join(worker);
            } else {
                // The worker must not hold the queue when it is aborted.
                let crew = &mut *self.crew;
                self.lost |= !pool.queue.with(|_| crew.abort(worker));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::mem::MaybeUninit;
    use core::num::{NonZeroU32, NonZeroU64};

    use wramp_core::measure::Ticks;

    use super::{Keeps, Marks, Moment, Place, Places, Queue, SAMPLES};

    const WORDS: usize = Places::<Place<()>>::bytes_for(256) / 8;

    fn queue(memory: &mut [MaybeUninit<u64>]) -> Queue<'_, ()> {
        Queue::new(Places::over(memory), Keeps::Digest)
    }

    /// The residents that get the next calls.
    fn turns<const N: usize>(queue: &mut Queue<'_, ()>) -> [usize; N] {
        core::array::from_fn(|_| {
            let (place, mut resident) = queue.take().unwrap();
            resident.calls += 1;
            queue.put(place, resident);
            place
        })
    }

    /// What wramp keeps of a resident, with an engine's handle of one pointer, such as WAMR's.
    #[test]
    fn a_resident_takes_24_bytes_on_32_bits_and_32_on_64() {
        assert_eq!(size_of::<Place<NonZeroU32>>(), 24);
        assert_eq!(size_of::<Place<NonZeroU64>>(), 32);
    }

    #[test]
    fn a_new_resident_is_next_and_the_rotation_goes_on_where_it_was() {
        let mut memory = [const { MaybeUninit::uninit() }; WORDS];
        let mut queue = queue(&mut memory);
        (0..4).for_each(|_| assert!(queue.add(())));
        assert_eq!(turns(&mut queue), [3, 0, 1, 2, 3, 0]);
        assert!(queue.add(()));
        assert_eq!(turns(&mut queue), [4, 1, 2, 3, 4, 0]);
    }

    #[test]
    fn a_resident_in_a_call_is_passed_over() {
        let mut memory = [const { MaybeUninit::uninit() }; WORDS];
        let mut queue = queue(&mut memory);
        assert!(queue.take().is_none());
        (0..3).for_each(|_| assert!(queue.add(())));
        let (place, _in_call) = queue.take().unwrap();
        assert_eq!(place, 2);
        assert_eq!(turns(&mut queue), [0, 1, 0, 1]);
    }

    #[test]
    fn a_resident_comes_back_as_it_was_put() {
        let mut memory = [const { MaybeUninit::uninit() }; WORDS];
        let mut queue = queue(&mut memory);
        assert!(queue.add(()));
        let (place, mut resident) = queue.take().unwrap();
        (resident.calls, resident.errors, resident.from_ms) = (77, 3, 12_345);
        resident.ended = Ticks((1 << 50) + 99);
        queue.put(place, resident);
        let (_, resident) = queue.take().unwrap();
        assert!(resident.instance.is_some());
        assert_eq!((resident.calls, resident.errors, resident.from_ms), (77, 3, 12_345));
        assert_eq!(resident.ended, Ticks((1 << 50) + 99));
        queue.put(place, resident);
        // A call of another one ends almost three days later.
        assert!(queue.add(()));
        let (other, mut late) = queue.take().unwrap();
        assert_eq!(other, 1);
        (late.calls, late.ended) = (1, Ticks((1 << 50) + (1 << 48)));
        queue.put(other, late);
        let (_, resident) = queue.take_from(place).unwrap();
        assert_eq!(resident.ended, Ticks((1 << 50) + 99));
    }

    #[test]
    fn errors_are_counted_up_to_what_a_place_holds() {
        assert_eq!(Marks::of(Marks::MOST - 1, true).errors(), Marks::MOST - 1);
        assert_eq!(Marks::of(u16::MAX, false).errors(), Marks::MOST);
        assert!(!Marks::of(u16::MAX, false).has(Marks::AWAY | Marks::STRAYED));
    }

    #[test]
    fn a_moment_is_a_time_of_the_last_three_days() {
        for time in [0, 1, 99, 1 << 40, (1 << 48) - 1, 1 << 48, u64::MAX - 5] {
            for later in [0, 1, 5, (1 << 48) - 1] {
                let Some(latest) = u64::checked_add(time, later) else { continue };
                assert_eq!(Moment::of(Ticks(time)).before(Ticks(latest)), Ticks(time));
            }
        }
    }

    #[test]
    fn fairness_is_that_of_a_sample() {
        let mut memory = [const { MaybeUninit::uninit() }; WORDS];
        let mut queue = queue(&mut memory);
        assert_eq!(queue.fairness(), None);
        (0..200).for_each(|_| assert!(queue.add(())));
        queue.begin_dwell();
        assert_eq!(Queue::<()>::sample(200).count(), SAMPLES);
        for _ in 0..3 {
            turns::<200>(&mut queue);
        }
        assert_eq!(queue.fairness().map(|ratio| ratio.0), Some(10_000));
        // Half of them get twice as many calls: (3 / 2)^2 / ((1 + 4) / 2).
        queue.begin_dwell();
        turns::<200>(&mut queue);
        for place in 0..100 {
            let (_, mut resident) = queue.take_from(place).unwrap();
            resident.calls += 1;
            queue.put(place, resident);
        }
        assert_eq!(queue.fairness().map(|ratio| ratio.0), Some(9_000));
    }
}
