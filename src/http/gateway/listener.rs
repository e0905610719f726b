//! The ingress: HTTP/1.1 and HTTP/2, with and without TLS, within limits; a handler that panics
//! costs its request a 500 and nobody else anything.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cluster::spawn_named;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::accept::{Acceptance, Accepting};

use super::body::GatewayBody;
use super::fault::{Fault, Source};
use super::ingress::Ingress;
use super::serve::{Peer, serve};

/// A head or a TLS handshake that takes longer ends the connection (threats 33).
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// The largest head (threats 35).
const HEAD_BYTES: usize = 64 * 1024;
const FIELDS: usize = 100;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 200;
/// How long open requests may go on after a stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `listener` until `stop`, then lets open requests end.
pub async fn listen(
    (listener, acceptance): (TcpListener, Acceptance),
    tls: Option<Arc<rustls::ServerConfig>>,
    ingress: Arc<Ingress>,
    stop: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let graceful = Arc::new(GracefulShutdown::new());
    let builder = Arc::new(builder());
    let accepting = Accepting::begin(listener, acceptance);
    while let Some((stream, peer)) = accepting.next(&stop).await {
        let (acceptor, ingress) = (acceptor.clone(), Arc::clone(&ingress));
        let (graceful, builder) = (Arc::clone(&graceful), Arc::clone(&builder));
        let watcher = graceful.watcher();
        spawn_named("ingress connection", async move {
            connection(stream, peer, acceptor, ingress, &builder, watcher).await;
        });
    }
    drop(accepting);
    if let Some(graceful) = Arc::into_inner(graceful) {
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES)
        .max_headers(FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(HEAD_DEADLINE);
    builder
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    ingress: Arc<Ingress>,
    builder: &auto::Builder<TokioExecutor>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let peer = Peer::new(peer.ip(), acceptor.is_some());
    let service = service_fn(move |request| answer(Arc::clone(&ingress), peer.clone(), request));
    let served = match acceptor {
        None => {
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            watcher.watch(serving.into_owned()).await
        }
        Some(acceptor) => {
            let handshake = tokio::time::timeout(HEAD_DEADLINE, acceptor.accept(stream));
            let Ok(Ok(stream)) = handshake.await else {
                return;
            };
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            watcher.watch(serving.into_owned()).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// Serves one request; a panic becomes a 500 (threats 40).
async fn answer(
    ingress: Arc<Ingress>,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<GatewayBody>, Infallible> {
    Ok(caught(serve(ingress, peer, request)).await)
}

async fn caught(serving: impl Future<Output = Response<GatewayBody>>) -> Response<GatewayBody> {
    let mut serving = pin!(serving);
    poll_fn(|cx| {
        // Nothing of a serving that panicked is looked at again.
        match catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(_) => {
                metrics::counter!("headgate_gateway_panics_total").increment(1);
                tracing::error!("a request made its handler panic");
                let mut fault = Fault::client(
                    900_900,
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Internal Server Error",
                    "The gateway could not serve the request",
                );
                fault.source = Source::Platform;
                Poll::Ready(fault.response(false, &Method::GET))
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_its_request_a_500() {
        let response = caught(async { panic!("planted") }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
