//! What operators see of a cluster: metrics of members and asks, `headgate status` on any node.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::{CONTROL, Trio};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::platform::{DEVPORTAL, text};

async fn metrics(node: &Node) -> String {
    let metrics = node.get("/metrics").bearer(&node.operator()).send();
    metrics.await.expect(200).text()
}

fn value(metrics: &str, series: &str) -> f64 {
    let mut lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
    let found = lines.find(|(name, _)| *name == series);
    let (_, value) = found.unwrap_or_else(|| panic!("{series} in\n{metrics}"));
    value.parse().expect("a number")
}

#[tokio::test]
async fn metrics_tell_of_members_probes_asks_and_how_far_followers_are() {
    let mut trio = Trio::start().await;
    let (_, _, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    let told = metrics(&trio.gateway).await;
    for (series, least) in [
        ("headgate_cluster_members{state=\"up\"}", 3.0),
        ("headgate_cluster_transitions_total{to=\"up\"}", 2.0),
        ("headgate_cluster_probes_total", 1.0),
        ("headgate_cluster_probe_duration_seconds_count", 1.0),
        (
            "headgate_cluster_probe_duration_seconds_bucket{le=\"+Inf\"}",
            1.0,
        ),
        ("headgate_cluster_asks_sent_total{kind=\"Heartbeat\"}", 1.0),
        (
            "headgate_cluster_asks_ended_total{kind=\"Heartbeat\",outcome=\"answered\"}",
            1.0,
        ),
        (
            "headgate_cluster_asks_ended_total{kind=\"Heartbeat\",outcome=\"refused\"}",
            0.0,
        ),
        (
            "headgate_cluster_asks_ended_total{kind=\"Heartbeat\",outcome=\"given_up\"}",
            0.0,
        ),
        ("headgate_cluster_probes_failed_total", 0.0),
        ("headgate_cluster_asks_turned_down_total", 0.0),
        ("headgate_cluster_asks_in_flight", 0.0),
        ("headgate_cluster_bytes_in_flight{of=\"asks\"}", 0.0),
        ("headgate_cluster_bytes_in_flight{of=\"answers\"}", 0.0),
        ("headgate_cluster_members_leaving", 0.0),
    ] {
        assert!(value(&told, series) >= least, "{series} in\n{told}");
    }
    let of_control = metrics(&trio.control).await;
    let served = "headgate_cluster_asks_served_total{kind=\"Heartbeat\"}";
    assert!(value(&of_control, served) >= 1.0);
    for prefix in ["gateway@", "traffic-manager@"] {
        let series = format!("headgate_follower_behind_changes{{follower=\"{prefix}");
        let mut lines = of_control.lines();
        let line = lines.find(|line| line.starts_with(&series));
        assert!(line.is_some_and(|line| line.ends_with(" 0")), "{line:?}");
    }
    trio.traffic.kill();
    let down = "headgate_cluster_members{state=\"down\"}";
    eventually(30, "the metrics tell of it", || async {
        let told = metrics(&trio.gateway).await;
        (value(&told, down) == 1.0).then_some(())
    })
    .await;
    let told = metrics(&trio.gateway).await;
    let turns = "headgate_cluster_transitions_total{to=\"down\"}";
    assert!(value(&told, turns) >= 1.0);
}

#[tokio::test]
async fn how_far_followers_are_behind_rises_while_all_of_them_are_silent() {
    let trio = Trio::start().await;
    let (control, followers) = (&trio.control, [&trio.gateway, &trio.traffic]);
    for follower in followers {
        follower.signal("-STOP");
    }
    for name in ["one", "two"] {
        let path = format!("{DEVPORTAL}/applications?wait=none");
        let body = json!({"name": name, "throttlingPolicy": "Unlimited", "tokenType": "JWT"});
        let made = control.post(&path).bearer(&trio.token).json(&body);
        made.send().await.expect(201);
    }
    // Nobody says a word meanwhile.
    eventually(10, "the metrics tell how far", || async {
        let told = metrics(control).await;
        let behind = |prefix: &str| {
            let series = format!("headgate_follower_behind_changes{{follower=\"{prefix}");
            let line = told.lines().find(|line| line.starts_with(&series))?;
            line.rsplit_once(' ')?.1.parse::<u64>().ok()
        };
        let [of_gateway, of_traffic] = [behind("gateway@"), behind("traffic-manager@")];
        (of_gateway >= Some(2) && of_traffic >= Some(2)).then_some(())
    })
    .await;
    let (_, told) = status(control, &["--output", "json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let rows = told["changeLog"]["followers"].as_array();
    let rows = rows.expect("followers");
    assert_eq!(rows.len(), 2, "{told}");
    for row in rows {
        assert!(row["behind"].as_u64() >= Some(2), "{row}");
    }
    for follower in followers {
        follower.signal("-CONT");
    }
}

fn status(node: &Node, words: &[&str]) -> (Option<i32>, String) {
    let words = [&["status"], words].concat();
    let output = node.command(&words).output().expect("its end");
    let told = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), told)
}

/// What each of the three does.
fn roles_of(name: &str) -> &'static str {
    match name {
        "cp1" => CONTROL,
        "tm1" => "traffic-manager",
        _ => "gateway",
    }
}

