//! Two at once: of two equal wishes one is granted, and the other one is told why it was not.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::http::Call;
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};
use crate::support::postgres;

/// Races of each kind, so that some of them truly overlap.
const ROUNDS: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_equal_wishes_at_once_one_is_granted_on_sqlite() {
    all(&Node::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_equal_wishes_at_once_one_is_granted_on_postgresql() {
    // Runs where a server is named; the same promises hold on SQLite above.
    if let Some(server) = postgres::server() {
        let toml = format!(
            "[database.apim]\nurl = \"{}\"\n[database.shared]\nurl = \"{}\"\n",
            postgres::fresh_database(&server, "conflicts_apim"),
            postgres::fresh_database(&server, "conflicts_shared"),
        );
        let node = Node::start_with(Options {
            toml,
            ..Options::default()
        })
        .await;
        assert!(!node.dir.join("data/apim.db").exists());
        all(&node).await;
    }
}

async fn all(node: &Node) {
    let token = node.admin_token().await;
    let api = node
        .published(&token, "Race", "/race", "http://127.0.0.1:9")
        .await;
    for round in 0..ROUNDS {
        updates(node, &token, &api, round).await;
        apis(node, &token, round).await;
        applications(node, &token, &api, round).await;
        policies(node, &token, round).await;
        users(node, &token, round).await;
    }
}

async fn updates(node: &Node, token: &str, api: &str, round: u32) {
    let path = format!("{PUBLISHER}/apis/{api}");
    let seen = node.get(&path).bearer(token).send().await.expect(200);
    let update = |word: &str| {
        let mut body = seen.json();
        body["description"] = json!(format!("{word} of round {round}"));
        let call = node.put(&path).bearer(token);
        call.header("if-match", seen.header("etag")).json(&body)
    };
    let answers = race(update("one"), update("other")).await;
    assert_eq!(statuses(&answers), [200, 412]);
    let (_, winner) = &answers[0];
    let now = node.get(&path).bearer(token).send().await.json();
    assert_eq!(now["description"], winner["description"]);
}

async fn apis(node: &Node, token: &str, round: u32) {
    let create = |name: &str, context: &str| {
        let name = format!("{name}{round}");
        let context = format!("/{context}{round}");
        node.post(&format!("{PUBLISHER}/apis"))
            .bearer(token)
            .json(&json!({"name": name, "version": "1.0.0", "context": context}))
    };
    let answers = race(create("Name", "one"), create("Name", "other")).await;
    assert_eq!(statuses(&answers), [201, 409], "equal names");
    let answers = race(create("One", "context"), create("Other", "context")).await;
    assert_eq!(statuses(&answers), [201, 409], "equal contexts");
    let list = format!("{PUBLISHER}/apis?query=name:Name{round}");
    let list = node.get(&list).bearer(token).send().await.json();
    assert_eq!(list["count"], 1, "{list}");
}

async fn applications(node: &Node, token: &str, api: &str, round: u32) {
    let create = || {
        let body = json!({"name": format!("app{round}"), "throttlingPolicy": "Unlimited"});
        let call = node.post(&format!("{DEVPORTAL}/applications"));
        call.bearer(token).json(&body)
    };
    let answers = race(create(), create()).await;
    assert_eq!(statuses(&answers), [201, 409], "equal applications");
    let application = text(&answers[0].1, "applicationId").to_owned();
    let subscribe = || {
        let body = json!({
            "apiId": api, "applicationId": application, "throttlingPolicy": "Unlimited",
        });
        let call = node.post(&format!("{DEVPORTAL}/subscriptions"));
        call.bearer(token).json(&body)
    };
    let answers = race(subscribe(), subscribe()).await;
    assert_eq!(statuses(&answers), [201, 409], "equal subscriptions");
    let generate = || {
        let body = json!({
            "keyType": "PRODUCTION", "grantTypesToBeSupported": ["client_credentials"],
        });
        let path = format!("{DEVPORTAL}/applications/{application}/generate-keys");
        node.post(&path).bearer(token).json(&body)
    };
    let answers = race(generate(), generate()).await;
    assert_eq!(statuses(&answers), [200, 409], "keys of one type");
}

async fn policies(node: &Node, token: &str, round: u32) {
    let create = || {
        let body = json!({
            "policyName": format!("Race{round}"),
            "defaultLimit": {"type": "REQUESTCOUNTLIMIT",
                "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 5}},
        });
        let call = node.post(&format!("{ADMIN}/throttling/policies/subscription"));
        call.bearer(token).json(&body)
    };
    let answers = race(create(), create()).await;
    assert_eq!(statuses(&answers), [201, 409], "equal policies");
}

async fn users(node: &Node, token: &str, round: u32) {
    let create = || {
        let body = json!({"userName": format!("racer{round}"), "password": "First-past-1"});
        node.post("/scim2/Users").bearer(token).json(&body)
    };
    let answers = race(create(), create()).await;
    assert_eq!(statuses(&answers), [201, 409], "equal users");
}

/// Sends both at once; the answers come back with the lower status first.
async fn race(one: Call, other: Call) -> Vec<(u16, Value)> {
    let mut racers = JoinSet::new();
    for call in [one, other] {
        racers.spawn(async move { call.send().await });
    }
    let mut answers: Vec<_> = racers
        .join_all()
        .await
        .iter()
        .map(|answer| (answer.status.as_u16(), answer.json()))
        .collect();
    answers.sort_by_key(|(status, _)| *status);
    answers
}

fn statuses(answers: &[(u16, Value)]) -> Vec<u16> {
    answers.iter().map(|(status, _)| *status).collect()
}
