//! The ingress: HTTP/1.1 and HTTP/2, with and without TLS, within limits; a handler that panics
//! costs its request a 500 and nobody else anything.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cluster::spawn_named;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::{Acceptance, Accepting};
use crate::answering::Answering;
use crate::leaving::{self, Leaving};
use crate::serving::{run, shaken};
use crate::socket::Socket;
use crate::turn::{Open, Turn};
use crate::watched::Watched;

use super::body::GatewayBody;
use super::exchange::lost;
use super::fault::{Fault, Source};
use super::full::Full;
use super::handshake;
use super::ingress::{Current, Ingress};
use super::refusal::Told;
use super::serve::{ACTIVITY_ID, Peer, X_REQUEST_ID, serve};
use super::tunnel::AFTER_DRAIN;

/// The largest head (threats 35).
const HEAD_BYTES: usize = 64 * 1024;
const FIELDS: usize = 100;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 200;
/// What serving a connection needs.
struct Connection {
    peer: Arc<Peer>,
    ingress: Arc<Ingress>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    leaving: Leaving,
    stop: CancellationToken,
    /// Cancelled when open sockets have had their time after that.
    parts: CancellationToken,
}

/// Serves `listener` until the node stops, then lets open requests end.
pub async fn listen(
    (listener, acceptance): (TcpListener, Acceptance),
    tls: Option<Arc<rustls::ServerConfig>>,
    ingress: Current,
    leaving: Leaving,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let builder = Arc::new(builder());
    let (connections, mut full) = (TaskTracker::new(), Full::default());
    let parts = CancellationToken::new();
    let mut accepting = Accepting::begin(listener, acceptance);
    while let Some((stream, peer)) = accepting.next(leaving.stopping()).await {
        let ingress = ingress.get();
        let (most, now) = (
            ingress.settings.connections,
            ingress.gateway.clock().monotonic(),
        );
        if connections.len() >= most {
            full.refuse(stream, acceptor.is_some(), most, now);
            continue;
        }
        full.is_over(now);
        let connection = Connection {
            peer: Arc::new(Peer::new(peer.ip(), acceptor.is_some(), &leaving)),
            ingress,
            builder: Arc::clone(&builder),
            leaving: leaving.clone(),
            stop: leaving.stopping().child_token(),
            parts: parts.clone(),
        };
        let serving = connection.accept(stream, acceptor.clone());
        spawn_named("ingress connection", connections.track_future(serving));
    }
    drop(accepting);
    connections.close();
    if timeout(leaving.drain(), connections.wait()).await.is_err() {
        parts.cancel();
        let _ = timeout(AFTER_DRAIN, connections.wait()).await;
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // It would run while a connection idles as well: `turn` tells the two apart.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .max_headers(FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

// === impl Connection ===

impl Connection {
    async fn accept(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        let _ = stream.set_nodelay(true);
        let turn = Arc::new(Turn::new(self.ingress.gateway.clock().clone()));
        let stream = Socket::new(stream, Arc::clone(&turn));
        let Some(acceptor) = acceptor else {
            return self.serve(stream, turn).await;
        };
        let patience = self.ingress.settings.patience.head;
        let handshake = acceptor.accept(stream);
        if let Some(stream) = shaken(handshake, patience, &self.stop).await {
            turn.shaken();
            self.serve(stream, turn).await;
        }
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        turn: Arc<Turn>,
    ) {
        let Self {
            peer,
            ingress,
            builder,
            leaving,
            stop,
            parts,
        } = self;
        let drain = leaving.drain();
        let refusals = Told(Arc::clone(&ingress));
        let stream = Watched::new(stream, Arc::clone(&turn), refusals);
        let patience = ingress.settings.patience;
        let (answering, caller) = (Arc::clone(&turn), Arc::clone(&peer));
        let service = service_fn(move |request| {
            answer(
                Arc::clone(&ingress),
                Arc::clone(&caller),
                answering.begin(),
                request,
            )
        });
        let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        run(serving, &turn, &patience, (&stop, drain)).await;
        if let Some(tunnel) = peer.tunnel.take() {
            // What is written now is no answer of hyper's.
            let _open = turn.begin();
            tunnel.run(&parts).await;
        }
    }
}

/// Serves one request; a panic becomes a 500 (threats 40).
async fn answer(
    ingress: Arc<Ingress>,
    peer: Arc<Peer>,
    mut open: Open,
    request: Request<Incoming>,
) -> Result<Response<Answering<GatewayBody>>, Infallible> {
    // What is chunked has no length, and a look at the fields is spared for the others.
    let chunked = request.body().size_hint().exact().is_none()
        && request.headers().contains_key(header::TRANSFER_ENCODING);
    let bodiless = request.method() == Method::HEAD;
    // Others that ask for a switch get none.
    if handshake::is_asked(&request) {
        open.may_switch();
    }
    // Pinned here and not in `caught`: handed over by value it would lie in this future twice, to be copied twice.
    let (version, leaving) = (request.version(), Arc::clone(&peer));
    let serving = pin!(serve(ingress, peer, request));
    let mut response = caught(serving, bodiless).await;
    let is_last = leaving.leaving.ends(version);
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    // A length beside the chunks may have been dropped unseen: the connection ends (threats 19).
    if (chunked || is_last) && !switches {
        leaving::close(response.headers_mut());
    }
    Ok(response.map(|inner| Answering::new(inner, open)))
}

async fn caught(
    mut serving: Pin<&mut impl Future<Output = Response<GatewayBody>>>,
    bodiless: bool,
) -> Response<GatewayBody> {
    poll_fn(|cx| {
        // Nothing of a serving that panicked is looked at again.
        match catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(_) => {
                metrics::counter!("headgate_gateway_panics_total").increment(1);
                Poll::Ready(broken(lost(), bodiless))
            }
        }
    })
    .await
}

/// The answer to a request whose handler panicked; it names the request when that had a name already.
fn broken(id: Option<HeaderValue>, bodiless: bool) -> Response<GatewayBody> {
    let named = id.as_ref().and_then(|id| id.to_str().ok());
    tracing::error!(request_id = named, "a request made its handler panic");
    let mut fault = Fault::client(
        900_900,
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal Server Error",
        "The gateway could not serve the request",
    );
    fault.source = Source::Platform;
    let method = if bodiless { Method::HEAD } else { Method::GET };
    let mut response = fault.response(false, &method);
    if let Some(id) = id {
        response.headers_mut().insert(X_REQUEST_ID, id.clone());
        response.headers_mut().insert(ACTIVITY_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_its_request_a_500() {
        for bodiless in [false, true] {
            let serving = pin!(async { panic!("planted") });
            let response = caught(serving, bodiless).await;
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.body().is_end_stream(), bodiless);
        }
    }

    /// What a request's way takes on the stack or the heap is copied for each request.
    #[test]
    fn a_requests_way_lies_in_its_future_once() {
        fn size<A, B, C, D, F>(_: fn(A, B, C, D) -> F) -> usize {
            size_of::<F>()
        }
        fn inner<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        let (way, whole) = (inner(serve), size(answer));
        assert!(whole < way + 1_024, "{whole} around {way}");
    }
}
