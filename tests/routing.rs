//! Which API, which resource and which endpoint a call belongs to, and what a browser of another
//! origin may see of the answer.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::platform::{DEVPORTAL, PUBLISHER, text};
use crate::support::shop::Shop;
use crate::support::upstream::{Upstream, serve};

fn call(shop: &Shop, method: &str, path: &str) -> Call {
    let call = shop.node.api(method, path);
    call.bearer(&shop.subscribed.access)
}

fn endpoints(production: Option<&str>, sandbox: Option<&str>) -> Value {
    let mut config = json!({"endpoint_type": "http"});
    let sides = [
        ("production_endpoints", production),
        ("sandbox_endpoints", sandbox),
    ];
    for (member, url) in sides {
        if let Some(url) = url {
            config[member] = json!({"url": url});
        }
    }
    config
}

#[tokio::test]
async fn the_default_version_answers_without_a_version_in_the_path_and_no_other_does() {
    let (shop, first) = Shop::start("").await;
    call(&shop, "GET", "/shop/items").send().await.expect(404);
    let second = Upstream::start().await;
    let copy = shop
        .node
        .post(&format!(
            "{PUBLISHER}/apis/copy-api?apiId={}&newVersion=2.0.0&defaultVersion=true",
            shop.api
        ))
        .bearer(&shop.token);
    let copy = copy.send().await.expect(201).json();
    let copy = Shop {
        api: text(&copy, "id").to_owned(),
        ..shop
    };
    copy.change(|api| api["endpointConfig"] = endpoints(Some(&second.url), None))
        .await;
    copy.node.lifecycle(&copy.token, &copy.api, "Publish").await;
    // Who is subscribed to the version before is subscribed to the next.
    for (path, of_first, of_second) in [
        ("/shop/2.0.0/items", 0, 1),
        ("/shop/items", 0, 2),
        ("/shop/1.0.0/items", 1, 2),
        ("/shop/items/7?q=1", 1, 3),
    ] {
        call(&copy, "GET", path).send().await.expect(200);
        assert_eq!(
            (first.count(), second.count()),
            (of_first, of_second),
            "{path}"
        );
    }
    let seen = second.seen().pop().expect("a request");
    assert_eq!(seen.path, "/items/7?q=1");
    call(&copy, "GET", "/shop/3.0.0/items")
        .send()
        .await
        .expect(404);
}

#[tokio::test]
async fn a_kind_of_key_leads_to_its_endpoint_and_without_one_is_refused() {
    let (shop, production) = Shop::start("").await;
    let sandbox = Upstream::start().await;
    let (real, play) = (production.url.clone(), sandbox.url.clone());
    shop.change(|api| api["endpointConfig"] = endpoints(Some(&real), Some(&play)))
        .await;
    let application = &shop.subscribed.application;
    let (key, secret) = shop.node.keys(&shop.token, application, "SANDBOX").await;
    let playing = shop.node.client_token(&key, &secret).await;
    let play_call = || shop.node.api("GET", "/shop/1.0.0/items").bearer(&playing);
    call(&shop, "GET", "/shop/1.0.0/items")
        .send()
        .await
        .expect(200);
    assert_eq!((production.count(), sandbox.count()), (1, 0));
    play_call().send().await.expect(200);
    assert_eq!((production.count(), sandbox.count()), (1, 1));

    shop.change(|api| api["endpointConfig"] = endpoints(Some(&real), None))
        .await;
    let refused = play_call().send().await.expect(403).json();
    assert_eq!(text(&refused, "code"), "900901");
    let said = text(&refused, "description");
    assert!(said.contains("no sandbox endpoint"), "{said}");
    call(&shop, "GET", "/shop/1.0.0/items")
        .send()
        .await
        .expect(200);

    shop.change(|api| api["endpointConfig"] = endpoints(None, Some(&play)))
        .await;
    let refused = call(&shop, "GET", "/shop/1.0.0/items").send().await;
    let refused = refused.expect(403).json();
    assert_eq!(text(&refused, "code"), "900901");
    let said = text(&refused, "description");
    assert!(said.contains("no production endpoint"), "{said}");
    play_call().send().await.expect(200);
    assert_eq!((production.count(), sandbox.count()), (2, 2));
}

