//! The commands as a user meets them: output, messages, exit statuses.

mod support;

use support::{golden, scratch, stderr, stdout, wramp};

fn refused(arguments: &[&str], words: &[&str]) {
    let output = wramp(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: no {word:?} in: {said}");
    }
}

#[test]
fn what_cannot_be_read_ends_with_2() {
    for command in ["table", "plot"] {
        let tail: &[&str] = if command == "plot" { &["-o", "-"] } else { &[] };
        for (file, words) in [
            ("empty.log", "is empty"),
            ("other.log", "another program"),
            ("garbage.log", "baud"),
            ("newer.log", "update wramp"),
            ("missing.log", "No such file"),
        ] {
            refused(&[&[command, &golden(file)], tail].concat(), &[words]);
        }
    }
    let host = golden("host.log");
    refused(&["table", &golden("nothing-ran.log")], &["no ramp", "CONFIG_WRAMP_ARENA_SIZE"]);
    refused(&["plot", &golden("nothing-ran.log"), "-o", "a.svg"], &["nothing to plot"]);
    refused(&["plot", &host, "-o", "a.gif"], &[".svg, .png or .html"]);
    refused(&["plot", &host, "-o", "/no/such/place/a.svg"], &["/no/such/place/a.svg"]);
    refused(&["compare", &host, &golden("empty.log")], &["is empty"]);
    refused(&["compare", &host, &host, "--tolerance", "speed=1"], &["speed", "latency"]);
    refused(&["compare", &host, &host, "--tolerance", "lots"], &["fraction"]);
    refused(&["plan", "--from", &host, "--workload", "fib"], &["no costs of fib", "cpu, mem, msg"]);
    refused(&["plan", "--from", &host, "--slots", "0"], &["--slots", "at least 1"]);
    refused(&["plan", "--from", &host, "--budget-bytes", "100"], &["--budget-bytes"]);
    refused(&["plan", "--from", &host, "--arena-bytes", "9Q"], &["192K"]);
    refused(&["plan", "--from", &host, "--workers", "3"], &["--mode pool"]);
    refused(&["table", &host, "--format", "csv", "--show", "steps,parts"], &["--show"]);
}

/// A run with a wrong knob is refused before it starts, and the message names the knob.
#[test]
fn knobs_that_no_board_runs_with_are_named() {
    for bytes in ["0", "100", "2047"] {
        refused(&["run", "--slot-stack-bytes", bytes], &["--slot-stack-bytes", "at least 2048"]);
    }
    let host = golden("host.log");
    refused(&["plan", "--from", &host, "--slot-stack-bytes", "1K"], &["--slot-stack-bytes"]);
    refused(&["run", "--budget-instructions", "0"], &["--budget-instructions"]);
}

/// An engine that this build lacks is refused with the command that builds it.
#[test]
#[cfg(not(feature = "engines"))]
fn an_engine_that_was_not_built_in_is_named_with_its_build() {
    for engine in ["wasm3", "wasmi", "tinywasm"] {
        refused(&["run", "--engine", engine], &[engine, "cargo build", "--features engines"]);
    }
}

/// An interpreter that this build lacks is refused with the variable that builds it.
#[test]
#[cfg(not(feature = "engines"))]
fn a_wamr_that_was_not_built_in_is_named_with_its_build() {
    let other = if wramp_wamr::INTERPRETER == "fast" { "classic" } else { "fast" };
    let words = [&format!("WRAMP_INTERPRETER={other}")[..], "scripts/wramp"];
    refused(&["run", "--engine", &format!("wamr-{other}")], &words);
}

/// A budget that the engine cannot keep is refused before anything runs.
#[test]
fn a_budget_without_metering_is_refused() {
    let fast = "run --workload add --slots 1 --settle-ms 0 --dwell-ms 1 --slot-stack-bytes 2K";
    let fast: Vec<&str> = fast.split(' ').collect();
    let budget = ["--budget-instructions", "1000000"];
    let plain = stdout(&wramp(&[&fast[..], &["--format", "records"]].concat()));
    if plain.lines().next().unwrap().contains(" budget=unsupported ") {
        refused(&[&fast[..], &budget].concat(), &["--budget-instructions", "WRAMP_METERING=1"]);
        let records = wramp(&[&fast[..], &budget, &["--format", "records"]].concat());
        assert_eq!(stdout(&records), "", "a refused run prints no record");
    } else {
        let text = stdout(&wramp(&[&fast[..], &budget].concat()));
        assert!(text.contains("1000000 instructions"), "{text}");
    }
}

/// A hostile module is refused in its own name, not in that of the arena.
#[test]
fn a_module_from_outside_is_validated() {
    let directory = scratch("hostile");
    for (name, bytes, words) in [
        // 2^32-1 functions, a shared table, a shared memory, an element segment of a form that
        // does not exist.
        ("count", &b"\x03\x05\xff\xff\xff\xff\x0f"[..], "no valid WebAssembly at byte 1"),
        ("table", b"\x04\x05\x01\x70\x03\x01\x01", "shared tables"),
        ("memory", b"\x05\x04\x01\x03\x01\x01", "threads at byte 11"),
        ("element", b"\x09\x03\x01\x08\x00", "flags byte in element segment"),
    ] {
        let file = directory.join(format!("{name}.wasm"));
        std::fs::write(&file, [b"\0asm\x01\0\0\0", bytes].concat()).unwrap();
        let file = file.to_string_lossy();
        refused(&["run", "--module", &file, "--export", "f"], &["--module", &file, words]);
    }
}

