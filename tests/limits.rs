//! Limits of bytes, conditional groups, and policies that change under way, as callers meet them.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::http::{Answer, Call};
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, PUBLISHER, Subscribed, text};
use crate::support::upstream::Upstream;

const ITEMS: &str = "/shop/1.0.0/items";

struct Shop {
    node: Node,
    upstream: Upstream,
    token: String,
    api: String,
}

/// What calls may do until they are refused.
struct Passed {
    /// Bytes of bodies, both ways.
    bytes: u64,
    /// Of the last call alone.
    last: u64,
    calls: usize,
    refusal: Answer,
}

// === impl Shop ===

impl Shop {
    async fn open() -> Self {
        let options = Options {
            toml: "trusted_proxies = [\"127.0.0.1\"]\n".to_owned(),
            ..Options::default()
        };
        let node = Node::start_with(options).await;
        let upstream = Upstream::start().await;
        let token = node.admin_token().await;
        let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
        Self {
            node,
            upstream,
            token,
            api,
        }
    }

    /// Makes a policy and gives its id.
    async fn policy(&self, level: &str, name: &str, mut members: Value) -> String {
        members["policyName"] = name.into();
        let path = format!("{ADMIN}/throttling/policies/{level}");
        let made = self.node.post(&path).bearer(&self.token).json(&members);
        text(&made.send().await.expect(201).json(), "policyId").to_owned()
    }

    async fn change(&self, level: &str, id: &str, name: &str, mut members: Value) {
        members["policyName"] = name.into();
        let path = format!("{ADMIN}/throttling/policies/{level}/{id}");
        let put = self.node.put(&path).bearer(&self.token).json(&members);
        put.send().await.expect(200);
    }

    /// Changes members of the API and deploys it.
    async fn alter(&self, members: Value) {
        let base = format!("{PUBLISHER}/apis/{}", self.api);
        let get = self.node.get(&base).bearer(&self.token);
        let mut document = get.send().await.expect(200).json();
        for (name, value) in members.as_object().expect("members") {
            document[name] = value.clone();
        }
        let put = self.node.put(&base).bearer(&self.token).json(&document);
        put.send().await.expect(200);
        self.node.deploy(&self.token, &self.api).await;
    }

    /// An application with these plans, ready to call.
    async fn caller(&self, name: &str, plan: &str, subscription: &str) -> String {
        let (node, token) = (&self.node, &self.token);
        let application = node.application(token, name, plan, "JWT").await;
        node.subscribe(token, &self.api, &application, subscription)
            .await;
        let (key, secret) = node.keys(token, &application, "PRODUCTION").await;
        node.client_token(&key, &secret).await
    }

    async fn any_caller(&self) -> String {
        let Subscribed { access, .. } = self
            .node
            .subscribed(&self.token, &self.api, "any", "JWT")
            .await;
        access
    }

    fn get(&self, access: &str) -> Call {
        self.node.api("GET", ITEMS).bearer(access)
    }

    /// A call with a body of so many bytes.
    fn upload(&self, access: &str, bytes: usize) -> Call {
        let call = self.node.api("POST", ITEMS).bearer(access);
        call.bytes("application/octet-stream", vec![b'7'; bytes])
    }

    /// Calls until it is refused.
    async fn exhaust(&self, sent: u64, call: impl Fn() -> Call) -> Passed {
        let (mut bytes, mut last) = (0, 0);
        for calls in 0..2_000 {
            let answer = call().send().await;
            if answer.status != 200 {
                let refusal = answer.expect(429);
                return Passed {
                    bytes,
                    last,
                    calls,
                    refusal,
                };
            }
            last = sent + answer.body.len() as u64;
            bytes += last;
        }
        panic!("never refused, {bytes} bytes passed");
    }

    /// How many of `calls` pass; all others are refused with this code.
    async fn passes(&self, calls: usize, code: &str, call: impl Fn() -> Call) -> usize {
        let mut passed = 0;
        for _ in 0..calls {
            let answer = call().send().await;
            if answer.status == 200 {
                passed += 1;
            } else {
                assert_eq!(text(&answer.expect(429).json(), "code"), code);
            }
        }
        passed
    }
}

fn bytes(amount: u64, unit: &str, time: &str) -> Value {
    json!({"defaultLimit": {
        "type": "BANDWIDTHLIMIT",
        "bandwidth": {"dataAmount": amount, "dataUnit": unit, "unitTime": 1, "timeUnit": time},
    }})
}

fn requests(count: u64) -> Value {
    json!({"defaultLimit": request_limit(count)})
}

fn request_limit(count: u64) -> Value {
    json!({
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"requestCount": count, "unitTime": 1, "timeUnit": "day"},
    })
}

fn address(inner: Value, invert: bool) -> Value {
    json!({"type": "IPCONDITION", "invertCondition": invert, "ipCondition": inner})
}

