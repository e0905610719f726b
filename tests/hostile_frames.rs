//! Requests over HTTP/2 that no client library sends: what HTTP/1.1 could not carry is reset before
//! the upstream hears of it.

use crate::support::frames::{self, BAD_REQUEST, Ending, OK};
use crate::support::shop::Shop;
use crate::support::upstream::Upstream;

type Field<'a> = (&'a [u8], &'a [u8]);

/// A shop and its subscriber's `Authorization`, after one request whose frames were sound.
async fn shop() -> (Shop, Upstream, String) {
    let (shop, upstream) = Shop::start("").await;
    let bearer = format!("Bearer {}", shop.subscribed.access);
    let ended = frames::send(&shop.address(), &sound(&bearer), b"").await;
    assert_eq!((ended, upstream.count()), (OK, 1));
    (shop, upstream, bearer)
}

fn sound(bearer: &str) -> [Field<'_>; 5] {
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"localhost"),
        (b":path", b"/shop/1.0.0/items"),
        (b"authorization", bearer.as_bytes()),
    ]
}

#[tokio::test]
async fn fields_that_could_split_or_frame_a_request_reset_it() {
    let (shop, upstream, bearer) = shop().await;
    let odd: [Field<'_>; 14] = [
        (b"x-a", b"1\r\nx-b: 2"),
        (b"x-a", b"1\nx-b: 2"),
        (b"x-a", b"1\0"),
        (b"x-a\r\nx-b", b"1"),
        (b"x a", b"1"),
        (b"x-a:", b"1"),
        (b"X-A", b"1"),
        (b"", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
        (b"content-length", b"4"),
        (b"content-length", b"+0"),
        (b":path", b"/shop/1.0.0/items"),
        (b":unknown", b"1"),
    ];
    for field in odd {
        let fields: Vec<_> = sound(&bearer).into_iter().chain([field]).collect();
        let ended = frames::send(&shop.address(), &fields, b"").await;
        let name = String::from_utf8_lossy(field.0);
        assert_eq!(ended, Ending::Reset, "{name}");
    }
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_method_host_or_path_that_is_none_is_refused_or_resets_the_request() {
    let (shop, upstream, bearer) = shop().await;
    for (at, value) in [
        (0, &b"PO ST"[..]),
        (0, b"POST / HTTP/1.1\r\nx: y"),
        (2, b"localhost\r\nx: y"),
        (2, b"user@localhost"),
        (3, b"/shop/1.0.0/items HTTP/1.1\r\nx: y"),
        (3, b"/shop/1.0.0/items\0"),
        (3, b"shop/1.0.0/items"),
        (3, b""),
    ] {
        let mut fields = sound(&bearer);
        fields[at].1 = value;
        let ended = frames::send(&shop.address(), &fields, b"").await;
        let value = String::from_utf8_lossy(value);
        let refused = matches!(ended, Ending::Reset | BAD_REQUEST);
        assert!(refused, "{ended:?} {value:?}");
    }
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_resets_the_request() {
    let (shop, upstream, bearer) = shop().await;
    let length: Field<'_> = (b"content-length", b"4");
    let fields: Vec<_> = sound(&bearer).into_iter().chain([length]).collect();
    for body in [&b"12"[..], b"123456"] {
        let ended = frames::send(&shop.address(), &fields, body).await;
        assert_eq!(ended, Ending::Reset, "{body:?}");
    }
    let seen = upstream.seen();
    assert!(seen.iter().all(|seen| seen.body.is_empty()), "{seen:?}");
}

#[tokio::test]
async fn a_window_that_never_opens_ends_the_connection_after_the_idle_timeout() {
    let (shop, upstream) = Shop::start("idle_timeout_ms = 1000\n").await;
    let (address, bearer) = (shop.address(), format!("Bearer {}", shop.subscribed.access));
    let ended = frames::ends_by_itself(&address, &frames::NO_WINDOW, &sound(&bearer)).await;
    assert!(ended, "its answer is held for ever");
    assert_eq!(upstream.count(), 1);
}
