//! `/throttling-policies/{policyLevel}`: the plans that may be chosen.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use domain::api::SUPER_TENANT;
use domain::policy::{Policy, PolicyLevel, QuotaUnit, SUBSCRIPTIONLESS, UNAUTHENTICATED};

use super::portal;
use crate::auth::MaybeCaller;
use crate::document::{present, seen};
use crate::error::ApiError;
use crate::failure::answer;
use crate::operation::{Access, BodyKind, Operation};
use crate::page::Page;
use crate::plan::{attributes, in_data_units, tier_plan};
use crate::services::Services;

pub(super) static LIST: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/throttling-policies/{policyLevel}",
    Access::Anybody,
    BodyKind::Empty,
)
.query(&["limit", "offset"]);
pub(super) static GET: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/throttling-policies/{policyLevel}/{policyId}",
    Access::Anybody,
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
) -> Result<Response, ApiError> {
    let all = offered(&services, caller, &level).await?;
    let total = all.len();
    let shown = all.iter().skip(page.offset).take(page.limit).map(write);
    let path = format!("/api/am/devportal/v3/throttling-policies/{level}?");
    Ok(seen(page.answer(&shown.collect::<Vec<_>>(), total, &path)))
}

async fn get(
    State(services): State<Services>,
    caller: MaybeCaller,
    Path((level, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let all = offered(&services, caller, &level).await?;
    let found = all
        .iter()
        .find(|policy| policy.name == name || policy.id == name);
    let found = found.ok_or_else(|| ApiError::not_found("throttling policy", &name))?;
    Ok(seen(write(found)))
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
    let (units, time, unit) = policy
        .limit
        .as_ref()
        .map_or((2_147_483_647, 1, "min"), |limit| {
            (limit.units, limit.unit_time, limit.time_unit.as_str())
        });
    let quota = policy
        .limit
        .map_or(QuotaUnit::Requests, |limit| limit.quota);
    let (amount, data_unit, kind) = match quota {
        QuotaUnit::Bytes => {
            let (amount, data_unit) = in_data_units(units);
            (amount, Some(data_unit), Some("BANDWIDTHVOLUME"))
        }
        QuotaUnit::Requests => (units, None, Some("REQUESTCOUNT")),
        // The contract has no word for events.
        QuotaUnit::Events => (units, None, None),
    };
    let level = match policy.level {
        PolicyLevel::Application => "application",
        PolicyLevel::Subscription | PolicyLevel::Api => "subscription",
    };
    present(json!({
        "name": policy.name,
        "displayName": policy.display_name,
        "description": policy.description,
        "policyLevel": level,
        "attributes": attributes(policy),
        "requestCount": amount,
        "dataUnit": data_unit,
        "unitTime": time,
        "timeUnit": unit,
        "rateLimitCount": policy.burst.as_ref().map_or(0, |burst| burst.units),
        "rateLimitTimeUnit": policy.burst.as_ref().map(|burst| burst.time_unit.as_str()),
        "quotaPolicyType": kind,
        "tierPlan": tier_plan(policy),
        "stopOnQuotaReach": policy.stop_on_quota_reach,
    }))
}

#[cfg(test)]
mod tests {
    use domain::policy::{Limit, TimeUnit};

    use super::*;

    #[test]
    fn a_plan_of_bytes_says_its_unit_and_no_plan_holds_a_null() {
        let mut plan = Policy::defaults("t", String::new).remove(0);
        for (quota, units, shown) in [
            (QuotaUnit::Requests, 5, json!([5, null, "REQUESTCOUNT"])),
            (
                QuotaUnit::Bytes,
                1 << 10,
                json!([1, "KB", "BANDWIDTHVOLUME"]),
            ),
            (
                QuotaUnit::Bytes,
                3 << 30,
                json!([3, "GB", "BANDWIDTHVOLUME"]),
            ),
            (
                QuotaUnit::Bytes,
                1_025,
                json!([1_025, "B", "BANDWIDTHVOLUME"]),
            ),
            (QuotaUnit::Events, 7, json!([7, null, null])),
        ] {
            plan.limit = Some(Limit {
                units,
                quota,
                unit_time: 1,
                time_unit: TimeUnit::Min,
            });
            let written = write(&plan);
            let found = ["requestCount", "dataUnit", "quotaPolicyType"];
            assert_eq!(json!(found.map(|name| written[name].clone())), shown);
            let members = written.as_object().unwrap();
            assert!(!members.values().any(Value::is_null), "{written}");
        }
    }
}
