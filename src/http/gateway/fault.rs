//! Refusals of the data plane and the one place that turns them into bodies: WSO2's code, status
//! and words as JSON, or as XML where the request spoke XML. What WSO2 has no code for is in
//! `docs/errors.md`.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};

use super::body::GatewayBody;

/// Who is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The caller.
    Client,
    /// Headgate.
    Platform,
    /// The upstream.
    Upstream,
}

/// Why a request is refused.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// WSO2's code.
    pub(super) code: u32,
    /// HTTP status.
    pub(super) status: StatusCode,
    /// Short text.
    pub(super) message: &'static str,
    /// What to do.
    pub(super) description: Cow<'static, str>,
    /// Who is at fault.
    pub(super) source: Source,
    /// Whether the same request may succeed later, and when, in seconds.
    pub(super) retry_after: Option<u64>,
    /// What the answer carries besides.
    pub(super) extra: Extra,
}

/// Fields of some refusals.
#[derive(Debug, Clone, Default)]
pub(super) enum Extra {
    /// Nothing.
    #[default]
    None,
    /// `Allow`.
    Allow(String),
    /// `WWW-Authenticate`.
    Challenge(&'static str),
    /// `nextAccessTime` in the body.
    NextAccess(String),
    /// `"type":"Status report"`, without a WSO2 code of the 900 range.
    Report,
    /// The connection is closed after the answer.
    Close,
}

/// The challenge of a missing or bad token.
pub(super) const OAUTH2: &str = "OAuth2 realm=\"WSO2 API Manager\"";
/// The challenge of a bad API key.
pub(super) const API_KEY: &str = "API Key realm=\"WSO2 API Manager\"";
/// The challenge where either would do.
pub(super) const EITHER: &str =
    "OAuth2 realm=\"WSO2 API Manager\", API Key realm=\"WSO2 API Manager\"";

// === impl Fault ===

impl Fault {
    /// A refusal that is the caller's fault.
    pub(super) const fn client(
        code: u32,
        status: StatusCode,
        message: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            code,
            status,
            message,
            description: Cow::Borrowed(description),
            source: Source::Client,
            retry_after: None,
            extra: Extra::None,
        }
    }

    /// A refusal that Headgate cannot help now; worth trying again.
    pub(super) const fn platform(description: &'static str) -> Self {
        Self {
            code: 900_900,
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "Service Unavailable",
            description: Cow::Borrowed(description),
            source: Source::Platform,
            retry_after: Some(1),
            extra: Extra::None,
        }
    }

    /// A fault of the upstream.
    pub(super) const fn upstream(code: u32, status: StatusCode, description: &'static str) -> Self {
        Self {
            code,
            status,
            message: "Runtime Error",
            description: Cow::Borrowed(description),
            source: Source::Upstream,
            retry_after: None,
            extra: Extra::Report,
        }
    }

    /// An upstream that breaks the protocol.
    pub(super) const fn not_http(description: &'static str) -> Self {
        Self::upstream(101_506, StatusCode::BAD_GATEWAY, description)
    }

    /// A request that breaks the protocol; the connection is of no more use.
    pub(super) fn bad_request(description: &'static str) -> Self {
        Self::client(400, StatusCode::BAD_REQUEST, "Bad Request", description).with(Extra::Close)
    }

    /// The request target exceeds its limit.
    pub(super) fn uri_too_long() -> Self {
        Self::client(
            414,
            StatusCode::URI_TOO_LONG,
            "URI Too Long",
            "The request target is longer than 8 KiB: send long values in the body",
        )
    }

    /// The head exceeds its limits.
    pub(super) fn too_many_fields() -> Self {
        Self::client(
            431,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Request Header Fields Too Large",
            "The request has more than 100 header fields, or more than 64 KiB of them",
        )
        .with(Extra::Close)
    }

    /// The body comes too slowly.
    pub(super) fn too_slow() -> Self {
        Self::client(
            408,
            StatusCode::REQUEST_TIMEOUT,
            "Request Timeout",
            "The body did not arrive in time",
        )
        .with(Extra::Close)
    }

    /// No API answers there.
    pub(super) fn not_found() -> Self {
        Self::client(
            404,
            StatusCode::NOT_FOUND,
            "Not Found",
            "The requested resource is not available.",
        )
        .with(Extra::Report)
    }

