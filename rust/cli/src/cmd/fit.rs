//! `wramp fit`: do these modules fit on that board, and what would make room for more?
//!
//! Bytes carry over between machines whose pointers have the same size. So the answer is not
//! estimated: this starts the instances of the mix on an arena as large as the board's image
//! leaves, and gives them back. It does so again for each change that might make room.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;
use wramp_core::config::{DENSE_WORKERS, Mode};
use wramp_core::measure::Bytes;
use wramp_imports::{Capability, Grants, Stub};

use crate::engine::EngineName;
use crate::fitting::{
    Answer, Fitted as Stacked, Host, Question, Spending, changes, other_interpreter, probe,
};
use crate::model::board::{Board, heap_overhead};
use crate::model::file;
use crate::model::fitted::{Fitted, FittedGuest, Question as Asked, Threads};
use crate::model::geometry::{WasmStack, bytes, wasm_stack};
use crate::model::mix::Item;
use crate::model::own::Mixed;
use crate::problem::{Outcome, Problem};
use crate::show::number::{count, ordinal};
use crate::show::stacks::Stacks;
use crate::show::terminal::print;

/// Options of `wramp fit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp fit a.wasm:tick=3 b.wasm:run c.wasm:run='*' --board nrf52840dk/nrf52840
  wramp fit cpu='*' --board mps2/an385 --mode pool --wasm-stack-bytes fit
  wramp fit cpu=20 state='*' --board rpi_pico -o fit.conf --picture fit.svg
  wramp fit --boards                             the catalogue

The bytes are exact where this wramp and the board have pointers of the same size: the same
allocations are made in an arena as large as the board's. Times are not predicted.

Exit status: 0 yes, 1 no, 2 wrong input.")]
pub struct FitArgs {
    /// The mix: FILE or FILE:EXPORT, with =N for N instances (1 where nothing is said) or =* for as many
    /// as fit; a built-in workload's name is a FILE too
    #[arg(value_name = "MODULE[=N|=*]", required_unless_present = "boards")]
    pub mix: Vec<Item>,
    /// The board, as `west build` takes it; or a FILE.toml that describes one
    #[arg(long, value_name = "BOARD", required_unless_present = "boards")]
    pub board: Option<String>,
    /// List the boards of the catalogue
    #[arg(long, conflicts_with_all = ["mix", "board"])]
    pub boards: bool,
    /// The export of the modules that name none
    #[arg(long, value_name = "NAME")]
    pub export: Option<String>,
    /// A thread for each instance, or a pool of workers for one module
    #[arg(long, value_enum, default_value_t)]
    pub mode: FitMode,
    /// Workers of a pool
    #[arg(long, value_name = "N", default_value_t = DENSE_WORKERS)]
    pub workers: u32,
    /// Stack of a slot or of a worker
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4096")]
    pub slot_stack_bytes: u32,
    /// Interpreter stack of an instance; `fit`: what its first call needs, and a margin
    #[arg(long, value_name = "BYTES|fit", value_parser = wasm_stack, default_value = "4096")]
    pub wasm_stack_bytes: WasmStack,
    /// The interpreter
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub engine: EngineName,
    /// What the guests may do: log, send, receive, clock_ms
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub allow: Vec<Capability>,
    /// An import without a result that shall do nothing (repeat for several)
    #[arg(long, value_name = "MODULE.NAME")]
    pub stub: Vec<String>,
    /// RAM to keep free for the rest of the application
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "0")]
    pub reserve_bytes: u32,
    /// Write a Kconfig overlay with which the firmware runs this mix
    #[arg(short, long, value_name = "FILE.conf")]
    pub output: Option<String>,
    /// Draw where the RAM goes: .svg or .html
    #[arg(long, value_name = "FILE")]
    pub picture: Option<String>,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: FitFormat,
}

/// How instances share threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FitMode {
    /// A thread and an interpreter stack for each instance
    #[default]
    Threads,
    /// A few workers serve any number of residents of one module
    Pool,
}

/// How to write the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FitFormat {
    /// For a person
    #[default]
    Text,
    /// One object
    Json,
}

