//! What the rows' requests point at, on one node.

use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};

/// Objects of the administrator, and a stranger's token.
pub(super) struct World {
    pub(super) token: String,
    /// The token's owner's.
    pub(super) password: String,
    /// A token of somebody who owns nothing.
    pub(super) stranger: String,
    /// A token of another administrator, which no row ends.
    pub(super) watcher: String,
    pub(super) api: String,
    pub(super) revision: String,
    /// The API as it is read.
    pub(super) document: Value,
    /// An application that has not subscribed and holds no keys.
    pub(super) idle: String,
    /// One with a subscription and keys.
    pub(super) application: String,
    pub(super) subscription: String,
    pub(super) key: String,
    pub(super) secret: String,
    mapping: String,
    pub(super) api_key: String,
    /// Policies by level, and a deny policy.
    policies: [(&'static str, String); 3],
    condition: String,
    person: String,
}

/// A policy's body.
pub(super) fn policy(name: &str) -> Value {
    json!({
        "policyName": name, "description": "of a test",
        "defaultLimit": {"type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 5}},
    })
}

// === impl World ===

impl World {
    pub(super) async fn new(node: &Node) -> Self {
        let token = node.admin_token().await;
        let api = node
            .published(&token, "Rows", "/rows", "http://127.0.0.1:9")
            .await;
        let revision = made(
            node,
            &token,
            format!("{PUBLISHER}/apis/{api}/revisions"),
            json!({}),
        );
        let revision = text(&revision.await, "id").to_owned();
        let holder = node.subscribed(&token, &api, "holder", "JWT").await;
        let idle = node.application(&token, "idle", "Unlimited", "JWT").await;
        let get = |path: String| node.get(&path).bearer(&token).send();
        let applications = format!("{DEVPORTAL}/applications/{}", holder.application);
        let mapping = get(format!("{applications}/oauth-keys")).await.json();
        let mapping = text(&mapping["list"][0], "keyMappingId").to_owned();
        let document = get(format!("{PUBLISHER}/apis/{api}")).await.json();
        let keys = format!("{DEVPORTAL}/apis/{api}/api-keys");
        let body = json!({"keyName": "first", "validityPeriod": -1});
        made(node, &token, format!("{keys}/generate"), body).await;
        let api_key = text(&get(keys).await.json()["list"][0], "keyUUID").to_owned();
        let roles = json!([{"value": "Internal/subscriber"}]);
        person(node, &token, "stranger", roles).await;
        person(node, &token, "watcher", json!([{"value": "admin"}])).await;
        let person = person(node, &token, "pal", json!([])).await;
        let scopes = "apim:subscribe apim:app_manage apim:sub_manage apim:api_key";
        let stranger = node.user_token("stranger", "Passing-by-1", scopes).await;
        let watcher = node.user_token("watcher", "Passing-by-1", "apim:admin");
        let watcher = watcher.await;
        let mut policies =
            ["application", "subscription", "advanced"].map(|level| (level, String::new()));
        for (level, id) in &mut policies {
            let path = format!("{ADMIN}/throttling/policies/{level}");
            let policy = made(node, &token, path, policy("Known")).await;
            text(&policy, "policyId").clone_into(id);
        }
        let condition = condition(node, &token).await;
        Self {
            token,
            password: node.admin_password.clone(),
            stranger,
            watcher,
            api,
            revision,
            document,
            idle,
            application: holder.application,
            subscription: holder.subscription,
            key: holder.key,
            secret: holder.secret,
            mapping,
            api_key,
            policies,
            condition,
            person,
        }
    }

    /// The id that stands for a part of a path, such as `{apiId}`; other parts stay.
    pub(super) fn id<'a>(&'a self, level: &str, part: &'a str) -> &'a str {
        match part {
            "{apiId}" => &self.api,
            "{revisionId}" => &self.revision,
            "{policyName}" => "Unlimited",
            "{policyLevel}" => "subscription",
            "{applicationId}" if level == "idle" => &self.idle,
            "{applicationId}" => &self.application,
            "{subscriptionId}" => &self.subscription,
            "{keyMappingId}" => &self.mapping,
            "{keyType}" => "PRODUCTION",
            // An actor, and the node that it runs on.
            "{node}" => "headgate",
            "{*name}" => "gateway/validator",
            "{conditionId}" => &self.condition,
            "{userId}" => &self.person,
            // A key, and what is done with it.
            "{*key}" if level == "refund" => "carbon.super/subscription/Gold/0/nobody/refund",
            "{*key}" if level == "reset" => "carbon.super/subscription/Gold/0/nobody/reset",
            "{policyId}" => {
                let of_level = self.policies.iter().find(|(known, _)| *known == level);
                // The portal calls policies by their names.
                of_level.map_or("Unlimited", |(_, id)| id)
            }
            part => part,
        }
    }
}

/// Makes a deny policy and gives its id.
async fn condition(node: &Node, token: &str) -> String {
    let body = json!({"conditionType": "USER", "conditionValue": "nobody"});
    let path = format!("{ADMIN}/throttling/deny-policies");
    text(&made(node, token, path, body).await, "conditionId").to_owned()
}

/// Makes a person and gives the id.
async fn person(node: &Node, token: &str, name: &str, roles: Value) -> String {
    let body = json!({"userName": name, "password": "Passing-by-1", "roles": roles});
    let made = made(node, token, "/scim2/Users".to_owned(), body);
    text(&made.await, "id").to_owned()
}

/// Makes something and gives it as it was answered.
async fn made(node: &Node, token: &str, path: String, body: Value) -> Value {
    let answer = node.post(&path).bearer(token).json(&body).send().await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}
