use ractor::{ActorProcessingErr, ActorRef};

use super::*;
use crate::cluster::Cluster;
use crate::member::Member;
use crate::members::{Health, MemberState};
use crate::path::{Path, Terms};
use crate::protocol::PROTOCOL;
use crate::router::{Routed, Router};
use crate::view::{Seen, View};
use crate::{AskError, Door, start_root};

/// Writes itself as a string and wants a number back: never decodable.
#[derive(Debug)]
struct Broken;

impl Serialize for Broken {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("five")
    }
}

impl<'de> Deserialize<'de> for Broken {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <[u64; 4]>::deserialize(from).map(|_| Self)
    }
}

impl Request for Broken {
    type Reply = ();
    const KIND: u16 = 0x7f02;
    const VERSION: u16 = 1;
}

#[tokio::test]
async fn an_encoding_door_gives_the_same_answers() {
    for encode in [false, true] {
        let system = System::new(Clock::system(), encode);
        let (address, one) = counter(&system, "one", &Plan::default());
        let root = start_root(&system, vec![one]).await.unwrap();
        let door = Door::local(&system, address.clone(), wrap, unwrap);
        assert_eq!(door.ask(Add(u64::MAX - 1), SOON).await, Ok(u64::MAX - 1));
        address.kill();
        assert!(matches!(
            door.ask(Add(2), SOON).await,
            Ok(2) | Err(AskError::Dropped)
        ));
        root.stop(SOON).await;
        let gone = door.ask(Add(1), Duration::from_millis(50)).await;
        assert_eq!(gone, Err(AskError::Unavailable));
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_decoded_is_unsupported() {
    let system = System::new(Clock::system(), true);
    let (address, one) = counter(&system, "one", &Plan::default());
    let root = start_root(&system, vec![one]).await.unwrap();
    let door = Door::<Broken>::local(&system, address, |_| Message::Panic, |_| None);
    assert_eq!(door.ask(Broken, SOON).await, Err(AskError::Unsupported));
    assert_eq!(report(&system, "one").received, 0);
    root.stop(SOON).await;
}

#[tokio::test]
async fn a_balanced_door_sends_each_request_to_the_actor_its_key_picks() {
    let system = system();
    let (addresses, children): (Vec<_>, Vec<_>) = ["p/0", "p/1", "p/2"]
        .map(|name| counter(&system, name, &Plan::default()))
        .into_iter()
        .unzip();
    let root = start_root(&system, children).await.unwrap();
    let doors = addresses
        .iter()
        .map(|address| Door::local(&system, address.clone(), wrap, unwrap))
        .collect();
    let door = Door::balanced(doors, |add: &Add, _| usize::try_from(add.0).unwrap());
    for units in 0..6 {
        door.ask(Add(units), SOON).await.unwrap();
    }
    let mut sums = Vec::new();
    for address in &addresses {
        sums.push(address.ask(SOON, Message::Sum).await.unwrap());
    }
    assert_eq!(sums, [3, 5, 7], "0+3, 1+4 and 2+5");
    let none = Door::<Add>::balanced(Vec::new(), |_, _| 0);
    let answer = none.ask(Add(1), Duration::from_millis(20)).await;
    assert_eq!(answer, Err(AskError::Unavailable));
    root.stop(SOON).await;
}

/// A node that answers every ask with this byte alone.
struct Says(u8, Arc<AtomicU32>);

impl ractor::Actor for Says {
    type Msg = Routed;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Routed>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Routed>,
        asked: Routed,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(asked.reply.send(vec![self.0])?)
    }
}

pub(super) fn member(id: &str) -> Member {
    Member {
        id: id.to_owned(),
        incarnation: 1,
        life: 1,
        name: id.to_owned(),
        address: String::new(),
        roles: vec!["adder".to_owned()],
        facts: Vec::new(),
    }
}

/// A node whose only other member is behind this router.
fn beside(router: ActorRef<Routed>) -> Cluster {
    let cluster = Cluster::new(member("here"));
    let seen = vec![seen("there", router)];
    cluster.0.view.store(Arc::new(View { seen }));
    cluster
}

/// A member that is reached by this router.
fn seen(id: &str, router: ActorRef<Routed>) -> Seen {
    Seen {
        state: MemberState {
            member: member(id),
            health: Health::Up,
            leaving: false,
            since_ms: 0,
        },
        path: Some(way(router)),
    }
}

/// The way there; asks bear 1.
pub(super) fn way(router: ActorRef<Routed>) -> Arc<Path> {
    let terms = Terms {
        protocol: PROTOCOL,
        bears: 1,
    };
    Arc::new(Path::new(router, Arc::default(), terms))
}

#[tokio::test]
async fn who_takes_no_more_or_does_not_understand_is_asked_once_and_the_caller_told_at_once() {
    for (word, error) in [(2, AskError::Overloaded), (5, AskError::Unsupported)] {
        let asked = Arc::new(AtomicU32::new(0));
        let says = Says(word, Arc::clone(&asked));
        let (router, _) = ractor::ActorRuntime::spawn(None, says, ()).await.unwrap();
        let cluster = beside(router);
        let door = Door::<Add>::anywhere(None, &cluster, "adder", Duration::MAX);
        let soon = Duration::from_millis(500);
        assert_eq!(door.ask(Add(1), soon).await, Err(error));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{error:?}");
    }
}

#[tokio::test]
async fn while_the_own_actor_is_absent_another_node_is_asked_though_asking_twice_does_harm() {
    let system = system();
    let (address, there) = counter(&system, "there", &Plan::default());
    let root = start_root(&system, vec![there]).await.unwrap();
    let elsewhere = Cluster::new(member("there"));
    elsewhere.serve(Door::local(&system, address, wrap, unwrap));
    let router = Router::new(elsewhere.clone());
    let (router, _) = ractor::ActorRuntime::spawn(None, router, ()).await.unwrap();
    // Whoever asks is answered where its connection is known.
    let _asker = elsewhere.0.askers.admit(1, way(router.clone()));
    let cluster = beside(router);
    let (absent, _never_started) = counter(&system, "here", &Plan::default());
    let here = Door::local(&system, absent, wrap, unwrap);
    let door = Door::anywhere(Some(here), &cluster, "adder", Duration::MAX);
    assert_eq!(door.ask(Add(3), Duration::from_secs(1)).await, Ok(3));
    root.stop(SOON).await;
}

#[tokio::test]
async fn while_the_own_actor_is_there_no_other_node_is_asked() {
    let system = system();
    let (address, one) = counter(&system, "here", &Plan::default());
    let root = start_root(&system, vec![one]).await.unwrap();
    let (router, asked) = other(true).await;
    let cluster = beside(router);
    let here = Door::local(&system, address, wrap, unwrap);
    let door = Door::anywhere(Some(here), &cluster, "adder", Duration::MAX);
    for sum in 1..=5 {
        // The other would say 7.
        assert_eq!(door.ask(Add(1), SOON).await, Ok(sum));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    root.stop(SOON).await;
}

/// A node that answers each ask as one of its kind, or that takes them all and says nothing.
struct Other {
    speaks: bool,
    asked: Arc<AtomicU32>,
}

impl ractor::Actor for Other {
    type Msg = Routed;
    /// What is kept open, so that nobody is told that it is lost.
    type State = Vec<Routed>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<Routed>,
        (): (),
    ) -> Result<Vec<Routed>, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        _: ActorRef<Routed>,
        asked: Routed,
        kept: &mut Vec<Routed>,
    ) -> Result<(), ActorProcessingErr> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if !self.speaks {
            kept.push(asked);
            return Ok(());
        }
        let kind = crate::codec::head(&asked.bytes).map(|(kind, ..)| kind);
        let mut answer = match kind == Some(Look::KIND) {
            true => crate::encode(Look::KIND, 1, &())?,
            false => crate::encode(Add::KIND, 1, &7_u64)?,
        };
        answer.push(0);
        Ok(asked.reply.send(answer)?)
    }
}

