//! The published ESP32-S3 benchmark as a reference for `wramp compare`.
//!
//! The source is absmach/propeller, examples/esp32s3-wasm-benchmark-zephyr. It runs Zephyr and
//! WAMR's classic interpreter with AOT compiled in, at 240 MHz on one core, with an arena of
//! 192 KiB, 24 slots of 4 KiB and 4 KiB of interpreter stack. Its article rounds to KiB. A figure
//! that is exact here was computed from WAMR's own sizes, and its source says so.

/// The reference's name on the command line.
pub const NAME: &str = "published";
/// Its name in a table beside runs.
pub const LABEL: &str = "published, a real ESP32-S3";
/// The board, in Zephyr's terms.
pub const BOARD: &str = "esp32s3_devkitc";
/// Bits of its pointers.
pub const POINTER_BITS: u32 = 32;
/// Its arena.
pub const ARENA_BYTES: u32 = 196_608;

/// One published figure.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// The workload.
    pub workload: &'static str,
    /// The figure, as `wramp compare` calls it.
    pub figure: &'static str,
    /// Its value.
    pub value: f64,
    /// Half a unit of its last published digit.
    pub rounding: f64,
    /// Where it is from.
    pub source: &'static str,
}

const ARTICLE: &str = "published: absmach/propeller, examples/esp32s3-wasm-benchmark-zephyr";
const SIZES: &str = "computed from WAMR's sizes for 32 bits; the article says about 6 KB and 70 KB";
const HEAP: &str = "published, rounded to KiB: heap 185 to 40 KB over 24 instances, 191 KB after";
const CALLS: &str = "published: iterations 311, 239, 201 ... 6 of instances 0, 1, 2 ... 23";

const fn exact(
    workload: &'static str,
    figure: &'static str,
    value: f64,
    source: &'static str,
) -> Published {
    Published { workload, figure, value, rounding: 0.0, source }
}

const fn kib(figure: &'static str, kib: f64) -> Published {
    Published { workload: "cpu", figure, value: kib * 1024.0, rounding: 1024.0, source: HEAP }
}

/// All published figures.
pub const FIGURES: &[Published] = &[
    exact("cpu", "peak", 24.0, ARTICLE),
    exact("cpu", "cost_bytes", 6456.0, SIZES),
    kib("arena_free_first_bytes", 185.0),
    kib("arena_free_peak_bytes", 40.0),
    kib("arena_free_end_bytes", 191.0),
    exact("cpu", "instance_0_calls", 311.0, CALLS),
    exact("cpu", "instance_1_calls", 239.0, CALLS),
    exact("cpu", "instance_2_calls", 201.0, CALLS),
    exact("cpu", "instance_23_calls", 6.0, CALLS),
    exact("mem", "peak", 2.0, ARTICLE),
    exact("mem", "cost_bytes", 72120.0, SIZES),
    exact("msg", "peak", 2.0, ARTICLE),
    exact("msg", "cost_bytes", 72120.0, SIZES),
];

/// A figure, if it was published.
#[must_use]
pub fn figure(workload: &str, figure: &str) -> Option<f64> {
    let wanted = |known: &&Published| known.workload == workload && known.figure == figure;
    FIGURES.iter().find(wanted).map(|known| known.value)
}
