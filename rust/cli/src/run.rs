//! `wramp run`: the ramp on this machine, with the real engine and real threads.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wramp_arena::Arena;
use wramp_bench::{Agreement, Check, EngineKind, Guest, Summary};
use wramp_core::config::{Config, Mode, Pin, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::ramp::Limit;
use wramp_core::report::{Part, Record, Step};
use wramp_core::runtime::{Error, ModuleBytes, Parameters};
use wramp_host::Setup;
use wramp_wamr::Engine;

use crate::Problem;
use crate::geometry::Geometry;
use crate::table::{grouped, places};

/// Which ramps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ScenarioName {
    /// cpu, mem and msg, one after another
    #[default]
    All,
    /// Five small modules side by side, in sets of five
    Mixed,
    /// Each instance loads a copy of the module of its own: what sharing saves
    Private,
    /// On core 0, on core 1, and free
    Pinned,
}

/// How the run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned text
    #[default]
    Table,
    /// The lines that a board prints; what capture, plot, compare and plan read
    Records,
    /// One row a step
    Csv,
    /// One object a record
    Jsonl,
}

const EXAMPLE: &str = "\
Examples:
  wramp run                                      the published ramp: 24 cpu, 2 mem, 2 msg
  wramp run --workload cpu --arena-bytes 64K     where the arena ends it
  wramp run --module my.wat --export tick        your own module
  wramp run --format records | wramp plot - -o ramp.html

The engine is chosen when wramp is built, by variables that scripts/run passes on:
  WAMR_DIR=DIR                       a WAMR 2.4; else that of the west workspace, or of crates.io
  WRAMP_INTERPRETER=classic|fast     fast: more speed, less memory, more code
  WRAMP_INTERPRETER_OPT=s|2|3        how the compiler optimises the interpreter's file
  WRAMP_BLOCK_ADDR_CACHE=1..65535    places of the classic interpreter's cache of block ends
  WRAMP_AOT, WRAMP_METERING, WRAMP_MODULE_COPY=0|1

Exit status: 0 right, 1 wrong results, failed calls or leaked bytes, 2 wrong input or
a geometry in which nothing runs, 130 ended by Ctrl-C.";

/// A geometry with a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The ESP32-S3 article's: 192 KiB of arena, 24 threads, a thread an instance
    #[default]
    Published,
    /// The same bytes spent densely: a pool of 4 workers, fitted stacks, the rest arena
    Dense,
}

/// Options of `wramp run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct RunArgs {
    /// Which ramps to make
    #[arg(long, value_enum, default_value_t)]
    pub scenario: ScenarioName,
    /// The geometry to begin from; the options below change it
    #[arg(long, value_enum, default_value_t)]
    pub preset: Preset,
    /// How to show them
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Keep the records and a description of this machine under results/
    #[arg(long)]
    pub save: bool,
    /// The geometry.
    #[command(flatten)]
    pub geometry: Geometry,
}

/// WAMR, as this command is built with it.
struct Wamr;

impl EngineKind for Wamr {
    type Engine<'a> = Engine<'a>;

    fn start<'a>(arena: &'a dyn Arena) -> Result<Engine<'a>, Error> {
        Engine::new(arena)
    }
}

/// Ends the process: a guest does not return, and everything was recorded.
fn gave_up(status: u32) -> ! {
    std::process::exit(i32::try_from(status).unwrap_or(1))
}

fn run(setup: Setup<'_>, guests: &[Guest<'_>]) -> Result<Summary, Problem> {
    wramp_host::run::<Wamr>(setup, guests).map_err(|error| Problem::new(error.to_string()))
}

/// A user's module, read and compiled.
struct Module {
    name: String,
    wasm: Vec<u8>,
    export: String,
    parameters: Parameters,
}

/// Runs the ramp; the exit status says whether it was right.
#[must_use]
pub fn execute(args: RunArgs) -> ExitCode {
    match try_execute(&args) {
        Ok(code) => code,
        Err(problem) => problem.report(),
    }
}

