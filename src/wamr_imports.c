/*
 * Links a module's imports to the host, and says who calls.
 *
 * WAMR's own way is a list of names in global memory, which a load searches. That list takes
 * bytes of the arena while it is there, and two threads that load would have to agree on it.
 * Here each import of one module is set by itself, so nothing is global and nothing is taken.
 * Only builds that give guests imports compile this file, with WAMR's flags.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wasm_exec_env.h"
#include "wasm_runtime.h"

/* In the order of Caller in rust/wamr-sys. */
struct wramp_wamr_caller {
	uint8_t *memory;
	size_t memory_bytes;
	void *desk;
	void *attachment;
};

/* Functions that a module imports. */
uint32_t wramp_wamr_imported_functions(const WASMModule *module)
{
	return module->import_function_count;
}

/* What it imports beside functions: memories, tables, globals. */
uint32_t wramp_wamr_imported_others(const WASMModule *module)
{
	return module->import_count - module->import_function_count;
}

#ifdef CONFIG_WRAMP_NATIVE_CALL
/* A function as WAMR calls it by itself: it checks the pointer, and passes C's arguments. */
static void native_call(wasm_exec_env_t environment, int32_t to, const void *bytes,
			uint32_t length)
{
	(void)environment;
	(void)to;
	(void)length;
	/* The call must not be shown to have no effect. */
	__asm__ volatile("" : : "r"(bytes) : "memory");
}

static bool link_natively(WASMFunctionImport *import)
{
	if (strcmp(import->module_name, "env") != 0 ||
	    strcmp(import->field_name, "native_call") != 0) {
		return false;
	}
	import->func_ptr_linked = native_call;
	import->signature = "(i*~)";
	import->attachment = NULL;
	import->call_conv_raw = false;
	return true;
}
#else
static bool link_natively(WASMFunctionImport *import)
{
	(void)import;
	return false;
}
#endif

/*
 * Links one of its functions to one that takes its arguments as an array. Returns how many
 * arguments there are, or -1 if there is no such import.
 */
int32_t wramp_wamr_link(WASMModule *module, uint32_t index, void *function, void *attachment)
{
	WASMFunctionImport *import;

	if (index >= module->import_function_count) {
		return -1;
	}
	import = &module->import_functions[index].u.function;
	if (link_natively(import)) {
		return import->func_type->param_count;
	}
	import->func_ptr_linked = function;
	/* Without a signature WAMR takes the types from the module and checks no pointer. */
	import->signature = NULL;
	import->attachment = attachment;
	import->call_conv_raw = true;
	return import->func_type->param_count;
}

/* Who calls the host, in a call of a linked function. */
void wramp_wamr_caller(const WASMExecEnv *environment, struct wramp_wamr_caller *caller)
{
	const WASMModuleInstance *instance = (WASMModuleInstance *)environment->module_inst;

	caller->memory = NULL;
	caller->memory_bytes = 0;
	if (instance->memory_count > 0) {
		const WASMMemoryInstance *memory = instance->memories[0];

		caller->memory = memory->memory_data;
		caller->memory_bytes = (size_t)(memory->memory_data_end - memory->memory_data);
	}
	caller->desk = instance->custom_data;
	caller->attachment = environment->attachment;
}
