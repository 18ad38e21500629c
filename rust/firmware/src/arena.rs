//! The engine's memory: one fixed region under a `sys_heap` of its own.
//!
//! Apart from the kernel's heap and from libc's, which has none. `sys_heap` counts
//! what blocks hold; what their headers take is added here, so that a figure is what
//! an instance really costs. Figures are exact: blocks are rounded to 8 bytes
//! with their headers, and any hole can be described.

use core::ffi::c_void;
use core::ptr;

use wramp_core::config::MIN_ARENA_BYTES;
use wramp_core::measure::Bytes;
use wramp_core::platform::ArenaStats;
use zephyr::raw;
use zephyr::sync::{Mutex, MutexGuard};

/// What WAMR's structures need, on every target.
const ALIGN: usize = 8;

unsafe extern "C" {
    /// The region that src/machine.c reserved; null and 0 bytes if there is none.
    fn wramp_arena_region(bytes: *mut usize) -> *mut c_void;
}

/// The heap and what it does not count itself.
struct Heap {
    heap: raw::sys_heap,
    region: (usize, usize),
    /// Free in an empty heap, the header of the one free block included.
    capacity: usize,
    /// Bytes that a block's header takes: 4, or 8 where the region is large.
    header: usize,
    blocks: usize,
    most_used: usize,
}

// SAFETY: the heap's state lies in its region, which nothing else has a pointer to; no
// thread is tied to it.
unsafe impl Send for Heap {}

static ARENA: Mutex<Option<Heap>> = Mutex::new(None);

/// Runs `work` on the arena, if there is one.
fn with<R>(work: impl FnOnce(&mut Heap) -> R) -> Option<R> {
    let Ok(mut arena) = ARENA.lock();
    let guard: &mut MutexGuard<'_, Option<Heap>> = &mut arena;
    guard.as_mut().map(work)
}

/// The right to read the arena's figures; proof that it was set up.
#[derive(Debug)]
pub(crate) struct Arena(());

impl Arena {
    /// Sets up the heap over the region. With a region below [`MIN_ARENA_BYTES`] every
    /// allocation fails, which the run reports.
    pub(crate) fn new() -> Self {
        let mut bytes = 0;
        // SAFETY: the C writes the size to the variable whose address it gets.
        let region = unsafe { wramp_arena_region(&raw mut bytes) };
        let Ok(mut arena) = ARENA.lock();
        if arena.is_none() && !region.is_null() && bytes >= MIN_ARENA_BYTES as usize {
            // SAFETY: the region is `bytes` bytes that only the arena uses, from now on
            // for ever, since what stands in a static is not dropped.
            *arena = Some(unsafe { Heap::new(region, bytes) });
        }
        Self(())
    }

    /// Start and end address of the region; equal where there is none.
    pub(crate) fn region(&self) -> (usize, usize) {
        with(|heap| heap.region).unwrap_or_default()
    }

    /// The arena now.
    pub(crate) fn stats(&self) -> ArenaStats {
        let bytes = |n: usize| Bytes(u32::try_from(n).unwrap_or(u32::MAX));
        let none = ArenaStats {
            size: Bytes(0),
            free: Bytes(0),
            low_water: Bytes(0),
            largest: Bytes(0),
            blocks: 0,
        };
        with(|heap| ArenaStats {
            size: bytes(heap.region.1 - heap.region.0),
            free: bytes(heap.capacity - heap.used()),
            low_water: bytes(heap.capacity - heap.most_used),
            largest: bytes(heap.largest()),
            blocks: u32::try_from(heap.blocks).unwrap_or(u32::MAX),
        })
        .unwrap_or(none)
    }

    /// Lets the low-water mark start again from what is free now.
    pub(crate) fn reset_low_water(&self) {
        with(|heap| heap.most_used = heap.used());
    }
}

