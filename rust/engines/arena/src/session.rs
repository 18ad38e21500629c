//! One engine's use of an arena, and the threads that are inside the engine.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use wramp_arena::{Arena, Trace};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Parts};

use crate::allocator::free;
use crate::error::out_of_memory;
use crate::space::{self, Space};
use crate::thread::{self, Inside, KEPT, Visit};

/// Events of a start that the trace holds. A start that loads a module of its own has some
/// hundred.
const EVENTS: usize = 2048;
/// How instances start in the open session.
pub(crate) static TRACE: Trace<EVENTS> = Trace::new();

/// Bytes that the reserve serves in one operation. A load or a start whose rest takes more than
/// that ends the program, as the engine has it.
const RESERVE_BYTES: u32 = 16 << 20;
/// The largest block that the reserve serves in a call. A guest that grows its memory asks for
/// more, and a refusal is what it can deal with.
const LARGEST_IN_CALL: u32 = 65_535;

/// A thread in a call.
const IN_CALL: Visit = Visit {
    inside: true,
    in_call: true,
    largest: LARGEST_IN_CALL,
    reserve: RESERVE_BYTES,
    ..Visit::OUTSIDE
};

static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// One engine's use of an arena. A program has one at a time.
///
/// The engine's values must go before their session does: see [`Session::run`].
#[derive(Debug)]
pub struct Session<'a> {
    space: NonNull<Space>,
    number: u64,
    overdraft: AtomicU32,
    arena: PhantomData<&'a dyn Arena>,
}

// SAFETY: a space is never freed and nobody writes to it. The arena in it is `Sync`.
unsafe impl Send for Session<'_> {}
// SAFETY: as above. The counter is atomic.
unsafe impl Sync for Session<'_> {}

impl<'a> Session<'a> {
    /// Opens a session on an arena, which it borrows.
    ///
    /// # Errors
    /// `Engine` if there is a session already, if nobody knows where the arena's region is, or
    /// if the program's allocator is not [`EngineAllocator`](crate::EngineAllocator).
    pub fn open(arena: &'a dyn Arena) -> Result<Self, Error> {
        let engine = |text| Error::new(ErrorKind::Engine, text);
        let region =
            arena.region().ok_or_else(|| engine("this arena does not say where its region is"))?;
        if !space::claim() {
            return Err(engine("an engine is in use: one at a time"));
        }
        // SAFETY: 1: claimed just above. 2: the arena says so, and it borrows its region, so no
        // block of the system is in it but the region itself, which its owner frees after the
        // arena is gone. 3: this session borrows the arena, and its blocks go before it does, by
        // the duty of `run` and `call`. A session that is forgotten keeps the claim and lets
        // nobody inside any more.
        let space = unsafe { space::open(arena, region) };
        let number = SESSIONS.fetch_add(1, Relaxed) + 1;
        let session = Self { space, number, overdraft: AtomicU32::new(0), arena: PhantomData };
        session.is_installed()?;
        Ok(session)
    }

