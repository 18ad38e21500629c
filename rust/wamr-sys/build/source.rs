//! Finds WAMR's source, and tells which WAMR it is.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The package of the registry that carries WAMR, and the commit in it.
const PACKAGE: &str = "wamr-sys";
const PACKAGE_VERSION: &str = "0.1.1";
const PACKAGE_TREE: &str = "wasm-micro-runtime";
const PACKAGE_WAMR: &str = "2020-12-26-50f9a3e";

/// A WAMR that these bindings fit.
pub(crate) struct Source {
    pub(crate) root: PathBuf,
    /// For the record, without spaces.
    pub(crate) version: String,
    /// The commit of 2020, which differs in its interface.
    pub(crate) is_2020: bool,
}

/// Looks in `WAMR_DIR`, then in the west workspace around this repository, then
/// in the registry's package. The first that is there decides; a `WAMR_DIR` that
/// is set and wrong is an error, never passed over.
///
/// # Errors
/// What was looked at, and what to do.
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

    let root = package_root(manifest_dir).map_err(|why| {
        format!(
            "no WAMR: WAMR_DIR is not set, no west workspace is around this repository, \
             and cargo could not fetch {PACKAGE} {PACKAGE_VERSION}: {why}"
        )
    })?;
    identify(&root)
}

fn identify(root: &Path) -> Result<Source, String> {
    if !root.join("core/iwasm/include/wasm_export.h").is_file() {
        return Err("it has no core/iwasm/include/wasm_export.h".into());
    }
    let root = root.to_owned();
    let Ok(header) = fs::read_to_string(root.join("core/version.h")) else {
        // Of the trees without version.h these bindings fit one, the package's,
        // which has this line; its neighbours in time may pass and are not tried.
        let config = fs::read_to_string(root.join("core/config.h")).unwrap_or_default();
        if config.contains("#define RESERVED_BYTES_TO_NATIVE_STACK_BOUNDARY") {
            return Ok(Source { root, version: PACKAGE_WAMR.into(), is_2020: true });
        }
        return Err(format!("it has no core/version.h and is not {PACKAGE_WAMR}"));
    };
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
    Ok(Source { root, version: format!("{major}.{minor}.{patch}"), is_2020: false })
}

/// Asks cargo where the locked package is; cargo fetches it if need be.
fn package_root(manifest_dir: &Path) -> Result<PathBuf, String> {
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
        .find(|package| package["name"] == PACKAGE && package["version"] == PACKAGE_VERSION)
        .and_then(|package| package["manifest_path"].as_str())
        .and_then(|manifest| Some(Path::new(manifest).parent()?.join(PACKAGE_TREE)))
        .ok_or_else(|| format!("cargo metadata does not name {PACKAGE} {PACKAGE_VERSION}"))
}
