//! An instance of a module, with the one export that calls enter.

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Parameters};
use wramp_wamr_sys as sys;

use crate::engine::CELLS;
use crate::failure;
use crate::memory::MEMORY;
use crate::module::Module;
#[cfg(wamr_own_start)]
use crate::stack::Thread;

/// Longest name of an export, in bytes.
const EXPORT_BYTES: usize = 127;

/// An instance. It may move to another thread between calls.
///
/// It is one pointer, because a pool keeps hundreds of them. What a call enters lies in the
/// instance itself.
#[derive(Debug)]
pub struct Instance<'m> {
    pub(crate) handle: Handle,
    _module: PhantomData<&'m ()>,
}

const _: () = assert!(size_of::<Option<Instance<'_>>>() == size_of::<usize>());

/// What a call of an instance enters.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// It is compared, never read.
    pub(crate) module: *mut sys::WASMModuleCommon,
    pub(crate) function: *mut sys::WASMFunctionInstanceCommon,
    /// Cells of arguments: 1 for an i32, else 0.
    pub(crate) cells: u32,
    /// Cells of the result: 1 for an i32.
    #[cfg(wamr_imports)]
    gives: u32,
}

/// Where in an entry's note the cells of the result are.
#[cfg(wamr_imports)]
const GIVES: u32 = 8;

// SAFETY: an instance is memory of the arena. WAMR keeps nothing of it in a thread. Each call
// tells it the thread anew (that of the stack), and any thread may free it.
unsafe impl Send for Instance<'_> {}

impl<'m> Instance<'m> {
    pub(crate) fn new(
        module: &'m Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
        budget: Option<u32>,
    ) -> Result<Self, Error> {
        let mut name = [0; EXPORT_BYTES + 1];
        let name = c_string(export, &mut name).ok_or_else(|| no_export(export))?;
        let handle = Handle::new(module, stack)?;
        #[cfg(wamr_own_start)]
        handle.run_start(module, stack, budget)?;
        #[cfg(not(wamr_own_start))]
        let _ = budget;
        let function = handle.function(name).ok_or_else(|| no_export(export))?;
        let cells = handle.check_signature(function, parameters)?;
        handle.enters(function, cells, 1);
        Ok(Self { handle, _module: PhantomData })
    }

    /// An instance of a module whose imports are linked. The calls of its start function, of
    /// `_initialize` and of its export go to `desk`.
    #[cfg(wamr_imports)]
    pub(crate) fn linked(
        module: &'m Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
        budget: Option<u32>,
        desk: &'m wramp_core::host::Desk<'m>,
    ) -> Result<Self, Error> {
        let mut name = [0; EXPORT_BYTES + 1];
        let name = c_string(export, &mut name).ok_or_else(|| no_export(export))?;
        let handle = Handle::new(module, stack)?;
        crate::imports::seat(&handle, desk);
        let function = handle.function(name).ok_or_else(|| no_export(export))?;
        let cells = match parameters {
            Parameters::None => 0,
            Parameters::I32 => 1,
        };
        let gives = handle.result_cells(function, cells)?;
        handle.run_start(module, stack, budget)?;
        let is_plain = |function: &NonNull<_>| handle.takes_and_gives_nothing(*function);
        if let Some(initialize) = handle.function(c"_initialize").filter(is_plain) {
            handle.run(initialize, stack, budget)?;
        }
        handle.enters(function, cells, gives);
        Ok(Self { handle, _module: PhantomData })
    }

    /// What a call enters.
    #[inline]
    pub(crate) fn entry(&self) -> Entry {
        let (module, function) = (ptr::null_mut(), ptr::null_mut());
        let mut entry = sys::Entry { module, function, note: 0 };
        // SAFETY: the instance lives, and is of bytecode: nothing else is ever loaded. Its entry
        // was set when it was made. `entry` is of the layout that the C has.
        unsafe { sys::wramp_wamr_entry(self.handle.0.as_ptr(), &raw mut entry) };
        let sys::Entry { module, function, note } = entry;
        #[cfg(wamr_imports)]
        let (note, gives) = (note & ((1 << GIVES) - 1), note >> GIVES);
        Entry {
            module,
            function,
            cells: note,
            #[cfg(wamr_imports)]
            gives,
        }
    }

