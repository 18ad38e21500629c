//! A whole run: every ramp of the scenario, one after another, and the result.

use core::fmt::Write as _;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;

use wramp_arena::Places;
use wramp_core::config::{Config, Knob, Mode, Pin, Scenario};
use wramp_core::machine::{Lock as _, Machine};
use wramp_core::measure::{Bytes, Ticks};
use wramp_core::ramp::Limit;
use wramp_core::report::{
    Done, End, FORMAT_VERSION, Fault, Fit, Load, OnHost, Overdraft, Record, Run, Text, Word,
};
use wramp_core::runtime::{Error, ErrorKind, Runtime};
use wramp_core::slots::Slots;
use wramp_imports::Linked;

use crate::agenda::Agenda;
use crate::fit::Trial;
use crate::guest::{Check, Guest, Keeps};
use crate::lead::{Climbed, MAX_MODULES, Scale, Scene};
use crate::lineup::Lineup;
use crate::office::{Hall, Hosting, Office};
use crate::pool::{Place, Pool, Queue};
use crate::seat::Seat;
use crate::starts::{Begun, Starts};
use crate::threads::{Left, Modules, ThreadRamp};

/// The result of a run. `exit` is the status of the process or of the firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Ramps that ended.
    pub workloads: u32,
    /// Failed or wrong calls over all of them.
    pub errors: u64,
    /// Whether a ramp ever left the arena different from before.
    pub leaked: bool,
    /// Ramps or runs that could not begin.
    pub faults: u32,
}

impl Summary {
    /// The exit status: 0 right; 1 wrong results, failed calls or leaked bytes; 2 wrong input
    /// or geometry.
    #[must_use]
    pub fn exit(&self) -> u32 {
        match self {
            Self { faults: 1.., .. } => 2,
            Self { leaked: true, .. } | Self { errors: 1.., .. } => 1,
            _ => 0,
        }
    }
}

/// Memory that a machine lends the bench for a run, beside the arena and the stacks.
pub struct Memory<'m, T> {
    /// What threads and the controller tell each other. There is one seat per slot, or two per
    /// worker of a pool. A controller that is the worker has two.
    pub seats: &'m [Seat<T>],
    /// The table of a pool's residents. See [`table_words`](crate::table_words).
    pub table: &'m mut [MaybeUninit<u64>],
    /// Times of starts, for percentiles. See [`sample_words`](crate::sample_words).
    pub starts: &'m [AtomicU32],
}

/// Words of a message, formatted without allocating. A longer text is cut.
type Line = heapless::String<192>;

fn line(arguments: core::fmt::Arguments<'_>) -> Line {
    let mut line = Line::new();
    // A message cut short is still a message.
    let _ = line.write_fmt(arguments);
    line
}

/// An error in formatted words.
#[cold]
pub(crate) fn error(kind: ErrorKind, text: core::fmt::Arguments<'_>) -> Error {
    Error::new(kind, &line(text))
}

/// A short word of a record.
fn word(arguments: core::fmt::Arguments<'_>) -> heapless::String<40> {
    let mut word = heapless::String::new();
    let _ = word.write_fmt(arguments);
    word
}

const fn on(switch: bool) -> &'static str {
    if switch { "on" } else { "off" }
}

/// Says that a run cannot begin or continue, and which knob to turn.
pub(crate) fn fault<M: Machine>(
    machine: &M,
    workload: Option<&str>,
    kind: ErrorKind,
    knob: Option<Knob>,
    message: core::fmt::Arguments<'_>,
) {
    machine.emit(&Record::from(Fault {
        workload: workload.map(Word),
        error: Word(kind.as_str()),
        knob: knob.and_then(|knob| machine.knob(knob)).map(Word),
        message: Text::new(&line(message)),
    }));
}