impl Answer<'_> {
    /// `3 a, 1 b and 17 c`.
    fn listed(&self) -> String {
        let names = self.spending.asked.guests.iter().zip(&self.placed.instances);
        let words: Vec<_> =
            names.map(|(guest, n)| format!("{} {}", count(*n), guest.name)).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }

    fn sentence(&self) -> String {
        let Question { board: Board { board, name, .. }, guests, .. } = self.spending.asked;
        let (listed, bytes) = (self.listed(), count(self.spare.unsigned_abs()));
        if !self.yes {
            return format!("no: {listed} on {name} ({board}) lack {bytes} bytes of RAM");
        }
        let next = self.next.map_or(String::new(), |guest| {
            let one_more = ordinal(self.placed.instances[guest] + 1);
            format!("; the {one_more} {} does not fit", guests[guest].name)
        });
        let fit = if self.n == 1 { "fits" } else { "fit" };
        format!("yes: {listed} {fit} on {name} ({board}), with {bytes} bytes to spare{next}")
    }

    /// Where the RAM goes: names and bytes, which add up to the board's RAM.
    fn parts(&self) -> Vec<(String, i64)> {
        let Question { board, guests, mode, .. } = self.spending.asked;
        let beside = self.spending.beside(self.n);
        let room = self.spending.room;
        let placed = &self.placed;
        let mut parts = vec![("image".to_owned(), i64::from(board.ram_bytes) - room)];
        let slots = i64::from(beside.slots) * i64::from(beside.slot_bytes);
        let threads = if mode.workers().is_some() { "worker" } else { "slot" };
        parts.push((plural(beside.slots, threads), slots));
        if beside.table > 0 {
            parts.push(("table of residents".to_owned(), beside.table.into()));
        }
        let kept = heap_overhead(self.arena, board.pointer_bits) + placed.engine.0;
        parts.push(("heap and engine".to_owned(), kept.into()));
        let modules: i64 = placed.modules.iter().map(|bytes| i64::from(bytes.0)).sum();
        let word = if guests.len() == 1 { "module" } else { "modules" };
        parts.push((word.to_owned(), modules));
        if placed.workers > Bytes(0) {
            parts.push(("workers' interpreter stacks".to_owned(), placed.workers.0.into()));
        }
        let all = guests.iter().zip(&placed.instances).zip(&placed.costs);
        for ((guest, &n), cost) in all {
            let each = cost.unwrap_or_default().0;
            let name = format!("{} {} of {} B", count(n), guest.name, count(each));
            parts.push((name, i64::from(n) * i64::from(each)));
        }
        // What is free and cannot be spared is needed while an instance starts, or is rounding.
        let used: i64 = parts.iter().map(|(_, bytes)| bytes).sum();
        let needed = i64::from(board.ram_bytes) - used - self.spare;
        if needed > 0 {
            parts.push(("needed to start".to_owned(), needed));
        }
        parts.push(("free".to_owned(), i64::from(board.ram_bytes) - used - needed));
        parts
    }
}

fn plural(n: u32, word: &str) -> String {
    format!("{} {word}{}", count(n), if n == 1 { "" } else { "s" })
}

/// The overlay with which the firmware runs the mix.
fn overlay(answer: &Answer<'_>, items: &[Item], export: Option<&str>) -> Result<String, Problem> {
    let Spending { asked, stacks, fitted, .. } = &answer.spending;
    let words: Vec<_> = items
        .iter()
        .map(|item| {
            let export = item.export.as_deref().or(export.filter(|_| !item.is_built_in()));
            let export = export.map_or(String::new(), |export| format!(":{export}"));
            format!("{}{export}={}", item.module, item.asked())
        })
        .collect();
    let arena = answer.arena;
    let most = stacks.iter().map(|stack| stack.0).max().unwrap_or_default();
    let mut lines = vec![
        format!("# {}", answer.sentence()),
        format!("CONFIG_WRAMP_MODULE=\"{}\"", words.join(" ")),
        format!("CONFIG_WRAMP_ARENA_SIZE={arena}"),
        format!("CONFIG_WRAMP_SLOT_STACK_SIZE={}", asked.slot_stack),
        format!("CONFIG_WRAMP_WASM_STACK_SIZE={most}"),
    ];
    if *fitted {
        lines.push("CONFIG_WRAMP_FIT_WASM_STACK=y".to_owned());
    }
    if items.iter().any(|item| item.budget.is_some()) {
        lines.push("CONFIG_WRAMP_METERING=y".to_owned());
    }
    match asked.mode.workers() {
        Some(workers) => lines.extend([
            "CONFIG_WRAMP_MODE_POOL=y".to_owned(),
            format!("CONFIG_WRAMP_SLOTS={workers}"),
            format!("CONFIG_WRAMP_WORKERS={workers}"),
            format!("CONFIG_WRAMP_RESIDENTS={}", answer.n),
        ]),
        None => lines.push(format!("CONFIG_WRAMP_SLOTS={}", answer.n)),
    }
    if asked.engine.facts()?.interpreter == "fast" {
        lines.push("CONFIG_WRAMP_INTERPRETER_FAST=y".to_owned());
    }
    lines.push(format!("# west wramp run -b {} FILE.conf", asked.board.board));
    Ok(lines.join("\n") + "\n")
}

