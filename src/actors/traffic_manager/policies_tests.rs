//! What the follower of policies passes, and whom it tells.

use cluster::{Asked, Child, Clock, Door, Request, Root, System, child, start_root};
use domain::change::LEFT_OUT;
use domain::policy::{Limit, Policy, QuotaUnit, TimeUnit};
use tokio::sync::Barrier;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::change_feed::message::{Heard, Piece, Pull, Snapshot, WaitApplied};
use crate::traffic_manager::translate::limit_name;

const SHARDS: usize = 16;
const DEADLINE: Duration = Duration::from_secs(20);

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
    published: Published,
    _root: Root,
}

impl Bench {
    async fn start() -> Self {
        let system = System::new(Clock::system(), true);
        let (pull, pulls, one) = front::<Pull>(&system, "pull");
        let (snapshot, snapshots, two) = front::<Snapshot>(&system, "snapshot");
        let (heartbeat, heartbeats, three) = front::<Heartbeat>(&system, "heartbeat");
        let (wait, _, four) = front::<WaitApplied>(&system, "wait");
        let published = Published::default();
        let arguments = PoliciesArguments {
            feed: ChangeFeedHandle::new(pull, snapshot, heartbeat, wait),
            published: Arc::clone(&published),
            shards: Vec::new(),
            follower: "traffic@tm1".to_owned(),
            incarnation: 1,
            clock: system.clock.clone(),
            lives: Arc::default(),
        };
        let (_, follower) = child::<PolicyFollower>(&system, "policies", arguments);
        let root = start_root(&system, vec![one, two, three, four, follower]).await;
        Self {
            pulls,
            snapshots,
            heartbeats,
            published,
            _root: root.unwrap(),
        }
    }

    /// The next pull, and whatever was acknowledged before it.
    async fn pull(&mut self) -> (Asked<Pull>, Vec<u64>) {
        let mut acknowledged = Vec::new();
        let late = tokio::time::sleep(DEADLINE);
        tokio::pin!(late);
        loop {
            tokio::select! {
                biased;
                Some(heartbeat) = self.heartbeats.recv() => {
                    acknowledged.push(heartbeat.request.n);
                    heartbeat.reply.send(Heard::Head(9));
                }
                Some(pull) = self.pulls.recv() => return (pull, acknowledged),
                () = &mut late => panic!("no pull in time"),
            }
        }
    }

    /// Some words of it that it lives, while it is answered nothing.
    async fn says_that_it_lives(&mut self) {
        for _ in 0..4 {
            let said = tokio::time::timeout(DEADLINE, self.heartbeats.recv()).await;
            let heartbeat = said.expect("a word in time").expect("a follower");
            assert_eq!(heartbeat.request.n, 4);
            heartbeat.reply.send(Heard::Head(9));
        }
    }

    /// The next question for a snapshot.
    async fn asks_for_snapshot(&mut self) -> Asked<Snapshot> {
        let asked = tokio::time::timeout(DEADLINE, self.snapshots.recv());
        asked.await.unwrap().unwrap()
    }

    async fn snapshot(&mut self, changes: Vec<(String, String)>) {
        self.snapshot_at(changes, 4, "u4").await;
    }

    /// The whole of it in one piece, true at this position.
    async fn snapshot_at(&mut self, changes: Vec<(String, String)>, n: u64, uuid: &str) {
        let asked = self.asks_for_snapshot().await;
        assert_eq!(asked.request.of, SnapshotOf::Policies);
        asked.reply.send(Piece::Part {
            changes,
            cursor: None,
            n,
            uuid: uuid.to_owned(),
        });
    }

    /// What is in force: the position, and how many units a policy of these tests allows.
    fn in_force(&self) -> (u64, Option<u64>) {
        let view = self.published.load_full().unwrap();
        let level = Policy::defaults("t", || "id".to_owned()).remove(0).level;
        let name = limit_name(level, "day", 0);
        let quota = view.table.get("t", &name);
        (view.applied, quota.map(|quota| quota.limit))
    }
}

/// A policy that allows so many calls a day.
fn day(units: u64) -> Change {
    let mut policy = Policy::defaults("t", || "id".to_owned()).remove(0);
    policy.name = "day".to_owned();
    policy.limit = Some(Limit {
        units,
        quota: QuotaUnit::Requests,
        unit_time: 1,
        time_unit: TimeUnit::Day,
    });
    Change::PolicySaved {
        policy: Box::new(policy),
    }
}

fn piece(change: &Change) -> (String, String) {
    ("t".to_owned(), serde_json::to_string(change).unwrap())
}

fn of(n: u64, change: &Change) -> Entry {
    Entry {
        payload: serde_json::to_string(change).unwrap(),
        ..entry(n, change.kind())
    }
}

