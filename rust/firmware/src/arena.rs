//! The engine's memory: one fixed region under its own `sys_heap`.
//!
//! It is separate from the kernel's heap and from libc's, which has no memory.
//!
//! `sys_heap` counts the bytes inside blocks. This file adds the bytes of their headers, so a
//! figure is what an instance really costs. Figures are exact: blocks are rounded to 8 bytes
//! with their headers, and any hole can be described.

use core::ffi::c_void;
use core::ptr::NonNull;

use wramp_arena::{Arena, RawHeap, Script, replay};
use wramp_core::config::MIN_ARENA_BYTES;
use wramp_core::machine::ArenaStats;
use wramp_core::measure::Bytes;
use zephyr::raw;
use zephyr::sync::{Mutex, MutexGuard};

/// The alignment that an engine's structures need on every target. It is also `sys_heap`'s
/// unit.
const ALIGN: usize = 8;

unsafe extern "C" {
    /// The region that src/machine.c reserved. It is null and has 0 bytes if there is none.
    fn wramp_arena_region(bytes: *mut usize) -> *mut c_void;
}

/// The heap, and what it does not count itself.
struct Heap {
    heap: raw::sys_heap,
    region: (usize, usize),
    /// Free bytes in an empty heap, including the header of its one free block.
    capacity: usize,
    /// Bytes of a block's header: 4, or 8 if the region is large.
    header: usize,
    blocks: usize,
    most_used: usize,
}

// SAFETY: the heap's state lies in its region, and nothing else has a pointer to that. No
// thread is tied to it.
unsafe impl Send for Heap {}

static ARENA: Mutex<Option<Heap>> = Mutex::new(None);

/// Runs `work` on the arena, if there is one.
fn with<R>(work: impl FnOnce(&mut Heap) -> R) -> Option<R> {
    let Ok(mut arena) = ARENA.lock();
    let guard: &mut MutexGuard<'_, Option<Heap>> = &mut arena;
    guard.as_mut().map(work)
}

/// Runs `work` while no thread is in the arena.
pub(crate) fn while_idle<R>(work: impl FnOnce() -> R) -> R {
    let Ok(_held) = ARENA.lock();
    work()
}

/// The one arena, as the engine sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ZephyrArena(());

impl ZephyrArena {
    /// Sets up the heap in the region. In a region below [`MIN_ARENA_BYTES`] every allocation
    /// fails, and the run reports that.
    pub(crate) fn new() -> Self {
        let mut bytes = 0;
        // SAFETY: the C writes the size to the variable whose address it gets.
        let region = unsafe { wramp_arena_region(&raw mut bytes) };
        let Ok(mut arena) = ARENA.lock();
        if arena.is_none() && !region.is_null() && bytes >= MIN_ARENA_BYTES as usize {
            // SAFETY: the region has `bytes` bytes. Only the arena uses them, from now on for
            // ever, because a static is never dropped.
            *arena = Some(unsafe { Heap::new(region, bytes) });
        }
        Self(())
    }

    /// Start and end address of the region. They are equal if there is none.
    pub(crate) fn region(self) -> (usize, usize) {
        with(|heap| heap.region).unwrap_or_default()
    }

    /// The unit to which a block is rounded with its header, and the bytes of the header.
    pub(crate) fn block(self) -> (Bytes, Bytes) {
        let header = with(|heap| heap.header).unwrap_or_default();
        (bytes(ALIGN), bytes(header))
    }
}

fn bytes(n: usize) -> Bytes {
    Bytes(u32::try_from(n).unwrap_or(u32::MAX))
}

impl Heap {
    /// An empty heap.
    ///
    /// # Safety
    /// 1. `region` points to `bytes` bytes, at least [`MIN_ARENA_BYTES`], that nothing else
    ///    uses as long as the heap exists.
    unsafe fn new(region: *mut c_void, bytes: usize) -> Self {
        let start = region.addr();
        let mut heap = Self {
            heap: raw::sys_heap::default(),
            region: (start, start + bytes),
            capacity: 0,
            header: 0,
            blocks: 0,
            most_used: 0,
        };
        // SAFETY: by 1. The heap keeps its state inside the region, so the struct that points
        // there may move.
        unsafe { raw::sys_heap_init(&raw mut heap.heap, region, bytes) };
        // The size of a header depends on the region's size, and `sys_heap` does not tell it. A
        // first block shows it: the free bytes shrink by the whole block, and the allocated
        // bytes grow by its inside.
        let free = heap.counted().free_bytes;
        let probe = heap.take(ALIGN as u32);
        let counted = heap.counted();
        heap.header = free - counted.free_bytes - counted.allocated_bytes;
        heap.capacity = free + heap.header;
        if let Some(probe) = probe {
            // SAFETY: taken above.
            unsafe { heap.give(probe) };
        }
        heap
    }

