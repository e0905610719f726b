//! What upstreams and callers get to see of each other, and how long they wait for each other.

use std::time::Duration;

use http::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::eventually;
use crate::support::line::{Line, Version, whole};
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, PUBLISHER, text};
use crate::support::scripted::Scripted;
use crate::support::shop::Shop;
use crate::support::upstream::{Seen, Upstream};
use crate::support::wire::Wire;

const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
    5\r\nhello\r\n0\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: \
    websocket\r\n\r\n";
const OLD: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// Its end is that of the connection.
const OLD_OPEN: &[u8] = b"HTTP/1.0 200 OK\r\n\r\nhello";
const BEGUN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello";

async fn node(toml: &str) -> Node {
    Node::start_with(Options {
        toml: toml.to_owned(),
        ..Options::default()
    })
    .await
}

/// Opens `GET /items` to anybody and the whole API to keys as well.
async fn open_items(node: &Node, token: &str, api: &str) {
    let base = format!("{PUBLISHER}/apis/{api}");
    let document = node.get(&base).bearer(token).send().await.expect(200);
    let mut document = document.json();
    document["securityScheme"] = json!(["oauth2", "api_key"]);
    let operations = document["operations"].as_array_mut().expect("operations");
    for operation in operations {
        if operation["target"] == "/items" && operation["verb"] == "GET" {
            operation["authType"] = json!("None");
        }
    }
    let put = node.put(&base).bearer(token).json(&document);
    put.send().await.expect(200);
    node.deploy(token, api).await;
}

#[tokio::test]
async fn upstreams_learn_where_a_call_comes_from_and_no_credential_of_ours() {
    let (node, upstream) = (
        node("trusted_proxies = \"127.0.0.1\"\n").await,
        Upstream::start().await,
    );
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let last = || -> Seen { upstream.seen().pop().expect("a request") };

    let call = node.api("GET", "/shop/1.0.0/items/7");
    let call = call
        .bearer(&subscribed.access)
        .header("connection", "cookie, x-hop, authorization")
        .header("cookie", "a=b; __Secure-headgate-0a1b=of-our-pages")
        .header("x-hop", "1")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-for", "198.51.100.7:4433");
    call.send().await.expect(200);
    assert_eq!(last().header("cookie"), Some("a=b"));
    assert_eq!(last().header("x-hop"), None);
    assert_eq!(last().header("authorization"), None);
    let through = "6.6.6.6, 198.51.100.7:4433, 127.0.0.1";
    assert_eq!(last().header("x-forwarded-for"), Some(through));

    open_items(&node, &token, &api).await;
    let call = || node.api("GET", "/shop/1.0.0/items");
    let ours = call().bearer(&subscribed.access).header("apikey", "k");
    ours.send().await.expect(200);
    assert_eq!(last().header("authorization"), None);
    assert_eq!(last().header("apikey"), None);
    let theirs = call().basic("upstreams", "own");
    theirs.send().await.expect(200);
    assert!(last().header("authorization").is_some());

    let deny = json!({
        "conditionType": "IP", "conditionStatus": true,
        "conditionValue": {"fixedIp": "198.51.100.7", "invert": false},
    });
    let deny = node
        .post(&format!("{ADMIN}/throttling/deny-policies"))
        .bearer(&token)
        .json(&deny);
    deny.send().await.expect(201);
    let hidden = call()
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-for", "198.51.100.7:4433");
    let hidden = hidden.send().await.expect(403);
    assert_eq!(text(&hidden.json(), "code"), "900805");
    call().send().await.expect(200);
}

/// A connection to the gateway, after these bytes.
async fn begin(node: &Node, bytes: &str) -> TcpStream {
    let address = node.http.trim_start_matches("http://");
    let address = address.replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes.as_bytes()).await.expect("written");
    stream
}

/// What has come by the time that it ends or holds `until`.
async fn read_until(stream: &mut TcpStream, until: &str) -> String {
    let mut came = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&came).contains(until) {
            if stream.read_buf(&mut came).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), reading).await;
    let came = String::from_utf8_lossy(&came).into_owned();
    assert!(in_time.is_ok(), "no {until:?} within 10 s: {came}");
    came
}

