//! A region to lend and a lock, for the tests.
#![allow(dead_code, unreachable_pub)] // Each test uses a part.

use std::mem::MaybeUninit;
use std::sync::Mutex;

use proptest::prelude::ProptestConfig;
use wramp_arena::{Blocks, FirstFit, HEADER, Lock, UNIT};

pub struct Locked<T>(Mutex<T>);

impl<T: Send> Lock<T> for Locked<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        with(&mut self.0.lock().unwrap())
    }
}

pub type TestArena<'m> = FirstFit<'m, Locked<Blocks<'m>>>;

/// Memory that [`at`](Self::at) lends a part of.
pub struct Region(Vec<MaybeUninit<u8>>);

impl Region {
    pub fn new(bytes: usize) -> Self {
        Self(vec![MaybeUninit::uninit(); bytes + 2 * UNIT])
    }

    /// All bytes but two units, beginning `skew` bytes behind a multiple of [`UNIT`].
    pub fn at(&mut self, skew: usize) -> &mut [MaybeUninit<u8>] {
        let begin = self.0.as_ptr().align_offset(UNIT) + skew;
        let bytes = self.0.len() - 2 * UNIT;
        &mut self.0[begin..begin + bytes]
    }
}

/// Bytes that a block takes, with its header and rounding.
pub fn whole(bytes: u32) -> u32 {
    u32::try_from((bytes as usize + HEADER).next_multiple_of(UNIT)).unwrap()
}

/// Few cases under Miri, which is slow.
pub fn cases(cases: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 3 } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
