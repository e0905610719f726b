//! What an operator sees of the actors of a whole cluster from any of its nodes, and does to one of them.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::Trio;
use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::node::Node;
use crate::support::platform::text;

/// Actors that show something of their state, and what.
const SHOWN: [(&str, &str); 8] = [
    ("gw1/gateway/follower", "applied up to"),
    ("gw1/gateway/refiller", "accounts"),
    ("gw1/gateway/keeper", "is cut off"),
    ("cp1/change-feed/feed", "head"),
    ("cp1/change-feed/pruner", "changes kept"),
    ("tm1/traffic-manager/policies", "applied up to"),
    ("tm1/traffic-manager/shards/0", "epoch"),
    ("gw1/cluster/node", "members connected"),
];

async fn ask(node: &Node, path: &str) -> Value {
    let asked = node.get(path).bearer(&node.operator()).send();
    asked.await.expect(200).json()
}

fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().expect("a list")
}

/// The nodes that rows are of, each once.
fn nodes(answer: &Value) -> Vec<&str> {
    let mut nodes: Vec<_> = list(answer, "list")
        .iter()
        .map(|row| text(row, "node"))
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// The terminal shows one line by line.
fn is_shown_at_the_terminal(node: &Node) {
    let words = ["actors", "show", "gateway/follower", "--node", "gw1"];
    let shown = node.command(&words).output().expect("the binary");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let has = |name: &str| shown.lines().any(|line| line.starts_with(name));
    assert!(has("applied up to ") && has("deals with "), "{shown}");
}

#[tokio::test]
async fn every_actor_of_a_cluster_is_seen_from_any_node_and_found_by_what_it_is() {
    let trio = Trio::start().await;
    let (_, _, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    let admin = trio.control.admin_token().await;
    let weak = trio
        .control
        .user_token("admin", &trio.control.admin_password, "openid");
    let weak = weak.await;
    for node in [&trio.control, &trio.traffic, &trio.gateway] {
        let look = |token: &str| node.get("/admin/cluster").bearer(token).send();
        look(&admin).await.expect(200);
        look(&weak).await.expect(403);
        let all = ask(node, "/admin/actors").await;
        assert_eq!(nodes(&all), ["cp1", "gw1", "tm1"]);
        assert_eq!(list(&all, "unanswered").len(), 0, "{all}");
        // Whoever is asked says its name, and its own rows come first.
        assert_eq!(all["toldBy"], list(&all, "list")[0]["node"]);
        let of_gateway = ask(node, "/admin/actors?node=gw1&component=gateway").await;
        let rows = list(&of_gateway, "list");
        let is_so = |row: &Value| text(row, "name").split('/').next() == Some("gateway");
        assert!(rows.len() > 3 && rows.iter().all(is_so), "{of_gateway}");
        let one = ask(node, "/admin/actors/gw1/gateway/validator").await;
        assert_eq!(
            (text(&one, "node"), text(&one, "parent")),
            ("gw1", "gateway")
        );
        assert!(one["handled"].as_u64() > Some(0), "{one}");
        assert!(one["times_ns"][2].as_u64() > Some(0), "{one}");
        assert!(one["state"]["batches under way"].is_string(), "{one}");
        assert!(list(&one, "links").contains(&"key managers".into()));
        assert!(one["stateAgeMs"].as_u64() < Some(1_000), "{one}");
        assert_eq!(one["stateLacks"], Value::Null);
        for (name, what) in SHOWN {
            let one = ask(node, &format!("/admin/actors/{name}")).await;
            assert!(one["state"][what].is_string(), "{name}: {one}");
        }
        let parent = ask(node, "/admin/actors/gw1/gateway").await;
        assert_eq!(parent["state"], Value::Null);
        let below = list(&parent, "children");
        assert!(below.contains(&"gateway/validator".into()), "{parent}");
    }
    is_shown_at_the_terminal(&trio.control);
    let page = ask(&trio.gateway, "/admin/actors?limit=2&offset=1").await;
    assert_eq!(list(&page, "list").len(), 2);
    assert_eq!(page["next"], 3);
    let operator = trio.gateway.operator();
    for path in ["/admin/actors/gw1/nobody", "/admin/actors/gw9/gateway"] {
        let unknown = trio.gateway.get(path).bearer(&operator).send().await;
        assert_eq!(unknown.status, 404, "{path}");
    }
}

#[tokio::test]
async fn settings_of_all_nodes_and_the_change_logs_followers_are_seen_from_any_node() {
    let trio = Trio::start().await;
    for node in [&trio.control, &trio.traffic, &trio.gateway] {
        let all = ask(node, "/admin/config").await;
        assert_eq!(nodes(&all), ["cp1", "gw1", "tm1"]);
        let one = ask(node, "/admin/config?node=gw1").await;
        let settings = list(&list(&one, "list")[0], "settings");
        let name = settings.iter().find(|one| one["key"] == "node.name");
        let name = name.expect("its name");
        assert_eq!(text(name, "value"), "gw1");
        assert_eq!(text(name, "origin"), "environment HEADGATE__NODE__NAME");
        let changes = ask(node, "/admin/changes").await;
        let followers = list(&changes, "followers");
        assert!(
            followers.iter().any(|one| one["node"] == "gw1"),
            "{changes}"
        );
        assert!(changes["head"].as_u64().is_some());
    }
}

/// A second, and what a busy machine may add.
const SECOND: Duration = Duration::from_millis(1_500);

/// What of everything that is told of the cluster these nodes do not tell within a second.
async fn looked_at_slowly(nodes: &[&Node]) -> Vec<(&'static str, Duration)> {
    let mut slow = Vec::new();
    for path in [
        "/admin/cluster",
        "/admin/shards",
        "/admin/keys/carbon.super/api/50KPerMin/0//shop/1.0.0",
        "/admin/config",
        "/admin/changes",
    ] {
        for node in nodes {
            let began = Instant::now();
            node.get(path).bearer(&node.operator()).send().await;
            slow.extend(Some((path, began.elapsed())).filter(|(_, took)| *took >= SECOND));
        }
    }
    slow
}

#[tokio::test]
async fn a_node_that_hangs_is_named_within_a_second_and_the_others_are_shown() {
    let trio = Trio::start().await;
    trio.traffic.signal("-STOP");
    let began = Instant::now();
    let all = ask(&trio.gateway, "/admin/actors").await;
    let spent = began.elapsed();
    let slow = looked_at_slowly(&[&trio.control, &trio.gateway]).await;
    let words = ["actors", "--output", "json"];
    let told = trio.control.command(&words).output().expect("the binary");
    trio.traffic.signal("-CONT");
    assert!(spent < SECOND, "{spent:?}");
    assert!(slow.is_empty(), "{slow:?}");
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(said.contains("tm1: "), "{said}");
    assert_eq!(nodes(&all), ["cp1", "gw1"]);
    let unanswered = list(&all, "unanswered");
    assert_eq!(unanswered.len(), 1, "{unanswered:?}");
    assert_eq!(text(&unanswered[0], "node"), "tm1");
    assert!(text(&unanswered[0], "why").contains("no answer"));
}

/// An actor, and how long the answer took.
async fn timed(node: &Node, path: &str) -> (Value, Duration) {
    let began = Instant::now();
    let one = ask(node, path).await;
    (one, began.elapsed())
}

#[tokio::test]
async fn an_actor_that_hangs_is_answered_for_in_time_with_what_it_showed_last_and_how_old_that_is()
{
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let environment = faults.options(dir.path()).environment;
    let pairs = environment.iter();
    let pairs: Vec<_> = pairs.map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let trio = Trio::start_with(&pairs).await;
    let (_, _, access) = trio.subscriber("Many", 1_000).await;
    let path = "/admin/actors/gw1/usage/queue";
    let before = ask(&trio.control, path).await;
    assert_eq!(before["stateLacks"], Value::Null, "{before}");
    assert!(before["state"]["incarnation"].is_string(), "{before}");
    // It writes down that there was a call, to a disk that hangs.
    faults.stick("\0");
    assert_eq!(trio.call(&access).await, 200);
    faults.until_met().await;
    let hangs = "it is busy or hangs: this is what it showed last";
    eventually(10, "it hangs", || async {
        let one = ask(&trio.gateway, path).await;
        (one["stateLacks"] == hangs).then_some(())
    })
    .await;
    let mut ages = Vec::new();
    for node in [&trio.control, &trio.traffic, &trio.gateway] {
        let (one, spent) = timed(node, path).await;
        assert!(spent < Duration::from_millis(1_500), "{spent:?}");
        assert_eq!(one["stateLacks"], hangs, "{one}");
        assert_eq!(one["state"], before["state"], "{one}");
        assert_eq!(one["links"], before["links"], "{one}");
        ages.push(one["stateAgeMs"].as_u64().expect("an age"));
    }
    // Nothing that it would have said since takes the old one's place.
    assert!(
        ages[0] > 0 && ages.is_sorted_by(|one, next| one < next),
        "{ages:?}"
    );
    let words = ["actors", "show", "usage/queue", "--node", "gw1"];
    let shown = trio.control.command(&words).output().expect("the binary");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(hangs), "{shown}");
    faults.unstick();
    eventually(10, "it shows itself again", || async {
        let one = ask(&trio.control, path).await;
        let is_fresh = one["stateAgeMs"].as_u64() < Some(1_000);
        (one["stateLacks"] == Value::Null && is_fresh).then_some(())
    })
    .await;
}

/// Both orders about an actor of `tm1`, which is gone, with what is said of them and how long that took.
async fn both_orders(node: &Node) -> [(u16, Value, Duration); 2] {
    let mut outcomes = Vec::new();
    for (method, path) in [
        ("GET", "/admin/actors/tm1/traffic-manager/policies"),
        (
            "POST",
            "/admin/actors/restart?node=tm1&name=traffic-manager/policies",
        ),
    ] {
        let began = Instant::now();
        let asked = node.call(method, path).bearer(&node.operator()).send();
        let answer = asked.await;
        outcomes.push((answer.status.into(), answer.json(), began.elapsed()));
    }
    outcomes.try_into().expect("two")
}

/// The same at the terminal.
fn is_said_at_the_terminal(node: &Node) {
    for words in [&["show"][..], &["restart", "--yes"]] {
        let name = ["traffic-manager/policies", "--node", "tm1"];
        let all = [&["actors"], words, &name[..]].concat();
        let ran = node.command(&all).output().expect("the binary");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains("tm1"), "{said}");
    }
}

