//! Where all of the engine's memory comes from, and how WAMR reaches it.

use core::ffi::{c_uint, c_void};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use wramp_wamr_sys as sys;

/// The one arena of an engine. Functions and no value, for WAMR keeps plain
/// function pointers in global variables.
///
/// # Safety
///
/// WAMR writes to what it gets, from several threads, so an implementation must
/// see to it that:
///
/// 1. a block has at least the size asked for, is aligned to 8 bytes, shares no
///    byte with another live block, and stays until it is freed or reallocated;
/// 2. every function may be called from any thread at any time;
/// 3. no function unwinds, or calls into the engine.
pub unsafe trait Arena {
    /// A block of `size` bytes, never asked for 0; null if there is none.
    fn malloc(size: u32) -> *mut u8;

    /// The block in another size, its bytes kept up to the smaller of the two. Null
    /// if there is no room, and then the old block stays as it was.
    ///
    /// # Safety
    /// 1. `block` is a live block of this arena; `size` is not 0.
    unsafe fn realloc(block: *mut u8, size: u32) -> *mut u8;

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `block` is a live block of this arena.
    unsafe fn free(block: *mut u8);
}

/// How often the arena had no block, and how many bytes it was asked for last.
/// WAMR says "allocate memory failed" in some places and other things in others;
/// that the arena was asked in vain is certain.
///
/// Loads and stores only, since some targets have no compare-and-swap, so that of
/// several failures at once some may not be counted. Then WAMR's words decide.
static FAILURES: AtomicU32 = AtomicU32::new(0);
static LAST_BYTES: AtomicU32 = AtomicU32::new(0);

/// Watches for an allocation that fails.
pub(crate) struct Watch {
    failures: u32,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self { failures: FAILURES.load(Ordering::Relaxed) }
    }

    /// The size of the block that was not to be had. Another thread's failure counts
    /// too: the arena is one.
    pub(crate) fn failed(&self) -> Option<u32> {
        (FAILURES.load(Ordering::Relaxed) != self.failures)
            .then(|| LAST_BYTES.load(Ordering::Relaxed))
    }
}

/// Blocks that a [`Ledger`] has room for; an instance has about ten.
const ENTRIES: usize = 40;

/// The live blocks of one instance and their sizes as asked for, which the arena need
/// not know. Loads and stores only: it is on while one thread allocates, by contract of
/// `Runtime::note_parts`; if that is broken a sum is wrong and nothing else.
struct Ledger {
    on: AtomicBool,
    /// More blocks than entries: nothing can be said.
    full: AtomicBool,
    blocks: [AtomicUsize; ENTRIES],
    sizes: [AtomicU32; ENTRIES],
    /// Sum of the sizes when the instantiation began: a module's copy of its own.
    before_instance: AtomicU32,
    /// What the environment took.
    environment: AtomicU32,
}

static LEDGER: Ledger = Ledger {
    on: AtomicBool::new(false),
    full: AtomicBool::new(false),
    blocks: [const { AtomicUsize::new(0) }; ENTRIES],
    sizes: [const { AtomicU32::new(0) }; ENTRIES],
    before_instance: AtomicU32::new(0),
    environment: AtomicU32::new(0),
};

/// What a ledger says when it is closed, in bytes as asked for.
pub(crate) struct Noted {
    pub(crate) module: u32,
    pub(crate) environment: u32,
    pub(crate) sum: u32,
}

/// Opens the ledger, empty.
pub(crate) fn open_ledger() {
    LEDGER.blocks.iter().for_each(|block| block.store(0, Ordering::Relaxed));
    LEDGER.full.store(false, Ordering::Relaxed);
    LEDGER.before_instance.store(0, Ordering::Relaxed);
    LEDGER.environment.store(0, Ordering::Relaxed);
    LEDGER.on.store(true, Ordering::Release);
}

