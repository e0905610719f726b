//! Who is refused with which code when a limit of which level is used up. Windows are days, so
//! that none ends in the middle of a test.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::eventually;
use crate::support::memory::Memory;
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, text};
use crate::support::shop::Shop;
use crate::support::upstream::Upstream;
use crate::support::wire::Wire;

fn per_day(units: u64) -> Value {
    json!({
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": units},
    })
}

/// Makes a policy of a level; `more` are the level's own members.
async fn policy(shop: &Shop, level: &str, name: &str, units: u64, more: Value) {
    let mut body = json!({"policyName": name, "defaultLimit": per_day(units)});
    let members = body.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    let path = format!("{ADMIN}/throttling/policies/{level}");
    let call = shop.node.post(&path).bearer(&shop.token).json(&body);
    call.send().await.expect(201);
}

/// Calls `times` times with success, then is refused with the code.
async fn refused_after(shop: &Shop, times: usize, method: &str, access: &str, code: &str) {
    for n in 0..times {
        let call = shop.node.api(method, "/shop/1.0.0/items").bearer(access);
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "call {n}: {}", answer.text());
    }
    let call = shop.node.api(method, "/shop/1.0.0/items").bearer(access);
    let refused = call.send().await.expect(429);
    let body = refused.json();
    assert_eq!(text(&body, "code"), code);
    assert_eq!(text(&body, "message"), "Message throttled out");
    assert!(
        text(&body, "nextAccessTime").ends_with("+0000 UTC"),
        "{body}"
    );
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
}

/// An access token of an application with these plans, subscribed to the shop.
async fn subscriber(shop: &Shop, name: &str, application: &str, plan: &str) -> String {
    let (node, token) = (&shop.node, &shop.token);
    let application = node.application(token, name, application, "JWT").await;
    node.subscribe(token, &shop.api, &application, plan).await;
    let (key, secret) = node.keys(token, &application, "PRODUCTION").await;
    node.client_token(&key, &secret).await
}

#[tokio::test]
async fn an_apis_policy_counts_all_callers_and_resources_together() {
    let (shop, upstream) = Shop::start("").await;
    policy(&shop, "advanced", "ThreeADay", 3, json!({})).await;
    shop.change(|api| api["apiThrottlingPolicy"] = json!("ThreeADay"))
        .await;
    let other = subscriber(&shop, "other", "Unlimited", "Unlimited").await;
    let first = shop.node.api("POST", "/shop/1.0.0/items").bearer(&other);
    first.send().await.expect(200);
    refused_after(&shop, 2, "GET", &shop.subscribed.access, "900800").await;
    refused_after(&shop, 0, "POST", &other, "900800").await;
    assert_eq!(upstream.count(), 3);
}

#[tokio::test]
async fn a_resources_policy_leaves_its_siblings_alone() {
    let (shop, _upstream) = Shop::start("").await;
    policy(&shop, "advanced", "TwoADay", 2, json!({})).await;
    shop.change(|api| {
        for operation in api["operations"].as_array_mut().expect("operations") {
            if operation["verb"] == "GET" && operation["target"] == "/items" {
                operation["throttlingPolicy"] = json!("TwoADay");
            }
        }
    })
    .await;
    let access = &shop.subscribed.access;
    refused_after(&shop, 2, "GET", access, "900802").await;
    for (method, path) in [
        ("POST", "/shop/1.0.0/items"),
        ("GET", "/shop/1.0.0/items/7"),
    ] {
        let call = shop.node.api(method, path).bearer(access);
        call.send().await.expect(200);
    }
}

#[tokio::test]
async fn a_subscriptions_burst_and_quota_have_codes_of_their_own() {
    let (shop, _upstream) = Shop::start("").await;
    let burst = json!({"rateLimitCount": 2, "rateLimitTimeUnit": "day", "stopOnQuotaReach": true});
    policy(&shop, "subscription", "Bursty", 100, burst).await;
    let quota = json!({"stopOnQuotaReach": true});
    policy(&shop, "subscription", "Small", 3, quota).await;
    let open = json!({"stopOnQuotaReach": false});
    policy(&shop, "subscription", "Lenient", 1, open).await;
    shop.change(|api| api["policies"] = json!(["Unlimited", "Bursty", "Small", "Lenient"]))
        .await;
    let bursty = subscriber(&shop, "bursty", "Unlimited", "Bursty").await;
    refused_after(&shop, 2, "GET", &bursty, "900807").await;
    let small = subscriber(&shop, "small", "Unlimited", "Small").await;
    refused_after(&shop, 3, "GET", &small, "900804").await;
    // A plan that does not stop at its quota lets all through.
    let lenient = subscriber(&shop, "lenient", "Unlimited", "Lenient").await;
    for _ in 0..4 {
        let call = shop.node.api("GET", "/shop/1.0.0/items").bearer(&lenient);
        call.send().await.expect(200);
    }
}

