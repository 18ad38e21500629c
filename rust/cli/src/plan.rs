//! `wramp plan`: peak and limit of a geometry that was not run, from measured costs.
//!
//! The formula is core's ([`wramp_core::ramp::predict`]); what is added here is how
//! its three figures change with the geometry. A larger arena is so many bytes more
//! free, a larger interpreter stack costs so many bytes more an instance (or a worker),
//! in steps of 8 as WAMR allocates. Nothing else is assumed, and latency is not predicted.
//! Of a slot's stack a log says how much is safe ([`SlotStack`]).

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use wramp_core::config::{Config, Knob, MIN_ARENA_BYTES, Mode, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::ramp::{Demand, Limit, predict};
use wramp_core::report::{Plan, Record, Run, Word};
use wramp_core::runtime::ErrorKind;
use wramp_host::machine::MAX_RESIDENTS;

use crate::geometry::{Geometry, ModeName, WORKERS, WasmStack, bytes};
use crate::log::{Log, Ramp, RunLog};
use crate::table::{Column, Show, Table, column, grouped, parts, stack_used};
use crate::{Outcome, Problem, print};

/// How to write a prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned text, with the formula filled in
    #[default]
    Table,
    /// `wramp plan` records
    Records,
    /// Comma-separated values
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// Options of `wramp plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp plan --from run.log --arena-bytes 128K --slots 16
  wramp plan --from results/linux/2026-01-31-1a2b3c4 --workload cpu --sweep
  wramp plan --from run.log --workload cpu --peak 40
  wramp plan --from run.log --budget-bytes 288K --slot-stack-bytes 2K --wasm-stack-bytes 512")]
pub struct PlanArgs {
    /// The log that costs are taken from: a file, - for stdin, or a saved run's directory
    #[arg(long, value_name = "LOG")]
    pub from: String,
    /// The geometry to predict; what is not given is as in the log
    #[command(flatten)]
    pub geometry: Geometry,
    /// A table over arenas and slots
    #[arg(long, conflicts_with_all = ["budget_bytes", "peak"])]
    pub sweep: bool,
    /// Arenas of the sweep
    #[arg(
        long,
        value_name = "BYTES,...",
        value_delimiter = ',',
        value_parser = bytes,
        default_value = "64K,96K,128K,192K,256K,384K,512K"
    )]
    pub sweep_arenas: Vec<u32>,
    /// Slots of the sweep; of a pool, its workers
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "4,8,16,24,32,48,64")]
    pub sweep_slots: Vec<u32>,
    /// The smallest geometry that reaches this peak
    #[arg(long, value_name = "N", conflicts_with = "budget_bytes")]
    pub peak: Option<u32>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// One execution environment: a block of the arena.
#[derive(Clone, Copy, Debug)]
pub struct Environment {
    /// Bytes in it, its interpreter stack among them.
    pub content: u32,
    /// Bytes of that stack.
    pub stack: u32,
    /// What the allocator rounds a block to.
    pub round: u32,
}

impl Environment {
    /// Bytes of the block, its header of 8 included, with this or another stack.
    fn block(&self, stack: Option<u32>) -> i64 {
        let more = align8(stack.unwrap_or(self.stack)) - align8(self.stack);
        let bytes = (i64::from(self.content) + 8 + more).max(0);
        let round = i64::from(self.round.max(1));
        (bytes + round - 1) / round * round
    }
}

/// Bytes of a board's stack that WAMR keeps free below a call: `WAMR_BUILD_STACK_GUARD_SIZE`
/// in `src/wamr.cmake`, which no knob changes.
pub const STACK_GUARD: u32 = 1024;

/// The board that is this machine.
const HOST: &str = "linux";

/// Least bytes of a slot's stack with which a run begins: `--slot-stack-bytes` takes no less.
const LEAST_STACK: u32 = 2048;
/// The same where frames are larger: `WRAMP_SLOT_STACK_LEAST` in `Kconfig`, for Xtensa and for
/// 64 bits. All others are below [`LEAST_STACK`].
const LEAST_LARGE_STACK: u32 = 3072;
/// What is added where each instance loads a module on its own thread.
const LOAD_STACK: u32 = 1024;

