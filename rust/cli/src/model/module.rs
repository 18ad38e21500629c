//! A user's WebAssembly module: its bytes and what its export takes.

use std::path::Path;

use wasmparser::{FuncType, Parser, Payload, ValType};
use wramp_core::runtime::Parameters;

use crate::model::file::read_at_most;
use crate::problem::Problem;

/// The longest module file that is read. No microcontroller holds one of this size.
const MOST_BYTES: u64 = 64 << 20;

/// Reads a module and compiles it where it is text.
///
/// # Errors
/// Where there is no such file, it is too long, or its text is not valid.
pub fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let bytes = read_at_most(path, MOST_BYTES)?;
    if path.extension().is_none_or(|extension| extension != "wat") {
        return Ok(bytes);
    }
    let wasm = wat::parse_bytes(&bytes).map_err(|mut error| {
        error.set_path(path);
        Problem::new(format!("not valid text: {error}"))
    })?;
    Ok(wasm.into_owned())
}

/// The same module, with a memory of whole pages. WAMR cuts a memory where the module exports
/// `__heap_base`, and another engine does not. Here the export has another name of that length.
#[must_use]
pub fn uncut(wasm: &[u8]) -> Vec<u8> {
    let mut bytes = wasm.to_vec();
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        let Payload::ExportSection(section) = payload else { continue };
        for export in section.into_iter().map_while(Result::ok) {
            if export.name == "__heap_base" {
                // The name is a part of the module's bytes, so this is its place in them.
                let place = export.name.as_ptr().addr() - wasm.as_ptr().addr();
                bytes[place..place + export.name.len()].copy_from_slice(b"__heap_whol");
            }
        }
    }
    bytes
}

/// What an export takes: one i32, or nothing.
///
/// A module that cannot be read, or an export of another signature, counts as one that takes
/// nothing. The engine checks the signature and says what is wrong with it.
#[must_use]
pub fn parameters(wasm: &[u8], export: &str) -> Parameters {
    match wramp_validate::signature(wasm, export).as_ref().map(FuncType::params) {
        Some([ValType::I32]) => Parameters::I32,
        _ => Parameters::None,
    }
}
