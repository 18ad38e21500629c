//! Compiles WAMR for a host. For a microcontroller CMake has done so already.
//!
//! Either way, the crate learns the same five facts about the C: its version, its interpreter,
//! whether it meters, whether its loader needs a guard, and what was corrected.

mod apart;
mod fixes;
mod source;
mod switches;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

use fixes::Corrections;
use source::Source;
use switches::Switches;

/// What the crate learns about the C. The wrapper learns it through `links`.
struct Facts {
    version: String,
    fast: bool,
    metering: bool,
    /// Whether the wrapper must refuse a function with too many constants.
    const_overflow: bool,
    /// The corrections of WAMR's source: see `fixes::Corrections::names`.
    fixes: String,
    /// The -O level of the interpreter's file, if it is known.
    interpreter_opt: Option<String>,
    /// Whether the C is compiled here. Its platform layer is then completed here too.
    host: bool,
}

fn main() {
    if let Err(why) = build() {
        // A panic would begin with lines about this file, which is not at fault.
        println!("cargo::error={}", why.replace('\n', "; "));
        exit(1);
    }
}

fn build() -> Result<(), String> {
    println!("cargo::rustc-check-cfg=cfg(wamr_metering)");
    println!("cargo::rustc-check-cfg=cfg(wamr_host)");
    println!("cargo::rustc-check-cfg=cfg(wamr_other)");
    if apart::is_other() {
        println!("cargo::rustc-cfg=wamr_other");
    }
    println!("cargo::rustc-check-cfg=cfg(wamr_sanitizer, values(\"address\", \"thread\"))");
    println!("cargo::rerun-if-changed={}", apart::home()?.join("build").display());

    let external = variable("WRAMP_WAMR_EXTERNAL").is_some();
    let facts = if external || env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        external_facts()?
    } else {
        compile()?
    };

    // For the wrapper: whether it copies a module that the engine could read in place.
    let copy = word("WRAMP_MODULE_COPY", &["0", "1"])? == Some(1);
    println!("cargo::metadata=module_copy={}", u8::from(copy));

    let Facts { version, fast, metering, const_overflow, fixes, interpreter_opt, host } = facts;
    if let Some(level) = interpreter_opt {
        println!("cargo::rustc-env=WRAMP_WAMR_INTERPRETER_OPT=O{level}");
    }
    let interpreter = if fast { "fast" } else { "classic" };
    println!("cargo::rustc-env=WRAMP_WAMR_VERSION={version}");
    println!("cargo::rustc-env=WRAMP_WAMR_INTERPRETER={interpreter}");
    println!("cargo::metadata=interpreter={interpreter}");
    println!("cargo::metadata=const_overflow={}", u8::from(const_overflow));
    println!("cargo::rustc-env=WRAMP_WAMR_FIXES={fixes}");
    println!("cargo::metadata=fixes={fixes}");
    for (name, on) in [("wamr_metering", metering), ("wamr_host", host)] {
        if on {
            println!("cargo::rustc-cfg={name}");
        }
        println!("cargo::metadata={name}={}", u8::from(on));
    }
    Ok(())
}

