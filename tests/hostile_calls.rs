//! Calls that mean harm: what they carry reaches neither upstream nor log, and none of them costs
//! the node more than its own refusal.

use http::Request;

use crate::support::eventually;
use crate::support::line::{Line, Version, whole};
use crate::support::node::{Node, Options};
use crate::support::shop::Shop;
use crate::support::upstream::Upstream;
use crate::support::wire::Wire;

#[tokio::test]
async fn a_request_that_names_two_hosts_is_refused() {
    let (shop, upstream) = Shop::start("").await;
    let mut line = Line::open(&shop.address(), Version::Http2).await;
    for (host, status) in [("other.example", 400), ("LOCALHOST", 200)] {
        let request = Request::get("http://localhost/shop/1.0.0/items")
            .header(
                "authorization",
                format!("Bearer {}", shop.subscribed.access),
            )
            .header("host", host)
            .body(whole(""))
            .expect("a request");
        let answer = line.send(request).await.expect("an answer");
        assert_eq!(answer.status(), status, "{host}");
    }
    for fields in ["Host: other.example\r\n", "Host: localhost\r\n"] {
        let mut wire = Wire::open(&shop.address()).await;
        let head = shop.head("GET", "/items");
        wire.send(format!("{head}{fields}\r\n")).await;
        wire.reply().await.refused(400, "400");
    }
    let mut wire = Wire::open(&shop.address()).await;
    let head = shop
        .head("GET", "/items")
        .replace("GET /", "GET http://other.example/");
    wire.send(format!("{head}\r\n")).await;
    wire.reply().await.refused(400, "400");
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_path_that_servers_read_differently_is_refused_and_any_other_passed_on_as_matched() {
    let (shop, upstream) = Shop::start("").await;
    for path in [
        "/items/a%2fb",
        "/items/a%2Fb",
        "/items/a%5cb",
        "/items/a%00b",
        "/items/a;b",
        "/items/a%3bb",
        "/items/../items",
        "/items/./7",
        "/items/%2e%2e/7",
        "/items/%2E/7",
        "/items/..",
        "//items",
        "/items//7",
        "/items/%0d%0aX:1",
        "/items/%7f",
        "/items/%zz",
        "/items/%",
        "/items/%c0%af",
        "/items/%c0%ae%c0%ae/7",
        "/items/a\\b",
    ] {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(format!("{}\r\n", shop.head("GET", path))).await;
        wire.reply().await.refused(400, "400");
    }
    assert_eq!(upstream.count(), 0);
    for (path, forwarded) in [
        ("/items/%41b", "/items/Ab"),
        ("/items/%252f", "/items/%252f"),
        ("/items/%e2%82%ac", "/items/%E2%82%AC"),
        ("/items/a%20b?q=%0d%0aX:%201", "/items/a%20b?q=%0d%0aX:%201"),
        ("/items/a+b", "/items/a+b"),
        ("/items/...", "/items/..."),
    ] {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(format!("{}\r\n", shop.head("GET", path))).await;
        assert_eq!(wire.reply().await.status, 200, "{path}");
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!(seen.path, forwarded);
        assert_eq!(seen.header("x"), None);
    }
}

#[tokio::test]
async fn what_only_the_gateway_may_say_is_never_taken_from_a_caller() {
    let (shop, upstream) = Shop::start("").await;
    let forged = [
        "Forwarded: for=10.9.8.7",
        "X-Forwarded-For: 10.9.8.7",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Prefix: /evil",
        "X-Real-IP: 10.9.8.7",
        "X-JWT-Assertion: e30.e30.",
        "X-Authenticated-User: root",
        "X-Authenticated-Roles: admin",
        "X-Tenant: evil.example",
        "X-Tenant-Domain: evil.example",
        "activityid: evil-activity",
        "X-Request-ID: evil id",
        "Internal-Key: evil-key",
    ];
    // Naming fields in Connection must not take away what the gateway itself adds.
    let connection =
        "Connection: close, authorization-x, x-forwarded-for, x-request-id, traceparent";
    let head = shop.head("GET", "/items");
    let fields = format!("{}\r\n{connection}\r\n\r\n", forged.join("\r\n"));
    let mut wire = Wire::open(&shop.address()).await;
    wire.send(format!("{head}{fields}")).await;
    let reply = wire.reply().await;
    assert_eq!(reply.status, 200);
    let seen = upstream.seen().pop().expect("a request");
    for (name, value) in &seen.headers {
        assert!(
            !value.contains("evil") && !value.contains("10.9.8.7"),
            "{name}: {value}"
        );
        assert!(
            !name.starts_with("x-authenticated") && !name.starts_with("x-tenant"),
            "{name}"
        );
    }
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("localhost"));
    assert_eq!(seen.header("x-request-id"), reply.field("x-request-id"));
    assert!(seen.header("traceparent").is_some());
    // Hiding the credential behind Connection opens nothing either.
    let hidden =
        "GET /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\nConnection: authorization\r\n\r\n";
    let mut wire = Wire::open(&shop.address()).await;
    wire.send(hidden).await;
    assert_eq!(wire.reply().await.status, 401);
    assert_eq!(upstream.count(), 1);
}

