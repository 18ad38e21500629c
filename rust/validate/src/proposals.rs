//! The proposals that the engine lacks: which of them a module uses, and where.

use std::fmt;

use wasmparser::WasmFeatures;

use crate::place::Place;
use crate::{ENGINE, Failure, with};

/// A proposal that a module uses and the engine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The proposal's name.
    pub proposal: &'static str,
    /// The first place that needs it.
    pub place: Place,
    /// How to build the module without it.
    pub remedy: &'static str,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.proposal, self.place, self.remedy)
    }
}

/// The name, what the validator must know in order to go on, and how to compile without it.
///
/// A smaller set stands before a larger one that holds it: the first that helps is named.
const PROPOSALS: [(&str, WasmFeatures, &str); 17] = [
    ("SIMD", WasmFeatures::SIMD, "clang: -mno-simd128; rustc: -C target-feature=-simd128"),
    (
        "relaxed SIMD",
        WasmFeatures::SIMD.union(WasmFeatures::RELAXED_SIMD),
        "clang: -mno-relaxed-simd; rustc: -C target-feature=-relaxed-simd",
    ),
    ("tail calls", WasmFeatures::TAIL_CALL, "clang: -mno-tail-call"),
    (
        "threads",
        WasmFeatures::THREADS,
        "clang: no -pthread and -mno-atomics; rustc: -C target-feature=-atomics",
    ),
    ("exceptions", WasmFeatures::EXCEPTIONS, "clang: -fno-exceptions; rustc: -C panic=abort"),
    (
        "exceptions, in their old form",
        WasmFeatures::EXCEPTIONS.union(WasmFeatures::LEGACY_EXCEPTIONS),
        "clang: -fno-exceptions; rustc: -C panic=abort",
    ),
    ("several memories", WasmFeatures::MULTI_MEMORY, "declare one memory"),
    ("memory64", WasmFeatures::MEMORY64, "compile for wasm32"),
    ("custom page sizes", WasmFeatures::CUSTOM_PAGE_SIZES, "leave the page size at 65,536"),
    ("memory control", WasmFeatures::MEMORY_CONTROL, "compile without it"),
    ("extended constant expressions", WasmFeatures::EXTENDED_CONST, "clang: -mno-extended-const"),
    ("typed function references", WasmFeatures::FUNCTION_REFERENCES, "compile without them"),
    (
        "GC",
        WasmFeatures::GC.union(WasmFeatures::FUNCTION_REFERENCES),
        "compile it from a language that needs no garbage collector of the engine's",
    ),
    ("wide arithmetic", WasmFeatures::WIDE_ARITHMETIC, "clang: -mno-wide-arithmetic"),
    (
        "shared tables, functions or globals",
        WasmFeatures::SHARED_EVERYTHING_THREADS.union(WasmFeatures::THREADS),
        "declare them without `shared`",
    ),
    (
        "stack switching",
        WasmFeatures::STACK_SWITCHING
            .union(WasmFeatures::FUNCTION_REFERENCES)
            .union(WasmFeatures::EXCEPTIONS),
        "compile without it",
    ),
    ("compact imports", WasmFeatures::COMPACT_IMPORTS, "write each import with its module's name"),
];

/// The proposals without which the validator stops at this failure, and at those behind it.
///
/// With a proposal that a module uses, the validator gets farther. One that does not help was
/// not used there.
pub(crate) fn used(wasm: &[u8], first: &Failure) -> Vec<Use> {
    let (mut features, mut used, mut at) = (ENGINE, Vec::new(), first.at);
    let all = PROPOSALS.iter().fold(ENGINE, |all, (_, needs, _)| all.union(*needs));
    // Where all of them together do not help, none does: a large module is not read for each.
    let farthest = with(all, wasm).err().map(|failure| failure.at);
    loop {
        if farthest.is_some_and(|farthest| farthest <= at) {
            return used;
        }
        let helps = PROPOSALS.iter().find_map(|&(proposal, needs, remedy)| {
            if features.contains(needs) {
                return None;
            }
            let after = with(features.union(needs), wasm).err().map(|failure| failure.at);
            after.is_none_or(|after| after > at).then_some((proposal, needs, remedy, after))
        });
        let Some((proposal, needs, remedy, after)) = helps else { return used };
        used.push(Use { proposal, place: Place::of(wasm, at), remedy });
        features = features.union(needs);
        match after {
            Some(after) => at = after,
            None => return used,
        }
    }
}
