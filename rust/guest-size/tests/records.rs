//! Compares the sizes with the `part` records of every run in results/.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use wramp_size::{Layout, MemoryKind, sizes};

/// The values of a record by key.
fn fields(line: &str) -> BTreeMap<&str, &str> {
    line.split(' ').filter_map(|word| word.split_once('=')).collect()
}

fn logs(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            logs(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            found.push(path);
        }
    }
}

#[test]
fn every_recorded_part_is_what_the_module_says() {
    let mut paths = Vec::new();
    logs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results"), &mut paths);
    let mut compared = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let mut run = BTreeMap::new();
        let mut measured: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for line in text.lines() {
            // The log of a UART has other lines before the first record.
            if let Some((_, record)) = line.split_once("wramp run ") {
                run = fields(record);
            } else if let Some((_, record)) = line.split_once("wramp part ") {
                let record = fields(record);
                let parts = measured.entry(record["workload"]).or_default();
                parts.insert(record["part"], record["bytes"].parse().unwrap());
            }
        }
        // A build with AOT and another WAMR have other structs.
        let aot = run.get("aot") == Some(&"on") || path.to_string_lossy().contains("published");
        // The parts of a parked instance are those of its record in a store.
        let parked = run.get("mode") == Some(&"park");
        if run.is_empty() || aot || parked || !run["runtime_version"].starts_with("2.4") {
            continue;
        }
        let layout = Layout::of(run["pointer_bits"].parse().unwrap(), run["interpreter"]).unwrap();
        for (workload, parts) in measured {
            let Some(workload) = wramp_workloads::find(workload) else { continue };
            let report = sizes(workload.wasm, layout).unwrap();
            for part in ["module-instance", "function-table", "export-table", "globals"] {
                let measured = parts.get(part).copied().unwrap_or(0);
                let what = format!("{}: {} of {}", path.display(), part, workload.name);
                assert_eq!(report.part(part), measured, "{what}");
            }
            let memory = parts.get("linear-memory").copied().unwrap_or(0);
            assert_eq!(report.part("linear-memory"), memory, "{}", path.display());
            assert_eq!(u64::from(workload.memory_bytes), memory, "{}", path.display());
            *compared.entry((run["pointer_bits"].to_owned(), workload.name)).or_insert(0) += 1;
        }
    }
    for bits in ["32", "64"] {
        for workload in ["cpu", "mem", "msg", "state"] {
            let count = compared.get(&(bits.to_owned(), workload));
            assert!(count.is_some(), "no record of {workload} on {bits} bits: {compared:?}");
        }
    }
}

#[test]
fn every_workload_is_cut_or_says_why_not() {
    for workload in wramp_workloads::ALL {
        let report = sizes(workload.wasm, Layout::FAST_32).unwrap();
        let kind = match workload.memory_bytes {
            0 => MemoryKind::None,
            65_536 => MemoryKind::NoExports,
            _ => MemoryKind::Cut,
        };
        assert_eq!(report.memory, kind, "{}", workload.name);
        assert_eq!(report.part("linear-memory"), u64::from(workload.memory_bytes));
    }
}
