//! The one loop: load once, instantiate N, obey the ramp, emit records.
//!
//! It is generic over the machine ([`Machine`], [`Slots`]) and the engine ([`Runtime`]). The
//! same code runs on Linux, under QEMU and on a board. It uses no std, no allocation, no unsafe
//! code and no `cfg`. A timed region contains a clock, a call and a clock, and nothing else.
//!
//! [`Machine`]: wramp_core::machine::Machine
//! [`Slots`]: wramp_core::slots::Slots
//! [`Runtime`]: wramp_core::runtime::Runtime
#![no_std]
#![forbid(unsafe_code)]

mod agenda;
mod engine;
mod fit;
mod guest;
mod hosted;
mod lead;
mod lineup;
mod office;
mod park;
mod pool;
mod run;
mod seat;
mod starts;
mod sweep;
mod threads;

pub use engine::EngineKind;
pub use guest::{Agreement, Check, Guest};
pub use lead::MAX_MODULES;
pub use lineup::{Count, Item, Lineup, has_workload};
pub use office::{Expected, Hosting, office_words};
pub use park::SEATS_A_WORKER;
pub use pool::table_words;
pub use run::{Memory, Summary, run, run_hosted};
pub use seat::Seat;
pub use starts::sample_words;
pub use sweep::sweep;
