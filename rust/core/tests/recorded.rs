//! Reads every recorded run in results/, and writes each record back unchanged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wramp_core::report::Record;

fn logs(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            logs(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            found.push(path);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "no file system")]
fn recorded_runs_read_back() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results");
    let mut found = Vec::new();
    logs(&results, &mut found);
    let boards = [
        "linux",
        "native_sim_native_64",
        "mps2_an385",
        "mps2_an521_cpu0",
        "qemu_riscv32",
        "qemu_riscv64",
    ];
    for board in boards {
        assert!(found.iter().any(|path| path.starts_with(results.join(board))), "{board}");
    }
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut kinds = Vec::new();
        for line in text.lines() {
            let record =
                Record::parse(line).unwrap_or_else(|why| panic!("{path:?}: {why}: {line}"));
            let record = record.unwrap_or_else(|| panic!("{path:?}: not a record: {line}"));
            assert_eq!(record.to_string(), line, "{path:?}");
            kinds.push(record.kind());
        }
        assert_eq!((kinds.first(), kinds.last()), (Some(&"run"), Some(&"done")), "{path:?}");
    }
}

/// What decides the bytes of an instance: the engine, its switches and the stack it is given.
/// Bytes carry over between machines where all of these are equal, so a board is not among them.
fn build(run: &str) -> String {
    let keys = [
        "pointer_bits",
        "runtime",
        "runtime_version",
        "interpreter",
        "interpreter_opt",
        "block_cache",
        "aot",
        "mode",
        "wasm_stack_bytes",
        "fit",
        "scenario",
    ];
    let value = |key: &str| {
        let start = format!("{key}=");
        let found = run.split(' ').find_map(|field| field.strip_prefix(&start));
        format!("{start}{}", found.unwrap_or("-"))
    };
    keys.map(value).join(" ")
}

/// docs/method.md says that bytes carry over between machines of equal pointer size. A run that
/// breaks this needs a reason there, and here a key that tells the two builds apart.
#[test]
#[cfg_attr(miri, ignore = "no file system")]
fn one_build_costs_the_same_bytes_on_each_board() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results");
    let mut found = Vec::new();
    logs(&results, &mut found);
    let mut costs: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
    for path in &found {
        let text = std::fs::read_to_string(path).unwrap();
        let mut run = String::new();
        for line in text.lines() {
            match Record::parse(line).unwrap().unwrap() {
                Record::Run(record) => run = format!("{} {}", build(line), record.board),
                Record::End(end) => {
                    let (build, board) = run.rsplit_once(' ').unwrap();
                    let Some(cost) = end.cost_bytes else { continue };
                    let key = format!("{} {build}", end.workload);
                    costs.entry(key).or_default().push((cost.0, board.to_owned()));
                }
                _ => {}
            }
        }
    }
    let mut compared = 0;
    for (build, costs) in costs {
        let boards: Vec<&str> = costs.iter().map(|(_, board)| board.as_str()).collect();
        assert!(costs.iter().all(|(cost, _)| *cost == costs[0].0), "{build}: {costs:?}");
        compared += usize::from(boards.iter().any(|board| *board != boards[0]));
    }
    assert!(compared >= 8, "only {compared} builds were recorded on more than one board");
}
