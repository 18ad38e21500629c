//! A store for records of any length: in chains of equal cells.
//!
//! Any free cell serves any record, so there is no fragmentation that could grow. Nothing
//! is ever moved to make room, so no park waits for a compaction. The price is known
//! beforehand: 2 bytes a cell for the link, and what the last cell of a record leaves empty.
//!
//! The other ways, and why not them:
//!
//! - *One piece each, compacted.* No byte is lost within a record. But a store is full when
//!   it is of use. At a share `u` in use, each byte parked moves `u / (1 - u)` others: 19 at
//!   95 %, and all of the region at once if the moves are put off.
//! - *Size classes.* An eighth or a quarter is lost to rounding, and when the guests' states
//!   drift, memory is bound in classes that nobody asks for any more: it fragments with time.
//!
//! ```text
//! | entry 0 | entry 1 | ... >    never used yet    < ... | cell 2 | cell 1 | cell 0 |
//! ```
//!
//! Entries (6 bytes: the first cell, the length) grow from the begin of the region, cells
//! from its end, so that nobody has to say beforehand how many instances there will be.
//!
//! **Bytes.** A record of `n` bytes takes `6 + c * ceil(n / (c - 2))` with cells of `c`
//! bytes: at most `6 + n + 2 ceil(n / (c - 2)) + c - 3`. Beside the records the store loses
//! less than one cell between entries and cells, and holds one budget back (below).
//!
//! **Work.** A park copies each byte of the new record once, and follows the links of the
//! new and of the old record once. To read follows the links once. One thing takes more:
//! if the entries run into a cell, that cell's content moves to another one, and whoever
//! links to it is looked for among all records. It happens once for `c / 6` new instances
//! at most, and only after a spike: when records were longer than they are now.
//!
//! **Nobody is evicted.** A new record is written beside the old one, which is given back
//! only when the new one is complete. So an error loses nothing, and what was dirtied is
//! known from both ([`changed`](crate::changed)). For this one budget of cells stays free:
//! a record that needs *more* cells than before is refused if fewer than a budget would be
//! left free. It follows that a record that needs no more cells than before can always be
//! parked: a budget of cells is free whenever a park begins, and none is longer.

use crate::stream::Chain;
use crate::{Record, Refused, Sink};

/// Bytes of the link at the begin of each cell.
const LINK: usize = 2;

/// Bytes of bookkeeping an instance.
const ENTRY: usize = 6;

/// No cell: what the last one of a chain links to.
const NONE: u16 = u16::MAX;

/// How a store divides its region, and how much one instance may park.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    cell_bytes: usize,
    budget_bytes: usize,
}

impl Layout {
    /// Cells of so many bytes, link included; less than 8 is taken as 8. A store uses at
    /// most 65,535 of them: with cells of 64 bytes 4 MiB of a region, and no more.
    #[must_use]
    pub const fn new(cell_bytes: usize, budget_bytes: usize) -> Self {
        let cell_bytes = if cell_bytes < 8 { 8 } else { cell_bytes };
        // A length is a u32, of which the last stands for an instance without a record.
        let most = u32::MAX as usize - 1;
        let budget_bytes = if budget_bytes > most { most } else { budget_bytes };
        Self { cell_bytes, budget_bytes }
    }

    /// Cells for records of about that length. A record wastes half a cell on average and
    /// 2 bytes for each cell; the sum is least for cells of twice the root of its length.
    #[must_use]
    pub const fn for_records_of(record_bytes: usize, budget_bytes: usize) -> Self {
        let least = 2 * record_bytes.isqrt();
        Self::new(least.next_multiple_of(4), budget_bytes)
    }

    /// Bytes of a cell, link included.
    #[must_use]
    pub const fn cell_bytes(&self) -> usize {
        self.cell_bytes
    }

    /// Most bytes of one record.
    #[must_use]
    pub const fn budget_bytes(&self) -> usize {
        self.budget_bytes
    }

    /// Cells of a record of that length.
    #[must_use]
    pub const fn cells_for(&self, record_bytes: usize) -> usize {
        record_bytes.div_ceil(self.cell_bytes - LINK)
    }

    /// Bytes of the region that an instance with a record of that length takes.
    #[must_use]
    pub const fn bytes_for(&self, record_bytes: usize) -> usize {
        ENTRY + self.cells_for(record_bytes).saturating_mul(self.cell_bytes)
    }
}

/// Where an instance's record is.
#[derive(Clone, Copy)]
struct Entry {
    first: u16,
    /// Bytes; `GONE` for an instance without a record.
    length: u32,
}

impl Entry {
    const GONE: Self = Self { first: NONE, length: u32::MAX };

    const fn bytes(self) -> usize {
        if self.length == Self::GONE.length { 0 } else { self.length as usize }
    }
}

/// Parks records of any length up to a budget.
#[derive(Debug)]
pub struct Cells<'r> {
    region: &'r mut [u8],
    layout: Layout,
    instances: u32,
    /// Cells that were used at least once: those below this number.
    used: u16,
    /// The first free one of them, and how many are.
    free: u16,
    free_count: u16,
}

