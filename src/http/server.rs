//! Listeners of the management port: TLS or plain, HTTP/1.1 and HTTP/2, each connection within its
//! times, stopped in order.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower::util::MapRequestLayer;

use cluster::{Clock, spawn_named};

use crate::accept::{Acceptance, Accepting};
use crate::answering::Answering;
use crate::error::ApiError;
use crate::leaving::{self, Leaving};
use crate::patience::Patience;
use crate::places::{Places, let_in};
use crate::received::Received;
use crate::serving::{run, shaken};
use crate::socket::Socket;
use crate::timed_body::TimedBody;
use crate::turn::Turn;
use crate::watched::{Bare, Watched};

/// The most bytes of a request's head; beyond it 431 (RFC 6585 §5).
const HEADER_LIMIT: usize = 64 * 1024;

/// A connection that has been accepted.
struct Connection {
    router: Router,
    turn: Arc<Turn>,
    patience: Patience,
    leaving: Leaving,
}

/// Serves `router` on `listener` until the node stops, then lets open requests end.
pub async fn serve(
    listening: (TcpListener, Acceptance),
    tls: Option<Arc<rustls::ServerConfig>>,
    (router, places): (Router, Places),
    leaving: Leaving,
) {
    within(
        Patience::default(),
        listening,
        tls,
        (router, places),
        leaving,
    )
    .await;
}

