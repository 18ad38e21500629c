//! `wramp suite`: every module of a directory, in one table.
//!
//! Each module has a ramp of its own, as in `wramp run --module`. The table comes from the records,
//! so a board's log gives the same one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use clap::Args;
use wasmparser::ValType;
use wramp_bench::{Agreement, Count, EngineKind, Expected, Guest, Summary};
use wramp_core::config::{Config, DEFAULT_BUDGET};
use wramp_core::measure::Bytes;
use wramp_core::report::Record;
use wramp_core::runtime::StackKind;
use wramp_host::{HostOptions, Setup, SetupError};

use crate::engine::{EngineName, WithEngine};
use crate::model::geometry::Geometry;
use crate::model::leave::Leave;
use crate::model::log::Log;
use crate::model::module;
use crate::model::own::OwnModule;
use crate::model::run_log::RampLog;
use crate::problem::{Outcome, Problem};
use crate::show::table::CellStyle::{Micros, Name, Number, Plain};
use crate::show::table::{Column, Table, TableFormat, column};
use crate::show::terminal::print;

/// Options of `wramp suite`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp suite guest                              what each module costs, and how many fit
  wramp suite embench --export __original_main --expect 0 --stub env.initialise_board \\
      --stub env.start_trigger --stub env.stop_trigger --slots 1
  wramp suite coremark --allow clock_ms --slots 1 --stuck-ms 120000
  wramp suite embench --from board.log           the same table from a board's log

docs/suites.md says how to get CoreMark and Embench, and how to run them on a board. A result that is
an f32 is a score, which instances need not agree on.

Exit status: 0 where every module ran and every check passed, 1 where one did not, 2 for wrong
input.")]
pub struct SuiteArgs {
    /// The directory; its .wasm and .wat files are the suite
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Take the figures from the log of a board that ran these modules, and run nothing here
    #[arg(long, value_name = "LOG")]
    pub from: Option<String>,
    /// Keep the records of the runs in this file
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub log: Option<PathBuf>,
    /// The engine
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    pub engine: EngineName,
    /// How to write the table
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
    /// The geometry.
    #[command(flatten)]
    pub geometry: Geometry,
    /// What guests may have.
    #[command(flatten)]
    pub leave: Leave,
}

/// A ramp of one module is short: the first rung gives the time of a call, and the others only
/// count. The interpreter stack is what the first call needs, up to 16 KiB. Each can be set.
const BASE: Config = Config {
    settle_ms: 20,
    dwell_ms: 200,
    wasm_stack: Bytes(16 << 10),
    fit_wasm_stack: true,
    ..Config::PUBLISHED
};

const COLUMNS: &[Column] = &[
    column("module", "module", Name),
    column("module_bytes", "bytes", Number),
    column("cost_bytes", "bytes each", Number),
    column("peak", "fit", Number),
    column("limit", "stopped by", Name),
    column("call_us", "us a call", Micros),
    column("score", "score", Plain),
    column("calls", "calls", Number),
    column("check", "check", Plain),
];

/// A module of the suite.
struct Member {
    name: String,
    /// What it is to run, or why it cannot.
    module: Result<OwnModule, Problem>,
    /// Whether its result is an f32.
    has_score: bool,
    bytes: usize,
}

