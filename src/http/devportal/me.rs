//! `/me/change-password`: people change their own password.

use axum::Router;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use actors::key_manager::command::{PasswordChange, Refused};

use crate::auth::Caller;
use crate::body::Fields;
use crate::caller_address;
use crate::error::ApiError;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static CHANGE_PASSWORD: Operation = Operation::new(
    "POST",
    "/api/am/devportal/v3/me/change-password",
    Access::Scopes(&["apim:subscribe"]),
    BodyKind::Json,
)
.required(&["currentPassword", "newPassword"]);

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
    let change = PasswordChange {
        tenant: caller.tenant,
        name: caller.user,
        current,
        new,
        address,
    };
    let applied = services.key_manager.change_password(change).await;
    let response = StatusCode::OK.into_response();
    Ok(told(response, applied.map_err(refused)?.as_ref()))
}

fn refused(refused: Refused) -> ApiError {
    match refused {
        Refused::BadField { field, .. } if field == "current" => {
            let problem = "is wrong, or has been wrong too often: wait, then try again";
            ApiError::bad_field("currentPassword", problem)
        }
        Refused::BadField { problem, .. } => ApiError::bad_field("newPassword", problem),
        other => ApiError::unavailable(&other),
    }
}
