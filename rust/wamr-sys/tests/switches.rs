//! The reader of `src/wamr.cmake` accepts its grammar and nothing else.

#[path = "../build/switches.rs"]
mod switches;

use switches::{Switch, macros, parse};

const END: &str = "# ---- The host build stops reading here ----\nanything at all\n";

fn error(list: &str) -> String {
    parse(&format!("{list}\n{END}")).unwrap_err()
}

#[test]
fn takes_the_three_forms() {
    let list = "# why\n\nset(A 1)\nif(NOT DEFINED B)\n  set(B s)\nendif()\n";
    let switches = parse(&format!("{list}{END}")).unwrap();
    assert_eq!(switches["A"], Switch { value: "1".into(), choice: false });
    assert_eq!(switches["B"], Switch { value: "s".into(), choice: true });
    assert_eq!(switches.len(), 2);
}

#[test]
fn refuses_the_rest_and_says_where() {
    assert!(error("set(A 1)\nset(A 2)").starts_with("line 2: set twice"));
    assert!(error("set(A)").starts_with("line 1: expected set(NAME VALUE)"));
    assert!(error("set(A ${B})").starts_with("line 1: a name and a value"));
    assert!(error("set(A 1 CACHE)").starts_with("line 1: a name and a value"));
    assert!(error("set(A 1) # why").contains("neither a comment nor set()"));
    assert!(error("if(X)").contains("neither a comment nor set()"));
    assert!(error("endif()").contains("endif() without if()"));
    assert!(error("if(NOT DEFINED A)\nendif()").contains("guards nothing"));
    assert!(error("if(NOT DEFINED A)\nset(B 1)").contains("not the name"));
    assert!(error("if(NOT DEFINED A)\nif(NOT DEFINED B)").contains("a guard within"));
    assert!(error("if(NOT DEFINED A)\nset(A 1)").contains("not closed"));
    assert!(parse("set(A 1)\n").unwrap_err().contains("is missing"));
}

#[test]
fn reads_the_list_itself() {
    let switches = parse(include_str!("../../../src/wamr.cmake")).unwrap();
    let choices: Vec<_> = switches.iter().filter(|(_, s)| s.choice).map(|(name, _)| name).collect();
    assert_eq!(
        choices,
        [
            "WAMR_BUILD_AOT",
            "WAMR_BUILD_FAST_INTERP",
            "WAMR_BUILD_INSTRUCTION_METERING",
            "WRAMP_BLOCK_ADDR_CACHE_SIZE",
            "WRAMP_INTERPRETER_OPT",
        ]
    );
}

#[test]
fn names_the_macros_that_wamr_does() {
    assert_eq!(macros("WAMR_BUILD_BULK_MEMORY").unwrap(), ["WASM_ENABLE_BULK_MEMORY"]);
    assert_eq!(macros("WAMR_BUILD_ALLOC_WITH_USAGE").unwrap(), ["WASM_MEM_ALLOC_WITH_USAGE"]);
    assert_eq!(macros("WAMR_BUILD_STACK_GUARD_SIZE").unwrap(), ["WASM_STACK_GUARD_SIZE"]);
    assert_eq!(macros("WRAMP_BLOCK_ADDR_CACHE_SIZE").unwrap(), ["BLOCK_ADDR_CACHE_SIZE"]);
    assert_eq!(
        macros("WAMR_DISABLE_HW_BOUND_CHECK").unwrap(),
        ["WASM_DISABLE_HW_BOUND_CHECK", "WASM_DISABLE_STACK_HW_BOUND_CHECK"]
    );
    assert_eq!(macros("WRAMP_INTERPRETER_OPT"), None);
}
