//! Units as types, and the statistics of a ramp.

use core::fmt;
use core::sync::atomic::{
    AtomicU16, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The sum. It stops at the type's largest value.
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference. It stops at zero.
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
    /// Bytes of memory. 32 bits suffice: no microcontroller has an arena of 4 GiB.
    Bytes(u32)
}
unit! {
    /// Ticks of a machine's clock, [`Facts::clock_hz`](crate::machine::Facts::clock_hz) per
    /// second.
    Ticks(u64)
}
unit! {
    /// Microseconds.
    Micros(u64)
}

/// `value` times `scale`, divided by `parts` and rounded to the nearest. It saturates. No parts
/// count as one.
///
/// It is not inlined, because a division of 128 bits takes half a KiB of a firmware's flash.
#[inline(never)]
fn scaled(value: u64, scale: u64, parts: u128) -> u64 {
    let parts = parts.max(1);
    let nearest = (u128::from(value) * u128::from(scale) + parts / 2) / parts;
    u64::try_from(nearest).unwrap_or(u64::MAX)
}

impl Ticks {
    /// These ticks in microseconds, rounded to the nearest. The result saturates. A clock of 0
    /// Hz counts as one of 1 Hz.
    #[must_use]
    pub fn to_micros(self, hz: u64) -> Micros {
        Micros(scaled(self.0, 1_000_000, hz.into()))
    }

    /// A time that was counted modulo 2^32, with its wraps. `around` is a longer time, by fewer
    /// than 2^32 ticks.
    #[inline]
    #[must_use]
    pub const fn with_wraps(self, around: Self) -> Self {
        Self(self.0 + (around.0.saturating_sub(self.0) >> 32 << 32))
    }
}

unit! {
    /// Nanoseconds. Records show them as microseconds with three decimals, so a short call is
    /// not rounded to zero.
    Nanos(u64)
}

impl Ticks {
    /// These ticks in nanoseconds, rounded to the nearest. The result saturates. A clock of 0
    /// Hz counts as one of 1 Hz.
    #[must_use]
    pub fn to_nanos(self, hz: u64) -> Nanos {
        Nanos(scaled(self.0, 1_000_000_000, hz.into()))
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

/// Jain's fairness index of a set of rates, (Σx)² / (n · Σx²). It is 1 if all rates are equal,
/// and 1/n if one rate has everything.
///
/// R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984.
///
/// A common shift reduces the rates to 32 bits, so the sums of up to 2^32 rates stay within 128
/// bits. The result is rounded down. `None` for an empty set, and if every rate is zero.
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
    // sum <= 2^64, so its square fits. The factor 10,000 goes to the quotient's parts.
    let (numerator, denominator) = (sum * sum, count * squares);
    let ratio = match numerator.checked_mul(10_000) {
        Some(scaled) => scaled / denominator,
        None => numerator / (denominator / 10_000),
    };
    u32::try_from(ratio).ok().map(Ratio)
}

/// Buckets per doubling.
pub const BUCKETS_PER_OCTAVE: usize = 18;
/// Doublings that all buckets cover. 2^40 ticks are 18 minutes in nanoseconds.
const OCTAVES: usize = 40;
/// Buckets that cover every latency below 2^40 ticks.
pub const ALL_BUCKETS: usize = OCTAVES * BUCKETS_PER_OCTAVE;

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

/// The bucket, of [`ALL_BUCKETS`], that holds a latency. 0 counts as 1. A latency above all
/// buckets goes into the last one.
fn bucket_of(latency: Ticks) -> usize {
    let ticks = latency.0.max(1);
    let octave = ticks.ilog2();
    if octave as usize >= OCTAVES {
        return ALL_BUCKETS - 1;
    }
    // The mantissa has 16 significant bits, as the bounds have.
    let mantissa = if octave >= 15 { ticks >> (octave - 15) } else { ticks << (15 - octave) };
    let within = BOUNDS.partition_point(|&bound| u64::from(bound) <= mantissa) - 1;
    octave as usize * BUCKETS_PER_OCTAVE + within
}

/// The latency that represents a bucket of [`ALL_BUCKETS`], rounded to the nearest tick.
fn middle_of(bucket: usize) -> Ticks {
    let octave = bucket / BUCKETS_PER_OCTAVE;
    let middle = u64::from(MIDDLES[bucket % BUCKETS_PER_OCTAVE]);
    Ticks(((middle << octave) + (1 << 14)) >> 15)
}

/// A counter that one thread writes and others read.
///
/// It needs no compare-and-swap, which riscv32i lacks. Use [`AtomicU32`] where memory is
/// plentiful and [`AtomicU16`] where it is not.
pub trait Counter: Sync {
    /// Zero.
    const ZERO: Self;
    /// Adds one and stops at the largest value. Only one thread calls it.
    fn increment(&self);
    /// The count.
    fn get(&self) -> u32;
    /// Whether the count is at its largest value. The true count may then be higher.
    fn full(&self) -> bool;
    /// Sets the count back to zero. The caller MUST make sure that no thread counts meanwhile.
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

/// Statistics of a set of times at one moment, in the clock's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Number of times in the set. At least 1.
    pub calls: u64,
    /// The exact sum of all times. Divided by `calls` it is the mean.
    pub sum: Ticks,
    /// The shortest time, exact. For a dwell: the shortest since the tally was cleared. `None`
    /// where it is 2^32 - 1 ticks or more.
    pub min: Option<Ticks>,
    /// The longest time, exact, if it is known.
    pub max: Option<Ticks>,
    /// The percentiles, unless a counter of the histogram is full.
    pub percentiles: Option<Percentiles>,
}

/// Percentiles of a set of times. They are the middles of a histogram's buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of the calls took at most this long.
    pub p50: Ticks,
    /// 99 of every hundred calls took at most this long.
    pub p99: Ticks,
}

