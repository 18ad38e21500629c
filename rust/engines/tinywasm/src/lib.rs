//! tinywasm behind wramp's [`Runtime`] seam.
//!
//! tinywasm parses and optimises a module when it is loaded, and every instance runs the same
//! code. An instance is a store of its own, in which its stacks lie too.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tinywasm::engine::{Config, StackConfig};
use tinywasm::types::{ExportType, WasmType, WasmValue};
use tinywasm::{ExecProgress, Function, ModuleInstance, Store, Trap};
use wramp_arena::Arena;
use wramp_bench::EngineKind;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Facts, ModuleBytes, Parameters, Runtime};
use wramp_engine_arena::error::{error, import, no_export, signature};
use wramp_engine_arena::{Session, Stack, facts};

/// The version that is compiled in. A test compares it with the lock file.
pub const VERSION: &str = "0.10.0";

/// Bytes of a frame, about.
const FRAME_BYTES: usize = 32;
/// The first slots of the stacks: of 32 bits, of 64 bits, and frames. Most small guests need no
/// more, and a stack that grows moves.
const FIRST: (usize, usize, usize) = (16, 4, 2);
/// What every call takes and gives back: its results. A test compares it with what a call
/// leaves.
const OF_A_CALL: [usize; 1] = [size_of::<WasmValue>()];

/// tinywasm, for code that composes a run.
#[derive(Debug)]
pub struct Tinywasm;

impl EngineKind for Tinywasm {
    type Engine<'a> = Engine<'a>;

    fn start<'a>(arena: &'a dyn Arena) -> Result<Engine<'a>, Error> {
        Engine::new(arena)
    }
}

/// tinywasm on an arena.
#[derive(Debug)]
pub struct Engine<'a> {
    modules: AtomicU32,
    session: Session<'a>,
}

impl<'a> Engine<'a> {
    /// Starts tinywasm on an arena, which it borrows.
    ///
    /// # Errors
    /// `Engine`, `OutOfMemory`.
    pub fn new(arena: &'a dyn Arena) -> Result<Self, Error> {
        Ok(Self { modules: AtomicU32::new(0), session: Session::open(arena)? })
    }
}

/// A loaded module.
pub struct Module<'r> {
    module: tinywasm::Module,
    number: u32,
    _engine: PhantomData<&'r ()>,
}

/// An instance: a store, which lies in the arena, and the export.
pub struct Instance<'m> {
    store: Box<Store>,
    function: Function,
    parameters: Parameters,
    module: u32,
    _module: PhantomData<&'m ()>,
}

// SAFETY: a store counts references without atomics in two places: its module instances, and
// functions of the host. This one has no functions of the host, because a module with imports
// is refused. Its one module instance is in the store alone, because `instantiate` drops its
// own reference before there is an `Instance`. So all references travel together. The rest of a
// store and a function are `Send`.
unsafe impl Send for Instance<'_> {}

/// What a call came to.
enum Returned {
    Value(i32),
    OverBudget,
    /// What the export's type rules out.
    Other,
}

/// Stacks that grow to so many bytes each.
fn config(most: Bytes) -> Config {
    let most = most.0 as usize;
    let stack = |first: usize, slot: usize| {
        let most = (most / slot).max(1);
        StackConfig::dynamic(first.min(most), most)
    };
    Config::new()
        .with_value_stack_32(stack(FIRST.0, 4))
        .with_value_stack_64(stack(FIRST.1, 8))
        .with_value_stack_128(stack(0, 16))
        .with_call_stack(stack(FIRST.2, FRAME_BYTES))
}

