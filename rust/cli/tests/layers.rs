//! The layers of the sources: `cmd` on `show` on `model`, and no circle between files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The module of a file: `model::log` for `src/model/log.rs`, `model` for `src/model/mod.rs`.
fn module_of(file: &Path) -> String {
    let path = file.strip_prefix(sources()).unwrap().with_extension("");
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    match parts.split_last() {
        Some((last, rest)) if last == "mod" => rest.join("::"),
        _ => parts.join("::"),
    }
}

/// Every file and its text.
fn files() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![sources()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(module_of(&path), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The modules that a file's code names by `crate::`, `super::` or a group of them.
fn imports(module: &str, text: &str, known: &BTreeSet<&String>) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    // A comment may name any file.
    let code = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<String>();
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    for (start, prefix) in [("crate::", String::new()), ("super::", format!("{parent}::"))] {
        for (at, _) in code.match_indices(start) {
            // `super::*` of a test module names the file itself, which does not count.
            let rest = &code[at + start.len()..];
            let path: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':'))
                .collect();
            let group =
                rest[path.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next());
            let members = group.map_or(vec![""], |group| group.split(',').map(str::trim).collect());
            for member in members {
                let full = format!("{prefix}{path}{member}");
                let longest = known.iter().filter(|known| {
                    full.strip_prefix(known.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
                });
                named
                    .extend(longest.max_by_key(|known| known.len()).map(|known| known.to_string()));
            }
        }
    }
    named.remove(module);
    named
}

fn layer(module: &str) -> &str {
    module.split("::").next().unwrap_or("")
}

#[test]
fn no_layer_imports_one_above_it_and_no_subcommand_another() {
    let files = files();
    let known: BTreeSet<&String> = files.keys().filter(|name| name.contains("::")).collect();
    assert!(known.len() > 30, "{known:?}");
    for (module, text) in files.iter().filter(|(name, _)| name.contains("::")) {
        let allowed: &[&str] = match layer(module) {
            "cmd" => &["model", "show"],
            "show" => &["show", "model"],
            "model" => &["model"],
            other => panic!("{module}: no layer {other}"),
        };
        for import in imports(module, text, &known) {
            assert!(allowed.contains(&layer(&import)), "{module} imports {import}");
        }
    }
}

#[test]
fn no_file_imports_itself_through_others() {
    let files = files();
    let known: BTreeSet<&String> = files.keys().filter(|name| name.contains("::")).collect();
    let mut graph: BTreeMap<&String, BTreeSet<String>> =
        known.iter().map(|&name| (name, imports(name, &files[name], &known))).collect();
    let edges: usize = graph.values().map(BTreeSet::len).sum();
    assert!(edges > 60, "{edges} imports found");
    // Remove files that import none of the remaining ones, until no file remains.
    while !graph.is_empty() {
        let free: Vec<&String> =
            graph.iter().filter(|(_, imports)| imports.is_empty()).map(|(name, _)| *name).collect();
        assert!(!free.is_empty(), "a circle in {graph:#?}");
        for name in &free {
            graph.remove(*name);
        }
        for imports in graph.values_mut() {
            imports.retain(|import| !free.contains(&import));
        }
    }
}

/// Four subcommands run an engine on this machine, and `fitting` does for one of them. A mix is
/// in the bench's own terms, so the
/// model of a mix uses those. No other file knows that this machine can run anything.
#[test]
fn few_files_use_the_host() {
    let uses = |text: &str, names: &[&str]| names.iter().any(|name| text.contains(name));
    for (module, text) in files() {
        if uses(&text, &["wramp_host", "wramp_wamr", "wramp_core::machine"]) {
            assert!(
                ["cmd::run", "cmd::fit", "cmd::suite", "cmd::engines", "engine", "fitting"]
                    .contains(&&*module),
                "{module}"
            );
        }
        if uses(&text, &["wramp_bench"]) {
            let known = [
                "cmd::run",
                "cmd::fit",
                "cmd::suite",
                "cmd::engines",
                "engine",
                "fitting",
                "model::leave",
                "model::mix",
                "model::own",
            ];
            assert!(known.contains(&&*module), "{module}");
        }
    }
}
