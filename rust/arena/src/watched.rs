//! An arena whose user is watched: what it asked for in vain, and in which order.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::{Arena, ArenaStats, Script, Trace};

/// An arena, the failures of its allocations, and a [`Trace`] of at most `EVENTS` events.
///
/// An engine says "allocate memory failed" in some places and other things in others. That
/// the arena had no block is certain.
#[derive(Debug)]
pub struct Watched<A, const EVENTS: usize> {
    arena: A,
    /// How instances start.
    pub trace: Trace<EVENTS>,
    // Loads and stores only, since some targets have no compare-and-swap. Of several
    // failures at once some may not be counted. Then the engine's words decide.
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

    /// The arena itself, whose use through this is not noted.
    pub const fn arena(&self) -> &A {
        &self.arena
    }

    /// Watches for an allocation that fails from now on.
    pub fn watch(&self) -> Watch<'_> {
        let (failures, last_bytes) = (&self.failures, &self.last_bytes);
        Watch { before: failures.load(Relaxed), failures, last_bytes }
    }

    /// How many more instances fit, up to `most`, if they start as the trace has it. `None`
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

/// Watches for an allocation that fails.
#[derive(Debug)]
pub struct Watch<'a> {
    before: u32,
    failures: &'a AtomicU32,
    last_bytes: &'a AtomicU32,
}

impl Watch<'_> {
    /// The size of the block that was last asked for in vain, if one was since the watch
    /// began. Another thread's failure counts too: the arena is one.
    #[must_use]
    pub fn failed(&self) -> Option<u32> {
        (self.failures.load(Relaxed) != self.before).then(|| self.last_bytes.load(Relaxed))
    }
}

// SAFETY: all duties are those of the arena inside, to which every method goes. To take notes
// neither unwinds nor calls the engine.
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
        // Before it is free: then it may already be another thread's.
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
}
