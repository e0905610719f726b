//! WebSockets through the gateway: opened by whoever may call, passed on as they are, and closed with a word by
//! whatever ends them.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::support::eventually;
use crate::support::platform::{ADMIN, PUBLISHER, text};
use crate::support::shop::Shop;
use crate::support::sockets::{Socket, Sockets};
use crate::support::upstream::Tls;
use crate::support::wire::Wire;
use crate::without_key_managers::measured;

pub const OPEN: &str = "headgate_gateway_websockets ";
/// A socket ends so long after the answer to the change at most.
const SOON: Duration = Duration::from_secs(2);

pub async fn shop(toml: &str) -> (Shop, Sockets) {
    let upstream = Sockets::start().await;
    (Shop::before(&upstream.url, toml).await, upstream)
}

/// Every kind of message goes to the upstream and comes back.
async fn talks<S>(socket: &mut Socket<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    socket.echoes("hello").await;
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    socket.say(Message::binary(bytes.clone())).await;
    assert_eq!(socket.hear().await, Some(Message::binary(bytes)));
    let part = |text: &'static str, opcode, last| {
        Message::Frame(Frame::message(text, OpCode::Data(opcode), last))
    };
    socket.say(part("in ", Data::Text, false)).await;
    socket.say(Message::Ping("there?".into())).await;
    assert_eq!(socket.hear().await, Some(Message::Pong("there?".into())));
    socket.say(part("two ", Data::Continue, false)).await;
    socket.say(part("parts", Data::Continue, true)).await;
    assert_eq!(socket.hear().await, Some(Message::text("in two parts")));
    socket.say(Message::text("")).await;
    assert_eq!(socket.hear().await, Some(Message::text("")));
}

#[tokio::test]
async fn a_socket_passes_what_either_side_sends_in_the_clear_and_over_tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = Tls::new(dir.path());
    for encrypted in [false, true] {
        let (upstream, toml) = match encrypted {
            false => (Sockets::start().await, String::new()),
            true => (Sockets::over(&tls).await, tls.setting()),
        };
        // The endpoint is named as its own clients would.
        let url = upstream.url.replacen("http", "ws", 1);
        let shop = Shop::before(&url, &toml).await;
        let access = format!("Bearer {}", shop.subscribed.access);
        let fields = [
            ("authorization", access),
            ("sec-websocket-protocol", "chat, superchat".to_owned()),
            ("sec-websocket-extensions", "permessage-odd".to_owned()),
        ];
        let plain = TcpStream::connect(shop.address()).await;
        let plain = Socket::over(plain.expect("a connection"), "/items", &fields);
        let mut plain = plain.await.expect("a socket");
        let secure = shop.tls(&["http/1.1"]).await;
        let secure = Socket::over(secure, "/items", &fields).await;
        let mut secure = secure.expect("a socket");
        for answer in [&plain.answer, &secure.answer] {
            assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
            assert!(answer.headers().contains_key("x-request-id"), "{answer:?}");
        }
        for head in upstream.heads() {
            assert_eq!(head["sec-websocket-extensions"], "permessage-odd");
            assert!(!head.contains_key("authorization"), "{head:?}");
        }
        // Counted as its two sides are joined, which is after its client has heard of it.
        eventually(10, "both sockets are among the open ones", || async {
            ((measured(&shop.node, OPEN).await - 2.0).abs() < 0.5).then_some(())
        })
        .await;
        tokio::join!(talks(&mut plain), talks(&mut secure));
        plain.ends().await;
        secure.ends().await;
        for _ in 0..2 {
            assert_eq!(upstream.end().await, Some((1000, "done".to_owned())));
        }
        told(&shop).await;
    }
}

/// Both sockets are accounted: in the log, among the calls, and not among the open ones.
async fn told(shop: &Shop) {
    let calls = format!(
        "headgate_http_requests_total{{api=\"{}\",method=\"GET\",code=\"101\"}}",
        shop.api
    );
    eventually(10, "the sockets are accounted", || async {
        let (open, calls) = (
            measured(&shop.node, OPEN).await,
            measured(&shop.node, &calls).await,
        );
        (open < 0.5 && calls > 1.5).then_some(())
    })
    .await;
    let log = shop.node.log();
    let lines = log.lines().filter(|line| line.contains("headgate::access"));
    let lines: Vec<_> = lines
        .filter(|line| line.contains("\"status\":101"))
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        for way in ["bytes_in", "bytes_out"] {
            let bytes = line[way].as_u64().expect("a number");
            assert!((1 << 20..(1 << 20) + 500).contains(&bytes), "{line}");
        }
        assert_eq!(line["broken"], false, "{line}");
    }
}

