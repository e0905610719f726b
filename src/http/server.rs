//! Listeners of the management port: TLS or plain, HTTP/1.1 and HTTP/2, stopped in order.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Extension, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::MapRequestLayer;

use cluster::spawn_named;

use crate::accept::{Acceptance, Accepting};
use crate::error::ApiError;
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
    let router = router.layer(from_fn(answered));
    let graceful = GracefulShutdown::new();
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
        let watcher = graceful.watcher();
        let stop = stop.clone();
        spawn_named("management connection", async move {
            connection(stream, acceptor, router, watcher, &stop).await;
        });
    }
    drop(accepting);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    watcher: Watcher,
    stop: &CancellationToken,
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
            let _ = watcher.watch(serving.into_owned()).await;
        }
        Some(acceptor) => {
            let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream));
            let stream = tokio::select! {
                shaken = handshake => match shaken {
                    Ok(Ok(stream)) => stream,
                    _ => return,
                },
                // No request is open yet: nothing is lost.
                () = stop.cancelled() => return,
            };
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            let _ = watcher.watch(serving.into_owned()).await;
        }
    }
}

/// Answers a request whose handler panics: it gets a 500, its connection goes on.
async fn answered(request: Request, next: Next) -> Response {
    caught(next.run(request)).await
}

async fn caught(serving: impl Future<Output = Response>) -> Response {
    let mut serving = pin!(serving);
    poll_fn(|cx| {
        // Nothing of a serving that panicked is looked at again.
        match catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(_) => {
                metrics::counter!("headgate_management_panics_total").increment(1);
                Poll::Ready(ApiError::internal(&"its handler panicked").into_response())
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    async fn served(router: Router, stop: &CancellationToken) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptance = Acceptance::new("listen.management");
        let serving = serve((listener, acceptance), None, router, stop.clone());
        spawn_named("test server", serving);
        TcpStream::connect(address).await.unwrap()
    }

    #[tokio::test]
    async fn a_panic_costs_its_request_a_500_and_the_connection_nothing() {
        async fn planted() -> &'static str {
            panic!("planted")
        }
        let router = Router::new()
            .route("/panics", get(planted))
            .route("/goes", get(|| async { "on" }));
        let mut caller = served(router, &CancellationToken::new()).await;
        caller
            .write_all(b"GET /panics HTTP/1.1\r\nhost: a\r\n\r\nGET /goes HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut said = String::new();
        caller.read_to_string(&mut said).await.unwrap();
        let failed = StatusCode::INTERNAL_SERVER_ERROR.as_str();
        assert!(said.starts_with(&format!("HTTP/1.1 {failed}")), "{said}");
        assert!(
            said.contains("HTTP/1.1 200") && said.ends_with("on"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_request_that_is_open() {
        let (begun, has_begun) = oneshot::channel();
        let (go, going) = oneshot::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(Some((begun, going))));
        let handler = move || async move {
            let (begun, going) = held.lock().unwrap().take().unwrap();
            begun.send(()).unwrap();
            going.await.unwrap();
            "done"
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(handler));
        let acceptance = Acceptance::new("listen.management");
        let serving = serve((listener, acceptance.clone()), None, router, stop.clone());
        let mut serving = pin!(serving);
        let mut caller = tokio::select! {
            () = &mut serving => panic!("it ended without a stop"),
            caller = async {
                let mut caller = TcpStream::connect(address).await.unwrap();
                let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
                caller.write_all(request).await.unwrap();
                has_begun.await.unwrap();
                caller
            } => caller,
        };
        stop.cancel();
        // It has heard of the stop when nobody accepts any more, and still waits.
        let ended = poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx).is_ready())).await;
        assert!(!ended && acceptance.problem().is_some());
        go.send(()).unwrap();
        serving.await;
        let mut said = String::new();
        caller.read_to_string(&mut said).await.unwrap();
        assert!(
            said.starts_with("HTTP/1.1 200") && said.ends_with("done"),
            "{said}"
        );
    }
}
