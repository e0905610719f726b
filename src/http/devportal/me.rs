//! `/me/change-password`: people change their own password.

use axum::Router;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use actors::key_manager::command::Refused;

use crate::auth::Caller;
use crate::body::Fields;
use crate::caller_address;
use crate::error::ApiError;
use crate::management::with_applied;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static CHANGE_PASSWORD: Operation = Operation::new(
    "POST",
    "/api/am/devportal/v3/me/change-password",
    Access::Scopes(&["apim:subscribe"]),
    BodyKind::Json,
);

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    CHANGE_PASSWORD.mount(router, change_password)
}

/// `changeUserPassword`. Guesses at the current one are counted like logins; sessions end, the one
/// that asks as well.
async fn change_password(
    State(services): State<Services>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let address = caller_address::of(&request, &services.trusted_proxies);
    let mut fields = Fields::from_request(request, &services).await?;
    let current = fields.required_text("currentPassword", 128)?;
    let new = fields.required_text("newPassword", 128)?;
    let km = &services.key_manager;
    let credential = STANDARD.encode(format!("{}:{current}", caller.user));
    let known = km.basic(&credential, address).await;
    if known
        .map_err(|error| ApiError::unavailable(&error))?
        .is_none()
    {
        let problem = "is wrong, or has been wrong too often: wait, then try again";
        return Err(ApiError::bad_field("currentPassword", problem));
    }
    let user = km.find_user_by_name(&caller.tenant, &caller.user).await;
    let user = user.map_err(refused)?;
    let applied = km.set_password(&caller.tenant, &user.id, new).await;
    let response = StatusCode::OK.into_response();
    Ok(match applied.map_err(refused)? {
        Some(applied) => with_applied(response, &applied),
        None => response,
    })
}

fn refused(refused: Refused) -> ApiError {
    match refused {
        Refused::BadField { problem, .. } => ApiError::bad_field("newPassword", problem),
        Refused::NotFound(_) => ApiError::missing("user"),
        other => ApiError::unavailable(&other),
    }
}
