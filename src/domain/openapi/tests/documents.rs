//! Documents as people write them, in all versions and both notations.

use super::super::{Media, ScopeDef, SpecVersion};
use super::{Limits, good, validate};
use crate::verb::Verb;

const SWAGGER: &str = r##"{
  "swagger": "2.0",
  "info": {"title": "Pizza Shack", "version": "1.0.0", "description": "Order pizzas"},
  "host": "pizza.example.com", "basePath": "/v1", "schemes": ["https", "http"],
  "tags": [{"name": "order"}],
  "securityDefinitions": {
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "oauth": {"type": "oauth2", "flow": "implicit", "authorizationUrl": "https://a.example",
      "scopes": {"order:write": "Place orders", "order:read": "See orders", "x-note": "no scope"},
      "x-scopes-bindings": {"order:write": "admin, Internal/creator"}}
  },
  "security": [{"oauth": ["order:read"]}],
  "parameters": {"id": {"name": "orderId", "in": "path", "required": true, "type": "string"}},
  "paths": {
    "/order/{orderId}": {
      "parameters": [{"$ref": "#/parameters/id"}],
      "get": {"operationId": "getOrder", "summary": "One order", "tags": ["order", "read"],
        "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/Order"}}}},
      "delete": {"responses": {}, "security": [],
        "x-auth-type": "None", "x-throttling-tier": "Gold"},
      "x-internal": {"anything": [1, 2]}
    },
    "/order": {"post": {"security": [{"oauth": ["order:write"], "key": []}, {"oauth": ["order:read"]}],
      "responses": {"201": {"description": "made"}}}},
    "x-extension": 1
  },
  "definitions": {"Order": {"type": "object", "properties": {"parent": {"$ref": "#/definitions/Order"}}}}
}"##;

const YAML_30: &str = r##"
openapi: 3.0.3
info:
  title: Pets
  version: 1.10
  description: >
    Folded
    text
servers:
  - url: https://pets.example.com/v2
    description: production
  - url: /relative
security:
  - default: [read]
paths:
  /pets:
    get: &list
      operationId: listPets
      tags: [pets]
      responses:
        200:
          description: ok
    head:
      <<: *list
      operationId: headPets
      x-wso2-disable-security: true
    trace:
      responses: {}
  /pets/{petId}.{format}:
    put:
      security:
        - login: [openid]
        - keys: [not-a-scope]
      x-auth-type: Application User
      x-wso2-throttling-tier: 10KPerMin
      requestBody: {content: {application/json: {schema: {$ref: 'https://example.com/pet.json'}}}}
      responses:
        default: {description: "on: off"}
components:
  securitySchemes:
    login: {type: openIdConnect, openIdConnectUrl: https://id.example.com}
    keys: {$ref: '#/components/x-schemes/keys'}
    flows:
      type: oauth2
      flows:
        authorizationCode: {authorizationUrl: a, tokenUrl: b, scopes: {read: Read pets, write: ~}}
        clientCredentials: {tokenUrl: b, scopes: {read: again}}
        x-custom: none
  x-schemes:
    keys: {type: apiKey, in: query, name: key}
"##;

const OPENAPI_31: &str = r##"{
  "openapi": "3.1.0", "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
  "info": {"title": "Events", "version": "2", "summary": "s", "license": {"name": "MIT", "identifier": "MIT"}},
  "webhooks": {"made": {"post": {"requestBody": {}}}},
  "paths": {
    "/a": {"$ref": "#/components/pathItems/shared", "summary": "beside the reference"},
    "/b%20c/{x}": {"$ref": "#/paths/~1a", "options": {}}
  },
  "components": {"pathItems": {"shared": {"get": {"operationId": "g"}, "post": {"operationId": "p"}}},
    "schemas": {"Any": true, "T": {"type": ["string", "null"], "const": null}}}
}"##;

