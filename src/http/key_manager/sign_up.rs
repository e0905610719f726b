//! `POST /api/identity/user/v1.0/me`: people make their own account, as subscribers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};

use domain::api::SUPER_TENANT;
use domain::role;

use super::scim::new_user;
use super::scim_error::ScimError;
use crate::body::Fields;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

/// Anybody may sign up.
pub(super) static SIGN_UP: Operation = Operation::new(
    "POST",
    "/api/identity/user/v1.0/me",
    Access::Own,
    BodyKind::Json,
)
.unique(&["username"])
.required(&["user", "user.username", "user.password"]);

/// Claims of WSO2's sign-up and the members of ours they fill.
const CLAIMS: [(&str, &str); 3] = [
    ("http://wso2.org/claims/emailaddress", "email"),
    ("http://wso2.org/claims/givenname", "givenName"),
    ("http://wso2.org/claims/lastname", "familyName"),
];

pub(super) async fn sign_up(
    State(services): State<Services>,
    mut fields: Fields,
) -> Result<Response, ScimError> {
    let mut user = fields
        .object("user")?
        .ok_or_else(|| ScimError::invalid_value("user: is required"))?;
    let claims = user.items("claims")?;
    // Only what a person may say of themselves is taken; roles are ours to give.
    let (mut members, mut name) = (Map::new(), Map::new());
    members.insert("userName".to_owned(), user.take("username").into());
    members.insert("password".to_owned(), user.take("password").into());
    for mut claim in claims {
        let uri = claim.text("uri", 255)?.unwrap_or_default();
        let value = claim.text("value", 255)?.unwrap_or_default();
        match CLAIMS.iter().find(|(known, _)| uri == *known) {
            Some((_, "email")) => {
                let emails = vec![Value::String(value)];
                members.insert("emails".to_owned(), Value::Array(emails));
            }
            Some((_, member)) => {
                name.insert((*member).to_owned(), Value::String(value));
            }
            None => {}
        }
    }
    members.insert("name".to_owned(), Value::Object(name));
    let mut new = new_user(SUPER_TENANT, Fields::from_map(members))?;
    new.roles = vec![role::SUBSCRIBER.to_owned()];
    let user = services.key_manager.create_user(new).await?;
    let response = StatusCode::CREATED.into_response();
    Ok(told(response, user.applied.as_ref()))
}