#[tokio::test]
async fn an_applications_burst_and_quota_have_codes_of_their_own() {
    let (shop, _upstream) = Shop::start("").await;
    let burst = json!({"burstLimit": {"rateLimitCount": 2, "rateLimitTimeUnit": "day"}});
    policy(&shop, "application", "Bursty", 100, burst).await;
    policy(&shop, "application", "Small", 3, json!({})).await;
    let bursty = subscriber(&shop, "bursty", "Bursty", "Unlimited").await;
    refused_after(&shop, 2, "GET", &bursty, "900809").await;
    let small = subscriber(&shop, "small", "Small", "Unlimited").await;
    refused_after(&shop, 3, "GET", &small, "900803").await;
}

/// Gives anonymous calls this limit, and all resources to them.
async fn open_to_anybody(shop: &Shop, limit: Value) {
    let base = format!("{ADMIN}/throttling/policies/subscription");
    let list = shop.node.get(&base).bearer(&shop.token).send().await;
    let list = list.expect(200).json();
    let mut plans = list["list"].as_array().expect("a list").iter();
    let plan = plans.find(|plan| plan["policyName"] == "Unauthenticated");
    let mut plan = plan.expect("the plan").clone();
    plan["defaultLimit"] = limit;
    let path = format!("{base}/{}", text(&plan, "policyId"));
    let put = shop.node.put(&path).bearer(&shop.token).json(&plan);
    put.send().await.expect(200);
    shop.change(|api| {
        for operation in api["operations"].as_array_mut().expect("operations") {
            operation["authType"] = json!("None");
        }
    })
    .await;
}

/// A call without a credential from an address of this machine; gives its status and body.
async fn anonymous(shop: &Shop, from: &str) -> (u16, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    let from = format!("{from}:0").parse().expect("an address");
    socket.bind(from).expect("an address of this machine");
    let address = shop.address().parse().expect("an address");
    let stream = socket.connect(address).await.expect("a connection");
    let mut wire = Wire::over(stream);
    wire.send("GET /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let reply = wire.reply().await;
    (reply.status, reply.body)
}

#[tokio::test]
async fn anonymous_calls_are_counted_by_address() {
    let (shop, upstream) = Shop::start("").await;
    open_to_anybody(&shop, per_day(2)).await;
    for from in ["127.0.0.1", "127.0.0.2"] {
        for _ in 0..2 {
            assert_eq!(anonymous(&shop, from).await.0, 200, "{from}");
        }
        let (status, body) = anonymous(&shop, from).await;
        assert_eq!(status, 429, "{from}");
        assert!(body.contains("900804"), "{body}");
    }
    assert_eq!(upstream.count(), 4);
}

/// Lines of the flood, each with callers of its own; requests that one sends before it reads the answers.
const LINES: usize = 32;
const AT_ONCE: usize = 50;

/// Anonymous calls from these addresses, each another, as a proxy that is trusted tells them; gives how many passed and
/// how many the limit refused. A busy machine may have no answer in time for some of them.
#[allow(clippy::disallowed_methods, reason = "tasks of the test's own runtime")]
async fn flood(shop: &Shop, from: usize, to: usize) -> (usize, usize) {
    let mut lines = tokio::task::JoinSet::new();
    for line in 0..LINES {
        let address = shop.address();
        let callers: Vec<usize> = (from + line..to).step_by(LINES).collect();
        lines.spawn(async move {
            let mut wire = Wire::open(&address).await;
            let (mut passed, mut refused) = (0, 0);
            for callers in callers.chunks(AT_ONCE) {
                let call = |n: &usize| {
                    let caller = format!("10.0.{}.{}", n >> 8, n & 255);
                    format!(
                        "GET /shop/1.0.0/items HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {caller}\r\n\r\n"
                    )
                };
                wire.send(callers.iter().map(call).collect::<String>()).await;
                for _ in callers {
                    let reply = wire.reply().await;
                    match reply.status {
                        200 => passed += 1,
                        429 => refused += 1,
                        status => assert_eq!(status, 503, "{reply:?}"),
                    }
                }
            }
            (passed, refused)
        });
    }
    let lines = lines.join_all().await.into_iter();
    lines.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_beyond_the_bound_are_counted_together_in_bounded_memory() {
    let bound = "trusted_proxies = \"127.0.0.1\"\n[traffic_manager]\nkeys = 1000\n";
    let (shop, upstream) = Shop::start(bound).await;
    open_to_anybody(&shop, per_short_window(2)).await;
    // All that is counted apart, and what a node needs for so many callers.
    let (apart, _) = flood(&shop, 0, 1_500).await;
    assert!((500..1_500).contains(&apart), "{apart}");
    // And all that is kept for some seconds of each, of some thousands at most.
    let (first, _) = flood(&shop, 1_500, 8_000).await;
    let before = Memory::of(&shop.node).resident;
    let (passed, refused) = flood(&shop, 8_000, 16_000).await;
    let grown = Memory::of(&shop.node).resident.saturating_sub(before);
    assert!(refused > 6_000, "{refused}");
    assert!(grown < 6 * 1024, "{grown} KiB more for 8,000 addresses");
    assert_eq!(upstream.count(), apart + first + passed);
    let told = shop.node.get("/metrics").send().await.expect(200).text();
    let shared = told
        .lines()
        .find_map(|line| line.strip_prefix("headgate_throttle_keys_shared_total "));
    let shared: f64 = shared.expect("a count").parse().expect("a number");
    assert!(shared > 5_000.0, "{shared}");
}

/// A limit of a window that is short, below an hour, and does not end while a test runs.
#[allow(
    clippy::disallowed_methods,
    reason = "windows are aligned with the machine's clock"
)]
pub fn per_short_window(units: u64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let minute = now.expect("a time").as_secs() / 60;
    let minutes = (40..60).find(|minutes| minute % minutes + 3 < *minutes);
    json!({
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {
            "timeUnit": "min",
            "unitTime": minutes.expect("one of twenty"),
            "requestCount": units,
        },
    })
}

