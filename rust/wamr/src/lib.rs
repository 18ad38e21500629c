//! WAMR behind wramp's [`Runtime`] seam, and the only code that calls WAMR.
//!
//! An [`Engine`] loads [`Module`]s, a module is instantiated into [`Instance`]s,
//! and a [`Thread`] calls them through an [`Environment`], the interpreter's
//! stack. Three rules of WAMR's become rules of the compiler's:
//!
//! - a module outlives its instances, and the engine its modules: lifetimes;
//! - one thread at a time enters an instance: a call takes it by `&mut`, and an
//!   instance is `Send` and not `Sync`;
//! - an environment stays on its thread, and ends before its module does (the
//!   classic interpreter caches code addresses in it).
//!
//! What an environment could be lent to by mistake, an instance of another module,
//! is checked at each call: a comparison.
//!
//! All memory, the modules' bytes included, comes from one [`Arena`] and is back
//! there when the engine is dropped, to the byte. A module gets no imports, no
//! WASI and no threads. `wramp-wamr-sys` says which WAMR it is; [`Engine`] tells
//! it at run time.
//!
//! # What does not compile
//!
//! A module outlives its engine:
//!
//! ```compile_fail,E0505
//! # use wramp_core::runtime::{Runtime, Source};
//! # use wramp_wamr::{Arena, Engine};
//! fn wrong<A: Arena>(bytes: &[u8]) {
//!     let engine = Engine::new::<A>().unwrap();
//!     let module = engine.load(Source::Borrowed(bytes)).unwrap();
//!     drop(engine);
//!     drop(module);
//! }
//! ```
//!
//! An instance outlives its module, or a module is used after it was dropped:
//!
//! ```compile_fail,E0505
//! # use wramp_core::{measure::Bytes, runtime::{Parameters, Runtime, Source}};
//! # use wramp_wamr::Engine;
//! fn wrong(engine: &Engine, bytes: &[u8]) {
//!     let module = engine.load(Source::Borrowed(bytes)).unwrap();
//!     let instance = engine.instantiate(&module, "run", Parameters::None, Bytes(512)).unwrap();
//!     drop(module);
//!     drop(instance);
//! }
//! ```
//!
//! ```compile_fail,E0382
//! # use wramp_core::{measure::Bytes, runtime::{Parameters, Runtime, Source}};
//! # use wramp_wamr::Engine;
//! fn wrong(engine: &Engine, bytes: &[u8]) {
//!     let module = engine.load(Source::Borrowed(bytes)).unwrap();
//!     drop(module);
//!     let _ = engine.instantiate(&module, "run", Parameters::None, Bytes(512));
//! }
//! ```
//!
//! An environment outlives its module:
//!
//! ```compile_fail,E0505
//! # use wramp_core::{measure::Bytes, runtime::{Runtime, Source}};
//! # use wramp_wamr::{Engine, Instance, Thread};
//! fn wrong(engine: &Engine, thread: &Thread, bytes: &[u8], first: &Instance) {
//!     let module = engine.load(Source::Borrowed(bytes)).unwrap();
//!     let environment = engine.environment(thread, &module, first, Bytes(512)).unwrap();
//!     drop(module);
//!     drop(environment);
//! }
//! ```
//!
//! An environment, or the guard of a thread, goes to another thread:
//!
//! ```compile_fail,E0277
//! fn is_send<T: Send>() {}
//! is_send::<wramp_wamr::Environment>();
//! ```
//!
//! ```compile_fail,E0277
//! fn is_send<T: Send>() {}
//! is_send::<wramp_wamr::Thread>();
//! ```
//!
//! Two threads share an instance:
//!
//! ```compile_fail,E0277
//! fn is_sync<T: Sync>() {}
//! is_sync::<wramp_wamr::Instance>();
//! ```
//!
//! And what does: the same shapes, in the right order.
//!
//! ```no_run
//! # use wramp_core::{measure::Bytes, runtime::{Error, Parameters, Runtime, Source}};
//! # use wramp_wamr::{Arena, Engine, Instance, Module};
//! fn right<A: Arena>(bytes: &[u8]) -> Result<i32, Error> {
//!     let engine = Engine::new::<A>()?;
//!     let module = engine.load(Source::Borrowed(bytes))?;
//!     let mut instance = engine.instantiate(&module, "run", Parameters::I32, Bytes(512))?;
//!     let thread = engine.attach()?;
//!     let mut environment = engine.environment(&thread, &module, &instance, Bytes(512))?;
//!     engine.call(&mut environment, &mut instance, 7, None)
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

mod arena;
mod binary;
mod engine;
mod environment;
mod failure;
mod instance;
mod module;

pub use arena::Arena;
pub use engine::Engine;
pub use environment::{Environment, Thread};
pub use instance::Instance;
pub use module::Module;
pub use wramp_wamr_sys::{INTERPRETER, METERING, VERSION};

/// Whether a loaded module's bytes are copied into the arena: where WAMR rewrites or keeps them,
/// and where a build asks for it with `WRAMP_MODULE_COPY=1` to see what that costs.
pub const COPIES_MODULES: bool = cfg!(not(wamr_in_place));

#[expect(unused_imports, reason = "the first line of the documentation names it")]
use wramp_core::runtime::Runtime;
