//! What must be in a body: without it a good one is refused, and the refusal names it.

use serde_json::Value;

use headgate_http::operation::Operation;

use super::rows::{Fault, Good, Row, gone};
use super::world::World;
use super::{call, names};
use crate::support::http::Answer;
use crate::support::node::Node;

/// Where a row's members that must be there are not those that its operation declares, or are in none of its bodies.
pub(super) fn undeclared(operation: &Operation, row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    for member in operation.required {
        if !row.required.contains(member) {
            wrong.push(format!(
                "{member} is to be required, its row does not say so"
            ));
        }
    }
    for member in &row.required {
        if !operation.required.contains(member) {
            wrong.push(format!("{member} is not declared to be required"));
        }
        if row
            .bodies()
            .all(|body| places(body.value(), member).is_empty())
        {
            wrong.push(format!("{member} is in no good body"));
        }
    }
    wrong
}

/// What may be missing without being named.
pub(super) async fn unnoticed(node: &Node, world: &World, row: &Row) -> Vec<(String, Answer)> {
    let mut unnoticed = Vec::new();
    let bodies: Vec<_> = row.bodies().collect();
    for member in &row.required {
        for body in &bodies {
            for pointer in places(body.value(), member) {
                let fault = gone(&pointer);
                let answer = call(node, world, row, &body.with(&fault)).send().await;
                if !is_refused(row, &fault, &answer) {
                    unnoticed.push((format!("without {pointer}"), answer));
                }
            }
        }
    }
    unnoticed
}

/// Whether a refusal names what is missing; of many, each is answered in its place.
fn is_refused(row: &Row, fault: &Fault, answer: &Answer) -> bool {
    if row.path.ends_with("/multiple") {
        let first = &answer.json()[0];
        let why = first["redirectionParams"].as_str().unwrap_or_default();
        let member = fault.member().last().copied().unwrap_or_default();
        return first["status"] == "REJECTED" && why.starts_with(&format!("{member}: "));
    }
    answer.status == 400 && names(row, fault, answer)
}

/// Where the member of this path stands in a body, as pointers: in a list at each place that has it.
fn places(body: &Value, path: &str) -> Vec<String> {
    let path = path.replace("[]", ".[]");
    let parts = path.split('.').filter(|part| !part.is_empty());
    parts.fold(vec![String::new()], |found, part| {
        let within = |pointer: &String| match (part, body.pointer(pointer)) {
            ("[]", Some(Value::Array(list))) => {
                let places = 0..list.len();
                places.map(|place| format!("{pointer}/{place}")).collect()
            }
            (name, Some(Value::Object(members))) if members.contains_key(name) => {
                vec![format!("{pointer}/{name}")]
            }
            _ => Vec::new(),
        };
        found.iter().flat_map(within).collect()
    })
}

#[test]
fn a_member_is_found_at_each_place_that_has_it() {
    let body = serde_json::json!({"a": [{"b": {"c": 1}}, {"b": {}}, {"b": {"c": 2}}], "c": 3});
    assert_eq!(places(&body, "a[].b.c"), ["/a/0/b/c", "/a/2/b/c"]);
    assert_eq!(places(&body, "c"), ["/c"]);
    assert!(places(&body, "b").is_empty());
    assert_eq!(places(&body["a"], "[].b"), ["/0/b", "/1/b", "/2/b"]);
}

#[test]
fn a_good_body_has_its_samples_one_at_a_time() {
    let good = serde_json::json!({"a": 1});
    let row = Row::new("POST", "/", Good::Json(good), 200);
    let row = row.sample("/b", Value::from(2)).sample("/a", Value::Null);
    let bodies: Vec<_> = row.bodies().map(|body| body.value().clone()).collect();
    let wanted = serde_json::json!([{"a": 1}, {"a": 1, "b": 2}, {"a": null}]);
    assert_eq!(Value::from(bodies), wanted);
}
