//! `/scim2/Users` (RFC 7643, 7644): create, list, get, delete; for administrators.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use actors::key_manager::bare_name;
use actors::key_manager::command::{NewUser, Refused, User};

use super::scim_error::ScimError;
use crate::auth::Caller;
use crate::body::Fields;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::services::Services;
use crate::shape::{Kind, Members, SHORT, check};

pub(super) static CREATE: Operation = Operation::new(
    "POST",
    "/scim2/Users",
    Access::Scopes(&["internal_user_mgt_create", "apim:admin"]),
    BodyKind::Json,
)
.unique(&["userName"])
.required(&["userName", "password"]);
pub(super) static LIST: Operation = Operation::new(
    "GET",
    "/scim2/Users",
    Access::Scopes(&["internal_user_mgt_list", "apim:admin"]),
    BodyKind::Empty,
)
.query(&["startIndex", "count", "filter"]);
pub(super) static GET: Operation = Operation::new(
    "GET",
    "/scim2/Users/{userId}",
    Access::Scopes(&["internal_user_mgt_view", "apim:admin"]),
    BodyKind::Empty,
);
pub(super) static DELETE: Operation = Operation::new(
    "DELETE",
    "/scim2/Users/{userId}",
    Access::Scopes(&["internal_user_mgt_delete", "apim:admin"]),
    BodyKind::Empty,
);

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Where WSO2's clients say that an account is locked.
const EXTENSIONS: [&str; 3] = [
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "urn:scim:wso2:schema",
    "urn:scim:schemas:extension:custom:User",
];
const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// The most characters of an address.
const LONGEST_EMAIL: usize = 255;
/// Members that have no effect here.
const IGNORED: Members = &[
    ("displayName", Kind::Text(SHORT)),
    ("externalId", Kind::Text(SHORT)),
    ("userType", Kind::Text(SHORT)),
];
/// The most users of a page.
const PAGE: u32 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listing {
    start_index: Option<String>,
    count: Option<String>,
    filter: Option<String>,
}

