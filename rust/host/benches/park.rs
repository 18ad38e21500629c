//! How many instances fit parked in the published bytes, and what parking costs.
//!
//! `scripts/bench park`, or `cargo bench -p wramp-host --bench park`. One process has one
//! interpreter: `WRAMP_INTERPRETER` chooses it when this is built. The counts are promised for
//! the fast one. It fails where something is wrong (a result, a leak, a prediction, a count),
//! never because this machine is slow.

mod trial;

use std::process::ExitCode;

use trial::{Rate, Report, Trial, built_in, median};
use wramp_bench::Guest;
use wramp_core::config::{Config, DENSE_WORKERS, Mode, Park};
use wramp_core::measure::{Bytes, Nanos};
use wramp_core::report::{Park as Parked, Record, Step};

const KNOBS: Park = Park { workers: DENSE_WORKERS, live: 0, budget: None, hot: false };

/// The published bytes: four stacks of 4 KiB, and the rest for the arena.
const PARK: Config =
    Config { mode: Mode::Park(KNOBS), settle_ms: 0, dwell_ms: 20, ..Config::DENSE };

fn main() -> ExitCode {
    if !trial::is_bench() {
        return ExitCode::SUCCESS;
    }
    let Some(parts) = trial::wanted(&["counts", "hot"]) else {
        return ExitCode::from(2);
    };
    let mut report = Report::open();
    for part in parts {
        match part {
            "counts" => counts(&mut report),
            _ => hot(&mut report),
        }
    }
    report.exit()
}

fn steps(trial: &Trial) -> Vec<Step<'_>> {
    let steps = trial.records().filter_map(|record| match record {
        Record::Step(step) => Some(step),
        _ => None,
    });
    steps.collect()
}

/// The last record of parking.
fn parked(trial: &Trial) -> Option<Parked<'_>> {
    let parks = trial.records().filter_map(|record| match record {
        Record::Park(park) => Some(park),
        _ => None,
    });
    parks.last()
}

fn micros(time: Option<Nanos>) -> f64 {
    time.map_or(f64::NAN, |nanos| nanos.0 as f64 / 1e3)
}

/// Each guest: how many, with how many bytes, and what parking and reviving one takes.
fn counts(report: &mut Report) {
    let sparse = Guest::from(&wramp_workloads::SPARSE);
    let fast = wramp_wamr::INTERPRETER == "fast";
    for (guest, least) in [
        (built_in(&["cpu"])[0], 32_768),
        (built_in(&["state"])[0], 220),
        (sparse, 1_200),
        (built_in(&["mem"])[0], 150),
        (built_in(&["msg"])[0], 80),
    ] {
        let name = guest.name;
        let trial = Trial::run(PARK, &[guest]);
        let (Some(end), Some(park)) = (trial.end(), parked(&trial)) else {
            report.exact(&format!("{name}: parked instances"), "nothing ran", "a peak", false);
            continue;
        };
        // The stacks that the classic interpreter needs hold a cache of block ends.
        let enough = !fast || end.peak >= least;
        let target = if fast { format!(">= {least}") } else { "-".into() };
        report.exact(&format!("{name}: parked instances"), &end.peak.to_string(), &target, enough);
        let right = trial.exit == 0 && end.leaked_bytes == Some(0) && end.errors == 0;
        let verified = end.calls >= u64::from(end.peak) && end.predicted_peak == Some(end.peak);
        let value = format!("{} of {}", end.calls - end.errors, end.calls);
        report.exact(
            &format!("{name}: calls verified"),
            &value,
            "all, each instance",
            right && verified,
        );
        let value = format!(
            "{} = {} + {} + {}",
            park.instance_bytes,
            park.budget_bytes,
            park.judge_bytes,
            park.instance_bytes.0 - park.budget_bytes.0 - park.judge_bytes.0
        );
        let fixed = park.parked_max_bytes == park.budget_bytes;
        let bookkeeping = park.instance_bytes.0 - park.budget_bytes.0;
        let target = if fixed { "<= 8 beside the state" } else { "-" };
        let figure = format!("{name}: bytes = state + judge + store");
        report.exact(&figure, &value, target, !fixed || bookkeeping <= 8);
        let value = format!(
            "{} {} {}",
            park.parked_p50_bytes, park.parked_p99_bytes, park.parked_max_bytes
        );
        report.row(&format!("{name}: a parked state, p50 p99 max"), &value, "-", "");
        if let (Some(mean), Some(most)) = (park.dirty_mean_bytes, park.dirty_max_bytes) {
            report.row(
                &format!("{name}: dirty bytes a call, mean max"),
                &format!("{mean} {most}"),
                "-",
                "",
            );
        }
        let call = micros(steps(&trial).last().and_then(|step| step.latency_p50_us));
        let (park_us, revive_us) = (micros(park.park_p50_us), micros(park.revive_p50_us));
        let value = format!("{park_us:.2} + {revive_us:.2} us");
        report.row(&format!("{name}: to park + to revive"), &value, "-", "");
        let share = 100.0 * (park_us + revive_us) / call;
        let value = format!("{share:.2} % of {call:.1} us");
        let target = if name == "cpu" { "<= 2 %" } else { "-" };
        report.speed(
            &format!("{name}: that by a call"),
            &value,
            target,
            name != "cpu" || share <= 2.0,
        );
        if name == "cpu" {
            linear(report, &steps(&trial));
        }
    }
}