fn specific(address_of: &str, invert: bool) -> Value {
    let inner = json!({"ipConditionType": "IPSPECIFIC", "specificIP": address_of});
    address(inner, invert)
}

fn between(from: &str, to: &str) -> Value {
    let inner = json!({"ipConditionType": "IPRANGE", "startingIP": from, "endingIP": to});
    address(inner, false)
}

fn group(conditions: &[Value], limit: u64) -> Value {
    json!({"description": "", "conditions": conditions, "limit": request_limit(limit)})
}

fn grouped(default: u64, groups: &[Value]) -> Value {
    json!({"defaultLimit": request_limit(default), "conditionalGroups": groups})
}

#[tokio::test]
async fn bytes_of_bodies_are_limited_at_each_level_to_the_call_that_reaches_the_limit() {
    const LIMIT: u64 = 40 * 1_024;
    let shop = Shop::open().await;
    for level in ["application", "subscription", "advanced"] {
        shop.policy(level, "Forty", bytes(40, "KB", "day")).await;
    }
    shop.alter(json!({"policies": ["Unlimited", "Forty"]}))
        .await;
    let levels = [
        ("one", "Forty", "Unlimited", "900803"),
        ("two", "Unlimited", "Forty", "900804"),
        ("three", "Unlimited", "Unlimited", "900800"),
    ];
    for (name, plan, subscription, code) in levels {
        if code == "900800" {
            shop.alter(json!({"apiThrottlingPolicy": "Forty"})).await;
        }
        let access = shop.caller(name, plan, subscription).await;
        let before = shop.upstream.count();
        let first = shop.upload(&access, 4_096).send().await.expect(200);
        let advertised = first.header("ratelimit-policy");
        assert_eq!(advertised, "\"Forty\";q=40960;qu=\"content-bytes\";w=86400");
        let begun = 4_096 + first.body.len() as u64;
        let passed = shop.exhaust(4_096, || shop.upload(&access, 4_096)).await;
        let (bytes, last) = (begun + passed.bytes, passed.last);
        assert!(bytes >= LIMIT, "{level}: {bytes}", level = name);
        assert!(bytes - last < LIMIT, "{name}: {bytes} with the last {last}");
        assert_eq!(text(&passed.refusal.json(), "code"), code);
        assert!(!passed.refusal.header("retry-after").is_empty());
        let forwarded = shop.upstream.count() - before;
        assert_eq!(
            forwarded,
            passed.calls + 1,
            "refused before it is forwarded"
        );
    }
}

#[tokio::test]
async fn what_was_reserved_and_not_used_goes_back() {
    // A chunk of it is 67 bytes, and an answer about half of that.
    const LIMIT: u64 = 13_400;
    let shop = Shop::open().await;
    shop.policy("application", "Small", bytes(LIMIT, "B", "day"))
        .await;
    let access = shop.caller("one", "Small", "Unlimited").await;
    let passed = shop.exhaust(0, || shop.get(&access)).await;
    let least = LIMIT - LIMIT / 50;
    assert!(passed.bytes >= least, "only {} bytes", passed.bytes);
    assert!(passed.bytes < LIMIT + passed.last, "{} bytes", passed.bytes);
}

#[tokio::test]
async fn callers_at_once_never_pass_more_than_their_open_calls_overran() {
    const LIMIT: u64 = 300 * 1_024;
    let shop = Shop::open().await;
    shop.policy("application", "Shared", bytes(300, "KB", "day"))
        .await;
    let access = shop.caller("one", "Shared", "Unlimited").await;
    let calls = || shop.exhaust(4_096, || shop.upload(&access, 4_096));
    let (a, b, c, d) = tokio::join!(calls(), calls(), calls(), calls());
    let passed = [a, b, c, d];
    let bytes: u64 = passed.iter().map(|passed| passed.bytes).sum();
    let open: u64 = passed.iter().map(|passed| passed.last).sum();
    assert!((LIMIT..LIMIT + open).contains(&bytes), "{bytes}");
}

/// Seconds since the epoch, as windows of a second are numbered.
#[allow(clippy::disallowed_methods, reason = "a test looks at its own clock")]
fn second() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

