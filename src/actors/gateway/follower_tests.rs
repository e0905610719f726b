//! The follower over Carbon and a feed whose answers are the test's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Actor, Address, Asked, BoxError, Child, Clock, Door, Root, System};
use cluster::{child, start_root};
use domain::change::{Change, Entry, LEFT_OUT};
use domain::change_log::{Position, ResyncReason};
use domain::policy::Policy;
use storage::carbon::consumers;
use storage::carbon::projection::{self as rows, Item};
use storage::{Database, carbon};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::follower::{Arguments, Follower, Message};
use super::local_tests::granted;
use super::state::State;
use super::{keeper, locked, refiller, validator};
use crate::change_feed::message::{
    Heard, Heartbeat, Piece, Pull, Pulled, Snapshot, SnapshotOf, WaitApplied,
};
use crate::change_feed::{Applied, Arrived, ChangeFeedHandle};

const DEADLINE: Duration = Duration::from_secs(20);

/// What the follower asks and tells.
enum Said {
    Pull(Asked<Pull>),
    Snapshot(Asked<Snapshot>),
    Heartbeat(Asked<Heartbeat>),
    Keeper(keeper::Message),
    Wait(Asked<WaitApplied>),
    Validator(validator::Message),
    Refiller(refiller::Message),
}

/// Hands everything to the test; answers at once what is not the test's to answer.
struct Front<M>(UnboundedSender<Said>, fn(M) -> Said);

impl<M: Send + 'static> Actor for Front<M> {
    type Message = M;
    type Arguments = (UnboundedSender<Said>, fn(M) -> Said);
    const KIND: &'static str = "test.front";

    async fn start((said, of): Self::Arguments, _me: Address<M>) -> Result<Self, BoxError> {
        Ok(Self(said, of))
    }

    async fn handle(&mut self, message: M) -> Result<(), BoxError> {
        match (self.1)(message) {
            Said::Heartbeat(asked) => asked.reply.send(Heard::Head(asked.request.n)),
            Said::Keeper(keeper::Message::Applied) => {}
            Said::Validator(
                validator::Message::Applied(_, _, done)
                | validator::Message::Installed(_, done)
                | validator::Message::Resumed(_, done),
            )
            | Said::Refiller(refiller::Message::LimitsChanged(_, done)) => done.send(()),
            Said::Wait(asked) => asked.reply.send(Applied::default()),
            said => drop(self.0.send(said)),
        }
        Ok(())
    }
}

struct Bench {
    clock: Clock,
    carbon: Database,
    state: Arc<State>,
    follower: Address<Message>,
    said: UnboundedReceiver<Said>,
    _root: Root,
    _dir: tempfile::TempDir,
}

// === impl Bench ===

impl Bench {
    async fn start(kept: &[Item]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let carbon = carbon::open(dir.path()).await.unwrap();
        let mut write = carbon.write("test.kept").await.unwrap();
        for item in kept {
            rows::save(&mut write, item).await.unwrap();
        }
        write.commit().await.unwrap();
        let system = System::new(Clock::system(), true);
        let (said, heard) = unbounded_channel();
        let mut children = Vec::new();
        let (pull, one) = front(&system, "pull", &said, Said::Pull);
        let (snapshot, two) = front(&system, "snapshot", &said, Said::Snapshot);
        let (heartbeat, three) = front(&system, "heartbeat", &said, Said::Heartbeat);
        let (wait, four) = front(&system, "wait", &said, Said::Wait);
        let (validator, five) = front(&system, "validator", &said, Said::Validator);
        let (refiller, six) = front(&system, "refiller", &said, Said::Refiller);
        let (keeper, seven) = front(&system, "keeper", &said, Said::Keeper);
        children.extend([one, two, three, four, five, six, seven]);
        let state = Arc::new(State::new(system.clock.clone()));
        let arguments = Arguments {
            state: Arc::clone(&state),
            feed: ChangeFeedHandle::new(
                Door::local(&system, pull, |asked| asked, Some),
                Door::local(&system, snapshot, |asked| asked, Some),
                Door::local(&system, heartbeat, |asked| asked, Some),
                Door::local(&system, wait, |asked| asked, Some),
            ),
            carbon: carbon.clone(),
            validator,
            refiller,
            keeper,
            name: "gateway@gw1".to_owned(),
            lives: Arc::new(AtomicU64::new(0)),
        };
        let (follower, eight) = child::<Follower>(&system, "follower", arguments);
        children.push(eight);
        let root = start_root(&system, children).await.unwrap();
        Self {
            clock: system.clock.clone(),
            carbon,
            state,
            follower,
            said: heard,
            _root: root,
            _dir: dir,
        }
    }

