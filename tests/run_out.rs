//! Credentials that run out: a gateway that knows them well refuses them from then on.

use serde_json::json;

use crate::support::eventually;
use crate::support::http::Call;
use crate::support::platform::{DEVPORTAL, Subscribed, text};
use crate::support::shop::Shop;

/// How long they live, seconds.
const LIFE: u64 = 4;

/// A shop for tokens and API keys.
async fn shop() -> (Shop, crate::support::upstream::Upstream) {
    let (shop, upstream) = Shop::start("").await;
    shop.change(|api| api["securityScheme"] = json!(["oauth2", "api_key"]))
        .await;
    (shop, upstream)
}

/// Calls until the credential is refused, at most 20 s: until then each call is answered, so that the gateway knows it,
/// and that it is refused it owes to its time alone.
#[allow(
    clippy::disallowed_methods,
    reason = "a test measures its own deadline"
)]
async fn runs_out(call: Call, kind: &str, challenge: &str) {
    let began = std::time::Instant::now();
    call.clone().send().await.expect(200);
    let refused = eventually(20, "it runs out", || {
        let call = call.clone();
        async move {
            let answer = call.send().await;
            match answer.status.as_u16() {
                200 => None,
                _ => Some(answer.expect(401)),
            }
        }
    })
    .await;
    let lasted = began.elapsed().as_secs_f64();
    // It was made a moment before, and its life is counted in whole seconds.
    assert!(lasted >= LIFE as f64 - 2.5, "{kind}: after {lasted} s");
    assert!(lasted <= LIFE as f64 + 2.5, "{kind}: after {lasted} s");
    assert_eq!(text(&refused.json(), "code"), "900901", "{kind}");
    let asked = refused.header("www-authenticate");
    assert!(asked.contains(challenge), "{kind}: {asked}");
    call.send().await.expect(401);
}

/// A token of this life.
async fn token(shop: &Shop, held: &Subscribed) -> String {
    let application = &held.application;
    let path = format!("{DEVPORTAL}/applications/{application}/keys/PRODUCTION/generate-token");
    let body = json!({"consumerSecret": held.secret, "validityPeriod": LIFE});
    let call = shop.node.post(&path).bearer(&shop.token).json(&body);
    text(&call.send().await.expect(200).json(), "accessToken").to_owned()
}

#[tokio::test]
async fn a_token_that_the_gateway_knows_opens_nothing_once_it_has_expired() {
    let (shop, upstream) = shop().await;
    let call = |token: &str| shop.node.api("GET", "/shop/1.0.0/items").bearer(token);
    let signed = token(&shop, &shop.subscribed).await;
    assert_eq!(signed.split('.').count(), 3);
    runs_out(call(&signed), "signed", "OAuth2").await;
    let (node, admin) = (&shop.node, &shop.token);
    let held = node.subscribed(admin, &shop.api, "opaque", "OAUTH").await;
    let opaque = token(&shop, &held).await;
    assert_eq!(opaque.split('.').count(), 1);
    runs_out(call(&opaque), "opaque", "OAuth2").await;
    // Another one of the same application is as good as ever, and no refused call went on.
    let count = upstream.count();
    call(&shop.subscribed.access).send().await.expect(200);
    assert_eq!(upstream.count(), count + 1);
}

#[tokio::test]
async fn an_api_key_that_the_gateway_knows_opens_nothing_once_it_has_expired() {
    let (shop, _upstream) = shop().await;
    let made = |name: &str, life: i64| {
        let body = json!({"keyName": name, "keyType": "PRODUCTION", "validityPeriod": life});
        change(&shop, "/generate", body)
    };
    let lasting = made("lasting", -1).send().await.expect(200).json();
    associate(&shop, "lasting").await;
    let short = made("short", LIFE.cast_signed()).send().await;
    let short = short.expect(200).json();
    associate(&shop, "short").await;
    let call = |key: &str| {
        let call = shop.node.api("GET", "/shop/1.0.0/items");
        call.header("apikey", key)
    };
    runs_out(call(text(&short, "apikey")), "API key", "API Key").await;
    let lasting = call(text(&lasting, "apikey"));
    lasting.send().await.expect(200);
}

fn keys(shop: &Shop) -> String {
    format!("{DEVPORTAL}/apis/{}/api-keys", shop.api)
}

fn change(shop: &Shop, operation: &str, body: serde_json::Value) -> Call {
    let call = shop.node.post(&format!("{}{operation}", keys(shop)));
    call.bearer(&shop.token).json(&body)
}

/// Has the shop's application use a key.
async fn associate(shop: &Shop, name: &str) {
    let list = shop.node.get(&keys(shop)).bearer(&shop.token);
    let list = list.send().await.expect(200).json();
    let list = list["list"].as_array().expect("a list");
    let key = list.iter().find(|key| key["keyName"] == name);
    let id = text(key.expect("the key"), "keyUUID");
    let body = json!({"keyUUID": id, "applicationUUID": shop.subscribed.application});
    change(shop, "/associate", body).send().await.expect(200);
}
