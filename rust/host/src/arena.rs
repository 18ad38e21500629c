//! The engine's memory: one fixed region of this process, and the arena in it.

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use wramp_arena::{Blocks, FirstFit};
use wramp_core::measure::Bytes;

use crate::machine::HostLock;

/// The arena of a Linux machine.
pub type HostArena<'r> = FirstFit<'r, HostLock<Blocks<'r>>>;

/// Memory from the system, zeroed, aligned to a page, given back on drop.
///
/// Its arena borrows it and an engine borrows the arena, so an engine that outlives its
/// region does not compile:
///
/// ```compile_fail,E0505
/// # use wramp_core::measure::Bytes;
/// # use wramp_host::arena::Region;
/// # use wramp_wamr::Engine;
/// let mut region = Region::new(Bytes(196_608)).unwrap();
/// let arena = region.arena();
/// let engine = Engine::new(&arena).unwrap();
/// drop(region);
/// drop(engine);
/// ```
///
/// In the right order it does:
///
/// ```
/// # use wramp_core::measure::Bytes;
/// # use wramp_host::arena::Region;
/// # use wramp_wamr::Engine;
/// let mut region = Region::new(Bytes(196_608)).unwrap();
/// let arena = region.arena();
/// let engine = Engine::new(&arena).unwrap();
/// drop(engine);
/// drop(arena);
/// drop(region);
/// ```
#[derive(Debug)]
pub struct Region {
    at: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the region is plain memory that its owner alone reaches. No thread is tied to it.
unsafe impl Send for Region {}

impl Region {
    /// Reserves a region of `size` bytes. A size of 0 gives a region of 1 byte. `None` if the
    /// system has no such region.
    #[must_use]
    pub fn new(size: Bytes) -> Option<Self> {
        let layout = Layout::from_size_align(size.0.max(1) as usize, 4096).ok()?;
        // SAFETY: the layout's size is not zero.
        let at = unsafe { std::alloc::alloc_zeroed(layout) };
        NonNull::new(at).map(|at| Self { at, layout })
    }

    /// Makes an arena in the region and borrows the region.
    #[must_use]
    pub fn arena(&mut self) -> HostArena<'_> {
        // SAFETY: the region has that many bytes and lives as long as it is borrowed. By `&mut
        // self` nobody else reaches it meanwhile.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(
                self.at.as_ptr().cast::<MaybeUninit<u8>>(),
                self.layout.size(),
            )
        };
        FirstFit::over(bytes)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout, and freed once.
        unsafe { std::alloc::dealloc(self.at.as_ptr(), self.layout) };
    }
}
