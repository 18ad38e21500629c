//! Builds the committed guests again: equal compilers must give equal bytes.
//!
//! `scripts/guests` does the work and reports what it lacks. If a compiler is not the one in
//! guest/BUILT.txt, the bytes may differ. The test then reports that, and still checks that the
//! new module has the same imports and exports.

mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use reference::root;
use wasmparser::{Parser, Payload};

/// The parts of `scripts/guests`, and where the committed modules of each are.
const PARTS: [(&str, &str); 5] = [
    ("rust", "rust/guest/examples"),
    ("c", "guest"),
    ("kernels", "rust/engines/kernels/guest"),
    ("wasi-c", "guest/wasi/hello_c.wasm"),
    ("as", "guest/wasi/hello_as.wasm"),
];

/// Which compiler built which part.
fn compilers(directory: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(directory.join("guest/BUILT.txt")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(part, compiler)| (part.to_owned(), compiler.to_owned()))
        .collect()
}

/// The committed modules of a part, by their path in the repository.
fn committed(path: &str) -> Vec<String> {
    let from = root().join(path);
    if from.is_file() {
        return vec![path.to_owned()];
    }
    let mut found: Vec<_> = fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".wasm"))
        .map(|name| format!("{path}/{name}"))
        .collect();
    found.sort();
    found
}

/// The imports and exports of a module.
fn surface(wasm: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                names.extend(section.into_imports().map(|import| {
                    let import = import.unwrap();
                    format!("import {}.{}", import.module, import.name)
                }));
            }
            Payload::ExportSection(section) => {
                names.extend(
                    section.into_iter().map(|export| format!("export {}", export.unwrap().name)),
                );
            }
            _ => {}
        }
    }
    names
}

#[test]
fn committed_guests_are_what_their_sources_give() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rebuilt");
    if out.exists() {
        fs::remove_dir_all(&out).unwrap();
    }
    fs::create_dir_all(&out).unwrap();
    let output = Command::new(root().join("scripts/guests"))
        .arg(&out)
        .env("GUESTS", PARTS.map(|(part, _)| part).join(" "))
        // Cargo holds the lock of this build's own directory.
        .env("CARGO_TARGET_DIR", out.join("target"))
        .output()
        .unwrap();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        match line.strip_prefix("skipped: ") {
            Some(what) => reference::skip(what),
            None => println!("{line}"),
        }
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let (then, now) = (compilers(&root()), compilers(&out));
    for (part, path) in PARTS {
        let committed = committed(path);
        assert!(!committed.is_empty(), "{path}");
        let Some(compiler) = now.get(part) else { continue };
        let same = then.get(part) == Some(compiler);
        if !same {
            let before = &then[part];
            reference::skip(&format!("bytes of {part}: committed by {before}, here {compiler}"));
        }
        for path in committed {
            let old = fs::read(root().join(&path)).unwrap();
            let new = fs::read(out.join(&path)).unwrap();
            assert_eq!(surface(&old), surface(&new), "{path}");
            assert!(!same || old == new, "{path} is not what its source gives: scripts/guests");
        }
    }
}
