//! The first instance predicts the peak exactly, in many geometries.

mod common;

use common::{QUICK, built_in, run};
use wramp_arena::UNIT;
use wramp_core::config::{Config, Scenario};
use wramp_core::measure::Bytes;

/// Runs one geometry and reports how the prediction was wrong.
fn miss(config: Config, names: &[&str]) -> Option<String> {
    let log = run(config, &built_in(names));
    log.right();
    let end = log.end();
    let predicted = end.predicted_peak.zip(end.predicted_limit);
    (predicted != Some((end.peak, end.limit))).then(|| {
        format!(
            "{names:?} arena {} stack {} slots {} {:?}: {:?} {} instead of {:?}\n{}",
            config.arena,
            config.wasm_stack,
            config.slots,
            config.scenario,
            end.peak,
            end.limit,
            predicted,
            log.lines[1..].join("\n")
        )
    })
}

#[test]
fn exact_in_every_geometry() {
    let (mut tried, mut misses) = (0, Vec::new());
    let mut run = |config: Config, names: &[&str]| {
        tried += 1;
        misses.extend(miss(config, names));
    };
    let base = Config { dwell_ms: 1, pause_ms: 0, ..QUICK };
    // Arenas of odd sizes. What is left over at the peak is different in each.
    for (n, arena) in [40_000, 65_536, 77_777, 98_304, 131_072, 196_608].into_iter().enumerate() {
        for (k, wasm_stack) in [1_000, 4_096, 10_000].into_iter().enumerate() {
            let slots = [24, 7, 33][(n + k) % 3];
            let config =
                Config { arena: Bytes(arena), wasm_stack: Bytes(wasm_stack), slots, ..base };
            run(config, &[["cpu", "isolation", "checksum"][(n + 2 * k) % 3]]);
            run(config, &[["fib", "state", "popcount"][(n + k) % 3]]);
        }
    }
    // Whole pages. Few fit, and each needs one piece of 64 KiB.
    for arena in [80_000, 147_456, 160_000, 196_608, 262_144, 300_000, 333_333, 524_288] {
        for wasm_stack in [1_000, 4_096] {
            let config = Config { arena: Bytes(arena), wasm_stack: Bytes(wasm_stack), ..base };
            run(config, &["mem"]);
            run(Config { scenario: Scenario::Private, ..config }, &["msg"]);
        }
    }
    for arena in [48 * 1024, 96 * 1024, 196_608] {
        let config = Config { arena: Bytes(arena), scenario: Scenario::Mixed, slots: 40, ..base };
        run(config, &wramp_workloads::MIXED);
        run(Config { scenario: Scenario::Private, ..config }, &["state"]);
    }
    assert!(tried >= 40);
    assert!(misses.is_empty(), "{} of {tried}:\n{}", misses.len(), misses.join("\n\n"));
}

/// What is left over at the peak takes every value that it can have, so the last instance meets
/// holes of every size. No prediction is wrong, because a prediction tries what it says.
#[test]
fn exact_whatever_is_left_over() {
    // A debug build tries every seventh value, which is coprime to the sizes of blocks.
    let step = if cfg!(debug_assertions) { 7 * UNIT } else { UNIT };
    let (mut tried, mut misses) = (0, Vec::new());
    for (name, from, to) in
        [("cpu", 18_000, 25_000), ("isolation", 22_000, 31_500), ("mem", 140_000, 150_000)]
    {
        for arena in (from..to).step_by(step) {
            for scenario in [Scenario::All, Scenario::Private] {
                let arena = Bytes(arena);
                let config =
                    Config { scenario, arena, slots: 4, dwell_ms: 1, pause_ms: 0, ..QUICK };
                tried += 1;
                misses.extend(miss(config, &[name]));
            }
        }
    }
    println!("{} of {tried} wrong", misses.len());
    assert!(misses.is_empty(), "{} of {tried}:\n{}", misses.len(), misses.join("\n\n"));
}

/// The same with five modules side by side. Their last set is partial, and each module's
/// instance meets the holes that another one left.
#[test]
fn exact_in_mixed_ramps_of_every_arena() {
    let step = if cfg!(debug_assertions) { 331 } else { 31 };
    let (mut tried, mut misses) = (0, Vec::new());
    // At least one set must fit, because a prediction needs one instance of each module.
    for arena in (60_000..80_000).step_by(step * UNIT) {
        for wasm_stack in [1_000, 4_096] {
            let config = Config {
                arena: Bytes(arena),
                scenario: Scenario::Mixed,
                wasm_stack: Bytes(wasm_stack),
                slots: 40,
                dwell_ms: 1,
                pause_ms: 0,
                ..QUICK
            };
            tried += 1;
            misses.extend(miss(config, &wramp_workloads::MIXED));
        }
    }
    assert!(misses.is_empty(), "{} of {tried}:\n{}", misses.len(), misses.join("\n\n"));
}
