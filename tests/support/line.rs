//! One connection to a gateway in a chosen version of HTTP, for bodies that flow both ways.

use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http1,
    Http2,
}

/// A connection; dropping it ends it.
pub struct Line {
    sender: Sender,
    driver: JoinHandle<()>,
}

enum Sender {
    Http1(http1::SendRequest<Pieces>),
    Http2(http2::SendRequest<Pieces>),
}

/// A body that is sent piece by piece.
pub struct Pieces(mpsc::Receiver<Frame<Bytes>>);

/// A body and where its pieces are put.
pub fn pieces() -> (mpsc::Sender<Frame<Bytes>>, Pieces) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Pieces(receiver))
}

/// A body that is known whole.
pub fn whole(text: &str) -> Pieces {
    let (sender, pieces) = pieces();
    if !text.is_empty() {
        let piece = Frame::data(Bytes::copy_from_slice(text.as_bytes()));
        sender.try_send(piece).expect("room for one");
    }
    pieces
}

/// The next piece of an answer; empty at its end.
pub async fn next(body: &mut Incoming) -> Bytes {
    let frame = tokio::time::timeout(Duration::from_secs(20), body.frame());
    match frame.await.expect("a piece in time") {
        Some(frame) => frame.expect("a whole body").into_data().unwrap_or_default(),
        None => Bytes::new(),
    }
}

/// TLS to `localhost` at an address, under the authority in this file, with these protocols offered.
pub async fn tls(address: &str, ca: &Path, offers: &[&str]) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("an authority") {
        let certificate = certificate.expect("a certificate");
        roots.add(certificate).expect("an authority");
    }
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offers.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let name = "localhost".try_into().expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    connecting.await.expect("a handshake")
}

impl Version {
    /// What it is called where TLS agrees on it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

impl Line {
    pub async fn open(address: &str, version: Version) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self::over(stream, version).await
    }

    /// On a connection that stands.
    #[allow(
        clippy::disallowed_methods,
        reason = "a task of the test's own runtime"
    )]
    pub async fn over<S>(stream: S, version: Version) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
                let driver = tokio::spawn(async move {
                    let _ = connection.await;
                });
                Self {
                    sender: Sender::Http1(sender),
                    driver,
                }
            }
            Version::Http2 => {
                let builder = http2::Builder::new(TokioExecutor::new());
                let (sender, connection) = builder.handshake(io).await.expect("HTTP/2");
                let driver = tokio::spawn(async move {
                    let _ = connection.await;
                });
                Self {
                    sender: Sender::Http2(sender),
                    driver,
                }
            }
        }
    }

    /// Sends; over HTTP/1.1 the target is shortened to its path.
    pub async fn send(
        &mut self,
        mut request: Request<Pieces>,
    ) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                let host = request.uri().authority().expect("a host").to_string();
                let path = request.uri().path_and_query().expect("a path").to_string();
                *request.uri_mut() = path.parse().expect("a path");
                let host = host.parse().expect("a host");
                request.headers_mut().entry("host").or_insert(host);
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Whether the connection has ended.
    pub fn is_over(&self) -> bool {
        self.driver.is_finished()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}
