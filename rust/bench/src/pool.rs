//! One ramp, a few workers for any number of resident instances.
//!
//! A run queue in rotation: a worker takes the next resident out of its place, makes one
//! call to its end, and puts it back. Taking is owning, so that two workers never enter
//! one instance, and the compiler sees it. A resident costs no thread and no
//! interpreter stack; each worker has one environment, which serves every instance of
//! the module.

use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_core::measure::{Counter, Micros, Nanos, Tally, Ticks, fairness};
use wramp_core::platform::{Crew, Lock, Platform, Work};
use wramp_core::ramp::{Event, Limit};
use wramp_core::report::{Instance, Text, Word, Worker};
use wramp_core::runtime::{Error, ErrorKind, Parts, Runtime};

use crate::guest::{Guest, Judge, seed_of};
use crate::lead::{
    Account, Climbed, Dwell, Figures, GLANCE, Herd, Scale, Scene, Window, drive, report,
    report_parts,
};
use crate::seat::{Phase, Seat};
use crate::threads::{failed, start_error, wrong_result};

/// An instance without a thread. All of this but the instance's memory lies beside the arena,
/// on the controller's stack: [`table_bytes`].
pub(crate) struct Resident<I> {
    instance: I,
    judge: Judge,
    calls: u32,
    /// The dwell that it was last taken in, and its calls until then.
    dwell: u32,
    calls_before: u32,
    errors: u32,
    over_budget: u32,
    from_ms: u32,
    /// End of its latest call; of no meaning before the first.
    ended: Ticks,
}

impl<I> Resident<I> {
    fn new(instance: I, id: u32, from_ms: u32) -> Self {
        Self {
            instance,
            judge: Judge::new(seed_of(id)),
            calls: 0,
            dwell: 0,
            calls_before: 0,
            errors: 0,
            over_budget: 0,
            from_ms,
            ended: Ticks(0),
        }
    }
}

/// Room for `M` residents.
pub(crate) type Places<I, const M: usize> = heapless::Vec<Option<Resident<I>>, M>;

/// Bytes of the controller's stack that a pool of at most `M` residents takes.
#[must_use]
pub const fn table_bytes<R: Runtime + 'static, const M: usize>() -> usize {
    size_of::<Places<R::Instance<'static>, M>>()
}

/// All residents, in the order of their start. An empty place's resident is in a call. The
/// places are borrowed: they are large, and what is built by value is moved.
struct Queue<'p, I, const M: usize> {
    places: &'p mut Places<I, M>,
    /// Where the rotation goes on.
    next: usize,
    /// A new resident, whose first call comes before the rotation goes on.
    newest: Option<usize>,
    /// Number of the dwell that is on.
    dwell: u32,
    /// Residents whose first call has returned. They are called in the order of their
    /// start, one of them at a time, so this says whose.
    called: usize,
    /// The first error of all, and whose it was.
    error: Option<(usize, Error)>,
}

impl<'p, I, const M: usize> Queue<'p, I, M> {
    const fn new(places: &'p mut Places<I, M>) -> Self {
        Self { places, next: 0, newest: None, dwell: 0, called: 0, error: None }
    }

    /// Takes the next resident that is not in a call.
    fn take(&mut self) -> Option<(usize, Resident<I>)> {
        let count = self.places.len();
        let newest = self.newest.take().and_then(|place| self.take_from(place));
        // No more places are empty than there are workers, so this ends soon.
        newest.or_else(|| {
            (0..count).find_map(|_| {
                let place = self.next % count;
                self.next = place + 1;
                self.take_from(place)
            })
        })
    }

    fn take_from(&mut self, place: usize) -> Option<(usize, Resident<I>)> {
        let mut resident = self.places[place].take()?;
        if resident.dwell != self.dwell {
            resident.dwell = self.dwell;
            resident.calls_before = resident.calls;
        }
        Some((place, resident))
    }

