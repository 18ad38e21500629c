//! What logs say, and what follows from it; nothing here prints or draws.

pub mod board;
pub mod busy;
pub mod comparison;
pub mod file;
pub mod fitted;
pub mod gate;
pub mod geometry;
pub mod health;
pub mod image;
pub mod kept;
pub mod leave;
pub mod log;
pub mod measured;
pub mod messages;
pub mod mix;
pub mod module;
pub mod own;
pub mod port;
pub mod promise;
pub mod published;
pub mod requirements;
pub mod results;
pub mod run_log;
pub mod site;
pub mod slot_stack;
