//! What operators see of counters on several nodes, and what they order: shards, keys, voters, what is given up.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::{Trio, options};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::platform::text;

/// Runs a command; gives its exit code, its output and what it said beside that.
pub fn run(node: &Node, words: &[&str]) -> (Option<i32>, String, String) {
    let output = node.command(words).output().expect("its end");
    let told = String::from_utf8(output.stdout).expect("text");
    let said = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), told, said)
}

async fn looked(node: &Node, path: &str) -> Value {
    let answer = node.get(path).bearer(&node.operator()).send().await;
    answer.expect(200).json()
}

/// Until these own all shards, in a view that is active.
pub async fn owned_by(node: &Node, names: &[&str]) {
    eventually(60, "these own the shards", || async {
        let view = looked(node, "/admin/shards?limit=1").await["view"].clone();
        let members = view["members"].as_array().cloned().unwrap_or_default();
        let mut known: Vec<&str> = members.iter().map(|one| text(one, "name")).collect();
        known.sort_unstable();
        (view["phase"] == "active" && known == names).then_some(())
    })
    .await;
}

pub async fn metric(node: &Node, series: &str) -> f64 {
    let told = node.get("/metrics").bearer(&node.operator()).send().await;
    let told = told.expect(200).text();
    let mut lines = told.lines().filter_map(|line| line.rsplit_once(' '));
    let found = lines.find(|(name, _)| *name == series);
    let (_, value) = found.unwrap_or_else(|| panic!("{series} in\n{told}"));
    value.parse().expect("a number")
}

#[tokio::test]
async fn shards_and_a_key_are_seen_on_any_node_with_owner_standby_and_leases() {
    let trio = Trio::start().await;
    let seed = trio.control.cluster_address();
    let second = Node::start_with(options("tm2", "traffic-manager", &seed)).await;
    owned_by(&trio.gateway, &["tm1", "tm2"]).await;
    let (_, _, access) = trio.subscriber("Forty", 40).await;
    let served = eventually(60, "calls are counted", || async {
        let status = trio.call(&access).await;
        (status != 503).then_some(status)
    });
    assert_eq!(served.await, 200);

    let all = looked(&trio.gateway, "/admin/shards?limit=1000").await;
    assert_eq!(all["pagination"]["total"], 256);
    assert_eq!(all["unanswered"], json!([]));
    let rows = all["list"].as_array().expect("rows");
    let of = |name: &str| rows.iter().filter(|row| row["owner"] == name).count();
    assert_eq!(of("tm1") + of("tm2"), 256);
    assert!(of("tm1") > 64 && of("tm2") > 64);
    for row in rows {
        assert_ne!(row["owner"], row["standby"], "{row}");
        assert_eq!(row["epoch"], all["view"]["epoch"], "{row}");
    }
    let of_second = looked(&trio.control, "/admin/shards?node=tm2&limit=1").await;
    assert_eq!(
        of_second["pagination"]["total"], 256,
        "of two each has its part in all"
    );

    // One that is counted, by its name.
    let counted = |row: &&Value| row["keys"].as_u64() > Some(0);
    let row = rows.iter().find(counted).expect("something is counted");
    let shard = row["shard"].to_string();
    let named = [
        "shards", "--shard", &shard, "--keys", "200", "--output", "json",
    ];
    let (code, told, said) = run(&trio.gateway, &named);
    assert_eq!(code, Some(0), "{said}");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let key = told["list"][0]["named"][0]
        .as_str()
        .expect("a key")
        .to_owned();
    let (code, told, said) = run(&trio.control, &["keys", &key, "--output", "json"]);
    assert_eq!(code, Some(0), "{said}");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(text(&told, "key"), key);
    is_counted_as_its_shard_is_owned(&told, row);
    // As a person types it.
    let typed = looked(&trio.control, &format!("/admin/keys/{key}")).await;
    assert_eq!(typed["shard"], told["shard"]);
    let unknown = format!("/admin/keys/{key}-and-more");
    let unknown = trio.control.get(&unknown).bearer(&trio.control.operator());
    unknown.send().await.expect(404);
    counters_are_told(&trio, &second, &key).await;
    one_that_stands_still_is_named(&trio, &second).await;
}

