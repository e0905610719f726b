//! `PATCH /scim2/Users/{userId}` (RFC 7644 §3.5.2): a new password, which is all that can be changed
//! of a person.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::scim;
use super::scim_error::ScimError;
use crate::auth::Caller;
use crate::body::Fields;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static PATCH: Operation = Operation::new(
    "PATCH",
    "/scim2/Users/{userId}",
    Access::Scopes(&["internal_user_mgt_update", "apim:admin"]),
    BodyKind::Json,
)
.required(&[
    "schemas",
    "Operations",
    "Operations[].op",
    "Operations[].value",
]);

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const PASSWORD: &str = "password";

pub(super) async fn patch(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ScimError> {
    let password = password(fields)?;
    let km = &services.key_manager;
    let applied = km.set_password(&caller.tenant, &id, password).await?;
    let user = km.find_user(&caller.tenant, &id).await?;
    let response = scim::answer(StatusCode::OK, &scim::shown(&user));
    Ok(told(response, applied.as_ref()))
}

/// The one password that the operations set.
fn password(mut fields: Fields) -> Result<String, ScimError> {
    let schemas = fields.texts("schemas", 255)?.unwrap_or_default();
    if !schemas.iter().any(|schema| schema == PATCH_OP) {
        return Err(ScimError::invalid_value(format!(
            "schemas: must name {PATCH_OP}"
        )));
    }
    // Attribute names are case insensitive (RFC 7643 §2.1), this one comes in both spellings.
    let operations = match fields.list("Operations")? {
        Some(operations) => operations,
        None => fields.list("operations")?.unwrap_or_default(),
    };
    let [Value::Object(operation)] = operations.as_slice() else {
        let problem = "Operations: must hold one operation, the password's";
        return Err(ScimError::invalid_value(problem));
    };
    let mut operation = Fields::from_map(operation.clone()).at("Operations[0]");
    let op = operation.required_text("op", 16)?;
    if !["add", "replace"].contains(&op.to_ascii_lowercase().as_str()) {
        let problem = format!("Operations[0].op: {op} is not add or replace");
        return Err(ScimError::invalid_value(problem));
    }
    match operation.text("path", 255)? {
        Some(path) if path.eq_ignore_ascii_case(PASSWORD) => {
            Ok(operation.required_text("value", 128)?)
        }
        Some(path) => Err(ScimError::invalid_path(&path)),
        None => {
            let values = operation.object("value")?;
            let problem = "Operations[0].value: must be an object where there is no path";
            let mut values = values.ok_or_else(|| ScimError::invalid_value(problem))?;
            let password = values.required_text(PASSWORD, 128)?;
            match values.rest().keys().next() {
                Some(other) => Err(ScimError::invalid_path(other)),
                None => Ok(password),
            }
        }
    }
}
