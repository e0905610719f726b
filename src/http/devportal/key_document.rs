//! Keys of applications as the contract shows them (`ApplicationKey`), and what may be chosen.

use serde_json::{Map, Value, json};

use actors::devportal::ApplicationKey;
use actors::key_manager::command::{Client, NewClient};
use domain::application::{Application, KeyType};

use crate::body::Fields;
use crate::error::ApiError;

/// Grant types that keys may be made for.
const GRANT_TYPES: [&str; 3] = ["client_credentials", "password", "refresh_token"];
/// The longest life of a token that may be chosen, seconds: ten years.
const LONGEST: i64 = 10 * 365 * 24 * 3_600;

/// What is chosen of keys.
pub(super) struct Chosen {
    pub(super) key_type: Option<KeyType>,
    pub(super) client: NewClient,
    /// `additionalProperties` as a JSON object.
    pub(super) properties: String,
    /// Scopes of the first token.
    pub(super) scopes: Vec<String>,
}

/// Reads what is chosen; `grants` is the member that names the grant types.
pub(super) fn read(
    application: &Application,
    key_type: Option<KeyType>,
    grants: &str,
    mut fields: Fields,
) -> Result<Chosen, ApiError> {
    let named = fields.text("keyType", 20)?;
    let key_type = match (key_type, named.as_deref()) {
        (Some(known), _) => Some(known),
        (None, None) => None,
        (None, Some(word)) => Some(parse_key_type(word)?),
    };
    match fields.text("keyManager", 100)?.as_deref() {
        None | Some("" | "Resident Key Manager") => {}
        Some(_) => {
            return Err(ApiError::bad_field(
                "keyManager",
                "must be Resident Key Manager",
            ));
        }
    }
    let listed = fields.texts(grants, 100)?;
    let grant_types = listed.ok_or_else(|| ApiError::bad_field(grants, "is required"))?;
    if let Some(unknown) = grant_types
        .iter()
        .find(|grant| !GRANT_TYPES.contains(&grant.as_str()))
    {
        let problem = format!("{unknown} is not served, use {}", GRANT_TYPES.join(", "));
        return Err(ApiError::bad_field(grants, problem));
    }
    let callback_url = fields.text("callbackUrl", 2_048)?.unwrap_or_default();
    let scopes = fields.texts("scopes", 200)?.unwrap_or_default();
    let properties = fields.object("additionalProperties")?;
    let properties = properties.map_or_else(Map::new, Fields::rest);
    let access = life(&properties, "application_access_token_expiry_time")?;
    let refresh = life(&properties, "refresh_token_expiry_time")?;
    let suffix = key_type.map_or("", KeyType::as_str);
    Ok(Chosen {
        key_type,
        client: NewClient {
            tenant: application.tenant.clone(),
            name: format!("{}_{}_{suffix}", application.owner, application.id),
            owner: application.owner.clone(),
            grant_types,
            callback_url,
            token_type: application.token_type,
            access_token_seconds: access,
            refresh_token_seconds: refresh,
        },
        properties: Value::Object(properties).to_string(),
        scopes,
    })
}

/// Reads `PRODUCTION` or `SANDBOX`.
pub(super) fn parse_key_type(word: &str) -> Result<KeyType, ApiError> {
    KeyType::parse(word)
        .ok_or_else(|| ApiError::bad_field("keyType", "must be PRODUCTION or SANDBOX"))
}

/// Writes keys; the secret only when they were just made, the token only when one was.
pub(super) fn write(
    key: &ApplicationKey,
    client: &Client,
    secret: Option<&str>,
    token: Option<Value>,
) -> Value {
    let properties: Value = serde_json::from_str(&key.properties).unwrap_or_else(|_| json!({}));
    json!({
        "keyMappingId": key.id,
        "keyManager": key.key_manager,
        "consumerKey": client.consumer_key,
        "consumerSecret": secret,
        "consumerSecrets": [],
        "supportedGrantTypes": client.details.grant_types,
        "callbackUrl": client.details.callback_url,
        "keyState": "APPROVED",
        "keyType": key.key_type.as_str(),
        "mode": "CREATED",
        "groupId": null,
        "token": token,
        "additionalProperties": properties,
    })
}

fn life(properties: &Map<String, Value>, name: &str) -> Result<Option<i64>, ApiError> {
    let number = match properties.get(name) {
        None | Some(Value::Null) => return Ok(None),
        // WSO2's clients send numbers as texts, and N/A for "the default".
        Some(Value::String(text)) if text == "N/A" || text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.parse::<i64>().ok(),
        Some(value) => value.as_i64(),
    };
    match number {
        Some(seconds) if (1..=LONGEST).contains(&seconds) => Ok(Some(seconds)),
        _ => {
            let field = format!("additionalProperties.{name}");
            let problem = format!("must be a number of seconds from 1 to {LONGEST}");
            Err(ApiError::bad_field(&field, problem))
        }
    }
}
