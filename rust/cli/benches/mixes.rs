//! Random mixes, answered by `wramp fit` and then run: is every answer right, to the byte?
//!
//! `scripts/bench mixes` prints a table. A mix has up to four modules, in numbers or as many as
//! fit, on a random board, geometry and way to spend the RAM. The answer is compared with runs of
//! that geometry on this machine, with real threads:
//!
//! - A yes: the run holds just these instances, and as many bytes stay free. Where the mix asks
//!   for as many as fit, a run with one more does not hold it.
//! - A no: a run of the mix in what the board has does not hold it, and one with the bytes that
//!   are missing does.
//!
//! Options: `--mixes N`, `--seed N`, `--engine NAME`, `--stub MODULE.NAME`, `--verbose`, and
//! directories with modules to add.

use std::path::{Path, PathBuf};
use std::time::Instant;

use wramp_bench::{Agreement, Count, Guest, Lineup};
use wramp_cli::engine::EngineName;
use wramp_cli::fitting::{Answer, Host, Question, Spending, probe, run};
use wramp_cli::model::board::{Board, heap_overhead};
use wramp_cli::model::own::OwnModule;
use wramp_core::config::{Config, Mode, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::report::Record;
use wramp_imports::{Capability, Grants, Stub};

/// SplitMix64: the same mixes for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % u64::from(most)) as u32
    }

    fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(u32::try_from(all.len()).unwrap()) as usize]
    }
}

/// How the RAM is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preset {
    /// Threads with the published stacks.
    Published,
    /// Threads with fitted stacks.
    Preemptive,
    /// A pool with fitted stacks.
    Dense,
}

const PRESETS: [Preset; 3] = [Preset::Published, Preset::Preemptive, Preset::Dense];

/// A board of random RAM. Its image is about as large as those of the catalogue.
fn board(dice: &mut Dice) -> Board {
    let ram = 40_960 + 1024 * dice.below(400);
    let image = 10_000 + 8 * dice.below(400);
    let text = format!(
        "board = \"random\"\nname = \"Random\"\ncpu = \"none\"\npointer_bits = {}\n\
         ram_bytes = {ram}\ntier = \"computed\"\n[image]\nram_bytes = {image}\n\
         slot_bytes = 4672\nslot_stack_bytes = 4096\nslot_stack_least_bytes = 1664\n\
         date = 2026-01-31\n[image.fast]\nram_bytes = {image}\n\
         [image.pool]\nram_bytes = {image}\nworker_bytes = 6632\nresident_bytes = 72\n",
        usize::BITS
    );
    Board::parse("random", &text).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Guests that no mix has, and why.
const LEFT_OUT: [(&str, &str); 1] = [("hello_as", "its 205th call does not return")];

/// A module that a mix may have.
struct Candidate {
    guest: OwnModule,
    agreement: Agreement,
}

fn modules_in(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        panic!("{}: no such directory", directory.display())
    };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if path.is_dir() {
            modules_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "wasm") {
            found.push(path);
        }
    }
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
struct Measured {
    instances: u32,
    free: Option<Bytes>,
    leaked: bool,
}

/// Runs `n` instances of the answer's mix on an arena of that size on the board.
fn measure(answer: &Answer<'_>, arena: u32, n: u32) -> Measured {
    let Spending { asked, stacks, fitted, .. } = &answer.spending;
    let overhead = heap_overhead(arena, asked.board.pointer_bits);
    let nothing = Measured { instances: 0, free: None, leaked: false };
    let Some(arena) = arena.checked_sub(overhead).filter(|&arena| arena >= 256) else {
        return nothing;
    };
    let workers = asked.mode.workers();
    let config = Config {
        arena: Bytes(arena),
        slots: workers.unwrap_or(n),
        // The native stacks are those of this machine, and take nothing of the arena.
        slot_stack: Bytes(65_536),
        wasm_stack: stacks.iter().copied().max().unwrap_or_default(),
        fit_wasm_stack: *fitted,
        step: n.max(1),
        settle_ms: 0,
        dwell_ms: 1,
        pause_ms: 0,
        mode: asked.mode,
        scenario: if workers.is_some() { Scenario::All } else { Scenario::Mix },
        ..Config::PUBLISHED
    };
    let (lines, _) = run(asked.engine, config, asked.guests, asked.host)
        .unwrap_or_else(|problem| panic!("{problem}"));
    let records: Vec<_> =
        lines.iter().filter_map(|line| Record::parse(line).ok().flatten()).collect();
    // A pool goes on until its arena is full, so the step with as many instances counts.
    let step = records.iter().rev().find_map(|record| match record {
        Record::Step(step) if step.instances == n => Some(step.arena_free_bytes),
        _ => None,
    });
    let end = records.iter().find_map(|record| match record {
        Record::End(end) => Some(*end),
        _ => None,
    });
    match end {
        Some(end) => Measured {
            instances: end.peak,
            free: step,
            leaked: end.leaked_bytes.is_some_and(|bytes| bytes != 0),
        },
        None => nothing,
    }
}

