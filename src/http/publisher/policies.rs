//! `/throttling-policies`, and the business plans that an API offers.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use domain::policy::{Limit, Policy, PolicyLevel, QuotaUnit, SUBSCRIPTIONLESS, UNAUTHENTICATED};

use super::{json as answer, publisher, tagged, without_nulls};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::Page;
use crate::plan::{attributes, in_data_units, tier_plan};
use crate::services::Services;

pub(super) static LIST: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/throttling-policies/{policyLevel}",
    Access::Scopes(&["apim:api_view", "apim:tier_view", "apim:tier_manage"]),
    BodyKind::Empty,
)
.query(&["limit", "offset"]);
pub(super) static GET: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/throttling-policies/{policyLevel}/{policyName}",
    Access::Scopes(&["apim:api_view", "apim:tier_view", "apim:tier_manage"]),
    BodyKind::Empty,
);
pub(super) static OF_API: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/apis/{apiId}/subscription-policies",
    Access::Scopes(&["apim:api_view", "apim:api_manage"]),
    BodyKind::Empty,
);

pub(super) fn routes(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = GET.mount(router, get);
    OF_API.mount(router, of_api)
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    page: Page,
    Path(word): Path<String>,
) -> Result<Response, ApiError> {
    let policies = offered(&services, &caller, &word).await?;
    let total = policies.len();
    let shown = policies.iter().skip(page.offset).take(page.limit);
    let shown: Vec<Value> = shown.map(policy_value).collect();
    let path = format!("/throttling-policies/{word}?");
    Ok(answer(page.answer(&shown, total, &path)))
}

async fn get(
    State(services): State<Services>,
    caller: Caller,
    Path((word, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let policies = offered(&services, &caller, &word).await?;
    let found = policies.iter().find(|policy| policy.name == name);
    let found = found.ok_or_else(|| ApiError::not_found("throttling policy", &name))?;
    Ok(tagged(answer(policy_value(found)), found.row_version))
}

async fn of_api(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let api = publisher(&services)?.get(&caller.tenant, &id).await?;
    let plans = offered(&services, &caller, PolicyLevel::Subscription.as_str()).await?;
    let chosen = plans
        .iter()
        .filter(|plan| api.policies.contains(&plan.name));
    Ok(answer(Value::Array(chosen.map(policy_value).collect())))
}

/// The policies of a level that a person may choose from.
async fn offered(
    services: &Services,
    caller: &Caller,
    word: &str,
) -> Result<Vec<Policy>, ApiError> {
    let level = match word {
        // The second spelling is the contract's own.
        "subscription" | "subcription" => PolicyLevel::Subscription,
        "api" => PolicyLevel::Api,
        _ => return Err(ApiError::not_found("policy level", word)),
    };
    let policies = publisher(services)?.policies(&caller.tenant, level).await?;
    let hidden = |name: &str| name == UNAUTHENTICATED || name == SUBSCRIPTIONLESS;
    let shown = policies.into_iter().filter(|policy| !hidden(&policy.name));
    Ok(shown.collect())
}

fn policy_value(policy: &Policy) -> Value {
    let limit = policy.limit.as_ref();
    let bytes = limit.filter(|limit| limit.quota == QuotaUnit::Bytes);
    let bytes = bytes.map(|limit| in_data_units(limit.units));
    let units = |limit: &Limit| bytes.map_or(limit.units, |(amount, _)| amount);
    without_nulls(json!({
        "name": policy.name,
        "displayName": policy.display_name,
        "description": policy.description,
        "policyLevel": policy.level.as_str(),
        "attributes": attributes(policy),
        "requestCount": limit.map_or(i64::from(i32::MAX), |limit| i64::try_from(units(limit)).unwrap_or(i64::MAX)),
        "dataUnit": bytes.map(|(_, unit)| unit),
        "unitTime": limit.map_or(0, |limit| limit.unit_time),
        "timeUnit": limit.map(|limit| limit.time_unit.as_str()),
        "rateLimitCount": policy.burst.map_or(0, |burst| burst.units),
        "rateLimitTimeUnit": policy.burst.map(|burst| burst.time_unit.as_str()),
        "quotaPolicyType": bytes.map_or("REQUESTCOUNT", |_| "BANDWIDTHVOLUME"),
        "tierPlan": tier_plan(policy),
        "stopOnQuotaReach": policy.stop_on_quota_reach,
        "monetizationProperties": {},
    }))
}
