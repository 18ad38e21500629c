//! What this machine has and lacks to build wramp, for Linux and for boards.
//!
//! Each check looks at one thing and says what it found. What is missing comes with the command
//! that mends it. Nothing is installed, and no serial port is opened: opening one resets some
//! boards.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::model::board::Board;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Good,
    /// It is not there, and nothing that was asked for needs it.
    Absent,
    /// It is not there, or not right, and it is needed.
    Missing,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Absent => "-",
            Self::Missing => "MISSING",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The thing.
    pub what: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub says: String,
    /// The command that mends it.
    pub mend: Option<String>,
}

impl Finding {
    fn good(what: &'static str, says: impl Into<String>) -> Self {
        Self { what, state: State::Good, says: says.into(), mend: None }
    }

    fn lacks(
        what: &'static str,
        needed: bool,
        says: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let state = if needed { State::Missing } else { State::Absent };
        Self { what, state, says: says.into(), mend: Some(mend.into()) }
    }
}

/// Where to look, and what for.
pub struct Patient<'a> {
    /// The checkout of wramp.
    pub clone: &'a Path,
    /// The board that shall be built for, as `west build` takes it.
    pub board: Option<&'a str>,
}

/// The oldest Rust with which wramp builds, and the oldest for its tests.
const RUST: ((u32, u32), (u32, u32)) = ((1, 90), (1, 95));
/// The target whose pointers are as wide as those of most boards.
const NARROW: &str = "i686-unknown-linux-gnu";

/// Looks at everything.
#[must_use]
pub fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let entry = patient.board.map(Board::find);
    let entry = entry.and_then(Result::ok);
    let needed = patient.board.is_some();
    let workspace = Workspace::around(patient.clone);
    let mut all = vec![rust(), compiler(), narrow(), narrow_compiler(), miri()];
    all.push(tools(needed, workspace.as_ref()));
    all.push(libclang(needed));
    all.extend(west(patient.clone, needed, workspace.as_ref()));
    all.push(sdk(needed, entry.as_ref()));
    if let Some(name) = patient.board {
        all.push(target(name, entry.as_ref()));
        all.push(runner(name, workspace.as_ref()));
    }
    all.push(emulators(needed && patient.board.is_some_and(is_emulated)));
    all.extend(ports());
    all
}

/// Whether the board is an emulator or a program.
fn is_emulated(board: &str) -> bool {
    ["qemu_", "mps2", "mps3", "native_sim"].iter().any(|prefix| board.starts_with(prefix))
}

/// The first line that a command prints on stdout, or else on stderr; nothing if it fails.
fn output(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

/// Where a command is.
fn in_path(command: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|is| is.is_file() && is.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&env::var_os("PATH")?).map(|path| path.join(command)).find(is_program)
}

/// `1.96` of `rustc 1.96.0 (ac68faa20 2026-05-25)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let number =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut parts = number.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn rust() -> Finding {
    let (least, for_tests) = RUST;
    let what = "Rust";
    let Some(found) = output("rustc", &["--version"]) else {
        let says = format!("no rustc; {}.{} or newer is needed", least.0, least.1);
        return Finding::lacks(what, true, says, "see https://rustup.rs");
    };
    let short = found.split(" (").next().unwrap_or(&found).to_owned();
    if output("cargo", &["--version"]).is_none() {
        return Finding::lacks(
            what,
            true,
            format!("{short}, but no cargo"),
            "see https://rustup.rs",
        );
    }
    match version(&found) {
        Some(version) if version < least => {
            let says = format!("{short}; {}.{} or newer is needed", least.0, least.1);
            Finding::lacks(what, true, says, "rustup update stable")
        }
        Some(version) if version < for_tests => Finding::good(
            what,
            format!("{short}; scripts/test needs {}.{}", for_tests.0, for_tests.1),
        ),
        _ => Finding::good(what, short),
    }
}

/// The C compiler's name, as Cargo's build scripts find it.
fn cc() -> String {
    env::var("CC").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "cc".to_owned())
}

