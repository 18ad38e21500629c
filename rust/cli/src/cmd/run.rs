//! `wramp run`: the ramp on this machine, with the real engine and real threads.
//!
//! This file puts the host, the bench and an engine together.

use std::fmt::Arguments;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use wramp_bench::{Agreement, Count, EngineKind, Expected, Guest, Lineup, Summary};
use wramp_core::config::{Config, DEFAULT_BUDGET, Knob, Mode, Park, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::report::{OnHost, Record, Run, Word};
use wramp_core::runtime::{Error, ErrorKind, StackKind};
use wramp_core::state::Vault;
use wramp_host::FileVault;
use wramp_host::first_calls::{Asked, first_calls};
use wramp_host::machine::Voice;
use wramp_host::slots::least_stack;
use wramp_host::{HostOptions, Setup, SetupError};
use wramp_imports::Grants;
use wramp_opinion::{ENGINE, Outcome as Said, Verdict};
use wramp_size::{Layout, sizes};

use crate::engine::{EngineName, WithEngine};
use crate::model::busy::{self, Busy};
use crate::model::geometry::{Geometry, bytes, option};
use crate::model::leave::Leave;
use crate::model::log::Log;
use crate::model::measured::Measured;
use crate::model::mix::Item;
use crate::model::own::{Mixed, OwnModule};
use crate::model::{messages, module, results};
use crate::problem::{Outcome, Problem};
use crate::show::answer::answers;
use crate::show::number::count;
use crate::show::record::RecordFormat;
use crate::show::running::Running;

/// Which ramps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ScenarioName {
    /// cpu, mem and msg, one after another
    #[default]
    All,
    /// Five small modules side by side, in sets of five
    Mixed,
    /// Each instance loads a copy of the module of its own: shows what sharing saves
    Private,
    /// On core 0, on core 1, and free
    Pinned,
    /// Guests that send each other messages: a ring, a fan-in and a pipeline
    Messages,
}

const EXAMPLE: &str = "\
Examples:
  wramp run                                      the published ramp: 24 cpu, 2 mem, 2 msg
  wramp run --workload cpu --arena-bytes 64K     where the arena ends it
  wramp run --module my.wat --export tick        your own module
  wramp run --mix a.wasm:tick=3,b.wasm:run,cpu=* modules side by side, in numbers
  wramp run --module counter.wasm --allow log    a guest with imports (docs/guest.md)
  wramp run --scenario messages --preset dense   guests that send each other messages
  wramp run --format records | wramp plot - -o ramp.html

WAMR is built by environment variables:
  WAMR_DIR=DIR                       a WAMR 2.4; else that of the west workspace, or of crates.io
  WRAMP_INTERPRETER=classic|fast     fast: more speed, less memory, more code
  WRAMP_INTERPRETER_OPT=s|2|3        how the compiler optimises the interpreter's file
  WRAMP_BLOCK_ADDR_CACHE=1..65535    places of the classic interpreter's cache of block ends
  WRAMP_AOT, WRAMP_METERING, WRAMP_MODULE_COPY=0|1

Exit status: 0 right; 1 wrong results, failed calls or leaked bytes; 2 wrong input, a geometry in
which nothing runs, or a stdout that cannot be written; 130 ended by Ctrl-C.";

/// A geometry with a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The ESP32-S3 article's: 192 KiB of arena, 24 threads, a thread an instance
    #[default]
    Published,
    /// The same bytes spent densely: a pool of 4 workers, fitted stacks, the rest for the arena
    Dense,
}

/// Whether another engine is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SecondOpinion {
    /// Compare the first calls of --module with wasmi's
    #[default]
    On,
    /// Do not
    Off,
}