    /// The bytes of each of its parts.
    pub(crate) fn parts(&self) -> sys::InstanceParts {
        let mut parts = sys::InstanceParts::default();
        // SAFETY: the instance lives, is of bytecode (nothing else is ever loaded), and no
        // call is in it while it is borrowed here. `parts` is of the layout that the C has.
        unsafe { sys::wramp_wamr_parts(self.handle.0.as_ptr(), &raw mut parts) };
        parts
    }

    /// Why the last call failed. The instance can be called again afterwards.
    #[cold]
    pub(crate) fn take_error(&mut self) -> Error {
        let instance = self.handle.0.as_ptr();
        // SAFETY: the instance lives, and `&mut self` keeps other threads out of it.
        let text = unsafe { sys::wasm_runtime_get_exception(instance) };
        if text.is_null() {
            return Error::new(ErrorKind::Engine, "WAMR refused the call and does not say why");
        }
        // SAFETY: the exception's text is a C string inside the instance, unchanged
        // until it is cleared, which is below.
        let error = failure::exception(unsafe { CStr::from_ptr(text) }.to_bytes());
        // SAFETY: as above.
        unsafe { sys::wasm_runtime_clear_exception(instance) };
        error
    }
}

impl Entry {
    /// The result of a call, from the cells that it left. No result is 0. Of two cells it is a
    /// number that is equal for equal cells, and differs if one of them does.
    #[cfg(wamr_imports)]
    #[inline]
    pub(crate) fn result(&self, [low, high]: [u32; CELLS]) -> i32 {
        let cell = match self.gives {
            1 => low,
            0 => 0,
            // The factor is odd, so no two high cells give the same.
            _ => low ^ high.wrapping_mul(0x9e37_79b1),
        };
        cell.cast_signed()
    }

    /// The result of a call, which is one cell.
    #[cfg(not(wamr_imports))]
    #[inline]
    pub(crate) fn result(&self, [cell]: [u32; CELLS]) -> i32 {
        cell.cast_signed()
    }
}

/// WAMR's instance, destroyed when dropped.
#[derive(Debug)]
pub(crate) struct Handle(pub(crate) NonNull<sys::WASMModuleInstanceCommon>);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: from an instantiation, destroyed here only, before its module, which
        // `Instance` borrows. No call is in it: a call borrows the instance.
        unsafe { sys::wasm_runtime_deinstantiate(self.0.as_ptr()) };
    }
}

impl Handle {
    /// Runs the start function, which the load took out of WAMR's sight.
    #[cfg(wamr_own_start)]
    fn run_start(
        &self,
        module: &Module<'_>,
        stack: Bytes,
        budget: Option<u32>,
    ) -> Result<(), Error> {
        let Some(start) = module.start else { return Ok(()) };
        let missing = || Error::new(ErrorKind::Engine, "the start function is not there");
        self.run(self.function_at(start).ok_or_else(missing)?, stack, budget)
    }

