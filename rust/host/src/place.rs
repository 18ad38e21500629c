//! What a geometry holds: starts instances until one does not fit, and calls none of them.
//!
//! A run takes seconds a rung, because it measures. The bytes do not need that: a call allocates
//! nothing. So this starts the same instances on the same arena in the same order, on one
//! thread, and gives all of them back.

use std::sync::Mutex;

use wramp_arena::{Arena as _, Block};
use wramp_bench::{EngineKind, Guest, Lineup};
use wramp_core::config::Mode;
use wramp_core::host::{Desk, FunctionNumber, Host};
use wramp_core::machine::ArenaStats;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Message, Parts, Runtime};
use wramp_imports::{EMPTY, Grants, Line, Linked, NO_INSTANCE, World, call, function};

use crate::arena::Region;

/// What guests may have of their host.
#[derive(Clone, Copy)]
pub struct Leave<'h> {
    /// What they may import.
    pub grants: &'h Grants<'h>,
    /// Bytes of each instance's queue, in the arena. 0 where no guest receives.
    pub queue_bytes: u32,
}

/// What was placed.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Arena bytes that the engine itself took.
    pub engine: Bytes,
    /// Arena bytes of each module, in the order of the guests.
    pub modules: Vec<Bytes>,
    /// Arena bytes of the first instance of each guest, with its interpreter stack if it has one
    /// of its own.
    pub costs: Vec<Option<Bytes>>,
    /// What these bytes are for, where the engine can tell. What is missing to the cost is the
    /// allocator's.
    pub parts: Vec<Option<Parts>>,
    /// Arena bytes of the workers' interpreter stacks.
    pub workers: Bytes,
    /// Instances of each guest.
    pub instances: Vec<u32>,
    /// The guest of which one more did not fit, and the engine's words. `None` where every
    /// instance that was asked for is there.
    pub stopped: Option<(usize, Error)>,
    /// The arena with all of them in it.
    pub arena: ArenaStats,
}

impl Placed {
    /// All instances.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.instances.iter().sum()
    }
}

