//! Records and lines: what is written is read, and what was damaged is not.
//!
//! `golden/format-2.log` holds one line of each kind. Its CRCs come from another implementation
//! (Python's `binascii.crc_hqx(line, 0xFFFF)`). If that file must change for a test to pass,
//! the format has changed: see `FORMAT_VERSION`. `golden/format-1.log` is the same for the
//! previous format, which is still read.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use wramp_core::measure::{Bytes, Nanos, Ratio};
use wramp_core::ramp::Limit;
use wramp_core::report::{
    Answer, Done, End, FORMAT_VERSION, Fault, Fit, Instance, Kinds, Load, Mail, Member, OnHost,
    Only, Overdraft, PREFIX, Park, ParseError, Part, Plan, Predict, Record, RecordKind, Run, Start,
    Step, Text, Word, Worker, crc16,
};

const GOLDEN: &str = include_str!("golden/format-2.log");
const GOLDEN_1: &str = include_str!("golden/format-1.log");

fn cases(cases: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 4 } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A kind, its keys, and the keys that may be absent.
struct Kind {
    name: &'static str,
    keys: &'static [&'static str],
    optional: &'static [&'static str],
}

impl Kind {
    /// The keys that every build writes. These take a feature of the crate.
    fn keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        let of_a_host = ["overdraft_bytes", "load_permille", "starved_permille"];
        self.keys.iter().copied().filter(move |key| !of_a_host.contains(key))
    }
}

const KINDS: [Kind; 17] = [
    Kind {
        name: "run",
        keys: Run::KEYS,
        optional: &[
            "clock_hz",
            "interpreter_opt",
            "block_cache",
            "aot",
            "module_copy",
            "engine_fixes",
            "second_opinion",
            "load_permille",
            "starved_permille",
            "artefact",
            "shares_stack",
            "cc",
            "workers",
            "residents",
            "arena_unit_bytes",
            "arena_header_bytes",
            "arena_at",
            "heap_at",
            "slot_stack_real_bytes",
            "slot_stack_least_bytes",
            "stack_guard_bytes",
            "fit",
            "slice_ms",
            "stuck_ms",
            "slo_us",
        ],
    },
    Kind { name: "load", keys: Load::KEYS, optional: &["load_us"] },
    Kind { name: "predict", keys: Predict::KEYS, optional: &[] },
    Kind { name: "part", keys: Part::KEYS, optional: &[] },
    Kind { name: "worker", keys: Worker::KEYS, optional: &["stack_used_bytes"] },
    Kind {
        name: "step",
        keys: Step::KEYS,
        optional: &[
            "running",
            "start_us",
            "cpu_permille",
            "uptime_ms",
            "dwell_us",
            "latency_mean_us",
            "latency_min_us",
            "latency_p50_us",
            "latency_p99_us",
            "latency_max_us",
            "turnaround_p50_us",
            "turnaround_p99_us",
            "turnaround_max_us",
            "wake_p50_us",
            "wake_p99_us",
            "wake_max_us",
        ],
    },
    Kind {
        name: "instance",
        keys: Instance::KEYS,
        optional: &[
            "slot",
            "alive_ms",
            "latency_mean_us",
            "latency_min_us",
            "latency_p50_us",
            "latency_p99_us",
            "latency_max_us",
            "stack_used_bytes",
            "error",
            "message",
        ],
    },
    Kind {
        name: "end",
        keys: End::KEYS,
        optional: &[
            "predicted_peak",
            "predicted_limit",
            "cost_bytes",
            "arena_free_bytes",
            "leaked_bytes",
            "over_budget",
            "stack_used_bytes",
            "fairness",
            "error",
            "message",
        ],
    },
    Kind { name: "fault", keys: Fault::KEYS, optional: &["workload", "knob"] },
    Kind { name: "done", keys: Done::KEYS, optional: &["faults"] },
    Kind { name: "fit", keys: Fit::KEYS, optional: &[] },
    Kind { name: "plan", keys: Plan::KEYS, optional: &[] },
    Kind { name: "start", keys: Start::KEYS, optional: &["p50_us", "p99_us"] },
    Kind {
        name: "member",
        keys: Member::KEYS,
        optional: &[
            "asked",
            "cost_bytes",
            "budget",
            "over_budget",
            "latency_mean_us",
            "latency_min_us",
            "latency_p50_us",
            "latency_p99_us",
            "latency_max_us",
        ],
    },
    Kind { name: "answer", keys: Answer::KEYS, optional: &[] },
    Kind {
        name: "mail",
        keys: Mail::KEYS,
        optional: &["delivery_p50_us", "delivery_p99_us", "delivery_max_us"],
    },
    Kind {
        name: "park",
        keys: Park::KEYS,
        optional: &[
            "restored",
            "dirty_mean_bytes",
            "dirty_max_bytes",
            "revivals_per_s",
            "park_mean_us",
            "park_p50_us",
            "park_p99_us",
            "revive_mean_us",
            "revive_p50_us",
            "revive_p99_us",
        ],
    },
];

/// Kinds that the format before has. Later kinds follow them.
const KINDS_1: usize = 12;

/// Appends the CRC, as a writer of any version would.
fn seal(body: &str) -> String {
    format!("{body} crc={:04x}", body.bytes().fold(0xFFFF, crc16))
}

/// The line without its CRC.
fn body(line: &str) -> &str {
    line.rsplit_once(" crc=").unwrap().0
}

/// The value of a key, as it stands in the line.
fn value<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    line.split(' ')
        .skip(2)
        .filter_map(|word| word.split_once('='))
        .find(|w| w.0 == key)
        .map(|w| w.1)
}

fn is_record(line: &str) -> bool {
    matches!(Record::parse(line), Ok(Some(_)))
}

// Records from random ingredients. -----------------------------------------------

/// A record without its sentence, and the sentence as it stands in the line. A sentence that
/// was read is encoded, so it is not equal to the one that was written.
type Plain<'a> = (Record<'a>, Option<String>);

fn plain(record: Record<'_>) -> Plain<'_> {
    let wire = |text: Option<Text<'_>>| text.map(|text| text.to_string());
    match record {
        Record::Instance(one) => (Instance { message: None, ..one }.into(), wire(one.message)),
        Record::End(one) => (End { message: None, ..one }.into(), wire(one.message)),
        Record::Fault(one) => {
            (Fault { message: Text::new(""), ..one }.into(), wire(Some(one.message)))
        }
        other => (other, None),
    }
}

/// The record that a line holds.
fn read(line: &str) -> Result<Option<Plain<'_>>, ParseError<'_>> {
    Record::parse(line).map(|record| record.map(plain))
}

/// The values that fill fields. Each kind of ingredient is used again and again.
#[derive(Clone, Debug)]
struct Ingredients {
    words: Vec<String>,
    texts: Vec<String>,
    numbers: Vec<u64>,
    present: Vec<bool>,
}

struct Cook<'i> {
    from: &'i Ingredients,
    taken: usize,
}

