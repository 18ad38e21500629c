//! The controller: obeys the state machine and keeps the account of the arena.
//!
//! Instances come to life in different ways (one thread each, or a pool). [`Herd`] hides that.
//! A ramp is driven, and a rung is sampled, in the same way for all of them.

use core::fmt;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_core::config::{Config, Knob};
use wramp_core::machine::{ArenaStats, CpuTime, Machine};
use wramp_core::measure::{Bytes, Latency, Micros, Nanos, Ratio, Spread as _, Tally, Ticks};
use wramp_core::ramp::{Action, Demand, Event, Limit, Outcome, Ramp, Shape, predict_set};
use wramp_core::report::{Part, Predict, Record, Step, Word};
use wramp_core::runtime::{Error, ErrorKind, Parts, Runtime};

use crate::guest::Guest;
use crate::run::Summary;
use crate::starts::{Begun, Phase, Starts};

/// The most modules side by side.
pub const MAX_MODULES: usize = 8;

/// Time until a waiting controller looks for the first time. It is a compromise: the answer
/// should come promptly, but looking must not become part of the measured load.
pub(crate) const GLANCE: Micros = Micros(1_000);
/// Time after which a wait says what it waits for.
const SAY_AFTER: Micros = Micros(2_000_000);
/// How long a wait goes on after someone asked the run to end.
const PATIENCE: Micros = Micros(2_000_000);

/// How a ramp went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Climbed {
    /// Peak and limit.
    pub(crate) outcome: Outcome,
    /// What the first instance (of each module) predicted.
    pub(crate) predicted: Option<Outcome>,
    /// Arena bytes of the newest instance.
    pub(crate) cost: Option<Bytes>,
    /// Calls of all instances.
    pub(crate) calls: u64,
    /// Failed or wrong calls.
    pub(crate) errors: u64,
    /// Calls that the budget ended.
    pub(crate) over_budget: u64,
    /// The most bytes that any slot's stack held.
    pub(crate) stack_used: Option<Bytes>,
    /// Jain's index of the calls in the time in which all instances ran together.
    pub(crate) fairness: Option<Ratio>,
    /// What kept the last instance from starting, if anything did.
    pub(crate) failure: Option<Error>,
    /// An instance whose call did not return.
    pub(crate) stuck: Option<u32>,
}

impl Climbed {
    /// A ramp that ended before its first instance, in a trial call that does not return.
    pub(crate) fn stuck_in_trial() -> Self {
        let none = Self {
            outcome: Outcome { peak: 0, limit: Limit::Error },
            predicted: None,
            cost: None,
            calls: 0,
            errors: 0,
            over_budget: 0,
            stack_used: None,
            fairness: None,
            failure: None,
            stuck: None,
        };
        none.with_stuck(Some(0))
    }

    /// The same ramp, with the stuck instance, if there is one, as the reason for its end.
    pub(crate) fn with_stuck(self, stuck: Option<u32>) -> Self {
        if stuck.is_none() {
            return self;
        }
        let outcome = Outcome { limit: Limit::Error, ..self.outcome };
        Self { stuck, outcome, failure: Some(stuck_error()), ..self }
    }
}

/// The error of a call that does not return.
#[cold]
#[inline(never)]
pub(crate) fn stuck_error() -> Error {
    Error::new(ErrorKind::Stuck, "a call has not returned")
}

/// A machine, its knobs and the current ramp.
pub(crate) struct Scene<'s, M: Machine> {
    pub(crate) machine: &'s M,
    pub(crate) config: &'s Config,
    /// The name of the ramp in the records.
    pub(crate) name: &'s str,
    /// When the run began.
    pub(crate) began: Ticks,
    /// Whether the clock advances. If not, no record has a time.
    pub(crate) clock_runs: bool,
    /// Ticks per second.
    pub(crate) clock_hz: u64,
    /// The interpreter stack of each module's instances.
    pub(crate) stacks: [Bytes; MAX_MODULES],
    /// Whether the engine can end a call by itself.
    pub(crate) meters: bool,
    /// The sums of the run before this ramp.
    pub(crate) so_far: Summary,
    /// What the starts and ends of its instances take.
    pub(crate) starts: &'s Starts<'s, M>,
}

