//! Real modules with imports, through `wramp run`.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use support::{scratch, stderr, stdout, wramp_in};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A small ramp, unless a test says otherwise.
const RAMP: [[&str; 2]; 5] = [
    ["--slots", "2"],
    ["--settle-ms", "20"],
    ["--dwell-ms", "200"],
    ["--arena-bytes", "1M"],
    ["--format", "records"],
];

/// Runs a module of the repository.
fn run(module: &str, options: &[&str]) -> Output {
    // A pool has as many slots as workers.
    let is_said =
        |name| options.contains(name) || *name == "--slots" && options.contains(&"--workers");
    let ramp = RAMP.iter().filter(|[name, _]| !is_said(name)).flatten().copied();
    let arguments: Vec<_> = ["run", "--module", module].into_iter().chain(ramp).collect();
    wramp_in(repository(), &[&arguments[..], options].concat())
}

/// The same, of a text.
fn run_text(name: &str, text: &str, options: &[&str]) -> Output {
    let path = scratch(name).join("guest.wat");
    std::fs::write(&path, text).unwrap();
    run(path.to_str().unwrap(), options)
}

/// Every way in which instances share threads.
const MODES: [&[&str]; 4] = [
    &["--mode", "threads"],
    &["--mode", "pool", "--workers", "1", "--pause-ms", "0"],
    &["--mode", "pool", "--workers", "3", "--pause-ms", "0"],
    &["--mode", "cooperative", "--pause-ms", "0"],
];

/// Runs a text in each mode, up to two instances.
fn in_each_mode(name: &str, text: &str, options: &[&str], judge: impl Fn(&Output)) {
    for mode in MODES {
        // An arena for two of them ends a pool's ramp, as the slots end the other.
        let options = [options, mode].concat();
        let output = run_text(name, text, &options);
        let said = stdout(&output);
        // Without a thread only a budget can end a call, so a build without one refuses the run.
        if mode.contains(&"cooperative") && said.contains(" budget=unsupported ") {
            let refused = output.status.code() == Some(2);
            assert!(refused && said.contains(" knob=--budget-instructions "), "{said}");
            continue;
        }
        judge(&output);
    }
}

/// The records of a run that went well: nothing failed and nothing leaked.
fn well(output: &Output) -> String {
    let text = stdout(output);
    assert!(output.status.success(), "{text}{}", stderr(output));
    let end = record(&text, "end");
    assert_eq!((key(end, "errors"), key(end, "leaked_bytes")), ("0", "0"), "{end}");
    text
}

/// The last record of that kind.
fn record<'t>(text: &'t str, kind: &str) -> &'t str {
    let begin = format!("wramp {kind} ");
    text.lines().rfind(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{kind}: {text}"))
}

fn key<'t>(record: &'t str, key: &str) -> &'t str {
    let begin = format!("{key}=");
    let find = || record.split(' ').find_map(|word| word.strip_prefix(&begin));
    find().unwrap_or_else(|| panic!("{key}: {record}"))
}

fn lines(text: &str, id: u32) -> Vec<&str> {
    let begin = format!("guest {id}: ");
    text.lines().filter_map(|line| line.strip_prefix(&begin)).collect()
}

#[test]
fn a_program_in_c_says_hello_at_each_call() {
    let text = well(&run("guest/wasi/hello_c.wasm", &["--allow", "log"]));
    for id in 0..2 {
        // A `main` runs once in a memory, so each call gets a new one.
        assert_eq!(lines(&text, id)[..4], ["hello from C", "there is no HOME"].repeat(2), "{id}");
    }
    assert!(key(record(&text, "end"), "calls").parse::<u32>().unwrap() > 10, "{text}");
}

#[test]
fn assembly_script_needs_no_leave_and_all_instances_agree() {
    let text = well(&run("guest/wasi/hello_as.wasm", &[]));
    assert!(key(record(&text, "end"), "calls").parse::<u32>().unwrap() > 10, "{text}");
    assert!(!text.contains("guest "), "{text}");
}

