//! An arena over a borrowed region, with an account that is exact to the byte.
//!
//! Every block has a [`HEADER`], and the two together are rounded up to a [`UNIT`]. A unit
//! is the smallest hole that the allocator can describe, so no byte is ever lost between
//! blocks. On a 32-bit machine the figures equal those of Zephyr's `sys_heap` with blocks
//! aligned to 8.
//!
//! # Allocating a block and freeing it leaves no trace
//!
//! The allocator keeps its holes in order of address and joins a freed block with the holes
//! beside it. So its list of holes is the list of all free intervals, each as large as it can
//! be. The list depends on which blocks are live and on nothing else. A search for the largest
//! block and a replay free every block that they allocate. Afterwards the same blocks are
//! live, the list is the same, and the next allocation gets the same address as without them.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use linked_list_allocator::Heap;
use wramp_core::measure::Bytes;

use crate::{Arena, ArenaStats, Lock, RawHeap, Script, replay};

/// The size of a block, header included, is a multiple of this: two words, the smallest hole
/// that the allocator can describe.
pub const UNIT: usize = 2 * size_of::<usize>();

/// Bytes before every block.
pub const HEADER: usize = size_of::<Header>();

/// The header before a block.
#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    /// The requested size.
    bytes: u32,
    seal: u32,
}

impl Header {
    /// A header whose seal matches this size and this address.
    ///
    /// The seal is odd, so a freed block never seems sealed. Its first words are then a hole's
    /// size and the address of the next hole, or the remains of a hole that joined it.
    fn new(bytes: u32, start: NonNull<u8>) -> Self {
        // Truncation is fine: the seal is a checksum.
        let address = start.addr().get() as u32;
        Self { bytes, seal: ((bytes << 1) ^ address ^ 0xA4E4_A000) | 1 }
    }
}

/// The layout of a block for `bytes` bytes, header included.
///
/// A pointer fits behind the header of even the smallest block: 1 byte and the header make 9
/// bytes, which are rounded up to 16 on both 32 and 64 bits.
fn layout(bytes: u32) -> Option<Layout> {
    let bytes = usize::try_from(bytes.max(1)).ok()?;
    let whole = bytes.checked_add(HEADER)?.checked_next_multiple_of(UNIT)?;
    Layout::from_size_align(whole, UNIT).ok()
}

/// The blocks of a [`FirstFit`] and their account: what its lock guards.
pub struct Blocks<'m> {
    heap: Heap,
    low_water: usize,
    live: u32,
    corrupt: u32,
    region: PhantomData<&'m mut [MaybeUninit<u8>]>,
}

impl<'m> Blocks<'m> {
    fn over(region: &'m mut [MaybeUninit<u8>]) -> Self {
        let skipped = region.as_ptr().align_offset(UNIT);
        let aligned = region.get_mut(skipped..).unwrap_or_default();
        let size = aligned.len() / UNIT * UNIT;
        let mut heap = Heap::empty();
        // An empty heap allocates nothing, which is right for a region that holds no unit.
        if size > 0 {
            // SAFETY: the region is borrowed for 'm, so nothing else uses its bytes. The heap
            // is reached only through `self`, which does not outlive 'm. The region begins at
            // a multiple of UNIT and holds at least one unit, which is what a hole needs.
            unsafe { heap.init(aligned.as_mut_ptr().cast(), size) };
        }
        Self { low_water: heap.free(), heap, live: 0, corrupt: 0, region: PhantomData }
    }

    fn allocate(&mut self, bytes: u32) -> Option<NonNull<u8>> {
        let block = self.take(bytes)?;
        self.live += 1;
        self.low_water = self.low_water.min(self.heap.free());
        Some(block)
    }

    /// See [`Arena::reallocate`].
    ///
    /// # Safety
    /// 1. `block` came from [`take`](RawHeap::take) and was not given back since.
    unsafe fn reallocate(&mut self, block: NonNull<u8>, bytes: u32) -> Option<NonNull<u8>> {
        // SAFETY: by 1.
        let Some(held) = (unsafe { self.size_of(block) }) else {
            self.corrupt = self.corrupt.saturating_add(1);
            return None;
        };
        let new = self.allocate(bytes)?;
        // SAFETY: both blocks live, so they share no byte, and each holds what is copied.
        // The old one lives by 1 and is freed once.
        unsafe {
            block.copy_to_nonoverlapping(new, held.min(bytes) as usize);
            self.free(block);
        }
        Some(new)
    }

