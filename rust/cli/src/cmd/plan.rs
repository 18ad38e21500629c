//! `wramp plan`: peak and limit of a geometry that was not run, from measured costs.
//!
//! It does not predict latency. For a slot's stack it says how small one may be
//! ([`SlotStack`]).

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use wramp_core::config::{Config, Knob, Mode, Park};
use wramp_core::measure::Bytes;
use wramp_core::ramp::Limit;
use wramp_core::report::{Plan, Record, Word};

use crate::model::geometry::{Geometry, ModeName, WasmStack, bytes, option};
use crate::model::log::Log;
use crate::model::measured::{Measured, Prediction};
use crate::model::slot_stack::{SlotStack, StackAdvice};
use crate::problem::{Outcome, Problem};
use crate::show::number::count;
use crate::show::record::RecordFormat;
use crate::show::table::{CellStyle, Column, Table, column};
use crate::show::terminal::{open, print};

/// Options of `wramp plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp plan --from run.log --arena-bytes 128K --slots 16
  wramp plan --from results/linux/2026-01-31-1a2b3c4 --workload cpu --sweep
  wramp plan --from run.log --workload cpu --peak 40
  wramp plan --from run.log --budget-bytes 288K --slot-stack-bytes 2K --wasm-stack-bytes 512")]
pub struct PlanArgs {
    /// The log with the measured costs: a file, - for stdin, or a saved run's directory
    #[arg(long, value_name = "LOG")]
    pub from: String,
    /// The geometry to predict; what is not given stays as in the log
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
    /// Slots of the sweep; in a pool its workers
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "4,8,16,24,32,48,64")]
    pub sweep_slots: Vec<u32>,
    /// The smallest geometry that reaches this peak
    #[arg(long, value_name = "N", conflicts_with = "budget_bytes")]
    pub peak: Option<u32>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: RecordFormat,
}

/// What the log measured of each workload that the options name.
fn measured(log: &Log, geometry: &Geometry) -> Result<Vec<Measured>, Problem> {
    let run = log.best();
    let Some(header) = run.and_then(|run| run.header.as_ref()) else {
        return Err(Problem::new(format!(
            "{}: its run record is missing, so its geometry is unknown: capture the whole run",
            log.name
        )));
    };
    let header = header.get();
    let mut ramps: Vec<_> = run.map_or(&[][..], |run| &run.ramps).iter().collect();
    ramps.retain(|ramp| Measured::of(&header, ramp).is_some());
    let mut wanted = geometry.workload.clone();
    if let Some(module) = &geometry.module {
        let stem = std::path::Path::new(module).file_stem();
        wanted
            .push(stem.map_or_else(|| module.clone(), |stem| stem.to_string_lossy().into_owned()));
    }
    for name in &wanted {
        if !ramps.iter().any(|ramp| ramp.is_of(name)) {
            let known: Vec<_> = ramps.iter().map(|ramp| ramp.name()).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(Problem::new(format!(
                "{}: no costs of {name} in it (it has {known}): run it once and plan from that log",
                log.name
            )));
        }
    }
    if !wanted.is_empty() {
        ramps.retain(|ramp| wanted.iter().any(|name| ramp.is_of(name)));
    }
    if ramps.is_empty() {
        return Err(Problem::new(format!(
            "{}: no instance ran in it, so no cost is known: capture a longer run",
            log.name
        )));
    }
    Ok(ramps.into_iter().filter_map(|ramp| Measured::of(&header, ramp)).collect())
}

/// One predicted geometry of one workload.
struct Row<'m> {
    measured: &'m Measured,
    config: Config,
    prediction: Prediction,
}

const COLUMNS: &[Column] = &[
    column("workload", "workload", CellStyle::Name),
    column("peak", "peak", CellStyle::Number),
    column("limit", "limit", CellStyle::Name),
    column("mode", "mode", CellStyle::Name),
    column("arena_bytes", "arena", CellStyle::Number),
    column("slots", "slots", CellStyle::Number),
    column("workers", "workers", CellStyle::Number),
    column("slot_stack_bytes", "slot stack", CellStyle::Number),
    column("wasm_stack_bytes", "wasm stack", CellStyle::Number),
    column("cost_bytes", "bytes each", CellStyle::Number),
    column("need_bytes", "to start", CellStyle::Number),
    column("total_bytes", "arena + stacks", CellStyle::Number),
];

