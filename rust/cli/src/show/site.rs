//! The static site: the pages, and what they have in common.
//!
//! A page loads nothing: its style, its pictures and its one script are in it, and a content
//! security policy forbids the rest. Without the script, only the filters are gone. Each figure
//! links to the log that has it.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use wramp_core::report::Word;

use crate::model::board::{Board, Tier};
use crate::model::run_log::RampLog;
use crate::model::site::{EngineTable, Ran, Results, Saved};
use crate::show::chart;
use crate::show::log_charts::charts;
use crate::show::log_tables::{LogTable, engine, places};
use crate::show::number::{count, grouped};
use crate::show::table::CellStyle;

/// A file of the site.
pub struct Page {
    /// Its path in the site.
    pub path: String,
    /// Its text.
    pub text: String,
}

const STYLE: &str = include_str!("site.css");
const SCRIPT: &str = include_str!("site.js");

/// Workloads that have a column of the front page, where any run has them.
const FRONT: [&str; 4] = ["cpu", "state", "mem", "msg"];

/// A name as a part of a path.
#[must_use]
pub fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().map(plain).collect()
}

/// Where the log of a run is in the site.
#[must_use]
pub fn log_path(place: &str) -> String {
    format!("logs/{place}/run.log")
}

/// Every page.
#[must_use]
pub fn pages(results: &Results, boards: &[Board]) -> Vec<Page> {
    let mut all = vec![page(&Site { results, boards }, "index.html", front(results, boards))];
    let site = Site { results, boards };
    for board in results.boards() {
        let path = format!("board/{}.html", slug(&board));
        all.push(page(&site, &path, board_page(results, boards, &board)));
    }
    for workload in results.workloads() {
        let path = format!("workload/{}.html", slug(&workload));
        all.push(page(&site, &path, workload_page(results, &workload)));
    }
    if !results.engines.is_empty() {
        all.push(page(&site, "engines.html", engines_page(results)));
    }
    all
}

struct Site<'a> {
    results: &'a Results,
    boards: &'a [Board],
}

/// What a page says, and its title.
struct Body {
    title: String,
    lead: String,
    text: Markup,
}

fn page(site: &Site<'_>, path: &str, body: Body) -> Page {
    // Links are relative, so that the site works from any directory and from a disk.
    let up = "../".repeat(path.matches('/').count());
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
                title { (body.title) " · wramp" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) (PreEscaped(chart::style())) }
            }
            body {
                header { nav {
                    a.home href={ (up) "index.html" } { "wramp" }
                    a href={ (up) "index.html#boards" } { "Boards" }
                    a href={ (up) "index.html#workloads" } { "Workloads" }
                    @if !site.results.engines.is_empty() { a href={ (up) "engines.html" } { "Engines" } }
                } }
                main {
                    h1 { (body.title) }
                    p.lead { (body.lead) }
                    (body.text)
                }
                footer { p {
                    "Made from " (count(site.results.runs.len())) " logs and " (count(site.boards.len()))
                    " boards of the catalogue by wramp " (env!("CARGO_PKG_VERSION")) ". Each figure links to the log that has it."
                } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    // Every link of a body is written as from the root.
    let text = text.into_string().replace("href=\"/", &format!("href=\"{up}"));
    Page { path: path.to_owned(), text: format!("{text}\n") }
}

/// A figure of a run, with a link to its log.
fn figure(saved: &Saved, ramp: &RampLog, key: &str, value: &str, style: CellStyle) -> Markup {
    html! {
        a.figure href={ "/" (log_path(&saved.place)) } data-workload=(ramp.workload) data-key=(key)
            data-value=(value) { (style.write(value)) }
    }
}

fn tier(ran: Ran) -> Markup {
    html! { span.tier.(ran.as_str()) title=(ran.says()) { (ran.as_str()) } }
}

fn catalogue_tier(tier: Tier) -> (&'static str, &'static str) {
    match tier {
        Tier::Executed => ("linked", "linked and executed"),
        Tier::Linked => ("linked", "linked, never executed"),
        Tier::Computed => ("computed", "computed from a data sheet, never linked"),
    }
}

fn board_link(board: &str) -> Markup {
    html! { a href={ "/board/" (slug(board)) ".html" } { (board) } }
}

fn workload_link(workload: &str) -> Markup {
    html! { a href={ "/workload/" (slug(workload)) ".html" } { (Word(workload).readable()) } }
}

fn ramp_of<'a>(saved: &'a Saved, workload: &str) -> Option<&'a RampLog> {
    saved.run().ramps.iter().find(|ramp| ramp.workload == workload && ramp.end.is_some())
}

