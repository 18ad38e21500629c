//! WAMR's C interface: what the wrapper needs, and nothing else.
//!
//! The crate only declares. WAMR states what a call demands of its caller
//! (`core/iwasm/include/wasm_export.h`), and the wrapper proves that it complies. This crate
//! offers no safe function. `tests/layout.rs` compares the structs with those of the C
//! compiler.
//!
//! On a host, the build script compiles WAMR from source. On a microcontroller, the firmware's
//! build has compiled it, and this crate links to the result.
#![no_std]
#![allow(non_camel_case_types, reason = "the names are WAMR's")]

use core::ffi::{c_char, c_int, c_uint, c_void};
use core::marker::{PhantomData, PhantomPinned};

#[cfg(wamr_host)]
mod host;

/// WAMR's version for a record: `2.4.5`, or `2.4.3-wamrx-0.3.0` for the source that the package
/// `wamrx-sys` 0.3.0 carries and calls 2.4.3. It is `unknown` if the build that compiled it did
/// not say.
pub const VERSION: &str = env!("WRAMP_WAMR_VERSION");
/// The interpreter compiled in: `classic` or `fast`.
pub const INTERPRETER: &str = env!("WRAMP_WAMR_INTERPRETER");
/// The corrections of this WAMR's source: names of `src/wamr_fixes` joined by `+`. `unlisted`
/// stands for a source that nobody has examined. `none` means that this interpreter has no known
/// fault.
pub const FIXES: &str = env!("WRAMP_WAMR_FIXES");
/// How the interpreter's file was optimised, as the compiler's option says: `Os`, `O2`. `None`
/// if the build that compiled it did not say.
pub const INTERPRETER_OPT: Option<&str> = option_env!("WRAMP_WAMR_INTERPRETER_OPT");
/// Whether a call can be ended after a number of instructions.
pub const METERING: bool = cfg!(wamr_metering);

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[repr(C)]
        pub struct $name {
            bytes: [u8; 0],
            // An opaque type of WAMR's. Rust must neither move nor share it.
            marker: PhantomData<(*mut u8, PhantomPinned)>,
        }
    };
}

opaque! {
    /// A loaded module.
    WASMModuleCommon
}
opaque! {
    /// An instance of a module.
    WASMModuleInstanceCommon
}
opaque! {
    /// A function of an instance.
    WASMFunctionInstanceCommon
}
opaque! {
    /// An execution environment: the interpreter's stack and its state per thread.
    WASMExecEnv
}

/// See [`WASMModuleCommon`].
pub type wasm_module_t = *mut WASMModuleCommon;
/// See [`WASMModuleInstanceCommon`].
pub type wasm_module_inst_t = *mut WASMModuleInstanceCommon;
/// See [`WASMFunctionInstanceCommon`].
pub type wasm_function_inst_t = *mut WASMFunctionInstanceCommon;
/// See [`WASMExecEnv`].
pub type wasm_exec_env_t = *mut WASMExecEnv;

/// A value's kind. See [`WASM_I32`].
pub type wasm_valkind_t = u8;
/// The kind of an i32.
pub const WASM_I32: wasm_valkind_t = 0;
/// The kind of an i64.
pub const WASM_I64: wasm_valkind_t = 1;
/// The kind of an f32.
pub const WASM_F32: wasm_valkind_t = 2;
/// The kind of an f64.
pub const WASM_F64: wasm_valkind_t = 3;

/// How WAMR gets memory.
pub type mem_alloc_type_t = c_uint;
/// WAMR gets memory from functions of the host: [`MemAllocFunctions`].
pub const ALLOC_WITH_ALLOCATOR: mem_alloc_type_t = 1;

/// The log level that prints only fatal errors.
pub const WASM_LOG_LEVEL_FATAL: c_uint = 0;

