//! A run and its ramps, as the records of a log describe them.

use wramp_core::report::{Done, Word};

use crate::model::kept::{
    AnswerKind, EndKind, FaultKind, FitKind, InstanceKind, Kept, LoadKind, MailKind, MemberKind,
    ParkKind, PartKind, PredictKind, Rows, RunKind, StartKind, StepKind, WorkerKind,
};

/// One workload's ramp, as its records describe it.
#[derive(Clone, Debug, Default)]
pub struct RampLog {
    /// The workload as the ramp calls it (`cpu`, `mixed`, `cpu@core0`), as it stands in records.
    pub workload: String,
    /// Modules that were loaded for it; none where each instance loads its own.
    pub loads: Vec<Kept<LoadKind>>,
    /// Interpreter stacks that were fitted to the modules.
    pub fits: Vec<Kept<FitKind>>,
    /// What the first instance of each module says about the rest.
    pub predict: Option<Kept<PredictKind>>,
    /// What an instance's cost consists of.
    pub parts: Vec<Kept<PartKind>>,
    /// The rungs.
    pub steps: Rows<StepKind>,
    /// The instances.
    pub instances: Rows<InstanceKind>,
    /// What parking did, a row a rung.
    pub parks: Rows<ParkKind>,
    /// What the starts and ends of its instances took, a row a phase.
    pub starts: Vec<Kept<StartKind>>,
    /// The modules of a mix.
    pub members: Vec<Kept<MemberKind>>,
    /// The workers of a pool.
    pub workers: Rows<WorkerKind>,
    /// The messages of its guests.
    pub mails: Rows<MailKind>,
    /// What its first instance gave back.
    pub answer: Option<Kept<AnswerKind>>,
    /// How it ended, if it did.
    pub end: Option<Kept<EndKind>>,
}

/// What one module's instance consists of.
pub type Parts<'r> = (&'r str, Vec<(&'r str, u32)>);

/// How long a call takes on a ramp's first rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTime<'r> {
    /// Microseconds, as they stand in the record.
    pub text: &'r str,
    /// Whether this is the median, for want of the mean.
    ///
    /// Logs of format 1 have no mean. Their median is the middle of a bucket that is 4 % wide,
    /// so it differs from the calls' real time by up to 2 %.
    pub is_median: bool,
}

/// What starts took, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartTimes {
    /// How many there were.
    pub count: usize,
    /// The mean, rounded down.
    pub mean: u64,
    /// Half of them took at most this long.
    pub p50: u64,
    /// 99 of a hundred took at most this long.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl RampLog {
    /// The workload as a person reads it.
    #[must_use]
    pub fn name(&self) -> String {
        Word(&self.workload).readable().to_string()
    }

    /// Whether this is the ramp of that workload, named as in records or as a person reads it.
    #[must_use]
    pub fn is_of(&self, workload: &str) -> bool {
        self.workload == workload || self.name() == workload
    }

    /// Most instances at a time: as the end record says, or as many as were seen.
    #[must_use]
    pub fn peak(&self) -> u32 {
        match &self.end {
            Some(end) => end.get().peak,
            None => self.steps.iter().map(|step| step.get().instances).max().unwrap_or(0),
        }
    }

    /// How many modules run side by side.
    #[must_use]
    pub fn set(&self) -> usize {
        self.loads.len().max(1)
    }

    /// Arena bytes of the modules that were loaded for it; `None` where no load was recorded.
    #[must_use]
    pub fn module_arena_bytes(&self) -> Option<u64> {
        let bytes = self.loads.iter().map(|load| u64::from(load.get().arena_bytes.0));
        (!self.loads.is_empty()).then(|| bytes.sum())
    }

    /// Arena bytes of one more instance; of a whole set where several modules run side by side.
    ///
    /// The end record's figure is the newest instance's. In a set that is the cost of whichever
    /// module came last, so a set takes the figure of its prediction instead.
    #[must_use]
    pub fn cost_bytes(&self) -> Option<&str> {
        let predicted = self.predict.as_ref().and_then(|predict| predict.value("cost_bytes"));
        if self.set() > 1 {
            return predicted;
        }
        let end = self.end.as_ref().and_then(|end| end.value("cost_bytes"));
        end.or_else(|| self.steps.last().and_then(|step| step.value("cost_bytes"))).or(predicted)
    }

    /// Time of a call that has a core to itself, on the first rung: the mean, or in an older log
    /// the median.
    ///
    /// Where that rung has several threads already (a pool, or a step above 1), the mean is of
    /// calls that shared the core in time slices. Then it is the shortest call.
    #[must_use]
    pub fn call_time(&self) -> Option<CallTime<'_>> {
        let first = self.steps.iter().next()?;
        let of = |key, is_median| Some(CallTime { text: first.value(key)?, is_median });
        let step = first.get();
        let shared = step.running.unwrap_or(step.instances) > 1;
        let shortest = if shared { of("latency_min_us", false) } else { None };
        shortest.or_else(|| of("latency_mean_us", false)).or_else(|| of("latency_p50_us", true))
    }

    /// What the starts of its instances took, to the return of the first call. `None` where a
    /// step adds several instances, of which it tells the newest one's start alone.
    #[must_use]
    pub fn start_times(&self) -> Option<StartTimes> {
        let mut times: Vec<u64> = Vec::new();
        for step in self.steps.iter().map(|step| step.get()) {
            // A ramp holds its last rung twice.
            if step.instances as usize > times.len() {
                times.push(step.start_us?.0);
            }
            if step.instances as usize != times.len() {
                return None;
            }
        }
        let count = times.len();
        times.sort_unstable();
        let at =
            |percent: usize| times.get((count * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(StartTimes {
            count,
            mean: times.iter().sum::<u64>().checked_div(count as u64)?,
            p50: at(50)?,
            p99: at(99)?,
            max: at(100)?,
        })
    }

    /// Parts of an instance, module by module, in their order.
    #[must_use]
    pub fn parts(&self) -> Vec<Parts<'_>> {
        let mut all: Vec<Parts<'_>> = Vec::new();
        for record in self.parts.iter().map(|part| part.get()) {
            let part = (record.part.0, record.bytes.0);
            match all.last_mut() {
                Some((workload, parts)) if *workload == record.workload.0 => parts.push(part),
                _ => all.push((record.workload.0, vec![part])),
            }
        }
        all
    }

    /// Most bytes that any slot's stack held, an instance's or a worker's.
    #[must_use]
    pub fn stack_used(&self) -> Option<u32> {
        let instances = self.instances.iter().filter_map(|one| one.get().stack_used_bytes);
        let workers = self.workers.iter().filter_map(|one| one.get().stack_used_bytes);
        let all = self.end.as_ref().and_then(|end| end.get().stack_used_bytes);
        instances.chain(workers).chain(all).map(|bytes| bytes.0).max()
    }
}

