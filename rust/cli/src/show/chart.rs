//! Charts as SVG: one panel each, legible at 390 pixels and on paper.
//!
//! Only [`style`] holds colours, light and dark. A series differs from its neighbour also by its
//! marker. Text stays text, so that it can be read aloud and copied.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use crate::show::number::grouped;

/// Width of a panel. Text sizes are chosen for it.
pub const WIDTH: f64 = 460.0;
/// Height of a panel.
pub const HEIGHT: f64 = 300.0;

const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 44.0;
/// A series with more points than this has no room for markers.
const MARKED: usize = 64;

/// Light and dark colours of the series.
pub(super) const COLOURS: [(&str, &str); 8] = [
    ("#2563c9", "#7db0ff"),
    ("#c2540a", "#ff9d57"),
    ("#0b7a55", "#4fd3a2"),
    ("#7a3fd1", "#c09bff"),
    ("#b8215a", "#ff8db4"),
    ("#7d6300", "#e2c24a"),
    ("#0a7186", "#5fd2e8"),
    ("#565e6b", "#a9b1be"),
];

/// Colours of everything else: class, property, light, dark.
const INKS: [(&str, &str, &str, &str); 6] = [
    ("paper", "fill", "#ffffff", "#14181e"),
    ("ink", "fill", "#1a1f26", "#e9edf2"),
    ("soft", "fill", "#596371", "#9eabbb"),
    ("grid", "stroke", "#e2e6eb", "#2b333d"),
    ("axis", "stroke", "#9aa4b0", "#5b6775"),
    ("limit", "stroke", "#b3261e", "#ff8f86"),
];

/// The style sheet of all charts.
#[must_use]
pub fn style() -> String {
    let mut css = String::from(
        ".chart text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:13px}\
         .chart .title{font-size:16px;font-weight:bold}\
         .chart .line{fill:none;stroke-width:2;stroke-linejoin:round}\
         .chart .dash{stroke-dasharray:6 4}.chart .dot{stroke-dasharray:1.5 4;stroke-linecap:round}\
         .chart .grid,.chart .axis{stroke-width:1}\
         .chart .limit{stroke-width:2;stroke-dasharray:8 4}",
    );
    let scheme = |dark: bool| {
        let mut css = String::new();
        for (class, property, light, night) in INKS {
            let colour = if dark { night } else { light };
            let _ = write!(css, ".chart .{class}{{{property}:{colour}}}");
            if class == "limit" {
                let _ = write!(css, ".chart .limit-text{{fill:{colour}}}");
            }
        }
        for (index, (light, night)) in COLOURS.iter().enumerate() {
            let colour = if dark { night } else { light };
            let _ =
                write!(css, ".chart .s{index}{{stroke:{colour}}}.chart .f{index}{{fill:{colour}}}");
        }
        css
    };
    css += &scheme(false);
    let _ = write!(css, "@media (prefers-color-scheme:dark){{{}}}", scheme(true));
    css
}

/// The unit of the vertical axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown in KiB.
    Bytes,
    /// Microseconds, on a logarithmic axis.
    Micros,
    /// Percent, from 0 to 100.
    Percent,
    /// A count.
    Count,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Unbroken.
    Solid,
    /// In dashes.
    Dashed,
    /// In dots.
    Dotted,
}

/// One line, or the bars of one colour.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its colour and marker.
    pub colour: usize,
    /// How its line is drawn.
    pub stroke: Stroke,
    /// Its points, in order.
    pub points: Vec<(f64, f64)>,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What the horizontal axis counts.
    pub across: &'static str,
    /// What the vertical axis measures.
    pub unit: Unit,
    /// Bars in place of lines.
    pub bars: bool,
    /// Its series.
    pub series: Vec<Series>,
    /// Horizontal lines that no value can exceed, each with its name.
    pub ceilings: Vec<(f64, String)>,
}

/// About `count` ticks from 0 to at least `most`, 1, 2 or 5 times a power of ten apart.
fn ticks(most: f64, count: f64) -> Vec<f64> {
    let rough = (most / count).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let last = (most / step - 1e-9).ceil().max(1.0) as usize;
    (0..=last).map(|index| index as f64 * step).collect()
}

