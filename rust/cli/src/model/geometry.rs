//! Options that describe a geometry; `run` and `plan` take the same ones.

use clap::{Args, ValueEnum};
use wramp_core::config::{Config, Knob, Mode, Park, Pin};
use wramp_core::measure::{Bytes, Nanos};

use crate::problem::Problem;

/// How instances share threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeName {
    /// A thread and an interpreter stack for each instance
    Threads,
    /// A few worker threads serve any number of resident instances
    Pool,
    /// One thread serves any number of resident instances in turn, as on a machine without threads
    Cooperative,
    /// A few live instances serve any number of parked ones, of which only the state is kept
    Park,
}

/// The knobs. A knob that is not given keeps its value in the base: the preset's geometry for
/// `run`, the log's own for `plan`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Geometry (sizes in bytes, or with K or M)")]
pub struct Geometry {
    /// Region from which the engine allocates everything (run: 196608)
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub arena_bytes: Option<u32>,
    /// Most instances at a time, each on a stack of its own (run: 24)
    #[arg(long, value_name = "N")]
    pub slots: Option<u32>,
    /// Stack of a slot, as a board has it (run: 4096)
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub slot_stack_bytes: Option<u32>,
    /// Interpreter stack of an instance; `fit`: what its first call needs, and a margin, which for
    /// a --module may be up to 64K (run: 4096)
    #[arg(long, value_name = "BYTES|fit", value_parser = wasm_stack)]
    pub wasm_stack_bytes: Option<WasmStack>,
    /// Instances added a rung (run: 1)
    #[arg(long, value_name = "N")]
    pub step: Option<u32>,
    /// Time for the newest instances to settle (run: 200)
    #[arg(long, value_name = "MS")]
    pub settle_ms: Option<u32>,
    /// Time for which a rung is held and measured (run: 1000)
    #[arg(long, value_name = "MS")]
    pub dwell_ms: Option<u32>,
    /// Pause of an instance between two calls (run: 5)
    #[arg(long, value_name = "MS")]
    pub pause_ms: Option<u32>,
    /// Only this workload (repeat for several; default: all)
    #[arg(long, value_name = "NAME")]
    pub workload: Vec<String>,
    /// A module of your own, .wasm or .wat, in place of a built-in workload
    #[arg(long, value_name = "FILE")]
    pub module: Option<String>,
    /// The module's export to call
    #[arg(long, value_name = "NAME")]
    pub export: Option<String>,
    /// How instances share threads (run: threads)
    #[arg(long)]
    pub mode: Option<ModeName>,
    /// Worker threads of a pool or a park (of 4)
    #[arg(long, value_name = "N")]
    pub workers: Option<u32>,
    /// Live instances of a park (as many as workers, fewer where they would take more than a
    /// quarter of the arena)
    #[arg(long, value_name = "N")]
    pub live: Option<u32>,
    /// Most bytes that an instance may park; `fit`: what one parks in a trial, and an eighth (fit)
    #[arg(long, value_name = "BYTES|fit", value_parser = wasm_stack)]
    pub park_bytes: Option<WasmStack>,
    /// In a park, 1 in 100 instances gets 99 of 100 calls; otherwise all take turns
    #[arg(long)]
    pub hot: bool,
    /// Core to which all threads are pinned, or `free` (run: free)
    #[arg(long, value_name = "free|N", value_parser = pin)]
    pub pin: Option<Pin>,
    /// Time that a call may take for each instance that shares the CPU with it before it counts as
    /// stuck, which ends the run; 0 waits for ever (run: 10000)
    #[arg(long, value_name = "MS")]
    pub stuck_ms: Option<u32>,
    /// Instructions that a call may take; needs a build with WRAMP_METERING=1, where 0 is any
    /// number (run: 100,000,000)
    #[arg(long, value_name = "N")]
    pub budget_instructions: Option<u32>,
    /// Promised 99th percentile of a call's time, or of its turnaround in a pool; the ramp ends
    /// where it is broken
    #[arg(long, value_name = "US")]
    pub slo_us: Option<u64>,
    /// Memory to split between stacks and arena: sets both --slots and --arena-bytes
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with_all = ["arena_bytes", "slots"])]
    pub budget_bytes: Option<u32>,
}

/// An interpreter stack's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasmStack {
    /// That many bytes.
    Bytes(u32),
    /// What each workload needs.
    Fit,
}

