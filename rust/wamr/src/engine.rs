//! The engine: WAMR's one runtime, for as long as it lives.

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use wramp_arena::Arena;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{
    Artefact, Error, ErrorKind, Facts, ModuleBytes, Parameters, Parts, Runtime, StackKind,
};
use wramp_core::state::{Malformed, Refused, Shape, Sink, Source};
use wramp_wamr_sys as sys;

use crate::failure;
use crate::instance::Instance;
use crate::memory::{self, MEMORY};
use crate::module::Module;
use crate::stack::{Stack, wrong_module};
use crate::state;

/// WAMR. A program has one at a time, because its runtime is a set of global variables.
#[derive(Debug)]
pub struct Engine<'a> {
    // Released after `drop` below has run.
    _claim: Claim,
    _arena: PhantomData<&'a dyn Arena>,
}

// SAFETY: an engine is a claim to global variables of WAMR. They are set up when the engine is
// made, and any thread may read them after that. The arena that the engine borrows is `Sync`.
unsafe impl Send for Engine<'_> {}
// SAFETY: as above.
unsafe impl Sync for Engine<'_> {}

impl<'a> Engine<'a> {
    /// Starts WAMR on an arena, which it borrows. Dropping the engine leaves the arena as it
    /// was before, to the byte.
    ///
    /// # Errors
    /// `Engine` if there is one already, or if nobody has looked at the source of this WAMR and
    /// it gets a known fault's test wrong. `OutOfMemory`.
    pub fn new(arena: &'a dyn Arena) -> Result<Self, Error> {
        let Some(claim) = Claim::take() else {
            return Err(Error::new(ErrorKind::Engine, "WAMR is in use: one engine at a time"));
        };
        // SAFETY: 1: by the claim there is no other engine, and nobody calls WAMR without one.
        // 2: the engine borrows the arena. Everything that WAMR gives away borrows the engine,
        // so nobody calls WAMR when the arena is gone. An engine that is forgotten keeps the
        // claim for ever, and then this is never set again.
        unsafe { memory::set(Some(arena)) };
        let mut args = sys::RuntimeInitArgs {
            mem_alloc_type: sys::ALLOC_WITH_ALLOCATOR,
            mem_alloc_option: memory::functions(),
            native_module_name: ptr::null(),
            native_symbols: ptr::null_mut(),
            n_native_symbols: 0,
            max_thread_num: 0,
            rest: sys::RuntimeInitArgsRest {
                ip_addr: [0; 128],
                unused: 0,
                instance_port: 0,
                fast_jit_code_cache_size: 0,
                gc_heap_size: 0,
                running_mode: sys::MODE_INTERP,
                llvm_jit_opt_level: 0,
                llvm_jit_size_level: 0,
                segue_flags: 0,
                enable_linux_perf: false,
            },
        };
        // WAMR logs to the standard output, which is where records go.
        // SAFETY: this sets a global variable, and the claim keeps others from doing so.
        unsafe {
            sys::wasm_runtime_set_log_level(sys::WASM_LOG_LEVEL_FATAL);
        }
        let watch = MEMORY.watch();
        // SAFETY: `args` is of the layout that the C has (wamr-sys tests it) and is read
        // during the call only. The functions do what C's do, by the promises of
        // `Arena`. By the claim WAMR is not initialised now.
        if unsafe { sys::wasm_runtime_full_init(&raw mut args) } {
            let engine = Self { _claim: claim, _arena: PhantomData };
            #[cfg(wamr_unlisted)]
            crate::self_test::run(&engine)?;
            return Ok(engine);
        }
        let failed = watch.failed();
        // SAFETY: WAMR is not initialised, so nobody is in it. The claim is still held.
        unsafe { memory::set(None) };
        Err(match failed {
            Some(bytes) => failure::out_of_memory(bytes, "to start WAMR"),
            None => Error::new(ErrorKind::Engine, "WAMR does not start and does not say why"),
        })
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed here only. Whatever WAMR gave away
        // is gone, or forgotten and out of reach: all of it borrows the engine.
        unsafe { sys::wasm_runtime_destroy() };
        // SAFETY: WAMR is gone, so nobody is in it. The claim is released after this.
        unsafe { memory::set(None) };
    }
}

