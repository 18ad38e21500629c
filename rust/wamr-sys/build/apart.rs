//! Two builds of WAMR in one program: the second one has names of its own.
//!
//! The package `wramp-wamr-other-sys` uses this build script and these sources for the
//! interpreter that this package does not have. Each of its symbols begins with
//! [`PREFIX`], so no call of one build can reach the other.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The beginning of every symbol of the second build. src/lib.rs and src/host.rs write it too.
const PREFIX: &str = "wramp_other_";

/// What src/host.rs defines for the C.
const OF_RUST: [&str; 6] =
    ["os_mmap", "os_munmap", "os_mremap", "os_mprotect", "os_dcache_flush", "os_icache_flush"];

/// Whether this is the second build.
pub(crate) fn is_other() -> bool {
    env::var("CARGO_PKG_NAME").is_ok_and(|name| name == "wramp-wamr-other-sys")
}

/// The directory of `wramp-wamr-sys`, whose sources both builds use.
///
/// # Errors
/// It is not where the second package expects it.
pub(crate) fn home() -> Result<PathBuf, String> {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    if !is_other() {
        return Ok(own);
    }
    let home = own.join("../../wamr-sys");
    home.canonicalize().map_err(|error| format!("{}: {error}", home.display()))
}

/// Gives every symbol that these objects define, or expect from src/host.rs, its second name.
///
/// # Errors
/// binutils are not there or fail.
pub(crate) fn rename(objects: &[PathBuf]) -> Result<(), String> {
    let mut names: BTreeSet<String> = OF_RUST.iter().map(|&name| name.to_owned()).collect();
    for object in objects {
        let listed = run("nm", &["--defined-only", "--extern-only", "--format=posix"], object)?;
        names.extend(listed.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned));
    }
    let mut map = String::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        // Writing to a string does not fail.
        let _ = writeln!(map, "{name} {PREFIX}{name}");
    }
    let list = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("names");
    fs::write(&list, map).map_err(|error| format!("{}: {error}", list.display()))?;
    for object in objects {
        run("objcopy", &[&format!("--redefine-syms={}", list.display())], object)?;
    }
    Ok(())
}

/// Runs a program of binutils on a file.
fn run(program: &str, options: &[&str], file: &Path) -> Result<String, String> {
    let output =
        Command::new(program).args(options).arg(file).output().map_err(|error| {
            format!("{program} did not start (apt-get install binutils): {error}")
        })?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
