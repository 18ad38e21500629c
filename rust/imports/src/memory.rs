//! A guest's linear memory, and the one place where its pointers are checked.

use wramp_core::runtime::Message;

use crate::text::Count;

/// The linear memory of the instance that calls, as it was allocated.
pub struct Memory<'g> {
    bytes: &'g mut [u8],
    /// The function that was called, for the words of a trap.
    name: &'static str,
}

impl<'g> Memory<'g> {
    /// The memory of a guest that called the function of that name.
    pub fn new(name: &'static str, bytes: &'g mut [u8]) -> Self {
        Self { bytes, name }
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The `length` bytes at `address`. Both are unsigned, and their sum is computed without
    /// overflow. No bytes at the very end are fine.
    ///
    /// # Errors
    /// Where they are not all in the memory: the text of a trap.
    pub fn slice(&mut self, address: u32, length: u32) -> Result<&mut [u8], Message> {
        let size = self.bytes.len();
        let range = usize::try_from(address)
            .ok()
            .zip(usize::try_from(length).ok())
            .and_then(|(from, length)| Some(from..from.checked_add(length)?));
        match range.and_then(|range| self.bytes.get_mut(range)) {
            Some(bytes) => Ok(bytes),
            None => Err(beyond(self.name, address, length, size)),
        }
    }

    /// The 32-bit number at `address`.
    ///
    /// # Errors
    /// As [`slice`](Self::slice).
    pub fn number(&mut self, address: u32) -> Result<u32, Message> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.slice(address, 4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    /// Writes `bytes` at `address`.
    ///
    /// # Errors
    /// As [`slice`](Self::slice).
    pub fn put<const N: usize>(&mut self, address: u32, bytes: [u8; N]) -> Result<(), Message> {
        // N is the size of a number.
        self.slice(address, N as u32)?.copy_from_slice(&bytes);
        Ok(())
    }
}

#[cold]
#[inline(never)]
fn beyond(name: &str, address: u32, length: u32, size: usize) -> Message {
    let [address, length] = [address, length].map(|number| Count(number.into()));
    let size = Count(u64::try_from(size).unwrap_or(u64::MAX));
    Message::format(format_args!(
        "{name}: {length} bytes at {address} are beyond {size} bytes of memory"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_memory_and_what_does_not() {
        let mut bytes = [7; 64];
        let mut memory = Memory::new("wramp.send", &mut bytes);
        for (address, length) in [(0, 0), (0, 64), (64, 0), (63, 1), (10, 20)] {
            assert_eq!(memory.slice(address, length).unwrap().len(), length as usize);
        }
        for (address, length) in [
            (0, 65),
            (64, 1),
            (65, 0),
            (63, 2),
            (u32::MAX, 0),
            (u32::MAX, 1),
            (1, u32::MAX),
            (u32::MAX, u32::MAX),
            (4, u32::MAX - 3),
        ] {
            assert!(memory.slice(address, length).is_err(), "{address} {length}");
        }
        assert_eq!(memory.number(60), Ok(0x0707_0707));
        assert!(memory.number(61).is_err());
        assert_eq!(memory.put(60, [1, 0, 0, 0]), Ok(()));
        assert_eq!(memory.number(60), Ok(1));
        assert!(memory.put(61, [0; 4]).is_err());
    }

    #[test]
    fn a_trap_says_what_lies_where() {
        let mut memory = Memory::new("wramp.send", &mut []);
        assert_eq!(
            memory.slice(65_528, 16).unwrap_err().as_str(),
            "wramp.send: 16 bytes at 65,528 are beyond 0 bytes of memory"
        );
        // The longest there is, whole.
        let longest = beyond("environ_sizes_get", u32::MAX, u32::MAX, 1 << 32);
        assert!(longest.as_str().ends_with("memory"), "{longest}");
    }
}
