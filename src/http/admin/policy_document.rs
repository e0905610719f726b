//! Throttling policies as the contract shows them (`SubscriptionThrottlePolicy`,
//! `ApplicationThrottlePolicy`, `AdvancedThrottlePolicy`).

use serde_json::{Map, Value, json};

use domain::address::AddressRange;
use domain::policy::{
    Condition, ConditionTest, ConditionalGroup, Limit, Policy, PolicyLevel, QuotaUnit, TimeUnit,
    UNLIMITED,
};

use super::{policy_kept, policy_options, promises};
use crate::body::Fields;
use crate::error::ApiError;

/// The most units of a limit: what a 64-bit counter holds with room to spare.
const MOST_UNITS: i64 = 1 << 53;
/// The most units of time of a window.
const MOST_TIME: i64 = 1_000;
/// The members that hold a limit of one type each; those of other types would be dropped.
const LIMITS: [&str; 4] = ["requestCount", "bandwidth", "eventCount", "aiApiQuota"];
/// The members that hold a condition of another type than the one that is in force.
const OTHER_CONDITIONS: [&str; 3] = [
    "headerCondition",
    "queryParameterCondition",
    "jwtClaimsCondition",
];
/// The most conditional groups, and conditions in one.
const MOST_GROUPS: usize = 50;

/// Reads a policy; id and row version are new.
pub(super) fn read(
    level: PolicyLevel,
    tenant: &str,
    mut fields: Fields,
) -> Result<Policy, ApiError> {
    policy_kept::check(&mut fields)?;
    let name = read_name(&mut fields)?;
    let limit = fields.object("defaultLimit")?;
    let limit = limit.ok_or_else(|| ApiError::bad_field("defaultLimit", "is required"))?;
    let limit = read_limit("defaultLimit", limit)?;
    let burst = match level {
        PolicyLevel::Subscription => read_burst("", &mut fields)?,
        PolicyLevel::Application => match fields.object("burstLimit")? {
            Some(mut burst) => read_burst("burstLimit.", &mut burst)?,
            None => None,
        },
        PolicyLevel::Api => None,
    };
    let groups = read_groups(level, &name, &mut fields)?;
    let display_name = fields.text("displayName", 512)?;
    let description = fields.text("description", 1_024)?.unwrap_or_default();
    let stop_on_quota_reach = match level {
        PolicyLevel::Subscription => fields.flag("stopOnQuotaReach")?.unwrap_or(true),
        // Not of these contracts: their quotas always stop.
        PolicyLevel::Application | PolicyLevel::Api => {
            fields.flag("stopOnQuotaReach")?;
            true
        }
    };
    for read_only in ["policyId", "isDeployed", "type"] {
        fields.take(read_only);
    }
    let limit = if name == UNLIMITED {
        promises::refuse_limit(&limit, burst.as_ref())?;
        None
    } else {
        Some(limit)
    };
    policy_kept::bounded(&fields)?;
    let extra = fields.rest();
    promises::refuse(level, &extra)?;
    let options = policy_options::read(&extra)?;
    Ok(Policy {
        id: uuid::Uuid::new_v4().to_string(),
        tenant: tenant.to_owned(),
        level,
        display_name: display_name.unwrap_or_else(|| name.clone()),
        name,
        description,
        limit,
        burst,
        stop_on_quota_reach,
        groups,
        options,
        extra: Value::Object(extra).to_string(),
        row_version: 1,
    })
}

/// The conditional groups: of advanced policies that limit something.
fn read_groups(
    level: PolicyLevel,
    name: &str,
    fields: &mut Fields,
) -> Result<Vec<ConditionalGroup>, ApiError> {
    let listed = fields.list("conditionalGroups")?.unwrap_or_default();
    let refused = |problem: &str| Err(ApiError::bad_field("conditionalGroups", problem));
    if listed.len() > MOST_GROUPS {
        return refused(&format!("must not hold more than {MOST_GROUPS} groups"));
    }
    if !listed.is_empty() && level != PolicyLevel::Api {
        return refused("are for advanced policies");
    }
    if !listed.is_empty() && name == UNLIMITED {
        return refused("would never count: Unlimited limits nothing, make a policy of its own");
    }
    let groups = listed.into_iter().enumerate();
    groups
        .map(|(index, group)| read_group(&format!("conditionalGroups[{index}]"), group))
        .collect()
}

