//! What it takes to load a module, to start an instance and to give it back.
//!
//! All of this happens between the dwells of a ramp, so no dwell has it in its figures. Sums and
//! maxima are exact. Percentiles come from a sample in memory that the machine lends.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wramp_core::machine::{Lock, Machine, Mark};
use wramp_core::measure::{Nanos, Ticks};
use wramp_core::report::{Record, Start, Word};

/// A part of an instance's start or of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A module is loaded. Only the scenario `private` has one for each instance.
    Load,
    /// An instance comes into being, with its interpreter stack if it has its own.
    Instantiate,
    /// It makes its first call.
    FirstCall,
    /// It is given back.
    Teardown,
}

/// Each phase, and its word in a record.
const PHASES: [(Phase, &str); 4] = [
    (Phase::Load, "load"),
    (Phase::Instantiate, "instantiate"),
    (Phase::FirstCall, "first-call"),
    (Phase::Teardown, "teardown"),
];

/// When something began.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    mark: Mark,
    at: Ticks,
}

impl Begun {
    /// Now.
    pub(crate) fn now<M: Machine>(machine: &M) -> Self {
        let at = machine.now();
        Self { mark: machine.mark(), at }
    }

    /// How long it has taken.
    pub(crate) fn took<M: Machine>(self, machine: &M) -> Ticks {
        let took = machine.since(self.mark);
        let whole = machine.now().saturating_sub(self.at);
        if M::SINCE_IS_WHOLE { took } else { took.with_wraps(whole) }
    }
}

/// The times of a phase.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: u32,
    /// One in so many is in the sample.
    stride: u32,
    sum: u64,
    most: u64,
}

/// The times of all phases.
struct Kept {
    phases: [Sums; PHASES.len()],
    /// What the start of the newest instance has taken so far.
    newest: u64,
}

/// The starts and ends of a ramp's instances.
pub(crate) struct Starts<'m, M: Machine> {
    kept: M::Lock<Kept>,
    sample: &'m [AtomicU32],
}

impl<'m, M: Machine> Starts<'m, M> {
    /// None so far. `sample` is memory for percentiles: each phase gets an equal part.
    pub(crate) fn new(sample: &'m [AtomicU32]) -> Self {
        let phases = [Sums { stride: 1, ..Sums::default() }; PHASES.len()];
        Self { kept: M::Lock::new(Kept { phases, newest: 0 }), sample }
    }

    /// The memory of a phase's sample: an even number of places.
    fn sample(&self, phase: Phase) -> &'m [AtomicU32] {
        let places = self.sample.len() / PHASES.len() / 2 * 2;
        &self.sample[phase as usize * places..][..places]
    }

    /// Another instance starts.
    pub(crate) fn begin(&self) {
        self.kept.with(|kept| kept.newest = 0);
    }

    /// Notes that a part of a start or of an end took so long.
    #[inline(never)] // Its locals must not lie on the stack below a call.
    pub(crate) fn note(&self, phase: Phase, took: Ticks) {
        self.kept.with(|kept| {
            if phase != Phase::Teardown {
                kept.newest = kept.newest.saturating_add(took.0);
            }
            if !M::STARTS {
                return;
            }
            let sums = &mut kept.phases[phase as usize];
            sums.keep(self.sample(phase), took);
            sums.count = sums.count.saturating_add(1);
            sums.sum = sums.sum.saturating_add(took.0);
            sums.most = sums.most.max(took.0);
        });
    }

    /// What the start of the newest instance took: its load if it has its own module, its
    /// instantiation and its first call.
    pub(crate) fn newest(&self) -> Ticks {
        Ticks(self.kept.with(|kept| kept.newest))
    }

    /// Reports each phase that there was.
    #[inline(never)]
    pub(crate) fn report(&self, machine: &M, workload: &str) {
        let hz = machine.facts().clock_hz;
        for (phase, name) in PHASES {
            let sums = self.kept.with(|kept| kept.phases[phase as usize]);
            if sums.count == 0 {
                continue;
            }
            let exact = |ticks: u64| Ticks(ticks).to_nanos(hz);
            let sample = &self.sample(phase)[..sums.kept(self.sample(phase).len())];
            let percentile = |percent| sums.percentile(sample, percent).map(exact);
            machine.emit(&Record::from(Start {
                workload: Word(workload),
                phase: Word(name),
                count: sums.count,
                mean_us: Nanos(exact(sums.sum).0 / u64::from(sums.count)),
                p50_us: percentile(50),
                p99_us: percentile(99),
                max_us: exact(sums.most),
            }));
        }
    }
}

