//! From WAMR's words to an error that says what to do.

use core::ffi::c_char;
use core::fmt::{self, Write};

use wramp_core::runtime::{Error, ErrorKind, MESSAGE_BYTES, Message};

use wramp_arena::Watch;

/// What WAMR puts before its words, of no use beside the error's kind.
const PREFIXES: [&[u8]; 3] =
    [b"WASM module load failed: ", b"WASM module instantiate failed: ", EXCEPTION];
/// Begins the text of what happened inside a guest.
const EXCEPTION: &[u8] = b"Exception: ";

/// A buffer for the text of a failed load or instantiation. 128 bytes is what WAMR
/// itself uses.
pub(crate) struct Buffer([c_char; 128]);

impl Buffer {
    pub(crate) const fn new() -> Self {
        Self([0; 128])
    }

    /// For C: where to write, and how much.
    pub(crate) fn parts(&mut self) -> (*mut c_char, u32) {
        (self.0.as_mut_ptr(), self.0.len() as u32)
    }

    fn read(&self) -> ([u8; 128], usize) {
        let bytes = self.0.map(|c| c as u8);
        let length = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        (bytes, length)
    }

    /// A failed load: the arena's fault if it was asked in vain, else the module's.
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

    /// A failed instantiation: the arena's fault, or what the start function did, or
    /// a data segment beyond the memory, which is a trap too.
    pub(crate) fn instantiate_error(&self, watch: &Watch<'_>) -> Error {
        let (bytes, length) = self.read();
        let text = &bytes[..length];
        let in_guest = text.windows(EXCEPTION.len()).any(|part| part == EXCEPTION);
        match watch.failed() {
            // A guest may fail to grow its memory and trap for a reason of its own.
            Some(size) if !in_guest => out_of_memory(size, "to instantiate the module"),
            _ => exception(text),
        }
    }
}

/// The error of a call that WAMR's text tells about.
#[cold]
pub(crate) fn exception(text: &[u8]) -> Error {
    let message = words(text);
    let kind = match message.as_str() {
        "native stack overflow" => ErrorKind::NativeStack,
        // A guest's own stack in linear memory is another one, "wasm auxiliary stack
        // overflow", and the guest's own affair: a trap.
        "wasm operand stack overflow" => ErrorKind::WasmStack,
        "instruction limit exceeded" => ErrorKind::Budget,
        text if is_out_of_memory(text) => ErrorKind::OutOfMemory,
        _ => ErrorKind::Trap,
    };
    Error { kind, message }
}

/// Whether WAMR says so itself, in the words that it uses most.
fn is_out_of_memory(text: &str) -> bool {
    matches!(text, "allocate memory failed" | "allocate linear memory failed")
}

/// The arena had no block of that many bytes.
#[cold]
pub(crate) fn out_of_memory(bytes: u32, why: &str) -> Error {
    error(ErrorKind::OutOfMemory, format_args!("the arena has no {bytes} bytes in one piece {why}"))
}

/// An error with a formatted text.
#[cold]
pub(crate) fn error(kind: ErrorKind, text: fmt::Arguments<'_>) -> Error {
    let mut line = Line { bytes: [0; MESSAGE_BYTES], length: 0 };
    // A longer text is cut, as it is by Message itself.
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