fn read_name(fields: &mut Fields) -> Result<String, ApiError> {
    let name = fields.required_text("policyName", 60)?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.chars().all(good) {
        return Ok(name);
    }
    let problem = "must be letters, digits, _ - or .";
    Err(ApiError::bad_field("policyName", problem))
}

/// Writes a policy.
pub(super) fn write(policy: &Policy) -> Value {
    let (kind, level) = match policy.level {
        PolicyLevel::Subscription => ("SubscriptionThrottlePolicy", "subscription"),
        PolicyLevel::Application => ("ApplicationThrottlePolicy", "application"),
        PolicyLevel::Api => ("AdvancedThrottlePolicy", "advanced"),
    };
    let mut members = match serde_json::from_str(&policy.extra) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("policyId", policy.id.as_str().into());
    put("policyName", policy.name.as_str().into());
    put("displayName", policy.display_name.as_str().into());
    put("description", policy.description.as_str().into());
    put("isDeployed", true.into());
    put("type", kind.into());
    put("defaultLimit", write_limit(policy.limit.as_ref()));
    let burst = |limit: &Limit| (limit.units, limit.time_unit.as_str());
    match (level, policy.burst.as_ref().map(burst)) {
        ("subscription", burst) => {
            put("rateLimitCount", burst.map_or(0, |(units, _)| units).into());
            if let Some((_, unit)) = burst {
                put("rateLimitTimeUnit", unit.into());
            }
            put("stopOnQuotaReach", policy.stop_on_quota_reach.into());
        }
        ("application", Some((units, unit))) => {
            put(
                "burstLimit",
                json!({"rateLimitCount": units, "rateLimitTimeUnit": unit}),
            );
        }
        ("advanced", _) => {
            put(
                "conditionalGroups",
                policy.groups.iter().map(write_group).collect(),
            );
        }
        _ => {}
    }
    Value::Object(members)
}

fn read_limit(path: &str, mut fields: Fields) -> Result<Limit, ApiError> {
    let kind = fields.required_text("type", 50)?;
    let (member, quota) = match kind.as_str() {
        "REQUESTCOUNTLIMIT" => ("requestCount", QuotaUnit::Requests),
        "BANDWIDTHLIMIT" => ("bandwidth", QuotaUnit::Bytes),
        other => {
            let problem = if other == "EVENTCOUNTLIMIT" {
                "is not in force on this platform, there are no events without streaming APIs"
            } else {
                "must be REQUESTCOUNTLIMIT or BANDWIDTHLIMIT"
            };
            return Err(ApiError::bad_field(&format!("{path}.type"), problem));
        }
    };
    let inner = fields.object(member)?;
    let others = LIMITS.into_iter().filter(|limit| *limit != member);
    let others: Vec<_> = others.collect();
    let problem = format!("is no part of a limit of type {kind}, leave it out");
    fields.without(&others, &problem)?;
    let path = format!("{path}.{member}");
    let mut inner = inner.ok_or_else(|| ApiError::bad_field(&path, "is required"))?;
    let amount = if quota == QuotaUnit::Bytes {
        "dataAmount"
    } else {
        member
    };
    let units = number(&path, amount, &mut inner, MOST_UNITS)?;
    let units = if quota == QuotaUnit::Bytes {
        let unit = inner.required_text("dataUnit", 10)?;
        let factor = match unit.to_ascii_uppercase().as_str() {
            "B" => 1,
            "KB" => 1 << 10,
            "MB" => 1 << 20,
            "GB" => 1 << 30,
            _ => {
                let field = format!("{path}.dataUnit");
                return Err(ApiError::bad_field(&field, "must be B, KB, MB or GB"));
            }
        };
        let bytes = units
            .checked_mul(factor)
            .filter(|bytes| *bytes <= MOST_UNITS);
        let field = format!("{path}.dataAmount");
        bytes.ok_or_else(|| ApiError::bad_field(&field, "is too large"))?
    } else {
        units
    };
    Ok(Limit {
        units: u64::try_from(units).unwrap_or(0),
        quota,
        unit_time: u32::try_from(number(&path, "unitTime", &mut inner, MOST_TIME)?).unwrap_or(1),
        time_unit: time_unit(
            &format!("{path}.timeUnit"),
            &inner.required_text("timeUnit", 20)?,
        )?,
    })
}