#[test]
fn a_guest_of_the_kit_sleeps_between_its_steps() {
    for module in ["guest/counter.wasm", "rust/guest/examples/counter.wasm"] {
        let text = well(&run(module, &["--allow", "log", "--dwell-ms", "700", "--slots", "1"]));
        // It says something at the end of each second. Nobody calls it in between.
        let calls: u32 = key(record(&text, "end"), "calls").parse().unwrap();
        assert!((1..=3).contains(&calls), "{calls} calls: {text}");
    }
}

#[test]
fn a_guest_that_waits_for_ever_costs_no_time_and_is_no_error() {
    let text = well(&run("guest/echo.wasm", &["--allow", "send,receive"]));
    let end = record(&text, "end");
    assert_eq!((key(end, "peak"), key(end, "calls")), ("2", "2"), "{text}");
}

#[test]
fn a_module_without_imports_is_as_ever() {
    let text = well(&run("guest/sha256.wasm", &[]));
    assert!(key(record(&text, "end"), "calls").parse::<u32>().unwrap() > 10, "{text}");
}

#[test]
fn what_is_missing_is_named_at_once() {
    let output = run("rust/guest/examples/pipeline.wasm", &["--allow", "log"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    for words in [
        "it may not have 2 of its imports:",
        "\n  wramp.send: not allowed: --allow send\n",
        "\n  wramp.receive: not allowed: --allow receive\n",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(stdout(&output).is_empty());
}

#[test]
fn a_start_function_and_an_initialize_have_a_host() {
    let text = r#"(module
        (import "wramp" "log" (func $log (param i32 i32)))
        (import "wramp" "sleep" (func $sleep (param i32)))
        (memory 1) (data (i32.const 0) "startinitrun")
        (func $start (call $log (i32.const 0) (i32.const 5)) (call $sleep (i32.const -1)))
        (start $start)
        (func (export "_initialize") (call $log (i32.const 5) (i32.const 4)) (call $sleep (i32.const -1)))
        (func (export "run") (call $log (i32.const 9) (i32.const 3)) (call $sleep (i32.const 150))))"#;
    let text = well(&run_text("initialize", text, &["--allow", "log", "--slots", "1"]));
    let said = lines(&text, 0);
    assert_eq!(said[..4], ["start", "init", "run", "run"], "{text}");
    // What they wished for had no effect, and they run once.
    assert!(said[2..].iter().all(|line| *line == "run") && said.len() < 8, "{said:?}");
}

#[test]
fn any_result_is_judged_by_its_bits() {
    for (gives, same, differs) in [
        ("", "", None),
        (
            "(result i64)",
            "(i64.const 0x1_0000_0000)",
            Some("(i64.shl (i64.extend_i32_u (call $id)) (i64.const 32))"),
        ),
        ("(result f32)", "(f32.const nan)", Some("(f32.convert_i32_u (call $id))")),
        ("(result f64)", "(f64.const -0.5)", Some("(f64.convert_i32_u (call $id))")),
    ] {
        let module = |body: &str| {
            format!(
                r#"(module (import "wramp" "id" (func $id (result i32)))
                (func (export "tick") (param i32) {gives} {body}))"#
            )
        };
        let options = ["--export", "tick", "--dwell-ms", "30"];
        well(&run_text("same", &module(same), &options));
        let Some(differs) = differs else { continue };
        let output = run_text("differs", &module(differs), &options);
        assert_eq!(output.status.code(), Some(1), "{gives}");
        let instance = record(&stdout(&output), "instance").to_owned();
        assert_eq!(key(&instance, "error"), "wrong-result", "{gives}");
    }
}

#[test]
fn an_exit_is_a_result_or_an_error_with_its_code() {
    let module = |code: i32| {
        format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const {code})) unreachable))"#
        )
    };
    well(&run_text("exit0", &module(0), &[]));
    let output = run_text("exit3", &module(3), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let instance = record(&text, "instance");
    assert_eq!(key(instance, "message"), "exit_code_3");
    assert_eq!(key(instance, "calls"), key(instance, "errors"), "it is called again: {text}");
}