impl Heap {
    /// An empty heap.
    ///
    /// # Safety
    /// 1. `region` points to `bytes` bytes, at least [`MIN_ARENA_BYTES`], that nothing
    ///    else uses as long as the heap exists.
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
        // SAFETY: by 1. The heap keeps its state inside of the region, so the struct
        // that points there may move.
        unsafe { raw::sys_heap_init(&raw mut heap.heap, region, bytes) };
        // What a header takes depends on the region's size and is not told; a first block
        // shows it: free bytes shrink by the block, allocated ones grow by its inside.
        let free = heap.counted().free_bytes;
        let probe = heap.take(ALIGN);
        let counted = heap.counted();
        heap.header = free - counted.free_bytes - counted.allocated_bytes;
        heap.capacity = free + heap.header;
        // SAFETY: taken above; null where there was no room, which is allowed.
        unsafe { raw::sys_heap_free(&raw mut heap.heap, probe) };
        heap
    }

    fn counted(&mut self) -> raw::sys_memory_stats {
        let mut stats = raw::sys_memory_stats::default();
        // SAFETY: both are ours. It fails for a null pointer only.
        unsafe { raw::sys_heap_runtime_stats_get(&raw mut self.heap, &raw mut stats) };
        stats
    }

    /// Bytes in use, headers included.
    fn used(&mut self) -> usize {
        self.counted().allocated_bytes + self.blocks * self.header
    }

    /// A block that is not counted; null if there is none.
    fn take(&mut self, bytes: usize) -> *mut c_void {
        // SAFETY: the heap is initialised and, by `&mut`, in no other thread's hands.
        unsafe { raw::sys_heap_aligned_alloc(&raw mut self.heap, ALIGN, bytes) }
    }

    fn allocate(&mut self, bytes: usize) -> *mut c_void {
        let block = self.take(bytes);
        if !block.is_null() {
            self.blocks += 1;
            self.most_used = self.most_used.max(self.used());
        }
        block
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `block` came from [`allocate`](Self::allocate) and was not freed since.
    unsafe fn free(&mut self, block: *mut c_void) {
        // SAFETY: by 1.
        unsafe { raw::sys_heap_free(&raw mut self.heap, block) };
        self.blocks -= 1;
    }

    /// The largest allocation that would succeed, found by trying: each try is undone,
    /// and the low-water mark does not see it.
    fn largest(&mut self) -> usize {
        let (mut fits, mut too_much) = (0, self.capacity / ALIGN + 1);
        while too_much - fits > 1 {
            let middle = fits.midpoint(too_much);
            let block = self.take(middle * ALIGN);
            if block.is_null() {
                too_much = middle;
            } else {
                // SAFETY: taken above.
                unsafe { raw::sys_heap_free(&raw mut self.heap, block) };
                fits = middle;
            }
        }
        fits * ALIGN
    }
}

/// The arena, as the engine sees it.
pub(crate) struct ZephyrArena;

// SAFETY: 1: `sys_heap` gives no byte twice, and ALIGN is 8. 2: all access is under a mutex
// that any thread may take. 3: nothing here unwinds, for a panic stops the machine,
// and nothing calls the engine.
unsafe impl wramp_wamr::Arena for ZephyrArena {
    fn malloc(size: u32) -> *mut u8 {
        with(|heap| heap.allocate(size as usize).cast()).unwrap_or(ptr::null_mut())
    }

    unsafe fn realloc(block: *mut u8, size: u32) -> *mut u8 {
        // In two steps, as the host does: the low-water mark then counts both blocks.
        with(|heap| {
            // SAFETY: the block is live, by the caller's duty.
            let held = unsafe { raw::sys_heap_usable_size(&raw mut heap.heap, block.cast()) };
            let new: *mut u8 = heap.allocate(size as usize).cast();
            if !new.is_null() {
                // SAFETY: two live blocks share no byte, each holds at least what is
                // copied, and the old one is freed once.
                unsafe {
                    block.copy_to_nonoverlapping(new, held.min(size as usize));
                    heap.free(block.cast());
                }
            }
            new
        })
        .unwrap_or(ptr::null_mut())
    }

    unsafe fn free(block: *mut u8) {
        // SAFETY: the block is live, by the caller's duty.
        with(|heap| unsafe { heap.free(block.cast()) });
    }
}
