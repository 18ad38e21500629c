//! Makes Kconfig's switches known to the compiler, and names the compilers.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    zephyr_build::export_kconfig_bool_options();
    // It prints this with a typing error, so that cargo would not look.
    println!("cargo::rerun-if-changed={}", env::var("DOTCONFIG").expect("set by Zephyr's build"));

    // A switch that our Kconfig does not have is a typing error.
    let here = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    let kconfig = format!("{here}/../../Kconfig");
    println!("cargo::rerun-if-changed={kconfig}");
    println!("cargo::rustc-check-cfg=cfg(CONFIG_ARCH_POSIX, CONFIG_HW_STACK_PROTECTION)");
    let text = fs::read_to_string(kconfig).expect("the repository's Kconfig");
    for symbol in text.lines().filter_map(|line| line.strip_prefix("config WRAMP_")) {
        println!("cargo::rustc-check-cfg=cfg(CONFIG_WRAMP_{symbol})");
    }

    let application = Path::new(&here).join("../..").canonicalize().expect("the repository");
    embed(&application);

    // For the `run` record; CMake knows these.
    for name in ["WRAMP_ZEPHYR_VERSION", "WRAMP_CC"] {
        println!("cargo::rerun-if-env-changed={name}");
        let value = env::var(name).unwrap_or_else(|_| "unknown".to_owned());
        println!("cargo::rustc-env={name}={value}");
    }
    println!("cargo::rustc-env=WRAMP_RUSTC={}", rustc_version());
}

/// Puts the modules of `CONFIG_WRAMP_MODULE` into the firmware. One that cannot run ends the
/// build.
fn embed(application: &Path) {
    let config = fs::read_to_string(env::var("DOTCONFIG").expect("set by Zephyr's build"));
    let config = config.expect("the .config of Zephyr's build");
    let text = |symbol: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix(symbol)?.strip_prefix("=\""));
        line.and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
    };
    let number = |symbol: &str| -> u32 {
        let line = config.lines().find_map(|line| line.strip_prefix(symbol)?.strip_prefix('='));
        line.and_then(|rest| rest.parse().ok()).unwrap_or(0)
    };
    let (items, export) = (text("CONFIG_WRAMP_MODULE"), text("CONFIG_WRAMP_MODULE_EXPORT"));
    let is_host = config.lines().any(|line| line == "CONFIG_WRAMP_IMPORTS=y");
    let leave = is_host.then(|| wramp_modules::Leave {
        allow: text("CONFIG_WRAMP_ALLOW"),
        stubs: text("CONFIG_WRAMP_STUB"),
        seed: number("CONFIG_WRAMP_SEED").into(),
        queue_bytes: number("CONFIG_WRAMP_QUEUE_BYTES"),
        expect: text("CONFIG_WRAMP_EXPECT"),
    });
    let embedded = match wramp_modules::embed(items, export, leave.as_ref(), application) {
        Ok(embedded) => embedded,
        Err(why) => {
            // cargo shows only the first line of a directive.
            for line in why.lines() {
                println!("cargo::error={line}");
            }
            return;
        }
    };
    for file in &embedded.files {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let out = env::var("OUT_DIR").expect("set by cargo");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(Path::new(&out).join(name), bytes).expect("cargo's directory can be written");
    };
    write("modules.rs", embedded.source.as_bytes());
    for (name, wasm) in &embedded.modules {
        write(name, wasm);
    }
}

fn rustc_version() -> String {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}