    /// Runs a function of this instance that takes and gives nothing, on a stack of its own.
    #[cfg(wamr_own_start)]
    fn run(
        &self,
        function: NonNull<sys::WASMFunctionInstanceCommon>,
        stack: Bytes,
        budget: Option<u32>,
    ) -> Result<(), Error> {
        let instance = self.0.as_ptr();
        let _thread = Thread::prepare()?;
        let watch = MEMORY.watch();
        // SAFETY: the instance lives until the environment is destroyed below. The size is not 0.
        let environment = unsafe { sys::wasm_runtime_create_exec_env(instance, stack.0.max(1)) };
        let Some(environment) = NonNull::new(environment) else {
            let bytes = watch.failed().unwrap_or(stack.0);
            return Err(failure::out_of_memory(bytes, "for the stack of the start function"));
        };
        #[cfg(wamr_metering)]
        {
            let limit = budget.map_or(-1, |limit| i32::try_from(limit).unwrap_or(i32::MAX));
            // SAFETY: the environment was made above.
            unsafe {
                sys::wasm_runtime_set_instruction_count_limit(environment.as_ptr(), limit);
            }
        }
        #[cfg(not(wamr_metering))]
        let _ = budget;
        let mut cell = 0_u32;
        // SAFETY: the environment was made on this thread, of this instance, and nobody else has
        // either. The function takes and gives nothing: WAMR checks that of a start function,
        // and the caller of any other. So no cell is read or written. The environment is
        // destroyed here only, with no call on it.
        let done = unsafe {
            let done = sys::wasm_runtime_call_wasm(
                environment.as_ptr(),
                function.as_ptr(),
                0,
                &raw mut cell,
            );
            sys::wasm_runtime_destroy_exec_env(environment.as_ptr());
            done
        };
        if done {
            return Ok(());
        }
        // SAFETY: the instance lives, and no other thread knows it.
        let text = unsafe { sys::wasm_runtime_get_exception(instance) };
        if text.is_null() {
            return Err(Error::new(ErrorKind::Engine, "WAMR refused the start function"));
        }
        // SAFETY: the exception's text is a C string inside the instance, which lives.
        Err(failure::exception(unsafe { CStr::from_ptr(text) }.to_bytes()))
    }

    fn new(module: &Module<'_>, stack: Bytes) -> Result<Self, Error> {
        let mut text = failure::Buffer::new();
        let (error, error_size) = text.parts();
        let watch = MEMORY.watch();
        MEMORY.trace.note_instance();
        // SAFETY: the module is loaded and stays so, because its instance borrows it.
        // Instantiation does not write its bytes, so several threads may do this at the same
        // time (see `Module`'s `Sync`). The guest gets no heap. WAMR reads a stack of 0 as
        // 12 KiB, not as none. `error` is writable in that size.
        let handle = unsafe {
            sys::wasm_runtime_instantiate(
                module.handle().as_ptr(),
                stack.0.max(1),
                0,
                error,
                error_size,
            )
        };
        match NonNull::new(handle) {
            Some(handle) => Ok(Self(handle)),
            None => Err(text.instantiate_error(&watch)),
        }
    }

    /// Keeps in the instance what its calls enter: a function of its own, with the cells of its
    /// arguments and of its result.
    fn enters(
        &self,
        function: NonNull<sys::WASMFunctionInstanceCommon>,
        cells: u32,
        #[cfg_attr(not(wamr_imports), expect(unused_variables))] gives: u32,
    ) {
        let note = cells;
        #[cfg(wamr_imports)]
        let note = note | gives << GIVES;
        // SAFETY: the instance lives, is of bytecode, and has the function. The words are WAMR's
        // to reserve, and it neither reads nor writes them.
        unsafe { sys::wramp_wamr_set_entry(self.0.as_ptr(), function.as_ptr(), note) };
    }

    /// The function with that index, counted with the imported ones.
    #[cfg(wamr_own_start)]
    fn function_at(&self, index: u32) -> Option<NonNull<sys::WASMFunctionInstanceCommon>> {
        // SAFETY: the instance lives, and is of bytecode: nothing else is ever loaded.
        NonNull::new(unsafe { sys::wramp_wamr_function(self.0.as_ptr(), index) })
    }

    /// How many parameters and results a function of this instance has.
    #[cfg(wamr_imports)]
    fn counts(&self, function: NonNull<sys::WASMFunctionInstanceCommon>) -> (u32, u32) {
        let (instance, function) = (self.0.as_ptr(), function.as_ptr());
        // SAFETY: a function of a live instance.
        unsafe {
            (
                sys::wasm_func_get_param_count(function, instance),
                sys::wasm_func_get_result_count(function, instance),
            )
        }
    }

