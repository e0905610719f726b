//! `/admin/sign-out`: ends the session here, and its token everywhere.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::cookie::{self, Purpose};
use super::form::Form;
use super::session::Session;
use super::{Console, SIGN_IN, answer};
use crate::services::Services;

/// Signs out.
pub(super) async fn sign_out(
    State(services): State<Services>,
    Extension(console): Extension<Arc<Console>>,
    request: Request,
) -> Response {
    let cookie = cookie::read(request.headers(), &services.cluster, Purpose::Session);
    if let Err(refused) = Form::read(request, cookie.as_deref()).await {
        return refused;
    }
    let session = cookie.and_then(|cookie| console.sessions().end(&cookie));
    let revoked = match session {
        Some(session) => revoked(&services, &console, session).await,
        None => true,
    };
    let mut response = if revoked {
        Redirect::to(SIGN_IN).into_response()
    } else {
        let text = "You are signed out on this node. The key manager did not answer, so the token \
                    that was issued for you could not be revoked: it ends within the hour by itself.";
        answer::refused(StatusCode::OK, "Signed out", text)
    };
    let forgotten = cookie::forget(&services.cluster, Purpose::Session);
    response
        .headers_mut()
        .extend(forgotten.map(|cookie| (SET_COOKIE, cookie)));
    response
}

/// Whether the token is good for nothing any more.
async fn revoked(services: &Services, console: &Console, session: Session) -> bool {
    let Session {
        token,
        user,
        tenant,
        ..
    } = session;
    let client = console.clients().of(&user);
    let revoked = match client {
        Some(client) => services.key_manager.revoke(client, token).await.is_ok(),
        None => false,
    };
    let outcome = if revoked {
        "done"
    } else {
        "done: the token ends by itself"
    };
    tracing::info!(target: "audit", %user, %tenant, outcome, "somebody signs out of the pages");
    revoked
}