/// The host's allocator. WAMR's header has a union here, of which this is the larger part. It
/// has untyped pointers, whose types are these.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MemAllocFunctions {
    /// As C's `malloc`.
    pub malloc: unsafe extern "C" fn(size: c_uint) -> *mut c_void,
    /// As C's `realloc`.
    pub realloc: unsafe extern "C" fn(block: *mut c_void, size: c_uint) -> *mut c_void,
    /// As C's `free`.
    pub free: unsafe extern "C" fn(block: *mut c_void),
    /// Not used: WAMR is built without `ALLOC_WITH_USER_DATA`.
    pub user_data: *mut c_void,
}

/// The arguments of [`wasm_runtime_full_init`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RuntimeInitArgs {
    /// [`ALLOC_WITH_ALLOCATOR`].
    pub mem_alloc_type: mem_alloc_type_t,
    /// The allocator.
    pub mem_alloc_option: MemAllocFunctions,
    /// The module that [`native_symbols`](Self::native_symbols) belong to.
    pub native_module_name: *const c_char,
    /// What modules can import.
    pub native_symbols: *mut c_void,
    /// How many symbols there are.
    pub n_native_symbols: u32,
    /// Not used: WAMR is built without its thread manager.
    pub max_thread_num: u32,
    /// The rest serves only debuggers and compilers, which are not built.
    pub rest: RuntimeInitArgsRest,
}

/// The part of [`RuntimeInitArgs`] that wramp leaves at zero, except for the mode.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RuntimeInitArgsRest {
    /// The debugger's address.
    pub ip_addr: [c_char; 128],
    /// Not used by WAMR itself.
    pub unused: c_int,
    /// The debugger's port.
    pub instance_port: c_int,
    /// Bytes of the fast compiler's code cache.
    pub fast_jit_code_cache_size: u32,
    /// Bytes of a garbage collector's heap.
    pub gc_heap_size: u32,
    /// [`MODE_INTERP`].
    pub running_mode: c_uint,
    /// For LLVM.
    pub llvm_jit_opt_level: u32,
    /// For LLVM.
    pub llvm_jit_size_level: u32,
    /// For LLVM.
    pub segue_flags: u32,
    /// For `perf`.
    pub enable_linux_perf: bool,
}

/// The running mode of an interpreter.
pub const MODE_INTERP: c_uint = 1;

/// The arguments of [`wasm_runtime_load_ex`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LoadArgs {
    /// The module's name. It is copied unless empty, and must not be null.
    pub name: *const c_char,
    /// For another interface of WAMR.
    pub clone_wasm_binary: bool,
    /// Whether the bytes go away after the load. WAMR then copies what it needs.
    pub wasm_binary_freeable: bool,
    /// Whether a later call resolves imports.
    pub no_resolve: bool,
}

/// What [`wramp_wamr_parts`] reports: bytes that WAMR asked for, for one instance.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceParts {
    /// Its linear memories.
    pub linear_memory: u32,
    /// Its globals: their descriptions and their values.
    pub globals: u32,
    /// Its table of functions.
    pub functions: u32,
    /// Its table of exported functions.
    pub exports: u32,
}

/// What [`wramp_wamr_shape`] reports: what a module's instances can change.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of its mutable globals.
    pub global_bytes: u32,
    /// Its memories.
    pub memories: u32,
    /// Its tables.
    pub tables: u32,
    /// Data segments that code can drop.
    pub passive_data: u32,
    /// Element segments that code can drop.
    pub passive_elements: u32,
}

/// What [`wramp_wamr_pieces`] reports: where the pieces of an instance's state are.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// The bytes of its memory. Meaningless without one; may be null if there are no bytes.
    pub memory: *mut u8,
    /// How many there are now.
    pub memory_bytes: usize,
    /// Its memories.
    pub memories: u32,
    /// Its tables.
    pub tables: u32,
    /// Functions that a reference can name, by their index.
    pub functions: u32,
    /// Data segments that code can drop.
    pub passive_data: u32,
    /// Element segments that code can drop.
    pub passive_elements: u32,
}

