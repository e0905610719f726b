//! The data plane as callers and upstreams meet it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;

use crate::support::line::{Line, Version, whole};
use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, Subscribed, text};
use crate::support::shop::Shop;
use crate::support::upstream::{Upstream, serve};
use crate::support::wire::Wire;

async fn shop() -> (Node, Upstream, String, String, Subscribed) {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    (node, upstream, token, api, subscribed)
}

#[tokio::test]
async fn calls_over_tls_carry_their_bodies_and_lose_forged_fields() {
    let (node, upstream, _, _, subscribed) = shop().await;
    let answer = node
        .client
        .call("POST", &format!("{}/shop/1.0.0/items", node.https))
        .bearer(&subscribed.access)
        .header("x-jwt-assertion", "forged")
        .header("x-forwarded-for", "10.9.8.7")
        .header("x-authenticated-user", "root")
        .header(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .bytes("application/json", vec![b'7'; 300_000])
        .send()
        .await
        .expect(200);
    assert!(!answer.header("x-request-id").is_empty());
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!(seen.body.len(), 300_000);
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/items")
    );
    for forged in ["x-jwt-assertion", "x-authenticated-user", "authorization"] {
        assert_eq!(seen.header(forged), None, "{forged}");
    }
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    let trace = seen.header("traceparent").expect("a trace");
    assert!(
        trace.contains("4bf92f3577b34da6a3ce929d0e0e4736"),
        "{trace}"
    );
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_refused_with_its_code() {
    let (node, upstream, token, _, subscribed) = shop().await;
    let call = |method: &str, path: &str| node.api(method, path).bearer(&subscribed.access);
    call("GET", "/nothing/1.0.0/x").send().await.expect(404);
    let listed = call("GET", "/shop/1.0.0/nothing").header("connection", "authorization");
    let listed = listed.send().await.expect(404);
    assert_eq!(text(&listed.json(), "code"), "900906");
    let resource = call("GET", "/shop/1.0.0/nothing").send().await.expect(404);
    assert_eq!(text(&resource.json(), "code"), "900906");
    call("DELETE", "/shop/1.0.0/items").send().await.expect(405);
    let missing = node
        .api("GET", "/shop/1.0.0/items")
        .send()
        .await
        .expect(401);
    assert_eq!(text(&missing.json(), "code"), "900902");
    assert!(missing.header("www-authenticate").contains("realm"));
    for bad in ["x", "a.b.c", "e30.e30.e30"] {
        let wrong = node.api("GET", "/shop/1.0.0/items").bearer(bad);
        let wrong = wrong.send().await.expect(401);
        assert_eq!(text(&wrong.json(), "code"), "900901", "{bad}");
    }
    let other = node
        .published(&token, "Other", "/other", &upstream.url)
        .await;
    let unsubscribed = call("GET", "/other/1.0.0/items").send().await.expect(403);
    assert_eq!(text(&unsubscribed.json(), "code"), "900908", "{other}");
    for path in [
        "/shop/1.0.0/items/%2e%2e/x",
        "/shop/1.0.0/items/a%2fb",
        "/shop/1.0.0/a;b",
    ] {
        call("GET", path).send().await.expect(400);
    }
    assert_eq!(upstream.count(), 0, "nothing of this reached the upstream");
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_credential() {
    let (node, upstream, ..) = shop().await;
    let answer = node
        .api("OPTIONS", "/shop/1.0.0/items")
        .header("origin", "https://portal.example")
        .header("access-control-request-method", "GET")
        .send()
        .await;
    assert!(answer.status.is_success(), "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    // Those of the resource, and what the gateway lets anybody send.
    assert_eq!(answer.header("access-control-allow-methods"), "GET, POST");
    assert_eq!(
        answer.header("access-control-allow-headers"),
        "authorization, Access-Control-Allow-Origin, Content-Type, SOAPAction, apikey, Internal-Key"
    );
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_denied_address_is_refused_at_once_and_let_in_again_at_once() {
    let (node, _, token, _, subscribed) = shop().await;
    let call = || {
        node.api("GET", "/shop/1.0.0/items")
            .bearer(&subscribed.access)
    };
    call().send().await.expect(200);
    let deny = node
        .post(&format!("{ADMIN}/throttling/deny-policies"))
        .bearer(&token)
        .json(&json!({
            "conditionType": "IP",
            "conditionValue": {"fixedIp": "127.0.0.1", "invert": false},
            "conditionStatus": true,
        }))
        .send()
        .await
        .expect(201);
    let refused = call().send().await.expect(403);
    assert_eq!(text(&refused.json(), "code"), "900805");
    let deny = text(&deny.json(), "conditionId").to_owned();
    let lifted = node.delete(&format!("{ADMIN}/throttling/deny-policy/{deny}"));
    lifted.bearer(&token).send().await.expect(200);
    call().send().await.expect(200);
}

/// Lets API keys open an API, in what is deployed as well.
async fn accept_keys(node: &Node, token: &str, api: &str) {
    let base = format!("{PUBLISHER}/apis/{api}");
    let mut document = node
        .get(&base)
        .bearer(token)
        .send()
        .await
        .expect(200)
        .json();
    document["securityScheme"] = json!(["oauth2", "api_key"]);
    let put = node.put(&base).bearer(token).json(&document);
    put.send().await.expect(200);
    node.deploy(token, api).await;
}

/// Makes an API key that may be used from these addresses.
async fn api_key(node: &Node, token: &str, keys: &str, name: &str, addresses: &str) -> String {
    let body = json!({
        "keyName": name, "keyType": "PRODUCTION", "validityPeriod": -1,
        "additionalProperties": {"permittedIP": addresses},
    });
    let made = node
        .post(&format!("{keys}/generate"))
        .bearer(token)
        .json(&body);
    text(&made.send().await.expect(200).json(), "apikey").to_owned()
}

#[tokio::test]
async fn an_api_key_opens_its_api_from_permitted_addresses_until_it_is_revoked() {
    let (node, _, token, api, subscribed) = shop().await;
    accept_keys(&node, &token, &api).await;
    let keys = format!("{DEVPORTAL}/apis/{api}/api-keys");
    let here = api_key(&node, &token, &keys, "here", "127.0.0.0/8").await;
    let elsewhere = api_key(&node, &token, &keys, "there", "10.0.0.1").await;
    let list = node
        .get(&keys)
        .bearer(&token)
        .send()
        .await
        .expect(200)
        .json();
    let list = list["list"].as_array().expect("a list");
    for key in list {
        let body = json!({
            "keyUUID": key["keyUUID"], "applicationUUID": subscribed.application,
        });
        let bind = node
            .post(&format!("{keys}/associate"))
            .bearer(&token)
            .json(&body);
        bind.send().await.expect(200);
    }
    let call = |key: &str| node.api("GET", "/shop/1.0.0/items").header("apikey", key);
    call(&here).send().await.expect(200);
    let query = node.api("GET", &format!("/shop/1.0.0/items?apikey={here}"));
    query.send().await.expect(200);
    call(&elsewhere).send().await.expect(403);
    let unknown = call(&"0".repeat(43));
    unknown.send().await.expect(401);
    let mine = list.iter().find(|key| key["keyName"] == "here");
    let body = json!({"keyUUID": mine.expect("the key")["keyUUID"]});
    let revoke = node
        .post(&format!("{keys}/revoke"))
        .bearer(&token)
        .json(&body);
    revoke.send().await.expect(200);
    call(&here).send().await.expect(401);
}

/// What is no ambiguity is taken, and passed on in one way: one request, with one length.
async fn passes_as_one(shop: &Shop, upstream: &Upstream, inner: &str) {
    let head = shop.head("POST", "/items");
    let bare = format!("{head}Content-Length: 4\r\n\r\nabcd").replace("\r\n", "\n");
    let twice = format!("{head}Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd");
    for (n, request) in [bare, twice].into_iter().enumerate() {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(format!("{request}{inner}")).await;
        assert_eq!(wire.reply().await.status, 200, "{request:?}");
        assert_eq!(wire.reply().await.status, 404, "the front's second one");
        let seen = upstream.seen();
        assert_eq!(seen.len(), n + 1, "{request:?}");
        let last = seen.last().expect("a request");
        assert_eq!(
            (last.path.as_str(), &last.body[..]),
            ("/items", &b"abcd"[..])
        );
        let lengths = last
            .headers
            .iter()
            .filter(|(name, _)| name == "content-length");
        let lengths: Vec<&str> = lengths.map(|(_, value)| value.as_str()).collect();
        assert_eq!(lengths, ["4"], "{request:?}");
        assert!(last.header("transfer-encoding").is_none());
    }
}

/// An upstream that says how many were here before, and by what name the caller goes; anybody may keep its answers.
async fn numbered() -> String {
    let here = Arc::new(AtomicU64::new(0));
    serve(None, move |request| {
        let before = here.fetch_add(1, Ordering::Relaxed);
        let name = request.headers().get("x-name").cloned();
        async move {
            let name = name.as_ref().and_then(|name| name.to_str().ok());
            let text = format!("{before} {}", name.unwrap_or_default());
            let mut response = Response::new(Full::new(Bytes::from(text)));
            for (field, value) in [("cache-control", "public, max-age=3600"), ("etag", "\"1\"")] {
                let value = HeaderValue::from_static(value);
                response.headers_mut().insert(field, value);
            }
            response
        }
    })
    .await
}

/// Threats 9: nothing is kept, so nothing can be kept under too little of what it hangs on.
#[tokio::test]
async fn two_callers_of_one_path_each_get_the_upstreams_answer_to_their_own_call_whatever_may_be_kept()
 {
    let shop = Shop::before(&numbered().await, "").await;
    let other = shop.node.subscribed(&shop.token, &shop.api, "two", "JWT");
    let other = other.await;
    let callers = [("one", &shop.subscribed.access), ("two", &other.access)];
    let mut before = 0;
    for host in ["localhost", "localhost", "elsewhere"] {
        for (name, access) in callers {
            let call = shop.node.api("GET", "/shop/1.0.0/items").bearer(access);
            let call = call.header("x-name", name).header("x-forwarded-host", host);
            let answer = call.send().await.expect(200);
            assert_eq!(answer.text(), format!("{before} {name}"));
            before += 1;
        }
    }
    // And whoever has no token gets nothing of it.
    let refused = shop.node.api("GET", "/shop/1.0.0/items").send().await;
    assert!(!refused.expect(401).text().contains("one"));
}

#[tokio::test]
async fn ambiguous_framing_never_smuggles_a_second_request_to_the_upstream() {
    let (shop, upstream) = Shop::start("").await;
    let head = shop.head("POST", "/items");
    let inner = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let end = format!("\r\n0\r\n\r\n{inner}");
    let refused = [
        format!("Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde{inner}"),
        format!("Content-Length: +4\r\n\r\nabcd{inner}"),
        format!("Transfer-Encoding: chunked, identity\r\n{end}"),
        format!("Transfer-Encoding: gzip, chunked\r\n{end}"),
        format!("Transfer-Encoding: chunked, chunked\r\n{end}"),
        format!("Transfer-Encoding: gzip\r\n{chunked}{end}"),
        format!("{chunked}{chunked}{end}"),
        format!("Transfer-Encoding: \x0bchunked\r\n{end}"),
        "X: a\r\n b\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "X: a\0b\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "X: a\rb\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!("X: a\rContent-Length: 4\r\n\r\nabcd{inner}"),
        format!("Content-Length: 4, 4\r\n\r\nabcd{inner}"),
        format!("Transfer-Encoding: ,chunked\r\n{end}"),
    ];
    for rest in refused {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(format!("{head}{rest}")).await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, 400, "{rest:?}: {reply:?}");
        reply.refused(400, "400");
        assert_eq!(wire.closed().await, "", "{rest:?}");
    }
    let old = head.replace("HTTP/1.1", "HTTP/1.0");
    let mut wire = Wire::open(&shop.address()).await;
    wire.send(format!("{old}{chunked}{end}")).await;
    wire.reply().await.refused(400, "400");
    assert_eq!(wire.closed().await, "");
    assert_eq!(upstream.count(), 0);
    passes_as_one(&shop, &upstream, inner).await;
    // Chunks count, not the length beside them, and the connection is of no more use.
    let mut wire = Wire::open(&shop.address()).await;
    wire.send(format!("{head}Content-Length: 4\r\n{chunked}{end}"))
        .await;
    let reply = wire.reply().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.field("connection"), Some("close"));
    assert_eq!(wire.closed().await, "");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!((seen.path.as_str(), seen.body.len()), ("/items", 0));
    let both = ["content-length", "transfer-encoding"].map(|name| seen.header(name).is_some());
    assert_ne!(both, [true, true], "forwarded with two framings");
    assert_eq!(upstream.count(), 3);
}

#[tokio::test]
async fn the_gateways_own_paths_keep_the_rules_of_framing_as_well() {
    let (shop, _upstream) = Shop::start("").await;
    for word in ["livez", "nothing"] {
        let mut wire = Wire::open(&shop.address()).await;
        let head = format!("POST /_headgate/{word} HTTP/1.1\r\nHost: localhost\r\n");
        let framing = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        wire.send(format!("{head}{framing}")).await;
        assert_eq!(wire.reply().await.field("connection"), Some("close"));
        assert_eq!(wire.closed().await, "");
        let mut line = Line::open(&shop.address(), Version::Http2).await;
        let request = Request::head(format!("http://localhost/_headgate/{word}"));
        let request = request.body(whole("")).expect("a request");
        let answer = line.send(request).await.expect("an answer").into_body();
        let body = answer.collect().await.expect("no stream error").to_bytes();
        assert!(body.is_empty(), "{body:?}");
    }
}

#[tokio::test]
async fn oversized_heads_and_targets_are_refused_before_anything_is_asked() {
    let (node, upstream, _, _, subscribed) = shop().await;
    let call = |path: &str| node.api("GET", path).bearer(&subscribed.access);
    let long = format!("/shop/1.0.0/items?q={}", "a".repeat(9_000));
    call(&long).send().await.expect(414);
    let mut many = call("/shop/1.0.0/items");
    for n in 0..120 {
        many = many.header(&format!("x-{n}"), "1");
    }
    many.send().await.expect(431);
    assert_eq!(upstream.count(), 0);
}