#[test]
fn a_poll_of_another_number_ends_its_instance_and_no_other() {
    let text = r#"(module (import "wramp" "id" (func $id (result i32)))
        (func (export "wramp_poll") (result i32)
          (if (result i32) (call $id) (then (i32.const 7)) (else (i32.const 1)))))"#;
    let output = run_text("poll", text, &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let instance = record(&text, "instance");
    assert_eq!((key(instance, "id"), key(instance, "calls")), ("1", "1"), "{text}");
    assert_eq!(key(instance, "message"), "wramp%5fpoll_gave_7:_0_is_done,_1_is_wait");
    assert_eq!(key(record(&text, "end"), "errors"), "1");
}

/// A guest of which each step makes a call and traps unless its result is as expected.
fn expecting(call: &str, result: &str) -> String {
    format!(
        r#"(module
        (import "wramp" "id" (func $id (result i32)))
        (import "wramp" "send" (func $send (param i32 i32 i32) (result i32)))
        (import "wramp" "receive" (func $receive (param i32 i32) (result i32)))
        (memory 1 1)
        (func (export "run") (result i32) (local $got i32)
          (local.set $got {call})
          (if (i32.ne (local.get $got) {result}) (then unreachable))
          (local.get $got)))"#
    )
}

const POST: [&str; 6] = ["--allow", "send,receive", "--arena-bytes", "200K", "--dwell-ms", "20"];

/// What a bad guest does is a result with a number, and its neighbours go on.
#[test]
fn odd_messages_are_results() {
    for (call, result) in [
        // Nobody: beyond the last, and before the first.
        ("(call $send (i32.const 5000) (i32.const 0) (i32.const 4))", "(i32.const -3)"),
        ("(call $send (i32.const -1) (i32.const 0) (i32.const 4))", "(i32.const -3)"),
        // 64 KiB, which is all of its memory.
        ("(call $send (call $id) (i32.const 0) (i32.const 65536))", "(i32.const -4)"),
        // Nothing, from the very end; and it comes back.
        (
            "(i32.add (call $send (call $id) (i32.const 65536) (i32.const 0))
             (call $receive (i32.const 65536) (i32.const 0)))",
            "(i32.const 0)",
        ),
        ("(call $receive (i32.const 0) (i32.const 256))", "(i32.const -1)"),
        // A message of the longest kind, whole.
        (
            "(i32.add (call $send (call $id) (i32.const 0) (i32.const 256))
             (call $receive (i32.const 300) (i32.const 65236)))",
            "(i32.const 256)",
        ),
    ] {
        in_each_mode("odd", &expecting(call, result), &POST, |output| {
            let text = well(output);
            let peak: u32 = key(record(&text, "end"), "peak").parse().unwrap();
            assert!(peak > 1, "{call}: {text}");
        });
    }
}

#[test]
fn a_pointer_at_the_very_end_is_a_trap_of_that_guest_alone() {
    for call in [
        "(call $send (i32.const 0) (i32.const 65528) (i32.const 16))",
        "(call $receive (i32.const 65535) (i32.const 2))",
        "(call $send (i32.const 9) (i32.const -1) (i32.const 1))",
    ] {
        let text = expecting(
            &format!("(if (result i32) (call $id) (then {call}) (else (i32.const 0)))"),
            "(i32.const 0)",
        );
        in_each_mode("pointer", &text, &POST, |output| {
            assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
            let text = stdout(output);
            assert_eq!(key(record(&text, "end"), "leaked_bytes"), "0");
            let of = |id: &str| {
                let begin = "wramp instance ";
                text.lines().find(|line| line.starts_with(begin) && key(line, "id") == id).unwrap()
            };
            let (good, bad) = (of("0"), of("1"));
            assert_eq!((key(good, "result"), key(good, "errors")), ("ok", "0"), "{text}");
            assert_ne!(key(good, "calls"), "1", "it goes on: {text}");
            assert_eq!((key(bad, "error"), key(bad, "calls")), ("trap", key(bad, "errors")));
            assert!(key(bad, "message").contains("are_beyond_65,536_bytes_of_memory"), "{bad}");
        });
    }
}

