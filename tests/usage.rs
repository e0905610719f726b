//! Usage: every call is counted once, whatever happens to the node.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::scripted::Scripted;
use crate::support::upstream::Upstream;

#[allow(
    clippy::disallowed_methods,
    reason = "a test measures how fast its own load is"
)]
fn now() -> Instant {
    Instant::now()
}

async fn usage(node: &Node) -> Value {
    let answer = node
        .get("/admin/usage")
        .bearer(&node.operator())
        .send()
        .await
        .expect(200);
    answer.json()
}

/// Calls that reached the upstream, as counted.
fn forwarded(usage: &Value) -> u64 {
    let rows = usage["list"].as_array().expect("a list");
    rows.iter()
        .map(|row| row["forwarded"].as_u64().expect("a number"))
        .sum()
}

#[tokio::test]
async fn every_call_is_counted_once_by_api_application_and_status() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    for _ in 0..7 {
        node.api("GET", "/shop/1.0.0/items")
            .bearer(&subscribed.access)
            .send()
            .await
            .expect(200);
    }
    for _ in 0..3 {
        node.api("GET", "/shop/1.0.0/nothing")
            .bearer(&subscribed.access)
            .send()
            .await
            .expect(404);
        node.api("GET", "/shop/1.0.0/items")
            .send()
            .await
            .expect(401);
    }
    eventually(10, "thirteen calls are counted", || async {
        let usage = usage(&node).await;
        let of = |status: u64| -> u64 {
            let rows = usage["list"].as_array().expect("a list").iter();
            let rows = rows.filter(|row| row["status"] == status && row["apiId"] == api.as_str());
            rows.map(|row| row["calls"].as_u64().expect("a number"))
                .sum()
        };
        (of(200) == 7 && of(404) == 3 && of(401) == 3).then_some(())
    })
    .await;
    let usage = usage(&node).await;
    assert_eq!(usage["unknownCalls"], 0);
    let served = usage["list"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|row| row["status"] == 200);
    let served = served.expect("a row");
    assert_eq!(served["applicationId"], subscribed.application.as_str());
    assert_eq!(forwarded(&usage), 7);
    let latency: u64 = served["latency"]["counts"]
        .as_array()
        .expect("a histogram")
        .iter()
        .map(|count| count.as_u64().expect("a number"))
        .sum();
    assert_eq!(latency, served["calls"].as_u64().expect("a number"));
}

#[tokio::test]
async fn a_question_beyond_its_bounds_is_refused_by_the_name_of_its_parameter() {
    let node = Node::start().await;
    let operator = node.operator();
    for (query, parameter) in [
        ("from=0", None),
        ("from=0&to=86400000", None),
        ("from=0&to=86400001", Some("to")),
        ("to=9999999999999", Some("to")),
        ("from=x", Some("from")),
        ("limit=10000&offset=5", None),
        ("limit=10001", Some("limit")),
        ("limit=0", Some("limit")),
        ("offset=-1", Some("offset")),
    ] {
        let path = format!("/admin/usage?{query}");
        let answer = node.get(&path).bearer(&operator).send().await;
        match parameter {
            None => assert_eq!(answer.status, 200, "{query}"),
            Some(parameter) => {
                assert_eq!(answer.status, 400, "{query}");
                assert_eq!(answer.json()["error"][0]["code"], parameter, "{query}");
            }
        }
    }
}

/// Eight callers that call until nobody answers.
fn load(node: &Node, access: &str) -> tokio::task::JoinSet<()> {
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, access) = (node.client.clone(), access.to_owned());
        let url = format!("{}/shop/1.0.0/items", node.http);
        let call = move || client.call("GET", &url).bearer(&access);
        load.spawn(async move { while call().try_send().await.is_ok() {} });
    }
    load
}