/// A key of this row's shard, of which a lease has something.
fn is_counted_as_its_shard_is_owned(told: &Value, row: &Value) {
    for name in ["owner", "standby", "epoch"] {
        assert!(!told[name].is_null(), "{name}");
        assert_eq!(told[name], row[name], "{name}");
    }
    let moment = |name: &str| told["window"][name].as_i64().expect("a moment");
    let units = [("min", 60_000), ("hour", 3_600_000), ("day", 86_400_000)];
    let unit = text(&told["window"], "timeUnit");
    let (_, lasts) = *units.iter().find(|(name, _)| *name == unit).expect(unit);
    assert_eq!(moment("end") - moment("start"), lasts, "{told}");
    assert_eq!(told["leases"][0]["gateway"], "gw1");
    assert!(told["granted"].as_u64() > Some(0), "{told}");
    let (limit, granted) = (told["limit"].as_u64(), told["granted"].as_u64());
    let left = limit.zip(granted).map(|(limit, granted)| limit - granted);
    assert_eq!(told["left"].as_u64(), left);
}

/// What was granted, called back and fenced, and which calls were held, is in the metrics; each view is in a log, with its
/// reason.
async fn counters_are_told(trio: &Trio, second: &Node, key: &str) {
    let (code, _, said) = run(&trio.control, &["keys", "reset", key]);
    assert_eq!(code, Some(0), "{said}");
    let told = async |node: &Node| node.get("/metrics").bearer(&node.operator()).send().await;
    let (first, second_told) = (told(&trio.traffic).await, told(second).await);
    let of_owners = [first.expect(200).text(), second_told.expect(200).text()].concat();
    for series in [
        "headgate_ledger_granted_units_total",
        "headgate_ledger_recalls_total",
        "headgate_ledger_answers_total{outcome=\"granted\"}",
        "headgate_ledger_fences_total{step=\"passed\"}",
    ] {
        let lines = of_owners.lines().filter_map(|line| line.rsplit_once(' '));
        let of = lines.filter(|(name, _)| *name == series);
        let sum: f64 = of.filter_map(|(_, value)| value.parse::<f64>().ok()).sum();
        assert!(sum >= 1.0, "{series} in\n{of_owners}");
    }
    let held = "headgate_throttle_held_calls";
    assert!(metric(&trio.gateway, &format!("{held}_total")).await >= 1.0);
    assert_eq!(metric(&trio.gateway, held).await, 0.0);
    let mut told_of = BTreeSet::new();
    for node in [&trio.control, &trio.traffic, &trio.gateway, second] {
        let log = node.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let is_of_view = |line: &Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with("a view of traffic managers ")
        };
        let views: Vec<Value> = lines.filter(is_of_view).collect();
        let of: BTreeSet<_> = views
            .iter()
            .map(|line| (line["epoch"].as_u64(), line["message"].to_string()))
            .collect();
        assert_eq!(of.len(), views.len(), "one line a view: {views:?}");
        let reasons = views.iter().map(|line| text(line, "reason").to_owned());
        told_of.extend(reasons);
    }
    for reason in [
        "tm2 came",
        "owners and standbys have what was granted before",
    ] {
        assert!(told_of.contains(reason), "{reason}: {told_of:?}");
    }
}

