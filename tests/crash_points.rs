//! A process that ends at any statement of any write leaves a node that starts again, whole.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, openapi};
use crate::support::upstream::Upstream;

/// Writes of every kind, one after the other; ends early when the node does.
struct Scenario<'a> {
    node: &'a Node,
    token: String,
    backend: String,
}

/// The node is gone.
struct Gone;

type Step<T> = Result<T, Gone>;

impl Scenario<'_> {
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Step<Answer> {
        let call = self.node.call(method, path).bearer(&self.token);
        let call = match body {
            Some(body) => call.json(&body),
            None => call,
        };
        call.try_send().await.map_err(|_| Gone)
    }

    async fn id(&self, member: &str, path: &str, body: Value) -> Step<String> {
        let answer = self.send("POST", path, Some(body)).await?;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        Ok(answer.json()[member].as_str().expect(member).to_owned())
    }

    async fn done(&self, method: &str, path: &str, body: Option<Value>) -> Step<()> {
        let answer = self.send(method, path, body).await?;
        assert!(
            answer.status.is_success(),
            "{method} {path}: {}",
            answer.text()
        );
        Ok(())
    }

    async fn api(&self) -> Step<String> {
        let document = openapi("Crash", &[("get", "/items")]);
        let properties = json!({
            "name": "Crash", "version": "1.0.0", "context": "/crash", "policies": ["Unlimited"],
            "endpointConfig": {
                "endpoint_type": "http", "production_endpoints": {"url": self.backend},
            },
        });
        let call = self
            .node
            .post(&format!("{PUBLISHER}/apis/import-openapi"))
            .bearer(&self.token);
        let answer = call
            .multipart(&[
                (
                    "file",
                    Some("api.json"),
                    "application/json",
                    document.as_bytes(),
                ),
                (
                    "additionalProperties",
                    None,
                    "application/json",
                    properties.to_string().as_bytes(),
                ),
            ])
            .try_send()
            .await
            .map_err(|_| Gone)?;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Ok(answer.json()["id"].as_str().expect("id").to_owned())
    }

    async fn publish(&self) -> Step<String> {
        let api = self.api().await?;
        let base = format!("{PUBLISHER}/apis/{api}");
        let revision = self
            .id("id", &format!("{base}/revisions"), json!({}))
            .await?;
        let environment = Some(json!([{"name": "Default", "vhost": "localhost"}]));
        let deploy = format!("{base}/deploy-revision?revisionId={revision}");
        self.done("POST", &deploy, environment.clone()).await?;
        let publish = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={api}");
        self.done("POST", &publish, None).await?;
        let copy =
            format!("{PUBLISHER}/apis/copy-api?newVersion=2.0.0&defaultVersion=true&apiId={api}");
        let copied = self.send("POST", &copy, None).await?;
        assert_eq!(copied.status, 201, "{}", copied.text());
        let second = copied.json()["id"].as_str().expect("id").to_owned();
        self.done("DELETE", &format!("{PUBLISHER}/apis/{second}"), None)
            .await?;
        let document = self.send("GET", &base, None).await?.json();
        self.done("PUT", &base, Some(document)).await?;
        Ok(api)
    }

    async fn subscribe(&self, api: &str) -> Step<()> {
        let applications = format!("{DEVPORTAL}/applications");
        let body = json!({"name": "crash", "throttlingPolicy": "Unlimited", "tokenType": "OAUTH"});
        let application = self.id("applicationId", &applications, body).await?;
        let body = json!({
            "apiId": api, "applicationId": application, "throttlingPolicy": "Unlimited",
        });
        let subscription = self
            .id(
                "subscriptionId",
                &format!("{DEVPORTAL}/subscriptions"),
                body,
            )
            .await?;
        let keys = format!("{applications}/{application}/generate-keys");
        let body = json!({
            "keyType": "PRODUCTION", "grantTypesToBeSupported": ["client_credentials", "password", "refresh_token"],
        });
        let answer = self.send("POST", &keys, Some(body)).await?;
        let keys = answer.expect(200).json();
        self.tokens(&keys).await?;
        let generate = format!("{DEVPORTAL}/apis/{api}/api-keys/generate");
        let body = json!({"keyName": "crash", "keyType": "PRODUCTION", "validityPeriod": -1});
        self.done("POST", &generate, Some(body)).await?;
        let block = format!(
            "{PUBLISHER}/subscriptions/block-subscription?subscriptionId={subscription}&blockState=BLOCKED"
        );
        self.done("POST", &block, None).await?;
        self.done(
            "DELETE",
            &format!("{DEVPORTAL}/subscriptions/{subscription}"),
            None,
        )
        .await?;
        self.done("DELETE", &format!("{applications}/{application}"), None)
            .await
    }

    async fn tokens(&self, keys: &Value) -> Step<()> {
        let (key, secret) = (&keys["consumerKey"], &keys["consumerSecret"]);
        let (key, secret) = (key.as_str().expect("key"), secret.as_str().expect("secret"));
        let ask = |form: Vec<(&'static str, String)>| async move {
            let pairs: Vec<_> = form
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let call = self
                .node
                .post("/oauth2/token")
                .basic(key, secret)
                .form(&pairs);
            call.try_send().await.map_err(|_| Gone)
        };
        let password = self.node.admin_password.clone();
        let first = ask(vec![
            ("grant_type", "password".to_owned()),
            ("username", "admin".to_owned()),
            ("password", password),
        ])
        .await?
        .expect(200)
        .json();
        let refresh = first["refresh_token"]
            .as_str()
            .expect("refresh token")
            .to_owned();
        let second = ask(vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh),
        ]);
        let second = second.await?.expect(200).json();
        let access = second["access_token"].as_str().expect("token");
        let revoke = self
            .node
            .post("/oauth2/revoke")
            .basic(key, secret)
            .form(&[("token", access)]);
        revoke.try_send().await.map_err(|_| Gone)?.expect(200);
        Ok(())
    }

    async fn administer(&self) -> Step<()> {
        let policies = format!("{ADMIN}/throttling/policies/application");
        let body = json!({
            "policyName": "Crash", "displayName": "Crash", "description": "crash",
            "defaultLimit": {"type": "REQUESTCOUNTLIMIT",
                "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 5}},
        });
        let policy = self.id("policyId", &policies, body).await?;
        self.done("DELETE", &format!("{policies}/{policy}"), None)
            .await?;
        let denies = format!("{ADMIN}/throttling/deny-policies");
        let body =
            json!({"conditionType": "USER", "conditionValue": "nobody", "conditionStatus": true});
        let deny = self.id("conditionId", &denies, body).await?;
        self.done(
            "DELETE",
            &format!("{ADMIN}/throttling/deny-policy/{deny}"),
            None,
        )
        .await?;
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "crash", "password": "Crash-landing-1",
        });
        let user = self.id("id", "/scim2/Users", body).await?;
        self.done("DELETE", &format!("/scim2/Users/{user}"), None)
            .await
    }

    async fn run(&self) -> Step<()> {
        let api = self.publish().await?;
        self.subscribe(&api).await?;
        self.administer().await?;
        self.done("DELETE", &format!("{PUBLISHER}/apis/{api}"), None)
            .await
    }
}

