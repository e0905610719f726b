//! Whoever is refused what administrators alone see and do is told of in the audit log, by few lines however often.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::node::Node;

const TOLD: &str = "somebody is turned away from what administrators see and do";

/// Lines of the audit log that say this.
fn lines(node: &Node, what: &str) -> Vec<Value> {
    let log = node.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let is_it = |line: &Value| line["target"] == "audit" && line["message"] == what;
    lines.filter(is_it).collect()
}

/// Fields of a line, in this order.
fn fields(line: &Value) -> [&str; 6] {
    ["user", "tenant", "address", "method", "at", "outcome"]
        .map(|name| line[name].as_str().expect("a text"))
}

async fn told(node: &Node, count: usize) -> Vec<Value> {
    eventually(10, "they are told of", || async {
        let told = lines(node, TOLD);
        (told.len() >= count).then_some(told)
    })
    .await
}

#[tokio::test]
async fn whoever_is_refused_at_administrators_operations_is_audited_without_a_secret() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    let person = json!({
        "userName": "ann", "password": "Ann-keeps-this-1", "roles": ["Internal/creator"],
        "name": {"givenName": "Given", "familyName": "Family"}, "emails": ["ann@example.com"],
    });
    let made = node.post("/scim2/Users").bearer(&admin).json(&person);
    made.send().await.expect(201);
    let ann = node
        .user_token("ann", "Ann-keeps-this-1", "apim:api_create")
        .await;
    let wrong = "admin-password-that-is-wrong";
    let reload = || node.post("/admin/reload");
    reload().bearer(&ann).send().await.expect(403);
    reload().bearer(wrong).send().await.expect(401);
    reload().basic("admin", wrong).send().await.expect(401);
    let secret = node.get("/admin/cluster?access_token=in-a-query");
    secret.send().await.expect(401);
    let told = told(&node, 4).await;
    let here = "127.0.0.1";
    let none = "refused: the token carries none of the scopes apim:admin";
    let invalid = "refused: the token is not valid: get a new one";
    let basic = "refused: send the credential as a bearer token";
    let nothing = "refused: send a bearer token";
    let (post, at) = ("POST", "/admin/reload");
    assert_eq!(
        told.iter().map(fields).collect::<Vec<_>>(),
        [
            ["ann", "carbon.super", here, post, at, none],
            ["", "", here, post, at, invalid],
            ["", "", here, post, at, basic],
            ["", "", here, "GET", "/admin/cluster", nothing],
        ]
    );
    // What others may see as well is nobody's to be turned away from, and who is let in is told of by what they do.
    node.get("/livez").send().await.expect(200);
    let publisher = node.get("/api/am/publisher/v4/apis");
    publisher.send().await.expect(401);
    reload().bearer(&admin).send().await.expect(200);
    assert_eq!(lines(&node, TOLD).len(), 4);
    let log = node.log();
    for secret in [wrong, "in-a-query", &ann, &admin, "Ann-keeps-this-1"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_flood_of_refused_attempts_is_a_few_lines_and_how_many_others_there_were() {
    let node = Node::start().await;
    for n in 0..100 {
        let guess = format!("guess-{n}");
        let call = node.get(&format!("/admin/actors?n={n}")).bearer(&guess);
        call.send().await.expect(401);
    }
    // Somebody who may is let in meanwhile, and seen.
    let seen = node.get("/admin/cluster").bearer(&node.operator());
    seen.send().await.expect(200);
    eventually(10, "a look is told of", || async {
        let looks = lines(&node, "somebody looks at the cluster");
        (looks.len() == 1).then_some(())
    })
    .await;
    // On a machine that takes more than a minute for these, a second minute has begun.
    let first = lines(&node, TOLD).len();
    assert!((5..=10).contains(&first), "{first} lines");
    let others = eventually(90, "others are told by their count", || async {
        node.get("/livez").send().await.expect(200);
        let others = lines(&node, "others were turned away within a minute");
        let count = |line: &Value| line["others"].as_u64().expect("a number");
        let sum: u64 = others.iter().map(count).sum();
        (sum > 0).then_some((others, sum))
    })
    .await;
    let (others, sum) = others;
    assert!(others.iter().all(|line| line["address"] == "127.0.0.1"));
    let told = u64::try_from(lines(&node, TOLD).len()).expect("a number");
    assert_eq!(told + sum, 100);
}