/// Whether the C compiler makes a program with these options.
fn links(options: &[&str]) -> bool {
    let child = Command::new(cc())
        .args(options)
        .args(["-x", "c", "-o", "/dev/null", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let written = child.stdin.take().is_some_and(|mut input| {
        use std::io::Write as _;
        input.write_all(b"#include <stdio.h>\nint main(void){return puts(\"\");}").is_ok()
    });
    child.wait().is_ok_and(|status| status.success()) && written
}

fn compiler() -> Finding {
    let (what, install) = ("C compiler", "apt-get install gcc libc6-dev");
    let name = cc();
    match output(&name, &["--version"]) {
        None => Finding::lacks(what, true, format!("no {name}"), install),
        Some(_) if !links(&[]) => {
            Finding::lacks(what, true, format!("{name} makes no program"), install)
        }
        Some(version) => Finding::good(what, version),
    }
}

/// Whether the compiler has the libraries of a target: `std` or at least `core`.
fn has_target(target: &str, library: &str) -> bool {
    let directory = output("rustc", &["--print", "target-libdir", "--target", target]);
    let Some(entries) = directory.and_then(|directory| fs::read_dir(directory).ok()) else {
        return false;
    };
    entries.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(&format!("lib{library}-")) && name.ends_with(".rlib")
    })
}

/// The command that adds a target, where rustup can.
fn add_targets(targets: &[&str]) -> String {
    let all = match targets {
        // A shell makes both of it.
        [soft, hard] if *hard == format!("{soft}hf") => format!("{soft}{{,hf}}"),
        all => all.join(" "),
    };
    if in_path("rustup").is_some() {
        format!("rustup target add {all}")
    } else {
        format!("rustup target add {all} (rustup.rs)")
    }
}

fn narrow() -> Finding {
    let what = "32-bit Rust";
    if has_target(NARROW, "std") {
        return Finding::good(what, NARROW);
    }
    Finding::lacks(what, false, "fit and gate need it", add_targets(&[NARROW]))
}

fn narrow_compiler() -> Finding {
    let what = "32-bit C";
    if links(&["-m32"]) {
        return Finding::good(what, format!("{} -m32", cc()));
    }
    Finding::lacks(what, false, "fit and gate need it", "apt-get install gcc-multilib")
}

fn miri() -> Finding {
    let what = "Miri";
    let found = output("cargo", &["miri", "--version"])
        .or_else(|| output("cargo", &["+nightly", "miri", "--version"]));
    match found {
        Some(version) => Finding::good(what, version),
        None => Finding::lacks(
            what,
            false,
            "a stage of scripts/test",
            "rustup toolchain install nightly -c miri",
        ),
    }
}

/// What a build for a board calls, beside west.
fn tools(needed: bool, workspace: Option<&Workspace>) -> Finding {
    let what = "build tools";
    let packages = [
        ("cmake", "cmake"),
        ("ninja", "ninja-build"),
        ("dtc", "device-tree-compiler"),
        ("git", "git"),
    ];
    let missing: Vec<_> =
        packages.iter().filter(|(command, _)| in_path(command).is_none()).collect();
    if missing.is_empty() {
        let python = workspace.and_then(Workspace::python).or_else(|| in_path("python3"));
        if python.is_none() {
            return Finding::lacks(what, needed, "no python3", "apt-get install python3-venv");
        }
        return Finding::good(what, "cmake, ninja, dtc, git, python3");
    }
    let names: Vec<_> = missing.iter().map(|(command, _)| *command).collect();
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    Finding::lacks(
        what,
        needed,
        format!("no {}", names.join(", ")),
        format!("apt-get install {}", packages.join(" ")),
    )
}

