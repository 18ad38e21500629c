//! Reads every recorded run in results/, and writes each record back unchanged.

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
