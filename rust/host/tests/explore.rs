//! explore
mod common;
use common::{QUICK, built_in, run};
use wramp_core::config::{Config, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::ramp::{Demand, predict};

#[test]
#[ignore]
fn explore() {
    let (mut n, mut a, mut b, mut differ) = (0, 0, 0, 0);
    for (name, from, to) in
        [("cpu", 18_000, 25_000), ("isolation", 22_000, 31_500), ("mem", 140_000, 150_000), ("msg", 212_000, 225_000), ("state", 30_000, 40_000), ("checksum", 45_000, 55_000)]
    {
        for arena in (from..to).step_by(16) {
          for scenario in [Scenario::All, Scenario::Private] {
            let config = Config { arena: Bytes(arena), slots: 6, dwell_ms: 1, pause_ms: 0, scenario, ..QUICK };
            let log = run(config, &built_in(&[name]));
            let end = log.end();
            let p = log.predictions()[0];
            let first = log.steps()[0];
            let tail = Bytes(first.arena_largest_bytes.0 + 8);
            let d = Demand { cost: p.cost_bytes, need: p.need_bytes };
            let pa = predict(p.arena_free_bytes, d, 6).peak;
            let pb = predict(tail, d, 6).peak;
            n += 1;
            let m = end.peak;
            a += u32::from(pa != m);
            b += u32::from(pb != m);
            if pa != pb { differ += 1; println!("{name} {arena} {scenario:?} free {} tail {} cost {} need {}: free says {pa}, tail says {pb}, measured {m}", p.arena_free_bytes, tail, d.cost, d.need); }
            else if pa != m { println!("{name} {arena} BOTH WRONG {pa} {m}"); }
          }
        }
    }
    println!("TOTAL {n} free wrong {a} tail wrong {b} differ {differ}");
}
