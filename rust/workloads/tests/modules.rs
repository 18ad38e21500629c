//! Reads every module's bytes: what any engine, even an old one, finds there.

mod common;

use std::collections::BTreeSet;
use std::fs;

use wasmparser::{
    ExternalKind, FuncType, GlobalType, MemoryType, Operator, Parser, Payload, ValType, Validator,
    WasmFeatures,
};
use wramp_core::runtime::Parameters;
use wramp_workloads::{ALL, MIXED, Workload, find};

/// The parts of a module that the tests ask about.
#[derive(Default)]
struct Parts {
    types: Vec<FuncType>,
    functions: Vec<u32>,
    memories: Vec<MemoryType>,
    /// The globals, with the value of an `i32.const` that a global starts from.
    globals: Vec<(GlobalType, Option<u32>)>,
    exports: Vec<(String, ExternalKind, u32)>,
    imports: usize,
    /// Custom, data, element, table and start sections, and those that came after 1.0.
    other_sections: usize,
    /// Globals that code writes.
    written: BTreeSet<u32>,
    asks_for_memory_size: bool,
}

impl Parts {
    fn of(workload: &Workload) -> Self {
        let mut parts = Self::default();
        for payload in Parser::new(0).parse_all(workload.wasm) {
            match payload.unwrap() {
                Payload::TypeSection(types) => {
                    parts.types.extend(types.into_iter_err_on_gc_types().map(Result::unwrap))
                }
                Payload::FunctionSection(all) => {
                    parts.functions.extend(all.into_iter().map(Result::unwrap));
                }
                Payload::MemorySection(all) => {
                    parts.memories.extend(all.into_iter().map(Result::unwrap));
                }
                Payload::GlobalSection(all) => {
                    for global in all {
                        let global = global.unwrap();
                        let start = global.init_expr.get_operators_reader().read().unwrap();
                        let start = match start {
                            Operator::I32Const { value } => Some(value as u32),
                            _ => None,
                        };
                        parts.globals.push((global.ty, start));
                    }
                }
                Payload::ExportSection(all) => {
                    for export in all {
                        let export = export.unwrap();
                        parts.exports.push((export.name.into(), export.kind, export.index));
                    }
                }
                Payload::ImportSection(_) => parts.imports += 1,
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader().unwrap() {
                        match operator.unwrap() {
                            Operator::GlobalSet { global_index } => {
                                parts.written.insert(global_index);
                            }
                            Operator::MemorySize { .. } | Operator::MemoryGrow { .. } => {
                                parts.asks_for_memory_size = true;
                            }
                            _ => {}
                        }
                    }
                }
                Payload::Version { .. } | Payload::CodeSectionStart { .. } | Payload::End(_) => {}
                _ => parts.other_sections += 1,
            }
        }
        parts
    }

    /// The value of the immutable global that is exported under that name.
    fn exported_constant(&self, name: &str) -> Option<u32> {
        let (_, _, index) = self
            .exports
            .iter()
            .find(|(export, kind, _)| export == name && *kind == ExternalKind::Global)?;
        let (ty, start) = self.globals[*index as usize];
        start.filter(|_| ty.content_type == ValType::I32 && !ty.mutable)
    }

    /// Index of the global that WAMR takes for the stack pointer.
    fn stack_pointer(&self, heap_base: u32) -> Option<usize> {
        self.globals.iter().position(|&(ty, start)| {
            ty.mutable
                && ty.content_type == ValType::I32
                && start.is_some_and(|start| start <= heap_base)
        })
    }

    /// Bytes of linear memory by WAMR's rule (wasm_loader.c, "reset memory info to decrease
    /// memory usage"). The rule counts memory.size as growth.
    fn memory_bytes(&self) -> u64 {
        let Some(memory) = self.memories.first() else { return 0 };
        let declared = memory.initial * 65_536;
        let truncated = || {
            let heap_base = self.exported_constant("__heap_base")?;
            let data_end = self.exported_constant("__data_end")?.next_multiple_of(16);
            self.stack_pointer(heap_base)?;
            (data_end <= heap_base && !self.asks_for_memory_size)
                .then(|| u64::from(heap_base.next_multiple_of(8)))
        };
        truncated().filter(|&bytes| bytes <= declared).unwrap_or(declared)
    }
}

#[test]
fn modules_are_the_mvp_without_floats() {
    // No sign extension, bulk memory, multi-value or reference types, and no mutable global
    // across the border. Any engine accepts such modules, even one that was built without
    // floating point.
    let features =
        WasmFeatures::WASM1.difference(WasmFeatures::FLOATS | WasmFeatures::MUTABLE_GLOBAL);
    for workload in ALL {
        Validator::new_with_features(features)
            .validate_all(workload.wasm)
            .unwrap_or_else(|error| panic!("{}: {error}", workload.name));
    }
}

