# How WAMR is built: every switch, once, each with its reason.
#
# Two readers. Zephyr's CMake includes this file before WAMR's own
# build-scripts/runtime_lib.cmake, in the same directory, with WAMR_ROOT_DIR set.
# rust/wamr-sys/build reads it for a host, so that both builds are of one kind.
#
# For the second reader's sake the list below has three forms of line and no
# more: a comment, `set(NAME VALUE)`, and
#     if(NOT DEFINED NAME)
#       set(NAME VALUE)
#     endif()
# The plain form is fixed. The guarded one is a default: Kconfig overrides it
# under Zephyr, an environment variable on a host.

# ---- What a user may choose -------------------------------------------------

# 0 is the classic interpreter: it rewrites the module in place, so the module
# needs a writable copy. 1 is the fast one: 2.5 times as fast, 1.5 KiB less for
# each environment, 4 KiB more text, and it can leave the module in flash.
if(NOT DEFINED WAMR_BUILD_FAST_INTERP)
  set(WAMR_BUILD_FAST_INTERP 0)
endif()

# Ahead-of-time code is never loaded. Compiling its loader in costs 32 KiB of
# text and 344 bytes for each instance; 1 is here to measure just that.
if(NOT DEFINED WAMR_BUILD_AOT)
  set(WAMR_BUILD_AOT 0)
endif()

# Ends a guest after a number of instructions. Calls take 21 to 26 % longer.
if(NOT DEFINED WAMR_BUILD_INSTRUCTION_METERING)
  set(WAMR_BUILD_INSTRUCTION_METERING 0)
endif()

# Entries of the classic interpreter's cache of block ends, in each environment,
# 24 bytes an entry on 32 bits. 64 is WAMR's own; with 16 or less the workload nest,
# 40 blocks inside one another, takes 2.2 times as long.
if(NOT DEFINED WRAMP_BLOCK_ADDR_CACHE_SIZE)
  set(WRAMP_BLOCK_ADDR_CACHE_SIZE 64)
endif()

# The -O level of the interpreter's one file; the rest of WAMR stays at the
# build's own. 2 halves the time of the fast interpreter for 2 KiB of text.
if(NOT DEFINED WRAMP_INTERPRETER_OPT)
  set(WRAMP_INTERPRETER_OPT s)
endif()

# ---- What the sandbox needs -------------------------------------------------

set(WAMR_BUILD_INTERP 1)

# The mini loader does not validate a module. Not for code of others.
set(WAMR_BUILD_MINI_LOADER 0)

# Bounds are checked in software. The other way reserves 8 GiB of address space
# for an instance and catches SIGSEGV: a host would not behave as a
# microcontroller does, and its arena would not hold the memory.
set(WAMR_DISABLE_HW_BOUND_CHECK 1)

# Without WAMR's hardware checks nothing reads GS; then leave it alone.
set(WAMR_DISABLE_WRITE_GS_BASE 1)

# A memory whose module exports __heap_base and __data_end and never grows is cut
# to its heap base: 2 KiB instead of 64. See also wamr_memory_page.h.
set(WAMR_BUILD_SHRUNK_MEMORY 1)

# With 1 WAMR would ask for linear memory by another door and with another
# size. One door: everything an engine takes comes from one arena.
set(WAMR_BUILD_ALLOC_WITH_USAGE 0)
set(WAMR_BUILD_ALLOC_WITH_USER_DATA 0)
set(WAMR_BUILD_GLOBAL_HEAP_POOL 0)

# Bytes kept free below a thread's stack for the engine's own frames. At 256
# memory below the stack was written.
set(WAMR_BUILD_STACK_GUARD_SIZE 1024)

# ---- What today's compilers put into a module -------------------------------

# memory.copy and memory.fill; part of LLVM's default since 20 (Rust since 1.87).
# The second switch holds these two in WAMR after 2.4, where it follows the first.
set(WAMR_BUILD_BULK_MEMORY 1)
set(WAMR_BUILD_BULK_MEMORY_OPT 1)

