//! The Developer Portal: what is chosen counts, documents name what they point at, lists are those
//! that were asked for, and each page is open to whom the contract says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::node::Node;
use crate::support::platform::{DEVPORTAL, PUBLISHER, text};
use crate::support::upstream::Upstream;

/// A read by the portal's user that succeeds.
async fn read(node: &Node, token: &str, path: &str) -> Value {
    let call = node.get(&format!("{DEVPORTAL}{path}")).bearer(token);
    call.send().await.expect(200).json()
}

async fn post(node: &Node, token: &str, path: &str, body: &Value, status: u16) -> Value {
    let call = node.post(&format!("{DEVPORTAL}{path}")).bearer(token);
    let answer = call.json(body).send().await.expect(status);
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// A token for a client's own use, or a user's, as the whole answer.
async fn token(node: &Node, key: &str, secret: &str, more: &[(&str, &str)]) -> Value {
    let call = node.post("/oauth2/token").basic(key, secret).form(more);
    call.send().await.expect(200).json()
}

/// A signed token's claims.
fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("claims");
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Where a document holds a null.
fn nulls(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(path.to_owned()),
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                nulls(item, &format!("{path}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (name, item) in members {
                nulls(item, &format!("{path}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn the_lives_and_the_kind_of_tokens_are_those_that_were_chosen() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    let application = node.application(&admin, "lives", "Unlimited", "JWT").await;
    let one = format!("/applications/{application}");
    let body = json!({
        "keyType": "PRODUCTION", "validityTime": "60",
        "grantTypesToBeSupported": ["client_credentials", "password", "refresh_token"],
        "additionalProperties": {
            "application_access_token_expiry_time": "120",
            "user_access_token_expiry_time": 30,
            "id_token_expiry_time": "20",
            "refresh_token_expiry_time": "N/A",
        },
    });
    let keys = post(&node, &admin, &format!("{one}/generate-keys"), &body, 200).await;
    assert_eq!(keys["token"]["validityTime"], 60);
    let (key, secret) = (text(&keys, "consumerKey"), text(&keys, "consumerSecret"));
    let own = [("grant_type", "client_credentials")];
    let issued = token(&node, key, secret, &own).await;
    assert_eq!(issued["expires_in"], 120);
    // A client that acts for itself has its secret (RFC 6749 §4.4.3).
    assert!(issued.get("refresh_token").is_none(), "{issued}");
    let password = node.admin_password.clone();
    let login = [
        ("grant_type", "password"),
        ("username", "admin"),
        ("password", password.as_str()),
        ("scope", "openid"),
    ];
    let user = token(&node, key, secret, &login).await;
    assert_eq!(user["expires_in"], 30);
    assert!(user["refresh_token"].is_string(), "{user}");
    let identity = claims(text(&user, "id_token"));
    let life = identity["exp"].as_i64().expect("exp") - identity["iat"].as_i64().expect("iat");
    assert_eq!(life, 20);
    for (kind, parts) in [("OAUTH", 1), ("JWT", 3)] {
        let body = json!({"name": "lives", "throttlingPolicy": "Unlimited", "tokenType": kind});
        let put = node.put(&format!("{DEVPORTAL}{one}")).bearer(&admin);
        put.json(&body).send().await.expect(200);
        let issued = token(&node, key, secret, &own).await;
        assert_eq!(text(&issued, "access_token").split('.').count(), parts);
    }
}

/// A subscription, keys and an API key, as they were answered when they were made.
async fn held(node: &Node, admin: &str, api: &str, application: &str) -> [Value; 3] {
    let body = json!({"apiId": api, "applicationId": application, "throttlingPolicy": "Unlimited"});
    let made = post(node, admin, "/subscriptions", &body, 201).await;
    let body = json!({
        "keyType": "PRODUCTION", "grantTypesToBeSupported": ["client_credentials"],
    });
    let path = format!("/applications/{application}/generate-keys");
    let keys = post(node, admin, &path, &body, 200).await;
    let body = json!({"keyName": "first", "keyType": "PRODUCTION"});
    let of_api = format!("/apis/{api}/api-keys");
    post(node, admin, &format!("{of_api}/generate"), &body, 200).await;
    let list = read(node, admin, &of_api).await;
    assert!(list["list"][0].get("associatedApp").is_none(), "{list}");
    let body = json!({"keyUUID": list["list"][0]["keyUUID"], "applicationUUID": application});
    let bound = post(node, admin, &format!("{of_api}/associate"), &body, 200).await;
    [made, keys, bound]
}

#[tokio::test]
async fn documents_name_what_they_point_at_and_hold_no_null() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let admin = node.admin_token().await;
    let api = node.published(&admin, "Shop", "/shop", &upstream.url).await;
    let application = node.application(&admin, "mine", "Unlimited", "JWT").await;
    let mut documents = held(&node, &admin, &api, &application).await.to_vec();
    let id = text(&documents[0], "subscriptionId").to_owned();
    let one = format!("/applications/{application}");
    for path in [
        format!("/subscriptions/{id}"),
        format!("/subscriptions?applicationId={application}"),
        format!("/subscriptions?apiId={api}"),
        format!("/apis/{api}/api-keys"),
        format!("{one}/api-keys/PRODUCTION/associations"),
        format!("{one}/oauth-keys"),
        one.clone(),
        "/applications".to_owned(),
        "/apis".to_owned(),
        format!("/apis/{api}"),
        "/search?query=Shop".to_owned(),
        "/throttling-policies/subscription".to_owned(),
        "/throttling-policies/application".to_owned(),
    ] {
        documents.push(read(&node, &admin, &path).await);
    }
    let (made, bound, single) = (&documents[0], &documents[2], &documents[3]);
    let (by_application, by_api) = (&documents[4]["list"][0], &documents[5]["list"][0]);
    let names = json!({"keyName": "first", "apiName": "Shop", "applicationName": "mine"});
    assert_eq!(*bound, names);
    for held in [made, single, by_application, by_api] {
        assert_eq!(held["apiInfo"]["name"], "Shop", "{held}");
        assert_eq!(held["apiInfo"]["context"], "/shop/1.0.0");
        assert_eq!(held["applicationInfo"]["name"], "mine", "{held}");
        assert_eq!(held["applicationInfo"]["subscriptionCount"], 1, "{held}");
    }
    assert_eq!(documents[6]["list"][0]["associatedApp"], "mine");
    assert_eq!(documents[7]["list"][0]["apiName"], "Shop");
    let mut found = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        nulls(document, &index.to_string(), &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn lists_of_apis_say_which_plans_each_offers_as_it_was_changed_last() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let admin = node.admin_token().await;
    let api = node.published(&admin, "Shop", "/shop", &upstream.url).await;
    let plans = async || {
        let listed = read(&node, &admin, "/apis").await;
        listed["list"][0]["throttlingPolicies"].clone()
    };
    assert_eq!(plans().await, json!(["Unlimited", "Gold"]));
    let path = format!("{PUBLISHER}/apis/{api}");
    let document = node.get(&path).bearer(&admin).send().await.expect(200);
    let mut document = document.json();
    document["policies"] = json!(["Unlimited"]);
    let put = node.put(&path).bearer(&admin).json(&document);
    put.send().await.expect(200);
    assert_eq!(plans().await, json!(["Unlimited"]));
}

#[tokio::test]
async fn who_knows_a_document_gets_304_and_who_saw_another_one_changes_nothing() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let admin = node.admin_token().await;
    let api = node.published(&admin, "Shop", "/shop", &upstream.url).await;
    let held = node.subscribed(&admin, &api, "mine", "JWT").await;
    let (application, subscription) = (&held.application, &held.subscription);
    let get = async |path: &str, known: &str| {
        let call = node.get(&format!("{DEVPORTAL}{path}")).bearer(&admin);
        call.header("if-none-match", known).send().await
    };
    for path in [
        format!("/apis/{api}"),
        format!("/apis/{api}/swagger"),
        format!("/apis/{api}/subscription-policies"),
        "/apis".to_owned(),
        "/applications".to_owned(),
        format!("/applications/{application}"),
        format!("/subscriptions?apiId={api}"),
        format!("/subscriptions/{subscription}"),
        "/throttling-policies/application".to_owned(),
    ] {
        let first = get(&path, "\"0\"").await.expect(200);
        let tag = first.header("etag").to_owned();
        get(&path, &tag).await.expect(304);
    }
    let one = format!("{DEVPORTAL}/subscriptions/{subscription}");
    let path = format!("/subscriptions/{subscription}");
    let first = get(&path, "\"0\"").await;
    let old = first.header("etag").to_owned();
    // As answered, with one member changed.
    let mut body = first.json();
    body["throttlingPolicy"] = json!("Gold");
    body["apiId"] = json!("");
    let put = node.put(&one).bearer(&admin).header("if-match", &old);
    let changed = put.json(&body).send().await.expect(200);
    assert!(changed.header("location").ends_with(&path));
    assert_eq!(changed.json()["throttlingPolicy"], "Gold");
    assert_ne!(changed.header("etag"), old);
    let stale = node.delete(&one).bearer(&admin).header("if-match", &old);
    stale.send().await.expect(412);
    let new = changed.header("etag");
    let delete = node.delete(&one).bearer(&admin).header("if-match", new);
    delete.send().await.expect(200);
}

#[tokio::test]
async fn lists_are_sorted_and_narrowed_as_asked_and_what_cannot_be_is_refused() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    for (name, plan) in [("b", "Unlimited"), ("a", "Unlimited"), ("c", "10PerMin")] {
        node.application(&admin, name, plan, "JWT").await;
    }
    for (query, names) in [
        ("", ["a", "b", "c"]),
        ("?sortBy=name&sortOrder=desc", ["c", "b", "a"]),
        ("?sortBy=throttlingPolicy", ["c", "a", "b"]),
        ("?sortBy=throttlingPolicy&sortOrder=desc", ["a", "b", "c"]),
        ("?sortBy=status&sortOrder=asc", ["a", "b", "c"]),
    ] {
        let found = read(&node, &admin, &format!("/applications{query}")).await;
        let found = found["list"].as_array().expect("a list").clone();
        let found: Vec<_> = found.iter().map(|one| text(one, "name")).collect();
        assert_eq!(found, names, "{query}");
    }
    // Composed or not, upper case or lower: the same name.
    for (name, status) in [("caf\u{e9}", 201), ("cafe\u{301}", 409), ("CAF\u{c9}", 409)] {
        let body = json!({"name": name, "throttlingPolicy": "Unlimited"});
        post(&node, &admin, "/applications", &body, status).await;
    }
    let refused = async |path: &str, status: u16, named: &str| {
        let call = node.get(&format!("{DEVPORTAL}{path}")).bearer(&admin);
        let answer = call.send().await.expect(status);
        assert!(answer.text().contains(named), "{}", answer.text());
    };
    refused("/applications?sortBy=owner", 400, "sortBy").await;
    refused("/applications?sortOrder=up", 400, "sortOrder").await;
    refused("/applications?groupId=ours", 400, "groupId").await;
    refused("/apis?requestedTenant=other.com", 404, "other.com").await;
    read(&node, &admin, "/apis?requestedTenant=carbon.super").await;
    let call = node
        .get(&format!("{DEVPORTAL}/applications"))
        .bearer(&admin);
    let call = call.header("x-wso2-tenant", "other.com");
    call.send().await.expect(404);
}

#[tokio::test]
async fn each_page_is_open_to_whom_the_contract_says() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    let application = node.application(&admin, "mine", "Unlimited", "JWT").await;
    let of = async |scopes: &str| {
        let password = node.admin_password.clone();
        node.user_token("admin", &password, scopes).await
    };
    let (none, carry, manage) = (
        of("openid").await,
        of("apim:app_import_export").await,
        of("apim:app_manage").await,
    );
    let (subscribe, settings) = (of("apim:subscribe").await, of("apim:store_settings").await);
    let (view, tiers) = (of("apim:admin_tier_view").await, of("apim:tier_view").await);
    let policies = "/api/am/admin/v4/throttling/policies/application".to_owned();
    let portal = |path: &str| format!("{DEVPORTAL}{path}");
    for (path, token, status) in [
        (portal("/apis"), Some(&none), 200),
        (portal("/throttling-policies/application"), Some(&none), 200),
        (portal("/settings"), None, 401),
        (portal("/settings"), Some(&subscribe), 403),
        (portal("/settings"), Some(&settings), 200),
        (portal("/key-managers"), None, 401),
        (portal("/applications"), Some(&carry), 200),
        (
            portal(&format!("/applications/{application}")),
            Some(&carry),
            403,
        ),
        (
            portal(&format!(
                "/applications/{application}/api-keys/PRODUCTION/associations"
            )),
            Some(&manage),
            200,
        ),
        (policies.clone(), Some(&view), 403),
        (policies, Some(&tiers), 200),
    ] {
        let call = node.get(&path);
        let call = match token {
            Some(token) => call.bearer(token),
            None => call,
        };
        assert_eq!(call.send().await.status, status, "{path}");
    }
    let body = json!({"name": "theirs", "throttlingPolicy": "Unlimited"});
    post(&node, &carry, "/applications", &body, 403).await;
}

/// What anybody, and the portal's user, sees of the APIs: whether it lists this one, and what its page and document answer.
async fn shows(node: &Node, token: &str, id: &str) -> Vec<(bool, u16, u16)> {
    let mut seen = Vec::new();
    for token in [None, Some(token)] {
        let get = async |path: &str| {
            let call = node.get(&format!("{DEVPORTAL}/apis{path}"));
            let call = match token {
                Some(token) => call.bearer(token),
                None => call.header("x-wso2-tenant", "carbon.super"),
            };
            call.send().await
        };
        let mut listed = Vec::new();
        for query in ["", "?query=name:Shown", "?query=shown"] {
            let list = get(query).await.expect(200).json();
            let list = list["list"].as_array().expect("a list");
            listed.push(list.iter().any(|api| api["id"] == id));
        }
        assert!(listed.windows(2).all(|two| two[0] == two[1]), "{listed:?}");
        let page = get(&format!("/{id}")).await.status.as_u16();
        let document = get(&format!("/{id}/swagger")).await.status.as_u16();
        seen.push((listed[0], page, document));
    }
    seen
}

#[tokio::test]
async fn nobody_sees_an_api_that_is_not_published_and_everybody_one_that_is() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    let backend = "http://127.0.0.1:9";
    let api = node.import(&admin, "Shown", "/shown", backend).await;
    let (seen, hidden) = (vec![(true, 200, 200); 2], vec![(false, 404, 404); 2]);
    assert_eq!(shows(&node, &admin, &api).await, hidden, "created");
    node.deploy(&admin, &api).await;
    assert_eq!(shows(&node, &admin, &api).await, hidden, "deployed");
    for (action, expected) in [
        ("Deploy as a Prototype", &seen),
        ("Publish", &seen),
        ("Block", &hidden),
        ("Re-Publish", &seen),
        ("Deprecate", &seen),
        ("Retire", &hidden),
    ] {
        node.lifecycle(&admin, &api, action).await;
        assert_eq!(&shows(&node, &admin, &api).await, expected, "{action}");
    }
}

#[tokio::test]
async fn keys_that_are_cleaned_up_open_nothing_from_the_answer_on_and_used_ones_say_when() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let admin = node.admin_token().await;
    let api = node.import(&admin, "Shop", "/shop", &upstream.url).await;
    let path = format!("{PUBLISHER}/apis/{api}");
    let document = node.get(&path).bearer(&admin).send().await.expect(200);
    let mut document = document.json();
    document["securityScheme"] = json!(["oauth2", "api_key"]);
    let put = node.put(&path).bearer(&admin).json(&document);
    put.send().await.expect(200);
    node.deploy(&admin, &api).await;
    node.lifecycle(&admin, &api, "Publish").await;
    let held = node.subscribed(&admin, &api, "mine", "JWT").await;
    let call = || node.api("GET", "/shop/1.0.0/items").bearer(&held.access);
    call().send().await.expect(200);
    let keys = format!("/applications/{}/oauth-keys", held.application);
    let mapping = read(&node, &admin, &keys).await;
    let mapping = text(&mapping["list"][0], "keyMappingId").to_owned();
    let clean = node.post(&format!("{DEVPORTAL}{keys}/{mapping}/clean-up"));
    let clean = clean.bearer(&admin).send().await.expect(200);
    assert!(clean.header("headgate-applied").contains('/'));
    call().send().await.expect(401);
    let keys = format!("/apis/{api}/api-keys");
    let body = json!({"keyName": "first", "keyType": "PRODUCTION"});
    let made = post(&node, &admin, &format!("{keys}/generate"), &body, 200).await;
    let list = read(&node, &admin, &keys).await;
    assert_eq!(list["list"][0]["lastUsed"], "NOT_USED");
    let body = json!({
        "keyUUID": list["list"][0]["keyUUID"], "applicationUUID": held.application,
    });
    post(&node, &admin, &format!("{keys}/associate"), &body, 200).await;
    let call = node.api("GET", "/shop/1.0.0/items");
    let call = call.header("apikey", text(&made, "apikey"));
    call.send().await.expect(200);
    eventually(10, "the key's use is noted", || async {
        let list = read(&node, &admin, &keys).await;
        text(&list["list"][0], "lastUsed").parse::<i64>().ok()
    })
    .await;
}

