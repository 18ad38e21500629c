//! What a geometry holds: starts instances until one does not fit, and calls none of them.
//!
//! A run takes seconds a rung, because it measures. The bytes do not need that: a call allocates
//! nothing. So this starts the same instances on the same arena in the same order, on one
//! thread, and gives all of them back.

use wramp_bench::{EngineKind, Guest, Lineup};
use wramp_core::config::Mode;
use wramp_core::machine::ArenaStats;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Parts, Runtime};

use wramp_arena::Arena as _;

use crate::arena::Region;

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
/// In a pool each worker has one interpreter stack, as in a run.
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
) -> Result<Placed, Error> {
    let no_region = || Error::new(ErrorKind::OutOfMemory, "this machine has no such region");
    let mut region = Region::new(arena).ok_or_else(no_region)?;
    let arena = region.arena();
    let free = || arena.stats().free;
    let all = free();
    let engine = E::start(&arena)?;
    let engine_bytes = all.saturating_sub(free());

    let mut loaded = Vec::new();
    let mut modules = Vec::new();
    for guest in guests {
        let before = free();
        modules.push(engine.load(guest.module)?);
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
    let (mut instances, mut own) = (Vec::new(), Vec::new());
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
        let started = engine.instantiate(module, guest.export, guest.parameters, stack).and_then(
            |instance| {
                let stack =
                    own_stack.then(|| engine.stack(module, &instance, stack)).transpose()?;
                Ok((instance, stack))
            },
        );
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
    drop((own, instances));
    Ok(placed)
}
