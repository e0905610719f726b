//! Who may call each operation, as one text: whoever opens one to others, or closes it to some, does it here as well.

use std::fmt::Write as _;

use headgate_http::management::operations;
use headgate_http::operation::{Access, Operation, Owner};

/// Method, path and who may call, a line each, as the contracts have it; whether it is about what is one person's, which
/// takes `If-Match`, and which members must be unique.
const PINNED: &str = include_str!("operations.txt");

fn who(access: Access) -> String {
    match access {
        Access::Scopes(scopes) => scopes.join(" "),
        Access::BasicOr(scopes) => format!("basic or {}", scopes.join(" ")),
        Access::Anybody => "anybody".to_owned(),
        Access::Own => "checks its caller itself".to_owned(),
    }
}

/// What it declares beside that.
fn more(one: &Operation) -> String {
    let mut text = String::new();
    if one.owner == Owner::Person {
        text.push_str("; its owner's");
    }
    if one.if_match {
        text.push_str("; If-Match");
    }
    if !one.unique.is_empty() {
        let _ = write!(text, "; unique {}", one.unique.join(" "));
    }
    text
}

#[test]
fn each_operation_is_open_to_those_of_its_contract_and_to_nobody_else() {
    let mut lines: Vec<_> = operations()
        .iter()
        .map(|one| {
            format!(
                "{} {}: {}{}",
                one.path,
                one.method,
                who(one.access),
                more(one)
            )
        })
        .collect();
    lines.sort_unstable();
    let pinned: Vec<_> = PINNED.lines().collect();
    let mut differ = String::new();
    for line in lines.iter().filter(|line| !pinned.contains(&line.as_str())) {
        let _ = writeln!(differ, "+ {line}");
    }
    for line in pinned
        .iter()
        .filter(|line| !lines.iter().any(|one| one == *line))
    {
        let _ = writeln!(differ, "- {line}");
    }
    assert!(differ.is_empty(), "\n{differ}");
    assert_eq!(lines, pinned, "in another order");
}
