//! The headings of a plot, and the self-contained HTML page with its pictures and tables.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::model::log::Log;
use crate::model::run_log::RunLog;
use crate::show::chart::{self, Chart};
use crate::show::log_charts::{letter, stacks};
use crate::show::log_tables::{ALL, engine, places};
use crate::show::number::grouped;
use crate::show::table::{CellStyle, Table};

/// The answer in a line: how many fit.
#[must_use]
pub fn heading(logs: &[Log]) -> String {
    let ramps: Vec<String> = logs
        .iter()
        .filter_map(Log::best)
        .flat_map(|run| &run.ramps)
        .map(|ramp| format!("{} {}", ramp.peak(), ramp.name()))
        .collect();
    if logs.len() > 1 || ramps.len() > 6 {
        format!("How many fit: {} runs", logs.len())
    } else {
        format!("How many fit: {}", ramps.join(", "))
    }
}

fn machine(run: &RunLog) -> Option<String> {
    let header = run.header.as_ref()?.get();
    Some(format!(
        "{} ({}, {} bits, {} cores), {}, arena {} B, {}",
        header.board.readable(),
        header.os.readable(),
        header.pointer_bits,
        header.cores,
        engine(&header),
        grouped(&header.arena_bytes.to_string()),
        places(&header),
    ))
}

/// The machine of one log, or the names of several.
#[must_use]
pub fn subtitle(logs: &[Log]) -> String {
    match logs {
        [log] => log.best().and_then(machine).unwrap_or_else(|| log.name.clone()),
        _ => {
            let named = |(number, log): (usize, &Log)| format!("{}: {}", letter(number), log.name);
            logs.iter().enumerate().map(named).collect::<Vec<_>>().join(" · ")
        }
    }
}

const PAGE: &str = "\
:root{color-scheme:light dark;--paper:#f4f6f8;--card:#fff;--ink:#1a1f26;--soft:#596371;--edge:#dde2e8;--warn:#8a4b00;--warn-paper:#fff4e0}\
@media (prefers-color-scheme:dark){:root{--paper:#0d1015;--card:#14181e;--ink:#e9edf2;--soft:#9eabbb;--edge:#2b333d;--warn:#ffc67a;--warn-paper:#2a2114}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\
main{max-width:1180px;margin:0 auto;padding:28px 16px 48px}\
h1{font-size:clamp(1.4rem,4vw,2rem);line-height:1.2;margin:0 0 .3rem}\
h2{font-size:1.15rem;margin:2.2rem 0 .7rem}\
p{margin:.2rem 0;color:var(--soft);overflow-wrap:anywhere}\
.peaks{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(10.5rem,45%),1fr));gap:12px;margin:20px 0}\
.peak,.card,.remarks{background:var(--card);border:1px solid var(--edge);border-radius:12px}\
.peak{padding:14px 16px}.peak b{display:block;font-size:2.4rem;line-height:1.1;font-variant-numeric:tabular-nums}\
.peak span{color:var(--soft);font-size:.9rem}.peak .name{color:var(--ink);font-weight:600;overflow-wrap:anywhere}\
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(460px,100%),1fr));gap:14px}\
.card{padding:4px;overflow:hidden}.wide{margin:0 0 14px;overflow-x:auto}.wide .chart{min-width:640px}.chart{display:block;width:100%;height:auto}\
.remarks{background:var(--warn-paper);color:var(--warn);padding:10px 16px;margin:16px 0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.9rem}\
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--edge);border-radius:12px;margin:0 0 14px;max-height:70vh}\
table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}\
caption{text-align:left;padding:12px 14px 6px;font-weight:600;position:sticky;left:0;white-space:normal;max-width:calc(100vw - 48px)}\
th,td{padding:5px 12px;white-space:nowrap;text-align:right}\
.word{text-align:left}th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--edge);position:sticky;top:0;background:var(--card)}\
tbody tr:nth-child(even){background:color-mix(in srgb,var(--edge) 35%,transparent)}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:0;padding:6px 16px 14px;font-size:.875rem}\
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
details.card{padding:0;margin:0 0 14px}summary{padding:12px 16px;cursor:pointer;font-weight:600}\
";

/// The page. It loads nothing from anywhere.
#[must_use]
pub fn page(logs: &[Log], charts: &[Chart]) -> String {
    let heading = heading(logs);
    // On a phone many peaks would stand before the first picture.
    let is_long = logs.iter().filter_map(Log::best).map(|run| run.ramps.len()).sum::<usize>() > 6;
    let tables: Vec<Table> =
        ALL.iter().map(|which| which.of(logs)).filter(|table| !table.rows.is_empty()).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                title { (heading) }
                link rel="icon" href="data:,";
                style { (PreEscaped(PAGE)) (PreEscaped(chart::style())) }
            }
            body { main {
                h1 { (heading) }
                p { (subtitle(logs)) }
                @for log in logs { @for remark in log.remarks() {
                    div.remarks role="note" { (log.name) ": " (remark) }
                } }
                @if !is_long { (peaks(logs)) }
                @if let Some(stacks) = stacks(logs) { div.card.wide { (stacks.inline()) } }
                div.charts { @for chart in charts { div.card { (chart.inline()) } } }
                @if is_long { (peaks(logs)) }
                h2 { "Tables" }
                @for table in &tables { (table.html()) }
                h2 { "Machine and knobs" }
                @for log in logs { (knobs(log)) }
                p { "Made by wramp " (env!("CARGO_PKG_VERSION")) " plot, from " (names(logs)) "." }
            } }
        }
    };
    format!("{}\n", page.into_string())
}

/// The names of all logs.
#[must_use]
pub fn names(logs: &[Log]) -> String {
    logs.iter().map(|log| &*log.name).collect::<Vec<_>>().join(", ")
}

fn peaks(logs: &[Log]) -> Markup {
    html! {
        div.peaks { @for (number, log) in logs.iter().enumerate() { @for ramp in log.best().map_or(&[][..], |run| &run.ramps) {
            div.peak {
                span.name { @if logs.len() > 1 { (letter(number)) " " } (ramp.name()) }
                b { (grouped(&ramp.peak().to_string())) }
                span { @match &ramp.end {
                    Some(end) => {
                        "limit: " (end.get().limit)
                        @if let Some(cost) = end.get().cost_bytes {
                            br; (grouped(&cost.to_string())) " bytes each"
                        }
                    },
                    None => "unfinished",
                } }
            }
        } } }
    }
}

fn knobs(log: &Log) -> Markup {
    let header = log.best().and_then(|run| run.header.as_ref());
    html! { @if let Some(header) = header {
        details.card open[false] {
            summary { "The run record of " (log.name) }
            dl { @for (key, value) in header.line().split(' ').filter_map(|word| word.split_once('=')) {
                @if key != "crc" { dt { (key) } dd { (CellStyle::Name.write(value)) } }
            } }
        }
    } }
}
