//! WAMR behind wramp's [`Runtime`] seam, and the only code that calls WAMR.
//!
//! An [`Engine`] on an arena loads [`Module`]s. A module is instantiated into [`Instance`]s, and
//! a thread calls them on its own [`Stack`]. The compiler enforces four rules of WAMR:
//!
//! - An arena outlives its engine, an engine its modules, and a module its instances. Lifetimes
//!   see to that.
//! - One thread at a time enters an instance. A call takes it by `&mut`, and an instance is
//!   `Send` and not `Sync`.
//! - A stack stays on its thread. It is not `Send`.
//! - A stack ends before its module does, because the classic interpreter caches code addresses
//!   in it. A lifetime sees to that.
//!
//! A fifth rule is checked at each call, by a comparison: a stack serves only instances of its
//! own module.
//!
//! All memory comes from the one arena, including the modules' bytes. All of it is back there
//! when the engine is dropped, to the byte. WAMR gives a module no imports, no WASI and no
//! threads. With the feature `imports`, a module's imports can be functions of the host: see
//! [`Runtime::load_linked`].
//!
//! # What does not compile
//!
//! Dropping the arena before its engine:
//!
//! ```compile_fail,E0505
//! # use wramp_arena::Arena;
//! # use wramp_wamr::Engine;
//! fn wrong<A: Arena>(arena: A) {
//!     let engine = Engine::new(&arena);
//!     drop(arena);
//!     drop(engine);
//! }
//! ```
//!
//! Dropping the engine before a module:
//!
//! ```compile_fail,E0505
//! # use wramp_core::runtime::{ModuleBytes, Runtime};
//! # use wramp_wamr::Engine;
//! fn wrong(engine: Engine, bytes: &[u8]) {
//!     let module = engine.load(ModuleBytes::Borrowed(bytes)).unwrap();
//!     drop(engine);
//!     drop(module);
//! }
//! ```
//!
//! Dropping a module before its instance, or using it after the drop:
//!
//! ```compile_fail,E0505
//! # use wramp_core::{measure::Bytes, runtime::{ModuleBytes, Parameters, Runtime}};
//! # use wramp_wamr::Engine;
//! fn wrong(engine: &Engine, bytes: &[u8]) {
//!     let module = engine.load(ModuleBytes::Borrowed(bytes)).unwrap();
//!     let instance = engine.instantiate(&module, "run", Parameters::None, Bytes(512)).unwrap();
//!     drop(module);
//!     drop(instance);
//! }
//! ```
//!
//! ```compile_fail,E0382
//! # use wramp_core::{measure::Bytes, runtime::{ModuleBytes, Parameters, Runtime}};
//! # use wramp_wamr::Engine;
//! fn wrong(engine: &Engine, bytes: &[u8]) {
//!     let module = engine.load(ModuleBytes::Borrowed(bytes)).unwrap();
//!     drop(module);
//!     let _ = engine.instantiate(&module, "run", Parameters::None, Bytes(512));
//! }
//! ```
//!
//! Dropping a module before a stack for its instances:
//!
//! ```compile_fail,E0505
//! # use wramp_core::{measure::Bytes, runtime::{ModuleBytes, Runtime}};
//! # use wramp_wamr::{Engine, Instance};
//! fn wrong(engine: &Engine, bytes: &[u8], first: &Instance) {
//!     let module = engine.load(ModuleBytes::Borrowed(bytes)).unwrap();
//!     let stack = engine.stack(&module, first, Bytes(512)).unwrap();
//!     drop(module);
//!     drop(stack);
//! }
//! ```
//!
//! Sending a stack to another thread:
//!
//! ```compile_fail,E0277
//! fn is_send<T: Send>() {}
//! is_send::<wramp_wamr::Stack>();
//! ```
//!
//! Sharing an instance between two threads:
//!
//! ```compile_fail,E0277
//! fn is_sync<T: Sync>() {}
//! is_sync::<wramp_wamr::Instance>();
//! ```
//!
//! The same shapes compile in the right order:
//!
//! ```no_run
//! # use wramp_arena::Arena;
//! # use wramp_core::{measure::Bytes, runtime::{Error, ModuleBytes, Parameters, Runtime}};
//! # use wramp_wamr::{Engine, Instance, Module};
//! fn right<A: Arena>(arena: &A, bytes: &[u8]) -> Result<i32, Error> {
//!     let engine = Engine::new(arena)?;
//!     let module = engine.load(ModuleBytes::Borrowed(bytes))?;
//!     let mut instance = engine.instantiate(&module, "run", Parameters::I32, Bytes(512))?;
//!     let mut stack = engine.stack(&module, &instance, Bytes(512))?;
//!     engine.call(&mut stack, &mut instance, 7, None)
//! }
//! fn is_send<T: Send>() {}
//! fn is_sync<T: Sync>() {}
//! is_send::<Instance>();
//! is_sync::<Module>();
//! is_sync::<Engine>();
//! ```
#![no_std]

#[cfg(test)]
extern crate std;

mod binary;
mod engine;
mod failure;
#[cfg(wamr_imports)]
mod imports;
mod instance;
mod memory;
mod module;
#[cfg(any(test, wamr_unlisted))]
mod self_test;
mod stack;
mod state;

pub use engine::Engine;
pub use instance::Instance;
pub use module::Module;
pub use stack::Stack;
pub use wramp_wamr_sys::{INTERPRETER, METERING, VERSION};

/// Whether a loaded module's bytes are copied into the arena.
///
/// They are if WAMR rewrites or keeps them, and if a build asks for it with
/// `WRAMP_MODULE_COPY=1` to see what that costs.
pub const COPIES_MODULES: bool = cfg!(not(wamr_in_place));

#[expect(unused_imports, reason = "the first line of the documentation names it")]
use wramp_core::runtime::Runtime;
