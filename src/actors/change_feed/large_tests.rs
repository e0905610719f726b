//! What is large goes to a follower on another node when it asks for it at once, and so beside probes (M2).

use std::sync::Arc;
use std::time::Duration;

use cluster::{Address, Asked, Earlier as _, child, start_root};

use super::SharedFollowers;
use super::actor::{Feed, FeedArguments, FeedMessage};
use super::message::{Pull, PullBefore, Pulled};
use super::registrar::{Registrar, RegistrarArguments};
use super::tests::{bench, commit, entries, pull, user_changed};

/// Less than whoever waits for a change is kept waiting here.
const AT_ONCE: Duration = Duration::from_secs(10);

/// The numbers of the entries that another node is sent, and the head.
async fn sent(feed: &Address<FeedMessage>, request: Pull) -> (Vec<u64>, u64) {
    let asked = feed.ask(AT_ONCE, |reply| {
        FeedMessage::PullFromAfar(Asked { request, reply })
    });
    match asked.await {
        Ok(Pulled::Entries { entries, head }) => {
            (entries.iter().map(|entry| entry.n).collect(), head)
        }
        other => panic!("no entries but {other:?}"),
    }
}

#[tokio::test]
async fn whoever_waits_is_told_of_what_is_large_and_is_sent_it_when_it_asks_at_once() {
    let bench = bench().await;
    let followers = SharedFollowers::default();
    let (clock, apim) = (bench.system.clock.clone(), bench.apim.clone());
    let arguments = RegistrarArguments {
        clock: clock.clone(),
        apim: apim.clone(),
        followers: Arc::clone(&followers),
    };
    let (registrar, one) = child::<Registrar>(&bench.system, "another registrar", arguments);
    let arguments = FeedArguments {
        clock,
        apim,
        followers,
        registrar,
    };
    let (feed, other) = child::<Feed>(&bench.system, "another feed", arguments);
    let root = start_root(&bench.system, vec![one, other]).await.unwrap();
    let large = "x".repeat(64 * 1024);
    for name in ["a", "b", large.as_str(), "d"] {
        commit(&bench.apim, &[user_changed(name)]).await;
    }
    let uuids = entries(&bench.feed, pull(0, "", 0)).await;
    let waits = |n: usize, small| Pull {
        small,
        ..pull(uuids[n - 1].0, &uuids[n - 1].1, 20_000)
    };
    assert_eq!(sent(&feed, waits(1, true)).await, (vec![2], 4));
    assert_eq!(sent(&feed, waits(2, true)).await, (vec![], 4));
    let at_once = Pull {
        wait_ms: 0,
        ..waits(2, false)
    };
    assert_eq!(sent(&feed, at_once).await, (vec![3, 4], 4));
    // One of the version before would ask for the same again.
    let before = PullBefore::of(&waits(2, true));
    assert_eq!(sent(&feed, before.into_now()).await, (vec![3, 4], 4));
    // Within a node nothing travels.
    let within = bench.feed.pull(waits(2, true)).await;
    assert!(matches!(within, Ok(Pulled::Entries { entries, .. }) if entries.len() == 2));
    root.stop(AT_ONCE).await;
}