impl Sums {
    /// Puts a time into the sample, if it is its turn.
    ///
    /// The sample is all times, or where it is full every second, every fourth, and so on.
    fn keep(&mut self, sample: &[AtomicU32], took: Ticks) {
        if sample.is_empty() || !self.count.is_multiple_of(self.stride) {
            return;
        }
        let mut place = (self.count / self.stride) as usize;
        if place == sample.len() {
            place /= 2;
            for kept in 0..place {
                sample[kept].store(sample[2 * kept].load(Relaxed), Relaxed);
            }
            self.stride *= 2;
        }
        let ticks = u32::try_from(took.0).unwrap_or(TOO_LONG);
        sample[place].store(ticks, Relaxed);
    }

    /// How many times are in a sample of so many places.
    fn kept(&self, places: usize) -> usize {
        (self.count.div_ceil(self.stride) as usize).min(places)
    }

    /// The time that `percent` of the sample did not exceed.
    ///
    /// Of less than a hundred times, the 99th percentile is the longest one. A sample of less than
    /// a hundred has none of more times.
    fn percentile(&self, sample: &[AtomicU32], percent: usize) -> Option<u64> {
        if sample.is_empty() || percent == 99 && self.stride > 1 && sample.len() < 100 {
            return None;
        }
        let rank = (sample.len() * percent).div_ceil(100);
        // Without a copy to sort: the memory is short where the sample is, too.
        let times = || sample.iter().map(|time| time.load(Relaxed));
        let is_it = |&time: &u32| {
            let below = times().filter(|&other| other < time).count();
            below < rank && rank <= below + times().filter(|&other| other == time).count()
        };
        times().find(is_it).filter(|&time| time != TOO_LONG).map(u64::from)
    }
}

/// A time of 2^32 ticks or more, in a sample. Its percentile is not known.
const TOO_LONG: u32 = u32::MAX;

/// Memory for a sample of `starts` of each phase.
#[must_use]
pub const fn sample_words(starts: usize) -> usize {
    starts * PHASES.len()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn sampled(times: impl Iterator<Item = u64>, places: usize) -> (Sums, Vec<AtomicU32>) {
        let sample: Vec<_> = (0..places).map(|_| AtomicU32::new(0)).collect();
        let mut sums = Sums { stride: 1, ..Sums::default() };
        for time in times {
            sums.keep(&sample, Ticks(time));
            sums.count += 1;
        }
        (sums, sample)
    }

    fn percentile((sums, sample): &(Sums, Vec<AtomicU32>), percent: usize) -> Option<u64> {
        sums.percentile(&sample[..sums.kept(sample.len())], percent)
    }

    #[test]
    fn percentiles_of_all_times_are_exact() {
        // 7 is prime to 24, so these are 1 to 24 in another order.
        let all = sampled((0..24).map(|n| n * 7 % 24 + 1), 24);
        assert_eq!((percentile(&all, 50), percentile(&all, 99)), (Some(12), Some(24)));
        let equal = sampled((0..3).map(|_| 5), 24);
        assert_eq!((percentile(&equal, 50), percentile(&equal, 99)), (Some(5), Some(5)));
        assert_eq!(percentile(&sampled(1..2, 24), 50), Some(1));
    }

    #[test]
    fn a_full_sample_keeps_evenly_spaced_times() {
        for places in [2, 4, 24, 64] {
            for many in [1, 2, 3, 5, 24, 25, 49, 200, 1001] {
                let (sums, sample) = sampled(0..many, places);
                let kept = &sample[..sums.kept(places)];
                let stride = u64::from(sums.stride);
                let expected: Vec<_> = (0..many).step_by(sums.stride as usize).collect();
                let kept: Vec<_> = kept.iter().map(|t| u64::from(t.load(Relaxed))).collect();
                assert_eq!(kept, expected, "{many} in {places}, one in {stride}");
                assert!(2 * kept.len() > places || stride == 1, "{many} in {places}");
            }
        }
    }

    #[test]
    fn what_a_sample_does_not_know_is_absent() {
        let few = sampled(0..101, 24);
        assert_eq!((percentile(&few, 50).is_some(), percentile(&few, 99)), (true, None));
        let enough = sampled(1..1001, 256);
        assert!(percentile(&enough, 99).is_some_and(|time| time.abs_diff(990) <= 4));
        let long = sampled([1, 1 << 32, 1 << 33].into_iter(), 24);
        assert_eq!((percentile(&long, 50), percentile(&long, 99)), (None, None));
        assert_eq!(percentile(&sampled(0..9, 0), 50), None);
    }
}