/// Powers of ten, with 2 and 5 times each where there are few.
fn log_ticks(least: f64, most: f64) -> Vec<f64> {
    let (low, high) = (least.log10().floor() as i32, most.log10().ceil() as i32);
    let factors: &[f64] = if high - low > 2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all: Vec<f64> = (low..=high)
        .flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)))
        .collect();
    let from = all.iter().rposition(|tick| *tick <= least * 1.0001).unwrap_or(0);
    let to = all.iter().position(|tick| *tick >= most * 0.9999).unwrap_or(all.len() - 1);
    all[from..=to.max(from + 1).min(all.len() - 1)].to_vec()
}

fn short(number: f64) -> String {
    let text = if number >= 100.0 || number.fract() == 0.0 {
        format!("{number:.0}")
    } else if number >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    };
    match text.parse::<f64>() {
        Ok(_) if text.len() > 3 && !text.contains('.') => grouped(&text),
        _ => text,
    }
}

impl Unit {
    /// A value with its unit.
    fn show(self, value: f64) -> String {
        match self {
            Self::Bytes => format!("{} KiB", short(value / 1024.0)),
            Self::Percent => format!("{} %", short(value)),
            Self::Count => short(value),
            Self::Micros if value >= 1e6 => format!("{} s", short(value / 1e6)),
            Self::Micros if value >= 1e3 => format!("{} ms", short(value / 1e3)),
            Self::Micros => format!("{} µs", short(value)),
        }
    }

    /// A tick's label. It has a unit only where the unit differs from tick to tick.
    fn tick(self, value: f64) -> String {
        match self {
            Self::Micros => self.show(value),
            Self::Bytes => short(value / 1024.0),
            Self::Percent | Self::Count => short(value),
        }
    }
}

/// A drawn position with two decimals.
pub(super) fn at(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// About how wide a text of 13 pixels is.
pub(super) fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * 7.6
}

struct Scale {
    /// Whether the horizontal axis is logarithmic too.
    wide: bool,
    from: f64,
    across: f64,
    low: f64,
    high: f64,
    log: bool,
    bars: bool,
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        let room = WIDTH - LEFT - RIGHT;
        let place = if self.bars {
            (value + 0.5) / (self.across + 1.0)
        } else if self.wide {
            (value.max(self.from) / self.from).ln() / (self.across / self.from).ln()
        } else {
            (value - self.from) / (self.across - self.from)
        };
        LEFT + place * room
    }

    fn y(&self, value: f64) -> f64 {
        let fraction = if self.log {
            (value.max(self.low).log10() - self.low.log10())
                / (self.high.log10() - self.low.log10())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        HEIGHT - BOTTOM - fraction * (HEIGHT - TOP - BOTTOM)
    }
}

fn marker(shape: usize, x: f64, y: f64) -> String {
    let path = |points: &[(f64, f64)]| {
        let mut d = String::new();
        for (index, (dx, dy)) in points.iter().enumerate() {
            let _ =
                write!(d, "{}{} {}", if index == 0 { 'M' } else { 'L' }, at(x + dx), at(y + dy));
        }
        d + "Z"
    };
    match shape % 4 {
        // A circle of radius 3.5, as two arcs.
        0 => format!("M{} {}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z", at(x - 3.5), at(y)),
        1 => path(&[(-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)]),
        2 => path(&[(0.0, -4.6), (4.6, 0.0), (0.0, 4.6), (-4.6, 0.0)]),
        _ => path(&[(0.0, -4.4), (4.2, 3.4), (-4.2, 3.4)]),
    }
}

