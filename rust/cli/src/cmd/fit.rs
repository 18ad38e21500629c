//! `wramp fit`: do these modules fit on that board, and what would make room for more?
//!
//! Bytes carry over between machines whose pointers have the same size. So the answer is not
//! estimated: this starts the instances of the mix on an arena as large as the board's image
//! leaves, and gives them back. It does so again for each change that might make room.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use clap::{Args, ValueEnum};
use serde_json::json;
use wramp_bench::{Check, Count, Guest, Lineup};
use wramp_core::config::{Config, DENSE_WORKERS, Mode, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::report::Record;
use wramp_core::runtime::{Error, ErrorKind, Runtime as _};
use wramp_host::Setup;
use wramp_host::place::{Placed, place};
use wramp_imports::Grants;
use wramp_wamr::Engine;

use crate::engine::Wamr;
use crate::model::board::{Board, heap_overhead};
use crate::model::file;
use crate::model::fitted::{Fitted, FittedGuest, Question, Threads};
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

/// The largest arena that the search for the least one tries.
const MOST_ARENA: u32 = 256 << 20;
/// The largest interpreter stack that a first call is given.
const MOST_WASM_STACK: u32 = 65_536;
/// What arenas are rounded to.
const UNIT: u32 = 8;

/// How the RAM of the board is spent.
#[derive(Clone)]
struct Spending<'a> {
    /// What this is, for a person.
    name: &'static str,
    /// What it costs in time, or what it risks.
    price: &'static str,
    board: &'a Board,
    guests: &'a [Guest<'a>],
    /// The interpreter stack of each guest's instances.
    stacks: Vec<Bytes>,
    /// Whether these were fitted.
    fitted: bool,
    mode: Mode,
    slot_stack: u32,
    /// RAM for arena, slots and the table of residents.
    room: i64,
}

/// RAM beside the arena for `n` instances.
struct Beside {
    slots: u32,
    slot_bytes: u32,
    table: u32,
}

impl Beside {
    fn bytes(&self) -> i64 {
        i64::from(self.slots) * i64::from(self.slot_bytes) + i64::from(self.table)
    }
}

