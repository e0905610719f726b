//! An API as the Publisher keeps it (publisher v4, schema `API`): what Headgate understands as
//! typed members, everything else of the contract stored and given back as it came.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::lifecycle::LifecycleState;

/// The tenant that every node serves today.
pub const SUPER_TENANT: &str = "carbon.super";

/// How a caller of an operation must prove who it is (`authType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum AuthType {
    /// No credential is asked for.
    None,
    /// A token of an application or of a user.
    #[default]
    #[serde(rename = "Application & Application User", alias = "Any")]
    Any,
    /// A token that belongs to an application alone.
    Application,
    /// A token that stands for a user.
    #[serde(rename = "Application User")]
    ApplicationUser,
}

/// One resource of an API (`APIOperations`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Stable id within the API, empty until stored.
    pub id: String,
    /// Path template, such as `/pets/{petId}`.
    pub target: String,
    /// HTTP method in capitals.
    pub verb: String,
    /// Who may call it.
    pub auth_type: AuthType,
    /// Name of the advanced policy; `Unlimited` when none.
    pub throttling_policy: String,
    /// Scopes of which any one suffices; empty when none is needed.
    pub scopes: Vec<String>,
}

/// A scope that an API defines and binds to roles (`APIScope`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ApiScope {
    /// The scope as tokens carry it.
    pub name: String,
    /// The name for people.
    pub display_name: String,
    /// What it allows.
    pub description: String,
    /// Roles whose holders may get it; empty when anybody may.
    pub roles: Vec<String>,
    /// Whether it is shared between APIs.
    pub shared: bool,
}

/// Where calls go: the parts of `endpointConfig` that are understood today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Endpoints {
    /// URL for production keys.
    pub production: Option<String>,
    /// URL for sandbox keys.
    pub sandbox: Option<String>,
}

/// Answers to cross-origin requests (`APICorsConfiguration`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Whether this configuration replaces the gateway's.
    pub enabled: bool,
    /// Origins allowed; `*` for all.
    pub allow_origins: Vec<String>,
    /// Whether credentials may be sent.
    pub allow_credentials: bool,
    /// Request headers allowed.
    pub allow_headers: Vec<String>,
    /// Methods allowed.
    pub allow_methods: Vec<String>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<String>,
}

/// An API with everything that decides how it is found and served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// Unique together with the version, ignoring case.
    pub name: String,
    /// Version, such as `1.0.0`.
    pub version: String,
    /// Context without version, starting with `/`; may hold `{version}`.
    pub context: String,
    /// User who owns it.
    pub provider: String,
    /// What it does, at most 32,766 characters.
    pub description: String,
    /// Always `HTTP` today.
    pub kind: String,
    /// Where it stands in its lifecycle.
    pub state: LifecycleState,
    /// Whether it also answers without its version.
    pub is_default_version: bool,
    /// `http`, `https` or both.
    pub transports: Vec<String>,
    /// Any of `oauth2`, `api_key`, and `oauth_basic_auth_api_key_mandatory`.
    pub security_schemes: Vec<String>,
    /// Header that carries the bearer token; `Authorization` when empty.
    pub authorization_header: String,
    /// Header that carries an API key; `apikey` when empty.
    pub api_key_header: String,
    /// Audiences of which a token must name one; empty when not checked.
    pub audiences: Vec<String>,
    /// Business plans that a subscription may choose; empty for a subscriptionless API.
    pub policies: Vec<String>,
    /// Advanced policy for the whole API; per operation when none.
    pub api_throttling_policy: Option<String>,
    /// Search words.
    pub tags: Vec<String>,
    /// Resources.
    pub operations: Vec<Operation>,
    /// Scopes that operations may ask for.
    pub scopes: Vec<ApiScope>,
    /// Where calls go.
    pub endpoints: Endpoints,
    /// Cross-origin answers.
    pub cors: Cors,
    /// Created, milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Last changed, milliseconds since the epoch.
    pub updated_at_ms: i64,
    /// Row version, shown as `ETag`.
    pub row_version: i64,
    /// The members of the contract that have no effect yet, as a JSON object.
    pub extra: String,
}

// === impl AuthType ===

impl AuthType {
    /// Reads the word of the contract, or of a definition (`x-auth-type`).
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "None" => Some(Self::None),
            "Any" | "Application & Application User" => Some(Self::Any),
            "Application" => Some(Self::Application),
            "Application User" => Some(Self::ApplicationUser),
            _ => None,
        }
    }
}

// === impl Cors ===

impl Default for Cors {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        Self {
            enabled: false,
            allow_origins: words(&["*"]),
            allow_credentials: false,
            allow_headers: words(&[
                "authorization",
                "Access-Control-Allow-Origin",
                "Content-Type",
                "SOAPAction",
                "apikey",
                "Internal-Key",
            ]),
            allow_methods: words(&["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]),
            expose_headers: Vec::new(),
        }
    }
}

// === impl Api ===

impl Api {
    /// The context that requests carry: `{version}` filled in, or the version appended.
    #[must_use]
    pub fn context_with_version(&self) -> String {
        versioned_context(&self.context, &self.version)
    }

    /// The context that the default version answers at as well.
    #[must_use]
    pub fn context_without_version(&self) -> String {
        unversioned_context(&self.context)
    }
}

/// Adds the scopes that are not defined yet by their names.
pub fn add_scopes(scopes: &mut Vec<ApiScope>, more: &[ApiScope]) {
    let mut known: HashSet<String> = scopes.iter().map(|scope| scope.name.clone()).collect();
    let new = more.iter().filter(|scope| known.insert(scope.name.clone()));
    scopes.extend(new.cloned());
}

/// A context with its version: `{version}` replaced, else `/version` appended.
#[must_use]
pub fn versioned_context(context: &str, version: &str) -> String {
    if context.contains("{version}") {
        context.replace("{version}", version)
    } else {
        format!("{}/{version}", context.trim_end_matches('/'))
    }
}

/// A context as the default version answers at it: `{version}` left out.
#[must_use]
pub fn unversioned_context(context: &str) -> String {
    let bare = context.replace("/{version}", "");
    if bare.is_empty() {
        "/".to_owned()
    } else {
        bare
    }
}
