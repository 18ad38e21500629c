//! The structs in Rust are those that the C compiler lays out.

#[cfg(wamr_host)]
mod host {
    use std::mem::{offset_of, size_of};

    use wramp_wamr_sys::RuntimeInitArgs;

    unsafe extern "C" {
        safe static wramp_size_of_init_args: usize;
        safe static wramp_offset_of_init_args_option: usize;
        safe static wramp_offset_of_init_args_symbols: usize;
        safe static wramp_offset_of_init_args_last: usize;
    }

    #[test]
    fn init_args() {
        assert_eq!(size_of::<RuntimeInitArgs>(), wramp_size_of_init_args);
        assert_eq!(offset_of!(RuntimeInitArgs, mem_alloc_option), wramp_offset_of_init_args_option);
        assert_eq!(
            offset_of!(RuntimeInitArgs, n_native_symbols),
            wramp_offset_of_init_args_symbols
        );
        #[cfg(wamr_2020)]
        let last = offset_of!(RuntimeInitArgs, max_thread_num);
        #[cfg(not(wamr_2020))]
        let last = offset_of!(RuntimeInitArgs, rest.enable_linux_perf);
        assert_eq!(last, wramp_offset_of_init_args_last);
    }

    #[cfg(not(wamr_2020))]
    #[test]
    fn load_args() {
        use wramp_wamr_sys::LoadArgs;

        unsafe extern "C" {
            safe static wramp_size_of_load_args: usize;
            safe static wramp_offset_of_load_args_freeable: usize;
        }
        assert_eq!(size_of::<LoadArgs>(), wramp_size_of_load_args);
        assert_eq!(offset_of!(LoadArgs, wasm_binary_freeable), wramp_offset_of_load_args_freeable);
    }
}
