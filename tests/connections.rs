//! Connections of callers: how long one may idle, and how slowly one may speak.

use std::time::{Duration, Instant};

use http::Request;

use crate::support::eventually;
use crate::support::line::{Line, Version, whole};
use crate::support::shop::Shop;
use crate::support::wire::Wire;

/// Short for a head and a piece of a body; for an idle connection far longer than these tests pause
/// on the busiest machine.
const LIMITS: &str = "head_timeout_ms = 700\nbody_timeout_ms = 700\nidle_timeout_ms = 10000\n";
const HEAD: Duration = Duration::from_millis(700);
const IDLE: Duration = Duration::from_secs(10);
/// A connection counts in whole milliseconds: one that began within the first may lack the rest of it.
const TICK: Duration = Duration::from_millis(1);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(8);

#[allow(
    clippy::disallowed_methods,
    reason = "a test measures its own deadline"
)]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn an_idle_connection_outlives_the_limit_of_a_head_and_ends_at_its_own() {
    let (shop, _upstream) = Shop::start(LIMITS).await;
    let used = async {
        let mut wire = Wire::open(&shop.address()).await;
        let mut asked = now();
        for _ in 0..2 {
            tokio::time::sleep(HEAD * 2).await;
            asked = now();
            wire.send(format!("{}\r\n", shop.head("GET", "/items")))
                .await;
            assert_eq!(wire.reply().await.status, 200);
        }
        assert_eq!(wire.closed().await, "");
        // The node counts from its answer, which came after the question, however late it was read.
        let lasted = asked.elapsed();
        assert!(lasted + TICK >= IDLE && lasted < IDLE + SLACK, "{lasted:?}");
    };
    // One that never says anything is no better.
    let silent = async {
        let began = now();
        assert_eq!(Wire::open(&shop.address()).await.closed().await, "");
        assert!(began.elapsed() < IDLE + SLACK);
    };
    tokio::join!(used, silent);
}