/// Emits the `run` record. It is not inlined, because its frame must not stay on the stack for
/// the whole run.
#[inline(never)]
pub(crate) fn describe<M: Machine, R: Runtime>(
    machine: &M,
    config: &Config,
    slot_stack_real: Bytes,
    residents: usize,
    clock_runs: bool,
) {
    let (here, engine) = (machine.facts(), R::facts());
    let pin = match config.pin {
        Pin::Free => word(format_args!("free")),
        Pin::Core(core) => word(format_args!("core{core}")),
    };
    let budget = match config.budget {
        _ if !engine.meters => word(format_args!("unsupported")),
        None => word(format_args!("off")),
        Some(instructions) => word(format_args!("{instructions}")),
    };
    let arena_at = here.arena_at.map(|(from, to)| word(format_args!("{from:#x}-{to:#x}")));
    let workers = config.mode.workers();
    machine.emit(&Record::from(Run {
        format: FORMAT_VERSION,
        wramp: Word(env!("CARGO_PKG_VERSION")),
        board: Word(here.board),
        os: Word(here.os),
        pointer_bits: usize::BITS,
        clock_hz: clock_runs.then_some(here.clock_hz),
        cores: u32::from(here.cores),
        runtime: Word(engine.name),
        runtime_version: Word(engine.version),
        interpreter: Word(engine.interpreter),
        interpreter_opt: engine.interpreter_opt.map(Word),
        block_cache: engine.block_cache,
        aot: engine.aot.map(on).map(Word),
        module_copy: Some(Word(on(engine.copies_modules))),
        engine_fixes: Some(Word(engine.fixes)),
        // Whoever composes the run asks for it, and puts it in.
        second_opinion: None,
        load_permille: OnHost::default(),
        starved_permille: OnHost::default(),
        artefact: Some(Word(engine.artefact.as_str())),
        shares_stack: Some(Word(on(engine.shares_stack))),
        rustc: Word(here.rustc),
        cc: here.cc.map(Word),
        scenario: Word(config.scenario.as_str()),
        mode: Word(config.mode.as_str()),
        workers,
        residents: workers.and_then(|_| u32::try_from(residents).ok()),
        arena_bytes: config.arena,
        arena_unit_bytes: Some(here.block_unit),
        arena_header_bytes: Some(here.block_header),
        arena_at: arena_at.as_deref().map(Word),
        heap_at: here.libc_heap.map(Word),
        slots: config.slots,
        slot_stack_bytes: config.slot_stack,
        slot_stack_real_bytes: Some(slot_stack_real),
        slot_stack_least_bytes: Some(here.least_slot_stack),
        stack_guard_bytes: Some(engine.stack_guard),
        wasm_stack_bytes: config.wasm_stack,
        fit: Some(Word(on(config.fit_wasm_stack))),
        step: config.step,
        settle_ms: config.settle_ms,
        dwell_ms: config.dwell_ms,
        pause_ms: config.pause_ms,
        pin: Word(&pin),
        slice_ms: here.slice_ms,
        budget: Word(&budget),
        stuck_ms: config.stuck_ms,
        slo_us: config.slo,
    }));
}

