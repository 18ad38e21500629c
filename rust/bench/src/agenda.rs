//! Who has the next turn in a pool whose guests wait: a row of those who may, timers for the
//! others.
//!
//! The earliest timer lies at the root of a heap. A resident knows where in the heap it is, so a
//! message takes it out from anywhere. Nothing here looks at a clock or sleeps.

use wramp_arena::Places;

/// Stands for no place.
const NONE: u32 = u32::MAX;

/// Where a resident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a call, or done for ever.
    Away,
    /// In the row.
    Ready,
    /// Waiting for its timer, for a message, or for nothing.
    Waits,
}

/// What the agenda knows of the resident in a place of the table. `heap` is no part of it: it is
/// a cell of the heap, which has as many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The place of the resident whose timer is in this cell of the heap.
    heap: u32,
    /// Where in the heap this resident's timer is.
    at: u32,
    /// Who is behind it in the row.
    behind: u32,
    state: State,
    /// Whether a message wakes it.
    listens: bool,
    /// When its timer ends; in the row, when it was woken, if it waited.
    when_us: Option<u64>,
}

/// A resident's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Its place in the table.
    pub(crate) place: usize,
    /// When what it waited for was there, in microseconds. `None` if it did not wait.
    pub(crate) since_us: Option<u64>,
}

/// The agenda of a pool.
pub(crate) struct Agenda<'m> {
    entries: Places<'m, Entry>,
    /// Residents with a timer.
    timers: usize,
    /// The row.
    first: u32,
    last: u32,
}

impl<'m> Agenda<'m> {
    /// An agenda without residents, for as many as there are places.
    pub(crate) const fn new(entries: Places<'m, Entry>) -> Self {
        Self { entries, timers: 0, first: NONE, last: NONE }
    }

    /// Adds the resident of the next place. It gets the next turn. False if there is no room.
    pub(crate) fn add(&mut self) -> bool {
        let Ok(place) = u32::try_from(self.entries.len()) else { return false };
        let entry = Entry {
            heap: NONE,
            at: NONE,
            behind: self.first,
            state: State::Ready,
            listens: false,
            when_us: None,
        };
        if place == NONE || self.entries.push(entry).is_err() {
            return false;
        }
        self.first = place;
        if self.last == NONE {
            self.last = place;
        }
        true
    }

    /// Gives out the next turn, at that time. The resident is away until it is put back.
    pub(crate) fn take(&mut self, now_us: u64) -> Option<Turn> {
        while let Some((place, when_us)) = self.earliest().filter(|(_, when_us)| *when_us <= now_us)
        {
            self.remove_timer(place);
            self.append(place, Some(when_us));
        }
        let entry = self.entries.get_mut(self.first as usize)?;
        let turn = Turn { place: self.first as usize, since_us: entry.when_us };
        entry.state = State::Away;
        self.first = entry.behind;
        if self.first == NONE {
            self.last = NONE;
        }
        Some(turn)
    }

    /// Whether there is another turn to give.
    pub(crate) const fn has_more(&self) -> bool {
        self.first != NONE
    }

    /// Puts a resident at the end of the row.
    pub(crate) fn again(&mut self, place: usize, since_us: Option<u64>) {
        if self.entries.get(place).is_some_and(|entry| entry.state == State::Away) {
            // A place is below the number of entries, which fits.
            self.append(place as u32, since_us);
        }
    }

    /// Lets a resident wait. True if no other timer ends before its own.
    pub(crate) fn wait(&mut self, place: usize, until_us: Option<u64>, listens: bool) -> bool {
        match self.entries.get_mut(place) {
            Some(entry) if entry.state == State::Away => {
                entry.state = State::Waits;
                (entry.listens, entry.when_us) = (listens, until_us);
            }
            _ => return false,
        }
        if until_us.is_none() {
            return false;
        }
        let at = self.timers;
        self.timers += 1;
        self.set(at, place as u32);
        self.rise(at) == 0
    }

    /// Wakes a resident that waits for a message.
    pub(crate) fn wake(&mut self, place: usize, since_us: u64) {
        match self.entries.get(place) {
            Some(entry) if entry.state == State::Waits && entry.listens => {}
            _ => return,
        }
        let place = place as u32;
        self.remove_timer(place);
        self.append(place, Some(since_us));
    }

