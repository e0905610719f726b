//! Whether the caller may call this resource: application, subscription, kind of token, scopes,
//! audience, and an endpoint for the kind of key.

use std::borrow::Cow;

use actors::gateway::{Granted, Upstream};
use domain::api::AuthType;
use domain::application::{ApplicationStatus, KeyType};
use domain::artifact::Artifact;
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
        let artifact = &matched.route.api.artifact;
        of_this_api(artifact, grant)?;
        subscribed(artifact, granted)?;
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

fn of_this_api(artifact: &Artifact, grant: &Grant) -> Result<(), Fault> {
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

fn subscribed(artifact: &Artifact, granted: &Granted) -> Result<(), Fault> {
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

#[cfg(test)]
mod tests {
    use actors::gateway::Caller;
    use domain::api::{Cors, Endpoints};
    use domain::lifecycle::LifecycleState;
    use domain::validation::{GrantedApplication, GrantedSubscription};

    use super::*;

    fn api() -> Artifact {
        Artifact {
            tenant: "carbon.super".to_owned(),
            api_id: "api".to_owned(),
            name: "Shop".to_owned(),
            version: "1.0.0".to_owned(),
            context: "/shop/1.0.0".to_owned(),
            default_context: None,
            provider: "admin".to_owned(),
            environment: "Default".to_owned(),
            vhost: "localhost".to_owned(),
            revision_id: "revision".to_owned(),
            state: LifecycleState::Published,
            transports: vec!["https".to_owned()],
            oauth2: true,
            api_key: true,
            authorization_header: "authorization".to_owned(),
            api_key_header: "apikey".to_owned(),
            audiences: Vec::new(),
            plans: vec!["Gold".to_owned()],
            api_policy: None,
            cors: Cors::default(),
            endpoints: Endpoints::default(),
            operations: Vec::new(),
        }
    }

    fn grant(
        kind: GrantKind,
        status: ApplicationStatus,
        subscriptions: &[SubscriptionStatus],
    ) -> Grant {
        let one = |(n, status): (usize, &SubscriptionStatus)| GrantedSubscription {
            id: n.to_string(),
            api_id: "api".to_owned(),
            policy: "Gold".to_owned(),
            status: *status,
        };
        Grant {
            at: 1,
            tenant: "carbon.super".to_owned(),
            kind,
            issuer: String::new(),
            token_id: "token".to_owned(),
            session: None,
            consumer_key: "client".to_owned(),
            key_type: KeyType::Production,
            scopes: Vec::new(),
            audiences: Vec::new(),
            user: "olga".to_owned(),
            user_type: UserType::Application,
            issued_at_ms: 0,
            not_before_ms: None,
            expires_at_ms: None,
            application: Some(GrantedApplication {
                id: "application".to_owned(),
                name: "one".to_owned(),
                owner: "olga".to_owned(),
                policy: "Unlimited".to_owned(),
                status,
            }),
            subscriptions: subscriptions.iter().enumerate().map(one).collect(),
            bound_api_id: None,
            permitted_ips: Vec::new(),
            permitted_referers: Vec::new(),
        }
    }

    fn told(judged: Result<(), Fault>) -> Option<(u32, u16)> {
        judged
            .err()
            .map(|fault| (fault.code, fault.status.as_u16()))
    }

    #[test]
    fn an_application_that_is_not_approved_opens_nothing_with_a_token_or_a_key() {
        let open = [SubscriptionStatus::Unblocked];
        let of = |kind, status| told(of_this_api(&api(), &grant(kind, status, &open)));
        for kind in [GrantKind::Jwt, GrantKind::Opaque, GrantKind::ApiKey] {
            assert_eq!(of(kind, ApplicationStatus::Approved), None);
            for status in [ApplicationStatus::Created, ApplicationStatus::Rejected] {
                assert_eq!(of(kind, status), Some((900_901, 401)), "{status:?}");
            }
        }
    }

    #[test]
    fn a_subscription_that_waits_or_was_refused_opens_nothing_and_hides_none_that_does() {
        use SubscriptionStatus::{OnHold, Rejected, TierUpdatePending, Unblocked};
        let of = |subscriptions: &[SubscriptionStatus]| {
            let grant = grant(GrantKind::Jwt, ApplicationStatus::Approved, subscriptions);
            let Caller::Granted(granted) = Caller::granted(grant) else {
                panic!("it was granted");
            };
            told(subscribed(&api(), &granted))
        };
        for good in [
            &[Unblocked][..],
            &[TierUpdatePending],
            &[Rejected, Unblocked],
        ] {
            assert_eq!(of(good), None, "{good:?}");
        }
        for bad in [&[][..], &[OnHold], &[Rejected], &[Rejected, OnHold]] {
            assert_eq!(of(bad), Some((900_908, 403)), "{bad:?}");
        }
    }
}
