//! Hands on what `wamr-sys` learned about the C: `cfg`s end at a crate's border.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let fact = |name: &str| {
        // Cargo makes this of the `links` key and the metadata of wamr-sys. The second WAMR of a
        // program has a key of its own: see rust/engines/wamr-other.
        let [first, other] = ["VMLIB", "VMLIB_OTHER"].map(|links| format!("DEP_{links}_{name}"));
        env::var(&first)
            .or_else(|_| env::var(&other))
            .unwrap_or_else(|_| panic!("wamr-sys did not set {first}"))
    };
    let fast = fact("INTERPRETER") == "fast";

    // A firmware's build says how many events its scenarios need. A host has memory for more.
    println!("cargo::rerun-if-env-changed=WRAMP_TRACE_EVENTS");
    let events = env::var("WRAMP_TRACE_EVENTS").unwrap_or_else(|_| "256".to_owned());
    println!("cargo::rustc-env=WRAMP_TRACE_EVENTS={events}");

    // Zephyr's build calls cargo without features, so a firmware's Kconfig says it this way.
    println!("cargo::rerun-if-env-changed=WRAMP_WAMR_IMPORTS");
    let imports = env::var_os("CARGO_FEATURE_IMPORTS").is_some()
        || env::var_os("WRAMP_WAMR_IMPORTS").is_some_and(|value| value == "1");

    for (name, on) in [
        ("wamr_imports", imports),
        ("wamr_metering", fact("WAMR_METERING") == "1"),
        // wramp calls start functions, and WAMR does not.
        ("wamr_own_start", fact("WAMR_METERING") == "1" || imports),
        // The fast interpreter makes code of its own from a module, never writes to
        // it, and can be told to keep nothing of it.
        ("wamr_in_place", fast && fact("MODULE_COPY") == "0"),
        ("wamr_const_overflow", fact("CONST_OVERFLOW") == "1"),
        // Nobody knows whether this source has a fault: the engine tests itself.
        ("wamr_unlisted", fact("FIXES").split('+').any(|name| name == "unlisted")),
    ] {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if on {
            println!("cargo::rustc-cfg={name}");
        }
    }
}
