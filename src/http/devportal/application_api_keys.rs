//! `/applications/{applicationId}/api-keys/{keyType}`: the API keys that an application uses.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use super::api_keys::{bind, unbind, write_all};
use super::applications::own;
use super::key_document::parse_key_type;
use super::portal;
use crate::auth::Caller;
use crate::body::Fields;
use crate::document::{seen, seen_version};
use crate::entity_tag::{met, wanted};
use crate::error::ApiError;
use crate::failure::answer;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

const MANAGE: Access = Access::Scopes(&["apim:subscribe", "apim:app_manage", "apim:api_key"]);

macro_rules! operations {
    ($($name:ident: $method:literal $path:literal $body:ident $(.$with:ident($($what:expr)?))*;)*) => {$(
        pub(super) static $name: Operation = Operation::new(
            $method,
            concat!(
                "/api/am/devportal/v3/applications/{applicationId}/api-keys/{keyType}",
                $path
            ),
            MANAGE,
            BodyKind::$body,
        )
        .owned()
        $(.$with($($what)?))*;
    )*};
}

operations! {
    ASSOCIATIONS: "GET" "/associations" Empty;
    ASSOCIATE: "POST" "/associate" Json .if_match() .required(&["keyUUID", "apiUUID"]);
    DISSOCIATE: "POST" "/dissociate" Json .if_match() .required(&["keyUUID"]);
}

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    let router = ASSOCIATIONS.mount(router, associations);
    let router = ASSOCIATE.mount(router, associate);
    DISSOCIATE.mount(router, dissociate)
}

async fn associations(
    State(services): State<Services>,
    caller: Caller,
    Path((id, key_type)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    own(&services, &caller, &id).await?;
    Ok(seen(listed(&services, &caller, &id, &key_type).await?))
}

async fn listed(
    services: &Services,
    caller: &Caller,
    id: &str,
    key_type: &str,
) -> Result<Value, ApiError> {
    let key_type = parse_key_type(key_type)?;
    let handle = portal(services)?;
    let keys = handle.api_keys_of_application(&caller.tenant, id).await;
    let keys = keys.map_err(answer)?;
    let apis = keys.iter().map(|key| key.api_id.as_str()).collect();
    let apis = handle.apis_by_id(&caller.tenant, apis).await;
    let apis = apis.map_err(answer)?;
    let keys = keys.iter().filter(|key| key.key_type == key_type);
    Ok(write_all(keys, |key| {
        let name = apis.get(&key.api_id).map(|row| row.name.as_str());
        vec![("apiUUID", Some(key.api_id.as_str())), ("apiName", name)]
    }))
}

/// Whether a change must meet the key as it was read because the caller has seen the list.
async fn as_read(
    services: &Services,
    caller: &Caller,
    (id, key_type): (&str, &str),
    headers: &HeaderMap,
) -> Result<bool, ApiError> {
    if wanted(headers)?.is_empty() {
        return Ok(false);
    }
    let version = seen_version(&listed(services, caller, id, key_type).await?);
    Ok(met(headers, version)?.is_some())
}

async fn associate(
    State(services): State<Services>,
    caller: Caller,
    Path((id, key_type)): Path<(String, String)>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    own(&services, &caller, &id).await?;
    let key = find(&services, &caller, &key_type, &mut fields).await?;
    if key.api_id != fields.required_text("apiUUID", 60)? {
        return Err(ApiError::bad_field("apiUUID", "is not the API of the key"));
    }
    let as_read = as_read(&services, &caller, (&id, &key_type), &headers).await?;
    bind(&services, &caller, (key, as_read), id).await
}

async fn dissociate(
    State(services): State<Services>,
    caller: Caller,
    Path((id, key_type)): Path<(String, String)>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    own(&services, &caller, &id).await?;
    let key = find(&services, &caller, &key_type, &mut fields).await?;
    if key.application_id.as_deref() != Some(id.as_str()) {
        return Err(ApiError::not_found("association", &key.id));
    }
    let as_read = as_read(&services, &caller, (&id, &key_type), &headers).await?;
    unbind(&services, (key, as_read)).await
}

async fn find(
    services: &Services,
    caller: &Caller,
    key_type: &str,
    fields: &mut Fields,
) -> Result<actors::devportal::ApiKey, ApiError> {
    let key_type = parse_key_type(key_type)?;
    let id = fields.required_text("keyUUID", 60)?;
    let found = portal(services)?
        .api_key(&caller.tenant, &caller.user, &id)
        .await;
    let key = found.map_err(answer)?;
    if key.key_type == key_type {
        Ok(key)
    } else {
        Err(ApiError::not_found("API key", &id))
    }
}
