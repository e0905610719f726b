//! Credentials that nobody issued: the gateway lets none through, however many come.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::memory::Memory;
use crate::support::platform::{DEVPORTAL, text};
use crate::support::shop::Shop;
use crate::support::wire::Wire;

/// The token with one member of its head (part 0) or claims (part 1) changed.
fn altered(token: &str, part: usize, member: &str, value: Value) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let bytes = URL_SAFE_NO_PAD.decode(&parts[part]).expect("base64url");
    let mut object: Value = serde_json::from_slice(&bytes).expect("JSON");
    object[member] = value;
    parts[part] = URL_SAFE_NO_PAD.encode(object.to_string());
    parts.join(".")
}

#[tokio::test]
async fn a_token_that_was_changed_in_any_place_opens_nothing() {
    let (shop, upstream) = Shop::start("").await;
    let good = &shop.subscribed.access;
    let unsigned = good.rsplit_once('.').expect("a signature").0;
    let none = altered(unsigned, 0, "alg", "none".into());
    let mut forged = vec![
        format!("{none}."),
        none,
        format!("{unsigned}."),
        format!("{good}="),
        format!("{good}A"),
        format!("{good}.{good}"),
        good.to_ascii_lowercase(),
        altered(good, 1, "exp", 4_102_444_800_i64.into()),
        altered(good, 1, "sub", "admin".into()),
    ];
    for alg in ["None", "NONE", "HS256", "ES256", "PS256", ""] {
        forged.push(altered(good, 0, "alg", alg.into()));
    }
    let traversal = "../../../../etc/passwd";
    for kid in [traversal, "' OR 1=1 --", "\0", &"k".repeat(4_000), ""] {
        forged.push(altered(good, 0, "kid", kid.into()));
    }
    for member in ["jku", "x5u"] {
        forged.push(altered(good, 0, member, upstream.url.clone().into()));
    }
    for token in &forged {
        let call = shop.node.api("GET", "/shop/1.0.0/items").bearer(token);
        let refused = call.send().await.expect(401);
        assert_eq!(text(&refused.json(), "code"), "900901", "{token}");
    }
    assert_eq!(upstream.count(), 0, "neither called nor asked for a key");
    let call = shop.node.api("GET", "/shop/1.0.0/items").bearer(good);
    call.send().await.expect(200);
}

/// Callers of the flood at a time: their questions overlap, so that at no moment none is open.
const CALLERS: usize = 64;

/// Tokens that look good and are not, each another; an opaque one in between.
#[allow(clippy::disallowed_methods, reason = "tasks of the test's own runtime")]
async fn flood(shop: &Shop, from: usize, to: usize) {
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (address, good) = (shop.address(), shop.subscribed.access.clone());
        let numbers = (from + caller..to).step_by(CALLERS);
        callers.spawn(async move { refused(&address, &good, numbers).await });
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("every token is refused");
    }
}

async fn refused(address: &str, good: &str, numbers: impl Iterator<Item = usize>) {
    let mut wire = Wire::open(address).await;
    for n in numbers {
        let token = match n % 4 {
            0 => format!("{n:043x}"),
            // Long, so that tokens which are kept show.
            _ => altered(good, 1, "jti", format!("{n:03000}").into()),
        };
        wire.send(format!(
            "GET /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \
             {token}\r\n\r\n"
        ))
        .await;
        let reply = wire.reply().await;
        assert_eq!(reply.status, 401, "{n}: {reply:?}");
    }
}

#[tokio::test]
async fn a_flood_of_unknown_tokens_is_refused_in_bounded_memory() {
    let (shop, upstream) = Shop::start("").await;
    flood(&shop, 0, 2_000).await;
    let before = Memory::of(&shop.node).resident;
    flood(&shop, 2_000, 12_000).await;
    let grown = Memory::of(&shop.node).resident.saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more for 10,000 tokens");
    assert_eq!(upstream.count(), 0);
    let call = shop.node.api("GET", "/shop/1.0.0/items");
    let call = call.bearer(&shop.subscribed.access);
    call.send().await.expect(200);
}

/// Secrets of every kind that a node hands out or is told.
async fn secrets(shop: &Shop) -> Vec<(&'static str, String)> {
    let (node, admin) = (&shop.node, &shop.token);
    let application = node
        .application(admin, "opaque", "Unlimited", "OAUTH")
        .await;
    let (key, secret) = node.keys(admin, &application, "PRODUCTION").await;
    let login = [
        ("grant_type", "password"),
        ("username", "admin"),
        ("password", &node.admin_password),
    ];
    let call = node.post("/oauth2/token").basic(&key, &secret);
    let issued = call.form(&login).send().await.expect(200).json();
    let body = json!({"keyName": "first", "keyType": "PRODUCTION", "validityPeriod": -1});
    let keys = format!("{DEVPORTAL}/apis/{}/api-keys", shop.api);
    let call = node.post(&format!("{keys}/generate"));
    let made = call
        .bearer(admin)
        .json(&body)
        .send()
        .await
        .expect(200)
        .json();
    let list = node.get(&keys).bearer(admin).send().await;
    let id = list.expect(200).json()["list"][0]["keyUUID"].clone();
    let body = json!({"keyUUID": id, "applicationUUID": shop.subscribed.application});
    let bound = node.post(&format!("{keys}/associate")).bearer(admin);
    bound.json(&body).send().await.expect(200);
    let person = json!({"userName": "hazel", "password": "a-password-of-hazel"});
    let call = node.post("/scim2/Users").bearer(admin).json(&person);
    call.send().await.expect(201);
    vec![
        ("opaque token", text(&issued, "access_token").to_owned()),
        ("refresh token", text(&issued, "refresh_token").to_owned()),
        ("signed token", admin.clone()),
        ("client secret", secret),
        ("API key", text(&made, "apikey").to_owned()),
        ("administrator's password", node.admin_password.clone()),
        ("password", "a-password-of-hazel".to_owned()),
    ]
}

#[tokio::test]
async fn no_secret_lies_in_any_database_of_a_node_that_was_used() {
    let (mut shop, _upstream) = Shop::start("").await;
    shop.change(|api| api["securityScheme"] = json!(["oauth2", "api_key"]))
        .await;
    let secrets = secrets(&shop).await;
    // Used, so that whatever is written of a use is there to be looked at.
    let (_, api_key) = &secrets[4];
    let call = shop.node.api("GET", "/shop/1.0.0/items");
    call.header("apikey", api_key).send().await.expect(200);
    assert_eq!(shop.node.terminate().await, Some(0));
    let entries = shop.node.dir.join("data").read_dir().expect("a directory");
    let mut looked = 0;
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if !path.to_string_lossy().contains(".db") {
            continue;
        }
        looked += 1;
        let bytes = std::fs::read(&path).expect("a database");
        for (kind, secret) in &secrets {
            let found = bytes
                .windows(secret.len())
                .any(|found| found == secret.as_bytes());
            assert!(!found, "{kind} in {}", path.display());
        }
    }
    assert!(looked >= 4, "{looked} files");
}
