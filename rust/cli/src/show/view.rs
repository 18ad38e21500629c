//! The live view of a capture: arena, CPU, the newest rungs, calls a slot, other lines.

use std::collections::VecDeque;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Bar, BarChart, BarGroup, Block, Gauge, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};

use crate::model::kept::{Kept, StepKind};
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
        let all = frame.area();
        // The lines of others get what they fill, and a quarter of the screen at most.
        let lines = u16::try_from(self.lines.len()).unwrap_or(u16::MAX);
        let others =
            if lines == 0 { 0 } else { lines.saturating_add(2).min(all.height / 4).max(3) };
        let [head, gauges, middle, other, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(3),
            Constraint::Min(6),
            Constraint::Length(others),
            Constraint::Length(1),
        ])
        .areas(all);
        frame.render_widget(Paragraph::new(self.head(run, usize::from(all.width))), head);
        let ramp = run.and_then(|run| run.ramps.last());
        draw_gauges(frame, gauges, run, ramp);
        // A narrow screen has no room for a second panel beside the figures.
        if all.width < SIDE_BY_SIDE {
            draw_steps(frame, middle, ramp);
        } else {
            let [steps, calls] =
                Layout::horizontal([Constraint::Min(40), Constraint::Percentage(32)]).areas(middle);
            draw_steps(frame, steps, ramp);
            draw_calls(frame, calls, run);
        }
        if others > 0 {
            self.draw_lines(frame, other);
        }
        let foot_text = foot_line(log, silence, usize::from(foot.width));
        frame.render_widget(Paragraph::new(foot_text), foot);
    }

    fn head(&self, run: Option<&RunLog>, wide: usize) -> Vec<Line<'_>> {
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
            // A number that is cut is another number.
            Line::raw(cut(&what, wide)),
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

/// Columns of a screen from which on two panels stand side by side.
const SIDE_BY_SIDE: u16 = 110;

/// A text of at most so many characters. An ellipsis stands for whole words that are left out.
fn cut(text: &str, wide: usize) -> String {
    if text.chars().count() <= wide {
        return text.to_owned();
    }
    let mut kept = String::new();
    for word in text.split(' ') {
        if kept.chars().count() + word.chars().count() + 2 > wide {
            break;
        }
        kept += word;
        kept.push(' ');
    }
    kept + "…"
}

