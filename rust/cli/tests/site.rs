//! `wramp site`: every figure is the log's, every link leads somewhere, nothing is loaded.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use support::{scratch, stderr, stdout, wramp, wramp_in};
use wramp_core::report::Record;

fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results")
}

/// Makes the site of this repository's results.
fn made(name: &str) -> PathBuf {
    let site = scratch(&format!("site-{name}")).join("site");
    let words = [results().to_string_lossy().into_owned(), site.to_string_lossy().into_owned()];
    let output = wramp(&["site", &words[0], "-o", &words[1]]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    site
}

fn files(root: &Path, ending: &str) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The attributes of each tag of that name, and the text behind it.
fn tags(page: &str, name: &str) -> Vec<(BTreeMap<String, String>, String)> {
    let mut all = Vec::new();
    for (at, _) in page.match_indices(&format!("<{name} ")) {
        let rest = &page[at + name.len() + 2..];
        let end = rest.find('>').unwrap();
        let mut attributes = BTreeMap::new();
        let mut text = &rest[..end];
        while let Some((key, after)) = text.split_once("=\"") {
            let (value, after) = after.split_once('"').unwrap();
            let key = key.rsplit(' ').next().unwrap().to_owned();
            let value = value.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&");
            attributes.insert(key, value);
            text = after;
        }
        let shown = rest[end + 1..].split('<').next().unwrap_or("").to_owned();
        all.push((attributes, shown));
    }
    all
}

/// Where a link of a page leads, without what follows `#`.
fn target(page: &Path, link: &str) -> PathBuf {
    let path = page.parent().unwrap().join(link.split('#').next().unwrap());
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The value of a key in a log, read line by line and with the core's parser alone.
fn value_in(log: &str, workload: &str, key: &str) -> Vec<String> {
    let of = |line: &str, key: &str| {
        let word = line.split(' ').find_map(|word| word.strip_prefix(&format!("{key}=")));
        word.map(ToOwned::to_owned)
    };
    let lines: Vec<&str> = log
        .lines()
        .filter_map(|line| line.find("wramp ").map(|at| &line[at..]))
        .filter(|line| matches!(Record::parse(line), Ok(Some(_))))
        .filter(|line| of(line, "workload").as_deref() == Some(workload))
        .collect();
    let kind = |kind: &str| {
        let prefix = format!("wramp {kind} ");
        lines.iter().copied().filter(move |line| line.starts_with(&prefix)).collect::<Vec<_>>()
    };
    match key {
        "call_us" => {
            let first = kind("step")[0];
            ["latency_min_us", "latency_mean_us", "latency_p50_us"]
                .iter()
                .filter_map(|key| of(first, key))
                .collect()
        }
        // Of modules side by side it is that of the whole set.
        "cost_bytes" => {
            let both = [kind("end"), kind("predict")].concat();
            both.iter().filter_map(|line| of(line, key)).collect()
        }
        key => kind("end").iter().filter_map(|line| of(line, key)).collect(),
    }
}

#[test]
fn every_figure_is_the_logs_and_links_to_it() {
    let site = made("figures");
    let (mut judged, mut seen) = (0, BTreeSet::new());
    for page in files(&site, ".html") {
        let text = fs::read_to_string(&page).unwrap();
        for (attributes, shown) in tags(&text, "a") {
            if attributes.get("class").is_none_or(|class| class != "figure") {
                continue;
            }
            let log = target(&page, &attributes["href"]);
            let source = fs::read_to_string(&log).unwrap_or_else(|_| panic!("{}", log.display()));
            if let Some(key) = attributes.get("data-key") {
                let value = &attributes["data-value"];
                let found = value_in(&source, &attributes["data-workload"], key);
                assert!(found.contains(value), "{}: {key} {value} {found:?}", page.display());
                let [number, exact] =
                    [shown.replace(',', ""), value.clone()].map(|text| text.parse::<f64>());
                let (number, exact) = (number.unwrap(), exact.unwrap());
                // Microseconds are rounded to three figures or more.
                let slack = if key == "call_us" { exact * 0.005 } else { 0.0 };
                assert!((number - exact).abs() <= slack, "{shown} is not {value}");
                seen.insert(key.clone());
            } else if let Some(name) = attributes.get("data-figure") {
                let mut reader = csv::Reader::from_reader(source.as_bytes());
                let heads = reader.headers().unwrap().clone();
                let column = heads.iter().position(|head| head == attributes["data-engine"]);
                let row = reader.records().map(Result::unwrap).find(|row| &row[0] == name).unwrap();
                assert_eq!(row[column.unwrap()], attributes["data-value"]);
                assert_eq!(shown.replace(',', ""), attributes["data-value"]);
            } else {
                // RAM that a board's image leaves.
                let number = |key: &str| -> u32 {
                    let mut lines = source.lines().filter_map(|line| line.strip_prefix(key));
                    lines.next().unwrap().trim_start_matches(" = ").parse().unwrap()
                };
                let image = source.split("[image]").nth(1).unwrap();
                let taken: u32 = image
                    .lines()
                    .find_map(|line| line.strip_prefix("ram_bytes = "))
                    .unwrap()
                    .parse()
                    .unwrap();
                assert_eq!(shown.replace(',', ""), (number("ram_bytes") - taken).to_string());
            }
            judged += 1;
        }
    }
    assert!(judged > 400, "{judged} figures");
    for key in ["peak", "cost_bytes", "call_us", "predicted_peak", "calls", "errors"] {
        assert!(seen.contains(key), "no {key} among {seen:?}");
    }
}

#[test]
fn every_link_leads_to_a_file_of_the_site_and_nothing_is_loaded() {
    let site = made("links");
    let pages = files(&site, ".html");
    assert!(pages.len() >= 15, "{pages:?}");
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for word in ["src=", "@import", "url(", "http://", "https://", "//cdn", "fetch("] {
            let without_names = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!without_names.contains(word), "{} has {word}", page.display());
        }
        assert!(text.contains("default-src 'none'"), "{}", page.display());
        for (attributes, _) in tags(&text, "a") {
            let to = target(page, &attributes["href"]);
            assert!(to.is_file(), "{}: {:?} leads nowhere", page.display(), attributes["href"]);
            if let Some((_, name)) = attributes["href"].split_once('#') {
                let there = fs::read_to_string(&to).unwrap();
                assert!(there.contains(&format!("id=\"{name}\"")), "no {name} in {}", to.display());
            }
        }
        for (attributes, _) in tags(&text, "link") {
            assert_eq!(attributes["href"], "data:,", "{}", page.display());
        }
    }
    // Every log of the results is there, byte for byte.
    for log in files(&results(), "run.log") {
        let copy = site.join("logs").join(log.strip_prefix(results()).unwrap());
        assert_eq!(fs::read(&copy).unwrap(), fs::read(&log).unwrap(), "{}", copy.display());
    }
}

