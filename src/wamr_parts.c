/*
 * Reports what the bytes of one instance are for, and where its state lies.
 *
 * Only WAMR's internal headers say this, so both builds compile this file with WAMR's flags.
 * The bytes are those that WAMR asks for, without what an allocator adds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
 * ---- The state of an instance -----------------------------------------------------------
 *
 * All of an instance that a call can change, piece by piece. rust/wamr/src/state.rs puts the
 * pieces together. A linker leaves these functions out where nobody parks.
 */

/* The features of a module that keep its instances from being parked, in the order of
 * UNPARKABLE in rust/wamr. 0: none. */
uint32_t wramp_wamr_unparkable(const WASMModule *module)
{
	if (module->import_memory_count > 0) {
		return 1;
	}
	if (module->import_table_count > 0) {
		return 2;
	}
	if (module->import_global_count > 0) {
		return 3;
	}
	if (module->memory_count > 1) {
		return 4;
	}
	/* Bits of the limits: 1 has a maximum, 2 shared, 4 of 64 bits. */
	if (module->memory_count == 1 && (module->memories[0].flags & 2) != 0) {
		return 5;
	}
	if (module->memory_count == 1 && (module->memories[0].flags & 4) != 0) {
		return 6;
	}
	for (uint32_t i = 0; i < module->table_count; i++) {
		if (module->tables[i].table_type.elem_type != VALUE_TYPE_FUNCREF) {
			return 7;
		}
		if ((module->tables[i].table_type.flags & 4) != 0) {
			return 8;
		}
	}
	for (uint32_t i = 0; i < module->global_count; i++) {
		switch (module->globals[i].type.val_type) {
		case VALUE_TYPE_I32:
		case VALUE_TYPE_I64:
		case VALUE_TYPE_F32:
		case VALUE_TYPE_F64:
		case VALUE_TYPE_FUNCREF:
			break;
		default:
			if (module->globals[i].type.is_mutable) {
				return 7;
			}
		}
	}
	return 0;
}

/* In the order of Shape in rust/wamr-sys. */
struct wramp_wamr_shape {
	uint32_t global_bytes; /* of its mutable globals */
	uint32_t memories;
	uint32_t tables;
	uint32_t passive_data;
	uint32_t passive_elements;
};

static uint32_t value_bytes(uint8_t type)
{
	return type == VALUE_TYPE_I64 || type == VALUE_TYPE_F64 ? 8 : 4;
}

static uint32_t passive_data(const WASMModule *module)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < module->data_seg_count; i++) {
		count += module->data_segments[i]->is_passive;
	}
	return count;
}

static uint32_t passive_elements(const WASMModule *module)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < module->table_seg_count; i++) {
		count += wasm_elem_is_passive(module->table_segments[i].mode);
	}
	return count;
}

void wramp_wamr_shape(const WASMModule *module, struct wramp_wamr_shape *shape)
{
	*shape = (struct wramp_wamr_shape){0};
	for (uint32_t i = 0; i < module->global_count; i++) {
		if (module->globals[i].type.is_mutable) {
			shape->global_bytes += value_bytes(module->globals[i].type.val_type);
		}
	}
	shape->memories = module->memory_count;
	shape->tables = module->table_count;
	shape->passive_data = passive_data(module);
	shape->passive_elements = passive_elements(module);
}

/* In the order of Pieces in rust/wamr-sys. */
struct wramp_wamr_pieces {
	uint8_t *memory; /* of the one memory, where `memories` is 1 */
	size_t memory_bytes; /* not 64 bits: how these are aligned differs among compilers */
	uint32_t memories;
	uint32_t tables;
	uint32_t functions; /* that an element or a global can name */
	uint32_t passive_data;
	uint32_t passive_elements;
};

void wramp_wamr_pieces(const WASMModuleInstance *instance, struct wramp_wamr_pieces *pieces)
{
	const WASMModule *module = instance->module;

	*pieces = (struct wramp_wamr_pieces){
		.memories = instance->memory_count,
		.tables = instance->table_count,
		.functions = instance->e->function_count,
		.passive_data = passive_data(module),
		.passive_elements = passive_elements(module),
	};
	if (instance->memory_count > 0) {
		pieces->memory = instance->memories[0]->memory_data;
		pieces->memory_bytes = (size_t)instance->memories[0]->memory_data_size;
	}
}

