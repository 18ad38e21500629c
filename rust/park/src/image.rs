//! A module's initial memory: zeros, with data segments over them.

use crate::block::{BLOCK, Words, is_zero};

/// Bytes that lie somewhere in a module's initial memory.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Where its first byte lies in the memory.
    pub offset: u32,
    /// Its bytes, which can stay in flash.
    pub bytes: &'a [u8],
}

impl Segment<'_> {
    const fn begin(&self) -> usize {
        self.offset as usize
    }

    const fn end(&self) -> usize {
        self.begin().saturating_add(self.bytes.len())
    }
}

/// The segments of an image, in the order in which they are written. Where two overlap, the
/// later one counts. An engine answers from the loaded module, so that nobody keeps a list.
pub trait Segments {
    /// How many there are.
    fn count(&self) -> usize;

    /// The segment of that number. `None` beyond the last one.
    fn segment(&self, number: usize) -> Option<Segment<'_>>;
}

impl<const N: usize> Segments for [Segment<'_>; N] {
    fn count(&self) -> usize {
        N
    }

    fn segment(&self, number: usize) -> Option<Segment<'_>> {
        self.get(number).copied()
    }
}

impl Segments for &[Segment<'_>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn segment(&self, number: usize) -> Option<Segment<'_>> {
        self.get(number).copied()
    }
}

/// What a memory is compared with: zeros, with segments over them.
///
/// It holds no copy of the memory. It is the same for all instances of a module: its data
/// segments, or what memory looks like once a start function has run. A segment that lies
/// beyond a memory's end does not matter.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    segments: &'a dyn Segments,
}

impl core::fmt::Debug for Image<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Image").field("segments", &self.segments.count()).finish()
    }
}

impl Default for Image<'_> {
    fn default() -> Self {
        Self::ZEROS
    }
}

impl<'a> Image<'a> {
    /// A memory of zeros.
    pub const ZEROS: Self = Self { segments: &[] };

    /// An image of segments, in any order.
    #[must_use]
    pub const fn new(segments: &'a dyn Segments) -> Self {
        Self { segments }
    }

    /// A walk through a memory of that length, from its begin.
    pub(crate) fn walk(self, memory_bytes: usize) -> Walk<'a> {
        let mut walk = Walk { segments: self.segments, memory_bytes, next: 0, ahead: 0 };
        walk.look_ahead(0);
        walk
    }
}

/// A walk through a memory and its image, a block at a time, forward only.
pub(crate) struct Walk<'a> {
    segments: &'a dyn Segments,
    /// What lies beyond is no part of the image, even within the last block.
    memory_bytes: usize,
    /// Where the search for a difference goes on.
    next: usize,
    /// Where the segments go on: no byte before this one is a segment's, from the block on that
    /// was asked for last.
    ahead: usize,
}

impl Walk<'_> {
    /// Finds the first byte of a segment at or behind `from`.
    fn look_ahead(&mut self, from: usize) {
        let segments = (0..self.segments.count()).filter_map(|n| self.segments.segment(n));
        let begins = segments.filter(|one| one.end() > from).map(|one| one.begin().max(from));
        self.ahead = begins.min().unwrap_or(usize::MAX);
    }

    /// The next block that differs from the image: its offset, and the difference. Blocks
    /// that it has passed may be written to in between.
    pub(crate) fn next_difference(&mut self, memory: &[u8]) -> Option<(usize, Words)> {
        while self.next < memory.len() {
            self.next += self.zeros_ahead(memory);
            let offset = self.next;
            let block = memory.get(offset..).unwrap_or_default();
            let block = &block[..block.len().min(BLOCK)];
            self.next += block.len();
            let difference = self.difference(offset, load(block));
            if !is_zero(&difference) {
                return Some((offset, difference));
            }
        }
        None
    }

    /// Bytes of whole blocks ahead that are zeros in memory and image. This is where most
    /// of the time goes if a page is parked, so it reads words and does nothing else.
    fn zeros_ahead(&self, memory: &[u8]) -> usize {
        let ahead = memory.get(self.next..self.ahead.min(memory.len())).unwrap_or_default();
        let blocks = ahead.as_chunks::<BLOCK>().0.as_flattened();
        // A memory that is not aligned is compared block by block.
        let blocks: &[Words] = bytemuck::try_cast_slice(blocks).unwrap_or_default();
        blocks.iter().take_while(|words| is_zero(words)).count() * BLOCK
    }

    /// The difference of `words`, the block at `offset`, and the image. One comparison
    /// where the image is zero up to the next segment.
    #[inline]
    pub(crate) fn difference(&mut self, offset: usize, words: Words) -> Words {
        if self.ahead < offset + BLOCK { self.overlaid(offset, words) } else { words }
    }

    #[inline(never)]
    fn overlaid(&mut self, offset: usize, words: Words) -> Words {
        let block_end = self.memory_bytes.min(offset + BLOCK);
        let mut image = [0; BLOCK];
        for number in 0..self.segments.count() {
            let Some(segment) = self.segments.segment(number) else { break };
            let (begin, end) = (segment.begin().max(offset), segment.end().min(block_end));
            if begin < end {
                let bytes = &segment.bytes[begin - segment.begin()..end - segment.begin()];
                image[begin - offset..end - offset].copy_from_slice(bytes);
            }
        }
        self.look_ahead(offset + BLOCK);
        let image = load(&image);
        core::array::from_fn(|row| words[row] ^ image[row])
    }
}

/// The words of a block. A memory's last block may be short: zeros stand for the rest.
#[inline]
pub(crate) fn load(block: &[u8]) -> Words {
    // Word by word where it is aligned. Xtensa and RISC-V would read bytes otherwise.
    match bytemuck::try_from_bytes::<Words>(block) {
        Ok(words) => words.map(u32::from_le),
        Err(_) => load_bytes(block),
    }
}

#[cold]
fn load_bytes(block: &[u8]) -> Words {
    let mut bytes = [0; BLOCK];
    bytes[..block.len()].copy_from_slice(block);
    let mut words = Words::default();
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// The inverse of [`load`].
#[inline]
pub(crate) fn store(words: Words, block: &mut [u8]) {
    match bytemuck::try_from_bytes_mut::<Words>(block) {
        Ok(there) => *there = words.map(u32::to_le),
        Err(_) => store_bytes(words, block),
    }
}

#[cold]
fn store_bytes(words: Words, block: &mut [u8]) {
    for (bytes, word) in block.chunks_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
    }
}
