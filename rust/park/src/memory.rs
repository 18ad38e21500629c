//! A linear memory as its difference from an image, and back.
//!
//! A record is the memory's length in bytes, then its blocks of 32 bytes in order: a block
//! that differs is written as in [`block`](crate::block), and a gap of `n` blocks that do
//! not is a zero byte and `n`. Both numbers are LEB128, as in WebAssembly. Blocks and gaps
//! cover the memory exactly, so a record needs no end mark and other parts may follow.
//!
//! Every state has one record: a gap is as long as it can be, a number as short.

use crate::block::{self, BLOCK, MOST, Words};
use crate::image::{Image, load, store};
use crate::{Malformed, Refused, Sink, Source};

/// Most bytes of a number.
pub const NUMBER: usize = 5;

/// Most bytes of a gap with the block behind it.
const ITEM: usize = 1 + NUMBER + MOST;

/// Most bytes that [`encode`] writes for a memory of so many bytes: 33 for each 32, and 5.
///
/// Proof: the length takes 5 bytes at most, a block that differs 33 (8 for each of its 4
/// columns, and the header). A gap of `n >= 1` blocks takes 6 at most, which is less than
/// the `33 n` that these blocks are counted with.
#[must_use]
pub const fn max_encoded_len(memory_bytes: usize) -> usize {
    memory_bytes.div_ceil(BLOCK).saturating_mul(MOST).saturating_add(NUMBER)
}

/// Writes how a memory differs from the image. Returns the number of blocks that do.
///
/// It reads the memory once, in order, and puts each block that differs with one call.
///
/// # Errors
/// Those of the sink. `Full` for a memory of 4 GiB, whose length is no 32-bit number.
pub fn encode(memory: &[u8], image: Image<'_>, sink: impl Sink) -> Result<u32, Refused> {
    let mut writer = Writer::new(memory.len(), sink)?;
    let mut walk = image.walk(memory.len());
    while let Some((offset, difference)) = walk.next_difference(memory) {
        writer.put(offset, &difference)?;
    }
    writer.finish()
}

/// Writes how a memory differs from the image, and turns it into the image on the way: what
/// [`encode`] and [`undo`] do together, for little more than the time of the first.
///
/// The memory is the image afterwards, whatever is returned. If the sink refuses, the state
/// is lost but for the record that was parked before: where the instance shall go on
/// nevertheless, [`encode`] leaves it as it is.
///
/// # Errors
/// Those of [`encode`].
pub fn take(memory: &mut [u8], image: Image<'_>, mut sink: impl Sink) -> Result<u32, Refused> {
    take_into(memory, image, &mut sink)
}

/// It is compiled in this crate, as a firmware says for this crate: for speed. A generic function
/// is compiled as its caller is.
#[inline(never)]
fn take_into(memory: &mut [u8], image: Image<'_>, sink: &mut dyn Sink) -> Result<u32, Refused> {
    let mut writer = Writer::new(memory.len(), sink);
    let mut walk = image.walk(memory.len());
    while let Some((offset, difference)) = walk.next_difference(memory) {
        exclusive_or(&mut memory[offset..], &difference);
        let put = writer.as_mut().map_or(Ok(()), |writer| writer.put(offset, &difference));
        writer = put.and(writer);
    }
    writer?.finish()
}

/// The number of blocks in which a memory differs from the image. It stops at `most`: to
/// ask whether a memory is the image, `dirty(memory, image, 1) == 0`.
#[must_use]
pub fn dirty(memory: &[u8], image: Image<'_>, most: u32) -> u32 {
    let mut walk = image.walk(memory.len());
    let differs = |_: &u32| walk.next_difference(memory).is_some();
    (0..most).take_while(differs).count() as u32
}

/// Turns a memory that equals the image into the one that was encoded.
///
/// It is its own inverse: the same record again turns the memory back. [`undo`] does that
/// too, and needs no trust in what the memory holds.
///
/// # Errors
/// Then the memory holds neither. [`reset`] makes it the image again.
pub fn apply(mut source: impl Source, memory: &mut [u8]) -> Result<(), Malformed> {
    apply_from(&mut source, memory)
}

/// Compiled here, as [`take_into`] is.
#[inline(never)]
fn apply_from(source: &mut dyn Source, memory: &mut [u8]) -> Result<(), Malformed> {
    let mut difference = Words::default();
    for_each(source, memory, |_, written, block| {
        let used = read_block(written, &mut difference, block.len())?;
        exclusive_or(block, &difference);
        Ok(used)
    })
}

