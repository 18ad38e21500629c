//! Measures what a guest's call of its host costs, beside WAMR's own native call.
//!
//! Run it with `scripts/bench calls` or `cargo bench -p wramp-host --bench calls`. A figure is
//! the shortest of many runs of a loop, without what the empty loop takes. The benchmark fails if
//! a call does something else than it should, and never because this machine is slow.

mod bare;

use std::ffi::{CStr, c_char, c_void};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bare::Bare;
use wramp_arena::Arena;
use wramp_bench::{Agreement, Check, Count, EngineKind, Guest};
use wramp_core::config::Config;
use wramp_core::measure::Bytes;
use wramp_core::report::Record;
use wramp_core::runtime::{Error, ModuleBytes, Parameters};
use wramp_host::arena::Region;
use wramp_host::{HostOptions, Setup};
use wramp_imports::{Capability, Grants};
use wramp_wamr::Engine;
use wramp_wamr_sys as sys;

/// Calls of a run.
const CALLS: u32 = 100_000;

struct Wamr;

impl EngineKind for Wamr {
    type Engine<'a> = Engine<'a>;

    fn start<'a>(arena: &'a dyn Arena) -> Result<Engine<'a>, Error> {
        Engine::new(arena)
    }
}

/// A symbol, as WAMR's header has it.
#[repr(C)]
struct NativeSymbol {
    symbol: *const c_char,
    function: *mut c_void,
    signature: *const c_char,
    attachment: *mut c_void,
}

unsafe extern "C" {
    fn wasm_runtime_register_natives(
        module: *const c_char,
        symbols: *mut NativeSymbol,
        count: u32,
    ) -> bool;
    fn wasm_runtime_register_natives_raw(
        module: *const c_char,
        symbols: *mut NativeSymbol,
        count: u32,
    ) -> bool;
    fn wasm_runtime_unregister_natives(module: *const c_char, symbols: *mut NativeSymbol) -> bool;
}

/// A function as WAMR calls it in the platform's own way.
extern "C" fn seven(_environment: sys::wasm_exec_env_t) -> i32 {
    7
}

/// The same with its arguments in an array.
///
/// # Safety
/// 1. There is room for a result.
unsafe extern "C" fn seven_raw(_environment: sys::wasm_exec_env_t, values: *mut u64) {
    // SAFETY: by duty 1.
    unsafe { values.write(7) };
}

/// A guest that makes a call so often. The export gives the sum of the results.
fn guest(import: &str, call: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {import} (memory (export "memory") 1 1)
        (func (export "run") (result i32) (local $left i32) (local $sum i32)
          (local.set $left (i32.const {CALLS}))
          (loop $again
            (local.set $sum (i32.add (local.get $sum) {call}))
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
          (local.get $sum)))"#
    );
    wat::parse_str(text).unwrap()
}

/// The shortest run of a guest whose import WAMR resolves by itself.
fn bare(wasm: &[u8], raw: bool) -> Duration {
    let mut region = Region::new(Bytes(1 << 20)).unwrap();
    let arena = region.arena();
    let engine = Engine::new(&arena).unwrap();
    let function = if raw { seven_raw as *mut c_void } else { seven as *mut c_void };
    let mut symbol = NativeSymbol {
        symbol: c"seven".as_ptr(),
        function,
        signature: c"()i".as_ptr(),
        attachment: std::ptr::null_mut(),
    };
    let module: &CStr = c"bare";
    let register =
        if raw { wasm_runtime_register_natives_raw } else { wasm_runtime_register_natives };
    // SAFETY: an engine exists. The symbol stays until it is unregistered below, and its texts
    // are static. The function has the type that its kind of symbol has.
    assert!(unsafe { register(module.as_ptr(), &raw mut symbol, 1) });
    let mut guest = Bare::new(&engine, wasm, c"run", 4096);
    let shortest = (0..30)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(guest.call(0, 0), Some(7 * CALLS as i32));
            began.elapsed()
        })
        .min();
    drop(guest);
    // SAFETY: as above, and no module refers to it any more.
    unsafe { wasm_runtime_unregister_natives(module.as_ptr(), &raw mut symbol) };
    shortest.unwrap()
}

