//! `wramp plot`: logs as pictures, SVG, PNG or one self-contained HTML page.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use resvg::{tiny_skia, usvg};

use crate::chart::{self, Chart, Series, Stacks, Stroke, Unit};
use crate::log::{Log, Ramp, RunLog};
use crate::table::{self, grouped, open_all};
use crate::{Outcome, Problem, print, save};

/// Options of `wramp plot`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp plot run.log -o ramp.svg
  wramp plot results/linux/2026-01-31-1a2b3c4 -o ramp.png
  wramp plot published/run.log fast/run.log --parts --workload cpu -o bytes.svg
  wramp plot old.log new.log -o ramp.html      one page with all pictures and tables; no network
  wramp run --format records | wramp plot - -o - > ramp.svg")]
pub struct PlotArgs {
    /// Logs: a file, - for stdin, or the directory of a saved run
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<String>,
    /// The picture: .svg, .png or .html; - writes SVG to stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: String,
    /// Only what the bytes of one instance are for, one bar a log and workload (the HTML page
    /// has it among the others)
    #[arg(long)]
    pub parts: bool,
    /// Only this workload (may be given again; all)
    #[arg(long, value_name = "NAME")]
    pub workload: Vec<String>,
    /// Pixels of a PNG for each unit of the SVG
    #[arg(long, default_value_t = 2.0, value_parser = scale)]
    pub scale: f32,
}

fn scale(text: &str) -> Result<f32, String> {
    let scale: f32 = text.parse().map_err(|_| "a number from 0.1 to 10".to_owned())?;
    if (0.1..=10.0).contains(&scale) { Ok(scale) } else { Err("from 0.1 to 10".into()) }
}

/// A ramp with what it takes to draw it.
struct Drawn<'l> {
    name: String,
    colour: usize,
    arena: Option<u32>,
    ramp: &'l Ramp,
}

/// What a log is called in a chart where there is more than one: A, B, ... Z, A1, ...
fn letter(number: usize) -> String {
    let letter = char::from(b'A' + (number % 26) as u8);
    if number < 26 { letter.into() } else { format!("{letter}{}", number / 26) }
}

/// Of several samples with as many instances the newest counts.
fn curve(ramp: &Ramp, key: &str, of: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for step in ramp.steps.iter() {
        let x = f64::from(step.get().instances);
        let Some(y) = step.value(key).and_then(|text| text.parse().ok()).map(&of) else { continue };
        match points.last_mut() {
            Some(last) if last.0 == x => last.1 = y,
            _ => points.push((x, y)),
        }
    }
    points
}

fn ramps(logs: &[Log]) -> Vec<Drawn<'_>> {
    let mut all = Vec::new();
    for (number, log) in logs.iter().enumerate() {
        let Some(run) = log.best() else { continue };
        let arena = run.header.as_ref().map(|header| header.get().arena_bytes.0);
        for ramp in run.ramps.iter().filter(|ramp| !ramp.steps.is_empty()) {
            let workload = &ramp.workload;
            let name = match logs {
                [_] => workload.clone(),
                _ => format!("{} {workload}", letter(number)),
            };
            all.push(Drawn { name, colour: all.len(), arena, ramp });
        }
    }
    all
}

/// Every chart that these logs have figures for.
#[must_use]
pub fn charts(logs: &[Log]) -> Vec<Chart> {
    let all = ramps(logs);
    let series = |drawn: &Drawn<'_>, points| Series {
        name: drawn.name.clone(),
        colour: drawn.colour,
        stroke: Stroke::Solid,
        points,
    };
    let mut arenas: Vec<u32> = all.iter().filter_map(|drawn| drawn.arena).collect();
    arenas.sort_unstable();
    arenas.dedup();
    let arena = Chart {
        title: "Arena in use, KiB".into(),
        across: "instances",
        unit: Unit::Bytes,
        bars: false,
        series: all
            .iter()
            .filter_map(|drawn| {
                let arena = f64::from(drawn.arena?);
                let mut points = curve(drawn.ramp, "arena_free_bytes", |free| arena - free);
                if let Some(load) = drawn.ramp.loads.last() {
                    points.insert(0, (0.0, arena - f64::from(load.get().arena_free_bytes.0)));
                }
                Some(series(drawn, points))
            })
            .collect(),
        ceilings: arenas
            .iter()
            .map(|&bytes| {
                let text = if bytes.is_multiple_of(1024) {
                    format!("arena: {} KiB", grouped(&(bytes / 1024).to_string()))
                } else {
                    format!("arena: {} B", grouped(&bytes.to_string()))
                };
                (f64::from(bytes), text)
            })
            .collect(),
    };
    let cpu = Chart {
        title: "CPU in use of all cores, %".into(),
        across: "instances",
        unit: Unit::Percent,
        bars: false,
        series: all
            .iter()
            .map(|drawn| series(drawn, curve(drawn.ramp, "cpu_permille", |cpu| cpu / 10.0)))
            .filter(|series| !series.points.is_empty())
            .collect(),
        ceilings: Vec::new(),
    };
    let mut charts = vec![arena, cpu];
    for drawn in &all {
        charts.push(latency(drawn));
        charts.push(calls(drawn));
    }
    charts.retain(|chart| !chart.is_empty());
    charts
}

