//! A line for the log, formatted without allocation.

use core::fmt::{self, Write};

use crate::host;

/// The most bytes of a line that a host prints. It cuts off the rest.
pub const LOG_BYTES: usize = 96;

/// A line that is being written. It drops bytes that do not fit.
pub(crate) struct Line {
    bytes: [u8; LOG_BYTES],
    length: usize,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; LOG_BYTES], length: 0 }
    }

    pub(crate) fn push(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            self.push_byte(byte);
        }
    }

    pub(crate) fn push_byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    pub(crate) fn log(&self) {
        host::log(self.bytes.get(..self.length).unwrap_or(&self.bytes));
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// Logs the arguments of [`log!`](crate::log). Inlined, so that the compiler sees a line without
/// arguments as a constant and leaves `core::fmt` out of the module.
#[inline(always)]
pub fn log_arguments(arguments: fmt::Arguments<'_>) {
    match arguments.as_str() {
        Some(text) => host::log(text.as_bytes()),
        None => formatted(arguments),
    }
}

#[inline(never)]
fn formatted(arguments: fmt::Arguments<'_>) {
    let mut line = Line::new();
    // If formatting a value fails, the part of the line before that value is logged.
    let _ = line.write_fmt(arguments);
    line.log();
}