/// A node that was killed in the middle of calls, once the upstream had got so many, after how long.
async fn killed_under_load(calls: usize) -> (Node, Upstream, Duration) {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let began = now();
    let mut load = load(&node, &subscribed.access);
    eventually(120, "the upstream gets the calls", || async {
        (upstream.count() >= calls).then_some(())
    })
    .await;
    node.signal("-KILL");
    let took = began.elapsed();
    while load.join_next().await.is_some() {}
    (node, upstream, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_under_load_the_counts_and_the_unknown_bound_what_the_upstream_got() {
    let (node, upstream, took) = killed_under_load(3_000).await;
    // What lay in the upstream's sockets at the end counts as well.
    let mut reached = u64::MAX;
    eventually(30, "the upstream has read everything", || {
        let before = std::mem::replace(&mut reached, upstream.count() as u64);
        let stands_still = before == reached;
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            stands_still.then_some(())
        }
    })
    .await;
    let node = node.crash_and_restart(Options::default()).await;
    eventually(
        20,
        "counted plus unknown covers what the upstream got",
        || async {
            let usage = usage(&node).await;
            let (counted, unknown) = (forwarded(&usage), usage["unknownCalls"].as_u64()?);
            assert!(
                counted <= reached,
                "{counted} counted, {reached} reached the upstream"
            );
            (counted + unknown >= reached).then_some(())
        },
    )
    .await;
    let usage = usage(&node).await;
    let unknown = usage["unknownCalls"].as_u64().expect("a number");
    // What one round of the recorder left unwritten and what it kept ahead for the next: rounds come
    // five times a second, and a slow disk makes them longer: far longer ones would be a fault.
    let seconds = reached as f64 / took.as_secs_f64() * 4.0;
    let most = (seconds as u64 + 200).min(reached / 4 * 3);
    assert!(
        unknown <= most,
        "{unknown} of {reached} in {took:?} are unknown, {most} at most may be"
    );
    assert_eq!(
        upstream.count() as u64,
        reached,
        "a restart repeats no call"
    );
    let log = node.log();
    let warned = log.matches("the last run did not stop in order").count();
    assert_eq!(warned, 1, "that plans may be used up is said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_carbon_stays_who_it_is_and_tells_what_the_crash_lost() {
    let (node, upstream, took) = killed_under_load(500).await;
    let reached = upstream.count() as u64;
    for name in ["carbon.db", "carbon.db-wal", "carbon.db-shm"] {
        let removed = std::fs::remove_file(node.dir.join("data").join(name));
        assert!(removed.is_ok() || name != "carbon.db");
    }
    let node = node.crash_and_restart(Options::default()).await;
    assert!(node.log().contains("carbon.db was lost"), "and says so");
    eventually(20, "what the crash lost is told", || async {
        let usage = usage(&node).await;
        let (counted, unknown) = (forwarded(&usage), usage["unknownCalls"].as_u64()?);
        assert!(counted <= reached, "{counted} counted of {reached}");
        (counted + unknown >= reached).then_some(())
    })
    .await;
    let unknown = usage(&node).await["unknownCalls"].as_u64();
    let unknown = unknown.expect("a number");
    // So few calls may all be of the last round; what is reserved ahead of them is of their size.
    let most = (reached as f64 / took.as_secs_f64() * 4.0) as u64 + reached + 200;
    assert!(
        unknown <= most,
        "{unknown} of {reached} in {took:?}, {most} at most"
    );
}

#[tokio::test]
async fn files_of_two_nodes_are_refused_at_the_start() {
    let (mut one, mut other) = (Node::start().await, Node::start().await);
    assert_eq!(one.terminate().await, Some(0));
    assert_eq!(other.terminate().await, Some(0));
    let carbon = |node: &Node| node.dir.join("data/carbon.db");
    std::fs::copy(carbon(&other), carbon(&one)).expect("copied");
    let config = one.dir.join("headgate.toml");
    let told = one.dir.join("told");
    let mut command = one.command(&["start"]);
    let command = command.arg("--config").arg(config).stdin(Stdio::null());
    let stderr = std::fs::File::create(&told).expect("a file");
    let mut child = command.stderr(stderr).spawn().expect("the binary");
    let status = eventually(20, "the start is refused", || {
        std::future::ready(child.try_wait().expect("wait"))
    })
    .await;
    assert_eq!(status.code(), Some(1));
    let told = std::fs::read_to_string(&told).expect("what it told");
    assert!(told.contains("carbon.db is of node"), "{told}");
}

#[tokio::test]
async fn a_call_that_a_stop_cuts_short_is_counted() {
    let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello".to_vec();
    let upstream = Scripted::start(vec![("/items", begun, true)]);
    let (mut node, upstream) = (Node::start().await, upstream.await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let address = node.http.trim_start_matches("http://");
    let address = address.replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let call = format!(
        "GET /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        subscribed.access
    );
    stream.write_all(call.as_bytes()).await.expect("written");
    let mut came = Vec::new();
    while !String::from_utf8_lossy(&came).contains("hello") {
        assert!(stream.read_buf(&mut came).await.expect("an answer") > 0);
    }
    assert_eq!(node.terminate().await, Some(0));
    let node = node.crash_and_restart(Options::default()).await;
    let counted = eventually(10, "the call is counted", || async {
        let usage = usage(&node).await;
        (forwarded(&usage) > 0).then_some(usage)
    });
    let counted = counted.await;
    assert_eq!(forwarded(&counted), 1);
    assert_eq!(counted["unknownCalls"], 0);
}
