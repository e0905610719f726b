//! People: made, seen and removed by administrators or by themselves, and what their roles open.

use serde_json::{Value, json};

use crate::support::node::{Node, Options};
use crate::support::platform::{DEVPORTAL, PUBLISHER, text};
use crate::support::upstream::Upstream;

const PASSWORD: &str = "Open-sesame-1";

/// Makes a person with roles and gives their id.
async fn person(node: &Node, token: &str, name: &str, roles: &[&str]) -> String {
    let roles: Vec<_> = roles.iter().map(|role| json!({"value": role})).collect();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name, "password": PASSWORD, "roles": roles,
        "name": {"givenName": "Given", "familyName": "Family"},
        "emails": [format!("{name}@example.com")],
    });
    let call = node.post("/scim2/Users").bearer(token).json(&body);
    text(&call.send().await.expect(201).json(), "id").to_owned()
}

/// Asks for a token for a person and gives the whole answer.
async fn asked(node: &Node, name: &str, scopes: &str) -> Value {
    let client = node
        .post("/client-registration/v0.17/register")
        .basic(name, PASSWORD)
        .json(&json!({"clientName": format!("of {name}"), "grantType": "password"}))
        .send()
        .await
        .expect(200)
        .json();
    let (key, secret) = (text(&client, "clientId"), text(&client, "clientSecret"));
    let form = [
        ("grant_type", "password"),
        ("username", name),
        ("password", PASSWORD),
        ("scope", scopes),
    ];
    let call = node.post("/oauth2/token").basic(key, secret).form(&form);
    call.send().await.expect(200).json()
}

/// The scopes that were granted, in order.
fn granted(answer: &Value) -> Vec<&str> {
    let mut scopes: Vec<_> = text(answer, "scope").split(' ').collect();
    scopes.sort_unstable();
    scopes
}

#[tokio::test]
async fn a_person_is_made_found_listed_and_removed_over_scim() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let id = person(&node, &token, "ann", &["Internal/creator"]).await;
    let get = |path: String| node.get(&path).bearer(&token).send();
    let seen = get(format!("/scim2/Users/{id}")).await.expect(200);
    assert_eq!(seen.header("content-type"), "application/scim+json");
    assert!(!seen.text().contains(PASSWORD));
    let seen = seen.json();
    assert_eq!(seen["userName"], "ann");
    assert_eq!(seen["name"]["familyName"], "Family");
    assert_eq!(seen["roles"], json!([{"value": "Internal/creator"}]));
    let found = get("/scim2/Users?filter=userName%20eq%20%22ann%22".to_owned()).await;
    let found = found.expect(200).json();
    assert_eq!(found["totalResults"], 1, "{found}");
    assert_eq!(found["Resources"][0]["id"], json!(id));
    let page = get("/scim2/Users?startIndex=2&count=1".to_owned()).await;
    let page = page.expect(200).json();
    assert_eq!(
        (&page["totalResults"], &page["itemsPerPage"]),
        (&json!(2), &json!(1))
    );
    let unknown = get("/scim2/Users?filter=age%20gt%205".to_owned()).await;
    assert_eq!(unknown.expect(400).json()["scimType"], "invalidFilter");
    let delete = || {
        node.delete(&format!("/scim2/Users/{id}"))
            .bearer(&token)
            .send()
    };
    delete().await.expect(204);
    delete().await.expect(404);
    get(format!("/scim2/Users/{id}")).await.expect(404);
    // The name is free again.
    person(&node, &token, "ann", &[]).await;
}

#[tokio::test]
async fn who_signs_up_is_a_subscriber_and_nothing_else_whatever_they_ask_for() {
    let node = Node::start().await;
    let body = json!({"user": {
        "username": "bob", "password": PASSWORD, "realm": "PRIMARY",
        "roles": [{"value": "admin"}],
        "claims": [
            {"uri": "http://wso2.org/claims/emailaddress", "value": "bob@example.com"},
            {"uri": "http://wso2.org/claims/role", "value": "admin"},
        ],
    }});
    let sign_up = || node.post("/api/identity/user/v1.0/me").json(&body).send();
    sign_up().await.expect(201);
    sign_up().await.expect(409);
    let admin = node.admin_token().await;
    let found = node
        .get("/scim2/Users?filter=userName%20eq%20%22bob%22")
        .bearer(&admin)
        .send()
        .await
        .json();
    let roles = &found["Resources"][0]["roles"];
    assert_eq!(*roles, json!([{"value": "Internal/subscriber"}]));
    let answer = asked(&node, "bob", "apim:subscribe apim:api_create apim:admin").await;
    assert_eq!(granted(&answer), ["apim:subscribe"]);
    let token = text(&answer, "access_token");
    let apps = node.get(&format!("{DEVPORTAL}/applications")).bearer(token);
    apps.send().await.expect(200);
    let apis = node.get(&format!("{PUBLISHER}/apis")).bearer(token);
    apis.send().await.expect(403);
    node.get("/scim2/Users")
        .bearer(token)
        .send()
        .await
        .expect(403);
}

