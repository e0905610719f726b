//! Upstreams that fail, and callers that leave: who is told what, and what is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

use crate::support::eventually;
use crate::support::platform::{DEVPORTAL, text};
use crate::support::shop::Shop;
use crate::support::upstream::{Tls, Upstream, scripted, serve};
use crate::support::wire::Wire;

/// Reads a request's head.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a call of the shop is refused with.
async fn refused(shop: &Shop, status: u16, code: &str) {
    let call = shop.node.api("GET", "/shop/1.0.0/items");
    let answer = call.bearer(&shop.subscribed.access).send().await;
    let answer = answer.expect(status).json();
    assert_eq!(text(&answer, "code"), code, "{answer}");
    assert_eq!(text(&answer, "type"), "Status report");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_101503() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("a port").port()
    };
    let shop = Shop::before(&format!("http://127.0.0.1:{port}"), "").await;
    refused(&shop, 502, "101503").await;
}

#[tokio::test]
async fn an_upstream_whose_certificate_nobody_vouches_for_is_101503_until_its_authority_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = Tls::new(dir.path());
    let upstream = Upstream::start_with(Some(&tls)).await;
    let stranger = Shop::before(&upstream.url, "").await;
    refused(&stranger, 502, "101503").await;
    assert_eq!(upstream.count(), 0);
    let shop = Shop::before(&upstream.url, &tls.setting()).await;
    let call = shop.node.api("GET", "/shop/1.0.0/items");
    let call = call.bearer(&shop.subscribed.access);
    call.send().await.expect(200);
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!(seen.version, http::Version::HTTP_2, "agreed on by ALPN");
    // The certificate is for localhost: another name for the same machine is another upstream.
    let other = upstream.url.replace("localhost", "127.0.0.1");
    let other = Shop::before(&other, &tls.setting()).await;
    refused(&other, 502, "101503").await;
}