/// Turns a memory that was encoded back into the image. It touches only the blocks that the
/// record has, and writes the image into them whatever they hold. Where most blocks differ
/// [`reset`] is faster.
///
/// # Errors
/// Then the memory is not the image. [`reset`] makes it so.
pub fn undo(source: impl Source, memory: &mut [u8], image: Image<'_>) -> Result<(), Malformed> {
    let mut walk = image.walk(memory.len());
    for_each(source, memory, |offset, written, block| {
        store(walk.difference(offset, Words::default()), block);
        block::length(written)
    })
}

/// Turns any memory into the image, without a record: all of it is read, and what differs
/// is written. Returns the number of blocks that did.
pub fn reset(memory: &mut [u8], image: Image<'_>) -> u32 {
    let mut walk = image.walk(memory.len());
    let mut differed = 0;
    while let Some((offset, difference)) = walk.next_difference(memory) {
        exclusive_or(&mut memory[offset..], &difference);
        differed += 1;
    }
    differed
}

/// Turns the block at the begin of `memory` into its image, or the image into the block.
fn exclusive_or(memory: &mut [u8], difference: &Words) {
    let length = memory.len().min(BLOCK);
    let block = &mut memory[..length];
    let words = load(block);
    store(core::array::from_fn(|row| words[row] ^ difference[row]), block);
}

/// In how many blocks two states of an instance differ: what its calls in between made
/// dirty, times [`BLOCK`] bytes. It reads the records and no memory. Blocks that a memory
/// grew by count where they are not zero.
///
/// # Errors
/// One of them is no record.
pub fn changed(before: impl Source, after: impl Source) -> Result<u32, Malformed> {
    let (mut before, mut after) = (Reader::new(before)?, Reader::new(after)?);
    let (mut one, mut other) = (before.next_block()?, after.next_block()?);
    let mut count = 0;
    loop {
        let numbers = [&one, &other].map(|item| item.map_or(u32::MAX, |(number, _)| number));
        count += u32::from(one != other);
        match numbers {
            [u32::MAX, u32::MAX] => return Ok(count),
            [left, right] => {
                if left <= right {
                    one = before.next_block()?;
                }
                if right <= left {
                    other = after.next_block()?;
                }
            }
        }
    }
}

/// Calls `change` with each block of a record: its offset, how it is written, and the
/// memory there. It returns the length of what is written.
fn for_each(
    source: impl Source,
    memory: &mut [u8],
    mut change: impl FnMut(usize, &[u8; MOST], &mut [u8]) -> Result<usize, Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(source)?;
    if u32::try_from(memory.len()) != Ok(reader.memory_bytes()) {
        return Err(Malformed);
    }
    let mut more = true;
    while more {
        more = reader.next(|number, written| {
            let offset = number as usize * BLOCK;
            let end = memory.len().min(offset + BLOCK);
            change(offset, written, memory.get_mut(offset..end).ok_or(Malformed)?)
        })?;
    }
    Ok(())
}

/// Reads a block, of which so many bytes are within the memory.
fn read_block(written: &[u8; MOST], words: &mut Words, inside: usize) -> Result<usize, Malformed> {
    let used = block::read(written, words)?;
    if inside < BLOCK && reaches_beyond(words, inside) { Err(Malformed) } else { Ok(used) }
}

/// Writes a record block by block.
struct Writer<S> {
    sink: S,
    /// Blocks of the memory, blocks that are written, and how many of these differed.
    blocks: u32,
    next: u32,
    dirty: u32,
}

impl<S: Sink> Writer<S> {
    fn new(memory_bytes: usize, mut sink: S) -> Result<Self, Refused> {
        let memory_bytes = u32::try_from(memory_bytes).map_err(|_| Refused::Full)?;
        let mut number = [0; NUMBER];
        let used = put_number(&mut number, memory_bytes);
        sink.put(&number[..used])?;
        Ok(Self { sink, blocks: memory_bytes.div_ceil(BLOCK as u32), next: 0, dirty: 0 })
    }

    /// Puts the block at `offset`, with the gap before it.
    fn put(&mut self, offset: usize, difference: &Words) -> Result<(), Refused> {
        // Within a memory whose length is a u32.
        let number = (offset / BLOCK) as u32;
        let mut item = [0; ITEM];
        let mut used = put_gap(&mut item, number - self.next);
        if let Some(into) = item[used..].first_chunk_mut() {
            used += block::write(difference, into);
        }
        self.next = number + 1;
        self.dirty += 1;
        self.sink.put(&item[..used])
    }

    /// Puts the gap up to the memory's end. Returns the number of blocks that differed.
    fn finish(mut self) -> Result<u32, Refused> {
        let mut item = [0; ITEM];
        let used = put_gap(&mut item, self.blocks - self.next);
        self.sink.put(&item[..used])?;
        Ok(self.dirty)
    }
}

/// Writes a gap, if there is one, and returns its length.
fn put_gap(item: &mut [u8; ITEM], blocks: u32) -> usize {
    if blocks == 0 { 0 } else { 1 + put_number(&mut item[1..], blocks) }
}

