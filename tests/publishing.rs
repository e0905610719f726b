//! From a first draft to a deployed API and back: what a lifecycle offers, revisions and their deployments, and an API
//! without plans.

use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};
use crate::support::upstream::Upstream;

const CHECKLIST: [&str; 2] = [
    "Deprecate old versions after publishing the API",
    "Requires re-subscription when publishing the API",
];

async fn get(node: &Node, token: &str, path: &str) -> Value {
    let call = node.get(&format!("{PUBLISHER}{path}")).bearer(token);
    call.send().await.expect(200).json()
}

/// A member of each item of a list.
fn each<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|item| text(item, name)).collect()
}

#[tokio::test]
async fn a_lifecycle_tells_its_state_what_is_to_be_checked_and_where_each_event_leads() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let backend = "http://127.0.0.1:9";
    let api = node.import(&token, "Life", "/life", backend).await;
    let path = format!("/apis/{api}/lifecycle-state");
    let of = async |name: &str, checked: &[&str], events: &[&str], targets: &[&str]| {
        let state = get(&node, &token, &path).await;
        assert_eq!(state["state"], name);
        assert_eq!(each(&state["checkItems"], "name"), checked, "{name}");
        let transitions = &state["availableTransitions"];
        let mut told: Vec<_> = each(transitions, "event");
        told.sort_unstable();
        assert_eq!(told, events, "{name}");
        let mut led = each(transitions, "targetState");
        led.sort_unstable();
        led.dedup();
        assert_eq!(led, targets, "{name}");
    };
    let first = ["Deploy as a Prototype", "Publish"];
    let led = ["Prototyped", "Published"];
    of("Created", &CHECKLIST, &first, &led).await;
    node.deploy(&token, &api).await;
    node.lifecycle(&token, &api, "Publish").await;
    let events = [
        "Block",
        "Demote to Created",
        "Deploy as a Prototype",
        "Deprecate",
        "Publish",
    ];
    let led = [
        "Blocked",
        "Created",
        "Deprecated",
        "Prototyped",
        "Published",
    ];
    of("Published", &[], &events, &led).await;
    node.lifecycle(&token, &api, "Deprecate").await;
    of("Deprecated", &[], &["Retire"], &["Retired"]).await;
}

#[tokio::test]
async fn older_versions_are_deprecated_where_the_checklist_says_so_and_not_else() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let backend = "http://127.0.0.1:9";
    let first = node.published(&token, "Old", "/old", backend).await;
    let states = async |checked: &str, version: &str| {
        let copy = format!("{PUBLISHER}/apis/copy-api?apiId={first}&newVersion={version}");
        let copied = node.post(&copy).bearer(&token).send().await.expect(201);
        let copied = text(&copied.json(), "id").to_owned();
        node.deploy(&token, &copied).await;
        let list = format!("{}:{checked}", CHECKLIST[0]).replace(' ', "%20");
        let publish = format!(
            "{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={copied}&lifecycleChecklist={list}"
        );
        let told = node.post(&publish).bearer(&token).send().await.expect(200);
        assert_eq!(told.json()["lifecycleState"]["state"], "Published");
        let old = get(&node, &token, &format!("/apis/{first}")).await;
        text(&old, "lifeCycleStatus").to_owned()
    };
    assert_eq!(states("false", "2.0.0").await, "PUBLISHED");
    assert_eq!(states("true", "3.0.0").await, "DEPRECATED");
}

#[tokio::test]
async fn a_revision_needs_no_words_and_is_taken_from_where_it_is_by_number_or_everywhere() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let held = node.subscribed(&token, &api, "one", "JWT").await;
    let base = format!("{PUBLISHER}/apis/{api}");
    let make = node.post(&format!("{base}/revisions")).bearer(&token);
    let made = make.send().await.expect(201).json();
    assert_eq!(made["displayName"], "Revision 2");
    let id = text(&made, "id");
    let environments = json!([{"name": "Default", "vhost": "localhost"}]);
    for which in ["revisionNumber=2", "allEnvironments=true"] {
        let call = || node.api("GET", "/shop/1.0.0/items").bearer(&held.access);
        let deploy = node.post(&format!("{base}/deploy-revision?revisionId={id}"));
        let deploy = deploy.bearer(&token).json(&environments);
        deploy.send().await.expect(200);
        call().send().await.expect(200);
        let undeploy = node.post(&format!("{base}/undeploy-revision?{which}"));
        let undeploy = undeploy.bearer(&token);
        let undeploy = match which.starts_with("all") {
            true => undeploy,
            false => undeploy.json(&environments),
        };
        undeploy.send().await.expect(201);
        call().send().await.expect(404);
    }
}

