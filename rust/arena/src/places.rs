//! A vector over memory that a machine lends, for tables beside the arena.

use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::{ptr, slice};

/// A vector of fixed capacity in borrowed memory. It dereferences to a slice.
///
/// The memory consists of words of 8 bytes, so it is aligned for most types.
pub struct Places<'m, T> {
    /// The first `len` places hold a value.
    places: &'m mut [MaybeUninit<T>],
    len: usize,
}

impl<'m, T> Places<'m, T> {
    /// A vector without places, for a machine that lends no memory.
    #[must_use]
    pub const fn none() -> Self {
        Self { places: &mut [], len: 0 }
    }

    /// As many places as fit into the memory behind the first address that is aligned for `T`.
    /// A zero-sized `T` does not compile, because any number of them would fit.
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
        // SAFETY: `count` places lie within the memory, from an address that is aligned for
        // `T`. Any bytes are a valid `MaybeUninit<T>`, and whatever they hold afterwards is a
        // valid `MaybeUninit<u64>` again. The memory is borrowed for 'm.
        let places = unsafe {
            slice::from_raw_parts_mut(memory.add(skipped).cast::<MaybeUninit<T>>(), count)
        };
        Self { places, len: 0 }
    }

    /// Bytes of memory that hold `count` places at any address: a multiple of 8.
    #[must_use]
    pub const fn bytes_for(count: usize) -> usize {
        // A type with a stricter alignment than the memory may skip bytes at the start.
        let skipped = align_of::<T>().saturating_sub(align_of::<u64>());
        (count * size_of::<T>() + skipped).next_multiple_of(size_of::<u64>())
    }

    /// The most values that fit.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.places.len()
    }

    /// Adds a value behind the others.
    ///
    /// # Errors
    /// Returns the value if all places are taken.
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

    /// Takes the last value out.
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: the place at the former `len - 1` held a value, and with `len` one less nothing
        // reaches it again before another value is written to it.
        Some(unsafe { self.places[self.len].assume_init_read() })
    }

    /// Drops all values.
    pub fn clear(&mut self) {
        let values: *mut [T] = &raw mut **self;
        // Before the drops: if one panics, the other values leak and none is dropped twice.
        self.len = 0;
        // SAFETY: the first `len` places held values, and with `len` at 0 nothing reaches them.
        unsafe { ptr::drop_in_place(values) };
    }
}

impl<T> Deref for Places<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` places hold a value, and `MaybeUninit<T>` has the layout of
        // `T`.
        unsafe { &*(&raw const self.places[..self.len] as *const [T]) }
    }
}

impl<T> DerefMut for Places<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes this the only reference.
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
