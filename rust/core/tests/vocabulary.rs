//! Words that cross a boundary: distinct, and fit for a record as they are.

use proptest::prelude::*;
use wramp_core::config::{Config, Knob, MIN_ARENA_BYTES, MIN_WASM_STACK_BYTES, Mode, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::report::Word;
use wramp_core::runtime::{Error, ErrorKind, MESSAGE_BYTES, Message};

fn cases(cases: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 4 } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn distinct_and_unbent(words: &[&str]) {
    for (n, word) in words.iter().enumerate() {
        assert_eq!(Word(word).to_string(), *word);
        assert!(!words[..n].contains(word), "{word} stands for two");
    }
}

#[test]
fn every_word_stands_for_one_thing() {
    distinct_and_unbent(
        &[
            ErrorKind::OutOfMemory,
            ErrorKind::Malformed,
            ErrorKind::Import,
            ErrorKind::NoExport,
            ErrorKind::Signature,
            ErrorKind::Trap,
            ErrorKind::WasmStack,
            ErrorKind::NativeStack,
            ErrorKind::Budget,
            ErrorKind::WrongModule,
            ErrorKind::Engine,
            ErrorKind::WrongResult,
        ]
        .map(ErrorKind::as_str),
    );
    distinct_and_unbent(
        &[Scenario::All, Scenario::Mixed, Scenario::Private, Scenario::Pinned]
            .map(Scenario::as_str),
    );
    let knobs = [
        Knob::Arena,
        Knob::Slots,
        Knob::SlotStack,
        Knob::WasmStack,
        Knob::Step,
        Knob::Workload,
        Knob::Module,
        Knob::Export,
        Knob::Workers,
        Knob::Pin,
    ];
    distinct_and_unbent(&knobs.map(Knob::option));
    distinct_and_unbent(&knobs.map(Knob::symbol));
}

#[test]
fn a_refusal_names_the_knob_and_the_least_it_must_be() {
    let right = Config::PUBLISHED;
    assert_eq!(right.check(), Ok(()));
    for (wrong, refusal) in [
        (Config { slots: 0, ..right }, (Knob::Slots, 1)),
        (Config { step: 0, ..right }, (Knob::Step, 1)),
        (Config { arena: Bytes(MIN_ARENA_BYTES - 1), ..right }, (Knob::Arena, MIN_ARENA_BYTES)),
        (
            Config { wasm_stack: Bytes(MIN_WASM_STACK_BYTES - 1), ..right },
            (Knob::WasmStack, MIN_WASM_STACK_BYTES),
        ),
        (Config { mode: Mode::Pool { workers: 0 }, ..right }, (Knob::Workers, 1)),
    ] {
        assert_eq!(wrong.check(), Err(refusal));
    }
    let least = Config {
        slots: 1,
        arena: Bytes(MIN_ARENA_BYTES),
        wasm_stack: Bytes(MIN_WASM_STACK_BYTES),
        mode: Mode::Pool { workers: 1 },
        ..right
    };
    assert_eq!(least.check(), Ok(()));
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_message_keeps_what_is_printable_up_to_a_nul(
        text in prop::collection::vec(any::<u8>(), 0..2 * MESSAGE_BYTES),
    ) {
        let kept: String = text
            .iter()
            .take_while(|&&byte| byte != 0)
            .take(MESSAGE_BYTES)
            .map(|&byte| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '?' })
            .collect();
        let message = Message::from_bytes(&text);
        prop_assert_eq!(message.as_str(), &kept);
        prop_assert_eq!(message.to_string(), kept.as_str());
        // Once kept, it is kept as it is.
        prop_assert_eq!(Message::new(&kept), message);
        let error = Error { kind: ErrorKind::Engine, message };
        prop_assert_eq!(error.to_string(), kept);
    }
}
