//! `/apis/{apiId}/api-keys`: opaque keys that open one API, shown once.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

use actors::devportal::{ApiKey, NewApiKey};
use domain::address::AddressRange;
use domain::application::KeyType;

use super::application_document::is_format;
use super::applications::own;
use super::key_document::parse_key_type;
use super::portal;
use crate::auth::Caller;
use crate::body::Fields;
use crate::document::{seen, seen_version};
use crate::entity_tag::{met, wanted};
use crate::error::ApiError;
use crate::failure::{answer, answer_to};
use crate::management::with_applied;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

const MANAGE: Access = Access::Scopes(&["apim:subscribe", "apim:app_manage", "apim:api_key"]);

macro_rules! operations {
    ($($name:ident: $method:literal $path:literal $body:ident $(.$with:ident($($what:expr)?))*;)*) => {$(
        pub(super) static $name: Operation = Operation::new(
            $method,
            concat!("/api/am/devportal/v3/apis/{apiId}/api-keys", $path),
            MANAGE,
            BodyKind::$body,
        )
        $(.$with($($what)?))*;
    )*};
}

operations! {
    LIST: "GET" "" Empty;
    GENERATE: "POST" "/generate" Json .if_match() .unique(&["keyName"]) .required(&["keyName"]);
    REGENERATE: "POST" "/regenerate" Json .owned() .if_match() .required(&["keyUUID"]);
    REVOKE: "POST" "/revoke" Json .owned() .if_match() .required(&["keyUUID"]);
    ASSOCIATE: "POST" "/associate" Json .owned() .if_match() .required(&["keyUUID", "applicationUUID"]);
    DISSOCIATE: "POST" "/dissociate" Json .owned() .if_match() .required(&["keyUUID"]);
}

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    let router = LIST.mount(router, list);
    let router = GENERATE.mount(router, generate);
    let router = REGENERATE.mount(router, regenerate);
    let router = REVOKE.mount(router, revoke);
    let router = ASSOCIATE.mount(router, associate);
    DISSOCIATE.mount(router, dissociate)
}

async fn list(
    State(services): State<Services>,
    caller: Caller,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    Ok(seen(listed(&services, &caller, &api).await?))
}

/// The caller's keys for an API, whatever became of it: one that holds keys of a blocked or retired
/// API may see and revoke them.
async fn listed(services: &Services, caller: &Caller, api: &str) -> Result<Value, ApiError> {
    let handle = portal(services)?;
    let keys = handle.api_keys(&caller.tenant, api, &caller.user).await;
    let keys = keys.map_err(answer)?;
    if keys.is_empty() {
        handle.api(&caller.tenant, api).await.map_err(answer)?;
    }
    let ids = keys.iter().filter_map(|key| key.application_id.as_deref());
    let applications = handle.applications_by_id(&caller.tenant, ids.collect());
    let applications = applications.await.map_err(answer)?;
    Ok(write_all(&keys, |key| {
        let known = key.application_id.as_ref();
        let known = known.and_then(|id| applications.get(id));
        vec![("associatedApp", known.map(|known| &*known.application.name))]
    }))
}

/// Whether a change must meet the key as it was read because the caller has seen the list it is in.
async fn as_read(
    services: &Services,
    caller: &Caller,
    api: &str,
    headers: &HeaderMap,
) -> Result<bool, ApiError> {
    if wanted(headers)?.is_empty() {
        return Ok(false);
    }
    let version = seen_version(&listed(services, caller, api).await?);
    Ok(met(headers, version)?.is_some())
}

async fn generate(
    State(services): State<Services>,
    caller: Caller,
    Path(api): Path<String>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let handle = portal(&services)?;
    handle.api(&caller.tenant, &api).await.map_err(answer)?;
    as_read(&services, &caller, &api, &headers).await?;
    let name = fields.required_text("keyName", 100)?;
    if name.contains(|c: char| c.is_control() || is_format(c)) {
        let problem = "must not hold control or invisible characters";
        return Err(ApiError::bad_field("keyName", problem));
    }
    let key_type = match fields.text("keyType", 20)?.as_deref() {
        None => KeyType::Production,
        Some(word) => parse_key_type(word)?,
    };
    let validity_seconds = fields.number("validityPeriod")?.unwrap_or(-1);
    if validity_seconds != -1 && !(1..=i64::from(i32::MAX)).contains(&validity_seconds) {
        let problem = "must be a number of seconds from 1 to 2147483647, or -1 for no end";
        return Err(ApiError::bad_field("validityPeriod", problem));
    }
    let (permitted_ips, permitted_referers) = permitted(&mut fields)?;
    let new = NewApiKey {
        tenant: caller.tenant,
        name: name.clone(),
        key_type,
        api_id: api,
        application_id: None,
        owner: caller.user,
        permitted_ips,
        permitted_referers,
        validity_seconds,
    };
    let changed = handle.create_api_key(new).await;
    let changed = changed.map_err(answer_to(&GENERATE))?;
    let body = shown(&name, &changed.value, validity_seconds);
    Ok(with_applied(Json(body).into_response(), &changed.applied))
}

async fn regenerate(
    State(services): State<Services>,
    caller: Caller,
    Path(api): Path<String>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let key = find(&services, &caller, &api, &mut fields).await?;
    let as_read = as_read(&services, &caller, &api, &headers).await?;
    let (name, validity) = (key.name.clone(), key.validity_seconds);
    let changed = portal(&services)?.regenerate_api_key(key, as_read).await;
    let changed = changed.map_err(answer)?;
    let body = shown(&name, &changed.value, validity);
    Ok(with_applied(Json(body).into_response(), &changed.applied))
}

