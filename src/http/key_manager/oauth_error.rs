//! OAuth2's own error body (RFC 6749 §5.2): `{error, error_description}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use actors::key_manager::command::{OauthRefusal, Refused};

use crate::error::ApiError;

/// A refusal of an OAuth2 endpoint.
#[derive(Debug)]
pub(super) enum OauthError {
    /// With OAuth2's body.
    Body {
        status: StatusCode,
        error: &'static str,
        description: String,
    },
    /// The platform's own trouble.
    Platform(ApiError),
}

// === impl OauthError ===

impl OauthError {
    /// Whether the request itself is wrong, whoever sends it.
    pub(super) fn is_bad_request(&self) -> bool {
        matches!(self, Self::Body { status, .. } if *status == StatusCode::BAD_REQUEST)
    }

    pub(super) fn invalid_request(description: impl Into<String>) -> Self {
        Self::bad("invalid_request", description)
    }

    pub(super) fn bad(error: &'static str, description: impl Into<String>) -> Self {
        Self::Body {
            status: StatusCode::BAD_REQUEST,
            error,
            description: description.into(),
        }
    }

    pub(super) fn invalid_client() -> Self {
        Self::Body {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            description: "the client is unknown or its secret is wrong".to_owned(),
        }
    }
}

impl From<Refused> for OauthError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Oauth(OauthRefusal::InvalidClient, _) => Self::invalid_client(),
            Refused::Oauth(OauthRefusal::InvalidGrant, description) => {
                Self::bad("invalid_grant", description)
            }
            Refused::Oauth(OauthRefusal::UnauthorizedClient, description) => {
                Self::bad("unauthorized_client", description)
            }
            Refused::Oauth(OauthRefusal::InvalidScope, description) => {
                Self::bad("invalid_scope", description)
            }
            refused => Self::Platform(ApiError::unavailable(&refused)),
        }
    }
}

impl From<ApiError> for OauthError {
    fn from(error: ApiError) -> Self {
        match error.status() {
            StatusCode::BAD_REQUEST => Self::invalid_request("the body could not be read"),
            _ => Self::Platform(error),
        }
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let (status, error, description) = match self {
            Self::Platform(error) => return error.into_response(),
            Self::Body {
                status,
                error,
                description,
            } => (status, error, description),
        };
        let body = Json(json!({ "error": error, "error_description": description }));
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"Headgate\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
