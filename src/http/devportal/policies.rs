//! `/throttling-policies/{policyLevel}`: the plans that may be chosen.

use axum::extract::{Path, State};
use axum::{Json, Router};
use serde_json::{Value, json};

use domain::api::SUPER_TENANT;
use domain::policy::{Policy, PolicyLevel, QuotaUnit, SUBSCRIPTIONLESS, UNAUTHENTICATED};

use super::portal;
use crate::auth::MaybeCaller;
use crate::error::ApiError;
use crate::failure::answer;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::Page;
use crate::services::Services;

const VIEW: Access = Access::Optional(&["apim:subscribe"]);

pub(super) static LIST: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/throttling-policies/{policyLevel}",
    VIEW,
    BodyKind::Empty,
);
pub(super) static GET: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/throttling-policies/{policyLevel}/{policyId}",
    VIEW,
    BodyKind::Empty,
);

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    GET.mount(router, get)
}

async fn list(
    State(services): State<Services>,
    caller: MaybeCaller,
    page: Page,
    Path(level): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let all = offered(&services, caller, &level).await?;
    let total = all.len();
    let shown = all.iter().skip(page.offset).take(page.limit).map(write);
    let path = format!("/api/am/devportal/v3/throttling-policies/{level}?");
    Ok(Json(page.answer(&shown.collect::<Vec<_>>(), total, &path)))
}

async fn get(
    State(services): State<Services>,
    caller: MaybeCaller,
    Path((level, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let all = offered(&services, caller, &level).await?;
    let found = all
        .iter()
        .find(|policy| policy.name == name || policy.id == name);
    let found = found.ok_or_else(|| ApiError::not_found("throttling policy", &name))?;
    Ok(Json(write(found)))
}

async fn offered(
    services: &Services,
    caller: MaybeCaller,
    level: &str,
) -> Result<Vec<Policy>, ApiError> {
    let level = match PolicyLevel::parse(level) {
        Some(level @ (PolicyLevel::Application | PolicyLevel::Subscription)) => level,
        _ => return Err(ApiError::not_found("policy level", level)),
    };
    let tenant = caller
        .0
        .map_or_else(|| SUPER_TENANT.to_owned(), |caller| caller.tenant);
    let all = portal(services)?
        .policies(&tenant, level)
        .await
        .map_err(answer)?;
    let hidden = [SUBSCRIPTIONLESS, UNAUTHENTICATED];
    let chosen = all
        .into_iter()
        .filter(|policy| !hidden.contains(&policy.name.as_str()));
    Ok(chosen.collect())
}

/// Writes a policy (`ThrottlingPolicy`).
pub(super) fn write(policy: &Policy) -> Value {
    let (units, time, unit, kind) =
        policy
            .limit
            .as_ref()
            .map_or((2_147_483_647, 1, "min", "REQUESTCOUNT"), |limit| {
                let kind = match limit.quota {
                    QuotaUnit::Bytes => "BANDWIDTHVOLUME",
                    QuotaUnit::Requests | QuotaUnit::Events => "REQUESTCOUNT",
                };
                (limit.units, limit.unit_time, limit.time_unit.as_str(), kind)
            });
    let level = match policy.level {
        PolicyLevel::Application => "application",
        PolicyLevel::Subscription | PolicyLevel::Api => "subscription",
    };
    json!({
        "name": policy.name,
        "displayName": policy.display_name,
        "description": policy.description,
        "policyLevel": level,
        "attributes": {},
        "requestCount": units,
        "unitTime": time,
        "timeUnit": unit,
        "rateLimitCount": policy.burst.as_ref().map_or(0, |burst| burst.units),
        "rateLimitTimeUnit": policy.burst.as_ref().map(|burst| burst.time_unit.as_str()),
        "quotaPolicyType": kind,
        "tierPlan": "FREE",
        "stopOnQuotaReach": policy.stop_on_quota_reach,
        "monetizationAttributes": null,
        "throttlingPolicyPermissions": null,
    })
}