#[tokio::test]
async fn status_shows_members_and_where_the_change_log_stands_on_any_node() {
    let trio = Trio::start().await;
    for node in [&trio.control, &trio.traffic, &trio.gateway] {
        let (code, told) = status(node, &["--output", "json"]);
        assert_eq!(code, Some(0), "{told}");
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let members = told["members"].as_array().expect("members");
        assert_eq!(members.len(), 3);
        for member in members {
            assert_eq!(text(member, "health"), "up");
            assert_eq!(text(member, "version"), env!("CARGO_PKG_VERSION"));
            assert!(member["since"].as_i64() > Some(0), "{member}");
            let roles = member["roles"].as_array().expect("roles");
            let has = |role: &str| roles.iter().any(|one| one == role);
            let own = roles_of(text(member, "name"));
            assert!(own.split(',').all(has), "{member}");
            assert_eq!(has("gateway"), own == "gateway", "{member}");
        }
        let log = &told["changeLog"];
        assert!(log["head"].as_u64() > Some(0), "{log}");
        let followers = log["followers"].as_array().expect("followers");
        let named = |name: &str| followers.iter().find(|one| one["node"] == name);
        let gateway = named("gw1").expect("it follows");
        assert_eq!(gateway["behind"], 0, "{gateway}");
        assert_eq!(text(gateway, "lease"), "held");
        assert_eq!(named("tm1").expect("it follows")["behind"], 0);
    }
    // Who stands still does not answer, and nobody waits long for it.
    trio.traffic.signal("-STOP");
    let (_, told) = status(&trio.gateway, &[]);
    trio.traffic.signal("-CONT");
    let rows: Vec<&str> = told.lines().collect();
    let of = |name: &str| {
        let row = rows.iter().find(|row| row.starts_with(name));
        row.unwrap_or_else(|| panic!("{name} in\n{told}"))
    };
    assert!(of("tm1").contains("no answer"), "{told}");
    assert!(of("cp1").contains(" up "), "{told}");
    assert!(of("gw1 *").contains(" up "), "{told}");
    let column_of_roles = of("NODE").find("ROLES").expect("a column");
    for (row, name) in [("cp1", "cp1"), ("tm1", "tm1"), ("gw1 *", "gw1")] {
        let told_roles = of(row).get(column_of_roles..).expect("a column");
        let told_roles = told_roles.split(' ').next().unwrap_or_default();
        let told_roles: BTreeSet<&str> = told_roles.split(',').collect();
        assert_eq!(told_roles, roles_of(name).split(',').collect(), "{told}");
    }
    assert!(told.contains("change log: "), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours where nobody looks");
    let column = |row: &str, word: &str| row.find(word);
    let state = column(of("NODE"), "STATE");
    assert_eq!(column(of("cp1"), "up"), state, "aligned: {told}");
}

#[tokio::test]
async fn who_has_not_applied_a_change_is_named_as_operators_name_it() {
    let trio = Trio::start().await;
    let (key, secret, access) = trio.subscriber("Many", 1_000).await;
    trio.gateway.signal("-STOP");
    let revoke = trio.control.post("/oauth2/revoke").basic(&key, &secret);
    let revoke = revoke.form(&[("token", &access)]);
    let revoked = revoke.send().await.expect(200);
    assert_eq!(
        revoked.header("headgate-applied"),
        "1/2; unreached=gateway@gw1"
    );
    trio.gateway.signal("-CONT");
}
