//! Whether a user's module can be a guest, decided before an engine loads it.
//!
//! The engine refuses some of them too, with words that help nobody: "unsupported opcode fd".
//! The crate `wramp-validate` says what is invalid and which proposals the engine lacks. This file
//! names all imports that nobody provides, and the exports that exist.

use wasmparser::{ExternalKind, Parser, Payload, ValType};
use wramp_core::report::steers;

use wramp_imports::{Grants, missing};

/// What a step calls where nobody named an export, in this order.
const EXPORTS: [&str; 3] = ["wramp_poll", "run", "_start"];

/// The export that each step calls: the named one, or the first of those that are known.
///
/// # Errors
/// None is named, and there is none of these.
fn export(wasm: &[u8], named: Option<&str>) -> Result<String, String> {
    let found = Interface::of(wasm);
    let is_there = |name: &&str| found.functions().any(|there| there == *name);
    match named.or_else(|| EXPORTS.into_iter().find(is_there)) {
        Some(name) => Ok(name.to_owned()),
        None => Err(format!(
            "it exports none of {}, which are called without --export NAME; {}",
            listed(&EXPORTS.map(String::from)),
            found.instead()
        )),
    }
}

/// Refuses a module of which it is known that no instance can run it. Returns the export that
/// each step calls.
///
/// # Errors
/// An invalid module, a proposal that the engine lacks, imports that it may not have, or an
/// export that is no function wramp can call. The sentence does not name the file; the caller
/// does.
pub fn check(wasm: &[u8], named: Option<&str>, grants: &Grants<'_>) -> Result<String, String> {
    wramp_validate::check(wasm).map_err(|refusal| refusal.to_string())?;
    if let Some(problem) = refused(wasm, grants) {
        return Err(problem);
    }
    let export = export(wasm, named)?;
    Interface::of(wasm).callable(&export)?;
    fitting(wasm, &export)?;
    Ok(export)
}

/// All imports that the module may not have, a line each, with what each would need.
fn refused(wasm: &[u8], grants: &Grants<'_>) -> Option<String> {
    let lines: Vec<_> =
        missing(wasm, grants).map_while(Result::ok).map(|missing| missing.to_string()).collect();
    match lines.as_slice() {
        [] => None,
        [one] => Some(format!("it may not have an import: {one}")),
        all => {
            Some(format!("it may not have {} of its imports:\n  {}", all.len(), all.join("\n  ")))
        }
    }
}

/// Whether its instances need more of their host than calls of an i32.
#[must_use]
pub fn needs_host(wasm: &[u8], export: &str) -> bool {
    let is_plain = wramp_validate::signature(wasm, export)
        .is_some_and(|signature| matches!(signature.results(), [ValType::I32]));
    wramp_imports::imports(wasm).next().is_some()
        || wramp_imports::exports_function(wasm, "_initialize")
        || matches!(export, "wramp_poll" | "_start")
        || !is_plain
}

/// Whether the module takes messages, so that each instance needs a queue.
#[must_use]
pub fn receives(wasm: &[u8]) -> bool {
    wramp_imports::imports(wasm)
        .map_while(Result::ok)
        .any(|import| (import.module, import.name) == (b"wramp", b"receive"))
}

/// Refuses a function that no call of wramp's fits.
fn fitting(wasm: &[u8], export: &str) -> Result<(), String> {
    let Some(signature) = wramp_validate::signature(wasm, export) else { return Ok(()) };
    let (takes, gives) = (signature.params(), signature.results());
    let number =
        |of: &ValType| matches!(of, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64);
    let (fits, wanted) = match export {
        "wramp_poll" => (takes.is_empty() && gives == [ValType::I32], "wramp_poll as () -> i32"),
        "_start" => (takes.is_empty() && gives.is_empty(), "_start as () -> ()"),
        _ => (
            matches!(takes, [] | [ValType::I32]) && gives.len() < 2 && gives.iter().all(number),
            "what takes nothing or one i32, and gives one number or nothing",
        ),
    };
    if fits {
        return Ok(());
    }
    let types = |types: &[ValType]| {
        let words: Vec<_> = types.iter().map(ToString::to_string).collect();
        words.join(", ")
    };
    let results = match gives {
        [one] => one.to_string(),
        several => format!("({})", types(several)),
    };
    Err(format!(
        "--export {} is ({}) -> {results}, and wramp calls {wanted}: export a function that wraps \
         it",
        printable(export),
        types(takes)
    ))
}