/// One run: from its `run` record to its `done`, or to where the log was cut off.
#[derive(Clone, Debug, Default)]
pub struct RunLog {
    /// Number of the line in which it begins, from 1.
    pub line: u64,
    /// Machine, versions and knobs; absent where the log begins in the middle of a run.
    pub header: Option<Kept<RunKind>>,
    /// Its ramps, in order.
    pub ramps: Vec<RampLog>,
    /// What could not go on.
    pub faults: Vec<Kept<FaultKind>>,
    /// Its last record.
    pub done: Option<Done>,
    /// Number of the line in which the board began again before this run was done.
    pub reset: Option<u64>,
    /// Records of this run that could not be read.
    pub unread: u64,
    pub(super) pending: Pending,
}

/// Records that come before a ramp is named. Its modules may have other names than the ramp.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub(super) loads: Vec<Kept<LoadKind>>,
    pub(super) fits: Vec<Kept<FitKind>>,
    pub(super) parts: Vec<Kept<PartKind>>,
}

impl RunLog {
    /// The board as it stands in the record, or `?` where the log begins in the middle.
    #[must_use]
    pub fn board(&self) -> &str {
        self.key("board").unwrap_or("?")
    }

    /// A key of the run record.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<&str> {
        self.header.as_ref()?.value(key)
    }

    /// Whether a fault says why this workload did not run.
    #[must_use]
    pub fn has_fault(&self, workload: &str) -> bool {
        self.faults.iter().any(|fault| fault.value("workload") == Some(workload))
    }

    /// What is known to be missing from this run, in a sentence; `None` where nothing is.
    #[must_use]
    pub fn losses(&self) -> Option<String> {
        let mut lost = Vec::new();
        if self.unread > 0 {
            let records = if self.unread == 1 { "record" } else { "records" };
            lost.push(format!("{} {records} could not be read", self.unread));
        }
        // A ramp that could not begin has a fault in place of an end.
        let open = |ramp: &&RampLog| ramp.end.is_none() && !self.has_fault(&ramp.workload);
        for ramp in self.ramps.iter().filter(open) {
            lost.push(format!("the ramp of {} has no end", ramp.name()));
        }
        let ended = self.ramps.iter().filter(|ramp| ramp.end.is_some()).count();
        if let Some(done) = self.done.filter(|done| done.workloads as usize > ended)
            && lost.is_empty()
        {
            lost.push(format!("{} ramps ended, and only {ended} are here", done.workloads));
        }
        (!lost.is_empty()).then(|| lost.join(", "))
    }

    /// The ramp that a record of `workload` belongs to.
    pub(super) fn ramp(&mut self, workload: &str) -> &mut RampLog {
        let open =
            self.ramps.last().is_some_and(|ramp| ramp.end.is_none() && ramp.workload == workload);
        if !open {
            let Pending { loads, fits, parts } = std::mem::take(&mut self.pending);
            let workload = workload.into();
            self.ramps.push(RampLog { workload, loads, fits, parts, ..RampLog::default() });
        }
        let newest = self.ramps.len() - 1;
        &mut self.ramps[newest]
    }

    /// The ramp that is under way, if there is one: the record may be of one of its modules.
    pub(super) fn open(&mut self, workload: &str) -> &mut RampLog {
        let under_way =
            self.pending.loads.is_empty() && self.ramps.last().is_some_and(|r| r.end.is_none());
        if under_way {
            let newest = self.ramps.len() - 1;
            return &mut self.ramps[newest];
        }
        self.ramp(workload)
    }

    /// Makes a ramp of a module that was loaded and after which nothing came.
    pub(super) fn settle(&mut self) {
        if let Some(load) = self.pending.loads.last() {
            let workload = load.get().workload.0.to_owned();
            self.ramp(&workload);
        }
    }
}
