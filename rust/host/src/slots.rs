//! Slots: stacks mapped before the ramp, one thread each, joined before reuse.

use std::ptr::NonNull;

use wramp_core::measure::Bytes;
use wramp_core::slots::{Crew, Slots, StartError, Work};

/// The byte that fills a stack before a thread gets it. Zephyr uses the same one.
const PAINT: u8 = 0xAA;
/// Added to the least stack that pthreads allow, as room for unoptimised frames of the engine
/// and of wramp.
///
/// A board's slot is a fraction of it, so a stack use measured here says nothing about a board.
/// ThreadSanitizer also keeps 900 KiB of its own state there.
const ROOM: usize = match option_env!("WRAMP_SANITIZE") {
    Some(name) if matches!(name.as_bytes(), b"thread") => 1 << 20,
    // One frame of an interpreter in Rust may take more than 64 KiB.
    _ if cfg!(debug_assertions) => 512 << 10,
    _ => 64 << 10,
};

/// One mapped stack with a guard page below it.
struct Stack {
    mapping: NonNull<u8>,
    mapped: usize,
    guard: usize,
}

// SAFETY: a stack is plain memory that its owner alone reaches. No thread is tied to it except
// while a crew runs, and a crew borrows it mutably.
unsafe impl Send for Stack {}

impl Stack {
    fn new(size: usize, page: usize) -> std::io::Result<Self> {
        let mapped = size + page;
        // SAFETY: an anonymous private mapping, at an address that the kernel chooses, touches
        // no memory that exists.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                -1,
                0,
            )
        };
        let mapping = NonNull::new(at.cast::<u8>())
            .filter(|_| at != libc::MAP_FAILED)
            .ok_or_else(std::io::Error::last_os_error)?;
        let stack = Self { mapping, mapped, guard: page };
        // SAFETY: the first page of our own mapping, in which nothing lies yet.
        if unsafe { libc::mprotect(at, page, libc::PROT_NONE) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(stack)
    }

    fn bottom(&self) -> *mut u8 {
        // SAFETY: the guard page lies within the mapping.
        unsafe { self.mapping.as_ptr().add(self.guard) }
    }

    fn size(&self) -> usize {
        self.mapped - self.guard
    }

    /// Fills it with [`PAINT`].
    ///
    /// # Safety
    /// 1. No thread runs on it.
    unsafe fn paint(&mut self) {
        // SAFETY: these bytes are mapped writable and ours. By 1 no thread uses them.
        unsafe { self.bottom().write_bytes(PAINT, self.size()) };
    }

    /// Bytes from the lowest one that was ever changed up to the top. A running thread may
    /// change more of them meanwhile. The result is then a lower bound.
    fn used(&self) -> usize {
        let clean = (0..self.size())
            // SAFETY: within the mapping. Volatile, because a thread may write there.
            .take_while(|&offset| unsafe { self.bottom().add(offset).read_volatile() } == PAINT)
            .count();
        self.size() - clean
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and every crew has joined its threads.
        unsafe { libc::munmap(self.mapping.as_ptr().cast(), self.mapped) };
    }
}

/// All stacks of a run.
///
/// A crew borrows them, so two crews on the same stacks do not compile:
///
/// ```compile_fail,E0499
/// # use wramp_core::slots::{Slots, Work};
/// # use wramp_host::slots::HostSlots;
/// # fn wrong(slots: &mut HostSlots, work: &impl Work) {
/// slots.with_crew(work, |outer| {
///     slots.with_crew(work, |inner| {
///         outer.start(0, None).unwrap();
///         inner.start(0, None).unwrap();
///     });
/// });
/// # }
/// ```
///
/// Two crews one after the other compile:
///
/// ```
/// # use wramp_core::slots::{Slots, Work};
/// # use wramp_host::slots::HostSlots;
/// # fn right(slots: &mut HostSlots, work: &impl Work) {
/// slots.with_crew(work, |crew| crew.start(0, None).unwrap());
/// slots.with_crew(work, |crew| crew.start(0, None).unwrap());
/// # }
/// ```
pub struct HostSlots {
    stacks: Vec<Stack>,
    cpus: Vec<usize>,
    real: Bytes,
}

/// The smallest slot stack that a run accepts for a board: what the engine needs there. On this
/// machine every stack has extra room.
#[must_use]
pub const fn least_stack() -> Bytes {
    Bytes(2048)
}

impl HostSlots {
    /// Maps `count` stacks of at least `size` bytes.
    ///
    /// # Errors
    /// The system's error when it has no more memory.
    pub fn new(count: u32, size: Bytes) -> std::io::Result<Self> {
        // SAFETY: sysconf only reads.
        let (page, least) = unsafe {
            (libc::sysconf(libc::_SC_PAGESIZE), libc::sysconf(libc::_SC_THREAD_STACK_MIN))
        };
        let page = usize::try_from(page).unwrap_or(4096);
        let least = usize::try_from(least).unwrap_or(libc::PTHREAD_STACK_MIN).max(16 * 1024);
        let real = (size.0 as usize)
            .max(least + ROOM)
            .checked_next_multiple_of(page)
            // The guard page is mapped together with the stack.
            .filter(|real| real.checked_add(page).is_some())
            .ok_or(std::io::ErrorKind::OutOfMemory)?;
        let stacks =
            (0..count).map(|_| Stack::new(real, page)).collect::<std::io::Result<Vec<_>>>()?;
        let real = Bytes(u32::try_from(real).unwrap_or(u32::MAX));
        Ok(Self { stacks, cpus: allowed_cpus(), real })
    }

