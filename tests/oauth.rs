//! OAuth2 clients and what is told of tokens.

use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::platform::text;

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