/// A call that asks for a socket, as any client of HTTP may make it.
pub async fn asks(shop: &Shop, path: &str, access: &str) -> crate::support::http::Answer {
    let call = shop.node.api("GET", &format!("/shop/1.0.0{path}"));
    let call = match access {
        "" => call,
        access => call.bearer(access),
    };
    call.header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .send()
        .await
}

#[tokio::test]
async fn who_may_not_call_gets_a_plain_refusal_and_the_upstream_hears_nothing() {
    let (shop, upstream) = shop("max_calls = 2\n").await;
    let (node, token) = (&shop.node, &shop.token);
    let body = json!({"policyName": "OneADay", "defaultLimit": {
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": 1},
    }});
    let path = format!("{ADMIN}/throttling/policies/application");
    let made = node.post(&path).bearer(token).json(&body);
    made.send().await.expect(201);
    let plans = ("OneADay", "Unlimited");
    let limited = node.subscribed_under(token, &shop.api, plans, "limited", "JWT");
    let limited = limited.await;
    let access = shop.subscribed.access.as_str();
    for (path, access, status, code) in [
        ("/items", "", 401, "900902"),
        ("/items", "e30.e30.e30", 401, "900901"),
        ("/nothing", access, 404, "900906"),
    ] {
        let refused = asks(&shop, path, access).await.expect(status);
        assert_eq!(refused.json()["code"], code, "{path}");
    }
    assert!(upstream.heads().is_empty());
    let refused = asks(&shop, "/items/refuses", access).await.expect(403);
    assert_eq!(refused.text(), "no sockets here");
    let mut first = Socket::with(&shop, "/items", &limited.access).await;
    first.echoes("once").await;
    let refused = asks(&shop, "/items", &limited.access).await.expect(429);
    assert_eq!(refused.json()["code"], "900803");
    assert_eq!(upstream.heads().len(), 2, "one was refused, one is open");
    // An open socket is a call under way.
    let mut second = Socket::open(&shop, "/items").await;
    let refused = asks(&shop, "/items", access).await.expect(503);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(upstream.heads().len(), 3, "the second is open as well");
    second.ends().await;
    eventually(10, "there is room again", || async {
        let answer = asks(&shop, "/items/refuses", access).await;
        (answer.status == 403).then_some(())
    })
    .await;
    first.echoes("still").await;
}

#[tokio::test]
async fn an_upstream_that_agrees_to_something_else_gets_no_socket() {
    let (shop, upstream) = shop("").await;
    let access = format!("Bearer {}", shop.subscribed.access);
    let stream = TcpStream::connect(shop.address())
        .await
        .expect("a connection");
    let opened = Socket::over(stream, "/items/careless", &[("authorization", access)]).await;
    let error = opened.map(|_| ()).expect_err("no socket").to_string();
    assert!(error.contains("502"), "{error}");
    assert_eq!(upstream.end().await, None, "its connection ends");
}

