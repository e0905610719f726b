//! What refusals say to callers, and metrics and the log to whoever looks after the node.

use serde_json::json;

use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::node::Node;
use crate::support::platform::{ADMIN, PUBLISHER, Subscribed, text};
use crate::support::upstream::Upstream;

const API_KEY: &str = "API Key realm=\"WSO2 API Manager\"";
const OAUTH2: &str = "OAuth2 realm=\"WSO2 API Manager\"";

async fn shop() -> (Node, Upstream, String, String, Subscribed) {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    (node, upstream, token, api, subscribed)
}

fn challenge(answer: Answer, code: &str) -> String {
    assert_eq!(text(&answer.json(), "code"), code);
    answer.header("www-authenticate").to_owned()
}

#[tokio::test]
async fn each_401_challenges_for_what_would_do_and_a_preflight_for_nothing_is_404() {
    let (node, _, token, api, subscribed) = shop().await;
    let base = format!("{PUBLISHER}/apis/{api}");
    let document = node.get(&base).bearer(&token).send().await.expect(200);
    let mut document = document.json();
    document["securityScheme"] = json!(["oauth2", "api_key"]);
    let put = node.put(&base).bearer(&token).json(&document);
    put.send().await.expect(200);
    node.deploy(&token, &api).await;
    let call = || node.api("GET", "/shop/1.0.0/items");
    let missing = challenge(call().send().await.expect(401), "900902");
    assert_eq!(missing, format!("{OAUTH2}, {API_KEY}"));
    let wrong = call().header("apikey", &"0".repeat(43)).send().await;
    assert_eq!(challenge(wrong.expect(401), "900901"), API_KEY);
    let wrong = call().bearer("a.b.c").send().await;
    assert_eq!(challenge(wrong.expect(401), "900901"), OAUTH2);
    let block = format!(
        "{PUBLISHER}/subscriptions/block-subscription?subscriptionId={}&blockState=BLOCKED",
        subscribed.subscription
    );
    let block = node.post(&block).bearer(&token).send().await;
    block.expect(200);
    let blocked = call().bearer(&subscribed.access).send().await;
    assert_eq!(challenge(blocked.expect(401), "900907"), OAUTH2);

    let preflight = node
        .api("OPTIONS", "/shop/1.0.0/nothing")
        .header("origin", "https://portal.example")
        .header("access-control-request-method", "GET");
    let preflight = preflight.send().await.expect(404);
    assert_eq!(text(&preflight.json(), "code"), "900906");
}

/// Subscribes an application with this plan and calls until it is refused; gives the calls that
/// were served, and the refusal.
async fn exhausted(node: &Node, token: &str, api: &str, plan: &str) -> (u64, Answer) {
    let application = node.application(token, plan, plan, "JWT").await;
    node.subscribe(token, api, &application, "Unlimited").await;
    let (key, secret) = node.keys(token, &application, "PRODUCTION").await;
    let access = node.client_token(&key, &secret).await;
    // The plan's minute may end in between, once.
    for served in 0..=20 {
        let call = node.api("GET", "/shop/1.0.0/items").bearer(&access);
        let answer = call.send().await;
        if answer.status != 200 {
            return (served, answer.expect(429));
        }
    }
    panic!("the plan refuses nothing");
}

#[tokio::test]
async fn a_burst_that_refuses_is_what_the_answer_is_about() {
    let (node, _, token, api, _) = shop().await;
    let plan = json!({
        "policyName": "Calm", "displayName": "calm", "description": "many, slowly",
        "burstLimit": {"rateLimitCount": 3, "rateLimitTimeUnit": "min"},
        "defaultLimit": {
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "days", "unitTime": 1, "requestCount": 1000},
        },
    });
    let plans = format!("{ADMIN}/throttling/policies/application");
    let made = node.post(&plans).bearer(&token).json(&plan);
    made.send().await.expect(201);
    let (_, refused) = exhausted(&node, &token, &api, "Calm").await;
    assert_eq!(text(&refused.json(), "code"), "900809");
    assert_eq!(
        refused.header("ratelimit-policy"),
        "\"Calm_burst\";q=3;w=60"
    );
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    let left = refused.header("ratelimit");
    let left = left.strip_prefix("\"Calm_burst\";r=0;t=").expect(left);
    let left: u64 = left.parse().expect("seconds");
    assert!(wait >= left && wait - left <= 1, "{wait} and {left}");
}