/// The length of the memory of the record that comes next. It stays before the record.
///
/// # Errors
/// There is none.
pub fn memory_bytes(source: &impl Source) -> Result<u32, Malformed> {
    let mut window = [0; NUMBER];
    let there = source.peek(&mut window);
    Ok(read_number(&window[..there])?.0)
}

/// Reads a record block by block.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    memory_bytes: u32,
    /// The block that comes next.
    next: u32,
    /// What comes next in the source, and older bytes behind its end.
    window: [u8; ITEM],
}

impl<S: Source> Reader<S> {
    /// Reads the memory's length: a live instance that is to take the record must have
    /// that much.
    ///
    /// # Errors
    /// There is none.
    pub fn new(mut source: S) -> Result<Self, Malformed> {
        let mut window = [0; NUMBER];
        let there = source.peek(&mut window);
        let (memory_bytes, used) = read_number(&window[..there])?;
        source.advance(used);
        Ok(Self { source, memory_bytes, next: 0, window: [0; ITEM] })
    }

    /// The length of the memory that was encoded.
    #[must_use]
    pub const fn memory_bytes(&self) -> u32 {
        self.memory_bytes
    }

    /// The number and the words of the next block that differs; `None` when the memory is
    /// covered. Behind that the source stands behind the record.
    ///
    /// # Errors
    /// What comes next is not what [`encode`] writes.
    pub fn next_block(&mut self) -> Result<Option<(u32, Words)>, Malformed> {
        let memory_bytes = self.memory_bytes;
        let mut item = (0, Words::default());
        let more = self.next(|number, written| {
            item.0 = number;
            read_block(written, &mut item.1, (memory_bytes - number * BLOCK as u32) as usize)
        })?;
        Ok(more.then_some(item))
    }

    /// Calls `read` with the number of the next block and how it is written, for the length
    /// of that. False when the memory is covered.
    fn next(
        &mut self,
        read: impl FnOnce(u32, &[u8; MOST]) -> Result<usize, Malformed>,
    ) -> Result<bool, Malformed> {
        let blocks = self.memory_bytes.div_ceil(BLOCK as u32);
        if self.next == blocks {
            return Ok(false);
        }
        let there = self.source.peek(&mut self.window);
        let mut used = 0;
        if self.window[0] == 0 {
            let (gap, length) = read_number(&self.window[1..])?;
            if gap == 0 || gap > blocks - self.next {
                return Err(Malformed);
            }
            self.next += gap;
            used = 1 + length;
        }
        let more = self.next < blocks;
        if more {
            // A gap behind a gap is no block: one gap would have done.
            let written = self.window[used..].first_chunk().ok_or(Malformed)?;
            used += read(self.next, written)?;
            self.next += 1;
        }
        self.source.advance(used);
        if used > there { Err(Malformed) } else { Ok(more) }
    }
}

/// Whether a block has bytes that are not zero behind its first `inside`.
#[cold]
fn reaches_beyond(words: &Words, inside: usize) -> bool {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.skip(inside).any(|byte| byte != 0)
}

/// Writes a number as LEB128 and returns its length.
pub fn put_number(into: &mut [u8], mut number: u32) -> usize {
    let mut used = 0;
    loop {
        let more = number > 0x7F;
        into[used] = (number & 0x7F) as u8 | u8::from(more) << 7;
        number >>= 7;
        used += 1;
        if !more {
            return used;
        }
    }
}

/// A LEB128 number and its length.
///
/// # Errors
/// It is cut short, too large, or longer than it has to be.
pub fn read_number(bytes: &[u8]) -> Result<(u32, usize), Malformed> {
    let mut number = 0;
    for (place, &byte) in bytes.iter().take(NUMBER).enumerate() {
        let bits = u32::from(byte & 0x7F);
        number |= bits << (7 * place);
        if byte & 0x80 == 0 {
            let longer_than_needed = place > 0 && byte == 0;
            let overflows = place == NUMBER - 1 && byte > 0x0F;
            let good = !longer_than_needed && !overflows;
            return good.then_some((number, place + 1)).ok_or(Malformed);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        let mut bytes = [0; NUMBER];
        for number in [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, 65_536, u32::MAX] {
            let used = put_number(&mut bytes, number);
            assert_eq!(read_number(&bytes[..used]), Ok((number, used)));
            assert_eq!(read_number(&bytes[..used - 1]), Err(Malformed));
        }
        assert_eq!(read_number(&[0x81, 0]), Err(Malformed), "longer than needed");
        assert_eq!(read_number(&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F]), Err(Malformed), "33 bits");
        assert_eq!(read_number(&[0x80; 9]), Err(Malformed), "no end");
    }
}