/// Rust in Zephyr makes its bindings with it.
fn libclang(needed: bool) -> Finding {
    let what = "libclang";
    let is_it = |name: &str| name.starts_with("libclang.so") || name.starts_with("libclang-");
    let mut directories: Vec<PathBuf> = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
    ]
    .map(PathBuf::from)
    .into();
    directories.extend(env::var_os("LIBCLANG_PATH").map(PathBuf::from));
    let versions = fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
    directories.extend(
        versions
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"))
            .map(|entry| entry.path().join("lib")),
    );
    let found =
        directories.iter().flat_map(|directory| fs::read_dir(directory).into_iter().flatten());
    let found =
        found.filter_map(Result::ok).find(|entry| is_it(&entry.file_name().to_string_lossy()));
    match found {
        Some(entry) => Finding::good(what, entry.path().display().to_string()),
        None => Finding::lacks(what, needed, "bindgen needs it", "apt-get install libclang-dev"),
    }
}

/// A west workspace.
struct Workspace {
    top: PathBuf,
    zephyr: PathBuf,
}

impl Workspace {
    /// The workspace of `$ZEPHYR_BASE`, or the one around the checkout.
    fn around(clone: &Path) -> Option<Self> {
        let of = |top: &Path, zephyr: PathBuf| {
            zephyr.join("VERSION").is_file().then(|| Self { top: top.to_owned(), zephyr })
        };
        if let Some(base) = env::var_os("ZEPHYR_BASE").filter(|base| !base.is_empty()) {
            let zephyr = PathBuf::from(base);
            return of(zephyr.parent()?, zephyr.clone());
        }
        let clone = clone.canonicalize().ok()?;
        let top = clone.ancestors().skip(1).find(|path| path.join(".west/config").is_file())?;
        of(top, top.join("zephyr"))
    }

    fn python(&self) -> Option<PathBuf> {
        Some(self.top.join(".venv/bin/python3")).filter(|path| path.exists())
    }

    /// `4.1.0`, from Zephyr's file VERSION.
    fn zephyr_version(&self) -> Option<String> {
        let text = fs::read_to_string(self.zephyr.join("VERSION")).ok()?;
        let number = |key: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(key))?;
            Some(line.split_once('=')?.1.trim().to_owned())
        };
        Some(format!(
            "{}.{}.{}",
            number("VERSION_MAJOR")?,
            number("VERSION_MINOR")?,
            number("PATCHLEVEL")?
        ))
    }

    /// The commit of a project.
    fn commit(&self, path: &str) -> Option<String> {
        let directory = self.top.join(path);
        directory.is_dir().then_some(())?;
        output("git", &["-C", &directory.to_string_lossy(), "rev-parse", "HEAD"])
    }
}

/// What `west.yml` pins: a project's path and its revision.
fn pins(clone: &Path) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(clone.join("west.yml")).unwrap_or_default();
    let mut all: Vec<(String, String, String)> = Vec::new();
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or("").trim();
        if let Some(name) = line.strip_prefix("- name: ") {
            all.push((name.to_owned(), name.to_owned(), String::new()));
        }
        let Some(last) = all.last_mut() else { continue };
        if let Some(revision) = line.strip_prefix("revision: ") {
            revision.clone_into(&mut last.2);
        }
        if line.strip_prefix("path: ").is_some_and(|_| line != "path: wramp") {
            line.trim_start_matches("path: ").clone_into(&mut last.1);
        }
    }
    all.retain(|(_, _, revision)| !revision.is_empty());
    all
}

