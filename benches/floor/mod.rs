//! The floor under the gateway: a bare proxy made of the same crates, the same runtime, nothing
//! else. It runs as a child process of the benchmark's own executable (`floor UPSTREAM`).

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Context as _;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

type Upstreams = Client<HttpConnector, Incoming>;
type Body = Either<Incoming, Empty<Bytes>>;

/// The word that makes a benchmark's executable the floor.
pub(crate) const WORD: &str = "floor";

/// Proxies to `upstream` forever; prints its own address first.
pub(crate) async fn run(upstream: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let upstreams: Upstreams = Client::builder(TokioExecutor::new()).build(connector);
    let authority = Authority::try_from(upstream.to_string())?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (upstreams, authority) = (upstreams.clone(), authority.clone());
        let serve =
            service_fn(move |request| forward(upstreams.clone(), authority.clone(), request));
        cluster::spawn_named("floor connection", async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), serve).await;
        });
    }
}

async fn forward(
    upstreams: Upstreams,
    authority: Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let moved = || -> anyhow::Result<(Uri, HeaderValue)> {
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let host = HeaderValue::from_str(authority.as_str())?;
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(authority.clone());
        Ok((uri.path_and_query(path).build().context("no URI")?, host))
    };
    if let Ok((uri, host)) = moved() {
        *request.uri_mut() = uri;
        request.headers_mut().insert(http::header::HOST, host);
        if let Ok(response) = upstreams.request(request).await {
            return Ok(response.map(Either::Left));
        }
    }
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    Ok(response)
}

/// A service that answers every request with its own body.
pub(crate) async fn echo(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let serve = service_fn(|request: Request<Incoming>| async {
            anyhow::Ok(Response::new(request.into_body().boxed()))
        });
        cluster::spawn_named("echo connection", async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), serve).await;
        });
    }
}
