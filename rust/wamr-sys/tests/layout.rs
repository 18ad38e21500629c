//! Compares the structs in Rust with those that the C compiler lays out.

#[cfg(wamr_host)]
mod host {
    use std::mem::{offset_of, size_of};

    use wramp_wamr_sys::{LoadArgs, RuntimeInitArgs};

    unsafe extern "C" {
        safe static wramp_size_of_init_args: usize;
        safe static wramp_offset_of_init_args_option: usize;
        safe static wramp_offset_of_init_args_symbols: usize;
        safe static wramp_offset_of_init_args_last: usize;
        safe static wramp_size_of_load_args: usize;
        safe static wramp_offset_of_load_args_freeable: usize;
    }

    #[test]
    fn init_args() {
        assert_eq!(size_of::<RuntimeInitArgs>(), wramp_size_of_init_args);
        assert_eq!(offset_of!(RuntimeInitArgs, mem_alloc_option), wramp_offset_of_init_args_option);
        assert_eq!(
            offset_of!(RuntimeInitArgs, n_native_symbols),
            wramp_offset_of_init_args_symbols
        );
        assert_eq!(
            offset_of!(RuntimeInitArgs, rest.enable_linux_perf),
            wramp_offset_of_init_args_last
        );
    }

    #[test]
    fn load_args() {
        assert_eq!(size_of::<LoadArgs>(), wramp_size_of_load_args);
        assert_eq!(offset_of!(LoadArgs, wasm_binary_freeable), wramp_offset_of_load_args_freeable);
    }
}
