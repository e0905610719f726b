//! The one error of the management APIs: WSO2's body `{code,message,description,moreInfo,error}`.
//!
//! What a person may do about it is in `description`; each faulty member is one item of `error`.
//! The reason of an internal failure goes to the log, never to the caller.

use axum::Json;
use axum::http::header::{self, ACCEPT, IF_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A refusal or failure of a management operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: u32,
    message: &'static str,
    description: String,
    items: Vec<ErrorItem>,
    challenge: Option<&'static str>,
}

/// One faulty member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorItem {
    /// The member, header or parameter; `body` for a JSON body as a whole.
    pub code: String,
    /// What is wrong with it.
    pub message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    code: u32,
    message: &'a str,
    description: &'a str,
    more_info: &'a str,
    error: &'a [ErrorItem],
}

// === impl ApiError ===

impl ApiError {
    /// An error of any status, with WSO2's code.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: u32,
        message: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            message,
            description: description.into(),
            items: Vec::new(),
            challenge: None,
        }
    }

    /// 400: the member `field` is missing or wrong.
    #[must_use]
    pub fn bad_field(field: &str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        let mut error = Self::bad_request(format!("{field}: {problem}"));
        error.items.push(ErrorItem {
            code: field.to_owned(),
            message: problem,
        });
        error
    }

    /// 400: several members, each with its problem; the first one is the description.
    #[must_use]
    pub fn bad_fields(faults: impl IntoIterator<Item = (String, String)>) -> Self {
        let items = faults
            .into_iter()
            .map(|(code, message)| ErrorItem { code, message });
        let items: Vec<_> = items.collect();
        let first = items.first();
        let first = first.map(|item| format!("{}: {}", item.code, item.message));
        let mut error = Self::bad_request(first.unwrap_or_default());
        error.items = items;
        error
    }

    /// 400: the request as a whole is wrong.
    #[must_use]
    pub fn bad_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 400, "Bad Request", description)
    }

    /// 401: no valid credential.
    #[must_use]
    pub fn unauthorized(description: impl Into<String>) -> Self {
        let status = StatusCode::UNAUTHORIZED;
        let mut error = Self::new(status, 900_401, "Unauthorized", description);
        error.challenge = Some("Bearer realm=\"Headgate\", error=\"invalid_token\"");
        error
    }

    /// 401 for endpoints that take HTTP Basic credentials.
    #[must_use]
    pub fn basic_unauthorized(description: impl Into<String>) -> Self {
        let mut error = Self::unauthorized(description);
        error.challenge = Some("Basic realm=\"Headgate\", charset=\"UTF-8\"");
        error
    }

    /// 403: known, but not allowed.
    #[must_use]
    pub fn forbidden(description: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, 900_403, "Forbidden", description)
    }

    /// 404: `what` with this id is not there, or is another's.
    #[must_use]
    pub fn not_found(what: &str, id: &str) -> Self {
        let shown: String = id.chars().take(100).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            404,
            "Not Found",
            format!("{what} {shown} does not exist"),
        )
    }

    /// 404: `what` is not there, or is another's.
    #[must_use]
    pub fn missing(what: &str) -> Self {
        let shown: String = what.chars().take(150).collect();
        let description = format!("{shown} does not exist");
        Self::new(StatusCode::NOT_FOUND, 404, "Not Found", description)
    }

    /// 405: the path is known, but not with this method.
    #[must_use]
    pub fn method_not_allowed(method: &str) -> Self {
        let shown: String = method.chars().take(20).collect();
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            405,
            "Method Not Allowed",
            format!("the path has no {shown}, the header Allow lists what it has"),
        )
    }

    /// 406: the request's `Accept` does not admit `available`, the type that the answer has.
    #[must_use]
    pub fn not_acceptable(available: &str) -> Self {
        let status = StatusCode::NOT_ACCEPTABLE;
        let description = format!(
            "the answer is {available}, which the header Accept does not admit: ask for it, or send no Accept"
        );
        Self::new(status, 406, "Not Acceptable", description).naming(&[ACCEPT.as_str()])
    }

    /// 409: what `member` names is taken, or is in a state that does not allow it.
    #[must_use]
    pub fn conflict(member: &str, description: impl Into<String>) -> Self {
        Self::conflicts(&[member], description)
    }

    /// 409: what these members name together.
    #[must_use]
    pub fn conflicts(members: &[&str], description: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::CONFLICT, 409, "Conflict", description);
        error.naming(members)
    }

    /// The same, about these members.
    fn naming(mut self, members: &[&str]) -> Self {
        let item = |member: &&str| ErrorItem {
            code: (*member).to_owned(),
            message: self.description.clone(),
        };
        self.items = members.iter().map(item).collect();
        self
    }

    /// 412: the row is not the one that `If-Match` names.
    #[must_use]
    pub fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            412,
            "Precondition Failed",
            "the resource was changed since it was read, read it again and repeat the change",
        )
        .naming(&[IF_MATCH.as_str()])
    }

    /// 408: the body did not come in time.
    #[must_use]
    pub fn late() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            408,
            "Request Timeout",
            "the body did not come in time",
        )
    }

    /// 413: the part of a form called `member`, or the body as a whole, exceeds `limit` bytes.
    #[must_use]
    pub fn too_large(member: &str, limit: usize) -> Self {
        const MEGABYTE: usize = 1024 * 1024;
        let limit = match limit % MEGABYTE {
            0 => format!("{} MB ({limit} bytes)", limit / MEGABYTE),
            _ => format!("{limit} bytes"),
        };
        let description = format!("{member}: exceeds {limit}; bytes count, white space as well");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(status, 413, "Payload Too Large", description).naming(&[member])
    }

    /// 415: the body's media type is not one of `wanted`.
    #[must_use]
    pub fn unsupported_media(wanted: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            415,
            "Unsupported Media Type",
            format!("send the body as {wanted}"),
        )
    }

    /// 500: `reason` is logged, the caller learns only that it failed.
    #[must_use]
    pub fn internal(reason: &dyn std::fmt::Display) -> Self {
        tracing::error!(%reason, "management request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            900_967,
            "General Error",
            "the server failed, its log says why",
        )
    }

    /// 503: a part of the platform does not answer; trying again may help.
    #[must_use]
    pub fn unavailable(reason: &dyn std::fmt::Display) -> Self {
        tracing::warn!(%reason, "management request could not be served");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            503,
            "Service Unavailable",
            "a part of the platform does not answer, try again",
        )
    }

    /// 503: there is no place for it now; nothing is logged, for there may be many.
    #[must_use]
    pub fn busy(description: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, 503, "Service Unavailable", description)
    }

    /// What is wrong and what may be done about it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Body {
            code: self.code,
            message: self.message,
            description: &self.description,
            more_info: "",
            error: &self.items,
        };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        if let Some(challenge) = self.challenge {
            let challenge = HeaderValue::from_static(challenge);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
