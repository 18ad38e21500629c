//! Records and lines: the encoder and the parser, side by side.
//!
//! A record is one line, `wramp <kind> key=value ... crc=xxxx`. It is ASCII, values have no
//! spaces, and a key carries its unit. A key is absent if its value was not measured. The last
//! key is a CRC-16 of everything before it, which shows when a UART dropped a character.
//!
//! A reader ignores keys that it does not know. A change that an older reader would misread
//! raises [`FORMAT_VERSION`], which stands first in the first record.

use core::fmt::{self, Write as _};
use core::marker::PhantomData;

use crate::measure::{Bytes, Nanos, Ratio};
use crate::ramp::Limit;

/// The version of the format that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 2;

/// The beginning of every record.
pub const PREFIX: &str = "wramp ";

/// CRC-16/CCITT-FALSE (polynomial 0x1021, initial value 0xFFFF), one byte at a time.
///
/// It shifts in the polynomial's four terms instead of using a table. A device spends no flash
/// on it, and it is as fast on a host as a table of 256 entries.
#[must_use]
pub const fn crc16(crc: u16, byte: u8) -> u16 {
    let high = (crc >> 8) ^ byte as u16;
    let high = high ^ (high >> 4);
    (crc << 8) ^ (high << 12) ^ (high << 5) ^ high
}

const CRC_START: u16 = 0xFFFF;

/// Bytes that a reader sums at once.
const LANES: usize = 8;

/// What a byte does to the CRC when a given number of other bytes follows it.
static CRC_LANES: [[u16; 256]; LANES] = {
    let mut lanes = [[0; 256]; LANES];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = crc16(0, byte as u8);
        let mut behind = 0;
        while behind < LANES {
            lanes[behind][byte] = crc;
            crc = crc16(crc, 0);
            behind += 1;
        }
        byte += 1;
    }
    lanes
};

/// The CRC of a record's text, eight bytes at a time. Byte by byte, each step would wait for
/// the one before it.
///
/// A device only writes records, so its linker leaves out the 4 KiB of tables.
fn crc16_of(text: &[u8]) -> u16 {
    let mut chunks = text.chunks_exact(LANES);
    let mut crc = CRC_START;
    for chunk in &mut chunks {
        let [high, low] = crc.to_be_bytes();
        let first = [chunk[0] ^ high, chunk[1] ^ low];
        let lane = |at: usize, byte: u8| CRC_LANES[LANES - 1 - at][usize::from(byte)];
        crc = lane(0, first[0]) ^ lane(1, first[1]);
        for (at, &byte) in chunk.iter().enumerate().skip(2) {
            crc ^= lane(at, byte);
        }
    }
    chunks.remainder().iter().fold(crc, |crc, &byte| crc16(crc, byte))
}

/// Characters of a record's last word and of the space before it: ` crc=xxxx`.
const CRC_CHARS: usize = 9;

/// A name in a record: printable ASCII without spaces.
///
/// Other characters are percent-encoded, byte by byte of their UTF-8 (`%20` is a space). A `%`
/// is encoded too, unless two hexadecimal digits follow it. It then counts as encoded already,
/// so a name that was read can be written again. An empty name becomes `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Word<'a>(pub &'a str);

impl<'a> Word<'a> {
    /// The name as a person reads it. See [`Readable`].
    #[must_use]
    pub const fn readable(self) -> Readable<'a> {
        Readable { text: self.0, escaped: true, underscores: b'_' }
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_char('-');
        }
        let bytes = self.0.as_bytes();
        (0..bytes.len()).try_for_each(|at| match bytes[at] {
            b'%' if escape_at(&bytes[at..]).is_none() => f.write_str("%25"),
            byte if byte.is_ascii_graphic() => f.write_char(char::from(byte)),
            byte => write!(f, "%{byte:02x}"),
        })
    }
}

/// A sentence in a record. A space becomes an underscore and an underscore becomes `%5f`.
/// Everything else is as in a [`Word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Text<'a> {
    text: &'a str,
    /// Whether `text` is encoded, because it was read from a record.
    encoded: bool,
}

impl<'a> Text<'a> {
    /// A sentence to be written.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { text, encoded: false }
    }

    /// The sentence as a person reads it. See [`Readable`].
    #[must_use]
    pub const fn readable(self) -> Readable<'a> {
        let underscores = if self.encoded { b' ' } else { b'_' };
        Readable { text: self.text, escaped: self.encoded, underscores }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.encoded {
            return Word(self.text).fmt(f);
        }
        if self.text.is_empty() {
            return f.write_char('-');
        }
        self.text.bytes().try_for_each(|byte| match byte {
            b' ' => f.write_char('_'),
            byte if byte.is_ascii_graphic() && !matches!(byte, b'_' | b'%') => {
                f.write_char(char::from(byte))
            }
            byte => write!(f, "%{byte:02x}"),
        })
    }
}

impl<'a> Value<'a> for Text<'a> {
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, " {key}={self}")
    }
    fn read(text: Option<&'a str>) -> Option<Self> {
        text.filter(|text| !text.is_empty()).map(|text| Self { text, encoded: true })
    }
}

