//! How busy this machine is with other things, before a run begins.
//!
//! A p99 of a loaded machine says little about the code. So the `run` record says how loaded the
//! machine was, and `wramp compare` judges no time of such a machine unless it is asked to.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How busy this machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    /// Thousandths of a thread that want each core, over the last minute.
    pub load_permille: Option<u32>,
    /// Thousandths of the time for which busy threads, one a core, did not run.
    pub starved_permille: Option<u32>,
}

/// How long the threads are busy. It is longer than a scheduler's slice.
const SPELL: Duration = Duration::from_millis(60);

/// Looks, which takes `SPELL`.
#[must_use]
pub fn look() -> Busy {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Busy { load_permille: load(cores), starved_permille: starved(cores) }
}

fn load(cores: usize) -> Option<u32> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let threads: f64 = text.split(' ').next()?.parse().ok()?;
    Some((threads * 1000.0 / cores as f64).round() as u32)
}

/// Nanoseconds for which this thread ran on a core.
fn ran() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn starved(cores: usize) -> Option<u32> {
    let spin = || {
        let (begin, before) = (Instant::now(), ran()?);
        while begin.elapsed() < SPELL {
            std::hint::spin_loop();
        }
        Some((begin.elapsed().as_nanos() as u64, ran()?.saturating_sub(before)))
    };
    let times: Option<Vec<_>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(spin)).collect();
        threads.into_iter().map(|thread| thread.join().ok().flatten()).collect()
    });
    let (wanted, got) = times?.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    // A kernel that does not count gives 0, and a spell that ran is never that.
    (got > 0 && wanted > 0).then(|| (wanted.saturating_sub(got) * 1000 / wanted) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_a_fraction_or_absent() {
        let Busy { starved_permille, .. } = look();
        assert!(starved_permille.is_none_or(|permille| permille < 1000), "{starved_permille:?}");
    }
}
