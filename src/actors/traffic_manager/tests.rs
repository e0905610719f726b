//! The traffic manager over files, with its change feed: limits, kills, restarts, changed plans.

use std::path::Path;
use std::time::Duration;

use cluster::{Clock, Root, System, start_root};
use domain::change::Change;
use domain::policy::{Limit, Policy, PolicyLevel, QuotaUnit, TimeUnit};
use storage::{Database, apim, broker};

use super::message::{LeaseAnswer, LeaseAsk, LeaseMany, Leased, Outlook, ThrottleKey};
use super::shard::shard_of;
use super::{TrafficManagerHandle, component};
use crate::change_feed::{ChangeFeedHandle, FeedSettings};

const DEADLINE: Duration = Duration::from_secs(20);

struct Node {
    system: System,
    apim: Database,
    feed: ChangeFeedHandle,
    traffic: TrafficManagerHandle,
    root: Root,
}

async fn node(dir: &Path, incarnation: u64) -> Node {
    let at = |name: &str| format!("sqlite:{}", dir.join(name).display());
    let apim = apim::open(&at("apim.db")).await.unwrap();
    let shared = storage::shared::open(&at("shared.db")).await.unwrap();
    let broker = broker::open(dir).await.unwrap();
    let system = System::new(Clock::system(), true);
    let settings = FeedSettings::default();
    let (feed, feed_child) = crate::change_feed::component(&system, &apim, &shared, settings);
    let (traffic, child) = component(&system, &broker, &feed, "n1", incarnation);
    let root = start_root(&system, vec![feed_child, child]).await.unwrap();
    Node {
        system,
        apim,
        feed,
        traffic,
        root,
    }
}

async fn save(node: &Node, name: &str, units: u64, time_unit: TimeUnit) -> u64 {
    let mut policies = Policy::defaults("t", || uuid::Uuid::new_v4().to_string());
    let mut policy = policies.remove(0);
    policy.name = name.to_owned();
    policy.limit = Some(Limit {
        units,
        quota: QuotaUnit::Requests,
        // Almost an hour is still short, and does not end while a test runs.
        unit_time: if time_unit == TimeUnit::Min { 59 } else { 1 },
        time_unit,
    });
    let mut write = node.apim.write("test.policy").await.unwrap();
    let seeded = [policy.clone()];
    apim::policies::seed(&mut write, &seeded).await.unwrap();
    let changes = [Change::PolicySaved {
        policy: Box::new(policy),
    }];
    let uuid = || uuid::Uuid::new_v4().to_string();
    let n = write.commit_with("t", &changes, uuid, 1).await.unwrap();
    node.feed.committed(n).await;
    n
}

fn key(policy: &str, subject: &str) -> ThrottleKey {
    ThrottleKey {
        tenant: "t".to_owned(),
        level: PolicyLevel::Subscription,
        policy: policy.to_owned(),
        limit: 0,
        subject: subject.to_owned(),
    }
}

fn ask(gateway: &str, key: &ThrottleKey, known: Option<&LeaseAnswer>, applied: u64) -> LeaseMany {
    LeaseMany {
        shard: shard_of(key),
        gateway: format!("{gateway}.1"),
        applied,
        asks: vec![LeaseAsk {
            key: key.clone(),
            window: known.map_or(0, |answer| answer.window),
            have: known.map_or(0, |answer| answer.granted),
            returned: 0,
            want: 1,
        }],
    }
}

/// Asks until there is an answer, as a gateway does: what was lost is asked again.
async fn answered(node: &Node, request: LeaseMany) -> LeaseAnswer {
    let until = node.system.clock.monotonic() + DEADLINE;
    loop {
        assert!(node.system.clock.monotonic() < until, "no answer in time");
        match node.traffic.lease(request.clone()).await {
            Ok(Leased::Leases(mut answers)) => return answers.remove(0),
            Ok(Leased::Behind { .. }) | Err(_) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(Leased::NotOwner) => panic!("not the owner"),
        }
    }
}

