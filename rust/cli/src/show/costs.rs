//! Builds side by side: one row a log, with what an instance of each workload costs there.

use std::collections::BTreeMap;

use crate::model::log::Log;
use crate::model::measured::Measured;
use crate::model::published;
use crate::model::run_log::{RampLog, RunLog};
use crate::show::table::{CellStyle, Column, Table, column};

/// What is said of a workload: key, heading, and how it is written.
const EACH: [(&str, &str, CellStyle); 6] = [
    ("peak", "peak", CellStyle::Number),
    ("cost_bytes", "bytes", CellStyle::Number),
    ("module_arena_bytes", "module", CellStyle::Number),
    ("fit", "fit", CellStyle::Number),
    ("call_us", "us a call", CellStyle::Micros),
    ("call_us_is", "", CellStyle::Plain),
];

/// The place of `call_us` in [`EACH`].
const CALL: usize = 4;

/// What is said where `call_us` is a median.
pub const MEDIAN: &str = "an older log without the mean: the median, which may be 2 % off";

/// One row a log. Of a log with several runs, the best run counts.
///
/// For each workload: the run's peak; arena bytes of one instance; arena bytes of the module that
/// its instances share; instances that the run's arena would hold without regard to slots, by
/// core's prediction; the mean microseconds of a call on the first rung. A log without means
/// shows its medians, and marks them. Workloads come in the order in which the logs name them.
///
/// With `article`, the first row holds what the published benchmark published.
#[must_use]
pub fn costs(logs: &[Log], article: bool) -> Table {
    let runs: Vec<(&str, &RunLog)> =
        logs.iter().filter_map(|log| Some((&*log.name, log.best()?))).collect();
    let mut workloads: Vec<&RampLog> = Vec::new();
    for ramp in runs.iter().flat_map(|(_, run)| &run.ramps) {
        if !workloads.iter().any(|known| known.workload == ramp.workload) {
            workloads.push(ramp);
        }
    }
    let mut columns = vec![column("log", "log", CellStyle::Plain)];
    for ramp in &workloads {
        columns.extend(EACH.map(|(key, heading, style)| Column {
            key: format!("{}_{key}", ramp.workload).into(),
            heading: match heading {
                "" => "".into(),
                heading => format!("{}: {heading}", ramp.name()).into(),
            },
            style,
        }));
    }
    let mut rows: Vec<Vec<Option<String>>> = Vec::new();
    let mut marks = Vec::new();
    if article {
        let cells = workloads.iter().flat_map(|ramp| {
            EACH.map(|(key, _, _)| published::figure(&ramp.workload, key).map(|n| n.to_string()))
        });
        rows.push(std::iter::once(Some(published::LABEL.to_owned())).chain(cells).collect());
    }
    for (name, run) in &runs {
        let ramps: BTreeMap<&str, &RampLog> =
            run.ramps.iter().map(|ramp| (&*ramp.workload, ramp)).collect();
        let mut row = vec![Some((*name).to_owned())];
        for workload in &workloads {
            let ramp = ramps.get(&*workload.workload);
            if ramp.and_then(|ramp| ramp.call_time()).is_some_and(|call| call.is_median) {
                marks.push((rows.len(), row.len() + CALL));
            }
            row.extend(ramp.map_or([const { None }; EACH.len()], |ramp| cells(run, ramp)));
        }
        rows.push(row);
    }
    Table {
        name: "costs",
        title: "What an instance costs".into(),
        columns,
        rows,
        marks,
        note: MEDIAN,
        ..Table::default()
    }
}

/// In the order of [`EACH`].
fn cells(run: &RunLog, ramp: &RampLog) -> [Option<String>; EACH.len()] {
    let header = run.header.as_ref().map(|header| header.get());
    let measured = header.and_then(|header| Measured::of(&header, ramp));
    let call = ramp.call_time();
    [
        Some(ramp.peak().to_string()),
        ramp.predict.as_ref().map(|predict| predict.get().cost_bytes.to_string()),
        ramp.module_arena_bytes().map(|bytes| bytes.to_string()),
        measured.and_then(|measured| measured.fit()).map(|fit| fit.to_string()),
        call.map(|call| call.text.to_owned()),
        call.map(|call| if call.is_median { "p50" } else { "mean" }.to_owned()),
    ]
}
