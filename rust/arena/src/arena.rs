//! The seam to an allocator: blocks for an engine, figures for the bench.

use core::ptr::NonNull;

use crate::{ArenaStats, Script};

/// The memory of one engine.
///
/// # Safety
///
/// An engine is C code that writes to the blocks it gets, from several threads. An
/// implementation must guarantee that:
///
/// 1. a block holds at least the bytes asked for, is aligned to 8, and shares no byte with
///    another live block;
/// 2. a block stays where it is until it is freed or reallocated, or until the arena is
///    dropped; moving the arena does not move its blocks;
/// 3. every method may be called from any thread at any time;
/// 4. no method unwinds: the caller is C, and a panic there ends the process;
/// 5. no method calls into the engine.
pub unsafe trait Arena: Sync {
    /// Allocates a block of `bytes` bytes; 0 counts as 1. `None` if there is no room.
    fn allocate(&self, bytes: u32) -> Option<NonNull<u8>>;

    /// Moves the contents of a block to a new block of `bytes` bytes and frees the old one.
    /// The new block keeps the contents up to the smaller of the two sizes. `None` if there is
    /// no room; the old block then stays as it was.
    ///
    /// MUST allocate the new block before it frees the old one. [`Watched`](crate::Watched)
    /// records the two steps in this order, and a replay repeats what was recorded.
    ///
    /// # Safety
    /// 1. `block` is a live block of this arena.
    unsafe fn reallocate(&self, block: NonNull<u8>, bytes: u32) -> Option<NonNull<u8>>;

    /// Frees a block.
    ///
    /// # Safety
    /// 1. `block` is a live block of this arena.
    unsafe fn free(&self, block: NonNull<u8>);

    /// The current figures.
    fn stats(&self) -> ArenaStats;

    /// Sets the low-water mark to the bytes that are free now.
    fn reset_low_water(&self);

    /// How many more instances fit, up to `most`, if each starts as the script says.
    /// [`replay`](crate::replay()) implements this for every [`RawHeap`](crate::RawHeap).
    ///
    /// MUST hold one lock throughout, and MUST leave every figure as it was.
    fn replay(&self, script: Script<'_>, most: u32) -> u32;

    /// How many blocks came back with an overwritten header. The arena never reuses them.
    /// 0 if the allocator does not check.
    fn corrupt(&self) -> u32 {
        0
    }

    // A feature, because a firmware has a table of these methods and no use for this one.
    /// The region, `None` where the arena does not say. Every block lies in it and begins behind
    /// its first byte, and nothing else that lives lies in it. The pointer may reach all of it.
    #[cfg(feature = "region")]
    fn region(&self) -> Option<NonNull<[u8]>> {
        None
    }
}

// SAFETY: every method calls the arena behind the reference, which fulfils all duties.
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

    #[cfg(feature = "region")]
    fn region(&self) -> Option<NonNull<[u8]>> {
        (**self).region()
    }
}

// C callbacks keep an arena behind a plain pointer, so the trait must stay usable as `dyn`.
const _: Option<&dyn Arena> = None;