/// It sends to itself until nothing fits, and never receives.
#[test]
fn a_queue_that_is_never_emptied_is_full_and_no_loss() {
    // 100 bytes with its head: ten fit into 1,048 bytes, and no eleventh ever does.
    let text = r#"(module
        (import "wramp" "id" (func $id (result i32)))
        (import "wramp" "send" (func $send (param i32 i32 i32) (result i32)))
        (import "wramp" "receive" (func $receive (param i32 i32) (result i32)))
        (memory 1 1)
        (global $steps (mut i32) (i32.const 0))
        (func (export "run") (result i32) (local $got i32)
          (global.set $steps (i32.add (global.get $steps) (i32.const 1)))
          (local.set $got (call $send (call $id) (i32.const 0) (i32.const 94)))
          (if (i32.ne (local.get $got)
                (select (i32.const 0) (i32.const -2) (i32.le_u (global.get $steps) (i32.const 10))))
            (then unreachable))
          (local.get $got)))"#;
    let options = ["--allow", "send,receive", "--arena-bytes", "200K", "--dwell-ms", "60"];
    in_each_mode("full", text, &options, |output| {
        let text = well(output);
        assert!(key(record(&text, "instance"), "calls").parse::<u32>().unwrap() > 10, "{text}");
        let mail = record(&text, "mail");
        let count = |name| key(mail, name).parse::<i64>().unwrap();
        // What nobody read is counted, and what was not sent is too.
        assert_eq!((count("received"), count("dropped")), (0, 0), "{mail}");
        assert!(count("sent") == count("unread") && count("sent") % 10 == 0, "{mail}");
        assert!(count("full") > 0 && count("queue_most_bytes") == 1000, "{mail}");
    });
}

/// 2^32 - 2 ms are 49.7 days, and -1 is for ever. The run ends all the same, at once.
#[test]
fn a_wait_of_49_days_holds_nobody_up() {
    for ms in [-1, -2] {
        for name in ["wait", "sleep"] {
            let text = format!(
                r#"(module (import "wramp" "{name}" (func $rest (param i32)))
                (func (export "wramp_poll") (result i32) (call $rest (i32.const {ms})) (i32.const 1)))"#
            );
            in_each_mode("days", &text, &["--arena-bytes", "40K", "--dwell-ms", "20"], |output| {
                let text = well(output);
                let end = record(&text, "end");
                assert_eq!(key(end, "calls"), key(end, "peak"), "a step each: {text}");
            });
        }
    }
}

#[test]
fn a_flood_of_lines_is_cut_and_counted() {
    let text = r#"(module (import "wramp" "log" (func $log (param i32 i32)))
        (memory 1 1) (data (i32.const 0) "wramp done workloads=0 errors=0 exit=0 crc=0000")
        (func (export "run") (call $log (i32.const 0) (i32.const 47))))"#;
    in_each_mode(
        "flood",
        text,
        &["--allow", "log", "--arena-bytes", "200K", "--dwell-ms", "300"],
        |output| {
            let text = well(output);
            let said = lines(&text, 0);
            assert!(said.len() < 60, "16 and 4 a second: {} lines", said.len());
            assert!(said.iter().any(|line| line.ends_with("lines dropped)")), "{text}");
            assert!(
                said.iter().all(|line| line.starts_with("wramp_done") || line.starts_with('('))
            );
            // The one that is a record is ours.
            assert_eq!(text.lines().filter(|line| line.contains("wramp done")).count(), 1);
        },
    );
}

