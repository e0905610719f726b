//! A machine that fails below the node: its disk is full, its clock is wrong.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::http::Answer;
use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, text};
use crate::support::upstream::Upstream;

#[tokio::test]
async fn a_node_on_a_full_disk_says_so_refuses_changes_loses_nothing_and_recovers() {
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let node = Node::start_with(faults.options(dir.path())).await;
    let upstream = Upstream::start().await;
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let counted = a_day(&node, &token, &api).await;
    let by_day = || async {
        let call = node.api("GET", "/shop/1.0.0/items");
        call.bearer(&counted).send().await
    };
    let call = || async {
        let call = node.api("GET", "/shop/1.0.0/items");
        call.bearer(&subscribed.access).send().await
    };
    call().await.expect(200);
    faults.fill_disk();
    let (kept, refused) = until_refused(&node, &token).await;
    let body = refused.expect(503).json();
    assert_eq!(body["code"], 503, "{body}");
    assert!(body["description"].is_string(), "{body}");
    let unready = node.get("/readyz?verbose").send().await.expect(503).text();
    assert!(unready.contains("[-] database.apim: "), "{unready}");
    assert!(unready.contains("No space left"), "{unready}");
    assert!(node.log().contains("database cannot be written"));
    is_held(by_day().await);
    // Beyond the numbers that were reserved for calls while there was room.
    let many = async {
        for _ in 0..200 {
            call().await.expect(200);
        }
    };
    let soon = tokio::time::timeout(Duration::from_secs(60), many);
    soon.await.expect("calls do not wait for the disk");
    faults.make_room();
    eventually(30, "ready again", || async {
        let answer = node.get("/readyz").send().await;
        answer.status.is_success().then_some(())
    })
    .await;
    node.application(&token, "after", "Unlimited", "JWT").await;
    as_promised(&node, &token, &kept).await;
    call().await.expect(200);
    by_day().await.expect(200);
    eventually(30, "every call is counted", || async {
        let usage = node.get("/admin/usage").bearer(&node.operator());
        let usage = usage.send().await.expect(200).json();
        (served(&usage) == upstream.count() as u64 && usage["unknownCalls"] == 0).then_some(())
    })
    .await;
}

/// A plan over hours cannot be noted: a call is held, and told when to come again.
fn is_held(answer: Answer) {
    let held = answer.expect(503);
    assert_eq!(held.header("retry-after"), "1");
    let body = held.json();
    assert_eq!(text(&body, "code"), "900900");
    assert_eq!(text(&body, "message"), "Service Unavailable");
}

/// The applications that were promised are there, and the one that was refused is not.
async fn as_promised(node: &Node, token: &str, kept: &[String]) {
    let list = node.get(&format!("{DEVPORTAL}/applications?limit=1000"));
    let list = list.bearer(token).send().await.expect(200).json();
    let names: Vec<&str> = list["list"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|application| text(application, "name"))
        .collect();
    for name in kept.iter().map(String::as_str).chain(["one", "after"]) {
        assert!(names.contains(&name), "{name} is lost");
    }
    let refused = format!("application {}", kept.len());
    assert!(
        !names.contains(&refused.as_str()),
        "what was refused is there"
    );
}

/// The token of an application that may call a thousand times a day.
async fn a_day(node: &Node, token: &str, api: &str) -> String {
    let plan = json!({
        "policyName": "ADay", "defaultLimit": {"type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": 1_000}},
    });
    let plans = format!("{ADMIN}/throttling/policies/application");
    let made = node.post(&plans).bearer(token).json(&plan);
    made.send().await.expect(201);
    let plans = ("ADay", "Unlimited");
    let subscribed = node.subscribed_under(token, api, plans, "counted", "JWT");
    subscribed.await.access
}

/// Makes applications until one is refused; gives the names of those that were promised, and the
/// refusal. What is free inside the files is used up first.
async fn until_refused(node: &Node, token: &str) -> (Vec<String>, Answer) {
    let mut kept = Vec::new();
    loop {
        let name = format!("application {}", kept.len());
        let body = json!({"name": name, "throttlingPolicy": "Unlimited", "tokenType": "JWT"});
        let create = node.post(&format!("{DEVPORTAL}/applications"));
        let answer = create.bearer(token).json(&body).send().await;
        if answer.status != 201 {
            return (kept, answer);
        }
        kept.push(name);
        assert!(kept.len() < 1_000, "the disk is full");
    }
}

fn served(usage: &Value) -> u64 {
    let list = usage["list"].as_array().expect("a list").iter();
    list.filter_map(|row| row["forwarded"].as_u64()).sum()
}

#[tokio::test]
async fn a_clock_that_was_set_or_stands_before_the_last_change_is_told_about() {
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let mut first = Node::start_with(faults.options(dir.path())).await;
    let token = first.admin_token().await;
    first.application(&token, "one", "Unlimited", "JWT").await;
    faults.set_clock(7_200);
    eventually(30, "the step is told about", || async {
        first
            .log()
            .contains("the machine's clock was set")
            .then_some(())
    })
    .await;
    let list = first.get(&format!("{DEVPORTAL}/applications"));
    let answer = list.bearer(&token).send().await;
    answer.expect(200);
    assert_eq!(first.terminate().await, Some(0));
    faults.set_clock(-7_200);
    let second = Node::start_with(faults.options(dir.path())).await;
    let log = second.log();
    assert!(
        log.contains("the clock stands before the last change"),
        "{log}"
    );
}
