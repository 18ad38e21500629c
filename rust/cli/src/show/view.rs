//! The live view of a capture: arena, CPU, the newest rungs, calls a slot, other lines.

use std::collections::VecDeque;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Bar, BarChart, BarGroup, Block, Gauge, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};

use crate::model::log::{Log, shown};
use crate::model::run_log::{RampLog, RunLog};
use crate::show::log_tables::engine;
use crate::show::number::grouped;
use crate::show::table::CellStyle;

/// The live view on this terminal. It gives the terminal back when it is dropped.
pub struct Live {
    view: View,
    terminal: DefaultTerminal,
}

impl Live {
    /// Takes the terminal; `None` where this build has no live view.
    #[must_use]
    pub fn start(source: &str, raw: &str) -> Option<Self> {
        let view = View { source: source.into(), raw: raw.into(), ..View::default() };
        Some(Self { view, terminal: ratatui::init() })
    }

    /// Shows a line that is not a record.
    pub fn line(&mut self, line: &str) {
        self.view.line(line);
    }

    /// Draws the log as it is; `silence` is the time since the last record.
    pub fn draw(&mut self, log: &Log, silence: Duration) {
        let view = &self.view;
        // A terminal that went away does not end the capture.
        let _ = self.terminal.draw(|frame| view.draw(frame, log, silence));
    }

    /// Whether a key asked for the end. In raw mode Ctrl-C is an ordinary key.
    #[must_use]
    pub fn asked_to_end(&self) -> bool {
        while event::poll(Duration::ZERO).unwrap_or(false) {
            if let Ok(Event::Key(key)) = event::read() {
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                if key.code == KeyCode::Char('q') || control && key.code == KeyCode::Char('c') {
                    return true;
                }
            }
        }
        false
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// How many of the newest other lines are remembered.
const LINES: usize = 100;

/// What a view shows besides the log itself.
#[derive(Debug, Default)]
pub struct View {
    /// The port from which the bytes come.
    pub source: String,
    /// The file in which they are kept.
    pub raw: String,
    /// The newest lines that are not records, and what was wrong with records.
    pub lines: VecDeque<String>,
}

impl View {
    /// Remembers a line.
    pub fn line(&mut self, line: &str) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(shown(line));
    }

    /// Draws the log as it is; `silence` is the time since the last record.
    pub fn draw(&self, frame: &mut Frame<'_>, log: &Log, silence: Duration) {
        let run = log.runs.last();
        let [head, gauges, middle, other, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(3),
            Constraint::Min(6),
            Constraint::Max(8),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Paragraph::new(self.head(run)), head);
        let ramp = run.and_then(|run| run.ramps.last());
        draw_gauges(frame, gauges, run, ramp);
        let [steps, calls] =
            Layout::horizontal([Constraint::Min(40), Constraint::Percentage(38)]).areas(middle);
        draw_steps(frame, steps, ramp);
        draw_calls(frame, calls, run);
        self.draw_lines(frame, other);
        frame.render_widget(Paragraph::new(foot_line(log, silence)), foot);
    }

    fn head(&self, run: Option<&RunLog>) -> Vec<Line<'_>> {
        let what = match run.and_then(|run| run.header.as_ref()) {
            None => "waiting for `wramp run`".to_owned(),
            Some(header) => {
                let header = header.get();
                format!(
                    "{} · {} · arena {} B · {} slots",
                    header.board.readable(),
                    engine(&header),
                    grouped(&header.arena_bytes.to_string()),
                    header.slots
                )
            }
        };
        vec![
            Line::from(vec![
                Span::styled("wramp ", Style::new().add_modifier(Modifier::BOLD)),
                Span::raw(self.source.clone()),
                Span::styled(format!("  raw log: {}", self.raw), Style::new().fg(Color::DarkGray)),
            ]),
            Line::raw(what),
        ]
    }

    fn draw_lines(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = usize::from(area.height.saturating_sub(2));
        let from = self.lines.len().saturating_sub(rows);
        let lines: Vec<Line<'_>> =
            self.lines.iter().skip(from).map(|line| Line::raw(line.as_str())).collect();
        frame.render_widget(
            Paragraph::new(lines).block(Block::bordered().title(" other lines ")),
            area,
        );
    }
}

fn foot_line(log: &Log, silence: Duration) -> Line<'static> {
    let resets = log.runs.iter().filter(|run| run.reset.is_some()).count();
    let warn = |text: String, count: u64| {
        let style = if count > 0 { Style::new().fg(Color::Red) } else { Style::new() };
        Span::styled(text, style)
    };
    let records = log.lines - log.foreign - log.unread;
    Line::from(vec![
        Span::raw(format!("{records} records · {} other lines · ", log.foreign)),
        warn(format!("{} unreadable", log.unread), log.unread),
        Span::raw(" · "),
        warn(format!("{resets} resets"), resets as u64),
        Span::raw(format!(" · {} s since the last record · Ctrl-C ends", silence.as_secs())),
    ])
}