/// Whether an instance runs a function of the module's own before the first call.
#[must_use]
pub fn has_start(wasm: &[u8]) -> bool {
    Interface::of(wasm).has_start
}

/// What a module asks for and what it offers, as far as it can be read.
#[derive(Default)]
struct Interface {
    exports: Vec<(String, &'static str)>,
    has_start: bool,
}

/// The word for what is imported or exported.
const fn kind(kind: ExternalKind) -> &'static str {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => "function",
        ExternalKind::Table => "table",
        ExternalKind::Memory => "memory",
        ExternalKind::Global => "global",
        ExternalKind::Tag => "tag",
    }
}

impl Interface {
    fn of(wasm: &[u8]) -> Self {
        let mut found = Self::default();
        for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
            match payload {
                Payload::ExportSection(section) => {
                    for export in section.into_iter().map_while(Result::ok) {
                        found.exports.push((export.name.to_owned(), kind(export.kind)));
                    }
                }
                Payload::StartSection { .. } => found.has_start = true,
                _ => {}
            }
        }
        found
    }

    fn functions(&self) -> impl Iterator<Item = &str> {
        self.exports.iter().filter(|(_, kind)| *kind == "function").map(|(name, _)| name.as_str())
    }

    /// The functions that there are, in words.
    fn instead(&self) -> String {
        let functions: Vec<String> = self.functions().map(printable).collect();
        match functions.as_slice() {
            [] => "it exports no function at all".to_owned(),
            [one] => format!("the function that it exports is {one}"),
            all => format!("the functions that it exports are {}", listed(all)),
        }
    }

    /// Whether the export is a function; what there is instead where not.
    fn callable(&self, export: &str) -> Result<(), String> {
        let what = match self.exports.iter().find(|(name, _)| name == export) {
            Some((_, "function")) => return Ok(()),
            Some((_, kind)) => format!("is a {kind} of the module and no function"),
            None => "is no export of the module".to_owned(),
        };
        let export = printable(export);
        let instead = self.instead();
        Err(format!("--export {export} {what}; {instead}"))
    }
}