/// A slot's stack, as the log of a board knows it. A host's stacks say nothing of a board's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotStack {
    /// Bytes that it was given.
    pub given: u32,
    /// Most bytes that any slot's held.
    pub used: u32,
    /// Whether all calls went right in it, so that the engine found its guard free.
    pub sufficed: bool,
    /// Least bytes with which a run begins on that board.
    pub least: u32,
}

impl SlotStack {
    /// What a ramp says of it; `None` where no high-water mark is known, or of no board.
    #[must_use]
    pub fn of(run: &Run<'_>, ramp: &Ramp) -> Option<Self> {
        let board = run.board.0;
        let used = stack_used(ramp).filter(|_| board != HOST)?;
        let end = ramp.end.as_ref().map(|end| end.get());
        // SoCs with an Xtensa; no record names the architecture.
        let is_xtensa = |part| matches!(part, "esp32" | "esp32s2" | "esp32s3");
        let is_large = run.pointer_bits == 64 || board.split('/').any(is_xtensa);
        let least = if is_large { LEAST_LARGE_STACK } else { LEAST_STACK };
        let load = if run.scenario.0 == Scenario::Private.as_str() { LOAD_STACK } else { 0 };
        Some(Self {
            given: run.slot_stack_bytes.0,
            used,
            sufficed: end.is_some_and(|end| {
                let overflow = end.error.is_some_and(|e| e.0 == ErrorKind::NativeStack.as_str());
                end.calls > 0 && end.errors == 0 && !overflow
            }),
            least: least + load,
        })
    }

    /// The smallest stack that is known to do, in whole 64 bytes, and why it does:
    ///
    /// `max(least, used + used / 4, used + STACK_GUARD)`, with `given` in place of
    /// `used + STACK_GUARD` where that is less and sufficed.
    ///
    /// Before it interprets, WAMR compares the address of a local variable with the end of the
    /// stack and [`STACK_GUARD`] (`wasm_runtime_detect_native_stack_overflow`). How deep that
    /// check is no log says, but no deeper than the high-water mark, for the variable was
    /// written: with the guard below the mark it passes. It passed in a stack that sufficed, so
    /// no more than that is needed either. A quarter of what was used stays free in any case,
    /// for what interrupts a thread at its deepest and did not in that run.
    #[must_use]
    pub fn safe(&self) -> (u32, &'static str) {
        let guarded = self.used.saturating_add(STACK_GUARD);
        let quarter = self.used.saturating_add(self.used.div_ceil(4));
        let checked = if self.sufficed && self.given < guarded {
            (self.given, "all calls went right in it")
        } else {
            (guarded, "both together")
        };
        [(self.least, "no run begins with less"), (quarter, "what was used and a quarter"), checked]
            .map(|(bytes, why)| (bytes.div_ceil(64).saturating_mul(64), why))
            .into_iter()
            .fold((0, ""), |most, one| if one.0 >= most.0 { one } else { most })
    }

    /// One stack for both: what either used, sufficient where both were.
    fn and(self, other: Self) -> Self {
        Self {
            given: self.given.max(other.given),
            used: self.used.max(other.used),
            sufficed: self.sufficed && other.sufficed,
            least: self.least.max(other.least),
        }
    }
}

/// What a log measured of one workload.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The workload.
    pub workload: String,
    /// The geometry it was measured in.
    pub config: Config,
    /// Cost and need of one more instance; of a set where `set` is more than 1.
    pub demand: Demand,
    /// Free bytes after the first instance (or set).
    pub free: Bytes,
    /// Modules side by side: instances come in sets of so many.
    pub set: u32,
    /// Environments of a set, where the log says what a cost consists of.
    pub environments: Vec<Environment>,
    /// Most residents that a pool's queue holds there.
    pub residents: u32,
    /// A slot's stack, where a board's log says what it held.
    pub slot_stack: Option<SlotStack>,
}

/// What a geometry would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Instances.
    pub peak: u32,
    /// What stops the next one.
    pub limit: Limit,
    /// Free bytes after the first instance; negative where it does not fit.
    pub free: i64,
    /// Cost and need in this geometry.
    pub demand: Demand,
}

