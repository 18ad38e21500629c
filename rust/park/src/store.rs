//! A store of either kind: the module decides, and who parks need not know.

use crate::{Cells, Fixed, Record, Refused, Sink};

/// Where the records of a module's instances are kept.
#[derive(Debug)]
pub enum Store<'r> {
    /// All states have one length: a module without a memory.
    Fixed(Fixed<'r>),
    /// States have any length up to a budget.
    Cells(Cells<'r>),
}

impl Store<'_> {
    /// Instances that were parked at least once. They are numbered from 0.
    #[must_use]
    pub const fn instances(&self) -> u32 {
        match self {
            Self::Fixed(store) => store.instances(),
            Self::Cells(store) => store.instances(),
        }
    }

    /// Parks an instance's state: a new one's if `id` is [`instances`](Self::instances),
    /// otherwise in place of the one that it had. Returns the bytes of the record.
    ///
    /// # Errors
    /// What `write` returns, or why the store refuses the record. The instance keeps the
    /// record that it had, and nobody else's changes.
    pub fn park<E: From<Refused>>(
        &mut self,
        id: u32,
        write: impl FnOnce(&mut dyn Sink) -> Result<(), E>,
    ) -> Result<usize, E> {
        match self {
            Self::Fixed(store) => store.park(id, write),
            Self::Cells(store) => store.park(id, write),
        }
    }

    /// An instance's record. It stays parked until the next [`park`](Self::park): to enter
    /// an instance twice at a time is for the caller to prevent.
    ///
    /// # Errors
    /// `Unknown` if it was never parked, or removed.
    pub fn record(&self, id: u32) -> Result<Record<'_>, Refused> {
        match self {
            Self::Fixed(store) => store.record(id),
            Self::Cells(store) => store.record(id),
        }
    }
}
