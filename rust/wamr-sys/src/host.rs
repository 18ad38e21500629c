//! Replaces the part of WAMR's Linux port that would bypass the arena.
//!
//! WAMR maps linear memory with `os_mmap`. On Linux that is `mmap`, which takes pages outside
//! any arena. Under Zephyr it is the runtime's own allocator and a `memset`.
//!
//! A host must need as many bytes as a microcontroller and run out like one. These functions
//! therefore do what Zephyr's port does, and the build leaves out `posix_memmap.c`.

use core::ffi::{c_int, c_uint, c_void};
use core::ptr;

use crate::{wasm_runtime_free, wasm_runtime_malloc};

/// Zeroed memory from the runtime's allocator, or null if there is none.
///
/// # Safety
/// 1. The runtime is initialised.
#[cfg_attr(not(wamr_other), unsafe(no_mangle))]
#[cfg_attr(wamr_other, unsafe(export_name = "wramp_other_os_mmap"))]
unsafe extern "C" fn os_mmap(
    _hint: *mut c_void,
    size: usize,
    _protection: c_int,
    _flags: c_int,
    _file: c_int,
) -> *mut c_void {
    let Ok(request) = c_uint::try_from(size) else { return ptr::null_mut() };
    // SAFETY: initialised, by duty 1.
    let block = unsafe { wasm_runtime_malloc(request) };
    if !block.is_null() {
        // SAFETY: the allocator gave `request` bytes, which is `size` unchanged. Nobody else
        // knows of them yet.
        unsafe { block.write_bytes(0, size) };
    }
    block
}

/// Frees what [`os_mmap`] gave.
///
/// # Safety
/// 1. `block` is null or from [`os_mmap`] or [`os_mremap`], not freed since.
#[cfg_attr(not(wamr_other), unsafe(no_mangle))]
#[cfg_attr(wamr_other, unsafe(export_name = "wramp_other_os_munmap"))]
unsafe extern "C" fn os_munmap(block: *mut c_void, _size: usize) {
    if !block.is_null() {
        // SAFETY: both get their blocks from wasm_runtime_malloc. The block is live by duty 1.
        unsafe { wasm_runtime_free(block) };
    }
}

/// Moves a block to a larger place, zeroes the new part, and frees the old block. If there is
/// no room, the old block stays as it was.
///
/// # Safety
/// 1. `old` is from [`os_mmap`] or [`os_mremap`] and has `old_size` bytes.
#[cfg_attr(not(wamr_other), unsafe(no_mangle))]
#[cfg_attr(wamr_other, unsafe(export_name = "wramp_other_os_mremap"))]
unsafe extern "C" fn os_mremap(old: *mut c_void, old_size: usize, new_size: usize) -> *mut c_void {
    // SAFETY: `old` exists, so the runtime is initialised. No hint, no flags.
    let new = unsafe { os_mmap(ptr::null_mut(), new_size, 0, 0, -1) };
    if !new.is_null() {
        // SAFETY: `old` has `old_size` bytes by duty 1, and `new` has `new_size`. The copy
        // takes the smaller of the two. Two live blocks do not overlap.
        unsafe { ptr::copy_nonoverlapping(old, new, old_size.min(new_size)) };
        // SAFETY: duty 1 here is duty 1 there.
        unsafe { os_munmap(old, old_size) };
    }
    new
}

/// Protects nothing: all of the arena is readable and writable, and never executed.
#[cfg_attr(not(wamr_other), unsafe(no_mangle))]
#[cfg_attr(wamr_other, unsafe(export_name = "wramp_other_os_mprotect"))]
extern "C" fn os_mprotect(_block: *mut c_void, _size: usize, _protection: c_int) -> c_int {
    0
}

/// Nothing to flush: no code is generated.
#[cfg_attr(not(wamr_other), unsafe(no_mangle))]
#[cfg_attr(wamr_other, unsafe(export_name = "wramp_other_os_dcache_flush"))]
extern "C" fn os_dcache_flush() {}

/// Nothing to flush: no code is generated.
#[cfg_attr(not(wamr_other), unsafe(no_mangle))]
#[cfg_attr(wamr_other, unsafe(export_name = "wramp_other_os_icache_flush"))]
extern "C" fn os_icache_flush(_start: *mut c_void, _length: usize) {}
