//! The part of wasm3's interface that is used here: see `wasm3.h`, and where C finds memory.

use std::ffi::{CStr, c_char, c_int, c_void};

use wramp_engine_arena::foreign;

/// null for success, otherwise a text.
pub(crate) type Result = *const c_char;

macro_rules! opaque {
    ($($name:ident)*) => {$(
        #[repr(C)]
        pub(crate) struct $name {
            _private: [u8; 0],
        }
    )*};
}
opaque! { Environment Runtime Module Function }

/// `c_m3Type_i32`
pub(crate) const I32: c_int = 1;

unsafe extern "C" {
    pub(crate) fn m3_NewEnvironment() -> *mut Environment;
    pub(crate) fn m3_FreeEnvironment(environment: *mut Environment);
    pub(crate) fn m3_NewRuntime(
        environment: *mut Environment,
        stack_bytes: u32,
        user: *mut c_void,
    ) -> *mut Runtime;
    pub(crate) fn m3_FreeRuntime(runtime: *mut Runtime);
    pub(crate) fn m3_ParseModule(
        environment: *mut Environment,
        module: *mut *mut Module,
        bytes: *const u8,
        count: u32,
    ) -> Result;
    pub(crate) fn m3_FreeModule(module: *mut Module);
    pub(crate) fn m3_LoadModule(runtime: *mut Runtime, module: *mut Module) -> Result;
    pub(crate) fn m3_CompileModule(module: *mut Module) -> Result;
    pub(crate) fn m3_RunStart(module: *mut Module) -> Result;
    pub(crate) fn m3_FindFunction(
        function: *mut *mut Function,
        runtime: *mut Runtime,
        name: *const c_char,
    ) -> Result;
    pub(crate) fn m3_GetArgCount(function: *mut Function) -> u32;
    pub(crate) fn m3_GetRetCount(function: *mut Function) -> u32;
    pub(crate) fn m3_GetArgType(function: *mut Function, index: u32) -> c_int;
    pub(crate) fn m3_GetRetType(function: *mut Function, index: u32) -> c_int;
    pub(crate) fn m3_Call(
        function: *mut Function,
        count: u32,
        arguments: *const *const c_void,
    ) -> Result;
    pub(crate) fn m3_GetResults(
        function: *mut Function,
        count: u32,
        results: *const *const c_void,
    ) -> Result;
}

/// The text of a failure.
pub(crate) fn text(result: Result) -> Option<&'static str> {
    // SAFETY: null, or one of wasm3's constant texts: it formats none where
    // `d_m3VerboseErrorMessages` is 0.
    let text = (!result.is_null()).then(|| unsafe { CStr::from_ptr(result) })?;
    Some(text.to_str().unwrap_or("?"))
}

#[unsafe(no_mangle)]
extern "C" fn wramp_wasm3_calloc(count: usize, size: usize) -> *mut c_void {
    foreign::calloc(count, size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn wramp_wasm3_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: wasm3 passes null or a live block of its own, and all of those come from here.
    unsafe { foreign::realloc(block, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn wramp_wasm3_free(block: *mut c_void) {
    // SAFETY: as above.
    unsafe { foreign::free(block) };
}
