//! A running node reads its configuration once more: what can change does at once, of the rest it is said that it waits.

use serde_json::Value;

use crate::support::eventually;
use crate::support::http::Client;
use crate::support::node::{Node, Options};
use crate::support::shop::Shop;

/// What the audit log says of an order to read it.
const ORDERED: &str = "the configuration is read anew on request";
const LIMIT: &str = "body_limit = \"1KB\"\n";

/// What `headgate reload` says; none where it refuses, with its words.
fn reload(node: &Node) -> Result<Value, String> {
    let ran = node.command(&["reload", "--output", "json"]).output();
    let ran = ran.expect("the binary");
    if ran.status.success() {
        return Ok(serde_json::from_slice(&ran.stdout).expect("JSON"));
    }
    Err(String::from_utf8_lossy(&ran.stderr).into_owned())
}

/// What is in force and what waits, by key.
fn found(answer: &Value) -> [Vec<&str>; 2] {
    ["applied", "atRestart"].map(|list| {
        let rows = answer[list].as_array().expect("a list");
        rows.iter()
            .map(|row| row["key"].as_str().expect("a key"))
            .collect()
    })
}

/// Another configuration file, by what is put in the place of what.
fn edit(node: &Node, pairs: &[(&str, &str)]) {
    let file = node.dir.join("headgate.toml");
    let mut text = std::fs::read_to_string(&file).expect("a file");
    for (from, to) in pairs {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replace(from, to);
    }
    // Whole or not at all: a node may read it at any moment.
    let next = file.with_extension("next");
    std::fs::write(&next, text).expect("written");
    std::fs::rename(next, file).expect("moved");
}

/// A call with a body of 4 KiB, over this client's connection.
async fn large(shop: &Shop, client: &Client) -> u16 {
    let url = format!("{}/shop/1.0.0/items", shop.node.http);
    let call = client.call("POST", &url).bearer(&shop.subscribed.access);
    let body = vec![b'x'; 4_096];
    call.bytes("text/plain", body).send().await.status.into()
}

#[tokio::test]
async fn what_can_change_changes_at_a_reload_and_the_rest_is_named_until_the_next_start() {
    let (shop, _upstream) = Shop::start("").await;
    let node = &shop.node;
    let new = || node.client_without_connections();
    let same = reload(node).expect("it is read");
    assert_eq!(found(&same), [[""; 0]; 2]);
    // An open connection keeps what it began with.
    let open = new();
    assert_eq!(large(&shop, &open).await, 200);
    edit(
        node,
        &[
            ("[gateway]\n", &format!("[gateway]\n{LIMIT}")),
            ("filter = \"info\"", "filter = \"debug\""),
            ("[node]\n", "[node]\nname = \"other\"\n"),
            ("allow_loopback_endpoints = true\n", ""),
        ],
    );
    let read = reload(node).expect("it is read");
    let live = vec!["gateway.body_limit", "log.filter"];
    let waits = || vec!["node.name", "gateway.allow_loopback_endpoints"];
    assert_eq!(found(&read), [live, waits()]);
    let origin = read["applied"][0]["origin"].as_str().expect("an origin");
    assert!(origin.contains("headgate.toml:"), "{origin}");
    assert_eq!(large(&shop, &new()).await, 413);
    assert_eq!(large(&shop, &open).await, 200);
    // What waits for a restart is not in force in part: the upstream, which is on this machine, is still called.
    let small = new().call("GET", &format!("{}/shop/1.0.0/items", node.http));
    small
        .bearer(&shop.subscribed.access)
        .send()
        .await
        .expect(200);
    let debug = || async { node.log().contains("\"level\":\"DEBUG\"").then_some(()) };
    eventually(10, "lines of the level that is asked for", debug).await;
    let again = reload(node).expect("it is read");
    assert_eq!(found(&again), [vec![], waits()]);
    // Each order is told with who, from where, and what came of it.
    let waits = "at restart=node.name,gateway.allow_loopback_endpoints";
    let outcomes = [
        "ordered",
        "done; applied=; at restart=",
        "ordered",
        &format!("done; applied=gateway.body_limit,log.filter; {waits}"),
        "ordered",
        &format!("done; applied=; {waits}"),
    ];
    node.has_audited(ORDERED, ("message", ORDERED), &outcomes)
        .await;
}

