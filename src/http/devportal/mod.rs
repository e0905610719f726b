//! Developer Portal v3: APIs to be found, applications, keys, subscriptions.

mod api_keys;
mod apis;
mod application_api_keys;
mod application_document;
mod applications;
mod key_document;
mod keys;
mod least_rate;
mod me;
mod policies;
mod search;
mod settings;
mod subscription_document;
mod subscriptions;

use axum::Router;

use actors::devportal::DevPortalHandle;

use crate::error::ApiError;
use crate::operation::Operation;
use crate::services::Services;

/// The declared operations.
pub const OPERATIONS: &[&Operation] = &[
    &apis::LIST,
    &apis::GET,
    &apis::SWAGGER,
    &apis::PLANS,
    &applications::LIST,
    &applications::CREATE,
    &applications::GET,
    &applications::UPDATE,
    &applications::DELETE,
    &keys::GENERATE,
    &keys::LIST,
    &keys::LIST_OLD,
    &keys::GET,
    &keys::GET_OLD,
    &keys::UPDATE,
    &keys::UPDATE_OLD,
    &keys::REGENERATE,
    &keys::REGENERATE_OLD,
    &keys::CLEAN_UP,
    &keys::CLEAN_UP_OLD,
    &keys::TOKEN,
    &keys::TOKEN_OLD,
    &subscriptions::LIST,
    &subscriptions::CREATE,
    &subscriptions::CREATE_MANY,
    &subscriptions::GET,
    &subscriptions::UPDATE,
    &subscriptions::DELETE,
    &api_keys::LIST,
    &api_keys::GENERATE,
    &api_keys::REGENERATE,
    &api_keys::REVOKE,
    &api_keys::ASSOCIATE,
    &api_keys::DISSOCIATE,
    &application_api_keys::ASSOCIATIONS,
    &application_api_keys::ASSOCIATE,
    &application_api_keys::DISSOCIATE,
    &search::SEARCH,
    &policies::LIST,
    &policies::GET,
    &settings::SETTINGS,
    &settings::KEY_MANAGERS,
    &me::CHANGE_PASSWORD,
];

/// The routes.
pub(crate) fn router() -> Router<Services> {
    let router = apis::mount(Router::new());
    let router = applications::mount(router);
    let router = keys::mount(router);
    let router = subscriptions::mount(router);
    let router = api_keys::mount(router);
    let router = application_api_keys::mount(router);
    let router = search::mount(router);
    let router = policies::mount(router);
    let router = me::mount(router);
    settings::mount(router)
}

/// The portal, where this node has it.
fn portal(services: &Services) -> Result<&DevPortalHandle, ApiError> {
    let handle = services.devportal.as_ref();
    handle.ok_or_else(|| ApiError::unavailable(&"this node does not have the role devportal"))
}

/// A moment as the contract writes it.
fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| at.to_string())
}
