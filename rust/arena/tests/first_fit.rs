//! The arena's figures are exact, and a block belongs to its caller alone.

mod common;

use std::collections::BTreeMap;
use std::ptr::NonNull;

use common::{Region, TestArena, cases, whole};
use proptest::prelude::*;
use wramp_arena::{Arena, ArenaStats, FirstFit, HEADER, UNIT};
use wramp_core::measure::Bytes;

#[derive(Clone, Debug)]
enum Operation {
    Allocate(u32),
    Free(usize),
    Reallocate(usize, u32),
    ResetLowWater,
}

fn operation() -> impl Strategy<Value = Operation> {
    let size = prop_oneof![6 => 1..200_u32, 3 => 200..5_000_u32, 1 => 5_000..70_000_u32];
    prop_oneof![
        5 => size.clone().prop_map(Operation::Allocate),
        4 => any::<usize>().prop_map(Operation::Free),
        3 => (any::<usize>(), size).prop_map(|(which, size)| Operation::Reallocate(which, size)),
        1 => Just(Operation::ResetLowWater),
    ]
}

struct Block {
    at: NonNull<u8>,
    size: u32,
    fill: u8,
}

impl Block {
    fn new(at: NonNull<u8>, size: u32, fill: u8) -> Self {
        assert!(at.addr().get().is_multiple_of(8));
        // SAFETY: a live block of that size, which nobody else uses.
        unsafe { at.write_bytes(fill, size as usize) };
        Self { at, size, fill }
    }

    /// Whether the first `bytes` bytes still hold what was written.
    fn intact(&self, bytes: u32) -> bool {
        // SAFETY: a live block of at least that size.
        let content = unsafe { std::slice::from_raw_parts(self.at.as_ptr(), bytes as usize) };
        content.iter().all(|&byte| byte == self.fill)
    }
}

/// The figures that the arena must report.
struct Model {
    size: u32,
    free: u32,
    low: u32,
    live: Vec<Block>,
}

impl Model {
    fn take(&mut self, size: u32) {
        self.free -= whole(size);
        self.low = self.low.min(self.free);
    }

