//! Tests the sentences of docs/guest.md, with bad guests too.

mod reference;

use reference::{
    ALL, EMPTY, FULL, Host, LOG_BURST, Leave, MESSAGE_BYTES, NO_INSTANCE, Place, TOO_LONG, guest,
};

/// A guest with all imports, one page of memory, and these functions.
fn module(functions: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
        (import "wramp" "log" (func $log (param i32 i32)))
        (import "wramp" "now_us" (func $now_us (result i64)))
        (import "wramp" "id" (func $id (result i32)))
        (import "wramp" "send" (func $send (param i32 i32 i32) (result i32)))
        (import "wramp" "receive" (func $receive (param i32 i32) (result i32)))
        (import "wramp" "wait" (func $wait (param i32)))
        (import "wramp" "sleep" (func $sleep (param i32)))
        (memory (export "memory") 1 1)
        (global $step (mut i32) (i32.const 0))
        {functions})"#
    );
    wat::parse_str(&text).unwrap()
}

/// A guest that exports `run` with this type and body.
fn run(result: &str, body: &str) -> Vec<u8> {
    module(&format!(r#"(func (export "run") {result} {body})"#))
}

/// A guest that exports `wramp_poll` with this body.
fn poll(body: &str) -> Vec<u8> {
    module(&format!(r#"(func (export "wramp_poll") (result i32) {body})"#))
}

/// The value that an i32 expression returns in one step.
fn value(expression: &str) -> i64 {
    let mut host = Host::new(2);
    let id = host.start(&run("(result i32)", expression), &ALL).unwrap();
    host.run(1);
    assert!(!matches!(host.place(id), Place::Failed(_)), "{expression}: {:?}", host.place(id));
    host.values(id)[0]
}

/// Why a step with an i32 expression failed.
fn failure(expression: &str) -> String {
    let mut host = Host::new(2);
    let id = host.start(&run("(result i32)", expression), &ALL).unwrap();
    let neighbour = host.start(&run("(result i32)", "i32.const 7"), &ALL).unwrap();
    host.run(4);
    assert_eq!(host.steps(neighbour), 3, "a neighbour goes on");
    match host.place(id) {
        Place::Failed(text) => text,
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn a_guest_without_imports_is_called_at_each_turn() {
    let wasm =
        wat::parse_str(r#"(module (func (export "run") (result i32) i32.const 5))"#).unwrap();
    let mut host = Host::new(1);
    let id = host.start(&wasm, &Leave::default()).unwrap();
    assert_eq!(host.run(10), 10);
    assert_eq!(host.values(id), [5; 10]);
    assert_eq!(host.now_us(), 0);
}

#[test]
fn a_value_is_judged_and_the_wait_kept() {
    let wasm = run(
        "(result i32)",
        "(global.set $step (i32.add (global.get $step) (i32.const 1)))
         (call $wait (i32.const 250)) (global.get $step)",
    );
    let mut host = Host::new(1);
    let id = host.start(&wasm, &ALL).unwrap();
    assert_eq!(host.run(5), 5);
    assert_eq!(host.values(id), [1, 2, 3, 4, 5]);
    assert_eq!(host.now_us(), 1_000_000);
}

#[test]
fn the_earliest_time_counts() {
    for (calls, expected) in [
        ("(call $sleep (i32.const 70)) (call $sleep (i32.const 30))", 30_000),
        ("(call $sleep (i32.const 30)) (call $wait (i32.const 70))", 30_000),
        ("(call $wait (i32.const -1)) (call $sleep (i32.const 50))", 50_000),
        ("(call $wait (i32.const 0))", 0),
        // 2^32 - 2 ms, which is 49.7 days, is the longest sleep.
        ("(call $sleep (i32.const -2))", 4_294_967_294_000),
    ] {
        let mut host = Host::new(1);
        host.start(&poll(&format!("{calls} (i32.const 1)")), &ALL).unwrap();
        assert_eq!(host.run(2), 2, "{calls}");
        assert_eq!(host.now_us(), expected, "{calls}");
    }
}

#[test]
fn a_wish_does_not_outlive_its_step() {
    // The first step sleeps. The second has no wish, so only a message ends its wait.
    let wasm = poll(
        "(if (i32.eqz (global.get $step)) (then (call $sleep (i32.const 10))))
         (global.set $step (i32.const 1)) (i32.const 1)",
    );
    let mut host = Host::new(1);
    let id = host.start(&wasm, &ALL).unwrap();
    assert_eq!(host.run(100), 2);
    assert_eq!(host.place(id), Place::Waits);
    assert_eq!(host.send(id, b"m"), 0);
    assert_eq!(host.run(1), 1);
}

#[test]
fn a_message_ends_a_wait_and_no_sleep() {
    for (call, steps) in [("wait", 2), ("sleep", 1)] {
        let wasm = poll(&format!("(call ${call} (i32.const -1)) (i32.const 1)"));
        let mut host = Host::new(1);
        let id = host.start(&wasm, &ALL).unwrap();
        host.run(1);
        assert_eq!(host.run(1), 0, "{call}: nothing is there");
        assert_eq!(host.send(id, b"m"), 0);
        // The guest does not take the message, so it would end the next wait too.
        assert_eq!(1 + host.run(1), steps, "{call}");
    }
}

#[test]
fn results_of_a_poll() {
    for (result, expected) in [
        (0, Place::Done),
        (1, Place::Waits),
        (2, Place::Failed("wramp_poll gave 2: 0 is done, 1 is wait".into())),
        (-1, Place::Failed("wramp_poll gave -1: 0 is done, 1 is wait".into())),
    ] {
        let mut host = Host::new(1);
        let id = host.start(&poll(&format!("(i32.const {result})")), &ALL).unwrap();
        assert_eq!(host.run(10), 1);
        assert_eq!(host.place(id), expected);
    }
}

#[test]
fn who_has_ended_gets_no_message() {
    for end in ["(i32.const 0)", "(unreachable)"] {
        let mut host = Host::new(1);
        let id = host.start(&poll(end), &ALL).unwrap();
        assert_eq!(host.send(id, b"early"), 0);
        host.run(1);
        assert_eq!(host.send(id, b"late"), NO_INSTANCE);
        assert_eq!(host.take(id), None);
    }
}

#[test]
fn messages_of_all_lengths() {
    let page = 65_536;
    let send = |to: i32, at: u32, length: u32| {
        format!("(call $send (i32.const {to}) (i32.const {at}) (i32.const {length}))")
    };
    assert_eq!(value(&send(0, 0, 0)), 0);
    assert_eq!(value(&send(0, 0, MESSAGE_BYTES)), 0);
    assert_eq!(value(&send(0, page - MESSAGE_BYTES, MESSAGE_BYTES)), 0);
    assert_eq!(value(&send(0, page, 0)), 0, "nothing, at the very end");
    assert_eq!(value(&send(0, 0, MESSAGE_BYTES + 1)), TOO_LONG.into());
    assert_eq!(value(&send(0, 0, page)), TOO_LONG.into());
    for nobody in [1, -1, i32::MAX, i32::MIN] {
        assert_eq!(value(&send(nobody, 0, 1)), NO_INSTANCE.into());
        // The length is checked before the receiver.
        assert_eq!(value(&send(nobody, 0, MESSAGE_BYTES + 1)), TOO_LONG.into());
    }
}

#[test]
fn a_pointer_beyond_memory_is_a_trap_of_that_guest() {
    for (at, length) in [
        (65_536, 1),
        (65_535, 2),
        (65_281, 256),
        (0, 65_537),
        (1, 65_536),
        (-1, 0),
        (-1, 1),
        (-1, -1),
        (0, -1),
        (4, -4),
    ] {
        for (name, call) in [
            ("log", format!("(call $log (i32.const {at}) (i32.const {length})) (i32.const 0)")),
            ("send", format!("(call $send (i32.const 0) (i32.const {at}) (i32.const {length}))")),
            // The pointer is checked before the receiver.
            ("send", format!("(call $send (i32.const 99) (i32.const {at}) (i32.const {length}))")),
            ("receive", format!("(call $receive (i32.const {at}) (i32.const {length}))")),
        ] {
            let why = failure(&call);
            let unsigned = |n: i32| n.cast_unsigned();
            let expected = format!(
                "wramp.{name}: {} bytes at {} are beyond 65536 bytes of memory",
                unsigned(length),
                unsigned(at)
            );
            assert!(why.contains(&expected), "{why}");
        }
    }
}

#[test]
fn a_guest_without_memory_has_no_pointers() {
    let wasm = wat::parse_str(
        r#"(module (import "wramp" "log" (func $log (param i32 i32)))
           (func (export "run") (call $log (i32.const 0) (i32.const 1))))"#,
    )
    .unwrap();
    let mut host = Host::new(1);
    let id = host.start(&wasm, &ALL).unwrap();
    host.run(1);
    assert!(matches!(host.place(id), Place::Failed(why) if why.contains("beyond 0 bytes")));
}

#[test]
fn a_message_longer_than_the_buffer_stays() {
    let wasm = run(
        "(result i32)",
        "(global.set $step (i32.add (global.get $step) (i32.const 1)))
         (call $receive (i32.const 0) (i32.mul (global.get $step) (i32.const 2)))",
    );
    let mut host = Host::new(4);
    let id = host.start(&wasm, &ALL).unwrap();
    assert_eq!(host.send(id, b"abcd"), 0);
    assert_eq!(host.send(id, b""), 0);
    host.run(4);
    assert_eq!(host.values(id), [TOO_LONG.into(), 4, 0, EMPTY.into()]);
}

#[test]
fn a_full_queue_is_a_result() {
    let to_itself = run("(result i32)", "(call $send (call $id) (i32.const 0) (i32.const 8))");
    for room in [1, 2, 8] {
        let mut host = Host::new(room);
        let id = host.start(&to_itself, &ALL).unwrap();
        host.run(10);
        let values = host.values(id);
        assert!(values[..room].iter().all(|&value| value == 0));
        assert!(values[room..].iter().all(|&value| value == FULL.into()));
    }
}

#[test]
fn an_instance_that_never_receives_has_no_queue() {
    let deaf = r#"(module (func (export "wramp_poll") (result i32) i32.const 1))"#;
    let mut host = Host::new(8);
    let id = host.start(&wat::parse_str(deaf).unwrap(), &ALL).unwrap();
    assert_eq!(host.send(id, b""), FULL);
}

#[test]
fn what_was_sent_stays_sent_after_a_trap() {
    let wasm = run(
        "(result i32)",
        "(drop (call $send (i32.const 1) (i32.const 0) (i32.const 3))) (unreachable)",
    );
    let mut host = Host::new(4);
    host.start(&wasm, &ALL).unwrap();
    let player = host.player();
    host.run(1);
    assert_eq!(host.take(player).unwrap(), [0; 3]);
}

#[test]
fn a_flood_of_lines_is_counted() {
    let wasm = run(
        "(result i32)",
        "(call $log (i32.const 0) (i32.const 1)) (call $sleep (i32.const 10)) (i32.const 0)",
    );
    let mut host = Host::new(1);
    host.start(&wasm, &ALL).unwrap();
    // 10 s at 100 lines a second.
    host.run(1_000);
    let lines = host.lines();
    let written = lines.iter().filter(|line| *line == "guest 0: ?").count();
    assert!((50..=60).contains(&written), "16 and 4 a second, not {written}");
    assert!(lines.iter().any(|line| line.ends_with("lines dropped)")), "{lines:?}");
    assert_eq!(lines[LOG_BURST as usize - 1], "guest 0: ?");
}

#[test]
fn a_line_is_cut_cleaned_and_never_a_record() {
    let text = |data: &str, length: u32| {
        let functions = format!(
            r#"(data (i32.const 0) "{data}")
            (func (export "run") (call $log (i32.const 0) (i32.const {length})))"#
        );
        let mut host = Host::new(1);
        host.start(&module(&functions), &ALL).unwrap();
        host.run(1);
        host.lines().remove(0)
    };
    assert_eq!(text("wramp step", 10), "guest 0: wramp_step");
    assert_eq!(text("a\\nwramp step", 12), "guest 0: a?wramp_step");
    assert_eq!(text("\\1b[2J\\07\\7f", 6), "guest 0: ?[2J??");
    assert_eq!(text("gr\\c3\\bcn\\ff", 6), "guest 0: gr\u{fc}n?");
    // U+009B and U+202E.
    assert_eq!(text("\\c2\\9b\\e2\\80\\ae", 5), "guest 0: ??");
    assert_eq!(text(&"x".repeat(200), 200), format!("guest 0: {}", "x".repeat(96)));
    assert_eq!(text("", 0), "guest 0: ");
}

#[test]
fn wrong_types_unknown_names_and_stubs() {
    let wasm = wat::parse_str(
        r#"(module
        (import "wramp" "log" (func (param i32)))
        (import "wramp" "shout" (func (param i32 i32)))
        (import "env" "start_trigger" (func))
        (import "env" "clock_ms" (func (result i64)))
        (import "env" "read" (func (result i32)))
        (import "env" "memory" (memory 1))
        (func (export "run")))"#,
    )
    .unwrap();
    let mut host = Host::new(1);
    let leave = Leave { allow: &["log"], stub: &["env.start_trigger", "env.read"] };
    let refused = host.start(&wasm, &leave).unwrap_err();
    assert_eq!(
        refused,
        [
            "wramp.log: is (i32, i32) -> (), not (i32) -> ()",
            "wramp.shout: --stub wramp.shout, or link it into the module",
            "env.clock_ms: allow it with --allow clock_ms",
            "env.read: a stub has no result, this has () -> (i32)",
            "env.memory: only functions can be imported",
        ]
    );
    let wasm = wat::parse_str(
        r#"(module
        (import "env" "start_trigger" (func $start (param i32)))
        (import "env" "clock_ms" (func $clock_ms (result i64)))
        (func (export "run") (result i32) (call $start (i32.const 1)) (i32.wrap_i64 (call $clock_ms))))"#,
    )
    .unwrap();
    let leave = Leave { allow: &["clock_ms"], stub: &["env.start_trigger"] };
    let id = host.start(&wasm, &leave).unwrap();
    host.run(1);
    assert_eq!(host.values(id), [0]);
}

#[test]
fn a_panic_is_a_line_then_a_trap_and_the_task_is_over() {
    let mut host = Host::new(8);
    let id = host.start(&guest("rust/guest/examples/divide.wasm"), &ALL).unwrap();
    let next = host.player();
    for number in [7_i32, 0, 5] {
        assert_eq!(host.send(id, &number.to_le_bytes()), 0);
    }
    host.run(10);
    assert!(matches!(host.place(id), Place::Failed(_)));
    assert_eq!(host.take(next).unwrap(), 720_i32.to_le_bytes());
    assert_eq!(host.take(next), None);
    assert_eq!(
        host.lines(),
        ["guest 0: panic at guest/examples/divide.rs:10: attempt to divide by zero"]
    );
    // If a host calls it again nevertheless, the guest logs why it does not go on.
    host.step_again(id);
    let lines = host.lines();
    assert!(lines[1].ends_with("the task is in a step, or trapped in one"), "{lines:?}");
}

#[test]
fn order_is_kept_for_each_pair() {
    // Instances 0 and 1 send their number and a count to instance 2, whose queue is short.
    let sender = module(
        r#"(func (export "run")
            (i32.store (i32.const 0) (call $id))
            (i32.store (i32.const 4) (global.get $step))
            (if (i32.eqz (call $send (i32.const 2) (i32.const 0) (i32.const 8)))
              (then (global.set $step (i32.add (global.get $step) (i32.const 1))))))"#,
    );
    let mut host = Host::new(3);
    host.start(&sender, &ALL).unwrap();
    host.start(&sender, &ALL).unwrap();
    let sink = host.player();
    let mut next = [0_u32; 2];
    for round in 0..500 {
        host.run(1 + round % 7);
        while let Some(message) = host.take(sink) {
            let word = |at: usize| u32::from_le_bytes(message[at..at + 4].try_into().unwrap());
            let from = word(0) as usize;
            assert_eq!(word(4), next[from], "of {from}");
            next[from] += 1;
        }
    }
    assert!(next.iter().all(|&count| count > 100), "{next:?}");
}