impl Latency {
    /// The mean on a clock of `hz` ticks a second, rounded to the nearest nanosecond.
    #[must_use]
    pub fn mean(&self, hz: u64) -> Nanos {
        let parts = u128::from(hz.max(1)) * u128::from(self.calls.max(1));
        Nanos(scaled(self.sum.0, 1_000_000_000, parts))
    }
}

/// What one thread did and how long it took. One thread writes. Any thread may read at any
/// time.
pub trait Tally: Sync {
    /// A tally in which nothing is recorded.
    const NEW: Self;
    /// The sum of several tallies at one moment.
    type Spread: Spread<Self>;

    /// The floor of a histogram that is to hold times like `first`. It lies `below` doublings
    /// under that time, or at 1 tick if the histogram covers everything anyway.
    fn floor(first: Ticks, below: usize) -> u32;

    /// Counts one call that took `latency`, in a histogram that begins at `floor`. All tallies
    /// of a ramp share the floor.
    ///
    /// `dwell` numbers the current dwell. The tally also keeps the longest call of each dwell
    /// on its own.
    fn record(&self, latency: Ticks, floor: u32, dwell: u32);

    /// Counts one call that failed or returned a wrong result.
    fn error(&self);

    /// Calls so far. The count stops at 2^32 - 1.
    fn calls(&self) -> u32;

    /// Errors so far. The count stops at 2^32 - 1.
    fn errors(&self) -> u32;

    /// Forgets everything. The caller MUST make sure that no thread records meanwhile.
    fn clear(&self);
}

/// The sum of several threads' tallies at one moment, or the difference of two such sums.
pub trait Spread<T: ?Sized> {
    /// The sum of no tallies.
    #[must_use]
    fn new() -> Self;

    /// Adds everything that the tally recorded since it was cleared.
    fn add(&mut self, tally: &T);

    /// Keeps only what came since `earlier`. The longest call is then unknown until
    /// [`add_longest`](Self::add_longest).
    ///
    /// It works in place, because a spread is several hundred bytes on a microcontroller's
    /// stack.
    fn subtract(&mut self, earlier: &Self);

    /// Adds one thread's longest call of the dwell `dwell` to a difference.
    fn add_longest(&mut self, tally: &T, dwell: u32);

    /// Calls in the set.
    #[must_use]
    fn calls(&self) -> u64;

    /// The statistics of the set, counted in histograms that began at `floor`. `None` for an
    /// empty set.
    #[must_use]
    fn latency(&self, floor: u32) -> Option<Latency>;
}

