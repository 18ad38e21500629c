//! Time: the monotonic clock in nanoseconds, and the process's CPU time.

use std::time::Instant;

use wramp_core::machine::CpuTime;
use wramp_core::measure::{Micros, Ticks};

/// Ticks per second: the clock counts nanoseconds.
pub const HZ: u64 = 1_000_000_000;

/// A monotonic clock that starts when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    cores: u8,
}

impl Clock {
    /// Starts at zero, on a machine with that many cores.
    #[must_use]
    pub fn new(cores: u8) -> Self {
        Self { began: Instant::now(), cores }
    }

    /// Nanoseconds since the start. The value stops after 584 years.
    #[must_use]
    pub fn now(&self) -> Ticks {
        Ticks(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// CPU time of this process, user and system, and the time of the cores that it may use.
    #[must_use]
    pub fn cpu_time(&self) -> Option<CpuTime> {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is to a `rusage` of ours, which the call fills.
        if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call succeeded, and all zeros are a valid `rusage` anyway.
        let usage = unsafe { usage.assume_init() };
        let micros = |time: libc::timeval| {
            let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
            seconds * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
        };
        Some(CpuTime {
            busy: Micros(micros(usage.ru_utime) + micros(usage.ru_stime)),
            total: Micros(self.now().to_micros(HZ).0 * u64::from(self.cores)),
        })
    }
}
