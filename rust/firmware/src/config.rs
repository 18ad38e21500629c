//! Turns Kconfig's symbols into a `Config`. No other Rust file reads them.

use wramp_bench::{Check, Count, Guest};
use wramp_core::config::{Config, Mode, Pin, Scenario};
use wramp_core::measure::{Bytes, Nanos};
use wramp_core::runtime::{ModuleBytes, Parameters};
use wramp_workloads::{State, Workload};
use zephyr::kconfig as k;

/// Kconfig's ranges exclude negative numbers except -1. Code checks for -1 where it may occur.
const fn number(value: isize) -> u32 {
    if value < 0 { 0 } else { value as u32 }
}

/// Slots that src/machine.c reserved.
pub(crate) const SLOTS: usize = number(k::CONFIG_WRAMP_SLOTS) as usize;
/// The smallest slot stack with which a run begins.
pub(crate) const LEAST_SLOT_STACK: Bytes = Bytes(number(k::CONFIG_WRAMP_SLOT_STACK_LEAST));
/// How instances share threads, and the most residents of a pool.
#[cfg(CONFIG_WRAMP_MODE_POOL)]
const POOL: (Mode, usize) = (
    Mode::Pool { workers: number(k::CONFIG_WRAMP_WORKERS) },
    number(k::CONFIG_WRAMP_RESIDENTS) as usize,
);
#[cfg(CONFIG_WRAMP_MODE_COOPERATIVE)]
const POOL: (Mode, usize) = (Mode::Cooperative, number(k::CONFIG_WRAMP_RESIDENTS) as usize);
#[cfg(CONFIG_WRAMP_MODE_THREADS)]
const POOL: (Mode, usize) = (Mode::Threads, 0);
#[cfg(CONFIG_WRAMP_MODE_PARK)]
const POOL: (Mode, usize) = {
    let (workers, live) = (number(k::CONFIG_WRAMP_WORKERS), number(k::CONFIG_WRAMP_LIVE));
    let budget = match number(k::CONFIG_WRAMP_PARK_BYTES) {
        0 => None,
        bytes => Some(Bytes(bytes)),
    };
    let hot = cfg!(CONFIG_WRAMP_PARK_HOT);
    let park = wramp_core::config::Park { workers, live, budget, hot };
    (Mode::Park(park), if live == 0 { workers } else { live } as usize)
};
/// The most residents, or live instances of a park. 0 if each instance has a thread.
pub(crate) const RESIDENTS: usize = POOL.1;
/// Tallies of calls: one per slot, or two per worker.
pub(crate) const SEATS: usize = match POOL.0 {
    Mode::Threads => SLOTS,
    Mode::Pool { workers } => 2 * workers as usize,
    Mode::Cooperative => 2,
    Mode::Park(park) => wramp_bench::SEATS_A_WORKER * park.workers as usize,
};
/// Cores of this build.
pub(crate) const CORES: u8 = k::CONFIG_MP_MAX_NUM_CPUS as u8;
/// Time slice among instances of equal priority, in milliseconds. 0 means none.
pub(crate) const SLICE_MS: u32 = number(k::CONFIG_TIMESLICE_SIZE);
/// libc's heap: none, which src/machine.c asserts, or the host's under native_sim.
pub(crate) const LIBC_HEAP: &str = if cfg!(CONFIG_ARCH_POSIX) { "host" } else { "none" };
/// The board, with SoC and CPU cluster.
pub(crate) const BOARD: &str = k::CONFIG_BOARD_TARGET;