fn align8(bytes: u32) -> i64 {
    i64::from(bytes).div_euclid(8) * 8 + if bytes.is_multiple_of(8) { 0 } else { 8 }
}

fn clamped(bytes: i64) -> Bytes {
    Bytes(u32::try_from(bytes.max(0)).unwrap_or(u32::MAX))
}

fn workers(mode: Mode) -> Option<i64> {
    match mode {
        Mode::Threads => None,
        Mode::Pool { workers } => Some(i64::from(workers)),
    }
}

impl Measured {
    /// What a finished or unfinished ramp measured; `None` before its prediction.
    #[must_use]
    pub fn of(run: &Run<'_>, ramp: &Ramp) -> Option<Self> {
        let predict = ramp.predict.as_ref()?.get();
        let mut config = config_of(run);
        if let [fit] = ramp.fits.as_slice() {
            config.wasm_stack = fit.get().wasm_stack_bytes;
        }
        // One block each: 8 bytes of header, rounded to what the allocator rounds to.
        let is_here = run.board.0 == HOST;
        let round = if is_here { run.pointer_bits / 4 } else { 8 }.max(8);
        let mut environments = Vec::new();
        for (_, parts) in parts(ramp) {
            let bytes =
                |name| parts.iter().filter(|(part, _)| *part == name).map(|(_, b)| *b).sum();
            let stack: u32 = bytes("wasm-stack");
            let content = bytes("environment") + bytes("block-cache") + stack;
            if content > 0 {
                let stack = if stack > 0 { stack } else { config.wasm_stack.0 };
                environments.push(Environment { content, stack, round });
            }
        }
        // A pool's are no part of an instance: they came between the load and the first one.
        if let (Mode::Pool { workers }, true, [load]) =
            (config.mode, environments.is_empty(), ramp.loads.as_slice())
        {
            let resident = predict.arena_free_bytes.0 + predict.cost_bytes.0;
            let all = load.get().arena_free_bytes.0.checked_sub(resident)?;
            if let Some(content) = (all / workers.max(1)).checked_sub(8).filter(|bytes| *bytes > 0)
            {
                environments.push(Environment { content, stack: config.wasm_stack.0, round });
            }
        }
        Some(Self {
            workload: ramp.workload.clone(),
            config,
            demand: Demand { cost: predict.cost_bytes, need: predict.need_bytes },
            free: predict.arena_free_bytes,
            set: u32::try_from(ramp.loads.len()).unwrap_or(1).max(1),
            environments,
            residents: if is_here {
                MAX_RESIDENTS as u32
            } else {
                run.residents.unwrap_or(u32::MAX)
            },
            slot_stack: SlotStack::of(run, ramp),
        })
    }

    /// Bytes of a set's environments as they were and as they would be; `None` where the
    /// log does not say.
    fn environments(&self, config: &Config) -> Option<(i64, i64)> {
        let changed = config.wasm_stack != self.config.wasm_stack;
        let new = changed.then_some(config.wasm_stack.0);
        let all = &self.environments;
        let was = all.iter().map(|environment| environment.block(None)).sum();
        let is = all.iter().map(|environment| environment.block(new)).sum();
        (!all.is_empty()).then_some((was, is))
    }

    /// Demand and free bytes in another geometry, the arena's size aside.
    fn costs(&self, config: &Config) -> Result<(i64, i64, i64), Problem> {
        let (cost, need) = (i64::from(self.demand.cost.0), i64::from(self.demand.need.0));
        let free = i64::from(self.free.0);
        let more = align8(config.wasm_stack.0) - align8(self.config.wasm_stack.0);
        let known = self.environments(config);
        Ok(match (workers(self.config.mode), workers(config.mode), known) {
            (None, None, _) => {
                let more = known.map_or(i64::from(self.set) * more, |(was, is)| is - was);
                (cost + more, need + more, free - more)
            }
            (Some(before), Some(now), Some((was, is))) => {
                (cost, need, free + before * was - now * is)
            }
            (Some(before), Some(now), None) if before == now => (cost, need, free - now * more),
            (None, Some(now), Some((was, is))) => (cost - was, need - was, free + was - now * is),
            (Some(before), None, Some((was, is))) => {
                (cost + is, need + is, free + before * was - is)
            }
            (Some(_), Some(_), None) => return Err(self.unlike("workers")),
            (_, _, None) => return Err(self.unlike("mode")),
        })
    }

