//! The same memory for an engine written in C, which the build tells to call these functions.
//!
//! C does not say how large a block is when it gives it back. The arena knows that, and so does
//! the system's own C library, which is the reserve here.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use crate::allocator::free as free_block;
use crate::session::TRACE;
use crate::space;
use crate::thread;

unsafe extern "C" {
    #[link_name = "calloc"]
    fn system_calloc(count: usize, size: usize) -> *mut c_void;
    #[link_name = "realloc"]
    fn system_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    #[link_name = "free"]
    fn system_free(block: *mut c_void);
}

/// Room in the arena, noted where the thread notes.
fn take(bytes: usize) -> Option<NonNull<u8>> {
    let bytes = u32::try_from(bytes).ok()?;
    thread::this(|thread| {
        if !thread.visit.get().inside {
            return None;
        }
        // SAFETY: a thread inside an engine has a session that is not over.
        let block = unsafe { space::current()?.arena() }.allocate(bytes)?;
        if thread.noting.get() {
            TRACE.taken(block, bytes);
        }
        Some(block)
    })
}

/// Whether the reserve serves so many bytes to this thread. Outside an engine there is nothing
/// to serve.
fn granted(bytes: usize) -> bool {
    thread::this(|thread| {
        let mut visit = thread.visit.get();
        let granted = visit.inside && visit.grant(bytes);
        thread.visit.set(visit);
        granted
    })
}

/// C's `calloc`.
#[must_use]
pub fn calloc(count: usize, size: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else { return ptr::null_mut() };
    if let Some(block) = take(bytes) {
        // SAFETY: a fresh block of at least that many bytes, which nobody else has.
        unsafe { block.write_bytes(0, bytes) };
        return block.as_ptr().cast();
    }
    if !granted(bytes) {
        return ptr::null_mut();
    }
    // SAFETY: C's own function takes any sizes.
    let block = unsafe { system_calloc(count, size) };
    space::given_by_the_system(block.cast(), bytes);
    block
}

/// C's `realloc`.
///
/// # Safety
/// 1. `block` is null, or live and from this module.
pub unsafe fn realloc(block: *mut c_void, bytes: usize) -> *mut c_void {
    if block.is_null() {
        return calloc(1, bytes);
    }
    let Some(space) = space::of(block.cast()) else {
        if !granted(bytes) {
            return ptr::null_mut();
        }
        // SAFETY: it lies in no open space, so by 1 it is the system's.
        let new = unsafe { system_realloc(block, bytes) };
        space::given_by_the_system(new.cast(), bytes);
        return new;
    };
    let (Ok(wanted), Some(old)) = (u32::try_from(bytes), space.block(block.cast())) else {
        return ptr::null_mut();
    };
    // SAFETY: by 1 it is live, and it lies in the open space, so it is its arena's.
    let new = unsafe { space.arena().reallocate(old, wanted) };
    thread::this(|thread| match new {
        Some(new) => {
            if thread.noting.get() {
                // The arena takes the new block before it gives the old one back.
                TRACE.taken(new, wanted);
                TRACE.given(old);
            }
            new.as_ptr().cast()
        }
        None => {
            // The old size is the arena's secret, so there is nothing to copy into a block of the
            // reserve. C engines can deal with a null here.
            let mut visit = thread.visit.get();
            visit.refuse(bytes);
            thread.visit.set(visit);
            ptr::null_mut()
        }
    })
}

/// C's `free`.
///
/// # Safety
/// 1. `block` is null, or live and from this module.
pub unsafe fn free(block: *mut c_void) {
    match space::of(block.cast()).and_then(|space| Some((space, space.block(block.cast())?))) {
        // SAFETY: by 1 it is live, and it lies in the open space, so it is its arena's.
        Some((space, at)) => thread::this(|thread| unsafe { free_block(thread, space, at) }),
        // SAFETY: it is null, or it lies in no open space, so by 1 it is the system's.
        None => unsafe { system_free(block) },
    }
}