/// The byte that a `%XX` at the beginning of `bytes` stands for.
fn escape_at(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// A record's text, decoded.
///
/// It shows U+FFFD for bytes that are not UTF-8 and for characters that could steer a terminal:
/// control characters, and those that change the direction of writing.
#[derive(Clone, Copy, Debug)]
pub struct Readable<'a> {
    text: &'a str,
    /// Whether a `%` and two digits stand for a byte.
    escaped: bool,
    /// What an underscore stands for.
    underscores: u8,
}

impl Readable<'_> {
    /// The next byte and the text behind it.
    fn next<'b>(&self, text: &'b [u8]) -> Option<(u8, &'b [u8])> {
        if let Some(byte) = escape_at(text).filter(|_| self.escaped) {
            return Some((byte, &text[3..]));
        }
        let (&byte, rest) = text.split_first()?;
        Some((if byte == b'_' { self.underscores } else { byte }, rest))
    }
}

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.text.as_bytes();
        while !rest.is_empty() {
            // One character: unescaped, or in as many escapes as its UTF-8 has bytes.
            let (mut bytes, mut length) = ([0; 4], 0);
            let mut character = None;
            while let Some((byte, after)) = self.next(rest) {
                bytes[length] = byte;
                match core::str::from_utf8(&bytes[..=length]) {
                    Ok(text) => character = text.chars().next(),
                    // More bytes of the character follow.
                    Err(error) if error.error_len().is_none() => {
                        (rest, length) = (after, length + 1);
                        continue;
                    }
                    // A byte that does not continue this character begins the next one.
                    Err(_) if length > 0 => break,
                    Err(_) => {}
                }
                rest = after;
                break;
            }
            f.write_char(character.filter(|c| !steers(*c)).unwrap_or(char::REPLACEMENT_CHARACTER))?;
        }
        Ok(())
    }
}

/// Whether a character could steer a terminal. These are the C0 and C1 controls, and Unicode's
/// characters that set the direction of writing (UAX 9) or separate lines.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A value of a record's key.
trait Value<'a>: Sized {
    /// Writes ` key=value`, or nothing if there is no value.
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result;
    /// Reads the value or its absence. `None` if the text does not fit the type.
    fn read(text: Option<&'a str>) -> Option<Self>;
}

impl<'a> Value<'a> for Word<'a> {
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, " {key}={self}")
    }
    fn read(text: Option<&'a str>) -> Option<Self> {
        text.filter(|text| !text.is_empty()).map(Self)
    }
}

macro_rules! number_values {
    ($($number:ty),*) => {$(
        impl Value<'_> for $number {
            fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
                write!(out, " {key}={self}")
            }
            fn read(text: Option<&str>) -> Option<Self> {
                // `parse` accepts a plus sign, which the encoder never writes.
                text.filter(|text| !text.starts_with('+'))?.parse().ok()
            }
        }
    )*};
}
number_values!(u32, u64, i64);

impl Value<'_> for Bytes {
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        self.0.write(key, out)
    }
    fn read(text: Option<&str>) -> Option<Self> {
        u32::read(text).map(Self)
    }
}

/// Reads `whole.decimals` with exactly that many decimals, as one number.
fn read_fixed(text: &str, decimals: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    if part.len() != decimals || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(decimals).ok()?);
    u64::read(Some(whole))?.checked_mul(scale)?.checked_add(part.parse().ok()?)
}

/// Bytes that the arena could not serve and that came from elsewhere, where there are any.
///
/// Only an engine that ends the program when an allocation fails has them. A firmware without
/// such an engine leaves out the feature `overdraft`, and then this is nothing at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdraft(#[cfg(feature = "overdraft")] Bytes);

impl Overdraft {
    /// So many bytes.
    #[must_use]
    #[inline]
    pub const fn new(bytes: Bytes) -> Self {
        #[cfg(not(feature = "overdraft"))]
        let _ = bytes;
        Self(
            #[cfg(feature = "overdraft")]
            bytes,
        )
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> Bytes {
        #[cfg(feature = "overdraft")]
        return self.0;
        #[cfg(not(feature = "overdraft"))]
        Bytes(0)
    }
}

impl Value<'_> for Overdraft {
    #[inline]
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.bytes() {
            Bytes(0) => Ok(()),
            bytes => bytes.write(key, out),
        }
    }
    fn read(text: Option<&str>) -> Option<Self> {
        Option::<Bytes>::read(text).map(|bytes| Self::new(bytes.unwrap_or_default()))
    }
}

/// A figure that only a host has.
///
/// A firmware leaves out the feature `host-figures`, and then this is nothing at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnHost(#[cfg(feature = "host-figures")] Option<u32>);

impl OnHost {
    /// This figure.
    #[must_use]
    #[inline]
    pub const fn new(figure: Option<u32>) -> Self {
        #[cfg(not(feature = "host-figures"))]
        let _ = figure;
        Self(
            #[cfg(feature = "host-figures")]
            figure,
        )
    }

    /// The figure, where there is one.
    #[must_use]
    pub const fn get(self) -> Option<u32> {
        #[cfg(feature = "host-figures")]
        return self.0;
        #[cfg(not(feature = "host-figures"))]
        None
    }
}

impl Value<'_> for OnHost {
    #[inline]
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        self.get().map_or(Ok(()), |figure| figure.write(key, out))
    }
    fn read(text: Option<&str>) -> Option<Self> {
        Option::<u32>::read(text).map(Self::new)
    }
}

