//! A block of an arena as bytes, for what a machine keeps there beside the engine.

use core::ptr::NonNull;
use core::slice;

use crate::Arena;

/// Runs `work` with one block of so many bytes, all zero, and gives the block back, also if
/// `work` unwinds. `None` if the arena has no such block.
pub fn lend<R>(arena: &dyn Arena, bytes: u32, work: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
    let block = Block { at: arena.allocate(bytes)?, arena };
    // SAFETY: the block has that many bytes, which nobody else knows of, and they are written
    // before there is a slice. A block is smaller than half of the address space.
    let region = unsafe {
        block.at.write_bytes(0, bytes as usize);
        slice::from_raw_parts_mut(block.at.as_ptr(), bytes as usize)
    };
    Some(work(region))
}

struct Block<'a> {
    at: NonNull<u8>,
    arena: &'a dyn Arena,
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // SAFETY: allocated from this arena in `lend`, freed here only. The slice over it ended
        // with the call of `work`, whose result cannot borrow it.
        unsafe { self.arena.free(self.at) };
    }
}
