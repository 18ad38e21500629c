//! Where in a module a byte is: its offset, and the function that holds it.

use std::fmt;

use wasmparser::{ExternalKind, KnownCustom, Name, Parser, Payload, TypeRef};

use crate::name;

/// A byte of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its offset in the file, from 0.
    pub offset: usize,
    /// The function whose body it is in.
    pub function: Option<Function>,
}

/// A function of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its number, imported functions included, as tools print it.
    pub index: u32,
    /// Its name in the name section, or else the name of its export. It is cut, and cannot steer
    /// a terminal.
    pub name: Option<String>,
}

impl Place {
    /// Finds the function around a byte. A module that cannot be read to the end is read as far
    /// as possible.
    #[must_use]
    pub fn of(wasm: &[u8], offset: usize) -> Self {
        let (mut imported, mut bodies, mut index) = (0_u32, 0_u32, None);
        let (mut exported, mut named) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
            match payload {
                Payload::ImportSection(section) => {
                    let imports = section.into_imports().map_while(Result::ok);
                    let functions = imports
                        .filter(|one| matches!(one.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                    imported = u32::try_from(functions.count()).unwrap_or(u32::MAX);
                }
                Payload::ExportSection(section) => {
                    let exports = section.into_iter().map_while(Result::ok);
                    exported = exports
                        .filter(|export| export.kind == ExternalKind::Func)
                        .map(|export| (export.index, export.name))
                        .collect();
                }
                Payload::CodeSectionEntry(body) => {
                    let range = body.range();
                    // The byte behind a body is where its missing end would be.
                    let inside = range.start as usize <= offset && offset <= range.end as usize;
                    if inside && index.is_none() {
                        index = Some(imported.saturating_add(bodies));
                    }
                    bodies += 1;
                }
                Payload::CustomSection(section) => {
                    let KnownCustom::Name(names) = section.as_known() else { continue };
                    for names in names.into_iter().map_while(Result::ok) {
                        if let Name::Function(map) = names {
                            named.extend(
                                map.into_iter().map_while(Result::ok).map(|n| (n.index, n.name)),
                            );
                        }
                    }
                }
                _ => {}
            }
        }
        let function = index.map(|index| {
            let of = |names: &[(u32, &str)]| {
                names.iter().find(|(of, _)| *of == index).map(|(_, text)| name(text))
            };
            Function { index, name: of(&named).or_else(|| of(&exported)) }
        });
        Self { offset, function }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}", self.offset)?;
        match &self.function {
            Some(Function { index, name: Some(name) }) => {
                write!(f, " in function {index} `{name}`")
            }
            Some(Function { index, name: None }) => write!(f, " in function {index}"),
            None => Ok(()),
        }
    }
}
