//! Scopes and cross-origin answers of an API, from the contract's members and back.

use serde_json::{Value, json};

use domain::api::{ApiScope, Cors};
use domain::api_rules::DESCRIPTION_MAX;

use crate::body::Fields;
use crate::error::ApiError;

/// Reads a list of `APIScope`.
pub(super) fn scopes(list: Vec<Value>) -> Result<Vec<ApiScope>, ApiError> {
    let scopes = list.into_iter().enumerate().map(|(index, item)| {
        let path = format!("scopes[{index}]");
        match item {
            Value::Object(members) => scope(Fields::from_map(members).at(&path), &path),
            _ => Err(ApiError::bad_field(&path, "must be an object")),
        }
    });
    scopes.collect()
}

fn scope(mut outer: Fields, path: &str) -> Result<ApiScope, ApiError> {
    let shared = outer.flag("shared")?.unwrap_or(false);
    let Some(mut scope) = outer.object("scope")? else {
        return Err(ApiError::bad_field(&format!("{path}.scope"), "is required"));
    };
    let name = scope.required_text("name", 255)?;
    let display_name = scope.text("displayName", 255)?;
    Ok(ApiScope {
        display_name: display_name.unwrap_or_else(|| name.clone()),
        description: scope
            .text("description", DESCRIPTION_MAX)?
            .unwrap_or_default(),
        roles: scope.texts("bindings", 255)?.unwrap_or_default(),
        name,
        shared,
    })
}

/// Writes a scope as the contract's `APIScope`.
pub(super) fn scope_value(scope: &ApiScope) -> Value {
    json!({
        "scope": {
            "name": scope.name,
            "displayName": scope.display_name,
            "description": scope.description,
            "bindings": scope.roles,
        },
        "shared": scope.shared,
    })
}

/// Reads `APICorsConfiguration`; WSO2's defaults where it says nothing.
pub(super) fn cors(fields: Option<Fields>) -> Result<Cors, ApiError> {
    let mut cors = Cors::default();
    let Some(mut fields) = fields else {
        return Ok(cors);
    };
    let enabled = fields.flag("corsConfigurationEnabled")?;
    cors.enabled = enabled.unwrap_or(cors.enabled);
    let credentials = fields.flag("accessControlAllowCredentials")?;
    cors.allow_credentials = credentials.unwrap_or(cors.allow_credentials);
    let mut list = |name: &str, kept: &mut Vec<String>| -> Result<(), ApiError> {
        if let Some(texts) = fields.texts(name, 500)? {
            *kept = texts;
        }
        Ok(())
    };
    list("accessControlAllowOrigins", &mut cors.allow_origins)?;
    list("accessControlAllowHeaders", &mut cors.allow_headers)?;
    list("accessControlAllowMethods", &mut cors.allow_methods)?;
    list("accessControlExposeHeaders", &mut cors.expose_headers)?;
    Ok(cors)
}

/// Writes cross-origin answers as the contract's `APICorsConfiguration`.
pub(super) fn cors_value(cors: &Cors) -> Value {
    json!({
        "corsConfigurationEnabled": cors.enabled,
        "accessControlAllowOrigins": cors.allow_origins,
        "accessControlAllowCredentials": cors.allow_credentials,
        "accessControlAllowHeaders": cors.allow_headers,
        "accessControlAllowMethods": cors.allow_methods,
        "accessControlExposeHeaders": cors.expose_headers,
    })
}