/// A page of a list, by what each of its rows is called there.
async fn page(node: &Node, token: &str, base: &str, path: &str) -> (Vec<Value>, Value) {
    let call = node.get(&format!("{base}{path}")).bearer(token);
    let page = call.send().await.expect(200).json();
    let rows = page["list"].as_array().expect("a list").clone();
    assert_eq!(page["count"], rows.len(), "{path}");
    (rows, page["pagination"].clone())
}

/// Every list that has at least two rows then, with its query begun.
fn lists(first: &str, application: &str) -> Vec<(&'static str, String)> {
    vec![
        (PUBLISHER, "/apis?".to_owned()),
        (
            PUBLISHER,
            "/apis?query=name:*&sortBy=apiName&sortOrder=asc&".to_owned(),
        ),
        (PUBLISHER, "/subscriptions?".to_owned()),
        (PUBLISHER, format!("/subscriptions?apiId={first}&")),
        (PUBLISHER, "/throttling-policies/subscription?".to_owned()),
        (PUBLISHER, "/throttling-policies/api?".to_owned()),
        (DEVPORTAL, "/apis?".to_owned()),
        (DEVPORTAL, "/search?query=name:*&".to_owned()),
        (
            DEVPORTAL,
            "/applications?sortBy=name&sortOrder=desc&".to_owned(),
        ),
        (DEVPORTAL, format!("/subscriptions?apiId={first}&")),
        (
            DEVPORTAL,
            format!("/subscriptions?applicationId={application}&"),
        ),
        (DEVPORTAL, "/throttling-policies/application?".to_owned()),
        (DEVPORTAL, "/throttling-policies/subscription?".to_owned()),
    ]
}

