//! What each part of a module costs an instance, and which flag saves most.
//!
//! The answer needs only the module's bytes, and neither a board nor a run. The formulas follow
//! WAMR's instantiation (`wasm_runtime.c` of 2.4.5). The sizes in [`Layout`] are those of WAMR's
//! structs in wramp's build (`src/wamr.cmake`). The tests compare the results with recorded
//! runs.
//!
//! This crate calls no engine and does not validate. It leaves out what an allocator adds to a
//! block, and what a thread for each instance would cost (the environment and its stack).
#![forbid(unsafe_code)]

mod advice;
mod frames;
mod survey;

pub use advice::{Advice, STACK_BYTES};
pub use frames::{Frame, frames};
pub use survey::Unreadable;

use survey::Survey;

/// Bytes of WAMR's structs on one kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pointer: u64,
    /// `WASMModuleInstance`, without what follows it in the same block.
    instance: u64,
    /// `WASMModuleInstanceExtra`.
    extra: u64,
    /// `WASMMemoryInstance`.
    memory: u64,
    /// `WASMFunctionInstance`.
    function: u64,
    /// `WASMExportFuncInstance`.
    export: u64,
}

/// `WASMGlobalInstance`, on every machine.
const GLOBAL: u64 = 24;
/// `WASMTableInstance` without its elements, on every machine.
const TABLE: u64 = 24;

impl Layout {
    /// The fast interpreter on 32-bit machines that align 64-bit numbers to 8: Cortex-M, RISC-V,
    /// Xtensa. (i386 does not, and an instance takes 4 bytes less there.)
    pub const FAST_32: Self =
        Self { pointer: 4, instance: 272, extra: 44, memory: 56, function: 32, export: 8 };
    /// The classic interpreter on such a machine.
    pub const CLASSIC_32: Self = Self { function: 28, ..Self::FAST_32 };
    /// Either interpreter on 64 bits.
    pub const BOTH_64: Self =
        Self { pointer: 8, instance: 344, extra: 80, memory: 80, function: 48, export: 16 };

    /// The layout of an interpreter, `fast` or `classic`. `None` for any other combination.
    #[must_use]
    pub fn of(pointer_bits: u32, interpreter: &str) -> Option<Self> {
        match (pointer_bits, interpreter) {
            (32, "fast") => Some(Self::FAST_32),
            (32, "classic") => Some(Self::CLASSIC_32),
            (64, "fast" | "classic") => Some(Self::BOTH_64),
            _ => None,
        }
    }
}

/// What determines the size of an instance's linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// The module has no memory.
    None,
    /// The memory is cut at `__heap_base`, rounded up to 8.
    Cut,
    /// Whole pages: the module does not export `__heap_base` and `__data_end`.
    NoExports,
    /// Whole pages: the module grows its memory or asks for its size.
    Grows,
    /// Whole pages: `__heap_base` lies beyond them, or before the end of the data.
    HeapBaseUnusable,
}

/// One part of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name. It is the same in a `part` record, if that record exists.
    pub name: &'static str,
    /// Bytes in each instance.
    pub bytes: u64,
    /// What it consists of, for a reader: `4 functions, 2 imports`.
    pub made_of: String,
}

/// What a module costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The parts of an instance, in the order of the `part` records. Their sum is what the engine
    /// asks the arena for when it instantiates the module.
    pub parts: Vec<Part>,
    /// Blocks that an instance consists of. An allocator adds a header and rounding to each.
    pub blocks: u32,
    /// What determines the size of the linear memory.
    pub memory: MemoryKind,
    /// Bytes of the module, which all instances share, in flash or in the arena.
    pub module_bytes: u64,
    /// Bytes of the module in custom sections, such as names, debug information and the list of
    /// producers. No instance needs them.
    pub custom_bytes: u64,
    /// The change that would save most, if any would.
    pub advice: Option<Advice>,
}

impl Report {
    /// Bytes of an instance: the sum of all parts.
    #[must_use]
    pub fn instance_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Bytes of the part with that name, or 0 if there is none.
    #[must_use]
    pub fn part(&self, name: &str) -> u64 {
        self.parts.iter().find(|part| part.name == name).map_or(0, |part| part.bytes)
    }

    /// Whether linear memory is more than half of an instance. `wramp run` then prints the
    /// advice unasked.
    #[must_use]
    pub fn is_mostly_memory(&self) -> bool {
        self.part("linear-memory") * 2 > self.instance_bytes()
    }
}

/// Reports what each part of the module costs an instance.
///
/// # Errors
/// The bytes are not a core module.
pub fn sizes(wasm: &[u8], layout: Layout) -> Result<Report, Unreadable> {
    let survey = Survey::of(wasm)?;
    let (memory, memory_bytes) = survey.memory();
    let functions = survey.imported_functions + survey.functions;
    let plural =
        |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut parts = Vec::new();
    let mut part = |name, bytes, made_of| {
        if bytes > 0 {
            parts.push(Part { name, bytes, made_of });
        }
    };

    // One block holds the instance, its memories, the values of its globals and its tables. The
    // other parts have blocks of their own.
    let tables: u64 = survey.tables.iter().map(|elements| TABLE + elements * layout.pointer).sum();
    let memories = layout.memory * survey.memories;
    let before_extra = layout.instance + memories + survey.global_bytes + tables;
    let block = before_extra.next_multiple_of(8) + layout.extra;
    let arrays = layout.pointer * (survey.memories + survey.tables.len() as u64);
    let bitmaps: u64 =
        [survey.data_segments, survey.element_segments].map(|n| bitmap(n, layout)).iter().sum();
    let head = block - survey.global_bytes - tables + arrays + bitmaps;
    part("module-instance", head, "the instance itself".to_owned());
    part("tables", tables, format!("{} of a table", plural(survey.tables.iter().sum(), "element")));
    part(
        "imports",
        layout.pointer * survey.imported_functions,
        plural(survey.imported_functions, "imported function"),
    );
    part("function-table", layout.function * functions, plural(functions, "function"));
    part(
        "export-table",
        layout.export * survey.exported_functions,
        plural(survey.exported_functions, "exported function"),
    );
    part(
        "globals",
        GLOBAL * survey.globals + survey.global_bytes,
        plural(survey.globals, "global"),
    );
    let made_of = match memory {
        MemoryKind::Cut => "cut at __heap_base".to_owned(),
        _ => plural(survey.pages, "whole page"),
    };
    part("linear-memory", memory_bytes, made_of);

    let some = |count: u64| u32::from(count > 0);
    let blocks = 1
        + 2 * some(survey.memories)
        + some(survey.tables.len() as u64)
        + some(survey.data_segments)
        + some(survey.element_segments)
        + some(functions)
        + some(survey.imported_functions)
        + some(survey.exported_functions)
        + some(survey.globals);
    Ok(Report {
        parts,
        blocks,
        memory,
        module_bytes: wasm.len() as u64,
        custom_bytes: survey.custom_bytes,
        advice: advice::advise(&survey, memory, memory_bytes),
    })
}

/// Bytes of a `bh_bitmap` with this many bits. WAMR allocates none for 0 bits.
fn bitmap(bits: u64, layout: Layout) -> u64 {
    if bits == 0 { 0 } else { 2 * layout.pointer + bits.div_ceil(8) }
}
