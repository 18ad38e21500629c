//! How fast a log of a million lines is read, and how much memory it takes.
//!
//! `cargo bench -p wramp --bench log` measures times with divan. Then it prints a line for each log
//! that a script can read: `bench log=... lines=1000000 seconds=... peak_mib=...`. `soak` is a
//! board's console with a record every hundred lines, `records` holds only steps.

use std::io::Read;
use std::time::Instant;

use wramp_cli::model::log::Log;

#[path = "../tests/support/mod.rs"]
mod support;

const LINES: usize = 1_000_000;

/// A log that is made while it is read, so it takes no memory of its own.
struct Endless {
    block: Vec<u8>,
    at: usize,
    lines_left: usize,
    block_lines: usize,
}

impl Read for Endless {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.block.len() {
            self.lines_left = self.lines_left.saturating_sub(self.block_lines);
            self.at = 0;
        }
        if self.lines_left == 0 {
            return Ok(0);
        }
        let length = to.len().min(self.block.len() - self.at);
        to[..length].copy_from_slice(&self.block[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

fn endless(name: &str) -> Endless {
    let step = &support::ramp(&support::PUBLISHED[0])[5];
    let mut block = String::new();
    for line in 0..1000 {
        match (name, line % 100) {
            ("records", _) | (_, 0) => block += step,
            _ => {
                block += "[00:12:34.567,000] <inf> net_core: interface 1 is up, 3 packets pending\n"
            }
        }
    }
    // It has no run record, so its geometry is unknown. Reading it does not need one.
    Endless { block: block.into_bytes(), at: 0, lines_left: LINES, block_lines: 1000 }
}

fn read(name: &str) -> Log {
    Log::read(name, endless(name)).expect("a log with records")
}

#[divan::bench(args = ["soak", "records"], sample_count = 5, sample_size = 1)]
fn million_lines(name: &str) -> u64 {
    read(name).lines
}

/// The most memory that this process has had, in MiB.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

fn main() {
    divan::main();
    for name in ["soak", "records"] {
        let began = Instant::now();
        let log = read(name);
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "bench log={name} lines={} seconds={seconds:.3} peak_mib={:.1}",
            log.lines,
            peak_mib()
        );
    }
}
