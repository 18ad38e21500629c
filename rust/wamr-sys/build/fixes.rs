//! Corrects known faults of WAMR, in copies of its files.
//!
//! `src/wamr_fixes/` describes each correction. This applies them on a host, and
//! `src/wamr_fixes.cmake` in Zephyr's build. A description contains the checksum of the
//! corrected copy. Both builds compare it, so both compile the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

/// Takes the place of a correction's name if its description does not list the source.
pub(crate) const UNLISTED: &str = "unlisted";
/// Takes the place of an interpreter if each has the fault.
const BOTH: &str = "both";
/// Takes the place of the names if nothing had to be corrected.
pub(crate) const NONE: &str = "none";

/// A correction of one file.
#[derive(Debug)]
pub(crate) struct Fix {
    /// The name in the record: lower-case letters, digits and hyphens.
    pub(crate) name: String,
    /// The interpreter that has the fault, or [`BOTH`].
    pub(crate) interpreter: String,
    /// The file, relative to the root of WAMR's source.
    pub(crate) file: String,
    faulty: Vec<Faulty>,
    after: String,
    insert: String,
}

/// The checksums of a source that has the fault.
#[derive(Debug)]
struct Faulty {
    original: String,
    corrected: String,
}

/// The corrections of a build.
#[derive(Debug)]
pub(crate) struct Corrections {
    /// The names for the record, joined by `+`. [`UNLISTED`] is among them if a source is not
    /// known. [`NONE`] stands alone.
    pub(crate) names: String,
    /// Each faulty file, and its copy with all corrections of that file.
    pub(crate) copies: Vec<(PathBuf, PathBuf)>,
    /// Warnings for the person who builds.
    pub(crate) warnings: Vec<String>,
}

/// Reads all descriptions in a directory, in the order of their names.
///
/// # Errors
/// The file that is wrong, and what is wrong with it.
pub(crate) fn read(directory: &Path) -> Result<Vec<Fix>, String> {
    let entries =
        fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let mut fixes = Vec::new();
    for path in paths {
        let refuse = |why: String| format!("{}: {why}", path.display());
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let text = fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
        fixes.push(parse(name, &text).map_err(refuse)?);
    }
    Ok(fixes)
}

/// Reads a description. The head of each description explains the grammar.
///
/// # Errors
/// What is missing, or what does not follow the grammar.
pub(crate) fn parse(name: &str, text: &str) -> Result<Fix, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err("a name is lower-case letters, digits and hyphens".into());
    }
    let mut faulty = Vec::new();
    let mut words = [("interpreter", None), ("file", None), ("after", None), ("insert", None)];
    for (index, line) in text.lines().enumerate() {
        let refuse = |why: &str| Err(format!("line {}: {why}", index + 1));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((word, rest)) = line.split_once(' ') else { return refuse("a word alone") };
        if word == "faulty" {
            let mut parts = rest.splitn(3, ' ');
            let (original, corrected) = (parts.next(), parts.next());
            let (Some(original), Some(corrected)) = (original, corrected) else {
                return refuse("two checksums are needed");
            };
            let checksum = |text: &str| text.len() == 64 && text.chars().all(plain);
            if !checksum(original) || !checksum(corrected) || parts.next().is_none() {
                return refuse("expected two SHA-256 checksums and the name of a source");
            }
            faulty.push(Faulty { original: original.into(), corrected: corrected.into() });
        } else if let Some((_, value)) = words.iter_mut().find(|(known, _)| *known == word) {
            if value.replace(rest.to_owned()).is_some() {
                return refuse("said twice");
            }
        } else {
            return refuse("not a word of a description");
        }
    }
    let [interpreter, file, after, insert] =
        words.map(|(word, value)| value.ok_or_else(|| format!("the line `{word}` is missing")));
    Ok(Fix {
        name: name.into(),
        interpreter: interpreter?,
        file: file?,
        faulty,
        after: after?,
        insert: insert?,
    })
}

impl Fix {
    /// The corrected file. `None` if the description does not list the original.
    ///
    /// # Errors
    /// Why the description does not fit a source that it lists.
    pub(crate) fn apply(&self, original: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let checksum = sha256(original);
        let Some(faulty) = self.faulty.iter().find(|faulty| faulty.original == checksum) else {
            return Ok(None);
        };
        let after = format!("{}\n", self.after);
        let mut places = original.windows(after.len()).enumerate();
        let mut next = || places.find(|(_, part)| *part == after.as_bytes());
        let (Some((place, _)), None) = (next(), next()) else {
            return Err(format!("{} does not have `{}` exactly once", self.file, self.after));
        };
        let (head, tail) = original.split_at(place + after.len());
        let corrected = [head, self.insert.as_bytes(), b"\n", tail].concat();
        let checksum = sha256(&corrected);
        if checksum != faulty.corrected {
            return Err(format!("the corrected {} has SHA-256 {checksum}", self.file));
        }
        Ok(Some(corrected))
    }
}

/// Applies the corrections for this interpreter to WAMR's source, and writes the copies.
///
/// Corrections of the same file follow each other: the second one lists the checksum of the file
/// that the first one corrected.
///
/// # Errors
/// A description does not fit its source, or a file cannot be read or written.
pub(crate) fn correct(
    fixes: &[Fix],
    interpreter: &str,
    root: &Path,
    copies: &Path,
) -> Result<Corrections, String> {
    let mut corrections =
        Corrections { names: String::new(), copies: Vec::new(), warnings: Vec::new() };
    let mut names = Vec::new();
    let mut corrected_files: Vec<(&str, Vec<u8>)> = Vec::new();
    let here = |fix: &&Fix| [interpreter, BOTH].contains(&fix.interpreter.as_str());
    for fix in fixes.iter().filter(here) {
        let path = root.join(&fix.file);
        let before = corrected_files.iter().position(|(file, _)| *file == fix.file);
        let source = match before {
            Some(index) => corrected_files[index].1.clone(),
            None => fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?,
        };
        let Some(corrected) =
            fix.apply(&source).map_err(|why| format!("correction {}: {why}", fix.name))?
        else {
            names.push(UNLISTED);
            corrections.warnings.push(warning(&fix.name, &path));
            continue;
        };
        names.push(&fix.name);
        match before {
            Some(index) => corrected_files[index].1 = corrected,
            None => corrected_files.push((&fix.file, corrected)),
        }
    }
    for (file, corrected) in corrected_files {
        let copy = copies.join(file);
        copy.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&copy, corrected))
            .map_err(|error| format!("{}: {error}", copy.display()))?;
        corrections.copies.push((root.join(file), copy));
    }
    names.dedup();
    corrections.names = if names.is_empty() { NONE.into() } else { names.join("+") };
    Ok(corrections)
}

fn warning(name: &str, path: &Path) -> String {
    format!(
        "{} is not in src/wamr_fixes/{name}.txt, so it is not known whether this WAMR has the \
         fault {name} (docs/engine-faults.md) and nothing was corrected. The engine tests \
         itself when it starts. WAMR 2.4.5 and the package wamrx-sys 0.3.0 are known",
        path.display()
    )
}

/// The SHA-256 in lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hmac_sha256::Hash::hash(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
