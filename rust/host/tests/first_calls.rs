//! The first calls of a module, apart from any run.

mod common;

use std::time::Duration;

use common::{Wamr, wasm};
use wramp_core::runtime::{ErrorKind, Parameters};
use wramp_host::first_calls::{Asked, first_calls};

fn asked(text: &str) -> Asked {
    let (wasm, export) = (wasm(text).to_vec(), "run".to_owned());
    Asked { wasm, export, parameters: Parameters::I32, calls: 3 }
}

/// One test, because there is one engine at a time, and the last keeps it.
#[test]
fn the_start_and_each_call_are_told() {
    let long = Duration::from_secs(60);
    let body = "(if (i32.eq (local.get 0) (i32.const 1)) (then unreachable)) (i32.const 7)";
    let text = format!(r#"(module (func (export "run") (param i32) (result i32) {body}))"#);
    let told = first_calls::<Wamr>(asked(&text), long).unwrap();
    assert_eq!((told[0], told[1], told[3]), (Ok(0), Ok(7), Ok(7)));
    assert_eq!(told[2].unwrap_err().kind, ErrorKind::Trap);

    let start = r#"(module (func $f unreachable) (start $f)
        (func (export "run") (param i32) (result i32) (i32.const 1)))"#;
    let told = first_calls::<Wamr>(asked(start), long).unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].unwrap_err().kind, ErrorKind::Trap);

    if !wramp_wamr::METERING {
        let endless = r#"(module (func (export "run") (param i32) (result i32) (loop (br 0)) (i32.const 1)))"#;
        assert_eq!(first_calls::<Wamr>(asked(endless), Duration::from_millis(300)), None);
    }
}