/// A name that a module chose, without what would steer a terminal or turn its text round.
fn printable(name: &str) -> String {
    name.chars().map(|c| if steers(c) { '?' } else { c }).collect()
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        check(&wat::parse_str(text).unwrap(), Some("run"), &Grants::NONE).unwrap_err().to_string()
    }

    const RUN: &str = r#"(func (export "run") (result i32) (i32.const 1))"#;

    /// `wramp-validate` tests which ones, and the words.
    #[test]
    fn an_invalid_module_is_refused_before_its_imports() {
        let import = r#"(import "env" "a" (func))"#;
        for (body, words) in [
            ("(func (drop (v128.const i64x2 0 0)))", "lacks: SIMD at byte "),
            ("(func (result i32))", "no valid WebAssembly at byte "),
        ] {
            let said = refusal(&format!("(module {import} {body} {RUN})"));
            assert!(said.contains(words), "{body}: {said}");
        }
    }

    #[test]
    fn all_imports_are_named_at_once() {
        let said = refusal(&format!(
            r#"(module (import "env" "a" (func)) (import "env" "b" (func (param i32)))
            (import "js" "m" (memory 1)) {RUN})"#
        ));
        assert!(said.starts_with("it may not have 3 of its imports:\n  env.a: nobody"), "{said}");
        assert!(said.contains("\n  env.b: ") && said.contains("\n  js.m: a memory"), "{said}");
        let said = refusal(&format!(r#"(module (import "env" "a" (func)) {RUN})"#));
        assert!(said.starts_with("it may not have an import: env.a: "), "{said}");
    }

    #[test]
    fn the_export_is_the_named_one_or_the_first_that_is_known() {
        let of = |text: &str, named| export(&wat::parse_str(text).unwrap(), named);
        let three = r#"(module (func (export "_start")) (func (export "run")) (func (export "wramp_poll")))"#;
        assert_eq!(of(three, None).unwrap(), "wramp_poll");
        assert_eq!(of(three, Some("tick")).unwrap(), "tick");
        let two = r#"(module (func (export "_start")) (func (export "run")))"#;
        assert_eq!(of(two, None).unwrap(), "run");
        // A memory is no function.
        let start = r#"(module (func (export "_start")) (memory (export "run") 1))"#;
        assert_eq!(of(start, None).unwrap(), "_start");
        let said = of(r#"(module (func (export "tick")))"#, None).unwrap_err().to_string();
        assert!(said.contains("wramp_poll, run and _start") && said.ends_with("is tick"), "{said}");
    }

    #[test]
    fn a_module_that_receives_is_seen() {
        let receives = |text: &str| receives(&wat::parse_str(text).unwrap());
        assert!(receives(
            r#"(module (import "a" "f" (func)) (import "wramp" "receive" (func (param i32 i32) (result i32))))"#
        ));
        assert!(!receives(r#"(module (import "wramp" "send" (func)))"#));
        assert!(!receives("(module)"));
    }

    #[test]
    fn a_wrong_export_is_answered_with_the_right_ones() {
        let other = r#"(func (export "tick")) (func (export "t\1bck"))"#;
        let said = refusal(&format!("(module {other})"));
        assert_eq!(
            said,
            "--export run is no export of the module; the functions that it exports are tick and \
             t?ck"
        );
        for (kind, item) in [
            ("memory", r#"(memory (export "run") 1)"#),
            ("global", r#"(global (export "run") i32 (i32.const 1))"#),
            ("table", r#"(table (export "run") 1 funcref)"#),
        ] {
            let said = refusal(&format!(r#"(module {item} (func (export "tick")))"#));
            let words = format!(
                "--export run is a {kind} of the module and no function; the function that it exports is tick"
            );
            assert_eq!(said, words);
        }
        assert!(refusal("(module)").ends_with("it exports no function at all"));
    }

    #[test]
    fn an_export_of_another_type_is_named_with_it() {
        let judge = |export: &str, signature: &str| {
            let text = format!(r#"(module (func (export "{export}") {signature} unreachable))"#);
            check(&wat::parse_str(text).unwrap(), Some(export), &Grants::NONE)
        };
        for (export, signature, words) in [
            ("run", "(param i32 f64) (result i32)", "(i32, f64) -> i32"),
            ("run", "(param i64) (result i32)", "(i64) -> i32"),
            ("run", "(result i32 i64)", "() -> (i32, i64)"),
            ("run", "(result externref)", "() -> externref"),
            ("wramp_poll", "", "() -> ()"),
            ("wramp_poll", "(param i32) (result i32)", "(i32) -> i32"),
            ("_start", "(result i32)", "() -> i32"),
        ] {
            let said = judge(export, signature).unwrap_err().to_string();
            assert!(said.starts_with(&format!("--export {export} is {words}, and")), "{said}");
        }
        for gives in ["", "(result i32)", "(result i64)", "(result f32)", "(result f64)"] {
            for takes in ["", "(param i32)"] {
                assert!(judge("run", &format!("{takes} {gives}")).is_ok(), "{takes} {gives}");
            }
        }
        assert!(judge("wramp_poll", "(result i32)").is_ok() && judge("_start", "").is_ok());
    }

    #[test]
    fn a_start_function_is_seen() {
        let with = wat::parse_str("(module (func $f) (start $f))").unwrap();
        let without = wat::parse_str("(module (func $f))").unwrap();
        assert!(has_start(&with) && !has_start(&without));
    }
}
