//! Deny policies as the contract shows them (`BlockingCondition`).

use std::net::IpAddr;

use serde_json::{Value, json};

use domain::deny_policy::{DenyPolicy, DenyTarget};

use crate::body::Fields;
use crate::error::ApiError;

/// Reads a deny policy; its id is new.
pub(super) fn read(tenant: &str, mut fields: Fields) -> Result<DenyPolicy, ApiError> {
    let kind = fields.required_text("conditionType", 20)?;
    let value = fields.take("conditionValue");
    let value = value.ok_or_else(|| ApiError::bad_field("conditionValue", "is required"))?;
    let target = match kind.as_str() {
        "API" => DenyTarget::Api(named(&value, "/context/version", |text| {
            text.starts_with('/')
        })?),
        "APPLICATION" => DenyTarget::Application(named(&value, "owner:application", |text| {
            text.contains(':')
        })?),
        "USER" => DenyTarget::User(named(&value, "a user name", |_| true)?),
        "IP" => {
            let mut parts = parts(value)?;
            DenyTarget::Address {
                address: address(&mut parts, "fixedIp")?,
                invert: parts.flag("invert")?.unwrap_or(false),
            }
        }
        "IPRANGE" => {
            let mut parts = parts(value)?;
            DenyTarget::AddressRange {
                from: address(&mut parts, "startingIp")?,
                to: address(&mut parts, "endingIp")?,
                invert: parts.flag("invert")?.unwrap_or(false),
            }
        }
        _ => {
            let problem = "must be API, APPLICATION, IP, IPRANGE or USER";
            return Err(ApiError::bad_field("conditionType", problem));
        }
    };
    Ok(DenyPolicy {
        id: uuid::Uuid::new_v4().to_string(),
        tenant: tenant.to_owned(),
        target,
        active: fields.flag("conditionStatus")?.unwrap_or(true),
    })
}

/// Writes a deny policy.
pub(super) fn write(policy: &DenyPolicy) -> Value {
    let value = match &policy.target {
        DenyTarget::Api(text) | DenyTarget::Application(text) | DenyTarget::User(text) => {
            json!(text)
        }
        DenyTarget::Address { address, invert } => json!({"fixedIp": address, "invert": invert}),
        DenyTarget::AddressRange { from, to, invert } => {
            json!({"startingIp": from, "endingIp": to, "invert": invert})
        }
    };
    json!({
        "conditionId": policy.id,
        "conditionType": policy.target.kind(),
        "conditionValue": value,
        "conditionStatus": policy.active,
    })
}

fn named(value: &Value, form: &str, good: impl Fn(&str) -> bool) -> Result<String, ApiError> {
    match value.as_str() {
        Some(text) if !text.is_empty() && text.len() <= 512 && good(text) => Ok(text.to_owned()),
        _ => Err(ApiError::bad_field(
            "conditionValue",
            format!("must be {form}"),
        )),
    }
}

fn parts(value: Value) -> Result<Fields, ApiError> {
    match value {
        Value::Object(members) => Ok(Fields::from_map(members)),
        _ => Err(ApiError::bad_field("conditionValue", "must be an object")),
    }
}

fn address(parts: &mut Fields, name: &str) -> Result<String, ApiError> {
    let field = format!("conditionValue.{name}");
    let text = parts.text(name, 64)?;
    let address = text.and_then(|text| text.parse::<IpAddr>().ok());
    let address = address.ok_or_else(|| ApiError::bad_field(&field, "must be an IP address"))?;
    Ok(address.to_string())
}
