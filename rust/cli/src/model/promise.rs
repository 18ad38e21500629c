//! Where a ramp would have ended under a promise, from the rungs that it climbed.
//!
//! `wramp run --slo-us N` judges each rung by its p99 and ends at the first that exceeds N
//! (`core::ramp`). A run without a promise climbs the same rungs and reports each one's p99, so
//! its log answers the question for every N at once.

use wramp_core::measure::Nanos;
use wramp_core::ramp::Limit;
use wramp_core::report::Step;

use crate::model::run_log::RampLog;

/// How a ramp ends under a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Instances of the last rung that kept it, as all rungs before did. An end record's peak.
    pub peak: u32,
    /// What would have ended the ramp; `None` where the log ends before that.
    pub limit: Option<Limit>,
    /// The p99 of that rung, where it was measured.
    pub p99: Option<Nanos>,
}

/// The time that a promise is about: a turnaround in a pool, a call on threads.
#[must_use]
pub fn p99(step: &Step<'_>) -> Option<Nanos> {
    // Only a pool has instances without a thread.
    if step.running.is_some() { step.turnaround_p99_us } else { step.latency_p99_us }
}

/// The word for the time that a ramp's promise is about.
#[must_use]
pub fn subject(ramp: &RampLog) -> Option<&'static str> {
    let pool = ramp.steps.last()?.get().running.is_some();
    Some(if pool { "turnaround" } else { "call" })
}

fn limit(ramp: &RampLog) -> Option<Limit> {
    ramp.end.as_ref().map(|end| end.get().limit)
}

/// The rungs that were held to their end. One that an interrupt cut short proves nothing.
fn rungs(ramp: &RampLog) -> Vec<(u32, Option<Nanos>)> {
    let mut rungs: Vec<_> =
        ramp.steps.iter().map(|step| step.get()).map(|s| (s.instances, p99(&s))).collect();
    if limit(ramp) == Some(Limit::Interrupted) {
        rungs.pop();
    }
    rungs
}

/// How the ramp would have ended with `--slo-us`: peak and limit of the end record.
#[must_use]
pub fn kept(ramp: &RampLog, promise: Nanos) -> Kept {
    let rungs = rungs(ramp);
    let limit = limit(ramp);
    let mut kept = Kept { peak: 0, limit, p99: None };
    for (index, &(instances, p99)) in rungs.iter().enumerate() {
        if p99.is_none_or(|p99| p99 > promise) {
            // The rung after a failure, and the second look at full slots, come after the ramp is
            // over. They can lower the peak, but they do not change the limit.
            let over = matches!(limit, Some(Limit::Slots | Limit::Arena | Limit::Error));
            if !over || index + 1 < rungs.len() {
                kept.limit = Some(Limit::Slo);
            }
            return kept;
        }
        kept = Kept { peak: instances, p99, ..kept };
    }
    if limit == Some(Limit::Slo) {
        kept.limit = None; // A promise stricter than this one stopped it.
    }
    kept
}

/// Promises between the ramp's best and worst p99.
///
/// Each is 1, 2 or 5 times a power of ten microseconds, from the first that any rung keeps to
/// the first that all rungs keep.
#[must_use]
pub fn ladder(ramp: &RampLog) -> Vec<Nanos> {
    let measured = || rungs(ramp).into_iter().filter_map(|(_, p99)| p99);
    let (Some(best), Some(worst)) = (measured().min(), measured().max()) else {
        return Vec::new();
    };
    let decades = std::iter::successors(Some(1_000_u64), |decade| decade.checked_mul(10));
    let steps = decades.flat_map(|decade| [1, 2, 5].map(|times| decade.checked_mul(times)));
    let mut ladder = Vec::new();
    for step in steps.flatten().map(Nanos).skip_while(|step| *step < best) {
        ladder.push(step);
        if step >= worst {
            break;
        }
    }
    ladder
}