    fn put(&mut self, place: usize, resident: Resident<I>) {
        if resident.calls == 1 {
            self.called = self.called.max(place + 1);
        }
        self.places[place] = Some(resident);
    }

    /// Adds a resident, which is the next one to be called.
    fn add(&mut self, resident: Resident<I>) -> Result<(), Resident<I>> {
        let place = self.places.len();
        self.places.push(Some(resident)).map_err(|back| match back {
            Some(resident) => resident,
            None => unreachable!("what was pushed comes back"),
        })?;
        self.newest = Some(place);
        Ok(())
    }
}

/// A ramp of residents.
pub(crate) struct Pool<'p, 's, 'm, P: Platform, R: Runtime + 'm, C, const N: usize, const M: usize>
where
    R: 's,
{
    pub(crate) scene: Scene<'s, P>,
    pub(crate) runtime: &'s R,
    pub(crate) guest: &'s Guest<'s>,
    pub(crate) module: &'s R::Module<'m>,
    /// One a worker, for its calls.
    serving: &'s [Seat<C, N>],
    /// One a worker, for its residents' turnaround.
    turning: &'s [Seat<C, N>],
    calls: Scale,
    turnarounds: Scale,
    queue: P::Lock<Queue<'p, R::Instance<'s>, M>>,
    /// Workers wait until all of them are there.
    open: AtomicBool,
    /// Residents so far.
    residents: AtomicU32,
}