/// What [`wramp_wamr_table`] reports: the sizes of a table, in elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its size now.
    pub size: u32,
    /// Its size when it is instantiated.
    pub first_size: u32,
    /// Elements that it has room for.
    pub most: u32,
}

/// What [`wramp_wamr_entry`] reports: what a call of an instance enters.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The instance's module.
    pub module: wasm_module_t,
    /// The function that was set.
    pub function: wasm_function_inst_t,
    /// The note that was set with it.
    pub note: u32,
}

/// What [`wramp_wamr_caller`] reports: who calls the host.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The beginning of the instance's linear memory. Null if it has none.
    pub memory: *mut u8,
    /// Its size in bytes.
    pub memory_bytes: usize,
    /// What [`wasm_runtime_set_custom_data`] set. Null before.
    pub desk: *mut c_void,
    /// What the import was linked with.
    pub attachment: *mut c_void,
}

/// A function of the host, as WAMR calls it. The values are the arguments, in 64 bits each, and
/// the first is also the result's place.
pub type RawFunction = unsafe extern "C" fn(environment: wasm_exec_env_t, values: *mut u64);

// wramp defines these, in src/wamr_imports.c.
unsafe extern "C" {
    /// How many functions a module imports.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_imported_functions")]
    pub fn wramp_wamr_imported_functions(module: wasm_module_t) -> u32;
    /// How much else it imports.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_imported_others")]
    pub fn wramp_wamr_imported_others(module: wasm_module_t) -> u32;
    /// Links an imported function. Returns how many parameters it has, or -1 if there is no
    /// such import.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_link")]
    pub fn wramp_wamr_link(
        module: wasm_module_t,
        index: u32,
        function: RawFunction,
        attachment: *mut c_void,
    ) -> i32;
    /// Reports who calls the host, inside a call of a linked function.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_caller")]
    pub fn wramp_wamr_caller(environment: wasm_exec_env_t, caller: *mut Caller);

    /// Keeps a pointer of the host's in an instance.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_set_custom_data")]
    pub fn wasm_runtime_set_custom_data(instance: wasm_module_inst_t, data: *mut c_void);
    /// The instance that an environment is attached to.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_get_module_inst")]
    pub fn wasm_runtime_get_module_inst(environment: wasm_exec_env_t) -> wasm_module_inst_t;
    /// Ends the call of an instance with a trap of that text, which is copied.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_set_exception")]
    pub fn wasm_runtime_set_exception(instance: wasm_module_inst_t, text: *const c_char);
}