impl<'a> Spending<'a> {
    fn new(board: &'a Board, args: &FitArgs, guests: &'a [Guest<'a>]) -> Result<Self, Problem> {
        let mode = match args.mode {
            FitMode::Threads => Mode::Threads,
            FitMode::Pool => Mode::Pool { workers: args.workers.max(1) },
        };
        let mut this = Self {
            name: "as asked",
            price: "",
            board,
            guests,
            stacks: Vec::new(),
            fitted: false,
            mode,
            slot_stack: args.slot_stack_bytes,
            room: 0,
        };
        this.room = this.room_in(mode)? - i64::from(args.reserve_bytes);
        Ok(this)
    }

    /// RAM that the image leaves in that mode.
    fn room_in(&self, mode: Mode) -> Result<i64, Problem> {
        let Board { board, image, ram_bytes, .. } = self.board;
        let unknown = |what: &str| {
            Problem::new(format!(
                "{board}: the catalogue has no image with {what}; `west wramp boards -b {board}` \
                 adds it"
            ))
        };
        let own = self.guests.iter().filter(|guest| matches!(guest.check, Check::Agreement(_)));
        let own = self.board.own_modules_bytes(own.count(), mode == Mode::Threads);
        let taken = match (mode, Engine::facts().interpreter) {
            (Mode::Threads, "fast") => {
                image.fast.as_ref().ok_or_else(|| unknown("the fast interpreter"))?.ram_bytes
            }
            (Mode::Threads, _) => image.ram_bytes,
            _ => image.pool.as_ref().ok_or_else(|| unknown("a pool"))?.ram_bytes,
        };
        Ok(i64::from(*ram_bytes) - i64::from(taken) - i64::from(own))
    }

    fn beside(&self, n: u32) -> Beside {
        let image = &self.board.image;
        let own = |bytes: u32| bytes - image.slot_stack_bytes + self.slot_stack;
        match (self.mode.workers(), &image.pool) {
            (Some(workers), Some(pool)) => Beside {
                slots: workers,
                slot_bytes: own(pool.worker_bytes),
                table: pool.resident_bytes.saturating_mul(n),
            },
            _ => Beside { slots: n, slot_bytes: own(image.slot_bytes), table: 0 },
        }
    }

    /// The arena that is left with `n` instances.
    fn arena(&self, n: u32) -> Option<u32> {
        let left = u32::try_from(self.room - self.beside(n).bytes()).ok()?;
        Some(left - left % UNIT)
    }

    /// Starts up to `n` instances on an arena of that size on the board.
    fn place(&self, arena: u32, n: u32) -> Result<Option<Placed>, Problem> {
        let overhead = heap_overhead(arena, self.board.pointer_bits);
        let Some(arena) = arena.checked_sub(overhead).filter(|&arena| arena > 0) else {
            return Ok(None);
        };
        match place::<Wamr>(Bytes(arena), self.guests, &self.stacks, self.mode, n) {
            Ok(placed) => match placed.stopped {
                Some((guest, error)) if error.kind != ErrorKind::OutOfMemory => {
                    let name = self.guests.get(guest).map_or("?", |guest| guest.name);
                    Err(Problem::new(format!("{name} does not start: {error}")))
                }
                _ => Ok(Some(placed)),
            },
            Err(Error { kind: ErrorKind::OutOfMemory, .. }) => Ok(None),
            Err(error) => Err(Problem::new(error.to_string())),
        }
    }

    fn holds(&self, arena: u32, n: u32) -> Result<Option<Placed>, Problem> {
        let placed = self.place(arena, n)?;
        Ok(placed.filter(|placed| placed.stopped.is_none() && placed.total() == n))
    }

    /// The least arena for `n` instances.
    fn least_arena(&self, n: u32) -> Result<u32, Problem> {
        let mut enough = 1024_u32;
        while self.holds(enough, n)?.is_none() {
            enough = enough.saturating_mul(2);
            if enough > MOST_ARENA {
                return Err(Problem::new(format!(
                    "{n} instances need an arena above {} bytes, which no board here has",
                    count(MOST_ARENA)
                )));
            }
        }
        let (mut too_small, mut enough) = (enough / 2 / UNIT, enough / UNIT);
        while enough - too_small > 1 {
            let middle = too_small.midpoint(enough);
            match self.holds(middle * UNIT, n)? {
                Some(_) => enough = middle,
                None => too_small = middle,
            }
        }
        Ok(enough * UNIT)
    }

    /// RAM that is over with `n` instances. Below 0, that much is missing.
    fn spare(&self, n: u32) -> Result<i64, Problem> {
        Ok(self.room - self.beside(n).bytes() - i64::from(self.least_arena(n)?))
    }

    fn fits(&self, n: u32) -> Result<bool, Problem> {
        match self.arena(n) {
            Some(arena) => Ok(self.holds(arena, n)?.is_some()),
            None => Ok(false),
        }
    }

    /// The answer: as many instances as fit, or what the least number of them lacks.
    fn answer(self) -> Result<Answer<'a>, Problem> {
        let lineup = Lineup::new(self.guests);
        let open = u32::try_from(lineup.open()).unwrap_or(u32::MAX);
        let least = lineup.fixed().saturating_add(open);
        let mut n = least;
        let yes = self.fits(n)?;
        if yes && open > 0 {
            // The memory that is left shrinks with each instance, so what does not fit once
            // never fits again.
            let mut too_many = n.saturating_mul(2).max(2);
            while self.fits(too_many)? {
                n = too_many;
                too_many = too_many.saturating_mul(2);
            }
            while too_many - n > 1 {
                let middle = n.midpoint(too_many);
                if self.fits(middle)? {
                    n = middle;
                } else {
                    too_many = middle;
                }
            }
        }
        let spare = self.spare(n)?;
        let arena = match self.arena(n) {
            Some(arena) if yes => arena,
            _ => self.least_arena(n)?,
        };
        let placed = self.holds(arena, n)?.ok_or_else(|| {
            Problem::new(format!("{n} instances do not fit an arena that held them"))
        })?;
        let next = (open > 0).then(|| lineup.guest(n));
        Ok(Answer { spending: self, yes, n, spare, arena, placed, next })
    }
}

