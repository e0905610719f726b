//! What a caller takes as an answer: a read whose answer it does not take is 406, as the contracts declare.

use headgate_http::management::operations;
use serde_json::json;

use super::ids::path;
use super::world::World;
use crate::bad_input::is_error_body;
use crate::support::http::Answer;
use crate::support::node::Node;
use crate::support::platform::{DEVPORTAL, PUBLISHER};

/// That it is refused, and what it would have been.
#[track_caller]
fn assert_unwanted(answer: &Answer, available: &str) {
    assert_eq!(answer.status, 406, "{}", answer.text());
    let body = answer.json();
    let told = body["description"].as_str().unwrap_or_default();
    assert!(
        is_error_body(&body) && told.contains(available),
        "{body} {available}"
    );
    assert_eq!(body["error"][0]["code"], "accept", "{body}");
    assert_eq!((&body["code"], answer.header("etag")), (&json!(406), ""));
}

#[tokio::test]
async fn every_read_of_publisher_portal_and_administration_is_406_for_who_takes_no_json() {
    let node = Node::start().await;
    let world = World::new(&node).await;
    let mut walked = 0;
    for operation in operations() {
        if operation.method != "GET" || !operation.path.starts_with("/api/am/") {
            continue;
        }
        walked += 1;
        let mut path = path(&world, operation, "{}");
        if operation.path == "/api/am/devportal/v3/subscriptions" {
            path = format!("{path}?apiId={}", world.api);
        }
        let call = |method: &str| node.call(method, &path).bearer(&world.token);
        let taking = |accept: &str| call("GET").header("accept", accept).send();
        call("GET").send().await.expect(200);
        assert_unwanted(&taking("application/xml").await, "application/json");
        let list = "application/json;q=0, text/*, */*";
        assert_unwanted(&taking(list).await, "application/json");
        for good in [
            "application/json",
            "text/html, application/json;q=0.5",
            "application/json;q=0.5, */*",
            "application/*",
            "",
            "no list",
        ] {
            taking(good).await.expect(200);
        }
        let head = call("HEAD").header("accept", "application/xml");
        head.send().await.expect(406);
        // Who has seen it already takes no other type for that. The portal tells a description's reader so before it reads
        // it, and sends nothing then.
        let seen = call("GET").header("if-none-match", "*");
        let seen = seen.header("accept", "application/xml").send().await;
        match operation.path {
            "/api/am/devportal/v3/apis/{apiId}/swagger" => drop(seen.expect(304)),
            _ => assert_unwanted(&seen, "application/json"),
        }
        // Any other refusal comes first.
        let forged = node
            .get(&path)
            .bearer("a.b.c")
            .header("accept", "text/html");
        forged.send().await.expect(401);
    }
    assert_eq!(walked, 40, "an operation came or went");
}

#[tokio::test]
async fn a_description_is_what_its_bytes_are_to_who_takes_that_and_406_to_others() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let api = node
        .published(&token, "Yaml", "/yaml", "http://127.0.0.1:9")
        .await;
    let path = format!("{PUBLISHER}/apis/{api}/swagger");
    let taking = |path: &str, accept: &str| {
        let call = node.get(path).bearer(&token);
        call.header("accept", accept).send()
    };
    taking(&path, "application/json").await.expect(200);
    assert_unwanted(&taking(&path, "text/yaml").await, "application/json");
    let yaml = "openapi: 3.0.1\ninfo: {title: Yaml, version: 1.0.0}\npaths:\n  /items:\n    get:\n      \
                responses: {'200': {description: fine}}\n";
    let part = (
        "apiDefinition",
        Some("a.yaml"),
        "application/yaml",
        yaml.as_bytes(),
    );
    let put = node.put(&path).bearer(&token).multipart(&[part]);
    // A change that was made is told as such, whatever its caller takes.
    let put = put.header("accept", "application/xml").send().await;
    put.expect(200);
    let as_yaml = taking(&path, "application/json, application/yaml;q=0.5").await;
    assert_eq!(as_yaml.expect(200).text(), yaml);
    // What the contract declares.
    let declared = taking(&path, "application/json").await;
    assert_eq!(declared.expect(200).text(), yaml);
    assert_unwanted(&taking(&path, "application/xml").await, "application/yaml");
    node.deploy(&token, &api).await;
    let portal = format!("{DEVPORTAL}/apis/{api}/swagger");
    taking(&portal, "application/json").await.expect(200);
    assert_unwanted(
        &taking(&portal, "application/yaml").await,
        "application/json",
    );
}

#[tokio::test]
async fn health_metrics_keys_and_the_pages_of_a_browser_are_no_reads_of_a_contract() {
    let node = Node::start().await;
    for path in ["/livez", "/readyz", "/metrics", "/oauth2/jwks", "/admin/"] {
        let as_usual = node.get(path).bearer(&node.operator()).send().await;
        let call = node.get(path).bearer(&node.operator());
        let answer = call.header("accept", "image/webp").send().await;
        assert_eq!(answer.status, as_usual.status, "{path}");
        assert_ne!(answer.status, 404, "{path}");
    }
}
