//! `wramp engines`: every engine of this build, side by side.
//!
//! Each engine gets the same modules, the same arena and the same checks. This file measures;
//! a table shows it.

use clap::Args;

use crate::engine::EngineName;
use crate::show::table::TableFormat;

/// Options of `wramp engines`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp engines                                  every engine of this build
  wramp engines --engine wasmi,tinywasm          these alone
  wramp engines my.wasm --export tick            a module of your own as well
  wramp engines --format csv > engines.csv

Bytes and peaks are exact. Times are those of this machine, the fastest of many calls on one
thread: run nothing else meanwhile. `x native` says how many times as long a guest
takes as the same C on this machine. classic and fast are WAMR's interpreters.

Exit status: 0 right; 1 wrong results, failed calls or leaked bytes; 2 wrong input.")]
pub struct EnginesArgs {
    /// Modules of your own, as .wasm or .wat
    #[arg(value_name = "MODULE")]
    pub modules: Vec<String>,
    /// The export of your modules that each call enters
    #[arg(long, default_value = "run", value_name = "NAME")]
    pub export: String,
    /// These engines alone
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    pub engine: Vec<EngineName>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// `wramp engines`, in a build without them.
///
/// # Errors
/// Always: it names the command that builds them.
#[cfg(not(feature = "engines"))]
pub fn execute(_: &EnginesArgs) -> crate::problem::Outcome {
    Err(crate::problem::Problem::new(
        "wramp engines: this wramp was built without engines beside WAMR: scripts/wramp engines \
         builds them, or in rust/, cargo build --release --package wramp --features engines",
    ))
}

#[cfg(feature = "engines")]
pub use with_engines::execute;

#[cfg(feature = "engines")]
mod with_engines {
    use std::convert::Infallible;
    use std::fmt::Display;
    use std::path::Path;
    use std::process::ExitCode;
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use wramp_arena::Arena as _;
    use wramp_bench::{EngineKind, Guest};
    use wramp_core::config::Config;
    use wramp_core::measure::Bytes;
    use wramp_core::report::Record;
    use wramp_core::runtime::{Error, ErrorKind, ModuleBytes, Parameters, Runtime};
    use wramp_engine_kernels as kernels;
    use wramp_host::Setup;
    use wramp_host::arena::Region;

    use super::EnginesArgs;
    use crate::engine::{EngineName, WithEngine};
    use crate::model::module;
    use crate::problem::{Outcome, Problem};
    use crate::show::table::{CellStyle, Table, column};
    use crate::show::terminal::print;

    /// The workloads of the ramp.
    const WORKLOADS: [&str; 4] = ["cpu", "state", "mem", "msg"];
    /// The published arena, and with it the bytes of its stacks.
    const ARENAS: [u32; 2] = [196_608, 294_912];
    /// The interpreter stack, as published.
    const STACK: Bytes = Bytes(4096);
    /// An arena that is no limit to one instance.
    const ROOMY: u32 = 4 << 20;
    /// The most instances of a ramp here.
    const SLOTS: u32 = 1500;
    /// How long a figure is measured, and how often at least.
    const MEASURE: Duration = Duration::from_millis(250);
    const LEAST: i32 = 9;

    /// A row's figures for one engine: label and value. Every engine has the same rows.
    #[derive(Default)]
    struct Figures {
        rows: Vec<(String, Option<String>)>,
        /// What went wrong, for the exit status.
        wrong: Vec<String>,
    }

    impl Figures {
        fn add(&mut self, label: impl Into<String>, value: Option<impl Display>) {
            self.rows.push((label.into(), value.map(|value| value.to_string())));
        }

        /// Microseconds with three figures.
        fn add_time(&mut self, label: impl Into<String>, time: Option<f64>) {
            self.add(label, time.map(three_figures));
        }
    }

    /// Three figures or more, without separators.
    fn three_figures(number: f64) -> String {
        match number {
            100.0.. => format!("{number:.0}"),
            10.0.. => format!("{number:.1}"),
            _ => format!("{number:.2}"),
        }
    }