/// What a way to spend the RAM comes to.
struct Answer<'a> {
    spending: Spending<'a>,
    yes: bool,
    /// All instances.
    n: u32,
    /// RAM left, or missing.
    spare: i64,
    /// The arena of a yes, or the one that a no would need.
    arena: u32,
    placed: Placed,
    /// The guest of which one more does not fit.
    next: Option<usize>,
}

impl Answer<'_> {
    /// `3 a, 1 b and 17 c`.
    fn listed(&self) -> String {
        let names = self.spending.guests.iter().zip(&self.placed.instances);
        let words: Vec<_> =
            names.map(|(guest, n)| format!("{} {}", count(*n), guest.name)).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }

    fn sentence(&self) -> String {
        let Board { board, name, .. } = self.spending.board;
        let (listed, bytes) = (self.listed(), count(self.spare.unsigned_abs()));
        if !self.yes {
            return format!("no: {listed} on {name} ({board}) lack {bytes} bytes of RAM");
        }
        let next = self.next.map_or(String::new(), |guest| {
            let one_more = ordinal(self.placed.instances[guest] + 1);
            format!("; the {one_more} {} does not fit", self.spending.guests[guest].name)
        });
        let fit = if self.n == 1 { "fits" } else { "fit" };
        format!("yes: {listed} {fit} on {name} ({board}), with {bytes} bytes to spare{next}")
    }

    /// Where the RAM goes: names and bytes, which add up to the board's RAM.
    fn parts(&self) -> Vec<(String, i64)> {
        let Spending { board, guests, .. } = &self.spending;
        let beside = self.spending.beside(self.n);
        let room = self.spending.room;
        let placed = &self.placed;
        let mut parts = vec![("image".to_owned(), i64::from(board.ram_bytes) - room)];
        let slots = i64::from(beside.slots) * i64::from(beside.slot_bytes);
        let threads = if self.spending.mode.workers().is_some() { "worker" } else { "slot" };
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

/// What the first call of each guest needs, and that it runs at all: a short run on this machine.
fn probe(guests: &[Guest<'_>]) -> Result<Vec<(Bytes, Bytes)>, Problem> {
    let once: Vec<_> =
        guests.iter().map(|guest| Guest { count: Count::Exactly(1), ..*guest }).collect();
    let config = Config {
        arena: Bytes(64 << 20),
        slots: u32::try_from(once.len()).unwrap_or(1),
        slot_stack: Bytes(65_536),
        wasm_stack: Bytes(MOST_WASM_STACK),
        fit_wasm_stack: true,
        step: 64,
        settle_ms: 0,
        dwell_ms: 1,
        scenario: Scenario::Mix,
        ..Config::PUBLISHED
    };
    let lines = Mutex::new(Vec::new());
    let keep = |record: &Record<'_>| {
        let mut lines = lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.push(record.to_string());
    };
    let interrupted = AtomicBool::new(false);
    let gave_up = |_| {
        eprintln!("wramp: a call has not returned, so nothing is known of this mix");
        std::process::exit(2)
    };
    let setup =
        Setup { config, sink: Box::new(keep), interrupted: &interrupted, gave_up: &gave_up };
    let summary =
        wramp_host::run::<Wamr>(setup, &once).map_err(|error| Problem::new(error.to_string()))?;
    let lines = lines.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let records = || lines.iter().filter_map(|line| Record::parse(line).ok().flatten());
    if summary.exit() != 0 {
        let why = records().find_map(|record| match record {
            Record::Fault(fault) => Some((fault.workload, fault.message)),
            Record::Instance(one) if one.errors > 0 => Some((Some(one.workload), one.message?)),
            Record::End(end) => Some((Some(end.workload), end.message?)),
            _ => None,
        });
        return Err(Problem::new(match why {
            Some((Some(name), why)) => {
                format!("{} does not run on this machine: {}", name.readable(), why.readable())
            }
            Some((None, why)) => format!("the mix does not run: {}", why.readable()),
            None => "the mix does not run on this machine".to_owned(),
        }));
    }
    let fitted = |guest: &Guest<'_>| {
        records().find_map(|record| match record {
            Record::Fit(fit) if fit.workload.readable().to_string() == guest.name => {
                Some((fit.needed_bytes, fit.wasm_stack_bytes))
            }
            _ => None,
        })
    };
    let all: Option<Vec<_>> = guests.iter().map(fitted).collect();
    all.ok_or_else(|| Problem::new("no interpreter stack was found for a module of the mix"))
}

