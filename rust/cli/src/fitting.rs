//! What a mix comes to on a board: the search for the answer, and for what would change it.
//!
//! Nothing is estimated. Every answer is a trial: the instances of the mix are started on an
//! arena as large as the board's image leaves, by the same engine, and are given back.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use wramp_bench::{Check, Count, EngineKind, Guest, Lineup};
use wramp_core::config::{Config, DENSE_WORKERS, Mode, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::report::Record;
use wramp_core::runtime::{Error, ErrorKind};
use wramp_host::place::{Leave, Placed, place};
use wramp_host::{HostOptions, Setup, SetupError};
use wramp_imports::Grants;

use crate::engine::{EngineName, WithEngine};
use crate::model::board::{Board, heap_overhead};
use crate::problem::Problem;

/// The largest arena that the search for the least one tries.
const MOST_ARENA: u32 = 256 << 20;
/// The largest interpreter stack that a first call is given.
const MOST_WASM_STACK: u32 = 65_536;
/// What arenas are rounded to.
const UNIT: u32 = 8;
/// Entries of a smaller block cache.
pub const SMALL_CACHE: u32 = 16;

/// What the guests of a mix get from their host.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// What they may import.
    pub grants: Grants<'a>,
    /// Bytes of each instance's queue.
    pub queue_bytes: u32,
}

/// What is asked of a board.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The board.
    pub board: &'a Board,
    /// The engine.
    pub engine: EngineName,
    /// The mix.
    pub guests: &'a [Guest<'a>],
    /// The host of its guests, if they need one.
    pub host: Option<Host<'a>>,
    /// Threads or a pool.
    pub mode: Mode,
    /// Stack of a slot or of a worker.
    pub slot_stack: u32,
    /// RAM to keep free.
    pub reserve: u32,
}

/// A way to spend the RAM of a board.
#[derive(Clone)]
pub struct Spending<'a> {
    /// What this is, for a person.
    pub name: &'static str,
    /// What it costs in time, or what it risks.
    pub price: &'static str,
    /// What is asked.
    pub asked: Question<'a>,
    /// The interpreter stack of each guest's instances.
    pub stacks: Vec<Bytes>,
    /// Whether these were fitted.
    pub fitted: bool,
    /// Entries of the block cache, where they are not those of this build.
    pub block_cache: Option<u32>,
    /// RAM for arena, slots and the table of residents.
    pub room: i64,
}

/// RAM beside the arena for so many instances.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Slots, or workers.
    pub slots: u32,
    /// RAM of each.
    pub slot_bytes: u32,
    /// RAM of the table of residents.
    pub table: u32,
}

impl Beside {
    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        i64::from(self.slots) * i64::from(self.slot_bytes) + i64::from(self.table)
    }
}

/// Places the instances on an engine of any kind.
struct Placing<'p> {
    arena: Bytes,
    guests: &'p [Guest<'p>],
    stacks: &'p [Bytes],
    mode: Mode,
    most: u32,
    host: Option<Leave<'p>>,
}

impl WithEngine for Placing<'_> {
    type Output = Result<Placed, Error>;

    fn with<E: EngineKind>(self) -> Self::Output {
        let Self { arena, guests, stacks, mode, most, host } = self;
        place::<E>(arena, guests, stacks, mode, most, host)
    }
}

impl<'a> Spending<'a> {
    /// The RAM spent as it was asked, on interpreter stacks of these sizes.
    ///
    /// # Errors
    /// The catalogue knows no image for it.
    pub fn new(asked: Question<'a>, stacks: Vec<Bytes>, fitted: bool) -> Result<Self, Problem> {
        let (name, price) = ("as asked", "");
        let room = room_of(&asked)?;
        Ok(Self { name, price, asked, stacks, fitted, block_cache: None, room })
    }

    /// RAM beside the arena for `n` instances.
    #[must_use]
    pub fn beside(&self, n: u32) -> Beside {
        let image = &self.asked.board.image;
        let own = |bytes: u32| bytes - image.slot_stack_bytes + self.asked.slot_stack;
        match (self.asked.mode.workers(), &image.pool) {
            (Some(workers), Some(pool)) => Beside {
                slots: workers,
                slot_bytes: own(pool.worker_bytes),
                table: pool.resident_bytes.saturating_mul(n),
            },
            _ => Beside { slots: n, slot_bytes: own(image.slot_bytes), table: 0 },
        }
    }

    /// The arena that is left with `n` instances.
    #[must_use]
    pub fn arena(&self, n: u32) -> Option<u32> {
        let left = u32::try_from(self.room - self.beside(n).bytes()).ok()?;
        Some(left - left % UNIT)
    }

