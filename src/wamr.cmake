# The switches of WAMR, each once and with its reason.
#
# Who reads this: Zephyr's CMake and rust/wamr-sys/build, which compiles the same WAMR for a
# host. CMake includes it before WAMR's own build-scripts/runtime_lib.cmake, with
# WAMR_ROOT_DIR set.
#
# rust/wamr-sys/build accepts three forms of lines: a comment, `set(NAME VALUE)`, and
#     if(NOT DEFINED NAME)
#       set(NAME VALUE)
#     endif()
# The plain form is fixed. The guarded form is a default. Kconfig overrides it under Zephyr,
# and an environment variable on a host.

# ---- What a user may choose -------------------------------------------------

# 0 is the classic interpreter. It rewrites the module in place, so the module needs a
# writable copy. 1 is the fast interpreter. It needs less arena and more flash, and it can
# leave the module in flash. See docs/density.md for figures.
if(NOT DEFINED WAMR_BUILD_FAST_INTERP)
  set(WAMR_BUILD_FAST_INTERP 0)
endif()

# wramp loads no ahead-of-time code. 1 compiles the loader of such code in, to measure what
# it costs in flash and in arena.
if(NOT DEFINED WAMR_BUILD_AOT)
  set(WAMR_BUILD_AOT 0)
endif()

# 1 lets a call end after a number of instructions. It makes every call slower.
if(NOT DEFINED WAMR_BUILD_INSTRUCTION_METERING)
  set(WAMR_BUILD_INSTRUCTION_METERING 0)
endif()

# Entries of the classic interpreter's cache of block ends. Each environment has one, with
# 24 bytes an entry on 32 bits. 64 is WAMR's own value. With 16 the workload nest, 40 blocks
# inside one another, takes more than twice as long.
if(NOT DEFINED WRAMP_BLOCK_ADDR_CACHE_SIZE)
  set(WRAMP_BLOCK_ADDR_CACHE_SIZE 64)
endif()

# The -O level of the interpreter's one file. The rest of WAMR has the level of the build.
# 2 about halves the time of a call on the fast interpreter, for 2 KiB of flash.
if(NOT DEFINED WRAMP_INTERPRETER_OPT)
  set(WRAMP_INTERPRETER_OPT s)
endif()

# ---- What the sandbox needs -------------------------------------------------

set(WAMR_BUILD_INTERP 1)

# The mini loader does not validate modules, so it must not load untrusted code.
set(WAMR_BUILD_MINI_LOADER 0)

# The interpreter checks bounds in software. The alternative reserves 8 GiB of address space
# for each instance and catches SIGSEGV. With it a host would not behave as a
# microcontroller does, and linear memory would lie outside the arena.
set(WAMR_DISABLE_HW_BOUND_CHECK 1)

# Only WAMR's hardware checks read GS, so leave that register alone.
set(WAMR_DISABLE_WRITE_GS_BASE 1)

# WAMR cuts a memory to its heap base, to 2 KiB instead of 64 for example, if the module
# exports __heap_base and __data_end and the memory never grows. See also wamr_memory_page.h.
set(WAMR_BUILD_SHRUNK_MEMORY 1)

# The engine must take all of its memory from one arena. With 1 in the first switch, WAMR
# would allocate linear memory through another function and with another size.
set(WAMR_BUILD_ALLOC_WITH_USAGE 0)
set(WAMR_BUILD_ALLOC_WITH_USER_DATA 0)
set(WAMR_BUILD_GLOBAL_HEAP_POOL 0)

# Bytes of a thread's stack that WAMR keeps free for its own frames. With 256 it wrote to
# memory below the stack.
set(WAMR_BUILD_STACK_GUARD_SIZE 1024)

# ---- What today's compilers put into a module -------------------------------

# These switches enable memory.copy and memory.fill. LLVM emits them by default since 20
# (Rust since 1.87). In WAMR after 2.4 the second switch enables these two, and the first
# one implies it.
set(WAMR_BUILD_BULK_MEMORY 1)
set(WAMR_BUILD_BULK_MEMORY_OPT 1)

# LLVM since 19 (Rust since 1.82) writes the table of call_indirect as a number of up to
# five bytes. Without this switch the loader accepts only a single zero byte. It costs a
# table of 304 bytes once, 8 bytes an instance (64 bits), and some 15 ns a call. In WAMR
# after 2.4 the second switch enables only this, and the first one implies it.
set(WAMR_BUILD_REF_TYPES 1)
set(WAMR_BUILD_CALL_INDIRECT_OVERLONG 1)

# These are off. Compilers emit them only on request, and each costs flash.
set(WAMR_BUILD_SIMD 0)
set(WAMR_BUILD_TAIL_CALL 0)
set(WAMR_BUILD_EXTENDED_CONST_EXPR 0)
set(WAMR_BUILD_MEMORY64 0)
set(WAMR_BUILD_MULTI_MEMORY 0)
set(WAMR_BUILD_EXCE_HANDLING 0)
set(WAMR_BUILD_GC 0)

# ---- What a guest is not given ----------------------------------------------

# A module may import nothing.
set(WAMR_BUILD_LIBC_BUILTIN 0)
set(WAMR_BUILD_LIBC_WASI 0)

# The host creates all threads. One thread at a time enters an instance.
set(WAMR_BUILD_LIB_PTHREAD 0)
set(WAMR_BUILD_LIB_WASI_THREADS 0)
set(WAMR_BUILD_THREAD_MGR 0)
set(WAMR_BUILD_SHARED_MEMORY 0)
set(WAMR_BUILD_SHARED_HEAP 0)

# A module stands alone. With 1 WAMR would never unload a module.
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

# wasm_application.c runs a `main`. Here an instance is called by its export.
set(WAMR_DISABLE_APP_ENTRY 1)

# ---- The host build stops reading here --------------------------------------
# rust/wamr-sys/build/main.rs does in Rust what follows here in CMake.

add_compile_definitions(BLOCK_ADDR_CACHE_SIZE=${WRAMP_BLOCK_ADDR_CACHE_SIZE})

# The header explains why it is included. CMake finds the properties of a source by its path.
# If the path differed from that in WAMR_RUNTIME_LIB_SOURCE, CMake would silently ignore the
# option, and guests could leave their memory. wramp_check_wamr_sources() below compares the
# paths.
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

# Call this with WAMR_RUNTIME_LIB_SOURCE after runtime_lib.cmake.
function(wramp_check_wamr_sources)
  foreach(special ${WRAMP_WAMR_MEMORY_SOURCE} ${WRAMP_WAMR_INTERPRETER_SOURCE})
    if(NOT special IN_LIST ARGN)
      message(FATAL_ERROR
        "wramp: WAMR's sources have no ${special}, so its compile options would be lost. "
        "They keep guests in their memory (WAMR issue 5080). Correct the path in "
        "${CMAKE_CURRENT_FUNCTION_LIST_FILE}")
    endif()
  endforeach()
endfunction()
