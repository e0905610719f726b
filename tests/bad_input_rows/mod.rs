//! Bad input, row by row: each operation with a body or with parameters in its query, and each that
//! is neither a read nor a deletion, has an entry that says which members and parameters it must
//! refuse, and is shown to work when nothing is wrong. Ids in paths, also of reads and deletions, and
//! `If-Match` of deletions are `ids`' for all operations.

mod accepted;
mod api_faults;
mod cluster_rows;
mod ids;
mod kept_rows;
mod key_manager_rows;
mod list_rows;
mod missing;
mod policy_rows;
mod portal_rows;
mod query_rows;
mod rows;
mod world;

use headgate_http::management::operations;
use headgate_http::operation::{BodyKind, Operation, Owner};
use serde_json::{Value, json};

use crate::bad_input::{is_error_body, is_management};
use crate::support::http::{Answer, Call};
use crate::support::node::Node;
use rows::{Fault, Good, Row};
use world::World;

/// An id that nothing has.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn every_operation_that_takes_something_names_the_member_it_refuses() {
    let node = Node::start().await;
    let world = World::new(&node).await;
    let rows = rows::all(&world);
    for operation in operations() {
        let of = |row: &&Row| (row.method, row.path) == (operation.method, operation.path);
        let entry = rows.iter().find(of);
        let reads = matches!(operation.method, "GET" | "DELETE");
        // Whoever asks for their own claims may use POST; there is nothing to get wrong in it, nor in a reload.
        let nothing = ["/oauth2/userinfo", "/admin/reload"];
        let takes_nothing = reads || nothing.contains(&operation.path);
        let has_nothing = operation.body == BodyKind::Empty && operation.query.is_empty();
        let excused = takes_nothing && has_nothing;
        assert!(entry.is_some() || excused, "no row for {operation:?}");
        for name in operation.query {
            let judged = entry.is_some_and(|row| row.judges(name));
            assert!(judged, "what is refused of {name}? {operation:?}");
        }
    }
    let mut wrong = Vec::new();
    for operation in operations() {
        let of = |row: &&Row| (row.method, row.path) == (operation.method, operation.path);
        wrong.extend(undeclared(operation, rows.iter().find(of)));
    }
    for row in &rows {
        let takes_all = !row.takes_all.is_empty();
        let refuses = !row.faults.is_empty() || (!takes_all && !row.required.is_empty());
        let place = format!("{} {}", row.method, row.path);
        assert_ne!(refuses, takes_all, "{place}: what is refused?");
    }
    for row in &rows {
        check(&node, &world, row, &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

/// Where a row promises another thing than its operation declares: a row that leaves out what its
/// operation refuses would let it be lost.
fn undeclared(operation: &Operation, row: Option<&Row>) -> Vec<String> {
    let place = format!("{} {}", operation.method, operation.path);
    let told = |what: String| format!("{place}: {what}");
    let Some(row) = row else {
        // Those without a row are reads and deletions, which are `ids`'.
        let none = operation.unique.is_empty() && operation.required.is_empty();
        let what = "no row for what is unique or required";
        return Vec::from_iter((!none).then(|| told(what.to_owned())));
    };
    let required = missing::undeclared(operation, row).into_iter();
    let mut wrong: Vec<_> = required.map(told).collect();
    if row.tagged != operation.if_match {
        wrong.push(told("If-Match is declared or tested, not both".to_owned()));
    }
    if row.owned != (operation.owner == Owner::Person) {
        wrong.push(told("its owner is declared or tested, not both".to_owned()));
    }
    let tested = || row.conflicts.iter().flat_map(|conflict| conflict.members);
    for member in operation
        .unique
        .iter()
        .filter(|one| !tested().any(|other| other == *one))
    {
        wrong.push(told(format!(
            "{member} is to be unique, no row has it taken"
        )));
    }
    for member in tested().filter(|one| !operation.unique.contains(one)) {
        wrong.push(told(format!("{member} is not declared to be unique")));
    }
    wrong
}

/// All promises of one row; what is broken is told in `wrong`.
async fn check(node: &Node, world: &World, row: &Row, wrong: &mut Vec<String>) {
    let place = format!("{} {}", row.method, row.path);
    let mut tell = |what: &str, wanted: &str, answer: &Answer| {
        let got = format!("{} {}", answer.status, answer.text());
        wrong.push(format!("{place}: {what}: wanted {wanted}, got {got}"));
    };
    let derived = of_every_member(row);
    for fault in row.faults.iter().chain(&derived) {
        let answer = call(node, world, row, &row.good.with(fault)).send().await;
        if answer.status != 400 || !names(row, fault, &answer) {
            tell(&format!("{fault:?}"), "400 naming the member", &answer);
        }
    }
    for (what, answer) in missing::unnoticed(node, world, row).await {
        tell(&what, "400 naming the member", &answer);
    }
    for fault in &row.query_faults {
        let query = fault.in_parameters(&row.query);
        let ids = |part| world.id(row.level, part);
        let call = request(node, row, ids, (&query, &row.good)).bearer(&world.token);
        let answer = call.send().await;
        if answer.status != 400 || !names(row, fault, &answer) {
            tell(&format!("{fault:?}"), "400 naming the parameter", &answer);
        }
    }
    for (what, call) in to_nothing(node, world, row) {
        let answer = call.send().await;
        if answer.status != 404 || !is_refusal(row, &answer) {
            tell(what, "404", &answer);
        }
    }
    if row.owned {
        let call = known(node, world, row, &row.good).bearer(&world.stranger);
        let answer = call.send().await;
        if !is_not_theirs(row, &answer) {
            tell("another owner's object", "404", &answer);
        }
    }
    if row.tagged {
        let call = call(node, world, row, &row.good).header("if-match", "\"999\"");
        let answer = call.send().await;
        if answer.status != 412 || !is_about_all(row, &["if-match"], &answer) {
            tell("If-Match of another version", "412 naming it", &answer);
        }
    }
    for (what, answer) in untold_conflicts(node, world, row, false).await {
        tell(&what, "409 naming what is taken", &answer);
    }
    let (answer, is_told) = good(node, world, row).await;
    if answer.status != row.status {
        tell("a good body", &row.status.to_string(), &answer);
    } else if !is_told {
        tell("a change", "who has applied it (Headgate-Applied)", &answer);
    } else if row.status == 409 && !is_about_all(row, &[], &answer) {
        tell("a conflict", "what it is about", &answer);
    }
    for (what, answer) in untold_conflicts(node, world, row, true).await {
        tell(&what, "409 naming what is taken", &answer);
    }
}

/// What should be a conflict and is none, or does not say of what: of the good body once more if it
/// is `again`, else of its faults.
async fn untold_conflicts(
    node: &Node,
    world: &World,
    row: &Row,
    again: bool,
) -> Vec<(String, Answer)> {
    let mut untold = Vec::new();
    let conflicts = row.conflicts.iter();
    for conflict in conflicts.filter(|one| one.fault.is_none() == again) {
        let (what, request) = match &conflict.fault {
            Some(fault) => {
                let changed = row.good.with(fault);
                (format!("{fault:?}"), call(node, world, row, &changed))
            }
            None => (
                "the same once more".to_owned(),
                call(node, world, row, &row.good),
            ),
        };
        let answer = request.send().await;
        if answer.status != 409 || !is_about_all(row, conflict.members, &answer) {
            untold.push((what, answer));
        }
    }
    untold
}

/// What is wrong with every member of a good JSON body: one of another type, and a text that is
/// larger than any is kept.
fn of_every_member(row: &Row) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let (Good::Json(body), "") = (&row.good, row.takes_all) {
        spoil("", body, &mut faults);
    }
    faults.retain(|fault| !fault.member().is_empty());
    faults
}

fn spoil(pointer: &str, value: &Value, faults: &mut Vec<Fault>) {
    let other = match value {
        Value::Object(_) | Value::Array(_) => json!(5),
        _ => json!({"a": 1}),
    };
    if !pointer.is_empty() {
        faults.push(rows::wrong(pointer, other));
    }
    match value {
        Value::String(_) => faults.push(rows::long(pointer, 40_000)),
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                spoil(&format!("{pointer}/{name}"), value, faults);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                spoil(&format!("{pointer}/{index}"), value, faults);
            }
        }
        _ => {}
    }
}

