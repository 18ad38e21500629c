//! A replay predicts the number of instances exactly and leaves no trace.

mod common;

use std::alloc::Layout;
use std::ptr::NonNull;

use common::{Region, TestArena, cases, whole};
use proptest::prelude::*;
use wramp_arena::{Arena, RawHeap, Trace, Watched, replay};
use wramp_core::measure::Bytes;

const EVENTS: usize = 256;

/// One step of a start. A `usize` selects one of the blocks that the start then holds.
#[derive(Clone, Copy, Debug)]
enum Step {
    Take(u32),
    Give(usize),
    Resize(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![8 => 1..300_u32, 2 => 300..4_000_u32];
    prop_oneof![
        5 => size().prop_map(Step::Take),
        3 => any::<usize>().prop_map(Step::Give),
        2 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize(which, size)),
    ]
}

type Start = Vec<Step>;

fn start() -> impl Strategy<Value = Start> {
    prop::collection::vec(step(), 1..20)
}

/// Starts an instance. Returns the blocks that it holds, or `None` if an allocation failed.
fn begin(arena: &impl Arena, start: &Start) -> Option<Vec<NonNull<u8>>> {
    let mut held = Vec::new();
    for &step in start {
        let done = match step {
            Step::Take(bytes) => arena.allocate(bytes).map(|block| held.push(block)).is_some(),
            Step::Give(_) | Step::Resize(..) if held.is_empty() => true,
            Step::Give(which) => {
                // SAFETY: live, and no longer in the list.
                unsafe { arena.free(held.swap_remove(which % held.len())) };
                true
            }
            Step::Resize(which, bytes) => {
                let which = which % held.len();
                // SAFETY: live, and replaced by the new block if there is one.
                let new = unsafe { arena.reallocate(held[which], bytes) };
                new.map(|new| held[which] = new).is_some()
            }
        };
        if !done {
            give_back(arena, held);
            return None;
        }
    }
    Some(held)
}

fn give_back(arena: &impl Arena, blocks: Vec<NonNull<u8>>) {
    for block in blocks {
        // SAFETY: the caller holds these blocks, so they are live.
        unsafe { arena.free(block) };
    }
}

/// Fills the arena, the largest blocks first. Returns the offsets of the blocks.
fn fill(arena: &impl Arena, base: usize) -> Vec<usize> {
    let sizes = [4_000, 1_000, 300, 100, 40, 8];
    sizes
        .into_iter()
        .flat_map(|bytes| std::iter::from_fn(move || arena.allocate(bytes)))
        .map(|block| block.addr().get() - base)
        .collect()
}

/// The outcome of a ramp: how many instances fit, and the offsets of all blocks.
#[derive(Debug, PartialEq)]
struct Ramp {
    fits: u32,
    blocks: Vec<usize>,
    rest: Vec<usize>,
}

/// Starts instances in what `before` left of the arena. With `ask`, first asks for a
/// prediction.
fn climb(size: usize, before: &Start, starts: &[Start], most: u32, ask: bool) -> Option<Ramp> {
    let mut region = Region::new(size);
    let region = region.at(0);
    let base = region.as_ptr().addr();
    let arena = Watched::<_, EVENTS>::new(TestArena::over(region));
    begin(&arena, before)?;
    let mut blocks = Vec::new();
    for start in starts {
        arena.trace.begin();
        let held = begin(&arena, start)?;
        let sum = arena.trace.end()?.sum;
        assert!(held.is_empty() == (sum == Bytes(0)));
        blocks.extend(held);
    }
    let predicted = ask.then(|| {
        let stats = arena.stats();
        let watch = arena.watch();
        let fits = arena.fits(most).unwrap();
        assert_eq!(arena.stats(), stats, "a replay was seen");
        assert_eq!(watch.failed(), None, "a replay's failure was counted");
        assert_eq!(arena.fits(most), Some(fits), "a second replay");
        fits
    });
    let mut fits = 0;
    for start in starts.iter().cycle().take(most as usize) {
        let Some(held) = begin(&arena, start) else { break };
        blocks.extend(held);
        fits += 1;
    }
    assert_eq!(predicted.unwrap_or(fits), fits);
    let blocks = blocks.iter().map(|block| block.addr().get() - base).collect();
    Some(Ramp { fits, blocks, rest: fill(&arena, base) })
}

proptest! {
    #![proptest_config(cases(if cfg!(debug_assertions) { 1_000 } else { 20_000 }))]

    #[test]
    fn a_replay_says_what_comes_and_changes_no_address(
        size in 1_000..60_000_usize,
        before in prop::collection::vec(step(), 0..40),
        starts in prop::collection::vec(start(), 1..4),
    ) {
        let most = if cfg!(miri) { 8 } else { 100 };
        let asked = climb(size, &before, &starts, most, true);
        let unasked = climb(size, &before, &starts, most, false);
        prop_assert_eq!(asked, unasked);
    }
}

#[test]
fn small_holes_that_a_large_block_does_not_fit_are_not_counted() {
    // The free bytes suffice for two more instances, but not in one piece. A formula says 2.
    let large = 1_000;
    let mut region = Region::new(4 * whole(large) as usize + 2 * whole(500) as usize);
    let arena = Watched::<_, EVENTS>::new(TestArena::over(region.at(0)));
    let holes = [(); 2].map(|()| {
        let hole = arena.allocate(500).unwrap();
        arena.allocate(large).unwrap();
        hole
    });
    arena.trace.begin();
    arena.allocate(large).unwrap();
    arena.trace.end().unwrap();
    for hole in holes {
        // SAFETY: live.
        unsafe { arena.free(hole) };
    }
    assert!(arena.stats().free.0 >= 2 * whole(large));
    assert_eq!(arena.fits(10), Some(1));
}

