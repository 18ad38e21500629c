//! What the guests of a run may have.

use core::fmt;

/// What a guest needs leave for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// To write lines.
    Log,
    /// To send messages.
    Send,
    /// To receive them.
    Receive,
    /// `env.clock_ms`, as benchmarks import it.
    ClockMs,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 4] = [Self::Log, Self::Send, Self::Receive, Self::ClockMs];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::ClockMs => "clock_ms",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl core::str::FromStr for Capability {
    type Err = NoCapability;

    fn from_str(word: &str) -> Result<Self, NoCapability> {
        Self::ALL.into_iter().find(|known| known.as_str() == word).ok_or(NoCapability)
    }
}

/// A word that names no capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCapability;

impl fmt::Display for NoCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of log, send, receive, clock_ms")
    }
}

impl core::error::Error for NoCapability {}

/// A function that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stub<'a> {
    /// The module that it is imported from.
    pub module: &'a str,
    /// Its name there.
    pub name: &'a str,
}

impl<'a> Stub<'a> {
    /// Reads `MODULE.NAME`. The first dot ends the module's name.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (module, name) = text.split_once('.')?;
        (!module.is_empty() && !name.is_empty()).then_some(Self { module, name })
    }
}

/// What the guests of a run may have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grants<'a> {
    allowed: u8,
    /// The functions that do nothing.
    pub stubs: &'a [Stub<'a>],
    /// Where `random_get` begins.
    pub seed: u64,
}

impl<'a> Grants<'a> {
    /// No leave at all.
    pub const NONE: Self = Self { allowed: 0, stubs: &[], seed: 0 };

    /// No leave but these stubs, and where `random_get` begins.
    #[must_use]
    pub const fn new(stubs: &'a [Stub<'a>], seed: u64) -> Self {
        Self { stubs, seed, ..Self::NONE }
    }

    /// The same, and that capability.
    #[must_use]
    pub const fn allow(self, capability: Capability) -> Self {
        Self { allowed: self.allowed | capability.bit(), ..self }
    }

    /// Whether it has that capability.
    #[must_use]
    pub const fn allows(&self, capability: Capability) -> bool {
        self.allowed & capability.bit() != 0
    }

    /// Whether that function is given a stub.
    #[must_use]
    pub fn has_stub(&self, module: &[u8], name: &[u8]) -> bool {
        self.stubs
            .iter()
            .any(|stub| stub.module.as_bytes() == module && stub.name.as_bytes() == name)
    }
}