impl Value<'_> for Nanos {
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, " {key}={}.{:03}", self.0 / 1000, self.0 % 1000)
    }
    fn read(text: Option<&str>) -> Option<Self> {
        read_fixed(text?, 3).map(Self)
    }
}

impl Value<'_> for Ratio {
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, " {key}={self}")
    }
    fn read(text: Option<&str>) -> Option<Self> {
        read_fixed(text?, 4).and_then(|parts| u32::try_from(parts).ok()).map(Self)
    }
}

impl Value<'_> for Limit {
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, " {key}={self}")
    }
    fn read(text: Option<&str>) -> Option<Self> {
        Self::parse(text?)
    }
}

impl<'a, T: Value<'a>> Value<'a> for Option<T> {
    fn write(&self, key: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        self.as_ref().map_or(Ok(()), |value| value.write(key, out))
    }
    fn read(text: Option<&'a str>) -> Option<Self> {
        match text {
            None => Some(None),
            some => T::read(some).map(Some),
        }
    }
}

/// The `key=value` words of a record, taken key by key.
///
/// A reader asks for keys in the order in which they are written, so the next word is nearly
/// always the right one. Words behind it were asked for already. An unknown or repeated key stays
/// ahead, and each look steps over it.
#[derive(Clone)]
struct Words<'a> {
    ahead: &'a str,
}

/// The first word and the text behind it.
fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_ascii_start();
    let end = text.bytes().position(|byte| byte <= b' ' && byte.is_ascii_whitespace());
    text.split_at(end.unwrap_or(text.len()))
}

impl<'a> Words<'a> {
    /// The value of the first word with that key.
    fn take(&mut self, key: &str) -> Option<&'a str> {
        let value_of = |word: &'a str| word.strip_prefix(key)?.strip_prefix('=');
        let (word, mut rest) = split_word(self.ahead);
        if let Some(value) = value_of(word) {
            self.ahead = rest;
            return Some(value);
        }
        while !rest.is_empty() {
            let word;
            (word, rest) = split_word(rest);
            if let Some(value) = value_of(word) {
                return Some(value);
            }
        }
        None
    }
}

/// The text without what a console appends to a line: white space and escape sequences (`ESC [
/// ... letter`). A logger that colours its lines ends them with these.
fn without_tail(text: &str) -> &str {
    let mut text = text.trim_ascii_end();
    while let Some(start) = text.rfind('\x1b') {
        match text.as_bytes()[start + 1..] {
            [b'[', ref middle @ .., 0x40..=0x7E]
                if middle.iter().all(|byte| matches!(byte, 0x20..=0x3F)) => {}
            _ => break,
        }
        text = text[..start].trim_ascii_end();
    }
    text
}

/// Why a line is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError<'a> {
    /// The CRC is missing or wrong: characters were lost or changed on the way.
    Garbled,
    /// The log has a newer format than this program reads. Update the program.
    Newer {
        /// The log's format version.
        format: u32,
    },
    /// This program does not know the kind of record. A newer program may.
    UnknownKind(&'a str),
    /// A key is missing, or its value does not fit its type.
    BadField {
        /// The record's kind.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
}

impl fmt::Display for ParseError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbled => f.write_str("garbled: the CRC is missing or wrong"),
            Self::Newer { format } => write!(
                f,
                "the log is of format {format}, this program reads up to {FORMAT_VERSION}: update wramp"
            ),
            Self::UnknownKind(kind) => write!(f, "unknown kind of record: {kind}"),
            Self::BadField { kind, key } => {
                write!(f, "record {kind}: {key} is missing or not of its type")
            }
        }
    }
}

impl core::error::Error for ParseError<'_> {}

