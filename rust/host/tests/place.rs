//! What `place` says of a mix is what a run of it comes to, to the byte.

mod common;

use common::{QUICK, Wamr, run, turn};
use wramp_bench::{Count, Guest};
use wramp_core::config::{Config, Mode, Scenario};
use wramp_core::measure::Bytes;
use wramp_host::place::{Placed, place};

fn placed(config: &Config, guests: &[Guest<'_>], most: u32) -> Placed {
    let _turn = turn();
    let stacks = vec![config.wasm_stack; guests.len()];
    place::<Wamr>(config.arena, guests, &stacks, config.mode, most, None).unwrap()
}

/// SplitMix64: a mix is the same in every run of the test.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % u64::from(most)) as u32
    }
}

fn mix(dice: &mut Dice) -> Vec<Guest<'static>> {
    let mut guests: Vec<Guest<'static>> = Vec::new();
    for _ in 0..=dice.below(3) {
        let workload =
            &wramp_workloads::ALL[dice.below(wramp_workloads::ALL.len() as u32) as usize];
        if guests.iter().any(|guest| guest.name == workload.name) {
            continue;
        }
        let count = match dice.below(4) {
            0 => Count::Most,
            more => Count::Exactly(more),
        };
        guests.push(Guest { count, ..Guest::from(workload) });
    }
    guests
}

#[test]
fn a_random_mix_comes_to_what_place_says() {
    let mut dice = Dice(1);
    let mut by_arena = 0;
    for round in 0..25 {
        let guests = mix(&mut dice);
        let config = Config {
            arena: Bytes(16_384 + 8 * dice.below(16_384)),
            slots: 10,
            wasm_stack: Bytes(4096 << dice.below(2)),
            step: 10,
            dwell_ms: 1,
            scenario: Scenario::Mix,
            ..QUICK
        };
        let log = run(config, &guests);
        let expected = placed(&config, &guests, config.slots);
        let what = || format!("round {round}: {expected:?}\n{log}");
        if let Some(member) = log.members().first() {
            assert_eq!(member.workload.0, "mix", "{}", what());
        }
        let ran: Vec<_> = log.members().iter().map(|member| member.instances).collect();
        if expected.total() == 0 {
            // Such a run has a fault in place of figures.
            assert_eq!(log.summary.faults, 1, "{}", what());
            continue;
        }
        assert_eq!(ran, expected.instances, "{}", what());
        let costs: Vec<_> = log.members().iter().map(|member| member.cost_bytes).collect();
        assert_eq!(costs, expected.costs, "{}", what());
        let last = log.steps().last().map(|step| step.arena_free_bytes);
        assert_eq!(last, Some(expected.arena.free), "{}", what());
        by_arena += u32::from(expected.stopped.is_some());
    }
    assert!((5..20).contains(&by_arena), "both ends occur: {by_arena} by the arena");
}

#[test]
fn a_pool_comes_to_what_place_says() {
    for arena in [20_000, 30_008, 60_016] {
        let config = Config {
            arena: Bytes(arena),
            mode: Mode::Pool { workers: 2 },
            slots: 2,
            wasm_stack: Bytes(512),
            step: 50,
            dwell_ms: 1,
            ..QUICK
        };
        let guests = [Guest::from(wramp_workloads::find("cpu").unwrap())];
        let log = run(config, &guests);
        let expected = placed(&config, &guests, 2048);
        assert_eq!(log.end().peak, expected.total(), "{log}");
        let last = log.steps().last().map(|step| step.arena_free_bytes);
        assert_eq!(last, Some(expected.arena.free), "{expected:?}\n{log}");
    }
}
