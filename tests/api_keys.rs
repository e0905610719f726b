//! API keys at the gateway and in their lists: what they open, from whom, and until when.

use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::platform::{DEVPORTAL, PUBLISHER, text};
use crate::support::shop::Shop;

/// A shop that API keys open.
async fn shop() -> (Shop, crate::support::upstream::Upstream) {
    let (shop, upstream) = Shop::start("").await;
    shop.change(|api| api["securityScheme"] = json!(["oauth2", "api_key"]))
        .await;
    (shop, upstream)
}

fn keys(shop: &Shop, operation: &str) -> String {
    format!("{DEVPORTAL}/apis/{}/api-keys{operation}", shop.api)
}

fn change(shop: &Shop, operation: &str, body: &Value) -> Call {
    let call = shop.node.post(&keys(shop, operation));
    call.bearer(&shop.token).json(body)
}

/// Makes a key that the application uses; gives the key and its id.
pub async fn key(shop: &Shop, properties: Value) -> (String, String) {
    let body = json!({
        "keyName": "first", "keyType": "PRODUCTION", "additionalProperties": properties,
    });
    let made = change(shop, "/generate", &body).send().await.expect(200);
    let id = text(&list(shop).await["list"][0], "keyUUID").to_owned();
    let body = json!({"keyUUID": id, "applicationUUID": shop.subscribed.application});
    let bound = change(shop, "/associate", &body);
    bound.send().await.expect(200);
    (text(&made.json(), "apikey").to_owned(), id)
}

async fn list(shop: &Shop) -> Value {
    let call = shop.node.get(&keys(shop, "")).bearer(&shop.token);
    call.send().await.expect(200).json()
}

fn call(shop: &Shop, key: &str) -> Call {
    let call = shop.node.api("GET", "/shop/1.0.0/items");
    call.header("apikey", key)
}

#[tokio::test]
async fn a_regenerated_key_opens_in_place_of_the_old_one_and_a_dissociated_one_no_longer() {
    let (shop, _upstream) = shop().await;
    let (old, id) = key(&shop, json!({})).await;
    call(&shop, &old).send().await.expect(200);
    let body = json!({"keyUUID": id});
    let new = change(&shop, "/regenerate", &body).send().await;
    let new = text(&new.expect(200).json(), "apikey").to_owned();
    call(&shop, &old).send().await.expect(401);
    call(&shop, &new).send().await.expect(200);
    let dissociate = change(&shop, "/dissociate", &body);
    dissociate.send().await.expect(200);
    let refused = call(&shop, &new).send().await.expect(403).json();
    assert_eq!(text(&refused, "code"), "900908");
    let body = json!({"keyUUID": id, "applicationUUID": shop.subscribed.application});
    change(&shop, "/associate", &body).send().await.expect(200);
    call(&shop, &new).send().await.expect(200);
    // By the application's own paths as well.
    let application = &shop.subscribed.application;
    let of = format!("{DEVPORTAL}/applications/{application}/api-keys/PRODUCTION");
    for (operation, status) in [("dissociate", 403), ("associate", 200)] {
        let body = json!({"keyUUID": id, "apiUUID": shop.api});
        let change = shop.node.post(&format!("{of}/{operation}"));
        let change = change.bearer(&shop.token).json(&body);
        change.send().await.expect(200);
        call(&shop, &new).send().await.expect(status);
    }
}

#[tokio::test]
async fn a_key_opens_the_api_that_it_was_made_for_and_no_other_of_the_same_application() {
    let (shop, upstream) = shop().await;
    let (node, token) = (&shop.node, &shop.token);
    let other = node.import(token, "Bar", "/bar", &upstream.url).await;
    keyed(&shop, &other, json!(["Unlimited"])).await;
    let (application, plan) = (&shop.subscribed.application, "Unlimited");
    node.subscribe(token, &other, application, plan).await;
    let (key, _) = key(&shop, json!({})).await;
    let at = |path: &str| node.api("GET", path).header("apikey", &key).send();
    let refused = at("/bar/1.0.0/items").await.expect(403).json();
    assert_eq!(text(&refused, "code"), "900908");
    assert_eq!(upstream.count(), 0);
    at("/shop/1.0.0/items").await.expect(200);
    // The other one is open to its own key, of the same application.
    let base = format!("{DEVPORTAL}/apis/{other}/api-keys");
    let own = own_key(&shop, &base).await;
    let body = json!({"keyUUID": own.1, "applicationUUID": application});
    let bound = node.post(&format!("{base}/associate")).bearer(token);
    bound.json(&body).send().await.expect(200);
    let call = node.api("GET", "/bar/1.0.0/items").header("apikey", &own.0);
    call.send().await.expect(200);
}

