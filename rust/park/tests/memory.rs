//! Any memory over any image is parked in one form, within its bound, and comes back.

use proptest::collection::vec;
use proptest::prelude::*;
use wramp_park::{
    BLOCK, Buffer, Count, Image, Malformed, Opening, Reader, Refused, SEAL, Sealing, Segment, Sink,
    Source, apply, changed, dirty, encode, max_encoded_len, reset, take, undo,
};

/// A module's initial memory, the plain way: how much, and what lies where.
#[derive(Clone, Debug)]
struct Module {
    memory_bytes: usize,
    segments: Vec<(usize, Vec<u8>)>,
}

impl Module {
    fn with_image<T>(&self, work: impl FnOnce(Image<'_>) -> T) -> T {
        let segment = |(offset, bytes): &(usize, Vec<u8>)| (*offset as u32, bytes.clone());
        let owned: Vec<_> = self.segments.iter().map(segment).collect();
        let segments: Vec<_> =
            owned.iter().map(|(offset, bytes)| Segment { offset: *offset, bytes }).collect();
        work(Image::new(&&segments[..]))
    }

    /// The initial memory, byte by byte.
    fn initial(&self) -> Vec<u8> {
        let mut memory = vec![0; self.memory_bytes];
        for (offset, bytes) in &self.segments {
            for (at, byte) in (*offset..).zip(bytes) {
                if let Some(place) = memory.get_mut(at) {
                    *place = *byte;
                }
            }
        }
        memory
    }
}

/// Bytes as guests write them: small numbers, zeros, text, noise.
fn bytes(length: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => Just(0_u8), 3 => 0..16_u8, 1 => any::<u8>()];
    let length = length.into();
    prop_oneof![vec(byte, length.clone()), vec(any::<u8>(), length.clone()), vec(Just(0), length)]
}

fn module() -> impl Strategy<Value = Module> {
    // Some segments touch or overlap, some are empty, some reach beyond the memory's end.
    let any_order = vec((prop_oneof![Just(0), 0..900_usize], bytes(0..70)), 0..6);
    let one_after_another = vec((prop_oneof![Just(0), 0..90_usize], bytes(0..70)), 0..6);
    let one_after_another = one_after_another.prop_map(|parts| {
        let mut end = 0;
        let place = |(gap, bytes): (usize, Vec<u8>)| {
            let offset = end + gap;
            end = offset + bytes.len();
            (offset, bytes)
        };
        parts.into_iter().map(place).collect::<Vec<_>>()
    });
    (0..700_usize, prop_oneof![any_order, one_after_another])
        .prop_map(|(memory_bytes, segments)| Module { memory_bytes, segments })
}

/// What calls of a guest do to its memory: bytes written here and there.
type Writes = Vec<(usize, Vec<u8>)>;

fn writes() -> impl Strategy<Value = Writes> {
    vec((0..700_usize, bytes(1..100)), 0..6)
}

fn call(memory: &mut [u8], writes: &Writes) {
    for (offset, bytes) in writes {
        for (at, byte) in (*offset..).zip(bytes) {
            if let Some(place) = memory.get_mut(at) {
                *place = *byte;
            }
        }
    }
}

fn record(memory: &[u8], image: Image<'_>) -> (Vec<u8>, u32) {
    let mut bytes = vec![0xEE; max_encoded_len(memory.len())];
    let mut buffer = Buffer::new(&mut bytes);
    let dirty = encode(memory, image, &mut buffer).expect("within the bound");
    (buffer.written().to_vec(), dirty)
}

/// Blocks in which two memories differ, the plain way.
fn differing(one: &[u8], other: &[u8]) -> u32 {
    let length = one.len().max(other.len()).next_multiple_of(BLOCK);
    let padded = |memory: &[u8]| [memory, &vec![0; length - memory.len()]].concat();
    let (one, other) = (padded(one), padded(other));
    let pairs = one.chunks(BLOCK).zip(other.chunks(BLOCK));
    pairs.filter(|(one, other)| one != other).count() as u32
}

