//! Compiles wasm3 from the source that the registry's package `wasm3x-sys` carries.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const PACKAGE: &str = "wasm3x-sys";
const SOURCE: &str = "wasm3/source";

/// The interpreter itself, without its host functions.
const FILES: [&str; 11] = [
    "m3_bind.c",
    "m3_code.c",
    "m3_compile.c",
    "m3_core.c",
    "m3_env.c",
    "m3_exec.c",
    "m3_function.c",
    "m3_info.c",
    "m3_module.c",
    "m3_parse.c",
    "m3_validate.c",
];

/// What it is compiled with, and why.
const SWITCHES: [(&str, &str); 7] = [
    // Three tables of this many entries lie in every instance. The ESP32's value.
    ("d_m3MaxFunctionStackHeight", "256"),
    ("d_m3MaxConstantTableSize", "64"),
    // A buffer of 256 bytes in every instance otherwise.
    ("d_m3VerboseErrorMessages", "0"),
    // Every instance has a page of code at least. 32 KiB otherwise.
    ("d_m3CodePageAlignSize", "1024"),
    // Slots have 64 KiB more than their board's, and the callers need some of it.
    ("d_m3MaxNativeStack", "(48 * 1024)"),
    ("d_m3LogOutput", "0"),
    ("NDEBUG", "1"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let (root, version) = match package(&manifest) {
        Ok(found) => found,
        Err(why) => {
            println!("cargo::error=no wasm3: cargo could not fetch {PACKAGE}: {why}");
            return;
        }
    };
    let header = root.join("wasm3.h");
    let Some(release) = release(&header) else {
        println!("cargo::error={} names no version", header.display());
        return;
    };
    println!("cargo::rustc-env=WRAMP_WASM3_VERSION={release}-wasm3x-{version}");
    let mut build = cc::Build::new();
    build
        .files(FILES.map(|file| root.join(file)))
        .include(&root)
        // Its operations call each other in tail position. Without optimisation each would take
        // a frame, until the native stack is full.
        .opt_level(3)
        .flag_if_supported("-fno-strict-aliasing")
        .warnings(false)
        .extra_warnings(false);
    for (name, value) in SWITCHES {
        build.define(name, value);
    }
    // wasm3 has no hooks for an allocator.
    for name in ["calloc", "realloc", "free"] {
        build.define(name, &*format!("wramp_wasm3_{name}"));
    }
    build.compile("wramp_wasm3");
}

/// The version in the header.
fn release(header: &Path) -> Option<String> {
    let text = std::fs::read_to_string(header).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("#define M3_VERSION "))?;
    Some(line.trim().trim_matches('"').to_owned())
}

/// Where the locked package lies, and its version. Cargo fetches it if it is not there.
fn package(manifest: &Path) -> Result<(PathBuf, String), String> {
    let cargo = env::var_os("CARGO").ok_or("CARGO is not set")?;
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--manifest-path"])
        .arg(manifest.join("Cargo.toml"))
        .output()
        .map_err(|error| format!("cargo metadata did not start: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == PACKAGE)
        .and_then(|package| {
            let manifest = Path::new(package["manifest_path"].as_str()?);
            Some((manifest.parent()?.join(SOURCE), package["version"].as_str()?.to_owned()))
        })
        .ok_or_else(|| format!("cargo metadata does not name {PACKAGE}"))
}
