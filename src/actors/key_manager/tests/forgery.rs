//! Tokens that were not issued as they stand (threats 1 to 7), through the real validator.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::validation::RefusalReason;
use serde_json::{Value, json};

use super::*;

/// A good token taken apart.
struct Sample {
    token: String,
    header: Value,
    claims: Value,
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn sample(bench: &Bench) -> (Sample, ClientSecret) {
    let (_, client) = bench.client(TokenType::Jwt).await;
    let issued = bench
        .km
        .issue(request(&client, GrantType::ClientCredentials, ""))
        .await;
    let token = issued.unwrap().access_token;
    let parts: Vec<&str> = token.split('.').collect();
    let (header, claims) = (decoded(parts[0]), decoded(parts[1]));
    let sample = Sample {
        token,
        header,
        claims,
    };
    (sample, client)
}

fn with(value: &Value, name: &str, member: Value) -> Value {
    let mut value = value.clone();
    value[name] = member;
    value
}

fn without(value: &Value, name: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().remove(name);
    value
}

#[tokio::test]
async fn what_a_token_says_of_its_algorithm_opens_nothing() {
    let bench = bench(SigningAlgorithm::Rs256).await;
    let (good, _) = sample(&bench).await;
    assert!(bench.is_good(&good.token).await);
    let keys = &bench.desk.keys;
    let signed = |header: &Value, claims: &Value| {
        keys.sign_texts(&header.to_string(), &claims.to_string())
            .unwrap()
    };
    let mut forged = Vec::new();
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS256", "RS384", "PS256", "ES256", "rs256",
    ] {
        let header = with(&good.header, "alg", alg.into());
        let unsigned = format!(
            "{}.{}",
            encoded(&header.to_string()),
            encoded(&good.claims.to_string())
        );
        forged.push(signed(&header, &good.claims));
        forged.push(format!("{unsigned}."));
        forged.push(unsigned.clone());
        // The published key as a shared secret.
        for secret in [keys.jwks(), decoded_key(&keys.jwks(), "n")] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let tag = hmac::sign(&key, unsigned.as_bytes());
            forged.push(format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(tag)));
        }
    }
    all_malformed(&bench, forged).await;
}

#[tokio::test]
async fn a_key_id_or_type_that_is_not_ours_opens_nothing() {
    let bench = bench(SigningAlgorithm::Rs256).await;
    let (good, _) = sample(&bench).await;
    let keys = &bench.desk.keys;
    let signed = |header: &Value, claims: &Value| {
        keys.sign_texts(&header.to_string(), &claims.to_string())
            .unwrap()
    };
    let mut forged = Vec::new();
    let other: Value = serde_json::from_str(&keys.jwks()).unwrap();
    let other_kid = other["keys"][1]["kid"].clone();
    let long = "k".repeat(100 * 1024);
    for kid in [
        "",
        "../../etc/passwd",
        "/dev/null",
        "' OR 1=1 --",
        "a\0b",
        &long,
    ] {
        forged.push(signed(&with(&good.header, "kid", kid.into()), &good.claims));
    }
    forged.push(signed(&with(&good.header, "kid", other_kid), &good.claims));
    for kid in [Value::Null, json!(1), json!([good.header["kid"]])] {
        forged.push(signed(&with(&good.header, "kid", kid), &good.claims));
    }
    forged.push(signed(&without(&good.header, "kid"), &good.claims));
    for kind in ["JWT", "id_token", "at+jwt ", ""] {
        forged.push(signed(
            &with(&good.header, "typ", kind.into()),
            &good.claims,
        ));
    }
    forged.push(signed(
        &with(&good.header, "crit", json!(["exp"])),
        &good.claims,
    ));
    all_malformed(&bench, forged).await;
}