fn try_execute(args: &RunArgs) -> Result<ExitCode, Problem> {
    let config = Config {
        scenario: match args.scenario {
            ScenarioName::All => Scenario::All,
            ScenarioName::Mixed => Scenario::Mixed,
            ScenarioName::Private => Scenario::Private,
            ScenarioName::Pinned => Scenario::Pinned,
        },
        pin: Pin::Free,
        ..args.geometry.config(match args.preset {
            Preset::Published => Config::PUBLISHED,
            Preset::Dense => Config::DENSE,
        })?
    };
    // A pool's worker stacks are all the slots it needs.
    let config = match config.mode {
        Mode::Pool { workers } if args.geometry.slots.is_none() => {
            Config { slots: workers, ..config }
        }
        _ => config,
    };
    let agreement = Agreement::new();
    let module = args.geometry.module.as_deref().map(|path| read(path, &args.geometry));
    let module = module.transpose()?;
    let guests = match &module {
        Some(module) => vec![Guest {
            name: &module.name,
            module: ModuleBytes::Borrowed(&module.wasm),
            export: &module.export,
            parameters: module.parameters,
            check: Check::Agreement(&agreement),
        }],
        None => built_in(args)?,
    };

    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends at once: a guest may never return.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)))
            .map_err(|error| Problem::new(format!("cannot listen for Ctrl-C: {error}")))?;
    }

    let config = match args.geometry.budget_bytes {
        Some(budget) => spend(config, budget, &guests, &interrupted)?,
        None => config,
    };
    let mut show = Show::new(args.format, config.slots, config.budget.is_some());
    let mut log = String::new();
    let sink = Box::new(|record: &Record<'_>| {
        let line = record.to_string();
        show.line(&line);
        log.push_str(&line);
        log.push('\n');
    });
    let summary = run(Setup { config, sink, interrupted: &interrupted, gave_up }, &guests)?;
    show.finish();
    if args.save {
        let directory = crate::save::save("linux", log.as_bytes())?;
        eprintln!("saved: {}", directory.display());
    }
    if interrupted.load(Relaxed) {
        return Ok(ExitCode::from(130));
    }
    Ok(ExitCode::from(u8::try_from(summary.exit()).unwrap_or(1)))
}

/// Splits a budget between stacks and arena for the highest peak of the first workload. What
/// a pool's workers leave is the arena's; for threads one instance is run first, to learn
/// what it costs.
fn spend(
    config: Config,
    budget: u32,
    guests: &[Guest<'_>],
    interrupted: &AtomicBool,
) -> Result<Config, Problem> {
    if let Mode::Pool { workers } = config.mode {
        let stacks = workers.saturating_mul(config.slot_stack.0);
        let arena = budget.checked_sub(stacks).ok_or_else(|| {
            Problem::new(format!(
                "--budget-bytes {budget} does not hold {workers} stacks: raise it"
            ))
        })?;
        return Ok(Config { arena: Bytes(arena), slots: workers, ..config });
    }
    let one = Config { arena: Bytes(budget), slots: 1, dwell_ms: 1, settle_ms: 0, ..config };
    let mut log = String::new();
    let sink = Box::new(|record: &Record<'_>| {
        log.push_str(&record.to_string());
        log.push('\n');
    });
    let first = guests.get(..1).unwrap_or(guests);
    run(Setup { config: one, sink, interrupted, gave_up }, first)?;
    let log = crate::log::Log::read("budget", log.as_bytes())?;
    let measured = log
        .runs
        .first()
        .and_then(|run| crate::plan::Measured::of(&run.header.as_ref()?.get(), run.ramps.first()?));
    let measured = measured.ok_or_else(|| {
        Problem::new(format!("--budget-bytes {budget} does not hold one instance: raise it"))
    })?;
    let (split, _) = measured.split(&config, budget)?;
    Ok(split)
}

