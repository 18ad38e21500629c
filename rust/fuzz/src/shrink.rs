//! Makes the functions of a module smaller, one range of instructions after another.
//!
//! It works on the bytes of the instructions, so it needs no encoder. Each candidate is validated
//! before it runs, because most of them are not valid and a run costs a process.

use wasmparser::{Operator, Parser, Payload};

use crate::make::{leb, section};

/// What may take the place of a range of instructions, shortest first.
const INSTEAD: [&[u8]; 7] = [
    &[],
    &[0x00],             // unreachable
    &[0x1a],             // drop
    &[0x41, 0x01],       // i32.const 1
    &[0x42, 0x01],       // i64.const 1
    &[0x43, 0, 0, 0, 0], // f32.const 0
    &[0x44, 0, 0, 0, 0, 0, 0, 0, 0],
];

/// A function's declaration of locals, and the bytes of each instruction but the last `end`.
struct Body {
    locals: Vec<u8>,
    instructions: Vec<Vec<u8>>,
    /// The instruction that ends the block which an instruction begins.
    ends: Vec<Option<usize>>,
}

/// A module, taken apart around its functions.
struct Split {
    before: Vec<u8>,
    bodies: Vec<Body>,
    after: Vec<u8>,
}

/// The bytes between two of the parser's offsets.
fn bytes(wasm: &[u8], start: u64, end: u64) -> Option<&[u8]> {
    wasm.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

fn split(wasm: &[u8]) -> Option<Split> {
    let mut code = None;
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::CodeSectionStart { range, .. } => code = Some(range),
            Payload::CodeSectionEntry(body) => bodies.push(read(wasm, &body)?),
            _ => {}
        }
    }
    let code = code?;
    // The section's head is its number and its size.
    let mut size = Vec::new();
    leb(&mut size, usize::try_from(code.end - code.start).ok()?);
    let before = bytes(wasm, 0, code.start.checked_sub(1 + size.len() as u64)?)?.to_vec();
    let after = bytes(wasm, code.end, wasm.len() as u64)?.to_vec();
    Some(Split { before, bodies, after })
}

fn read(wasm: &[u8], body: &wasmparser::FunctionBody<'_>) -> Option<Body> {
    let reader = body.get_operators_reader().ok()?;
    let locals = bytes(wasm, body.range().start, reader.original_position())?.to_vec();
    let all: Vec<(Operator<'_>, u64)> =
        reader.into_iter_with_offsets().collect::<Result<_, _>>().ok()?;
    let mut read = Body { locals, instructions: Vec::new(), ends: vec![None; all.len()] };
    let mut open = Vec::new();
    for (index, (operator, at)) in all.iter().enumerate() {
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                open.push(index);
            }
            Operator::End => {
                if let Some(begin) = open.pop() {
                    read.ends[begin] = Some(index);
                }
            }
            _ => {}
        }
        let Some((_, next)) = all.get(index + 1) else { break };
        read.instructions.push(bytes(wasm, *at, *next)?.to_vec());
    }
    Some(read)
}

impl Split {
    /// The module with other instructions in one function.
    fn with(&self, function: usize, instructions: &[Vec<u8>]) -> Vec<u8> {
        let mut code = Vec::new();
        leb(&mut code, self.bodies.len());
        for (index, body) in self.bodies.iter().enumerate() {
            let instructions =
                if index == function { instructions } else { &body.instructions[..] }.concat();
            leb(&mut code, body.locals.len() + instructions.len() + 1);
            code.extend_from_slice(&body.locals);
            code.extend(instructions);
            code.push(0x0b);
        }
        [&self.before[..], &section(10, &code), &self.after].concat()
    }
}

