//! How many more instances fit: start them on the arena, without an engine.
//!
//! A formula of free bytes is wrong wherever a hole is too small for a block. The allocator
//! itself knows, so it is asked: [`replay`] takes and gives back the blocks of one start
//! after the other until the first one fails. No engine runs and no guest does, so this
//! takes about as long as the allocator needs for the blocks: instances times events.

use core::ptr::NonNull;

use crate::Script;
use crate::trace::Event;

/// An allocator that the caller has to itself, without an account.
///
/// [`replay`] is written once, over this. An [`Arena`](crate::Arena) holds one under its lock.
/// Neither method may touch the account: the low-water mark and the count of blocks are the
/// arena's, and a replay must not be seen in them.
///
/// # After a replay
///
/// A replay gives back all it took. What the heap is like then depends on the allocator. With
/// a list of holes in order of address it is as before: see [`FirstFit`](crate::FirstFit).
///
/// Zephyr's `sys_heap` joins free neighbours too, so the same chunks are free as before. But
/// it keeps free chunks of similar size in a ring, takes from the front, adds at the end, and
/// looks at a few only. After a replay, and after a try in vain, a ring may begin elsewhere.
/// The free bytes are the same. The next start may choose another hole of the ring than the
/// replay did, so there a prediction is exact only where the rings hold one chunk each, or
/// chunks of one size.
///
/// # Safety
///
/// An implementation must see to it that:
///
/// 1. a block holds at least the bytes asked for **and at least a pointer**, is aligned to 8,
///    and shares no byte with another live block. (In `sys_heap` a chunk is a multiple of 8
///    bytes, of which a header takes 4, or 8 on 64 bits and in large regions. So a block has
///    4 bytes or more where a pointer has 4, and 8 where it has 8.)
/// 2. a block stays where it is until it is given back, and nobody else uses it;
/// 3. no method unwinds.
pub unsafe trait RawHeap {
    /// A block of so many bytes, 0 counts as 1. `None` if there is no room, and then the same
    /// blocks live and the same bytes are free as before.
    fn take(&mut self, bytes: u32) -> Option<NonNull<u8>>;

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `block` came from [`take`](Self::take) of this heap and was not given back since.
    unsafe fn give(&mut self, block: NonNull<u8>);
}

/// How many more instances fit, up to `most`, if they start as the script says, its instances
/// in turns. Exact: it takes the blocks of each start in their order. Then it gives all back.
pub fn replay<H: RawHeap>(heap: &mut H, script: Script<'_>, most: u32) -> u32 {
    let mut chain = Chain { heap, newest: None };
    let mut events = script.events().cycle();
    for fit in 0..most {
        // The bound is for a script that someone clears meanwhile: this ends all the same.
        for event in events.by_ref().take(script.len()) {
            match event {
                Event::Take(bytes) if chain.take(bytes) => {}
                Event::Take(_) => return fit,
                Event::Give { depth } => chain.give(depth),
                Event::End => break,
            }
        }
    }
    most
}

/// The blocks of all instances that a replay has started, each linked to the one before.
///
/// There may be thousands, and there is no memory but the blocks' own. So each holds its link.
struct Chain<'h, H: RawHeap> {
    heap: &'h mut H,
    newest: Option<NonNull<Link>>,
}

/// What the chain writes to a block, which has room for it: [`RawHeap`], duty 1.
struct Link {
    older: Option<NonNull<Link>>,
}

const _: () = assert!(size_of::<Link>() == size_of::<*mut u8>() && align_of::<Link>() <= 8);

impl<H: RawHeap> Chain<'_, H> {
    /// Takes a block; whether there was one.
    fn take(&mut self, bytes: u32) -> bool {
        let Some(link) = self.heap.take(bytes).map(NonNull::cast::<Link>) else { return false };
        // SAFETY: by the heap's duties 1 and 2 the block is ours, holds a pointer and is aligned.
        unsafe { link.write(Link { older: self.newest }) };
        self.newest = Some(link);
        true
    }

    /// Gives the block back that `depth` others are newer than. None if there are not so many.
    fn give(&mut self, depth: u32) {
        let mut place = &mut self.newest;
        for _ in 0..depth {
            let Some(link) = place else { return };
            // SAFETY: what is in the chain was written by `take` and was not given back since.
            place = unsafe { &mut link.as_mut().older };
        }
        let Some(link) = *place else { return };
        // SAFETY: as above; it leaves the chain first, so it is given back once.
        unsafe {
            *place = link.as_ref().older;
            self.heap.give(link.cast());
        }
    }
}

impl<H: RawHeap> Drop for Chain<'_, H> {
    fn drop(&mut self) {
        while self.newest.is_some() {
            self.give(0);
        }
    }
}
