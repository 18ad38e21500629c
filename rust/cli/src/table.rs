//! Tables, and `wramp table`: summary, promises, steps, instances and parts of logs.
//!
//! A table for a person is aligned, has separators in its large numbers and shows the
//! columns that matter; CSV and JSON hold every key as it stands in the record.

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use maud::{Markup, html};
use serde_json::{Map, Number, Value};
use wramp_core::measure::Nanos;
use wramp_core::ramp::Limit;
use wramp_core::report::Run;

use crate::costs::costs;
use crate::log::{Kept, Kind, Log, Ramp, Rows, RunLog};
use crate::{Outcome, Problem, print, promise, published};

/// A column: how a program calls it and how a person reads it.
#[derive(Clone, Debug)]
pub struct Column {
    /// The key, as in a record.
    pub key: Cow<'static, str>,
    /// The heading; empty where only programs see it.
    pub heading: Cow<'static, str>,
    /// How its values are shown.
    pub show: Show,
}

/// How a person reads a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A word, to the left.
    Word,
    /// Words that a record joined with underscores, to the left.
    Words,
    /// A number, with separators, to the right.
    Number,
    /// Thousandths, as a percentage.
    Permille,
    /// Microseconds: three figures are enough.
    Micros,
}

/// A column for persons and programs.
#[must_use]
pub const fn column(key: &'static str, heading: &'static str, show: Show) -> Column {
    Column { key: Cow::Borrowed(key), heading: Cow::Borrowed(heading), show }
}

/// A table. A cell that is `None` was not measured, which is not zero.
#[derive(Clone, Debug)]
pub struct Table {
    /// What programs call it.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as long as the columns.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows among them, by their index, that add up others: a person sees them, a program
    /// would add them again.
    pub sums: Vec<usize>,
}

/// How to write a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned text
    #[default]
    Table,
    /// Markdown
    Markdown,
    /// Comma-separated values, every key
    Csv,
    /// JSON, every key
    Json,
}

/// `196608` as `196,608`.
#[must_use]
pub fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, part) = digits.split_once('.').map_or((digits, ""), |(w, p)| (w, p));
    let mut text = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !part.is_empty() {
        text.push('.');
        text.push_str(part);
    }
    text
}

impl Show {
    fn is_left(self) -> bool {
        matches!(self, Self::Word | Self::Words)
    }

    /// A value as a person reads it.
    #[must_use]
    pub fn value(self, text: &str) -> String {
        let number = text.parse::<f64>();
        match (self, number) {
            (Self::Words, _) => text.replace('_', " "),
            (Self::Word, _) | (_, Err(_)) => text.to_owned(),
            (Self::Number, Ok(_)) => grouped(text),
            (Self::Permille, Ok(number)) => format!("{:.1}", number / 10.0),
            (Self::Micros, Ok(number)) if number >= 100.0 => grouped(&format!("{number:.0}")),
            (Self::Micros, Ok(number)) if number >= 10.0 => format!("{number:.1}"),
            (Self::Micros, Ok(number)) => format!("{number:.2}"),
        }
    }
}

impl Table {
    /// Columns a person sees: those with a heading, where any row has a value.
    fn shown(&self) -> Vec<usize> {
        (0..self.columns.len())
            .filter(|&index| {
                !self.columns[index].heading.is_empty()
                    && self.rows.iter().any(|row| row[index].is_some())
            })
            .collect()
    }

    fn cell(&self, row: usize, column: usize) -> String {
        let value = self.rows[row][column].as_deref();
        value.map_or_else(|| "-".into(), |text| self.columns[column].show.value(text))
    }

