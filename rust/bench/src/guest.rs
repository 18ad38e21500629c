//! A guest: a module, its export, and how to judge its results.

use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use wramp_core::runtime::{Error, ModuleBytes, Parameters};
use wramp_workloads::{State, Workload};

use crate::lineup::Count;

/// A module, the export to call, and the way to judge its results.
#[derive(Clone, Copy)]
pub struct Guest<'a> {
    /// The name in the records.
    pub name: &'a str,
    /// The module.
    pub module: ModuleBytes<'a>,
    /// The export that every call enters.
    pub export: &'a str,
    /// What the export takes.
    pub parameters: Parameters,
    /// How to judge its results.
    pub check: Check<'a>,
    /// How many instances of it a mix has. The other scenarios start as many as fit.
    pub count: Count,
    /// Instructions that a call of it may take in a mix, in place of the run's own budget.
    pub budget: Option<NonZeroU32>,
}

/// How to judge a result.
#[derive(Clone, Copy)]
pub enum Check<'a> {
    /// By comparing it with a native implementation.
    Reference {
        /// The expected result of the next call.
        next: fn(&mut State) -> i32,
        /// Whether the result differs from call to call.
        varies: bool,
    },
    /// By comparing it with the first instance: the same call index must give the same result.
    Agreement(&'a Agreement),
}

impl From<&'static Workload> for Guest<'_> {
    fn from(workload: &'static Workload) -> Self {
        Self {
            name: workload.name,
            module: ModuleBytes::Static(workload.wasm),
            export: workload.export,
            parameters: workload.parameters,
            check: Check::Reference { next: workload.reference, varies: workload.varies },
            count: Count::Most,
            budget: None,
        }
    }
}

/// Digests per doubling of the call index.
const PER_OCTAVE: u32 = 16;
/// Digests kept: enough for 2^32 calls.
const DIGESTS: usize = 32 * PER_OCTAVE as usize;

/// What the first instance returned, so that the others can compare.
///
/// The first instance publishes a digest of all its results so far. It does so at every one of
/// the first calls and then 16 times per doubling. The others compare their digests with those
/// that are known already. A wrong result therefore shows at the latest when the number of
/// calls has grown by 1/16.
///
/// There is one writer and no compare-and-swap. The table takes 2 KiB.
pub struct Agreement {
    /// Calls of the first instance before its first result that is known here: it may have been
    /// parked before a reset.
    unknown: AtomicU32,
    published: AtomicU32,
    digests: [AtomicU32; DIGESTS],
}

impl Agreement {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            unknown: AtomicU32::new(0),
            published: AtomicU32::new(0),
            digests: [const { AtomicU32::new(0) }; DIGESTS],
        }
    }

    /// Forgets everything. The caller MUST make sure that no instance runs.
    pub fn clear(&self) {
        self.published.store(0, Relaxed);
        self.unknown.store(0, Relaxed);
    }

    /// The first instance goes on after so many calls, whose results are not known here. The
    /// caller MUST make sure that no instance runs.
    pub(crate) fn goes_on_after(&self, calls: u32) {
        self.unknown.store(calls, Relaxed);
    }

    /// The place of the digest after `calls` calls, if that digest is kept.
    fn place(calls: u32) -> Option<usize> {
        let octave = calls.checked_ilog2()?;
        let below = calls - (1 << octave);
        let step = (1_u32 << octave) / PER_OCTAVE;
        match step {
            0 => Some((octave * PER_OCTAVE + below) as usize),
            step if below.is_multiple_of(step) => {
                Some((octave * PER_OCTAVE + below / step) as usize)
            }
            _ => None,
        }
    }

    fn publish(&self, calls: u32, digest: u32) {
        if let Some(place) = Self::place(calls) {
            self.digests[place].store(digest, Relaxed);
            self.published.store(calls, Release);
        }
    }

    /// Whether the digest agrees. True while it cannot be known.
    fn agrees(&self, calls: u32, digest: u32) -> bool {
        match Self::place(calls) {
            Some(place)
                if self.published.load(Acquire) >= calls && calls > self.unknown.load(Relaxed) =>
            {
                self.digests[place].load(Relaxed) == digest
            }
            _ => true,
        }
    }
}

impl Default for Agreement {
    fn default() -> Self {
        Self::new()
    }
}

/// The seed of an instance. The seeds of neighbours differ in half of their bits.
#[must_use]
pub(crate) fn seed_of(id: u32) -> u32 {
    id.wrapping_add(1).wrapping_mul(0x9E37_79B9)
}

impl Guest<'_> {
    /// The argument of call number `calls` (from 0). A built-in workload gets its seed. A
    /// user's export gets the number of the call.
    pub(crate) fn argument(&self, judge: &Judge, calls: u32) -> i32 {
        match self.check {
            Check::Reference { .. } => judge.state.argument(),
            Check::Agreement(_) => calls.cast_signed(),
        }
    }
}

/// What has to be kept of a judge while its instance is parked. The rest is derived from the
/// instance's number, or is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Every call returns the same.
    Nothing,
    /// The reference needs the number of calls.
    Calls,
    /// The reference needs what it carries from call to call.
    Carry,
    /// Both: the reference is of no workload of this crate.
    Both,
    /// A user's module: the digest of its results, and the number of calls.
    Digest,
}

/// The bit of a word of calls that says that the instance strayed from the first one.
const STRAYED: u32 = 1 << 31;

