//! What a node says on standard error, and that nobody waits for whoever reads it.

use serde_json::Value;

use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::upstream::Upstream;

/// Lines of the access log so far.
fn calls(node: &Node) -> Vec<Value> {
    let lines = node.log();
    let lines = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["target"] == "headgate::access")
        .collect()
}

#[tokio::test]
async fn each_call_is_one_line_with_its_request_id_and_without_secrets() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let good = node
        .api("GET", "/shop/1.0.0/items?page=2&apikey=not-for-the-log")
        .bearer(&subscribed.access)
        .header("x-request-id", "call-1");
    good.send().await.expect(200);
    let refused = node.api("POST", "/shop/1.0.0/items").bearer("not-a-token");
    let refused = refused.send().await.expect(401);
    let lost = node.api("GET", "/nowhere?secret=not-for-the-log");
    lost.send().await.expect(404);
    let calls = eventually(10, "three lines", || async {
        Some(calls(&node)).filter(|calls| calls.len() == 3)
    })
    .await;
    assert_eq!(calls[0]["request_id"], "call-1");
    assert_eq!(calls[0]["method"], "GET");
    assert_eq!(calls[0]["path"], "/shop/1.0.0/items");
    assert_eq!(calls[0]["api"], Value::from(api.as_str()));
    assert_eq!(calls[0]["application"], Value::from(subscribed.application));
    assert_eq!(calls[0]["status"], 200);
    assert_eq!(calls[0]["fault"], 0);
    for latency in ["latency_us", "upstream_us"] {
        assert!(
            calls[0][latency].as_u64().expect("a number") > 0,
            "{latency}"
        );
    }
    assert_eq!(calls[1]["request_id"], refused.header("x-request-id"));
    assert_eq!(calls[1]["fault"], 900_901);
    assert_eq!(calls[2]["path"], "/nowhere");
    let log = node.log();
    for secret in ["not-for-the-log", "not-a-token", subscribed.access.as_str()] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_node_whose_standard_error_nobody_reads_serves_on_and_counts_what_it_drops() {
    let mut node = Node::start_with(Options {
        unread_log: true,
        ..Options::default()
    })
    .await;
    let dropped = || async {
        let metrics = node.get("/metrics").send().await.expect(200).text();
        let counter = metrics
            .lines()
            .find_map(|line| line.strip_prefix("headgate_log_lines_dropped_total "));
        counter
            .expect("the counter")
            .parse::<u64>()
            .expect("a number")
    };
    assert_eq!(dropped().await, 0);
    // A pipe takes 64 KiB and a node keeps 1 MiB waiting: lines as long as they get fill both.
    let path = format!("/nowhere/{}", "a".repeat(600));
    for _ in 0..4_000 {
        node.api("GET", &path).send().await.expect(404);
    }
    assert!(dropped().await > 0);
    assert_eq!(node.terminate().await, Some(0), "nor does its end wait");
}

#[tokio::test]
async fn a_start_says_where_it_listens_and_that_it_is_ready_whatever_the_level_but_off() {
    for (filter, says) in [
        ("warn", true),
        ("error", true),
        ("off", false),
        ("warn,headgate::node=warn", false),
    ] {
        let mut node = Node::start_with(Options {
            environment: vec![("HEADGATE__LOG__FILTER".to_owned(), filter.to_owned())],
            ..Options::default()
        })
        .await;
        for line in ["node is listening", "node is ready"] {
            if says {
                eventually(10, line, || async {
                    node.log().contains(line).then_some(())
                })
                .await;
            }
        }
        let look = node.get("/admin/cluster").bearer(&node.operator());
        look.send().await.expect(200);
        assert_eq!(node.terminate().await, Some(0));
        let log = node.log();
        assert_eq!(log.contains("node is "), says, "{filter}: {log}");
        // What administrators do is audited at any level, and is not ended by another.
        let audited = log.contains("\"target\":\"audit\"");
        assert_eq!(audited, filter != "off", "{filter}: {log}");
        assert!(!log.contains("registered"), "{filter}: {log}");
    }
}
