//! Bad input, row by row: each operation with a body has an entry that says which members it
//! must refuse, and is shown to work when nothing is wrong.

mod portal_rows;
mod rows;
mod world;

use std::collections::BTreeSet;

use headgate_http::management::operations;
use headgate_http::operation::BodyKind;
use serde_json::{Value, json};

use crate::support::http::{Answer, Call};
use crate::support::node::Node;
use rows::{Good, Row};
use world::World;

#[tokio::test]
async fn every_operation_with_a_body_names_the_member_it_refuses() {
    let node = Node::start().await;
    let world = World::new(&node).await;
    let rows = rows::all(&world);
    let known: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.method, row.path)).collect();
    for operation in operations() {
        let entry = known.contains(&(operation.method, operation.path));
        assert!(
            entry || operation.body == BodyKind::Empty,
            "no row for {operation:?}"
        );
    }
    let mut wrong = Vec::new();
    for row in &rows {
        check(&node, &world, row, &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

/// All promises of one row; what is broken is told in `wrong`.
async fn check(node: &Node, world: &World, row: &Row, wrong: &mut Vec<String>) {
    let mut tell = |what: &str, wanted: &str, answer: &Answer| {
        let (method, path, status) = (row.method, row.path, answer.status);
        let text = answer.text();
        wrong.push(format!(
            "{method} {path}: {what}: wanted {wanted}, got {status} {text}"
        ));
    };
    for fault in &row.faults {
        let answer = call(node, world, row, &row.good.with(fault)).send().await;
        let named = answer
            .text()
            .to_lowercase()
            .contains(&fault.named().to_lowercase());
        if answer.status != 400 || !named {
            tell(&format!("{fault:?}"), "400 naming the member", &answer);
        }
    }
    if row.owned {
        let answer = request(node, world, row, &row.good)
            .bearer(&world.stranger)
            .send()
            .await;
        if answer.status != 404 {
            tell("another owner's object", "404", &answer);
        }
    }
    if row.tagged {
        let call = call(node, world, row, &row.good).header("if-match", "\"999\"");
        let answer = call.send().await;
        if answer.status != 412 {
            tell("If-Match of another version", "412", &answer);
        }
    }
    let answer = call(node, world, row, &row.good).send().await;
    if answer.status != row.status {
        tell("a good body", &row.status.to_string(), &answer);
    }
    if row.once {
        let answer = call(node, world, row, &row.good).send().await;
        if answer.status != 409 {
            tell("the same once more", "409", &answer);
        }
    }
}

/// The row's request by who may make it.
fn call(node: &Node, world: &World, row: &Row, good: &Good) -> Call {
    let call = request(node, world, row, good);
    match good {
        Good::Form(_) => call.basic(&world.key, &world.secret),
        _ => call.bearer(&world.token),
    }
}

fn request(node: &Node, world: &World, row: &Row, good: &Good) -> Call {
    let parts = row.path.split('/').map(|part| world.id(row.level, part));
    let path = parts.collect::<Vec<_>>().join("/");
    let call = node.call(row.method, &format!("{path}{}", row.query));
    match good {
        Good::Json(body) => call.json(body),
        Good::Form(members) => {
            let pairs: Vec<_> = members
                .as_object()
                .expect("members")
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().expect("a text")))
                .collect();
            call.form(&pairs)
        }
        Good::Multipart(members) => {
            let parts: Vec<(String, String)> = members
                .as_object()
                .expect("parts")
                .iter()
                .map(|(name, value)| match value {
                    Value::String(text) => (name.clone(), text.clone()),
                    value => (name.clone(), value.to_string()),
                })
                .collect();
            let kind = "application/json";
            let parts: Vec<_> = parts
                .iter()
                .map(|(name, text)| (name.as_str(), None, kind, text.as_bytes()))
                .collect();
            call.multipart(&parts)
        }
    }
}

#[test]
fn a_fault_changes_the_member_it_names_and_no_other() {
    let good = Good::Json(json!({"a": {"b": 1, "c": 2}}));
    let Good::Json(gone) = good.with(&rows::gone("/a/b")) else {
        panic!("another kind of body");
    };
    assert_eq!(gone, json!({"a": {"c": 2}}));
    let Good::Json(wrong) = good.with(&rows::wrong("/a/b", json!("x"))) else {
        panic!("another kind of body");
    };
    assert_eq!(wrong, json!({"a": {"b": "x", "c": 2}}));
}