macro_rules! records {
    ($(
        $(#[$doc:meta])*
        $name:ident $(<$life:lifetime>)? = $kind:literal {
            $( $(#[$field_doc:meta])* $field:ident : $type:ty ),* $(,)?
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name $(<$life>)? {
                $( $(#[$field_doc])* pub $field: $type, )*
            }

            impl $(<$life>)? $name $(<$life>)? {
                /// The keys of this kind, in the order in which they are written.
                pub const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

                fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
                    out.write_str(concat!("wramp ", $kind))?;
                    $( self.$field.write(stringify!($field), out)?; )*
                    Ok(())
                }

                /// `Err` names the key that is missing or whose value does not fit its type.
                fn read<'w>(mut words: Words<'w>) -> Result<Self, &'static str>
                where
                    $('w: $life)?
                {
                    Ok(Self {
                        $( $field: <$type as Value>::read(words.take(stringify!($field)))
                            .ok_or(stringify!($field))?, )*
                    })
                }
            }

            impl<'a> From<$name $(<$life>)?> for Record<'a> {
                fn from(record: $name $(<$life>)?) -> Self {
                    Self::$name(record)
                }
            }
        )*

        /// A line that a run prints.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(clippy::large_enum_variant)] // Lives on a stack for one line; never stored by a device.
        pub enum Record<'a> {
            $( $(#[$doc])* $name($name $(<$life>)?), )*
        }

        /// The kind of a record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RecordKind {
            $( $(#[$doc])* $name, )*
        }

        impl<'a> Record<'a> {
            /// The kind, as it stands in the line.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $( Self::$name(_) => $kind, )* }
            }

            fn write<K: Kinds>(&self, out: &mut dyn fmt::Write) -> fmt::Result {
                match self {
                    // A kind that the writer never makes has no code.
                    $( Self::$name(record) if K::has(RecordKind::$name) => record.write(out), )*
                    _ => Ok(()),
                }
            }

            fn read(kind: &'a str, words: Words<'a>) -> Result<Self, ParseError<'a>> {
                match kind {
                    $( $kind => $name::read(words)
                        .map(Self::from)
                        .map_err(|key| ParseError::BadField { kind: $kind, key }), )*
                    _ => Err(ParseError::UnknownKind(kind)),
                }
            }
        }
    };
}

records! {
    /// The first record: format, machine, versions and every knob.
    Run<'a> = "run" {
        /// [`FORMAT_VERSION`] of the writer.
        format: u32,
        /// wramp's own version.
        wramp: Word<'a>,
        /// The board, in Zephyr's terms, or `linux`.
        board: Word<'a>,
        /// Operating system and version: `zephyr-4.1.0`, `linux-6.1.0`.
        os: Word<'a>,
        /// Bits of a pointer. Byte figures compare only between equal ones.
        pointer_bits: u32,
        /// Ticks a second of the clock that latencies come from. Absent where that clock stands
        /// still: then no record has a time.
        clock_hz: Option<u64>,
        /// Cores that threads may run on.
        cores: u32,
        /// The engine.
        runtime: Word<'a>,
        /// The engine's version.
        runtime_version: Word<'a>,
        /// `classic` or `fast`.
        interpreter: Word<'a>,
        /// How the compiler optimised the interpreter's file, where that is a knob: `O2` or `Os`.
        interpreter_opt: Option<Word<'a>>,
        /// Blocks whose ends the classic interpreter remembers for each stack, where that is a
        /// knob.
        block_cache: Option<u32>,
        /// Support for compiled modules, where that is a knob: `on` or `off`.
        aot: Option<Word<'a>>,
        /// Whether a loaded module's bytes are copied into the arena (`on`) or read where they
        /// lie (`off`).
        module_copy: Option<Word<'a>>,
        /// Faults of the engine that its build corrected: names of docs/engine-faults.md, joined
        /// by `+`. `none` where no fault is known; `unlisted` where nobody has looked at this
        /// source of the engine, which passed a test of these faults when it started.
        engine_fixes: Option<Word<'a>>,
        /// What another engine says of the first calls of a user's module: `agrees`; `differs`, so
        /// that one of the two is wrong; `none` where it could not be asked; `off` where nobody
        /// asked.
        second_opinion: Option<Word<'a>>,
        /// Threads that wanted a core in the minute before the run, over the cores, in
        /// thousandths, on a host: 1000 is one for each core.
        load_permille: OnHost,
        /// How much of its time each core was not to be had just before the run, in thousandths,
        /// on a host: what a busy thread on each core did not get.
        starved_permille: OnHost,
        /// What the engine loads: `wasm`, or `native` for code compiled from it.
        artefact: Option<Word<'a>>,
        /// Whether one interpreter stack can serve many instances: `on` or `off`. A pool needs it.
        shares_stack: Option<Word<'a>>,
        /// The Rust compiler's version.
        rustc: Word<'a>,
        /// The C compiler's version, where known.
        cc: Option<Word<'a>>,
        /// `all`, `mixed`, `private` or `pinned`.
        scenario: Word<'a>,
        /// `threads` (one an instance), `pool`, `cooperative` (the controller calls all), or
        /// `park` (a few live instances serve parked ones).
        mode: Word<'a>,
        /// Worker threads of a pool or a park.
        workers: Option<u32>,
        /// The most residents that a pool can have, or live instances of a park.
        residents: Option<u32>,
        /// Size of the region that the engine allocates from.
        arena_bytes: Bytes,
        /// What the arena rounds a block to, with its header.
        arena_unit_bytes: Option<Bytes>,
        /// What the arena keeps beside each block.
        arena_header_bytes: Option<Bytes>,
        /// Start and end address of the arena, where the machine says so.
        arena_at: Option<Word<'a>>,
        /// What libc's own heap is, where the machine says so: `none` or `host`.
        heap_at: Option<Word<'a>>,
        /// Thread stacks reserved.
        slots: u32,
        /// Bytes of each of them, as the knob asks for.
        slot_stack_bytes: Bytes,
        /// Bytes of each of them, as this machine reserves them.
        slot_stack_real_bytes: Option<Bytes>,
        /// The least stack with which this machine starts a run.
        slot_stack_least_bytes: Option<Bytes>,
        /// Bytes that the engine keeps free at the end of a slot's stack.
        stack_guard_bytes: Option<Bytes>,
        /// Bytes of one interpreter stack. Where stacks are fitted, the most that one may get.
        wasm_stack_bytes: Bytes,
        /// Whether each interpreter stack is fitted to what the first call needs: `on` or `off`.
        fit: Option<Word<'a>>,
        /// Instances added at each step.
        step: u32,
        /// Time for the newest instances to settle.
        settle_ms: u32,
        /// Time for which a step is held and measured.
        dwell_ms: u32,
        /// Time for which an instance pauses between two calls.
        pause_ms: u32,
        /// `free`, or the core that all threads are pinned to.
        pin: Word<'a>,
        /// Time slice among threads of equal priority, where that is a knob.
        slice_ms: Option<u32>,
        /// Instructions that a call may take: a number, `off`, or `unsupported` by this engine.
        budget: Word<'a>,
        /// How long a call may take, for each instance that shares the CPU with it, before it
        /// counts as stuck. Absent where the run waits for ever.
        stuck_ms: Option<u32>,
        /// The promised 99th percentile: of a turnaround in a pool, else of a call.
        slo_us: Option<Nanos>,
    }
    /// A module was loaded.
    Load<'a> = "load" {
        /// The workload's name, or the file's.
        workload: Word<'a>,
        /// Size of the module.
        module_bytes: Bytes,
        /// Arena bytes that the loaded module took, with its copy.
        arena_bytes: Bytes,
        /// Arena bytes free after that.
        arena_free_bytes: Bytes,
        /// What the load took.
        load_us: Option<Nanos>,
    }
    /// The interpreter stack that a workload was given.
    Fit<'a> = "fit" {
        /// The workload.
        workload: Word<'a>,
        /// The smallest stack that its first call ran in, to 8 bytes.
        needed_bytes: Bytes,
        /// The stack that its instances get: that and a margin.
        wasm_stack_bytes: Bytes,
    }
    /// What the first instance says about all the others.
    Predict<'a> = "predict" {
        /// The workload.
        workload: Word<'a>,
        /// Predicted peak.
        peak: u32,
        /// Predicted limit.
        limit: Limit,
        /// Arena bytes that one more instance takes.
        cost_bytes: Bytes,
        /// Arena bytes that it needs while it starts, which may be more.
        need_bytes: Bytes,
        /// Arena bytes free after the first instance.
        arena_free_bytes: Bytes,
    }
    /// One part of an instance's cost. All parts of a workload add up to it.
    Part<'a> = "part" {
        /// The workload.
        workload: Word<'a>,
        /// What the bytes are for.
        part: Word<'a>,
        /// Bytes of one instance.
        bytes: Bytes,
    }
    /// One step of the ramp, sampled.
    Step<'a> = "step" {
        /// The workload.
        workload: Word<'a>,
        /// Instances that exist.
        instances: u32,
        /// Instances that are on a thread, where those are fewer.
        running: Option<u32>,
        /// Arena bytes free now.
        arena_free_bytes: Bytes,
        /// The least arena bytes that were free since this workload's load.
        arena_low_bytes: Bytes,
        /// The largest block that the arena could still serve.
        arena_largest_bytes: Bytes,
        /// Blocks allocated.
        arena_blocks: u32,
        /// Arena bytes that the newest instance took.
        cost_bytes: Bytes,
        /// What the start of the newest instance took, to the return of its first call. Others
        /// ran meanwhile.
        start_us: Option<Nanos>,
        /// CPU time used in the dwell, of all cores together, where the machine accounts for it.
        cpu_permille: Option<u32>,
        /// Time since the run began. Absent where the clock stands still, as each time is.
        uptime_ms: Option<u64>,
        /// How long the step was really held.
        dwell_us: Option<Nanos>,
        /// Calls of all instances that ended in the dwell.
        dwell_calls: u64,
        /// Calls since the workload's load.
        calls: u64,
        /// Calls that failed or returned a wrong result, since the workload's load.
        errors: u64,
        /// The mean of the dwell's calls, from an exact sum.
        latency_mean_us: Option<Nanos>,
        /// The shortest call since the workload's load; absent where it is 2^32 ticks or more.
        latency_min_us: Option<Nanos>,
        /// Half of the dwell's calls took at most this long.
        latency_p50_us: Option<Nanos>,
        /// 99 of a hundred of the dwell's calls took at most this long.
        latency_p99_us: Option<Nanos>,
        /// The longest call of the dwell.
        latency_max_us: Option<Nanos>,
        /// In a pool, the time from the end of one call to the end of the next call of the same
        /// instance: half were at most this long.
        turnaround_p50_us: Option<Nanos>,
        /// 99 of a hundred of these times were at most this long.
        turnaround_p99_us: Option<Nanos>,
        /// The longest of these times.
        turnaround_max_us: Option<Nanos>,
        /// Of guests that wait, the time from what they waited for to their step: half were at
        /// most this long. In a pool those of the dwell, else all since the first.
        wake_p50_us: Option<Nanos>,
        /// 99 of a hundred of these times were at most this long.
        wake_p99_us: Option<Nanos>,
        /// The longest of these times.
        wake_max_us: Option<Nanos>,
    }
    /// What parking did in a step: comes after the step's own record, in a park only.
    Park<'a> = "park" {
        /// The workload.
        workload: Word<'a>,
        /// Instances that exist.
        instances: u32,
        /// Those of them that are parked now.
        parked: u32,
        /// Live instances, which serve all.
        live: u32,
        /// Instances that ended with an error.
        ended: u32,
        /// Instances that went on where they were parked before a reset. Absent where nothing
        /// survives one.
        restored: Option<u32>,
        /// Arena bytes that one more instance takes: its share of the store, and what its judge
        /// keeps.
        instance_bytes: Bytes,
        /// Bytes of these that its judge keeps.
        judge_bytes: Bytes,
        /// The most bytes that an instance may park.
        budget_bytes: Bytes,
        /// Half of the parked states are at most this long.
        parked_p50_bytes: Bytes,
        /// 99 of a hundred of them are at most this long.
        parked_p99_bytes: Bytes,
        /// The longest of them.
        parked_max_bytes: Bytes,
        /// Bytes of memory that a call made dirty, in whole blocks of 32: the mean over calls of
        /// a sample of instances since the workload's load.
        dirty_mean_bytes: Option<Bytes>,
        /// The most that one of these calls made dirty.
        dirty_max_bytes: Option<Bytes>,
        /// Instances that were revived in the dwell.
        revivals: u64,
        /// The same for each second, rounded down.
        revivals_per_s: Option<u64>,
        /// The mean time to park an instance in the dwell.
        park_mean_us: Option<Nanos>,
        /// Half of these times were at most this long.
        park_p50_us: Option<Nanos>,
        /// 99 of a hundred of them were at most this long.
        park_p99_us: Option<Nanos>,
        /// The mean time to revive an instance in the dwell.
        revive_mean_us: Option<Nanos>,
        /// Half of these times were at most this long.
        revive_p50_us: Option<Nanos>,
        /// 99 of a hundred of them were at most this long.
        revive_p99_us: Option<Nanos>,
    }
    /// One instance's life, after it ended. A park reports a sample of its instances, and the first
    /// of those that had an error: of one that is not in the sample only the call that failed.
    Instance<'a> = "instance" {
        /// The workload. In a mixed ramp, that of this instance.
        workload: Word<'a>,
        /// Its number, from 0 in the order of the starts.
        id: u32,
        /// Its slot, where it has one of its own.
        slot: Option<u32>,
        /// Time from the return of its first call to the stop.
        alive_ms: Option<u64>,
        /// Calls it made.
        calls: u32,
        /// Calls that failed or returned a wrong result. Of a resident of a pool up to 16,383 are
        /// counted; `end` counts all.
        errors: u32,
        /// The mean of its calls, from an exact sum.
        latency_mean_us: Option<Nanos>,
        /// Its shortest call; absent where it is 2^32 ticks or more.
        latency_min_us: Option<Nanos>,
        /// Half of its calls took at most this long.
        latency_p50_us: Option<Nanos>,
        /// 99 of a hundred of its calls took at most this long.
        latency_p99_us: Option<Nanos>,
        /// Its longest call.
        latency_max_us: Option<Nanos>,
        /// The most bytes of its slot's stack that were ever used, where the machine can tell.
        stack_used_bytes: Option<Bytes>,
        /// `ok`, or `bad` after any error.
        result: Word<'a>,
        /// The kind of its first error.
        error: Option<Word<'a>>,
        /// The engine's words for it.
        message: Option<Text<'a>>,
    }
    /// What a part of the starts or of the ends of a ramp's instances took, after the ramp.
    Start<'a> = "start" {
        /// The ramp.
        workload: Word<'a>,
        /// `load` (where each instance has its own module), `instantiate`, `first-call` or
        /// `teardown`.
        phase: Word<'a>,
        /// How often that happened.
        count: u32,
        /// The mean, from an exact sum.
        mean_us: Nanos,
        /// Half of the times were at most this long. Of many, a sample.
        p50_us: Option<Nanos>,
        /// 99 of a hundred of the times were at most this long. Of many, a sample.
        p99_us: Option<Nanos>,
        /// The longest.
        max_us: Nanos,
    }
    /// One module of a mix, after the ramp.
    Member<'a> = "member" {
        /// The ramp.
        workload: Word<'a>,
        /// The module.
        module: Word<'a>,
        /// Instances that were asked for. Absent where as many as fit were.
        asked: Option<u32>,
        /// Instances that ran.
        instances: u32,
        /// Arena bytes of its first instance.
        cost_bytes: Option<Bytes>,
        /// Instructions that a call of it may take, where that is its own budget.
        budget: Option<u32>,
        /// Calls of its instances.
        calls: u64,
        /// Calls that failed or returned a wrong result.
        errors: u64,
        /// Calls that a budget ended, where there is one.
        over_budget: Option<u64>,
        /// The mean of its calls, from an exact sum.
        latency_mean_us: Option<Nanos>,
        /// Its shortest call.
        latency_min_us: Option<Nanos>,
        /// Half of its calls took at most this long.
        latency_p50_us: Option<Nanos>,
        /// 99 of a hundred of its calls took at most this long.
        latency_p99_us: Option<Nanos>,
        /// Its longest call.
        latency_max_us: Option<Nanos>,
    }
    /// A worker of a pool, after the ramp.
    Worker<'a> = "worker" {
        /// The workload.
        workload: Word<'a>,
        /// The slot that it ran on.
        slot: u32,
        /// Calls it made.
        calls: u32,
        /// The most bytes of the slot's stack that were ever used, where the machine can tell.
        stack_used_bytes: Option<Bytes>,
    }
    /// The messages of a ramp whose guests sent any.
    Mail<'a> = "mail" {
        /// The workload.
        workload: Word<'a>,
        /// Bytes of each instance's queue, in the arena.
        queue_bytes: Bytes,
        /// The most bytes that any queue held.
        queue_most_bytes: Bytes,
        /// Messages that were sent.
        sent: u64,
        /// Messages sent, in a second of the time from the first one to the last one.
        sent_per_second: u64,
        /// Calls of `send` that found the queue full: nothing was sent.
        full: u64,
        /// Messages that were received.
        received: u64,
        /// Messages that were left in a queue when its instance or the ramp ended.
        unread: u64,
        /// Messages that are neither. 0 is right.
        dropped: i64,
        /// From `send` to `receive`: half of the messages took at most this long.
        delivery_p50_us: Option<Nanos>,
        /// 99 of a hundred took at most this long.
        delivery_p99_us: Option<Nanos>,
        /// The longest.
        delivery_max_us: Option<Nanos>,
    }
    /// What the first instance of a guest with a host gave back: values that nobody has a reference
    /// for, such as a benchmark's score.
    Answer<'a> = "answer" {
        /// The workload.
        workload: Word<'a>,
        /// The result of its first call: an i32, or the bits of an f32. 64 bits are folded to 32.
        first: i64,
        /// The result of its last call.
        last: i64,
    }
    /// The end of a workload's ramp.
    End<'a> = "end" {
        /// The workload.
        workload: Word<'a>,
        /// The most instances that ran together.
        peak: u32,
        /// What stopped the next one.
        limit: Limit,
        /// The peak that was predicted after the first instance.
        predicted_peak: Option<u32>,
        /// The limit that was predicted after the first instance.
        predicted_limit: Option<Limit>,
        /// Arena bytes of one instance.
        cost_bytes: Option<Bytes>,
        /// Arena bytes free after everything was given back. Absent where a thread that does not
        /// return prevents that.
        arena_free_bytes: Option<Bytes>,
        /// Arena bytes that did not come back. 0 is right. Absent where `arena_free_bytes` is.
        leaked_bytes: Option<i64>,
        /// Bytes that the arena could not serve and that an engine got from elsewhere, where
        /// there were any. With them the run ended in a clean error. Without them the engine
        /// would have ended the program.
        overdraft_bytes: Overdraft,
        /// Calls of all instances.
        calls: u64,
        /// Calls that failed or returned a wrong result.
        errors: u64,
        /// Calls that the instruction budget ended, where there is a budget.
        over_budget: Option<u64>,
        /// The most bytes that any slot's stack ever held, where the machine can tell.
        stack_used_bytes: Option<Bytes>,
        /// Jain's index over the calls that were made while all instances ran together. In a pool or
        /// a park over those of a sample.
        fairness: Option<Ratio>,
        /// The kind of failure that ended it, where one did.
        error: Option<Word<'a>>,
        /// The engine's words for it.
        message: Option<Text<'a>>,
    }
    /// A run or a workload that cannot go on, and the knob to turn.
    Fault<'a> = "fault" {
        /// The workload, where the fault is one workload's.
        workload: Option<Word<'a>>,
        /// The kind of failure.
        error: Word<'a>,
        /// The knob to turn, where there is one: a Kconfig symbol or a command's option.
        knob: Option<Word<'a>>,
        /// The fault in words.
        message: Text<'a>,
    }
    /// What a geometry that did not run would come to. `wramp plan` prints it, and no run does.
    Plan<'a> = "plan" {
        /// The workload.
        workload: Word<'a>,
        /// Predicted peak.
        peak: u32,
        /// Predicted limit.
        limit: Limit,
        /// `threads`, `pool` or `cooperative`.
        mode: Word<'a>,
        /// The arena it is for.
        arena_bytes: Bytes,
        /// The slots it is for.
        slots: u32,
        /// Bytes of one slot's stack.
        slot_stack_bytes: Bytes,
        /// Bytes of one interpreter stack.
        wasm_stack_bytes: Bytes,
        /// Arena bytes that one more instance would take.
        cost_bytes: Bytes,
        /// Arena bytes that it would need while it starts.
        need_bytes: Bytes,
    }
    /// The last record: how the run ended.
    Done = "done" {
        /// Workloads that ended.
        workloads: u32,
        /// Calls of all of them that failed or returned a wrong result.
        errors: u64,
        /// Workloads, or whole runs, that could not go on.
        faults: Option<u32>,
        /// The exit status: 0 right; 1 wrong results, failed calls or leaks; 2 wrong input or
        /// geometry.
        exit: u32,
    }
}