/// A shop whose only subscriber has this plan and has used a part of it.
async fn used_in_part(limit: Value) -> (Shop, Upstream, String) {
    let (shop, upstream) = Shop::start("").await;
    let body = json!({"policyName": "Part", "defaultLimit": limit});
    let path = format!("{ADMIN}/throttling/policies/subscription");
    let call = shop.node.post(&path).bearer(&shop.token).json(&body);
    call.send().await.expect(201);
    shop.change(|api| api["policies"] = json!(["Unlimited", "Part"]))
        .await;
    let access = subscriber(&shop, "part", "Unlimited", "Part").await;
    for _ in 0..2 {
        let call = shop.node.api("GET", "/shop/1.0.0/items").bearer(&access);
        call.send().await.expect(200);
    }
    (shop, upstream, access)
}

async fn status_after_restart(node: &Node, access: &str) -> u16 {
    let call = node.api("GET", "/shop/1.0.0/items").bearer(access);
    call.send().await.status.as_u16()
}

#[tokio::test]
async fn after_kill_9_short_plans_are_used_up_and_long_ones_go_on() {
    for (limit, status) in [(per_short_window(1_000), 429), (per_day(1_000), 200)] {
        let (shop, _upstream, access) = used_in_part(limit).await;
        let node = shop.node.crash_and_restart(Options::default()).await;
        assert_eq!(status_after_restart(&node, &access).await, status);
        let log = node.log();
        let warned = log.matches("the last run did not stop in order").count();
        assert_eq!(warned, 1, "why is said once");
    }
}

#[tokio::test]
async fn without_broker_plans_are_used_up_until_they_are_given_up_and_the_log_says_so() {
    for limit in [per_short_window(1_000), per_day(2)] {
        let (mut shop, _upstream, access) = used_in_part(limit).await;
        assert_eq!(shop.node.terminate().await, Some(0));
        std::fs::remove_file(shop.node.dir.join("data/broker.db")).expect("removed");
        let node = shop.node.crash_and_restart(Options::default()).await;
        assert_eq!(status_after_restart(&node, &access).await, 429);
        let log = node.log();
        assert_eq!(log.matches("broker.db was lost").count(), 1);
        let forget = ["cluster", "forget", "headgate", "--yes"];
        let given_up = node.command(&forget).output().expect("its end");
        assert!(given_up.status.success(), "{given_up:?}");
        let what = "what a node held of lost shards is given up";
        let outcomes = ["ordered", "agreed"];
        node.has_audited(what, ("nodes", "headgate"), &outcomes)
            .await;
        // What is given up counts from nothing; who was told no before asks again soon.
        let goes_on = eventually(30, "calls go on", || async {
            let status = status_after_restart(&node, &access).await;
            (status == 200).then_some(())
        });
        goes_on.await;
    }
}

#[tokio::test]
async fn of_two_used_up_limits_the_outer_one_is_named_and_what_an_inner_one_refuses_costs_the_outer_one_nothing()
 {
    let (shop, upstream) = Shop::start("").await;
    policy(&shop, "advanced", "ThreeADay", 3, json!({})).await;
    policy(&shop, "application", "OneADay", 1, json!({})).await;
    shop.change(|api| api["apiThrottlingPolicy"] = json!("ThreeADay"))
        .await;
    let small = subscriber(&shop, "small", "OneADay", "Unlimited").await;
    let other = subscriber(&shop, "other", "Unlimited", "Unlimited").await;
    refused_after(&shop, 1, "GET", &small, "900803").await;
    for _ in 0..4 {
        refused_after(&shop, 0, "GET", &small, "900803").await;
    }
    refused_after(&shop, 2, "GET", &other, "900800").await;
    refused_after(&shop, 0, "GET", &small, "900800").await;
    assert_eq!(upstream.count(), 3);
    let denied = json!({"conditionType": "APPLICATION", "conditionValue": "admin:small"});
    let deny = format!("{ADMIN}/throttling/deny-policies");
    let call = shop.node.post(&deny).bearer(&shop.token).json(&denied);
    call.send().await.expect(201);
    let call = shop.node.api("GET", "/shop/1.0.0/items").bearer(&small);
    let refused = call.send().await.expect(403).json();
    assert_eq!(text(&refused, "code"), "900805");
}
