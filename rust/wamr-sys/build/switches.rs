//! Reads `src/wamr.cmake`, the one list of WAMR's switches.

use std::collections::BTreeMap;

/// From this line on, only CMake reads the file.
const END: &str = "# ---- The host build stops reading here";

/// A switch: its value, and whether a user may choose another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) value: String,
    pub(crate) choice: bool,
}

/// The switches by name, in order.
pub(crate) type Switches = BTreeMap<String, Switch>;

/// Reads the list. The head of the file itself describes its grammar.
///
/// # Errors
/// The number of the first line that does not follow the grammar, and what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Switches, String> {
    let mut switches = Switches::new();
    let mut guarded: Option<&str> = None;
    let mut ended = false;

    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let refuse = |why: &str| Err(format!("line {}: {why}: {line}", index + 1));
        if line.starts_with(END) {
            ended = true;
            break;
        } else if line.is_empty() || line.starts_with('#') {
            continue;
        } else if line == "endif()" {
            let Some(name) = guarded.take() else { return refuse("endif() without if()") };
            if !switches.contains_key(name) {
                return refuse("a guard that guards nothing");
            }
        } else if let Some(name) = inside(line, "if(NOT DEFINED ") {
            if guarded.replace(name).is_some() {
                return refuse("a guard within a guard");
            }
        } else if let Some(pair) = inside(line, "set(") {
            let Some((name, value)) = pair.split_once(' ') else {
                return refuse("expected set(NAME VALUE)");
            };
            if guarded.is_some_and(|expected| expected != name) {
                return refuse("not the name that the guard names");
            }
            let plain = |s: &str| s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !plain(name) || !plain(value) || value.is_empty() {
                return refuse("a name and a value are letters, digits and _");
            }
            let switch = Switch { value: value.to_owned(), choice: guarded.is_some() };
            if switches.insert(name.to_owned(), switch).is_some() {
                return refuse("set twice");
            }
        } else {
            return refuse("neither a comment nor set() nor if(NOT DEFINED)");
        }
    }

    if !ended {
        return Err(format!("the line `{END}` is missing"));
    }
    match guarded {
        Some(name) => Err(format!("if(NOT DEFINED {name}) is not closed")),
        None => Ok(switches),
    }
}

fn inside<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix(')')
}

/// The C macros that a switch stands for, as WAMR's own `build-scripts/config_common.cmake`
/// derives them. `None` if it stands for none.
#[must_use]
pub(crate) fn macros(name: &str) -> Option<Vec<String>> {
    Some(match name {
        // It selects files, not code.
        "WAMR_DISABLE_APP_ENTRY" | "WRAMP_INTERPRETER_OPT" => return None,
        "WAMR_DISABLE_HW_BOUND_CHECK" => {
            vec!["WASM_DISABLE_HW_BOUND_CHECK".into(), "WASM_DISABLE_STACK_HW_BOUND_CHECK".into()]
        }
        "WAMR_BUILD_STACK_GUARD_SIZE" => vec!["WASM_STACK_GUARD_SIZE".into()],
        "WRAMP_BLOCK_ADDR_CACHE_SIZE" => vec!["BLOCK_ADDR_CACHE_SIZE".into()],
        _ => {
            if let Some(rest) = name.strip_prefix("WAMR_BUILD_ALLOC_WITH_") {
                vec![format!("WASM_MEM_ALLOC_WITH_{rest}")]
            } else if let Some(rest) = name.strip_prefix("WAMR_BUILD_") {
                vec![format!("WASM_ENABLE_{rest}")]
            } else if let Some(rest) = name.strip_prefix("WAMR_DISABLE_") {
                vec![format!("WASM_DISABLE_{rest}")]
            } else {
                return None;
            }
        }
    })
}
