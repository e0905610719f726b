//! What `deploy/` names exists: settings as `HEADGATE__SECTION__KEY` and metrics, by the tables of `docs/configuration.md` and
//! `docs/operations.md`. And balancers log no query, for it may have a token.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::stage::Finding;

const TABLES: [&str; 2] = ["docs/configuration.md", "docs/operations.md"];
/// Whose names that begin with `headgate_` are metrics; elsewhere databases have such names.
const WATCHING: [&str; 2] = ["deploy/prometheus/", "deploy/grafana/"];

const LOGS_QUERIES: &str =
    "it logs queries, which may have tokens: give a log-format with the path alone";

/// Settings and metrics that these pages do not have.
pub(crate) fn findings(root: &Path) -> Result<Vec<Finding>> {
    let mut tables = String::new();
    for page in TABLES {
        let text = fs::read_to_string(root.join(page));
        tables.push_str(&text.with_context(|| format!("cannot read {page}"))?);
    }
    let mut findings = Vec::new();
    let mut folders = vec![root.join("deploy")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder);
        let entries = entries.with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let shown = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
                findings.extend(unknown(&shown, &text, &tables));
            }
        }
    }
    findings.sort_by_key(ToString::to_string);
    Ok(findings)
}

fn unknown(path: &str, text: &str, tables: &str) -> Vec<Finding> {
    let watches = WATCHING.iter().any(|folder| path.starts_with(folder));
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim() == "option httplog" {
            findings.push(Finding::new(path, number, LOGS_QUERIES));
        }
        for name in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let what = match name.strip_prefix("HEADGATE__") {
                Some("SECTION__KEY") => None,
                Some(key) => {
                    let key = key.to_ascii_lowercase().replace("__", ".");
                    let known = tables.contains(&format!("| `{key}` |"));
                    (!known).then(|| format!("{key} is no setting of {}", TABLES[0]))
                }
                None if watches && name.starts_with("headgate_") => {
                    let series = name.strip_suffix("_bucket").unwrap_or(name);
                    let mut found = tables.match_indices(series);
                    let known = found.any(|(at, _)| ends(tables.get(at + series.len()..)));
                    (!known).then(|| format!("{series} is no metric of {}", TABLES[1]))
                }
                None => None,
            };
            findings.extend(what.map(|what| Finding::new(path, number, what)));
        }
    }
    findings
}

/// Whether a name is over here.
fn ends(rest: Option<&str>) -> bool {
    let next = rest.and_then(|rest| rest.chars().next());
    next.is_none_or(|next| !next.is_ascii_alphanumeric() && next != '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "| `node.data_dir` | x |\n| `headgate_calls_total{api}` | y |";

    fn told(path: &str, text: &str) -> Vec<String> {
        let found = unknown(path, text, KNOWN);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_setting_that_there_is_not_is_named_with_its_line() {
        let good = "HEADGATE__NODE__DATA_DIR=/data \\\n# HEADGATE__SECTION__KEY";
        assert!(told("deploy/oci/Containerfile", good).is_empty());
        let found = told("deploy/oci/Containerfile", "\nHEADGATE__NODE__DATA: x");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("Containerfile:2") && found[0].contains("node.data is"));
    }

    #[test]
    fn a_balancer_that_logs_queries_is_named() {
        let found = told(
            "deploy/balancer/haproxy.cfg",
            "defaults\n    option httplog",
        );
        assert_eq!(found.len(), 1, "{found:?}");
        let said = "    # `option httplog` without the query.\n    log-format \"%HPO\"";
        assert!(told("deploy/balancer/haproxy.cfg", said).is_empty());
    }

    #[test]
    fn a_metric_is_known_by_its_whole_name_where_metrics_are_meant() {
        let text = "rate(headgate_calls_total[5m]), headgate_calls_total_bucket, headgate_calls";
        let found = told("deploy/prometheus/alerts.yaml", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            told(
                "deploy/compose/shared.sql",
                "CREATE DATABASE headgate_shared;"
            )
            .is_empty()
        );
    }
}
