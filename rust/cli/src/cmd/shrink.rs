//! `wramp shrink`: makes a module that declares whole pages take only the bytes it uses.
//!
//! WAMR gives an instance `__heap_base` bytes of linear memory instead of whole pages if the
//! module exports immutable globals `__heap_base` and `__data_end`, and neither grows its memory
//! nor asks for its size. Compilers write these exports. A module written by hand has none.
//!
//! `shrink` adds the exports as WAMR's loader (`wasm_loader.c` of 2.4.5) wants them:
//!
//! - The loader takes the first mutable i32 global at or below the heap base for the stack
//!   pointer, and checks writes to it. So `shrink` puts a global that nobody writes before the
//!   module's own, and moves all indices of globals up by one.
//! - The loader rounds the data's end up to 16, and the result must not exceed the heap base. Each
//!   global costs an instance 40 bytes, so one global serves under both names where the size
//!   allows it.
//!
//! `shrink` does not prove what the module does at run time. An access beyond the new size traps.

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{ConstExpr, ExportKind, ExportSection, GlobalSection, GlobalType, SectionId};
use wasm_encoder::{Module, ValType};
use wasmparser::{DataKind, KnownCustom, Operator, Parser, Payload, TypeRef};

use crate::model::file;
use crate::model::geometry::bytes;
use crate::model::module;
use crate::problem::{Outcome, Problem};
use crate::show::number::grouped;
use crate::show::terminal::print;

/// The exports that tell a runtime how much memory is used.
const NAMES: [&str; 2] = ["__heap_base", "__data_end"];

/// Options of `wramp shrink`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp shrink guest.wat --memory-bytes 2048 -o guest.wasm
  wramp run --module guest.wasm --export run

The module must not use memory.grow or memory.size. An access beyond the new size traps, so run
it afterwards: what it returns must be what it returned before.")]
pub struct ShrinkArgs {
    /// The module, .wasm or .wat
    #[arg(value_name = "IN")]
    pub input: String,
    /// Linear memory that an instance gets, a multiple of 8
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory_bytes: u32,
    /// Where to write the new module
    #[arg(short, long, value_name = "OUT.wasm")]
    pub output: String,
}

/// A rewritten module.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The module.
    pub wasm: Vec<u8>,
    /// Linear memory that it declares.
    pub declared_bytes: u64,
    /// What its owner should know, in a sentence.
    pub remark: Option<String>,
}

/// The facts about a module that decide whether it can be shrunk.
#[derive(Default)]
struct Survey {
    imported_globals: u32,
    globals: u32,
    declared_bytes: u64,
    data_end: u64,
    /// The initial value of the module's first mutable i32 global, most likely its stack pointer.
    first_mutable: Option<u32>,
}

/// The value of a constant expression that is one `i32.const`.
fn constant(expression: &wasmparser::ConstExpr<'_>) -> Option<u32> {
    let mut operators = expression.get_operators_reader();
    match (operators.read(), operators.read()) {
        (Ok(Operator::I32Const { value }), Ok(Operator::End)) => Some(value.cast_unsigned()),
        _ => None,
    }
}

fn unreadable(error: impl std::fmt::Display) -> Problem {
    Problem::new(format!("not a module that can be read: {error}"))
}

