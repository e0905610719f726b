//! Members of an API whose values would promise something that does not exist yet (DESIGN: a
//! protection that is not there is refused until it is).

use serde_json::Value;

use crate::body::Fields;
use crate::error::ApiError;

/// Members that must have one of these texts, if they are there.
const WORDS: [(&str, &[&str]); 8] = [
    ("type", &["HTTP"]),
    ("visibility", &["PUBLIC"]),
    ("accessControl", &["NONE"]),
    ("endpointImplementationType", &["ENDPOINT"]),
    ("audience", &["PUBLIC"]),
    (
        "subscriptionAvailability",
        &["CURRENT_TENANT", "ALL_TENANTS"],
    ),
    ("gatewayVendor", &["wso2"]),
    ("gatewayType", &["wso2/synapse"]),
];
/// Members that must be false, if they are there.
const FLAGS: [&str; 2] = ["enableSchemaValidation", "enableSubscriberVerification"];
/// Members whose member of this name must be false, if it is there.
const INNER_FLAGS: [(&str, &str); 2] =
    [("monetization", "enabled"), ("advertiseInfo", "advertised")];
/// Members that must hold nothing.
const EMPTY: [&str; 11] = [
    "mediationPolicies",
    "apiPolicies",
    "threatProtectionPolicies",
    "maxTps",
    "visibleRoles",
    "visibleTenants",
    "subscriptionAvailableTenants",
    "accessControlRoles",
    "organizationPolicies",
    "primaryProductionEndpointId",
    "primarySandboxEndpointId",
];

/// Refuses values that promise what is not there yet; the members stay in place.
pub(super) fn refuse(fields: &mut Fields) -> Result<(), ApiError> {
    for (member, allowed) in WORDS {
        let Some(value) = fields.text(member, 100)? else {
            continue;
        };
        if !value.is_empty() && !allowed.contains(&value.as_str()) {
            let problem = format!("{value} is not supported yet, use {}", allowed.join(" or "));
            return Err(ApiError::bad_field(member, problem));
        }
        fields.put(member, Value::String(value));
    }
    for member in FLAGS {
        if fields.flag(member)? == Some(true) {
            return Err(ApiError::bad_field(
                member,
                "is not supported yet, use false",
            ));
        }
        fields.put(member, Value::Bool(false));
    }
    for (member, flag) in INNER_FLAGS {
        let Some(value) = fields.take(member) else {
            continue;
        };
        if value.get(flag) == Some(&Value::Bool(true)) {
            let problem = format!("{flag} is not supported yet, use false");
            return Err(ApiError::bad_field(member, problem));
        }
        fields.put(member, value);
    }
    for member in EMPTY {
        let Some(value) = fields.take(member) else {
            continue;
        };
        if !is_hollow(&value) {
            let problem = "is not supported yet, leave it empty";
            return Err(ApiError::bad_field(member, problem));
        }
        fields.put(member, value);
    }
    organizations(fields)?;
    key_managers(fields)
}

/// WSO2 writes `all` or `none` where nothing is restricted.
fn organizations(fields: &mut Fields) -> Result<(), ApiError> {
    let member = "visibleOrganizations";
    let Some(names) = fields.texts(member, 255)? else {
        return Ok(());
    };
    if names.iter().any(|name| name != "all" && name != "none") {
        let problem = "is not supported yet, leave it empty";
        return Err(ApiError::bad_field(member, problem));
    }
    fields.put(member, Value::from(names));
    Ok(())
}

fn key_managers(fields: &mut Fields) -> Result<(), ApiError> {
    let Some(managers) = fields.texts("keyManagers", 255)? else {
        return Ok(());
    };
    let known = |name: &String| name == "all" || name == "Resident Key Manager";
    if managers.is_empty() || !managers.iter().all(known) {
        let problem = "must be all or Resident Key Manager";
        return Err(ApiError::bad_field("keyManagers", problem));
    }
    fields.put("keyManagers", Value::from(managers));
    Ok(())
}

/// Whether a value holds nothing but empty lists, objects and texts, and nulls.
pub(super) fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(is_hollow),
        Value::Object(members) => members.values().all(is_hollow),
        _ => false,
    }
}
