//! What a gateway serves: one deployed revision of an API in one environment, as plain data.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::api::{Api, ApiScope, AuthType, Cors, Endpoints, Operation};
use crate::lifecycle::LifecycleState;

/// The environment that exists from the start.
pub const DEFAULT_ENVIRONMENT: &str = "Default";
/// Its virtual host; a request with an unknown host is served as if it had asked for this one.
pub const DEFAULT_VHOST: &str = "localhost";

/// A deployed API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Tenant domain.
    pub tenant: String,
    /// The API.
    pub api_id: String,
    /// The API's name.
    pub name: String,
    /// The API's version.
    pub version: String,
    /// Context with version, such as `/pizza/1.0.0`.
    pub context: String,
    /// Context of the default version; none when another version is the default.
    pub default_context: Option<String>,
    /// The API's owner.
    pub provider: String,
    /// Environment it is deployed to.
    pub environment: String,
    /// Virtual host it answers at.
    pub vhost: String,
    /// The deployed revision.
    pub revision_id: String,
    /// Where the API stands; `BLOCKED` is refused with 700700.
    pub state: LifecycleState,
    /// `http`, `https` or both.
    pub transports: Vec<String>,
    /// Whether bearer tokens are accepted.
    pub oauth2: bool,
    /// Whether API keys are accepted.
    pub api_key: bool,
    /// Header of bearer tokens, lower case.
    pub authorization_header: String,
    /// Header of API keys, lower case.
    pub api_key_header: String,
    /// Audiences of which a token must name one; empty when not checked.
    pub audiences: Vec<String>,
    /// Business plans offered; empty when no subscription is needed.
    pub plans: Vec<String>,
    /// Advanced policy of the whole API; operations have their own when none.
    pub api_policy: Option<String>,
    /// Cross-origin answers.
    pub cors: Cors,
    /// Where calls go.
    pub endpoints: Endpoints,
    /// Resources.
    pub operations: Vec<ArtifactOperation>,
}

/// A resource of a deployed API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactOperation {
    /// Path template.
    pub target: String,
    /// HTTP method in capitals.
    pub verb: String,
    /// Who may call it.
    pub auth_type: AuthType,
    /// Advanced policy; none when unlimited.
    pub policy: Option<String>,
    /// Scopes of which any one suffices.
    pub scopes: Vec<String>,
}

// === impl Artifact ===

impl Artifact {
    /// What `api`, as its revision froze it, becomes in `environment` at `vhost`.
    #[must_use]
    pub fn of(api: &Api, revision_id: &str, environment: &str, vhost: &str) -> Self {
        let named = |header: &str, otherwise: &str| {
            let chosen = if header.is_empty() { otherwise } else { header };
            chosen.to_ascii_lowercase()
        };
        let has = |scheme: &str| api.security_schemes.iter().any(|known| known == scheme);
        Self {
            tenant: api.tenant.clone(),
            api_id: api.id.clone(),
            name: api.name.clone(),
            version: api.version.clone(),
            context: api.context_with_version(),
            default_context: api
                .is_default_version
                .then(|| api.context_without_version()),
            provider: api.provider.clone(),
            environment: environment.to_owned(),
            vhost: vhost.to_ascii_lowercase(),
            revision_id: revision_id.to_owned(),
            state: api.state,
            transports: api.transports.clone(),
            // An API that names no scheme at all is protected by OAuth2, never open.
            oauth2: has("oauth2") || !has("api_key"),
            api_key: has("api_key"),
            authorization_header: named(&api.authorization_header, "authorization"),
            api_key_header: named(&api.api_key_header, "apikey"),
            audiences: api.audiences.clone(),
            plans: api.policies.clone(),
            api_policy: api.api_throttling_policy.clone(),
            cors: api.cors.clone(),
            endpoints: api.endpoints.clone(),
            operations: api.operations.iter().map(ArtifactOperation::of).collect(),
        }
    }
}

// === impl ArtifactOperation ===

impl ArtifactOperation {
    fn of(operation: &Operation) -> Self {
        let policy = &operation.throttling_policy;
        Self {
            target: operation.target.clone(),
            verb: operation.verb.clone(),
            auth_type: operation.auth_type,
            policy: (!policy.is_empty() && policy != crate::policy::UNLIMITED)
                .then(|| policy.clone()),
            scopes: operation.scopes.clone(),
        }
    }
}

/// Whether a scope list names only scopes that the API defines; gives the first that is not.
#[must_use]
pub fn undefined_scope<'a>(operations: &'a [Operation], scopes: &[ApiScope]) -> Option<&'a str> {
    let defined: HashSet<&str> = scopes.iter().map(|scope| scope.name.as_str()).collect();
    operations
        .iter()
        .flat_map(|operation| &operation.scopes)
        .map(String::as_str)
        .find(|wanted| !defined.contains(wanted))
}
