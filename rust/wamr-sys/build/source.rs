//! Finds WAMR's source and determines its version.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The registry's package that carries WAMR, and its directory with the source.
const PACKAGE: &str = "wamrx-sys";
const PACKAGE_TREE: &str = "wasm-micro-runtime";
/// Stands for the package in a version, so a record shows the source.
const PACKAGE_LABEL: &str = "wamrx";

/// The file with the loader of both interpreters.
const LOADER: &str = "core/iwasm/interpreter/wasm_loader.c";
/// A name that commit b1353b5e8 (WAMR 2.4.5) introduced with its fix. Without the fix, the fast
/// interpreter's loader overflows its heap. See `too_many_constants` in
/// rust/wamr/src/binary.rs. src/zephyr.cmake looks for the same name.
const LOADER_FIX: &str = "FAST_INTERP_CONST_DEDUP_SCAN_MAX";

/// A WAMR source that these bindings fit.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) root: PathBuf,
    /// The version for the record, without spaces.
    pub(crate) version: String,
    /// Whether the fast interpreter's loader lacks [`LOADER_FIX`].
    pub(crate) const_overflow: bool,
}

/// Looks in `WAMR_DIR`, then in the west workspace around this repository, then in the
/// registry's package. The first source that exists decides. A `WAMR_DIR` that is set but wrong
/// is an error and is never skipped.
///
/// # Errors
/// What it looked at, and what to do.
pub(crate) fn find(manifest_dir: &Path) -> Result<Source, String> {
    if let Some(dir) = env::var_os("WAMR_DIR").filter(|dir| !dir.is_empty()) {
        let root = PathBuf::from(dir);
        return identify(&root).map_err(|why| {
            format!("WAMR_DIR is {}, which is not a WAMR to build: {why}", root.display())
        });
    }

    // The repository is west's manifest repository, so its parent is the workspace.
    if let Some(workspace) = manifest_dir.ancestors().nth(3) {
        for name in ["wamr", "wasm-micro-runtime"] {
            let root = workspace.join("modules/lib").join(name);
            if root.is_dir() {
                return identify(&root).map_err(|why| {
                    format!("WAMR of the west workspace, {}: {why}", root.display())
                });
            }
        }
    }

    let (root, package_version) = package(manifest_dir).map_err(|why| {
        format!(
            "no WAMR: WAMR_DIR is not set, no west workspace is around this repository, \
             and cargo could not fetch {PACKAGE}: {why}"
        )
    })?;
    let source = identify(&root)?;
    // The package carries a state between two releases, and version.h does not say so.
    let version = format!("{}-{PACKAGE_LABEL}-{package_version}", source.version);
    Ok(Source { version, ..source })
}

/// Reads which WAMR a directory holds.
///
/// # Errors
/// What the directory lacks, or that these bindings do not fit it.
pub(crate) fn identify(root: &Path) -> Result<Source, String> {
    let read = |name: &str| {
        fs::read_to_string(root.join(name)).map_err(|error| format!("{name}: {error}"))
    };
    let header = read("core/version.h")?;
    let loader = read(LOADER)?;
    let number = |name: &str| -> Result<u32, String> {
        header
            .lines()
            .find_map(|line| {
                line.trim().strip_prefix("#define ")?.strip_prefix(name)?.trim().parse().ok()
            })
            .ok_or_else(|| format!("core/version.h does not define {name}"))
    };
    let major = number("WAMR_VERSION_MAJOR")?;
    let minor = number("WAMR_VERSION_MINOR")?;
    let patch = number("WAMR_VERSION_PATCH")?;
    if (major, minor) < (2, 4) || major > 2 {
        return Err(format!("it is {major}.{minor}.{patch}; these bindings fit 2.4 and later 2.x"));
    }
    Ok(Source {
        root: root.to_owned(),
        version: format!("{major}.{minor}.{patch}"),
        const_overflow: !loader.contains(LOADER_FIX),
    })
}

/// Asks cargo for the path and the version of the locked package. Cargo fetches the package if
/// needed.
fn package(manifest_dir: &Path) -> Result<(PathBuf, String), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--manifest-path"])
        .arg(manifest_dir.join("Cargo.toml"))
        .output()
        .map_err(|error| format!("cargo metadata did not start: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
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
            let version = package["version"].as_str()?;
            Some((manifest.parent()?.join(PACKAGE_TREE), version.to_owned()))
        })
        .ok_or_else(|| format!("cargo metadata does not name {PACKAGE}"))
}
