//! The validator's features are those of WAMR's switches, the one list of both builds.

use wasmparser::WasmFeatures;
use wramp_validate::ENGINE;

/// Every switch that lets a proposal in.
const SWITCHES: [(&str, WasmFeatures); 11] = [
    ("WAMR_BUILD_BULK_MEMORY", WasmFeatures::BULK_MEMORY),
    ("WAMR_BUILD_BULK_MEMORY_OPT", WasmFeatures::BULK_MEMORY_OPT),
    ("WAMR_BUILD_REF_TYPES", WasmFeatures::REFERENCE_TYPES),
    ("WAMR_BUILD_CALL_INDIRECT_OVERLONG", WasmFeatures::CALL_INDIRECT_OVERLONG),
    ("WAMR_BUILD_SIMD", WasmFeatures::SIMD),
    ("WAMR_BUILD_TAIL_CALL", WasmFeatures::TAIL_CALL),
    ("WAMR_BUILD_EXTENDED_CONST_EXPR", WasmFeatures::EXTENDED_CONST),
    ("WAMR_BUILD_MEMORY64", WasmFeatures::MEMORY64),
    ("WAMR_BUILD_MULTI_MEMORY", WasmFeatures::MULTI_MEMORY),
    ("WAMR_BUILD_GC", WasmFeatures::GC),
    ("WAMR_BUILD_SHARED_MEMORY", WasmFeatures::THREADS),
];

/// What WAMR has without a switch: the first version with what came to it before 2021.
const ALWAYS: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::GC_TYPES);

fn switch(name: &str) -> bool {
    let text = include_str!("../../../src/wamr.cmake");
    let start = format!("set({name} ");
    let values: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(&start)?.strip_suffix(')'))
        .collect();
    match values[..] {
        ["0"] => false,
        ["1"] => true,
        _ => panic!("{name}: {values:?}"),
    }
}

#[test]
fn the_validator_knows_what_the_engine_does_and_nothing_else() {
    let mut known = ALWAYS;
    for (name, feature) in SWITCHES {
        if switch(name) {
            known |= feature;
        }
    }
    assert_eq!(ENGINE, known);
    // One switch stands for two forms of the proposal; either would need a feature here.
    assert!(!switch("WAMR_BUILD_EXCE_HANDLING"));
}
