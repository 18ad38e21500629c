//! The controller: does what the state machine says, and keeps the arena's account.
//!
//! How instances come to life differs (a thread each, or a pool), which is behind
//! [`Herd`]; that a ramp is driven and a rung is sampled does not.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_core::config::Config;
use wramp_core::measure::{
    Bytes, Counter, Latency, Micros, Nanos, Ratio, Spread, Tally, Ticks, window_floor,
};
use wramp_core::platform::{ArenaStats, CpuTime, Platform};
use wramp_core::ramp::{Action, Demand, Event, Outcome, Plan, Ramp, predict_set};
use wramp_core::report::{Part, Predict, Record, Step, Word};
use wramp_core::runtime::{Error, Parts};

/// Most modules side by side.
pub const MAX_MODULES: usize = 5;

/// How soon someone who waits looks up for the first time: a compromise between a prompt
/// answer and being the load that is measured.
pub(crate) const GLANCE: Micros = Micros(1_000);

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
    /// Most bytes of any slot's stack.
    pub(crate) stack_used: Option<Bytes>,
    /// Jain's index of the calls in the time in which all ran together.
    pub(crate) fairness: Option<Ratio>,
    /// What kept the last instance from starting, if something did.
    pub(crate) failure: Option<Error>,
}

/// A machine, its knobs, and the ramp that is on.
pub(crate) struct Scene<'s, P> {
    pub(crate) platform: &'s P,
    pub(crate) config: &'s Config,
    /// Name of the ramp in the records.
    pub(crate) name: &'s str,
    /// When the run began.
    pub(crate) began: Ticks,
    /// The interpreter stack of each module's instances.
    pub(crate) stacks: [Bytes; MAX_MODULES],
}

impl<P: Platform> Scene<'_, P> {
    /// Milliseconds since the run began; stops after 49 days.
    pub(crate) fn millis(&self) -> u32 {
        self.millis_at(self.platform.now())
    }

    /// The same of another time.
    pub(crate) fn millis_at(&self, time: Ticks) -> u32 {
        let ticks = time.saturating_sub(self.began);
        u32::try_from(ticks.to_micros(self.platform.clock_hz()).0 / 1000).unwrap_or(u32::MAX)
    }

    pub(crate) fn nanos(&self, ticks: Ticks) -> Nanos {
        ticks.to_nanos(self.platform.clock_hz())
    }

    pub(crate) fn emit<'r>(&self, record: impl Into<Record<'r>>) {
        self.platform.emit(&record.into());
    }

    fn hold(&self, millis: u32) {
        if millis > 0 && !self.platform.interrupted() {
            self.platform.sleep(Micros(u64::from(millis) * 1000));
        }
    }

    /// Waits for an answer of instances that share the CPU with others: at most twice as
    /// long as it takes. Each look is after twice the time of the one before. With looks
    /// at equal intervals, shorter than a time slice, the wait could be for ever: see
    /// [`Platform::sleep`].
    pub(crate) fn wait<T>(&self, mut answer: impl FnMut() -> Option<T>) -> T {
        let mut pause = GLANCE;
        loop {
            if let Some(answer) = answer() {
                return answer;
            }
            self.platform.sleep(pause);
            pause = Micros(pause.0.saturating_mul(2));
        }
    }
}

/// The instances of a ramp, as the controller deals with them.
pub(crate) trait Herd {
    /// Brings instance `id` to life: `Alive` or `Failed`.
    fn start(&mut self, id: u32) -> Event;
    /// A dwell begins now.
    fn begin_dwell(&mut self);
    /// The dwell is over: samples and reports. The p99 that a promise is about.
    fn sample(&mut self) -> Option<Nanos>;
    /// Stops and joins all.
    fn stop(&mut self);
}