/// Applies a record to a memory that equals the image, and demands that nothing is left.
fn revived(record: &[u8], initial: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut memory = initial.to_vec();
    let mut source = record;
    apply(&mut source, &mut memory)?;
    source.end()?;
    Ok(memory)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_memory_comes_back_and_is_undone(
        module in module(), calls in writes(), skew in 0..4_usize,
    ) {
        let initial = module.initial();
        // At any address: an aligned memory is read by words, another by bytes.
        let mut raw = vec![0xAA; initial.len() + skew];
        let memory = &mut raw[skew..];
        memory.copy_from_slice(&initial);
        call(memory, &calls);
        let state = memory.to_vec();
        module.with_image(|image| {
            let (record, differ) = record(memory, image);
            prop_assert_eq!(differ, differing(&state, &initial));
            prop_assert_eq!(differ, dirty(memory, image, u32::MAX));
            prop_assert_eq!(dirty(memory, image, 1), differ.min(1));
            prop_assert!(record.len() <= max_encoded_len(state.len()));
            prop_assert_eq!(revived(&record, &initial), Ok(state.clone()));

            undo(&record[..], memory, image).unwrap();
            prop_assert_eq!(&*memory, &initial[..]);
            apply(&record[..], memory).unwrap();
            prop_assert_eq!(&*memory, &state[..]);
            apply(&record[..], memory).unwrap();
            prop_assert_eq!(&*memory, &initial[..], "it is its own inverse");

            call(memory, &calls);
            let mut count = Count::default();
            prop_assert_eq!(take(memory, image, &mut count), Ok(differ));
            prop_assert_eq!(count, Count(record.len()));
            prop_assert_eq!(&*memory, &initial[..]);

            call(memory, &calls);
            prop_assert_eq!(reset(memory, image), differ);
            prop_assert_eq!(&*memory, &initial[..]);
            Ok(())
        })?;
        prop_assert!(raw[..skew].iter().all(|&byte| byte == 0xAA));
    }

    #[test]
    fn undo_writes_the_image_whatever_the_blocks_hold(
        module in module(), calls in writes(), noise in any::<u8>(),
    ) {
        let initial = module.initial();
        let mut memory = initial.clone();
        call(&mut memory, &calls);
        module.with_image(|image| {
            let (record, _) = record(&memory, image);
            for (block, initial) in memory.chunks_mut(BLOCK).zip(initial.chunks(BLOCK)) {
                if block != initial {
                    block.fill(noise);
                }
            }
            undo(&record[..], &mut memory, image).unwrap();
            prop_assert_eq!(&memory, &initial);
            Ok(())
        })?;
    }

    #[test]
    fn what_calls_changed_is_known_from_two_records(
        module in module(), first in writes(), then in writes(), growth in 0..100_usize,
    ) {
        let mut memory = module.initial();
        module.with_image(|image| {
            call(&mut memory, &first);
            let before = memory.clone();
            memory.resize(before.len() + growth, 0);
            call(&mut memory, &then);
            // What grew is compared with the image too, so no segment may lie there.
            prop_assume!(module.segments.iter().all(|(at, bytes)| at + bytes.len() <= before.len()));
            let records = [&before, &memory].map(|memory| record(memory, image).0);
            let count = differing(&before, &memory);
            prop_assert_eq!(changed(&records[0][..], &records[1][..]), Ok(count));
            prop_assert_eq!(changed(&records[1][..], &records[0][..]), Ok(count));
            Ok(())
        })?;
    }

    #[test]
    fn too_little_room_is_refused_at_every_length(module in module(), calls in writes()) {
        let mut memory = module.initial();
        call(&mut memory, &calls);
        module.with_image(|image| {
            let (record, _) = record(&memory, image);
            let mut count = Count::default();
            encode(&memory, image, &mut count).unwrap();
            prop_assert_eq!(count, Count(record.len()));
            for length in 0..record.len() {
                let mut bytes = vec![0; length];
                let refused = encode(&memory, image, Buffer::new(&mut bytes));
                prop_assert_eq!(refused, Err(Refused::Full));
                // One that is taken leaves nothing for the next guest, refused or not.
                let mut taken = memory.clone();
                let refused = take(&mut taken, image, Buffer::new(&mut bytes));
                prop_assert_eq!(refused, Err(Refused::Full));
                prop_assert_eq!(&taken, &module.initial());
            }
            let mut bytes = vec![0; record.len()];
            take(&mut memory, image, Buffer::new(&mut bytes)).unwrap();
            prop_assert_eq!(bytes, record);
            Ok(())
        })?;
    }

    /// Damage is refused, or is the one record of some other state: never a second form.
    #[test]
    fn a_damaged_record_is_refused_or_is_another_states_record(
        module in module(),
        calls in writes(),
        flips in vec((any::<prop::sample::Index>(), 0..8_u8), 0..4),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
        tail in vec(any::<u8>(), 0..3),
    ) {
        let initial = module.initial();
        let mut memory = initial.clone();
        call(&mut memory, &calls);
        module.with_image(|image| {
            let (mut damaged, _) = record(&memory, image);
            for (at, bit) in &flips {
                let at = at.index(damaged.len());
                damaged[at] ^= 1 << bit;
            }
            if cuts {
                damaged.truncate(cut.index(damaged.len()));
            }
            damaged.extend(&tail);
            match revived(&damaged, &initial) {
                Err(Malformed) => {}
                Ok(state) => prop_assert_eq!(&record(&state, image).0, &damaged),
            }
            // Whatever happened, these end and stay within the memory.
            let _ = undo(&damaged[..], &mut memory, image);
            reset(&mut memory, image);
            prop_assert_eq!(&memory, &initial);
            Ok(())
        })?;
    }

    #[test]
    fn noise_is_refused_or_is_a_record(
        noise in bytes(0..120), memory_bytes in 0..200_u8,
    ) {
        let noise = [&[memory_bytes][..], &noise].concat();
        let initial = vec![0; usize::from(memory_bytes)];
        if let Ok(state) = revived(&noise, &initial) {
            prop_assert_eq!(&record(&state, Image::ZEROS).0, &noise);
        }
        let _ = changed(&noise[..], &noise[..]);
    }

    #[test]
    fn a_seal_opens_for_its_instance_alone(
        state in bytes(0..200),
        id in any::<u32>(),
        other in any::<u32>(),
        flip in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut bytes = vec![0; state.len() + SEAL];
        let mut sealing = Sealing::new(Buffer::new(&mut bytes), id);
        state.chunks(7).try_for_each(|part| sealing.put(part)).unwrap();
        sealing.seal().unwrap();
        let open = |bytes: &[u8], id| {
            let mut opening = Opening::new(bytes, id);
            let mut back = vec![0; state.len()];
            opening.take(&mut back)?;
            opening.open().map(|()| back)
        };
        prop_assert_eq!(open(&bytes, id), Ok(state.clone()));
        if other != id && (other ^ id).leading_zeros() + (other ^ id).trailing_zeros() >= 16 {
            // A CRC of 16 bits finds every error of up to 16 bits in a row.
            prop_assert_eq!(open(&bytes, other), Err(Malformed));
        }
        let at = flip.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(open(&bytes, id), Err(Malformed));
        prop_assert_eq!(open(&bytes[..bytes.len() - 1], id), Err(Malformed));
    }
}