    /// Aligned text, its title above.
    #[must_use]
    pub fn text(&self) -> String {
        let shown = self.shown();
        let mut lines = vec![shown.iter().map(|&c| self.columns[c].heading.to_string()).collect()];
        for row in 0..self.rows.len() {
            lines.push(shown.iter().map(|&c| self.cell(row, c)).collect::<Vec<_>>());
        }
        let widths: Vec<usize> = (0..shown.len())
            .map(|place| lines.iter().map(|line| line[place].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = format!("{}\n", self.title);
        for line in lines {
            let mut out = String::new();
            for ((place, cell), &width) in line.iter().enumerate().zip(&widths) {
                let gap = if place == 0 { "  " } else { "   " };
                if self.columns[shown[place]].show.is_left() {
                    out.push_str(&format!("{gap}{cell:<width$}"));
                } else {
                    out.push_str(&format!("{gap}{cell:>width$}"));
                }
            }
            text.push_str(out.trim_end());
            text.push('\n');
        }
        text
    }

    /// Markdown, its title above in bold.
    #[must_use]
    pub fn markdown(&self) -> String {
        let shown = self.shown();
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escape = |text: String| text.replace('|', "\\|");
        let mut text = format!("**{}**\n\n", self.title);
        text += &row(shown.iter().map(|&c| self.columns[c].heading.to_string()).collect());
        text += &row(shown
            .iter()
            .map(|&c| if self.columns[c].show.is_left() { "---" } else { "---:" }.into())
            .collect());
        for index in 0..self.rows.len() {
            text += &row(shown.iter().map(|&c| escape(self.cell(index, c))).collect());
        }
        text
    }

    /// The rows without their sums: what programs see.
    fn data(&self) -> impl Iterator<Item = &Vec<Option<String>>> {
        let is_data = |(index, row)| (!self.sums.contains(&index)).then_some(row);
        self.rows.iter().enumerate().filter_map(is_data)
    }

    /// Comma-separated values with a heading line of keys; an absent value is empty.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory does not fail, nor do rows of equal length.
        let _ = writer.write_record(self.columns.iter().map(|column| &*column.key));
        for row in self.data() {
            let _ = writer.write_record(row.iter().map(|cell| cell.as_deref().unwrap_or("")));
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }

    /// An array of one object a row; an absent value is null.
    #[must_use]
    pub fn json(&self) -> Value {
        let object = |row: &Vec<Option<String>>| {
            let pair = |(column, cell): (&Column, &Option<String>)| {
                (column.key.to_string(), json_value(column.show, cell.as_deref()))
            };
            Value::Object(self.columns.iter().zip(row).map(pair).collect::<Map<_, _>>())
        };
        Value::Array(self.data().map(object).collect())
    }

    /// One JSON object a line.
    #[must_use]
    pub fn jsonl(&self) -> String {
        match self.json() {
            Value::Array(rows) => rows.iter().map(|row| format!("{row}\n")).collect(),
            _ => String::new(),
        }
    }

    /// A table of a page, in a box that scrolls sideways on a narrow screen.
    #[must_use]
    pub fn html(&self) -> Markup {
        let shown = self.shown();
        let class = |c: usize| if self.columns[c].show.is_left() { "word" } else { "number" };
        html! {
            div.scroll tabindex="0" role="region" aria-label=(self.title) {
                table {
                    caption { (self.title) }
                    thead { tr { @for &c in &shown {
                        th.(class(c)) scope="col" { (self.columns[c].heading) }
                    } } }
                    tbody { @for row in 0..self.rows.len() { tr { @for &c in &shown {
                        td.(class(c)) { (self.cell(row, c)) }
                    } } } }
                }
            }
        }
    }
}

fn json_value(show: Show, text: Option<&str>) -> Value {
    match (show, text) {
        (_, None) => Value::Null,
        (Show::Word | Show::Words, Some(text)) => text.into(),
        (_, Some(text)) => text
            .parse::<i64>()
            .ok()
            .map(Number::from)
            .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
            .map_or_else(|| text.into(), Value::Number),
    }
}

use Show::{Micros, Number as Count, Permille, Word, Words};

const PLACE: [Column; 4] = [
    column("log", "log", Word),
    column("run", "run", Count),
    column("board", "", Word),
    column("workload", "workload", Word),
];

const SUMMARY: &[Column] = &[
    column("peak", "peak", Count),
    column("limit", "limit", Word),
    column("predicted_peak", "predicted", Count),
    column("predicted_limit", "", Word),
    column("cost_bytes", "bytes each", Count),
    column("module_arena_bytes", "module bytes", Count),
    column("needed_bytes", "stack needed", Count),
    column("wasm_stack_bytes", "stack given", Count),
    column("calls", "calls", Count),
    column("errors", "errors", Count),
    column("over_budget", "over budget", Count),
    column("leaked_bytes", "leaked bytes", Count),
    column("stack_used_bytes", "slot stack used", Count),
    column("fairness", "fairness", Count),
    column("arena_free_bytes", "", Count),
    column("error", "failure", Word),
    column("message", "", Words),
];

const SLO: &[Column] = &[
    column("slo_us", "promised p99 us", Micros),
    column("of", "of a", Word),
    column("peak", "peak", Count),
    column("limit", "limit", Word),
    column("p99_us", "p99 us", Micros),
];

const STEPS: &[Column] = &[
    column("instances", "instances", Count),
    column("running", "running", Count),
    column("arena_free_bytes", "free bytes", Count),
    column("arena_low_bytes", "low bytes", Count),
    column("arena_largest_bytes", "largest", Count),
    column("arena_blocks", "", Count),
    column("cost_bytes", "newest took", Count),
    column("cpu_permille", "CPU %", Permille),
    column("uptime_ms", "at ms", Count),
    column("dwell_us", "", Micros),
    column("dwell_calls", "calls", Count),
    column("calls", "", Count),
    column("errors", "errors", Count),
    column("latency_p50_us", "p50 us", Micros),
    column("latency_p99_us", "p99 us", Micros),
    column("latency_max_us", "max us", Micros),
    column("turnaround_p50_us", "turnaround p50 us", Micros),
    column("turnaround_p99_us", "p99 us", Micros),
    column("turnaround_max_us", "max us", Micros),
];

const INSTANCES: &[Column] = &[
    column("id", "instance", Count),
    column("slot", "slot", Count),
    column("alive_ms", "alive ms", Count),
    column("calls", "calls", Count),
    column("errors", "errors", Count),
    column("latency_p50_us", "p50 us", Micros),
    column("latency_p99_us", "p99 us", Micros),
    column("latency_max_us", "max us", Micros),
    column("stack_used_bytes", "stack used", Count),
    column("result", "result", Word),
    column("error", "error", Word),
    column("message", "message", Words),
];

const WORKERS: &[Column] = &[
    column("slot", "slot", Count),
    column("calls", "calls", Count),
    column("stack_used_bytes", "stack used", Count),
];

const PARTS: &[Column] = &[column("part", "part", Word), column("bytes", "bytes", Count)];

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// One row a ramp: peak, limit, cost, errors, leaks, fairness
    Summary,
    /// One row a promise: the peak that `wramp run --slo-us` would have ended with
    Slo,
    /// One row a rung
    Steps,
    /// One row an instance
    Instances,
    /// One row a worker of a pool
    Workers,
    /// What an instance's bytes are for
    Parts,
    /// One row a log: bytes of an instance, how many fit, time of a call
    Costs,
}

/// Those that are shown where none is asked for, in their order.
pub const ALL: [Which; 6] =
    [Which::Summary, Which::Slo, Which::Steps, Which::Instances, Which::Workers, Which::Parts];

impl Which {
    /// Its name, title and own columns.
    fn shape(self) -> (&'static str, &'static str, &'static [Column]) {
        match self {
            Self::Summary => ("summary", "Summary", SUMMARY),
            Self::Slo => ("slo", "Promises", SLO),
            Self::Steps => ("steps", "Steps", STEPS),
            Self::Instances => ("instances", "Instances", INSTANCES),
            Self::Workers => ("workers", "Workers", WORKERS),
            Self::Parts => ("parts", "Parts of an instance", PARTS),
            Self::Costs => ("costs", "Costs", &[]),
        }
    }

