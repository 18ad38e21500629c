//! Statistics against exact ones: sorted vectors, f64 and 128-bit integers.

use std::sync::atomic::{
    AtomicBool, AtomicU16, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use proptest::prelude::*;
use wramp_core::measure::{
    ALL_BUCKETS, BUCKETS_PER_OCTAVE, Bytes, Counter, Counts, Latency, Micros, Nanos, Percentiles,
    Ratio, Spread as _, Tally, Ticks, fairness,
};

/// A window of a small board: eight doublings.
const SMALL: usize = 8 * BUCKETS_PER_OCTAVE;

fn cases(cases: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 2 } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Doublings that all buckets cover.
const OCTAVES: u32 = 40;
/// The first latency above all buckets.
const BEYOND: u64 = 1 << OCTAVES;

/// The value that a latency counts as: at least 1 tick.
fn counted(latency: u64) -> u64 {
    latency.max(1)
}

/// The exact order statistic of rank ceil(n · percent / 100).
fn exact(latencies: &[u64], percent: usize) -> u64 {
    let mut sorted: Vec<u64> = latencies.iter().copied().map(counted).collect();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

/// The documented bound: a bucket's half width, 2^(1/36) - 1, and the rounding to whole ticks.
/// It allows slightly more, because the bounds are rounded to 1/32768.
fn close(measured: Ticks, exact: u64) -> bool {
    (measured.0 as f64 - exact as f64).abs() <= exact as f64 * 0.019_5 + 0.5
}

/// The exact position of a latency, in buckets from 1 tick on.
fn position(latency: u64) -> f64 {
    (latency as f64).log2() * BUCKETS_PER_OCTAVE as f64
}

/// The sum of tallies of one kind.
struct Sum<T: Tally>(T::Spread);

impl<T: Tally> Sum<T> {
    fn new() -> Self {
        Self(T::Spread::new())
    }
    fn of<'t>(tallies: impl IntoIterator<Item = &'t T>) -> Self
    where
        T: 't,
    {
        let mut sum = Self::new();
        tallies.into_iter().for_each(|tally| sum.add(tally));
        sum
    }
    fn add(&mut self, tally: &T) {
        self.0.add(tally);
    }
    fn subtract(&mut self, earlier: &Self) {
        self.0.subtract(&earlier.0);
    }
    fn add_longest(&mut self, tally: &T, dwell: u32) {
        self.0.add_longest(tally, dwell);
    }
    fn calls(&self) -> u64 {
        self.0.calls()
    }
    fn latency(&self, floor: u32) -> Option<Latency> {
        self.0.latency(floor)
    }
}

type Wide = Counts<AtomicU32, ALL_BUCKETS>;
type WideSum = Sum<Wide>;
type Small = Counts<AtomicU16, SMALL>;
type SmallSum = Sum<Small>;

fn spread<C: Counter, const N: usize>(latencies: &[u64], floor: u32) -> Sum<Counts<C, N>> {
    let tally = Counts::<C, N>::NEW;
    latencies.iter().for_each(|&latency| tally.record(Ticks(latency), floor, 0));
    Sum::of([&tally])
}

fn percentiles(latency: &Latency) -> Percentiles {
    latency.percentiles.expect("no counter is full")
}

/// Log-uniform latencies, including both ends of the range and values beyond.
fn latency() -> impl Strategy<Value = u64> {
    prop_oneof![
        20 => (0_u32..64, any::<u64>()).prop_map(|(shift, wide)| wide >> shift),
        1 => Just(0),
        1 => Just(u64::from(u32::MAX)),
        1 => Just(BEYOND - 1),
        1 => Just(BEYOND),
        1 => any::<u64>(),
    ]
}

/// Sets that scatter over the whole range, and sets like those of a real workload: a cluster
/// with a tail.
fn latencies() -> impl Strategy<Value = Vec<u64>> {
    let cluster = (1_u64..100_000_000, 1_u64..20).prop_flat_map(|(base, width)| {
        prop::collection::vec(base..base + 1 + base * width / 20, 1..400)
    });
    prop_oneof![prop::collection::vec(latency(), 1..400), cluster]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_time_modulo_2_to_32_gets_its_wraps_back(took in 0_u64..1 << 40, beside in 0_u64..1 << 32) {
        let counted = Ticks(took & u64::from(u32::MAX));
        prop_assert_eq!(counted.with_wraps(Ticks(took + beside)), Ticks(took));
    }

    #[test]
    fn percentiles_are_close_and_the_longest_is_exact(latencies in latencies()) {
        let spread = spread::<AtomicU32, ALL_BUCKETS>(&latencies, 0);
        prop_assert_eq!(spread.calls(), latencies.len() as u64);
        let measured = spread.latency(0).unwrap();
        let max = measured.max.unwrap();
        let Percentiles { p50, p99 } = percentiles(&measured);
        for (percentile, percent) in [(p50, 50), (p99, 99)] {
            let exact = exact(&latencies, percent);
            // The last bucket has no upper end, and its bound is rounded.
            let from_last = position(exact) - (ALL_BUCKETS - 1) as f64;
            let right = from_last < 0.01 && close(percentile, exact)
                || from_last > -0.01 && percentile == max;
            prop_assert!(right, "p{}: {} for {}", percent, percentile, exact);
        }
        prop_assert_eq!(max.0, exact(&latencies, 100));
        prop_assert!(p50 <= p99 && p99 <= max);
    }

    #[test]
    fn sum_shortest_longest_and_mean_are_exact(latencies in latencies(), hz in 1_u64..1 << 40) {
        let measured = spread::<AtomicU16, SMALL>(&latencies, 0).latency(0).unwrap();
        let exact_sum: u128 = latencies.iter().map(|&latency| u128::from(counted(latency))).sum();
        prop_assert_eq!(measured.calls, latencies.len() as u64);
        prop_assert_eq!(u128::from(measured.sum.0), exact_sum.min(u128::from(u64::MAX)));
        let shortest = latencies.iter().copied().map(counted).min().unwrap();
        prop_assert_eq!(measured.min, (shortest < u32::MAX.into()).then_some(Ticks(shortest)));
        prop_assert_eq!(measured.max, latencies.iter().copied().map(counted).max().map(Ticks));
        // Rounded to the nearest nanosecond.
        let parts = u128::from(hz) * u128::from(measured.calls);
        let exact = u128::from(measured.sum.0) * 1_000_000_000;
        let mean = u128::from(measured.mean(hz).0);
        let saturated = mean == u128::from(u64::MAX) && exact >= mean * parts;
        prop_assert!(saturated || (mean * parts).abs_diff(exact) * 2 <= parts, "{mean}");
    }

    #[test]
    fn a_small_window_is_as_close_inside_and_bounds_from_above_outside(
        first in latency(),
        mut latencies in latencies(),
    ) {
        latencies.push(first);
        let floor = Small::floor(Ticks(first), 3);
        let measured = spread::<AtomicU16, SMALL>(&latencies, floor).latency(floor).unwrap();
        let max = measured.max.unwrap();
        prop_assert_eq!(max.0, exact(&latencies, 100));
        let Percentiles { p50, p99 } = percentiles(&measured);
        for (percentile, percent) in [(p50, 50), (p99, 99)] {
            let exact = exact(&latencies, percent);
            // Bounds are rounded to 1/32768. On a bound, both sides are right.
            let from_floor = position(exact) - f64::from(floor);
            let from_top = from_floor - (SMALL - 1) as f64;
            if from_top > 0.01 {
                prop_assert_eq!(percentile, max);
            } else if from_floor < -0.01 {
                // The lowest bucket counts it. The answer is that bucket, or the longest if it
                // is shorter.
                prop_assert!(percentile.0 >= exact);
                let low = (f64::from(floor) / BUCKETS_PER_OCTAVE as f64).exp2();
                prop_assert!(percentile.0 as f64 <= low * 1.02 + 0.5);
            } else if from_floor > 0.01 && from_top < -0.01 {
                prop_assert!(close(percentile, exact), "p{}: {} for {}", percent, percentile, exact);
            }
            prop_assert!(percentile <= max);
        }
    }

    #[test]
    fn the_first_call_is_inside_the_window_that_it_opens(first in latency()) {
        prop_assert_eq!(Wide::floor(Ticks(first), 3), 0);
        let floor = Small::floor(Ticks(first), 3);
        prop_assert!(floor as usize + SMALL <= ALL_BUCKETS);
        // The last bucket counts everything above all buckets.
        let above = position(counted(first).min(BEYOND - 1)) - f64::from(floor);
        prop_assert!(above > -0.01);
        // The floor is three doublings below, unless an end of the range is in the way.
        if floor > 0 && floor as usize + SMALL < ALL_BUCKETS {
            let three = 3.0 * BUCKETS_PER_OCTAVE as f64;
            prop_assert!((three - 0.01..three + 1.01).contains(&above), "{above}");
        }
    }

    #[test]
    fn several_threads_add_up(per_thread in prop::collection::vec(latencies(), 1..5)) {
        let mut sum = WideSum::new();
        for latencies in &per_thread {
            let tally = Wide::NEW;
            latencies.iter().for_each(|&latency| tally.record(Ticks(latency), 0, 0));
            prop_assert_eq!(tally.calls() as usize, latencies.len());
            sum.add(&tally);
        }
        let all = per_thread.concat();
        prop_assert_eq!(sum.latency(0), spread::<AtomicU32, ALL_BUCKETS>(&all, 0).latency(0));
    }

    /// Each dwell counts its own calls and no others, whichever threads made them.
    #[test]
    fn a_dwell_is_measured_on_its_own(
        dwells in prop::collection::vec(
            prop::collection::vec((0_usize..3, latency().prop_map(|ticks| ticks >> 12)), 0..60), 1..6),
    ) {
        let tallies = [Wide::NEW, Wide::NEW, Wide::NEW];
        let sum = || WideSum::of(&tallies);
        let (mut before, mut shortest) = (sum(), u64::MAX);
        for (window, calls) in (1..).zip(&dwells) {
            for &(thread, latency) in calls {
                tallies[thread].record(Ticks(latency), 0, window);
            }
            let after = sum();
            let mut dwell = sum();
            dwell.subtract(&before);
            tallies.iter().for_each(|tally| dwell.add_longest(tally, window));
            let own: Vec<u64> = calls.iter().map(|&(_, latency)| latency).collect();
            prop_assert_eq!(dwell.calls(), own.len() as u64);
            // The shortest is the exception: it is that of all dwells so far.
            shortest = own.iter().copied().map(counted).fold(shortest, u64::min);
            let own = spread::<AtomicU32, ALL_BUCKETS>(&own, 0).latency(0);
            prop_assert_eq!(
                dwell.latency(0),
                own.map(|own| Latency {
                    min: (shortest < u32::MAX.into()).then_some(Ticks(shortest)),
                    ..own
                })
            );
            before = after;
        }
    }

    #[test]
    fn ticks_round_to_the_nearest(ticks in any::<u64>(), shift in 0_u32..64, hz in 1_u64..) {
        let (ticks, hz) = (Ticks(ticks >> shift), hz >> (shift % 40));
        let each = hz.max(1);
        for (unit, converted) in [
            (1_000_000, ticks.to_micros(hz).0),
            (1_000_000_000, ticks.to_nanos(hz).0),
        ] {
            let (product, hz) = (u128::from(ticks.0) * unit, u128::from(each));
            if converted == u64::MAX {
                // It saturated, or the result is just that large.
                prop_assert!(product + hz / 2 >= u128::from(u64::MAX) * hz);
            } else {
                let back = u128::from(converted) * hz;
                prop_assert!(back.abs_diff(product) * 2 <= hz);
            }
        }
    }

    #[test]
    fn more_ticks_are_never_less_time(a in any::<u64>(), b in any::<u64>(), hz in any::<u64>()) {
        let (less, more) = (Ticks(a.min(b)), Ticks(a.max(b)));
        prop_assert!(less.to_micros(hz) <= more.to_micros(hz));
        prop_assert!(less.to_nanos(hz) <= more.to_nanos(hz));
        prop_assert_eq!(Ticks(a).to_micros(1_000_000), Micros(a));
        prop_assert_eq!(Ticks(a).to_nanos(1_000_000_000), Nanos(a));
    }

    #[test]
    fn fairness_is_jains(rates in rates(64)) {
        let (sum, squares) = rates.iter().fold((0.0, 0.0), |(sum, squares), &rate| {
            (sum + rate as f64, squares + (rate as f64).powi(2))
        });
        let Some(Ratio(measured)) = fairness(rates.iter().copied()) else {
            prop_assert_eq!(sum, 0.0);
            return Ok(());
        };
        let count = rates.len() as f64;
        let reference = sum * sum / (count * squares) * 10_000.0;
        // The result is rounded down, from rates cut to 32 bits.
        let difference = reference - f64::from(measured);
        prop_assert!((-0.01..1.01).contains(&difference), "{measured} for {reference}");
        prop_assert!(measured <= 10_000 && measured >= 10_000 / rates.len() as u32);
    }

    #[test]
    fn fairness_knows_neither_order_nor_scale(
        rates in prop::collection::vec(any::<u32>().prop_map(u64::from), 1..40),
        doublings in 0_u32..=32,
        factor in 1_u64..1 << 32,
    ) {
        let measured = fairness(rates.iter().copied());
        prop_assert_eq!(fairness(rates.iter().rev().copied()), measured);
        // A power of two keeps every bit that counts, so the result is exactly the same.
        prop_assert_eq!(fairness(rates.iter().map(|rate| rate << doublings)), measured);
        let scaled = fairness(rates.iter().map(|rate| rate * factor));
        prop_assert_eq!(scaled.is_some(), measured.is_some());
        if let (Some(scaled), Some(measured)) = (scaled, measured) {
            prop_assert!(scaled.0.abs_diff(measured.0) <= 1);
        }
    }

    #[test]
    fn equal_rates_are_fair_and_one_rate_alone_is_1_in_n(
        count in 1_usize..500, rate in 1_u64.., at in any::<prop::sample::Index>(),
    ) {
        prop_assert_eq!(fairness(std::iter::repeat_n(rate, count)), Some(Ratio::ONE));
        let at = at.index(count);
        let alone = (0..count).map(|n| if n == at { rate } else { 0 });
        prop_assert_eq!(fairness(alone), Some(Ratio(10_000 / count as u32)));
    }
}

fn rates(most: usize) -> impl Strategy<Value = Vec<u64>> {
    let rate = (0_u32..64, any::<u64>()).prop_map(|(shift, rate)| rate >> shift);
    prop::collection::vec(prop_oneof![8 => rate, 1 => Just(0), 1 => Just(u64::MAX)], 1..most)
}

#[test]
fn fairness_of_nothing_is_absent() {
    assert_eq!(fairness(std::iter::empty()), None);
    assert_eq!(fairness([0, 0, 0].into_iter()), None);
}

/// Enough of the largest rates that the product with 10,000 exceeds 128 bits.
#[test]
#[cfg_attr(miri, ignore = "tens of millions of rates")]
fn fairness_of_millions_of_huge_rates_does_not_overflow() {
    let busy = std::iter::repeat_n(u64::MAX, 44_000_000);
    let rates = busy.chain(std::iter::repeat_n(0, 11_000_000));
    assert_eq!(fairness(rates), Some(Ratio(8000)));
}

/// The integer nearest to 2^exponent.
fn power(exponent: f64) -> u64 {
    exponent.exp2().round() as u64
}

/// The value that represents a latency: the median of it and of one longer than all.
fn representative(latency: u64) -> u64 {
    // The longer latency is one and a half times as long as all buckets.
    let both = [latency, BEYOND + BEYOND / 2];
    percentiles(&spread::<AtomicU32, ALL_BUCKETS>(&both, 0).latency(0).unwrap()).p50.0
}

/// Recomputes both tables. Every bucket begins and ends where 18 buckets per doubling put it,
/// and its geometric middle represents it.
#[test]
#[cfg_attr(miri, ignore = "Miri varies the last bits of powers, which decide how a middle rounds")]
fn buckets_are_eighteen_to_a_doubling() {
    assert_eq!(ALL_BUCKETS, OCTAVES as usize * BUCKETS_PER_OCTAVE);
    for octave in 0..OCTAVES as i32 {
        for within in 0..BUCKETS_PER_OCTAVE {
            let exponent = |part: f64| 15.0 + (within as f64 + part) / BUCKETS_PER_OCTAVE as f64;
            let (bound, next) = (power(exponent(0.0)), power(exponent(1.0)));
            // The smallest latency of this bucket and of the next, at the scale of this octave.
            let scale = |mantissa: u64| (mantissa << octave).div_ceil(1 << 15);
            let (first, beyond) = (scale(bound), scale(next));
            let middle = (power(exponent(0.5)) as f64 * f64::from(octave - 15).exp2()).round();
            let is_last = octave as u32 == OCTAVES - 1 && within == BUCKETS_PER_OCTAVE - 1;
            if is_last {
                assert_eq!(representative(first), BEYOND + BEYOND / 2, "it has no upper end");
                assert_ne!(representative(first - 1), BEYOND + BEYOND / 2);
                continue;
            }
            // Low octaves have more buckets than latencies, so most buckets are empty.
            if first < beyond {
                for latency in [first, beyond - 1] {
                    assert_eq!(representative(latency), middle as u64, "{latency}, {octave}");
                }
            }
        }
    }
}

/// Compares each latency of a doubling with f64.
#[test]
fn every_latency_of_an_octave_has_the_nearest_middle() {
    let step = if cfg!(miri) { 4001 } else { 1 };
    for latency in (32_768_u64..65_536).step_by(step) {
        let within = (0..18).rev().find(|&k| power(15.0 + f64::from(k) / 18.0) <= latency).unwrap();
        assert_eq!(representative(latency), power(15.0 + (f64::from(within) + 0.5) / 18.0));
    }
}

/// Up to 31 ticks, a bucket holds at most one latency and reports it exactly. From 32 ticks on,
/// a bucket may hold two, and a whole number of ticks cannot be within 2 % of both.
#[test]
fn short_latencies_are_exact() {
    assert!((1..32).all(|ticks| representative(ticks) == ticks));
    assert_eq!((representative(32), representative(33)), (33, 33));
    assert_eq!(representative(0), 1, "a call that the clock did not see took one tick");
}

#[test]
fn a_percentile_is_never_above_the_longest() {
    // 33 represents the bucket of 32.
    let latency = spread::<AtomicU32, ALL_BUCKETS>(&[32; 10], 0).latency(0);
    let ticks = Ticks(32);
    let expected = Latency {
        calls: 10,
        sum: Ticks(320),
        min: Some(ticks),
        max: Some(ticks),
        percentiles: Some(Percentiles { p50: ticks, p99: ticks }),
    };
    assert_eq!(latency, Some(expected));
}

/// Calls of 5.3 s on a nanosecond clock: above 2^32 ticks, where times used to stop.
#[test]
fn times_beyond_32_bits_are_what_they_are() {
    const CALL: u64 = 5_300_000_000;
    let latency = spread::<AtomicU16, SMALL>(&[CALL; 7], Small::floor(Ticks(CALL), 3));
    let latency = latency.latency(Small::floor(Ticks(CALL), 3)).unwrap();
    assert_eq!((latency.sum, latency.min), (Ticks(7 * CALL), None));
    assert_eq!((latency.max, latency.mean(1_000_000_000)), (Some(Ticks(CALL)), Nanos(CALL)));
    assert!(close(percentiles(&latency).p50, CALL) && close(percentiles(&latency).p99, CALL));
    // Above all buckets, a percentile is at most the longest latency.
    let latency = spread::<AtomicU32, ALL_BUCKETS>(&[BEYOND, 3 * BEYOND], 0).latency(0).unwrap();
    assert_eq!(percentiles(&latency).p50, Ticks(3 * BEYOND));
    assert_eq!((latency.sum, latency.min), (Ticks(4 * BEYOND), None));
}

#[test]
fn nothing_measured_is_absent() {
    assert_eq!(SmallSum::new().latency(0), None);
    assert_eq!(SmallSum::new().calls(), 0);
    let tally = Small::NEW;
    tally.error();
    let spread = SmallSum::of([&tally]);
    assert_eq!(spread.latency(0), None, "an error is no call");
    assert_eq!((tally.calls(), tally.errors()), (0, 1));
}

/// A call may be counted in this dwell under the number of the dwell before, because its thread
/// had already read that number. Then the longest call of all stands for the dwell's.
#[test]
fn a_dwell_whose_longest_is_unknown_has_that_of_all() {
    let tally = Wide::NEW;
    let before = WideSum::of([&tally]);
    tally.record(Ticks(1000), 0, 6);
    let mut dwell = WideSum::of([&tally]);
    dwell.subtract(&before);
    let unknown = Latency {
        calls: 1,
        sum: Ticks(1000),
        min: Some(Ticks(1000)),
        max: None,
        percentiles: None,
    };
    assert_eq!((dwell.calls(), dwell.latency(0)), (1, Some(unknown)));
    let percentiles = Some(Percentiles { p50: Ticks(1000), p99: Ticks(1000) });
    let known = Some(Latency { max: Some(Ticks(1000)), percentiles, ..unknown });
    for number in [7, 6] {
        let mut dwell = WideSum::of([&tally]);
        dwell.subtract(&before);
        dwell.add_longest(&tally, number);
        assert_eq!(dwell.latency(0), known, "dwell {number}");
    }
}

#[test]
fn the_first_call_of_a_dwell_is_its_longest_even_if_shorter_than_before() {
    let tally = Wide::NEW;
    for (latency, window) in [(500, 0), (900, 1)] {
        tally.record(Ticks(latency), 0, window);
    }
    let before = WideSum::of([&tally]);
    for latency in [20, 30, 10] {
        tally.record(Ticks(latency), 0, 2);
    }
    let mut dwell = WideSum::of([&tally]);
    dwell.subtract(&before);
    dwell.add_longest(&tally, 2);
    assert_eq!(dwell.latency(0).unwrap().max, Some(Ticks(30)));
}

#[test]
#[cfg_attr(miri, ignore = "seventy thousand calls")]
fn a_full_counter_stays_full_and_hides_the_percentiles_alone() {
    const CALLS: u32 = 70_000;
    let tally = Small::NEW;
    let floor = Small::floor(Ticks(1000), 3);
    for _ in 0..CALLS {
        tally.record(Ticks(1000), floor, 0);
    }
    let one = SmallSum::of([&tally]);
    assert_eq!((tally.calls(), one.calls()), (CALLS, u64::from(CALLS)), "the sums are exact");
    let latency = one.latency(floor).unwrap();
    assert_eq!(latency.percentiles, None, "what was not counted may have been anything");
    assert_eq!((latency.sum, latency.max), (Ticks(70_000_000), Some(Ticks(1000))));

    let two = SmallSum::of([&tally, &tally]);
    assert_eq!(two.calls(), 2 * u64::from(CALLS));

    tally.record(Ticks(1000), floor, 1);
    let mut later = SmallSum::of([&tally]);
    later.subtract(&one);
    later.add_longest(&tally, 1);
    let latency = later.latency(floor).unwrap();
    assert_eq!((latency.calls, latency.sum), (1, Ticks(1000)));
    assert_eq!(latency.percentiles, None, "a difference of full counters is not known");
}

/// A tally in which every bucket is full.
struct Full;

impl Counter for Full {
    const ZERO: Self = Self;
    fn increment(&self) {}
    fn get(&self) -> u32 {
        u32::MAX
    }
    fn full(&self) -> bool {
        false
    }
    fn clear(&self) {}
}

#[test]
fn sums_saturate_and_ranks_do_not_overflow() {
    let tally = Counts::<Full, ALL_BUCKETS>::NEW;
    tally.record(Ticks(u64::MAX), 0, 0);
    tally.record(Ticks(u64::MAX), 0, 0);
    let sum = Sum::of([&tally, &tally, &tally]);
    assert_eq!(sum.calls(), 6);
    let latency = sum.latency(0).unwrap();
    assert_eq!((latency.sum, latency.max), (Ticks(u64::MAX), Some(Ticks(u64::MAX))));
    let p50 = percentiles(&latency).p50;
    let middle = 2_f64.powf(f64::from(OCTAVES) / 2.0);
    assert!((p50.0 as f64 / middle).log2().abs() < 0.1, "half of the buckets lie below: {p50}");
}

#[test]
fn clear_forgets_everything() {
    let tally = Wide::NEW;
    tally.record(Ticks(123), 0, 4);
    tally.record(Ticks(2), 0, 4);
    tally.error();
    tally.clear();
    assert_eq!((tally.calls(), tally.errors()), (0, 0));
    assert_eq!(WideSum::of([&tally]).latency(0), None);
    tally.record(Ticks(7), 0, 4);
    let mut spread = WideSum::of([&tally]);
    let only = spread.latency(0).unwrap();
    assert_eq!((only.min, only.max), (Some(Ticks(7)), Some(Ticks(7))), "nothing is left over");
    spread.subtract(&WideSum::new());
    spread.add_longest(&tally, 4);
    assert_eq!(spread.latency(0).unwrap().max, Some(Ticks(7)));
}

/// One thread writes and others read. Each reading is one that the writer left, whole. In a
/// torn reading, calls, sum, shortest and longest would not match.
#[test]
fn a_reader_never_sees_half_of_a_call() {
    const CALLS: u32 = if cfg!(miri) { 50 } else { 50_000 };
    /// Both halves of the value differ from one call to the next.
    fn latency(call: u64) -> u64 {
        call << 33 | call
    }
    // It counts down from the largest value, so every call also changes the shortest.
    let nth = |call: u32| latency(u64::from(CALLS - call));
    let tally = Counts::<AtomicU32, SMALL>::NEW;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !over.load(Relaxed) {
                    let Some(now) = Sum::of([&tally]).latency(0) else { continue };
                    let calls = u32::try_from(now.calls).unwrap();
                    assert!(calls >= seen, "a count went back");
                    seen = calls;
                    let sum = latency(u64::from(calls) * u64::from(2 * CALLS - calls + 1) / 2);
                    assert_eq!(now.sum, Ticks(sum), "{calls}");
                    assert_eq!(now.min, None, "all are above 32 bits");
                    assert_eq!(now.max, Some(Ticks(nth(0))), "{calls}");
                }
            });
        }
        for call in 0..CALLS {
            tally.record(Ticks(nth(call)), 0, call);
            if call % 1024 == 0 {
                std::thread::yield_now();
            }
        }
        over.store(true, Relaxed);
    });
    assert_eq!((tally.calls(), Sum::of([&tally]).calls()), (CALLS, u64::from(CALLS)));
}

