//! The interpreter's stack, on the thread that it was made on.

use core::marker::PhantomData;
use core::ptr::NonNull;

use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind};
use wramp_wamr_sys as sys;

use crate::failure;
use crate::instance::Instance;
use crate::memory::MEMORY;
use crate::module::Module;

/// An interpreter stack on one thread, for instances of one module. WAMR calls it an
/// execution environment.
#[derive(Debug)]
pub struct Stack<'m> {
    pub(crate) handle: NonNull<sys::WASMExecEnv>,
    /// Compared, not read.
    pub(crate) module: NonNull<sys::WASMModuleCommon>,
    _borrows: PhantomData<&'m ()>,
    /// It belongs to one thread and does not leave it.
    _here: PhantomData<*mut ()>,
}

impl<'m> Stack<'m> {
    pub(crate) fn new(
        module: &'m Module<'_>,
        first: &Instance<'_>,
        size: Bytes,
    ) -> Result<Self, Error> {
        if first.module != module.handle() {
            return Err(wrong_module());
        }
        let thread = Thread::prepare()?;
        // SAFETY: the instance lives for this call, in which WAMR reads what all
        // instances of its module have in common. It keeps a pointer to it, which
        // is not followed again: `Engine::call` sets another before each call, and
        // destroying an environment does not look at it. WAMR refuses to call on a stack of 0
        // without a word; of a stack of 1 it says that it is too small.
        let handle = MEMORY.trace.note_environment(|| unsafe {
            sys::wasm_runtime_create_exec_env(first.handle.0.as_ptr(), size.0.max(1))
        });
        // There is no other reason, so no need to watch the arena.
        let Some(handle) = NonNull::new(handle) else {
            return Err(failure::error(
                ErrorKind::OutOfMemory,
                format_args!("the arena has no room for a wasm stack of {size} bytes"),
            ));
        };
        // The stack undoes it when it is dropped.
        core::mem::forget(thread);
        Ok(Self { handle, module: module.handle(), _borrows: PhantomData, _here: PhantomData })
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        // SAFETY: from its creation, destroyed here only, while the engine, which the
        // module borrows, is there. No call is on it.
        unsafe { sys::wasm_runtime_destroy_exec_env(self.handle.as_ptr()) };
        drop(Thread(()));
    }
}

/// The calling thread, prepared for calls. With the switches that wramp builds WAMR with
/// (no hardware bounds checks) this keeps nothing in the thread, so several stacks of one
/// thread do not disturb each other.
struct Thread(());

impl Thread {
    fn prepare() -> Result<Self, Error> {
        // SAFETY: there is a module, so there is an engine, and WAMR is initialised.
        match unsafe { sys::wasm_runtime_init_thread_env() } {
            true => Ok(Self(())),
            false => Err(Error::new(ErrorKind::Engine, "WAMR cannot prepare the thread")),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: on the thread that was prepared, for a `Stack` is not `Send`.
        unsafe { sys::wasm_runtime_destroy_thread_env() };
    }
}

#[cold]
pub(crate) fn wrong_module() -> Error {
    Error::new(ErrorKind::WrongModule, "the stack is of another module")
}
