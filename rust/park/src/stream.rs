//! Bytes on their way into a store, and out of one.

use wramp_core::state::{Refused, Sink, Source};

/// Writes a record into memory of a fixed size.
#[derive(Debug)]
pub struct Buffer<'b> {
    bytes: &'b mut [u8],
    length: usize,
}

impl<'b> Buffer<'b> {
    /// An empty record in that memory.
    #[must_use]
    pub const fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, length: 0 }
    }

    /// What was put so far.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Sink for Buffer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let room = &mut self.bytes[self.length..];
        room.get_mut(..bytes.len()).ok_or(Refused::Full)?.copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(())
    }
}

/// Counts the bytes of a record and keeps none: how long would it be?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// A parked record, wherever its store keeps it: in one piece, or in a chain of cells.
#[derive(Clone, Copy, Debug)]
pub struct Record<'r> {
    /// The next bytes.
    piece: &'r [u8],
    /// Bytes behind `piece`, and the store's region in which they lie.
    behind: usize,
    chain: Chain<'r>,
}

/// The cells of a region, numbered from its end, each with the number of the next one in front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'r> {
    pub(crate) region: &'r [u8],
    pub(crate) cell_bytes: usize,
    pub(crate) next: u16,
}

impl<'r> Chain<'r> {
    /// Goes on to the next cell: what it holds. A link that leads out of the region ends it.
    fn follow(&mut self) -> &'r [u8] {
        let from_end = (usize::from(self.next) + 1) * self.cell_bytes;
        let begin = self.region.len().checked_sub(from_end);
        let cell = begin.and_then(|begin| self.region[begin..].get(..self.cell_bytes));
        let Some((link, bytes)) = cell.and_then(<[u8]>::split_first_chunk) else { return &[] };
        self.next = u16::from_le_bytes(*link);
        bytes
    }
}

impl<'r> Record<'r> {
    /// A record in one piece.
    pub(crate) const fn whole(bytes: &'r [u8]) -> Self {
        let chain = Chain { region: &[], cell_bytes: 0, next: 0 };
        Self { piece: bytes, behind: 0, chain }
    }

    /// A record in a chain of cells.
    pub(crate) const fn chained(chain: Chain<'r>, length: usize) -> Self {
        Self { piece: &[], behind: length, chain }
    }

    /// Bytes from here to its end.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.piece.len() + self.behind
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next cell becomes the piece. False at the end, or where the chain is broken.
    fn turn(&mut self) -> bool {
        let bytes = if self.behind == 0 { &[] } else { self.chain.follow() };
        self.piece = &bytes[..bytes.len().min(self.behind)];
        self.behind = if self.piece.is_empty() { 0 } else { self.behind - self.piece.len() };
        !self.piece.is_empty()
    }
}

impl Source for Record<'_> {
    fn peek(&self, into: &mut [u8]) -> usize {
        let mut at = *self;
        let mut copied = at.piece.peek(into);
        while copied < into.len() && at.turn() {
            copied += at.piece.peek(&mut into[copied..]);
        }
        copied
    }

    fn advance(&mut self, mut bytes: usize) {
        while bytes >= self.piece.len() {
            bytes -= self.piece.len();
            if !self.turn() {
                return;
            }
        }
        self.piece.advance(bytes);
    }
}