    fn counted(&mut self) -> raw::sys_memory_stats {
        let mut stats = raw::sys_memory_stats::default();
        // SAFETY: both are ours. The call fails for a null pointer only.
        unsafe { raw::sys_heap_runtime_stats_get(&raw mut self.heap, &raw mut stats) };
        stats
    }

    /// Bytes in use, headers included.
    fn used(&mut self) -> usize {
        self.counted().allocated_bytes + self.blocks * self.header
    }

    fn allocate(&mut self, bytes: u32) -> Option<NonNull<u8>> {
        let block = self.take(bytes)?;
        self.blocks += 1;
        self.most_used = self.most_used.max(self.used());
        Some(block)
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `block` came from [`allocate`](Self::allocate) and was not freed since.
    unsafe fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: by 1.
        unsafe { self.give(block) };
        self.blocks -= 1;
    }

    /// The largest allocation that would succeed, found by trial. Each trial is undone, and the
    /// low-water mark does not see it.
    fn largest(&mut self) -> usize {
        let (mut fits, mut too_much) = (0, self.capacity / ALIGN + 1);
        while too_much - fits > 1 {
            let middle = fits.midpoint(too_much);
            match u32::try_from(middle * ALIGN).ok().and_then(|bytes| self.take(bytes)) {
                None => too_much = middle,
                Some(block) => {
                    // SAFETY: taken above.
                    unsafe { self.give(block) };
                    fits = middle;
                }
            }
        }
        fits * ALIGN
    }

    fn stats(&mut self) -> ArenaStats {
        ArenaStats {
            size: bytes(self.region.1 - self.region.0),
            free: bytes(self.capacity - self.used()),
            low_water: bytes(self.capacity - self.most_used),
            largest: bytes(self.largest()),
            blocks: u32::try_from(self.blocks).unwrap_or(u32::MAX),
        }
    }
}

// SAFETY: 1: `sys_heap` gives no byte twice, and ALIGN is 8. The request is at least a pointer,
// which costs nothing, because the heap's least chunk holds one. 2: nobody else has the region.
// 3: nothing here unwinds, because a panic stops the machine.
unsafe impl RawHeap for Heap {
    fn take(&mut self, bytes: u32) -> Option<NonNull<u8>> {
        let bytes = (bytes as usize).max(size_of::<usize>());
        // SAFETY: the heap is initialised and, by `&mut`, no other thread has it.
        let block = unsafe { raw::sys_heap_aligned_alloc(&raw mut self.heap, ALIGN, bytes) };
        NonNull::new(block.cast())
    }

    unsafe fn give(&mut self, block: NonNull<u8>) {
        // SAFETY: the caller's duty is the same.
        unsafe { raw::sys_heap_free(&raw mut self.heap, block.as_ptr().cast()) };
    }
}

// SAFETY: 1 and 2: as in `RawHeap`, and the heap is static. 3: all access is under a mutex that
// any thread may take. 4: nothing here unwinds, because a panic stops the machine. 5: nothing
// calls the engine.
unsafe impl Arena for ZephyrArena {
    fn allocate(&self, bytes: u32) -> Option<NonNull<u8>> {
        with(|heap| heap.allocate(bytes))?
    }

    unsafe fn reallocate(&self, block: NonNull<u8>, bytes: u32) -> Option<NonNull<u8>> {
        with(|heap| {
            let old = block.as_ptr().cast::<c_void>();
            // SAFETY: the block is live, by the caller's duty.
            let held = unsafe { raw::sys_heap_usable_size(&raw mut heap.heap, old) };
            let new = heap.allocate(bytes)?;
            // SAFETY: two live blocks share no byte, each holds at least what is copied, and
            // the old one is freed once.
            unsafe {
                block.copy_to_nonoverlapping(new, held.min(bytes as usize));
                heap.free(block);
            }
            Some(new)
        })?
    }

    unsafe fn free(&self, block: NonNull<u8>) {
        // SAFETY: the block is live, by the caller's duty.
        with(|heap| unsafe { heap.free(block) });
    }

    fn stats(&self) -> ArenaStats {
        with(Heap::stats).unwrap_or_default()
    }

    fn reset_low_water(&self) {
        with(|heap| heap.most_used = heap.used());
    }

    fn replay(&self, script: Script<'_>, most: u32) -> u32 {
        with(|heap| replay(heap, script, most)).unwrap_or(0)
    }
}
