//! Reads from a module what determines the bytes of an instance.

use std::fmt;

use wasmparser::{
    BinaryReaderError, ConstExpr, DataKind, ExternalKind, Operator, Parser, Payload, TypeRef,
    ValType,
};

use crate::MemoryKind;

/// Why a module cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a module that can be read: {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

impl From<BinaryReaderError> for Unreadable {
    fn from(error: BinaryReaderError) -> Self {
        Self(error.to_string())
    }
}

/// A global that the module defines.
#[derive(Clone, Copy, Debug)]
struct Global {
    mutable: bool,
    /// The initial value, if the global is an i32 and starts from a constant.
    value: Option<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) functions: u64,
    pub(crate) imported_functions: u64,
    pub(crate) exported_functions: u64,
    pub(crate) globals: u64,
    /// Bytes of the values of all globals.
    pub(crate) global_bytes: u64,
    /// How many elements WAMR allocates for each table.
    pub(crate) tables: Vec<u64>,
    pub(crate) memories: u64,
    pub(crate) pages: u64,
    page_bytes: u64,
    pub(crate) data_segments: u64,
    pub(crate) element_segments: u64,
    pub(crate) custom_bytes: u64,
    imported_globals: u64,
    own_globals: Vec<Global>,
    heap_base: Option<u64>,
    /// The linker's `__data_end`.
    data_end: Option<u64>,
    /// The range of addresses from the first byte of the data segments to behind the last one.
    pub(crate) data: Option<(u64, u64)>,
    pub(crate) uses_memory_size: bool,
    grows_tables: bool,
}

/// The value of a constant expression that consists of one `i32.const`.
fn constant(expression: &ConstExpr<'_>) -> Option<u32> {
    let mut operators = expression.get_operators_reader();
    match (operators.read(), operators.read()) {
        (Ok(Operator::I32Const { value }), Ok(Operator::End)) => Some(value.cast_unsigned()),
        _ => None,
    }
}

/// Bytes of a global's value. WAMR stores a reference as an index of 4 bytes.
fn value_bytes(ty: ValType) -> u64 {
    match ty {
        ValType::I64 | ValType::F64 => 8,
        ValType::V128 => 16,
        ValType::I32 | ValType::F32 | ValType::Ref(_) => 4,
    }
}

/// How many elements WAMR allocates for a table that can grow: its maximum size, but at most
/// twice its initial size or 1,024, whichever is more. A table without a maximum gets the
/// latter.
fn most(initial: u64, maximum: Option<u64>) -> u64 {
    let bound = initial.saturating_mul(2).max(1_024);
    maximum.map_or(bound, |maximum| maximum.min(bound).max(initial))
}

impl Survey {
    pub(crate) fn of(wasm: &[u8]) -> Result<Self, Unreadable> {
        let mut survey = Self { page_bytes: 65_536, ..Self::default() };
        let mut growable = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                                survey.imported_functions += 1;
                            }
                            TypeRef::Table(table) => {
                                growable.push((table.initial, table.maximum));
                            }
                            TypeRef::Memory(memory) => survey.add_memory(memory),
                            TypeRef::Global(global) => {
                                survey.imported_globals += 1;
                                survey.globals += 1;
                                survey.global_bytes += value_bytes(global.content_type);
                            }
                            TypeRef::Tag(_) => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => survey.functions = section.count().into(),
                Payload::TableSection(section) => {
                    for table in section {
                        let table = table?.ty;
                        growable.push((table.initial, table.maximum));
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        survey.add_memory(memory?);
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        let global = global?;
                        let ty = global.ty.content_type;
                        survey.globals += 1;
                        survey.global_bytes += value_bytes(ty);
                        let value = constant(&global.init_expr).filter(|_| ty == ValType::I32);
                        survey.own_globals.push(Global { mutable: global.ty.mutable, value });
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        match (export.kind, export.name) {
                            (ExternalKind::Func, _) => survey.exported_functions += 1,
                            (ExternalKind::Global, "__heap_base") => {
                                survey.heap_base = survey.immutable(export.index);
                            }
                            (ExternalKind::Global, "__data_end") => {
                                survey.data_end = survey.immutable(export.index);
                            }
                            _ => {}
                        }
                    }
                }
                Payload::ElementSection(section) => {
                    survey.element_segments = section.count().into();
                }
                Payload::DataSection(section) => {
                    for data in section {
                        survey.data_segments += 1;
                        let data = data?;
                        let DataKind::Active { offset_expr, .. } = data.kind else { continue };
                        let Some(begin) = constant(&offset_expr).map(u64::from) else { continue };
                        let end = begin + data.data.len() as u64;
                        let (first, last) = survey.data.unwrap_or((begin, end));
                        survey.data = Some((first.min(begin), last.max(end)));
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader()? {
                        match operator? {
                            Operator::MemoryGrow { .. } | Operator::MemorySize { .. } => {
                                survey.uses_memory_size = true;
                            }
                            Operator::TableGrow { .. } => survey.grows_tables = true,
                            _ => {}
                        }
                    }
                }
                Payload::CustomSection(section) => {
                    survey.custom_bytes += section.range().end - section.range().start;
                }
                _ => {}
            }
        }
        let grows = survey.grows_tables;
        let elements = |(initial, maximum)| if grows { most(initial, maximum) } else { initial };
        survey.tables = growable.into_iter().map(elements).collect();
        Ok(survey)
    }

    fn add_memory(&mut self, memory: wasmparser::MemoryType) {
        self.memories += 1;
        self.pages += memory.initial;
        self.page_bytes = 1 << memory.page_size_log2.unwrap_or(16);
    }

    /// The value of an immutable i32 global that the module defines.
    fn immutable(&self, index: u32) -> Option<u64> {
        let index = usize::try_from(u64::from(index).checked_sub(self.imported_globals)?).ok()?;
        let global = self.own_globals.get(index).filter(|global| !global.mutable)?;
        global.value.map(u64::from)
    }

    /// The bytes of memory that the module declares.
    pub(crate) fn declared_bytes(&self) -> u64 {
        self.pages.saturating_mul(self.page_bytes)
    }

    /// How many bytes of memory an instance gets, and why.
    pub(crate) fn memory(&self) -> (MemoryKind, u64) {
        let declared = self.declared_bytes();
        if self.memories == 0 {
            return (MemoryKind::None, 0);
        }
        if self.uses_memory_size {
            return (MemoryKind::Grows, declared);
        }
        match (self.heap_base, self.data_end) {
            (Some(base), Some(end)) => {
                let cut = base.next_multiple_of(8);
                if end.next_multiple_of(16) <= base && cut <= declared {
                    (MemoryKind::Cut, cut)
                } else {
                    (MemoryKind::HeapBaseUnusable, declared)
                }
            }
            _ => (MemoryKind::NoExports, declared),
        }
    }

    /// The top of LLVM's stack, which grows down. It is the initial value of the first mutable
    /// i32 global. The linker aligns it to 16.
    pub(crate) fn stack_top(&self) -> Option<u64> {
        let first = self.own_globals.iter().find(|global| global.mutable && global.value.is_some());
        first?.value.map(u64::from).filter(|&top| top > 0 && top.is_multiple_of(16))
    }

    /// The linker's `__heap_base`, if it is exported.
    pub(crate) fn heap_base(&self) -> Option<u64> {
        self.heap_base
    }

    /// The linker's `__data_end`, if it is exported.
    pub(crate) fn data_end(&self) -> Option<u64> {
        self.data_end
    }
}
