//! The type of an exported function.

use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef};

/// The signature of an exported function; `None` where it cannot be read, and for one of GC types.
#[must_use]
pub fn signature(wasm: &[u8], export: &str) -> Option<FuncType> {
    let (mut types, mut functions, mut found) = (Vec::new(), Vec::new(), None);
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::TypeSection(section) => {
                types.extend(section.into_iter_err_on_gc_types().map_while(Result::ok));
            }
            Payload::ImportSection(section) => functions.extend(
                section.into_imports().map_while(Result::ok).filter_map(|import| match import.ty {
                    TypeRef::Func(index) => Some(index),
                    _ => None,
                }),
            ),
            Payload::FunctionSection(section) => {
                functions.extend(section.into_iter().map_while(Result::ok));
            }
            Payload::ExportSection(section) => {
                found = section
                    .into_iter()
                    .map_while(Result::ok)
                    .find(|entry| entry.name == export && entry.kind == ExternalKind::Func)
                    .map(|entry| entry.index as usize);
            }
            _ => {}
        }
    }
    let index: u32 = *functions.get(found?)?;
    types.into_iter().nth(index as usize)
}