/// What is wrong with an answer, if anything is.
fn deviation(answer: &Answer<'_>) -> Option<String> {
    let n = answer.n;
    let expected = Some(answer.placed.arena.free);
    let ran = measure(answer, answer.arena, n);
    let is_pool = answer.spending.asked.mode != Mode::Threads;
    // The arena of an answer is what is left beside `n` places. A pool has places for more here,
    // but not the arena.
    let holds = if is_pool { ran.instances >= n } else { ran.instances == n };
    if !holds || ran.free != expected || ran.leaked {
        return Some(format!("{n} instances and {expected:?} free were predicted: {ran:?}"));
    }
    if answer.yes {
        let next = n + 1;
        let arena = answer.spending.arena(next).filter(|_| answer.next.is_some())?;
        let ran = measure(answer, arena, next);
        return (ran.instances >= next).then(|| format!("one more than {n} was held: {ran:?}"));
    }
    let arena = answer.spending.arena(n)?;
    let ran = measure(answer, arena, n);
    (ran.instances >= n).then(|| format!("a no, and {n} were held: {ran:?}"))
}

struct Options {
    mixes: u32,
    seed: u64,
    engine: EngineName,
    stubs: Vec<String>,
    verbose: bool,
    directories: Vec<PathBuf>,
}

fn options() -> Options {
    let mut options = Options {
        mixes: 1000,
        seed: 1,
        engine: EngineName::Wamr,
        stubs: Vec::new(),
        verbose: false,
        directories: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().unwrap_or_default();
            text.parse().unwrap_or_else(|_| panic!("{word} takes a number, not `{text}`"))
        };
        match &*word {
            "--mixes" => options.mixes = u32::try_from(number()).unwrap_or(u32::MAX),
            "--seed" => options.seed = number(),
            "--engine" => {
                options.engine = match words.next().as_deref() {
                    Some("wamr-classic") => EngineName::WamrClassic,
                    Some("wamr-fast") => EngineName::WamrFast,
                    other => panic!("--engine wamr-classic or wamr-fast, not {other:?}"),
                };
            }
            "--stub" => options.stubs.extend(words.next()),
            "--verbose" => options.verbose = true,
            // Cargo adds it.
            "--bench" => {}
            directory => options.directories.push(directory.into()),
        }
    }
    options
}