fn number(path: &str, name: &str, fields: &mut Fields, most: i64) -> Result<i64, ApiError> {
    let field = format!("{path}.{name}");
    match fields.number(name)? {
        None => Err(ApiError::bad_field(&field, "is required")),
        Some(number) if (1..=most).contains(&number) => Ok(number),
        Some(_) => {
            let problem = format!("must be a whole number from 1 to {most}");
            Err(ApiError::bad_field(&field, problem))
        }
    }
}

fn time_unit(field: &str, word: &str) -> Result<TimeUnit, ApiError> {
    TimeUnit::parse(word).ok_or_else(|| {
        ApiError::bad_field(field, "must be sec, min, hour, day, week, month or year")
    })
}

fn read_burst(path: &str, fields: &mut Fields) -> Result<Option<Limit>, ApiError> {
    let (count, unit) = (
        fields.number("rateLimitCount")?,
        fields.text("rateLimitTimeUnit", 20)?,
    );
    let (units, unit) = match (count, unit) {
        (None | Some(0 | -1), _) => return Ok(None),
        (Some(units), unit) => (units, unit.unwrap_or_default()),
    };
    if !(1..=MOST_UNITS).contains(&units) {
        let field = format!("{path}rateLimitCount");
        return Err(ApiError::bad_field(
            &field,
            "must be a whole number of at least 1",
        ));
    }
    Ok(Some(Limit {
        units: units.unsigned_abs(),
        quota: QuotaUnit::Requests,
        unit_time: 1,
        time_unit: time_unit(&format!("{path}rateLimitTimeUnit"), &unit)?,
    }))
}

fn write_limit(limit: Option<&Limit>) -> Value {
    let Some(limit) = limit else {
        return json!({
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": {
                "timeUnit": "min", "unitTime": 1, "requestCount": promises::SHOWN_UNLIMITED,
            },
        });
    };
    let time = limit.time_unit.as_str();
    match limit.quota {
        QuotaUnit::Requests => json!({
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": {
                "timeUnit": time, "unitTime": limit.unit_time, "requestCount": limit.units,
            },
        }),
        QuotaUnit::Events => json!({
            "type": "EVENTCOUNTLIMIT",
            "eventCount": {
                "timeUnit": time, "unitTime": limit.unit_time, "eventCount": limit.units,
            },
        }),
        QuotaUnit::Bytes => {
            let (amount, unit) = match limit.units {
                units if units % (1 << 20) == 0 => (units >> 20, "MB"),
                units if units % (1 << 10) == 0 => (units >> 10, "KB"),
                units => (units, "B"),
            };
            json!({
                "type": "BANDWIDTHLIMIT",
                "bandwidth": {
                    "timeUnit": time, "unitTime": limit.unit_time,
                    "dataAmount": amount, "dataUnit": unit,
                },
            })
        }
    }
}

fn read_group(path: &str, group: Value) -> Result<ConditionalGroup, ApiError> {
    let Value::Object(members) = group else {
        return Err(ApiError::bad_field(path, "must be an object"));
    };
    let mut fields = Fields::from_map(members).at(path);
    let listed = fields.list("conditions")?.unwrap_or_default();
    if listed.is_empty() || listed.len() > MOST_GROUPS {
        let problem = format!("must hold 1 to {MOST_GROUPS} conditions");
        return Err(ApiError::bad_field(&format!("{path}.conditions"), problem));
    }
    let conditions = listed.into_iter().enumerate().map(|(index, condition)| {
        read_condition(&format!("{path}.conditions[{index}]"), condition)
    });
    let conditions = conditions.collect::<Result<_, _>>()?;
    let limit = fields.object("limit")?;
    let limit =
        limit.ok_or_else(|| ApiError::bad_field(&format!("{path}.limit"), "is required"))?;
    Ok(ConditionalGroup {
        description: fields.text("description", 1_024)?.unwrap_or_default(),
        conditions,
        limit: read_limit(&format!("{path}.limit"), limit)?,
    })
}

