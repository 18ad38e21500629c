//! Units as types, and the statistics of a ramp.

use core::fmt;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The sum, stopping at the type's largest value.
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference, stopping at zero.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

unit! {
    /// Bytes of memory. 32 bits: an arena of 4 GiB is not a microcontroller's.
    Bytes(u32)
}
unit! {
    /// Ticks of a platform's clock; [`Platform::clock_hz`](crate::platform::Platform::clock_hz) a second.
    Ticks(u64)
}
unit! {
    /// Microseconds.
    Micros(u64)
}

impl Ticks {
    /// These ticks in microseconds, rounded to the nearest; saturates. A clock of 0 Hz
    /// counts as one of 1 Hz.
    #[must_use]
    pub fn to_micros(self, hz: u64) -> Micros {
        let hz = u128::from(hz.max(1));
        let micros = (u128::from(self.0) * 1_000_000 + hz / 2) / hz;
        Micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

unit! {
    /// Nanoseconds. Records show them as microseconds with three decimals, so that
    /// a short call is not rounded to nothing.
    Nanos(u64)
}

impl Ticks {
    /// These ticks in nanoseconds, rounded to the nearest; saturates. A clock of 0 Hz
    /// counts as one of 1 Hz.
    #[must_use]
    pub fn to_nanos(self, hz: u64) -> Nanos {
        let hz = u128::from(hz.max(1));
        let nanos = (u128::from(self.0) * 1_000_000_000 + hz / 2) / hz;
        Nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A ratio in parts of ten thousand: 9,987 is 0.9987.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(pub u32);

impl Ratio {
    /// One.
    pub const ONE: Self = Self(10_000);
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:04}", self.0 / 10_000, self.0 % 10_000)
    }
}

/// Jain's fairness index of a set of rates, (Σx)² / (n · Σx²): 1 where all are
/// equal, 1/n where one has everything.
///
/// R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984.
/// Rates are reduced to 32 bits by a common shift, so that the sums stay within 128
/// bits for up to 2^32 of them; the result is rounded down. `None` for an empty set and
/// where every rate is zero.
#[must_use]
pub fn fairness(rates: impl Iterator<Item = u64> + Clone) -> Option<Ratio> {
    let most = rates.clone().max()?;
    let shift = (u64::BITS - most.leading_zeros()).saturating_sub(32);
    let (mut count, mut sum, mut squares) = (0_u128, 0_u128, 0_u128);
    for rate in rates {
        let rate = u128::from(rate >> shift);
        count += 1;
        sum += rate;
        squares += rate * rate;
    }
    if squares == 0 {
        return None;
    }
    // sum <= 2^64, so its square fits; 10,000 is applied to the quotient's parts.
    let (numerator, denominator) = (sum * sum, count * squares);
    let ratio = match numerator.checked_mul(10_000) {
        Some(scaled) => scaled / denominator,
        None => numerator / (denominator / 10_000),
    };
    u32::try_from(ratio).ok().map(Ratio)
}

/// Buckets to a doubling.
pub const BUCKETS_PER_OCTAVE: usize = 18;
/// Buckets that cover every latency a histogram can hold (32 octaves).
pub const ALL_BUCKETS: usize = 32 * BUCKETS_PER_OCTAVE;

/// Lower bounds of an octave's buckets: 2^(15 + k/18), rounded.
const BOUNDS: [u32; BUCKETS_PER_OCTAVE] = [
    32768, 34054, 35391, 36781, 38225, 39726, 41285, 42906, 44590, 46341, 48160, 50051, 52016,
    54058, 56180, 58386, 60678, 63060,
];
/// Geometric middles of an octave's buckets: 2^(15 + (k + 1/2)/18), rounded.
const MIDDLES: [u32; BUCKETS_PER_OCTAVE] = [
    33405, 34716, 36079, 37496, 38968, 40498, 42088, 43740, 45457, 47242, 49097, 51024, 53027,
    55109, 57273, 59521, 61858, 64286,
];

/// The bucket, of [`ALL_BUCKETS`], that a latency in ticks falls into; 0 counts as 1.
fn bucket_of(ticks: u32) -> usize {
    let ticks = ticks.max(1);
    let octave = ticks.ilog2();
    let mantissa = if octave >= 15 { ticks >> (octave - 15) } else { ticks << (15 - octave) };
    let within = BOUNDS.partition_point(|&bound| bound <= mantissa) - 1;
    octave as usize * BUCKETS_PER_OCTAVE + within
}

/// The latency that stands for a bucket of [`ALL_BUCKETS`], in ticks, rounded to the nearest.
fn middle_of(bucket: usize) -> u32 {
    let octave = bucket / BUCKETS_PER_OCTAVE;
    let middle = u64::from(MIDDLES[bucket % BUCKETS_PER_OCTAVE]);
    let scaled = ((middle << octave) + (1 << 14)) >> 15;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

/// A counter that one thread writes and others read, without compare-and-swap
/// (riscv32i has none): [`AtomicU32`] where memory is plenty, [`AtomicU16`] where not.
pub trait Counter: Sync {
    /// Zero.
    const ZERO: Self;
    /// Adds one, stopping at the largest value. Called by one thread only.
    fn increment(&self);
    /// The count.
    fn get(&self) -> u32;
    /// Whether the count is the largest value: maybe it should be more.
    fn full(&self) -> bool;
    /// Back to zero. Called only while no thread counts.
    fn clear(&self);
}

macro_rules! counter {
    ($atomic:ty, $most:expr) => {
        impl Counter for $atomic {
            const ZERO: Self = <$atomic>::new(0);
            fn increment(&self) {
                self.store(self.load(Relaxed).saturating_add(1), Relaxed);
            }
            fn get(&self) -> u32 {
                u32::from(self.load(Relaxed))
            }
            fn full(&self) -> bool {
                self.load(Relaxed) == $most
            }
            fn clear(&self) {
                self.store(0, Relaxed);
            }
        }
    };
}
counter!(AtomicU16, u16::MAX);
counter!(AtomicU32, u32::MAX);

/// Latencies of one thread's calls: fixed size, no allocation, no lock.
///
/// Log-uniform buckets, 18 to a doubling, so that a percentile is within 1.95 % of the
/// exact one (2^(1/36) - 1 = 1.94 %, and the rounding of the bounds) and half a tick,
/// for it is rounded to whole ticks: 32 may read as 33. Below 32 ticks it is exact.
///
/// `N` buckets make a window of N/18 doublings over a floor that all histograms of a
/// workload share (`floor` of [`Tally::record`]). What lies outside is counted in the
/// window's edge, and a percentile that falls there is an upper bound: above, from the
/// window's last bucket on, the longest latency; below, the middle of the lowest bucket.
/// Ticks above 2^32 - 1 count as 2^32 - 1.
pub struct Histogram<C, const N: usize> {
    counts: [C; N],
}

impl<C: Counter, const N: usize> Histogram<C, N> {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [const { C::ZERO }; N] }
    }

    fn clear(&self) {
        self.counts.iter().for_each(Counter::clear);
    }
}

impl<C: Counter, const N: usize> Default for Histogram<C, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The floor for times of which the first took `first` ticks: the window begins `below`
/// doublings below it, or at 1 tick where it covers everything anyhow.
#[must_use]
pub fn window_floor<const N: usize>(first: Ticks, below: usize) -> u32 {
    let first = bucket_of(u32::try_from(first.0).unwrap_or(u32::MAX));
    let floor = first.saturating_sub(below * BUCKETS_PER_OCTAVE);
    u32::try_from(floor.min(ALL_BUCKETS.saturating_sub(N))).unwrap_or(0)
}

/// What one thread did and how long it took. One thread writes; any may read.
pub struct Tally<C, const N: usize> {
    calls: AtomicU32,
    errors: AtomicU32,
    longest: AtomicU32,
    window: AtomicU32,
    window_longest: AtomicU32,
    histogram: Histogram<C, N>,
}

impl<C: Counter, const N: usize> Tally<C, N> {
    /// Nothing done yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            calls: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            longest: AtomicU32::new(0),
            window: AtomicU32::new(0),
            window_longest: AtomicU32::new(0),
            histogram: Histogram::new(),
        }
    }

    /// Counts one call that took `latency`. `window` numbers the dwell that is going
    /// on: the longest call is also kept for each dwell on its own.
    pub fn record(&self, latency: Ticks, floor: u32, window: u32) {
        let ticks = u32::try_from(latency.0).unwrap_or(u32::MAX).max(1);
        let bucket = bucket_of(ticks).saturating_sub(floor as usize).min(N - 1);
        self.histogram.counts[bucket].increment();
        self.calls.increment();
        if ticks > self.longest.load(Relaxed) {
            self.longest.store(ticks, Relaxed);
        }
        if self.window.load(Relaxed) != window {
            self.window_longest.store(ticks, Relaxed);
            self.window.store(window, Relaxed);
        } else if ticks > self.window_longest.load(Relaxed) {
            self.window_longest.store(ticks, Relaxed);
        }
    }

    /// Counts one call that failed or returned a wrong result.
    pub fn error(&self) {
        self.errors.increment();
    }

    /// Calls so far; stops at 2^32 - 1.
    pub fn calls(&self) -> u32 {
        self.calls.load(Relaxed)
    }

    /// Errors so far; stops at 2^32 - 1.
    pub fn errors(&self) -> u32 {
        self.errors.load(Relaxed)
    }

    /// Forgets everything. Only while no thread records.
    pub fn clear(&self) {
        self.calls.clear();
        self.errors.clear();
        self.longest.clear();
        self.window.clear();
        self.window_longest.clear();
        self.histogram.clear();
    }
}

