//! Imports: links them to the host, and takes the guest's calls to it.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;

use wramp_core::host::{Desk, FunctionNumber, Links};
use wramp_core::runtime::{Error, ErrorKind, MESSAGE_BYTES, Message};
use wramp_wamr_sys as sys;

use crate::failure;
use crate::instance::Handle;

/// Links every import of a module that was just loaded.
///
/// # Errors
/// `Import` if one is no function, or none of the host's.
pub(crate) fn link(module: NonNull<sys::WASMModuleCommon>, links: &dyn Links) -> Result<(), Error> {
    let module = module.as_ptr();
    // SAFETY: a loaded module, of bytecode: nothing else is ever loaded.
    let (functions, others) = unsafe {
        (sys::wramp_wamr_imported_functions(module), sys::wramp_wamr_imported_others(module))
    };
    if others > 0 {
        return Err(failure::error(
            ErrorKind::Import,
            format_args!("the module imports {others} memories, tables or globals"),
        ));
    }
    for index in 0..functions {
        let Some(FunctionNumber(number)) = links.link(index) else {
            return Err(failure::error(
                ErrorKind::Import,
                format_args!("the module's import {index} is no function that it may have"),
            ));
        };
        let link = |values: u16| {
            let note = Note { function: number, values };
            // SAFETY: as above, and nobody else has the module yet. `enter` is what WAMR then
            // calls: it takes the arguments as an array. The note is no pointer.
            unsafe { sys::wramp_wamr_link(module, index, enter, note.pack()) }
        };
        // WAMR says how many parameters the import has. Then the note says it as well.
        let values = link(0);
        let values = u16::try_from(values)
            .map_err(|_| Error::new(ErrorKind::Engine, "WAMR has no import of that number"))?;
        link(values);
    }
    Ok(())
}

/// Lets the calls of an instance go to that desk.
///
/// The desk outlives the instance's last call: an instance that is [`linked`] to it borrows both
/// for the same time.
///
/// [`linked`]: crate::Instance::linked
pub(crate) fn seat<'m>(instance: &Handle, desk: &'m Desk<'m>) {
    let desk: *const Desk<'m> = desk;
    // SAFETY: the instance lives, and WAMR only keeps the pointer.
    unsafe { sys::wasm_runtime_set_custom_data(instance.0.as_ptr(), desk.cast_mut().cast()) };
}

/// What an import is linked with: which function of the host, and how many arguments.
#[derive(Clone, Copy)]
struct Note {
    function: u16,
    values: u16,
}

impl Note {
    /// As WAMR keeps it, in the place of a pointer, which has at least 32 bits.
    fn pack(self) -> *mut c_void {
        ptr::without_provenance_mut(usize::from(self.function) | usize::from(self.values) << 16)
    }

    fn unpack(packed: *mut c_void) -> Self {
        let bits = packed.addr();
        Self { function: bits as u16, values: (bits >> 16) as u16 }
    }
}

const _: () = assert!(usize::BITS >= 32);

/// What WAMR calls for every linked import.
///
/// # Safety
/// 1. `environment` is that of the running call of an import that [`link`] has linked.
/// 2. `values` holds its arguments, has room for at least one, and is nobody else's.
unsafe extern "C" fn enter(environment: sys::wasm_exec_env_t, values: *mut u64) {
    let mut caller = sys::Caller {
        memory: ptr::null_mut(),
        memory_bytes: 0,
        desk: ptr::null_mut(),
        attachment: ptr::null_mut(),
    };
    // SAFETY: by duty 1, and `caller` has the layout that the C has.
    unsafe { sys::wramp_wamr_caller(environment, &raw mut caller) };
    let said = match NonNull::new(caller.desk.cast::<Desk<'_>>()) {
        // An export that WAMR runs by itself when it instantiates, such as __wasm_call_ctors.
        None => Err(Message::new("the host was called before the instance was there")),
        Some(desk) => {
            // SAFETY: `seat` has set the pointer, from a reference that lives as long as the
            // instance can be called. See there.
            let desk = unsafe { desk.as_ref() };
            let memory = match NonNull::new(caller.memory) {
                // SAFETY: the instance's linear memory, of that size, which WAMR has zeroed or
                // written. The guest does not run while it waits for this call, no other thread
                // is in the instance, and the host does not call back.
                Some(memory) => unsafe {
                    slice::from_raw_parts_mut(memory.as_ptr(), caller.memory_bytes)
                },
                None => &mut [],
            };
            let Note { function, values: count } = Note::unpack(caller.attachment);
            // SAFETY: by duty 2. `link` has noted how many there are.
            let values = unsafe { slice::from_raw_parts_mut(values, usize::from(count).max(1)) };
            desk.host.call(desk.id, FunctionNumber(function), memory, values)
        }
    };
    if let Err(text) = said {
        // SAFETY: by duty 1.
        unsafe { trap(environment, &text) };
    }
}

/// Ends the guest's call.
///
/// # Safety
/// 1. `environment` is that of a running call.
#[cold]
unsafe fn trap(environment: sys::wasm_exec_env_t, text: &Message) {
    let mut words = [0; MESSAGE_BYTES + 1];
    let text = text.as_str().as_bytes();
    words[..text.len()].copy_from_slice(text);
    // SAFETY: the instance of a running call lives. `words` ends in a NUL, and WAMR copies it.
    unsafe {
        let instance = sys::wasm_runtime_get_module_inst(environment);
        sys::wasm_runtime_set_exception(instance, words.as_ptr().cast());
    }
}
