//! An uploaded description as whoever calls the API through the gateway needs it: it names the
//! gateway's addresses, and says nothing of where the backend is.
//!
//! The portal calls it; the publisher shows a description as it was uploaded.

use std::borrow::Cow;

use super::definition::{DefinitionError, FaultKind, Limits};
use super::node::{Members, Node};
use super::parse::parse;
use super::write::{Layout, to_json};

type Entries<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// Members that say where an operation or a document is served.
const ADDRESSES: [&str; 5] = ["servers", "server", "host", "basePath", "schemes"];

/// Where in a document a value stands: what its members mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Document,
    Components,
    /// A map of names or paths to parts of one kind.
    Each(Kind),
    One(Kind),
    /// What holds no addresses but those of WSO2's extensions.
    Other,
}

/// Parts that may name addresses of their own, or lead to some that do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    PathItem,
    Operation,
    Callback,
    Response,
    Link,
}

/// The description with these URLs in place of its own addresses, as JSON; with none it names no
/// address at all.
///
/// # Errors
/// The first fault, when the description cannot be read.
pub fn with_addresses(
    bytes: &[u8],
    limits: &Limits,
    urls: &[String],
) -> Result<String, DefinitionError> {
    let (root, _) = parse(bytes, limits)?;
    let mut members = match cleaned(root, Part::Document)? {
        Node::Map(members) => members.into_entries(),
        _ => Vec::new(),
    };
    let is_swagger = members.iter().any(|(name, _)| name == "swagger");
    members.extend(if is_swagger {
        swagger(urls)
    } else {
        servers(urls)?
    });
    Ok(to_json(&object(members)?, Layout::Indented))
}

/// The member `servers`.
fn servers<'a>(urls: &[String]) -> Result<Entries<'a>, DefinitionError> {
    if urls.is_empty() {
        return Ok(Vec::new());
    }
    let one = |url: &String| object(vec![(Cow::Borrowed("url"), text(url.clone()))]);
    let list = urls.iter().map(one).collect::<Result<_, _>>()?;
    Ok(vec![(Cow::Borrowed("servers"), Node::List(list))])
}