async fn revoke(
    State(services): State<Services>,
    caller: Caller,
    Path(api): Path<String>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let key = find(&services, &caller, &api, &mut fields).await?;
    let as_read = as_read(&services, &caller, &api, &headers).await?;
    let changed = portal(&services)?.revoke_api_key(key, as_read).await;
    let changed = changed.map_err(answer)?;
    Ok(with_applied(
        StatusCode::OK.into_response(),
        &changed.applied,
    ))
}

async fn associate(
    State(services): State<Services>,
    caller: Caller,
    Path(api): Path<String>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let application = fields.required_text("applicationUUID", 60)?;
    let key = find(&services, &caller, &api, &mut fields).await?;
    let as_read = as_read(&services, &caller, &api, &headers).await?;
    bind(&services, &caller, (key, as_read), application).await
}

/// Associates a key with the caller's application; the writer refuses one that has not subscribed
/// to the key's API.
pub(super) async fn bind(
    services: &Services,
    caller: &Caller,
    (key, as_read): (ApiKey, bool),
    application: String,
) -> Result<Response, ApiError> {
    let application = own(services, caller, &application).await?;
    let handle = portal(services)?;
    let api = api_name(services, caller, &key.api_id).await?;
    let body = json!({
        "keyName": key.name, "apiName": api, "applicationName": application.name,
    });
    let changed = handle.associate_api_key(key, Some(application.id), as_read);
    let changed = changed.await;
    let changed = changed.map_err(answer)?;
    Ok(with_applied(Json(body).into_response(), &changed.applied))
}

async fn dissociate(
    State(services): State<Services>,
    caller: Caller,
    Path(api): Path<String>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let key = find(&services, &caller, &api, &mut fields).await?;
    let as_read = as_read(&services, &caller, &api, &headers).await?;
    unbind(&services, (key, as_read)).await
}

/// Ends a key's association.
pub(super) async fn unbind(
    services: &Services,
    (key, as_read): (ApiKey, bool),
) -> Result<Response, ApiError> {
    let changed = portal(services)?.associate_api_key(key, None, as_read);
    let changed = changed.await.map_err(answer)?;
    Ok(with_applied(
        StatusCode::OK.into_response(),
        &changed.applied,
    ))
}

/// The caller's key that the body names; it must be one of this API.
async fn find(
    services: &Services,
    caller: &Caller,
    api: &str,
    fields: &mut Fields,
) -> Result<ApiKey, ApiError> {
    let id = fields.required_text("keyUUID", 60)?;
    let found = portal(services)?
        .api_key(&caller.tenant, &caller.user, &id)
        .await;
    let key = found.map_err(answer)?;
    if key.api_id == api {
        Ok(key)
    } else {
        Err(ApiError::not_found("API key", &id))
    }
}

fn permitted(fields: &mut Fields) -> Result<(String, String), ApiError> {
    let Some(mut properties) = fields.object("additionalProperties")? else {
        return Ok((String::new(), String::new()));
    };
    let addresses = properties.text("permittedIP", 2_000)?.unwrap_or_default();
    let referers = properties
        .text("permittedReferer", 2_000)?
        .unwrap_or_default();
    let words = |text: &str| {
        let words = text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let addresses = words(&addresses);
    if let Some(bad) = addresses
        .iter()
        .find(|word| AddressRange::parse(word).is_none())
    {
        let problem = format!("{bad} is no address or network, write 10.0.0.1 or 10.0.0.0/8");
        return Err(ApiError::bad_field(
            "additionalProperties.permittedIP",
            problem,
        ));
    }
    Ok((addresses.join(","), words(&referers).join(",")))
}

fn shown(name: &str, key: &str, validity: i64) -> Value {
    json!({ "keyName": name, "apikey": key, "validityPeriod": validity })
}

/// The name of the API that a key opens.
async fn api_name(services: &Services, caller: &Caller, id: &str) -> Result<String, ApiError> {
    let found = portal(services)?.apis_by_id(&caller.tenant, [id].into());
    let row = found.await.map_err(answer)?.remove(id);
    Ok(row.ok_or_else(|| ApiError::not_found("API", id))?.name)
}

/// The list of keys, each with what stands beside it there.
pub(super) fn write_all<'a>(
    keys: impl IntoIterator<Item = &'a ApiKey>,
    beside: impl Fn(&'a ApiKey) -> Vec<(&'static str, Option<&'a str>)>,
) -> Value {
    let list: Vec<_> = keys
        .into_iter()
        .map(|key| write(key, &beside(key)))
        .collect();
    json!({ "count": list.len(), "list": list })
}

/// A key as lists show it, with what stands beside it there: never the key itself. Both moments
/// are milliseconds since the epoch as a text, the contract's form of `lastUsed`.
fn write(key: &ApiKey, beside: &[(&str, Option<&str>)]) -> Value {
    let used = key.last_used_at_ms.map(|at| at.to_string());
    let mut value = json!({
        "keyUUID": key.id,
        "keyName": key.name,
        "keyType": key.key_type.as_str(),
        "issuedOn": key.issued_at_ms.to_string(),
        "validityPeriod": key.validity_seconds,
        "lastUsed": used.as_deref().unwrap_or("NOT_USED"),
    });
    if let Some(members) = value.as_object_mut() {
        let beside = beside
            .iter()
            .filter_map(|(name, text)| Some((name, (*text)?)));
        members.extend(beside.map(|(name, text)| ((*name).to_owned(), text.into())));
    }
    value
}
