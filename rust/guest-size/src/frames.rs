//! What each function keeps on the interpreter's stack while it runs.

use std::collections::BTreeSet;

use wasmparser::{
    BinaryReaderError, ExternalKind, FuncToValidate, FuncValidator, FuncValidatorAllocations,
    FunctionBody, KnownCustom, Name, Operator, OperatorsReader, Parser, Payload, TypeRef, ValType,
    ValidPayload, Validator, ValidatorResources,
};

use crate::survey::Unreadable;

/// A function's frame on the interpreter's stack.
///
/// The engine adds a head to each frame, and the fast interpreter adds the function's constants.
/// So this is no size. But of two builds of a function, the one with more of this needs more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function's index, imports included.
    pub function: u32,
    /// Its name, where the module says so.
    pub name: Option<String>,
    /// Words of 4 bytes of its parameters and other locals, and of the operands that it ever has
    /// at a time.
    pub words: u32,
    /// Blocks that it is ever in at a time.
    pub blocks: u32,
}

/// The frames of the functions that a call of `export` can enter, in the order of their indices.
///
/// With an indirect call, every function counts.
///
/// # Errors
/// The bytes are no valid module.
pub fn frames(wasm: &[u8], export: &str) -> Result<Vec<Frame>, Unreadable> {
    let mut validator = Validator::new();
    let mut allocations = FuncValidatorAllocations::default();
    let (mut imported, mut entry) = (0, None);
    let mut all: Vec<(Frame, Calls)> = Vec::new();
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        match &payload {
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::ExportSection(section) => {
                for one in section.clone() {
                    let one = one?;
                    if one.kind == ExternalKind::Func && one.name == export {
                        entry = Some(one.index);
                    }
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(section) = section.as_known() {
                    // A name section that cannot be read names nothing; the engine skips it too.
                    for name in section.into_iter().map_while(Result::ok) {
                        let Name::Function(functions) = name else { continue };
                        let readable = functions.into_iter().map_while(Result::ok);
                        names.extend(readable.map(|name| (name.index, name.name.to_owned())));
                    }
                }
            }
            _ => {}
        }
        if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
            let (frame, calls) = frame(function, &body, &mut allocations)?;
            all.push((frame, calls));
        }
    }
    for (frame, _) in &mut all {
        let named = names.iter().find(|(index, _)| *index == frame.function);
        frame.name = named.map(|(_, name)| name.clone());
    }
    let reached = reached(&all, imported, entry);
    Ok(all.into_iter().map(|(frame, _)| frame).filter(|f| reached.contains(&f.function)).collect())
}

/// Which functions a function calls.
#[derive(Default)]
struct Calls {
    direct: BTreeSet<u32>,
    indirect: bool,
}

/// The functions that a call of `entry` can enter; all where nobody can tell.
fn reached(all: &[(Frame, Calls)], imported: u32, entry: Option<u32>) -> BTreeSet<u32> {
    let every = || all.iter().map(|(frame, _)| frame.function).collect();
    let Some(entry) = entry else { return every() };
    let (mut found, mut open) = (BTreeSet::new(), vec![entry]);
    while let Some(function) = open.pop() {
        if !found.insert(function) {
            continue;
        }
        // An imported function is the host's and has no frame here.
        let Some(place) = function.checked_sub(imported) else { continue };
        let Some((_, calls)) = all.get(place as usize) else { continue };
        if calls.indirect {
            return every();
        }
        open.extend(&calls.direct);
    }
    found
}

/// Words of 4 bytes that a value takes.
fn words(ty: ValType) -> u32 {
    match ty {
        ValType::I64 | ValType::F64 => 2,
        ValType::V128 => 4,
        ValType::I32 | ValType::F32 | ValType::Ref(_) => 1,
    }
}

/// Words of all operands that are there.
fn operands(validator: &FuncValidator<ValidatorResources>) -> u32 {
    let height = validator.operand_stack_height() as usize;
    let word = |depth| match validator.get_operand_type(depth) {
        Some(Some(ty)) => words(ty),
        // In code that is never reached an operand may have any type.
        _ => 1,
    };
    (0..height).map(word).sum()
}

fn frame(
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
    allocations: &mut FuncValidatorAllocations,
) -> Result<(Frame, Calls), BinaryReaderError> {
    let mut validator = function.into_validator(std::mem::take(allocations));
    let index = validator.index();
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    let locals: u32 =
        (0..validator.len_locals()).filter_map(|i| validator.get_local_type(i)).map(words).sum();
    let (mut most, mut blocks, mut calls) = (0, 0, Calls::default());
    let mut operators = OperatorsReader::new(reader);
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        match operator {
            Operator::Call { function_index } => {
                calls.direct.insert(function_index);
            }
            Operator::CallIndirect { .. } => calls.indirect = true,
            _ => {}
        }
        validator.op(offset, &operator)?;
        blocks = blocks.max(validator.control_stack_height());
        // A value has 4 words at most, so fewer values than that cannot be more words.
        if validator.operand_stack_height() * 4 > most {
            most = most.max(operands(&validator));
        }
    }
    *allocations = validator.into_allocations();
    Ok((Frame { function: index, name: None, words: locals + most, blocks }, calls))
}
