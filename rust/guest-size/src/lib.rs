//! What each part of a module costs an instance, and which linker flag would save most.
//!
//! The answer comes from the module's bytes alone, so that a person gets it without a board and
//! without a run. The formulas are those of WAMR's instantiation (`wasm_runtime.c` of 2.4.5)
//! and the sizes in [`Layout`] are its structs', as wramp builds it (`src/wamr.cmake`). The
//! tests compare with what recorded runs measured.
//!
//! It calls no engine, does not validate, and leaves out what an allocator adds to a block and
//! what a thread of its own would cost (the environment and its stack).
#![forbid(unsafe_code)]

mod advice;
mod survey;

pub use advice::{Advice, STACK_BYTES};
pub use survey::Unreadable;

use survey::Survey;

/// Bytes of WAMR's structs on one kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pointer: u64,
    /// `WASMModuleInstance` up to what follows it in the same block.
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
/// `WASMTableInstance` up to its elements, on every machine.
const TABLE: u64 = 24;

impl Layout {
    /// The fast interpreter on 32 bits where 64-bit numbers are aligned to 8: Cortex-M, RISC-V,
    /// Xtensa. (On i386 they are not, and an instance is 4 bytes less.)
    pub const FAST_32: Self =
        Self { pointer: 4, instance: 272, extra: 44, memory: 56, function: 32, export: 8 };
    /// The classic interpreter on such a machine.
    pub const CLASSIC_32: Self = Self { function: 28, ..Self::FAST_32 };
    /// Either interpreter on 64 bits.
    pub const BOTH_64: Self =
        Self { pointer: 8, instance: 344, extra: 80, memory: 80, function: 48, export: 16 };

    /// The layout of an interpreter (`fast` or `classic`) on a machine; `None` for another.
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

/// How an instance's linear memory comes by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// The module has no memory.
    None,
    /// It is cut at `__heap_base`, rounded up to 8.
    Cut,
    /// Whole pages: the module does not export `__heap_base` and `__data_end`.
    NoExports,
    /// Whole pages: the module grows its memory or asks for its size.
    Grows,
    /// Whole pages: `__heap_base` is beyond them, or before the data's end.
    HeapBaseUnusable,
}

/// One part of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The word that stands for it, as in a `part` record where that has it.
    pub name: &'static str,
    /// Bytes in each instance.
    pub bytes: u64,
    /// What it is made of, for a person: `4 functions, 2 imports`.
    pub made_of: String,
}

/// What a module costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The parts of an instance, in the order of the `part` records. Together they are what the
    /// engine asks the arena for when it instantiates the module.
    pub parts: Vec<Part>,
    /// Blocks that an instance is made of; an allocator adds its header and rounding to each.
    pub blocks: u32,
    /// How the linear memory comes by its size.
    pub memory: MemoryKind,
    /// Bytes of the module, once for all instances, in flash or in the arena.
    pub module_bytes: u64,
    /// Bytes of them that no instance needs: names, debug information, the producers' list.
    pub custom_bytes: u64,
    /// What would save most, where something would.
    pub advice: Option<Advice>,
}

impl Report {
    /// Bytes of an instance: all parts.
    #[must_use]
    pub fn instance_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Bytes of the part of that name; 0 where there is none.
    #[must_use]
    pub fn part(&self, name: &str) -> u64 {
        self.parts.iter().find(|part| part.name == name).map_or(0, |part| part.bytes)
    }

    /// Whether linear memory is more than half of an instance: then the advice is worth a line
    /// even to someone who did not ask.
    #[must_use]
    pub fn is_mostly_memory(&self) -> bool {
        self.part("linear-memory") * 2 > self.instance_bytes()
    }
}

/// Says what each part of the module costs an instance.
///
/// # Errors
/// Where the bytes cannot be read as a core module.
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

    // The head and, in the same block, memories, globals' values and tables; then the rest.
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

/// A `bh_bitmap` of so many bits; none for none.
fn bitmap(bits: u64, layout: Layout) -> u64 {
    if bits == 0 { 0 } else { 2 * layout.pointer + bits.div_ceil(8) }
}
