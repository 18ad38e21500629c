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

/// Records how instances start, in at most `EVENTS` words: a take, a give, and one at the
/// end of each instance.
///
/// For several modules, record the first instance of each. The script then has them in turns.
#[derive(Debug)]
pub struct Trace<const EVENTS: usize> {
    on: AtomicBool,
    words: [AtomicU32; EVENTS],
    /// Words of the instances that are complete.
    complete: AtomicUsize,
    /// Words with those of the instance that is starting.
    written: AtomicUsize,
    /// The instance that is starting did what a script cannot say.
    doubtful: AtomicBool,
    /// So did one of the complete ones.
    partial: AtomicBool,
    live: Live,
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
            complete: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            doubtful: AtomicBool::new(false),
            partial: AtomicBool::new(false),
            live: Live::new(),
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
        self.live.clear();
        self.module.store(0, Relaxed);
        self.environment.store(0, Relaxed);
        self.on.store(true, Release);
    }

    /// Notes that the instantiation begins: what lives by now is the module's.
    pub fn note_instance(&self) {
        if self.on.load(Acquire) {
            self.module.store(self.live.sum(), Relaxed);
        }
    }

    /// Creates an execution environment and notes what it takes.
    pub fn note_environment<T>(&self, create: impl FnOnce() -> T) -> T {
        let before = self.live.sum();
        let created = create();
        self.environment.store(self.live.sum().saturating_sub(before), Relaxed);
        created
    }

    /// Turns the trace off: the instance runs. What it holds; `None` if the trace was not on,
    /// or if the instance has more than 40 blocks.
    pub fn end(&self) -> Option<Taken> {
        if !self.on.load(Acquire) {
            return None;
        }
        self.write(Event::End);
        self.on.store(false, Release);
        self.complete.store(self.written.load(Relaxed), Relaxed);
        if self.doubtful.load(Relaxed) {
            self.partial.store(true, Relaxed);
        }
        self.live.is_complete().then(|| Taken {
            module: Bytes(self.module.load(Relaxed)),
            environment: Bytes(self.environment.load(Relaxed)),
            sum: Bytes(self.live.sum()),
        })
    }

    /// The starts of all instances that were ended. `None` if there is none, or if a start did
    /// more than a script can say: more events than `EVENTS`, more than 40 blocks, a block of
    /// 2 GiB, or a block given back that it had not taken.
    #[must_use]
    pub fn script(&self) -> Option<Script<'_>> {
        let words = self.words.get(..self.complete.load(Relaxed))?;
        (!words.is_empty() && !self.partial.load(Relaxed)).then_some(Script(words))
    }

    /// Notes that a block was taken. What was asked for in vain is not noted: the next
    /// instance asks for it in vain again.
    pub fn taken(&self, block: NonNull<u8>, bytes: u32) {
        if !self.on.load(Acquire) {
            return;
        }
        self.write(Event::Take(bytes));
        if !self.live.add(block.addr().get(), bytes) {
            self.doubtful.store(true, Relaxed);
        }
    }

    /// Notes that a block is given back.
    pub fn given(&self, block: NonNull<u8>) {
        if !self.on.load(Acquire) {
            return;
        }
        match self.live.remove(block.addr().get()) {
            Some(depth) => self.write(Event::Give { depth }),
            None => self.doubtful.store(true, Relaxed),
        }
    }

    fn write(&self, event: Event) {
        let written = self.written.load(Relaxed);
        match (self.words.get(written), event.word()) {
            (Some(place), Some(word)) => {
                place.store(word, Relaxed);
                self.written.store(written + 1, Relaxed);
            }
            _ => self.doubtful.store(true, Relaxed),
        }
    }
}

impl<const EVENTS: usize> Default for Trace<EVENTS> {
    fn default() -> Self {
        Self::new()
    }
}

/// Most live blocks of an instance; it has about ten, and a load a few more.
const MOST_LIVE: usize = 40;

/// The live blocks of the instance that is starting, oldest first.
#[derive(Debug)]
struct Live {
    blocks: [AtomicUsize; MOST_LIVE],
    bytes: [AtomicU32; MOST_LIVE],
    count: AtomicUsize,
    /// A block found no room here.
    crowded: AtomicBool,
}

impl Live {
    const fn new() -> Self {
        Self {
            blocks: [const { AtomicUsize::new(0) }; MOST_LIVE],
            bytes: [const { AtomicU32::new(0) }; MOST_LIVE],
            count: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
        }
    }

    fn clear(&self) {
        self.count.store(0, Relaxed);
        self.crowded.store(false, Relaxed);
    }

    fn is_complete(&self) -> bool {
        !self.crowded.load(Relaxed)
    }

    fn sum(&self) -> u32 {
        let live = self.bytes.iter().take(self.count.load(Relaxed));
        live.map(|bytes| bytes.load(Relaxed)).fold(0, u32::saturating_add)
    }

    /// Adds a block as the newest; whether there was room.
    fn add(&self, block: usize, bytes: u32) -> bool {
        let count = self.count.load(Relaxed);
        let (Some(at), Some(size)) = (self.blocks.get(count), self.bytes.get(count)) else {
            self.crowded.store(true, Relaxed);
            return false;
        };
        at.store(block, Relaxed);
        size.store(bytes, Relaxed);
        self.count.store(count + 1, Relaxed);
        true
    }

    /// Removes a block and says how many are newer; `None` if it is not here.
    fn remove(&self, block: usize) -> Option<u32> {
        let count = self.count.load(Relaxed);
        let mut live = self.blocks.iter().take(count);
        let found = live.position(|at| at.load(Relaxed) == block)?;
        for newer in found + 1..count.min(MOST_LIVE) {
            self.blocks[newer - 1].store(self.blocks[newer].load(Relaxed), Relaxed);
            self.bytes[newer - 1].store(self.bytes[newer].load(Relaxed), Relaxed);
        }
        let newer = count - 1 - found;
        self.count.store(count - 1, Relaxed);
        u32::try_from(newer).ok()
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
        let attempt = |start: fn(&Trace<60>)| {
            let trace = Trace::new();
            trace.begin();
            start(&trace);
            let taken = trace.end();
            (taken.map(|taken| taken.sum.0), trace.script().is_some())
        };
        let takes =
            |trace: &Trace<60>, count| (0..count).for_each(|n| trace.taken(block(n + 1), 8));
        assert_eq!(attempt(|trace| trace.given(block(1))), (Some(0), false), "not its own");
        assert_eq!(attempt(|trace| trace.taken(block(1), GIVE)), (Some(GIVE), false), "2 GiB");
        let full = |trace: &Trace<60>| {
            for _ in 0..30 {
                trace.taken(block(1), 8);
                trace.given(block(1));
            }
        };
        assert_eq!(attempt(full), (Some(0), false), "no word is left for the end");
        // The parts are known up to 40 blocks.
        let trace = Trace::<60>::new();
        for (count, known) in [(40, true), (41, false)] {
            trace.clear();
            trace.begin();
            takes(&trace, count);
            assert_eq!((trace.end().is_some(), trace.script().is_some()), (known, known));
        }
        // A clear makes good what an instance spoiled.
        trace.clear();
        trace.begin();
        takes(&trace, 1);
        assert!(trace.end().is_some() && trace.script().is_some());
    }
}
