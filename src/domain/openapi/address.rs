//! An uploaded description as whoever calls the API through the gateway needs it: it names the
//! gateway's addresses, and says nothing of where the backend is.
//!
//! The portal calls it; the publisher shows a description as it was uploaded.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ptr;

use super::definition::{DefinitionError, FaultKind, Limits};
use super::node::{Members, Node};
use super::parse::parse;
use super::reference::target;
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

/// What references make of the places that they lead to, wherever in the document these are. A place
/// is told by its node's address: no node moves between the walk that finds the places and the look
/// of `cleaned` at each child before it is taken.
struct Led<'a>(HashMap<*const Node<'a>, Vec<Part>>);

/// The walk that finds them.
struct Walk<'n, 'a> {
    root: &'n Node<'a>,
    led: Led<'a>,
    due: Vec<(&'n Node<'a>, Part)>,
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
    let led = Led::of(&root);
    let referred_to = led.parts(&root).iter().copied();
    let parts: Vec<_> = std::iter::once(Part::Document).chain(referred_to).collect();
    let mut members = match cleaned(root, &parts, &led)? {
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

/// A node without the addresses that it has as any of these parts.
fn cleaned<'a>(node: Node<'a>, parts: &[Part], led: &Led<'a>) -> Result<Node<'a>, DefinitionError> {
    match node {
        Node::List(items) => {
            let each: Vec<_> = items.iter().map(|item| led.parts(item)).collect();
            let items = items.into_iter().zip(each);
            let items = items.map(|(item, parts)| cleaned(item, parts, led));
            items.collect::<Result<_, _>>().map(Node::List)
        }
        Node::Map(members) => {
            let entries = members.into_entries();
            let each: Vec<_> = entries.iter().map(|(_, node)| led.parts(node)).collect();
            let mut kept = Entries::new();
            for ((name, node), others) in entries.into_iter().zip(each) {
                if !Part::Other.hides(&name) && !parts.iter().any(|part| part.hides(&name)) {
                    let here = parts.iter().map(|part| part.of(&name));
                    let here = here.filter(|part| *part != Part::Other);
                    let all: Vec<_> = here.chain(others.iter().copied()).collect();
                    kept.push((name, cleaned(node, &all, led)?));
                }
            }
            object(kept)
        }
        scalar => Ok(scalar),
    }
}

// === impl Led ===

impl<'a> Led<'a> {
    fn of(root: &Node<'a>) -> Self {
        let mut walk = Walk {
            root,
            led: Self(HashMap::new()),
            due: vec![(root, Part::Document)],
        };
        while let Some((node, part)) = walk.due.pop() {
            walk.over(node, part);
        }
        walk.led
    }

    fn parts(&self, node: &Node<'a>) -> &[Part] {
        self.0.get(&ptr::from_ref(node)).map_or(&[], Vec::as_slice)
    }
}

// === impl Walk ===

impl<'a> Walk<'_, 'a> {
    /// Notes what the references of a part lead to; those places are due once for each part.
    fn over(&mut self, node: &Node<'a>, part: Part) {
        let Some(members) = node.map().filter(|_| part != Part::Other) else {
            return;
        };
        let reference = members.get("$ref").and_then(Node::scalar);
        if let Some(place) = reference.and_then(|reference| target(self.root, reference)) {
            let known = self.led.0.entry(ptr::from_ref(place)).or_default();
            if !known.contains(&part) {
                known.push(part);
                self.due.push((place, part));
            }
        }
        for (name, node) in members.iter() {
            self.over(node, part.of(name));
        }
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
    fn no_address_is_left_where_only_references_lead_to() {
        let back = json!([{"url": "http://back.example/secret"}]);
        let operation = json!({"operationId": "get", "servers": back, "responses": {
            "200": {"$ref": "#/x-answers/1"},
        }, "callbacks": {"done": {"$ref": "#/components/x-any/done%20it"}}});
        let link = json!({"operationId": "get", "server": {"url": "http://back.example"}});
        let document = json!({
            "openapi": "3.0.1", "info": {"title": "a", "version": "1"},
            "paths": {
                "/a": {"$ref": "#/x-shared/a~1b"}, "/b": {"$ref": "#/components/x-any/b"},
                "/c": {"$ref": "#/paths/~1c"}, "/d": {"$ref": "elsewhere.json#/a"},
            },
            "x-shared": {"a/b": {"servers": back, "get": operation}, "servers": "of nobody"},
            "x-answers": [
                {"servers": "of nobody"},
                {"description": "fine", "links": {"next": {"$ref": "#/x-links/next"}}},
            ],
            "x-links": {"next": link},
            "components": {"x-any": {
                "b": {"$ref": "#/components/x-any/c"}, "c": {"servers": back, "get": operation},
                "done it": {"{$request.body#/url}": {"servers": back, "post": operation}},
            }},
        });
        let found = addressed(&document.to_string(), &["https://localhost:8243/a/1"]);
        assert!(!found.to_string().contains("back.example"), "{found:#}");
        assert_eq!(found["x-shared"]["a/b"]["get"]["operationId"], "get");
        assert_eq!(
            found["components"]["x-any"]["c"]["get"]["operationId"],
            "get"
        );
        // What nothing leads to as an address is left as it is.
        assert_eq!(found["x-shared"]["servers"], "of nobody");
        assert_eq!(found["x-answers"][0]["servers"], "of nobody");
    }

    #[test]
    fn no_address_is_left_where_the_document_itself_is_referred_to() {
        let back = json!([{"url": "http://back.example/secret"}]);
        let document = json!({
            "openapi": "3.0.1", "info": {"title": "a", "version": "1"},
            "paths": {"/a": {"$ref": "#"}},
            "get": {"operationId": "get", "servers": back},
        });
        let found = addressed(&document.to_string(), &["https://localhost:8243/a/1"]);
        assert_eq!(found["get"], json!({"operationId": "get"}));
        assert_eq!(
            found["servers"],
            json!([{"url": "https://localhost:8243/a/1"}])
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
