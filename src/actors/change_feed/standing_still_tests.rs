//! Feeds, databases and followers that stand still: what is forgiven, what is not waited for, and
//! what is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::Duration;

use cluster::{Actor, Address, AskError, Asked, BoxError, Door, child, start_root};
use domain::change_log::{Applied, Followers, Registered};
use domain::serving_lease::{FollowerKind, WhenCutOff};
use storage::apim::{change_log, followers};

use super::actor::{Feed, FeedArguments, FeedMessage};
use super::message::{Heartbeat, Pulled, WaitApplied};
use super::pruner::{Prune, Pruner, PrunerArguments};
use super::registrar::{Registrar, RegistrarArguments, RegistrarMessage};
use super::tests::{Bench, bench, commit, entries, pull, user_changed};
use super::{SharedFollowers, boot_ms};

const SERVE: FollowerKind = FollowerKind::Calls(WhenCutOff::Serve);
/// Longer than anybody may be silent, milliseconds.
const SILENT_MS: i64 = 60_000;

fn now_ms(bench: &Bench) -> i64 {
    boot_ms(&bench.system.clock)
}

/// Asks a feed so often what nobody will say, one time after the other: each is answered in a tick
/// of its own.
async fn ticks(feed: &Address<FeedMessage>, count: usize) {
    for _ in 0..count {
        let request = pull(0, "", 1);
        let polled = feed.ask(Duration::from_secs(30), |reply| {
            FeedMessage::Pull(Asked { request, reply })
        });
        assert!(matches!(polled.await, Ok(Pulled::Entries { .. })));
    }
}

/// Registers a follower as another node of the control plane would.
async fn register(bench: &Bench, name: &str) -> Registered {
    let mut write = bench.apim.write("test.register").await.unwrap();
    assert!(
        followers::save(&mut write, name, SERVE, 1, 1)
            .await
            .unwrap()
    );
    write.commit().await.unwrap();
    stored(bench, name).await
}

async fn stored(bench: &Bench, name: &str) -> Registered {
    let mut read = bench.apim.read().await.unwrap();
    followers::find(&mut read, name).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_feed_that_stood_still_fences_nobody_whom_it_could_not_hear() {
    for stands_still in [true, false] {
        let bench = bench().await;
        let row = register(&bench, "gw2").await;
        let shared = SharedFollowers::default();
        let arguments = RegistrarArguments {
            clock: bench.system.clock.clone(),
            apim: bench.apim.clone(),
            followers: Arc::clone(&shared),
        };
        let (registrar, fences) =
            child::<Registrar>(&bench.system, "another registrar", arguments.clone());
        let arguments = FeedArguments {
            clock: arguments.clock,
            apim: arguments.apim,
            followers: Arc::clone(&shared),
            registrar: registrar.clone(),
        };
        let (feed, child) = child::<Feed>(&bench.system, "another feed", arguments);
        let root = start_root(&bench.system, vec![fences, child])
            .await
            .unwrap();
        ticks(&feed, 1).await;
        // What it was told to fence by then is done, and judges nobody by what is put in here.
        let request = Heartbeat {
            follower: "gw0".to_owned(),
            incarnation: 1,
            kind: SERVE,
            n: 0,
            uuid: String::new(),
            leaves: false,
        };
        let asked = registrar.ask(Duration::from_secs(20), |reply| {
            RegistrarMessage::Heard(Asked { request, reply })
        });
        assert!(asked.await.is_ok());
        // Nothing else runs on this thread until the next wait.
        let began_ms = now_ms(&bench);
        {
            let mut followers = shared.lock().unwrap();
            *followers = Followers::default();
            followers.see(std::slice::from_ref(&row), began_ms - SILENT_MS);
            followers.acknowledged("gw2", 0, 0, began_ms - SILENT_MS);
        }
        while stands_still && now_ms(&bench) < began_ms + 1_500 {
            std::hint::spin_loop();
        }
        // It looks at who is silent in one of so many.
        ticks(&feed, 25).await;
        let fenced = async {
            while stored(&bench, "gw2").await.fenced_at_ms.is_none() {
                tokio::task::yield_now().await;
            }
        };
        // Another actor fences; who was forgiven is not within ten seconds.
        let within = Duration::from_secs(if stands_still { 2 } else { 20 });
        let fenced = tokio::time::timeout(within, fenced).await;
        assert_eq!(fenced.is_err(), stands_still);
        root.stop(Duration::from_secs(9)).await;
    }
}

#[test]
fn whoever_is_forgiven_has_its_time_from_then_on_heard_of_or_only_registered() {
    let mut followers = Followers::default();
    let registered = |name: &str| Registered {
        name: name.to_owned(),
        kind: SERVE,
        incarnation: 1,
        registered_at_ms: 1,
        fenced_at_ms: None,
        left_at_ms: None,
    };
    let all = [registered("heard"), registered("never heard")];
    followers.see(&all, 0);
    followers.acknowledged("heard", 5, 5, 0);
    assert_eq!(followers.silent(&all, SILENT_MS).len(), 2);
    assert_eq!(followers.slowest(SILENT_MS), None);
    followers.forgive(SILENT_MS);
    assert!(followers.silent(&all, SILENT_MS + 9_000).is_empty());
    assert_eq!(followers.slowest(SILENT_MS + 9_000), Some(5));
    assert_eq!(followers.silent(&all, 2 * SILENT_MS).len(), 2);
}

#[tokio::test]
async fn a_feed_waits_a_second_for_a_database_that_does_not_answer() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    assert_eq!(entries(&bench.feed, pull(0, "", 0)).await.len(), 1);
    // Nobody reads until these are dropped, and who wants to waits for five seconds.
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(bench.apim.read().await.unwrap());
    }
    let began_ms = now_ms(&bench);
    let polled = bench.feed.pull(pull(0, "", 0)).await;
    assert_eq!(
        polled,
        Err(AskError::Dropped),
        "the follower asks another node"
    );
    // Behind one look at who is silent, at the most.
    assert!(now_ms(&bench) - began_ms < 4_000);
    drop(readers);
    assert_eq!(entries(&bench.feed, pull(0, "", 0)).await[0].0, n);
}

