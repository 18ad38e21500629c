//! An instance's queue of messages: bounded, in order, in memory that the host lends.

use crate::MESSAGE_BYTES;

/// Bytes of a letter's head: its length, and when it was sent.
const HEAD: usize = 6;

/// Why a message stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue has no room for it, or it is too long for a message.
    Full,
    /// There is none.
    Empty,
    /// It is longer than the place to put it.
    TooLong,
}

/// What was taken from a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its bytes.
    pub length: usize,
    /// When it was sent, in microseconds of the host's clock modulo 2^32.
    pub sent_us: u32,
}

/// A ring of letters. Each takes its bytes and [`Queue::HEAD_BYTES`] more.
#[derive(Debug)]
pub struct Queue<R> {
    ring: R,
    /// Where the first letter begins.
    first: usize,
    /// Bytes in use.
    used: usize,
    /// Letters.
    count: u32,
    /// The most bytes that were ever in use.
    most: usize,
}

impl Queue<&mut [u8]> {
    /// Bytes that a letter takes beside its own.
    pub const HEAD_BYTES: usize = HEAD;
    /// The smallest memory that holds a message of any length.
    pub const LEAST_BYTES: usize = MESSAGE_BYTES + HEAD;
}

impl<R: AsRef<[u8]> + AsMut<[u8]>> Queue<R> {
    /// An empty queue in that memory. One of no memory is always full.
    #[must_use]
    pub fn over(ring: R) -> Self {
        Self { ring, first: 0, used: 0, count: 0, most: 0 }
    }

    /// Letters in it.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The most bytes that were ever in use.
    #[must_use]
    pub const fn most_bytes(&self) -> usize {
        self.most
    }

    /// Adds a message behind the others, whole.
    ///
    /// # Errors
    /// [`Refused::Full`], and nothing has changed.
    pub fn push(&mut self, message: &[u8], sent_us: u32) -> Result<(), Refused> {
        let free = self.size() - self.used;
        if message.len() > MESSAGE_BYTES || message.len() + HEAD > free {
            return Err(Refused::Full);
        }
        // MESSAGE_BYTES fits 16 bits.
        let [low, high] = (message.len() as u16).to_le_bytes();
        let [a, b, c, d] = sent_us.to_le_bytes();
        let end = self.first + self.used;
        self.write(end, &[low, high, a, b, c, d]);
        self.write(end + HEAD, message);
        self.used += HEAD + message.len();
        self.most = self.most.max(self.used);
        self.count += 1;
        Ok(())
    }

    /// Takes the first message and copies it to the beginning of `to`.
    ///
    /// # Errors
    /// [`Refused::Empty`], [`Refused::TooLong`], and nothing has changed.
    pub fn pop(&mut self, to: &mut [u8]) -> Result<Letter, Refused> {
        if self.count == 0 {
            return Err(Refused::Empty);
        }
        let mut head = [0; HEAD];
        self.read(self.first, &mut head);
        let [low, high, a, b, c, d] = head;
        let length = usize::from(u16::from_le_bytes([low, high]));
        let to = to.get_mut(..length).ok_or(Refused::TooLong)?;
        self.read(self.first + HEAD, to);
        self.first = (self.first + HEAD + length) % self.size();
        self.used -= HEAD + length;
        self.count -= 1;
        Ok(Letter { length, sent_us: u32::from_le_bytes([a, b, c, d]) })
    }

    /// Forgets all letters.
    pub fn clear(&mut self) {
        (self.first, self.used, self.count) = (0, 0, 0);
    }

    fn size(&self) -> usize {
        self.ring.as_ref().len()
    }