/// Starts at most `most` instances of the guests on an arena of that size, in the order of their
/// [`Lineup`]. `stacks` are the interpreter stacks of each guest's instances.
///
/// In a pool each worker has one interpreter stack, as in a run. `host` is what the guests may have
/// of a host. Without it they have none.
///
/// # Errors
/// The engine does not start, or a module does not load. `OutOfMemory` where the arena is too
/// small for that.
pub fn place<E: EngineKind>(
    arena: Bytes,
    guests: &[Guest<'_>],
    stacks: &[Bytes],
    mode: Mode,
    most: u32,
    host: Option<Leave<'_>>,
) -> Result<Placed, Error> {
    let grants = host.map(|leave| leave.grants);
    let queue_bytes = host.map_or(0, |leave| leave.queue_bytes);
    let no_region = || Error::new(ErrorKind::OutOfMemory, "this machine has no such region");
    let mut region = Region::new(arena).ok_or_else(no_region)?;
    let desk_count = if grants.is_some() { most.min(MOST_DESKS) } else { 0 };
    let deaf = Deaf { guests: (0..desk_count).map(|id| new_guest(id, grants)).collect() };
    let desks: Vec<_> = (0..desk_count).map(|id| Desk { host: &deaf, id }).collect();
    let arena = region.arena();
    let free = || arena.stats().free;
    let all = free();
    let engine = E::start(&arena)?;
    let engine_bytes = all.saturating_sub(free());

    let mut loaded = Vec::new();
    let mut modules = Vec::new();
    for guest in guests {
        let before = free();
        modules.push(match grants {
            Some(grants) => {
                engine.load_linked(guest.module, &Linked::new(guest.module.bytes(), grants))?
            }
            None => engine.load(guest.module)?,
        });
        loaded.push(before.saturating_sub(free()));
    }
    let mut placed = Placed {
        engine: engine_bytes,
        modules: loaded,
        costs: vec![None; guests.len()],
        parts: vec![None; guests.len()],
        workers: Bytes(0),
        instances: vec![0; guests.len()],
        stopped: None,
        arena: arena.stats(),
    };
    let lineup = Lineup::new(guests);
    let own_stack = mode.workers().is_none();
    let (mut instances, mut own, mut queues) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..most.min(lineup.end().unwrap_or(most)) {
        let index = lineup.guest(id);
        let (guest, module) = (&guests[index], &modules[index]);
        let Some(&stack) = stacks.get(index) else {
            return Err(Error::new(ErrorKind::Engine, "a guest without a stack's size"));
        };
        let is_first = placed.costs[index].is_none();
        if is_first {
            engine.note(index);
        }
        let before = free();
        let (export, parameters) = (guest.export, guest.parameters);
        let instance = match (grants, desks.get(id as usize)) {
            (None, _) => engine.instantiate(module, export, parameters, stack),
            (Some(_), Some(desk)) => {
                engine.instantiate_linked(module, export, parameters, stack, None, desk)
            }
            (Some(_), None) => Err(Error::new(ErrorKind::Engine, "more instances than desks")),
        };
        let started = instance.and_then(|instance| {
            // A run gives each instance a queue once it has started, before it has a stack.
            if queue_bytes > 0 {
                let none =
                    || Error::new(ErrorKind::OutOfMemory, "the arena has no room for a queue");
                queues.push(Block::new(&arena, queue_bytes).ok_or_else(none)?);
            }
            let stack = own_stack.then(|| engine.stack(module, &instance, stack)).transpose()?;
            Ok((instance, stack))
        });
        let (instance, stack_of_its_own) = match started {
            Ok(started) => started,
            Err(error) => {
                placed.stopped = Some((index, error));
                break;
            }
        };
        if is_first {
            let cost = before.saturating_sub(free());
            let parts = engine.noted(&instance, stack_of_its_own.as_ref().map(|own| (own, stack)));
            placed.costs[index] = Some(cost);
            placed.parts[index] = parts.filter(|parts| parts.sum() <= cost);
        }
        own.extend(stack_of_its_own);
        // A run makes the workers' stacks after the first resident. The controller of a machine
        // without threads is the one worker.
        let workers = mode.workers().filter(|_| id == 0).map_or(0, |workers| workers.max(1));
        let before = free();
        for _ in 0..workers {
            match engine.stack(module, &instance, stack) {
                Ok(stack) => own.push(stack),
                Err(error) => placed.stopped = Some((index, error)),
            }
        }
        placed.workers = placed.workers.saturating_add(before.saturating_sub(free()));
        instances.push(instance);
        if placed.stopped.is_some() {
            break;
        }
        placed.instances[index] += 1;
    }
    placed.arena = arena.stats();
    drop((own, queues, instances));
    Ok(placed)
}

/// The most instances that are placed with imports.
const MOST_DESKS: u32 = 65_536;

/// A host that hears and says nothing. Only a start function calls it, because nothing else runs.
struct Deaf {
    guests: Vec<Mutex<wramp_imports::Guest>>,
}

fn new_guest(id: u32, grants: Option<&Grants<'_>>) -> Mutex<wramp_imports::Guest> {
    Mutex::new(wramp_imports::Guest::new(id, grants.map_or(0, |grants| grants.seed), 0))
}

impl Host for Deaf {
    fn call(
        &self,
        id: u32,
        number: FunctionNumber,
        memory: &mut [u8],
        values: &mut [u64],
    ) -> Result<(), Message> {
        let Some(function) = function(number) else {
            return Err(Message::new("no such function of the host"));
        };
        call(&Caller { deaf: self, id }, function, memory, values)
    }
}

/// An instance that calls.
struct Caller<'d> {
    deaf: &'d Deaf,
    id: u32,
}

impl World for Caller<'_> {
    fn now_us(&self) -> u64 {
        0
    }

    fn id(&self) -> u32 {
        self.id
    }

    fn with_guest<R>(&self, with: impl FnOnce(&mut wramp_imports::Guest) -> R) -> R {
        let guest = &self.deaf.guests[self.id as usize];
        with(&mut guest.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn say(&self, _dropped: u32, _line: &Line) {}

    fn send(&self, _to: u32, _message: &[u8]) -> i32 {
        NO_INSTANCE
    }

    fn receive(&self, _to: &mut [u8]) -> i32 {
        EMPTY
    }
}
