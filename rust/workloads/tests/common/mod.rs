//! What both suites need: the sources, and what their headers say.

use std::fs;
use std::path::{Path, PathBuf};

use wramp_workloads::Workload;

/// The repository's root. A workload's `source` is relative to it.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of a workload's source.
pub(crate) fn source(workload: &Workload) -> String {
    let path = root().join(workload.source);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the header says after `;; key:`.
pub(crate) fn header(workload: &Workload, key: &str) -> String {
    source(workload)
        .lines()
        .map_while(|line| line.strip_prefix(";;"))
        .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':').map(str::trim))
        .unwrap_or_else(|| panic!("{}: no `;; {key}:` line", workload.source))
        .to_owned()
}
