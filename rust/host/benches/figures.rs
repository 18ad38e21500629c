//! Measures the figures that the project promises, and prints them in a table.
//!
//! Run it with `scripts/bench` or `cargo bench -p wramp-host --bench figures`. The benchmark
//! fails if a peak, a leak or a result is wrong, and never because this machine is slow or busy.
//! It marks a figure that misses its target, and prints the load of the machine above the table.

mod bare;
mod trial;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use bare::Bare;
use trial::{NOTHING, Rate, Report, Trial, built_in, median};
use wramp_arena::Arena as _;
use wramp_core::config::Config;
use wramp_core::measure::{ALL_BUCKETS, Bytes, Counts, Tally};
use wramp_core::ramp::Limit;
use wramp_core::report::Record;
use wramp_core::runtime::{ModuleBytes, Parameters, Runtime};
use wramp_host::arena::Region;
use wramp_host::clock::Clock;
use wramp_wamr::Engine;
use wramp_workloads::State;

const STACK: Bytes = Bytes(4096);

fn main() -> ExitCode {
    if !trial::is_bench() {
        return ExitCode::SUCCESS;
    }
    let Some(parts) = trial::wanted(&["overhead", "cycles", "scaling", "published"]) else {
        return ExitCode::from(2);
    };
    let wanted = |part: &str| parts.contains(&part);
    let mut report = Report::open();
    if wanted("overhead") {
        // This runs on a thread, as in a slot. On the main thread glibc finds the bounds of the
        // stack in /proc/self/maps, which would slow down a WAMR that asks at every call.
        std::thread::scope(|scope| scope.spawn(|| overhead(&report)).join().unwrap());
    }
    if wanted("cycles") {
        cycles(&mut report);
    }
    if wanted("scaling") {
        scaling(&mut report);
    }
    if wanted("published") {
        published(&mut report);
    }
    report.exit()
}

/// Measures the default run: peaks, limits, leaks, errors, predictions and time.
fn published(report: &mut Report) {
    let began = Instant::now();
    let trial = Trial::run(Config::PUBLISHED, &built_in(&["cpu", "mem", "msg"]));
    let took = began.elapsed();
    let expected = [("cpu", 24, Limit::Slots), ("mem", 2, Limit::Arena), ("msg", 2, Limit::Arena)];
    let mut seen = 0;
    for record in trial.records() {
        let Record::End(end) = record else { continue };
        let Some(&(name, peak, limit)) = expected.get(seen) else { break };
        seen += 1;
        let said = format!("{name}: peak, limit, leaked, errors");
        let leaked = end.leaked_bytes.map_or("-".into(), |bytes| bytes.to_string());
        let value = format!("{} {} {leaked} {}", end.peak, end.limit, end.errors);
        let target = format!("{peak} {limit} 0 0");
        report.exact(&said, &value, &target, value == target && end.workload.0 == name);
        let predicted = end.predicted_peak.zip(end.predicted_limit);
        let value = predicted.map_or("-".into(), |(peak, limit)| format!("{peak} {limit}"));
        let measured = format!("{} {}", end.peak, end.limit);
        report.exact(&format!("{name}: predicted"), &value, &measured, value == measured);
    }
    report.exact("default run: ramps", &seen.to_string(), "3", seen == expected.len());
    report.exact("default run: exit status", &trial.exit.to_string(), "0", trial.exit == 0);
    let seconds = took.as_secs_f64();
    report.speed("default run: time", &format!("{seconds:.1} s"), "< 60 s", seconds < 60.0);
}

/// Measures what wramp's loop adds to a bare `wasm_runtime_call_wasm`.
///
/// Both take turns, so that both see the same load, and medians are compared. On `cpu` the
/// difference is smaller than the noise of a shared machine. So it is also measured with a
/// guest that does nothing, where it is most of the call, and divided by the time of a `cpu`
/// call.
fn overhead(report: &Report) {
    let cpu = wramp_workloads::find("cpu").unwrap();
    let (bare, ours) = paired(cpu.wasm, cpu.reference, 1, 1001);
    let percent = 100.0 * (ours - bare) / bare;
    report.speed(
        "loop over a bare call, cpu, paired medians",
        &format!("{percent:.2} % of {:.1} us", bare / 1e3),
        "< 1 %",
        percent < 1.0,
    );
    let (nothing_bare, nothing_ours) = paired(NOTHING, |_| 7, 100, 3001);
    let nanos = nothing_ours - nothing_bare;
    let percent = 100.0 * nanos / bare;
    report.speed(
        "the same from an empty guest, by a cpu call",
        &format!("{percent:.3} % ({nanos:.0} ns + {nothing_bare:.0} ns)"),
        "< 1 %",
        percent < 1.0,
    );
    // This is outside the timed region, but takes time between two calls.
    let mut state = State::new(1);
    let mut times = Vec::new();
    for _ in 0..201 {
        let began = Instant::now();
        black_box((cpu.reference)(black_box(&mut state)));
        times.push(began.elapsed().as_secs_f64() * 1e9);
    }
    let percent = 100.0 * median(times) / bare;
    report.row("verifying a cpu result, beside the call", &format!("{percent:.2} %"), "-", "");
}

