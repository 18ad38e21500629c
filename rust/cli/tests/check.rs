//! `wramp check`: what is reached, what is missed, and what is not judged and why.

mod support;

use std::path::{Path, PathBuf};

use support::{golden, scratch, stderr, stdout, without, wramp, wramp_in};

/// A directory of runs: `results/mps2_an385/2026-11-21-classic` with the log of a synthetic board.
fn runs(name: &str, machine: Option<&str>) -> PathBuf {
    let directory = scratch(name);
    save(&directory, "2026-11-21-classic", &support::board("mps2/an385", 32), machine);
    directory
}

fn save(directory: &Path, run: &str, log: &str, machine: Option<&str>) {
    let run = directory.join("mps2_an385").join(run);
    std::fs::create_dir_all(&run).unwrap();
    std::fs::write(run.join("run.log"), log).unwrap();
    if let Some(machine) = machine {
        std::fs::write(run.join("machine.txt"), machine).unwrap();
    }
}

/// Judges all runs of the directory by these rules: exit status and what was said.
fn check(directory: &Path, rules: &str) -> (Option<i32>, String) {
    std::fs::write(directory.join("rules.toml"), rules).unwrap();
    let runs = std::fs::read_dir(directory.join("mps2_an385")).unwrap();
    let mut runs: Vec<String> =
        runs.map(|run| run.unwrap().path().to_string_lossy().into_owned()).collect();
    runs.sort();
    let args = ["check", "rules.toml"].into_iter().chain(runs.iter().map(String::as_str));
    let output = wramp_in(directory.to_path_buf(), &args.collect::<Vec<_>>());
    (output.status.code(), stdout(&output) + &stderr(&output))
}

fn rule(text: &str) -> String {
    format!("[[rule]]\nwhat = \"it\"\n{text}\n")
}

#[test]
fn a_requirement_is_reached_or_missed() {
    let machine = "core_opt: 3\ntext_bytes: 128000\nicount_shift: 2\ntwo_runs_identical: yes\n";
    let directory = runs("check-bounds", Some(machine));
    for (reached, missed) in [
        (
            "figure = 'peak'\nworkload = 'cpu'\nequals = 24",
            "figure = 'peak'\nworkload = 'cpu'\nequals = 25",
        ),
        ("figure = 'peak'\nat_least = 2", "figure = 'peak'\nat_least = 3"),
        (
            "figure = 'end'\nworkload = ['mem', 'msg']\nequals = '2/arena'",
            "figure = 'end'\nequals = '2/arena'",
        ),
        (
            "figure = 'limit'\nworkload = 'cpu'\nequals = 'slots'",
            "figure = 'limit'\nworkload = 'cpu'\nequals = 'slo'",
        ),
        ("figure = 'prediction'\nequals = 'measured'", "figure = 'prediction'\nequals = 'guessed'"),
        ("figure = 'errors'\nequals = 0", "figure = 'errors'\nequals = 1"),
        ("figure = 'leaked_bytes'\nequals = 0", "figure = 'leaked_bytes'\nat_least = 1"),
        (
            "figure = 'cost_bytes'\nworkload = 'cpu'\nequals = 6450\nwithin = 8",
            "figure = 'cost_bytes'\nworkload = 'cpu'\nequals = 6450\nwithin = 5",
        ),
        // The mean is 26,900; the median would pass 26,400.
        (
            "figure = 'call_us'\nworkload = 'cpu'\nreference = 26700\nslack = 0.01",
            "figure = 'call_us'\nworkload = 'cpu'\nat_most = 26400",
        ),
        ("figure = 'exit'\nequals = 0", "figure = 'exit'\nequals = 1"),
        ("figure = 'spent_bytes'\nat_most = 294912", "figure = 'spent_bytes'\nat_most = 294911"),
        ("figure = 'workloads'\nequals = 'cpu mem msg'", "figure = 'workloads'\nequals = 'cpu'"),
        ("figure = 'text_bytes'\nat_most = 128000", "figure = 'text_bytes'\nat_most = 127999"),
        (
            "figure = 'two_runs_identical'\nequals = 'yes'",
            "figure = 'two_runs_identical'\nequals = 'no'",
        ),
        (
            "figure = 'calls_kept'\nworkload = 'cpu'\ninstances = 2\nat_least = 0.5",
            "figure = 'calls_kept'\nworkload = 'cpu'\ninstances = 2\nat_least = 5",
        ),
    ] {
        let (code, said) = check(&directory, &rule(reached));
        assert!(code == Some(0) && said.contains(" yes"), "{reached}: {said}");
        let (code, said) = check(&directory, &rule(missed));
        assert!(code == Some(1) && said.contains("MISSED"), "{missed}: {said}");
    }
}

