//! `wramp fit`: its answer is what a run of that geometry comes to, and its bytes are exact.

mod support;

use std::fs;

use serde_json::Value;
use support::{scratch, stderr, stdout, wramp, wramp_in};

/// A board whose pointers are as wide as this command's. `ram` bytes of RAM.
fn board(ram: u32, bits: u32) -> String {
    format!(
        "board = \"test/board\"\nname = \"Test\"\ncpu = \"none\"\npointer_bits = {bits}\n\
         ram_bytes = {ram}\ntier = \"computed\"\n[image]\nram_bytes = 10000\nslot_bytes = 4504\n\
         slot_stack_bytes = 4096\nslot_stack_least_bytes = 2048\ndate = 2026-01-31\n\
         [image.pool]\nram_bytes = 11000\nworker_bytes = 5000\nresident_bytes = 72\n"
    )
}

#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let output = wramp(arguments);
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{arguments:?}");
    let said = stderr(&output);
    assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
}

/// The answer as an object, and the exit status.
fn fit(name: &str, ram: u32, words: &[&str]) -> (Value, Option<i32>) {
    let directory = scratch(&format!("fit-{name}"));
    fs::write(directory.join("board.toml"), board(ram, usize::BITS)).unwrap();
    let options = ["fit", "--board", "board.toml", "--format", "json"];
    let output = wramp_in(directory, &[&options, words].concat());
    let text = stdout(&output);
    let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", stderr(&output)));
    (value, output.status.code())
}

#[test]
fn the_bytes_to_spare_are_exact() {
    for (name, words) in [
        ("threads", &["cpu=2", "state=*"][..]),
        ("fitted", &["cpu=2", "add", "state=*", "--wasm-stack-bytes", "fit"]),
        ("pool", &["cpu=*", "--mode", "pool", "--wasm-stack-bytes", "fit"]),
    ] {
        let (value, status) = fit(name, 150_000, words);
        assert_eq!((&value["fits"], status), (&Value::Bool(true), Some(0)), "{value:#}");
        let spare = value["spare_bytes"].as_i64().unwrap();
        assert!((0..20_000).contains(&spare), "{value:#}");
        let ram: i64 = value["ram"].as_object().unwrap().values().filter_map(Value::as_i64).sum();
        assert_eq!(ram, 150_000, "every byte has a place: {value:#}");
        assert_eq!(value["ram"]["free"].as_i64(), Some(spare), "{value:#}");

        // The same instances still fit if the rest of the application takes what is to spare.
        let reserve = |bytes: i64| {
            let bytes = bytes.to_string();
            fit(name, 150_000, &[words, &["--reserve-bytes", &bytes]].concat()).0
        };
        let without = reserve(spare - spare % 8);
        assert_eq!(without["instances"], value["instances"], "{value:#}\n{without:#}");
        let beyond = reserve(spare + 8);
        assert_ne!(beyond["instances"], value["instances"], "{value:#}\n{beyond:#}");
    }
}

#[test]
fn a_mix_that_lacks_bytes_fits_with_so_many_more() {
    let words = ["cpu=3", "mem=2", "state"];
    let (value, status) = fit("no", 100_000, &words);
    assert_eq!((&value["fits"], status), (&Value::Bool(false), Some(1)), "{value:#}");
    let lacking = u32::try_from(-value["spare_bytes"].as_i64().unwrap()).unwrap();
    assert_eq!(fit("no", 100_000 + lacking + 8, &words).1, Some(0), "{value:#}");
    assert_eq!(fit("no", 100_000 + lacking - 16, &words).1, Some(1), "{value:#}");
}

#[test]
fn a_run_of_the_geometry_comes_to_the_answer() {
    let (value, _) = fit("run", 120_000, &["cpu=2", "state=*"]);
    let number = |key: &str| value[key].as_u64().unwrap();
    // The board's heap keeps some bytes of the arena, which the host's does not.
    let arena = number("arena_bytes") - number("heap_bytes");
    let (arena, slots) = (arena.to_string(), number("slots").to_string());
    let geometry = ["--arena-bytes", &arena, "--slots", &slots, "--format", "records"];
    let short = ["run", "--mix", "cpu=2,state=*", "--settle-ms", "0", "--dwell-ms", "1"];
    let log = stdout(&wramp(&[&short[..], &geometry].concat()));
    let last = |kind: &str, key: &str| -> Option<u64> {
        let line = log.lines().rfind(|line| line.starts_with(kind))?;
        line.split(' ').find_map(|word| word.strip_prefix(key))?.parse().ok()
    };
    // The newest member is `state`.
    assert_eq!(last("wramp member ", "instances="), value["instances"]["state"].as_u64(), "{log}");
    let free = Some(number("arena_free_bytes"));
    assert_eq!(last("wramp step ", "arena_free_bytes="), free, "{log}");
}

#[test]
fn a_person_gets_a_sentence_a_picture_and_an_overlay() {
    let directory = scratch("fit-person");
    fs::write(directory.join("b.toml"), board(120_000, usize::BITS)).unwrap();
    let words = ["fit", "cpu=2", "state=*", "--board", "b.toml"];
    let files = ["-o", "fit.conf", "--picture", "fit.svg"];
    let output = wramp_in(directory.clone(), &[&words[..], &files].concat());
    let text = stdout(&output);
    assert!(text.starts_with("yes: 2 cpu and "), "{text}{}", stderr(&output));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("what would make room, tried\n"), "{text}");
    let overlay = fs::read_to_string(directory.join("fit.conf")).unwrap();
    assert!(overlay.contains("CONFIG_WRAMP_MODULE=\"cpu=2 state=*\"\n"), "{overlay}");
    assert!(overlay.contains("CONFIG_WRAMP_ARENA_SIZE="), "{overlay}");
    let picture = fs::read_to_string(directory.join("fit.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("120,000 bytes"), "{picture}");
}

#[test]
fn wrong_input_is_answered_with_what_to_change() {
    let directory = scratch("fit-wrong");
    fs::write(directory.join("b.toml"), board(120_000, usize::BITS)).unwrap();
    fs::write(directory.join("other.toml"), board(120_000, 96 - usize::BITS)).unwrap();
    fs::write(directory.join("broken.toml"), "board = 1").unwrap();
    let file = |name: &str| directory.join(name).display().to_string();
    let (b, other, broken) = (file("b.toml"), file("other.toml"), file("broken.toml"));
    refused(&["fit", "cpu"], &["--board"]);
    refused(&["fit", "--board", &b], &["MODULE"]);
    refused(&["fit", "cpu", "--board", "nowhere/at_all"], &["nowhere/at_all", "FILE.toml"]);
    refused(&["fit", "cpu", "--board", &other], &["pointers", "--bits"]);
    refused(&["fit", "cpu", "--board", &broken], &["broken.toml"]);
    refused(&["fit", "cpu", "--board", &b, "--wasm-stack-bytes", "64"], &["64", "cpu needs"]);
    refused(&["fit", "cpu", "--board", &b, "--slot-stack-bytes", "1K"], &["2048"]);
    refused(&["fit", "cpu", "add", "--mode", "pool", "--board", &b], &["--mode pool"]);
    refused(&["fit", "no.wasm:run", "--board", &b], &["no.wasm"]);
    refused(&["fit", "cpu", "--board", &b, "--picture", "a.gif"], &[".svg or .html"]);
}