impl Runtime for Engine<'_> {
    const PARKS: bool = true;

    type Module<'r>
        = Module<'r>
    where
        Self: 'r;
    type Instance<'m>
        = Instance<'m>
    where
        Self: 'm;
    type Stack<'m>
        = Stack<'m>
    where
        Self: 'm;

    fn facts() -> Facts {
        Facts {
            name: "wamr",
            version: sys::VERSION,
            interpreter: sys::INTERPRETER,
            interpreter_opt: sys::INTERPRETER_OPT,
            block_cache: Some(sys::wramp_wamr_block_cache_entries).filter(|&entries| entries > 0),
            aot: Some(sys::wramp_wamr_aot != 0),
            fixes: sys::FIXES,
            artefact: Artefact::Wasm,
            copies_modules: crate::COPIES_MODULES,
            meters: sys::METERING,
            stack: StackKind::Reserved,
            shares_stack: true,
            stack_guard: Bytes(sys::wramp_wamr_stack_guard_bytes),
            survives_out_of_memory: true,
        }
    }

    fn note(&self, place: usize) {
        if place == 0 {
            MEMORY.trace.clear();
        }
        MEMORY.trace.begin();
    }

    fn noted(&self, instance: &Instance<'_>, stack: Option<(&Stack<'_>, Bytes)>) -> Option<Parts> {
        let taken = MEMORY.trace.end()?;
        let (module, environment, sum) = (taken.module.0, taken.environment.0, taken.sum.0);
        let own = instance.parts();
        let size = stack.map_or(Bytes(0), |(_, size)| Bytes(size.0.max(1)));
        let cache = stack.map_or(0, |_| sys::wramp_wamr_block_cache_bytes);
        let known = own.linear_memory + own.globals + own.functions + own.exports + module;
        Some(Parts {
            module: Bytes(module),
            // This is what remains of an instance without its named parts. An underflow would
            // mean that the C and the trace disagree. Then it reports nothing.
            module_instance: Bytes(sum.checked_sub(environment + known)?),
            function_table: Bytes(own.functions),
            export_table: Bytes(own.exports),
            globals: Bytes(own.globals),
            linear_memory: Bytes(own.linear_memory),
            environment: Bytes(environment.checked_sub(cache + size.0)?),
            block_cache: Bytes(cache),
            wasm_stack: size,
        })
    }

    #[cfg(wamr_imports)]
    fn note_beside(&self, bytes: Bytes) {
        MEMORY.trace.taken_beside(bytes.0);
    }

    /// The trace holds either all of the starts, in the order in which they were noted, or
    /// none.
    fn how_many_more(&self, _places: usize, most: u32) -> Option<u32> {
        MEMORY.fits(most)
    }

    /// If WAMR runs a module in place, it needs a copy of neither kind of bytes. If it rewrites
    /// a module, it needs a copy of both.
    fn load<'r>(&'r self, bytes: ModuleBytes<'_>) -> Result<Module<'r>, Error> {
        Module::load(self, bytes.bytes())
    }

    fn instantiate<'m>(
        &'m self,
        module: &'m Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
    ) -> Result<Instance<'m>, Error> {
        Instance::new(module, export, parameters, stack, None)
    }

    fn instantiate_within<'m>(
        &'m self,
        module: &'m Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
        budget: Option<u32>,
    ) -> Result<Instance<'m>, Error> {
        Instance::new(module, export, parameters, stack, budget)
    }

    fn refusals(&self) -> u32 {
        MEMORY.failures()
    }

    #[cfg(wamr_imports)]
    const LINKS: bool = true;

    #[cfg(wamr_imports)]
    fn load_linked<'r>(
        &'r self,
        bytes: ModuleBytes<'_>,
        links: &dyn wramp_core::host::Links,
    ) -> Result<Module<'r>, Error> {
        Module::load_linked(self, bytes.bytes(), links)
    }

    #[cfg(wamr_imports)]
    fn instantiate_linked<'m>(
        &'m self,
        module: &'m Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
        budget: Option<u32>,
        desk: &'m wramp_core::host::Desk<'m>,
    ) -> Result<Instance<'m>, Error> {
        Instance::linked(module, export, parameters, stack, budget, desk)
    }

    fn stack<'m>(
        &'m self,
        module: &'m Module<'_>,
        first: &Instance<'_>,
        size: Bytes,
    ) -> Result<Stack<'m>, Error> {
        Stack::new(module, first, size)
    }

    #[inline]
    fn call(
        &self,
        stack: &mut Stack<'_>,
        instance: &mut Instance<'_>,
        argument: i32,
        budget: Option<u32>,
    ) -> Result<i32, Error> {
        let entry = instance.entry();
        if stack.module.as_ptr() != entry.module {
            return Err(wrong_module());
        }
        let handle = stack.handle.as_ptr();
        // SAFETY: both live. The instance is of the stack's module, and that module's data is all
        // that an execution environment holds of the instance before.
        unsafe {
            sys::wasm_runtime_set_module_inst(handle, instance.handle.0.as_ptr());
        }
        // SAFETY: the stack lives.
        #[cfg(wamr_metering)]
        unsafe {
            let limit = budget.map_or(-1, |limit| i32::try_from(limit).unwrap_or(i32::MAX));
            sys::wasm_runtime_set_instruction_count_limit(handle, limit);
        }
        #[cfg(not(wamr_metering))]
        let _ = budget;

        let mut cells = [0; CELLS];
        cells[0] = argument.cast_unsigned();
        // SAFETY: the stack is on this thread, because it is not `Send`. Stack and instance are
        // in no other call, because they are borrowed mutably. The function is one of this
        // instance's. Its signature was checked: `cells` arguments, 0 or 1, and a result of at
        // most two cells, all in `cells`.
        let done = unsafe {
            sys::wasm_runtime_call_wasm(handle, entry.function, entry.cells, cells.as_mut_ptr())
        };
        if done { Ok(entry.result(cells)) } else { Err(instance.take_error()) }
    }

    fn shape(&self, module: &Module<'_>) -> Result<Shape, Error> {
        state::shape(module)
    }

    fn park(&self, instance: &mut Instance<'_>, to: &mut dyn Sink) -> Result<u32, Refused> {
        state::park(instance, to)
    }

    fn revive(&self, instance: &mut Instance<'_>, from: &mut dyn Source) -> Result<(), Error> {
        state::revive(instance, from)
    }

    fn reset(&self, instance: &mut Instance<'_>) {
        state::reset(instance);
    }

    fn changed(
        &self,
        module: &Module<'_>,
        before: &mut dyn Source,
        after: &mut dyn Source,
    ) -> Result<Bytes, Malformed> {
        state::changed(module, before, after)
    }
}

