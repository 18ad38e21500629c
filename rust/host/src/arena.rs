//! The engine's memory: one fixed region under a no_std allocator.
//!
//! Every block has a header of 8 bytes and both are rounded up together to two
//! words, so that a hole that is left can always be described: what is free is
//! usable to the last byte. On a 32-bit host the figures are those of Zephyr's
//! `sys_heap` under 8-byte alignment.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use linked_list_allocator::Heap;
use wramp_core::measure::Bytes;
use wramp_core::platform::ArenaStats;

/// What blocks are rounded to: the least hole that the allocator can describe.
pub const UNIT: usize = 2 * size_of::<usize>();
/// Before every block: its size, and a mark that shows a wild free.
const HEADER: usize = 8;
const MARK: u32 = 0xA4E4_A000;

/// The arena's state; all access is under one lock.
struct Arena {
    heap: Heap,
    region: Option<Region>,
    low_water: usize,
    blocks: u32,
}

/// Memory from the system, zeroed, aligned to a page, given back on drop.
struct Region {
    at: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the region is plain memory that its owner alone reaches; no thread is tied to it.
unsafe impl Send for Region {}

impl Region {
    fn new(size: usize) -> Option<Self> {
        let layout = Layout::from_size_align(size, 4096).ok().filter(|layout| layout.size() > 0)?;
        // SAFETY: the layout's size is not zero.
        let at = unsafe { std::alloc::alloc_zeroed(layout) };
        NonNull::new(at).map(|at| Self { at, layout })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout, and freed once.
        unsafe { std::alloc::dealloc(self.at.as_ptr(), self.layout) };
    }
}

static ARENA: Mutex<Arena> =
    Mutex::new(Arena { heap: Heap::empty(), region: None, low_water: 0, blocks: 0 });

fn lock() -> MutexGuard<'static, Arena> {
    // A panic elsewhere leaves the heap as it was: none of our code panics halfway.
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there is no arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArenaError {
    /// One is in use: the engine's allocator is the process's, so there is one at a time.
    InUse,
    /// The system has no such region.
    NoMemory,
}

/// The right to use the process's one arena. Dropping it gives the region back.
#[derive(Debug)]
pub struct ArenaGuard(());

impl ArenaGuard {
    /// Reserves a region of `size` bytes, rounded down to [`UNIT`].
    ///
    /// # Errors
    /// See [`ArenaError`].
    pub fn new(size: Bytes) -> Result<Self, ArenaError> {
        let mut arena = lock();
        if arena.region.is_some() {
            return Err(ArenaError::InUse);
        }
        let size = size.0 as usize / UNIT * UNIT;
        // Even an arena of nothing is one: the engine then says that it is too small.
        let region = Region::new(size.max(UNIT)).ok_or(ArenaError::NoMemory)?;
        let mut heap = Heap::empty();
        if size >= UNIT {
            // SAFETY: the region is `size` bytes of our own, aligned to a page, and lives until
            // the guard is dropped, which takes the heap away first. It holds the two words
            // that the allocator asks for.
            unsafe { heap.init(region.at.as_ptr(), size) };
        }
        *arena = Arena { low_water: heap.free(), heap, region: Some(region), blocks: 0 };
        Ok(Self(()))
    }

    /// The arena now.
    #[must_use]
    pub fn stats(&self) -> ArenaStats {
        let mut arena = lock();
        let bytes = |n: usize| Bytes(u32::try_from(n).unwrap_or(u32::MAX));
        ArenaStats {
            size: bytes(arena.heap.size()),
            free: bytes(arena.heap.free()),
            low_water: bytes(arena.low_water),
            largest: bytes(arena.largest()),
            blocks: arena.blocks,
        }
    }