impl<M: Machine> Scene<'_, M> {
    /// Milliseconds since the run began. The value stops after 49 days.
    pub(crate) fn millis(&self) -> u32 {
        self.millis_at(self.machine.now())
    }

    /// Converts another time in the same way.
    #[inline(never)]
    pub(crate) fn millis_at(&self, time: Ticks) -> u32 {
        u32::try_from(self.micros(self.began, time).0 / 1000).unwrap_or(u32::MAX)
    }

    fn micros(&self, from: Ticks, to: Ticks) -> Micros {
        to.saturating_sub(from).to_micros(self.clock_hz)
    }

    /// A time as a record shows it.
    pub(crate) fn nanos(&self, ticks: Ticks) -> Option<Nanos> {
        self.clock_runs.then(|| self.exact(ticks))
    }

    fn exact(&self, ticks: Ticks) -> Nanos {
        ticks.to_nanos(self.clock_hz)
    }

    /// Milliseconds as a record shows them.
    pub(crate) fn shown(&self, millis: u32) -> Option<u64> {
        self.clock_runs.then_some(u64::from(millis))
    }

    pub(crate) fn emit<'r>(&self, record: impl Into<Record<'r>>) {
        self.machine.emit(&record.into());
    }

    /// Lets the instances run for that many milliseconds.
    pub(crate) fn hold(&self, millis: u32) {
        if millis > 0 && !self.machine.interrupted() {
            self.machine.sleep(Micros(u64::from(millis) * 1000));
        }
    }

    /// Makes a call and times it. Returns how long it took and when it ended.
    ///
    /// The call leaves its result elsewhere. A copy of the result would take room on the stack
    /// below the call.
    #[inline]
    pub(crate) fn time(&self, call: impl FnOnce()) -> (Ticks, Ticks) {
        self.time_after(self.machine.now(), call)
    }

    /// Makes a call and times it, after the caller read the clock at `known`. Returns how long
    /// the call took and when it ended.
    ///
    /// To read the clock once more would make short calls rarer by some per cent. The caller
    /// MUST NOT have slept since, so that the call began less than 2^32 ticks later.
    #[inline]
    pub(crate) fn time_after(&self, known: Ticks, call: impl FnOnce()) -> (Ticks, Ticks) {
        let machine = self.machine;
        let mark = machine.mark();
        call();
        let took = machine.since(mark);

        let ended = machine.now();
        if M::SINCE_IS_WHOLE {
            return (took, ended);
        }
        (took.with_wraps(ended.saturating_sub(known)), ended)
    }

    /// Instructions that a call of that guest may take.
    pub(crate) fn budget_of(&self, guest: &Guest<'_>) -> Option<u32> {
        match guest.budget {
            Some(own) if M::MIXES => Some(own.get()),
            _ => self.config.budget,
        }
    }

    /// Notes what a part of a start or of an end has taken.
    #[inline(never)] // Its locals must not lie on the stack below a call.
    pub(crate) fn note(&self, phase: Phase, begun: Begun) {
        self.starts.note(phase, begun.took(self.machine));
    }

    /// Waits for an answer from instances that share the CPU with others. It waits at most
    /// twice as long as that takes. `None` if no answer comes: something is stuck.
    ///
    /// Each look comes after twice the time of the one before. Looks at equal intervals that
    /// are shorter than a time slice could make the wait endless. See [`Machine::sleep`].
    pub(crate) fn wait<T>(
        &self,
        awaited: fmt::Arguments<'_>,
        sharing: u32,
        mut answer: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let machine = self.machine;
        let began = machine.now();
        let a_core = sharing.div_ceil(u32::from(machine.facts().cores.max(1))).max(1);
        let most =
            self.config.stuck_ms.map(|each| Micros(u64::from(each) * 1000 * u64::from(a_core)));
        let (mut pause, mut said, mut asked_at) = (GLANCE, false, None);
        let mut slept = Micros(0);
        loop {
            if let Some(answer) = answer() {
                return Some(answer);
            }
            let now = machine.now();
            let waited = if self.clock_runs { self.micros(began, now) } else { slept };
            if most.is_some_and(|most| waited >= most) {
                return None;
            }
            if machine.interrupted() {
                let asked_at = *asked_at.get_or_insert(waited);
                if waited.saturating_sub(asked_at) >= PATIENCE {
                    return None;
                }
            }
            if waited >= SAY_AFTER && !said {
                said = true;
                let knob = machine.knob(Knob::Stuck).unwrap_or("-");
                log::info!("waiting for {awaited} for 2 s; {knob} says how long a call may take");
            }
            let left = most.map_or(pause, |most| most.saturating_sub(waited).max(GLANCE));
            let left = if machine.interrupted() { GLANCE } else { left };
            machine.sleep(pause.min(left));
            slept = Micros(slept.0.saturating_add(pause.min(left).0));
            pause = Micros(pause.0.saturating_mul(2));
        }
    }
}