#[test]
fn a_page_without_a_difference_takes_six_bytes() {
    let (bytes, dirty) = record(&[0; 65_536], Image::ZEROS);
    assert_eq!((bytes, dirty), (vec![0x80, 0x80, 0x04, 0, 0x80, 0x10], 0));
    assert_eq!(record(&[], Image::ZEROS), (vec![0], 0));
}

#[test]
fn all_bytes_different_is_the_longest_record() {
    for memory_bytes in [32, 2_048, 65_536] {
        let (bytes, dirty) = record(&vec![0xFF; memory_bytes], Image::ZEROS);
        assert_eq!(dirty as usize, memory_bytes / BLOCK);
        // All of the bound but the digits that this length does not have.
        let digits = memory_bytes.ilog2() as usize / 7 + 1;
        assert_eq!(bytes.len(), max_encoded_len(memory_bytes) - 5 + digits);
    }
}

#[test]
fn every_cut_and_every_single_damaged_bit_of_a_record_is_handled() {
    let text = *b"the image has some text in it, from 70 on, which the guest changes";
    let segments = [Segment { offset: 70, bytes: &text }];
    let image = Image::new(&segments);
    let mut initial = vec![0; 1_000];
    initial[70..70 + text.len()].copy_from_slice(&text);
    let mut memory = initial.clone();
    memory[90..100].copy_from_slice(b"0123456789");
    memory[500..520].fill(3);
    (640..704).for_each(|at| memory[at] = (at * 37) as u8);
    memory[996..].fill(0x80);
    let (record_bytes, dirty) = record(&memory, image);
    assert_eq!(dirty, 1 + 1 + 2 + 2 + 1);
    for length in 0..record_bytes.len() {
        assert_eq!(revived(&record_bytes[..length], &initial), Err(Malformed));
    }
    for (at, bit) in (0..record_bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut damaged = record_bytes.clone();
        damaged[at] ^= 1 << bit;
        if let Ok(state) = revived(&damaged, &initial) {
            assert_eq!(record(&state, image).0, damaged, "byte {at}, bit {bit}");
            assert_ne!(state, memory);
        }
    }
}