/// An answer with more header fields than the gateway takes.
fn with_many_fields() -> Vec<u8> {
    let fields: String = (0..150).map(|field| format!("x-{field}: 1\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn what_an_upstream_may_not_say_is_a_502_that_says_so_and_is_logged_with_its_cause() {
    let upstream = Scripted::start(vec![
        ("/items/chunked", CHUNKED.to_vec(), false),
        ("/items/switch", SWITCH.to_vec(), true),
        ("/items/many", with_many_fields(), false),
        ("/items/gone", Vec::new(), false),
        ("/items/odd", b"HELLO\r\n\r\n".to_vec(), false),
        ("/items/begun", BEGUN.to_vec(), true),
    ]);
    let (node, upstream) = (Node::start().await, upstream.await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let call = |path: &str| {
        let path = format!("/shop/1.0.0/items/{path}");
        node.api("GET", &path).bearer(&subscribed.access)
    };
    let whole = call("chunked").send().await.expect(200);
    assert_eq!(
        (whole.text().as_str(), whole.header("content-length")),
        ("hello", "")
    );
    for (path, code, said) in [
        ("switch", "101506", "protocol"),
        ("many", "101506", "100 fields"),
        ("odd", "101506", "HTTP"),
        ("gone", "101505", "closed"),
    ] {
        let call = call(path).header("connection", "upgrade");
        let answer = call.header("upgrade", "websocket").send().await.expect(502);
        let fault = answer.json();
        assert_eq!(text(&fault, "code"), code, "{path}");
        assert!(text(&fault, "description").contains(said), "{fault}");
        let id = answer.header("x-request-id").to_owned();
        let line = eventually(5, "the failure is logged", || async {
            let log = node.log();
            let mut lines = log.lines().filter(|line| line.contains("upstream failed"));
            lines.find(|line| line.contains(&id)).map(str::to_owned)
        });
        let line = line.await;
        for part in [&api, &upstream.url, "\"cause\":\""] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    let leave = format!(
        "GET /shop/1.0.0/items/begun HTTP/1.1\r\nHost: localhost\r\nx-request-id: \
         left-early\r\nAuthorization: Bearer {}\r\n\r\n",
        subscribed.access
    );
    let mut stream = begin(&node, &leave).await;
    read_until(&mut stream, "hello").await;
    drop(stream);
    eventually(5, "the call is logged as broken", || async {
        let log = node.log();
        let mut lines = log.lines().filter(|line| line.contains("headgate::access"));
        lines
            .any(|line| line.contains("\"bytes_out\":5,") && line.contains("\"broken\":true"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upstreams_time_begins_when_it_has_the_whole_request() {
    let done = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone".to_vec();
    let upstream = Scripted::start(vec![
        ("/items", done, false),
        ("/items/silent", Vec::new(), true),
    ]);
    let node = node("response_timeout_ms = 3000\nbody_timeout_ms = 8000\n").await;
    let upstream = upstream.await;
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let head = format!(
        "POST /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\nConnection: \
         close\r\nContent-Length: 4\r\nAuthorization: Bearer {}\r\n\r\n",
        subscribed.access
    );
    let slow = async {
        let mut stream = begin(&node, &head).await;
        for byte in [b"s", b"l", b"o", b"w"] {
            // Together more than the upstream's time, each less.
            tokio::time::sleep(Duration::from_secs(1)).await;
            stream.write_all(byte).await.expect("written");
        }
        read_until(&mut stream, "done").await
    };
    let stalled = async {
        let mut stream = begin(&node, &format!("{head}s")).await;
        read_until(&mut stream, "}").await
    };
    let silent = node.api("GET", "/shop/1.0.0/items/silent");
    let silent = silent.bearer(&subscribed.access).send();
    let (slow, stalled, silent) = tokio::join!(slow, stalled, silent);
    assert!(slow.starts_with("HTTP/1.1 200"), "{slow}");
    assert!(upstream.bodies().contains(&b"slow".to_vec()));
    assert!(stalled.starts_with("HTTP/1.1 408"), "{stalled}");
    assert_eq!(text(&silent.expect(504).json(), "code"), "101504");
}

#[tokio::test]
async fn what_is_not_the_gateways_reaches_the_upstream_and_what_is_forged_does_not() {
    let (shop, upstream) = Shop::start("").await;
    let last = || -> Seen { upstream.seen().pop().expect("a request") };
    let call = |path: &str| {
        let call = shop.node.api("GET", &format!("/shop/1.0.0{path}"));
        call.bearer(&shop.subscribed.access)
    };
    // The API takes no keys: what is named like one is the upstream's.
    let keys = call("/items/7?apikey=theirs&x=1").header("apikey", "theirs");
    keys.send().await.expect(200);
    assert_eq!(last().path, "/items/7?apikey=theirs&x=1");
    assert_eq!(last().header("apikey"), Some("theirs"));

    let forged = call("/items")
        .header("x_forwarded_for", "6.6.6.6")
        .header("x_request_id", "forged")
        .header("x_custom", "1");
    forged.send().await.expect(200);
    assert_eq!(last().header("x_forwarded_for"), None);
    assert_eq!(last().header("x_request_id"), None);
    assert_eq!(last().header("x_custom"), Some("1"));

    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (parent, state) in [(good, Some("vendor=1")), ("00-0-0-0", None)] {
        let traced = call("/items").header("traceparent", parent);
        let traced = traced.header("tracestate", "vendor=1");
        traced.send().await.expect(200);
        assert_eq!(last().header("tracestate"), state, "{parent}");
    }

    let mut line = Line::open(&shop.address(), Version::Http2).await;
    let crumbs = Request::get("http://localhost/shop/1.0.0/items")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header(
            "authorization",
            format!("Bearer {}", shop.subscribed.access),
        )
        .body(whole(""))
        .expect("a request");
    let answer = line.send(crumbs).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let seen = last();
    let cookies = seen.headers.iter().filter(|(name, _)| name == "cookie");
    let cookies: Vec<_> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["a=1; b=2"]);

    let url = format!("{}/base/?code=k", upstream.url);
    shop.change(|api| {
        api["endpointConfig"] =
            json!({"endpoint_type": "http", "production_endpoints": {"url": url}});
    })
    .await;
    for (path, reached) in [
        ("/items/7", "/base/items/7?code=k"),
        ("/items/7?q=1&code=x", "/base/items/7?code=k&q=1&code=x"),
    ] {
        call(path).send().await.expect(200);
        assert_eq!(last().path, reached);
    }
}

/// Every field that is of one connection alone (RFC 9110 §7.6.1), and one that `Connection` names.
const OF_ONE_HOP: &str = "Connection: x-hop, keep-alive, upgrade\r\nConnection: X-Other\r\n\
    Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\n\
    Proxy-Authorization: Basic eDp5\r\nTE: trailers, deflate\r\nTrailer: x-sum\r\nUpgrade: h2c\r\n\
    X-Hop: 1\r\nX-Other: 1\r\nX-Stays: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";

/// The names of a head's fields, in lower case; with its value what each hop says for itself: how the body is framed,
/// and that the connection ends.
fn names(head: &str) -> Vec<String> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let names = lines.map(|(name, value)| match name.to_ascii_lowercase() {
        name if name == "transfer-encoding" => format!("{name} {value}"),
        name if name == "connection" => format!("{name} {value}"),
        name => name,
    });
    names.filter(|name| name != "connection close").collect()
}

#[track_caller]
fn nothing_of_one_hop(names: &[String], framing: usize) {
    assert!(names.iter().any(|name| name == "x-stays"), "{names:?}");
    let sent = OF_ONE_HOP.lines().filter_map(|line| line.split_once(": "));
    let sent = sent.map(|(name, _)| name.to_ascii_lowercase());
    for name in sent.filter(|name| name != "x-stays") {
        assert!(!names.contains(&name), "{name} in {names:?}");
    }
    let says = names.iter().find(|name| name.starts_with("connection "));
    assert_eq!(says, None);
    let chunked = names
        .iter()
        .filter(|name| name.starts_with("transfer-encoding"));
    let chunked: Vec<_> = chunked.collect();
    assert_eq!(
        chunked,
        vec!["transfer-encoding chunked"; framing],
        "{names:?}"
    );
}

#[tokio::test]
async fn what_belongs_to_one_connection_ends_at_the_gateway_both_ways() {
    let answer = format!("HTTP/1.1 200 OK\r\n{OF_ONE_HOP}").into_bytes();
    let upstream = Scripted::start(vec![("/items", answer, false)]).await;
    let shop = Shop::before(&upstream.url, "").await;
    let mut wire = Wire::open(&shop.address()).await;
    wire.send(format!("{}{OF_ONE_HOP}", shop.head("POST", "/items")))
        .await;
    let reply = wire.reply().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    nothing_of_one_hop(&names(&reply.head), 1);
    // HTTP/2 has none of them but one.
    let mut line = Line::open(&shop.address(), Version::Http2).await;
    let request = Request::get("http://localhost/shop/1.0.0/items")
        .header(
            "authorization",
            format!("Bearer {}", shop.subscribed.access),
        )
        .header("te", "trailers")
        .header("x-stays", "1");
    let answer = line.send(request.body(whole("")).expect("a request")).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let there: Vec<_> = answer.headers().keys().map(ToString::to_string).collect();
    nothing_of_one_hop(&there, 0);
    let heads = upstream.heads();
    assert_eq!(heads.len(), 2, "{heads:?}");
    nothing_of_one_hop(&names(&heads[0]), 1);
    nothing_of_one_hop(&names(&heads[1]), 0);
}

#[tokio::test]
async fn callers_of_an_upstream_of_http_1_0_are_answered_in_the_gateways_version_and_keep_their_connection()
 {
    let upstream = Scripted::start(vec![
        ("/items", OLD.to_vec(), false),
        ("/items/open", OLD_OPEN.to_vec(), false),
    ]);
    let upstream = upstream.await;
    let shop = Shop::before(&upstream.url, "").await;
    let mut wire = Wire::open(&shop.address()).await;
    for _ in 0..2 {
        wire.send(format!("{}\r\n", shop.head("GET", "/items")))
            .await;
        let reply = wire.reply().await;
        assert!(
            reply.head.to_lowercase().starts_with("http/1.1 200"),
            "{}",
            reply.head
        );
        assert_eq!(reply.field("connection"), None, "{}", reply.head);
        assert_eq!(reply.body, "hello");
    }
    let open = shop.node.api("GET", "/shop/1.0.0/items/open");
    let open = open
        .bearer(&shop.subscribed.access)
        .send()
        .await
        .expect(200);
    assert_eq!(open.text(), "hello");
    assert_eq!(upstream.heads().len(), 3);
}

#[tokio::test]
async fn a_token_of_ours_in_the_query_of_a_plain_call_reaches_no_upstream_either() {
    let (shop, upstream) = Shop::start("").await;
    shop.change(|document| {
        for operation in document["operations"].as_array_mut().expect("operations") {
            operation["authType"] = json!("None");
        }
    })
    .await;
    let access = &shop.subscribed.access;
    // Also of a request for a socket of which a proxy has left too little to ask for one.
    for fields in [&[][..], &[("Upgrade", "websocket")][..]] {
        for (query, left) in [
            (format!("?access_token={access}&a=1"), "/items?a=1"),
            (format!("?access_token={access}"), "/items"),
            (
                "?a=1&access_token=theirs".to_owned(),
                "/items?a=1&access_token=theirs",
            ),
        ] {
            let mut call = shop.node.api("GET", &format!("/shop/1.0.0/items{query}"));
            for (name, value) in fields {
                call = call.header(name, value);
            }
            call.send().await.expect(200);
            let seen = upstream.seen().pop().expect("a request");
            assert_eq!(seen.path, left);
        }
    }
    assert!(!shop.node.log().contains(access.as_str()));
}
