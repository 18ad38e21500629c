//! Tries on the machine that a guest reaches its own memory and no byte beyond.

use wramp_core::config::{Config, Knob};
use wramp_core::machine::Machine;
use wramp_core::measure::Bytes;
use wramp_core::report::{Instance, Record, Word};
use wramp_core::runtime::{Error, ErrorKind, ModuleBytes, Parameters, Runtime};
use wramp_core::slots::Slots;

use crate::run::{Summary, describe, explain_engine, fault, finish};

/// How far the sweep goes on both sides of address 0 (of 32 bits), in bytes.
const FAR: u32 = 8 * 1024;

/// Bytes of the guests' memory.
const MEMORY: u32 = 2048;

/// Sweeps the memory of one instance with every access.
///
/// Three instances lie side by side in the arena. Their module has a memory of 2,048 bytes. The
/// middle one makes each of `accesses` (an export `(i32) -> i32` and the bytes that it reaches)
/// at every address from -8 KiB to +8 KiB. An access that is not wholly within the memory must
/// trap, and any other must not. The neighbours' export `sum` must keep returning 0.
///
/// It emits one `instance` record per access between the `run` and the `done` record. The
/// errors of that record are the addresses where a rule failed. `engine` is the result of
/// starting it.
pub fn sweep<M: Machine, S: Slots, R: Runtime>(
    machine: &M,
    slots: &S,
    engine: Result<&R, Error>,
    config: &Config,
    module: &'static [u8],
    accesses: &[(&str, u32)],
) -> Summary {
    describe::<M, R>(machine, config, slots.real_size(), 0, machine.clock_runs());
    let mut summary = Summary::default();
    let stack = config.wasm_stack;
    match engine.map(|runtime| each(machine, runtime, module, accesses, stack, &mut summary)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            summary.faults += 1;
            let message = error.message;
            let knob = Some(Knob::Arena);
            fault(machine, Some("sweep"), error.kind, knob, format_args!("{message}"));
        }
        Err(error) => {
            summary.faults += 1;
            explain_engine(machine, config, &error);
        }
    }
    finish(machine, &summary);
    summary
}

fn each<M: Machine, R: Runtime>(
    machine: &M,
    runtime: &R,
    module: &'static [u8],
    accesses: &[(&str, u32)],
    stack: Bytes,
    summary: &mut Summary,
) -> Result<(), Error> {
    let (clock_hz, clock_runs) = (machine.facts().clock_hz, machine.clock_runs());
    let module = runtime.load(ModuleBytes::Static(module))?;
    let new = |export| runtime.instantiate(&module, export, Parameters::I32, stack);
    let call = |instance: &mut R::Instance<'_>, argument: i32| {
        let mut stack = runtime.stack(&module, instance, stack)?;
        runtime.call(&mut stack, instance, argument, None)
    };
    for &(access, width) in accesses {
        let (mut before, mut ours, mut after) = (new("sum")?, new(access)?, new("sum")?);
        let (began, mut errors) = (machine.now(), 0_u32);
        {
            let mut stack = runtime.stack(&module, &ours, stack)?;
            for address in (0..FAR).chain(u32::MAX - (FAR - 1)..=u32::MAX) {
                let address = address.cast_signed();
                let result = runtime.call(&mut stack, &mut ours, address, None);
                let end = address.cast_unsigned().checked_add(width);
                let right = match result {
                    Ok(0) => end.is_some_and(|end| end <= MEMORY),
                    Err(error) if error.kind == ErrorKind::Trap => {
                        end.is_none_or(|end| end > MEMORY)
                    }
                    _ => false,
                };
                errors += u32::from(!right);
            }
        }
        for neighbour in [&mut before, &mut after] {
            errors += u32::from(call(neighbour, 0) != Ok(0));
        }
        summary.workloads += 1;
        summary.errors += u64::from(errors);
        let took = machine.now().saturating_sub(began).to_micros(clock_hz);
        machine.emit(&Record::from(Instance {
            workload: Word(access),
            id: 1,
            slot: None,
            alive_ms: clock_runs.then_some(took.0 / 1000),
            calls: 2 * FAR,
            errors,
            latency_mean_us: None,
            latency_min_us: None,
            latency_p50_us: None,
            latency_p99_us: None,
            latency_max_us: None,
            stack_used_bytes: None,
            result: Word(if errors == 0 { "ok" } else { "bad" }),
            error: None,
            message: None,
        }));
    }
    Ok(())
}