#[test]
fn a_record_of_another_length_is_refused() {
    let (bytes, _) = record(&[1; 64], Image::ZEROS);
    assert_eq!(Reader::new(&bytes[..]).unwrap().memory_bytes(), 64);
    for length in [0, 63, 65, 65_536] {
        assert_eq!(apply(&bytes[..], &mut vec![0; length]), Err(Malformed));
        assert_eq!(undo(&bytes[..], &mut vec![0; length], Image::ZEROS), Err(Malformed));
    }
}

#[test]
fn a_grown_memory_parks() {
    let segments = [Segment { offset: 8, bytes: &[1, 2, 3] }];
    let image = Image::new(&segments);
    let mut memory = vec![0; 2 * 65_536];
    memory[8..11].copy_from_slice(&[1, 2, 3]);
    memory[100_000] = 9;
    let (bytes, dirty) = record(&memory, image);
    assert_eq!((bytes.len(), dirty), (3 + 3 + 3 + 3, 1));
    undo(&bytes[..], &mut memory, image).unwrap();
    assert_eq!(memory[8..11], [1, 2, 3]);
    assert!(memory[11..].iter().all(|&byte| byte == 0));
}

#[test]
fn of_segments_that_overlap_or_descend_the_later_one_counts() {
    let segments = [
        Segment { offset: 40, bytes: &[1; 60] },
        Segment { offset: 0, bytes: &[2; 8] },
        Segment { offset: 70, bytes: &[3; 2] },
        Segment { offset: u32::MAX, bytes: &[4, 5] },
    ];
    let mut memory = [9; 128];
    assert_eq!(reset(&mut memory, Image::new(&segments)), 4);
    let mut initial = [0; 128];
    initial[40..100].fill(1);
    initial[..8].fill(2);
    initial[70..72].fill(3);
    assert_eq!(memory, initial);
}

#[test]
fn zeros_over_a_segment_are_a_difference() {
    let segments = [Segment { offset: 64, bytes: &[7; 96] }];
    let image = Image::new(&segments);
    for skew in 0..4 {
        let mut raw = vec![0; 256 + skew];
        let memory = &mut raw[skew..];
        assert_eq!(record(memory, image).1, 3);
        assert_eq!(reset(memory, image), 3);
        assert_eq!(memory[64..160], [7; 96]);
        assert_eq!(dirty(memory, image, 9), 0);
    }
}

#[test]
fn another_form_of_the_same_gap_is_refused() {
    let refused: &[&[u8]] = &[
        &[64, 0, 0, 1, 1, 9, 0, 1],       // an empty gap
        &[64, 0, 1, 0, 1],                // two in a row
        &[64, 0, 0x82, 0],                // a number longer than needed
        &[64, 0, 3],                      // beyond the end
        &[64, 1, 1, 9],                   // short of the end
        &[64, 1, 1, 9, 1, 1, 9, 1, 1, 9], // a block too many
    ];
    for bytes in refused {
        assert_eq!(revived(bytes, &[0; 64]), Err(Malformed), "{bytes:?}");
    }
    assert!(revived(&[64, 1, 1, 9, 0, 1], &[0; 64]).is_ok());
}
