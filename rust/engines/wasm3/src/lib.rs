//! wasm3 behind wramp's [`Runtime`] seam.
//!
//! wasm3 shares nothing of a module: an instance is an environment, a runtime with its stack,
//! and a parsed module with its compiled code, all of its own. So no two threads ever meet
//! inside wasm3. A loaded module is its bytes, and one trial of all that an instance needs.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wasmparser::{Parser, Payload};
use wramp_arena::Arena;
use wramp_bench::EngineKind;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{Error, ErrorKind, Facts, ModuleBytes, Parameters, Runtime, StackKind};
use wramp_engine_arena::error::{error, import, no_export, signature};
use wramp_engine_arena::{Session, Stack, facts};

mod sys;

/// The version that is compiled in, and the package that its source came from.
pub const VERSION: &str = env!("WRAMP_WASM3_VERSION");

/// The stack of the trial in a load.
const TRIAL_STACK: u32 = 512;
/// Longest name of an export, in bytes.
const EXPORT_BYTES: usize = 127;

/// wasm3, for code that composes a run.
#[derive(Debug)]
pub struct Wasm3;

impl EngineKind for Wasm3 {
    type Engine<'a> = Engine<'a>;

    fn start<'a>(arena: &'a dyn Arena) -> Result<Engine<'a>, Error> {
        Engine::new(arena)
    }
}

/// wasm3 on an arena.
#[derive(Debug)]
pub struct Engine<'a> {
    modules: AtomicU32,
    session: Session<'a>,
}

impl<'a> Engine<'a> {
    /// Starts wasm3 on an arena, which it borrows.
    ///
    /// # Errors
    /// `Engine`, `OutOfMemory`.
    pub fn new(arena: &'a dyn Arena) -> Result<Self, Error> {
        Ok(Self { modules: AtomicU32::new(0), session: Session::open(arena)? })
    }
}

/// A loaded module: its bytes, which every instance reads.
#[derive(Debug)]
pub struct Module<'r> {
    bytes: Kept,
    number: u32,
    _engine: PhantomData<&'r ()>,
}

#[derive(Debug)]
enum Kept {
    InPlace(&'static [u8]),
    /// In the arena.
    Copied(Vec<u8>),
}

impl Module<'_> {
    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Kept::InPlace(bytes) => bytes,
            Kept::Copied(bytes) => bytes,
        }
    }
}

/// A parsed and compiled module with its stack and its memory.
#[derive(Debug)]
struct Running {
    environment: NonNull<sys::Environment>,
    runtime: NonNull<sys::Runtime>,
}

impl Running {
    /// Parses, compiles and starts a module.
    ///
    /// # Safety
    /// 1. The bytes stay where they are until this is dropped.
    unsafe fn new(bytes: &[u8], stack: u32) -> Result<(Self, *mut sys::Module), &'static str> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        // SAFETY: the environment and the runtime are new, and `running` frees each once, the
        // runtime first. The module is the runtime's from `m3_LoadModule` on; before that it is
        // freed here if something fails. The bytes are readable, and stay by 1.
        unsafe {
            let environment = NonNull::new(sys::m3_NewEnvironment()).ok_or(NO_MEMORY)?;
            let runtime = sys::m3_NewRuntime(environment.as_ptr(), stack, ptr::null_mut());
            let Some(runtime) = NonNull::new(runtime) else {
                sys::m3_FreeEnvironment(environment.as_ptr());
                return Err(NO_MEMORY);
            };
            let running = Self { environment, runtime };
            let mut module = ptr::null_mut();
            let parsed =
                sys::m3_ParseModule(environment.as_ptr(), &raw mut module, bytes.as_ptr(), length);
            fine(parsed)?;
            if let Err(why) = fine(sys::m3_LoadModule(runtime.as_ptr(), module)) {
                // The runtime did not take it.
                sys::m3_FreeModule(module);
                return Err(why);
            }
            fine(sys::m3_CompileModule(module))?;
            Ok((running, module))
        }
    }

    /// The function of that name, compiled.
    fn function(&self, name: &CStr) -> Result<NonNull<sys::Function>, &'static str> {
        let mut function = ptr::null_mut();
        // SAFETY: the runtime lives and `name` is a C string. The function is the runtime's.
        unsafe {
            let runtime = self.runtime.as_ptr();
            fine(sys::m3_FindFunction(&raw mut function, runtime, name.as_ptr()))?;
        }
        NonNull::new(function).ok_or(NO_FUNCTION)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once. No call is in it, because a call borrows it.
        unsafe {
            sys::m3_FreeRuntime(self.runtime.as_ptr());
            sys::m3_FreeEnvironment(self.environment.as_ptr());
        }
    }
}

/// wasm3's own words where memory ran out.
const NO_MEMORY: &str = "memory allocation failed";
/// Its words for a name that is not a function's.
const NO_FUNCTION: &str = "function lookup failed";

/// Success, or wasm3's words.
fn fine(result: sys::Result) -> Result<(), &'static str> {
    match sys::text(result) {
        None => Ok(()),
        Some(text) => Err(text),
    }
}

/// An instance and its export.
#[derive(Debug)]
pub struct Instance<'m> {
    function: NonNull<sys::Function>,
    arguments: u32,
    module: u32,
    _running: Running,
    _module: PhantomData<&'m ()>,
}

// SAFETY: an instance shares nothing with another one, and wasm3 keeps nothing in a thread: a
// call sets the limit of the native stack anew. `&mut` keeps other threads out of it.
unsafe impl Send for Instance<'_> {}

