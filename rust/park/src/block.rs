//! A block of 32 bytes as 1 to 33: eight words, four columns of their bytes.
//!
//! What a guest writes differs from its image in the low bytes of many words (counters,
//! samples, pointers into 64 KiB), in the high bytes of some (floating point), and in all
//! bytes of a few. So a block is written as four **columns**: column 0 is the lowest byte
//! of each of the 8 words, column 3 the highest. A header has two bits a column:
//!
//! | bits | column | bytes |
//! |---|---|---|
//! | 0 | zeros | 0 |
//! | 1 | few rows: those of the mask | 1 to 7, as many as the mask has bits |
//! | 2 | nibbles: all below 16, two in a byte | 4 |
//! | 3 | all rows | 8 |
//!
//! If a column has few rows, the mask follows the header: a bit for each word that some of
//! these columns has a byte of. They share it, since a word that is wide in one column
//! is so in others too. With 7 bits at most, the mask and a column together are no longer
//! than all rows are. So a block takes 33 bytes at most.
//!
//! The header of a block that differs is never 0, which leaves 0 as the sign for a gap.
//! There is no multiplication and no table: four bytes at a time are turned and tested.

use crate::Malformed;

/// Bytes of a block: memories are compared, and their changes counted, in such blocks.
pub const BLOCK: usize = 32;

/// Most bytes that a block is written as.
pub(crate) const MOST: usize = 1 + BLOCK;

/// The words of a block: each is the exclusive or of the memory and its image.
pub(crate) type Words = [u32; BLOCK / 4];

/// A column: rows 0 to 3 in one word, lowest byte first, and rows 4 to 7 in the other.
type Column = [u32; 2];

const ZEROS: u8 = 0;
const FEW: u8 = 1;
const NIBBLES: u8 = 2;
const ALL: u8 = 3;

/// Whether all words are zero.
#[inline]
pub(crate) fn is_zero(&[a, b, c, d, e, f, g, h]: &Words) -> bool {
    // Most blocks of most memories are asked this: no loop, whatever the compiler aims at.
    a | b | c | d | e | f | g | h == 0
}

/// Four words of four bytes, turned: byte `k` of word `n` becomes byte `n` of word `k`.
fn turned([a, b, c, d]: [u32; 4]) -> [u32; 4] {
    let even = |one: u32, next: u32| one & 0x00FF_00FF | (next & 0x00FF_00FF) << 8;
    let odd = |one: u32, next: u32| one >> 8 & 0x00FF_00FF | next & 0xFF00_FF00;
    let low = |one: u32, next: u32| one & 0xFFFF | next << 16;
    let high = |one: u32, next: u32| one >> 16 | next & 0xFFFF_0000;
    let (ab_even, ab_odd) = (even(a, b), odd(a, b));
    let (cd_even, cd_odd) = (even(c, d), odd(c, d));
    [low(ab_even, cd_even), low(ab_odd, cd_odd), high(ab_even, cd_even), high(ab_odd, cd_odd)]
}

fn columns_of(&[a, b, c, d, e, f, g, h]: &Words) -> [Column; 4] {
    let (above, below) = (turned([a, b, c, d]), turned([e, f, g, h]));
    core::array::from_fn(|number| [above[number], below[number]])
}

fn words_of([a, b, c, d]: [Column; 4]) -> Words {
    let [[p, q, r, s], [t, u, v, w]] =
        [0, 1].map(|half| turned([a[half], b[half], c[half], d[half]]));
    [p, q, r, s, t, u, v, w]
}

/// A bit for each of four bytes that is not zero.
fn bits(bytes: u32) -> u8 {
    // Adding does not carry out of a byte whose highest bit is cleared.
    let marks = (((bytes & 0x7F7F_7F7F) + 0x7F7F_7F7F) | bytes) & 0x8080_8080;
    ((marks >> 7 | marks >> 14 | marks >> 21 | marks >> 28) & 0xF) as u8
}

/// The rows of a mask, in their order.
#[inline]
fn rows(mask: u8) -> impl Iterator<Item = usize> {
    let mut left = u32::from(mask);
    core::iter::from_fn(move || {
        let row = (left != 0).then_some(left.trailing_zeros() as usize & 7);
        left &= left.wrapping_sub(1);
        row
    })
}