/// The knobs. `arena` is the region's real size, which a symbol may leave open.
pub(crate) fn config(arena: Bytes) -> Config {
    Config {
        arena,
        slots: number(k::CONFIG_WRAMP_SLOTS),
        slot_stack: Bytes(number(k::CONFIG_WRAMP_SLOT_STACK_SIZE)),
        wasm_stack: Bytes(number(k::CONFIG_WRAMP_WASM_STACK_SIZE)),
        fit_wasm_stack: cfg!(CONFIG_WRAMP_FIT_WASM_STACK),
        step: number(k::CONFIG_WRAMP_STEP),
        settle_ms: number(k::CONFIG_WRAMP_SETTLE_MS),
        dwell_ms: number(k::CONFIG_WRAMP_DWELL_MS),
        pause_ms: number(k::CONFIG_WRAMP_PAUSE_MS),
        scenario: if IS_MIX {
            Scenario::Mix
        } else if cfg!(CONFIG_WRAMP_SCENARIO_MIXED) {
            Scenario::Mixed
        } else if cfg!(CONFIG_WRAMP_SCENARIO_PRIVATE) {
            Scenario::Private
        } else if cfg!(CONFIG_WRAMP_SCENARIO_PINNED) {
            Scenario::Pinned
        } else {
            Scenario::All
        },
        mode: POOL.0,
        pin: u8::try_from(k::CONFIG_WRAMP_PIN).map_or(Pin::Free, Pin::Core),
        budget: budget(),
        stuck_ms: Some(number(k::CONFIG_WRAMP_STUCK_MS)).filter(|&ms| ms > 0),
        slo: match number(k::CONFIG_WRAMP_SLO_US) {
            0 => None,
            micros => Some(Nanos(u64::from(micros) * 1000)),
        },
    }
}

#[cfg(CONFIG_WRAMP_METERING)]
fn budget() -> Option<u32> {
    Some(number(k::CONFIG_WRAMP_BUDGET)).filter(|&instructions| instructions > 0)
}

#[cfg(not(CONFIG_WRAMP_METERING))]
fn budget() -> Option<u32> {
    None
}

/// The workloads that Kconfig can choose.
const CHOICE: [(&str, bool); 11] = [
    ("cpu", cfg!(CONFIG_WRAMP_WORKLOAD_CPU)),
    ("mem", cfg!(CONFIG_WRAMP_WORKLOAD_MEM)),
    ("msg", cfg!(CONFIG_WRAMP_WORKLOAD_MSG)),
    ("isolation", cfg!(CONFIG_WRAMP_WORKLOAD_ISOLATION)),
    ("state", cfg!(CONFIG_WRAMP_WORKLOAD_STATE)),
    ("nest", cfg!(CONFIG_WRAMP_WORKLOAD_NEST)),
    ("add", cfg!(CONFIG_WRAMP_WORKLOAD_ADD)),
    ("mul", cfg!(CONFIG_WRAMP_WORKLOAD_MUL)),
    ("fib", cfg!(CONFIG_WRAMP_WORKLOAD_FIB)),
    ("checksum", cfg!(CONFIG_WRAMP_WORKLOAD_CHECKSUM)),
    ("popcount", cfg!(CONFIG_WRAMP_WORKLOAD_POPCOUNT)),
];

/// How many guests the run has, and a table with room for the most.
const CHOSEN: (usize, [Guest<'static>; CHOICE.len() + 2]) = {
    let mut guests = [TRAP; CHOICE.len() + 2];
    let mut count = 0;
    if cfg!(CONFIG_WRAMP_PROVOKE_TRAP) {
        count = 1;
    } else if cfg!(CONFIG_WRAMP_SCENARIO_MIXED) {
        while count < wramp_workloads::MIXED.len() {
            guests[count] = guest(wramp_workloads::MIXED[count]);
            count += 1;
        }
    } else {
        let mut choice = 0;
        while choice < CHOICE.len() {
            let (name, chosen) = CHOICE[choice];
            if chosen {
                guests[count] = guest(name);
                count += 1;
            }
            choice += 1;
        }
    }
    if cfg!(CONFIG_WRAMP_WORKLOAD_SPARSE) {
        guests[count] = guest_of(&wramp_workloads::SPARSE);
        count += 1;
    }
    if cfg!(CONFIG_WRAMP_PROVOKE_ENDLESS) {
        guests[count] = ENDLESS;
        count += 1;
    }
    (count, guests)
};

// `IS_MIX` and `OWN`: the user's modules, which the build script found.
include!(concat!(env!("OUT_DIR"), "/modules.rs"));

/// What the user's guests may have, the bytes of each one's queue, and what a call has to give.
/// `None` if none needs a host.
#[cfg(CONFIG_WRAMP_IMPORTS)]
pub(crate) fn host() -> Option<(wramp_imports::Grants<'static>, Bytes, Option<wramp_bench::Expected>)> {
    HOST
}

/// The guests of the run. The table is in flash, because the controller's stack is short.
pub(crate) fn guests() -> &'static [Guest<'static>] {
    if OWN.is_empty() { const { CHOSEN.1.split_at(CHOSEN.0).0 } } else { OWN }
}