/// A required figure that was not measured is missed.
#[test]
fn a_figure_that_is_not_there_is_missed() {
    let directory = runs("check-absent", Some("core_opt: 3\n"));
    for absent in [
        "figure = 'peak'\nworkload = 'fib'\nat_least = 1",
        "figure = 'text_bytes'\nat_most = 1000000",
        "figure = 'calls_kept'\nworkload = 'cpu'\ninstances = 99\nat_least = 0",
    ] {
        let (code, said) = check(&directory, &rule(absent));
        assert!(code == Some(1) && said.contains("MISSED"), "{absent}: {said}");
    }
    let log = without(&support::board("mps2/an385", 32), &["latency_mean_us", "latency_p50_us"]);
    save(&directory, "2026-11-21-classic", &log, None);
    let (code, said) = check(&directory, &rule("figure = 'call_us'\nat_most = 1e9"));
    assert!(code == Some(1) && said.contains("MISSED"), "{said}");
}

#[test]
fn what_is_not_judged_says_why() {
    let always = rule("figure = 'exit'\nequals = 0");
    let with = |text: &str| format!("{always}{}", rule(text));
    let text = "figure = 'text_bytes'\nat_most = 1\nwhere = { core_opt = 3 }";
    // The size of an image is judged by what a user gets.
    for (name, machine, why) in [
        ("check-size", Some("core_opt: size\ntext_bytes: 9\n"), "its core_opt is size, not 3"),
        ("check-older", Some("text_bytes: 9\n"), "machine.txt does not say core_opt"),
        ("check-bare", None, "there is no machine.txt"),
    ] {
        let (code, said) = check(&runs(name, machine), &with(text));
        assert!(code == Some(0) && said.contains(why), "{name}: {said}");
        assert!(said.contains("1 reached, 0 missed, 1 not judged"), "{said}");
    }
    let directory = runs("check-why", Some("core_opt: 3\ntext_bytes: 9\n"));
    assert_eq!(check(&directory, &with(text)).0, Some(1), "as rustup ships it");
    let (code, said) = check(&directory, &with("figure = 'peak'\nunjudged = 'another program'"));
    assert!(code == Some(0) && said.contains("another program"), "{said}");

    // The newest run of a board and preset counts. The older one gets a row that says so.
    let broken = support::board("mps2/an385", 32).replace("exit=0", "exit=1");
    let broken: String = broken.lines().map(support::rewritten).collect();
    save(&directory, "2026-11-20-classic", &broken, None);
    let (code, said) = check(&directory, &always);
    assert!(code == Some(0) && said.contains("a newer run"), "{said}");
    save(&directory, "2026-11-22-classic", &broken, None);
    assert_eq!(check(&directory, &always).0, Some(1));

    // An older log has only the median.
    let directory = runs("check-median", None);
    let log = without(&support::board("mps2/an385", 32), &["latency_mean_us"]);
    save(&directory, "2026-11-21-classic", &log, None);
    let call = rule("figure = 'call_us'\nworkload = 'cpu'\nat_most = 26400");
    let (code, said) = check(&directory, &call);
    assert!(code == Some(0) && said.contains("the median, for want of the mean"), "{said}");
}

#[test]
fn rules_name_the_runs_they_apply_to() {
    let directory = runs("check-where", Some("icount_shift: 2\n"));
    let missed = |conditions: &str| {
        let text = format!("figure = 'exit'\nequals = 9\nwhere = {{ {conditions} }}");
        check(&directory, &(rule("figure = 'exit'\nequals = 0") + &rule(&text))).0 == Some(1)
    };
    for applies in [
        "preset = 'classic'",
        "preset = ['dense', 'classic']",
        "preset = '*'",
        "board = 'mps2/an385', pointer_bits = 32",
        "icount_shift = '*'",
        "icount_shift = 2",
        "mode = 'threads', pause_ms = 5",
    ] {
        assert!(missed(applies), "{applies}");
    }
    for other in ["preset = 'dense'", "pointer_bits = 64", "icount_shift = 3", "workers = '*'"] {
        assert!(!missed(other), "{other}");
    }
}

