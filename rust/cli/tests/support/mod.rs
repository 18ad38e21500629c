//! Logs made through the encoder, and a way to run the command.
#![allow(dead_code, missing_docs)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use wramp_core::measure::{Bytes, Nanos, Ratio};
use wramp_core::ramp::Limit;
use wramp_core::report::{
    Done, End, FORMAT_VERSION, Fault, Instance, Load, OnHost, Part, Predict, Record, Run, Step,
    Text, Word, crc16,
};

/// A file of tests/golden.
pub(crate) fn golden(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    path.to_string_lossy().into_owned()
}

pub(crate) fn read_golden(name: &str) -> Vec<u8> {
    std::fs::read(golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn wramp(arguments: &[&str]) -> Output {
    wramp_in(std::env::temp_dir(), arguments)
}

pub(crate) fn wramp_in(directory: PathBuf, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wramp"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("the command starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory of this test's own, empty.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a scratch directory");
    path
}

/// What a synthetic board measures of a workload.
pub(crate) struct Shape {
    pub(crate) workload: &'static str,
    pub(crate) module: u32,
    pub(crate) cost: u32,
    pub(crate) peak: u32,
    pub(crate) limit: Limit,
    pub(crate) call_us: u64,
}

pub(crate) const ARENA: u32 = 196_608;

/// The published benchmark's figures, as its article describes them.
pub(crate) const PUBLISHED: [Shape; 3] = [
    Shape {
        workload: "cpu",
        module: 632,
        cost: 6456,
        peak: 24,
        limit: Limit::Slots,
        call_us: 26_900,
    },
    Shape {
        workload: "mem",
        module: 712,
        cost: 72_120,
        peak: 2,
        limit: Limit::Arena,
        call_us: 240_286,
    },
    Shape {
        workload: "msg",
        module: 904,
        cost: 72_120,
        peak: 2,
        limit: Limit::Arena,
        call_us: 5_824,
    },
];

pub(crate) fn header(board: &str, pointer_bits: u32) -> String {
    let record = Record::from(Run {
        format: FORMAT_VERSION,
        wramp: Word("0.1.0"),
        board: Word(board),
        os: Word("zephyr-4.1.0"),
        pointer_bits,
        clock_hz: Some(240_000_000),
        cores: 1,
        runtime: Word("wamr"),
        runtime_version: Word("2.4.5"),
        interpreter: Word("classic"),
        interpreter_opt: None,
        block_cache: None,
        aot: None,
        module_copy: None,
        engine_fixes: Some(Word("none")),
        second_opinion: None,
        load_permille: OnHost::default(),
        starved_permille: OnHost::default(),
        artefact: Some(Word("wasm")),
        shares_stack: Some(Word("on")),
        rustc: Word("1.95.0"),
        cc: Some(Word("gcc 12.2.0")),
        scenario: Word("all"),
        mode: Word("threads"),
        workers: None,
        residents: None,
        arena_bytes: Bytes(ARENA),
        arena_unit_bytes: Some(Bytes(8)),
        arena_header_bytes: Some(Bytes(8)),
        arena_at: None,
        heap_at: None,
        slots: 24,
        slot_stack_bytes: Bytes(4096),
        slot_stack_real_bytes: None,
        // As Kconfig has it: frames of an Xtensa are larger.
        slot_stack_least_bytes: Some(Bytes(if board.starts_with("esp32") { 3072 } else { 2048 })),
        stack_guard_bytes: Some(Bytes(1024)),
        wasm_stack_bytes: Bytes(4096),
        fit: None,
        step: 1,
        settle_ms: 200,
        dwell_ms: 1000,
        pause_ms: 5,
        pin: Word("free"),
        slice_ms: Some(20),
        budget: Word("off"),
        stuck_ms: None,
        slo_us: None,
    });
    format!("{record}\n")
}

pub(crate) fn ramp(shape: &Shape) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut push = |record: Record<'_>| lines.push(format!("{record}\n"));
    let workload = Word(shape.workload);
    let loaded = ARENA - 48 - shape.module;
    let free = |instances: u32| Bytes(loaded - instances * shape.cost);
    push(Record::from(Load {
        workload,
        module_bytes: Bytes(126),
        arena_bytes: Bytes(shape.module),
        arena_free_bytes: Bytes(loaded),
        load_us: None,
    }));
    push(Record::from(Predict {
        workload,
        peak: shape.peak,
        limit: shape.limit,
        cost_bytes: Bytes(shape.cost),
        need_bytes: Bytes(shape.cost),
        arena_free_bytes: free(1),
    }));
    for (part, bytes) in [("environment", 5936), ("instance", 520), ("memory", shape.cost - 6456)] {
        if bytes > 0 {
            push(Record::from(Part { workload, part: Word(part), bytes: Bytes(bytes) }));
        }
    }
    let mut calls = 0;
    for instances in 1..=shape.peak {
        // One core, round robin: a call takes as long as one call of every instance.
        let mean = shape.call_us * u64::from(instances) * 1000;
        // The middle of a bucket, which is not quite the calls' time.
        let p50 = mean - mean / 50;
        let dwell_calls = 1_000_000 / (shape.call_us + 5000 / u64::from(instances));
        calls += dwell_calls;
        push(Record::from(Step {
            workload,
            instances,
            running: None,
            arena_free_bytes: free(instances),
            arena_low_bytes: free(instances),
            arena_largest_bytes: free(instances),
            arena_blocks: 4 + 7 * instances,
            cost_bytes: Bytes(shape.cost),
            start_us: None,
            cpu_permille: Some(if instances == 1 { 843 } else { 1000 }),
            uptime_ms: Some(u64::from(instances) * 2300),
            dwell_us: Some(Nanos(1_000_000_000)),
            dwell_calls,
            calls,
            errors: 0,
            latency_mean_us: Some(Nanos(mean)),
            latency_min_us: Some(Nanos(mean - mean / 100)),
            latency_p50_us: Some(Nanos(p50)),
            latency_p99_us: Some(Nanos(mean + mean / 20)),
            latency_max_us: Some(Nanos(mean + mean / 10)),
            turnaround_p50_us: None,
            turnaround_p99_us: None,
            turnaround_max_us: None,
            wake_p50_us: None,
            wake_p99_us: None,
            wake_max_us: None,
        }));
    }
    for id in 0..shape.peak {
        let made = match (shape.workload, id) {
            ("cpu", 0) => 311,
            ("cpu", 1) => 239,
            ("cpu", 2) => 201,
            ("cpu", id) => 6 + 23_u32.saturating_sub(id).pow(2) / 2,
            (_, id) => 40_u32.saturating_sub(10 * id),
        };
        push(Record::from(Instance {
            workload,
            id,
            slot: Some(id),
            alive_ms: Some(u64::from(shape.peak - id) * 2300),
            calls: made,
            errors: 0,
            latency_mean_us: Some(Nanos(shape.call_us * 12_100)),
            latency_min_us: Some(Nanos(shape.call_us * 990)),
            latency_p50_us: Some(Nanos(shape.call_us * 12_000)),
            latency_p99_us: Some(Nanos(shape.call_us * 24_000)),
            latency_max_us: Some(Nanos(shape.call_us * 25_000)),
            stack_used_bytes: Some(Bytes(1384)),
            result: Word("ok"),
            error: None,
            message: None,
        }));
    }
    push(Record::from(End {
        workload,
        peak: shape.peak,
        limit: shape.limit,
        predicted_peak: Some(shape.peak),
        predicted_limit: Some(shape.limit),
        cost_bytes: Some(Bytes(shape.cost)),
        arena_free_bytes: Some(Bytes(ARENA - 48)),
        leaked_bytes: Some(0),
        overdraft_bytes: wramp_core::report::Overdraft::default(),
        calls,
        errors: 0,
        over_budget: None,
        stack_used_bytes: Some(Bytes(1384)),
        fairness: Some(Ratio(9991)),
        error: None,
        message: None,
    }));
    lines
}

pub(crate) fn done() -> String {
    done_after(3)
}

pub(crate) fn done_after(workloads: u32) -> String {
    format!("{}\n", Record::from(Done { workloads, errors: 0, faults: Some(0), exit: 0 }))
}

/// A whole run of a synthetic board.
pub(crate) fn board(name: &str, pointer_bits: u32) -> String {
    let mut text = header(name, pointer_bits);
    for shape in &PUBLISHED {
        text.extend(ramp(shape));
    }
    text + &done()
}

/// The published benchmark, as our firmware would have printed it.
pub(crate) fn esp32s3() -> String {
    let boot = "ESP-ROM:esp32s3-20210327\r\nrst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\n\
                *** Booting Zephyr OS build v4.1.0 ***\r\n";
    boot.to_owned() + &board("esp32s3_devkitc/esp32s3/procpu", 32).replace('\n', "\r\n")
}

/// Log lines between and before the records, one garbled, and a reset in the first ramp.
pub(crate) fn interleaved_reset() -> Vec<u8> {
    let boot = "*** Booting Zephyr OS build v4.1.0 ***\r\n\
                [00:00:00.012,000] <inf> wramp: arena at 0x3fc94000\r\n";
    let mut text = boot.to_owned() + &header("esp32s3_devkitc/esp32s3/procpu", 32);
    let cut = ramp(&PUBLISHED[0]);
    text.extend(cut[..8].iter().cloned());
    text += &cut[8][..40];
    text += "ESP-ROM:esp32s3-20210327\r\nrst:0x7 (TG0WDT_SYS_RST),boot:0x8\r\n";
    text += boot;
    text += &header("esp32s3_devkitc/esp32s3/procpu", 32);
    for shape in &PUBLISHED {
        for (index, line) in ramp(shape).into_iter().enumerate() {
            match index % 9 {
                3 => text += &format!("[00:00:01.{index:03},000] <wrn> net: rx queue full\r\n"),
                // A log line without its end, then the record.
                7 => text += "[00:00:02.000,000] <inf> wifi: ",
                _ => {}
            }
            // A digit was lost on the way.
            text += &if shape.workload == "mem" && index == 3 {
                line.replacen('2', "", 1)
            } else {
                line
            };
        }
    }
    let mut bytes = (text + &done()).into_bytes();
    bytes.splice(0..0, [0xFF, 0xFE, 0x00]);
    bytes
}

/// A header as a later wramp would write it.
pub(crate) fn newer() -> String {
    let tomorrow = format!("format={} ", FORMAT_VERSION + 1);
    rewritten(&header("mps2/an385", 32).replace(&format!("format={FORMAT_VERSION} "), &tomorrow))
}

/// A changed line with its CRC computed anew.
pub(crate) fn rewritten(line: &str) -> String {
    let body = line.rsplit_once(" crc=").map_or("", |(body, _)| body);
    let crc = body.bytes().fold(0xFFFF, crc16);
    format!("{body} crc={crc:04x}\n")
}

/// A log without these keys, as an older version would have written it.
pub(crate) fn without(log: &str, keys: &[&str]) -> String {
    let kept =
        |word: &&str| !keys.iter().any(|key| word.split_once('=').is_some_and(|w| w.0 == *key));
    let line = |line: &str| rewritten(&line.split(' ').filter(kept).collect::<Vec<_>>().join(" "));
    log.lines().map(line).collect()
}

/// A log whose run records have these keys in addition.
pub(crate) fn with(log: &str, keys: &str) -> String {
    let line = |line: &str| match line.starts_with("wramp run ") {
        true => rewritten(&line.replace(" crc=", &format!(" {keys} crc="))),
        false => line.to_owned() + "\n",
    };
    log.lines().map(line).collect()
}

/// A run in which nothing could start.
pub(crate) fn nothing_ran() -> String {
    let fault = Record::from(Fault {
        workload: Some(Word("mem")),
        error: Word("out-of-memory"),
        knob: Some(Word("CONFIG_WRAMP_ARENA_SIZE")),
        message: Text::new("arena too small for mem"),
    });
    let done = Record::from(Done { workloads: 0, errors: 0, faults: Some(1), exit: 2 });
    format!("{}{fault}\n{done}\n", header("mps2/an385", 32))
}
