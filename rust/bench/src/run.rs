//! A whole run: every ramp of the scenario, one after another, and what came of it.

use core::fmt::Write as _;

use wramp_core::config::{Config, Knob, Mode, Scenario};
use wramp_core::measure::{Bytes, Counter, Ticks};
use wramp_core::platform::{Lock as _, Pin, Platform};
use wramp_core::ramp::Limit;
use wramp_core::report::{Done, End, Fault, Fit, Load, Record, Text, Word};
use wramp_core::runtime::{Error, ErrorKind, Runtime};

use crate::fit::fit;
use crate::guest::{Check, Guest};
use crate::lead::{Climbed, MAX_MODULES, Scale, Scene};
use crate::pool::{Places, Pool};
use crate::seat::Seat;
use crate::threads::{Modules, Threads};

/// What a run came to; `exit` is the process's, or the firmware's, status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Ramps that ended.
    pub workloads: u32,
    /// Failed or wrong calls over all of them.
    pub errors: u64,
    /// Whether the arena was ever not as it had been.
    pub leaked: bool,
    /// Whether something could not even begin.
    pub refused: bool,
}

impl Summary {
    /// 0 right; 1 wrong results, failed calls or leaked bytes; 2 wrong input or geometry.
    #[must_use]
    pub fn exit(&self) -> u32 {
        match self {
            Self { refused: true, .. } => 2,
            Self { leaked: true, .. } => 1,
            Self { errors: 1.., .. } => 1,
            _ => 0,
        }
    }
}

/// Words of a message, formatted without allocating; what does not fit is cut.
type Line = heapless::String<192>;

fn text(arguments: core::fmt::Arguments<'_>) -> Line {
    let mut text = Line::new();
    // A message cut short is still a message.
    let _ = text.write_fmt(arguments);
    text
}

/// Says that a run cannot begin, or not go on, and which knob mends it.
pub fn refuse<P: Platform>(
    platform: &P,
    workload: Option<&str>,
    kind: ErrorKind,
    knob: Knob,
    message: core::fmt::Arguments<'_>,
) {
    platform.emit(&Record::from(Fault {
        workload: workload.map(Word),
        error: Word(kind.as_str()),
        knob: Some(Word(platform.knob(knob))),
        message: Text::new(&text(message)),
    }));
}

