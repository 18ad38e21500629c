//! One ramp in which idle instances are parked: their state, and nothing else, is kept.
//!
//! A few live instances serve all. A worker takes the next instance of the rotation. If no live
//! instance holds it, the worker parks whoever holds the one that was used least recently, and
//! revives the next one there. Then it calls.
//!
//! What is kept of an instance lies in one block of the arena, so the declared bytes hold all of
//! it: its state in a store, and the word or two that its judge cannot derive. Neither a clock
//! nor a count of calls is kept of each. A sample of instances has them, and the run has sums.
//! Every result is judged all the same.

use core::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Release},
};

use wramp_arena::Places;
use wramp_core::config::{Knob, Park as Knobs};
use wramp_core::machine::{Lock, Machine};
use wramp_core::measure::{Bytes, Micros, Nanos, Tally, Ticks, fairness};
use wramp_core::ramp::{Event, Limit, Outcome};
use wramp_core::report::{Instance, Park as Parked, Part, Predict, Text, Word, Worker};
use wramp_core::runtime::{Error, ErrorKind, Runtime};
use wramp_core::slots::{Crew, Slots, Work};
use wramp_core::state::{Malformed, Refused, Shape, Sink, Source, Vault};
use wramp_park::{Buffer, Cells, Fixed, Layout, Record, Store};

use crate::guest::{Check, Guest, Judge, Keeps, seed_of};
use crate::lead::{
    Account, Climbed, Dwell, Figures, GLANCE, Herd, Scale, Scene, Window, drive_by, report,
    stuck_error,
};
use crate::pool::Place;
use crate::run::give_up;
use crate::seat::{Phase, Seat};
use crate::threads::{failed, start_error, wrong_result};

/// Seats of each worker: for its calls, for turnarounds, for parking and for reviving.
pub const SEATS_A_WORKER: usize = 4;

/// Instances of which the times of calls are kept.
const SAMPLES: usize = 16;
/// Instances whose first error is kept.
const TROUBLES: usize = 4;
/// Calls of the trial that fits the park budget, at most.
const TRIAL_CALLS: u32 = 256;
/// The trial ends that many calls after the longest state, and twice as late as that came.
const TRIAL_BEYOND: u32 = 16;
/// Bytes that the arena keeps free beside the store for each worker: holes that are too small.
const SLACK: u32 = 64;
/// Calls after which a waiting controller counts a guest as not stuck.
const PROGRESS: u32 = 64;

/// An instance that the engine has, and who is in it.
struct Live<I> {
    /// Absent while a worker has it.
    instance: Option<I>,
    /// The instance whose state it has.
    tenant: Option<Tenant>,
    /// Whose state a worker is parking out of it.
    leaving: Option<Tenant>,
    /// When it was taken last, in turns.
    used: u32,
    /// Calls of the tenant since it was revived.
    calls: u32,
}

impl<I> Live<I> {
    fn has(&self, tenant: Tenant) -> bool {
        self.tenant == Some(tenant) || self.leaving == Some(tenant)
    }
}

// A machine lends one table, for residents or for live instances. A handle is a pointer or more.
const _: () = assert!(size_of::<Live<NonZeroU32>>() <= size_of::<Place<NonZeroU32>>());
const _: () = assert!(size_of::<Live<NonZeroU64>>() <= size_of::<Place<NonZeroU64>>());

/// An instance by its number, in such a way that the absence of one takes no byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tenant(NonZeroU32);

impl Tenant {
    /// There are fewer than 2^32 - 1 instances, since each takes a byte at least.
    fn new(id: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(id))
    }

    const fn id(self) -> u32 {
        self.0.get() - 1
    }
}

/// What is kept of some instances.
#[derive(Clone, Copy)]
struct Sample {
    calls: u32,
    calls_before: u32,
    errors: u32,
    from_ms: u32,
    /// When its latest call ended.
    ended: Ticks,
}

impl Sample {
    const NEW: Self = Self { calls: 0, calls_before: 0, errors: 0, from_ms: 0, ended: Ticks(0) };
}

/// The samples: every instance whose number is a multiple of `2^shift`.
struct Samples {
    shift: u32,
    of: [Sample; SAMPLES],
}

impl Samples {
    const fn new() -> Self {
        Self { shift: 0, of: [Sample::NEW; SAMPLES] }
    }

    /// Makes room for the samples of so many instances.
    fn reach(&mut self, instances: u32) {
        while instances.saturating_sub(1) >> self.shift >= SAMPLES as u32 {
            self.shift += 1;
            for place in 0..SAMPLES {
                let from = self.of.get(2 * place).copied();
                self.of[place] = from.unwrap_or(Sample::NEW);
            }
        }
    }

    fn get(&mut self, id: u32) -> Option<&mut Sample> {
        let place = id >> self.shift;
        (place << self.shift == id).then(|| self.of.get_mut(place as usize)).flatten()
    }

    /// The samples of instances that were called, with their numbers.
    fn called(&self) -> impl Iterator<Item = (u32, &Sample)> + Clone {
        let numbered = (0_u32..).zip(&self.of).filter(|(_, sample)| sample.calls > 0);
        numbered.map(|(place, sample)| (place << self.shift, sample))
    }
}

/// The block of the arena, divided.
struct Ground<'g> {
    /// The state of an instance that was never called.
    fresh: &'g [u8],
    /// What is kept of each judge.
    judges: &'g mut [u8],
    store: Store<'g>,
    /// Instances that fit.
    capacity: u32,
    /// The most bytes that one may park.
    budget: u32,
    /// Bytes of the block that one takes.
    each: u32,
}

/// Everything that workers share.
struct Yard<'p, I> {
    live: Places<'p, Live<I>>,
    /// The block until it is divided.
    block: Option<&'p mut [u8]>,
    ground: Option<Ground<'p>>,
    /// Instances that exist, those whose first call was begun, and those for which it ended.
    admitted: u32,
    begun: u32,
    called: u32,
    /// Where the rotation goes on, when it last began anew, and where that of the hot ones does.
    next: u32,
    round_began: Ticks,
    next_hot: u32,
    turns: u32,
    ended: u32,
    restored: u32,
    over_budget: u64,
    troubles: heapless::Vec<(u32, Error), TROUBLES>,
    samples: Samples,
    /// Where what is parked survives a reset.
    vault: Option<&'p dyn Vault>,
    /// Why it keeps no more.
    vault_failed: Option<Error>,
    /// Calls of samples of which it is known what they made dirty: how many, in sum, at most.
    dirty: (u32, u64, u32),
}

