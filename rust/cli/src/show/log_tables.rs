//! Tables of what logs say: summary, promises, steps, instances, workers, parts and costs.

use clap::ValueEnum;
use wramp_core::measure::Nanos;
use wramp_core::ramp::Limit;
use wramp_core::report::Run;

use crate::model::kept::{Kept, Kind, Rows};
use crate::model::log::Log;
use crate::model::promise;
use crate::model::run_log::{RampLog, RunLog};
use crate::show::costs::costs;
use crate::show::number;
use crate::show::table::CellStyle::{Micros, Name, Number as Count, Permille, Plain, Sentence};
use crate::show::table::{Column, Table, column};

const PLACE: [Column; 4] = [
    column("log", "log", Plain),
    column("run", "run", Count),
    column("board", "", Name),
    column("workload", "workload", Name),
];

const SUMMARY: &[Column] = &[
    column("peak", "peak", Count),
    column("limit", "limit", Name),
    column("predicted_peak", "predicted", Count),
    column("predicted_limit", "", Name),
    column("cost_bytes", "bytes each", Count),
    column("module_arena_bytes", "module bytes", Count),
    column("needed_bytes", "stack needed", Count),
    column("wasm_stack_bytes", "stack given", Count),
    column("calls", "calls", Count),
    column("errors", "errors", Count),
    column("over_budget", "over budget", Count),
    column("leaked_bytes", "leaked bytes", Count),
    column("stack_used_bytes", "slot stack used", Count),
    column("fairness", "fairness", Count),
    column("arena_free_bytes", "", Count),
    column("error", "failure", Name),
    column("message", "", Sentence),
];

const SLO: &[Column] = &[
    column("slo_us", "promised p99 us", Micros),
    column("of", "of a", Plain),
    column("peak", "peak", Count),
    column("limit", "limit", Name),
    column("p99_us", "p99 us", Micros),
];

const STEPS: &[Column] = &[
    column("instances", "instances", Count),
    column("running", "running", Count),
    column("arena_free_bytes", "free bytes", Count),
    column("arena_low_bytes", "low bytes", Count),
    column("arena_largest_bytes", "largest", Count),
    column("arena_blocks", "", Count),
    column("cost_bytes", "newest took", Count),
    column("start_us", "started in us", Micros),
    column("cpu_permille", "CPU %", Permille),
    column("uptime_ms", "at ms", Count),
    column("dwell_us", "", Micros),
    column("dwell_calls", "calls", Count),
    column("calls", "", Count),
    column("errors", "errors", Count),
    column("latency_mean_us", "mean us", Micros),
    column("latency_min_us", "", Micros),
    column("latency_p50_us", "p50 us", Micros),
    column("latency_p99_us", "p99 us", Micros),
    column("latency_max_us", "max us", Micros),
    column("turnaround_p50_us", "turnaround p50 us", Micros),
    column("turnaround_p99_us", "p99 us", Micros),
    column("turnaround_max_us", "max us", Micros),
    column("wake_p50_us", "wake p50 us", Micros),
    column("wake_p99_us", "p99 us", Micros),
    column("wake_max_us", "max us", Micros),
];

const PARKS: &[Column] = &[
    column("instances", "instances", Count),
    column("parked", "parked", Count),
    column("live", "live", Count),
    column("ended", "ended", Count),
    column("restored", "restored", Count),
    column("instance_bytes", "bytes each", Count),
    column("judge_bytes", "", Count),
    column("budget_bytes", "may park", Count),
    column("parked_p50_bytes", "parked p50", Count),
    column("parked_p99_bytes", "p99", Count),
    column("parked_max_bytes", "max", Count),
    column("dirty_mean_bytes", "dirty a call", Count),
    column("dirty_max_bytes", "max", Count),
    column("revivals", "", Count),
    column("revivals_per_s", "revivals/s", Count),
    column("park_mean_us", "", Micros),
    column("park_p50_us", "park p50 us", Micros),
    column("park_p99_us", "p99 us", Micros),
    column("revive_mean_us", "", Micros),
    column("revive_p50_us", "revive p50 us", Micros),
    column("revive_p99_us", "p99 us", Micros),
];

const MESSAGES: &[Column] = &[
    column("sent", "sent", Count),
    column("sent_per_second", "a second", Count),
    column("received", "received", Count),
    column("unread", "unread", Count),
    column("dropped", "dropped", Count),
    column("full", "found it full", Count),
    column("queue_bytes", "queue bytes", Count),
    column("queue_most_bytes", "most held", Count),
    column("delivery_p50_us", "delivery p50 us", Micros),
    column("delivery_p99_us", "p99 us", Micros),
    column("delivery_max_us", "max us", Micros),
];

const STARTS: &[Column] = &[
    column("phase", "phase", Name),
    column("count", "times", Count),
    column("mean_us", "mean us", Micros),
    column("p50_us", "p50 us", Micros),
    column("p99_us", "p99 us", Micros),
    column("max_us", "max us", Micros),
];