/// How many fit, and what stopped the next one.
fn peak(saved: &Saved, ramp: &RampLog) -> Markup {
    let limit = ramp.end.as_ref().map(|end| end.get().limit.to_string());
    html! { span {
        (figure(saved, ramp, "peak", &ramp.peak().to_string(), CellStyle::Number))
        @if let Some(limit) = limit { " " small { (limit) } }
    } }
}

/// The front page: boards by what fits.
fn front(results: &Results, boards: &[Board]) -> Body {
    let shown: Vec<&Saved> = results.newest().collect();
    let known = results.workloads();
    let columns: Vec<&str> =
        FRONT.into_iter().filter(|name| known.iter().any(|known| known == name)).collect();
    let ran = results.boards();
    let text = html! {
        form.filters hidden {
            label { "Find " input type="search" name="words" placeholder="board, preset, engine"; }
            label { "Tier " select name="tier" {
                option value="" { "all" }
                @for word in ["board", "emulator", "host", "linked", "computed"] { option value=(word) { (word) } }
            } }
            label { "At least " input type="number" name="least" min="0" step="1" size="6"; }
            label { "of " select name="workload" {
                @for name in &columns { option value=(name) { (name) } }
            } }
            output {}
        }
        h2 #boards { "What fits on each board" }
        p { "The number says how many instances ran together with every result right. Beside it is what stopped the next one. The times of an emulator count instructions." }
        div.scroll tabindex="0" role="region" aria-label="What fits on each board" { table.rows {
            thead { tr {
                th.word { "board" } th.word { "preset" } th.word { "tier" } th.word { "date" }
                @for name in &columns { th { (workload_link(name)) } }
                th { "bytes a cpu instance" } th { "us a cpu call" }
            } }
            tbody {
                @for saved in shown { (front_row(saved, &columns)) }
            }
        } }
        h2 #catalogue { "Boards that were linked, or computed" }
        p { "Nothing ran on these. The figure is the RAM that the image leaves for the arena and the slots: " code { "wramp fit --board BOARD" } " says what fits in it." }
        div.scroll tabindex="0" role="region" aria-label="Boards of the catalogue" { table.rows {
            thead { tr { th.word { "board" } th.word { "name" } th.word { "core" } th.word { "tier" } th.word { "date" } th { "RAM" } th { "left" } } }
            tbody { @for board in boards.iter().filter(|board| !ran.contains(&board.board)) { (catalogue_row(board)) } }
        } }
        h2 #workloads { "Workloads" }
        ul.links { @for name in &known { li {
            (workload_link(name))
            @if let Some(workload) = wramp_workloads::find(name) { " — " (workload.summary) }
        } } }
        h2 #yours { "Your board" }
        p { "Run it, keep its log, and send that one directory as a pull request:" }
        pre { "west wramp run -b BOARD\nwest wramp capture /dev/ttyACM0 --save" }
        p { "Each line of a log ends in a checksum, and machine.txt beside it says what it ran on. docs/contribute-a-board.md has each step." }
    };
    Body {
        title: "How many isolated WebAssembly instances fit?".into(),
        lead: "On a microcontroller, with every result checked, and what stops the next one."
            .into(),
        text,
    }
}