    /// The credential is no good.
    pub(super) fn invalid_credentials() -> Self {
        Self::client(
            900_901,
            StatusCode::UNAUTHORIZED,
            "Invalid Credentials",
            "Invalid Credentials. Make sure you have provided the correct security credentials",
        )
        .with(Extra::Challenge(OAUTH2))
    }

    /// The credential was good and a change is touching it.
    pub(super) const fn credential_changes() -> Self {
        Self::platform("The credential changes at this moment. Try again")
    }

    /// Whether nobody could tell, so that nothing is said about the call.
    pub(super) fn is_unsure(&self) -> bool {
        self.source == Source::Platform && self.code == 900_900
    }

    /// Whether a throttling policy refuses.
    pub(super) fn is_throttling(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// With something besides.
    #[must_use]
    pub(super) fn with(mut self, extra: Extra) -> Self {
        self.extra = extra;
        self
    }

    /// The answer. XML for requests that spoke it, unless the method forces JSON as WSO2 does.
    pub(super) fn response(&self, xml: bool, method: &Method) -> Response<GatewayBody> {
        let xml = xml && matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        let (kind, text) = if xml {
            ("application/xml; charset=UTF-8", self.xml())
        } else {
            ("application/json; charset=UTF-8", self.json())
        };
        let body = if *method == Method::HEAD {
            GatewayBody::empty()
        } else {
            GatewayBody::full(Bytes::from(text))
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match &self.extra {
            Extra::Allow(verbs) => {
                if let Ok(verbs) = HeaderValue::from_str(verbs) {
                    headers.insert(header::ALLOW, verbs);
                }
            }
            Extra::Challenge(challenge) => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static(challenge),
                );
            }
            Extra::Close => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Extra::None | Extra::NextAccess(_) | Extra::Report => {}
        }
        response
    }

    fn json(&self) -> String {
        let mut body = serde_json::Map::new();
        body.insert("code".to_owned(), self.code.to_string().into());
        if matches!(self.extra, Extra::Report) {
            body.insert("type".to_owned(), "Status report".into());
        }
        body.insert("message".to_owned(), self.message.into());
        body.insert("description".to_owned(), self.description.as_ref().into());
        if let Extra::NextAccess(time) = &self.extra {
            body.insert("nextAccessTime".to_owned(), time.as_str().into());
        }
        serde_json::Value::Object(body).to_string()
    }

    fn xml(&self) -> String {
        let (prefix, space) = match self.code {
            900_800..=900_899 => ("amt", "http://wso2.org/apimanager/throttling"),
            900_900..=900_999 => ("ams", "http://wso2.org/apimanager/security"),
            _ => ("am", "http://wso2.org/apimanager"),
        };
        let mut text = format!("<{prefix}:fault xmlns:{prefix}=\"{space}\">");
        let code = self.code.to_string();
        let report = matches!(self.extra, Extra::Report).then_some("Status report");
        let next = match &self.extra {
            Extra::NextAccess(time) => Some(time.as_str()),
            _ => None,
        };
        let members = [
            ("code", Some(code.as_str())),
            ("type", report),
            ("message", Some(self.message)),
            ("description", Some(&*self.description)),
            ("nextAccessTime", next),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                let value = escaped(value);
                text.push_str(&format!("<{prefix}:{name}>{value}</{prefix}:{name}>"));
            }
        }
        text.push_str(&format!("</{prefix}:fault>"));
        text
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_tells_what_json_tells() {
        let missing = Fault::not_found().xml();
        assert_eq!(
            missing,
            "<am:fault xmlns:am=\"http://wso2.org/apimanager\"><am:code>404</am:code>\
             <am:type>Status report</am:type><am:message>Not Found</am:message>\
             <am:description>The requested resource is not available.</am:description></am:fault>"
        );
        let throttled = Fault::client(900_804, StatusCode::TOO_MANY_REQUESTS, "Out", "a < b");
        let throttled = throttled.with(Extra::NextAccess("soon".to_owned())).xml();
        assert!(
            throttled.ends_with(
                "<amt:description>a &lt; b</amt:description>\
                 <amt:nextAccessTime>soon</amt:nextAccessTime></amt:fault>"
            ),
            "{throttled}"
        );
        assert!(!throttled.contains("amt:type"), "{throttled}");
    }
}