/// An instance on its way through a call.
struct Turn<I> {
    place: usize,
    instance: I,
    id: u32,
    /// Whether this is its first call of the run, and whether it is its first of all.
    first: bool,
    new: bool,
    /// Whether the instance holds its state already.
    here: bool,
    leaving: Option<Tenant>,
    /// Calls of the one that leaves since it was revived, or of the tenant.
    calls: u32,
    judge: [u32; 2],
    ended: Ticks,
    /// Whether a call was made, and whether it was wrong.
    outcome: Option<bool>,
}

impl<'p, I> Yard<'p, I> {
    fn new(live: Places<'p, Live<I>>, block: &'p mut [u8], vault: Option<&'p dyn Vault>) -> Self {
        Self {
            vault,
            vault_failed: None,
            live,
            block: Some(block),
            ground: None,
            admitted: 0,
            begun: 0,
            called: 0,
            next: 0,
            round_began: Ticks(0),
            next_hot: 0,
            turns: 0,
            ended: 0,
            restored: 0,
            over_budget: 0,
            troubles: heapless::Vec::new(),
            samples: Samples::new(),
            dirty: (0, 0, 0),
        }
    }

    fn is_in_call(&self, id: u32) -> bool {
        let tenant = Tenant::new(id);
        self.live.iter().any(|live| live.instance.is_none() && live.has(tenant))
    }

    /// Whether an instance is neither in a call nor at its end.
    fn can_be_called(&self, id: u32) -> bool {
        let known = || match self.ground.as_ref().map(|ground| &ground.store) {
            Some(Store::Cells(cells)) => cells.record(id).is_ok(),
            _ => true,
        };
        !self.is_in_call(id) && known()
    }

    /// Chooses who is called next. `None` if nobody can be now.
    fn choose(&mut self, knobs: &Knobs, now: Ticks, pause: Ticks) -> Option<(u32, bool)> {
        if self.begun < self.admitted {
            self.begun += 1;
            return Some((self.begun - 1, true));
        }
        self.turns = self.turns.wrapping_add(1);
        if knobs.hot && !self.turns.is_multiple_of(100) {
            let hot = self.called.div_ceil(100);
            for _ in 0..hot {
                let id = self.next_hot % hot;
                self.next_hot = id + 1;
                if self.can_be_called(id) {
                    return Some((id, false));
                }
            }
            if (0..hot).any(|id| self.is_in_call(id)) {
                // There are fewer hot ones than workers. The turn is theirs all the same.
                self.turns = self.turns.wrapping_sub(1);
                return None;
            }
        }
        for _ in 0..self.called {
            let id = self.next % self.called;
            if id == 0 {
                if pause > Ticks(0) && now.saturating_sub(self.round_began) < pause {
                    return None;
                }
                self.round_began = now;
            }
            self.next = id + 1;
            if self.can_be_called(id) {
                return Some((id, false));
            }
        }
        None
    }

    /// Takes the next instance to be called out of its place.
    fn take(&mut self, knobs: &Knobs, now: Ticks, pause: Ticks) -> Option<Turn<I>> {
        let idle = |live: &Live<I>| live.instance.is_some();
        if !self.live.iter().any(idle) {
            return None;
        }
        let (id, first) = self.choose(knobs, now, pause)?;
        let places = || self.live.iter().enumerate().filter(|(_, live)| idle(live));
        let tenant = Some(Tenant::new(id));
        let here = places().find(|(_, live)| live.tenant == tenant);
        let least = || places().min_by_key(|(_, live)| (live.tenant.is_some(), live.used));
        let place = here.or_else(least)?.0;
        let judge = self.judge(id);
        let turns = self.turns;
        let live = self.live.get_mut(place)?;
        let instance = live.instance.take()?;
        let here = live.tenant == tenant;
        live.leaving = if here { None } else { live.tenant };
        live.tenant = tenant;
        live.used = turns;
        let (leaving, calls, ended) = (live.leaving, live.calls, Ticks(0));
        let outcome = None;
        let new = first && !self.goes_on(id);
        Some(Turn { place, instance, id, first, new, here, leaving, calls, judge, ended, outcome })
    }

    /// Whether an instance was parked before a reset. It says so until it is parked again.
    fn goes_on(&self, id: u32) -> bool {
        self.vault.is_some_and(|vault| matches!(vault.length(id), Ok(Some(_))))
    }

    /// Puts an instance back. Returns its turnaround, if that is known.
    fn put(&mut self, turn: Turn<I>, ms: impl FnOnce(Ticks) -> u32) -> Option<Ticks> {
        let Turn { place, instance, id, first, here, judge, ended, outcome, calls, .. } = turn;
        if first {
            // First calls are begun in order, and a few may overtake each other.
            self.called += 1;
        }
        if let Some(live) = self.live.get_mut(place) {
            live.instance = Some(instance);
            live.leaving = None;
            live.calls = if here { calls.saturating_add(1) } else { 1 };
            if outcome.is_none() {
                live.tenant = None;
            }
        }
        let wrong = outcome?;
        self.set_judge(id, judge);
        let sample = self.samples.get(id)?;
        let turnaround = (sample.calls > 0).then(|| ended.saturating_sub(sample.ended));
        if sample.calls == 0 {
            sample.from_ms = ms(ended);
        }
        sample.calls = sample.calls.saturating_add(1);
        sample.errors += u32::from(wrong);
        sample.ended = ended;
        turnaround
    }

    fn judge_bytes(&mut self, id: u32) -> &mut [u8] {
        let Some(ground) = &mut self.ground else { return &mut [] };
        let bytes = ground.judges.len().checked_div(ground.capacity as usize).unwrap_or(0);
        let begin = (id as usize).saturating_mul(bytes);
        ground.judges.get_mut(begin..begin.saturating_add(bytes)).unwrap_or_default()
    }

