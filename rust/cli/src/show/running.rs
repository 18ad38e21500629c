//! A run as it goes: each record shown as it comes, a progress bar on a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wramp_core::measure::{Bytes, Nanos};
use wramp_core::ramp::Limit;
use wramp_core::report::{Fault, Mail, Park, Part, Record, Run, Step};
use wramp_core::runtime::ErrorKind;

use crate::problem::Problem;
use crate::show::log_tables::{engine, places};
use crate::show::number::{count, micros, percent};
use crate::show::record::{RecordFormat, csv, csv_heading, json};
use crate::show::terminal::written;

/// Shows records as they come.
pub struct Running {
    format: RecordFormat,
    bar: ProgressBar,
    slots: u32,
    csv_begun: bool,
    table_begun: bool,
    is_pool: bool,
    /// Modules of this ramp, and what an instance of each takes together.
    set: (u32, Option<Bytes>),
    /// What parking did in the newest rung.
    park: Option<String>,
    parts: Vec<(String, Vec<String>, u32)>,
    ends: Vec<String>,
    /// The rows of a mix's modules.
    members: Vec<String>,
    /// Instances of the newest rung of this ramp.
    newest: u32,
    /// Whether any ramp made a call. If none did there is no table of ends.
    has_run: bool,
    /// Of a user's module: whether it has a start function.
    has_start: Option<bool>,
    failed: Option<Problem>,
}

