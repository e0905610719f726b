//! The feed over SQLite files: what followers get, when, and who is waited for.

use std::time::Duration;

use cluster::{Asked, Clock, Root, System, child, start_root};
use domain::change::Change;
use domain::policy::Policy;
use domain::serving_lease::{FollowerKind, WhenCutOff};
use storage::{Database, apim};

use super::actor::{Feed, FeedArguments, FeedMessage};
use super::message::{Heard, Heartbeat, Piece, Pull, Pulled, SnapshotOf, WaitApplied};
use super::registrar::{Registrar, RegistrarArguments};
use super::{ChangeFeedHandle, FeedSettings, SharedFollowers, component};

pub(super) struct Bench {
    _dir: tempfile::TempDir,
    pub(super) apim: Database,
    shared: Database,
    pub(super) system: System,
    pub(super) feed: ChangeFeedHandle,
    _root: Root,
}

pub(super) async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
    let apim = apim::open(&at("apim.db")).await.unwrap();
    let shared = storage::shared::open(&at("shared.db")).await.unwrap();
    let system = System::new(Clock::system(), true);
    let (feed, child) = component(&system, &apim, &shared, FeedSettings::default());
    let root = start_root(&system, vec![child]).await.unwrap();
    Bench {
        _dir: dir,
        apim,
        shared,
        system,
        feed,
        _root: root,
    }
}

pub(super) fn user_changed(name: &str) -> Change {
    Change::UserChanged {
        user: name.to_owned(),
        removed: false,
    }
}

pub(super) async fn commit(apim: &Database, changes: &[Change]) -> u64 {
    let write = apim.write("test.commit").await.unwrap();
    let uuid = || uuid::Uuid::new_v4().to_string();
    let done = write.commit_with("carbon.super", changes, uuid, 1).await;
    done.unwrap()
}

pub(super) fn pull(n: u64, uuid: &str, wait_ms: u32) -> Pull {
    Pull {
        follower: "gw1".to_owned(),
        n,
        uuid: uuid.to_owned(),
        most: 100,
        wait_ms,
        small: false,
    }
}

pub(super) async fn entries(feed: &ChangeFeedHandle, asked: Pull) -> Vec<(u64, String)> {
    match feed.pull(asked).await.unwrap() {
        Pulled::Entries { entries, .. } => entries
            .into_iter()
            .map(|entry| (entry.n, entry.uuid))
            .collect(),
        other => panic!("no entries but {other:?}"),
    }
}

#[tokio::test]
async fn a_follower_gets_the_entries_after_its_own_in_order() {
    let bench = bench().await;
    assert!(entries(&bench.feed, pull(0, "", 0)).await.is_empty());
    commit(&bench.apim, &[user_changed("a"), user_changed("b")]).await;
    let all = entries(&bench.feed, pull(0, "", 0)).await;
    assert_eq!(all.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2]);
    let rest = entries(&bench.feed, pull(1, &all[0].1, 0)).await;
    assert_eq!(rest, all[1..]);
    let other_history = bench.feed.pull(pull(1, "another", 0)).await.unwrap();
    assert!(matches!(other_history, Pulled::Resync { .. }));
}

#[tokio::test]
async fn a_long_poll_ends_with_a_commit_told_or_of_another_node() {
    let bench = bench().await;
    let feed = bench.feed.clone();
    let polling = async { entries(&feed, pull(0, "", 20_000)).await };
    // Nobody tells the feed: it finds the entry itself, as one of another node.
    let committing = async { commit(&bench.apim, &[user_changed("a")]).await };
    let (polled, n) = tokio::join!(polling, committing);
    assert_eq!((polled[0].0, n), (1, 1));
    let polling = async { entries(&feed, pull(1, &polled[0].1, 20_000)).await };
    let telling = async {
        let n = commit(&bench.apim, &[user_changed("b")]).await;
        bench.feed.committed(n).await
    };
    let (polled, _) = tokio::join!(polling, telling);
    assert_eq!(polled[0].0, 2);
}

