//! Stacked bars as SVG: what an instance's bytes are for.

use maud::{Markup, PreEscaped, html};

use crate::show::chart::{COLOURS, WIDTH, at, legend_places, style, swatch, width_of};
use crate::show::number::grouped;

/// What things consist of: one stacked bar a row, in the order given.
#[derive(Clone, Debug)]
pub struct Stacks {
    /// What it shows.
    pub title: String,
    /// What the bars are made of; the index is the colour.
    pub parts: Vec<String>,
    /// A row's name and the bytes of each part, in the order of `parts`.
    pub rows: Vec<(String, Vec<u32>)>,
}

const ROW: f64 = 30.0;
const STACKS_WIDTH: f64 = 2.0 * WIDTH;

impl Stacks {
    fn height(&self) -> f64 {
        self.top() + ROW * self.rows.len() as f64 + 14.0
    }

    fn places(&self) -> Vec<(f64, f64)> {
        legend_places(self.parts.iter().map(String::as_str), 17.0, STACKS_WIDTH - 16.0)
    }

    fn top(&self) -> f64 {
        self.places().last().map_or(43.0, |place| place.1) + 20.0
    }

    /// The panel, its upper left corner at 0, 0.
    fn panel(&self) -> Markup {
        let total = |bytes: &[u32]| bytes.iter().map(|&bytes| f64::from(bytes)).sum::<f64>();
        let shown = |bytes: f64| format!("{} B", grouped(&format!("{bytes:.0}")));
        let most = self.rows.iter().map(|(_, bytes)| total(bytes)).fold(1.0, f64::max);
        let left = self.rows.iter().map(|(name, _)| width_of(name)).fold(0.0, f64::max).min(320.0);
        let (left, right) = (left + 28.0, width_of(&shown(most)) + 24.0);
        let scale = (STACKS_WIDTH - left - right) / most;
        let segments = |bytes: &[u32]| {
            let mut x = left;
            let mut all = Vec::new();
            for (part, &bytes) in bytes.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
                let wide = f64::from(bytes) * scale;
                all.push((part, bytes, x, wide));
                x += wide;
            }
            (all, x)
        };
        html! {
            text.title.ink x="16" y="27" { (self.title) }
            @for (part, (x, y)) in self.places().into_iter().enumerate() {
                (swatch(x, y, part, &self.parts[part]))
            }
            @for (row, (name, bytes)) in self.rows.iter().enumerate() {
                @let y = self.top() + ROW * row as f64;
                @let (segments, end) = segments(bytes);
                text.ink x=(at(left - 12.0)) y=(at(y + 17.0)) text-anchor="end" { (name) }
                @for (part, bytes, x, wide) in segments {
                    // A gap tells neighbours apart without their colours.
                    rect class={ "f" (part % COLOURS.len()) } x=(at(x)) y=(at(y)) height=(at(ROW - 6.0))
                        width=(at((wide - 1.0).max(0.6))) {
                        title { (name) ": " (self.parts[part]) " " (shown(bytes.into())) }
                    }
                    @let text = grouped(&bytes.to_string());
                    @if wide > width_of(&text) + 10.0 {
                        text.paper x=(at(x + wide / 2.0)) y=(at(y + 17.0)) text-anchor="middle" { (text) }
                    }
                }
                text.ink x=(at(end + 8.0)) y=(at(y + 17.0)) style="font-weight:bold" { (shown(total(bytes))) }
            }
        }
    }

    /// The panel as a picture of a page.
    #[must_use]
    pub fn inline(&self) -> Markup {
        html! {
            svg.chart viewBox={ "0 0 " (STACKS_WIDTH) " " (at(self.height())) } role="img" aria-label=(self.title) {
                (self.panel())
            }
        }
    }

    /// The panel as a picture of its own.
    #[must_use]
    pub fn sheet(&self) -> String {
        let (wide, high) = (STACKS_WIDTH + 16.0, self.height() + 8.0);
        let sheet = html! {
            svg.chart xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (wide) " " (at(high)) }
                width=(wide) height=(at(high)) role="img" {
                title { (self.title) }
                style { (PreEscaped(style())) }
                rect.paper x="0" y="0" width=(wide) height=(at(high)) {}
                g transform="translate(8)" { (self.panel()) }
            }
        };
        format!("{}\n", sheet.into_string())
    }
}