    /// Frees a block, unless its header was overwritten. Its size is then unknown, so it counts
    /// as corrupt and stays live for good.
    ///
    /// # Safety
    /// 1. `block` came from [`take`](RawHeap::take) and was not given back since.
    unsafe fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: by 1.
        if unsafe { self.release(block) } {
            self.live -= 1;
        } else {
            self.corrupt = self.corrupt.saturating_add(1);
        }
    }

    /// The requested size of a block. `None` if its header is not valid.
    ///
    /// Reads only bytes of the region, even if the caller breaks the duty.
    ///
    /// # Safety
    /// 1. `block` came from [`take`](RawHeap::take) and was not given back since.
    unsafe fn size_of(&self, block: NonNull<u8>) -> Option<u32> {
        let (bottom, top) =
            (self.heap.bottom().addr(), self.heap.bottom().addr() + self.heap.size());
        let start = block.addr().get().checked_sub(HEADER)?;
        if start < bottom || start >= top || !start.is_multiple_of(UNIT) {
            return None;
        }
        // SAFETY: by 1 the header is there. A unit of the region begins at `start`, so the
        // read is aligned and inside the region even if 1 does not hold.
        let (start, header) = unsafe {
            let start = block.sub(HEADER);
            (start, start.cast::<Header>().read())
        };
        let sealed = header.seal == Header::new(header.bytes, start).seal;
        let inside = layout(header.bytes)?.size() <= top - start.addr().get();
        (sealed && inside).then_some(header.bytes)
    }

    /// Frees a block if its header is valid. Returns whether it was.
    ///
    /// # Safety
    /// 1. `block` came from [`take`](RawHeap::take) and was not given back since.
    unsafe fn release(&mut self, block: NonNull<u8>) -> bool {
        // SAFETY: by 1.
        let Some(layout) = (unsafe { self.size_of(block) }).and_then(layout) else { return false };
        // SAFETY: by 1 the block came from `take`. Its layout depends on its size alone, so
        // this is the layout it was allocated with.
        //
        // The seal is cleared before the block is freed, because the allocator may leave these
        // bytes as they are: a block that is freed twice must not look like a live one.
        unsafe {
            let start = block.sub(HEADER);
            start.cast::<Header>().write(Header { bytes: 0, seal: 0 });
            self.heap.deallocate(start, layout);
        }
        true
    }

    fn stats(&mut self) -> ArenaStats {
        let bytes = |n: usize| Bytes(u32::try_from(n).unwrap_or(u32::MAX));
        ArenaStats {
            size: bytes(self.heap.size()),
            free: bytes(self.heap.free()),
            low_water: bytes(self.low_water),
            largest: bytes(self.largest()),
            blocks: self.live,
        }
    }

    /// The largest allocation that would succeed. A binary search tries allocations.
    fn largest(&mut self) -> usize {
        let (mut fits, mut too_much) = (0, self.heap.free() / UNIT + 1);
        while too_much - fits > 1 {
            let middle = fits.midpoint(too_much);
            let tried = Layout::from_size_align(middle * UNIT, UNIT).ok().and_then(|layout| {
                self.heap.allocate_first_fit(layout).ok().map(|start| (start, layout))
            });
            match tried {
                Some((start, layout)) => {
                    // SAFETY: allocated just above, with this layout.
                    unsafe { self.heap.deallocate(start, layout) };
                    fits = middle;
                }
                None => too_much = middle,
            }
        }
        (fits * UNIT).saturating_sub(HEADER)
    }
}

// SAFETY: 1: live blocks of the allocator share no byte. A block begins a HEADER of 8 bytes
// behind a multiple of UNIT, so it is aligned to 8. `layout` makes room for the requested bytes
// and for a pointer. 2: the region is borrowed as long as `self` lives, and no block is ever
// moved. 3: nothing here panics. `release` hands the allocator only a block whose seal is
// valid, and so never a block that is already free.
unsafe impl RawHeap for Blocks<'_> {
    fn take(&mut self, bytes: u32) -> Option<NonNull<u8>> {
        let start = self.heap.allocate_first_fit(layout(bytes)?).ok()?;
        // SAFETY: the block holds at least the header, and every multiple of UNIT is aligned
        // for it.
        unsafe {
            start.cast::<Header>().write(Header::new(bytes, start));
            Some(start.add(HEADER))
        }
    }

    unsafe fn give(&mut self, block: NonNull<u8>) {
        // SAFETY: the caller's duty is the same.
        unsafe { self.release(block) };
    }
}

