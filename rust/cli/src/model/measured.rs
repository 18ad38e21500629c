//! What a log measured of a workload, and what another geometry would come to.
//!
//! The formula is core's ([`wramp_core::ramp::predict_set`]). This file adds how its figures
//! change with the geometry: a larger arena has that many more bytes free, a larger interpreter
//! stack costs that many more bytes an instance (or a worker), rounded as the arena rounds blocks.
//!
//! Every other figure comes from the log. Where the log lacks one that a prediction needs, the
//! prediction is refused with the name of the missing key.

use wramp_core::config::{Config, Knob, MIN_ARENA_BYTES, Mode, Park, Scenario};
use wramp_core::measure::Bytes;
use wramp_core::ramp::{Demand, Limit, Outcome, predict_set};
use wramp_core::report::Run;

use crate::model::geometry::option;
use crate::model::run_log::RampLog;
use crate::model::slot_stack::StackAdvice;
use crate::problem::Problem;

/// How the arena lays out its blocks, as the run record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLayout {
    /// What a block is rounded to, its header included.
    pub unit: u32,
    /// What is kept beside each block.
    pub header: u32,
}

impl BlockLayout {
    /// What a run record says; the name of the key that it lacks.
    fn of(run: &Run<'_>) -> Result<Self, &'static str> {
        let unit = run.arena_unit_bytes.ok_or("arena_unit_bytes")?;
        let header = run.arena_header_bytes.ok_or("arena_header_bytes")?;
        Ok(Self { unit: unit.0.max(1), header: header.0 })
    }

    /// Arena bytes of a block with this content.
    fn block(self, content: i64) -> i64 {
        let unit = i64::from(self.unit);
        (content.max(0) + i64::from(self.header) + unit - 1) / unit * unit
    }
}

/// What one more instance of a module takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleCost {
    /// Cost and need.
    pub demand: Demand,
    /// Interpreter stack that an instance or a worker was given.
    pub stack: u32,
    /// Content of the block that holds the interpreter stack, where the log says.
    pub block: Option<u32>,
}

/// What a log measured of one workload.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The workload, as it stands in the record.
    pub workload: String,
    /// The geometry in which it was measured.
    pub config: Config,
    /// Each module that runs side by side. Empty where the log does not say what each costs.
    pub modules: Vec<ModuleCost>,
    /// How many modules run side by side.
    pub set: u32,
    /// Bytes that some module needs while it starts beyond what it costs. Of several modules the
    /// log does not say which one.
    pub spare: u32,
    /// Free bytes after the first instance of each module.
    pub free: Bytes,
    /// Most residents of a pool, where the log is one of a pool and says so.
    pub residents: Option<u32>,
    /// A slot's stack.
    pub slot_stack: StackAdvice,
    /// Least stack of a slot with which a run starts on that machine.
    pub slot_stack_least: Option<u32>,
    /// Least interpreter stack in which a first call ran, where it was fitted.
    pub wasm_stack_least: Option<u32>,
    layout: Result<BlockLayout, &'static str>,
    shares_stack: Option<bool>,
    scenario: String,
}

/// What a geometry would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Instances.
    pub peak: u32,
    /// What stops the next one.
    pub limit: Limit,
    /// Free bytes after the first instance of each module; negative where they do not fit.
    pub free: i64,
    /// Cost and need in this geometry, of all modules together.
    pub demand: Demand,
}

/// What changes with the geometry: each module's cost and need, and the free bytes.
struct Changed {
    modules: Vec<(i64, i64)>,
    free: i64,
}

fn clamped(bytes: i64) -> Bytes {
    Bytes(u32::try_from(bytes.max(0)).unwrap_or(u32::MAX))
}