/// The time of the last quarter of the climb over that of the first.
fn linear(report: &Report, steps: &[Step<'_>]) {
    let Some(peak) = steps.last().map(|step| step.instances) else { return };
    let at = |instances: u32| {
        let step = steps.iter().find(|step| step.instances >= instances);
        step.and_then(|step| Some(step.uptime_ms? as f64 / f64::from(step.instances.max(1))))
            .unwrap_or(f64::NAN)
    };
    for share in [4, 2, 1] {
        let instances = peak / share;
        let figure = format!("cpu: climb to {instances}");
        let value = format!("{:.1} s", at(instances) * f64::from(instances) / 1e3);
        report.row(&figure, &value, "-", "");
    }
    let (early, late) = (at(peak / 4), at(peak));
    let value = format!("{early:.3} and {late:.3} ms");
    let figure = "cpu: climb by instance, to a quarter and all";
    report.speed(figure, &value, "<= 1.2 times", late <= 1.2 * early);
}

/// A hundredth of the instances gets 99 of 100 calls: as fast as a pool in which all live?
fn hot(report: &mut Report) {
    const ROUNDS: u32 = 5;
    for (name, live) in [("cpu", 8), ("state", 8)] {
        let base = Config { dwell_ms: 1_500, step: 1 << 16, ..Config::DENSE };
        let park = Mode::Park(Park { hot: true, live, ..KNOBS });
        // In less arena: the climb alone would take longer than what is measured.
        let arena = if name == "cpu" { Bytes(base.arena.0 / 2) } else { base.arena };
        let park = Config { mode: park, arena, ..base };
        let mut ratios = vec![];
        for round in 1..=ROUNDS {
            let of = |config| {
                let trial = Trial::run(config, &built_in(&[name]));
                (trial.exit, trial.rate())
            };
            let ((exit, parked), (_, pool)): ((u32, Rate), (u32, Rate)) = (of(park), of(base));
            if exit != 0 {
                report.exact(&format!("{name}: exit status"), &exit.to_string(), "0", false);
            }
            let value = format!("{:.0} and {:.0}", parked.by_cpu(), pool.by_cpu());
            let figure = format!(
                "{name}, round {round}: {} parked, {} in a pool",
                parked.instances, pool.instances
            );
            report.row(&figure, &value, "-", "");
            ratios.push(parked.by_cpu() / pool.by_cpu());
        }
        let ratio = median(ratios);
        let figure = format!("{name}: hot set over pool, calls a CPU second");
        report.speed(&figure, &format!("{ratio:.3}"), ">= 0.95", ratio >= 0.95);
    }
}
