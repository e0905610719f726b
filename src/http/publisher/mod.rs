//! Publisher v4: APIs under `/api/am/publisher/v4`, as WSO2's contract shapes them.
//!
//! One file per resource; `api_document` maps the contract's `API` to the domain's and back,
//! `fault` turns the publisher's refusals into answers.

mod api_document;
mod api_parts;
mod apis;
mod definitions;
mod deployments;
mod endpoint_config;
mod fault;
mod form;
mod kept;
mod lifecycle;
mod policies;
mod promises;
mod publisher_part;
mod revisions;
mod settings;
mod subscriptions;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use actors::publisher::{Author, Edition, PublisherHandle};

use crate::auth::Caller;
use crate::entity_tag::{self, modified, tagged};
use crate::error::ApiError;
use crate::operation::Operation;
use crate::services::Services;

/// Every operation of the publisher.
pub const OPERATIONS: &[&Operation] = &[
    &apis::LIST,
    &apis::CREATE,
    &apis::GET,
    &apis::UPDATE,
    &apis::DELETE,
    &apis::VALIDATE,
    &apis::COPY,
    &definitions::IMPORT,
    &definitions::VALIDATE,
    &definitions::GET,
    &definitions::PUT,
    &lifecycle::CHANGE,
    &lifecycle::STATE,
    &lifecycle::HISTORY,
    &revisions::LIST,
    &revisions::CREATE,
    &revisions::GET,
    &revisions::DELETE,
    &revisions::RESTORE,
    &deployments::LIST,
    &deployments::DEPLOY,
    &deployments::UNDEPLOY,
    &subscriptions::LIST,
    &subscriptions::BLOCK,
    &subscriptions::UNBLOCK,
    &policies::LIST,
    &policies::GET,
    &policies::OF_API,
    &settings::GET,
];

/// The publisher's routes.
pub fn router() -> Router<Services> {
    let parts: [fn(Router<Services>) -> Router<Services>; 8] = [
        apis::routes,
        definitions::routes,
        lifecycle::routes,
        revisions::routes,
        deployments::routes,
        subscriptions::routes,
        policies::routes,
        settings::routes,
    ];
    parts
        .into_iter()
        .fold(Router::new(), |router, routes| routes(router))
}

/// The publisher of this node.
fn publisher(services: &Services) -> Result<&PublisherHandle, ApiError> {
    let publisher = services.publisher.as_ref();
    publisher.ok_or_else(|| ApiError::unavailable(&"this node has no publisher"))
}

fn author(caller: &Caller) -> Author {
    Author {
        tenant: caller.tenant.clone(),
        user: caller.user.clone(),
    }
}

fn edition(caller: &Caller, api_id: &str, headers: &HeaderMap) -> Result<Edition, ApiError> {
    Ok(Edition {
        author: author(caller),
        api_id: api_id.to_owned(),
        expected: entity_tag::wanted(headers)?,
    })
}

fn with_location(mut response: Response, location: &str) -> Response {
    if let Ok(value) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

fn json(value: Value) -> Response {
    axum::Json(value).into_response()
}

/// Without the members that have no value: the contract has no `null`.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}

/// A moment as the contract's `date-time` (RFC 3339, UTC).
fn timestamp(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| String::new(), |at| at.to_string())
}

/// Reads a query flag; absent is false.
fn query_flag(name: &str, text: Option<&str>) -> Result<bool, ApiError> {
    match text {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::bad_field(name, "must be true or false")),
    }
}

/// Reads a query parameter that must be there.
fn required<'a>(name: &str, text: Option<&'a str>) -> Result<&'a str, ApiError> {
    match text {
        Some(text) if !text.trim().is_empty() => Ok(text),
        _ => Err(ApiError::bad_field(name, "is required")),
    }
}