    fn judge(&mut self, id: u32) -> [u32; 2] {
        let mut words = [0; 2];
        for (word, bytes) in words.iter_mut().zip(self.judge_bytes(id).as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        words
    }

    fn set_judge(&mut self, id: u32, words: [u32; 2]) {
        for (word, bytes) in words.into_iter().zip(self.judge_bytes(id).as_chunks_mut().0) {
            *bytes = word.to_le_bytes();
        }
    }

    /// Keeps what was parked beyond a reset, with what its judge needs.
    fn keep(&mut self, id: u32, keeps: Keeps) {
        let Some(vault) = self.vault.filter(|_| self.vault_failed.is_none()) else { return };
        let words = self.judge(id).map(u32::to_le_bytes);
        let judge = &words.as_flattened()[..keeps.words() * size_of::<u32>()];
        let record = self.ground.as_ref().and_then(|ground| ground.store.record(id).ok());
        let Some(mut record) = record else { return };
        let length = record.len();
        self.vault_failed = vault.keep(id, judge, &mut record, length).err();
    }

    /// Ends an instance.
    fn end(&mut self, id: u32, error: Error) {
        if let Some(Store::Cells(cells)) = self.ground.as_mut().map(|ground| &mut ground.store) {
            // It may have no record, which is the same.
            let _ = cells.remove(id);
        }
        self.ended += 1;
        self.note(id, error);
    }

    /// Keeps an instance's first error, of the first instances that have one.
    fn note(&mut self, id: u32, error: Error) {
        if !self.troubles.iter().any(|(of, _)| *of == id) {
            // Those beyond are counted, as all are.
            let _ = self.troubles.push((id, error));
        }
    }

    /// The bytes that a share of all parked states does not exceed, in percent.
    fn parked_bytes(&self, percent: u32) -> u32 {
        let Some(ground) = &self.ground else { return 0 };
        let Store::Cells(cells) = &ground.store else { return ground.budget };
        let lengths = || {
            let records = (0..self.admitted).filter_map(|id| cells.record(id).ok());
            records.map(|record| u32::try_from(record.len()).unwrap_or(u32::MAX))
        };
        let all = lengths().count() as u64;
        let (mut below, mut enough) = (0, ground.budget);
        while below < enough {
            let middle = below.midpoint(enough);
            let within = lengths().filter(|&length| length <= middle).count() as u64;
            if within * 100 >= all * u64::from(percent) {
                enough = middle;
            } else {
                below = middle + 1;
            }
        }
        enough
    }
}

/// A ramp of parked instances.
pub(crate) struct Park<'p, 's, 'm, M: Machine, R: Runtime + 'm>
where
    R: 's,
{
    scene: Scene<'s, M>,
    runtime: &'s R,
    guest: &'s Guest<'s>,
    module: &'s R::Module<'m>,
    knobs: Knobs,
    shape: Shape,
    keeps: Keeps,
    /// The seats of all workers: first those for calls, and so on.
    seats: [&'s [Seat<M::Tally>]; SEATS_A_WORKER],
    scales: [Scale; SEATS_A_WORKER],
    pause: Ticks,
    yard: M::Lock<Yard<'p, R::Instance<'s>>>,
    failure: M::Lock<Option<Error>>,
    /// What the arena had refused when the ramp began.
    refused_before: u32,
    /// Calls of the trial.
    trial: AtomicU32,
    open: AtomicBool,
}

const SERVING: usize = 0;
const TURNING: usize = 1;
const PARKING: usize = 2;
const REVIVING: usize = 3;

/// Runs a whole ramp.
///
/// # Errors
/// Why no instance could be parked.
pub(crate) fn climb<'s, 'm, M: Machine, R: Runtime + 'm, S: Slots>(
    scene: Scene<'s, M>,
    runtime: &'s R,
    guest: &'s Guest<'s>,
    module: &'s R::Module<'m>,
    (seats, table): (&'s [Seat<M::Tally>], &'s mut [core::mem::MaybeUninit<u64>]),
    knobs: Knobs,
    slots: &mut S,
) -> Result<Climbed, Error> {
    let machine = scene.machine;
    let shape = runtime.shape(module)?;
    let workers = knobs.workers as usize;
    let mut live = Places::over(table);
    let mut account = Account::open(machine, 0, 1, u32::MAX);
    let [stack, ..] = scene.stacks;
    let most = if knobs.live == 0 { knobs.workers } else { knobs.live };
    for number in 1..=most {
        account.before(machine);
        let (export, parameters) = (guest.export, guest.parameters);
        let budget = scene.config.budget;
        let instance = runtime.instantiate_within(module, export, parameters, stack, budget)?;
        let cost = account.after(machine).cost;
        let one = Live { instance: Some(instance), tenant: None, leaving: None, used: 0, calls: 0 };
        if live.push(one).is_err() {
            let places = live.capacity();
            let name = machine.knob(Knob::Live).unwrap_or("live instances");
            return Err(crate::run::error(
                ErrorKind::Engine,
                format_args!("{name} is above {places}, for which this build has places"),
            ));
        }
        let one_more = cost.0.saturating_mul(number + 1);
        if knobs.live == 0 && one_more > machine.arena().size.0 / 4 {
            break;
        }
    }
    let block = block_for(&scene, runtime, module, &live, workers)?;
    let mut parts = seats.chunks_exact(workers.max(1));
    let mut part =
        || parts.next().ok_or(Error::new(ErrorKind::Engine, "a park takes four seats a worker"));
    let seats = [part()?, part()?, part()?, part()?];
    // A clock that stands still would never end a pause.
    let pause_ms = if scene.clock_runs { scene.config.pause_ms } else { 0 };
    let pause = u64::from(pause_ms).saturating_mul(scene.clock_hz) / 1000;
    let climbed = machine.lend(block, |block| {
        let park = Park {
            keeps: Keeps::of(guest),
            scene,
            runtime,
            guest,
            module,
            knobs,
            shape,
            seats,
            scales: [
                Scale::of_calls(),
                Scale::of_turnarounds(),
                Scale::of_calls(),
                Scale::of_calls(),
            ],
            pause: Ticks(pause),
            yard: M::Lock::new(Yard::new(live, block, machine.vault())),
            failure: M::Lock::new(None),
            refused_before: runtime.refusals(),
            trial: AtomicU32::new(0),
            open: AtomicBool::new(false),
        };
        slots.with_crew(&park, |crew| park.climb_with(crew, account))
    });
    climbed.unwrap_or(Err(Error::new(ErrorKind::OutOfMemory, "the arena has no room for a park")))
}

/// The bytes of the store: all that the arena can give in one piece, once there is room for the
/// workers' stacks. They are made once to see what they take.
fn block_for<'s, M: Machine, R: Runtime>(
    scene: &Scene<'_, M>,
    runtime: &'s R,
    module: &'s R::Module<'_>,
    live: &Places<'_, Live<R::Instance<'s>>>,
    workers: usize,
) -> Result<Bytes, Error> {
    let [size, ..] = scene.stacks;
    let Some(first) = live.first().and_then(|live| live.instance.as_ref()) else {
        return Err(Error::new(ErrorKind::Engine, "no live instance to make a stack for"));
    };
    let machine = scene.machine;
    let before = machine.arena();
    let stack = runtime.stack(module, first, size)?;
    let one = before.free.saturating_sub(machine.arena().free);
    drop(stack);
    let workers = u32::try_from(workers).unwrap_or(u32::MAX);
    let stacks = one.0.saturating_add(SLACK).saturating_mul(workers);
    let header = machine.facts().block_header;
    let left = before.largest.0.checked_sub(stacks).and_then(|left| left.checked_sub(header.0));
    let none = || Error::new(ErrorKind::OutOfMemory, "the workers' stacks leave no room");
    left.filter(|&left| left > 0).map(Bytes).ok_or_else(none)
}