/// An environment variable that is set and not empty. Cargo watches it.
fn variable(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Does the same but accepts only these words. Returns the index of the word.
fn word(name: &str, allowed: &[&str]) -> Result<Option<usize>, String> {
    let Some(value) = variable(name) else { return Ok(None) };
    match allowed.iter().position(|&word| word == value) {
        Some(place) => Ok(Some(place)),
        None => Err(format!("{name} is `{value}`; it can be {}", allowed.join(" or "))),
    }
}

/// Facts about a WAMR that another build compiles. That build sets a variable for each fact.
fn external_facts() -> Result<Facts, String> {
    let fast = word("WRAMP_WAMR_INTERPRETER", &["classic", "fast"])? == Some(1);
    // If the build does not say, the wrapper gets the guard.
    let fixed = word("WRAMP_WAMR_CONST_OVERFLOW", &["0", "1"])? == Some(0);
    // The classic interpreter has no known fault. A fast interpreter tests itself if the build
    // does not say what was corrected.
    let unsaid = if fast { fixes::UNLISTED } else { fixes::NONE };
    let fixes = variable("WRAMP_WAMR_FIXES").unwrap_or_else(|| unsaid.into());
    Ok(Facts {
        version: variable("WRAMP_WAMR_VERSION").unwrap_or_else(|| "unknown".into()),
        fast,
        metering: word("WRAMP_WAMR_METERING", &["0", "1"])? == Some(1),
        const_overflow: fast && !fixed,
        fixes,
        interpreter_opt: variable("WRAMP_WAMR_INTERPRETER_OPT"),
        host: false,
    })
}

fn compile() -> Result<Facts, String> {
    let manifest_dir = apart::home()?;
    println!("cargo::rerun-if-env-changed=WAMR_DIR");

    let list = manifest_dir.join("../../src/wamr.cmake");
    let memory_page = manifest_dir.join("../../src/wamr_memory_page.h");
    println!("cargo::rerun-if-changed={}", list.display());
    println!("cargo::rerun-if-changed={}", memory_page.display());
    let text = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let mut switches =
        switches::parse(&text).map_err(|why| format!("{}, {why}", list.display()))?;

    let source = source::find(&manifest_dir)?;
    choose(&mut switches)?;
    if apart::is_other() {
        // The interpreter that rust/wamr-sys does not have.
        let fast = switches.get_mut("WAMR_BUILD_FAST_INTERP").ok_or("no choice of interpreter")?;
        fast.value = if fast.value == "1" { "0" } else { "1" }.into();
    }
    // snprintf makes the text of an exception and takes some 2 KiB of stack in glibc (WAMR's
    // config.h has figures). A host therefore keeps WAMR's own, larger guard.
    switches.remove("WAMR_BUILD_STACK_GUARD_SIZE");

    let is_on = |name: &str| switches.get(name).is_some_and(|switch| switch.value == "1");
    let fast = is_on("WAMR_BUILD_FAST_INTERP");
    let corrections = correct(&manifest_dir, &source.root, fast)?;
    let facts = Facts {
        version: source.version.clone(),
        fast,
        metering: is_on("WAMR_BUILD_INSTRUCTION_METERING"),
        const_overflow: fast && source.const_overflow,
        fixes: corrections.names,
        interpreter_opt: switches.get("WRAMP_INTERPRETER_OPT").map(|level| level.value.clone()),
        host: true,
    };
    compile_c(&manifest_dir, &source, &switches, &memory_page, &corrections.copies)?;
    Ok(facts)
}

/// Corrects the known faults of this WAMR, in copies of its files.
fn correct(manifest_dir: &Path, root: &Path, fast: bool) -> Result<Corrections, String> {
    let descriptions = manifest_dir.join("../../src/wamr_fixes");
    println!("cargo::rerun-if-changed={}", descriptions.display());
    let copies = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("corrected");
    let interpreter = if fast { "fast" } else { "classic" };
    let corrections = fixes::correct(&fixes::read(&descriptions)?, interpreter, root, &copies)?;
    for warning in &corrections.warnings {
        println!("cargo::warning={warning}");
    }
    Ok(corrections)
}

/// Overrides the list's defaults with what the environment asks for.
fn choose(switches: &mut Switches) -> Result<(), String> {
    let binary = ["0", "1"];
    let mut set = |name: &str, value: Option<String>| {
        let switch = switches.get_mut(name).filter(|switch| switch.choice);
        match (switch, value) {
            (None, _) => Err(format!("src/wamr.cmake offers no choice of {name}")),
            (Some(switch), Some(value)) => {
                switch.value = value;
                Ok(())
            }
            (Some(_), None) => Ok(()),
        }
    };
    let digit = |place: Option<usize>| place.map(|place| place.to_string());

    let interpreter = word("WRAMP_INTERPRETER", &["classic", "fast"])?;
    set("WAMR_BUILD_FAST_INTERP", digit(interpreter))?;
    set("WAMR_BUILD_AOT", digit(word("WRAMP_AOT", &binary)?))?;
    set("WAMR_BUILD_INSTRUCTION_METERING", digit(word("WRAMP_METERING", &binary)?))?;
    let levels = ["s", "2", "3"];
    let level = word("WRAMP_INTERPRETER_OPT", &levels)?;
    set("WRAMP_INTERPRETER_OPT", level.map(|place| levels[place].to_owned()))?;
    let entries = variable("WRAMP_BLOCK_ADDR_CACHE");
    if let Some(entries) = &entries {
        // WAMR finds an entry by a remainder, and 0 would divide by zero.
        if !entries.parse().is_ok_and(|number: u16| number > 0) {
            return Err(format!("WRAMP_BLOCK_ADDR_CACHE is `{entries}`; it can be 1 to 65535"));
        }
    }
    set("WRAMP_BLOCK_ADDR_CACHE_SIZE", entries)
}

/// The architecture in WAMR's words, and WAMR's file that calls native functions. No native
/// function is ever called, but the interpreter refers to that file.
fn architecture() -> Result<(&'static str, &'static str), String> {
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if os != "linux" {
        return Err(format!("a host build of WAMR is for Linux, not {os}"));
    }
    match env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default().as_str() {
        "x86_64" => Ok(("X86_64", "invokeNative_em64.s")),
        "x86" => Ok(("X86_32", "invokeNative_ia32.s")),
        "aarch64" => Ok(("AARCH64", "invokeNative_aarch64.s")),
        other => Err(format!("a host build of WAMR is for x86_64, x86 and aarch64, not {other}")),
    }
}

/// What the compiler checks WAMR's code for, in a build for tests.
#[derive(Clone, Copy)]
enum Sanitizer {
    /// Accesses beyond a variable or a block of the host.
    Address,
    /// Unordered accesses of two threads.
    Thread,
}

impl Sanitizer {
    const NAMES: [&str; 2] = ["address", "thread"];

    fn chosen() -> Result<Option<Self>, String> {
        Ok(match word("WRAMP_SANITIZE", &Self::NAMES)? {
            None => None,
            Some(0) => Some(Self::Address),
            Some(_) => Some(Self::Thread),
        })
    }

    /// The name in `-fsanitize`.
    fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The library that the C compiler would link. rustc tells it not to.
    fn runtime(self) -> &'static str {
        match self {
            Self::Address => "asan",
            Self::Thread => "tsan",
        }
    }
}

