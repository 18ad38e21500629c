//! What is refused, what passes, and what the words say.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use wramp_validate::{Refusal, check};

const RUN: &str = r#"(func (export "run") (result i32) (i32.const 1))"#;

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    check(bytes).expect_err("it passed").to_string()
}

fn leb(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn module(sections: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    for (id, body) in sections {
        bytes.push(*id);
        bytes.extend(leb(body.len() as u32));
        bytes.extend(*body);
    }
    bytes
}

/// A function `() -> ()` with this body, behind the sections of its type.
fn function(body: &[u8]) -> Vec<u8> {
    let code = [&[1][..], &leb(body.len() as u32), body].concat();
    module(&[(1, &[1, 0x60, 0, 0]), (3, &[1, 0]), (5, &[1, 0, 1]), (10, &code)])
}

#[test]
fn each_proposal_is_named_with_its_place() {
    let f = "(func $f (result i32) (i32.const 1))";
    for (name, body) in [
        ("SIMD", "(func (drop (i32x4.extract_lane 0 (v128.const i32x4 1 2 3 4))))".into()),
        ("SIMD", "(global v128 (v128.const i64x2 0 0))".into()),
        (
            "relaxed SIMD",
            "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))".into(),
        ),
        ("tail calls", format!("{f} (func (result i32) (return_call $f))")),
        ("threads", "(memory 1 1 shared)".into()),
        ("threads", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))".into()),
        ("exceptions", "(tag $t) (func (throw $t))".into()),
        ("old form", "(func try nop catch_all nop end)".into()),
        ("several memories", "(memory 1) (memory 1)".into()),
        ("memory64", "(memory i64 1)".into()),
        ("custom page sizes", "(memory 1 (pagesize 1))".into()),
        ("extended constant", "(global i32 (i32.add (i32.const 1) (i32.const 2)))".into()),
        ("function references", "(type $t (func)) (func (param (ref $t)))".into()),
        ("GC", "(type $s (struct (field i32)))".into()),
        ("GC", "(func (drop (ref.i31 (i32.const 1))))".into()),
        ("wide arithmetic", "(func (i64.mul_wide_s (i64.const 1) (i64.const 2)) drop drop)".into()),
        ("shared tables", "(table shared 1 (ref null (shared func)))".into()),
        ("stack switching", "(type $f (func)) (type (cont $f))".into()),
    ] as [(&str, String); 18]
    {
        let said = refusal(&wasm(&format!("(module {body} {RUN})")));
        assert!(
            said.starts_with("it uses what the engine lacks: ")
                && said.contains(name)
                && said.contains(" at byte "),
            "{body}: {said}"
        );
    }
}

#[test]
fn the_place_is_that_of_the_instruction_and_its_function() {
    for (extra, at, words) in [
        ("$worker", 1, " in function 1 `worker` (clang"),
        (r#"(export "other")"#, 1, " in function 1 `other` (clang"),
        ("", 1, " in function 1 (clang"),
    ] {
        let bytes = wasm(&format!(
            "(module (func (result i32) (i32.const 1))
             (func {extra} (result i32) (return_call 0)) {RUN})"
        ));
        let offset = bytes.windows(2).position(|pair| pair == [0x12, 0]).unwrap();
        let said = refusal(&bytes);
        assert!(said.contains(&format!("lacks: tail calls at byte {offset}{words}")), "{said}");
        let Err(Refusal::Lacks(uses)) = check(&bytes) else { panic!() };
        assert_eq!(uses[0].place.function.as_ref().unwrap().index, at);
    }
}

#[test]
fn imported_functions_count() {
    let bytes = wasm(&format!(
        r#"(module (import "a" "b" (func)) (import "a" "m" (memory 1)) (func $w (return_call 0)) {RUN})"#
    ));
    assert!(refusal(&bytes).contains("in function 1 `w` "), "{}", refusal(&bytes));
}

#[test]
fn two_proposals_are_both_named() {
    let said = refusal(&wasm(&format!("(module (memory i64 1) (func $f (return_call $f)) {RUN})")));
    assert!(
        said.contains("memory64 at byte ") && said.contains("), tail calls at byte "),
        "{said}"
    );
}

/// What compilers of today emit, and whatever this project's own guests are made of.
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
        r#"(import "env" "f" (func)) (import "env" "m" (memory 1))"#,
    ] {
        let bytes = wasm(&format!("(module {body} {RUN})"));
        assert_eq!(check(&bytes), Ok(()), "{body}");
    }
    // The table of a call_indirect as a number of five bytes, as LLVM writes it since 19.
    let overlong = module(&[
        (1, &[1, 0x60, 0, 0]),
        (3, &[1, 0]),
        (4, &[1, 0x70, 0, 1]),
        (10, &[1, 11, 0, 0x41, 0, 0x11, 0, 0x80, 0x80, 0x80, 0x80, 0, 0x0b]),
    ]);
    assert_eq!(check(&overlong), Ok(()));
}