/// The instances of a ramp, as the controller sees them.
pub(crate) trait Herd {
    /// Starts instance `id` and answers `Alive` or `Failed`.
    fn start(&mut self, id: u32) -> Event;
    /// Lets the instances run for that many milliseconds.
    fn hold(&mut self, millis: u32);
    /// Begins a dwell.
    fn begin_dwell(&mut self);
    /// Ends the dwell, samples and reports. Returns the p99 that a promise concerns.
    fn sample(&mut self) -> Option<Nanos>;
    /// Stops and joins all instances.
    fn stop(&mut self);
}

/// Drives a ramp of at most `slots` instances to its end.
pub(crate) fn drive<M: Machine>(scene: &Scene<'_, M>, slots: u32, herd: &mut impl Herd) -> Outcome {
    drive_by(scene, slots, scene.config.step, herd)
}

/// Does the same in rungs of `step` instances.
pub(crate) fn drive_by<M: Machine>(
    scene: &Scene<'_, M>,
    slots: u32,
    step: u32,
    herd: &mut impl Herd,
) -> Outcome {
    let config = scene.config;
    let mut ramp = Ramp::new(Shape { slots, step, slo: config.slo });
    let mut action = ramp.next(Event::Begin);
    let mut told = false;
    loop {
        let event = match action {
            Action::Start(id) => herd.start(id),
            Action::Settle => {
                herd.hold(config.settle_ms);
                Event::Elapsed
            }
            Action::Dwell => {
                herd.begin_dwell();
                herd.hold(config.dwell_ms);
                Event::Elapsed
            }
            Action::Sample => Event::Sampled(herd.sample()),
            Action::Stop => {
                herd.stop();
                Event::Stopped
            }
            Action::Done(outcome) => return outcome,
        };
        action = ramp.next(event);
        // Report the interrupt once. The answer to what it causes is not another interrupt.
        let over = matches!(action, Action::Stop | Action::Done(_));
        if !told && !over && scene.machine.interrupted() {
            told = true;
            action = ramp.next(Event::Interrupt);
        }
    }
}

/// Free bytes outside the largest hole.
fn outside(arena: &ArenaStats) -> Bytes {
    arena.free.saturating_sub(arena.largest)
}

/// The arena's account of a ramp.
pub(crate) struct Account {
    /// The fewest free bytes since the load.
    lowest: Bytes,
    before: ArenaStats,
    /// Whether the newest instance left the bytes outside the largest hole untouched. The next
    /// instance will then do the same.
    spared: bool,
    /// Instances before those that the prediction is about.
    fixed: u32,
    /// Modules that take turns after them.
    modules: usize,
    slots: u32,
    demands: heapless::Vec<Demand, MAX_MODULES>,
    /// Bytes that the newest instance took.
    pub(crate) cost: Option<Bytes>,
    /// The prediction from the first instance of each module.
    pub(crate) predicted: Option<Outcome>,
}

impl Account {
    /// Opens the account of a ramp of at most `slots` instances. After the first `fixed`
    /// instances, the modules take turns.
    pub(crate) fn open<M: Machine>(machine: &M, fixed: u32, modules: usize, slots: u32) -> Self {
        let before = machine.arena();
        Self {
            lowest: before.low_water,
            before,
            spared: false,
            fixed,
            modules,
            slots,
            demands: heapless::Vec::new(),
            cost: None,
            predicted: None,
        }
    }

