//! The charts that logs have figures for.

use wramp_core::report::{Instance, Word};

use crate::model::log::Log;
use crate::model::run_log::RampLog;
use crate::show::chart::{Chart, Series, Stroke, Unit};
use crate::show::number::grouped;
use crate::show::stacks::Stacks;

/// A name of a record as a person reads it.
fn readable(name: &str) -> String {
    Word(name).readable().to_string()
}

/// A ramp and what is needed to draw it.
struct Drawn<'l> {
    name: String,
    /// The log, where there are several.
    letter: String,
    colour: usize,
    arena: Option<u32>,
    ramp: &'l RampLog,
}

/// A log's name in a chart of several logs: A, B, ... Z, A1, ...
#[must_use]
pub fn letter(number: usize) -> String {
    let letter = char::from(b'A' + (number % 26) as u8);
    if number < 26 { letter.into() } else { format!("{letter}{}", number / 26) }
}

/// A figure over instances. Of several samples with equal instances, the newest counts.
fn curve(ramp: &RampLog, key: &str, of: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
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
            let workload = ramp.name();
            let name = match logs {
                [_] => workload,
                _ => format!("{} {workload}", letter(number)),
            };
            // Of several logs, each has one colour in every panel.
            let colour = if logs.len() == 1 { all.len() } else { number };
            all.push(Drawn { name, letter: letter(number), colour, arena, ramp });
        }
    }
    all
}

/// Every chart that these logs have figures for.
#[must_use]
pub fn charts(logs: &[Log]) -> Vec<Chart> {
    let all = ramps(logs);
    let mut charts = Vec::new();
    if logs.len() == 1 {
        charts.extend(shared("", &all.iter().collect::<Vec<_>>()));
    } else {
        // A panel for each workload: in one panel the lines of all would hide each other.
        let mut workloads: Vec<String> = Vec::new();
        for drawn in &all {
            if !workloads.contains(&drawn.ramp.name()) {
                workloads.push(drawn.ramp.name());
            }
        }
        for workload in workloads {
            let own: Vec<_> = all.iter().filter(|drawn| drawn.ramp.name() == workload).collect();
            charts.extend(shared(&format!("{workload}: "), &own));
        }
    }
    for drawn in &all {
        charts.push(latency(drawn));
        charts.push(parking(drawn));
        charts.push(parked_bytes(drawn));
        charts.push(calls(drawn));
    }
    charts.extend(messages(&all));
    charts.retain(|chart| !chart.is_empty());
    charts
}

