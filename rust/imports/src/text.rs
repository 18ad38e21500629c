//! A guest's text as one line that is no record and steers no terminal.

use core::fmt::{self, Write as _};

use wramp_core::report::steers;

/// The most bytes of a line that are printed.
pub const LOG_BYTES: usize = 96;

/// The word that begins every record. A reader looks for it, with the space behind it, anywhere
/// in a line: a serial line may lose the end of the line before.
const RECORD: &[u8] = b"wramp";

/// A line of a guest, ready to be printed.
#[derive(Clone, Copy)]
pub struct Line {
    bytes: [u8; LOG_BYTES],
    length: usize,
}

impl Line {
    /// Keeps the first [`LOG_BYTES`] bytes of `text`, and makes them harmless:
    ///
    /// - A byte that is not UTF-8, a control character and a character that turns the direction
    ///   of text become `?`.
    /// - The space behind the word `wramp` becomes `_`.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let mut line = Self { bytes: [0; LOG_BYTES], length: 0 };
        // No character becomes longer, so there is room for all of them.
        let _ = line.fill(&text[..text.len().min(LOG_BYTES)]);
        line
    }

    fn fill(&mut self, text: &[u8]) -> fmt::Result {
        for chunk in text.utf8_chunks() {
            for letter in chunk.valid().chars() {
                let is_record = letter == ' ' && self.bytes[..self.length].ends_with(RECORD);
                self.write_char(match letter {
                    _ if is_record => '_',
                    letter if steers(letter) => '?',
                    letter => letter,
                })?;
            }
            for _ in chunk.invalid() {
                self.write_char('?')?;
            }
        }
        Ok(())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("?")
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A name of a module's, in at most as many bytes as there is room for, harmless.
pub(crate) struct Name<'b>(pub(crate) &'b [u8]);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                f.write_char(if steers(letter) { '?' } else { letter })?;
            }
            if !chunk.invalid().is_empty() {
                f.write_char('?')?;
            }
        }
        Ok(())
    }
}

/// A number as people read it: `65,536`.
pub(crate) struct Count(pub(crate) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000 {
            return self.0.fmt(f);
        }
        Self(self.0 / 1000).fmt(f)?;
        write!(f, ",{:03}", self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    use proptest::prelude::*;
    use wramp_core::report::Record;

    use super::*;

    fn line(text: &[u8]) -> String {
        Line::new(text).as_str().to_string()
    }

    #[test]
    fn what_is_printed() {
        assert_eq!(line(b""), "");
        assert_eq!(line(b"a\nb\x1b[2J\x07\x7f"), "a?b?[2J??");
        assert_eq!(line(b"gr\xc3\xbcn\xff"), "gr\u{fc}n?");
        assert_eq!(line("\u{9b}\u{202e}\u{2028}".as_bytes()), "???");
        assert_eq!(line(&[b'x'; 200]), "x".repeat(96));
        // The cut goes through a character.
        assert_eq!(
            line(&"\u{fc}".repeat(60).into_bytes()[1..]),
            "?".to_string() + &"\u{fc}".repeat(47) + "?"
        );
    }

    #[test]
    fn what_begins_a_record_is_broken_up() {
        assert_eq!(line(b"wramp done"), "wramp_done");
        assert_eq!(line(b"xwramp wramp wramp"), "xwramp_wramp_wramp");
        assert_eq!(line(b"wramp\ndone"), "wramp?done");
        assert_eq!(line(b"wramped"), "wramped");
    }

    #[test]
    fn numbers() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (4_294_967_295, "4,294,967,295")]
        {
            assert_eq!(Count(number).to_string(), text);
        }
    }

    const PARTS: &[&str] = &[
        "wramp ",
        "wramp",
        " ",
        "done",
        "\u{202e}",
        " workloads=1 errors=0 exit=0",
        " crc=0000",
        "\n",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However a line reaches the reader: alone, behind a time stamp, or joined to another.
        #[test]
        fn no_line_is_a_record(
            texts in prop::collection::vec(prop_oneof![
                any::<Vec<u8>>(),
                prop::collection::vec(prop::sample::select(PARTS), 0..8)
                    .prop_map(|parts| parts.concat().into_bytes()),
            ], 1..4),
        ) {
            let mut joined = String::new();
            for text in &texts {
                let line = line(text);
                prop_assert!(line.len() <= LOG_BYTES && !line.chars().any(steers));
                joined += &std::format!("[00:00:01.000] guest 3: {line}");
            }
            prop_assert_eq!(Record::locate_all(&joined).count(), 0, "{}", joined);
        }
    }
}