/// The members `host`, `basePath` and `schemes`: a host has one port, so the schemes are those of
/// the first URL's host.
fn swagger<'a>(urls: &[String]) -> Entries<'a> {
    let parts = |url: &String| -> Option<(String, String, String)> {
        let (scheme, rest) = url.split_once("://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Some((scheme.to_owned(), host.to_owned(), path.to_owned()))
    };
    let all: Vec<_> = urls.iter().filter_map(parts).collect();
    let Some((_, host, path)) = all.first() else {
        return Vec::new();
    };
    let same = all.iter().filter(|(_, other, _)| other == host);
    let schemes = same.map(|(scheme, ..)| text(scheme.clone())).collect();
    let path = if path.is_empty() { "/" } else { path };
    vec![
        (Cow::Borrowed("host"), text(host.clone())),
        (Cow::Borrowed("basePath"), text(path.to_owned())),
        (Cow::Borrowed("schemes"), Node::List(schemes)),
    ]
}

/// A part without its addresses.
fn cleaned(node: Node<'_>, part: Part) -> Result<Node<'_>, DefinitionError> {
    match node {
        Node::List(items) => {
            let items = items.into_iter().map(|item| cleaned(item, Part::Other));
            items.collect::<Result<_, _>>().map(Node::List)
        }
        Node::Map(members) => {
            let mut kept = Entries::new();
            for (name, node) in members.into_entries() {
                if !part.hides(&name) {
                    let node = cleaned(node, part.of(&name))?;
                    kept.push((name, node));
                }
            }
            object(kept)
        }
        scalar => Ok(scalar),
    }
}

// === impl Part ===

impl Part {
    /// Whether a member of it says where the backend is.
    fn hides(self, name: &str) -> bool {
        let extension = name.strip_prefix("x-wso2-");
        if extension.is_some_and(|rest| rest == "endpoints" || rest.ends_with("-endpoints")) {
            return true;
        }
        let names_addresses = matches!(
            self,
            Self::Document | Self::One(Kind::PathItem | Kind::Operation | Kind::Link)
        );
        names_addresses && ADDRESSES.contains(&name)
    }

    /// What a member of it is.
    fn of(self, name: &str) -> Self {
        match (self, name) {
            (Self::Document, "components") => Self::Components,
            (Self::Document, "paths" | "webhooks") | (Self::Components, "pathItems") => {
                Self::Each(Kind::PathItem)
            }
            (Self::Document | Self::Components | Self::One(Kind::Operation), "responses") => {
                Self::Each(Kind::Response)
            }
            (Self::Components | Self::One(Kind::Operation), "callbacks") => {
                Self::Each(Kind::Callback)
            }
            (Self::Components | Self::One(Kind::Response), "links") => Self::Each(Kind::Link),
            (Self::Each(Kind::Callback), _) => Self::Each(Kind::PathItem),
            (Self::Each(kind), _) => Self::One(kind),
            (Self::One(Kind::PathItem), "parameters" | "summary" | "description") => Self::Other,
            (Self::One(Kind::PathItem), _) => Self::One(Kind::Operation),
            _ => Self::Other,
        }
    }
}

const fn text<'a>(text: String) -> Node<'a> {
    Node::Text(Cow::Owned(text))
}

fn object(entries: Entries<'_>) -> Result<Node<'_>, DefinitionError> {
    let twice = |name: Cow<'_, str>| DefinitionError {
        pointer: name.into_owned(),
        message: "occurs twice".to_owned(),
        kind: FaultKind::DuplicateKey,
    };
    Members::build(entries).map(Node::Map).map_err(twice)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn addressed(document: &str, urls: &[&str]) -> Value {
        let urls: Vec<_> = urls.iter().map(|&url| url.to_owned()).collect();
        let text = with_addresses(document.as_bytes(), &Limits::default(), &urls).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn no_address_of_the_backend_is_left_and_what_is_called_alike_stays() {
        let back = json!([{"url": "http://back.example/secret"}]);
        let answer = json!({"description": "fine", "links": {
            "next": {"operationId": "get", "server": {"url": "http://back.example"}},
        }});
        let operation = json!({"operationId": "get", "servers": back, "responses": {"200": answer},
            "x-wso2-production-endpoints": {"urls": ["http://back.example"]}});
        let item = json!({"servers": back, "get": operation});
        let mut called = operation.clone();
        called["callbacks"] = json!({"done": {"{$request.body#/url}": item}});
        let schema = json!({"type": "object", "properties": {
            "servers": {"type": "string"}, "host": {"type": "string"},
        }});
        let document = json!({
            "openapi": "3.1.0", "info": {"title": "a", "version": "1"}, "servers": back,
            "x-wso2-sandbox-endpoints": {"urls": ["http://back.example"]},
            "paths": {"/servers": {"servers": back, "post": called}, "/host": item},
            "webhooks": {"new": item},
            "components": {
                "schemas": {"host": schema}, "pathItems": {"p": item},
                "responses": {"r": answer}, "links": {"l": {"server": {"url": "http://back.example"}}},
            },
        });
        let found = addressed(&document.to_string(), &["https://localhost:8243/a/1"]);
        assert!(!found.to_string().contains("back.example"), "{found:#}");
        assert_eq!(
            found["servers"],
            json!([{"url": "https://localhost:8243/a/1"}])
        );
        assert_eq!(found["components"]["schemas"]["host"], schema);
        assert_eq!(found["paths"]["/host"]["get"]["operationId"], "get");
        assert!(found["paths"]["/servers"]["post"]["callbacks"]["done"].is_object());
        assert!(
            addressed(&document.to_string(), &[])
                .get("servers")
                .is_none()
        );
    }

    #[test]
    fn a_swagger_document_in_yaml_names_host_path_and_schemes_of_the_gateway() {
        let document = "swagger: '2.0'\ninfo: {title: a, version: '1'}\nhost: back.example\n\
            basePath: /secret\nschemes: [http]\nx-wso2-production-endpoints: {urls: [http://back.example]}\n\
            paths:\n  /a:\n    get:\n      schemes: [http]\n      responses: {'200': {description: fine}}\n";
        let urls = ["https://localhost:8243/a/1", "http://localhost:8280/a/1"];
        let found = addressed(document, &urls);
        assert!(!found.to_string().contains("back.example"), "{found:#}");
        assert_eq!(found["host"], "localhost:8243");
        assert_eq!(found["basePath"], "/a/1");
        assert_eq!(found["schemes"], json!(["https"]));
        assert!(found["paths"]["/a"]["get"].get("schemes").is_none());
        let none = addressed(document, &[]);
        assert!(none.get("host").is_none() && none.get("basePath").is_none());
    }
}
