//! Requests that can be sent once more, to any node on the same data.

use serde_json::Value;

use crate::support::http::Call;
use crate::support::node::Node;

/// A request that can be sent once more.
#[derive(Clone)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub body: Body,
}

/// A request's body.
#[derive(Clone)]
pub enum Body {
    None,
    Json(Value),
    /// Sent with another one's token.
    JsonBy(Value, String),
    /// `document` and `additionalProperties`.
    Definition(String, String),
    /// A form, and client credentials.
    Form(Vec<(String, String)>, String, String),
}

// === impl Sent ===

impl Sent {
    /// The request, to any node on the same data.
    pub fn call(&self, node: &Node, token: &str) -> Call {
        let call = node.call(&self.method, &self.path);
        match &self.body {
            Body::None => call.bearer(token),
            Body::Json(body) => call.bearer(token).json(body),
            Body::JsonBy(body, token) => call.bearer(token).json(body),
            Body::Definition(document, properties) => {
                let kind = "application/json";
                let mut parts: Vec<(&str, Option<&str>, &str, &[u8])> = Vec::new();
                if properties.is_empty() {
                    parts.push(("apiDefinition", None, kind, document.as_bytes()));
                } else {
                    let file = Some("api.json");
                    parts.push(("file", file, kind, document.as_bytes()));
                    let properties = properties.as_bytes();
                    parts.push(("additionalProperties", None, kind, properties));
                }
                call.bearer(token).multipart(&parts)
            }
            Body::Form(pairs, key, secret) => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                call.basic(key, secret).form(&pairs)
            }
        }
    }
}
