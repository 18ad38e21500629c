//! Composes a run on this machine from arena, stacks, engine and controller.

use std::convert::Infallible;
use std::fmt::Display;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::mpsc;

use wramp_bench::{
    EngineKind, Expected, Guest, Hosting, Memory, Seat, Summary, office_words, sample_words,
    table_words,
};
use wramp_core::config::{Config, Knob, Mode};
use wramp_core::measure::Bytes;
use wramp_core::state::Vault;
use wramp_imports::Grants;

use crate::arena::Region;
use crate::machine::{Machine, Sink, Voice};
use crate::slots::HostSlots;

/// The most residents of a pool.
pub const MAX_RESIDENTS: usize = 2048;

/// Why the machine could not be set up.
#[derive(Debug)]
pub enum SetupError {
    /// The arena could not be reserved.
    Arena,
    /// The slots' stacks could not be mapped.
    Slots(std::io::Error),
}

impl Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let option = |knob: Knob| knob.option().unwrap_or("-");
        match self {
            Self::Arena => {
                write!(f, "this machine has no region of that size: lower {}", option(Knob::Arena))
            }
            Self::Slots(error) => {
                let knob = option(Knob::Slots);
                write!(f, "the stacks could not be mapped: lower {knob}: {error}")
            }
        }
    }
}

impl std::error::Error for SetupError {}

/// What a run needs.
pub struct Setup<'a> {
    /// The knobs.
    pub config: Config,
    /// Where records go.
    pub sink: Sink<'a>,
    /// Set by the handler of Ctrl-C.
    pub interrupted: &'a AtomicBool,
    /// Called if a guest does not return from a call, with the exit status. Everything has been
    /// recorded by then. It must end the process, because it cannot end a thread of the
    /// process.
    pub gave_up: &'a dyn Fn(u32) -> Infallible,
}

/// Starts of a ramp in the sample for percentiles.
const MAX_SAMPLE: usize = 1024;

/// Seats of each slot.
fn seats_a_slot(config: &Config) -> usize {
    match config.mode {
        Mode::Park(_) => wramp_bench::SEATS_A_WORKER,
        _ => 2,
    }
}

/// What the guests of a run get from their host.
pub struct HostOptions<'a> {
    /// What their modules may import.
    pub grants: Grants<'a>,
    /// Bytes of each instance's queue of messages.
    pub queue_bytes: u32,
    /// What every call has to give, if that is known.
    pub expected: Option<Expected>,
    /// Where their lines go.
    pub voice: Voice<'a>,
}

enum News {
    Done(Summary),
    GaveUp(u32),
}

/// Starts an engine of kind `E` and runs every ramp of the scenario, from the `run` record to
/// the `done` record.
///
/// # Errors
/// See [`SetupError`].
pub fn run<E: EngineKind>(setup: Setup<'_>, guests: &[Guest<'_>]) -> Result<Summary, SetupError> {
    run_hosted::<E>(setup, guests, None)
}

/// Does the same with guests that have a host, if `host` says what it gives them.
///
/// # Errors
/// See [`SetupError`].
pub fn run_hosted<E: EngineKind>(
    setup: Setup<'_>,
    guests: &[Guest<'_>],
    host: Option<HostOptions<'_>>,
) -> Result<Summary, SetupError> {
    run_kept::<E>(setup, guests, host, None)
}

/// Does the same. What a park has parked survives in `vault`, if there is one.
///
/// # Errors
/// See [`SetupError`].
pub fn run_kept<E: EngineKind>(
    setup: Setup<'_>,
    guests: &[Guest<'_>],
    host: Option<HostOptions<'_>>,
    vault: Option<&dyn Vault>,
) -> Result<Summary, SetupError> {
    let config = setup.config;
    let mut region = Region::new(config.arena).ok_or(SetupError::Arena)?;
    let arena = region.arena();
    let mut slots = HostSlots::new(config.slots, config.slot_stack).map_err(SetupError::Slots)?;
    let (tell, news) = mpsc::channel();
    let gave_up = {
        let tell = tell.clone();
        move |status| {
            // Only a process that is about to end no longer listens.
            let _ = tell.send(News::GaveUp(status));
        }
    };
    let machine = Machine::new(&arena, setup.sink, setup.interrupted, Box::new(gave_up));
    let machine = machine.with_vault(vault);
    let (grants, machine) = match host {
        Some(HostOptions { grants, queue_bytes, expected, voice }) => {
            (Some((grants, Bytes(queue_bytes), expected)), machine.with_voice(voice))
        }
        None => (None, machine),
    };
    let most = match config.mode.workers() {
        Some(_) => MAX_RESIDENTS,
        None => slots.len(),
    };
    let mut rooms = match grants {
        Some(_) => vec![MaybeUninit::uninit(); office_words::<Machine<'static>>(most)],
        None => Vec::new(),
    };
    let engine = E::start(&arena);
    let seats: Vec<Seat<_>> =
        (0..seats_a_slot(&config) * slots.len().max(1)).map(|_| Seat::new()).collect();
    let mut table = match config.mode.workers() {
        Some(_) => vec![MaybeUninit::uninit(); table_words::<E::Engine<'static>>(MAX_RESIDENTS)],
        None => Vec::new(),
    };
    let starts: Vec<_> = (0..sample_words(MAX_SAMPLE)).map(|_| AtomicU32::new(0)).collect();
    let mut controller = || {
        let memory = Memory { seats: &seats, table: &mut table, starts: &starts };
        let engine = engine.as_ref().map_err(|error| *error);
        let hosting = grants.map(|(grants, queue_bytes, expected)| Hosting {
            grants,
            queue_bytes,
            expected,
            rooms: &mut rooms,
        });
        wramp_bench::run_hosted(&machine, &mut slots, engine, &config, guests, memory, hosting)
    };
    // The controller has its own thread, so this thread can end the process when another one
    // never returns.
    Ok(std::thread::scope(|scope| {
        let controller = scope.spawn(move || {
            let summary = controller();
            let _ = tell.send(News::Done(summary));
        });
        match news.recv() {
            Ok(News::Done(summary)) => summary,
            Ok(News::GaveUp(status)) => match (setup.gave_up)(status) {},
            Err(_) => match controller.join() {
                Ok(()) => Summary::default(),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }))
}