/// None of them is taken for a token at all.
async fn all_malformed(bench: &Bench, forged: Vec<String>) {
    for token in forged {
        let refusal = bench.refusal(&token).await;
        assert!(
            matches!(
                refusal,
                Some(RefusalReason::Malformed | RefusalReason::Unknown)
            ),
            "{refusal:?} {}",
            token.chars().take(300).collect::<String>()
        );
    }
}

fn decoded_key(jwks: &str, member: &str) -> String {
    let keys: Value = serde_json::from_str(jwks).unwrap();
    let rsa = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kty"] == "RSA");
    rsa.unwrap()[member].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn keys_that_a_token_brings_along_or_points_to_are_not_looked_at() {
    let bench = bench(SigningAlgorithm::Rs256).await;
    let (good, _) = sample(&bench).await;
    let dir = tempfile::tempdir().unwrap();
    let foreign = Keys::load(dir.path(), SigningAlgorithm::Rs256).unwrap();
    let set: Value = serde_json::from_str(&foreign.jwks()).unwrap();
    let brought = [
        ("jku", json!("https://192.0.2.1/jwks")),
        ("x5u", json!("https://192.0.2.1/cert")),
        ("jwk", set["keys"][0].clone()),
        ("x5c", json!(["AAAA"])),
    ];
    for (name, member) in brought {
        let header = with(&good.header, name, member);
        let claims = good.claims.to_string();
        let ours = bench
            .desk
            .keys
            .sign_texts(&header.to_string(), &claims)
            .unwrap();
        assert!(bench.is_good(&ours).await, "{name} is ignored");
        for kid in [good.header["kid"].clone(), set["keys"][0]["kid"].clone()] {
            let header = with(&header, "kid", kid).to_string();
            let theirs = foreign.sign_texts(&header, &claims).unwrap();
            assert_eq!(bench.refusal(&theirs).await, Some(RefusalReason::Malformed));
        }
    }
}

#[tokio::test]
async fn claims_that_are_missing_doubled_foreign_or_out_of_time_are_refused() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (good, _) = sample(&bench).await;
    let now = bench.desk.clock.now_ms() / 1_000;
    let header = good.header.to_string();
    let claims = &good.claims;
    let mut bad = Vec::new();
    for name in ["exp", "iat", "iss", "sub", "jti"] {
        bad.push((without(claims, name).to_string(), RefusalReason::Malformed));
        bad.push((
            with(claims, name, json!({})).to_string(),
            RefusalReason::Malformed,
        ));
    }
    bad.push((
        with(claims, "exp", json!("9999999999")).to_string(),
        RefusalReason::Malformed,
    ));
    bad.push((
        with(claims, "iss", json!("https://other.example")).to_string(),
        RefusalReason::Malformed,
    ));
    bad.push((
        with(claims, "azp", json!("nobody")).to_string(),
        RefusalReason::Inactive,
    ));
    for exp in [now, now - 1, 0, -1, i64::MIN] {
        bad.push((
            with(claims, "exp", json!(exp)).to_string(),
            RefusalReason::Expired,
        ));
    }
    for nbf in [now + 60, i64::MAX] {
        bad.push((
            with(claims, "nbf", json!(nbf)).to_string(),
            RefusalReason::Expired,
        ));
    }
    // Of a node whose clock is a little ahead.
    let ahead = with(claims, "nbf", json!(now + 3)).to_string();
    let ahead = bench.desk.keys.sign_texts(&header, &ahead).unwrap();
    assert!(bench.is_good(&ahead).await);
    let text = claims.to_string();
    for name in ["exp", "iss", "sub", "scope", "jti"] {
        let doubled = format!("{{\"{name}\":{},{}", claims[name], &text[1..]);
        bad.push((doubled, RefusalReason::Malformed));
    }
    bad.push((format!("[{text}]"), RefusalReason::Malformed));
    for (claims, reason) in bad {
        let token = bench.desk.keys.sign_texts(&header, &claims).unwrap();
        assert_eq!(bench.refusal(&token).await, Some(reason), "{claims}");
    }
    let doubled = format!("{{\"alg\":\"none\",{}", &header[1..]);
    let token = bench.desk.keys.sign_texts(&doubled, &text).unwrap();
    assert_eq!(bench.refusal(&token).await, Some(RefusalReason::Malformed));
}