fn front_row(saved: &Saved, columns: &[&str]) -> Markup {
    let board = saved.board();
    let header = saved.run().header.as_ref().map(|header| header.get());
    let engine = header.map_or(String::new(), |header| engine(&header));
    let cpu = ramp_of(saved, "cpu");
    let peaks = columns
        .iter()
        .filter_map(|name| ramp_of(saved, name).map(|ramp| format!("{name}={}", ramp.peak())));
    html! {
        tr data-words=(format!("{board} {} {engine}", saved.preset)) data-tier=(saved.ran.as_str())
            data-peaks=(peaks.collect::<Vec<_>>().join(" ")) {
            td.word data-head="board" { (board_link(&board)) }
            td.word data-head="preset" { a href={ "/" (log_path(&saved.place)) } { (saved.preset) } }
            td.word data-head="tier" { (tier(saved.ran)) }
            td.word data-head="date" { (saved.date) }
            @for name in columns { @match ramp_of(saved, name) {
                Some(ramp) => td data-head=(name) { (peak(saved, ramp)) },
                None => td.none data-head=(name) { "-" },
            } }
            td data-head="bytes a cpu instance" {
                @match cpu.and_then(|ramp| Some((ramp, ramp.cost_bytes()?))) {
                    Some((ramp, bytes)) => (figure(saved, ramp, "cost_bytes", bytes, CellStyle::Number)),
                    None => "-",
                }
            }
            td data-head="us a cpu call" { (call(saved, cpu)) }
        }
    }
}

/// The time of a call that has the CPU to itself.
fn call(saved: &Saved, ramp: Option<&RampLog>) -> Markup {
    html! {
        @match ramp.and_then(|ramp| Some((ramp, ramp.call_time()?))) {
            Some((ramp, call)) => {
                (figure(saved, ramp, "call_us", call.text, CellStyle::Micros))
                @if call.is_median { span title="an older log without the mean: the median" { "*" } }
            }
            None => "-",
        }
    }
}

/// Where the description of a catalogue's board is in the site.
#[must_use]
pub fn catalogue_path(board: &str) -> String {
    format!("catalogue/{}.toml", slug(board))
}

fn catalogue_row(board: &Board) -> Markup {
    let (word, says) = catalogue_tier(board.tier);
    let left = board.ram_bytes.saturating_sub(board.image.ram_bytes);
    html! {
        tr data-words={ (board.board) " " (board.name) " " (board.cpu) } data-tier=(word) data-peaks="" {
            td.word data-head="board" { (board.board) }
            td.word data-head="name" { (board.name) }
            td.word data-head="core" { (board.cpu) }
            td.word data-head="tier" { span.tier.(word) title=(says) { (word) } }
            td.word data-head="date" { (board.image.date) }
            td data-head="RAM" { (count(board.ram_bytes)) }
            td data-head="left" { a.figure href={ "/" (catalogue_path(&board.board)) } { (count(left)) } }
        }
    }
}

/// Everything of one board.
fn board_page(results: &Results, boards: &[Board], board: &str) -> Body {
    let own: Vec<&Saved> = results.runs.iter().filter(|saved| saved.board() == board).collect();
    let entry = boards.iter().find(|entry| entry.board == board);
    let ran = own.first().map_or(Ran::Host, |saved| saved.ran);
    let text = html! {
        p { (tier(ran)) " " (ran.says()) "." }
        @if let Some(entry) = entry { p {
            (entry.name) ", " (entry.cpu) ", " (count(entry.ram_bytes)) " bytes of RAM; the image leaves "
            a.figure href={ "/" (catalogue_path(board)) } { (count(entry.ram_bytes.saturating_sub(entry.image.ram_bytes))) }
            " of them."
        } }
        @for saved in own.iter().filter(|saved| !saved.is_study) { (run_section(saved)) }
        @if own.iter().any(|saved| saved.is_study) {
            h2 { "Build switches" }
            div.scroll tabindex="0" role="region" aria-label="Build switches" { table.rows {
                thead { tr { th.word { "build" } th { "cpu" } th { "bytes each" } th { "us a call" } } }
                tbody { @for saved in own.iter().filter(|saved| saved.is_study) { (study_row(saved)) } }
            } }
        }
    };
    Body {
        title: board.to_owned(),
        lead: if own.len() == 1 { "1 log".into() } else { format!("{} logs", count(own.len())) },
        text,
    }
}

