//! The statistics against exact ones: sorted vectors, f64 and 128-bit integers.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering::Relaxed};

use proptest::prelude::*;
use wramp_core::measure::{
    ALL_BUCKETS, BUCKETS_PER_OCTAVE, Bytes, Counter, Latency, Micros, Nanos, Ratio, Spread, Tally,
    Ticks, fairness, window_floor,
};

/// A window as a small board would have it: eight doublings.
const SMALL: usize = 8 * BUCKETS_PER_OCTAVE;

fn cases(cases: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 2 } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What a latency counts as: at least 1 tick, at most 2^32 - 1.
fn counted(latency: u64) -> u64 {
    latency.clamp(1, u64::from(u32::MAX))
}

/// The exact order statistic of rank ceil(n · percent / 100).
fn exact(latencies: &[u64], percent: usize) -> u64 {
    let mut sorted: Vec<u64> = latencies.iter().copied().map(counted).collect();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

/// The documented bound: a bucket's half width, 2^(1/36) - 1, and the rounding to
/// whole ticks; a little more because the bounds are rounded to 1/32768.
fn close(measured: Ticks, exact: u64) -> bool {
    (measured.0 as f64 - exact as f64).abs() <= exact as f64 * 0.019_5 + 0.5
}

/// Where a latency stands, in buckets from 1 tick on, exactly.
fn position(latency: u64) -> f64 {
    (latency as f64).log2() * BUCKETS_PER_OCTAVE as f64
}

fn spread<C: Counter, const N: usize>(latencies: &[u64], floor: u32) -> Spread<N> {
    let tally = Tally::<C, N>::new();
    latencies.iter().for_each(|&latency| tally.record(Ticks(latency), floor, 0));
    let mut spread = Spread::new();
    spread.add(&tally);
    spread
}

/// Log-uniform, with both ends of the range and beyond.
fn latency() -> impl Strategy<Value = u64> {
    prop_oneof![
        20 => (0_u32..32, any::<u32>()).prop_map(|(shift, wide)| u64::from(wide >> shift)),
        1 => Just(0),
        1 => Just(u64::from(u32::MAX)),
        1 => any::<u64>(),
    ]
}

/// Sets that scatter over everything, and sets like a real workload's: a cluster
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
    fn percentiles_are_close_and_the_longest_is_exact(latencies in latencies()) {
        let spread = spread::<AtomicU32, ALL_BUCKETS>(&latencies, 0);
        prop_assert_eq!(spread.calls(), latencies.len() as u64);
        let measured = spread.latency(0).unwrap();
        for (percentile, percent) in [(measured.p50, 50), (measured.p99, 99)] {
            let exact = exact(&latencies, percent);
            prop_assert!(close(percentile, exact), "p{}: {} for {}", percent, percentile, exact);
        }
        prop_assert_eq!(measured.max.0, exact(&latencies, 100));
        prop_assert!(measured.p50 <= measured.p99 && measured.p99 <= measured.max);
    }

    #[test]
    fn a_small_window_is_as_close_inside_and_bounds_from_above_outside(
        first in latency(),
        mut latencies in latencies(),
    ) {
        latencies.push(first);
        let floor = window_floor::<SMALL>(Ticks(first), 3);
        let measured = spread::<AtomicU16, SMALL>(&latencies, floor).latency(floor).unwrap();
        prop_assert_eq!(measured.max.0, exact(&latencies, 100));
        for (percentile, percent) in [(measured.p50, 50), (measured.p99, 99)] {
            let exact = exact(&latencies, percent);
            // Bounds are rounded to 1/32768: at one, both sides are right.
            let from_floor = position(exact) - f64::from(floor);
            let from_top = from_floor - (SMALL - 1) as f64;
            if from_top > 0.01 {
                prop_assert_eq!(percentile, measured.max);
            } else if from_floor < -0.01 {
                // Counted in the lowest bucket: that or the longest, if shorter still.
                prop_assert!(percentile.0 >= exact);
                let low = (f64::from(floor) / BUCKETS_PER_OCTAVE as f64).exp2();
                prop_assert!(percentile.0 as f64 <= low * 1.02 + 0.5);
            } else if from_floor > 0.01 && from_top < -0.01 {
                prop_assert!(close(percentile, exact), "p{}: {} for {}", percent, percentile, exact);
            }
            prop_assert!(percentile <= measured.max);
        }
    }

    #[test]
    fn the_first_call_is_inside_the_window_that_it_opens(first in latency()) {
        prop_assert_eq!(window_floor::<ALL_BUCKETS>(Ticks(first), 3), 0);
        let floor = window_floor::<SMALL>(Ticks(first), 3);
        prop_assert!(floor as usize + SMALL <= ALL_BUCKETS);
        let above = position(counted(first)) - f64::from(floor);
        prop_assert!(above > -0.01);
        // Three doublings below it, where neither end of the range is in the way.
        if floor > 0 && floor as usize + SMALL < ALL_BUCKETS {
            let three = 3.0 * BUCKETS_PER_OCTAVE as f64;
            prop_assert!((three - 0.01..three + 1.01).contains(&above), "{above}");
        }
    }

    #[test]
    fn several_threads_add_up(per_thread in prop::collection::vec(latencies(), 1..5)) {
        let mut sum = Spread::<ALL_BUCKETS>::new();
        for latencies in &per_thread {
            let tally = Tally::<AtomicU32, ALL_BUCKETS>::new();
            latencies.iter().for_each(|&latency| tally.record(Ticks(latency), 0, 0));
            prop_assert_eq!(tally.calls() as usize, latencies.len());
            sum.add(&tally);
        }
        let all = per_thread.concat();
        prop_assert_eq!(sum.latency(0), spread::<AtomicU32, ALL_BUCKETS>(&all, 0).latency(0));
    }

    /// Each dwell knows its own calls and no others, whichever threads made them.
    #[test]
    fn a_dwell_is_measured_on_its_own(
        dwells in prop::collection::vec(
            prop::collection::vec((0_usize..3, latency()), 0..60), 1..6),
    ) {
        let tallies: [Tally<AtomicU32, ALL_BUCKETS>; 3] = Default::default();
        let sum = || {
            let mut sum = Spread::<ALL_BUCKETS>::new();
            tallies.iter().for_each(|tally| sum.add(tally));
            sum
        };
        let mut before = sum();
        for (window, calls) in (1..).zip(&dwells) {
            for &(thread, latency) in calls {
                tallies[thread].record(Ticks(latency), 0, window);
            }
            let after = sum();
            let mut dwell = after.clone();
            dwell.subtract(&before);
            tallies.iter().for_each(|tally| dwell.add_longest(tally, window));
            let own: Vec<u64> = calls.iter().map(|&(_, latency)| latency).collect();
            prop_assert_eq!(dwell.calls(), own.len() as u64);
            prop_assert_eq!(dwell.latency(0), spread::<AtomicU32, ALL_BUCKETS>(&own, 0).latency(0));
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
                // Saturated, or just as large as that.
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
        // Rounded down, from rates cut to 32 bits.
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
        // A power of two leaves every bit where it counts: exactly the same.
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

/// Enough of the largest rates that the product with 10,000 leaves 128 bits.
#[test]
#[cfg_attr(miri, ignore = "tens of millions of rates")]
fn fairness_of_millions_of_huge_rates_does_not_overflow() {
    let busy = std::iter::repeat_n(u64::MAX, 44_000_000);
    let rates = busy.chain(std::iter::repeat_n(0, 11_000_000));
    assert_eq!(fairness(rates), Some(Ratio(8000)));
}

/// Nearest integer to 2^exponent.
fn power(exponent: f64) -> u64 {
    exponent.exp2().round() as u64
}

/// What stands for a latency: the median of it and one that is longer than all.
fn representative(latency: u64) -> u64 {
    let both = [latency, u64::from(u32::MAX)];
    spread::<AtomicU32, ALL_BUCKETS>(&both, 0).latency(0).unwrap().p50.0
}

/// Both tables, recomputed: every bucket begins and ends where 18 to a doubling
/// says, and is stood for by its geometric middle.
#[test]
fn buckets_are_eighteen_to_a_doubling() {
    let octaves = if cfg!(miri) { 14..17 } else { 0..32 };
    for octave in octaves {
        for within in 0..BUCKETS_PER_OCTAVE {
            let exponent = |part: f64| 15.0 + (within as f64 + part) / BUCKETS_PER_OCTAVE as f64;
            let (bound, next) = (power(exponent(0.0)), power(exponent(1.0)));
            // The least latency of this bucket and of the next, at this octave's scale.
            let scale = |mantissa: u64| (mantissa << octave).div_ceil(1 << 15);
            let (first, beyond) = (scale(bound), scale(next));
            // The last of all is the one that bounds the set.
            let beyond = beyond.min(u64::from(u32::MAX));
            let middle = (power(exponent(0.5)) as f64 * f64::from(octave - 15).exp2()).round();
            // Low octaves have more buckets than latencies: most are empty.
            if first < beyond {
                for latency in [first, beyond - 1] {
                    assert_eq!(representative(latency), middle as u64, "{latency}, {octave}");
                }
            }
        }
    }
}

/// Each latency of a doubling, against f64.
#[test]
fn every_latency_of_an_octave_has_the_nearest_middle() {
    let step = if cfg!(miri) { 4001 } else { 1 };
    for latency in (32_768_u64..65_536).step_by(step) {
        let within = (0..18).rev().find(|&k| power(15.0 + f64::from(k) / 18.0) <= latency).unwrap();
        assert_eq!(representative(latency), power(15.0 + (f64::from(within) + 0.5) / 18.0));
    }
}

/// Up to 31 ticks a bucket holds one latency at most, and says it exactly; from 32 on
/// a bucket may hold two, and whole ticks cannot be within 2 % of both.
#[test]
fn short_latencies_are_exact() {
    assert!((1..32).all(|ticks| representative(ticks) == ticks));
    assert_eq!((representative(32), representative(33)), (33, 33));
    assert_eq!(representative(0), 1, "a call that the clock did not see took one tick");
}

#[test]
fn a_percentile_is_never_above_the_longest() {
    // 32's bucket is stood for by 33.
    let latency = spread::<AtomicU32, ALL_BUCKETS>(&[32; 10], 0).latency(0);
    assert_eq!(latency, Some(Latency { p50: Ticks(32), p99: Ticks(32), max: Ticks(32) }));
}

#[test]
fn nothing_measured_is_absent() {
    assert_eq!(Spread::<SMALL>::default().latency(0), None);
    assert_eq!(Spread::<SMALL>::new().calls(), 0);
    let tally = Tally::<AtomicU16, SMALL>::default();
    tally.error();
    let mut spread = Spread::<SMALL>::new();
    spread.add(&tally);
    assert_eq!(spread.latency(0), None, "an error is no call");
    assert_eq!((tally.calls(), tally.errors()), (0, 1));
}

/// A call may be counted in this dwell under the number of the one before: its
/// thread had read that already. Not knowing the longest must not read as zero.
#[test]
fn a_dwell_whose_longest_is_unknown_has_no_latency() {
    let tally = Tally::<AtomicU32, ALL_BUCKETS>::new();
    let mut before = Spread::new();
    before.add(&tally);
    tally.record(Ticks(1000), 0, 6);
    let mut dwell = Spread::new();
    dwell.add(&tally);
    dwell.subtract(&before);
    assert_eq!((dwell.calls(), dwell.latency(0)), (1, None));
    dwell.add_longest(&tally, 7);
    assert_eq!(dwell.latency(0), None, "window 6 is not window 7");
    dwell.add_longest(&tally, 6);
    assert_eq!(dwell.latency(0).map(|latency| latency.max), Some(Ticks(1000)));
}

#[test]
fn the_first_call_of_a_dwell_is_its_longest_even_if_shorter_than_before() {
    let tally = Tally::<AtomicU32, ALL_BUCKETS>::new();
    for (latency, window) in [(500, 0), (900, 1), (20, 2), (30, 2), (10, 2)] {
        tally.record(Ticks(latency), 0, window);
    }
    let mut dwell = Spread::<ALL_BUCKETS>::new();
    dwell.add(&tally);
    dwell.subtract(&Spread::new());
    dwell.add_longest(&tally, 1);
    assert_eq!(dwell.latency(0), None, "dwell 1 is over, dwell 2 has overwritten it");
    dwell.add_longest(&tally, 2);
    assert_eq!(dwell.latency(0).unwrap().max, Ticks(30));
}

#[test]
#[cfg_attr(miri, ignore = "seventy thousand calls")]
fn a_full_counter_stays_full() {
    const CALLS: u32 = 70_000;
    let tally = Tally::<AtomicU16, SMALL>::new();
    let floor = window_floor::<SMALL>(Ticks(1000), 3);
    for _ in 0..CALLS {
        tally.record(Ticks(1000), floor, 0);
    }
    let mut one = Spread::<SMALL>::new();
    one.add(&tally);
    assert_eq!((tally.calls(), one.calls()), (CALLS, u64::from(u16::MAX)));
    assert_eq!(one.latency(floor), None, "what was not counted may have been anything");

    let mut two = one.clone();
    two.add(&tally);
    assert_eq!(two.calls(), 2 * u64::from(u16::MAX), "the sum has 32 bits");

    tally.record(Ticks(1000), floor, 1);
    let mut later = Spread::new();
    later.add(&tally);
    let mut dwell = later.clone();
    dwell.subtract(&one);
    assert_eq!(dwell.calls(), 0);
    later.subtract(&Spread::new());
    later.add_longest(&tally, 1);
    assert_eq!(later.latency(floor), None, "a difference of full counters is not known");
}

/// Every bucket as full as it can be.
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
    let tally = Tally::<Full, ALL_BUCKETS>::new();
    tally.record(Ticks(u64::MAX), 0, 0);
    let mut spread = Spread::<ALL_BUCKETS>::new();
    (0..3).for_each(|_| spread.add(&tally));
    assert_eq!(spread.calls(), ALL_BUCKETS as u64 * u64::from(u32::MAX));
    let latency = spread.latency(0).unwrap();
    assert_eq!(latency.max, Ticks(u64::from(u32::MAX)));
    assert!(close(latency.p50, 65_000) || latency.p50 > Ticks(60_000));
}

#[test]
fn clear_forgets_everything() {
    let tally = Tally::<AtomicU32, ALL_BUCKETS>::new();
    tally.record(Ticks(123), 0, 4);
    tally.error();
    tally.clear();
    assert_eq!((tally.calls(), tally.errors()), (0, 0));
    let mut spread = Spread::<ALL_BUCKETS>::new();
    spread.add(&tally);
    assert_eq!(spread.latency(0), None);
    tally.record(Ticks(7), 0, 4);
    spread.add(&tally);
    assert_eq!(spread.latency(0).unwrap().max, Ticks(7), "neither longest is left over");
    spread.subtract(&Spread::new());
    spread.add_longest(&tally, 4);
    assert_eq!(spread.latency(0).unwrap().max, Ticks(7));
}

/// One writes, another reads: a count never goes back, and at rest all is there.
#[test]
fn a_reader_sees_counts_grow() {
    const CALLS: u32 = if cfg!(miri) { 50 } else { 20_000 };
    let tally = Tally::<AtomicU32, SMALL>::new();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for call in 0..CALLS {
                tally.record(Ticks(u64::from(call)), 0, call / 1000);
            }
            over.store(true, Relaxed);
        });
        let mut seen = 0;
        while !over.load(Relaxed) {
            let mut now = Spread::<SMALL>::new();
            now.add(&tally);
            assert!(now.calls() >= seen);
            seen = now.calls();
            std::thread::yield_now();
        }
    });
    let mut all = Spread::<SMALL>::new();
    all.add(&tally);
    assert_eq!((tally.calls(), all.calls()), (CALLS, u64::from(CALLS)));
    assert_eq!(all.latency(0).unwrap().max, Ticks(u64::from(CALLS - 1)));
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