fn latency(drawn: &Drawn<'_>) -> Chart {
    const STROKES: [(&str, Stroke); 3] =
        [("p50", Stroke::Solid), ("p99", Stroke::Dashed), ("max", Stroke::Dotted)];
    let of = |what: &str, colour: usize| {
        let series = STROKES.map(|(name, stroke)| Series {
            name: name.into(),
            colour,
            stroke,
            points: curve(drawn.ramp, &format!("{what}_{name}_us"), |micros| micros),
        });
        series.into_iter().filter(|series| !series.points.is_empty()).collect::<Vec<_>>()
    };
    let mut series = of("latency", drawn.colour);
    // Of a pool: what an instance waits for its turn comes on top of its call.
    let turnaround = of("turnaround", drawn.colour + 1);
    let waits = !turnaround.is_empty();
    if waits {
        for series in &mut series {
            series.name = format!("call {}", series.name);
        }
    }
    series.extend(turnaround.into_iter().map(|series| {
        let name = format!("turnaround {}", series.name);
        Series { name, ..series }
    }));
    Chart {
        title: if waits {
            format!("{}: time of a call, and from call to call", drawn.name)
        } else {
            format!("{}: time of a call", drawn.name)
        },
        across: "instances",
        unit: Unit::Micros,
        bars: false,
        series,
        ceilings: Vec::new(),
    }
}

/// Parts in the order in which they are drawn, the largest of the published build first. Three
/// tables of a few bytes each are one, so that every part has a colour of its own.
const PARTS: [(&str, &[&str]); 8] = [
    ("interpreter stack", &["wasm-stack"]),
    ("block cache", &["block-cache"]),
    ("module instance", &["module-instance", "instance"]),
    ("environment", &["environment"]),
    ("argument buffer", &["argument-buffer"]),
    ("linear memory", &["linear-memory", "memory"]),
    ("tables and globals", &["function-table", "export-table", "globals"]),
    ("allocator and other", &[]),
];

/// What the bytes of one instance are for, a row each log and workload; `None` where no log
/// says.
#[must_use]
pub fn stacks(logs: &[Log]) -> Option<Stacks> {
    let mut rows = Vec::new();
    let all = |log: &Log| {
        let ramps = log.best().map_or(&[][..], |run| &run.ramps);
        ramps.iter().flat_map(table::parts).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let mut workloads: Vec<String> = logs.iter().flat_map(all).collect();
    workloads.sort();
    workloads.dedup();
    for log in logs {
        for (workload, parts) in
            log.best().map_or(&[][..], |run| &run.ramps).iter().flat_map(table::parts)
        {
            let mut bytes = vec![0; PARTS.len()];
            for (part, own) in parts {
                let place = PARTS.iter().position(|(_, names)| names.contains(&part));
                bytes[place.unwrap_or(PARTS.len() - 1)] += own;
            }
            let run = log.name.rsplit('/').next().unwrap_or(&log.name).trim_end_matches(".log");
            let name = match (logs.len(), workloads.len()) {
                (1, _) => workload.to_owned(),
                (_, 1) => run.to_owned(),
                _ => format!("{run}: {workload}"),
            };
            rows.push((name, bytes));
        }
    }
    let used = |part: &usize| rows.iter().any(|(_, bytes)| bytes[*part] > 0);
    let kept: Vec<usize> = (0..PARTS.len()).filter(used).collect();
    for (_, bytes) in &mut rows {
        *bytes = kept.iter().map(|&part| bytes[part]).collect();
    }
    let of = if let [only] = workloads.as_slice() { format!(" {only}") } else { String::new() };
    (!rows.is_empty()).then(|| Stacks {
        title: format!("Bytes of one{of} instance"),
        parts: kept.iter().map(|&part| PARTS[part].0.to_owned()).collect(),
        rows,
    })
}

fn calls(drawn: &Drawn<'_>) -> Chart {
    let mut series: Vec<Series> = Vec::new();
    for instance in drawn.ramp.instances.iter() {
        let record = instance.get();
        let own = record.workload.0;
        let point = (f64::from(record.id), f64::from(record.calls));
        match series.iter_mut().find(|series| series.name == own) {
            Some(series) => series.points.push(point),
            None => series.push(Series {
                name: own.into(),
                colour: drawn.colour + series.len(),
                stroke: Stroke::Solid,
                points: vec![point],
            }),
        }
    }
    if let [only] = series.as_mut_slice() {
        only.name.clear(); // The title says it.
    }
    Chart {
        title: format!("{}: calls of each instance", drawn.name),
        across: "instance, in the order of their start",
        unit: Unit::Count,
        bars: true,
        series,
        ceilings: Vec::new(),
    }
}

fn heading(logs: &[Log]) -> String {
    let ramps: Vec<String> = logs
        .iter()
        .filter_map(Log::best)
        .flat_map(|run| &run.ramps)
        .map(|ramp| format!("{} {}", ramp.peak(), ramp.workload))
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
        "{} ({}, {} bits, {} cores), {} {} {}, arena {} B, {}",
        header.board.0,
        header.os.0,
        header.pointer_bits,
        header.cores,
        header.runtime.0,
        header.runtime_version.0,
        header.interpreter.0,
        grouped(&header.arena_bytes.to_string()),
        table::places(&header),
    ))
}

