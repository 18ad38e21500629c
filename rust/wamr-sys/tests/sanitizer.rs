//! A build with `WRAMP_SANITIZE` finds faults in the C that it compiles.
#![cfg(any(wamr_sanitizer = "address", wamr_sanitizer = "thread"))]

use std::process::Command;
use std::{env, thread};

// Links the library that has the two functions, and the sanitizer's runtime.
use wramp_wamr_sys as _;

unsafe extern "C" {
    fn wramp_sanitizer_read(index: usize) -> u8;
    safe fn wramp_sanitizer_add();
}

/// Set in the child process that commits the fault.
const CHILD: &str = "WRAMP_TEST_FAULT";

fn commit() {
    if cfg!(wamr_sanitizer = "address") {
        // SAFETY: there is no proof, because the byte lies beyond the array. The sanitizer ends
        // the process before the read.
        unsafe { wramp_sanitizer_read(16) };
    } else {
        let other = thread::spawn(|| (0..10_000).for_each(|_| wramp_sanitizer_add()));
        (0..10_000).for_each(|_| wramp_sanitizer_add());
        other.join().unwrap();
    }
}

#[test]
fn a_fault_is_found() {
    if env::var_os(CHILD).is_some() {
        return commit();
    }
    let child = Command::new(env::current_exe().unwrap())
        .args(["a_fault_is_found", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success(), "the process ended well:\n{said}");
    let report = if cfg!(wamr_sanitizer = "address") {
        "AddressSanitizer: global-buffer-overflow"
    } else {
        "ThreadSanitizer: data race"
    };
    assert!(said.contains(report), "no report in:\n{said}");
}

#[test]
fn what_is_right_is_not_reported() {
    // SAFETY: the array has 16 bytes.
    assert_eq!(unsafe { wramp_sanitizer_read(15) }, 0);
    thread::spawn(|| wramp_sanitizer_add()).join().unwrap();
    wramp_sanitizer_add();
}