impl Running {
    /// A run that has not begun. Of a user's module it is told whether it has a start function.
    #[must_use]
    pub fn new(format: RecordFormat, slots: u32, has_start: Option<bool>) -> Self {
        let bar = ProgressBar::new(u64::from(slots));
        // The bar goes to stderr, and only where a person sees it.
        bar.set_draw_target(if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        if let Ok(style) =
            ProgressStyle::with_template("{msg:>10} [{bar:24}] {pos}/{len} instances  {elapsed}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        // A rung of thousands takes a minute. Its time must be seen to pass.
        bar.enable_steady_tick(Duration::from_millis(500));
        Self {
            format,
            bar,
            slots,
            csv_begun: false,
            table_begun: false,
            is_pool: false,
            set: (0, None),
            park: None,
            parts: Vec::new(),
            ends: Vec::new(),
            members: Vec::new(),
            newest: 0,
            has_run: false,
            has_start,
            failed: None,
        }
    }

    /// Whether stdout takes no more. A reader that left (`| head`) has seen enough, and is no
    /// failure.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    fn print(&mut self, text: &str) {
        if self.failed.is_some() {
            return;
        }
        let result = self.bar.suspend(|| {
            let mut out = io::stdout().lock();
            writeln!(out, "{text}").and_then(|()| out.flush())
        });
        self.failed = written(result).err();
    }

    /// Shows a record, which is also given as its line.
    pub fn record(&mut self, record: &Record<'_>, line: &str) {
        self.progress(record);
        match self.format {
            RecordFormat::Records => self.print(line),
            RecordFormat::Csv => self.csv(record, line),
            RecordFormat::Jsonl => self.print(&json(record, line)),
            RecordFormat::Table => self.table(record),
        }
    }

    /// Shows a line of a guest. Where stdout has a form of its own, it goes to stderr.
    pub fn guest(&mut self, line: &str) {
        match self.format {
            RecordFormat::Records | RecordFormat::Table => self.print(line),
            RecordFormat::Csv | RecordFormat::Jsonl => self.bar.suspend(|| eprintln!("{line}")),
        }
    }

    fn progress(&self, record: &Record<'_>) {
        match record {
            Record::Load(load) => {
                self.bar.set_length(u64::from(self.slots));
                self.bar.set_position(0);
                self.bar.set_message(load.workload.readable().to_string());
            }
            Record::Predict(predict) => self.bar.set_length(u64::from(predict.peak)),
            Record::Step(step) => self.bar.set_position(u64::from(step.instances)),
            _ => {}
        }
    }

    fn csv(&mut self, record: &Record<'_>, line: &str) {
        if !matches!(record, Record::Step(_)) {
            return;
        }
        if !self.csv_begun {
            self.csv_begun = true;
            self.print(&csv_heading());
        }
        self.print(&csv(line));
    }

    fn table(&mut self, record: &Record<'_>) {
        match record {
            Record::Run(run) => self.run(run),
            Record::Load(load) => {
                self.table_begun = false;
                self.newest = 0;
                self.set.0 += 1;
                self.print(&format!(
                    "\n{}: its module of {} B takes {} B of the arena; {} B are free",
                    load.workload.readable(),
                    count(load.module_bytes),
                    count(load.arena_bytes),
                    count(load.arena_free_bytes)
                ));
            }
            Record::Fit(fit) => self.print(&format!(
                "  {}: its first call needs {} B of interpreter stack; each gets {} B",
                fit.workload.readable(),
                count(fit.needed_bytes),
                count(fit.wasm_stack_bytes)
            )),
            Record::Part(part) => self.part(part),
            Record::Predict(predict) => {
                self.set.1 = Some(predict.cost_bytes);
                for (workload, parts, sum) in std::mem::take(&mut self.parts) {
                    self.print(&format!("  one {workload} takes {} B:", count(sum)));
                    for line in wrapped(&parts, 74) {
                        self.print(&format!("    {line}"));
                    }
                }
                let (peak, limit) = (count(predict.peak), predict.limit);
                let cost = count(predict.cost_bytes);
                let free = count(predict.arena_free_bytes);
                let outcome = format!("  predicted: peak {peak}, limit {limit};");
                let why = format!("one more takes {cost} B, {free} B are free");
                let break_here = if outcome.len() + why.len() < 80 { " " } else { "\n    " };
                self.print(&format!("{outcome}{break_here}{why}"));
            }
            Record::Step(step) => self.step(step),
            Record::Park(park) => self.park = Some(parking(park)),
            Record::End(end) => {
                if let Some(parking) = self.park.take() {
                    self.print(&parking);
                }
                // The end record's cost is the newest instance's: in a set that of one module.
                let cost = match std::mem::take(&mut self.set) {
                    (2.., cost) => cost,
                    _ => end.cost_bytes,
                };
                // `!` marks a prediction that was wrong.
                let wrong = end.predicted_peak.is_some_and(|peak| peak != end.peak)
                    && matches!(end.limit, Limit::Slots | Limit::Arena);
                let row = format!(
                    "{:<10} {:>6} {:>11} {:>9}{} {:>6} {:>9} {:>6} {:>6}",
                    end.workload.readable().to_string(),
                    count(end.peak),
                    end.limit.to_string(),
                    end.predicted_peak.map_or("-".into(), count),
                    if wrong { "!" } else { " " },
                    cost.map_or("-".into(), count),
                    count(end.calls),
                    count(end.errors),
                    end.leaked_bytes.map_or("-".into(), count),
                );
                let fairness = end.fairness.map_or("-".into(), |fairness| fairness.to_string());
                // An error is in the answer, or in the fault that follows.
                if let Some(message) = end.message.filter(|_| end.limit != Limit::Error) {
                    self.print(&format!("  stopped by: {}", message.readable()));
                }
                self.has_run |= end.peak > 0 || end.calls > 0;
                self.ends.push(format!("{row} {fairness:>8}"));
            }
            Record::Member(member) => self.members.push(format!(
                "{:<20} {:>6} {:>6} {:>9} {:>9} {:>7} {:>8} {:>8}",
                member.module.readable().to_string(),
                member.asked.map_or("*".into(), count),
                count(member.instances),
                member.cost_bytes.map_or("-".into(), count),
                count(member.calls),
                count(member.errors),
                time(member.latency_mean_us),
                time(member.latency_p99_us),
            )),
            Record::Mail(mail) => self.mail(mail),
            Record::Instance(instance) if instance.errors > 0 => self.print(&format!(
                "  instance {}: {} errors in {} calls: {}",
                instance.id,
                count(instance.errors),
                count(instance.calls),
                instance.message.map_or("-".into(), |message| message.readable().to_string())
            )),
            Record::Fault(fault) => self.print(&format!(
                "  cannot run{}: {}{}{}",
                fault
                    .workload
                    .map_or(String::new(), |workload| format!(" {}", workload.readable())),
                fault.message.readable(),
                self.where_it_trapped(fault),
                fault.knob.map_or(String::new(), |knob| format!(" (change {})", knob.readable()))
            )),
            _ => {}
        }
    }

    /// Where a module trapped of which no instance came to its first call.
    fn where_it_trapped(&self, fault: &Fault<'_>) -> &'static str {
        let has_start = match self.has_start {
            Some(has_start) if fault.error.0 == ErrorKind::Trap.as_str() => has_start,
            _ => return "",
        };
        // The engine has the same words for a start function and for a segment.
        match (has_start, fault.message.readable().to_string().starts_with("out of bounds")) {
            (true, false) => ", in its start function",
            (true, true) => ", in its start function or a segment of data",
            (false, _) => ", in a segment of data or elements",
        }
    }

    fn run(&mut self, run: &Run<'_>) {
        self.is_pool = run.workers.is_some();
        let real = run.slot_stack_real_bytes.filter(|real| *real != run.slot_stack_bytes);
        let real = real.map_or(String::new(), |real| format!(" ({} B here)", count(real)));
        let memory = format!("arena {} B, {}{real},", count(run.arena_bytes), places(run));
        let stack = format!("wasm stack {} B", count(run.wasm_stack_bytes));
        let break_here = if memory.len() + stack.len() < 80 { " " } else { "\n" };
        self.print(&format!(
            "{} on {}, {} bits, {} cores\n{memory}{break_here}{stack}\n\
             settle {} ms, dwell {} ms, pause {} ms",
            engine(run),
            run.os.readable(),
            run.pointer_bits,
            run.cores,
            count(run.settle_ms),
            count(run.dwell_ms),
            count(run.pause_ms),
        ));
        if run.pin.0 != "free" {
            self.print(&format!("all threads on {}", run.pin.readable()));
        }
        if !matches!(run.budget.0, "off" | "unsupported") {
            self.print(&format!("a call may take {} instructions", run.budget.readable()));
        }
    }

    fn mail(&mut self, mail: &Mail<'_>) {
        let time = |nanos: Option<Nanos>| {
            nanos.map_or("-".into(), |nanos| micros(nanos.0 as f64 / 1000.0))
        };
        self.print(&format!(
            "  messages: {} sent, {} a second; {} received, {} unread, {} dropped\n  \
             {} found a queue full; a queue has {} B and held {} B at most\n  \
             delivered in {} us (p50), {} us (p99), {} us at most",
            count(mail.sent),
            count(mail.sent_per_second),
            count(mail.received),
            count(mail.unread),
            count(mail.dropped),
            count(mail.full),
            count(mail.queue_bytes),
            count(mail.queue_most_bytes),
            time(mail.delivery_p50_us),
            time(mail.delivery_p99_us),
            time(mail.delivery_max_us),
        ));
    }

    fn part(&mut self, part: &Part<'_>) {
        let words = format!("{} {}", part.part.readable(), count(part.bytes));
        let workload = part.workload.readable().to_string();
        match self.parts.last_mut() {
            Some((last, parts, sum)) if *last == workload => {
                parts.push(words);
                *sum += part.bytes.0;
            }
            _ => self.parts.push((workload, vec![words], part.bytes.0)),
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        if !self.table_begun {
            self.table_begun = true;
            self.print(&format!(
                "{:>9} {:>10} {:>10} {:>8} {:>5} {:>8} {:>6} {:>8} {:>8}",
                "instances",
                "free B",
                "low B",
                "newest B",
                "CPU %",
                "calls/s",
                "errors",
                // A machine that keeps no sum of times has only the median.
                if step.latency_mean_us.is_some() { "mean us" } else { "p50 us" },
                if self.is_pool { "turn p99" } else { "p99 us" },
            ));
        }
        if step.instances == self.newest {
            self.print("  once more, after the next one was stopped:");
        }
        self.newest = step.instances;
        let nanocalls = u128::from(step.dwell_calls) * 1_000_000_000;
        let rate = step.dwell_us.and_then(|dwell| nanocalls.checked_div(dwell.0.into()));
        let cpu = step.cpu_permille.map_or("-".into(), |cpu| percent(f64::from(cpu)));
        let p99 = if self.is_pool { step.turnaround_p99_us } else { step.latency_p99_us };
        self.print(&format!(
            "{:>9} {:>10} {:>10} {:>8} {:>5} {:>8} {:>6} {:>8} {:>8}",
            count(step.instances),
            count(step.arena_free_bytes),
            count(step.arena_low_bytes),
            count(step.cost_bytes),
            cpu,
            rate.map_or("-".into(), count),
            count(step.errors),
            time(step.latency_mean_us.or(step.latency_p50_us)),
            time(p99),
        ));
    }

    /// Ends the run: shows the ramps' ends in a table, and the answers below it.
    ///
    /// # Errors
    /// Where stdout took no more.
    pub fn finish(mut self, answers: &[String]) -> Result<(), Problem> {
        self.bar.finish_and_clear();
        if self.format == RecordFormat::Table && self.has_run {
            self.print(&format!(
                "\n{:<10} {:>6} {:>11} {:>9}  {:>6} {:>9} {:>6} {:>6} {:>8}",
                "workload",
                "peak",
                "limit",
                "predicted",
                "B each",
                "calls",
                "errors",
                "leaked",
                "fairness"
            ));
            for row in std::mem::take(&mut self.ends) {
                self.print(&row);
            }
            if !self.members.is_empty() {
                self.print(&format!(
                    "\n{:<20} {:>6} {:>6} {:>9} {:>9} {:>7} {:>8} {:>8}",
                    "module", "asked", "ran", "B each", "calls", "errors", "mean us", "p99 us"
                ));
                for row in std::mem::take(&mut self.members) {
                    self.print(&row);
                }
            }
            self.print("");
            for answer in answers {
                self.print(answer);
            }
        }
        self.failed.map_or(Ok(()), Err)
    }
}

/// What parking did in a rung, in lines of at most 80 columns.
fn parking(park: &Park<'_>) -> String {
    let dirty = park
        .dirty_mean_bytes
        .map_or(String::new(), |dirty| format!("; a call makes {} B dirty", count(dirty)));
    format!(
        "  {} parked, {} live: {} B each, of which a state may take {}\n  \
         a parked state: {} B, p99 {}, max {}{dirty}\n  \
         {} us to park, {} us to revive, {} revivals a second",
        count(park.parked),
        count(park.live),
        count(park.instance_bytes),
        count(park.budget_bytes),
        count(park.parked_p50_bytes),
        count(park.parked_p99_bytes),
        count(park.parked_max_bytes),
        time(park.park_mean_us),
        time(park.revive_mean_us),
        park.revivals_per_s.map_or("-".into(), count),
    )
}

/// A time as a table shows it.
fn time(nanos: Option<Nanos>) -> String {
    nanos.map_or("-".into(), |nanos| micros(nanos.0 as f64 / 1000.0))
}

/// Words joined with ` + ` into lines of at most `wide` characters.
fn wrapped(words: &[String], wide: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() + 3 <= wide => {
                *line += &format!(" + {word}");
            }
            Some(line) => {
                line.push_str(" +");
                lines.push(word.clone());
            }
            None => lines.push(word.clone()),
        }
    }
    lines
}