/// What came, how long ago, and how to end: the longest of three forms that fits.
fn foot_line(log: &Log, silence: Duration, wide: usize) -> Line<'static> {
    let resets = log.runs.iter().filter(|run| run.reset.is_some()).count();
    let records = log.lines - log.foreign - log.unread;
    let (others, unread, silence) = (log.foreign, log.unread, silence.as_secs());
    let forms = [
        [
            format!("{records} records · {others} other lines · "),
            format!("{unread} unreadable"),
            " · ".to_owned(),
            format!("{resets} resets"),
            format!(" · {silence} s since the last record · Ctrl-C ends"),
        ],
        [
            format!("{records} records · {others} others · "),
            format!("{unread} unreadable"),
            " · ".to_owned(),
            format!("{resets} resets"),
            format!(" · {silence} s silent · Ctrl-C ends"),
        ],
        [
            String::new(),
            format!("{unread} unreadable"),
            " · ".to_owned(),
            format!("{resets} resets"),
            " · Ctrl-C ends".to_owned(),
        ],
    ];
    let fits =
        |form: &&[String; 5]| form.iter().map(|part| part.chars().count()).sum::<usize>() <= wide;
    let [counts, bad, dot, again, rest] = forms.iter().find(fits).unwrap_or(&forms[2]).clone();
    let warn = |text: String, count: u64| {
        let style = if count > 0 { Style::new().fg(Color::Red) } else { Style::new() };
        Span::styled(text, style)
    };
    Line::from(vec![
        Span::raw(counts),
        warn(bad, unread),
        Span::raw(dot),
        warn(again, resets as u64),
        Span::raw(rest),
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
    let value = |step: &Kept<StepKind>, place: usize| {
        let (key, _, style) = KEYS[place];
        step.value(key).map_or("-".into(), |text| style.write(text))
    };
    // Each column is as wide as its widest value. Where they do not all fit, whole columns go: a
    // number that is cut is another number.
    let width = |place: usize| {
        let values = steps[from..].iter().map(|step| value(step, place).chars().count());
        values.chain([KEYS[place].1.chars().count()]).max().unwrap_or(0)
    };
    let room = usize::from(area.width.saturating_sub(2));
    let mut shown: Vec<usize> = (0..KEYS.len()).collect();
    let needed = |shown: &[usize]| shown.iter().map(|&place| width(place) + 1).sum::<usize>();
    for place in LEFT_OUT {
        if needed(&shown) > room + 1 {
            shown.retain(|&kept| kept != place);
        }
    }
    let left_out = KEYS.len() - shown.len();
    let title = match left_out {
        0 => title,
        1 => format!("{title}· 1 more column in a wider window "),
        some => format!("{title}· {some} more columns in a wider window "),
    };
    let lines = steps[from..].iter().map(|step| {
        Row::new(shown.iter().map(|&place| Line::raw(value(step, place)).right_aligned()))
    });
    let header = Row::new(shown.iter().map(|&place| Line::raw(KEYS[place].1).right_aligned()))
        .style(Style::new().add_modifier(Modifier::BOLD));
    let widths: Vec<_> = shown
        .iter()
        .map(|&place| Constraint::Length(u16::try_from(width(place)).unwrap_or(u16::MAX)))
        .collect();
    let table = Table::new(lines, widths).header(header).block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

/// Columns of [`draw_steps`] in the order in which a narrow screen goes without them.
const LEFT_OUT: [usize; 7] = [6, 4, 2, 7, 5, 3, 1];

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

    /// At 80 columns a number was cut from the left, and looked like another number.
    #[test]
    fn every_number_on_a_narrow_screen_is_one_of_the_log() {
        let mut log = Log::new("test");
        log.push(include_bytes!("../../tests/golden/host.log"), |_, _, _| ());
        let ramp = log.runs.last().unwrap().ramps.last().unwrap();
        let mut known: Vec<String> = Vec::new();
        for step in ramp.steps.iter() {
            let words = step.line().split(' ').filter_map(|word| word.split_once('='));
            for (key, value) in words {
                let style =
                    if key.ends_with("_us") { CellStyle::Micros } else { CellStyle::Number };
                known.push(style.write(value));
            }
        }
        for width in 24..=130 {
            let screen = screen(&log, &View::default(), width, 24);
            let rows = screen.lines().skip_while(|line| !line.contains("inst")).skip(1);
            let rows = rows.take_while(|line| !line.contains('└'));
            let mut judged = 0;
            for row in rows {
                let cells = row.split('│').nth(1).unwrap_or("");
                for number in cells.split_whitespace().filter(|word| *word != "-") {
                    assert!(known.iter().any(|k| k == number), "{width}: {number}\n{screen}");
                    judged += 1;
                }
            }
            assert!(judged > 0, "{width}\n{screen}");
        }
    }

    #[test]
    fn how_to_end_is_said_at_any_width_and_a_quiet_board_leaves_its_lines_to_the_figures() {
        let mut log = Log::new("test");
        log.push(include_bytes!("../../tests/golden/host.log"), |_, _, _| ());
        for width in [48, 60, 80, 100, 132] {
            let screen = screen(&log, &View::default(), width, 24);
            assert!(screen.contains("Ctrl-C ends"), "{width}\n{screen}");
            assert!(!screen.contains("other lines ─"), "{width}\n{screen}");
        }
        let mut view = View::default();
        view.line("*** Booting ***");
        assert!(screen(&log, &view, 80, 24).contains("*** Booting ***"));
    }
}