#[test]
fn swagger_2_is_read_with_scopes_bindings_and_vendor_extensions() {
    let definition = good(SWAGGER);
    assert_eq!(
        (definition.version, definition.media),
        (SpecVersion::Swagger2, Media::Json)
    );
    assert_eq!(
        (definition.title.as_str(), definition.api_version.as_str()),
        ("Pizza Shack", "1.0.0")
    );
    assert_eq!(definition.description.as_deref(), Some("Order pizzas"));
    assert_eq!(definition.base_path.as_deref(), Some("/v1"));
    assert_eq!(
        definition.servers,
        [
            "https://pizza.example.com/v1",
            "http://pizza.example.com/v1"
        ]
    );
    assert_eq!(definition.tags, ["order", "read"]);
    let scope = |name: &str, description: &str, roles: &[&str]| ScopeDef {
        name: name.to_owned(),
        description: description.to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    let write = scope(
        "order:write",
        "Place orders",
        &["admin", "Internal/creator"],
    );
    assert_eq!(
        definition.scopes,
        [write, scope("order:read", "See orders", &[])]
    );
    let operations: Vec<_> = definition
        .operations
        .iter()
        .map(|one| (one.target.as_str(), one.verb, one.scopes.join(" ")))
        .collect();
    assert_eq!(
        operations,
        [
            ("/order/{orderId}", Verb::Get, "order:read".to_owned()),
            ("/order/{orderId}", Verb::Delete, String::new()),
            ("/order", Verb::Post, "order:write order:read".to_owned()),
        ]
    );
    let [get, delete, _] = definition.operations.as_slice() else {
        panic!("three operations")
    };
    assert_eq!(get.operation_id.as_deref(), Some("getOrder"));
    assert_eq!(get.summary.as_deref(), Some("One order"));
    assert_eq!(get.tags, ["order", "read"]);
    assert_eq!(delete.x_auth_type.as_deref(), Some("None"));
    assert_eq!(delete.x_throttling_tier.as_deref(), Some("Gold"));
    assert_eq!(definition.warnings, []);
}

#[test]
fn yaml_of_openapi_3_0_keeps_versions_as_written_and_merges_aliases() {
    let definition = good(YAML_30);
    assert_eq!(
        (definition.version, definition.media),
        (SpecVersion::OpenApi30, Media::Yaml)
    );
    assert_eq!(definition.api_version, "1.10");
    assert_eq!(definition.spec_version, "3.0.3");
    assert_eq!(definition.description.as_deref(), Some("Folded text\n"));
    assert_eq!(
        definition.servers,
        ["https://pets.example.com/v2", "/relative"]
    );
    let [list, head, put] = definition.operations.as_slice() else {
        panic!("three operations")
    };
    assert_eq!(
        (list.verb, list.scopes.as_slice()),
        (Verb::Get, ["read".to_owned()].as_slice())
    );
    assert_eq!(
        (head.verb, head.operation_id.as_deref()),
        (Verb::Head, Some("headPets"))
    );
    assert_eq!(
        (head.tags.as_slice(), head.x_auth_type.as_deref()),
        (["pets".to_owned()].as_slice(), Some("None"))
    );
    assert_eq!(put.scopes, ["openid"]);
    assert_eq!(put.x_throttling_tier.as_deref(), Some("10KPerMin"));
    assert_eq!(put.x_auth_type.as_deref(), Some("Application User"));
    let names: Vec<_> = definition
        .scopes
        .iter()
        .map(|scope| scope.name.as_str())
        .collect();
    assert_eq!(names, ["read", "write"]);
    let warned: Vec<_> = definition
        .warnings
        .iter()
        .map(|warning| warning.pointer.as_str())
        .collect();
    assert_eq!(warned, ["/paths/~1pets/trace"]);
}

#[test]
fn openapi_3_1_is_read_with_path_items_by_reference_and_without_responses() {
    let definition = good(OPENAPI_31);
    assert_eq!(definition.version, SpecVersion::OpenApi31);
    let operations: Vec<_> = definition
        .operations
        .iter()
        .map(|one| (one.target.as_str(), one.verb))
        .collect();
    assert_eq!(
        operations,
        [
            ("/a", Verb::Get),
            ("/a", Verb::Post),
            ("/b%20c/{x}", Verb::Get),
            ("/b%20c/{x}", Verb::Post),
            ("/b%20c/{x}", Verb::Options),
        ]
    );
}

#[test]
fn json_written_as_yaml_and_json_with_a_byte_order_mark_read_the_same() {
    let json = good(SWAGGER);
    let marked = good(&format!("\u{feff}{SWAGGER}"));
    assert_eq!(json, marked);
    let yaml = good(&format!("--- # flow notation\n{SWAGGER}"));
    assert_eq!(yaml.media, Media::Yaml);
    assert_eq!(
        super::Definition {
            media: Media::Json,
            ..yaml
        },
        json
    );
}

#[test]
fn documents_without_paths_are_for_3_1_only() {
    let head = r#""info": {"title": "t", "version": "1"}"#;
    assert_eq!(
        good(&format!(
            r#"{{"openapi": "3.1.0", {head}, "webhooks": {{}}}}"#
        ))
        .operations,
        []
    );
    assert_eq!(
        good(&format!(r#"{{"openapi": "3.0.0", {head}, "paths": {{}}}}"#)).operations,
        []
    );
    super::assert_fault(
        format!(r#"{{"openapi": "3.0.0", {head}}}"#),
        super::FaultKind::Missing,
        "",
    );
    super::assert_fault(
        format!(r#"{{"openapi": "3.1.0", {head}}}"#),
        super::FaultKind::Missing,
        "",
    );
}

#[test]
fn a_valid_document_is_reported_with_what_it_says() {
    let report = validate(YAML_30.as_bytes(), &Limits::default());
    assert!(report.valid && report.errors.is_empty());
    let info = report.info.unwrap();
    assert_eq!((info.title.as_str(), info.operations.len()), ("Pets", 3));
    assert_eq!(info.warnings, report.warnings);
}

#[test]
fn scalars_of_yaml_are_what_yaml_1_2_says() {
    let head = "openapi: 3.0.0\npaths: {}\ninfo:\n  version: '1'\n";
    for (written, expected) in [
        ("title: yes", "yes"),
        ("title: 'null'", "null"),
        ("title: !!str null", "null"),
        ("title: 007", "007"),
        ("title: 1e3", "1e3"),
        ("title: 2024-01-01", "2024-01-01"),
        ("title: \"\\u00e9\"", "é"),
        ("title: |\n    two\n    lines", "two\nlines\n"),
        ("title: 0x1F", "0x1F"),
    ] {
        assert_eq!(
            good(&format!("{head}  {written}\n")).title,
            expected,
            "{written}"
        );
    }
}