#[tokio::test]
async fn of_an_actor_of_a_node_that_was_killed_it_is_said_in_time_that_the_node_says_nothing() {
    let mut trio = Trio::start().await;
    trio.traffic.kill();
    let at_once = both_orders(&trio.control).await;
    eventually(20, "it is seen to be down", || async {
        let seen = ask(&trio.control, "/admin/cluster").await;
        let mut members = list(&seen, "list").iter();
        let down = members.any(|one| one["name"] == "tm1" && one["health"] == "down");
        down.then_some(())
    })
    .await;
    let later = both_orders(&trio.control).await;
    for (status, body, _) in &later {
        let why = text(body, "description");
        assert!(
            *status == 503 && why.contains("there is no connection with it"),
            "{body}"
        );
    }
    for (status, body, spent) in at_once.into_iter().chain(later) {
        assert_eq!(status, 503, "{body}");
        let why = text(&body, "description");
        assert!(
            why.contains("node tm1 says nothing of its actors now: "),
            "{body}"
        );
        assert!(spent < Duration::from_millis(1_500), "{spent:?}");
    }
    is_said_at_the_terminal(&trio.control);
    let (what, of) = (
        "an actor is started anew",
        ("actor", "traffic-manager/policies"),
    );
    // Of the first one nobody may have known yet that it reached nobody; the last one is the terminal's.
    let outcomes = [
        "ordered",
        "",
        "ordered",
        "refused: ",
        "ordered",
        "refused: ",
    ];
    trio.control.has_audited(what, of, &outcomes).await;
}