/// Options of `wramp run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct RunArgs {
    /// Which ramps to make (mixed: at least two workloads)
    #[arg(long, value_enum, default_value_t)]
    pub scenario: ScenarioName,
    /// Modules side by side, each in a number of its own: FILE:EXPORT=N, or =* for as many as
    /// fit, separated by commas; a built-in workload's name is a FILE too; N:budget=INSTRUCTIONS
    /// bounds its calls
    #[arg(
        long,
        value_name = "FILE=N,...",
        value_delimiter = ',',
        conflicts_with_all = ["workload", "module"]
    )]
    pub mix: Vec<Item>,
    /// The geometry to start from; the options below change it
    #[arg(long, value_enum, default_value_t)]
    pub preset: Preset,
    /// The engine
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    pub engine: EngineName,
    /// How to show them
    #[arg(long, value_enum, default_value_t)]
    pub format: RecordFormat,
    /// Keep the records and a description of this machine under results/
    #[arg(long)]
    pub save: bool,
    /// Whether another engine computes the first calls of --module too. All instances agree on
    /// what the engine computes, even where it is wrong
    #[arg(long, value_enum, default_value_t)]
    pub second_opinion: SecondOpinion,
    /// The geometry.
    #[command(flatten)]
    pub geometry: Geometry,
    /// Where parked states survive the end of the run: a file that stands for a flash. A later
    /// run of the same module goes on where its instances were parked
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,
    /// Size of a new store
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4M", requires = "store")]
    pub store_bytes: u32,
    /// What guests may have.
    #[command(flatten)]
    pub leave: Leave,
}

/// A run of the host, for an engine of any kind.
struct HostRun<'s, 'g> {
    setup: Setup<'s>,
    guests: &'s [Guest<'g>],
    host: Option<HostOptions<'s>>,
    vault: Option<&'s dyn Vault>,
}

impl WithEngine for HostRun<'_, '_> {
    type Output = Result<Summary, SetupError>;

    fn with<E: EngineKind>(self) -> Self::Output {
        wramp_host::run_kept::<E>(self.setup, self.guests, self.host, self.vault)
    }
}

/// What a run gives the guests of a user's module.
#[derive(Clone, Copy)]
struct Host<'a> {
    grants: Grants<'a>,
    queue_bytes: u32,
    expected: Option<Expected>,
}

impl<'a> Host<'a> {
    fn options(self, voice: Voice<'a>) -> HostOptions<'a> {
        let Self { grants, queue_bytes, expected } = self;
        HostOptions { grants, queue_bytes, expected, voice }
    }
}

/// Runs the ramps on the engine of that name.
fn run_on<'s>(
    engine: EngineName,
    setup: Setup<'s>,
    guests: &'s [Guest<'_>],
    host: Option<HostOptions<'s>>,
    vault: Option<&'s dyn Vault>,
) -> Result<Summary, Problem> {
    let ran = engine.choose(HostRun { setup, guests, host, vault })?;
    ran.map_err(|error| Problem::new(error.to_string()))
}

/// The largest interpreter stack that the search tries for a module of one's own. A built-in
/// workload needs less than the presets allow.
const MOST_FITTED_BYTES: u32 = 65_536;

