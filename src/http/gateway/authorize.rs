//! Whether the caller may call this resource: application, subscription, kind of token, scopes,
//! audience, and an endpoint for the kind of key.

use std::borrow::Cow;

use actors::gateway::{Granted, Upstream};
use domain::api::AuthType;
use domain::application::{ApplicationStatus, KeyType};
use domain::change::Closed;
use domain::subscription::SubscriptionStatus;
use domain::validation::{Grant, GrantKind, UserType};
use http::StatusCode;

use super::exchange::{Exchange, Matched, granted};
use super::fault::{API_KEY, Extra, Fault, OAUTH2};

/// Authorizes the caller; anonymous resources only need an endpoint.
pub(super) fn authorize(exchange: &Exchange) -> Result<(), Fault> {
    let matched = exchange.matched()?;
    if let Some(granted) = granted(exchange.caller.as_ref(), exchange.at_ms)? {
        let grant = &granted.grant;
        of_this_api(matched, grant)?;
        subscribed(matched, granted)?;
        kind_of_token(matched, grant)?;
        scopes(matched, grant)?;
        audience(matched, grant)?;
    }
    upstream(exchange).map(drop)
}

/// Where the call goes.
pub(super) fn upstream(exchange: &Exchange) -> Result<&Upstream, Fault> {
    let api = &exchange.matched()?.route.api;
    let (endpoint, text) = match exchange.grant()?.map(|grant| grant.key_type) {
        None => (
            api.production.as_ref().or(api.sandbox.as_ref()),
            "The API has no endpoint",
        ),
        Some(KeyType::Production) => (
            api.production.as_ref(),
            "Production key offered to the API with no production endpoint",
        ),
        Some(KeyType::Sandbox) => (
            api.sandbox.as_ref(),
            "Sandbox key offered to the API with no sandbox endpoint",
        ),
    };
    endpoint
        .ok_or_else(|| Fault::client(900_901, StatusCode::FORBIDDEN, "Invalid Credentials", text))
}

fn of_this_api(matched: &Matched, grant: &Grant) -> Result<(), Fault> {
    let artifact = &matched.route.api.artifact;
    let bound = grant.bound_api_id.as_ref();
    if grant.tenant != artifact.tenant || bound.is_some_and(|id| *id != artifact.api_id) {
        return Err(no_subscription());
    }
    match &grant.application {
        Some(application) if application.status != ApplicationStatus::Approved => {
            Err(invalid(grant))
        }
        _ => Ok(()),
    }
}

fn subscribed(matched: &Matched, granted: &Granted) -> Result<(), Fault> {
    let artifact = &matched.route.api.artifact;
    if artifact.plans.is_empty() {
        return of_an_application(&granted.grant);
    }
    let held = granted.subscription(&artifact.api_id);
    let (subscription, _) = held.ok_or_else(no_subscription)?;
    match subscription.status {
        SubscriptionStatus::Unblocked | SubscriptionStatus::TierUpdatePending => Ok(()),
        SubscriptionStatus::ProdOnlyBlocked if granted.grant.key_type == KeyType::Sandbox => Ok(()),
        SubscriptionStatus::Blocked | SubscriptionStatus::ProdOnlyBlocked => {
            Err(blocked(&granted.grant))
        }
        SubscriptionStatus::OnHold | SubscriptionStatus::Rejected => Err(no_subscription()),
    }
}

/// An API without plans takes tokens of all applications, and of nobody else: a client that serves
/// none is not one of a subscriber, and nobody would count its calls. A key stands for what it was
/// made for, with an application or without.
fn of_an_application(grant: &Grant) -> Result<(), Fault> {
    if grant.application.is_some() || grant.kind == GrantKind::ApiKey {
        return Ok(());
    }
    Err(no_subscription())
}

fn kind_of_token(matched: &Matched, grant: &Grant) -> Result<(), Fault> {
    if grant.kind == GrantKind::ApiKey {
        return Ok(());
    }
    let wanted = matched.operation().map(|operation| operation.auth_type);
    let fits = match wanted {
        Some(AuthType::Application) => grant.user_type == UserType::Application,
        Some(AuthType::ApplicationUser) => grant.user_type == UserType::ApplicationUser,
        Some(AuthType::Any | AuthType::None) | None => true,
    };
    if fits {
        return Ok(());
    }
    Err(Fault::client(
        900_905,
        StatusCode::UNAUTHORIZED,
        "Incorrect Access Token Type is provided",
        "The access token type used is not supported when invoking the API",
    )
    .with(challenge(grant)))
}

fn scopes(matched: &Matched, grant: &Grant) -> Result<(), Fault> {
    let Some(operation) = matched.operation() else {
        return Ok(());
    };
    let wanted = &operation.scopes;
    if wanted.is_empty() || wanted.iter().any(|scope| grant.scopes.contains(scope)) {
        return Ok(());
    }
    let mut fault = Fault::client(
        900_910,
        StatusCode::FORBIDDEN,
        "The access token does not allow you to access the requested resource",
        "",
    );
    fault.description = Cow::Owned(format!(
        "User is NOT authorized to access the Resource: {}. Scope validation failed.",
        operation.target
    ));
    Err(fault)
}

fn audience(matched: &Matched, grant: &Grant) -> Result<(), Fault> {
    let wanted = &matched.route.api.artifact.audiences;
    let named = |audience: &String| audience == "all" || grant.audiences.contains(audience);
    if wanted.is_empty() || grant.kind != GrantKind::Jwt || wanted.iter().any(named) {
        return Ok(());
    }
    Err(Fault::client(
        900_914,
        StatusCode::FORBIDDEN,
        "The access token does not allow you to access the requested resource",
        "The access token does not name an audience that the API accepts",
    ))
}

/// What a 401 asks for in place of the credential that was good and did not do.
fn challenge(grant: &Grant) -> Extra {
    Extra::Challenge(match grant.kind {
        GrantKind::ApiKey => API_KEY,
        _ => OAUTH2,
    })
}

/// The credential is none any more.
pub(super) fn invalid(grant: &Grant) -> Fault {
    Fault::invalid_credentials().with(challenge(grant))
}

/// What a call is answered whose subscription a change has closed.
pub(super) fn not_subscribed(closed: Closed, grant: &Grant) -> Fault {
    match closed {
        Closed::Removed => no_subscription(),
        Closed::Blocked | Closed::ProductionBlocked => blocked(grant),
    }
}

fn blocked(grant: &Grant) -> Fault {
    Fault::client(
        900_907,
        StatusCode::UNAUTHORIZED,
        "The requested API is temporarily blocked",
        "Access failure for API: the subscription is blocked",
    )
    .with(challenge(grant))
}

fn no_subscription() -> Fault {
    Fault::client(
        900_908,
        StatusCode::FORBIDDEN,
        "Resource forbidden",
        "User is NOT authorized to access the Resource. API Subscription validation failed.",
    )
}
