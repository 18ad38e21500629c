//! Builds side by side: one row a log, what an instance of each workload costs there.

use std::collections::BTreeMap;

use wramp_core::ramp::{Demand, predict};

use crate::log::{Log, Ramp, RunLog};
use crate::published;
use crate::table::{Column, Show, Table, column};

/// What is said of a workload: key, heading, and how it is shown.
const EACH: [(&str, &str, Show); 5] = [
    ("peak", "peak", Show::Number),
    ("cost_bytes", "bytes", Show::Number),
    ("module_arena_bytes", "module", Show::Number),
    ("fit", "fit", Show::Number),
    ("call_us", "us a call", Show::Micros),
];

/// One row a log; of a log with several runs, the longest run.
///
/// For each workload: the run's peak; arena bytes of one instance; those of the module that its
/// instances share; instances that the run's arena would hold, by [`predict`] and without regard
/// to slots; median microseconds of a call on the first rung. Workloads come in the order in which the logs name them.
///
/// Where `article` is true the published benchmark is the first row, with what it published.
#[must_use]
pub fn costs(logs: &[Log], article: bool) -> Table {
    let runs: Vec<(&str, &RunLog)> =
        logs.iter().filter_map(|log| Some((&*log.name, log.best()?))).collect();
    let mut workloads: Vec<&str> = Vec::new();
    for ramp in runs.iter().flat_map(|(_, run)| &run.ramps) {
        if !workloads.contains(&&*ramp.workload) {
            workloads.push(&ramp.workload);
        }
    }
    let mut columns = vec![column("log", "log", Show::Word)];
    for workload in &workloads {
        columns.extend(EACH.map(|(key, heading, show)| Column {
            key: format!("{workload}_{key}").into(),
            heading: format!("{workload}: {heading}").into(),
            show,
        }));
    }
    let row = |&(name, run): &(&str, &RunLog)| {
        let ramps: BTreeMap<&str, &Ramp> =
            run.ramps.iter().map(|ramp| (&*ramp.workload, ramp)).collect();
        let cells = workloads.iter().flat_map(|workload| match ramps.get(workload) {
            Some(ramp) => cells(ramp),
            None => [const { None }; EACH.len()],
        });
        std::iter::once(Some(name.to_owned())).chain(cells).collect()
    };
    let rows = article
        .then(|| {
            let cells = workloads.iter().flat_map(|&workload| {
                EACH.map(|(key, _, _)| published::figure(workload, key).map(|n| n.to_string()))
            });
            std::iter::once(Some(published::LABEL.to_owned())).chain(cells).collect()
        })
        .into_iter()
        .chain(runs.iter().map(row))
        .collect();
    Table { name: "costs", title: "What an instance costs".into(), columns, rows, sums: Vec::new() }
}

/// In the order of [`EACH`].
fn cells(ramp: &Ramp) -> [Option<String>; EACH.len()] {
    let predicted = ramp.predict.as_ref().map(|record| record.get());
    let fit = predicted.as_ref().map(|first| {
        let demand = Demand { cost: first.cost_bytes, need: first.need_bytes };
        predict(first.arena_free_bytes, demand, u32::MAX).peak.to_string()
    });
    let cost = predicted.map(|first| first.cost_bytes.to_string());
    let call = ramp.steps.iter().next().and_then(|step| step.value("latency_p50_us"));
    let module = ramp.module_arena_bytes().map(|bytes| bytes.to_string());
    [Some(ramp.peak().to_string()), cost, module, fit, call.map(Into::into)]
}