    async fn next(&mut self) -> Said {
        let next = tokio::time::timeout(DEADLINE, self.said.recv());
        next.await.unwrap().unwrap()
    }

    async fn pull(&mut self) -> Asked<Pull> {
        match self.next().await {
            Said::Pull(asked) => asked,
            _ => panic!("no pull"),
        }
    }

    async fn snapshot(&mut self) -> Asked<Snapshot> {
        match self.next().await {
            Said::Snapshot(asked) => asked,
            _ => panic!("no question for a snapshot"),
        }
    }

    async fn kept(&self) -> Vec<Item> {
        let mut read = self.carbon.read().await.unwrap();
        rows::list(&mut read, i64::MIN).await.unwrap()
    }
}

fn front<M: Send + 'static>(
    system: &System,
    name: &str,
    said: &UnboundedSender<Said>,
    of: fn(M) -> Said,
) -> (Address<M>, Child) {
    child::<Front<M>>(system, name, (said.clone(), of))
}

fn policies() -> Vec<(String, String)> {
    let policies = Policy::defaults("t", || uuid::Uuid::new_v4().to_string());
    let saved = policies.into_iter().map(|policy| Change::PolicySaved {
        policy: Box::new(policy),
    });
    let text = saved.map(|change| serde_json::to_string(&change).unwrap());
    text.map(|change| ("t".to_owned(), change)).collect()
}

#[tokio::test]
async fn a_snapshot_is_put_together_from_its_pieces_and_the_log_is_followed_at_once() {
    let mut bench = Bench::start(&[]).await;
    let first = bench.pull().await;
    assert_eq!(first.request.wait_ms, 0, "the head is not known yet");
    let reason = ResyncReason::UuidMismatch.word().to_owned();
    first.reply.send(Pulled::Resync { reason });
    let policies = policies();
    let mut parts = policies.chunks(5).peekable();
    let mut cursor = String::new();
    while let Some(part) = parts.next() {
        let asked = bench.snapshot().await;
        assert_eq!(asked.request.cursor, cursor);
        assert_eq!(asked.request.of, SnapshotOf::Everything);
        cursor.push('x');
        asked.reply.send(Piece::Part {
            changes: part.to_vec(),
            cursor: parts.peek().map(|_| cursor.clone()),
            n: 9,
            uuid: "u9".to_owned(),
        });
    }
    let after = bench.pull().await;
    let stands = (after.request.n, after.request.uuid.as_str());
    assert_eq!((stands, after.request.wait_ms), ((9, "u9"), 0));
    assert_eq!(bench.state.applied.load(Ordering::Acquire), 9);
    assert_eq!(bench.kept().await.len(), policies.len());
    let mut read = bench.carbon.read().await.unwrap();
    let applied = rows::applied(&mut read).await.unwrap().unwrap();
    assert_eq!(applied.position, Position::new(9, "u9"));
    drop(read);
    let answered = bench.clock.monotonic();
    after.reply.send(Pulled::Entries {
        entries: Vec::new(),
        head: 9,
    });
    let long = bench.pull().await;
    assert!(long.request.wait_ms > 0, "now it waits for a change");
    let took = bench.clock.monotonic() - answered;
    assert!(took < Duration::from_millis(900), "{took:?} without a poll");
}

