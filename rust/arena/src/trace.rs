//! Records which blocks the start of an instance takes and gives back.
//!
//! An engine calls from any thread, and some targets have no compare-and-swap. So this uses
//! atomic loads and stores only. By contract one thread allocates while a trace is on. A
//! violation can make the figures wrong and does no other harm, because no code relies on them.

use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_core::measure::Bytes;

/// What happened to the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A block of this many bytes was taken.
    Take(u32),
    /// A block was given back: the one that `depth` live blocks of the instance are newer
    /// than. Thanks to this count, a replay needs no table of blocks.
    Give { depth: u32 },
    /// The instance runs.
    End,
}

/// The bit that marks the word of an [`Event::Give`].
const GIVE: u32 = 1 << 31;

impl Event {
    /// The word that encodes the event. `None` for a block of 2 GiB, which no instance has.
    fn word(self) -> Option<u32> {
        match self {
            Self::Take(bytes) => Some(bytes.max(1)).filter(|bytes| bytes & GIVE == 0),
            Self::Give { depth } => Some(depth | GIVE),
            Self::End => Some(0),
        }
    }

    fn of(word: u32) -> Self {
        match word {
            0 => Self::End,
            bytes if bytes & GIVE == 0 => Self::Take(bytes),
            depth => Self::Give { depth: depth & !GIVE },
        }
    }
}

/// The recorded starts of one or more instances, in order. A replay repeats them.
#[derive(Clone, Copy, Debug)]
pub struct Script<'t>(&'t [AtomicU32]);

impl<'t> Script<'t> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn events(self) -> impl Iterator<Item = Event> + Clone + 't {
        self.0.iter().map(|word| Event::of(word.load(Relaxed)))
    }
}

/// What an instance holds once it runs, in bytes that the engine asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its own copy of the module, which it held before its instantiation began.
    pub module: Bytes,
    /// Its execution environment.
    pub environment: Bytes,
    /// Everything that it holds, without what lies beside it.
    pub sum: Bytes,
}

/// Records how instances start, in at most `EVENTS` events.
///
/// Each block taken, each block given back, and the end of each start is an event. An event
/// takes 8 bytes on a 32-bit machine.
///
/// For several modules, record the first instance of each. A replay then starts them in turns.
#[derive(Debug)]
pub struct Trace<const EVENTS: usize> {
    on: AtomicBool,
    /// The events of the recorded instances, then those of the instance that is starting.
    words: [AtomicU32; EVENTS],
    /// For each taken block its address, or 0 once it was given back.
    blocks: [AtomicUsize; EVENTS],
    complete: AtomicUsize,
    written: AtomicUsize,
    /// The instance that is starting did something that a script cannot express.
    doubtful: AtomicBool,
    /// An instance that has started did so. Its events are not kept.
    partial: AtomicBool,
    module: AtomicU32,
    environment: AtomicU32,
    beside: AtomicU32,
}

/// The address of a block that is given back after the instance, and so never by an event.
const BESIDE: usize = usize::MAX;

