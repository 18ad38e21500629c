//! Which imports a module may not have, each with what it would need.

use core::fmt;

use wramp_core::host::{FunctionNumber, Links};

use crate::grants::{Capability, Grants};
use crate::module::{Import, Imports, Item, Malformed, Types, Values, imports};
use crate::provided::{Function, Provided, ValueType, find};
use crate::text::Name;

/// An import that the module may not have. It prints as a line: what, why, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing<'b> {
    /// The import.
    pub import: Import<'b>,
    /// Why not.
    pub why: Why,
}

/// Why a module may not have an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The run was not given leave for it.
    NotAllowed(Capability),
    /// There is a function of that name and another type.
    OtherType(&'static Provided),
    /// There is none, and a stub would do.
    Unknown,
    /// There is none, and a stub would have to make up a result.
    UnknownResult,
    /// There is none, and it takes or gives what is no number.
    NoNumbers,
    /// It is no function.
    NoFunction,
    /// A kind of function that wramp will not have, and what to do without it.
    Family {
        /// Why not.
        reason: &'static str,
        /// What to do.
        remedy: &'static str,
    },
}

/// Families of functions: which names belong to it, why it is not there, what to do.
type Family = (fn(&str, &str) -> bool, &'static str, &'static str);

const WASI: &str = "wasi_snapshot_preview1";

const FAMILIES: [Family; 9] = [
    (
        |module, name| module == WASI && name == "poll_oneoff",
        "it would hold the worker while it waits",
        "use wramp.wait or wramp.sleep; TinyGo: -scheduler=none",
    ),
    (
        |module, name| module == WASI && name.starts_with("sock_"),
        "there is no network",
        "use wramp.send",
    ),
    (
        |module, name| module == WASI && (name.starts_with("path_") || name.starts_with("fd_")),
        "there is no file system",
        "leave files out",
    ),
    (
        |module, name| module == "wasi" && name == "thread-spawn",
        "an instance has one thread",
        "build without threads",
    ),
    (
        |module, _| module == "wasi_unstable" || module.starts_with("wasi:"),
        "of WASI there is preview 1",
        "build for wasm32-wasip1",
    ),
    (
        |module, name| {
            module.starts_with("__wbindgen_")
                || name.starts_with("__wbindgen_")
                || module.ends_with("_bg.js")
        },
        "wasm-bindgen's other half is JavaScript",
        "build without it",
    ),
    (
        |module, name| {
            module == "env" && (name.starts_with("emscripten_") || name.starts_with("__syscall_"))
        },
        "Emscripten's other half is JavaScript",
        "emcc -sSTANDALONE_WASM -sPURE_WASI",
    ),
    (
        |module, _| matches!(module, "go" | "gojs"),
        "Go's other half is JavaScript",
        "TinyGo with -target=wasip1",
    ),
    (
        |module, _| module == "wramp",
        "this host does not know it",
        "a newer wramp may, see docs/guest.md",
    ),
];

/// Every import that a module may not have. None if there is nothing to refuse.
#[must_use]
pub fn missing<'b, 'g>(module: &'b [u8], grants: &'g Grants<'g>) -> Refusals<'b, 'g> {
    Refusals { imports: imports(module), grants }
}

/// See [`missing`].
#[derive(Clone, Debug)]
pub struct Refusals<'b, 'g> {
    imports: Imports<'b>,
    grants: &'g Grants<'g>,
}

impl<'b> Iterator for Refusals<'b, '_> {
    type Item = Result<Missing<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.imports.by_ref().find_map(|import| match import {
            Err(malformed) => Some(Err(malformed)),
            Ok(import) => judge(&import, self.grants).err().map(|why| Ok(Missing { import, why })),
        })
    }
}