/// Whoever comes through a proxy is not on this machine: an administrator is told, nobody else.
async fn told_to_administrators(node: &Node, token: &str) {
    let from_afar = || {
        let metrics = node.get("/metrics");
        metrics.header("x-forwarded-for", "203.0.113.9")
    };
    let refused = from_afar().send().await.expect(401);
    assert!(!refused.text().contains("headgate_"), "{}", refused.text());
    let weak = node.user_token("admin", &node.admin_password, "device_tests");
    let weak = from_afar().bearer(&weak.await).send().await;
    let status = weak.status.as_u16();
    assert!([401, 403].contains(&status), "{status}: {}", weak.text());
    let told = from_afar().bearer(token).send().await.expect(200);
    assert!(told.text().contains("headgate_throttled_total{"));
}

#[tokio::test]
async fn metrics_tell_of_calls_refusals_the_node_and_its_process() {
    let (node, _, token, api, subscribed) = shop().await;
    let call = |access: &str| node.api("GET", "/shop/1.0.0/items").bearer(access);
    for _ in 0..3 {
        call(&subscribed.access).send().await.expect(200);
    }
    call("a.b.c").send().await.expect(401);
    let (served, refused) = exhausted(&node, &token, &api, "10PerMin").await;
    assert_eq!(text(&refused.json(), "code"), "900803");
    let told = eventually(10, "the metrics tell of all calls", || async {
        let answer = node.get("/metrics").send().await.expect(200);
        let text = answer.text();
        text.contains("headgate_throttled_total{").then_some(text)
    });
    let told = told.await;
    told_to_administrators(&node, &token).await;
    let of = |code: u16| {
        format!("headgate_http_requests_total{{api=\"{api}\",method=\"GET\",code=\"{code}\"}}")
    };
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        format!("{} {}", of(200), 3 + served),
        format!("{} 1", of(401)),
        format!("{} 1", of(429)),
        "headgate_throttled_total{policy=\"10PerMin\",level=\"application\"} 1".to_owned(),
        format!(
            "headgate_http_upstream_duration_seconds_count{{api=\"{api}\"}} {}",
            3 + served
        ),
        format!(
            "headgate_http_request_duration_seconds_count {}",
            5 + served
        ),
        format!("headgate_build_info{{version=\"{version}\"}} 1"),
    ] {
        assert!(told.lines().any(|known| known == line), "{line} in\n{told}");
    }
    let value_of = |name: &str| -> f64 {
        let mut lines = told.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(known, _)| *known == name).expect(name);
        value.parse().expect("a number")
    };
    assert!(value_of("headgate_config_unconfirmed_seconds") < 10.0);
    for name in [
        "headgate_config_version",
        "headgate_cert_expiry_seconds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
    ] {
        assert!(value_of(name) > 0.0, "{name}");
    }
    let log = node.log();
    let at = |said: &str| {
        log.find(said)
            .unwrap_or_else(|| panic!("{said:?} in {log}"))
    };
    assert!(at("node is listening") < at("node is ready"));
}

#[tokio::test]
async fn what_never_happened_is_told_as_zero_so_that_the_first_event_is_an_increase() {
    let node = Node::start().await;
    let told = node.get("/metrics").send().await.expect(200).text();
    for name in [
        "headgate_gateway_panics_total",
        "headgate_management_panics_total",
        "headgate_usage_unnumbered_total",
        "headgate_usage_dropped_total",
        "headgate_ledger_full_total",
        "headgate_throttle_keys_shared_total",
        "headgate_log_lines_dropped_total",
    ] {
        let line = format!("{name} 0");
        assert!(told.lines().any(|known| known == line), "{line} in\n{told}");
    }
}
