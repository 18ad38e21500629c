//! Small kernels for the speed of engines: each as a guest, and native on this machine.
//!
//! Both sides come from `guest/kernels.c`. The guests are committed beside it, so nobody needs
//! a compiler for WebAssembly: `scripts/guests` builds them.

/// What compiled the native side, and how.
pub const COMPILER: &str = env!("WRAMP_KERNELS_COMPILER");

/// A kernel.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Its name.
    pub name: &'static str,
    /// Its name in a narrow table.
    pub short: &'static str,
    /// The guest. It exports `run: (i32) -> i32`.
    pub wasm: &'static [u8],
    /// The same on this machine. The result is the guest's for every seed.
    pub native: fn(i32) -> i32,
}

/// Every kernel.
pub const ALL: [Kernel; 3] = [
    Kernel {
        name: "bubble sort of 100",
        short: "bubble 100",
        wasm: include_bytes!("../guest/bubble_100.wasm"),
        native: native::bubble_100,
    },
    Kernel {
        name: "bubble sort of 1,000",
        short: "bubble 1000",
        wasm: include_bytes!("../guest/bubble_1000.wasm"),
        native: native::bubble_1000,
    },
    Kernel {
        name: "CRC-16 of 1 KiB",
        short: "CRC-16",
        wasm: include_bytes!("../guest/crc16.wasm"),
        native: native::crc16,
    },
];

mod native {
    use std::sync::{Mutex, PoisonError};

    // SAFETY: as `guest/kernels.c` has them. Each keeps its input in a static.
    unsafe extern "C" {
        fn wramp_kernel_bubble_100(seed: i32) -> i32;
        fn wramp_kernel_bubble_1000(seed: i32) -> i32;
        fn wramp_kernel_crc16(seed: i32) -> i32;
    }

    /// One caller at a time, because of the statics.
    static STATICS: Mutex<()> = Mutex::new(());

    macro_rules! kernels {
        ($($name:ident = $c:ident)*) => {$(
            pub(crate) fn $name(seed: i32) -> i32 {
                let _one = STATICS.lock().unwrap_or_else(PoisonError::into_inner);
                // SAFETY: it takes any seed and touches its own statics, which the lock guards.
                unsafe { $c(seed) }
            }
        )*};
    }
    kernels! {
        bubble_100 = wramp_kernel_bubble_100
        bubble_1000 = wramp_kernel_bubble_1000
        crc16 = wramp_kernel_crc16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC-16/CCITT-FALSE by another algorithm, and the standard library's sort.
    #[test]
    fn the_native_side_is_right() {
        let sequence = |seed: i32, count: usize| {
            let mut random = seed.cast_unsigned() | 1;
            std::iter::repeat_with(move || {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                random
            })
            .take(count)
        };
        for seed in [0, 1, -7, i32::MAX] {
            for (kernel, count) in [(ALL[0], 100), (ALL[1], 1000)] {
                let mut numbers: Vec<i32> = sequence(seed, count).map(u32::cast_signed).collect();
                numbers.sort_unstable();
                let digest = numbers.iter().fold(0_u32, |digest, number| {
                    digest.wrapping_mul(31).wrapping_add(number.cast_unsigned())
                });
                assert_eq!((kernel.native)(seed), digest.cast_signed());
            }
            let crc = sequence(seed, 1024).fold(0xFFFF_u16, |crc, random| {
                let high = (crc >> 8) ^ u16::from(random.to_be_bytes()[0]);
                let high = high ^ (high >> 4);
                (crc << 8) ^ (high << 12) ^ (high << 5) ^ high
            });
            assert_eq!((ALL[2].native)(seed), i32::from(crc));
        }
    }
}
