//! Listeners of the management port: TLS or plain, HTTP/1.1 and HTTP/2, stopped in order.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Extension, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::MapRequestLayer;

use cluster::spawn_named;

use crate::accept::{Acceptance, Accepting};
use crate::received::Received;
use crate::timed_body::TimedBody;

/// A TLS handshake that takes longer is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The most bytes of a request's head; beyond it 431 (RFC 6585 §5).
const HEADER_LIMIT: usize = 64 * 1024;
/// How long open requests may go on after a stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `router` on `listener` until `stop`, then lets open requests end.
pub async fn serve(
    (listener, acceptance): (TcpListener, Acceptance),
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    stop: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let graceful = Arc::new(GracefulShutdown::new());
    let accepting = Accepting::begin(listener, acceptance);
    while let Some((stream, peer)) = accepting.next(&stop).await {
        let acceptor = acceptor.clone();
        let router =
            router
                .clone()
                .layer(Extension(ConnectInfo(peer)))
                .layer(MapRequestLayer::new(|request: Request| {
                    request.map(TimedBody::wrap)
                }));
        let graceful = Arc::clone(&graceful);
        spawn_named("management connection", async move {
            connection(stream, acceptor, router, &graceful).await;
        });
    }
    drop(accepting);
    if let Some(graceful) = Arc::into_inner(graceful) {
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    graceful: &GracefulShutdown,
) {
    let _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE)
        .max_buf_size(HEADER_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEADER_LIMIT).unwrap_or(u32::MAX));
    let router = router.map_request(Received::<Incoming>::of);
    let service = TowerToHyperService::new(router);
    match acceptor {
        None => {
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            let _ = graceful.watch(serving.into_owned()).await;
        }
        Some(acceptor) => {
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await
            else {
                return;
            };
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            let _ = graceful.watch(serving.into_owned()).await;
        }
    }
}
