//! wasmi behind wramp's [`Runtime`] seam.
//!
//! wasmi translates a module when it is loaded, and every instance runs the same code. An
//! instance is a store of its own. Stacks belong to wasmi's engine, which makes one for each
//! call; wramp keeps its blocks for the thread's next call (see [`Lane`](wramp_engine_arena::Lane)).

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wasmi::errors::{ErrorKind as Cause, MemoryError};
use wasmi::{CompilationMode, Config, Store, TrapCode, TypedFunc};
use wramp_arena::Arena;
use wramp_bench::EngineKind;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Facts, ModuleBytes, Parameters, Runtime};
use wramp_engine_arena::error::{error, import, no_export, signature};
use wramp_engine_arena::{Session, Stack, facts};

/// The version that is compiled in. A test compares it with the lock file.
pub const VERSION: &str = "2.0.0";

/// The first bytes of a stack of values. Most small guests need no more.
const FIRST_STACK_BYTES: usize = 512;
/// The most bytes of a stack of values.
const MOST_STACK_BYTES: usize = 64 << 10;
/// What every call takes and gives back: the first cells of its stack and its first frames. A
/// test compares it with what a call leaves.
const OF_A_CALL: [usize; 2] = [FIRST_STACK_BYTES, 4 * 4 * size_of::<usize>()];

/// wasmi, for code that composes a run.
#[derive(Debug)]
pub struct Wasmi;

impl EngineKind for Wasmi {
    type Engine<'a> = Engine<'a>;

    fn start<'a>(arena: &'a dyn Arena) -> Result<Engine<'a>, Error> {
        Engine::new(arena)
    }
}

/// wasmi on an arena.
#[derive(Debug)]
pub struct Engine<'a> {
    config: Config,
    modules: AtomicU32,
    session: Session<'a>,
}

impl<'a> Engine<'a> {
    /// Starts wasmi on an arena, which it borrows.
    ///
    /// # Errors
    /// `Engine`, `OutOfMemory`.
    pub fn new(arena: &'a dyn Arena) -> Result<Self, Error> {
        let session = Session::open(arena)?;
        let mut config = Config::default();
        config
            .compilation_mode(CompilationMode::Eager)
            .ignore_custom_sections(true)
            .set_min_stack_height(FIRST_STACK_BYTES)
            .set_max_stack_height(MOST_STACK_BYTES)
            // A stack that wasmi keeps would go to whichever thread calls next. Then nobody
            // could say what an instance costs.
            .set_max_cached_stacks(0);
        Ok(Self { config, modules: AtomicU32::new(0), session })
    }
}

/// A loaded module.
#[derive(Debug)]
pub struct Module<'r> {
    module: wasmi::Module,
    number: u32,
    _engine: PhantomData<&'r ()>,
}

/// An instance: a store, which lies in the arena, and the export.
#[derive(Debug)]
pub struct Instance<'m> {
    store: Box<Store<()>>,
    export: Export,
    module: u32,
    _module: PhantomData<&'m ()>,
}

#[derive(Clone, Copy, Debug)]
enum Export {
    None(TypedFunc<(), i32>),
    I32(TypedFunc<i32, i32>),
}

impl Runtime for Engine<'_> {
    wramp_engine_arena::runtime_on_a_session!(Module, Instance);

    fn facts() -> Facts {
        facts("wasmi", VERSION, "register")
    }

    fn load<'r>(&'r self, bytes: ModuleBytes<'_>) -> Result<Module<'r>, Error> {
        // SAFETY: the module borrows this engine, and so its session.
        let loaded = unsafe {
            self.session.run(|| {
                // wasmi's engine keeps tables and the translator's memory until its own end. So
                // each module has one, and a module that goes leaves nothing.
                wasmi::Module::new(&wasmi::Engine::new(&self.config), bytes.bytes())
            })
        }?;
        let module = loaded.map_err(|cause| explain(&cause, ErrorKind::Malformed))?;
        if let Some(wanted) = module.imports().next() {
            return Err(import(wanted.module(), wanted.name()));
        }
        let number = self.modules.fetch_add(1, Relaxed);
        Ok(Module { module, number, _engine: PhantomData })
    }

    fn instantiate<'m>(
        &'m self,
        module: &'m Module<'_>,
        export: &str,
        parameters: Parameters,
        _stack: Bytes,
    ) -> Result<Instance<'m>, Error> {
        let start = || {
            let mut store = Box::new(Store::new(module.module.engine(), ()));
            let instance = wasmi::Instance::new(&mut *store, &module.module, &[])?;
            Ok::<_, wasmi::Error>((store, instance))
        };
        // SAFETY: the instance borrows this engine, and so its session.
        let started = unsafe { self.session.start(start) }?;
        let (store, instance) = started.map_err(|cause| explain(&cause, ErrorKind::Trap))?;
        let function = instance.get_func(&*store, export).ok_or_else(|| no_export(export))?;
        let export = match parameters {
            Parameters::None => function.typed(&*store).map(Export::None),
            Parameters::I32 => function.typed(&*store).map(Export::I32),
        };
        let export = export.map_err(|_| {
            let ty = function.ty(&*store);
            signature(parameters, ty.params().len(), ty.results().len())
        })?;
        Ok(Instance { store, export, module: module.number, _module: PhantomData })
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
        _budget: Option<u32>,
    ) -> Result<i32, Error> {
        let lane = stack.lane_for(instance.module)?;
        let store = &mut *instance.store;
        let call = || match instance.export {
            Export::None(function) => function.call(store, ()),
            Export::I32(function) => function.call(store, argument),
        };
        // SAFETY: what a call leaves behind lies in the store or in the engine, which borrow the
        // session or are dropped before it.
        let result = unsafe { self.session.call(lane, call) }?;
        result.map_err(|cause| explain(&cause, ErrorKind::Trap))
    }
}

/// What to do about an error of wasmi, and wasmi's words. `otherwise` is for what has no kind of
/// its own.
#[cold]
fn explain(cause: &wasmi::Error, otherwise: ErrorKind) -> Error {
    let kind = match cause.kind() {
        Cause::TrapCode(TrapCode::StackOverflow) => ErrorKind::WasmStack,
        Cause::TrapCode(TrapCode::OutOfSystemMemory)
        | Cause::Memory(MemoryError::OutOfSystemMemory) => ErrorKind::OutOfMemory,
        Cause::TrapCode(TrapCode::OutOfFuel) => ErrorKind::Budget,
        Cause::TrapCode(_) => ErrorKind::Trap,
        _ => otherwise,
    };
    error(kind, format_args!("{cause}"))
}