/// Passes text on and keeps its CRC.
struct Summing<'o> {
    out: &'o mut dyn fmt::Write,
    crc: u16,
}

impl fmt::Write for Summing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.crc = text.bytes().fold(self.crc, crc16);
        self.out.write_str(text)
    }
}

/// The kinds of records that a writer makes.
///
/// A device's image is small, and a build knows which records it never makes. It writes its
/// records through [`Only`], and the compiler leaves out the code of the other kinds.
pub trait Kinds {
    /// Whether the writer makes records of that kind.
    fn has(kind: RecordKind) -> bool;
}

/// Every kind.
struct AllKinds;

impl Kinds for AllKinds {
    #[inline]
    fn has(_: RecordKind) -> bool {
        true
    }
}

/// A record of a writer that makes only the kinds `K`.
pub struct Only<'r, K>(&'r Record<'r>, PhantomData<K>);

impl<'r, K: Kinds> Only<'r, K> {
    /// The record, which MUST be of one of the kinds: no other is written.
    #[must_use]
    pub fn new(record: &'r Record<'r>) -> Self {
        Self(record, PhantomData)
    }
}

impl<K: Kinds> fmt::Display for Only<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Summing { out: f, crc: CRC_START };
        self.0.write::<K>(&mut line)?;
        let crc = line.crc;
        write!(f, " crc={crc:04x}")
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Only::<AllKinds>(self, PhantomData).fmt(f)
    }
}

