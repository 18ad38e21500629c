//! Puts a user's modules into the firmware.
//!
//! The firmware's build script calls [`embed`] with what `CONFIG_WRAMP_MODULE` says. It reads
//! each module, refuses one that no board can run, and returns the Rust source of a table of
//! guests. So a broken file stops the build and not the board.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wasmparser::{Parser, Payload, ValType};
use wramp_bench::{Count, Item, MAX_MODULES};
use wramp_core::runtime::Parameters;

/// The longest module file that is read, in bytes. No microcontroller holds one of this size.
pub const MOST_BYTES: u64 = 64 << 20;

/// The modules of a firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Rust source: the constants `OWN` and `IS_MIX`.
    pub source: String,
    /// Files that the source depends on.
    pub files: Vec<PathBuf>,
    /// The modules in the binary format, with the file names under which the source includes
    /// them.
    pub modules: Vec<(String, Vec<u8>)>,
}

/// The engine reads words of a module, and some cores fault on a misaligned word.
const ALIGNED: &str = "/// Bytes at an address from which words can be read.\n#[repr(align(8))]\nstruct \
                       Aligned<T: ?Sized>(T);\n";

/// The exports that calls enter where nobody names one.
const EXPORTS: [&str; 2] = ["run", "_start"];

/// Reads the modules that `items` names, separated by spaces: `FILE[:EXPORT][=N|=*]`.
///
/// A relative name is relative to `application`. `export` serves the items that name none.
///
/// # Errors
/// A sentence that names the file and the reason.
pub fn embed(items: &str, export: &str, application: &Path) -> Result<Embedded, String> {
    let parse = |text| {
        Item::parse(text).ok_or_else(|| {
            format!("CONFIG_WRAMP_MODULE: `{text}` is not FILE[:EXPORT][=N|=*], N being 1 or more")
        })
    };
    let items = items.split_whitespace().map(parse).collect::<Result<Vec<_>, _>>()?;
    if items.len() > MAX_MODULES {
        let count = items.len();
        return Err(format!("CONFIG_WRAMP_MODULE: {count} modules, {MAX_MODULES} at most"));
    }
    // A number makes it a mix. Otherwise each module has a ramp of its own.
    let is_mix = items.iter().any(|item| item.count.is_some());
    let mut embedded = Embedded { source: String::new(), files: Vec::new(), modules: Vec::new() };
    let mut guests = String::new();
    let mut names: Vec<String> = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let count = match (item.count, is_mix) {
            (Some(count), _) => count,
            (None, true) => Count::Exactly(1),
            (None, false) => Count::Most,
        };
        let count = match count {
            Count::Most => "Count::Most".to_owned(),
            Count::Exactly(count) => format!("Count::Exactly({count})"),
        };
        let path = application.join(item.module);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = stem.unwrap_or_else(|| "module".to_owned());
        if names.contains(&name) {
            return Err(format!("CONFIG_WRAMP_MODULE: two modules are called {name}: rename one"));
        }
        names.push(name.clone());
        // A built-in workload needs no file.
        if !path.exists() && wramp_bench::has_workload(item.module) {
            let module = item.module;
            writeln!(guests, "    Guest {{ count: {count}, ..guest({module:?}) }},")
                .map_err(|error| error.to_string())?;
            continue;
        }
        let shown = path.display();
        let named = |why: String| format!("CONFIG_WRAMP_MODULE: {shown}: {why}");
        let wasm = read(&path).map_err(named)?;
        let wanted = item.export.or(Some(export).filter(|export| !export.is_empty()));
        let (export, parameters) = callable(&wasm, wanted).map_err(named)?;
        let parameters = match parameters {
            Parameters::None => "None",
            Parameters::I32 => "I32",
        };
        let file = format!("module{place}.wasm");
        write!(
            guests,
            r#"    Guest {{
        name: {name:?},
        module: ModuleBytes::Static({{
            static BYTES: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/{file}")));
            &BYTES.0
        }}),
        export: {export:?},
        parameters: Parameters::{parameters},
        check: Check::Agreement({{
            static AGREEMENT: wramp_bench::Agreement = wramp_bench::Agreement::new();
            &AGREEMENT
        }}),
        count: {count},
    }},
"#
        )
        .map_err(|error| error.to_string())?;
        embedded.files.push(path);
        embedded.modules.push((file, wasm));
    }
    let aligned = if embedded.modules.is_empty() { "" } else { ALIGNED };
    embedded.source = format!(
        "/// Whether the user's modules run side by side, in numbers.\nconst IS_MIX: bool = \
         {is_mix};\n{aligned}/// The user's modules.\nstatic OWN: &[Guest<'static>] = &[\n{guests}];\n"
    );
    Ok(embedded)
}

/// Reads a module, compiles it where it is text, and checks that it is valid for the engine.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let told = |error: std::io::Error| error.to_string();
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it is longer than {} MiB", MOST_BYTES >> 20));
    }
    if path.extension().is_some_and(|extension| extension == "wat") {
        bytes = wat::parse_bytes(&bytes).map_err(|error| error.to_string())?.into_owned();
    }
    wramp_validate::check(&bytes).map_err(|refusal| refusal.to_string())?;
    Ok(bytes)
}

/// The export that calls enter, and what it takes.
fn callable<'w>(wasm: &'w [u8], wanted: Option<&'w str>) -> Result<(&'w str, Parameters), String> {
    let (mut imports, mut functions) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports().map_while(Result::ok) {
                    imports.push(format!("{}.{}", import.module, import.name));
                }
            }
            Payload::ExportSection(section) => {
                for export in section.into_iter().map_while(Result::ok) {
                    if export.kind == wasmparser::ExternalKind::Func {
                        functions.push(export.name);
                    }
                }
            }
            _ => {}
        }
    }
    if !imports.is_empty() {
        return Err(format!(
            "it imports {}, which the firmware does not provide",
            imports.join(", ")
        ));
    }
    let export = match wanted {
        Some(name) => functions.iter().find(|known| **known == name).copied(),
        None => {
            EXPORTS.iter().find_map(|name| functions.iter().find(|known| *known == name)).copied()
        }
    };
    let export = export.ok_or_else(|| {
        let what = wanted.map_or_else(
            || "it exports neither run nor _start; name one with FILE:EXPORT".to_owned(),
            |name| format!("it exports no function {name}"),
        );
        format!("{what}; its functions are: {}", functions.join(", "))
    })?;
    let signature = wramp_validate::signature(wasm, export);
    let types = signature.as_ref().map(|found| (found.params(), found.results()));
    match types {
        Some(([], [ValType::I32])) => Ok((export, Parameters::None)),
        Some(([ValType::I32], [ValType::I32])) => Ok((export, Parameters::I32)),
        _ => Err(format!("{export} is neither () -> i32 nor (i32) -> i32")),
    }
}
