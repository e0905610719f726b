//! What an asker that takes no answers costs.

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorRef, RpcReplyPort};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::ask::AskError;
use crate::cluster::Cluster;
use crate::codec::encode;
use crate::door::{Door, Request};
use crate::member::Member;
use crate::path::{Path, Terms};
use crate::protocol::PROTOCOL;
use crate::router::{Routed, Router, read_answer};
use crate::silent::{ALL_ANSWERED, silent};
use crate::untaken::{BYTES, Owed};

const MIB: usize = 1024 * 1024;
const SOON: Duration = Duration::from_secs(10);

/// Asks for a mebibyte.
#[derive(Debug, Serialize, Deserialize)]
struct Much;

impl Request for Much {
    type Reply = Vec<u8>;
    const KIND: u16 = 0x7f02;
    const VERSION: u16 = 1;
}

fn member(id: &str, life: u64) -> Member {
    Member {
        id: id.to_owned(),
        incarnation: 1,
        life,
        name: id.to_owned(),
        address: String::new(),
        roles: Vec::new(),
        facts: Vec::new(),
    }
}

/// The way back to whoever is behind this router.
fn way(router: ActorRef<Routed>) -> Arc<Path> {
    let terms = Terms {
        protocol: PROTOCOL,
        bears: 1,
    };
    Arc::new(Path::new(router, Arc::default(), terms))
}

async fn asked(router: &ActorRef<Routed>, bears: Option<u64>) -> Result<Vec<u8>, AskError> {
    let bytes = encode(Much::KIND, Much::VERSION, &Much).unwrap();
    // None at all is nothing that waits anywhere.
    read_answer::<Much>(said(router, bytes, bears).await.ok_or(AskError::Timeout)?)
}

async fn said(router: &ActorRef<Routed>, bytes: Vec<u8>, bears: Option<u64>) -> Option<Vec<u8>> {
    let (answer, answered) = oneshot::channel();
    let reply = RpcReplyPort::from((answer, SOON));
    let routed = Routed {
        bytes,
        reply,
        bears,
    };
    router.cast(routed).unwrap();
    answered.await.ok()
}

#[tokio::test]
async fn answers_that_are_not_taken_are_bounded_and_go_on_when_they_are() {
    let cluster = Cluster::new(member("here", 1));
    cluster.serve(Door::<Much>::answering(|_| vec![7; MIB]));
    let (router, _) = ractor::ActorRuntime::spawn(None, Router::new(cluster.clone()), ())
        .await
        .unwrap();
    assert_eq!(
        asked(&router, Some(2)).await,
        Err(AskError::Unavailable),
        "no connection is known by this"
    );
    let theirs = silent().await;
    let path = way(theirs);
    let _asker = cluster.0.askers.admit(2, Arc::clone(&path));
    let mut good = 0;
    let refused = loop {
        match asked(&router, Some(2)).await {
            Ok(answer) => good += answer.len(),
            Err(error) => break error,
        }
        assert!(good <= BYTES, "without end");
    };
    assert!(good > BYTES / 2, "{good}");
    assert!(
        matches!(refused, AskError::Dropped | AskError::Overloaded),
        "{refused:?}"
    );
    // Saying so is bounded too.
    let mut told = 0;
    while asked(&router, Some(2)).await != Err(AskError::Timeout) {
        told += 1;
        assert!(told < 100_000, "without end");
    }
    let (_, _, owed) = path.under_way();
    assert!(owed <= BYTES + MIB, "{owed}");
    // Now it reads and answers: all has arrived.
    assert_eq!(
        path.probe(vec![ALL_ANSWERED], SOON).await,
        Ok(vec![ALL_ANSWERED])
    );
    assert_eq!(path.under_way().2, 0);
    assert_eq!(
        asked(&router, Some(2)).await.map(|answer| answer.len()),
        Ok(MIB)
    );
}

