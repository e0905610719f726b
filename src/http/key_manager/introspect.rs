//! `POST /oauth2/introspect` (RFC 7662): for administrators, and for clients about their own
//! tokens.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde_json::{Value, json};

use actors::key_manager::command::{OauthRefusal, Refresh, Refused};
use domain::validation::{Grant, GrantKind, UserType, Verdict};

use super::client_credentials::{Form, client};
use super::oauth_error::OauthError;
use crate::auth;
use crate::caller_address;
use crate::document::present;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static INTROSPECT: Operation =
    Operation::new("POST", "/oauth2/introspect", Access::Own, BodyKind::Form).required(&["token"]);

pub(super) async fn introspect(
    State(services): State<Services>,
    request: Request,
) -> Result<Json<Value>, OauthError> {
    let address = caller_address::of(&request, &services.trusted_proxies);
    let (headers, mut form) = Form::read(request).await?;
    let token = form.required("token")?;
    let own = asker(&services, (&headers, address), &mut form).await?;
    let may_see = |key: &str| own.as_ref().is_none_or(|own| own == key);
    let verdict = services.key_manager.validate(&token).await;
    let verdict = verdict.map_err(|error| ApiError::unavailable(&error))?;
    Ok(Json(match verdict {
        Verdict::Granted(grant) if may_see(&grant.consumer_key) => {
            shown(&grant, &services.key_manager.issuer().text())
        }
        Verdict::Refused { .. } => match services.key_manager.find_refresh(&token).await {
            Ok(refresh) if may_see(&refresh.consumer_key) => {
                shown_refresh(&refresh, &services.key_manager.issuer().text())
            }
            Ok(_) | Err(Refused::NotFound(_)) => json!({ "active": false }),
            Err(refused) => return Err(refused.into()),
        },
        Verdict::Granted(_) => json!({ "active": false }),
    }))
}

/// Who asks: none for an administrator, who may see all, else the client's consumer key.
async fn asker(
    services: &Services,
    (headers, address): (&HeaderMap, IpAddr),
    form: &mut Form,
) -> Result<Option<String>, OauthError> {
    let header = headers.get(AUTHORIZATION);
    let text = header
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default();
    let (scheme, credential) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        auth::administrator(services, header).await?;
        return Ok(None);
    }
    // The client first: an ordinary call costs no password hash.
    let authenticated = match client(headers, form) {
        Ok(secret) => services.key_manager.authenticate(secret).await,
        Err(error) if text.is_empty() || error.is_bad_request() => return Err(error),
        Err(_) => Err(Refused::Oauth(OauthRefusal::InvalidClient, String::new())),
    };
    let basic = scheme
        .eq_ignore_ascii_case("basic")
        .then_some(credential.trim());
    match (authenticated, basic) {
        (Ok(client), _) => Ok(Some(client.consumer_key)),
        (Err(Refused::Oauth(OauthRefusal::InvalidClient, _)), Some(credential))
            if is_administrator(services, credential, address).await? =>
        {
            Ok(None)
        }
        (Err(refused), _) => Err(refused.into()),
    }
}

/// Whether this is an administrator's name and password.
async fn is_administrator(
    services: &Services,
    credential: &str,
    address: IpAddr,
) -> Result<bool, OauthError> {
    let user = services.key_manager.basic(credential, address).await;
    let user = user.map_err(|error| ApiError::unavailable(&error))?;
    let Some((tenant, name)) = user else {
        return Ok(false);
    };
    let found = services
        .key_manager
        .find_user_by_name(&tenant, &name)
        .await?;
    Ok(found.roles.iter().any(|role| role == domain::role::ADMIN))
}

/// Opaque tokens carry no claims: they are ours, and meant for the client that they were issued to.
fn shown(grant: &Grant, issuer: &str) -> Value {
    let signed = grant.kind == GrantKind::Jwt;
    let audiences = if signed {
        grant.audiences.clone()
    } else {
        vec![grant.consumer_key.clone()]
    };
    let aut = match grant.user_type {
        UserType::Application => "APPLICATION",
        UserType::ApplicationUser => "APPLICATION_USER",
    };
    present(json!({
        "active": true,
        "scope": grant.scopes.join(" "),
        "client_id": grant.consumer_key,
        "username": format!("{}@{}", grant.user, grant.tenant),
        "token_type": "Bearer",
        "exp": grant.expires_at_ms.map(|at| at / 1_000),
        "iat": grant.issued_at_ms / 1_000,
        "nbf": grant.not_before_ms.map_or(grant.issued_at_ms / 1_000, |at| at / 1_000),
        "sub": format!("{}@{}", grant.user, grant.tenant),
        "aud": audiences,
        "iss": if signed { grant.issuer.as_str() } else { issuer },
        "jti": signed.then_some(&grant.token_id),
        "aut": aut,
    }))
}

fn shown_refresh(refresh: &Refresh, issuer: &str) -> Value {
    let subject = format!("{}@{}", refresh.user, refresh.tenant);
    json!({
        "active": true,
        "scope": refresh.scopes,
        "client_id": refresh.consumer_key,
        "username": subject,
        "token_type": "Refresh",
        "exp": refresh.expires_at_ms / 1_000,
        "iat": refresh.issued_at_ms / 1_000,
        "nbf": refresh.issued_at_ms / 1_000,
        "sub": subject,
        "aud": [refresh.consumer_key],
        "iss": issuer,
        "aut": "APPLICATION_USER",
    })
}
