//! What the libraries have to say while they work, on stderr.

use log::{LevelFilter, Log, Metadata, Record};

struct Remarks;

impl Log for Remarks {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("wramp: {}", record.args());
    }

    fn flush(&self) {}
}

/// Shows remarks from now on.
pub fn listen() {
    // It fails where a logger listens already; then that one shows them.
    if log::set_logger(&Remarks).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
