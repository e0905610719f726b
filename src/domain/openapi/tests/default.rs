//! The definition of an API that was made from scratch.

use super::super::default_definition;
use super::good;
use crate::api::{ApiScope, AuthType, Operation};
use crate::verb::Verb;

fn operation(target: &str, verb: &str, scopes: &[&str]) -> Operation {
    Operation {
        id: String::new(),
        target: target.to_owned(),
        verb: verb.to_owned(),
        auth_type: AuthType::Any,
        throttling_policy: "Unlimited".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    }
}

#[test]
fn it_is_read_back_as_the_same_operations() {
    let operations = [
        operation("/menu", "GET", &["read"]),
        operation("/order/{orderId}", "PUT", &["write", "read"]),
        operation("/menu", "POST", &[]),
        operation("/*", "DELETE", &[]),
    ];
    let bound = ApiScope {
        name: "write".to_owned(),
        display_name: "write".to_owned(),
        description: "Orders".to_owned(),
        roles: vec!["admin".to_owned(), "cook".to_owned()],
        shared: false,
    };
    let bound = [bound];
    let text = default_definition("Pizza \"Shack\"", "1.0", &operations, &bound);
    assert_eq!(
        text,
        default_definition("Pizza \"Shack\"", "1.0", &operations, &bound),
        "deterministic"
    );
    let definition = good(&text);
    assert_eq!(
        (definition.title.as_str(), definition.api_version.as_str()),
        ("Pizza \"Shack\"", "1.0")
    );
    let scopes: Vec<_> = definition
        .scopes
        .iter()
        .map(|scope| scope.name.as_str())
        .collect();
    assert_eq!(scopes, ["write", "read"]);
    let again: Vec<ApiScope> = definition.scopes.iter().map(Into::into).collect();
    assert_eq!(again.first(), bound.first(), "roles and words come back");
    let read: Vec<_> = definition.operations.iter().map(Operation::from).collect();
    let order = [0, 2, 1, 3].map(|at: usize| operations[at].clone());
    assert_eq!(
        read, order,
        "paths in order, the verbs of one path together"
    );
    assert_eq!(
        definition.operations.first().map(|one| one.verb),
        Some(Verb::Get)
    );
    assert_eq!(definition.warnings, []);
}

#[test]
fn it_has_the_shape_that_wso2_gives_it() {
    let document: serde_json::Value = serde_json::from_str(&default_definition(
        "A",
        "1",
        &[operation("/a/{b}", "POST", &["s"])],
        &[],
    ))
    .unwrap();
    let at = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/openapi"), "3.0.1");
    assert_eq!(at("/servers/0/url"), "/");
    assert_eq!(at("/paths/~1a~1{b}/post/security/0/default/0"), "s");
    assert_eq!(
        at("/paths/~1a~1{b}/post/x-auth-type"),
        "Application & Application User"
    );
    assert_eq!(at("/paths/~1a~1{b}/post/x-throttling-tier"), "Unlimited");
    assert_eq!(at("/paths/~1a~1{b}/post/parameters/0/name"), "b");
    assert_eq!(at("/paths/~1a~1{b}/post/responses/200/description"), "OK");
    assert!(at("/paths/~1a~1{b}/post/requestBody").is_object());
    assert_eq!(
        at("/components/securitySchemes/default/flows/implicit/scopes/s"),
        ""
    );
}

#[test]
fn an_api_without_operations_has_a_definition_too() {
    assert_eq!(good(&default_definition("A", "1", &[], &[])).operations, []);
}
