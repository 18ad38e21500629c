//! How WAMR reaches the arena: through plain functions, so through one static.

use core::cell::UnsafeCell;
use core::ffi::{c_uint, c_void};
use core::ptr::{self, NonNull};

use wramp_arena::{Arena, ArenaStats, Script, Watched};
use wramp_wamr_sys as sys;

/// Events of an instance's start that the trace holds, 8 bytes each on 32 bits. A start has
/// about ten, five modules side by side have 51, and a start that loads a module of its own has
/// up to some hundred. The build says how many.
const EVENTS: usize = match usize::from_str_radix(env!("WRAMP_TRACE_EVENTS"), 10) {
    Ok(events) => events,
    Err(_) => panic!("WRAMP_TRACE_EVENTS is not a number"),
};

/// The arena of the one engine, and the trace of its use.
pub(crate) static MEMORY: Watched<Current, EVENTS> = Watched::new(Current::none());

/// The arena of the current engine.
pub(crate) struct Current(UnsafeCell<Option<&'static dyn Arena>>);

// SAFETY: only `set` writes the cell. Its callers make sure that nobody reads it meanwhile, and
// that every later reader reads after the write: threads that call WAMR have an engine, and
// they received it after it was made.
unsafe impl Sync for Current {}

impl Current {
    const fn none() -> Self {
        Self(UnsafeCell::new(None))
    }

    fn get(&self) -> Option<&'static dyn Arena> {
        // SAFETY: nobody writes while WAMR is in use. See `Sync`.
        unsafe { *self.0.get() }
    }
}

/// Makes `arena` the one that WAMR allocates from.
///
/// # Safety
/// 1. No other thread is in WAMR or in this module, now or before it receives the engine that
///    this is for.
/// 2. The arena outlives every use of WAMR, up to the next call of this function.
pub(crate) unsafe fn set(arena: Option<&dyn Arena>) {
    // SAFETY: this only changes the lifetime. By 2 nobody relies on it for longer.
    let arena: Option<&'static dyn Arena> = unsafe { core::mem::transmute(arena) };
    // SAFETY: `MEMORY` holds one `Current`. By 1 nobody reads it now.
    unsafe { *MEMORY.arena().0.get() = arena };
}

// SAFETY: every method forwards to the arena inside, which has the same duties. Without an
// arena there is no room.
unsafe impl Arena for Current {
    fn allocate(&self, bytes: u32) -> Option<NonNull<u8>> {
        self.get()?.allocate(bytes)
    }

    unsafe fn reallocate(&self, block: NonNull<u8>, bytes: u32) -> Option<NonNull<u8>> {
        // SAFETY: the caller's duty is the same.
        unsafe { self.get()?.reallocate(block, bytes) }
    }

    unsafe fn free(&self, block: NonNull<u8>) {
        if let Some(arena) = self.get() {
            // SAFETY: the caller's duty is the same.
            unsafe { arena.free(block) }
        }
    }

    fn stats(&self) -> ArenaStats {
        self.get().map_or_else(ArenaStats::default, |arena| arena.stats())
    }

    fn reset_low_water(&self) {
        if let Some(arena) = self.get() {
            arena.reset_low_water();
        }
    }

    fn replay(&self, script: Script<'_>, most: u32) -> u32 {
        self.get().map_or(0, |arena| arena.replay(script, most))
    }

    fn corrupt(&self) -> u32 {
        self.get().map_or(0, |arena| arena.corrupt())
    }
}

/// The functions that WAMR allocates with.
pub(crate) fn functions() -> sys::MemAllocFunctions {
    sys::MemAllocFunctions { malloc, realloc, free, user_data: ptr::null_mut() }
}

fn pointer(block: Option<NonNull<u8>>) -> *mut c_void {
    block.map_or(ptr::null_mut(), NonNull::as_ptr).cast()
}

/// C's `malloc`, but never null for 0 bytes.
unsafe extern "C" fn malloc(size: c_uint) -> *mut c_void {
    pointer(MEMORY.allocate(size))
}

/// C's `realloc`.
///
/// # Safety
/// 1. `block` is null or a live block of the arena.
unsafe extern "C" fn realloc(block: *mut c_void, size: c_uint) -> *mut c_void {
    pointer(match NonNull::new(block.cast()) {
        // SAFETY: live by duty 1, because it is not null.
        Some(block) => unsafe { MEMORY.reallocate(block, size) },
        None => MEMORY.allocate(size),
    })
}

/// C's `free`.
///
/// # Safety
/// 1. `block` is null or a live block of the arena.
unsafe extern "C" fn free(block: *mut c_void) {
    if let Some(block) = NonNull::new(block.cast()) {
        // SAFETY: live by duty 1, because it is not null.
        unsafe { MEMORY.free(block) };
    }
}