impl<'r> Cells<'r> {
    /// An empty store. It takes no time: what was never used is not linked.
    #[must_use]
    pub const fn new(region: &'r mut [u8], layout: Layout) -> Self {
        Self { region, layout, instances: 0, used: 0, free: NONE, free_count: 0 }
    }

    /// Instances that were parked at least once. They are numbered from 0.
    #[must_use]
    pub const fn instances(&self) -> u32 {
        self.instances
    }

    /// How the region is divided.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Cells that a record could still be given, those that are held back included.
    #[must_use]
    pub const fn free_cells(&self) -> usize {
        let behind_entries = self.region.len() - self.instances as usize * ENTRY;
        let cells = behind_entries / self.layout.cell_bytes;
        let cells = if cells > NONE as usize { NONE as usize } else { cells };
        cells - self.used as usize + self.free_count as usize
    }

    /// Parks an instance's state: a new one's if `id` is [`instances`](Self::instances),
    /// otherwise in place of the one that it had. Returns the bytes of the record.
    ///
    /// # Errors
    /// What `write` returns; `Budget` if it put more than the park budget, `Full` if the
    /// region has no room for so much more, `Unknown` if `id` leaves a gap. The instance
    /// keeps the record that it had, and nobody else's changes.
    pub fn park<E: From<Refused>>(
        &mut self,
        id: u32,
        write: impl FnOnce(&mut dyn Sink) -> Result<(), E>,
    ) -> Result<usize, E> {
        self.park_beside(id, write, |_, _| {})
    }

    /// Does what [`park`](Self::park) does. Calls `compare` with the instance's former record and
    /// the new one, while both are there.
    ///
    /// # Errors
    /// Those of [`park`](Self::park). Then `compare` is not called, nor for a new instance.
    pub fn park_beside<E: From<Refused>>(
        &mut self,
        id: u32,
        write: impl FnOnce(&mut dyn Sink) -> Result<(), E>,
        compare: impl FnOnce(Record<'_>, Record<'_>),
    ) -> Result<usize, E> {
        let new = id == self.instances;
        if new {
            self.add_entry()?;
        }
        let old = self.entry(id).ok_or(Refused::Unknown)?;
        let parked = self.write_beside(old, new, write);
        match &parked {
            Ok(record) => {
                if old.length != Entry::GONE.length {
                    compare(self.record_of(old), self.record_of(*record));
                }
                self.set_entry(id, *record);
                self.give_back(old);
            }
            Err(_) if new => self.instances -= 1,
            Err(_) => {}
        }
        parked.map(Entry::bytes)
    }