/// The workload with that name. An unknown name is a typing error, and the compiler reports it.
const fn guest(name: &str) -> Guest<'static> {
    let mut place = 0;
    while place < wramp_workloads::ALL.len() {
        let workload = &wramp_workloads::ALL[place];
        if same(workload.name.as_bytes(), name.as_bytes()) {
            return guest_of(workload);
        }
        place += 1;
    }
    panic!("no such workload");
}

const fn guest_of(workload: &'static Workload) -> Guest<'static> {
    Guest {
        name: workload.name,
        module: ModuleBytes::Static(workload.wasm),
        export: workload.export,
        parameters: workload.parameters,
        check: Check::Reference { next: workload.reference, varies: workload.varies },
        count: Count::Most,
        budget: None,
    }
}

/// `==` for a constant.
const fn same(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([a, one @ ..], [b, other @ ..]) => *a == *b && same(one, other),
        _ => false,
    }
}

/// A guest whose every call traps.
const TRAP: Guest<'static> = Guest {
    name: "trap",
    // (module (func (export "run") (result i32) unreachable))
    module: ModuleBytes::Static(&[
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f, 3, 2, 1, 0, 7, 7, 1, 3, 0x72,
        0x75, 0x6e, 0, 0, 10, 5, 1, 3, 0, 0, 0x0b,
    ]),
    export: "run",
    parameters: Parameters::None,
    check: Check::Reference { next: nothing, varies: false },
    count: Count::Most,
    budget: None,
};

/// A guest that does not return.
const ENDLESS: Guest<'static> = Guest {
    name: "endless",
    // (module (func (export "run") (result i32) (loop (br 0)) unreachable))
    module: ModuleBytes::Static(&[
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f, 3, 2, 1, 0, 7, 7, 1, 3, 0x72,
        0x75, 0x6e, 0, 0, 10, 10, 1, 8, 0, 3, 0x40, 0x0c, 0, 0x0b, 0, 0x0b,
    ]),
    ..TRAP
};

fn nothing(_: &mut State) -> i32 {
    0
}

/// Does what a test of the fault records asks for. It runs on an instance's thread, whose stack
/// begins about here.
pub(crate) fn provoke() {
    if cfg!(CONFIG_WRAMP_PROVOKE_PANIC) {
        panic!("provoked by CONFIG_WRAMP_PROVOKE_PANIC");
    }
    if cfg!(CONFIG_WRAMP_PROVOKE_OVERFLOW) {
        let top = 0_u8;
        overflow((&raw const top).addr());
    }
}

/// Recurses beyond the end of the slot's stack, then waits there until the kernel switches
/// threads and looks. If hardware guards the stack, it recurses without end.
fn overflow(top: usize) {
    // The compiler must neither shrink this frame nor turn the recursion into a loop.
    let frame = core::hint::black_box([top; 16]);
    let deep = top.wrapping_sub(frame.as_ptr().addr());
    if cfg!(CONFIG_HW_STACK_PROTECTION) || deep < number(k::CONFIG_WRAMP_SLOT_STACK_SIZE) as usize {
        overflow(frame[0]);
    } else {
        loop {
            core::hint::spin_loop();
        }
    }
    core::hint::black_box(&frame);
}
