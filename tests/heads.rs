//! Heads of requests at the gateway's edge: what is not HTTP or too large is refused before
//! anything is asked, with a body that says why.

use crate::support::shop::Shop;
use crate::support::wire::Wire;

#[tokio::test]
async fn a_head_that_is_not_http_is_refused_with_a_body_and_the_connection_ends() {
    let (shop, upstream) = Shop::start("").await;
    for bytes in [
        "GET /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n",
        "GET /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        "GET /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n",
        "GET /shop/1.0.0/items HTTP/3.7\r\nHost: localhost\r\n\r\n",
        "GET /shop/1.0.0/items HTTP/1.1\r\n\r\n",
        "G(T /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\nContent-Length: +4\r\n\r\nabcd",
        "POST /shop/1.0.0/items HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "\x16\x03\x01 a handshake where none belongs\r\n\r\n",
    ] {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(bytes).await;
        wire.reply().await.refused(400, "400");
        assert_eq!(wire.closed().await, "", "{bytes:?}");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn every_answer_has_the_name_of_its_call_as_wso2_calls_it_as_well() {
    let (shop, _upstream) = Shop::start("").await;
    let call = shop.head("GET", "/items");
    let nobody = "GET /shop/1.0.0/items HTTP/1.1\r\nHost: localhost";
    for (head, status) in [
        (call.trim_end(), 200),
        (nobody, 401),
        ("GET / HTTP/1.1\r\nno colon here", 400),
    ] {
        let mut wire = Wire::open(&shop.address()).await;
        let forged = "activityid: evil-activity\r\nConnection: close\r\n\r\n";
        wire.send(&format!("{head}\r\n{forged}")).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, status, "{reply:?}");
        let name = reply.field("x-request-id").unwrap_or_default();
        assert!(!name.is_empty(), "{status}");
        assert_eq!(reply.field("activityid"), Some(name), "{status}");
    }
}

#[tokio::test]
async fn a_bad_head_behind_a_good_request_is_refused_after_the_answer() {
    let (shop, upstream) = Shop::start("").await;
    let good = shop.head("GET", "/items");
    for pipelined in [false, true] {
        let mut wire = Wire::open(&shop.address()).await;
        let bad = "GET /shop HTTP/1.1\r\nno colon here\r\n\r\n";
        if pipelined {
            wire.send(format!("{good}\r\n{bad}")).await;
            assert_eq!(wire.reply().await.status, 200);
        } else {
            wire.send(format!("{good}\r\n")).await;
            assert_eq!(wire.reply().await.status, 200);
            wire.send(bad).await;
        }
        wire.reply().await.refused(400, "400");
        assert_eq!(wire.closed().await, "");
    }
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn too_many_or_too_large_fields_are_refused_with_431() {
    let (shop, upstream) = Shop::start("").await;
    let many: String = (0..120).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "a".repeat(70_000));
    let huge = format!("x-large: {}\r\n", "a".repeat(600_000));
    for fields in [many, large, huge] {
        let mut wire = Wire::open(&shop.address()).await;
        let head = shop.head("GET", "/items");
        wire.send(format!("{head}{fields}\r\n")).await;
        wire.reply().await.refused(431, "431");
        assert_eq!(wire.closed().await, "");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_target_above_8_kib_is_refused_with_414_however_long_it_is() {
    let (shop, upstream) = Shop::start("").await;
    let call = |length: usize| shop.head("GET", &format!("/items?q={}", "a".repeat(length)));
    let mut wire = Wire::open(&shop.address()).await;
    wire.send(format!("{}\r\n", call(9_000))).await;
    let reply = wire.reply().await;
    assert_eq!((reply.status, reply.body.contains("\"414\"")), (414, true));
    // Beyond the limit of the whole head nobody knows where the next request would begin.
    for length in [65_500, 70_000, 200_000] {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(format!("{}\r\n", call(length))).await;
        wire.reply().await.refused(414, "414");
        assert_eq!(wire.closed().await, "");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn an_announced_body_above_the_limit_is_refused_before_it_is_sent() {
    let (shop, upstream) = Shop::start("body_limit = \"1MB\"\n").await;
    let mut wire = Wire::open(&shop.address()).await;
    let head = shop.head("POST", "/items");
    let expect = "Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n";
    wire.send(format!("{head}{expect}")).await;
    wire.reply().await.refused(413, "413");
    // Before it is asked who calls (threats 35).
    let nobodys = "POST /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\n";
    for who in ["", "Authorization: Bearer nobody\r\n"] {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(format!("{nobodys}{who}{expect}")).await;
        wire.reply().await.refused(413, "413");
    }
    // One that sends on all the same still gets to read why.
    let mut wire = Wire::open(&shop.address()).await;
    wire.send(format!("{head}Content-Length: 2000000\r\n\r\n"))
        .await;
    wire.send(vec![b'x'; 1_200_000]).await;
    wire.reply().await.refused(413, "413");
    assert_eq!(upstream.count(), 0);
    // One that does not announce it is cut off at the limit.
    let mut wire = Wire::open(&shop.address()).await;
    wire.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"))
        .await;
    for _ in 0..3 {
        let piece = format!("{:x}\r\n{}\r\n", 500_000, "x".repeat(500_000));
        wire.send(piece).await;
    }
    wire.reply().await.refused(413, "413");
}