fn told(entries: Vec<Entry>, head: u64) -> Pulled {
    Pulled::Entries { entries, head }
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

#[tokio::test]
async fn nothing_beyond_a_gap_is_applied_before_a_snapshot_has_filled_it() {
    let mut bench = Bench::start().await;
    bench.snapshot(vec![piece(&day(4))]).await;
    let (pull, _) = bench.pull().await;
    let entries = vec![of(5, &day(5)), of(7, &day(7))];
    pull.reply.send(told(entries, 7));
    let held = bench.asks_for_snapshot().await;
    assert_eq!(bench.in_force(), (5, Some(5)));
    held.reply.send(Piece::Part {
        changes: vec![piece(&day(6))],
        cursor: None,
        n: 8,
        uuid: "u8".to_owned(),
    });
    let (pull, acknowledged) = bench.pull().await;
    assert_eq!((pull.request.n, acknowledged), (8, vec![5, 8]));
    assert_eq!(bench.in_force(), (8, Some(6)));
}

#[tokio::test]
async fn an_answer_that_comes_late_and_again_is_applied_once() {
    let mut bench = Bench::start().await;
    bench.snapshot(Vec::new()).await;
    let (late, _) = bench.pull().await;
    // Nobody answers for so long that it asks again.
    let (again, _) = bench.pull().await;
    assert_eq!((late.request.n, again.request.n), (4, 4));
    again
        .reply
        .send(told(vec![of(5, &day(5)), of(6, &day(6))], 6));
    let (next, acknowledged) = bench.pull().await;
    assert_eq!((next.request.n, acknowledged), (6, vec![6]));
    late.reply.send(told(vec![of(5, &day(5))], 6));
    next.reply.send(told(vec![entry(7, LEFT_OUT)], 7));
    let (last, acknowledged) = bench.pull().await;
    assert_eq!((last.request.n, acknowledged), (7, vec![7]));
    assert_eq!(bench.in_force(), (7, Some(6)));
}

#[tokio::test]
async fn after_a_restored_backup_nothing_of_the_history_before_is_in_force() {
    let mut bench = Bench::start().await;
    bench.snapshot(vec![piece(&day(4))]).await;
    let (pull, acknowledged) = bench.pull().await;
    assert_eq!((bench.in_force(), acknowledged), ((4, Some(4)), vec![4]));
    let reason = ResyncReason::HeadBelow.word().to_owned();
    pull.reply.send(Pulled::Resync { reason });
    bench.snapshot_at(Vec::new(), 2, "v2").await;
    let (pull, acknowledged) = bench.pull().await;
    let stands = (pull.request.n, pull.request.uuid.as_str());
    assert_eq!((stands, acknowledged), ((2, "v2"), vec![2]));
    assert_eq!(bench.in_force(), (2, None));
}

#[tokio::test]
async fn what_it_is_told_of_and_has_not_it_asks_for_at_once_as_it_does_after_a_pull_that_failed() {
    let mut bench = Bench::start().await;
    bench.snapshot(Vec::new()).await;
    let (pull, _) = bench.pull().await;
    let how = |asked: &Asked<Pull>| {
        (
            asked.request.n,
            asked.request.wait_ms > 0,
            asked.request.small,
        )
    };
    assert_eq!(how(&pull), (4, true, true), "it is at the head");
    pull.reply.send(told(Vec::new(), 5));
    let (pull, _) = bench.pull().await;
    assert_eq!(how(&pull), (4, false, false), "there is more");
    pull.reply.send(told(vec![entry(5, LEFT_OUT)], 5));
    let (pull, _) = bench.pull().await;
    assert_eq!(how(&pull), (5, true, true), "it is at the head");
    drop(pull);
    let (pull, _) = bench.pull().await;
    assert_eq!(how(&pull), (5, false, false), "it has failed");
}

/// What is large may take longer than whoever says nothing is taken for alive (S3).
#[tokio::test]
async fn while_what_is_large_is_on_its_way_it_says_that_it_lives() {
    let mut bench = Bench::start().await;
    bench.snapshot(Vec::new()).await;
    let (pull, _) = bench.pull().await;
    pull.reply.send(told(Vec::new(), 5));
    let (large, _) = bench.pull().await;
    bench.says_that_it_lives().await;
    large.reply.send(told(vec![entry(5, LEFT_OUT)], 5));
    let (next, _) = bench.pull().await;
    assert_eq!(next.request.n, 5);
}

#[tokio::test]
async fn a_pull_that_was_given_up_and_fails_later_has_nothing_asked_for_twice() {
    let mut bench = Bench::start().await;
    bench.snapshot(Vec::new()).await;
    let (given_up, _) = bench.pull().await;
    let (large, _) = bench.pull().await;
    drop(given_up);
    // For longer than after a failure.
    bench.says_that_it_lives().await;
    assert!(bench.pulls.try_recv().is_err(), "it has asked again");
    large.reply.send(told(vec![entry(5, LEFT_OUT)], 5));
    let (next, _) = bench.pull().await;
    assert_eq!(next.request.n, 5);
}

/// Not as late as one that does not come.
#[tokio::test]
async fn a_snapshot_that_is_refused_is_asked_for_again_soon() {
    let mut bench = Bench::start().await;
    let refusals = async {
        for _ in 0..15 {
            let refused = bench.asks_for_snapshot().await;
            refused.reply.send(Piece::Unavailable);
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, refusals).await;
    assert!(in_time.is_ok(), "it waits as if nobody had answered");
    bench.snapshot(vec![piece(&day(4))]).await;
    let (pull, _) = bench.pull().await;
    assert_eq!((pull.request.n, bench.in_force()), (4, (4, Some(4))));
}
