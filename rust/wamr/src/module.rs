//! A loaded module, and the copy of its bytes that WAMR needs.

#[cfg(not(wamr_in_place))]
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;

use wramp_core::runtime::{Error, ErrorKind, Message};
use wramp_wamr_sys as sys;

use crate::binary;
use crate::engine::Engine;
use crate::failure;
use crate::memory::MEMORY;

/// A loaded module. Instances borrow it.
#[derive(Debug)]
pub struct Module<'r> {
    handle: Handle,
    // The bytes follow the handle. Fields are dropped in this order, and WAMR reads the bytes
    // until the unload.
    #[cfg(not(wamr_in_place))]
    _bytes: Block,
    /// The index of the start function. WAMR does not know of it any more.
    #[cfg(wamr_own_start)]
    pub(crate) start: Option<u32>,
    _engine: PhantomData<&'r ()>,
}

// SAFETY: `Handle` and `Block` name memory of the arena that belongs to no particular thread.
// WAMR unloads, and the arena frees, on any thread.
unsafe impl Send for Module<'_> {}

// SAFETY: `&Module` serves to instantiate, to compare addresses and to run code. A load
// finishes before there is a `Module`. After it, WAMR's instantiation and interpreters read the
// loaded module and the module's bytes and write neither. The only writers are the debugger's
// and the compilers' instance lists, which are not compiled. What instantiation allocates
// belongs to the instance, and any thread may use the arena.
unsafe impl Sync for Module<'_> {}

impl<'r> Module<'r> {
    pub(crate) fn load(_engine: &'r Engine<'_>, bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |text| Error::new(ErrorKind::Malformed, text);
        // WAMR must not decide this. If AOT is compiled in, it would take the bytes for code of
        // this machine and run them.
        binary::header(bytes).map_err(|why| malformed(why.as_str()))?;
        let imports = binary::first_import(bytes);
        if let Ok(Some(import)) = imports {
            let text = |name| Message::from_bytes(name);
            return Err(failure::error(
                ErrorKind::Import,
                format_args!("the module imports {}.{}", text(import.module), text(import.name)),
            ));
        }
        let module = Self::load_checked(bytes)?;
        match imports {
            // WAMR refuses what this reader cannot read, in its own words. This line is
            // therefore reached only if the two differ, and then nobody knows the imports.
            Err(why) => Err(malformed(why.as_str())),
            Ok(_) => Ok(module),
        }
    }

    /// Loads a module whose imports the caller knows.
    fn load_checked(bytes: &[u8]) -> Result<Self, Error> {
        #[cfg(wamr_const_overflow)]
        binary::check_constants(bytes)?;
        let malformed = |text| Error::new(ErrorKind::Malformed, text);
        let size = u32::try_from(bytes.len()).map_err(|_| malformed("a module beyond 4 GiB"))?;
        Self::load_bytes(bytes, size)
    }

    /// Loads a module and links its imports to the host.
    #[cfg(wamr_imports)]
    pub(crate) fn load_linked(
        _engine: &'r Engine<'_>,
        bytes: &[u8],
        links: &dyn wramp_core::host::Links,
    ) -> Result<Self, Error> {
        // As in `load`.
        binary::header(bytes).map_err(|why| Error::new(ErrorKind::Malformed, why.as_str()))?;
        let module = Self::load_checked(bytes)?;
        crate::imports::link(module.handle(), links)?;
        Ok(module)
    }