#[tokio::test]
async fn an_upstream_that_closes_before_it_answers_is_101505() {
    let url = scripted(|mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 O").await;
    })
    .await;
    let shop = Shop::before(&url, "").await;
    refused(&shop, 502, "101505").await;
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_101504() {
    let url = scripted(|mut stream| async move {
        head(&mut stream).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let shop = Shop::before(&url, "response_timeout_ms = 300\n").await;
    refused(&shop, 504, "101504").await;
}

#[tokio::test]
async fn an_upstream_that_does_not_accept_in_time_is_101508() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("a port");
    // The queue of those who were not accepted is full: one more is not answered at all.
    let mut queued = Vec::new();
    loop {
        let one = TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(300), one).await {
            Ok(stream) => queued.push(stream),
            Err(_) => break,
        }
        assert!(queued.len() < 64, "the queue has no end");
    }
    let shop = Shop::before(&format!("http://{address}"), "connect_timeout_ms = 300\n").await;
    refused(&shop, 504, "101508").await;
    drop((listener, queued));
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_stalls_is_never_taken_for_a_whole_one() {
    for stalls in [false, true] {
        let arrived = Arc::new(Notify::new());
        let until = Arc::clone(&arrived);
        let url = scripted(move |mut stream| {
            let until = Arc::clone(&until);
            async move {
                head(&mut stream).await;
                let part = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n";
                let _ = stream.write_all(part).await;
                if stalls {
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                } else {
                    // What breaks off before the caller has its part may cost that as well.
                    until.notified().await;
                }
            }
        })
        .await;
        let shop = Shop::before(&url, "response_timeout_ms = 500\n").await;
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(format!("{}\r\n", shop.head("GET", "/items")))
            .await;
        while !wire.text().contains("part") {
            assert!(wire.more().await, "closed before its part: {}", wire.text());
        }
        arrived.notify_one();
        let got = wire.closed().await;
        assert!(got.starts_with("HTTP/1.1 200 OK"), "{got}");
        assert!(!got.contains("\r\n0\r\n\r\n"), "ended as if whole: {got}");
        let log = || async { shop.node.log().contains("\"broken\":true").then_some(()) };
        eventually(10, "the access log says that it broke", log).await;
    }
}

#[tokio::test]
async fn a_caller_that_leaves_takes_its_call_from_the_upstream_and_is_counted() {
    let (asked, left) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let answers = Arc::new(AtomicBool::new(false));
    let (seen, gone, answering) = (Arc::clone(&asked), Arc::clone(&left), Arc::clone(&answers));
    let url = scripted(move |mut stream| {
        let (seen, gone, answering) =
            (Arc::clone(&seen), Arc::clone(&gone), Arc::clone(&answering));
        async move {
            head(&mut stream).await;
            seen.fetch_add(1, Ordering::Relaxed);
            if answering.load(Ordering::Relaxed) {
                let part = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n";
                stream.write_all(part).await.expect("sent");
            }
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            gone.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let shop = Shop::before(&url, "").await;
    for (round, answer) in [(1, false), (2, true)] {
        answers.store(answer, Ordering::Relaxed);
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(format!("{}\r\n", shop.head("GET", "/items")))
            .await;
        eventually(10, "the upstream is asked", || async {
            (asked.load(Ordering::Relaxed) == round).then_some(())
        })
        .await;
        if answer {
            assert!(wire.more().await, "the answer begins");
        }
        drop(wire);
        eventually(10, "the upstream sees it leave", || async {
            (left.load(Ordering::Relaxed) == round).then_some(())
        })
        .await;
    }
    eventually(20, "both calls are counted", || async {
        let usage = shop.node.get("/admin/usage").bearer(&shop.node.operator());
        let usage = usage.send().await.expect(200).json();
        let rows = usage["list"].as_array().expect("a list").clone();
        let of = |status: u64| {
            rows.iter()
                .any(|row| row["status"] == status && row["forwarded"] == 1)
        };
        (of(499) && of(200)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_waits_for_100_is_told_to_go_on_once_its_call_is_let_through() {
    let (shop, upstream) = Shop::start("").await;
    let mut wire = Wire::open(&shop.address()).await;
    let fields = "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    wire.send(format!("{}{fields}", shop.head("POST", "/items")))
        .await;
    assert_eq!(wire.reply().await.status, 100);
    wire.send("body").await;
    assert_eq!(wire.reply().await.status, 200);
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!((&*seen.body, seen.header("expect")), (&b"body"[..], None));
    // One that is refused is not asked for its body.
    let mut wire = Wire::open(&shop.address()).await;
    let head = "POST /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\n";
    wire.send(format!("{head}{fields}")).await;
    assert_eq!(wire.reply().await.status, 401);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_change_of_the_application_during_the_answer_leaves_the_call_with_its_application() {
    let (asked, release) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let told = (Arc::clone(&asked), Arc::clone(&release));
    let url = serve(None, move |_| {
        let (asked, release) = (Arc::clone(&told.0), Arc::clone(&told.1));
        async move {
            asked.store(true, Ordering::Relaxed);
            release.notified().await;
            Response::new(Full::new(Bytes::new()))
        }
    })
    .await;
    let shop = Shop::before(&url, "").await;
    let call = shop.node.api("GET", "/shop/1.0.0/items");
    let call = call
        .bearer(&shop.subscribed.access)
        .header("x-request-id", "changed-meanwhile");
    let changing = async {
        let there = || async { asked.load(Ordering::Relaxed).then_some(()) };
        eventually(10, "the upstream is asked", there).await;
        let application = format!("{DEVPORTAL}/applications/{}", shop.subscribed.application);
        let got = shop.node.get(&application).bearer(&shop.token).send().await;
        let mut document = got.expect(200).json();
        document["description"] = "another".into();
        let put = shop.node.put(&application).bearer(&shop.token);
        put.json(&document).send().await.expect(200);
        release.notify_one();
    };
    let (answer, ()) = tokio::join!(call.send(), changing);
    answer.expect(200);
    let line = eventually(5, "the call is logged", || async {
        let log = shop.node.log();
        let mut lines = log.lines().filter(|line| line.contains("headgate::access"));
        lines
            .find(|line| line.contains("changed-meanwhile"))
            .map(str::to_owned)
    });
    let line = line.await;
    let application = format!("\"application\":\"{}\"", shop.subscribed.application);
    assert!(line.contains(&application), "{line}");
}
