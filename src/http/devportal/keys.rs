//! Keys of applications: `/applications/{id}/generate-keys`, `/oauth-keys/{keyMappingId}/…` and
//! the older `/keys/{keyType}/…`, which name the same keys.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use actors::devportal::ApplicationKey;
use actors::key_manager::command::{Client, ClientSecret, GrantType, Issued, TokenRequest};
use domain::application::Application;

use super::applications::{no_groups, own};
use super::key_document::{parse_key_type, properties, read, write};
use super::portal;
use crate::auth::Caller;
use crate::body::Fields;
use crate::document::{seen, seen_version};
use crate::entity_tag::met;
use crate::error::ApiError;
use crate::failure::{answer, answer_to};
use crate::management::{told, with_applied};
use crate::operation::{Access, BodyKind, Operation};
use crate::query::Query;
use crate::services::Services;

const MANAGE: Access = Access::Scopes(&["apim:subscribe", "apim:app_manage"]);

macro_rules! operations {
    ($($name:ident: $method:literal $path:literal $body:ident $(.$with:ident($($what:expr)?))*;)*) => {$(
        pub(super) static $name: Operation = Operation::new(
            $method,
            concat!("/api/am/devportal/v3/applications/{applicationId}", $path),
            MANAGE,
            BodyKind::$body,
        )
        .owned()
        $(.$with($($what)?))*;
    )*};
}

operations! {
    GENERATE: "POST" "/generate-keys" Json .unique(&["keyType"]) .required(&["grantTypesToBeSupported", "keyType"]);
    LIST: "GET" "/oauth-keys" Empty;
    LIST_OLD: "GET" "/keys" Empty;
    GET: "GET" "/oauth-keys/{keyMappingId}" Empty .query(&["groupId"]);
    GET_OLD: "GET" "/keys/{keyType}" Empty .query(&["groupId"]);
    UPDATE: "PUT" "/oauth-keys/{keyMappingId}" Json .if_match() .required(&["supportedGrantTypes"]);
    UPDATE_OLD: "PUT" "/keys/{keyType}" Json .if_match() .required(&["supportedGrantTypes"]);
    REGENERATE: "POST" "/oauth-keys/{keyMappingId}/regenerate-secret" Empty;
    REGENERATE_OLD: "POST" "/keys/{keyType}/regenerate-secret" Empty;
    CLEAN_UP: "POST" "/oauth-keys/{keyMappingId}/clean-up" Empty .if_match();
    CLEAN_UP_OLD: "POST" "/keys/{keyType}/clean-up" Empty .if_match();
    TOKEN: "POST" "/oauth-keys/{keyMappingId}/generate-token" Json .if_match() .required(&["consumerSecret"]);
    TOKEN_OLD: "POST" "/keys/{keyType}/generate-token" Json .if_match() .required(&["consumerSecret"]);
}

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    let mut router = GENERATE.mount(router, generate);
    for operation in [&LIST, &LIST_OLD] {
        router = operation.mount(router, list);
    }
    for operation in [&GET, &GET_OLD] {
        router = operation.mount(router, get);
    }
    for operation in [&UPDATE, &UPDATE_OLD] {
        router = operation.mount(router, update);
    }
    for operation in [&REGENERATE, &REGENERATE_OLD] {
        router = operation.mount(router, regenerate);
    }
    for operation in [&CLEAN_UP, &CLEAN_UP_OLD] {
        router = operation.mount(router, clean_up);
    }
    for operation in [&TOKEN, &TOKEN_OLD] {
        router = operation.mount(router, token);
    }
    router
}