/// Whether the object is not there for who asked; of many, each is answered in its place.
fn is_not_theirs(row: &Row, answer: &Answer) -> bool {
    if row.path.ends_with("/multiple") {
        return answer.json()[0]["status"] == "REJECTED";
    }
    answer.status == 404 && is_refusal(row, answer)
}

/// Whether a refusal has the body that refusals have there.
fn is_refusal(row: &Row, answer: &Answer) -> bool {
    !is_management(row.path) || is_error_body(&answer.json())
}

/// Whether a refusal says that it is about something, and about all of these.
fn is_about_all(row: &Row, members: &[&str], answer: &Answer) -> bool {
    if !is_management(row.path) {
        let text = answer.text().to_lowercase();
        return members.iter().all(|one| text.contains(&one.to_lowercase()));
    }
    let body = answer.json();
    let items = body["error"].as_array().cloned().unwrap_or_default();
    let names = |member: &&str| items.iter().any(|item| item["code"] == **member);
    is_error_body(&body) && !items.is_empty() && members.iter().all(names)
}

/// The good request's answer, and whether it says who has applied what it changed.
async fn good(node: &Node, world: &World, row: &Row) -> (Answer, bool) {
    let before = head(node, world).await;
    let mut call = call(node, world, row, &row.good);
    if !row.tagged {
        // Whoever looks at it declares it.
        call = call.header("if-match", "\"999\"");
    }
    let answer = call.send().await;
    let has_changed = head(node, world).await > before;
    let is_told = !answer.header("headgate-applied").is_empty();
    (answer, is_told || !has_changed)
}

