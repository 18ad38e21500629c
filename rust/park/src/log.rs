//! A log of parked records in flash: what was parked survives a reset.
//!
//! Nothing is written over. A record goes behind the last one, and the latest of an instance
//! counts. The flash is a ring of pages. When the pages run out, what still counts of the oldest
//! one is copied into a new one, and then the oldest one is free.
//!
//! ```text
//! page   | magic, tag, counter, CRC | copies of the oldest | oldest that counts | records ... |
//! entry  | instance | length | bytes | CRC |
//! ```
//!
//! **A cut of the power, at any byte, loses at most the record that was being written.**
//!
//! - A record counts when its CRC is there. One that was cut ends its page: the log goes on in
//!   the next one.
//! - A page counts when the entry is there that says which page is the oldest. It comes behind
//!   the copies. Before that the page is as if it were blank, and the oldest one still counts.
//! - A page is erased only before it is used again. Then nothing in it has counted for long.
//!
//! **Bytes.** An entry takes 12 bytes beside its record, rounded up to what the flash can write.
//! It lies within one page. The log needs 4 bytes of RAM an instance, which the caller lends, to
//! know where the latest record is.
//!
//! **Wear.** Pages are used in turn, so all wear alike. If a share `u` of the ring counts, each
//! byte that is written moves `u / (1 - u)` others.

use embedded_storage::nor_flash::NorFlash;

use crate::Source;

/// The first word of a page: `wmp1`.
const MAGIC: u32 = u32::from_le_bytes(*b"wmp1");
/// Bytes of a page's header, before it is rounded up.
const HEADER: usize = 16;
/// Bytes of an entry beside its record: instance, length, CRC.
const BESIDE: usize = 12;
/// The instance of the entry that says which page is the oldest.
const OLDEST: u32 = u32::MAX - 1;
/// Stands for no record.
const NONE: u32 = u32::MAX;
/// Bytes that are read and written at a time.
const CHUNK: usize = 64;
/// What erased flash reads as.
const ERASED: u8 = 0xFF;

/// Why a log cannot be opened, read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogError<E> {
    /// The flash says so. The log has to be opened again.
    Flash(E),
    /// Pages of that many bytes do not fit this flash.
    Geometry,
    /// The flash holds something else.
    Foreign,
    /// The log is one of another module, whose tag is this.
    OtherModule(u32),
    /// The log has an instance of this number, for which there is no place.
    TooMany(u32),
    /// A record of that many bytes is longer than a page holds.
    TooLong(usize),
    /// All pages are full of records that count.
    Full,
    /// There is no record of that instance, or not so much of it.
    Unknown,
    /// The record's source is shorter than its length.
    Short,
}

impl<E: core::fmt::Debug> core::fmt::Display for LogError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the store cannot be read or written: {error:?}"),
            Self::Geometry => f.write_str("the store has fewer than two pages"),
            Self::Foreign => f.write_str("the store holds something else"),
            Self::OtherModule(_) => f.write_str("the store holds states of another module"),
            Self::TooMany(id) => write!(f, "the store has no place for instance {id}"),
            Self::TooLong(bytes) => write!(f, "a state of {bytes} bytes is too long for the store"),
            Self::Full => f.write_str("the store is full of states that count"),
            Self::Unknown | Self::Short => f.write_str("the store lacks a part of a state"),
        }
    }
}

impl<E> From<E> for LogError<E> {
    fn from(error: E) -> Self {
        Self::Flash(error)
    }
}

type Result<T, F> =
    core::result::Result<T, LogError<<F as embedded_storage::nor_flash::ErrorType>::Error>>;

/// A log of records in flash.
#[derive(Debug)]
pub struct Log<I, F> {
    flash: F,
    tag: u32,
    page_bytes: u32,
    pages: u32,
    /// Where the latest entry of each instance begins.
    index: I,
    /// The counters of the oldest page that counts and of the one that is written. A page lies
    /// at its counter modulo the number of pages.
    oldest: u32,
    newest: u32,
    /// Where the next entry begins.
    at: u32,
    erases: u32,
}

/// An entry, where it was found.
struct Entry {
    at: u32,
    instance: u32,
    length: u32,
}

