//! How figures are written and drawn, for a person and for a program.

pub mod answer;
pub mod chart;
pub mod costs;
pub mod gate_report;
pub mod log_charts;
pub mod log_tables;
pub mod number;
pub mod page;
#[cfg(feature = "png")]
pub mod png;
pub mod record;
pub mod remarks;
pub mod running;
pub mod site;
pub mod stacks;
pub mod table;
pub mod terminal;
#[cfg(feature = "live")]
pub mod view;
#[cfg(not(feature = "live"))]
#[path = "no_view.rs"]
pub mod view;
