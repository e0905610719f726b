//! What `deploy/` has for other programs reads as what it is: YAML, JSON, and the parts of each that those programs need.
//! Their own tools say more where they are installed (`tools`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::stage::Finding;

/// The rules that Prometheus alerts by.
pub(crate) const ALERTS: &str = "deploy/prometheus/alerts.yaml";
const DASHBOARD: &str = "deploy/grafana/headgate.json";
const COMPOSE: &str = "deploy/compose/compose.yaml";
const CHART: &str = "deploy/helm/headgate";
/// What they may be worth to whoever is called.
const SEVERITIES: [&str; 2] = ["page", "ticket"];

/// What cannot be read, or lacks what it is for.
pub(crate) fn findings(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in files(root, "deploy")? {
        // A template is none of these before it is rendered.
        if path.contains("/templates/") {
            continue;
        }
        let text = text(root, &path)?;
        let Some(outcome) = read(&path, &text) else {
            continue;
        };
        match outcome {
            Err(error) => findings.push(Finding::new(&path, 0, format!("{error:#}"))),
            Ok(value) => {
                let lacks = match path.as_str() {
                    ALERTS => alerts_lack(&value),
                    DASHBOARD => dashboard_lacks(&value),
                    COMPOSE => compose_lacks(&value),
                    _ => Vec::new(),
                };
                findings.extend(lacks.into_iter().map(|what| Finding::new(&path, 0, what)));
            }
        }
    }
    findings.extend(values(root)?);
    Ok(findings)
}

/// The rules of a file of alerts, each with its name.
///
/// # Errors
/// When it is no YAML.
pub(crate) fn alerts(root: &Path) -> Result<Vec<String>> {
    let read = yaml(&text(root, ALERTS)?)?;
    let named = rules(&read).filter_map(|rule| rule["alert"].as_str());
    Ok(named.map(str::to_owned).collect())
}

/// All files below a folder, relative to the root, in order.
///
/// # Errors
/// When a folder cannot be read.
pub(crate) fn files(root: &Path, folder: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder));
        for entry in entries.with_context(|| format!("cannot read {folder}"))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn text(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}

/// A file of a kind that is judged here.
fn read(path: &str, text: &str) -> Option<Result<Value>> {
    let kind = Path::new(path).extension()?;
    match kind.to_str()? {
        "yaml" | "yml" => Some(yaml(text)),
        "json" => Some(serde_json::from_str(text).context("is no JSON")),
        _ => None,
    }
}

fn yaml(text: &str) -> Result<Value> {
    serde_saphyr::from_str(text).context("is no YAML")
}

fn rules(alerts: &Value) -> impl Iterator<Item = &Value> {
    let groups = alerts["groups"].as_array().into_iter().flatten();
    groups.flat_map(|group| group["rules"].as_array().into_iter().flatten())
}

/// Whoever is called reads a name, what is the matter, and what to do.
fn alerts_lack(read: &Value) -> Vec<String> {
    let mut lacks = Vec::new();
    let mut names = BTreeSet::new();
    for rule in rules(read) {
        let name = rule["alert"].as_str().unwrap_or("a rule without a name");
        if !names.insert(name) {
            lacks.push(format!("{name} is there twice"));
        }
        let severity = rule.pointer("/labels/severity").and_then(Value::as_str);
        if !severity.is_some_and(|severity| SEVERITIES.contains(&severity)) {
            lacks.push(format!("{name} is neither a page nor a ticket"));
        }
        for part in ["/expr", "/annotations/summary", "/annotations/description"] {
            let said = rule.pointer(part).and_then(Value::as_str);
            if said.is_none_or(str::is_empty) {
                lacks.push(format!("{name} has no {part}"));
            }
        }
    }
    if names.is_empty() {
        lacks.push("has no rules".to_owned());
    }
    lacks
}