pub(super) async fn create(
    State(services): State<Services>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, ScimError> {
    let user = services
        .key_manager
        .create_user(new_user(&caller.tenant, fields)?)
        .await?;
    let location = [(header::LOCATION, format!("/scim2/Users/{}", user.value.id))];
    let response = (location, answer(StatusCode::CREATED, &shown(&user.value))).into_response();
    Ok(told(response, user.applied.as_ref()))
}

pub(super) async fn list(
    State(services): State<Services>,
    caller: Caller,
    Query(listing): Query<Listing>,
) -> Result<Response, ScimError> {
    let number = |name: &str, text: Option<&str>, otherwise: u32| match text {
        None => Ok(otherwise),
        Some(text) => text
            .parse::<u32>()
            .map_err(|_| ScimError::invalid_value(format!("{name} must be a whole number"))),
    };
    // Values under 1 are taken as 1 (RFC 7644 §3.4.2.4).
    let start = number("startIndex", listing.start_index.as_deref(), 1)?.max(1);
    let count = number("count", listing.count.as_deref(), 100)?.min(PAGE);
    let (users, total) = match listing.filter.as_deref() {
        None => {
            services
                .key_manager
                .list_users(&caller.tenant, count, start - 1)
                .await?
        }
        Some(filter) => {
            let name = name_of(filter)?;
            match services
                .key_manager
                .find_user_by_name(&caller.tenant, &name)
                .await
            {
                Ok(user) => (vec![user], 1),
                Err(Refused::NotFound(_)) => (Vec::new(), 0),
                Err(refused) => return Err(refused.into()),
            }
        }
    };
    let body = json!({
        "schemas": [LIST_RESPONSE],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": users.len(),
        "Resources": users.iter().map(shown).collect::<Vec<_>>(),
    });
    Ok(answer(StatusCode::OK, &body))
}

pub(super) async fn get(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ScimError> {
    let user = services.key_manager.find_user(&caller.tenant, &id).await?;
    Ok(answer(StatusCode::OK, &shown(&user)))
}

pub(super) async fn delete(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ScimError> {
    let applied = services
        .key_manager
        .delete_user(&caller.tenant, &id)
        .await?;
    let response = StatusCode::NO_CONTENT.into_response();
    Ok(told(response, applied.as_ref()))
}

/// Reads a user out of SCIM's members; shared with self sign-up.
pub(super) fn new_user(tenant: &str, mut fields: Fields) -> Result<NewUser, ScimError> {
    refuse_inactive(&mut fields)?;
    check(&mut fields, IGNORED)?;
    let schemas = fields.texts("schemas", 255)?.unwrap_or_default();
    if !schemas.is_empty() && !schemas.iter().any(|schema| schema == USER) {
        return Err(ScimError::invalid_value(format!(
            "schemas: must name {USER}"
        )));
    }
    let name = fields.required_text("userName", 255)?;
    let password = fields.required_text("password", 128)?;
    let (mut given_name, mut family_name) = (String::new(), String::new());
    if let Some(mut parts) = fields.object("name")? {
        given_name = parts.text("givenName", 255)?.unwrap_or_default();
        family_name = parts.text("familyName", 255)?.unwrap_or_default();
    }
    let email = email(&mut fields)?;
    let mut roles = Vec::new();
    for role in fields.list("roles")?.unwrap_or_default() {
        let role = match role {
            Value::String(role) => Some(role),
            Value::Object(mut role) => role
                .remove("value")
                .and_then(|value| value.as_str().map(str::to_owned)),
            _ => None,
        };
        roles.push(role.ok_or_else(|| ScimError::invalid_value("roles: must hold role names"))?);
    }
    Ok(NewUser {
        tenant: tenant.to_owned(),
        name: bare_name(&name).to_owned(),
        password,
        email,
        given_name,
        family_name,
        roles,
    })
}

/// The first of the addresses; all must be some.
fn email(fields: &mut Fields) -> Result<String, ScimError> {
    let mut first = None;
    for email in fields.list("emails")?.unwrap_or_default() {
        let email = match email {
            Value::Object(mut email) => email.remove("value").unwrap_or_default(),
            email => email,
        };
        match email {
            Value::String(email) if email.chars().count() <= LONGEST_EMAIL => {
                first.get_or_insert(email);
            }
            _ => {
                let problem = format!(
                    "emails: must hold addresses of at most {LONGEST_EMAIL} characters, as texts or as value"
                );
                return Err(ScimError::invalid_value(problem));
            }
        }
    }
    Ok(first.unwrap_or_default())
}

/// A user who is made may sign in: an account that is to be shut would be open.
fn refuse_inactive(fields: &mut Fields) -> Result<(), ScimError> {
    if fields.flag("active")? == Some(false) {
        let problem = "active: must be true, users who may not sign in are not in force here";
        return Err(ScimError::invalid_value(problem));
    }
    for extension in EXTENSIONS {
        let Some(mut members) = fields.object(extension)? else {
            continue;
        };
        for lock in ["accountLocked", "accountDisabled"] {
            match members.take(lock) {
                None | Some(Value::Bool(false)) => {}
                Some(Value::String(text)) if text == "false" => {}
                Some(_) => {
                    let problem = "must be false, locked accounts are not in force here";
                    return Err(ScimError::invalid_value(format!("{lock}: {problem}")));
                }
            }
        }
    }
    Ok(())
}

pub(super) fn shown(user: &User) -> Value {
    let time = |ms: i64| {
        jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| at.to_string())
    };
    let mut body = json!({
        "schemas": [USER],
        "id": user.id,
        "userName": user.name,
        "active": user.active,
        "name": { "givenName": user.given_name, "familyName": user.family_name },
        "roles": user.roles.iter().map(|role| json!({ "value": role })).collect::<Vec<_>>(),
        "meta": {
            "resourceType": "User",
            "created": time(user.created_at_ms),
            "lastModified": time(user.updated_at_ms),
            "location": format!("/scim2/Users/{}", user.id),
        },
    });
    if let (Some(members), false) = (body.as_object_mut(), user.email.is_empty()) {
        members.insert("emails".to_owned(), json!([user.email]));
    }
    body
}

pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/scim+json")];
    (status, kind, body.to_string()).into_response()
}

/// The one filter that is understood: `userName eq "name"`.
fn name_of(filter: &str) -> Result<String, ScimError> {
    let mut words = filter.splitn(3, ' ');
    let (attribute, operator, value) = (words.next(), words.next(), words.next());
    match (attribute, operator, value) {
        (Some(attribute), Some(operator), Some(value))
            if attribute.eq_ignore_ascii_case("userName")
                && operator.eq_ignore_ascii_case("eq") =>
        {
            Ok(bare_name(value.trim().trim_matches('"')).to_owned())
        }
        _ => Err(ScimError::invalid_filter(
            "filter must be: userName eq \"name\"",
        )),
    }
}
