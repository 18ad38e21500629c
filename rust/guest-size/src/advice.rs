//! The one change of how a module is linked that would save most.

use std::fmt;

use crate::MemoryKind;
use crate::survey::Survey;

/// The stack that the advice assumes to be enough: that of wramp's templates. A guest that
/// needs more traps with an access out of bounds or overwrites nothing of others', and is
/// given more.
pub const STACK_BYTES: u64 = 1_024;

/// wasm-ld's stack where nobody says another size.
const LINKER_STACK_BYTES: u64 = 65_536;

/// What the two exported globals cost an instance, in its tables of globals.
const EXPORTS_COST: u64 = 2 * (crate::GLOBAL + 4);

/// What to change, and what that saves in each instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The flags for wasm-ld, or what to change in the program where no flag does it.
    pub change: String,
    /// Bytes that each instance then needs less.
    pub saves_bytes: u64,
    /// Whether the bytes are known exactly. Where not, the module does not say where its zeroed
    /// static data ends, and the figure is the most that can be saved.
    pub exact: bool,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_most = if self.exact { "" } else { "up to " };
        write!(f, "{} saves {at_most}{} bytes", self.change, grouped(self.saves_bytes))
    }
}

/// `129024` as `129,024`.
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

/// Where a linker put the stack, and what else is in memory.
struct Use {
    stack: u64,
    /// Bytes of static data, with what lies before it and is never used.
    rest: u64,
    exact: bool,
}

/// Two ways of wasm-ld: the stack first and the data after it, or the data from 1,024 on and
/// the stack after it. `__heap_base` ends both, and the last of the two is rounded to 16.
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
        // Where the zeroed data ends is nowhere in the module.
        (None, true) => {
            let rest = data_end.next_multiple_of(16).checked_sub(top)?;
            Some(Use { stack: top, rest, exact: false })
        }
        // The stack's top is the heap's base; what is below the stack is data, and the linker's
        // own size of the stack is assumed where it fits.
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
    // What an instance would need, linked as the templates are.
    let least = found.as_ref().map(|found| found.rest + found.stack.min(STACK_BYTES));
    let advice = match kind {
        MemoryKind::None => return None,
        MemoryKind::Cut => {
            Advice { change: stack_flag, saves_bytes: smaller.min(memory_bytes), exact: true }
        }
        MemoryKind::NoExports | MemoryKind::HeapBaseUnusable => {
            let (least, exact) = match (least, survey.data) {
                (Some(least), _) => (least, found.is_some_and(|found| found.exact)),
                // By hand, or by a compiler that is not LLVM: the data is what is known.
                (None, Some((_, end))) => (end.next_multiple_of(16), false),
                (None, None) => (0, false),
            };
            let change =
                if smaller > 0 { format!("{stack_flag} {EXPORTS}") } else { EXPORTS.to_owned() };
            let saves_bytes = memory_bytes.saturating_sub(least + EXPORTS_COST);
            Advice { change, saves_bytes, exact }
        }
        MemoryKind::Grows => {
            // The stack alone may be worth a page; the rest stays whole pages.
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
