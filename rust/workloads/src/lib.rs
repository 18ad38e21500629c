//! The guests: WebAssembly modules, and what each of their calls must return.
//!
//! wat/ holds one text per workload. The build script turns the texts into bytes, and [`ALL`]
//! lists them. Every result can be checked, because a [`Workload`] comes with a
//! [`reference`](Workload::reference) in Rust. The reference follows the header of the text and
//! not its code. A third party confirms both: the tests run every module under wasmi and
//! compare.
//!
//! The modules keep to the WebAssembly MVP without floating point, import nothing and carry no
//! custom section, so any engine loads them.
//!
//! The crate has no std, no allocation and no unsafe code. It calls no engine and measures
//! nothing.
#![no_std]
#![forbid(unsafe_code)]

use wramp_core::runtime::Parameters;

mod reference;

/// A module, how to call it, and what it must answer.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name, unique and in lower case. A person types it to choose the workload.
    pub name: &'static str,
    /// What it does, in one line. It is the first line of the source.
    pub summary: &'static str,
    /// The path of its source, from the root of the repository: `wat/cpu.wat`.
    pub source: &'static str,
    /// The module. It stays in flash for ever: a
    /// [`ModuleBytes::Static`](wramp_core::runtime::ModuleBytes::Static).
    pub wasm: &'static [u8],
    /// The export that every call enters.
    pub export: &'static str,
    /// What that export takes. An export `(i32)` gets [`State::argument`].
    pub parameters: Parameters,
    /// Bytes of linear memory that an instance needs. They are whole pages, or less if an
    /// engine truncates at `__heap_base`, as WAMR does. 0 without memory.
    pub memory_bytes: u32,
    /// What the next call must return. It moves the state on by that call.
    ///
    /// It needs no memory but a few words of stack. It takes less than a quarter of the time
    /// that a fast interpreter takes for the call.
    pub reference: fn(&mut State) -> i32,
    /// Whether results differ from call to call. If `false`, all calls of all instances return
    /// the same, and the reference needs to run only once.
    pub varies: bool,
}

/// What the reference knows of one instance between calls. It takes 12 bytes, so a
/// microcontroller can check hundreds of instances.
///
/// It is exact for the first 2^32 - 1 calls of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The instance's own number, which distinguishes it from its neighbours.
    pub seed: u32,
    /// Calls so far.
    pub calls: u32,
    /// What a reference keeps from one call to the next. Only the reference uses it.
    pub carry: u32,
}

impl State {
    /// The state of an instance before its first call.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        Self { seed, calls: 0, carry: 0 }
    }

    /// The argument of every call of an `(i32)` export: the seed, bit for bit.
    #[must_use]
    pub const fn argument(&self) -> i32 {
        self.seed as i32
    }
}

/// What of a [`State`] a workload's reference reads besides the seed, where results vary. One
/// word then stands for the state of an instance that was called before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// [`State::calls`].
    Calls,
    /// [`State::carry`], and whether there was a call.
    Carry,
}

/// What the reference of the workload of that name needs to keep. `None` if its results do not
/// vary, or if there is no such workload.
#[must_use]
pub fn keeps(name: &str) -> Option<Keeps> {
    match name {
        "cpu" => Some(Keeps::Carry),
        "state" | "isolation" | "sparse" => Some(Keeps::Calls),
        _ => None,
    }
}

/// Bytes at an address that is a multiple of 4. WAMR's fast interpreter reads words from a
/// module where it lies, and some CPUs fault where a word is not aligned.
#[repr(align(4))]
struct Aligned<B: ?Sized>(B);

/// The bytes that the build script made of wat/`$name`.wat.
macro_rules! wasm {
    ($name:literal) => {{
        const BYTES: &Aligned<[u8]> =
            &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")));
        &BYTES.0
    }};
}

/// A module that makes each load and store at an address of the caller's choice. It is no
/// workload. `wramp_bench::sweep` proves the engine's bounds with it. It has 2,048 bytes of
/// memory.
pub static SWEEP: &[u8] = wasm!("sweep");

/// A guest that uses 128 bytes of its 2,048. It is in no list: it shows what parking saves.
pub static SPARSE: Workload = Workload {
    name: "sparse",
    summary: "32 generators in 128 bytes of a memory of 2,048",
    source: "wat/check/sparse.wat",
    wasm: wasm!("sparse"),
    export: "run",
    parameters: Parameters::None,
    memory_bytes: 2_048,
    reference: reference::sparse,
    varies: true,
};

