//! A seal: is this record whole, and is it this instance's?
//!
//! A CRC-16 of the instance's number and of the record, two bytes behind it. A record that
//! changed in RAM or flash, or that is another instance's, does not open. Worth its time
//! (a few instructions a byte) in a checked build, and in flash always.

use wramp_core::report::crc16;

use crate::{Malformed, Refused, Sink, Source};

/// Bytes of a seal.
pub const SEAL: usize = 2;

fn extend(crc: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(crc, |crc, &byte| crc16(crc, byte))
}

/// Passes a record on to a sink, and a seal behind it.
#[derive(Debug)]
pub struct Sealing<S> {
    sink: S,
    crc: u16,
}

impl<S: Sink> Sealing<S> {
    /// For a record of the instance with that number.
    pub fn new(sink: S, instance: u32) -> Self {
        Self { sink, crc: extend(u16::MAX, &instance.to_le_bytes()) }
    }

    /// Puts the seal.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn seal(mut self) -> Result<(), Refused> {
        self.sink.put(&self.crc.to_le_bytes())
    }
}

impl<S: Sink> Sink for Sealing<S> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.crc = extend(self.crc, bytes);
        self.sink.put(bytes)
    }
}

/// Reads a record that has a seal behind it.
#[derive(Debug)]
pub struct Opening<S> {
    source: S,
    crc: u16,
}

impl<S: Source> Opening<S> {
    /// For a record of the instance with that number.
    pub fn new(source: S, instance: u32) -> Self {
        Self { source, crc: extend(u16::MAX, &instance.to_le_bytes()) }
    }

    /// Compares the seal, once all of the record has been read. What was read before must
    /// not be used if it does not fit.
    ///
    /// # Errors
    /// It does not fit, or more than a seal is left.
    pub fn open(mut self) -> Result<(), Malformed> {
        let mut seal = [0; SEAL];
        self.source.take(&mut seal)?;
        self.source.end()?;
        if seal == self.crc.to_le_bytes() { Ok(()) } else { Err(Malformed) }
    }
}

impl<S: Source> Source for Opening<S> {
    fn peek(&self, into: &mut [u8]) -> usize {
        self.source.peek(into)
    }

    fn advance(&mut self, mut bytes: usize) {
        let mut window = [0; 32];
        while bytes > 0 {
            let length = bytes.min(window.len());
            let there = self.source.peek(&mut window[..length]);
            if there == 0 {
                return;
            }
            self.crc = extend(self.crc, &window[..there]);
            self.source.advance(there);
            bytes -= there;
        }
    }
}
