//! Turns WAMR's words into an error that says what to do.

use core::ffi::c_char;
use core::fmt::{self, Write};

use wramp_core::runtime::{Error, ErrorKind, MESSAGE_BYTES, Message};

use wramp_arena::Watch;

/// What WAMR puts before its words. It adds nothing to the error's kind.
const PREFIXES: [&[u8]; 3] =
    [b"WASM module load failed: ", b"WASM module instantiate failed: ", EXCEPTION];
/// The beginning of the text about a failure inside a guest.
const EXCEPTION: &[u8] = b"Exception: ";

/// A buffer for the text of a failed load or instantiation. WAMR itself uses 128 bytes.
pub(crate) struct Buffer([c_char; 128]);

impl Buffer {
    pub(crate) const fn new() -> Self {
        Self([0; 128])
    }

    /// For C: the place to write to, and its size.
    pub(crate) fn parts(&mut self) -> (*mut c_char, u32) {
        (self.0.as_mut_ptr(), self.0.len() as u32)
    }

    fn read(&self) -> ([u8; 128], usize) {
        let bytes = self.0.map(|c| c as u8);
        let length = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        (bytes, length)
    }

    /// The error of a failed load: the arena's if a request failed, otherwise the module's.
    pub(crate) fn load_error(&self, watch: &Watch<'_>) -> Error {
        let (bytes, length) = self.read();
        match watch.failed() {
            Some(size) => out_of_memory(size, "to load the module"),
            None => {
                let message = words(&bytes[..length]);
                let in_vain = is_out_of_memory(message.as_str());
                let kind = if in_vain { ErrorKind::OutOfMemory } else { ErrorKind::Malformed };
                Error { kind, message }
            }
        }
    }

    /// The error of a failed instantiation. It is the arena's, or what the start function did,
    /// or a data segment beyond the memory, which is a trap too.
    pub(crate) fn instantiate_error(&self, watch: &Watch<'_>) -> Error {
        let (bytes, length) = self.read();
        let text = &bytes[..length];
        let in_guest = text.windows(EXCEPTION.len()).any(|part| part == EXCEPTION);
        match watch.failed() {
            // A guest may fail to grow its memory and then trap for its own reason.
            Some(size) if !in_guest => out_of_memory(size, "to instantiate the module"),
            _ => exception(text),
        }
    }
}

/// The error of a call, from WAMR's text.
#[cold]
pub(crate) fn exception(text: &[u8]) -> Error {
    let message = words(text);
    let kind = match message.as_str() {
        "native stack overflow" => ErrorKind::NativeStack,
        // A guest's own stack in linear memory is a different one. Its "wasm auxiliary stack
        // overflow" is the guest's own concern: a trap.
        "wasm operand stack overflow" => ErrorKind::WasmStack,
        "instruction limit exceeded" => ErrorKind::Budget,
        text if is_out_of_memory(text) => ErrorKind::OutOfMemory,
        _ => ErrorKind::Trap,
    };
    Error { kind, message }
}

/// Whether WAMR itself says so, in its most common words.
fn is_out_of_memory(text: &str) -> bool {
    matches!(text, "allocate memory failed" | "allocate linear memory failed")
}

/// The error if the arena had no block of that many bytes.
#[cold]
pub(crate) fn out_of_memory(bytes: u32, why: &str) -> Error {
    error(ErrorKind::OutOfMemory, format_args!("the arena has no {bytes} bytes in one piece {why}"))
}

/// An error with a formatted text.
#[cold]
pub(crate) fn error(kind: ErrorKind, text: fmt::Arguments<'_>) -> Error {
    let mut line = Line { bytes: [0; MESSAGE_BYTES], length: 0 };
    // A longer text is cut, as Message itself does.
    let _ = line.write_fmt(text);
    Error { kind, message: Message::from_bytes(&line.bytes[..line.length]) }
}

fn words(mut text: &[u8]) -> Message {
    for prefix in PREFIXES {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    Message::from_bytes(text)
}

struct Line {
    bytes: [u8; MESSAGE_BYTES],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let fits = room.len().min(text.len());
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.length += fits;
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let kind = |text: &str| exception(text.as_bytes()).kind;
        assert_eq!(kind("Exception: unreachable"), ErrorKind::Trap);
        assert_eq!(kind("Exception: wasm auxiliary stack overflow"), ErrorKind::Trap);
        assert_eq!(kind("Exception: wasm operand stack overflow"), ErrorKind::WasmStack);
        assert_eq!(kind("Exception: native stack overflow"), ErrorKind::NativeStack);
        assert_eq!(kind("Exception: instruction limit exceeded"), ErrorKind::Budget);
        let both = "WASM module instantiate failed: Exception: unreachable";
        assert_eq!(exception(both.as_bytes()).message.as_str(), "unreachable");
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = "x".repeat(MESSAGE_BYTES);
        let error = error(ErrorKind::Import, format_args!("{long}{long}"));
        assert_eq!(error.message.as_str(), long);
    }
}
