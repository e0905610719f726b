//! What clients find out by themselves: the key set (RFC 7517) and the provider's configuration
//! (OpenID Connect Discovery §4).

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static JWKS: Operation =
    Operation::new("GET", "/oauth2/jwks", Access::Own, BodyKind::Empty);
pub(super) static CONFIGURATION: Operation = Operation::new(
    "GET",
    "/oauth2/token/.well-known/openid-configuration",
    Access::Own,
    BodyKind::Empty,
);

pub(super) async fn jwks(State(services): State<Services>) -> impl IntoResponse {
    let kind = [(CONTENT_TYPE, "application/json")];
    (kind, services.key_manager.jwks())
}

pub(super) async fn configuration(State(services): State<Services>) -> Json<Value> {
    let issuer = services.key_manager.issuer().text();
    let base = issuer.strip_suffix("/oauth2/token").unwrap_or(&issuer);
    Json(json!({
        "issuer": issuer.as_str(),
        "token_endpoint": format!("{base}/oauth2/token"),
        "revocation_endpoint": format!("{base}/oauth2/revoke"),
        "introspection_endpoint": format!("{base}/oauth2/introspect"),
        "userinfo_endpoint": format!("{base}/oauth2/userinfo"),
        "jwks_uri": format!("{base}/oauth2/jwks"),
        "registration_endpoint": format!("{base}/client-registration/v0.17/register"),
        "grant_types_supported": ["client_credentials", "password", "refresh_token"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [services.key_manager.signing_algorithm()],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "scopes_supported": ["openid"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "email", "given_name", "family_name",
        ],
    }))
}