/// The one header and the one mask that a block is written with; no mask is 0.
fn plan(columns: &[Column; 4]) -> (u8, u8) {
    let (mut header, mut mask) = (0, 0);
    for (number, &[above, below]) in columns.iter().enumerate() {
        let any = above | below;
        if any == 0 {
            continue;
        }
        let rows = bits(above) | bits(below) << 4;
        let form = match rows.count_ones() {
            4.. if any & 0xF0F0_F0F0 == 0 => NIBBLES,
            7.. => ALL,
            _ => FEW,
        };
        if form == FEW {
            mask |= rows;
        }
        header |= form << (2 * number);
    }
    if mask == 0xFF {
        // Together they have every row: FEW becomes ALL.
        header |= (header & 0x55) << 1;
        mask = 0;
    }
    (header, mask)
}

/// Writes a block, of which some word is not zero; returns the bytes that it took.
pub(crate) fn write(words: &Words, into: &mut [u8; MOST]) -> usize {
    let columns = columns_of(words);
    let (header, mask) = plan(&columns);
    into[0] = header;
    into[1] = mask;
    let mut at = if mask == 0 { 1 } else { 2 };
    for (number, column) in columns.into_iter().enumerate() {
        match header >> (2 * number) & 3 {
            ZEROS => {}
            FEW => {
                for row in rows(mask) {
                    into[at] = (column[row / 4] >> (8 * (row % 4))) as u8;
                    at += 1;
                }
            }
            NIBBLES => {
                for half in column {
                    let pairs = half | half >> 4;
                    into[at..at + 2].copy_from_slice(&[pairs as u8, (pairs >> 16) as u8]);
                    at += 2;
                }
            }
            _ => {
                for half in column {
                    into[at..at + 4].copy_from_slice(&half.to_le_bytes());
                    at += 4;
                }
            }
        }
    }
    at
}

/// Whether a reader demands the one form of a block, and not only one that it can read.
/// It takes a fifth of the time to revive.
const CHECKED: bool = cfg!(any(debug_assertions, feature = "checked"));

/// The mask of a written block and where its columns begin.
fn mask_of(bytes: &[u8; MOST]) -> (u8, usize) {
    // Of some pair of bits the low one alone: that column has few rows.
    let has_few = bytes[0] & !(bytes[0] >> 1) & 0x55 != 0;
    if has_few { (bytes[1], 2) } else { (0, 1) }
}

/// The length of a written block, which is not read.
pub(crate) fn length(bytes: &[u8; MOST]) -> Result<usize, Malformed> {
    let (mask, begin) = mask_of(bytes);
    let few = mask.count_ones() as usize;
    let columns = (0..4).map(|number| match bytes[0] >> (2 * number) & 3 {
        ZEROS => 0,
        FEW => few,
        NIBBLES => 4,
        _ => 8,
    });
    let length = begin + columns.sum::<usize>();
    if bytes[0] == 0 || length > MOST { Err(Malformed) } else { Ok(length) }
}

