//! One module: validated, loaded between two neighbours, called, and compared.

use wramp_arena::Arena as _;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ModuleBytes, Parameters, Runtime as _};
use wramp_host::arena::Region;
use wramp_opinion::{Outcome, Verdict, ask};
use wramp_wamr::Engine;

/// What is counted of each module, and how the table calls it.
pub(crate) const COUNTS: [&str; 6] =
    ["modules", "valid", "invalid in", "started", "compared", "trapped"];

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Two engines computed different results.
    Difference,
    /// A neighbour's memory changed.
    Neighbour,
    /// The arena did not get back what the module took.
    Leak,
    /// The arena's blocks are damaged.
    Corrupt,
    /// The other engine, the validator or wramp itself panicked.
    Panic,
}

/// What a module did.
pub(crate) struct Seen {
    pub(crate) counts: [u64; COUNTS.len()],
    pub(crate) found: Option<Found>,
    /// What was found, in words.
    pub(crate) note: String,
}

const ARENA: Bytes = Bytes(16 << 20);
const STACK: Bytes = Bytes(64 << 10);
const CALLS: u32 = 3;

/// Fills its 2,048 bytes with a pattern, and gives a digest of them.
const NEIGHBOUR: &str = r#"(module
    (memory 1)
    (global (export "__data_end") i32 (i32.const 0))
    (global (export "__heap_base") i32 (i32.const 2048))
    (func $fill (local i32)
      (loop
        (i32.store (local.get 0) (i32.mul (local.get 0) (i32.const 0x9E3779B9)))
        (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 4))) (i32.const 2048)))))
    (start $fill)
    (func (export "run") (param i32) (result i32) (local i32)
      (loop
        (local.set 1 (i32.mul (i32.xor (local.get 1) (i32.load (local.get 0))) (i32.const 0x01000193)))
        (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 4))) (i32.const 2048))))
      (local.get 1)))"#;

/// Runs a module. It does not return where the engine crashes or hangs.
pub(crate) fn run(wasm: &[u8]) -> Seen {
    let mut seen = Seen { counts: [1, 0, 0, 0, 0, 0], found: None, note: String::new() };
    let attempt = std::panic::AssertUnwindSafe(|| attempt(wasm, &mut seen));
    match std::panic::catch_unwind(attempt) {
        Ok(Ok(())) => {}
        Ok(Err((found, note))) => (seen.found, seen.note) = (Some(found), note),
        Err(_) => seen.found = Some(Found::Panic),
    }
    seen
}

fn attempt(wasm: &[u8], seen: &mut Seen) -> Result<(), (Found, String)> {
    let fails = |why: &str| (Found::Panic, why.to_owned());
    let valid = wramp_validate::check(wasm).is_ok();
    seen.counts[1] = u64::from(valid);
    // An invalid module is loaded all the same: the validator is not the only line of defence.
    let theirs = match valid {
        true => ask(wasm, "run", Parameters::I32, CALLS).ok(),
        false => None,
    };
    let neighbour = wat::parse_str(NEIGHBOUR).map_err(|_| fails("the neighbour's text"))?;

    let mut region = Region::new(ARENA).ok_or_else(|| fails("no region"))?;
    let arena = region.arena();
    let engine = Engine::new(&arena).map_err(|_| fails("no engine"))?;
    let good = |error: wramp_core::runtime::Error| (Found::Neighbour, error.to_string());
    let beside = engine.load(ModuleBytes::Borrowed(&neighbour)).map_err(good)?;
    let start = || engine.instantiate(&beside, "run", Parameters::I32, STACK).map_err(good);
    let mut first = start()?;
    let mut stack = engine.stack(&beside, &first, STACK).map_err(good)?;
    let right = engine.call(&mut stack, &mut first, 0, None).map_err(good)?;

    let free = arena.stats().free;
    let ours = {
        let loaded = engine.load(ModuleBytes::Borrowed(wasm));
        // Behind the module, so that its instance lies between the two neighbours.
        let mut hole = start()?;
        let outcomes = match (&loaded, &theirs) {
            (Ok(module), _) if !valid => {
                seen.counts[2] = 1;
                let _ = module;
                Vec::new()
            }
            (Ok(module), Some(theirs)) => called(&engine, module, theirs.len(), seen),
            _ => Vec::new(),
        };
        let digest = engine.call(&mut stack, &mut hole, 0, None).map_err(good)?;
        if digest != right {
            return Err((Found::Neighbour, "the second neighbour's memory changed".to_owned()));
        }
        outcomes
    };
    if engine.call(&mut stack, &mut first, 0, None) != Ok(right) {
        return Err((Found::Neighbour, "the first neighbour's memory changed".to_owned()));
    }
    if arena.corrupt() != 0 {
        return Err((Found::Corrupt, "the arena's blocks are damaged".to_owned()));
    }
    let after = arena.stats().free;
    if after != free {
        return Err((Found::Leak, format!("{free} bytes free before, {after} after")));
    }
    let theirs = theirs.unwrap_or_default();
    seen.counts[4] = ours.len().min(theirs.len()).saturating_sub(1) as u64;
    seen.counts[5] = ours.iter().filter(|outcome| **outcome == Outcome::Trap).count() as u64;
    match Verdict::of(&ours, &theirs) {
        Verdict::Agree => Ok(()),
        Verdict::Differ(what) => Err((Found::Difference, what.to_string())),
    }
}

/// The start and the calls that the other engine finished. Both end there, so this one must too.
fn called(
    engine: &Engine<'_>,
    module: &wramp_wamr::Module<'_>,
    outcomes: usize,
    seen: &mut Seen,
) -> Vec<Outcome> {
    let started = engine.instantiate(module, "run", Parameters::I32, STACK);
    let mut instance = match started {
        Ok(instance) => instance,
        Err(error) => return vec![Outcome::of(&Err(error))],
    };
    seen.counts[3] = 1;
    let Ok(mut stack) = engine.stack(module, &instance, STACK) else { return Vec::new() };
    let calls = u32::try_from(outcomes.saturating_sub(1)).unwrap_or(0);
    let call =
        |call: u32| Outcome::of(&engine.call(&mut stack, &mut instance, call.cast_signed(), None));
    std::iter::once(Outcome::Value(0)).chain((0..calls).map(call)).collect()
}
