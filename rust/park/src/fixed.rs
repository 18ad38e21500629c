//! A store for states of one length: as an array, without a byte of bookkeeping.
//!
//! Instance `id` lies at place `id`. Nothing else is kept, so `n` instances of `s` bytes
//! take `(n + 1) * s` bytes. The one place more is for the record that is being written: it
//! is copied over the old one when it is complete, so an error in between harms nobody. A
//! park copies the state twice and does nothing else, whatever happened before.

use core::num::NonZeroUsize;

use crate::{Buffer, Record, Refused, Sink};

/// Parks states of one length: those of a module without a memory, `cpu`'s 4 bytes.
#[derive(Debug)]
pub struct Fixed<'r> {
    /// The draft, then the instances in their order.
    region: &'r mut [u8],
    state_bytes: NonZeroUsize,
    instances: u32,
}

impl<'r> Fixed<'r> {
    /// An empty store of states of `state_bytes` each.
    #[must_use]
    pub const fn new(region: &'r mut [u8], state_bytes: NonZeroUsize) -> Self {
        Self { region, state_bytes, instances: 0 }
    }

    /// Bytes of a region that holds so many instances.
    #[must_use]
    pub const fn bytes_for(instances: u32, state_bytes: NonZeroUsize) -> usize {
        (instances as usize + 1).saturating_mul(state_bytes.get())
    }

    /// Instances that were parked at least once. They are numbered from 0.
    #[must_use]
    pub const fn instances(&self) -> u32 {
        self.instances
    }

    /// Parks an instance's state: a new one's if `id` is [`instances`](Self::instances),
    /// otherwise in place of the one that it had. Returns the bytes of the record.
    ///
    /// # Errors
    /// What `write` returns; `Length` if it put more or less than the length of all states,
    /// `Full` if the region has no place for another instance, `Unknown` if `id` leaves a
    /// gap. The instance keeps the state that it had.
    pub fn park<E: From<Refused>>(
        &mut self,
        id: u32,
        write: impl FnOnce(&mut dyn Sink) -> Result<(), E>,
    ) -> Result<usize, E> {
        if id > self.instances {
            return Err(Refused::Unknown.into());
        }
        let state_bytes = self.state_bytes.get();
        let (draft, places) = self.region.split_at_mut_checked(state_bytes).ok_or(Refused::Full)?;
        let place = places.chunks_exact_mut(state_bytes).nth(id as usize).ok_or(Refused::Full)?;
        let mut draft = Buffer::new(draft);
        write(&mut ExactLength(&mut draft))?;
        if draft.written().len() != state_bytes {
            return Err(Refused::Length.into());
        }
        place.copy_from_slice(draft.written());
        self.instances = self.instances.max(id + 1);
        Ok(state_bytes)
    }

    /// An instance's state.
    ///
    /// # Errors
    /// `Unknown` if it was never parked.
    pub fn record(&self, id: u32) -> Result<Record<'_>, Refused> {
        if id >= self.instances {
            return Err(Refused::Unknown);
        }
        let mut places = self.region.chunks_exact(self.state_bytes.get()).skip(1);
        places.nth(id as usize).map(Record::whole).ok_or(Refused::Unknown)
    }
}

/// A buffer that calls what does not fit by its name here.
struct ExactLength<'d, 'b>(&'d mut Buffer<'b>);

impl Sink for ExactLength<'_, '_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.0.put(bytes).map_err(|_| Refused::Length)
    }
}
