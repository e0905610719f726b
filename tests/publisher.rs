//! What the Publisher promises about changes: a refused one changes nothing, none acts at runtime
//! before it is deployed, and each caller changes what is theirs.

use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::node::Node;
use crate::support::platform::{PUBLISHER, openapi, text};
use crate::support::upstream::Upstream;

/// The API as the Publisher gives it.
async fn document(node: &Node, token: &str, api: &str) -> Value {
    let get = node.get(&format!("{PUBLISHER}/apis/{api}")).bearer(token);
    get.send().await.expect(200).json()
}

async fn put(node: &Node, token: &str, body: &Value) -> Answer {
    let path = format!("{PUBLISHER}/apis/{}", text(body, "id"));
    node.put(&path).bearer(token).json(body).send().await
}

/// Whether an application gets a scope for itself.
async fn gets(node: &Node, (key, secret): (&str, &str), scope: &str) -> bool {
    let asked = [("grant_type", "client_credentials"), ("scope", scope)];
    let call = node.post("/oauth2/token").basic(key, secret).form(&asked);
    let answer = call.send().await.expect(200).json();
    text(&answer, "scope") == scope
}

fn bound(scope: &str, roles: &[&str]) -> Value {
    json!([{"scope": {"name": scope, "bindings": roles}}])
}

#[tokio::test]
async fn roles_of_scopes_change_with_the_api_and_a_refused_change_opens_nothing() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let api = node
        .published(&token, "Fix", "/fix", "http://127.0.0.1:9")
        .await;
    let holder = node.subscribed(&token, &api, "holder", "JWT").await;
    let client = (holder.key.as_str(), holder.secret.as_str());
    let mut body = document(&node, &token, &api).await;
    body["scopes"] = bound("fix", &["admin"]);
    put(&node, &token, &body).await.expect(200);
    let revision = node.deploy(&token, &api).await;
    assert!(!gets(&node, client, "fix").await);
    body["scopes"] = bound("fix", &[]);
    body["policies"] = json!(["NoSuchPlan"]);
    put(&node, &token, &body).await.expect(400);
    assert!(!gets(&node, client, "fix").await, "opened by a refusal");
    body["policies"] = json!(["Unlimited"]);
    let path = format!("{PUBLISHER}/apis/{api}");
    let stale = node.put(&path).bearer(&token).header("if-match", "\"999\"");
    stale.json(&body).send().await.expect(412);
    assert!(!gets(&node, client, "fix").await, "opened by a refusal");
    put(&node, &token, &body).await.expect(200);
    assert!(gets(&node, client, "fix").await);
    let restore = format!("{path}/restore-revision?revisionId={revision}");
    let restore = node.post(&restore).bearer(&token);
    restore.send().await.expect(201);
    assert!(
        !gets(&node, client, "fix").await,
        "as the revision froze it"
    );
    for scope in ["openid", "device_1", "default"] {
        body["scopes"] = bound(scope, &["admin"]);
        let refused = put(&node, &token, &body).await.expect(400);
        assert!(refused.text().contains("scopes"), "{}", refused.text());
    }
}

#[tokio::test]
async fn the_versionless_path_is_served_without_a_break_while_the_default_moves() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let first = node.import(&token, "Move", "/move", &upstream.url).await;
    let mut body = document(&node, &token, &first).await;
    body["isDefaultVersion"] = json!(true);
    body["policies"] = json!([]);
    for operation in body["operations"].as_array_mut().expect("operations") {
        operation["authType"] = json!("None");
    }
    put(&node, &token, &body).await.expect(200);
    node.deploy(&token, &first).await;
    node.lifecycle(&token, &first, "Publish").await;
    let call = async |path: &str| node.api("GET", path).send().await.status.as_u16();
    assert_eq!(call("/move/items").await, 200);
    let copy =
        format!("{PUBLISHER}/apis/copy-api?apiId={first}&newVersion=2.0.0&defaultVersion=true");
    let copied = node.post(&copy).bearer(&token).send().await.expect(201);
    let second = text(&copied.json(), "id").to_owned();
    assert_eq!(call("/move/items").await, 200, "copied");
    node.deploy(&token, &second).await;
    assert_eq!(call("/move/items").await, 200, "deployed");
    node.lifecycle(&token, &second, "Publish").await;
    assert_eq!(call("/move/items").await, 200, "published");
    node.lifecycle(&token, &second, "Block").await;
    assert_eq!(call("/move/items").await, 503, "the new version answers it");
    assert_eq!(call("/move/1.0.0/items").await, 200);
}

