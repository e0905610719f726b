//! Admin v4: throttling policies and deny policies.

mod deny_document;
mod deny_policies;
mod deny_search;
mod policies;
mod policy_document;
mod policy_kept;
#[cfg(test)]
mod policy_limit_tests;
mod policy_options;
#[cfg(test)]
mod policy_tests;
mod promises;

use axum::Router;

use actors::admin::AdminHandle;

use crate::error::ApiError;
use crate::operation::Operation;
use crate::services::Services;

/// The declared operations.
pub const OPERATIONS: &[&Operation] = &[
    &policies::subscription::LIST,
    &policies::subscription::CREATE,
    &policies::subscription::GET,
    &policies::subscription::UPDATE,
    &policies::subscription::DELETE,
    &policies::application::LIST,
    &policies::application::CREATE,
    &policies::application::GET,
    &policies::application::UPDATE,
    &policies::application::DELETE,
    &policies::advanced::LIST,
    &policies::advanced::CREATE,
    &policies::advanced::GET,
    &policies::advanced::UPDATE,
    &policies::advanced::DELETE,
    &deny_policies::LIST,
    &deny_policies::CREATE,
    &deny_policies::GET,
    &deny_policies::PATCH,
    &deny_policies::DELETE,
];

/// The routes.
pub(crate) fn router() -> Router<Services> {
    deny_policies::mount(policies::mount(Router::new()))
}

/// The administration, where this node has it.
fn admin(services: &Services) -> Result<&AdminHandle, ApiError> {
    let handle = services.admin.as_ref();
    handle.ok_or_else(|| ApiError::unavailable(&"this node does not have the role admin"))
}
