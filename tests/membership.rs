//! How nodes find each other and keep together, whatever order they start in and whatever they have
//! lost.

use std::path::Path;

use serde_json::Value;

use crate::cluster::{CONTROL, members, options, set};
use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::net::Net;
use crate::support::node::{Node, Options};
use crate::support::upstream::Upstream;

/// A port where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("a port").to_string()
}

async fn until_up(node: &Node, count: usize) {
    let what = format!("{count} are up");
    eventually(60, &what, || async {
        let members = members(node).await;
        let up = members.iter().filter(|(_, health)| health == "up");
        (up.count() == count).then_some(())
    })
    .await;
}

fn unready(options: Options) -> Options {
    Options {
        unready: true,
        ..options
    }
}

#[tokio::test]
async fn a_seed_that_comes_late_is_met_and_one_that_never_comes_is_told_of_and_forgiven() {
    let net = Net::start();
    let (late, never) = (net.place("cp1"), nobody());
    let seeds = format!("{never},{late}");
    let gateway = Node::start_with(unready(options("gw1", "gateway", &seeds))).await;
    let traffic = options("tm1", "traffic-manager", &seeds);
    let traffic = Node::start_with(unready(traffic)).await;
    assert_eq!(members(&gateway).await.len(), 1, "there is nobody to meet");
    let mut of_control = options("cp1", CONTROL, "");
    let advertised = ("HEADGATE__CLUSTER__ADVERTISE".to_owned(), late.clone());
    of_control.environment.push(advertised);
    let control = Node::start_with(of_control).await;
    net.aim(&late, &control.cluster_address());
    for node in [&control, &traffic, &gateway] {
        until_up(node, 3).await;
    }
    gateway.until_ready().await;
    let log = gateway.log();
    let told = |address: &str| {
        let lines = log.lines().filter(|line| line.contains(address));
        lines
            .filter(|line| line.contains("node cannot be dialed"))
            .count()
    };
    // It is dialed again and again, and told of at the first time and seldom after.
    assert!((1..=3).contains(&told(&never)), "{log}");
}

/// Options of a node in a directory, which is reached at an address that stays.
fn placed(dir: &Path, name: &str, roles: &str, address: &str, seeds: &str) -> Options {
    let mut placed = options(name, roles, seeds);
    let advertised = (
        "HEADGATE__CLUSTER__ADVERTISE".to_owned(),
        address.to_owned(),
    );
    placed.environment.push(advertised);
    let dir = dir.join(name);
    std::fs::create_dir_all(&dir).expect("a directory");
    placed.dir = Some(dir);
    unready(placed)
}

#[tokio::test]
async fn nodes_that_were_all_down_meet_again_whichever_starts_first() {
    let (net, dir) = (Net::start(), tempfile::tempdir().expect("a directory"));
    let places = ["cp1", "tm1", "gw1"].map(|name| net.place(name));
    let roles = [CONTROL, "traffic-manager", "gateway"];
    let names = ["cp1", "tm1", "gw1"];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut nodes = Vec::new();
        for at in order {
            // The founder has no seed; it remembers where the others were.
            let seeds = if at == 0 { "" } else { &places[0] };
            let options = placed(dir.path(), names[at], roles[at], &places[at], seeds);
            let node = Node::start_with(options).await;
            net.aim(&places[at], &node.cluster_address());
            nodes.push(node);
        }
        for node in &nodes {
            until_up(node, 3).await;
            node.until_ready().await;
        }
    }
}

/// What a node shows of a member that is up.
pub async fn shown(node: &Node, name: &str) -> Value {
    let answer = node.get("/admin/cluster").bearer(&node.operator()).send();
    let answer = answer.await.expect(200).json();
    let list = answer["list"].as_array().cloned().expect("a list");
    let named = |member: &Value| member["name"] == name && member["health"] == "up";
    list.into_iter().find(named).expect("it is there")
}

