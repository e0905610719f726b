//! What an asker that takes no answers costs.

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::ask::AskError;
use crate::cluster::Cluster;
use crate::codec::encode;
use crate::door::{Door, Request};
use crate::member::Member;
use crate::members::{Health, MemberState};
use crate::path::Path;
use crate::router::{Routed, Router, read_answer};
use crate::untaken::BYTES;
use crate::view::{Seen, View};

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

/// The asker's own router: silent, until it is told to answer all that came and comes.
struct Asker;

impl ractor::Actor for Asker {
    type Msg = Routed;
    type State = Vec<RpcReplyPort<Vec<u8>>>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<Routed>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        _: ActorRef<Routed>,
        Routed { bytes, reply, .. }: Routed,
        silent: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match bytes.first() {
            Some(1) => {
                for waiting in silent.drain(..).chain([reply]) {
                    let _ = waiting.send(Vec::new());
                }
            }
            _ => silent.push(reply),
        }
        Ok(())
    }
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

async fn asked(router: &ActorRef<Routed>, asker: Option<u64>) -> Result<Vec<u8>, AskError> {
    let bytes = encode(Much::KIND, Much::VERSION, &Much).unwrap();
    let (answer, answered) = oneshot::channel();
    let reply = RpcReplyPort::from((answer, SOON));
    let routed = Routed {
        bytes,
        reply,
        asker,
    };
    router.cast(routed).unwrap();
    // None at all is nothing that waits anywhere.
    read_answer::<Much>(answered.await.map_err(|_| AskError::Timeout)?)
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
        "nobody is seen who could be waited for"
    );
    let (theirs, _) = ractor::ActorRuntime::spawn(None, Asker, ()).await.unwrap();
    let path = Arc::new(Path::new(theirs, Arc::default(), 1));
    let state = MemberState {
        member: member("there", 2),
        health: Health::Up,
        leaving: false,
        since_ms: 0,
    };
    let seen = vec![Seen {
        state,
        path: Some(Arc::clone(&path)),
    }];
    cluster.0.view.store(Arc::new(View { seen }));
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
    assert_eq!(path.probe(vec![1], SOON).await, Ok(Vec::new()));
    assert_eq!(path.under_way().2, 0);
    assert_eq!(
        asked(&router, Some(2)).await.map(|answer| answer.len()),
        Ok(MIB)
    );
}