async fn within(
    patience: Patience,
    (listener, acceptance): (TcpListener, Acceptance),
    tls: Option<Arc<rustls::ServerConfig>>,
    (router, places): (Router, Places),
    leaving: Leaving,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let router = router
        .layer(from_fn_with_state(places.clone(), let_in))
        .layer(from_fn(answered));
    // Only how long things last, and when, is read of it.
    let clock = Clock::system();
    let connections = TaskTracker::new();
    let mut accepting = Accepting::begin(listener, acceptance);
    while let Some((stream, peer)) = accepting.next(leaving.stopping()).await {
        let Some(seat) = places.seat(connections.len(), clock.monotonic()) else {
            continue;
        };
        let router = router
            .clone()
            .layer(Extension(ConnectInfo(peer)))
            .layer(Extension(seat))
            .layer(MapRequestLayer::new(|request: Request| {
                request.map(TimedBody::wrap)
            }));
        let connection = Connection {
            router,
            turn: Arc::new(Turn::new(clock.clone())),
            patience,
            leaving: leaving.clone(),
        };
        let serving = connection.accept(stream, acceptor.clone());
        spawn_named("management connection", connections.track_future(serving));
    }
    drop(accepting);
    connections.close();
    let _ = tokio::time::timeout(leaving.drain(), connections.wait()).await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `turn` counts from the first byte, also before the version is known.
        .header_read_timeout(None)
        .max_buf_size(HEADER_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEADER_LIMIT).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

// === impl Connection ===

impl Connection {
    async fn accept(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        let _ = stream.set_nodelay(true);
        let stream = Socket::new(stream, Arc::clone(&self.turn));
        let Some(acceptor) = acceptor else {
            return self.serve(stream).await;
        };
        let handshake = acceptor.accept(stream);
        if let Some(stream) = shaken(handshake, self.patience.head, self.leaving.stopping()).await {
            self.turn.shaken();
            self.serve(stream).await;
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self {
            router,
            turn,
            patience,
            leaving,
        } = self;
        let stream = Watched::new(stream, Arc::clone(&turn), Bare);
        let answering = Arc::clone(&turn);
        let stop = leaving.clone();
        let service = service_fn(move |request| {
            let open = answering.begin();
            let answer = answer(router.clone(), leaving.clone(), request);
            async move {
                let answer = answer.await;
                Ok::<_, Infallible>(answer.map(|body| Answering::new(body, open)))
            }
        });
        let builder = builder();
        let serving = builder.serve_connection(TokioIo::new(stream), service);
        run(serving, &turn, &patience, (stop.stopping(), stop.drain())).await;
    }
}

async fn answer(router: Router, leaving: Leaving, request: Request<Incoming>) -> Response<Body> {
    let version = request.version();
    let Ok(mut answer) = router.oneshot(Received::of(request)).await;
    if leaving.ends(version) {
        leaving::close(answer.headers_mut());
    }
    answer
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

    async fn served(router: Router, leaving: &Leaving) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptance = Acceptance::new("listen.management");
        let serving = serve(
            (listener, acceptance),
            None,
            (router, Places::default()),
            leaving.clone(),
        );
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
        let mut caller = served(router, &Leaving::new(SHORT.idle)).await;
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
    async fn once_a_node_is_told_to_go_each_answer_is_the_last_of_its_connection_and_others_are_taken()
     {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let leaving = Leaving::new(Duration::from_secs(10));
        let router = Router::new().route("/", get(|| async { "on" }));
        let listening = (listener, Acceptance::new("listen.management"));
        spawn_named(
            "test server",
            serve(
                listening,
                None,
                (router, Places::default()),
                leaving.clone(),
            ),
        );
        let mut early = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        early.write_all(request).await.unwrap();
        let mut first = [0; 1_024];
        let length = early.read(&mut first).await.unwrap();
        let first = String::from_utf8_lossy(&first[..length]).into_owned();
        assert!(!first.contains("connection: close"), "{first}");
        leaving.tell();
        for mut caller in [early, TcpStream::connect(address).await.unwrap()] {
            caller.write_all(request).await.unwrap();
            let mut said = String::new();
            caller.read_to_string(&mut said).await.unwrap();
            assert!(said.contains("connection: close"), "{said}");
            assert!(said.ends_with("on"), "{said}");
        }
    }

    const SHORT: Patience = Patience {
        head: Duration::from_millis(100),
        idle: Duration::from_millis(300),
        body: Duration::from_millis(100),
    };
    /// Who waits for so long waits for ever.
    const LONG: Duration = Duration::from_secs(20);

    async fn in_short(router: Router) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listening = (listener, Acceptance::new("listen.management"));
        let serving = within(
            SHORT,
            listening,
            None,
            (router, Places::default()),
            Leaving::new(SHORT.idle),
        );
        spawn_named("test server", serving);
        TcpStream::connect(address).await.unwrap()
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_more_ends_wherever_it_stopped() {
        let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        // What is answered to what was said: to a whole preface with settings.
        for (said, answer) in [
            (b"".as_slice(), b"".as_slice()),
            (b"PRI * HT", b""),
            (b"GET / HT", b""),
            (preface, &[0, 0]),
            (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"HTTP/1.1 404"),
        ] {
            let clock = Clock::system();
            let began = clock.monotonic();
            let mut caller = in_short(Router::new()).await;
            caller.write_all(said).await.unwrap();
            let mut heard = Vec::new();
            let ended = tokio::time::timeout(LONG, caller.read_to_end(&mut heard));
            ended.await.unwrap().unwrap();
            assert!(clock.monotonic() - began >= SHORT.head, "{said:?}");
            assert!(heard.starts_with(answer), "{said:?} {heard:?}");
            assert_eq!(heard.is_empty(), answer.is_empty(), "{said:?} {heard:?}");
        }
    }

    /// Goes on as long as it is taken.
    struct Endless(Option<oneshot::Sender<()>>);

    impl http_body::Body for Endless {
        type Data = bytes::Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
            let piece = bytes::Bytes::from_static(&[0; 64 * 1024]);
            Poll::Ready(Some(Ok(http_body::Frame::data(piece))))
        }
    }

    impl Drop for Endless {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(());
        }
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_ends_with_its_connection() {
        let (ended, has_ended) = oneshot::channel();
        let held = Arc::new(std::sync::Mutex::new(Some(ended)));
        let handler = move || async move { Body::new(Endless(held.lock().unwrap().take())) };
        let mut caller = in_short(Router::new().route("/", get(handler))).await;
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        caller.write_all(request).await.unwrap();
        let ended = tokio::time::timeout(LONG, has_ended);
        ended.await.unwrap().unwrap();
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
        let leaving = Leaving::new(Duration::from_secs(10));
        let router = Router::new().route("/", get(handler));
        let acceptance = Acceptance::new("listen.management");
        let serving = serve(
            (listener, acceptance.clone()),
            None,
            (router, Places::default()),
            leaving.clone(),
        );
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
        leaving.stop();
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