fn text(asked: &Answer<'_>, better: &[Answer<'_>]) -> String {
    let board = asked.spending.asked.board;
    let ram = f64::from(board.ram_bytes);
    let mut text = format!(
        "{}\n\n{} bytes of RAM on {}{}: {}\n",
        wrapped(&asked.sentence(), 80),
        count(board.ram_bytes),
        board.image.date,
        board.image.zephyr.as_ref().map_or(String::new(), |zephyr| format!(", Zephyr {zephyr}")),
        board.tier.says()
    );
    let parts = asked.parts();
    let wide = parts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(40);
    for (name, bytes) in &parts {
        let bar = ((*bytes).max(0) as f64 / ram * 24.0).round() as usize;
        let row = format!("  {name:<wide$} {:>11}  {}", count(bytes), "█".repeat(bar.min(24)));
        text += &format!("{}\n", row.trim_end());
    }
    if !better.is_empty() {
        text += "\nwhat would make room, tried\n";
        for answer in better {
            let gain = if asked.next.is_some() && answer.yes {
                answer.listed()
            } else if answer.yes {
                format!("yes, {} bytes to spare", count(answer.spare))
            } else {
                format!("no, {} bytes missing", count(answer.spare.unsigned_abs()))
            };
            text += &format!(
                "  {}\n    {gain}; price: {}\n",
                answer.spending.name, answer.spending.price
            );
        }
    }
    text
}

/// Breaks a sentence into lines of at most `wide` characters.
fn wrapped(sentence: &str, wide: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= wide => {
                *line += " ";
                *line += word;
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

fn object(answer: &Answer<'_>) -> serde_json::Value {
    let instances: serde_json::Map<_, _> = (answer.spending.asked.guests.iter())
        .zip(&answer.placed.instances)
        .map(|(guest, n)| (guest.name.to_owned(), json!(n)))
        .collect();
    json!({
        "change": answer.spending.name,
        "fits": answer.yes,
        "spare_bytes": answer.spare,
        "instances": instances,
        "arena_bytes": answer.arena,
        "heap_bytes": heap_overhead(answer.arena, answer.spending.asked.board.pointer_bits),
        "arena_free_bytes": answer.placed.arena.free.0,
        "slots": answer.spending.beside(answer.n).slots,
        "slot_stack_bytes": answer.spending.asked.slot_stack,
        "ram": answer.parts().into_iter().map(|(name, bytes)| (name, json!(bytes)))
            .collect::<serde_json::Map<_, _>>(),
    })
}

fn picture(path: &str, asked: &Answer<'_>, better: &[Answer<'_>]) -> Result<(), Problem> {
    let mut kinds: Vec<String> = Vec::new();
    let kind = |name: &str| -> String {
        // Numbers differ from row to row, and the colour must not.
        let words = name.split(" of ").next().unwrap_or(name);
        words.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',' || c == ' ').to_owned()
    };
    let answers: Vec<_> = std::iter::once(asked).chain(better).collect();
    for answer in &answers {
        for (name, _) in answer.parts() {
            let kind = kind(&name);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    // What is free ends each bar.
    kinds.retain(|kind| kind != "free");
    kinds.push("free".to_owned());
    let rows = answers
        .iter()
        .map(|answer| {
            let mut bytes = vec![0; kinds.len()];
            for (name, part) in answer.parts() {
                if let Some(place) = kinds.iter().position(|known| *known == kind(&name)) {
                    bytes[place] += u32::try_from(part).unwrap_or(0);
                }
            }
            (format!("{}: {}", answer.spending.name, answer.listed()), bytes)
        })
        .collect();
    let board = asked.spending.asked.board;
    let title =
        format!("RAM of {} ({}), {} bytes", board.name, board.board, count(board.ram_bytes));
    let stacks = Stacks { title, parts: kinds, rows };
    let sheet = stacks.sheet();
    let page = match is_page(path)? {
        false => sheet,
        true => format!("<!doctype html><meta charset=utf-8><title>wramp fit</title>{sheet}"),
    };
    file::write(Path::new(path), page.as_bytes())
}

/// Whether a picture is to be a page and not a file of SVG.
fn is_page(path: &str) -> Result<bool, Problem> {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("svg") => Ok(false),
        Some("html") => Ok(true),
        _ => Err(Problem::new(format!("--picture {path}: its name must end in .svg or .html"))),
    }
}

fn catalogue() -> Result<String, Problem> {
    let mut text = format!(
        "{:<36} {:<12} {:>4} {:>10} {:>9}  {}\n",
        "board", "core", "bits", "RAM", "image", "figures"
    );
    for board in Board::all()? {
        text += &format!(
            "{:<36} {:<12} {:>4} {:>10} {:>9}  {}\n",
            board.board,
            board.cpu,
            board.pointer_bits,
            count(board.ram_bytes),
            count(board.image.ram_bytes),
            board.tier.says().split(',').next().unwrap_or_default()
        );
    }
    Ok(text)
}

/// Queue of each instance that receives messages, as `wramp run` has it.
const QUEUE_BYTES: u32 = 1048;

/// The functions that shall do nothing.
fn stubs(texts: &[String]) -> Result<Vec<Stub<'_>>, Problem> {
    let wrong = |text: &str| Problem::new(format!("--stub {text}: as in --stub env.start_trigger"));
    texts.iter().map(|text| Stub::parse(text).ok_or_else(|| wrong(text))).collect()
}

