//! A block of 32 bytes as 1 to 33: eight words, four columns of their bytes.
//!
//! What a guest writes differs from its image in the low bytes of many words (counters,
//! samples, pointers into 64 KiB), in the high bytes of some (floating point) and in all
//! bytes of a few. So a block is written as four **columns**: column 0 is the lowest byte
//! of each of the 8 words, column 3 the highest. A header has two bits a column:
//!
//! | bits | column | bytes |
//! |---|---|---|
//! | 0 | all zeros | 0 |
//! | 1 | few: a bit a byte, then the bytes that are not zero | 1 + 1 to 6 |
//! | 2 | nibbles: all below 16, two in a byte | 4 |
//! | 3 | all 8 bytes | 8 |
//!
//! The shortest form is taken; [`Column::of`] breaks ties. So a column takes 8 bytes at
//! most and a block 33. The header of a block that differs is never 0, which leaves 0 as
//! the sign for a gap. There is no multiplication and no table.

use crate::Malformed;

/// Bytes of a block: memories are compared, and their changes counted, in such blocks.
pub const BLOCK: usize = 32;

/// Most bytes that a block is written as.
pub(crate) const MOST: usize = 1 + BLOCK;

/// The words of a block: each is the exclusive or of the memory and its image.
pub(crate) type Words = [u32; BLOCK / 4];

type Bytes = [u8; BLOCK / 4];

/// How a column is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Zeros = 0,
    Few = 1,
    Nibbles = 2,
    All = 3,
}

impl Column {
    /// The one form in which these bytes are written.
    fn of(bytes: &Bytes) -> Self {
        let any = bytes.iter().fold(0, |any, byte| any | byte);
        let count = bytes.iter().fold(0, |count, &byte| count + u8::from(byte != 0));
        match (any, count) {
            (0, _) => Self::Zeros,
            (_, ..=2) => Self::Few,
            (..=0xF, _) => Self::Nibbles,
            (_, ..=6) => Self::Few,
            _ => Self::All,
        }
    }
}

/// Column `number` of the words.
fn column(words: &Words, number: usize) -> Bytes {
    words.map(|word| (word >> (8 * number)) as u8)
}

/// Writes a block, of which some word is not zero; returns the bytes that it took.
pub(crate) fn write(words: &Words, into: &mut [u8; MOST]) -> usize {
    let any = words.iter().fold(0, |any, word| any | word);
    let (mut header, mut at) = (0, 1);
    let mut put = |byte| {
        into[at] = byte;
        at += 1;
    };
    for number in (0..4).filter(|number| any >> (8 * number) & 0xFF != 0) {
        let bytes = column(words, number);
        let form = Column::of(&bytes);
        header |= (form as u8) << (2 * number);
        match form {
            Column::Zeros => {}
            Column::Few => {
                put((0..8).fold(0, |mask, row| mask | u8::from(bytes[row] != 0) << row));
                bytes.into_iter().filter(|&byte| byte != 0).for_each(&mut put);
            }
            Column::Nibbles => {
                bytes.as_chunks().0.iter().for_each(|[low, high]| put(low | high << 4))
            }
            Column::All => bytes.into_iter().for_each(&mut put),
        }
    }
    into[0] = header;
    at
}

/// Reads a block from the begin of `bytes`: its words, and the bytes that it took.
pub(crate) fn read(bytes: &[u8]) -> Result<(Words, usize), Malformed> {
    let (&header, mut rest) = bytes.split_first().ok_or(Malformed)?;
    if header == 0 {
        return Err(Malformed);
    }
    let mut words = Words::default();
    for number in 0..4 {
        let mut bytes = Bytes::default();
        let form = match header >> (2 * number) & 3 {
            0 => continue,
            1 => {
                let [mask] = take(&mut rest)?;
                for row in (0..8).filter(|row| mask >> row & 1 != 0) {
                    let [byte] = take(&mut rest)?;
                    if byte == 0 {
                        return Err(Malformed);
                    }
                    bytes[row] = byte;
                }
                Column::Few
            }
            2 => {
                let pairs = take::<4>(&mut rest)?;
                bytes = core::array::from_fn(|row| pairs[row / 2] >> (4 * (row % 2)) & 0xF);
                Column::Nibbles
            }
            _ => {
                bytes = take(&mut rest)?;
                Column::All
            }
        };
        if Column::of(&bytes) != form {
            return Err(Malformed);
        }
        for (word, byte) in words.iter_mut().zip(bytes) {
            *word |= u32::from(byte) << (8 * number);
        }
    }
    Ok((words, bytes.len() - rest.len()))
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (taken, rest) = from.split_first_chunk().ok_or(Malformed)?;
    *from = rest;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn written(words: Words) -> Vec<u8> {
        let mut into = [0xEE; MOST];
        let length = write(&words, &mut into);
        assert_eq!(read(&into), Ok((words, length)));
        into[..length].to_vec()
    }

    #[test]
    fn each_form_takes_what_the_table_says() {
        assert_eq!(written([0, 0, 0, 5, 0, 0, 0, 0]), [0b01, 0b1000, 5]);
        assert_eq!(written([1, 2, 3, 4, 5, 6, 7, 15]), [0b10, 0x21, 0x43, 0x65, 0xF7]);
        assert_eq!(written([16, 0, 3, 0, 0, 0, 0, 0]), [0b01, 0b101, 16, 3]);
        assert_eq!(written([0x9900_0000; 8])[..2], [0b1100_0000, 0x99]);
        assert_eq!(written([u32::MAX; 8]).len(), MOST);
        assert_eq!(written([0x0000_0FFF; 8]).len(), 1 + 8 + 4);
    }

    #[test]
    fn no_form_is_longer_than_another_would_be() {
        // Every count of bytes that are not zero, below 16 and above.
        for (value, count) in [1, 200].into_iter().flat_map(|v| (1..=8).map(move |n| (v, n))) {
            let words = core::array::from_fn(|row| if row < count { value } else { 0 });
            let shortest = [1 + count, if value < 16 { 4 } else { 8 }, 8].into_iter().min();
            assert_eq!(Some(written(words).len() - 1), shortest, "{count} times {value}");
        }
    }

    #[test]
    fn another_form_of_the_same_block_is_refused() {
        let refused: &[&[u8]] = &[
            &[],
            &[0],
            &[0b01, 0],                                 // few, and none
            &[0b01, 0b11, 7, 0],                        // few, and one of them zero
            &[0b01, 0b111, 1, 2, 3],                    // few, where nibbles are as short
            &[0b01, 0b0111_1111, 1, 2, 3, 4, 5, 6, 99], // seven of them
            &[0b10, 0, 0, 0, 0],                        // nibbles, all zero
            &[0b10, 0x21, 0, 0, 0],                     // nibbles, two of them
            &[0b11, 1, 2, 3, 4, 5, 6, 7, 8],            // all, where nibbles do
            &[0b11, 99, 2, 3, 4, 5, 6, 0, 0],           // all, six of them
            &[0b11, 99, 2, 3, 4, 5, 6, 7],              // cut
            &[0b10, 1, 2, 3],
            &[0b01, 0b11, 7],
            &[0b01],
        ];
        for bytes in refused {
            assert_eq!(read(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
