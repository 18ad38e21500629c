//! Runs the committed example guests in the reference host.

mod reference;

use reference::{ALL, FULL, Host, Leave, Place, guest};

const COUNTERS: [&str; 2] = ["rust/guest/examples/counter.wasm", "guest/counter.wasm"];

/// A number as a message.
fn number(value: i32) -> [u8; 4] {
    value.to_le_bytes()
}

fn taken(host: &mut Host, id: usize) -> Vec<i32> {
    let mut all = Vec::new();
    while let Some(message) = host.take(id) {
        all.push(i32::from_le_bytes(message.try_into().unwrap()));
    }
    all
}

#[test]
fn a_counter_counts_once_a_second_and_ends() {
    for path in COUNTERS {
        let mut host = Host::new(8);
        let id = host.start(&guest(path), &ALL).unwrap();
        // The first step waits, and the last of ten more ends. No step is too early or useless.
        assert_eq!(host.run(1_000), 11, "{path}");
        assert_eq!(host.place(id), Place::Done, "{path}");
        assert_eq!(host.now_us(), 10_000_000, "{path}");
        let lines = host.lines();
        assert_eq!(lines.len(), 11, "{path}: {lines:?}");
        assert!(lines[..10].iter().all(|line| line == "guest 0: one more second"), "{path}");
        assert_eq!(lines[10], "guest 0: done", "{path}");
        // An instance that has ended has no queue.
        assert_eq!(host.send(id, b"x"), reference::NO_INSTANCE, "{path}");
    }
}

#[test]
fn a_hundred_counters_share_a_module_and_nothing_else() {
    for path in COUNTERS {
        let mut host = Host::new(8);
        let wasm = guest(path);
        let ids: Vec<_> = (0..100).map(|_| host.start(&wasm, &ALL).unwrap()).collect();
        assert_eq!(host.run(10_000), 1_100, "{path}");
        assert_eq!(host.now_us(), 10_000_000, "{path}");
        assert!(ids.iter().all(|&id| host.steps(id) == 11), "{path}");
    }
}

#[test]
fn a_sleeping_counter_is_not_woken_by_messages() {
    let mut host = Host::new(8);
    let id = host.start(&guest(COUNTERS[0]), &ALL).unwrap();
    host.run(1);
    // It does not import `receive`, so it has no queue.
    assert_eq!(host.send(id, b"noise"), FULL);
    assert_eq!(host.run(1_000), 10);
}

#[test]
fn the_filter_averages_the_last_eight() {
    let mut host = Host::new(64);
    let filter = host.start(&guest("rust/guest/examples/filter.wasm"), &ALL).unwrap();
    let next = host.player();
    let readings: Vec<i32> = (0..40).map(|n| (n * 7_919) % 1_000 - 500).collect();
    for reading in &readings {
        assert_eq!(host.send(filter, &number(*reading)), 0);
    }
    // Neither of these is a reading.
    assert_eq!(host.send(filter, b""), 0);
    assert_eq!(host.send(filter, &[0; 256]), 0);
    assert_eq!(host.run(100), 1, "one step empties the queue");
    assert_eq!(host.place(filter), Place::Waits);
    let expected: Vec<i32> = (1..=readings.len())
        .map(|end| &readings[end.saturating_sub(8)..end])
        .map(|window| window.iter().sum::<i32>() / window.len() as i32)
        .collect();
    assert_eq!(taken(&mut host, next), expected);
}

#[test]
fn the_filter_holds_the_largest_readings() {
    let mut host = Host::new(64);
    let filter = host.start(&guest("rust/guest/examples/filter.wasm"), &ALL).unwrap();
    let next = host.player();
    for reading in [i32::MAX, i32::MAX, i32::MAX, i32::MIN, i32::MIN, i32::MIN] {
        host.send(filter, &number(reading));
    }
    host.run(10);
    let averages = taken(&mut host, next);
    assert_eq!(averages[2], i32::MAX);
    assert_eq!(averages[5], 0);
}

