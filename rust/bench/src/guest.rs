//! What is ramped, and how its results are known to be right.

use core::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use wramp_core::runtime::{Error, Parameters, Source};
use wramp_workloads::{State, Workload};

/// A module with its export and its truth.
#[derive(Clone, Copy)]
pub struct Guest<'a> {
    /// Name, for the record.
    pub name: &'a str,
    /// The module.
    pub source: Source<'a>,
    /// The export that every call enters.
    pub export: &'a str,
    /// What the export takes.
    pub parameters: Parameters,
    /// How its results are judged.
    pub check: Check<'a>,
}

/// How a result is judged.
#[derive(Clone, Copy)]
pub enum Check<'a> {
    /// Against a native implementation.
    Reference {
        /// The expected result of the next call.
        next: fn(&mut State) -> i32,
        /// Whether it differs from call to call.
        varies: bool,
    },
    /// Against the first instance: the same call index must give the same result.
    Agreement(&'a Agreement),
}

impl From<&'static Workload> for Guest<'_> {
    fn from(workload: &'static Workload) -> Self {
        Self {
            name: workload.name,
            source: Source::Static(workload.wasm),
            export: workload.export,
            parameters: workload.parameters,
            check: Check::Reference { next: workload.reference, varies: workload.varies },
        }
    }
}

/// Digests per doubling of the call index.
const PER_OCTAVE: u32 = 16;
/// Enough for 2^32 calls.
const DIGESTS: usize = 32 * PER_OCTAVE as usize;

/// What the first instance returned, for the others to agree with.
///
/// It publishes a digest of all its results so far, at every one of the first calls
/// and then 16 times a doubling; the others compare theirs where it is known
/// already. So a wrong result shows at the latest when the calls have grown by 1/16.
/// One writer, no compare-and-swap, 2 KiB.
pub struct Agreement {
    published: AtomicU32,
    digests: [AtomicU32; DIGESTS],
}

impl Agreement {
    /// Nothing published.
    #[must_use]
    pub const fn new() -> Self {
        Self { published: AtomicU32::new(0), digests: [const { AtomicU32::new(0) }; DIGESTS] }
    }

    /// Forgets everything. Only while no instance runs.
    pub fn clear(&self) {
        self.published.store(0, Relaxed);
    }

    /// Where the digest after `calls` calls is kept, if it is one that is kept.
    fn place(calls: u32) -> Option<usize> {
        let octave = calls.checked_ilog2()?;
        let below = calls - (1 << octave);
        let step = (1_u32 << octave) / PER_OCTAVE;
        match step {
            0 => Some((octave * PER_OCTAVE + below) as usize),
            step if below % step == 0 => Some((octave * PER_OCTAVE + below / step) as usize),
            _ => None,
        }
    }

    fn publish(&self, calls: u32, digest: u32) {
        if let Some(place) = Self::place(calls) {
            self.digests[place].store(digest, Relaxed);
            self.published.store(calls, Release);
        }
    }

    /// Whether the digest agrees; true where it cannot be known yet.
    fn agrees(&self, calls: u32, digest: u32) -> bool {
        match Self::place(calls) {
            Some(place) if self.published.load(Acquire) >= calls => {
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

/// Judges one instance's results, call by call.
pub(crate) struct Judge<'a> {
    check: Check<'a>,
    first: bool,
    state: State,
    constant: Option<i32>,
    digest: u32,
    strayed: bool,
}

impl<'a> Judge<'a> {
    /// For instance `id`, which was given `seed`.
    pub(crate) fn new(check: Check<'a>, id: u32, seed: u32) -> Self {
        Self {
            check,
            first: id == 0,
            state: State::new(seed),
            constant: None,
            digest: 0x811c_9dc5,
            strayed: false,
        }
    }

    /// Whether the result of call number `calls` (from 1) is right. A failed call is
    /// never right; the reference is told that it happened all the same, since a guest
    /// that trapped may have changed its state: it is judged strictly.
    pub(crate) fn accepts(&mut self, calls: u32, result: Result<i32, Error>) -> bool {
        match self.check {
            Check::Reference { next, varies: true } => result == Ok(next(&mut self.state)),
            Check::Reference { next, varies: false } => {
                let expected = *self.constant.get_or_insert_with(|| next(&mut self.state));
                result == Ok(expected)
            }
            Check::Agreement(agreement) => {
                // FNV-1a over the result, or over the kind of the failure.
                let word = result.map_or_else(|error| !(error.kind as i32), |value| value);
                for byte in word.to_le_bytes() {
                    self.digest = (self.digest ^ u32::from(byte)).wrapping_mul(0x0100_0193);
                }
                if self.first {
                    agreement.publish(calls, self.digest);
                } else if !self.strayed {
                    self.strayed = !agreement.agrees(calls, self.digest);
                    return result.is_ok() && !self.strayed;
                }
                result.is_ok()
            }
        }
    }
}
