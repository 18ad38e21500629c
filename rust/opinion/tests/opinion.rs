//! What is asked, what is not, and what a comparison says.

use wramp_core::runtime::{Error, ErrorKind, Parameters};
use wramp_opinion::{Outcome, Silence, Verdict, ask};

fn said(text: &str) -> Result<Vec<Outcome>, Silence> {
    ask(&wat::parse_str(text).unwrap(), "run", Parameters::I32, 4)
}

fn of(body: &str) -> Result<Vec<Outcome>, Silence> {
    said(&format!(r#"(module (memory 1) (func (export "run") (param i32) (result i32) {body}))"#))
}

use Outcome::{Exhausted, Trap, Value};

#[test]
fn the_argument_is_the_number_of_the_call() {
    let all = vec![Value(0), Value(0), Value(3), Value(6), Value(9)];
    assert_eq!(of("(i32.mul (local.get 0) (i32.const 3))"), Ok(all));
    let wasm =
        wat::parse_str(r#"(module (func (export "run") (result i32) (i32.const 7)))"#).unwrap();
    assert_eq!(ask(&wasm, "run", Parameters::None, 1), Ok(vec![Value(0), Value(7)]));
}

#[test]
fn a_trap_is_an_outcome_and_the_instance_goes_on() {
    let other = Trap;
    let body = "(if (i32.eq (local.get 0) (i32.const 1)) (then unreachable)) (local.get 0)";
    assert_eq!(of(body), Ok(vec![Value(0), Value(0), other, Value(2), Value(3)]));
    assert_eq!(of("(i32.div_u (i32.const 1) (i32.const 0))").unwrap()[1], Trap);
    let start = "(module (func $f unreachable) (start $f)
        (func (export \"run\") (param i32) (result i32) (i32.const 1)))";
    assert_eq!(said(start), Ok(vec![other]));
    let data = "(module (memory 1) (data (i32.const 65536) \"x\")
        (func (export \"run\") (param i32) (result i32) (i32.const 1)))";
    assert_eq!(said(data), Ok(vec![other]));
}

#[test]
fn no_module_can_hang_it_or_eat_the_memory() {
    assert_eq!(of("(loop (br 0)) (i32.const 0)"), Err(Silence::TooLong));
    let start = "(module (func $f (loop (br 0))) (start $f)
        (func (export \"run\") (param i32) (result i32) (i32.const 1)))";
    assert_eq!(said(start), Err(Silence::TooLong));
    // The guest must not see a refusal that the other engine would not give.
    assert_eq!(of("(memory.grow (i32.const 60000))"), Err(Silence::TooLong));
    assert_eq!(of("(memory.grow (i32.const 1))").unwrap()[1], Value(1));
    let deep = "(module (func $f (export \"run\") (param i32) (result i32)
        (call $f (local.get 0))))";
    assert_eq!(said(deep), Err(Silence::TooLong));
    // What was finished before is compared.
    let third = "(if (i32.eq (local.get 0) (i32.const 2)) (then (loop (br 0)))) (i32.const 5)";
    assert_eq!(of(third), Ok(vec![Value(0), Value(5), Value(5)]));
}

#[test]
fn what_the_host_would_answer_is_not_asked() {
    let text = r#"(module (import "a" "b" (func)) (func (export "run") (param i32) (result i32) (i32.const 1)))"#;
    assert_eq!(said(text), Err(Silence::Imports));
}

/// The engine under test, faked.
#[test]
fn a_difference_is_named() {
    let right = [Value(0), Value(3), Trap, Value(4)];
    assert_eq!(Verdict::of(&right, &right), Verdict::Agree);
    let wrong = [Value(0), Value(8), Value(9), Value(4)];
    let Verdict::Differ(difference) = Verdict::of(&wrong, &right) else { panic!() };
    assert_eq!(difference.to_string(), "call 1 gives 8 here and 3 in wasmi 1.1.0");
    assert_eq!(
        Verdict::of(&[Value(0), Exhausted, Value(9)], &right),
        Verdict::Agree,
        "a limit ends it"
    );
    assert_eq!(Verdict::of(&[Value(0)], &right), Verdict::Agree);
    let start = Verdict::of(&[Trap], &right);
    assert!(
        matches!(start, Verdict::Differ(found) if found.to_string().starts_with("the start gives a trap"))
    );
}

/// What wasmi 2.0.0 computes wrongly. A second opinion must be better than that.
#[test]
fn a_select_by_eqz_is_right() {
    for (body, right) in [
        ("(select (i32.const 100) (local.get 0) (i32.eqz (local.get 0)))", [100, 1, 2, 3]),
        ("(select (local.get 0) (i32.const 100) (i32.eqz (local.get 0)))", [0, 100, 100, 100]),
        (
            "(i32.div_u (i32.const 16)
               (select (i32.const 1) (local.get 0) (i32.eqz (local.get 0))))",
            [16, 16, 8, 5],
        ),
        (
            "(local i32) (local.set 1 (i32.const 1))
             (i32.div_u (i32.const 16)
               (select (i32.add (local.get 1) (i32.const 0)) (local.get 0)
                 (i32.eqz (local.get 0))))",
            [16, 16, 8, 5],
        ),
    ] {
        let right: Vec<_> = [0].iter().chain(&right).map(|&value| Value(value)).collect();
        assert_eq!(of(body), Ok(right), "{body}");
    }
}

#[test]
fn an_engines_errors_are_sorted() {
    let of = |kind, words| Outcome::of(&Err(Error::new(kind, words)));
    assert_eq!(of(ErrorKind::Trap, "unreachable"), Trap);
    for kind in
        [ErrorKind::Budget, ErrorKind::WasmStack, ErrorKind::NativeStack, ErrorKind::OutOfMemory]
    {
        assert_eq!(of(kind, "enough"), Exhausted);
    }
}
