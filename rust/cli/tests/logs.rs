//! The model of a log: golden logs, and arbitrary bytes.

mod support;

use proptest::prelude::*;
use support::{golden, read_golden};
use wramp_cli::model::log::{KEPT_BYTES, KEPT_RUNS, LINE_BYTES, Log};
use wramp_cli::show::{log_charts, log_tables, page};

/// Bytes as a wrong baud rate makes them, the same ones each time.
fn noise() -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    (0..2000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as u8 | 0x80
        })
        .collect()
}

#[test]
fn golden_logs_are_what_the_encoder_writes() {
    let host = read_golden("host.log");
    let cut = host.len() * 2 / 3;
    let all: [(&str, Vec<u8>); 8] = [
        ("truncated.log", host[..cut].to_vec()),
        ("esp32s3.log", support::esp32s3().into_bytes()),
        ("interleaved-reset.log", support::interleaved_reset()),
        ("newer.log", support::newer().into_bytes()),
        ("nothing-ran.log", support::nothing_ran().into_bytes()),
        ("garbage.log", noise()),
        (
            "other.log",
            b"Nov 21 00:00:01 host kernel: wramp is not mentioned\nanother line\n".to_vec(),
        ),
        ("empty.log", Vec::new()),
    ];
    for (name, bytes) in all {
        if std::env::var_os("WRAMP_BLESS").is_some() {
            std::fs::write(golden(name), &bytes).unwrap();
        }
        assert!(read_golden(name) == bytes, "{name} differs: see tests/golden/README.md");
    }
}

fn open(name: &str) -> Result<Log, String> {
    Log::read(name, &*read_golden(name)).map_err(|problem| problem.to_string())
}

fn peaks(log: &Log) -> Vec<(String, u32, bool)> {
    log.ramps().map(|ramp| (ramp.workload.clone(), ramp.peak(), ramp.end.is_some())).collect()
}

fn published() -> Vec<(String, u32, bool)> {
    [("cpu", 24), ("mem", 2), ("msg", 2)].map(|(name, peak)| (name.into(), peak, true)).to_vec()
}

#[test]
fn whole_runs_are_read_without_a_remark() {
    for name in ["host.log", "esp32s3.log"] {
        let log = open(name).unwrap();
        assert_eq!(peaks(&log), published(), "{name}");
        assert_eq!(log.unread, 0, "{name}");
        assert!(log.remarks().is_empty(), "{name}: {:?}", log.remarks());
        let ramp = &log.runs[0].ramps[0];
        assert_eq!(ramp.instances.seen(), 24);
        assert_eq!(ramp.loads.len(), 1);
    }
    assert_eq!(open("esp32s3.log").unwrap().foreign, 3);
}

#[test]
fn a_log_that_breaks_off_gives_what_came() {
    let log = open("truncated.log").unwrap();
    assert!(log.runs[0].done.is_none());
    let remarks = log.remarks().join("\n");
    assert!(remarks.contains("run 1 is not done"), "{remarks}");
    assert_eq!(log.unread, 1, "the line that was cut");
    assert!(remarks.contains("1 of "), "{remarks}");
}

#[test]
fn a_reset_is_noticed_and_nothing_is_skipped_in_silence() {
    let log = open("interleaved-reset.log").unwrap();
    assert_eq!(log.runs.len(), 2);
    assert_eq!(peaks(&log)[0], ("cpu".into(), 4, false));
    assert_eq!(peaks(&log)[1..], published());
    let remarks = log.remarks().join("\n");
    assert!(remarks.contains("the board began again in line"), "{remarks}");
    // The record that the reset cut, and the one that lost a digit.
    assert_eq!(log.unread, 2, "{remarks}");
    assert_eq!(log.best().unwrap().ramps.len(), 3);
}

/// A UART that loses a line end loses no record. A record that a reset cut short is counted, even
/// where a whole record follows on its line.
#[test]
fn records_that_share_a_line_are_read_or_counted() {
    let text = support::board("mps2/an385", 32);
    let joined = Log::read("joined", text.replace('\n', "").as_bytes()).unwrap();
    assert_eq!((joined.lines, joined.unread), (1, 0), "but for what is too long for a line");
    let pairs: Vec<_> = text.lines().collect();
    let pairs: String = pairs.chunks(2).map(|pair| pair.concat() + "\n").collect();
    let log = Log::read("pairs", pairs.as_bytes()).unwrap();
    assert_eq!((peaks(&log), log.unread), (published(), 0));
    assert_eq!(log.runs[0].ramps[0].steps.seen(), 24);
    assert!(log.runs[0].done.is_some());

    // In the middle of a record.
    let cut = text[..text.len() / 2].rfind("wramp ").unwrap() + 60;
    let reset = format!("{}{text}", &text[..cut]);
    let log = Log::read("reset", reset.as_bytes()).unwrap();
    assert_eq!(log.runs.len(), 2);
    assert!(log.runs[0].reset.is_some() && log.runs[1].done.is_some());
    assert_eq!(log.unread, 1, "what the reset cut");
    assert!(log.remarks().join("\n").contains("1 of "), "{:?}", log.remarks());
}

