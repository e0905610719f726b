//! Nodes of this version of the protocol between nodes and of the one before serve together (M1): what
//! they say to each other is of the version before, in whichever role either is.

use std::collections::BTreeSet;

use cluster::{PROTOCOL, PROTOCOL_BEFORE};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::cluster::{Trio, options, set};
use crate::cluster_tls::metric;
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::platform::{PUBLISHER, text};
use crate::support::stranger::message;

/// What answers first words.
const ANSWER: u16 = 65_001;

/// Keeps a node at the version before.
const KEPT_BACK: (&str, &str) = ("HEADGATE__CLUSTER__PROTOCOL", "before");

/// Messages that a node has sent and served in a version of the protocol.
pub async fn spoken(node: &Node, version: u16) -> [u64; 2] {
    let name = |way: &str| {
        let labels = format!("way=\"{way}\",protocol=\"{version}\"");
        format!("headgate_cluster_protocol_messages_total{{{labels}}}")
    };
    [
        metric(node, &name("sent")).await,
        metric(node, &name("served")).await,
    ]
}

/// What each member speaks, as this node was told.
async fn protocols(node: &Node) -> Vec<(String, String)> {
    let answer = node.get("/admin/cluster").bearer(&node.operator()).send();
    let answer = answer.await.expect(200).json();
    let of = |member: &Value, key: &str| text(member, key).to_owned();
    let mut told: Vec<_> = list(&answer, "list")
        .iter()
        .map(|member| (of(member, "name"), of(member, "protocol")))
        .collect();
    told.sort();
    told
}

/// These are named as nodes that cannot tell of their actors and their settings, and start none anew; all others tell.
async fn cannot_say(node: &Node, named: &[&str]) {
    let ask = |method, path: &str| node.call(method, path).bearer(&node.operator()).send();
    let no_word = |one: &Value| text(one, "why").contains("has no word for this");
    let actors = ask("GET", "/admin/actors").await.expect(200).json();
    let mut silent = list(&actors, "unanswered").to_vec();
    assert!(silent.iter().all(no_word), "{silent:?}");
    silent.sort_by_key(|one| text(one, "node").to_owned());
    let names: Vec<_> = silent.iter().map(|one| text(one, "node")).collect();
    assert_eq!(names, named);
    let config = ask("GET", "/admin/config").await.expect(200).json();
    for one in list(&config, "list") {
        let is_named = named.contains(&text(one, "node"));
        assert_eq!(one["settings"].is_null(), is_named, "{one}");
        assert!(!is_named || no_word(one), "{one}");
    }
    for name in named {
        let path = format!("/admin/actors/restart?node={name}&name=cluster");
        let refused = ask("POST", &path).await;
        assert_eq!(refused.status, 503);
        let told = refused.text();
        assert!(told.contains("has no word for this"), "{told}");
    }
}

fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().expect("a list")
}

/// Deploys, calls, throttles and revokes.
async fn serve(trio: &Trio, all: &str) {
    let (key, secret, access) = trio.subscriber("Three", 3).await;
    for _ in 0..3 {
        assert_eq!(trio.call(&access).await, 200);
    }
    assert_eq!(trio.call(&access).await, 429);
    let (_, _, other) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&other).await, 200);
    let revoke = trio.control.post("/oauth2/revoke").basic(&key, &secret);
    let revoked = revoke.form(&[("token", &access)]).send().await.expect(200);
    assert_eq!(revoked.header("headgate-applied"), all);
    assert_eq!(trio.call(&access).await, 401);
    // What is deployed now is served when its answer leaves.
    let (node, token) = (&trio.control, &trio.token);
    let more = node.published(token, "More", "/more", &trio.upstream.url);
    let more = more.await;
    let path = format!("{PUBLISHER}/apis/{more}");
    node.get(&path).bearer(token).send().await.expect(200);
    let anonymous = trio.gateway.api("GET", "/more/1.0.0/items").send().await;
    assert_eq!(anonymous.status, 401, "it is there");
}

fn named(rows: [(&str, &str); 3]) -> Vec<(String, String)> {
    let row = |(name, protocol): (&str, &str)| (name.to_owned(), protocol.to_owned());
    rows.map(row).to_vec()
}

