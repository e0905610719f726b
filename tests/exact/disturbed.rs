//! A busy machine that makes nodes look silent to each other is a fault beside the one that a run is about.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cluster::{Cluster, MANAGERS};

/// How long the nodes' logs were when a run began.
pub struct Logs(BTreeMap<String, usize>);

impl Cluster {
    pub fn logs(&self) -> Logs {
        let nodes = self.nodes();
        Logs(
            nodes
                .map(|(name, node)| (name.clone(), node.log().len()))
                .collect(),
        )
    }

    /// Nodes that were blamed since then and that nothing had been done to, with who blamed them: of `done_to` that is
    /// expected, and so is what they say of others.
    pub fn blamed(&self, since: &Logs, done_to: &[&str]) -> Vec<String> {
        let is_spared = |name: &str| done_to.contains(&name);
        let counts = |one: &str, other: &str| MANAGERS.contains(&one) || MANAGERS.contains(&other);
        let mut blamed = Vec::new();
        for (name, node) in self.nodes().filter(|(name, _)| !is_spared(name)) {
            let log = node.log();
            let new = log.get(since.0[name]..).unwrap_or_default();
            let lines = new
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            for line in lines {
                let line: Value = line;
                let text = |member: &str| line[member].as_str().unwrap_or_default();
                let of = text("member");
                let is_blame = ["Suspect", "Down"].contains(&text("to"));
                if is_blame && !is_spared(of) && counts(name, of) {
                    blamed.push(format!("{name} of {of}: {}", text("reason")));
                }
                if MANAGERS.contains(&name.as_str()) && text("message").contains("stands still") {
                    blamed.push(format!("{name}: {}", text("message")));
                }
            }
        }
        blamed
    }
}