/// The exports of [`SWEEP`] that access memory, `(i32) -> i32`, and the bytes that each reaches.
pub const ACCESSES: [(&str, u32); 23] = [
    ("i32.load", 4),
    ("i32.load8_s", 1),
    ("i32.load8_u", 1),
    ("i32.load16_s", 2),
    ("i32.load16_u", 2),
    ("i64.load", 8),
    ("i64.load8_s", 1),
    ("i64.load8_u", 1),
    ("i64.load16_s", 2),
    ("i64.load16_u", 2),
    ("i64.load32_s", 4),
    ("i64.load32_u", 4),
    ("f32.load", 4),
    ("f64.load", 8),
    ("i32.store", 4),
    ("i32.store8", 1),
    ("i32.store16", 2),
    ("i64.store", 8),
    ("i64.store8", 1),
    ("i64.store16", 2),
    ("i64.store32", 4),
    ("f32.store", 4),
    ("f64.store", 8),
];

/// Every workload: the six that each ask their own question, then [`MIXED`].
pub static ALL: &[Workload] = &[
    Workload {
        name: "cpu",
        summary: "an FNV hash over one global, without memory",
        source: "wat/cpu.wat",
        wasm: wasm!("cpu"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 0,
        reference: reference::cpu,
        varies: true,
    },
    Workload {
        name: "mem",
        summary: "a KiB written and read back, a byte at a time, in a whole page",
        source: "wat/mem.wat",
        wasm: wasm!("mem"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 65_536,
        reference: reference::mem,
        varies: false,
    },
    Workload {
        name: "msg",
        summary: "a ring of 64 messages, filled and drained by one guest",
        source: "wat/msg.wat",
        wasm: wasm!("msg"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 65_536,
        reference: reference::msg,
        varies: false,
    },
    Workload {
        name: "isolation",
        summary: "2 KiB and two globals that only this instance may change",
        source: "wat/isolation.wat",
        wasm: wasm!("isolation"),
        export: "run",
        parameters: Parameters::I32,
        memory_bytes: 2_048,
        reference: reference::isolation,
        varies: true,
    },
    Workload {
        name: "state",
        summary: "mean and variance of the last 507 samples of a 12-bit converter",
        source: "wat/state.wat",
        wasm: wasm!("state"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 2_048,
        reference: reference::state,
        varies: true,
    },
    Workload {
        name: "nest",
        summary: "40 blocks inside one another, left at another depth each round",
        source: "wat/nest.wat",
        wasm: wasm!("nest"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 0,
        reference: reference::nest,
        varies: false,
    },
    Workload {
        name: "add",
        summary: "50,000 additions, without memory or state",
        source: "wat/add.wat",
        wasm: wasm!("add"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 0,
        reference: reference::add,
        varies: false,
    },
    Workload {
        name: "mul",
        summary: "20,000 multiplications, without memory or state",
        source: "wat/mul.wat",
        wasm: wasm!("mul"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 0,
        reference: reference::mul,
        varies: false,
    },
    Workload {
        name: "fib",
        summary: "the 30th Fibonacci number, 500 times over",
        source: "wat/fib.wat",
        wasm: wasm!("fib"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 0,
        reference: reference::fib,
        varies: false,
    },
    Workload {
        name: "checksum",
        summary: "a Fletcher sum, 100 times over 4 KiB",
        source: "wat/checksum.wat",
        wasm: wasm!("checksum"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 4_096,
        reference: reference::checksum,
        varies: false,
    },
    Workload {
        name: "popcount",
        summary: "the one bits of 50,000 numbers, without memory or state",
        source: "wat/popcount.wat",
        wasm: wasm!("popcount"),
        export: "run",
        parameters: Parameters::None,
        memory_bytes: 0,
        reference: reference::popcount,
        varies: false,
    },
];

/// The small workloads. A mixed ramp loads them side by side and takes turns with them.
pub const MIXED: [&str; 5] = ["add", "mul", "fib", "checksum", "popcount"];

/// The workload with that name, or `None` if there is none.
#[must_use]
pub fn find(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.name == name)
}
