//! Applications as the contract shows them (`Application`, `ApplicationInfo`).

use serde_json::{Map, Value, json};
use unicode_normalization::UnicodeNormalization as _;

use actors::devportal::ApplicationKey;
use actors::key_manager::command::Client;
use domain::api::ApiScope;
use domain::application::{Application, ApplicationStatus, TokenType};

use super::apis::write_scope;
use super::key_document;
use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;

/// The most custom attributes of an application, and characters of one.
const MOST_ATTRIBUTES: usize = 50;
const ATTRIBUTE: usize = 1_024;

/// Reads an application; id, times and row version are new.
pub(super) fn read(
    caller: &Caller,
    mut fields: Fields,
    now_ms: i64,
) -> Result<Application, ApiError> {
    // Composed: two names that look the same are the same.
    let name: String = fields.required_text("name", 100)?.nfc().collect();
    if name.trim() != name
        || name
            .chars()
            .any(|c| c.is_control() || is_format(c) || "<>&\"/\\".contains(c))
    {
        let problem = "must not begin or end with a space nor hold control or invisible \
                       characters or < > & \" / \\";
        return Err(ApiError::bad_field("name", problem));
    }
    let token_type = match fields.text("tokenType", 20)?.as_deref() {
        None => TokenType::Jwt,
        Some(word) => TokenType::parse(word)
            .ok_or_else(|| ApiError::bad_field("tokenType", "must be JWT or OAUTH"))?,
    };
    if !fields.list("groups")?.unwrap_or_default().is_empty() {
        let problem = "sharing by groups is not in force on this platform, leave it empty";
        return Err(ApiError::bad_field("groups", problem));
    }
    match fields.text("visibility", 40)?.as_deref() {
        None | Some("PRIVATE") => {}
        Some(_) => {
            let problem = "must be PRIVATE: sharing is not in force on this platform";
            return Err(ApiError::bad_field("visibility", problem));
        }
    }
    Ok(Application {
        id: uuid::Uuid::new_v4().to_string(),
        tenant: caller.tenant.clone(),
        name,
        owner: caller.user.clone(),
        throttling_policy: fields.required_text("throttlingPolicy", 60)?,
        token_type,
        description: fields.text("description", 512)?.unwrap_or_default(),
        status: ApplicationStatus::Approved,
        attributes: attributes(&mut fields)?,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
        row_version: 1,
    })
}

/// What an application holds.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    pub(super) subscriptions: i64,
    pub(super) keys: Vec<(ApplicationKey, Client)>,
    /// Those of the APIs that it subscribes to.
    pub(super) scopes: Vec<ApiScope>,
}

/// Writes an application whole.
pub(super) fn write(application: &Application, holdings: &Holdings) -> Value {
    let mut value = write_info(application, holdings.subscriptions);
    let keys = holdings.keys.iter();
    let keys: Vec<_> = keys
        .map(|(key, client)| key_document::write(key, client, None, None))
        .collect();
    let scopes: Vec<_> = holdings.scopes.iter().map(write_scope).collect();
    if let Some(members) = value.as_object_mut() {
        members.insert(
            "tokenType".to_owned(),
            application.token_type.as_str().into(),
        );
        members.insert("keys".to_owned(), keys.into());
        members.insert("subscriptionScopes".to_owned(), scopes.into());
        members.insert("hashEnabled".to_owned(), true.into());
        members.insert("visibility".to_owned(), "PRIVATE".into());
    }
    value
}

/// Writes an application as lists show it.
pub(super) fn write_info(application: &Application, subscriptions: i64) -> Value {
    let attributes: Value =
        serde_json::from_str(&application.attributes).unwrap_or_else(|_| json!({}));
    json!({
        "applicationId": application.id,
        "name": application.name,
        "throttlingPolicy": application.throttling_policy,
        "description": application.description,
        "status": application.status.as_str(),
        "groups": [],
        "subscriptionCount": subscriptions,
        "attributes": attributes,
        "owner": application.owner,
    })
}

fn attributes(fields: &mut Fields) -> Result<String, ApiError> {
    let given = fields.object("attributes")?;
    let given = given.map_or_else(Map::new, Fields::rest);
    let short = |value: &Value| value.as_str().is_some_and(|text| text.len() <= ATTRIBUTE);
    if given.len() > MOST_ATTRIBUTES || !given.values().all(short) {
        let problem =
            format!("must be at most {MOST_ATTRIBUTES} strings of at most {ATTRIBUTE} bytes");
        return Err(ApiError::bad_field("attributes", problem));
    }
    Ok(Value::Object(given).to_string())
}

/// Whether a character is not seen, or turns the order of those that are: names that look the same
/// must not differ by it.
pub(super) const fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}