/// What the answer leaves open, a sentence each.
fn remarks(asked: &Answer<'_>) -> Vec<String> {
    let Question { board, engine, host, .. } = asked.spending.asked;
    let mut all = Vec::new();
    if host.is_some() {
        all.push(
            "the guests' rooms lie beside the arena, and the catalogue does not know them: the \
             arena's bytes are exact, and --reserve-bytes keeps RAM for the rest"
                .to_owned(),
        );
    }
    if other_interpreter(engine).is_none() {
        let (other, word) = match engine.facts().map(|facts| facts.interpreter) {
            Ok("fast") => ("the classic interpreter", "classic"),
            _ => ("the fast interpreter", "fast"),
        };
        all.push(format!(
            "{other} was not tried, because this wramp was built without it: \
             WRAMP_INTERPRETER={word} scripts/wramp fit ... --board {}",
            board.board
        ));
    }
    all
}

/// `wramp fit`.
///
/// # Errors
/// A module that cannot run, a board that is not known, or one whose pointers have another size.
pub fn execute(args: &FitArgs) -> Outcome {
    let Some(name) = args.board.as_deref().filter(|_| !args.boards) else {
        print(&catalogue()?)?;
        return Ok(ExitCode::SUCCESS);
    };
    args.picture.as_deref().map(is_page).transpose()?;
    answered(args, name, |asked, fitted, items| show(args, asked, fitted, items))
}

/// Asks what `wramp fit` asks, for another subcommand.
///
/// # Errors
/// As [`execute`].
pub fn ask(question: &Asked<'_>) -> Result<Fitted, Problem> {
    let (mode, workers) = match question.threads {
        Threads::Each => (FitMode::Threads, DENSE_WORKERS),
        Threads::Pool { workers } => (FitMode::Pool, workers),
    };
    let args = FitArgs {
        mix: question.mix.to_vec(),
        board: Some(question.board.to_owned()),
        boards: false,
        export: None,
        mode,
        workers,
        slot_stack_bytes: question.slot_stack_bytes,
        wasm_stack_bytes: question.wasm_stack_bytes,
        engine: EngineName::default(),
        allow: Vec::new(),
        stub: Vec::new(),
        reserve_bytes: question.reserve_bytes,
        output: None,
        picture: None,
        format: FitFormat::Json,
    };
    answered(&args, question.board, |asked, fitted, _| told(asked, fitted))
}

