//! An arena that records failed allocations, and the order of all others.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::{Arena, ArenaStats, Script, Trace};

/// An arena, its failed allocations, and a [`Trace`] of at most `EVENTS` events.
///
/// An engine reports a failed allocation in various words, and sometimes as another error. The
/// arena knows for certain whether it had no block.
#[derive(Debug)]
pub struct Watched<A, const EVENTS: usize> {
    arena: A,
    /// How instances start.
    pub trace: Trace<EVENTS>,
    // Atomic loads and stores only, because some targets have no compare-and-swap. If several
    // threads fail at once, some failures may not be counted. The engine's message then
    // decides.
    failures: AtomicU32,
    last_bytes: AtomicU32,
}

impl<A: Arena, const EVENTS: usize> Watched<A, EVENTS> {
    /// Watches the use of an arena. Give it a reference to an arena to share it.
    pub const fn new(arena: A) -> Self {
        Self {
            arena,
            trace: Trace::new(),
            failures: AtomicU32::new(0),
            last_bytes: AtomicU32::new(0),
        }
    }

    /// The arena inside. Nothing records a use of it through this reference.
    pub const fn arena(&self) -> &A {
        &self.arena
    }

    /// Watches for failed allocations from now on.
    pub fn watch(&self) -> Watch<'_> {
        let (failures, last_bytes) = (&self.failures, &self.last_bytes);
        Watch { before: failures.load(Relaxed), failures, last_bytes }
    }

    /// How many allocations have failed so far, modulo 2^32. Of several at once some may not be
    /// counted.
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// How many more instances fit, up to `most`, if they start as the trace recorded. `None`
    /// if the trace has no script.
    pub fn fits(&self, most: u32) -> Option<u32> {
        self.trace.script().map(|script| self.arena.replay(script, most))
    }

    fn note_taken(&self, block: Option<NonNull<u8>>, bytes: u32) {
        match block {
            Some(block) => self.trace.taken(block, bytes),
            None => {
                self.last_bytes.store(bytes, Relaxed);
                self.failures.store(self.failures.load(Relaxed).wrapping_add(1), Relaxed);
            }
        }
    }
}

/// Watches for failed allocations since it was made.
#[derive(Debug)]
pub struct Watch<'a> {
    before: u32,
    failures: &'a AtomicU32,
    last_bytes: &'a AtomicU32,
}

impl Watch<'_> {
    /// The size of the last failed allocation, if one failed since the watch began. Failures
    /// of all threads count, because they share the arena.
    #[must_use]
    pub fn failed(&self) -> Option<u32> {
        (self.failures.load(Relaxed) != self.before).then(|| self.last_bytes.load(Relaxed))
    }
}

// SAFETY: every method calls the arena inside, which fulfils all duties. Taking notes neither
// unwinds nor calls the engine.
unsafe impl<A: Arena, const EVENTS: usize> Arena for Watched<A, EVENTS> {
    fn allocate(&self, bytes: u32) -> Option<NonNull<u8>> {
        let block = self.arena.allocate(bytes);
        self.note_taken(block, bytes);
        block
    }

    unsafe fn reallocate(&self, block: NonNull<u8>, bytes: u32) -> Option<NonNull<u8>> {
        // SAFETY: the caller's duty is the same.
        let new = unsafe { self.arena.reallocate(block, bytes) };
        self.note_taken(new, bytes);
        if new.is_some() {
            self.trace.given(block);
        }
        new
    }

    unsafe fn free(&self, block: NonNull<u8>) {
        // Before the free, because another thread may get the block right after it.
        self.trace.given(block);
        // SAFETY: the caller's duty is the same.
        unsafe { self.arena.free(block) };
    }

    fn stats(&self) -> ArenaStats {
        self.arena.stats()
    }

    fn reset_low_water(&self) {
        self.arena.reset_low_water();
    }

    fn replay(&self, script: Script<'_>, most: u32) -> u32 {
        self.arena.replay(script, most)
    }

    fn corrupt(&self) -> u32 {
        self.arena.corrupt()
    }

    #[cfg(feature = "region")]
    fn region(&self) -> Option<NonNull<[u8]>> {
        self.arena.region()
    }
}