    /// This table of all runs of these logs.
    #[must_use]
    pub fn of(self, logs: &[Log]) -> Table {
        self.under(logs, &[])
    }

    /// The same; [`Slo`](Self::Slo) under these promises, or where there are none under those
    /// that each ramp's own range suggests.
    #[must_use]
    pub fn under(self, logs: &[Log], promises: &[Nanos]) -> Table {
        if self == Self::Costs {
            return costs(logs, false);
        }
        let (name, title, own) = self.shape();
        let mut columns = PLACE.to_vec();
        // A person needs to be told apart only what is more than one.
        if logs.len() < 2 {
            columns[0].heading = "".into();
        }
        if logs.iter().all(|log| log.runs.len() < 2) {
            columns[1].heading = "".into();
        }
        columns.extend_from_slice(own);
        let (mut rows, mut sums) = (Vec::new(), Vec::new());
        for log in logs {
            for (number, run) in log.runs.iter().enumerate() {
                for ramp in &run.ramps {
                    let place = |workload: &str| {
                        let number = (number + 1).to_string();
                        [&*log.name, &*number, run.board(), workload].map(|s| Some(s.to_owned()))
                    };
                    self.rows(ramp, promises, &mut |workload, cells, is_sum| {
                        if is_sum {
                            sums.push(rows.len());
                        }
                        rows.push(place(workload).into_iter().chain(cells).collect());
                    });
                }
            }
        }
        let title = match logs {
            [log] => format!("{title} of {}{}", log.name, machine(log.best())),
            _ => title.into(),
        };
        Table { name, title, columns, rows, sums }
    }

