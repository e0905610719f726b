//! OpenAPI documents that were made to hurt: refused or bounded, and the node goes on.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::support::http::Answer;
use crate::support::node::Node;
use crate::support::platform::{PUBLISHER, openapi, text};
use crate::support::upstream::Upstream;

/// Largest definition, in bytes.
const LIMIT: usize = 10 * 1024 * 1024;
/// The most that an import may take, in a development build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

async fn send(node: &Node, token: &str, what: &str, name: &str, document: &[u8]) -> Answer {
    let properties = json!({
        "name": name, "version": "1.0.0", "context": format!("/{name}"),
        "policies": ["Unlimited"],
    });
    let file = Some("definition");
    let properties = properties.to_string();
    let call = node.post(&format!("{PUBLISHER}/apis/{what}")).bearer(token);
    let call = call.multipart(&[
        ("file", file, "application/octet-stream", document),
        (
            "additionalProperties",
            None,
            "application/json",
            properties.as_bytes(),
        ),
    ]);
    tokio::time::timeout(PATIENCE, call.send())
        .await
        .unwrap_or_else(|_| panic!("{what} of {name} takes longer than {PATIENCE:?}"))
}

/// A document whose one path answers with this schema, beside these schemas.
fn with_schemas(schemas: &serde_json::Value) -> Vec<u8> {
    let document = json!({
        "openapi": "3.0.1", "info": {"title": "Cycle", "version": "1.0.0"},
        "paths": {"/a": {"get": {"responses": {"200": {
            "description": "fine",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}},
        }}}}},
        "components": {"schemas": schemas},
    });
    document.to_string().into_bytes()
}

fn alias_bomb() -> Vec<u8> {
    let mut text = "openapi: 3.0.1\ninfo: {title: Bomb, version: 1.0.0}\n".to_owned();
    text.push_str("x-0: &x0 [boom, boom, boom, boom, boom, boom, boom, boom, boom]\n");
    for level in 1..12 {
        let aliases = vec![format!("*x{}", level - 1); 9].join(", ");
        writeln!(text, "x-{level}: &x{level} [{aliases}]").expect("a text grows");
    }
    text.push_str("paths: {/a: {get: {responses: {'200': {description: fine}}}}}\n");
    text.into_bytes()
}

#[tokio::test]
async fn definitions_that_cannot_be_read_are_refused_and_leave_nothing() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let nested = "{\"openapi\":\"3.0.1\",\"paths\":".to_owned() + &"[".repeat(200_000);
    // The deepest value that may be there.
    let deep_pointer = "/paths".to_owned() + &"/0".repeat(63);
    let deep_yaml = "openapi: 3.0.1\npaths: ".to_owned() + &"[".repeat(100_000);
    for (name, document, place) in [
        ("nested", nested.into_bytes(), deep_pointer.as_str()),
        ("deepyaml", deep_yaml.into_bytes(), "/paths/0"),
        ("bomb", alias_bomb(), "/x-5"),
        ("empty", b"{}".to_vec(), "/"),
        ("list", b"[1, 2]".to_vec(), "/"),
        ("bytes", vec![0xff, 0xfe, 0x00, 0x01], "/"),
        (
            "half",
            b"{\"openapi\": \"3.0.1\", \"info\"".to_vec(),
            "/info",
        ),
        (
            "old",
            b"{\"swagger\": \"1.2\", \"paths\": {}}".to_vec(),
            "/swagger",
        ),
    ] {
        let refused = send(&node, &token, "import-openapi", name, &document).await;
        assert_eq!(refused.status, 400, "{name}: {}", refused.text());
        assert_eq!(refused.json()["code"], 400, "{name}");
        let told = refused.json();
        assert_eq!(told["error"][0]["code"], place, "{name}: {told}");
        let report = send(&node, &token, "validate-openapi", name, &document).await;
        assert_eq!(report.status, 200, "{name}: {}", report.text());
        assert_eq!(report.json()["isValid"], false, "{name}: {}", report.text());
    }
    let list = node.get(&format!("{PUBLISHER}/apis")).bearer(&token);
    assert_eq!(list.send().await.json()["count"], 0);
    node.get("/readyz").send().await.expect(200);
}

#[tokio::test]
async fn schemas_that_refer_to_themselves_or_each_other_end_and_cost_nothing() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let to = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    // Schemas are the upstream's business: they are kept as they came, and none is followed.
    for (name, schemas) in [
        ("itself", json!({"A": to("A")})),
        ("ring", json!({"A": to("B"), "B": to("C"), "C": to("A")})),
        (
            "tree",
            json!({"A": {"type": "object", "properties": {"left": to("A"), "right": to("A")}}}),
        ),
    ] {
        let answer = send(
            &node,
            &token,
            "import-openapi",
            name,
            &with_schemas(&schemas),
        )
        .await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
    }
    node.get("/readyz").send().await.expect(200);
}