    /// When the next timer ends.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.earliest().map(|(_, when_us)| when_us)
    }

    fn earliest(&self) -> Option<(u32, u64)> {
        if self.timers == 0 {
            return None;
        }
        let place = self.entries.first()?.heap;
        Some((place, self.key(place)))
    }

    fn append(&mut self, place: u32, since_us: Option<u64>) {
        let entry = &mut self.entries[place as usize];
        entry.state = State::Ready;
        (entry.behind, entry.when_us) = (NONE, since_us);
        match self.entries.get_mut(self.last as usize) {
            Some(last) => last.behind = place,
            None => self.first = place,
        }
        self.last = place;
    }

    fn key(&self, place: u32) -> u64 {
        self.entries[place as usize].when_us.unwrap_or(u64::MAX)
    }

    fn set(&mut self, at: usize, place: u32) {
        self.entries[at].heap = place;
        // A place in the heap is below the number of entries, which fits.
        self.entries[place as usize].at = at as u32;
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (of_a, of_b) = (self.entries[a].heap, self.entries[b].heap);
        self.set(a, of_b);
        self.set(b, of_a);
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        self.key(self.entries[a].heap) < self.key(self.entries[b].heap)
    }

    /// Moves a timer towards the root, to where it belongs. Where that is.
    fn rise(&mut self, mut at: usize) -> usize {
        while at > 0 && self.is_before(at, (at - 1) / 2) {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        at
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let children = 2 * at + 1..(2 * at + 3).min(self.timers.max(2 * at + 1));
            let earlier = |a, b| if self.is_before(b, a) { b } else { a };
            match children.reduce(earlier) {
                Some(child) if self.is_before(child, at) => {
                    self.swap(at, child);
                    at = child;
                }
                _ => return,
            }
        }
    }

    /// Takes a resident's timer out of the heap, if it has one.
    fn remove_timer(&mut self, place: u32) {
        let at = self.entries[place as usize].at as usize;
        if at >= self.timers {
            return;
        }
        self.timers -= 1;
        self.swap(at, self.timers);
        self.entries[self.timers].heap = NONE;
        self.entries[place as usize].at = NONE;
        if at < self.timers {
            let at = self.rise(at);
            self.sink(at);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::mem::MaybeUninit;
    use std::collections::{BTreeMap, VecDeque};
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn memory(count: usize) -> Vec<MaybeUninit<u64>> {
        vec![MaybeUninit::uninit(); Places::<Entry>::bytes_for(count) / 8]
    }

    #[test]
    fn a_new_resident_is_next_and_the_others_keep_their_order() {
        let mut memory = memory(8);
        let mut agenda = Agenda::new(Places::over(&mut memory));
        (0..3).for_each(|_| assert!(agenda.add()));
        let turns = |agenda: &mut Agenda<'_>, count| -> Vec<usize> {
            (0..count)
                .map(|_| {
                    let turn = agenda.take(0).unwrap();
                    assert_eq!(turn.since_us, None);
                    agenda.again(turn.place, None);
                    turn.place
                })
                .collect()
        };
        assert_eq!(turns(&mut agenda, 4), [2, 1, 0, 2]);
        assert!(agenda.add());
        assert_eq!(turns(&mut agenda, 4), [3, 1, 0, 2]);
    }

    #[test]
    fn it_takes_no_more_than_there_is_room_for() {
        let mut memory = memory(2);
        let mut agenda = Agenda::new(Places::over(&mut memory));
        assert_eq!([agenda.add(), agenda.add(), agenda.add()], [true, true, false]);
    }

    /// A row and a sorted map do the same, over a long random life.
    #[test]
    fn it_does_what_its_model_does() {
        let mut seed = 0x1234_5678_9abc_def0_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let count = 20;
        let mut memory = memory(count);
        let mut agenda = Agenda::new(Places::over(&mut memory));
        let mut row: VecDeque<Turn> = VecDeque::new();
        // When, in the order of the waits among equals; and who listens.
        let mut timers: BTreeMap<usize, u64> = BTreeMap::new();
        let mut listens: BTreeMap<usize, bool> = BTreeMap::new();
        let mut away = Vec::new();
        for place in 0..count {
            assert!(agenda.add());
            row.push_front(Turn { place, since_us: None });
        }
        let (mut now, mut woken) = (0, 0);
        for _ in 0..100_000 {
            match random(8) {
                0..3 => {
                    now += random(4);
                    let mut due: Vec<(u64, usize)> = timers
                        .iter()
                        .filter(|(_, when)| **when <= now)
                        .map(|(place, when)| (*when, *place))
                        .collect();
                    due.sort_unstable();
                    let got = agenda.take(now);
                    for (when, place) in due {
                        timers.remove(&place);
                        listens.remove(&place);
                        row.push_back(Turn { place, since_us: Some(when) });
                    }
                    // Timers of one time may come in any order.
                    let Some(turn) = got else {
                        assert!(row.is_empty());
                        continue;
                    };
                    let same = row[0].since_us;
                    let at = row.iter().position(|other| *other == turn).unwrap();
                    assert!(row.iter().take(at).all(|other| other.since_us == same), "{row:?}");
                    row.remove(at);
                    away.push(turn.place);
                }
                3 if !away.is_empty() => {
                    let place = away.swap_remove(random(away.len() as u64) as usize);
                    agenda.again(place, None);
                    row.push_back(Turn { place, since_us: None });
                }
                4 | 5 if !away.is_empty() => {
                    let place = away.swap_remove(random(away.len() as u64) as usize);
                    let until = (random(4) > 0).then(|| now + random(30));
                    let hears = random(2) == 0;
                    let is_first =
                        until.is_some_and(|until| timers.values().all(|&other| until < other));
                    let said = agenda.wait(place, until, hears);
                    assert!(said || !is_first);
                    timers.extend(until.map(|until| (place, until)));
                    listens.insert(place, hears);
                }
                _ => {
                    let place = random(count as u64) as usize;
                    agenda.wake(place, now);
                    if listens.get(&place) == Some(&true) {
                        listens.remove(&place);
                        timers.remove(&place);
                        row.push_back(Turn { place, since_us: Some(now) });
                        woken += 1;
                    }
                }
            }
            assert_eq!(agenda.next_us(), timers.values().min().copied());
            // Who waits for ever and hears nothing is given a chance, or all end there.
            let stuck: Vec<usize> = listens
                .iter()
                .filter(|(place, hears)| !**hears && !timers.contains_key(place))
                .map(|(place, _)| *place)
                .collect();
            if stuck.len() > count / 2 {
                for place in stuck {
                    agenda.entries[place].listens = true;
                    listens.insert(place, true);
                }
            }
        }
        assert!(woken > 1000, "{woken}");
    }
}
