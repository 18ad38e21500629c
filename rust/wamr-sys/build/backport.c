/*
 * The functions of WAMR 2 that tell a function's type, for the WAMR of 2020.
 *
 * 2020's public interface has no way to ask, and calling a function whose result
 * is wider than the caller's array would write past its end. So read the type
 * where it is kept, from 2020's internal header.
 */
#include "wasm_export.h"
#include "wasm_runtime.h"

/* What WAMR 2 calls WASM_I32, and a kind that is none. */
enum { KIND_I32 = 0, KIND_OTHER = 0xff };

static const WASMType *
type_of(wasm_function_inst_t function)
{
    const WASMFunctionInstance *instance = function;

    return instance->is_import_func ? instance->u.func_import->func_type
                                    : instance->u.func->func_type;
}

uint32_t
wasm_func_get_param_count(wasm_function_inst_t function, wasm_module_inst_t instance)
{
    (void)instance;
    return type_of(function)->param_count;
}

uint32_t
wasm_func_get_result_count(wasm_function_inst_t function, wasm_module_inst_t instance)
{
    (void)instance;
    return type_of(function)->result_count;
}

void
wasm_func_get_param_types(wasm_function_inst_t function, wasm_module_inst_t instance,
                          uint8_t *kinds)
{
    const WASMType *type = type_of(function);

    (void)instance;
    for (uint32_t i = 0; i < type->param_count; i++)
        kinds[i] = type->types[i] == VALUE_TYPE_I32 ? KIND_I32 : KIND_OTHER;
}

void
wasm_func_get_result_types(wasm_function_inst_t function, wasm_module_inst_t instance,
                           uint8_t *kinds)
{
    const WASMType *type = type_of(function);

    (void)instance;
    for (uint32_t i = 0; i < type->result_count; i++)
        kinds[i] = type->types[type->param_count + i] == VALUE_TYPE_I32 ? KIND_I32
                                                                        : KIND_OTHER;
}
