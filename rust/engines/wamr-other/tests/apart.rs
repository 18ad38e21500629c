//! Two builds of WAMR in one program, and no call lands in the other one.

use first_sys as first;
use wramp_arena::Arena as _;
use wramp_core::measure::Bytes;
use wramp_core::runtime::{ModuleBytes, Parameters, Runtime};
use wramp_host::arena::Region;
use wramp_wamr_sys as other;

/// Each function of WAMR that the wrapper calls exists twice.
#[test]
fn every_function_exists_twice() {
    macro_rules! twice {
        ($($name:ident)*) => {
            [$((stringify!($name), first::$name as *const () as usize, other::$name as *const () as usize),)*]
        };
    }
    let functions = twice! {
        wramp_wamr_parts
        wramp_wamr_unparkable
        wramp_wamr_shape
        wramp_wamr_pieces
        wramp_wamr_global
        wramp_wamr_grow_to
        wramp_wamr_shrink
        wramp_wamr_data_segments
        wramp_wamr_data_segment
        wramp_wamr_table
        wramp_wamr_exchange_element
        wramp_wamr_set_table_size
        wramp_wamr_first_element
        wramp_wamr_dropped
        wramp_wamr_forget_exception
        wramp_wamr_set_entry
        wramp_wamr_entry
        wasm_runtime_full_init
        wasm_runtime_destroy
        wasm_runtime_malloc
        wasm_runtime_free
        wasm_runtime_load
        wasm_runtime_load_ex
        wasm_runtime_unload
        wasm_runtime_instantiate
        wasm_runtime_deinstantiate
        wasm_runtime_lookup_function
        wasm_func_get_param_count
        wasm_func_get_result_count
        wasm_func_get_param_types
        wasm_func_get_result_types
        wasm_runtime_create_exec_env
        wasm_runtime_destroy_exec_env
        wasm_runtime_set_module_inst
        wasm_runtime_call_wasm
        wasm_runtime_get_exception
        wasm_runtime_clear_exception
        wasm_runtime_init_thread_env
        wasm_runtime_destroy_thread_env
        wasm_runtime_set_log_level
    };
    for (name, first, other) in functions {
        assert_ne!(first, other, "{name}");
    }
    assert_ne!(first::INTERPRETER, other::INTERPRETER);
    // The classic interpreter alone has this cache, so the C itself differs.
    assert_ne!(first::wramp_wamr_block_cache_entries, other::wramp_wamr_block_cache_entries);
}

/// Both run at the same time, each on an arena. Whatever one does, the other's arena stays as it
/// is.
#[test]
fn each_touches_its_own_arena_alone() {
    let wasm = wat::parse_str(
        "(module (memory 1) (global $n (mut i32) (i32.const 0))
           (func (export \"run\") (param i32) (result i32)
             (global.set $n (i32.add (global.get $n) (local.get 0)))
             (i32.store (i32.const 0) (global.get $n))
             (drop (memory.grow (i32.const 0)))
             (i32.load (i32.const 0))))",
    )
    .unwrap();
    let size = Bytes(4096);
    let (mut one, mut two) =
        (Region::new(Bytes(256 << 10)).unwrap(), Region::new(Bytes(256 << 10)).unwrap());
    let (one, two) = (one.arena(), two.arena());
    let free = || (one.stats().free, two.stats().free);
    let begin = free();

    let first = wramp_wamr::Engine::new(&one).unwrap();
    let began = free();
    assert!(began.0 < begin.0 && began.1 == begin.1);
    let other = wramp_engine_wamr_other::Engine::new(&two).unwrap();
    assert!(free().0 == began.0 && free().1 < begin.1);

    let first_module = first.load(ModuleBytes::Borrowed(&wasm)).unwrap();
    let other_module = other.load(ModuleBytes::Borrowed(&wasm)).unwrap();
    let loaded = free();
    let mut a = first.instantiate(&first_module, "run", Parameters::I32, size).unwrap();
    assert_eq!(free().1, loaded.1);
    let mut b = other.instantiate(&other_module, "run", Parameters::I32, size).unwrap();
    let mut first_stack = first.stack(&first_module, &a, size).unwrap();
    let mut other_stack = other.stack(&other_module, &b, size).unwrap();
    for turn in 1..=3 {
        assert_eq!(first.call(&mut first_stack, &mut a, 1, None), Ok(turn));
        assert_eq!(other.call(&mut other_stack, &mut b, 100, None), Ok(turn * 100));
    }
    let full = free();
    drop(first_stack);
    drop(a);
    drop(first_module);
    drop(first);
    assert_eq!(free(), (begin.0, full.1));
    assert_eq!(other.call(&mut other_stack, &mut b, 1, None), Ok(301));
    drop(other_stack);
    drop(b);
    drop(other_module);
    drop(other);
    assert_eq!(free(), begin);
}