/// Runs the ramp. The exit status says whether it was right.
///
/// # Errors
/// Wrong input, or a stdout that cannot be written.
pub fn execute(args: &RunArgs) -> Outcome {
    let geometry = &args.geometry;
    let config = config(args)?;
    let export = geometry.export.as_deref();
    let stubs = args.leave.stubs()?;
    let messages = match args.scenario {
        ScenarioName::Messages => messages::guests()?,
        _ => Vec::new(),
    };
    let grants = match messages.is_empty() {
        true => args.leave.grants(&stubs),
        false => messages::GRANTS,
    };
    let module = geometry
        .module
        .as_deref()
        .map(|path| OwnModule::read("--module", path, export, &grants))
        .transpose()?;
    let mix = (!args.mix.is_empty())
        .then(|| Mixed::read("--mix", &args.mix, export, &grants))
        .transpose()?;
    for own in mix.iter().flat_map(Mixed::own).chain(&module) {
        remark_on_memory(own, args.engine.facts()?.interpreter);
    }
    let own = || mix.iter().flat_map(Mixed::own).chain(&module).chain(&messages);
    let expected = args.leave.expect;
    let host = (own().any(|module| module.needs_host) || expected.is_some()).then(|| Host {
        grants,
        expected,
        queue_bytes: if own().any(|module| module.receives) { args.leave.queue_bytes() } else { 0 },
    });
    let agreement = Agreement::new();
    let guests = match (&module, &mix) {
        // The results of a task are no values, so nobody compares them.
        _ if !messages.is_empty() => {
            messages.iter().map(|own| own.guest(&agreement, Count::Most)).collect()
        }
        (Some(module), _) => vec![module.guest(&agreement, Count::Most)],
        (None, Some(mix)) => mix.guests(),
        (None, None) => built_in(args)?,
    };
    if mix.is_some() {
        if config.mode != Mode::Threads {
            return Err(Problem::new(
                "--mix and --mode pool: the residents of a pool share one module, so a mix takes \
                 threads",
            ));
        }
        has_slots(&config, &guests)?;
    }
    if args.scenario == ScenarioName::Mixed && guests.len() < 2 {
        return Err(Problem::new(
            "--scenario mixed runs several modules side by side: name at least two --workload, or \
             none for its own five",
        ));
    }
    if args.save {
        results::check_writable()?;
    }
    let vault = vault(args, &config, &guests)?;

    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal ends the process at once, because a guest may never return.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)))
            .map_err(|error| Problem::new(format!("cannot listen for Ctrl-C: {error}")))?;
    }

    let own: Vec<&OwnModule> = mix.iter().flat_map(Mixed::own).chain(&module).collect();
    let opinion = opinion_on_all(&own, args.engine, args.second_opinion)?;
    let larger = if own.is_empty() { None } else { larger_stack(&config) };
    let has_start = module.as_ref().map(|module| module.has_start);
    let busy = busy::look();
    let climb = |config, waits| {
        let config = match geometry.budget_bytes {
            Some(budget) => spend(args, config, budget, &guests, host, &interrupted)?,
            None => config,
        };
        let word = opinion.as_ref().map(Opinion::as_str);
        let about = About { has_start, opinion: word, busy, vault: vault.as_ref() };
        climb(args, config, &guests, host, about, &interrupted, waits)
    };
    let code = match (climb(config, larger.is_some())?, larger) {
        (Some(code), _) => code,
        (None, Some(wasm_stack)) => {
            climb(Config { wasm_stack, ..config }, false)?.unwrap_or_default()
        }
        (None, None) => 0,
    };
    // The figures may be right, but one of the two engines computes wrong results.
    let differs =
        opinion.is_some_and(|opinion| matches!(opinion, Opinion::Asked(Verdict::Differ(_))));
    Ok(ExitCode::from(if differs && code == 0 { 1 } else { code }))
}

/// Opens the store, if one is asked for.
fn vault(
    args: &RunArgs,
    config: &Config,
    guests: &[Guest<'_>],
) -> Result<Option<FileVault>, Problem> {
    let Some(path) = &args.store else { return Ok(None) };
    if !matches!(config.mode, Mode::Park(_)) {
        return Err(Problem::new("--store keeps parked states: add --mode park"));
    }
    let [_] = guests else {
        return Err(Problem::new(
            "--store keeps the states of one module: name one --workload, or a --module",
        ));
    };
    let opened = FileVault::open(path, args.store_bytes);
    opened.map(Some).map_err(|error| Problem::new(format!("--store {}: {error}", path.display())))
}

/// What another engine says of a user's module.
enum Opinion {
    Asked(Verdict),
    /// It could not be asked.
    None,
    /// Nobody wanted to know.
    Off,
}

impl Opinion {
    /// The word in the `run` record.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Asked(verdict) => verdict.as_str(),
            Self::None => "none",
            Self::Off => "off",
        }
    }
}