#[tokio::test]
async fn who_may_only_publish_changes_plans_and_words_and_nothing_that_protects() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let api = node
        .import(&token, "Part", "/part", "http://127.0.0.1:9")
        .await;
    let user = json!({"userName": "pat", "password": "Publish-it-1",
        "roles": [{"value": "Internal/publisher"}]});
    let made = node.post("/scim2/Users").bearer(&token).json(&user);
    made.send().await.expect(201);
    let scopes = "apim:api_publish apim:api_view";
    let publisher = node.user_token("pat", "Publish-it-1", scopes).await;
    let before = document(&node, &token, &api).await;
    let mut body = before.clone();
    body["tags"] = json!(["fresh"]);
    body["endpointConfig"]["production_endpoints"]["url"] = json!("http://10.6.6.6");
    body["operations"][0]["authType"] = json!("None");
    body["securityScheme"] = json!(["api_key"]);
    put(&node, &publisher, &body).await.expect(200);
    let after = document(&node, &token, &api).await;
    assert_eq!(after["tags"], json!(["fresh"]));
    for member in ["endpointConfig", "operations", "securityScheme", "provider"] {
        assert_eq!(after[member], before[member], "{member}");
    }
}

#[tokio::test]
async fn operations_and_definition_never_contradict_each_other() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let api = node
        .import(&token, "Agree", "/agree", "http://127.0.0.1:9")
        .await;
    let path = format!("{PUBLISHER}/apis/{api}/swagger");
    let uploaded = node.get(&path).bearer(&token).send().await.text();
    let mut body = document(&node, &token, &api).await;
    body["description"] = json!("other words");
    put(&node, &token, &body).await.expect(200);
    let kept = node.get(&path).bearer(&token).send().await;
    assert_eq!(kept.text(), uploaded, "byte for byte");
    body["operations"] = json!([
        {"target": "/items", "verb": "GET"}, {"target": "/zzz", "verb": "POST"},
    ]);
    put(&node, &token, &body).await.expect(200);
    let definition = node.get(&path).bearer(&token).send().await.json();
    let paths = definition["paths"].as_object().expect("paths");
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["/items", "/zzz"]);
    body["operations"] = json!([]);
    put(&node, &token, &body).await.expect(200);
    let after = document(&node, &token, &api).await;
    let count = after["operations"].as_array().map(Vec::len);
    assert_eq!(count, Some(2), "an empty list names none");
    import_pairs(&node, &token).await;
}

/// GitHub's description spells one path in two ways, with different verbs.
async fn import_pairs(node: &Node, token: &str) {
    let pairs = [
        ("get", "/orgs/{org}/x/{a}"),
        ("delete", "/orgs/{org}/x/{b}"),
    ];
    let document = openapi("Pairs", &pairs);
    let properties = json!({"name": "Pairs", "version": "1", "context": "/pairs",
        "endpointConfig": {"production_endpoints": {"url": "http://127.0.0.1:9"}}});
    let import = |properties: &Value| {
        let parts = [
            (
                "file",
                Some("api.json"),
                "application/json",
                document.as_bytes(),
            ),
            (
                "additionalProperties",
                None,
                "application/json",
                &properties.to_string().into_bytes()[..],
            ),
        ];
        let call = node.post(&format!("{PUBLISHER}/apis/import-openapi"));
        call.bearer(token).multipart(&parts).send()
    };
    let made = import(&properties).await.expect(201).json();
    node.deploy(token, text(&made, "id")).await;
    for (verb, status) in [("GET", 401), ("DELETE", 401), ("PUT", 405)] {
        let answer = node.api(verb, "/pairs/1/orgs/o/x/1").send().await;
        assert_eq!(answer.status, status, "{verb}: {}", answer.text());
    }
    let mut others = properties.clone();
    others["name"] = json!("Others");
    others["context"] = json!("/others");
    others["operations"] = json!([{"target": "/other", "verb": "GET"}]);
    let refused = import(&others).await.expect(400);
    assert!(refused.text().contains("operations"));
}