/// The workloads that the scenario ramps where none are named.
fn built_in(args: &RunArgs) -> Result<Vec<Guest<'static>>, Problem> {
    let default: &[&str] = match args.scenario {
        ScenarioName::All if args.preset == Preset::Dense => &["cpu", "state"],
        ScenarioName::All | ScenarioName::Private => &["cpu", "mem", "msg"],
        ScenarioName::Mixed => &wramp_workloads::MIXED,
        ScenarioName::Pinned => &["cpu"],
    };
    let named: Vec<&str> = args.geometry.workload.iter().map(String::as_str).collect();
    if args.scenario == ScenarioName::Mixed && named.len() > wramp_bench::MAX_MODULES {
        let most = wramp_bench::MAX_MODULES;
        return Err(Problem::new(format!("--scenario mixed takes at most {most} --workload")));
    }
    let names = if named.is_empty() { default } else { &named };
    names
        .iter()
        .map(|name| {
            wramp_workloads::find(name).map(Guest::from).ok_or_else(|| {
                let known: Vec<_> = wramp_workloads::ALL.iter().map(|known| known.name).collect();
                Problem::new(format!("no workload {name}: --workload takes {}", known.join(", ")))
            })
        })
        .collect()
}

/// Reads a module and finds out what its export takes; whether it is sound is for the
/// engine to say.
fn read(path: &str, geometry: &Geometry) -> Result<Module, Problem> {
    if !geometry.workload.is_empty() {
        return Err(Problem::new("--module and --workload: one or the other"));
    }
    let export = geometry.export.clone().ok_or_else(|| {
        Problem::new("--module needs --export NAME: the function that each call enters")
    })?;
    let wasm = module_bytes(Path::new(path))
        .map_err(|problem| Problem::new(format!("--module {path}: {problem}")))?;
    let parameters = parameters(&wasm, &export);
    let name = Path::new(path).file_stem().map_or("module".into(), |stem| stem.to_string_lossy());
    Ok(Module { name: name.into_owned(), wasm, export, parameters })
}

/// A module's bytes, compiled where it is text.
///
/// # Errors
/// Where there is no such file, or its text is not valid.
pub fn module_bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    let bytes = std::fs::read(path).map_err(|error| Problem::new(error.to_string()))?;
    if path.extension().is_none_or(|extension| extension != "wat") {
        return Ok(bytes);
    }
    let wasm = wat::parse_bytes(&bytes).map_err(|mut error| {
        error.set_path(path);
        Problem::new(format!("not valid text: {error}"))
    })?;
    Ok(wasm.into_owned())
}

/// What the export takes: one i32, or nothing. A module that cannot be read, or an export
/// of another signature, goes to the engine as it is, which says what is wrong with it.
fn parameters(wasm: &[u8], export: &str) -> Parameters {
    use wasmparser::{ExternalKind, Parser, Payload, TypeRef, ValType};
    let (mut types, mut functions, mut found) = (Vec::new(), Vec::new(), None);
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::TypeSection(section) => {
                types.extend(section.into_iter_err_on_gc_types().map_while(Result::ok));
            }
            Payload::ImportSection(section) => functions.extend(
                section.into_imports().map_while(Result::ok).filter_map(|import| match import.ty {
                    TypeRef::Func(index) => Some(index),
                    _ => None,
                }),
            ),
            Payload::FunctionSection(section) => {
                functions.extend(section.into_iter().map_while(Result::ok));
            }
            Payload::ExportSection(section) => {
                found = section
                    .into_iter()
                    .map_while(Result::ok)
                    .find(|entry| entry.name == export && entry.kind == ExternalKind::Func)
                    .map(|entry| entry.index as usize);
            }
            _ => {}
        }
    }
    let signature = found
        .and_then(|index| functions.get(index))
        .and_then(|&index: &u32| types.get(index as usize));
    match signature.map(wasmparser::FuncType::params) {
        Some([ValType::I32]) => Parameters::I32,
        _ => Parameters::None,
    }
}

/// Shows records as they come.
struct Show {
    format: Format,
    bar: ProgressBar,
    slots: u32,
    csv_begun: bool,
    table_begun: bool,
    is_pool: bool,
    asks_budget: bool,
    parts: Vec<(String, Vec<String>, u32)>,
    ends: Vec<String>,
}

