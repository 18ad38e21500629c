//! What the build script reads from WAMR's source.
//!
//! It reads the version, and whether the loader needs a guard.

#[path = "../build/source.rs"]
#[allow(dead_code, reason = "the build script uses the rest")]
mod source;

use std::fs;
use std::path::PathBuf;

/// A source that holds these two files, in its own directory.
fn tree(name: &str, version: &str, loader: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(root.join("core/iwasm/interpreter")).unwrap();
    let numbers: String = ["MAJOR", "MINOR", "PATCH"]
        .iter()
        .zip(version.split('.'))
        .map(|(part, number)| format!("#define WAMR_VERSION_{part} {number}\n"))
        .collect();
    fs::write(root.join("core/version.h"), numbers).unwrap();
    fs::write(root.join("core/iwasm/interpreter/wasm_loader.c"), loader).unwrap();
    root
}

#[test]
fn the_fix_decides_and_not_the_version() {
    let with = "#define FAST_INTERP_CONST_DEDUP_SCAN_MAX 32\n";
    let without = "if (ctx->i64_const_num < 10) {}\n";
    for (name, version, loader, overflows) in [
        ("old", "2.4.3", without, true),
        ("fixed", "2.4.5", with, false),
        ("patched", "2.4.3", with, false),
        ("later-without", "2.5.0", without, true),
    ] {
        let source = source::identify(&tree(name, version, loader)).unwrap();
        assert_eq!((&*source.version, source.const_overflow), (version, overflows));
    }
}

#[test]
fn a_wamr_that_these_bindings_do_not_fit() {
    let error = |root: PathBuf| source::identify(&root).unwrap_err();
    assert_eq!(
        error(tree("too-old", "2.3.1", "")),
        "it is 2.3.1; these bindings fit 2.4 and later 2.x"
    );
    assert!(error(tree("too-new", "3.0.0", "")).starts_with("it is 3.0.0"));
    let no_version = tree("no-version", "", "");
    assert_eq!(error(no_version.clone()), "core/version.h does not define WAMR_VERSION_MAJOR");
    fs::remove_file(no_version.join("core/version.h")).unwrap();
    assert!(error(no_version).starts_with("core/version.h: No such file"));
    let no_loader = tree("no-loader", "2.4.5", "");
    fs::remove_file(no_loader.join("core/iwasm/interpreter/wasm_loader.c")).unwrap();
    assert!(error(no_loader).starts_with("core/iwasm/interpreter/wasm_loader.c: No such file"));
}
