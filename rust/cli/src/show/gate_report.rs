//! A gate's verdict as a report in Markdown.

use std::fmt::Write as _;

use crate::model::fitted::Fitted;
use crate::model::gate::{Judged, Verdict};
use crate::show::number::{count, grouped, micros};

/// The report, a page that GitHub shows as the summary of a job.
#[must_use]
pub fn report(fitted: &Fitted, verdict: &Verdict) -> String {
    let (board, image) = (&fitted.board, &fitted.board.image);
    let mut text = if verdict.passes() {
        "## wramp gate: passed\n\n".to_owned()
    } else {
        format!("## wramp gate: failed\n\n**{}**\n\n", verdict.reason())
    };
    let zephyr =
        image.zephyr.as_ref().map_or(String::new(), |version| format!(", Zephyr {version}"));
    let _ = writeln!(
        text,
        "{}.\n\n{} ({}), {} interpreter, {} bits; image of {}{zephyr}: {}.\n",
        fitted.sentence,
        board.name,
        board.board,
        fitted.interpreter,
        board.pointer_bits,
        image.date,
        board.tier.says()
    );
    if let Some(why) = &verdict.no_baseline {
        let _ = writeln!(text, "The baseline was not compared: {why}.\n");
    }
    text += &modules(verdict);
    for one in verdict.modules.iter().filter(|one| !one.changes.is_empty()) {
        text += &changes(one);
    }
    for one in verdict.modules.iter().filter(|one| one.is_stale()) {
        let Some(time) = &one.time else { continue };
        let _ = writeln!(
            text,
            "\nThe time of {} is from {}, which measured a module of {} bytes. This one has {}.",
            one.name,
            time.from,
            count(time.module_bytes.unwrap_or(0)),
            count(one.is.module_bytes)
        );
    }
    text
}

/// One row a module.
fn modules(verdict: &Verdict) -> String {
    let timed = verdict.modules.iter().any(|one| one.time.is_some());
    let mut head = vec!["module", "fit", "before", "at least", "bytes each", "before", "at most"];
    if timed {
        head.extend(["us a call", "at most"]);
    }
    let bar = head.iter().enumerate().map(|(place, _)| if place == 0 { "---" } else { "---:" });
    let mut text = row(&head.iter().map(ToString::to_string).collect::<Vec<_>>());
    text += &row(&bar.map(str::to_owned).collect::<Vec<_>>());
    let or_dash = |number: Option<u32>| number.map_or("-".to_owned(), count);
    for one in &verdict.modules {
        let (is, was, wanted) = (&one.is, one.was.as_ref(), &one.wanted);
        let mut cells = vec![
            cell(&one.name),
            count(is.instances),
            or_dash(was.map(|was| was.instances)),
            or_dash(wanted.least),
            count(is.instance_bytes),
            or_dash(was.map(|was| was.instance_bytes)),
            or_dash(wanted.most_bytes),
        ];
        if timed {
            cells.push(one.time.as_ref().map_or("-".into(), |time| micros(time.us)));
            cells.push(wanted.most_us.map_or("-".into(), micros));
        }
        text += &row(&cells);
    }
    text
}

/// What changed in an instance, part by part.
fn changes(one: &Judged) -> String {
    let mut text = format!("\n### An instance of {}: {}\n\n", cell(&one.name), one.story());
    text += "| part | bytes | before | change | because |\n| --- | ---: | ---: | ---: | --- |\n";
    for change in &one.changes {
        let by = change.by();
        let sign = if by > 0 { "+" } else { "" };
        text += &row(&[
            cell(&change.part),
            count(change.is),
            count(change.was),
            format!("{sign}{}", grouped(&by.to_string())),
            cell(change.because.as_deref().unwrap_or("")),
        ]);
    }
    text
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Text of a module or a file, which must not become Markdown.
fn cell(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '\\' | '~') {
            safe.push('\\');
        }
        safe.push(if c.is_control() { ' ' } else { c });
    }
    safe
}