impl<I: AsRef<[u32]> + AsMut<[u32]>, F: NorFlash> Log<I, F> {
    /// What an entry begins and ends at a multiple of.
    const ALIGN: u32 =
        if F::WRITE_SIZE > F::READ_SIZE { F::WRITE_SIZE as u32 } else { F::READ_SIZE as u32 };

    /// Opens the log that the flash holds, or begins one where the flash is erased. Afterwards
    /// `index` says of each instance where its record is.
    ///
    /// `tag` stands for the module: records of another one must not be revived. A page takes
    /// `page_bytes`, a multiple of what the flash erases at a time and of 64. It has to hold the
    /// longest record, and two of them at least are needed.
    ///
    /// # Errors
    /// `Geometry`, `Foreign`, `OtherModule` and `TooMany`, before anything is written; what the
    /// flash says.
    pub fn open(flash: F, page_bytes: u32, tag: u32, mut index: I) -> Result<Self, F> {
        let pages = u32::try_from(flash.capacity()).unwrap_or(u32::MAX) / page_bytes.max(1);
        let align = Self::ALIGN as usize;
        let fits = page_bytes as usize >= 4 * CHUNK
            && (page_bytes as usize).is_multiple_of(F::ERASE_SIZE)
            && (page_bytes as usize).is_multiple_of(CHUNK)
            && CHUNK.is_multiple_of(align)
            && pages >= 2;
        if !fits {
            return Err(LogError::Geometry);
        }
        index.as_mut().fill(NONE);
        let mut log =
            Self { flash, tag, page_bytes, pages, index, oldest: 1, newest: 0, at: 0, erases: 0 };
        log.find_pages()?;
        if log.newest == 0 {
            log.check_erased()?;
            log.begin_page()?;
        } else {
            log.read_pages()?;
        }
        Ok(log)
    }

    /// The bytes of the longest record.
    #[must_use]
    pub const fn longest(&self) -> usize {
        let (header, oldest) = (Self::round(HEADER), Self::round(BESIDE + size_of::<u32>()));
        (self.page_bytes - header - oldest) as usize - BESIDE
    }

    /// Bytes of an instance's record. `None` if there is none.
    ///
    /// # Errors
    /// What the flash says.
    pub fn length(&mut self, instance: u32) -> Result<Option<usize>, F> {
        let Some(at) = self.place(instance) else { return Ok(None) };
        let [_, length] = self.words(at)?;
        Ok(Some(length as usize))
    }

    /// Reads some bytes of an instance's record, from that offset on.
    ///
    /// # Errors
    /// `Unknown`, or what the flash says.
    pub fn read(&mut self, instance: u32, offset: usize, into: &mut [u8]) -> Result<(), F> {
        let at = self.place(instance).ok_or(LogError::Unknown)?;
        let [_, length] = self.words(at)?;
        match offset.checked_add(into.len()) {
            Some(end) if end <= length as usize => self.bytes(at + 8 + offset as u32, into),
            _ => Err(LogError::Unknown),
        }
    }

    /// Writes an instance's record: `head`, and then `length` bytes of `body`. When this returns,
    /// the record survives a reset, and the one before does not count any more.
    ///
    /// # Errors
    /// `TooMany`, `TooLong`, `Full` or `Short`: the record before still counts. What the flash
    /// says: it counts if the log is opened again.
    pub fn append(
        &mut self,
        instance: u32,
        head: &[u8],
        body: &mut dyn Source,
        length: usize,
    ) -> Result<(), F> {
        let bytes = head.len() + length;
        if instance as usize >= self.index.as_ref().len() {
            return Err(LogError::TooMany(instance));
        }
        if bytes > self.longest() {
            return Err(LogError::TooLong(bytes));
        }
        let room = Self::round(BESIDE + bytes);
        let mut turned = 0;
        while self.at + room > self.end_of(self.newest) {
            // Each page was looked at once: nothing in the ring is of no use.
            if turned > self.pages {
                return Err(LogError::Full);
            }
            self.begin_page()?;
            turned += 1;
        }
        let at = self.at;
        self.write(instance, head, body, length)?;
        self.index.as_mut()[instance as usize] = at;
        Ok(())
    }