/// Asks about each of the user's modules. A difference in one of them counts, then a silence.
fn opinion_on_all(
    all: &[&OwnModule],
    engine: EngineName,
    wanted: SecondOpinion,
) -> Result<Option<Opinion>, Problem> {
    let mut worst = None;
    for own in all {
        let rank = |opinion: &Opinion| match opinion {
            Opinion::Asked(Verdict::Differ(_)) => 3,
            Opinion::None => 2,
            Opinion::Asked(Verdict::Agree) => 1,
            Opinion::Off => 0,
        };
        let one = opinion_on(own, engine, wanted)?;
        if worst.as_ref().is_none_or(|worst| rank(&one) > rank(worst)) {
            worst = Some(one);
        }
    }
    Ok(worst)
}

/// The first calls of a module, on an engine of any kind.
struct FirstCalls(Asked);

impl WithEngine for FirstCalls {
    type Output = Option<Vec<Result<i32, Error>>>;

    fn with<E: EngineKind>(self) -> Self::Output {
        first_calls::<E>(self.0, PATIENCE)
    }
}

/// How long the engine may take for the few calls that the other one has already finished.
const PATIENCE: Duration = Duration::from_secs(20);

/// Compares the first calls with another engine's, and says on stderr what a person should know.
fn opinion_on(
    module: &OwnModule,
    engine: EngineName,
    wanted: SecondOpinion,
) -> Result<Opinion, Problem> {
    let OwnModule { name, wasm, export, parameters, .. } = module;
    if wanted == SecondOpinion::Off {
        return Ok(Opinion::Off);
    }
    let wasm = module::uncut(wasm);
    let other = match wramp_opinion::ask(&wasm, export, *parameters, wramp_opinion::CALLS) {
        Ok(other) => other,
        Err(silence) => {
            eprintln!("{name}: no second opinion: {silence}");
            return Ok(Opinion::None);
        }
    };
    let calls = u32::try_from(other.len() - 1).unwrap_or(u32::MAX);
    let asked = Asked { wasm, export: export.clone(), parameters: *parameters, calls };
    let ours = engine.choose(FirstCalls(asked))?.ok_or_else(|| {
        Problem::new(format!(
            "{name}: a call that {ENGINE} finishes has not returned for {} s: --second-opinion off \
             runs it all the same",
            PATIENCE.as_secs()
        ))
    })?;
    // The run itself says what kept it from an instance.
    if let [Err(error)] = ours[..]
        && error.kind != ErrorKind::Trap
    {
        return Ok(Opinion::None);
    }
    let ours: Vec<_> = ours.iter().map(Said::of).collect();
    let verdict = Verdict::of(&ours, &other);
    match verdict {
        Verdict::Agree => {}
        Verdict::Differ(what) => eprintln!(
            "wramp: {name}: {what}. One of them is wrong, and every instance of this run repeats it. \
             Ask a third: WRAMP_INTERPRETER=classic or fast, whichever this is not \
             (docs/engine-faults.md)"
        ),
    }
    Ok(Opinion::Asked(verdict))
}

/// A larger interpreter stack for the search to begin with, where the search may choose. The
/// arena has to hold it beside an instance.
fn larger_stack(config: &Config) -> Option<Bytes> {
    let half = config.arena.0 / 2;
    let most = half.checked_ilog2().map_or(0, |power| 1 << power).min(MOST_FITTED_BYTES);
    (config.fit_wasm_stack && most > config.wasm_stack.0).then_some(Bytes(most))
}

/// What is known before the run.
#[derive(Clone, Copy)]
struct About<'a> {
    /// Whether the only module has a start function.
    has_start: Option<bool>,
    /// The second opinion, as the `run` record has it.
    opinion: Option<&'a str>,
    /// How busy this machine is with other things.
    busy: Busy,
    /// What survives of parked states.
    vault: Option<&'a FileVault>,
}

