//! Heads over HTTP/2 and TLS: what is too large is refused as over HTTP/1.1, before anything is asked, and the
//! connection serves on (threats 35).

use std::time::Duration;

use bytes::Bytes;
use http::request::Builder;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::support::line::{Line, Pieces, Version, pieces, whole};
use crate::support::shop::Shop;

/// Where a call goes; `path` follows the version.
fn to(method: &str, path: &str) -> Builder {
    let request = Request::builder().method(method);
    request.uri(format!("https://localhost/shop/1.0.0{path}"))
}

/// A call of the subscriber's.
fn call(shop: &Shop, method: &str, path: &str) -> Builder {
    let bearer = format!("Bearer {}", shop.subscribed.access);
    to(method, path).header("authorization", bearer)
}

/// A connection with TLS.
async fn line(shop: &Shop) -> Line {
    let stream = shop.tls(&["h2"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    Line::over(stream, Version::Http2).await
}

/// The answer, if one comes before the stream or the connection ends.
async fn try_answer(line: &mut Line, request: Request<Pieces>) -> Option<Response<Incoming>> {
    let answer = tokio::time::timeout(Duration::from_secs(20), line.send(request));
    answer.await.expect("an end in time").ok()
}

/// The status and the body of an answer.
async fn answer(line: &mut Line, request: Builder, body: Pieces) -> (u16, String) {
    let request = request.body(body).expect("a request");
    let answer = try_answer(line, request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await;
    let body = body.expect("a whole body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// That it is refused with this code, and that the connection serves on.
async fn refused(shop: &Shop, line: &mut Line, request: Builder, code: u16) {
    let (status, body) = answer(line, request, whole("")).await;
    assert_eq!(status, code, "{body}");
    assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
    served(shop, line).await;
}

async fn served(shop: &Shop, line: &mut Line) {
    let (status, body) = answer(line, call(shop, "GET", "/items"), whole("")).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn too_many_or_too_large_fields_over_http2_are_refused_with_431_and_the_connection_serves_on()
{
    let (shop, upstream) = Shop::start("").await;
    let mut line = line(&shop).await;
    let with = |count: usize| {
        let names = (0..count).map(|n| format!("x-{n}"));
        names.fold(call(&shop, "GET", "/items"), |call, name| {
            call.header(name, "1")
        })
    };
    // Below the limit with all that comes with them, at the upstream too.
    let (status, _) = answer(&mut line, with(80), whole("")).await;
    assert_eq!(status, 200);
    refused(&shop, &mut line, with(120), 431).await;
    let nobodys = (0..120).fold(to("GET", "/items"), |call, n| {
        call.header(format!("x-{n}"), "1")
    });
    refused(&shop, &mut line, nobodys, 431).await;
    // What is larger than the library reads it answers itself, with nothing but that.
    let large = || call(&shop, "GET", "/items").header("x-large", "a".repeat(70_000));
    let bare = answer(&mut line, large(), whole("")).await;
    assert_eq!(bare, (431, String::new()));
    served(&shop, &mut line).await;
    let (status, _) = answer(
        &mut line,
        call(&shop, "GET", "/items").header("x-large", "a".repeat(60_000)),
        whole(""),
    )
    .await;
    assert_eq!(status, 200, "within the limit");
    assert_eq!(upstream.count(), 5);
}

#[tokio::test]
async fn a_head_far_beyond_the_limit_over_http2_ends_its_connection_at_most() {
    let (shop, upstream) = Shop::start("").await;
    for bytes in [200_000, 600_000, 4_000_000] {
        let mut far = line(&shop).await;
        let mut beside = line(&shop).await;
        let request = call(&shop, "GET", "/items").header("x-huge", "a".repeat(bytes));
        let request = request.body(whole("")).expect("a request");
        if let Some(answer) = try_answer(&mut far, request).await {
            assert_eq!(answer.status(), 431, "{bytes}");
        }
        served(&shop, &mut beside).await;
        served(&shop, &mut line(&shop).await).await;
    }
    assert_eq!(upstream.count(), 6, "no such head went on");
}

#[tokio::test]
async fn a_target_above_8_kib_over_http2_is_refused_with_414_and_the_connection_serves_on() {
    let (shop, upstream) = Shop::start("").await;
    let mut line = line(&shop).await;
    let path = |bytes: usize| format!("/items?q={}", "a".repeat(bytes));
    let (status, _) = answer(&mut line, call(&shop, "GET", &path(8_000)), whole("")).await;
    assert_eq!(status, 200);
    refused(&shop, &mut line, call(&shop, "GET", &path(8_200)), 414).await;
    refused(&shop, &mut line, to("GET", &path(9_000)), 414).await;
    refused(&shop, &mut line, call(&shop, "GET", &path(60_000)), 414).await;
    assert_eq!(upstream.count(), 4);
}

#[tokio::test]
async fn a_body_above_the_limit_over_http2_is_refused_with_413_and_the_connection_serves_on() {
    let (shop, upstream) = Shop::start("body_limit = \"1MB\"\n").await;
    let mut line = line(&shop).await;
    // Announced: before a byte of it is sent, and before it is asked who calls.
    let nobody = to("POST", "/items").header("authorization", "Bearer nobody");
    for who in [call(&shop, "POST", "/items"), to("POST", "/items"), nobody] {
        let (sender, body) = pieces();
        let announced = who.header("content-length", "2000000");
        let (status, text) = answer(&mut line, announced, body).await;
        assert!(status == 413 && text.contains("\"413\""), "{status} {text}");
        served(&shop, &mut line).await;
        drop(sender);
    }
    assert_eq!(upstream.count(), 3);
    // One that does not announce it is cut off at the limit.
    let (sender, body) = pieces();
    let sending = async {
        for _ in 0..40 {
            let piece = Frame::data(Bytes::from(vec![b'x'; 50_000]));
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let (answered, ()) = tokio::join!(
        answer(&mut line, call(&shop, "POST", "/items"), body),
        sending
    );
    assert_eq!(answered.0, 413, "{}", answered.1);
    served(&shop, &mut line).await;
}
