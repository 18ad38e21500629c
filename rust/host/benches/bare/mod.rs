//! Calls WAMR's own functions as a C program does, with nothing around them.
#![allow(dead_code, reason = "each benchmark uses a part")]

use std::ffi::CStr;

use wramp_wamr::Engine;
use wramp_wamr_sys as sys;

/// A module, its one instance and its environment, as a C program holds them.
pub(crate) struct Bare<'e> {
    module: sys::wasm_module_t,
    instance: sys::wasm_module_inst_t,
    environment: sys::wasm_exec_env_t,
    function: sys::wasm_function_inst_t,
    /// WAMR rewrites these bytes and reads them until the unload.
    _bytes: Vec<u8>,
    _engine: &'e Engine<'e>,
}

impl<'e> Bare<'e> {
    pub(crate) fn new(
        engine: &'e Engine<'e>,
        wasm: &[u8],
        export: &CStr,
        stack_bytes: u32,
    ) -> Self {
        let mut bytes = wasm.to_vec();
        let mut text = [0; 128];
        let size = u32::try_from(bytes.len()).unwrap();
        // SAFETY: an engine exists, so WAMR is initialised. The bytes are writable and stay
        // until the unload in `drop`; `text` is writable in its size.
        unsafe {
            let module = sys::wasm_runtime_load(bytes.as_mut_ptr(), size, text.as_mut_ptr(), 128);
            assert!(!module.is_null());
            assert!(sys::wasm_runtime_init_thread_env());
            let instance =
                sys::wasm_runtime_instantiate(module, stack_bytes, 0, text.as_mut_ptr(), 128);
            assert!(!instance.is_null());
            let environment = sys::wasm_runtime_create_exec_env(instance, stack_bytes);
            assert!(!environment.is_null());
            let function = sys::wasm_runtime_lookup_function(instance, export.as_ptr());
            assert!(!function.is_null());
            Self { module, instance, environment, function, _bytes: bytes, _engine: engine }
        }
    }

    /// Calls the export with `cells` arguments, 0 or 1.
    #[inline]
    pub(crate) fn call(&mut self, cells: u32, argument: i32) -> Option<i32> {
        let mut cell = argument.cast_unsigned();
        // SAFETY: module, instance, environment and function are live and belong together. The
        // export takes `cells` cells, which is at most one, and returns one: the benchmarks check
        // each result. There is room for one cell.
        unsafe {
            sys::wasm_runtime_call_wasm(self.environment, self.function, cells, &raw mut cell)
        }
        .then_some(cell.cast_signed())
    }
}

impl Drop for Bare<'_> {
    fn drop(&mut self) {
        // SAFETY: `new` made them, and only this destroys them, in the order that WAMR requires.
        unsafe {
            sys::wasm_runtime_destroy_exec_env(self.environment);
            sys::wasm_runtime_deinstantiate(self.instance);
            sys::wasm_runtime_unload(self.module);
            sys::wasm_runtime_destroy_thread_env();
        }
    }
}