#[tokio::test]
async fn what_one_pull_reads_ends_the_polls_of_all_others() {
    let bench = bench().await;
    let feed = bench.feed.clone();
    let parked = || entries(&feed, pull(0, "", 20_000));
    let reading = async {
        // The two polls lie there once a pull after them is answered. Nobody tells of the commit, the third pull is
        // the first to read it.
        assert_eq!(entries(&feed, pull(0, "", 0)).await, []);
        commit(&bench.apim, &[user_changed("a")]).await;
        entries(&feed, pull(0, "", 0)).await
    };
    let all = async { tokio::join!(parked(), parked(), reading) };
    let all = tokio::time::timeout(Duration::from_secs(10), all).await;
    let (one, other, third) = all.expect("nobody sleeps on");
    assert_eq!((one.len(), other.len(), third.len()), (1, 1, 1));
}

/// How far a gateway is, at the entry that bears this number.
async fn beat(bench: &Bench, name: &str, n: u64) -> Heartbeat {
    let mut read = bench.apim.read().await.unwrap();
    let log = apim::change_log::find(&mut read, n).await.unwrap();
    Heartbeat {
        follower: name.to_owned(),
        incarnation: 1,
        kind: FollowerKind::Calls(WhenCutOff::Serve),
        n,
        uuid: log.uuid_at_follower.unwrap_or_default(),
        leaves: false,
    }
}

#[tokio::test]
async fn a_change_waits_for_its_followers_and_names_who_was_not_reached() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    assert_eq!(bench.feed.committed(n).await.to_string(), "0/0");
    let feed = bench.feed.clone();
    feed.heartbeat(beat(&bench, "gw1", 0).await).await.unwrap();
    assert_eq!(feed.committed(n).await.to_string(), "0/1; unreached=gw1");
    let waiting = async { bench.feed.committed(n).await };
    let applied = beat(&bench, "gw1", n).await;
    let following = async { feed.heartbeat(applied).await };
    let (applied, heard) = tokio::join!(waiting, following);
    assert_eq!(applied.to_string(), "1/1");
    assert_eq!(heard, Ok(Heard::Head(n)));
    let leaves = Heartbeat {
        leaves: true,
        kind: FollowerKind::Calls(WhenCutOff::Refuse),
        ..beat(&bench, "gw1", n).await
    };
    feed.heartbeat(leaves).await.unwrap();
    assert_eq!(bench.feed.committed(n).await.to_string(), "0/0");
}

#[tokio::test]
async fn a_control_plane_that_has_just_started_waits_for_followers_it_has_never_heard() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    let feed = bench.feed.clone();
    feed.heartbeat(beat(&bench, "gw1", n).await).await.unwrap();
    let system = System::new(Clock::system(), true);
    let (apim, shared) = (&bench.apim, &bench.shared);
    let (other, child) = component(&system, apim, shared, FeedSettings::default());
    let _root = start_root(&system, vec![child]).await.unwrap();
    let told = other.committed(n).await;
    assert_eq!(told.to_string(), "0/1; unreached=gw1");
    let beat = beat(&bench, "gw1", n).await;
    assert_eq!(other.heartbeat(beat).await, Ok(Heard::Head(n)));
    assert_eq!(other.committed(n).await.to_string(), "1/1");
}

#[tokio::test]
async fn whoever_was_fenced_registers_before_it_hears_a_head() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    let beat = beat(&bench, "gw1", n).await;
    let feed = &bench.feed;
    feed.heartbeat(beat.clone()).await.unwrap();
    let registered = async || {
        let mut read = bench.apim.read().await.unwrap();
        apim::followers::find(&mut read, "gw1")
            .await
            .unwrap()
            .unwrap()
    };
    let before = registered().await;
    let mut write = bench.apim.write("test.fence").await.unwrap();
    let fenced = apim::followers::fence(&mut write, "gw1", before.registered_at_ms, 1).await;
    assert!(fenced.unwrap());
    write.commit().await.unwrap();
    let newer = commit(&bench.apim, &[user_changed("b")]).await;
    assert_eq!(feed.heartbeat(beat).await, Ok(Heard::Head(newer)));
    assert_eq!(registered().await.fenced_at_ms, None);
}

