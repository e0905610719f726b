//! The HTTP client of the command line: it trusts the node's own authority, and can show each call
//! as the curl line that repeats it, with secrets left to shell variables and files.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

/// The most bytes of an answer.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// A call without an answer for so long has failed.
const DEADLINE: Duration = Duration::from_secs(60);
const BOUNDARY: &str = "headgate-form-b1f3a7c25d";

/// Sends calls. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    ca: Option<String>,
}

/// One call, and how curl would make it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: String,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    shown: Vec<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

// === impl Client ===

impl Client {
    /// A client that trusts the authority in a PEM file and no other.
    pub(crate) fn trusting(ca: &Path) -> anyhow::Result<Self> {
        let shown = ca.display();
        let mut roots = rustls::RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(ca)
            .with_context(|| format!("{shown} cannot be read: it is the node's ca.pem"))?;
        for certificate in certificates {
            let certificate = certificate.with_context(|| format!("{shown} is no certificate"))?;
            roots.add(certificate)?;
        }
        Ok(Self::with_roots(roots, Some(shown.to_string())))
    }

    /// A client that trusts no authority: for addresses without TLS.
    pub(crate) fn plain() -> Self {
        Self::with_roots(rustls::RootCertStore::empty(), None)
    }

    fn with_roots(roots: rustls::RootCertStore, ca: Option<String>) -> Self {
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self::with_tls(tls, ca)
    }

    /// A client that trusts as `tls` says; curl would trust the authority in the file `ca`.
    pub(crate) fn with_tls(tls: rustls::ClientConfig, ca: Option<String>) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Self {
            pool: Pool::builder(TokioExecutor::new()).build(connector),
            ca,
        }
    }

    /// Sends a call and reads its answer to the end.
    pub(crate) async fn send(&self, call: &Call) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(call.method.as_str())
            .uri(&call.url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(call.body.clone()))?;
        let exchange = async {
            let response = self.pool.request(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_LIMIT).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
            anyhow::Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
            })
        };
        let what = || format!("{} {} failed", call.method, call.url);
        let answered = tokio::time::timeout(DEADLINE, exchange).await;
        answered
            .context("no answer in time")
            .with_context(what)?
            .with_context(what)
    }

    /// The curl line that repeats a call.
    pub(crate) fn curl(&self, call: &Call) -> String {
        let mut line = "curl -sS".to_owned();
        if let Some(ca) = &self.ca {
            let _ = write!(line, " --cacert {}", quoted(ca));
        }
        if call.method != "GET" {
            let _ = write!(line, " -X {}", call.method);
        }
        for part in &call.shown {
            line.push(' ');
            line.push_str(part);
        }
        line.push(' ');
        line.push_str(&quoted(&call.url));
        line
    }
}

// === impl Call ===

impl Call {
    /// A call without a body.
    pub(crate) fn new(method: &str, url: String) -> Self {
        Self {
            method: method.to_owned(),
            url,
            headers: Vec::new(),
            body: Bytes::new(),
            shown: Vec::new(),
        }
    }

    /// Sends a bearer token, shown as the shell variable `variable`.
    pub(crate) fn bearer(mut self, token: &str, variable: &str) -> Self {
        self.headers
            .push(("authorization", format!("Bearer {token}")));
        self.shown
            .push(format!("-H \"Authorization: Bearer ${variable}\""));
        self
    }

    /// Sends `user:password` as HTTP Basic, shown as the shell words `shown`.
    pub(crate) fn basic(mut self, credential: &str, shown: &str) -> Self {
        let value = format!("Basic {}", STANDARD.encode(credential));
        self.headers.push(("authorization", value));
        self.shown.push(format!("-u {shown}"));
        self
    }

    /// Sends JSON.
    pub(crate) fn json(mut self, body: &Value) -> Self {
        let text = body.to_string();
        self.headers
            .push(("content-type", "application/json".to_owned()));
        self.shown
            .push("-H 'Content-Type: application/json'".to_owned());
        self.shown.push(format!("-d {}", quoted(&text)));
        self.body = Bytes::from(text);
        self
    }

    /// Sends form fields; a field with a third element is shown as that and not as its value.
    pub(crate) fn form(mut self, fields: &[(&str, &str, Option<&str>)]) -> Self {
        let mut text = String::new();
        for (name, value, shown) in fields {
            if !text.is_empty() {
                text.push('&');
            }
            let _ = write!(text, "{name}={}", percent_encoded(value));
            let shown = shown.map_or_else(
                || quoted(&format!("{name}={value}")),
                |words| format!("\"{name}={words}\""),
            );
            self.shown.push(format!("--data-urlencode {shown}"));
        }
        let kind = "application/x-www-form-urlencoded".to_owned();
        self.headers.push(("content-type", kind));
        self.body = Bytes::from(text);
        self
    }

    /// Sends a file and text parts as `multipart/form-data`; `path` is where curl finds the file.
    pub(crate) fn upload(mut self, file: &str, path: &Path, texts: &[(&str, &str)]) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut text = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: application/yaml\r\n\r\n{file}\r\n"
        );
        self.shown.push(format!(
            "-F {}",
            quoted(&format!("file=@{}", path.display()))
        ));
        for (name, value) in texts {
            let _ = write!(
                text,
                "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            self.shown
                .push(format!("-F {}", quoted(&format!("{name}={value}"))));
        }
        let _ = write!(text, "--{BOUNDARY}--\r\n");
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.headers.push(("content-type", kind));
        self.body = Bytes::from(text);
        self
    }
}

// === impl Answer ===

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {} came without JSON", self.status))
    }

    /// The body as JSON of a 2xx answer; anything else is an error that says what came instead.
    pub(crate) fn success(&self, what: &str) -> anyhow::Result<Value> {
        match self.status {
            204 => Ok(Value::Null),
            200..=299 if self.body.is_empty() => Ok(Value::Null),
            200..=299 => self.json(),
            status => bail!("{what}: status {status}, {}", self.reason()),
        }
    }

    /// Why a call was refused: the description of an error body, or the body's beginning.
    pub(crate) fn reason(&self) -> String {
        let body = self.json().unwrap_or_default();
        let told = [
            "description",
            "detail",
            "error_description",
            "message",
            "error",
        ]
        .iter()
        .find_map(|name| body.get(name)?.as_str());
        match told {
            Some(told) => told.to_owned(),
            None => self.text().chars().take(300).collect(),
        }
    }
}

/// A word as a shell takes it unchanged.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.-_@=,%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_shown_as_a_curl_line_without_its_secrets() {
        let client = Client::plain();
        let call = Call::new("POST", "http://localhost:1/a?b=c d".to_owned())
            .bearer("s3cret", "TOKEN")
            .json(&json!({"name": "it's"}));
        assert_eq!(
            client.curl(&call),
            "curl -sS -X POST -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: \
             application/json' -d '{\"name\":\"it'\\''s\"}' 'http://localhost:1/a?b=c d'"
        );
        let call = Call::new("POST", "http://localhost:1/t".to_owned())
            .basic("a:s3cret", "\"$(cat client)\"")
            .form(&[
                ("grant_type", "password", None),
                ("password", "s3cret", Some("$(cat p)")),
            ]);
        let line = client.curl(&call);
        assert!(!line.contains("s3cret"), "{line}");
        assert!(
            line.contains("--data-urlencode \"password=$(cat p)\""),
            "{line}"
        );
    }

    #[test]
    fn form_values_are_percent_encoded() {
        assert_eq!(percent_encoded("a b&c=ü~"), "a%20b%26c%3D%C3%BC~");
    }
}