fn compile_c(
    manifest_dir: &Path,
    source: &Source,
    switches: &Switches,
    memory_page: &Path,
    corrected: &[(PathBuf, PathBuf)],
) -> Result<(), String> {
    let core = source.root.join("core");
    let (target, invoke_native) = architecture()?;
    let is_on = |name: &str| switches.get(name).is_some_and(|switch| switch.value == "1");

    let mut base = cc::Build::new();
    base.flag("-std=gnu99")
        .flag("-ffunction-sections")
        .flag("-fdata-sections")
        // WAMR's warnings concern its maintainers.
        .warnings(false)
        // This is how Zephyr builds it. A debug build of wramp does the same, because the
        // figures of an unoptimised interpreter are of no use.
        .opt_level_str("s")
        .force_frame_pointer(false)
        .define("NDEBUG", None)
        .define("BH_PLATFORM_LINUX", None)
        .define("BH_MALLOC", "wasm_runtime_malloc")
        .define("BH_FREE", "wasm_runtime_free")
        .define("_GNU_SOURCE", None)
        .define(&format!("BUILD_TARGET_{target}"), None);
    if target == "X86_32" {
        // The i386 ABI aligns a 64-bit field of a struct to 4 bytes, and every ABI of a
        // microcontroller to 8. With this option WAMR's structs have the sizes that they have
        // on ARM, so a 32-bit host can predict a microcontroller. No struct that WAMR shares
        // with libc has such a field in a place that would move.
        base.flag("-malign-double");
    }
    for (name, switch) in switches {
        for name in switches::macros(name).into_iter().flatten() {
            base.define(&name, switch.value.as_str());
        }
    }
    // These are not in the list. CMake derives them from the switch of AOT.
    let aot = if is_on("WAMR_BUILD_AOT") { "1" } else { "0" };
    base.define("WASM_ENABLE_QUICK_AOT_ENTRY", aot).define("WASM_ENABLE_AOT_INTRINSICS", aot);
    for dir in [
        "iwasm/include",
        "iwasm/common",
        "iwasm/interpreter",
        "iwasm/aot",
        "shared/mem-alloc",
        "shared/platform/include",
        "shared/platform/linux",
        "shared/utils",
    ] {
        base.include(core.join(dir));
    }

    // The files that WAMR's CMake would take, found in the same way: by directory.
    let fast = is_on("WAMR_BUILD_FAST_INTERP");
    let interpreter = if fast { "wasm_interp_fast.c" } else { "wasm_interp_classic.c" };
    let mut plain = vec![
        core.join("iwasm/interpreter/wasm_loader.c"),
        core.join("iwasm/interpreter/wasm_runtime.c"),
        core.join("iwasm/common/arch").join(invoke_native),
        core.join("shared/mem-alloc/mem_alloc.c"),
        // Our own file. It gives the tests the layouts that src/lib.rs writes down.
        manifest_dir.join("build/layout.c"),
        // Our own file, also in Zephyr's build. It says what an instance's bytes are for.
        memory_page.with_file_name("wamr_parts.c"),
        // Our own file. It links imports; a linker leaves it out where nobody does.
        memory_page.with_file_name("wamr_imports.c"),
    ];
    // wasm_application.c runs a main (WAMR_DISABLE_APP_ENTRY). The other file is compiled
    // below.
    let unused = ["wasm_application.c", "wasm_memory.c"];
    plain.extend(c_files(&core.join("iwasm/common"), &unused)?);
    plain.extend(c_files(&core.join("shared/mem-alloc/ems"), &[])?);
    plain.extend(c_files(&core.join("shared/utils"), &[])?);
    plain.extend(c_files(&core.join("shared/platform/linux"), &[])?);
    // posix_memmap.c would map linear memory outside the arena. src/host.rs replaces it with
    // what Zephyr's port has. The others belong to WASI.
    let unused = ["posix_memmap.c", "posix_file.c", "posix_clock.c", "posix_socket.c"];
    plain.extend(c_files(&core.join("shared/platform/common/posix"), &unused)?);
    if is_on("WAMR_BUILD_AOT") {
        let unused = ["aot_perf_map.c", "aot_validator.c"];
        plain.extend(c_files(&core.join("iwasm/aot"), &unused)?);
        let relocations = match target {
            "X86_64" => "aot_reloc_x86_64.c",
            "X86_32" => "aot_reloc_x86_32.c",
            _ => "aot_reloc_aarch64.c",
        };
        plain.push(core.join("iwasm/aot/arch").join(relocations));
    }

    let sanitizer = Sanitizer::chosen()?;
    if let Some(sanitizer) = sanitizer {
        let name = sanitizer.name();
        base.flag(format!("-fsanitize={name}")).flag("-fno-omit-frame-pointer").flag("-g1");
        // For the test that the sanitizer really watches.
        plain.push(manifest_dir.join("build/sanitizer.c"));
        println!("cargo::rustc-cfg=wamr_sanitizer=\"{name}\"");
    }

    let mut builds = Vec::new();
    let mut memory = base.clone();
    if let Some(Sanitizer::Thread) = sanitizer {
        let mut order = base.clone();
        order.file(manifest_dir.join("build/order.c"));
        builds.push(order);
        for build in [&mut base, &mut memory] {
            build.flag("-include").flag(manifest_dir.join("build/order.h"));
        }
        memory.define("WRAMP_MEMORY", None);
    }
    memory.file(core.join("iwasm/common/wasm_memory.c")).flag("-include").flag(memory_page);
    let mut interpreter_build = base.clone();
    interpreter_build
        .file(core.join("iwasm/interpreter").join(interpreter))
        .opt_level_str(&switches["WRAMP_INTERPRETER_OPT"].value);
    for file in &mut plain {
        // Cargo watches the originals and not the copies. A copy is newer than this run of the
        // script, so cargo would run the script again and again.
        println!("cargo::rerun-if-changed={}", file.display());
        if let Some((_, copy)) = corrected.iter().find(|(original, _)| original == file) {
            file.clone_from(copy);
        }
    }
    // Each correction must have replaced a file of this list.
    let places = plain.iter().filter(|file| corrected.iter().any(|(_, copy)| copy == *file));
    if places.count() != corrected.len() {
        return Err("src/wamr_fixes corrects a file that is not in `plain` of the build".into());
    }

    builds.extend([memory, interpreter_build]);
    for file in builds.iter().flat_map(cc::Build::get_files) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    base.files(&plain);
    builds.push(base);

    let mut objects = Vec::new();
    for build in &builds {
        objects.extend(build.try_compile_intermediates().map_err(|error| error.to_string())?);
    }
    let library = if apart::is_other() {
        apart::rename(&objects)?;
        "wamr_other"
    } else {
        "wamr"
    };
    cc::Build::new().objects(objects).try_compile(library).map_err(|error| error.to_string())?;
    if let Some(sanitizer) = sanitizer {
        // The sanitizer's runtime refuses to start after libc. Libraries of a crate come before
        // those of std, and the first one that a crate names comes first.
        println!("cargo::rustc-link-lib=dylib={}", sanitizer.runtime());
    }
    // The interpreters use libm. The other libraries are part of glibc itself.
    println!("cargo::rustc-link-lib=m");
    println!("cargo::rustc-link-lib=pthread");
    Ok(())
}

/// The C files of a directory except these, sorted by name.
fn c_files(dir: &Path, but: &[&str]) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension() == Some(OsStr::new("c")))
        .filter(|path| !but.iter().any(|&name| path.file_name() == Some(OsStr::new(name))))
        .collect();
    files.sort();
    Ok(files)
}