impl Chart {
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|series| series.points.iter().copied())
    }

    /// Whether there is anything to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points().next().is_none()
    }

    /// Ticks of both axes and the scale between them.
    fn axes(&self) -> (Vec<f64>, Vec<f64>, Scale) {
        let across = self.points().map(|(x, _)| x).fold(1.0, f64::max);
        let values = || self.points().map(|(_, y)| y).chain(self.ceilings.iter().map(|c| c.0));
        let most = values().fold(0.0, f64::max);
        let log = self.unit == Unit::Micros;
        let up = match self.unit {
            Unit::Micros => {
                let least = values().filter(|y| *y > 0.0).fold(f64::INFINITY, f64::min);
                let least = if least.is_finite() { least } else { 1.0 };
                log_ticks(least, most.max(least * 1.01))
            }
            Unit::Percent => ticks(most.max(100.0), 4.0),
            Unit::Bytes => {
                let kib = ticks(most.max(1024.0) / 1024.0, 5.0);
                kib.into_iter().map(|kib| kib * 1024.0).collect()
            }
            Unit::Count => ticks(most.max(1.0), 4.0),
        };
        let (low, high) = (up.first().copied().unwrap_or(0.0), up.last().copied().unwrap_or(1.0));
        let least = self.points().map(|(x, _)| x).fold(across, f64::min);
        // A single rung needs an axis too.
        let from = if self.bars || least >= across {
            (across - 1.0).min(0.0).max(least - 1.0)
        } else {
            least
        };
        // Next to a line of 34,000 instances, one of 24 would be a stroke on the axis.
        let ends = || self.series.iter().filter_map(|s| s.points.last()).map(|&(x, _)| x);
        let wide = !self.bars && ends().fold(f64::INFINITY, f64::min).max(1.0) * 20.0 < across;
        let from = if wide { from.max(1.0) } else { from };
        let even = ticks(across, 8.0);
        let apart = even.get(1).copied().unwrap_or(1.0);
        let mut sideways: Vec<f64> =
            even.into_iter().filter(|x| x.fract() == 0.0 && *x >= from && *x <= across).collect();
        if wide {
            let powers = (0..10).map(|power| 10_f64.powi(power));
            sideways = powers.filter(|x| *x >= from && *x * 4.0 < across).collect();
            sideways.push(across);
        }
        // The last one is the peak, so it gets a number.
        if sideways.last().is_none_or(|last| across - last >= apart * 0.6) {
            sideways.push(across);
        }
        let scale = Scale { wide, from, across, low, high, log, bars: self.bars };
        (sideways, up, scale)
    }

    /// The panel, its upper left corner at 0, 0.
    #[must_use]
    pub fn panel(&self) -> Markup {
        let (sideways, up, scale) = self.axes();
        let floor = HEIGHT - BOTTOM;
        html! {
            text.title.ink x="16" y="27" { (self.title) }
            @if self.series.len() > 1 || self.series.iter().any(|s| !s.name.is_empty()) {
                (self.legend())
            }
            @for &tick in &up {
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(scale.y(tick))) y2=(at(scale.y(tick))) {}
                text.soft x=(LEFT - 8.0) y=(at(scale.y(tick) + 4.0)) text-anchor="end" {
                    (self.unit.tick(tick))
                }
            }
            line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(floor) y2=(floor) {}
            @for &tick in &sideways {
                @if !self.bars { line.axis x1=(at(scale.x(tick))) x2=(at(scale.x(tick))) y1=(floor) y2=(floor + 4.0) {} }
                // A long number at the edge would be cut.
                @let anchor = if scale.x(tick) + width_of(&short(tick)) / 2.0 > WIDTH { "end" } else { "middle" };
                text.soft x=(at(scale.x(tick))) y=(floor + 17.0) text-anchor=(anchor) { (short(tick)) }
            }
            text.soft x=(at(f64::midpoint(LEFT, WIDTH - RIGHT))) y=(HEIGHT - 9.0) text-anchor="middle" {
                (self.across) @if scale.wide { ", on a logarithmic axis" }
            }
            @if self.bars { (self.draw_bars(&scale)) } @else { (self.draw_lines(&scale)) }
            @if !self.bars && self.unit != Unit::Micros && (2..=4).contains(&self.series.len()) { (self.draw_names(&scale)) }
            @for (value, name) in &self.ceilings {
                line.limit x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(scale.y(*value))) y2=(at(scale.y(*value))) {}
                text.limit-text x=(WIDTH - RIGHT - 2.0) y=(at(scale.y(*value) - 6.0)) text-anchor="end" { (name) }
            }
        }
    }

    fn legend(&self) -> Markup {
        let names = self.series.iter().map(|series| &*series.name);
        html! {
            @for (series, (x, y)) in self.series.iter().zip(legend_places(names, 24.0, WIDTH)) {
                @if self.bars {
                    (swatch(x, y, series.colour, &series.name))
                } @else {
                    path class=(line_class(series)) d={ "M" (at(x)) " " (at(y)) "h18" } {}
                    @if series.stroke == Stroke::Solid {
                        path class={ "f" (series.colour % COLOURS.len()) } d=(marker(series.colour, x + 9.0, y)) {}
                    }
                    text.soft x=(at(x + 24.0)) y=(at(y + 4.0)) { (series.name) }
                }
            }
        }
    }

    fn draw_lines(&self, scale: &Scale) -> Markup {
        html! {
            @for series in &self.series {
                @let d = line(series, scale);
                path class=(line_class(series)) d=(d) {}
                @if series.stroke == Stroke::Solid && series.points.len() <= MARKED {
                    @for &(x, y) in series.points.iter().filter(|(x, _)| !scale.wide || *x > 0.0) {
                        path class={ "f" (series.colour % COLOURS.len()) }
                            d=(marker(series.colour, scale.x(x), scale.y(y))) {
                            title { (series.name) " at " (short(x)) ": " (self.unit.show(y)) }
                        }
                    }
                }
            }
        }
    }

    /// The heights of all other lines at `x`.
    fn heights<'c>(
        &'c self,
        scale: &'c Scale,
        name: &'c str,
        x: f64,
    ) -> impl Iterator<Item = f64> + 'c {
        self.series.iter().filter(move |series| series.name != name).flat_map(move |series| {
            series.points.windows(2).filter_map(move |pair| {
                let [(from, low), (to, high)] =
                    [pair[0], pair[1]].map(|(x, y)| (scale.x(x), scale.y(y)));
                (from <= x && x <= to && from < to)
                    .then(|| low + (high - low) * (x - from) / (to - from))
            })
        })
    }

    /// Names at the ends of the lines, away from other lines. Where two lines coincide, their two
    /// names show that both are there.
    fn draw_names(&self, scale: &Scale) -> Markup {
        let mut ends: Vec<(f64, f64, usize, &str)> = self
            .series
            .iter()
            .filter_map(|series| {
                let &(x, y) = series.points.last()?;
                let colour = series.colour % COLOURS.len();
                Some((scale.x(x), scale.y(y), colour, &*series.name))
            })
            .collect();
        ends.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut taken: Vec<(f64, f64, f64)> = Vec::new();
        let mut places = Vec::new();
        for (x, y, colour, name) in ends {
            let wide = width_of(name);
            let at_edge = x + 10.0 + wide > WIDTH - RIGHT;
            let (left, mut y) = if at_edge { (x - wide, y + 20.0) } else { (x + 10.0, y + 4.0) };
            let crossed = |y: f64| {
                [left, left + wide / 2.0, left + wide].into_iter().any(|x| {
                    self.heights(scale, name, x).any(|other| (y - 4.0 - other).abs() < 9.0)
                })
            };
            let written = |y: f64| {
                taken.iter().any(|&(from, to, other)| {
                    left < to && from < left + wide && (y - other).abs() < 13.0
                })
            };
            while y < HEIGHT - BOTTOM && (written(y) || crossed(y)) {
                y += 13.0;
            }
            taken.push((left, left + wide, y));
            let (x, anchor) = if at_edge { (x, "end") } else { (left, "start") };
            places.push((x, y.min(HEIGHT - BOTTOM - 4.0), anchor, colour, name));
        }
        html! {
            @for (x, y, anchor, colour, name) in places {
                text class={ "f" (colour) } x=(at(x)) y=(at(y)) text-anchor=(anchor) { (name) }
            }
        }
    }

    fn draw_bars(&self, scale: &Scale) -> Markup {
        let slot = (WIDTH - LEFT - RIGHT) / (scale.across + 1.0);
        let wide = (slot * 0.78).min(46.0);
        let floor = HEIGHT - BOTTOM;
        html! {
            @for series in &self.series {
                @for &(x, y) in &series.points {
                    rect class={ "f" (series.colour % COLOURS.len()) }
                        x=(at(scale.x(x) - wide / 2.0)) width=(at(wide))
                        y=(at(scale.y(y))) height=(at((floor - scale.y(y)).max(0.0)))
                        rx=(if wide > 6.0 { "2" } else { "0" }) {
                        title { "instance " (short(x)) ": " (self.unit.show(y)) }
                    }
                }
            }
        }
    }

    /// The panel as a picture of a page.
    #[must_use]
    pub fn inline(&self) -> Markup {
        html! {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.title) {
                (self.panel())
            }
        }
    }
}

