//! Puts the catalogue of boards into the command, so that it works from any directory.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it"));
    let boards = manifest.join("../../boards");
    println!("cargo::rerun-if-changed={}", boards.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&boards)
        .unwrap_or_else(|error| panic!("{}: {error}", boards.display()))
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let mut text = String::from("const CATALOGUE: &[(&str, &str)] = &[\n");
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = file.display().to_string();
        writeln!(text, "    ({name:?}, include_str!({path:?})),").expect("a String takes it");
    }
    text.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it"));
    fs::write(out.join("boards.rs"), text).expect("Cargo's directory can be written");
}
