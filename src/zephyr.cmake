# Translates what Kconfig and the board decide about WAMR into its switches.
#
# Who reads this: CMakeLists.txt, before wamr.cmake. Switches that are set here override the
# defaults there.

set(WAMR_BUILD_PLATFORM zephyr)
if(CONFIG_ARCH_POSIX AND CONFIG_64BIT)
  set(WAMR_BUILD_TARGET X86_64)
elseif(CONFIG_CPU_CORTEX_M)
  set(WAMR_BUILD_TARGET THUMB)
elseif(CONFIG_RISCV AND CONFIG_64BIT)
  set(WAMR_BUILD_TARGET RISCV64_LP64)
elseif(CONFIG_RISCV)
  set(WAMR_BUILD_TARGET RISCV32_ILP32)
elseif(CONFIG_XTENSA)
  set(WAMR_BUILD_TARGET XTENSA)
else()
  message(FATAL_ERROR
    "wramp: ${CMAKE_CURRENT_LIST_FILE} has no name for ${ARCH}; add the one that WAMR's "
    "build-scripts use for WAMR_BUILD_TARGET")
endif()

# Sets a switch to 0 or 1. A Kconfig symbol that is off is not defined in CMake.
function(wramp_switch variable symbol)
  if(${symbol})
    set(${variable} 1 PARENT_SCOPE)
  else()
    set(${variable} 0 PARENT_SCOPE)
  endif()
endfunction()

if(CONFIG_WRAMP_INTERPRETER_FAST AND CONFIG_ARMV6_M_ARMV8_M_BASELINE)
  message(FATAL_ERROR
    "wramp: the fast interpreter cannot run on this CPU. WAMR's fast interpreter writes its code "
    "without alignment, and ARMv6-M and ARMv8-M Baseline fault where a word is not aligned. Set "
    "CONFIG_WRAMP_INTERPRETER_CLASSIC=y after fast.conf or dense.conf")
endif()
wramp_switch(WAMR_BUILD_FAST_INTERP CONFIG_WRAMP_INTERPRETER_FAST)
wramp_switch(WAMR_BUILD_AOT CONFIG_WRAMP_AOT)
wramp_switch(WAMR_BUILD_INSTRUCTION_METERING CONFIG_WRAMP_METERING)
if(CONFIG_WRAMP_INTERPRETER_SPEED)
  set(WRAMP_INTERPRETER_OPT 2)
endif()
if(CONFIG_WRAMP_INTERPRETER_CLASSIC)
  set(WRAMP_BLOCK_ADDR_CACHE_SIZE ${CONFIG_WRAMP_BLOCK_ADDR_CACHE_SIZE})
endif()

# The build scripts of wamr-sys and firmware read these facts.
if(CONFIG_WRAMP_INTERPRETER_FAST)
  set(interpreter fast)
else()
  set(interpreter classic)
endif()
wramp_correct_wamr(${CMAKE_CURRENT_LIST_DIR}/wamr_fixes ${interpreter} ${WAMR_ROOT_DIR}
  ${CMAKE_CURRENT_BINARY_DIR}/wamr_corrected
  fixes WRAMP_WAMR_ORIGINALS WRAMP_WAMR_COPIES)
set(WRAMP_FACTS
  WRAMP_WAMR_INTERPRETER=${interpreter}
  WRAMP_WAMR_FIXES=${fixes})
wramp_switch(copy CONFIG_WRAMP_MODULE_COPY)
wramp_switch(imports CONFIG_WRAMP_IMPORTS)
# How many events of a start rust/wamr records. Each takes 8 bytes. A start that also loads a
# module has more.
set(events 64)
if(CONFIG_WRAMP_SCENARIO_PRIVATE)
  set(events 256)
endif()
file(READ ${WAMR_ROOT_DIR}/core/version.h header)
string(REGEX MATCH "MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+)" _ "${header}")
# Whether WAMR has the fix that LOADER_FIX in rust/wamr-sys/build/source.rs explains.
file(STRINGS ${WAMR_ROOT_DIR}/core/iwasm/interpreter/wasm_loader.c loader_fix
  LIMIT_COUNT 1 REGEX FAST_INTERP_CONST_DEDUP_SCAN_MAX)
if(loader_fix)
  set(overflow 0)
else()
  set(overflow 1)
endif()
set(level s)
if(CONFIG_WRAMP_INTERPRETER_SPEED)
  set(level 2)
endif()
list(APPEND WRAMP_FACTS
  WRAMP_WAMR_INTERPRETER_OPT=${level}
  WRAMP_MODULE_COPY=${copy}
  WRAMP_WAMR_IMPORTS=${imports}
  WRAMP_TRACE_EVENTS=${events}
  WRAMP_WAMR_METERING=${WAMR_BUILD_INSTRUCTION_METERING}
  WRAMP_WAMR_CONST_OVERFLOW=${overflow}
  WRAMP_WAMR_VERSION=${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.${CMAKE_MATCH_3}
  WRAMP_ZEPHYR_VERSION=${KERNEL_VERSION_STRING}
  WRAMP_CC=${CMAKE_C_COMPILER_ID}-${CMAKE_C_COMPILER_VERSION})
