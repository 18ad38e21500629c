//! Parked states in a file, which stands for a flash: they survive the end of the program.
//!
//! The end of this program at any moment loses at most the state that was being written. The
//! end of this computer may lose more: the system writes files when it likes.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wramp_core::runtime::{Error, ErrorKind};
use wramp_core::state::Source;
use wramp_park::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use wramp_park::{Log, LogError};

/// Bytes that the flash erases at a time.
const SECTOR: usize = 4096;
/// The file is a ring of at most that many pages.
const PAGES: usize = 64;

/// A file that behaves as a NOR flash does.
#[derive(Debug)]
pub struct FileFlash {
    file: File,
    bytes: usize,
}

impl FileFlash {
    fn clone(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, bytes: self.bytes })
    }
}

/// What a file says.
#[derive(Debug)]
pub struct FileError(io::Error);

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<NorFlashErrorKind> for FileError {
    fn from(kind: NorFlashErrorKind) -> Self {
        Self(io::Error::other(kind.to_string()))
    }
}

impl NorFlashError for FileError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for FileFlash {
    type Error = FileError;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FileError> {
        check_read(self, offset, bytes.len())?;
        self.file.read_exact_at(bytes, offset.into()).map_err(FileError)
    }

    fn capacity(&self) -> usize {
        self.bytes
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FileError> {
        check_erase(self, from, to)?;
        for sector in (from..to).step_by(SECTOR) {
            self.file.write_all_at(&[0xFF; SECTOR], sector.into()).map_err(FileError)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FileError> {
        check_write(self, offset, bytes.len())?;
        self.file.write_all_at(bytes, offset.into()).map_err(FileError)
    }
}

/// A vault in a file.
#[derive(Debug)]
pub struct FileVault {
    flash: FileFlash,
    log: Mutex<Option<Log<Vec<u32>, FileFlash>>>,
}

impl FileVault {
    /// Opens the file, or makes one of `bytes`, rounded down to what is erased at a time. A file
    /// that is there keeps its size.
    ///
    /// # Errors
    /// The file cannot be opened, is in use by another run, or is smaller than two pages.
    pub fn open(path: &Path, bytes: u32) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|_| io::Error::other("another run has it"))?;
        let mut length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if length == 0 {
            length = bytes as usize / SECTOR * SECTOR;
            for sector in (0..length).step_by(SECTOR) {
                file.write_all_at(&[0xFF; SECTOR], sector as u64)?;
            }
        }
        // A flash has addresses of 32 bits.
        let bytes = length.min(1 << 31) / SECTOR * SECTOR;
        if bytes < 2 * SECTOR {
            return Err(io::Error::other(format!(
                "it has {length} bytes, and {} are the least",
                2 * SECTOR
            )));
        }
        Ok(Self { flash: FileFlash { file, bytes }, log: Mutex::new(None) })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Log<Vec<u32>, FileFlash>>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        ask: impl FnOnce(&mut Log<Vec<u32>, FileFlash>) -> Result<T, LogError<FileError>>,
    ) -> Result<T, Error> {
        let mut log = self.lock();
        let log =
            log.as_mut().ok_or(Error::new(ErrorKind::ParkedState, "the store is not open"))?;
        ask(log).map_err(error)
    }
}

fn error(error: LogError<FileError>) -> Error {
    Error::new(ErrorKind::ParkedState, &error.to_string())
}

impl wramp_core::state::Vault for FileVault {
    fn open(&self, tag: u32, instances: u32) -> Result<(), Error> {
        // A page is as large for a file of one size, whatever runs.
        let page = (self.flash.bytes / PAGES).next_multiple_of(SECTOR);
        let page = u32::try_from(page).unwrap_or(u32::MAX);
        let unreadable = |error: io::Error| {
            Error::new(ErrorKind::ParkedState, &format!("the store cannot be opened: {error}"))
        };
        let flash = self.flash.clone().map_err(unreadable)?;
        let log = Log::open(flash, page, tag, vec![0; instances as usize]).map_err(error)?;
        *self.lock() = Some(log);
        Ok(())
    }

    fn length(&self, instance: u32) -> Result<Option<usize>, Error> {
        self.with(|log| log.length(instance))
    }

    fn read(&self, instance: u32, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        self.with(|log| log.read(instance, offset, into))
    }

    fn keep(
        &self,
        instance: u32,
        head: &[u8],
        body: &mut dyn Source,
        length: usize,
    ) -> Result<(), Error> {
        self.with(|log| log.append(instance, head, body, length))
    }
}