impl Changed {
    /// Cost and need of all modules together.
    fn sum(&self) -> (i64, i64) {
        self.modules.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// How a ramp with so many slots ends if each module needs `spare` bytes beyond its cost.
    fn outcome(&self, slots: u32, spare: i64) -> Outcome {
        let need = |&(cost, need): &(i64, i64)| need.max(cost + spare);
        // From the beginning: the first set may not fit as a whole.
        let mut free = self.free + self.sum().0;
        for (instance, module) in (0..slots).zip(&self.modules) {
            if free < need(module) {
                return Outcome { peak: instance, limit: Limit::Arena };
            }
            free -= module.0;
        }
        if self.modules.len() >= slots as usize {
            return Outcome { peak: slots, limit: Limit::Slots };
        }
        let demand =
            |module: &(i64, i64)| Demand { cost: clamped(module.0), need: clamped(need(module)) };
        let demands: Vec<Demand> = self.modules.iter().map(demand).collect();
        predict_set(clamped(self.free), &demands, slots)
    }
}

impl Measured {
    /// What a finished or unfinished ramp measured; `None` before its prediction.
    #[must_use]
    pub fn of(run: &Run<'_>, ramp: &RampLog) -> Option<Self> {
        let predict = ramp.predict.as_ref()?.get();
        let mut config = config_of(run)?;
        config.fit_wasm_stack = !ramp.fits.is_empty();
        if let [fit] = ramp.fits.as_slice() {
            config.wasm_stack = fit.get().wasm_stack_bytes;
        }
        let set = ramp.set();
        let layout = BlockLayout::of(run);
        let parts = ramp.parts();
        let whole = Demand { cost: predict.cost_bytes, need: predict.need_bytes };
        let spare = whole.need.saturating_sub(whole.cost).0;
        let fitted = |workload: &str| {
            let mut fits = ramp.fits.iter().map(|fit| fit.get());
            fits.find(|fit| fit.workload.0 == workload).map(|fit| fit.wasm_stack_bytes.0)
        };
        let mut modules: Vec<ModuleCost> = parts
            .iter()
            .map(|(workload, parts)| {
                let bytes = |name: &str| -> u32 {
                    parts.iter().filter(|(part, _)| *part == name).map(|(_, b)| *b).sum()
                };
                let stack = bytes("wasm-stack");
                let content = bytes("environment") + bytes("block-cache") + stack;
                let given = fitted(workload).unwrap_or(config.wasm_stack.0);
                let cost = Bytes(parts.iter().map(|(_, bytes)| bytes).sum());
                ModuleCost {
                    demand: Demand { cost, need: cost },
                    stack: if stack > 0 { stack } else { given },
                    block: (content > 0).then_some(content),
                }
            })
            .collect();
        if set == 1 {
            // Its whole cost is recorded, so an older log's parts need not add up to it.
            let block = modules.first().and_then(|module| module.block);
            let stack = modules.first().map_or(config.wasm_stack.0, |module| module.stack);
            modules = vec![ModuleCost { demand: whole, stack, block }];
        } else if modules.len() != set
            || modules.iter().map(|module| u64::from(module.demand.cost.0)).sum::<u64>()
                != u64::from(whole.cost.0)
        {
            modules.clear();
        }
        // The stacks of a pool are no part of an instance. The engine allocates them between the
        // module's load and the first instance.
        if let (Some(workers), [module], [load], Ok(layout)) =
            (workers(config.mode), modules.as_mut_slice(), ramp.loads.as_slice(), layout)
            && module.block.is_none()
        {
            let resident = predict.arena_free_bytes.0 + predict.cost_bytes.0;
            let all = load.get().arena_free_bytes.0.checked_sub(resident)?;
            let content = i64::from(all) / workers.max(1) - i64::from(layout.header);
            module.block = u32::try_from(content).ok().filter(|bytes| *bytes > 0);
        }
        let is_pool = config.mode != Mode::Threads;
        Some(Self {
            workload: ramp.workload.clone(),
            config,
            modules,
            set: u32::try_from(set).unwrap_or(u32::MAX),
            spare,
            free: predict.arena_free_bytes,
            residents: run.residents.filter(|_| is_pool),
            slot_stack: StackAdvice::of(run, ramp),
            slot_stack_least: run.slot_stack_least_bytes.map(|bytes| bytes.0),
            wasm_stack_least: ramp.fits.iter().map(|fit| fit.get().needed_bytes.0).max(),
            layout,
            // A pool that ran is proof enough.
            shares_stack: run.shares_stack.map(|word| word.0 == "on").or(is_pool.then_some(true)),
            scenario: run.scenario.0.to_owned(),
        })
    }

    /// The largest interpreter stack of its modules in this geometry.
    #[must_use]
    pub fn wasm_stack(&self, config: &Config) -> u32 {
        let kept = self.modules.iter().map(|module| module.stack).max();
        kept.filter(|_| config.fit_wasm_stack).unwrap_or(config.wasm_stack.0)
    }

    /// Whether interpreter stacks stay as they were measured.
    fn keeps_stacks(&self, config: &Config) -> bool {
        let same = !self.config.fit_wasm_stack && config.wasm_stack == self.config.wasm_stack;
        config.fit_wasm_stack || same
    }

    /// The content of a module's block as it was, and as it would be with another stack.
    fn contents(&self, module: &ModuleCost, config: &Config) -> Result<(i64, i64), Problem> {
        let content = i64::from(module.block.ok_or_else(|| {
            self.unknown("what the block of an interpreter stack holds", "its part records")
        })?);
        let more = i64::from(config.wasm_stack.0) - i64::from(module.stack);
        let more = if self.keeps_stacks(config) { 0 } else { more };
        Ok((content, content + more))
    }

