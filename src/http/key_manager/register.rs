//! `POST /client-registration/v0.17/register`: registers a client for the REST APIs, or gives
//! the one of that name again, changed as asked.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use actors::key_manager::command::{Client, NewClient, Refused};
use actors::key_manager::{KeyManagerHandle, bare_name};
use domain::application::{TokenType, names_application};

use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::management::told;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;
use crate::shape::{Kind, LONG, Members, check};

pub(super) static REGISTER: Operation = Operation::new(
    "POST",
    "/client-registration/v0.17/register",
    Access::BasicOr(&["apim:admin"]),
    BodyKind::Json,
)
.required(&["clientName"]);

/// Grant types that a client may be registered with; those not served yet are kept and refused
/// when they are used.
const GRANT_TYPES: [&str; 6] = [
    "client_credentials",
    "password",
    "refresh_token",
    "authorization_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];

/// Members that have no effect here: every client is every tenant's own, and tokens have the scopes
/// that their users may have.
const IGNORED: Members = &[
    ("saasApp", Kind::FlagOrWord),
    ("tokenScope", Kind::Text(LONG)),
    ("callBackURL", Kind::Text(2_048)),
];

pub(super) async fn register(
    State(services): State<Services>,
    caller: Caller,
    fields: Fields,
) -> Result<Response, ApiError> {
    let km = &services.key_manager;
    // Secrets are kept as hashes: the one that is shown for a known client is a new one.
    let wanted = wanted(km, &caller, fields).await?;
    let registered = km.register_client(wanted).await.map_err(refused)?;
    let (client, secret) = &registered.value;
    let response = Json(shown(client, secret)).into_response();
    Ok(told(response, registered.applied.as_ref()))
}

async fn wanted(
    km: &KeyManagerHandle,
    caller: &Caller,
    mut fields: Fields,
) -> Result<NewClient, ApiError> {
    let name = fields.required_text("clientName", 255)?;
    let owner = owner(km, caller, fields.text("owner", 255)?).await?;
    if names_application(&name, &owner) {
        let problem = "names the keys of an application, which the Developer Portal makes";
        return Err(ApiError::bad_field("clientName", problem));
    }
    let grants = fields.text("grantType", 1_024)?.unwrap_or_default();
    let mut grant_types = Vec::new();
    for grant in grants.split_whitespace() {
        if !GRANT_TYPES.contains(&grant) {
            let problem = format!(
                "{grant} is not a grant type, use {}",
                GRANT_TYPES.join(", ")
            );
            return Err(ApiError::bad_field("grantType", problem));
        }
        grant_types.push(grant.to_owned());
    }
    let kind = fields.text("tokenType", 20)?;
    let token_type = match kind.as_deref() {
        None => TokenType::Jwt,
        Some(kind) => TokenType::parse(kind)
            .ok_or_else(|| ApiError::bad_field("tokenType", "must be JWT or OAUTH"))?,
    };
    check(&mut fields, IGNORED)?;
    Ok(NewClient {
        tenant: caller.tenant.clone(),
        name,
        owner,
        grant_types,
        callback_url: fields.text("callbackUrl", 2_048)?.unwrap_or_default(),
        token_type,
        access_token_seconds: None,
        refresh_token_seconds: None,
        user_token_seconds: None,
        id_token_seconds: None,
    })
}

/// Whose client it is to be, as the owner spells the name: two spellings would be two owners.
async fn owner(
    km: &KeyManagerHandle,
    caller: &Caller,
    named: Option<String>,
) -> Result<String, ApiError> {
    let named = named.unwrap_or_else(|| caller.user.clone());
    let bare = bare_name(&named);
    if bare.to_lowercase() != caller.user.to_lowercase() && !caller.has("apim:admin") {
        return Err(ApiError::bad_field("owner", "must be the caller"));
    }
    match km.find_user_by_name(&caller.tenant, bare).await {
        Ok(user) => Ok(user.name),
        Err(Refused::NotFound(_)) => Err(ApiError::bad_field("owner", "there is no such user")),
        Err(other) => Err(refused(other)),
    }
}

fn shown(client: &Client, secret: &str) -> Value {
    let details = &client.details;
    let grants = details.grant_types.join(" ");
    json!({
        "clientId": client.consumer_key,
        "clientSecret": secret,
        "clientName": details.name,
        "callBackURL": details.callback_url,
        "callbackUrl": details.callback_url,
        "isSaasApplication": "true",
        "appOwner": details.owner,
        "jsonString": json!({ "grant_types": grants }).to_string(),
        "jsonAppAttribute": "{}",
        "tokenType": details.token_type.as_str(),
    })
}

fn refused(refused: Refused) -> ApiError {
    match refused {
        // As this body calls it.
        Refused::BadField { field, problem } if field == "name" => {
            ApiError::bad_field("clientName", problem)
        }
        Refused::BadField { field, problem } => ApiError::bad_field(&field, problem),
        Refused::Duplicate(what) => {
            ApiError::conflict("clientName", format!("{what} exists already"))
        }
        refused => ApiError::unavailable(&refused),
    }
}
