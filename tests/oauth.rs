//! OAuth2 clients and what is told of tokens.

use serde_json::{Value, json};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

use crate::support::node::{Node, Options};
use crate::support::platform::{DEVPORTAL, text};

const REGISTER: &str = "/client-registration/v0.17/register";

#[tokio::test]
async fn a_client_is_its_owners_however_the_name_is_spelt() {
    let node = Node::start().await;
    let register = async |user: &str| -> Value {
        let body = json!({"clientName": "mine", "owner": user, "grantType": "client_credentials"});
        let call = node.post(REGISTER).basic(user, &node.admin_password);
        call.json(&body).send().await.expect(200).json()
    };
    let first = register("admin").await;
    assert_eq!(first["isSaasApplication"], "true");
    for spelling in ["ADMIN", "Admin@carbon.super"] {
        let again = register(spelling).await;
        assert_eq!(again["appOwner"], "admin", "{spelling}");
        assert_eq!(again["clientId"], first["clientId"], "{spelling}");
    }
}

#[tokio::test]
async fn a_refused_registration_names_the_member_of_its_body() {
    let node = Node::start().await;
    let body = json!({"clientName": "a\u{7}b", "grantType": "client_credentials"});
    let call = node.post(REGISTER).basic("admin", &node.admin_password);
    let refused = call.json(&body).send().await.expect(400).text();
    assert!(refused.contains("clientName"), "{refused}");
}

#[tokio::test]
async fn introspection_tells_of_opaque_tokens_what_it_tells_of_signed_ones() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    for kind in ["JWT", "OAUTH"] {
        let application = node.application(&admin, kind, "Unlimited", kind).await;
        let (key, secret) = node.keys(&admin, &application, "PRODUCTION").await;
        let token = node.client_token(&key, &secret).await;
        let form = [("token", token.as_str()), ("client_id", &key)];
        let call = node.post("/oauth2/introspect").basic(&key, &secret);
        let told = call.form(&form).send().await.expect(200).json();
        assert_eq!(told["active"], true, "{told}");
        assert_eq!(told["aud"], json!([key]), "{told}");
        assert!(text(&told, "iss").ends_with("/oauth2/token"), "{told}");
        assert_eq!(told.get("jti").is_some(), kind == "JWT", "{told}");
        // An administrator's token, its scheme in any case (RFC 7235 §2.1).
        let call = node.post("/oauth2/introspect");
        let call = call.header("authorization", &format!("bearer {admin}"));
        let told = call.form(&[("token", &token)]).send().await.expect(200);
        assert_eq!(told.json()["active"], true);
        let form = [("token", token.as_str()), ("client_id", "another")];
        let call = node.post("/oauth2/introspect").basic(&key, &secret);
        call.form(&form).send().await.expect(400);
    }
    let application = node.application(&admin, "login", "Unlimited", "JWT").await;
    let (key, secret) = node.keys(&admin, &application, "PRODUCTION").await;
    let login = [
        ("grant_type", "password"),
        ("username", "admin"),
        ("password", &node.admin_password),
    ];
    let call = node.post("/oauth2/token").basic(&key, &secret);
    let issued = call.form(&login).send().await.expect(200).json();
    let refresh = text(&issued, "refresh_token").to_owned();
    let ask = async || {
        let call = node.post("/oauth2/introspect").basic(&key, &secret);
        let call = call.form(&[("token", &refresh)]);
        call.send().await.expect(200).json()
    };
    let told = ask().await;
    assert_eq!(told["active"], true, "{told}");
    assert_eq!(told["sub"], "admin@carbon.super");
    let used = [("grant_type", "refresh_token"), ("refresh_token", &refresh)];
    let call = node.post("/oauth2/token").basic(&key, &secret);
    call.form(&used).send().await.expect(200);
    assert_eq!(ask().await["active"], false, "it works once");
    let user = node
        .user_token("admin", &node.admin_password, "openid")
        .await;
    for method in ["GET", "POST"] {
        let call = node.call(method, "/oauth2/userinfo").bearer(&user);
        assert_eq!(
            call.send().await.expect(200).json()["sub"],
            "admin@carbon.super"
        );
    }
}

#[tokio::test]
async fn a_request_whose_head_is_too_long_is_refused() {
    let node = Node::start().await;
    let call = |bytes: usize| node.get("/livez").header("x-long", &"x".repeat(bytes));
    call(16 * 1024).send().await.expect(200);
    call(70 * 1024).send().await.expect(431);
}

#[tokio::test]
async fn where_nothing_else_is_configured_rs256_signs_and_a_token_lives_an_hour() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    let application = node.application(&admin, "d", "Unlimited", "JWT").await;
    let (key, secret) = node.keys(&admin, &application, "PRODUCTION").await;
    let call = node.post("/oauth2/token").basic(&key, &secret);
    let issued = call.form(&[("grant_type", "client_credentials")]);
    let issued = issued.send().await.expect(200).json();
    assert_eq!(issued["expires_in"], 3_600);
    let head = decode_header(text(&issued, "access_token")).expect("a head");
    assert_eq!(head.alg, Algorithm::RS256);
}

