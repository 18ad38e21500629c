//! An arena for tests: small, exact, and suspicious.
//!
//! A maintained allocator gives out blocks of a static region. Each block has a header with its
//! size before it and a canary behind it. Both are checked when the block is freed and whenever
//! a test asks. The region is first filled with a pattern, so nobody can rely on zeros.
//!
//! Tests take turns, because a process has one WAMR and one such arena.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use linked_list_allocator::Heap;
use wramp_arena::{Arena, ArenaStats, RawHeap, Script};
use wramp_core::measure::Bytes;

/// The most bytes that a test can ask for.
pub(crate) const REGION_BYTES: usize = 1 << 20;
/// Enough for every test that does not concern a small arena.
pub(crate) const ROOMY: usize = REGION_BYTES;

const HEADER: usize = 8;
const CANARY: [u8; 8] = *b"canary!\xff";
const FILL: u8 = 0xa5;

#[repr(align(16))]
struct Region(UnsafeCell<[u8; REGION_BYTES]>);
// SAFETY: only `STATE`, a mutex, reaches it, except for the blocks handed out.
unsafe impl Sync for Region {}
static REGION: Region = Region(UnsafeCell::new([0; REGION_BYTES]));

struct State {
    heap: Heap,
    /// Address and size of each live block.
    live: BTreeMap<usize, usize>,
    failures: u32,
}

static STATE: Mutex<State> =
    Mutex::new(State { heap: Heap::empty(), live: BTreeMap::new(), failures: 0 });
static TURN: Mutex<()> = Mutex::new(());

/// The arena. All values of this type stand for the same one.
pub(crate) struct TestArena;

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(HEADER + size + CANARY.len(), 8).unwrap()
}

impl State {
    fn malloc(&mut self, size: usize) -> *mut u8 {
        let Ok(whole) = self.heap.allocate_first_fit(layout(size)) else {
            self.failures += 1;
            return ptr::null_mut();
        };
        // SAFETY: the layout has room for the header, the block and the canary.
        unsafe {
            whole.cast::<usize>().write(size);
            let block = whole.add(HEADER);
            block.write_bytes(FILL, size);
            block.add(size).copy_from_nonoverlapping(NonNull::from(&CANARY).cast(), CANARY.len());
            self.live.insert(block.addr().get(), size);
            block.as_ptr()
        }
    }

    fn check(&self, block: usize, size: usize) {
        let block = ptr::with_exposed_provenance::<u8>(block);
        // SAFETY: `block` is in `live`, so header, block and canary are there.
        unsafe {
            assert_eq!(block.sub(HEADER).cast::<usize>().read(), size, "a header was written");
            let canary = std::slice::from_raw_parts(block.add(size), CANARY.len());
            assert_eq!(canary, CANARY, "bytes behind a block were written");
        }
    }

    fn free(&mut self, block: *mut u8) {
        let size = self.live.remove(&block.addr()).expect("freed twice, or never allocated");
        self.check(block.addr(), size);
        // SAFETY: allocated with this layout, live until the line above.
        unsafe {
            block.write_bytes(FILL, size);
            self.heap.deallocate(NonNull::new(block.sub(HEADER)).unwrap(), layout(size));
        }
    }
}

// SAFETY: 1. the allocator's blocks do not overlap. They are aligned to 8, the header's size,
// and come from a region aligned to 16. 2. The region is static. 3. All of it is under a mutex.
// 4. A failed check does panic, and then the C functions around it abort: a test has failed. 5.
// Nothing here knows WAMR.
unsafe impl Arena for TestArena {
    fn allocate(&self, bytes: u32) -> Option<NonNull<u8>> {
        NonNull::new(state().malloc(bytes.max(1) as usize))
    }