/// The arena and the CPU of several ramps. A title begins with `of`, which names their workload.
fn shared(of: &str, all: &[&Drawn<'_>]) -> [Chart; 3] {
    let series = |drawn: &Drawn<'_>, points| Series {
        name: if of.is_empty() { drawn.name.clone() } else { drawn.letter.clone() },
        colour: drawn.colour,
        stroke: Stroke::Solid,
        points,
    };
    let title = |what: &str| match of {
        "" => what.to_owned(),
        _ => format!("{of}{}{}", what[..1].to_lowercase(), &what[1..]),
    };
    let mut arenas: Vec<u32> = all.iter().filter_map(|drawn| drawn.arena).collect();
    arenas.sort_unstable();
    arenas.dedup();
    let arena = Chart {
        title: title("Arena in use, KiB"),
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
        title: match of {
            "" => "CPU in use of all cores, %".into(),
            _ => format!("{of}CPU in use of all cores, %"),
        },
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
    let starts = Chart {
        title: format!("{of}time to start the newest instance, to its first result"),
        across: "instances",
        unit: Unit::Micros,
        bars: false,
        series: all
            .iter()
            .map(|drawn| series(drawn, curve(drawn.ramp, "start_us", |micros| micros)))
            .filter(|series| !series.points.is_empty())
            .collect(),
        ceilings: Vec::new(),
    };
    [arena, cpu, starts]
}

/// How many messages a ramp's guests sent a second, and how long these took.
fn messages(all: &[Drawn<'_>]) -> [Chart; 2] {
    let mails: Vec<_> =
        all.iter().filter_map(|drawn| Some((drawn, drawn.ramp.mails.last()?.get()))).collect();
    let series = |drawn: &Drawn<'_>, points| Series {
        name: drawn.name.clone(),
        colour: drawn.colour,
        stroke: Stroke::Solid,
        points,
    };
    let rate = mails.iter().enumerate().map(|(place, (drawn, mail))| {
        series(drawn, vec![(place as f64, mail.sent_per_second as f64)])
    });
    let rate = Chart {
        title: "Messages a second".into(),
        across: "ramp, in the order of the run",
        unit: Unit::Count,
        bars: true,
        series: rate.collect(),
        ceilings: Vec::new(),
    };
    let delivery = mails.iter().filter_map(|(drawn, mail)| {
        let times = [mail.delivery_p50_us, mail.delivery_p99_us, mail.delivery_max_us];
        let points = [50.0, 99.0, 100.0].into_iter().zip(times);
        let points: Vec<_> =
            points.filter_map(|(of, time)| Some((of, time?.0 as f64 / 1000.0))).collect();
        (!points.is_empty()).then(|| series(drawn, points))
    });
    let delivery = Chart {
        title: "From send to receive".into(),
        across: "percent of the messages that took no longer",
        unit: Unit::Micros,
        bars: false,
        series: delivery.collect(),
        ceilings: Vec::new(),
    };
    [rate, delivery]
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
    // In a pool an instance also waits for its turn.
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
            format!("{}: time of a call, and from call to call (log)", drawn.name)
        } else {
            format!("{}: time of a call (log)", drawn.name)
        },
        across: "instances",
        unit: Unit::Micros,
        bars: false,
        series,
        ceilings: Vec::new(),
    }
}

/// Figures of a park over its instances, each with a colour of its own and its strokes.
fn park_series(drawn: &Drawn<'_>, figures: &[(&str, &str, usize, Stroke)]) -> Vec<Series> {
    let points = |key: &str| {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for park in drawn.ramp.parks.iter() {
            let x = f64::from(park.get().instances);
            let Some(y) = park.value(key).and_then(|text| text.parse().ok()) else { continue };
            match points.last_mut() {
                Some(last) if last.0 == x => last.1 = y,
                _ => points.push((x, y)),
            }
        }
        points
    };
    let series = figures.iter().map(|&(name, key, colour, stroke)| Series {
        name: name.into(),
        colour: drawn.colour + colour,
        stroke,
        points: points(key),
    });
    series.filter(|series| !series.points.is_empty()).collect()
}

/// What it takes to park an instance and to revive one. Empty where nothing is parked.
fn parking(drawn: &Drawn<'_>) -> Chart {
    const FIGURES: [(&str, &str, usize, Stroke); 4] = [
        ("park p50", "park_p50_us", 0, Stroke::Solid),
        ("park p99", "park_p99_us", 0, Stroke::Dashed),
        ("revive p50", "revive_p50_us", 1, Stroke::Solid),
        ("revive p99", "revive_p99_us", 1, Stroke::Dashed),
    ];
    Chart {
        title: format!("{}: time to park and to revive one (log)", drawn.name),
        across: "instances",
        unit: Unit::Micros,
        bars: false,
        series: park_series(drawn, &FIGURES),
        ceilings: Vec::new(),
    }
}

/// How long the parked states are, and what a call makes dirty.
fn parked_bytes(drawn: &Drawn<'_>) -> Chart {
    const FIGURES: [(&str, &str, usize, Stroke); 4] = [
        ("parked p50", "parked_p50_bytes", 0, Stroke::Solid),
        ("parked p99", "parked_p99_bytes", 0, Stroke::Dashed),
        ("parked max", "parked_max_bytes", 0, Stroke::Dotted),
        ("dirty a call", "dirty_mean_bytes", 1, Stroke::Solid),
    ];
    Chart {
        title: format!("{}: bytes of a parked state", drawn.name),
        across: "instances",
        unit: Unit::Count,
        bars: false,
        series: park_series(drawn, &FIGURES),
        ceilings: Vec::new(),
    }
}