/// Drives a ramp of at most `slots` instances to its end.
pub(crate) fn drive<P: Platform>(
    scene: &Scene<'_, P>,
    slots: u32,
    herd: &mut impl Herd,
) -> Outcome {
    let config = scene.config;
    let mut ramp = Ramp::new(Plan { slots, step: config.step, slo: config.slo });
    let mut action = ramp.next(Event::Begin);
    let mut told = false;
    loop {
        let event = match action {
            Action::Start(id) => herd.start(id),
            Action::Settle => {
                scene.hold(config.settle_ms);
                Event::Elapsed
            }
            Action::Dwell => {
                herd.begin_dwell();
                scene.hold(config.dwell_ms);
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
        // Told once: the answer to what the interrupt asks for is not another interrupt.
        let over = matches!(action, Action::Stop | Action::Done(_));
        if !told && !over && scene.platform.interrupted() {
            told = true;
            action = ramp.next(Event::Interrupt);
        }
    }
}

/// Most that an allocator keeps before a block; demands are multiples of it.
const HEADER: Bytes = Bytes(8);

/// Free bytes that the largest hole does not hold.
fn outside(arena: &ArenaStats) -> Bytes {
    arena.free.saturating_sub(arena.largest)
}

/// The arena's account of a ramp.
pub(crate) struct Account {
    /// Least free since the load.
    lowest: Bytes,
    before: ArenaStats,
    /// The newest instance left what lies outside the largest hole as it was: so will the next.
    spared: bool,
    modules: usize,
    slots: u32,
    demands: heapless::Vec<Demand, MAX_MODULES>,
    /// What the newest instance took.
    pub(crate) cost: Option<Bytes>,
    /// What the first of each module said about the rest.
    pub(crate) predicted: Option<Outcome>,
}

impl Account {
    pub(crate) fn open<P: Platform>(platform: &P, modules: usize, slots: u32) -> Self {
        let before = platform.arena();
        Self {
            lowest: before.low_water,
            before,
            spared: false,
            modules,
            slots,
            demands: heapless::Vec::new(),
            cost: None,
            predicted: None,
        }
    }

    /// An instance is about to start.
    pub(crate) fn before<P: Platform>(&mut self, platform: &P) {
        self.before = platform.arena();
        self.lowest = self.lowest.min(self.before.low_water);
        platform.arena_reset_low_water();
    }

    /// It lives: what it took and needed.
    pub(crate) fn after<P: Platform>(&mut self, platform: &P) -> Demand {
        let after = platform.arena();
        let cost = self.before.free.saturating_sub(after.free);
        // Of several modules one may fit where another does not.
        self.spared = self.modules == 1 && outside(&after) >= outside(&self.before);
        let need = self.before.free.saturating_sub(after.low_water);
        self.cost = Some(cost);
        Demand { cost, need }
    }

    /// Predicts the end, once there is an instance of each module, and says so.
    pub(crate) fn learn<P: Platform>(&mut self, scene: &Scene<'_, P>, demand: Demand) {
        if self.predicted.is_some() || self.demands.push(demand).is_err() {
            return;
        }
        if self.demands.len() < self.modules {
            return;
        }
        let arena = scene.platform.arena();
        let free = arena.free;
        let usable =
            if self.spared { free.min(arena.largest.saturating_add(HEADER)) } else { free };
        let outcome = predict_set(usable, &self.demands, self.slots);
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

    fn lowest(&mut self, arena: &ArenaStats) -> Bytes {
        self.lowest = self.lowest.min(arena.low_water);
        self.lowest
    }
}

/// No call has been seen yet.
const NO_FLOOR: u32 = u32::MAX;

/// What threads need to know to count a time: where the histogram begins, and which
/// dwell is on.
pub(crate) struct Scale {
    floor: AtomicU32,
    dwell: AtomicU32,
    /// Doublings from where the histogram begins to the first time.
    below: usize,
}

impl Scale {
    /// The first call may be a slow one, with what others do in between.
    pub(crate) const fn of_calls() -> Self {
        Self::new(3)
    }

    /// The first turnaround is that of one resident alone: with hundreds it takes hundreds
    /// of times as long, and hardly ever less.
    pub(crate) const fn of_turnarounds() -> Self {
        Self::new(1)
    }

    const fn new(below: usize) -> Self {
        Self { floor: AtomicU32::new(NO_FLOOR), dwell: AtomicU32::new(0), below }
    }

    /// Counts a time. The very first one, while instances start one at a time, sets
    /// where the histograms begin.
    pub(crate) fn record<C: Counter, const N: usize>(&self, tally: &Tally<C, N>, took: Ticks) {
        let floor = match self.floor.load(Acquire) {
            NO_FLOOR => {
                let floor = window_floor::<N>(took, self.below);
                self.floor.store(floor, Release);
                floor
            }
            floor => floor,
        };
        tally.record(took, floor, self.dwell.load(Relaxed));
    }

    /// Percentiles of all that was counted in `spread`.
    pub(crate) fn latency<const N: usize>(&self, spread: &Spread<N>) -> Option<Latency> {
        match self.floor.load(Acquire) {
            NO_FLOOR => None,
            floor => spread.latency(floor),
        }
    }
}

/// The times of one dwell, summed over threads.
pub(crate) struct Window<const N: usize> {
    before: Spread<N>,
    calls: u64,
}

impl<const N: usize> Window<N> {
    pub(crate) const fn new() -> Self {
        Self { before: Spread::new(), calls: 0 }
    }

    /// A dwell begins.
    pub(crate) fn begin<'t, C: Counter + 't>(
        &mut self,
        scale: &Scale,
        tallies: impl Iterator<Item = &'t Tally<C, N>>,
    ) {
        scale.dwell.store(scale.dwell.load(Relaxed).wrapping_add(1), Relaxed);
        *self = Self::new();
        for tally in tallies {
            self.before.add(tally);
            self.calls += u64::from(tally.calls());
        }
    }

    /// The dwell is over: its calls and their times.
    #[inline(never)] // It keeps a histogram on the stack.
    pub(crate) fn end<'t, C: Counter + 't>(
        &self,
        scale: &Scale,
        tallies: impl Iterator<Item = &'t Tally<C, N>> + Clone,
    ) -> (u64, Option<Latency>) {
        let (mut dwell, mut calls) = (Spread::new(), 0_u64);
        for tally in tallies.clone() {
            dwell.add(tally);
            calls += u64::from(tally.calls());
        }
        dwell.subtract(&self.before);
        let number = scale.dwell.load(Relaxed);
        tallies.for_each(|tally| dwell.add_longest(tally, number));
        (calls.saturating_sub(self.calls), scale.latency(&dwell))
    }
}

/// A dwell that is on: since when, and the CPU time until then.
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
}

impl Dwell {
    pub(crate) fn begin<P: Platform>(platform: &P) -> Self {
        Self { began: platform.now(), cpu: platform.cpu_time() }
    }

    /// Ends it. To be called first: what follows may take its time.
    pub(crate) fn end<P: Platform>(&self, platform: &P) -> (Ticks, Option<u32>) {
        let time = platform.now().saturating_sub(self.began);
        let permille = self.cpu.zip(platform.cpu_time()).and_then(|(then, now)| {
            let busy = now.busy.saturating_sub(then.busy).0;
            let total = now.total.saturating_sub(then.total).0;
            u32::try_from((busy.saturating_mul(1000) + total / 2).checked_div(total)?).ok()
        });
        (time, permille)
    }
}

/// Reports one rung.
pub(crate) fn report<P: Platform>(
    scene: &Scene<'_, P>,
    account: &mut Account,
    (time, cpu_permille): (Ticks, Option<u32>),
    figures: &Figures,
) {
    let arena = scene.platform.arena();
    let latency =
        |of: fn(&Latency) -> Ticks| figures.latency.as_ref().map(of).map(|t| scene.nanos(t));
    let turnaround =
        |of: fn(&Latency) -> Ticks| figures.turnaround.as_ref().map(of).map(|t| scene.nanos(t));
    scene.emit(Step {
        workload: Word(scene.name),
        instances: figures.instances,
        running: figures.running,
        arena_free_bytes: arena.free,
        arena_low_bytes: account.lowest(&arena),
        arena_largest_bytes: arena.largest,
        arena_blocks: arena.blocks,
        cost_bytes: account.cost.unwrap_or_default(),
        cpu_permille,
        uptime_ms: u64::from(scene.millis()),
        dwell_us: scene.nanos(time),
        dwell_calls: figures.dwell_calls,
        calls: figures.calls,
        errors: figures.errors,
        latency_mean_us: None,
        latency_min_us: None,
        latency_p50_us: latency(|l| l.p50),
        latency_p99_us: latency(|l| l.p99),
        latency_max_us: latency(|l| l.max),
        turnaround_p50_us: turnaround(|t| t.p50),
        turnaround_p99_us: turnaround(|t| t.p99),
        turnaround_max_us: turnaround(|t| t.max),
    });
}

/// Reports what an instance of that cost is made of. What the engine did not ask for is the
/// allocator's: headers and rounding. A sum above the cost would be a lie, and is not told.
pub(crate) fn report_parts<P: Platform>(
    scene: &Scene<'_, P>,
    workload: &str,
    parts: &Parts,
    cost: Bytes,
) {
    let Some(allocator) = cost.0.checked_sub(parts.sum().0) else { return };
    for (part, bytes) in parts.iter().chain([("allocator", Bytes(allocator))]) {
        if bytes > Bytes(0) {
            scene.emit(Part { workload: Word(workload), part: Word(part), bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU16;

    use wramp_core::measure::BUCKETS_PER_OCTAVE;

    use super::*;

    const N: usize = 12 * BUCKETS_PER_OCTAVE;

    #[test]
    fn a_turnaround_of_hundreds_is_within_the_window_of_the_first() {
        let scale = Scale::of_turnarounds();
        let tally = Tally::<AtomicU32, N>::new();
        scale.record(&tally, Ticks(66_800));
        let mut window = Window::new();
        window.begin(&scale, core::iter::once(&tally));
        // 720 residents in turn; now and then one that waited for a preempted worker.
        for turn in 0..1000 {
            scale.record(&tally, Ticks(66_800 * if turn % 50 == 0 { 1440 } else { 720 }));
        }
        let (calls, latency) = window.end(&scale, core::iter::once(&tally));
        let latency = latency.unwrap();
        assert_eq!(calls, 1000);
        let near = |ticks: Ticks, of: u64| ticks.0.abs_diff(of) * 50 <= of;
        assert!(near(latency.p50, 66_800 * 720), "{latency:?}");
        assert!(near(latency.p99, 66_800 * 1440), "{latency:?}");
        assert_eq!(latency.max, Ticks(66_800 * 1440));
    }

    #[test]
    fn calls_are_counted_where_a_histogram_is_full_and_latencies_left_out() {
        let scale = Scale::of_calls();
        let tally = Tally::<AtomicU16, N>::new();
        let mut window = Window::new();
        for most in [65_534, 70_000] {
            window.begin(&scale, core::iter::once(&tally));
            (0..most).for_each(|_| scale.record(&tally, Ticks(1000)));
            let (calls, latency) = window.end(&scale, core::iter::once(&tally));
            assert_eq!((calls, latency.is_some()), (most, most < 65_535));
        }
    }
}