/// The answer in the terms that other subcommands know.
fn told(asked: &Answer<'_>, fitted: &[Stacked]) -> Result<Fitted, Problem> {
    let Spending { asked: Question { board, guests, engine, .. }, stacks, .. } = &asked.spending;
    let placed = &asked.placed;
    let guest = |place: usize| {
        let cost = placed.costs[place].unwrap_or_default().0;
        let mut parts: Vec<(&'static str, u32)> = placed.parts[place]
            .iter()
            .flat_map(|parts| parts.iter())
            .map(|(name, bytes)| (name, bytes.0))
            .filter(|&(_, bytes)| bytes > 0)
            .collect();
        let known: u32 = parts.iter().map(|(_, bytes)| bytes).sum();
        if !parts.is_empty() && cost > known {
            parts.push(("allocator", cost - known));
        }
        FittedGuest {
            name: guests[place].name.to_owned(),
            wasm: guests[place].module.bytes().to_vec(),
            export: guests[place].export.to_owned(),
            instances: placed.instances[place],
            instance_bytes: cost,
            module_arena_bytes: placed.modules[place].0,
            wasm_stack_bytes: stacks[place].0,
            wasm_stack_needed_bytes: fitted[place].0.0,
            parts,
        }
    };
    Ok(Fitted {
        fits: asked.yes,
        sentence: asked.sentence(),
        board: Board::clone(board),
        interpreter: engine.facts()?.interpreter,
        spare_bytes: asked.spare,
        arena_bytes: asked.arena,
        guests: (0..guests.len()).map(guest).collect(),
    })
}

/// Finds the answer and hands it on, with what the first call of each guest needs.
fn answered<T>(
    args: &FitArgs,
    name: &str,
    hand_on: impl FnOnce(&Answer<'_>, &[Stacked], &[Item]) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let board = Board::find(name)?;
    if board.pointer_bits != usize::BITS {
        return Err(Problem::new(format!(
            "{}: its pointers have {} bits and this wramp's have {}, so bytes do not carry over: \
             scripts/wramp --bits {} fit ...",
            board.board,
            board.pointer_bits,
            usize::BITS,
            board.pointer_bits
        )));
    }
    let stubs = stubs(&args.stub)?;
    let grants = (args.allow.iter())
        .fold(Grants::new(&stubs, 0), |grants, &capability| grants.allow(capability));
    let mixed = Mixed::read("fit", &args.mix, args.export.as_deref(), &grants)?;
    let guests = mixed.guests();
    if args.mode == FitMode::Pool && guests.len() > 1 {
        return Err(Problem::new("--mode pool: the residents of a pool share one module"));
    }
    let needs_host = mixed.own().any(|own| own.needs_host);
    let queue_bytes = if mixed.own().any(|own| own.receives) { QUEUE_BYTES } else { 0 };
    let host = needs_host.then_some(Host { grants, queue_bytes });
    let fitted = probe(args.engine, &guests, host)?;
    let fits = args.wasm_stack_bytes == WasmStack::Fit;
    let stacks = match args.wasm_stack_bytes {
        WasmStack::Fit => fitted.iter().map(|&(_, stack)| stack).collect(),
        WasmStack::Bytes(each) => {
            let short = guests.iter().zip(&fitted).find(|(_, (needed, _))| needed.0 > each);
            if let Some((guest, (needed, _))) = short {
                return Err(Problem::new(format!(
                    "--wasm-stack-bytes {each}: the first call of {} needs {needed}; give that or \
                     more, or fit",
                    guest.name
                )));
            }
            vec![Bytes(each); guests.len()]
        }
    };
    if let Some(least) = board.image.slot_stack_least_bytes
        && args.slot_stack_bytes < least
    {
        return Err(Problem::new(format!(
            "--slot-stack-bytes {}: the firmware of {} takes {least} at least",
            args.slot_stack_bytes, board.board
        )));
    }
    let mode = match args.mode {
        FitMode::Threads => Mode::Threads,
        FitMode::Pool => Mode::Pool { workers: args.workers.max(1) },
    };
    let question = Question {
        board: &board,
        engine: args.engine,
        guests: &guests,
        host,
        mode,
        slot_stack: args.slot_stack_bytes,
        reserve: args.reserve_bytes,
    };
    let asked = Spending::new(question, stacks, fits)?.answer()?;
    hand_on(&asked, &fitted, mixed.items())
}

/// Prints the answer and writes what was asked for besides.
fn show(args: &FitArgs, asked: &Answer<'_>, fitted: &[Stacked], items: &[Item]) -> Outcome {
    let better = changes(asked, fitted, None)?;
    for remark in remarks(asked) {
        eprintln!("wramp: {remark}");
    }
    match args.format {
        FitFormat::Text => print(&text(asked, &better))?,
        FitFormat::Json => {
            let mut all = object(asked);
            all["board"] = json!(asked.spending.asked.board.board);
            all["changes"] = better.iter().map(object).collect();
            print(&format!("{all:#}\n"))?;
        }
    }
    if let Some(path) = &args.output {
        let made = overlay(asked, items, args.export.as_deref())?;
        file::write(Path::new(path), made.as_bytes())?;
    }
    if let Some(path) = &args.picture {
        picture(path, asked, &better)?;
    }
    Ok(if asked.yes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