/// Refuses a configuration that no machine can run, or this one cannot.
fn check<P: Platform>(platform: &P, config: &Config, guests: &[Guest<'_>]) -> bool {
    if let Err((knob, least)) = config.check() {
        let name = platform.knob(knob);
        refuse(platform, None, ErrorKind::Engine, knob, format_args!("{name} is below {least}"));
        return false;
    }
    if guests.is_empty() {
        let message = format_args!("no workload is chosen");
        refuse(platform, None, ErrorKind::Engine, Knob::Workload, message);
        return false;
    }
    if platform.slots() == 0 {
        let message = format_args!("no slot was reserved");
        refuse(platform, None, ErrorKind::Engine, Knob::Slots, message);
        return false;
    }
    let cores = platform.cores();
    if let Pin::Core(core) = config.pin
        && core >= cores
    {
        let message = format_args!("there is no core {core}, cores are 0 to {}", cores - 1);
        refuse(platform, None, ErrorKind::Engine, Knob::Pin, message);
        return false;
    }
    true
}

/// Runs the scenario and ends with the `done` record. The `run` record, which only the
/// platform can fill in, comes before.
///
/// `N` is the buckets of a histogram, `M` the most residents of a pool (0: no pool); a pool
/// takes two seats a worker.
pub fn run<P: Platform, R: Runtime, C: Counter, const N: usize, const M: usize>(
    platform: &P,
    runtime: &R,
    config: &Config,
    guests: &[Guest<'_>],
    seats: &[Seat<C, N>],
) -> Summary {
    let mut bench =
        Bench { platform, runtime, seats, began: platform.now(), summary: Summary::default() };
    if check(platform, config, guests) && bench.check_pool::<M>(config) {
        bench.scenario::<M>(config, guests);
    } else {
        bench.summary.refused = true;
    }
    let summary = bench.summary;
    finish(platform, &summary);
    summary
}

/// Emits the `done` record: also for a run that could not even set up its engine.
pub fn finish<P: Platform>(platform: &P, summary: &Summary) {
    platform.emit(&Record::from(Done {
        workloads: summary.workloads,
        errors: summary.errors,
        faults: None,
        exit: summary.exit(),
    }));
}

struct Bench<'b, P, R, C, const N: usize> {
    platform: &'b P,
    runtime: &'b R,
    seats: &'b [Seat<C, N>],
    began: Ticks,
    summary: Summary,
}

impl<P: Platform, R: Runtime, C: Counter, const N: usize> Bench<'_, P, R, C, N> {
    /// Refuses a pool that cannot be: of this engine, with these slots, in this scenario.
    fn check_pool<const M: usize>(&self, config: &Config) -> bool {
        let Mode::Pool { workers } = config.mode else { return true };
        let platform = self.platform;
        let no = |knob, message| {
            refuse(platform, None, ErrorKind::Engine, knob, message);
            false
        };
        let seats = self.seats.len() / 2;
        let slots = platform.slots().min(seats);
        if M == 0 {
            return no(Knob::Mode, format_args!("this build has no places for residents"));
        }
        if !self.runtime.shares_environment() {
            let (name, version) = (self.runtime.name(), self.runtime.version());
            return no(Knob::Mode, format_args!("{name} {version} lends no environment to a pool"));
        }
        if workers as usize > slots {
            let message = format_args!("{workers} workers need as many slots, there are {slots}");
            return no(Knob::Workers, message);
        }
        if matches!(config.scenario, Scenario::Mixed | Scenario::Private) {
            let scenario = config.scenario.as_str();
            return no(Knob::Mode, format_args!("a pool shares one module, {scenario} has more"));
        }
        true
    }

    fn scenario<const M: usize>(&mut self, config: &Config, guests: &[Guest<'_>]) {
        match config.scenario {
            Scenario::All | Scenario::Private => {
                for guest in guests {
                    self.ramp::<M>(config, guest.name, core::slice::from_ref(guest));
                }
            }
            Scenario::Mixed => {
                let step = config.step.saturating_mul(u32::try_from(guests.len()).unwrap_or(1));
                self.ramp::<M>(&Config { step, ..*config }, "mixed", guests);
            }
            Scenario::Pinned => {
                for guest in guests {
                    self.pinned::<M>(config, guest);
                }
            }
        }
    }

    fn pinned<const M: usize>(&mut self, config: &Config, guest: &Guest<'_>) {
        for pin in [Pin::Core(0), Pin::Core(1), Pin::Free] {
            let name = match pin {
                Pin::Core(core) => text(format_args!("{}@core{core}", guest.name)),
                Pin::Free => text(format_args!("{}@free", guest.name)),
            };
            match pin {
                Pin::Core(core) if core >= self.platform.cores() => {
                    // Not an error: this machine has no such core, and says so.
                    let message = format_args!("this machine has {} core", self.platform.cores());
                    refuse(self.platform, Some(&name), ErrorKind::Engine, Knob::Pin, message);
                }
                _ => {
                    self.ramp::<M>(&Config { pin, ..*config }, &name, core::slice::from_ref(guest))
                }
            }
        }
    }

    /// One ramp, from load to leak check.
    fn ramp<const M: usize>(&mut self, config: &Config, name: &str, guests: &[Guest<'_>]) {
        if self.platform.interrupted() {
            return;
        }
        for guest in guests {
            if let Check::Agreement(agreement) = guest.check {
                agreement.clear();
            }
        }
        self.platform.arena_reset_low_water();
        let before = self.platform.arena().free;
        let climbed = self.load_and_climb::<M>(config, name, guests);
        let after = self.platform.arena().free;
        let leaked = i64::from(before.0) - i64::from(after.0);
        self.summary.leaked |= leaked != 0;
        let climbed = match climbed {
            Ok(climbed) => climbed,
            Err(error) => return self.explain(config, name, &error),
        };
        self.summary.workloads += 1;
        self.summary.errors += climbed.errors;
        let failure = climbed.failure.as_ref();
        self.platform.emit(&Record::from(End {
            workload: Word(name),
            peak: climbed.outcome.peak,
            limit: climbed.outcome.limit,
            predicted_peak: climbed.predicted.map(|outcome| outcome.peak),
            predicted_limit: climbed.predicted.map(|outcome| outcome.limit),
            cost_bytes: climbed.cost,
            arena_free_bytes: after,
            leaked_bytes: leaked,
            calls: climbed.calls,
            errors: climbed.errors,
            over_budget: (self.runtime.meters() && config.budget.is_some())
                .then_some(climbed.over_budget),
            stack_used_bytes: climbed.stack_used,
            fairness: climbed.fairness,
            error: failure.map(|error| Word(error.kind.as_str())),
            message: failure.map(|error| Text::new(error.message.as_str())),
        }));
        match (climbed.outcome.peak, climbed.outcome.limit, failure) {
            (0, Limit::Arena | Limit::Error, Some(error)) => self.explain(config, name, error),
            (_, Limit::Error, Some(_)) => self.summary.errors += 1,
            _ => {}
        }
    }

    // Not inlined, as all below that has much on its stack: of a load, a trial call and a
    // climb none shall need the room that another one took.
    #[inline(never)]
    fn load_and_climb<const M: usize>(
        &self,
        config: &Config,
        name: &str,
        guests: &[Guest<'_>],
    ) -> Result<Climbed, Error> {
        let mut modules: [Option<R::Module<'_>>; MAX_MODULES] = [const { None }; MAX_MODULES];
        if guests.len() > MAX_MODULES {
            return Err(Error::new(ErrorKind::Engine, "more modules than a ramp takes"));
        }
        let private = config.scenario == Scenario::Private;
        if !private {
            for (place, guest) in modules.iter_mut().zip(guests) {
                *place = Some(self.load(guest)?);
            }
        }
        let mut stacks = [config.wasm_stack; MAX_MODULES];
        if config.fit_wasm_stack {
            for (place, guest) in guests.iter().enumerate() {
                stacks[place] = self.fit(config, modules[place].as_ref(), guest)?;
            }
        }
        let scene = Scene { platform: self.platform, config, name, began: self.began, stacks };
        let (runtime, seats) = (self.runtime, self.seats);
        // Where there are no places a microcontroller carries none of a pool's code.
        if M > 0
            && let (Mode::Pool { workers }, [guest], Some(module)) =
                (config.mode, guests, &modules[0])
        {
            return self.climb_pool::<M>(scene, guest, module, workers as usize);
        }
        let modules =
            if private { Modules::Private } else { Modules::Shared(&modules[..guests.len()]) };
        let scale = Scale::of_calls();
        let parts = P::Lock::new(None);
        Ok(Threads { scene, runtime, guests, modules, seats, scale, parts }.climb())
    }

    /// The climb of a pool, whose places are the largest thing on this stack.
    #[inline(never)]
    fn climb_pool<const M: usize>(
        &self,
        scene: Scene<'_, P>,
        guest: &Guest<'_>,
        module: &R::Module<'_>,
        workers: usize,
    ) -> Result<Climbed, Error> {
        let mut places = Places::<_, M>::new();
        let pool = Pool::new(scene, self.runtime, guest, module, self.seats, workers, &mut places);
        let missing = || Error::new(ErrorKind::Engine, "a pool takes two seats a worker");
        pool.as_ref().map(Pool::climb).ok_or_else(missing)
    }

    /// Finds the interpreter stack that the guest needs. Where each instance has a module of
    /// its own one is loaded for this.
    #[inline(never)]
    fn fit(
        &self,
        config: &Config,
        module: Option<&R::Module<'_>>,
        guest: &Guest<'_>,
    ) -> Result<Bytes, Error> {
        let most = config.wasm_stack;
        let fitted = match module {
            Some(module) => fit(self.runtime, module, guest, most, config.budget),
            None => {
                let own = self.runtime.load(guest.source)?;
                fit(self.runtime, &own, guest, most, config.budget)
            }
        }?;
        self.platform.emit(&Record::from(Fit {
            workload: Word(guest.name),
            needed_bytes: fitted.needed,
            wasm_stack_bytes: fitted.stack,
        }));
        Ok(fitted.stack)
    }

    #[inline(never)]
    fn load(&self, guest: &Guest<'_>) -> Result<R::Module<'_>, Error> {
        let before = self.platform.arena().free;
        let module = self.runtime.load(guest.source)?;
        let after = self.platform.arena().free;
        self.platform.emit(&Record::from(Load {
            workload: Word(guest.name),
            module_bytes: Bytes(u32::try_from(guest.source.bytes().len()).unwrap_or(u32::MAX)),
            arena_bytes: before.saturating_sub(after),
            arena_free_bytes: after,
        }));
        Ok(module)
    }

    /// Nothing ran: says which knob mends it.
    fn explain(&mut self, config: &Config, name: &str, error: &Error) {
        self.summary.refused = true;
        let platform = self.platform;
        let said = error.message;
        let arena = config.arena;
        let message = match error.kind {
            ErrorKind::OutOfMemory => {
                let free = platform.arena().free;
                text(format_args!("arena too small for {name}: {arena} bytes, {free} free: {said}"))
            }
            ErrorKind::WasmStack => {
                text(format_args!("wasm stack too small: {} bytes: {said}", config.wasm_stack))
            }
            ErrorKind::NativeStack => {
                text(format_args!("slot stack too small: {} bytes: {said}", config.slot_stack))
            }
            _ => text(format_args!("{said}")),
        };
        let knob = match error.kind {
            ErrorKind::OutOfMemory => Knob::Arena,
            ErrorKind::WasmStack => Knob::WasmStack,
            ErrorKind::NativeStack => Knob::SlotStack,
            ErrorKind::NoExport | ErrorKind::Signature => Knob::Export,
            _ => Knob::Module,
        };
        refuse(platform, Some(name), error.kind, knob, format_args!("{message}"));
    }
}
