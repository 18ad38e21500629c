//! Stores against a map: what was parked comes back, whatever was refused in between.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use proptest::collection::vec;
use proptest::prelude::*;
use wramp_park::{Cells, Fixed, Layout, Malformed, Record, Refused, Sink, Source, Store};

/// All bytes of a record, read in steps of so many.
fn read(mut record: Record<'_>, step: usize) -> Vec<u8> {
    let length = record.len();
    let mut bytes = Vec::new();
    while !record.is_empty() {
        let mut window = vec![0; step.min(record.len())];
        record.take(&mut window).unwrap();
        bytes.extend(window);
    }
    assert_eq!(bytes.len(), length);
    assert_eq!(record.end(), Ok(()));
    assert_eq!(record.take(&mut [0]), Err(Malformed));
    bytes
}

/// Puts bytes in pieces, and gives up behind `fails_at` of them if there are as many.
fn put(sink: &mut dyn Sink, bytes: &[u8], fails_at: Option<usize>) -> Result<(), Refused> {
    for (at, piece) in (0..).step_by(5).zip(bytes.chunks(5)) {
        if fails_at.is_some_and(|fails_at| at >= fails_at) {
            return Err(Refused::Length);
        }
        sink.put(piece)?;
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Operation {
    Park { id: prop::sample::Index, bytes: Vec<u8>, fails_at: Option<usize> },
    Remove { id: prop::sample::Index },
}

fn operations(longest: usize) -> impl Strategy<Value = Vec<Operation>> {
    let fails_at = prop_oneof![4 => Just(None), 1 => (0..longest).prop_map(Some)];
    let park = (any::<prop::sample::Index>(), vec(any::<u8>(), 0..longest), fails_at)
        .prop_map(|(id, bytes, fails_at)| Operation::Park { id, bytes, fails_at });
    let remove = any::<prop::sample::Index>().prop_map(|id| Operation::Remove { id });
    vec(prop_oneof![8 => park, 1 => remove], 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cells_behave_as_a_map_does(
        operations in operations(100),
        region_bytes in 0..1_500_usize,
        cell_bytes in 0..40_usize,
        budget_bytes in 0..110_usize,
        step in 1..20_usize,
    ) {
        let mut region = vec![0xEE; region_bytes];
        let layout = Layout::new(cell_bytes, budget_bytes);
        let mut store = Cells::new(&mut region, layout);
        let mut model = BTreeMap::<u32, Vec<u8>>::new();
        let cells_for = |bytes: usize| bytes.div_ceil(layout.cell_bytes() - 2);
        let reserve = cells_for(budget_bytes);
        for operation in operations {
            let instances = store.instances();
            let free = store.free_cells();
            match operation {
                Operation::Park { id, bytes, fails_at } => {
                    // Every id so far, the next one, and one too many.
                    let id = id.index(instances as usize + 2) as u32;
                    let before = model.get(&id).map_or(0, |bytes| cells_for(bytes.len()));
                    let after = cells_for(bytes.len());
                    match store.park(id, |sink| put(sink, &bytes, fails_at)) {
                        Ok(length) => {
                            prop_assert!(id <= instances && length == bytes.len());
                            prop_assert!(length <= budget_bytes);
                            let grown = id == instances || after > before;
                            prop_assert!(!grown || store.free_cells() >= reserve);
                            model.insert(id, bytes);
                        }
                        Err(Refused::Unknown) => prop_assert_eq!(id, instances + 1),
                        Err(Refused::Budget) => prop_assert!(bytes.len() > budget_bytes),
                        Err(Refused::Length) => {
                            prop_assert!(fails_at.is_some_and(|at| at < bytes.len()));
                        }
                        Err(Refused::Full) => {
                            // Only who needs more, and only where it is not there.
                            prop_assert!(id == instances || after > before);
                            let entry = usize::from(id == instances);
                            prop_assert!(free + before < after + reserve + entry);
                        }
                    }
                }
                Operation::Remove { id } => {
                    let id = id.index(instances as usize + 1) as u32;
                    let expected = model.remove(&id).map(drop).ok_or(Refused::Unknown);
                    prop_assert_eq!(store.remove(id), expected);
                }
            }
            for id in 0..=store.instances() {
                let there = store.record(id).map(|record| read(record, step));
                prop_assert_eq!(there, model.get(&id).cloned().ok_or(Refused::Unknown));
            }
            // Every cell is a record's or free: none is lost, ever.
            let used: usize = model.values().map(|bytes| cells_for(bytes.len())).sum();
            let behind = region_bytes - store.instances() as usize * 6;
            prop_assert_eq!(used + store.free_cells(), behind / layout.cell_bytes());
        }
    }

    #[test]
    fn fixed_places_behave_as_a_map_does(
        operations in operations(9), region_bytes in 0..100_usize, state_bytes in 1..9_usize,
    ) {
        let mut region = vec![0xEE; region_bytes];
        let state_bytes = NonZeroUsize::new(state_bytes).unwrap();
        let mut store = Store::Fixed(Fixed::new(&mut region, state_bytes));
        let mut model = BTreeMap::<u32, Vec<u8>>::new();
        for operation in operations {
            let Operation::Park { id, bytes, fails_at } = operation else { continue };
            let instances = store.instances();
            let id = id.index(instances as usize + 2) as u32;
            match store.park(id, |sink| put(sink, &bytes, fails_at)) {
                Ok(length) => {
                    prop_assert!(id <= instances && length == bytes.len());
                    prop_assert_eq!(length, state_bytes.get());
                    model.insert(id, bytes);
                }
                Err(Refused::Unknown) => prop_assert_eq!(id, instances + 1),
                Err(Refused::Length) => prop_assert!(
                    bytes.len() != state_bytes.get() || fails_at.is_some_and(|at| at < bytes.len())
                ),
                Err(Refused::Full) => {
                    prop_assert!(Fixed::bytes_for(id + 1, state_bytes) > region_bytes);
                }
                Err(Refused::Budget) => prop_assert!(false, "it has no budget"),
            }
            for id in 0..=store.instances() {
                let there = store.record(id).map(|record| read(record, 3));
                prop_assert_eq!(there, model.get(&id).cloned().ok_or(Refused::Unknown));
            }
        }
    }
}

fn park(store: &mut Cells<'_>, id: u32, bytes: &[u8]) -> Result<usize, Refused> {
    store.park(id, |sink| sink.put(bytes))
}

/// Instances that get in until the store is full.
fn climb(store: &mut Cells<'_>, bytes: &[u8]) -> u32 {
    while park(store, store.instances(), bytes).is_ok() {}
    store.instances()
}

#[test]
fn who_does_not_grow_can_always_park_again() {
    let layout = Layout::new(32, 300);
    let mut region = vec![0; 20_000];
    let mut store = Cells::new(&mut region, layout);
    let count = climb(&mut store, &[7; 200]);
    assert!(count > 50);
    for id in (0..count).cycle().take(5_000) {
        let length = 1 + (id as usize * 97) % 200;
        assert_eq!(park(&mut store, id, &vec![8; length]), Ok(length));
        assert_eq!(park(&mut store, id, &[9; 200]), Ok(200));
    }
    // Full is full, as full as on the first day: nothing was lost to fragmentation.
    assert_eq!(climb(&mut store, &[7; 200]), count);
}

#[test]
fn who_grows_suffers_alone() {
    let layout = Layout::new(32, 300);
    let mut region = vec![0; 20_000];
    let mut store = Cells::new(&mut region, layout);
    let count = climb(&mut store, &[7; 200]);
    let refused: Vec<_> =
        (0..count).filter_map(|id| park(&mut store, id, &[8; 290]).err()).collect();
    assert!(refused.len() as u32 > count - 10);
    assert!(refused.iter().all(|&error| error == Refused::Full));
    assert_eq!(park(&mut store, 3, &[8; 301]), Err(Refused::Budget));
    let lengths: Vec<_> = (0..count).map(|id| store.record(id).unwrap().len()).collect();
    assert!(lengths.iter().all(|&length| length == 200 || length == 290));
    assert!(lengths[count as usize - 10..].iter().all(|&length| length == 200));
}

#[test]
fn after_a_spike_new_instances_find_room_where_cells_were() {
    let layout = Layout::new(32, 3_000);
    let mut region = vec![0; 20_000];
    let mut store = Cells::new(&mut region, layout);
    // All of the region becomes cells, and almost all of them free again.
    (0..5).for_each(|id| assert_eq!(park(&mut store, id, &[id as u8; 3_000]), Ok(3_000)));
    assert_eq!(park(&mut store, 5, &[5; 3_000]), Err(Refused::Full));
    (0..5).for_each(|id| assert_eq!(park(&mut store, id, &[id as u8; 30]), Ok(30)));
    let count = (5..).find(|&id| park(&mut store, id, &[id as u8; 30]).is_err()).unwrap();
    let reserve = 3_000_usize.div_ceil(30) * 32;
    assert_eq!(count as usize, (20_000 - reserve) / layout.bytes_for(30));
    for id in 0..count {
        assert_eq!(read(store.record(id).unwrap(), 11), [id as u8; 30]);
    }
}

/// What the issue asks for, with nothing but the store counted.
#[test]
fn many_small_states_fit_into_the_declared_bytes() {
    let state_bytes = |bytes| NonZeroUsize::new(bytes).unwrap();
    let mut region = vec![0; 294_912 - 4 * 4_096];
    let region_bytes = region.len();
    assert!(Fixed::bytes_for(68_912, state_bytes(4)) <= region_bytes);
    let mut store = Fixed::new(&mut region, state_bytes(4));
    let park = |store: &mut Fixed<'_>, id: u32| {
        store.park::<Refused>(id, |sink| sink.put(&id.to_le_bytes()))
    };
    let count = (0..).find(|&id| park(&mut store, id).is_err()).unwrap();
    assert_eq!(count, 69_631);
    for id in 0..count {
        assert_eq!(read(store.record(id).unwrap(), 4), id.to_le_bytes());
    }
    // With as much again for the judge, and 16 KiB left for live instances.
    assert!(Fixed::bytes_for(32_768, state_bytes(8)) <= region_bytes - 16_000);
}