    /// Demands and free bytes in another geometry, the arena's size aside.
    fn changed(&self, config: &Config) -> Result<Changed, Problem> {
        if self.modules.is_empty() {
            return Err(self.unknown("what each of its modules costs", "part records of each"));
        }
        let (before, now) = (workers(self.config.mode), workers(config.mode));
        let demands = self
            .modules
            .iter()
            .map(|module| (i64::from(module.demand.cost.0), i64::from(module.demand.need.0)));
        let mut changed = Changed { modules: demands.collect(), free: i64::from(self.free.0) };
        if before == now && self.keeps_stacks(config) {
            return Ok(changed);
        }
        let layout = self.layout.map_err(|key| {
            self.unknown("how the arena rounds blocks", &format!("the key {key}"))
        })?;
        for (module, (cost, need)) in self.modules.iter().zip(&mut changed.modules) {
            let (was, is) = self.contents(module, config)?;
            let (was, is) = (layout.block(was), layout.block(is));
            let (own_was, own_is) =
                (if before.is_none() { was } else { 0 }, if now.is_none() { is } else { 0 });
            *cost += own_is - own_was;
            *need += own_is - own_was;
            changed.free += before.map_or(was, |workers| workers * was);
            changed.free -= now.map_or(is, |workers| workers * is);
        }
        Ok(changed)
    }

    /// The slots, or the places of a pool.
    #[must_use]
    pub fn places(&self, config: &Config) -> u32 {
        match config.mode {
            // `run` fills whole sets of slots.
            Mode::Threads if config.slots >= self.set => config.slots - config.slots % self.set,
            Mode::Threads => config.slots,
            // A resident takes no stack. The arena or the table of residents ends a pool.
            Mode::Pool { .. } | Mode::Cooperative => self.residents.unwrap_or(u32::MAX),
            // The live instances need places. The parked ones are limited by the arena alone.
            Mode::Park(_) => u32::MAX,
        }
    }

    fn unknown(&self, what: &str, lacking: &str) -> Problem {
        Problem::new(format!(
            "{}: {what} is unknown, because the log lacks {lacking}: run this geometry once, or \
             record the log anew with this version",
            self.workload
        ))
    }

    /// Refuses what `run` refuses on that machine.
    ///
    /// # Errors
    /// The knob to turn, or the key without which the log cannot tell.
    pub fn check(&self, config: &Config) -> Result<(), Problem> {
        if config.mode != Mode::Threads {
            let mode = config.mode.as_str();
            let several = [Scenario::Mixed, Scenario::Private].map(Scenario::as_str);
            if several.contains(&&*self.scenario) {
                return Err(Problem::new(format!(
                    "--mode {mode}: residents share one module, and this log's scenario is {}",
                    self.scenario
                )));
            }
            match self.shares_stack {
                Some(true) => {}
                Some(false) => {
                    return Err(Problem::new(format!(
                        "--mode {mode}: the engine of this log does not share a stack among \
                         instances (shares_stack=off), so it has no residents"
                    )));
                }
                None => {
                    return Err(
                        self.unknown("whether its engine has a pool", "the key shares_stack")
                    );
                }
            }
        }
        if let Some(least) = self.wasm_stack_least.filter(|_| !config.fit_wasm_stack)
            && config.wasm_stack.0 < least
        {
            return Err(Problem::new(format!(
                "{} is too small: the first call of {} needs {least}",
                option(Knob::WasmStack),
                self.workload
            )));
        }
        // The controller's own stack serves residents without workers.
        if config.mode == Mode::Cooperative {
            return Ok(());
        }
        let stack = config.slot_stack.0;
        let too_small = |least: u32, why: &str| {
            Err(Problem::new(format!(
                "{} is too small: at least {least} {why}",
                option(Knob::SlotStack)
            )))
        };
        match self.slot_stack_least {
            Some(least) if stack < least => {
                return too_small(
                    least,
                    "on the machine of this log, which starts no run with less",
                );
            }
            None if stack < self.config.slot_stack.0 => {
                return Err(Problem::new(format!(
                    "{}: {}: the least stack of a slot is unknown, because the log lacks the key \
                     slot_stack_least_bytes: give at least the {} bytes of the log",
                    option(Knob::SlotStack),
                    self.workload,
                    self.config.slot_stack
                )));
            }
            _ => {}
        }
        match self.slot_stack {
            StackAdvice::Known(known) if stack < known.used.min(known.given) => {
                too_small(known.used.min(known.given), "were used on the machine of this log")
            }
            _ => Ok(()),
        }
    }