impl Survey {
    fn of(wasm: &[u8]) -> Result<Self, Problem> {
        let mut survey = Self::default();
        let mut memories = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(unreadable)? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import.map_err(unreadable)?.ty {
                            TypeRef::Memory(_) => {
                                return Err(Problem::new(
                                    "it imports its memory, whose size is the importer's: \
                                     declare the memory in the module",
                                ));
                            }
                            TypeRef::Global(_) => survey.imported_globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        memories += 1;
                        survey.memory(memory.map_err(unreadable)?)?;
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        let global = global.map_err(unreadable)?;
                        survey.globals += 1;
                        let own = global.ty.mutable
                            && global.ty.content_type == wasmparser::ValType::I32
                            && survey.first_mutable.is_none();
                        if own {
                            survey.first_mutable = constant(&global.init_expr);
                        }
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let name = export.map_err(unreadable)?.name;
                        if NAMES.contains(&name) {
                            return Err(Problem::new(format!(
                                "it exports {name} already: its linker decides its size (wasm-ld: \
                                 -z stack-size=..., --initial-memory=...)"
                            )));
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader().map_err(unreadable)? {
                        let name = match operator.map_err(unreadable)? {
                            Operator::MemoryGrow { .. } => "memory.grow",
                            Operator::MemorySize { .. } => "memory.size",
                            _ => continue,
                        };
                        return Err(Problem::new(format!(
                            "it uses {name}: runtimes keep whole pages for such a module; \
                             take the instruction out first"
                        )));
                    }
                }
                Payload::DataSection(section) => {
                    for data in section {
                        let data = data.map_err(unreadable)?;
                        let DataKind::Active { offset_expr, .. } = data.kind else { continue };
                        let Some(offset) = constant(&offset_expr) else {
                            return Err(Problem::new(
                                "the place of one of its data segments is known only at run time: \
                                 give it a constant offset",
                            ));
                        };
                        let end = u64::from(offset) + data.data.len() as u64;
                        survey.data_end = survey.data_end.max(end);
                    }
                }
                _ => {}
            }
        }
        match memories {
            0 => Err(Problem::new("it has no memory: there is nothing to shrink")),
            1 => Ok(survey),
            _ => Err(Problem::new("it has several memories: runtimes truncate none of them")),
        }
    }

    fn memory(&mut self, memory: wasmparser::MemoryType) -> Result<(), Problem> {
        if memory.memory64 || memory.shared {
            let kind = if memory.shared { "shared" } else { "64-bit" };
            return Err(Problem::new(format!(
                "its memory is {kind}: runtimes do not truncate such a memory"
            )));
        }
        let page = 1 << memory.page_size_log2.unwrap_or(16);
        self.declared_bytes = memory.initial.saturating_mul(page);
        Ok(())
    }
}

/// Copies a module and rewrites it on the way.
struct Rewriter {
    survey: Survey,
    memory_bytes: u32,
    has_globals: bool,
    has_exports: bool,
}

impl Rewriter {
    fn one_global_for_both(&self) -> bool {
        self.memory_bytes.is_multiple_of(16)
    }

    fn add_globals(&mut self, globals: &mut GlobalSection) {
        let size = self.memory_bytes;
        let ends = if self.one_global_for_both() { &[size][..] } else { &[size, size & !15][..] };
        for &end in ends {
            let global = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
            globals.global(global, &ConstExpr::i32_const(end.cast_signed()));
        }
        self.has_globals = true;
    }

    fn add_stack_pointer(&self, globals: &mut GlobalSection) {
        let global = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(global, &ConstExpr::i32_const(self.memory_bytes.cast_signed()));
    }

    fn add_exports(&mut self, exports: &mut ExportSection) {
        let heap_base = self.survey.imported_globals + 1 + self.survey.globals;
        let data_end = heap_base + u32::from(!self.one_global_for_both());
        exports.export(NAMES[0], ExportKind::Global, heap_base);
        exports.export(NAMES[1], ExportKind::Global, data_end);
        self.has_exports = true;
    }
}

impl Reencode for Rewriter {
    type Error = Infallible;

    fn global_index(&mut self, global: u32) -> Result<u32, Error> {
        Ok(global + u32::from(global >= self.survey.imported_globals))
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Result<(), Error> {
        self.add_stack_pointer(globals);
        utils::parse_global_section(self, globals, section)?;
        self.add_globals(globals);
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_export_section(self, exports, section)?;
        self.add_exports(exports);
        Ok(())
    }

    /// Adds sections that the module lacks, in their place.
    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), Error> {
        use SectionId::{Code, Data, DataCount, Element, Export, Start};
        let behind = matches!(before, None | Some(Start | Element | DataCount | Code | Data));
        if !self.has_globals && (behind || before == Some(Export)) {
            let mut globals = GlobalSection::new();
            self.add_stack_pointer(&mut globals);
            self.add_globals(&mut globals);
            module.section(&globals);
        }
        if !self.has_exports && behind {
            let mut exports = ExportSection::new();
            self.add_exports(&mut exports);
            module.section(&exports);
        }
        Ok(())
    }