fn west(clone: &Path, needed: bool, workspace: Option<&Workspace>) -> Vec<Finding> {
    let own = workspace.map(|workspace| workspace.top.join(".venv/bin/west"));
    let program = own.filter(|path| path.exists()).or_else(|| in_path("west"));
    let mut all = Vec::new();
    all.push(
        match program.and_then(|program| output(&program.to_string_lossy(), &["--version"])) {
            Some(version) => Finding::good("west", version.replace("West version: ", "")),
            None => Finding::lacks("west", needed, "not installed", "scripts/bootstrap"),
        },
    );
    let what = "workspace";
    let Some(workspace) = workspace else {
        let says = match env::var_os("ZEPHYR_BASE").filter(|base| !base.is_empty()) {
            Some(_) => "ZEPHYR_BASE is no Zephyr",
            None => "none around this clone",
        };
        all.push(Finding::lacks(what, needed, says, "scripts/bootstrap"));
        return all;
    };
    all.push(Finding::good(what, workspace.top.display().to_string()));
    for (name, path, pinned) in pins(clone) {
        let what = match &*name {
            "zephyr" => "Zephyr",
            "zephyr-lang-rust" => "Zephyr's Rust",
            "wasm-micro-runtime" => "WAMR",
            _ => continue,
        };
        let found = if name == "zephyr" {
            workspace.zephyr_version().map(|version| format!("v{version}"))
        } else {
            workspace.commit(&path)
        };
        let short = |text: &str| text.chars().take(10).collect::<String>();
        all.push(match found {
            Some(found) if found == pinned => Finding::good(what, short(&found)),
            Some(found) => Finding::lacks(
                what,
                needed,
                format!("{}, west.yml has {}", short(&found), short(&pinned)),
                "west update",
            ),
            None => Finding::lacks(what, needed, "not in the workspace", "west update"),
        });
    }
    all
}

/// The C compiler of the board's architecture, as the Zephyr SDK calls it.
fn sdk_compiler(board: Option<&Board>) -> Option<&'static str> {
    let cpu = &board?.cpu;
    if cpu.starts_with("Cortex-M") {
        Some("arm-zephyr-eabi")
    } else if cpu.starts_with("Xtensa") {
        Some("xtensa-espressif_esp32s3_zephyr-elf")
    } else if cpu.to_ascii_lowercase().contains("risc") {
        Some("riscv64-zephyr-elf")
    } else {
        None
    }
}

fn sdk(needed: bool, board: Option<&Board>) -> Finding {
    let what = "Zephyr SDK";
    if let Some(variant) = env::var("ZEPHYR_TOOLCHAIN_VARIANT").ok().filter(|name| name != "zephyr")
    {
        return Finding::good(what, format!("ZEPHYR_TOOLCHAIN_VARIANT={variant} in its place"));
    }
    let mut places: Vec<PathBuf> = Vec::new();
    places.extend(env::var_os("ZEPHYR_SDK_INSTALL_DIR").map(PathBuf::from));
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    // Where Zephyr's CMake package looks.
    let parents = [
        home.clone(),
        home.join(".local"),
        home.join(".local/opt"),
        home.join("bin"),
        "/opt".into(),
        "/usr/local".into(),
    ];
    for parent in parents {
        let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
        places.extend(
            entries
                .filter(|entry| entry.file_name().to_string_lossy().starts_with("zephyr-sdk"))
                .map(|entry| entry.path()),
        );
    }
    places.sort();
    let found = places.iter().rev().find_map(|place| {
        let version = fs::read_to_string(place.join("sdk_version")).ok()?;
        Some((place, version.trim().to_owned()))
    });
    let install = |compiler: &str| format!("west sdk install -t {compiler}");
    match (found, sdk_compiler(board)) {
        (None, compiler) => Finding::lacks(
            what,
            needed,
            "not installed",
            install(compiler.unwrap_or("arm-zephyr-eabi")),
        ),
        // Release 0.17 has the compilers in the directory itself, later ones in `gnu`.
        (Some((place, version)), Some(compiler))
            if !place.join(compiler).is_dir() && !place.join("gnu").join(compiler).is_dir() =>
        {
            Finding::lacks(what, needed, format!("{version} lacks {compiler}"), install(compiler))
        }
        (Some((place, version)), _) => {
            Finding::good(what, format!("{version}, {}", place.display()))
        }
    }
}

