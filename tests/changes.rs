//! After a 2xx the gateway behaves as the change says, at once.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};
use crate::support::shop::Shop;
use crate::support::upstream::Upstream;

#[tokio::test]
async fn a_revoked_token_is_refused_as_soon_as_the_answer_is_there() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    for kind in ["JWT", "OAUTH"] {
        let subscribed = node.subscribed(&token, &api, kind, kind).await;
        let call = || {
            node.api("GET", "/shop/1.0.0/items")
                .bearer(&subscribed.access)
        };
        call().send().await.expect(200);
        let revoked = node
            .post("/oauth2/revoke")
            .basic(&subscribed.key, &subscribed.secret)
            .form(&[("token", subscribed.access.as_str())])
            .send()
            .await
            .expect(200);
        assert!(revoked.header("headgate-applied").contains('/'));
        let refused = call().send().await.expect(401);
        assert_eq!(text(&refused.json(), "code"), "900901");
    }
}

#[tokio::test]
async fn a_blocked_subscription_is_refused_and_an_unblocked_one_served_at_once() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let call = || {
        node.api("GET", "/shop/1.0.0/items")
            .bearer(&subscribed.access)
    };
    let id = &subscribed.subscription;
    for _ in 0..3 {
        call().send().await.expect(200);
        node.post(&format!(
            "{PUBLISHER}/subscriptions/block-subscription?subscriptionId={id}&blockState=BLOCKED"
        ))
        .bearer(&token)
        .send()
        .await
        .expect(200);
        let refused = call().send().await.expect(401);
        assert_eq!(text(&refused.json(), "code"), "900907");
        node.post(&format!(
            "{PUBLISHER}/subscriptions/unblock-subscription?subscriptionId={id}"
        ))
        .bearer(&token)
        .send()
        .await
        .expect(200);
    }
}

#[tokio::test]
async fn a_deployed_api_answers_and_an_undeployed_one_does_not_at_once() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let call = || {
        node.api("GET", "/shop/1.0.0/items")
            .bearer(&subscribed.access)
    };
    call().send().await.expect(200);
    let revisions = node
        .get(&format!("{PUBLISHER}/apis/{api}/revisions"))
        .bearer(&token)
        .send()
        .await
        .expect(200)
        .json();
    let revision = text(&revisions["list"][0], "id").to_owned();
    let environment = json!([{"name": "Default", "vhost": "localhost"}]);
    let deployments = async || {
        let list = node.get(&format!("{PUBLISHER}/apis/{api}/deployments"));
        let list = list.bearer(&token).send().await.expect(200).json();
        let rows = list["list"].as_array().expect("a list").clone();
        assert_eq!(list["count"], rows.len());
        rows
    };
    let of_now = async || {
        let mut rows = deployments().await;
        let row = rows.pop().expect("a deployment");
        assert_eq!(rows, Vec::<Value>::new());
        let members = ["name", "vhost", "revisionUuid", "status"].map(|name| text(&row, name));
        assert_eq!(members, ["Default", "localhost", &revision, "APPROVED"]);
        assert!(text(&row, "deployedTime").contains('T'), "{row}");
        row["displayOnDevportal"].clone()
    };
    assert_eq!(of_now().await, true);
    for shown in [false, true, true] {
        node.post(&format!(
            "{PUBLISHER}/apis/{api}/undeploy-revision?revisionId={revision}"
        ))
        .bearer(&token)
        .json(&environment)
        .send()
        .await
        .expect(201);
        call().send().await.expect(404);
        assert_eq!(deployments().await, Vec::<Value>::new());
        let mut shown_or_not = environment.clone();
        shown_or_not[0]["displayOnDevportal"] = shown.into();
        node.post(&format!(
            "{PUBLISHER}/apis/{api}/deploy-revision?revisionId={revision}"
        ))
        .bearer(&token)
        .json(&shown_or_not)
        .send()
        .await
        .expect(200);
        call().send().await.expect(200);
        assert_eq!(of_now().await, shown);
    }
}

#[tokio::test]
async fn a_blocked_api_answers_700700_and_a_republished_one_serves() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let call = || {
        node.api("GET", "/shop/1.0.0/items")
            .bearer(&subscribed.access)
    };
    node.lifecycle(&token, &api, "Block").await;
    let refused = call().send().await.expect(503);
    assert_eq!(text(&refused.json(), "code"), "700700");
    node.lifecycle(&token, &api, "Re-Publish").await;
    call().send().await.expect(200);
}

#[tokio::test]
async fn a_subscription_lets_the_next_call_in_and_its_removal_keeps_the_next_one_out() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let application = node.application(&token, "late", "Unlimited", "JWT").await;
    let (key, secret) = node.keys(&token, &application, "PRODUCTION").await;
    let access = node.client_token(&key, &secret).await;
    let refused = async |status: u16, code: &str| {
        let call = node.api("GET", "/shop/1.0.0/items").bearer(&access);
        let answer = call.send().await.expect(status).json();
        assert_eq!(text(&answer, "code"), code);
    };
    for _ in 0..2 {
        // The second time from what the gateway has kept of the first.
        refused(403, "900908").await;
        refused(403, "900908").await;
        let held = node.subscribe(&token, &api, &application, "Gold").await;
        let call = node.api("GET", "/shop/1.0.0/items").bearer(&access);
        call.send().await.expect(200);
        let delete = node.delete(&format!("{DEVPORTAL}/subscriptions/{held}"));
        delete.bearer(&token).send().await.expect(200);
    }
    refused(403, "900908").await;
    let delete = node.delete(&format!("{DEVPORTAL}/applications/{application}"));
    delete.bearer(&token).send().await.expect(200);
    refused(401, "900901").await;
}

