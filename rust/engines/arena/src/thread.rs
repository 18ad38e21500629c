//! What this thread is doing: outside an engine, inside one, or in a call.
//!
//! The allocator looks at this for every block. So it has no destructor and needs no
//! allocation, and a look is a load.

use std::cell::Cell;
use std::ptr::NonNull;

/// Blocks that a lane keeps.
pub(crate) const KEPT: usize = 8;
/// The largest block that a lane keeps, in bytes. A larger one is a guest's memory.
pub(crate) const MOST_KEPT: usize = 8192;

/// What a thread inside an engine may take, and what it took.
#[derive(Clone, Copy)]
pub(crate) struct Visit {
    /// Whether the thread is inside at all.
    pub(crate) inside: bool,
    /// Whether it is in a call, whose blocks its lane keeps.
    pub(crate) in_call: bool,
    /// The largest block that the reserve serves.
    pub(crate) largest: u32,
    /// Bytes that are left of the reserve.
    pub(crate) reserve: u32,
    /// Bytes that the reserve served.
    pub(crate) overdraft: u32,
    /// Bytes that were refused.
    pub(crate) refused: u32,
}

impl Visit {
    /// Outside.
    pub(crate) const OUTSIDE: Self =
        Self { inside: false, in_call: false, largest: 0, reserve: 0, overdraft: 0, refused: 0 };
}

impl Visit {
    /// Whether the reserve serves so many bytes. Counts them either way.
    pub(crate) fn grant(&mut self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let granted = bytes <= self.largest && bytes <= self.reserve;
        if granted {
            self.reserve -= bytes;
            self.overdraft += bytes;
        } else {
            self.refused = self.refused.saturating_add(bytes);
        }
        granted
    }

    /// Counts what was refused.
    pub(crate) fn refuse(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.refused = self.refused.saturating_add(bytes);
    }
}

/// The blocks that a lane keeps: address and bytes.
pub(crate) type Kept = [Cell<Option<(NonNull<u8>, usize)>>; KEPT];

/// The state of one thread.
pub(crate) struct Thread {
    pub(crate) visit: Cell<Visit>,
    /// Whether the trace notes what this thread allocates.
    pub(crate) noting: Cell<bool>,
    /// Lanes of this thread, and the session that they belong to.
    pub(crate) lanes: Cell<usize>,
    pub(crate) session: Cell<u64>,
    pub(crate) kept: Kept,
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            visit: Cell::new(Visit::OUTSIDE),
            noting: Cell::new(false),
            lanes: Cell::new(0),
            session: Cell::new(0),
            kept: [const { Cell::new(None) }; KEPT],
        }
    };
}

/// Looks at this thread.
pub(crate) fn this<R>(look: impl FnOnce(&Thread) -> R) -> R {
    THREAD.with(look)
}

/// A thread inside an engine. Dropping it takes the thread back to where it was.
pub(crate) struct Inside {
    before: Visit,
}

impl Inside {
    /// Goes inside.
    pub(crate) fn enter(visit: Visit) -> Self {
        Self { before: this(|thread| thread.visit.replace(visit)) }
    }

    /// Goes back out. Returns what the visit came to.
    pub(crate) fn leave(self) -> Visit {
        this(|thread| thread.visit.get())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        this(|thread| thread.visit.set(self.before));
    }
}

impl Thread {
    /// A kept block of exactly that size.
    pub(crate) fn reuse(&self, bytes: usize) -> Option<NonNull<u8>> {
        let place =
            self.kept.iter().find(|place| place.get().is_some_and(|(_, size)| size == bytes))?;
        place.take().map(|(block, _)| block)
    }

    /// Keeps a block, if there is room. Says whether it did.
    pub(crate) fn keep(&self, block: NonNull<u8>, bytes: usize) -> bool {
        if bytes > MOST_KEPT {
            return false;
        }
        let place = self.kept.iter().find(|place| place.get().is_none());
        place.inspect(|place| place.set(Some((block, bytes)))).is_some()
    }
}
