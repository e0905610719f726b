//! What the portal tells of APIs and applications: the gateway's addresses and not the backend's,
//! what was given for callers, and what an application holds.

use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::platform::{DEVPORTAL, PUBLISHER, text};
use crate::support::shop::Shop;

#[tokio::test]
async fn a_definition_names_the_gateway_to_callers_and_never_the_backend() {
    let (shop, upstream) = Shop::start("").await;
    let (node, backend) = (&shop.node, upstream.url.clone());
    let path = format!("{DEVPORTAL}/apis/{}/swagger", shop.api);
    let own = format!("{PUBLISHER}/apis/{}/swagger", shop.api);
    let document = node.get(&own).bearer(&shop.token).send().await.expect(200);
    let mut document = document.json();
    document["servers"] = json!([{"url": backend}]);
    document["x-wso2-production-endpoints"] = json!({"urls": [backend]});
    document["paths"]["/items"]["servers"] = json!([{"url": backend}]);
    let uploaded = document.to_string();
    let part = (
        "apiDefinition",
        None,
        "application/json",
        uploaded.as_bytes(),
    );
    let put = node.put(&own).bearer(&shop.token).multipart(&[part]);
    put.send().await.expect(200);
    node.deploy(&shop.token, &shop.api).await;

    let anonymous = node.get(&path).send().await.expect(200);
    assert!(!anonymous.text().contains(&backend), "{}", anonymous.text());
    let context = "/shop/1.0.0";
    let servers = json!([
        {"url": format!("{}{context}", node.https)},
        {"url": format!("{}{context}", node.http)},
    ]);
    assert_eq!(anonymous.json()["servers"], servers);
    assert!(anonymous.json()["paths"]["/items"]["get"].is_object());
    let again = node
        .get(&path)
        .header("if-none-match", anonymous.header("etag"));
    again.send().await.expect(304);
    let of = |environment: &str| node.get(&format!("{path}?environmentName={environment}"));
    let default = of("Default").send().await.expect(200).json();
    assert_eq!(default["servers"], servers);
    let unknown = of("Moon").send().await.expect(404);
    assert!(unknown.text().contains("Moon"), "{}", unknown.text());
    // Whoever edits it sees what was uploaded.
    let kept = node.get(&own).bearer(&shop.token).send().await.expect(200);
    assert_eq!(kept.text(), uploaded);
}

#[tokio::test]
async fn an_api_tells_callers_what_was_given_for_them_and_keeps_the_rest() {
    let (shop, _upstream) = Shop::start("").await;
    let owner = json!({"businessOwner": "Ann", "businessOwnerEmail": "ann@example.com"});
    shop.change(|api| {
        api["additionalProperties"] = json!([
            {"name": "region", "value": "north", "display": true},
            {"name": "cost", "value": "7", "display": false},
        ]);
        api["businessInformation"] = owner.clone();
        api["categories"] = json!(["food"]);
    })
    .await;
    let one = format!("{DEVPORTAL}/apis/{}", shop.api);
    let shown = shop.node.get(&one).send().await.expect(200).json();
    let region = json!([{"name": "region", "value": "north", "display": true}]);
    assert_eq!(shown["additionalProperties"], region);
    assert_eq!(shown["businessInformation"], owner);
    assert_eq!(shown["categories"], json!(["food"]));
    assert_eq!(shown["environmentList"], json!(["Default"]));
}

#[tokio::test]
async fn an_application_names_its_keys_without_secrets_and_the_scopes_it_may_ask_for() {
    let (shop, _upstream) = Shop::start("").await;
    shop.change(|api| {
        api["scopes"] = json!([{"scope": {
            "name": "items:read", "displayName": "reading", "bindings": ["admin"],
        }}]);
        api["operations"] = json!([{"target": "/items", "verb": "GET", "scopes": ["items:read"]}]);
    })
    .await;
    let held = &shop.subscribed;
    let one = format!("{DEVPORTAL}/applications/{}", held.application);
    let put = json!({"name": "one", "throttlingPolicy": "Unlimited"});
    for call in [shop.node.get(&one), shop.node.put(&one).json(&put)] {
        let shown = call.bearer(&shop.token).send().await.expect(200);
        assert!(!shown.text().contains(&held.secret));
        let shown = shown.json();
        assert_eq!(shown["keys"].as_array().map(Vec::len), Some(1), "{shown}");
        assert_eq!(shown["keys"][0]["consumerKey"], held.key);
        assert_eq!(shown["keys"][0]["keyType"], "PRODUCTION");
        let scope = &shown["subscriptionScopes"][0];
        assert_eq!(scope["key"], "items:read");
        assert_eq!(scope["name"], "reading");
        assert_eq!(scope["roles"], json!(["admin"]));
    }
}

