//! Guests of one's own: what they cost, how a new one begins, and what is refused.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{scratch, stderr, stdout, wramp, wramp_in};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The output of `wramp size` on files of the repository.
fn sizes(arguments: &[&str]) -> String {
    let output = wramp_in(repository(), &[&["size"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn the_parts_of_a_module_are_a_table() {
    assert_eq!(
        sizes(&["wat/cpu.wat"]),
        "\
wat/cpu.wat: 145 bytes, 48 in custom sections
  each instance     fast 32   classic 32   64 bits   made of
  module-instance       320          320       428   the instance itself
  function-table         32           28        48   1 function
  export-table            8            8        16   1 exported function
  globals                28           28        28   1 global
  sum                   388          384       520   4 blocks
  No linker flag saves more.
"
    );
}

#[test]
fn the_flag_that_saves_most_is_named() {
    let text = sizes(&["guest/sha256_plain.wasm", "guest/sha256.wasm"]);
    for words in [
        "  linear-memory     131,072      131,072   131,072   2 whole pages\n",
        "  sum               131,557      131,553   131,737   8 blocks\n  \
         -z stack-size=1024 --export=__heap_base --export=__data_end saves up to\n  \
         129,704 bytes in each instance.\n",
        "  linear-memory       1,360        1,360     1,360   cut at __heap_base\n",
        "  sum                 1,901        1,897     2,081   8 blocks\n  \
         No linker flag saves more.\n",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let other = sizes(&["guest/wasi/hello_as.wasm", "guest/wasi/hello_c.wasm", "wat/mem.wat"]);
    for line in text.lines().chain(other.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_program_gets_every_figure() {
    let files = ["guest/sha256_plain.wasm", "wat/cpu.wat"];
    let csv = sizes(&[&files[..], &["--format", "csv"]].concat());
    assert!(csv.starts_with("file,part,fast_32_bytes,classic_32_bytes,both_64_bytes,made_of\n"));
    assert_eq!(csv.lines().count(), 1 + 6 + 4, "{csv}");
    let json = sizes(&[&files[..], &["--format", "json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["modules"][0]["saves_bytes"], 129_704, "{json}");
    assert_eq!(json["modules"][0]["saves_exactly"], false);
    assert_eq!(json["modules"][1]["saves_bytes"], serde_json::Value::Null);
    // A program adds up the parts itself.
    for module in json["modules"].as_array().unwrap() {
        for key in ["fast_32_bytes", "classic_32_bytes", "both_64_bytes"] {
            let parts = json["parts"].as_array().unwrap().iter();
            let own = parts.filter(|part| part["file"] == module["file"]);
            let sum: u64 = own.map(|part| part[key].as_u64().unwrap()).sum();
            assert_eq!(module[key], sum, "{key}: {json}");
        }
    }
    let markdown = sizes(&["wat/cpu.wat", "--format", "markdown"]);
    assert!(markdown.contains("| sum | 388 | 384 | 520 | 4 blocks |"), "{markdown}");
}

#[test]
fn a_module_that_cannot_be_read_has_no_size() {
    let directory = scratch("size");
    fs::write(directory.join("text.wat"), "(module (fun").unwrap();
    fs::write(directory.join("other.wasm"), "not a module").unwrap();
    for (file, words) in [
        ("missing.wasm", "No such file"),
        ("text.wat", "not valid text"),
        ("other.wasm", "not a module that can be read"),
    ] {
        let output = wramp_in(directory.clone(), &["size", file]);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains(file) && said.contains(words), "{said}");
        assert_eq!(stdout(&output), "");
    }
    assert_eq!(wramp(&["size"]).status.code(), Some(2));
}

/// Every file below a directory, by its path there.
fn below(directory: &Path) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    found.push(path.strip_prefix(directory).unwrap().to_string_lossy().into_owned())
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_new_project_is_its_template() {
    let root = repository();
    for (language, next) in [
        ("rust", "cargo build --release --target wasm32-unknown-unknown"),
        ("c", "make"),
        ("wat", "wramp size main.wat"),
    ] {
        let directory = scratch(&format!("new-{language}"));
        let output = wramp_in(directory.clone(), &["new", "my_guest", "--lang", language]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains(&format!("  {next}\n")), "{}", stdout(&output));
        let (project, template) =
            (directory.join("my_guest"), root.join("guest/templates").join(language));
        // So that none is forgotten when a template gets a file.
        let mut expected = below(&template);
        if language == "c" {
            expected.push("wramp.h".into());
            expected.sort();
        }
        assert_eq!(below(&project), expected);
        for file in expected {
            let from = match &*file {
                "wramp.h" => root.join("guest/wramp.h"),
                file => template.join(file),
            };
            let text = fs::read_to_string(from).unwrap().replace("GUEST_NAME", "my_guest");
            let text = text.replace("WRAMP_ROOT", root.to_str().unwrap());
            assert_eq!(fs::read_to_string(project.join(&file)).unwrap(), text, "{file}");
        }
        // What is there already is not touched.
        let before = below(&project);
        let again = wramp_in(directory, &["new", "my_guest", "--lang", language]);
        assert_eq!(again.status.code(), Some(2));
        assert!(stderr(&again).contains("my_guest is there already"), "{}", stderr(&again));
        assert_eq!(below(&project), before);
    }
}

/// The text needs no compiler: its instance costs what its README promises.
#[test]
fn a_new_project_in_text_has_a_size() {
    let directory = scratch("new-size");
    assert!(wramp_in(directory.clone(), &["new", "a1", "--lang", "wat"]).status.success());
    let output = wramp_in(directory, &["size", "a1/main.wat"]);
    let text = stdout(&output);
    assert!(text.contains("cut at __heap_base") && text.contains("No linker flag"), "{text}");
}

#[test]
fn a_project_that_could_not_build_is_refused() {
    let directory = scratch("new-refused");
    for (arguments, words) in [
        (&["new", "My-Guest", "--lang", "rust"][..], "a lower-case letter"),
        (&["new", "../up", "--lang", "rust"], "a lower-case letter"),
        (&["new", "", "--lang", "rust"], "a lower-case letter"),
        (&["new", "ok", "--lang", "go"], "rust"),
        (&["new", "ok"], "--lang"),
        (&["new", "ok", "--lang", "rust", "--path", "/"], "--path"),
    ] {
        let output = wramp_in(directory.clone(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(below(&directory), Vec::<String>::new());
}

/// A run of one module of one's own: its status, stdout and stderr.
fn run(name: &str, text: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let directory = scratch(&format!("run-{name}"));
    let file = format!("{name}.wat");
    fs::write(directory.join(&file), text).unwrap();
    let short = ["--settle-ms", "0", "--dwell-ms", "1", "--pause-ms", "0"];
    let module = ["run", "--module", &file, "--export", "run"];
    let output = wramp_in(directory, &[&module, &short[..], more].concat());
    (output.status.code(), stdout(&output), stderr(&output))
}

const RUN: &str = r#"(func (export "run") (result i32) (i32.const 1))"#;

/// A module that no instance can run is refused before the engine sees it, once.
#[test]
fn what_the_engine_lacks_is_named() {
    for (name, module, words) in [
        (
            "simd",
            format!("(module (global v128 (v128.const i64x2 0 0)) {RUN})"),
            &["SIMD at byte", "-mno-simd128"][..],
        ),
        (
            "imports",
            format!(r#"(module (import "env" "a" (func)) (import "env" "b" (memory 1)) {RUN})"#),
            &["2 of its imports:\n  env.a: ", "--stub env.a\n  env.b: a memory"],
        ),
        (
            "signature",
            r#"(module (func (export "run") (param i64 i32) (result f32) (f32.const 1)))"#
                .to_owned(),
            &["--export run is (i64, i32) -> f32", "nothing or one i32"],
        ),
        (
            "export",
            r#"(module (func (export "tick") (result i32) (i32.const 1)))"#.to_owned(),
            &["--export run", "tick"],
        ),
    ] {
        let (status, out, said) = run(name, &module, &[]);
        assert_eq!(status, Some(2), "{said}");
        assert_eq!(out, "", "no record and no table");
        // A line for each import, behind one sentence.
        assert_eq!(said.lines().count(), if name == "imports" { 3 } else { 1 }, "{said}");
        for words in words {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

#[test]
fn a_start_function_that_traps_is_blamed() {
    let module = format!("(module (func $f unreachable) (start $f) {RUN})");
    let (status, out, _) = run("start", &module, &[]);
    assert_eq!(status, Some(2));
    assert!(out.contains("cannot run start: unreachable, in its start function ("), "{out}");
    assert_eq!(out.matches("unreachable").count(), 1, "each cause is told once: {out}");
    assert!(!out.contains("fairness"), "no table of nothing: {out}");
    // The engine's words are the same, the culprit is not.
    let module = format!(r#"(module (memory 1) (data (i32.const 65536) "a") {RUN})"#);
    let (_, out, _) = run("segment", &module, &[]);
    assert!(out.contains("out of bounds memory access, in a segment of data"), "{out}");
    // Nor is a call's trap the start function's.
    let module = r#"(module (func $f) (start $f) (func (export "run") (result i32) unreachable))"#;
    let (status, out, _) = run("call", module, &["--slots", "1"]);
    assert_eq!(status, Some(1));
    assert!(out.contains("unreachable") && !out.contains("start function"), "{out}");
}

#[test]
fn memory_that_is_most_of_an_instance_is_told_once() {
    let plain = repository().join("guest/sha256_plain.wasm").to_string_lossy().into_owned();
    let said = |file: &str, export: &str| {
        let run = ["run", "--module", file, "--export", export, "--slots", "1"];
        let short = ["--settle-ms", "0", "--dwell-ms", "1"];
        stderr(&wramp(&[&run[..], &short].concat()))
    };
    let line = said(&plain, "run");
    assert_eq!(line.lines().count(), 1, "{line}");
    for words in [
        "linear memory is 131,072 of the 131,737 bytes",
        "-z stack-size=1024 --export=__heap_base --export=__data_end saves up to 129,704 bytes",
        "wramp size",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert_eq!(said(&plain.replace("_plain", ""), "run"), "");
}

/// A guest that calls itself so deep that 4,096 bytes of interpreter stack are too few.
fn recursive(depth: u32) -> String {
    format!(
        r#"(module
        (func $down (param i32) (result i32)
          (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0))))
        (func (export "run") (result i32) (call $down (i32.const {depth}))))"#
    )
}

/// The bytes of a record's key, in the first line that has it.
fn value(records: &str, kind: &str, key: &str) -> Option<u32> {
    let line = records.lines().find(|line| line.starts_with(&format!("wramp {kind} ")))?;
    let value = line.split(' ').find_map(|word| word.strip_prefix(&format!("{key}=")))?;
    value.parse().ok()
}

#[test]
fn a_stack_is_fitted_beyond_the_preset() {
    let records = ["--preset", "dense", "--step", "1", "--workers", "1", "--format", "records"];
    let fitted = |name: &str, depth, more: &[&str]| {
        run(name, &recursive(depth), &[&records[..], more].concat())
    };
    // Shallow: as ever, and nothing is tried twice.
    let small = ["--arena-bytes", "16K"];
    let (status, out, said) = fitted("shallow", 4, &small);
    assert_eq!(status, Some(0), "{out}{said}");
    assert_eq!(value(&out, "run", "wasm_stack_bytes"), Some(4096), "{out}");
    let large = ["--arena-bytes", "160K", "--slots", "1", "--slo-us", "1"];
    // Deep: more than the preset's 4,096 bytes, so the search goes on above them.
    let (status, out, said) = fitted("deep", 200, &large);
    assert_eq!(status, Some(0), "{out}{said}");
    assert_eq!(out.matches("wramp run ").count(), 1, "the first try is not shown: {out}");
    let needed = value(&out, "fit", "needed_bytes").unwrap();
    assert!(needed > 8_192 && needed < 65_536, "{out}");
    assert!(value(&out, "fit", "wasm_stack_bytes").unwrap() > needed, "{out}");
    // Without end: refused, with the largest that was tried, and once.
    let (status, out, _) = fitted("endless", 1_000_000, &large);
    assert_eq!(status, Some(2), "{out}");
    assert_eq!(out.matches("wramp fault ").count(), 1, "{out}");
    assert!(out.contains("wasm_stack_too_small:_65536_bytes"), "{out}");
    // A limit of the user's is kept.
    let (status, out, _) = fitted("bound", 200, &["--wasm-stack-bytes", "4096"]);
    assert_ne!(status, Some(0), "{out}");
    assert_eq!(value(&out, "run", "wasm_stack_bytes"), Some(4096), "{out}");
}
