//! The engines of this build, by name.

use clap::ValueEnum;
use wramp_arena::Arena;
use wramp_bench::EngineKind;
use wramp_core::runtime::{Error, Facts, Runtime};
use wramp_wamr::{Engine, INTERPRETER};

use crate::problem::Problem;

/// An engine that a run can choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// WAMR with the interpreter that this build has
    #[default]
    Wamr,
    /// WAMR with its classic interpreter
    WamrClassic,
    /// WAMR with its fast interpreter
    WamrFast,
    /// wasm3
    Wasm3,
    /// wasmi, in Rust
    Wasmi,
    /// tinywasm, in Rust
    Tinywasm,
}

impl EngineName {
    /// Every engine, each once.
    pub const ALL: [Self; 5] =
        [Self::WamrClassic, Self::WamrFast, Self::Wasm3, Self::Wasmi, Self::Tinywasm];

    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wamr => "wamr",
            Self::WamrClassic => "wamr-classic",
            Self::WamrFast => "wamr-fast",
            Self::Wasm3 => "wasm3",
            Self::Wasmi => "wasmi",
            Self::Tinywasm => "tinywasm",
        }
    }

    /// A short name, where it is clear that it is an engine's.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::WamrClassic => "classic",
            Self::WamrFast => "fast",
            other => other.as_str(),
        }
    }

    /// The command that builds a wramp which has this engine.
    #[cfg(not(feature = "engines"))]
    fn build(self) -> &'static str {
        match self {
            Self::Wamr => "scripts/wramp",
            Self::WamrClassic => "WRAMP_INTERPRETER=classic scripts/wramp",
            Self::WamrFast => "WRAMP_INTERPRETER=fast scripts/wramp",
            Self::Wasm3 | Self::Wasmi | Self::Tinywasm => {
                "in rust/, cargo build --release --package wramp --features engines"
            }
        }
    }

    /// What the engine is and can do.
    ///
    /// # Errors
    /// This build does not have it.
    pub fn facts(self) -> Result<Facts, Problem> {
        struct OfFacts;
        impl WithEngine for OfFacts {
            type Output = Facts;
            fn with<E: EngineKind>(self) -> Facts {
                <E::Engine<'static> as Runtime>::facts()
            }
        }
        self.choose(OfFacts)
    }

    /// Does something with the engine.
    ///
    /// # Errors
    /// This build does not have it.
    pub fn choose<W: WithEngine>(self, what: W) -> Result<W::Output, Problem> {
        match self {
            Self::Wamr => Ok(what.with::<Wamr>()),
            Self::WamrClassic if INTERPRETER == "classic" => Ok(what.with::<Wamr>()),
            Self::WamrFast if INTERPRETER == "fast" => Ok(what.with::<Wamr>()),
            // The interpreter that the first build does not have.
            #[cfg(feature = "engines")]
            Self::WamrClassic | Self::WamrFast => Ok(what.with::<OtherWamr>()),
            #[cfg(feature = "engines")]
            Self::Wasm3 => Ok(what.with::<wramp_engine_wasm3::Wasm3>()),
            #[cfg(feature = "engines")]
            Self::Wasmi => Ok(what.with::<wramp_engine_wasmi::Wasmi>()),
            #[cfg(feature = "engines")]
            Self::Tinywasm => Ok(what.with::<wramp_engine_tinywasm::Tinywasm>()),
            #[cfg(not(feature = "engines"))]
            _ => Err(Problem::new(format!(
                "--engine {}: this wramp was built without it: {}",
                self.as_str(),
                self.build()
            ))),
        }
    }
}

/// WAMR with the other interpreter.
#[cfg(feature = "engines")]
struct OtherWamr;

#[cfg(feature = "engines")]
impl EngineKind for OtherWamr {
    type Engine<'a> = wramp_engine_wamr_other::Engine<'a>;

    fn start<'a>(arena: &'a dyn Arena) -> Result<Self::Engine<'a>, Error> {
        wramp_engine_wamr_other::Engine::new(arena)
    }
}

/// Something to do with an engine of any kind.
pub trait WithEngine {
    /// What comes of it.
    type Output;

    /// Does it.
    fn with<E: EngineKind>(self) -> Self::Output;
}

/// WAMR, as this command is built with it.
pub struct Wamr;

impl EngineKind for Wamr {
    type Engine<'a> = Engine<'a>;

    fn start<'a>(arena: &'a dyn Arena) -> Result<Engine<'a>, Error> {
        Engine::new(arena)
    }
}
