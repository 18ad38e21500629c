/*
 * Gives the tests the layouts that src/lib.rs writes down by hand.
 *
 * It is compiled with WAMR's own headers and flags. Only tests refer to it, so
 * only their programs contain it.
 */
#include <stddef.h>

#include "wasm_export.h"

#define WRAMP_SIZE(name, type) const size_t wramp_size_of_##name = sizeof(type)
#define WRAMP_OFFSET(name, type, field) \
    const size_t wramp_offset_of_##name = offsetof(type, field)

WRAMP_SIZE(init_args, RuntimeInitArgs);
WRAMP_OFFSET(init_args_option, RuntimeInitArgs, mem_alloc_option);
WRAMP_OFFSET(init_args_symbols, RuntimeInitArgs, n_native_symbols);
WRAMP_OFFSET(init_args_last, RuntimeInitArgs, enable_linux_perf);
WRAMP_SIZE(load_args, LoadArgs);
WRAMP_OFFSET(load_args_freeable, LoadArgs, wasm_binary_freeable);
