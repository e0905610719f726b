//! Deny policies as the contract shows them (`BlockingCondition`).

use std::net::IpAddr;

use serde_json::{Value, json};

use actors::key_manager::bare_name;
use domain::address::AddressRange;
use domain::deny_policy::{DenyPolicy, DenyTarget};

use crate::body::Fields;
use crate::error::ApiError;

/// Reads a deny policy; its id is new.
pub(super) fn read(tenant: &str, mut fields: Fields) -> Result<DenyPolicy, ApiError> {
    let kind = fields.required_text("conditionType", 20)?;
    let value = fields.take("conditionValue");
    let value = value.ok_or_else(|| ApiError::bad_field("conditionValue", "is required"))?;
    let target = match kind.as_str() {
        "API" => DenyTarget::Api(named(&value, "/context/version", api)?),
        "APPLICATION" => DenyTarget::Application(named(&value, "owner:application", application)?),
        "USER" => DenyTarget::User(named(&value, "a user name", user)?),
        "IP" => {
            let mut parts = parts(value)?;
            DenyTarget::Address {
                address: address(&mut parts, "fixedIp")?,
                invert: parts.flag("invert")?.unwrap_or(false),
            }
        }
        "IPRANGE" => {
            let mut parts = parts(value)?;
            let from = address(&mut parts, "startingIp")?;
            let to = address(&mut parts, "endingIp")?;
            if AddressRange::between(&from, &to).is_none() {
                let problem = "must be of the same kind as startingIp and not lie before it";
                return Err(ApiError::bad_field("conditionValue.endingIp", problem));
            }
            DenyTarget::AddressRange {
                from,
                to,
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
        application_id: None,
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

/// A name in the form that calls are compared with.
fn named(
    value: &Value,
    form: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Result<String, ApiError> {
    let text = value.as_str().map(str::trim);
    let short = text.filter(|text| text.len() <= 512 && !text.contains(char::is_control));
    let bad = || ApiError::bad_field("conditionValue", format!("must be {form}"));
    short.and_then(read).ok_or_else(bad)
}

/// A context with its version, without a slash at the end.
fn api(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let parts = text.strip_prefix('/')?.split('/').count();
    (parts >= 2).then(|| text.to_owned())
}

/// An owner, without the tenant, and a name.
fn application(text: &str) -> Option<String> {
    let (owner, name) = text.split_once(':')?;
    let owner = user(owner)?;
    (!name.is_empty()).then(|| format!("{owner}:{name}"))
}

/// A user name without the tenant, which tokens write beside it.
fn user(text: &str) -> Option<String> {
    let name = bare_name(text);
    (!name.is_empty()).then(|| name.to_owned())
}

fn parts(value: Value) -> Result<Fields, ApiError> {
    match value {
        Value::Object(members) => Ok(Fields::from_map(members).at("conditionValue")),
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