    /// The number of stacks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stacks.len()
    }

    /// Whether there are no stacks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }
}

impl Slots for HostSlots {
    fn count(&self) -> usize {
        self.stacks.len()
    }

    fn real_size(&self) -> Bytes {
        self.real
    }

    fn with_crew<W: Work, R>(&mut self, work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R {
        let threads = (0..self.stacks.len()).map(|_| None).collect();
        let started = vec![false; self.stacks.len()];
        let Self { stacks, cpus, .. } = self;
        lead(&mut Threads { stacks, work, cpus, threads, started })
    }
}

/// What a thread receives. It stays valid until the thread is joined.
struct Order<W> {
    work: *const W,
    slot: usize,
    cpu: Option<usize>,
}

struct Running<W> {
    handle: libc::pthread_t,
    /// Boxed, so it stays where the thread found it.
    _order: Box<Order<W>>,
}

struct Threads<'c, W: Work> {
    stacks: &'c mut [Stack],
    work: &'c W,
    cpus: &'c [usize],
    threads: Vec<Option<Running<W>>>,
    /// Whether this crew ever started the slot. Before that, the stack holds another crew's
    /// traces or was never painted.
    started: Vec<bool>,
}

/// A slot's thread begins here.
extern "C" fn begin<W: Work>(order: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `start` passes a boxed order that lives until the thread was joined, and the
    // work it points to is borrowed for the crew's life, which joins before it ends.
    let (work, slot, cpu) = unsafe {
        let order = &*order.cast::<Order<W>>();
        (&*order.work, order.slot, order.cpu)
    };
    if let Some(cpu) = cpu {
        pin_to(cpu);
    }
    // A panic must not cross into pthread, and the process cannot go on without the slot.
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work.run(slot))).is_err() {
        std::process::abort();
    }
    std::ptr::null_mut()
}

fn pin_to(cpu: usize) {
    // SAFETY: an all-zero set is an empty one, CPU_SET checks its index, and the kernel only
    // reads the set. A refusal leaves the thread free, as Linux may at any time.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// The CPUs that this process may use.
#[must_use]
pub fn allowed_cpus() -> Vec<usize> {
    // SAFETY: the kernel fills our own set, and CPU_ISSET checks its index.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return vec![0];
        }
        let count = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
        (0..count).filter(|&cpu| libc::CPU_ISSET(cpu, &set)).collect()
    }
}

impl<W: Work> Crew for Threads<'_, W> {
    fn start(&mut self, slot: usize, core: Option<u8>) -> Result<(), StartError> {
        let stack = self.stacks.get_mut(slot).ok_or(StartError::NoSuchSlot)?;
        if self.threads[slot].is_some() {
            return Err(StartError::Busy);
        }
        let cpu = match core {
            None => None,
            Some(core) => Some(*self.cpus.get(usize::from(core)).ok_or(StartError::NoSuchCore)?),
        };
        // SAFETY: the slot is free. Every thread that an earlier crew started was joined before
        // that crew released the stacks.
        unsafe { stack.paint() };
        let order = Box::new(Order { work: std::ptr::from_ref(self.work), slot, cpu });
        // SAFETY: the attributes are initialised before use and destroyed after. The stack is
        // mapped, has at least the least size, and no other thread runs on it, because the slot
        // is free. The order outlives the thread, because only joining takes it out of
        // `threads`.
        let result = unsafe {
            let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
            let mut handle = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
            let mut result = libc::pthread_attr_init(attributes.as_mut_ptr());
            if result == 0 {
                result = libc::pthread_attr_setstack(
                    attributes.as_mut_ptr(),
                    stack.bottom().cast(),
                    stack.size(),
                );
                if result == 0 {
                    result = libc::pthread_create(
                        handle.as_mut_ptr(),
                        attributes.as_ptr(),
                        begin::<W>,
                        std::ptr::from_ref(&*order).cast_mut().cast(),
                    );
                }
                libc::pthread_attr_destroy(attributes.as_mut_ptr());
            }
            if result == 0 { Ok(handle.assume_init()) } else { Err(StartError::Os(result)) }
        };
        self.threads[slot] = Some(Running { handle: result?, _order: order });
        self.started[slot] = true;
        Ok(())
    }

    fn join(&mut self, slot: usize) {
        if let Some(running) = self.threads.get_mut(slot).and_then(Option::take) {
            // SAFETY: the handle belongs to a joinable thread that was not joined before.
            unsafe { libc::pthread_join(running.handle, std::ptr::null_mut()) };
        }
    }

    fn abort(&mut self, _slot: usize) -> bool {
        // Linux can end a thread only where the thread allows it.
        false
    }

    fn stack_used(&self, slot: usize) -> Option<Bytes> {
        let stack = self.stacks.get(slot).filter(|_| self.started[slot])?;
        u32::try_from(stack.used()).ok().map(Bytes)
    }
}

impl<W: Work> Drop for Threads<'_, W> {
    fn drop(&mut self) {
        // The lead unwound and left threads behind, and nobody will tell them to stop. They
        // cannot be ended, and returning would free what they use.
        if std::thread::panicking() && self.threads.iter().any(Option::is_some) {
            std::process::abort();
        }
        (0..self.threads.len()).for_each(|slot| self.join(slot));
    }
}
