//! Tokens in the query of a request for a socket: where they are looked for, and that no upstream sees one.

use serde_json::json;
use tokio::net::TcpStream;

use crate::api_keys::key;
use crate::support::shop::Shop;
use crate::support::sockets::{Socket, Sockets};
use crate::websocket::{asks, closes_soon, shop};

#[tokio::test]
async fn a_token_may_stand_in_the_query_of_a_request_for_a_socket_and_goes_no_further() {
    let (shop, upstream) = shop("").await;
    let access = &shop.subscribed.access;
    let path = |token: &str| format!("/items/one?a=1&access_token={token}&b=2");
    let stream = TcpStream::connect(shop.address())
        .await
        .expect("a connection");
    let opened = Socket::over(stream, &path(access), &[]).await;
    let mut socket = opened.expect("a socket");
    socket.echoes("hello").await;
    let head = upstream.heads().remove(0);
    assert_eq!(head["x-target"], "/items/one?a=1&b=2");
    assert!(!head.contains_key("authorization"), "{head:?}");
    asks(&shop, &path("e30.e30.e30"), "").await.expect(401);
    // No other call may: what it asks for is in logs and histories.
    let call = format!("/shop/1.0.0{}", path(access));
    shop.node.api("GET", &call).send().await.expect(401);
    let revoke = shop.node.post("/oauth2/revoke");
    let revoke = revoke.basic(&shop.subscribed.key, &shop.subscribed.secret);
    let revoke = revoke.form(&[("token", access)]);
    revoke.send().await.expect(200);
    closes_soon(&mut socket, &upstream, "Invalid Credentials").await;
    assert!(!shop.node.log().contains(access.as_str()));
}

/// What the upstream is asked for a socket that this path, and nothing else, opens.
async fn asked(shop: &Shop, upstream: &Sockets, path: &str) -> http::HeaderMap {
    let stream = TcpStream::connect(shop.address()).await;
    let opened = Socket::over(stream.expect("a connection"), path, &[]).await;
    opened.expect("a socket").echoes("hello").await;
    upstream.heads().pop().expect("a request")
}

#[tokio::test]
async fn a_token_beside_another_one_opens_nothing_and_reaches_no_upstream() {
    let (shop, upstream) = shop("").await;
    shop.change(|document| document["securityScheme"] = json!(["oauth2", "api_key"]))
        .await;
    let access = shop.subscribed.access.as_str();
    for (query, bearer) in [
        (format!("access_token={access}"), access),
        ("a=1&access_token=theirs&b=2".to_owned(), access),
        (format!("access_token={access}&access_token={access}"), ""),
        ("access_token=a&access_token=b&apikey=k".to_owned(), ""),
    ] {
        let refused = asks(&shop, &format!("/items/one?{query}"), bearer).await;
        assert_eq!(refused.expect(401).json()["code"], "900901", "{query}");
    }
    assert!(upstream.heads().is_empty());
}

#[tokio::test]
async fn where_nobody_looks_for_tokens_ours_goes_no_further_and_another_one_stays_where_it_is() {
    let (shop, upstream) = shop("").await;
    shop.change(|document| {
        for operation in document["operations"].as_array_mut().expect("operations") {
            operation["authType"] = json!("None");
        }
    })
    .await;
    let access = &shop.subscribed.access;
    for (query, left) in [
        (
            "?a=1&access_token=theirs&b=2".to_owned(),
            "?a=1&access_token=theirs&b=2",
        ),
        (format!("?access_token={access}"), ""),
        (
            format!("?access_token={access}&access_token=theirs&access_token={access}"),
            "?access_token=theirs",
        ),
    ] {
        let head = asked(&shop, &upstream, &format!("/items{query}")).await;
        assert_eq!(head["x-target"], format!("/items{left}"));
        assert!(!head.contains_key("authorization"), "{head:?}");
    }
}

#[tokio::test]
async fn an_api_that_keys_alone_open_passes_neither_a_key_nor_a_token_of_ours_on() {
    let (shop, upstream) = shop("").await;
    shop.change(|document| document["securityScheme"] = json!(["api_key"]))
        .await;
    let access = &shop.subscribed.access;
    let with = |more: &str| format!("/items?access_token={access}&access_token=theirs{more}");
    asks(&shop, &with(""), "").await.expect(401);
    let (key, _) = key(&shop, json!({})).await;
    let head = asked(&shop, &upstream, &with(&format!("&apikey={key}"))).await;
    assert_eq!(head["x-target"], "/items?access_token=theirs");
    assert_eq!(upstream.heads().len(), 1, "the other one was refused");
}
