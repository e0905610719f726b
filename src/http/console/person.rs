//! Who looks at a page: somebody who signed in on this node, whose token is still good and carries the scope.

use std::sync::Arc;

use axum::extract::{Extension, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::cookie::{self, Purpose};
use super::token::SCOPE;
use super::{Console, SIGN_IN, answer, form};
use crate::auth;
use crate::services::Services;

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
            Ok(caller) if caller.has(SCOPE) => Ok(Self {
                user: session.user,
                mark: form::mark(&cookie),
            }),
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