#[tokio::test]
async fn probes_that_are_not_taken_are_bounded_and_answered_beyond_all_answers() {
    let cluster = Cluster::new(member("here", 1));
    // What a probe is answered with in a crowd.
    cluster.serve(Door::<Probed>::answering(|_| vec![7; 48 * 1024]));
    let (router, _) = ractor::ActorRuntime::spawn(None, Router::new(cluster.clone()), ())
        .await
        .unwrap();
    let theirs = silent().await;
    let path = way(theirs);
    let _asker = cluster.0.askers.admit(2, Arc::clone(&path));
    while path.owes(MIB / 8, Owed::Answer) {}
    let probe = || encode(Probed::KIND, Probed::VERSION, &Probed).unwrap();
    let mut told = 0;
    while said(&router, probe(), Some(2)).await.is_some() {
        told += 1;
        assert!(told < 100, "without end");
    }
    assert!(told > 5, "{told}");
    let (_, _, owed) = path.under_way();
    assert!(owed <= BYTES + MIB, "{owed}");
    assert_eq!(
        path.probe(vec![ALL_ANSWERED], SOON).await,
        Ok(vec![ALL_ANSWERED])
    );
    assert!(said(&router, probe(), Some(2)).await.is_some());
}

/// What probes are here.
#[derive(Debug, Serialize, Deserialize)]
struct Probed;

impl Request for Probed {
    type Reply = Vec<u8>;
    const KIND: u16 = crate::router::PROBE;
    const VERSION: u16 = 1;
}

#[tokio::test]
async fn asks_that_came_by_no_known_connection_are_answered_so_often_and_counted() {
    let cluster = Cluster::new(member("here", 1));
    cluster.serve(Door::<Much>::answering(|_| vec![7; MIB]));
    cluster.serve(Door::<Probed>::answering(|_| vec![7; MIB]));
    let (router, _) = ractor::ActorRuntime::spawn(None, Router::new(cluster.clone()), ())
        .await
        .unwrap();
    let asks = [
        encode(Much::KIND, Much::VERSION, &Much).unwrap(),
        encode(Probed::KIND, Probed::VERSION, &Probed).unwrap(),
    ];
    let (mut answered, mut asked) = (0, 0);
    let began = tokio::time::Instant::now();
    for round in 0..2_000 {
        for (bytes, bears) in asks.iter().zip([Some(round), None]) {
            let answer = said(&router, bytes.clone(), bears).await;
            assert!(
                answer.as_ref().is_none_or(|bytes| *bytes == [1]),
                "{answer:?}"
            );
            answered += u64::from(answer.is_some());
            asked += 1;
        }
    }
    let most = 500 * (began.elapsed().as_secs() + 2);
    assert!((500..=most).contains(&answered), "{answered}");
    let refused = &cluster.counters().refused;
    assert_eq!(refused.load(std::sync::atomic::Ordering::Relaxed), asked);
}

#[tokio::test]
async fn whoever_has_its_places_all_taken_takes_none_of_anothers() {
    let system = crate::System::new(crate::Clock::system(), true);
    let (address, _absent) =
        crate::child::<crate::tests::Counter>(&system, "a", Default::default());
    let cluster = Cluster::new(member("here", 1));
    // Nobody is there, so an ask waits as long as its asker does.
    let door = Door::local(&system, address, crate::tests::wrap, crate::tests::unwrap);
    cluster.serve(door);
    cluster.serve(Door::<Much>::answering(|_| vec![7]));
    let (router, _) = ractor::ActorRuntime::spawn(None, Router::new(cluster.clone()), ())
        .await
        .unwrap();
    let theirs = silent().await;
    let ways = [way(theirs.clone()), way(theirs)];
    let _askers = [2, 3].map(|bears| {
        let at = usize::try_from(bears).unwrap() - 2;
        cluster.0.askers.admit(bears, Arc::clone(&ways[at]))
    });
    let waits = encode(crate::tests::Add::KIND, 1, &crate::tests::Add(1)).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..1_024 {
        let (answer, answered) = oneshot::channel();
        let reply = RpcReplyPort::from((answer, SOON));
        let (bytes, bears) = (waits.clone(), Some(2));
        let routed = Routed {
            bytes,
            reply,
            bears,
        };
        router.cast(routed).unwrap();
        waiting.push(answered);
    }
    assert_eq!(asked(&router, Some(2)).await, Err(AskError::Overloaded));
    assert_eq!(asked(&router, Some(3)).await, Ok(vec![7]));
}
