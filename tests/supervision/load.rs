//! What goes on while actors end: calls of every component at once, each kind counted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::http::{Answer, Call};
use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, Subscribed, text};

/// Calls of one kind, one after the other.
#[derive(Default)]
pub(super) struct Kind {
    all: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

/// All kinds of calls at once, until told to stop.
#[derive(Default)]
pub(super) struct Load {
    stop: AtomicBool,
    /// Calls through the gateway with a token that it knows.
    pub(super) warm: Kind,
    /// Calls through the gateway with a token that it has not seen.
    pub(super) fresh: Kind,
    /// Anonymous calls, each from another address: the owner of a shard is asked for each.
    pub(super) asking: Kind,
    /// Tokens asked for at the key manager.
    pub(super) token: Kind,
    /// Updates of an API.
    pub(super) publisher: Kind,
    /// Applications made and deleted.
    pub(super) portal: Kind,
    /// Updates of a policy.
    pub(super) admin: Kind,
}

/// What a call's answer promised: the description of what lies at a path, or that nothing does.
pub(super) type Told = (String, Option<Value>);

/// What the calls are made with.
pub(super) struct World {
    pub(super) node: Node,
    /// The administrator's token.
    pub(super) token: String,
    pub(super) api: String,
    pub(super) policy: String,
    /// A subscriber whose tokens are signed, and one whose tokens are opaque.
    pub(super) signed: Subscribed,
    pub(super) opaque: Subscribed,
}

// === impl Kind ===

impl Kind {
    /// Sends a call and counts it; gives the answer when it has this status.
    pub(super) async fn send(&self, call: Call, wanted: u16) -> Option<Answer> {
        let answered = call.try_send().await;
        self.all.fetch_add(1, Ordering::Relaxed);
        let failed = match answered {
            Ok(answer) if answer.status == wanted => return Some(answer),
            Ok(answer) => format!("{} {}", answer.status.as_u16(), answer.text()),
            Err(error) => error,
        };
        self.failed.lock().expect("not poisoned").push(failed);
        None
    }

    pub(super) fn all(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// How many calls got what they were made for.
    pub(super) fn succeeded(&self) -> usize {
        self.all() - self.failed.lock().expect("not poisoned").len()
    }

    /// How the calls that failed were answered.
    pub(super) fn failed(&self) -> Vec<String> {
        self.failed.lock().expect("not poisoned").clone()
    }
}

// === impl Load ===

impl Load {
    pub(super) fn kinds(&self) -> [(&'static str, &Kind); 7] {
        [
            ("warm", &self.warm),
            ("fresh", &self.fresh),
            ("asking", &self.asking),
            ("token", &self.token),
            ("publisher", &self.publisher),
            ("portal", &self.portal),
            ("admin", &self.admin),
        ]
    }

    /// How many calls succeeded of the kind of which the fewest did.
    pub(super) fn least(&self) -> usize {
        let counts = self.kinds().map(|(_, kind)| kind.succeeded());
        counts.into_iter().min().unwrap_or_default()
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Calls until it is stopped; gives what is to be found on the node afterwards.
    pub(super) async fn run(&self, world: &World) -> Vec<Told> {
        let calls = tokio::join!(
            self.known(world),
            self.unknown(world),
            self.addresses(world),
            self.updates(world),
            self.applications(world),
            self.policies(world),
        );
        let ((), (), (), api, mut applications, policy) = calls;
        applications.extend(api);
        applications.extend(policy);
        applications
    }

    async fn known(&self, world: &World) {
        while self.goes_on() {
            self.warm.send(world.items(&world.signed.access), 200).await;
        }
    }

    async fn unknown(&self, world: &World) {
        while self.goes_on() {
            let (key, secret) = (&world.opaque.key, &world.opaque.secret);
            let asked = world.node.post("/oauth2/token").basic(key, secret);
            let asked = asked.form(&[("grant_type", "client_credentials")]);
            if let Some(made) = self.token.send(asked, 200).await {
                let made = made.json();
                let call = world.items(text(&made, "access_token"));
                self.fresh.send(call, 200).await;
            }
        }
    }

    async fn addresses(&self, world: &World) {
        while self.goes_on() {
            let call = world.anonymous(self.asking.all());
            self.asking.send(call, 200).await;
        }
    }

    async fn updates(&self, world: &World) -> Option<Told> {
        let path = format!("{PUBLISHER}/apis/{}", world.api);
        let got = world.node.get(&path).bearer(&world.token).send().await;
        let document = got.expect(200).json();
        self.edits(world, &self.publisher, path, document).await
    }

    async fn policies(&self, world: &World) -> Option<Told> {
        let path = format!("{ADMIN}/throttling/policies/application/{}", world.policy);
        let body = policy(1_000_000);
        self.edits(world, &self.admin, path, body).await
    }

    /// Gives `body` a new description, over and over.
    async fn edits(
        &self,
        world: &World,
        kind: &Kind,
        path: String,
        mut body: Value,
    ) -> Option<Told> {
        let mut told = None;
        while self.goes_on() {
            body["description"] = json!(format!("number {}", kind.all()));
            let put = world.node.put(&path).bearer(&world.token).json(&body);
            let done = kind.send(put, 200).await;
            // What failed may have been done or not.
            told = done.map(|_| body["description"].clone());
        }
        told.map(|description| (path, Some(description)))
    }

    async fn applications(&self, world: &World) -> Vec<Told> {
        let every = format!("{DEVPORTAL}/applications");
        let mut told = Vec::new();
        while self.goes_on() {
            let name = format!("load {}", self.portal.all());
            let body = json!({"name": name, "throttlingPolicy": "Unlimited", "description": name});
            let made = world.node.post(&every).bearer(&world.token).json(&body);
            let Some(made) = self.portal.send(made, 201).await else {
                continue;
            };
            let made = made.json();
            let path = format!("{every}/{}", text(&made, "applicationId"));
            // Every second one stays.
            if told.len() % 2 == 0 {
                told.push((path, Some(json!(name))));
                continue;
            }
            let gone = world.node.delete(&path).bearer(&world.token);
            if self.portal.send(gone, 200).await.is_some() {
                told.push((path, None));
            }
        }
        told
    }
}

// === impl World ===

impl World {
    /// A call through the gateway.
    pub(super) fn items(&self, access: &str) -> Call {
        let call = self.node.api("GET", "/shop/1.0.0/items");
        call.bearer(access)
    }

    /// A call without a credential from the `n`th address.
    pub(super) fn anonymous(&self, n: usize) -> Call {
        let address = format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
        let call = self.node.api("GET", "/shop/1.0.0/items/7");
        call.header("x-forwarded-for", &address)
    }
}

/// A plan of this many calls a day.
pub(super) fn policy(calls: u32) -> Value {
    json!({
        "policyName": format!("Plan{calls}"), "description": "a few a day",
        "defaultLimit": {
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "days", "unitTime": 1, "requestCount": calls},
        },
    })
}