#[test]
fn wrong_requirements_end_with_2() {
    let directory = runs("check-wrong", None);
    for (rules, words) in [
        ("rule = 3", "rules.toml"),
        ("[[rule]]\nwhat = 'x'\nfigure = 'pace'\nequals = 1", "pace"),
        ("[[rule]]\nwhat = 'x'\nfigure = 'peak'\nequls = 1", "equls"),
        ("[[rule]]\nwhat = 'x'\nfigure = 'peak'", "give one of"),
        ("[[rule]]\nwhat = 'x'\nfigure = 'peak'\nequals = 1\nat_most = 1", "give one of"),
        ("[[rule]]\nwhat = 'x'\nfigure = 'peak'\nat_most = 1\nwithin = 1", "within"),
        ("[[rule]]\nwhat = 'x'\nfigure = 'exit'\nequals = 0\nworkload = 'cpu'", "workload"),
        ("[[rule]]\nwhat = 'x'\nfigure = 'peak'\nreference = 1", "slack"),
        // Such a rule would never apply, and nobody would notice.
        (
            "[[rule]]\nwhat = 'x'\nfigure = 'peak'\nequals = 1\nwhere = { prset = 'a' }",
            "no key prset",
        ),
        (
            "[[rule]]\nwhat = 'x'\nfigure = 'peak'\nequals = 1\nwhere = { preset = 'a' }",
            "nothing was judged",
        ),
    ] {
        let (code, said) = check(&directory, rules);
        assert!(code == Some(2) && said.contains(words), "{rules}: {said}");
    }
    let output = wramp(&["check", "/no/such/rules.toml", &golden("host.log")]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(wramp(&["check"]).status.code(), Some(2));
}

/// The requirements of this repository hold for what is recorded in it.
#[test]
fn recorded_runs_meet_the_requirements() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results");
    let mut args = vec!["check".to_owned(), path(&results.join("requirements.toml"))];
    for board in std::fs::read_dir(&results).unwrap().map(|entry| entry.unwrap().path()) {
        // These two hold other tables than those of a board.
        if !board.is_dir() || board.ends_with("switches") || board.ends_with("engines") {
            continue;
        }
        args.extend(std::fs::read_dir(board).unwrap().map(|run| path(&run.unwrap().path())));
    }
    assert!(args.len() > 20, "{args:?}");
    let output = wramp(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let said = stdout(&output) + &stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for what in ["us a call: msg", "bytes of an instance: cpu", "two runs print the same bytes"] {
        assert!(said.contains(what), "{what}: {said}");
    }
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A 32-bit ELF file with these sections: flags, address, size.
fn elf(sections: &[(u32, u32, u32)]) -> Vec<u8> {
    const HEADER: usize = 52;
    let names = HEADER + 40 * (sections.len() + 2);
    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1, 0];
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    half(&mut file, 2); // An executable
    half(&mut file, 40); // for Arm.
    for value in [1, 0, 0, HEADER as u32, 0] {
        word(&mut file, value);
    }
    for value in [52, 32, 0, 40, sections.len() as u16 + 2, sections.len() as u16 + 1] {
        half(&mut file, value);
    }
    assert_eq!(file.len(), HEADER);
    let null = [0; 10];
    // NOBITS (8), so that no content is needed.
    let own = sections.iter().map(|&(flags, at, size)| [1, 8, flags, at, 0, size, 0, 0, 4, 0]);
    let strings = [1, 3, 0, 0, names as u32, 8, 0, 0, 1, 0];
    for section in [null].into_iter().chain(own).chain([strings]) {
        for value in section {
            word(&mut file, value);
        }
    }
    file.extend(b"\0name\0\0\0");
    file
}

#[test]
fn an_image_is_measured_as_machine_txt_has_it() {
    const WRITE: u32 = 1;
    const ALLOC: u32 = 2;
    let directory = scratch("image");
    let sections = [
        (ALLOC, 0x0, 1000),
        // A table that is marked writable and lies in flash.
        (ALLOC | WRITE, 0x1000, 10),
        (ALLOC | WRITE, 0x2000_0000, 5000),
        (ALLOC | WRITE, 0x2000_2000, 300),
        // Debug information takes no memory.
        (0, 0, 70_000),
    ];
    std::fs::write(directory.join("zephyr.elf"), elf(&sections)).unwrap();
    let config = "CONFIG_SRAM_BASE_ADDRESS=0x20000000\nCONFIG_WRAMP_ARENA_SIZE=2000\n\
                  CONFIG_WRAMP_SLOTS=3\nCONFIG_WRAMP_SLOT_STACK_SIZE=1024\n";
    std::fs::write(directory.join(".config"), config).unwrap();
    let image = directory.to_string_lossy();
    let output = wramp(&["check", "--image", &image]);
    assert_eq!(stdout(&output), "text_bytes: 1010\nram_beyond_bytes: 228\n", "{}", stderr(&output));

    std::fs::write(directory.join(".config"), "CONFIG_WRAMP_SLOTS=3\n").unwrap();
    let output = wramp(&["check", "--image", &image]);
    let said = stderr(&output);
    assert!(output.status.code() == Some(2) && said.contains("CONFIG_WRAMP_ARENA_SIZE"), "{said}");
    std::fs::write(directory.join(".config"), config).unwrap();
    std::fs::write(directory.join("zephyr.elf"), "no ELF").unwrap();
    let output = wramp(&["check", "--image", &image]);
    let said = stderr(&output);
    assert!(output.status.code() == Some(2) && said.contains("zephyr.elf"), "{said}");
}