#[tokio::test]
async fn a_head_that_trickles_ends_with_its_limit_on_a_fresh_and_on_a_used_connection() {
    let (shop, upstream) = Shop::start(LIMITS).await;
    for used in [false, true] {
        for beginning in [
            "GET /shop/1.0.0/items HTTP/1.1\r\nHost: ",
            "PRI * HTTP/2.0\r\n",
        ] {
            let mut wire = Wire::open(&shop.address()).await;
            if used {
                wire.send(format!("{}\r\n", shop.head("GET", "/items")))
                    .await;
                assert_eq!(wire.reply().await.status, 200);
            }
            let began = now();
            wire.send(beginning).await;
            let (mut reader, mut writer) = wire.stream.split();
            let trickle = async {
                use tokio::io::AsyncWriteExt as _;
                loop {
                    if writer.write_all(b"a").await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    tokio::time::sleep(HEAD / 10).await;
                }
            };
            let mut byte = [0; 1];
            let end = async {
                use tokio::io::AsyncReadExt as _;
                while reader.read(&mut byte).await.is_ok_and(|read| read > 0) {}
            };
            tokio::select! {
                () = trickle => {}
                () = end => {}
                () = tokio::time::sleep(SLACK) => panic!("{beginning:?} goes on"),
            }
            // What is no preface of HTTP/2 after all is refused before the limit.
            let at_once = beginning.starts_with("PRI");
            let lasted = began.elapsed();
            assert!(at_once || lasted + TICK >= HEAD, "{lasted:?}");
        }
    }
    assert_eq!(upstream.count(), 2, "only the complete heads");
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_come_ends_with_the_limit_of_a_head() {
    let (shop, _upstream) = Shop::start(LIMITS).await;
    let address = shop.node.https.replace("https://localhost", "127.0.0.1");
    let began = now();
    let mut wire = Wire::open(&address).await;
    wire.send(b"\x16\x03\x01").await;
    wire.closed().await;
    let lasted = began.elapsed();
    assert!(lasted >= HEAD && lasted < HEAD + SLACK, "{lasted:?}");
}

#[tokio::test]
async fn a_stop_waits_for_no_handshake() {
    let (mut shop, _upstream) = Shop::start("").await;
    let address = shop.node.https.replace("https://localhost", "127.0.0.1");
    let silent = Wire::open(&address).await;
    let mut begun = Wire::open(&address).await;
    begun.send(b"\x16\x03\x01").await;
    // Whoever came later has been accepted, and so were they.
    let answered = format!("{}/_headgate/readyz", shop.node.https);
    let client = shop.node.client_without_connections();
    client.call("GET", &answered).send().await.expect(200);
    drop(client);
    let began = now();
    assert_eq!(shop.node.terminate().await, Some(0));
    let lasted = began.elapsed();
    assert!(lasted < SLACK, "{lasted:?}");
    drop((silent, begun));
}

#[tokio::test]
async fn many_slow_connections_cost_nobody_an_answer() {
    let (shop, _upstream) = Shop::start("idle_timeout_ms = 60000\n").await;
    let mut slow = Vec::new();
    for n in 0..400 {
        let mut wire = Wire::open(&shop.address()).await;
        let beginnings = ["", "GET /sh", "PRI * HT"];
        wire.send(beginnings[n % 3]).await;
        slow.push(wire);
        if n % 20 == 0 {
            let call = shop.node.api("GET", "/shop/1.0.0/items");
            let call = call.bearer(&shop.subscribed.access);
            call.send().await.expect(200);
        }
    }
    let probe = shop.node.api("GET", "/_headgate/readyz");
    probe.send().await.expect(200);
}

#[tokio::test]
async fn a_body_that_stalls_or_trickles_is_refused_with_408() {
    let (shop, upstream) = Shop::start(LIMITS).await;
    let mut wire = Wire::open(&shop.address()).await;
    let head = shop.head("POST", "/items");
    wire.send(format!(
        "{head}Content-Length: 100000\r\n\r\n{}",
        "x".repeat(5_000)
    ))
    .await;
    wire.reply().await.refused(408, "408");
    assert_eq!(wire.closed().await, "");
    let mut wire = Wire::open(&shop.address()).await;
    let began = now();
    wire.send(format!("{head}Content-Length: 100000\r\n\r\n"))
        .await;
    let mut more = true;
    while more && began.elapsed() < SLACK {
        wire.send("x").await;
        let waited = tokio::time::timeout(HEAD / 10, wire.more()).await;
        more = waited.is_err();
    }
    wire.reply().await.refused(408, "408");
    assert!(began.elapsed() >= HEAD);
    let seen = upstream.seen();
    assert!(
        seen.iter().all(|seen| seen.body.is_empty()),
        "a cut body was taken for a whole one"
    );
}

#[tokio::test]
async fn a_body_that_flows_may_take_longer_than_its_limit_as_a_whole() {
    let (shop, _upstream) = Shop::start("body_timeout_ms = 4000\n").await;
    let mut wire = Wire::open(&shop.address()).await;
    let head = shop.head("POST", "/items");
    wire.send(format!("{head}Content-Length: 20000\r\n\r\n"))
        .await;
    for _ in 0..10 {
        wire.send("x".repeat(2_000)).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(wire.reply().await.status, 200);
}

#[tokio::test]
async fn an_http2_connection_outlives_the_limit_of_a_head_and_ends_when_it_idles() {
    let (shop, upstream) = Shop::start(LIMITS).await;
    let mut line = Line::open(&shop.address(), Version::Http2).await;
    for _ in 0..2 {
        tokio::time::sleep(HEAD * 2).await;
        let request = Request::get("http://localhost/shop/1.0.0/items")
            .header(
                "authorization",
                format!("Bearer {}", shop.subscribed.access),
            )
            .body(whole(""))
            .expect("a request");
        let answer = line.send(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(upstream.count(), 2);
    eventually(40, "the idle connection ends", || async {
        line.is_over().then_some(())
    })
    .await;
}