/// Sums of one thread's times that must be read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sums {
    calls: u32,
    sum: u64,
    /// The shortest. `u32::MAX` stands for none, and for what takes that long.
    min: u32,
    max: u64,
    /// The dwell of the newest call, and the calls before the first one of that dwell.
    dwell: u32,
    before: u32,
    dwell_max: u64,
}

/// Number of words of [`Sums`].
const WORDS: usize = 10;
/// The first words, which change with each call. The others are of the shortest and the longest
/// call.
const EACH_CALL: usize = 3;

/// Two words as one number.
const fn wide(low: u32, high: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

/// A number as two words.
fn put(low: &mut u32, high: &mut u32, value: u64) {
    (*low, *high) = (value as u32, (value >> 32) as u32);
}

impl Sums {
    const NONE: Self =
        Self { calls: 0, sum: 0, min: u32::MAX, max: 0, dwell: 0, before: 0, dwell_max: 0 };

    const fn to_words(self) -> [u32; WORDS] {
        const fn low(value: u64) -> u32 {
            value as u32
        }
        const fn high(value: u64) -> u32 {
            (value >> 32) as u32
        }
        [
            self.calls,
            low(self.sum),
            high(self.sum),
            // The minimum is inverted, so an empty tally is all zeros. A tally in a static then
            // costs no flash for its initial value.
            !self.min,
            low(self.max),
            high(self.max),
            self.dwell,
            self.before,
            low(self.dwell_max),
            high(self.dwell_max),
        ]
    }

    fn from_words(words: [u32; WORDS]) -> Self {
        let [calls, sum, sum_high, min, max, max_high, dwell, before, longest, longest_high] =
            words;
        Self {
            calls,
            sum: wide(sum, sum_high),
            min: !min,
            max: wide(max, max_high),
            dwell,
            before,
            dwell_max: wide(longest, longest_high),
        }
    }
}

/// [`Sums`] that one thread writes and others read whole, on machines without 64-bit atomics.
///
/// There are two copies. The writer fills the copy that no reader is told to read, then directs
/// the readers to it. A reader that the writer overtook reads again. A reader therefore never
/// waits for a writer that it has preempted. It would have to with a lock or with a plain
/// sequence lock.
///
/// Few calls are shorter or longer than all before. So the words that change [with each
/// call](EACH_CALL) and the others switch copies apart, and most writes leave the others where
/// they are.
struct Shared {
    /// The lowest bit is the copy of the words that change with each call, the next one that of
    /// the others. Above these two is the number of writes so far, wrapping.
    writes: AtomicU32,
    copies: [[AtomicU32; WORDS]; 2],
}

impl Shared {
    const fn new() -> Self {
        const fn copy() -> [AtomicU32; WORDS] {
            let [a, b, c, d, e, f, g, h, i, j] = Sums::NONE.to_words();
            [
                AtomicU32::new(a),
                AtomicU32::new(b),
                AtomicU32::new(c),
                AtomicU32::new(d),
                AtomicU32::new(e),
                AtomicU32::new(f),
                AtomicU32::new(g),
                AtomicU32::new(h),
                AtomicU32::new(i),
                AtomicU32::new(j),
            ]
        }
        Self { writes: AtomicU32::new(0), copies: [copy(), copy()] }
    }

    /// The copy of that word in which the readers find it after `writes`.
    fn word(&self, writes: u32, word: usize) -> &AtomicU32 {
        let copy = if word < EACH_CALL { writes } else { writes >> 1 };
        &self.copies[(copy % 2) as usize][word]
    }

    /// Replaces the sums. Only one thread calls it.
    fn set(&self, sums: Sums) {
        self.write(self.writes.load(Relaxed) ^ 0b11, sums.to_words());
    }

    /// Counts a call. Only one thread calls it.
    ///
    /// It works on the words, which takes less flash than to make [`Sums`] of them and back.
    fn count(&self, ticks: u64, dwell: u32) {
        let writes = self.writes.load(Relaxed);
        let mut words: [u32; WORDS] =
            core::array::from_fn(|word| self.word(writes, word).load(Relaxed));
        let [calls, sum, sum_high, min, max, max_high, now, before, longest, longest_high] =
            &mut words;
        let calls_before = *calls;
        *calls = calls_before.saturating_add(1);
        put(sum, sum_high, wide(*sum, *sum_high).saturating_add(ticks));
        let short = u32::try_from(ticks).unwrap_or(u32::MAX);
        let begins = *now != dwell;
        let within = ticks <= wide(*longest, *longest_high) && short >= !*min;
        let (copies, count) = if within && !begins {
            (0b01, EACH_CALL)
        } else {
            if begins {
                (*now, *before) = (dwell, calls_before);
                put(longest, longest_high, 0);
            }
            *min = !short.min(!*min);
            put(max, max_high, wide(*max, *max_high).max(ticks));
            put(longest, longest_high, wide(*longest, *longest_high).max(ticks));
            (0b11, WORDS)
        };
        self.write(writes ^ copies, words.into_iter().take(count));
    }

    /// Writes the first words, one by one as they come, to the copies that the lowest bits of
    /// `copies` name. A test reads between two words.
    fn write(&self, copies: u32, words: impl IntoIterator<Item = u32>) {
        // A reader that sees a word of this write also sees that readers were directed away
        // from this copy before. Its own fence comes after it has read the words.
        fence(Release);
        for (at, word) in words.into_iter().enumerate() {
            self.word(copies, at).store(word, Relaxed);
        }
        self.writes.store(copies.wrapping_add(0b100), Release);
    }

    /// The sums as one write left them. Any thread may call it.
    fn read(&self) -> Sums {
        self.read_while(|| ())
    }

    /// Calls `meanwhile` before each word, for a test that writes between two words.
    fn read_while(&self, mut meanwhile: impl FnMut()) -> Sums {
        loop {
            let writes = self.writes.load(Acquire);
            let words = core::array::from_fn(|word| {
                meanwhile();
                self.word(writes, word).load(Relaxed)
            });
            fence(Acquire);
            // One more write went to the other copies. It changes nothing in these before it is
            // counted. A write after that one may have changed these, so read again.
            if self.writes.load(Relaxed) == writes {
                return Sums::from_words(words);
            }
        }
    }
}

/// The [`Tally`] of a machine: exact sums, and `N` buckets of counters `C` for percentiles.
///
/// The buckets are log-uniform, 18 per doubling. A percentile is therefore within 1.95 % of the
/// exact one (2^(1/36) - 1 = 1.94 %, and the rounding of the bounds) and half a tick, because
/// it is rounded to whole ticks: 32 may read as 33. Below 32 ticks it is exact.
///
/// `N` buckets make a window of N/18 doublings above a floor that all tallies of a ramp share.
/// The edge buckets of the window count the latencies outside it. A percentile that falls into
/// an edge bucket is an upper bound. In the window's last bucket and above it is the longest
/// latency. Below the window it is the middle of the lowest bucket.
pub struct Counts<C, const N: usize> {
    errors: AtomicU32,
    sums: Shared,
    histogram: [C; N],
}

impl<C: Counter, const N: usize> Tally for Counts<C, N> {
    const NEW: Self =
        Self { errors: AtomicU32::new(0), sums: Shared::new(), histogram: [const { C::ZERO }; N] };
    type Spread = CountsSpread<N>;

    fn floor(first: Ticks, below: usize) -> u32 {
        let floor = bucket_of(first).saturating_sub(below * BUCKETS_PER_OCTAVE);
        u32::try_from(floor.min(ALL_BUCKETS.saturating_sub(N))).unwrap_or(0)
    }

    fn record(&self, latency: Ticks, floor: u32, dwell: u32) {
        // A call always takes time. 0 ticks means less than one tick.
        let ticks = latency.0.max(1);
        let bucket = bucket_of(Ticks(ticks)).saturating_sub(floor as usize).min(N - 1);
        self.histogram[bucket].increment();
        self.sums.count(ticks, dwell);
    }

    fn error(&self) {
        self.errors.increment();
    }

    fn calls(&self) -> u32 {
        self.sums.read().calls
    }

    fn errors(&self) -> u32 {
        self.errors.load(Relaxed)
    }

    fn clear(&self) {
        self.errors.clear();
        self.sums.set(Sums::NONE);
        self.histogram.iter().for_each(Counter::clear);
    }
}

/// The [`Spread`] of [`Counts`].
#[derive(Clone)]
pub struct CountsSpread<const N: usize> {
    counts: [u32; N],
    calls: u64,
    sum: u64,
    min: u32,
    /// The longest time, or 0 while it is unknown: no call takes 0 ticks.
    max: u64,
    /// The longest time since the tallies were cleared.
    max_ever: u64,
    /// Of a difference: the calls that were subtracted, and those of which the longest that
    /// was added knows nothing.
    subtracted: u64,
    passed_over: u64,
    /// Whether the sums include a counter that stopped at its largest value.
    full: bool,
}

impl<C: Counter, const N: usize> Spread<Counts<C, N>> for CountsSpread<N> {
    fn new() -> Self {
        Self {
            counts: [0; N],
            calls: 0,
            sum: 0,
            min: u32::MAX,
            max: 0,
            max_ever: 0,
            subtracted: 0,
            passed_over: 0,
            full: false,
        }
    }

    fn add(&mut self, tally: &Counts<C, N>) {
        for (sum, count) in self.counts.iter_mut().zip(&tally.histogram) {
            *sum = sum.saturating_add(count.get());
            self.full |= count.full();
        }
        let sums = tally.sums.read();
        self.calls += u64::from(sums.calls);
        self.sum = self.sum.saturating_add(sums.sum);
        self.min = self.min.min(sums.min);
        self.max = self.max.max(sums.max);
        self.max_ever = self.max_ever.max(sums.max);
    }

    fn subtract(&mut self, earlier: &Self) {
        for (now, then) in self.counts.iter_mut().zip(&earlier.counts) {
            *now = now.saturating_sub(*then);
        }
        self.calls = self.calls.saturating_sub(earlier.calls);
        self.sum = self.sum.saturating_sub(earlier.sum);
        self.max = 0;
        (self.subtracted, self.passed_over) = (earlier.calls, 0);
    }

    fn add_longest(&mut self, tally: &Counts<C, N>, dwell: u32) {
        let sums = tally.sums.read();
        if sums.dwell == dwell {
            self.max = self.max.max(sums.dwell_max);
            self.passed_over += u64::from(sums.before);
        } else {
            self.passed_over += u64::from(sums.calls);
        }
    }

    fn calls(&self) -> u64 {
        self.calls
    }

    fn latency(&self, floor: u32) -> Option<Latency> {
        (self.calls > 0).then(|| Latency {
            calls: self.calls,
            sum: Ticks(self.sum),
            min: (self.min < u32::MAX).then(|| Ticks(self.min.into())),
            max: self.longest(),
            percentiles: self.percentiles(floor),
        })
    }
}

impl<const N: usize> CountsSpread<N> {
    /// The longest call, where it is known.
    ///
    /// A thread may count a call for the dwell before, and be overtaken by the begin of this
    /// dwell before it stores the count. Then the difference has a call that no longest of this
    /// dwell knows. The longest call of all is then the answer: never too short.
    fn longest(&self) -> Option<Ticks> {
        let overtaken = self.passed_over > self.subtracted;
        let longest = if overtaken { self.max_ever } else { self.max };
        (longest > 0).then_some(Ticks(longest))
    }

    fn percentiles(&self, floor: u32) -> Option<Percentiles> {
        // Use the histogram's own count: it may have a call that the sums do not have yet.
        let counted: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let longest = self.longest().filter(|_| counted > 0 && !self.full)?;
        Some(Percentiles {
            p50: self.quantile(counted, 50, floor, longest),
            p99: self.quantile(counted, 99, floor, longest),
        })
    }

    /// The latency that `percent` of the calls did not exceed. It has rank ceil(calls · percent
    /// / 100) and is the middle of its bucket, but never above the longest latency.
    fn quantile(&self, calls: u64, percent: u64, floor: u32, longest: Ticks) -> Ticks {
        let rank = (calls * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate().take(N - 1) {
            seen += u64::from(count);
            if seen >= rank {
                return middle_of(index + floor as usize).min(longest);
            }
        }
        // The last bucket has no upper end.
        longest
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const fn sums(number: u32) -> Sums {
        let wide = number as u64 * 0x1_0000_0001;
        Sums {
            calls: number,
            sum: wide,
            min: number,
            max: wide,
            dwell: number,
            before: number,
            dwell_max: wide,
        }
    }

    /// A reader of higher priority reads between any two words that the writer stores, and the
    /// writer goes on only when the reader is done. A reader that waited for the writer would
    /// wait for ever.
    #[test]
    fn a_reader_that_preempts_the_writer_reads_what_was_there_before() {
        let (done, wait) = mpsc::channel();
        std::thread::spawn(move || {
            let shared = Shared::new();
            shared.set(sums(0));
            for number in 1..100 {
                let before = shared.read();
                let words = sums(number).to_words().into_iter().inspect(|_| {
                    assert_eq!(shared.read(), before);
                });
                shared.write(shared.writes.load(Relaxed) ^ 0b11, words);
                assert_eq!(shared.read(), sums(number));
                let words = sums(number + 100).to_words().into_iter().take(EACH_CALL);
                let words = words.inspect(|_| assert_eq!(shared.read(), sums(number)));
                shared.write(shared.writes.load(Relaxed) ^ 0b01, words);
                let Sums { calls, sum, .. } = sums(number + 100);
                assert_eq!(shared.read(), Sums { calls, sum, ..sums(number) });
            }
            done.send(()).unwrap();
        });
        let over = wait.recv_timeout(Duration::from_secs(if cfg!(miri) { 600 } else { 20 }));
        assert_eq!(over, Ok(()), "a reader waits for the writer, or reads half of a write");
    }

    /// The writer writes one to three times before some word, all words or the first ones. The
    /// reader gets what one of the writes left. It reads again only if a write overtook it.
    #[test]
    fn a_reader_that_is_overtaken_reads_again() {
        for writes in 0..4 {
            for (at, which) in (0..WORDS).flat_map(|at| (0..8).map(move |which| (at, which))) {
                let shared = Shared::new();
                shared.set(sums(0));
                let mut left = std::vec![sums(0)];
                let mut looks = 0;
                let read = shared.read_while(|| {
                    if looks == at {
                        for number in 1..=writes {
                            if which >> (number - 1) & 1 == 0 {
                                shared.set(sums(number));
                            } else {
                                let words = sums(number).to_words().into_iter().take(EACH_CALL);
                                shared.write(shared.writes.load(Relaxed) ^ 0b01, words);
                            }
                            left.push(shared.read());
                        }
                    }
                    looks += 1;
                });
                assert!(left.contains(&read), "{read:?}");
                let rounds = if writes == 0 { 1 } else { 2 };
                assert_eq!(looks, rounds * WORDS, "{writes} writes before word {at}");
            }
        }
    }

    /// A thread counts a long call for the dwell before, and stores the count when the dwell has
    /// begun. The mean of the dwell has that call, so its longest must not be shorter.
    #[test]
    fn a_call_that_a_dwell_overtakes_is_no_longer_than_the_longest() {
        type Few = Counts<AtomicU32, 720>;
        let tally = Few::NEW;
        tally.record(Ticks(10), 0, 1);
        let sum = || {
            let mut sum = <CountsSpread<720> as Spread<Few>>::new();
            sum.add(&tally);
            sum
        };
        let before = sum();
        tally.record(Ticks(900), 0, 1); // It read the number before dwell 2 began.
        tally.record(Ticks(20), 0, 2);
        let mut dwell = sum();
        <CountsSpread<720> as Spread<Few>>::subtract(&mut dwell, &before);
        <CountsSpread<720> as Spread<Few>>::add_longest(&mut dwell, &tally, 2);
        let latency = <CountsSpread<720> as Spread<Few>>::latency(&dwell, 0).unwrap();
        assert_eq!((latency.calls, latency.sum), (2, Ticks(920)));
        assert_eq!(latency.max, Some(Ticks(900)));
        assert!(latency.percentiles.is_some_and(|of| of.p99 <= Ticks(900) && of.p99 >= Ticks(880)));
    }

    #[test]
    fn words_keep_their_places() {
        let all = Sums {
            calls: 1,
            sum: 2 << 32 | 3,
            min: 4,
            max: 5 << 32 | 6,
            dwell: 7,
            before: 8,
            dwell_max: 9 << 32 | 10,
        };
        assert_eq!(Sums::from_words(all.to_words()), all);
        let shared = Shared::new();
        assert_eq!(shared.read(), Sums::NONE);
        // The number of writes wraps.
        shared.writes.store(u32::MAX, Relaxed);
        shared.set(all);
        assert_eq!((shared.read(), shared.writes.load(Relaxed)), (all, 0));
    }
}
