//! The last record of a machine that cannot continue: no register dump.

use core::ffi::{c_int, c_uint};
use core::fmt::Write as _;

use wramp_core::config::Knob;
use wramp_core::report::{Done, Fault, Only, Record, Text, Word};
use zephyr::printkln;

use crate::machine::{self, Made};

/// What stopped. src/machine.c has the same numbers.
const STACK_OVERFLOW: c_int = 0;
const PANIC: c_int = 1;
/// Stands for the main thread, which has no slot number.
const MAIN_THREAD: c_int = -1;

/// The kernel calls this, through src/machine.c, when a thread cannot continue. It runs in an
/// interrupt or on the thread itself, perhaps in the middle of a record. It therefore takes no
/// lock and begins a new line.
#[unsafe(no_mangle)]
extern "C" fn wramp_fatal(what: c_int, slot: c_int) -> ! {
    let stack = match slot {
        0.. => Knob::SlotStack.symbol(),
        MAIN_THREAD => Some("CONFIG_MAIN_STACK_SIZE"),
        _ => Some("CONFIG_ISR_STACK_SIZE"),
    };
    let (error, knob, text, status) = match what {
        STACK_OVERFLOW => ("stack-overflow", stack, "the stack is too small for", 2),
        PANIC => ("panic", None, "a panic, told in the line before, stopped", 1),
        // An overflow that no guard stops may also appear as a bad access.
        _ => ("cpu-exception", stack, "a bad access or instruction stopped", 1),
    };
    let mut message = heapless::String::<96>::new();
    // A message cut short is still a message.
    let _ = match slot {
        0.. => write!(message, "{text} the instance in slot {slot}"),
        MAIN_THREAD => write!(message, "{text} the controller"),
        _ => write!(message, "{text} the kernel"),
    };
    let fault = Fault {
        workload: None,
        error: Word(error),
        knob: knob.map(Word),
        message: Text::new(&message),
    };
    printkln!("\n{}", Only::<Made>::new(&Record::from(fault)));
    let done = Done { workloads: 0, errors: 1, faults: Some(1), exit: status };
    printkln!("{}", Only::<Made>::new(&Record::from(done)));
    machine::exit(status);
    // SAFETY: stopping the machine is the purpose.
    unsafe { k_fatal_halt(what.unsigned_abs()) }
}

unsafe extern "C" {
    /// Stops the machine. It is declared here, because bindgen's declaration returns.
    fn k_fatal_halt(reason: c_uint) -> !;
}
