//! Slots: stacks reserved at build time, one thread a slot, joined before reuse.

use core::ffi::{c_int, c_void};
use core::ptr;

use wramp_core::measure::Bytes;
use wramp_core::platform::{Crew, Pin, StartError, Work};

use crate::config;

type Entry = extern "C" fn(*mut c_void, *mut c_void, *mut c_void);

unsafe extern "C" {
    fn wramp_thread_start(slot: usize, entry: Entry, work: *mut c_void, core: c_int) -> c_int;
    fn wramp_thread_join(slot: usize);
    fn wramp_stack_used(slot: usize) -> usize;
    safe fn wramp_stack_size() -> usize;
}

fn bytes(n: usize) -> Bytes {
    Bytes(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Bytes of a slot's stack as the linker placed it.
pub(crate) fn real_size() -> Bytes {
    bytes(wramp_stack_size())
}

/// Runs `lead` with a crew; joins every thread before it returns.
pub(crate) fn with_crew<W: Work, R>(work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R {
    lead(&mut Threads { work, running: [false; config::SLOTS] })
}

struct Threads<'c, W> {
    work: &'c W,
    running: [bool; config::SLOTS],
}

/// A slot's thread begins here.
extern "C" fn begin<W: Work>(work: *mut c_void, slot: *mut c_void, _: *mut c_void) {
    // SAFETY: `start` passes the work that the crew borrows, and the crew joins this
    // thread before it ends. Work is Sync.
    let work = unsafe { &*work.cast::<W>() };
    config::provoke();
    work.run(slot.addr());
}

impl<W: Work> Crew for Threads<'_, W> {
    fn start(&mut self, slot: usize, pin: Pin) -> Result<(), StartError> {
        let running = self.running.get_mut(slot).ok_or(StartError::NoSuchSlot)?;
        if *running {
            return Err(StartError::Busy);
        }
        let core = match pin {
            Pin::Free => -1,
            Pin::Core(core) if core < config::CORES => c_int::from(core),
            Pin::Core(_) => return Err(StartError::NoSuchCore),
        };
        let work = ptr::from_ref(self.work).cast_mut().cast();
        // SAFETY: the slot exists and its last thread was joined; `begin::<W>` takes
        // what `work` points to, which lives until the thread was joined.
        match unsafe { wramp_thread_start(slot, begin::<W>, work, core) } {
            0 => {
                *running = true;
                Ok(())
            }
            error => Err(StartError::Os(error)),
        }
    }

    fn join(&mut self, slot: usize) {
        if let Some(running) = self.running.get_mut(slot).filter(|running| **running) {
            // SAFETY: the slot's thread was created and not joined yet.
            unsafe { wramp_thread_join(slot) };
            *running = false;
        }
    }

    fn stack_used(&self, slot: usize) -> Option<Bytes> {
        // native_sim's threads run on stacks of the host.
        let known = !cfg!(CONFIG_ARCH_POSIX) && self.running.get(slot).is_some();
        // SAFETY: the bench asks for slots only that it started once, whose thread object
        // stays as it was when its thread ended.
        known.then(|| bytes(unsafe { wramp_stack_used(slot) }))
    }
}

impl<W> Drop for Threads<'_, W> {
    fn drop(&mut self) {
        for (slot, _) in self.running.iter().enumerate().filter(|(_, running)| **running) {
            // SAFETY: the slot's thread was created and not joined yet.
            unsafe { wramp_thread_join(slot) };
        }
    }
}