#[tokio::test]
async fn tags_moments_and_absent_members_mean_what_http_and_the_contract_say() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let api = node
        .published(&token, "Tags", "/tags", "http://127.0.0.1:9")
        .await;
    let base = format!("{PUBLISHER}/apis/{api}");
    for path in [
        base.clone(),
        format!("{base}/swagger"),
        format!("{base}/lifecycle-state"),
    ] {
        let get = || node.get(&path).bearer(&token);
        let first = get().send().await.expect(200);
        assert!(first.header("last-modified").ends_with(" GMT"), "{path}");
        let known = format!("\"0\", {}", first.header("etag"));
        let again = get().header("if-none-match", &known).send().await;
        let again = again.expect(304);
        assert!(again.body.is_empty() && again.header("etag") == first.header("etag"));
        get()
            .header("if-none-match", "\"0\"")
            .send()
            .await
            .expect(200);
    }
    let body = document(&node, &token, &api).await;
    for absent in ["apiThrottlingPolicy", "displayName"] {
        assert!(body.get(absent).is_none(), "{absent}");
    }
    let tag = node.get(&base).bearer(&token).send().await;
    let list = format!("\"0\", {}", tag.header("etag"));
    let update = node.put(&base).bearer(&token).header("if-match", &list);
    let updated = update.json(&body).send().await.expect(200);
    assert!(updated.header("location").ends_with(&api));
    let update = node.put(&base).bearer(&token).header("if-match", &list);
    update.json(&body).send().await.expect(412);
    for path in [
        format!("{PUBLISHER}/throttling-policies/subscription"),
        format!("{base}/lifecycle-history"),
    ] {
        let found = node.get(&path).bearer(&token).send().await.expect(200);
        for one in found.json()["list"].as_array().expect("a list") {
            let members = one.as_object().expect("an object");
            assert!(members.values().all(|value| !value.is_null()), "{one}");
        }
    }
}

#[tokio::test]
async fn subscriptions_have_tags_and_searches_take_words_and_patterns() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let api = node
        .published(&token, "Tags", "/tags", "http://127.0.0.1:9")
        .await;
    let holder = node.subscribed(&token, &api, "tagged", "JWT").await;
    let block = |state: &str, tag: &str| {
        let path = format!(
            "{PUBLISHER}/subscriptions/block-subscription?subscriptionId={}&blockState={state}",
            holder.subscription
        );
        let call = node.post(&path).bearer(&token);
        let call = if tag.is_empty() {
            call
        } else {
            call.header("if-match", tag)
        };
        call.send()
    };
    block("BLOCKED", "\"1\"").await.expect(412);
    let blocked = block("BLOCKED", "").await.expect(200);
    let tag = blocked.header("etag").to_owned();
    block("PROD_ONLY_BLOCKED", &tag).await.expect(200);
    block("BLOCKED", &tag).await.expect(412);
    let list = async |query: &str| {
        let path = format!("{PUBLISHER}/subscriptions?query={query}");
        node.get(&path).bearer(&token).send().await
    };
    assert_eq!(list("tagg").await.json()["count"], 1);
    assert_eq!(list("nobody").await.json()["count"], 0);
    list("foo:bar").await.expect(400);
    for (query, count) in [
        ("name:Ta*", 1),
        ("name:*gz", 0),
        ("type:http", 1),
        ("doc:x", 0),
    ] {
        let path = format!("{PUBLISHER}/apis?query={query}");
        let found = node.get(&path).bearer(&token).send().await.expect(200);
        assert_eq!(found.json()["count"], count, "{query}");
    }
}