#[tokio::test]
async fn a_token_holds_the_scopes_of_its_owners_roles_and_drops_all_others() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    let everything = "apim:api_view apim:api_create apim:api_publish apim:subscribe apim:admin \
        apim:environment_read apim:api_import_export internal_user_mgt_create openid \
        device_phone no:such_scope";
    for (name, roles, wanted) in [
        (
            "creator",
            &["Internal/creator"][..],
            &["apim:api_create", "apim:api_view", "device_phone", "openid"][..],
        ),
        (
            "publisher",
            &["Internal/publisher"],
            &[
                "apim:api_publish",
                "apim:api_view",
                "device_phone",
                "openid",
            ],
        ),
        (
            "subscriber",
            &["Internal/subscriber"],
            &["apim:subscribe", "device_phone", "openid"],
        ),
        (
            "operator",
            &["Internal/devops"],
            &[
                "apim:api_import_export",
                "apim:subscribe",
                "device_phone",
                "openid",
            ],
        ),
        // Internal/everyone is everybody's, held or not, and opens nothing of the platform.
        ("nobody", &[], &["device_phone", "openid"]),
    ] {
        person(&node, &admin, name, roles).await;
        let answer = asked(&node, name, everything).await;
        assert_eq!(granted(&answer), wanted, "{name}");
    }
    let answer = asked(&node, "nobody", "apim:admin no:such_scope").await;
    assert_eq!(granted(&answer), ["default"]);
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_refused_and_nobody_is_made() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let body = json!({
        "userName": "eve", "password": PASSWORD, "roles": [{"value": "Internal/emperor"}],
    });
    let call = node.post("/scim2/Users").bearer(&token).json(&body);
    let refused = call.send().await.expect(400);
    assert!(
        refused.text().contains("Internal/emperor"),
        "{}",
        refused.text()
    );
    let found = node
        .get("/scim2/Users?filter=userName%20eq%20%22eve%22")
        .bearer(&token)
        .send()
        .await
        .json();
    assert_eq!(found["totalResults"], 0);
}

#[tokio::test]
async fn what_a_removed_person_held_opens_nothing_from_the_answer_on() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    let id = person(&node, &admin, "carl", &["Internal/subscriber"]).await;
    let answer = asked(&node, "carl", "apim:subscribe").await;
    let token = text(&answer, "access_token");
    let list = || {
        let call = node.get(&format!("{DEVPORTAL}/applications"));
        call.bearer(token).send()
    };
    list().await.expect(200);
    let delete = node.delete(&format!("/scim2/Users/{id}")).bearer(&admin);
    delete.send().await.expect(204);
    list().await.expect(401);
    // Somebody else of the same name does not bring the token back.
    person(&node, &admin, "carl", &["Internal/subscriber"]).await;
    list().await.expect(401);
}

#[tokio::test]
async fn what_a_removed_person_owned_ends_with_the_answer_and_no_namesake_inherits_it() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let admin = node.admin_token().await;
    let api = node.published(&admin, "Shop", "/shop", &upstream.url).await;
    let id = person(&node, &admin, "carl", &["Internal/subscriber"]).await;
    person(&node, &admin, "dora", &["Internal/subscriber"]).await;
    let scopes = "apim:subscribe apim:app_manage apim:sub_manage apim:api_key";
    let own = node.user_token("carl", PASSWORD, scopes).await;
    let held = node.subscribed(&own, &api, "shop", "JWT").await;
    let opaque = node.subscribed(&own, &api, "opaque", "OAUTH").await;
    // Somebody else who logged in through the application.
    let form = [
        ("grant_type", "password"),
        ("username", "dora"),
        ("password", PASSWORD),
    ];
    let login = || {
        node.post("/oauth2/token")
            .basic(&held.key, &held.secret)
            .form(&form)
    };
    let through = login().send().await.expect(200).json();
    let tokens = [&held.access, &opaque.access, text(&through, "access_token")];
    for token in tokens {
        let call = node.api("GET", "/shop/1.0.0/items").bearer(token);
        call.send().await.expect(200);
    }
    let delete = node.delete(&format!("/scim2/Users/{id}")).bearer(&admin);
    let gone = delete.send().await.expect(204);
    assert!(gone.header("headgate-applied").contains('/'));
    let refused = async || {
        for token in tokens {
            let call = node.api("GET", "/shop/1.0.0/items").bearer(token);
            call.send().await.expect(401);
        }
        login().send().await.expect(401);
    };
    refused().await;
    person(&node, &admin, "carl", &["Internal/subscriber"]).await;
    refused().await;
    let new = node.user_token("carl", PASSWORD, scopes).await;
    let list = node.get(&format!("{DEVPORTAL}/applications")).bearer(&new);
    let list = list.send().await.expect(200).json();
    assert_eq!(list["count"], 1, "{list}");
    assert_eq!(list["list"][0]["name"], "DefaultApplication");
    let one = node.get(&format!("{DEVPORTAL}/applications/{}", held.application));
    one.bearer(&new).send().await.expect(404);
}