/// `4096`, `4K` or `fit`.
///
/// # Errors
/// Where it is none of these.
pub fn wasm_stack(text: &str) -> Result<WasmStack, String> {
    match text {
        "fit" => Ok(WasmStack::Fit),
        _ => bytes(text).map(WasmStack::Bytes).map_err(|error| format!("fit, or {error}")),
    }
}

fn pin(text: &str) -> Result<Pin, String> {
    match text {
        "free" => Ok(Pin::Free),
        _ => text.parse().map(Pin::Core).map_err(|_| "free, or a core's number from 0".into()),
    }
}

/// The option that sets a knob.
#[must_use]
pub fn option(knob: Knob) -> &'static str {
    knob.option().unwrap_or("a knob that no option sets")
}

/// Workers of a pool where none are named.
pub const WORKERS: u32 = 4;

impl Geometry {
    /// These knobs over `base`, except for `--budget-bytes`: what it buys depends on costs that
    /// only a run or a log knows.
    ///
    /// # Errors
    /// A knob below its least value, or workers without a pool.
    pub fn config(&self, base: Config) -> Result<Config, Problem> {
        let workers = self.workers.unwrap_or(match base.mode {
            Mode::Pool { workers } => workers,
            Mode::Park(park) => park.workers,
            Mode::Threads | Mode::Cooperative => WORKERS,
        });
        let park = Park {
            workers,
            live: self.live.unwrap_or(match base.mode {
                Mode::Park(park) => park.live,
                _ => 0,
            }),
            budget: match (self.park_bytes, base.mode) {
                (Some(WasmStack::Bytes(bytes)), _) => Some(Bytes(bytes)),
                (None, Mode::Park(park)) => park.budget,
                _ => None,
            },
            hot: self.hot || matches!(base.mode, Mode::Park(Park { hot: true, .. })),
        };
        let mode = match (self.mode, base.mode) {
            (Some(ModeName::Pool), _) | (None, Mode::Pool { .. }) => Mode::Pool { workers },
            (Some(ModeName::Threads), _) | (None, Mode::Threads) => Mode::Threads,
            (Some(ModeName::Cooperative), _) | (None, Mode::Cooperative) => Mode::Cooperative,
            (Some(ModeName::Park), _) | (None, Mode::Park(_)) => Mode::Park(park),
        };
        if self.workers.is_some() && !matches!(mode, Mode::Pool { .. } | Mode::Park(_)) {
            return Err(Problem::new("--workers belongs to a pool: add --mode pool"));
        }
        let parks = self.live.is_some() || self.park_bytes.is_some() || self.hot;
        if parks && !matches!(mode, Mode::Park(_)) {
            return Err(Problem::new(
                "--live, --park-bytes and --hot belong to a park: add --mode park",
            ));
        }
        let config = Config {
            arena: self.arena_bytes.map_or(base.arena, Bytes),
            slots: self.slots.unwrap_or(base.slots),
            slot_stack: self.slot_stack_bytes.map_or(base.slot_stack, Bytes),
            wasm_stack: match self.wasm_stack_bytes {
                Some(WasmStack::Bytes(bytes)) => Bytes(bytes),
                _ => base.wasm_stack,
            },
            fit_wasm_stack: match self.wasm_stack_bytes {
                Some(WasmStack::Bytes(_)) => false,
                Some(WasmStack::Fit) => true,
                None => base.fit_wasm_stack,
            },
            step: self.step.unwrap_or(base.step),
            settle_ms: self.settle_ms.unwrap_or(base.settle_ms),
            dwell_ms: self.dwell_ms.unwrap_or(base.dwell_ms),
            pause_ms: self.pause_ms.unwrap_or(base.pause_ms),
            mode,
            pin: self.pin.unwrap_or(base.pin),
            stuck_ms: match self.stuck_ms {
                Some(0) => None,
                Some(most) => Some(most),
                None => base.stuck_ms,
            },
            budget: self.budget_instructions.or(base.budget),
            slo: self.slo_us.map_or(base.slo, |us| Some(Nanos(us.saturating_mul(1000)))),
            ..base
        };
        config.check().map_err(|(knob, least)| {
            Problem::new(format!("{} is too small: at least {least}", option(knob)))
        })?;
        Ok(config)
    }
}

/// `196608`, `192K` or `1M`.
///
/// # Errors
/// Where it is none of these or does not fit in 32 bits.
pub fn bytes(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "K" | "k" | "KiB" => 10,
        "M" | "MiB" => 20,
        _ => return Err("bytes, as in 196608, 192K or 1M".into()),
    };
    digits
        .parse::<u32>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "bytes below 4 GiB, as in 196608, 192K or 1M".into())
}