#[tokio::test]
async fn a_follower_that_lives_by_the_boot_clock_holds_back_what_it_has_still_to_read() {
    let bench = bench().await;
    let changes: Vec<_> = (0..9).map(|n| user_changed(&n.to_string())).collect();
    commit(&bench.apim, &changes).await;
    let shared = SharedFollowers::default();
    let now_ms = now_ms(&bench);
    shared.lock().unwrap().acknowledged("gw1", 3, 9, now_ms);
    let silent = now_ms - SILENT_MS;
    shared.lock().unwrap().acknowledged("gw2", 2, 9, silent);
    let arguments = PrunerArguments {
        clock: bench.system.clock.clone(),
        apim: bench.apim.clone(),
        followers: shared,
        retention: 1,
    };
    let (pruner, child) = child::<Pruner>(&bench.system, "another pruner", arguments);
    let root = start_root(&bench.system, vec![child]).await.unwrap();
    let tail = async || {
        let mut read = bench.apim.read().await.unwrap();
        change_log::find(&mut read, 0).await.unwrap().tail
    };
    let before = tail().await;
    assert!(pruner.tell(Prune).is_ok());
    let pruned = async {
        while tail().await == before {
            tokio::task::yield_now().await;
        }
    };
    let pruned = tokio::time::timeout(Duration::from_secs(20), pruned).await;
    pruned.expect("it prunes");
    assert_eq!(tail().await, 3);
    root.stop(Duration::from_secs(9)).await;
}

/// Who knows how far followers are, and forgets the first who asks.
struct Forgetful(Arc<AtomicUsize>);

impl Actor for Forgetful {
    type Message = Asked<WaitApplied>;
    type Arguments = Arc<AtomicUsize>;
    const KIND: &'static str = "test.forgetful";

    async fn start(
        asked: Arc<AtomicUsize>,
        _me: Address<Asked<WaitApplied>>,
    ) -> Result<Self, BoxError> {
        Ok(Self(asked))
    }

    async fn handle(&mut self, asked: Asked<WaitApplied>) -> Result<(), BoxError> {
        if self.0.fetch_add(1, Ordering::SeqCst) > 0 {
            asked.reply.send(Applied {
                done: 1,
                all: 1,
                missing: Vec::new(),
            });
        }
        Ok(())
    }
}

#[tokio::test]
async fn whoever_waits_for_followers_at_a_feed_that_forgot_it_asks_again() {
    let bench = bench().await;
    let n = commit(&bench.apim, &[user_changed("a")]).await;
    let count = Arc::new(AtomicUsize::new(0));
    let (address, child) = child::<Forgetful>(&bench.system, "forgetful", Arc::clone(&count));
    let root = start_root(&bench.system, vec![child]).await.unwrap();
    let door = Door::local(&bench.system, address, |asked| asked, Some);
    let feed = bench.feed.clone().waiting_at(door);
    assert_eq!(feed.committed(n).await.to_string(), "1/1");
    assert_eq!(count.load(Ordering::SeqCst), 2);
    root.stop(Duration::from_secs(9)).await;
}
