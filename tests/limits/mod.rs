//! Limits of bytes, conditional groups, and policies that change under way, as callers meet them.

mod bytes;
mod changes;
mod groups;

use serde_json::{Value, json};

use crate::support::eventually;
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

    /// Ends an actor and waits until the next one runs.
    async fn restart(&self, actor: &str) {
        let operator = self.node.operator();
        let before = self.restarts(actor).await;
        let path = format!("/admin/actors/restart?name={actor}");
        let restart = self.node.post(&path).bearer(&operator);
        restart.send().await.expect(200);
        eventually(20, "the actor runs again", || async {
            (self.restarts(actor).await > before).then_some(())
        })
        .await;
    }

    async fn restarts(&self, actor: &str) -> u64 {
        let operator = self.node.operator();
        let all = self.node.get("/admin/actors").bearer(&operator);
        let all = all.send().await.expect(200).json();
        let mut all = all["list"].as_array().expect("a list").iter();
        let found = all.find(|known| known["name"] == actor).expect(actor);
        found["restarts"].as_u64().expect("a number")
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
        let (mut bytes, mut last, mut held) = (0, 0, 0);
        for calls in 0..2_000 {
            let answer = call().send().await;
            if answer.status == 503 && held < 3 {
                // Held too long by a busy disk, and not passed on.
                held += 1;
                continue;
            }
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
