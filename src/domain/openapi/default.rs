//! The definition of an API that was made without one, as WSO2 generates it: OpenAPI 3.0.
//!
//! The publisher stores it when an API is created from scratch or its operations change. Members
//! are in a fixed order, so equal APIs have equal definitions.

use std::collections::{HashMap, HashSet};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::security::{SCOPE_BINDINGS, WSO2_SCHEME};
use crate::api::{ApiScope, Operation};
use crate::template::Template;

/// Where WSO2 points the scheme that stands for the gateway's own check.
const PLACEHOLDER_AUTHORIZATION_URL: &str = "https://test.com";

/// The OpenAPI 3.0 document of an API with these operations and scopes, as pretty JSON.
pub fn default_definition(
    name: &str,
    version: &str,
    operations: &[Operation],
    scopes: &[ApiScope],
) -> String {
    let mut paths: Vec<(String, Ordered<Described>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for operation in operations {
        let described = (
            operation.verb.to_ascii_lowercase(),
            Described::of(operation),
        );
        let place = *places.entry(&operation.target).or_insert(paths.len());
        match paths.get_mut(place) {
            Some((_, item)) => item.0.push(described),
            None => paths.push((operation.target.clone(), Ordered(vec![described]))),
        }
    }
    let flow = one(
        "authorizationUrl",
        Either::Text(PLACEHOLDER_AUTHORIZATION_URL.to_owned()),
    );
    let flow = flow.and("scopes", Either::Map(described_scopes(operations, scopes)));
    let bindings: Vec<(String, String)> = scopes
        .iter()
        .filter(|scope| !scope.roles.is_empty())
        .map(|scope| (scope.name.clone(), scope.roles.join(",")))
        .collect();
    // Without them an import of this definition would leave the scopes to anybody.
    let flow = if bindings.is_empty() {
        flow
    } else {
        flow.and(SCOPE_BINDINGS, Either::Map(Ordered(bindings)))
    };
    let document = Document {
        openapi: "3.0.1",
        info: Info {
            title: name,
            version,
        },
        servers: [Server { url: "/" }],
        security: [one(WSO2_SCHEME, Vec::new())],
        paths: Ordered(paths),
        components: one(
            "securitySchemes",
            one(
                WSO2_SCHEME,
                Scheme {
                    kind: "oauth2",
                    flows: one("implicit", flow),
                },
            ),
        ),
    };
    // plain data with text keys: writing it to memory cannot fail
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

/// The scopes that are defined, then those that operations only name, with what they allow.
fn described_scopes(operations: &[Operation], scopes: &[ApiScope]) -> Ordered<String> {
    let defined = scopes.iter().map(|scope| (&scope.name, &scope.description));
    let mut described: Vec<(String, String)> = defined
        .map(|(name, description)| (name.clone(), description.clone()))
        .collect();
    let mut known: HashSet<&str> = scopes.iter().map(|scope| scope.name.as_str()).collect();
    for name in operations.iter().flat_map(|operation| &operation.scopes) {
        if known.insert(name) {
            described.push((name.clone(), String::new()));
        }
    }
    Ordered(described)
}

/// An object whose members keep their order.
struct Ordered<V>(Vec<(String, V)>);

#[derive(serde::Serialize)]
struct Document<'d> {
    openapi: &'static str,
    info: Info<'d>,
    servers: [Server; 1],
    security: [Ordered<Vec<String>>; 1],
    paths: Ordered<Ordered<Described>>,
    components: Ordered<Ordered<Scheme>>,
}

#[derive(serde::Serialize)]
struct Info<'d> {
    title: &'d str,
    version: &'d str,
}

#[derive(serde::Serialize)]
struct Server {
    url: &'static str,
}

#[derive(serde::Serialize)]
struct Scheme {
    #[serde(rename = "type")]
    kind: &'static str,
    flows: Ordered<Ordered<Either>>,
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Either {
    Text(String),
    Map(Ordered<String>),
}

#[derive(serde::Serialize)]
struct Described {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<Parameter>,
    #[serde(rename = "requestBody", skip_serializing_if = "Option::is_none")]
    request_body: Option<Body>,
    responses: Ordered<Response>,
    security: [Ordered<Vec<String>>; 1],
    #[serde(rename = "x-auth-type")]
    auth_type: crate::api::AuthType,
    #[serde(rename = "x-throttling-tier")]
    throttling_tier: String,
}

#[derive(serde::Serialize)]
struct Parameter {
    name: String,
    #[serde(rename = "in")]
    place: &'static str,
    required: bool,
    schema: Schema,
}

#[derive(serde::Serialize)]
struct Schema {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(serde::Serialize)]
struct Body {
    content: Ordered<Content>,
}

#[derive(serde::Serialize)]
struct Content {
    schema: Schema,
}

#[derive(serde::Serialize)]
struct Response {
    description: &'static str,
}

// === impl Described ===

impl Described {
    fn of(operation: &Operation) -> Self {
        let template = Template::parse(&operation.target).ok();
        let names = template.iter().flat_map(Template::parameters);
        let parameter = |name: &str| Parameter {
            name: name.to_owned(),
            place: "path",
            required: true,
            schema: Schema { kind: "string" },
        };
        let has_body = matches!(operation.verb.as_str(), "POST" | "PUT" | "PATCH");
        let content = || {
            one(
                "*/*",
                Content {
                    schema: Schema { kind: "object" },
                },
            )
        };
        Self {
            parameters: names.map(parameter).collect(),
            request_body: has_body.then(|| Body { content: content() }),
            responses: one("200", Response { description: "OK" }),
            security: [one(WSO2_SCHEME, operation.scopes.clone())],
            auth_type: operation.auth_type,
            throttling_tier: operation.throttling_policy.clone(),
        }
    }
}

// === impl Ordered ===

impl<V> Ordered<V> {
    fn and(mut self, name: &str, value: V) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }
}

impl<V: Serialize> Serialize for Ordered<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn one<V>(name: &str, value: V) -> Ordered<V> {
    Ordered(vec![(name.to_owned(), value)])
}
