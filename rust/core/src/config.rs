//! Every knob of a ramp, with its range. Linux and Zephyr share them.
//!
//! Each platform sets a knob in its own place: a command's option or a Kconfig symbol. A
//! refusal therefore names the [`Knob`], and the platform says what it is called there.

use crate::measure::{Bytes, Nanos};

/// A knob that a message can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Knob {
    /// Bytes of the arena.
    Arena,
    /// Number of slots.
    Slots,
    /// Bytes of a slot's stack.
    SlotStack,
    /// Bytes of an interpreter stack.
    WasmStack,
    /// Instances that each rung adds.
    Step,
    /// Which ramps a run makes.
    Scenario,
    /// Which workloads run.
    Workload,
    /// The user's module.
    Module,
    /// The user's export.
    Export,
    /// Threads or a pool.
    Mode,
    /// Worker threads of a pool.
    Workers,
    /// The most residents of a pool.
    Residents,
    /// Milliseconds of a dwell.
    Dwell,
    /// Core to pin to.
    Pin,
    /// Instructions that a call may take.
    Budget,
    /// Milliseconds after which a call counts as stuck.
    Stuck,
    /// Live instances that serve the parked ones.
    Live,
    /// The most bytes that an instance may park.
    ParkBudget,
    /// Where parked states survive a reset.
    Store,
}

impl Knob {
    /// Every knob.
    pub const ALL: [Self; 19] = [
        Self::Arena,
        Self::Slots,
        Self::SlotStack,
        Self::WasmStack,
        Self::Step,
        Self::Scenario,
        Self::Workload,
        Self::Module,
        Self::Export,
        Self::Mode,
        Self::Workers,
        Self::Residents,
        Self::Dwell,
        Self::Pin,
        Self::Budget,
        Self::Stuck,
        Self::Live,
        Self::ParkBudget,
        Self::Store,
    ];

    /// The option of `wramp run`, if the knob has one.
    #[must_use]
    pub const fn option(self) -> Option<&'static str> {
        Some(match self {
            Self::Arena => "--arena-bytes",
            Self::Slots => "--slots",
            Self::SlotStack => "--slot-stack-bytes",
            Self::WasmStack => "--wasm-stack-bytes",
            Self::Step => "--step",
            Self::Scenario => "--scenario",
            Self::Workload => "--workload",
            Self::Module => "--module",
            Self::Export => "--export",
            Self::Mode => "--mode",
            Self::Workers => "--workers",
            Self::Residents => return None,
            Self::Dwell => "--dwell-ms",
            Self::Pin => "--pin",
            Self::Budget => "--budget-instructions",
            Self::Stuck => "--stuck-ms",
            Self::Live => "--live",
            Self::ParkBudget => "--park-bytes",
            Self::Store => "--store",
        })
    }

    /// The Kconfig symbol of the firmware, if the knob has one.
    #[must_use]
    pub const fn symbol(self) -> Option<&'static str> {
        Some(match self {
            Self::Arena => "CONFIG_WRAMP_ARENA_SIZE",
            Self::Slots => "CONFIG_WRAMP_SLOTS",
            Self::SlotStack => "CONFIG_WRAMP_SLOT_STACK_SIZE",
            Self::WasmStack => "CONFIG_WRAMP_WASM_STACK_SIZE",
            Self::Step => "CONFIG_WRAMP_STEP",
            Self::Scenario => "CONFIG_WRAMP_SCENARIO_*",
            Self::Workload => "CONFIG_WRAMP_WORKLOAD_*",
            Self::Module | Self::Export | Self::Store => return None,
            Self::Mode => "CONFIG_WRAMP_MODE_*",
            Self::Workers => "CONFIG_WRAMP_WORKERS",
            Self::Residents => "CONFIG_WRAMP_RESIDENTS",
            Self::Dwell => "CONFIG_WRAMP_DWELL_MS",
            Self::Pin => "CONFIG_WRAMP_PIN",
            Self::Budget => "CONFIG_WRAMP_BUDGET",
            Self::Stuck => "CONFIG_WRAMP_STUCK_MS",
            Self::Live => "CONFIG_WRAMP_LIVE",
            Self::ParkBudget => "CONFIG_WRAMP_PARK_BYTES",
        })
    }
}

/// Where the threads of a ramp may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// On any core that the scheduler picks.
    #[default]
    Free,
    /// On this core only.
    Core(u8),
}

impl Pin {
    /// The core, if there is one.
    #[must_use]
    pub const fn core(self) -> Option<u8> {
        match self {
            Self::Free => None,
            Self::Core(core) => Some(core),
        }
    }
}

/// Which ramps a run makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scenario {
    /// The chosen workloads one after another, each alone.
    #[default]
    All,
    /// The five small modules side by side. Instance `n` runs module `n` mod 5.
    Mixed,
    /// Each instance loads its own copy of the module.
    Private,
    /// The chosen workload pinned to each of two cores in turn, then free.
    Pinned,
    /// The user's modules side by side, each in the number that was asked for.
    Mix,
}

impl Scenario {
    /// The word for it in a record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mixed => "mixed",
            Self::Private => "private",
            Self::Pinned => "pinned",
            Self::Mix => "mix",
        }
    }
}

/// How instances share threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every instance has its own thread and its own interpreter stack.
    #[default]
    Threads,
    /// A fixed number of worker threads serves any number of residents.
    Pool {
        /// Worker threads. Each has one interpreter stack.
        workers: u32,
    },
    /// The controller itself calls any number of residents, one after another, on one
    /// interpreter stack. This mode is for a machine without threads.
    Cooperative,
    /// A few live instances serve any number of parked ones, each of which is its state and
    /// nothing else.
    Park(Park),
}