    /// How many may be there at most, whatever the arena.
    fn places(&self, config: &Config) -> u32 {
        match config.mode {
            Mode::Threads => (config.slots / self.set).max(1),
            // They cost no stack: the arena alone ends a pool, or its queue is full.
            Mode::Pool { .. } => self.residents,
        }
    }

    fn unlike(&self, knob: &str) -> Problem {
        Problem::new(format!(
            "{}: the log does not say what an environment costs, so another --{knob} cannot be \
             predicted from it: run that mode once and plan from its log",
            self.workload
        ))
    }

    /// Predicts.
    ///
    /// # Errors
    /// Where the log cannot say what the geometry changes.
    pub fn predict(&self, config: &Config) -> Result<Prediction, Problem> {
        let (cost, need, free) = self.costs(config)?;
        let free = free + i64::from(config.arena.0) - i64::from(self.config.arena.0);
        let demand = Demand { cost: clamped(cost), need: clamped(need) };
        let slots = self.places(config);
        if free < 0 || free + cost < need {
            return Ok(Prediction { peak: 0, limit: Limit::Arena, free, demand });
        }
        let outcome = predict(clamped(free), demand, slots);
        let peak = outcome.peak.saturating_mul(self.set);
        Ok(Prediction { peak, limit: outcome.limit, free, demand })
    }

    /// The smallest arena in which `peak` instances run, a multiple of 8.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn smallest_arena(&self, config: &Config, peak: u32) -> Result<i64, Problem> {
        let (cost, need, free) = self.costs(config)?;
        let sets = i64::from(peak.div_ceil(self.set));
        // predict(), solved for the free bytes after the first one.
        let wanted = if sets < 2 { (need - cost).max(0) } else { need + (sets - 2) * cost };
        let arena = i64::from(self.config.arena.0) - free + wanted;
        Ok((arena.max(i64::from(MIN_ARENA_BYTES)) + 7) / 8 * 8)
    }

    /// How to split a budget between stacks and arena for the highest peak; of equal
    /// ones the fewest stacks.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), or a budget that holds no stack and no arena.
    pub fn split(&self, config: &Config, budget: u32) -> Result<(Config, Prediction), Problem> {
        let stack = config.slot_stack.0.max(1);
        let arena_beside = |stacks: u32| {
            let stacks = stacks.checked_mul(stack)?;
            budget.checked_sub(stacks).filter(|&arena| arena >= MIN_ARENA_BYTES)
        };
        let mut best: Option<(Config, Prediction)> = None;
        let most = match config.mode {
            Mode::Threads => budget / stack,
            Mode::Pool { .. } => 1,
        };
        for slots in 1..=most {
            let slots = match config.mode {
                Mode::Threads => slots,
                Mode::Pool { workers } => workers,
            };
            let Some(arena) = arena_beside(slots) else { break };
            let tried = Config { arena: Bytes(arena), slots, ..*config };
            let prediction = self.predict(&tried)?;
            if best.is_none_or(|(_, best)| prediction.peak > best.peak) {
                best = Some((tried, prediction));
            } else if prediction.limit == Limit::Arena {
                break; // Fewer bytes of arena from here on.
            }
        }
        best.ok_or_else(|| {
            Problem::new(format!(
                "--budget-bytes {budget} holds no stack of {stack} bytes and an arena: raise it"
            ))
        })
    }

    /// The formula with its numbers.
    fn formula(&self, config: &Config, prediction: &Prediction) -> String {
        let number = |bytes: i64| grouped(&bytes.to_string());
        let cost = i64::from(prediction.demand.cost.0);
        let need = i64::from(prediction.demand.need.0);
        let mut text = format!(
            "{}: free = {} measured after the first {} in an arena of {}",
            self.workload,
            number(self.free.0.into()),
            if self.set > 1 { "set" } else { "instance" },
            number(self.config.arena.0.into()),
        );
        let grown = i64::from(config.arena.0) - i64::from(self.config.arena.0);
        if grown != 0 {
            let sign = if grown < 0 { '-' } else { '+' };
            let _ = write!(text, " {sign} {} of arena", number(grown.abs()));
        }
        let other = prediction.free - i64::from(self.free.0) - grown;
        if other != 0 {
            let sign = if other < 0 { '-' } else { '+' };
            let _ = write!(text, " {sign} {} of environment", number(other.abs()));
        }
        let _ = writeln!(text, " = {}", number(prediction.free));
        let places = match self.places(config) {
            u32::MAX => "places".into(),
            places => number(places.into()),
        };
        if prediction.peak == 0 {
            let _ = writeln!(
                text,
                "  the first needs {} and finds {}: peak 0",
                number(need),
                number(prediction.free + cost)
            );
        } else if prediction.free < need {
            let _ = writeln!(
                text,
                "  free < need of {}: peak = min({places}, 1){}",
                number(need),
                self.per_set()
            );
        } else {
            let _ = writeln!(
                text,
                "  peak = min({places}, 1 + 1 + ({} - {}) / {}) = min({places}, {}){} -> {}",
                number(prediction.free),
                number(need),
                number(cost),
                if cost > 0 { number(2 + (prediction.free - need) / cost) } else { "any".into() },
                self.per_set(),
                prediction.peak,
            );
        }
        text
    }

    fn per_set(&self) -> String {
        if self.set > 1 { format!(" sets of {}", self.set) } else { String::new() }
    }
}

