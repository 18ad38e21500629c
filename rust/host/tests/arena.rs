//! The arena's figures are exact, its blocks are the caller's alone.

mod common;

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use common::turn;
use proptest::prelude::*;
use wramp_core::measure::Bytes;
use wramp_host::arena::{ArenaError, ArenaGuard, HostArena, UNIT};
use wramp_wamr::Arena as _;

const HEADER: usize = 8;

/// What a block of `size` bytes takes.
fn whole(size: u32) -> u32 {
    u32::try_from((size as usize + HEADER).next_multiple_of(UNIT)).unwrap()
}

#[derive(Clone, Debug)]
enum Operation {
    Malloc(u32),
    Free(usize),
    Realloc(usize, u32),
    ResetLowWater,
}

fn operation() -> impl Strategy<Value = Operation> {
    let size = prop_oneof![6 => 1..200_u32, 3 => 200..5_000_u32, 1 => 5_000..70_000_u32];
    prop_oneof![
        5 => size.clone().prop_map(Operation::Malloc),
        4 => any::<usize>().prop_map(Operation::Free),
        3 => (any::<usize>(), size).prop_map(|(which, size)| Operation::Realloc(which, size)),
        1 => Just(Operation::ResetLowWater),
    ]
}

struct Block {
    at: *mut u8,
    size: u32,
    fill: u8,
}

impl Block {
    fn new(at: *mut u8, size: u32, fill: u8) -> Self {
        assert!(at.addr().is_multiple_of(8));
        // SAFETY: a live block of that size, ours alone.
        unsafe { at.write_bytes(fill, size as usize) };
        Self { at, size, fill }
    }

    /// Whether the first bytes of it are still what was written.
    fn intact(&self, bytes: u32) -> bool {
        // SAFETY: a live block of at least that size.
        let content = unsafe { std::slice::from_raw_parts(self.at, bytes as usize) };
        content.iter().all(|&byte| byte == self.fill)
    }
}

