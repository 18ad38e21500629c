//! Links this package's example guests with the flags of docs/guest.md.
//!
//! A guest in its own project sets them in `.cargo/config.toml`: see guest/templates/rust.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").as_deref() != Ok("wasm") {
        return;
    }
    // The largest frames hold a message of 256 bytes and a line of 96.
    for argument in ["-zstack-size=1024", "--export=__heap_base", "--export=__data_end"] {
        println!("cargo::rustc-link-arg={argument}");
    }
}