/// The knobs of [`Mode::Park`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Park {
    /// Worker threads. Each has one interpreter stack.
    pub workers: u32,
    /// Live instances. A worker waits where all are in calls. 0 takes as many as workers, or
    /// fewer where these would take more than a quarter of the arena.
    pub live: u32,
    /// The most bytes that one instance may park. `None` fits it to what one instance parks in a
    /// trial, with a margin.
    pub budget: Option<Bytes>,
    /// Whether a hundredth of the instances get 99 of 100 calls. Otherwise all take turns.
    pub hot: bool,
}

impl Mode {
    /// The word for it in a record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Pool { .. } => "pool",
            Self::Cooperative => "cooperative",
            Self::Park(_) => "park",
        }
    }

    /// Threads that call residents. `None` where each instance has its own thread.
    #[must_use]
    pub const fn workers(self) -> Option<u32> {
        match self {
            Self::Threads => None,
            Self::Pool { workers } => Some(workers),
            Self::Cooperative => Some(0),
            Self::Park(park) => Some(park.workers),
        }
    }
}

/// Every knob of a run. See `Kconfig` for what each costs on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of the arena.
    pub arena: Bytes,
    /// Stacks reserved, which is the most threads at a time. At least 1.
    pub slots: u32,
    /// Bytes of a slot's stack, as the board has it.
    pub slot_stack: Bytes,
    /// Bytes of an interpreter stack.
    pub wasm_stack: Bytes,
    /// Whether each workload gets only the interpreter stack that its first call needs, and a
    /// margin, instead of all of `wasm_stack`.
    pub fit_wasm_stack: bool,
    /// Instances that each rung adds. At least 1.
    pub step: u32,
    /// Milliseconds for the newest instances to settle.
    pub settle_ms: u32,
    /// Milliseconds that a rung is held and measured. At least 1.
    pub dwell_ms: u32,
    /// Milliseconds that an instance pauses between calls.
    pub pause_ms: u32,
    /// Which ramps.
    pub scenario: Scenario,
    /// Threads or a pool.
    pub mode: Mode,
    /// Where threads may run.
    pub pin: Pin,
    /// Instructions that a call may take, if the engine meters.
    pub budget: Option<u32>,
    /// Milliseconds that a call may take, for each instance that shares the CPU with it. A call
    /// that takes longer is stuck and ends the run. `None` waits for ever.
    pub stuck_ms: Option<u32>,
    /// The promised p99.
    pub slo: Option<Nanos>,
}

impl Config {
    /// The geometry of the published benchmark (see `results/` for its source), at our own
    /// pace.
    pub const PUBLISHED: Self = Self {
        arena: Bytes(196_608),
        slots: 24,
        slot_stack: Bytes(4096),
        wasm_stack: Bytes(4096),
        fit_wasm_stack: false,
        step: 1,
        settle_ms: 200,
        dwell_ms: 1000,
        pause_ms: 5,
        scenario: Scenario::All,
        mode: Mode::Threads,
        pin: Pin::Free,
        budget: None,
        stuck_ms: Some(STUCK_MS),
        slo: None,
    };

    /// The bytes of the published geometry's arena and stacks, spent densely: on a pool of four
    /// workers, on fitted interpreter stacks, and all the rest on the arena.
    pub const DENSE: Self = {
        let published = Self::PUBLISHED;
        let budget = published.arena.0 + published.slots * published.slot_stack.0;
        Self {
            arena: Bytes(budget - DENSE_WORKERS * published.slot_stack.0),
            slots: DENSE_WORKERS,
            mode: Mode::Pool { workers: DENSE_WORKERS },
            fit_wasm_stack: true,
            step: 20,
            pause_ms: 0,
            ..published
        }
    };

    /// Refuses a configuration that no machine can run.
    ///
    /// # Errors
    /// The first knob below its least value, and that value.
    pub const fn check(&self) -> Result<(), (Knob, u32)> {
        if self.slots == 0 && !matches!(self.mode, Mode::Cooperative) {
            return Err((Knob::Slots, 1));
        }
        if self.step == 0 {
            return Err((Knob::Step, 1));
        }
        if self.dwell_ms == 0 {
            return Err((Knob::Dwell, 1));
        }
        if self.arena.0 < MIN_ARENA_BYTES {
            return Err((Knob::Arena, MIN_ARENA_BYTES));
        }
        if self.wasm_stack.0 < MIN_WASM_STACK_BYTES {
            return Err((Knob::WasmStack, MIN_WASM_STACK_BYTES));
        }
        match self.mode {
            Mode::Pool { workers: 0 } | Mode::Park(Park { workers: 0, .. }) => {
                Err((Knob::Workers, 1))
            }
            _ if matches!(self.stuck_ms, Some(0)) => Err((Knob::Stuck, 1)),
            _ => Ok(()),
        }
    }
}

/// Default of [`Config::stuck_ms`]. A call of any workload here is thousands of times shorter.
pub const STUCK_MS: u32 = 10_000;
/// Default budget of an engine that meters, in its instructions.
///
/// A call of any workload here takes hundreds of times fewer. A slow board uses the budget up
/// within ten seconds.
pub const DEFAULT_BUDGET: u32 = 100_000_000;

/// Workers of [`Config::DENSE`].
pub const DENSE_WORKERS: u32 = 4;

/// The smallest arena. A smaller one holds no allocator, let alone an engine. The engine itself
/// says how much more it needs.
pub const MIN_ARENA_BYTES: u32 = 256;
/// The smallest interpreter stack. An interpreter's frame alone takes more.
pub const MIN_WASM_STACK_BYTES: u32 = 64;
