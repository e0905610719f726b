//! `/settings` and `/key-managers`: what a portal in a browser asks after its login.

use axum::extract::State;
use axum::{Json, Router};
use serde_json::{Value, json};

use domain::artifact::DEFAULT_VHOST;

use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

const VIEW: Access = Access::Scopes(&["apim:store_settings"]);
const GRANT_TYPES: [&str; 3] = ["client_credentials", "password", "refresh_token"];

pub(super) static SETTINGS: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/settings",
    VIEW,
    BodyKind::Empty,
);
pub(super) static KEY_MANAGERS: Operation = Operation::new(
    "GET",
    "/api/am/devportal/v3/key-managers",
    Access::Scopes(&["apim:subscribe"]),
    BodyKind::Empty,
);

pub(super) fn mount(router: Router<Services>) -> Router<Services> {
    let router = SETTINGS.mount(router, settings);
    KEY_MANAGERS.mount(router, key_managers)
}

async fn settings(State(services): State<Services>) -> Json<Value> {
    let scopes = [
        "apim:subscribe",
        "apim:app_manage",
        "apim:sub_manage",
        "apim:api_key",
    ];
    let gateways = ["https", "http"].map(|scheme| services.ingress.url(scheme, DEFAULT_VHOST, ""));
    let gateways: Vec<String> = gateways.into_iter().flatten().collect();
    Json(json!({
        "grantTypes": GRANT_TYPES,
        "scopes": scopes,
        "applicationSharingEnabled": false,
        "mapExistingAuthApps": false,
        "apiGatewayEndpoint": gateways.join(", "),
        "monetizationEnabled": false,
        "recommendationEnabled": false,
        "IsUnlimitedTierPaid": false,
        "identityProvider": {"external": false},
        "IsAnonymousModeEnabled": true,
        "IsPasswordChangeEnabled": true,
        "passwordPolicyMinLength": 5,
        "passwordPolicyMaxLength": 128,
    }))
}

async fn key_managers(State(services): State<Services>) -> Json<Value> {
    let issuer = services.key_manager.issuer().text();
    let base = issuer.strip_suffix("/oauth2/token").unwrap_or(&issuer);
    Json(json!({
        "count": 1,
        "list": [{
            "id": "resident",
            "name": "Resident Key Manager",
            "type": "default",
            "displayName": "Resident Key Manager",
            "description": "the key manager of this platform",
            "enabled": true,
            "availableGrantTypes": GRANT_TYPES,
            "tokenEndpoint": format!("{base}/oauth2/token"),
            "revokeEndpoint": format!("{base}/oauth2/revoke"),
            "userInfoEndpoint": format!("{base}/oauth2/userinfo"),
            "enableTokenGeneration": true,
            "enableTokenEncryption": false,
            "enableTokenHashing": true,
            "enableOAuthAppCreation": true,
            "enableMapOAuthConsumerApps": false,
            "applicationConfiguration": [],
            "additionalProperties": {},
            "tokenType": "DIRECT",
        }],
    }))
}
