//! Members of an API whose values would promise a protection that does not exist yet.

use serde_json::Value;

use crate::body::Fields;
use crate::error::ApiError;

/// Refuses values that promise what is not there yet (DESIGN §8); the members stay in place.
pub(super) fn refuse(fields: &mut Fields) -> Result<(), ApiError> {
    let mut kept = Vec::new();
    for (member, allowed) in [
        ("type", &["HTTP"][..]),
        ("visibility", &["PUBLIC"]),
        ("accessControl", &["NONE"]),
        ("endpointImplementationType", &["ENDPOINT"]),
    ] {
        let Some(value) = fields.text(member, 100)? else {
            continue;
        };
        if !allowed.contains(&value.as_str()) {
            let problem = format!("{value} is not supported yet, use {}", allowed.join(" or "));
            return Err(ApiError::bad_field(member, problem));
        }
        kept.push((member, Value::String(value)));
    }
    if fields.flag("enableSchemaValidation")? == Some(true) {
        return Err(ApiError::bad_field(
            "enableSchemaValidation",
            "is not supported yet, use false",
        ));
    }
    kept.push(("enableSchemaValidation", Value::Bool(false)));
    for member in [
        "mediationPolicies",
        "apiPolicies",
        "threatProtectionPolicies",
        "maxTps",
    ] {
        let Some(value) = fields.take(member) else {
            continue;
        };
        if !is_hollow(&value) {
            return Err(ApiError::bad_field(
                member,
                "is not supported yet, leave it empty",
            ));
        }
        kept.push((member, value));
    }
    if let Some(managers) = fields.texts("keyManagers", 255)? {
        let known = |name: &String| name == "all" || name == "Resident Key Manager";
        if !managers.iter().all(known) {
            let problem = "may only be all or Resident Key Manager";
            return Err(ApiError::bad_field("keyManagers", problem));
        }
        kept.push(("keyManagers", Value::from(managers)));
    }
    for (member, value) in kept {
        fields.put(member, value);
    }
    Ok(())
}

/// Whether a value holds nothing but empty lists, empty objects and nulls.
pub(super) fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().all(is_hollow),
        Value::Object(members) => members.values().all(is_hollow),
        _ => false,
    }
}
