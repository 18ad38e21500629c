//! Words that cross a boundary: distinct, and valid in a record as they are.

use proptest::prelude::*;
use wramp_core::config::{Config, Knob, MIN_ARENA_BYTES, MIN_WASM_STACK_BYTES, Mode, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::ramp::Limit;
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
    let kinds: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    distinct_and_unbent(&kinds);
    distinct_and_unbent(
        &[Scenario::All, Scenario::Mixed, Scenario::Private, Scenario::Pinned, Scenario::Mix]
            .map(Scenario::as_str),
    );
    distinct_and_unbent(
        &[Mode::Threads, Mode::Pool { workers: 1 }, Mode::Cooperative].map(Mode::as_str),
    );
    let limits = [Limit::Slots, Limit::Arena, Limit::Slo, Limit::Error, Limit::Interrupted];
    distinct_and_unbent(&limits.map(Limit::as_str));
    assert_eq!(limits.map(|limit| Limit::parse(limit.as_str())), limits.map(Some));
    for names in [Knob::option, Knob::symbol] {
        let names: Vec<_> = Knob::ALL.iter().filter_map(|&knob| names(knob)).collect();
        distinct_and_unbent(&names);
    }
}

/// Every knob has a place to turn it: the command line, or a board's configuration.
#[test]
fn every_knob_is_listed_once_and_can_be_turned() {
    for (place, &knob) in Knob::ALL.iter().enumerate() {
        assert_eq!(Knob::ALL.iter().position(|&other| other == knob), Some(place));
        assert!(knob.option().is_some() || knob.symbol().is_some(), "{knob:?}");
        assert!(knob.option().is_none_or(|option| option.starts_with("--")), "{knob:?}");
        assert!(knob.symbol().is_none_or(|symbol| symbol.starts_with("CONFIG_")), "{knob:?}");
    }
    assert_eq!(Knob::Residents.option(), None, "a table of that size is part of the program");
}

/// A seat keeps the kind of an error as a number.
#[test]
fn a_kind_of_error_is_its_number_and_back() {
    assert_eq!(ErrorKind::OutOfMemory as u8, 0);
    for (number, &kind) in (0..).zip(ErrorKind::ALL) {
        assert_eq!((kind as u8, ErrorKind::from_u8(number)), (number, Some(kind)));
    }
    let beyond = u8::try_from(ErrorKind::ALL.len()).unwrap();
    assert!((beyond..=u8::MAX).all(|number| ErrorKind::from_u8(number).is_none()));
    assert!(ErrorKind::ALL.contains(&ErrorKind::Stuck));
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
        (Config { slots: 0, mode: Mode::Pool { workers: 1 }, ..right }, (Knob::Slots, 1)),
        (Config { dwell_ms: 0, ..right }, (Knob::Dwell, 1)),
        (Config { stuck_ms: Some(0), ..right }, (Knob::Stuck, 1)),
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
    // A machine without threads needs no slot.
    assert_eq!(Config { slots: 0, mode: Mode::Cooperative, ..least }.check(), Ok(()));
    assert_eq!(Config { stuck_ms: None, ..least }.check(), Ok(()), "it waits for ever");
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_message_keeps_whole_characters_up_to_a_nul(text in bytes()) {
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        let mut kept = String::new();
        for chunk in text[..end].utf8_chunks() {
            let invalid = if chunk.invalid().is_empty() { "" } else { "?" };
            kept += &format!("{}{invalid}", chunk.valid());
        }
        let length = (0..=kept.len().min(MESSAGE_BYTES)).rfind(|&at| kept.is_char_boundary(at));
        kept.truncate(length.unwrap());
        let message = Message::from_bytes(&text);
        prop_assert_eq!(message.as_str(), &kept);
        prop_assert_eq!(message.to_string(), kept.as_str());
        // A message that was kept once stays as it is.
        prop_assert_eq!(Message::new(&kept), message);
        let error = Error { kind: ErrorKind::Engine, message };
        prop_assert_eq!(error.to_string(), kept);
    }
}

/// Bytes that are text, bytes that are not, and a mixture.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::collection::vec(any::<char>(), 0..MESSAGE_BYTES)
        .prop_map(|chars| chars.into_iter().collect::<String>().into_bytes());
    let any_bytes = prop::collection::vec(any::<u8>(), 0..2 * MESSAGE_BYTES);
    let few_bytes = prop::collection::vec(1_u8..=255, 0..8);
    let long = (MESSAGE_BYTES - 6..MESSAGE_BYTES, few_bytes.clone())
        .prop_map(|(length, end)| [vec![b'x'; length], end].concat());
    prop_oneof![
        any_bytes,
        text.clone(),
        long,
        (text, few_bytes).prop_map(|(text, end)| [text, end].concat()),
    ]
}
