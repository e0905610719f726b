//! An API's whole life, from its OpenAPI document to a throttled call.

use serde_json::json;

use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, text};
use crate::support::postgres;
use crate::support::upstream::Upstream;

#[tokio::test]
async fn an_imported_published_and_subscribed_api_is_called_until_its_plan_refuses() {
    lives(&Node::start().await).await;
}

#[tokio::test]
async fn the_same_life_is_led_with_everything_shared_in_postgresql() {
    // Runs where a server is named; the same promises hold on SQLite above.
    if let Some(server) = postgres::server() {
        let toml = format!(
            "[database.apim]\nurl = \"{}\"\n[database.shared]\nurl = \"{}\"\n",
            postgres::fresh_database(&server, "life_apim"),
            postgres::fresh_database(&server, "life_shared"),
        );
        let node = Node::start_with(Options {
            toml,
            ..Options::default()
        })
        .await;
        assert!(!node.dir.join("data/apim.db").exists());
        lives(&node).await;
    }
}

/// From the document to the refusal. The plan's window is a day, so that none ends meanwhile.
async fn lives(node: &Node) {
    let upstream = Upstream::start().await;
    let token = node.admin_token().await;
    let plan = node
        .post(&format!("{ADMIN}/throttling/policies/application"))
        .bearer(&token)
        .json(&json!({
            "policyName": "FivePerDay", "displayName": "five", "description": "five a day",
            "defaultLimit": {
                "type": "REQUESTCOUNTLIMIT",
                "requestCount": {"timeUnit": "days", "unitTime": 1, "requestCount": 5},
            },
        }))
        .send()
        .await
        .expect(201);
    assert_eq!(text(&plan.json(), "policyName"), "FivePerDay");
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let application = node.application(&token, "five", "FivePerDay", "JWT").await;
    node.subscribe(&token, &api, &application, "Gold").await;
    let (key, secret) = node.keys(&token, &application, "PRODUCTION").await;
    let access = node.client_token(&key, &secret).await;

    for n in 0..5 {
        let answer = node
            .api("GET", &format!("/shop/1.0.0/items/{n}?q=a%20b"))
            .bearer(&access)
            .send()
            .await
            .expect(200);
        assert_eq!(text(&answer.json(), "path"), format!("/items/{n}?q=a%20b"));
    }
    let refused = node
        .api("GET", "/shop/1.0.0/items")
        .bearer(&access)
        .send()
        .await
        .expect(429);
    assert_eq!(text(&refused.json(), "code"), "900803");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
    assert!(!refused.header("ratelimit").is_empty());
    assert!(!refused.header("ratelimit-policy").is_empty());
    assert_eq!(
        upstream.count(),
        5,
        "a refused call never reaches the upstream"
    );
    for seen in upstream.seen() {
        assert_eq!(
            seen.header("authorization"),
            None,
            "credentials stop at the gateway"
        );
    }
}

#[tokio::test]
async fn opaque_tokens_serve_as_well_as_signed_ones() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "opaque", "OAUTH").await;
    assert_eq!(subscribed.access.split('.').count(), 1);
    let call = node
        .api("GET", "/shop/1.0.0/items")
        .bearer(&subscribed.access);
    call.send().await.expect(200);
}