/// Instance 0 sends a number on to 1, which answers: a hundred times, in order.
#[test]
fn messages_wake_and_come_in_order() {
    let text = r#"(module
        (import "wramp" "id" (func $id (result i32)))
        (import "wramp" "send" (func $send (param i32 i32 i32) (result i32)))
        (import "wramp" "receive" (func $receive (param i32 i32) (result i32)))
        (import "wramp" "sleep" (func $sleep (param i32)))
        (import "wramp" "log" (func $log (param i32 i32)))
        (memory 1 1) (data (i32.const 64) "a hundred")
        (global $next (mut i32) (i32.const 0))
        (func (export "wramp_poll") (result i32)
          (if (i32.gt_u (call $id) (i32.const 1)) (then (return (i32.const 0))))
          (if (i32.and (i32.eqz (call $id)) (i32.eqz (global.get $next)))
            (then
              (if (call $send (i32.const 1) (i32.const 0) (i32.const 4))
                (then (call $sleep (i32.const 1)) (return (i32.const 1))))
              (global.set $next (i32.const 1))
              (return (i32.const 1))))
          (block $none
            (loop $all
              (br_if $none (i32.ne (call $receive (i32.const 0) (i32.const 4)) (i32.const 4)))
              (if (i32.ne (i32.load (i32.const 0)) (i32.sub (global.get $next) (i32.eqz (call $id))))
                (then unreachable))
              (global.set $next (i32.add (global.get $next) (i32.const 1)))
              (if (i32.eqz (call $id))
                (then
                  (i32.store (i32.const 0) (i32.sub (global.get $next) (i32.const 1)))
                  (if (i32.eq (global.get $next) (i32.const 101))
                    (then (call $log (i32.const 64) (i32.const 9)) (return (i32.const 0))))))
              (if (call $send (i32.sub (i32.const 1) (call $id)) (i32.const 0) (i32.const 4))
                (then unreachable))
              (br $all)))
          (i32.const 1)))"#;
    let options = ["--allow", "send,receive,log", "--arena-bytes", "200K", "--dwell-ms", "300"];
    in_each_mode("order", text, &options, |output| {
        let text = well(output);
        assert_eq!(lines(&text, 0), ["a hundred"], "{text}");
        let end = record(&text, "end");
        assert!(key(end, "calls").parse::<u32>().unwrap() >= 200, "{end}");
        // A hundred there, a hundred back, and all were read.
        let mail = record(&text, "mail");
        let count = |name| key(mail, name).parse::<i64>().unwrap();
        assert_eq!((count("sent"), count("received"), count("unread")), (200, 200, 0), "{mail}");
        assert_eq!((count("dropped"), count("queue_bytes")), (0, 1048), "{mail}");
        assert!(count("queue_most_bytes") >= 10 && count("sent_per_second") > 0, "{mail}");
        assert!(key(mail, "delivery_p99_us").parse::<f64>().unwrap() > 0.0, "{mail}");
    });
}

/// Guests that wait take no time of a worker's, and wake when they said.
#[test]
fn a_hundred_that_wait_a_tenth_of_a_second() {
    let text = r#"(module (import "wramp" "sleep" (func $sleep (param i32)))
        (func (export "wramp_poll") (result i32) (call $sleep (i32.const 100)) (i32.const 1)))"#;
    for workers in ["1", "4"] {
        let options = [
            "--mode",
            "pool",
            "--workers",
            workers,
            "--step",
            "100",
            "--arena-bytes",
            "128K",
            "--wasm-stack-bytes",
            "1K",
            "--dwell-ms",
            "1000",
            "--pause-ms",
            "0",
        ];
        let text = well(&run_text("hundred", text, &options));
        let step = text
            .lines()
            .find(|line| line.starts_with("wramp step ") && key(line, "instances") == "100");
        let step = step.unwrap_or_else(|| panic!("{text}"));
        // Ten a second each, and no more.
        let calls: u32 = key(step, "dwell_calls").parse().unwrap();
        assert!((700..=1100).contains(&calls), "{step}");
        assert!(key(step, "wake_p99_us").parse::<f64>().unwrap() > 0.0, "{step}");
        assert!(!step.contains("turnaround"), "{step}");
    }
}

