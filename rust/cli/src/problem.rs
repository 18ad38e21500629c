//! Wrong input, and what a subcommand ends with.

use std::fmt;
use std::process::ExitCode;

/// Wrong input, in one sentence that names what to change. Exit status 2.
#[derive(Debug)]
pub struct Problem(pub String);

impl Problem {
    /// A problem in these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Says it on stderr and returns the exit status of wrong input.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        eprintln!("wramp: {self}");
        ExitCode::from(2)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

/// How a subcommand ends: with an exit status, or because of wrong input.
pub type Outcome = Result<ExitCode, Problem>;
