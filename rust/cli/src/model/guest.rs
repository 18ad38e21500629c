//! Whether a user's module can be a guest, decided before the engine loads it.
//!
//! The engine refuses some of them too, with words that help nobody: "unsupported opcode fd".
//! The crate `wramp-validate` says what is invalid and which proposals the engine lacks. This file
//! names all imports that nobody provides, and the exports that exist.

use wasmparser::{ExternalKind, Import, Parser, Payload, TypeRef, ValType};
use wramp_core::report::steers;

use crate::problem::Problem;

/// Refuses a module of which it is known that no instance can run it.
///
/// # Errors
/// An invalid module, a proposal that the engine lacks, imports, or an export that is no function wramp can call.
/// The sentence does not name the file; the caller does.
pub fn check(wasm: &[u8], export: &str) -> Result<(), Problem> {
    wramp_validate::check(wasm).map_err(|refusal| Problem::new(refusal.to_string()))?;
    let found = Interface::of(wasm);
    if let Some(problem) = found.imported() {
        return Err(problem);
    }
    found.callable(export)?;
    fitting(wasm, export)
}

/// Refuses a function that no call of wramp's fits.
fn fitting(wasm: &[u8], export: &str) -> Result<(), Problem> {
    let Some(signature) = wramp_validate::signature(wasm, export) else { return Ok(()) };
    if let ([] | [ValType::I32], [ValType::I32]) = (signature.params(), signature.results()) {
        return Ok(());
    }
    let types = |types: &[ValType]| {
        let words: Vec<_> = types.iter().map(ToString::to_string).collect();
        words.join(", ")
    };
    let results = match signature.results() {
        [one] => one.to_string(),
        several => format!("({})", types(several)),
    };
    Err(Problem::new(format!(
        "--export {} is ({}) -> {results}, and wramp calls () -> i32 or (i32) -> i32: export a \
         function that wraps it",
        printable(export),
        types(signature.params())
    )))
}

/// Whether an instance runs a function of the module's own before the first call.
#[must_use]
pub fn has_start(wasm: &[u8]) -> bool {
    Interface::of(wasm).has_start
}

/// What a module asks for and what it offers, as far as it can be read.
#[derive(Default)]
struct Interface {
    imports: Vec<String>,
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

const fn import_kind(import: &Import<'_>) -> &'static str {
    match import.ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => "function",
        TypeRef::Table(_) => "table",
        TypeRef::Memory(_) => "memory",
        TypeRef::Global(_) => "global",
        TypeRef::Tag(_) => "tag",
    }
}

impl Interface {
    fn of(wasm: &[u8]) -> Self {
        let mut found = Self::default();
        for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
            match payload {
                Payload::ImportSection(section) => {
                    for import in section.into_imports().map_while(Result::ok) {
                        let kind = match import_kind(&import) {
                            "function" => String::new(),
                            other => format!(" ({other})"),
                        };
                        let name = format!("{}.{}{kind}", import.module, import.name);
                        found.imports.push(printable(&name));
                    }
                }
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

    fn imported(&self) -> Option<Problem> {
        let which = match self.imports.as_slice() {
            [] => return None,
            [one] => format!("it imports {one}, which this wramp does not provide"),
            all => format!(
                "it imports {}; this wramp provides none of these {}",
                listed(all),
                all.len()
            ),
        };
        Some(Problem::new(format!("{which}: link it without imports")))
    }

    /// Whether the export is a function; what there is instead where not.
    fn callable(&self, export: &str) -> Result<(), Problem> {
        let functions: Vec<String> = self
            .exports
            .iter()
            .filter(|(_, kind)| *kind == "function")
            .map(|(name, _)| printable(name))
            .collect();
        let what = match self.exports.iter().find(|(name, _)| name == export) {
            Some((_, "function")) => return Ok(()),
            Some((_, kind)) => format!("is a {kind} of the module and no function"),
            None => "is no export of the module".to_owned(),
        };
        let export = printable(export);
        let instead = match functions.as_slice() {
            [] => "it exports no function at all".to_owned(),
            [one] => format!("the function that it exports is {one}"),
            all => format!("the functions that it exports are {}", listed(all)),
        };
        Err(Problem::new(format!("--export {export} {what}; {instead}")))
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
        check(&wat::parse_str(text).unwrap(), "run").unwrap_err().to_string()
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
        assert!(said.contains("env.a, env.b and js.m (memory)") && said.contains("3"), "{said}");
        let said = refusal(&format!(r#"(module (import "env" "a" (func)) {RUN})"#));
        assert!(said.starts_with("it imports env.a, which"), "{said}");
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
        for (signature, words) in [
            ("", "() -> ()"),
            ("(param i32 f64) (result i32)", "(i32, f64) -> i32"),
            ("(result i64)", "() -> i64"),
            ("(result i32 externref)", "() -> (i32, externref)"),
        ] {
            let said =
                refusal(&format!(r#"(module (func (export "run") {signature} unreachable))"#));
            assert!(said.starts_with(&format!("--export run is {words}, and")), "{said}");
        }
        for signature in ["(result i32)", "(param i32) (result i32)"] {
            let text = format!(r#"(module (func (export "run") {signature} unreachable))"#);
            assert!(check(&wat::parse_str(text).unwrap(), "run").is_ok());
        }
    }

    #[test]
    fn a_start_function_is_seen() {
        let with = wat::parse_str("(module (func $f) (start $f))").unwrap();
        let without = wat::parse_str("(module (func $f))").unwrap();
        assert!(has_start(&with) && !has_start(&without));
    }
}