impl<'p, 's, M: Machine, R: Runtime> Park<'p, 's, '_, M, R> {
    fn climb_with(&self, crew: &mut dyn Crew, account: Account) -> Result<Climbed, Error> {
        let machine = self.scene.machine;
        let mut lead = Lead {
            park: self,
            crew,
            account,
            started: 0,
            alive: 0,
            step: 0,
            failure: None,
            lost: false,
            dwell: Dwell::begin(machine),
            windows: [Window::new(), Window::new(), Window::new(), Window::new()],
        };
        let (outcome, predicted) = match lead.begin() {
            Ok(predicted) => {
                (drive_by(&self.scene, u32::MAX, lead.step, &mut lead), Some(predicted))
            }
            Err(error) => {
                lead.stop();
                if error.kind != ErrorKind::Stuck {
                    return Err(error);
                }
                lead.failure = Some(error);
                (Outcome { peak: 0, limit: Limit::Error }, None)
            }
        };
        let stacks = || (0..lead.started).map(|slot| (slot, lead.crew.stack_used(slot)));
        for (slot, used) in stacks() {
            self.scene.emit(Worker {
                workload: Word(self.guest.name),
                slot: u32::try_from(slot).unwrap_or(u32::MAX),
                calls: self.seats[SERVING][slot].tally.calls(),
                stack_used_bytes: used,
            });
        }
        let climbed = self.finish(Climbed {
            outcome,
            predicted,
            cost: self.yard.with(|yard| yard.ground.as_ref().map(|ground| Bytes(ground.each))),
            calls: 0,
            errors: 0,
            over_budget: 0,
            stack_used: stacks().filter_map(|(_, used)| used).max(),
            fairness: None,
            failure: lead.failure,
            stuck: None,
        });
        if lead.lost {
            // A thread goes on, and it borrows what a return would free.
            give_up(&self.scene, &climbed);
        }
        Ok(climbed)
    }

    /// Reports the sample, and those that had an error, and gives the live instances back.
    fn finish(&self, mut climbed: Climbed) -> Climbed {
        self.yard.with(|yard| {
            for place in 0..yard.live.len() {
                let live = &mut yard.live[place];
                if let Some(tenant) = live.tenant
                    && let Some(mut instance) = live.instance.take()
                {
                    // The last state of each must fit too.
                    live.tenant = None;
                    self.park(yard, tenant.id(), &mut instance, false);
                    yard.live[place].instance = Some(instance);
                }
            }
            let sum = |of: fn(&M::Tally) -> u32| {
                self.seats[SERVING].iter().map(|seat| u64::from(of(&seat.tally))).sum::<u64>()
            };
            climbed.calls = sum(M::Tally::calls);
            climbed.errors = sum(M::Tally::errors);
            climbed.over_budget = yard.over_budget;
            let since = |(_, sample): (u32, &Sample)| {
                u64::from(sample.calls.saturating_sub(sample.calls_before))
            };
            climbed.fairness = fairness(yard.samples.called().map(since));
            for (id, sample) in yard.samples.called() {
                let until_ms = self.scene.millis_at(sample.ended);
                let first = yard.troubles.iter().find(|(of, _)| *of == id);
                let alive_ms = until_ms.saturating_sub(sample.from_ms);
                self.report(
                    id,
                    alive_ms,
                    sample.calls,
                    sample.errors,
                    first.map(|(_, error)| error),
                );
            }
            for (id, error) in &yard.troubles {
                if !yard.samples.called().any(|(of, _)| of == *id) {
                    // Of an instance out of the sample, only that call is known.
                    self.report(*id, 0, 1, 1, Some(error));
                }
            }
            let mut stuck = None;
            let absent = yard.live.iter().filter(|live| live.instance.is_none());
            for id in absent.filter_map(|live| live.tenant).map(Tenant::id) {
                stuck.get_or_insert(id);
                climbed.errors += 1;
                // How many calls returned before this one is known of the sample only.
                self.report(id, 0, 0, 1, Some(&stuck_error()));
            }
            if yard.vault_failed.is_some() {
                climbed.outcome.limit = Limit::Error;
                climbed.failure = yard.vault_failed;
            }
            yard.live.clear();
            climbed.with_stuck(stuck)
        })
    }

    fn report(&self, id: u32, alive_ms: u32, calls: u32, errors: u32, error: Option<&Error>) {
        let bad = errors > 0 || error.is_some();
        self.scene.emit(Instance {
            workload: Word(self.guest.name),
            id,
            slot: None,
            alive_ms: self.scene.shown(alive_ms),
            calls,
            errors: errors.max(u32::from(bad)),
            latency_mean_us: None,
            latency_min_us: None,
            latency_p50_us: None,
            latency_p99_us: None,
            latency_max_us: None,
            stack_used_bytes: None,
            result: Word(if bad { "bad" } else { "ok" }),
            error: error.map(|error| Word(error.kind.as_str())),
            message: error.map(|error| Text::new(error.message.as_str())),
        });
    }

    /// One worker's life: its stack, then calls until someone asks it to stop.
    fn work(&self, worker: usize) -> Result<(), Error> {
        let seat = &self.seats[SERVING][worker];
        let mut stack = self.stack()?;
        if worker == 0 {
            self.divide(seat, &mut stack)?;
        }
        seat.set_phase(Phase::Alive);
        let machine = self.scene.machine;
        while !self.open.load(Acquire) && !seat.asked_to_stop() {
            machine.sleep(GLANCE);
        }
        let (mut done, mut constant) = (None, None);
        // There may be fewer hot instances than workers. Who gets none looks rarely: each look
        // takes time from those that call.
        let most_glances = if self.knobs.hot { 16 } else { 1 };
        let mut glances = 1;
        loop {
            // Put one back and take the next one: this takes the lock once per call.
            let stop = seat.asked_to_stop();
            let now = machine.now();
            let (turnaround, turn) = self.yard.with(|yard| {
                let millis = |ended| self.scene.millis_at(ended);
                let turnaround = done.take().and_then(|turn| yard.put(turn, millis));
                let next = if stop { None } else { yard.take(&self.knobs, now, self.pause) };
                (turnaround, next)
            });
            if let Some(turnaround) = turnaround {
                self.scales[TURNING].record(&self.seats[TURNING][worker].tally, turnaround);
            }
            match turn {
                Some(mut turn) => {
                    self.serve(worker, &mut turn, &mut stack, &mut constant);
                    done = Some(turn);
                    glances = 1;
                }
                None if stop => return Ok(()),
                None => {
                    machine.sleep(Micros(GLANCE.0 * glances));
                    glances = (2 * glances).min(most_glances);
                }
            }
        }
    }

    /// Makes an interpreter stack on this thread. Workers start one at a time, before any call.
    fn stack(&self) -> Result<R::Stack<'s>, Error> {
        let none = || Error::new(ErrorKind::Engine, "no live instance to make a stack for");
        let [size, ..] = self.scene.stacks;
        self.yard.with(|yard| {
            let first = yard.live.first().and_then(|live| live.instance.as_ref());
            self.runtime.stack(self.module, first.ok_or_else(none)?, size)
        })
    }

    /// Writes an instance's state and makes it blank. A state of no bytes becomes one of one, so
    /// that a store can count it.
    fn save(&self, instance: &mut R::Instance<'s>, to: &mut dyn Sink) -> Result<(), Error> {
        let padded = match self.shape {
            Shape::Empty => to.put(&[0]),
            _ => Ok(()),
        };
        let parked = self.runtime.park(instance, to);
        padded?;
        parked?;
        Ok(())
    }

    /// Makes a blank instance the one that was saved.
    fn restore(
        &self,
        instance: &mut R::Instance<'s>,
        mut from: &mut dyn Source,
    ) -> Result<(), Error> {
        if self.shape == Shape::Empty {
            from.take(&mut [0])?;
        }
        self.runtime.revive(instance, &mut from)
    }

    /// Divides the block, once it is known how much a state may take.
    fn divide(&self, seat: &Seat<M::Tally>, stack: &mut R::Stack<'s>) -> Result<(), Error> {
        let (block, first) = self.yard.with(|yard| {
            for live in yard.live.iter_mut().skip(1) {
                if let Some(instance) = &mut live.instance {
                    self.runtime.reset(instance);
                }
            }
            (yard.block.take(), yard.live.first_mut().and_then(|live| live.instance.take()))
        });
        let missing = || Error::new(ErrorKind::Engine, "the block was divided before");
        let (block, mut first) = (block.ok_or_else(missing)?, first.ok_or_else(missing)?);
        let ground = self.ground(block, &mut first, seat, stack);
        self.yard.with(|yard| {
            if let Some(live) = yard.live.first_mut() {
                live.instance = Some(first);
            }
            yard.ground = Some(ground?);
            Ok(())
        })
    }

    fn ground(
        &self,
        block: &'p mut [u8],
        instance: &mut R::Instance<'s>,
        seat: &Seat<M::Tally>,
        stack: &mut R::Stack<'s>,
    ) -> Result<Ground<'p>, Error> {
        let mut buffer = Buffer::new(block);
        self.save(instance, &mut buffer)?;
        let length = buffer.written().len();
        let (fresh, rest) = block.split_at_mut(length);
        let fresh = &*fresh;
        let budget = match (self.shape, self.knobs.budget) {
            (Shape::Empty, _) => 1,
            (Shape::Fixed(bytes), _) => bytes.get(),
            (Shape::Variable, Some(budget)) => budget.0 as usize,
            (Shape::Variable, None) => self.fit(fresh, rest, instance, seat, stack)?,
        };
        if length > budget {
            return Err(crate::run::error(
                ErrorKind::ParkBudget,
                format_args!("an instance that was never called parks {length} bytes"),
            ));
        }
        let judge = self.keeps.words() * size_of::<u32>();
        let none = || Error::new(ErrorKind::OutOfMemory, "the park has no room for one instance");
        let fit = |spare: usize, each: usize, most: usize| {
            let capacity = (rest.len().saturating_sub(spare) / each).min(most);
            if capacity == 0 { Err(none()) } else { Ok(capacity) }
        };
        let (capacity, each, layout) = if self.shape == Shape::Variable {
            let layout = Layout::for_records_of(budget, budget);
            let cells = layout.cells_for(budget);
            let spare = (cells + 1) * layout.cell_bytes();
            let each = layout.bytes_for(budget) + judge;
            // A store numbers its cells with 16 bits, and holds one budget of them back.
            let most = (usize::from(u16::MAX) - 1) / cells;
            (fit(spare, each, most.saturating_sub(1))?, each, Some(layout))
        } else {
            (fit(budget, budget + judge, u32::MAX as usize)?, budget + judge, None)
        };
        let (judges, region) = rest.split_at_mut(capacity * judge);
        let store = match (layout, NonZeroUsize::new(budget)) {
            (Some(layout), _) => Store::Cells(Cells::new(region, layout)),
            (None, Some(bytes)) => Store::Fixed(Fixed::new(region, bytes)),
            (None, None) => return Err(none()),
        };
        let number = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        let (capacity, budget, each) = (number(capacity), number(budget), number(each));
        Ok(Ground { fresh, judges, store, capacity, budget, each })
    }

    /// Calls one instance until its state no longer grows, and adds an eighth to the longest.
    fn fit(
        &self,
        fresh: &[u8],
        rest: &mut [u8],
        instance: &mut R::Instance<'s>,
        seat: &Seat<M::Tally>,
        stack: &mut R::Stack<'s>,
    ) -> Result<usize, Error> {
        let judge = Judge::new(seed_of(0));
        let (mut longest, mut at) = (fresh.len(), 0);
        self.restore(instance, &mut &*fresh)?;
        for calls in 0..TRIAL_CALLS {
            if calls >= 2 * at + TRIAL_BEYOND || seat.asked_to_stop() {
                break;
            }
            let argument = self.guest.argument(&judge, calls);
            // A result is judged when the instance counts. A failure has a state too.
            let _ = self.runtime.call(stack, instance, argument, self.scene.config.budget);
            self.trial.store(calls + 1, Release);
            let mut buffer = Buffer::new(rest);
            self.save(instance, &mut buffer)?;
            let state = buffer.written();
            if state.len() > longest {
                (longest, at) = (state.len(), calls + 1);
            }
            self.restore(instance, &mut &*state)?;
        }
        self.runtime.reset(instance);
        Ok(longest + (longest / 8).max(16))
    }

    /// Makes one call of one instance.
    fn serve(
        &self,
        worker: usize,
        turn: &mut Turn<R::Instance<'s>>,
        stack: &mut R::Stack<'s>,
        constant: &mut Option<u32>,
    ) {
        if !turn.here
            && let Err(error) = self.change_tenant(worker, turn)
        {
            self.runtime.reset(&mut turn.instance);
            self.seats[SERVING][worker].tally.error();
            return self.yard.with(|yard| yard.end(turn.id, error));
        }
        let (mut judge, calls) =
            Judge::restored(self.keeps, turn.id, turn.new, turn.judge, *constant);
        let argument = self.guest.argument(&judge, calls);
        let budget = self.scene.config.budget;
        let mut result = Ok(0);
        let (took, now) = self.scene.time(|| {
            result = self.runtime.call(stack, &mut turn.instance, argument, budget);
        });
        self.scales[SERVING].record(&self.seats[SERVING][worker].tally, took);
        turn.ended = now;
        let calls = calls.saturating_add(1);
        let right = judge.accepts(&self.guest.check, turn.id == 0, calls, &result)
            || self.may_differ(&result);
        *constant = judge.constant();
        turn.judge = judge.kept(self.keeps, calls);
        turn.outcome = Some(!right);
        if !right {
            self.note_error(worker, turn.id, &result);
        }
    }

    /// Whether a result may differ from that of the first instance. Agreement is about equal
    /// histories. An instance whose memory could not grow saw that, and rightly computes something
    /// else than one whose memory could.
    #[cold]
    fn may_differ(&self, result: &Result<i32, Error>) -> bool {
        let judged_by_others = result.is_ok() && matches!(self.guest.check, Check::Agreement(_));
        judged_by_others && self.runtime.refusals() != self.refused_before
    }

    #[cold]
    #[inline(never)]
    fn note_error(&self, worker: usize, id: u32, result: &Result<i32, Error>) {
        let error = result.err().unwrap_or_else(|| wrong_result(&self.guest.check));
        self.seats[SERVING][worker].tally.error();
        self.yard.with(|yard| {
            yard.over_budget += u64::from(error.kind == ErrorKind::Budget);
            yard.note(id, error);
        });
    }

    /// Parks who is in the instance, and revives who is called.
    fn change_tenant(&self, worker: usize, turn: &mut Turn<R::Instance<'s>>) -> Result<(), Error> {
        if let Some(old) = turn.leaving.map(Tenant::id) {
            let took = self.yard.with(|yard| {
                let sampled = turn.calls == 1 && yard.samples.get(old).is_some();
                self.park(yard, old, &mut turn.instance, sampled)
            });
            match took {
                Some(took) => {
                    self.scales[PARKING].record(&self.seats[PARKING][worker].tally, took);
                }
                None => self.seats[SERVING][worker].tally.error(),
            }
        }
        let (took, revived) = self.yard.with(|yard| {
            let unknown = || Error::from(Refused::Unknown);
            let ground = yard.ground.as_ref().ok_or_else(unknown)?;
            let mut record = ground.store.record(turn.id)?;
            let mut revived = Ok(());
            let (took, _) =
                self.scene.time(|| revived = self.restore(&mut turn.instance, &mut record));
            Ok::<_, Error>((took, revived))
        })?;
        self.scales[REVIVING].record(&self.seats[REVIVING][worker].tally, took);
        revived
    }

    /// Parks what an instance was before a reset. Returns what its judge kept, or `None` if there
    /// is nothing.
    fn bring_back(
        &self,
        vault: &dyn Vault,
        store: &mut Store<'_>,
        id: u32,
    ) -> Result<Option<[u32; 2]>, Error> {
        let Some(length) = vault.length(id)? else { return Ok(None) };
        let mut words = [[0; 4]; 2];
        let judge = self.keeps.words() * size_of::<u32>();
        if length < judge {
            return Err(Error::from(Malformed));
        }
        vault.read(id, 0, &mut words.as_flattened_mut()[..judge])?;
        store.park(id, |sink| {
            let mut at = judge;
            while at < length {
                let mut chunk = [0; 64];
                let now = &mut chunk[..(length - at).min(64)];
                vault.read(id, at, now)?;
                sink.put(now)?;
                at += now.len();
            }
            Ok::<(), Error>(())
        })?;
        Ok(Some(words.map(u32::from_le_bytes)))
    }

    /// The first instance goes on, so the results of its earlier calls are not known.
    fn go_on(&self, id: u32, judge: [u32; 2]) {
        if let (0, Check::Agreement(agreement)) = (id, self.guest.check) {
            let judge = Judge::restored(self.keeps, id, false, judge, None);
            agreement.goes_on_after(judge.1);
        }
    }

    /// Parks an instance that lives. Returns how long that took. If it cannot be parked it ends,
    /// and nothing is returned.
    fn park(
        &self,
        yard: &mut Yard<'p, R::Instance<'s>>,
        id: u32,
        instance: &mut R::Instance<'s>,
        sampled: bool,
    ) -> Option<Ticks> {
        let mut dirty = None;
        let mut compare = |mut before: Record<'_>, mut after: Record<'_>| {
            dirty = self.runtime.changed(self.module, &mut before, &mut after).ok();
        };
        let ground = yard.ground.as_mut()?;
        let mut parked: Result<usize, Error> = Ok(0);
        let store = &mut ground.store;
        let (took, _) = self.scene.time(|| {
            let mut write = |sink: &mut dyn Sink| self.save(instance, sink);
            parked = match store {
                Store::Fixed(store) => store.park(id, write),
                Store::Cells(store) if sampled => store.park_beside(id, &mut write, &mut compare),
                Store::Cells(store) => store.park(id, write),
            };
        });
        if let Some(Bytes(bytes)) = dirty {
            let (count, sum, most) = &mut yard.dirty;
            *count = count.saturating_add(1);
            *sum += u64::from(bytes);
            *most = bytes.max(*most);
        }
        if parked.is_ok() {
            yard.keep(id, self.keeps);
        }
        match parked {
            Ok(_) => Some(took),
            Err(error) => {
                // Whatever refused, the instance is blank.
                yard.end(id, error);
                None
            }
        }
    }
}