async fn generate(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let application = own(&services, &caller, &id).await?;
    let chosen = read(&application, None, "grantTypesToBeSupported", fields)?;
    let key_type = chosen.key_type;
    let key_type = key_type.ok_or_else(|| ApiError::bad_field("keyType", "is required"))?;
    let served = chosen
        .client
        .grant_types
        .iter()
        .any(|grant| grant == "client_credentials");
    let made = portal(&services)?
        .create_keys(application, key_type, chosen.client, chosen.properties)
        .await;
    let made = made.map_err(answer_to(&GENERATE))?;
    let (key, client, secret) = made.value;
    let issued = if served {
        let (scopes, life) = (chosen.scopes, chosen.validity_seconds);
        issue(&services, &client, &secret, scopes, life).await.ok()
    } else {
        None
    };
    // The secret is shown this once, so it is shown whatever becomes of the first token.
    let document = write(&key, &client, Some(&secret), issued.as_ref().map(shown));
    Ok(with_applied(Json(document).into_response(), &made.applied))
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let application = own(&services, &caller, &id).await?;
    let keys = portal(&services)?
        .keys(&application)
        .await
        .map_err(answer)?;
    let list = keys
        .iter()
        .map(|(key, client)| write(key, client, None, None));
    let list: Vec<_> = list.collect();
    Ok(Json(json!({ "count": list.len(), "list": list })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Of {
    group_id: Option<String>,
}

async fn get(
    State(services): State<Services>,
    caller: Caller,
    Path((id, named)): Path<(String, String)>,
    Query(of): Query<Of>,
) -> Result<Response, ApiError> {
    no_groups(of.group_id.as_deref())?;
    let (_, key, client) = find(&services, &caller, &id, &named).await?;
    Ok(seen(write(&key, &client, None, None)))
}

async fn update(
    State(services): State<Services>,
    caller: Caller,
    Path((id, named)): Path<(String, String)>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    let (application, mut key, client) = find(&services, &caller, &id, &named).await?;
    let as_read = is_met(&headers, &key, &client)?.then(|| (key.clone(), client.clone()));
    let chosen = read(
        &application,
        Some(key.key_type),
        "supportedGrantTypes",
        fields,
    )?;
    key.properties = chosen.properties;
    let changed = Client {
        consumer_key: client.consumer_key,
        details: chosen.client,
    };
    let changed = portal(&services)?.update_keys(key, changed, as_read).await;
    let changed = changed.map_err(answer)?;
    let (key, client) = changed.value;
    let response = seen(write(&key, &client, None, None));
    Ok(with_applied(response, &changed.applied))
}

async fn regenerate(
    State(services): State<Services>,
    caller: Caller,
    Path((id, named)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (_, _, client) = find(&services, &caller, &id, &named).await?;
    let secret = services
        .key_manager
        .regenerate_secret(&client.consumer_key)
        .await;
    let secret = secret.map_err(answer)?;
    let body = json!({ "consumerKey": client.consumer_key, "consumerSecret": secret.value });
    Ok(told(Json(body).into_response(), secret.applied.as_ref()))
}

async fn clean_up(
    State(services): State<Services>,
    caller: Caller,
    Path((id, named)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, key, client) = find(&services, &caller, &id, &named).await?;
    let as_read = is_met(&headers, &key, &client)?;
    let changed = portal(&services)?.delete_keys(key, as_read).await;
    let changed = changed.map_err(answer)?;
    Ok(with_applied(().into_response(), &changed.applied))
}

async fn token(
    State(services): State<Services>,
    caller: Caller,
    Path((id, named)): Path<(String, String)>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let (_, key, client) = find(&services, &caller, &id, &named).await?;
    is_met(&headers, &key, &client)?;
    match fields.text("grantType", 40)?.as_deref() {
        None | Some("CLIENT_CREDENTIALS") => {}
        Some(_) => {
            return Err(ApiError::bad_field(
                "grantType",
                "must be CLIENT_CREDENTIALS",
            ));
        }
    }
    let secret = fields.required_text("consumerSecret", 200)?;
    let scopes = fields.texts("scopes", 200)?.unwrap_or_default();
    // Nothing of it has an effect on a token of one's own key manager.
    properties(&mut fields)?;
    let validity = fields.number("validityPeriod")?;
    if validity.is_some_and(|seconds| seconds < 1) {
        let problem = "must be a number of seconds of at least 1";
        return Err(ApiError::bad_field("validityPeriod", problem));
    }
    let key_manager = &services.key_manager;
    let mut revoked = None;
    if let Some(old) = fields
        .text("revokeToken", 8_192)?
        .filter(|old| !old.is_empty())
    {
        let client = ClientSecret {
            consumer_key: client.consumer_key.clone(),
            consumer_secret: secret.clone(),
        };
        revoked = key_manager.revoke(client, old).await.map_err(answer)?;
    }
    let issued = issue(&services, &client, &secret, scopes, validity).await?;
    let response = Json(shown(&issued)).into_response();
    Ok(told(response, revoked.as_ref()))
}

async fn issue(
    services: &Services,
    client: &Client,
    secret: &str,
    scopes: Vec<String>,
    validity_seconds: Option<i64>,
) -> Result<Issued, ApiError> {
    let request = TokenRequest {
        client: ClientSecret {
            consumer_key: client.consumer_key.clone(),
            consumer_secret: secret.to_owned(),
        },
        grant: GrantType::ClientCredentials,
        scopes,
        validity_seconds,
    };
    services.key_manager.issue(request).await.map_err(answer)
}

fn shown(issued: &Issued) -> Value {
    json!({
        "accessToken": issued.access_token,
        "tokenScopes": issued.scopes,
        "validityTime": issued.expires_in,
    })
}

/// Whether the caller has seen the keys as they are, or did not say: then it is false.
fn is_met(headers: &HeaderMap, key: &ApplicationKey, client: &Client) -> Result<bool, ApiError> {
    let version = seen_version(&write(key, client, None, None));
    Ok(met(headers, version)?.is_some())
}

/// The caller's keys by mapping id or key type.
async fn find(
    services: &Services,
    caller: &Caller,
    id: &str,
    named: &str,
) -> Result<(Application, ApplicationKey, Client), ApiError> {
    let application = own(services, caller, id).await?;
    let keys = portal(services)?.keys(&application).await.map_err(answer)?;
    let wanted = parse_key_type(named).ok();
    let mut keys = keys.into_iter();
    let found = keys.find(|(key, _)| key.id == named || Some(key.key_type) == wanted);
    let (key, client) = found.ok_or_else(|| ApiError::not_found("key", named))?;
    Ok((application, key, client))
}
