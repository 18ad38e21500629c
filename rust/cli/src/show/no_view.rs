//! The live view's place in a build without it (feature `live`).

use std::time::Duration;

use crate::model::log::Log;

/// There is none.
pub enum Live {}

impl Live {
    /// Says that there is none.
    #[must_use]
    pub fn start(_: &str, _: &str) -> Option<Self> {
        eprintln!("wramp: this build has no live view (--features live): lines as they come");
        None
    }

    /// Never called.
    pub fn line(&mut self, _: &str) {
        match *self {}
    }

    /// Never called.
    pub fn draw(&mut self, _: &Log, _: Duration) {
        match *self {}
    }

    /// Never called.
    #[must_use]
    pub fn asked_to_end(&self) -> bool {
        match *self {}
    }
}