/* The first mutable global from *index on: its value, its initial value, and its bytes. Moves
 * *index behind it. 0 bytes: there is none. *reference: whether it names a function. */
uint32_t wramp_wamr_global(const WASMModuleInstance *instance, uint32_t *index, uint8_t **value,
			   const uint8_t **initial, bool *reference)
{
	for (uint32_t i = *index; i < instance->e->global_count; i++) {
		WASMGlobalInstance *global = &instance->e->globals[i];

		if (global->is_mutable) {
			*index = i + 1;
			*value = instance->global_data + global->data_offset;
			*initial = (const uint8_t *)&global->initial_value;
			*reference = global->type == VALUE_TYPE_FUNCREF;
			return value_bytes(global->type);
		}
	}
	return 0;
}

/* Grows the memory to so many bytes. False if that is no number of pages that it can have, or
 * if the arena has no room. */
bool wramp_wamr_grow_to(WASMModuleInstance *instance, uint64_t bytes)
{
	const WASMMemoryInstance *memory = instance->memories[0];
	uint64_t page = memory->num_bytes_per_page;

	if (bytes == memory->memory_data_size) {
		return true;
	}
	if (page == 0 || bytes < memory->memory_data_size || bytes % page != 0 ||
	    bytes / page > memory->max_page_count) {
		return false;
	}
	return wasm_runtime_enlarge_memory((WASMModuleInstanceCommon *)instance,
					   bytes / page - memory->cur_page_count);
}

/*
 * Gives a memory that grew its first size again. Its bytes up to that size stay.
 *
 * The block becomes a smaller one where the arena has room for that, as when a memory grows.
 * Otherwise the block stays, and WAMR takes no more of it for memory. WAMR never asks how large
 * a block is: it frees it, or copies as many bytes as the memory has into a new one.
 */
void wramp_wamr_shrink(WASMModuleInstance *instance)
{
	WASMMemoryInstance *memory = instance->memories[0];
	/* As wasm_runtime.c instantiates it, without an application's heap. */
	uint32_t pages = instance->module->memories[0].init_page_count;
	uint64_t bytes = (uint64_t)memory->num_bytes_per_page * pages;
	uint8_t *data = memory->memory_data;

	if (memory->cur_page_count <= pages) {
		return;
	}
	if (bytes > 0) {
		uint8_t *smaller = os_mremap(data, (size_t)memory->memory_data_size, (size_t)bytes);

		data = smaller != NULL ? smaller : data;
	}
	memory->memory_data = data;
	memory->cur_page_count = pages;
	memory->memory_data_size = bytes;
	memory->memory_data_end = data + bytes;
	memory->heap_data = memory->memory_data_end;
	memory->heap_data_end = memory->memory_data_end;
	wasm_runtime_set_mem_bound_check_bytes(memory, bytes);
}

/* Data segment `index`: its bytes, and where they lie in memory. Returns its length, and 0 for
 * one that instantiation does not write. */
uint32_t wramp_wamr_data_segment(const WASMModuleInstance *instance, uint32_t index,
				 uint32_t *offset, const uint8_t **bytes)
{
	const WASMDataSeg *segment = instance->module->data_segments[index];
	const InitializerExpression *at = &segment->base_offset;

	if (segment->is_passive) {
		return 0;
	}
	*offset = at->init_expr_type == INIT_EXPR_TYPE_GET_GLOBAL
			  ? (uint32_t)instance->e->globals[at->u.unary.v.global_index]
				    .initial_value.i32
			  : (uint32_t)at->u.unary.v.i32;
	*bytes = segment->data;
	return segment->data_length;
}

uint32_t wramp_wamr_data_segments(const WASMModuleInstance *instance)
{
	return instance->module->data_seg_count;
}

/* In the order of Table in rust/wamr-sys. */
struct wramp_wamr_table {
	uint32_t size;
	uint32_t first_size;
	uint32_t most; /* elements that it has room for */
};

void wramp_wamr_table(const WASMModuleInstance *instance, uint32_t index,
		      struct wramp_wamr_table *table)
{
	table->size = instance->tables[index]->cur_size;
	table->first_size = instance->module->tables[index].table_type.init_size;
	table->most = instance->tables[index]->max_size;
}