/// The function that an import is, or why the module may not have it.
fn judge(import: &Import<'_>, grants: &Grants<'_>) -> Result<Function, Why> {
    let Item::Function { types, .. } = import.item else { return Err(Why::NoFunction) };
    let (module, name) = (import.module, import.name);
    if let Some((function, known)) = find(module, name) {
        let fits = |types: Types<'_>| {
            types.parameters == *known.parameters && types.results == *known.results
        };
        return match known.needs {
            _ if !types.is_some_and(fits) => Err(Why::OtherType(known)),
            Some(capability) if !grants.allows(capability) => Err(Why::NotAllowed(capability)),
            _ => Ok(function),
        };
    }
    let is_stub = grants.has_stub(module, name);
    let text = |name| core::str::from_utf8(name).unwrap_or("");
    let family = FAMILIES.iter().find(|(has, ..)| has(text(module), text(name)));
    if let Some(&(_, reason, remedy)) = family.filter(|_| !is_stub) {
        return Err(Why::Family { reason, remedy });
    }
    let Some(Types { parameters, results }) = types else { return Err(Why::NoNumbers) };
    match parameters.iter().chain(results.iter()).all(|value| value.is_some()) {
        false => Err(Why::NoNumbers),
        true if !results.is_empty() => Err(Why::UnknownResult),
        true if is_stub => Ok(Function::Stub),
        true => Err(Why::Unknown),
    }
}

/// The imports of a module, linked. An engine asks it while it loads the module.
#[derive(Clone, Copy, Debug)]
pub struct Linked<'b, 'g> {
    module: &'b [u8],
    grants: &'g Grants<'g>,
}

impl<'b, 'g> Linked<'b, 'g> {
    /// The imports of that module, as far as it may have them.
    #[must_use]
    pub const fn new(module: &'b [u8], grants: &'g Grants<'g>) -> Self {
        Self { module, grants }
    }
}

impl Links for Linked<'_, '_> {
    fn link(&self, index: u32) -> Option<FunctionNumber> {
        let is_it = |import: &Import<'_>| matches!(import.item, Item::Function { index: this, .. } if this == index);
        let import = imports(self.module).map_while(Result::ok).find(is_it)?;
        judge(&import, self.grants).ok().map(Function::number)
    }
}

/// A list of types: `(i32, i64)`.
struct List<I>(I);

impl<I: Iterator<Item = Option<ValueType>> + Clone> fmt::Display for List<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (at, value) in self.0.clone().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match value {
                Some(value) => write!(f, "{comma}{value}")?,
                None => write!(f, "{comma}ref")?,
            }
        }
        f.write_str(")")
    }
}

fn of_table(values: &'static [ValueType]) -> impl Iterator<Item = Option<ValueType>> + Clone {
    values.iter().copied().map(Some)
}