/// The targets that zephyr-lang-rust may choose for a core. The configuration of its FPU decides.
fn targets(cpu: &str) -> &'static [&'static str] {
    match cpu {
        "Cortex-M0" | "Cortex-M0+" => &["thumbv6m-none-eabi"],
        "Cortex-M3" => &["thumbv7m-none-eabi"],
        "Cortex-M4" => &["thumbv7em-none-eabi"],
        "Cortex-M4F" | "Cortex-M7" | "Cortex-M7F" => {
            &["thumbv7em-none-eabi", "thumbv7em-none-eabihf"]
        }
        "Cortex-M23" => &["thumbv8m.base-none-eabi"],
        _ if cpu.starts_with("Cortex-M33") || cpu.starts_with("Cortex-M55") => {
            &["thumbv8m.main-none-eabi", "thumbv8m.main-none-eabihf"]
        }
        _ if cpu.to_ascii_lowercase().contains("risc") => &["riscv32imac-unknown-none-elf"],
        _ => &[],
    }
}

fn target(name: &str, board: Option<&Board>) -> Finding {
    let what = "Rust target";
    let unknown = || {
        let says = format!("not known for {name}");
        Finding::lacks(what, false, says, format!("scripts/bootstrap {name}"))
    };
    let Some(board) = board else { return unknown() };
    if board.cpu.starts_with("Xtensa") {
        let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        return if home.join(".rustup/toolchains/esp").is_dir() {
            Finding::good(what, "the toolchain esp")
        } else {
            Finding::lacks(what, true, "no toolchain esp", format!("scripts/bootstrap {name}"))
        };
    }
    let all = targets(&board.cpu);
    let missing: Vec<_> =
        all.iter().copied().filter(|target| !has_target(target, "core")).collect();
    match (all, missing.as_slice()) {
        ([], _) => unknown(),
        (all, []) => Finding::good(what, all.join(", ")),
        (_, missing) => {
            Finding::lacks(what, true, format!("none for {}", board.cpu), add_targets(missing))
        }
    }
}

/// The tool that a runner of Zephyr calls, and how to get it. `None`: it calls none.
fn tool(runner: &str) -> Option<(&'static str, &'static str)> {
    Some(match runner {
        "nrfutil" => ("nrfutil", "nRF Util of nordicsemi.com, then nrfutil install device"),
        "nrfjprog" => ("nrfjprog", "the nRF Command Line Tools of nordicsemi.com"),
        "jlink" => ("JLinkExe", "the J-Link software of segger.com"),
        "pyocd" => ("pyocd", "pip install pyocd"),
        _ if runner.starts_with("openocd") => ("openocd", "apt-get install openocd"),
        "stm32cubeprogrammer" => ("STM32_Programmer_CLI", "STM32CubeProgrammer of st.com"),
        "linkserver" => ("LinkServer", "LinkServer of nxp.com"),
        "silabs_commander" => ("commander", "Simplicity Commander of silabs.com"),
        "esp32" => ("esptool.py", "pip install esptool"),
        "dfu-util" => ("dfu-util", "apt-get install dfu-util"),
        _ => return None,
    })
}

/// The runners that a board's file includes, the default first.
fn runners(zephyr: &Path, board: &str) -> Vec<String> {
    let name = board.split(['/', '@']).next().unwrap_or(board);
    let vendors = fs::read_dir(zephyr.join("boards")).into_iter().flatten().filter_map(Result::ok);
    let file =
        vendors.map(|vendor| vendor.path().join(name).join("board.cmake")).find(|f| f.is_file());
    let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (_, rest) = line.trim().strip_prefix("include(")?.split_once("boards/common/")?;
            rest.split_once(".board.cmake").map(|(runner, _)| runner.to_owned())
        })
        .collect()
}

fn runner(board: &str, workspace: Option<&Workspace>) -> Finding {
    let what = "flash runner";
    if is_emulated(board) {
        return Finding::good(what, "none needed: the board is emulated");
    }
    let again = format!("scripts/bootstrap {board}");
    let Some(workspace) = workspace else {
        return Finding::lacks(what, true, "not known without a workspace", again);
    };
    let all = runners(&workspace.zephyr, board);
    let Some(default) = all.first() else {
        return Finding::lacks(what, false, format!("Zephyr names none for {board}"), again);
    };
    let is_there = |runner: &String| {
        tool(runner).is_none_or(|(command, _)| {
            in_path(command).is_some() || workspace.top.join(".venv/bin").join(command).exists()
        })
    };
    if is_there(default) {
        return Finding::good(what, default);
    }
    match (all.iter().find(|runner| tool(runner).is_some() && is_there(runner)), tool(default)) {
        (Some(other), _) => {
            let says = format!("no {default}, but {other}");
            Finding { mend: Some(format!("west flash -r {other}")), ..Finding::good(what, says) }
        }
        (None, Some((command, get))) => Finding::lacks(what, true, format!("no {command}"), get),
        (None, None) => Finding::good(what, default),
    }
}

