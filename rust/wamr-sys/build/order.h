/*
 * Gives WAMR's functions other names, so that build/order.c can wrap them.
 *
 * Who reads this: the compiler. It includes the file before WAMR's files if WRAMP_SANITIZE is
 * `thread`. WRAMP_MEMORY is defined for wasm_memory.c only, because WAMR's own calls of these
 * three functions must go through build/order.c as well.
 */
#define wasm_runtime_full_init wramp_inner_full_init
#define wasm_runtime_destroy wramp_inner_destroy
#define wasm_runtime_load wramp_inner_load
#define wasm_runtime_load_ex wramp_inner_load_ex
#define wasm_runtime_unload wramp_inner_unload
#define wasm_runtime_instantiate wramp_inner_instantiate
#define wasm_runtime_deinstantiate wramp_inner_deinstantiate
#define wasm_runtime_lookup_function wramp_inner_lookup_function
#define wasm_func_get_param_count wramp_inner_get_param_count
#define wasm_func_get_result_count wramp_inner_get_result_count
#define wasm_func_get_param_types wramp_inner_get_param_types
#define wasm_func_get_result_types wramp_inner_get_result_types
#define wasm_runtime_create_exec_env wramp_inner_create_exec_env
#define wasm_runtime_destroy_exec_env wramp_inner_destroy_exec_env
#define wasm_runtime_set_module_inst wramp_inner_set_module_inst
#define wasm_runtime_set_instruction_count_limit wramp_inner_set_instruction_count_limit
#define wasm_runtime_call_wasm wramp_inner_call_wasm
#define wasm_runtime_get_exception wramp_inner_get_exception
#define wasm_runtime_clear_exception wramp_inner_clear_exception
#define wasm_runtime_init_thread_env wramp_inner_init_thread_env
#define wasm_runtime_destroy_thread_env wramp_inner_destroy_thread_env
#define wasm_runtime_set_log_level wramp_inner_set_log_level

#ifdef WRAMP_MEMORY
#define wasm_runtime_malloc wramp_inner_malloc
#define wasm_runtime_realloc wramp_inner_realloc
#define wasm_runtime_free wramp_inner_free
#endif