#[tokio::test]
async fn what_was_applied_of_another_history_is_no_acknowledgement() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a"), user_changed("b")]).await;
    let feed = &bench.feed;
    feed.heartbeat(beat(&bench, "gw1", n).await).await.unwrap();
    let other = Heartbeat {
        uuid: "another".to_owned(),
        ..beat(&bench, "gw1", n).await
    };
    assert_eq!(feed.heartbeat(other).await, Ok(Heard::Elsewhere));
    assert_eq!(feed.committed(n).await.to_string(), "0/1; unreached=gw1");
}

#[tokio::test]
async fn a_killed_feed_comes_back_and_its_followers_go_on() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    let beat = beat(&bench, "gw1", n).await;
    bench.feed.heartbeat(beat.clone()).await.unwrap();
    assert!(bench.system.registry.restart("change-feed/feed"));
    // Within the asks' own deadlines; whoever was cut off asks again.
    let deadline = bench.system.clock.monotonic() + Duration::from_secs(10);
    while bench.feed.pull(pull(0, "", 0)).await.is_err() {
        assert!(bench.system.clock.monotonic() < deadline);
    }
    bench.feed.heartbeat(beat).await.unwrap();
    assert_eq!(bench.feed.committed(n).await.to_string(), "1/1");
}

#[tokio::test]
async fn a_snapshot_has_everything_in_bounded_pieces_after_the_log_was_pruned() {
    let bench = bench().await;
    let mut write = bench.apim.write("test.policies").await.unwrap();
    let tenants: Vec<String> = (0..20).map(|number| format!("tenant{number}")).collect();
    for tenant in &tenants {
        let policies = Policy::defaults(tenant, || uuid::Uuid::new_v4().to_string());
        apim::policies::seed(&mut write, &policies).await.unwrap();
    }
    write.commit().await.unwrap();
    let keys = Change::VerificationKeysChanged {
        jwks: "{}".to_owned(),
    };
    let n = commit(
        &bench.apim,
        &[keys.clone(), user_changed("a"), user_changed("b")],
    )
    .await;
    let mut write = bench.apim.write("test.prune").await.unwrap();
    let gone = apim::change_log::delete_before(&mut write, n + 5).await;
    assert_eq!(gone.unwrap(), 2);
    write.commit().await.unwrap();
    let pulled = bench.feed.pull(pull(0, "", 0)).await.unwrap();
    assert!(matches!(pulled, Pulled::Resync { .. }));

    let (mut cursor, mut found) = (String::new(), Vec::new());
    loop {
        let piece = bench
            .feed
            .snapshot(SnapshotOf::Everything, cursor.clone())
            .await
            .unwrap();
        let Piece::Part {
            changes,
            cursor: next,
            n: at,
            uuid,
        } = piece
        else {
            panic!("no piece");
        };
        assert!(changes.len() <= 64 && at == n && !uuid.is_empty());
        found.extend(changes.into_iter().map(|(_, change)| change));
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    let found: Vec<Change> = found
        .iter()
        .map(|change| serde_json::from_str(change).unwrap())
        .collect();
    let saved = |change: &&Change| matches!(change, Change::PolicySaved { .. });
    assert_eq!(found.iter().filter(saved).count(), 14 * tenants.len());
    assert!(found.contains(&keys));
    let policies = bench.feed.snapshot(SnapshotOf::Policies, String::new());
    let Piece::Part { changes, .. } = policies.await.unwrap() else {
        panic!("no piece");
    };
    let only_policies = |(_, change): &(String, String)| change.contains("policy_saved");
    assert!(changes.iter().all(only_policies));
}

/// A snapshot's pieces until one is not followed by another, and the position that it is true at.
async fn rest_of_snapshot(feed: &ChangeFeedHandle, mut cursor: String) -> (Vec<String>, u64) {
    let mut found = Vec::new();
    loop {
        match feed.snapshot(SnapshotOf::Everything, cursor).await.unwrap() {
            Piece::Part {
                changes,
                cursor: next,
                n,
                ..
            } => {
                found.extend(changes.into_iter().map(|(_, change)| change));
                match next {
                    Some(next) => cursor = next,
                    None => return (found, n),
                }
            }
            Piece::Unavailable => panic!("no piece"),
        }
    }
}

#[tokio::test]
async fn a_snapshot_is_true_at_the_head_of_its_last_piece() {
    let bench = bench().await;
    let mut write = bench.apim.write("test.policies").await.unwrap();
    for tenant in (0..20).map(|number| format!("tenant{number}")) {
        let policies = Policy::defaults(&tenant, || uuid::Uuid::new_v4().to_string());
        apim::policies::seed(&mut write, &policies).await.unwrap();
    }
    write.commit().await.unwrap();
    commit(&bench.apim, &[user_changed("before")]).await;
    let first = bench
        .feed
        .snapshot(SnapshotOf::Everything, String::new())
        .await
        .unwrap();
    let Piece::Part {
        cursor: Some(cursor),
        ..
    } = first
    else {
        panic!("one piece only");
    };
    let meanwhile: Vec<Change> = (0..100)
        .map(|number| user_changed(&number.to_string()))
        .collect();
    let n = commit(&bench.apim, &meanwhile).await;
    let (found, at) = rest_of_snapshot(&bench.feed, cursor).await;
    assert_eq!(at, n);
    let meanwhile: Vec<String> = meanwhile
        .iter()
        .map(|change| serde_json::to_string(change).unwrap())
        .collect();
    assert!(found.ends_with(&meanwhile), "each once, in order");
}

#[tokio::test]
async fn a_snapshot_does_not_go_on_in_another_history() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    let seen = |uuid: &str| {
        let at = serde_json::json!({ "n": n, "uuid": uuid });
        serde_json::json!({ "at": at, "seen": at, "section": 0, "after": [] }).to_string()
    };
    let own = entries(&bench.feed, pull(0, "", 0)).await[0].1.clone();
    let (_, at) = rest_of_snapshot(&bench.feed, seen(&own)).await;
    assert_eq!(at, n);
    let cursor = seen("of-another-history");
    let other = bench.feed.snapshot(SnapshotOf::Everything, cursor).await;
    assert_eq!(other.unwrap(), Piece::Unavailable);
}