impl<'a> Record<'a> {
    /// Reads one line. `Ok(None)` if it holds no record of ours but somebody else's text.
    ///
    /// The parser skips what stands before the record (a log's time stamp, half a boot
    /// message), and white space and escape sequences behind it. Anything else behind it makes
    /// the record garbled. If a line holds several records, this returns the last one. See
    /// [`locate_all`](Self::locate_all) for the others.
    ///
    /// # Errors
    /// See [`ParseError`]. It never panics, whatever the line.
    pub fn parse(line: &'a str) -> Result<Option<Self>, ParseError<'a>> {
        Ok(Self::locate(line)?.map(|(record, _)| record))
    }

    /// Does the same as [`parse`](Self::parse) and also gives the record's own text, from its
    /// prefix to its CRC.
    ///
    /// # Errors
    /// The same as [`parse`](Self::parse).
    pub fn locate(line: &'a str) -> Result<Option<(Self, &'a str)>, ParseError<'a>> {
        Self::locate_all(line).last().transpose()
    }

    /// Every record of a line, with its own text.
    ///
    /// A line should hold one record. But a UART that loses a line end joins two lines, and a
    /// reset cuts a record short and the next one follows it. Each record has its own CRC, so a
    /// whole record is read and a broken one is an error.
    pub fn locate_all(line: &'a str) -> Located<'a> {
        Located { rest: without_tail(line), begun: false }
    }

    /// Reads the text of one record, up to the next record or the end of the line, without its
    /// tail. `Ok(None)` if it is prose that contains our name.
    fn read_sealed(record: &'a str) -> Result<Option<(Self, &'a str)>, ParseError<'a>> {
        let sealed = record.len().checked_sub(CRC_CHARS).and_then(|at| {
            let (body, tail) = record.split_at_checked(at)?;
            Some((body, tail.strip_prefix(" crc=")?))
        });
        let Some((body, crc)) = sealed else {
            return if record.contains('=') { Err(ParseError::Garbled) } else { Ok(None) };
        };
        let sum = crc16_of(body.as_bytes());
        // `from_str_radix` accepts a plus sign and capitals. The encoder writes neither.
        let spelt = crc.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !spelt || u16::from_str_radix(crc, 16) != Ok(sum) {
            return Err(ParseError::Garbled);
        }
        // The encoder writes printable ASCII and nothing else. What has another byte was written
        // by somebody who knows how to sum, and could steer the terminal of whoever prints it.
        if !body.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(ParseError::Garbled);
        }
        let rest = body.get(PREFIX.len()..).ok_or(ParseError::Garbled)?;
        let (kind, words) = rest.split_once(' ').unwrap_or((rest, ""));
        let words = Words { ahead: words };
        if kind == "run"
            && let Some(format) = words.clone().take("format").and_then(|text| text.parse().ok())
            && format > FORMAT_VERSION
        {
            return Err(ParseError::Newer { format });
        }
        Self::read(kind, words).map(|read| Some((read, record)))
    }
}

