//! Searches of APIs: each word finds what it names and nothing else, and lists come in the order that was asked for.

use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::platform::{DEVPORTAL, PUBLISHER, text};

const PASSWORD: &str = "Open-sesame-1";

async fn make(node: &Node, token: &str, api: &Value) -> String {
    let call = node.post(&format!("{PUBLISHER}/apis")).bearer(token);
    let made = call.json(api).send().await.expect(201).json();
    text(&made, "id").to_owned()
}

fn api(name: &str, version: &str, context: &str, description: &str) -> Value {
    json!({
        "name": name, "version": version, "context": context, "description": description,
        "policies": ["Unlimited"],
        "endpointConfig": {
            "endpoint_type": "http", "production_endpoints": {"url": "http://127.0.0.1:9"},
        },
    })
}

/// The names of the APIs that are found, in the order of the list.
async fn found(node: &Node, token: &str, base: &str, query: &str) -> Vec<String> {
    let call = node.get(&format!("{base}/apis?{query}")).bearer(token);
    let told = call.send().await.expect(200).json();
    let list = told["list"].as_array().expect("a list");
    assert_eq!(told["count"], list.len(), "{query}");
    list.iter()
        .map(|one| text(one, "name").to_owned())
        .collect()
}

/// Three APIs: a published one and a deprecated one of the administrator's, and a creator's new one. The words of each
/// stand in no other member of its own or of another's.
async fn three(node: &Node, admin: &str) {
    let person = json!({
        "userName": "cara", "password": PASSWORD, "roles": [{"value": "Internal/creator"}],
    });
    let call = node.post("/scim2/Users").bearer(admin).json(&person);
    call.send().await.expect(201);
    let scopes = "apim:api_create apim:api_view";
    let cara = node.user_token("cara", PASSWORD, scopes).await;
    let weather = make(node, admin, &api("Weather", "2.5.0", "/clouds", "rain")).await;
    let bank = make(node, admin, &api("Bank", "1.0.0", "/vault", "money")).await;
    make(node, &cara, &api("Trains", "3.1.4", "/rails", "delays")).await;
    for id in [&weather, &bank] {
        node.deploy(admin, id).await;
        node.lifecycle(admin, id, "Publish").await;
    }
    node.lifecycle(admin, &bank, "Deprecate").await;
}

#[tokio::test]
async fn each_word_of_a_search_finds_its_own_api_alone_and_lists_are_sorted_as_asked() {
    let node = Node::start().await;
    let admin = node.admin_token().await;
    three(&node, &admin).await;
    for (query, name) in [
        ("version:2.5.0", "Weather"),
        ("version:1.0", "Bank"),
        ("version:%223.1.4%22", "Trains"),
        ("context:/clouds", "Weather"),
        ("context:vault", "Bank"),
        ("provider:cara", "Trains"),
        ("description:rain", "Weather"),
        ("description:mon*", "Bank"),
        ("status:published", "Weather"),
        ("status:DEPRECATED", "Bank"),
        ("status:CREATED", "Trains"),
    ] {
        let query = format!("query={query}");
        assert_eq!(
            found(&node, &admin, PUBLISHER, &query).await,
            [name],
            "{query}"
        );
        // What is not published is nobody's to find.
        let shown: &[&str] = if name == "Trains" { &[] } else { &[name] };
        assert_eq!(
            found(&node, &admin, DEVPORTAL, &query).await,
            shown,
            "{query}"
        );
    }
    let provider = found(&node, &admin, PUBLISHER, "query=provider:admin").await;
    assert_eq!(provider.len(), 2, "{provider:?}");
    for (by, order) in [
        ("version", ["Bank", "Weather", "Trains"]),
        // By their names: CREATED, DEPRECATED, PUBLISHED.
        ("status", ["Trains", "Bank", "Weather"]),
    ] {
        let asked = |direction: &str| format!("sortBy={by}&sortOrder={direction}");
        assert_eq!(found(&node, &admin, PUBLISHER, &asked("asc")).await, order);
        let mut turned = order;
        turned.reverse();
        assert_eq!(
            found(&node, &admin, PUBLISHER, &asked("desc")).await,
            turned
        );
    }
}