/// What the arena must say.
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

    fn check(&mut self, guard: &ArenaGuard) {
        let stats = guard.stats();
        let used: u32 = self.live.iter().map(|block| whole(block.size)).sum();
        assert_eq!(stats.size, Bytes(self.size));
        assert_eq!(stats.free, Bytes(self.size - used));
        assert_eq!(stats.free, Bytes(self.free));
        assert_eq!(stats.low_water, Bytes(self.low));
        assert_eq!(stats.blocks as usize, self.live.len());
        assert!(self.live.iter().all(|block| block.intact(block.size)), "a block was written to");
        let ends: BTreeMap<usize, usize> =
            self.live.iter().map(|b| (b.at.addr(), b.at.addr() + b.size as usize)).collect();
        assert!(
            ends.iter().zip(ends.keys().skip(1)).all(|((_, end), next)| end + HEADER <= *next),
            "blocks overlap"
        );
        assert_eq!(ends.len(), self.live.len());

        // The largest is to be had, one byte more is not, and trying changed nothing.
        let largest = stats.largest.0;
        assert!(HostArena::malloc(largest + 1).is_null());
        if largest > 0 {
            let at = HostArena::malloc(largest);
            assert!(!at.is_null());
            // SAFETY: allocated a line above.
            unsafe { HostArena::free(at) };
            // The low-water mark has seen it.
            self.low = self.low.min(self.free - whole(largest));
        }
        let after = guard.stats();
        assert_eq!(
            (after.free, after.largest, after.blocks),
            (stats.free, stats.largest, stats.blocks)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_figures_are_exact(
        size in 256..100_000_u32,
        operations in prop::collection::vec(operation(), 1..120),
    ) {
        let _turn = turn();
        let guard = ArenaGuard::new(Bytes(size)).unwrap();
        let size = size / UNIT as u32 * UNIT as u32;
        let mut model = Model { size, free: size, low: size, live: Vec::new() };
        for (number, operation) in operations.into_iter().enumerate() {
            let fill = number as u8 + 1;
            let largest = guard.stats().largest.0;
            match operation {
                Operation::Malloc(size) => {
                    let at = HostArena::malloc(size);
                    prop_assert_eq!(at.is_null(), size > largest);
                    if !at.is_null() {
                        model.take(size);
                        model.live.push(Block::new(at, size, fill));
                    }
                }
                Operation::Free(which) if !model.live.is_empty() => {
                    let block = model.live.swap_remove(which % model.live.len());
                    // SAFETY: live until now.
                    unsafe { HostArena::free(block.at) };
                    model.free += whole(block.size);
                }
                Operation::Realloc(which, size) if !model.live.is_empty() => {
                    let which = which % model.live.len();
                    let old = &model.live[which];
                    // SAFETY: live, and replaced by what comes back.
                    let at = unsafe { HostArena::realloc(old.at, size) };
                    if at.is_null() {
                        prop_assert!(size > largest, "there was room");
                    } else {
                        let kept = Block { at, size, fill: old.fill };
                        prop_assert!(kept.intact(size.min(old.size)));
                        let given_back = whole(old.size);
                        model.take(size);
                        model.free += given_back;
                        model.live[which] = Block::new(at, size, fill);
                    }
                }
                Operation::Free(_) | Operation::Realloc(..) => {}
                Operation::ResetLowWater => {
                    guard.reset_low_water();
                    model.low = model.free;
                }
            }
            model.check(&guard);
        }
        for block in model.live.drain(..) {
            // SAFETY: live until now.
            unsafe { HostArena::free(block.at) };
        }
        let stats = guard.stats();
        prop_assert_eq!(stats.free, Bytes(size));
        prop_assert_eq!(stats.blocks, 0);
        // One hole of the whole size: what is left of every block has been joined.
        prop_assert_eq!(stats.largest, Bytes(size - HEADER as u32));
    }
}

#[test]
fn a_double_free_is_caught() {
    let _turn = turn();
    let guard = ArenaGuard::new(Bytes(4096)).unwrap();
    // With a neighbour below and above, live or free: wherever the block's hole is joined.
    for freed_first in 0..3 {
        let blocks: Vec<_> = (0..3).map(|_| HostArena::malloc(100)).collect();
        // SAFETY: live; the second time it is not, which is what is tested: the arena reads
        // its own region only.
        unsafe {
            HostArena::free(blocks[freed_first]);
            HostArena::free(blocks[(freed_first + 1) % 3]);
        }
        let twice = [blocks[freed_first].addr(), blocks[(freed_first + 1) % 3].addr()];
        for at in twice {
            let again = catch_unwind(|| {
                // SAFETY: as above.
                unsafe { HostArena::free(std::ptr::with_exposed_provenance_mut(at)) };
            });
            assert!(again.is_err(), "freed twice");
        }
        // SAFETY: the last one lives.
        unsafe { HostArena::free(blocks[(freed_first + 2) % 3]) };
        assert_eq!(guard.stats().blocks, 0);
        assert_eq!(guard.stats().free, Bytes(4096));
    }
}

#[test]
fn a_wild_free_is_caught() {
    let _turn = turn();
    let guard = ArenaGuard::new(Bytes(4096)).unwrap();
    let block = HostArena::malloc(64);
    let inside = block.expose_provenance() + 16;
    let mut elsewhere = [0_u64; 4];
    let elsewhere = (&raw mut elsewhere[2]).expose_provenance();
    for at in [inside, elsewhere] {
        let wild = catch_unwind(|| {
            // SAFETY: no block; what the arena reads before it are bytes of ours.
            unsafe { HostArena::free(std::ptr::with_exposed_provenance_mut(at)) };
        });
        assert!(wild.is_err());
    }
    assert_eq!(guard.stats().blocks, 1);
    // SAFETY: live.
    unsafe { HostArena::free(block) };
}

#[test]
fn there_is_one_arena() {
    let _turn = turn();
    let first = ArenaGuard::new(Bytes(4096)).unwrap();
    assert_eq!(ArenaGuard::new(Bytes(4096)).unwrap_err(), ArenaError::InUse);
    drop(first);
    assert!(HostArena::malloc(8).is_null(), "nothing is given where there is no arena");
    ArenaGuard::new(Bytes(4096)).unwrap();
}

#[test]
fn an_arena_of_nothing_gives_nothing() {
    let _turn = turn();
    for size in 0..UNIT as u32 {
        let guard = ArenaGuard::new(Bytes(size)).unwrap();
        assert!(HostArena::malloc(1).is_null());
        let nothing = Bytes(0);
        let stats = guard.stats();
        assert_eq!((stats.size, stats.free, stats.largest), (nothing, nothing, nothing));
    }
    // The least there is: one block of what the header leaves.
    let guard = ArenaGuard::new(Bytes(UNIT as u32)).unwrap();
    assert_eq!(guard.stats().largest, Bytes((UNIT - HEADER) as u32));
}

#[test]
fn the_largest_request_is_refused() {
    let _turn = turn();
    let guard = ArenaGuard::new(Bytes(4096)).unwrap();
    assert!(HostArena::malloc(u32::MAX).is_null());
    let block = HostArena::malloc(8);
    // SAFETY: live; a failed request leaves it as it was.
    unsafe {
        assert!(HostArena::realloc(block, u32::MAX).is_null());
        HostArena::free(block);
    }
    assert_eq!(guard.stats().free, Bytes(4096));
}
