//! What the follower of policies passes, and whom it tells.

use cluster::{Asked, Child, Clock, Door, Request, Root, System, child, start_root};
use domain::change::LEFT_OUT;
use tokio::sync::Barrier;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::change_feed::message::{Heard, Piece, Snapshot, WaitApplied};

const SHARDS: usize = 16;

/// Other policies were published.
struct Follow(Reply<()>);

/// Follows when all others are about to.
struct Together(Arc<Barrier>);

impl Actor for Together {
    type Message = Follow;
    type Arguments = Arc<Barrier>;
    const KIND: &'static str = "test.together";

    async fn start(barrier: Arc<Barrier>, _me: Address<Follow>) -> Result<Self, BoxError> {
        Ok(Self(barrier))
    }

    async fn handle(&mut self, Follow(reply): Follow) -> Result<(), BoxError> {
        self.0.wait().await;
        reply.send(());
        Ok(())
    }
}

#[tokio::test]
async fn shards_that_take_long_are_waited_for_together() {
    let system = System::new(Clock::system(), true);
    let barrier = Arc::new(Barrier::new(SHARDS));
    let made = (0..SHARDS).map(|n| {
        let barrier = Arc::clone(&barrier);
        child::<Together>(&system, &format!("together/{n}"), barrier)
    });
    let (shards, children): (Vec<_>, Vec<_>) = made.unzip();
    let root = start_root(&system, children).await.unwrap();
    let began = system.clock.monotonic();
    let shards: Vec<GoBy> = shards
        .iter()
        .map(|address| GoBy::of(address, Follow))
        .collect();
    tell(&shards).await;
    let took = system.clock.monotonic() - began;
    assert!(took < FOLLOWING * 8, "one after another: {took:?}");
    root.stop(FOLLOWING).await;
}

/// Hands what is asked to the test.
struct Front<R: Request>(UnboundedSender<Asked<R>>);

impl<R: Request> Actor for Front<R> {
    type Message = Asked<R>;
    type Arguments = UnboundedSender<Asked<R>>;
    const KIND: &'static str = "test.front";

    async fn start(asked: Self::Arguments, _me: Address<Asked<R>>) -> Result<Self, BoxError> {
        Ok(Self(asked))
    }

    async fn handle(&mut self, message: Asked<R>) -> Result<(), BoxError> {
        let _ = self.0.send(message);
        Ok(())
    }
}

type Asks<R> = UnboundedReceiver<Asked<R>>;

fn front<R: Request>(system: &System, name: &str) -> (Door<R>, Asks<R>, Child) {
    let (asked, heard) = unbounded_channel();
    let (address, child) = child::<Front<R>>(system, name, asked);
    (
        Door::local(system, address, |asked| asked, Some),
        heard,
        child,
    )
}

/// A follower before a feed whose answers are the test's.
struct Bench {
    pulls: Asks<Pull>,
    snapshots: Asks<Snapshot>,
    heartbeats: Asks<Heartbeat>,
    _root: Root,
}

impl Bench {
    async fn start() -> Self {
        let system = System::new(Clock::system(), true);
        let (pull, pulls, one) = front::<Pull>(&system, "pull");
        let (snapshot, snapshots, two) = front::<Snapshot>(&system, "snapshot");
        let (heartbeat, heartbeats, three) = front::<Heartbeat>(&system, "heartbeat");
        let (wait, _, four) = front::<WaitApplied>(&system, "wait");
        let arguments = PoliciesArguments {
            feed: ChangeFeedHandle::new(pull, snapshot, heartbeat, wait),
            published: Published::default(),
            shards: Vec::new(),
            follower: "traffic@tm1".to_owned(),
            incarnation: 1,
        };
        let (_, follower) = child::<PolicyFollower>(&system, "policies", arguments);
        let root = start_root(&system, vec![one, two, three, four, follower]).await;
        Self {
            pulls,
            snapshots,
            heartbeats,
            _root: root.unwrap(),
        }
    }

    /// The next pull, and whatever was acknowledged before it.
    async fn pull(&mut self) -> (Asked<Pull>, Vec<u64>) {
        let mut acknowledged = Vec::new();
        loop {
            tokio::select! {
                biased;
                Some(heartbeat) = self.heartbeats.recv() => {
                    acknowledged.push(heartbeat.request.n);
                    heartbeat.reply.send(Heard::Head(9));
                }
                Some(pull) = self.pulls.recv() => return (pull, acknowledged),
            }
        }
    }

    async fn snapshot(&mut self, changes: Vec<(String, String)>) {
        let asked = self.snapshots.recv().await.unwrap();
        asked.reply.send(Piece::Part {
            changes,
            cursor: None,
            n: 4,
            uuid: "u4".to_owned(),
        });
    }
}

fn entry(n: u64, kind: &str) -> Entry {
    Entry {
        n,
        uuid: format!("u{n}"),
        kind: kind.to_owned(),
        tenant: "t".to_owned(),
        payload: "{}".to_owned(),
        at_ms: 0,
    }
}

#[tokio::test]
async fn what_it_does_not_understand_is_neither_passed_nor_acknowledged() {
    let mut bench = Bench::start().await;
    let unknown = ("t".to_owned(), r#"{"kind":"moon_phase"}"#.to_owned());
    bench.snapshot(vec![unknown]).await;
    // It asks again, and has acknowledged nothing.
    bench.snapshot(Vec::new()).await;
    let (pull, acknowledged) = bench.pull().await;
    assert_eq!((pull.request.n, acknowledged), (4, vec![4]));
    let mut pull = pull;
    for already in [4, 5, 5] {
        let entries = [
            entry(5, LEFT_OUT),
            entry(6, "moon_phase"),
            entry(7, LEFT_OUT),
        ];
        let left = entries.into_iter().filter(|entry| entry.n > already);
        pull.reply.send(Pulled::Entries {
            entries: left.collect(),
            head: 7,
        });
        let (next, acknowledged) = bench.pull().await;
        assert_eq!((next.request.n, acknowledged), (5, vec![5]), "{already}");
        pull = next;
    }
}
