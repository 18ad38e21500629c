//! Puts a user's modules into the firmware.
//!
//! The firmware's build script calls [`embed`] with what `CONFIG_WRAMP_MODULE` says. It reads
//! each module, refuses one that no board can run, and returns the Rust source of a table of
//! guests. So a broken file stops the build and not the board.
#![forbid(unsafe_code)]

pub mod guest;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wasmparser::ValType;
use wramp_bench::{Count, Expected, Item, MAX_MODULES};
use wramp_imports::{Capability, Grants, Stub};

/// The longest module file that is read, in bytes. No microcontroller holds one of this size.
pub const MOST_BYTES: u64 = 64 << 20;

/// The modules of a firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Rust source: the constants `OWN`, `IS_MIX` and, where guests may have imports, `HOST`.
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

/// What the guests of a firmware may have, in the words of Kconfig.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leave<'a> {
    /// `CONFIG_WRAMP_ALLOW`: capabilities, separated by commas.
    pub allow: &'a str,
    /// `CONFIG_WRAMP_STUB`: functions that do nothing, separated by spaces.
    pub stubs: &'a str,
    /// `CONFIG_WRAMP_SEED`: where `random_get` begins.
    pub seed: u64,
    /// `CONFIG_WRAMP_QUEUE_BYTES`: the queue of each instance that receives.
    pub queue_bytes: u32,
    /// `CONFIG_WRAMP_EXPECT`: what each call has to give, or nothing.
    pub expect: &'a str,
}

impl<'a> Leave<'a> {
    fn capabilities(&self) -> Result<Vec<Capability>, String> {
        let words = self.allow.split(',').map(str::trim).filter(|word| !word.is_empty());
        let read = |word: &str| {
            word.parse().map_err(|what| format!("CONFIG_WRAMP_ALLOW: `{word}` is not {what}"))
        };
        words.map(read).collect()
    }

    fn expected(&self) -> Result<Option<Expected>, String> {
        let wrong =
            |text: &str| format!("CONFIG_WRAMP_EXPECT: `{text}` is neither `any` nor an i32");
        match self.expect {
            "" => Ok(None),
            text => Expected::parse(text).map(Some).ok_or_else(|| wrong(text)),
        }
    }

    fn functions(&self) -> Result<Vec<Stub<'a>>, String> {
        let read = |word| {
            Stub::parse(word)
                .ok_or_else(|| format!("CONFIG_WRAMP_STUB: `{word}`: as in env.start_trigger"))
        };
        self.stubs.split_whitespace().map(read).collect()
    }
}

/// What a build without imports says of a module whose instances need a host.
const NEEDS_HOST: &str = "it has imports, or an export that only a host can call (wramp_poll, \
                          _start, a result that is no i32), and this build has no host: set \
                          CONFIG_WRAMP_IMPORTS=y";

/// Without metering nobody would see to a budget.
const METERS: &str = "const _: () = assert!(cfg!(CONFIG_WRAMP_METERING), \"CONFIG_WRAMP_MODULE: a budget \
                      takes CONFIG_WRAMP_METERING=y\");\n";

