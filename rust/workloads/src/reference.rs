//! What each guest must return, derived from the header of its text.
//!
//! If mathematics offers another way than the guest's, the reference takes it. That is cheaper,
//! and it does not repeat a mistake. `state` regenerates its samples from the count of calls.
//! The constant results are closed forms.

use crate::State;

/// FNV's prime for 32 bits.
const FNV_PRIME: u32 = 0x0100_0193;

/// Updates the state after a call and converts the result. Results are bits: the guest's i32
/// and this u32 have the same ones.
fn after_call(state: &mut State, result: u32) -> i32 {
    state.calls = state.calls.wrapping_add(1);
    result as i32
}

/// FNV-1a over the words 0 .. 10,000. `carry` is the hash after the previous call.
pub(crate) fn cpu(state: &mut State) -> i32 {
    const OFFSET_BASIS: u32 = 0x811c_9dc5;
    let start = if state.calls == 0 { OFFSET_BASIS } else { state.carry };
    let hash = (0..10_000u32).fold(start, |hash, round| (hash ^ round).wrapping_mul(FNV_PRIME));
    state.carry = hash;
    after_call(state, hash)
}

/// Polynomial hash, base 31, of what 100 passes read. Pass p reads the addresses 1023 ..= 0,
/// and each holds the low byte of address + p.
pub(crate) fn mem(state: &mut State) -> i32 {
    let checksum = (0..100u32)
        .flat_map(|pass| (pass..pass + 1024).rev())
        .fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte & 0xff));
    after_call(state, checksum)
}

/// 3 bursts of as many messages as the ring has slots. A ring that works loses none and damages
/// none. The guest itself looks at their contents.
pub(crate) fn msg(state: &mut State) -> i32 {
    after_call(state, 3 * 64)
}

/// The key of the pattern that this call leaves, with bit 0 set. The guest returns 0 if the
/// pattern of the previous call was damaged.
pub(crate) fn isolation(state: &mut State) -> i32 {
    // 2^32 divided by the golden ratio.
    let spread = state.calls.wrapping_add(1).wrapping_mul(0x9e37_79b9);
    let key = murmur3_finalizer(state.seed.wrapping_add(spread));
    after_call(state, key | 1)
}

