//! What a user's guests may have, as options.

use clap::Args;
use wramp_bench::Expected;
use wramp_imports::{Capability, Grants, Queue, Stub};

use crate::model::geometry::bytes;
use crate::problem::Problem;

/// What the guests of a module of one's own may have.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What the guests of --module or --mix may have")]
pub struct Leave {
    /// What its guests may do: log, send, receive, clock_ms
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub allow: Vec<Capability>,
    /// An import without a result that shall do nothing (repeat for several)
    #[arg(long, value_name = "MODULE.NAME")]
    pub stub: Vec<String>,
    /// Where random_get of WASI begins: the same bytes for the same number
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Queue of messages of each instance if a module receives, in the arena: 1048, or
    /// another number of at least 262, which holds one message of any length
    #[arg(long, value_name = "BYTES", value_parser = queue)]
    pub queue_bytes: Option<u32>,
    /// What each call has to give, for a module that checks itself; `any` for measurements, such
    /// as a score
    #[arg(long, value_name = "N|any", value_parser = expected, allow_negative_numbers = true)]
    pub expect: Option<Expected>,
}

/// Bytes of a queue where nobody says.
const QUEUE_BYTES: u32 = 1048;

impl Leave {
    /// The functions that shall do nothing.
    ///
    /// # Errors
    /// A text that is not MODULE.NAME.
    pub fn stubs(&self) -> Result<Vec<Stub<'_>>, Problem> {
        let read = |text| {
            let wrong = || Problem::new(format!("--stub {text}: as in --stub env.start_trigger"));
            Stub::parse(text).ok_or_else(wrong)
        };
        self.stub.iter().map(String::as_str).map(read).collect()
    }

    /// What the guests may have, with these stubs.
    #[must_use]
    pub fn grants<'a>(&self, stubs: &'a [Stub<'a>]) -> Grants<'a> {
        let none = Grants::new(stubs, self.seed.unwrap_or_default());
        self.allow.iter().fold(none, |grants, &capability| grants.allow(capability))
    }

    /// Bytes of the queue of each instance.
    #[must_use]
    pub fn queue_bytes(&self) -> u32 {
        self.queue_bytes.unwrap_or(QUEUE_BYTES)
    }

    /// The first option that was given.
    #[must_use]
    pub fn given(&self) -> Option<&'static str> {
        let all = [
            ("--allow", !self.allow.is_empty()),
            ("--stub", !self.stub.is_empty()),
            ("--seed", self.seed.is_some()),
            ("--expect", self.expect.is_some()),
            ("--queue-bytes", self.queue_bytes.is_some()),
        ];
        all.into_iter().find_map(|(option, given)| given.then_some(option))
    }
}

fn queue(text: &str) -> Result<u32, String> {
    match bytes(text)? {
        few if (few as usize) < Queue::LEAST_BYTES => {
            Err(format!("at least {}", Queue::LEAST_BYTES))
        }
        enough => Ok(enough),
    }
}

fn expected(text: &str) -> Result<Expected, String> {
    Expected::parse(text).ok_or_else(|| "a number of 32 bits, or any".to_owned())
}