#[tokio::test]
async fn no_other_switch_of_protocols_is_passed_on() {
    let (shop, upstream) = Shop::start("").await;
    let mut wire = Wire::open(&shop.address()).await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: h2c\r\n";
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (n, asked) in [
        h2c.to_owned(),
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n".to_owned(),
        format!("Upgrade: websocket\r\n{key}{version}"),
        format!("{socket}{version}"),
        format!("{socket}{key}Sec-WebSocket-Version: 8\r\n"),
        format!("{socket}{key}{version}Content-Length: 2\r\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = if asked.contains("Length") { "hi" } else { "" };
        let head = shop.head("GET", "/items");
        wire.send(format!("{head}{asked}\r\n{body}")).await;
        assert_eq!(wire.reply().await.status, 200, "{asked}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), n + 1);
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(seen[n].header(name), None, "{asked}");
        }
    }
}

#[tokio::test]
async fn a_socket_closes_with_1008_at_both_sides_when_what_it_rests_on_ends_and_no_other_does() {
    let (shop, upstream) = shop("").await;
    let (node, token) = (&shop.node, &shop.token);
    let mut bystander = Socket::open(&shop, "/items").await;
    let revoked = node.subscribed(token, &shop.api, "revoked", "JWT").await;
    let mut socket = Socket::with(&shop, "/items", &revoked.access).await;
    socket.echoes("before").await;
    let revoke = node.post("/oauth2/revoke");
    let revoke = revoke.basic(&revoked.key, &revoked.secret);
    let revoke = revoke.form(&[("token", &revoked.access)]);
    revoke.send().await.expect(200);
    closes_soon(&mut socket, &upstream, "Invalid Credentials").await;
    bystander.echoes("untouched").await;

    let blocked = node.subscribed(token, &shop.api, "blocked", "OAUTH").await;
    let mut socket = Socket::with(&shop, "/items", &blocked.access).await;
    let block = format!(
        "{PUBLISHER}/subscriptions/block-subscription?subscriptionId={}&blockState=BLOCKED",
        blocked.subscription
    );
    node.post(&block).bearer(token).send().await.expect(200);
    closes_soon(&mut socket, &upstream, "").await;
    bystander.echoes("untouched").await;

    let revisions = format!(
        "{PUBLISHER}/apis/{}/revisions?query=deployed:true",
        shop.api
    );
    let list = node.get(&revisions).bearer(token).send().await.json();
    let undeploy = format!(
        "{PUBLISHER}/apis/{}/undeploy-revision?revisionId={}",
        shop.api,
        text(&list["list"][0], "id")
    );
    let body = json!([{"name": "Default", "vhost": "localhost"}]);
    let undeploy = node.post(&undeploy).bearer(token).json(&body);
    let answer = undeploy.send().await;
    assert!(answer.status.is_success(), "{}", answer.text());
    closes_soon(&mut bystander, &upstream, "").await;
    let cut = measured(node, "headgate_gateway_cut_calls_total").await;
    assert!((cut - 3.0).abs() < 0.5, "{cut}");
}

pub async fn closes_soon(socket: &mut Socket, upstream: &Sockets, reason: &str) {
    let closed = tokio::time::timeout(SOON, socket.closed());
    let (code, said) = closed.await.expect("it closes in time");
    assert_eq!(code, 1008, "{said}");
    assert!(said.contains(reason), "{said}");
    assert_eq!(upstream.end().await, Some((1008, said)));
}

#[tokio::test]
async fn a_socket_closes_with_1008_when_its_token_expires() {
    // The administrator's lives no longer, and makes all that the test needs.
    let (shop, upstream) = shop("[oauth2]\naccess_token_seconds = 8\n").await;
    let held = &shop.subscribed;
    let access = shop.node.client_token(&held.key, &held.secret).await;
    let mut socket = Socket::with(&shop, "/items", &access).await;
    socket.echoes("before").await;
    let (code, reason) = socket.closed().await;
    assert_eq!(
        (code, reason.as_str()),
        (1008, "the credential has expired")
    );
    assert_eq!(upstream.end().await, Some((1008, reason)));
}

#[tokio::test]
async fn who_sends_what_no_frame_of_its_own_may_be_is_told_so_and_the_other_side_hears_none_of_it()
{
    let (shop, upstream) = shop("body_limit = \"100KB\"\n").await;
    for (frame, code) in [
        // Without a mask; a ping in parts; a length with its highest bit; one beyond the limit.
        (&b"\x81\x05Hello"[..], 1002),
        (b"\x09\x80....", 1002),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff....", 1002),
        (b"\x82\xff\0\0\0\0\x01\0\0\0....", 1009),
    ] {
        let mut socket = Socket::open(&shop, "/items").await;
        socket.echoes("before").await;
        let raw = socket.inner.get_mut();
        raw.write_all(frame).await.expect("sent");
        let (said, reason) = socket.closed().await;
        assert_eq!(said, code, "{frame:x?}");
        assert_eq!(upstream.end().await, Some((code, reason)), "{frame:x?}");
    }
    let mut odd = Socket::open(&shop, "/items/odd").await;
    odd.say(Message::text("go")).await;
    let (code, reason) = odd.closed().await;
    assert_eq!(code, 1011);
    assert_eq!(upstream.end().await, Some((1002, reason)));
}