impl<M: Machine, R: Runtime> Work for Park<'_, '_, '_, M, R> {
    fn run(&self, slot: usize) {
        let Some(seat) = self.seats[SERVING].get(slot) else { return };
        match self.work(slot) {
            Ok(()) => seat.set_phase(Phase::Ended),
            Err(error) => {
                self.failure.with(|failure| *failure = Some(error));
                seat.set_phase(Phase::Failed);
            }
        }
    }
}

struct Lead<'c, 'p, 's, 'm, M: Machine, R: Runtime> {
    park: &'c Park<'p, 's, 'm, M, R>,
    crew: &'c mut dyn Crew,
    account: Account,
    /// Workers whose threads were started.
    started: usize,
    /// Instances whose first call has returned.
    alive: u32,
    /// Instances that are admitted at a time.
    step: u32,
    failure: Option<Error>,
    /// Whether a thread cannot be ended.
    lost: bool,
    dwell: Dwell,
    windows: [Window<M::Tally>; SEATS_A_WORKER],
}

impl<M: Machine, R: Runtime> Lead<'_, '_, '_, '_, M, R> {
    fn sharing(&self) -> u32 {
        u32::try_from(self.started.max(1)).unwrap_or(u32::MAX)
    }

    /// Starts the workers, of which the first divides the block. Returns what that says about
    /// the end of the ramp.
    fn begin(&mut self) -> Result<Outcome, Error> {
        let park = self.park;
        for (worker, seat) in park.seats[SERVING].iter().enumerate() {
            park.seats.iter().for_each(|seats| seats[worker].prepare());
            self.crew.start(worker, park.scene.config.pin.core()).map_err(start_error)?;
            self.started = worker + 1;
            let mut seen = 0;
            while seat.started().is_none() {
                // One call of the trial may take that long, and it makes several.
                let goes_on = || {
                    let calls = park.trial.load(Acquire);
                    (calls != seen || seat.started().is_some()).then_some(calls)
                };
                match park.scene.wait(format_args!("worker {worker}"), self.sharing(), goes_on) {
                    Some(calls) => seen = calls,
                    None => return Err(stuck_error()),
                }
            }
            if seat.phase() == Phase::Failed {
                let unknown = || Error::new(ErrorKind::Engine, "a worker failed");
                return Err(park.failure.with(Option::take).unwrap_or_else(unknown));
            }
        }
        let divided = park.yard.with(|yard| {
            let ground = yard.ground.as_ref();
            ground.map(|ground| (ground.capacity, ground.each, ground.budget))
        });
        let missing = || Error::new(ErrorKind::Engine, "nobody divided the block");
        let (capacity, each, budget) = divided.ok_or_else(missing)?;
        if let Some(vault) = park.scene.machine.vault() {
            let Guest { module, export, .. } = park.guest;
            vault.open(wramp_park::tag(&[module.bytes(), export.as_bytes()]), capacity)?;
        }
        let judge = (park.keeps.words() * size_of::<u32>()) as u32;
        let workload = Word(park.guest.name);
        for (part, bytes) in
            [("parked-state", budget), ("judge", judge), ("store", each - judge - budget)]
        {
            if bytes > 0 {
                park.scene.emit(Part { workload, part: Word(part), bytes: Bytes(bytes) });
            }
        }
        let outcome = Outcome { peak: capacity, limit: Limit::Arena };
        park.scene.emit(Predict {
            workload: Word(park.scene.name),
            peak: outcome.peak,
            limit: outcome.limit,
            cost_bytes: Bytes(each),
            need_bytes: Bytes(each),
            arena_free_bytes: Bytes((capacity - 1).saturating_mul(each)),
        });
        self.account.cost = Some(Bytes(each));
        // A ramp of thousands in steps of one would take a day.
        self.step = park.scene.config.step.max(capacity / 32);
        park.open.store(true, Release);
        Ok(outcome)
    }

