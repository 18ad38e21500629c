//! A linear memory as its difference from an image, and back.
//!
//! A record is the memory's length in bytes, then its blocks of 32 bytes in order: a block
//! that differs is written as in [`block`](crate::block), and a gap of `n` blocks that do
//! not is a zero byte and `n`. Both numbers are LEB128, as in WebAssembly. Blocks and gaps
//! cover the memory exactly, so a record needs no end mark and other parts may follow.
//!
//! Every state has one record: a gap is as long as it can be, a number as short.

use core::ops::ControlFlow;

use crate::block::{self, BLOCK, MOST, Words};
use crate::image::{Image, load, store};
use crate::{Malformed, Refused, Sink, Source};

/// Most bytes of a number.
const NUMBER: usize = 5;

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
pub fn encode(memory: &[u8], image: Image<'_>, mut sink: impl Sink) -> Result<u32, Refused> {
    let length = u32::try_from(memory.len()).map_err(|_| Refused::Full)?;
    let mut item = [0; ITEM];
    let used = put_number(&mut item, length);
    sink.put(&item[..used])?;
    let (mut clean, mut differ) = (0, 0);
    let mut put = |words: Option<&Words>, clean: u32| {
        let mut used = 0;
        if clean > 0 {
            item[0] = 0;
            used = 1 + put_number(&mut item[1..], clean);
        }
        if let (Some(words), Some(into)) = (words, item[used..].first_chunk_mut()) {
            used += block::write(words, into);
        }
        sink.put(&item[..used])
    };
    let mut walk = image.walk(memory.len());
    for (offset, block) in (0..).step_by(BLOCK).zip(memory.chunks(BLOCK)) {
        let words = walk.difference(offset, load(block));
        if words == Words::default() {
            clean += 1;
        } else {
            put(Some(&words), clean)?;
            clean = 0;
            differ += 1;
        }
    }
    put(None, clean)?;
    Ok(differ)
}

/// The number of blocks in which a memory differs from the image. It stops at `most`: to
/// ask whether a memory is the image, `dirty(memory, image, 1) == 0`.
#[must_use]
pub fn dirty(memory: &[u8], image: Image<'_>, most: u32) -> u32 {
    let mut walk = image.walk(memory.len());
    let blocks = (0..).step_by(BLOCK).zip(memory.chunks(BLOCK));
    let differs = |(offset, block)| walk.difference(offset, load(block)) != Words::default();
    let count = blocks.map(differs).try_fold(0, |count, differs| match count {
        count if count == most => ControlFlow::Break(count),
        count => ControlFlow::Continue(count + u32::from(differs)),
    });
    match count {
        ControlFlow::Break(count) | ControlFlow::Continue(count) => count,
    }
}

/// Turns a memory that equals the image into the one that was encoded.
///
/// It is its own inverse: the same record again turns the memory back. [`undo`] does that
/// too, and needs no trust in what the memory holds.
///
/// # Errors
/// Then the memory holds neither. [`reset`] makes it the image again.
pub fn apply(source: impl Source, memory: &mut [u8]) -> Result<(), Malformed> {
    for_each(source, memory, |_, words, block| {
        let there = load(block);
        store(core::array::from_fn(|row| there[row] ^ words[row]), block);
    })
}

/// Turns a memory that was encoded back into the image. It touches only the blocks that the
/// record has, and writes the image into them whatever they hold.
///
/// # Errors
/// Then the memory is not the image. [`reset`] makes it so.
pub fn undo(source: impl Source, memory: &mut [u8], image: Image<'_>) -> Result<(), Malformed> {
    let mut walk = image.walk(memory.len());
    for_each(source, memory, |offset, _, block| {
        store(walk.difference(offset, Words::default()), block);
    })
}

/// Turns any memory into the image, without a record: all of it is read, and what differs
/// is written. Returns the number of blocks that did.
pub fn reset(memory: &mut [u8], image: Image<'_>) -> u32 {
    let mut walk = image.walk(memory.len());
    let mut differed = 0;
    for (offset, block) in (0..).step_by(BLOCK).zip(memory.chunks_mut(BLOCK)) {
        let initial = walk.difference(offset, Words::default());
        if load(block) != initial {
            store(initial, block);
            differed += 1;
        }
    }
    differed
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

/// Calls `change` with the offset, the difference and the memory of each block of a record.
fn for_each(
    source: impl Source,
    memory: &mut [u8],
    mut change: impl FnMut(usize, Words, &mut [u8]),
) -> Result<(), Malformed> {
    let mut reader = Reader::new(source)?;
    if u32::try_from(memory.len()) != Ok(reader.memory_bytes()) {
        return Err(Malformed);
    }
    let mut rest = memory;
    let mut passed = 0;
    while let Some((number, words)) = reader.next_block()? {
        let offset = number as usize * BLOCK;
        let ahead = rest.get_mut(offset - passed..).ok_or(Malformed)?;
        let (block, behind) = ahead.split_at_mut(BLOCK.min(ahead.len()));
        change(offset, words, block);
        passed = offset + block.len();
        rest = behind;
    }
    Ok(())
}

/// Reads a record block by block.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    memory_bytes: u32,
    /// The block that comes next.
    next: u32,
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
        Ok(Self { source, memory_bytes, next: 0 })
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
        let blocks = self.memory_bytes.div_ceil(BLOCK as u32);
        if self.next == blocks {
            return Ok(None);
        }
        let mut window = [0; ITEM];
        let there = self.source.peek(&mut window);
        let mut item = &window[..there];
        if let [0, number @ ..] = item {
            let (gap, used) = read_number(number)?;
            if gap == 0 || gap > blocks - self.next {
                return Err(Malformed);
            }
            self.next += gap;
            if self.next == blocks {
                self.source.advance(1 + used);
                return Ok(None);
            }
            item = &number[used..];
        }
        // A gap behind a gap is no block: one gap would have done.
        let (words, used) = block::read(item)?;
        self.source.advance(there - item.len() + used);
        let number = self.next;
        self.next += 1;
        let inside = self.memory_bytes - number * BLOCK as u32;
        if inside < BLOCK as u32 && reaches_beyond(&words, inside) {
            return Err(Malformed);
        }
        Ok(Some((number, words)))
    }
}

/// Whether a block has bytes that are not zero behind its first `inside`.
#[cold]
fn reaches_beyond(words: &Words, inside: u32) -> bool {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.skip(inside as usize).any(|byte| byte != 0)
}

/// Writes a number and returns its length.
fn put_number(into: &mut [u8], mut number: u32) -> usize {
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

/// A number and its length.
fn read_number(bytes: &[u8]) -> Result<(u32, usize), Malformed> {
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
