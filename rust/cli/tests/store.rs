//! A run that is killed loses no state that was parked.

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use support::{stderr, stdout, wramp};

fn arguments(store: &str) -> Vec<&str> {
    let run = "run --preset dense --mode park --workload state --arena-bytes 64K --dwell-ms 30";
    let mut arguments: Vec<_> = run.split(' ').collect();
    arguments.extend(["--format", "records", "--store", store]);
    arguments
}

#[test]
fn a_killed_run_goes_on_where_its_instances_were_parked() {
    let store = std::env::temp_dir().join(format!("wramp-killed-{}", std::process::id()));
    let _ = std::fs::remove_file(&store);
    let store = store.to_str().unwrap();
    for kill_after in [400, 650, 900, 1300] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_wramp"))
            .args(arguments(store))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(kill_after));
        // SIGKILL: nothing of the program runs any more.
        run.kill().unwrap();
        run.wait().unwrap();
    }
    let output = wramp(&arguments(store));
    let (records, said) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "every result is right: {said}\n{records}");
    let restored = records.split(" restored=").last().and_then(|rest| rest.split(' ').next());
    let restored: u32 = restored.unwrap().parse().unwrap();
    assert!(restored > 0, "{records}");
    std::fs::remove_file(store).unwrap();
}

#[test]
fn a_store_belongs_to_a_park_of_one_module() {
    for (arguments, word) in [
        (&["run", "--store", "x"][..], "--mode park"),
        (&["run", "--mode", "park", "--store", "x"], "one --workload"),
        (&["run", "--mode", "park", "--workload", "cpu", "--store", "/no/such/file"], "/no/such"),
        (&["run", "--store-bytes", "1M"], "--store"),
    ] {
        let output = wramp(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
    }
}