/// A data directory that a node has started on once, to be copied for each crash.
async fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let mut node = Node::start_with(Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    })
    .await;
    // The tests' own client and its token are there already, so that crashes come later.
    assert!(!node.admin_token().await.is_empty());
    assert_eq!(node.terminate().await, Some(0));
    dir
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(from.join("data"))
        .arg(to)
        .status();
    assert!(copied.expect("cp").success());
}

async fn scenario_on(dir: &Path, variable: (&str, String), backend: &str) -> (Node, bool) {
    let node = Node::start_with(Options {
        dir: Some(dir.to_owned()),
        environment: vec![(variable.0.to_owned(), variable.1)],
        ..Options::default()
    })
    .await;
    let token = node.admin_token().await;
    let scenario = Scenario {
        node: &node,
        token,
        backend: backend.to_owned(),
    };
    let finished = scenario.run().await.is_ok();
    (node, finished)
}

/// What must be true of a node after any crash.
async fn assert_whole(node: &Node, point: &str) {
    let token = node.admin_token().await;
    let list = |path: String| async move {
        let answer = node.get(&path).bearer(&token).send().await;
        assert_eq!(answer.status, 200, "after {point}: {}", answer.text());
        (
            answer.json()["list"].as_array().expect("a list").clone(),
            token,
        )
    };
    let (apis, token) = list(format!("{PUBLISHER}/apis")).await;
    for api in apis {
        let id = api["id"].as_str().expect("id");
        for part in [
            "",
            "/swagger",
            "/revisions",
            "/deployments",
            "/lifecycle-history",
        ] {
            let path = format!("{PUBLISHER}/apis/{id}{part}");
            let answer = node.get(&path).bearer(&token).send().await;
            assert_eq!(
                answer.status,
                200,
                "after {point}: {path}: {}",
                answer.text()
            );
        }
    }
    // The same once more: nothing half written stands in the way of doing it again.
    for path in ["apis?limit=100", "subscriptions"] {
        let answer = node
            .get(&format!("{PUBLISHER}/{path}"))
            .bearer(&token)
            .send()
            .await;
        assert_eq!(answer.status, 200, "after {point}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_statement_of_any_write_leaves_a_node_that_starts_again_whole() {
    let (base, upstream) = (prepared().await, Upstream::start().await);
    let dir = tempfile::tempdir().expect("a directory");
    copy(base.path(), dir.path());
    let list = dir.path().join("points");
    let variable = ("HEADGATE_CRASH_LIST", list.display().to_string());
    let (node, finished) = scenario_on(dir.path(), variable, &upstream.url).await;
    assert!(finished, "the scenario runs to its end without a crash");
    drop(node);
    let text = std::fs::read_to_string(&list).expect("crash points");
    let points: BTreeSet<&str> = text.lines().filter(|point| !is_background(point)).collect();
    assert!(
        points.len() > 50,
        "only {} crash points were passed",
        points.len()
    );
    let mut crashed = 0;
    for point in points {
        let dir = tempfile::tempdir().expect("a directory");
        copy(base.path(), dir.path());
        let variable = ("HEADGATE_CRASH_AT", point.to_owned());
        let (node, finished) = scenario_on(dir.path(), variable, &upstream.url).await;
        crashed += usize::from(!finished);
        let node = node.crash_and_restart(Options::default()).await;
        assert_whole(&node, point).await;
    }
    assert!(crashed > 40, "only {crashed} points ended the process");
}

/// Writes of start and of timers, which pass before the scenario begins.
fn is_background(point: &str) -> bool {
    [
        "carbon.",
        "broker.",
        "apim.usage.",
        "apim.seed",
        "shared.seed",
    ]
    .iter()
    .any(|prefix| point.starts_with(prefix))
}
