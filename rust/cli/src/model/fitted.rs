//! What `wramp fit` is asked, and its answer in figures.
//!
//! `wramp gate` judges the same answer. No subcommand imports another, so the program hands it
//! the function that answers (`lib.rs`), and both know these types.

use crate::model::board::Board;
use crate::model::geometry::WasmStack;
use crate::model::mix::Item;
use crate::problem::Problem;

/// How instances share threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// A thread and an interpreter stack for each instance.
    Each,
    /// So many workers for all residents of one module.
    Pool {
        /// Workers.
        workers: u32,
    },
}

/// Whether a mix fits on a board.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The modules and their numbers.
    pub mix: &'a [Item],
    /// The board's name, or a file that describes one.
    pub board: &'a str,
    /// How instances share threads.
    pub threads: Threads,
    /// Stack of a slot or a worker.
    pub slot_stack_bytes: u32,
    /// Interpreter stack of an instance.
    pub wasm_stack_bytes: WasmStack,
    /// RAM to keep free for the rest of the application.
    pub reserve_bytes: u32,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Whether the mix fits.
    pub fits: bool,
    /// The answer in one sentence.
    pub sentence: String,
    /// The board.
    pub board: Board,
    /// The interpreter of this build.
    pub interpreter: &'static str,
    /// RAM left. Below 0, that much is missing.
    pub spare_bytes: i64,
    /// The arena of a yes, or the one that a no would need.
    pub arena_bytes: u32,
    /// The modules, in the order of the mix.
    pub guests: Vec<FittedGuest>,
}

/// One module of the answer.
#[derive(Clone, Debug)]
pub struct FittedGuest {
    /// What it is called in records.
    pub name: String,
    /// The module.
    pub wasm: Vec<u8>,
    /// The export that each call enters.
    pub export: String,
    /// Instances that fit. Of a no: those that were asked for.
    pub instances: u32,
    /// Arena bytes of one instance.
    pub instance_bytes: u32,
    /// Arena bytes of the module, which all its instances share.
    pub module_arena_bytes: u32,
    /// Interpreter stack of an instance.
    pub wasm_stack_bytes: u32,
    /// What its first call needs of it.
    pub wasm_stack_needed_bytes: u32,
    /// What the bytes of an instance are for; empty where the engine cannot tell.
    pub parts: Vec<(&'static str, u32)>,
}

/// What answers.
pub type Ask = dyn Fn(&Question<'_>) -> Result<Fitted, Problem>;