impl Runtime for Engine<'_> {
    wramp_engine_arena::runtime_on_a_session!(Module, Instance);

    fn facts() -> Facts {
        Facts {
            interpreter_opt: Some("O3"),
            stack: StackKind::OfInstance,
            ..facts("wasm3", VERSION, "threaded")
        }
    }

    fn load<'r>(&'r self, bytes: ModuleBytes<'_>) -> Result<Module<'r>, Error> {
        refuse_imports(bytes.bytes())?;
        let load = || {
            let kept = match bytes {
                ModuleBytes::Static(bytes) => Kept::InPlace(bytes),
                ModuleBytes::Borrowed(bytes) => Kept::Copied(bytes.to_vec()),
            };
            // SAFETY: the trial is dropped before the bytes are.
            let trial = unsafe { Running::new(bytes.bytes(), TRIAL_STACK) };
            trial.map(|_| kept)
        };
        // SAFETY: the module borrows this engine, and so its session.
        let loaded = unsafe { self.session.run(load) }?;
        let bytes = loaded.map_err(|why| explain(why, ErrorKind::Malformed))?;
        let number = self.modules.fetch_add(1, Relaxed);
        Ok(Module { bytes, number, _engine: PhantomData })
    }

    fn instantiate<'m>(
        &'m self,
        module: &'m Module<'_>,
        export: &str,
        parameters: Parameters,
        stack: Bytes,
    ) -> Result<Instance<'m>, Error> {
        let mut name = [0; EXPORT_BYTES + 1];
        let name = c_string(export, &mut name).ok_or_else(|| no_export(export))?;
        let start = || {
            // SAFETY: the module outlives the instance, and its bytes do not move.
            let (running, handle) = unsafe { Running::new(module.bytes(), stack.0) }?;
            // SAFETY: the module is the runtime's, which lives.
            fine(unsafe { sys::m3_RunStart(handle) })?;
            let function = running.function(name);
            Ok((running, function))
        };
        // SAFETY: the instance borrows this engine, and so its session.
        let started = unsafe { self.session.start(start) }?;
        let (running, function) = started.map_err(|why| explain(why, ErrorKind::Trap))?;
        let function = function.map_err(|why| match why {
            NO_FUNCTION => no_export(export),
            why => explain(why, ErrorKind::Engine),
        })?;
        let arguments = check_signature(function, parameters)?;
        let (module, _running) = (module.number, running);
        Ok(Instance { function, arguments, module, _running, _module: PhantomData })
    }

    fn stack<'m>(
        &'m self,
        module: &'m Module<'_>,
        first: &Instance<'_>,
        _size: Bytes,
    ) -> Result<Stack<'m>, Error> {
        Stack::new(&self.session, module.number, first.module, &[])
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
        let (function, count) = (instance.function.as_ptr(), instance.arguments);
        let mut result = 0_i32;
        let argument: *const c_void = (&raw const argument).cast();
        let place: *const c_void = (&raw mut result).cast_const().cast();
        let call = || {
            // SAFETY: the function is the instance's, which is borrowed mutably, so no other
            // call is in it. `instantiate` checked that it takes `count` values, 0 or 1, and
            // gives one, each an i32. wasm3 reads the arguments and writes the result during
            // these calls.
            unsafe {
                fine(sys::m3_Call(function, count, &raw const argument))?;
                fine(sys::m3_GetResults(function, 1, &raw const place))
            }
        };
        // SAFETY: what a call leaves behind is the instance's, which borrows the session.
        let called = unsafe { self.session.call(lane, call) }?;
        called.map(|()| result).map_err(|why| explain(why, ErrorKind::Trap))
    }
}

/// wasm3 links what a module imports when it is called. A module without what it imports is
/// refused here.
fn refuse_imports(bytes: &[u8]) -> Result<(), Error> {
    // What this reader cannot read, wasm3 refuses in its own words.
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        if let Payload::ImportSection(section) = payload
            && let Some(Ok(wanted)) = section.into_imports().next()
        {
            return Err(import(wanted.module, wanted.name));
        }
    }
    Ok(())
}

/// The number of arguments, if the function has that signature.
fn check_signature(function: NonNull<sys::Function>, parameters: Parameters) -> Result<u32, Error> {
    let function = function.as_ptr();
    let wanted = match parameters {
        Parameters::None => 0,
        Parameters::I32 => 1,
    };
    // SAFETY: a function of a live runtime. Types are asked for only where there are any.
    let (takes, gives, fits) = unsafe {
        let (takes, gives) = (sys::m3_GetArgCount(function), sys::m3_GetRetCount(function));
        let fits = takes == wanted
            && gives == 1
            && (takes == 0 || sys::m3_GetArgType(function, 0) == sys::I32)
            && sys::m3_GetRetType(function, 0) == sys::I32;
        (takes, gives, fits)
    };
    match fits {
        true => Ok(wanted),
        false => Err(signature(parameters, takes as usize, gives as usize)),
    }
}

/// The text as C has it. `None` if it is too long or contains a NUL.
fn c_string<'b>(text: &str, buffer: &'b mut [u8; EXPORT_BYTES + 1]) -> Option<&'b CStr> {
    buffer.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    CStr::from_bytes_with_nul(buffer.get(..=text.len())?).ok()
}

/// What to do about an error of wasm3, and wasm3's words. `otherwise` is for what has no kind of
/// its own.
#[cold]
fn explain(why: &str, otherwise: ErrorKind) -> Error {
    let kind = match why {
        "[trap] stack overflow" => ErrorKind::WasmStack,
        NO_MEMORY
        | "memory allocation failed when acquiring a new M3 code page"
        | "runtime ran out of memory" => ErrorKind::OutOfMemory,
        _ if why.starts_with("[trap]") => ErrorKind::Trap,
        _ => otherwise,
    };
    error(kind, format_args!("{}", why.trim_start_matches("[trap] ")))
}
