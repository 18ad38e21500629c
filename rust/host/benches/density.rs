//! Measures how many instances fit, and what a pool costs in speed.
//!
//! Run it with `scripts/bench density` or `cargo bench -p wramp-host --bench density`. A build
//! has one interpreter, which `WRAMP_INTERPRETER` chooses. The benchmark fails if a result, a
//! leak or a prediction is wrong, and never because this machine is slow.

mod trial;

use std::process::ExitCode;

use trial::{NOTHING, Rate, Report, Trial, built_in, median};
use wramp_bench::{Check, Count, Guest};
use wramp_core::config::{Config, DENSE_WORKERS, Mode};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ModuleBytes, Parameters};

/// A pool is compared with as many threads as the published geometry has.
const THREADS: u32 = Config::PUBLISHED.slots;
/// Arena and stacks together, the same in both presets.
const BUDGET: u32 = Config::PUBLISHED.arena.0 + THREADS * Config::PUBLISHED.slot_stack.0;
/// More instances than any ramp here reaches, so each ramp has one step, at its peak.
const AT_ONCE: u32 = 1 << 16;

fn main() -> ExitCode {
    if !trial::is_bench() {
        return ExitCode::SUCCESS;
    }
    let Some(parts) = trial::wanted(&["peaks", "throughput", "call"]) else {
        return ExitCode::from(2);
    };
    let mut report = Report::open();
    for part in parts {
        match part {
            "peaks" => peaks(&mut report),
            "throughput" => ["cpu", "state"].iter().for_each(|name| throughput(&mut report, name)),
            _ => call(&mut report),
        }
    }
    report.exit()
}

/// Measures each workload in both presets: its peak, its limit and the bytes of an instance.
///
/// The steps are short, because neither a peak nor a byte depends on how long a step is held.
fn peaks(report: &mut Report) {
    for workload in wramp_workloads::ALL {
        for (preset, config) in [("published", Config::PUBLISHED), ("dense", Config::DENSE)] {
            let figure = format!("{}, {preset}: peak, limit, bytes of one", workload.name);
            let config =
                Config { step: AT_ONCE, settle_ms: 0, dwell_ms: 20, pause_ms: 0, ..config };
            let trial = Trial::run(config, &[Guest::from(workload)]);
            let Some(end) = trial.end() else {
                report.exact(&figure, "nothing ran", "a peak", false);
                continue;
            };
            let cost = end.cost_bytes.map_or("-".into(), |bytes| bytes.to_string());
            let value = format!("{} {} {cost}", end.peak, end.limit);
            let predicted = end.predicted_peak.zip(end.predicted_limit);
            let target =
                predicted.map_or("-".into(), |(peak, limit)| format!("predicted: {peak} {limit}"));
            let exact = predicted == Some((end.peak, end.limit));
            report.exact(&figure, &value, &target, exact && trial.exit == 0);
        }
    }
}

/// Divides the calls a second of a pool at its dense peak by those of 24 threads in the same
/// bytes. Both have fitted stacks and no pauses, and they run in turns.
fn throughput(report: &mut Report, name: &str) {
    const ROUNDS: u32 = 5;
    let pace = |config| Config { dwell_ms: 1500, pause_ms: 0, step: AT_ONCE, ..config };
    let pool = pace(Config::DENSE);
    let threads = pace(Config {
        arena: Bytes(BUDGET - THREADS * pool.slot_stack.0),
        slots: THREADS,
        mode: Mode::Threads,
        ..Config::DENSE
    });
    let (mut ratios, mut by_cpu) = (vec![], vec![]);
    for round in 1..=ROUNDS {
        let resident = verified(report, pool, name);
        let threaded = verified(report, threads, name);
        ratios.push(resident.calls / threaded.calls);
        by_cpu.push(resident.by_cpu() / threaded.by_cpu());
        let said = |what: &str, rate: &Rate| {
            let figure = format!("{name}, round {round}: calls/s of {} {what}", rate.instances);
            report.row(&figure, &format!("{:.0} ({:.2} cores)", rate.calls, rate.cpus), "-", "");
        };
        said(&format!("in {DENSE_WORKERS} workers"), &resident);
        said("threads", &threaded);
    }
    let value = spread(&ratios);
    let ratio = median(ratios);
    report.speed(&format!("{name}: calls/s, pool over threads"), &value, ">= 0.95", ratio >= 0.95);
    let value = spread(&by_cpu);
    let ratio = median(by_cpu);
    report.speed(&format!("{name}: the same by CPU second"), &value, ">= 0.95", ratio >= 0.95);
}

/// The last step of a run. Reports any wrong result.
fn verified(report: &mut Report, config: Config, name: &str) -> Rate {
    let trial = Trial::run(config, &built_in(&[name]));
    if trial.exit != 0 {
        report.exact(&format!("{name}: exit status"), &trial.exit.to_string(), "0", false);
    }
    trial.rate()
}

/// The median and the range: `0.987 (0.951 to 1.013)`.
fn spread(ratios: &[f64]) -> String {
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    format!("{:.3} ({least:.3} to {most:.3})", median(ratios.to_vec()))
}

/// Compares a call of one worker with one resident to a call of one thread with one instance.
///
/// The pool locks its queue twice and records a second histogram. The whole loop counts, not
/// only the call. The figures are CPU time, which other processes do not affect.
fn call(report: &mut Report) {
    const ROUNDS: u32 = 15;
    let nothing = Guest {
        name: "nothing",
        module: ModuleBytes::Static(NOTHING),
        export: "run",
        parameters: Parameters::None,
        check: Check::Reference { next: |_| 7, varies: false },
        count: Count::Most,
        budget: None,
    };
    let base = Config { slots: 1, settle_ms: 0, dwell_ms: 200, pause_ms: 0, ..Config::PUBLISHED };
    let pool = Config { mode: Mode::Pool { workers: 1 }, ..base };
    let mut nanos_of_cpu = None;
    for guest in [built_in(&["cpu"])[0], nothing] {
        let mut nanos = |config| {
            let trial = Trial::of_residents(1, config, &[guest]);
            if trial.exit != 0 {
                let figure = format!("{}: exit status", guest.name);
                report.exact(&figure, &trial.exit.to_string(), "0", false);
            }
            1e9 / trial.rate().by_cpu()
        };
        let (mut in_thread, mut in_pool) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            in_thread.push(nanos(base));
            in_pool.push(nanos(pool));
        }
        let (in_thread, in_pool) = (median(in_thread), median(in_pool));
        let name = guest.name;
        let micros = |nanos: f64| format!("{:.3} us", nanos / 1e3);
        report.row(&format!("{name}: a call on a thread"), &micros(in_thread), "-", "");
        report.row(&format!("{name}: a call in a pool"), &micros(in_pool), "-", "");
        let more = in_pool - in_thread;
        let value = format!("{:.3} ({more:+.0} ns)", in_pool / in_thread);
        report.row(&format!("{name}: pool over thread"), &value, "-", "");
        // On `cpu` the difference is smaller than the variation of a call.
        let cpu = *nanos_of_cpu.get_or_insert(in_thread);
        if name == nothing.name {
            let value = format!("{:.2} %", 100.0 * more / cpu);
            report.row("what a pool adds, by a cpu call", &value, "-", "");
        }
    }
}