impl<const EVENTS: usize> Trace<EVENTS> {
    /// A trace that is off and has recorded no instance.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            on: AtomicBool::new(false),
            words: [const { AtomicU32::new(0) }; EVENTS],
            blocks: [const { AtomicUsize::new(0) }; EVENTS],
            complete: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            doubtful: AtomicBool::new(false),
            partial: AtomicBool::new(false),
            module: AtomicU32::new(0),
            environment: AtomicU32::new(0),
            beside: AtomicU32::new(0),
        }
    }

    /// Turns the trace off and forgets all instances. Call it when a ramp begins.
    pub fn clear(&self) {
        self.on.store(false, Release);
        self.complete.store(0, Relaxed);
        self.partial.store(false, Relaxed);
    }

    /// Turns the trace on, because an instance starts. Call it before the load of the module
    /// if the instance has a copy of its own.
    ///
    /// Forgets an instance whose start did not [end](Self::end).
    pub fn begin(&self) {
        self.written.store(self.complete.load(Relaxed), Relaxed);
        self.doubtful.store(false, Relaxed);
        self.module.store(0, Relaxed);
        self.environment.store(0, Relaxed);
        self.beside.store(0, Relaxed);
        self.on.store(true, Release);
    }

    /// Notes that the instantiation begins. The blocks that are live now belong to the module.
    pub fn note_instance(&self) {
        if self.on.load(Acquire) {
            self.module.store(self.held(), Relaxed);
        }
    }

    /// Creates an execution environment and notes its bytes.
    pub fn note_environment<T>(&self, create: impl FnOnce() -> T) -> T {
        let before = self.held();
        let created = create();
        self.environment.store(self.held().saturating_sub(before), Relaxed);
        created
    }

    /// Turns the trace off, because the instance runs. Returns what the instance holds. `None`
    /// if the trace was off, or if the instance did something that a [script](Self::script)
    /// cannot express.
    pub fn end(&self) -> Option<Taken> {
        if !self.on.load(Acquire) {
            return None;
        }
        self.write(Event::End, 0);
        self.on.store(false, Release);
        if self.doubtful.load(Relaxed) {
            self.partial.store(true, Relaxed);
            return None;
        }
        let taken = Taken {
            module: Bytes(self.module.load(Relaxed)),
            environment: Bytes(self.environment.load(Relaxed)),
            sum: Bytes(self.held().saturating_sub(self.beside.load(Relaxed))),
        };
        self.complete.store(self.written.load(Relaxed), Relaxed);
        Some(taken)
    }

    /// The starts of all instances that run by now. `None` if there is none.
    ///
    /// Also `None` if an instance did something that a script cannot express: it made more
    /// events than fit into `EVENTS`, took a block of 2 GiB, or gave back a block that it had
    /// not taken.
    #[must_use]
    pub fn script(&self) -> Option<Script<'_>> {
        let words = self.words.get(..self.complete.load(Relaxed))?;
        (!words.is_empty() && !self.partial.load(Relaxed)).then_some(Script(words))
    }

    /// Notes a block that the host took for the instance that is starting. It is no part of what
    /// the instance holds, and it lives as long.
    pub fn taken_beside(&self, bytes: u32) {
        if self.on.load(Acquire) {
            self.write(Event::Take(bytes), BESIDE);
            let beside = self.beside.load(Relaxed).saturating_add(bytes);
            self.beside.store(beside, Relaxed);
        }
    }

    /// Notes that a block was taken. Failed allocations are not noted, because the same ones
    /// fail for the next instance.
    pub fn taken(&self, block: NonNull<u8>, bytes: u32) {
        if self.on.load(Acquire) {
            self.write(Event::Take(bytes), block.addr().get());
        }
    }

    /// Notes that a block is given back.
    pub fn given(&self, block: NonNull<u8>) {
        if !self.on.load(Acquire) {
            return;
        }
        let block = block.addr().get();
        let found = self.live().rev().zip(0..).find(|((_, at), _)| at.load(Relaxed) == block);
        match found {
            Some(((_, at), depth)) => {
                at.store(0, Relaxed);
                self.write(Event::Give { depth }, 0);
            }
            None => self.doubtful.store(true, Relaxed),
        }
    }

    fn write(&self, event: Event, block: usize) {
        let written = self.written.load(Relaxed);
        match (self.words.get(written), self.blocks.get(written), event.word()) {
            (Some(place), Some(at), Some(word)) => {
                place.store(word, Relaxed);
                at.store(block, Relaxed);
                self.written.store(written + 1, Relaxed);
            }
            _ => self.doubtful.store(true, Relaxed),
        }
    }

    /// The words and addresses of the starting instance's live blocks, oldest first.
    fn live(&self) -> impl DoubleEndedIterator<Item = (&AtomicU32, &AtomicUsize)> {
        let starting = self.complete.load(Relaxed)..self.written.load(Relaxed);
        let words = self.words.get(starting.clone()).unwrap_or_default();
        let blocks = self.blocks.get(starting).unwrap_or_default();
        words.iter().zip(blocks).filter(|(_, at)| at.load(Relaxed) != 0)
    }

    /// Bytes of the live blocks. The word of a taken block is its size.
    fn held(&self) -> u32 {
        self.live().map(|(word, _)| word.load(Relaxed)).fold(0, u32::saturating_add)
    }
}

