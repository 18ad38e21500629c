//! Compiles the kernels for this machine: what the guests are compared with.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=guest/kernels.c");
    let mut compiler = String::new();
    for (library, name, value) in [
        ("wramp_kernel_bubble_100", "KERNEL_BUBBLE", "100"),
        ("wramp_kernel_bubble_1000", "KERNEL_BUBBLE", "1000"),
        ("wramp_kernel_crc16", "KERNEL_CRC16", "1"),
    ] {
        let mut build = cc::Build::new();
        // As the guests were: a native build that is not optimised is no measure.
        build.file("guest/kernels.c").define(name, value).opt_level(3).compile(library);
        compiler = version(build.get_compiler().path());
    }
    println!("cargo::rustc-env=WRAMP_KERNELS_COMPILER={compiler} -O3");
}

/// The compiler's first line about itself.
fn version(compiler: &Path) -> String {
    let said = Command::new(compiler).arg("--version").output().map(|output| output.stdout);
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
    said.lines().next().unwrap_or("an unknown compiler").to_owned()
}