/// The last entry of the change log.
async fn head(node: &Node, world: &World) -> u64 {
    let seen = node.call("GET", "/admin/cluster").bearer(&world.watcher);
    let answer = seen.send().await;
    let head = answer.json()["changeLog"]["head"].as_u64();
    head.unwrap_or_else(|| panic!("{}", answer.text()))
}

/// The row's good request, to ids that nothing has.
fn to_nothing(node: &Node, world: &World, row: &Row) -> Vec<(&'static str, Call)> {
    let mut calls = Vec::new();
    // Each by itself: all others are known.
    for unknown in row.path.split('/').filter(|part| part.ends_with("Id}")) {
        let ids = |part: &'static str| match part == unknown {
            true => NOBODY,
            false => world.id(row.level, part),
        };
        let call = request(node, row, ids, (&row.query, &row.good)).bearer(&world.token);
        calls.push((unknown, call));
    }
    for name in row.query.as_object().into_iter().flat_map(|all| all.keys()) {
        let nothing = rows::wrong(&format!("/{name}"), json!(NOBODY));
        let query = nothing.in_parameters(&row.query);
        let ids = |part| world.id(row.level, part);
        let call = request(node, row, ids, (&query, &row.good)).bearer(&world.token);
        calls.push(("a parameter's id that nothing has", call));
    }
    if !row.unknown.is_empty() {
        let nothing = row.good.with(&rows::wrong(row.unknown, json!(NOBODY)));
        let call = call(node, world, row, &nothing);
        calls.push(("a parameter's id that nothing has", call));
    }
    calls
}

/// Whether a refusal says which member it is about: by its full path where the body is WSO2's,
/// as a word of its own in others.
fn names(row: &Row, fault: &Fault, answer: &Answer) -> bool {
    let member = fault.member();
    let last = member.last().copied().unwrap_or_default();
    let word = |text: &str| {
        let mut words = text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        // OAuth2's codes end with the parameter, as in `unsupported_grant_type`.
        words.any(|word| word.eq_ignore_ascii_case(last) || word.ends_with(&format!("_{last}")))
    };
    if !is_management(row.path) {
        return word(&answer.text());
    }
    let body = answer.json();
    let items = body["error"].as_array().into_iter().flatten();
    let mut codes = items.filter_map(|item| item["code"].as_str());
    // The part of a form is no part of what a member of the JSON in it is called.
    let in_part = match (&row.good, member.as_slice()) {
        (Good::Multipart(_), [_, rest @ ..]) if !rest.is_empty() => rest,
        (_, whole) => whole,
    };
    is_error_body(&body) && codes.any(|code| is_about(code, &member) || is_about(code, in_part))
}

/// Whether `code`, such as `operations[0].verb`, is the member's path, lies below it, or is what
/// the path is called in the part of a form that it lies in.
fn is_about(code: &str, member: &[&str]) -> bool {
    let parts = code.split(['.', '[', ']', '/']);
    let parts = parts.filter(|part| !part.is_empty() && part.parse::<usize>().is_err());
    let parts: Vec<_> = parts.collect();
    parts.starts_with(member) || (!parts.is_empty() && member.ends_with(&parts))
}

/// The row's request by who may make it.
fn call(node: &Node, world: &World, row: &Row, good: &Good) -> Call {
    let call = known(node, world, row, good);
    match good {
        Good::Form(_) => call.basic(&world.key, &world.secret),
        _ => call.bearer(&world.token),
    }
}

/// The row's request to what the world holds.
fn known(node: &Node, world: &World, row: &Row, good: &Good) -> Call {
    request(
        node,
        row,
        |part| world.id(row.level, part),
        (&row.query, good),
    )
}

fn request<'a>(
    node: &Node,
    row: &Row,
    id: impl Fn(&'static str) -> &'a str,
    (query, good): (&Value, &Good),
) -> Call {
    let parts = row.path.split('/').map(id);
    let path = parts.collect::<Vec<_>>().join("/");
    let query = match good {
        Good::Query(parameters) => parameters,
        _ => query,
    };
    let pairs = query.as_object().expect("parameters").iter();
    let pairs = pairs.map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        value => format!("{name}={value}"),
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    let call = node.call(row.method, &format!("{path}?{query}"));
    match good {
        Good::Query(_) => call,
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
fn a_member_is_named_by_its_whole_path_and_by_no_part_of_a_word() {
    assert!(is_about("operations[0].verb", &["operations"]));
    assert!(is_about("context", &["additionalProperties", "context"]));
    assert!(!is_about("policyName", &["name"]));
    assert!(!is_about("name", &["defaultLimit", "type"]));
    assert!(!is_about("", &["name"]));
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
