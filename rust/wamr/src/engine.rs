//! The engine: WAMR's one runtime, as long as it lives.

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Parameters, Parts, Runtime, Source};
use wramp_wamr_sys as sys;

use crate::arena::{self, Arena, Watch};
use crate::environment::{Environment, Thread, wrong_module};
use crate::failure;
use crate::instance::Instance;
use crate::module::Module;

/// WAMR. One at a time in a program, for its runtime is a set of global variables.
#[derive(Debug)]
pub struct Engine {
    // Released after `drop` below has run.
    _claim: Claim,
}

impl Engine {
    /// Initialises WAMR on an arena. When the engine is dropped the arena is as it
    /// was before, to the byte.
    ///
    /// # Errors
    /// `Engine` if there is one already; `OutOfMemory`.
    pub fn new<A: Arena>() -> Result<Self, Error> {
        let Some(claim) = Claim::take() else {
            return Err(Error::new(ErrorKind::Engine, "WAMR is in use: one engine at a time"));
        };
        let mut args = sys::RuntimeInitArgs {
            mem_alloc_type: sys::ALLOC_WITH_ALLOCATOR,
            mem_alloc_option: arena::functions::<A>(),
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
        // SAFETY: sets a global variable; the claim keeps others from doing so.
        unsafe {
            sys::wasm_runtime_set_log_level(sys::WASM_LOG_LEVEL_FATAL);
        }
        let watch = Watch::start();
        // SAFETY: `args` is of the layout that the C has (wamr-sys tests it) and is read
        // during the call only. The functions do what C's do, by the promises of
        // `Arena`. By the claim WAMR is not initialised now.
        if unsafe { sys::wasm_runtime_full_init(&raw mut args) } {
            return Ok(Self { _claim: claim });
        }
        Err(match watch.failed() {
            Some(bytes) => failure::out_of_memory(bytes, "to start WAMR"),
            None => Error::new(ErrorKind::Engine, "WAMR does not start and does not say why"),
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed here only. Whatever WAMR gave away
        // is gone, or forgotten and out of reach: all of it borrows the engine.
        unsafe { sys::wasm_runtime_destroy() };
    }
}

impl Runtime for Engine {
    type Module<'r> = Module<'r>;
    type Instance<'m> = Instance<'m>;
    type Thread<'r> = Thread<'r>;
    type Environment<'t> = Environment<'t>;

    fn name(&self) -> &'static str {
        "wamr"
    }

    fn version(&self) -> &'static str {
        sys::VERSION
    }

    fn interpreter(&self) -> &'static str {
        sys::INTERPRETER
    }

    fn shares_environment(&self) -> bool {
        true
    }

    fn meters(&self) -> bool {
        sys::METERING
    }

    fn note_parts(&self) {
        arena::open_ledger();
    }

    fn parts(
        &self,
        instance: &Instance<'_>,
        environment: Option<(&Environment<'_>, Bytes)>,
    ) -> Option<Parts> {
        let noted = arena::close_ledger()?;
        let own = instance.parts();
        let stack = environment.map_or(Bytes(0), |(_, stack)| Bytes(stack.0.max(1)));
        let cache = environment.map_or(0, |_| sys::wramp_wamr_block_cache_bytes);
        let known = own.linear_memory + own.globals + own.functions + own.exports + noted.module;
        Some(Parts {
            module: Bytes(noted.module),
            // What is left of an instance when all that has a name is taken away. An
            // underflow would mean that the C and the ledger disagree: then say nothing.
            module_instance: Bytes(noted.sum.checked_sub(noted.environment + known)?),
            function_table: Bytes(own.functions),
            export_table: Bytes(own.exports),
            globals: Bytes(own.globals),
            linear_memory: Bytes(own.linear_memory),
            environment: Bytes(noted.environment.checked_sub(cache + stack.0)?),
            block_cache: Bytes(cache),
            wasm_stack: stack,
        })
    }

    /// Where WAMR runs a module in place it needs a copy of neither source; where it
    /// rewrites a module it needs one of both.
    fn load<'r>(&'r self, source: Source<'_>) -> Result<Module<'r>, Error> {
        Module::load(self, source.bytes())
    }

    fn instantiate<'m>(
        &'m self,
        module: &'m Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
    ) -> Result<Instance<'m>, Error> {
        Instance::new(module, export, parameters, stack)
    }

    fn attach<'r>(&'r self) -> Result<Thread<'r>, Error> {
        Thread::attach(self)
    }

    fn environment<'t>(
        &'t self,
        thread: &'t Thread<'_>,
        module: &'t Module<'_>,
        first: &Instance<'_>,
        stack: Bytes,
    ) -> Result<Environment<'t>, Error> {
        Environment::new(thread, module, first, stack)
    }

    #[inline]
    fn call(
        &self,
        environment: &mut Environment<'_>,
        instance: &mut Instance<'_>,
        argument: i32,
        budget: Option<u32>,
    ) -> Result<i32, Error> {
        if environment.module != instance.module {
            return Err(wrong_module());
        }
        let handle = environment.handle.as_ptr();
        // SAFETY: both live; the instance is of the environment's module, whose data is
        // all that an environment holds of the instance before.
        unsafe {
            sys::wasm_runtime_set_module_inst(handle, instance.handle.0.as_ptr());
        }
        // SAFETY: the environment lives.
        #[cfg(wamr_metering)]
        unsafe {
            let limit = budget.map_or(-1, |limit| i32::try_from(limit).unwrap_or(i32::MAX));
            sys::wasm_runtime_set_instruction_count_limit(handle, limit);
        }
        #[cfg(not(wamr_metering))]
        let _ = budget;

        let mut cell = argument.cast_unsigned();
        // SAFETY: the environment is on this thread, for it is not `Send`, and both
        // are in no other call, for they are borrowed mutably. The function is one of
        // this instance's. Its signature was checked: `cells` arguments, 0 or 1, and
        // one result of one cell, all in `cell`.
        let done = unsafe {
            sys::wasm_runtime_call_wasm(
                handle,
                instance.function.as_ptr(),
                instance.cells,
                &raw mut cell,
            )
        };
        if done { Ok(cell.cast_signed()) } else { Err(instance.take_error()) }
    }
}

static CLAIMED: AtomicBool = AtomicBool::new(false);

/// The right to WAMR's global variables.
#[derive(Debug)]
struct Claim(());

impl Claim {
    #[cfg(target_has_atomic = "8")]
    fn take() -> Option<Self> {
        (!CLAIMED.swap(true, Ordering::SeqCst)).then_some(Self(()))
    }

    /// For a target without compare-and-swap, such as riscv32i: Lamport's splitter
    /// (A Fast Mutual Exclusion Algorithm, 1987), of loads and stores only.
    ///
    /// Of those who are in here at once at most one gets the claim. Say that A and B
    /// both do. Each finds its own mark at the end, so one of them, A, has passed its
    /// end before B left its mark. By then A had set `CLAIMED`, so B finds it set.
    ///
    /// It may be that none gets it, and that it stays set when an owner gave it back
    /// in the middle of a race of others. Then no engine starts: safe, and what a
    /// program that starts engines in a race deserves.
    #[cfg(not(target_has_atomic = "8"))]
    fn take() -> Option<Self> {
        use core::sync::atomic::AtomicUsize;

        static MARK: AtomicUsize = AtomicUsize::new(0);

        // A place on this thread's stack: nobody else's as long as this runs.
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