/// Cells of a call: the second is for a result of 64 bits.
pub(crate) const CELLS: usize = if cfg!(wamr_imports) { 2 } else { 1 };

static CLAIMED: AtomicBool = AtomicBool::new(false);

/// The right to WAMR's global variables.
#[derive(Debug)]
struct Claim(());

impl Claim {
    #[cfg(target_has_atomic = "8")]
    fn take() -> Option<Self> {
        (!CLAIMED.swap(true, Ordering::SeqCst)).then_some(Self(()))
    }

    /// The claim on a target without compare-and-swap, such as riscv32i. It is Lamport's
    /// splitter (A Fast Mutual Exclusion Algorithm, 1987), which uses loads and stores only.
    ///
    /// Of the callers that are in here at once, at most one gets the claim. Assume that A and B
    /// both get it. Each finds its own mark at the end, so one of them, A, has passed its end
    /// before B left its mark. By then A had set `CLAIMED`, so B finds it set. That is a
    /// contradiction.
    ///
    /// It may happen that no caller gets the claim, and that the flag stays set because an
    /// owner gave the claim back in the middle of a race of others. Then no engine starts. That
    /// is safe, and acceptable for a program that starts engines in a race.
    #[cfg(not(target_has_atomic = "8"))]
    fn take() -> Option<Self> {
        use core::sync::atomic::AtomicUsize;

        static MARK: AtomicUsize = AtomicUsize::new(0);

        // An address on this thread's stack. Nobody else has it while this function runs.
        let here = 0_u8;
        let mark = (&raw const here).addr();
        MARK.store(mark, Ordering::SeqCst);
        if CLAIMED.load(Ordering::SeqCst) {
            return None;
        }
        CLAIMED.store(true, Ordering::SeqCst);
        (MARK.load(Ordering::SeqCst) == mark).then_some(Self(()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.store(false, Ordering::SeqCst);
    }
}