unsafe extern "C" {
    /// The number of the first feature that keeps a module's instances from being parked, from
    /// 1; 0 if there is none. The order is that of src/wamr_parts.c, which has this and what
    /// follows about an instance's state.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_unparkable")]
    pub fn wramp_wamr_unparkable(module: wasm_module_t) -> u32;
    /// Reports what a module's instances can change.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_shape")]
    pub fn wramp_wamr_shape(module: wasm_module_t, shape: *mut Shape);
    /// Reports where an instance's state is.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_pieces")]
    pub fn wramp_wamr_pieces(instance: wasm_module_inst_t, pieces: *mut Pieces);
    /// The first mutable global from `index` on: its bytes, or 0 if there is none.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_global")]
    pub fn wramp_wamr_global(
        instance: wasm_module_inst_t,
        index: *mut u32,
        value: *mut *mut u8,
        initial: *mut *const u8,
        reference: *mut bool,
    ) -> u32;
    /// Grows the one memory to so many bytes.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_grow_to")]
    pub fn wramp_wamr_grow_to(instance: wasm_module_inst_t, bytes: u64) -> bool;
    /// Gives the one memory its first size again.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_shrink")]
    pub fn wramp_wamr_shrink(instance: wasm_module_inst_t);
    /// How many data segments there are.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_data_segments")]
    pub fn wramp_wamr_data_segments(instance: wasm_module_inst_t) -> u32;
    /// The length of a data segment that instantiation writes, else 0.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_data_segment")]
    pub fn wramp_wamr_data_segment(
        instance: wasm_module_inst_t,
        index: u32,
        offset: *mut u32,
        bytes: *mut *const u8,
    ) -> u32;
    /// The sizes of a table.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_table")]
    pub fn wramp_wamr_table(instance: wasm_module_inst_t, index: u32, table: *mut Table);
    /// Writes an element of a table and returns the one that was there.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_exchange_element")]
    pub fn wramp_wamr_exchange_element(
        instance: wasm_module_inst_t,
        index: u32,
        at: u32,
        element: u32,
    ) -> u32;
    /// Changes the size of a table.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_set_table_size")]
    pub fn wramp_wamr_set_table_size(instance: wasm_module_inst_t, index: u32, size: u32);
    /// An element of a table as instantiation writes it.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_first_element")]
    pub fn wramp_wamr_first_element(instance: wasm_module_inst_t, table: u32, element: u32) -> u32;
    /// Whether a passive segment was dropped. `set` 0 or 1 changes that; other numbers do not.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_dropped")]
    pub fn wramp_wamr_dropped(
        instance: wasm_module_inst_t,
        elements: bool,
        passive: u32,
        set: c_int,
    ) -> bool;
    /// Forgets the text of an exception.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_forget_exception")]
    pub fn wramp_wamr_forget_exception(instance: wasm_module_inst_t);

    /// Reports what an instance's bytes are for. wramp defines it, in src/wamr_parts.c.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_parts")]
    pub fn wramp_wamr_parts(instance: wasm_module_inst_t, parts: *mut InstanceParts);
    /// Bytes of an environment's cache of block ends.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_block_cache_bytes")]
    pub safe static wramp_wamr_block_cache_bytes: u32;
    /// Block ends that the cache remembers. 0 for the fast interpreter.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_block_cache_entries")]
    pub safe static wramp_wamr_block_cache_entries: u32;
    /// Bytes of a thread's native stack that WAMR keeps free for its own frames.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_stack_guard_bytes")]
    pub safe static wramp_wamr_stack_guard_bytes: u32;
    /// 1 if ahead-of-time code is supported. wramp never loads any.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_aot")]
    pub safe static wramp_wamr_aot: u32;

    /// Initialises the one runtime of a program.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_full_init")]
    pub fn wasm_runtime_full_init(init_args: *mut RuntimeInitArgs) -> bool;
    /// Destroys it. Modules, instances and environments must be gone.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_destroy")]
    pub fn wasm_runtime_destroy();

    /// Allocates from the runtime's allocator.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_malloc")]
    pub fn wasm_runtime_malloc(size: c_uint) -> *mut c_void;
    /// Frees what [`wasm_runtime_malloc`] gave.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_free")]
    pub fn wasm_runtime_free(block: *mut c_void);

    /// Loads a module. It rewrites `bytes`, which must stay until the unload.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_load")]
    pub fn wasm_runtime_load(
        bytes: *mut u8,
        size: u32,
        error: *mut c_char,
        error_size: u32,
    ) -> wasm_module_t;
    /// Loads a module as `args` say.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_load_ex")]
    pub fn wasm_runtime_load_ex(
        bytes: *mut u8,
        size: u32,
        args: *const LoadArgs,
        error: *mut c_char,
        error_size: u32,
    ) -> wasm_module_t;
    /// Unloads a module that has no instances.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_unload")]
    pub fn wasm_runtime_unload(module: wasm_module_t);

    /// Instantiates a module and runs its start function on a stack of that size.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_instantiate")]
    pub fn wasm_runtime_instantiate(
        module: wasm_module_t,
        stack_size: u32,
        heap_size: u32,
        error: *mut c_char,
        error_size: u32,
    ) -> wasm_module_inst_t;
    /// Destroys an instance.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_deinstantiate")]
    pub fn wasm_runtime_deinstantiate(instance: wasm_module_inst_t);

    /// Finds an exported function. Null if there is none with that name.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_lookup_function")]
    pub fn wasm_runtime_lookup_function(
        instance: wasm_module_inst_t,
        name: *const c_char,
    ) -> wasm_function_inst_t;

    /// How many parameters a function has.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_func_get_param_count")]
    pub fn wasm_func_get_param_count(
        function: wasm_function_inst_t,
        instance: wasm_module_inst_t,
    ) -> u32;
    /// How many results it has.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_func_get_result_count")]
    pub fn wasm_func_get_result_count(
        function: wasm_function_inst_t,
        instance: wasm_module_inst_t,
    ) -> u32;
    /// Writes the parameters' kinds, as many as there are parameters.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_func_get_param_types")]
    pub fn wasm_func_get_param_types(
        function: wasm_function_inst_t,
        instance: wasm_module_inst_t,
        kinds: *mut wasm_valkind_t,
    );
    /// Writes the results' kinds, as many as there are results.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_func_get_result_types")]
    pub fn wasm_func_get_result_types(
        function: wasm_function_inst_t,
        instance: wasm_module_inst_t,
        kinds: *mut wasm_valkind_t,
    );

    /// Creates an execution environment.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_create_exec_env")]
    pub fn wasm_runtime_create_exec_env(
        instance: wasm_module_inst_t,
        stack_size: u32,
    ) -> wasm_exec_env_t;
    /// Destroys it.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_destroy_exec_env")]
    pub fn wasm_runtime_destroy_exec_env(environment: wasm_exec_env_t);
    /// Attaches it to another instance.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_set_module_inst")]
    pub fn wasm_runtime_set_module_inst(environment: wasm_exec_env_t, instance: wasm_module_inst_t);
    /// Bounds the instructions of each later call. A negative number means no bound.
    #[cfg(wamr_metering)]
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_set_instruction_count_limit")]
    pub fn wasm_runtime_set_instruction_count_limit(
        environment: wasm_exec_env_t,
        instructions: c_int,
    );

    /// Takes the start function out of a loaded module of bytecode. Gives its index, or
    /// `u32::MAX` where there is none.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_take_start")]
    pub fn wramp_wamr_take_start(module: wasm_module_t) -> u32;
    /// A function of an instance of bytecode by its index. Null where there is none.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_function")]
    pub fn wramp_wamr_function(instance: wasm_module_inst_t, index: u32) -> wasm_function_inst_t;
    /// Keeps in an instance which of its functions calls enter, and a note.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_set_entry")]
    pub fn wramp_wamr_set_entry(
        instance: wasm_module_inst_t,
        function: wasm_function_inst_t,
        note: u32,
    );
    /// Reports what was kept, and the instance's module.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wramp_wamr_entry")]
    pub fn wramp_wamr_entry(instance: wasm_module_inst_t, entry: *mut Entry);

    /// Calls a function. `argc` and `argv` are 32-bit cells. The results overwrite the
    /// arguments.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_call_wasm")]
    pub fn wasm_runtime_call_wasm(
        environment: wasm_exec_env_t,
        function: wasm_function_inst_t,
        argc: u32,
        argv: *mut u32,
    ) -> bool;

    /// The text of the exception that ended a call. Null if there was none.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_get_exception")]
    pub fn wasm_runtime_get_exception(instance: wasm_module_inst_t) -> *const c_char;
    /// Forgets it. The instance can then be called again.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_clear_exception")]
    pub fn wasm_runtime_clear_exception(instance: wasm_module_inst_t);

    /// Prepares the calling thread.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_init_thread_env")]
    pub fn wasm_runtime_init_thread_env() -> bool;
    /// Undoes [`wasm_runtime_init_thread_env`], on the same thread.
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_destroy_thread_env")]
    pub fn wasm_runtime_destroy_thread_env();

    /// Sets the log's level. See [`WASM_LOG_LEVEL_FATAL`].
    #[cfg_attr(wamr_other, link_name = "wramp_other_wasm_runtime_set_log_level")]
    pub fn wasm_runtime_set_log_level(level: c_uint);
}