    /// Whether there is a record of that instance.
    #[must_use]
    pub fn has(&self, instance: u32) -> bool {
        self.place(instance).is_some()
    }

    /// Pages that were erased since the log was opened.
    #[must_use]
    pub const fn erases(&self) -> u32 {
        self.erases
    }

    /// The flash, which holds the log.
    #[must_use]
    pub fn close(self) -> F {
        self.flash
    }

    const fn round(bytes: usize) -> u32 {
        (bytes as u32).next_multiple_of(Self::ALIGN)
    }

    const fn begin_of(&self, counter: u32) -> u32 {
        counter % self.pages * self.page_bytes
    }

    const fn end_of(&self, counter: u32) -> u32 {
        self.begin_of(counter) + self.page_bytes
    }

    fn place(&self, instance: u32) -> Option<u32> {
        self.index.as_ref().get(instance as usize).copied().filter(|&at| at != NONE)
    }

    /// Finds the newest page that counts, and the oldest.
    fn find_pages(&mut self) -> Result<(), F> {
        let mut other = None;
        for page in 0..self.pages {
            let begin = page * self.page_bytes;
            let mut header = [0; HEADER];
            self.bytes(begin, &mut header)?;
            let Some([magic, tag, counter]) = opened(&header) else { continue };
            if magic != MAGIC || counter % self.pages != page {
                continue;
            }
            if tag != self.tag {
                other = Some(tag);
                continue;
            }
            if counter > self.newest
                && let Some(oldest) = self.oldest_said_in(counter)?
            {
                (self.newest, self.oldest) = (counter, oldest);
            }
        }
        match other {
            Some(tag) if self.newest == 0 => Err(LogError::OtherModule(tag)),
            _ => Ok(()),
        }
    }

    /// What a page says of the oldest one, if it counts.
    fn oldest_said_in(&mut self, counter: u32) -> Result<Option<u32>, F> {
        let mut at = self.begin_of(counter) + Self::round(HEADER);
        while let Some(entry) = self.entry(at, self.end_of(counter))? {
            if entry.instance == OLDEST {
                let mut oldest = [0; 4];
                self.bytes(entry.at + 8, &mut oldest)?;
                let oldest = u32::from_le_bytes(oldest);
                let can_be = (1..=counter).contains(&oldest) && counter - oldest + 1 < self.pages;
                return Ok(can_be.then_some(oldest));
            }
            at += Self::round(BESIDE + entry.length as usize);
        }
        Ok(None)
    }

    /// Reads all pages that count, in their order.
    fn read_pages(&mut self) -> Result<(), F> {
        for counter in self.oldest..=self.newest {
            let end = self.end_of(counter);
            self.at = self.begin_of(counter) + Self::round(HEADER);
            while let Some(entry) = self.entry(self.at, end)? {
                self.at += Self::round(BESIDE + entry.length as usize);
                if entry.instance == OLDEST {
                    continue;
                }
                match self.index.as_mut().get_mut(entry.instance as usize) {
                    Some(place) => *place = entry.at,
                    None => return Err(LogError::TooMany(entry.instance)),
                }
            }
        }
        // Behind a record that was cut nothing can be written.
        let end = self.end_of(self.newest);
        if !self.is_erased(self.at, end)? {
            self.at = end;
        }
        Ok(())
    }

    /// Begins the next page, and copies into it what counts of the oldest one if no other page
    /// is free.
    fn begin_page(&mut self) -> Result<(), F> {
        let counter = self.newest + 1;
        let begin = self.begin_of(counter);
        self.flash.erase(begin, begin + self.page_bytes)?;
        self.erases += 1;
        let mut header = [0; HEADER];
        for (place, word) in header.as_chunks_mut().0.iter_mut().zip([MAGIC, self.tag, counter]) {
            *place = u32::to_le_bytes(word);
        }
        let sealed = HEADER - 4;
        let seal = !header[..sealed].iter().fold(NONE, |crc, &byte| crc32(crc, byte));
        header[sealed..].copy_from_slice(&seal.to_le_bytes());
        let mut pen = Pen::new(&mut self.flash, begin);
        pen.put(&header)?;
        self.at = pen.lift(Self::ALIGN)?;
        let mut oldest = self.oldest;
        if counter - oldest + 1 == self.pages {
            self.copy_page(oldest)?;
            oldest += 1;
        }
        self.write(OLDEST, &oldest.to_le_bytes(), &mut &[][..], 0)?;
        (self.newest, self.oldest) = (counter, oldest);
        Ok(())
    }