#[tokio::test]
async fn nothing_that_a_definition_refers_to_is_ever_fetched() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let far = format!("{}/schema.json", upstream.url);
    for (name, reference) in [
        ("remote", format!("{far}#/A")),
        ("file", "file:///etc/passwd".to_owned()),
        ("relative", "../secrets.json#/A".to_owned()),
    ] {
        let document = with_schemas(&json!({"A": {"$ref": reference}}));
        for (what, status) in [("validate-openapi", 200), ("import-openapi", 201)] {
            let answer = send(&node, &token, what, name, &document).await;
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
            assert!(!answer.text().contains("root:"), "{name}");
        }
    }
    let call = node.post(&format!("{PUBLISHER}/apis/import-openapi"));
    let call = call.bearer(&token);
    let url = call.multipart(&[("url", None, "text/plain", far.as_bytes())]);
    url.send().await.expect(400);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_definition_may_have_ten_mebibytes_and_not_one_byte_more() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let mut document = openapi("Large", &[("get", "/a")]).into_bytes();
    document.resize(LIMIT, b' ');
    let fits = send(&node, &token, "import-openapi", "fits", &document).await;
    assert_eq!(fits.status, 201, "{}", fits.text());
    document.push(b' ');
    for what in ["import-openapi", "validate-openapi"] {
        let large = send(&node, &token, what, "large", &document).await;
        assert_eq!(large.status, 413, "{what}: {}", large.text());
    }
}

#[tokio::test]
async fn nine_hundred_operations_are_imported_deployed_and_given_back() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let paths: Vec<_> = (0..300).map(|n| format!("/things{n}/{{id}}")).collect();
    let verbs = ["get", "put", "delete"];
    let resources: Vec<_> = paths
        .iter()
        .flat_map(|path| verbs.map(|verb| (verb, path.as_str())))
        .collect();
    let document = openapi("Wide", &resources).into_bytes();
    let made = send(&node, &token, "import-openapi", "wide", &document).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(made["operations"].as_array().map(Vec::len), Some(900));
    let api = made["id"].as_str().expect("id");
    node.deploy(&token, api).await;
    let path = format!("{PUBLISHER}/apis/{api}/swagger");
    let back = node.get(&path).bearer(&token).send().await.json();
    assert_eq!(
        back["paths"].as_object().map(serde_json::Map::len),
        Some(300)
    );
}

/// A thousand operations with the examples that real documents have: just below the limit.
fn real_sized() -> Vec<u8> {
    let link = |n: usize| format!("https://api.example.com/repositories/owner/name/{n}");
    let example = |n: usize| -> serde_json::Value {
        let members = (0..110).map(|at| (format!("member_number_{at}"), link(n * 110 + at).into()));
        serde_json::Value::Object(members.collect())
    };
    let operation = |n: usize| {
        json!({
            "operationId": format!("things/get-{n}"), "tags": [format!("tag{}", n % 40)],
            "summary": "Get a thing", "description": "Gets a thing by its id, as it stands now.",
            "parameters": [{"$ref": "#/components/parameters/id"}],
            "responses": {"200": {"description": "fine", "content": {"application/json": {
                "schema": {"$ref": format!("#/components/schemas/thing{n}")},
                "examples": {"default": {"value": example(n)}},
            }}}},
        })
    };
    let paths = (0..1_000).map(|n| (format!("/things{n}/{{id}}"), json!({"get": operation(n)})));
    let schemas = (0..1_000).map(|n| {
        let to_itself = json!({"$ref": format!("#/components/schemas/thing{n}")});
        let schema = json!({"type": "object", "properties": {"self": to_itself}});
        (format!("thing{n}"), schema)
    });
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}});
    let document = json!({
        "openapi": "3.0.3", "info": {"title": "Real", "version": "1.1.4"},
        "paths": paths.collect::<serde_json::Map<_, _>>(),
        "components": {
            "parameters": {"id": id}, "schemas": schemas.collect::<serde_json::Map<_, _>>(),
        },
    });
    document.to_string().into_bytes()
}

#[tokio::test]
async fn a_thousand_operations_in_many_megabytes_are_imported_in_time() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let document = real_sized();
    let size = document.len();
    assert!((8_000_000..LIMIT).contains(&size), "{size}");
    let made = send(&node, &token, "import-openapi", "real", &document).await;
    let made = made.expect(201).json();
    assert_eq!(made["operations"].as_array().map(Vec::len), Some(1_000));
    let api = made["id"].as_str().expect("id");
    node.deploy(&token, api).await;
    let path = format!("{PUBLISHER}/apis/{api}/swagger");
    let back = node.get(&path).bearer(&token).send().await.expect(200);
    let paths = back.json()["paths"].as_object().map(serde_json::Map::len);
    assert_eq!(paths, Some(1_000));
}

