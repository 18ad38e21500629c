//! What is ramped, and how its results are known to be right.

use core::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use wramp_core::runtime::{Error, ModuleBytes, Parameters};
use wramp_workloads::{State, Workload};

/// A module with its export and its truth.
#[derive(Clone, Copy)]
pub struct Guest<'a> {
    /// Name, for the record.
    pub name: &'a str,
    /// The module.
    pub module: ModuleBytes<'a>,
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
            module: ModuleBytes::Static(workload.wasm),
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

/// The seed of an instance: neighbours differ in half of their bits.
#[must_use]
pub(crate) fn seed_of(id: u32) -> u32 {
    id.wrapping_add(1).wrapping_mul(0x9E37_79B9)
}

impl Guest<'_> {
    /// What call number `calls` (from 0) is given: a built-in workload its seed, a
    /// user's export the number of the call.
    pub(crate) fn argument(&self, judge: &Judge, calls: u32) -> i32 {
        match self.check {
            Check::Reference { .. } => judge.state.argument(),
            Check::Agreement(_) => calls.cast_signed(),
        }
    }
}

/// Judges one instance's results, call by call. Small: a pool keeps one an instance.
pub(crate) struct Judge {
    state: State,
    /// A user's module: the digest of its results so far. A workload that does not vary:
    /// its one result, once it is `known`.
    memo: u32,
    known: bool,
    strayed: bool,
}

impl Judge {
    /// For an instance that was given `seed`.
    pub(crate) fn new(seed: u32) -> Self {
        Self { state: State::new(seed), memo: 0x811c_9dc5, known: false, strayed: false }
    }

    /// Whether the result of call number `calls` (from 1) is right; `first` is the
    /// instance that the others agree with. A failed call is never right, and the
    /// reference goes on all the same: a guest that trapped halfway is judged strictly.
    #[inline(never)] // What it keeps shall not lie on the stack below a call.
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