fn subtitle(logs: &[Log]) -> String {
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

/// The page: nothing in it comes from elsewhere.
#[must_use]
pub fn page(logs: &[Log], charts: &[Chart]) -> String {
    let heading = heading(logs);
    let tables: Vec<table::Table> = table::ALL
        .iter()
        .map(|which| which.of(logs))
        .filter(|table| !table.rows.is_empty())
        .collect();
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
                (peaks(logs))
                @if let Some(stacks) = stacks(logs) { div.card.wide { (stacks.inline()) } }
                div.charts { @for chart in charts { div.card { (chart.inline()) } } }
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

fn names(logs: &[Log]) -> String {
    logs.iter().map(|log| &*log.name).collect::<Vec<_>>().join(", ")
}

fn peaks(logs: &[Log]) -> Markup {
    html! {
        div.peaks { @for (number, log) in logs.iter().enumerate() { @for ramp in log.best().map_or(&[][..], |run| &run.ramps) {
            div.peak {
                span.name { @if logs.len() > 1 { (letter(number)) " " } (ramp.workload) }
                b { (ramp.peak()) }
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
                @if key != "crc" { dt { (key) } dd { (value) } }
            } }
        }
    } }
}

/// The sheet as a PNG. Its letters come with the program: a machine without fonts
/// draws the same picture.
fn png(svg: &str, scale: f32) -> Result<Vec<u8>, Problem> {
    let failed = |what: &str| Problem::new(format!("cannot draw the PNG: {what}"));
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = usvg::Options {
        font_family: "DejaVu Sans".into(),
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| failed(&error.to_string()))?;
    let size = tree.size().to_int_size().scale_by(scale).ok_or_else(|| failed("--scale"))?;
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height())
        .ok_or_else(|| failed("too large; lower --scale"))?;
    let transform = tiny_skia::Transform::from_scale(scale, scale);
    resvg::render(&tree, transform, &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed(&error.to_string()))
}

/// `wramp plot`.
///
/// # Errors
/// A log that cannot be read, nothing to draw, or a file that cannot be written.
pub fn execute(args: &PlotArgs) -> Outcome {
    let extension = match &*args.output {
        "-" => "svg".to_owned(),
        path => Path::new(path)
            .extension()
            .map(|extension| extension.to_string_lossy().to_ascii_lowercase())
            .unwrap_or_default(),
    };
    if !["svg", "png", "html"].contains(&&*extension) {
        return Err(Problem::new(format!(
            "--output {}: its name must end in .svg, .png or .html",
            args.output
        )));
    }
    let mut logs = open_all(&args.logs)?;
    if !args.workload.is_empty() {
        choose(&mut logs, &args.workload)?;
    }
    if args.parts && extension != "html" {
        let stacks = stacks(&logs).ok_or_else(|| {
            Problem::new(format!(
                "nothing to plot: {} does not say what an instance's bytes are for",
                names(&logs)
            ))
        })?;
        return write(args, &extension, &stacks.sheet());
    }
    let charts = charts(&logs);
    if charts.is_empty() {
        return Err(Problem::new(format!(
            "nothing to plot: no step in {}; did the first instance start?",
            names(&logs)
        )));
    }
    write(
        args,
        &extension,
        &match &*extension {
            "html" => page(&logs, &charts),
            _ => chart::sheet(&heading(&logs), &subtitle(&logs), &charts),
        },
    )
}

/// Leaves only the ramps of these workloads.
fn choose(logs: &mut [Log], workloads: &[String]) -> Result<(), Problem> {
    let known =
        |logs: &[Log], name: &str| logs.iter().any(|l| l.ramps().any(|r| r.workload == name));
    if let Some(missing) = workloads.iter().find(|name| !known(logs, name)) {
        return Err(Problem::new(format!("no ramp of {missing} in {}", names(logs))));
    }
    for run in logs.iter_mut().flat_map(|log| &mut log.runs) {
        run.ramps.retain(|ramp| workloads.contains(&ramp.workload));
    }
    Ok(())
}

fn write(args: &PlotArgs, extension: &str, picture: &str) -> Outcome {
    let bytes = match extension {
        "png" => png(picture, args.scale)?,
        _ => picture.as_bytes().to_vec(),
    };
    if args.output == "-" {
        print(&String::from_utf8_lossy(&bytes))?;
    } else {
        save::write(Path::new(&args.output), &bytes)?;
    }
    Ok(ExitCode::SUCCESS)
}