    /// Lets the low-water mark start again from what is free now.
    pub fn reset_low_water(&self) {
        let mut arena = lock();
        arena.low_water = arena.heap.free();
    }
}

impl Drop for ArenaGuard {
    fn drop(&mut self) {
        let mut arena = lock();
        arena.heap = Heap::empty();
        arena.region = None;
    }
}

/// The layout of a block that serves `size` bytes, header included.
fn layout(size: usize) -> Option<Layout> {
    let whole = size.checked_add(HEADER)?.checked_next_multiple_of(UNIT)?;
    Layout::from_size_align(whole, UNIT).ok()
}

impl Arena {
    fn allocate(&mut self, size: u32) -> Option<NonNull<u8>> {
        let block = self.heap.allocate_first_fit(layout(size as usize)?).ok()?;
        self.blocks += 1;
        self.low_water = self.low_water.min(self.heap.free());
        // SAFETY: the block is at least HEADER bytes and aligned to 8.
        unsafe {
            block.cast::<[u32; 2]>().write([size, MARK]);
            Some(block.add(HEADER))
        }
    }

    /// The size that a block was allocated with.
    ///
    /// # Safety
    /// 1. `at` came from [`allocate`](Self::allocate) and was not freed since.
    unsafe fn size_of(at: NonNull<u8>) -> u32 {
        // SAFETY: by 1 the header is there, before the block.
        let [size, mark] = unsafe { at.sub(HEADER).cast::<[u32; 2]>().read() };
        assert_eq!(
            mark, MARK,
            "the engine freed what the arena did not give, or wrote before a block"
        );
        size
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `at` came from [`allocate`](Self::allocate) and was not freed since.
    unsafe fn free(&mut self, at: NonNull<u8>) {
        // SAFETY: by 1; the layout is a function of the size alone, so it is the block's.
        unsafe {
            let size = Self::size_of(at);
            let Some(layout) = layout(size as usize) else { return };
            let block = at.sub(HEADER);
            block.cast::<[u32; 2]>().write([0, 0]);
            self.heap.deallocate(block, layout);
        }
        self.blocks -= 1;
    }

    /// The largest allocation that would succeed, found by trying: a try that is undone
    /// leaves the allocator's list of holes as it was.
    fn largest(&mut self) -> usize {
        let (mut fits, mut too_much) = (0, self.heap.free() / UNIT + 1);
        while too_much - fits > 1 {
            let middle = fits.midpoint(too_much);
            let tried = Layout::from_size_align(middle * UNIT, UNIT).ok().and_then(|layout| {
                self.heap.allocate_first_fit(layout).ok().map(|at| (at, layout))
            });
            match tried {
                Some((at, layout)) => {
                    // SAFETY: allocated a line above with this layout.
                    unsafe { self.heap.deallocate(at, layout) };
                    fits = middle;
                }
                None => too_much = middle,
            }
        }
        (fits * UNIT).saturating_sub(HEADER)
    }
}

/// The arena, as the engine sees it.
pub struct HostArena;

// SAFETY: every block comes from `Heap` and is not given twice; it is UNIT-aligned plus a header
// of 8, so aligned to 8; all access is under the lock, so from any thread; a failed
// allocation changes nothing. While no guard lives the heap is empty and gives nothing.
unsafe impl wramp_wamr::Arena for HostArena {
    fn malloc(size: u32) -> *mut u8 {
        lock().allocate(size).map_or(std::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn realloc(block: *mut u8, size: u32) -> *mut u8 {
        let Some(old) = NonNull::new(block) else { return Self::malloc(size) };
        let mut arena = lock();
        // SAFETY: the caller's duty is ours: the block is live and of this arena. Old and new
        // do not overlap, and the shorter of both is copied.
        unsafe {
            let kept = Arena::size_of(old).min(size) as usize;
            let Some(new) = arena.allocate(size) else { return std::ptr::null_mut() };
            old.copy_to_nonoverlapping(new, kept);
            arena.free(old);
            new.as_ptr()
        }
    }

    unsafe fn free(block: *mut u8) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller's duty is ours: the block is live and of this arena.
            unsafe { lock().free(block) };
        }
    }
}
