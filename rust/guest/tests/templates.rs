//! Writes each template of `wramp new`, builds it where possible, and runs it.

mod reference;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reference::{ALL, Host, Place, root, skip};
use wramp_size::{Layout, MemoryKind, sizes};

const NAME: &str = "my_guest";

/// Writes a template as `wramp new` does.
fn new_project(language: &str) -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("template-{language}"));
    if to.exists() {
        fs::remove_dir_all(&to).unwrap();
    }
    copy(&root().join("guest/templates").join(language), &to);
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let root = root().canonicalize().unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            let text = text.replace("GUEST_NAME", NAME);
            fs::write(target, text.replace("WRAMP_ROOT", root.to_str().unwrap())).unwrap();
        }
    }
}

/// Sends two messages before the first step and one after it, and compares the log.
fn gets_messages(wasm: &[u8], expected: &[&str]) {
    let mut host = Host::new(4);
    let id = host.start(wasm, &ALL).unwrap();
    host.send(id, b"one");
    host.send(id, b"two");
    host.run(2);
    host.send(id, b"");
    host.run(1);
    assert_eq!(host.place(id), Place::Waits);
    assert_eq!(host.lines(), expected);
    let report = sizes(wasm, Layout::FAST_32).unwrap();
    assert_eq!(report.memory, MemoryKind::Cut);
    assert_eq!(report.advice, None);
    assert!(report.instance_bytes() <= 3_072, "{report:?}");
}

/// Whether a command can be run. Reports a skipped test if not.
fn has(command: &str, arguments: &[&str], otherwise: &str) -> bool {
    let there = Command::new(command).args(arguments).output().is_ok_and(|o| o.status.success());
    if !there {
        skip(otherwise);
    }
    there
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&text));
}

#[test]
fn wat() {
    let project = new_project("wat");
    let wasm = wat::parse_file(project.join("main.wat")).unwrap();
    gets_messages(&wasm, &["guest 0: a message"; 3]);
}

#[test]
fn c() {
    let linker = ["wasm-ld", "wasm-ld-22", "wasm-ld-19", "wasm-ld-14"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(linker) = linker else {
        skip("the template in C: no wasm-ld (apt-get install lld)");
        return;
    };
    let compiler = "the template in C: no clang or make (apt-get install clang make)";
    if !has("clang", &["--version"], compiler) || !has("make", &["--version"], compiler) {
        return;
    }
    let project = new_project("c");
    fs::copy(root().join("guest/wramp.h"), project.join("wramp.h")).unwrap();
    succeeds(Command::new("make").current_dir(&project).arg(format!("LD={linker}")));
    let wasm = fs::read(project.join(format!("{NAME}.wasm"))).unwrap();
    gets_messages(&wasm, &["guest 0: a message"; 3]);
}

#[test]
fn rust() {
    const TARGET: &str = "wasm32-unknown-unknown";
    let mut rustc = Command::new("rustc");
    let asked = rustc.args(["--print", "target-libdir", "--target", TARGET]).output().unwrap();
    let libraries = String::from_utf8(asked.stdout).unwrap();
    if !Path::new(libraries.trim()).exists() {
        skip(&format!("the template in Rust: no target {TARGET} (rustup target add {TARGET})"));
        return;
    }
    let project = new_project("rust");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&project).env("CARGO_TARGET_DIR", project.join("target"));
    // The compiler of a Linux distribution has no linker of its own.
    for linker in ["rust-lld", "wasm-ld", "wasm-ld-22"] {
        if Command::new(linker).arg("--version").output().is_ok() {
            cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
    }
    succeeds(cargo.args(["build", "--offline", "--release", "--target", TARGET]));
    let wasm = project.join(format!("target/{TARGET}/release/{NAME}.wasm"));
    gets_messages(
        &fs::read(wasm).unwrap(),
        &["guest 0: 2 new, 2 in all", "guest 0: 1 new, 3 in all"],
    );
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&project).env("CARGO_TARGET_DIR", project.join("target"));
    succeeds(cargo.args(["test", "--offline"]));
}