impl Show {
    fn new(format: Format, slots: u32, asks_budget: bool) -> Self {
        let bar = ProgressBar::new(u64::from(slots));
        // Under the records of a pipe a bar has no business; stderr is a person's.
        bar.set_draw_target(if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        if let Ok(style) =
            ProgressStyle::with_template("{msg:>10} [{bar:24}] {pos}/{len} instances  {elapsed}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            format,
            bar,
            slots,
            csv_begun: false,
            table_begun: false,
            is_pool: false,
            asks_budget,
            parts: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn print(&self, text: &str) {
        self.bar.suspend(|| {
            let mut out = std::io::stdout().lock();
            // A reader that went away (`| head`) has seen enough; the run still counts.
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        });
    }

    fn line(&mut self, line: &str) {
        let Ok(Some(record)) = Record::parse(line) else { return };
        self.progress(&record);
        match self.format {
            Format::Records => self.print(line),
            Format::Csv => self.csv(&record, line),
            Format::Jsonl => self.print(&json(record.kind(), line)),
            Format::Table => self.table(&record),
        }
    }

    fn progress(&self, record: &Record<'_>) {
        match record {
            Record::Load(load) => {
                self.bar.set_length(u64::from(self.slots));
                self.bar.set_position(0);
                self.bar.set_message(load.workload.0.to_owned());
            }
            Record::Predict(predict) => self.bar.set_length(u64::from(predict.peak)),
            Record::Step(step) => self.bar.set_position(u64::from(step.instances)),
            _ => {}
        }
    }

    fn csv(&mut self, record: &Record<'_>, line: &str) {
        if !matches!(record, Record::Step(_)) {
            return;
        }
        if !self.csv_begun {
            self.csv_begun = true;
            self.print(&Step::KEYS.join(","));
        }
        let value =
            |key: &&str| fields(line).find(|(name, _)| name == key).map_or("", |(_, value)| value);
        self.print(&Step::KEYS.iter().map(value).collect::<Vec<_>>().join(","));
    }

    fn table(&mut self, record: &Record<'_>) {
        match record {
            Record::Run(run) => {
                self.is_pool = run.workers.is_some();
                self.print(&format!(
                    "{} {} ({}) on {}, {} bits, {} cores\narena {} B, {} ({} B here), wasm stack \
                     {} B, settle {} ms, dwell {} ms, pause {} ms",
                    run.runtime,
                    run.runtime_version,
                    run.interpreter,
                    run.os,
                    run.pointer_bits,
                    run.cores,
                    run.arena_bytes,
                    places(run),
                    run.slot_stack_real_bytes.unwrap_or(run.slot_stack_bytes),
                    run.wasm_stack_bytes,
                    run.settle_ms,
                    run.dwell_ms,
                    run.pause_ms,
                ));
                match run.budget.0 {
                    "off" => {}
                    "unsupported" if self.asks_budget => self.print(
                        "this build of WAMR does not meter: --budget-instructions is without effect",
                    ),
                    "unsupported" => {}
                    most => self.print(&format!("a call may take {most} instructions")),
                }
            }
            Record::Load(load) => {
                self.table_begun = false;
                self.print(&format!(
                    "\n{}: module of {} B, takes {} B of the arena, {} B free",
                    load.workload, load.module_bytes, load.arena_bytes, load.arena_free_bytes
                ));
            }
            Record::Fit(fit) => self.print(&format!(
                "  {}: its first call needs {} B of interpreter stack, each gets {} B",
                fit.workload, fit.needed_bytes, fit.wasm_stack_bytes
            )),
            Record::Part(part) => self.part(part),
            Record::Predict(predict) => {
                for (workload, parts, sum) in std::mem::take(&mut self.parts) {
                    let sum = grouped(&sum.to_string());
                    self.print(&format!("  one {workload}: {sum} B = {}", parts.join(" + ")));
                }
                self.print(&format!(
                    "  predicted: peak {}, limit {} (one more takes {} B of {} B free)",
                    predict.peak, predict.limit, predict.cost_bytes, predict.arena_free_bytes
                ));
            }
            Record::Step(step) => self.step(step),
            Record::End(end) => {
                let wrong = end.predicted_peak.is_some_and(|peak| peak != end.peak)
                    && matches!(end.limit, Limit::Slots | Limit::Arena);
                let row = format!(
                    "{:<12} {:>5} {:>12} {:>9}{} {:>8} {:>9} {:>7} {:>7} {:>9}",
                    end.workload.to_string(),
                    end.peak,
                    end.limit.to_string(),
                    end.predicted_peak.map_or("-".into(), |peak| peak.to_string()),
                    if wrong { "!" } else { " " },
                    end.cost_bytes.map_or("-".into(), |cost| cost.to_string()),
                    end.calls,
                    end.errors,
                    end.leaked_bytes,
                    end.fairness.map_or("-".into(), |fairness| fairness.to_string()),
                );
                if let Some(message) = end.message {
                    self.print(&format!("  stopped by: {}", message.readable()));
                }
                self.ends.push(row);
            }
            Record::Instance(instance) if instance.errors > 0 => self.print(&format!(
                "  instance {}: {} errors in {} calls: {}",
                instance.id,
                instance.errors,
                instance.calls,
                instance.message.map_or("-".into(), |message| message.readable().to_string())
            )),
            Record::Fault(fault) => self.print(&format!(
                "  cannot run{}: {}{}",
                fault
                    .workload
                    .map_or(String::new(), |workload| format!(" {}", workload.readable())),
                fault.message.readable(),
                fault.knob.map_or(String::new(), |knob| format!(" (change {})", knob.0))
            )),
            _ => {}
        }
    }

    fn part(&mut self, part: &Part<'_>) {
        let words = format!("{} {}", part.part, grouped(&part.bytes.to_string()));
        match self.parts.last_mut() {
            Some((workload, parts, sum)) if workload == part.workload.0 => {
                parts.push(words);
                *sum += part.bytes.0;
            }
            _ => self.parts.push((part.workload.0.to_owned(), vec![words], part.bytes.0)),
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        if !self.table_begun {
            self.table_begun = true;
            self.print(&format!(
                "{:>10} {:>9} {:>9} {:>7} {:>5} {:>9} {:>6} {:>10} {:>10} {:>14}",
                "instances",
                "free B",
                "low B",
                "cost B",
                "cpu",
                "calls/s",
                "errors",
                "p50 us",
                "p99 us",
                if self.is_pool { "turnaround p99" } else { "max us" },
            ));
        }
        let latency = |nanos: Option<wramp_core::measure::Nanos>| {
            nanos.map_or("-".into(), |nanos| format!("{}.{}", nanos.0 / 1000, nanos.0 / 100 % 10))
        };
        let rate = (step.dwell_calls * 1_000_000_000).checked_div(step.dwell_us.0).unwrap_or(0);
        let cpu = step.cpu_permille.map_or("-".into(), |cpu| format!("{}%", cpu / 10));
        let last = if self.is_pool { step.turnaround_p99_us } else { step.latency_max_us };
        self.print(&format!(
            "{:>10} {:>9} {:>9} {:>7} {:>5} {:>9} {:>6} {:>10} {:>10} {:>14}",
            step.instances,
            step.arena_free_bytes.0,
            step.arena_low_bytes.0,
            step.cost_bytes.0,
            cpu,
            rate,
            step.errors,
            latency(step.latency_p50_us),
            latency(step.latency_p99_us),
            latency(last),
        ));
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
        if self.format == Format::Table && !self.ends.is_empty() {
            self.print(&format!(
                "\n{:<12} {:>5} {:>12} {:>9}  {:>8} {:>9} {:>7} {:>7} {:>9}",
                "workload",
                "peak",
                "limit",
                "predicted",
                "cost B",
                "calls",
                "errors",
                "leaked",
                "fairness"
            ));
            for row in std::mem::take(&mut self.ends) {
                self.print(&row);
            }
        }
    }
}

/// The keys and values of a record's line, without its CRC.
fn fields(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split_ascii_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter(|(k, _)| *k != "crc")
}

/// A record as a JSON object: numbers as numbers, the rest as strings.
fn json(kind: &str, line: &str) -> String {
    let mut object = serde_json::Map::new();
    object.insert("kind".into(), kind.into());
    for (key, value) in fields(line) {
        // A version such as 2.4 would read as a number: only keys with a unit or a count do.
        let number = (!key.contains("version")).then(|| value.parse().ok()).flatten();
        let value = number.map_or_else(|| value.into(), serde_json::Value::Number);
        object.insert(key.into(), value);
    }
    serde_json::Value::Object(object).to_string()
}
