//! What a firmware's build gets of `CONFIG_WRAMP_MODULE`, and what stops it.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wramp_modules::{Leave, embed};

fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn application() -> PathBuf {
    // Tests run side by side, so each has a directory of its own.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let path = directory(&format!("embed{}", COUNT.fetch_add(1, Relaxed)));
    let run = r#"(func (export "run") (param i32) (result i32) (local.get 0))"#;
    fs::write(path.join("a.wat"), format!("(module {run})")).unwrap();
    fs::write(path.join("b.wasm"), wat::parse_str(format!("(module {run})")).unwrap()).unwrap();
    fs::write(
        path.join("tick.wat"),
        r#"(module (func (export "tick") (result i32) (i32.const 1)))"#,
    )
    .unwrap();
    fs::write(
        path.join("wide.wat"),
        r#"(module (func (export "run") (result i64) (i64.const 1)))"#,
    )
    .unwrap();
    fs::write(path.join("imports.wat"), format!(r#"(module (import "env" "x" (func)) {run})"#))
        .unwrap();
    fs::write(path.join("cut.wasm"), &wat::parse_str(format!("(module {run})")).unwrap()[..20])
        .unwrap();
    fs::write(path.join("bad.wat"), "(module (func)").unwrap();
    path
}

#[test]
fn modules_without_numbers_have_a_ramp_each() {
    let made = embed("a.wat b.wasm", "", None, &application()).unwrap();
    assert!(made.source.contains("IS_MIX: bool = false"), "{}", made.source);
    assert_eq!(made.source.matches("Count::Most").count(), 2, "{}", made.source);
    assert_eq!(made.source.matches("Parameters::I32").count(), 2, "{}", made.source);
    assert_eq!(made.modules[0].1, made.modules[1].1, "text and binary are the same module");
    assert!(made.files.iter().all(|file| file.exists()));
}

#[test]
fn a_number_makes_it_a_mix() {
    let made = embed("a.wat=3 tick.wat:tick cpu=*", "", None, &application()).unwrap();
    assert!(made.source.contains("IS_MIX: bool = true"), "{}", made.source);
    for words in
        ["Count::Exactly(3)", "Count::Exactly(1)", "Count::Most, budget: None, ..guest(\"cpu\")"]
    {
        assert!(made.source.contains(words), "{words}: {}", made.source);
    }
    assert_eq!(made.modules.len(), 2);
    assert!(!made.source.contains("CONFIG_WRAMP_METERING"), "{}", made.source);
}

#[test]
fn a_budget_needs_metering() {
    let made = embed("a.wat=3:budget=5000 cpu=*:budget=70", "", None, &application()).unwrap();
    for words in ["NonZeroU32::new(5000)", "NonZeroU32::new(70)", "cfg!(CONFIG_WRAMP_METERING)"] {
        assert!(made.source.contains(words), "{words}: {}", made.source);
    }
}

#[test]
fn a_suite_may_have_any_number_of_modules_and_a_mix_may_not() {
    let application = application();
    let run = r#"(module (func (export "run") (result i32) (i32.const 0)))"#;
    let names: Vec<_> = (0..20).map(|n| format!("m{n}.wat")).collect();
    names.iter().for_each(|name| fs::write(application.join(name), run).unwrap());
    assert_eq!(embed(&names.join(" "), "", None, &application).unwrap().modules.len(), 20);
    let said = embed(&names.join("=1 "), "", None, &application).unwrap_err();
    assert!(said.contains("20 modules side by side, 8 at most"), "{said}");
}

#[test]
fn what_stops_the_build_names_the_file_and_the_reason() {
    let application = application();
    for (items, export, words) in [
        ("none.wasm", "", &["none.wasm", "No such file"][..]),
        ("cut.wasm", "", &["cut.wasm", "byte"]),
        ("bad.wat", "", &["bad.wat", "expected"]),
        ("imports.wat", "", &["imports.wat", "CONFIG_WRAMP_IMPORTS=y"]),
        ("tick.wat", "", &["tick.wat", "none of wramp_poll, run and _start", "tick"]),
        (
            "tick.wat",
            "tock",
            &["tick.wat", "--export tock is no export", "CONFIG_WRAMP_MODULE_EXPORT"],
        ),
        ("wide.wat", "", &["wide.wat", "CONFIG_WRAMP_IMPORTS=y"]),
        ("a.wat=0", "", &["`a.wat=0`"]),
        ("a.wat=1:budget=0", "", &["`a.wat=1:budget=0`", "budget=INSTRUCTIONS"]),
        ("a.wat ./a.wat", "", &["two modules are called a"]),
    ] {
        let said = embed(items, export, None, &application).unwrap_err();
        assert!(words.iter().all(|word| said.contains(word)), "{items}: {said}");
        assert!(said.starts_with("CONFIG_WRAMP_MODULE"), "{said}");
    }
}

#[test]
fn a_host_says_what_it_gives_and_refuses_the_rest() {
    let application = application();
    let run = r#"(func (export "run") (result i32) (i32.const 0))"#;
    let says = r#"(import "wramp" "log" (func (param i32 i32)))"#;
    let hears = r#"(import "wramp" "receive" (func (param i32 i32) (result i32)))"#;
    fs::write(application.join("says.wat"), format!("(module {says} {run})")).unwrap();
    fs::write(application.join("both.wat"), format!("(module {says} {hears} {run})")).unwrap();

    let leave =
        Leave { allow: "log, receive", stubs: "env.x", seed: 7, queue_bytes: 524, expect: "-3" };
    let made = embed("both.wat imports.wat", "", Some(&leave), &application).unwrap().source;
    for words in [
        "Stub { module: \"env\", name: \"x\" }",
        "], 7).allow(wramp_imports::Capability::Log).allow(wramp_imports::Capability::Receive)",
        "Bytes(524), Some(wramp_bench::Expected::Value(-3))))",
    ] {
        assert!(made.contains(words), "{words}: {made}");
    }
    // Who receives nothing needs no queue, and who imports nothing needs no host.
    let leave = Leave { expect: "", ..leave };
    let made = embed("says.wat", "", Some(&leave), &application).unwrap().source;
    assert!(made.contains("Bytes(0)"), "{made}");
    let made = embed("a.wat", "", Some(&leave), &application).unwrap().source;
    assert!(made.contains("Expected>)> = None;"), "{made}");
    // A result of 64 bits needs one.
    let made = embed("wide.wat", "", Some(&leave), &application).unwrap().source;
    assert!(made.contains("Expected>)> = Some("), "{made}");

    let none = Leave { queue_bytes: 524, ..Leave::default() };
    let said = embed("both.wat", "", Some(&none), &application).unwrap_err();
    for words in
        ["both.wat", "2 of its imports", "wramp.log", "--allow receive", "CONFIG_WRAMP_ALLOW"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = embed("imports.wat", "", Some(&none), &application).unwrap_err();
    assert!(said.contains("env.x") && said.contains("CONFIG_WRAMP_STUB"), "{said}");
    for (leave, words) in [
        (Leave { allow: "log,fly", ..none }, "CONFIG_WRAMP_ALLOW: `fly` is not one of log"),
        (Leave { stubs: "x", ..none }, "CONFIG_WRAMP_STUB: `x`"),
        (Leave { expect: "0x0", ..none }, "CONFIG_WRAMP_EXPECT: `0x0`"),
    ] {
        let said = embed("a.wat", "", Some(&leave), &application).unwrap_err();
        assert!(said.starts_with(words), "{said}");
    }
}
