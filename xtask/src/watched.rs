//! What a node tells of itself and what somebody is woken for stand in the manual, and nothing else does: each metric that
//! the code names has a row in `docs/operations.md`, as has each alert of `deploy/prometheus/alerts.yaml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::formats;
use crate::stage::Finding;
use crate::tokens::Kind;
use crate::workspace::Source;

const MANUAL: &str = "docs/operations.md";
/// The line that begins what the tables of metrics and alerts stand in, the one between the two, and the one behind.
const METRICS: &str = "### Metrics";
const ALERTED: &str = "Alert on:";
const BEHIND: &str = "### Logs";
/// Names like those of metrics that are none: a backup's first line has it.
const NO_METRICS: [&str; 1] = ["headgate_backup"];

/// Metrics and alerts without a row, and rows of what there is not.
pub(crate) fn findings(root: &Path, sources: &[Source]) -> Result<Vec<Finding>> {
    let manual = fs::read_to_string(root.join(MANUAL));
    let manual = manual.with_context(|| format!("cannot read {MANUAL}"))?;
    let alerts = formats::alerts(root)?;
    Ok(judged(&manual, sources, &alerts))
}

fn judged(manual: &str, sources: &[Source], alerts: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rows = rows(manual, METRICS, ALERTED);
    let explained: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.explained)
        .flat_map(|row| row.names.iter().copied())
        .collect();
    let mut emitted = BTreeSet::new();
    for source in sources.iter().filter(|source| is_product(source)) {
        for (name, line) in metrics(source) {
            if emitted.insert(name) && !explained.contains(name) {
                let what = format!("{name} has no row under {METRICS} in {MANUAL}");
                findings.push(Finding::new(&source.path, line, what));
            }
        }
    }
    for row in &rows {
        let ours = row.names.iter().filter(|name| is_metric(name));
        for name in ours.filter(|name| !emitted.contains(*name)) {
            let what = format!("no line of the code names {name}");
            findings.push(Finding::new(MANUAL, row.line, what));
        }
    }
    let rows = self::rows(manual, ALERTED, BEHIND);
    let is_in = |name: &str| {
        let mut named = rows.iter().filter(|row| row.explained);
        named.any(|row| row.names.contains(&name))
    };
    for name in alerts.iter().filter(|name| !is_in(name)) {
        let what = format!("{name} has no row under \"{ALERTED}\" in {MANUAL}, with what to do");
        findings.push(Finding::new(formats::ALERTS, 0, what));
    }
    for row in &rows {
        let alert = row
            .names
            .iter()
            .find(|name| alerts.iter().any(|one| one == *name));
        if alert.is_none() {
            let what = format!("names no alert of {}", formats::ALERTS);
            findings.push(Finding::new(MANUAL, row.line, what));
        }
    }
    findings
}

/// A row of a table.
struct Row<'a> {
    line: usize,
    /// What stands between backticks in the first cell, without labels.
    names: Vec<&'a str>,
    /// Whether every other cell says something.
    explained: bool,
}

/// The rows between two lines, without the head of a table.
fn rows<'a>(manual: &'a str, from: &str, to: &str) -> Vec<Row<'a>> {
    let lines = (1..).zip(manual.lines());
    let inside = lines
        .skip_while(|(_, line)| *line != from)
        .take_while(|(_, line)| *line != to);
    let rows = inside.filter_map(|(line, text)| Some((line, text.strip_prefix("| `")?)));
    rows.map(|(line, text)| {
        let mut cells = text.trim_end_matches('|').split(" | ");
        let first = cells.next().unwrap_or_default();
        let quoted = first.split('`').step_by(2);
        let name = |quoted: &'a str| quoted.split('{').next().unwrap_or(quoted);
        let rest: Vec<&str> = cells.collect();
        Row {
            line,
            names: quoted.map(name).collect(),
            explained: !rest.is_empty() && rest.iter().all(|cell| !cell.trim().is_empty()),
        }
    })
    .collect()
}

fn is_product(source: &Source) -> bool {
    let folder = source.path.split('/').next().unwrap_or_default();
    matches!(folder, "src" | "cluster") && !source.is_test()
}

/// The names of metrics in a file, each with its line.
fn metrics(source: &Source) -> Vec<(&str, usize)> {
    let texts = source
        .tokens
        .iter()
        .filter(|token| token.kind == Kind::Text);
    let named = texts.map(|token| (token.text.as_str(), token.line));
    named.filter(|(text, _)| is_metric(text)).collect()
}

fn is_metric(text: &str) -> bool {
    let letters =
        |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
    text.starts_with("headgate_")
        && !text.starts_with("headgate__")
        && text.bytes().all(letters)
        && !NO_METRICS.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL_TEXT: &str = "# Operating
| `headgate_elsewhere_total` | another table |
### Metrics
| series | what |
|---|---|
| `headgate_calls_total{api}`, `headgate_open` | calls |
| `headgate_gone_total` | nothing |
| `headgate_mute_total` | |
| `process_*` | of the process |
Alert on:
| alert | when | what to do |
|---|---|---|
| `HeadgateDown` | `up == 0` | start it |
| `HeadgateMute` | `up == 1` | |
| `HeadgateFormer` | `up == 2` | nothing |
### Logs
| `member` | no alert |
";

    #[test]
    fn what_is_told_and_what_wakes_somebody_has_a_row_that_says_what_it_is() {
        let code = r#"
            counter!("headgate_calls_total"); gauge!("headgate_open"); counter!("headgate_mute_total");
            counter!("headgate_new_total"); "headgate_backup"; "headgate__node__"; "headgate_x{y}";
        "#;
        let elsewhere = Source::of("tests/a.rs", "\"headgate_only_tested_total\"");
        let sources = [Source::of("src/app/a.rs", code), elsewhere];
        let alerts = ["HeadgateDown", "HeadgateMute", "HeadgateNew"].map(str::to_owned);
        let found = judged(MANUAL_TEXT, &sources, &alerts);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        let expected = [
            "src/app/a.rs:2: headgate_mute_total has no row",
            "src/app/a.rs:3: headgate_new_total has no row",
            "docs/operations.md:7: no line of the code names headgate_gone_total",
            "deploy/prometheus/alerts.yaml: HeadgateMute has no row",
            "deploy/prometheus/alerts.yaml: HeadgateNew has no row",
            "docs/operations.md:15: names no alert",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}");
        }
    }
}