/// The changes that might make room, each tried. The best come first.
fn changes<'a>(asked: &Answer<'a>, fitted: &[(Bytes, Bytes)]) -> Result<Vec<Answer<'a>>, Problem> {
    let now = &asked.spending;
    let image = &now.board.image;
    let fit = |spending: &Spending<'a>| Spending {
        stacks: fitted.iter().map(|&(_, stack)| stack).collect(),
        fitted: true,
        ..spending.clone()
    };
    let mut tried = Vec::new();
    if !now.fitted {
        tried.push(Spending {
            name: "interpreter stacks fitted to the calls",
            price: "no time; a deeper call traps",
            ..fit(now)
        });
    }
    let least = image.slot_stack_least_bytes.filter(|&least| least < now.slot_stack);
    if let Some(slot_stack) = least {
        tried.push(Spending {
            name: "the least slot stacks",
            price: "no time; host functions have less stack",
            slot_stack,
            ..now.clone()
        });
        if !now.fitted {
            tried.push(Spending {
                name: "both stacks at their least",
                price: "no time; as above",
                slot_stack,
                ..fit(now)
            });
        }
    }
    let alone = now.guests.len() == 1 && now.mode == Mode::Threads;
    if alone && image.pool.is_some() {
        let mode = Mode::Pool { workers: DENSE_WORKERS };
        let reserve = now.room_in(now.mode)? - now.room;
        let pool = Spending { mode, room: now.room_in(mode)? - reserve, ..fit(now) };
        tried.push(Spending {
            name: "a pool of 4 workers, fitted stacks",
            price: "calls wait for a worker",
            ..pool
        });
    }
    let mut answers: Vec<_> = tried.into_iter().map(Spending::answer).collect::<Result<_, _>>()?;
    answers.retain(|answer| {
        (answer.n, answer.spare) > (asked.n, asked.spare) || (answer.yes && !asked.yes)
    });
    answers.sort_by_key(|answer| std::cmp::Reverse((answer.yes, answer.n, answer.spare)));
    answers.truncate(3);
    Ok(answers)
}

/// The overlay with which the firmware runs the mix.
fn overlay(answer: &Answer<'_>, items: &[Item], export: Option<&str>) -> String {
    let Spending { board, mode, slot_stack, stacks, fitted, .. } = &answer.spending;
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
        format!("CONFIG_WRAMP_SLOT_STACK_SIZE={slot_stack}"),
        format!("CONFIG_WRAMP_WASM_STACK_SIZE={most}"),
    ];
    if *fitted {
        lines.push("CONFIG_WRAMP_FIT_WASM_STACK=y".to_owned());
    }
    match mode.workers() {
        Some(workers) => lines.extend([
            "CONFIG_WRAMP_MODE_POOL=y".to_owned(),
            format!("CONFIG_WRAMP_SLOTS={workers}"),
            format!("CONFIG_WRAMP_WORKERS={workers}"),
            format!("CONFIG_WRAMP_RESIDENTS={}", answer.n),
        ]),
        None => lines.push(format!("CONFIG_WRAMP_SLOTS={}", answer.n)),
    }
    if Engine::facts().interpreter == "fast" {
        lines.push("CONFIG_WRAMP_INTERPRETER_FAST=y".to_owned());
    }
    lines.push(format!("# west wramp run -b {} FILE.conf", board.board));
    lines.join("\n") + "\n"
}