    /// Predicts.
    ///
    /// # Errors
    /// Where `run` would refuse the geometry, and where the log cannot say what it changes.
    pub fn predict(&self, config: &Config) -> Result<Prediction, Problem> {
        self.check(config)?;
        let mut changed = self.changed(config)?;
        changed.free += i64::from(config.arena.0) - i64::from(self.config.arena.0);
        let places = self.places(config);
        // One module's need is its own. Of several, the log knows only the sum.
        let spare = if self.modules.len() > 1 { i64::from(self.spare) } else { 0 };
        let outcome = changed.outcome(places, 0);
        if spare > 0 && changed.outcome(places, spare) != outcome {
            return Err(self.unknown(
                "which of its modules needs more while it starts than it keeps",
                "need_bytes of each",
            ));
        }
        let (cost, need) = changed.sum();
        let demand = Demand { cost: clamped(cost), need: clamped(need + spare) };
        Ok(Prediction { peak: outcome.peak, limit: outcome.limit, free: changed.free, demand })
    }

    /// How many the arena of the log would hold without regard to slots; `None` where the log
    /// does not say what each module costs.
    #[must_use]
    pub fn fit(&self) -> Option<u32> {
        let changed = self.changed(&self.config).ok()?;
        // More slots than any arena has bytes, in whole sets.
        let slots = self.config.arena.0.saturating_sub(self.config.arena.0 % self.set);
        Some(changed.outcome(slots, 0).peak)
    }

    /// The smallest arena in which `peak` instances run, a multiple of 8.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn smallest_arena(&self, config: &Config, peak: u32) -> Result<u32, Problem> {
        let reaches = |arena: u32| -> Result<bool, Problem> {
            let tried = Config { arena: Bytes(arena), ..*config };
            Ok(self.predict(&tried)?.peak >= peak)
        };
        // More arena never holds fewer, so bisect in steps of 8.
        let (mut low, mut high) = (MIN_ARENA_BYTES / 8, u32::MAX / 8);
        if !reaches(high * 8)? {
            return Err(Problem::new(format!("--peak {peak} needs an arena beyond 4 GiB")));
        }
        while low < high {
            let middle = low.midpoint(high);
            if reaches(middle * 8)? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(high * 8)
    }

    /// Splits a budget between stacks and arena for the highest peak. Of equal peaks it takes the
    /// one with the fewest stacks.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), or a budget that holds no stack and no arena.
    pub fn split(&self, config: &Config, budget: u32) -> Result<(Config, Prediction), Problem> {
        let stack = config.slot_stack.0.max(1);
        let arena_beside = |stacks: u32| {
            let stacks = stacks.checked_mul(stack)?;
            budget.checked_sub(stacks).filter(|&arena| arena >= MIN_ARENA_BYTES)
        };
        let mut best: Option<(Config, Prediction)> = None;
        let most = match config.mode {
            Mode::Threads => budget / stack,
            Mode::Pool { .. } | Mode::Cooperative | Mode::Park(_) => 1,
        };
        for slots in 1..=most {
            let slots = match config.mode {
                Mode::Threads => slots,
                Mode::Pool { workers } | Mode::Park(Park { workers, .. }) => workers,
                Mode::Cooperative => 0,
            };
            let Some(arena) = arena_beside(slots) else { break };
            let tried = Config { arena: Bytes(arena), slots, ..*config };
            let prediction = self.predict(&tried)?;
            if best.is_none_or(|(_, best)| prediction.peak > best.peak) {
                best = Some((tried, prediction));
            } else if prediction.limit == Limit::Arena {
                break; // The arena only gets smaller from here on.
            }
        }
        best.ok_or_else(|| {
            Problem::new(format!(
                "--budget-bytes {budget} holds no stack of {stack} bytes and an arena: raise it"
            ))
        })
    }
}

/// Interpreter stacks that residents share; `None` where each instance has its own.
fn workers(mode: Mode) -> Option<i64> {
    match mode {
        Mode::Threads => None,
        Mode::Pool { workers } | Mode::Park(Park { workers, .. }) => Some(i64::from(workers)),
        // The controller has one interpreter stack.
        Mode::Cooperative => Some(1),
    }
}

/// The knobs with which a log was made; `None` for a pool without its workers.
#[must_use]
pub fn config_of(run: &Run<'_>) -> Option<Config> {
    let mode = match run.mode.0 {
        "pool" => Mode::Pool { workers: run.workers? },
        "cooperative" => Mode::Cooperative,
        "park" => {
            let workers = run.workers?;
            Mode::Park(Park { workers, live: 0, budget: None, hot: false })
        }
        _ => Mode::Threads,
    };
    Some(Config {
        arena: run.arena_bytes,
        slots: run.slots,
        slot_stack: run.slot_stack_bytes,
        wasm_stack: run.wasm_stack_bytes,
        step: run.step,
        settle_ms: run.settle_ms,
        dwell_ms: run.dwell_ms,
        pause_ms: run.pause_ms,
        mode,
        slo: run.slo_us,
        ..Config::PUBLISHED
    })
}
