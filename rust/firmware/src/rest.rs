//! Threads that rest until somebody rouses them. Only builds with imports have it.
//!
//! A thread that has nothing to do takes a semaphore. Whoever has something to do gives one for
//! each thread that rests.

use wramp_core::measure::Micros;
use zephyr::sync::Mutex;
use zephyr::sys::sync::Semaphore;
use zephyr::time::{Duration, Forever};

struct Resting {
    /// How often somebody roused the others.
    calls: u32,
    /// Threads that rest.
    threads: u32,
}

static RESTING: Mutex<Resting> = Mutex::new(Resting { calls: 0, threads: 0 });
static BELL: Semaphore = Semaphore::new(0, u32::MAX);

fn resting<R>(with: impl FnOnce(&mut Resting) -> R) -> R {
    let Ok(mut resting) = RESTING.lock();
    with(&mut resting)
}

/// See `Machine::calls_to_rise`.
pub(crate) fn calls() -> u32 {
    resting(|resting| resting.calls)
}

/// See `Machine::rest`.
pub(crate) fn rest(seen: u32, time: Option<Micros>) {
    let rests = resting(|resting| {
        let rests = resting.calls == seen;
        resting.threads += u32::from(rests);
        rests
    });
    if !rests {
        return;
    }
    let rung = match time {
        None => BELL.take(Forever),
        Some(time) => BELL.take(Duration::micros_at_least(time.0)),
    };
    if rung.is_err() {
        // Its time is over. Whoever called in between has given it a semaphore all the same.
        let roused = resting(|resting| {
            let roused = resting.calls != seen;
            resting.threads -= u32::from(!roused);
            roused
        });
        if roused {
            // Another thread may have taken it, and rests again sooner than it has to.
            let _ = BELL.take(Duration::from_ticks(0));
        }
    }
}

/// See `Machine::rouse`.
pub(crate) fn rouse() {
    let threads = resting(|resting| {
        resting.calls = resting.calls.wrapping_add(1);
        core::mem::take(&mut resting.threads)
    });
    (0..threads).for_each(|_| BELL.give());
}