fn study_row(saved: &Saved) -> Markup {
    let cpu = ramp_of(saved, "cpu").or(saved.run().ramps.first());
    html! { tr {
        td.word data-head="build" { a href={ "/" (log_path(&saved.place)) } { (saved.preset) } }
        td data-head="cpu" { @match cpu { Some(ramp) => (peak(saved, ramp)), None => "-" } }
        td data-head="bytes each" { @match cpu.and_then(|ramp| Some((ramp, ramp.cost_bytes()?))) {
            Some((ramp, bytes)) => (figure(saved, ramp, "cost_bytes", bytes, CellStyle::Number)),
            None => "-",
        } }
        td data-head="us a call" { (call(saved, cpu)) }
    } }
}

fn run_section(saved: &Saved) -> Markup {
    let run = saved.run();
    let header = run.header.as_ref().map(|header| header.get());
    let logs = [saved.log.clone()];
    html! {
        section.card {
            h2 { (saved.preset) " " small { (saved.date) } }
            @if let Some(header) = header { p {
                (engine(&header)) ", " (header.pointer_bits) " bits, arena " (grouped(&header.arena_bytes.to_string()))
                " B, " (places(&header)) "."
            } }
            p.files {
                a href={ "/" (log_path(&saved.place)) } { "run.log" } " · "
                a href={ "/logs/" (saved.place) "/machine.txt" } { "machine.txt" }
            }
            div.scroll tabindex="0" role="region" aria-label={ "What fits with " (saved.preset) } { table.rows {
                thead { tr { th.word { "workload" } th { "peak" } th { "predicted" } th { "bytes each" } th { "us a call" } th { "calls" } th { "errors" } th { "fairness" } } }
                tbody { @for ramp in run.ramps.iter().filter(|ramp| ramp.end.is_some()) { (ramp_row(saved, ramp)) } }
            } }
            details { summary { "Pictures and parts of an instance" }
                div.charts { @for chart in charts(&logs) { div { (chart.inline()) } } }
                (LogTable::Parts.of(&logs).html())
            }
            details { summary { "The machine" } pre { (saved.machine.trim_end()) } }
        }
    }
}

fn ramp_row(saved: &Saved, ramp: &RampLog) -> Markup {
    let end = |key: &str, style| {
        let value = ramp.end.as_ref().and_then(|end| end.value(key));
        html! { @match value { Some(value) => (figure(saved, ramp, key, value, style)), None => "-" } }
    };
    html! { tr {
        td.word data-head="workload" { (workload_link(&ramp.workload)) }
        td data-head="peak" { (peak(saved, ramp)) }
        td data-head="predicted" { (end("predicted_peak", CellStyle::Number)) }
        td data-head="bytes each" { @match ramp.cost_bytes() {
            Some(bytes) => (figure(saved, ramp, "cost_bytes", bytes, CellStyle::Number)),
            None => "-",
        } }
        td data-head="us a call" { (call(saved, Some(ramp))) }
        td data-head="calls" { (end("calls", CellStyle::Number)) }
        td data-head="errors" { (end("errors", CellStyle::Number)) }
        td data-head="fairness" { (end("fairness", CellStyle::Number)) }
    } }
}

