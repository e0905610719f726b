//! Keys of a run's own: the resources of an API of its own, each counted by itself under a policy of resources.

use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

use actors::traffic_manager::message::ThrottleKey;
use actors::traffic_manager::shard_of;
use domain::policy::PolicyLevel;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::report::Run;
use crate::support::platform::{ADMIN, PUBLISHER, text};

/// What a limit's window is long enough for: longer than any run.
const ROOM_S: u64 = 600;

/// How long a window lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Minutes: what was granted lives in memory alone.
    Short,
    Hours,
    Days,
    /// Of the calendar.
    Months,
    Years,
    /// Of hours that end with each call.
    SlidingHours,
    /// Of hours, in which what was taken comes back little by little.
    BucketOfHours,
    /// Of minutes that end with each call: what a run's calls took comes back long after it.
    Sliding,
    /// Of minutes, in which what was taken comes back little by little.
    Bucket,
}

/// Limits and their windows that a run has keys of.
pub type Limits = [(u64, Window)];

/// As most runs have them: the first is long, so that its owner is who the fault meets in both ways of counting.
pub const MIXED: &Limits = &[
    (100, Window::Hours),
    (100, Window::Short),
    (100, Window::Short),
    (10, Window::Short),
    (10, Window::Days),
    (3, Window::Short),
    (1, Window::Short),
    (1, Window::Hours),
    (100, Window::Sliding),
    (100, Window::Bucket),
    (3, Window::Sliding),
];

/// One counter.
#[derive(Debug, Clone)]
pub struct Key {
    /// What is called, and arrives.
    pub path: String,
    pub arriving: String,
    pub limit: u64,
    pub window: Window,
    pub shard: u16,
    made: Instant,
}

/// Those of a run, and what opens them.
pub struct Keys {
    pub keys: Vec<Key>,
    pub access: String,
}

// === impl Keys ===

impl Keys {
    /// Those that `belongs` names, and the others.
    pub fn parted(&self, mut belongs: impl FnMut(&Key) -> bool) -> (Self, Self) {
        let (these, others) = self.keys.iter().cloned().partition(|key| belongs(key));
        let with = |keys| Self {
            keys,
            access: self.access.clone(),
        };
        (with(these), with(others))
    }

    /// Calls of all of them that came through.
    pub fn arrived(&self, cluster: &Cluster) -> u64 {
        let keys = self.keys.iter();
        keys.map(|key| cluster.arrived(&key.arriving)).sum()
    }
}

// === impl Key ===

impl Key {
    /// What may have come through by now: the limit, and what a bucket has got back since.
    pub fn most(&self) -> u64 {
        let (_, seconds, counts) = self.window.lengths();
        let shortest_s = seconds * counts.start();
        let took_s = self.made.elapsed().as_secs() + 1;
        match self.window {
            Window::Bucket | Window::BucketOfHours => {
                self.limit + (self.limit * took_s).div_ceil(shortest_s)
            }
            _ => self.limit,
        }
    }
}

// === impl Window ===

impl Window {
    /// The unit, and how many of it, so that the window that is under way ends late.
    fn spec(self, now_s: u64) -> (&'static str, u64) {
        let (unit, seconds, counts) = self.lengths();
        let left = |count: &u64| count * seconds - now_s % (count * seconds);
        let count = counts.max_by_key(left).expect("there are some");
        assert!(left(&count) > ROOM_S);
        (unit, count)
    }

    /// The unit, its seconds, and how many of it.
    const fn lengths(self) -> (&'static str, u64, RangeInclusive<u64>) {
        match self {
            Self::Short | Self::Sliding | Self::Bucket => ("min", 60, 30..=59),
            Self::Hours | Self::SlidingHours | Self::BucketOfHours => ("hour", 3_600, 1..=12),
            Self::Days => ("day", 86_400, 2..=9),
            // Seldom over in any run, and by this not seen.
            Self::Months => ("month", 28 * 86_400, 7..=7),
            Self::Years => ("year", 365 * 86_400, 3..=3),
        }
    }

