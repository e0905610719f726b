//! Commands that reach a running node through its data directory, or by address and token.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::node::Node;
use crate::support::platform::PUBLISHER;

fn headgate(node: &Node, words: &[&str], input: &str) -> Output {
    let mut child = node
        .command(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = child.stdin.take().expect("standard input");
    stdin.write_all(input.as_bytes()).expect("input");
    drop(stdin);
    child.wait_with_output().expect("its end")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[tokio::test]
async fn people_are_added_listed_and_deleted_from_the_command_line() {
    let node = Node::start().await;
    let roles = "Internal/creator,Internal/publisher";
    let add = ["user", "add", "casey", "--roles", roles, "--output", "json"];
    let added = headgate(&node, &add, "");
    assert!(added.status.success());
    let added = json(&added);
    assert_eq!(added["roles"].as_array().expect("roles").len(), 2);
    assert!(added["password"].as_str().expect("a password").len() >= 32);
    let again = headgate(&node, &add, "");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("409"));
    let given = ["user", "add", "drew", "--password-stdin", "--roles", roles];
    let given = headgate(&node, &given, "open-sesame-1\n");
    assert!(given.status.success());
    assert!(!String::from_utf8_lossy(&given.stdout).contains("sesame"));
    // The roles are what a token of theirs is good for.
    let token = node.user_token("drew", "open-sesame-1", "apim:api_view");
    let apis = node.get(&format!("{PUBLISHER}/apis")).bearer(&token.await);
    apis.send().await.expect(200);
    assert!(
        headgate(&node, &["user", "delete", "casey"], "")
            .status
            .success()
    );
    let gone = headgate(&node, &["user", "delete", "casey"], "");
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("casey"));
    let people = json(&headgate(&node, &["user", "list", "--output", "json"], ""));
    let people = people.as_array().expect("a list").iter();
    let names: Vec<&str> = people
        .filter_map(|user| user["userName"].as_str())
        .collect();
    assert_eq!(names, ["admin", "drew"]);
}

#[tokio::test]
async fn status_and_actors_tell_about_the_node_and_exit_codes_tell_scripts() {
    let mut node = Node::start().await;
    let ready = headgate(&node, &["status", "--output", "json"], "");
    assert_eq!(ready.status.code(), Some(0));
    let ready = json(&ready);
    assert_eq!(ready["ready"], true);
    assert!(!ready["checks"].as_array().expect("checks").is_empty());
    let actors = json(&headgate(
        &node,
        &["actors", "admin", "--output", "json"],
        "",
    ));
    let actors = actors.as_array().expect("a list");
    assert!(!actors.is_empty());
    let named = |actor: &Value| {
        actor["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("admin"))
    };
    assert!(actors.iter().all(named));
    let management = node.management.clone();
    let wrong = [
        "actors",
        "--server",
        &management,
        "--token",
        "no-such-token",
    ];
    let wrong = headgate(&node, &wrong, "");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("401"));
    assert_eq!(node.terminate().await, Some(0));
    assert_eq!(headgate(&node, &["status"], "").status.code(), Some(3));
    let elsewhere = ["status", "--server", &management, "--token", "any"];
    assert_eq!(headgate(&node, &elsewhere, "").status.code(), Some(3));
}
