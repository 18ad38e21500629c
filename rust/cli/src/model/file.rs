//! Files written and read with a message that names them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::problem::Problem;

/// Writes a file.
///
/// # Errors
/// Where it cannot be written; the sentence names it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    std::fs::write(path, bytes).map_err(|error| not_written(path, &error))
}

/// The problem of a file that could not be written.
pub(super) fn not_written(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("cannot write {}: {error}", path.display()))
}

/// Reads a file of at most `most` bytes. A device that never ends is refused, not read for ever.
///
/// # Errors
/// Where it cannot be read or is longer. The sentence does not name it; the caller does.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>, Problem> {
    let told = |error: io::Error| Problem::new(error.to_string());
    let mut bytes = Vec::new();
    File::open(path).map_err(told)?.take(most + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > most {
        return Err(Problem::new(format!("it is longer than {} MiB", most >> 20)));
    }
    Ok(bytes)
}