fn line_class(series: &Series) -> String {
    let stroke = match series.stroke {
        Stroke::Solid => "",
        Stroke::Dashed => " dash",
        Stroke::Dotted => " dot",
    };
    format!("line s{}{stroke}", series.colour % COLOURS.len())
}

fn line(series: &Series, scale: &Scale) -> String {
    let mut d = String::new();
    // A logarithmic axis has no 0.
    let points = series.points.iter().filter(|(x, _)| !scale.wide || *x > 0.0);
    for (index, &(x, y)) in points.enumerate() {
        let letter = if index == 0 { 'M' } else { 'L' };
        let _ = write!(d, "{letter}{} {}", at(scale.x(x)), at(scale.y(y)));
    }
    d
}

/// Where the names of a legend go, each behind a sign, from left to right and then row by row.
pub(super) fn legend_places<'n>(
    names: impl Iterator<Item = &'n str>,
    sign: f64,
    wide: f64,
) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (16.0, 43.0);
    let mut places = Vec::new();
    for name in names {
        let room = sign + width_of(name);
        if x > 16.0 && x + room > wide {
            (x, y) = (16.0, y + 16.0);
        }
        places.push((x, y));
        x += room + 14.0;
    }
    places
}

/// A colour and its name.
pub(super) fn swatch(x: f64, y: f64, colour: usize, name: &str) -> Markup {
    html! {
        rect class={ "f" (colour % COLOURS.len()) } x=(at(x)) y=(at(y - 6.0)) width="11" height="11" rx="2" {}
        text.soft x=(at(x + 17.0)) y=(at(y + 4.0)) { (name) }
    }
}

