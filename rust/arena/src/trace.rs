//! Which blocks the start of an instance takes and gives back, in their order.
//!
//! Loads and stores only: some targets have no compare-and-swap, and an engine calls from
//! any thread. By contract one thread allocates while a trace is on. If that is broken the
//! figures may be wrong, and nothing else is: no code relies on them.

use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use wramp_core::measure::Bytes;

/// What happened to the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A block of so many bytes was taken.
    Take(u32),
    /// The block was given back that `depth` live ones of the instance were newer than.
    /// Counted so, a replay needs no table of blocks.
    Give { depth: u32 },
    /// The instance runs.
    End,
}

/// Set in the word of a give.
const GIVE: u32 = 1 << 31;

impl Event {
    /// The word that stands for it; `None` for a block of 2 GiB, which no instance has.
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

/// The starts of some instances, one after the other: what a replay repeats.
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

/// What an instance holds once it runs, in bytes as the engine asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it held before its instantiation began: its own copy of the module.
    pub module: Bytes,
    /// What its execution environment took.
    pub environment: Bytes,
    /// All of it.
    pub sum: Bytes,
}

/// Records how instances start, in at most `EVENTS` events: a take, a give, and one at the
/// end of each instance. An event takes 8 bytes on a 32-bit machine.
///
/// For several modules, record the first instance of each. The script then has them in turns.
#[derive(Debug)]
pub struct Trace<const EVENTS: usize> {
    on: AtomicBool,
    /// The instances that are complete, then the one that is starting.
    words: [AtomicU32; EVENTS],
    /// Beside the word of a take: where the block is, 0 once it was given back.
    blocks: [AtomicUsize; EVENTS],
    complete: AtomicUsize,
    written: AtomicUsize,
    /// The instance that is starting did what a script cannot say.
    doubtful: AtomicBool,
    /// So did one that was ended. Its words are not kept.
    partial: AtomicBool,
    module: AtomicU32,
    environment: AtomicU32,
}

impl<const EVENTS: usize> Trace<EVENTS> {
    /// A trace that is off and has no instance.
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
        }
    }

    /// Turns the trace off and forgets all instances: a ramp begins.
    pub fn clear(&self) {
        self.on.store(false, Release);
        self.complete.store(0, Relaxed);
        self.partial.store(false, Relaxed);
    }

    /// Turns the trace on: an instance starts, with the load of its module if it has its own.
    /// An instance whose start was not [ended](Self::end) is forgotten.
    pub fn begin(&self) {
        self.written.store(self.complete.load(Relaxed), Relaxed);
        self.doubtful.store(false, Relaxed);
        self.module.store(0, Relaxed);
        self.environment.store(0, Relaxed);
        self.on.store(true, Release);
    }

    /// Notes that the instantiation begins: what lives by now is the module's.
    pub fn note_instance(&self) {
        if self.on.load(Acquire) {
            self.module.store(self.held(), Relaxed);
        }
    }

    /// Creates an execution environment and notes what it takes.
    pub fn note_environment<T>(&self, create: impl FnOnce() -> T) -> T {
        let before = self.held();
        let created = create();
        self.environment.store(self.held().saturating_sub(before), Relaxed);
        created
    }

    /// Turns the trace off: the instance runs. What it holds; `None` if the trace was not on,
    /// or if the instance did what a [script](Self::script) cannot say.
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
            sum: Bytes(self.held()),
        };
        self.complete.store(self.written.load(Relaxed), Relaxed);
        Some(taken)
    }

    /// The starts of all instances that were ended. `None` if there is none, or if one did
    /// what a script cannot say: it did more than `EVENTS` have room for, took a block of
    /// 2 GiB, or gave a block back that it had not taken.
    #[must_use]
    pub fn script(&self) -> Option<Script<'_>> {
        let words = self.words.get(..self.complete.load(Relaxed))?;
        (!words.is_empty() && !self.partial.load(Relaxed)).then_some(Script(words))
    }

    /// Notes that a block was taken. What was asked for in vain is not noted: the next
    /// instance asks for it in vain again.
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

    /// The live blocks of the instance that is starting, oldest first: words and addresses.
    fn live(&self) -> impl DoubleEndedIterator<Item = (&AtomicU32, &AtomicUsize)> {
        let starting = self.complete.load(Relaxed)..self.written.load(Relaxed);
        let words = self.words.get(starting.clone()).unwrap_or_default();
        let blocks = self.blocks.get(starting).unwrap_or_default();
        words.iter().zip(blocks).filter(|(_, at)| at.load(Relaxed) != 0)
    }

    /// Bytes of the live blocks: the word of a take is its size.
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
        trace.taken(block(1), 7); // Off: not noted.
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
        trace.given(block(2)); // Off again.
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
    fn instances_follow_each_other_and_one_that_failed_is_forgotten() {
        let trace = Trace::<4>::new();
        assert!(trace.script().is_none());
        trace.begin();
        trace.taken(block(1), 10);
        assert!(trace.end().is_some());
        trace.begin();
        trace.taken(block(2), 99);
        trace.given(block(1)); // Not its own, but it does not come to its end.
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
            // The next instance is known, but the script stays partial until the next ramp.
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
