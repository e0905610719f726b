//! An application: the party that subscribes to APIs and owns keys (devportal v3, `Application`).

use serde::{Deserialize, Serialize};

/// The application that every subscriber has from the start.
pub const DEFAULT_APPLICATION: &str = "DefaultApplication";

/// Which kind of access tokens its keys get (`tokenType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
pub enum TokenType {
    /// Self-contained, signed.
    #[default]
    Jwt,
    /// Opaque, known by its hash alone.
    Oauth,
}

/// Whether it may use its keys (`status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
pub enum ApplicationStatus {
    /// In use.
    #[default]
    Approved,
    /// Waits for a workflow.
    Created,
    /// Refused by a workflow.
    Rejected,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// Unique per owner, ignoring case.
    pub name: String,
    /// The user it belongs to.
    pub owner: String,
    /// Name of its application policy.
    pub throttling_policy: String,
    /// Kind of tokens.
    pub token_type: TokenType,
    /// For people.
    pub description: String,
    /// Whether it may be used.
    pub status: ApplicationStatus,
    /// Custom attributes, a JSON object of strings.
    pub attributes: String,
    /// Created, milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Changed, milliseconds since the epoch.
    pub updated_at_ms: i64,
    /// Row version, shown as `ETag`.
    pub row_version: i64,
}

/// Whether a key is for production or for the sandbox (`keyType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
pub enum KeyType {
    /// Goes to the production endpoint.
    #[default]
    Production,
    /// Goes to the sandbox endpoint.
    Sandbox,
}

// === impl TokenType ===

impl TokenType {
    /// The word in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "JWT",
            Self::Oauth => "OAUTH",
        }
    }

    /// Reads the word; `DEFAULT` is a name that older clients use for the JWT.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "JWT" | "DEFAULT" | "Default" => Some(Self::Jwt),
            "OAUTH" | "OAuth" | "Opaque" => Some(Self::Oauth),
            _ => None,
        }
    }
}

// === impl ApplicationStatus ===

impl ApplicationStatus {
    /// The word in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::Created => "CREATED",
            Self::Rejected => "REJECTED",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Approved, Self::Created, Self::Rejected]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

// === impl KeyType ===

impl KeyType {
    /// The word in JSON, tokens and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "PRODUCTION",
            Self::Sandbox => "SANDBOX",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Production, Self::Sandbox]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}
/// The name of the client that serves an owner's application for one kind of keys.
#[must_use]
pub fn client_name(owner: &str, application_id: &str, key_type: &str) -> String {
    format!("{owner}_{application_id}_{key_type}")
}

/// Whether a client of this owner is named as if it served an application.
#[must_use]
pub fn names_application(client: &str, owner: &str) -> bool {
    let rest = client
        .strip_prefix(owner)
        .and_then(|rest| rest.strip_prefix('_'));
    let parts = rest.and_then(|rest| rest.rsplit_once('_'));
    parts.is_some_and(|(id, word)| {
        KeyType::parse(word).is_some()
            && id.len() == 36
            && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
    })
}