#[tokio::test]
async fn what_is_over_leaves_carbon() {
    let item = |name: &str, until_ms| Item {
        section: "revoked_token".to_owned(),
        item: name.to_owned(),
        body: "{}".to_owned(),
        until_ms,
    };
    let kept = [
        item("ended", Some(1)),
        item("lasts", Some(i64::MAX)),
        item("stays", None),
    ];
    let bench = Bench::start(&kept).await;
    let until = bench.clock.monotonic() + DEADLINE;
    while bench.kept().await != kept[1..] {
        assert!(bench.clock.monotonic() < until, "not removed in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn thousands_that_were_heard_of_at_once_are_soon_on_disk_while_changes_are_applied() {
    const MANY: usize = 3_000;
    let mut bench = Bench::start(&[]).await;
    let first = bench.pull().await;
    for n in 0..MANY {
        let grant = granted(&n.to_string(), &n.to_string());
        locked(&bench.state.consumers).learn(&grant, 0, 0);
    }
    let on_disk = async |bench: &Bench| {
        let mut read = bench.carbon.read().await.unwrap();
        let all = consumers::list(&mut read, 9, i64::MAX).await.unwrap();
        all.len()
    };
    let until = bench.clock.monotonic() + DEADLINE;
    while on_disk(&bench).await == 0 {
        assert!(bench.clock.monotonic() < until, "nothing is written");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let change = Change::ApplicationRemoved {
        application_id: "none of theirs".to_owned(),
    };
    let entry = Entry {
        n: 1,
        uuid: "u1".to_owned(),
        kind: change.kind().to_owned(),
        tenant: "t".to_owned(),
        payload: serde_json::to_string(&change).unwrap(),
        at_ms: 0,
    };
    let mut pull = first;
    while pull.request.n < 1 {
        pull.reply.send(Pulled::Entries {
            entries: vec![entry.clone()],
            head: 1,
        });
        pull = bench.pull().await;
    }
    while on_disk(&bench).await < MANY {
        assert!(bench.clock.monotonic() < until, "not written in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
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
async fn a_change_of_a_kind_that_it_does_not_know_is_neither_passed_nor_acknowledged() {
    let mut bench = Bench::start(&[]).await;
    let mut pull = bench.pull().await;
    // One that says nothing, then one of a later version.
    let entries = || {
        vec![
            entry(1, LEFT_OUT),
            entry(2, "moon_phase"),
            entry(3, LEFT_OUT),
        ]
    };
    for asked in 0..4 {
        let from = usize::try_from(pull.request.n).unwrap();
        assert!(from < 2, "it passed the change");
        pull.reply.send(Pulled::Entries {
            entries: entries().split_off(from),
            head: 3,
        });
        pull = bench.pull().await;
        assert_eq!(pull.request.n, 1, "asked {asked} times");
    }
    assert_eq!(bench.state.applied.load(Ordering::Acquire), 1);
}

#[tokio::test]
async fn what_it_is_told_of_and_has_not_it_asks_for_at_once_as_it_does_after_a_pull_that_failed() {
    let mut bench = Bench::start(&[]).await;
    let told = |entries, head| Pulled::Entries { entries, head };
    let how = |asked: &Asked<Pull>| {
        let Pull {
            n, wait_ms, small, ..
        } = asked.request;
        (n, wait_ms > 0, small)
    };
    let first = bench.pull().await;
    first.reply.send(told(Vec::new(), 0));
    let waits = bench.pull().await;
    assert_eq!(how(&waits), (0, true, true), "it is at the head");
    waits.reply.send(told(Vec::new(), 1));
    let at_once = bench.pull().await;
    assert_eq!(how(&at_once), (0, false, false), "there is more");
    at_once.reply.send(told(vec![entry(1, LEFT_OUT)], 1));
    let waits = bench.pull().await;
    assert_eq!(how(&waits), (1, true, true), "it is at the head");
    // As of a node of the version before, whose answer is large and does not come in time.
    drop(waits);
    let at_once = bench.pull().await;
    assert_eq!(how(&at_once), (1, false, false), "it has failed");
    at_once.reply.send(told(vec![entry(2, LEFT_OUT)], 2));
    assert_eq!(how(&bench.pull().await), (2, true, true));
}

fn of_a_later_version() -> (String, String) {
    ("t".to_owned(), r#"{"kind":"moon_phase"}"#.to_owned())
}

#[tokio::test]
async fn a_snapshot_with_something_that_it_does_not_know_ends_there_and_begins_anew_after_a_while()
{
    let mut bench = Bench::start(&[]).await;
    let reason = ResyncReason::TooOld.word().to_owned();
    let first = bench.pull().await;
    first.reply.send(Pulled::Resync { reason });
    let part = |changes, cursor: Option<&str>| Piece::Part {
        changes,
        cursor: cursor.map(str::to_owned),
        n: 9,
        uuid: "u9".to_owned(),
    };
    let mut begun = 0;
    while begun < 2 {
        let asked = bench.snapshot().await;
        if asked.request.cursor.is_empty() {
            begun += 1;
            let changes = [policies(), vec![of_a_later_version()]].concat();
            asked.reply.send(part(changes, Some("x")));
        } else {
            // Asked before the piece was looked at: good for nothing without it.
            asked.reply.send(part(policies(), None));
        }
    }
    assert_eq!(bench.state.applied.load(Ordering::Acquire), 0);
    assert_eq!(bench.kept().await, []);
}

#[tokio::test]
async fn a_piece_of_an_earlier_transfer_that_it_does_not_know_does_not_end_the_present_one() {
    let mut bench = Bench::start(&[]).await;
    let reason = ResyncReason::TooOld.word().to_owned();
    let first = bench.pull().await;
    first.reply.send(Pulled::Resync { reason });
    for (cursor, next) in [
        ("", Some("x")),
        ("x", Some("y")),
        ("y", Some("z")),
        ("z", None),
    ] {
        let asked = bench.snapshot().await;
        assert_eq!(asked.request.cursor, cursor, "it began anew");
        // A life's transfers are numbered from 1.
        let late = Message::Piece(Arrived {
            transfer: 0,
            index: 0,
            changes: vec![of_a_later_version()],
            at: None,
        });
        assert!(bench.follower.tell(late).is_ok());
        asked.reply.send(Piece::Part {
            changes: policies(),
            cursor: next.map(str::to_owned),
            n: 9,
            uuid: "u9".to_owned(),
        });
    }
    assert_eq!(bench.pull().await.request.n, 9);
}

#[tokio::test]
async fn what_a_later_version_kept_is_gone_with_the_first_change_that_is_kept() {
    let (_, body) = of_a_later_version();
    let mut bench = Bench::start(&[Item {
        section: "moon".to_owned(),
        item: "t:moon".to_owned(),
        body,
        until_ms: None,
    }])
    .await;
    let first = bench.pull().await;
    assert_eq!(bench.kept().await.len(), 1);
    // From the log's beginning, without a snapshot.
    first.reply.send(Pulled::Entries {
        entries: vec![entry(1, LEFT_OUT)],
        head: 1,
    });
    assert_eq!(bench.pull().await.request.n, 1);
    assert_eq!(bench.kept().await, []);
}

#[test]
fn a_kind_of_change_is_written_when_the_version_before_reads_it() {
    assert_eq!(domain::change::WRITTEN, cluster::PROTOCOL_BEFORE);
    for (kind, since) in domain::change::KINDS {
        assert!(since <= cluster::PROTOCOL, "{kind}");
    }
}
