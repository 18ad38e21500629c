//! A table, written as text, Markdown, CSV, JSON or HTML.
//!
//! A person gets an aligned table with the columns that matter, with separators in large numbers
//! and with names decoded. CSV and JSON hold every key as it stands in the record.

use std::borrow::Cow;

use clap::ValueEnum;
use maud::{Markup, html};
use serde_json::{Map, Number, Value};
use wramp_core::report::Word;

use crate::show::number;
use crate::show::terminal::wide;

/// A column: its name for a program, its heading for a person, and how its values are written.
#[derive(Clone, Debug)]
pub struct Column {
    /// The key, as in a record.
    pub key: Cow<'static, str>,
    /// The heading; empty where only programs see the column.
    pub heading: Cow<'static, str>,
    /// How its values are written for a person.
    pub style: CellStyle,
}

/// How a column's values are written for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellStyle {
    /// Text that comes from no record, to the left.
    Plain,
    /// A name of a record, decoded, to the left.
    Name,
    /// A sentence of a record, decoded, to the left.
    Sentence,
    /// A number with separators, to the right.
    Number,
    /// Thousandths as a percentage.
    Permille,
    /// Microseconds with three figures or more.
    Micros,
}

/// A column for persons and programs.
#[must_use]
pub const fn column(key: &'static str, heading: &'static str, style: CellStyle) -> Column {
    Column { key: Cow::Borrowed(key), heading: Cow::Borrowed(heading), style }
}

/// A table. A cell that is `None` was not measured, which is not zero.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its name for a program.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as long as the columns.
    pub rows: Vec<Vec<Option<String>>>,
    /// Indices of rows that add up others. Only a person sees them: a program would add them up
    /// again.
    pub sums: Vec<usize>,
    /// Cells (row, column) that get a `*`, which `note` explains.
    pub marks: Vec<(usize, usize)>,
    /// What the marks mean; written below the table where there are any.
    pub note: &'static str,
}

/// How to write a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
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

impl CellStyle {
    fn is_left(self) -> bool {
        matches!(self, Self::Plain | Self::Name | Self::Sentence)
    }

    /// A value as a person reads it.
    #[must_use]
    pub fn write(self, text: &str) -> String {
        match (self, text.parse::<f64>()) {
            (Self::Plain, _) => text.to_owned(),
            (Self::Name, _) => Word(text).readable().to_string(),
            // An underscore stands for a space there; a real one is an escape.
            (Self::Sentence, _) => Word(&text.replace('_', " ")).readable().to_string(),
            (_, Err(_)) => text.to_owned(),
            (Self::Number, Ok(_)) => number::grouped(text),
            (Self::Permille, Ok(permille)) => number::percent(permille),
            (Self::Micros, Ok(micros)) => number::micros(micros),
        }
    }
}

