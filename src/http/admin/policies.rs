//! `/throttling/policies/{subscription,application,advanced}`: the same five operations at each
//! level, with the level's own members.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use domain::policy::{Policy, PolicyLevel};

use super::admin;
use super::policy_document::{read, write};
use crate::auth::Caller;
use crate::body::Fields;
use crate::document::seen;
use crate::entity_tag;
use crate::error::ApiError;
use crate::failure::{answer, answer_about, answer_to};
use crate::management::with_applied;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

const VIEW: Access = Access::Scopes(&["apim:admin", "apim:tier_view"]);
const MANAGE: Access = Access::Scopes(&["apim:admin", "apim:tier_manage"]);

macro_rules! level {
    ($name:ident, $level:expr, $path:literal $(, $more:literal)* $(,)?) => {
        pub(super) mod $name {
            use super::*;

            const LEVEL: PolicyLevel = $level;
            const ONE: &str = concat!(
                "/api/am/admin/v4/throttling/policies/",
                $path,
                "/{policyId}"
            );
            const ALL: &str = concat!("/api/am/admin/v4/throttling/policies/", $path);
            /// A limit has what its type is about. The contract has the last six for subscription policies.
            const REQUIRED: &[&str] = &[
                "policyName",
                "defaultLimit",
                "defaultLimit.type",
                "defaultLimit.requestCount",
                "defaultLimit.requestCount.timeUnit",
                "defaultLimit.requestCount.unitTime",
                "defaultLimit.requestCount.requestCount",
                "defaultLimit.bandwidth",
                "defaultLimit.bandwidth.timeUnit",
                "defaultLimit.bandwidth.unitTime",
                "defaultLimit.bandwidth.dataAmount",
                "defaultLimit.bandwidth.dataUnit",
                $($more,)*
                "monetization.monetizationPlan",
                "monetization.properties",
                "customAttributes[].name",
                "customAttributes[].value",
                "permissions.permissionType",
                "permissions.roles",
            ];

            pub(in super::super) static LIST: Operation =
                Operation::new("GET", ALL, VIEW, BodyKind::Empty);
            pub(in super::super) static CREATE: Operation =
                Operation::new("POST", ALL, MANAGE, BodyKind::Json)
                    .unique(&["policyName"])
                    .required(REQUIRED);
            pub(in super::super) static GET: Operation =
                Operation::new("GET", ONE, VIEW, BodyKind::Empty);
            pub(in super::super) static UPDATE: Operation =
                Operation::new("PUT", ONE, MANAGE, BodyKind::Json)
                    .if_match()
                    .required(REQUIRED);
            pub(in super::super) static DELETE: Operation =
                Operation::new("DELETE", ONE, MANAGE, BodyKind::Empty).if_match();

            pub(super) fn mount(router: Router<Services>) -> Router<Services> {
                let router = LIST.mount(router, |services, caller| list(LEVEL, services, caller));
                let router = CREATE.mount(router, |services, caller, fields| {
                    create(LEVEL, services, caller, fields)
                });
                let router = GET.mount(router, |services, caller, id| {
                    get(LEVEL, services, caller, id)
                });
                let router = UPDATE.mount(router, |services, caller, id, headers, fields| {
                    update(LEVEL, services, caller, id, headers, fields)
                });
                DELETE.mount(router, |services, caller, id, headers| {
                    delete(LEVEL, services, caller, id, headers)
                })
            }
        }
    };
}

level!(subscription, PolicyLevel::Subscription, "subscription");
level!(application, PolicyLevel::Application, "application");
level!(
    advanced,
    PolicyLevel::Api,
    "advanced",
    "conditionalGroups[].conditions",
    "conditionalGroups[].conditions[].type",
    "conditionalGroups[].conditions[].ipCondition",
    "conditionalGroups[].conditions[].ipCondition.specificIP",
    "conditionalGroups[].limit",
    "conditionalGroups[].limit.type",
    "conditionalGroups[].limit.requestCount",
    "conditionalGroups[].limit.requestCount.timeUnit",
    "conditionalGroups[].limit.requestCount.unitTime",
    "conditionalGroups[].limit.requestCount.requestCount",
    "conditionalGroups[].limit.bandwidth",
    "conditionalGroups[].limit.bandwidth.timeUnit",
    "conditionalGroups[].limit.bandwidth.unitTime",
    "conditionalGroups[].limit.bandwidth.dataAmount",
    "conditionalGroups[].limit.bandwidth.dataUnit",
);

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    advanced::mount(application::mount(subscription::mount(router)))
}

async fn list(
    level: PolicyLevel,
    State(services): State<Services>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let found = admin(&services)?.policies(&caller.tenant, level).await;
    let list: Vec<_> = found.map_err(answer)?.iter().map(write).collect();
    Ok(seen(json!({ "count": list.len(), "list": list })))
}

async fn create(
    level: PolicyLevel,
    State(services): State<Services>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, ApiError> {
    let policy = read(level, &caller.tenant, fields)?;
    let changed = admin(&services)?.create_policy(policy).await;
    // At every level the same member.
    let changed = changed.map_err(answer_to(&subscription::CREATE))?;
    let mut response = located(level, &changed.value);
    *response.status_mut() = StatusCode::CREATED;
    Ok(with_applied(response, &changed.applied))
}

/// A policy with where it is and its tag.
fn located(level: PolicyLevel, policy: &Policy) -> Response {
    let level = match level {
        PolicyLevel::Api => "advanced",
        level => level.as_str(),
    };
    let location = format!("/api/am/admin/v4/throttling/policies/{level}/{}", policy.id);
    let response = ([(header::LOCATION, location)], Json(write(policy))).into_response();
    entity_tag::tagged(response, policy.row_version)
}

async fn get(
    level: PolicyLevel,
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let policy = find(level, &services, &caller, &id).await?;
    let response = Json(write(&policy)).into_response();
    Ok(entity_tag::tagged(response, policy.row_version))
}

async fn update(
    level: PolicyLevel,
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    let known = find(level, &services, &caller, &id).await?;
    let mut policy = read(level, &caller.tenant, fields)?;
    if policy.name != known.name {
        return Err(ApiError::bad_field("policyName", "cannot be changed"));
    }
    policy.id = known.id;
    policy.row_version = entity_tag::met(&headers, known.row_version)?.unwrap_or(0);
    let changed = admin(&services)?.update_policy(policy).await;
    let changed = changed.map_err(answer)?;
    let response = located(level, &changed.value);
    Ok(with_applied(response, &changed.applied))
}

async fn delete(
    level: PolicyLevel,
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut known = find(level, &services, &caller, &id).await?;
    known.row_version = entity_tag::met(&headers, known.row_version)?.unwrap_or(0);
    let changed = admin(&services)?.delete_policy(known).await;
    let changed = changed.map_err(answer_about(&["policyId"]))?;
    Ok(with_applied(
        StatusCode::OK.into_response(),
        &changed.applied,
    ))
}

async fn find(
    level: PolicyLevel,
    services: &Services,
    caller: &Caller,
    id: &str,
) -> Result<Policy, ApiError> {
    let found = admin(services)?.policy(&caller.tenant, level, id).await;
    found.map_err(answer)
}
