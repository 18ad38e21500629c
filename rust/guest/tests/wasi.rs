//! Runs programs of other compilers, with the part of WASI that they need.

mod reference;

use reference::{ALL, Host, Leave, Place, guest};

#[test]
fn a_program_in_c_says_hello_at_each_call() {
    let mut host = Host::new(4);
    let id = host.start(&guest("guest/wasi/hello_c.wasm"), &ALL).unwrap();
    // The host resets the instance before each step, because `main` can run only once.
    assert_eq!(host.run(3), 3);
    assert_eq!(host.values(id), [0, 0, 0], "{:?}", host.place(id));
    assert_eq!(host.lines(), ["guest 0: hello from C", "guest 0: there is no HOME"].repeat(3));
}

#[test]
fn a_program_in_c_is_refused_without_a_log() {
    let mut host = Host::new(4);
    assert_eq!(
        host.start(&guest("guest/wasi/hello_c.wasm"), &Leave::default()).unwrap_err(),
        ["wasi_snapshot_preview1.fd_write: allow it with --allow log"]
    );
}

#[test]
fn a_module_of_assembly_script_runs_without_leave() {
    let mut host = Host::new(4);
    let id = host.start(&guest("guest/wasi/hello_as.wasm"), &Leave::default()).unwrap();
    assert_eq!(host.run(10), 10);
    // "call 1" has 6 letters, "call 10" has 7.
    assert_eq!(host.values(id), [6, 6, 6, 6, 6, 6, 6, 6, 6, 7]);
    assert_eq!(host.place(id), Place::Ready);
}

/// The module is not committed, because it has 64 KB. The test needs a run of `scripts/guests`.
#[test]
fn a_program_in_rust_says_hello() {
    let path = "guest/wasi/hello_rs.wasm";
    if !reference::root().join(path).exists() {
        reference::skip(&format!("{path} is not built (scripts/guests)"));
        return;
    }
    let mut host = Host::new(4);
    let id = host.start(&guest(path), &ALL).unwrap();
    assert_eq!(host.run(2), 2);
    assert_eq!(host.values(id), [0, 0], "{:?}", host.place(id));
    assert_eq!(host.lines(), ["guest 0: hello from Rust"; 2]);
}
