//! `POST /oauth2/revoke` (RFC 7009): 200 with an empty body, whether there was something to
//! revoke or not; `Headgate-Applied` says who has applied it.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};

use super::client_credentials::{Form, client};
use super::oauth_error::OauthError;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static REVOKE: Operation =
    Operation::new("POST", "/oauth2/revoke", Access::Own, BodyKind::Form).required(&["token"]);

pub(super) async fn revoke(
    State(services): State<Services>,
    request: Request,
) -> Result<Response, OauthError> {
    let (headers, mut form) = Form::read(request).await?;
    let client = client(&headers, &mut form)?;
    let token = form.required("token")?;
    let applied = services.key_manager.revoke(client, token).await?;
    let response = ().into_response();
    Ok(told(response, applied.as_ref()))
}