    /// An instance's record.
    ///
    /// # Errors
    /// `Unknown` if it was never parked, or removed.
    pub fn record(&self, id: u32) -> Result<Record<'_>, Refused> {
        let entry = self.entry(id).filter(|entry| entry.length != Entry::GONE.length);
        Ok(self.record_of(entry.ok_or(Refused::Unknown)?))
    }

    fn record_of(&self, entry: Entry) -> Record<'_> {
        let (region, cell_bytes) = (&*self.region, self.layout.cell_bytes);
        Record::chained(Chain { region, cell_bytes, next: entry.first }, entry.bytes())
    }

    /// Gives an instance's cells back. Its number stays its own: it can be parked again.
    ///
    /// # Errors
    /// `Unknown` if it was never parked, or removed already.
    pub fn remove(&mut self, id: u32) -> Result<(), Refused> {
        self.record(id)?;
        let entry = self.entry(id).ok_or(Refused::Unknown)?;
        self.set_entry(id, Entry::GONE);
        self.give_back(entry);
        Ok(())
    }

    /// Writes a record into free cells. Gives them back if it does not come to its end.
    fn write_beside<E: From<Refused>>(
        &mut self,
        old: Entry,
        new: bool,
        write: impl FnOnce(&mut dyn Sink) -> Result<(), E>,
    ) -> Result<Entry, E> {
        let mut draft =
            Draft { record: Entry { first: NONE, length: 0 }, last: NONE, room: 0, store: self };
        let written = write(&mut draft);
        let record = draft.record;
        let kept = written.and_then(|()| {
            let layout = self.layout;
            let [before, after] = [old, record].map(|entry| layout.cells_for(entry.bytes()));
            let reserve = layout.cells_for(layout.budget_bytes);
            let grown = new || after > before;
            let short = self.free_cells() + before < reserve;
            if grown && short { Err(Refused::Full.into()) } else { Ok(record) }
        });
        if kept.is_err() {
            self.give_back(record);
        }
        kept
    }

    /// Makes room for the entry of one more instance.
    fn add_entry(&mut self) -> Result<(), Refused> {
        let entries = (self.instances as usize + 1) * ENTRY;
        let cells = usize::from(self.used) * self.layout.cell_bytes;
        if entries + cells > self.region.len() {
            // A cell is larger than an entry: one is enough.
            self.vacate_border()?;
        }
        self.instances += 1;
        self.set_entry(self.instances - 1, Entry::GONE);
        Ok(())
    }

    /// Moves what the cell beside the entries holds into a free cell, and makes its bytes
    /// bytes that were never used.
    fn vacate_border(&mut self) -> Result<(), Refused> {
        let border = self.used.checked_sub(1).ok_or(Refused::Full)?;
        if self.free_count == 0 {
            return Err(Refused::Full);
        }
        // The free cells are a chain too: if the border is one of them it is taken out.
        if self.free == border {
            self.free = self.link(border);
        } else if !self.relink(self.free, self.free_count.into(), border, self.link(border)) {
            let other = self.free;
            self.free = self.link(other);
            let from = self.place(border);
            let to = self.place(other).start;
            self.region.copy_within(from, to);
            self.repoint(border, other);
        }
        self.free_count -= 1;
        self.used -= 1;
        Ok(())
    }

    /// Makes whoever links to cell `from` link to cell `to`.
    fn repoint(&mut self, from: u16, to: u16) {
        for id in 0..self.instances {
            let Some(entry) = self.entry(id) else { return };
            if entry.first == from {
                return self.set_entry(id, Entry { first: to, ..entry });
            }
            let cells = self.layout.cells_for(entry.bytes());
            if self.relink(entry.first, cells, from, to) {
                return;
            }
        }
    }

    /// In a chain of `cells` cells, makes the one that links to `from` link to `to`. False
    /// if there is none.
    fn relink(&mut self, first: u16, cells: usize, from: u16, to: u16) -> bool {
        let mut cell = first;
        for _ in 1..cells {
            let next = self.link(cell);
            if next == from {
                self.set_link(cell, to);
                return true;
            }
            cell = next;
        }
        false
    }

    /// Takes a free cell.
    fn take_cell(&mut self) -> Result<u16, Refused> {
        if self.free_count > 0 {
            let cell = self.free;
            self.free = self.link(cell);
            self.free_count -= 1;
            return Ok(cell);
        }
        if self.free_cells() == 0 {
            return Err(Refused::Full);
        }
        self.used += 1;
        Ok(self.used - 1)
    }

    /// Puts the cells of a record in front of the free ones.
    fn give_back(&mut self, record: Entry) {
        let cells = self.layout.cells_for(record.bytes());
        if cells == 0 {
            return;
        }
        let last = (1..cells).fold(record.first, |cell, _| self.link(cell));
        self.set_link(last, self.free);
        self.free = record.first;
        // At most all cells, of which there are as many as a u16 counts.
        self.free_count += cells as u16;
    }

    fn entry(&self, id: u32) -> Option<Entry> {
        let entries = &self.region[..self.instances as usize * ENTRY];
        let &[a, b, rest @ ..] = entries.as_chunks::<ENTRY>().0.get(id as usize)?;
        Some(Entry { first: u16::from_le_bytes([a, b]), length: u32::from_le_bytes(rest) })
    }

    fn set_entry(&mut self, id: u32, entry: Entry) {
        let [a, b] = entry.first.to_le_bytes();
        let [c, d, e, f] = entry.length.to_le_bytes();
        let entries = self.region.as_chunks_mut::<ENTRY>().0;
        entries[id as usize] = [a, b, c, d, e, f];
    }

    /// Where a cell that was used lies.
    fn place(&self, cell: u16) -> core::ops::Range<usize> {
        let from_end = usize::from(cell) * self.layout.cell_bytes;
        let end = self.region.len() - from_end;
        end - self.layout.cell_bytes..end
    }

    fn link(&self, cell: u16) -> u16 {
        let place = self.place(cell).start;
        u16::from_le_bytes([self.region[place], self.region[place + 1]])
    }

    fn set_link(&mut self, cell: u16, next: u16) {
        let place = self.place(cell).start;
        self.region[place..place + LINK].copy_from_slice(&next.to_le_bytes());
    }
}

/// A record that is being written.
struct Draft<'s, 'r> {
    store: &'s mut Cells<'r>,
    record: Entry,
    last: u16,
    /// Bytes that are left in the last cell.
    room: usize,
}

impl Sink for Draft<'_, '_> {
    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        let layout = self.store.layout;
        if bytes.len() > layout.budget_bytes.saturating_sub(self.record.bytes()) {
            return Err(Refused::Budget);
        }
        while !bytes.is_empty() {
            if self.room == 0 {
                let cell = self.store.take_cell()?;
                match self.last {
                    NONE => self.record.first = cell,
                    last => self.store.set_link(last, cell),
                }
                self.last = cell;
                self.room = layout.cell_bytes - LINK;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.room));
            let place = self.store.place(self.last).end - self.room;
            self.store.region[place..place + now.len()].copy_from_slice(now);
            self.room -= now.len();
            // No more than a budget, which a u32 counts.
            self.record.length += now.len() as u32;
            bytes = later;
        }
        Ok(())
    }
}