    /// Admits a batch: each is a copy of an instance that was never called.
    fn admit(&mut self) {
        let park = self.park;
        let mut line = |_: u32| {
            park.yard.with(|yard| {
                let full = || Error::from(Refused::Full);
                let (id, ground) = (yard.admitted, yard.ground.as_mut().ok_or_else(full)?);
                if id >= ground.capacity {
                    return Err(full());
                }
                let fresh = ground.fresh;
                let judge = match yard.vault {
                    Some(vault) => park.bring_back(vault, &mut ground.store, id)?,
                    None => None,
                };
                match judge {
                    Some(judge) => {
                        yard.restored += 1;
                        yard.set_judge(id, judge);
                        park.go_on(id, judge);
                    }
                    None => {
                        ground.store.park(id, |sink| sink.put(fresh).map_err(Error::from))?;
                        yard.set_judge(id, [0; 2]);
                    }
                }
                yard.samples.reach(id + 1);
                yard.admitted = id + 1;
                Ok(())
            })
        };
        let admitted: Result<(), Error> = (0..self.step).try_for_each(&mut line);
        self.failure = admitted.err().or(self.failure);
    }

    /// Waits until each instance was called. Returns how many were.
    fn await_first_calls(&self) -> Option<u32> {
        let park = self.park;
        let mut seen = 0;
        loop {
            let progress = || {
                let (called, admitted) = park.yard.with(|yard| (yard.called, yard.admitted));
                (called == admitted || called >= seen + PROGRESS).then_some((called, admitted))
            };
            let awaited = format_args!("the first call of instance {seen}");
            let (called, admitted) = park.scene.wait(awaited, self.sharing(), progress)?;
            if called == admitted {
                return Some(called);
            }
            seen = called;
        }
    }
}