impl Table {
    /// The columns that a person sees: those with a heading, where any row has a value.
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
        let text = value.map_or_else(|| "-".into(), |text| self.columns[column].style.write(text));
        if self.marks.contains(&(row, column)) { text + "*" } else { text }
    }

    /// What the marks mean, where there are any.
    fn footnote(&self) -> Option<&'static str> {
        (!self.marks.is_empty()).then_some(self.note)
    }

    /// Aligned text, the title above, for this terminal where stdout is one.
    #[must_use]
    pub fn text(&self) -> String {
        self.text_within(wide())
    }

    /// The same. Where the lines are longer than `most`, the table goes on below with its other
    /// columns, so that no line breaks. The names in front are repeated.
    #[must_use]
    pub fn text_within(&self, most: Option<usize>) -> String {
        let shown = self.shown();
        let mut lines = vec![shown.iter().map(|&c| self.columns[c].heading.to_string()).collect()];
        for row in 0..self.rows.len() {
            lines.push(shown.iter().map(|&c| self.cell(row, c)).collect::<Vec<_>>());
        }
        let widths: Vec<usize> = (0..shown.len())
            .map(|place| lines.iter().map(|line| line[place].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = format!("{}\n", most.map_or(self.title.clone(), |m| broken(&self.title, m)));
        for (number, block) in self.blocks(&shown, &widths, most).into_iter().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            for line in &lines {
                let mut out = String::new();
                for (index, &place) in block.iter().enumerate() {
                    let gap = if index == 0 { "  " } else { "   " };
                    let (cell, width) = (&line[place], widths[place]);
                    if self.columns[shown[place]].style.is_left() {
                        out.push_str(&format!("{gap}{cell:<width$}"));
                    } else {
                        out.push_str(&format!("{gap}{cell:>width$}"));
                    }
                }
                text.push_str(out.trim_end());
                text.push('\n');
            }
        }
        if let Some(note) = self.footnote() {
            text += &format!("  * {note}\n");
        }
        text
    }

    /// Places of the shown columns, in blocks that are no wider than `most`.
    fn blocks(&self, shown: &[usize], widths: &[usize], most: Option<usize>) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..shown.len()).collect();
        let wide = |block: &[usize]| block.iter().map(|&place| widths[place] + 3).sum::<usize>();
        let Some(most) = most.filter(|&most| wide(&all) > most + 1) else { return vec![all] };
        let names = shown.iter().take_while(|&&c| self.columns[c].style.is_left()).count();
        let (front, rest) = all.split_at(names.min(all.len().saturating_sub(1)));
        let mut blocks: Vec<Vec<usize>> = vec![front.to_vec()];
        for &place in rest {
            let last = blocks.len() - 1;
            let has_own = blocks[last].len() > front.len();
            if has_own && wide(&blocks[last]) + widths[place] + 3 > most + 1 {
                blocks.push(front.to_vec());
            }
            let last = blocks.len() - 1;
            blocks[last].push(place);
        }
        blocks
    }

    /// Markdown, the title above in bold.
    #[must_use]
    pub fn markdown(&self) -> String {
        let shown = self.shown();
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escape = |text: String| text.replace('|', "\\|").replace('*', "\\*");
        let mut text = format!("**{}**\n\n", self.title);
        text += &row(shown.iter().map(|&c| self.columns[c].heading.to_string()).collect());
        text += &row(shown
            .iter()
            .map(|&c| if self.columns[c].style.is_left() { "---" } else { "---:" }.into())
            .collect());
        for index in 0..self.rows.len() {
            text += &row(shown.iter().map(|&c| escape(self.cell(index, c))).collect());
        }
        if let Some(note) = self.footnote() {
            text += &format!("\n\\* {note}\n");
        }
        text
    }

    /// The rows without their sums, for programs.
    fn data(&self) -> impl Iterator<Item = &Vec<Option<String>>> {
        let is_data = |(index, row)| (!self.sums.contains(&index)).then_some(row);
        self.rows.iter().enumerate().filter_map(is_data)
    }

    /// Comma-separated values below a line of keys; an absent value is empty.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing rows of equal length to memory does not fail.
        let _ = writer.write_record(self.columns.iter().map(|column| &*column.key));
        for row in self.data() {
            let cells = row.iter().map(|cell| inert(cell.as_deref().unwrap_or("")));
            let _ = writer.write_record(cells.map(|cell| cell.into_owned().into_bytes()));
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }

    /// An array with one object a row; an absent value is null.
    #[must_use]
    pub fn json(&self) -> Value {
        let object = |row: &Vec<Option<String>>| {
            let pair = |(column, cell): (&Column, &Option<String>)| {
                (column.key.to_string(), json_value(column.style, cell.as_deref()))
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

    /// The table in this format.
    #[must_use]
    pub fn write(&self, format: TableFormat) -> String {
        match format {
            TableFormat::Table => self.text(),
            TableFormat::Markdown => self.markdown(),
            TableFormat::Csv => self.csv(),
            TableFormat::Json => format!("{:#}\n", self.json()),
        }
    }

    /// A table of a page, in a box that scrolls sideways on a narrow screen.
    #[must_use]
    pub fn html(&self) -> Markup {
        let shown = self.shown();
        let class = |c: usize| if self.columns[c].style.is_left() { "word" } else { "number" };
        html! {
            div.scroll tabindex="0" role="region" aria-label=(self.title) {
                table {
                    caption {
                        (self.title)
                        @if let Some(note) = self.footnote() { " (* " (note) ")" }
                    }
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

/// A sentence in lines of at most so many characters, where its words allow that.
fn broken(sentence: &str, most: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// A cell that no spreadsheet runs as a formula. An apostrophe makes it text there. A number may
/// begin with a minus sign, and a minus sign alone stands for an empty name.
#[must_use]
pub fn inert(cell: &str) -> Cow<'_, str> {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula && cell != "-" && cell.parse::<f64>().is_err() {
        return Cow::Owned(format!("'{cell}"));
    }
    Cow::Borrowed(cell)
}

fn json_value(style: CellStyle, text: Option<&str>) -> Value {
    match text {
        None => Value::Null,
        Some(text) if style.is_left() => text.into(),
        Some(text) => text
            .parse::<i64>()
            .ok()
            .map(Number::from)
            .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
            .map_or_else(|| text.into(), Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table wider than a terminal goes on below, and each cell is still there once.
    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_cell_is_lost() {
        let heads = ["log", "peak", "predicted", "bytes each", "module bytes", "calls", "errors"];
        let style = |place| if place == 0 { CellStyle::Plain } else { CellStyle::Number };
        let columns =
            heads.iter().enumerate().map(|(place, head)| column(head, head, style(place)));
        let cell = |row: usize, place: usize| match place {
            0 => Some(format!("log{row}")),
            place => Some(format!("{}", 1_000_000 * row + 10_007 * place)),
        };
        let rows = (1..3).map(|row| (0..heads.len()).map(|place| cell(row, place)).collect());
        let title = "Summary of a log whose name and machine make a title of two lines".into();
        let table =
            Table { title, columns: columns.collect(), rows: rows.collect(), ..Table::default() };
        for most in [30, 40, 60, 80, 200] {
            let text = table.text_within(Some(most));
            assert!(text.lines().all(|line| line.chars().count() <= most), "{most}\n{text}");
            for (row, place) in (0..2).flat_map(|row| (1..heads.len()).map(move |p| (row, p))) {
                assert_eq!(text.matches(&table.cell(row, place)).count(), 1, "{most}\n{text}");
            }
        }
        assert_eq!(table.text_within(Some(200)), table.text_within(None));
    }
}