    #[cfg(wamr_imports)]
    fn takes_and_gives_nothing(&self, function: NonNull<sys::WASMFunctionInstanceCommon>) -> bool {
        self.counts(function) == (0, 0)
    }

    /// The cells of the result, if the function takes `cells` i32 and gives one number or none.
    #[cfg(wamr_imports)]
    fn result_cells(
        &self,
        function: NonNull<sys::WASMFunctionInstanceCommon>,
        cells: u32,
    ) -> Result<u32, Error> {
        let instance = self.0.as_ptr();
        let (takes, gives) = self.counts(function);
        let (mut parameter, mut result) = (sys::WASM_I32, sys::WASM_I32);
        if takes == 1 {
            // SAFETY: one parameter, so one kind is written.
            unsafe {
                sys::wasm_func_get_param_types(function.as_ptr(), instance, &raw mut parameter);
            };
        }
        if gives == 1 {
            // SAFETY: one result, so one kind is written.
            unsafe {
                sys::wasm_func_get_result_types(function.as_ptr(), instance, &raw mut result);
            };
        }
        match (gives, result) {
            _ if takes != cells || parameter != sys::WASM_I32 => {}
            (0, _) => return Ok(0),
            (1, sys::WASM_I32 | sys::WASM_F32) => return Ok(1),
            (1, sys::WASM_I64 | sys::WASM_F64) => return Ok(2),
            _ => {}
        }
        Err(failure::error(
            ErrorKind::Signature,
            format_args!(
                "expected {cells} i32 and one number or none; the export takes {takes} and gives {gives}"
            ),
        ))
    }

    fn function(&self, name: &CStr) -> Option<NonNull<sys::WASMFunctionInstanceCommon>> {
        // SAFETY: the instance lives, `name` is a C string, and WAMR keeps neither. The
        // function is part of the instance and lives as long.
        NonNull::new(unsafe { sys::wasm_runtime_lookup_function(self.0.as_ptr(), name.as_ptr()) })
    }

    /// The cells of the arguments, if the function has that signature.
    fn check_signature(
        &self,
        function: NonNull<sys::WASMFunctionInstanceCommon>,
        parameters: Parameters,
    ) -> Result<u32, Error> {
        let (instance, function) = (self.0.as_ptr(), function.as_ptr());
        let wanted: u32 = match parameters {
            Parameters::None => 0,
            Parameters::I32 => 1,
        };
        // SAFETY: a function of a live instance.
        let (takes, gives) = unsafe {
            (
                sys::wasm_func_get_param_count(function, instance),
                sys::wasm_func_get_result_count(function, instance),
            )
        };
        let (mut parameter, mut result) = (sys::WASM_I32, !sys::WASM_I32);
        if takes == wanted && takes == 1 {
            // SAFETY: one parameter, so one kind is written.
            unsafe { sys::wasm_func_get_param_types(function, instance, &raw mut parameter) };
        }
        if gives == 1 {
            // SAFETY: one result, so one kind is written.
            unsafe { sys::wasm_func_get_result_types(function, instance, &raw mut result) };
        }
        if takes == wanted && parameter == sys::WASM_I32 && result == sys::WASM_I32 {
            return Ok(wanted);
        }
        let expected = match parameters {
            Parameters::None => "() -> i32",
            Parameters::I32 => "(i32) -> i32",
        };
        Err(failure::error(
            ErrorKind::Signature,
            format_args!(
                "expected {expected}; the export takes {takes} and gives {gives} values, \
                 or other types"
            ),
        ))
    }
}

fn no_export(name: &str) -> Error {
    failure::error(ErrorKind::NoExport, format_args!("the module exports no function `{name}`"))
}

/// The text as C has it. `None` if it is too long or contains a NUL.
fn c_string<'b>(text: &str, buffer: &'b mut [u8; EXPORT_BYTES + 1]) -> Option<&'b CStr> {
    buffer.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    CStr::from_bytes_with_nul(buffer.get(..=text.len())?).ok()
}

const _: () = assert!(size_of::<c_char>() == size_of::<u8>());