/// What somebody contributes is one directory. It is judged before it is published.
#[test]
fn a_log_that_cannot_be_trusted_is_refused_with_its_reason() {
    let directory = scratch("site-refused");
    let run = directory.join("results/some_board/2026-01-31-abc1234");
    fs::create_dir_all(&run).unwrap();
    let log = support::board("some/board", 32);
    let judge = |text: &str, machine: Option<&str>| {
        fs::write(run.join("run.log"), text).unwrap();
        let _ = fs::remove_file(run.join("machine.txt"));
        if let Some(machine) = machine {
            fs::write(run.join("machine.txt"), machine).unwrap();
        }
        let output = wramp_in(directory.clone(), &["site", "results", "--check"]);
        (output.status.code(), stdout(&output) + &stderr(&output))
    };
    let machine = "date: 2026-01-31T12:00:00Z\ncommand: wramp capture /dev/ttyACM0 --save\n";
    let (code, said) = judge(&log, Some(machine));
    assert_eq!((code, said.contains("1 logs are right")), (Some(0), true), "{said}");
    let half = &log[..log.len() / 2];
    let changed = log.replacen("peak=24", "peak=25", 1);
    assert_ne!(changed, log);
    let failed = support::rewritten(log.lines().last().unwrap());
    let failed = log.replace(log.lines().last().unwrap(), failed.trim_end());
    let failed = failed.lines().map(|line| {
        let bad = line.starts_with("wramp done ");
        if bad {
            support::rewritten(&line.replace("exit=0", "exit=1"))
        } else {
            format!("{line}\n")
        }
    });
    for (text, machine, words) in [
        (&*log, None, "machine.txt"),
        (half, Some(machine), "not done"),
        (&changed, Some(machine), "could not be read"),
        (&failed.collect::<String>(), Some(machine), "exit=1"),
    ] {
        let (code, said) = judge(text, machine);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words) && said.contains("some_board"), "{words}: {said}");
    }
}

/// A directory that holds something else is never emptied.
#[test]
fn only_a_site_is_replaced() {
    let directory = scratch("site-replaced");
    let log = support::board("some/board", 32);
    let run = directory.join("results/some_board/2026-01-31-<b>");
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("run.log"), log).unwrap();
    fs::write(run.join("machine.txt"), "cpu: <script>alert(1)</script>\n").unwrap();
    fs::create_dir_all(directory.join("mine")).unwrap();
    fs::write(directory.join("mine/thesis.txt"), "words").unwrap();
    let make = |to: &str| wramp_in(directory.clone(), &["site", "results", "-o", to]);
    let refused = make("mine");
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    assert!(directory.join("mine/thesis.txt").is_file());
    for _ in 0..2 {
        assert_eq!(make("site").status.code(), Some(0));
        fs::write(directory.join("site/old.html"), "").unwrap();
    }
    assert_eq!(make("site").status.code(), Some(0));
    assert!(!directory.join("site/old.html").exists());
    // What a log or a directory says is text, whatever it contains.
    let page = fs::read_to_string(directory.join("site/board/some_board.html")).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"), "{page}");
    assert!(!page.contains("<b>"), "{page}");
}
