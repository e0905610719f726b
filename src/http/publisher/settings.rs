//! `/settings`: what a publisher's user interface needs to know of the platform.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use domain::artifact::{DEFAULT_ENVIRONMENT, DEFAULT_VHOST};
use domain::policy::UNLIMITED;

use super::{OPERATIONS, json as answer, publisher};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static GET: Operation = Operation::new(
    "GET",
    "/api/am/publisher/v4/settings",
    Access::Scopes(&["apim:api_view", "apim:publisher_settings"]),
    BodyKind::Empty,
);

pub(super) fn routes(router: Router<Services>) -> Router<Services> {
    GET.mount(router, get)
}

async fn get(State(services): State<Services>, _caller: Caller) -> Result<Response, ApiError> {
    publisher(&services)?;
    let mut vhost = json!({ "host": DEFAULT_VHOST, "httpContext": "" });
    let schemes = [("http", "httpPort"), ("https", "httpsPort")];
    let mut uris = Vec::new();
    for (scheme, member) in schemes {
        let Some(reached) = services.ingress.of(scheme) else {
            continue;
        };
        if let Some(members) = vhost.as_object_mut() {
            members.insert(member.to_owned(), reached.port.into());
        }
        let url = services.ingress.url(scheme, DEFAULT_VHOST, "");
        let told = url.filter(|_| reached.host.is_some());
        uris.extend(told.map(|url| json!({ "protocol": scheme, "endpointURI": url })));
    }
    Ok(answer(json!({
        "environment": [{
            "id": DEFAULT_ENVIRONMENT,
            "name": DEFAULT_ENVIRONMENT,
            "displayName": DEFAULT_ENVIRONMENT,
            "type": "hybrid",
            "serverUrl": "",
            "provider": "wso2",
            "showInApiConsole": true,
            "vhosts": [vhost],
            "endpointURIs": uris,
            "additionalProperties": [],
        }],
        "gatewayTypes": ["Regular"],
        "scopes": scopes(),
        "monetizationAttributes": [],
        "externalStoresEnabled": false,
        "docVisibilityEnabled": false,
        "crossTenantSubscriptionEnabled": false,
        "defaultAdvancePolicy": UNLIMITED,
        "defaultSubscriptionPolicy": UNLIMITED,
        "authorizationHeader": "authorization",
    })))
}

/// Every scope that an operation of the publisher asks for, each once.
fn scopes() -> Vec<&'static str> {
    let mut scopes: Vec<&'static str> = OPERATIONS
        .iter()
        .flat_map(|operation| match operation.access {
            Access::Scopes(scopes) => scopes,
            _ => &[],
        })
        .copied()
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}