impl<'i> Cook<'i> {
    fn take<T>(&mut self, of: &'i [T]) -> &'i T {
        self.taken += 1;
        &of[self.taken % of.len()]
    }
}

/// A field's value from the ingredients.
trait Cooked<'i>: Sized {
    fn cooked(cook: &mut Cook<'i>) -> Self;
}

impl<'i> Cooked<'i> for Word<'i> {
    fn cooked(cook: &mut Cook<'i>) -> Self {
        let word: &'i String = cook.take(&cook.from.words);
        Self(word)
    }
}

impl<'i> Cooked<'i> for Text<'i> {
    fn cooked(cook: &mut Cook<'i>) -> Self {
        let text: &'i String = cook.take(&cook.from.texts);
        Self::new(text)
    }
}

impl<'i, T: Cooked<'i>> Cooked<'i> for Option<T> {
    fn cooked(cook: &mut Cook<'i>) -> Self {
        let present = *cook.take(&cook.from.present);
        present.then(|| T::cooked(cook))
    }
}

macro_rules! cooked_from_numbers {
    ($($type:ty: $number:ident => $value:expr),* $(,)?) => {$(
        impl Cooked<'_> for $type {
            fn cooked(cook: &mut Cook<'_>) -> Self {
                let $number = *cook.take(&cook.from.numbers);
                $value
            }
        }
    )*};
}
/// The encoder leaves them out in most builds, so no test of the format has any.
macro_rules! cooked_empty {
    ($($type:ty),*) => {$(
        impl Cooked<'_> for $type {
            fn cooked(_: &mut Cook<'_>) -> Self {
                Self::default()
            }
        }
    )*};
}
cooked_empty!(OnHost, Overdraft);

cooked_from_numbers! {
    u32: n => n as u32,
    u64: n => n,
    i64: n => n as i64,
    Bytes: n => Bytes(n as u32),
    Nanos: n => Nanos(n),
    Ratio: n => Ratio(n as u32),
    Limit: n => [Limit::Slots, Limit::Arena, Limit::Slo, Limit::Error, Limit::Interrupted]
        [(n % 5) as usize],
}

/// A record of the kind with that number in [`KINDS`].
fn cooked(kind: usize, from: &Ingredients) -> Record<'_> {
    let mut cook = Cook { from, taken: 0 };
    macro_rules! record {
        ($name:ident: $($field:ident)*) => {
            $name { $( $field: Cooked::cooked(&mut cook), )* }.into()
        };
    }
    match KINDS[kind].name {
        "run" => {
            let record: Record<'_> = record!(Run: format wramp board os pointer_bits clock_hz cores
                runtime runtime_version interpreter interpreter_opt block_cache aot module_copy
                engine_fixes second_opinion load_permille starved_permille artefact shares_stack rustc cc scenario mode workers residents arena_bytes arena_unit_bytes
                arena_header_bytes arena_at heap_at slots slot_stack_bytes slot_stack_real_bytes
                slot_stack_least_bytes stack_guard_bytes wasm_stack_bytes fit step
                settle_ms dwell_ms pause_ms pin slice_ms budget stuck_ms slo_us);
            match record {
                Record::Run(run) => Run { format: FORMAT_VERSION, ..run }.into(),
                other => other,
            }
        }
        "load" => record!(Load: workload module_bytes arena_bytes arena_free_bytes load_us),
        "predict" => {
            record!(Predict: workload peak limit cost_bytes need_bytes arena_free_bytes)
        }
        "part" => record!(Part: workload part bytes),
        "worker" => record!(Worker: workload slot calls stack_used_bytes),
        "step" => record!(Step: workload instances running arena_free_bytes arena_low_bytes
            arena_largest_bytes arena_blocks cost_bytes start_us cpu_permille uptime_ms dwell_us dwell_calls
            calls errors latency_mean_us latency_min_us latency_p50_us latency_p99_us latency_max_us turnaround_p50_us
            turnaround_p99_us turnaround_max_us
            wake_p50_us wake_p99_us wake_max_us),
        "instance" => record!(Instance: workload id slot alive_ms calls errors latency_mean_us
            latency_min_us latency_p50_us latency_p99_us latency_max_us stack_used_bytes result error message),
        "end" => record!(End: workload peak limit predicted_peak predicted_limit cost_bytes
            arena_free_bytes leaked_bytes overdraft_bytes calls errors over_budget stack_used_bytes fairness error message),
        "fault" => record!(Fault: workload error knob message),
        "done" => record!(Done: workloads errors faults exit),
        "fit" => record!(Fit: workload needed_bytes wasm_stack_bytes),
        "plan" => record!(Plan: workload peak limit mode arena_bytes slots slot_stack_bytes
            wasm_stack_bytes cost_bytes need_bytes),
        "start" => record!(Start: workload phase count mean_us p50_us p99_us max_us),
        "member" => {
            record!(Member: workload module asked instances cost_bytes budget calls errors over_budget
            latency_mean_us latency_min_us latency_p50_us latency_p99_us latency_max_us)
        }
        "answer" => record!(Answer: workload first last),
        "mail" => record!(Mail: workload queue_bytes queue_most_bytes sent sent_per_second full
            received unread dropped delivery_p50_us delivery_p99_us delivery_max_us),
        "park" => {
            record!(Park: workload instances parked live ended restored instance_bytes judge_bytes
            budget_bytes parked_p50_bytes parked_p99_bytes parked_max_bytes dirty_mean_bytes
            dirty_max_bytes revivals revivals_per_s park_mean_us park_p50_us park_p99_us revive_mean_us
            revive_p50_us revive_p99_us)
        }
        kind => unreachable!("{kind}"),
    }
}

/// Words that a record can hold unchanged, especially those that look like a part of one.
fn token() -> impl Strategy<Value = String> {
    let awkward = prop::sample::select(vec![
        "wramp",
        "/opt/wramp",
        "wramp=1",
        "run",
        "-",
        "=",
        "crc=0000",
        "a=b=c",
        "peak=3",
        "?",
        "format=9",
        "%20",
        "%",
    ]);
    let word = prop_oneof![3 => "[!-~]{1,12}", 1 => awkward.prop_map(str::to_owned)];
    word.prop_map(|word| Word(&word).to_string())
}