/// The shortest run of a guest in a ramp of one, with its host.
fn hosted(wasm: &[u8]) -> Duration {
    let agreement = Agreement::new();
    let guest = Guest {
        name: "calls",
        module: ModuleBytes::Borrowed(wasm),
        export: "run",
        parameters: Parameters::None,
        check: Check::Agreement(&agreement),
        count: Count::Most,
        budget: None,
    };
    let config = Config {
        slots: 1,
        settle_ms: 0,
        dwell_ms: 500,
        pause_ms: 0,
        arena: Bytes(1 << 20),
        ..Config::PUBLISHED
    };
    let mut shortest = None;
    let sink = Box::new(|record: &Record<'_>| {
        if let Record::Instance(instance) = record {
            assert_eq!(instance.errors, 0);
            shortest = instance.latency_min_us;
        }
    });
    let interrupted = &AtomicBool::new(false);
    let gave_up = |status| std::process::exit(i32::try_from(status).unwrap_or(1));
    let setup = Setup { config, sink, interrupted, gave_up: &gave_up };
    let grants = Capability::ALL.into_iter().fold(Grants::NONE, Grants::allow);
    let host = HostOptions { grants, queue_bytes: 1048, expected: None, voice: Box::new(|_| {}) };
    let summary = wramp_host::run_hosted::<Wamr>(setup, &[guest], Some(host)).unwrap();
    assert_eq!(summary.exit(), 0);
    Duration::from_nanos(shortest.unwrap().0)
}

fn main() -> ExitCode {
    // `cargo test` runs benchmarks too, without this.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let each = |all: Duration, empty: Duration| {
        all.saturating_sub(empty).as_nanos() as f64 / f64::from(CALLS)
    };
    let empty = hosted(&guest("", "(i32.const 7)"));
    println!(
        "interpreter {}; an empty turn of the loop: {:.1} ns",
        sys::INTERPRETER,
        each(empty, Duration::ZERO)
    );
    let own = guest(r#"(import "bare" "seven" (func $f (result i32)))"#, "(call $f)");
    for (name, raw) in [("WAMR's native", false), ("WAMR's native, raw", true)] {
        println!("{name:<28} {:>8.1} ns", each(bare(&own, raw), empty));
    }
    let import =
        |name: &str, types: &str| format!(r#"(import "wramp" "{name}" (func $f {types}))"#);
    let both = import("send", "(param i32 i32 i32) (result i32)")
        + r#"(import "wramp" "receive" (func $g (param i32 i32) (result i32)))"#;
    for (name, import, call) in [
        ("wramp.id", import("id", "(result i32)"), "(call $f)"),
        (
            "wramp.now_us",
            import("now_us", "(result i64)"),
            "(i32.wrap_i64 (i64.shr_u (call $f) (i64.const 63)))",
        ),
        (
            "wramp.sleep(0)",
            import("sleep", "(param i32)"),
            "(block (result i32) (call $f (i32.const 0)) (i32.const 1))",
        ),
        (
            "wramp.log, dropped",
            import("log", "(param i32 i32)"),
            "(block (result i32) (call $f (i32.const 0) (i32.const 16)) (i32.const 1))",
        ),
        (
            "wramp.send + receive, 16 B",
            both,
            "(i32.add (call $f (i32.const 0) (i32.const 0) (i32.const 16)) (call $g (i32.const 32) (i32.const 16)))",
        ),
    ] {
        let wasm = guest(&import, call);
        println!("{name:<28} {:>8.1} ns", each(hosted(&wasm), empty));
    }
    ExitCode::SUCCESS
}
