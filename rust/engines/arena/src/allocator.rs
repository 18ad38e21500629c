//! The global allocator: the arena for a thread inside an engine, the system otherwise.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, NonNull};

use crate::session::TRACE;
use crate::space::{self, Space};
use crate::thread::{self, Thread};

/// An allocator for a program that runs engines written in Rust. Without an open
/// [`Session`](crate::Session) it is the system's.
///
/// ```
/// use wramp_engine_arena::EngineAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: EngineAllocator = EngineAllocator;
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineAllocator;

/// What every block of an arena is aligned to.
const ALIGNED: usize = 8;

// SAFETY: a block comes from the arena or from the system, both of which keep the contract. An
// arena's block is aligned by `served`. `dealloc` and `realloc` find out by its address which
// of the two it came from. That is right for every live block: one of the arena's lies in the
// open space, because its session is not over (duty 1 of `Session::run`), and one of the
// system's lies in no open space (`given_by_the_system`). Nothing here unwinds: arenas promise
// it, and the rest neither indexes nor asserts.
unsafe impl GlobalAlloc for EngineAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if thread::this(|thread| thread.visit.get().inside) {
            return inside(layout);
        }
        // SAFETY: the caller's duty is the same.
        let block = unsafe { System.alloc(layout) };
        space::given_by_the_system(block, layout.size());
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if thread::this(|thread| thread.visit.get().inside) {
            let block = inside(layout);
            if !block.is_null() {
                // SAFETY: a fresh block of that size, which nobody else has.
                unsafe { block.write_bytes(0, layout.size()) };
            }
            return block;
        }
        // SAFETY: the caller's duty is the same.
        let block = unsafe { System.alloc_zeroed(layout) };
        space::given_by_the_system(block, layout.size());
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match space::of(block) {
            // SAFETY: the block is live and lies in the open space, so it is its arena's. The
            // caller promises the layout.
            Some(space) => unsafe { give_back(space, block, layout) },
            // SAFETY: it lies in no open space, so it is the system's. The rest is the caller's
            // duty.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(space) = space::of(block) else {
            // SAFETY: it lies in no open space, so it is the system's. The rest is the caller's
            // duty.
            let new = unsafe { System.realloc(block, layout, size) };
            space::given_by_the_system(new, size);
            return new;
        };
        // SAFETY: the caller promises that the size is not 0 and does not overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // A block of the engine stays with the engine, whoever makes it grow.
        let new = inside(wanted);
        if !new.is_null() {
            // SAFETY: both blocks live, so they share no byte, and each holds what is copied.
            // The old one is the arena's, see `dealloc`, and is given back once.
            unsafe {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                give_back(space, block, layout);
            }
        }
        new
    }
}

/// A block for a thread inside an engine: one that its lane kept, one of the arena's, or one
/// of the reserve's.
fn inside(layout: Layout) -> *mut u8 {
    // What the standard library keeps of a panic outlives the session.
    if std::thread::panicking() {
        return reserve(layout, false);
    }
    let block = thread::this(|thread| {
        if thread.visit.get().in_call
            && layout.align() <= ALIGNED
            && let Some(block) = thread.reuse(layout.size())
        {
            return Some(block);
        }
        served(thread, layout)
    });
    match block {
        Some(block) => block.as_ptr(),
        None => reserve(layout, true),
    }
}

/// Bytes to ask the arena for, so that a block of that layout lies in them.
///
/// Where more than the arena's alignment is wanted, the block begins at least a word behind
/// the arena's, and the word before it says where that one is.
fn whole(layout: Layout) -> Option<u32> {
    let more = if layout.align() <= ALIGNED { 0 } else { layout.align() };
    u32::try_from(layout.size().checked_add(more)?).ok()
}

/// A block of the arena's.
fn served(thread: &Thread, layout: Layout) -> Option<NonNull<u8>> {
    let space = space::current()?;
    let bytes = whole(layout)?;
    // SAFETY: a thread inside an engine has a session that is not over.
    let block = unsafe { space.arena() }.allocate(bytes)?;
    if thread.noting.get() {
        TRACE.taken(block, bytes);
    }
    if layout.align() <= ALIGNED {
        return Some(block);
    }
    let address = block.addr().get();
    let aligned = (address + ALIGNED).next_multiple_of(layout.align());
    // SAFETY: the block is aligned to 8, so the next multiple of an alignment of 16 or more is
    // at most `align` beyond it, and `whole` asked for that many bytes more. It is at least a
    // word beyond it, so there is room for the word in front, which is aligned to 8.
    unsafe {
        let inner = block.add(aligned - address);
        inner.sub(ALIGNED).cast::<NonNull<u8>>().write(block);
        Some(inner)
    }
}

/// Gives a block back to the arena, or keeps it for the next call.
///
/// # Safety
/// 1. `block` is a live block of the space's arena, of that layout.
unsafe fn give_back(space: &Space, block: *mut u8, layout: Layout) {
    let Some(block) = space.block(block) else { return };
    let small = layout.align() <= ALIGNED;
    thread::this(|thread| {
        if thread.visit.get().in_call && small && thread.keep(block, layout.size()) {
            return;
        }
        let block = match small {
            true => block,
            // SAFETY: `served` wrote it there, and the engine owns only what follows.
            false => unsafe { block.sub(ALIGNED).cast::<NonNull<u8>>().read() },
        };
        // SAFETY: by 1.
        unsafe { free(thread, space, block) };
    });
}

/// Frees a block of the arena's own.
///
/// # Safety
/// 1. `block` is what the arena gave, live, and the space's session is not over.
pub(crate) unsafe fn free(thread: &Thread, space: &Space, block: NonNull<u8>) {
    // Before it is free: then it may already be another thread's.
    if thread.noting.get() {
        TRACE.given(block);
    }
    // SAFETY: by 1.
    unsafe { space.arena().free(block) };
}

/// A block of the system's, for what the arena could not serve.
#[cold]
fn reserve(layout: Layout, counted: bool) -> *mut u8 {
    let granted = !counted
        || thread::this(|thread| {
            let mut visit = thread.visit.get();
            let granted = visit.grant(layout.size());
            thread.visit.set(visit);
            granted
        });
    if !granted {
        return ptr::null_mut();
    }
    // SAFETY: a layout that a caller of `alloc` gave, so its size is not 0.
    let block = unsafe { System.alloc(layout) };
    space::given_by_the_system(block, layout.size());
    block
}