impl<const EVENTS: usize> Default for Trace<EVENTS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn block(number: usize) -> NonNull<u8> {
        NonNull::without_provenance(core::num::NonZeroUsize::new(number * 8).unwrap())
    }

    fn events(script: Script<'_>) -> Vec<Event> {
        script.events().collect()
    }

    #[test]
    fn a_word_is_read_as_what_was_written() {
        for event in [
            Event::Take(1),
            Event::Take(GIVE - 1),
            Event::Give { depth: 0 },
            Event::Give { depth: 39 },
            Event::End,
        ] {
            assert_eq!(Event::of(event.word().unwrap()), event);
        }
        assert_eq!(Event::Take(GIVE).word(), None);
        assert_eq!(Event::Take(0).word(), Event::Take(1).word());
    }

    #[test]
    fn an_instance_is_noted_in_its_order_and_its_parts() {
        let trace = Trace::<16>::new();
        trace.taken(block(1), 7); // The trace is off, so this is not noted.
        trace.begin();
        trace.taken(block(2), 1_000);
        trace.taken(block(3), 64);
        trace.given(block(2));
        trace.note_instance();
        trace.taken(block(2), 500);
        trace.note_environment(|| trace.taken(block(4), 32));
        trace.given(block(3));
        let taken = Taken { module: Bytes(64), environment: Bytes(32), sum: Bytes(532) };
        assert_eq!(trace.end(), Some(taken));
        trace.given(block(2)); // The trace is off again.
        assert_eq!(
            events(trace.script().unwrap()),
            [
                Event::Take(1_000),
                Event::Take(64),
                Event::Give { depth: 1 },
                Event::Take(500),
                Event::Take(32),
                Event::Give { depth: 2 },
                Event::End
            ]
        );
        assert_eq!(trace.end(), None, "it is off");
    }

    #[test]
    fn what_lies_beside_an_instance_is_replayed_and_is_no_part_of_it() {
        let trace = Trace::<8>::new();
        trace.begin();
        trace.taken(block(1), 100);
        trace.taken_beside(262);
        trace.taken(block(2), 30);
        let taken = Taken { module: Bytes(0), environment: Bytes(0), sum: Bytes(130) };
        assert_eq!(trace.end(), Some(taken));
        let all = [Event::Take(100), Event::Take(262), Event::Take(30), Event::End];
        assert_eq!(events(trace.script().unwrap()), all);
        trace.begin();
        assert_eq!(trace.end().unwrap().sum, Bytes(0), "the next start has nothing beside it");
    }

    #[test]
    fn instances_follow_each_other_and_one_that_failed_is_forgotten() {
        let trace = Trace::<4>::new();
        assert!(trace.script().is_none());
        trace.begin();
        trace.taken(block(1), 10);
        assert!(trace.end().is_some());
        trace.begin();
        trace.taken(block(2), 99);
        trace.given(block(1)); // A block of another instance, but this start never ends.
        trace.begin();
        trace.taken(block(3), 30);
        assert!(trace.end().is_some());
        let both = [Event::Take(10), Event::End, Event::Take(30), Event::End];
        assert_eq!(events(trace.script().unwrap()), both);
        trace.clear();
        assert!(trace.script().is_none());
    }

    #[test]
    fn what_a_script_cannot_say_makes_none() {
        let attempt = |start: &dyn Fn(&Trace<5>)| {
            let trace = Trace::new();
            trace.begin();
            start(&trace);
            let known = trace.end().is_some();
            assert_eq!(trace.script().is_some(), known);
            // The next instance is recorded, but the script stays partial until the next ramp.
            trace.begin();
            assert!(trace.end().is_some());
            assert_eq!(trace.script().is_some(), known);
            trace.clear();
            trace.begin();
            assert!(trace.end().is_some() && trace.script().is_some());
            known
        };
        let takes =
            |count| move |trace: &Trace<5>| (1..=count).for_each(|n| trace.taken(block(n), 8));
        assert!(attempt(&takes(3)));
        assert!(!attempt(&takes(5)), "no room for the end");
        assert!(!attempt(&takes(9)), "no room for all");
        assert!(!attempt(&|trace| trace.given(block(1))), "not its own");
        assert!(!attempt(&|trace| trace.taken(block(1), GIVE)), "2 GiB");
    }
}