#[tokio::test]
async fn lists_are_paged() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let admin = node.admin_token().await;
    let first = node.published(&admin, "One", "/one", &upstream.url).await;
    let second = node.published(&admin, "Two", "/two", &upstream.url).await;
    let held = node.subscribed(&admin, &first, "mine", "JWT").await;
    let application = &held.application;
    let plan = "Unlimited";
    node.subscribe(&admin, &second, application, plan).await;
    let other = node.application(&admin, "other", plan, "JWT").await;
    node.subscribe(&admin, &first, &other, plan).await;
    for (base, path) in lists(&first, application) {
        let (all, whole) = page(&node, &admin, base, &path).await;
        assert!(all.len() >= 2, "{path}");
        assert_eq!(whole["total"], all.len(), "{path}");
        assert_eq!(
            (&whole["next"], &whole["previous"]),
            (&json!(""), &json!(""))
        );
        let mut next = format!("{path}limit=1&offset=0");
        for (at, row) in all.iter().enumerate() {
            let (rows, about) = page(&node, &admin, base, &next).await;
            assert_eq!(rows, std::slice::from_ref(row), "{next}");
            let found = ["total", "offset", "limit"].map(|name| about[name].clone());
            assert_eq!(found, [json!(all.len()), json!(at), json!(1)], "{next}");
            let own = |link: &str| link.strip_prefix(base).unwrap_or(link).to_owned();
            if at > 0 {
                let before = own(text(&about, "previous"));
                let (rows, _) = page(&node, &admin, base, &before).await;
                assert_eq!(rows, [all[at - 1].clone()], "{before}");
            }
            next = own(text(&about, "next"));
            assert_eq!(next.is_empty(), at + 1 == all.len(), "{path} {at}");
        }
        let (none, _) = page(&node, &admin, base, &format!("{path}offset=1000")).await;
        assert_eq!(none, Vec::<Value>::new());
        for (query, named) in [("limit=-1", "limit"), ("offset=x", "offset")] {
            let call = node.get(&format!("{base}{path}{query}")).bearer(&admin);
            let refused = call.send().await.expect(400).json();
            assert_eq!(refused["error"][0]["code"], named, "{path}{query}");
        }
    }
}