    /// Notes the arena before an instance starts.
    pub(crate) fn before<M: Machine>(&mut self, machine: &M) {
        self.before = machine.arena();
        self.lowest = self.lowest.min(self.before.low_water);
        machine.arena_reset_low_water();
    }

    /// Notes the arena after an instance has started. Returns what it took and needed.
    pub(crate) fn after<M: Machine>(&mut self, machine: &M) -> Demand {
        let after = machine.arena();
        let cost = self.before.free.saturating_sub(after.free);
        // Of several modules, one may fit where another does not.
        self.spared = self.modules == 1 && outside(&after) >= outside(&self.before);
        let need = self.before.free.saturating_sub(after.low_water);
        self.cost = Some(cost);
        Demand { cost, need }
    }

    /// Predicts the end once there is an instance of each module, and reports it.
    pub(crate) fn learn<M: Machine, R: Runtime>(
        &mut self,
        scene: &Scene<'_, M>,
        runtime: &R,
        demand: Demand,
    ) {
        if self.predicted.is_some() || self.demands.push(demand).is_err() {
            return;
        }
        if self.demands.len() < self.modules {
            return;
        }
        let free = scene.machine.arena().free;
        let running = self.fixed.saturating_add(u32::try_from(self.modules).unwrap_or(u32::MAX));
        let outcome = match runtime.how_many_more(self.modules, self.slots.saturating_sub(running))
        {
            Some(more) => {
                let peak = running.saturating_add(more).min(self.slots);
                let limit = if peak < self.slots { Limit::Arena } else { Limit::Slots };
                Outcome { peak, limit }
            }
            None => self.by_formula(scene),
        };
        self.predicted = Some(outcome);
        let sum = |of: fn(&Demand) -> Bytes| {
            self.demands.iter().map(of).fold(Bytes(0), Bytes::saturating_add)
        };
        scene.emit(Predict {
            workload: Word(scene.name),
            peak: outcome.peak,
            limit: outcome.limit,
            cost_bytes: sum(|demand| demand.cost),
            need_bytes: sum(|demand| demand.need),
            arena_free_bytes: free,
        });
    }

    /// Predicts from free bytes and costs, for an engine whose allocations are not known.
    fn by_formula<M: Machine>(&self, scene: &Scene<'_, M>) -> Outcome {
        let arena = scene.machine.arena();
        let header = scene.machine.facts().block_header;
        let usable = if self.spared {
            arena.free.min(arena.largest.saturating_add(header))
        } else {
            arena.free
        };
        let outcome = predict_set(usable, &self.demands, self.slots.saturating_sub(self.fixed));
        Outcome { peak: outcome.peak.saturating_add(self.fixed), ..outcome }
    }

    fn lowest(&mut self, arena: &ArenaStats) -> Bytes {
        self.lowest = self.lowest.min(arena.low_water);
        self.lowest
    }
}

/// No call has set the floor yet.
const NO_FLOOR: u32 = u32::MAX;

/// What a thread needs in order to count a time: where the histogram begins, and the number of
/// the current dwell.
pub(crate) struct Scale {
    floor: AtomicU32,
    dwell: AtomicU32,
    /// Doublings from the beginning of the histogram to the first time.
    below: usize,
}

impl Scale {
    /// The first call may be a slow one, because other threads run in between.
    pub(crate) const fn of_calls() -> Self {
        Self::new(3)
    }

    /// The first turnaround is that of a single resident. With hundreds of residents it takes
    /// hundreds of times as long, and hardly ever less.
    pub(crate) const fn of_turnarounds() -> Self {
        Self::new(1)
    }

    const fn new(below: usize) -> Self {
        Self { floor: AtomicU32::new(NO_FLOOR), dwell: AtomicU32::new(0), below }
    }

    /// Counts a time. The very first one sets where the histograms begin. No other thread races
    /// with it, because instances start one at a time.
    #[inline(never)] // Its locals must not stay on the stack below a call.
    pub(crate) fn record<T: Tally>(&self, tally: &T, took: Ticks) {
        let floor = match self.floor.load(Acquire) {
            NO_FLOOR => {
                let floor = T::floor(took, self.below);
                self.floor.store(floor, Release);
                floor
            }
            floor => floor,
        };
        tally.record(took, floor, self.dwell.load(Relaxed));
    }

