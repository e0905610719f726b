//! The traffic manager over files, with its change feed: limits, kills, restarts, changed plans.

use std::time::Duration;

use domain::ledger::{Ask, Holder, Outcome};
use domain::policy::TimeUnit;
use storage::broker::ledger_state::{self, LastStop, Left};

use super::message::{LeaseAnswer, LeaseMany, Leased, ThrottleKey};
use super::shard::shard_of;
use super::test_node::{DEADLINE, Node, key};

/// A note of the start is too old after that.
const IDLE_MS: i64 = 2_000;

fn ask(gateway: &str, key: &ThrottleKey, known: Option<&LeaseAnswer>, applied: u64) -> LeaseMany {
    let ask = Ask {
        holder: Holder::new(gateway, 1, 1),
        cell: key.cell(),
        policies: applied,
        epoch: known.map_or(0, |answer| answer.stamp.epoch),
        asked_at_ms: 0,
        window: known.and_then(|answer| answer.window),
        have: known.map_or(0, |answer| answer.granted),
        returned: 0,
        want: 1,
        emptied: true,
        due: 0,
    };
    LeaseMany::of(shard_of(key), &[ask]).unwrap()
}

/// Asks until there is an answer, as a gateway does: what was lost is asked again.
async fn answered(node: &Node, request: LeaseMany) -> LeaseAnswer {
    let until = node.system.clock.monotonic() + DEADLINE;
    loop {
        assert!(node.system.clock.monotonic() < until, "no answer in time");
        match node.traffic.lease(request.clone()).await {
            Ok(Leased::Leases(answers)) => {
                let answer = answers.into_iter().next().flatten();
                // It waits for the disk or the voters, or its shards do not follow the view yet.
                if let Some(answer) = answer.filter(|answer| {
                    answer.window.is_some() || answer.outcome == Outcome::UnknownPolicy
                }) {
                    return answer;
                }
            }
            Ok(Leased::Behind { .. }) | Err(_) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(Leased::NotOwner) => panic!("not the owner"),
        }
    }
}

/// One gateway takes units until it is told no; gives how many it got.
async fn drain(node: &Node, gateway: &str, key: &ThrottleKey) -> u64 {
    drain_with(node, gateway, key, || ()).await
}

