//! The ramp as a pure state machine: an event in, an action out.
//!
//! It has no clock, no thread and no engine. A driver does what [`Action`] says and reports the
//! result. The same state machine drives threads on Linux, threads on Zephyr, a pool of
//! residents, and the tests.

use core::fmt;

use crate::measure::{Bytes, Nanos};

/// What stopped the next instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Every slot has an instance. In a pool, every place for a resident has one.
    Slots,
    /// The arena could not hold one more.
    Arena,
    /// One more would have broken the promised latency.
    Slo,
    /// An instance failed for a reason that more memory does not fix.
    Error,
    /// Someone asked the run to end.
    Interrupted,
}

impl Limit {
    /// The word for it in a record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::Arena => "arena",
            Self::Slo => "slo",
            Self::Error => "error",
            Self::Interrupted => "interrupted",
        }
    }

    /// The limit that a record's word stands for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Slots, Self::Arena, Self::Slo, Self::Error, Self::Interrupted]
            .into_iter()
            .find(|limit| limit.as_str() == word)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The shape of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The most instances at a time. At least 1.
    pub slots: u32,
    /// Instances that each rung adds. At least 1.
    pub step: u32,
    /// The p99 latency that must not be exceeded, if one was promised.
    pub slo: Option<Nanos>,
}

/// What the driver must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start instance `n` (from 0) and answer [`Event::Alive`] or [`Event::Failed`].
    Start(u32),
    /// Let the newest instances settle, then answer [`Event::Elapsed`].
    Settle,
    /// Hold this rung while measuring, then answer [`Event::Elapsed`].
    Dwell,
    /// Take a sample of all running instances and answer [`Event::Sampled`].
    Sample,
    /// Stop and join all instances and answer [`Event::Stopped`].
    Stop,
    /// The ramp is over. Every further event gets this answer again.
    Done(Outcome),
}

/// The result of an action, or something from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The ramp may begin.
    Begin,
    /// The instance runs: it is instantiated and its first call returned.
    Alive,
    /// The instance does not run and has left nothing behind.
    Failed(Failure),
    /// The time is over.
    Elapsed,
    /// A sample was taken, with its p99 latency if one was measured.
    Sampled(Option<Nanos>),
    /// Everything is stopped and joined.
    Stopped,
    /// Someone asked the run to end. It may come in place of any answer. The driver MUST first
    /// have waited for an instance that was starting.
    Interrupt,
}

/// Why an instance does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The arena was too small for it.
    OutOfMemory,
    /// Anything else.
    Other,
}

/// How a ramp ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The most instances that ran together. With a promise, the most that kept it.
    pub peak: u32,
    /// What stopped the next one.
    pub limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Starting,
    Settling,
    Dwelling,
    Sampling,
    LastDwelling(Limit),
    LastSampling(Limit),
    Stopping(Outcome),
    Done(Outcome),
}

/// The ramp.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    shape: Shape,
    state: State,
    running: u32,
    kept: u32,
}