/// Makes the ramps and shows them. Returns the process's status, or nothing where the search for
/// an interpreter stack found none that is large enough and `waits` is set: then nothing was
/// shown, and the caller tries again with a larger one.
fn climb(
    args: &RunArgs,
    config: Config,
    guests: &[Guest<'_>],
    host: Option<Host<'_>>,
    About { has_start, opinion, busy, vault }: About<'_>,
    interrupted: &AtomicBool,
    waits: bool,
) -> Result<Option<u8>, Problem> {
    let running = Some(Running::new(args.format, config.slots, has_start));
    let shown = Mutex::new(Shown { running, text: String::new(), waits });
    let sink = Box::new(|record: &Record<'_>| {
        let mut shown = lock(&shown);
        match *record {
            Record::Run(run) => {
                let run = Run {
                    second_opinion: opinion.map(Word),
                    load_permille: OnHost::new(busy.load_permille),
                    starved_permille: OnHost::new(busy.starved_permille),
                    ..run
                };
                shown.record(&run.into());
            }
            _ => shown.record(record),
        }
        // Nobody gets the rest of the records, so the run may end here.
        if shown.running.as_ref().is_some_and(Running::has_failed) {
            interrupted.store(true, Relaxed);
        }
    });
    let host = host.map(|host| host.options(Box::new(|line| lock(&shown).guest(line))));
    // A guest does not return. All records are there, so only the process is left to end.
    let gave_up = |status| {
        let code = match lock(&shown).conclude(args, status, interrupted) {
            Ok(code) => code,
            Err(problem) => {
                eprintln!("wramp: {problem}");
                2
            }
        };
        std::process::exit(i32::from(code))
    };
    let setup = Setup { config, sink, interrupted, gave_up: &gave_up };
    let vault = vault.map(|vault| vault as &dyn Vault);
    let summary = run_on(args.engine, setup, guests, host, vault)?;
    let mut shown = lock(&shown);
    if shown.waits && lacks_stack(&shown.text) && !interrupted.load(Relaxed) {
        return Ok(None);
    }
    shown.conclude(args, summary.exit(), interrupted).map(Some)
}

/// Whether the largest interpreter stack that was tried is too small for a first call.
fn lacks_stack(text: &str) -> bool {
    text.lines().filter_map(parsed).any(|record| match record {
        Record::Fault(fault) => fault.error.0 == ErrorKind::WasmStack.as_str(),
        _ => false,
    })
}

/// A record of this run. A line that holds none was not printed by it.
fn parsed(line: &str) -> Option<Record<'_>> {
    Record::parse(line).ok()?
}

