//! Voters of different nodes reach each other through the cluster's own asks.

use std::sync::Arc;

use ractor::ActorRef;

use super::world::{BEFORE, World, until};
use crate::cluster::{Cluster, Parcel, ask_on};
use crate::member::Member;
use crate::path::{Path, Terms};
use crate::protocol::PROTOCOL;
use crate::register::voter_id::VoterId;
use crate::register::words::{OrderWord, PlaceWord, Said, Told, VoteWord, read, write};
use crate::register::{AskRegister, ENTRY_LIMIT};
use crate::router::{Routed, Router};
use crate::tests::SOON;
use crate::{AskError, RegisterLink};

/// A node whose register others can ask, and the way there.
async fn there(world: &World) -> (Arc<Path>, impl Sized) {
    let node = &world.nodes[0];
    let cluster = Cluster::new(Member {
        id: node.id.clone(),
        incarnation: 1,
        life: 1,
        name: "there".to_owned(),
        address: String::new(),
        roles: Vec::new(),
        facts: Vec::new(),
    });
    cluster.serve(node.register.door(&node.system));
    let router = Router::new(cluster.clone());
    let (router, _): (ActorRef<Routed>, _) =
        ractor::ActorRuntime::spawn(None, router, ()).await.unwrap();
    let terms = Terms {
        protocol: PROTOCOL,
        bears: 9,
    };
    let path = Arc::new(Path::new(router, Arc::clone(&cluster.0.counters), terms));
    let asker = cluster.0.askers.admit(9, Arc::clone(&path));
    (path, (asker, cluster))
}

async fn say(path: &Path, said: Vec<u8>) -> Result<Vec<u8>, AskError> {
    ask_on::<AskRegister>(path, Parcel::of(&AskRegister { said })?, SOON).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_answers_another_node_and_whatever_it_does_not_understand() {
    let world = World::voting(1).await;
    let (path, _kept) = there(&world).await;
    let propose = write(&Said::Propose(b"a".to_vec())).unwrap();
    let told = say(&path, propose.clone()).await.unwrap();
    let told = read::<Told>(&told).unwrap();
    assert!(
        matches!(told, Told::Order(Ok(PlaceWord(term, _))) if term > BEFORE),
        "{told:?}"
    );
    until("it is agreed on", || world.nodes[0].words() == "a ").await;
    // A later version may allow more than this one takes.
    let large = write(&Said::Propose(vec![b'x'; ENTRY_LIMIT + 1])).unwrap();
    let told = read::<Told>(&say(&path, large).await.unwrap()).unwrap();
    assert!(
        matches!(&told, Told::Order(Err(OrderWord::Failed(why))) if why.contains("65537 bytes")),
        "{told:?}"
    );
    // Who asks for a vote while there is a leader gets none.
    let vote = VoteWord {
        term: 90,
        voted_for: Some(VoterId(7)),
        is_committed: false,
    };
    let told = say(&path, write(&Said::Vote(vote, None)).unwrap()).await;
    let told = read::<Told>(&told.unwrap()).unwrap();
    assert!(matches!(told, Told::Vote(_, Some(_), false)), "{told:?}");
    for nonsense in [Vec::new(), b"nonsense".to_vec(), propose[..9].to_vec()] {
        let told = say(&path, nonsense).await.unwrap();
        let told = read::<Told>(&told).unwrap();
        assert!(matches!(told, Told::Failed(_)), "{told:?}");
    }
}

#[tokio::test]
async fn a_voter_that_is_not_connected_is_told_so_at_once() {
    let cluster = Cluster::new(Member {
        id: "alone".to_owned(),
        incarnation: 1,
        life: 1,
        name: "alone".to_owned(),
        address: String::new(),
        roles: Vec::new(),
        facts: Vec::new(),
    });
    let link: &dyn RegisterLink = &cluster;
    let asked = link.ask(&super::world::id(1), Vec::new(), SOON).await;
    assert_eq!(asked, Err(AskError::Unavailable));
}
