//! Where all of the engine's memory comes from, and how WAMR reaches it.

use core::ffi::{c_uint, c_void};
use core::sync::atomic::{AtomicU32, Ordering};

use wramp_wamr_sys as sys;

/// The one arena of an engine. Functions and no value, for WAMR keeps plain
/// function pointers in global variables.
///
/// # Safety
///
/// WAMR writes to what it gets, from several threads, so an implementation must
/// see to it that:
///
/// 1. a block has at least the size asked for, is aligned to 8 bytes, shares no
///    byte with another live block, and stays until it is freed or reallocated;
/// 2. every function may be called from any thread at any time;
/// 3. no function unwinds, or calls into the engine.
pub unsafe trait Arena {
    /// A block of `size` bytes, never asked for 0; null if there is none.
    fn malloc(size: u32) -> *mut u8;

    /// The block in another size, its bytes kept up to the smaller of the two. Null
    /// if there is no room, and then the old block stays as it was.
    ///
    /// # Safety
    /// 1. `block` is a live block of this arena; `size` is not 0.
    unsafe fn realloc(block: *mut u8, size: u32) -> *mut u8;

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `block` is a live block of this arena.
    unsafe fn free(block: *mut u8);
}

/// How often the arena had no block, and how many bytes it was asked for last.
/// WAMR says "allocate memory failed" in some places and other things in others;
/// that the arena was asked in vain is certain.
///
/// Loads and stores only, since some targets have no compare-and-swap, so that of
/// several failures at once some may not be counted. Then WAMR's words decide.
static FAILURES: AtomicU32 = AtomicU32::new(0);
static LAST_BYTES: AtomicU32 = AtomicU32::new(0);

/// Watches for an allocation that fails.
pub(crate) struct Watch {
    failures: u32,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self { failures: FAILURES.load(Ordering::Relaxed) }
    }

    /// The size of the block that was not to be had. Another thread's failure counts
    /// too: the arena is one.
    pub(crate) fn failed(&self) -> Option<u32> {
        (FAILURES.load(Ordering::Relaxed) != self.failures)
            .then(|| LAST_BYTES.load(Ordering::Relaxed))
    }
}

fn noted(block: *mut u8, size: u32) -> *mut c_void {
    if block.is_null() {
        LAST_BYTES.store(size, Ordering::Relaxed);
        FAILURES.store(FAILURES.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
    block.cast()
}

/// The arena as WAMR takes it.
pub(crate) fn functions<A: Arena>() -> sys::MemAllocFunctions {
    sys::MemAllocFunctions {
        malloc: malloc::<A>,
        realloc: realloc::<A>,
        free: free::<A>,
        #[cfg(not(wamr_2020))]
        user_data: core::ptr::null_mut(),
    }
}

/// C's `malloc`, but never null for 0 bytes: the WAMR of 2020 asks for a memory of
/// no pages and takes null for a failure.
unsafe extern "C" fn malloc<A: Arena>(size: c_uint) -> *mut c_void {
    noted(A::malloc(size.max(1)), size)
}

/// C's `realloc`.
///
/// # Safety
/// 1. `block` is null or a live block of the arena.
unsafe extern "C" fn realloc<A: Arena>(block: *mut c_void, size: c_uint) -> *mut c_void {
    if block.is_null() {
        return noted(A::malloc(size.max(1)), size);
    }
    // SAFETY: live by duty 1, for it is not null; at least 1 byte.
    noted(unsafe { A::realloc(block.cast(), size.max(1)) }, size)
}

/// C's `free`.
///
/// # Safety
/// 1. `block` is null or a live block of the arena.
unsafe extern "C" fn free<A: Arena>(block: *mut c_void) {
    if !block.is_null() {
        // SAFETY: live by duty 1, for it is not null.
        unsafe { A::free(block.cast()) };
    }
}
