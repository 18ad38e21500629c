//! A thread prepared for calls, and the interpreter's stack that stays on it.

use core::marker::PhantomData;
use core::ptr::NonNull;

use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind};
use wramp_wamr_sys as sys;

use crate::arena;
use crate::engine::Engine;
use crate::failure;
use crate::instance::Instance;
use crate::module::Module;

/// What belongs to one thread and does not leave it.
type Here = PhantomData<*mut ()>;

/// The calling thread, prepared for calls.
#[derive(Debug)]
pub struct Thread<'r> {
    _engine: PhantomData<&'r Engine>,
    _here: Here,
}

impl<'r> Thread<'r> {
    pub(crate) fn attach(_engine: &'r Engine) -> Result<Self, Error> {
        // SAFETY: an `Engine` exists, so WAMR is initialised.
        if !unsafe { sys::wasm_runtime_init_thread_env() } {
            return Err(Error::new(ErrorKind::Engine, "WAMR cannot prepare the thread"));
        }
        Ok(Self { _engine: PhantomData, _here: PhantomData })
    }
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        // SAFETY: on the thread that was prepared, for a `Thread` is not `Send`.
        unsafe { sys::wasm_runtime_destroy_thread_env() };
    }
}

/// An interpreter stack on one thread, for instances of one module.
#[derive(Debug)]
pub struct Environment<'t> {
    pub(crate) handle: NonNull<sys::WASMExecEnv>,
    /// Compared, not read.
    pub(crate) module: NonNull<sys::WASMModuleCommon>,
    _borrows: PhantomData<&'t ()>,
    _here: Here,
}

impl<'t> Environment<'t> {
    pub(crate) fn new(
        _thread: &'t Thread<'_>,
        module: &'t Module<'_>,
        first: &Instance<'_>,
        stack: Bytes,
    ) -> Result<Self, Error> {
        if first.module != module.handle() {
            return Err(wrong_module());
        }
        // SAFETY: the instance lives for this call, in which WAMR reads what all
        // instances of its module have in common. WAMR keeps a pointer to it and does
        // not follow it again: `Engine::call` sets another before each call, and
        // destroying an environment does not look at it. WAMR refuses to call on a
        // stack of 0 without a word; of a stack of 1 it says that it is too small.
        let handle = arena::note_environment(|| unsafe {
            sys::wasm_runtime_create_exec_env(first.handle.0.as_ptr(), stack.0.max(1))
        });
        // There is no other reason, so no need to watch the arena.
        let Some(handle) = NonNull::new(handle) else {
            return Err(failure::error(
                ErrorKind::OutOfMemory,
                format_args!("the arena has no room for a wasm stack of {stack} bytes"),
            ));
        };
        Ok(Self { handle, module: module.handle(), _borrows: PhantomData, _here: PhantomData })
    }
}

impl Drop for Environment<'_> {
    fn drop(&mut self) {
        // SAFETY: from its creation, destroyed here only, while the engine, which the
        // thread and the module borrow, is there. No call is on it.
        unsafe { sys::wasm_runtime_destroy_exec_env(self.handle.as_ptr()) };
    }
}

#[cold]
pub(crate) fn wrong_module() -> Error {
    Error::new(ErrorKind::WrongModule, "the environment is of another module")
}