    /// The statistics of the times in `spread`.
    pub(crate) fn latency<T: Tally>(&self, spread: &T::Spread) -> Option<Latency> {
        match self.floor.load(Acquire) {
            NO_FLOOR => None,
            floor => spread.latency(floor),
        }
    }
}

/// The times of one dwell, summed over threads.
pub(crate) struct Window<T: Tally> {
    before: T::Spread,
}

impl<T: Tally> Window<T> {
    pub(crate) fn new() -> Self {
        Self { before: T::Spread::new() }
    }

    /// Begins a dwell.
    pub(crate) fn begin<'t>(&mut self, scale: &Scale, tallies: impl Iterator<Item = &'t T>)
    where
        T: 't,
    {
        scale.dwell.store(scale.dwell.load(Relaxed).wrapping_add(1), Relaxed);
        self.before = T::Spread::new();
        tallies.for_each(|tally| self.before.add(tally));
    }

    /// Ends the dwell. Returns its calls and their times.
    #[inline(never)] // It keeps a histogram on the stack.
    pub(crate) fn end<'t>(
        &self,
        scale: &Scale,
        tallies: impl Iterator<Item = &'t T> + Clone,
    ) -> (u64, Option<Latency>)
    where
        T: 't,
    {
        let mut dwell = T::Spread::new();
        tallies.clone().for_each(|tally| dwell.add(tally));
        dwell.subtract(&self.before);
        let number = scale.dwell.load(Relaxed);
        tallies.for_each(|tally| dwell.add_longest(tally, number));
        (dwell.calls(), scale.latency::<T>(&dwell))
    }
}

/// The current dwell: when it began, and the CPU time until then.
pub(crate) struct Dwell {
    began: Ticks,
    cpu: Option<CpuTime>,
}

/// What a herd adds to a sample.
pub(crate) struct Figures {
    pub(crate) instances: u32,
    pub(crate) running: Option<u32>,
    pub(crate) dwell_calls: u64,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) latency: Option<Latency>,
    pub(crate) turnaround: Option<Latency>,
    /// From what a guest waited for to its step.
    pub(crate) wake: Option<Latency>,
}

impl Dwell {
    pub(crate) fn begin<M: Machine>(machine: &M) -> Self {
        Self { began: machine.now(), cpu: machine.cpu_time() }
    }

    /// Ends the dwell. Call it first, before slower work makes the dwell seem longer.
    pub(crate) fn end<M: Machine>(&self, machine: &M) -> (Ticks, Option<u32>) {
        let time = machine.now().saturating_sub(self.began);
        let permille = self.cpu.zip(machine.cpu_time()).and_then(|(then, now)| {
            let busy = now.busy.saturating_sub(then.busy).0;
            let total = now.total.saturating_sub(then.total).0;
            u32::try_from((busy.saturating_mul(1000) + total / 2).checked_div(total)?).ok()
        });
        (time, permille)
    }
}

/// Times as a record shows them. Each is absent if it is not known.
pub(crate) struct Times {
    pub(crate) mean: Option<Nanos>,
    pub(crate) min: Option<Nanos>,
    pub(crate) p50: Option<Nanos>,
    pub(crate) p99: Option<Nanos>,
    pub(crate) max: Option<Nanos>,
}

impl<M: Machine> Scene<'_, M> {
    pub(crate) fn times(&self, latency: Option<&Latency>) -> Times {
        let latency = latency.filter(|_| self.clock_runs);
        let percentiles = latency.and_then(|latency| latency.percentiles);
        Times {
            mean: latency.map(|latency| latency.mean(self.clock_hz)),
            min: latency.and_then(|latency| latency.min).map(|min| self.exact(min)),
            p50: percentiles.map(|of| self.exact(of.p50)),
            p99: percentiles.map(|of| self.exact(of.p99)),
            max: latency.and_then(|latency| latency.max).map(|max| self.exact(max)),
        }
    }
}

