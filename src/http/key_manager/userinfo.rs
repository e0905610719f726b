//! `/oauth2/userinfo`, by GET or POST (OpenID Connect Core §5.3).

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use actors::key_manager::command::Refused;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static USERINFO: Operation = Operation::new(
    "GET",
    "/oauth2/userinfo",
    Access::Scopes(&["openid"]),
    BodyKind::Empty,
);
/// The same by POST; the token is in the header.
pub(super) static USERINFO_POST: Operation = Operation::new(
    "POST",
    "/oauth2/userinfo",
    Access::Scopes(&["openid"]),
    BodyKind::Empty,
);

pub(super) async fn userinfo(
    State(services): State<Services>,
    caller: Caller,
) -> Result<Json<Value>, ApiError> {
    let found = services
        .key_manager
        .find_user_by_name(&caller.tenant, &caller.user)
        .await;
    let user = match found {
        Ok(user) => user,
        Err(Refused::NotFound(_)) => return Err(ApiError::unauthorized("the user is gone")),
        Err(refused) => return Err(ApiError::unavailable(&refused)),
    };
    let mut claims = json!({
        "sub": format!("{}@{}", user.name, caller.tenant),
        "preferred_username": user.name,
        "updated_at": user.updated_at_ms / 1_000,
        "roles": user.roles,
    });
    if let Some(members) = claims.as_object_mut() {
        for (name, text) in [
            ("email", user.email),
            ("given_name", user.given_name),
            ("family_name", user.family_name),
        ] {
            if !text.is_empty() {
                members.insert(name.to_owned(), text.into());
            }
        }
    }
    Ok(Json(claims))
}
