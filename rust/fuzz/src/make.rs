//! Makes modules: valid ones, and valid ones that were broken.

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};

/// A module and who made it.
pub(crate) struct Made {
    pub(crate) wasm: Vec<u8>,
    pub(crate) by: &'static str,
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// What every module exports, so that it can be called.
const EXPORT: &str = r#"(module (func (export "run") (param i32) (result i32) (i32.const 0)))"#;

/// The engine's features (`wramp_validate::ENGINE`), in small. Of modules that may trap, most do
/// so before they compute much.
fn config(disallow_traps: bool) -> Config {
    Config {
        disallow_traps,
        exports: wat::parse_str(EXPORT).ok(),
        allow_start_export: true,
        canonicalize_nans: true,
        bulk_memory_enabled: true,
        custom_page_sizes_enabled: false,
        exceptions_enabled: false,
        extended_const_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        multi_value_enabled: true,
        reference_types_enabled: true,
        relaxed_simd_enabled: false,
        saturating_float_to_int_enabled: true,
        shared_everything_threads_enabled: false,
        sign_extension_ops_enabled: true,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        max_imports: 0,
        max_funcs: 12,
        min_funcs: 2,
        max_instructions: 300,
        max_memories: 1,
        max_memory32_bytes: 4 << 16,
        max_tables: 2,
        max_table_elements: 1_000,
        generate_custom_sections: true,
        ..Config::default()
    }
}

/// A valid module that ends by itself. Where the bytes do not make one, an empty one.
fn valid(random: &mut Random) -> Vec<u8> {
    let disallow_traps = random.below(4) > 0;
    let length = 512 + random.below(4096);
    let bytes: Vec<u8> =
        (0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
    let module = Module::new(config(disallow_traps), &mut Unstructured::new(&bytes)).ok().and_then(
        |mut module| {
            module.ensure_termination(20_000).ok()?;
            Some(module.to_bytes())
        },
    );
    module.unwrap_or_else(|| b"\0asm\x01\0\0\0".to_vec())
}

/// The module of a seed.
pub(crate) fn module(seed: u64) -> Made {
    let mut random = Random::new(seed.wrapping_mul(0x2545_F491_4F6C_DD1D));
    let wasm = valid(&mut random);
    match seed % 4 {
        0 | 1 => Made { wasm, by: "smith" },
        2 => Made { wasm: changed_bytes(wasm, &mut random), by: "bytes" },
        _ => Made { wasm: changed_sections(&wasm, &mut random), by: "sections" },
    }
}

/// A few bytes changed, left out or doubled.
fn changed_bytes(mut wasm: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        if wasm.len() <= 8 {
            return wasm;
        }
        let at = 8 + random.below(wasm.len() - 8);
        match random.below(4) {
            0 => wasm[at] = random.next() as u8,
            1 => wasm[at] ^= 1 << random.below(8),
            2 => drop(wasm.remove(at)),
            _ => wasm.insert(at, wasm[at]),
        }
    }
    wasm
}

/// A section: where it begins, where its body begins, where it ends.
type Section = (usize, usize, usize);

/// The sections, as far as they can be read.
fn sections(wasm: &[u8]) -> Vec<Section> {
    let (mut all, mut at) = (Vec::new(), 8);
    while at + 1 < wasm.len() {
        let (mut size, mut shift, mut body) = (0_u64, 0, at + 1);
        while let Some(&byte) = wasm.get(body) {
            body += 1;
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift > 28 {
                break;
            }
        }
        let end = body.saturating_add(size as usize);
        if end > wasm.len() {
            break;
        }
        all.push((at, body, end));
        at = end;
    }
    all
}

pub(crate) fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id];
    leb(&mut bytes, body.len());
    bytes.extend(body);
    bytes
}

/// Appends a number in the form of WebAssembly's counts and sizes (LEB128).
pub(crate) fn leb(bytes: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A module whose sections keep their sizes and lose their sense.
fn changed_sections(wasm: &[u8], random: &mut Random) -> Vec<u8> {
    let all = sections(wasm);
    if all.is_empty() {
        return wasm.to_vec();
    }
    let mut parts: Vec<Vec<u8>> =
        all.iter().map(|&(at, body, end)| section(wasm[at], &wasm[body..end])).collect();
    let one = random.below(parts.len());
    let (at, body, end) = all[one];
    match random.below(6) {
        // A count of 2^32-1, or of one more than there are.
        0 => {
            let rest = wasm[body..end].get(1..).unwrap_or(&[]);
            parts[one] = section(wasm[at], &[&[0xff, 0xff, 0xff, 0xff, 0x0f], rest].concat());
        }
        1 => {
            let mut changed = wasm[body..end].to_vec();
            if let Some(count) = changed.first_mut() {
                *count = count.wrapping_add(1) & 0x7f;
            }
            parts[one] = section(wasm[at], &changed);
        }
        2 => drop(parts.remove(one)),
        3 => parts.push(parts[one].clone()),
        4 => {
            let other = random.below(parts.len());
            parts.swap(one, other);
        }
        _ => {
            let cut = body + random.below((end - body).max(1));
            parts[one] = section(wasm[at], &wasm[body..cut]);
        }
    }
    [&wasm[..8], &parts.concat()].concat()
}

/// The same module with one part left out: a section, or an end of the file.
pub(crate) fn parts(wasm: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        sections(wasm).iter().map(|&(at, _, end)| [&wasm[..at], &wasm[end..]].concat()).collect();
    all.extend([wasm.len() / 2, wasm.len().saturating_sub(1)].map(|end| wasm[..end].to_vec()));
    all
}