#[tokio::test]
async fn however_long_another_node_wants_to_wait_it_is_told_who_is_behind_within_seconds() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    let (clock, apim) = (bench.system.clock.clone(), bench.apim.clone());
    let followers = SharedFollowers::default();
    let arguments = RegistrarArguments {
        clock: clock.clone(),
        apim: apim.clone(),
        followers: followers.clone(),
    };
    let (registrar, first) = child::<Registrar>(&bench.system, "another registrar", arguments);
    let arguments = FeedArguments {
        clock,
        apim,
        followers,
        registrar,
    };
    let (feed, second) = child::<Feed>(&bench.system, "another feed", arguments);
    let root = start_root(&bench.system, vec![first, second])
        .await
        .unwrap();
    let patience = Duration::from_secs(30);
    let request = beat(&bench, "gw1", 0).await;
    let heard = feed.ask(patience, |reply| {
        FeedMessage::Heartbeat(Asked { request, reply })
    });
    heard.await.unwrap();
    let within_ms = u32::MAX;
    let request = WaitApplied { n, within_ms };
    let waited = feed.ask(patience, |reply| {
        FeedMessage::Wait(Asked { request, reply })
    });
    // Before the follower counts as gone, ten seconds after it was heard.
    assert_eq!(waited.await.unwrap().to_string(), "0/1; unreached=gw1");
    root.stop(patience).await;
}

