//! `/throttling/deny-policies` and `/throttling/deny-policy/{conditionId}`.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use domain::deny_policy::DenyPolicy;

use super::admin;
use super::deny_document::{read, write};
use super::deny_search::Wanted;
use crate::auth::Caller;
use crate::body::Fields;
use crate::document::{seen, seen_version};
use crate::entity_tag::met;
use crate::error::ApiError;
use crate::failure::{answer, answer_to};
use crate::management::with_applied;
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::services::Services;

const VIEW: Access = Access::Scopes(&["apim:admin", "apim:bl_view"]);
const MANAGE: Access = Access::Scopes(&["apim:admin", "apim:bl_manage"]);
const ALL: &str = "/api/am/admin/v4/throttling/deny-policies";
const ONE: &str = "/api/am/admin/v4/throttling/deny-policy/{conditionId}";

pub(super) static LIST: Operation =
    Operation::new("GET", ALL, VIEW, BodyKind::Empty).query(&["query"]);
pub(super) static CREATE: Operation = Operation::new("POST", ALL, MANAGE, BodyKind::Json)
    .unique(&["conditionValue"])
    .required(&["conditionType", "conditionValue"]);
pub(super) static GET: Operation = Operation::new("GET", ONE, VIEW, BodyKind::Empty);
pub(super) static PATCH: Operation = Operation::new("PATCH", ONE, MANAGE, BodyKind::Json)
    .if_match()
    .required(&["conditionStatus"]);
pub(super) static DELETE: Operation =
    Operation::new("DELETE", ONE, MANAGE, BodyKind::Empty).if_match();

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = CREATE.mount(router, create);
    let router = GET.mount(router, get);
    let router = PATCH.mount(router, patch);
    DELETE.mount(router, delete)
}

#[derive(Deserialize)]
struct Searched {
    query: Option<String>,
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    Query(Searched { query }): Query<Searched>,
) -> Result<Response, ApiError> {
    let wanted = Wanted::read(query.as_deref().unwrap_or_default())?;
    let found = admin(&services)?.deny_policies(&caller.tenant).await;
    let found = found.map_err(answer)?;
    let found = found.iter().filter(|policy| wanted.admits(&policy.target));
    let list: Vec<_> = found.map(write).collect();
    Ok(seen(json!({ "count": list.len(), "list": list })))
}

async fn create(
    State(services): State<Services>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, ApiError> {
    let policy = read(&caller.tenant, fields)?;
    let changed = admin(&services)?.create_deny_policy(policy).await;
    let changed = changed.map_err(answer_to(&CREATE))?;
    let location = format!(
        "/api/am/admin/v4/throttling/deny-policy/{}",
        changed.value.id
    );
    let headers = [(header::LOCATION, location)];
    let response = (StatusCode::CREATED, headers, seen(write(&changed.value))).into_response();
    Ok(with_applied(response, &changed.applied))
}

async fn get(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let found = admin(&services)?.deny_policy(&caller.tenant, &id).await;
    Ok(seen(write(&found.map_err(answer)?)))
}

async fn patch(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let active = fields.flag("conditionStatus")?;
    let active = active.ok_or_else(|| ApiError::bad_field("conditionStatus", "is required"))?;
    let (known, as_read) = find(&services, &caller, &id, &headers).await?;
    let changed = admin(&services)?.set_deny_policy(known, active, as_read);
    let changed = changed.await.map_err(answer)?;
    let response = seen(write(&changed.value));
    Ok(with_applied(response, &changed.applied))
}

async fn delete(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (known, as_read) = find(&services, &caller, &id, &headers).await?;
    let changed = admin(&services)?.delete_deny_policy(known, as_read).await;
    let changed = changed.map_err(answer)?;
    Ok(with_applied(
        StatusCode::OK.into_response(),
        &changed.applied,
    ))
}

/// The policy, and whether a change of it must meet it as it is now because the caller has seen it.
async fn find(
    services: &Services,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
) -> Result<(DenyPolicy, bool), ApiError> {
    let found = admin(services)?.deny_policy(&caller.tenant, id).await;
    let known = found.map_err(answer)?;
    let as_read = met(headers, seen_version(&write(&known)))?.is_some();
    Ok((known, as_read))
}