impl<C: Counter, const N: usize> Default for Tally<C, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Percentiles and maximum of a set of latencies, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of the calls took at most this long.
    pub p50: Ticks,
    /// 99 of a hundred calls took at most this long.
    pub p99: Ticks,
    /// The longest call, exact.
    pub max: Ticks,
}

/// The sum of several threads' latencies at one moment.
#[derive(Clone)]
pub struct Spread<const N: usize> {
    counts: [u32; N],
    longest: u32,
    /// A count that stopped at its largest value is among the sums.
    full: bool,
}

impl<const N: usize> Spread<N> {
    /// No latencies.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; N], longest: 0, full: false }
    }

    /// Adds all that the thread recorded since its [`Tally`] was cleared.
    pub fn add<C: Counter>(&mut self, tally: &Tally<C, N>) {
        for (sum, count) in self.counts.iter_mut().zip(&tally.histogram.counts) {
            *sum = sum.saturating_add(count.get());
            self.full |= count.full();
        }
        self.longest = self.longest.max(tally.longest.load(Relaxed));
    }

    /// Adds one thread's longest call of the dwell `window` to a difference, which
    /// cannot know it.
    pub fn add_longest<C: Counter>(&mut self, tally: &Tally<C, N>, window: u32) {
        if tally.window.load(Relaxed) == window {
            self.longest = self.longest.max(tally.window_longest.load(Relaxed));
        }
    }

    /// Leaves what came since `earlier`. The longest call is then unknown (see
    /// [`add_longest`](Self::add_longest)). In place: one of these is several hundred bytes, and
    /// stands on a microcontroller's stack.
    pub fn subtract(&mut self, earlier: &Self) {
        for (now, then) in self.counts.iter_mut().zip(&earlier.counts) {
            *now = now.saturating_sub(*then);
        }
        self.longest = 0;
    }

    /// Calls in the set, as far as their counters could count.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// Percentiles over the window that begins at `floor`; `None` for an empty set, where a
    /// counter is full, and where the longest call is unknown (see
    /// [`add_longest`](Self::add_longest)): no latency is 0 ticks.
    #[must_use]
    pub fn latency(&self, floor: u32) -> Option<Latency> {
        let calls = self.calls();
        (calls > 0 && self.longest > 0 && !self.full).then(|| Latency {
            p50: self.quantile(calls, 50, floor),
            p99: self.quantile(calls, 99, floor),
            max: Ticks(u64::from(self.longest)),
        })
    }

    /// The latency that `percent` of the calls did not exceed: that of rank
    /// ceil(calls · percent / 100), as its bucket's middle, never above the longest.
    fn quantile(&self, calls: u64, percent: u64, floor: u32) -> Ticks {
        let rank = (calls * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                let top = index == N - 1 && N < ALL_BUCKETS;
                let middle = if top { u32::MAX } else { middle_of(index + floor as usize) };
                return Ticks(u64::from(middle.min(self.longest)));
            }
        }
        Ticks(u64::from(self.longest))
    }
}

impl<const N: usize> Default for Spread<N> {
    fn default() -> Self {
        Self::new()
    }
}