#[tokio::test]
async fn a_publisher_sees_who_subscribed_to_what_and_whether_it_is_blocked() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let api = node
        .published(&token, "Seen", "/seen", "http://127.0.0.1:9")
        .await;
    let plans = ("Unlimited", "Gold");
    let holder = node.subscribed_under(&token, &api, plans, "holder", "JWT");
    let holder = holder.await;
    let id = &holder.subscription;
    let shown = async |status: &str| {
        let list = format!("{PUBLISHER}/subscriptions?apiId={api}");
        let list = node.get(&list).bearer(&token).send().await.expect(200);
        let row = list.json()["list"][0].clone();
        assert_eq!(row["subscriptionId"], json!(id));
        assert_eq!(row["subscriptionStatus"], status);
        assert_eq!(row["throttlingPolicy"], "Gold");
        let application = &row["applicationInfo"];
        assert_eq!(application["applicationId"], json!(holder.application));
        assert_eq!(application["name"], "holder");
        assert_eq!(application["subscriber"], "admin");
    };
    let order = async |order: &str| {
        let path = format!("{PUBLISHER}/subscriptions/{order}");
        let call = node.post(&path).bearer(&token);
        call.send().await.expect(200);
    };
    shown("UNBLOCKED").await;
    for status in ["BLOCKED", "PROD_ONLY_BLOCKED"] {
        let block = format!("block-subscription?subscriptionId={id}&blockState={status}");
        order(&block).await;
        shown(status).await;
    }
    order(&format!("unblock-subscription?subscriptionId={id}")).await;
    shown("UNBLOCKED").await;
}

#[tokio::test]
async fn a_validation_gives_a_good_definition_back_where_that_is_asked_for_and_not_else() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let good = format!(" {}\n", openapi("Back", &[("get", "/a")]));
    let validate = async |query: &str, document: &str| -> Value {
        let path = format!("{PUBLISHER}/apis/validate-openapi{query}");
        let part = (
            "file",
            Some("a.json"),
            "application/json",
            document.as_bytes(),
        );
        let call = node.post(&path).bearer(&token).multipart(&[part]);
        call.send().await.expect(200).json()
    };
    let told = validate("?returnContent=true", &good).await;
    assert_eq!(told["isValid"], true, "{told}");
    assert_eq!(told["info"]["name"], "Back");
    assert_eq!(told["content"], json!(good), "byte for byte");
    for (query, document) in [
        ("", good.as_str()),
        ("?returnContent=false", &good),
        ("?returnContent=true", "{}"),
    ] {
        let told = validate(query, document).await;
        assert!(told.get("content").is_none(), "{query}: {told}");
    }
}

#[tokio::test]
async fn revisions_are_listed_by_whether_they_are_deployed() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let api = node
        .published(&token, "Twice", "/twice", "http://127.0.0.1:9")
        .await;
    let path = format!("{PUBLISHER}/apis/{api}/revisions");
    let make = node.post(&path).bearer(&token);
    let made = make.send().await.expect(201).json();
    let list = async |query: &str| -> Vec<Value> {
        let call = node.get(&format!("{path}{query}")).bearer(&token);
        let told = call.send().await.expect(200).json();
        let list = told["list"].as_array().expect("revisions").clone();
        assert_eq!(told["count"], list.len(), "{query}");
        list.iter().map(|one| one["displayName"].clone()).collect()
    };
    assert_eq!(list("").await.len(), 2);
    assert_eq!(list("?query=deployed:true").await, ["Revision 1"]);
    assert_eq!(
        list("?query=deployed:false").await,
        [made["displayName"].clone()]
    );
    let unknown = format!("{path}?query=deployed:perhaps");
    node.get(&unknown).bearer(&token).send().await.expect(400);
}