/// Gauges of arena and CPU; an empty frame for what is not measured.
fn draw_gauges(frame: &mut Frame<'_>, area: Rect, run: Option<&RunLog>, ramp: Option<&RampLog>) {
    let [arena, cpu] =
        Layout::horizontal([Constraint::Percentage(62), Constraint::Percentage(38)]).areas(area);
    let step = ramp.and_then(|ramp| ramp.steps.last());
    let size = run.and_then(|run| run.header.as_ref()).map(|header| header.get().arena_bytes.0);
    let free = step.map(|step| step.get().arena_free_bytes.0);
    let block = Block::bordered().title(" arena ");
    match size.zip(free) {
        Some((size, free)) if size > 0 => {
            let used = size.saturating_sub(free);
            let label =
                format!("{} of {} B used", grouped(&used.to_string()), grouped(&size.to_string()));
            let ratio = (f64::from(used) / f64::from(size)).clamp(0.0, 1.0);
            let colour = if ratio > 0.9 { Color::Red } else { Color::Blue };
            let gauge = Gauge::default().block(block).ratio(ratio).label(label);
            frame.render_widget(gauge.gauge_style(Style::new().fg(colour)), arena);
        }
        _ => frame.render_widget(block, arena),
    }
    let block = Block::bordered().title(" CPU ");
    match step.and_then(|step| step.get().cpu_permille) {
        Some(permille) => {
            let ratio = (f64::from(permille) / 1000.0).clamp(0.0, 1.0);
            let label = format!("{:.1} %", f64::from(permille) / 10.0);
            let gauge = Gauge::default().block(block).ratio(ratio).label(label);
            frame.render_widget(gauge.gauge_style(Style::new().fg(Color::Green)), cpu);
        }
        None => frame.render_widget(block, cpu),
    }
}

fn draw_steps(frame: &mut Frame<'_>, area: Rect, ramp: Option<&RampLog>) {
    const KEYS: [(&str, &str, CellStyle); 8] = [
        ("instances", "inst", CellStyle::Number),
        ("arena_free_bytes", "free B", CellStyle::Number),
        ("dwell_calls", "calls", CellStyle::Number),
        ("errors", "errors", CellStyle::Number),
        ("latency_p50_us", "p50 us", CellStyle::Micros),
        ("latency_p99_us", "p99 us", CellStyle::Micros),
        ("latency_max_us", "max us", CellStyle::Micros),
        ("turnaround_p99_us", "turn us", CellStyle::Micros),
    ];
    let title = match ramp {
        None => " steps ".to_owned(),
        Some(ramp) => {
            let end = match (&ramp.end, &ramp.predict) {
                (Some(end), _) => {
                    let end = end.get();
                    format!(": peak {}, limit {} ", end.peak, end.limit)
                }
                (None, Some(predict)) => {
                    let predict = predict.get();
                    format!(": {} predicted, limit {} ", predict.peak, predict.limit)
                }
                (None, None) => " ".into(),
            };
            format!(" {}{end}", ramp.name())
        }
    };
    let rows = usize::from(area.height.saturating_sub(3));
    let steps: Vec<_> = ramp.map_or_else(Vec::new, |ramp| ramp.steps.iter().collect());
    let from = steps.len().saturating_sub(rows);
    let lines = steps[from..].iter().map(|step| {
        let value =
            |key, style: CellStyle| step.value(key).map_or("-".into(), |text| style.write(text));
        Row::new(KEYS.map(|(key, _, style)| Line::raw(value(key, style)).right_aligned()))
    });
    let header = Row::new(KEYS.map(|(_, heading, _)| Line::raw(heading).right_aligned()))
        .style(Style::new().add_modifier(Modifier::BOLD));
    let widths = [4, 8, 7, 6, 8, 8, 8, 8].map(Constraint::Length);
    let table = Table::new(lines, widths).header(header).block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

/// Calls of the newest ramp whose instances have been reported, which happens at its end.
fn draw_calls(frame: &mut Frame<'_>, area: Rect, run: Option<&RunLog>) {
    let ramp = run.and_then(|run| run.ramps.iter().rev().find(|ramp| !ramp.instances.is_empty()));
    let Some(ramp) = ramp else {
        let text = Paragraph::new("shown at the end of a ramp");
        frame.render_widget(text.block(Block::bordered().title(" calls a slot ")), area);
        return;
    };
    let bars: Vec<Bar<'_>> = ramp
        .instances
        .iter()
        .map(|instance| {
            let record = instance.get();
            let colour = if record.errors > 0 { Color::Red } else { Color::Blue };
            Bar::default()
                .value(record.calls.into())
                .text_value(String::new())
                .label(record.slot.unwrap_or(record.id).to_string())
                .style(Style::new().fg(colour))
        })
        .collect();
    let room = usize::from(area.width.saturating_sub(2));
    let wide = u16::try_from((room / bars.len().max(1)).saturating_sub(1).clamp(1, 6)).unwrap_or(1);
    let chart = BarChart::default()
        .data(BarGroup::default().bars(&bars))
        .bar_width(wide)
        .bar_gap(u16::from(bars.len() * (usize::from(wide) + 1) <= room))
        .block(Block::bordered().title(format!(" calls a slot: {} ", ramp.name())));
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn screen(log: &Log, view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame, log, Duration::from_secs(3))).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn nothing_yet_and_a_whole_run_are_drawn_at_any_size() {
        let mut view = View { source: "/dev/ttyUSB0".into(), ..View::default() };
        view.line("*** Booting Zephyr OS ***");
        let mut log = Log::new("test");
        let waiting = screen(&log, &view, 100, 30);
        assert!(waiting.contains("waiting for `wramp run`"), "{waiting}");
        assert!(waiting.contains("Booting Zephyr"), "{waiting}");
        let golden = include_bytes!("../../tests/golden/host.log");
        log.push(golden, |_, _, _| ());
        let done = screen(&log, &view, 110, 30);
        for words in ["B used", "calls a slot", "p99 us", "peak 2, limit arena"] {
            assert!(done.contains(words), "{words}\n{done}");
        }
        for (width, height) in [(1, 1), (20, 5), (40, 12), (300, 80)] {
            screen(&log, &view, width, height);
        }
    }
}