pub(super) async fn other(speaks: bool) -> (ActorRef<Routed>, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let (router, _) = ractor::ActorRuntime::spawn(None, Other { speaks, asked }, ())
        .await
        .unwrap();
    (router, count)
}

/// May be asked twice.
#[derive(Debug, Serialize, Deserialize)]
struct Look;

impl Request for Look {
    type Reply = ();
    const KIND: u16 = 0x7f03;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

#[tokio::test]
async fn a_silent_node_is_hedged_where_asking_twice_does_no_harm_and_nowhere_else() {
    let hedge = Duration::from_millis(20);
    let ((stands, silent), (answers, says)) = (other(false).await, other(true).await);
    let cluster = Cluster::new(member("here"));
    let seen = vec![seen("silent", stands), seen("there", answers)];
    cluster.0.view.store(Arc::new(View { seen }));
    let look = Door::<Look>::anywhere(None, &cluster, "adder", hedge);
    let soon = Duration::from_secs(5);
    let began = tokio::time::Instant::now();
    // Whichever is asked first, in turn.
    for _ in 0..4 {
        assert_eq!(look.ask(Look, soon).await, Ok(()));
    }
    assert!(began.elapsed() < soon, "nobody waits for the silent one");
    let asked = |count: &AtomicU32| count.load(Ordering::SeqCst);
    assert_eq!((asked(&silent), asked(&says)), (2, 4));
    // It may have been carried out: nobody else is asked, and the caller is told.
    let add = Door::<Add>::anywhere(None, &cluster, "adder", hedge);
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(add.ask(Add(1), Duration::from_millis(300)).await.ok());
    }
    answers.sort_unstable();
    assert_eq!(answers, [None, Some(7)]);
    assert_eq!((asked(&silent), asked(&says)), (3, 5));
}