#[tokio::test]
async fn a_token_that_is_made_with_keys_or_by_them_has_the_scopes_that_were_asked_for() {
    let (shop, _upstream) = Shop::start("").await;
    shop.change(|api| {
        api["scopes"] = json!([{"scope": {"name": "items:read", "bindings": []}}]);
        api["operations"] = json!([{"target": "/items", "verb": "GET", "scopes": ["items:read"]}]);
    })
    .await;
    let (node, token) = (&shop.node, &shop.token);
    let application = node.application(token, "scoped", "Unlimited", "JWT").await;
    let plan = "Unlimited";
    node.subscribe(token, &shop.api, &application, plan).await;
    let opens = async |issued: &Value, scope: &str, status: u16| {
        assert_eq!(issued["tokenScopes"], json!([scope]));
        let call = node.api("GET", "/shop/1.0.0/items");
        let call = call.bearer(text(issued, "accessToken"));
        let answer = call.send().await.expect(status);
        if status == 403 {
            assert_eq!(text(&answer.json(), "code"), "900910");
        }
    };
    let base = format!("{DEVPORTAL}/applications/{application}");
    let generate = async |kind: &str, scopes: &[&str]| -> Value {
        let body = json!({
            "keyType": kind, "grantTypesToBeSupported": ["client_credentials"], "scopes": scopes,
        });
        let call = node.post(&format!("{base}/generate-keys")).bearer(token);
        call.json(&body).send().await.expect(200).json()
    };
    let bare = generate("SANDBOX", &[]).await;
    opens(&bare["token"], "default", 403).await;
    let keys = generate("PRODUCTION", &["items:read"]).await;
    opens(&keys["token"], "items:read", 200).await;
    let one = format!("{base}/oauth-keys/{}", text(&keys, "keyMappingId"));
    for (scopes, told, status) in [
        (json!(["items:read"]), "items:read", 200),
        (json!([]), "default", 403),
    ] {
        let body = json!({"consumerSecret": keys["consumerSecret"], "scopes": scopes});
        let call = node.post(&format!("{one}/generate-token"));
        let issued = call.bearer(token).json(&body).send().await;
        opens(&issued.expect(200).json(), told, status).await;
    }
}

#[tokio::test]
async fn keys_are_cleaned_up_and_used_as_they_were_seen_or_not_at_all() {
    let (shop, _upstream) = Shop::start("").await;
    let (node, held) = (&shop.node, &shop.subscribed);
    let keys = format!("{DEVPORTAL}/applications/{}/oauth-keys", held.application);
    let list = node.get(&keys).bearer(&shop.token).send().await.expect(200);
    let one = format!("{keys}/{}", text(&list.json()["list"][0], "keyMappingId"));
    let seen = node.get(&one).bearer(&shop.token).send().await.expect(200);
    let old = seen.header("etag").to_owned();
    let body = json!({
        "supportedGrantTypes": ["client_credentials"], "callbackUrl": "https://a.example",
    });
    let put = node.put(&one).bearer(&shop.token).json(&body);
    let changed = put.send().await.expect(200);
    assert!(changed.header("headgate-applied").contains('/'));
    let new = changed.header("etag").to_owned();
    // Who has seen them before that does not overwrite it.
    let put = node.put(&one).bearer(&shop.token).json(&body);
    put.header("if-match", &old).send().await.expect(412);
    let issue = |tag: &str| {
        let body = json!({"consumerSecret": held.secret, "validityPeriod": 60});
        let call = node.post(&format!("{one}/generate-token"));
        call.bearer(&shop.token).json(&body).header("if-match", tag)
    };
    issue(&old).send().await.expect(412);
    let issued = issue(&new).send().await.expect(200).json();
    assert_eq!(issued["validityTime"], 60);
    let call = |issued: &Value| {
        let call = node.api("GET", "/shop/1.0.0/items");
        call.bearer(text(issued, "accessToken")).send()
    };
    call(&issued).await.expect(200);
    let body = json!({"consumerSecret": held.secret, "revokeToken": issued["accessToken"]});
    let instead = node.post(&format!("{one}/generate-token"));
    let instead = instead.bearer(&shop.token).json(&body).send();
    let instead = instead.await.expect(200).json();
    call(&issued).await.expect(401);
    call(&instead).await.expect(200);
    let clean = |tag: &str| {
        let call = node.post(&format!("{one}/clean-up"));
        call.bearer(&shop.token).header("if-match", tag)
    };
    clean(&old).send().await.expect(412);
    clean(&new).send().await.expect(200);
}

