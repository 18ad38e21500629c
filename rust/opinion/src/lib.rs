//! What another engine says of a module's first calls.
//!
//! All instances of a user's module are compared with each other, so an engine that computes a
//! wrong number is always right: every instance computes it. This crate asks wasmi, which shares
//! no code with the engines that are measured, and compares.
//!
//! - It asks about a module without imports. What a host function answers is not the engine's.
//! - It bounds the instructions, the memory and the depth of calls, and ends where one runs out.
//!   So a call that both engines finish is compared, and no module can hang it.
//! - It cannot know which of two engines is right. [`Verdict`] says who said what.
#![forbid(unsafe_code)]

use std::fmt;

use wasmi::{Config, Engine, Error, Linker, Module, Store, StoreLimitsBuilder, TrapCode, Val};
use wramp_core::runtime::{self, ErrorKind, Parameters};

/// The engine that is asked, with its version.
///
/// Not 2.0.0: that one computes `select` wrongly where its condition is `i32.eqz` of a local
/// (docs/engine-faults.md), as compilers write it every day.
pub const ENGINE: &str = "wasmi 1.1.0";

/// How many calls are compared.
pub const CALLS: u32 = 16;
/// Instructions of all calls together. A build without optimisation takes a second for them.
pub const FUEL: u64 = 5_000_000;
/// The largest memory that a call may grow to. The engine under test has several times as much,
/// so a growth that succeeds here succeeds there.
pub const MEMORY_BYTES: usize = 8 << 20;
/// The deepest recursion. The engine under test goes deeper.
const DEPTH: usize = 100;
/// The largest table.
const TABLE_ELEMENTS: usize = 100_000;

/// How the start or a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned. The start gives 0.
    Value(i32),
    /// The guest trapped. Each engine has its own words for why, and a guest cannot see them.
    Trap,
    /// Memory, stack or instructions ran out, which each engine has its own limit for.
    Exhausted,
}

impl Outcome {
    /// The outcome of the engine under test.
    #[must_use]
    pub fn of(result: &Result<i32, runtime::Error>) -> Self {
        match result {
            Ok(value) => Self::Value(*value),
            Err(error) => match error.kind {
                ErrorKind::Trap => Self::Trap,
                _ => Self::Exhausted,
            },
        }
    }

    fn from_wasmi(error: &Error) -> Self {
        match error.as_trap_code() {
            Some(
                TrapCode::StackOverflow | TrapCode::OutOfFuel | TrapCode::GrowthOperationLimited,
            ) => Self::Exhausted,
            _ => Self::Trap,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Trap => f.write_str("a trap"),
            Self::Exhausted => f.write_str("no end within its limits"),
        }
    }
}

/// Why there is no opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The module has imports.
    Imports,
    /// The start or the first call is longer or larger than the limits of this crate.
    TooLong,
    /// wasmi does not load the module, in its own words.
    Refused(String),
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imports => f.write_str("the module has imports"),
            Self::TooLong => write!(
                f,
                "its first call takes more than {FUEL} instructions, {} MiB or {DEPTH} calls inside \
                 one another",
                MEMORY_BYTES >> 20
            ),
            Self::Refused(why) => write!(f, "{ENGINE} refuses the module: {why}"),
        }
    }
}

/// What wasmi says: the outcome of the start, and of up to `calls` calls of the export, whose
/// argument is the number of the call from 0. It ends before the first that exceeds a limit.
///
/// # Errors
/// See [`Silence`].
pub fn ask(
    wasm: &[u8],
    export: &str,
    parameters: Parameters,
    calls: u32,
) -> Result<Vec<Outcome>, Silence> {
    let refused = |error: Error| Silence::Refused(error.to_string());
    let mut config = Config::default();
    config.consume_fuel(true).set_max_recursion_depth(DEPTH);
    let engine = Engine::new(&config);
    let module = Module::new(&engine, wasm).map_err(refused)?;
    if module.imports().next().is_some() {
        return Err(Silence::Imports);
    }
    // A refusal is a trap here. The guest would see a refusal, and go another way than in the
    // other engine.
    let limits = StoreLimitsBuilder::new()
        .memory_size(MEMORY_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .trap_on_grow_failure(true)
        .build();
    let mut store = Store::new(&engine, limits);
    store.limiter(|limits| limits);
    store.set_fuel(FUEL).map_err(refused)?;
    let instance = match Linker::new(&engine).instantiate_and_start(&mut store, &module) {
        Ok(instance) => instance,
        Err(error) => {
            return match (error.as_trap_code(), Outcome::from_wasmi(&error)) {
                (Some(_), Outcome::Exhausted) => Err(Silence::TooLong),
                (Some(_), outcome) => Ok(vec![outcome]),
                // A data segment beyond the memory is a trap with another name here.
                (None, _) if error.to_string().contains("out of bounds") => Ok(vec![Outcome::Trap]),
                (None, _) => Err(refused(error)),
            };
        }
    };
    let no_function = || Silence::Refused("it exports no such function".into());
    let function = instance.get_func(&store, export).ok_or_else(no_function)?;
    let mut outcomes = vec![Outcome::Value(0)];
    for call in 0..calls {
        let arguments = match parameters {
            Parameters::None => &[][..],
            Parameters::I32 => &[Val::I32(call.cast_signed())],
        };
        let mut results = [Val::I32(0)];
        let outcome = match function.call(&mut store, arguments, &mut results) {
            Ok(()) => match results {
                [Val::I32(value)] => Outcome::Value(value),
                _ => return Err(no_function()),
            },
            Err(error) if error.as_trap_code().is_none() => return Err(refused(error)),
            Err(error) => Outcome::from_wasmi(&error),
        };
        if outcome == Outcome::Exhausted {
            break;
        }
        outcomes.push(outcome);
    }
    if outcomes.len() == 1 && calls > 0 { Err(Silence::TooLong) } else { Ok(outcomes) }
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that both finished is the same.
    Agree,
    /// They differ, so one of the two is wrong.
    Differ(Difference),
}

/// The first difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// 0 is the start, 1 the first call.
    pub place: usize,
    /// What the engine under test did.
    pub engine: Outcome,
    /// What wasmi did.
    pub other: Outcome,
}

impl Verdict {
    /// Compares up to the first place where a limit ended one of them.
    #[must_use]
    pub fn of(engine: &[Outcome], other: &[Outcome]) -> Self {
        for (place, (&engine, &other)) in engine.iter().zip(other).enumerate() {
            if engine == Outcome::Exhausted || other == Outcome::Exhausted {
                return Self::Agree;
            }
            if engine == other {
                continue;
            }
            return Self::Differ(Difference { place, engine, other });
        }
        Self::Agree
    }

    /// The word in a record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agree => "agrees",
            Self::Differ(_) => "differs",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            0 => write!(f, "the start gives {} here and {} in {ENGINE}", self.engine, self.other),
            call => {
                write!(f, "call {call} gives {} here and {} in {ENGINE}", self.engine, self.other)
            }
        }
    }
}