#[test]
fn the_rule_raises_one_alarm_and_clears_it() {
    let mut host = Host::new(64);
    let rule = host.start(&guest("rust/guest/examples/rule.wasm"), &ALL).unwrap();
    let next = host.player();
    for reading in [100, 800, 801, 799, 900, 750, 749, 800, 950] {
        host.send(rule, &number(reading));
    }
    host.run(100);
    assert_eq!(
        host.lines(),
        ["guest 0: alarm: 801", "guest 0: all clear: 749", "guest 0: alarm: 950"]
    );
    let alarms: Vec<_> = std::iter::from_fn(|| host.take(next)).collect();
    assert_eq!(alarms, [[1], [0], [1]]);
}

#[test]
fn the_rule_loses_no_alarm_in_a_full_queue() {
    let mut host = Host::new(1);
    let rule = host.start(&guest("rust/guest/examples/rule.wasm"), &ALL).unwrap();
    let next = host.player();
    assert_eq!(host.send(next, b"in the way"), 0);
    assert_eq!(host.send(rule, &number(1_000)), 0);
    host.run(5);
    assert_eq!(host.send(next, b"x"), FULL);
    // It tries every 10 ms, even if its own queue holds a message, and does not spin.
    assert_eq!(host.send(rule, &number(0)), 0);
    let before = host.now_us();
    assert_eq!(host.run(20), 20);
    assert_eq!(host.now_us() - before, 200_000);
    assert_eq!(host.take(next).unwrap(), b"in the way");
    host.run(3);
    assert_eq!(host.take(next).unwrap(), [1]);
    host.run(3);
    assert_eq!(host.take(next).unwrap(), [0]);
}

#[test]
fn a_pipeline_passes_everything_through_the_shortest_queues() {
    let wasm = guest("rust/guest/examples/pipeline.wasm");
    for room in [1, 2, 64] {
        let mut host = Host::new(room);
        // Two pipelines side by side.
        let ids: Vec<_> = (0..6).map(|_| host.start(&wasm, &ALL).unwrap()).collect();
        host.run(100_000);
        assert!(ids.iter().all(|&id| host.place(id) == Place::Done), "room {room}");
        let mut lines = host.lines();
        lines.sort();
        assert_eq!(lines, ["guest 2: sum 2870", "guest 5: sum 2870"], "room {room}");
    }
}

#[test]
fn the_echo_answers_whom_it_is_told_to() {
    let mut host = Host::new(4);
    let echo = host.start(&guest("guest/echo.wasm"), &ALL).unwrap();
    let (one, two) = (host.player(), host.player());
    let letter = |from: usize, text: &[u8]| [&(from as i32).to_le_bytes(), text].concat();
    let long = letter(two, &[7; 252]);
    for message in [&letter(one, b"a"), &long, &letter(one, b""), &letter(99, b"nobody")] {
        assert_eq!(host.send(echo, message), 0);
    }
    assert_eq!(host.run(100), 1);
    assert_eq!(host.send(echo, b"bad"), 0);
    assert_eq!(host.run(100), 1);
    assert_eq!(host.take(one).unwrap(), letter(one, b"a"));
    assert_eq!(host.take(one).unwrap(), letter(one, b""));
    assert_eq!(host.take(one), None);
    assert_eq!(host.take(two).unwrap(), long);
    // Back-pressure: answers wait for room. None is lost, and their order is kept.
    for round in 0..4 {
        assert_eq!(host.send(one, &[round]), 0);
    }
    for text in [b"x", b"y", b"z"] {
        assert_eq!(host.send(echo, &letter(one, text)), 0);
    }
    host.run(10);
    assert_eq!(host.send(one, b"full"), FULL);
    for _ in 0..4 {
        host.take(one).unwrap();
    }
    host.run(10);
    for text in [b"x", b"y", b"z"] {
        assert_eq!(host.take(one).unwrap(), letter(one, text));
    }
}

#[test]
fn what_was_not_allowed_is_refused_with_all_names_at_once() {
    let mut host = Host::new(4);
    let refused = |leave: &[&str], path: &str, host: &mut Host| {
        host.start(&guest(path), &Leave { allow: leave, stub: &[] }).unwrap_err()
    };
    let rule = "rust/guest/examples/rule.wasm";
    let mut all = refused(&[], rule, &mut host);
    all.sort();
    assert_eq!(
        all,
        [
            "wramp.log: allow it with --allow log",
            "wramp.receive: allow it with --allow receive",
            "wramp.send: allow it with --allow send",
        ]
    );
    assert_eq!(
        refused(&["log", "receive"], rule, &mut host),
        ["wramp.send: allow it with --allow send"]
    );
}