/// Reads the modules that `items` names, separated by spaces: `FILE[:EXPORT][=N|=*]`.
///
/// A relative name is relative to `application`. `export` serves the items that name none. `leave`
/// says what guests may have, if the firmware is a host.
///
/// # Errors
/// A sentence that names the file and the reason.
pub fn embed(
    items: &str,
    export: &str,
    leave: Option<&Leave<'_>>,
    application: &Path,
) -> Result<Embedded, String> {
    let nothing = Leave::default();
    let given = leave.unwrap_or(&nothing);
    let (capabilities, stubs) = (given.capabilities()?, given.functions()?);
    let expected = given.expected()?;
    let grants = capabilities
        .iter()
        .fold(Grants::new(&stubs, given.seed), |grants, &capability| grants.allow(capability));
    let (mut needs_host, mut receives) = (expected.is_some(), false);
    let parse = |text| {
        Item::parse(text).ok_or_else(|| {
            format!(
                "CONFIG_WRAMP_MODULE: `{text}` is not FILE[:EXPORT][=N|=*], N being 1 or more; \
                     after a number, :budget=INSTRUCTIONS may follow"
            )
        })
    };
    let items = items.split_whitespace().map(parse).collect::<Result<Vec<_>, _>>()?;
    // A number makes it a mix. Otherwise each module has a ramp of its own.
    let is_mix = items.iter().any(|item| item.count.is_some());
    if is_mix && items.len() > MAX_MODULES {
        let count = items.len();
        return Err(format!(
            "CONFIG_WRAMP_MODULE: {count} modules side by side, {MAX_MODULES} at most"
        ));
    }
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
        let budget = item.budget.map_or_else(
            || "None".to_owned(),
            |budget| format!("core::num::NonZeroU32::new({budget})"),
        );
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
            writeln!(
                guests,
                "    Guest {{ count: {count}, budget: {budget}, ..guest({module:?}) }},"
            )
            .map_err(|error| error.to_string())?;
            continue;
        }
        let shown = path.display();
        let named = |why: String| format!("CONFIG_WRAMP_MODULE: {shown}: {why}");
        let wasm = read(&path).map_err(named)?;
        let wanted = item.export.or(Some(export).filter(|export| !export.is_empty()));
        let needs = |export: &str| guest::needs_host(&wasm, export);
        if leave.is_none() && wramp_imports::imports(&wasm).next().is_some() {
            return Err(named(NEEDS_HOST.to_owned()));
        }
        let export = guest::check(&wasm, wanted, &grants).map_err(in_kconfig).map_err(named)?;
        if leave.is_none() && needs(&export) {
            return Err(named(NEEDS_HOST.to_owned()));
        }
        needs_host |= needs(&export);
        receives |= guest::receives(&wasm);
        let signature = wramp_validate::signature(&wasm, &export);
        let parameters = match signature.as_ref().map(|found| found.params()) {
            Some([ValType::I32]) => "I32",
            _ => "None",
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
        budget: {budget},
    }},
"#
        )
        .map_err(|error| error.to_string())?;
        embedded.files.push(path);
        embedded.modules.push((file, wasm));
    }
    let meters = match items.iter().any(|item| item.budget.is_some()) {
        true => METERS,
        false => "",
    };
    let aligned = if embedded.modules.is_empty() { "" } else { ALIGNED };
    embedded.source = format!(
        "/// Whether the user's modules run side by side, in numbers.\nconst IS_MIX: bool = \
         {is_mix};\n{meters}{aligned}/// The user's modules.\nstatic OWN: &[Guest<'static>] = &[\n{guests}];\n"
    );
    if leave.is_some() {
        let queue_bytes = if receives { given.queue_bytes } else { 0 };
        let host = if needs_host {
            let grants = source_of(&capabilities, &stubs, given.seed);
            let expected = match expected {
                Some(expected) => format!("Some(wramp_bench::Expected::{expected:?})"),
                None => "None".to_owned(),
            };
            format!("Some(({grants}, Bytes({queue_bytes}), {expected}))")
        } else {
            "None".to_owned()
        };
        embedded.source += &format!(
            "/// What the user's guests may have, the bytes of each one's queue, and what a call has \
             to give.\nconst HOST: Option<(wramp_imports::Grants<'static>, Bytes, Option<wramp_bench::Expected>)> = \
             {host};\n"
        );
    }
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

/// The grants as Rust source.
fn source_of(capabilities: &[Capability], stubs: &[Stub<'_>], seed: u64) -> String {
    let stubs: String = stubs
        .iter()
        .map(|Stub { module, name }| {
            format!("wramp_imports::Stub {{ module: {module:?}, name: {name:?} }}, ")
        })
        .collect();
    let allowed: String = capabilities
        .iter()
        .map(|capability| format!(".allow(wramp_imports::Capability::{capability:?})"))
        .collect();
    format!("wramp_imports::Grants::new(&[{stubs}], {seed}){allowed}")
}

/// Adds what the options of a refusal are called in Kconfig.
fn in_kconfig(why: String) -> String {
    let names = [
        ("--allow ", "CONFIG_WRAMP_ALLOW"),
        ("--stub ", "CONFIG_WRAMP_STUB"),
        ("--export ", "CONFIG_WRAMP_MODULE_EXPORT"),
    ];
    let said: Vec<_> = names
        .into_iter()
        .filter(|(option, _)| why.contains(option))
        .map(|(option, symbol)| format!("{} is {symbol}", option.trim()))
        .collect();
    if said.is_empty() { why } else { format!("{why}\n  In Kconfig {}.", said.join(", ")) }
}