async fn verbose(format: &str) -> (Shop, Upstream) {
    let upstream = Upstream::start().await;
    let environment = [("FILTER", "debug"), ("FORMAT", format)];
    let environment = environment
        .map(|(key, value)| (format!("HEADGATE__LOG__{key}"), value.to_owned()))
        .to_vec();
    let node = Node::start_with(Options {
        environment,
        ..Options::default()
    })
    .await;
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let shop = Shop {
        node,
        token,
        api,
        subscribed,
    };
    (shop, upstream)
}

/// Six calls with what a terminal would obey. The first of `odd` is no field's value and ends the
/// call; the second one is, and goes through.
async fn odd_calls(shop: &Shop, access: &str, escape: &str) {
    for odd in [escape, "\u{9b}31mforged"] {
        for path in [
            "/items?apikey=sesame-key".to_owned(),
            format!("/items/{}?q={odd}", "%0d%0a%1b"),
            "/items?q=%0d%0aforged%20line".to_owned(),
        ] {
            let mut wire = Wire::open(&shop.address()).await;
            wire.send(format!(
                "GET /shop/1.0.0{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
                 {access}\r\nUser-Agent: {odd}\r\nX-Request-ID: {odd}\r\nConnection: \
                 close\r\n\r\n"
            ))
            .await;
            wire.closed().await;
        }
    }
}

#[tokio::test]
async fn no_log_line_is_forged_and_none_holds_a_credential() {
    for format in ["json", "text"] {
        let (shop, upstream) = verbose(format).await;
        let opaque = shop
            .node
            .subscribed(&shop.token, &shop.api, "two", "OAUTH")
            .await;
        let escape = "\u{1b}[31mforged\u{9b}31m";
        for access in [&shop.subscribed.access, &opaque.access] {
            odd_calls(&shop, access, escape).await;
        }
        assert!(upstream.count() >= 4, "calls went through");
        let name = format!("root\r\nforged line {escape}");
        let wrong = shop.node.post("/oauth2/token");
        let wrong = wrong.basic(&name, "sesame-secret").form(&[
            ("grant_type", "password"),
            ("username", &name),
            ("password", "sesame-password"),
        ]);
        assert!(wrong.send().await.status.is_client_error());
        // Lines keep their order: what came before the last call's line is all there.
        let last = shop.node.api("GET", "/the-last-call").send().await;
        last.expect(404);
        let log = eventually(10, "the calls are in the log", || async {
            Some(shop.node.log()).filter(|log| log.contains("/the-last-call"))
        })
        .await;
        let calls = log.lines().filter(|line| {
            let refused = line.contains("head refused");
            refused || line.contains(" call request_id=") || line.contains("\"message\":\"call\"")
        });
        assert_eq!(calls.count(), 13, "{format}: one line a call");
        for secret in [
            &shop.subscribed.access,
            &shop.subscribed.secret,
            &opaque.access,
            &opaque.secret,
            &shop.token,
            "sesame",
        ] {
            assert!(!log.contains(secret), "{format}: {secret} is in the log");
        }
        let raw = |letter: &char| letter.is_control() && *letter != '\n';
        assert_eq!(log.chars().find(raw), None, "{format}");
        let forged = log.lines().find(|line| line.starts_with("forged"));
        assert_eq!(forged, None, "{format}");
    }
}

/// Changes one to four places of `good`, always the same way for the same `seed`.
fn mutated(good: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let mut bytes = good.to_vec();
    for _ in 0..1 + next() % 4 {
        let at = next() % bytes.len();
        match next() % 4 {
            0 => bytes[at] = next() as u8,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, next() as u8),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

#[tokio::test]
async fn no_bytes_make_a_handler_panic_or_cost_another_caller_anything() {
    let (shop, _upstream) = Shop::start("head_timeout_ms = 1000\n").await;
    let good = format!(
        "{}Content-Type: text/xml\r\nTraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-\
         00f067aa0ba902b7-01\r\nOrigin: null\r\nX-Request-ID: a\r\nContent-Length: \
         3\r\n\r\nabcGET /shop/1.0.0/items?apikey=1&&= HTTP/1.0\r\n\r\n",
        shop.head("POST", "/items/%41?a=b&c")
    );
    for seed in 0..400 {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(mutated(good.as_bytes(), seed)).await;
        use tokio::io::AsyncWriteExt as _;
        wire.stream.shutdown().await.expect("our end");
        let got = wire.closed().await;
        assert!(!got.contains("HTTP/1.1 5"), "{seed}: {got}");
    }
    let metrics = shop.node.get("/metrics").send().await.expect(200).text();
    let panics = metrics
        .lines()
        .find(|line| line.starts_with("headgate_gateway_panics_total"));
    assert_eq!(panics, Some("headgate_gateway_panics_total 0"));
    let call = shop.node.api("GET", "/shop/1.0.0/items");
    let call = call.bearer(&shop.subscribed.access);
    call.send().await.expect(200);
}
