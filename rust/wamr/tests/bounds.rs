//! A guest reaches all of its own linear memory, and not a byte beyond.
//!
//! The memory is cut to a heap base of 2,048 bytes, and two instances lie side by side. The
//! test tries every load and store of WebAssembly at every address around both ends. Upstream's
//! issue 5080 says that such a guest reaches 4,096.

mod arena;

use arena::{ROOMY, TestArena};
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ErrorKind, ModuleBytes, Parameters, Runtime};
use wramp_wamr::Engine;

const HEAP_BASE: u32 = 2048;
const STACK: Bytes = Bytes(1024);
const STORED: u8 = 0xee;
const UNTOUCHED: u8 = 0x11;

/// Instructions, the bytes that each reaches, and the type of the value.
const LOADS: [(&str, u64, &str); 14] = [
    ("i32.load", 4, "i32"),
    ("i32.load8_s", 1, "i32"),
    ("i32.load8_u", 1, "i32"),
    ("i32.load16_s", 2, "i32"),
    ("i32.load16_u", 2, "i32"),
    ("i64.load", 8, "i64"),
    ("i64.load8_s", 1, "i64"),
    ("i64.load8_u", 1, "i64"),
    ("i64.load16_s", 2, "i64"),
    ("i64.load16_u", 2, "i64"),
    ("i64.load32_s", 4, "i64"),
    ("i64.load32_u", 4, "i64"),
    ("f32.load", 4, "f32"),
    ("f64.load", 8, "f64"),
];
const STORES: [(&str, u64, &str); 9] = [
    ("i32.store", 4, "i32.const 0xeeeeeeee"),
    ("i32.store8", 1, "i32.const 0xeeeeeeee"),
    ("i32.store16", 2, "i32.const 0xeeeeeeee"),
    ("i64.store", 8, "i64.const 0xeeeeeeeeeeeeeeee"),
    ("i64.store8", 1, "i64.const 0xeeeeeeeeeeeeeeee"),
    ("i64.store16", 2, "i64.const 0xeeeeeeeeeeeeeeee"),
    ("i64.store32", 4, "i64.const 0xeeeeeeeeeeeeeeee"),
    ("f32.store", 4, "f32.reinterpret_i32 (i32.const 0xeeeeeeee)"),
    ("f64.store", 8, "f64.reinterpret_i64 (i64.const 0xeeeeeeeeeeeeeeee)"),
];
const OFFSETS: [u32; 9] = [0, 1, 7, 2047, 2048, 4096, 65_536, 0x7fff_ffff, 0xffff_ffff];

/// The module for which WAMR cuts the memory: a stack pointer, both exports, no growth.
fn module(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (global $__stack_pointer (mut i32) (i32.const {HEAP_BASE}))
            (memory 1)
            (global (export "__data_end") i32 (i32.const 1024))
            (global (export "__heap_base") i32 (i32.const {HEAP_BASE}))
            (func (export "run") (param i32) (result i32) {body} (i32.const 0)))"#
    );
    wat::parse_str(text).unwrap()
}