#[test]
fn thousands_of_instances_and_no_more_than_asked_for() {
    let many = if cfg!(miri) { 100 } else { 20_000 };
    let mut region = Region::new(whole(24) as usize * (many + 1));
    let arena = Watched::<_, EVENTS>::new(TestArena::over(region.at(0)));
    arena.trace.begin();
    arena.allocate(24).unwrap();
    arena.trace.end().unwrap();
    let many = u32::try_from(many).unwrap();
    for (most, fits) in [(0, 0), (1, 1), (many - 1, many - 1), (many, many), (many + 1, many)] {
        assert_eq!(arena.fits(most), Some(fits));
    }
    assert_eq!(arena.stats().blocks, 1);
}

#[test]
fn a_start_that_keeps_nothing_fits_as_often_as_asked() {
    let mut region = Region::new(1_000);
    let arena = Watched::<_, EVENTS>::new(TestArena::over(region.at(0)));
    assert_eq!(arena.fits(10), None, "nothing was recorded");
    arena.trace.begin();
    let block = arena.allocate(900).unwrap();
    // SAFETY: live.
    unsafe { arena.free(block) };
    arena.trace.end().unwrap();
    assert_eq!(arena.fits(77), Some(77));
    arena.allocate(100).unwrap();
    assert_eq!(arena.fits(77), Some(0), "it needs the room while it starts");
}

#[test]
fn a_failure_is_noted_with_its_size() {
    let mut region = Region::new(1_000);
    let arena = Watched::<_, EVENTS>::new(TestArena::over(region.at(0)));
    let watch = arena.watch();
    let block = arena.allocate(10).unwrap();
    assert_eq!(watch.failed(), None);
    assert!(arena.allocate(5_000).is_none());
    assert_eq!(watch.failed(), Some(5_000));
    let watch = arena.watch();
    assert_eq!(watch.failed(), None, "it was before");
    // SAFETY: live; a failed request leaves it as it was.
    assert!(unsafe { arena.reallocate(block, 6_000) }.is_none());
    assert_eq!(watch.failed(), Some(6_000));
}

#[test]
fn other_threads_are_kept_out_of_a_replay() {
    let mut region = Region::new(20_000);
    let arena = &Watched::<_, EVENTS>::new(TestArena::over(region.at(0)));
    arena.trace.begin();
    arena.allocate(500).unwrap();
    arena.trace.end().unwrap();
    std::thread::scope(|scope| {
        let others = [(); 2].map(|()| {
            scope.spawn(move || {
                for _ in 0..if cfg!(miri) { 5 } else { 2_000 } {
                    // This never fails, although a replay fills the arena meanwhile.
                    let block = arena.allocate(300).unwrap();
                    // SAFETY: live.
                    unsafe { arena.free(block) };
                }
            })
        });
        while !others.iter().all(|other| other.is_finished()) {
            assert!((35..40).contains(&arena.fits(100).unwrap()));
        }
    });
    assert_eq!(arena.stats().blocks, 1);
}

/// An allocator that checks its caller. It fails after `room` bytes, gives each block an
/// allocation of its own, and knows which blocks are live.
struct Strict {
    room: u32,
    live: Vec<(NonNull<u8>, Layout, u32)>,
    takes: Vec<u32>,
}

// SAFETY: 1 and 2: each block is an allocation of its own, of at least one word of 8 bytes,
// aligned to 8, and stays until it is given back. 3: the panic in `give` fails the test.
unsafe impl RawHeap for Strict {
    fn take(&mut self, bytes: u32) -> Option<NonNull<u8>> {
        self.room = self.room.checked_sub(bytes)?;
        let layout = Layout::array::<u64>((bytes as usize).div_ceil(8).max(1)).unwrap();
        // SAFETY: the layout has at least one word.
        let block = NonNull::new(unsafe { std::alloc::alloc(layout) }).unwrap();
        self.live.push((block, layout, bytes));
        self.takes.push(bytes);
        Some(block)
    }

    unsafe fn give(&mut self, block: NonNull<u8>) {
        let at = self.live.iter().position(|(live, ..)| *live == block).expect("it lives");
        let (block, layout, bytes) = self.live.swap_remove(at);
        self.room += bytes;
        // SAFETY: `take` allocated it with this layout. It has left the list, so this happens
        // once.
        unsafe { std::alloc::dealloc(block.as_ptr(), layout) };
    }
}

#[test]
fn any_allocator_is_asked_for_the_same_blocks_and_gets_them_back() {
    let trace = Trace::<16>::new();
    let block = |n: usize| NonNull::without_provenance(n.try_into().unwrap());
    trace.begin();
    trace.taken(block(8), 100);
    trace.taken(block(16), 50);
    trace.given(block(8));
    trace.taken(block(24), 20);
    trace.end().unwrap();
    let script = trace.script().unwrap();
    // An instance holds 70 and needs 150 at its start.
    for (room, fits) in [(149, 0), (150, 1), (219, 1), (220, 2), (290, 3), (1_000, 9)] {
        let mut heap = Strict { room, live: Vec::new(), takes: Vec::new() };
        assert_eq!(replay(&mut heap, script, 9), fits);
        assert_eq!((heap.room, heap.live.len()), (room, 0));
        let asked = [100, 50, 20].into_iter().cycle().take(3 * fits as usize);
        assert!(heap.takes.iter().copied().take(3 * fits as usize).eq(asked));
    }
}