/// Nobody answers the calls of a parked guest, so a park refuses one that needs a host.
#[test]
fn a_park_refuses_a_guest_with_a_host() {
    let text = r#"(module (import "wramp" "sleep" (func $sleep (param i32)))
        (func (export "wramp_poll") (result i32) (call $sleep (i32.const 100)) (i32.const 1)))"#;
    let output = run_text("parked", text, &["--mode", "park", "--workers", "2"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{text}{}", stderr(&output));
    let fault = record(&text, "fault");
    assert_eq!((key(fault, "error"), key(fault, "knob")), ("not-parkable", "--mode"), "{fault}");
}

/// Three ramps in which guests send each other messages. Each guest checks the order of what it
/// gets, and traps where a message is missing.
#[test]
fn messages_keep_their_order_and_none_is_lost() {
    for mode in [&["--mode", "pool", "--workers", "2"][..], &["--mode", "threads", "--slots", "6"]]
    {
        let ramp =
            ["run", "--scenario", "messages", "--format", "records", "--arena-bytes", "256K"];
        let times = ["--settle-ms", "5", "--dwell-ms", "60", "--step", "5", "--pause-ms", "0"];
        let all = [&ramp[..], &times, mode].concat();
        let text = well(&wramp_in(repository(), &all));
        for name in ["ring", "fan_in", "pipeline"] {
            let begin = format!("wramp mail workload={name} ");
            let mail = text.lines().find(|line| line.starts_with(&begin)).unwrap();
            let count = |name| key(mail, name).parse::<i64>().unwrap();
            assert_eq!((count("dropped"), count("queue_bytes")), (0, 1048), "{mail}");
            assert!(count("sent") > 20 && count("received") > 20, "{mail}");
            assert!(count("sent") == count("received") + count("unread"), "{mail}");
            assert!(count("sent_per_second") > 0 && mail.contains("delivery_p99_us="), "{mail}");
            // The queue is a part of what an instance costs.
            let end = format!("wramp end workload={name} ");
            let end = text.lines().find(|line| line.starts_with(&end)).unwrap();
            assert!(key(end, "cost_bytes").parse::<u32>().unwrap() > 1056 + 1048, "{end}");
            assert_eq!(key(end, "peak"), key(end, "predicted_peak"), "{end}");
        }
        // Five senders and more are faster than one receiver, and are told so.
        let fan_in =
            text.lines().find(|line| line.starts_with("wramp mail workload=fan_in")).unwrap();
        assert_ne!(key(fan_in, "full"), "0", "{fan_in}");
        if mode.contains(&"threads") {
            assert!(text.contains("workload=ring part=queue bytes=1048 "), "{text}");
        }
    }
    let refused = wramp_in(repository(), &["run", "--scenario", "messages", "--workload", "cpu"]);
    assert!(stderr(&refused).contains("leave out --module and --workload"), "{refused:?}");
}

/// A hundred guests that wait a second each take next to no CPU.
#[test]
fn a_hundred_guests_that_wait_take_no_cpu() {
    let pool = ["--mode", "pool", "--workers", "4", "--step", "100", "--arena-bytes", "512K"];
    // The ramp ends where the arena ends, so it takes one rung of a hundred and no second.
    let times = ["--settle-ms", "1000", "--dwell-ms", "3000", "--arena-bytes", "92K"];
    let text = well(&run("wat/host/wait.wat", &[&pool[..6], &times].concat()));
    let step = text.lines().rfind(|line| line.starts_with("wramp step ")).unwrap();
    let number = |name| key(step, name).parse::<f64>().unwrap();
    assert!(number("instances") >= 100.0, "{step}");
    assert!(number("cpu_permille") < 10.0, "{step}");
    // Each woke up three times, and none of them was waited for.
    let calls = number("dwell_calls") / number("instances");
    assert!((2.0..=4.0).contains(&calls), "{step}");
    assert!(number("wake_p50_us") <= number("wake_p99_us"), "{step}");
}

/// A module that checks itself says 0, and a measurement is whatever it is.
#[test]
fn what_a_call_has_to_give_can_be_said() {
    let text = r#"(module (global $calls (mut i32) (i32.const -1))
        (func (export "run") (result i32)
          (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
          (i32.gt_u (global.get $calls) (i32.const 1))))"#;
    let output = run_text("expect", text, &["--expect", "0", "--slots", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let text_of = stdout(&output);
    let instance = record(&text_of, "instance");
    assert!(instance.contains("message=it_gave_1,_and_0_is_right "), "{instance}");
    let answer = record(&text_of, "answer");
    assert_eq!((key(answer, "first"), key(answer, "last")), ("0", "1"));
    well(&run_text("any", text, &["--expect", "any"]));
}
