use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use serde::Deserialize;

use super::*;
use crate::cluster::{Cluster, Parcel, ask_on};
use crate::door::Door;
use crate::member::Member;
use crate::path::{Path, Terms};
use crate::router::{Routed, Router, fault};

const SOON: Duration = Duration::from_secs(10);

/// How much two numbers are; the version before knew a sum alone.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sum {
    numbers: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Summed {
    sum: u8,
    of: u8,
}

/// Both of the version before.
#[derive(Debug, Serialize, Deserialize)]
struct Pair(u8, u8);

#[derive(Debug, Serialize, Deserialize)]
struct Plain(u8);

impl Earlier<Sum> for Pair {
    fn of(now: &Sum) -> Self {
        let number = |at| now.numbers.get(at).copied().unwrap_or_default();
        Self(number(0), number(1))
    }

    fn into_now(self) -> Sum {
        let numbers = vec![self.0, self.1];
        Sum { numbers }
    }
}

impl Earlier<Summed> for Plain {
    fn of(now: &Summed) -> Self {
        Self(now.sum)
    }

    fn into_now(self) -> Summed {
        Summed { sum: self.0, of: 2 }
    }
}

impl Request for Sum {
    type Reply = Summed;
    const KIND: u16 = 0x7f03;
    const VERSION: u16 = 5;
    const SINCE: u16 = PROTOCOL;
    const BEFORE: Option<Before<Self>> = Some(Before::new::<Pair, Plain>(3));
}

/// Came with this version of the protocol.
#[derive(Debug, Serialize, Deserialize)]
struct Newcomer;

impl Request for Newcomer {
    type Reply = ();
    const KIND: u16 = 0x7f04;
    const VERSION: u16 = 1;
    const SINCE: u16 = PROTOCOL;
}

/// A node that sums, and the way there in a version of the protocol.
async fn there(protocol: u16) -> (Cluster, Arc<Path>, impl Sized) {
    let cluster = Cluster::new(Member {
        id: "there".to_owned(),
        incarnation: 1,
        life: 1,
        name: "there".to_owned(),
        address: String::new(),
        roles: Vec::new(),
        facts: Vec::new(),
    });
    cluster.serve(Door::<Sum>::answering(|asked| Summed {
        sum: asked.numbers.iter().sum(),
        of: u8::try_from(asked.numbers.len()).unwrap(),
    }));
    cluster.serve(Door::<Newcomer>::answering(|_| ()));
    let router = Router::new(cluster.clone());
    let (router, _): (ActorRef<Routed>, _) =
        ractor::ActorRuntime::spawn(None, router, ()).await.unwrap();
    let terms = Terms { protocol, bears: 9 };
    let path = Arc::new(Path::new(router, Arc::clone(&cluster.0.counters), terms));
    let asker = cluster.0.askers.admit(9, Arc::clone(&path));
    (cluster, path, asker)
}

async fn sum(path: &Path, numbers: &[u8]) -> Result<Summed, AskError> {
    let numbers = numbers.to_vec();
    ask_on::<Sum>(path, Parcel::of(&Sum { numbers })?, SOON).await
}

#[tokio::test]
async fn an_ask_and_its_answer_have_the_shape_of_the_version_that_both_speak() {
    let (cluster, path, _asker) = there(PROTOCOL).await;
    assert_eq!(sum(&path, &[1, 2, 3]).await, Ok(Summed { sum: 6, of: 3 }));
    assert_eq!(cluster.counters().sent_in.list(), [(2, 0), (3, 1)]);
    assert_eq!(cluster.counters().served_in.list(), [(2, 0), (3, 1)]);
    let (cluster, path, _asker) = there(PROTOCOL_BEFORE).await;
    // What the version before cannot say is left out.
    assert_eq!(sum(&path, &[1, 2, 3]).await, Ok(Summed { sum: 3, of: 2 }));
    assert_eq!(cluster.counters().sent_in.list(), [(2, 1), (3, 0)]);
    assert_eq!(cluster.counters().served_in.list(), [(2, 1), (3, 0)]);
}

#[tokio::test]
async fn what_the_version_before_does_not_have_is_not_sent_to_who_speaks_it() {
    let newcomer = || Parcel::of(&Newcomer).unwrap();
    let (_, path, _asker) = there(PROTOCOL).await;
    assert_eq!(ask_on::<Newcomer>(&path, newcomer(), SOON).await, Ok(()));
    let (cluster, path, _asker) = there(PROTOCOL_BEFORE).await;
    let asked = ask_on::<Newcomer>(&path, newcomer(), SOON).await;
    assert_eq!(asked, Err(AskError::Unsupported));
    assert_eq!(cluster.counters().sent_in.list(), [(2, 0), (3, 0)]);
}

#[tokio::test]
async fn an_unknown_kind_a_later_version_and_a_malformed_message_are_answered_as_not_understood() {
    let good = encode(Sum::KIND, Sum::VERSION, &Sum { numbers: vec![1] }).unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    let rows = [
        ("an unknown kind", changed(1, 0x77)),
        ("a later version", changed(3, 6)),
        ("a version long gone", changed(3, 1)),
        ("a length that is none", changed(7, 9)),
        ("cut", good[..good.len() - 1].to_vec()),
        ("nothing", Vec::new()),
    ];
    let (_, path, _asker) = there(PROTOCOL).await;
    for (what, bytes) in rows {
        let answer = path.ask(bytes, SOON).await;
        assert_eq!(answer, Ok(fault(AskError::Unsupported)), "{what}");
    }
    assert!(path.ask(good.clone(), SOON).await.unwrap().len() > 1);
    // Who speaks the version before is not expected to say what came later.
    let (_, path, _asker) = there(PROTOCOL_BEFORE).await;
    let answer = path.ask(good, SOON).await;
    assert_eq!(answer, Ok(fault(AskError::Unsupported)));
}