/// Reports one rung.
pub(crate) fn report<M: Machine>(
    scene: &Scene<'_, M>,
    account: &mut Account,
    (time, cpu_permille): (Ticks, Option<u32>),
    figures: &Figures,
) {
    let arena = scene.machine.arena();
    let latency = scene.times(figures.latency.as_ref());
    let turnaround = scene.times(figures.turnaround.as_ref());
    let wake = scene.times(figures.wake.as_ref());
    scene.emit(Step {
        workload: Word(scene.name),
        instances: figures.instances,
        running: figures.running,
        arena_free_bytes: arena.free,
        arena_low_bytes: account.lowest(&arena),
        arena_largest_bytes: arena.largest,
        arena_blocks: arena.blocks,
        cost_bytes: account.cost.unwrap_or_default(),
        start_us: scene.nanos(scene.starts.newest()),
        cpu_permille,
        uptime_ms: scene.shown(scene.millis()),
        dwell_us: scene.nanos(time),
        dwell_calls: figures.dwell_calls,
        calls: figures.calls,
        errors: figures.errors,
        latency_mean_us: latency.mean,
        latency_min_us: latency.min,
        latency_p50_us: latency.p50,
        latency_p99_us: latency.p99,
        latency_max_us: latency.max,
        turnaround_p50_us: turnaround.p50,
        turnaround_p99_us: turnaround.p99,
        turnaround_max_us: turnaround.max,
        wake_p50_us: wake.p50,
        wake_p99_us: wake.p99,
        wake_max_us: wake.max,
    });
}

/// Reports the parts of an instance of that cost.
///
/// Bytes that the engine did not ask for belong to the allocator: headers and rounding. If the
/// parts add up to more than the cost, they are wrong, and nothing is reported.
pub(crate) fn report_parts<M: Machine>(
    scene: &Scene<'_, M>,
    workload: &str,
    parts: &Parts,
    queue: Bytes,
    cost: Bytes,
) {
    let named = parts.sum().0.saturating_add(queue.0);
    let Some(allocator) = cost.0.checked_sub(named) else { return };
    let others = [("queue", queue), ("allocator", Bytes(allocator))];
    for (part, bytes) in parts.iter().chain(others) {
        if bytes > Bytes(0) {
            scene.emit(Part { workload: Word(workload), part: Word(part), bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU16;

    use wramp_core::measure::{BUCKETS_PER_OCTAVE, Counts};

    use super::*;

    const N: usize = 12 * BUCKETS_PER_OCTAVE;

    #[test]
    fn a_turnaround_of_hundreds_is_within_the_window_of_the_first() {
        let scale = Scale::of_turnarounds();
        let tally = Counts::<AtomicU32, N>::NEW;
        scale.record(&tally, Ticks(66_800));
        let mut window = Window::new();
        window.begin(&scale, core::iter::once(&tally));
        // 720 residents take turns. Now and then, one waited for a preempted worker.
        for turn in 0..1000 {
            scale.record(&tally, Ticks(66_800 * if turn % 50 == 0 { 1440 } else { 720 }));
        }
        let (calls, latency) = window.end(&scale, core::iter::once(&tally));
        let latency = latency.unwrap();
        assert_eq!(calls, 1000);
        let near = |ticks: Ticks, of: u64| ticks.0.abs_diff(of) * 50 <= of;
        let percentiles = latency.percentiles.unwrap();
        assert!(near(percentiles.p50, 66_800 * 720), "{latency:?}");
        assert!(near(percentiles.p99, 66_800 * 1440), "{latency:?}");
        assert_eq!(latency.max, Some(Ticks(66_800 * 1440)));
        assert_eq!(latency.sum, Ticks(66_800 * (980 * 720 + 20 * 1440)));
    }

    /// The histogram's counters hold 65,535 calls of one kind. The sums hold all calls.
    #[test]
    fn calls_are_counted_where_a_histogram_is_full_and_percentiles_left_out() {
        let scale = Scale::of_calls();
        let tally = Counts::<AtomicU16, N>::NEW;
        let mut window = Window::new();
        for most in [65_534, 70_000] {
            window.begin(&scale, core::iter::once(&tally));
            (0..most).for_each(|_| scale.record(&tally, Ticks(1000)));
            let (calls, latency) = window.end(&scale, core::iter::once(&tally));
            let latency = latency.unwrap();
            assert_eq!((calls, latency.percentiles.is_some()), (most, most < 65_535));
            assert_eq!((latency.sum, latency.max), (Ticks(1000 * most), Some(Ticks(1000))));
        }
    }
}