/// Options that contradict each other, or that would have no effect, are refused.
#[test]
fn options_that_do_not_go_together_are_refused() {
    refused(&["run", "--export", "tick"], &["--module"]);
    refused(&["run", "--module", "a.wat"], &["a.wat", "No such file"]);
    refused(&["run", "--module", "a.wat", "--export", "f", "--workload", "cpu"], &["--workload"]);
    refused(&["run", "--scenario", "mixed", "--workload", "cpu"], &["--scenario mixed", "two"]);
    refused(&["run", "--scenario", "pinned", "--pin", "0"], &["--pin"]);
    refused(&["run", "--mix", "cpu=1", "--scenario", "mixed"], &["--scenario"]);
    refused(&["run", "--mix", "cpu=1", "--workload", "cpu"], &["--workload"]);
    refused(&["run", "--mix", "cpu=1", "--mode", "pool"], &["--mode pool", "--mix"]);
    refused(&["run", "--mix", "cpu=0"], &["=0", "1 or more"]);
    refused(&["run", "--mix", "cpu=1,cpu=2"], &["both called cpu"]);
    refused(&["run", "--mix", "cpu=30"], &["30 instances", "--slots is 24"]);
    refused(&["run", "--mix", "no.wasm=1", "--export", "f"], &["no.wasm"]);
    refused(&["run", "--pin", "left"], &["--pin", "core"]);
    refused(&["run", "--module", "/dev/zero", "--export", "f"], &["/dev/zero", "longer than"]);
}

/// Three of one module, one of another, and as many of a third as fit: the question that a
/// person asks, and its answer.
#[test]
fn a_mix_is_answered_in_one_sentence() {
    let fast = "run --settle-ms 0 --dwell-ms 1 --step 9 --arena-bytes 64K --mix";
    let mix = |mix| [&fast.split(' ').collect::<Vec<_>>()[..], &[mix]].concat();
    let text = stdout(&wramp(&mix("cpu=3,state=1,add=*")));
    let answer = text.lines().last().unwrap();
    assert!(answer.starts_with("mix: yes, 3 cpu, 1 state and "), "{text}");
    assert!(answer.ends_with(" add is stopped by the arena."), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    // Each member has its own row of figures.
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with("module "))
        .skip(1)
        .take(3)
        .map(|line| line.split_whitespace().take(3).collect())
        .collect();
    assert_eq!(rows[..2], [["cpu", "3", "3"], ["state", "1", "1"]], "{text}");
    assert_eq!(rows[2][..2], ["add", "*"], "{text}");

    let text = stdout(&wramp(&mix("cpu=3,mem=1")));
    let answer = text.lines().last().unwrap();
    assert_eq!(answer, "mix: no, 3 cpu and 0 mem fit; the 1st mem is stopped by the arena.");
}