    /// A module of a user, read.
    struct Own {
        name: String,
        wasm: Vec<u8>,
        parameters: Parameters,
    }

    /// The table of every engine that was asked for.
    ///
    /// # Errors
    /// An engine that this build lacks, a module that cannot be read, or stdout.
    pub fn execute(args: &EnginesArgs) -> Outcome {
        let own = args.modules.iter().map(|path| read(path, &args.export));
        let own = own.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<EngineName> = match &args.engine[..] {
            // What is not in this build has nothing to show.
            [] => EngineName::ALL.into_iter().filter(|name| name.facts().is_ok()).collect(),
            asked => asked.to_vec(),
        };
        let native = natives();
        let mut columns = vec![column("figure", "", CellStyle::Plain)];
        let (mut engines, mut remarks, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            eprintln!("measuring {} ...", name.as_str());
            let facts = name.facts()?;
            let measure = Measure { own: &own, export: &args.export, native: &native };
            let figures = name.choose(measure)?;
            columns.push(column(name.as_str(), name.short(), CellStyle::Number));
            remarks.push(format!("{}: {} {}", name.as_str(), facts.name, facts.version));
            wrong.extend(figures.wrong.iter().map(|what| format!("{}: {what}", name.as_str())));
            engines.push(figures);
        }
        columns[0].heading = "figure".into();
        let labels = engines.first().map_or(&[][..], |first| &first.rows);
        let rows = labels.iter().enumerate().map(|(at, (label, _))| {
            let values = engines.iter().map(|of| of.rows.get(at).and_then(|row| row.1.clone()));
            std::iter::once(Some(label.clone())).chain(values).collect()
        });
        let table = Table {
            name: "engines",
            title: "Engines (- is what an engine cannot do, or what did not fit)".into(),
            rows: rows.collect(),
            columns,
            ..Table::default()
        };
        print(&table.write(args.format))?;
        eprintln!("{}", remarks.join("; "));
        eprintln!("native: {}", kernels::COMPILER);
        for what in &wrong {
            eprintln!("wrong: {what}");
        }
        Ok(ExitCode::from(u8::from(!wrong.is_empty())))
    }

    fn read(path: &str, export: &str) -> Result<Own, Problem> {
        let wasm = module::read(Path::new(path))
            .map_err(|problem| Problem::new(format!("{path}: {problem}")))?;
        let parameters = module::parameters(&wasm, export);
        let name =
            Path::new(path).file_stem().map_or("module".into(), |stem| stem.to_string_lossy());
        Ok(Own { name: name.into_owned(), wasm, parameters })
    }

    /// The time of the fastest of many calls in microseconds: nothing interrupted that one.
    fn fastest(mut call: impl FnMut(i32)) -> f64 {
        let (began, mut times, mut fastest) = (Instant::now(), 0, Duration::MAX);
        while times < LEAST || began.elapsed() < MEASURE {
            let start = Instant::now();
            call(times);
            fastest = fastest.min(start.elapsed());
            times += 1;
        }
        fastest.as_secs_f64() * 1e6
    }

    /// The fastest time of each kernel on this machine itself.
    fn natives() -> Vec<f64> {
        let time = |kernel: &kernels::Kernel| {
            fastest(|seed| {
                std::hint::black_box((kernel.native)(std::hint::black_box(seed)));
            })
        };
        kernels::ALL.iter().map(time).collect()
    }

    /// All figures of one engine.
    struct Measure<'a> {
        own: &'a [Own],
        export: &'a str,
        native: &'a [f64],
    }

    impl WithEngine for Measure<'_> {
        type Output = Figures;