#[tokio::test]
async fn the_most_literal_template_decides_who_may_call() {
    let (shop, _upstream) = Shop::start("").await;
    let open = |target: &str| json!({"target": target, "verb": "GET", "authType": "None"});
    let closed = |target: &str| json!({"target": target, "verb": "GET", "authType": "Any"});
    shop.change(|api| {
        api["operations"] = json!([
            closed("/*"),
            open("/items/*"),
            closed("/items/{id}"),
            open("/items/latest"),
            closed("/items/{id}/parts"),
            open("/items/latest/{part}"),
        ]);
    })
    .await;
    for (path, status) in [
        ("/other", 401),
        ("/items/7", 401),
        ("/items/latest", 200),
        ("/items/%6Catest", 200),
        ("/items/latesT", 401),
        ("/items/7/parts", 401),
        ("/items/7/others", 200),
        ("/items/latest/parts", 200),
    ] {
        let anonymous = shop.node.api("GET", &format!("/shop/1.0.0{path}"));
        let answer = anonymous.send().await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_refusal_carries_the_fields_that_let_a_browser_read_it() {
    let (shop, upstream) = Shop::start("").await;
    let origin = "https://portal.example";
    shop.change(|api| {
        api["corsConfiguration"] = json!({
            "corsConfigurationEnabled": true,
            "accessControlAllowOrigins": [origin],
            "accessControlAllowCredentials": true,
            "accessControlAllowHeaders": ["authorization", "X-Shop"],
            "accessControlAllowMethods": ["GET", "PATCH"],
        });
    })
    .await;
    let from = |call: Call, origin: &str| call.header("origin", origin);
    let without = |path: &str| shop.node.api("GET", path);
    for (asked, status) in [
        (call(&shop, "GET", "/shop/1.0.0/items"), 200),
        (without("/shop/1.0.0/items"), 401),
        (without("/shop/1.0.0/items").bearer("wrong"), 401),
        (call(&shop, "GET", "/shop/1.0.0/nothing"), 404),
        (call(&shop, "DELETE", "/shop/1.0.0/items"), 405),
        (call(&shop, "OPTIONS", "/shop/1.0.0/items"), 405),
    ] {
        let answer = from(asked, origin).send().await.expect(status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            origin,
            "{status}"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(answer.header("vary"), "origin", "{status}");
    }
    let preflight = shop.node.api("OPTIONS", "/shop/1.0.0/items");
    let preflight = preflight.header("access-control-request-method", "GET");
    let preflight = from(preflight, origin).send().await.expect(200);
    assert_eq!(preflight.header("access-control-allow-origin"), origin);
    // As the API says, whatever its resources have.
    let field = |name: &str| preflight.header(&format!("access-control-allow-{name}"));
    assert_eq!(field("methods"), "GET, PATCH");
    assert_eq!(field("headers"), "authorization, X-Shop");
    assert_eq!(field("credentials"), "true");
    assert_eq!(preflight.headers.get_all("vary").iter().count(), 1);
    for other in [
        "https://evil.example",
        "null",
        "https://portal.example.evil.example",
    ] {
        let answer = from(without("/shop/1.0.0/items"), other).send().await;
        let answer = answer.expect(401);
        assert_eq!(answer.header("access-control-allow-origin"), "", "{other}");
        let preflight = shop.node.api("OPTIONS", "/shop/1.0.0/items");
        let preflight = preflight.header("access-control-request-method", "GET");
        let preflight = from(preflight, other).send().await.expect(200);
        for name in ["origin", "methods", "headers", "credentials"] {
            let field = preflight.header(&format!("access-control-allow-{name}"));
            assert_eq!(field, "", "{name} for {other}");
        }
    }
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn what_an_upstream_says_of_origins_does_not_pass_where_the_api_says_it() {
    let url = serve(None, |_| async {
        let answer = Response::builder()
            .header("access-control-allow-origin", "*")
            .header("access-control-allow-credentials", "true")
            .header("access-control-expose-headers", "x-secret");
        answer.body(Full::new(Bytes::new())).expect("an answer")
    })
    .await;
    let shop = Shop::before(&url, "").await;
    let origin = "https://portal.example";
    shop.change(|api| {
        api["corsConfiguration"] = json!({
            "corsConfigurationEnabled": true,
            "accessControlAllowOrigins": [origin],
            "accessControlAllowCredentials": false,
            "accessControlAllowHeaders": ["authorization"],
            "accessControlAllowMethods": ["GET"],
        });
    })
    .await;
    for (from, allowed) in [
        (Some(origin), origin),
        (Some("https://evil.example"), ""),
        (None, ""),
    ] {
        let call = call(&shop, "GET", "/shop/1.0.0/items");
        let call = match from {
            Some(from) => call.header("origin", from),
            None => call,
        };
        let answer = call.send().await.expect(200);
        let named = |name: &str| answer.header(&format!("access-control-{name}")).to_owned();
        assert_eq!(named("allow-origin"), allowed, "{from:?}");
        assert_eq!(named("allow-credentials"), "", "{from:?}");
        assert_eq!(named("expose-headers"), "", "{from:?}");
        // A cache must not give one origin's answer to another.
        assert_eq!(answer.header("vary"), "origin", "{from:?}");
    }
}

#[tokio::test]
async fn a_resource_with_a_scope_wants_one_of_its_tokens() {
    let (shop, upstream) = Shop::start("").await;
    shop.change(|api| {
        api["scopes"] = json!([
            {"scope": {"name": "items:read", "bindings": []}},
            {"scope": {"name": "items:write", "bindings": []}},
        ]);
        api["operations"] = json!([
            {"target": "/items", "verb": "GET", "scopes": ["items:read", "items:write"]},
            {"target": "/items/{id}", "verb": "GET"},
        ]);
    })
    .await;
    let held = &shop.subscribed;
    let with = async |scope: &str| {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let call = shop.node.post("/oauth2/token");
        let call = call.basic(&held.key, &held.secret).form(&form);
        let issued = call.send().await.expect(200).json();
        text(&issued, "access_token").to_owned()
    };
    let without = call(&shop, "GET", "/shop/1.0.0/items").send().await;
    let refused = without.expect(403).json();
    assert_eq!(text(&refused, "code"), "900910");
    assert_eq!(upstream.count(), 0);
    call(&shop, "GET", "/shop/1.0.0/items/7")
        .send()
        .await
        .expect(200);
    for scope in ["items:read", "items:write", "items:read other"] {
        let token = with(scope).await;
        let call = shop.node.api("GET", "/shop/1.0.0/items").bearer(&token);
        call.send().await.expect(200);
    }
}

#[tokio::test]
async fn a_token_of_another_kind_or_audience_and_another_transport_are_refused() {
    let (shop, upstream) = Shop::start("").await;
    let refused = async |path: &str, status: u16, code: &str| {
        let answer = call(&shop, "GET", path).send().await.expect(status).json();
        assert_eq!(text(&answer, "code"), code, "{path}");
    };
    shop.change(|api| {
        api["operations"] = json!([
            {"target": "/people", "verb": "GET", "authType": "Application User"},
            {"target": "/machines", "verb": "GET", "authType": "Application"},
        ]);
    })
    .await;
    refused("/shop/1.0.0/people", 401, "900905").await;
    let password = shop.node.admin_password.clone();
    let form = [
        ("grant_type", "password"),
        ("username", "admin"),
        ("password", password.as_str()),
    ];
    let held = &shop.subscribed;
    let login = shop.node.post("/oauth2/token");
    let login = login.basic(&held.key, &held.secret).form(&form);
    let user = login.send().await.expect(200).json();
    for (path, status) in [("/people", 200), ("/machines", 401)] {
        let call = shop.node.api("GET", &format!("/shop/1.0.0{path}"));
        let call = call.bearer(text(&user, "access_token"));
        call.send().await.expect(status);
    }
    let path = "/shop/1.0.0/machines";
    call(&shop, "GET", path).send().await.expect(200);
    let elsewhere = call(&shop, "GET", path).header("host", "elsewhere.example");
    // A gateway of one virtual host serves unknown hosts as that one.
    elsewhere.send().await.expect(200);

    shop.change(|api| api["audiences"] = json!(["somebody else"]))
        .await;
    refused(path, 403, "900914").await;
    shop.change(|api| {
        api["audiences"] = json!([]);
        api["transport"] = json!(["https"]);
    })
    .await;
    call(&shop, "GET", path).send().await.expect(403);
    let secure = format!("{}{path}", shop.node.https);
    let secure = shop.node.client.call("GET", &secure);
    let secure = secure.bearer(&shop.subscribed.access);
    secure.send().await.expect(200);
    assert_eq!(upstream.count(), 4);
}

#[tokio::test]
async fn a_header_that_no_gateway_could_look_for_is_refused_and_the_api_goes_on() {
    let (shop, _upstream) = Shop::start("").await;
    let path = format!("{PUBLISHER}/apis/{}", shop.api);
    let got = shop.node.get(&path).bearer(&shop.token).send().await;
    let document = got.expect(200).json();
    for member in ["authorizationHeader", "apiKeyHeader"] {
        for name in ["X/Auth", "X[Auth]", "a?b"] {
            let mut document = document.clone();
            document[member] = json!(name);
            let put = shop.node.put(&path).bearer(&shop.token).json(&document);
            let refused = put.send().await.expect(400).json();
            let said = text(&refused, "description");
            assert!(said.starts_with(member), "{said}");
        }
    }
    shop.node.deploy(&shop.token, &shop.api).await;
    let call = call(&shop, "GET", "/shop/1.0.0/items");
    call.send().await.expect(200);
}

/// An API key of the shop's application.
async fn api_key(shop: &Shop) -> String {
    let keys = format!("{DEVPORTAL}/apis/{}/api-keys", shop.api);
    let post = |operation: &str, body: &Value| {
        let call = shop.node.post(&format!("{keys}{operation}"));
        call.bearer(&shop.token).json(body)
    };
    let body = json!({"keyName": "first", "keyType": "PRODUCTION"});
    let made = post("/generate", &body).send().await.expect(200).json();
    let list = shop.node.get(&keys).bearer(&shop.token).send().await;
    let list = list.expect(200).json();
    let id = text(&list["list"][0], "keyUUID");
    let body = json!({"keyUUID": id, "applicationUUID": shop.subscribed.application});
    post("/associate", &body).send().await.expect(200);
    text(&made, "apikey").to_owned()
}

#[tokio::test]
async fn a_key_that_is_given_twice_is_refused_wherever_it_stands() {
    let (shop, upstream) = Shop::start("").await;
    shop.change(|api| api["securityScheme"] = json!(["api_key"]))
        .await;
    let key = api_key(&shop).await;
    let path = "/shop/1.0.0/items";
    let call = |path: &str| shop.node.api("GET", path);
    let in_query = format!("{path}?apikey={key}");
    let field = call(path).header("apikey", &key);
    field.send().await.expect(200);
    call(&in_query).send().await.expect(200);
    for twice in [
        call(path).header("apikey", &key).header("apikey", &key),
        call(path).header("apikey", &key).header("apikey", "other"),
        call(&in_query).header("apikey", &key),
        call(&format!("{in_query}&apikey=other")),
        call(&format!("{in_query}&a=b&apikey={key}")),
    ] {
        let refused = twice.send().await.expect(401);
        assert_eq!(text(&refused.json(), "code"), "900901");
        assert!(refused.header("www-authenticate").contains("API Key"));
    }
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn an_upstreams_own_credential_passes_where_the_api_looks_elsewhere_and_none_of_ours_does() {
    let (shop, upstream) = Shop::start("").await;
    let field = |name: &str| {
        let seen = upstream.seen().pop().expect("a request");
        let mut fields = seen.headers.into_iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    let ours = format!("Bearer {}", shop.subscribed.access);
    shop.change(|api| api["authorizationHeader"] = json!("X-Auth"))
        .await;
    let known = || {
        let call = shop.node.api("GET", "/shop/1.0.0/items");
        call.header("x-auth", &ours)
    };
    known().basic("upstreams", "own").send().await.expect(200);
    assert!(field("authorization").is_some_and(|value| value.starts_with("Basic ")));
    assert_eq!(field("x-auth"), None);
    let both = known().bearer(&shop.subscribed.access);
    both.send().await.expect(200);
    assert_eq!((field("authorization"), field("x-auth")), (None, None));

    shop.change(|api| {
        api["authorizationHeader"] = json!("Authorization");
        api["securityScheme"] = json!(["api_key"]);
    })
    .await;
    let key = api_key(&shop).await;
    let keyed = || {
        let call = shop.node.api("GET", "/shop/1.0.0/items");
        call.header("apikey", &key)
    };
    keyed().basic("upstreams", "own").send().await.expect(200);
    assert!(field("authorization").is_some_and(|value| value.starts_with("Basic ")));
    assert_eq!(field("apikey"), None);
    let both = keyed().bearer(&shop.subscribed.access);
    both.send().await.expect(200);
    assert_eq!(field("authorization"), None);
}

#[tokio::test]
async fn an_open_resources_upstream_sees_no_token_of_ours_wherever_the_api_looks_for_credentials() {
    let (shop, upstream) = Shop::start("").await;
    let jwt = shop.subscribed.access.clone();
    let other = shop
        .node
        .subscribed(&shop.token, &shop.api, "other", "OAUTH");
    let opaque = other.await.access;
    let seen = || {
        let seen = upstream.seen().pop().expect("a request");
        seen.header("authorization").map(str::to_owned)
    };
    let call = || shop.node.api("GET", "/shop/1.0.0/items");
    for (header, scheme) in [("X-Auth", "oauth2"), ("Authorization", "api_key")] {
        shop.change(|api| {
            api["authorizationHeader"] = json!(header);
            api["securityScheme"] = json!([scheme]);
            for operation in api["operations"].as_array_mut().expect("operations") {
                operation["authType"] = json!("None");
            }
        })
        .await;
        for ours in [&jwt, &opaque] {
            call().bearer(ours).send().await.expect(200);
            assert_eq!(seen(), None, "{header} {scheme}");
        }
        call().basic("upstreams", "own").send().await.expect(200);
        assert!(seen().is_some_and(|value| value.starts_with("Basic ")));
    }
}
