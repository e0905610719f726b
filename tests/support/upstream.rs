//! Upstreams of a test's own: one that answers what it was asked and remembers every request, and
//! ones that do what a test says.

use std::convert::Infallible;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// One request as the upstream got it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub version: http::Version,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// A running upstream.
#[derive(Clone)]
pub struct Upstream {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// TLS for an upstream: a certificate for `localhost` under an authority of its own.
#[derive(Clone)]
pub struct Tls {
    pub ca: PathBuf,
    acceptor: TlsAcceptor,
    agreed: Arc<Mutex<Vec<String>>>,
}

impl Tls {
    /// Makes both; the authority's certificate is written into `dir`.
    pub fn new(dir: &Path) -> Self {
        Self::speaking(dir, &["h2", "http/1.1"])
    }

    /// The same, of an upstream that speaks these protocols.
    pub fn speaking(dir: &Path, protocols: &[&str]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let authority = params.self_signed(&authority_key).expect("an authority");
        let issuer = rcgen::Issuer::new(params, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned()];
        let leaf = rcgen::CertificateParams::new(names).expect("a name");
        let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("a certificate and its key");
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        let ca = dir.join("upstream-ca.pem");
        std::fs::write(&ca, authority.pem()).expect("a file");
        Self {
            ca,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            agreed: Arc::default(),
        }
    }

    /// What each connection agreed to speak; empty where it agreed on nothing.
    pub fn agreed(&self) -> Vec<String> {
        self.agreed.lock().expect("not poisoned").clone()
    }

    async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = self.acceptor.accept(stream).await?;
        let agreed = stream.get_ref().1.alpn_protocol().unwrap_or_default();
        let agreed = String::from_utf8_lossy(agreed).into_owned();
        self.agreed.lock().expect("not poisoned").push(agreed);
        Ok(stream)
    }

    /// The line of `[gateway]` that trusts it.
    pub fn setting(&self) -> String {
        format!("upstream_ca = {:?}\n", self.ca)
    }
}

/// Serves `service` on a port of its own; gives its URL.
#[allow(clippy::disallowed_methods, reason = "tasks of the test's own runtime")]
pub async fn serve<S, F, B>(tls: Option<&Tls>, service: S) -> String
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("a port").port();
    let tls = tls.cloned();
    let scheme = if tls.is_some() { "https" } else { "http" };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (service, tls) = (service.clone(), tls.clone());
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let answer = service(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = match tls {
                    None => {
                        let io = TokioIo::new(stream);
                        builder.serve_connection(io, service).await
                    }
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => {
                            let io = TokioIo::new(stream);
                            builder.serve_connection(io, service).await
                        }
                        Err(_) => Ok(()),
                    },
                };
            });
        }
    });
    format!("{scheme}://localhost:{port}")
}

/// Hands each connection to `script`; gives the URL.
#[allow(clippy::disallowed_methods, reason = "tasks of the test's own runtime")]
pub async fn scripted<S, F>(script: S) -> String
where
    S: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("a port"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    url
}

/// The same over TLS.
#[allow(clippy::disallowed_methods, reason = "tasks of the test's own runtime")]
pub async fn scripted_over<S, F>(tls: &Tls, script: S) -> String
where
    S: Fn(TlsStream<TcpStream>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let tls = tls.clone();
    let url = scripted(move |stream| {
        let (tls, script) = (tls.clone(), script.clone());
        async move {
            if let Ok(stream) = tls.accept(stream).await {
                script(stream).await;
            }
        }
    });
    let url = url.await.replace("http://127.0.0.1", "https://localhost");
    assert!(url.starts_with("https://localhost:"), "{url}");
    url
}

impl Upstream {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// With or without TLS.
    pub async fn start_with(tls: Option<&Tls>) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&seen);
        let url = serve(tls, move |request| answer(request, Arc::clone(&remembered))).await;
        Self { url, seen }
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.seen.lock().expect("not poisoned").len()
    }
}

impl Seen {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Mutex<Vec<Seen>>>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let one = Seen {
        version: head.version,
        method: head.method.to_string(),
        path: path.to_owned(),
        headers: headers.collect(),
        body,
    };
    let text = serde_json::json!({"method": one.method, "path": one.path}).to_string();
    seen.lock().expect("not poisoned").push(one);
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", kind);
    response
}