    /// Copies `bytes` into the ring from `at`, which may be one round ahead.
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let at = at % self.size();
        let (low, high) = self.ring.as_mut().split_at_mut(at);
        let (now, wrapped) = bytes.split_at(bytes.len().min(high.len()));
        high[..now.len()].copy_from_slice(now);
        low[..wrapped.len()].copy_from_slice(wrapped);
    }

    /// The other way.
    fn read(&self, at: usize, bytes: &mut [u8]) {
        let at = at % self.size();
        let (low, high) = self.ring.as_ref().split_at(at);
        let (now, wrapped) = bytes.split_at_mut(bytes.len().min(high.len()));
        now.copy_from_slice(&high[..now.len()]);
        wrapped.copy_from_slice(&low[..wrapped.len()]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_queue_of_no_memory_is_full() {
        let mut queue = Queue::over([]);
        assert_eq!(queue.push(b"", 0), Err(Refused::Full));
        assert_eq!(queue.pop(&mut [0; 4]), Err(Refused::Empty));
    }

    #[test]
    fn the_least_memory_holds_one_of_any_length() {
        for length in [0, 1, 255, 256] {
            let mut ring = [0; Queue::LEAST_BYTES];
            let mut queue = Queue::over(&mut ring[..]);
            for round in 0..600_u32 {
                let message = vec![round as u8; length];
                assert_eq!(queue.push(&message, round), Ok(()));
                let mut to = [0; 300];
                assert_eq!(queue.pop(&mut to), Ok(Letter { length, sent_us: round }));
                assert_eq!(to[..length], message);
            }
        }
        assert_eq!(Queue::over([0; 1024]).push(&[0; 257], 0), Err(Refused::Full));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push(usize),
        Pop(usize),
        Clear,
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            cases: if cfg!(miri) { 8 } else { 512 },
            ..ProptestConfig::default()
        })]

        /// A queue of the standard library with the same room does the same.
        #[test]
        fn it_does_what_its_model_does(
            size in 0_usize..900,
            acts in prop::collection::vec(prop_oneof![
                8 => (0_usize..=260).prop_map(Act::Push),
                8 => (0_usize..=260).prop_map(Act::Pop),
                1 => Just(Act::Clear),
            ], 0..200),
        ) {
            let mut ring = vec![0xaa; size];
            let mut queue = Queue::over(&mut ring[..]);
            let mut model: VecDeque<(Vec<u8>, u32)> = VecDeque::new();
            let mut most = 0;
            for (time, act) in acts.into_iter().enumerate() {
                let time = time as u32;
                let used: usize = model.iter().map(|(message, _)| message.len() + HEAD).sum();
                match act {
                    Act::Push(length) => {
                        let message: Vec<u8> = (0..length).map(|at| (at as u32 ^ time) as u8).collect();
                        let fits = length <= MESSAGE_BYTES && used + length + HEAD <= size;
                        let expected = if fits { Ok(()) } else { Err(Refused::Full) };
                        prop_assert_eq!(queue.push(&message, time), expected);
                        if fits {
                            model.push_back((message, time));
                            most = most.max(used + length + HEAD);
                        }
                    }
                    Act::Pop(room) => {
                        let mut to = vec![0x55; room];
                        let got = queue.pop(&mut to);
                        match model.front() {
                            None => prop_assert_eq!(got, Err(Refused::Empty)),
                            Some((first, _)) if first.len() > room => {
                                prop_assert_eq!(got, Err(Refused::TooLong));
                                prop_assert!(to.iter().all(|&byte| byte == 0x55));
                            }
                            Some((first, sent_us)) => {
                                prop_assert_eq!(got, Ok(Letter { length: first.len(), sent_us: *sent_us }));
                                prop_assert_eq!(&to[..first.len()], &first[..]);
                                prop_assert!(to[first.len()..].iter().all(|&byte| byte == 0x55));
                                model.pop_front();
                            }
                        }
                    }
                    Act::Clear => {
                        queue.clear();
                        model.clear();
                    }
                }
                prop_assert_eq!(queue.count() as usize, model.len());
                prop_assert_eq!(queue.most_bytes(), most);
            }
        }
    }
}