impl Row<'_> {
    fn stacks(&self) -> u32 {
        match self.config.mode {
            Mode::Threads => self.config.slots,
            Mode::Pool { workers } | Mode::Park(Park { workers, .. }) => workers,
            Mode::Cooperative => 0,
        }
    }

    fn mode(&self) -> &'static str {
        self.config.mode.as_str()
    }

    fn cells(&self) -> Vec<Option<String>> {
        let Self { config, prediction, .. } = self;
        let stacks = u64::from(self.stacks()) * u64::from(config.slot_stack.0);
        let (slots, workers) = match config.mode {
            Mode::Threads => (Some(config.slots), None),
            Mode::Pool { workers } | Mode::Park(Park { workers, .. }) => (None, Some(workers)),
            Mode::Cooperative => (None, None),
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
            Some(self.measured.wasm_stack(config).to_string()),
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
            wasm_stack_bytes: Bytes(self.measured.wasm_stack(config)),
            cost_bytes: prediction.demand.cost,
            need_bytes: prediction.demand.need,
        });
        format!("{record}\n")
    }
}

fn pivot(measured: &Measured, rows: &[Row<'_>], args: &PlanArgs) -> Table {
    let mut columns = vec![column("arena_bytes", "arena", CellStyle::Number)];
    columns.extend(args.sweep_slots.iter().map(|slots| Column {
        key: slots.to_string().into(),
        heading: match measured.config.mode {
            _ if args.geometry.mode == Some(ModeName::Pool) => format!("{slots} workers").into(),
            Mode::Pool { .. } if args.geometry.mode.is_none() => format!("{slots} workers").into(),
            _ => format!("{slots} slots").into(),
        },
        style: CellStyle::Number,
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
        title: format!(
            "Peaks of {} by arena and slots (* the arena ends it)",
            Word(&measured.workload).readable()
        ),
        columns,
        rows: args.sweep_arenas.iter().map(line).collect(),
        ..Table::default()
    }
}

/// The formula with its numbers.
fn formula(row: &Row<'_>) -> String {
    let Row { measured, config, prediction } = row;
    let cost = i64::from(prediction.demand.cost.0);
    let need = i64::from(prediction.demand.need.0);
    let name = Word(&measured.workload).readable();
    let mut text = format!(
        "{name}: free = {} measured after the first {} in an arena of {}",
        count(measured.free),
        if measured.set > 1 { "set" } else { "instance" },
        count(measured.config.arena),
    );
    let signed = |bytes: i64| {
        format!("{} {}", if bytes < 0 { '-' } else { '+' }, count(bytes.unsigned_abs()))
    };
    let grown = i64::from(config.arena.0) - i64::from(measured.config.arena.0);
    if grown != 0 {
        let _ = write!(text, " {} of arena", signed(grown));
    }
    let other = prediction.free - i64::from(measured.free.0) - grown;
    if other != 0 {
        let _ = write!(text, " {} of interpreter stacks", signed(other));
    }
    let _ = writeln!(text, " = {}", count(prediction.free));
    let places = match measured.places(config) {
        u32::MAX => "places".into(),
        places => count(places),
    };
    if measured.set > 1 {
        let _ = writeln!(
            text,
            "  a set of {} takes {}; its modules take turns until one does not fit or {places} \
             run: peak {}",
            measured.set,
            count(cost),
            count(prediction.peak)
        );
    } else if prediction.peak == 0 {
        let _ = writeln!(
            text,
            "  the first needs {} and finds {}: peak 0",
            count(need),
            count(prediction.free + cost)
        );
    } else if prediction.free < need {
        let _ = writeln!(text, "  free < need of {}: peak = min({places}, 1)", count(need));
    } else {
        let _ = writeln!(
            text,
            "  peak = min({places}, 1 + 1 + ({} - {}) / {}) = min({places}, {}) -> {}",
            count(prediction.free),
            count(need),
            count(cost),
            if cost > 0 { count(2 + (prediction.free - need) / cost) } else { "any".into() },
            count(prediction.peak),
        );
    }
    text
}

/// `wramp plan`.
///
/// # Errors
/// A log without costs, a geometry that `run` would refuse, or one about which the log says
/// nothing.
pub fn execute(args: &PlanArgs) -> Outcome {
    if args.geometry.export.is_some() && args.geometry.module.is_none() {
        return Err(Problem::new("--export belongs to --module"));
    }
    let log = open(&args.from)?;
    let all = measured(&log, &args.geometry)?;
    if args.geometry.wasm_stack_bytes == Some(WasmStack::Fit)
        && all.iter().any(|measured| !measured.config.fit_wasm_stack)
    {
        return Err(Problem::new(format!(
            "--wasm-stack-bytes fit: {} does not say what fits; make it with the same option",
            log.name
        )));
    }
    let mut rows = Vec::new();
    for measured in &all {
        let config = args.geometry.config(measured.config)?;
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
            let slots = peak.checked_next_multiple_of(measured.set).unwrap_or(peak);
            let config = Config { slots, ..config };
            let arena = Bytes(measured.smallest_arena(&config, peak)?);
            push(Config { arena, ..config })?;
        } else if args.sweep {
            for &arena in &args.sweep_arenas {
                for &slots in &args.sweep_slots {
                    let mode = match config.mode {
                        Mode::Pool { .. } => Mode::Pool { workers: slots },
                        other => other,
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
        ..Table::default()
    };
    let text = match args.format {
        RecordFormat::Records => rows.iter().map(Row::record).collect(),
        RecordFormat::Csv => table.csv(),
        RecordFormat::Jsonl => table.jsonl(),
        RecordFormat::Table if args.sweep => {
            let tables = all.iter().map(|measured| pivot(measured, &rows, args).text());
            tables.collect::<Vec<_>>().join("\n")
        }
        RecordFormat::Table => {
            let mut text = table.text();
            text.push_str(
                "\npeak = min(slots, 1 + (free < need ? 0 : 1 + (free - need) / cost))\n",
            );
            text.extend(rows.iter().map(formula));
            text.push_str(&advice(&all));
            text
        }
    };
    print(&text)?;
    for remark in remarks(args, &rows) {
        eprintln!("wramp: {remark}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What the predictions leave open, a sentence each.
fn remarks(args: &PlanArgs, rows: &[Row<'_>]) -> Vec<String> {
    let mut remarks = Vec::new();
    if args.geometry.slo_us.is_some() {
        remarks.push("--slo-us: latency is not predicted; run it".to_owned());
    }
    for row in rows {
        let Row { measured, config, .. } = row;
        let name = Word(&measured.workload).readable();
        if let (Some(asked), StackAdvice::Known(stack)) =
            (args.geometry.slot_stack_bytes, measured.slot_stack)
            && asked < stack.safe().0
        {
            remarks.push(format!(
                "{} {asked}: the engine may refuse a call of {name} in it; {} is safe",
                option(Knob::SlotStack),
                stack.safe().0
            ));
        }
        if measured.wasm_stack_least.is_none()
            && !config.fit_wasm_stack
            && config.wasm_stack < measured.config.wasm_stack
        {
            remarks.push(format!(
                "{} {}: the log has no fit record, so whether a call of {name} fits in it is \
                 unknown",
                option(Knob::WasmStack),
                config.wasm_stack
            ));
        }
        if matches!(config.mode, Mode::Pool { .. } | Mode::Cooperative)
            && measured.residents.is_none()
        {
            remarks.push(format!(
                "the log does not say how many residents of {name} there may be, so only the arena \
                 limits them here"
            ));
        }
    }
    remarks.sort();
    remarks.dedup();
    remarks
}

/// How small the slots' stacks may be.
fn advice(all: &[Measured]) -> String {
    let known = all.iter().filter_map(|measured| match measured.slot_stack {
        StackAdvice::Known(stack) => Some(stack),
        _ => None,
    });
    if let Some(stack) = known.reduce(SlotStack::and) {
        let (safe, why) = stack.safe();
        return format!(
            "\nslot stack: at most {} of {} bytes were used, and the engine keeps {} free below a \
             call; {} is safe ({why})\n",
            count(stack.used),
            count(stack.given),
            count(stack.guard),
            count(safe),
        );
    }
    let why = all.iter().find_map(|measured| match measured.slot_stack {
        StackAdvice::Lacks(key) => Some(format!(
            "not known, because the log lacks the key {key}; record it anew with this version"
        )),
        StackAdvice::Larger { reserved } => Some(format!(
            "not known, because this machine reserved {} bytes for one; measure on a board",
            count(reserved)
        )),
        StackAdvice::NotMeasured | StackAdvice::Known(_) => None,
    });
    why.map_or(String::new(), |why| format!("\nslot stack: {why}\n"))
}