        fn with<E: EngineKind>(self) -> Figures {
            let mut figures = Figures::default();
            let facts = <E::Engine<'static> as Runtime>::facts();
            let cpu = wramp_workloads::find("cpu").map(|cpu| One {
                name: "cpu",
                wasm: cpu.wasm,
                export: cpu.export,
                parameters: cpu.parameters,
            });
            if let Some(one) = cpu {
                bytes_and_times::<E>(&mut figures, &one);
            }
            for name in WORKLOADS {
                let workload = wramp_workloads::find(name);
                let time = workload.and_then(|workload| {
                    let one = One {
                        name,
                        wasm: workload.wasm,
                        export: workload.export,
                        parameters: workload.parameters,
                    };
                    call_time::<E>(&one).ok().map(|(time, _)| time)
                });
                figures.add_time(format!("us a {name} call"), time);
            }
            kernel_times::<E>(&mut figures, self.native);
            let mut native_stack = None;
            for arena in ARENAS {
                for name in WORKLOADS {
                    let stack = peak::<E>(&mut figures, arena, name);
                    native_stack = native_stack.max(stack);
                }
            }
            figures.add("native stack, bytes", native_stack);
            figures.add("ends a runaway call", Some(if facts.meters { "yes" } else { "no" }));
            for own in self.own {
                let one = One {
                    name: &own.name,
                    wasm: &own.wasm,
                    export: self.export,
                    parameters: own.parameters,
                };
                bytes_and_times::<E>(&mut figures, &one);
                match call_time::<E>(&one) {
                    Ok((time, _)) => {
                        figures.add_time(format!("us a {} call", one.name), Some(time))
                    }
                    Err(error) => {
                        figures.add_time(format!("us a {} call", one.name), None);
                        figures.wrong.push(format!("{}: {error}", one.name));
                    }
                }
            }
            figures
        }
    }

    /// A module to measure.
    struct One<'a> {
        name: &'a str,
        wasm: &'a [u8],
        export: &'a str,
        parameters: Parameters,
    }

    /// Runs something with an engine on a roomy arena, with the arena's free bytes at hand.
    fn with_engine<E: EngineKind, T>(
        run: impl FnOnce(&E::Engine<'_>, &dyn Fn() -> u32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut region = Region::new(Bytes(ROOMY))
            .ok_or_else(|| Error::new(ErrorKind::OutOfMemory, "this machine has no memory"))?;
        let arena = region.arena();
        let engine = E::start(&arena)?;
        run(&engine, &|| arena.stats().free.0)
    }

    /// Bytes of a module, of an instance with a stack of its own, and of a further resident; and
    /// the time to load and to instantiate.
    fn bytes_and_times<E: EngineKind>(figures: &mut Figures, one: &One<'_>) {
        let measured = with_engine::<E, _>(|engine, free| {
            let bytes = ModuleBytes::Borrowed(one.wasm);
            let start = free();
            let module = engine.load(bytes)?;
            let loaded = free();
            let instantiate = || engine.instantiate(&module, one.export, one.parameters, STACK);
            let mut first = instantiate()?;
            let mut stack = engine.stack(&module, &first, STACK)?;
            engine.call(&mut stack, &mut first, 1, None)?;
            let own = free();
            let mut second = instantiate()?;
            engine.call(&mut stack, &mut second, 1, None)?;
            let resident = free();
            let load = fastest(|_| drop(engine.load(bytes)));
            let instance = fastest(|_| drop(instantiate()));
            Ok(([start - loaded, loaded - own, own - resident], load, instance))
        });
        let name = one.name;
        if let Err(error) = &measured {
            figures.wrong.push(format!("{name}: {error}"));
        }
        let measured = measured.ok();
        let of = |at: usize| measured.as_ref().map(|(bytes, ..)| bytes[at]);
        figures.add(format!("{name} module, bytes"), of(0));
        figures.add(format!("{name} instance, bytes"), of(1));
        figures.add(format!("{name} resident, bytes"), of(2));
        figures.add_time(format!("us to load {name}"), measured.as_ref().map(|m| m.1));
        figures.add_time(format!("us to start {name}"), measured.as_ref().map(|m| m.2));
    }

    /// The fastest time of a call, and the result of the first one.
    fn call_time<E: EngineKind>(one: &One<'_>) -> Result<(f64, i32), Error> {
        with_engine::<E, _>(|engine, _| {
            let module = engine.load(ModuleBytes::Borrowed(one.wasm))?;
            let mut instance = engine.instantiate(&module, one.export, one.parameters, STACK)?;
            let mut stack = engine.stack(&module, &instance, STACK)?;
            let first = engine.call(&mut stack, &mut instance, 1, None)?;
            let mut failed = None;
            let time = fastest(|seed| {
                if let Err(error) = engine.call(&mut stack, &mut instance, seed, None) {
                    failed.get_or_insert(error);
                }
            });
            match failed {
                None => Ok((time, first)),
                Some(error) => Err(error),
            }
        })
    }

    /// How many times as long as native each kernel takes. Every result is compared.
    fn kernel_times<E: EngineKind>(figures: &mut Figures, native: &[f64]) {
        for (kernel, &native) in kernels::ALL.iter().zip(native) {
            let measured = with_engine::<E, _>(|engine, _| {
                let module = engine.load(ModuleBytes::Static(kernel.wasm))?;
                let mut instance = engine.instantiate(&module, "run", Parameters::I32, STACK)?;
                let mut stack = engine.stack(&module, &instance, STACK)?;
                let mut call = |seed| engine.call(&mut stack, &mut instance, seed, None);
                for seed in [1, 2, -3, i32::MAX] {
                    let result = call(seed)?;
                    let right = (kernel.native)(seed);
                    if result != right {
                        return Ok(Err(format!("{}: {result} and not {right}", kernel.name)));
                    }
                }
                Ok(Ok(fastest(|seed| {
                    let _ = std::hint::black_box(call(seed));
                })))
            });
            let time = match measured {
                Ok(Ok(time)) => Some(time),
                Ok(Err(what)) => {
                    figures.wrong.push(what);
                    None
                }
                Err(error) => {
                    figures.wrong.push(format!("{}: {error}", kernel.name));
                    None
                }
            };
            let label = format!("{}, x native", kernel.short);
            figures.add(label, time.map(|time| three_figures(time / native)));
        }
    }

    /// A ramp of threads in an arena of that size: its peak. Returns the native stack that the
    /// instances used.
    fn peak<E: EngineKind>(figures: &mut Figures, arena: u32, name: &str) -> Option<Bytes> {
        let config = Config {
            arena: Bytes(arena),
            slots: SLOTS,
            step: SLOTS,
            settle_ms: 0,
            dwell_ms: 1,
            pause_ms: 50,
            ..Config::PUBLISHED
        };
        let guests: Vec<_> = wramp_workloads::find(name).map(Guest::from).into_iter().collect();
        let (mut reached, mut stack) = (None, None);
        let mut wrong = Vec::new();
        let sink = Box::new(|record: &Record<'_>| match record {
            Record::End(end) => {
                reached = Some(end.peak);
                stack = end.stack_used_bytes;
                if end.errors > 0 || end.leaked_bytes != Some(0) {
                    wrong.push(record.to_string());
                }
                if end.predicted_peak != Some(end.peak) {
                    wrong.push(format!("the peak was not predicted: {record}"));
                }
            }
            Record::Fault(_) => wrong.push(record.to_string()),
            _ => {}
        });
        let interrupted = AtomicBool::new(false);
        let gave_up =
            |status| -> Infallible { std::process::exit(i32::try_from(status).unwrap_or(1)) };
        let setup = Setup { config, sink, interrupted: &interrupted, gave_up: &gave_up };
        if let Err(error) = wramp_host::run::<E>(setup, &guests) {
            wrong.push(error.to_string());
        }
        figures.wrong.append(&mut wrong);
        figures.add(format!("{name} peak in {arena}"), reached);
        stack
    }
}
