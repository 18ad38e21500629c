//! A block of an arena as bytes, for what a machine keeps there beside the engine.

use core::fmt;
use core::ptr::NonNull;
use core::slice;

use crate::Arena;

/// Runs `work` with one block of so many bytes, all zero, and gives the block back, also if
/// `work` unwinds. `None` if the arena has no such block.
pub fn lend<R>(arena: &dyn Arena, bytes: u32, work: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
    Block::new(arena, bytes).map(|mut block| work(block.as_mut()))
}

/// A block of an arena that belongs to its owner. A drop gives it back.
pub struct Block<'a> {
    at: NonNull<u8>,
    bytes: usize,
    arena: &'a dyn Arena,
}

// SAFETY: a block is memory that only its owner knows, and any thread may free it: an arena is
// `Sync`.
unsafe impl Send for Block<'_> {}
// SAFETY: a shared block can only be read.
unsafe impl Sync for Block<'_> {}

impl<'a> Block<'a> {
    /// A block of so many bytes, all zero. `None` if the arena has no such block.
    pub fn new(arena: &'a dyn Arena, bytes: u32) -> Option<Self> {
        let at = arena.allocate(bytes)?;
        // SAFETY: the block has that many bytes, which nobody else knows of.
        unsafe { at.write_bytes(0, bytes as usize) };
        Some(Self { at, bytes: bytes as usize, arena })
    }
}

impl AsRef<[u8]> for Block<'_> {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the block has that many bytes, written in `new`, and fewer than half of the
        // address space. It lives as long as `self`, and only `self` reaches it.
        unsafe { slice::from_raw_parts(self.at.as_ptr(), self.bytes) }
    }
}

impl AsMut<[u8]> for Block<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_ref`, and `&mut self` makes this the only reference.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr(), self.bytes) }
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // SAFETY: allocated from this arena in `new`, freed here only. Every slice over it
        // borrowed `self`.
        unsafe { self.arena.free(self.at) };
    }
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