/// Gives an API these plans and keys, deploys and publishes it.
async fn keyed(shop: &Shop, api: &str, plans: Value) {
    let (node, token, path) = (&shop.node, &shop.token, format!("{PUBLISHER}/apis/{api}"));
    let got = node.get(&path).bearer(token).send().await;
    let mut body = got.expect(200).json();
    body["securityScheme"] = json!(["oauth2", "api_key"]);
    body["policies"] = plans;
    let put = node.put(&path).bearer(token).json(&body);
    put.send().await.expect(200);
    node.deploy(token, api).await;
    node.lifecycle(token, api, "Publish").await;
}

/// Makes the first key of an API, which no application has; gives it and its id.
async fn own_key(shop: &Shop, base: &str) -> (String, String) {
    let (node, token) = (&shop.node, &shop.token);
    let body = json!({"keyName": "own", "keyType": "PRODUCTION"});
    let made = node.post(&format!("{base}/generate")).bearer(token);
    let made = made.json(&body).send().await.expect(200).json();
    let list = node.get(base).bearer(token).send().await.expect(200).json();
    let id = text(&list["list"][0], "keyUUID").to_owned();
    (text(&made, "apikey").to_owned(), id)
}

#[tokio::test]
async fn a_key_without_an_application_opens_its_api_where_that_has_no_plans_and_not_else() {
    let (shop, upstream) = shop().await;
    let (node, token) = (&shop.node, &shop.token);
    let open = node.import(token, "Open", "/open", &upstream.url).await;
    keyed(&shop, &open, json!([])).await;
    for (api, path, status) in [
        (&open, "/open/1.0.0/items", 200),
        (&shop.api, "/shop/1.0.0/items", 403),
    ] {
        let base = format!("{DEVPORTAL}/apis/{api}/api-keys");
        let (key, _) = own_key(&shop, &base).await;
        let call = node.api("GET", path).header("apikey", &key);
        call.send().await.expect(status);
    }
}

#[tokio::test]
async fn a_key_for_one_referer_opens_for_no_other() {
    let (shop, upstream) = shop().await;
    let permitted = json!({"permittedReferer": "portal.example/*"});
    let (key, _) = key(&shop, permitted).await;
    let from = |referer: &str| call(&shop, &key).header("referer", referer);
    call(&shop, &key).send().await.expect(403);
    from("https://evil.example/").send().await.expect(403);
    from("portal.example/shop").send().await.expect(200);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn keys_of_a_blocked_api_are_listed_and_revoked_and_of_an_unknown_one_not_found() {
    let (shop, _upstream) = shop().await;
    let (_, id) = key(&shop, json!({})).await;
    for action in ["Block", "Deprecate", "Retire"] {
        shop.node.lifecycle(&shop.token, &shop.api, action).await;
        assert_eq!(list(&shop).await["list"][0]["keyUUID"], id, "{action}");
    }
    let revoke = change(&shop, "/revoke", &json!({"keyUUID": id}));
    revoke.send().await.expect(200);
    let unknown = format!("{DEVPORTAL}/apis/nothing/api-keys");
    let unknown = shop.node.get(&unknown).bearer(&shop.token);
    unknown.send().await.expect(404);
}

#[tokio::test]
async fn a_list_of_keys_has_one_form_of_time_and_a_tag_that_changes_must_meet() {
    let (shop, _upstream) = shop().await;
    let (_, id) = key(&shop, json!({})).await;
    let get = shop.node.get(&keys(&shop, "")).bearer(&shop.token);
    let seen = get.send().await.expect(200);
    let issued = text(&seen.json()["list"][0], "issuedOn").parse::<i64>();
    assert!(issued.expect("milliseconds") > 1_700_000_000_000);
    let old = seen.header("etag").to_owned();
    let body = json!({"keyName": "second", "keyType": "PRODUCTION"});
    let generate = change(&shop, "/generate", &body).header("if-match", &old);
    generate.send().await.expect(200);
    let body = json!({"keyUUID": id});
    for operation in ["/regenerate", "/revoke", "/dissociate"] {
        let stale = change(&shop, operation, &body).header("if-match", &old);
        stale.send().await.expect(412);
    }
    let body = json!({"keyName": "third", "keyType": "PRODUCTION"});
    let stale = change(&shop, "/generate", &body).header("if-match", &old);
    stale.send().await.expect(412);
    let get = shop.node.get(&keys(&shop, "")).bearer(&shop.token);
    let new = get.send().await.expect(200).header("etag").to_owned();
    let revoke = change(&shop, "/revoke", &json!({"keyUUID": id}));
    revoke.header("if-match", &new).send().await.expect(200);
}