impl Ramp {
    /// A ramp that has not begun. 0 slots or steps count as 1. The caller should refuse such a
    /// shape first and name the knob.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let shape = Shape { slots: shape.slots.max(1), step: shape.step.max(1), ..shape };
        Self { shape, state: State::Idle, running: 0, kept: 0 }
    }

    /// Instances that run now.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.running
    }

    /// Takes an event and says what to do next. An event that does not fit the state is a bug
    /// in the driver. It ends the ramp with [`Limit::Error`].
    pub fn next(&mut self, event: Event) -> Action {
        let (state, action) = self.transition(event);
        self.state = state;
        action
    }

    fn transition(&mut self, event: Event) -> (State, Action) {
        use {Event as E, State as S};
        match (self.state, event) {
            (S::Done(outcome), _) => (S::Done(outcome), Action::Done(outcome)),
            (S::Stopping(outcome), E::Stopped) => {
                self.running = 0;
                (S::Done(outcome), Action::Done(outcome))
            }
            // The ramp is stopping already. A second request changes nothing.
            (S::Stopping(outcome), E::Interrupt) => (S::Stopping(outcome), Action::Stop),
            (S::Idle, E::Interrupt) => {
                let outcome = Outcome { peak: 0, limit: Limit::Interrupted };
                (S::Done(outcome), Action::Done(outcome))
            }
            // A second request replaces the last sample. Otherwise the ramp might never end.
            (S::LastSampling(Limit::Interrupted), E::Interrupt) => self.stop(Limit::Interrupted),
            (_, E::Interrupt) => (S::LastSampling(Limit::Interrupted), Action::Sample),

            (S::Idle, E::Begin) => (S::Starting, Action::Start(0)),
            (S::Starting, E::Alive) => {
                self.running += 1;
                let rung_full = self.running.is_multiple_of(self.shape.step);
                if rung_full || self.running == self.shape.slots {
                    (S::Settling, Action::Settle)
                } else {
                    (S::Starting, Action::Start(self.running))
                }
            }
            (S::Starting, E::Failed(failure)) => {
                let limit = match failure {
                    Failure::OutOfMemory => Limit::Arena,
                    Failure::Other => Limit::Error,
                };
                if self.running == 0 {
                    self.stop(limit)
                } else {
                    // The other instances must go on without an error. Hold them once more and
                    // look.
                    (S::LastDwelling(limit), Action::Dwell)
                }
            }
            (S::Settling, E::Elapsed) => (S::Dwelling, Action::Dwell),
            (S::Dwelling, E::Elapsed) => (S::Sampling, Action::Sample),
            (S::Sampling, E::Sampled(p99)) => {
                if self.breaks_promise(p99) {
                    return self.stop(Limit::Slo);
                }
                self.kept = self.running;
                if self.running == self.shape.slots {
                    (S::LastDwelling(Limit::Slots), Action::Dwell)
                } else {
                    (S::Starting, Action::Start(self.running))
                }
            }
            (S::LastDwelling(limit), E::Elapsed) => (S::LastSampling(limit), Action::Sample),
            (S::LastSampling(limit), E::Sampled(p99)) => {
                // A rung that a failure cut short was held like any other. A rung that an
                // interrupt cut short was not.
                if limit != Limit::Interrupted && !self.breaks_promise(p99) {
                    self.kept = self.running;
                }
                self.stop(limit)
            }
            _ => self.stop(Limit::Error),
        }
    }

    /// A rung that was not measured keeps no promise.
    fn breaks_promise(&self, p99: Option<Nanos>) -> bool {
        self.shape.slo.is_some_and(|most| p99.is_none_or(|p99| p99 > most))
    }

    fn stop(&self, limit: Limit) -> (State, Action) {
        // With a promise, the peak is the last rung that kept it.
        let peak = if self.shape.slo.is_some() { self.kept } else { self.running };
        (State::Stopping(Outcome { peak, limit }), Action::Stop)
    }
}

/// What one more instance takes, as measured on the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Arena bytes it holds once it runs.
    pub cost: Bytes,
    /// Arena bytes it needs while it starts: its cost and what it frees again.
    pub need: Bytes,
}

/// Predicts how a ramp will end from the first instance, which left `free` bytes:
///
/// ```text
/// peak = min(slots, 1 + (free < need ? 0 : 1 + (free - need) / cost))
/// ```
///
/// `limit` is `arena` where the arena ends it before the slots do.
///
/// The formula assumes that all `free` bytes are usable, wherever they lie. It can be too high
/// by one where holes are too small for an instance's largest block.
///
/// A run does better: it repeats the first instance's allocations on the arena itself
/// ([`how_many_more`](crate::runtime::Runtime::how_many_more)). This formula serves geometries
/// that are not run, and engines that do not say what they allocate. The end record shows the
/// measured peak beside the prediction.
#[must_use]
pub fn predict(free: Bytes, demand: Demand, slots: u32) -> Outcome {
    let more = if free.0 < demand.need.0 {
        0
    } else {
        (free.0 - demand.need.0)
            .checked_div(demand.cost.0)
            .map_or(u32::MAX, |n| n.saturating_add(1))
    };
    let fit = more.saturating_add(1);
    if fit >= slots {
        Outcome { peak: slots, limit: Limit::Slots }
    } else {
        Outcome { peak: fit, limit: Limit::Arena }
    }
}

/// Predicts how a ramp of several modules will end. Instance `n` runs module `n` mod
/// `demands.len()`. One instance of each module runs already, and `free` bytes are left.
///
/// With one demand it equals [`predict`]. With none it predicts no more than what runs.
#[must_use]
pub fn predict_set(free: Bytes, demands: &[Demand], slots: u32) -> Outcome {
    if let [demand] = demands {
        return predict(free, *demand, slots);
    }
    let mut free = free;
    let running = u32::try_from(demands.len()).unwrap_or(u32::MAX);
    for (instance, demand) in (running..slots).zip(demands.iter().cycle()) {
        if free < demand.need {
            return Outcome { peak: instance, limit: Limit::Arena };
        }
        free = free.saturating_sub(demand.cost);
    }
    Outcome { peak: slots, limit: Limit::Slots }
}