/// Median nanoseconds of a bare call and of a call in wramp's loop.
///
/// The loop is that of a thread of the bench: clock, call, clock, tally, dwell. Batches of both
/// take turns. Both check their results outside the timed region.
fn paired(
    wasm: &'static [u8],
    reference: fn(&mut State) -> i32,
    batch: u32,
    pairs: u32,
) -> (f64, f64) {
    let mut region = Region::new(Bytes(196_608)).unwrap();
    let arena = region.arena();
    let engine = Engine::new(&arena).unwrap();
    let mut bare = Bare::new(&engine, wasm, c"run", STACK.0);
    let module = engine.load(ModuleBytes::Static(wasm)).unwrap();
    let mut instance = engine.instantiate(&module, "run", Parameters::None, STACK).unwrap();
    let mut stack = engine.stack(&module, &instance, STACK).unwrap();

    let clock = Clock::new(1);
    let tally = Counts::<AtomicU32, ALL_BUCKETS>::NEW;
    let dwell = AtomicU32::new(0);
    let (mut of_bare, mut of_ours) = (State::new(1), State::new(1));
    let (mut bare_times, mut our_times) = (Vec::new(), Vec::new());
    let mut results = Vec::with_capacity(batch as usize);
    for pair in 0..pairs {
        // The order within a pair affects the cache, so it alternates too.
        for turn in [pair % 2, (pair + 1) % 2] {
            results.clear();
            let began = Instant::now();
            if turn == 0 {
                for _ in 0..batch {
                    results.push(bare.call(0, 0));
                }
            } else {
                for _ in 0..batch {
                    let began = clock.now();
                    let mark = clock.now();
                    let result = engine.call(&mut stack, &mut instance, 0, None);
                    let took = clock.now().saturating_sub(mark);
                    let whole = clock.now().saturating_sub(began);
                    let took = if whole.0 >> 31 == 0 { took } else { whole };
                    let number = dwell.load(std::sync::atomic::Ordering::Relaxed);
                    tally.record(took, 0, number);
                    results.push(result.ok());
                }
            }
            let nanos = began.elapsed().as_secs_f64() * 1e9 / f64::from(batch);
            let (times, state) = match turn {
                0 => (&mut bare_times, &mut of_bare),
                _ => (&mut our_times, &mut of_ours),
            };
            times.push(nanos);
            assert!(results.iter().all(|result| *result == Some(reference(state))));
        }
    }
    (median(bare_times), median(our_times))
}

/// Starts and ends 10,000 instances of `cpu`, and checks what they leave in the arena.
fn cycles(report: &mut Report) {
    let cpu = wramp_workloads::find("cpu").unwrap();
    let mut region = Region::new(Bytes(196_608)).unwrap();
    let arena = region.arena();
    let engine = Engine::new(&arena).unwrap();
    let before = arena.stats();
    let mut wrong = 0;
    let began = Instant::now();
    for _ in 0..10_000 {
        let module = engine.load(ModuleBytes::Static(cpu.wasm)).unwrap();
        let mut instance = engine.instantiate(&module, "run", Parameters::None, STACK).unwrap();
        let mut stack = engine.stack(&module, &instance, STACK).unwrap();
        let result = engine.call(&mut stack, &mut instance, 0, None);
        wrong += u32::from(result != Ok((cpu.reference)(&mut State::new(1))));
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = arena.stats();
    let leaked = i64::from(before.free.0) - i64::from(after.free.0);
    report.exact(
        "10,000 lives of cpu: bytes left, wrong results",
        &format!("{leaked} {wrong} in {seconds:.1} s"),
        "0 0",
        leaked == 0
            && wrong == 0
            && before.blocks == after.blocks
            && before.largest == after.largest,
    );
}

/// Calls a second at 24 instances against those at one instance times the cores, and how
/// fairly they are shared; both without a pause. Medians of runs that take turns.
///
/// Whatever else runs on the machine takes from 24 threads what it does not take from one.
/// Hence the same by the CPU time that we got: what threads, switches and caches cost us.
fn scaling(report: &mut Report) {
    let cores = trial::cores();
    let base = Config { pause_ms: 0, settle_ms: 200, dwell_ms: 2500, ..Config::PUBLISHED };
    let (mut ratios, mut by_cpu, mut fair, mut idle) = (vec![], vec![], vec![], vec![]);
    for _ in 0..3 {
        let one = rate(report, Config { slots: 1, ..base });
        let many = rate(report, Config { step: 24, ..base });
        ratios.push(many.calls / (one.calls * cores as f64));
        by_cpu.push(many.by_cpu() / one.by_cpu());
        fair.push(many.fairness);
        idle.push(many.cpus);
    }
    let (ratio, by_cpu, fairness) = (median(ratios), median(by_cpu), median(fair));
    report.speed(
        &format!("cpu, calls/s at 24 over {cores} x those at 1"),
        &format!("{ratio:.3} (had {:.2} cores)", median(idle)),
        ">= 0.97",
        ratio >= 0.97,
    );
    let said = "the same by CPU second";
    report.speed(said, &format!("{by_cpu:.3}"), ">= 0.97", by_cpu >= 0.97);
    report.speed("cpu, fairness at 24", &format!("{fairness:.4}"), ">= 0.99", fairness >= 0.99);
}

fn rate(report: &mut Report, config: Config) -> Rate {
    let trial = Trial::run(config, &built_in(&["cpu"]));
    if trial.exit != 0 {
        report.exact("cpu without a pause: exit status", &trial.exit.to_string(), "0", false);
    }
    trial.rate()
}
