//! Documents as the contracts show them: a member that has no value is not there; `null` is not a
//! value of any of their types.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::entity_tag::{tagged_as_seen, version_of};

/// The object without the members that have no value.
pub(crate) fn present(mut document: Value) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    document
}

/// The version that a document's tag tells of what it says.
pub(crate) fn seen_version(document: &Value) -> i64 {
    version_of(document.to_string().as_bytes())
}

/// A document with the tag of what it says.
pub(crate) fn seen(document: Value) -> Response {
    let text = document.to_string();
    tagged_as_seen(Json(document).into_response(), text.as_bytes())
}