# LLVM since 19 (Rust since 1.82) writes the table of call_indirect as a number
# of up to five bytes; without this the loader wants a single zero byte. Costs a
# table of 304 bytes once, 8 bytes an instance (64 bits), and some 15 ns a call.
# The second switch holds just that in WAMR after 2.4, where it follows the first.
set(WAMR_BUILD_REF_TYPES 1)
set(WAMR_BUILD_CALL_INDIRECT_OVERLONG 1)

# Off: no compiler emits these unless told to, and each costs text.
set(WAMR_BUILD_SIMD 0)
set(WAMR_BUILD_TAIL_CALL 0)
set(WAMR_BUILD_EXTENDED_CONST_EXPR 0)
set(WAMR_BUILD_MEMORY64 0)
set(WAMR_BUILD_MULTI_MEMORY 0)
set(WAMR_BUILD_EXCE_HANDLING 0)
set(WAMR_BUILD_GC 0)

# ---- What a guest is not given ----------------------------------------------

# A module may import nothing, so there is nothing to provide.
set(WAMR_BUILD_LIBC_BUILTIN 0)
set(WAMR_BUILD_LIBC_WASI 0)

# Threads are the host's: one instance, one thread at a time.
set(WAMR_BUILD_LIB_PTHREAD 0)
set(WAMR_BUILD_LIB_WASI_THREADS 0)
set(WAMR_BUILD_THREAD_MGR 0)
set(WAMR_BUILD_SHARED_MEMORY 0)
set(WAMR_BUILD_SHARED_HEAP 0)

# A module stands alone; with 1 WAMR would also never unload one.
set(WAMR_BUILD_MULTI_MODULE 0)

# ---- What would distort a measurement ---------------------------------------

set(WAMR_BUILD_MEMORY_PROFILING 0)
set(WAMR_BUILD_PERF_PROFILING 0)
set(WAMR_BUILD_DEBUG_INTERP 0)
set(WAMR_BUILD_DUMP_CALL_STACK 0)
set(WAMR_BUILD_CUSTOM_NAME_SECTION 0)
set(WAMR_BUILD_LOAD_CUSTOM_SECTION 0)
set(WAMR_BUILD_JIT 0)
set(WAMR_BUILD_FAST_JIT 0)

# wasm_application.c runs a `main`; an instance here is called by its export.
set(WAMR_DISABLE_APP_ENTRY 1)

# ---- The host build stops reading here --------------------------------------
# What follows says in CMake what rust/wamr-sys/build/main.rs says in Rust.

add_compile_definitions(BLOCK_ADDR_CACHE_SIZE=${WRAMP_BLOCK_ADDR_CACHE_SIZE})

# See the header for why. The property is keyed by path: a path that does not
# match the one in WAMR_RUNTIME_LIB_SOURCE would be ignored without a word and
# leave the hole open, so wramp_check_wamr_sources() below looks.
set(WRAMP_WAMR_MEMORY_SOURCE ${WAMR_ROOT_DIR}/core/iwasm/common/wasm_memory.c)
set_property(SOURCE ${WRAMP_WAMR_MEMORY_SOURCE} APPEND PROPERTY COMPILE_OPTIONS
  -include ${CMAKE_CURRENT_LIST_DIR}/wamr_memory_page.h)

if(WAMR_BUILD_FAST_INTERP)
  set(WRAMP_WAMR_INTERPRETER_SOURCE ${WAMR_ROOT_DIR}/core/iwasm/interpreter/wasm_interp_fast.c)
else()
  set(WRAMP_WAMR_INTERPRETER_SOURCE ${WAMR_ROOT_DIR}/core/iwasm/interpreter/wasm_interp_classic.c)
endif()
set_property(SOURCE ${WRAMP_WAMR_INTERPRETER_SOURCE} APPEND PROPERTY COMPILE_OPTIONS
  -O${WRAMP_INTERPRETER_OPT})

# Call it with WAMR_RUNTIME_LIB_SOURCE after runtime_lib.cmake.
function(wramp_check_wamr_sources)
  foreach(special ${WRAMP_WAMR_MEMORY_SOURCE} ${WRAMP_WAMR_INTERPRETER_SOURCE})
    if(NOT special IN_LIST ARGN)
      message(FATAL_ERROR
        "wramp: ${special} is not among WAMR's sources under that path; its "
        "compile options, which close WAMR issue 5080, would be lost")
    endif()
  endforeach()
endfunction()