    /// The fast interpreter makes its own code. WAMR copies the names and the data that it
    /// needs later, because it is told that the bytes go away.
    #[cfg(wamr_in_place)]
    fn load_bytes(bytes: &[u8], size: u32) -> Result<Self, Error> {
        let args = sys::LoadArgs {
            name: c"".as_ptr(),
            clone_wasm_binary: false,
            wasm_binary_freeable: true,
            no_resolve: false,
        };
        let mut text = failure::Buffer::new();
        let (error, error_size) = text.parts();
        let watch = MEMORY.watch();
        // SAFETY: an `Engine` exists, so WAMR is initialised. `bytes` are readable for the
        // call. WAMR takes them as mutable. But with `wasm_binary_freeable` it does not move
        // names in them, and it rewrites code only for the classic interpreter, so it does not
        // write them (tests load from `.rodata`). For the same reason it keeps no pointer into
        // them (tests overwrite them after the load). `error` is writable in that size. Loads
        // on several threads share no state but a pointer to a table of labels, which each of
        // them sets to the same value.
        let handle = unsafe {
            sys::wasm_runtime_load_ex(bytes.as_ptr().cast_mut(), size, &args, error, error_size)
        };
        let Some(handle) = NonNull::new(handle) else { return Err(text.load_error(&watch)) };
        let handle = Handle(handle);
        Ok(Self {
            #[cfg(wamr_own_start)]
            start: handle.take_start(),
            handle,
            _engine: PhantomData,
        })
    }

    /// The other interpreters rewrite the bytes, and read them while they run.
    #[cfg(not(wamr_in_place))]
    fn load_bytes(bytes: &[u8], size: u32) -> Result<Self, Error> {
        let watch = MEMORY.watch();
        let Some(copy) = Block::copy_of(bytes, size) else {
            return Err(failure::out_of_memory(size, "to copy the module"));
        };
        let mut text = failure::Buffer::new();
        let (error, error_size) = text.parts();
        // SAFETY: an `Engine` exists, so WAMR is initialised. `copy` has `size` bytes, is ours
        // to write, and stays until after the unload, because `Module` drops it last. `error`
        // is writable in that size. Loads on several threads share no state but, in the fast
        // interpreter, a pointer to a table of labels, which each of them sets to the same
        // value.
        let handle =
            unsafe { sys::wasm_runtime_load(copy.0.as_ptr().cast(), size, error, error_size) };
        let Some(handle) = NonNull::new(handle) else { return Err(text.load_error(&watch)) };
        let handle = Handle(handle);
        Ok(Self {
            #[cfg(wamr_own_start)]
            start: handle.take_start(),
            handle,
            _bytes: copy,
            _engine: PhantomData,
        })
    }

    /// WAMR's module. It is also its identity, because no two live modules have the same
    /// address.
    pub(crate) fn handle(&self) -> NonNull<sys::WASMModuleCommon> {
        self.handle.0
    }
}

#[derive(Debug)]
struct Handle(NonNull<sys::WASMModuleCommon>);

#[cfg(wamr_own_start)]
impl Handle {
    /// Takes the start function out of the module. WAMR would run it without a limit, and
    /// before the instance has a host.
    fn take_start(&self) -> Option<u32> {
        // SAFETY: the module lives, is of bytecode (nothing else is ever loaded), and nobody else
        // knows it yet.
        let start = unsafe { sys::wramp_wamr_take_start(self.0.as_ptr()) };
        (start != u32::MAX).then_some(start)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is from a load and is unloaded here only. The engine still exists,
        // because `Module` borrows it. Instances and stacks do not, because they borrow
        // `Module`.
        unsafe { sys::wasm_runtime_unload(self.0.as_ptr()) };
    }
}

/// A block of the arena.
#[cfg(not(wamr_in_place))]
#[derive(Debug)]
struct Block(NonNull<c_void>);

#[cfg(not(wamr_in_place))]
impl Block {
    fn copy_of(bytes: &[u8], size: u32) -> Option<Self> {
        // SAFETY: called with an `Engine` at hand, so WAMR is initialised.
        let block = NonNull::new(unsafe { sys::wasm_runtime_malloc(size) })?;
        // SAFETY: `size` is the length of `bytes`, and the arena gave that many bytes,
        // which nobody else has.
        unsafe {
            block.cast::<u8>().copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len())
        };
        Some(Self(block))
    }
}

#[cfg(not(wamr_in_place))]
impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: from wasm_runtime_malloc, freed here only, while `Module` still
        // borrows the engine.
        unsafe { sys::wasm_runtime_free(self.0.as_ptr()) };
    }
}
