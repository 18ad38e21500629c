/*
 * Reports what the bytes of one instance are for.
 *
 * Only WAMR's internal headers say this, so both builds compile this file with WAMR's flags.
 * The bytes are those that WAMR asks for, without what an allocator adds.
 */
#include <stddef.h>
#include <stdint.h>

#include "wasm_exec_env.h"
#include "wasm_runtime.h"

/* In the order of InstanceParts in rust/wamr-sys. */
struct wramp_wamr_parts {
	uint32_t linear_memory;
	uint32_t globals;
	uint32_t functions;
	uint32_t exports;
};

void wramp_wamr_parts(const WASMModuleInstance *instance, struct wramp_wamr_parts *parts)
{
	*parts = (struct wramp_wamr_parts){0};
	for (uint32_t i = 0; i < instance->memory_count; i++) {
		const WASMMemoryInstance *memory = instance->memories[i];

		parts->linear_memory += (uint32_t)(memory->memory_data_end - memory->memory_data);
	}
	parts->exports = instance->export_func_count * sizeof(WASMExportFuncInstance);
	parts->globals =
		instance->e->global_count * sizeof(WASMGlobalInstance) + instance->global_data_size;
	parts->functions = instance->e->function_count * sizeof(WASMFunctionInstance);
}

/* Bytes of an environment's cache of block ends. The fast interpreter has no cache. */
const uint32_t wramp_wamr_block_cache_bytes =
#if WASM_ENABLE_FAST_INTERP == 0
	sizeof(((WASMExecEnv *)0)->block_addr_cache);
#else
	0;
#endif

/* How many block ends the cache holds. */
const uint32_t wramp_wamr_block_cache_entries =
#if WASM_ENABLE_FAST_INTERP == 0
	BLOCK_ADDR_CACHE_SIZE;
#else
	0;
#endif

/* Bytes of a thread's native stack that WAMR keeps free for its own frames. */
const uint32_t wramp_wamr_stack_guard_bytes = WASM_STACK_GUARD_SIZE;

/* 1 if the loader of ahead-of-time code is compiled in. */
const uint32_t wramp_wamr_aot = WASM_ENABLE_AOT;

/*
 * WAMR runs a start function when it instantiates, without a limit of instructions and before
 * the instance has a host. A build that meters or gives imports takes it out of the loaded
 * module, and calls it itself. Returns its index, or UINT32_MAX.
 */
uint32_t wramp_wamr_take_start(WASMModule *module)
{
	uint32_t start = module->start_function;

	module->start_function = UINT32_MAX;
	return start;
}

/* The function of an instance with that index, or null. */
WASMFunctionInstance *wramp_wamr_function(WASMModuleInstance *instance, uint32_t index)
{
	return index < instance->e->function_count ? &instance->e->functions[index] : NULL;
}
