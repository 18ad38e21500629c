//! A slot's stack as the log of a board knows it, and how small it may be.

use wramp_core::report::Run;
use wramp_core::runtime::ErrorKind;

use crate::model::run_log::RampLog;

/// A slot's stack, as the log of a board knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotStack {
    /// Bytes that it was given.
    pub given: u32,
    /// Most bytes that any slot's held.
    pub used: u32,
    /// Whether all calls went right in it, so that the engine found its guard free.
    pub sufficed: bool,
    /// Least bytes with which a run starts on that board.
    pub least: u32,
    /// Bytes that the engine keeps free at its end.
    pub guard: u32,
}

/// What a log says of its slots' stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackAdvice {
    /// All that is needed for advice.
    Known(SlotStack),
    /// No high-water mark was measured.
    NotMeasured,
    /// The machine reserved larger stacks than were asked for, so that what a call used there
    /// says nothing of a board.
    Larger {
        /// Bytes of a stack as reserved.
        reserved: u32,
    },
    /// An older log, whose run record lacks this key.
    Lacks(&'static str),
}

impl StackAdvice {
    /// What a ramp says of it.
    #[must_use]
    pub fn of(run: &Run<'_>, ramp: &RampLog) -> Self {
        let given = run.slot_stack_bytes.0;
        let Some(used) = ramp.stack_used() else { return Self::NotMeasured };
        if let Some(reserved) = run.slot_stack_real_bytes.filter(|real| real.0 > given) {
            return Self::Larger { reserved: reserved.0 };
        }
        let Some(least) = run.slot_stack_least_bytes else {
            return Self::Lacks("slot_stack_least_bytes");
        };
        let Some(guard) = run.stack_guard_bytes else { return Self::Lacks("stack_guard_bytes") };
        let sufficed = ramp.end.as_ref().map(|end| end.get()).is_some_and(|end| {
            let overflow = end.error.is_some_and(|e| e.0 == ErrorKind::NativeStack.as_str());
            end.calls > 0 && end.errors == 0 && !overflow
        });
        Self::Known(SlotStack { given, used, sufficed, least: least.0, guard: guard.0 })
    }
}

impl SlotStack {
    /// The smallest stack that is known to do, in whole 64 bytes, and why it does:
    ///
    /// `max(least, used + used / 4, used + guard)`, with `given` in place of `used + guard` where
    /// that is less and sufficed.
    ///
    /// Before it interprets, the engine compares the address of a local variable with the end of
    /// the stack and its guard (in WAMR, `wasm_runtime_detect_native_stack_overflow`). No log says
    /// how deep that check is. It is no deeper than the high-water mark, because the variable was
    /// written. With the guard below the mark, the check passes. It also passed in a stack that
    /// sufficed, so no more than that is needed either. A quarter of what was used stays free in
    /// any case, for an interrupt that comes when the thread is at its deepest and did not come
    /// in that run.
    #[must_use]
    pub fn safe(&self) -> (u32, &'static str) {
        let guarded = self.used.saturating_add(self.guard);
        let quarter = self.used.saturating_add(self.used.div_ceil(4));
        let checked = if self.sufficed && self.given < guarded {
            (self.given, "all calls went right in it")
        } else {
            (guarded, "both together")
        };
        [(self.least, "no run starts with less"), (quarter, "what was used and a quarter"), checked]
            .map(|(bytes, why)| (bytes.div_ceil(64).saturating_mul(64), why))
            .into_iter()
            .fold((0, ""), |most, one| if one.0 >= most.0 { one } else { most })
    }

    /// One stack for both: what either used, sufficient where both were.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            given: self.given.max(other.given),
            used: self.used.max(other.used),
            sufficed: self.sufficed && other.sufficed,
            least: self.least.max(other.least),
            guard: self.guard.max(other.guard),
        }
    }
}
