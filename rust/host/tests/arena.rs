//! A region and its arena. `wramp-arena` tests what the arena does with it.

use wramp_arena::{Arena as _, HEADER, UNIT};
use wramp_core::measure::Bytes;
use wramp_host::arena::Region;

#[test]
fn the_arena_has_all_of_its_region() {
    for size in [0, 1, 15, 4096, 4100, 196_608, 1 << 24] {
        let mut region = Region::new(Bytes(size)).unwrap();
        let whole = size / UNIT as u32 * UNIT as u32;
        // Twice, because an arena must leave nothing in its region that disturbs the next one.
        for _ in 0..2 {
            let arena = region.arena();
            let stats = arena.stats();
            assert_eq!((stats.size, stats.free), (Bytes(whole), Bytes(whole)));
            let largest = whole.saturating_sub(HEADER as u32);
            assert_eq!(stats.largest, Bytes(largest));
            assert_eq!(arena.allocate(largest).is_some(), whole > 0);
        }
    }
}

/// There may be several arenas. Two regions share nothing.
#[test]
fn two_arenas_are_apart() {
    let (mut one, mut two) = (Region::new(Bytes(4096)).unwrap(), Region::new(Bytes(4096)).unwrap());
    let (one, two) = (one.arena(), two.arena());
    let block = one.allocate(1000).unwrap();
    assert_eq!((one.stats().blocks, two.stats().blocks), (1, 0));
    // SAFETY: a block of 1,000 bytes that only this test has.
    unsafe { block.write_bytes(0xFF, 1000) };
    assert_eq!(two.stats().free, Bytes(4096));
    // SAFETY: the block is live.
    unsafe { one.free(block) };
    assert_eq!((one.stats().free, one.corrupt()), (Bytes(4096), 0));
}

/// A board's memory is zero when it starts, and so is a region. An engine that reads what it
/// did not write then gets the same on each run.
#[test]
fn a_region_is_zeroed_and_aligned_to_a_page() {
    let mut region = Region::new(Bytes(65_536)).unwrap();
    let arena = region.arena();
    let block = arena.allocate(65_536 - HEADER as u32).unwrap();
    assert_eq!((block.addr().get() - HEADER) % 4096, 0);
    // The bytes behind what the allocator keeps in a free block.
    // SAFETY: a live block. The region was zeroed, so all of it is initialised.
    let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), 65_536 - HEADER) };
    assert!(bytes[2 * UNIT..].iter().all(|&byte| byte == 0));
}