#[test]
fn what_is_no_log_is_refused_in_a_sentence() {
    for (name, words) in [
        ("empty.log", "empty.log is empty"),
        ("other.log", "the log of another program?"),
        ("garbage.log", "--baud"),
        ("newer.log", "update wramp"),
    ] {
        let refusal = open(name).expect_err(name);
        assert!(refusal.contains(words), "{name}: {refusal}");
    }
}

#[test]
fn bytes_may_come_in_any_pieces() {
    let bytes = read_golden("interleaved-reset.log");
    let whole = Log::read("a", &*bytes).unwrap();
    for size in [1, 7, 100, 4097] {
        let mut log = Log::new("a");
        for piece in bytes.chunks(size) {
            log.push(piece, |_, _, _| ());
        }
        log.finish(|_, _, _| ());
        assert_eq!(peaks(&log), peaks(&whole));
        assert_eq!(
            (log.lines, log.foreign, log.unread),
            (whole.lines, whole.foreign, whole.unread)
        );
    }
}

#[test]
fn memory_is_bounded_however_long_the_log() {
    let record = support::ramp(&support::PUBLISHED[0])[5].clone();
    let mut log = Log::new("long");
    log.push(support::header("linux", 64).as_bytes(), |_, _, _| ());
    let block = record.repeat(1000);
    for _ in 0..60 {
        log.push(block.as_bytes(), |_, _, _| ());
    }
    log.finish(|_, _, _| ());
    let ramp = log.ramps().next().unwrap();
    assert_eq!(ramp.steps.seen(), 60_000);
    let kept: usize = ramp.steps.iter().map(|step| step.line().len()).sum();
    assert!(kept <= KEPT_BYTES + 1000, "{kept}");
    assert!(log.remarks().join("\n").contains("too many records"));
}

/// A board that begins again and again makes no more memory than one that does not, and the run
/// that counts is the last.
#[test]
fn a_boot_loop_is_bounded_and_its_last_run_is_kept() {
    let once: String = support::board("mps2/an385", 32)
        .lines()
        .take(9)
        .fold(String::new(), |text, line| text + line + "\n");
    let mut log = Log::new("loop");
    for _ in 0..5000 {
        log.push(once.as_bytes(), |_, _, _| ());
    }
    log.push(support::board("nrf/last", 32).as_bytes(), |_, _, _| ());
    log.finish(|_, _, _| ());
    assert_eq!((log.runs.len(), log.dropped), (KEPT_RUNS, 5001 - KEPT_RUNS as u64));
    let last = log.runs.last().unwrap();
    assert_eq!((last.board(), last.done.is_some(), last.ramps.len()), ("nrf/last", true, 3));
    assert_eq!(log.best().unwrap().line, last.line);
    let most = log.ramps().map(|ramp| ramp.steps.seen() + ramp.parts.len()).max().unwrap();
    assert!(most <= 64, "no run swallows the records of others: {most}");
    let remarks = log.remarks();
    assert!(remarks.len() < 32 && remarks.join("").contains("boot loop"), "{remarks:?}");
}

/// Of a line of any length, no more is kept than the end where a record can be.
#[test]
fn a_line_without_end_is_bounded() {
    let mut log = Log::new("line");
    let chunk = vec![b'x'; 64 << 10];
    for _ in 0..512 {
        log.push(&chunk, |_, _, _| ());
        assert!(log.partial().len() <= 2 * LINE_BYTES);
    }
    log.push(support::board("linux", 64).as_bytes(), |_, _, _| ());
    assert_eq!(log.runs.len(), 1, "the record at its end is read");
}

/// Lines that are almost records.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let records: Vec<String> = support::board("mps2/an385", 32).lines().map(Into::into).collect();
    prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..300),
        3 => (proptest::sample::select(records.clone()), any::<prop::sample::Index>(), any::<u8>())
            .prop_map(|(line, at, byte)| {
                let mut bytes = line.into_bytes();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes
            }),
        3 => proptest::sample::select(records.clone()).prop_map(String::into_bytes),
        1 => (proptest::sample::select(records.clone()), any::<prop::sample::Index>())
            .prop_map(|(line, at)| line.as_bytes()[..at.index(line.len())].to_vec()),
        1 => proptest::collection::vec(proptest::sample::select(records.clone()), 2..4)
            .prop_map(|lines| lines.concat().into_bytes()),
        1 => "wramp [a-z]{0,9}( [a-z_]{1,9}=[0-9a-z.]{0,5}){0,5}( crc=[0-9a-f]{4})?"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(lines in proptest::collection::vec(line(), 0..40)) {
        let bytes = lines.join(&b'\n');
        let mut log = Log::new("any");
        let mut seen = 0;
        log.push(&bytes, |_, _, _| seen += 1);
        log.finish(|_, _, _| seen += 1);
        prop_assert_eq!(log.lines, seen);
        prop_assert!(log.foreign + log.unread <= log.lines);
        let _ = (log.refusal(), log.remarks());
        let logs = [log];
        for which in log_tables::ALL {
            let table = which.of(&logs);
            let _ = (table.text(), table.markdown(), table.csv(), table.json(), table.html());
        }
        let charts = log_charts::charts(&logs);
        let _ = page::page(&logs, &charts);
    }
}
