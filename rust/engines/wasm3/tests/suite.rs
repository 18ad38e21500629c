//! wasm3 behind the seam, on the arena for engines in Rust.

use wramp_engine_arena::EngineAllocator;
use wramp_engine_suite as suite;
use wramp_engine_wasm3::Wasm3;

#[global_allocator]
static ALLOCATOR: EngineAllocator = EngineAllocator;

#[test]
fn what_every_engine_must_pass() {
    suite::errors_say_what_to_do::<Wasm3>();
    suite::instances_are_apart::<Wasm3>();
    suite::memory_that_cannot_grow_is_the_guests_affair::<Wasm3>();
    suite::running_out_is_an_error::<Wasm3>(
        "(module (memory 1) (table 4 funcref) (elem (i32.const 0) $f)
           (func $f (export \"run\") (result i32) i32.const 7))",
    );
    suite::ramps_end_as_predicted::<Wasm3>();
}

#[test]
fn the_version_names_the_release_and_the_package() {
    assert!(wramp_engine_wasm3::VERSION.starts_with("0.9.0-wasm3x-"));
}
