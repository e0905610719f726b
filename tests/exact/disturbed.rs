//! A busy machine is a fault beside the one that a run is about: nodes look silent to each other, or wait for a
//! processor for longer than calls are held.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::cluster::{Cluster, GATEWAYS};
use crate::support::node::Node;

/// A node that waited for longer than this, and several times longer than it ran, had no machine to run on.
const WAITED: Duration = Duration::from_millis(1_500);
const TIMES: u32 = 2;

/// Where the nodes were when a run began.
pub struct Before(BTreeMap<String, Place>);

struct Place {
    /// The length of its log.
    log: usize,
    pid: u32,
    work: Work,
}

/// What all threads of a process ran, and waited while they could have run.
#[derive(Clone, Copy, Default)]
struct Work {
    ran: Duration,
    waited: Duration,
}

impl Cluster {
    pub fn before(&self) -> Before {
        let places = self.nodes().map(|(name, node)| {
            let (log, pid, work) = (node.log().len(), node.pid(), Work::of(node.pid()));
            (name.clone(), Place { log, pid, work })
        });
        Before(places.collect())
    }

    /// What went wrong since then beside what was done to these nodes.
    pub fn disturbed(&self, since: &Before, done_to: &[&str]) -> Vec<String> {
        let mut all = Vec::new();
        for (name, node) in self.nodes() {
            let (name, place) = (name.as_str(), &since.0[name]);
            if !done_to.contains(&name) {
                all.extend(blames(name, node, place).filter_map(|(of, blame)| {
                    let of_others = of.is_none_or(|of| !done_to.contains(&of.as_str()));
                    of_others.then_some(blame)
                }));
            }
            let is_of_counters = is_manager(name) || GATEWAYS.contains(&name);
            if is_of_counters && node.pid() == place.pid {
                all.extend(starved(name, place));
            }
        }
        all
    }
}

fn is_manager(name: &str) -> bool {
    name.starts_with("tm")
}

/// What a node said since of others, and of itself.
fn blames(
    name: &str,
    node: &Node,
    since: &Place,
) -> impl Iterator<Item = (Option<String>, String)> {
    let log = node.log().get(since.log..).unwrap_or_default().to_owned();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let told = lines.filter_map(|line: Value| {
        let text = |member: &str| line[member].as_str().unwrap_or_default();
        let (of, message) = (text("member"), text("message"));
        if ["Suspect", "Down"].contains(&text("to")) && (is_manager(name) || is_manager(of)) {
            let blame = format!("{name} of {of}: {}", text("reason"));
            return Some((Some(of.to_owned()), blame));
        }
        let is_late = is_manager(name) && message.contains("stands still");
        is_late.then(|| (None, format!("{name}: {message}")))
    });
    told.collect::<Vec<_>>().into_iter()
}

/// Whether a node had no processor for long.
fn starved(name: &str, since: &Place) -> Option<String> {
    let now = Work::of(since.pid);
    let ran = now.ran.saturating_sub(since.work.ran);
    let waited = now.waited.saturating_sub(since.work.waited);
    let is_starved = waited > WAITED && waited > ran * TIMES;
    is_starved.then(|| format!("{name} ran {ran:?} and waited {waited:?} for a processor"))
}

impl Work {
    fn of(pid: u32) -> Self {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
        let threads = threads.into_iter().flatten().flatten();
        let mut all = Self::default();
        for thread in threads {
            let told = std::fs::read_to_string(thread.path().join("schedstat"));
            let told = told.unwrap_or_default();
            let mut numbers = told.split_whitespace().map_while(|text| text.parse().ok());
            if let (Some(ran), Some(waited)) = (numbers.next(), numbers.next()) {
                all.ran += Duration::from_nanos(ran);
                all.waited += Duration::from_nanos(waited);
            }
        }
        all
    }
}