/// The modules of a directory, in the order of their names.
fn members(args: &SuiteArgs) -> Result<Vec<Member>, Problem> {
    let directory = &args.directory;
    let named =
        |error: &dyn std::fmt::Display| Problem::new(format!("{}: {error}", directory.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| named(&error))? {
        let path = entry.map_err(|error| named(&error))?.path();
        if path.extension().is_some_and(|end| end == "wasm" || end == "wat") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(named(&"no .wasm and no .wat in it"));
    }
    files.sort();
    let stubs = args.leave.stubs()?;
    let grants = args.leave.grants(&stubs);
    let export = args.geometry.export.as_deref();
    let member = |path: &Path| {
        let name = path.file_stem().map_or_else(String::new, |stem| stem.display().to_string());
        let bytes = module::read(path).map_or(0, |wasm| wasm.len());
        let read = OwnModule::read("suite", &path.display().to_string(), export, &grants);
        let has_score = read.as_ref().is_ok_and(|own| {
            let signature = wramp_validate::signature(&own.wasm, &own.export);
            signature.is_some_and(|found| matches!(found.results(), [ValType::F32]))
        });
        Member { name, module: read, has_score, bytes }
    };
    Ok(files.iter().map(|path| member(path)).collect())
}

/// A ramp of one module, for an engine of any kind.
struct Ramp<'s, 'g> {
    setup: Setup<'s>,
    guest: Guest<'g>,
    host: Option<HostOptions<'s>>,
}

impl WithEngine for Ramp<'_, '_> {
    type Output = Result<Summary, SetupError>;

    fn with<E: EngineKind>(self) -> Self::Output {
        wramp_host::run_hosted::<E>(self.setup, &[self.guest], self.host)
    }
}

/// Runs a module and adds its records to `log`.
fn run(
    args: &SuiteArgs,
    config: Config,
    member: &Member,
    own: &OwnModule,
    log: &mut String,
) -> Result<(), Problem> {
    let expected = args.leave.expect.or(member.has_score.then_some(Expected::Anything));
    let stubs = args.leave.stubs()?;
    let host = (own.needs_host || expected.is_some()).then(|| HostOptions {
        grants: args.leave.grants(&stubs),
        queue_bytes: if own.receives { args.leave.queue_bytes() } else { 0 },
        expected,
        voice: Box::new(|line| eprintln!("{line}")),
    });
    let agreement = Agreement::new();
    let guest = own.guest(&agreement, Count::Most);
    let interrupted = AtomicBool::new(false);
    let gave_up = |_| -> std::convert::Infallible {
        eprintln!(
            "wramp: {}: a call does not return, and Linux cannot end a thread: raise --stuck-ms, or \
             leave the module out",
            member.name
        );
        std::process::exit(1)
    };
    let sink = Box::new(|record: &Record<'_>| log.push_str(&format!("{record}\n")));
    let setup = Setup { config, sink, interrupted: &interrupted, gave_up: &gave_up };
    let ran = args.engine.choose(Ramp { setup, guest, host })?;
    ran.map(drop).map_err(|error| Problem::new(error.to_string()))
}

/// The geometry of each ramp.
fn config(args: &SuiteArgs) -> Result<Config, Problem> {
    let geometry = &args.geometry;
    if geometry.module.is_some() || !geometry.workload.is_empty() {
        return Err(Problem::new("a suite is a directory: leave out --module and --workload"));
    }
    let facts = args.engine.facts()?;
    let config = geometry.config(BASE)?;
    Ok(Config {
        fit_wasm_stack: config.fit_wasm_stack && facts.stack == StackKind::Reserved,
        budget: match geometry.budget_instructions {
            None if facts.meters => Some(DEFAULT_BUDGET),
            Some(0) => None,
            asked => asked,
        },
        ..config
    })
}

/// What a log says of a module. `None` where it ran nothing of it.
fn ramp_of<'l>(log: &'l Log, name: &str) -> Option<&'l RampLog> {
    log.ramps().filter(|ramp| ramp.is_of(name)).last()
}

/// What went wrong with a module of which nothing ran.
fn fault_of(log: &Log, name: &str) -> Option<String> {
    let faults = log.runs.iter().flat_map(|run| run.faults.iter());
    let mut of = faults.map(|fault| fault.get()).filter(|fault| {
        fault.workload.is_some_and(|word| word.0 == name || word.readable().to_string() == name)
    });
    of.next().map(|fault| fault.message.readable().to_string())
}