    /// Whether the program's allocator is ours: a block from inside must lie in the arena.
    fn is_installed(&self) -> Result<(), Error> {
        // SAFETY: what it allocates is dropped inside.
        let found = unsafe {
            self.run(|| {
                let probe = std::hint::black_box(Box::new(0_u64));
                space::of(std::ptr::from_ref(&*probe).cast()).is_some()
            })
        };
        // An arena that has no room for eight bytes says so.
        match found? {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Engine,
                "the program's global allocator is not wramp's EngineAllocator",
            )),
        }
    }

    /// Runs the engine on this thread: to load a module, or to start or drop something.
    ///
    /// # Errors
    /// `OutOfMemory` if the arena could not serve all of it. What `run` returned is dropped
    /// then.
    ///
    /// # Safety
    /// 1. What the engine allocates in `run`, and what grows out of that, is dropped before
    ///    this session is, or never.
    pub unsafe fn run<R>(&self, run: impl FnOnce() -> R) -> Result<R, Error> {
        let visit = Visit {
            inside: true,
            largest: RESERVE_BYTES,
            reserve: RESERVE_BYTES,
            ..Visit::OUTSIDE
        };
        let inside = Inside::enter(visit);
        let made = run();
        let visit = inside.leave();
        self.count(visit);
        if visit.overdraft == 0 && visit.refused == 0 {
            return Ok(made);
        }
        drop(made);
        Err(out_of_memory(visit.overdraft.saturating_add(visit.refused)))
    }

    /// Starts an instance on this thread. It is as [`run`](Self::run), but a block of 64 KiB or
    /// more that the arena cannot serve is refused: that is a guest's memory or table, and
    /// engines report such a refusal. If `start` failed without one, its own error stands.
    ///
    /// # Errors
    /// `OutOfMemory` if the arena could not serve all of it.
    ///
    /// # Safety
    /// 1. As for [`run`](Self::run).
    pub unsafe fn start<T, E>(
        &self,
        start: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<T, E>, Error> {
        let inside = Inside::enter(Visit { in_call: false, ..IN_CALL });
        let made = start();
        let visit = inside.leave();
        self.count(visit);
        // A start function that asked for more memory in vain may have gone on without it.
        if visit.overdraft == 0 && (visit.refused == 0 || made.is_ok()) {
            return Ok(made);
        }
        drop(made);
        Err(out_of_memory(visit.overdraft.saturating_add(visit.refused)))
    }

    /// Calls a guest on this thread. The thread keeps the blocks that the call gives back for
    /// the next call, until its last lane goes.
    ///
    /// A block of 64 KiB or more that the arena cannot serve is refused: that is a guest that
    /// grows its memory, and it sees that it cannot. The call's result stands.
    ///
    /// # Errors
    /// `OutOfMemory` if the engine itself needed more than the arena has. Then the result is
    /// dropped.
    ///
    /// # Safety
    /// 1. As for [`run`](Self::run).
    #[inline]
    pub unsafe fn call<R>(
        &self,
        _lane: &mut Lane<'_>,
        call: impl FnOnce() -> R,
    ) -> Result<R, Error> {
        let inside = Inside::enter(IN_CALL);
        let result = call();
        let visit = inside.leave();
        // The first call is a part of its instance's start.
        if thread::this(|thread| thread.noting.take()) {
            TRACE.end();
        }
        if visit.overdraft == 0 {
            return Ok(result);
        }
        self.count(visit);
        drop(result);
        Err(out_of_memory(visit.overdraft))
    }

    /// A lane for calls on this thread. It begins with blocks of the sizes in `first`, which are
    /// those that every call takes and gives back. So the first call on a thread takes nothing
    /// more, whenever it comes.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn lane(&self, first: &[usize]) -> Result<Lane<'_>, Error> {
        thread::this(|thread| {
            // Another session's lane was forgotten on this thread: its blocks are gone.
            if thread.session.replace(self.number) != self.number {
                thread.lanes.set(0);
                thread.kept.iter().for_each(|place| place.set(None));
            }
            thread.lanes.set(thread.lanes.get() + 1);
        });
        let lane = Lane {
            session: self.number,
            space: self.space,
            _borrows: PhantomData,
            _here: PhantomData,
        };
        if thread::this(|thread| thread.lanes.get()) == 1 {
            let inside = Inside::enter(Visit { largest: RESERVE_BYTES, ..IN_CALL });
            let blocks: [Vec<u8>; KEPT] =
                std::array::from_fn(|at| Vec::with_capacity(first.get(at).copied().unwrap_or(0)));
            // All of them at once: the lane keeps one for each.
            drop(blocks);
            let visit = inside.leave();
            self.count(visit);
            if visit.overdraft > 0 || visit.refused > 0 {
                return Err(out_of_memory(visit.overdraft.saturating_add(visit.refused)));
            }
        }
        Ok(lane)
    }

    /// Bytes that the reserve served since this was last asked.
    pub fn take_overdraft(&self) -> Bytes {
        Bytes(self.overdraft.swap(0, Relaxed))
    }

    fn count(&self, visit: Visit) {
        if visit.overdraft > 0 {
            self.overdraft.fetch_add(visit.overdraft, Relaxed);
        }
    }

    /// Begins to note what this thread allocates for the start of an instance: see
    /// [`Runtime::note`](wramp_core::runtime::Runtime::note).
    pub fn note(&self, place: usize) {
        if place == 0 {
            TRACE.clear();
        }
        TRACE.begin();
        thread::this(|thread| thread.noting.set(true));
    }

    /// Ends the note of an instance without a stack of its own. An instance with its own stack
    /// is noted to the end of its first call, because that is when its stack grows. Its parts
    /// are not known before, so there are none.
    pub fn noted(&self, has_stack: bool) -> Option<Parts> {
        if has_stack {
            return None;
        }
        thread::this(|thread| thread.noting.set(false));
        let taken = TRACE.end()?;
        let instance = taken.sum.saturating_sub(taken.module);
        Some(Parts { module: taken.module, module_instance: instance, ..Parts::default() })
    }

    /// How many more instances fit: see
    /// [`Runtime::how_many_more`](wramp_core::runtime::Runtime::how_many_more).
    pub fn how_many_more(&self, most: u32) -> Option<u32> {
        // SAFETY: the session is not over, and the space is never freed.
        let arena = unsafe { self.space.as_ref().arena() };
        TRACE.script().map(|script| arena.replay(script, most))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // SAFETY: a space is never freed.
        space::close(unsafe { self.space.as_ref() });
        space::release();
    }
}

/// A thread's right to call guests, and the blocks that its calls gave back. They return to
/// the arena with the thread's last lane.
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<wramp_engine_arena::Lane>();
/// ```
#[derive(Debug)]
pub struct Lane<'s> {
    session: u64,
    space: NonNull<Space>,
    _borrows: PhantomData<&'s ()>,
    /// It belongs to one thread and does not leave it.
    _here: PhantomData<*mut ()>,
}

impl Lane<'_> {
    /// The sizes of the blocks that this thread keeps, in bytes.
    #[must_use]
    pub fn kept(&self) -> Vec<usize> {
        thread::this(|thread| {
            thread.kept.iter().filter_map(|place| place.get()).map(|(_, bytes)| bytes).collect()
        })
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        thread::this(|thread| {
            if thread.session.get() != self.session {
                return;
            }
            let lanes = thread.lanes.get().saturating_sub(1);
            thread.lanes.set(lanes);
            if lanes > 0 {
                return;
            }
            for (block, _) in thread.kept.iter().filter_map(|place| place.take()) {
                // SAFETY: the lane borrows its session, so that is not over. `give_back` kept
                // the block in this session, as it came from the arena, and it is in no other
                // place now.
                unsafe { free(thread, self.space.as_ref(), block) };
            }
        });
    }
}