/// The knobs that a log was made with.
#[must_use]
pub fn config_of(run: &Run<'_>) -> Config {
    let mode = match run.mode.0 {
        "pool" => Mode::Pool { workers: run.workers.unwrap_or(WORKERS) },
        _ => Mode::Threads,
    };
    Config {
        arena: run.arena_bytes,
        slots: run.slots,
        slot_stack: run.slot_stack_bytes,
        wasm_stack: run.wasm_stack_bytes,
        step: run.step,
        settle_ms: run.settle_ms,
        dwell_ms: run.dwell_ms,
        pause_ms: run.pause_ms,
        mode,
        slo: run.slo_us,
        ..Config::PUBLISHED
    }
}

fn measured(log: &Log, geometry: &Geometry) -> Result<Vec<Measured>, Problem> {
    let run: Option<&RunLog> = log.best();
    let Some(header) = run.and_then(|run| run.header.as_ref()) else {
        return Err(Problem::new(format!(
            "{}: its run record is missing, so its geometry is unknown: capture the whole run",
            log.name
        )));
    };
    let header = header.get();
    let ramps = run.map_or(&[][..], |run| &run.ramps);
    let mut all: Vec<_> = ramps.iter().filter_map(|ramp| Measured::of(&header, ramp)).collect();
    let mut wanted = geometry.workload.clone();
    if let Some(module) = &geometry.module {
        let stem = std::path::Path::new(module).file_stem();
        wanted
            .push(stem.map_or_else(|| module.clone(), |stem| stem.to_string_lossy().into_owned()));
    }
    for name in &wanted {
        if !all.iter().any(|measured| measured.workload == *name) {
            let known: Vec<_> = all.iter().map(|measured| &*measured.workload).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(Problem::new(format!(
                "{}: no costs of {name} in it (it has {known}): run it once and plan from that log",
                log.name
            )));
        }
    }
    if !wanted.is_empty() {
        all.retain(|measured| wanted.contains(&measured.workload));
    }
    if all.is_empty() {
        return Err(Problem::new(format!(
            "{}: no instance ran in it, so no cost is known: capture a longer run",
            log.name
        )));
    }
    Ok(all)
}

/// One predicted geometry of one workload.
struct Row<'m> {
    measured: &'m Measured,
    config: Config,
    prediction: Prediction,
}

const COLUMNS: &[Column] = &[
    column("workload", "workload", Show::Word),
    column("peak", "peak", Show::Number),
    column("limit", "limit", Show::Word),
    column("mode", "mode", Show::Word),
    column("arena_bytes", "arena", Show::Number),
    column("slots", "slots", Show::Number),
    column("workers", "workers", Show::Number),
    column("slot_stack_bytes", "slot stack", Show::Number),
    column("wasm_stack_bytes", "wasm stack", Show::Number),
    column("cost_bytes", "bytes each", Show::Number),
    column("need_bytes", "to start", Show::Number),
    column("total_bytes", "arena + stacks", Show::Number),
];

