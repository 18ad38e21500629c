//! `wramp suite`: a directory of modules in one table.

mod support;

use std::fs;
use std::path::Path;

use support::{scratch, stderr, stdout, wramp};

const QUICK: [&str; 6] = ["--slots", "2", "--dwell-ms", "30", "--arena-bytes", "256K"];

fn suite(directory: &Path, options: &[&str]) -> std::process::Output {
    let directory = directory.to_str().unwrap();
    wramp(&[&["suite", directory], &QUICK[..], options].concat())
}

/// The row of a module, as values by key.
fn row(json: &serde_json::Value, module: &str) -> serde_json::Value {
    let rows = json.as_array().unwrap();
    rows.iter().find(|row| row["module"] == module).unwrap().clone()
}

#[test]
fn a_directory_becomes_a_table_and_so_does_its_log() {
    let place = scratch("suite");
    let write = |name: &str, text: &str| fs::write(place.join(name), text).unwrap();
    write("good.wat", r#"(module (func (export "run") (result i32) (i32.const 0)))"#);
    write("bad.wat", r#"(module (func (export "run") (result i32) (i32.const 7)))"#);
    write(
        "needs.wat",
        r#"(module (import "env" "x" (func)) (func (export "run") (result i32) (i32.const 0)))"#,
    );
    write("score.wat", r#"(module (func (export "run") (result f32) (f32.const 12.5)))"#);
    write("readme.txt", "not a module");

    let log = place.join("records.log");
    let log = log.to_str().unwrap();
    let output = suite(&place, &["--format", "json", "--log", log]);
    // One module is refused.
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 4, "{json}");
    let good = row(&json, "good");
    assert_eq!((&good["peak"], &good["check"]), (&2.into(), &"all agree".into()), "{good}");
    assert!(good["cost_bytes"].as_u64().unwrap() > 300 && good["call_us"].is_number(), "{good}");
    let score = row(&json, "score");
    assert_eq!((&score["score"], &score["check"]), (&"12.50".into(), &"ran".into()), "{score}");
    let needs = row(&json, "needs");
    assert!(needs["peak"].is_null(), "{needs}");
    assert!(needs["check"].as_str().unwrap().contains("env.x"), "{needs}");

    // The log of these runs says the same, as a board's does.
    let again = suite(&place, &["--format", "json", "--from", log]);
    let again: serde_json::Value = serde_json::from_str(&stdout(&again)).unwrap();
    for name in ["good", "bad", "score"] {
        assert_eq!(row(&json, name), row(&again, name));
    }

    // A self-check that fails is named, and the others pass.
    fs::remove_file(place.join("score.wat")).unwrap();
    let output = suite(&place, &["--format", "json", "--expect", "0", "--stub", "env.x"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(row(&json, "good")["check"], "each gave 0");
    assert_eq!(row(&json, "needs")["check"], "each gave 0");
    let bad = row(&json, "bad");
    assert!(bad["check"].as_str().unwrap().contains("it gave 7, and 0 is right"), "{bad}");

    fs::remove_file(place.join("bad.wat")).unwrap();
    let output = suite(&place, &["--expect", "0", "--stub", "env.x"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("us a call") && text.contains("each gave 0"), "{text}");
}

#[test]
fn a_suite_of_which_every_module_is_refused_says_why() {
    let place = scratch("suite_refused");
    let text =
        r#"(module (import "env" "x" (func)) (func (export "run") (result i32) (i32.const 0)))"#;
    fs::write(place.join("needs.wat"), text).unwrap();
    let output = suite(&place, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("refused: "), "{}", stdout(&output));
}

/// A guest that needs more than 4 KiB of interpreter stack runs all the same.
#[test]
fn a_stack_is_fitted_to_each_module() {
    let place = scratch("suite_deep");
    let text = r#"(module (func $down (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (call $down (i32.sub (local.get 0) (i32.const 1))))
          (else (i32.const 0))))
        (func (export "run") (result i32) (call $down (i32.const 100))))"#;
    fs::write(place.join("deep.wat"), text).unwrap();
    let output = suite(&place, &["--expect", "0"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let short = suite(&place, &["--expect", "0", "--wasm-stack-bytes", "1024"]);
    assert!(stdout(&short).contains("wasm stack too small"), "{}", stdout(&short));
}

#[test]
fn wrong_input_is_named() {
    let empty = scratch("suite_empty");
    for (output, words) in [
        (suite(&empty, &[]), "no .wasm and no .wat"),
        (suite(&empty.join("none"), &[]), "none"),
        (suite(&empty, &["--module", "a.wasm"]), "leave out --module"),
    ] {
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}
