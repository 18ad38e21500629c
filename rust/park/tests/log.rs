//! The log of parked records: a cut of the power at any byte loses at most the record that was
//! being written.

use std::collections::BTreeMap;

use wramp_park::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use wramp_park::{Log, LogError};

const TAG: u32 = 0x1234_5678;
const PAGE: u32 = 512;

/// How a cut erase leaves a page.
#[derive(Clone, Copy, Debug)]
enum Torn {
    FromTheBegin,
    FromTheEnd,
    Noise,
}

/// A flash whose power fails after so many bytes. It writes only ones to zeros, and refuses to
/// write a word twice between two erases.
#[derive(Clone)]
struct Model<const WRITE: usize> {
    bytes: Vec<u8>,
    written: Vec<bool>,
    left: Option<usize>,
    torn: Torn,
    moved: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Off,
    Geometry(NorFlashErrorKind),
    Twice(usize),
}

impl From<NorFlashErrorKind> for Fault {
    fn from(kind: NorFlashErrorKind) -> Self {
        Self::Geometry(kind)
    }
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl<const WRITE: usize> Model<WRITE> {
    fn new(pages: usize) -> Self {
        let bytes = pages * PAGE as usize;
        Self {
            bytes: vec![0xFF; bytes],
            written: vec![false; bytes],
            left: None,
            torn: Torn::FromTheBegin,
            moved: 0,
        }
    }

    /// The same flash, after the power came back.
    fn on(mut self) -> Self {
        self.left = None;
        self
    }

    fn spend(&mut self) -> Result<(), Fault> {
        self.moved += 1;
        match &mut self.left {
            Some(0) => Err(Fault::Off),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl<const WRITE: usize> ErrorType for Model<WRITE> {
    type Error = Fault;
}

impl<const WRITE: usize> ReadNorFlash for Model<WRITE> {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        if self.left == Some(0) {
            return Err(Fault::Off);
        }
        check_read(self, offset, bytes.len())?;
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize> NorFlash for Model<WRITE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = 256;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        check_erase(self, from, to)?;
        let (from, to) = (from as usize, to as usize);
        for step in 0..to - from {
            let at = match self.torn {
                Torn::FromTheEnd => to - 1 - step,
                Torn::FromTheBegin | Torn::Noise => from + step,
            };
            if let Err(fault) = self.spend() {
                if matches!(self.torn, Torn::Noise) {
                    // Cells that are half erased read as anything.
                    for at in from..to {
                        self.bytes[at] |= (at as u8).wrapping_mul(0x6D) ^ step as u8;
                    }
                }
                return Err(fault);
            }
            self.bytes[at] = 0xFF;
            self.written[at] = false;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        check_write(self, offset, bytes.len())?;
        let places = offset as usize..offset as usize + bytes.len();
        if let Some(at) = places.clone().find(|&at| self.written[at]) {
            return Err(Fault::Twice(at));
        }
        for (at, byte) in places.zip(bytes) {
            self.spend()?;
            self.bytes[at] &= byte;
            self.written[at] = true;
        }
        Ok(())
    }
}

/// What instance `id` parks for the `turn`th time: any length, any bytes, erased ones too.
fn record(id: u32, turn: u32) -> Vec<u8> {
    let mut seed = id.wrapping_mul(0x9E37_79B9) ^ turn.wrapping_mul(0x85EB_CA6B) | 1;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed
    };
    let length = next() % 90;
    (0..length).map(|_| if next() % 5 == 0 { 0xFF } else { next() as u8 }).collect()
}

fn append<const N: usize, const WRITE: usize>(
    log: &mut Log<&mut [u32; N], Model<WRITE>>,
    id: u32,
    bytes: &[u8],
) -> Result<(), LogError<Fault>> {
    let (head, mut body) = bytes.split_at(bytes.len().min(4));
    let length = body.len();
    log.append(id, head, &mut body, length)
}

fn read<const N: usize, const WRITE: usize>(
    log: &mut Log<&mut [u32; N], Model<WRITE>>,
    id: u32,
) -> Option<Vec<u8>> {
    let mut bytes = vec![0; log.length(id).unwrap()?];
    log.read(id, 0, &mut bytes).unwrap();
    Some(bytes)
}

/// Parks 6 instances in turn, and irregularly, until the power fails. Returns what each had
/// parked, and what was being parked.
fn live<const WRITE: usize>(
    flash: &mut Model<WRITE>,
    turns: std::ops::Range<u32>,
    kept: &mut BTreeMap<u32, Vec<u8>>,
) -> Option<(u32, Vec<u8>)> {
    let mut index = [0; 6];
    let mut log = match Log::open(flash.clone(), PAGE, TAG, &mut index) {
        Ok(log) => log,
        Err(error) => panic!("{error:?}"),
    };
    for turn in turns {
        let id = if turn % 7 == 0 { 5 } else { turn % 5 };
        let bytes = record(id, turn);
        match append(&mut log, id, &bytes) {
            Ok(()) => kept.insert(id, bytes),
            Err(LogError::Flash(Fault::Off)) => {
                *flash = log.close();
                return Some((id, bytes));
            }
            Err(error) => panic!("{error:?}"),
        };
    }
    *flash = log.close();
    None
}

fn check<const WRITE: usize>(
    flash: Model<WRITE>,
    kept: &BTreeMap<u32, Vec<u8>>,
    cut: Option<&(u32, Vec<u8>)>,
) -> BTreeMap<u32, Vec<u8>> {
    let mut index = [0; 6];
    let mut log = Log::open(flash, PAGE, TAG, &mut index).unwrap();
    let mut now = kept.clone();
    for id in 0..6 {
        let found = read(&mut log, id);
        if found.as_ref() == kept.get(&id) {
            continue;
        }
        // The record that was being written may be there.
        let (cut_id, bytes) = cut.unwrap_or_else(|| panic!("instance {id}: {found:?}"));
        assert_eq!((id, found.as_ref()), (*cut_id, Some(bytes)));
        now.insert(id, bytes.clone());
    }
    now
}

/// Cuts the power at each byte that a life writes or erases; then twice in a row.
fn survives<const WRITE: usize>(pages: usize) {
    let mut whole = Model::<WRITE>::new(pages);
    let mut kept = BTreeMap::new();
    assert!(live(&mut whole, 0..30, &mut kept).is_none());
    check(whole.clone(), &kept, None);
    let (all, mut turned) = (whole.moved, 0);
    for left in 0..all {
        let torn = [Torn::FromTheBegin, Torn::FromTheEnd, Torn::Noise][left % 3];
        let mut flash = Model::<WRITE> { left: Some(left), torn, ..Model::new(pages) };
        let mut kept = BTreeMap::new();
        let Some(cut) = begin(&mut flash, 0..30, &mut kept) else { panic!("{left} of {all}") };
        let mut kept = check(flash.clone().on(), &kept, cut.as_ref());
        // It goes on, and fails again a little later: in the middle of a recovery, too.
        let mut flash = Model { left: Some(left * 7 % 1000), ..flash };
        if let Some(cut) = begin(&mut flash, 30..45, &mut kept) {
            kept = check(flash.clone().on(), &kept, cut.as_ref());
            turned += 1;
        }
        let mut flash = flash.on();
        assert!(live(&mut flash, 45..60, &mut kept).is_none());
        check(flash, &kept, None);
    }
    assert!(turned > all / 4, "{turned} of {all}");
}

/// As `live`, where the power may fail before the log is open. `Some(None)` then.
fn begin<const WRITE: usize>(
    flash: &mut Model<WRITE>,
    turns: std::ops::Range<u32>,
    kept: &mut BTreeMap<u32, Vec<u8>>,
) -> Option<Option<(u32, Vec<u8>)>> {
    // An open that is cut leaves the flash in the hands of nobody: it is tried on a copy first,
    // which shows where it ends.
    let mut index = [0; 6];
    let trial = Shared(std::rc::Rc::new(std::cell::RefCell::new(flash.clone())));
    match Log::open(trial.clone(), PAGE, TAG, &mut index) {
        Ok(_) => live(flash, turns, kept).map(Some),
        Err(LogError::Flash(Fault::Off)) => {
            *flash = trial.0.borrow().clone();
            Some(None)
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// A flash of which a clone is the same flash.
#[derive(Clone)]
struct Shared<const WRITE: usize>(std::rc::Rc<std::cell::RefCell<Model<WRITE>>>);

impl<const WRITE: usize> ErrorType for Shared<WRITE> {
    type Error = Fault;
}

impl<const WRITE: usize> ReadNorFlash for Shared<WRITE> {
    const READ_SIZE: usize = Model::<WRITE>::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        self.0.borrow_mut().read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.borrow().capacity()
    }
}

impl<const WRITE: usize> NorFlash for Shared<WRITE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = Model::<WRITE>::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        self.0.borrow_mut().erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        self.0.borrow_mut().write(offset, bytes)
    }
}

#[test]
fn a_cut_at_any_byte_loses_at_most_the_record_that_was_written() {
    survives::<4>(4);
}

#[test]
fn so_does_a_ring_of_three_pages_that_writes_16_bytes_at_a_time() {
    survives::<16>(3);
}

#[test]
fn a_flash_of_something_else_is_left_alone() {
    let mut flash = Model::<4>::new(3);
    flash.bytes[700..720].copy_from_slice(b"somebody else's data");
    let mut index = [0; 4];
    let before = flash.bytes.clone();
    let shared = Shared(std::rc::Rc::new(std::cell::RefCell::new(flash)));
    let opened = Log::open(shared.clone(), PAGE, TAG, &mut index);
    assert_eq!(opened.err(), Some(LogError::Foreign));
    assert_eq!(shared.0.borrow().bytes, before);
}

#[test]
fn the_log_of_another_module_and_of_more_instances_is_refused() {
    let mut index = [0; 4];
    let mut log = Log::open(Model::<4>::new(3), PAGE, TAG, &mut index).unwrap();
    append(&mut log, 3, b"state").unwrap();
    assert_eq!(append(&mut log, 4, b"state"), Err(LogError::TooMany(4)));
    let flash = log.close();
    let opened = Log::open(flash.clone(), PAGE, TAG + 1, &mut index);
    assert_eq!(opened.err(), Some(LogError::OtherModule(TAG)));
    let mut few = [0; 3];
    let opened = Log::open(flash.clone(), PAGE, TAG, &mut few);
    assert_eq!(opened.err(), Some(LogError::TooMany(3)));
    assert_eq!(read(&mut Log::open(flash, PAGE, TAG, &mut index).unwrap(), 3).unwrap(), b"state");
}

#[test]
fn a_geometry_that_does_not_fit_is_refused() {
    let mut index = [0; 4];
    for page in [0, 100, 128, 320, 1 << 20] {
        let opened = Log::open(Model::<4>::new(3), page, TAG, &mut index);
        assert_eq!(opened.err(), Some(LogError::Geometry), "{page}");
    }
    assert!(Log::open(Model::<128>::new(3), PAGE, TAG, &mut index).is_err());
}

#[test]
fn a_full_log_says_so_and_keeps_what_it_has() {
    let mut index = [0; 40];
    let mut log = Log::open(Model::<4>::new(3), PAGE, TAG, &mut index).unwrap();
    assert_eq!(append(&mut log, 0, &[7; 600]), Err(LogError::TooLong(600)));
    let fitted = (0..40).take_while(|&id| append(&mut log, id, &[id as u8; 60]).is_ok()).count();
    // Two pages of 512, of which each holds 6 entries of 72 bytes.
    assert_eq!(fitted, 12);
    assert_eq!(append(&mut log, 39, &[9; 60]), Err(LogError::Full));
    for id in 0..fitted as u32 {
        assert_eq!(read(&mut log, id), Some(vec![id as u8; 60]));
    }
    let flash = log.close();
    let mut log = Log::open(flash, PAGE, TAG, &mut index).unwrap();
    for id in 0..fitted as u32 {
        assert_eq!(read(&mut log, id), Some(vec![id as u8; 60]));
    }
    // A record of no more bytes than are free goes on fitting.
    assert_eq!(append(&mut log, 0, &[]), Ok(()));
}

#[test]
fn pages_are_used_in_turn() {
    let mut index = [0; 2];
    let mut log = Log::open(Model::<4>::new(4), PAGE, TAG, &mut index).unwrap();
    for turn in 0..1000 {
        append(&mut log, turn % 2, &[turn as u8; 40]).unwrap();
    }
    // 8 entries of 52 bytes fit into what a page has beside its header and the copies.
    let pages = log.erases();
    assert!((1000 / 9..=1000 / 6).contains(&pages), "{pages}");
}
