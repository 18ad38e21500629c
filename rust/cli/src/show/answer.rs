//! The answer of a ramp in one sentence: how many fit, and what stops the next one.

use wramp_core::ramp::Limit;

use crate::model::kept::{Kept, MemberKind};
use crate::model::log::Log;
use crate::model::measured::Measured;
use crate::model::run_log::{RampLog, RunLog};
use crate::show::number::{count, ordinal};

/// One sentence for each ramp of the log's best run.
#[must_use]
pub fn answers(log: &Log) -> Vec<String> {
    let Some(run) = log.best() else { return Vec::new() };
    run.ramps.iter().map(|ramp| answer(run, ramp)).collect()
}

/// `cpu: 24 fit; the 25th is stopped by the slots; the arena alone holds 25.`
fn answer(run: &RunLog, ramp: &RampLog) -> String {
    let name = ramp.name();
    let Some(end) = ramp.end.as_ref().map(|end| end.get()) else {
        return format!("{name}: the ramp did not end.");
    };
    if !ramp.members.is_empty() {
        return mixed(&name, &ramp.members, end.limit);
    }
    let fit = match end.peak {
        0 => format!("{name}: none fits"),
        1 => format!("{name}: 1 fits"),
        peak => format!("{name}: {} fit", count(peak)),
    };
    let next = ordinal(end.peak.saturating_add(1));
    match end.limit {
        Limit::Arena => format!("{fit}; the {next} is stopped by the arena."),
        Limit::Slots => {
            let header = run.header.as_ref().map(|header| header.get());
            let measured = header.and_then(|header| Measured::of(&header, ramp));
            let alone = match measured.and_then(|measured| measured.fit()) {
                Some(alone) => format!("; the arena alone holds {}", count(alone)),
                None => String::new(),
            };
            format!("{fit}; the {next} is stopped by the slots{alone}.")
        }
        Limit::Slo => {
            let promise = run.header.as_ref().and_then(|header| header.get().slo_us);
            let promise =
                promise.map_or(String::new(), |us| format!(" of {} us", count(us.0 / 1000)));
            format!("{fit}; with one rung more the p99 breaks the promise{promise}.")
        }
        // The fault, which was shown before, says why.
        Limit::Error if end.peak == 0 && run.has_fault(&ramp.workload) => {
            format!("{fit}: it cannot run.")
        }
        Limit::Error => {
            let why = end.message.map_or(String::new(), |text| format!(": {}", text.readable()));
            format!("{fit}; an error stops the ramp{why}.")
        }
        Limit::Interrupted => format!("{fit} so far; the ramp was interrupted."),
    }
}

/// `mix: yes, 3 a, 1 b and 17 c fit; the 18th c is stopped by the arena.`
fn mixed(name: &str, members: &[Kept<MemberKind>], limit: Limit) -> String {
    let members: Vec<_> = members.iter().map(Kept::get).collect();
    let listed: Vec<_> = members
        .iter()
        .map(|member| format!("{} {}", count(member.instances), member.module.readable()))
        .collect();
    let listed = match listed.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => listed.concat(),
    };
    // The first module that lacks an instance is the one that did not start. Where all of them
    // take turns, that is the one with the fewest.
    let short = members.iter().find(|m| m.asked.is_some_and(|asked| m.instances < asked));
    let open = members.iter().filter(|m| m.asked.is_none()).min_by_key(|m| m.instances);
    let all = short.is_none() && open.is_none_or(|member| member.instances > 0);
    let next = short.or(open).map(|member| {
        format!("the {} {}", ordinal(member.instances + 1), member.module.readable())
    });
    let answer = if all { "yes" } else { "no" };
    match (next, limit) {
        (None, _) | (_, Limit::Interrupted) => format!("{name}: {answer}, {listed} fit."),
        (_, Limit::Slo) => format!("{name}: no, with {listed} the p99 breaks the promise."),
        (Some(next), _) => {
            let by = if limit == Limit::Error { "an error" } else { &format!("the {limit}") };
            format!("{name}: {answer}, {listed} fit; {next} is stopped by {by}.")
        }
    }
}
