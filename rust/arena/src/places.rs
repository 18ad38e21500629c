//! A vector over memory that a machine lends, for tables beside the arena.

use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::{ptr, slice};

/// A vector in borrowed memory, which does not grow. Use it as a slice.
///
/// The memory is words of 8 bytes, so that it is aligned for most types.
pub struct Places<'m, T> {
    /// The first `len` hold a value.
    places: &'m mut [MaybeUninit<T>],
    len: usize,
}

impl<'m, T> Places<'m, T> {
    /// No places, of any kind: for a machine that lends no memory.
    #[must_use]
    pub const fn none() -> Self {
        Self { places: &mut [], len: 0 }
    }

    /// As many places as fit into the memory, once its begin is aligned for `T`. A `T` of no
    /// size does not compile: any number of them would fit.
    #[must_use]
    pub fn over(memory: &'m mut [MaybeUninit<u64>]) -> Self {
        const { assert!(size_of::<T>() > 0, "a type of no size needs no place") };
        let bytes = size_of_val(memory);
        let memory = memory.as_mut_ptr().cast::<u8>();
        let skipped = memory.align_offset(align_of::<T>());
        let count = bytes.saturating_sub(skipped) / size_of::<T>();
        if count == 0 {
            return Self::none();
        }
        // SAFETY: `count` of them lie within the memory, from an address that is aligned for
        // `T`. Any bytes are a `MaybeUninit<T>`, and what is left in them later on is a
        // `MaybeUninit<u64>` again. The memory is borrowed for 'm.
        let places = unsafe {
            slice::from_raw_parts_mut(memory.add(skipped).cast::<MaybeUninit<T>>(), count)
        };
        Self { places, len: 0 }
    }

    /// Bytes of memory that hold `count` places, wherever the memory lies: a multiple of 8.
    #[must_use]
    pub const fn bytes_for(count: usize) -> usize {
        // A stricter alignment than the memory's own may cost bytes at the begin.
        let skipped = align_of::<T>().saturating_sub(align_of::<u64>());
        (count * size_of::<T>() + skipped).next_multiple_of(size_of::<u64>())
    }

    /// Most values that it holds.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.places.len()
    }

    /// Adds a value behind the others.
    ///
    /// # Errors
    /// The value comes back if all places are taken.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        match self.places.get_mut(self.len) {
            Some(place) => {
                place.write(value);
                self.len += 1;
                Ok(())
            }
            None => Err(value),
        }
    }

    /// Drops all values.
    pub fn clear(&mut self) {
        let values: *mut [T] = &raw mut **self;
        // First: if a drop panics the others are leaked, and none is dropped twice.
        self.len = 0;
        // SAFETY: these were values until now, and nothing reaches them any more.
        unsafe { ptr::drop_in_place(values) };
    }
}

impl<T> Deref for Places<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` hold a value, and `MaybeUninit<T>` has the layout of `T`.
        unsafe { &*(&raw const self.places[..self.len] as *const [T]) }
    }
}

impl<T> DerefMut for Places<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes it the only reference.
        unsafe { &mut *(&raw mut self.places[..self.len] as *mut [T]) }
    }
}

impl<T> Drop for Places<'_, T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<'p, T> IntoIterator for &'p Places<'_, T> {
    type Item = &'p T;
    type IntoIter = slice::Iter<'p, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'p, T> IntoIterator for &'p mut Places<'_, T> {
    type Item = &'p mut T;
    type IntoIter = slice::IterMut<'p, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}