    fn check(&mut self, arena: &TestArena<'_>) {
        let stats = arena.stats();
        let used: u32 = self.live.iter().map(|block| whole(block.size)).sum();
        assert_eq!(self.free, self.size - used);
        let expected = ArenaStats {
            size: Bytes(self.size),
            free: Bytes(self.free),
            low_water: Bytes(self.low),
            largest: stats.largest,
            blocks: self.live.len().try_into().unwrap(),
        };
        assert_eq!(stats, expected);
        assert!(self.live.iter().all(|block| block.intact(block.size)), "a block was written to");
        let ends: BTreeMap<usize, usize> = self
            .live
            .iter()
            .map(|block| (block.at.addr().get(), block.at.addr().get() + block.size as usize))
            .collect();
        assert!(
            ends.iter().zip(ends.keys().skip(1)).all(|((_, end), next)| end + HEADER <= *next),
            "blocks overlap"
        );
        assert_eq!(ends.len(), self.live.len());

        // An allocation of the largest size succeeds, one byte more fails, and neither leaves a
        // trace.
        let largest = stats.largest.0;
        assert!(arena.allocate(largest + 1).is_none());
        if largest > 0 {
            let at = arena.allocate(largest).unwrap();
            // SAFETY: allocated just above.
            unsafe { arena.free(at) };
            // That allocation may have lowered the low-water mark.
            self.low = self.low.min(self.free - whole(largest));
        }
        assert_eq!(arena.stats(), ArenaStats { low_water: Bytes(self.low), ..stats });
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_figures_are_exact(
        size in 256..100_000_u32,
        skew in 0..UNIT,
        operations in prop::collection::vec(operation(), 1..if cfg!(miri) { 25 } else { 120 }),
    ) {
        let mut region = Region::new(size as usize);
        let arena = TestArena::over(region.at(skew));
        let unit = UNIT as u32;
        let lost = (skew as u32).next_multiple_of(unit) - skew as u32;
        let size = (size - lost) / unit * unit;
        let mut model = Model { size, free: size, low: size, live: Vec::new() };
        for (number, operation) in operations.into_iter().enumerate() {
            let fill = number as u8 + 1;
            let largest = arena.stats().largest.0;
            match operation {
                Operation::Allocate(size) => {
                    let at = arena.allocate(size);
                    prop_assert_eq!(at.is_none(), size > largest);
                    if let Some(at) = at {
                        model.take(size);
                        model.live.push(Block::new(at, size, fill));
                    }
                }
                Operation::Free(which) if !model.live.is_empty() => {
                    let block = model.live.swap_remove(which % model.live.len());
                    // SAFETY: live until now.
                    unsafe { arena.free(block.at) };
                    model.free += whole(block.size);
                }
                Operation::Reallocate(which, size) if !model.live.is_empty() => {
                    let which = which % model.live.len();
                    let old = &model.live[which];
                    // SAFETY: live, and replaced by the new block if there is one.
                    match unsafe { arena.reallocate(old.at, size) } {
                        None => prop_assert!(size > largest, "there was room"),
                        Some(at) => {
                            let kept = Block { at, size, fill: old.fill };
                            prop_assert!(kept.intact(size.min(old.size)));
                            let given_back = whole(old.size);
                            model.take(size);
                            model.free += given_back;
                            model.live[which] = Block::new(at, size, fill);
                        }
                    }
                }
                Operation::Free(_) | Operation::Reallocate(..) => {}
                Operation::ResetLowWater => {
                    arena.reset_low_water();
                    model.low = model.free;
                }
            }
            model.check(&arena);
        }
        for block in model.live.drain(..) {
            // SAFETY: live until now.
            unsafe { arena.free(block.at) };
        }
        let stats = arena.stats();
        prop_assert_eq!((stats.free, stats.blocks), (Bytes(size), 0));
        // All freed blocks have been joined into one hole of the whole size.
        prop_assert_eq!(stats.largest, Bytes(size - HEADER as u32));
        prop_assert_eq!(arena.corrupt(), 0);
    }
}

/// The figures, and the holes as the next allocations show them.
fn state(arena: &TestArena<'_>) -> (ArenaStats, Vec<usize>) {
    let stats = arena.stats();
    let blocks: Vec<_> = std::iter::from_fn(|| arena.allocate(8)).collect();
    for &block in &blocks {
        // SAFETY: allocated just above.
        unsafe { arena.free(block) };
    }
    (stats, blocks.iter().map(|block| block.addr().get()).collect())
}

#[test]
fn a_double_free_changes_nothing_and_is_counted() {
    // The neighbours below and above are live or free, so this covers every way in which the
    // block's hole is joined.
    for first in 0..3 {
        let mut region = Region::new(2048);
        let arena = TestArena::over(region.at(0));
        let blocks: Vec<_> = (0..3).map(|_| arena.allocate(100).unwrap()).collect();
        let [first, second, third] = [0, 1, 2].map(|n| blocks[(first + n) % 3]);
        // SAFETY: live.
        unsafe {
            arena.free(first);
            arena.free(second);
        }
        arena.reset_low_water();
        let before = arena.stats();
        for (count, block) in [(1, first), (2, second)] {
            // SAFETY: the block is not live, which is what this tests. The arena reads bytes
            // that it wrote there.
            unsafe { arena.free(block) };
            assert_eq!((arena.stats(), arena.corrupt()), (before, count));
        }
        // SAFETY: live.
        unsafe { arena.free(third) };
        let stats = arena.stats();
        assert_eq!((stats.free, stats.blocks), (Bytes(2048), 0));
        assert_eq!(stats.largest, Bytes(2048 - HEADER as u32));
    }
}

#[test]
fn a_wild_free_changes_nothing_and_is_counted() {
    let mut region = Region::new(2048);
    let arena = TestArena::over(region.at(0));
    let (block, other) = (arena.allocate(64).unwrap(), arena.allocate(64).unwrap());
    let mut elsewhere = [0_u64; 4];
    let elsewhere = NonNull::new((&raw mut elsewhere[2]).cast::<u8>()).unwrap();
    // SAFETY: within the block, its header and the region.
    let (inside, odd, copied) = unsafe {
        block.write_bytes(0xff, 64);
        // A valid header at another address.
        block.sub(HEADER).copy_to_nonoverlapping(block.add(48 - HEADER), HEADER);
        (block.add(16), block.add(1), block.add(48))
    };
    let lowest = NonNull::without_provenance(std::num::NonZeroUsize::MIN);
    let before = arena.stats();
    for (count, wild) in (1..).zip([inside, odd, copied, elsewhere, lowest]) {
        // SAFETY: this is no block, which is what this tests. The arena reads bytes written
        // above, or none at all.
        let new = unsafe {
            arena.free(wild);
            arena.reallocate(wild, 8)
        };
        assert_eq!((arena.stats(), arena.corrupt(), new), (before, 2 * count, None));
    }
    // SAFETY: live.
    unsafe {
        arena.free(block);
        arena.free(other);
    }
    assert_eq!(arena.stats().free, Bytes(2048));
}

#[test]
fn a_block_whose_header_was_overwritten_is_lost_and_nothing_else() {
    for byte in 0..HEADER {
        for bit in 0..8 {
            let mut region = Region::new(1024);
            let arena = TestArena::over(region.at(0));
            let [below, block, above] = [40, 40, 40].map(|bytes| arena.allocate(bytes).unwrap());
            // SAFETY: the header lies before the block, in the region.
            unsafe {
                let at = block.sub(HEADER).add(byte);
                at.write(at.read() ^ 1 << bit);
            }
            let before = arena.stats();
            // SAFETY: live; its overwritten header is what this tests.
            unsafe {
                assert_eq!(arena.reallocate(block, 8), None);
                arena.free(block);
            }
            // The arena detects every single flipped bit.
            assert_eq!((arena.stats(), arena.corrupt()), (before, 2), "byte {byte} bit {bit}");
            // SAFETY: live.
            unsafe {
                arena.free(below);
                arena.free(above);
            }
            let stats = arena.stats();
            assert_eq!((stats.free, stats.blocks), (Bytes(1024 - whole(40)), 1));
        }
    }
}

#[test]
fn a_region_too_small_gives_nothing() {
    for skew in 0..UNIT {
        for bytes in 0..UNIT {
            let mut region = Region::new(bytes);
            let arena = TestArena::over(region.at(skew));
            assert!(arena.allocate(1).is_none());
            let nothing = Bytes(0);
            let stats = arena.stats();
            assert_eq!((stats.size, stats.free, stats.largest), (nothing, nothing, nothing));
            arena.reset_low_water();
        }
    }
    // The smallest region has room for one block of the bytes that the header leaves.
    let mut region = Region::new(UNIT);
    let arena = TestArena::over(region.at(0));
    let largest = (UNIT - HEADER) as u32;
    assert_eq!(arena.stats().largest, Bytes(largest));
    assert_eq!(arena.allocate(largest).is_some(), largest > 0);
}

#[test]
fn no_bytes_count_as_one_and_too_many_are_refused() {
    let mut region = Region::new(1024);
    let arena = TestArena::over(region.at(0));
    let block = arena.allocate(0).unwrap();
    assert_eq!(arena.stats().free, Bytes(1024 - whole(1)));
    for bytes in [u32::MAX, u32::MAX - HEADER as u32, i32::MAX as u32, 1024] {
        assert!(arena.allocate(bytes).is_none());
        // SAFETY: live; a failed request leaves it as it was.
        assert!(unsafe { arena.reallocate(block, bytes) }.is_none());
    }
    // SAFETY: live.
    unsafe { arena.free(block) };
    assert_eq!((arena.stats().free, arena.corrupt()), (Bytes(1024), 0));
}

#[test]
fn an_arena_that_is_moved_keeps_its_blocks() {
    let mut region = Region::new(1024);
    let arena = TestArena::over(region.at(0));
    let kept = Block::new(arena.allocate(100).unwrap(), 100, 7);
    let gone = arena.allocate(100).unwrap();
    let moved = Box::new(arena);
    // SAFETY: live.
    unsafe { moved.free(gone) };
    assert_eq!(moved.allocate(100), Some(gone));
    assert!(kept.intact(100));
}

#[test]
fn threads_share_it() {
    let mut region = Region::new(64 * 1024);
    let arena = &TestArena::over(region.at(0));
    let before = state(arena);
    std::thread::scope(|scope| {
        for fill in 1..=4_u8 {
            scope.spawn(move || {
                for round in 0..if cfg!(miri) { 5 } else { 2_000 } {
                    let size = 1 + round * u32::from(fill) % 500;
                    let block = Block::new(arena.allocate(size).unwrap(), size, fill);
                    // SAFETY: live, and replaced by the new block.
                    let at = unsafe { arena.reallocate(block.at, 2 * size) }.unwrap();
                    assert!(Block { at, ..block }.intact(size));
                    // SAFETY: live.
                    unsafe { arena.free(at) };
                }
            });
        }
    });
    arena.reset_low_water();
    let after = state(arena);
    assert_eq!((after.0.free, after.1), (before.0.free, before.1));
}

#[test]
fn an_arena_is_usable_through_a_reference_and_as_dyn() {
    let mut region = Region::new(1024);
    let arena: TestArena<'_> = FirstFit::over(region.at(0));
    let shared: &dyn Arena = &&arena;
    let block = shared.allocate(10).unwrap();
    assert_eq!(shared.stats(), arena.stats());
    // SAFETY: live.
    unsafe { (&shared).free(block) };
    assert_eq!(arena.stats().blocks, 0);
}
