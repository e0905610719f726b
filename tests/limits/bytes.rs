//! Limits of bytes: what passes, what goes back, what is owed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ITEMS, Shop, bytes};
use crate::support::eventually;
use crate::support::platform::text;

#[tokio::test]
async fn bytes_of_bodies_are_limited_at_each_level_to_the_call_that_reaches_the_limit() {
    const LIMIT: u64 = 40 * 1_024;
    let shop = Shop::open().await;
    for level in ["application", "subscription", "advanced"] {
        shop.policy(level, "Forty", bytes(40, "KB", "day")).await;
    }
    shop.alter(json!({"policies": ["Unlimited", "Forty"]}))
        .await;
    let levels = [
        ("one", "Forty", "Unlimited", "900803"),
        ("two", "Unlimited", "Forty", "900804"),
        ("three", "Unlimited", "Unlimited", "900800"),
    ];
    for (name, plan, subscription, code) in levels {
        if code == "900800" {
            shop.alter(json!({"apiThrottlingPolicy": "Forty"})).await;
        }
        let access = shop.caller(name, plan, subscription).await;
        let before = shop.upstream.count();
        let first = shop.upload(&access, 4_096).send().await.expect(200);
        let advertised = first.header("ratelimit-policy");
        assert_eq!(advertised, "\"Forty\";q=40960;qu=\"content-bytes\";w=86400");
        let begun = 4_096 + first.body.len() as u64;
        let passed = shop.exhaust(4_096, || shop.upload(&access, 4_096)).await;
        let (bytes, last) = (begun + passed.bytes, passed.last);
        assert!(bytes >= LIMIT, "{level}: {bytes}", level = name);
        assert!(bytes - last < LIMIT, "{name}: {bytes} with the last {last}");
        assert_eq!(text(&passed.refusal.json(), "code"), code);
        assert!(!passed.refusal.header("retry-after").is_empty());
        let forwarded = shop.upstream.count() - before;
        assert_eq!(
            forwarded,
            passed.calls + 1,
            "refused before it is forwarded"
        );
    }
}

#[tokio::test]
async fn what_was_reserved_and_not_used_goes_back() {
    // A chunk of it is 67 bytes, and an answer about half of that.
    const LIMIT: u64 = 13_400;
    let shop = Shop::open().await;
    shop.policy("application", "Small", bytes(LIMIT, "B", "day"))
        .await;
    let access = shop.caller("one", "Small", "Unlimited").await;
    let passed = shop.exhaust(0, || shop.get(&access)).await;
    let least = LIMIT - LIMIT / 50;
    assert!(passed.bytes >= least, "only {} bytes", passed.bytes);
    assert!(passed.bytes < LIMIT + passed.last, "{} bytes", passed.bytes);
}

#[tokio::test]
async fn callers_at_once_never_pass_more_than_their_open_calls_overran() {
    const LIMIT: u64 = 300 * 1_024;
    let shop = Shop::open().await;
    shop.policy("application", "Shared", bytes(300, "KB", "day"))
        .await;
    let access = shop.caller("one", "Shared", "Unlimited").await;
    let calls = || shop.exhaust(4_096, || shop.upload(&access, 4_096));
    let (a, b, c, d) = tokio::join!(calls(), calls(), calls(), calls());
    let passed = [a, b, c, d];
    let bytes: u64 = passed.iter().map(|passed| passed.bytes).sum();
    let open: u64 = passed.iter().map(|passed| passed.last).sum();
    assert!((LIMIT..LIMIT + open).contains(&bytes), "{bytes}");
}

/// Seconds since the epoch, as windows of a second are numbered.
#[allow(clippy::disallowed_methods, reason = "a test looks at its own clock")]
fn second() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

#[tokio::test]
async fn an_open_stream_is_never_cut_and_what_it_overran_is_paid_by_the_next_windows() {
    let shop = Shop::open().await;
    shop.policy("application", "Second", bytes(10, "KB", "sec"))
        .await;
    let access = shop.caller("one", "Second", "Unlimited").await;
    let began = second();
    shop.upload(&access, 45 * 1_024).send().await.expect(200);
    let seen = shop.upstream.seen().pop().expect("a request");
    assert_eq!(seen.body.len(), 45 * 1_024);
    paid_after_four(&shop, &access, began).await;
}

/// A debt of 45 KB by a limit of 10 KB a second: four windows pay ten each, the fifth the rest.
async fn paid_after_four(shop: &Shop, access: &str, began: u64) {
    let owed = second();
    // Windows that passed while an answer was on its way, on a busy machine.
    let held = AtomicU64::new(0);
    eventually(40, "the debt is paid", || async {
        let asked = second();
        let answer = shop.get(access).send().await;
        held.fetch_add(second() - asked, Ordering::Relaxed);
        assert!([200, 429].contains(&answer.status.as_u16()), "{answer:?}");
        (answer.status == 200).then_some(())
    })
    .await;
    let (now, most) = (second(), 6 + held.into_inner());
    assert!(now - began >= 4, "let in after {} windows", now - began);
    assert!(now - owed <= most, "refused for {} windows", now - owed);
}

#[tokio::test]
async fn a_debt_outlives_the_actor_that_keeps_the_accounts() {
    let shop = Shop::open().await;
    shop.policy("application", "Second", bytes(10, "KB", "sec"))
        .await;
    let access = shop.caller("one", "Second", "Unlimited").await;
    let authority = shop.node.http.trim_start_matches("http://");
    let address = authority.replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let body = vec![b'7'; 46 * 1_024];
    let head = format!(
        "POST {ITEMS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {access}\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut go_on = [0; 12];
    stream.read_exact(&mut go_on).await.expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100", "the stream is open");
    shop.restart("gateway/refiller").await;
    let began = second();
    stream.write_all(&body).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.contains("HTTP/1.1 200"), "{answer}");
    paid_after_four(&shop, &access, began).await;
}

#[tokio::test]
async fn a_plan_that_lets_everything_through_owes_nothing_when_it_becomes_strict() {
    let shop = Shop::open().await;
    let mut lenient = bytes(10, "KB", "sec");
    lenient["stopOnQuotaReach"] = json!(false);
    let plan = shop.policy("subscription", "Plan", lenient).await;
    shop.alter(json!({"policies": ["Unlimited", "Plan"]})).await;
    let access = shop.caller("one", "Unlimited", "Plan").await;
    for _ in 0..8 {
        shop.upload(&access, 200 * 1_024).send().await.expect(200);
    }
    let strict = bytes(10, "KB", "sec");
    shop.change("subscription", &plan, "Plan", strict).await;
    // In the next window, not after the 160 that passed in all.
    eventually(20, "calls pass again", || async {
        let answer = shop.get(&access).send().await;
        (answer.status == 200).then_some(())
    })
    .await;
}
