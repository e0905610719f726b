//! `endpointConfig` of an API: what of it decides where calls go.
//!
//! The whole object is kept and given back; kinds of endpoints and protections that do not exist
//! yet are refused.

use serde_json::{Map, Value};

use domain::api::Endpoints;

use crate::error::ApiError;

const FIELD: &str = "endpointConfig";

/// Reads the endpoints.
pub(super) fn read(config: &Map<String, Value>) -> Result<Endpoints, ApiError> {
    match config.get("endpoint_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind == "http" || kind == "address" => {}
        Some(kind) => {
            let problem = format!("endpoint_type {kind} is not served yet, use http");
            return Err(ApiError::bad_field(FIELD, problem));
        }
    }
    if let Some(security) = config.get("endpoint_security") {
        for side in ["production", "sandbox"] {
            let enabled = security.get(side).and_then(|side| side.get("enabled"));
            if enabled == Some(&Value::Bool(true)) {
                let problem = format!("endpoint_security of {side} is not supported yet");
                return Err(ApiError::bad_field(FIELD, problem));
            }
        }
    }
    for member in ["production_failovers", "sandbox_failovers"] {
        let used = config.get(member).and_then(Value::as_array);
        if used.is_some_and(|list| !list.is_empty()) {
            let problem = format!("{member} are not served yet");
            return Err(ApiError::bad_field(FIELD, problem));
        }
    }
    Ok(Endpoints {
        production: url(config, "production_endpoints")?,
        sandbox: url(config, "sandbox_endpoints")?,
    })
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
                let problem =
                    format!("{member} may hold one endpoint, load balancing is not served yet");
                return Err(ApiError::bad_field(FIELD, problem));
            }
        },
        Some(other) => other,
    };
    match endpoint.get("url") {
        Some(Value::String(url)) if url.trim().is_empty() => Ok(None),
        Some(Value::String(url)) => Ok(Some(url.trim().to_owned())),
        None if endpoint.as_object().is_some_and(Map::is_empty) => Ok(None),
        _ => {
            let problem = format!("{member} must be an object with the text member url");
            Err(ApiError::bad_field(FIELD, problem))
        }
    }
}