impl<M: Machine, R: Runtime> Herd for Lead<'_, '_, '_, '_, M, R> {
    fn start(&mut self, id: u32) -> Event {
        if id < self.alive {
            return Event::Alive;
        }
        if self.failure.is_none() {
            self.admit();
        }
        match self.await_first_calls() {
            Some(alive) => self.alive = alive,
            None => self.failure = Some(stuck_error()),
        }
        // Where no call at all can succeed, more instances are of no use.
        let fatal = self.park.yard.with(|yard| {
            let fatal = |kind| matches!(kind, ErrorKind::WasmStack | ErrorKind::NativeStack);
            yard.troubles.iter().find(|(_, error)| fatal(error.kind)).map(|(_, error)| *error)
        });
        let fatal = self.park.yard.with(|yard| yard.vault_failed).or(fatal);
        self.failure = fatal.or(self.failure);
        if id < self.alive && fatal.is_none() { Event::Alive } else { failed(self.failure) }
    }

    fn hold(&mut self, millis: u32) {
        self.park.scene.hold(millis);
    }

    fn begin_dwell(&mut self) {
        let park = self.park;
        for ((window, scale), seats) in self.windows.iter_mut().zip(&park.scales).zip(park.seats) {
            window.begin(scale, seats.iter().map(|seat| &seat.tally));
        }
        park.yard.with(|yard| {
            yard.samples.of.iter_mut().for_each(|sample| sample.calls_before = sample.calls);
        });
        self.dwell = Dwell::begin(park.scene.machine);
    }

