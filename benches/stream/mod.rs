//! Streams without content, and a client for each protocol that a gateway speaks.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http1Tls,
    Http2,
    Http2Tls,
}

/// So many zeros, counted as they leave.
#[derive(Debug)]
pub(crate) struct Zeros {
    left: u64,
    sent: Arc<AtomicU64>,
}

/// What every call of a run has in common.
pub(crate) struct Call {
    pub(crate) client: Client<HttpsConnector<HttpConnector>, Zeros>,
    pub(crate) url: String,
    pub(crate) token: String,
}

// === impl Protocol ===

impl Protocol {
    pub(crate) const ALL: [Self; 4] = [Self::Http1, Self::Http1Tls, Self::Http2, Self::Http2Tls];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http1Tls => "HTTP/1.1 with TLS",
            Self::Http2 => "HTTP/2",
            Self::Http2Tls => "HTTP/2 with TLS",
        }
    }

    pub(crate) const fn is_secure(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2Tls)
    }

    pub(crate) const fn scheme(self) -> &'static str {
        if self.is_secure() { "https" } else { "http" }
    }
}

// === impl Zeros ===

impl Zeros {
    pub(crate) const fn new(length: u64, sent: Arc<AtomicU64>) -> Self {
        Self { left: length, sent }
    }
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let length = self.left.min(CHUNK.len() as u64);
        if length == 0 {
            return Poll::Ready(None);
        }
        self.left -= length;
        self.sent.fetch_add(length, Ordering::Relaxed);
        let chunk = Bytes::from_static(&CHUNK).slice(..usize::try_from(length).unwrap_or(0));
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

// === impl Call ===

impl Call {
    pub(crate) async fn send(
        &self,
        method: Method,
        body: Zeros,
    ) -> anyhow::Result<Response<Incoming>> {
        let request = Request::builder()
            .method(method)
            .uri(&self.url)
            .header("authorization", format!("Bearer {}", self.token));
        Ok(self.client.request(request.body(body)?).await?)
    }
}

/// A client that speaks one protocol and trusts the node's authority.
pub(crate) fn client(
    protocol: Protocol,
    ca: &Path,
) -> anyhow::Result<Client<HttpsConnector<HttpConnector>, Zeros>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    let is_second = matches!(protocol, Protocol::Http2 | Protocol::Http2Tls);
    let connector = if is_second {
        builder.enable_http2().build()
    } else {
        builder.enable_http1().build()
    };
    let mut client = Client::builder(TokioExecutor::new());
    client.http2_only(is_second);
    Ok(client.build(connector))
}

/// Reads a body to its end; gives how much it was.
pub(crate) async fn drain(mut body: Incoming) -> Result<u64, hyper::Error> {
    let mut came = 0;
    while let Some(frame) = body.frame().await {
        came += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(came)
}
