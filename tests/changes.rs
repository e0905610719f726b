//! After a 2xx the gateway behaves as the change says, at once.

use serde_json::json;

use crate::support::node::Node;
use crate::support::platform::{PUBLISHER, text};
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
    for _ in 0..3 {
        node.post(&format!(
            "{PUBLISHER}/apis/{api}/undeploy-revision?revisionId={revision}"
        ))
        .bearer(&token)
        .json(&environment)
        .send()
        .await
        .expect(201);
        call().send().await.expect(404);
        node.post(&format!(
            "{PUBLISHER}/apis/{api}/deploy-revision?revisionId={revision}"
        ))
        .bearer(&token)
        .json(&environment)
        .send()
        .await
        .expect(200);
        call().send().await.expect(200);
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