/// WAMR 2.4.5 loads these.
#[test]
fn what_the_engine_accepts_wrongly_is_refused() {
    let memory: (u8, &[u8]) = (5, &[1, 0, 1]);
    let table: (u8, &[u8]) = (4, &[1, 0x70, 0, 1]);
    for (what, bytes, words) in [
        ("data flags", module(&[memory, (11, &[1, 3, 0])]), "flags byte in data segment"),
        ("element flags", module(&[table, (9, &[1, 8, 0])]), "flags byte in element segment"),
        ("a shared table", module(&[(4, &[1, 0x70, 3, 1, 1])]), "shared"),
        ("50,001 locals", function(&[1, 0xd1, 0x86, 3, 0x7f, 0x0b]), "too many locals"),
        ("memory.grow's byte", function(&[0, 0x41, 0, 0x40, 1, 0x1a, 0x0b]), "at byte "),
        ("memory.size's byte", function(&[0, 0x3f, 1, 0x1a, 0x0b]), "at byte "),
    ] {
        let said = refusal(&bytes);
        assert!(said.contains(words) && said.contains("at byte "), "{what}: {said}");
    }
    assert_eq!(
        check(&function(&[1, 0xd0, 0x86, 3, 0x7f, 0x0b])),
        Ok(()),
        "50,000 locals are valid"
    );
}

/// The engine blames its memory for these.
#[test]
fn counts_of_32_bits_are_the_modules_fault() {
    let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for id in [1, 2, 3, 4, 5, 6, 7, 9, 10, 11] {
        let said = refusal(&module(&[(id, &most)]));
        assert!(said.contains("no valid WebAssembly at byte 1"), "section {id}: {said}");
    }
    let parameters = [&[1, 0x60][..], &most].concat();
    assert!(refusal(&module(&[(1, &parameters)])).contains("no valid"), "parameters");
    let locals = [&[1][..], &most, &[0x7f, 0x0b]].concat();
    assert!(refusal(&function(&locals)).contains("too many locals"));
    let targets = [&[0, 0x41, 0, 0x0e][..], &most, &[0, 0x0b]].concat();
    assert!(
        refusal(&function(&targets)).contains("in function 0"),
        "{}",
        refusal(&function(&targets))
    );
}

#[test]
fn headers_have_words_of_their_own() {
    for (bytes, words) in [
        (&b""[..], "not a WebAssembly module"),
        (b"hello, world", "not a WebAssembly module"),
        (b"\0asm", "not a WebAssembly module"),
        (b"\0aot\x05\0\0\0", "wamrc"),
        (b"\0asm\x0d\0\x01\0", "component"),
        (b"\0asm\x02\0\0\0", "version 2"),
    ] {
        let said = refusal(bytes);
        assert!(said.contains(words), "{bytes:?}: {said}");
    }
}

#[test]
fn a_wrong_type_is_named_with_its_function() {
    let bytes =
        wasm(r#"(module (func $fine) (func $tick (export "run") (result i32) f32.const 1))"#);
    let said = refusal(&bytes);
    assert!(
        said.contains("in function 1 `tick`: ") && said.contains("expected i32, found f32"),
        "{said}"
    );
}

#[test]
fn a_name_steers_no_terminal() {
    let steering = r"\u{1b}[2J\u{9b}31m\u{202e}evil";
    let bytes =
        wasm(&format!(r#"(module (func (export "{steering}") (result i32) f32.const 1))"#,));
    let said = refusal(&bytes);
    assert!(said.contains("`?[2J?31m?evil`"), "{said}");
    let long = "x".repeat(100_000);
    let bytes = wasm(&format!(r#"(module (func (export "{long}") (result i32) f32.const 1))"#));
    assert!(refusal(&bytes).len() < 300, "{}", refusal(&bytes).len());
}

/// A module of 5 MB is read in seconds even by a build without optimisation, and its last
/// function is named.
#[test]
fn a_large_module_is_read() {
    let body = [&[0][..], &b"\x41\x07\x1a".repeat(400), &[0x0b]].concat();
    let one = [leb(body.len() as u32), body].concat();
    let count = 4_400_u32;
    let mut types = leb(count);
    types.resize(types.len() + count as usize, 0);
    let mut code = leb(count);
    (1..count).for_each(|_| code.extend(&one));
    for (last, fine) in [(&[2, 0, 0x0b][..], true), (&[3, 0, 0x1a, 0x0b][..], false)] {
        let code = [&code, last].concat();
        let bytes = module(&[(1, &[1, 0x60, 0, 0]), (3, &types), (10, &code)]);
        assert!(bytes.len() > 5 << 20, "{}", bytes.len());
        let began = Instant::now();
        let answer = check(&bytes);
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        match answer {
            Ok(()) => assert!(fine),
            Err(refusal) => {
                assert!(!fine && refusal.to_string().contains("in function 4399"), "{refusal}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(bytes: Vec<u8>, id in 0_u8..14) {
        let _ = check(&bytes);
        let _ = check(&module(&[(id, &bytes)]));
        if let Err(refusal) = check(&function(&bytes)) {
            prop_assert!(!refusal.to_string().chars().any(char::is_control));
        }
    }
}