/// Grafana drops a panel whose number is another's, and shows one without a query as empty.
fn dashboard_lacks(read: &Value) -> Vec<String> {
    let mut lacks = Vec::new();
    let mut numbers = BTreeSet::new();
    let panels = read["panels"].as_array();
    for panel in panels.into_iter().flatten() {
        let title = panel["title"].as_str().unwrap_or("a panel without a title");
        if !panel["id"].as_u64().is_some_and(|id| numbers.insert(id)) {
            lacks.push(format!("{title} has no id of its own"));
        }
        let mut asked = panel["targets"].as_array().into_iter().flatten();
        let is_row = panel["type"] == "row";
        let asks = panel["targets"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        let each = asked.all(|target| target["expr"].as_str().is_some_and(|one| !one.is_empty()));
        if !(is_row || asks && each) {
            lacks.push(format!("{title} asks for nothing"));
        }
    }
    if numbers.is_empty() {
        lacks.push("has no panels".to_owned());
    }
    lacks
}

/// What a service waits for, and where it keeps its data, is in the file.
fn compose_lacks(read: &Value) -> Vec<String> {
    let mut lacks = Vec::new();
    let has = |section: &str, name: &str| {
        let section = read[section].as_object();
        section.is_some_and(|section| section.contains_key(name))
    };
    let services = read["services"].as_object();
    for (name, service) in services.into_iter().flatten() {
        if !service["image"].is_string() {
            lacks.push(format!("{name} has no image"));
        }
        let waits = service["depends_on"].as_object().into_iter().flatten();
        for (other, _) in waits.filter(|(other, _)| !has("services", other)) {
            lacks.push(format!("{name} waits for {other}, which is no service"));
        }
        let mounts = service["volumes"].as_array().into_iter().flatten();
        let from = mounts.filter_map(|mount| mount.as_str()?.split_once(':').map(|(from, _)| from));
        for volume in from.filter(|from| !from.starts_with('.') && !has("volumes", from)) {
            lacks.push(format!("{name} has {volume} mounted, which is no volume"));
        }
    }
    if services.is_none_or(serde_json::Map::is_empty) {
        lacks.push("has no services".to_owned());
    }
    lacks
}

/// Each `.Values.` path of the chart's templates is one that its values have: Helm renders nothing in its place.
fn values(root: &Path) -> Result<Vec<Finding>> {
    let Ok(values) = yaml(&text(root, &format!("{CHART}/values.yaml"))?) else {
        // Told of above.
        return Ok(Vec::new());
    };
    let mut findings = Vec::new();
    for path in files(root, &format!("{CHART}/templates"))? {
        findings.extend(unknown_values(&path, &text(root, &path)?, &values));
    }
    Ok(findings)
}

fn unknown_values(path: &str, text: &str, values: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for rest in line.split(".Values.").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
            let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            let name = name.trim_end_matches('.');
            let pointer = format!("/{}", name.replace('.', "/"));
            if values.pointer(&pointer).is_none() {
                let what = format!("{name} is not in the chart's values.yaml");
                findings.push(Finding::new(path, number, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_yaml_or_json_is_told_and_other_files_are_not_read() {
        let fails = |path: &str, text: &str| read(path, text).map(|read| read.is_err());
        assert_eq!(fails("deploy/a.yaml", "a: [1"), Some(true));
        assert_eq!(fails("deploy/a.yaml", "a: &x {b: 1}\nc: *x"), Some(false));
        assert_eq!(fails("deploy/a.json", "{\"a\": 1,}"), Some(true));
        assert_eq!(fails("deploy/a.cfg", "{"), None);
    }

    #[test]
    fn an_alert_without_a_word_of_what_to_do_is_told() {
        let rule = |name: &str, severity: &str, description: &str| {
            json!({"alert": name, "expr": "up == 0", "labels": {"severity": severity},
                "annotations": {"summary": "down", "description": description}})
        };
        let of = |rules: Value| alerts_lack(&json!({"groups": [{"rules": rules}]}));
        assert_eq!(of(json!([rule("A", "page", "start it")])), [""; 0]);
        assert_eq!(
            of(json!([
                rule("A", "page", ""),
                rule("A", "whim", "start it")
            ])),
            [
                "A has no /annotations/description",
                "A is there twice",
                "A is neither a page nor a ticket"
            ]
        );
        assert_eq!(of(json!([])), ["has no rules"]);
    }

    #[test]
    fn a_panel_with_anothers_number_or_without_a_query_is_told() {
        let read = json!({"panels": [
            {"id": 1, "type": "row", "title": "Calls"},
            {"id": 2, "title": "Rate", "targets": [{"expr": "up"}]},
            {"id": 2, "title": "Errors", "targets": [{"expr": ""}]},
            {"id": 3, "title": "None", "targets": []},
        ]});
        assert_eq!(
            dashboard_lacks(&read),
            [
                "Errors has no id of its own",
                "Errors asks for nothing",
                "None asks for nothing"
            ]
        );
    }

    #[test]
    fn a_service_that_waits_for_nobody_or_keeps_its_data_nowhere_is_told() {
        let read = json!({"volumes": {"data": null}, "services": {
            "db": {"image": "x", "volumes": ["data:/data", "./a.sql:/a.sql:ro"]},
            "node": {"depends_on": {"dbs": {}}, "volumes": ["node:/data"]},
        }});
        assert_eq!(
            compose_lacks(&read),
            [
                "node has no image",
                "node waits for dbs, which is no service",
                "node has node mounted, which is no volume"
            ]
        );
    }

    #[test]
    fn a_value_that_the_chart_has_not_is_told_with_its_line() {
        let values = json!({"node": {"drainDelay": 1}, "settings": {}});
        let text = "{{ .Values.settings }}\n{{ add $.Values.node.drainDelay .Values.node.delay }}";
        let found = unknown_values("t.yaml", text, &values);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["t.yaml:2: node.delay is not in the chart's values.yaml"]
        );
    }
}