fn emulators(needed: bool) -> Finding {
    let what = "QEMU";
    match output("qemu-system-arm", &["--version"]) {
        Some(version) => Finding::good(what, version.replace("QEMU emulator version ", "")),
        None => Finding::lacks(
            what,
            needed,
            "for boards without hardware",
            "apt-get install qemu-system-arm qemu-system-misc",
        ),
    }
}

/// Each serial port, and whether this user may open it.
fn ports() -> Vec<Finding> {
    let what = "serial port";
    let entries = fs::read_dir("/dev").into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            ["ttyACM", "ttyUSB"].iter().any(|prefix| name.starts_with(prefix))
        })
        .collect();
    names.sort();
    if names.is_empty() {
        return vec![Finding {
            what,
            state: State::Absent,
            says: "no board is plugged in (no /dev/ttyACM* or /dev/ttyUSB*)".to_owned(),
            mend: None,
        }];
    }
    names.iter().map(|path| port(what, path)).collect()
}

fn port(what: &'static str, path: &Path) -> Finding {
    let name = path.display().to_string();
    let Ok(found) = fs::metadata(path) else {
        return Finding::lacks(what, true, format!("{name} cannot be read"), "plug it in again");
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let numbers = |key: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or("").split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    // The second number of a line is the effective one.
    let user = numbers("Uid:").get(1).copied();
    let own = numbers("Groups:").into_iter().chain(numbers("Gid:").get(1).copied());
    let mode = found.mode();
    let may = user == Some(0)
        || (user == Some(found.uid()) && mode & 0o600 == 0o600)
        || (own.into_iter().any(|group| group == found.gid()) && mode & 0o060 == 0o060)
        || mode & 0o006 == 0o006;
    if may {
        return Finding::good(what, name);
    }
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let group = groups
        .lines()
        .find(|line| line.split(':').nth(2) == Some(&found.gid().to_string()))
        .and_then(|line| line.split(':').next())
        .unwrap_or("dialout")
        .to_owned();
    let mend = format!("sudo usermod -aG {group} $USER, then log in again");
    Finding::lacks(what, true, format!("{name} belongs to {group}"), mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_compilers_say() {
        assert_eq!(version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert_eq!(version("rustc 1.97.0-nightly (x 2026-06-01)"), Some((1, 97)));
        assert_eq!(version("nothing"), None);
    }

    #[test]
    fn every_cortex_of_the_catalogue_has_a_target_and_a_compiler() {
        for board in Board::all().unwrap_or_else(|problem| panic!("{problem}")) {
            assert!(sdk_compiler(Some(&board)).is_some(), "{}: {}", board.board, board.cpu);
            let known = !targets(&board.cpu).is_empty() || board.cpu.starts_with("Xtensa");
            assert!(known, "{}: {}", board.board, board.cpu);
        }
    }

    #[test]
    fn the_pins_of_west_are_read() {
        let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let all = pins(&clone);
        let of =
            |name: &str| all.iter().find(|(own, _, _)| own == name).map(|(_, path, _)| &**path);
        assert_eq!(of("zephyr"), Some("zephyr"));
        assert_eq!(of("zephyr-lang-rust"), Some("modules/lang/rust"));
        assert_eq!(of("wasm-micro-runtime"), Some("modules/lib/wasm-micro-runtime"));
        assert!(all.iter().all(|(_, _, revision)| !revision.contains(' ')), "{all:?}");
    }
}