    fn sample(&mut self) -> Option<Nanos> {
        let park = self.park;
        let scene = &park.scene;
        let dwell = self.dwell.end(scene.machine);
        let end = |of: usize| {
            let tallies = park.seats[of].iter().map(|seat| &seat.tally);
            self.windows[of].end(&park.scales[of], tallies)
        };
        let (dwell_calls, latency) = end(SERVING);
        let (_, turnaround) = end(TURNING);
        let (_, parking) = end(PARKING);
        let (revivals, reviving) = end(REVIVING);
        let sum = |of: fn(&M::Tally) -> u32| {
            park.seats[SERVING].iter().map(|seat| u64::from(of(&seat.tally))).sum()
        };
        let figures = Figures {
            instances: self.alive,
            running: Some(self.sharing().min(self.alive)),
            dwell_calls,
            calls: sum(M::Tally::calls),
            errors: sum(M::Tally::errors),
            latency,
            turnaround,
            wake: None,
        };
        report(scene, &mut self.account, dwell, &figures);
        let (parking, reviving) = (scene.times(parking.as_ref()), scene.times(reviving.as_ref()));
        let record = park.yard.with(|yard| {
            let tenants = yard.live.iter().filter(|live| live.tenant.is_some()).count() as u32;
            let (count, sum, most) = yard.dirty;
            let ground = yard.ground.as_ref();
            Parked {
                workload: Word(scene.name),
                instances: yard.admitted,
                parked: yard.admitted.saturating_sub(tenants + yard.ended),
                live: yard.live.len() as u32,
                ended: yard.ended,
                restored: yard.vault.map(|_| yard.restored),
                instance_bytes: Bytes(ground.map_or(0, |ground| ground.each)),
                judge_bytes: Bytes((park.keeps.words() * size_of::<u32>()) as u32),
                budget_bytes: Bytes(ground.map_or(0, |ground| ground.budget)),
                parked_p50_bytes: Bytes(yard.parked_bytes(50)),
                parked_p99_bytes: Bytes(yard.parked_bytes(99)),
                parked_max_bytes: Bytes(yard.parked_bytes(100)),
                dirty_mean_bytes: sum
                    .checked_div(u64::from(count))
                    .map(|mean| Bytes(u32::try_from(mean).unwrap_or(u32::MAX))),
                dirty_max_bytes: (count > 0).then_some(Bytes(most)),
                revivals,
                revivals_per_s: scene
                    .nanos(dwell.0)
                    .map(|dwell| revivals.saturating_mul(1_000_000_000) / dwell.0.max(1)),
                park_mean_us: parking.mean,
                park_p50_us: parking.p50,
                park_p99_us: parking.p99,
                revive_mean_us: reviving.mean,
                revive_p50_us: reviving.p50,
                revive_p99_us: reviving.p99,
            }
        });
        scene.emit(record);
        let percentiles = turnaround.and_then(|turnaround| turnaround.percentiles);
        percentiles.and_then(|of| scene.nanos(of.p99))
    }

    fn stop(&mut self) {
        let park = self.park;
        let started = &park.seats[SERVING][..self.started];
        started.iter().for_each(Seat::ask_to_stop);
        let all_over = || started.iter().all(|seat| seat.over().is_some()).then_some(());
        let awaited = format_args!("the last call of each worker");
        let _ = park.scene.wait(awaited, self.sharing(), all_over);
        for (worker, seat) in started.iter().enumerate() {
            if seat.over().is_some() {
                self.crew.join(worker);
            } else {
                // The worker must not hold the yard when it is aborted.
                let crew = &mut *self.crew;
                self.lost |= !park.yard.with(|_| crew.abort(worker));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_keeps_what_it_knew_when_it_thins_out() {
        let mut samples = Samples::new();
        for id in 0..1000 {
            samples.reach(id + 1);
            if let Some(sample) = samples.get(id) {
                sample.calls = id + 1;
            }
        }
        let ids: heapless::Vec<u32, SAMPLES> = samples.called().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 16);
        assert!(samples.called().all(|(id, sample)| sample.calls == id + 1 && id % 64 == 0));
        assert!(samples.get(1).is_none() && samples.get(64).is_some());
    }
}