impl Keeps {
    /// Words that are kept.
    pub(crate) const fn words(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Calls | Self::Carry => 1,
            Self::Both | Self::Digest => 2,
        }
    }

    /// What has to be kept for a guest.
    pub(crate) fn of(guest: &Guest<'_>) -> Self {
        match guest.check {
            Check::Reference { varies: false, .. } => Self::Nothing,
            Check::Reference { .. } => match wramp_workloads::keeps(guest.name) {
                Some(wramp_workloads::Keeps::Calls) => Self::Calls,
                Some(wramp_workloads::Keeps::Carry) => Self::Carry,
                None => Self::Both,
            },
            Check::Agreement(_) => Self::Digest,
        }
    }
}

/// Judges one instance's results, call by call.
pub(crate) struct Judge {
    state: State,
    /// For a user's module: the digest of its results so far. For a workload that does not
    /// vary: its one result, once it is `known`.
    memo: u32,
    known: bool,
    strayed: bool,
}

impl Judge {
    /// A judge of an instance that was given `seed`.
    pub(crate) fn new(seed: u32) -> Self {
        Self { state: State::new(seed), memo: 0x811c_9dc5, known: false, strayed: false }
    }

    /// The judge of instance `id`, from what [`kept`](Self::kept) said of it, and the number of
    /// its calls where that is kept. `first` before its first call; `constant` is what
    /// [`constant`](Self::constant) said of any instance.
    pub(crate) fn restored(
        keeps: Keeps,
        id: u32,
        first: bool,
        [one, other]: [u32; 2],
        constant: Option<u32>,
    ) -> (Self, u32) {
        let mut judge = Self::new(seed_of(id));
        if first {
            judge.known = constant.is_some();
            judge.memo = constant.unwrap_or(judge.memo);
            return (judge, 0);
        }
        let mut calls = 1;
        match keeps {
            Keeps::Nothing => {
                judge.known = constant.is_some();
                judge.memo = constant.unwrap_or_default();
            }
            Keeps::Calls => (judge.state.calls, calls) = (one, one),
            // The reference only asks whether there was a call.
            Keeps::Carry => (judge.state.calls, judge.state.carry) = (1, one),
            Keeps::Both => (judge.state.calls, judge.state.carry, calls) = (one, other, one),
            Keeps::Digest => {
                (judge.memo, calls) = (one, other & !STRAYED);
                judge.strayed = other & STRAYED != 0;
            }
        }
        (judge, calls)
    }

    /// What has to be kept of this judge between two calls, of which `calls` were made: as many
    /// words as [`Keeps::words`] says.
    pub(crate) fn kept(&self, keeps: Keeps, calls: u32) -> [u32; 2] {
        match keeps {
            Keeps::Nothing => [0; 2],
            Keeps::Calls => [self.state.calls, 0],
            Keeps::Carry => [self.state.carry, 0],
            Keeps::Both => [self.state.calls, self.state.carry],
            Keeps::Digest => {
                let strayed = if self.strayed { STRAYED } else { 0 };
                [self.memo, calls.min(!STRAYED) | strayed]
            }
        }
    }

    /// The judge of resident `id` after `calls` calls, from what
    /// [`of_resident`](Self::of_resident) said of it. `constant` is as for
    /// [`restored`](Self::restored).
    pub(crate) fn of_resident(
        keeps: Keeps,
        id: u32,
        calls: u32,
        (word, strayed): (u32, bool),
        constant: Option<u32>,
    ) -> Self {
        let other = if strayed { STRAYED } else { 0 };
        let words = match keeps {
            Keeps::Calls => [calls, 0],
            Keeps::Both => [calls, word],
            Keeps::Nothing | Keeps::Carry | Keeps::Digest => [word, other],
        };
        Self::restored(keeps, id, calls == 0, words, constant).0
    }

    /// The word and the bit that a pool keeps of this judge between two calls, beside the number
    /// of calls.
    pub(crate) fn beside_calls(&self, keeps: Keeps) -> (u32, bool) {
        let word = match keeps {
            Keeps::Nothing | Keeps::Calls => 0,
            Keeps::Carry | Keeps::Both => self.state.carry,
            Keeps::Digest => self.memo,
        };
        (word, self.strayed)
    }

    /// The one result of a workload that does not vary, once it is known.
    pub(crate) fn constant(&self) -> Option<u32> {
        self.known.then_some(self.memo)
    }

    /// Whether the result of call number `calls` (from 1) is right. `first` is set for the
    /// instance that the others compare with.
    ///
    /// A failed call is never right, and the reference advances all the same. A guest that
    /// trapped halfway is therefore judged strictly.
    #[inline(never)] // Its locals must not stay on the stack below a call.
    pub(crate) fn accepts(
        &mut self,
        check: &Check<'_>,
        first: bool,
        calls: u32,
        result: &Result<i32, Error>,
    ) -> bool {
        match *check {
            Check::Reference { next, varies: true } => *result == Ok(next(&mut self.state)),
            Check::Reference { next, varies: false } => {
                if !self.known {
                    self.memo = next(&mut self.state).cast_unsigned();
                    self.known = true;
                }
                *result == Ok(self.memo.cast_signed())
            }
            Check::Agreement(agreement) => {
                // FNV-1a over the result, or over the kind of the failure.
                let word = match result {
                    Ok(value) => *value,
                    Err(error) => !i32::from(error.kind as u8),
                };
                for byte in word.to_le_bytes() {
                    self.memo = (self.memo ^ u32::from(byte)).wrapping_mul(0x0100_0193);
                }
                if first {
                    agreement.publish(calls, self.memo);
                } else if !self.strayed {
                    self.strayed = !agreement.agrees(calls, self.memo);
                    return result.is_ok() && !self.strayed;
                }
                result.is_ok()
            }
        }
    }
}