#[tokio::test]
async fn who_changes_their_password_ends_their_sessions_and_nothing_else() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    let id = person(&node, &admin, "ann", &["Internal/subscriber"]).await;
    let answer = asked(&node, "ann", "apim:subscribe").await;
    let token = text(&answer, "access_token");
    let applications = format!("{DEVPORTAL}/applications");
    let opens = |token: &str| node.get(&applications).bearer(token).send();
    let change = |current: &str, new: &str| {
        node.post(&format!("{DEVPORTAL}/me/change-password"))
            .bearer(token)
            .json(&json!({"currentPassword": current, "newPassword": new}))
            .send()
    };
    change("A-guess-1", "Shut-sesame-1").await.expect(400);
    opens(token).await.expect(200);
    change(PASSWORD, "Shut-sesame-1").await.expect(200);
    opens(token).await.expect(401);
    opens(&admin).await.expect(200);
    let old = node.post("/client-registration/v0.17/register");
    let old = old.basic("ann", PASSWORD).json(&json!({"clientName": "x"}));
    old.send().await.expect(401);
    let scopes = "apim:subscribe";
    let token = node.user_token("ann", "Shut-sesame-1", scopes).await;
    opens(&token).await.expect(200);
    // An administrator's word ends them as well, written without a path here.
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Replace", "value": {"password": "Open-sesame-3"}}],
    });
    let patch = node.call("PATCH", &format!("/scim2/Users/{id}"));
    let answer = patch.bearer(&admin).json(&body).send().await.expect(200);
    assert!(!answer.text().contains("sesame"));
    assert!(!answer.header("headgate-applied").is_empty());
    opens(&token).await.expect(401);
    let token = node.user_token("ann", "Open-sesame-3", scopes).await;
    opens(&token).await.expect(200);
    let patch = node.call("PATCH", &format!("/scim2/Users/{id}"));
    patch.bearer(&token).json(&body).send().await.expect(403);
}

#[tokio::test]
async fn the_last_administrator_cannot_be_removed() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let found = node
        .get("/scim2/Users?filter=userName%20eq%20%22admin%22")
        .bearer(&token)
        .send()
        .await
        .json();
    let id = text(&found["Resources"][0], "id");
    let delete = node.delete(&format!("/scim2/Users/{id}")).bearer(&token);
    delete.send().await.expect(400);
    assert!(!node.admin_token().await.is_empty());
}

#[tokio::test]
async fn a_stranger_who_guesses_locks_himself_out_and_not_the_administrator() {
    let node = Node::start_with(Options {
        toml: "trusted_proxies = [\"127.0.0.1\", \"::1\"]\n".to_owned(),
        ..Options::default()
    })
    .await;
    let sign_in = |address: String, password: String| {
        let call = node.post("/client-registration/v0.17/register");
        let call = call.basic("admin", &password);
        let call = call.header("x-forwarded-for", &address);
        call.json(&json!({"clientName": "tool", "grantType": "password"}))
            .send()
    };
    let right = || node.admin_password.clone();
    let mut held = false;
    // Of a pause that ended before the right password came nothing is left: then once more.
    for _ in 0..10 {
        for _ in 0..5 {
            sign_in("203.0.113.9".to_owned(), "guess".to_owned())
                .await
                .expect(401);
        }
        held = sign_in("203.0.113.9".to_owned(), right()).await.status == 401;
        if held {
            break;
        }
    }
    assert!(held, "the stranger has to wait");
    sign_in("198.51.100.1".to_owned(), right())
        .await
        .expect(200);
    let lied = sign_in("198.51.100.1, 203.0.113.9".to_owned(), "guess".to_owned());
    lied.await.expect(401);
    // From many addresses: the account is braked, but not where its owner signed in before.
    let mut braked = false;
    for round in 0..10 {
        let mut guesses = tokio::task::JoinSet::new();
        for number in 0..120 {
            let address = format!("192.0.{round}.{number}");
            guesses.spawn(sign_in(address, "guess".to_owned()));
        }
        while let Some(guess) = guesses.join_next().await {
            assert!(matches!(
                guess.expect("an answer").status.as_u16(),
                401 | 503
            ));
        }
        braked = sign_in(format!("192.0.{round}.200"), right()).await.status == 401;
        if braked {
            break;
        }
    }
    assert!(braked, "a new address has to wait");
    sign_in("198.51.100.1".to_owned(), right())
        .await
        .expect(200);
}

#[tokio::test]
async fn a_person_is_told_their_name_address_and_roles_as_they_are_kept() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    person(&node, &admin, "sue", &["Internal/subscriber"]).await;
    let token = node.user_token("sue", PASSWORD, "openid").await;
    let told = node.get("/oauth2/userinfo").bearer(&token).send().await;
    let told = told.expect(200).json();
    for (claim, value) in [
        ("sub", json!("sue@carbon.super")),
        ("preferred_username", json!("sue")),
        ("email", json!("sue@example.com")),
        ("given_name", json!("Given")),
        ("family_name", json!("Family")),
        ("roles", json!(["Internal/subscriber"])),
    ] {
        assert_eq!(told[claim], value, "{told}");
    }
    let bare = node.user_token("sue", PASSWORD, "apim:subscribe").await;
    let call = node.get("/oauth2/userinfo").bearer(&bare);
    call.send().await.expect(403);
}