#[tokio::test]
async fn a_gateway_of_the_version_before_serves_with_a_control_plane_of_this_one() {
    let trio = Trio::start_with(&[KEPT_BACK]).await;
    serve(&trio, "2/2").await;
    let [sent, served] = spoken(&trio.gateway, PROTOCOL_BEFORE).await;
    assert!(sent > 10 && served > 0, "{sent} {served}");
    assert_eq!(spoken(&trio.gateway, PROTOCOL).await, [0, 0]);
    // The two others speak this one with each other.
    for node in [&trio.control, &trio.traffic] {
        for version in [PROTOCOL_BEFORE, PROTOCOL] {
            let [sent, served] = spoken(node, version).await;
            assert!(sent > 0 && served > 0, "{version}: {sent} {served}");
        }
    }
    let (before, both) = (
        PROTOCOL_BEFORE.to_string(),
        format!("{PROTOCOL_BEFORE}-{PROTOCOL}"),
    );
    let (before, both) = (before.as_str(), both.as_str());
    let told = [("cp1", both), ("gw1", before), ("tm1", both)];
    assert_eq!(protocols(&trio.control).await, named(told));
    assert_eq!(protocols(&trio.gateway).await, named(told));
    // What the version before has no word for is said to be so.
    cannot_say(&trio.control, &["gw1"]).await;
    cannot_say(&trio.gateway, &["cp1", "tm1"]).await;
}

#[tokio::test]
async fn a_control_plane_of_the_version_before_serves_with_a_gateway_of_this_one() {
    let trio = Trio::start_both_with(&[KEPT_BACK], &[]).await;
    serve(&trio, "2/2").await;
    let [sent, served] = spoken(&trio.control, PROTOCOL_BEFORE).await;
    assert!(sent > 0 && served > 10, "{sent} {served}");
    assert_eq!(spoken(&trio.control, PROTOCOL).await, [0, 0]);
    for node in [&trio.gateway, &trio.traffic] {
        for version in [PROTOCOL_BEFORE, PROTOCOL] {
            let [sent, served] = spoken(node, version).await;
            assert!(sent > 0 && served > 0, "{version}: {sent} {served}");
        }
    }
}

#[tokio::test]
async fn traffic_managers_of_both_versions_own_shards_together() {
    let trio = Trio::start().await;
    let seed = trio.control.cluster_address();
    let mut before = options("tm2", "traffic-manager", &seed);
    set(&mut before, KEPT_BACK.0, KEPT_BACK.1);
    let third = options("tm3", "traffic-manager", &seed);
    let (second, _third) = tokio::join!(Node::start_with(before), Node::start_with(third));
    eventually(60, "all three own shards and say so", || async {
        let of = &trio.gateway;
        let shards = of.get("/admin/shards?limit=1000").bearer(&of.operator());
        let shards = shards.send().await.expect(200).json();
        let owner = |one: &Value| one["owner"].as_str().map(str::to_owned);
        let owners: Option<BTreeSet<_>> = list(&shards, "list").iter().map(owner).collect();
        let all = owners?.len() == 3 && list(&shards, "unanswered").is_empty();
        all.then_some(())
    })
    .await;
    serve(&trio, "4/4").await;
    let [sent, served] = spoken(&second, PROTOCOL_BEFORE).await;
    assert!(sent > 10 && served > 10, "{sent} {served}");
}

#[tokio::test]
async fn a_node_that_its_cluster_is_too_new_for_ends_and_says_which_versions_either_speaks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let seed = listener.local_addr().expect("a port").to_string();
    let later = [PROTOCOL + 1, PROTOCOL + 2];
    let refusing = async {
        loop {
            let (mut dialer, _) = listener.accept().await.expect("a dialer");
            let mut hello = vec![0; 64 * 1024];
            let _ = dialer.read(&mut hello).await;
            let [lowest, highest] = later.map(|version| u8::try_from(version).expect("small"));
            let refused = message(ANSWER, 1, &[1, 0, lowest, highest]);
            let _ = tokio::io::AsyncWriteExt::write_all(&mut dialer, &refused).await;
        }
    };
    let dir = tempfile::tempdir().expect("a directory");
    let mut old = options("gw1", "gateway", &seed);
    old.dir = Some(dir.path().to_owned());
    let ended = tokio::select! {
        () = refusing => unreachable!(),
        ended = Node::ends(&old) => ended,
    };
    assert_eq!(ended.code(), Some(1));
    let log = std::fs::read_to_string(dir.path().join("log")).expect("a log");
    let told = format!(
        "who refuses speaks {} to {}, who is refused {PROTOCOL_BEFORE} to {PROTOCOL}",
        later[0], later[1]
    );
    let mut lines = log.lines().filter(|line| line.contains(&told));
    assert!(lines.any(|line| line.contains(&seed)), "{log}");
}
