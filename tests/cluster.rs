//! Roles on nodes of their own: a control plane, traffic managers and gateways that share no
//! database, joined by seeds.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};
use crate::support::upstream::Upstream;

const CONTROL: &str = "publisher,devportal,admin,key-manager";

/// What a node of these roles is started with.
fn options(name: &str, roles: &str, seeds: &str) -> Options {
    let pairs = [
        ("HEADGATE__NODE__NAME", name),
        ("HEADGATE__NODE__ROLES", roles),
        ("HEADGATE__CLUSTER__LISTEN", "127.0.0.1:0"),
        ("HEADGATE__CLUSTER__SEEDS", seeds),
    ];
    Options {
        environment: pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        ..Options::default()
    }
}

/// One control plane, one traffic manager, one gateway, and an API that is called through them.
struct Trio {
    control: Node,
    traffic: Node,
    gateway: Node,
    token: String,
    api: String,
    upstream: Upstream,
}

impl Trio {
    async fn start() -> Self {
        let upstream = Upstream::start().await;
        let control = Node::start_with(options("cp1", CONTROL, "")).await;
        let seed = control.cluster_address();
        let (traffic, gateway) = tokio::join!(
            Node::start_with(options("tm1", "traffic-manager", &seed)),
            Node::start_with(options("gw1", "gateway", &seed)),
        );
        let token = control.admin_token().await;
        let api = control
            .published(&token, "Shop", "/shop", &upstream.url)
            .await;
        Self {
            control,
            traffic,
            gateway,
            token,
            api,
            upstream,
        }
    }

    /// An access token of a new application whose plan lets `units` calls a day through.
    async fn subscriber(&self, name: &str, units: u64) -> (String, String, String) {
        let limit = json!({
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": units},
        });
        let body = json!({"policyName": name, "defaultLimit": limit});
        let path = format!("{ADMIN}/throttling/policies/application");
        let made = self.control.post(&path).bearer(&self.token).json(&body);
        made.send().await.expect(201);
        let (node, token) = (&self.control, &self.token);
        let application = node.application(token, name, name, "JWT").await;
        node.subscribe(token, &self.api, &application, "Unlimited")
            .await;
        let (key, secret) = node.keys(token, &application, "PRODUCTION").await;
        let access = node.client_token(&key, &secret).await;
        (key, secret, access)
    }

    async fn call(&self, access: &str) -> u16 {
        let call = self.gateway.api("GET", "/shop/1.0.0/items").bearer(access);
        call.send().await.status.into()
    }
}

async fn members(node: &Node) -> Vec<(String, String)> {
    let path = "/admin/cluster";
    let answer = node
        .get(path)
        .bearer(&node.operator())
        .send()
        .await
        .expect(200);
    let list = answer.json()["list"].as_array().cloned().expect("a list");
    let read = |member: &Value| {
        (
            text(member, "name").to_owned(),
            text(member, "health").to_owned(),
        )
    };
    list.iter().map(read).collect()
}

#[tokio::test]
async fn an_api_is_called_and_throttled_through_nodes_that_have_no_database() {
    let trio = Trio::start().await;
    let (_, _, access) = trio.subscriber("Three", 3).await;
    for _ in 0..3 {
        assert_eq!(trio.call(&access).await, 200);
    }
    assert_eq!(trio.call(&access).await, 429);
    assert_eq!(trio.upstream.count(), 3);
    for node in [&trio.traffic, &trio.gateway] {
        for database in ["apim.db", "shared.db"] {
            assert!(!node.dir.join("data").join(database).exists());
        }
        assert_eq!(members(node).await.len(), 3);
    }
}

#[tokio::test]
async fn what_is_revoked_blocked_or_undeployed_is_refused_on_other_nodes_when_the_answer_leaves() {
    let trio = Trio::start().await;
    let (key, secret, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    let revoke = trio.control.post("/oauth2/revoke").basic(&key, &secret);
    let revoked = revoke.form(&[("token", &access)]).send().await.expect(200);
    assert_eq!(revoked.header("headgate-applied"), "2/2");
    assert_eq!(trio.call(&access).await, 401);
    let access = trio.control.client_token(&key, &secret).await;
    assert_eq!(trio.call(&access).await, 200);
    let list = format!(
        "{PUBLISHER}/apis/{}/revisions?query=deployed:true",
        trio.api
    );
    let list = trio
        .control
        .get(&list)
        .bearer(&trio.token)
        .send()
        .await
        .json();
    let undeploy = format!(
        "{PUBLISHER}/apis/{}/undeploy-revision?revisionId={}",
        trio.api,
        text(&list["list"][0], "id")
    );
    let undeploy = trio
        .control
        .post(&undeploy)
        .bearer(&trio.token)
        .json(&json!([{"name": "Default", "vhost": "localhost"}]));
    assert_eq!(
        undeploy.send().await.expect(201).header("headgate-applied"),
        "2/2"
    );
    assert_eq!(trio.call(&access).await, 404);
}

#[tokio::test]
async fn known_consumers_are_served_on_while_the_control_plane_is_gone_and_changes_come_after_it() {
    let mut trio = Trio::start().await;
    let (_, _, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    trio.control.kill();
    eventually(10, "the gateway sees that it is gone", || async {
        let members = members(&trio.gateway).await;
        members
            .contains(&("cp1".to_owned(), "down".to_owned()))
            .then_some(())
    })
    .await;
    for _ in 0..20 {
        assert_eq!(trio.call(&access).await, 200);
    }
    let again = options("cp1", CONTROL, &trio.gateway.cluster_address());
    trio.control = trio.control.crash_and_restart(again).await;
    let applications = format!("{DEVPORTAL}/applications");
    trio.control
        .get(&applications)
        .bearer(&trio.token)
        .send()
        .await
        .expect(200);
}
