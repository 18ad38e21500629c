//! Slots: stacks reserved at build time, one thread each, joined before reuse.

use core::ffi::{c_int, c_void};
use core::ptr;

use wramp_core::measure::Bytes;
use wramp_core::slots::{Crew, Slots, StartError, Work};
use zephyr::sync::Mutex;

use crate::{arena, config};

type Entry = extern "C" fn(*mut c_void, *mut c_void, *mut c_void);

unsafe extern "C" {
    fn wramp_thread_start(slot: usize, entry: Entry, work: *mut c_void, core: c_int) -> c_int;
    fn wramp_thread_join(slot: usize);
    fn wramp_thread_abort(slot: usize);
    fn wramp_stack_used(slot: usize) -> usize;
    safe fn wramp_stack_size() -> usize;
}

fn bytes(n: usize) -> Bytes {
    Bytes(u32::try_from(n).unwrap_or(u32::MAX))
}

/// All stacks of the machine. Only one value of this type exists.
pub(crate) struct ZephyrSlots(());

static TAKEN: Mutex<bool> = Mutex::new(false);

impl ZephyrSlots {
    /// Returns the stacks at the first call, and `None` afterwards.
    pub(crate) fn take() -> Option<Self> {
        let Ok(mut taken) = TAKEN.lock();
        (!core::mem::replace(&mut *taken, true)).then_some(Self(()))
    }
}

impl Slots for ZephyrSlots {
    fn count(&self) -> usize {
        config::SLOTS
    }

    fn real_size(&self) -> Bytes {
        bytes(wramp_stack_size())
    }

    fn with_crew<W: Work, R>(&mut self, work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R {
        lead(&mut Threads { work, slots: [Slot::Unused; config::SLOTS], _stacks: self })
    }
}

/// What a crew knows about a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// This crew never started it.
    Unused,
    /// Its thread was started and not joined.
    Running,
    /// Its thread has ended.
    Ended,
}

/// The crew. It borrows the stacks, so it is the only crew.
struct Threads<'c, W> {
    work: &'c W,
    slots: [Slot; config::SLOTS],
    _stacks: &'c mut ZephyrSlots,
}

/// A slot's thread begins here.
extern "C" fn begin<W: Work>(work: *mut c_void, slot: *mut c_void, _: *mut c_void) {
    // SAFETY: `start` passes the work that the crew borrows, and the crew joins this thread
    // before it ends. Work is Sync.
    let work = unsafe { &*work.cast::<W>() };
    config::provoke();
    work.run(slot.addr());
}

impl<W: Work> Crew for Threads<'_, W> {
    fn start(&mut self, slot: usize, core: Option<u8>) -> Result<(), StartError> {
        let state = self.slots.get_mut(slot).ok_or(StartError::NoSuchSlot)?;
        if *state == Slot::Running {
            return Err(StartError::Busy);
        }
        let core = match core {
            None => -1,
            Some(core) if core < config::CORES => c_int::from(core),
            Some(_) => return Err(StartError::NoSuchCore),
        };
        let work = ptr::from_ref(self.work).cast_mut().cast();
        // SAFETY: the slot exists. Its last thread was joined or aborted, by this crew or
        // before an earlier one released the stacks. `begin::<W>` takes what `work` points to,
        // which lives until this thread is joined or aborted.
        match unsafe { wramp_thread_start(slot, begin::<W>, work, core) } {
            0 => {
                *state = Slot::Running;
                Ok(())
            }
            error => Err(StartError::Os(error)),
        }
    }

    fn join(&mut self, slot: usize) {
        if let Some(state) = self.slots.get_mut(slot).filter(|state| **state == Slot::Running) {
            // SAFETY: the slot's thread was created and not joined yet.
            unsafe { wramp_thread_join(slot) };
            *state = Slot::Ended;
        }
    }

    fn abort(&mut self, slot: usize) -> bool {
        if let Some(state) = self.slots.get_mut(slot).filter(|state| **state == Slot::Running) {
            // A thread that ended while it holds the arena would keep it for ever.
            // SAFETY: the slot's thread was created and not joined yet. It never uses again
            // what it borrows, and what it owns is forgotten, as with `core::mem::forget`.
            arena::while_idle(|| unsafe { wramp_thread_abort(slot) });
            *state = Slot::Ended;
        }
        true
    }

    fn stack_used(&self, slot: usize) -> Option<Bytes> {
        // native_sim's threads run on stacks of the host.
        let known = !cfg!(CONFIG_ARCH_POSIX)
            && self.slots.get(slot).is_some_and(|state| *state != Slot::Unused);
        // SAFETY: this crew started the slot. Its thread object stays as it was when its thread
        // ended.
        known.then(|| bytes(unsafe { wramp_stack_used(slot) }))
    }
}

impl<W> Drop for Threads<'_, W> {
    fn drop(&mut self) {
        for (slot, _) in self.slots.iter().enumerate().filter(|(_, state)| **state == Slot::Running)
        {
            // SAFETY: the slot's thread was created and not joined yet.
            unsafe { wramp_thread_join(slot) };
        }
    }
}
