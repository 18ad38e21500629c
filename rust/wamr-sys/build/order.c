/*
 * Tells ThreadSanitizer how Rust orders the calls of WAMR.
 *
 * It is compiled if WRAMP_SANITIZE is `thread`. The sanitizer watches the C and does not see
 * the mutexes and atomics of Rust. It would therefore report each instance that moves to
 * another thread. Two rules replace what it does not see:
 *
 * 1. A call of WAMR that begins after another one has returned comes after it. Two calls that
 *    overlap in time have no order. The sanitizer reports what they share.
 * 2. The arena gives a block out only after it took it back. Its lock makes sure of that.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wasm_export.h"

extern void __tsan_acquire(void *address);
extern void __tsan_release(void *address);

static char calls, blocks;

/* A function of WAMR with a result, and one without. */
#define ORDERED(type, name, inner, parameters, arguments)                                       \
    extern type wramp_inner_##inner parameters;                                                 \
    type name parameters                                                                        \
    {                                                                                           \
        __tsan_acquire(&calls);                                                                 \
        type result = wramp_inner_##inner arguments;                                            \
        __tsan_release(&calls);                                                                 \
        return result;                                                                          \
    }
#define ORDERED_VOID(name, inner, parameters, arguments)                                        \
    extern void wramp_inner_##inner parameters;                                                 \
    void name parameters                                                                        \
    {                                                                                           \
        __tsan_acquire(&calls);                                                                 \
        wramp_inner_##inner arguments;                                                          \
        __tsan_release(&calls);                                                                 \
    }

ORDERED(bool, wasm_runtime_full_init, full_init, (RuntimeInitArgs * a), (a))
ORDERED_VOID(wasm_runtime_destroy, destroy, (void), ())
ORDERED(wasm_module_t, wasm_runtime_load, load, (uint8_t * a, uint32_t b, char *c, uint32_t d),
        (a, b, c, d))
ORDERED(wasm_module_t, wasm_runtime_load_ex, load_ex,
        (uint8_t * a, uint32_t b, const LoadArgs *c, char *d, uint32_t e), (a, b, c, d, e))
ORDERED_VOID(wasm_runtime_unload, unload, (wasm_module_t a), (a))
ORDERED(wasm_module_inst_t, wasm_runtime_instantiate, instantiate,
        (const wasm_module_t a, uint32_t b, uint32_t c, char *d, uint32_t e), (a, b, c, d, e))
ORDERED_VOID(wasm_runtime_deinstantiate, deinstantiate, (wasm_module_inst_t a), (a))
ORDERED(wasm_function_inst_t, wasm_runtime_lookup_function, lookup_function,
        (const wasm_module_inst_t a, const char *b), (a, b))
ORDERED(uint32_t, wasm_func_get_param_count, get_param_count,
        (const wasm_function_inst_t a, const wasm_module_inst_t b), (a, b))
ORDERED(uint32_t, wasm_func_get_result_count, get_result_count,
        (const wasm_function_inst_t a, const wasm_module_inst_t b), (a, b))
ORDERED_VOID(wasm_func_get_param_types, get_param_types,
             (const wasm_function_inst_t a, const wasm_module_inst_t b, wasm_valkind_t *c),
             (a, b, c))
ORDERED_VOID(wasm_func_get_result_types, get_result_types,
             (const wasm_function_inst_t a, const wasm_module_inst_t b, wasm_valkind_t *c),
             (a, b, c))
ORDERED(wasm_exec_env_t, wasm_runtime_create_exec_env, create_exec_env,
        (wasm_module_inst_t a, uint32_t b), (a, b))
ORDERED_VOID(wasm_runtime_destroy_exec_env, destroy_exec_env, (wasm_exec_env_t a), (a))
ORDERED_VOID(wasm_runtime_set_module_inst, set_module_inst,
             (wasm_exec_env_t a, const wasm_module_inst_t b), (a, b))
ORDERED(bool, wasm_runtime_call_wasm, call_wasm,
        (wasm_exec_env_t a, wasm_function_inst_t b, uint32_t c, uint32_t d[]), (a, b, c, d))
ORDERED(const char *, wasm_runtime_get_exception, get_exception, (wasm_module_inst_t a), (a))
ORDERED_VOID(wasm_runtime_clear_exception, clear_exception, (wasm_module_inst_t a), (a))
ORDERED(bool, wasm_runtime_init_thread_env, init_thread_env, (void), ())
ORDERED_VOID(wasm_runtime_destroy_thread_env, destroy_thread_env, (void), ())
ORDERED_VOID(wasm_runtime_set_log_level, set_log_level, (log_level_t a), (a))

#if WASM_ENABLE_INSTRUCTION_METERING != 0
ORDERED_VOID(wasm_runtime_set_instruction_count_limit, set_instruction_count_limit,
             (wasm_exec_env_t a, int b), (a, b))
#endif

extern void *wramp_inner_malloc(unsigned int size);
extern void *wramp_inner_realloc(void *block, unsigned int size);
extern void wramp_inner_free(void *block);

void *wasm_runtime_malloc(unsigned int size)
{
    void *block = wramp_inner_malloc(size);

    __tsan_acquire(&blocks);
    return block;
}

void *wasm_runtime_realloc(void *block, unsigned int size)
{
    __tsan_release(&blocks);
    block = wramp_inner_realloc(block, size);
    __tsan_acquire(&blocks);
    return block;
}

void wasm_runtime_free(void *block)
{
    __tsan_release(&blocks);
    wramp_inner_free(block);
}