/// Runs the code in one instance beside another, at these addresses. `reach` gives the bytes
/// that must lie within the memory, or the access must trap. `stores` gives those of them that
/// are written.
fn sweep(
    body: &str,
    addresses: impl Iterator<Item = u32>,
    reach: impl Fn(u32) -> bool,
    stores: impl Fn(u32) -> std::ops::Range<usize>,
) {
    arena::with(ROOMY, || {
        let engine = Engine::new(&TestArena).unwrap();
        let module = engine.load(ModuleBytes::Borrowed(&module(body))).unwrap();
        let mut memories = Vec::new();
        let mut new = || {
            let before = arena::live();
            let instance = engine.instantiate(&module, "run", Parameters::I32, STACK).unwrap();
            let mut live = arena::live();
            live.retain(|block, &mut size| {
                size == HEAP_BASE as usize && !before.contains_key(block)
            });
            assert_eq!(live.len(), 1, "no memory of {HEAP_BASE} bytes: it was not cut");
            memories.extend(live.into_keys());
            instance
        };
        // There is one neighbour on each side.
        let (before, mut ours, after) = (new(), new(), new());
        let own = memories[1];
        for &memory in &memories {
            arena::fill(memory, UNTOUCHED);
        }

        let mut stack = engine.stack(&module, &ours, STACK).unwrap();
        for address in addresses {
            let result = engine.call(&mut stack, &mut ours, address.cast_signed(), None);
            if reach(address) {
                assert_eq!(result, Ok(0), "{body}: {address:#x} is within");
                let written = stores(address);
                if !written.is_empty() {
                    let mut expected = vec![UNTOUCHED; HEAP_BASE as usize];
                    expected[written].fill(STORED);
                    assert!(arena::read(own) == expected, "{body}: {address:#x} wrote elsewhere");
                    arena::fill(own, UNTOUCHED);
                }
            } else {
                let error = result.expect_err("an access beyond the memory");
                assert_eq!(error.kind, ErrorKind::Trap, "{body}: {address:#x}: {error}");
                assert_eq!(error.message.as_str(), "out of bounds memory access");
            }
        }
        for &memory in &memories {
            assert!(arena::read(memory).iter().all(|&byte| byte == UNTOUCHED), "{body}");
        }
        arena::check();
        drop((before, after));
    });
}

/// Every address within 8 KiB of 0, on both sides.
fn around_zero() -> impl Iterator<Item = u32> {
    (0..8192).chain(u32::MAX - 8191..=u32::MAX)
}

/// The addresses that, with this offset, come near the end of the memory, the end of a page, or
/// the end of 32 bits.
fn around_the_ends(offset: u32) -> impl Iterator<Item = u32> {
    [0, HEAP_BASE, 4096, 65_536, u32::MAX].into_iter().flat_map(move |end| {
        let address = end.wrapping_sub(offset);
        (0..32).map(move |step| address.wrapping_sub(16).wrapping_add(step))
    })
}

fn within(address: u32, offset: u32, width: u64) -> bool {
    u64::from(address) + u64::from(offset) + width <= u64::from(HEAP_BASE)
}

#[test]
fn loads() {
    for (load, width, _) in LOADS {
        let body = format!("(drop ({load} (local.get 0)))");
        sweep(&body, around_zero(), |at| within(at, 0, width), |_| 0..0);
        for offset in OFFSETS {
            let body = format!("(drop ({load} offset={offset} (local.get 0)))");
            sweep(&body, around_the_ends(offset), |at| within(at, offset, width), |_| 0..0);
        }
    }
}

#[test]
fn stores() {
    for (store, width, value) in STORES {
        for offset in OFFSETS {
            let body = format!("({store} offset={offset} (local.get 0) ({value}))");
            let written = |at: u32| {
                let start = at as usize + offset as usize;
                start..start + width as usize
            };
            if offset == 0 {
                sweep(&body, around_zero(), |at| within(at, 0, width), written);
            }
            sweep(&body, around_the_ends(offset), |at| within(at, offset, width), written);
        }
    }
}

#[test]
fn bulk() {
    for length in [0, 1, 7, 8, 9, 2047, 2048, 2049, 4096, u32::MAX] {
        let fits = |at: u32| u64::from(at) + u64::from(length) <= u64::from(HEAP_BASE);
        let fill = format!("(memory.fill (local.get 0) (i32.const 0xee) (i32.const {length}))");
        let written = |at: u32| at as usize..at as usize + length as usize;
        sweep(&fill, around_the_ends(0), fits, written);
        sweep(&fill, around_the_ends(length), fits, written);

        // Copies from here to the start, and from the start to here.
        let from = format!("(memory.copy (i32.const 0) (local.get 0) (i32.const {length}))");
        sweep(&from, around_the_ends(length), fits, |_| 0..0);
        let to = format!("(memory.copy (local.get 0) (i32.const 0) (i32.const {length}))");
        sweep(&to, around_the_ends(length), fits, |_| 0..0);
    }
}
