//! Measures load, instantiate and call of each workload, and a bare call.
//!
//! It checks every result. Run it with `cargo bench -p wramp-host --bench phases`.

mod bare;

use std::ffi::CString;

use bare::Bare;
use divan::{Bencher, black_box};
use wramp_arena::Arena as _;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ModuleBytes, Runtime};
use wramp_host::arena::Region;
use wramp_wamr::Engine;
use wramp_workloads::{ALL, State, Workload};

const STACK: Bytes = Bytes(4096);
const NAMES: &[&str] = &[
    "cpu",
    "mem",
    "msg",
    "isolation",
    "state",
    "nest",
    "add",
    "mul",
    "fib",
    "checksum",
    "popcount",
];

fn main() {
    assert!(NAMES.iter().eq(ALL.iter().map(|workload| &workload.name)));
    // This runs on a thread, as in a slot. On the main thread glibc finds the bounds of the
    // stack in /proc/self/maps, which would slow down a WAMR that asks at every call.
    std::thread::spawn(divan::main).join().unwrap();
}

fn workload(name: &str) -> &'static Workload {
    wramp_workloads::find(name).unwrap()
}

/// Runs a benchmark with an engine on its own arena. There may be only one engine at a time, and
/// divan runs one benchmark at a time.
fn with_engine(bench: impl FnOnce(&Engine<'_>)) {
    let mut region = Region::new(Bytes(1 << 20)).unwrap();
    let arena = region.arena();
    let empty = arena.stats();
    bench(&Engine::new(&arena).unwrap());
    arena.reset_low_water();
    assert_eq!(arena.stats(), empty, "bytes were left in the arena");
}

#[divan::bench(args = NAMES)]
fn load(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = ModuleBytes::Static(workload(name).wasm);
    with_engine(|engine| bencher.bench_local(|| engine.load(black_box(bytes)).unwrap()));
}

#[divan::bench(args = NAMES)]
fn instantiate(bencher: Bencher<'_, '_>, name: &str) {
    let workload = workload(name);
    with_engine(|engine| {
        let module = engine.load(ModuleBytes::Static(workload.wasm)).unwrap();
        bencher.bench_local(|| {
            engine.instantiate(&module, workload.export, workload.parameters, STACK).unwrap()
        });
    });
}

#[divan::bench(args = NAMES)]
fn call(bencher: Bencher<'_, '_>, name: &str) {
    let workload = workload(name);
    with_engine(|engine| {
        let module = engine.load(ModuleBytes::Static(workload.wasm)).unwrap();
        let mut instance =
            engine.instantiate(&module, workload.export, workload.parameters, STACK).unwrap();
        let mut stack = engine.stack(&module, &instance, STACK).unwrap();
        let mut state = State::new(1);
        bencher.bench_local(|| {
            let result = engine.call(&mut stack, &mut instance, 1, None);
            assert_eq!(result, Ok((workload.reference)(&mut state)));
        });
    });
}

/// `call` takes longer than this by what the wrapper costs: one or two comparisons.
#[divan::bench(args = NAMES)]
fn call_bare(bencher: Bencher<'_, '_>, name: &str) {
    let workload = workload(name);
    with_engine(|engine| {
        let export = CString::new(workload.export).unwrap();
        let mut bare = Bare::new(engine, workload.wasm, &export, STACK.0);
        let cells = u32::from(workload.parameters == wramp_core::runtime::Parameters::I32);
        let mut state = State::new(1);
        bencher.bench_local(|| {
            assert_eq!(bare.call(cells, 1), Some((workload.reference)(&mut state)));
        });
    });
}

/// The native reference alone. `call` and `call_bare` include it.
#[divan::bench(args = NAMES)]
fn reference(bencher: Bencher<'_, '_>, name: &str) {
    let workload = workload(name);
    let mut state = State::new(1);
    bencher.bench_local(|| (workload.reference)(black_box(&mut state)));
}
