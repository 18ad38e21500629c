//! How many more instances fit: repeats their allocations, without an engine.
//!
//! A formula over free bytes is wrong wherever a hole is too small for a block. Only the
//! allocator knows, so [`replay`] asks it: it allocates and frees the blocks of one start after
//! another until an allocation fails. Neither an engine nor a guest runs, so a replay takes
//! only the allocator's time, which grows with instances times events.

use core::ptr::NonNull;

use crate::Script;
use crate::trace::Event;

/// An allocator without an account, used by one caller at a time.
///
/// [`replay`] works on any such heap. An [`Arena`](crate::Arena) holds one under its lock.
/// Neither method may change the low-water mark or the count of blocks. These belong to the
/// arena, and a replay must not show in them.
///
/// # After a replay
///
/// A replay frees every block that it allocates. The allocator decides whether the heap is then
/// the same as before. It is the same if the allocator keeps a list of holes in order of
/// address, as [`FirstFit`](crate::FirstFit) does.
///
/// Zephyr's `sys_heap` also joins free neighbours, so the same chunks are free as before. But
/// it keeps free chunks of similar size in a ring, takes from the front, adds at the end, and
/// looks at only a few of them. After a replay or a failed allocation, a ring may begin at
/// another chunk. The free bytes are the same, but the next start may choose another chunk of
/// the ring than the replay did. So a prediction on `sys_heap` is exact only if each ring holds
/// one chunk, or chunks of one size.
///
/// # Safety
///
/// An implementation must guarantee that:
///
/// 1. a block holds at least the bytes asked for **and at least a pointer**, is aligned to 8,
///    and shares no byte with another live block. (In `sys_heap` a chunk is a multiple of 8
///    bytes, of which a header takes 4, or 8 on 64 bits and in large regions. So a block has
///    at least 4 bytes where a pointer has 4, and at least 8 where a pointer has 8.)
/// 2. a block stays where it is until it is given back, and nobody else uses it;
/// 3. no method unwinds.
pub unsafe trait RawHeap {
    /// Allocates a block of `bytes` bytes; 0 counts as 1. `None` if there is no room; the same
    /// blocks are then live and the same bytes free as before.
    fn take(&mut self, bytes: u32) -> Option<NonNull<u8>>;

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `block` came from [`take`](Self::take) of this heap and was not given back since.
    unsafe fn give(&mut self, block: NonNull<u8>);
}

/// How many more instances fit, up to `most`, if they start as the script says.
///
/// The instances of the script start in turns. The answer is exact, because the replay
/// allocates and frees the blocks of each start in their order. Then it frees all of them.
pub fn replay<H: RawHeap>(heap: &mut H, script: Script<'_>, most: u32) -> u32 {
    let mut chain = Chain { heap, newest: None };
    let mut events = script.events().cycle();
    for fit in 0..most {
        // The bound ends the loop even if another thread clears the script meanwhile.
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

/// The blocks of all instances that a replay has started, as a linked list.
///
/// There may be thousands, and no other memory is available. So each block holds its own link.
struct Chain<'h, H: RawHeap> {
    heap: &'h mut H,
    newest: Option<NonNull<Link>>,
}

/// What the chain writes to a block. It fits by duty 1 of [`RawHeap`].
struct Link {
    older: Option<NonNull<Link>>,
}

const _: () = assert!(size_of::<Link>() == size_of::<*mut u8>() && align_of::<Link>() <= 8);

impl<H: RawHeap> Chain<'_, H> {
    /// Takes a block. Returns whether there was room.
    fn take(&mut self, bytes: u32) -> bool {
        let Some(link) = self.heap.take(bytes).map(NonNull::cast::<Link>) else { return false };
        // SAFETY: by the heap's duties 1 and 2 the block is ours, holds a pointer and is aligned.
        unsafe { link.write(Link { older: self.newest }) };
        self.newest = Some(link);
        true
    }

    /// Gives back the block that exactly `depth` blocks are newer than. Does nothing if the
    /// chain is shorter.
    fn give(&mut self, depth: u32) {
        let mut place = &mut self.newest;
        for _ in 0..depth {
            let Some(link) = place else { return };
            // SAFETY: `take` wrote every link in the chain, and its block was not given back
            // since.
            place = unsafe { &mut link.as_mut().older };
        }
        let Some(link) = *place else { return };
        // SAFETY: as above. The block leaves the chain first, so it is given back once.
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
