//! wasm3 behind the seam, on the arena for engines in Rust.

use wramp_engine_arena::EngineAllocator;

#[global_allocator]
static ALLOCATOR: EngineAllocator = EngineAllocator;

#[test]
fn what_every_engine_must_pass() {
    wramp_engine_suite::all::<wramp_engine_wasm3::Wasm3>();
}

#[test]
fn the_version_names_the_release_and_the_package() {
    assert!(wramp_engine_wasm3::VERSION.starts_with("0.9.0-wasm3x-"));
}
