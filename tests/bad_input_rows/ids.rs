//! Ids in paths: of nothing, of another owner, of another version.

use headgate_http::management::operations;
use headgate_http::operation::{Operation, Owner};
use serde_json::{Value, json};

use super::NOBODY;
use super::world::World;
use crate::bad_input::{is_error_body, is_management};
use crate::support::http::Answer;
use crate::support::node::Node;

/// Reads and deletions with an id in their path.
fn by_id() -> Vec<&'static Operation> {
    let mut all = operations();
    all.retain(|operation| {
        operation.path.contains('{') && matches!(operation.method, "GET" | "DELETE")
    });
    all
}

/// Whether it is the error of people's own standard (RFC 7644 §3.12).
fn is_scim_error(body: &Value, answer: &Answer) -> bool {
    body["schemas"] == json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
        && body["status"] == answer.status.as_str()
        && body["detail"].as_str().is_some_and(|text| !text.is_empty())
}

/// The path with what the world holds, and `NOBODY` in place of one part.
pub(super) fn path(world: &World, operation: &Operation, unknown: &str) -> String {
    let level = match operation.path {
        path if path.contains("/policies/application/") => "application",
        path if path.contains("/policies/subscription/") => "subscription",
        path if path.contains("/policies/advanced/") => "advanced",
        _ => "",
    };
    let parts = operation.path.split('/').map(|part| match part {
        part if part == unknown => NOBODY,
        part => world.id(level, part),
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_id_of_a_path_is_looked_up_though_all_its_neighbours_are_known() {
    let node = Node::start().await;
    let world = World::new(&node).await;
    let mut wrong = Vec::new();
    for operation in by_id() {
        for part in operation
            .path
            .split('/')
            .filter(|part| part.starts_with('{'))
        {
            let path = path(&world, operation, part);
            assert!(!path.contains('{'), "what stands for the ids of {path}?");
            let call = node.call(operation.method, &path).bearer(&world.token);
            let answer = call.send().await;
            // A word of the contract is refused as such, or as nothing that there is.
            let is_word = matches!(part, "{keyType}" | "{policyLevel}" | "{*key}");
            let refused = answer.status == 404 || is_word && answer.status == 400;
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let told = match is_management(operation.path) {
                true => is_error_body(&body),
                false => is_scim_error(&body, &answer),
            };
            let name = part.trim_matches(['{', '*', '}']);
            let text = answer.text();
            let named = text.contains(NOBODY) || is_word && text.contains(name);
            if !refused || !told || !named {
                let Answer { status, .. } = answer;
                let method = operation.method;
                wrong.push(format!("{method} {path}: {part}: {status} {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_deletion_of_another_version_is_412_and_deletes_nothing() {
    let node = Node::start().await;
    let world = World::new(&node).await;
    let mut walked = 0;
    for one in by_id() {
        if one.method != "DELETE" {
            continue;
        }
        let path = path(&world, one, "{}");
        let read = by_id()
            .into_iter()
            .any(|other| other.method == "GET" && other.path == one.path);
        let seen = node.get(&path).bearer(&world.token).send().await;
        let has_tag = read && !seen.header("etag").is_empty();
        assert!(one.if_match || !has_tag, "{path} has a tag for nothing");
        if !one.if_match {
            continue;
        }
        walked += 1;
        let delete = node.delete(&path).bearer(&world.token);
        let answer = delete.header("if-match", "\"999\"").send().await;
        assert_eq!(answer.status, 412, "{path}: {}", answer.text());
        assert!(is_error_body(&answer.json()), "{path}");
        assert_eq!(answer.json()["error"][0]["code"], "if-match", "{path}");
        let still = node.get(&path).bearer(&world.token).send().await;
        assert_eq!(still.status, seen.status, "{path}");
        assert_eq!(still.header("etag"), seen.header("etag"), "{path}");
    }
    // An API, a revision, an application, a subscription, policies of three levels, a deny policy.
    assert_eq!(walked, 8);
}

#[tokio::test]
async fn what_is_another_owners_is_neither_read_nor_deleted() {
    let node = Node::start().await;
    let world = World::new(&node).await;
    let mut walked = 0;
    for operation in operations() {
        let names = |id: &str| operation.path.contains(id);
        let owned = operation.owner == Owner::Person;
        let is_theirs = names("{applicationId}") || names("{subscriptionId}");
        assert!(owned || !is_theirs, "whose is it? {operation:?}");
        // Where the body or the query names it, its row asks.
        if !owned || !names("{") || !matches!(operation.method, "GET" | "DELETE") {
            continue;
        }
        walked += 1;
        let parts = operation.path.split('/').map(|part| world.id("", part));
        let path = parts.collect::<Vec<_>>().join("/");
        let call = node.call(operation.method, &path).bearer(&world.stranger);
        let answer = call.send().await;
        assert_eq!(answer.status, 404, "{operation:?}: {}", answer.text());
        assert!(is_error_body(&answer.json()), "{operation:?}");
    }
    assert!(walked > 4, "{walked}");
    let mine = format!("/api/am/devportal/v3/applications/{}", world.application);
    let mine = node.get(&mine).bearer(&world.token).send().await;
    mine.expect(200);
}