fn of_module(values: Values<'_>) -> impl Iterator<Item = Option<ValueType>> + Clone {
    (0..values.len()).map(move |at| values.iter().nth(at).flatten())
}

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (module, name) = (Name(self.import.module), Name(self.import.name));
        write!(f, "{module}.{name}: ")?;
        let types = match self.import.item {
            Item::Function { types, .. } => types,
            _ => None,
        };
        match self.why {
            Why::NotAllowed(capability) => {
                write!(f, "not allowed: --allow {}", capability.as_str())
            }
            Why::OtherType(known) => {
                let (takes, gives) = (of_table(known.parameters), of_table(known.results));
                write!(f, "it is {} -> {}", List(takes), List(gives))?;
                match types {
                    Some(Types { parameters, results }) => write!(
                        f,
                        ", the module wants {} -> {}",
                        List(of_module(parameters)),
                        List(of_module(results))
                    ),
                    None => f.write_str(", the module wants another type"),
                }
            }
            Why::Unknown => {
                write!(f, "nobody knows what it should do: --stub {module}.{name}")
            }
            Why::UnknownResult => {
                f.write_str("a made-up result would be a wrong answer: link it into the module")
            }
            Why::NoNumbers => f.write_str("it takes or gives what is no number: link it into the module"),
            Why::NoFunction => match self.import.item {
                Item::Memory => f.write_str(
                    "a memory, but each instance has its own, in the arena: link without --import-memory",
                ),
                Item::Table => f.write_str(
                    "a table, but each instance has its own, in the arena: link without --import-table",
                ),
                Item::Global => f.write_str(
                    "a global, which nothing sets: link without -shared or -pie; AssemblyScript: --importMemory off",
                ),
                _ => f.write_str("a tag of exceptions: build without exceptions"),
            },
            Why::Family { reason, remedy } => write!(f, "{reason}: {remedy}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    use super::*;

    fn refused(text: &str, grants: &Grants<'_>) -> Vec<String> {
        let wasm = wat::parse_str(text).unwrap();
        missing(&wasm, grants).map(|missing| missing.unwrap().to_string()).collect()
    }

    const ALL: &str = r#"(module
        (import "wramp" "log" (func (param i32)))
        (import "wramp" "send" (func (param i32 i32 i32) (result i32)))
        (import "wramp" "now_us" (func (result i64)))
        (import "wramp" "shout" (func (param i32 i32)))
        (import "env" "start_trigger" (func (param i32 f64)))
        (import "env" "clock_ms" (func (result i64)))
        (import "env" "read" (func (result i32)))
        (import "env" "memory" (memory 1))
        (import "env" "table" (table 1 funcref))
        (import "env" "base" (global i32))
        (import "env" "held" (func (param externref)))
        (import "wasi_snapshot_preview1" "path_open" (func))
        (import "wasi_snapshot_preview1" "fd_readdir" (func))
        (import "wasi_snapshot_preview1" "sock_send" (func))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func))
        (import "wasi" "thread-spawn" (func))
        (import "./a_bg.js" "x" (func))
        (import "env" "__syscall_open" (func))
        (import "gojs" "runtime.now" (func)))"#;

    #[test]
    fn all_are_named_at_once_each_with_what_it_needs() {
        assert_eq!(
            refused(ALL, &Grants::NONE),
            [
                "wramp.log: it is (i32, i32) -> (), the module wants (i32) -> ()",
                "wramp.send: not allowed: --allow send",
                "wramp.shout: this host does not know it: a newer wramp may, see docs/guest.md",
                "env.start_trigger: nobody knows what it should do: --stub env.start_trigger",
                "env.clock_ms: not allowed: --allow clock_ms",
                "env.read: a made-up result would be a wrong answer: link it into the module",
                "env.memory: a memory, but each instance has its own, in the arena: link without --import-memory",
                "env.table: a table, but each instance has its own, in the arena: link without --import-table",
                "env.base: a global, which nothing sets: link without -shared or -pie; AssemblyScript: --importMemory off",
                "env.held: it takes or gives what is no number: link it into the module",
                "wasi_snapshot_preview1.path_open: there is no file system: leave files out",
                "wasi_snapshot_preview1.fd_readdir: there is no file system: leave files out",
                "wasi_snapshot_preview1.sock_send: there is no network: use wramp.send",
                "wasi_snapshot_preview1.poll_oneoff: it would hold the worker while it waits: use wramp.wait or wramp.sleep; TinyGo: -scheduler=none",
                "wasi.thread-spawn: an instance has one thread: build without threads",
                "./a_bg.js.x: wasm-bindgen's other half is JavaScript: build without it",
                "env.__syscall_open: Emscripten's other half is JavaScript: emcc -sSTANDALONE_WASM -sPURE_WASI",
                "gojs.runtime.now: Go's other half is JavaScript: TinyGo with -target=wasip1",
            ]
        );
    }

    #[test]
    fn leave_and_stubs_make_them_few() {
        let stubs =
            ["env.start_trigger", "env.read", "wasi_snapshot_preview1.path_open", "wramp.log"];
        let stubs = stubs.map(|stub| Stub::parse(stub).unwrap());
        let grants = Grants::new(&stubs, 0);
        let grants = grants.allow(Capability::Send).allow(Capability::ClockMs);
        let refused = refused(ALL, &grants);
        let starts = |name: &str| refused.iter().any(|line| line.starts_with(name));
        assert!(!starts("wramp.send") && !starts("env.clock_ms") && !starts("env.start_trigger"));
        assert!(!starts("wasi_snapshot_preview1.path_open"), "a stub was asked for by name");
        // No stub stands for a function that is there, or gives a result.
        assert!(starts("wramp.log") && starts("env.read"));
    }

    #[test]
    fn what_is_linked_is_what_is_not_missing() {
        let wasm = wat::parse_str(ALL).unwrap();
        let grants = Grants::NONE.allow(Capability::Send);
        let links = Linked::new(&wasm, &grants);
        assert_eq!(links.link(1), Some(Function::Send.number()));
        assert_eq!(links.link(2), Some(Function::NowUs.number()));
        for refused in [0, 3, 4, 5, 6, 7, 100] {
            assert_eq!(links.link(refused), None);
        }
    }

    #[test]
    fn names_that_steer_a_terminal_are_cleaned() {
        let lines = refused(r#"(module (import "e\1b[2J" "a\nb" (func)))"#, &Grants::NONE);
        assert_eq!(lines, ["e?[2J.a?b: nobody knows what it should do: --stub e?[2J.a?b"]);
    }

    use crate::grants::Stub;
}