    /// Copies what counts of a page.
    fn copy_page(&mut self, counter: u32) -> Result<(), F> {
        let mut at = self.begin_of(counter) + Self::round(HEADER);
        while let Some(entry) = self.entry(at, self.end_of(counter))? {
            at += Self::round(BESIDE + entry.length as usize);
            if self.place(entry.instance) != Some(entry.at) {
                continue;
            }
            let to = self.at;
            let mut left = BESIDE + entry.length as usize;
            let mut from = entry.at;
            let mut pen = Pen::new(&mut self.flash, to);
            while left > 0 {
                let mut chunk = [0; CHUNK];
                let now = &mut chunk[..left.min(CHUNK)];
                read_window(pen.flash, from, now)?;
                pen.put(now)?;
                from += now.len() as u32;
                left -= now.len();
            }
            self.at = pen.lift(Self::ALIGN)?;
            self.index.as_mut()[entry.instance as usize] = to;
        }
        Ok(())
    }

    /// Writes an entry where the next one goes.
    fn write(
        &mut self,
        instance: u32,
        head: &[u8],
        body: &mut dyn Source,
        length: usize,
    ) -> Result<(), F> {
        let bytes = (head.len() + length) as u32;
        let mut pen = Pen::new(&mut self.flash, self.at);
        pen.put(&instance.to_le_bytes())?;
        pen.put(&bytes.to_le_bytes())?;
        pen.put(head)?;
        let mut left = length;
        while left > 0 {
            let mut chunk = [0; CHUNK];
            let now = &mut chunk[..left.min(CHUNK)];
            let there = body.peek(now);
            if there == 0 {
                break;
            }
            pen.put(&now[..there])?;
            body.advance(there);
            left -= there;
        }
        if left > 0 {
            // What was written has no CRC, and ends its page.
            self.at = self.end_of(self.newest);
            return Err(LogError::Short);
        }
        let seal = !pen.crc;
        pen.put(&seal.to_le_bytes())?;
        self.at = pen.lift(Self::ALIGN)?;
        Ok(())
    }

    /// The entry at an address, if a whole one is there.
    fn entry(&mut self, at: u32, end: u32) -> Result<Option<Entry>, F> {
        if end - at < BESIDE as u32 {
            return Ok(None);
        }
        let [instance, length] = self.words(at)?;
        if length > end - at - BESIDE as u32 {
            return Ok(None);
        }
        let (mut from, sealed) = (at, at + 8 + length);
        let mut crc = NONE;
        while from < sealed {
            let mut chunk = [0; CHUNK];
            let now = &mut chunk[..(sealed - from).min(CHUNK as u32) as usize];
            self.bytes(from, now)?;
            crc = now.iter().fold(crc, |crc, &byte| crc32(crc, byte));
            from += now.len() as u32;
        }
        let mut seal = [0; 4];
        self.bytes(sealed, &mut seal)?;
        let whole = u32::from_le_bytes(seal) == !crc;
        Ok(whole.then_some(Entry { at, instance, length }))
    }

    /// Refuses a flash that holds something else. A header that was cut is none.
    fn check_erased(&mut self) -> Result<(), F> {
        let first = self.begin_of(1);
        let behind = first + Self::round(HEADER);
        let all = self.pages * self.page_bytes;
        if self.is_erased(0, first)? && self.is_erased(behind, all)? {
            return Ok(());
        }
        // The very first page may have been begun, and cut behind its header.
        let mut header = [0; HEADER];
        self.bytes(first, &mut header)?;
        match opened(&header) {
            Some([MAGIC, tag, 1]) if tag == self.tag => Ok(()),
            _ => Err(LogError::Foreign),
        }
    }