#[tokio::test]
async fn a_follower_whose_name_is_no_name_is_neither_registered_nor_told_a_head() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    let name = "long".repeat(1_000);
    let beat = beat(&bench, &name, n).await;
    assert_eq!(bench.feed.heartbeat(beat).await, Ok(Heard::Unavailable));
    let mut read = bench.apim.read().await.unwrap();
    let row = apim::followers::find(&mut read, &name).await.unwrap();
    assert_eq!(row, None);
    assert_eq!(bench.feed.committed(n).await.to_string(), "0/0");
}

#[tokio::test]
async fn a_late_leave_of_a_former_life_takes_nothing_from_the_next_one() {
    for when in [WhenCutOff::Serve, WhenCutOff::Refuse] {
        let bench = bench().await;
        let n = commit(&bench.apim, &[user_changed("a")]).await;
        let of = async |incarnation, leaves| Heartbeat {
            incarnation,
            leaves,
            kind: FollowerKind::Calls(when),
            ..beat(&bench, "gw1", n).await
        };
        let feed = &bench.feed;
        assert_eq!(feed.heartbeat(of(2, false).await).await, Ok(Heard::Head(n)));
        feed.heartbeat(of(1, true).await).await.unwrap();
        let mut read = bench.apim.read().await.unwrap();
        let row = apim::followers::find(&mut read, "gw1").await.unwrap();
        drop(read);
        assert_eq!(row.map(|row| row.fenced_at_ms), Some(None), "{when:?}");
        let late = feed.heartbeat(of(1, false).await).await;
        assert_eq!(late, Ok(Heard::Unavailable));
        assert_eq!(feed.committed(n).await.to_string(), "1/1", "{when:?}");
    }
}

#[tokio::test]
async fn a_registration_on_its_way_at_one_node_ends_with_the_leave_at_another() {
    for (kind, told) in [
        (FollowerKind::Calls(WhenCutOff::Refuse), "0/0"),
        (FollowerKind::Calls(WhenCutOff::Serve), "0/1; unreached=gw1"),
        (FollowerKind::Policies, "0/0"),
    ] {
        let bench = bench().await;
        let n = commit(&bench.apim, &[user_changed("a")]).await;
        let system = System::new(Clock::system(), true);
        let (apim, shared) = (&bench.apim, &bench.shared);
        let (other, child) = component(&system, apim, shared, FeedSettings::default());
        let _root = start_root(&system, vec![child]).await.unwrap();
        let of = async |incarnation, leaves| Heartbeat {
            incarnation,
            leaves,
            kind,
            ..beat(&bench, "gw1", n).await
        };
        other.heartbeat(of(1, true).await).await.unwrap();
        // It was sent before, and waited for the database.
        let late = bench.feed.heartbeat(of(1, false).await).await;
        assert_eq!(late, Ok(Heard::Unavailable), "{kind:?}");
        let newer = commit(&bench.apim, &[user_changed("b")]).await;
        let applied = bench.feed.committed(newer).await;
        assert_eq!(applied.to_string(), told);
        let next = bench.feed.heartbeat(of(2, false).await).await;
        assert_eq!(next, Ok(Heard::Head(newer)), "{kind:?}");
    }
}

#[tokio::test]
async fn a_busy_writer_holds_up_nobody_whose_registration_stands() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    let (one, two) = (beat(&bench, "gw1", n).await, beat(&bench, "gw2", n).await);
    bench.feed.heartbeat(one.clone()).await.unwrap();
    let busy = bench.apim.write("test.busy").await.unwrap();
    let registering = bench.feed.heartbeat(two);
    let beating = async {
        for _ in 0..20 {
            let heard = bench.feed.heartbeat(one.clone());
            let heard = tokio::time::timeout(Duration::from_millis(500), heard).await;
            assert_eq!(heard, Ok(Ok(Heard::Head(n))));
        }
        drop(busy);
    };
    let (registered, ()) = tokio::join!(registering, beating);
    assert_eq!(registered, Ok(Heard::Head(n)));
}