    fn rows(self, ramp: &Ramp, promises: &[Nanos], push: &mut Push<'_>) {
        let (_, _, own) = self.shape();
        match self {
            Self::Summary => push(&ramp.workload, summary(ramp), false),
            Self::Slo => {
                let own = if promises.is_empty() { promise::ladder(ramp) } else { vec![] };
                for &promise in promises.iter().chain(&own) {
                    push(&ramp.workload, under(ramp, promise), false);
                }
            }
            Self::Steps => records(&ramp.steps, own, push),
            Self::Instances => records(&ramp.instances, own, push),
            Self::Workers => records(&ramp.workers, own, push),
            Self::Costs => {}
            Self::Parts => {
                for (workload, parts) in parts(ramp) {
                    let row = |part: &str, bytes: u32| {
                        vec![Some(part.to_owned()), Some(bytes.to_string())]
                    };
                    for &(part, bytes) in &parts {
                        push(workload, row(part, bytes), false);
                    }
                    push(workload, row(SUM, parts.iter().map(|(_, bytes)| bytes).sum()), true);
                }
            }
        }
    }
}

/// Takes a row: its workload, its own cells, and whether it adds up the rows before it.
type Push<'p> = dyn FnMut(&str, Vec<Option<String>>, bool) + 'p;

/// The row under an instance's parts, which only a person sees.
pub const SUM: &str = "sum";

/// Parts of an instance, workload by workload, in their order.
#[must_use]
pub fn parts(ramp: &Ramp) -> Vec<(&str, Vec<(&str, u32)>)> {
    let mut all: Vec<(&str, Vec<(&str, u32)>)> = Vec::new();
    for record in ramp.parts.iter().map(|part| part.get()) {
        let part = (record.part.0, record.bytes.0);
        match all.last_mut() {
            Some((workload, parts)) if *workload == record.workload.0 => parts.push(part),
            _ => all.push((record.workload.0, vec![part])),
        }
    }
    all
}

fn records<K: Kind>(rows: &Rows<K>, own: &[Column], push: &mut Push<'_>) {
    for row in rows.iter() {
        push(row.value("workload").unwrap_or("?"), cells(row, own), false);
    }
}

fn cells<K: Kind>(record: &Kept<K>, columns: &[Column]) -> Vec<Option<String>> {
    columns.iter().map(|column| record.value(&column.key).map(Into::into)).collect()
}

/// What a promise's row says.
fn under(ramp: &Ramp, promise: Nanos) -> Vec<Option<String>> {
    let kept = promise::kept(ramp, promise);
    vec![
        Some((promise.0 / 1000).to_string()),
        promise::subject(ramp).map(Into::into),
        Some(kept.peak.to_string()),
        Some(kept.limit.map_or("unfinished", Limit::as_str).into()),
        kept.p99.map(|p99| format!("{}.{:03}", p99.0 / 1000, p99.0 % 1000)),
    ]
}

fn summary(ramp: &Ramp) -> Vec<Option<String>> {
    let end = ramp.end.as_ref();
    let newest = ramp.steps.last();
    let predicted = ramp.predict.as_ref();
    SUMMARY
        .iter()
        .map(|column| {
            let text = |text: &str| text.to_owned();
            match &*column.key {
                "peak" => Some(ramp.peak().to_string()),
                "limit" => Some(end.and_then(|e| e.value("limit")).unwrap_or("unfinished").into()),
                "predicted_peak" => predicted.and_then(|p| p.value("peak")).map(text),
                "predicted_limit" => predicted.and_then(|p| p.value("limit")).map(text),
                "module_arena_bytes" => ramp.module_arena_bytes().map(|bytes| bytes.to_string()),
                // Of several modules side by side each has its own.
                key @ ("needed_bytes" | "wasm_stack_bytes") => match ramp.fits.as_slice() {
                    [fit] => fit.value(key).map(text),
                    _ => None,
                },
                "stack_used_bytes" => stack_used(ramp).map(|bytes| bytes.to_string()),
                // An unfinished ramp still says what its newest rung knew.
                key @ ("calls" | "errors" | "cost_bytes") => end
                    .and_then(|e| e.value(key))
                    .or_else(|| newest.and_then(|step| step.value(key)))
                    .map(text),
                key => end.and_then(|e| e.value(key)).map(text),
            }
        })
        .collect()
}

/// Most bytes that any slot's stack held.
#[must_use]
pub fn stack_used(ramp: &Ramp) -> Option<u32> {
    let each = ramp.instances.iter().filter_map(|instance| instance.get().stack_used_bytes);
    let all = ramp.end.as_ref().and_then(|end| end.get().stack_used_bytes);
    each.chain(all).map(|bytes| bytes.0).max()
}

/// `24 slots of 4,096 B`, `4 workers of 4,096 B`.
#[must_use]
pub fn places(run: &Run<'_>) -> String {
    let stack = grouped(&run.slot_stack_bytes.to_string());
    match run.workers {
        Some(workers) => format!("{workers} workers of {stack} B"),
        None => format!("{} slots of {stack} B", run.slots),
    }
}

/// `: linux, wamr 2.4.5 classic, arena 196,608 B, 24 slots of 4,096 B`.
fn machine(run: Option<&RunLog>) -> String {
    let Some(header) = run.and_then(|run| run.header.as_ref()) else { return String::new() };
    let header = header.get();
    format!(
        ": {}, {} {} {}, arena {} B, {}",
        header.board.0,
        header.runtime.0,
        header.runtime_version.0,
        header.interpreter.0,
        grouped(&header.arena_bytes.to_string()),
        places(&header),
    )
}

/// Options of `wramp table`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp table run.log
  wramp table results/linux/2026-01-31-1a2b3c4 --format markdown --show summary
  wramp table run.log --show slo --slo-us 10000,20000    how many can be promised 10 ms, 20 ms?
  wramp run --format records | wramp table - --show steps --format csv > steps.csv")]
pub struct TableArgs {
    /// Logs: a file, - for stdin, the directory of a saved run, or, for --show costs,
    /// `published`: the ESP32-S3 article's figures
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Only these tables (all; steps with --format csv)
    #[arg(long, value_enum, value_delimiter = ',')]
    pub show: Vec<Which>,
    /// Only these workloads
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub workload: Vec<String>,
    /// Promises for --show slo (1, 2, 5, 10 ... over the range of each ramp's p99)
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub slo_us: Vec<u64>,
}

/// Opens every log that was named.
///
/// # Errors
/// The first that cannot be read.
pub fn open_all(paths: &[String]) -> Result<Vec<Log>, Problem> {
    paths.iter().map(|path| Log::open(path)).collect()
}

/// `wramp table`.
///
/// # Errors
/// A log that cannot be read; several tables for one CSV.
pub fn execute(args: &TableArgs) -> Outcome {
    let chosen = match (args.format, args.show.as_slice()) {
        (Format::Csv, []) => &[Which::Steps],
        (Format::Csv, [_, _, ..]) => {
            return Err(Problem::new(
                "a CSV file holds one table: choose one with --show, or --format json",
            ));
        }
        (_, []) => ALL.as_slice(),
        (_, chosen) => chosen,
    };
    let is_article = |path: &&String| **path == published::NAME && !Path::new(path).exists();
    let article = args.logs.iter().any(|path| is_article(&path));
    let paths: Vec<String> = args.logs.iter().filter(|path| !is_article(path)).cloned().collect();
    if article && (chosen != [Which::Costs] || paths.is_empty()) {
        return Err(Problem::new("`published` stands beside logs, and in --show costs alone"));
    }
    if !args.slo_us.is_empty() && !chosen.contains(&Which::Slo) {
        return Err(Problem::new("--slo-us is for the table of promises: add --show slo"));
    }
    let promises: Vec<Nanos> =
        args.slo_us.iter().map(|us| Nanos(us.saturating_mul(1000))).collect();
    let mut logs = open_all(&paths)?;
    if !args.workload.is_empty() {
        let chosen = |name: &String| logs.iter().flat_map(Log::ramps).any(|r| r.workload == *name);
        if let Some(missing) = args.workload.iter().find(|name| !chosen(name)) {
            return Err(Problem::new(format!("no ramp of {missing} in these logs (--workload)")));
        }
        for run in logs.iter_mut().flat_map(|log| &mut log.runs) {
            run.ramps.retain(|ramp| args.workload.contains(&ramp.workload));
        }
    }
    let mut tables: Vec<Table> = chosen
        .iter()
        .map(|which| if article { costs(&logs, true) } else { which.under(&logs, &promises) })
        .collect();
    if args.show.is_empty() && args.format != Format::Json && args.format != Format::Csv {
        tables.retain(|table| !table.rows.is_empty());
        if tables.is_empty() {
            return Err(Problem::new("no ramp in these logs: nothing ran (see the remarks above)"));
        }
    }
    let text = match args.format {
        Format::Table => tables.iter().map(Table::text).collect::<Vec<_>>().join("\n"),
        Format::Markdown => tables.iter().map(Table::markdown).collect::<Vec<_>>().join("\n"),
        Format::Csv => tables.iter().map(Table::csv).collect(),
        Format::Json => {
            let all = tables.iter().map(|table| (table.name.to_owned(), table.json()));
            format!("{:#}\n", Value::Object(all.collect()))
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
