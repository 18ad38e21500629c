//! Hands on what `wamr-sys` learned about the C: `cfg`s end at a crate's border.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let fact = |name: &str| {
        // Cargo makes this of the `links` key and the metadata of wamr-sys.
        let name = format!("DEP_VMLIB_{name}");
        env::var(&name).unwrap_or_else(|_| panic!("wamr-sys did not set {name}"))
    };
    let is_2020 = fact("WAMR_2020") == "1";
    let fast = fact("INTERPRETER") == "fast";

    for (name, on) in [
        ("wamr_2020", is_2020),
        ("wamr_metering", fact("WAMR_METERING") == "1"),
        // WAMR 2's fast interpreter makes code of its own from a module, never
        // writes to it, and can be told to keep nothing of it.
        ("wamr_in_place", fast && !is_2020 && fact("MODULE_COPY") == "0"),
    ] {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if on {
            println!("cargo::rustc-cfg={name}");
        }
    }
}