/// What of a run was shown so far.
struct Shown {
    /// Until the run is over.
    running: Option<Running>,
    text: String,
    /// Whether records are kept back until the search for a stack has found one.
    waits: bool,
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shown {
    fn record(&mut self, record: &Record<'_>) {
        let line = record.to_string();
        self.text.push_str(&line);
        self.text.push('\n');
        match (&mut self.running, self.waits) {
            (_, true) if matches!(record, Record::Fit(_)) => self.release(),
            (Some(running), false) => running.record(record, &line),
            _ => {}
        }
    }

    /// A line of a guest.
    fn guest(&mut self, line: Arguments<'_>) {
        let line = line.to_string();
        self.text.push_str(&line);
        self.text.push('\n');
        if let (Some(running), false) = (&mut self.running, self.waits) {
            running.guest(&line);
        }
    }

    /// Shows what was kept back.
    fn release(&mut self) {
        if !std::mem::take(&mut self.waits) {
            return;
        }
        let Some(running) = &mut self.running else { return };
        for line in self.text.lines() {
            match parsed(line) {
                Some(record) => running.record(&record, line),
                None => running.guest(line),
            }
        }
    }

    /// Saves the run where that was asked for, and answers it. Returns the process's status.
    fn conclude(
        &mut self,
        args: &RunArgs,
        status: u32,
        interrupted: &AtomicBool,
    ) -> Result<u8, Problem> {
        self.release();
        if args.save {
            let directory = results::save("linux", self.text.as_bytes())?;
            eprintln!("saved: {}", directory.display());
        }
        // A run of which no record can be read has nothing to answer.
        let answers =
            Log::read("run", self.text.as_bytes()).map_or(Vec::new(), |log| answers(&log));
        if let Some(running) = self.running.take() {
            running.finish(&answers)?;
        }
        if interrupted.load(Relaxed) {
            return Ok(130);
        }
        Ok(u8::try_from(status).unwrap_or(1))
    }
}

/// Refuses a mix that has more instances than slots.
fn has_slots(config: &Config, guests: &[Guest<'_>]) -> Result<(), Problem> {
    let lineup = Lineup::new(guests);
    let least = lineup.fixed().saturating_add(u32::try_from(lineup.open()).unwrap_or(u32::MAX));
    if config.mode == Mode::Threads && least > config.slots {
        return Err(Problem::new(format!(
            "--mix asks for {} instances or more, and {} is {}: raise it",
            count(least),
            option(Knob::Slots),
            config.slots
        )));
    }
    Ok(())
}

/// The knobs of the command line over the preset's.
fn config(args: &RunArgs) -> Result<Config, Problem> {
    let geometry = &args.geometry;
    let facts = args.engine.facts()?;
    let meters = facts.meters;
    if geometry.budget_instructions.is_some() && !meters {
        return Err(Problem::new(
            "--budget-instructions: this engine does not count instructions: take \
             --engine tinywasm, or build WAMR with WRAMP_METERING=1",
        ));
    }
    if let Some(item) = args.mix.iter().find(|item| item.budget.is_some() && !meters) {
        return Err(Problem::new(format!(
            "--mix {}={}: this engine does not count instructions: take --engine tinywasm, or build \
             WAMR with WRAMP_METERING=1",
            item.module,
            item.asked()
        )));
    }
    if geometry.export.is_some() && geometry.module.is_none() && args.mix.is_empty() {
        return Err(Problem::new("--export belongs to --module or --mix"));
    }
    if !args.mix.is_empty() {
        if args.scenario != ScenarioName::All {
            return Err(Problem::new("--mix is a scenario of its own: leave out --scenario"));
        }
        if geometry.budget_bytes.is_some() {
            return Err(Problem::new(
                "--mix and --budget-bytes: what a mix leaves for stacks is a question for wramp \
                 fit; give --arena-bytes and --slots",
            ));
        }
    }
    if geometry.module.is_some() && !geometry.workload.is_empty() {
        return Err(Problem::new("--module and --workload: give one or the other"));
    }
    let has_own = geometry.module.is_some() || !args.mix.is_empty();
    match args.leave.given() {
        Some("--queue-bytes") if args.scenario == ScenarioName::Messages => {}
        Some(option) if !has_own => {
            return Err(Problem::new(format!("{option} belongs to --module or --mix")));
        }
        _ => {}
    }
    if args.scenario == ScenarioName::Messages
        && (geometry.module.is_some() || !geometry.workload.is_empty())
    {
        return Err(Problem::new(
            "--scenario messages has guests of its own: leave out --module and --workload",
        ));
    }
    if args.scenario == ScenarioName::Pinned && geometry.pin.is_some() {
        return Err(Problem::new("--scenario pinned pins by itself: leave out --pin"));
    }
    let base = match args.preset {
        Preset::Published => Config::PUBLISHED,
        Preset::Dense => Config::DENSE,
    };
    let config = geometry.config(base)?;
    let least = least_stack();
    if config.slot_stack < least && config.mode != Mode::Cooperative {
        return Err(Problem::new(format!(
            "{} is too small: at least {least}, of which the engine keeps {} free",
            option(Knob::SlotStack),
            facts.stack_guard
        )));
    }
    let config = Config {
        // Only a stack that is reserved apart from its instance can be searched for.
        fit_wasm_stack: config.fit_wasm_stack && facts.stack == StackKind::Reserved,
        budget: match geometry.budget_instructions {
            // An endless guest ends by default where the engine can end it.
            None if meters => Some(DEFAULT_BUDGET),
            Some(0) => None,
            asked => asked,
        },
        scenario: match args.scenario {
            _ if !args.mix.is_empty() => Scenario::Mix,
            ScenarioName::All | ScenarioName::Messages => Scenario::All,
            ScenarioName::Mixed => Scenario::Mixed,
            ScenarioName::Private => Scenario::Private,
            ScenarioName::Pinned => Scenario::Pinned,
        },
        ..config
    };
    // A pool needs no more slots than it has workers.
    Ok(match config.mode {
        Mode::Pool { workers } | Mode::Park(Park { workers, .. }) if geometry.slots.is_none() => {
            Config { slots: workers, ..config }
        }
        Mode::Cooperative => Config { slots: 0, ..config },
        _ => config,
    })
}

/// Splits a budget between stacks and arena for the highest peak of the first workload.
///
/// In a pool the arena gets what the workers' stacks leave. With threads, one instance runs
/// first, to find out what it costs.
fn spend(
    args: &RunArgs,
    config: Config,
    budget: u32,
    guests: &[Guest<'_>],
    host: Option<Host<'_>>,
    interrupted: &AtomicBool,
) -> Result<Config, Problem> {
    if let Some(workers) = config.mode.workers() {
        let stacks = workers.saturating_mul(config.slot_stack.0);
        let arena = budget.checked_sub(stacks).ok_or_else(|| {
            Problem::new(format!(
                "--budget-bytes {budget} does not hold {workers} stacks: raise it"
            ))
        })?;
        return Ok(Config { arena: Bytes(arena), slots: workers, ..config });
    }
    let one = Config { arena: Bytes(budget), slots: 1, dwell_ms: 1, settle_ms: 0, ..config };
    let first = guests.get(..1).unwrap_or(guests);
    let mut text = String::new();
    let sink = Box::new(|record: &Record<'_>| text.push_str(&format!("{record}\n")));
    let gave_up = |status| std::process::exit(i32::try_from(status).unwrap_or(1));
    let setup = Setup { config: one, sink, interrupted, gave_up: &gave_up };
    let quiet = host.map(|host| host.options(Box::new(|_| {})));
    run_on(args.engine, setup, first, quiet, None)?;
    if lacks_stack(&text)
        && let Some(wasm_stack) = larger_stack(&one)
    {
        return spend(args, Config { wasm_stack, ..config }, budget, guests, host, interrupted);
    }
    let log = Log::read("budget", text.as_bytes())?;
    let measured = log
        .runs
        .first()
        .and_then(|run| Measured::of(&run.header.as_ref()?.get(), run.ramps.first()?));
    let measured = measured.ok_or_else(|| {
        Problem::new(format!("--budget-bytes {budget} does not hold one instance: raise it"))
    })?;
    // The stack that was fitted then is fitted again.
    let (split, _) = measured.split(&config, budget)?;
    Ok(split)
}

/// The workloads of the scenario where none are named.
fn built_in(args: &RunArgs) -> Result<Vec<Guest<'static>>, Problem> {
    let default: &[&str] = match args.scenario {
        ScenarioName::All if args.preset == Preset::Dense => &["cpu", "state"],
        ScenarioName::All | ScenarioName::Messages | ScenarioName::Private => {
            &["cpu", "mem", "msg"]
        }
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

/// Says in one line what would save most where linear memory is most of an instance.
fn remark_on_memory(own: &OwnModule, interpreter: &str) {
    let OwnModule { name, wasm, .. } = own;
    let Some(layout) = Layout::of(usize::BITS, interpreter) else { return };
    // A module that this cannot read is the engine's to refuse.
    let Ok(report) = sizes(wasm, layout) else { return };
    if let Some(advice) = report.advice.as_ref().filter(|_| report.is_mostly_memory()) {
        eprintln!(
            "{name}: linear memory is {} of the {} bytes of an instance; {advice} (wramp size)",
            count(report.part("linear-memory")),
            count(report.instance_bytes())
        );
    }
}
