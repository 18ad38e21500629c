//! The parts that every wramp shares, on a laptop and on a microcontroller.
//!
//! This crate holds the seams to a machine ([`machine`], [`slots`]) and to an engine
//! ([`runtime`], an instance's [`state`] on its way, and from a guest back to the host,
//! [`host`]), the ramp as a pure state machine ([`ramp`]), units and statistics ([`measure`]),
//! and the record format ([`report`]).
//!
//! It uses no std, no allocation, no unsafe code, no dependency, no clock and no thread. All of
//! it is therefore tested on a laptop, and under Miri.
#![no_std]
#![forbid(unsafe_code)]

pub mod config;
pub mod host;
pub mod machine;
pub mod measure;
pub mod ramp;
pub mod report;
pub mod runtime;
pub mod slots;
pub mod state;
