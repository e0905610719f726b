//! Members of a policy whose values would promise what is not in force (DESIGN §8), and the policy
//! that is unlimited whatever it says.

use serde_json::{Map, Value};

use domain::policy::{Limit, PolicyLevel, QuotaUnit, TimeUnit};
use domain::role;

use crate::error::ApiError;

/// What WSO2 shows for "no limit": the largest number of requests a minute.
pub(super) const SHOWN_UNLIMITED: u64 = 2_147_483_647;

/// Refuses values that promise what is not there; `rest` are the members without an effect, which
/// are kept.
pub(super) fn refuse(level: PolicyLevel, rest: &Map<String, Value>) -> Result<(), ApiError> {
    for member in [
        "subscriberCount",
        "graphQLMaxDepth",
        "graphQLMaxComplexity",
        "rateLimitCount",
    ] {
        if !is_no_number(rest.get(member)) {
            let problem = match (member, level) {
                ("rateLimitCount", PolicyLevel::Application) => {
                    "is for subscription policies, use burstLimit"
                }
                ("rateLimitCount", _) => "is for subscription policies",
                _ => "is not in force on this platform, leave it out or use 0",
            };
            return Err(ApiError::bad_field(member, problem));
        }
    }
    match rest.get("burstLimit") {
        None | Some(Value::Null) => {}
        Some(Value::Object(burst)) if is_no_number(burst.get("rateLimitCount")) => {}
        Some(_) => {
            let problem = "is for application policies";
            return Err(ApiError::bad_field("burstLimit", problem));
        }
    }
    match rest.get("permissions") {
        None | Some(Value::Null) => Ok(()),
        Some(permissions) if is_for_everyone(permissions) => Ok(()),
        Some(_) => {
            let problem = "are not in force on this platform: a plan is open to everybody who may \
                           subscribe, leave them out";
            Err(ApiError::bad_field("permissions", problem))
        }
    }
}

/// Refuses a limit for the policy that everything takes for unlimited by its name.
pub(super) fn refuse_limit(limit: &Limit, burst: Option<&Limit>) -> Result<(), ApiError> {
    let shown = Limit {
        units: SHOWN_UNLIMITED,
        quota: QuotaUnit::Requests,
        unit_time: 1,
        time_unit: TimeUnit::Min,
    };
    if *limit == shown && burst.is_none() {
        return Ok(());
    }
    let problem = format!(
        "the policy Unlimited has no limit: leave it at {SHOWN_UNLIMITED} requests a minute, or \
         make another policy"
    );
    Err(ApiError::bad_field("defaultLimit", problem))
}

fn is_no_number(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(value) => matches!(value.as_i64(), Some(0 | -1)),
    }
}

/// Whether permissions leave nobody out.
fn is_for_everyone(permissions: &Value) -> bool {
    let everyone = |roles: &Vec<Value>| roles.iter().any(|role| role == role::EVERYONE);
    let kind = permissions.get("permissionType").and_then(Value::as_str);
    let roles = permissions.get("roles").and_then(Value::as_array);
    if !permissions.is_object() {
        return false;
    }
    match kind {
        Some("ALLOW") => roles.is_some_and(everyone),
        Some("NONE") | None => roles.is_none_or(Vec::is_empty),
        Some(_) => false,
    }
}
