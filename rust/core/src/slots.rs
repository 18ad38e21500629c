//! The seam to a machine's threads: stacks reserved at boot, one thread each.

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
    /// The operating system refused. Its error number.
    Os(i32),
}

/// What a slot's thread does. All slots of a crew share one value.
pub trait Work: Sync {
    /// Runs on the thread of `slot` until the owner of the work tells it to end.
    fn run(&self, slot: usize);
}

/// The threads of one ramp, each on its own reserved slot.
pub trait Crew {
    /// Starts the slot's thread. It runs on core `core` only, if one is named.
    ///
    /// # Errors
    /// See [`StartError`].
    fn start(&mut self, slot: usize, core: Option<u8>) -> Result<(), StartError>;

    /// Waits until the slot's thread has ended. The slot is then free again. Returns at once
    /// for a slot that was never started.
    fn join(&mut self, slot: usize);

    /// Ends the slot's thread wherever it is.
    ///
    /// True means that the thread will never run again and that the slot is free. What the
    /// thread owned is not given back. False means that the machine cannot end a thread, and it
    /// goes on.
    fn abort(&mut self, slot: usize) -> bool;

    /// The most bytes that the slot's stack held since its last start. `None` if this crew did
    /// not start it or the machine cannot tell. MUST be exact or an upper bound, never a guess.
    fn stack_used(&self, slot: usize) -> Option<Bytes>;
}

/// All stacks of a machine.
pub trait Slots {
    /// Number of stacks reserved at boot. It is 0 on a machine without threads.
    fn count(&self) -> usize;

    /// Bytes of each stack as reserved. This may be more than the knob asks for.
    fn real_size(&self) -> Bytes;

    /// Runs `lead` with a crew whose slots do `work`.
    ///
    /// Every started thread MUST be joined or aborted before this returns, however `lead` ends.
    /// The method borrows the stacks mutably, so two crews on the same stacks do not compile.
    fn with_crew<W: Work, R>(&mut self, work: &W, lead: impl FnOnce(&mut dyn Crew) -> R) -> R;
}