/// All panels on one sheet, two in a row, with a heading.
#[must_use]
pub fn sheet(heading: &str, subtitle: &str, charts: &[Chart]) -> String {
    let columns = charts.len().clamp(1, 2);
    let rows = charts.len().div_ceil(columns);
    let (wide, head) = (WIDTH * columns as f64 + 16.0, 66.0);
    let high = head + HEIGHT * rows as f64 + 8.0;
    let sheet = html! {
        svg.chart xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (wide) " " (high) }
            width=(wide) height=(high) role="img" {
            title { (heading) }
            style { (PreEscaped(style())) }
            rect.paper x="0" y="0" width=(wide) height=(high) {}
            text.ink x="24" y="34" style="font-size:20px;font-weight:bold" { (heading) }
            text.soft x="24" y="55" { (subtitle) }
            @for (index, chart) in charts.iter().enumerate() {
                g transform={ "translate(" (8.0 + WIDTH * (index % columns) as f64) " " (head + HEIGHT * (index / columns) as f64) ")" } {
                    (chart.panel())
                }
            }
        }
    };
    format!("{}\n", sheet.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_written_on_another_line() {
        let series = |name: &str, colour, last: u32| Series {
            name: name.to_owned(),
            colour,
            stroke: Stroke::Solid,
            points: (1..=last).map(|n| (f64::from(n), 100.0)).collect(),
        };
        let chart = Chart {
            title: String::new(),
            across: "instances",
            unit: Unit::Percent,
            bars: false,
            series: vec![series("long", 0, 24), series("short", 1, 2)],
            ceilings: Vec::new(),
        };
        let (_, _, scale) = chart.axes();
        let names = chart.draw_names(&scale).into_string();
        let (before, _) = names.split_once(">short</text>").unwrap();
        let y = before.rsplit_once("y=\"").unwrap().1.split('"').next().unwrap();
        // Its middle is 4 above where it is written, its height 13.
        let middle = y.parse::<f64>().unwrap() - 4.0;
        assert!((middle - scale.y(100.0)).abs() > 6.5, "{names}");
    }
}