/// Runs the scenario, from the `run` record to the `done` record. `engine` is the result of
/// starting it. If it failed, the run says why and ends.
pub fn run<M: Machine, S: Slots, R: Runtime>(
    machine: &M,
    slots: &mut S,
    engine: Result<&R, Error>,
    config: &Config,
    guests: &[Guest<'_>],
    memory: Memory<'_, M::Tally>,
) -> Summary {
    run_hosted(machine, slots, engine, config, guests, memory, None)
}

/// Does the same with guests that have a host: their modules may import what it grants them.
pub fn run_hosted<M: Machine, S: Slots, R: Runtime>(
    machine: &M,
    slots: &mut S,
    engine: Result<&R, Error>,
    config: &Config,
    guests: &[Guest<'_>],
    memory: Memory<'_, M::Tally>,
    hosting: Option<Hosting<'_>>,
) -> Summary {
    let residents = capacity::<R>(memory.table);
    let clock_runs = machine.clock_runs();
    describe::<M, R>(machine, config, slots.real_size(), residents, clock_runs);
    let mut summary = Summary::default();
    match engine {
        Err(error) => {
            explain_engine(machine, config, &error);
            summary.faults = 1;
        }
        Ok(_) if !may_begin::<M, R>(machine, slots.count(), config, guests, residents) => {
            summary.faults = 1;
        }
        // Nobody would answer a parked guest's call, or wake it.
        Ok(_) if M::PARKS && hosting.is_some() && matches!(config.mode, Mode::Park(_)) => {
            let message =
                format_args!("a parked instance has no host, and this guest needs one: pool");
            fault(machine, None, ErrorKind::NotParkable, Some(Knob::Mode), message);
            summary.faults = 1;
        }
        // Only the clock tells the controller when to stop calling.
        Ok(_) if M::POOLS && !clock_runs && config.mode.workers() == Some(0) => {
            let message = format_args!("the clock stands still, so no dwell would end");
            fault(machine, None, ErrorKind::Engine, Some(Knob::Mode), message);
            summary.faults = 1;
        }
        // The controller itself would be in a call that never returns.
        Ok(_) if M::POOLS && config.mode.workers() == Some(0) && may_hang(config, guests) => {
            let message = format_args!(
                "without a thread, nothing but a budget ends a call of your module that does not \
                 return"
            );
            fault(machine, None, ErrorKind::Engine, Some(Knob::Budget), message);
            summary.faults = 1;
        }
        Ok(runtime) => {
            let began = machine.now();
            let mut bench =
                Bench { machine, slots, runtime, memory, hosting, began, clock_runs, summary };
            bench.scenario(config, guests);
            summary = bench.summary;
        }
    }
    finish(machine, &summary);
    summary
}

/// Whether a call may go on for ever: wramp's own guests return, others need a budget.
fn may_hang(config: &Config, guests: &[Guest<'_>]) -> bool {
    let own = |guest: &Guest<'_>| matches!(guest.check, Check::Agreement(_));
    config.budget.is_none() && guests.iter().any(own)
}

/// The most residents that fit in the table's memory.
fn capacity<'m, R: Runtime + 'm>(table: &mut [MaybeUninit<u64>]) -> usize {
    Places::<Place<R::Instance<'m>>>::over(table).capacity()
}

/// Emits the `done` record.
pub(crate) fn finish<M: Machine>(machine: &M, summary: &Summary) {
    machine.emit(&Record::from(Done {
        workloads: summary.workloads,
        errors: summary.errors,
        faults: Some(summary.faults),
        exit: summary.exit(),
    }));
}

/// Says why there is no engine.
pub(crate) fn explain_engine<M: Machine>(machine: &M, config: &Config, error: &Error) {
    let knob = match error.kind {
        ErrorKind::OutOfMemory => Some(Knob::Arena),
        _ => None,
    };
    let arena = config.arena;
    match error.kind {
        ErrorKind::OutOfMemory => {
            let message =
                format_args!("arena too small for the engine itself: {arena} bytes: {error}");
            fault(machine, None, error.kind, knob, message);
        }
        _ => fault(machine, None, error.kind, knob, format_args!("the engine: {error}")),
    }
}

/// Refuses what no machine, this machine or this engine can run.
fn may_begin<M: Machine, R: Runtime>(
    machine: &M,
    slots: usize,
    config: &Config,
    guests: &[Guest<'_>],
    residents: usize,
) -> bool {
    let no = |knob, message: core::fmt::Arguments<'_>| {
        fault(machine, None, ErrorKind::Engine, Some(knob), message);
        false
    };
    if let Err((knob, least)) = config.check() {
        let name = machine.knob(knob).unwrap_or("a knob");
        return no(knob, format_args!("{name} is below {least}"));
    }
    if guests.is_empty() {
        return no(Knob::Workload, format_args!("no workload is chosen"));
    }
    let here = machine.facts();
    let workers = config.mode.workers();
    if slots == 0 && workers != Some(0) {
        return no(Knob::Slots, format_args!("no slot was reserved"));
    }
    let (stack, least) = (config.slot_stack, here.least_slot_stack);
    if stack < least && workers != Some(0) {
        let message = format_args!("a slot's stack of {stack} bytes is below {least}");
        return no(Knob::SlotStack, message);
    }
    if let Pin::Core(core) = config.pin
        && core >= here.cores
    {
        let last = here.cores.saturating_sub(1);
        return no(Knob::Pin, format_args!("there is no core {core}, cores are 0 to {last}"));
    }
    let engine = R::facts();
    if config.budget.is_some() && !engine.meters {
        let (name, version) = (engine.name, engine.version);
        return no(Knob::Budget, format_args!("this build of {name} {version} does not meter"));
    }
    if M::MIXES && !engine.meters && guests.iter().any(|guest| guest.budget.is_some()) {
        let (name, version) = (engine.name, engine.version);
        return no(
            Knob::Module,
            format_args!("a module's budget: {name} {version} as built does not meter"),
        );
    }
    let Some(workers) = workers else { return true };
    if residents == 0 {
        return no(Knob::Mode, format_args!("this build has no places for residents"));
    }
    if !engine.shares_stack {
        let (name, version) = (engine.name, engine.version);
        let message = format_args!("{name} {version} shares no stack among instances");
        return no(Knob::Mode, message);
    }
    if matches!(config.mode, Mode::Park(_)) && !(M::PARKS && R::PARKS) {
        let (name, version) = (engine.name, engine.version);
        return no(Knob::Mode, format_args!("this build of {name} {version} parks nothing"));
    }
    if workers as usize > slots {
        let message = format_args!("{workers} workers need as many slots, there are {slots}");
        return no(Knob::Workers, message);
    }
    if matches!(config.scenario, Scenario::Mixed | Scenario::Private | Scenario::Mix) {
        let scenario = config.scenario.as_str();
        return no(Knob::Mode, format_args!("a pool shares one module, {scenario} has more"));
    }
    true
}

/// Ends the program after a ramp in which a thread does not return and cannot be ended.
///
/// Nothing frees what that thread uses, so nobody can measure what the arena would get back.
pub(crate) fn give_up<M: Machine>(scene: &Scene<'_, M>, climbed: &Climbed) -> ! {
    let mut summary = scene.so_far;
    let none = Overdraft::default();
    end(scene.machine, scene.config, scene.meters, scene.name, climbed, None, none);
    summary.workloads += 1;
    summary.errors += climbed.errors;
    explain_stuck(scene.machine, scene.config, scene.meters, scene.name, climbed);
    summary.faults += 1;
    finish(scene.machine, &summary);
    scene.machine.give_up(summary.exit())
}

/// Says which instance is stuck, and what to do about it.
fn explain_stuck<M: Machine>(
    machine: &M,
    config: &Config,
    meters: bool,
    name: &str,
    climbed: &Climbed,
) {
    let id = climbed.stuck.unwrap_or_default();
    let knob = if meters { Knob::Budget } else { Knob::Stuck };
    let stuck = ErrorKind::Stuck;
    // Without a limit a wait ends only after an interrupt, so there is no time to name.
    let Some(most) = config.stuck_ms.filter(|_| !machine.interrupted()) else {
        let message =
            format_args!("a call of instance {id} had not returned when the run was asked to end");
        return fault(machine, Some(name), stuck, Some(knob), message);
    };
    if meters {
        let message = format_args!(
            "a call of instance {id} has not returned for more than {most} ms: lower the budget"
        );
        return fault(machine, Some(name), stuck, Some(knob), message);
    }
    let message = format_args!(
        "a call of instance {id} has not returned for more than {most} ms: raise the knob if it \
         is only slow; an engine that meters ends it if it is endless"
    );
    fault(machine, Some(name), stuck, Some(knob), message);
}

/// Emits the `end` record. `given_back` holds the bytes free after the ramp and the bytes that
/// did not come back.
fn end<M: Machine>(
    machine: &M,
    config: &Config,
    meters: bool,
    name: &str,
    climbed: &Climbed,
    given_back: Option<(Bytes, i64)>,
    overdraft: Overdraft,
) {
    let failure = climbed.failure.as_ref();
    machine.emit(&Record::from(End {
        workload: Word(name),
        peak: climbed.outcome.peak,
        limit: climbed.outcome.limit,
        predicted_peak: climbed.predicted.map(|outcome| outcome.peak),
        predicted_limit: climbed.predicted.map(|outcome| outcome.limit),
        cost_bytes: climbed.cost,
        arena_free_bytes: given_back.map(|(free, _)| free),
        leaked_bytes: given_back.map(|(_, leaked)| leaked),
        overdraft_bytes: overdraft,
        calls: climbed.calls,
        errors: climbed.errors,
        over_budget: (meters && config.budget.is_some()).then_some(climbed.over_budget),
        stack_used_bytes: climbed.stack_used,
        fairness: climbed.fairness,
        error: failure.map(|error| Word(error.kind.as_str())),
        message: failure.map(|error| Text::new(error.message.as_str())),
    }));
}

struct Bench<'b, M: Machine, S, R> {
    machine: &'b M,
    slots: &'b mut S,
    runtime: &'b R,
    memory: Memory<'b, M::Tally>,
    hosting: Option<Hosting<'b>>,
    began: Ticks,
    clock_runs: bool,
    summary: Summary,
}

impl<M: Machine, S: Slots, R: Runtime> Bench<'_, M, S, R> {
    fn scenario(&mut self, config: &Config, guests: &[Guest<'_>]) {
        match config.scenario {
            Scenario::All | Scenario::Private => {
                for guest in guests {
                    if !self.ramp(config, guest.name, core::slice::from_ref(guest)) {
                        return;
                    }
                }
            }
            Scenario::Mixed => {
                let step = config.step.saturating_mul(u32::try_from(guests.len()).unwrap_or(1));
                self.ramp(&Config { step, ..*config }, "mixed", guests);
            }
            Scenario::Mix if M::MIXES => {
                self.ramp(config, "mix", guests);
            }
            // A build that never mixes has no such scenario.
            Scenario::Mix => {}
            Scenario::Pinned => {
                for guest in guests {
                    if !self.pinned(config, guest) {
                        return;
                    }
                }
            }
        }
    }

    /// See [`ramp`](Self::ramp).
    fn pinned(&mut self, config: &Config, guest: &Guest<'_>) -> bool {
        let cores = self.machine.facts().cores;
        [Pin::Core(0), Pin::Core(1), Pin::Free].into_iter().all(|pin| {
            let name = match pin {
                Pin::Core(core) => line(format_args!("{}@core{core}", guest.name)),
                Pin::Free => line(format_args!("{}@free", guest.name)),
            };
            match pin {
                Pin::Core(core) if core >= cores => {
                    let message = format_args!("this machine has {cores} core");
                    let knob = Some(Knob::Scenario);
                    fault(self.machine, Some(&name), ErrorKind::Engine, knob, message);
                    self.summary.faults += 1;
                    true
                }
                _ => self.ramp(&Config { pin, ..*config }, &name, core::slice::from_ref(guest)),
            }
        })
    }

    /// Makes one ramp, from load to leak check. False if the run must not continue, because
    /// something is stuck or someone asked it to end.
    fn ramp(&mut self, config: &Config, name: &str, guests: &[Guest<'_>]) -> bool {
        let machine = self.machine;
        if machine.interrupted() {
            return false;
        }
        for guest in guests {
            if let Check::Agreement(agreement) = guest.check {
                agreement.clear();
            }
        }
        machine.arena_reset_low_water();
        let before = machine.arena().free;
        let starts = Starts::new(self.memory.starts);
        // `HOSTS` is a constant, so a build without imports carries none of this code.
        let climbed = if M::HOSTS
            && let Some(mut hosting) = self.hosting.take()
        {
            let climbed = self.host_and_climb(config, name, guests, &mut hosting, &starts);
            self.hosting = Some(hosting);
            climbed
        } else {
            self.load_and_climb(config, name, guests, &starts, None)
        };
        let after = machine.arena().free;
        let leaked = i64::from(before.0) - i64::from(after.0);
        self.summary.leaked |= leaked != 0;
        let climbed = match climbed {
            Ok(climbed) => climbed,
            Err(error) => {
                self.explain(config, name, &error);
                return true;
            }
        };
        self.summary.workloads += 1;
        self.summary.errors += climbed.errors;
        if M::STARTS && self.clock_runs {
            starts.report(machine, name);
        }
        let meters = R::facts().meters;
        let overdraft = Overdraft::new(self.runtime.take_overdraft());
        end(machine, config, meters, name, &climbed, Some((after, leaked)), overdraft);
        if climbed.stuck.is_some() {
            explain_stuck(machine, config, meters, name, &climbed);
            self.summary.faults += 1;
            return false;
        }
        match (climbed.outcome.peak, climbed.outcome.limit, &climbed.failure) {
            (0, Limit::Arena | Limit::Error, Some(error)) => self.explain(config, name, error),
            (_, Limit::Error, Some(_)) => self.summary.errors += 1,
            _ => {}
        }
        true
    }

    /// Makes a ramp of guests that have a host.
    #[inline(never)]
    fn host_and_climb(
        &mut self,
        config: &Config,
        name: &str,
        guests: &[Guest<'_>],
        hosting: &mut Hosting<'_>,
        starts: &Starts<'_, M>,
    ) -> Result<Climbed, Error> {
        let grants = hosting.grants;
        let (office, memory) = Office::new(self.machine, self.began, hosting);
        let (desks, agenda) = office.desks(memory);
        let hall = Hall { rooms: &office, desks: &desks, grants: &grants };
        let climbed = self.load_and_climb(config, name, guests, starts, Some((hall, agenda)));
        office.report(name);
        climbed
    }

    // Neither this nor anything below it with much on its stack is inlined. Load, trial call
    // and climb run one after the other, so they use the same part of the stack.
    #[inline(never)]
    fn load_and_climb(
        &mut self,
        config: &Config,
        name: &str,
        guests: &[Guest<'_>],
        starts: &Starts<'_, M>,
        host: Option<(Hall<'_>, Agenda<'_>)>,
    ) -> Result<Climbed, Error> {
        let (hall, agenda) = if M::HOSTS { host.unzip() } else { (None, None) };
        let runtime = self.runtime;
        let mut modules: [Option<R::Module<'_>>; MAX_MODULES] = [const { None }; MAX_MODULES];
        if guests.len() > MAX_MODULES {
            return Err(Error::new(ErrorKind::Engine, "more modules than a ramp takes"));
        }
        let mut scene = Scene {
            machine: self.machine,
            config,
            name,
            began: self.began,
            clock_runs: self.clock_runs,
            clock_hz: self.machine.facts().clock_hz,
            stacks: [config.wasm_stack; MAX_MODULES],
            meters: R::facts().meters,
            so_far: self.summary,
            starts,
        };
        let private = config.scenario == Scenario::Private;
        if !private {
            for (place, guest) in modules.iter_mut().zip(guests) {
                *place = Some(load(&scene, runtime, guest, hall)?);
            }
        }
        if config.fit_wasm_stack {
            for (place, guest) in guests.iter().enumerate() {
                match self.fit(&scene, modules[place].as_ref(), guest, hall) {
                    Ok(stack) => scene.stacks[place] = stack,
                    Err(Error { kind: ErrorKind::Stuck, .. }) => {
                        return Ok(Climbed::stuck_in_trial());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        // A constant too, see below.
        if M::PARKS
            && R::PARKS
            && let (Mode::Park(knobs), [guest], Some(module)) = (config.mode, guests, &modules[0])
        {
            if !self.start_returns(&scene, module, guest, hall) {
                return Ok(Climbed::stuck_in_trial());
            }
            return self.climb_park(scene, guest, module, knobs);
        }
        // `POOLS` is a constant, so a build without residents carries none of this code.
        if M::POOLS
            && let (Some(workers), [guest], Some(module)) =
                (config.mode.workers(), guests, &modules[0])
        {
            if workers > 0 && !self.start_returns(&scene, module, guest, hall) {
                return Ok(Climbed::stuck_in_trial());
            }
            return self.climb_pool(scene, guest, module, workers as usize, hall.zip(agenda));
        }
        let modules =
            if private { Modules::Private } else { Modules::Shared(&modules[..guests.len()]) };
        let (scale, left) = (Scale::of_calls(), M::Lock::new(Left::default()));
        let seats = self.memory.seats;
        let ramp = ThreadRamp {
            scene,
            runtime,
            guests,
            lineup: if M::MIXES { Lineup::new(guests) } else { Lineup::default() },
            modules,
            seats,
            scale,
            left,
            hall,
        };
        Ok(ramp.climb(self.slots))
    }

    /// Whether an instance's start function returns.
    ///
    /// The controller starts the residents and the live instances, and nobody watches the
    /// controller. So this tries a start on a thread that can be given up. Fitting a stack has
    /// shown it already.
    fn start_returns<'r>(
        &mut self,
        scene: &Scene<'_, M>,
        module: &R::Module<'r>,
        guest: &Guest<'_>,
        hall: Option<Hall<'_>>,
    ) -> bool
    where
        Self: 'r,
    {
        let Some(seat) = self.memory.seats.first().filter(|_| !scene.config.fit_wasm_stack) else {
            return true;
        };
        let trial = Trial::new(scene, self.runtime, Some(module), guest, seat, hall).of_start();
        let tried = in_quiet::<M, _>(hall, || trial.search(self.slots));
        // Any other failure is the first instance's too, which reports it.
        !matches!(tried, Err(Error { kind: ErrorKind::Stuck, .. }))
    }

    #[inline(never)]
    fn climb_park(
        &mut self,
        scene: Scene<'_, M>,
        guest: &Guest<'_>,
        module: &R::Module<'_>,
        knobs: wramp_core::config::Park,
    ) -> Result<Climbed, Error> {
        let lent = (self.memory.seats, &mut *self.memory.table);
        crate::park::climb(scene, self.runtime, guest, module, lent, knobs, self.slots)
    }

    #[inline(never)]
    fn climb_pool(
        &mut self,
        scene: Scene<'_, M>,
        guest: &Guest<'_>,
        module: &R::Module<'_>,
        workers: usize,
        host: Option<(Hall<'_>, Agenda<'_>)>,
    ) -> Result<Climbed, Error> {
        let mut queue = Queue::new(Places::over(self.memory.table), Keeps::of(guest));
        let (hall, agenda) = host.filter(|_| M::HOSTS).unzip();
        queue.agenda = agenda;
        let seats = self.memory.seats;
        let pool = Pool::new(scene, self.runtime, guest, module, seats, workers, queue);
        let missing = || Error::new(ErrorKind::Engine, "a pool takes two seats a worker");
        let pool = pool.ok_or_else(missing)?;
        Ok(match hall {
            Some(hall) => pool.hosted(hall).climb(self.slots),
            None => pool.climb(self.slots),
        })
    }

    /// Finds the interpreter stack that the guest needs. If each instance has its own module,
    /// this loads one for the search.
    #[inline(never)]
    fn fit<'r>(
        &mut self,
        scene: &Scene<'_, M>,
        module: Option<&R::Module<'r>>,
        guest: &Guest<'_>,
        hall: Option<Hall<'_>>,
    ) -> Result<Bytes, Error>
    where
        Self: 'r,
    {
        let missing = Error::new(ErrorKind::Engine, "a trial call takes a seat");
        let seat = self.memory.seats.first().ok_or(missing)?;
        let trial = Trial::new(scene, self.runtime, module, guest, seat, hall);
        let fitted = in_quiet::<M, _>(hall, || trial.search(self.slots))?;
        self.machine.emit(&Record::from(Fit {
            workload: Word(guest.name),
            needed_bytes: fitted.needed,
            wasm_stack_bytes: fitted.stack,
        }));
        Ok(fitted.stack)
    }

    /// Explains a ramp in which nothing ran, and names the knob to turn.
    fn explain(&mut self, config: &Config, name: &str, error: &Error) {
        self.summary.faults += 1;
        let machine = self.machine;
        let said = error.message;
        let arena = config.arena;
        let message = match error.kind {
            ErrorKind::OutOfMemory => {
                let free = machine.arena().free;
                line(format_args!("arena too small for {name}: {arena} bytes, {free} free: {said}"))
            }
            ErrorKind::WasmStack => {
                line(format_args!("wasm stack too small: {} bytes: {said}", config.wasm_stack))
            }
            ErrorKind::NativeStack => {
                line(format_args!("slot stack too small: {} bytes: {said}", config.slot_stack))
            }
            _ => line(format_args!("{said}")),
        };
        let knob = match error.kind {
            ErrorKind::OutOfMemory => Knob::Arena,
            ErrorKind::WasmStack => Knob::WasmStack,
            ErrorKind::NativeStack => Knob::SlotStack,
            ErrorKind::NoExport | ErrorKind::Signature => Knob::Export,
            ErrorKind::ParkBudget => Knob::ParkBudget,
            ErrorKind::ParkedState => Knob::Store,
            // Without metering this arm is not compiled.
            ErrorKind::Budget if R::facts().meters => Knob::Budget,
            _ => Knob::Module,
        };
        fault(machine, Some(name), error.kind, Some(knob), format_args!("{message}"));
    }
}

/// Loads a guest's module, with what its host grants it.
pub(crate) fn load_module<'r, M: Machine, R: Runtime>(
    runtime: &'r R,
    guest: &Guest<'_>,
    hall: Option<Hall<'_>>,
) -> Result<R::Module<'r>, Error> {
    match hall.filter(|_| M::HOSTS) {
        Some(Hall { grants, .. }) => {
            runtime.load_linked(guest.module, &Linked::new(guest.module.bytes(), grants))
        }
        None => runtime.load(guest.module),
    }
}

/// Makes a trial, whose guest may call the host. Nobody hears it, and it leaves nothing behind.
fn in_quiet<M: Machine, T>(hall: Option<Hall<'_>>, trial: impl FnOnce() -> T) -> T {
    let hall = hall.filter(|_| M::HOSTS);
    if let Some(hall) = hall {
        hall.rooms.be_quiet(true);
    }
    let done = trial();
    if let Some(hall) = hall {
        hall.rooms.vacate(0);
        hall.rooms.be_quiet(false);
    }
    done
}

#[inline(never)]
fn load<'r, M: Machine, R: Runtime>(
    scene: &Scene<'_, M>,
    runtime: &'r R,
    guest: &Guest<'_>,
    hall: Option<Hall<'_>>,
) -> Result<R::Module<'r>, Error> {
    let machine = scene.machine;
    let before = machine.arena().free;
    let begun = Begun::now(machine);
    let module = load_module::<M, R>(runtime, guest, hall)?;
    let took = begun.took(machine);
    let after = machine.arena().free;
    scene.emit(Load {
        workload: Word(guest.name),
        module_bytes: Bytes(u32::try_from(guest.module.bytes().len()).unwrap_or(u32::MAX)),
        arena_bytes: before.saturating_sub(after),
        arena_free_bytes: after,
        load_us: scene.nanos(took),
    });
    Ok(module)
}
