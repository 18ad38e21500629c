//! The seam to a machine's threads: stacks reserved at boot, one thread a stack.

use crate::measure::Bytes;

/// Why a slot's thread could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The slot number is not below [`Slots::count`].
    NoSuchSlot,
    /// The slot's thread has not been joined yet.
    Busy,
    /// There is no such core to pin to.
    NoSuchCore,
    /// The operating system refused; its error number.
    Os(i32),
}

/// What a slot's thread does. One value is shared by all slots of a crew.
pub trait Work: Sync {
    /// Runs on the thread of `slot` until the work's owner tells it to end.
    fn run(&self, slot: usize);
}

/// The threads of one ramp, each on its own pre-allocated slot.
pub trait Crew {
    /// Starts the slot's thread, on core `core` only if one is named.
    ///
    /// # Errors
    /// See [`StartError`].
    fn start(&mut self, slot: usize, core: Option<u8>) -> Result<(), StartError>;

    /// Waits until the slot's thread has ended, after which the slot is free
    /// again. A slot that was never started returns at once.
    fn join(&mut self, slot: usize);

    /// Ends the slot's thread wherever it is. True if it will never run again, after which the
    /// slot is free; what the thread owned is not given back. False on a machine that cannot
    /// do that: the thread goes on.
    fn abort(&mut self, slot: usize) -> bool;

    /// Most bytes the slot's stack ever held since its last start, where there was one in
    /// this crew and the machine can tell. MUST be exact or an upper bound, never a guess.
    fn stack_used(&self, slot: usize) -> Option<Bytes>;
}

/// All stacks of a machine.
pub trait Slots {
    /// Stacks reserved at boot. May be 0: a machine without threads.
    fn count(&self) -> usize;

    /// Bytes of each stack as reserved, which may be more than the knob asks for.
    fn real_size(&self) -> Bytes;

    /// Runs `lead` with a crew whose slots do `work`. Every thread that was started is joined
    /// or aborted before this returns, however `lead` ends. It borrows the stacks mutably, so
    /// that two crews on the same stacks do not compile.
    fn with_crew<W: Work, R>(&mut self, work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R;
}
