//! Bodies through the gateway: they flow both ways at once, in whatever version of HTTP either
//! side speaks, as fast as the slower side takes them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::eventually;
use crate::support::line::{Line, Pieces, Version, next, pieces, whole};
use crate::support::shop::Shop;
use crate::support::upstream::{Tls, serve};
use crate::support::wire::Wire;

fn request(shop: &Shop, method: &str, body: Pieces) -> Request<Pieces> {
    Request::builder()
        .method(method)
        .uri("http://localhost/shop/1.0.0/items")
        .header(
            "authorization",
            format!("Bearer {}", shop.subscribed.access),
        )
        .body(body)
        .expect("a request")
}

/// A caller's way in: what it offers over TLS, nothing where it comes in the clear, and what it speaks then.
type Way = (&'static [&'static str], Version);

const WAYS: [Way; 4] = [
    (&[], Version::Http1),
    (&[], Version::Http2),
    (&["http/1.1"], Version::Http1),
    (&["http/1.1", "h2"], Version::Http2),
];

async fn come_in(shop: &Shop, (offers, version): Way) -> Line {
    if offers.is_empty() {
        return Line::open(&shop.address(), version).await;
    }
    let stream = shop.tls(offers).await;
    let agreed = stream.get_ref().1.alpn_protocol();
    assert_eq!(agreed, Some(version.name().as_bytes()), "{offers:?}");
    Line::over(stream, version).await
}

/// A body of five pieces, each of which comes back before the next one is sent: nobody holds it back.
async fn echoes(shop: &Shop, way: Way) {
    let mut line = come_in(shop, way).await;
    let (sender, body) = pieces();
    let first = Frame::data(Bytes::from_static(b"piece 0"));
    sender.send(first).await.expect("sent");
    let answer = line.send(request(shop, "POST", body)).await;
    let answer = answer.expect("an answer before the request's end");
    assert_eq!(answer.status(), 200);
    let mut echo = answer.into_body();
    assert_eq!(next(&mut echo).await, "piece 0");
    for n in 1..5 {
        let piece = Bytes::from(format!("piece {n}"));
        sender.send(Frame::data(piece.clone())).await.expect("sent");
        assert_eq!(next(&mut echo).await, piece);
    }
    drop(sender);
    assert_eq!(next(&mut echo).await, "");
}

#[tokio::test]
async fn bodies_flow_both_ways_between_any_two_versions_of_http() {
    for (speaks, outward) in [
        (&["h2", "http/1.1"][..], http::Version::HTTP_2),
        (&["http/1.1"], http::Version::HTTP_11),
        (&[], http::Version::HTTP_11),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let tls = (!speaks.is_empty()).then(|| Tls::speaking(dir.path(), speaks));
        let versions = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&versions);
        let url = serve(tls.as_ref(), move |request: Request<Incoming>| {
            seen.lock().expect("not poisoned").push(request.version());
            async move { Response::new(request.into_body()) }
        })
        .await;
        let setting = tls.as_ref().map(Tls::setting).unwrap_or_default();
        let shop = Shop::before(&url, &setting).await;
        for way in WAYS {
            echoes(&shop, way).await;
        }
        let versions = versions.lock().expect("not poisoned").clone();
        assert_eq!(versions, [outward; WAYS.len()], "{speaks:?}");
        if let Some(tls) = tls {
            let agreed = tls.agreed();
            assert!(!agreed.is_empty());
            assert!(agreed.iter().all(|one| one == speaks[0]), "{agreed:?}");
        }
    }
}

/// A body without end, which counts what is taken of it.
struct Endless(Arc<AtomicU64>);

const PIECE: usize = 16 * 1024;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.fetch_add(PIECE as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; PIECE])))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_stalls_the_upstream_and_sets_it_free_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = Tls::new(dir.path());
    for (tls, inward) in [(None, Version::Http1), (Some(&tls), Version::Http2)] {
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        let url = serve(tls, move |_| {
            let body = Endless(Arc::clone(&counted));
            async move { Response::new(body) }
        })
        .await;
        let shop = Shop::before(&url, &tls.map(Tls::setting).unwrap_or_default()).await;
        let mut line = Line::open(&shop.address(), inward).await;
        let answer = line.send(request(&shop, "GET", whole(""))).await;
        let mut body = answer.expect("an answer").into_body();
        let stalled = || async {
            let before = sent.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(400)).await;
            (before > 0 && before == sent.load(Ordering::Relaxed)).then_some(before)
        };
        let held = eventually(30, "the upstream stalls", stalled).await;
        assert!(held < 32 << 20, "{held} bytes lie somewhere in between");
        let mut read = 0;
        while read < held + (1 << 20) {
            read += next(&mut body).await.len() as u64;
        }
        assert!(sent.load(Ordering::Relaxed) > held);
        eventually(30, "it stalls again", stalled).await;
    }
}