/// Closes it; `None` where it was not open, or not large enough.
pub(crate) fn close_ledger() -> Option<Noted> {
    let open = LEDGER.on.load(Ordering::Acquire);
    LEDGER.on.store(false, Ordering::Release);
    (open && !LEDGER.full.load(Ordering::Relaxed)).then(|| Noted {
        module: LEDGER.before_instance.load(Ordering::Relaxed),
        environment: LEDGER.environment.load(Ordering::Relaxed),
        sum: LEDGER.sum(),
    })
}

/// Notes that an instantiation begins.
pub(crate) fn note_instance() {
    if LEDGER.on.load(Ordering::Acquire) {
        LEDGER.before_instance.store(LEDGER.sum(), Ordering::Relaxed);
    }
}

/// Creates an environment and notes what it takes.
pub(crate) fn note_environment<T>(create: impl FnOnce() -> T) -> T {
    let before = LEDGER.sum();
    let created = create();
    LEDGER.environment.store(LEDGER.sum().saturating_sub(before), Ordering::Relaxed);
    created
}

impl Ledger {
    fn sum(&self) -> u32 {
        let live = self.blocks.iter().zip(&self.sizes);
        live.filter(|(block, _)| block.load(Ordering::Relaxed) != 0)
            .map(|(_, size)| size.load(Ordering::Relaxed))
            .sum()
    }

    fn find(&self, block: usize) -> Option<usize> {
        self.blocks.iter().position(|entry| entry.load(Ordering::Relaxed) == block)
    }

    fn add(&self, block: *mut u8, size: u32) {
        if !self.on.load(Ordering::Acquire) || block.is_null() {
            return;
        }
        match self.find(0) {
            Some(entry) => {
                self.sizes[entry].store(size, Ordering::Relaxed);
                self.blocks[entry].store(block.addr(), Ordering::Relaxed);
            }
            None => self.full.store(true, Ordering::Relaxed),
        }
    }

    fn remove(&self, block: *mut c_void) {
        if self.on.load(Ordering::Acquire)
            && !block.is_null()
            && let Some(entry) = self.find(block.addr())
        {
            self.blocks[entry].store(0, Ordering::Relaxed);
        }
    }
}

fn noted(block: *mut u8, size: u32) -> *mut c_void {
    LEDGER.add(block, size);
    if block.is_null() {
        LAST_BYTES.store(size, Ordering::Relaxed);
        FAILURES.store(FAILURES.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
    block.cast()
}

/// The arena as WAMR takes it.
pub(crate) fn functions<A: Arena>() -> sys::MemAllocFunctions {
    sys::MemAllocFunctions {
        malloc: malloc::<A>,
        realloc: realloc::<A>,
        free: free::<A>,
        user_data: core::ptr::null_mut(),
    }
}

/// C's `malloc`, but never null for 0 bytes: WAMR takes null for a failure.
unsafe extern "C" fn malloc<A: Arena>(size: c_uint) -> *mut c_void {
    noted(A::malloc(size.max(1)), size)
}

/// C's `realloc`.
///
/// # Safety
/// 1. `block` is null or a live block of the arena.
unsafe extern "C" fn realloc<A: Arena>(block: *mut c_void, size: c_uint) -> *mut c_void {
    if block.is_null() {
        return noted(A::malloc(size.max(1)), size);
    }
    // SAFETY: live by duty 1, for it is not null; at least 1 byte.
    let new = unsafe { A::realloc(block.cast(), size.max(1)) };
    if !new.is_null() {
        LEDGER.remove(block);
    }
    noted(new, size)
}

/// C's `free`.
///
/// # Safety
/// 1. `block` is null or a live block of the arena.
unsafe extern "C" fn free<A: Arena>(block: *mut c_void) {
    LEDGER.remove(block);
    if !block.is_null() {
        // SAFETY: live by duty 1, for it is not null.
        unsafe { A::free(block.cast()) };
    }
}