fn read_condition(path: &str, condition: Value) -> Result<Condition, ApiError> {
    let Value::Object(members) = condition else {
        return Err(ApiError::bad_field(path, "must be an object"));
    };
    let mut fields = Fields::from_map(members).at(path);
    let kind = fields.required_text("type", 50)?;
    if kind != "IPCONDITION" {
        let known = [
            "HEADERCONDITION",
            "QUERYPARAMETERCONDITION",
            "JWTCLAIMSCONDITION",
        ];
        let problem = if known.contains(&kind.as_str()) {
            "is not in force on this platform, use IPCONDITION"
        } else {
            "must be IPCONDITION"
        };
        return Err(ApiError::bad_field(&format!("{path}.type"), problem));
    }
    let problem = "is no part of an IPCONDITION, leave it out";
    fields.without(&OTHER_CONDITIONS, problem)?;
    let path = format!("{path}.ipCondition");
    let inner = fields.object("ipCondition")?;
    let mut inner = inner.ok_or_else(|| ApiError::bad_field(&path, "is required"))?;
    let range = match inner.text("ipConditionType", 20)?.as_deref() {
        None | Some("IPSPECIFIC") => false,
        Some("IPRANGE") => true,
        Some(_) => {
            let field = format!("{path}.ipConditionType");
            return Err(ApiError::bad_field(&field, "must be IPSPECIFIC or IPRANGE"));
        }
    };
    let mut address = |name: &str| -> Result<String, ApiError> {
        let text = inner.required_text(name, 64)?;
        let parsed = text.parse::<std::net::IpAddr>();
        let field = format!("{path}.{name}");
        let address = parsed.map_err(|_| ApiError::bad_field(&field, "must be an IP address"))?;
        Ok(address.to_string())
    };
    let test = if range {
        let (from, to) = (address("startingIP")?, address("endingIP")?);
        if AddressRange::between(&from, &to).is_none() {
            let field = format!("{path}.endingIP");
            let problem = "must be of the same kind as startingIP and not lie before it";
            return Err(ApiError::bad_field(&field, problem));
        }
        ConditionTest::AddressRange(from, to)
    } else {
        ConditionTest::Address(address("specificIP")?)
    };
    // What the other type of address is given by is of no use, but is no other thing.
    for rest in ["specificIP", "startingIP", "endingIP"] {
        inner.text(rest, 64)?;
    }
    Ok(Condition {
        invert: fields.flag("invertCondition")?.unwrap_or(false),
        test,
    })
}

fn write_group(group: &ConditionalGroup) -> Value {
    json!({
        "description": group.description,
        "conditions": group.conditions.iter().map(write_condition).collect::<Vec<_>>(),
        "limit": write_limit(Some(&group.limit)),
    })
}

fn write_condition(condition: &Condition) -> Value {
    let (kind, member, inner) = match &condition.test {
        ConditionTest::Address(address) => (
            "IPCONDITION",
            "ipCondition",
            json!({"ipConditionType": "IPSPECIFIC", "specificIP": address}),
        ),
        ConditionTest::AddressRange(from, to) => (
            "IPCONDITION",
            "ipCondition",
            json!({"ipConditionType": "IPRANGE", "startingIP": from, "endingIP": to}),
        ),
        ConditionTest::Header(name, value) => (
            "HEADERCONDITION",
            "headerCondition",
            json!({"headerName": name, "headerValue": value}),
        ),
        ConditionTest::Query(name, value) => (
            "QUERYPARAMETERCONDITION",
            "queryParameterCondition",
            json!({"parameterName": name, "parameterValue": value}),
        ),
        ConditionTest::Claim(name, value) => (
            "JWTCLAIMSCONDITION",
            "jwtClaimsCondition",
            json!({"claimUrl": name, "attribute": value}),
        ),
    };
    json!({"type": kind, "invertCondition": condition.invert, member: inner})
}
