//! `wramp doctor` tells the truth about machines that lack something.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{scratch, stderr, stdout};

/// A machine: its directories `bin` and `home`, and a clone of wramp in a workspace of its own.
struct Machine(PathBuf);

impl Machine {
    /// Rust and a C compiler, and nothing else.
    fn new(name: &str) -> Self {
        let root = scratch(&format!("doctor-{name}"));
        for directory in ["bin", "home", "top/wramp"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let west = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../west.yml");
        fs::copy(west, root.join("top/wramp/west.yml")).unwrap();
        let this = Self(root);
        this.program("rustc", "case $1 in --version) echo rustc 1.96.0 '(x 2026-05-25)';; esac");
        this.program("cargo", "case $1 in --version) echo cargo 1.96.0;; *) exit 1;; esac");
        this.program(
            "cc",
            "case $1 in --version) echo cc 12.2;; -m32) exit 1;; *) cat > /dev/null;; esac",
        );
        for tool in ["sh", "cat"] {
            symlink(format!("/bin/{tool}"), this.0.join("bin").join(tool)).unwrap();
        }
        this
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.0.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn doctor(&self, options: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_wramp"))
            .args(["doctor", "--clone"])
            .arg(self.0.join("top/wramp"))
            .args(options)
            .env_clear()
            .env("PATH", self.0.join("bin"))
            .env("HOME", self.0.join("home"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// State, words and mend of one thing.
    fn of(&self, what: &str, options: &[&str]) -> (String, String, String) {
        let output = self.doctor(&[&["--json"], options].concat());
        let text = stdout(&output);
        let all: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        let found = all.as_array().unwrap().iter().find(|one| one["what"] == what);
        let found = found.unwrap_or_else(|| panic!("no {what} in {text}"));
        let word = |key: &str| found[key].as_str().unwrap_or("").to_owned();
        (word("state"), word("found"), word("mend"))
    }

    /// A workspace around the clone, with the Zephyr that west.yml names.
    fn with_workspace(&self) {
        self.write("top/.west/config", "[manifest]\n");
        self.write(
            "top/zephyr/VERSION",
            "VERSION_MAJOR = 4\nVERSION_MINOR = 1\nPATCHLEVEL = 0\nVERSION_TWEAK = 0\n",
        );
    }
}

#[test]
fn a_machine_for_linux_alone_is_ready_and_for_a_board_it_is_not() {
    let machine = Machine::new("plain");
    let ready = machine.doctor(&[]);
    let text = stdout(&ready);
    assert_eq!(ready.status.code(), Some(0), "{text}{}", stderr(&ready));
    assert!(text.ends_with("ready to run wramp on this machine\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let things: Value = serde_json::from_str(&stdout(&machine.doctor(&["--json"]))).unwrap();
    assert_eq!(text.lines().count(), things.as_array().unwrap().len() + 1, "a line each: {text}");

    let board = ["--board", "nrf52840dk/nrf52840"];
    let output = machine.doctor(&board);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for (what, mend) in [
        ("build tools", "apt-get install cmake ninja-build device-tree-compiler git"),
        ("west", "scripts/bootstrap"),
        ("workspace", "scripts/bootstrap"),
        ("Zephyr SDK", "west sdk install -t arm-zephyr-eabi"),
        ("flash runner", "scripts/bootstrap nrf52840dk/nrf52840"),
    ] {
        let (state, _, found) = machine.of(what, &board);
        assert_eq!((&*state, &*found), ("missing", mend), "{what}: {text}");
        assert!(text.contains(mend), "{text}");
        // A runner is looked for only where a board is named.
        if what != "flash runner" {
            assert_ne!(machine.of(what, &[]).0, "missing", "{what} is for boards: {text}");
        }
    }
    let (state, _, mend) = machine.of("Rust target", &board);
    assert_eq!(state, "missing");
    assert!(mend.contains("rustup target add thumbv7em-none-eabi{,hf}"), "{mend}");
}

#[test]
fn what_linux_needs_is_missing_without_it() {
    let machine = Machine::new("rust");
    machine.program("rustc", "echo rustc 1.89.0");
    let (state, says, mend) = machine.of("Rust", &[]);
    assert_eq!((&*state, &*mend), ("missing", "rustup update stable"), "{says}");
    machine.program("rustc", "echo rustc 1.92.0");
    let (state, says, _) = machine.of("Rust", &[]);
    assert!(state == "ok" && says.contains("scripts/test needs 1.95"), "{says}");
    fs::remove_file(machine.0.join("bin/rustc")).unwrap();
    assert_eq!(machine.of("Rust", &[]).0, "missing");
    // A compiler that is there and makes no program is no compiler.
    machine.program("cc", "case $1 in --version) echo cc 12.2;; *) exit 1;; esac");
    assert_eq!(machine.of("C compiler", &[]).0, "missing");
    assert_eq!(machine.doctor(&[]).status.code(), Some(1));
}

#[test]
fn a_workspace_is_compared_with_the_pins() {
    let machine = Machine::new("workspace");
    assert_eq!(machine.of("workspace", &[]).0, "absent");
    machine.with_workspace();
    assert_eq!(machine.of("workspace", &[]).0, "ok");
    assert_eq!(machine.of("Zephyr", &[]), ("ok".into(), "v4.1.0".into(), String::new()));
    // WAMR is not in it.
    assert_eq!(machine.of("WAMR", &["--board", "rpi_pico"]).2, "west update");
    let old = "VERSION_MAJOR = 3\nVERSION_MINOR = 7\nPATCHLEVEL = 0\n";
    machine.write("top/zephyr/VERSION", old);
    let (state, says, mend) = machine.of("Zephyr", &["--board", "rpi_pico"]);
    assert_eq!((&*state, &*mend), ("missing", "west update"), "{says}");
    assert!(says.contains("v3.7.0") && says.contains("v4.1.0"), "{says}");
}

#[test]
fn a_runner_is_the_boards_own_and_its_tool_is_looked_for() {
    let machine = Machine::new("runner");
    machine.with_workspace();
    let board = ["--board", "nrf52840dk/nrf52840"];
    machine.write(
        "top/zephyr/boards/nordic/nrf52840dk/board.cmake",
        "board_runner_args(jlink \"--device=x\")\n\
         include(${ZEPHYR_BASE}/boards/common/nrfutil.board.cmake)\n\
         include(${ZEPHYR_BASE}/boards/common/openocd-nrf5.board.cmake)\n",
    );
    let (state, says, _) = machine.of("flash runner", &board);
    assert_eq!((&*state, &*says), ("missing", "no nrfutil"));
    machine.program("openocd", "exit 0");
    let (state, _, mend) = machine.of("flash runner", &board);
    assert_eq!((&*state, &*mend), ("ok", "west flash -r openocd-nrf5"));
    machine.program("nrfutil", "exit 0");
    assert_eq!(machine.of("flash runner", &board).1, "nrfutil");
    assert_eq!(machine.of("flash runner", &["--board", "mps2/an385"]).0, "ok");
}

#[test]
fn a_directory_that_is_no_clone_is_refused() {
    let machine = Machine::new("no-clone");
    fs::remove_file(machine.0.join("top/wramp/west.yml")).unwrap();
    let output = machine.doctor(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--clone"), "{}", stderr(&output));
}
