//! How long a parked memory is, and how long it takes to park and to revive one.
//!
//! `cargo bench -p wramp-park` prints one line a memory that a script can read, then times
//! with divan. `reference_bytes` is what the codec of the first measurement would take: a
//! bit a block of 64 bytes, two bits a word, and 0, 1, 2 or 4 bytes of each word. `cells`
//! is the size of the store's cells, and `region_bytes` what an instance takes there.

use divan::{Bencher, black_box};
use wramp_park::{BLOCK, Buffer, Cells, Image, Layout, apply, encode, max_encoded_len, take, undo};

const PAGE: usize = 65_536;
const NAMES: &[&str] = &[
    "state",
    "noise-2k",
    "sparse-run",
    "sparse-scattered",
    "mem",
    "msg",
    "page-clean",
    "page-noise",
];

/// A generator whose high bits are good enough for noise (Numerical Recipes).
fn noise(seed: &mut u32) -> u32 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *seed
}

/// Memory that is zero but for the words of `from`, one every `stride` words.
fn words(bytes: usize, stride: usize, from: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    for (place, word) in memory.chunks_exact_mut(4).step_by(stride).zip(from) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    memory
}

/// A guest's memory after calls.
fn memory(name: &str) -> Vec<u8> {
    let mut seed = 0;
    let mut noise = || noise(&mut seed) >> 8 ^ seed << 16;
    match name {
        // `wat/state.wat` when its ring is full: five words of sums, then 507 samples.
        "state" => {
            let mut x = 0;
            let samples: Vec<u32> = (0..507).map(|_| self::noise(&mut x) >> 20).collect();
            let sum: u32 = samples.iter().sum();
            let squares: u64 = samples.iter().map(|&sample| u64::from(sample).pow(2)).sum();
            let sums = [squares as u32, (squares >> 32) as u32, sum, x, 172];
            words(2_048, 1, sums.into_iter().chain(samples))
        }
        "noise-2k" => words(2_048, 1, (0..512).map(|_| noise())),
        "sparse-run" => words(2_048, 1, (0..32).map(|_| noise())),
        "sparse-scattered" => words(2_048, 16, (0..32).map(|_| noise())),
        // `wat/mem.wat`: the last of 100 passes over a KiB.
        "mem" => {
            let mut memory: Vec<u8> = (0..1_024).map(|at| (at + 99) as u8).collect();
            memory.resize(PAGE, 0);
            memory
        }
        // `wat/msg.wat`: a ring of 64 messages of 8 words, filled some times.
        "msg" => {
            let word = |n: u32, k: u32| {
                n.wrapping_mul(0x9e37_79b1).wrapping_add(k.wrapping_mul(0x85eb_ca6b))
            };
            words(PAGE, 1, (64..128).flat_map(|n| (0..8).map(move |k| word(n, k))))
        }
        "page-clean" => vec![0; PAGE],
        "page-noise" => words(PAGE, 1, (0..).map(|_| noise())),
        _ => unreachable!("no such memory: {name}"),
    }
}

fn record(memory: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; max_encoded_len(memory.len())];
    let mut buffer = Buffer::new(&mut bytes);
    encode(memory, Image::ZEROS, &mut buffer).expect("within its bound");
    buffer.written().to_vec()
}

/// Bytes of the codec of the first measurement.
fn reference_bytes(memory: &[u8]) -> usize {
    let word_bytes = |word: &[u8]| match word {
        [0, 0, 0, 0] => 0,
        [_, 0, 0, 0] => 1,
        [_, _, 0, 0] => 2,
        _ => 4,
    };
    let blocks = memory.chunks(64);
    let bits = blocks.len().div_ceil(8);
    let dirty = blocks.filter(|block| block.iter().any(|&byte| byte != 0));
    bits + dirty.map(|block| 4 + block.chunks(4).map(word_bytes).sum::<usize>()).sum::<usize>()
}

fn main() {
    for &name in NAMES {
        let memory = memory(name);
        let bytes = record(&memory).len();
        let layout = Layout::for_records_of(bytes, bytes);
        println!(
            "park memory={name} memory_bytes={} record_bytes={bytes} reference_bytes={} \
             bound_bytes={} cell_bytes={} region_bytes={}",
            memory.len(),
            reference_bytes(&memory),
            max_encoded_len(memory.len()),
            layout.cell_bytes(),
            layout.bytes_for(bytes),
        );
    }
    divan::main();
}

#[divan::bench(args = NAMES)]
fn park(bencher: Bencher<'_, '_>, name: &str) {
    let memory = memory(name);
    let mut bytes = vec![0; max_encoded_len(memory.len())];
    bencher.bench_local(|| {
        encode(black_box(&memory), Image::ZEROS, Buffer::new(&mut bytes)).expect("it fits")
    });
}

#[divan::bench(args = NAMES)]
fn revive_and_undo(bencher: Bencher<'_, '_>, name: &str) {
    let state = memory(name);
    let record = record(&state);
    let mut memory = vec![0; state.len()];
    bencher.bench_local(|| {
        apply(black_box(&record[..]), &mut memory).expect("a record");
        undo(black_box(&record[..]), &mut memory, Image::ZEROS).expect("a record");
    });
    assert!(memory.iter().all(|&byte| byte == 0));
    apply(&record[..], &mut memory).expect("a record");
    assert_eq!(memory, state);
}

/// Through a store that is full, which does not make it slower.
#[divan::bench(args = ["state", "mem", "msg"])]
fn park_and_revive_in_a_full_store(bencher: Bencher<'_, '_>, name: &str) {
    let state = memory(name);
    let bytes = record(&state).len();
    let mut region = vec![0; 278_528];
    let mut store = Cells::new(&mut region, Layout::for_records_of(bytes, bytes + BLOCK));
    let park = |store: &mut Cells<'_>, id, memory: &[u8]| {
        store.park(id, |sink| encode(memory, Image::ZEROS, sink).map(|_| ()))
    };
    let count = (0..).find(|&id| park(&mut store, id, &state).is_err()).expect("an end");
    let mut memory = vec![0; state.len()];
    let mut ids = (0..count).cycle();
    bencher.bench_local(|| {
        let id = ids.next().expect("it cycles");
        apply(store.record(id).expect("it is parked"), &mut memory).expect("a record");
        let taken =
            store.park(id, |sink| take(black_box(&mut memory), Image::ZEROS, sink).map(|_| ()));
        taken.expect("it did not grow");
    });
    assert!(memory.iter().all(|&byte| byte == 0));
}