#[tokio::test]
async fn a_document_that_shows_what_others_changed_is_another_one_to_who_knows_the_old() {
    let (shop, _upstream) = Shop::start("").await;
    let (node, held) = (&shop.node, &shop.subscribed);
    let application = format!("{DEVPORTAL}/applications/{}", held.application);
    let subscription = format!("{DEVPORTAL}/subscriptions/{}", held.subscription);
    let tag = async |path: &str, known: &str, status: u16| {
        let call = node.get(path).bearer(&shop.token);
        let answer = call.header("if-none-match", known).send().await;
        answer.expect(status).header("etag").to_owned()
    };
    let (mine, its) = (
        tag(&application, "\"0\"", 200).await,
        tag(&subscription, "\"0\"", 200).await,
    );
    tag(&application, &mine, 304).await;
    tag(&subscription, &its, 304).await;
    // The application has more keys; of its own row nothing has changed.
    node.keys(&shop.token, &held.application, "SANDBOX").await;
    let with_keys = tag(&application, &mine, 200).await;
    let plan = json!({"name": "one", "throttlingPolicy": "Unlimited"});
    let put = |tag: &str| {
        let put = node.put(&application).bearer(&shop.token).json(&plan);
        put.header("if-match", tag)
    };
    put(&mine).send().await.expect(412);
    put(&with_keys).send().await.expect(200);
    // The API that is subscribed to is another one to see.
    node.lifecycle(&shop.token, &shop.api, "Deprecate").await;
    let deprecated = tag(&subscription, &its, 200).await;
    let delete = |tag: &str| {
        let delete = node.delete(&subscription).bearer(&shop.token);
        delete.header("if-match", tag)
    };
    delete(&its).send().await.expect(412);
    delete(&deprecated).send().await.expect(200);
    tag(&application, &with_keys, 200).await;
}

#[tokio::test]
async fn several_subscriptions_tell_who_has_applied_them() {
    let (shop, _upstream) = Shop::start("").await;
    let late = shop
        .node
        .application(&shop.token, "late", "Unlimited", "JWT");
    let one = |application: &str| {
        json!({
            "apiId": shop.api, "applicationId": application, "throttlingPolicy": "Unlimited",
        })
    };
    let body = json!([
        one(&shop.subscribed.application),
        one(&late.await),
        one("none")
    ]);
    let post = shop
        .node
        .post(&format!("{DEVPORTAL}/subscriptions/multiple"));
    let made = post
        .bearer(&shop.token)
        .json(&body)
        .send()
        .await
        .expect(200);
    assert!(made.header("headgate-applied").contains('/'));
    let fared: Vec<_> = made.json().as_array().expect("a list").to_vec();
    let fared: Vec<_> = fared.iter().map(|one| text(one, "status")).collect();
    assert_eq!(fared, ["REJECTED", "UNBLOCKED", "REJECTED"]);
}

/// The names of an object's members.
fn names(value: &Value) -> Vec<&str> {
    let members = value.as_object().expect("an object");
    members.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn settings_name_the_gateway_the_grants_and_the_scopes() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let read = async |path: String| -> Value {
        let call = node.get(&path).bearer(&token);
        call.send().await.expect(200).json()
    };
    let portal = read(format!("{DEVPORTAL}/settings")).await;
    let grants = json!(["client_credentials", "password", "refresh_token"]);
    assert_eq!(portal["grantTypes"], grants);
    let gateways = format!("{}, {}", node.https, node.http);
    assert_eq!(portal["apiGatewayEndpoint"], gateways);
    let scopes = portal["scopes"].as_array().expect("scopes");
    assert!(scopes.contains(&json!("apim:subscribe")), "{portal}");
    assert_eq!(portal["identityProvider"], json!({"external": false}));

    let publisher = read(format!("{PUBLISHER}/settings")).await;
    let environment = &publisher["environment"][0];
    assert_eq!(environment["name"], "Default");
    let vhost = &environment["vhosts"][0];
    let port = |url: &str| -> Value {
        let port = url
            .rsplit(':')
            .next()
            .and_then(|port| port.parse::<u16>().ok());
        json!(port)
    };
    assert_eq!(vhost["host"], "localhost");
    assert_eq!(vhost["httpPort"], port(&node.http));
    assert_eq!(vhost["httpsPort"], port(&node.https));
    assert_eq!(publisher["defaultSubscriptionPolicy"], "Unlimited");
    let scopes = publisher["scopes"].as_array().expect("scopes");
    for scope in ["apim:api_view", "apim:api_create", "apim:api_publish"] {
        assert!(scopes.contains(&json!(scope)), "{scope}");
    }
    assert!(names(&publisher).contains(&"gatewayTypes"), "{publisher}");
}
