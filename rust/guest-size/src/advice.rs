//! Finds the one change to a module's linking that would save most.

use std::fmt;

use crate::MemoryKind;
use crate::survey::Survey;

/// The stack size that the advice assumes to be enough. It is that of wramp's templates.
///
/// A guest that needs more can trap with an access out of bounds, or overwrite its own data. It
/// cannot harm another instance. Link such a guest with a larger stack.
pub const STACK_BYTES: u64 = 1_024;

/// The default stack size of wasm-ld.
const LINKER_STACK_BYTES: u64 = 65_536;

/// What the two exported globals cost an instance.
const EXPORTS_COST: u64 = 2 * (crate::GLOBAL + 4);

/// What to change, and what that saves in each instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The flags for wasm-ld. If no flag helps, what to change in the program.
    pub change: String,
    /// Bytes that this saves in each instance.
    pub saves_bytes: u64,
    /// Whether the bytes are exact. If not, the module does not say where its zeroed static data
    /// ends, and the figure is an upper bound.
    pub exact: bool,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_most = if self.exact { "" } else { "up to " };
        write!(f, "{} saves {at_most}{} bytes", self.change, grouped(self.saves_bytes))
    }
}

/// Writes `129024` as `129,024`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What a linker put into the memory.
struct Use {
    stack: u64,
    /// Bytes of static data and of everything else, such as the unused bytes before it.
    rest: u64,
    exact: bool,
}

/// Recognises the two layouts of wasm-ld: the stack first and the data after it, or the data
/// from 1,024 on and the stack after it. `__heap_base` is the end of both, rounded up to 16.
fn in_use(survey: &Survey) -> Option<Use> {
    let top = survey.stack_top()?;
    let (first, data_end) = survey.data.unwrap_or((top, top));
    let stack_first = top <= first && survey.data_end().is_none_or(|end| end >= top);
    match (survey.heap_base(), stack_first) {
        (Some(base), true) => Some(Use { stack: top, rest: base.checked_sub(top)?, exact: true }),
        (Some(base), false) => {
            let data = survey.data_end().unwrap_or(data_end).next_multiple_of(16);
            let stack = top.checked_sub(data)?;
            Some(Use { stack, rest: base.checked_sub(stack)?, exact: true })
        }
        // The module does not say where the zeroed data ends.
        (None, true) => {
            let rest = data_end.next_multiple_of(16).checked_sub(top)?;
            Some(Use { stack: top, rest, exact: false })
        }
        // The top of the stack is the heap base, and the data is below the stack. If there is
        // room for the linker's default stack size, assume that size.
        (None, false) => {
            let data = data_end.next_multiple_of(16);
            let stack = top.checked_sub(data)?;
            let (stack, exact) = if stack >= LINKER_STACK_BYTES {
                (LINKER_STACK_BYTES, true)
            } else {
                (stack, false)
            };
            Some(Use { stack, rest: top - stack, exact })
        }
    }
}

pub(crate) fn advise(survey: &Survey, kind: MemoryKind, memory_bytes: u64) -> Option<Advice> {
    const EXPORTS: &str = "--export=__heap_base --export=__data_end";
    let found = in_use(survey);
    let smaller = found.as_ref().map_or(0, |found| found.stack.saturating_sub(STACK_BYTES));
    let stack_flag = format!("-z stack-size={STACK_BYTES}");
    // What an instance would need if the module were linked as the templates are.
    let least = found.as_ref().map(|found| found.rest + found.stack.min(STACK_BYTES));
    let advice = match kind {
        MemoryKind::None => return None,
        MemoryKind::Cut => {
            Advice { change: stack_flag, saves_bytes: smaller.min(memory_bytes), exact: true }
        }
        MemoryKind::NoExports | MemoryKind::HeapBaseUnusable => {
            let (least, exact) = match (least, survey.data) {
                (Some(least), _) => (least, found.is_some_and(|found| found.exact)),
                // The module is written by hand, or its compiler is not LLVM. Only the data is
                // known.
                (None, Some((_, end))) => (end.next_multiple_of(16), false),
                (None, None) => (0, false),
            };
            let change =
                if smaller > 0 { format!("{stack_flag} {EXPORTS}") } else { EXPORTS.to_owned() };
            let saves_bytes = memory_bytes.saturating_sub(least + EXPORTS_COST);
            Advice { change, saves_bytes, exact }
        }
        MemoryKind::Grows => {
            // The memory stays a number of whole pages, but a smaller stack may save some.
            let pages = |bytes: u64| bytes.next_multiple_of(65_536);
            let fewer = least.map_or(0, |least| memory_bytes.saturating_sub(pages(least)));
            if fewer > 0 {
                Advice { change: stack_flag, saves_bytes: fewer, exact: true }
            } else {
                let least = least.or(survey.data.map(|(_, end)| end)).unwrap_or(0);
                Advice {
                    change: format!(
                        "no memory.grow and no memory.size (a static buffer in place of malloc), \
                         {EXPORTS}"
                    ),
                    saves_bytes: memory_bytes.saturating_sub(least.next_multiple_of(8)),
                    exact: false,
                }
            }
        }
    };
    (advice.saves_bytes > 0).then_some(advice)
}