#[tokio::test]
async fn an_actor_of_another_node_is_started_anew_by_hand_once_somebody_says_yes_and_that_is_audited()
 {
    let trio = Trio::start().await;
    let path = "/admin/actors/gw1/gateway/validator";
    let before = ask(&trio.control, path).await;
    let restart = "/admin/actors/restart?node=gw1&name=gateway/validator";
    let asked = trio.control.post(restart).bearer(&trio.control.operator());
    let answer = asked.send().await.expect(200).json();
    assert_eq!(text(&answer, "node"), "gw1");
    eventually(10, "it was started anew", || async {
        let now = ask(&trio.control, path).await;
        (now["restarts"].as_u64() > before["restarts"].as_u64()).then_some(())
    })
    .await;
    let of = ("actor", "gateway/validator");
    let what = "an actor is started anew";
    trio.control
        .has_audited(what, of, &["ordered", "done"])
        .await;
    let there = "an actor is started anew on another node's order";
    trio.gateway.has_audited(there, of, &["done"]).await;
    let nobody = "/admin/actors/restart?node=gw1&name=gateway/nobody";
    let asked = trio.control.post(nobody).bearer(&trio.control.operator());
    assert_eq!(asked.send().await.status, 404);
    // The same at the terminal, where somebody says yes.
    let by_hand = |words: &[&str]| {
        let all = ["actors", "restart", "gateway/validator", "--node", "gw1"];
        let ran = trio.control.command(&[&all[..], words].concat()).output();
        ran.expect("the binary")
    };
    let before = ask(&trio.control, path).await;
    let asked = by_hand(&[]);
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(!asked.status.success() && said.contains("nobody is there to be asked: say --yes"));
    assert_eq!(
        ask(&trio.control, path).await["restarts"],
        before["restarts"]
    );
    // Nobody is asked about one that is not there, and where it is asked may be said before the word.
    let data = trio.control.dir.join("data");
    let mut absent = std::process::Command::new(env!("CARGO_BIN_EXE_headgate"));
    absent.arg("actors").arg("--data-dir").arg(data);
    absent.args(["--node", "gw1", "restart", "gateway/valid"]);
    let absent = absent.output().expect("the binary");
    let said = String::from_utf8_lossy(&absent.stderr).into_owned();
    assert_eq!(absent.status.code(), Some(1), "{said}");
    let why = "the actor is not restarted: no actor gateway/valid on node gw1 is there";
    assert!(said.contains(why) && !said.contains("--yes"), "{said}");
    // Nor about one of another node than the one that is asked, where none is named.
    let elsewhere = trio
        .control
        .command(&["actors", "restart", "gateway/validator"]);
    let elsewhere = { elsewhere }.output().expect("the binary");
    let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    assert_eq!(elsewhere.status.code(), Some(1), "{said}");
    let why = "the actor is not restarted: no actor gateway/validator on node cp1 is there";
    assert!(said.contains(why) && !said.contains("--yes"), "{said}");
    let done = by_hand(&["--yes"]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(said, "gateway/validator of gw1 begins anew\n");
    eventually(10, "it was started anew", || async {
        let now = ask(&trio.control, path).await;
        (now["restarts"].as_u64() > before["restarts"].as_u64()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_looks_at_the_cluster_is_told_of_in_the_audit_log_once_a_minute() {
    let node = Node::start().await;
    let looks = || {
        let log = node.log();
        let lines = log.lines();
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines = lines.filter(|line| {
            line["target"] == "audit" && line["message"] == "somebody looks at the cluster"
        });
        let told = lines.map(|line| {
            let word = |name: &str| text(&line, name).to_owned();
            assert_eq!(word("tenant"), "carbon.super");
            assert_eq!(word("address"), "127.0.0.1");
            (word("user"), word("at"))
        });
        told.collect::<Vec<_>>()
    };
    let token = node.admin_token().await;
    let paths = [
        "/admin/cluster",
        "/admin/changes",
        "/admin/actors?node=nobody",
        "/admin/shards?limit=1",
        "/admin/keys/carbon.super/api/50KPerMin/0//shop/1.0.0",
        "/admin/config",
        "/admin/voters",
        "/admin/forget?node=nobody",
        "/admin/usage",
    ];
    let mut expected = Vec::new();
    for path in paths {
        for _ in 0..3 {
            node.get(path).bearer(&token).send().await;
        }
        node.get(path).send().await;
        expected.push(("admin".to_owned(), path.to_owned()));
    }
    node.get(paths[0]).bearer(&node.operator()).send().await;
    expected.push(("operator".to_owned(), paths[0].to_owned()));
    let told = eventually(10, "each look is told of", || async {
        Some(looks()).filter(|told| told.len() >= expected.len())
    })
    .await;
    assert_eq!(told, expected);
}
