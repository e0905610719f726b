//! Keys of applications as the contract shows them (`ApplicationKey`), and what may be chosen.

use serde_json::{Map, Value, json};

use actors::devportal::ApplicationKey;
use actors::key_manager::LONGEST_CHOSEN_SECONDS;
use actors::key_manager::command::{Client, NewClient};
use domain::application::{Application, KeyType, client_name};

use crate::body::Fields;
use crate::document::present;
use crate::error::ApiError;

/// Grant types that keys may be made for.
const GRANT_TYPES: [&str; 3] = ["client_credentials", "password", "refresh_token"];

/// The most additional properties of keys, bytes of the name of one, and of its value as JSON.
const MOST_PROPERTIES: usize = 50;
const LONGEST_NAME: usize = 255;
const LONGEST_PROPERTY: usize = 2_048;

/// What is chosen of keys.
pub(super) struct Chosen {
    pub(super) key_type: Option<KeyType>,
    pub(super) client: NewClient,
    /// `additionalProperties` as a JSON object.
    pub(super) properties: String,
    /// Scopes of the first token.
    pub(super) scopes: Vec<String>,
    /// Life of the first token, when the application's own does not suit.
    pub(super) validity_seconds: Option<i64>,
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
    let properties = properties(&mut fields)?;
    let chosen = |name: &str| {
        let field = format!("additionalProperties.{name}");
        life(&field, properties.get(name))
    };
    let access = chosen("application_access_token_expiry_time")?;
    let refresh = chosen("refresh_token_expiry_time")?;
    let user = chosen("user_access_token_expiry_time")?;
    let identity = chosen("id_token_expiry_time")?;
    let validity_seconds = life("validityTime", fields.take("validityTime").as_ref())?;
    let suffix = key_type.map_or("", KeyType::as_str);
    Ok(Chosen {
        key_type,
        client: NewClient {
            tenant: application.tenant.clone(),
            name: client_name(&application.owner, &application.id, suffix),
            owner: application.owner.clone(),
            grant_types,
            callback_url,
            token_type: application.token_type,
            access_token_seconds: access,
            refresh_token_seconds: refresh,
            user_token_seconds: user,
            id_token_seconds: identity,
        },
        properties: Value::Object(properties).to_string(),
        scopes,
        validity_seconds,
    })
}

/// Reads `additionalProperties`: what is kept of keys, within bounds.
pub(super) fn properties(fields: &mut Fields) -> Result<Map<String, Value>, ApiError> {
    let given = fields.object("additionalProperties")?;
    let given = given.map_or_else(Map::new, Fields::rest);
    let refused = |name: &str, problem: String| {
        let shown: String = name.chars().take(100).collect();
        ApiError::bad_field(&format!("additionalProperties.{shown}"), problem)
    };
    if given.len() > MOST_PROPERTIES {
        let problem = format!("must not hold more than {MOST_PROPERTIES} members");
        return Err(ApiError::bad_field("additionalProperties", problem));
    }
    for (name, value) in &given {
        if name.len() > LONGEST_NAME {
            let problem = format!("has a name of more than {LONGEST_NAME} bytes");
            return Err(refused(name, problem));
        }
        if value.to_string().len() > LONGEST_PROPERTY {
            let problem = format!("must not exceed {LONGEST_PROPERTY} bytes");
            return Err(refused(name, problem));
        }
    }
    Ok(given)
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
    present(json!({
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
        "token": token,
        "additionalProperties": properties,
    }))
}

/// A life that is chosen for tokens, in seconds.
fn life(field: &str, chosen: Option<&Value>) -> Result<Option<i64>, ApiError> {
    let number = match chosen {
        None | Some(Value::Null) => return Ok(None),
        // WSO2's clients send numbers as texts, and N/A for "the default".
        Some(Value::String(text)) if text == "N/A" || text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.parse::<i64>().ok(),
        Some(value) => value.as_i64(),
    };
    match number {
        Some(seconds) if (1..=LONGEST_CHOSEN_SECONDS).contains(&seconds) => Ok(Some(seconds)),
        _ => {
            let problem = format!("must be a number of seconds from 1 to {LONGEST_CHOSEN_SECONDS}");
            Err(ApiError::bad_field(field, problem))
        }
    }
}
