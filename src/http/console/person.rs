//! Who looks at a page: somebody who signed in on this node, whose token is still good and carries the scope.

use std::sync::Arc;

use axum::extract::{Extension, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::cookie::{self, Purpose};
use super::session::Session;
use super::token::SCOPE;
use super::{Console, SIGN_IN, answer, form};
use crate::looks::Look;
use crate::services::Services;
use crate::{auth, caller_address};

/// Somebody who signed in.
pub(super) struct Person {
    /// User name without tenant.
    pub(super) user: String,
    /// What forms of theirs repeat.
    pub(super) mark: String,
}

// === impl Person ===

impl FromRequestParts<Services> for Person {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Services,
    ) -> Result<Self, Self::Rejection> {
        let console = Extension::<Arc<Console>>::from_request_parts(parts, services).await;
        let Extension(console) = console.map_err(axum::response::IntoResponse::into_response)?;
        let stranger = || Redirect::to(SIGN_IN).into_response();
        let cookie = cookie::read(&parts.headers, &services.cluster, Purpose::Session);
        let cookie = cookie.ok_or_else(stranger)?;
        let now = services.system.clock.monotonic();
        let session = console.sessions().find(&cookie, now);
        let session = session.ok_or_else(stranger)?;
        match auth::by_token(services, &session.token).await {
            Ok(caller) if caller.has(SCOPE) => {
                look(parts, services, &session);
                Ok(Self {
                    user: session.user,
                    mark: form::mark(&cookie),
                })
            }
            Ok(_) => {
                let text = "The account may not administer: its token lacks the scope apim:admin.";
                Err(answer::refused(StatusCode::FORBIDDEN, "Not allowed", text))
            }
            Err(error) if error.status() == StatusCode::UNAUTHORIZED => {
                // It was revoked, or its owner lost their access.
                console.sessions().end(&cookie);
                Err(stranger())
            }
            Err(error) => Err(answer::failed(&error)),
        }
    }
}

/// The form of sign-in shows nothing to whoever is signed in.
fn look(parts: &Parts, services: &Services, session: &Session) {
    if parts.uri.path() == SIGN_IN {
        return;
    }
    let look = Look {
        user: session.user.clone(),
        tenant: session.tenant.clone(),
        address: caller_address::of_parts(
            &parts.extensions,
            &parts.headers,
            &services.trusted_proxies,
        ),
        at: parts.uri.path().to_owned(),
    };
    services.looks.tell(look, services.system.clock.monotonic());
}
