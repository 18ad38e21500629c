//! Turns wat/*.wat into OUT_DIR/*.wasm, without names and without other tools.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    match compile_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // One directive a line, because cargo shows only the first line of each.
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn compile_all() -> Result<(), String> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("not run by cargo")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("not run by cargo")?);
    println!("cargo::rerun-if-changed=build.rs");
    for texts in ["../../wat", "../../wat/check"] {
        let texts = here.join(texts);
        let failed = |error| format!("{}: {error}", texts.display());
        let texts = texts.canonicalize().map_err(failed)?;
        // Watch the directory too, because a file may be added.
        println!("cargo::rerun-if-changed={}", texts.display());
        for entry in fs::read_dir(&texts).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "wat") {
                println!("cargo::rerun-if-changed={}", path.display());
                compile(&path, &out)?;
            }
        }
    }
    Ok(())
}

fn compile(path: &Path, out: &Path) -> Result<(), String> {
    // wat's message carries the file, the line and a mark under the column.
    let wasm = wat::parse_file(path).map_err(|error| error.to_string())?;
    let wasm = without_custom_sections(&wasm)
        .ok_or_else(|| format!("{}: wat wrote a section that does not end", path.display()))?;
    let name = path.file_stem().ok_or("a .wat file without a name")?;
    let target = out.join(name).with_extension("wasm");
    fs::write(&target, wasm).map_err(|error| format!("{}: {error}", target.display()))
}

/// The module without its custom sections. `wat` writes one with the names of locals. It is half
/// of a small module, and a device would keep it in its arena.
fn without_custom_sections(wasm: &[u8]) -> Option<Vec<u8>> {
    const CUSTOM: u8 = 0;
    // The magic number and the version.
    let (header, mut rest) = wasm.split_at_checked(8)?;
    let mut kept = header.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let (length, after) = leb128(after)?;
        let end = rest.len() - after.len() + length;
        let (section, next) = rest.split_at_checked(end)?;
        if id != CUSTOM {
            kept.extend_from_slice(section);
        }
        rest = next;
    }
    Some(kept)
}

/// An unsigned LEB128 number of at most 32 bits, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}