    /// As a policy of resources is told how to count.
    fn kind(self) -> Option<&'static str> {
        match self {
            Self::Sliding | Self::SlidingHours => Some("sliding"),
            Self::Bucket | Self::BucketOfHours => Some("bucket"),
            _ => None,
        }
    }
}

impl Cluster {
    /// An application that may call everything.
    pub(super) async fn make_application(&mut self) {
        let (node, token) = (self.control(), self.token.as_str());
        let application = node.application(token, "all", "Unlimited", "JWT").await;
        let (key, secret) = node.keys(token, &application, "PRODUCTION").await;
        self.application = (application, key, secret);
    }

    /// Keys that nothing was counted of yet, known to all gateways.
    pub async fn keys(&mut self, run: &mut Run, limits: &Limits) -> Keys {
        run.before.get_or_insert_with(|| self.before());
        self.more_keys(&run.name, limits).await
    }

    /// The same of an API of this name.
    pub async fn more_keys(&mut self, run: &str, limits: &Limits) -> Keys {
        #[allow(clippy::disallowed_methods, reason = "windows are the wall clock's")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.keys_at(now.expect("a time").as_secs(), run, limits)
            .await
    }

    /// The same where the cluster's time is this one.
    pub async fn keys_at(&mut self, now_s: u64, run: &str, limits: &Limits) -> Keys {
        let context = format!("/{run}");
        let mut operations = Vec::new();
        let mut keys = Vec::new();
        for (place, (limit, window)) in limits.iter().enumerate() {
            let policy = self.policy(*limit, window, now_s).await;
            let target = format!("/k{place}");
            operations.push(json!({"verb": "GET", "target": target, "throttlingPolicy": policy}));
            let key = ThrottleKey {
                tenant: "carbon.super".to_owned(),
                level: PolicyLevel::Api,
                policy,
                limit: 0,
                subject: format!("{context}/1.0.0:{target}:GET"),
            };
            keys.push(Key {
                path: format!("{context}/1.0.0{target}"),
                arriving: format!("/{run}{target}"),
                limit: *limit,
                window: *window,
                shard: shard_of(&key),
                made: Instant::now(),
            });
        }
        let (application, consumer, secret) = self.application.clone();
        let (node, token) = (self.control(), self.token.as_str());
        let api = self.deployed(run, &operations).await;
        node.subscribe(token, &api, &application, "Unlimited").await;
        let access = node.client_token(&consumer, &secret).await;
        Keys { keys, access }
    }

    async fn deployed(&self, run: &str, operations: &[Value]) -> String {
        let (node, token) = (self.control(), self.token.as_str());
        let body = json!({
            "name": run, "context": format!("/{run}"), "version": "1.0.0", "operations": operations,
            "policies": ["Unlimited"],
            "endpointConfig": {
                "endpoint_type": "http",
                "production_endpoints": {"url": format!("{}/{run}", self.upstream_url())},
            },
        });
        let made = node.post(&format!("{PUBLISHER}/apis")).bearer(token);
        let made = made.json(&body).send().await.expect(201).json();
        let api = text(&made, "id").to_owned();
        node.deploy(token, &api).await;
        node.lifecycle(token, &api, "Publish").await;
        api
    }

    /// The policy of a limit, made where there is none yet.
    async fn policy(&mut self, limit: u64, window: &Window, now_s: u64) -> String {
        let (unit, count) = window.spec(now_s);
        let kind = window.kind();
        let name = format!("{limit}Per{count}{unit}{}", kind.unwrap_or_default());
        if self.policies.insert(name.clone()) {
            let attributes = kind.map(|kind| json!({"name": "headgate.window", "value": kind}));
            let attributes: Vec<Value> = attributes.into_iter().collect();
            let body = json!({"policyName": name, "customAttributes": attributes, "defaultLimit": {
                "type": "REQUESTCOUNTLIMIT",
                "requestCount": {"timeUnit": unit, "unitTime": count, "requestCount": limit},
            }});
            let path = format!("{ADMIN}/throttling/policies/advanced");
            let made = self.control().post(&path).bearer(&self.token).json(&body);
            made.send().await.expect(201);
        }
        name
    }
}