impl Runtime for Engine<'_> {
    wramp_engine_arena::runtime_on_a_session!(Module, Instance);

    fn facts() -> Facts {
        Facts { meters: true, ..facts("tinywasm", VERSION, "stack") }
    }

    fn load<'r>(&'r self, bytes: ModuleBytes<'_>) -> Result<Module<'r>, Error> {
        // SAFETY: the module borrows this engine, and so its session.
        let loaded = unsafe { self.session.run(|| tinywasm::parse_bytes(bytes.bytes())) }?;
        let module =
            loaded.map_err(|cause| error(ErrorKind::Malformed, format_args!("{cause}")))?;
        if let Some(wanted) = module.imports().next() {
            return Err(import(wanted.module, wanted.name));
        }
        let number = self.modules.fetch_add(1, Relaxed);
        Ok(Module { module, number, _engine: PhantomData })
    }

    fn instantiate<'m>(
        &'m self,
        module: &'m Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
    ) -> Result<Instance<'m>, Error> {
        let exported = module.module.exports().find(|exported| exported.name == export);
        let Some(ExportType::Func(ty)) = exported.map(|exported| exported.ty) else {
            return Err(no_export(export));
        };
        let takes: &[WasmType] = match parameters {
            Parameters::None => &[],
            Parameters::I32 => &[WasmType::I32],
        };
        if ty.params() != takes || ty.results() != [WasmType::I32] {
            return Err(signature(parameters, ty.params().len(), ty.results().len()));
        }
        let start = || {
            let mut store = Box::new(Store::new(tinywasm::Engine::new(config(stack))));
            let instance = ModuleInstance::instantiate(&mut store, &module.module, None)?;
            let function = instance.func_untyped(&store, export)?;
            Ok((store, function))
        };
        // SAFETY: the instance borrows this engine, and so its session.
        let started = unsafe { self.session.start(start) }?;
        let (store, function) = started.map_err(|cause| explain(&cause))?;
        Ok(Instance { store, function, parameters, module: module.number, _module: PhantomData })
    }

    fn stack<'m>(
        &'m self,
        module: &'m Module<'_>,
        first: &Instance<'_>,
        _size: Bytes,
    ) -> Result<Stack<'m>, Error> {
        Stack::new(&self.session, module.number, first.module, &OF_A_CALL)
    }

    #[inline]
    fn call(
        &self,
        stack: &mut Stack<'_>,
        instance: &mut Instance<'_>,
        argument: i32,
        budget: Option<u32>,
    ) -> Result<i32, Error> {
        let lane = stack.lane_for(instance.module)?;
        let argument = [WasmValue::I32(argument)];
        let arguments: &[WasmValue] = match instance.parameters {
            Parameters::None => &[],
            Parameters::I32 => &argument,
        };
        let Instance { store, function, .. } = instance;
        // The values are dropped in the call, so that their block stays with this thread.
        let call = || {
            let values = match budget {
                None => function.call(store, arguments)?,
                Some(fuel) => {
                    match function.call_resumable(store, arguments)?.resume_with_fuel(fuel)? {
                        ExecProgress::Completed(values) => values,
                        ExecProgress::Suspended => return Ok(Returned::OverBudget),
                    }
                }
            };
            Ok(match values[..] {
                [WasmValue::I32(value)] => Returned::Value(value),
                _ => Returned::Other,
            })
        };
        // SAFETY: what a call leaves behind lies in the store, which borrows the session.
        let result = unsafe { self.session.call(lane, call) }?;
        match result {
            Ok(Returned::Value(value)) => Ok(value),
            Ok(Returned::OverBudget) => {
                Err(Error::new(ErrorKind::Budget, "the call used up its budget"))
            }
            Ok(Returned::Other) => {
                Err(Error::new(ErrorKind::Engine, "the call gave something else than one i32"))
            }
            Err(cause) => Err(explain(&cause)),
        }
    }
}

/// What to do about an error of tinywasm, and tinywasm's words.
#[cold]
fn explain(cause: &tinywasm::Error) -> Error {
    let kind = match cause {
        tinywasm::Error::Trap(Trap::CallStackOverflow | Trap::ValueStackOverflow) => {
            ErrorKind::WasmStack
        }
        tinywasm::Error::Trap(Trap::OutOfMemory) => ErrorKind::OutOfMemory,
        tinywasm::Error::UnsupportedFeature(_) => ErrorKind::Malformed,
        _ => ErrorKind::Trap,
    };
    error(kind, format_args!("{cause}"))
}