/// The same module with smaller functions, as long as `keeps` says that it does what it did.
///
/// # Errors
/// What `keeps` returns.
pub(crate) fn functions(
    wasm: &[u8],
    mut keeps: impl FnMut(&[u8]) -> Result<bool, String>,
) -> Result<Vec<u8>, String> {
    let mut small = wasm.to_vec();
    loop {
        let before = small.len();
        let functions = split(&small).map_or(0, |split| split.bodies.len());
        for function in 0..functions {
            let mut part =
                split(&small).map_or(0, |split| split.bodies[function].instructions.len());
            while part > 0 {
                ranges(&mut small, function, part, &mut keeps)?;
                part /= 2;
            }
            blocks(&mut small, function, &mut keeps)?;
        }
        if small.len() == before {
            return Ok(small);
        }
    }
}

/// Takes a candidate in the place of the module if it is smaller, valid and does the same.
fn take(
    small: &mut Vec<u8>,
    candidate: Vec<u8>,
    keeps: &mut impl FnMut(&[u8]) -> Result<bool, String>,
) -> Result<bool, String> {
    let smaller = candidate.len() < small.len();
    let taken = smaller && wramp_validate::check(&candidate).is_ok() && keeps(&candidate)?;
    if taken {
        *small = candidate;
    }
    Ok(taken)
}

/// Tries to replace each range of `part` instructions of a function.
fn ranges(
    small: &mut Vec<u8>,
    function: usize,
    part: usize,
    keeps: &mut impl FnMut(&[u8]) -> Result<bool, String>,
) -> Result<(), String> {
    let Some(mut module) = split(small) else { return Ok(()) };
    // From the end, because what an instruction takes was made before it.
    let mut end = module.bodies[function].instructions.len();
    while end >= part {
        for instead in INSTEAD {
            let body = &module.bodies[function];
            let place = if instead.is_empty() { vec![] } else { vec![instead.to_vec()] };
            let instructions =
                [&body.instructions[..end - part], &place, &body.instructions[end..]].concat();
            let candidate = module.with(function, &instructions);
            if take(small, candidate, keeps)? {
                module.bodies[function].instructions = instructions;
                break;
            }
        }
        end = end.saturating_sub((part / 2).max(1)).min(module.bodies[function].instructions.len());
        if end == 0 {
            break;
        }
    }
    Ok(())
}

/// Tries to leave out the beginning and the end of each block, and to keep what is in it.
fn blocks(
    small: &mut Vec<u8>,
    function: usize,
    keeps: &mut impl FnMut(&[u8]) -> Result<bool, String>,
) -> Result<(), String> {
    let mut begin = 0;
    loop {
        let Some(module) = split(small) else { return Ok(()) };
        let body = &module.bodies[function];
        let Some(end) = body.ends.get(begin) else { return Ok(()) };
        if let Some(end) = *end {
            let mut instructions = body.instructions.clone();
            instructions.remove(end);
            instructions.remove(begin);
            let candidate = module.with(function, &instructions);
            take(small, candidate, keeps)?;
        }
        begin += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The byte of `i32.popcnt`, which nothing else in the module has.
    const LOOKED_FOR: u8 = 0x69;

    #[test]
    fn what_is_looked_for_remains_and_little_else() {
        let wasm = wat::parse_str(
            "(module
                (func (param f64) (result i32)
                    block (result i32)
                        loop
                            local.get 0 f64.sqrt drop
                            block local.get 0 drop end
                        end
                        i32.const 5 i32.popcnt i32.const 2 i32.add
                    end
                    i32.const 3 i32.mul)
                (func (param i32) local.get 0 if nop nop nop else i32.const 1 drop end))",
        )
        .unwrap();
        let mut tries = 0;
        let small = functions(&wasm, |candidate| {
            tries += 1;
            assert!(wramp_validate::check(candidate).is_ok());
            Ok(candidate.contains(&LOOKED_FOR))
        })
        .unwrap();
        let right = wat::parse_str(
            "(module (func (param f64) (result i32) unreachable i32.popcnt) (func (param i32)))",
        )
        .unwrap();
        assert_eq!(small, right, "{tries} tries");
    }

    #[test]
    fn what_cannot_be_read_stays() {
        for wasm in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0", b"\0asm\x01\0\0\0\x0a\xff"] {
            assert_eq!(functions(wasm, |_| Ok(true)).unwrap(), wasm);
        }
    }
}