/// Parts in the order in which they are drawn, the largest of the published build first. Three
/// tables of a few bytes each count as one part, so that every part has its own colour.
const PARTS: [(&str, &[&str]); 9] = [
    ("interpreter stack", &["wasm-stack"]),
    ("block cache", &["block-cache"]),
    ("module instance", &["module-instance", "instance"]),
    ("environment", &["environment"]),
    ("argument buffer", &["argument-buffer"]),
    ("linear memory", &["linear-memory", "memory"]),
    ("tables and globals", &["function-table", "export-table", "globals"]),
    ("queue of messages", &["queue"]),
    ("allocator and other", &[]),
];

/// What the bytes of one instance are for, one row for each log and workload. `None` where no log
/// says.
#[must_use]
pub fn stacks(logs: &[Log]) -> Option<Stacks> {
    let mut rows = Vec::new();
    let all = |log: &Log| {
        let ramps = log.best().map_or(&[][..], |run| &run.ramps);
        ramps.iter().flat_map(RampLog::parts).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let mut workloads: Vec<String> = logs.iter().flat_map(all).collect();
    workloads.sort();
    workloads.dedup();
    for log in logs {
        for (workload, parts) in
            log.best().map_or(&[][..], |run| &run.ramps).iter().flat_map(RampLog::parts)
        {
            let mut bytes = vec![0; PARTS.len()];
            for (part, own) in parts {
                let place = PARTS.iter().position(|(_, names)| names.contains(&part));
                bytes[place.unwrap_or(PARTS.len() - 1)] += own;
            }
            let run = log.name.rsplit('/').next().unwrap_or(&log.name).trim_end_matches(".log");
            let name = match (logs.len(), workloads.len()) {
                (1, _) => readable(workload),
                (_, 1) => run.to_owned(),
                _ => format!("{run}: {}", readable(workload)),
            };
            rows.push((name, bytes));
        }
    }
    let used = |part: &usize| rows.iter().any(|(_, bytes)| bytes[*part] > 0);
    let kept: Vec<usize> = (0..PARTS.len()).filter(used).collect();
    for (_, bytes) in &mut rows {
        *bytes = kept.iter().map(|&part| bytes[part]).collect();
    }
    let of = if let [only] = workloads.as_slice() {
        format!(" {}", readable(only))
    } else {
        String::new()
    };
    (!rows.is_empty()).then(|| Stacks {
        title: format!("Bytes of one{of} instance"),
        parts: kept.iter().map(|&part| PARTS[part].0.to_owned()).collect(),
        rows,
    })
}

fn calls(drawn: &Drawn<'_>) -> Chart {
    let mut series: Vec<Series> = Vec::new();
    // A later instance lives shorter, so its calls alone would look like unfairness.
    let rate = |record: &Instance<'_>| {
        let alive = record.alive_ms.filter(|&millis| millis > 0)?;
        Some(f64::from(record.calls) * 1000.0 / alive as f64)
    };
    let timed = drawn.ramp.instances.iter().all(|instance| rate(&instance.get()).is_some());
    for instance in drawn.ramp.instances.iter() {
        let record = instance.get();
        let own = readable(record.workload.0);
        let calls = rate(&record).filter(|_| timed).unwrap_or(f64::from(record.calls));
        let point = (f64::from(record.id), calls);
        match series.iter_mut().find(|series| series.name == own) {
            Some(series) => series.points.push(point),
            None => series.push(Series {
                name: own,
                colour: drawn.colour + series.len(),
                stroke: Stroke::Solid,
                points: vec![point],
            }),
        }
    }
    if let [only] = series.as_mut_slice() {
        only.name.clear(); // The title names it.
    }
    Chart {
        title: match timed {
            true => format!("{}: calls a second of each instance", drawn.name),
            false => format!("{}: calls of each instance", drawn.name),
        },
        across: "instance, in the order of their start",
        unit: Unit::Count,
        bars: true,
        series,
        ceilings: Vec::new(),
    }
}
