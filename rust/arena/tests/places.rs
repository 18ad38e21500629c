//! A vector over lent memory does what a `Vec` does, until it is full.

mod common;

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use common::cases;
use proptest::prelude::*;
use wramp_arena::Places;

#[derive(Clone, Debug)]
enum Operation {
    Push(u32),
    Set(usize, u32),
    Reverse,
    Clear,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => any::<u32>().prop_map(Operation::Push),
        3 => (any::<usize>(), any::<u32>()).prop_map(|(at, value)| Operation::Set(at, value)),
        1 => Just(Operation::Reverse),
        1 => Just(Operation::Clear),
    ]
}

fn memory(bytes: usize) -> Vec<MaybeUninit<u64>> {
    vec![MaybeUninit::uninit(); bytes / 8]
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn it_is_a_vec_that_does_not_grow(
        words in 0..20_usize,
        operations in prop::collection::vec(operation(), 0..60),
    ) {
        let mut memory = memory(words * 8);
        let mut places = Places::<Box<u32>>::over(&mut memory);
        prop_assert_eq!(places.capacity(), words * 8 / size_of::<Box<u32>>());
        let mut model = Vec::new();
        for operation in operations {
            match operation {
                Operation::Push(value) => {
                    let full = model.len() == places.capacity();
                    let back = places.push(Box::new(value));
                    prop_assert_eq!(back, if full { Err(Box::new(value)) } else { Ok(()) });
                    if !full {
                        model.push(Box::new(value));
                    }
                }
                Operation::Set(at, value) => {
                    if let Some(place) = places.get_mut(at % words.max(1)) {
                        **place = value;
                    }
                    if let Some(place) = model.get_mut(at % words.max(1)) {
                        **place = value;
                    }
                }
                Operation::Reverse => {
                    places.iter_mut().for_each(|value| **value ^= 1);
                    model.iter_mut().for_each(|value| **value ^= 1);
                    places.reverse();
                    model.reverse();
                }
                Operation::Clear => {
                    places.clear();
                    model.clear();
                }
            }
            prop_assert_eq!(&places[..], &model[..]);
            prop_assert_eq!(places.len(), model.len());
        }
        let mut iterated = Vec::new();
        for value in &places {
            iterated.push(value.clone());
        }
        prop_assert_eq!(iterated, model);
    }
}

#[test]
fn every_value_is_dropped_once() {
    let value = Rc::new(());
    let mut memory = memory(Places::<Rc<()>>::bytes_for(3));
    for _ in 0..2 {
        let mut places = Places::over(&mut memory);
        for _ in 0..3 {
            places.push(Rc::clone(&value)).unwrap();
        }
        assert!(places.push(Rc::clone(&value)).is_err());
        assert_eq!(Rc::strong_count(&value), 4);
        places.clear();
        assert_eq!((Rc::strong_count(&value), places.len()), (1, 0));
        places.push(Rc::clone(&value)).unwrap();
        drop(places);
        assert_eq!(Rc::strong_count(&value), 1);
    }
}

#[test]
fn a_drop_that_panics_drops_no_value_twice() {
    struct Fragile<'c>(&'c std::cell::Cell<u32>, bool);
    impl Drop for Fragile<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            assert!(!self.1, "fragile");
        }
    }
    let dropped = std::cell::Cell::new(0);
    let mut memory = memory(Places::<Fragile<'_>>::bytes_for(3));
    let mut places = Places::over(&mut memory);
    for fragile in [false, true, false] {
        assert!(places.push(Fragile(&dropped, fragile)).is_ok());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| places.clear())).is_err());
    assert_eq!(places.len(), 0);
    drop(places);
    assert_eq!(dropped.get(), 3);
}

#[test]
fn the_capacity_is_what_was_asked_for_in_every_alignment() {
    fn check<T: Default + PartialEq + std::fmt::Debug>(align: usize) {
        assert_eq!(align_of::<T>(), align);
        for count in 0..5 {
            let bytes = Places::<T>::bytes_for(count);
            assert!(bytes.is_multiple_of(8));
            let mut memory = memory(bytes + 64);
            for begin in 0..8 {
                let mut places = Places::<T>::over(&mut memory[begin..begin + bytes / 8]);
                assert!(places.capacity() >= count, "{count} of {align} from {begin}");
                for _ in 0..count {
                    places.push(T::default()).unwrap();
                }
                assert!(places.as_ptr().is_aligned());
                assert!(places.iter().all(|value| *value == T::default()));
            }
        }
    }
    #[derive(Default, PartialEq, Debug)]
    #[repr(align(64))]
    struct Line([u8; 3]);
    #[derive(Default, PartialEq, Debug)]
    #[repr(align(16))]
    struct Wide(u8);
    check::<u8>(1);
    check::<[u8; 3]>(1);
    check::<u32>(4);
    check::<[u64; 3]>(8);
    check::<Wide>(16);
    check::<Line>(64);
}

#[test]
fn a_machine_that_lends_nothing_has_no_place() {
    let mut places = Places::none();
    assert_eq!((places.capacity(), places.push(1)), (0, Err(1)));
    assert_eq!(Places::<u32>::over(&mut []).capacity(), 0);
}

#[test]
fn it_is_sent_with_its_values() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let mut memory = memory(64);
    let mut places = Places::over(&mut memory);
    places.push(String::from("sent")).unwrap();
    let places = assert_send(places);
    std::thread::scope(|scope| {
        scope.spawn(move || assert_eq!(*places, ["sent"]));
    });
}
