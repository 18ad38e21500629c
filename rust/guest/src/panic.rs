//! Turns a panic into a line in the log and a trap.
//!
//! The line is `panic at src/main.rs:12: text`. The text is left out if it has arguments: to
//! format them would add `core::fmt` to every guest with a bounds check.

use core::panic::PanicInfo;

use crate::text::Line;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut line = Line::new();
    line.push("panic");
    if let Some(location) = info.location() {
        line.push(" at ");
        line.push(location.file());
        line.push(":");
        push_number(&mut line, location.line());
    }
    if let Some(text) = info.message().as_str() {
        line.push(": ");
        line.push(text);
    }
    line.log();
    core::arch::wasm32::unreachable()
}

/// Writes a number in decimal.
fn push_number(line: &mut Line, number: u32) {
    if number >= 10 {
        push_number(line, number / 10);
    }
    line.push_byte(b'0' + (number % 10) as u8);
}