/// Any text: from the characters that the encoding treats specially, and from all others.
fn text() -> impl Strategy<Value = String> {
    const AWKWARD: &[char] = &[
        ' ', '_', '%', '2', '0', 'f', 'F', '-', '=', 'é', '€', '😀', '\0', '\n', '\u{1b}',
        '\u{7f}', '\u{9b}', '\u{61c}', '\u{200e}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{2069}',
        '\u{fffd}',
    ];
    let awkward = prop::collection::vec(prop::sample::select(AWKWARD), 0..12)
        .prop_map(|text| text.into_iter().collect::<String>());
    prop_oneof![2 => awkward, 1 => any::<String>()]
}

fn ingredients(word: impl Strategy<Value = String>) -> impl Strategy<Value = Ingredients> {
    let number = prop_oneof![
        6 => (0_u32..64, any::<u64>()).prop_map(|(shift, number)| number >> shift),
        1 => Just(0),
        1 => Just(u64::MAX),
        1 => Just(i64::MIN as u64),
    ];
    (
        prop::collection::vec(word, 1..16),
        prop::collection::vec(text(), 1..8),
        prop::collection::vec(number, 1..40),
        prop::collection::vec(any::<bool>(), 1..16),
    )
        .prop_map(|(words, texts, numbers, present)| Ingredients {
            words,
            texts,
            numbers,
            present,
        })
}

