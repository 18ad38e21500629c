//! wasmi behind the seam, on the arena for engines in Rust.

wramp_engine_suite::tests_of_an_engine_in_rust!(
    wramp_engine_wasmi::Wasmi,
    "wasmi",
    wramp_engine_wasmi::VERSION
);