    fn is_erased(&mut self, mut from: u32, to: u32) -> Result<bool, F> {
        while from < to {
            let mut chunk = [0; CHUNK];
            let now = &mut chunk[..(to - from).min(CHUNK as u32) as usize];
            self.bytes(from, now)?;
            if now.iter().any(|&byte| byte != ERASED) {
                return Ok(false);
            }
            from += now.len() as u32;
        }
        Ok(true)
    }

    fn words(&mut self, at: u32) -> Result<[u32; 2], F> {
        let mut bytes = [0; 8];
        self.bytes(at, &mut bytes)?;
        let [a, b, c, d, e, f, g, h] = bytes;
        Ok([[a, b, c, d], [e, f, g, h]].map(u32::from_le_bytes))
    }

    fn bytes(&mut self, at: u32, into: &mut [u8]) -> Result<(), F> {
        read_window(&mut self.flash, at, into)
    }
}

/// Reads any bytes of a flash, which reads multiples of its own.
fn read_window<F: NorFlash>(flash: &mut F, at: u32, into: &mut [u8]) -> Result<(), F> {
    let mut done = 0;
    while done < into.len() {
        let from = at + done as u32;
        let skip = from as usize % CHUNK;
        let mut window = [0; CHUNK];
        flash.read(from - skip as u32, &mut window)?;
        let now = (CHUNK - skip).min(into.len() - done);
        into[done..done + now].copy_from_slice(&window[skip..skip + now]);
        done += now;
    }
    Ok(())
}

/// Writes bytes one behind the other, in what the flash writes at a time.
struct Pen<'f, F> {
    flash: &'f mut F,
    at: u32,
    waiting: [u8; CHUNK],
    filled: usize,
    crc: u32,
}

impl<'f, F: NorFlash> Pen<'f, F> {
    const fn new(flash: &'f mut F, at: u32) -> Self {
        Self { flash, at, waiting: [ERASED; CHUNK], filled: 0, crc: NONE }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), F> {
        for &byte in bytes {
            self.crc = crc32(self.crc, byte);
            self.waiting[self.filled] = byte;
            self.filled += 1;
            if self.filled == CHUNK {
                self.flush(CHUNK)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, bytes: usize) -> Result<(), F> {
        self.flash.write(self.at, &self.waiting[..bytes])?;
        self.at += bytes as u32;
        self.waiting = [ERASED; CHUNK];
        self.filled = 0;
        Ok(())
    }

    /// Writes what is left, and says where the next entry begins.
    fn lift(mut self, align: u32) -> Result<u32, F> {
        let rest = self.filled.next_multiple_of(align as usize);
        if rest > 0 {
            self.flush(rest)?;
        }
        Ok(self.at)
    }
}

/// A number that stands for a module, of its bytes and of what else tells its states from others'.
#[must_use]
pub fn tag(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    !bytes.fold(NONE, |crc, &byte| crc32(crc, byte))
}

/// The words of a header, if its CRC is right.
fn opened(header: &[u8; HEADER]) -> Option<[u32; 3]> {
    let words: [u32; 4] = {
        let chunks = header.as_chunks().0;
        core::array::from_fn(|number| u32::from_le_bytes(chunks[number]))
    };
    let crc = !header[..HEADER - 4].iter().fold(NONE, |crc, &byte| crc32(crc, byte));
    let [magic, tag, counter, seal] = words;
    (seal == crc && counter > 0).then_some([magic, tag, counter])
}

/// One byte more of the CRC-32 of Ethernet (IEEE 802.3), reflected: four bits at a time.
fn crc32(crc: u32, byte: u8) -> u32 {
    let crc = crc ^ u32::from(byte);
    let crc = crc >> 4 ^ NIBBLES[(crc & 0xF) as usize];
    crc >> 4 ^ NIBBLES[(crc & 0xF) as usize]
}

/// The CRC of each four bits.
const NIBBLES: [u32; 16] = {
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let (mut crc, mut bit) = (nibble as u32, 0);
        while bit < 4 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xEDB8_8320 };
            bit += 1;
        }
        table[nibble] = crc;
        nibble += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_ethernet() {
        let crc = !b"123456789".iter().fold(NONE, |crc, &byte| crc32(crc, byte));
        assert_eq!(crc, 0xCBF4_3926);
    }
}