const INSTANCES: &[Column] = &[
    column("id", "instance", Count),
    column("slot", "slot", Count),
    column("alive_ms", "alive ms", Count),
    column("calls", "calls", Count),
    column("errors", "errors", Count),
    column("latency_mean_us", "mean us", Micros),
    column("latency_min_us", "", Micros),
    column("latency_p50_us", "p50 us", Micros),
    column("latency_p99_us", "p99 us", Micros),
    column("latency_max_us", "max us", Micros),
    column("stack_used_bytes", "stack used", Count),
    column("result", "result", Name),
    column("error", "error", Name),
    column("message", "message", Sentence),
];

const WORKERS: &[Column] = &[
    column("slot", "slot", Count),
    column("calls", "calls", Count),
    column("stack_used_bytes", "stack used", Count),
];

const PARTS: &[Column] = &[column("part", "part", Name), column("bytes", "bytes", Count)];

/// A table of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogTable {
    /// One row a ramp: peak, limit, cost, errors, leaks, fairness
    Summary,
    /// One row a promise: the peak with which `wramp run --slo-us` would have ended
    Slo,
    /// One row a rung
    Steps,
    /// One row a rung of a park: bytes of the parked states, and what parking takes
    Parks,
    /// One row a ramp whose guests sent messages: how many, how fast, how long they took
    Messages,
    /// What starts and ends take: load, instantiation, first call, teardown
    Starts,
    /// One row an instance
    Instances,
    /// One row a worker of a pool
    Workers,
    /// What an instance's bytes are for
    Parts,
    /// One row a log: bytes of an instance, how many fit, time of a call
    Costs,
}

/// The tables that are shown where none is asked for, in their order.
pub const ALL: [LogTable; 9] = [
    LogTable::Summary,
    LogTable::Slo,
    LogTable::Steps,
    LogTable::Parks,
    LogTable::Messages,
    LogTable::Starts,
    LogTable::Instances,
    LogTable::Workers,
    LogTable::Parts,
];

impl LogTable {
    /// Its name, title and own columns.
    fn shape(self) -> (&'static str, &'static str, &'static [Column]) {
        match self {
            Self::Summary => ("summary", "Summary", SUMMARY),
            Self::Slo => ("slo", "Promises", SLO),
            Self::Steps => ("steps", "Steps", STEPS),
            Self::Parks => ("parks", "Parking", PARKS),
            Self::Messages => ("messages", "Messages", MESSAGES),
            Self::Starts => ("starts", "Starts and ends", STARTS),
            Self::Instances => ("instances", "Instances", INSTANCES),
            Self::Workers => ("workers", "Workers", WORKERS),
            Self::Parts => ("parts", "Parts of an instance", PARTS),
            Self::Costs => ("costs", "Costs", &[]),
        }
    }

    /// This table of all runs of these logs.
    #[must_use]
    pub fn of(self, logs: &[Log]) -> Table {
        self.under(logs, &[])
    }

    /// The same. [`Slo`](Self::Slo) uses these promises, or those that each ramp's own range
    /// suggests where there are none.
    #[must_use]
    pub fn under(self, logs: &[Log], promises: &[Nanos]) -> Table {
        if self == Self::Costs {
            return costs(logs, false);
        }
        let (name, title, own) = self.shape();
        let mut columns = PLACE.to_vec();
        // A person needs the log and the run only where there are several.
        if logs.len() < 2 {
            columns[0].heading = "".into();
        }
        if logs.iter().all(|log| log.runs.len() < 2) {
            columns[1].heading = "".into();
        }
        columns.extend_from_slice(own);
        let (mut rows, mut sums) = (Vec::new(), Vec::new());
        for log in logs {
            for (number, run) in log.runs.iter().enumerate() {
                for ramp in &run.ramps {
                    let place = |workload: &str| {
                        let number = (number + 1).to_string();
                        [&*log.name, &*number, run.board(), workload].map(|s| Some(s.to_owned()))
                    };
                    self.rows(ramp, promises, &mut |workload, cells, is_sum| {
                        if is_sum {
                            sums.push(rows.len());
                        }
                        rows.push(place(workload).into_iter().chain(cells).collect());
                    });
                }
            }
        }
        let title = match logs {
            [log] => format!("{title} of {}{}", log.name, machine(log.best())),
            _ => title.into(),
        };
        Table { name, title, columns, rows, sums, ..Table::default() }
    }

    fn rows(self, ramp: &RampLog, promises: &[Nanos], push: &mut Push<'_>) {
        let (_, _, own) = self.shape();
        match self {
            Self::Summary => push(&ramp.workload, summary(ramp), false),
            Self::Slo => {
                let own = if promises.is_empty() { promise::ladder(ramp) } else { vec![] };
                for &promise in promises.iter().chain(&own) {
                    push(&ramp.workload, under(ramp, promise), false);
                }
            }
            Self::Steps => records(&ramp.steps, own, push),
            Self::Parks => records(&ramp.parks, own, push),
            Self::Messages => records(&ramp.mails, own, push),
            Self::Starts => starts(ramp, push),
            Self::Instances => records(&ramp.instances, own, push),
            Self::Workers => records(&ramp.workers, own, push),
            Self::Costs => {}
            Self::Parts => {
                for (workload, parts) in ramp.parts() {
                    let row = |part: &str, bytes: u32| {
                        vec![Some(part.to_owned()), Some(bytes.to_string())]
                    };
                    for &(part, bytes) in &parts {
                        push(workload, row(part, bytes), false);
                    }
                    push(workload, row(SUM, parts.iter().map(|(_, bytes)| bytes).sum()), true);
                }
            }
        }
    }
}

