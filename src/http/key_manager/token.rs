//! `POST /oauth2/token` (RFC 6749 §4.3, §4.4, §6).

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, PRAGMA};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use actors::key_manager::command::{GrantType, Issued, TokenRequest};

use super::client_credentials::{Form, client};
use super::oauth_error::OauthError;
use crate::caller_address;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static TOKEN: Operation =
    Operation::new("POST", "/oauth2/token", Access::Own, BodyKind::Form).required(&["grant_type"]);

/// The most bytes of the scopes asked for: they travel in each signed token, which has to fit into
/// a request's head.
const SCOPE_LIMIT: usize = 4 * 1024;

pub(super) async fn token(
    State(services): State<Services>,
    request: Request,
) -> Result<Response, OauthError> {
    let address = caller_address::of(&request, &services.trusted_proxies);
    let (headers, mut form) = Form::read(request).await?;
    let grant = form.required("grant_type")?;
    let client = client(&headers, &mut form)?;
    let grant = match grant.as_str() {
        "client_credentials" => GrantType::ClientCredentials,
        "password" => GrantType::Password {
            username: form.required("username")?,
            password: form.required("password")?,
            address,
        },
        "refresh_token" => GrantType::RefreshToken(form.required("refresh_token")?),
        _ => {
            return Err(OauthError::bad(
                "unsupported_grant_type",
                "use client_credentials, password or refresh_token",
            ));
        }
    };
    let validity_seconds = match form.take("validity_period") {
        None => None,
        Some(text) => {
            let seconds = text.parse::<i64>().ok().filter(|seconds| *seconds >= 1);
            let rule = "validity_period must be a number of seconds of at least 1";
            Some(seconds.ok_or_else(|| OauthError::invalid_request(rule))?)
        }
    };
    let scopes = form.take("scope").unwrap_or_default();
    if scopes.len() > SCOPE_LIMIT {
        let rule = format!("scope must not exceed {SCOPE_LIMIT} bytes");
        return Err(OauthError::bad("invalid_scope", &rule));
    }
    let request = TokenRequest {
        client,
        grant,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        validity_seconds,
    };
    let issued = services.key_manager.issue(request).await?;
    let headers = [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];
    Ok((headers, Json(shown(issued))).into_response())
}

fn shown(issued: Issued) -> Value {
    let mut body = json!({
        "access_token": issued.access_token,
        "scope": issued.scopes.join(" "),
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
    });
    if let Some(members) = body.as_object_mut() {
        if let Some(token) = issued.refresh_token {
            members.insert("refresh_token".to_owned(), token.into());
        }
        if let Some(token) = issued.id_token {
            members.insert("id_token".to_owned(), token.into());
        }
    }
    body
}
