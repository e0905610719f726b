//! What a change can touch, and so what a cached validation can rest on (PROTOCOLS V2).

use serde::{Deserialize, Serialize};

/// The kinds of things whose change ends or alters an access decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SubjectKind {
    /// One token, by issuer and `jti` or by the hash of its bytes (PROTOCOLS S4).
    Token,
    /// An API key, by its hash or id.
    Key,
    /// A user.
    User,
    /// A chain of refreshed tokens.
    Session,
    /// An application.
    Application,
    /// A client, by its consumer key.
    Client,
    /// A subscription.
    Subscription,
    /// An API.
    Api,
    /// A throttling or deny policy.
    Policy,
    /// A key manager or one of its verification keys.
    KeyManager,
    /// Everything of a tenant.
    Tenant,
}

/// One thing that changes touch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// Its kind.
    pub kind: SubjectKind,
    /// The tenant's domain.
    pub tenant: String,
    /// Its id within kind and tenant; never the text of a token.
    pub id: String,
}

// === impl Subject ===

impl Subject {
    /// A subject.
    pub fn new(kind: SubjectKind, tenant: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            kind,
            tenant: tenant.into(),
            id: id.into(),
        }
    }
}