impl Row<'_> {
    fn stacks(&self) -> u32 {
        match self.config.mode {
            Mode::Threads => self.config.slots,
            Mode::Pool { workers } => workers,
        }
    }

    fn mode(&self) -> &'static str {
        match self.config.mode {
            Mode::Threads => "threads",
            Mode::Pool { .. } => "pool",
        }
    }

    fn cells(&self) -> Vec<Option<String>> {
        let Self { config, prediction, .. } = self;
        let stacks = u64::from(self.stacks()) * u64::from(config.slot_stack.0);
        let (slots, workers) = match config.mode {
            Mode::Threads => (Some(config.slots), None),
            Mode::Pool { workers } => (None, Some(workers)),
        };
        vec![
            Some(self.measured.workload.clone()),
            Some(prediction.peak.to_string()),
            Some(prediction.limit.to_string()),
            Some(self.mode().to_owned()),
            Some(config.arena.to_string()),
            slots.map(|slots| slots.to_string()),
            workers.map(|workers| workers.to_string()),
            Some(config.slot_stack.to_string()),
            Some(config.wasm_stack.to_string()),
            Some(prediction.demand.cost.to_string()),
            Some(prediction.demand.need.to_string()),
            Some((u64::from(config.arena.0) + stacks).to_string()),
        ]
    }

    fn record(&self) -> String {
        let Self { config, prediction, .. } = self;
        let record = Record::from(Plan {
            workload: Word(&self.measured.workload),
            peak: prediction.peak,
            limit: prediction.limit,
            mode: Word(self.mode()),
            arena_bytes: config.arena,
            slots: self.stacks(),
            slot_stack_bytes: config.slot_stack,
            wasm_stack_bytes: config.wasm_stack,
            cost_bytes: prediction.demand.cost,
            need_bytes: prediction.demand.need,
        });
        format!("{record}\n")
    }
}