/// A row of the table, and whether all is well.
fn row(args: &SuiteArgs, log: &Log, member: &Member) -> (Vec<Option<String>>, bool) {
    let Member { name, module, has_score, bytes } = member;
    let start = [Some(name.clone()), Some(bytes.to_string())];
    let none = |why: String| {
        let rest = [None, None, None, None, None, None, Some(why)];
        (start.clone().into_iter().chain(rest).collect(), false)
    };
    if let Err(problem) = module {
        return none(format!("refused: {}", problem.0.lines().next().unwrap_or_default()));
    }
    if let Some(why) = fault_of(log, name) {
        return none(why);
    }
    let Some(ramp) = ramp_of(log, name) else { return none("did not run".to_owned()) };
    let Some(end) = &ramp.end else { return none("did not end".to_owned()) };
    let answer = ramp.answer.as_ref().map(|answer| answer.get());
    // The bits of an f32 are an i32 in the record.
    let score = answer.filter(|_| *has_score).map(|answer| f32::from_bits(answer.last as u32));
    let is_right =
        end.get().errors == 0 && end.get().calls > 0 && end.get().leaked_bytes == Some(0);
    let is_right = is_right && score.is_none_or(|score| score > 0.0);
    let check = match (is_right, args.leave.expect, score) {
        (true, Some(Expected::Value(value)), _) => format!("each gave {value}"),
        (true, Some(Expected::Anything), _) | (true, None, Some(_)) => "ran".to_owned(),
        (true, None, None) => "all agree".to_owned(),
        (false, ..) => {
            let first = ramp.instances.iter().map(|kept| kept.get()).find(|one| one.errors > 0);
            let why = first.and_then(|one| one.message);
            let errors = format!("{} errors", end.get().errors);
            why.map_or(errors.clone(), |why| format!("{errors}: {}", why.readable()))
        }
    };
    let cells = [
        ramp.cost_bytes().map(str::to_owned),
        Some(ramp.peak().to_string()),
        end.value("limit").map(str::to_owned),
        ramp.call_time().map(|time| time.text.to_owned()),
        score.map(|score| format!("{score:.2}")),
        end.value("calls").map(str::to_owned),
        Some(check),
    ];
    (start.into_iter().chain(cells).collect(), is_right)
}

/// `wramp suite`.
///
/// # Errors
/// Wrong input.
pub fn execute(args: &SuiteArgs) -> Outcome {
    let config = config(args)?;
    let members = members(args)?;
    let log = match &args.from {
        Some(path) => Log::open(path)?,
        None => {
            let mut text = String::new();
            for (place, member) in members.iter().enumerate() {
                let Ok(own) = &member.module else { continue };
                eprintln!("{}/{} {}", place + 1, members.len(), member.name);
                run(args, config, member, own, &mut text)?;
            }
            if let Some(path) = &args.log {
                let told = |error| Problem::new(format!("{}: {error}", path.display()));
                fs::write(path, &text).map_err(told)?;
            }
            // A log of no run is none. Every module of this suite was refused, and the table says
            // why.
            match text.as_str() {
                "" => Log::new("suite"),
                text => Log::read("suite", text.as_bytes())?,
            }
        }
    };
    let (rows, right): (Vec<_>, Vec<_>) =
        members.iter().map(|member| row(args, &log, member)).unzip();
    let header = log.best().and_then(|run| run.header.as_ref()).map(|header| header.get());
    let on = header.map_or(String::new(), |run| {
        format!(
            " on {}, {} {}, an arena of {} bytes",
            run.board.readable(),
            run.runtime.readable(),
            run.interpreter.readable(),
            run.arena_bytes
        )
    });
    let table = Table {
        name: "suite",
        title: format!("{}{on}", args.directory.display()),
        columns: COLUMNS.to_vec(),
        rows,
        ..Table::default()
    };
    print(&table.write(args.format))?;
    Ok(ExitCode::from(u8::from(!right.iter().all(|right| *right))))
}
