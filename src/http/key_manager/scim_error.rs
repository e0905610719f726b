//! SCIM's own error body (RFC 7644 §3.12).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use actors::key_manager::command::Refused;

use crate::error::ApiError;

/// A refusal of a SCIM operation.
#[derive(Debug)]
pub(super) struct ScimError {
    status: StatusCode,
    detail: String,
    kind: Option<&'static str>,
}

// === impl ScimError ===

impl ScimError {
    pub(super) fn invalid_value(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            detail: detail.into(),
            kind: Some("invalidValue"),
        }
    }

    pub(super) fn invalid_path(path: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            detail: format!("{path} cannot be changed, only the password can"),
            kind: Some("invalidPath"),
        }
    }

    pub(super) fn invalid_filter(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            detail: detail.into(),
            kind: Some("invalidFilter"),
        }
    }
}

impl From<ApiError> for ScimError {
    fn from(error: ApiError) -> Self {
        Self {
            status: error.status(),
            detail: error.description().to_owned(),
            kind: (error.status() == StatusCode::BAD_REQUEST).then_some("invalidSyntax"),
        }
    }
}

impl From<Refused> for ScimError {
    fn from(refused: Refused) -> Self {
        let (status, kind) = match &refused {
            Refused::BadField { .. } => (StatusCode::BAD_REQUEST, Some("invalidValue")),
            Refused::Duplicate(_) => (StatusCode::CONFLICT, Some("uniqueness")),
            Refused::NotFound(_) => (StatusCode::NOT_FOUND, None),
            Refused::Oauth(..) | Refused::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        // Of people only the name is to be theirs alone.
        let detail = match &refused {
            Refused::Duplicate(_) => format!("userName: {refused}"),
            refused => refused.to_string(),
        };
        Self {
            status,
            detail,
            kind,
        }
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.as_str(),
            "detail": self.detail,
        });
        if let (Some(members), Some(kind)) = (body.as_object_mut(), self.kind) {
            members.insert("scimType".to_owned(), kind.into());
        }
        let kind = [(header::CONTENT_TYPE, "application/scim+json")];
        (self.status, kind, body.to_string()).into_response()
    }
}