/// One gateway takes units until it is told no; gives how many it got.
async fn drain(node: &Node, gateway: &str, key: &ThrottleKey) -> u64 {
    let mut known = None;
    loop {
        let answer = answered(node, ask(gateway, key, known.as_ref(), 0)).await;
        match answer.outlook {
            Outlook::Open => known = Some(answer),
            Outlook::Retry(after_ms) => {
                tokio::time::sleep(Duration::from_millis(u64::from(after_ms) / 4)).await;
            }
            Outlook::Exhausted => return answer.granted,
        }
    }
}

#[tokio::test]
async fn a_key_gets_its_limit_and_not_one_more() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), 1).await;
    save(&node, "day", 50, TimeUnit::Day).await;
    let key = key("day", "app:api");
    let (one, other) = tokio::join!(drain(&node, "gw1", &key), drain(&node, "gw2", &key));
    assert_eq!(one + other, 50);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn killed_shard_actors_never_let_more_through_than_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), 1).await;
    save(&node, "day", 300, TimeUnit::Day).await;
    let (busy, other) = (key("day", "busy"), key("day", "neighbour"));
    let actor = format!("traffic-manager/shards/{}", shard_of(&busy) % 16);
    let killing = async {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert!(node.system.registry.restart(&actor));
        }
    };
    let (one, two, neighbour, ()) = tokio::join!(
        drain(&node, "gw1", &busy),
        drain(&node, "gw2", &busy),
        drain(&node, "gw1", &other),
        killing
    );
    // What was granted and not heard of belongs to the gateway that asks again.
    assert_eq!((one + two, neighbour), (300, 300));
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn an_orderly_stop_keeps_short_windows_and_a_crash_makes_them_full() {
    let dir = tempfile::tempdir().unwrap();
    let first = node(dir.path(), 1).await;
    save(&first, "month", 10, TimeUnit::Month).await;
    save(&first, "minute", 10, TimeUnit::Min).await;
    let (long, short) = (key("month", "k"), key("minute", "k"));
    let taken = answered(&first, ask("gw1", &long, None, 0)).await;
    assert_eq!(taken.granted, 1);
    first.root.stop(DEADLINE).await;

    let second = node(dir.path(), 2).await;
    assert_eq!(drain(&second, "gw2", &long).await, 9);
    let taken = answered(&second, ask("gw2", &short, None, 0)).await;
    assert_eq!((taken.granted, taken.outlook), (1, Outlook::Open));
    // A crash: the tree is abandoned without its orderly stop.
    std::mem::forget(second.root);

    let third = node(dir.path(), 3).await;
    let (gone, full) = tokio::join!(drain(&third, "gw3", &long), drain(&third, "gw3", &short));
    assert_eq!((gone, full), (0, 0));
    let fresh = key("month", "fresh");
    assert_eq!(drain(&third, "gw3", &fresh).await, 10);
    third.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_changed_plan_is_in_force_when_the_change_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path(), 1).await;
    save(&node, "day", 3, TimeUnit::Day).await;
    let n = save(&node, "hour", 5, TimeUnit::Hour).await;
    let applied = node.feed.committed(n).await;
    assert_eq!(applied.to_string(), "1/1");
    let hour = key("hour", "k");
    let newer = node.traffic.lease(ask("gw1", &hour, None, n + 1)).await;
    assert_eq!(newer, Ok(Leased::Behind { at: n }));
    let answer = answered(&node, ask("gw1", &hour, None, n)).await;
    assert_eq!((answer.limit, answer.granted), (5, 1));
    let unknown = key("none", "k");
    let refused = answered(&node, ask("gw1", &unknown, None, n)).await;
    assert_eq!((refused.outlook, refused.granted), (Outlook::Exhausted, 0));
    node.root.stop(DEADLINE).await;
}