#[tokio::test]
async fn a_configuration_with_a_fault_changes_nothing_and_sighup_reads_it_as_well() {
    let (shop, _upstream) = Shop::start(LIMIT).await;
    let node = &shop.node;
    let new = || node.client_without_connections();
    let access = ("[log]\n", "[log]\naccess = false\n");
    edit(node, &[(LIMIT, "body_limit = \"much\"\n"), access]);
    let refused = reload(node).expect_err("it is refused");
    let fault = "gateway.body_limit: must be a size";
    assert!(refused.contains(fault), "{refused}");
    let outcomes = ["ordered", "refused: "];
    node.has_audited(ORDERED, ("message", ORDERED), &outcomes)
        .await;
    assert_eq!(large(&shop, &new()).await, 413);
    node.signal("-HUP");
    // The order before told of it as well, and what came of it.
    let told = || async { (node.log().matches(fault).count() >= 3).then_some(()) };
    eventually(10, "the log tells of the fault", told).await;
    edit(node, &[("body_limit = \"much\"\n", "")]);
    node.signal("-HUP");
    let taken = || async { (large(&shop, &new()).await == 200).then_some(()) };
    eventually(10, "the limit is gone", taken).await;
    let told = node.log();
    let read = |line: &&str| line.contains("was read anew");
    let line = told.lines().rfind(read).expect("a line");
    assert!(line.contains("gateway.body_limit, log.access"), "{line}");
}

#[tokio::test]
async fn a_reload_takes_a_certificate_that_was_replaced_and_open_connections_go_on() {
    let node = Node::start_with(Options::default()).await;
    let get = |client: &Client| {
        client
            .call("GET", &format!("{}/livez", node.management))
            .try_send()
    };
    let open = node.client_without_connections();
    assert_eq!(get(&open).await.expect("an answer").status, 200);
    // The certificate of another node, which clients of this one do not trust.
    let other = Node::start().await;
    let theirs = other.dir.join("data/tls");
    for file in ["server.pem", "server-key.pem"] {
        std::fs::copy(theirs.join(file), node.dir.join("data/tls").join(file)).expect("copied");
    }
    let ran = node.command(&["reload"]).output().expect("the binary");
    assert!(ran.status.success(), "{ran:?}");
    assert!(get(&node.client_without_connections()).await.is_err());
    let trusting = Client::trusting(&other.dir.join("data/ca.pem"));
    assert_eq!(get(&trusting).await.expect("an answer").status, 200);
    assert_eq!(
        get(&open).await.expect("its connection goes on").status,
        200
    );
}

#[tokio::test]
async fn a_reload_with_a_certificate_that_is_broken_names_it_and_leaves_all_as_it_was() {
    let (shop, _upstream) = Shop::start("").await;
    let node = &shop.node;
    let new = || node.client_without_connections();
    let file = node.dir.join("data/tls/server.pem");
    let good = std::fs::read(&file).expect("a file");
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nnone").expect("written");
    edit(node, &[("[gateway]\n", &format!("[gateway]\n{LIMIT}"))]);
    // Each time that it is asked for, and not the first time alone.
    for _ in 0..2 {
        let refused = reload(node).expect_err("it is refused");
        let why = "tls/server.pem and its key cannot be used, the old ones stay: tls/server.pem is no certificate";
        assert!(refused.contains(why), "{refused}");
    }
    let asked = new().call("GET", &format!("{}/livez", node.management));
    asked.send().await.expect(200);
    assert_eq!(large(&shop, &new()).await, 200, "nothing else is in force");
    std::fs::write(&file, good).expect("written");
    let read = reload(node).expect("it is read");
    assert!(found(&read)[0].contains(&"gateway.body_limit"), "{read}");
    assert_eq!(large(&shop, &new()).await, 413);
}