/// An arena over a region that it borrows, behind the machine's lock.
///
/// A region that is too small for the allocator makes an arena without room. The arena neither
/// clears nor preserves the bytes of the region. To hide the old contents from an engine, clear
/// the region first.
///
/// The arena cannot outlive its region:
///
/// ```compile_fail,E0597
/// # use std::{mem::MaybeUninit, sync::Mutex};
/// # use wramp_arena::{Arena, FirstFit, Blocks, Lock};
/// # struct Locked<T>(Mutex<T>);
/// # impl<T: Send> Lock<T> for Locked<T> {
/// #     fn new(value: T) -> Self { Self(Mutex::new(value)) }
/// #     fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R { with(&mut self.0.lock().unwrap()) }
/// # }
/// let arena: FirstFit<Locked<Blocks>> = {
///     let mut region = [MaybeUninit::uninit(); 4096];
///     FirstFit::over(&mut region)
/// };
/// arena.allocate(100);
/// ```
///
/// This compiles, because the region outlives the arena:
///
/// ```
/// # use std::{mem::MaybeUninit, sync::Mutex};
/// # use wramp_arena::{Arena, FirstFit, Blocks, Lock};
/// # struct Locked<T>(Mutex<T>);
/// # impl<T: Send> Lock<T> for Locked<T> {
/// #     fn new(value: T) -> Self { Self(Mutex::new(value)) }
/// #     fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R { with(&mut self.0.lock().unwrap()) }
/// # }
/// let mut region = [MaybeUninit::uninit(); 4096];
/// let arena: FirstFit<Locked<Blocks>> = FirstFit::over(&mut region);
/// assert!(arena.allocate(100).is_some());
/// ```
pub struct FirstFit<'m, L> {
    blocks: L,
    region: PhantomData<&'m mut [MaybeUninit<u8>]>,
}

impl<'m, L: Lock<Blocks<'m>>> FirstFit<'m, L> {
    /// An arena over the region. It uses the bytes between the first and the last multiple of
    /// [`UNIT`] in the region, which are all bytes if the region is aligned.
    #[must_use]
    pub fn over(region: &'m mut [MaybeUninit<u8>]) -> Self {
        Self { blocks: L::new(Blocks::over(region)), region: PhantomData }
    }
}

// SAFETY: 1 and 2: every block comes from `Blocks::take`, which promises both, and its bytes
// lie in the region and not in `self`. 3: all access is under the lock. 4: nothing here panics,
// as the proof at `Blocks` shows; if the lock panics, the process ends where the panic would
// unwind into C. 5: nothing here calls a function of the engine.
unsafe impl<'m, L: Lock<Blocks<'m>>> Arena for FirstFit<'m, L> {
    fn allocate(&self, bytes: u32) -> Option<NonNull<u8>> {
        self.blocks.with(|blocks| blocks.allocate(bytes))
    }

    unsafe fn reallocate(&self, block: NonNull<u8>, bytes: u32) -> Option<NonNull<u8>> {
        // SAFETY: a live block of this arena came from `take` and was not given back.
        self.blocks.with(|blocks| unsafe { blocks.reallocate(block, bytes) })
    }

    unsafe fn free(&self, block: NonNull<u8>) {
        // SAFETY: a live block of this arena came from `take` and was not given back.
        self.blocks.with(|blocks| unsafe { blocks.free(block) });
    }

    fn stats(&self) -> ArenaStats {
        self.blocks.with(Blocks::stats)
    }

    fn reset_low_water(&self) {
        self.blocks.with(|blocks| blocks.low_water = blocks.heap.free());
    }

    fn replay(&self, script: Script<'_>, most: u32) -> u32 {
        self.blocks.with(|blocks| replay(blocks, script, most))
    }

    fn corrupt(&self) -> u32 {
        self.blocks.with(|blocks| blocks.corrupt)
    }

    #[cfg(feature = "region")]
    fn region(&self) -> Option<NonNull<[u8]>> {
        self.blocks.with(|blocks| {
            let bottom = NonNull::new(blocks.heap.bottom())?;
            Some(NonNull::slice_from_raw_parts(bottom, blocks.heap.size()))
        })
    }
}
