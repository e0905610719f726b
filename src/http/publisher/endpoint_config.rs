//! `endpointConfig` of an API: what of it decides where calls go.
//!
//! The whole object is kept and given back; kinds of endpoints and protections that do not exist
//! yet are refused.

use serde_json::{Map, Value};

use domain::api::Endpoints;

use super::promises::is_hollow;
use crate::error::ApiError;
use crate::shape::{LONG, SHORT};

const FIELD: &str = "endpointConfig";
/// The most bytes of an endpoint's URL.
const LONGEST_URL: usize = 8_192;

/// Reads the endpoints; secrets are taken out of what is kept.
pub(super) fn read(config: &mut Map<String, Value>) -> Result<Endpoints, ApiError> {
    match config.get("endpoint_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind == "http" || kind == "address" => {}
        Some(Value::String(_)) => return refused("endpoint_type", "is not served yet, use http"),
        Some(_) => return refused("endpoint_type", "must be a string"),
    }
    if let Some(security) = config.remove("endpoint_security") {
        let off = endpoint_security(security)?;
        config.insert("endpoint_security".to_owned(), off);
    }
    for member in ["production_failovers", "sandbox_failovers"] {
        if config.get(member).is_some_and(|list| !is_hollow(list)) {
            return refused(member, "are not served yet");
        }
    }
    let endpoints = Endpoints {
        production: url(config, "production_endpoints")?,
        sandbox: url(config, "sandbox_endpoints")?,
    };
    let mut members = config.iter();
    match members.find(|(_, value)| value.to_string().len() > LONG) {
        Some((name, _)) => refused(name, format!("must not exceed {LONG} bytes")),
        None => Ok(endpoints),
    }
}

/// The refusal of a member of the configuration.
fn refused<T>(member: &str, problem: impl Into<String>) -> Result<T, ApiError> {
    let shown: String = member.chars().take(SHORT).collect();
    Err(ApiError::bad_field(&format!("{FIELD}.{shown}"), problem))
}

/// What is kept of the security of endpoints: for each side that it is off. A user name or password
/// beside it is never stored, and whatever is not clearly off is refused.
fn endpoint_security(security: Value) -> Result<Value, ApiError> {
    let refused = |side: &str| {
        let member = format!("endpoint_security{side}");
        refused(&member, "is not supported yet, set enabled to false")
    };
    let sides = match security {
        Value::Null => return Ok(Value::Object(Map::new())),
        Value::Object(sides) => sides,
        _ => return refused(""),
    };
    let mut off = Map::new();
    for (side, value) in sides {
        let is_off = value.get("enabled") == Some(&Value::Bool(false));
        if !matches!(side.as_str(), "production" | "sandbox") || !(is_off || is_hollow(&value)) {
            return refused(&format!(".{side}"));
        }
        if is_off {
            off.insert(side, serde_json::json!({ "enabled": false }));
        }
    }
    Ok(Value::Object(off))
}

/// The configuration that says the same as `endpoints`, for an API that came without one.
pub(super) fn write(endpoints: &Endpoints) -> Option<Value> {
    let mut config = Map::new();
    let sides = [
        ("production_endpoints", &endpoints.production),
        ("sandbox_endpoints", &endpoints.sandbox),
    ];
    for (member, url) in sides {
        if let Some(url) = url {
            config.insert(member.to_owned(), serde_json::json!({ "url": url }));
        }
    }
    if config.is_empty() {
        return None;
    }
    config.insert("endpoint_type".to_owned(), Value::from("http"));
    Some(Value::Object(config))
}

fn url(config: &Map<String, Value>, member: &str) -> Result<Option<String>, ApiError> {
    let endpoint = match config.get(member) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) => match list.as_slice() {
            [] => return Ok(None),
            [only] => only,
            _ => {
                let problem = "may hold one endpoint, load balancing is not served yet";
                return refused(member, problem);
            }
        },
        Some(other) => other,
    };
    match endpoint.get("url") {
        Some(Value::String(url)) if url.trim().is_empty() => Ok(None),
        Some(Value::String(url)) if url.len() > LONGEST_URL => {
            let problem = format!("must not exceed {LONGEST_URL} bytes");
            refused(&format!("{member}.url"), problem)
        }
        Some(Value::String(url)) => Ok(Some(url.trim().to_owned())),
        None if endpoint.as_object().is_some_and(Map::is_empty) => Ok(None),
        _ if endpoint.is_object() => refused(&format!("{member}.url"), "must be a string"),
        _ => refused(member, "must be an object with the text member url"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(member: &str, value: Value) -> Map<String, Value> {
        Map::from_iter([(member.to_owned(), value)])
    }

    #[test]
    fn whatever_is_not_clearly_off_is_refused_and_no_secret_is_kept() {
        for (member, value) in [
            (
                "endpoint_security",
                json!({"production": {"enabled": "true", "type": "BASIC"}}),
            ),
            (
                "endpoint_security",
                json!({"production": {"enabled": true}}),
            ),
            (
                "endpoint_security",
                json!({"production": {"type": "BASIC", "password": "x"}}),
            ),
            ("endpoint_security", json!({"enabled": true})),
            ("endpoint_security", json!({"enabled": false})),
            ("endpoint_security", json!("x")),
            ("production_failovers", json!({"url": "http://10.0.0.1"})),
            ("sandbox_failovers", json!([{"url": "http://10.0.0.1"}])),
        ] {
            let refused = read(&mut config(member, value.clone()));
            assert_eq!(refused.unwrap_err().status(), 400, "{value}");
        }
        let security = json!({
            "production": {"enabled": false, "type": "BASIC", "username": "a", "password": "s3cret"},
            "sandbox": {"enabled": null, "password": ""},
        });
        let mut kept = config("endpoint_security", security);
        read(&mut kept).unwrap();
        let wanted = json!({"production": {"enabled": false}});
        assert_eq!(kept["endpoint_security"], wanted);
    }
}
