//! The interpreter's stack, on the thread that made it.

use core::marker::PhantomData;
use core::ptr::NonNull;

use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind};
use wramp_wamr_sys as sys;

use crate::failure;
use crate::instance::Instance;
use crate::memory::MEMORY;
use crate::module::Module;

/// An interpreter stack on one thread, for instances of one module. WAMR calls it an execution
/// environment.
#[derive(Debug)]
pub struct Stack<'m> {
    pub(crate) handle: NonNull<sys::WASMExecEnv>,
    /// It is compared, never read.
    pub(crate) module: NonNull<sys::WASMModuleCommon>,
    _borrows: PhantomData<&'m ()>,
    /// The stack belongs to one thread and does not leave it.
    _here: PhantomData<*mut ()>,
}

impl<'m> Stack<'m> {
    pub(crate) fn new(
        module: &'m Module<'_>,
        first: &Instance<'_>,
        size: Bytes,
    ) -> Result<Self, Error> {
        if first.entry().module != module.handle().as_ptr() {
            return Err(wrong_module());
        }
        MEMORY.trace.note_environment(|| Self::create(module, first, size))
    }

    fn create(module: &'m Module<'_>, first: &Instance<'_>, size: Bytes) -> Result<Self, Error> {
        let thread = Thread::prepare()?;
        // SAFETY: the instance lives for this call. WAMR reads in it what all instances of its
        // module share. It keeps a pointer to the instance and does not follow it again:
        // `Engine::call` sets another one before each call, and destroying an environment does
        // not look at it. WAMR refuses a call on a stack of 0 without a word. Of a stack of 1
        // it says that it is too small.
        let handle =
            unsafe { sys::wasm_runtime_create_exec_env(first.handle.0.as_ptr(), size.0.max(1)) };
        // There is no other reason, so nothing needs to watch the arena.
        let Some(handle) = NonNull::new(handle) else {
            return Err(failure::error(
                ErrorKind::OutOfMemory,
                format_args!("the arena has no room for a wasm stack of {size} bytes"),
            ));
        };
        // Dropping the stack undoes it.
        core::mem::forget(thread);
        Ok(Self { handle, module: module.handle(), _borrows: PhantomData, _here: PhantomData })
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is from its creation and is destroyed here only. The engine still
        // exists, because the module borrows it. No call is on the stack.
        unsafe { sys::wasm_runtime_destroy_exec_env(self.handle.as_ptr()) };
        drop(Thread(()));
    }
}

/// The calling thread, prepared for calls.
///
/// With the switches that wramp builds WAMR with (no hardware bounds checks), this keeps
/// nothing in the thread. Several stacks of one thread therefore do not disturb each other.
pub(crate) struct Thread(());

impl Thread {
    pub(crate) fn prepare() -> Result<Self, Error> {
        // SAFETY: there is a module, so there is an engine, and WAMR is initialised.
        match unsafe { sys::wasm_runtime_init_thread_env() } {
            true => Ok(Self(())),
            false => Err(Error::new(ErrorKind::Engine, "WAMR cannot prepare the thread")),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: this is the thread that was prepared, because a `Stack` is not `Send`.
        unsafe { sys::wasm_runtime_destroy_thread_env() };
    }
}

#[cold]
pub(crate) fn wrong_module() -> Error {
    Error::new(ErrorKind::WrongModule, "the stack is of another module")
}
