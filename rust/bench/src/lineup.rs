//! Which guest each instance of a ramp is of.

use core::num::NonZeroU32;

use crate::guest::Guest;

/// How many instances of a guest a ramp starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// As many as fit. Several such guests take turns.
    #[default]
    Most,
    /// That many, before the first instance of a guest that takes as many as fit.
    Exactly(u32),
}

/// One module of a mix, as a person writes it: `FILE[:EXPORT][=N|=*]`, and after a number
/// `:budget=INSTRUCTIONS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'t> {
    /// A file, or the name of a built-in workload.
    pub module: &'t str,
    /// The export that each call enters, if it is named.
    pub export: Option<&'t str>,
    /// How many instances, if that is said.
    pub count: Option<Count>,
    /// Instructions that a call may take, if that is said.
    pub budget: Option<NonZeroU32>,
}

impl<'t> Item<'t> {
    /// Reads an item. `None` if there is no module, the number is neither 1 or more nor `*`, or
    /// the budget is not 1 or more.
    #[must_use]
    pub fn parse(text: &'t str) -> Option<Self> {
        // An export may be called `budget`, so a budget is what comes after a number.
        let (text, budget) = match text.rsplit_once(":budget=") {
            Some((item, budget)) if item.contains('=') => (item, Some(budget.parse().ok()?)),
            _ => (text, None),
        };
        let (rest, count) = match text.rsplit_once('=') {
            None => (text, None),
            Some((rest, "*")) => (rest, Some(Count::Most)),
            Some((rest, number)) => match number.parse() {
                Ok(count) if count > 0 => (rest, Some(Count::Exactly(count))),
                _ => return None,
            },
        };
        let (module, export) = match rest.rsplit_once(':') {
            Some((module, export)) if !export.contains('/') && !export.is_empty() => {
                (module, Some(export))
            }
            _ => (rest, None),
        };
        (!module.is_empty()).then_some(Self { module, export, count, budget })
    }
}

/// Whether there is a built-in workload of that name.
#[must_use]
pub fn has_workload(name: &str) -> bool {
    wramp_workloads::find(name).is_some()
}

/// The order in which a ramp starts its instances.
///
/// The guests with a number come first, in their order. Then the others take turns. So the
/// number of instances is the answer to "these, and how many of those".
#[derive(Clone, Copy, Default)]
pub struct Lineup<'g> {
    guests: &'g [Guest<'g>],
    fixed: u32,
    open: usize,
}

impl<'g> Lineup<'g> {
    /// The order of these guests.
    #[must_use]
    pub fn new(guests: &'g [Guest<'g>]) -> Self {
        let (mut fixed, mut open) = (0_u32, 0);
        for guest in guests {
            match guest.count {
                Count::Exactly(count) => fixed = fixed.saturating_add(count),
                Count::Most => open += 1,
            }
        }
        Self { guests, fixed, open }
    }

    /// Instances of the guests with a number.
    #[must_use]
    pub fn fixed(&self) -> u32 {
        self.fixed
    }

    /// Guests that take as many instances as fit.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// The most instances, if every guest has a number.
    #[must_use]
    pub fn end(&self) -> Option<u32> {
        (self.open == 0).then_some(self.fixed)
    }

    /// The guest of instance `id`, as an index. 0 where no guest has an instance of that number.
    #[must_use]
    pub fn guest(&self, id: u32) -> usize {
        let Some(turn) = id.checked_sub(self.fixed) else {
            let mut below = 0_u32;
            let has = |guest: &Guest<'_>| match guest.count {
                Count::Most => false,
                Count::Exactly(count) => {
                    below = below.saturating_add(count);
                    id < below
                }
            };
            return self.guests.iter().position(has).unwrap_or_default();
        };
        let turn = turn as usize % self.open.max(1);
        let mut open = (0..self.guests.len()).filter(|&n| self.guests[n].count == Count::Most);
        open.nth(turn).unwrap_or_default()
    }

    /// Whether instance `id` is the first of its guest.
    #[must_use]
    pub fn is_first(&self, id: u32) -> bool {
        match id.checked_sub(self.fixed) {
            Some(turn) => (turn as usize) < self.open,
            None => id == 0 || self.guest(id) != self.guest(id - 1),
        }
    }

    /// The place at which the start of instance `id` is noted for the prediction.
    ///
    /// A prediction repeats the starts of the guests that take turns. So their places are 0, 1,
    /// 2, ... A note at place 0 replaces the notes before it.
    #[must_use]
    pub fn place(&self, id: u32) -> usize {
        id.saturating_sub(self.fixed) as usize
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use wramp_core::runtime::{ModuleBytes, Parameters};

    use super::*;
    use crate::guest::{Agreement, Check};

    static AGREEMENT: Agreement = Agreement::new();

    fn guest(count: Count) -> Guest<'static> {
        Guest {
            name: "a",
            module: ModuleBytes::Static(&[]),
            export: "run",
            parameters: Parameters::None,
            check: Check::Agreement(&AGREEMENT),
            count,
            budget: None,
        }
    }

    fn order(counts: &[Count], most: u32) -> Vec<(usize, bool)> {
        let guests: Vec<_> = counts.iter().map(|&count| guest(count)).collect();
        let lineup = Lineup::new(&guests);
        (0..lineup.end().unwrap_or(most))
            .map(|id| (lineup.guest(id), lineup.is_first(id)))
            .collect()
    }

    #[test]
    fn guests_with_a_number_come_first_and_the_others_take_turns() {
        use Count::{Exactly, Most};
        assert_eq!(
            order(&[Most, Exactly(2), Exactly(1), Most], 7),
            [(1, true), (1, false), (2, true), (0, true), (3, true), (0, false), (3, false)]
        );
        assert_eq!(order(&[Most], 3), [(0, true), (0, false), (0, false)]);
        assert_eq!(order(&[Exactly(1), Exactly(2)], 9), [(0, true), (1, true), (1, false)]);
    }

    #[test]
    fn a_guest_of_which_none_is_asked_has_no_instance() {
        use Count::{Exactly, Most};
        assert_eq!(order(&[Exactly(0), Exactly(1), Most], 2), [(1, true), (2, true)]);
        assert_eq!(order(&[Exactly(0)], 9), []);
    }

    #[test]
    fn what_a_prediction_repeats_is_noted_from_place_0() {
        let guests = [guest(Count::Exactly(2)), guest(Count::Most), guest(Count::Most)];
        let lineup = Lineup::new(&guests);
        assert_eq!([0, 1, 2, 3].map(|id| lineup.place(id)), [0, 0, 0, 1]);
    }
}