fn main() {
    let options = options();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for directory in ["guest", "rust/guest/examples"] {
        modules_in(&root.join(directory), &mut files);
    }
    options.directories.iter().for_each(|directory| modules_in(directory, &mut files));
    files.sort();
    let stubs: Vec<_> = (options.stubs.iter())
        .map(|text| Stub::parse(text).unwrap_or_else(|| panic!("--stub {text}: MODULE.NAME")))
        .collect();
    let grants = Capability::ALL.into_iter().fold(Grants::new(&stubs, 0), Grants::allow);
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut left_out = Vec::new();
    for path in &files {
        let read = OwnModule::read("mixes", &path.display().to_string(), None, &grants);
        let candidate = read.map_err(|problem| problem.to_string()).and_then(|guest| {
            if guest.export == "_start" {
                return Err(
                    "it is instantiated anew for each call, so its bytes come and go".into()
                );
            }
            if let Some((_, why)) = LEFT_OUT.iter().find(|(name, _)| *name == guest.name) {
                return Err((*why).into());
            }
            let candidate = Candidate { guest, agreement: Agreement::new() };
            let host = host(&[&candidate], grants);
            let guests = [candidate.guest.guest(&candidate.agreement, Count::Exactly(1))];
            probe(options.engine, &guests, host).map_err(|problem| problem.to_string())?;
            Ok(candidate)
        });
        match candidate {
            Ok(candidate) => {
                let taken = candidates.iter().any(|other| other.guest.name == candidate.guest.name)
                    || wramp_workloads::find(&candidate.guest.name).is_some();
                if !taken {
                    candidates.push(candidate);
                }
            }
            Err(why) => left_out.push(format!("{}: {why}", path.display())),
        }
    }
    let facts = options.engine.facts().unwrap_or_else(|problem| panic!("{problem}"));
    println!(
        "{} {} {}, {} bits, seed {}: mixes of {} workloads and {} guests, {} of them with imports",
        facts.name,
        facts.version,
        facts.interpreter,
        usize::BITS,
        options.seed,
        wramp_workloads::ALL.len(),
        candidates.len(),
        candidates.iter().filter(|candidate| candidate.guest.needs_host).count()
    );
    left_out
        .iter()
        .for_each(|why| println!("left out: {}", why.lines().next().unwrap_or_default()));

    let mut dice = Dice(options.seed);
    let mut rows = [(0_u32, 0_u32, 0_u32, 0_u32); PRESETS.len()];
    let mut deviations = Vec::new();
    let began = Instant::now();
    for number in 0..options.mixes {
        let at = dice.below(3) as usize;
        let preset = PRESETS[at];
        let board = board(&mut dice);
        let mut chosen: Vec<(usize, Count)> = Vec::new();
        let most = if preset == Preset::Dense { 1 } else { 1 + dice.below(4) };
        let workloads = wramp_workloads::ALL.len();
        for _ in 0..most {
            let place = dice.below(u32::try_from(workloads + candidates.len()).unwrap()) as usize;
            let count = match dice.below(3) {
                0 => Count::Most,
                _ => Count::Exactly(1 + dice.below(6)),
            };
            if !chosen.iter().any(|(there, _)| *there == place) {
                chosen.push((place, count));
            }
        }
        let own = |place: usize| place.checked_sub(workloads).map(|place| &candidates[place]);
        let guests: Vec<Guest<'_>> = chosen
            .iter()
            .map(|&(place, count)| match own(place) {
                Some(candidate) => candidate.guest.guest(&candidate.agreement, count),
                None => Guest { count, ..Guest::from(&wramp_workloads::ALL[place]) },
            })
            .collect();
        let needing: Vec<_> = chosen.iter().filter_map(|&(place, _)| own(place)).collect();
        let host = host(&needing, grants);
        let fitted =
            probe(options.engine, &guests, host).unwrap_or_else(|problem| panic!("{problem}"));
        let fits = preset != Preset::Published;
        let stacks = match fits {
            true => fitted.iter().map(|&(_, stack)| stack).collect(),
            // Enough for every first call.
            false => {
                let least = fitted.iter().map(|&(needed, _)| needed.0).max().unwrap_or(0);
                vec![Bytes(least.next_power_of_two().max(*dice.of(&[2048, 4096]))); guests.len()]
            }
        };
        let question = Question {
            board: &board,
            engine: options.engine,
            guests: &guests,
            host,
            mode: match preset {
                Preset::Dense => Mode::Pool { workers: 1 + dice.below(4) },
                _ => Mode::Threads,
            },
            slot_stack: *dice.of(&[2048, 4096]),
            reserve: 8 * dice.below(1000),
        };
        let mix = || {
            let all = guests.iter().map(|guest| format!("{}={:?}", guest.name, guest.count));
            format!("mix {number}, {preset:?}, {}", all.collect::<Vec<_>>().join(" "))
        };
        if options.verbose {
            eprintln!("{}", mix());
        }
        let answer = Spending::new(question, stacks, fits).and_then(Spending::answer);
        let answer = answer.unwrap_or_else(|problem| panic!("mix {number}: {problem}"));
        let wrong = deviation(&answer);
        let row = &mut rows[at];
        row.0 += 1;
        row.1 += u32::from(answer.yes);
        row.2 += u32::from(Lineup::new(&guests).open() > 0);
        row.3 += u32::from(wrong.is_none());
        if let Some(wrong) = wrong {
            deviations.push(format!("{}: {wrong}", mix()));
        }
        if (number + 1) % 100 == 0 {
            eprintln!("{} mixes, {:.0} s", number + 1, began.elapsed().as_secs_f64());
        }
    }
    println!(
        "\n{:<12} {:>6} {:>6} {:>6} {:>10} {:>12}",
        "preset", "mixes", "yes", "no", "with a *", "all equal"
    );
    let mut sum = (0, 0, 0, 0);
    let line = |name: &str, (mixes, yes, open, equal): (u32, u32, u32, u32)| {
        println!("{name:<12} {mixes:>6} {yes:>6} {:>6} {open:>10} {equal:>12}", mixes - yes);
    };
    for (preset, row) in PRESETS.iter().zip(rows) {
        line(&format!("{preset:?}").to_lowercase(), row);
        sum = (sum.0 + row.0, sum.1 + row.1, sum.2 + row.2, sum.3 + row.3);
    }
    line("all", sum);
    println!("all equal: yes or no, the instances and the free bytes, predicted and measured");
    deviations.iter().for_each(|deviation| println!("deviates: {deviation}"));
    std::process::exit(i32::from(!deviations.is_empty()));
}

/// What the guests get, if one of them needs a host.
fn host<'g>(candidates: &[&Candidate], grants: Grants<'g>) -> Option<Host<'g>> {
    let needs = candidates.iter().any(|candidate| candidate.guest.needs_host);
    let receives = candidates.iter().any(|candidate| candidate.guest.receives);
    needs.then_some(Host { grants, queue_bytes: if receives { 1048 } else { 0 } })
}
