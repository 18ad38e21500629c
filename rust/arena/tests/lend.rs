//! A lent block lies in the arena, is zero, and comes back.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use wramp_arena::{Arena as _, FirstFit, lend};

#[test]
fn a_block_lies_in_the_arena_and_is_zero() {
    let mut region = common::Region::new(4096);
    let arena: common::TestArena<'_> = FirstFit::over(region.at(0));
    let before = arena.stats();
    let dirty = arena.allocate(1000).unwrap();
    // SAFETY: a live block of that many bytes, freed once.
    unsafe {
        dirty.write_bytes(0xEE, 1000);
        arena.free(dirty);
    }
    let lent = lend(&arena, 1000, |block| {
        assert!(block.iter().all(|&byte| byte == 0));
        block.fill(7);
        arena.stats()
    });
    assert_eq!(lent.unwrap().free.0, before.free.0 - common::whole(1000));
    assert_eq!(arena.stats().free, before.free);
    assert_eq!(lend(&arena, 1 << 20, |_| ()), None);
}

#[test]
fn a_block_comes_back_if_the_work_panics() {
    let mut region = common::Region::new(4096);
    let arena: common::TestArena<'_> = FirstFit::over(region.at(0));
    let before = arena.stats().free;
    let work = AssertUnwindSafe(|| lend(&arena, 100, |_| panic!("on purpose")));
    assert!(catch_unwind(work).is_err());
    assert_eq!(arena.stats().free, before);
}