    /// Keeps names. Drops debug information and relocations, which point at what has moved.
    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Error> {
        let name = section.name();
        let stale = name.starts_with(".debug") || name.starts_with("reloc.") || name == "linking";
        match section.as_known() {
            _ if stale => Ok(()),
            // Malformed names cannot be renumbered, and dropping them harms nothing.
            KnownCustom::Name(names) => {
                if let Ok(names) = self.custom_name_section(names) {
                    module.section(&names);
                }
                Ok(())
            }
            _ => utils::parse_custom_section(self, module, section),
        }
    }
}

/// Rewrites a module so that a runtime with WAMR's rule gives it `memory_bytes` of linear
/// memory.
///
/// # Errors
/// Where the size is not possible, or where no runtime truncates such a module.
pub fn shrink(wasm: &[u8], memory_bytes: u32) -> Result<Shrunk, Problem> {
    let number = |bytes: u64| grouped(&bytes.to_string());
    let wanted = number(memory_bytes.into());
    if memory_bytes == 0 || !memory_bytes.is_multiple_of(8) {
        return Err(Problem::new(format!(
            "--memory-bytes {memory_bytes} is not a multiple of 8, to which runtimes round it up: give {}",
            u64::from(memory_bytes).next_multiple_of(8).max(8)
        )));
    }
    let survey = Survey::of(wasm)?;
    let declared_bytes = survey.declared_bytes;
    if u64::from(memory_bytes) > declared_bytes {
        return Err(Problem::new(format!(
            "--memory-bytes {memory_bytes} is more than the {} bytes it declares",
            number(declared_bytes)
        )));
    }
    if survey.data_end > memory_bytes.into() {
        return Err(Problem::new(format!(
            "its data ends at {}, beyond --memory-bytes {memory_bytes}: give at least {}",
            number(survey.data_end),
            survey.data_end.next_multiple_of(8)
        )));
    }
    let remark = survey.first_mutable.filter(|&start| start > memory_bytes).map(|start| {
        format!(
            "its first mutable global begins at {}, beyond {wanted}: if that is its stack pointer, \
             what uses the stack traps; link it with a smaller stack (wasm-ld: -z stack-size=...)",
            number(start.into())
        )
    });
    let mut rewriter = Rewriter { survey, memory_bytes, has_globals: false, has_exports: false };
    let mut module = Module::new();
    rewriter
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| unreadable(&error))?;
    Ok(Shrunk { wasm: module.finish(), declared_bytes, remark })
}

/// `wramp shrink`.
///
/// # Errors
/// A module that cannot be read or shrunk, or a file that cannot be written.
pub fn execute(args: &ShrinkArgs) -> Outcome {
    let named = |problem: Problem| Problem::new(format!("{}: {problem}", args.input));
    let wasm = module::read(Path::new(&args.input)).map_err(named)?;
    let shrunk = shrink(&wasm, args.memory_bytes).map_err(named)?;
    file::write(Path::new(&args.output), &shrunk.wasm)?;
    if let Some(remark) = &shrunk.remark {
        eprintln!("{}: {remark}", args.input);
    }
    print(&format!(
        "{}: memory {} -> {} bytes an instance, module {} -> {} bytes\n",
        args.output,
        grouped(&shrunk.declared_bytes.to_string()),
        grouped(&args.memory_bytes.to_string()),
        grouped(&wasm.len().to_string()),
        grouped(&shrunk.wasm.len().to_string()),
    ))?;
    Ok(ExitCode::SUCCESS)
}