/// `fmix32` of Austin Appleby's MurmurHash3 (public domain).
fn murmur3_finalizer(mut hash: u32) -> u32 {
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// Mean and variance by definition, over regenerated samples. The guest's running sums could
/// drift, and these cannot.
pub(crate) fn state(state: &mut State) -> i32 {
    const WINDOW: u32 = 507;
    const BATCH: u32 = 50;
    // Slots that no sample has reached yet hold zeros. They add nothing to either sum, so they
    // need no samples here.
    let taken = state.calls.saturating_add(1).saturating_mul(BATCH);
    let held = taken.min(WINDOW);
    // The generator repeats after 2^32 steps, so a wrapped position gives the same samples.
    let position = state.calls.wrapping_add(1).wrapping_mul(BATCH);
    let mut x = generator_at(position.wrapping_sub(held));
    let (mut sum, mut squares) = (0u32, 0u64);
    for _ in 0..held {
        x = x.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        let sample = x >> 20;
        sum += sample;
        squares += u64::from(sample * sample);
    }
    let mean = sum / WINDOW;
    // E[x^2] - E[x]^2 over the common denominator, which the mean's remainder needs.
    let numerator = squares * u64::from(WINDOW) - u64::from(sum) * u64::from(sum);
    let variance = numerator / u64::from(WINDOW * WINDOW);
    // At most 4095^2 / 4, which fits easily.
    after_call(state, mean.wrapping_mul(FNV_PRIME).wrapping_add(variance as u32))
}

/// Word k is k times the generator's state after as many steps from 0 as there were calls.
pub(crate) fn sparse(state: &mut State) -> i32 {
    let one = generator_at(state.calls.wrapping_add(1));
    let hash = (1..=32u32)
        .fold(0x811c_9dc5, |hash: u32, k| (hash ^ one.wrapping_mul(k)).wrapping_mul(FNV_PRIME));
    after_call(state, hash)
}

/// The generator of Numerical Recipes (2nd edition, 7.1): full period, 2^32.
const MULTIPLIER: u32 = 1_664_525;
const INCREMENT: u32 = 1_013_904_223;

/// The generator's state after that many steps from 0, in at most 32 steps. A step is
/// x -> a x + c, and a step of twice the length has a^2 and (a + 1) c (F. Brown, "Random Number
/// Generation with Arbitrary Strides", 1994).
fn generator_at(mut steps: u32) -> u32 {
    let (mut multiplier, mut increment) = (MULTIPLIER, INCREMENT);
    let mut x = 0u32;
    while steps != 0 {
        if steps & 1 != 0 {
            x = x.wrapping_mul(multiplier).wrapping_add(increment);
        }
        increment = increment.wrapping_mul(multiplier.wrapping_add(1));
        multiplier = multiplier.wrapping_mul(multiplier);
        steps >>= 1;
    }
    x
}

/// Goes round by round, over the depths from the round's own outwards.
pub(crate) fn nest(state: &mut State) -> i32 {
    let hash = (0..40u32)
        .flat_map(|round| round..40)
        .fold(0u32, |hash, depth| hash.wrapping_mul(31).wrapping_add(depth));
    after_call(state, hash)
}

/// Gauss: n (n + 1) / 2.
pub(crate) fn add(state: &mut State) -> i32 {
    after_call(state, 50_000 / 2 * 50_001)
}

/// A power. `wrapping_pow` finds it by squaring.
pub(crate) fn mul(state: &mut State) -> i32 {
    after_call(state, 0x9e37_79b1u32.wrapping_pow(20_000))
}

/// Uses doubling: fib(2n) = f (2 g - f) and fib(2n + 1) = f^2 + g^2, where f and g are fib(n)
/// and fib(n + 1).
pub(crate) fn fib(state: &mut State) -> i32 {
    const N: u32 = 30;
    let (mut this, mut next) = (0u32, 1u32);
    for bit in (0..N.ilog2() + 1).rev() {
        (this, next) = (this * (2 * next - this), this * this + next * next);
        if N >> bit & 1 != 0 {
            (this, next) = (next, this + next);
        }
    }
    after_call(state, 500 * this)
}

/// Computes both Fletcher sums in one pass.
///
/// Word v, counted as visited from 0, is added to `low` 100 times. It reaches `high` once for
/// each word from its visit on: T - v words after the first visit, and 1,024 fewer after each
/// later one.
pub(crate) fn checksum(state: &mut State) -> i32 {
    const WORDS: u32 = 1024;
    const PASSES: u32 = 100;
    let (mut low, mut high) = (0u32, 0u32);
    for visit in 0..WORDS {
        let word = (4 * (WORDS - visit)).wrapping_mul(0x9e37_79b1);
        let times = PASSES * (PASSES * WORDS - visit) - WORDS * (PASSES * (PASSES - 1) / 2);
        low = low.wrapping_add(word.wrapping_mul(PASSES));
        high = high.wrapping_add(word.wrapping_mul(times));
    }
    after_call(state, low ^ high)
}

/// Counts by column. In 0 ..= n, bit b is 1 in the upper half of every full run of 2^(b + 1)
/// numbers, and in the part of the last, partial run above its lower half.
pub(crate) fn popcount(state: &mut State) -> i32 {
    const COUNT: u32 = 50_001;
    let ones = (0..=COUNT.ilog2())
        .map(|bit| {
            let half = 1 << bit;
            COUNT / (2 * half) * half + (COUNT % (2 * half)).saturating_sub(half)
        })
        .sum();
    after_call(state, ones)
}
