//! The arena of the session that is open, for every thread of the program.

use std::num::NonZero;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::AcqRel, Ordering::Acquire};

use wramp_arena::Arena;

/// An open arena and the addresses of its region.
///
/// A thread may look at a space that was closed a moment ago. So a space is never freed: a
/// closed one stays in a list. A session takes 40 bytes of it.
pub(crate) struct Space {
    /// It may reach all of the region.
    region: NonNull<u8>,
    from: usize,
    to: usize,
    /// Valid while the space is open, by the duties of [`open`].
    arena: &'static dyn Arena,
    /// Keeps the list reachable.
    _older: Option<&'static Space>,
}

// SAFETY: the pointer to the region only lends its reach to pointers of blocks. The arena is
// `Sync`.
unsafe impl Sync for Space {}

/// The open space, or null.
static OPEN: AtomicPtr<Space> = AtomicPtr::new(ptr::null_mut());
/// The latest space that was opened, or null.
static LATEST: AtomicPtr<Space> = AtomicPtr::new(ptr::null_mut());
static CLAIMED: AtomicBool = AtomicBool::new(false);

impl Space {
    /// The arena.
    ///
    /// # Safety
    /// 1. The session that opened the space is not over.
    pub(crate) unsafe fn arena(&self) -> &'static dyn Arena {
        self.arena
    }

    /// A block of this space, as the arena gave it. The engine's own pointer may reach the block's
    /// bytes alone, and the arena looks in front of them.
    ///
    /// `None` for null.
    pub(crate) fn block(&self, block: *mut u8) -> Option<NonNull<u8>> {
        NonZero::new(block.addr()).map(|address| self.region.with_addr(address))
    }

    /// Whether a block that begins there is the arena's. No block begins at the region's first
    /// byte. What begins there is the memory that the region was made from, and its owner may
    /// free it after a session that was forgotten.
    fn holds(&self, address: usize) -> bool {
        self.from < address && address < self.to
    }
}

/// The open space.
pub(crate) fn current() -> Option<&'static Space> {
    // SAFETY: null, or a space that was leaked by `open` and that nobody writes to.
    unsafe { OPEN.load(Acquire).as_ref() }
}

/// The open space, if a block at that address is one of its arena's.
///
/// This takes no lock. The arena is asked only about blocks that are its own, so a lock of its
/// own is never taken twice on a thread.
pub(crate) fn of(block: *const u8) -> Option<&'static Space> {
    current().filter(|space| space.holds(block.addr()))
}

/// Notes that the system gave out a block. If the block lies in the open arena's region, then
/// the region is gone: its session was forgotten and not ended. The space closes.
///
/// Therefore no live block of the system ever lies in an open space.
pub(crate) fn given_by_the_system(block: *const u8, bytes: usize) {
    let Some(space) = current() else { return };
    let first = block.addr();
    let end = first.saturating_add(bytes.max(1));
    if !block.is_null() && first < space.to && space.from < end {
        close(space);
    }
}

/// The right to open a space. A program has one at a time.
pub(crate) fn claim() -> bool {
    !CLAIMED.swap(true, AcqRel)
}

/// Gives the right back.
pub(crate) fn release() {
    CLAIMED.store(false, std::sync::atomic::Ordering::Release);
}

/// Opens a space.
///
/// # Safety
/// 1. The caller has the claim.
/// 2. `region` is the arena's. No live block of the system lies in it.
/// 3. The arena outlives every use of a block that it serves, up to [`close`].
pub(crate) unsafe fn open(arena: &dyn Arena, region: NonNull<[u8]>) -> NonNull<Space> {
    // SAFETY: this only changes the lifetime. By 3 nobody relies on it for longer.
    let arena: &'static dyn Arena = unsafe { std::mem::transmute(arena) };
    // SAFETY: null, or a space that was leaked by this function and that nobody writes to.
    let _older = unsafe { LATEST.load(Acquire).as_ref() };
    let (region, bytes) = (region.cast::<u8>(), region.len());
    let from = region.addr().get();
    let space = Box::new(Space { region, from, to: from + bytes, arena, _older });
    let space = Box::into_raw(space);
    LATEST.store(space, std::sync::atomic::Ordering::Release);
    OPEN.store(space, std::sync::atomic::Ordering::Release);
    // SAFETY: a box is not null.
    unsafe { NonNull::new_unchecked(space) }
}

/// Closes the space, if it is the open one.
pub(crate) fn close(space: &Space) {
    let space = ptr::from_ref(space).cast_mut();
    let _ = OPEN.compare_exchange(space, ptr::null_mut(), AcqRel, Acquire);
}