/// The records of a line, in order. See [`Record::locate_all`].
#[derive(Clone, Debug)]
pub struct Located<'a> {
    rest: &'a str,
    /// Whether the line already had a record.
    begun: bool,
}

/// Where a record begins in the text: at our name, if a kind follows. A value may also end in
/// our name ("board=wramp os=..."), but then a key follows.
fn begin_of(text: &str) -> Option<usize> {
    let has_kind = |at: &usize| {
        let mut word = text.as_bytes()[at + PREFIX.len()..].iter().take_while(|&&b| b != b' ');
        !word.any(|&byte| byte == b'=')
    };
    names_in(text).find(has_kind)
}

/// The places of our name. It searches for the first letter, because a search for the whole
/// name costs more than all the rest.
fn names_in(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices('w').map(|(at, _)| at).filter(|&at| text[at..].starts_with(PREFIX))
}

impl<'a> Iterator for Located<'a> {
    type Item = Result<(Record<'a>, &'a str), ParseError<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(begin) = begin_of(self.rest) else {
                // Our name with keys but without a kind is the rest of a broken record.
                let rest = core::mem::take(&mut self.rest);
                let name = names_in(rest).next()?;
                return rest[name..].contains('=').then_some(Err(ParseError::Garbled));
            };
            // The line's own tail is already cut off.
            let (text, rest) = match (&self.rest[begin..], begin_of(&self.rest[begin + 1..])) {
                (text, None) => (text, ""),
                (text, Some(next)) => (without_tail(&text[..=next]), &text[next + 1..]),
            };
            self.rest = rest;
            match Record::read_sealed(text) {
                // Prose may contain our name. Behind a record, it is a record that was cut
                // short.
                Ok(None) if self.begun => return Some(Err(ParseError::Garbled)),
                Ok(None) => {}
                Ok(Some(found)) => {
                    self.begun = true;
                    return Some(Ok(found));
                }
                Err(error) => {
                    self.begun = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
