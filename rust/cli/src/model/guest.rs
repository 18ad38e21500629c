//! Whether a user's module can be a guest, decided before the engine loads it.
//!
//! The engine refuses such modules too, with words that help nobody: "unsupported opcode fd".
//! This file names the proposal, all imports that nobody provides, and the exports that exist.
//! A module that is invalid in any other way passes, and the engine says what it has against it.

use wasmparser::{
    BinaryReaderError, ExternalKind, Import, Parser, Payload, TypeRef, ValType, Validator,
    WasmFeatures,
};

use crate::model::module;
use crate::problem::Problem;

/// What WAMR runs as wramp builds it (`src/wamr.cmake`).
const ENGINE: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::GC_TYPES);

/// What it does not run: the name, what the validator must know in order to go on, and how to
/// compile without it.
const PROPOSALS: [(&str, WasmFeatures, &str); 12] = [
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
    ("extended constant expressions", WasmFeatures::EXTENDED_CONST, "clang: -mno-extended-const"),
    ("typed function references", WasmFeatures::FUNCTION_REFERENCES, "compile without them"),
    (
        "GC",
        WasmFeatures::GC.union(WasmFeatures::FUNCTION_REFERENCES),
        "compile it from a language that needs no garbage collector of the engine's",
    ),
    ("wide arithmetic", WasmFeatures::WIDE_ARITHMETIC, "clang: -mno-wide-arithmetic"),
];

/// Refuses a module of which it is known that no instance can run it.
///
/// # Errors
/// A proposal that the engine lacks, imports, or an export that is no function wramp can call.
/// The sentence does not name the file; the caller does.
pub fn check(wasm: &[u8], export: &str) -> Result<(), Problem> {
    let found = Interface::of(wasm);
    if let Some(problem) = lacking(wasm).or_else(|| found.imported()) {
        return Err(problem);
    }
    found.callable(export)?;
    fitting(wasm, export)
}

/// Refuses a function that no call of wramp's fits.
fn fitting(wasm: &[u8], export: &str) -> Result<(), Problem> {
    let Some(signature) = module::signature(wasm, export) else { return Ok(()) };
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

/// The proposals that the module uses and the engine lacks, each with the byte where it is found.
fn lacking(wasm: &[u8]) -> Option<Problem> {
    let fails = |features| -> Option<BinaryReaderError> {
        Validator::new_with_features(features).validate_all(wasm).err()
    };
    let (mut features, mut used) = (ENGINE, Vec::new());
    let mut failure = fails(features)?;
    // With a proposal that it uses, the validator gets farther.
    'next: loop {
        for (name, proposal, remedy) in PROPOSALS {
            let after = fails(features.union(proposal));
            if after.as_ref().is_some_and(|after| after.offset() <= failure.offset()) {
                continue;
            }
            features = features.union(proposal);
            used.push((name, failure.offset(), remedy));
            match after {
                Some(after) => failure = after,
                None => break 'next,
            }
            continue 'next;
        }
        break;
    }
    let names: Vec<_> = used
        .iter()
        .map(|(name, offset, remedy)| format!("{name} at byte {offset} ({remedy})"))
        .collect();
    let what = || Problem::new(format!("it uses what the engine lacks: {}", names.join(", ")));
    (!names.is_empty()).then(what)
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
    let steers = |c: char| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || turns
    };
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

    #[test]
    fn each_proposal_is_named_with_its_place() {
        let f = "(func $f (result i32) (i32.const 1))";
        for (name, body) in [
            ("SIMD", "(func (drop (i32x4.extract_lane 0 (v128.const i32x4 1 2 3 4))))".into()),
            ("SIMD", "(global v128 (v128.const i64x2 0 0))".into()),
            (
                "relaxed SIMD",
                "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))"
                    .into(),
            ),
            ("tail calls", format!("{f} (func (result i32) (return_call $f))")),
            ("threads", "(memory 1 1 shared)".into()),
            ("threads", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))".into()),
            ("exceptions", "(tag $t) (func (throw $t))".into()),
            ("old form", "(func try nop catch_all nop end)".into()),
            ("several memories", "(memory 1) (memory 1)".into()),
            ("memory64", "(memory i64 1)".into()),
            ("extended constant", "(global i32 (i32.add (i32.const 1) (i32.const 2)))".into()),
            ("function references", "(type $t (func)) (func (param (ref $t)))".into()),
            ("GC", "(type $s (struct (field i32)))".into()),
            ("GC", "(func (drop (ref.i31 (i32.const 1))))".into()),
            (
                "wide arithmetic",
                "(func (i64.mul_wide_s (i64.const 1) (i64.const 2)) drop drop)".into(),
            ),
        ] as [(&str, String); 15]
        {
            let said = refusal(&format!("(module {body} {RUN})"));
            assert!(said.contains(name) && said.contains("at byte "), "{body}: {said}");
        }
    }

    #[test]
    fn the_place_is_that_of_the_instruction() {
        let wasm = wat::parse_str(format!(
            "(module (func $f (result i32) (i32.const 1)) (func (result i32) (return_call $f)) {RUN})"
        ))
        .unwrap();
        let at = wasm.windows(2).position(|pair| pair == [0x12, 0]).unwrap();
        let said = check(&wasm, "run").unwrap_err().to_string();
        assert!(said.contains(&format!("lacks: tail calls at byte {at} (clang")), "{said}");
    }

    #[test]
    fn two_proposals_are_both_named() {
        let said = refusal(&format!("(module (memory i64 1) (func $f (return_call $f)) {RUN})"));
        assert!(
            said.contains("memory64 at byte ") && said.contains("), tail calls at byte "),
            "{said}"
        );
    }

    /// Whatever this crate's other guests are made of, and what compilers of today emit.
    #[test]
    fn what_the_engine_runs_passes() {
        for body in [
            "",
            "(memory 1) (func (memory.fill (i32.const 0) (i32.const 1) (i32.const 2)))",
            "(func (param externref) (drop (ref.is_null (local.get 0))))",
            "(func (result i32 i64) (i32.const 1) (i64.const 2))",
            "(func (drop (i32.extend8_s (i32.trunc_sat_f32_s (f32.const 1)))))",
            "(table 1 funcref) (table 1 externref)",
            r#"(global (export "g") (mut i32) (i32.const 1))"#,
        ] {
            let wasm = wat::parse_str(format!("(module {body} {RUN})")).unwrap();
            assert!(check(&wasm, "run").is_ok(), "{body}");
        }
        for workload in wramp_workloads::ALL {
            assert!(check(workload.wasm, workload.export).is_ok(), "{}", workload.name);
        }
    }

    /// The engine has its own words for these, and its own opinion.
    #[test]
    fn an_invalid_module_is_left_to_the_engine() {
        let wrong_type = wat::parse_str(r#"(module (func (export "run") (result i32)))"#).unwrap();
        assert!(check(&wrong_type, "run").is_ok());
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
