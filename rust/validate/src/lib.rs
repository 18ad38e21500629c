//! Whether a module is valid for the engine, and in plain words why not.
//!
//! A module from outside is hostile until this crate has read it. An engine's loader was written
//! to load good modules: WAMR accepts some that are invalid, blames its memory for a count of
//! 2^32-1, and says "unsupported opcode fd" where it means SIMD. The validator here is
//! `wasmparser`'s, from the maintainers of the specification's tools, with exactly the features
//! of WAMR as wramp builds it (`src/wamr.cmake`; a test compares the two).
//!
//! - Every refusal names the byte, and the function where the byte is in one.
//! - A proposal that the engine lacks is named, with the compiler's option that leaves it out.
//! - What a module chose as a name cannot steer a terminal.
//!
//! It says nothing about imports and exports: which of them a host can serve is the host's part.
//! A module that passes may still be refused by the engine, because an engine has limits too.
#![forbid(unsafe_code)]

mod place;
mod proposals;
mod signature;

use std::fmt;

use wasmparser::{Validator, WasmFeatures};
use wramp_core::report::steers;

pub use place::{Function, Place};
pub use proposals::Use;
pub use signature::signature;

/// What WAMR runs as wramp builds it.
pub const ENGINE: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::FLOATS)
    // How this validator keeps `externref`. It lets no type of GC in.
    .union(WasmFeatures::GC_TYPES);

/// Why a module is refused. It is one sentence without a full stop, and does not name the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes do not begin as a module does.
    NotWasm,
    /// The bytes are a component of the component model.
    Component,
    /// The bytes are machine code that `wamrc` made of a module.
    Compiled,
    /// The module is of another version of the format.
    Version(u16),
    /// The module uses proposals that the engine lacks. There is at least one.
    Lacks(Vec<Use>),
    /// The module is valid for no engine.
    Invalid {
        /// Where.
        place: Place,
        /// The validator's words.
        why: String,
    },
}

/// Refuses every module that is not valid for WAMR as wramp builds it.
///
/// The time is that of reading the module a few times. The memory is a few times the module.
///
/// # Errors
/// See [`Refusal`].
pub fn check(wasm: &[u8]) -> Result<(), Refusal> {
    header(wasm)?;
    let Err(failure) = with(ENGINE, wasm) else { return Ok(()) };
    let lacks = proposals::used(wasm, &failure);
    if !lacks.is_empty() {
        return Err(Refusal::Lacks(lacks));
    }
    let place = Place::of(wasm, failure.at);
    Err(Refusal::Invalid { place, why: printable(&failure.why) })
}

/// The first byte that the validator refuses, and its words.
struct Failure {
    at: usize,
    why: String,
}

fn with(features: WasmFeatures, wasm: &[u8]) -> Result<(), Failure> {
    let mut validator = Validator::new_with_features(features);
    let failure = |error: wasmparser::BinaryReaderError| Failure {
        at: error.offset() as usize,
        why: error.message().to_owned(),
    };
    validator.validate_all(wasm).map(drop).map_err(failure)
}

/// The validator's words about a wrong header help nobody.
fn header(wasm: &[u8]) -> Result<(), Refusal> {
    match *wasm {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        // A component has a version of its own, followed by a layer of 1.
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Err(Refusal::Component),
        [0, b'a', b's', b'm', low, high, _, _, ..] => {
            Err(Refusal::Version(u16::from_le_bytes([low, high])))
        }
        [0, b'a', b'o', b't', ..] => Err(Refusal::Compiled),
        _ => Err(Refusal::NotWasm),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWasm => {
                f.write_str("not a WebAssembly module: it does not begin with 00 61 73 6d")
            }
            Self::Component => f.write_str(
                "a WebAssembly component: give the core module in it (wasm-tools component unbundle)",
            ),
            Self::Compiled => f.write_str(
                "compiled ahead of time by wamrc, and wramp runs no such code: give the .wasm that \
                 it was made of",
            ),
            Self::Version(version) => write!(
                f,
                "a WebAssembly module of version {version} (bytes 4 to 7), and there is only 1"
            ),
            Self::Lacks(uses) => {
                f.write_str("it uses what the engine lacks: ")?;
                for (index, one) in uses.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{one}")?;
                }
                Ok(())
            }
            Self::Invalid { place, why } => {
                write!(f, "it is no valid WebAssembly {place}: {why}; build it again")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// Characters of a name that are shown. A module may choose one of 100,000.
const NAME_CHARS: usize = 60;

/// A module's words, cut, without what would steer a terminal or turn its text round.
pub(crate) fn printable(text: &str) -> String {
    let plain = |c: char| if steers(c) { '?' } else { c };
    let mut shown: String = text.chars().take(4 * NAME_CHARS).map(plain).collect();
    if text.chars().nth(4 * NAME_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

/// [`printable()`], for a name.
pub(crate) fn name(text: &str) -> String {
    let short: String = text.chars().take(NAME_CHARS).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    printable(&short) + dots
}