#[test]
fn modules_import_nothing_and_carry_nothing_else() {
    for workload in ALL {
        let parts = Parts::of(workload);
        assert_eq!(parts.imports, 0, "{}", workload.name);
        assert_eq!(parts.other_sections, 0, "{}", workload.name);
        let mutable = parts.exports.iter().any(|(_, kind, index)| {
            *kind == ExternalKind::Global && parts.globals[*index as usize].0.mutable
        });
        assert!(!mutable, "{}: exports a mutable global", workload.name);
    }
}

#[test]
fn exports_have_the_parameters_that_the_table_says() {
    for workload in ALL {
        let parts = Parts::of(workload);
        let (_, kind, index) =
            parts.exports.iter().find(|(name, ..)| name == workload.export).unwrap();
        assert_eq!(*kind, ExternalKind::Func);
        let ty = &parts.types[parts.functions[*index as usize] as usize];
        let (parameters, text) = match workload.parameters {
            Parameters::None => (&[][..], "()"),
            Parameters::I32 => (&[ValType::I32][..], "(i32)"),
        };
        assert_eq!(ty.params(), parameters, "{}", workload.name);
        assert_eq!(ty.results(), [ValType::I32], "{}", workload.name);
        let said = common::header(workload, "export");
        assert_eq!(said, format!("{} {text} -> i32", workload.export), "{}", workload.source);
    }
}

#[test]
fn memory_is_what_the_table_and_the_header_say() {
    for workload in ALL {
        let parts = Parts::of(workload);
        assert_eq!(parts.memory_bytes(), u64::from(workload.memory_bytes), "{}", workload.name);
        let truncated = workload.memory_bytes % 65_536 != 0;
        let said = common::header(workload, "memory");
        let how = if truncated { " (one page declared, truncated at __heap_base)" } else { "" };
        assert_eq!(said, format!("{} bytes{how}", workload.memory_bytes), "{}", workload.source);
        for memory in &parts.memories {
            assert_eq!((memory.initial, memory.maximum), (1, Some(1)), "{}", workload.name);
            let exported = parts
                .exports
                .iter()
                .any(|(name, kind, _)| name == "memory" && *kind == ExternalKind::Memory);
            assert!(exported, "{}: tests cannot reach its memory", workload.name);
        }
    }
}

#[test]
fn nothing_writes_what_wamr_takes_for_the_stack_pointer() {
    for workload in ALL {
        let parts = Parts::of(workload);
        let Some(heap_base) = parts.exported_constant("__heap_base") else { continue };
        let stack_pointer = parts.stack_pointer(heap_base).unwrap();
        assert_eq!(stack_pointer, 0, "{}", workload.name);
        // Under WAMR, a write below the stack's bound traps.
        assert!(!parts.written.contains(&0), "{}", workload.name);
    }
}

#[test]
fn cpu_has_one_mutable_global() {
    let parts = Parts::of(find("cpu").unwrap());
    assert_eq!(parts.globals.len(), 1);
    assert!(parts.globals[0].0.mutable);
}

#[test]
fn table_and_directory_list_the_same() {
    let listed: BTreeSet<_> = ALL.iter().map(|workload| workload.source.to_owned()).collect();
    let present: BTreeSet<_> = fs::read_dir(common::root().join("wat"))
        .unwrap()
        .map(|entry| format!("wat/{}", entry.unwrap().file_name().to_str().unwrap()))
        .filter(|path| path.ends_with(".wat"))
        .collect();
    assert_eq!(listed, present);
    assert_eq!(listed.len(), ALL.len(), "a source is listed twice");
}

#[test]
fn names_are_unique_lowercase_and_found() {
    for workload in ALL {
        let name = workload.name;
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
        assert_eq!(workload.source, format!("wat/{name}.wat"));
        assert_eq!(ALL.iter().filter(|other| other.name == name).count(), 1, "{name}");
        assert_eq!(find(name).unwrap().source, workload.source);
    }
    assert!(find("CPU").is_none() && find("").is_none());
    assert!(MIXED.iter().all(|name| find(name).is_some()));
}

#[test]
fn a_source_opens_with_its_summary() {
    for workload in ALL {
        let tagline = format!(";; {}: {}", workload.name, workload.summary);
        assert_eq!(common::source(workload).lines().next().unwrap(), tagline);
        for line in common::source(workload).lines() {
            assert!(line.len() <= 80, "{}: {line}", workload.source);
        }
        assert!(!common::header(workload, "stresses").is_empty());
    }
}

#[test]
fn a_module_lies_where_a_cpu_can_read_words() {
    let modules = ALL.iter().map(|workload| (workload.name, workload.wasm));
    for (name, wasm) in modules.chain([("sweep", wramp_workloads::SWEEP)]) {
        assert!(wasm.as_ptr().addr() % 4 == 0, "{name} lies at {:p}", wasm.as_ptr());
    }
}
