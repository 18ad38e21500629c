//! What a firmware's build gets of `CONFIG_WRAMP_MODULE`, and what stops it.

use std::fs;
use std::path::PathBuf;

use wramp_modules::embed;

fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn application() -> PathBuf {
    let path = directory("embed");
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
    let made = embed("a.wat b.wasm", "", &application()).unwrap();
    assert!(made.source.contains("IS_MIX: bool = false"), "{}", made.source);
    assert_eq!(made.source.matches("Count::Most").count(), 2, "{}", made.source);
    assert_eq!(made.source.matches("Parameters::I32").count(), 2, "{}", made.source);
    assert_eq!(made.modules[0].1, made.modules[1].1, "text and binary are the same module");
    assert!(made.files.iter().all(|file| file.exists()));
}

#[test]
fn a_number_makes_it_a_mix() {
    let made = embed("a.wat=3 tick.wat:tick cpu=*", "", &application()).unwrap();
    assert!(made.source.contains("IS_MIX: bool = true"), "{}", made.source);
    for words in ["Count::Exactly(3)", "Count::Exactly(1)", "Count::Most, ..guest(\"cpu\")"] {
        assert!(made.source.contains(words), "{words}: {}", made.source);
    }
    assert_eq!(made.modules.len(), 2);
}

#[test]
fn what_stops_the_build_names_the_file_and_the_reason() {
    let application = application();
    for (items, export, words) in [
        ("none.wasm", "", &["none.wasm", "No such file"][..]),
        ("cut.wasm", "", &["cut.wasm", "byte"]),
        ("bad.wat", "", &["bad.wat", "expected"]),
        ("imports.wat", "", &["imports.wat", "env.x"]),
        ("tick.wat", "", &["tick.wat", "neither run nor _start", "tick"]),
        ("tick.wat", "tock", &["tick.wat", "no function tock", "tick"]),
        ("wide.wat", "", &["wide.wat", "run is neither"]),
        ("a.wat=0", "", &["`a.wat=0`"]),
        ("a.wat ./a.wat", "", &["two modules are called a"]),
    ] {
        let said = embed(items, export, &application).unwrap_err();
        assert!(words.iter().all(|word| said.contains(word)), "{items}: {said}");
        assert!(said.starts_with("CONFIG_WRAMP_MODULE"), "{said}");
    }
}