/// A reader asks for the current dwell and gets its longest call, or the longest of all where it
/// was overtaken. It never gets that of the dwell before.
#[test]
fn the_longest_of_a_dwell_is_never_that_of_another() {
    const DWELLS: u32 = if cfg!(miri) { 30 } else { 100_000 };
    let tally = Counts::<AtomicU32, SMALL>::NEW;
    let dwell = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=DWELLS {
                // The calls of each dwell are shorter than those of the dwell before.
                tally.record(
                    Ticks(u64::from(DWELLS - number) << 20 | u64::from(number)),
                    0,
                    number,
                );
                dwell.store(number, Release);
            }
        });
        loop {
            let number = dwell.load(Acquire);
            let mut spread = Sum::of([&tally]);
            spread.subtract(&Sum::new());
            spread.add_longest(&tally, number);
            if let Some(longest) = spread.latency(0).and_then(|latency| latency.max) {
                let expected = u64::from(DWELLS - number) << 20 | u64::from(number);
                let of_all = u64::from(DWELLS - 1) << 20 | 1;
                assert!(longest == Ticks(expected) || longest == Ticks(of_all), "{longest}");
            }
            if number == DWELLS {
                break;
            }
        }
    });
}

#[test]
fn a_clock_without_a_frequency_does_not_divide_by_zero() {
    assert_eq!(Ticks(3).to_micros(0), Micros(3_000_000));
    assert_eq!(Ticks(3).to_nanos(0), Nanos(3_000_000_000));
}

