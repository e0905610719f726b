//! The question a gateway asks a key manager about a credential, and the answer (V1).

use serde::{Deserialize, Serialize};

use crate::application::{ApplicationStatus, KeyType};
use crate::subscription::SubscriptionStatus;

/// What a caller presented, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Credential {
    /// The tenant domain that it is to be good in: that of the API, or of the management API.
    pub tenant: String,
    /// What was presented.
    pub secret: Secret,
}

/// What was presented itself. Opaque secrets travel as their SHA-256 alone.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Secret {
    /// A signed token in compact form; its signature is to be checked.
    Jwt(String),
    /// The SHA-256 of an opaque access token, lower-case hex.
    Opaque(String),
    /// The SHA-256 of an API key, lower-case hex.
    ApiKey(String),
}

/// What the key manager knows of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is good; whether it suffices for a call is the gateway's to decide.
    Granted(Box<Grant>),
    /// It is not good, true at change number `at`.
    Refused {
        /// The change-log number that this is true at.
        at: u64,
        /// Why.
        reason: RefusalReason,
        /// The `jti` or hash when the credential got that far; what a later change would touch.
        token_id: Option<String>,
    },
}

/// Why a credential is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalReason {
    /// Not a token at all, wrong algorithm, bad signature, wrong type or issuer.
    Malformed,
    /// Past its end, or not valid yet.
    Expired,
    /// Revoked.
    Revoked,
    /// Nobody knows it.
    Unknown,
    /// Its user, application or client is gone or locked.
    Inactive,
}

/// Who is calling and what they may do (DESIGN §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The change-log number that this is true at.
    pub at: u64,
    /// Tenant domain.
    pub tenant: String,
    /// Kind of credential.
    pub kind: GrantKind,
    /// Issuer; empty for opaque ones and keys.
    pub issuer: String,
    /// `jti`, or the hash of an opaque token or key.
    pub token_id: String,
    /// The chain of refreshed tokens it belongs to, if any.
    pub session: Option<String>,
    /// Consumer key it was issued to; empty for API keys.
    pub consumer_key: String,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// Scopes it carries.
    pub scopes: Vec<String>,
    /// Audiences it names.
    pub audiences: Vec<String>,
    /// The end user; the application's owner for application tokens.
    pub user: String,
    /// Whether it stands for a user or for the application alone.
    pub user_type: UserType,
    /// When it was issued, milliseconds since the epoch.
    pub issued_at_ms: i64,
    /// Not good before this, milliseconds since the epoch.
    pub not_before_ms: Option<i64>,
    /// When it ends, milliseconds since the epoch; none for a key without end.
    pub expires_at_ms: Option<i64>,
    /// The application; none for a key that belongs to none or a management client.
    pub application: Option<GrantedApplication>,
    /// The application's subscriptions.
    pub subscriptions: Vec<GrantedSubscription>,
    /// For an API key: the API it is bound to.
    pub bound_api_id: Option<String>,
    /// For an API key: the addresses and networks it may be used from; empty for all.
    pub permitted_ips: Vec<String>,
    /// For an API key: the referers it may be used with; empty for all.
    pub permitted_referers: Vec<String>,
}

/// Kinds of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GrantKind {
    /// Signed token.
    Jwt,
    /// Opaque token.
    Opaque,
    /// API key.
    ApiKey,
}

/// Whom a token stands for (`aut`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserType {
    /// The application alone.
    Application,
    /// A user.
    ApplicationUser,
}

/// The application behind a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedApplication {
    /// UUID.
    pub id: String,
    /// Name.
    pub name: String,
    /// Owner.
    pub owner: String,
    /// Name of its application policy.
    pub policy: String,
    /// Whether it may be used.
    pub status: ApplicationStatus,
}

/// One subscription of the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedSubscription {
    /// UUID.
    pub id: String,
    /// The API.
    pub api_id: String,
    /// The business plan in force.
    pub policy: String,
    /// What it allows.
    pub status: SubscriptionStatus,
}

// === impl Verdict ===

impl Verdict {
    /// The verdict in a tenant: what is good in another is not known here.
    #[must_use]
    pub fn within(self, tenant: &str) -> Self {
        match self {
            Self::Granted(grant) if grant.tenant != tenant => Self::Refused {
                at: grant.at,
                reason: RefusalReason::Unknown,
                token_id: Some(grant.token_id),
            },
            other => other,
        }
    }
}

// === impl Secret ===

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the token itself: this may reach a log.
        f.write_str(match self {
            Self::Jwt(_) => "Secret::Jwt",
            Self::Opaque(_) => "Secret::Opaque",
            Self::ApiKey(_) => "Secret::ApiKey",
        })
    }
}