/// Nobody waits long for it either.
async fn one_that_stands_still_is_named(trio: &Trio, second: &Node) {
    second.signal("-STOP");
    let silent = eventually(10, "its silence is seen", || async {
        let told = looked(&trio.gateway, "/admin/shards?limit=1").await;
        (told["unanswered"] == json!(["tm2"])).then_some(())
    });
    silent.await;
    let (code, told, _) = run(&trio.gateway, &["shards"]);
    second.signal("-CONT");
    assert_eq!(code, Some(0));
    assert!(told.starts_with("view "), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours where nobody looks");
}

#[tokio::test]
async fn voters_are_chosen_through_any_node_and_stay_until_the_choice_is_taken_back() {
    let mut trio = Trio::start().await;
    owned_by(&trio.gateway, &["tm1"]).await;
    let refused = |words: &[&str], wanted: &str| {
        let words = [&["cluster", "voters", "set"], words].concat();
        let (code, _, said) = run(&trio.gateway, &words);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(wanted), "{said}");
    };
    refused(&["tm1", "cp1"], "1, 3 or 5");
    refused(&["tm1", "cp1", "moon"], "moon");
    refused(&["tm1", "cp1", "cp1"], "twice");
    let set = ["cluster", "voters", "set", "tm1", "cp1", "gw1"];
    let (code, told, said) = run(&trio.gateway, &set);
    assert_eq!(code, Some(0), "{told}{said}");
    assert!(said.contains("done: view"), "{said}");
    assert!(told.contains("chosen by an operator"), "{told}");
    let seen = looked(&trio.gateway, "/admin/voters").await;
    assert_eq!(seen["settled"], true);
    let mut voters: Vec<&str> = seen["view"]["voters"]
        .as_array()
        .expect("voters")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    voters.sort_unstable();
    assert_eq!(voters, ["cp1", "gw1", "tm1"]);
    let chosen = "who votes on views is chosen";
    let named = ("nodes", "tm1 cp1 gw1");
    let log = &trio.gateway;
    log.has_audited(chosen, named, &["ordered", "agreed"]).await;
    // A voter less, and the two others go on.
    trio.control.kill();
    let away = eventually(30, "it is seen to be away", || async {
        let seen = looked(&trio.gateway, "/admin/voters").await;
        let voters = seen["voters"].as_array().expect("voters");
        let of = voters.iter().find(|one| one["name"] == "cp1");
        let is_away = of.is_some_and(|one| one["answers"] == false);
        (is_away && voters.len() == 3).then_some(())
    });
    away.await;
    let again = ["cluster", "voters", "set", "tm1", "cp1", "gw1"];
    let (code, _, said) = run(&trio.gateway, &again);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cp1"), "{said}");
    let (code, told, said) = run(&trio.gateway, &["cluster", "voters", "auto"]);
    assert_eq!(code, Some(0), "{told}{said}");
    assert!(told.contains("chosen by the cluster"), "{told}");
    let left = "who votes on views is left to the cluster";
    let agreed = ["ordered", "agreed"];
    trio.gateway.has_audited(left, ("nodes", ""), &agreed).await;
    // Without a majority nothing is agreed on, and that is told as well.
    trio.traffic.kill();
    let (code, told, said) = run(&trio.gateway, &["cluster", "voters", "auto"]);
    assert_eq!(code, Some(1), "{told}{said}");
    let refused = ["ordered", "agreed", "ordered", "refused: "];
    trio.gateway
        .has_audited(left, ("nodes", ""), &refused)
        .await;
}

#[tokio::test]
async fn nothing_is_given_up_of_a_node_that_is_there_or_that_lost_nothing() {
    let trio = Trio::start().await;
    owned_by(&trio.gateway, &["tm1"]).await;
    for (node, wanted) in [
        ("tm1", "not known to be down"),
        ("gw1", "not known to be down"),
        ("moon", "does not exist"),
    ] {
        let (code, _, said) = run(&trio.gateway, &["cluster", "forget", node, "--yes"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(wanted), "{said}");
        // As whoever asks nothing before the order.
        let token = trio.gateway.operator();
        let body = json!({"node": node});
        let ordered = trio
            .gateway
            .post("/admin/forget")
            .bearer(&token)
            .json(&body);
        let refused = ordered.send().await;
        assert!(refused.text().contains(wanted), "{refused:?}");
        let given_up = "what a node held of lost shards is given up";
        let outcomes = ["ordered", "refused: "];
        trio.gateway
            .has_audited(given_up, ("nodes", node), &outcomes)
            .await;
    }
    let epoch = metric(&trio.gateway, "headgate_view_epoch").await;
    assert!(epoch > 0.0);
    assert_eq!(metric(&trio.gateway, "headgate_view_active").await, 1.0);
    assert_eq!(metric(&trio.traffic, "headgate_view_members").await, 1.0);
    assert_eq!(
        metric(&trio.traffic, "headgate_view_lost_shards").await,
        0.0
    );
    let changes = "headgate_view_changes_total{phase=\"active\"}";
    assert!(metric(&trio.traffic, changes).await >= 1.0);
}
