//! The seam to an allocator: blocks for an engine, figures for the bench.

use core::ptr::NonNull;

use crate::{ArenaStats, Script};

/// The memory of one engine.
///
/// # Safety
///
/// An engine is C code that writes to what it gets, from several threads. An implementation
/// must see to it that:
///
/// 1. a block holds at least the bytes asked for, is aligned to 8, and shares no byte with
///    another live block;
/// 2. a block stays where it is until it is freed or reallocated, or until the arena is
///    dropped; to move the arena does not move its blocks;
/// 3. every method may be called from any thread at any time;
/// 4. no method unwinds: the caller is C, and a panic there ends the process;
/// 5. no method calls into the engine.
pub unsafe trait Arena: Sync {
    /// A block of so many bytes; 0 counts as 1. `None` if there is no room.
    fn allocate(&self, bytes: u32) -> Option<NonNull<u8>>;

    /// The block in another size, at another place. Keeps its bytes up to the smaller of
    /// the two sizes. `None` if there is no room, and then the old block stays as it was.
    ///
    /// MUST allocate the new block before it frees the old one: [`Watched`](crate::Watched)
    /// notes it so, and a replay repeats what was noted.
    ///
    /// # Safety
    /// 1. `block` is a live block of this arena.
    unsafe fn reallocate(&self, block: NonNull<u8>, bytes: u32) -> Option<NonNull<u8>>;

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `block` is a live block of this arena.
    unsafe fn free(&self, block: NonNull<u8>);

    /// The figures now.
    fn stats(&self) -> ArenaStats;

    /// Lets the low-water mark start again from what is free now.
    fn reset_low_water(&self);

    /// How many more instances fit, up to `most`, if each starts as the script says. See
    /// [`replay`](crate::replay()), which does this for every [`RawHeap`](crate::RawHeap).
    ///
    /// MUST do all of it under one lock, and MUST leave every figure as it was.
    fn replay(&self, script: Script<'_>, most: u32) -> u32;

    /// Blocks that came back with a header that someone had overwritten. They are not
    /// given again. 0 where the allocator does not look.
    fn corrupt(&self) -> u32 {
        0
    }
}

// SAFETY: all duties are those of the arena behind the reference, to which every method goes.
unsafe impl<A: Arena + ?Sized> Arena for &A {
    fn allocate(&self, bytes: u32) -> Option<NonNull<u8>> {
        (**self).allocate(bytes)
    }

    unsafe fn reallocate(&self, block: NonNull<u8>, bytes: u32) -> Option<NonNull<u8>> {
        // SAFETY: the caller's duty is the same.
        unsafe { (**self).reallocate(block, bytes) }
    }

    unsafe fn free(&self, block: NonNull<u8>) {
        // SAFETY: the caller's duty is the same.
        unsafe { (**self).free(block) }
    }

    fn stats(&self) -> ArenaStats {
        (**self).stats()
    }

    fn reset_low_water(&self) {
        (**self).reset_low_water();
    }

    fn replay(&self, script: Script<'_>, most: u32) -> u32 {
        (**self).replay(script, most)
    }

    fn corrupt(&self) -> u32 {
        (**self).corrupt()
    }
}

// C callbacks keep an arena behind a plain pointer, so the trait must stay usable as `dyn`.
const _: Option<&dyn Arena> = None;
