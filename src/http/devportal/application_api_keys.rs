//! `/applications/{applicationId}/api-keys/{keyType}`: the API keys that an application uses.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::api_keys::{bind, unbind, write};
use super::applications::own;
use super::key_document::parse_key_type;
use super::portal;
use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::failure::answer;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

const MANAGE: Access = Access::Scopes(&["apim:subscribe", "apim:app_manage", "apim:api_key"]);

macro_rules! operations {
    ($($name:ident: $method:literal $path:literal $body:ident;)*) => {$(
        pub(super) static $name: Operation = Operation::new(
            $method,
            concat!(
                "/api/am/devportal/v3/applications/{applicationId}/api-keys/{keyType}",
                $path
            ),
            MANAGE,
            BodyKind::$body,
        );
    )*};
}

operations! {
    ASSOCIATIONS: "GET" "/associations" Empty;
    ASSOCIATE: "POST" "/associate" Json;
    DISSOCIATE: "POST" "/dissociate" Json;
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
) -> Result<Json<Value>, ApiError> {
    own(&services, &caller, &id).await?;
    let key_type = parse_key_type(&key_type)?;
    let keys = portal(&services)?
        .api_keys_of_application(&caller.tenant, &id)
        .await
        .map_err(answer)?;
    let apis = keys.iter().map(|key| key.api_id.as_str()).collect();
    let apis = portal(&services)?.apis_by_id(&caller.tenant, apis).await;
    let apis = apis.map_err(answer)?;
    let keys = keys.iter().filter(|key| key.key_type == key_type);
    let list: Vec<_> = keys
        .map(|key| {
            let name = apis.get(&key.api_id).map(|row| row.name.as_str());
            write(key, &[("apiUUID", Some(&key.api_id)), ("apiName", name)])
        })
        .collect();
    Ok(Json(json!({ "count": list.len(), "list": list })))
}

async fn associate(
    State(services): State<Services>,
    caller: Caller,
    Path((id, key_type)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let key = find(&services, &caller, &key_type, &mut fields).await?;
    if key.api_id != fields.required_text("apiUUID", 60)? {
        return Err(ApiError::bad_field("apiUUID", "is not the API of the key"));
    }
    bind(&services, &caller, key, id).await
}

async fn dissociate(
    State(services): State<Services>,
    caller: Caller,
    Path((id, key_type)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    own(&services, &caller, &id).await?;
    let key = find(&services, &caller, &key_type, &mut fields).await?;
    if key.application_id.as_deref() != Some(id.as_str()) {
        return Err(ApiError::not_found("association", &key.id));
    }
    unbind(&services, key).await
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