/// The same, and after every grant something is done.
async fn drain_with(
    node: &Node,
    gateway: &str,
    key: &ThrottleKey,
    mut after_grant: impl FnMut(),
) -> u64 {
    let mut known = None;
    loop {
        let answer = answered(node, ask(gateway, key, known.as_ref(), 0)).await;
        match answer.outcome {
            Outcome::Granted => {
                known = Some(answer);
                after_grant();
            }
            Outcome::Retry { after_ms } => {
                tokio::time::sleep(Duration::from_millis(u64::from(after_ms) / 4)).await;
            }
            Outcome::Final => return answer.granted,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_key_gets_its_limit_and_not_one_more() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 50, TimeUnit::Day).await;
    let key = key("day", "app:api");
    let (one, other) = tokio::join!(drain(&node, "gw1", &key), drain(&node, "gw2", &key));
    assert_eq!(one + other, 50);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn killed_shard_actors_never_let_more_through_than_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 300, TimeUnit::Day).await;
    let (busy, other) = (key("day", "busy"), key("day", "neighbour"));
    let actor = format!("traffic-manager/shards/{}", shard_of(&busy) % 16);
    let mut grants = 0;
    // In the middle of what the others ask.
    let kill = || {
        grants += 1;
        if grants % 25 == 0 {
            assert!(node.system.registry.restart(&actor));
        }
    };
    let (one, two, neighbour) = tokio::join!(
        drain_with(&node, "gw1", &busy, kill),
        drain(&node, "gw2", &busy),
        drain(&node, "gw1", &other),
    );
    // What was granted and not heard of belongs to the gateway that asks again.
    assert_eq!((one + two, neighbour), (300, 300));
    assert!(grants >= 100, "{grants} grants met too few kills");
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn an_orderly_stop_keeps_short_windows_and_a_crash_makes_them_full() {
    let dir = tempfile::tempdir().unwrap();
    let first = Node::start(dir.path(), 1).await;
    first.save("month", 10, TimeUnit::Month).await;
    first.save("minute", 10, TimeUnit::Min).await;
    let (long, short) = (key("month", "k"), key("minute", "k"));
    let taken = answered(&first, ask("gw1", &long, None, 0)).await;
    assert_eq!(taken.granted, 1);
    let mut taken = None;
    for _ in 0..3 {
        taken = Some(answered(&first, ask("gw1", &short, taken.as_ref(), 0)).await);
    }
    assert_eq!(taken.unwrap().granted, 3);
    first.root.stop(DEADLINE).await;

    let second = Node::start(dir.path(), 2).await;
    assert_eq!(drain(&second, "gw2", &long).await, 9);
    assert_eq!(drain(&second, "gw2", &short).await, 7);
    // A crash: the tree is abandoned without its orderly stop.
    std::mem::forget(second.root);

    let third = Node::start(dir.path(), 3).await;
    let (gone, full) = tokio::join!(drain(&third, "gw3", &long), drain(&third, "gw3", &short));
    assert_eq!((gone, full), (0, 0));
    let fresh = key("month", "fresh");
    assert_eq!(drain(&third, "gw3", &fresh).await, 10);
    third.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn what_a_crash_made_full_is_full_after_an_orderly_stop_of_a_run_that_nobody_asked() {
    let dir = tempfile::tempdir().unwrap();
    let key = key("minute", "k");
    let first = Node::start(dir.path(), 1).await;
    first.save("minute", 10, TimeUnit::Min).await;
    let taken = answered(&first, ask("gw1", &key, None, 0)).await;
    assert_eq!(taken.granted, 1);
    // Its mark lies on disk when more is granted.
    first.root.stop(DEADLINE).await;
    let second = Node::start(dir.path(), 2).await;
    assert_eq!(drain(&second, "gw2", &key).await, 9);
    std::mem::forget(second.root);
    let third = Node::start(dir.path(), 3).await;
    third.root.stop(DEADLINE).await;

    let fourth = Node::start(dir.path(), 4).await;
    assert_eq!(drain(&fourth, "gw4", &key).await, 0);
    fourth.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_changed_plan_is_in_force_when_the_change_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 3, TimeUnit::Day).await;
    let n = node.save("hour", 5, TimeUnit::Hour).await;
    let applied = node.feed.committed(n).await;
    assert_eq!(applied.to_string(), "1/1");
    let hour = key("hour", "k");
    let newer = node.traffic.lease(ask("gw1", &hour, None, n + 1)).await;
    assert_eq!(newer, Ok(Leased::Behind { at: n }));
    let answer = answered(&node, ask("gw1", &hour, None, n)).await;
    assert_eq!((answer.limit, answer.granted), (5, 1));
    let unknown = key("none", "k");
    let refused = answered(&node, ask("gw1", &unknown, None, n)).await;
    assert_eq!(
        (refused.outcome, refused.granted),
        (Outcome::UnknownPolicy, 0)
    );
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_replaced_policy_follower_leaves_policies_in_force_and_follows_the_next_change() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    let n = node.save("day", 5, TimeUnit::Day).await;
    assert!(node.traffic.has_policies());
    assert!(node.system.registry.restart("traffic-manager/policies"));
    let key = key("day", "k");
    let asked = node.traffic.lease(ask("gw1", &key, None, n)).await;
    assert!(matches!(asked, Ok(Leased::Leases(_))), "{asked:?}");
    let next = node.save("day2", 7, TimeUnit::Day).await;
    let other = self::key("day2", "k");
    let answer = answered(&node, ask("gw1", &other, None, next)).await;
    assert_eq!((answer.limit, answer.granted), (7, 1));
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_start_goes_on_from_the_time_that_the_last_run_noted() {
    let dir = tempfile::tempdir().unwrap();
    let first = Node::start(dir.path(), 1).await;
    first.save("minute", 10, TimeUnit::Min).await;
    let key = key("minute", "k");
    let began_ms = first.system.clock.now_ms();
    answered(&first, ask("gw1", &key, None, 0)).await;
    first.root.stop(DEADLINE).await;
    let broker = storage::broker::open(dir.path()).await.unwrap();
    let mut write = broker.write("test.noted").await.unwrap();
    let left = ledger_state::begin(&mut write).await.unwrap();
    assert_eq!(left.last_stop, LastStop::Clean);
    assert!(left.t_ms >= began_ms);
    // As if the clock had been set back by a day since.
    let ahead_ms = left.t_ms + 86_400_000;
    let left = Left {
        last_stop: LastStop::Clean,
        t_ms: ahead_ms,
        lost_ms: None,
        epoch: 0,
    };
    ledger_state::end(&mut write, &left).await.unwrap();
    write.commit().await.unwrap();

    let second = Node::start(dir.path(), 2).await;
    let answer = answered(&second, ask("gw1", &key, None, 0)).await;
    let window = answer.window.unwrap();
    let window = window.spec.numbered(window.number);
    assert!(
        window.end_ms > ahead_ms,
        "{window:?} lies before {ahead_ms}"
    );
    second.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn time_is_noted_before_the_first_grant_after_an_idle_time() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("minute", 10, TimeUnit::Min).await;
    let broker = storage::broker::open(dir.path()).await.unwrap();
    // Nobody asks until the note of the start is too old to cover anything.
    let idle_until_ms = node.system.clock.now_ms() + IDLE_MS;
    while node.system.clock.now_ms() <= idle_until_ms {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked_ms = node.system.clock.now_ms();
    let answer = answered(&node, ask("gw1", &key("minute", "k"), None, 0)).await;
    assert_eq!(answer.granted, 1);
    let mut write = broker.write("test.noted").await.unwrap();
    let noted_ms = ledger_state::begin(&mut write).await.unwrap().t_ms;
    drop(write);
    assert!(
        noted_ms >= asked_ms,
        "noted {} ms before",
        asked_ms - noted_ms
    );
    node.root.stop(DEADLINE).await;
}