fn kind() -> impl Strategy<Value = usize> {
    0..KINDS.len()
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn what_is_written_is_read(from in ingredients(token())) {
        for (kind, Kind { name, .. }) in KINDS.iter().enumerate() {
            let record = cooked(kind, &from);
            let line = record.to_string();
            prop_assert_eq!(read(&line), Ok(Some(plain(record))), "{}", line);
            prop_assert_eq!(record.kind(), *name);
        }
    }

    #[test]
    fn a_line_is_ascii_in_the_order_of_its_keys(kind in kind(), from in ingredients(".{0,9}")) {
        let line = cooked(kind, &from).to_string();
        prop_assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{}", line);
        let mut words = line.split(' ');
        prop_assert_eq!(words.next(), Some("wramp"));
        prop_assert_eq!(words.next(), Some(KINDS[kind].name));
        let written: Vec<&str> = words.map(|word| word.split_once('=').unwrap().0).collect();
        let (crc, written) = written.split_last().unwrap();
        prop_assert_eq!(*crc, "crc");
        let keys = KINDS[kind].keys();
        let expected: Vec<&str> = keys
            .filter(|key| written.contains(key) || !KINDS[kind].optional.contains(key))
            .collect();
        prop_assert_eq!(written, &expected[..]);
        prop_assert_eq!(seal(body(&line)), line.as_str());
    }

    /// A word that does not fit is percent-encoded, as another program would do it.
    #[test]
    fn a_word_is_percent_encoded(word in text()) {
        let bytes = word.as_bytes();
        let is_escape = |at: usize| {
            bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
        };
        let mut encoded: String = bytes
            .iter()
            .enumerate()
            .map(|(at, &byte)| match byte {
                b'%' if is_escape(at) => "%".to_owned(),
                b'!'..=b'~' if byte != b'%' => char::from(byte).to_string(),
                _ => format!("%{byte:02x}"),
            })
            .collect();
        if encoded.is_empty() {
            encoded.push('-');
        }
        prop_assert_eq!(Word(&word).to_string(), encoded.as_str());
        prop_assert_eq!(Word(&encoded).to_string(), encoded.as_str(), "what was read is kept");
        if !word.is_empty() {
            prop_assert_eq!(Word(&word).readable().to_string(), shown(&decoded(&word)));
            prop_assert_eq!(Word(&encoded).readable().to_string(), shown(&decoded(&word)));
        }
    }

    /// A sentence comes back from a line unchanged, except for what steers a terminal. Writing
    /// what was read gives the same line.
    #[test]
    fn a_sentence_comes_back(text in text(), from in ingredients(token())) {
        let fault = Fault {
            workload: None,
            error: Word(&from.words[0]),
            knob: None,
            message: Text::new(&text),
        };
        let line = Record::from(fault).to_string();
        let Ok(Some(Record::Fault(read))) = Record::parse(&line) else { panic!("{line}") };
        prop_assert_eq!(Record::from(read).to_string(), line.as_str());
        prop_assert_eq!((read.workload, read.knob, read.error), (None, None, fault.error));
        let expected = if text.is_empty() { "-" } else { &text };
        prop_assert_eq!(read.message.readable().to_string(), shown(expected.as_bytes()));
        prop_assert_eq!(fault.message.readable().to_string(), shown(text.as_bytes()));
        // Spaces stay readable in the line itself.
        let value = value(&line, "message").unwrap();
        prop_assert_eq!(value.matches('_').count(), text.matches(' ').count());
    }

    /// The parser reads what others wrote: escapes that are not UTF-8, a lone `%`, `_` in a
    /// sentence.
    #[test]
    fn whatever_is_read_is_written_the_same_from_then_on(value in "[!-~]{1,24}") {
        let line = seal(&format!("wramp fault error={value} message={value}"));
        let Ok(Some(Record::Fault(once))) = Record::parse(&line) else { panic!("{line}") };
        let again = Record::from(once).to_string();
        let Ok(Some(Record::Fault(twice))) = Record::parse(&again) else { panic!("{again}") };
        prop_assert_eq!(Record::from(twice).to_string(), again.as_str());
        for (once, twice) in [
            (once.error.readable().to_string(), twice.error.readable().to_string()),
            (once.message.readable().to_string(), twice.message.readable().to_string()),
        ] {
            prop_assert_eq!(once, twice, "{} {}", line, again);
        }
        prop_assert_eq!(once.error.readable().to_string(), shown(&decoded(&value)));
        let spaced: Vec<u8> = decoded(&value.replace('_', " "));
        prop_assert_eq!(once.message.readable().to_string(), shown(&spaced));
    }

    /// A line that breaks off anywhere is no record. The record that continues it is read.
    #[test]
    fn a_line_cut_short_is_no_record(
        (kind, from) in (kind(), ingredients(token())),
        (next_kind, next_from) in (kind(), ingredients(token())),
    ) {
        let (line, next) = (cooked(kind, &from).to_string(), cooked(next_kind, &next_from));
        for cut in 0..line.len() {
            let part = &line[..cut];
            prop_assert!(
                matches!(Record::parse(part), Ok(None) | Err(ParseError::Garbled)), "{}", part);
            let run_on = format!("{part}{next}");
            prop_assert_eq!(read(&run_on), Ok(Some(plain(next))), "{}", run_on);
        }
    }

    /// A CRC catches all errors within 16 bits: a changed character, and two neighbours that
    /// changed or swapped.
    #[test]
    fn changed_characters_are_caught(
        (kind, from) in (kind(), ingredients(token())),
        at in any::<prop::sample::Index>(),
        by in (0_u8..128, 0_u8..128),
    ) {
        let line = cooked(kind, &from).to_string();
        let at = at.index(line.len() - 1);
        let change = |to: &[u8]| {
            let mut bytes = line.clone().into_bytes();
            bytes[at..at + to.len()].copy_from_slice(to);
            String::from_utf8(bytes).unwrap()
        };
        let neighbours = line.as_bytes()[at..at + 2].to_vec();
        for damaged in [
            change(&[by.0]),
            change(&[by.0, by.1]),
            change(&[neighbours[1], neighbours[0]]),
        ] {
            prop_assert!(damaged == line || !is_record(&damaged), "{}", damaged);
        }
    }

    #[test]
    fn no_string_makes_it_panic(line in any::<String>()) {
        let _ = Record::parse(&line);
        let sealed = seal(&line);
        let _ = Record::parse(&sealed);
        let sealed = seal(&format!("{PREFIX}{line}"));
        let _ = Record::parse(&sealed);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::parse(&String::from_utf8_lossy(&bytes));
    }

    /// Random pieces of lines. Whatever is read as a record is a record.
    #[test]
    fn no_soup_makes_it_panic(soup in prop::collection::vec(fragment(), 0..24)) {
        let soup = soup.concat();
        for line in [seal(&soup), soup] {
            match Record::parse(&line) {
                Ok(Some(record)) => {
                    let again = record.to_string();
                    prop_assert_eq!(Record::parse(&again).unwrap().unwrap().kind(), record.kind());
                }
                Ok(None) => {}
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn keys_of_the_future_are_ignored(
        (kind, from) in (kind(), ingredients(token())),
        (key, value) in ("[a-z][a-z_]{0,9}x", "[!-~]{0,9}"),
        at in any::<prop::sample::Index>(),
    ) {
        let record = cooked(kind, &from);
        let line = record.to_string();
        let mut words: Vec<&str> = body(&line).split(' ').collect();
        let future = format!("{key}={value}");
        // Anywhere behind the kind.
        words.insert(2 + at.index(words.len() - 1), &future);
        let line = seal(&words.join(" "));
        prop_assert_eq!(read(&line), Ok(Some(plain(record))), "{}", line);
    }

    #[test]
    fn records_joined_into_a_line_are_all_read(
        kinds in prop::collection::vec((kind(), ingredients(token())), 1..5),
    ) {
        let records: Vec<_> = kinds.iter().map(|(kind, from)| cooked(*kind, from)).collect();
        let line: String = records.iter().map(ToString::to_string).collect();
        let own: String = Record::locate_all(&line).map(|found| found.unwrap().1).collect();
        prop_assert_eq!(&own, &line);
        prop_assert!(located(&line).into_iter().eq(records.into_iter().map(plain).map(Ok)));
    }

    #[test]
    fn what_stands_before_is_passed_over(
        (kind, from) in (kind(), ingredients(token())),
        before in "[ -~é]{0,40}",
    ) {
        let record = cooked(kind, &from);
        let line = format!("{before}{record}");
        prop_assert_eq!(read(&line), Ok(Some(plain(record))));
    }
}

/// The bytes of a percent-encoded text.
fn decoded(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::new();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes
}

/// What a person is shown. Characters that steer a terminal, and bytes that are not text, are
/// replaced.
fn shown(bytes: &[u8]) -> String {
    let bidi = ['\u{61c}', '\u{200e}', '\u{200f}'];
    let steers = |c: char| {
        c.is_control()
            || bidi.contains(&c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Examples of what a hostile log may hold.
#[test]
fn what_steers_a_terminal_is_shown_as_a_mark() {
    let shown = |word: &str| Word(word).readable().to_string();
    assert_eq!(shown("a%20b_c"), "a b_c");
    assert_eq!(shown("%1b[31mred%07"), "\u{fffd}[31mred\u{fffd}");
    assert_eq!(shown("%c2%9b31m"), "\u{fffd}31m", "the C1 control that begins a sequence");
    assert_eq!(shown("evil%e2%80%aetxt"), "evil\u{fffd}txt");
    assert_eq!(shown("s%c3%a9"), "sé");
    assert_eq!(shown("%c3_%c3A%ff"), "\u{fffd}_\u{fffd}A\u{fffd}", "nothing is swallowed");
    assert_eq!(shown("100%"), "100%");
    assert_eq!(Text::new("a_b 5%20c").to_string(), "a%5fb_5%2520c");
    assert_eq!(Text::new("a_b 5%20c").readable().to_string(), "a_b 5%20c");
    // A message of the previous format also had underscores for spaces.
    let line = seal("wramp fault error=engine knob=k message=a_b_50%");
    let Ok(Some(Record::Fault(fault))) = Record::parse(&line) else { panic!("{line}") };
    assert_eq!(fault.message.readable().to_string(), "a b 50%");
}

fn fragment() -> impl Strategy<Value = String> {
    const FRAGMENTS: &[&str] = &[
        "wramp ",
        "wramp",
        " ",
        "  ",
        "\t",
        "\u{b}",
        "\r",
        "=",
        "crc=",
        " crc=",
        "1234",
        "run",
        "done",
        "load",
        "step ",
        "é",
        "\u{10FFFF}",
        "format=1",
        "format=2",
        "format=99999999999",
        "workloads=1",
        "errors=0",
        "exit=0",
        " workload=w",
        " part=p",
        " bytes=1",
        " bytes=+1",
        " wramp=1",
        "-1",
        ".5",
        "1.000",
    ];
    const FIELDS: &[&str] = &[
        " workloads=1 errors=0 exit=0",
        "wramp done workloads=1 errors=0 exit=0",
        "wramp part workload=w part=p bytes=1",
    ];
    prop_oneof![
        6 => prop::sample::select(FRAGMENTS).prop_map(str::to_owned),
        1 => prop::sample::select(FIELDS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

/// A lost or doubled character shifts everything behind it. A CRC misses that in 1 of 65,536
/// cases, so these cases are the same in every run.
#[test]
fn lost_and_doubled_characters_are_caught() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let damage = (kind(), ingredients(token()), any::<prop::sample::Index>(), 1_usize..9);
    TestRunner::new_with_rng(cases(2048), rng)
        .run(&damage, |(kind, from, at, length)| {
            let record = cooked(kind, &from);
            let line = record.to_string();
            let at = at.index(line.len());
            let end = line.len().min(at + length);
            let lost = format!("{}{}", &line[..at], &line[end..]);
            // In a run of equal characters, losing any of them is the same loss.
            prop_assert!(!is_record(&lost), "{}", lost);
            let doubled = format!("{}{}", &line[..end], &line[at..]);
            // A copy may stand before the whole record.
            let whole = doubled.ends_with(&line);
            prop_assert_eq!(is_record(&doubled), whole, "{}", doubled);
            Ok(())
        })
        .unwrap();
}

// The golden log. ------------------------------------------------------------------

fn golden() -> Vec<&'static str> {
    GOLDEN.lines().collect()
}

/// The lines of the golden log and their meaning.
fn golden_pairs() -> impl Iterator<Item = (&'static str, Record<'static>)> {
    GOLDEN.lines().zip(golden_records())
}

/// What the golden log says, written by hand.
fn golden_records() -> [Record<'static>; 17] {
    [
        Run {
            format: 2,
            wramp: Word("0.1.0"),
            board: Word("rpi_pico2%20b/rp2350a/m33"),
            os: Word("zephyr-4.1.0"),
            pointer_bits: 32,
            clock_hz: Some(150_000_000),
            cores: 2,
            runtime: Word("wamr"),
            runtime_version: Word("2.4.5"),
            interpreter: Word("classic"),
            interpreter_opt: Some(Word("O2")),
            block_cache: Some(64),
            aot: Some(Word("off")),
            module_copy: Some(Word("on")),
            engine_fixes: Some(Word("none")),
            second_opinion: Some(Word("agrees")),
            load_permille: OnHost::default(),
            starved_permille: OnHost::default(),
            artefact: Some(Word("wasm")),
            shares_stack: Some(Word("on")),
            rustc: Word("1.90.0"),
            cc: Some(Word("gcc-14.3.0")),
            scenario: Word("all"),
            mode: Word("pool"),
            workers: Some(4),
            residents: Some(720),
            arena_bytes: Bytes(196_608),
            arena_unit_bytes: Some(Bytes(8)),
            arena_header_bytes: Some(Bytes(4)),
            arena_at: Some(Word("0x20004000-0x20034000")),
            heap_at: Some(Word("0x20034000-0x20035000")),
            slots: 24,
            slot_stack_bytes: Bytes(4096),
            slot_stack_real_bytes: Some(Bytes(4160)),
            slot_stack_least_bytes: Some(Bytes(1024)),
            stack_guard_bytes: Some(Bytes(384)),
            wasm_stack_bytes: Bytes(4096),
            fit: Some(Word("on")),
            step: 1,
            settle_ms: 200,
            dwell_ms: 1000,
            pause_ms: 5,
            pin: Word("free"),
            slice_ms: Some(10),
            budget: Word("off"),
            stuck_ms: Some(10_000),
            slo_us: Some(Nanos(2_500_000)),
        }
        .into(),
        Load {
            workload: Word("checksum"),
            module_bytes: Bytes(187),
            arena_bytes: Bytes(2216),
            arena_free_bytes: Bytes(194_392),
            load_us: Some(Nanos(1_204_080)),
        }
        .into(),
        Predict {
            workload: Word("checksum"),
            peak: 23,
            limit: Limit::Arena,
            cost_bytes: Bytes(8208),
            need_bytes: Bytes(8464),
            arena_free_bytes: Bytes(186_184),
        }
        .into(),
        Part { workload: Word("checksum"), part: Word("wasm-stack"), bytes: Bytes(4096) }.into(),
        Worker {
            workload: Word("checksum"),
            slot: 3,
            calls: 81_234,
            stack_used_bytes: Some(Bytes(1812)),
        }
        .into(),
        Step {
            workload: Word("checksum"),
            instances: 3,
            running: Some(2),
            arena_free_bytes: Bytes(169_768),
            arena_low_bytes: Bytes(169_512),
            arena_largest_bytes: Bytes(169_000),
            arena_blocks: 31,
            cost_bytes: Bytes(8208),
            start_us: Some(Nanos(15_204_960)),
            cpu_permille: Some(873),
            uptime_ms: Some(4821),
            dwell_us: Some(Nanos(1_000_003_250)),
            dwell_calls: 571,
            calls: 1702,
            errors: 0,
            latency_mean_us: Some(Nanos(33_912)),
            latency_min_us: Some(Nanos(33_001)),
            latency_p50_us: Some(Nanos(33_405)),
            latency_p99_us: Some(Nanos(41_007)),
            latency_max_us: Some(Nanos(52_016)),
            turnaround_p50_us: Some(Nanos(5_033_000)),
            turnaround_p99_us: Some(Nanos(5_041_100)),
            turnaround_max_us: Some(Nanos(5_060_020)),
            wake_p50_us: Some(Nanos(61_250)),
            wake_p99_us: Some(Nanos(140_002)),
            wake_max_us: Some(Nanos(1_000_000)),
        }
        .into(),
        Instance {
            workload: Word("isolation"),
            id: 7,
            slot: Some(7),
            alive_ms: Some(u64::MAX),
            calls: u32::MAX,
            errors: 1,
            latency_mean_us: Some(Nanos(400)),
            latency_min_us: Some(Nanos(1)),
            latency_p50_us: Some(Nanos(0)),
            latency_p99_us: Some(Nanos(999)),
            latency_max_us: Some(Nanos(u64::MAX)),
            stack_used_bytes: Some(Bytes(1544)),
            result: Word("bad"),
            error: Some(Word("trap")),
            message: Some(Text::new("Exception: out of bounds memory access, at=0x1f_%é")),
        }
        .into(),
        End {
            workload: Word("checksum"),
            peak: 23,
            limit: Limit::Interrupted,
            predicted_peak: Some(24),
            predicted_limit: Some(Limit::Slots),
            cost_bytes: Some(Bytes(8208)),
            arena_free_bytes: Some(Bytes(194_392)),
            leaked_bytes: Some(-16),
            overdraft_bytes: Overdraft::default(),
            calls: 31_415,
            errors: 2,
            over_budget: Some(1),
            stack_used_bytes: Some(Bytes(1084)),
            fairness: Some(Ratio(9987)),
            error: Some(Word("out-of-memory")),
            message: Some(Text::new("")),
        }
        .into(),
        Fault {
            workload: Some(Word("msg")),
            error: Word("out-of-memory"),
            knob: Some(Word("CONFIG_WRAMP_ARENA_SIZE")),
            message: Text::new(
                "arena too small for the module: needs 70 KiB, CONFIG%5fWRAMP is 64 KiB",
            ),
        }
        .into(),
        Done { workloads: 10, errors: 2, faults: Some(3), exit: 1 }.into(),
        Fit { workload: Word("checksum"), needed_bytes: Bytes(264), wasm_stack_bytes: Bytes(336) }
            .into(),
        Plan {
            workload: Word("checksum"),
            peak: 640,
            limit: Limit::Arena,
            mode: Word("pool"),
            arena_bytes: Bytes(278_528),
            slots: 4,
            slot_stack_bytes: Bytes(4096),
            wasm_stack_bytes: Bytes(512),
            cost_bytes: Bytes(416),
            need_bytes: Bytes(424),
        }
        .into(),
        Start {
            workload: Word("checksum"),
            phase: Word("first-call"),
            count: 23,
            mean_us: Nanos(14_890_220),
            p50_us: Some(Nanos(14_880_000)),
            p99_us: Some(Nanos(15_040_000)),
            max_us: Nanos(15_100_040),
        }
        .into(),
        Member {
            workload: Word("mix"),
            module: Word("a"),
            asked: Some(3),
            instances: 2,
            cost_bytes: Some(Bytes(6128)),
            budget: Some(100_000),
            calls: 529,
            errors: 1,
            over_budget: Some(1),
            latency_mean_us: Some(Nanos(928_381)),
            latency_min_us: Some(Nanos(926_280)),
            latency_p50_us: Some(Nanos(909_160)),
            latency_p99_us: Some(Nanos(944_840)),
            latency_max_us: Some(Nanos(1_584_800)),
        }
        .into(),
        Answer { workload: Word("coremark"), first: 0, last: i64::from(i32::MIN) }.into(),
        Mail {
            workload: Word("echo"),
            queue_bytes: Bytes(1024),
            queue_most_bytes: Bytes(512),
            sent: 2000,
            sent_per_second: 67_521,
            full: 3,
            received: 1999,
            unread: 1,
            dropped: 0,
            delivery_p50_us: Some(Nanos(10_000)),
            delivery_p99_us: Some(Nanos(33_250)),
            delivery_max_us: Some(Nanos(120_001)),
        }
        .into(),
        Park {
            workload: Word("state"),
            instances: 254,
            parked: 250,
            live: 4,
            ended: 1,
            restored: Some(249),
            instance_bytes: Bytes(1030),
            judge_bytes: Bytes(4),
            budget_bytes: Bytes(959),
            parked_p50_bytes: Bytes(849),
            parked_p99_bytes: Bytes(856),
            parked_max_bytes: Bytes(857),
            dirty_mean_bytes: Some(Bytes(258)),
            dirty_max_bytes: Some(Bytes(288)),
            revivals: u64::MAX,
            revivals_per_s: Some(12_345),
            park_mean_us: Some(Nanos(8_040)),
            park_p50_us: Some(Nanos(1)),
            park_p99_us: Some(Nanos(4_294_967_295)),
            revive_mean_us: Some(Nanos(6_630)),
            revive_p50_us: Some(Nanos(6_000)),
            revive_p99_us: Some(Nanos(7_125)),
        }
        .into(),
    ]
}

/// The format stays the same: the same bytes and the same meaning, both ways.
#[test]
fn golden_log_stands_still() {
    assert_eq!(FORMAT_VERSION, 2, "a new format has a golden log of its own");
    assert_eq!(golden().len(), KINDS.len(), "one line a kind");
    for ((line, record), kind) in golden_pairs().zip(&KINDS) {
        assert_eq!(read(line), Ok(Some(plain(record))));
        assert_eq!(record.to_string(), line);
        assert_eq!(record.kind(), kind.name);
        // The golden log shows every key, so no key can change unnoticed.
        for key in kind.keys() {
            assert!(value(line, key).is_some(), "{} without {key}", kind.name);
        }
    }
}

/// The previous format is still read. Keys that it lacks are absent, and a line that is written
/// again is the same line.
#[test]
fn a_log_of_the_format_before_is_read() {
    assert_eq!(GOLDEN_1.lines().count(), KINDS_1, "one line a kind");
    for (line, now) in GOLDEN_1.lines().zip(golden_records()) {
        let mut sentence = plain(now).1;
        let then = match now {
            Record::Run(run) => Run {
                format: 1,
                board: Word("rpi_pico2/rp2350a/m33"),
                engine_fixes: None,
                second_opinion: None,
                load_permille: OnHost::default(),
                starved_permille: OnHost::default(),
                artefact: None,
                shares_stack: None,
                arena_unit_bytes: None,
                arena_header_bytes: None,
                slot_stack_least_bytes: None,
                stack_guard_bytes: None,
                stuck_ms: None,
                ..run
            }
            .into(),
            Record::Load(load) => Load { load_us: None, ..load }.into(),
            Record::Step(step) => Step {
                start_us: None,
                latency_mean_us: None,
                latency_min_us: None,
                wake_p50_us: None,
                wake_p99_us: None,
                wake_max_us: None,
                ..step
            }
            .into(),
            Record::Instance(one) => {
                let wire = "Exception:_out_of_bounds_memory_access,_at=0x1f?";
                sentence = Some(wire.to_owned());
                Instance { latency_mean_us: None, latency_min_us: None, ..one }.into()
            }
            Record::Fault(fault) => {
                let wire = "arena_too_small_for_the_module:_needs_70_KiB,_CONFIG_WRAMP_ARENA_SIZE_is_64_KiB";
                sentence = Some(wire.to_owned());
                fault.into()
            }
            Record::Done(done) => Done { faults: None, ..done }.into(),
            other => other,
        };
        assert_eq!(read(line), Ok(Some((plain(then).0, sentence))));
        assert_eq!(Record::parse(line).unwrap().unwrap().to_string(), line);
    }
}

#[test]
fn crc_is_the_catalogues() {
    // CRC-16/IBM-3740 (alias CCITT-FALSE) in the catalogue of parametrised CRC algorithms.
    assert_eq!(b"123456789".iter().fold(0xFFFF, |crc, &byte| crc16(crc, byte)), 0x29B1);
    // The parser sums eight bytes at a time. Compare it with bodies of every length.
    for length in 0..40 {
        let message = "azAZ09~!"[..1 + length % 8].repeat(1 + length / 8);
        let fault = Fault {
            workload: None,
            error: Word("e"),
            knob: Some(Word("k")),
            message: Text::new(&message),
        };
        let line = seal(body(&Record::from(fault).to_string()));
        assert!(is_record(&line), "{line}");
    }
}

/// Changes each character of each golden line to every other character.
#[test]
#[cfg_attr(miri, ignore = "a quarter of a million lines")]
fn every_change_of_a_character_is_caught() {
    for line in golden() {
        let mut bytes = line.as_bytes().to_vec();
        for at in 0..bytes.len() {
            let right = bytes[at];
            for wrong in (0..128).filter(|&wrong| wrong != right) {
                bytes[at] = wrong;
                let damaged = std::str::from_utf8(&bytes).unwrap();
                assert!(!is_record(damaged), "{damaged}");
            }
            bytes[at] = right;
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "thousands of long lines")]
fn every_lost_or_doubled_character_is_caught() {
    for line in golden() {
        for at in 0..line.len() {
            let lost = format!("{}{}", &line[..at], &line[at + 1..]);
            assert!(!is_record(&lost), "{lost}");
            let doubled = format!("{}{}", &line[..=at], &line[at..]);
            // "wwramp done ..." holds the whole record.
            assert_eq!(is_record(&doubled), at == 0, "{doubled}");
        }
    }
}

// What is not a record, and why. ----------------------------------------------------

#[test]
fn a_missing_key_is_named() {
    for (line, kind) in golden().into_iter().zip(&KINDS) {
        for key in kind.keys() {
            let word = format!(" {key}={}", value(line, key).unwrap());
            let without = seal(&body(line).replacen(&word, "", 1));
            if kind.optional.contains(&key) {
                let record = Record::parse(&without).unwrap().unwrap();
                assert_eq!(record.to_string(), without, "absent stays absent");
            } else {
                let error = ParseError::BadField { kind: kind.name, key };
                assert_eq!(Record::parse(&without), Err(error));
                assert!(error.to_string().contains(key) && error.to_string().contains(kind.name));
            }
        }
    }
}

/// Only what the encoder writes passes for a number.
#[test]
fn a_value_of_another_type_is_named() {
    for (line, kind) in golden().into_iter().zip(&KINDS) {
        for key in kind.keys() {
            let right = value(line, key).unwrap();
            // A word may be anything except empty.
            let number = right.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            let word = ["wramp", "runtime_version", "rustc", "arena_at", "heap_at", "message"];
            let wrong: &[&str] = match key {
                _ if !number || word.contains(&key) => &[""],
                key if key.ends_with("_us") || key == "fairness" => &[
                    "",
                    "x",
                    "1",
                    "1.",
                    ".001",
                    "1.00",
                    "1.00000",
                    "+1.000",
                    "1.+00",
                    "-1.000",
                    "99999999999999999999.000",
                    "1,000",
                ],
                "leaked_bytes" | "dropped" | "first" | "last" => {
                    &["", "x", "+1", "1.0", "--1", "9223372036854775808"]
                }
                _ => &["", "x", "+1", "-1", "1.0", "0x1", "1_000", "18446744073709551616"],
            };
            for wrong in wrong {
                let (was, is) = (format!(" {key}={right}"), format!(" {key}={wrong}"));
                let line = seal(&body(line).replacen(&was, &is, 1));
                let error = ParseError::BadField { kind: kind.name, key };
                assert_eq!(Record::parse(&line), Err(error), "{line}");
            }
        }
    }
    let limit = seal("wramp predict workload=w peak=1 limit=patience cost_bytes=1");
    let error = ParseError::BadField { kind: "predict", key: "limit" };
    assert_eq!(Record::parse(&limit), Err(error));
}

#[test]
fn a_number_too_large_for_its_key_is_refused() {
    let line = seal("wramp part workload=w part=p bytes=4294967296");
    let error = ParseError::BadField { kind: "part", key: "bytes" };
    assert_eq!(Record::parse(&line), Err(error));
    let end = golden().into_iter().find(|line| line.starts_with("wramp end ")).unwrap();
    let line = seal(&body(end).replacen("fairness=0.9987", "fairness=429496.7296", 1));
    let error = ParseError::BadField { kind: "end", key: "fairness" };
    assert_eq!(Record::parse(&line), Err(error));
}

#[test]
fn a_newer_format_is_refused() {
    let newer = FORMAT_VERSION + 1;
    let this = format!("format={FORMAT_VERSION}");
    let whole = body(golden()[0]).replacen(&this, &format!("format={newer}"), 1);
    // It does not matter what else is in the record, or is missing.
    for run in [whole, format!("wramp run format={newer}"), format!("wramp run x= format={newer}")]
    {
        let line = seal(&run);
        assert_eq!(Record::parse(&line), Err(ParseError::Newer { format: newer }));
    }
    let message = ParseError::Newer { format: newer }.to_string();
    assert!(message.contains(&newer.to_string()) && message.contains("update"), "{message}");
    // The version belongs to the log and is stated once.
    let line = seal(&format!("{} format={newer}", body(golden()[8])));
    assert!(is_record(&line));
}

#[test]
fn a_kind_of_the_future_is_named() {
    for (line, kind) in [
        (seal("wramp power joules=3"), "power"),
        (seal("wramp power"), "power"),
        (seal("wramp Run format=1"), "Run"),
        (seal("wramp  run format=1"), ""),
    ] {
        assert_eq!(Record::parse(&line), Err(ParseError::UnknownKind(kind)));
    }
}

#[test]
fn what_a_console_adds_is_passed_over() {
    for (line, record) in golden().into_iter().zip(golden_records()) {
        for before in [
            "[00:00:01.000] <inf> ",
            "[00:00:01.000,000] <inf> wramp: ",
            "\u{1b}[0m",
            "*** Booting Zephyr OS build v4.1.0 ***",
            "uart:~$ ",
            "wramp step workload=x instan",
            "wramp ",
            "wramp step crc=12",
            "level=3 board=wramp ",
        ] {
            for after in ["", "\r", "\r\n", "  \t", "\u{1b}[0m\r\n", " \u{1b}[1;31m\u{1b}[K "] {
                let line = format!("{before}{line}{after}");
                assert_eq!(read(&line), Ok(Some(plain(record))), "{line}");
            }
        }
    }
}

/// Text behind a record on its line might belong to the record.
#[test]
fn what_stands_behind_garbles() {
    for after in
        ["0", ".", " uart:~$", "[00:00:01.000] <inf> x", "é", " x=1", "\u{1b}[", "\u{1b}[0;"]
    {
        let line = format!("{}{after}", golden()[8]);
        assert_eq!(Record::parse(&line), Err(ParseError::Garbled), "{line}");
    }
}

/// What is located in a line, in order.
fn located(line: &str) -> Vec<Result<Plain<'_>, ParseError<'_>>> {
    Record::locate_all(line).map(|found| found.map(|(record, _)| plain(record))).collect()
}

/// A line end was lost. Both records are read. A record that broke off is garbled, and the
/// parser does not pass over it in silence.
#[test]
fn two_records_on_one_line() {
    let records = golden_records().map(plain);
    let torn = ["wramp ", "wramp s", "wramp step", "wramp step ", "wramp step workload"];
    for (first, one) in golden().into_iter().zip(records.clone()) {
        for (second, other) in golden().into_iter().zip(records.clone()) {
            for between in ["", "\r", "  ", "\u{1b}[0m"] {
                let line = format!("{first}{between}{second}");
                assert_eq!(located(&line), [Ok(one.clone()), Ok(other.clone())], "{line}");
            }
            let line = format!("{first}{second}");
            assert_eq!(read(&line), Ok(Some(other.clone())), "the last");
            // A cut anywhere, or text that may be a part of the record.
            for cut in [first.len() / 2, first.len() - 1] {
                let line = format!("{}{second}", &first[..cut]);
                assert_eq!(located(&line), [Err(ParseError::Garbled), Ok(other.clone())], "{line}");
            }
            let line = format!("{first}[00:00:01.000] <inf> x: {second}");
            assert_eq!(located(&line), [Err(ParseError::Garbled), Ok(other.clone())], "{line}");
        }
        for torn in torn {
            let line = format!("{first}{torn}");
            // With a cut behind its space, our name seems to stand behind the first record's
            // CRC.
            if torn != "wramp " {
                assert_eq!(located(&line), [Ok(one.clone()), Err(ParseError::Garbled)], "{line}");
            }
            assert_eq!(Record::parse(&line), Err(ParseError::Garbled), "{line}");
        }
    }
    // Before a record, our name is prose, as it is on its own line.
    for before in ["wramp ", "wramp is ready; ", "level=3 board=wramp "] {
        let line = format!("{before}{}", golden()[8]);
        assert_eq!(located(&line), [Ok(records[8].clone())], "{line}");
    }
    assert_eq!(located("wramp is on a board"), []);
}

/// `wramp` is a valid name for a board, a directory or a module.
#[test]
fn a_word_may_end_in_our_name() {
    let part = Part { workload: Word("wramp"), part: Word("wramp"), bytes: Bytes(1) };
    let fault = Fault {
        workload: None,
        error: Word("malformed"),
        knob: Some(Word("--module")),
        message: Text::new("cannot read /home/me/wramp"),
    };
    let line = Record::from(part).to_string();
    assert_eq!(Record::parse(&line), Ok(Some(part.into())));
    let line = Record::from(fault).to_string();
    assert_eq!(read(&line), Ok(Some(plain(fault.into()))));
}

/// A reader keeps only the record of a line, so it can be read again. This also holds if a
/// value ends in our name.
#[test]
fn a_record_is_located_in_its_line() {
    let part = Part { workload: Word("wramp"), part: Word("wramp"), bytes: Bytes(1) };
    for text in golden().into_iter().map(str::to_owned).chain([Record::from(part).to_string()]) {
        let line = format!("wramp step uart:~$ {text}\u{1b}[0m\r");
        let (record, own) = Record::locate(&line).unwrap().unwrap();
        assert_eq!((own, Ok(Some(record))), (&*text, Record::parse(&text)));
    }
}

/// A review found this: the CRC of the bare name is right, and nothing follows it.
#[test]
fn our_name_with_a_right_crc_is_no_record() {
    assert_eq!(Record::parse(&seal("wramp")), Err(ParseError::Garbled));
    assert_eq!(Record::parse(&seal("wramp ")), Err(ParseError::UnknownKind("")));
}

/// `from_str_radix` accepts a plus sign and capitals. The encoder writes neither.
#[test]
fn a_crc_has_one_spelling() {
    // Its CRC is 0x0d80 or similar: it begins with a zero and has a letter.
    let body = (0..).map(|n| format!("wramp done workloads={n} errors=0 exit=0")).find(|body| {
        let line = seal(body);
        let crc = &line[line.len() - 4..];
        crc.starts_with('0') && crc.contains(|c: char| c.is_ascii_lowercase())
    });
    let line = seal(&body.unwrap());
    assert!(is_record(&line));
    let (body, crc) = line.rsplit_once('=').unwrap();
    for crc in [crc.to_uppercase(), crc.replacen('0', "+", 1), format!("0{crc}")] {
        assert_eq!(Record::parse(&format!("{body}={crc}")), Err(ParseError::Garbled));
    }
}

#[test]
fn other_lines_are_none_of_ours() {
    for line in [
        "",
        "\r\n",
        "*** Booting Zephyr OS build v4.1.0 ***",
        "[00:00:00.001] <inf> wamr: heap=196608",
        "wramp",
        "wramp ",
        "wrampx step a=1",
        "WRAMP step a=1",
        "this is wramp on a board",
        "level=info wramp begins",
        "a wramp step without a value",
        "done workloads=1 errors=0 exit=0 crc=0000",
    ] {
        assert_eq!(Record::parse(line), Ok(None), "{line}");
    }
}

#[test]
fn what_looks_like_a_record_without_a_right_crc_is_garbled() {
    for line in [
        "wramp done workloads=1 errors=0 exit=0",
        "wramp done workloads=1 errors=0 exit=0 crc=",
        "wramp done workloads=1 errors=0 exit=0 crc=000",
        "wramp done workloads=1 errors=0 exit=0 crc=00000",
        "wramp done workloads=1 errors=0 exit=0 crc=wxyz",
        "wramp done crc=ffff",
        "wramp workloads=1 errors=0 exit=0 crc=0000",
    ] {
        assert_eq!(Record::parse(line), Err(ParseError::Garbled), "{line}");
    }
    assert!(ParseError::Garbled.to_string().contains("CRC"));
}

/// What a device writes that makes steps and ends alone.
struct Few;

impl Kinds for Few {
    fn has(kind: RecordKind) -> bool {
        kind == RecordKind::Done
    }
}

#[test]
fn a_device_writes_the_kinds_that_it_makes_as_everyone_does() {
    let record = Record::from(Done { workloads: 1, errors: 2, faults: None, exit: 3 });
    assert_eq!(Only::<Few>::new(&record).to_string(), record.to_string());
}

#[test]
fn a_ramps_mail_comes_back_with_and_without_times() {
    let mail = |time| Mail {
        workload: Word("ring"),
        queue_bytes: Bytes(1048),
        queue_most_bytes: Bytes(262),
        sent: u64::MAX,
        sent_per_second: 67_521,
        full: 3,
        received: 7,
        unread: 0,
        dropped: -1,
        delivery_p50_us: time,
        delivery_p99_us: time,
        delivery_max_us: time,
    };
    for time in [None, Some(Nanos(10_125))] {
        let line = Record::from(mail(time)).to_string();
        assert_eq!(line.contains("delivery_p99_us=10.125"), time.is_some(), "{line}");
        assert_eq!(Record::parse(&line), Ok(Some(mail(time).into())));
    }
}