async fn id(node: &Node, name: &str) -> String {
    let shown = shown(node, name).await;
    shown["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_node_that_lost_its_disk_is_another_one_of_the_same_name() {
    let control = Node::start_with(options("cp1", CONTROL, "")).await;
    let dir = tempfile::tempdir().expect("a directory");
    let traffic = || {
        let options = options("tm1", "traffic-manager", &control.cluster_address());
        Options {
            dir: Some(dir.path().to_owned()),
            ..options
        }
    };
    let mut first = Node::start_with(traffic()).await;
    until_up(&control, 2).await;
    let before = id(&control, "tm1").await;
    first.kill();
    std::fs::remove_dir_all(dir.path().join("data")).expect("removed");
    let unready = true;
    let second = Node::start_with(Options {
        unready,
        ..traffic()
    });
    let second = second.await;
    until_up(&control, 2).await;
    until_up(&second, 2).await;
    assert_ne!(id(&control, "tm1").await, before);
    // That the first one never runs again is for an operator to say; then it counts in its place.
    let mut forget = second.command(&["cluster", "forget", &before, "--yes"]);
    let told = forget.output().expect("the command");
    assert!(told.status.success(), "{told:?}");
    let given_up = "what a node held of lost shards is given up";
    let outcomes = ["ordered", "agreed: it founded the view register"];
    let of = ("nodes", before.as_str());
    second.has_audited(given_up, of, &outcomes).await;
    second.until_ready().await;
}

#[tokio::test]
async fn a_founder_that_lost_what_it_knew_of_its_cluster_founds_no_other() {
    let net = Net::start();
    let mut of_control = options("cp1", CONTROL, "");
    let dir = tempfile::tempdir().expect("a directory");
    of_control.dir = Some(dir.path().to_owned());
    let (mut control, place) = net.node("cp1", of_control).await;
    let traffic = Node::start_with(options("tm1", "traffic-manager", &place)).await;
    until_up(&control, 2).await;
    control.kill();
    for file in ["carbon.db", "carbon.db-wal", "carbon.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join("data").join(file));
    }
    let mut again = options("cp1", CONTROL, "");
    set(&mut again, "HEADGATE__CLUSTER__ADVERTISE", &place);
    again.dir = Some(dir.path().to_owned());
    let control = Node::start_with(again).await;
    net.aim(&place, &control.cluster_address());
    until_up(&control, 2).await;
    until_up(&traffic, 2).await;
    let log = control.log();
    assert_eq!(log.matches("founded a cluster").count(), 1, "{log}");
}

#[tokio::test]
async fn a_node_that_learns_that_it_was_started_again_meanwhile_ends_and_says_so() {
    let control = Node::start_with(options("cp1", CONTROL, "")).await;
    let seed = control.cluster_address();
    let mut old = Node::start_with(options("tm1", "traffic-manager", &seed)).await;
    let before = id(&control, "tm1").await;
    old.signal("-STOP");
    // Another machine has what was on its disk.
    let copy = tempfile::tempdir().expect("a directory");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([old.dir.join("data"), copy.path().join("data")])
        .status();
    assert!(copied.expect("cp").success());
    let _ = std::fs::remove_file(copy.path().join("data/run/ports.json"));
    let mut again = options("tm1", "traffic-manager", &seed);
    again.dir = Some(copy.path().to_owned());
    let new = Node::start_with(again).await;
    until_up(&new, 2).await;
    old.signal("-CONT");
    assert!(old.aborts_within(30).await, "{}", old.log());
    let log = old.log();
    assert!(
        log.contains("the same node has been started again since"),
        "{log}"
    );
    until_up(&control, 2).await;
    assert_eq!(id(&control, "tm1").await, before);
}

#[tokio::test]
async fn a_node_that_is_back_at_another_address_with_its_clock_set_back_is_the_member_it_was() {
    let roles = format!("{CONTROL},gateway");
    let control = Node::start_with(unready(options("cp1", &roles, ""))).await;
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let traffic = || {
        let mut with_faults = faults.options(dir.path());
        let joined = options("tm1", "traffic-manager", &control.cluster_address());
        with_faults.environment.extend(joined.environment);
        with_faults
    };
    let mut first = Node::start_with(traffic()).await;
    until_up(&control, 2).await;
    control.until_ready().await;
    let (upstream, token) = (Upstream::start().await, control.admin_token().await);
    let api = control.published(&token, "Shop", "/shop", &upstream.url);
    let held = control.subscribed(&token, &api.await, "app", "JWT").await;
    let access = control.client_token(&held.key, &held.secret).await;
    let (before, address) = (id(&control, "tm1").await, first.cluster_address());
    first.kill();
    faults.set_clock(-86_400);
    let second = Node::start_with(traffic()).await;
    until_up(&control, 2).await;
    until_up(&second, 2).await;
    assert_eq!(id(&control, "tm1").await, before);
    assert_ne!(second.cluster_address(), address);
    eventually(40, "it grants units of the plan", || async {
        let call = control.api("GET", "/shop/1.0.0/items").bearer(&access);
        call.send().await.status.is_success().then_some(())
    })
    .await;
}
