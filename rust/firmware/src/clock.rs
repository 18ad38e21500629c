//! Time: the 32-bit cycle counter, extended to 64 bits, and the CPU time.
//!
//! `k_cycle_get_64` exists on some targets only and is 0 on others. Differences of
//! `k_cycle_get_32` work on all. The counter wraps after 2^32 ticks, which is 17.9 s at 240
//! MHz.

use wramp_core::machine::{CpuTime, Mark};
use wramp_core::measure::{Micros, Ticks};
use zephyr::raw;
use zephyr::sync::SpinMutex;

/// The counter's rate. zephyr-lang-rust refuses targets that only know it at run time.
pub(crate) const HZ: u64 =
    zephyr::kconfig::CONFIG_SYS_CLOCK_HW_CYCLES_PER_SEC.unsigned_abs() as u64;

/// A quarter of the time in which the counter wraps. Up to 1 GHz it is above 1 s, and so above
/// the longest time slice. It is at most what `k_usleep` accepts.
pub(crate) const LONGEST_NAP: Micros = {
    let quarter = (1 << 30) * 1_000_000 / HZ;
    Micros(if quarter > i32::MAX as u64 { i32::MAX as u64 } else { quarter })
};

fn cycles() -> u32 {
    // SAFETY: reads a counter.
    unsafe { raw::k_cycle_get_32() }
}

/// A monotonic clock that starts when it is made.
///
/// It must be read more often than the counter wraps. The controller sees to that: it waits by
/// sleeping through [`Machine`](crate::machine::Machine), which reads the clock after each nap.
pub(crate) struct Clock {
    /// The counter when it was last read, and the ticks up to then.
    state: SpinMutex<(u32, u64)>,
}

impl Clock {
    /// Starts at zero.
    pub(crate) fn new() -> Self {
        Self { state: SpinMutex::new((cycles(), 0)) }
    }

    /// Ticks since the start.
    pub(crate) fn now(&self) -> Ticks {
        let Ok(mut state) = self.state.lock();
        let (last, total) = *state;
        let now = cycles();
        let total = total + u64::from(now.wrapping_sub(last));
        *state = (now, total);
        Ticks(total)
    }
}

/// See `Machine::mark`.
#[cfg(not(CONFIG_ARCH_POSIX))]
pub(crate) fn mark() -> Mark {
    Mark(cycles().into())
}

/// See `Machine::since`. Right for calls shorter than the counter's 2^32 ticks.
#[cfg(not(CONFIG_ARCH_POSIX))]
pub(crate) fn since(Mark(mark): Mark) -> Ticks {
    // The low half of a mark is the counter.
    Ticks(cycles().wrapping_sub(mark as u32).into())
}

/// The clock of native_sim, whose simulated CPU runs code in no time.
///
/// A call is therefore timed on the host, as CPU time of its thread, and that time is spent in
/// the simulation before the call is over. The call then has a length, is load, and can be
/// preempted.
#[cfg(CONFIG_ARCH_POSIX)]
mod simulated {
    use super::{Mark, Ticks, cycles};

    unsafe extern "C" {
        /// CPU time of the calling thread on the host. See src/native_sim_host.c.
        safe fn wramp_host_cpu_ns() -> u64;
        /// Spends that much simulated time on the calling thread. See src/native_sim.c.
        safe fn wramp_spend_us(time_us: u32);
    }

    /// Nanoseconds of the host per unit of a mark, as a power of two. The 32 bits of a mark
    /// thus wrap after 73 minutes.
    const UNIT: u32 = 10;

    /// See `Machine::mark`. The upper half is simulated ticks, the lower half the host's time.
    pub(crate) fn mark() -> Mark {
        Mark(u64::from(cycles()) << 32 | (wramp_host_cpu_ns() >> UNIT) & u64::from(u32::MAX))
    }

    /// See `Machine::since`. Right for calls of less than 71 minutes.
    pub(crate) fn since(Mark(mark): Mark) -> Ticks {
        let took = ((wramp_host_cpu_ns() >> UNIT) as u32).wrapping_sub(mark as u32);
        let took_us = (u64::from(took) << UNIT).div_ceil(1000);
        // Never spend nothing. What the clock cannot resolve counts as one tick.
        wramp_spend_us(u32::try_from(took_us).unwrap_or(u32::MAX).max(1));
        Ticks(cycles().wrapping_sub((mark >> 32) as u32).into())
    }
}
#[cfg(CONFIG_ARCH_POSIX)]
pub(crate) use simulated::{mark, since};

/// CPU time of all cores since boot.
pub(crate) fn cpu_time() -> Option<CpuTime> {
    let mut stats = raw::k_thread_runtime_stats_t::default();
    // SAFETY: the kernel fills our own struct.
    let error = unsafe { raw::k_thread_runtime_stats_all_get(&raw mut stats) };
    (error == 0).then(|| CpuTime {
        busy: micros(stats.total_cycles),
        total: micros(stats.execution_cycles),
    })
}

fn micros(cycles: u64) -> Micros {
    Ticks(cycles).to_micros(HZ)
}