/*
 * An element of a table: a function's index, or all ones. Writes `element` in its place.
 *
 * WAMR puts tables behind the globals, so an element may lie at a multiple of 4 where it has 8
 * bytes. Of these WAMR compares 4.
 */
uint32_t wramp_wamr_exchange_element(WASMModuleInstance *instance, uint32_t index, uint32_t at,
				     uint32_t element)
{
	void *place = &instance->tables[index]->elems[at];
	/* An element without a function is all ones in all of its bytes, as instantiation writes it. */
	table_elem_type_t is = element == UINT32_MAX ? (table_elem_type_t)-1 : element, was;

	memcpy(&was, place, sizeof(was));
	memcpy(place, &is, sizeof(is));
	return (uint32_t)was;
}

void wramp_wamr_set_table_size(WASMModuleInstance *instance, uint32_t index, uint32_t size)
{
	instance->tables[index]->cur_size = size;
}

/* An element of a table as instantiation writes it: a function's index, or all ones. */
uint32_t wramp_wamr_first_element(const WASMModuleInstance *instance, uint32_t table,
				  uint32_t element)
{
	const WASMModule *module = instance->module;

	/* The last segment over an element counts. */
	for (uint32_t i = module->table_seg_count; i > 0; i--) {
		const WASMTableSeg *segment = &module->table_segments[i - 1];
		const InitializerExpression *at = &segment->base_offset;

		if (!wasm_elem_is_active(segment->mode) || segment->table_index != table) {
			continue;
		}
		uint32_t offset = at->init_expr_type == INIT_EXPR_TYPE_GET_GLOBAL
					  ? (uint32_t)instance->e->globals[at->u.unary.v.global_index]
						    .initial_value.i32
					  : (uint32_t)at->u.unary.v.i32;

		if (element >= offset && element - offset < segment->value_count) {
			const InitializerExpression *value = &segment->init_values[element - offset];

			/* wasm_runtime.c writes this for a null, whatever it means. */
			return value->init_expr_type == INIT_EXPR_TYPE_REFNULL_CONST
				       ? 0
				       : value->u.unary.v.ref_index;
		}
	}
	return UINT32_MAX;
}

/* Whether passive segment number `passive` (from 0, data before elements) was dropped.
 * `set` 0 or 1 changes that. */
bool wramp_wamr_dropped(WASMModuleInstance *instance, bool elements, uint32_t passive, int set)
{
	const WASMModule *module = instance->module;
	uint32_t count = elements ? module->table_seg_count : module->data_seg_count;
	bh_bitmap *dropped =
		elements ? instance->e->common.elem_dropped : instance->e->common.data_dropped;

	for (uint32_t i = 0; i < count; i++) {
		bool is_passive = elements ? wasm_elem_is_passive(module->table_segments[i].mode)
					   : module->data_segments[i]->is_passive;

		if (!is_passive || passive-- > 0) {
			continue;
		}
		bool was = bh_bitmap_get_bit(dropped, i);

		if (set == 0) {
			bh_bitmap_clear_bit(dropped, i);
		} else if (set == 1) {
			bh_bitmap_set_bit(dropped, i);
		}
		return was;
	}
	return false;
}

/* Forgets the text of an exception, all of it. */
void wramp_wamr_forget_exception(WASMModuleInstance *instance)
{
	if (instance->cur_exception[0] != '\0') {
		memset(instance->cur_exception, 0, sizeof(instance->cur_exception));
	}
}

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

/*
 * The one export that calls enter, in two of the words that WAMR reserves in each instance and
 * neither reads nor writes. So who keeps many instances keeps one pointer of each.
 */

/* In the order of Entry in rust/wamr-sys. */
struct wramp_wamr_entry {
	WASMModule *module;
	WASMFunctionInstance *function;
	uint32_t note; /* the caller's own */
};

void wramp_wamr_set_entry(WASMModuleInstance *instance, const WASMFunctionInstance *function,
			  uint32_t note)
{
	instance->reserved[0] = (uint32_t)(function - instance->e->functions);
	instance->reserved[1] = note;
}

/* What was set. Before that, the module's first function. */
void wramp_wamr_entry(const WASMModuleInstance *instance, struct wramp_wamr_entry *entry)
{
	entry->module = instance->module;
	entry->function = &instance->e->functions[instance->reserved[0]];
	entry->note = instance->reserved[1];
}