impl<'p, 's, 'm, P: Platform, R: Runtime, C: Counter, const N: usize, const M: usize>
    Pool<'p, 's, 'm, P, R, C, N, M>
{
    /// A pool of `workers`; `None` without two seats for each.
    pub(crate) fn new(
        scene: Scene<'s, P>,
        runtime: &'s R,
        guest: &'s Guest<'s>,
        module: &'s R::Module<'m>,
        seats: &'s [Seat<C, N>],
        workers: usize,
        places: &'p mut Places<R::Instance<'s>, M>,
    ) -> Option<Self> {
        let (serving, rest) = seats.split_at_checked(workers)?;
        let (turning, _) = rest.split_at_checked(workers)?;
        Some(Self {
            scene,
            runtime,
            guest,
            module,
            serving,
            turning,
            calls: Scale::of_calls(),
            turnarounds: Scale::of_turnarounds(),
            queue: P::Lock::new(Queue::new(places)),
            open: AtomicBool::new(false),
            residents: AtomicU32::new(0),
        })
    }

    /// Climbs until something runs out, then stops, joins and reports every resident.
    pub(crate) fn climb(&self) -> Climbed {
        let platform = self.scene.platform;
        let slots = u32::try_from(M).unwrap_or(u32::MAX);
        platform.with_crew(self, |crew| {
            let mut lead = Lead {
                pool: self,
                crew,
                account: Account::open(platform, 1, slots),
                started: 0,
                failure: None,
                parts: None,
                dwell: Dwell::begin(platform),
                serving: Window::new(),
                turning: Window::new(),
            };
            let outcome = drive(&self.scene, slots, &mut lead);
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
            self.finish(Climbed {
                outcome,
                predicted,
                cost,
                calls: 0,
                errors: 0,
                over_budget: 0,
                stack_used: stacks().filter_map(|(_, used)| used).max(),
                fairness: None,
                failure,
            })
        })
    }

    /// Reports every resident and gives them back. All workers have been joined.
    fn finish(&self, mut climbed: Climbed) -> Climbed {
        self.queue.with(|queue| {
            // Over the latest dwell, in which all were there. Who was in a call when it began
            // is counted from the next one.
            let dwell = queue.dwell;
            let since = |resident: &Resident<_>| match resident.dwell == dwell {
                true => u64::from(resident.calls.saturating_sub(resident.calls_before)),
                false => 0,
            };
            climbed.fairness = fairness(queue.places.iter().flatten().map(since));
            for (id, resident) in queue.places.iter().enumerate() {
                let Some(resident) = resident else { continue };
                climbed.calls += u64::from(resident.calls);
                climbed.errors += u64::from(resident.errors);
                climbed.over_budget += u64::from(resident.over_budget);
                let first = queue.error.as_ref().filter(|(of, _)| *of == id);
                self.scene.emit(Instance {
                    workload: Word(self.guest.name),
                    id: u32::try_from(id).unwrap_or(u32::MAX),
                    slot: None,
                    alive_ms: match resident.calls {
                        0 => 0,
                        _ => self.scene.millis_at(resident.ended).saturating_sub(resident.from_ms),
                    }
                    .into(),
                    calls: resident.calls,
                    errors: resident.errors,
                    latency_mean_us: None,
                    latency_min_us: None,
                    latency_p50_us: None,
                    latency_p99_us: None,
                    latency_max_us: None,
                    stack_used_bytes: None,
                    result: Word(if resident.errors == 0 { "ok" } else { "bad" }),
                    error: first.map(|(_, error)| Word(error.kind.as_str())),
                    message: first.map(|(_, error)| Text::new(error.message.as_str())),
                });
            }
            queue.places.clear();
        });
        climbed
    }

    /// One worker's life: its environment, then calls until it is asked to stop.
    fn work(&self, worker: usize) -> Result<(), Error> {
        let seat = &self.serving[worker];
        let thread = self.runtime.attach()?;
        let none = || Error::new(ErrorKind::Engine, "no resident to make an environment of");
        let (place, first) = self.queue.with(Queue::take).ok_or_else(none)?;
        let [stack, ..] = self.scene.stacks;
        let environment = self.runtime.environment(&thread, self.module, &first.instance, stack);
        self.queue.with(|queue| queue.put(place, first));
        let mut environment = environment?;
        seat.set_phase(Phase::Alive);
        while !self.open.load(Acquire) && !seat.asked_to_stop() {
            self.scene.platform.sleep(GLANCE);
        }
        let mut turn = None;
        loop {
            // Back and the next one out: the lock is taken once a call.
            let stop = seat.asked_to_stop();
            turn = self.queue.with(|queue| {
                if let Some((place, resident)) = turn.take() {
                    queue.put(place, resident);
                }
                if stop { None } else { queue.take() }
            });
            match &mut turn {
                Some((place, resident)) => {
                    self.serve(worker, *place, resident, |instance, argument| {
                        let budget = self.scene.config.budget;
                        self.runtime.call(&mut environment, instance, argument, budget)
                    });
                }
                None if stop => return Ok(()),
                None => self.scene.platform.sleep(GLANCE),
            }
        }
    }

    /// One call of one resident.
    fn serve(
        &self,
        worker: usize,
        place: usize,
        resident: &mut Resident<R::Instance<'s>>,
        call: impl FnOnce(&mut R::Instance<'s>, i32) -> Result<i32, Error>,
    ) {
        let platform = self.scene.platform;
        if resident.calls > 0 {
            self.pause(resident.ended);
        }
        let argument = self.guest.argument(&resident.judge, resident.calls);

        let mark = platform.mark();
        let result = call(&mut resident.instance, argument);
        let took = platform.since(mark);

        let now = platform.now();
        self.calls.record(&self.serving[worker].tally, took);
        if resident.calls > 0 {
            let turnaround = now.saturating_sub(resident.ended);
            self.turnarounds.record(&self.turning[worker].tally, turnaround);
        }
        resident.ended = now;
        resident.calls = resident.calls.saturating_add(1);
        if !resident.judge.accepts(&self.guest.check, place == 0, resident.calls, result) {
            let error = result.err().unwrap_or_else(|| wrong_result(&self.guest.check));
            resident.errors = resident.errors.saturating_add(1);
            if error.kind == ErrorKind::Budget {
                resident.over_budget = resident.over_budget.saturating_add(1);
            }
            self.serving[worker].tally.error();
            self.queue.with(|queue| queue.error.get_or_insert((place, error)).0);
        }
    }

    /// Waits until the instance's pause since its latest call is over. The queue is in the
    /// order in which they ended, so whoever comes next is due even later.
    fn pause(&self, ended: Ticks) {
        let pause = Micros(u64::from(self.scene.config.pause_ms) * 1000);
        if pause == Micros(0) {
            return;
        }
        let platform = self.scene.platform;
        let gone = platform.now().saturating_sub(ended).to_micros(platform.clock_hz());
        if gone < pause {
            platform.sleep(pause.saturating_sub(gone));
        }
    }
}

impl<P: Platform, R: Runtime, C: Counter, const N: usize, const M: usize> Work
    for Pool<'_, '_, '_, P, R, C, N, M>
{
    fn run(&self, slot: usize) {
        let Some(seat) = self.serving.get(slot) else { return };
        match self.work(slot) {
            Ok(()) => seat.set_phase(Phase::Ended),
            Err(error) => {
                seat.note(&error);
                seat.set_phase(Phase::Failed);
            }
        }
    }
}

struct Lead<'c, 'p, 's, 'm, P: Platform, R: Runtime, C, const N: usize, const M: usize> {
    pool: &'c Pool<'p, 's, 'm, P, R, C, N, M>,
    crew: &'c mut dyn Crew,
    account: Account,
    /// Workers whose threads were started.
    started: usize,
    failure: Option<Error>,
    parts: Option<Parts>,
    dwell: Dwell,
    serving: Window<N>,
    turning: Window<N>,
}

impl<P: Platform, R: Runtime, C: Counter, const N: usize, const M: usize>
    Lead<'_, '_, '_, '_, P, R, C, N, M>
{
    /// Instantiates one more and puts it at the head of the queue.
    fn add(&mut self, id: u32) -> Result<(), Error> {
        let pool = self.pool;
        let guest = pool.guest;
        let [stack, ..] = pool.scene.stacks;
        if id == 0 {
            pool.runtime.note_parts();
        }
        let instance =
            pool.runtime.instantiate(pool.module, guest.export, guest.parameters, stack)?;
        if id == 0 {
            self.parts = pool.runtime.parts(&instance, None);
        }
        let from_ms = pool.scene.millis();
        let resident = Resident::new(instance, id, from_ms);
        pool.queue
            .with(|queue| queue.add(resident))
            .map_err(|_| Error::new(ErrorKind::Engine, "the table of residents is full"))
    }

    /// Starts all workers, once there is an instance to make their environments of.
    fn start_workers(&mut self) -> Result<(), Error> {
        let pool = self.pool;
        for (worker, seat) in pool.serving.iter().enumerate() {
            seat.prepare();
            pool.turning[worker].prepare();
            self.crew.start(worker, pool.scene.config.pin).map_err(start_error)?;
            self.started = worker + 1;
            if pool.scene.wait(|| seat.started()) == Phase::Failed {
                let unknown = || Error::new(ErrorKind::Engine, "a worker failed");
                return Err(seat.error().unwrap_or_else(unknown));
            }
        }
        Ok(())
    }

    /// Waits for the first call of resident `id`; the error that no call gets past.
    fn first_call(&self, id: usize) -> Option<Error> {
        let error = self.pool.scene.wait(|| {
            self.pool.queue.with(|queue| {
                (queue.called > id)
                    .then(|| queue.error.filter(|(of, _)| *of == id).map(|(_, error)| error))
            })
        });
        error.filter(|error| matches!(error.kind, ErrorKind::WasmStack | ErrorKind::NativeStack))
    }

    fn try_start(&mut self, id: u32) -> Result<(), Error> {
        let pool = self.pool;
        let platform = pool.scene.platform;
        self.account.before(platform);
        self.add(id)?;
        let demand = self.account.after(platform);
        if id == 0 {
            if let Some(parts) = self.parts {
                report_parts(&pool.scene, pool.guest.name, &parts, demand.cost);
            }
            self.start_workers()?;
            self.account.learn(&pool.scene, demand);
            pool.open.store(true, Release);
        }
        if let Some(error) = self.first_call(id as usize) {
            return Err(error);
        }
        pool.residents.store(id + 1, Relaxed);
        Ok(())
    }
}

impl<P: Platform, R: Runtime, C: Counter, const N: usize, const M: usize> Herd
    for Lead<'_, '_, '_, '_, P, R, C, N, M>
{
    fn start(&mut self, id: u32) -> Event {
        match self.try_start(id) {
            Ok(()) => Event::Alive,
            Err(error) => {
                self.failure = Some(error);
                failed(self.failure)
            }
        }
    }

    fn begin_dwell(&mut self) {
        let pool = self.pool;
        self.serving.begin(&pool.calls, pool.serving.iter().map(|seat| &seat.tally));
        self.turning.begin(&pool.turnarounds, pool.turning.iter().map(|seat| &seat.tally));
        pool.queue.with(|queue| queue.dwell = queue.dwell.wrapping_add(1));
        self.dwell = Dwell::begin(pool.scene.platform);
    }

    fn sample(&mut self) -> Option<Nanos> {
        let pool = self.pool;
        let dwell = self.dwell.end(pool.scene.platform);
        let serving = pool.serving.iter().map(|seat| &seat.tally);
        let (dwell_calls, latency) = self.serving.end(&pool.calls, serving.clone());
        let turning = pool.turning.iter().map(|seat| &seat.tally);
        let (_, turnaround) = self.turning.end(&pool.turnarounds, turning);
        let sum =
            |of: fn(&Tally<C, N>) -> u32| serving.clone().map(|tally| u64::from(of(tally))).sum();
        let residents = pool.residents.load(Relaxed);
        let figures = Figures {
            instances: residents,
            running: u32::try_from(self.started).ok().map(|workers| workers.min(residents)),
            dwell_calls,
            calls: sum(Tally::calls),
            errors: sum(Tally::errors),
            latency,
            turnaround,
        };
        report(&pool.scene, &mut self.account, dwell, &figures);
        turnaround.map(|turnaround| pool.scene.nanos(turnaround.p99))
    }

    fn stop(&mut self) {
        self.pool.serving.iter().for_each(Seat::ask_to_stop);
        for worker in 0..self.started {
            self.crew.join(worker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Places, Queue, Resident};

    fn add(queue: &mut Queue<'_, (), 8>, id: u32) {
        assert!(queue.add(Resident::new((), id, 0)).is_ok());
    }

    /// Whose the next calls are.
    fn turns<const N: usize>(queue: &mut Queue<'_, (), 8>) -> [usize; N] {
        core::array::from_fn(|_| {
            let (place, mut resident) = queue.take().unwrap();
            resident.calls += 1;
            queue.put(place, resident);
            place
        })
    }

    #[test]
    fn a_new_resident_is_next_and_the_rotation_goes_on_where_it_was() {
        let mut places = Places::new();
        let mut queue = Queue::new(&mut places);
        (0..4).for_each(|id| add(&mut queue, id));
        assert_eq!(turns(&mut queue), [3, 0, 1, 2, 3, 0]);
        add(&mut queue, 4);
        assert_eq!(turns(&mut queue), [4, 1, 2, 3, 4, 0]);
    }

    #[test]
    fn a_resident_in_a_call_is_passed_over() {
        let mut places = Places::new();
        let mut queue = Queue::new(&mut places);
        assert!(queue.take().is_none());
        (0..3).for_each(|id| add(&mut queue, id));
        let (place, _in_call) = queue.take().unwrap();
        assert_eq!(place, 2);
        assert_eq!(turns(&mut queue), [0, 1, 0, 1]);
    }
}
