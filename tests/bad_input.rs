//! Bad input, driven from the list of operations: each is refused with the right status and a
//! body that says what is wrong.

use headgate_http::management::operations;
use headgate_http::operation::{Access, BodyKind, Operation};
use serde_json::{Value, json};

use crate::support::http::{Answer, Call};
use crate::support::node::Node;
use crate::support::platform::DEVPORTAL;
use crate::support::upstream::Upstream;

const MEGABYTE: usize = 1024 * 1024;
/// An id that nothing has.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn path_of(operation: &Operation) -> String {
    let parts = operation
        .path
        .split('/')
        .map(|part| if part.starts_with('{') { NOBODY } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn call(node: &Node, operation: &Operation) -> Call {
    node.call(operation.method, &path_of(operation))
}

/// Whether these are the five members that every refusal of a management API has.
pub fn is_error_body(body: &Value) -> bool {
    let says = |member: &str| body[member].as_str().is_some_and(|text| !text.is_empty());
    body["code"].is_u64()
        && says("message")
        && says("description")
        && body["moreInfo"].is_string()
        && body["error"].is_array()
}

#[track_caller]
fn assert_error_body(operation: &Operation, answer: &Answer) {
    let place = format!("{} {}: {}", operation.method, operation.path, answer.text());
    let body: Value = serde_json::from_slice(&answer.body).expect(&place);
    assert!(is_error_body(&body), "{place}");
}

/// That a 413 names what is too large, and how large it may be.
#[track_caller]
fn assert_too_large(answer: &Answer, member: &str, most: usize) {
    let (body, text) = (answer.json(), answer.text());
    assert_eq!(body["error"][0]["code"], member, "{text}");
    let description = body["description"].as_str().unwrap_or_default();
    let named = description.contains(&format!("{} MB ({most} bytes)", most / MEGABYTE));
    assert!(named && description.starts_with(member), "{text}");
}

/// Whether a path's refusals have WSO2's error body: OAuth2, SCIM and the registrations have
/// bodies of their own standards.
pub fn is_management(path: &str) -> bool {
    path.starts_with("/api/am/") || path.starts_with("/admin/")
}

fn of_management(operation: &&&'static Operation) -> bool {
    is_management(operation.path)
}

#[tokio::test]
async fn every_guarded_operation_refuses_nobody_a_forged_token_and_a_token_without_its_scope() {
    let node = Node::start().await;
    let weak = node
        .user_token("admin", &node.admin_password, "device_tests")
        .await;
    let list = operations();
    assert_eq!(list.len(), 125, "an operation came or went");
    for operation in &list {
        let open = matches!(operation.access, Access::Own);
        if open {
            continue;
        }
        let anonymous = call(&node, operation).send().await;
        let forged = call(&node, operation).bearer("a.b.c").send().await;
        assert_eq!(forged.status, 401, "{operation:?}: {}", forged.text());
        let scopeless = call(&node, operation).bearer(&weak).send().await;
        if operation.access == Access::Anybody {
            // A valid token opens no less than none.
            assert!(![401, 403].contains(&anonymous.status.as_u16()));
            assert_eq!(scopeless.status, anonymous.status, "{operation:?}");
            continue;
        }
        assert_eq!(anonymous.status, 401, "{operation:?}: {}", anonymous.text());
        assert!(
            !anonymous.header("www-authenticate").is_empty(),
            "{operation:?}"
        );
        assert_eq!(scopeless.status, 403, "{operation:?}: {}", scopeless.text());
        assert_error_body(operation, &scopeless);
    }
}

#[tokio::test]
async fn every_operation_with_a_json_body_refuses_what_is_not_json_too_large_or_of_another_type() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let list = operations();
    let with_json = list.iter();
    for operation in with_json.filter(|operation| operation.body == BodyKind::Json) {
        let refused = |wanted: u16, answer: &Answer| {
            assert_eq!(answer.status, wanted, "{operation:?}: {}", answer.text());
            if is_management(operation.path) {
                assert_error_body(operation, answer);
            }
        };
        let with = |kind: &str, body: Vec<u8>| {
            call(&node, operation)
                .bearer(&token)
                .bytes(kind, body)
                .send()
        };
        let malformed = with("application/json", b"{\"a\":".to_vec()).await;
        refused(400, &malformed);
        let other = with("text/plain", b"{}".to_vec()).await;
        refused(415, &other);
        let deep = with("application/json", "[".repeat(100_000).into_bytes()).await;
        refused(400, &deep);
        let large = with("application/json", vec![b' '; operation.json_limit + 1]).await;
        refused(413, &large);
        if is_management(operation.path) {
            assert_too_large(&large, "body", operation.json_limit);
        }
    }
}

#[tokio::test]
async fn every_operation_refuses_nul_and_every_path_refuses_a_method_that_it_has_not() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let list = operations();
    for operation in list.iter().filter(of_management) {
        let with = |path: &str| node.call(operation.method, path).bearer(&token).send();
        let query = with(&format!("{}?query=%00", path_of(operation))).await;
        assert_eq!(query.status, 400, "{operation:?}: {}", query.text());
        assert!(query.text().contains("query"), "{}", query.text());
        assert_error_body(operation, &query);
        for odd in ["%00", "a%ff"] {
            let path = path_of(operation).replace(NOBODY, odd);
            if operation.path.contains('{') {
                let refused = with(&path).await;
                assert_eq!(refused.status, 400, "{path}: {}", refused.text());
                assert_error_body(operation, &refused);
            }
        }
        let path = path_of(operation);
        let other = node.call("TRACE", &path).bearer(&token).send().await;
        assert_eq!(other.status, 405, "{path}: {}", other.text());
        assert!(other.header("allow").contains(operation.method), "{path}");
        assert_error_body(operation, &other);
    }
}