#[tokio::test]
async fn an_api_without_plans_takes_any_applications_token_within_the_plan_of_those_without_one() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.import(&token, "Open", "/open", &upstream.url).await;
    let path = format!("/apis/{api}");
    let mut body = get(&node, &token, &path).await;
    body["policies"] = json!([]);
    let put = node.put(&format!("{PUBLISHER}{path}")).bearer(&token);
    put.json(&body).send().await.expect(200);
    node.deploy(&token, &api).await;
    node.lifecycle(&token, &api, "Publish").await;
    let application = node.application(&token, "any", "Unlimited", "JWT").await;
    let (key, secret) = node.keys(&token, &application, "PRODUCTION").await;
    let access = node.client_token(&key, &secret).await;
    let call = |access: &str| node.api("GET", "/open/1.0.0/items").bearer(access).send();
    call(&access).await.expect(200);
    call("nobody").await.expect(401);
    // A client's that serves no application: a person's of the portals, and its own.
    let client = node.post("/client-registration/v0.17/register");
    let client = client.basic("admin", &node.admin_password);
    let body = json!({"clientName": "none", "grantType": "client_credentials"});
    let client = client.json(&body).send().await.expect(200).json();
    let (own, hidden) = (text(&client, "clientId"), text(&client, "clientSecret"));
    for alone in [&token, &node.client_token(own, hidden).await] {
        let refused = call(alone).await.expect(403).json();
        assert_eq!(text(&refused, "code"), "900908");
    }
    let plans = format!("{ADMIN}/throttling/policies/subscription");
    let list = node.get(&plans).bearer(&token).send().await.expect(200);
    let list = list.json()["list"].as_array().expect("plans").clone();
    let named = |plan: &&Value| plan["policyName"] == "DefaultSubscriptionless";
    let mut plan = list.iter().find(named).expect("the plan").clone();
    plan["defaultLimit"]["requestCount"]["requestCount"] = json!(2);
    plan["defaultLimit"]["requestCount"]["timeUnit"] = json!("hours");
    let put = node.put(&format!("{plans}/{}", text(&plan, "policyId")));
    put.bearer(&token).json(&plan).send().await.expect(200);
    let mut last = call(&access).await;
    for _ in 0..3 {
        last = call(&access).await;
    }
    assert_eq!(text(&last.expect(429).json(), "code"), "900804");
}

#[tokio::test]
async fn the_portal_names_an_environment_where_the_deployment_says_so_and_not_else() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let backend = "http://127.0.0.1:9";
    let api = node.published(&token, "Told", "/told", backend).await;
    let revisions = get(&node, &token, &format!("/apis/{api}/revisions")).await;
    let id = text(&revisions["list"][0], "id").to_owned();
    for shown in [true, false, true] {
        let deploy = format!("{PUBLISHER}/apis/{api}/deploy-revision?revisionId={id}");
        let body = json!([
            {"name": "Default", "vhost": "localhost", "displayOnDevportal": shown},
        ]);
        let deploy = node.post(&deploy).bearer(&token).json(&body);
        deploy.send().await.expect(200);
        let page = node.get(&format!("{DEVPORTAL}/apis/{api}")).bearer(&token);
        let page = page.send().await.expect(200).json();
        let told = page["endpointURLs"].as_array().map_or(0, Vec::len);
        assert_eq!(told, usize::from(shown), "{page}");
        let path = format!("{DEVPORTAL}/apis/{api}/swagger?environmentName=Default");
        let definition = node.get(&path).bearer(&token).send().await;
        definition.expect(if shown { 200 } else { 404 });
    }
}