#[tokio::test]
async fn tokens_are_verified_by_what_discovery_names_whatever_algorithm_is_configured() {
    for (name, algorithm) in [("RS256", Algorithm::RS256), ("ES256", Algorithm::ES256)] {
        let issuer = "https://keys.example/oauth2/token";
        let node = Node::start_with(Options {
            toml: format!("[oauth2]\nissuer = \"{issuer}\"\nsigning_algorithm = \"{name}\"\n"),
            ..Options::default()
        })
        .await;
        let path = "/oauth2/token/.well-known/openid-configuration";
        let told = node.get(path).send().await.expect(200).json();
        assert_eq!(told["issuer"], issuer);
        assert_eq!(told["id_token_signing_alg_values_supported"], json!([name]));
        let jwks = text(&told, "jwks_uri").strip_prefix("https://keys.example");
        assert_eq!(jwks, Some("/oauth2/jwks"));
        let jwks = node.get(jwks.expect("a key set")).send().await.expect(200);
        let admin = node.admin_token().await;
        let application = node.application(&admin, name, "Unlimited", "JWT").await;
        let (key, secret) = node.keys(&admin, &application, "PRODUCTION").await;
        let token = node.client_token(&key, &secret).await;
        let head = decode_header(&token).expect("a head");
        assert_eq!((head.alg, head.typ.as_deref()), (algorithm, Some("at+jwt")));
        let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&jwks.body).expect("keys");
        let public = keys.find(head.kid.as_deref().expect("a key id"));
        let public = DecodingKey::from_jwk(public.expect("the key")).expect("a key");
        let mut rules = Validation::new(algorithm);
        rules.set_issuer(&[issuer]);
        rules.set_audience(&[&key]);
        let claims = decode::<Value>(&token, &public, &rules).expect("a good signature");
        let claims = claims.claims;
        assert_eq!(claims["azp"], key.as_str());
        assert_eq!(claims["client_id"], key.as_str());
        assert_eq!(
            (&claims["aut"], &claims["scope"]),
            (&json!("APPLICATION"), &json!("default"))
        );
        assert!(claims["sub"].as_str().is_some_and(|sub| !sub.is_empty()));
        assert_eq!(claims["nbf"], claims["iat"]);
        // A person's, of a client of their own.
        rules.validate_aud = false;
        let login = node
            .user_token("admin", &node.admin_password, "device_tests")
            .await;
        let claims = decode::<Value>(&login, &public, &rules).expect("a good signature");
        let claims = claims.claims;
        assert_eq!(claims["aut"], "APPLICATION_USER");
        assert_eq!(claims["sub"], "admin@carbon.super");
    }
}

#[tokio::test]
async fn a_regenerated_secret_works_and_the_one_before_does_not() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    let application = node.application(&admin, "one", "Unlimited", "JWT").await;
    let (key, old) = node.keys(&admin, &application, "PRODUCTION").await;
    let base = format!("{DEVPORTAL}/applications/{application}/oauth-keys");
    let list = node.get(&base).bearer(&admin).send().await.expect(200);
    let id = text(&list.json()["list"][0], "keyMappingId").to_owned();
    let call = node.post(&format!("{base}/{id}/regenerate-secret"));
    let made = call.bearer(&admin).send().await.expect(200).json();
    let ask = async |secret: &str, status: u16| {
        let call = node.post("/oauth2/token").basic(&key, secret);
        let call = call.form(&[("grant_type", "client_credentials")]);
        call.send().await.expect(status);
    };
    ask(&old, 401).await;
    ask(text(&made, "consumerSecret"), 200).await;
}

#[tokio::test]
async fn whoever_registers_a_client_again_takes_it_from_nobody() {
    let node = Node::start().await;
    let register = async || {
        let body = json!({"clientName": "agents", "grantType": "client_credentials"});
        let call = node.post(REGISTER).basic("admin", &node.admin_password);
        call.json(&body).send().await.expect(200).json()
    };
    let (first, second) = tokio::join!(register(), register());
    for agent in [first, second] {
        let key = text(&agent, "clientId");
        let token = node.client_token(key, text(&agent, "clientSecret")).await;
        assert!(!token.is_empty());
    }
}

#[tokio::test]
async fn what_discovery_names_is_there_on_the_node_that_tells_it() {
    let node = Node::start().await;
    let path = "/oauth2/token/.well-known/openid-configuration";
    let told = node.get(path).send().await.expect(200).json();
    let base = text(&told, "issuer").strip_suffix("/oauth2/token");
    let base = base.expect("an issuer of this product");
    let form = [("grant_type", "client_credentials"), ("token", "x")];
    // Each but the keys asks who it is, which an address that is not there does not.
    for (name, method, status) in [
        ("jwks_uri", "GET", 200),
        ("token_endpoint", "POST", 401),
        ("revocation_endpoint", "POST", 401),
        ("introspection_endpoint", "POST", 401),
        ("userinfo_endpoint", "GET", 401),
        ("registration_endpoint", "POST", 401),
    ] {
        let path = text(&told, name).strip_prefix(base).expect("of the issuer");
        let call = node.call(method, path);
        let call = match (method, name) {
            ("GET", _) => call,
            (_, "registration_endpoint") => call.json(&json!({})),
            _ => call.form(&form),
        };
        let answer = call.send().await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
}