#[test]
fn halves_round_up_and_too_much_saturates() {
    assert_eq!(Ticks(1).to_micros(2_000_000), Micros(1));
    assert_eq!(Ticks(1).to_micros(2_000_001), Micros(0));
    assert_eq!(Ticks(3).to_nanos(2_000_000_000), Nanos(2));
    // 32,768 Hz, the slow clock of many boards, at the end of 64 bits.
    assert_eq!(Ticks(u64::MAX).to_micros(32_768), Micros(u64::MAX));
    assert_eq!(Ticks(u64::MAX).to_nanos(32_768), Nanos(u64::MAX));
}

#[test]
fn units_saturate_and_print_bare() {
    assert_eq!(Bytes(u32::MAX).saturating_add(Bytes(1)), Bytes(u32::MAX));
    assert_eq!(Bytes(1).saturating_sub(Bytes(2)), Bytes(0));
    assert_eq!(format!("{} {:>4}", Nanos(42), Bytes(7)), "42    7");
}

#[test]
fn a_ratio_prints_four_decimals() {
    assert_eq!(Ratio(9987).to_string(), "0.9987");
    assert_eq!(Ratio(5).to_string(), "0.0005");
    assert_eq!(Ratio::ONE.to_string(), "1.0000");
    assert_eq!(Ratio(u32::MAX).to_string(), "429496.7295");
}