fn pivot(measured: &Measured, rows: &[Row<'_>], args: &PlanArgs) -> Table {
    let mut columns = vec![column("arena_bytes", "arena", Show::Number)];
    columns.extend(args.sweep_slots.iter().map(|slots| Column {
        key: slots.to_string().into(),
        heading: match measured.config.mode {
            _ if args.geometry.mode == Some(ModeName::Pool) => format!("{slots} workers").into(),
            Mode::Pool { .. } if args.geometry.mode.is_none() => format!("{slots} workers").into(),
            _ => format!("{slots} slots").into(),
        },
        show: Show::Number,
    }));
    let line = |&arena: &u32| {
        let mut cells = vec![Some(arena.to_string())];
        cells.extend(args.sweep_slots.iter().map(|&slots| {
            rows.iter()
                .find(|row| {
                    row.measured.workload == measured.workload
                        && row.config.arena.0 == arena
                        && row.config.slots == slots
                })
                .map(|row| {
                    let full = row.prediction.limit != Limit::Arena;
                    format!("{}{}", row.prediction.peak, if full { " " } else { "*" })
                })
        }));
        cells
    };
    Table {
        name: "sweep",
        title: format!("Peaks of {} by arena and slots (* the arena ends it)", measured.workload),
        columns,
        rows: args.sweep_arenas.iter().map(line).collect(),
        sums: Vec::new(),
    }
}

/// `wramp plan`.
///
/// # Errors
/// A log without costs, or a geometry that it says nothing about.
pub fn execute(args: &PlanArgs) -> Outcome {
    let log = Log::open(&args.from)?;
    let all = measured(&log, &args.geometry)?;
    if args.geometry.wasm_stack_bytes == Some(WasmStack::Fit)
        && !log.best().is_some_and(|run| run.ramps.iter().any(|ramp| !ramp.fits.is_empty()))
    {
        return Err(Problem::new(format!(
            "--wasm-stack-bytes fit: {} does not say what fits; make it with the same option",
            log.name
        )));
    }
    let mut rows = Vec::new();
    for measured in &all {
        let config = args.geometry.config(measured.config)?;
        check_stack(measured, &config)?;
        let mut push = |config: Config| -> Result<(), Problem> {
            let prediction = measured.predict(&config)?;
            rows.push(Row { measured, config, prediction });
            Ok(())
        };
        if let Some(budget) = args.geometry.budget_bytes {
            push(measured.split(&config, budget)?.0)?;
        } else if let Some(peak) = args.peak {
            if peak == 0 {
                return Err(Problem::new("--peak 0: at least 1"));
            }
            let arena = measured.smallest_arena(&config, peak)?;
            let Ok(arena) = u32::try_from(arena) else {
                return Err(Problem::new(format!("--peak {peak} needs an arena beyond 4 GiB")));
            };
            push(Config { arena: Bytes(arena), slots: peak, ..config })?;
        } else if args.sweep {
            for &arena in &args.sweep_arenas {
                for &slots in &args.sweep_slots {
                    let mode = match config.mode {
                        Mode::Threads => Mode::Threads,
                        Mode::Pool { .. } => Mode::Pool { workers: slots },
                    };
                    push(Config { arena: Bytes(arena), slots, mode, ..config })?;
                }
            }
        } else {
            push(config)?;
        }
    }
    let table = Table {
        name: "plan",
        title: format!("Predicted from {}", log.name),
        columns: COLUMNS.to_vec(),
        rows: rows.iter().map(Row::cells).collect(),
        sums: Vec::new(),
    };
    let text = match args.format {
        Format::Records => rows.iter().map(Row::record).collect(),
        Format::Csv => table.csv(),
        Format::Jsonl => table.jsonl(),
        Format::Table if args.sweep => {
            let tables = all.iter().map(|measured| pivot(measured, &rows, args).text());
            tables.collect::<Vec<_>>().join("\n")
        }
        Format::Table => {
            let mut text = table.text();
            text.push_str(
                "\npeak = min(slots, 1 + (free < need ? 0 : 1 + (free - need) / cost))\n",
            );
            for row in &rows {
                text.push_str(&row.measured.formula(&row.config, &row.prediction));
            }
            text.push_str(&advice(&log, &all));
            text
        }
    };
    print(&text)?;
    if args.geometry.slo_us.is_some() {
        eprintln!("wramp: --slo-us: latency is not predicted; run it");
    }
    if let (Some(asked), Some(stack)) = (args.geometry.slot_stack_bytes, common_stack(&all)) {
        let (safe, _) = stack.safe();
        if asked < safe {
            eprintln!(
                "wramp: {} {asked}: the engine may refuse a call in it; {safe} is safe",
                Knob::SlotStack.option()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a slot's stack in which the board that was measured would not begin, or that
/// holds less than was used.
fn check_stack(measured: &Measured, config: &Config) -> Result<(), Problem> {
    let least = measured.slot_stack.map_or(0, |stack| stack.least.max(stack.used.min(stack.given)));
    if config.slot_stack.0 >= least {
        return Ok(());
    }
    Err(Problem::new(format!(
        "{} is too small: at least {least} on the board of this log, of which the engine keeps \
         {STACK_GUARD} free",
        Knob::SlotStack.option()
    )))
}

/// A slot's stack that serves all of them.
fn common_stack(all: &[Measured]) -> Option<SlotStack> {
    all.iter().filter_map(|measured| measured.slot_stack).reduce(SlotStack::and)
}

/// What the stacks that were reserved could be.
fn advice(log: &Log, all: &[Measured]) -> String {
    let number = |bytes: u32| grouped(&bytes.to_string());
    if let Some(stack) = common_stack(all) {
        let (safe, why) = stack.safe();
        format!(
            "\nslot stack: at most {} of {} bytes were used, and the engine keeps {} free below a \
             call; {} is safe ({why})\n",
            number(stack.used),
            number(stack.given),
            number(STACK_GUARD),
            number(safe),
        )
    } else if log.best().is_some_and(|run| run.board() == HOST) {
        "\nslot stack: this machine's says nothing of a board's; measure there\n".into()
    } else {
        String::new()
    }
}
