//! A panic becomes a line in the log, then a trap.
//!
//! The line is `panic at src/main.rs:12: text`. The text is there where it is one piece; to
//! format values would put `core::fmt` into every guest that has a bounds check.

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

/// A number in decimal: the digits before the last one, then that.
fn push_number(line: &mut Line, number: u32) {
    if number >= 10 {
        push_number(line, number / 10);
    }
    line.push_byte(b'0' + (number % 10) as u8);
}