#[tokio::test]
async fn what_is_no_form_is_told_so_and_one_that_is_too_large_however_large_it_is() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let megabytes = |count: usize| vec![b' '; count * MEGABYTE];
    let (file, properties) = ("file", "additionalProperties");
    // As a whole too large, by far or within what is read of it, and a part that is by one byte.
    let large = [
        (file, megabytes(24), 10),
        (file, megabytes(13), 10),
        (file, vec![b' '; 10 * MEGABYTE + 1], 10),
        ("apiDefinition", megabytes(13), 10),
        ("inlineAPIDefinition", megabytes(13), 10),
        (properties, megabytes(13), 1),
        (properties, megabytes(2), 1),
        ("another", megabytes(2), 1),
    ];
    // As a whole too large, and no part of it is.
    let twelfth = vec![b' '; MEGABYTE * 19 / 20];
    let twelve = [("other", None, "text/plain", twelfth.as_slice()); 12];
    for operation in operations() {
        if operation.body != BodyKind::Multipart {
            continue;
        }
        let other = call(&node, operation).bearer(&token);
        let other = other.bytes("application/json", "{}").send().await;
        assert_eq!(other.status, 415, "{operation:?}: {}", other.text());
        assert_error_body(operation, &other);
        let small = ("other", None, "text/plain", b"x".as_slice());
        let with_one = large.iter().map(|(name, body, most)| {
            let large = (*name, None, "application/json", body.as_slice());
            (vec![small, large], *name, *most)
        });
        for (parts, name, most) in with_one.chain([(twelve.to_vec(), "body", 11)]) {
            let call = call(&node, operation).bearer(&token);
            let large = call.multipart(&parts).try_send().await;
            let large = large.expect("an answer and no broken connection");
            assert_eq!(large.status, 413, "{operation:?}: {}", large.text());
            assert_error_body(operation, &large);
            assert_too_large(&large, name, most * MEGABYTE);
        }
    }
}

#[tokio::test]
async fn every_form_of_oauth2_refuses_what_is_no_form_stands_twice_or_is_too_large() {
    let node = Node::start().await;
    let mut walked = 0;
    for operation in operations() {
        if operation.body != BodyKind::Form {
            continue;
        }
        walked += 1;
        let form = "application/x-www-form-urlencoded";
        let twice = "token=a&token=b&grant_type=c";
        for (kind, body, status) in [
            ("application/json", "{}".to_owned(), 400),
            (form, twice.to_owned(), 400),
            (form, format!("token={}", "x".repeat(64 * 1024)), 413),
        ] {
            let call = call(&node, operation).basic("nobody", "nothing");
            let answer = call.bytes(kind, body).send().await;
            assert_eq!(answer.status, status, "{operation:?}: {}", answer.text());
            let body = answer.json();
            let says = |member: &str| body[member].as_str().is_some_and(|text| !text.is_empty());
            match status {
                413 => assert_error_body(operation, &answer),
                _ => assert!(says("error") && says("error_description"), "{body}"),
            }
        }
    }
    assert_eq!(walked, 3);
}

#[tokio::test]
async fn a_bad_item_among_many_subscriptions_is_refused_in_its_place_and_the_others_are_made() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let application = node.application(&token, "many", "Unlimited", "JWT").await;
    let item = |api: Value, plan: &str| json!({"apiId": api, "applicationId": application, "throttlingPolicy": plan});
    let roles = json!([{"value": "Internal/subscriber"}]);
    let stranger = json!({"userName": "stranger", "password": "Passing-by-1", "roles": roles});
    let stranger = node.post("/scim2/Users").bearer(&token).json(&stranger);
    stranger.send().await.expect(201);
    let scopes = "apim:subscribe apim:app_manage";
    let stranger = node.user_token("stranger", "Passing-by-1", scopes).await;
    let theirs = node.application(&stranger, "theirs", "Unlimited", "JWT");
    let mut of_another = item(json!(api), "Unlimited");
    of_another["applicationId"] = json!(theirs.await);
    let body = json!([
        item(json!(5), "Unlimited"),
        item(json!(api), "NoSuchPlan"),
        of_another,
        item(json!(api), "Unlimited"),
    ]);
    let answer = node
        .post(&format!("{DEVPORTAL}/subscriptions/multiple"))
        .bearer(&token)
        .json(&body)
        .send()
        .await
        .expect(200)
        .json();
    let status: Vec<_> = (0..4).map(|n| answer[n]["status"].clone()).collect();
    assert_eq!(status, ["REJECTED", "REJECTED", "REJECTED", "UNBLOCKED"]);
    for (n, member) in [(0, "apiId"), (1, "throttlingPolicy"), (2, "application")] {
        let why = answer[n]["redirectionParams"].as_str().expect("a reason");
        assert!(why.contains(member), "{why}");
    }
}