#[tokio::test]
async fn an_identity_token_is_no_access_token() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("ann", &[]).await;
    let (_, client) = bench.client(TokenType::Jwt).await;
    let grant = GrantType::Password {
        username: "ann".to_owned(),
        password: PASSWORD.to_owned(),
        address: HOME,
    };
    let issued = bench
        .km
        .issue(request(&client, grant, "openid"))
        .await
        .unwrap();
    let identity = issued.id_token.unwrap();
    assert_eq!(
        bench.refusal(&identity).await,
        Some(RefusalReason::Malformed)
    );
    assert!(bench.is_good(&issued.access_token).await);
}

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The other signature that ECDSA accepts: `(r, n - s)`.
fn mirrored(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for index in (0..32).rev() {
        let digit = i32::from(ORDER[index]) - i32::from(bytes[32 + index]) - borrow;
        borrow = i32::from(digit < 0);
        bytes[32 + index] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The other spellings of a signature whose last digit has four bits that say nothing: of 64 bytes and of 256.
fn low_bits(token: &str) -> Vec<String> {
    let (rest, last) = token.split_at(token.len() - 1);
    let signature = token.rsplit('.').next().unwrap();
    assert_eq!(signature.len() % 4, 2, "two of six bits count");
    let at = DIGITS.find(last).unwrap();
    let same = (0..16).map(|low| at / 16 * 16 + low);
    let others = same.filter(|other| *other != at);
    others
        .map(|other| format!("{rest}{}", &DIGITS[other..=other]))
        .collect()
}

/// Those of base64url, by value.
const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[tokio::test]
async fn bits_of_a_signature_that_say_nothing_lead_around_no_revocation() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
        let bench = bench(algorithm).await;
        let (good, client) = sample(&bench).await;
        assert!(bench.is_good(&good.token).await);
        let others = low_bits(&good.token);
        assert_eq!(others.len(), 15);
        for other in &others {
            // The same token or none, and known by now in either case.
            let refused = bench.refusal(other).await;
            assert!(matches!(refused, None | Some(RefusalReason::Malformed)));
        }
        let applied = bench.km.revoke(client, good.token.clone()).await.unwrap();
        assert!(applied.is_some());
        for spelling in others.iter().chain([&good.token]) {
            assert!(!bench.is_good(spelling).await, "{algorithm:?} {spelling}");
        }
    }
}

#[tokio::test]
async fn a_revoked_token_stays_refused_in_every_spelling() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (good, client) = sample(&bench).await;
    let mirrored = mirrored(&good.token);
    assert_ne!(mirrored, good.token);
    assert!(
        bench.is_good(&mirrored).await,
        "it is the same token to ECDSA"
    );
    let applied = bench.km.revoke(client, good.token.clone()).await.unwrap();
    assert!(applied.is_some());
    assert_eq!(
        bench.refusal(&good.token).await,
        Some(RefusalReason::Revoked)
    );
    assert_eq!(bench.refusal(&mirrored).await, Some(RefusalReason::Revoked));
    let (signed, signature) = good.token.rsplit_once('.').unwrap();
    let spaced = encoded(&format!(" {}", good.header));
    for spelling in [
        format!("{}=", good.token),
        format!("{}==", good.token),
        format!("{}\n", good.token),
        format!(" {}", good.token),
        format!("{signed}.{signature}."),
        format!("{signed}=.{signature}"),
        good.token.replace('.', "%2E"),
        format!("{spaced}.{}.{signature}", encoded(&good.claims.to_string())),
        good.token.replace(['-', '_'], "+"),
    ] {
        assert!(!bench.is_good(&spelling).await, "{spelling}");
    }
}
