//! The subcommands, one file each: options, and what is done with them.

pub mod capture;
pub mod check;
pub mod compare;
pub mod doctor;
pub mod engines;
pub mod fit;
pub mod gate;
pub mod new;
pub mod plan;
pub mod plot;
pub mod run;
pub mod shrink;
pub mod site;
pub mod size;
pub mod suite;
pub mod table;
pub mod workloads;