/// Takes a row: its workload, its own cells, and whether it adds up the rows before it.
type Push<'p> = dyn FnMut(&str, Vec<Option<String>>, bool) + 'p;

/// The name of the row that adds up an instance's parts; only a person sees it.
const SUM: &str = "sum";

fn records<K: Kind>(rows: &Rows<K>, own: &[Column], push: &mut Push<'_>) {
    for row in rows.iter() {
        push(row.value("workload").unwrap_or("?"), cells(row, own), false);
    }
}

/// The load of each module, and what the starts and ends of the instances took.
fn starts(ramp: &RampLog, push: &mut Push<'_>) {
    for load in &ramp.loads {
        let Some(took) = load.value("load_us") else { continue };
        let took = || Some(took.to_owned());
        let row = vec![Some("load".into()), Some("1".into()), took(), took(), took(), took()];
        push(load.value("workload").unwrap_or("?"), row, false);
    }
    if let Some(times) = ramp.start_times() {
        let row = ["start".to_owned(), times.count.to_string()];
        let figures = [times.mean, times.p50, times.p99, times.max];
        push(&ramp.workload, row.into_iter().chain(figures.map(micros)).map(Some).collect(), false);
    }
    for row in &ramp.starts {
        push(&ramp.workload, cells(row, STARTS), false);
    }
}

/// Nanoseconds as a record has microseconds.
fn micros(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1000, nanos % 1000)
}

fn cells<K: Kind>(record: &Kept<K>, columns: &[Column]) -> Vec<Option<String>> {
    columns.iter().map(|column| record.value(&column.key).map(Into::into)).collect()
}

/// The cells of a promise's row.
fn under(ramp: &RampLog, promise: Nanos) -> Vec<Option<String>> {
    let kept = promise::kept(ramp, promise);
    vec![
        Some((promise.0 / 1000).to_string()),
        promise::subject(ramp).map(Into::into),
        Some(kept.peak.to_string()),
        Some(kept.limit.map_or("unfinished", Limit::as_str).into()),
        kept.p99.map(|p99| format!("{}.{:03}", p99.0 / 1000, p99.0 % 1000)),
    ]
}

fn summary(ramp: &RampLog) -> Vec<Option<String>> {
    let end = ramp.end.as_ref();
    let newest = ramp.steps.last();
    let predicted = ramp.predict.as_ref();
    SUMMARY
        .iter()
        .map(|column| {
            let text = |text: &str| text.to_owned();
            match &*column.key {
                "peak" => Some(ramp.peak().to_string()),
                "limit" => Some(end.and_then(|e| e.value("limit")).unwrap_or("unfinished").into()),
                "predicted_peak" => predicted.and_then(|p| p.value("peak")).map(text),
                "predicted_limit" => predicted.and_then(|p| p.value("limit")).map(text),
                "cost_bytes" => ramp.cost_bytes().map(text),
                "module_arena_bytes" => ramp.module_arena_bytes().map(|bytes| bytes.to_string()),
                // Modules side by side have one each.
                key @ ("needed_bytes" | "wasm_stack_bytes") => match ramp.fits.as_slice() {
                    [fit] => fit.value(key).map(text),
                    _ => None,
                },
                "stack_used_bytes" => ramp.stack_used().map(|bytes| bytes.to_string()),
                // An unfinished ramp says what its newest rung knew.
                key @ ("calls" | "errors") => end
                    .and_then(|e| e.value(key))
                    .or_else(|| newest.and_then(|step| step.value(key)))
                    .map(text),
                key => end.and_then(|e| e.value(key)).map(text),
            }
        })
        .collect()
}

/// `24 slots of 4,096 B`, `4 workers of 4,096 B`.
#[must_use]
pub fn places(run: &Run<'_>) -> String {
    let stack = number::count(run.slot_stack_bytes);
    match run.workers {
        Some(0) => "residents without workers".to_owned(),
        Some(workers) => format!("{workers} workers of {stack} B"),
        None => format!("{} slots of {stack} B", number::count(run.slots)),
    }
}

/// `wamr 2.4.5 classic`.
#[must_use]
pub fn engine(run: &Run<'_>) -> String {
    let [name, version, interpreter] =
        [run.runtime, run.runtime_version, run.interpreter].map(|word| word.readable());
    format!("{name} {version} {interpreter}")
}

/// `: linux, wamr 2.4.5 classic, arena 196,608 B, 24 slots of 4,096 B`.
fn machine(run: Option<&RunLog>) -> String {
    let Some(header) = run.and_then(|run| run.header.as_ref()) else { return String::new() };
    let header = header.get();
    format!(
        ": {}, {}, arena {} B, {}",
        header.board.readable(),
        engine(&header),
        number::count(header.arena_bytes),
        places(&header),
    )
}
