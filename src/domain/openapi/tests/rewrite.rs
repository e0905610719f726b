//! A description whose API gets other operations.

use super::super::{FaultKind, SpecVersion, with_operations};
use super::{Limits, good};
use crate::api::{ApiScope, AuthType, Operation};

const UPLOADED: &str = r##"{
  "openapi": "3.0.3", "info": {"title": "Pizza", "version": "1"},
  "paths": {
    "x-note": [1.5, 12345678901234567890],
    "/menu": {"summary": "The menu", "get": {"operationId": "menu", "responses": {"200": {
      "description": "ok", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Menu"}}}}}},
      "post": {"responses": {}}},
    "/gone": {"get": {"responses": {}}},
    "/shared": {"$ref": "#/x-items/shared"}
  },
  "x-items": {"shared": {"put": {"summary": "Shared", "responses": {}}, "get": {"responses": {}}}},
  "components": {"schemas": {"Menu": {"type": "object"}}}
}"##;

fn operation(verb: &str, target: &str, scopes: &[&str]) -> Operation {
    Operation {
        id: String::new(),
        target: target.to_owned(),
        verb: verb.to_owned(),
        auth_type: AuthType::Any,
        throttling_policy: "Unlimited".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    }
}

fn eat() -> ApiScope {
    ApiScope {
        name: "eat".to_owned(),
        display_name: "eat".to_owned(),
        description: "Eats".to_owned(),
        roles: vec!["cook".to_owned()],
        shared: false,
    }
}

fn rewritten(document: &str, operations: &[Operation]) -> Option<String> {
    with_operations(
        document.as_bytes(),
        &Limits::default(),
        operations,
        &[eat()],
    )
    .unwrap()
}

fn of(document: &str) -> Vec<Operation> {
    good(document).operations.iter().map(Into::into).collect()
}

#[test]
fn what_agrees_already_is_left_byte_for_byte() {
    assert_eq!(rewritten(UPLOADED, &of(UPLOADED)), None);
    let mut turned = of(UPLOADED);
    turned.reverse();
    assert_eq!(rewritten(UPLOADED, &turned), None, "order says nothing");
}

#[test]
fn what_agrees_is_kept_what_is_gone_is_left_out_and_what_is_new_is_described() {
    let mut locked = operation("POST", "/menu", &["eat"]);
    locked.auth_type = AuthType::ApplicationUser;
    locked.throttling_policy = "10KPerMin".to_owned();
    let wanted = [
        operation("GET", "/menu", &[]),
        locked,
        operation("PUT", "/shared", &[]),
        operation("DELETE", "/zzz/{id}", &["eat"]),
    ];
    let text = rewritten(UPLOADED, &wanted).unwrap();
    let definition = good(&text);
    assert_eq!(of(&text), wanted);
    assert_eq!(definition.warnings, []);
    let roles: Vec<_> = definition.scopes.iter().map(|scope| &scope.roles).collect();
    assert_eq!(roles, [&["cook".to_owned()]]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let before: serde_json::Value = serde_json::from_str(UPLOADED).unwrap();
    assert_eq!(
        json["paths"]["/menu"]["get"],
        before["paths"]["/menu"]["get"]
    );
    assert_eq!(json["paths"]["x-note"], before["paths"]["x-note"]);
    assert_eq!(json["paths"]["/menu"]["summary"], "The menu");
    assert_eq!(json["paths"]["/shared"]["put"]["summary"], "Shared");
    assert!(json["paths"]["/shared"].get("get").is_none());
    assert!(json["paths"].get("/gone").is_none());
    assert_eq!(
        json["components"]["schemas"],
        before["components"]["schemas"]
    );
    assert_eq!(rewritten(&text, &wanted), None, "it agrees now");
    // What would be too large with its indentation is written without.
    let limits = Limits {
        bytes: text.len() - 1,
        ..Limits::default()
    };
    let compact = with_operations(UPLOADED.as_bytes(), &limits, &wanted, &[eat()]);
    assert!(compact.unwrap().unwrap().len() < limits.bytes);
}

#[test]
fn swagger_and_yaml_documents_take_other_operations_as_well() {
    let yaml = "swagger: '2.0'\ninfo: {title: t, version: '1'}\nhost: a.example\n\
                paths:\n  /a:\n    get:\n      responses: {}\n      x-wso2-disable-security: true\n\
                securityDefinitions:\n  default: {type: apiKey, in: header, name: k}\n";
    let wanted = [
        operation("GET", "/a", &["eat"]),
        operation("POST", "/b/{id}", &[]),
    ];
    let text = rewritten(yaml, &wanted).unwrap();
    let definition = good(&text);
    assert_eq!(definition.version, SpecVersion::Swagger2);
    assert_eq!(of(&text), wanted);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["securityDefinitions"]["default"]["type"], "apiKey");
    let parameter = &json["paths"]["/b/{id}"]["post"]["parameters"][0];
    assert_eq!(parameter["type"], "string");
    assert_eq!(rewritten(&text, &wanted), None);
}

#[test]
fn an_item_that_many_paths_name_is_not_written_out_beyond_the_bounds() {
    let text = "x".repeat(1_000_000);
    let path = |n| format!(r##""/p{n}":{{"$ref":"#/x-item"}},"##);
    let document = |count: usize| {
        let paths = (0..count).map(path).collect::<String>();
        format!(
            r#"{{"openapi":"3.0.3","info":{{"title":"t","version":"1"}},
            "x-item":{{"x-text":"{text}","get":{{"responses":{{}}}}}},
            "paths":{{{paths}"/last":{{"get":{{"responses":{{}}}}}}}}}}"#
        )
    };
    let changed = |document: &str| {
        let mut operations = of(document);
        for operation in &mut operations {
            operation.auth_type = AuthType::None;
        }
        with_operations(document.as_bytes(), &Limits::default(), &operations, &[])
    };
    assert!(changed(&document(5)).unwrap().is_some());
    let refused = changed(&document(9_000)).unwrap_err();
    assert_eq!(refused.kind, FaultKind::TooMany);
    assert_eq!(refused.pointer, "/paths/~1p10/$ref");
}
