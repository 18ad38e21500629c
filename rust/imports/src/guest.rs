//! What the host keeps of one instance beside its queue.

use crate::{LOG_BURST, LOG_PER_SECOND};

/// What a step asked for before it returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whether it asked at all: `sleep(-1)` asks for nothing that comes.
    pub asked: bool,
    /// The earliest time that it asked for, in microseconds of the host's clock.
    pub until_us: Option<u64>,
    /// Whether a message in the queue fulfils it.
    pub message: bool,
}

impl Wish {
    /// The wish of a step that waits and did not say for what: a message.
    pub const MESSAGE: Self = Self { asked: true, until_us: None, message: true };

    /// Adds `wait(ms)` or `sleep(ms)`.
    pub(crate) fn add(&mut self, ms: u32, now_us: u64, message: bool) {
        self.asked = true;
        self.message |= message;
        if ms != u32::MAX {
            let until = now_us.saturating_add(u64::from(ms) * 1000);
            self.until_us = Some(self.until_us.map_or(until, |other| other.min(until)));
        }
    }
}

/// Whether a line may be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// It may, and so many were dropped before it.
    Now {
        /// Lines dropped since the last one that was printed.
        dropped: u32,
    },
    /// It is dropped.
    Dropped,
}

/// One instance, as its host knows it.
#[derive(Clone, Debug)]
pub struct Guest {
    /// What the current step asked for.
    pub wish: Wish,
    /// The code of `proc_exit`, if the current step called it.
    pub exit: Option<i32>,
    /// Lines that it may still write, and since when that is counted.
    lines_left: u32,
    lines_from_us: u64,
    /// Lines dropped since the last one that was printed.
    dropped: u32,
    random: u64,
}

impl Guest {
    /// The instance with that number, which begins now.
    #[must_use]
    pub fn new(id: u32, seed: u64, now_us: u64) -> Self {
        Self {
            wish: Wish::default(),
            exit: None,
            lines_left: LOG_BURST,
            lines_from_us: now_us,
            dropped: 0,
            // An odd factor, so that seeds differ; far from 1, so that seed 1 of instance 0 is
            // not seed 0 of instance 1. Steele and Vigna, "Computationally easy, spectrally
            // good multipliers", 2021.
            random: seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(u64::from(id)),
        }
    }

    /// Forgets the last step's wish and exit.
    pub fn begin_step(&mut self) {
        self.wish = Wish::default();
        self.exit = None;
    }

    /// Whether it may write a line now.
    pub fn speak(&mut self, now_us: u64) -> Spoken {
        let rate = u64::from(LOG_PER_SECOND);
        let gone = now_us.saturating_sub(self.lines_from_us);
        let earned = gone.saturating_mul(rate) / 1_000_000;
        if earned > 0 {
            // What is left of the time counts for the next line.
            self.lines_from_us = self.lines_from_us.saturating_add(earned * 1_000_000 / rate);
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.lines_left = LOG_BURST.min(self.lines_left.saturating_add(earned));
        }
        if self.lines_left == 0 {
            self.dropped = self.dropped.saturating_add(1);
            return Spoken::Dropped;
        }
        self.lines_left -= 1;
        Spoken::Now { dropped: core::mem::take(&mut self.dropped) }
    }

    /// Fills `bytes` with SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
    /// generators", 2014). It is reproducible, and not for keys.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.random;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_counts_and_any_wait() {
        let wish = |calls: &[(u32, bool)]| {
            let mut wish = Wish::default();
            calls.iter().for_each(|&(ms, message)| wish.add(ms, 1_000, message));
            (wish.asked, wish.until_us, wish.message)
        };
        assert_eq!(wish(&[]), (false, None, false));
        assert_eq!(wish(&[(70, false), (30, false)]), (true, Some(31_000), false));
        assert_eq!(wish(&[(30, false), (70, true)]), (true, Some(31_000), true));
        assert_eq!(wish(&[(u32::MAX, true), (50, false)]), (true, Some(51_000), true));
        assert_eq!(wish(&[(0, true)]), (true, Some(1_000), true));
        assert_eq!(wish(&[(u32::MAX, false)]), (true, None, false));
        assert_eq!(wish(&[(u32::MAX - 1, false)]), (true, Some(4_294_967_295_000), false));
    }

    #[test]
    fn sixteen_lines_at_once_and_four_a_second() {
        let mut guest = Guest::new(0, 0, 0);
        let mut printed = |now_us: u64| matches!(guest.speak(now_us), Spoken::Now { .. });
        assert_eq!((0..100).filter(|_| printed(0)).count(), 16);
        // 10 s at 100 lines a second.
        assert_eq!((1..=1000).filter(|at| printed(at * 10_000)).count(), 40);
        // However long it was silent.
        assert_eq!((0..100).filter(|_| printed(3_600_000_000)).count(), 16);
    }

    #[test]
    fn the_next_line_says_how_many_were_dropped() {
        let mut guest = Guest::new(0, 0, 0);
        for _ in 0..16 {
            assert_eq!(guest.speak(0), Spoken::Now { dropped: 0 });
        }
        for _ in 0..12 {
            assert_eq!(guest.speak(0), Spoken::Dropped);
        }
        assert_eq!(guest.speak(250_000), Spoken::Now { dropped: 12 });
        assert_eq!(guest.speak(500_000), Spoken::Now { dropped: 0 });
    }

    #[test]
    fn random_bytes_are_those_of_the_seed_and_the_instance() {
        let bytes = |id, seed| {
            let mut bytes = [0; 20];
            Guest::new(id, seed, 0).fill(&mut bytes);
            bytes
        };
        // SplitMix64 of seed 0, from its authors' own test: 0xe220a8397b1dcdaf first.
        assert_eq!(bytes(0, 0)[..8], 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
        assert_eq!(bytes(0, 0), bytes(0, 0));
        assert_ne!(bytes(0, 1), bytes(1, 0));
        assert_ne!(bytes(0, 0), bytes(1, 0));
    }
}