fn text(asked: &Answer<'_>, better: &[Answer<'_>]) -> String {
    let board = asked.spending.board;
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
    let instances: serde_json::Map<_, _> = (answer.spending.guests.iter())
        .zip(&answer.placed.instances)
        .map(|(guest, n)| (guest.name.to_owned(), json!(n)))
        .collect();
    json!({
        "change": answer.spending.name,
        "fits": answer.yes,
        "spare_bytes": answer.spare,
        "instances": instances,
        "arena_bytes": answer.arena,
        "heap_bytes": heap_overhead(answer.arena, answer.spending.board.pointer_bits),
        "arena_free_bytes": answer.placed.arena.free.0,
        "slots": answer.spending.beside(answer.n).slots,
        "slot_stack_bytes": answer.spending.slot_stack,
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
    let board = asked.spending.board;
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
pub fn ask(question: &Question<'_>) -> Result<Fitted, Problem> {
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
        reserve_bytes: question.reserve_bytes,
        output: None,
        picture: None,
        format: FitFormat::Json,
    };
    answered(&args, question.board, |asked, fitted, _| Ok(told(asked, fitted)))
}

/// The answer in the terms that other subcommands know.
fn told(asked: &Answer<'_>, fitted: &[(Bytes, Bytes)]) -> Fitted {
    let Spending { board, guests, stacks, .. } = &asked.spending;
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
    Fitted {
        fits: asked.yes,
        sentence: asked.sentence(),
        board: Board::clone(board),
        interpreter: Engine::facts().interpreter,
        spare_bytes: asked.spare,
        arena_bytes: asked.arena,
        guests: (0..guests.len()).map(guest).collect(),
    }
}

/// Finds the answer and hands it on, with what the first call of each guest needs.
fn answered<T>(
    args: &FitArgs,
    name: &str,
    hand_on: impl FnOnce(&Answer<'_>, &[(Bytes, Bytes)], &[Item]) -> Result<T, Problem>,
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
    let mixed = Mixed::read("fit", &args.mix, args.export.as_deref(), &Grants::NONE)?;
    let guests = mixed.guests();
    if args.mode == FitMode::Pool && guests.len() > 1 {
        return Err(Problem::new("--mode pool: the residents of a pool share one module"));
    }
    let fitted = probe(&guests)?;
    let mut spending = Spending::new(&board, args, &guests)?;
    spending.fitted = args.wasm_stack_bytes == WasmStack::Fit;
    spending.stacks = match args.wasm_stack_bytes {
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
    let asked = spending.answer()?;
    hand_on(&asked, &fitted, mixed.items())
}

/// Prints the answer and writes what was asked for besides.
fn show(args: &FitArgs, asked: &Answer<'_>, fitted: &[(Bytes, Bytes)], items: &[Item]) -> Outcome {
    let better = changes(asked, fitted)?;
    match args.format {
        FitFormat::Text => print(&text(asked, &better))?,
        FitFormat::Json => {
            let mut all = object(asked);
            all["board"] = json!(asked.spending.board.board);
            all["changes"] = better.iter().map(object).collect();
            print(&format!("{all:#}\n"))?;
        }
    }
    if let Some(path) = &args.output {
        let made = overlay(asked, items, args.export.as_deref());
        file::write(Path::new(path), made.as_bytes())?;
    }
    if let Some(path) = &args.picture {
        picture(path, asked, &better)?;
    }
    Ok(if asked.yes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