    unsafe fn reallocate(&self, block: NonNull<u8>, bytes: u32) -> Option<NonNull<u8>> {
        let mut state = state();
        let old = state.live[&block.addr().get()];
        let new = NonNull::new(state.malloc(bytes.max(1) as usize))?;
        // SAFETY: these are two live blocks, and the size is the smaller of the two.
        unsafe { block.copy_to_nonoverlapping(new, old.min(bytes as usize)) };
        state.free(block.as_ptr());
        Some(new)
    }

    unsafe fn free(&self, block: NonNull<u8>) {
        state().free(block.as_ptr());
    }

    fn stats(&self) -> ArenaStats {
        let state = state();
        let bytes = |n: usize| Bytes(u32::try_from(n).unwrap());
        ArenaStats {
            size: bytes(state.heap.size()),
            free: bytes(state.heap.free()),
            // No test asks for these two.
            low_water: Bytes(0),
            largest: Bytes(0),
            blocks: u32::try_from(state.live.len()).unwrap(),
        }
    }

    fn reset_low_water(&self) {}

    fn replay(&self, script: Script<'_>, most: u32) -> u32 {
        wramp_arena::replay(&mut *state(), script, most)
    }
}

// SAFETY: 1 and 2 as above. With its canary, a block has room for a pointer. 3. Nothing here
// panics.
unsafe impl RawHeap for State {
    fn take(&mut self, bytes: u32) -> Option<NonNull<u8>> {
        let size = bytes.max(1) as usize;
        let whole = self.heap.allocate_first_fit(layout(size)).ok()?;
        // SAFETY: the layout has room for the header.
        unsafe {
            whole.cast::<usize>().write(size);
            Some(whole.add(HEADER))
        }
    }

    unsafe fn give(&mut self, block: NonNull<u8>) {
        // SAFETY: from `take`, which wrote the header and allocated with this layout.
        unsafe {
            let whole = block.sub(HEADER);
            let size = whole.cast::<usize>().read();
            self.heap.deallocate(whole, layout(size));
        }
    }
}

/// Bytes in use, including headers and canaries.
pub(crate) fn used() -> usize {
    state().heap.used()
}

/// Addresses and sizes of the live blocks.
pub(crate) fn live() -> BTreeMap<usize, usize> {
    state().live.clone()
}

/// How often no block was available.
pub(crate) fn failures() -> u32 {
    state().failures
}

/// Checks the header and the canary of every live block.
pub(crate) fn check() {
    let state = state();
    for (&block, &size) in &state.live {
        state.check(block, size);
    }
}

/// A copy of a live block.
pub(crate) fn read(block: usize) -> std::vec::Vec<u8> {
    let state = state();
    let size = state.live[&block];
    let start = ptr::with_exposed_provenance::<u8>(block);
    // SAFETY: the block is live, and no guest runs while a test is here.
    unsafe { std::slice::from_raw_parts(start, size) }.to_vec()
}

/// Fills a live block.
pub(crate) fn fill(block: usize, byte: u8) {
    let state = state();
    let size = state.live[&block];
    // SAFETY: the block is live, and no guest runs while a test is here.
    unsafe { ptr::with_exposed_provenance_mut::<u8>(block).write_bytes(byte, size) };
}

/// Runs a test on an empty arena of that size, and checks that it is empty afterwards.
pub(crate) fn with<R>(bytes: usize, test: impl FnOnce() -> R) -> R {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let mut state = state();
        let region = REGION.0.get().cast::<u8>();
        region.expose_provenance();
        state.live.clear();
        state.failures = 0;
        assert!(bytes <= REGION_BYTES);
        // SAFETY: the region is static. It is this test's turn, so nobody holds a block.
        unsafe {
            region.write_bytes(FILL, bytes);
            state.heap = Heap::empty();
            state.heap.init(region, bytes);
        }
    }
    let result = test();
    check();
    assert_eq!(live(), BTreeMap::new(), "blocks were left in the arena");
    assert_eq!(used(), 0, "bytes were left in the arena");
    result
}