/// One workload on every board.
fn workload_page(results: &Results, workload: &str) -> Body {
    let mut rows: Vec<(&Saved, &RampLog)> =
        results.newest().filter_map(|saved| Some((saved, ramp_of(saved, workload)?))).collect();
    rows.sort_by_key(|(_, ramp)| std::cmp::Reverse(ramp.peak()));
    let most = rows.first().map_or(1, |(_, ramp)| ramp.peak()).max(1);
    // Peaks differ by orders of magnitude, so a bar's length is the logarithm.
    let length = |peak: u32| 100.0 * f64::from(peak + 1).ln() / f64::from(most + 1).ln();
    let built_in = wramp_workloads::find(workload);
    let text = html! {
        @if let Some(built_in) = built_in {
            p { "Its module has " (count(built_in.wasm.len())) " bytes. An instance has "
                @if built_in.memory_bytes == 0 { "no linear memory." }
                @else { (count(built_in.memory_bytes)) " bytes of linear memory." } }
        }
        p { "The length of a bar is the logarithm of the number." }
        div.scroll tabindex="0" role="region" aria-label="Every board" { table.rows {
            thead { tr { th.word { "board" } th.word { "preset" } th.word { "tier" } th.word { "date" } th { "peak" } th.word.bar {} th { "bytes each" } th { "us a call" } } }
            tbody { @for (saved, ramp) in &rows { tr {
                td.word data-head="board" { (board_link(&saved.board())) }
                td.word data-head="preset" { a href={ "/" (log_path(&saved.place)) } { (saved.preset) } }
                td.word data-head="tier" { (tier(saved.ran)) }
                td.word data-head="date" { (saved.date) }
                td data-head="peak" { (peak(saved, ramp)) }
                td.word.bar { div.(saved.ran.as_str()) style={ "width:" (format!("{:.1}", length(ramp.peak()))) "%" } {} }
                td data-head="bytes each" { @match ramp.cost_bytes() {
                    Some(bytes) => (figure(saved, ramp, "cost_bytes", bytes, CellStyle::Number)),
                    None => "-",
                } }
                td data-head="us a call" { (call(saved, Some(ramp))) }
            } } }
        } }
    };
    Body {
        title: Word(workload).readable().to_string(),
        lead: built_in
            .map_or("a module of a user".to_owned(), |built_in| built_in.summary.to_owned()),
        text,
    }
}

/// Engine against engine.
fn engines_page(results: &Results) -> Body {
    let text = html! { @for table in &results.engines { (engines_section(table)) } };
    Body {
        title: "Engine against engine".into(),
        lead: "The same modules, the same arena and the same checks, on one machine.".into(),
        text,
    }
}

fn engines_section(table: &EngineTable) -> Markup {
    let path = format!("/logs/{}/engines.csv", table.place);
    html! { section.card {
        h2 { (table.place.rsplit('/').next().unwrap_or(&table.place)) }
        p.files { a href=(path) { "engines.csv" } " · " a href={ "/logs/" (table.place) "/machine.txt" } { "machine.txt" } }
        @for line in table.machine.lines().filter(|line| ["machine", "load", "native"].iter().any(|key| line.starts_with(&format!("{key}:")))) { p { (line) } }
        div.scroll tabindex="0" role="region" aria-label="Engines" { table.rows {
            thead { tr { th.word { "figure" } @for name in &table.engines { th { (name) } } } }
            tbody { @for (name, values) in &table.rows { tr {
                td.word data-head="figure" { (name) }
                @for (engine, value) in table.engines.iter().zip(values) { td data-head=(engine) {
                    @if value.is_empty() { "-" } @else { a.figure href=(path) data-figure=(name) data-engine=(engine) data-value=(value) { (grouped_or(value)) } }
                } }
            } } }
        } }
    } }
}

/// A number with separators; anything else as it is.
fn grouped_or(text: &str) -> String {
    if text.parse::<f64>().is_ok() { grouped(text) } else { text.to_owned() }
}