/// Reads a block from the begin of `bytes` into `words`; returns the bytes that it took.
/// Whether there were as many is for the caller to ask: it may give more than a record has.
#[inline]
pub(crate) fn read(bytes: &[u8; MOST], words: &mut Words) -> Result<usize, Malformed> {
    let header = bytes[0];
    let (mask, mut at) = mask_of(bytes);
    let mut columns = [Column::default(); 4];
    for (number, column) in columns.iter_mut().enumerate() {
        match header >> (2 * number) & 3 {
            ZEROS => {}
            FEW => {
                for row in rows(mask) {
                    let byte = bytes.get(at).ok_or(Malformed)?;
                    column[row / 4] |= u32::from(*byte) << (8 * (row % 4));
                    at += 1;
                }
            }
            NIBBLES => {
                let pairs = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
                let [a, b, c, d] = pairs.map(u32::from);
                *column = [a | b << 16, c | d << 16].map(|half| (half | half << 4) & 0x0F0F_0F0F);
                at += 4;
            }
            _ => {
                let rows = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
                let &[a, b, c, d, e, f, g, h]: &[u8; 8] = rows;
                *column = [[a, b, c, d], [e, f, g, h]].map(u32::from_le_bytes);
                at += 8;
            }
        }
    }
    if header == 0 || CHECKED && plan(&columns) != (header, mask) {
        return Err(Malformed);
    }
    *words = words_of(columns);
    Ok(at)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn written(words: Words) -> Vec<u8> {
        let mut into = [0xEE; MOST];
        let length = write(&words, &mut into);
        // Whatever lies behind it.
        for behind in [0xEE, 0, 0xFF] {
            into[length..].fill(behind);
            let mut back = [0xEEEE_EEEE; 8];
            assert_eq!(read(&into, &mut back), Ok(length));
            assert_eq!(back, words);
            assert_eq!(super::length(&into), Ok(length));
        }
        into[..length].to_vec()
    }

    #[test]
    fn each_form_takes_what_the_table_says() {
        assert_eq!(written([0, 0, 0, 5, 0, 0, 0, 0]), [0b01, 0b1000, 5]);
        assert_eq!(written([0, 0xDD_CC_BB_AA, 0, 0, 0, 0, 0, 0])[..2], [0x55, 0b10]);
        assert_eq!(written([0, 0xDD_CC_BB_AA, 0, 0, 0, 0, 0, 0])[2..], [0xAA, 0xBB, 0xCC, 0xDD]);
        assert_eq!(written([1, 2, 3, 4, 5, 6, 7, 15]), [0b10, 0x21, 0x43, 0x65, 0xF7]);
        assert_eq!(written([16, 0, 3, 0, 0, 0, 0, 0]), [0b01, 0b101, 16, 3]);
        assert_eq!(written([0x9900_0000; 8])[..2], [0b1100_0000, 0x99]);
        assert_eq!(written([0x0000_0FFF; 8]).len(), 1 + 8 + 4);
        // A pointer among lengths.
        assert_eq!(written([0x1_2345, 9, 9, 20, 9, 9, 9, 20]).len(), 1 + 1 + 8 + 1 + 1);
        // Two columns with few rows that have all rows together.
        assert_eq!(written([99, 99, 99, 99, 0x9900, 0x9900, 0x9900, 0x9900])[0], 0b1111);
    }

    #[test]
    fn no_block_is_longer_than_its_bound() {
        assert_eq!(written([u32::MAX; 8]).len(), MOST);
        // Each column has any count of rows, from any row on, narrow or wide.
        let column = |seed: u32| {
            let (count, from, byte) = (seed % 9, seed / 9 % 8, if seed / 72 == 0 { 7 } else { 99 });
            (0..8).map(move |row| if (row + from) % 8 < count { byte } else { 0_u32 })
        };
        for (one, other) in (0..144).flat_map(|one| (0..144).map(move |other| (one, other))) {
            let mut words = Words::default();
            for (word, (low, high)) in words.iter_mut().zip(column(one).zip(column(other))) {
                *word = low | high << 8 | low << 16 | high << 24;
            }
            assert!(is_zero(&words) || written(words).len() <= MOST);
        }
    }

    #[test]
    fn another_form_of_the_same_block_is_refused() {
        let refused: &[&[u8]] = &[
            &[0],
            &[0b01, 0],                                 // few, and none
            &[0b01, 0b11, 7, 0],                        // few, and one of them zero
            &[0b01, 0b1111, 1, 2, 3, 4],                // few, where nibbles do
            &[0b01, 0b0111_1111, 1, 2, 3, 4, 5, 6, 99], // seven of them
            &[0b0101, 0b11, 1, 0, 2, 0],                // a row that nobody needs
            &[0b10, 0, 0, 0, 0],                        // nibbles, all zero
            &[0b10, 0x21, 3, 0, 0],                     // nibbles, three of them
            &[0b11, 1, 2, 3, 4, 5, 6, 7, 8],            // all, where nibbles do
            &[0b11, 99, 2, 3, 4, 5, 6, 0, 0],           // all, six of them
        ];
        for bytes in refused {
            let mut padded = [0; MOST];
            padded[..bytes.len()].copy_from_slice(bytes);
            assert_eq!(read(&padded, &mut Words::default()), Err(Malformed), "{bytes:?}");
        }
        for header in 0..=u8::MAX {
            // A mask of all rows would reach beyond the bytes.
            let mut bytes = [0xFF; MOST];
            bytes[0] = header;
            let _ = read(&bytes, &mut Words::default());
            assert!(
                length(&bytes).is_ok_and(|length| length <= MOST)
                    || header & 0x55 != 0
                    || header == 0
            );
        }
    }
}