#[test]
fn how_long_a_call_may_take_is_an_option() {
    let fast = "run --workload add --slots 1 --settle-ms 0 --dwell-ms 1 --format records";
    let header = |more: &[&str]| {
        let output = wramp(&[&fast.split(' ').collect::<Vec<_>>()[..], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).lines().next().unwrap().to_owned()
    };
    assert!(header(&[]).contains(" stuck_ms=10000 "));
    assert!(header(&["--stuck-ms", "700"]).contains(" stuck_ms=700 "));
    assert!(!header(&["--stuck-ms", "0"]).contains("stuck_ms"), "it waits for ever");
}

#[test]
fn a_run_can_be_pinned() {
    let fast = "run --workload add --slots 1 --settle-ms 0 --dwell-ms 1 --format records";
    let run = |pin: &str| {
        let words: Vec<&str> = fast.split(' ').chain(["--pin", pin]).collect();
        let output = wramp(&words);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    assert!(run("0").lines().next().unwrap().contains(" pin=core0 "));
    assert!(run("free").lines().next().unwrap().contains(" pin=free "));
}

#[test]
fn every_subcommand_shows_an_example() {
    for command in [
        "run",
        "capture",
        "table",
        "plot",
        "compare",
        "check",
        "plan",
        "size",
        "shrink",
        "new",
        "workloads",
    ] {
        let output = wramp(&[command, "--help"]);
        assert!(output.status.success());
        let text = stdout(&output);
        assert!(text.contains(&format!("wramp {command}")) && text.contains("xample"), "{text}");
    }
}

#[test]
fn table_sets_builds_side_by_side() {
    let host = golden("host.log");
    let costs = ["table", &host, &host, "--show", "costs", "--workload", "mem,cpu"];
    let json = stdout(&wramp(&[&costs[..], &["--format", "json"]].concat()));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = json["costs"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{json}");
    // From its records: 1 + 1 + (188,240 - 7,712) / 7,712, and likewise for mem.
    assert_eq!(rows[0]["cpu_cost_bytes"], 7_712, "{json}");
    assert_eq!(rows[0]["cpu_peak"], 24, "{json}");
    assert_eq!(rows[0]["cpu_module_arena_bytes"], 608, "{json}");
    assert_eq!(rows[0]["cpu_fit"], 25, "{json}");
    assert_eq!(rows[0]["mem_fit"], 2, "{json}");
    assert!(rows[0]["mem_call_us"].as_f64().unwrap() > 0.0, "{json}");
    assert!(rows[0].get("msg_fit").is_none(), "{json}");
    refused(&["table", &host, "--workload", "fib"], &["fib", "--workload"]);
    let beside = stdout(&wramp(&["table", "published", &host, "--show", "costs"]));
    assert!(beside.contains("ESP32-S3") && beside.contains("6,456"), "{beside}");
    refused(&["table", "published", "--show", "costs"], &["beside logs"]);
    refused(&["table", "published", &host], &["--show costs"]);
}

#[test]
fn table_writes_four_formats() {
    let host = golden("host.log");
    let text = stdout(&wramp(&["table", &host]));
    for words in ["Summary", "Steps", "Instances", "24   slots", "188,240"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let markdown = stdout(&wramp(&["table", &host, "--format", "markdown", "--show", "summary"]));
    assert!(markdown.contains("| cpu | 24 | slots | 24 |"), "{markdown}");
    let csv = stdout(&wramp(&["table", &host, "--format", "csv"]));
    assert!(csv.starts_with("log,run,board,workload,instances,"), "{csv}");
    assert_eq!(csv.lines().count(), 1 + 25 + 3 + 3);
    let json = stdout(&wramp(&["table", &host, "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["summary"][0]["peak"], 24);
    assert_eq!(json["summary"][1]["limit"], "arena");
    assert_eq!(json["steps"][0]["turnaround_p99_us"], serde_json::Value::Null);
}

#[test]
fn a_table_of_several_logs_is_their_summary() {
    let (host, esp) = (golden("host.log"), golden("esp32s3.log"));
    let output = wramp(&["table", &host, &esp]);
    let (text, said) = (stdout(&output), stderr(&output));
    assert!(text.starts_with("Summary\n") && text.lines().count() == 8, "{text}");
    assert!(said.contains("--show"), "{said}");
    let all = stdout(&wramp(&["table", &host, &esp, "--format", "json"]));
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert!(all["steps"].is_array() && all["parts"].is_array());
    assert!(stdout(&wramp(&["table", &host, &esp, "--show", "steps"])).starts_with("Steps\n"));
}

#[test]
fn a_table_of_a_reset_says_so_and_shows_both_runs() {
    let output = wramp(&["table", &golden("interleaved-reset.log"), "--show", "summary"]);
    assert!(output.status.success());
    let (text, said) = (stdout(&output), stderr(&output));
    assert!(text.contains("unfinished"), "{text}");
    assert!(said.contains("a reset") && said.contains("2 of "), "{said}");
}

#[test]
fn plots_are_files_of_their_kind_and_need_nothing_else() {
    let directory = scratch("plots");
    let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
    for log in ["host.log", "esp32s3.log", "truncated.log", "interleaved-reset.log"] {
        for kind in ["svg", "png", "html"] {
            let out = file(&format!("{log}.{kind}"));
            let output = wramp(&["plot", &golden(log), "-o", &out, "--scale", "0.5"]);
            assert!(output.status.success(), "{}", stderr(&output));
            let bytes = std::fs::read(&out).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            match kind {
                "png" => assert!(bytes.starts_with(b"\x89PNG")),
                "svg" => assert!(text.starts_with("<svg") && text.contains("arena: 192 KiB")),
                _ => {
                    assert!(text.contains("name=\"viewport\"") && text.contains("viewBox"));
                    for fetched in ["src=", "url(", "@import", "<script", "href=\"http"] {
                        assert!(!text.contains(fetched), "{fetched}");
                    }
                }
            }
        }
    }
    let two = wramp(&["plot", &golden("host.log"), &golden("esp32s3.log"), "-o", "-"]);
    assert!(stdout(&two).contains("B mem"));
}

#[test]
fn the_bytes_of_an_instance_are_one_picture_and_add_up() {
    let esp = golden("esp32s3.log");
    let table = |format| stdout(&wramp(&["table", &esp, "--show", "parts", "--format", format]));
    let csv = table("csv");
    let rows = || csv.lines().skip(1).map(|row| row.split(',').skip(3).collect::<Vec<_>>());
    for (workload, sum) in [("cpu", "6,456"), ("mem", "72,120"), ("msg", "72,120")] {
        let own = rows().filter(|row| row[0] == workload);
        let bytes: u32 = own.map(|row| row[2].parse::<u32>().unwrap()).sum();
        assert_eq!(
            wramp_cli::show::number::grouped(&bytes.to_string()),
            sum,
            "who adds up the rows adds no sum to them"
        );
        let row = format!("| {workload} | sum | {sum} |");
        assert!(table("markdown").contains(&row), "a person sees it");
    }
    assert!(!csv.contains("sum") && !table("json").contains("sum"));
    let one = wramp(&["plot", &esp, "--parts", "--workload", "cpu", "-o", "-"]);
    let svg = stdout(&one);
    for words in ["Bytes of one cpu instance", "environment", "module instance", "6,456 B"] {
        assert!(svg.contains(words), "{words}: {}", stderr(&one));
    }
    assert!(!svg.contains("linear memory") && !svg.contains("72,120"));
    let both = stdout(&wramp(&["plot", &esp, &esp, "--parts", "-o", "-"]));
    assert!(both.contains("esp32s3: mem") && both.contains("linear memory"));
    refused(&["plot", &esp, "--workload", "fib", "-o", "-"], &["no ramp of fib"]);
    refused(&["plot", &golden("nothing-ran.log"), "--parts", "-o", "-"], &["bytes are for"]);
}

/// The log of a board whose four workers serve the `cpu` workload.
fn pool_log() -> String {
    use wramp_core::measure::{Bytes, Nanos};
    use wramp_core::report::{Fit, Record, Word, Worker};

    let mut log = String::new();
    let whole = support::header("mps2/an385", 32)
        + &support::ramp(&support::PUBLISHED[0]).concat()
        + &support::done_after(1);
    for line in whole.lines() {
        let record = match Record::parse(line).unwrap().unwrap() {
            Record::Run(mut run) => {
                (run.mode, run.workers, run.slots) = (Word("pool"), Some(4), 4);
                run.residents = Some(720);
                run.into()
            }
            Record::Step(mut step) => {
                step.running = Some(4.min(step.instances));
                step.turnaround_p50_us = Some(Nanos(5_000_000));
                step.turnaround_p99_us = Some(Nanos(6_000_000));
                step.turnaround_max_us = Some(Nanos(7_000_000));
                step.into()
            }
            // A resident has no stack of its own.
            Record::Instance(mut instance) => {
                instance.stack_used_bytes = None;
                instance.into()
            }
            Record::End(mut end) => {
                end.stack_used_bytes = None;
                end.into()
            }
            other => other,
        };
        if let Record::End(_) = record {
            for slot in 0..4 {
                let stack_used_bytes = Some(Bytes(1764));
                let worker = Worker { workload: Word("cpu"), slot, calls: 7, stack_used_bytes };
                log += &format!("{}\n", Record::from(worker));
            }
        }
        log += &format!("{record}\n");
        if record.kind() == "load" {
            let fit = Fit {
                workload: Word("cpu"),
                needed_bytes: Bytes(264),
                wasm_stack_bytes: Bytes(336),
            };
            log += &format!("{}\n", Record::from(fit));
        }
    }
    log
}

/// A pool's environments are its workers', and its turnarounds are shown.
#[test]
fn a_pool_is_shown_as_one() {
    let log = pool_log();
    let file = scratch("pool").join("pool.log");
    std::fs::write(&file, log).unwrap();
    let file = file.to_string_lossy();
    let text = stdout(&wramp(&["table", &file]));
    for words in ["4 workers of 4,096 B", "stack needed", "336", "turnaround p50 us", "7,000"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let svg = stdout(&wramp(&["plot", &file, "-o", "-"]));
    assert!(svg.contains("call p99") && svg.contains("turnaround p99"), "{svg}");
    let plan = stdout(&wramp(&["plan", "--from", &file, "--format", "records"]));
    assert!(plan.contains("mode=pool") && plan.contains("slots=4 "), "{plan}");
    assert!(plan.contains("wasm_stack_bytes=336"), "{plan}");
}

#[test]
fn compare_gates_on_what_got_worse() {
    let host = golden("host.log");
    let same = wramp(&["compare", &host, &host]);
    assert_eq!(same.status.code(), Some(0), "{}", stdout(&same));
    assert!(stdout(&same).contains("no regression: 0 worse, 0 better"));

    let esp = golden("esp32s3.log");
    let published = wramp(&["compare", "published", &esp]);
    let text = stdout(&published);
    assert_eq!(published.status.code(), Some(0), "{text}");
    assert!(text.contains("absmach/propeller") && text.contains("instance_0_calls"), "{text}");

    // An instance that costs more is worse, and comes first.
    let shape = support::Shape { cost: 6464, ..support::PUBLISHED[0] };
    let mut log = support::header("esp32s3_devkitc/esp32s3/procpu", 32);
    log.extend(support::ramp(&shape));
    log.extend(support::ramp(&support::PUBLISHED[1]));
    log.extend(support::ramp(&support::PUBLISHED[2]));
    log += &support::done();
    let new = scratch("compare").join("new.log");
    std::fs::write(&new, log).unwrap();
    let new = new.to_string_lossy();
    let worse = wramp(&["compare", &esp, &new]);
    let text = stdout(&worse);
    assert_eq!(worse.status.code(), Some(1), "{text}");
    assert!(text.lines().nth(2).unwrap().contains("WORSE"), "{text}");
    assert!(text.contains("REGRESSION"), "{text}");
    let tolerated = ["compare", &esp, &new, "--tolerance", "cost=1%,bytes=5%"];
    assert_eq!(wramp(&tolerated).status.code(), Some(0));
    let better = wramp(&["compare", &new, &esp]);
    assert_eq!(better.status.code(), Some(0), "{}", stdout(&better));
    assert!(stdout(&better).contains("better"));
    // Half a run is a regression, whatever its figures are.
    let half = wramp(&["compare", &host, &golden("truncated.log")]);
    assert_eq!(half.status.code(), Some(1), "{}", stdout(&half));
    // Bytes and times of another machine are not judged.
    let other = wramp(&["compare", "published", &host]);
    assert_eq!(other.status.code(), Some(0), "{}", stdout(&other));
    assert!(stdout(&other).contains("64-bit pointers"));
}

/// A log whose lines `change` changes, or drops where it returns `None`.
fn edited(log: &str, change: impl Fn(&str) -> Option<String>) -> String {
    log.lines().filter_map(|line| change(line).map(|line| support::rewritten(&line))).collect()
}

/// A figure that the base has and the new run lacks is a regression, whatever it is.
#[test]
fn a_figure_that_vanished_does_not_pass() {
    let directory = scratch("vanished");
    let base = pool_log();
    let compare = |new: &str| {
        std::fs::write(directory.join("base.log"), &base).unwrap();
        std::fs::write(directory.join("new.log"), new).unwrap();
        let output = support::wramp_in(directory.clone(), &["compare", "base.log", "new.log"]);
        (output.status.code(), stdout(&output) + &stderr(&output))
    };
    assert_eq!(compare(&base).0, Some(0));
    for key in ["latency_mean_us", "latency_p99_us", "turnaround_p99_us", "cpu_permille"] {
        let (code, said) = compare(&support::without(&base, &[key]));
        assert!(code == Some(1) && said.contains("MISSING"), "{key}: {said}");
        assert!(said.contains("REGRESSION") && said.contains("missing from new.log"), "{said}");
    }
    // Without the workers nobody knows what a pool's stacks held.
    let (code, said) = compare(&support::without(
        &edited(&base, |line| (!line.contains("wramp worker ")).then(|| line.to_owned())),
        &["stack_used_bytes"],
    ));
    assert!(code == Some(1) && said.contains("stack_used_bytes"), "{said}");
}

/// A pool is judged by its turnarounds and by its workers' stacks.
#[test]
fn compare_judges_a_pool() {
    let directory = scratch("compare-pool");
    let base = pool_log();
    std::fs::write(directory.join("base.log"), &base).unwrap();
    for (from, to, figure) in [
        ("turnaround_p99_us=6000.000", "turnaround_p99_us=7000.000", "turnaround_first_p99_us"),
        (
            "slot=2 calls=7 stack_used_bytes=1764",
            "slot=2 calls=7 stack_used_bytes=1900",
            "stack_used_bytes",
        ),
    ] {
        let new = edited(&base, |line| Some(line.replace(from, to)));
        assert_ne!(new, base, "{from}");
        std::fs::write(directory.join("new.log"), new).unwrap();
        let output = support::wramp_in(directory.clone(), &["compare", "base.log", "new.log"]);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let row = said.lines().find(|line| line.contains(figure)).unwrap();
        assert!(row.contains("WORSE"), "{row}");
    }
}

/// A higher peak moves the last rung. Then a rung that both runs sampled is compared.
#[test]
fn a_higher_peak_is_no_regression() {
    let directory = scratch("higher-peak");
    let log = |peak| {
        let shape = support::Shape { peak, ..support::PUBLISHED[0] };
        support::header("mps2/an385", 32) + &support::ramp(&shape).concat() + &support::done()
    };
    // Rungs of the new run: 1, 3, 5, ... 25, so none at the base's peak of 24.
    let new = edited(&log(25), |line| {
        let even = (1..13).any(|half| line.contains(&format!(" instances={} ", 2 * half)));
        (!even).then(|| line.to_owned())
    });
    std::fs::write(directory.join("base.log"), log(24)).unwrap();
    std::fs::write(directory.join("new.log"), new).unwrap();
    let output = support::wramp_in(
        directory,
        &["compare", "base.log", "new.log", "--tolerance", "fairness=1,errors=0"],
    );
    let said = stdout(&output);
    assert!(!said.contains("MISSING"), "{said}");
}

/// The time of a call is the mean where a log has it. An older log shows its median, marked.
#[test]
fn a_call_takes_its_mean_time() {
    let directory = scratch("mean");
    let new = support::board("mps2/an385", 32);
    std::fs::write(directory.join("new.log"), &new).unwrap();
    let older = support::without(&new, &["latency_mean_us", "latency_min_us"]);
    std::fs::write(directory.join("old.log"), older).unwrap();
    let costs = |more: &[&str]| {
        let args = [&["table", "new.log", "old.log", "--show", "costs"], more].concat();
        stdout(&support::wramp_in(directory.clone(), &args))
    };
    let text = costs(&[]);
    let row = |name| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    assert!(row("new.log").contains("26,900") && !row("new.log").contains('*'), "{text}");
    assert!(row("old.log").contains("26,362*"), "{text}");
    assert!(text.contains("* an older log without the mean"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&costs(&["--format", "json"])).unwrap();
    assert_eq!(json["costs"][0]["cpu_call_us"], 26_900.0);
    assert_eq!(json["costs"][0]["cpu_call_us_is"], "mean");
    assert_eq!(json["costs"][1]["cpu_call_us_is"], "p50");
}

/// A person reads names and sentences decoded, a program as they stand in the record.
#[test]
fn a_person_reads_names_decoded() {
    let directory = scratch("names");
    let log = support::board("mps2/an385", 32);
    let log = edited(&log, |line| Some(line.replace("workload=cpu ", "workload=my%20gu%1best ")));
    std::fs::write(directory.join("run.log"), log).unwrap();
    let run = |args: &[&str]| {
        let output = support::wramp_in(directory.clone(), args);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let readable = "my gu\u{FFFD}est";
    for args in [
        &["table", "run.log"][..],
        &["plot", "run.log", "-o", "-"],
        &["compare", "run.log", "run.log"],
        &["plan", "--from", "run.log"],
        &["table", "run.log", "--workload", readable],
    ] {
        let text = run(args);
        assert!(text.contains(readable) && !text.contains("my%20"), "{args:?}: {text}");
    }
    for args in [
        &["table", "run.log", "--format", "json"][..],
        &["table", "run.log", "--format", "csv", "--workload", "my%20gu%1best"],
        &["plan", "--from", "run.log", "--format", "records"],
    ] {
        let text = run(args);
        assert!(text.contains("my%20gu%1best") && !text.contains(readable), "{args:?}: {text}");
    }
}

/// A run whose output cannot be written does not succeed.
#[test]
fn a_full_disk_under_stdout_is_told() {
    use std::process::{Command, Stdio};
    let fast = "--workload add --slots 1 --settle-ms 0 --dwell-ms 1";
    for format in ["records", "table", "csv", "jsonl"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_wramp"))
            .arg("run")
            .args(fast.split(' '))
            .args(["--format", format])
            .stdout(Stdio::from(full))
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{format}");
        assert!(stderr(&output).contains("stdout"), "{format}: {}", stderr(&output));
    }
}

/// A run ends with its answer in a sentence, and its rows fit a terminal of 80 columns.
#[test]
fn a_run_ends_with_its_answer() {
    let fast = "run --workload cpu --slots 3 --settle-ms 0 --dwell-ms 5 --pause-ms 0";
    let output = wramp(&fast.split(' ').collect::<Vec<_>>());
    let text = stdout(&output);
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("cpu: 3 fit; the 4th is stopped by the slots; the arena alone holds "),
        "{text}"
    );
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

/// A run that cannot be saved does not start.
#[test]
fn a_directory_that_takes_no_run_is_told_first() {
    let directory = scratch("unwritable");
    std::fs::write(directory.join("results"), "a file, not a directory").unwrap();
    let output = support::wramp_in(directory, &["run", "--save", "--format", "records"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("results") && stdout(&output).is_empty());
}

#[test]
fn plan_predicts_what_was_measured_and_explains_it() {
    let esp = golden("esp32s3.log");
    let text = stdout(&wramp(&["plan", "--from", &esp]));
    assert!(text.contains("peak = min(slots, 1 + (free < need ? 0 : 1 + (free - need) / cost))"));
    assert!(text.contains("peak = min(24, 1 + 1 + (189,472 - 6,456) / 6,456)"), "{text}");
    assert!(text.contains("at most 1,384 of 4,096 bytes were used"), "{text}");
    assert!(text.contains("; 3,072 is safe"), "{text}");

    let records =
        stdout(&wramp(&["plan", "--from", &esp, "--format", "records", "--arena-bytes", "64K"]));
    assert!(records.starts_with("wramp plan workload=cpu peak=10 limit=arena "), "{records}");
    assert!(records.contains("wramp plan workload=mem peak=0 limit=arena "), "{records}");
    for line in records.lines() {
        let record = wramp_core::report::Record::parse(line).unwrap().unwrap();
        assert_eq!(record.kind(), "plan");
    }
    let sweep = stdout(&wramp(&["plan", "--from", &esp, "--sweep", "--workload", "cpu"]));
    assert!(sweep.contains("64 slots") && sweep.contains("10*"), "{sweep}");
    let csv = stdout(&wramp(&["plan", "--from", &esp, "--sweep", "--format", "csv"]));
    assert_eq!(csv.lines().count(), 1 + 3 * 7 * 7);
}

#[test]
fn the_smallest_geometry_is_the_smallest() {
    let esp = golden("esp32s3.log");
    for peak in [1_u32, 2, 3, 24, 25, 40] {
        let wanted = peak.to_string();
        let args =
            ["plan", "--from", &esp, "--workload", "cpu", "--peak", &wanted, "--format", "jsonl"];
        let row: serde_json::Value = serde_json::from_str(&stdout(&wramp(&args))).unwrap();
        assert_eq!(row["peak"], peak);
        let arena = row["arena_bytes"].as_u64().unwrap();
        let smaller = (arena - 8).to_string();
        let args = [
            "plan",
            "--from",
            &esp,
            "--workload",
            "cpu",
            "--slots",
            &wanted,
            "--arena-bytes",
            &smaller,
            "--format",
            "jsonl",
        ];
        let row: serde_json::Value = serde_json::from_str(&stdout(&wramp(&args))).unwrap();
        assert_eq!(row["peak"], peak - 1, "arena {smaller}");
    }
}

#[test]
fn a_budget_is_split_for_the_highest_peak() {
    let esp = golden("esp32s3.log");
    let plan = |extra: &[&str]| -> serde_json::Value {
        let head = ["plan", "--from", &esp, "--workload", "cpu", "--format", "jsonl"];
        serde_json::from_str(&stdout(&wramp(&[&head, extra].concat()))).unwrap()
    };
    let split = plan(&["--budget-bytes", "288K"]);
    let best = split["peak"].as_u64().unwrap();
    // No other split is better.
    for slots in 1..72_u32 {
        let arena = (294_912 - slots * 4096).to_string();
        let other = plan(&["--slots", &slots.to_string(), "--arena-bytes", &arena]);
        assert!(other["peak"].as_u64().unwrap() <= best, "{slots} slots");
    }
    let pool = plan(&["--budget-bytes", "288K", "--mode", "pool", "--workers", "4"]);
    assert!(pool["peak"].as_u64().unwrap() > 400, "{pool}");
}

#[test]
fn workloads_are_listed_with_their_size() {
    let text = stdout(&wramp(&["workloads"]));
    for name in ["cpu", "mem", "msg", "isolation", "wat/fib.wat"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn a_pipe_that_closes_early_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_wramp"))
        .args(["table", &golden("host.log"), "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The line with the CRC that its text has: as an enemy would write it.
fn sealed(body: &str) -> String {
    let crc = body.bytes().fold(0xFFFF, wramp_core::report::crc16);
    format!("{body} crc={crc:04x}\n")
}

/// What no terminal may get from a log.
fn steers(text: &str) -> Option<char> {
    text.chars().find(|c| *c != '\n' && *c != '\t' && wramp_core::report::steers(*c))
}

/// A record with a right CRC is no proof of a friend. Neither raw control characters nor encoded
/// ones reach a terminal, in any format.
#[test]
fn a_hostile_record_steers_no_terminal() {
    let directory = scratch("steering");
    let host = String::from_utf8(support::read_golden("host.log")).unwrap();
    for (place, evil) in
        ["\x1b]0;owned\x07\x1b[2J", "\u{9b}2J", "a\u{202e}b", "%1b[2J%e2%80%ae%c2%9b"]
            .iter()
            .enumerate()
    {
        let mut text = String::new();
        for line in host.lines() {
            let body = line.rsplit_once(" crc=").unwrap().0;
            let body = body.replace("board=linux", &format!("board={evil}"));
            text += &sealed(&body.replace("workload=cpu", &format!("workload=cpu{evil}")));
        }
        text += &sealed(&format!("wramp fault error=trap message={evil}"));
        text += &sealed(&format!("wramp {evil} key=1"));
        text += &format!("wramp {evil} key=1 crc=0000\n");
        let file = directory.join(format!("{place}.log"));
        std::fs::write(&file, &text).unwrap();
        let file = file.to_string_lossy();
        for format in ["table", "markdown", "csv", "json"] {
            let output = wramp(&["table", &file, "--format", format]);
            for text in [stdout(&output), stderr(&output)] {
                assert_eq!(steers(&text), None, "{evil:?} {format}: {text:?}");
            }
        }
        let output = wramp(&["plan", "--from", &file, "--workload", "mem"]);
        assert_eq!(steers(&(stdout(&output) + &stderr(&output))), None, "{evil:?}");
        let plot = wramp(&["plot", &file, "-o", "-"]);
        assert_eq!(steers(&(stdout(&plot) + &stderr(&plot))), None, "{evil:?}");
    }
}

/// A spreadsheet runs what begins with one of four characters.
#[test]
fn no_cell_of_a_csv_is_a_formula() {
    let directory = scratch("formula");
    let host = String::from_utf8(support::read_golden("host.log")).unwrap();
    for evil in ["=HYPERLINK(1)", "+1+cmd|x", "-1+cmd|x", "@SUM(1)"] {
        let text: String = host
            .lines()
            .map(|line| {
                let body = line.rsplit_once(" crc=").unwrap().0;
                sealed(&body.replace("workload=cpu", &format!("workload={evil}")))
            })
            .collect();
        let file = directory.join("run.log");
        std::fs::write(&file, text).unwrap();
        let csv = stdout(&wramp(&["table", &file.to_string_lossy(), "--format", "csv"]));
        assert!(csv.contains(&format!(",'{evil},")), "{csv}");
        assert!(!csv.contains(&format!(",{evil},")), "{csv}");
    }
    let output = wramp(&["table", &golden("host.log"), "--format", "csv"]);
    assert!(!stdout(&output).contains('\''), "numbers stay as they are");
}

/// Values lie below a block from which a value is carried away. The fast interpreter of an
/// uncorrected WAMR computes 8 in place of 3 (docs/engine-faults.md).
const CARRIED: &str = r#"(module (func (export "run") (param i32) (result i32)
    (local.set 0 (i32.const 1))
    block $outer (result i32)
      local.get 0 local.get 0 i32.add
      local.get 0 local.get 0 i32.and
      block $inner
        local.get 0 br_if $inner
        i32.const 77 br $outer
      end
      local.get 0 i32.const 5 i32.add drop
      i32.add
    end))"#;

/// A user's module has no reference. Another engine computes its first calls too, and the `run`
/// record says what came of it.
#[test]
fn a_second_opinion_is_asked_and_recorded() {
    let directory = scratch("opinion");
    let fast = "--slots 1 --settle-ms 0 --dwell-ms 1 --format records --export run";
    let run = |name: &str, text: &str, more: &[&str]| {
        let file = directory.join(name);
        std::fs::write(&file, text).unwrap();
        let mut words = vec!["run", "--module", file.to_str().unwrap()];
        words.extend(fast.split(' ').chain(more.iter().copied()));
        let output = wramp(&words);
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let (code, records, said) = run("carried.wat", CARRIED, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(records.lines().next().unwrap().contains(" second_opinion=agrees "), "{records}");
    assert!(!said.contains("opinion"), "{said}");
    let (_, records, _) = run("carried.wat", CARRIED, &["--second-opinion", "off"]);
    assert!(records.lines().next().unwrap().contains(" second_opinion=off "), "{records}");

    let long = r#"(module (func (export "run") (result i32) (local i32)
        (loop (local.set 0 (i32.add (local.get 0) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get 0) (i32.const 3000000)))) (i32.const 1)))"#;
    let (code, records, said) = run("long.wat", long, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(records.lines().next().unwrap().contains(" second_opinion=none "), "{records}");
    assert!(said.contains("no second opinion: its first call takes more"), "{said}");
    let output = wramp(&[
        "run",
        "--workload",
        "add",
        "--slots",
        "1",
        "--settle-ms",
        "0",
        "--dwell-ms",
        "1",
        "--format",
        "records",
    ]);
    assert!(!stdout(&output).contains("second_opinion"), "a workload has a reference");
}

/// Two runs of one program on a host differ in every time, and that is no regression.
#[test]
fn a_host_is_judged_by_its_bytes_and_not_by_its_times() {
    let directory = scratch("compare-host");
    let base = String::from_utf8(support::read_golden("host.log")).unwrap();
    let ten_times_slower = |line: &str| {
        let words = line.split(' ').map(|word| match word.split_once("_us=") {
            Some((key, time)) if key.starts_with("latency") => {
                format!("{key}_us={:.3}", time.parse::<f64>().unwrap() * 10.0)
            }
            _ => word.to_owned(),
        });
        Some(words.collect::<Vec<_>>().join(" "))
    };
    let slow = edited(&base, ten_times_slower);
    assert_ne!(slow, base);
    let costly = edited(&slow, |line| Some(line.replace("cost_bytes=", "cost_bytes=9")));
    for (name, text) in [("base.log", &base), ("slow.log", &slow), ("costly.log", &costly)] {
        std::fs::write(directory.join(name), text).unwrap();
    }
    let compare = |new: &str, options: &[&str]| {
        let words = [&["compare", "base.log", new], options].concat();
        let output = support::wramp_in(directory.clone(), &words);
        (output.status.code(), stdout(&output))
    };
    let (code, said) = compare("slow.log", &[]);
    assert!(code == Some(0) && said.contains("--times judges them too"), "{said}");
    for options in [&["--times"][..], &["--tolerance", "latency=5%"]] {
        let (code, said) = compare("slow.log", options);
        assert!(code == Some(1) && said.contains("WORSE"), "{options:?}: {said}");
    }
    let (code, said) = compare("costly.log", &["--changed"]);
    assert!(code == Some(1) && said.contains("cost_bytes"), "{said}");
    assert!(!said.contains("latency") && !said.contains(" same\n"), "{said}");
    let (code, said) = compare("costly.log", &["--workload", "mem"]);
    assert!(code == Some(1) && said.contains(" mem ") && !said.contains(" cpu "), "{said}");
    let refused =
        support::wramp_in(directory, &["compare", "base.log", "slow.log", "--workload", "fib"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("no ramp of fib"), "{}", stderr(&refused));
}

/// A run of this machine says how busy the machine was with other things.
#[test]
fn a_run_says_how_loaded_its_machine_was() {
    let words = "run --workload add --slots 1 --settle-ms 0 --dwell-ms 1 --format records";
    let output = wramp(&words.split(' ').collect::<Vec<_>>());
    let text = stdout(&output);
    let run = text.lines().next().unwrap();
    for (key, file) in
        [("load_permille", "/proc/loadavg"), ("starved_permille", "/proc/thread-self/schedstat")]
    {
        let number = run.split(' ').find_map(|word| word.strip_prefix(&format!("{key}=")));
        let there = std::fs::read_to_string(file).is_ok();
        assert!(number.is_some() == there, "{run}");
        assert!(number.is_none_or(|number| number.parse::<u32>().is_ok()), "{run}");
    }
}

/// The peak has two rows: one that was held like any other, and one after the end. Each line fits
/// a terminal.
#[test]
fn the_second_row_of_a_peak_has_a_label_and_no_line_wraps() {
    let words = "run --workload cpu --slots 4 --step 4 --arena-bytes 64M --wasm-stack-bytes 64K \
                 --settle-ms 0 --dwell-ms 1";
    let output = wramp(&words.split_whitespace().collect::<Vec<_>>());
    let text = stdout(&output);
    assert_eq!(text.matches("  once more, after the next one was stopped:").count(), 1, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

/// Six logs are drawn so that each line can be told: a panel for each workload, no name over
/// another, and peaks of different size on an axis that shows both.
#[test]
fn many_logs_get_a_panel_for_each_workload() {
    let directory = scratch("many-logs");
    // The first log has one rung alone, the others have 24.
    let log = |number: u32| {
        let ramps = ["cpu", "mem", "state"].map(|workload| {
            let lines = support::ramp(&support::Shape { workload, ..support::PUBLISHED[0] });
            let later = |line: &&String| {
                number == 0 && line.contains(" step ") && !line.contains(" instances=1 ")
            };
            lines.iter().filter(|line| !later(line)).cloned().collect::<String>()
        });
        support::header("mps2/an385", 32) + &ramps.concat() + &support::done()
    };
    let logs: Vec<String> = (0..6)
        .map(|number| {
            let name = format!("{number}.log");
            std::fs::write(directory.join(&name), log(number)).unwrap();
            name
        })
        .collect();
    let names: Vec<&str> = logs.iter().map(|name| &**name).collect();
    let words = [&["plot"], &names[..], &["-o", "all.html"]].concat();
    let output = support::wramp_in(directory.clone(), &words);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = std::fs::read_to_string(directory.join("all.html")).unwrap();
    for workload in ["cpu", "mem", "state"] {
        let title = format!(">{workload}: arena in use, KiB<");
        let panel = page.split(&*title).nth(1).unwrap().split("</svg>").next().unwrap();
        assert!(panel.contains("on a logarithmic axis"), "{panel}");
        // One name for each log, in the legend alone.
        for letter in ["A", "B", "C", "D", "E", "F"] {
            assert_eq!(panel.matches(&format!(">{letter}<")).count(), 1, "{letter}: {panel}");
        }
    }
    assert!(page.contains("time of a call (log)"));
    // The pictures come before the 18 numbers.
    assert!(page.find("<svg").unwrap() < page.find("class=\"peaks\"").unwrap());
}