#[tokio::test]
async fn an_open_stream_is_never_cut_and_what_it_overran_is_paid_by_the_next_windows() {
    let shop = Shop::open().await;
    shop.policy("application", "Second", bytes(10, "KB", "sec"))
        .await;
    let access = shop.caller("one", "Second", "Unlimited").await;
    let began = second();
    shop.upload(&access, 45 * 1_024).send().await.expect(200);
    let seen = shop.upstream.seen().pop().expect("a request");
    assert_eq!(seen.body.len(), 45 * 1_024);
    // Four windows pay ten each, the fifth the rest.
    loop {
        let answer = shop.get(&access).send().await;
        if answer.status == 200 {
            break;
        }
        answer.expect(429);
        assert!(second() < began + 20, "never let in again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let windows = second() - began;
    assert!(windows >= 4, "let in after {windows} windows");
}

#[tokio::test]
async fn the_first_group_whose_conditions_hold_counts_by_its_own_limit_else_the_default() {
    let shop = Shop::open().await;
    let office = group(
        &[
            between("10.0.0.0", "10.0.0.255"),
            specific("10.0.0.7", true),
        ],
        2,
    );
    let printer = group(&[specific("10.0.0.7", false)], 3);
    let all = grouped(4, &[office, printer]);
    shop.policy("advanced", "Grouped", all).await;
    shop.alter(json!({"apiThrottlingPolicy": "Grouped"})).await;
    let access = shop.any_caller().await;
    let from = |address: &'static str| {
        let (shop, access) = (&shop, &access);
        move || shop.get(access).header("x-forwarded-for", address)
    };
    let first = from("10.0.0.1")().send().await.expect(200);
    let advertised = "\"Grouped_condition_1\";q=2;w=86400";
    assert_eq!(first.header("ratelimit-policy"), advertised);
    assert!(
        first
            .header("ratelimit")
            .starts_with("\"Grouped_condition_1\";r=")
    );
    let mut passed = vec![];
    for address in ["10.0.0.1", "10.0.0.2", "10.0.0.7", "10.0.1.1", "10.0.1.2"] {
        passed.push(shop.passes(6, "900800", from(address)).await);
    }
    // The office's two are shared by its callers; one was used above.
    assert_eq!(passed, [1, 0, 3, 4, 0]);
}

#[tokio::test]
async fn a_changed_group_acts_at_once() {
    let shop = Shop::open().await;
    let here = |limit| grouped(1, &[group(&[specific("127.0.0.1", false)], limit)]);
    let policy = shop.policy("advanced", "Grouped", here(2)).await;
    shop.alter(json!({"apiThrottlingPolicy": "Grouped"})).await;
    let access = shop.any_caller().await;
    let call = || shop.get(&access);
    assert_eq!(shop.passes(4, "900800", call).await, 2);
    shop.change("advanced", &policy, "Grouped", here(5)).await;
    assert_eq!(shop.passes(5, "900800", call).await, 3, "five in all");
    let elsewhere = grouped(1, &[group(&[specific("127.0.0.1", true)], 9)]);
    shop.change("advanced", &policy, "Grouped", elsewhere).await;
    assert_eq!(shop.passes(3, "900800", call).await, 1, "the default");
    shop.change("advanced", &policy, "Grouped", here(6)).await;
    assert_eq!(shop.passes(3, "900800", call).await, 1, "six in all");
    shop.change("advanced", &policy, "Grouped", requests(3))
        .await;
    assert_eq!(shop.passes(4, "900800", call).await, 2, "three in all");
}

#[tokio::test]
async fn a_plan_that_goes_over_to_bytes_and_back_acts_at_once() {
    let shop = Shop::open().await;
    let plan = shop.policy("application", "Plan", requests(3)).await;
    let access = shop.caller("one", "Plan", "Unlimited").await;
    let call = || shop.get(&access);
    assert_eq!(shop.passes(2, "900803", call).await, 2);
    shop.change("application", &plan, "Plan", requests(1)).await;
    assert_eq!(shop.passes(2, "900803", call).await, 0, "lowered");
    let kilobyte = bytes(1, "KB", "day");
    shop.change("application", &plan, "Plan", kilobyte).await;
    let first = call().send().await.expect(200);
    assert!(first.header("ratelimit-policy").contains("content-bytes"));
    let full = shop.exhaust(2_000, || shop.upload(&access, 2_000)).await;
    assert_eq!(full.calls, 1);
    shop.change("application", &plan, "Plan", requests(4)).await;
    assert_eq!(
        shop.passes(4, "900803", call).await,
        2,
        "bytes are no requests"
    );
}

#[tokio::test]
async fn a_limit_of_events_is_refused_as_long_as_there_are_none() {
    let shop = Shop::open().await;
    let events = json!({
        "type": "EVENTCOUNTLIMIT",
        "eventCount": {"eventCount": 5, "unitTime": 1, "timeUnit": "min"},
    });
    let mut in_group = grouped(1, &[group(&[specific("10.0.0.1", false)], 1)]);
    in_group["conditionalGroups"][0]["limit"] = events.clone();
    let default = json!({"defaultLimit": events});
    let cases = [
        ("subscription", &default, "defaultLimit.type"),
        ("application", &default, "defaultLimit.type"),
        ("advanced", &default, "defaultLimit.type"),
        ("advanced", &in_group, "conditionalGroups[0].limit.type"),
    ];
    for (level, policy, field) in cases {
        let mut policy = policy.clone();
        policy["policyName"] = "Events".into();
        let path = format!("{ADMIN}/throttling/policies/{level}");
        let post = shop.node.post(&path).bearer(&shop.token).json(&policy);
        let refused = post.send().await.expect(400).json();
        let description = text(&refused, "description");
        assert!(description.starts_with(field), "{description}");
    }
}