#[tokio::test]
async fn a_refused_definition_says_where_its_fault_stands() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let head = r#""openapi":"3.0.1","info":{"title":"T","version":"1.0.0"}"#;
    let scopes: Vec<_> = (0..1_001).map(|n| format!(r#""s{n}":"""#)).collect();
    let scopes = scopes.join(",");
    for (name, rest, pointer) in [
        (
            "far",
            r#""paths":{"/a":{"$ref":"http://10.0.0.1/x"}}"#.to_owned(),
            "/paths/~1a/$ref",
        ),
        (
            "upper",
            r#""paths":{"/a":{"GET":{"responses":{}}}}"#.to_owned(),
            "/paths/~1a/GET",
        ),
        (
            "scopes",
            format!(
                r#""paths":{{}},"components":{{"securitySchemes":{{"default":{{"type":"oauth2",
                "flows":{{"implicit":{{"scopes":{{{scopes}}}}}}}}}}}}}"#
            ),
            "/components/securitySchemes/default/flows/implicit/scopes/s1000",
        ),
    ] {
        let document = format!("{{{head},{rest}}}");
        let refused = send(&node, &token, "import-openapi", name, document.as_bytes()).await;
        assert_eq!(refused.status, 400, "{name}: {}", refused.text());
        assert!(refused.text().contains(pointer), "{}", refused.text());
        let report = send(&node, &token, "validate-openapi", name, document.as_bytes()).await;
        let report = report.expect(200).json();
        let description = report["errors"][0]["description"].as_str();
        let description = description.expect("a fault");
        assert!(description.contains(pointer), "{description}");
    }
}

/// A definition that was imported is given back byte for byte, and so is one that takes its place.
async fn comes_back(node: &Node, token: &str, api: &str, document: &str) {
    let path = format!("{PUBLISHER}/apis/{api}/swagger");
    let is = async |document: &str| {
        let kept = node.get(&path).bearer(token).send().await.expect(200);
        assert_eq!(kept.text(), document);
    };
    is(document).await;
    let after = match document.starts_with('{') {
        true => format!(" {document}\n\t\n"),
        false => format!("# words of its author\n{document}\n# and more\n"),
    };
    for (part, file) in [("apiDefinition", None), ("file", Some("definition"))] {
        let definition = (part, file, "application/octet-stream", after.as_bytes());
        let put = node.put(&path).bearer(token).multipart(&[definition]);
        put.send().await.expect(200);
        is(&after).await;
    }
}

#[tokio::test]
async fn every_family_and_notation_is_imported_as_a_file_or_as_a_text() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let swagger = r#"{"swagger":"2.0","info":{"title":"T","version":"1.0.0"},
        "paths" : {"/a":{"get":{"responses":{"200":{"description":"f\u0069ne"}}}}}}"#;
    let newer = r#"{"openapi":"3.1.0","info":{"title":"T","version":"1.0.0"},
        "paths":{"/a":{"get":{}}}}"#;
    let yaml = "openapi: 3.0.3\ninfo: {title: T, version: 1.0.0}\npaths: # kept\n  /a:\n    get: {responses: {}}\n";
    for (name, document, version) in [
        ("swagger", swagger, "2.0"),
        ("newer", newer, "3.1.0"),
        ("yaml", yaml, "3.0.3"),
    ] {
        for (part, file) in [("file", Some("definition")), ("inlineAPIDefinition", None)] {
            let name = format!("{name}-{part}");
            let properties = json!({"name": name, "context": format!("/{name}")}).to_string();
            let definition = (part, file, "application/octet-stream", document.as_bytes());
            let kind = "application/json";
            let more = ("additionalProperties", None, kind, properties.as_bytes());
            let call = |what: &str| {
                let call = node.post(&format!("{PUBLISHER}/apis/{what}"));
                call.bearer(&token).multipart(&[definition, more])
            };
            let made = call("import-openapi").send().await.expect(201).json();
            assert_eq!(made["operations"][0]["target"], "/a", "{name}");
            assert_eq!(made["version"], "1.0.0", "{name}");
            let report = call("validate-openapi").send().await.expect(200).json();
            assert_eq!(report["isValid"], true, "{name}: {report}");
            assert_eq!(report["info"]["openAPIVersion"], version, "{name}");
            comes_back(&node, &token, text(&made, "id"), document).await;
        }
    }
}
