//! A cluster whose nodes all speak the protocol's version before is upgraded node by node, under load, and taken back
//! node by node, as `docs/operations.md` has operators do it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::{PROTOCOL, PROTOCOL_BEFORE};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::load::{Limited, Load};
use super::{Cluster, PATH, Place, Speaks};
use crate::cluster::{CONTROL, set};
use crate::protocol_versions::spoken;
use crate::support::node::{Node, Options};
use crate::support::platform::text;
use crate::support::{eventually, postgres};

/// A build that speaks the version before as its newest, or the same as this one (`cargo xtask upgrade`); without it that is
/// this one, kept back.
const BUILD: &str = "HEADGATE_ROLLING_BEFORE";
/// Two of each role, so that nodes of one role speak with each other in every version. In the order in which an operator
/// goes up: who is asked before who asks; back it is the other way around.
const NODES: [Place; 6] = [
    ("cp1", CONTROL),
    ("cp2", CONTROL),
    ("tm1", "traffic-manager"),
    ("tm2", "traffic-manager"),
    ("gw1", "gateway"),
    ("gw2", "gateway"),
];
/// What is called of a plan while one node is restarted, and what it lets through in all: it is used up when nearly all
/// have come back.
const TURNS: usize = 75;
const LIMITED: u64 = 800;

/// Makes it a node that speaks no later version than the one before.
pub(super) fn keep_back(options: &mut Options) {
    match std::env::var_os(BUILD) {
        Some(build) => options.binary = Some(PathBuf::from(build)),
        None => set(options, "HEADGATE__CLUSTER__PROTOCOL", "before"),
    }
}

async fn ask(node: &Node, path: &str) -> Value {
    let asked = node.get(path).bearer(&node.operator()).send();
    asked.await.expect(200).json()
}

impl Cluster {
    /// Whoever has just been started has said something in the versions that it has in common with others, and nothing
    /// in any other; and is shown with what it speaks.
    async fn speaks_as_told(&self, name: &str, newest: &BTreeSet<&str>, before: u16) {
        let node = &self.nodes[name];
        if before == PROTOCOL {
            assert_eq!(self.highest(name).await, PROTOCOL);
            return;
        }
        let others_speak = |speaks| {
            let others = NODES.iter().filter(|(other, _)| *other != name);
            let mut all = others.map(|(other, _)| newest.contains(other));
            all.any(|is_newest| is_newest == (speaks == Speaks::Newest))
        };
        let is_newest = newest.contains(name);
        for (version, is_spoken) in [
            (PROTOCOL, is_newest && others_speak(Speaks::Newest)),
            (PROTOCOL_BEFORE, !is_newest || others_speak(Speaks::Before)),
        ] {
            if is_spoken {
                let what = format!("{name} speaks {version}");
                eventually(10, &what, || async {
                    let [sent, served] = spoken(node, version).await;
                    (sent > 0 && served > 0).then_some(())
                })
                .await;
            } else if version == PROTOCOL_BEFORE || std::env::var_os(BUILD).is_none() {
                assert_eq!(spoken(node, version).await, [0, 0], "{name} in {version}");
            }
        }
        for (name, _) in NODES {
            let newest = newest.contains(name);
            let expected = if newest { PROTOCOL } else { PROTOCOL_BEFORE };
            assert_eq!(self.highest(name).await, expected, "{name}");
        }
    }

    /// The highest version that a node speaks, as another one tells.
    async fn highest(&self, name: &str) -> u16 {
        let members = ask(&self.nodes["gw1"], "/admin/cluster").await;
        let members = members["list"].as_array().expect("members");
        let member = members.iter().find(|one| text(one, "name") == name);
        let spoken = text(member.expect("a member"), "protocol");
        let highest = spoken.rsplit('-').next().and_then(|one| one.parse().ok());
        highest.unwrap_or_else(|| panic!("{name} speaks {spoken}"))
    }

    /// Each shard has an owner and a standby that has all of it, and each traffic manager owns some; gives the view's
    /// epoch.
    async fn has_all_shards(&self) -> u64 {
        eventually(30, "all shards are owned and copied", || async {
            let shards = ask(&self.nodes["gw1"], "/admin/shards?limit=1000").await;
            let list = shards["list"].as_array().expect("shards");
            let is_whole = |one: &Value| one["phase"] == "active" && one["standby"].is_string();
            let owners: BTreeSet<_> = list
                .iter()
                .filter_map(|one| one["owner"].as_str())
                .collect();
            let is_whole = list.len() == 256 && list.iter().all(is_whole) && owners.len() == 2;
            let answered = shards["unanswered"].as_array().is_some_and(Vec::is_empty);
            let epoch = shards["view"]["epoch"].as_u64()?;
            (is_whole && answered).then_some(epoch)
        })
        .await
    }

    /// A new node of the version before comes into a cluster of which some speak the newest, serves calls and goes.
    async fn takes_a_newcomer(&self, access: &str, before: u16) {
        let options = self.options(("gw4", "gateway"), Speaks::Before);
        let mut newcomer = Node::start_with(options).await;
        for _ in 0..20 {
            let call = newcomer.api("GET", PATH).bearer(access).send().await;
            assert_eq!(call.status, 200);
        }
        let [sent, served] = spoken(&newcomer, before).await;
        assert!(sent > 0 && served > 0, "{sent} {served}");
        assert_eq!(newcomer.terminate().await, Some(0));
    }
}

#[tokio::test]
async fn a_cluster_goes_to_the_next_version_and_back_and_fails_no_request_and_changes_no_limit() {
    let Some(server) = postgres::server() else {
        return;
    };
    let mut cluster = Cluster::start(&server, "versions", &NODES, Speaks::Before).await;
    let turns = Arc::new(Semaphore::new(0));
    let limited = Limited {
        a_day: LIMITED,
        pause: Duration::from_millis(40),
        turns: Some(Arc::clone(&turns)),
    };
    let load = Load::start(&cluster, limited).await;
    let mut newest = BTreeSet::new();
    let mut view = cluster.has_all_shards().await;
    let before = cluster.highest("gw1").await;
    let is_other_build = std::env::var_os(BUILD).is_some();
    let is_known = before == PROTOCOL_BEFORE || is_other_build && before == PROTOCOL;
    assert!(is_known, "the nodes to go up speak {before}");
    for (name, _) in NODES {
        cluster.speaks_as_told(name, &newest, before).await;
    }
    let up = NODES.into_iter().map(|one| (one, Speaks::Newest));
    let back = NODES.into_iter().rev().map(|one| (one, Speaks::Before));
    for (one, speaks) in up.chain(back) {
        turns.add_permits(TURNS);
        cluster.restart(one, speaks).await;
        match speaks {
            Speaks::Newest => newest.insert(one.0),
            Speaks::Before => newest.remove(one.0),
        };
        let epoch = cluster.has_all_shards().await;
        assert!(epoch > view || one.1 != "traffic-manager", "{one:?}");
        view = epoch;
        cluster.speaks_as_told(one.0, &newest, before).await;
        load.works().await;
        if one.0 == "tm2" && speaks == Speaks::Newest {
            cluster.takes_a_newcomer(&load.access, before).await;
        }
    }
    turns.add_permits(TURNS);
    eventually(60, "all turns are taken", || async {
        (turns.available_permits() == 0).then_some(())
    })
    .await;
    let few = load.ends().await;
    let (asked, whole) = (few.passed + few.throttled, LIMITED * 99 / 100..=LIMITED);
    assert!(whole.contains(&few.passed), "{} of {asked}", few.passed);
    assert!(asked > LIMITED, "{asked}: the plan is used up");
}