    /// Bytes that an interpreter stack with fewer entries of the block cache lacks.
    ///
    /// The engine allocates both as one block, so a shorter stack is the same block.
    fn cache_saves(&self) -> u32 {
        let here = self.asked.engine.facts().ok().and_then(|facts| facts.block_cache);
        let (Some(entries), Some(here)) = (self.block_cache, here) else { return 0 };
        // An entry is two times three pointers.
        here.saturating_sub(entries) * 6 * (usize::BITS / 8)
    }

    /// Starts up to `n` instances on an arena of that size on the board.
    fn place(&self, arena: u32, n: u32) -> Result<Option<Placed>, Problem> {
        let Question { board, engine, guests, host, mode, .. } = self.asked;
        let overhead = heap_overhead(arena, board.pointer_bits);
        let Some(arena) = arena.checked_sub(overhead).filter(|&arena| arena > 0) else {
            return Ok(None);
        };
        let saves = self.cache_saves();
        let stacks: Vec<_> =
            self.stacks.iter().map(|&stack| stack.saturating_sub(Bytes(saves))).collect();
        let host =
            host.as_ref().map(|host| Leave { grants: &host.grants, queue_bytes: host.queue_bytes });
        let arena = Bytes(arena);
        let placing = Placing { arena, guests, stacks: &stacks, mode, most: n, host };
        match engine.choose(placing)? {
            Ok(placed) => match placed.stopped {
                Some((guest, error)) if error.kind != ErrorKind::OutOfMemory => {
                    let name = guests.get(guest).map_or("?", |guest| guest.name);
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
                    "{n} instances need an arena above {} MiB, which no board here has",
                    MOST_ARENA >> 20
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
    ///
    /// # Errors
    /// A module does not start, whatever the arena; or no arena would be large enough.
    pub fn answer(self) -> Result<Answer<'a>, Problem> {
        let lineup = Lineup::new(self.asked.guests);
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

/// RAM that the image leaves for that question.
fn room_of(asked: &Question<'_>) -> Result<i64, Problem> {
    let Board { board, image, ram_bytes, .. } = asked.board;
    let unknown = |what: &str, variant: &str| {
        Problem::new(format!(
            "{board}: the catalogue has no image with {what}; `west wramp boards -b {board} \
             --variant {variant}` adds it"
        ))
    };
    let threads = asked.mode == Mode::Threads;
    let is_own = |guest: &&Guest<'_>| matches!(guest.check, Check::Agreement(_));
    let own = asked.guests.iter().filter(is_own).count();
    let own = asked.board.own_modules_bytes(own, threads);
    let taken = match (threads, asked.engine.facts()?.interpreter) {
        (true, "fast") => {
            let fast = image.fast.as_ref();
            fast.ok_or_else(|| unknown("the fast interpreter", "image.fast"))?.ram_bytes
        }
        (true, _) => image.ram_bytes,
        _ => image.pool.as_ref().ok_or_else(|| unknown("a pool", "image.pool"))?.ram_bytes,
    };
    Ok(i64::from(*ram_bytes) - i64::from(taken) - i64::from(own) - i64::from(asked.reserve))
}

/// What a way to spend the RAM comes to.
pub struct Answer<'a> {
    /// The way.
    pub spending: Spending<'a>,
    /// Whether the mix fits.
    pub yes: bool,
    /// All instances.
    pub n: u32,
    /// RAM left, or missing.
    pub spare: i64,
    /// The arena of a yes, or the one that a no would need.
    pub arena: u32,
    /// The instances in that arena.
    pub placed: Placed,
    /// The guest of which one more does not fit.
    pub next: Option<usize>,
}

/// Runs a mix once on an engine of any kind.
struct Trial<'s, 'g> {
    setup: Setup<'s>,
    guests: &'s [Guest<'g>],
    host: Option<HostOptions<'s>>,
}

impl WithEngine for Trial<'_, '_> {
    type Output = Result<wramp_bench::Summary, SetupError>;

    fn with<E: EngineKind>(self) -> Self::Output {
        wramp_host::run_hosted::<E>(self.setup, self.guests, self.host)
    }
}

/// The records of a run on this machine, and its exit status.
///
/// # Errors
/// The machine cannot be set up so, or this build lacks the engine.
pub fn run(
    engine: EngineName,
    config: Config,
    guests: &[Guest<'_>],
    host: Option<Host<'_>>,
) -> Result<(Vec<String>, u32), Problem> {
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
    let host = host.map(|Host { grants, queue_bytes }| HostOptions {
        grants,
        queue_bytes,
        expected: None,
        voice: Box::new(|_| {}),
    });
    let summary = engine.choose(Trial { setup, guests, host })?;
    let summary = summary.map_err(|error| Problem::new(error.to_string()))?;
    let lines = lines.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok((lines, summary.exit()))
}

/// What an interpreter stack has to be, in bytes: for the first call, and with a margin.
pub type Fitted = (Bytes, Bytes);

/// What the first call of each guest needs, and that it runs at all: a short run on this machine.
///
/// # Errors
/// A guest that does not run here.
pub fn probe(
    engine: EngineName,
    guests: &[Guest<'_>],
    host: Option<Host<'_>>,
) -> Result<Vec<Fitted>, Problem> {
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
    let (lines, exit) = run(engine, config, &once, host)?;
    let records = || lines.iter().filter_map(|line| Record::parse(line).ok().flatten());
    if exit != 0 {
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

/// The other interpreter of WAMR, if this build has both.
#[must_use]
pub fn other_interpreter(engine: EngineName) -> Option<EngineName> {
    let other = match engine.facts().ok()?.interpreter {
        "fast" => EngineName::WamrClassic,
        _ => EngineName::WamrFast,
    };
    other.facts().is_ok().then_some(other)
}

/// The changes that might make room, each tried: those that help, and the best first.
/// `shrunk` is the mix with smaller memories, if its modules allow that.
///
/// # Errors
/// As [`Spending::answer`].
pub fn changes<'a>(
    asked: &Answer<'a>,
    fitted: &[Fitted],
    shrunk: Option<&'a [Guest<'a>]>,
) -> Result<Vec<Answer<'a>>, Problem> {
    let now = &asked.spending;
    let question = now.asked;
    let image = &question.board.image;
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
    let least = image.slot_stack_least_bytes.filter(|&least| least < question.slot_stack);
    if let Some(slot_stack) = least {
        let smaller = Question { slot_stack, ..question };
        tried.push(Spending {
            name: "the least slot stacks",
            price: "no time; host functions have less stack",
            asked: smaller,
            ..now.clone()
        });
        if !now.fitted {
            tried.push(Spending {
                name: "both stacks at their least",
                price: "no time; as above",
                asked: smaller,
                ..fit(now)
            });
        }
    }
    if let Some(other) = other_interpreter(question.engine) {
        let engine = Question { engine: other, ..question };
        // Not every board has that image.
        if let Ok(room) = room_of(&engine) {
            let (name, price) = match other {
                EngineName::WamrFast => {
                    ("the fast interpreter", "calls are shorter; it takes more flash")
                }
                _ => ("the classic interpreter", "calls take longer"),
            };
            let stacks = match now.fitted {
                true => probe(other, question.guests, question.host)?
                    .iter()
                    .map(|&(_, stack)| stack)
                    .collect(),
                false => now.stacks.clone(),
            };
            tried.push(Spending { name, price, asked: engine, stacks, room, ..now.clone() });
        }
    }
    let cache = question.engine.facts()?.block_cache.filter(|&entries| entries > SMALL_CACHE);
    if cache.is_some() {
        let smaller = Spending {
            name: "a block cache of 16 entries",
            price: "a guest of many nested blocks takes longer",
            block_cache: Some(SMALL_CACHE),
            ..now.clone()
        };
        // A shorter stack stands in for a smaller cache.
        let saves = smaller.cache_saves();
        if now.stacks.iter().all(|stack| stack.0 >= saves + 64) {
            tried.push(smaller);
        }
    }
    if let Some(guests) = shrunk {
        tried.push(Spending {
            name: "modules shrunk to the memory that they use (wramp shrink)",
            price: "no time; memory.grow finds no room beyond",
            asked: Question { guests, ..question },
            ..now.clone()
        });
    }
    let pool = Question { mode: Mode::Pool { workers: DENSE_WORKERS }, ..question };
    if question.guests.len() == 1
        && question.mode == Mode::Threads
        && let Ok(room) = room_of(&pool)
    {
        let (name, price) = ("a pool of 4 workers, fitted stacks", "calls wait for a worker");
        tried.push(Spending { name, price, asked: pool, room, ..fit(now) });
    }
    let mut answers: Vec<_> = tried.into_iter().map(Spending::answer).collect::<Result<_, _>>()?;
    answers.retain(|answer| {
        (answer.n, answer.spare) > (asked.n, asked.spare) || (answer.yes && !asked.yes)
    });
    answers.sort_by_key(|answer| std::cmp::Reverse((answer.yes, answer.n, answer.spare)));
    answers.truncate(3);
    Ok(answers)
}