/// A body without end that counts when it is let go.
struct Held(Endless, Arc<AtomicU64>);

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection over TLS that speaks HTTP/1.1, after these bytes.
async fn over_tls(shop: &Shop, bytes: &str) -> TlsStream<TcpStream> {
    let mut stream = shop.tls(&[]).await;
    stream.write_all(bytes.as_bytes()).await.expect("sent");
    stream.flush().await.expect("sent");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_takes_nothing_of_its_answer_loses_it_after_the_idle_timeout() {
    let (sent, freed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counted = (Arc::clone(&sent), Arc::clone(&freed));
    let url = serve(None, move |_| {
        let body = Held(Endless(Arc::clone(&counted.0)), Arc::clone(&counted.1));
        async move { Response::new(body) }
    })
    .await;
    let shop = Shop::before(&url, "idle_timeout_ms = 1500\n").await;
    let free = |expected: u64| {
        let freed = Arc::clone(&freed);
        // Well before HTTP/2's own look whether anybody is there.
        eventually(25, "the upstream is set free", move || {
            let now = freed.load(Ordering::Relaxed);
            async move { (now == expected).then_some(()) }
        })
    };
    let plain = shop.address();
    let bytes = format!("{}\r\n", shop.head("GET", "/items"));
    let mut wire = Wire::open(&plain).await;
    wire.send(&bytes).await;
    free(1).await;
    let _stream = over_tls(&shop, &bytes).await;
    free(2).await;
    // One stream of HTTP/2 is left while its connection goes on.
    let mut line = Line::open(&plain, Version::Http2).await;
    let answer = line.send(request(&shop, "GET", whole(""))).await;
    let _body = answer.expect("an answer").into_body();
    free(3).await;
    assert!(sent.load(Ordering::Relaxed) > 0);
}

/// Sixty of them last longer than an upstream may be silent, and each is far from it.
const PAUSE: Duration = Duration::from_millis(100);

/// Pieces that come with pauses.
struct Slow {
    left: usize,
    pause: Pin<Box<tokio::time::Sleep>>,
}

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.pause.as_mut().poll(cx));
        self.pause = Box::pin(tokio::time::sleep(PAUSE));
        self.left -= 1;
        let piece = vec![b'0' + (self.left % 10) as u8; 1_000 + self.left];
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece)))))
    }
}

#[tokio::test]
async fn a_slow_upstream_loses_nothing() {
    const PIECES: usize = 60;
    let url = serve(None, |_| async {
        Response::new(Slow {
            left: PIECES,
            pause: Box::pin(tokio::time::sleep(PAUSE)),
        })
    })
    .await;
    // The whole takes longer than the upstream may be silent: only silence counts.
    let shop = Shop::before(&url, "response_timeout_ms = 4000\n").await;
    let wanted: Vec<u8> = (0..PIECES)
        .rev()
        .flat_map(|left| vec![b'0' + (left % 10) as u8; 1_000 + left])
        .collect();
    let arrives = async |version| {
        let mut line = Line::open(&shop.address(), version).await;
        let answer = line.send(request(&shop, "GET", whole(""))).await;
        let body = answer.expect("an answer").into_body();
        let body = body.collect().await.expect("a whole body").to_bytes();
        assert!(body == wanted, "{version:?}: {} bytes", body.len());
    };
    tokio::join!(arrives(Version::Http1), arrives(Version::Http2));
}

#[tokio::test]
async fn an_answers_trailers_arrive_and_a_requests_do_not_pass() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = Tls::new(dir.path());
    let trailers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&trailers);
    let url = serve(Some(&tls), move |request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let body = request.into_body().collect().await.expect("a body");
            let found = body.trailers().cloned();
            seen.lock().expect("not poisoned").push(found);
            let mut fields = HeaderMap::new();
            fields.insert("grpc-status", "0".parse().expect("a value"));
            let body = Full::new(body.to_bytes());
            Response::new(body.with_trailers(std::future::ready(Some(Ok(fields)))))
        }
    })
    .await;
    let shop = Shop::before(&url, &tls.setting()).await;
    let mut line = Line::open(&shop.address(), Version::Http2).await;
    let (sender, body) = pieces();
    let sending = async {
        let data = Frame::data(Bytes::from_static(b"data"));
        sender.send(data).await.expect("sent");
        let mut forged = HeaderMap::new();
        forged.insert("x-jwt-assertion", "forged".parse().expect("a value"));
        sender.send(Frame::trailers(forged)).await.expect("sent");
        drop(sender);
    };
    let (answer, ()) = tokio::join!(line.send(request(&shop, "POST", body)), sending);
    let answer = answer.expect("an answer").into_body();
    let answer = answer.collect().await.expect("a whole body");
    let fields = answer.trailers().expect("trailers");
    assert_eq!(fields["grpc-status"], "0");
    assert_eq!(answer.to_bytes(), "data");
    assert_eq!(*trailers.lock().expect("not poisoned"), [None]);
}