#[tokio::test]
async fn a_subscription_that_is_blocked_for_production_goes_on_in_the_sandbox() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let held = node.subscribed(&token, &api, "one", "JWT").await;
    let (key, secret) = node.keys(&token, &held.application, "SANDBOX").await;
    let playing = node.client_token(&key, &secret).await;
    let call = |access: &str| node.api("GET", "/shop/1.0.0/items").bearer(access);
    for access in [&held.access, &playing] {
        call(access).send().await.expect(200);
    }
    let id = &held.subscription;
    let block = format!(
        "{PUBLISHER}/subscriptions/block-subscription?subscriptionId={id}\
         &blockState=PROD_ONLY_BLOCKED"
    );
    node.post(&block).bearer(&token).send().await.expect(200);
    let refused = call(&held.access).send().await.expect(401).json();
    assert_eq!(text(&refused, "code"), "900907");
    call(&playing).send().await.expect(200);
}

#[tokio::test]
async fn a_deprecated_api_serves_on_and_a_retired_or_deleted_one_is_gone_at_once() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let held = node.subscribed(&token, &api, "one", "JWT").await;
    let call = |path: &str| node.api("GET", path).bearer(&held.access);
    node.lifecycle(&token, &api, "Deprecate").await;
    call("/shop/1.0.0/items").send().await.expect(200);
    let late = node.application(&token, "late", "Unlimited", "JWT").await;
    let body = json!({"apiId": api, "applicationId": late, "throttlingPolicy": "Gold"});
    let subscribe = node.post(&format!("{DEVPORTAL}/subscriptions"));
    let refused = subscribe
        .bearer(&token)
        .json(&body)
        .send()
        .await
        .expect(400);
    assert!(refused.text().contains("apiId"), "{}", refused.text());
    node.lifecycle(&token, &api, "Retire").await;
    call("/shop/1.0.0/items").send().await.expect(404);
    let history = format!("{PUBLISHER}/apis/{api}/lifecycle-history");
    let history = node.get(&history).bearer(&token).send().await.expect(200);
    let steps = history.json()["list"].as_array().expect("a list").clone();
    let mut taken: Vec<_> = steps
        .iter()
        .map(|step| text(step, "postState").to_uppercase())
        .collect();
    taken.sort();
    assert_eq!(taken, ["CREATED", "DEPRECATED", "PUBLISHED", "RETIRED"]);

    let other = node
        .published(&token, "Other", "/other", &upstream.url)
        .await;
    let second = node
        .subscribe(&token, &other, &held.application, "Gold")
        .await;
    call("/other/1.0.0/items").send().await.expect(200);
    let delete = node.delete(&format!("{DEVPORTAL}/subscriptions/{second}"));
    delete.bearer(&token).send().await.expect(200);
    call("/other/1.0.0/items").send().await.expect(403);
    let delete = node.delete(&format!("{PUBLISHER}/apis/{other}"));
    delete.bearer(&token).send().await.expect(200);
    call("/other/1.0.0/items").send().await.expect(404);
}

#[tokio::test]
async fn a_sixth_revision_is_refused_until_one_of_the_five_is_gone() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let api = node.import(&token, "Shop", "/shop", "http://127.0.0.1:9");
    let revisions = format!("{PUBLISHER}/apis/{}/revisions", api.await);
    let create = || {
        let call = node.post(&revisions).bearer(&token);
        call.json(&json!({"description": "one more"})).send()
    };
    let mut last = String::new();
    for _ in 0..5 {
        let made = create().await.expect(201).json();
        last = text(&made, "id").to_owned();
    }
    let refused = create().await.expect(400).json();
    assert_eq!(refused["code"], 900_351, "{refused}");
    let delete = node.delete(&format!("{revisions}/{last}")).bearer(&token);
    delete.send().await.expect(200);
    create().await.expect(201);
}

/// Makes a plan of applications, of many calls a day.
pub async fn plan(node: &Node, token: &str, name: &str) {
    let body = json!({"policyName": name, "defaultLimit": {
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": 1_000_000},
    }});
    let path = format!("{ADMIN}/throttling/policies/application");
    let call = node.post(&path).bearer(token).json(&body);
    call.send().await.expect(201);
}

#[tokio::test]
async fn a_call_waits_for_whoever_opens_leases_to_come_back() {
    let (shop, _upstream) = Shop::start("").await;
    let (node, token) = (&shop.node, &shop.token);
    plan(node, token, "Many").await;
    let application = node.application(token, "many", "Many", "JWT").await;
    node.subscribe(token, &shop.api, &application, "Unlimited")
        .await;
    let (key, secret) = node.keys(token, &application, "PRODUCTION").await;
    let access = node.client_token(&key, &secret).await;
    let call = || node.api("GET", "/shop/1.0.0/items").bearer(&access);
    call().send().await.expect(200);
    let over = AtomicBool::new(false);
    let calls = async || {
        while !over.load(Ordering::Relaxed) {
            call().send().await.expect(200);
        }
    };
    let operator = node.operator();
    let restarts = async {
        // Beyond the fifth each start comes a second late.
        for _ in 0..8 {
            let restart = node.post("/admin/actors/restart?name=gateway/refiller");
            restart.bearer(&operator).send().await.expect(200);
            call().send().await.expect(200);
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(restarts, calls(), calls(), calls(), calls());
}
