//! `/admin/sign-out`: ends the session here, and its token everywhere.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::cookie::{self, Purpose};
use super::form::Form;
use super::session::Session;
use super::{Console, SIGN_IN, answer};
use crate::caller_address;
use crate::services::Services;

/// Signs out.
pub(super) async fn sign_out(
    State(services): State<Services>,
    Extension(console): Extension<Arc<Console>>,
    request: Request,
) -> Response {
    let address = caller_address::of(&request, &services.trusted_proxies);
    let cookie = cookie::read(request.headers(), &services.cluster, Purpose::Session);
    if let Err(refused) = Form::read(request, cookie.as_deref()).await {
        return refused;
    }
    let session = cookie.and_then(|cookie| console.sessions().end(&cookie));
    let revoked = match session {
        Some(session) => revoked(&services, session, address).await,
        None => true,
    };
    let mut response = if revoked {
        Redirect::to(SIGN_IN).into_response()
    } else {
        let text = "You are signed out on this node. The key manager did not revoke the token that \
                    was issued for you, the audit log says why: it ends within the hour by itself.";
        answer::refused(StatusCode::OK, "Signed out", text)
    };
    let forgotten = cookie::forget(&services.cluster, Purpose::Session);
    response
        .headers_mut()
        .extend(forgotten.map(|cookie| (SET_COOKIE, cookie)));
    response
}

/// Whether the token of a session that has ended is good for nothing any more.
pub(super) async fn revoked(services: &Services, session: Session, address: IpAddr) -> bool {
    let Session {
        token,
        client,
        user,
        tenant,
        ..
    } = session;
    let revoked = services.key_manager.revoke(client, token).await;
    let outcome = match &revoked {
        Ok(_) => "done".to_owned(),
        Err(why) => format!("done: the token ends by itself: {why}"),
    };
    tracing::info!(target: "audit", %user, %tenant, %address, outcome, "somebody signs out of the pages");
    revoked.is_ok()
}
