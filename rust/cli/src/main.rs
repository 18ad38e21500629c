//! The binary `wramp`; the library beside it does everything.

/// Engines in Rust allocate through it. Without one of them it is the system's allocator.
#[cfg(feature = "engines")]
#[global_allocator]
static ALLOCATOR: wramp_engine_arena::EngineAllocator = wramp_engine_arena::EngineAllocator;

fn main() -> std::process::ExitCode {
    wramp_cli::main()
}
