//! What a write ends: whatever the process died of, it opens nothing once the write was made.

use crate::support::node::Node;
use crate::support::platform::text;

/// Something that opened a door before.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A token at the gateway.
    Token(String),
    /// An API key at the gateway.
    Key(String),
    /// A client with its secret at the key manager.
    Client(String, String),
    /// A client whose tokens open the gateway: without its application it is swept later, and opens
    /// nothing meanwhile.
    Caller(String, String),
    /// A client, and a user's name and password.
    Person((String, String), [String; 2]),
}

// === impl Credential ===

impl Credential {
    /// Whether it opens what it is for; none when the node is gone.
    pub async fn opens(&self, node: &Node) -> Option<bool> {
        if let Self::Caller(key, secret) = self {
            let asked = node.post("/oauth2/token").basic(key, secret);
            let asked = asked.form(&[("grant_type", "client_credentials")]);
            let answer = asked.try_patiently().await.ok()?;
            if answer.status != 200 {
                return Some(false);
            }
            let token = text(&answer.json(), "access_token").to_owned();
            return Box::pin(Self::Token(token).opens(node)).await;
        }
        let items = || node.api("GET", "/base/1.0.0/items");
        let token = || node.post("/oauth2/token");
        let form: Vec<(&str, &str)>;
        let call = match self {
            Self::Token(token) => items().bearer(token),
            Self::Key(key) => items().header("apikey", key),
            Self::Client(key, secret) | Self::Caller(key, secret) => {
                form = vec![("grant_type", "client_credentials")];
                token().basic(key, secret).form(&form)
            }
            Self::Person((key, secret), [name, password]) => {
                form = vec![
                    ("grant_type", "password"),
                    ("username", name),
                    ("password", password),
                ];
                token().basic(key, secret).form(&form)
            }
        };
        let answer = call.try_patiently().await.ok()?;
        match answer.status.as_u16() {
            200 => Some(true),
            400 | 401 | 403 => Some(false),
            other => panic!("{self:?}: {other} {}", answer.text()),
        }
    }
}
